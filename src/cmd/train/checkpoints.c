/* checkpoints.c - see checkpoints.h. */
#include "cmd/train/checkpoints.h"

#include <cblas.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/train/train.h"
#include "cmd/train/train_state.h"
#include "core/logger.h"

enum { LOOK_EVERY_MS = 1000 }; /* at one that is waited for */
static const int64_t say_every_us = ESP_MINUTE;
/* Of the time that training stands still for checkpoints: at most so much. */
static const int64_t most_pause_share = 20;
/* A child whose file does not grow for so long hangs. */
static const int64_t patience_us = 5 * ESP_MINUTE;

/* ---- set-up ---------------------------------------------------------------------------------- */

enum esp_status checkpoints_init(struct checkpoints *checkpoints, struct train *train,
                                 uint64_t next, struct esp_error *err)
{
    *checkpoints = (struct checkpoints){
        .train = train,
        .next = next,
        .begun_us = run_clock_us(),
        .begun_watermark_us = ESP_TIME_NONE,
        .boundary = INT64_MIN,
    };
    checkpoints->status.watermark_us = ESP_TIME_NONE;
    return esp_checkpoint_fork_new(train->folder, &checkpoints->fork, err);
}

void checkpoints_release(struct checkpoints *checkpoints)
{
    esp_checkpoint_fork_free(checkpoints->fork);
    *checkpoints = (struct checkpoints){0};
}

static void publish(const struct checkpoints *checkpoints)
{
    struct run *run = &checkpoints->train->run;
    pthread_mutex_lock(&run->lock);
    run->checkpoints = checkpoints->status;
    pthread_mutex_unlock(&run->lock);
}

/* A failure is no reason to stop: the checkpoint before is still good. */
static void note_failure(struct checkpoints *checkpoints, const struct esp_error *why)
{
    int64_t now_us = run_clock_us();
    checkpoints->status.n_failed++;
    publish(checkpoints);
    if (checkpoints->said_us != 0 && now_us - checkpoints->said_us < say_every_us)
        return;
    checkpoints->said_us = now_us;
    esp_log(ESP_WARN,
            "a checkpoint could not be written; training goes on, and the one before stays", "why",
            why->text, NULL);
}

/* ---- when ------------------------------------------------------------------------------------ */

static int64_t boundary_of(const struct checkpoints *checkpoints, int64_t watermark_us)
{
    int64_t every_us = checkpoints->train->config.options.state_event_every_us;
    if (every_us == 0 || watermark_us == ESP_TIME_NONE || watermark_us == ESP_TIME_END)
        return INT64_MIN;
    return watermark_us / every_us - (watermark_us % every_us < 0);
}

bool checkpoints_due(const struct checkpoints *checkpoints, int64_t now_us, int64_t watermark_us,
                     uint64_t n_read)
{
    bool is_same = n_read == checkpoints->n_read && watermark_us == checkpoints->begun_watermark_us;
    if (checkpoints->fork == NULL || is_same || checkpoints->status.is_writing)
        return false;
    int64_t since_us = now_us - checkpoints->begun_us;
    if (since_us >= checkpoints->train->config.options.state_every_us)
        return true;
    return boundary_of(checkpoints, watermark_us) > checkpoints->boundary &&
           since_us >= most_pause_share * checkpoints->status.pause_us;
}

/* ---- one ------------------------------------------------------------------------------------- */

/* The number is used up either way: files may be named by it. */
static void failed(struct checkpoints *checkpoints, const struct esp_error *why)
{
    checkpoints->next++;
    checkpoints->status.is_writing = false;
    checkpoints->n_read = UINT64_MAX; /* it is due again after the usual time */
    note_failure(checkpoints, why);
}

static void prune(struct checkpoints *checkpoints)
{
    const struct train *train = checkpoints->train;
    struct esp_error why = {0};
    if (esp_checkpoint_prune(train->folder, (size_t)train->config.options.state_keep, &why) !=
        ESP_OK)
        esp_log_error(&why);
}

static void committed(struct checkpoints *checkpoints)
{
    struct checkpoint_status *status = &checkpoints->status;
    status->is_writing = false;
    status->n_written++;
    status->number = checkpoints->next++;
    status->bytes = esp_checkpoint_fork_bytes(checkpoints->fork);
    status->written_us = run_wall_us();
    status->watermark_us = checkpoints->begun_watermark_us;
    status->write_us = run_clock_us() - checkpoints->begun_us;
    if (status->write_us > status->most_write_us)
        status->most_write_us = status->write_us;
    prune(checkpoints);
    snapshots_saved(&checkpoints->train->learning.snapshots, checkpoints->first_window);
    join_store_saved(&checkpoints->train->store, checkpoints->train->folder, status->number,
                     checkpoints->train->ingest.joiner);
    publish(checkpoints);
}

static enum esp_status start(struct checkpoints *checkpoints, int64_t watermark_us,
                             struct esp_error *err)
{
    struct train *train = checkpoints->train;
    enum esp_status status = train_state_settle(train, err);
    if (status != ESP_OK)
        return status;
    checkpoints->first_window = train_state_first_window(train);
    const struct esp_checkpoint_head head = {
        .number = checkpoints->next,
        .time_us = watermark_us,
        .created_us = run_wall_us(),
        .build = train->build,
        .run = train->state_text,
    };
    return esp_checkpoint_fork_start(checkpoints->fork, &head, train_state_write, train, err);
}

static void note_pause(struct checkpoint_status *status, int64_t pause_us)
{
    status->pause_us = pause_us;
    status->pause_us_sum += pause_us;
    if (pause_us > status->most_pause_us)
        status->most_pause_us = pause_us;
}

void checkpoints_begin(struct checkpoints *checkpoints, int64_t now_us, int64_t watermark_us,
                       uint64_t n_read)
{
    struct esp_error why = {0};
    checkpoints->begun_us = now_us;
    checkpoints->boundary = boundary_of(checkpoints, watermark_us);
    enum esp_status status = start(checkpoints, watermark_us, &why);
    note_pause(&checkpoints->status, run_clock_us() - now_us);
    if (status != ESP_OK) {
        failed(checkpoints, &why);
        return;
    }
    checkpoints->n_read = n_read;
    checkpoints->begun_watermark_us = watermark_us;
    checkpoints->status.is_writing = true;
}

/* A file that is written gets its name once all that it names outside has arrived. */
static enum esp_status commit_if_settled(struct checkpoints *checkpoints, struct esp_error *err)
{
    bool settled = false;
    enum esp_status status = train_state_settled(checkpoints->train, &settled, err);
    if (status != ESP_OK)
        esp_checkpoint_fork_cancel(checkpoints->fork);
    if (status != ESP_OK || !settled)
        return status;
    status = esp_checkpoint_fork_commit(checkpoints->fork, err);
    if (status == ESP_OK)
        committed(checkpoints);
    return status;
}

void checkpoints_tick(struct checkpoints *checkpoints, int64_t now_us)
{
    static const int64_t look_every_us = 2 * ESP_MS;
    if (!checkpoints->status.is_writing || now_us - checkpoints->looked_us < look_every_us)
        return;
    struct esp_error why = {0};
    checkpoints->looked_us = now_us;
    esp_checkpoint_fork_watch(checkpoints->fork, now_us, patience_us);
    enum esp_checkpoint_progress progress = esp_checkpoint_fork_poll(checkpoints->fork, &why);
    if (progress == ESP_CHECKPOINT_WRITTEN)
        commit_if_settled(checkpoints, &why);
    if (why.status != ESP_OK)
        failed(checkpoints, &why);
}

void checkpoints_leave(struct checkpoints *checkpoints)
{
    if (!checkpoints->status.is_writing)
        return;
    esp_checkpoint_fork_cancel(checkpoints->fork);
    checkpoints->status.is_writing = false;
    checkpoints->next++;
}

static enum esp_status wait_and_commit(struct checkpoints *checkpoints, struct esp_error *err)
{
    enum esp_checkpoint_progress progress = ESP_CHECKPOINT_RUNNING;
    while (progress == ESP_CHECKPOINT_RUNNING) {
        esp_checkpoint_fork_watch(checkpoints->fork, run_clock_us(), patience_us);
        progress = esp_checkpoint_fork_wait(checkpoints->fork, LOOK_EVERY_MS, err);
    }
    if (progress != ESP_CHECKPOINT_WRITTEN)
        return err->status;
    enum esp_status status = commit_if_settled(checkpoints, err);
    if (status == ESP_OK && esp_checkpoint_fork_poll(checkpoints->fork, err) != ESP_CHECKPOINT_IDLE)
        return esp_fail(err, ESP_EBROKER, "what was written before it did not arrive");
    return status;
}

enum esp_status checkpoints_write(struct checkpoints *checkpoints, int64_t watermark_us,
                                  struct esp_error *err)
{
    struct esp_error why = {0};
    if (checkpoints->fork == NULL)
        return ESP_OK;
    checkpoints->begun_us = run_clock_us();
    checkpoints->begun_watermark_us = watermark_us;
    enum esp_status status = start(checkpoints, watermark_us, &why);
    if (status == ESP_OK)
        status = wait_and_commit(checkpoints, &why);
    if (status == ESP_OK)
        return ESP_OK;
    return esp_fail(err, status, "a checkpoint could not be written: %s", why.text);
}
