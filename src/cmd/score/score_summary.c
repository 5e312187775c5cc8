/* score_summary.c - writes the summary of a scoring run. Its shape is described in docs/scoring.md.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/run/json_file.h"
#include "cmd/score/score_display.h"
#include "core/version.h"
#include "model/product.h"

static json_t *count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *reasons_json(const struct score_status *status)
{
    json_t *reasons = json_object();
    for (size_t i = 0; i < ESP_N_REJECTS; i++)
        if (status->dead_by_reason[i] > 0)
            json_object_set_new(reasons, esp_reject_text((enum esp_reject)i),
                                count(status->dead_by_reason[i]));
    return reasons;
}

static json_t *model_json(const struct score_model *model)
{
    bool has_one = model->run[0] != '\0';
    json_t *json = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "name", model->name, "run",
                             has_one ? json_string(model->run) : json_null(), "snapshot",
                             has_one ? json_integer((json_int_t)model->number) : json_null(),
                             "scores", count(model->n_scores), "snapshots_taken",
                             count(model->n_taken), "snapshots_refused", count(model->n_refused));
    if (json != NULL && model->n_refused > 0)
        json_object_set_new(json, "last_refusal", json_string(model->refusal.text));
    return json;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct score_model *const *)a)->name,
                  (*(const struct score_model *const *)b)->name);
}

static json_t *models_json(const struct score_models *models)
{
    const struct score_model *sorted[SCORE_MAX_MODELS];
    json_t *list = json_array();
    for (size_t i = 0; i < models->n; i++)
        sorted[i] = &models->list[i];
    qsort(sorted, models->n, sizeof *sorted, by_name);
    for (size_t i = 0; i < models->n; i++)
        json_array_append_new(list, model_json(sorted[i]));
    return list;
}

/* Snapshots as their source saw them; what scoring itself refused is told by model. */
static json_t *source_json(const struct esp_snapshot_source_stats *stats)
{
    const struct esp_manifest_counts *manifests = &stats->manifests;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "fetched", count(stats->fetched), "reused",
                     count(stats->reused), "bytes", count(stats->bytes), "refused",
                     count(stats->refused), "passed_over",
                     count(stats->bad_files + manifests->unknown_version + manifests->malformed),
                     "wrong_chunks", count(stats->wrong_chunks));
}

enum esp_status score_summary_write(const char *path, struct score_display *display,
                                    struct esp_error *err)
{
    const struct score_status *status = &display->loop->status;
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, score_loop_hash(display->loop));
    json_t *root = json_pack(
        "{s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "espalier",
        ESP_VERSION, "stopped", atomic_load(&display->run->stop), "kernels", esp_product_kernels(),
        "read", count(status->read), "scored", count(status->scored), "dead", count(status->dead),
        "dead_by_reason", reasons_json(status), "records", count(status->records), "damaged_files",
        count(status->damaged_files), "skipped_bytes", count(status->skipped_bytes), "snapshots",
        source_json(&display->watch->shown), "models", models_json(display->models), "scores_hash",
        hash);
    enum esp_status result = root == NULL
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for the summary")
                                 : json_file_write(path, root, "--summary", err);
    json_decref(root);
    return result;
}
