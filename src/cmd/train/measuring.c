/* measuring.c - see measuring.h. */
#include "cmd/train/measuring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "drift/record_sums.h"

static const char production_name[] = "production";

/* ---- records --------------------------------------------------------------------------------- */

static void set_figures(struct esp_drift_record *record, const struct esp_task_report *figures)
{
    record->log_loss = esp_drift_figure_of(&figures->log_loss);
    record->normalised_entropy = esp_drift_figure_of(&figures->normalised_entropy);
    record->calibration = esp_drift_figure_of(&figures->calibration);
    record->roc_auc = esp_drift_figure_of(&figures->roc_auc);
    record->pr_auc = esp_drift_figure_of(&figures->pr_auc);
}

static enum esp_status write_record(struct measuring *measuring,
                                    const struct esp_drift_record *record, struct esp_error *err)
{
    enum esp_status status = outputs_write_drift(measuring->outputs, record, err);
    measuring->n_records += status == ESP_OK;
    return status;
}

static enum esp_status emit(void *context, const struct esp_drift_measure *measure,
                            struct esp_error *err)
{
    struct measuring *measuring = context;
    bool ours = measure->source == ESP_DRIFT_BY_SNAPSHOT;
    const char *name = ours ? measuring->config->models[measure->model].name : production_name;
    struct esp_drift_record record = {
        .run = esp_bytes_of(measuring->snapshots->models[measure->model].run),
        .model = esp_bytes_of(name),
        .setup = esp_bytes_of(measure->setup),
        .kind = ours ? ESP_DRIFT_HOLDOUT : ESP_DRIFT_PRODUCTION,
        .window_start_us = measure->window_start_us,
        .window_end_us = measure->window_end_us,
        .task = (enum esp_drift_task)measure->task,
        .age = ours ? (int32_t)measure->age : ESP_DRIFT_NO_AGE,
        .snapshot = ours ? measure->snapshot : ESP_DRIFT_NO_SNAPSHOT,
        .share = measure->share,
    };
    esp_drift_record_set_sums(&record, &measure->sums);
    set_figures(&record, &measure->figures);
    if (measure->has_paired) {
        record.paired = esp_drift_paired_of(&measure->paired, 0);
        record.drift_loss = esp_drift_figure_of(&measure->drift_loss);
    }
    if (measure->has_production) {
        record.production =
            esp_drift_paired_of(&measure->production, (int64_t)measure->production_clipped);
        record.production_loss = esp_drift_figure_of(&measure->production_loss);
    }
    return write_record(measuring, &record, err);
}

void measuring_window_done(void *context, const struct esp_window_done *done)
{
    const struct measured_model *model = context;
    struct measuring *measuring = model->measuring;
    if (measuring->failure.status != ESP_OK || done->sums->n == 0)
        return;
    struct esp_drift_record record = {
        .run = esp_bytes_of(measuring->snapshots->models[model->index].run),
        .model = esp_bytes_of(measuring->config->models[model->index].name),
        .setup = esp_bytes_of(esp_setup_get(measuring->config->models[model->index].setup)->name),
        .kind = ESP_DRIFT_PROGRESSIVE,
        .window_start_us = done->start_us,
        .window_end_us = done->end_us,
        .task = (enum esp_drift_task)done->task,
        .age = ESP_DRIFT_NO_AGE,
        .snapshot = ESP_DRIFT_NO_SNAPSHOT,
        .share = 1,
    };
    esp_drift_record_set_sums(&record, done->sums);
    set_figures(&record, done->report);
    write_record(measuring, &record, &measuring->failure);
}

enum esp_status measuring_check(const struct measuring *measuring, struct esp_error *err)
{
    if (measuring->failure.status == ESP_OK)
        return ESP_OK;
    return esp_fail(err, measuring->failure.status, "%s", measuring->failure.text);
}

/* ---- set-up ---------------------------------------------------------------------------------- */

enum esp_status measuring_init(struct measuring *measuring, const struct config *config,
                               struct outputs *outputs, struct snapshots *snapshots,
                               struct esp_pool *pool, struct esp_error *err)
{
    *measuring = (struct measuring){
        .config = config, .outputs = outputs, .snapshots = snapshots, .from_us = INT64_MIN};
    measuring->models = calloc(config->n_models, sizeof *measuring->models);
    if (measuring->models == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    for (size_t m = 0; m < config->n_models; m++)
        measuring->models[m] = (struct measured_model){measuring, m};
    if (!config->has_drift)
        return ESP_OK;
    struct esp_drift_config drift = {
        .ladder = config->ladder,
        .click_window_us = config->options.click_window_us,
        .has_installs = config->has_installs,
        .n_models = config->n_models,
        .window_examples = (size_t)config->options.drift_window_examples,
        .open = snapshots_open,
        .open_context = snapshots,
        .emit = emit,
        .emit_context = measuring,
    };
    for (size_t task = 0; task < ESP_N_TASKS; task++)
        drift.has_production[task] = config->production_value[task] != SIZE_MAX;
    return esp_drift_new(&drift, pool, &measuring->drift, err);
}

void measuring_release(struct measuring *measuring)
{
    esp_drift_free(measuring->drift);
    free(measuring->models);
    *measuring = (struct measuring){0};
}

/* ---- examples -------------------------------------------------------------------------------- */

/* The resampling unit: the cluster's field, else the holdout's key, else the impression. */
static uint64_t unit_of(const struct measuring *measuring, const struct esp_example *example,
                        const struct esp_value *values)
{
    size_t cluster = measuring->config->cluster_value;
    if (cluster != SIZE_MAX && values[cluster].type != ESP_VALUE_MISSING &&
        values[cluster].type != ESP_VALUE_ARRAY)
        return esp_feature_key("", &values[cluster]);
    if (cluster == SIZE_MAX && measuring->config->options.holdout_key != NULL) {
        struct esp_sampling_fields fields;
        esp_writer_sampling_fields(example->writer, example->payload, &fields);
        return esp_hash(fields.holdout_key);
    }
    return example->id_hash;
}

/* A probability; NaN where the field has none. */
static double probability(const struct esp_value *value)
{
    double p = value->type == ESP_VALUE_REAL  ? value->u.f
               : value->type == ESP_VALUE_INT ? (double)value->u.i
                                              : NAN;
    return p >= 0 && p <= 1 ? p : NAN;
}

enum esp_status measuring_take(struct measuring *measuring, const struct esp_example *example,
                               const struct esp_value *values, struct esp_error *err)
{
    if (measuring->drift == NULL)
        return ESP_OK;
    enum esp_status status = esp_drift_advance(measuring->drift, example->due_us, err);
    if (status != ESP_OK || !example->holdout || example->impression_us < measuring->from_us)
        return status;
    if (example->stage == ESP_STAGE_INSTALL)
        return esp_drift_install(measuring->drift, example, err);
    if (example->stage != ESP_STAGE_CLICK)
        return ESP_OK;
    struct esp_drift_example taken = {
        .example = example, .values = values, .unit = unit_of(measuring, example, values)};
    for (size_t task = 0; task < ESP_N_TASKS; task++) {
        size_t at = measuring->config->production_value[task];
        taken.production[task] = at == SIZE_MAX ? NAN : probability(&values[at]);
    }
    return esp_drift_click(measuring->drift, &taken, err);
}

enum esp_status measuring_finish(struct measuring *measuring, struct esp_error *err)
{
    return measuring->drift == NULL ? ESP_OK : esp_drift_finish(measuring->drift, err);
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

void measuring_begin_at(struct measuring *measuring, int64_t boundary_us)
{
    /* All click labels of impressions from here on are still to come. */
    int64_t whole_us = boundary_us - measuring->config->options.click_window_us;
    int64_t window_us = measuring->config->options.drift_window_us;
    int64_t window = whole_us / window_us - (whole_us % window_us < 0);
    measuring->from_us = (window + (window * window_us < whole_us)) * window_us;
}

enum esp_status measuring_settle(struct measuring *measuring, struct esp_error *err)
{
    return measuring->drift == NULL ? ESP_OK : esp_drift_settle(measuring->drift, err);
}

void measuring_archive(struct esp_archive *archive, struct measuring *measuring)
{
    esp_archive_mark(archive, "measuring", 1);
    esp_archive_check(archive, measuring->failure.status == ESP_OK,
                      "the state of a run that has failed");
    esp_archive_u64(archive, &measuring->n_records);
    esp_archive_i64(archive, &measuring->from_us);
    esp_archive_same(archive, measuring->drift != NULL, "whether drift is measured");
    if (measuring->drift != NULL)
        esp_drift_archive(archive, measuring->drift);
}
