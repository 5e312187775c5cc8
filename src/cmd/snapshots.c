/* snapshots.c - see snapshots.h. */
#include "cmd/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "snapshot/live_set.h"
#include "snapshot/resume.h"
#include "snapshot/snapshot_write.h"

/* ---- the folder ------------------------------------------------------------------------------ */

static enum esp_status make_folder(const char *path, struct esp_error *err)
{
    struct stat info;
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return esp_fail(err, ESP_EIO,
                        "%s: the folder cannot be made: %s; name another in [state] folder", path,
                        strerror(errno));
    if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode))
        errno = ENOTDIR;
    else if (access(path, W_OK | X_OK) == 0)
        return ESP_OK;
    return esp_fail(err, ESP_EIO, "%s: cannot be written to: %s; name another in [state] folder",
                    path, strerror(errno));
}

/* Two runs would remove each other's files. */
static enum esp_status lock_state(struct snapshots *snapshots, struct esp_error *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/.train.lock", snapshots->config->options.state_folder) < 0)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    enum esp_status status = ESP_OK;
    snapshots->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (snapshots->lock < 0)
        status = esp_fail(err, ESP_EIO, "%s cannot be opened: %s", path, strerror(errno));
    else if (flock(snapshots->lock, LOCK_EX | LOCK_NB) != 0)
        status = esp_fail(err, ESP_ECONFIG,
                          "%s is in use by another `espalier train`; stop that one, or give this "
                          "one a [state] folder of its own",
                          snapshots->config->options.state_folder);
    free(path);
    return status;
}

/* A snapshot, also one that is half written, half copied (hidden) or was to be published. */
static bool is_ours(const char *name)
{
    static const char ending[] = ".safetensors";
    char whole[ESP_SNAPSHOT_NAME_SIZE];
    struct esp_snapshot_id id;
    name += name[0] == '.';
    const char *end = strstr(name, ending);
    if (end == NULL || (size_t)(end - name) + sizeof ending > sizeof whole)
        return false;
    snprintf(whole, sizeof whole, "%.*s%s", (int)(end - name), name, ending);
    return esp_snapshot_file_name_parse(whole, &id);
}

/* Files of runs that were killed: this one takes its own, and the folder is nobody else's. */
static void remove_leftovers(const struct snapshots *snapshots)
{
    DIR *folder = opendir(snapshots->folder);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (is_ours(entry->d_name))
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        closedir(folder);
}

enum esp_status snapshots_init(struct snapshots *snapshots, const struct config *config,
                               struct esp_error *err)
{
    *snapshots = (struct snapshots){.config = config, .lock = -1, .next_us = ESP_TIME_NONE};
    snapshots->models = calloc(config->n_models, sizeof *snapshots->models);
    if (snapshots->models == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
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
    enum esp_status status = make_folder(config->options.state_folder, err);
    if (status == ESP_OK)
        status = make_folder(snapshots->folder, err);
    if (status == ESP_OK)
        status = lock_state(snapshots, err);
    if (status == ESP_OK)
        remove_leftovers(snapshots);
    return status;
}

static void remove_file(struct snapshot_file *file)
{
    unlink(file->path);
    free(file->path);
}

void snapshots_release(struct snapshots *snapshots)
{
    for (size_t m = 0; snapshots->models != NULL && m < snapshots->config->n_models; m++) {
        struct model_snapshots *model = &snapshots->models[m];
        for (size_t i = 0; i < model->n; i++)
            remove_file(&model->files[i]);
        free(model->files);
    }
    if (snapshots->folder != NULL && snapshots->lock >= 0)
        close(snapshots->lock);
    free(snapshots->models);
    free(snapshots->folder);
    free(snapshots->schemas);
    *snapshots = (struct snapshots){.lock = -1};
}

/* ---- whose impressions ----------------------------------------------------------------------- */

enum esp_status snapshots_note_writer(struct snapshots *snapshots, const struct esp_writer *writer,
                                      struct esp_error *err)
{
    if (writer == snapshots->last_writer || snapshots->config->options.snapshot_every_us == 0)
        return ESP_OK;
    uint64_t fingerprint = esp_writer_fingerprint(writer);
    size_t i = 0;
    while (i < snapshots->n_schemas && snapshots->schemas[i] < fingerprint)
        i++;
    snapshots->last_writer = writer;
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

/* ---- taking ---------------------------------------------------------------------------------- */

/* The first boundary after a time. */
static int64_t boundary_after(const struct config *config, int64_t time_us)
{
    int64_t every_us = config->options.snapshot_every_us;
    return (time_us / every_us - (time_us % every_us < 0) + 1) * every_us;
}

bool snapshots_due(struct snapshots *snapshots, int64_t due_us)
{
    if (snapshots->config->options.snapshot_every_us == 0)
        return false;
    if (snapshots->next_us == ESP_TIME_NONE)
        snapshots->next_us = boundary_after(snapshots->config, due_us);
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

static char *path_of(const struct snapshots *snapshots, size_t m, int64_t number)
{
    char name[ESP_SNAPSHOT_NAME_SIZE], *path = NULL;
    esp_snapshot_file_name(snapshots->config->models[m].name, snapshots->models[m].run, number,
                           name);
    return asprintf(&path, "%s/%s", snapshots->folder, name) < 0 ? NULL : path;
}

/* Notes a file as the newest of its model; takes over path. */
static enum esp_status add_file(struct model_snapshots *model, int64_t from_us, char *path,
                                struct esp_error *err)
{
    void *files = model->files;
    enum esp_status status =
        esp_array_grow(&files, &model->capacity, model->n + 1, sizeof *model->files, err);
    model->files = files;
    if (status != ESP_OK) {
        free(path);
        return status;
    }
    if (model->n > 0)
        model->files[model->n - 1].until_us = from_us;
    model->files[model->n++] =
        (struct snapshot_file){.from_us = from_us, .until_us = ESP_TIME_END, .path = path};
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
    char *path = path_of(snapshots, m, manifest.number);
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
    enum esp_status added = add_file(model, manifest.boundary_us, path, err);
    return status != ESP_OK ? status : added;
}

enum esp_status snapshots_take(struct snapshots *snapshots, struct esp_learner *const *learners,
                               const struct esp_features *features, int64_t due_us,
                               struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t m = 0; status == ESP_OK && m < snapshots->config->n_models; m++)
        status = take_model(snapshots, m, learners[m], features, err);
    snapshots->next_us = boundary_after(snapshots->config, due_us);
    return status;
}

enum esp_status snapshots_finish(struct snapshots *snapshots, struct esp_learner *const *learners,
                                 const struct esp_features *features, struct esp_error *err)
{
    if (snapshots->next_us == ESP_TIME_NONE)
        return ESP_OK;
    return snapshots_take(snapshots, learners, features, snapshots->next_us, err);
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

void snapshots_forget(struct snapshots *snapshots, int64_t first_window)
{
    const struct config *config = snapshots->config;
    for (size_t m = 0; m < config->n_models; m++) {
        struct model_snapshots *model = &snapshots->models[m];
        size_t n_kept = 0;
        for (size_t i = 0; i < model->n; i++) {
            struct snapshot_file *file = &model->files[i];
            bool is_newest = file->until_us == ESP_TIME_END;
            if (is_newest || (config->has_drift && esp_ladder_needs(&config->ladder, first_window,
                                                                    file->from_us, file->until_us)))
                model->files[n_kept++] = *file;
            else
                remove_file(file);
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
