/* trainer.c - see trainer.h. */
#include "cmd/trainer.h"

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

static enum esp_status new_learners(struct trainer *trainer, struct esp_error *err)
{
    const struct config *config = trainer->run->config;
    trainer->learners = calloc(config->n_models, sizeof *trainer->learners);
    if (trainer->learners == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    for (size_t i = 0; i < config->n_models; i++) {
        struct esp_learner_config learner = config_learner(config, i);
        enum esp_status status =
            esp_learner_new(&learner, trainer->pool, &trainer->learners[i], err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

enum esp_status trainer_init(struct trainer *trainer, struct run *run, struct outputs *outputs,
                             struct esp_queue *full, struct esp_queue *empty, struct esp_error *err)
{
    const struct config *config = run->config;
    *trainer = (struct trainer){.run = run, .outputs = outputs, .full = full, .empty = empty};
    esp_feature_batch_init(&trainer->rows, config->n_features);
    trainer->values = calloc(config->n_feature_paths, sizeof *trainer->values);
    if (trainer->values == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    enum esp_status status = ESP_OK;
    size_t n_threads = compute_threads(config);
    if (n_threads > 1)
        status = esp_pool_new(n_threads, &trainer->pool, err);
    if (status == ESP_OK)
        status = esp_features_new(config->features, config->n_features, &trainer->features, err);
    return status == ESP_OK ? new_learners(trainer, err) : status;
}

void trainer_release(struct trainer *trainer)
{
    if (trainer->run == NULL)
        return;
    for (size_t i = 0; trainer->learners != NULL && i < trainer->run->config->n_models; i++)
        esp_learner_free(trainer->learners[i]);
    free(trainer->learners);
    esp_features_free(trainer->features);
    esp_pool_free(trainer->pool);
    esp_feature_batch_release(&trainer->rows);
    esp_value_scratch_release(&trainer->scratch);
    free(trainer->values);
    *trainer = (struct trainer){0};
}

bool trainer_needs_whole(const struct trainer *trainer)
{
    for (size_t i = 0; i < trainer->run->config->n_models; i++) {
        if (esp_learner_needs_whole(trainer->learners[i]))
            return true;
    }
    return false;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void publish(struct trainer *trainer)
{
    struct run *run = trainer->run;
    pthread_mutex_lock(&run->lock);
    for (size_t i = 0; i < run->config->n_models; i++)
        esp_learner_report(trainer->learners[i], &run->learn.models[i]);
    run->learn.examples = trainer->status.examples;
    run->learn.examples_written = trainer->status.examples_written;
    pthread_mutex_unlock(&run->lock);
}

/* The numbers of an impression enter the statistics once: when it is first learned from. */
static bool is_first_sight(const struct esp_example *example)
{
    return example->stage == ESP_STAGE_CLICK && !example->holdout;
}

static enum esp_status make_features(struct trainer *trainer, const struct esp_example_batch *batch,
                                     struct esp_error *err)
{
    esp_feature_batch_reset(&trainer->rows);
    for (size_t i = 0; i < batch->n; i++) {
        const struct esp_example *example = &batch->examples[i];
        enum esp_status status = esp_writer_features(example->writer, example->payload,
                                                     trainer->values, &trainer->scratch, err);
        if (status == ESP_OK)
            status = esp_features_add_row(trainer->features, trainer->values,
                                          is_first_sight(example), &trainer->rows, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

static enum esp_status write_examples(struct trainer *trainer,
                                      const struct esp_example_batch *batch, struct esp_error *err)
{
    if (!trainer->run->config->options.write_examples)
        return ESP_OK;
    for (size_t i = 0; i < batch->n; i++) {
        enum esp_status status = outputs_write_example(trainer->outputs, &batch->examples[i], err);
        if (status != ESP_OK)
            return status;
    }
    trainer->status.examples_written += batch->n;
    return ESP_OK;
}

static enum esp_status learn(struct trainer *trainer, const struct esp_example_batch *batch,
                             struct esp_error *err)
{
    enum esp_status status = make_features(trainer, batch, err);
    for (size_t i = 0; status == ESP_OK && i < trainer->run->config->n_models; i++)
        status =
            esp_learner_take(trainer->learners[i], batch->examples, batch->n, &trainer->rows, err);
    trainer->status.examples += batch->n;
    return status == ESP_OK ? write_examples(trainer, batch, err) : status;
}

static enum esp_status learn_all(struct trainer *trainer, struct esp_error *err)
{
    struct esp_example_batch *batch;
    while ((batch = esp_queue_pop(trainer->full)) != NULL) {
        enum esp_status status = learn(trainer, batch, err);
        esp_example_batch_reset(batch);
        esp_queue_push(trainer->empty, batch);
        if (status != ESP_OK)
            return status;
        int64_t now_us = run_clock_us();
        if (now_us - trainer->published_us >= publish_every_us) {
            publish(trainer);
            trainer->published_us = now_us;
        }
    }
    return ESP_OK;
}

static enum esp_status finish(struct trainer *trainer, struct esp_error *err)
{
    for (size_t i = 0; i < trainer->run->config->n_models; i++) {
        enum esp_status status = esp_learner_flush(trainer->learners[i], err);
        if (status != ESP_OK)
            return status;
    }
    return outputs_flush(trainer->outputs, err);
}

void *trainer_main(void *context)
{
    struct trainer *trainer = context;
    struct esp_error err = {0};
    enum esp_status status = learn_all(trainer, &err);
    if (status == ESP_OK)
        status = finish(trainer, &err);
    publish(trainer);
    if (status != ESP_OK) {
        run_fail(trainer->run, &err);
        esp_queue_close(trainer->full); /* whoever waits to hand over must not wait for ever */
    }
    esp_queue_close(trainer->empty);
    run_thread_ended(trainer->run);
    return NULL;
}
