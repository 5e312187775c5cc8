/* publishing.c - see publishing.h. */
#include "cmd/train/publishing.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cmd/config/arguments.h"
#include "cmd/run/stop.h"
#include "cmd/topics/inputs.h"
#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/logger.h"

static const int64_t retry_every_us = ESP_SECOND;
static const int64_t say_every_us = ESP_MINUTE;
static const int64_t look_every_us = 10 * ESP_MS; /* of who waits for the thread's end */

static void free_publication(struct publication *publication)
{
    free(publication->inputs);
    crossing_release(&publication->crossing);
    free(publication);
}

/* Copies where the run is in its inputs; without memory for that the hint is left out. */
static void note_inputs(struct publication *publication, struct run *run)
{
    pthread_mutex_lock(&run->lock);
    size_t n = run->positions.n;
    publication->inputs = calloc(n + 1, sizeof *publication->inputs);
    if (publication->inputs != NULL && n > 0) {
        memcpy(publication->inputs, run->positions.items, n * sizeof *publication->inputs);
        publication->n_inputs = n;
    }
    pthread_mutex_unlock(&run->lock);
}

/* Of the file's second name. */
static struct publication *new_publication(const struct publishing *publishing, size_t model,
                                           int64_t number)
{
    char *path = snapshots_path(publishing->snapshots, model, number);
    size_t size = path == NULL ? 0 : strlen(path) + sizeof SNAPSHOTS_TO_PUBLISH;
    struct publication *publication = path == NULL ? NULL : malloc(sizeof *publication + size);
    if (publication != NULL) {
        *publication = (struct publication){.model = model, .number = number};
        snprintf(publication->path, size, "%s%s", path, SNAPSHOTS_TO_PUBLISH);
    }
    free(path);
    return publication;
}

/* ---- one file -------------------------------------------------------------------------------- */

/* The run was told to stop a while ago. Asked again and again wherever a broker is waited for,
 * which is no standstill. */
static bool has_lost_patience(void *context)
{
    struct publishing *publishing = context;
    run_beat(publishing->run, RUN_PUBLISHING);
    return stop_left_us() == 0;
}

/* For the log: what is under way when the run is told to stop may still be published. */
static int64_t time_left(void *context)
{
    return has_lost_patience(context) ? 0 : INT64_MAX;
}

static void say_not_yet(struct publishing *publishing, const char *why)
{
    int64_t now_us = run_clock_us();
    if (publishing->said_us != 0 && now_us - publishing->said_us < say_every_us)
        return;
    esp_log(ESP_WARN, "a snapshot is not published yet; trying again", "why", why, NULL);
    publishing->said_us = now_us;
}

/* A broker that is away is no failure: it is mentioned once a minute, and tried again. */
static void wait_for_broker(struct publishing *publishing, const struct esp_error *why)
{
    say_not_yet(publishing, why->text);
    struct timespec pause = {.tv_sec = retry_every_us / ESP_SECOND};
    nanosleep(&pause, NULL);
}

static enum esp_status open_publisher(struct publishing *publishing, struct esp_error *err)
{
    struct esp_publisher_config config = {
        .log = publishing->log,
        .place = publishing->place,
        .keep = (size_t)publishing->run->config->options.snapshot_keep,
        .patience = {.stop = has_lost_patience, .context = publishing},
    };
    return esp_publisher_new(&config, &publishing->publisher, err);
}

/* Until it is published, refused for its content, or the run is told to stop. */
static enum esp_status publish_or_retry(struct publishing *publishing,
                                        const struct esp_publication *what,
                                        enum esp_publish_result *out, struct esp_error *err)
{
    *out = ESP_PUBLISH_STOPPED;
    for (;;) {
        struct esp_error why = {0};
        enum esp_status status = ESP_OK;
        run_beat(publishing->run, RUN_PUBLISHING);
        if (publishing->publisher == NULL)
            status = open_publisher(publishing, &why);
        if (status == ESP_OK)
            status = esp_publisher_publish(publishing->publisher, what, out, &why);
        if (status == ESP_OK)
            return ESP_OK;
        if (status != ESP_EBROKER)
            return esp_fail(err, status, "%s", why.text);
        if (has_lost_patience(publishing))
            return ESP_OK;
        wait_for_broker(publishing, &why);
    }
}

static void note_result(struct publishing *publishing, const struct publication *publication,
                        enum esp_status status, enum esp_publish_result result,
                        const struct esp_error *err)
{
    struct run *run = publishing->run;
    struct snapshot_status *counts = &run->learn.snapshots[publication->model];
    pthread_mutex_lock(&run->lock);
    if (status != ESP_OK)
        counts->n_refused++;
    else if (result == ESP_PUBLISH_STOPPED)
        counts->n_given_up++;
    else if (result == ESP_PUBLISH_OUTDATED)
        counts->n_outdated++;
    else
        counts->n_published++;
    pthread_mutex_unlock(&run->lock);
    const char *model = run->config->models[publication->model].name;
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, publication->number);
    if (status != ESP_OK)
        esp_log(ESP_ERROR, "a snapshot is not published", "model", model, "snapshot", number, "why",
                err->text, NULL);
    else if (result == ESP_PUBLISH_STOPPED && err->status != ESP_OK)
        esp_log(ESP_WARN, "a snapshot is not published: what was written before it did not arrive",
                "model", model, "snapshot", number, "why", err->text, NULL);
    else if (result == ESP_PUBLISH_STOPPED)
        esp_log(ESP_WARN,
                run->config->has_checkpoints
                    ? "a snapshot is not published yet: the run was told to stop; it will be when "
                      "that goes on"
                    : "a snapshot is not published: the run was told to stop",
                "model", model, "snapshot", number, NULL);
}

/* XXH3 of the whole file. */
static enum esp_status hash_file(const char *path, uint64_t size, uint64_t *out,
                                 struct esp_error *err)
{
    FILE *file = fopen(path, "rb");
    int fd = file == NULL ? -1 : fileno(file);
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    enum esp_status status = ESP_OK;
    if (memory == MAP_FAILED) {
        status = esp_fail(err, ESP_EIO, "%s: cannot be read: %s", path, strerror(errno));
    } else {
        *out = esp_hash(esp_bytes(memory, size));
        munmap(memory, size);
    }
    if (file != NULL)
        fclose(file);
    return status;
}

/* The file is not even looked at. */
static void give_up(struct publishing *publishing, const struct publication *publication,
                    const struct esp_error *why)
{
    note_result(publishing, publication, ESP_OK, ESP_PUBLISH_STOPPED, why);
}

/* True if it was dealt with; false: it was given up for now. */
static bool publish_one(struct publishing *publishing, const struct publication *publication)
{
    struct esp_error err = {0};
    struct esp_snapshot_info info = {.manifest_json = NULL};
    enum esp_publish_result result = ESP_PUBLISH_STOPPED;
    uint64_t checksum = 0;
    enum esp_status status = esp_snapshot_peek(publication->path, &info, &err);
    if (status == ESP_OK)
        status = hash_file(publication->path, info.size, &checksum, &err);
    if (status == ESP_OK) {
        struct esp_publication what = {
            .path = publication->path,
            .id = {.number = info.number},
            .boundary_us = info.boundary_us,
            .created_us = run_wall_us(),
            .size = info.size,
            .checksum = checksum,
            .manifest_json = info.manifest_json,
            .inputs = publication->inputs,
            .n_inputs = publication->n_inputs,
            .rewinds = publication->crossing.rewinds.items,
            .n_rewinds = publication->crossing.rewinds.n,
        };
        snprintf(what.id.run, sizeof what.id.run, "%s", info.run);
        snprintf(what.id.model, sizeof what.id.model, "%s", info.model);
        status = publish_or_retry(publishing, &what, &result, &err);
    }
    note_result(publishing, publication, status, result, &err);
    esp_snapshot_info_release(&info);
    return status != ESP_OK || result != ESP_PUBLISH_STOPPED;
}

/* ---- what waits ------------------------------------------------------------------------------ */

static void forget(struct publication *publication)
{
    unlink(publication->path);
    free_publication(publication);
}

/* Takes what the queue holds; waits for one only if nothing waits here. False: there is no more. */
static bool gather(struct publishing *publishing)
{
    run_waits(publishing->run, RUN_PUBLISHING);
    while (publishing->n_waiting < MOST_GATHERED) {
        struct publication *next = publishing->n_waiting == 0
                                       ? esp_queue_pop(publishing->queue)
                                       : esp_queue_pop_within(publishing->queue, 0);
        if (next == NULL)
            break;
        publishing->waiting[publishing->n_waiting++] = next;
    }
    return publishing->n_waiting > 0;
}

static size_t count_newer(const struct publishing *publishing, size_t i)
{
    size_t n = 0;
    for (size_t k = i + 1; k < publishing->n_waiting; k++)
        n += publishing->waiting[k]->model == publishing->waiting[i]->model;
    return n;
}

/* Drops what would be retired as soon as what waits behind it is published: a run that goes through
 * history takes snapshots faster than anybody needs them. */
static void drop_outdated(struct publishing *publishing)
{
    struct run *run = publishing->run;
    size_t keep = (size_t)run->config->options.snapshot_keep, n_kept = 0;
    for (size_t i = 0; i < publishing->n_waiting; i++) {
        struct publication *publication = publishing->waiting[i];
        if (count_newer(publishing, i) < keep) {
            publishing->waiting[n_kept++] = publication;
            continue;
        }
        pthread_mutex_lock(&run->lock);
        run->learn.snapshots[publication->model].n_outdated++;
        pthread_mutex_unlock(&run->lock);
        forget(publication);
    }
    publishing->n_waiting = n_kept;
}

/* The oldest that waits, no longer waiting; NULL: none does. */
static struct publication *take_oldest(struct publishing *publishing)
{
    if (publishing->n_waiting == 0)
        return NULL;
    struct publication *oldest = publishing->waiting[0];
    publishing->n_waiting--;
    memmove(publishing->waiting, publishing->waiting + 1,
            publishing->n_waiting * sizeof *publishing->waiting);
    return oldest;
}

/* Whether the broker has still to acknowledge what was written before the oldest. *why: it never
 * will, as the thread that wrote it says, too. */
static bool waits_for_outputs(const struct publishing *publishing, struct esp_error *why)
{
    if (publishing->n_waiting == 0)
        return false;
    const struct publication *oldest = publishing->waiting[0];
    bool done = false;
    return fences_settled(&oldest->crossing.fences, &done, why) == ESP_OK && !done;
}

/* Newer ones may come meanwhile, and make the oldest outdated. */
static void wait_for_outputs(struct publishing *publishing)
{
    const struct timespec pause = {.tv_nsec = (long)(look_every_us * 1000)};
    int64_t now_us = run_clock_us();
    if (publishing->waits_since_us == 0)
        publishing->waits_since_us = now_us;
    if (now_us - publishing->waits_since_us >= retry_every_us)
        say_not_yet(publishing, "the broker has not acknowledged all that was written before");
    nanosleep(&pause, NULL);
}

static void *publishing_main(void *context)
{
    struct publishing *publishing = context;
    while (gather(publishing)) {
        struct esp_error why = {0};
        run_beat(publishing->run, RUN_PUBLISHING);
        drop_outdated(publishing);
        bool gives_up = has_lost_patience(publishing);
        if (!gives_up && waits_for_outputs(publishing, &why)) {
            wait_for_outputs(publishing);
            continue;
        }
        publishing->waits_since_us = 0;
        struct publication *oldest = take_oldest(publishing);
        if (oldest == NULL)
            continue;
        bool is_done = false;
        if (gives_up || why.status != ESP_OK)
            give_up(publishing, oldest, &why);
        else
            is_done = publish_one(publishing, oldest);
        if (is_done || !publishing->run->config->has_checkpoints)
            forget(oldest);
        else
            free_publication(oldest); /* its second name stays for the run that goes on */
    }
    pulse_leave(&publishing->run->pulses[RUN_PUBLISHING]);
    return NULL;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static enum esp_status find_place(struct publishing *publishing, struct esp_error *err)
{
    const struct config *config = publishing->run->config;
    const char *root = config->options.files_root, *topic = config->options.snapshot_topic;
    int n = root == NULL ? asprintf(&publishing->place, "%s", topic)
                         : asprintf(&publishing->place, "%s/%s", root, topic);
    if (n < 0) {
        publishing->place = NULL;
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    }
    if (root != NULL)
        return ESP_OK;
    enum esp_status status = inputs_open_log(config, report_log_event, NULL, &publishing->log, err);
    if (status == ESP_OK) /* or a full queue would hold the thread for ever */
        esp_log_set_stop(publishing->log, time_left, publishing);
    return status;
}

/* ---- what a run before has left -------------------------------------------------------------- */

/* Removes second names but those of what waits here: their files are taken again, or were those of
 * another run. */
static void remove_others(const struct publishing *publishing)
{
    static const char ending[] = ".safetensors" SNAPSHOTS_TO_PUBLISH;
    const char *path = publishing->snapshots->folder;
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        size_t n = strlen(name), i = 0;
        if (n < sizeof ending || strcmp(name + n - (sizeof ending - 1), ending) != 0)
            continue;
        while (i < publishing->n_waiting &&
               strcmp(publishing->waiting[i]->path + strlen(path) + 1, name) != 0)
            i++;
        if (i == publishing->n_waiting)
            unlinkat(dirfd(folder), name, 0);
    }
    if (folder != NULL)
        closedir(folder);
}

/* What is neither counted nor left was dealt with after the checkpoint was begun. */
static void count_the_rest(const struct publishing *publishing)
{
    struct run *run = publishing->run;
    pthread_mutex_lock(&run->lock);
    for (size_t m = 0; m < run->config->n_models; m++) {
        struct snapshot_status *counts = &run->learn.snapshots[m];
        uint64_t n_known = counts->n_published + counts->n_outdated + counts->n_refused;
        for (size_t i = 0; i < publishing->n_waiting; i++)
            n_known += publishing->waiting[i]->model == m;
        if (publishing->snapshots->models[m].n_taken > n_known)
            counts->n_published += publishing->snapshots->models[m].n_taken - n_known;
    }
    pthread_mutex_unlock(&run->lock);
}

/* What the checkpoint says was handed over, and has its second name still, waits again. */
static enum esp_status take_up(struct publishing *publishing, struct esp_error *err)
{
    for (size_t i = 0; i < publishing->n_handed; i++) {
        const struct handed *handed = &publishing->handed[i];
        struct publication *publication =
            new_publication(publishing, handed->model, handed->number);
        if (publication == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory");
        bool is_left = access(publication->path, F_OK) == 0;
        enum esp_status status =
            is_left ? rewinds_copy(&handed->rewinds, &publication->crossing.rewinds, err) : ESP_OK;
        if (is_left && status == ESP_OK)
            publishing->waiting[publishing->n_waiting++] = publication;
        else
            free_publication(publication);
        if (status != ESP_OK)
            return status;
    }
    remove_others(publishing);
    count_the_rest(publishing);
    return ESP_OK;
}

void publishing_init(struct publishing *publishing, struct run *run, struct snapshots *snapshots,
                     const struct outputs *outputs)
{
    *publishing = (struct publishing){.run = run, .snapshots = snapshots, .outputs = outputs};
}

enum esp_status publishing_start(struct publishing *publishing, struct esp_error *err)
{
    if (publishing->run->config->options.snapshot_every_us == 0)
        return ESP_OK;
    enum esp_status status = find_place(publishing, err);
    if (status == ESP_OK && publishing->log == NULL)
        status = open_publisher(publishing, err);
    if (status == ESP_OK)
        status = esp_queue_new(MOST_QUEUED, &publishing->queue, err);
    if (status == ESP_OK)
        status = take_up(publishing, err);
    if (status != ESP_OK)
        return status;
    if (pthread_create(&publishing->thread, NULL, publishing_main, publishing) != 0)
        return esp_fail(err, ESP_ENOMEM, "a thread that publishes snapshots cannot be started");
    publishing->is_running = true;
    publishing->snapshots->taker = publishing_take;
    publishing->snapshots->taker_context = publishing;
    return ESP_OK;
}

/* A copy where the file system has no links. */
static enum esp_status give_second_name(const char *path, const char *second, struct esp_error *err)
{
    return link(path, second) == 0 ? ESP_OK : esp_atomic_file_copy(path, second, false, err);
}

/* Notes what is handed over; one that was so long before that it cannot wait any more is forgotten.
 */
static enum esp_status note_handed(struct publishing *publishing,
                                   const struct publication *publication, struct esp_error *err)
{
    struct handed *handed = publishing->handed;
    struct handed new = {.model = publication->model, .number = publication->number};
    enum esp_status status = rewinds_copy(&publication->crossing.rewinds, &new.rewinds, err);
    if (status != ESP_OK)
        return status;
    if (publishing->n_handed == MOST_HANDED) {
        rewinds_release(&handed[0].rewinds);
        memmove(handed, handed + 1, --publishing->n_handed * sizeof *handed);
    }
    handed[publishing->n_handed++] = new;
    return ESP_OK;
}

enum esp_status publishing_take(void *context, size_t model, int64_t number, const char *path,
                                struct esp_error *err)
{
    struct publishing *publishing = context;
    struct run *run = publishing->run;
    struct publication *publication = new_publication(publishing, model, number);
    if (publication == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    note_inputs(publication, run);
    enum esp_status status =
        crossings_find(&run->crossings, number * run->config->options.snapshot_every_us,
                       &publication->crossing, err);
    if (status == ESP_OK && publishing->log != NULL && publishing->outputs != NULL)
        status = outputs_fence(publishing->outputs, &publication->crossing.fences, err);
    if (status == ESP_OK)
        status = give_second_name(path, publication->path, err);
    if (status == ESP_OK)
        status = note_handed(publishing, publication, err);
    if (status != ESP_OK) {
        free_publication(publication);
        return status;
    }
    run_waits(run, RUN_LEARNING);
    esp_queue_push(publishing->queue, publication);
    run_beat(run, RUN_LEARNING);
    return ESP_OK;
}

void publishing_wait(struct publishing *publishing, void (*meanwhile)(void *context), void *context)
{
    if (!publishing->is_running)
        return;
    esp_queue_close(publishing->queue);
    /* Not pthread_clockjoin_np(), which ThreadSanitizer does not know for a join. */
    struct timespec pause = {.tv_nsec = (long)(look_every_us * 1000)};
    while (pthread_tryjoin_np(publishing->thread, NULL) != 0) {
        meanwhile(context);
        nanosleep(&pause, NULL);
    }
    publishing->is_running = false;
}

void publishing_end(struct publishing *publishing)
{
    if (publishing->is_running) {
        esp_queue_close(publishing->queue);
        pthread_join(publishing->thread, NULL);
    }
    if (publishing->snapshots != NULL)
        publishing->snapshots->taker = NULL;
    for (size_t i = 0; i < publishing->n_waiting; i++) /* the thread never ran */
        free_publication(publishing->waiting[i]);
    for (size_t i = 0; i < publishing->n_handed; i++)
        rewinds_release(&publishing->handed[i].rewinds);
    esp_publisher_free(publishing->publisher);
    esp_queue_free(publishing->queue);
    esp_log_free(publishing->log);
    free(publishing->place);
    *publishing = (struct publishing){.run = NULL};
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static void archive_handed(struct esp_archive *archive, const struct publishing *publishing,
                           struct handed *handed)
{
    const struct config *config = publishing->run->config;
    esp_archive_size(archive, &handed->model);
    esp_archive_i64(archive, &handed->number);
    esp_archive_check(archive,
                      handed->model < config->n_models && handed->number > INT64_MIN / 2 &&
                          handed->number < INT64_MAX / 2,
                      "a snapshot that was handed over");
    rewinds_archive(archive, &handed->rewinds, config);
}

void publishing_archive(struct esp_archive *archive, struct publishing *publishing)
{
    const struct config *config = publishing->run->config;
    size_t n = publishing->n_handed;
    esp_archive_mark(archive, "publishing", 1);
    for (size_t m = 0; m < config->n_models; m++) {
        struct snapshot_status *counts = &publishing->run->learn.snapshots[m];
        esp_archive_u64(archive, &counts->n_published);
        esp_archive_u64(archive, &counts->n_outdated);
        esp_archive_u64(archive, &counts->n_refused);
    }
    esp_archive_count(archive, &n, 3 * sizeof(uint64_t));
    esp_archive_check(archive, n <= MOST_HANDED, "the number of snapshots that were handed over");
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        if (esp_archive_reads(archive))
            publishing->handed[publishing->n_handed++] = (struct handed){0};
        archive_handed(archive, publishing, &publishing->handed[i]);
    }
}
