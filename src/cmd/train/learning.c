/* learning.c - see learning.h. */
#include "cmd/train/learning.h"

#include <stdlib.h>
#include <unistd.h>

static const int64_t publish_every_us = 200 * ESP_MS;

/* ---- set-up ---------------------------------------------------------------------------------- */

static size_t compute_threads(const struct config *config)
{
    if (config->options.threads > 0)
        return (size_t)config->options.threads;
    long n_cores = sysconf(_SC_NPROCESSORS_ONLN);
    return n_cores > 2 ? (size_t)n_cores - 1 : 1;
}

static enum esp_status new_learners(struct learning *learning, struct esp_error *err)
{
    const struct config *config = learning->run->config;
    learning->learners = calloc(config->n_models, sizeof *learning->learners);
    if (learning->learners == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    for (size_t i = 0; i < config->n_models; i++) {
        struct esp_learner_config learner = config_learner(config, i);
        if (config->has_drift) {
            learner.window_done = measuring_window_done;
            learner.window_context = &learning->measuring.models[i];
        }
        enum esp_status status =
            esp_learner_new(&learner, learning->pool, &learning->learners[i], err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

enum esp_status learning_init(struct learning *learning, struct run *run, struct outputs *outputs,
                              struct esp_queue *full, struct esp_queue *empty,
                              struct esp_error *err)
{
    const struct config *config = run->config;
    *learning = (struct learning){.run = run, .outputs = outputs, .full = full, .empty = empty};
    esp_feature_batch_init(&learning->rows, config->n_features);
    learning->values = calloc(config->n_feature_paths, sizeof *learning->values);
    if (learning->values == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    enum esp_status status = ESP_OK;
    size_t n_threads = compute_threads(config);
    if (n_threads > 1)
        status = esp_pool_new(n_threads, &learning->pool, err);
    if (status == ESP_OK)
        status = snapshots_init(&learning->snapshots, config, err);
    if (status == ESP_OK)
        status = measuring_init(&learning->measuring, config, outputs, &learning->snapshots,
                                learning->pool, err);
    if (status == ESP_OK)
        status = esp_features_new(config->features, config->n_features, &learning->features, err);
    return status == ESP_OK ? new_learners(learning, err) : status;
}

void learning_release(struct learning *learning)
{
    if (learning->run == NULL)
        return;
    for (size_t i = 0; learning->learners != NULL && i < learning->run->config->n_models; i++)
        esp_learner_free(learning->learners[i]);
    free(learning->learners);
    measuring_release(&learning->measuring);
    snapshots_release(&learning->snapshots);
    esp_features_free(learning->features);
    esp_pool_free(learning->pool);
    esp_feature_batch_release(&learning->rows);
    esp_value_scratch_release(&learning->scratch);
    free(learning->values);
    *learning = (struct learning){0};
}

bool learning_needs_whole(const struct learning *learning)
{
    for (size_t i = 0; i < learning->run->config->n_models; i++) {
        if (esp_learner_needs_whole(learning->learners[i]))
            return true;
    }
    return false;
}

void learning_archive(struct esp_archive *archive, struct learning *learning)
{
    esp_archive_mark(archive, "learning", 1);
    esp_archive_u64(archive, &learning->status.examples);
    esp_archive_u64(archive, &learning->status.examples_written);
    esp_archive_bool(archive, &learning->is_over);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void publish(struct learning *learning)
{
    struct run *run = learning->run;
    pthread_mutex_lock(&run->lock);
    for (size_t i = 0; i < run->config->n_models; i++) {
        esp_learner_report(learning->learners[i], &run->learn.models[i]);
        snapshots_report(&learning->snapshots, i, &run->learn.snapshots[i]);
    }
    if (learning->measuring.drift != NULL)
        esp_drift_usage(learning->measuring.drift, &run->learn.drift);
    run->learn.drift_records = learning->measuring.n_records;
    run->learn.examples = learning->status.examples;
    run->learn.examples_written = learning->status.examples_written;
    pthread_mutex_unlock(&run->lock);
}

/* The numbers of an impression enter the statistics once: when it is first learned from. */
static bool is_first_sight(const struct esp_example *example)
{
    return example->stage == ESP_STAGE_CLICK && !example->holdout;
}

/* Features of examples [first, first + n) of the batch; the holdout's go to drift on the way, for
 * their values live no longer. */
static enum esp_status make_features(struct learning *learning,
                                     const struct esp_example_batch *batch, size_t first, size_t n,
                                     struct esp_error *err)
{
    esp_feature_batch_reset(&learning->rows);
    for (size_t i = first; i < first + n; i++) {
        const struct esp_example *example = &batch->examples[i];
        enum esp_status status = esp_writer_features(example->writer, example->payload,
                                                     learning->values, &learning->scratch, err);
        if (status == ESP_OK)
            status = measuring_take(&learning->measuring, example, learning->values, err);
        if (status == ESP_OK)
            status = esp_features_add_row(learning->features, learning->values,
                                          is_first_sight(example), &learning->rows, err);
        if (status == ESP_OK)
            status = snapshots_note_writer(&learning->snapshots, example->writer, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

static enum esp_status write_examples(struct learning *learning,
                                      const struct esp_example_batch *batch, size_t first, size_t n,
                                      struct esp_error *err)
{
    if (!learning->run->config->options.write_examples)
        return ESP_OK;
    for (size_t i = first; i < first + n; i++) {
        enum esp_status status = outputs_write_example(learning->outputs, &batch->examples[i], err);
        if (status != ESP_OK)
            return status;
    }
    learning->status.examples_written += n;
    return ESP_OK;
}

/* Learns and writes examples [first, first + n) of the batch, between which no boundary is. */
static enum esp_status learn_part(struct learning *learning, const struct esp_example_batch *batch,
                                  size_t first, size_t n, struct esp_error *err)
{
    if (n == 0)
        return ESP_OK;
    enum esp_status status = make_features(learning, batch, first, n, err);
    for (size_t i = 0; status == ESP_OK && i < learning->run->config->n_models; i++) {
        status = esp_learner_take(learning->learners[i], batch->examples + first, n,
                                  &learning->rows, err);
        run_beat(learning->run, RUN_LEARNING);
    }
    if (status == ESP_OK)
        status = measuring_check(&learning->measuring, err);
    return status == ESP_OK ? write_examples(learning, batch, first, n, err) : status;
}

static enum esp_status close_batches(struct learning *learning, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < learning->run->config->n_models; i++)
        status = esp_learner_flush(learning->learners[i], err);
    return status;
}

/* A boundary closes the batches; then everything due before it is learned and written, and nothing
 * else. */
static enum esp_status cross_boundary(struct learning *learning, int64_t due_us,
                                      struct esp_error *err)
{
    enum esp_status status = close_batches(learning, err);
    if (status == ESP_OK)
        status = snapshots_take(&learning->snapshots, learning->learners, learning->features,
                                due_us, err);
    if (status == ESP_OK && learning->measuring.drift != NULL)
        snapshots_forget(&learning->snapshots, esp_drift_first_window(learning->measuring.drift));
    else if (status == ESP_OK)
        snapshots_forget(&learning->snapshots, INT64_MAX);
    return status;
}

static enum esp_status learn(struct learning *learning, const struct esp_example_batch *batch,
                             struct esp_error *err)
{
    size_t first = 0;
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < batch->n; i++) {
        if (!snapshots_due(&learning->snapshots, batch->examples[i].due_us))
            continue;
        status = learn_part(learning, batch, first, i - first, err);
        if (status == ESP_OK)
            status = cross_boundary(learning, batch->examples[i].due_us, err);
        first = i;
    }
    if (status == ESP_OK)
        status = learn_part(learning, batch, first, batch->n - first, err);
    learning->status.examples += batch->n;
    return status;
}

/* The next batch, or NULL at the end. In a lull what was learned last is published. */
static struct esp_example_batch *next_batch(struct learning *learning)
{
    struct barrier *barrier = &learning->run->barrier;
    run_waits(learning->run, RUN_LEARNING);
    void *batch;
    do {
        batch = esp_queue_pop_within(learning->full, publish_every_us);
        if (batch == NULL) {
            publish(learning);
            batch = esp_queue_pop(learning->full);
        }
        if (batch == barrier_mark(barrier))
            barrier_stand(barrier);
    } while (batch == barrier_mark(barrier));
    run_beat(learning->run, RUN_LEARNING);
    return batch;
}

static enum esp_status learn_all(struct learning *learning, struct esp_error *err)
{
    struct esp_example_batch *batch;
    while ((batch = next_batch(learning)) != NULL) {
        enum esp_status status = learn(learning, batch, err);
        esp_example_batch_reset(batch);
        esp_queue_push(learning->empty, batch);
        if (status != ESP_OK)
            return status;
        int64_t now_us = run_clock_us();
        if (now_us - learning->published_us >= publish_every_us) {
            publish(learning);
            learning->published_us = now_us;
        }
    }
    return ESP_OK;
}

/*
 * True if every label that there will ever be was learned. Where there will be more, a half-full
 * batch is not closed: a later run goes on filling it, as this one would have.
 */
static bool time_has_ended(struct learning *learning)
{
    struct run *run = learning->run;
    pthread_mutex_lock(&run->lock);
    bool ended = run->ingest.is_over && run->failure.status == ESP_OK;
    pthread_mutex_unlock(&run->lock);
    return ended;
}

static enum esp_status finish(struct learning *learning, struct esp_error *err)
{
    if (learning->is_over)
        return ESP_OK;
    bool ended = time_has_ended(learning), goes_on = learning->run->config->has_checkpoints;
    enum esp_status status = ended || !goes_on ? close_batches(learning, err)
                                               : measuring_settle(&learning->measuring, err);
    if (status != ESP_OK || !ended)
        return status;
    for (size_t i = 0; i < learning->run->config->n_models; i++)
        esp_learner_end(learning->learners[i]);
    status = measuring_finish(&learning->measuring, err);
    if (status == ESP_OK)
        status =
            snapshots_finish(&learning->snapshots, learning->learners, learning->features, err);
    if (status == ESP_OK)
        status = measuring_check(&learning->measuring, err);
    learning->is_over = status == ESP_OK;
    return status;
}

void *learning_main(void *context)
{
    struct learning *learning = context;
    struct esp_error err = {0};
    enum esp_status status = learn_all(learning, &err);
    if (status == ESP_OK)
        status = finish(learning, &err);
    struct esp_error lost = {0};
    outputs_flush(learning->outputs, &lost);
    publish(learning);
    if (status != ESP_OK)
        run_fail(learning->run, &err);
    if (lost.status != ESP_OK)
        run_fail(learning->run, &lost);
    if (status != ESP_OK || lost.status != ESP_OK)
        esp_queue_close(learning->full); /* whoever waits to hand over must not wait for ever */
    esp_queue_close(learning->empty);
    barrier_leave(&learning->run->barrier);
    pulse_leave(&learning->run->pulses[RUN_LEARNING]);
    run_thread_ended(learning->run);
    return NULL;
}
