/*
 * learner_archive.c - a learner in a checkpoint, and going on from a snapshot. See learner.h.
 *
 * A checkpoint holds everything but what the configuration gives and what is made anew from the
 * rest (packed weights, terms of the examples of a batch): a learner that was restored does what
 * the other one would have done.
 *
 * A snapshot holds parameters; beside them stands what esp_learner_rest_archive() writes. What is
 * not there restarts: see esp_learner_resume().
 */
#include "learn/learner_state.h"

static void counters_archive(struct esp_archive *archive, struct esp_learner *learner)
{
    esp_archive_u64(archive, &learner->n_dense_clipped);
    esp_archive_u64(archive, &learner->n_rows_clipped);
    esp_archive_f64(archive, &learner->last_loss);
}

/* Sets the terms of rows that were read; true if the buffer could hold each of them. */
static bool set_terms(const struct esp_setup *setup, struct esp_rows *rows, bool learns)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct esp_row_info *info = &rows->infos[i];
        struct esp_example example = {.stage = info->stage, .y = info->y, .holdout = info->holdout};
        bool has_features = info->feature_row != ESP_NO_FEATURES;
        info->terms = esp_learner_terms(setup, &example);
        if ((info->terms != 0) != learns || !esp_progress_is_time(info->impression_us) ||
            (learns         ? !has_features
             : has_features ? info->stage != ESP_STAGE_CLICK
                            : info->stage != ESP_STAGE_INSTALL))
            return false;
    }
    return true;
}

void esp_learner_archive(struct esp_archive *archive, struct esp_learner *learner)
{
    const struct esp_setup *setup = &learner->setup;
    esp_archive_mark(archive, "learner", 1);
    esp_archive_mark(archive, setup->name, 1);
    esp_archive_same(archive, learner->n_features, "the number of features");
    esp_trainer_archive(archive, &learner->trainer);
    esp_progress_archive(archive, &learner->progress);
    esp_rows_archive(archive, &learner->learning);
    esp_rows_archive(archive, &learner->scoring);
    counters_archive(archive, learner);
    if (esp_archive_reads(archive) && esp_archive_is_ok(archive))
        esp_archive_check(archive,
                          set_terms(setup, &learner->learning, true) &&
                              set_terms(setup, &learner->scoring, false),
                          "an example of a batch");
}

void esp_learner_rest_archive(struct esp_archive *archive, struct esp_learner *learner)
{
    esp_archive_mark(archive, "learner's rest", 1);
    esp_trainer_rest_archive(archive, &learner->trainer);
    counters_archive(archive, learner);
}

enum esp_status esp_learner_resume(struct esp_learner *learner,
                                   const struct esp_parameters *parameters, struct esp_bytes rest,
                                   int64_t boundary_us, int64_t counted_from_us,
                                   struct esp_error *err)
{
    enum esp_status status = esp_trainer_take(&learner->trainer, parameters, boundary_us, err);
    if (status != ESP_OK)
        return status;
    learner->progress.whole_from_us = counted_from_us;
    if (rest.size == 0)
        return ESP_OK;
    struct esp_archive archive;
    esp_archive_read_from(&archive, rest);
    esp_learner_rest_archive(&archive, learner);
    return esp_archive_end(&archive, err);
}
