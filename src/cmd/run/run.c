/* run.c - see run.h. */
#include "cmd/run/run.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/run/stop.h"
#include "core/logger.h"
#include "core/timespan.h"

enum esp_status run_init(struct run *run, const struct config *config, struct esp_error *err)
{
    *run = (struct run){.config = config};
    run->ingest.watermark_us = ESP_TIME_NONE;
    atomic_init(&run->stop, false);
    pulse_init(&run->pulses[RUN_INGEST], "ingest");
    pulse_init(&run->pulses[RUN_LEARNING], "learning");
    pulse_init(&run->pulses[RUN_PUBLISHING], "publishing");
    barrier_init(&run->barrier);
    crossings_init(&run->crossings, config);
    pthread_mutex_init(&run->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&run->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    run->learn.models = calloc(config->n_models, sizeof *run->learn.models);
    run->learn.snapshots = calloc(config->n_models, sizeof *run->learn.snapshots);
    if (run->learn.models == NULL || run->learn.snapshots == NULL) {
        run_release(run);
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu models", config->n_models);
    }
    return ESP_OK;
}

void run_release(struct run *run)
{
    if (run->config == NULL)
        return;
    crossings_release(&run->crossings);
    free(run->positions.items);
    free(run->learn.models);
    free(run->learn.snapshots);
    pthread_cond_destroy(&run->ended);
    pthread_mutex_destroy(&run->lock);
    barrier_release(&run->barrier);
    run->config = NULL;
}

void run_fail(struct run *run, const struct esp_error *err)
{
    pthread_mutex_lock(&run->lock);
    bool is_first = run->failure.status == ESP_OK;
    if (is_first)
        run->failure = *err;
    pthread_mutex_unlock(&run->lock);
    if (!is_first)
        esp_log_error(err);
    stop_begin();
    atomic_store(&run->stop, true);
}

void run_threads_start(struct run *run, int n)
{
    pthread_mutex_lock(&run->lock);
    run->n_running = n;
    pthread_mutex_unlock(&run->lock);
}

void run_thread_ended(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    run->n_running--;
    pthread_cond_broadcast(&run->ended);
    pthread_mutex_unlock(&run->lock);
}

bool run_wait(struct run *run, int64_t timeout_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_us / ESP_SECOND;
    until.tv_nsec += timeout_us % ESP_SECOND * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&run->lock);
    int failed = 0;
    while (run->n_running > 0 && failed == 0)
        failed = pthread_cond_timedwait(&run->ended, &run->lock, &until);
    bool ended = run->n_running == 0;
    pthread_mutex_unlock(&run->lock);
    return ended;
}

enum esp_status run_look(struct run *run, struct run_view *out, struct esp_error *err)
{
    size_t n_models = run->config->n_models;
    struct esp_learner_report *models = calloc(n_models, sizeof *models);
    struct snapshot_status *snapshots = calloc(n_models, sizeof *snapshots);
    *out = (struct run_view){.models = models, .snapshots = snapshots};
    if (models == NULL || snapshots == NULL) {
        run_view_release(out);
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu models", n_models);
    }
    pthread_mutex_lock(&run->lock);
    out->ingest = run->ingest;
    out->examples = run->learn.examples;
    out->examples_written = run->learn.examples_written;
    out->drift = run->learn.drift;
    out->drift_records = run->learn.drift_records;
    out->checkpoints = run->checkpoints;
    memcpy(models, run->learn.models, n_models * sizeof *models);
    memcpy(snapshots, run->learn.snapshots, n_models * sizeof *snapshots);
    out->has_ended = run->ingest.is_ready && run->n_running == 0;
    pthread_mutex_unlock(&run->lock);
    return ESP_OK;
}

void run_view_release(struct run_view *view)
{
    free(view->models);
    free(view->snapshots);
    *view = (struct run_view){0};
}

void run_beat(struct run *run, enum run_thread thread)
{
    pulse_beat(&run->pulses[thread], run_clock_us());
}

void run_waits(struct run *run, enum run_thread thread)
{
    pulse_wait(&run->pulses[thread]);
}

int64_t run_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * ESP_SECOND + now.tv_nsec / 1000;
}

int64_t run_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * ESP_SECOND + now.tv_nsec / 1000;
}
