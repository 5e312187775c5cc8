/* snapshots.c - see snapshots.h. */
#include "cmd/train/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/run/crossings.h"
#include "core/atomic_file.h"
#include "core/buf.h"
#include "snapshot/live_set.h"
#include "snapshot/resume.h"
#include "snapshot/snapshot_write.h"

/* ---- the folder ------------------------------------------------------------------------------ */

enum esp_status snapshots_init(struct snapshots *snapshots, const struct config *config,
                               struct esp_error *err)
{
    *snapshots =
        (struct snapshots){.config = config, .next_us = ESP_TIME_NONE, .keep_from = INT64_MAX};
    snapshots->models = calloc(config->n_models, sizeof *snapshots->models);
    if (snapshots->models == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    if (config->has_checkpoints) {
        snapshots->keep_from = INT64_MIN;
        snapshots->saved = calloc((size_t)config->options.state_keep, sizeof *snapshots->saved);
        if (snapshots->saved == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory");
    }
    for (size_t m = 0; m < config->n_models; m++) {
        snapshots->models[m].newest_us = ESP_TIME_NONE;
        enum esp_status status = config_run(config, m, snapshots->models[m].run, err);
        if (status != ESP_OK)
            return status;
    }
    if (config->options.snapshot_every_us == 0)
        return ESP_OK;
    if (asprintf(&snapshots->folder, "%s/snapshots", config->options.state_folder) < 0) {
        snapshots->folder = NULL;
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    }
    enum esp_status status = esp_folder_make(config->options.state_folder, "[state] folder", err);
    return status == ESP_OK ? esp_folder_make(snapshots->folder, "[state] folder", err) : status;
}

void snapshots_release(struct snapshots *snapshots)
{
    bool has_checkpoints = snapshots->saved != NULL;
    for (size_t m = 0; snapshots->models != NULL && m < snapshots->config->n_models; m++) {
        struct model_snapshots *model = &snapshots->models[m];
        for (size_t i = 0; i < model->n; i++) {
            if (!has_checkpoints)
                unlink(model->files[i].path);
            free(model->files[i].path);
        }
        free(model->files);
    }
    free(snapshots->models);
    free(snapshots->folder);
    free(snapshots->schemas);
    free(snapshots->saved);
    *snapshots = (struct snapshots){0};
}

/* ---- whose impressions ----------------------------------------------------------------------- */

static enum esp_status note_schema(struct snapshots *snapshots, uint64_t fingerprint,
                                   struct esp_error *err)
{
    size_t i = 0;
    while (i < snapshots->n_schemas && snapshots->schemas[i] < fingerprint)
        i++;
    if (i < snapshots->n_schemas && snapshots->schemas[i] == fingerprint)
        return ESP_OK;
    void *schemas = snapshots->schemas;
    enum esp_status status =
        esp_array_grow(&schemas, &snapshots->schema_capacity, snapshots->n_schemas + 1,
                       sizeof *snapshots->schemas, err);
    snapshots->schemas = schemas;
    if (status != ESP_OK)
        return status;
    memmove(snapshots->schemas + i + 1, snapshots->schemas + i,
            (snapshots->n_schemas - i) * sizeof *snapshots->schemas);
    snapshots->schemas[i] = fingerprint;
    snapshots->n_schemas++;
    return ESP_OK;
}

enum esp_status snapshots_note_writer(struct snapshots *snapshots, const struct esp_writer *writer,
                                      struct esp_error *err)
{
    if (writer == snapshots->last_writer || snapshots->config->options.snapshot_every_us == 0)
        return ESP_OK;
    snapshots->last_writer = writer;
    return note_schema(snapshots, esp_writer_fingerprint(writer), err);
}

/* ---- taking ---------------------------------------------------------------------------------- */

bool snapshots_due(struct snapshots *snapshots, int64_t due_us)
{
    if (snapshots->config->options.snapshot_every_us == 0)
        return false;
    if (snapshots->next_us == ESP_TIME_NONE)
        snapshots->next_us = crossings_boundary_after(snapshots->config, due_us);
    return due_us >= snapshots->next_us;
}

static struct esp_manifest manifest_of(const struct snapshots *snapshots, size_t m,
                                       const struct esp_learner *learner,
                                       const struct esp_features *features,
                                       struct esp_learner_report *report)
{
    const struct config *config = snapshots->config;
    const struct esp_model_config *model = &config->models[m];
    int64_t every_us = config->options.snapshot_every_us;
    struct esp_manifest manifest = {
        .number = snapshots->next_us / every_us,
        .boundary_us = snapshots->next_us,
        .every_us = every_us,
        .has_installs = config->has_installs,
        .setup = model->setup,
        .width = model->width,
        .n_layers = model->n_layers,
        .n_head_layers = model->n_head_layers,
        .fields = config->feature_paths,
        .n_fields = config->n_model_paths,
        .features = config->features,
        .n_features = config->n_features,
        .schemas = snapshots->schemas,
        .n_schemas = snapshots->n_schemas,
        .statistics = features,
        .progress = report->total,
    };
    memcpy(manifest.layers, model->layers, sizeof manifest.layers);
    memcpy(manifest.head_layers, model->head_layers, sizeof manifest.head_layers);
    memcpy(manifest.run, snapshots->models[m].run, sizeof manifest.run);
    snprintf(manifest.model, sizeof manifest.model, "%s", model->name);
    esp_learner_report(learner, report);
    memcpy(manifest.has_task, report->has_task, sizeof manifest.has_task);
    manifest.n_learned = report->examples_learned;
    manifest.n_steps = report->steps;
    return manifest;
}

char *snapshots_path(const struct snapshots *snapshots, size_t m, int64_t number)
{
    char name[ESP_SNAPSHOT_NAME_SIZE], *path = NULL;
    esp_snapshot_file_name(snapshots->config->models[m].name, snapshots->models[m].run, number,
                           name);
    return asprintf(&path, "%s/%s", snapshots->folder, name) < 0 ? NULL : path;
}

/* Notes a file of a model after all others; takes over path. */
static enum esp_status add_file(struct model_snapshots *model, int64_t from_us, int64_t until_us,
                                char *path, struct esp_error *err)
{
    void *files = model->files;
    enum esp_status status =
        esp_array_grow(&files, &model->capacity, model->n + 1, sizeof *model->files, err);
    model->files = files;
    if (status != ESP_OK) {
        free(path);
        return status;
    }
    model->files[model->n++] =
        (struct snapshot_file){.from_us = from_us, .until_us = until_us, .path = path};
    return ESP_OK;
}

static enum esp_status write_file(const struct options *options, const char *path,
                                  const struct esp_manifest *manifest, struct esp_learner *learner,
                                  uint64_t *out_bytes, struct esp_error *err)
{
    struct esp_parameters parameters;
    if (options->snapshot_resume)
        return esp_resume_write(path, manifest, learner, out_bytes, err);
    esp_learner_parameters(learner, &parameters);
    return esp_snapshot_write(path, manifest, &parameters,
                              options->snapshot_rows == 1 ? ESP_DTYPE_BF16 : ESP_DTYPE_F32,
                              out_bytes, err);
}

static enum esp_status take_model(struct snapshots *snapshots, size_t m,
                                  struct esp_learner *learner, const struct esp_features *features,
                                  struct esp_error *err)
{
    struct model_snapshots *model = &snapshots->models[m];
    struct esp_parameters parameters;
    esp_learner_parameters(learner, &parameters);
    /* Numbers are met at click labels, and some set-ups learn later: both make a snapshot. */
    uint64_t statistics = esp_features_hash(features);
    if (parameters.n_steps == 0 ||
        (parameters.n_steps == model->n_steps && statistics == model->statistics))
        return ESP_OK; /* the last one is as good, or there is nothing yet */
    struct esp_learner_report report;
    struct esp_manifest manifest = manifest_of(snapshots, m, learner, features, &report);
    char *path = snapshots_path(snapshots, m, manifest.number);
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    uint64_t n_bytes = 0;
    enum esp_status status =
        write_file(&snapshots->config->options, path, &manifest, learner, &n_bytes, err);
    if (status != ESP_OK) {
        free(path);
        return status;
    }
    model->n_steps = parameters.n_steps;
    model->statistics = statistics;
    model->newest_us = manifest.boundary_us;
    model->n_taken++;
    model->n_bytes += n_bytes;
    if (snapshots->taker != NULL)
        status = snapshots->taker(snapshots->taker_context, m, manifest.number, path, err);
    if (model->n > 0)
        model->files[model->n - 1].until_us = manifest.boundary_us;
    enum esp_status added = add_file(model, manifest.boundary_us, ESP_TIME_END, path, err);
    return status != ESP_OK ? status : added;
}

enum esp_status snapshots_take(struct snapshots *snapshots, struct esp_learner *const *learners,
                               const struct esp_features *features, int64_t due_us,
                               struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t m = 0; status == ESP_OK && m < snapshots->config->n_models; m++)
        status = take_model(snapshots, m, learners[m], features, err);
    snapshots->next_us = crossings_boundary_after(snapshots->config, due_us);
    return status;
}

enum esp_status snapshots_finish(struct snapshots *snapshots, struct esp_learner *const *learners,
                                 const struct esp_features *features, struct esp_error *err)
{
    if (snapshots->next_us == ESP_TIME_NONE)
        return ESP_OK;
    return snapshots_take(snapshots, learners, features, snapshots->next_us, err);
}

enum esp_status snapshots_adopt(struct snapshots *snapshots, size_t m, const char *path,
                                const struct esp_snapshot *snapshot,
                                const struct esp_learner *learner,
                                const struct esp_features *features, struct esp_error *err)
{
    struct model_snapshots *model = &snapshots->models[m];
    const struct esp_manifest *manifest = esp_snapshot_manifest(snapshot);
    struct esp_parameters parameters;
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < manifest->n_schemas; i++)
        status = note_schema(snapshots, manifest->schemas[i], err);
    if (status != ESP_OK)
        return status;
    esp_learner_parameters(learner, &parameters);
    model->n_steps = parameters.n_steps;
    model->statistics = esp_features_hash(features);
    model->newest_us = manifest->boundary_us;
    char *own = strdup(path);
    if (own == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    return add_file(model, manifest->boundary_us, ESP_TIME_END, own, err);
}

/* ---- the ladder's files ---------------------------------------------------------------------- */

enum esp_status snapshots_open(void *context, size_t m, int64_t boundary_us,
                               struct esp_snapshot **out, struct esp_error *err)
{
    const struct snapshots *snapshots = context;
    const struct model_snapshots *model = &snapshots->models[m];
    *out = NULL;
    for (size_t i = model->n; i-- > 0;) {
        struct snapshot_file *file = &model->files[i];
        if (boundary_us < file->from_us || boundary_us >= file->until_us)
            continue;
        enum esp_status status = esp_snapshot_open(
            file->path, file->is_known ? ESP_SNAPSHOT_KNOWN : ESP_SNAPSHOT_STRUCTURE, out, err);
        file->is_known = status == ESP_OK;
        return status;
    }
    return ESP_OK;
}

static bool is_needed(const struct config *config, int64_t first_window, int64_t from_us,
                      int64_t until_us)
{
    return config->has_drift && esp_ladder_needs(&config->ladder, first_window, from_us, until_us);
}

void snapshots_forget(struct snapshots *snapshots, int64_t first_window)
{
    int64_t keep_from = snapshots->keep_from;
    if (keep_from < first_window)
        first_window = keep_from;
    for (size_t m = 0; m < snapshots->config->n_models; m++) {
        struct model_snapshots *model = &snapshots->models[m];
        size_t n_kept = 0;
        for (size_t i = 0; i < model->n; i++) {
            struct snapshot_file *file = &model->files[i];
            bool is_newest = file->until_us == ESP_TIME_END;
            if (is_newest ||
                is_needed(snapshots->config, first_window, file->from_us, file->until_us)) {
                model->files[n_kept++] = *file;
                continue;
            }
            unlink(file->path);
            free(file->path);
        }
        model->n = n_kept;
    }
}

void snapshots_report(const struct snapshots *snapshots, size_t m, struct snapshot_status *out)
{
    const struct model_snapshots *model = &snapshots->models[m];
    memcpy(out->run, model->run, sizeof out->run);
    out->n_taken = model->n_taken;
    out->n_bytes = model->n_bytes;
    out->newest_us = model->newest_us;
}

/* ---- what stands in the folder --------------------------------------------------------------- */

/* A snapshot, also one that is half written, half copied (hidden) or is to be published.
 * *out_more: what follows its name. */
static bool is_ours(const char *name, const char **out_more)
{
    static const char ending[] = ".safetensors";
    char whole[ESP_SNAPSHOT_NAME_SIZE];
    struct esp_snapshot_id id;
    name += name[0] == '.';
    const char *end = strstr(name, ending);
    if (end == NULL || (size_t)(end - name) + sizeof ending > sizeof whole)
        return false;
    *out_more = end + sizeof ending - 1;
    snprintf(whole, sizeof whole, "%.*s%s", (int)(end - name), name, ending);
    return esp_snapshot_file_name_parse(whole, &id);
}

static bool is_named(const struct snapshots *snapshots, const char *name)
{
    size_t n_folder = strlen(snapshots->folder) + 1;
    for (size_t m = 0; m < snapshots->config->n_models; m++)
        for (size_t i = 0; i < snapshots->models[m].n; i++)
            if (strcmp(snapshots->models[m].files[i].path + n_folder, name) == 0)
                return true;
    return false;
}

void snapshots_tidy(const struct snapshots *snapshots)
{
    const char *more;
    const struct dirent *entry;
    DIR *folder = snapshots->folder == NULL ? NULL : opendir(snapshots->folder);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        if (!is_ours(name, &more) || (name[0] != '.' && strcmp(more, SNAPSHOTS_TO_PUBLISH) == 0) ||
            is_named(snapshots, name))
            continue;
        unlinkat(dirfd(folder), name, 0);
    }
    if (folder != NULL)
        closedir(folder);
}

/* A name that is gone was needed by nobody any more. */
static bool sync_name(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    bool ok = fsync(fd) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return ok;
}

enum esp_status snapshots_sync(const struct snapshots *snapshots, struct esp_error *err)
{
    if (snapshots->folder == NULL)
        return ESP_OK;
    const char *more;
    const struct dirent *entry;
    enum esp_status status = ESP_OK;
    DIR *folder = opendir(snapshots->folder);
    if (folder == NULL)
        return esp_fail(err, ESP_EIO, "%s: cannot be read: %s", snapshots->folder, strerror(errno));
    while (status == ESP_OK && (entry = readdir(folder)) != NULL)
        if (is_ours(entry->d_name, &more) && !sync_name(dirfd(folder), entry->d_name))
            status = esp_fail(err, ESP_EIO, "%s/%s: cannot be put on the disk: %s",
                              snapshots->folder, entry->d_name, strerror(errno));
    if (status == ESP_OK && fsync(dirfd(folder)) != 0)
        status = esp_fail(err, ESP_EIO, "%s: cannot be put on the disk: %s", snapshots->folder,
                          strerror(errno));
    closedir(folder);
    return status;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

enum { FILE_BYTES = 2 * 8 };

void snapshots_saved(struct snapshots *snapshots, int64_t first_window)
{
    size_t keep = (size_t)snapshots->config->options.state_keep;
    if (snapshots->n_saved == keep)
        memmove(snapshots->saved, snapshots->saved + 1, --snapshots->n_saved * sizeof first_window);
    snapshots->saved[snapshots->n_saved++] = first_window;
    if (snapshots->n_saved == keep)
        snapshots->keep_from = snapshots->saved[0];
}

static const int64_t far_us = INT64_MAX / 4; /* nothing is, in event time */

static bool is_boundary(const struct snapshots *snapshots, int64_t time_us)
{
    int64_t every_us = snapshots->config->options.snapshot_every_us;
    return every_us > 0 && time_us > -far_us && time_us < far_us && time_us % every_us == 0;
}

static bool is_first_window(const struct config *config, int64_t window)
{
    int64_t far = config->has_drift ? far_us / config->ladder.window_us : 0;
    return !config->has_drift || window == INT64_MIN || (window > -far && window < far);
}

/* Reading: the file that the checkpoint names, if it is there or must be. What stands for the
 * boundaries from next_us on is only known when that is crossed. */
static void find_file(struct esp_archive *archive, struct snapshots *snapshots, size_t m,
                      struct snapshot_file file, int64_t first_window)
{
    struct esp_error err = {0};
    bool is_newest = file.until_us == ESP_TIME_END;
    int64_t until_us = is_newest ? snapshots->next_us : file.until_us;
    char *path =
        snapshots_path(snapshots, m, file.from_us / snapshots->config->options.snapshot_every_us);
    if (path == NULL) {
        esp_archive_fail(archive, ESP_ENOMEM, "out of memory");
        return;
    }
    bool is_there = access(path, R_OK) == 0;
    if (!is_there && is_needed(snapshots->config, first_window, file.from_us, until_us))
        esp_archive_fail(archive, ESP_EIO,
                         "%s, which drift needs, cannot be read: %s; put it back, or give this run "
                         "another [state] folder",
                         path, strerror(errno));
    if (!esp_archive_is_ok(archive) || (!is_there && !is_newest)) {
        free(path);
        return;
    }
    if (add_file(&snapshots->models[m], file.from_us, file.until_us, path, &err) != ESP_OK)
        esp_archive_fail(archive, err.status, "%s", err.text);
}

static void archive_files(struct esp_archive *archive, struct snapshots *snapshots, size_t m,
                          int64_t first_window)
{
    struct model_snapshots *model = &snapshots->models[m];
    struct snapshot_file last = {.until_us = ESP_TIME_NONE};
    size_t n = model->n;
    esp_archive_count(archive, &n, FILE_BYTES);
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        struct snapshot_file file = {0};
        if (!esp_archive_reads(archive))
            file = model->files[i];
        esp_archive_i64(archive, &file.from_us);
        esp_archive_i64(archive, &file.until_us);
        bool is_last = i + 1 == n;
        bool fits = is_boundary(snapshots, file.from_us) && file.from_us < file.until_us &&
                    (i == 0 || last.until_us <= file.from_us) &&
                    (is_last ? file.until_us == ESP_TIME_END && file.from_us == model->newest_us
                             : is_boundary(snapshots, file.until_us));
        if (esp_archive_check(archive, fits, "the order of a model's snapshots") &&
            esp_archive_reads(archive))
            find_file(archive, snapshots, m, file, first_window);
        last = file;
    }
}

static void archive_run(struct esp_archive *archive, const struct snapshots *snapshots, size_t m)
{
    char run[CONFIG_RUN_SIZE];
    memcpy(run, snapshots->models[m].run, sizeof run);
    esp_archive_bytes(archive, run, sizeof run);
    if (esp_archive_is_ok(archive) && memcmp(run, snapshots->models[m].run, sizeof run) != 0)
        esp_archive_fail(archive, ESP_EDATA, "model %s is of run %s, the state is of another",
                         snapshots->config->models[m].name, snapshots->models[m].run);
}

static void archive_model(struct esp_archive *archive, struct snapshots *snapshots, size_t m,
                          int64_t first_window)
{
    struct model_snapshots *model = &snapshots->models[m];
    archive_run(archive, snapshots, m);
    esp_archive_u64(archive, &model->n_steps);
    esp_archive_u64(archive, &model->statistics);
    esp_archive_u64(archive, &model->n_taken);
    esp_archive_u64(archive, &model->n_bytes);
    esp_archive_i64(archive, &model->newest_us);
    esp_archive_check(archive,
                      model->newest_us == ESP_TIME_NONE || is_boundary(snapshots, model->newest_us),
                      "the boundary of the newest snapshot");
    archive_files(archive, snapshots, m, first_window);
}

static void archive_schemas(struct esp_archive *archive, struct snapshots *snapshots)
{
    void *schemas = snapshots->schemas;
    esp_archive_array(archive, &schemas, &snapshots->n_schemas, sizeof *snapshots->schemas);
    if (!esp_archive_reads(archive))
        return;
    free(snapshots->schemas);
    snapshots->schemas = schemas;
    snapshots->schema_capacity = snapshots->n_schemas;
    snapshots->last_writer = NULL;
    for (size_t i = 1; i < snapshots->n_schemas; i++)
        esp_archive_check(archive, snapshots->schemas[i - 1] < snapshots->schemas[i],
                          "the order of schemas");
}

void snapshots_archive(struct esp_archive *archive, struct snapshots *snapshots,
                       int64_t first_window)
{
    const struct config *config = snapshots->config;
    esp_archive_mark(archive, "snapshots", 1);
    esp_archive_same(archive, (uint64_t)config->options.snapshot_every_us,
                     "snapshot.every in microseconds");
    esp_archive_same(archive, config->n_models, "the number of models");
    esp_archive_i64(archive, &first_window);
    esp_archive_check(archive, is_first_window(config, first_window), "the first window of drift");
    esp_archive_i64(archive, &snapshots->next_us);
    esp_archive_check(
        archive, snapshots->next_us == ESP_TIME_NONE || is_boundary(snapshots, snapshots->next_us),
        "the next boundary");
    archive_schemas(archive, snapshots);
    for (size_t m = 0; m < config->n_models && esp_archive_is_ok(archive); m++)
        archive_model(archive, snapshots, m, first_window);
}
