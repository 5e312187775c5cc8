/* manifest.c - writes a manifest. See manifest.h; reading is in manifest_read.c. */
#include "snapshot/manifest.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/timespan.h"

/* jansson's *_new setters take NULL values as failures, so one flag covers them all. */
static void put(json_t *object, const char *key, json_t *value, bool *ok)
{
    if (json_object_set_new(object, key, value) != 0)
        *ok = false;
}

static json_t *hex(uint64_t value)
{
    char text[ESP_RUN_SIZE];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    return json_string(text);
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *sizes(const size_t *values, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_integer((json_int_t)values[i]));
    return array;
}

static json_t *figure_json(const struct esp_figure *figure)
{
    return figure->defined ? real_or_null(figure->value) : json_null();
}

static json_t *progress_json(const struct esp_manifest *manifest, bool *ok)
{
    json_t *all = json_object();
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        const struct esp_task_report *report = &manifest->progress[task];
        if (!manifest->has_task[task])
            continue;
        json_t *one = json_object();
        put(one, "examples", json_integer((json_int_t)report->examples), ok);
        put(one, "positives", json_integer((json_int_t)report->positives), ok);
        put(one, "log_loss", figure_json(&report->log_loss), ok);
        put(one, "normalised_entropy", figure_json(&report->normalised_entropy), ok);
        put(one, "calibration", figure_json(&report->calibration), ok);
        put(one, "roc_auc", figure_json(&report->roc_auc), ok);
        put(all, esp_task_name(task), one, ok);
    }
    return all;
}

/* ---- features -------------------------------------------------------------------------------- */

static void put_statistics(json_t *feature, const struct esp_manifest *manifest, size_t i, bool *ok)
{
    if (manifest->statistics == NULL)
        return;
    struct esp_feature_statistics statistics;
    esp_features_statistics(manifest->statistics, i, &statistics);
    if (manifest->features[i].form == ESP_FORM_STANDARDISED) {
        put(feature, "count", json_integer((json_int_t)statistics.count), ok);
        put(feature, "mean", real_or_null(statistics.mean), ok);
        put(feature, "deviation", real_or_null(statistics.deviation), ok);
        return;
    }
    json_t *bounds = statistics.has_buckets ? json_array() : json_null();
    for (size_t b = 0; statistics.has_buckets && b < statistics.n_bounds; b++)
        if (json_array_append_new(bounds, json_real(statistics.bounds[b])) != 0)
            *ok = false;
    put(feature, "bounds", bounds, ok);
}

static json_t *feature_json(const struct esp_manifest *manifest, size_t i, bool *ok)
{
    static const char *const kinds[] = {"categorical", "numeric", "cross"};
    const struct esp_feature_config *config = &manifest->features[i];
    json_t *feature = json_object();
    put(feature, "name", json_string(config->name), ok);
    put(feature, "kind", json_string(kinds[config->kind]), ok);
    if (config->kind == ESP_FEATURE_CROSS) {
        put(feature, "of",
            json_pack("[I, I]", (json_int_t)config->cross_a, (json_int_t)config->cross_b), ok);
        return feature;
    }
    put(feature, "field", json_integer((json_int_t)config->value), ok);
    if (config->kind != ESP_FEATURE_NUMERIC)
        return feature;
    bool is_log = config->scale == ESP_SCALE_LOG, buckets = config->form == ESP_FORM_BUCKETS;
    put(feature, "scale", json_string(is_log ? "log" : "linear"), ok);
    put(feature, "form", json_string(buckets ? "buckets" : "standardised"), ok);
    if (buckets)
        put(feature, "n_buckets", json_integer((json_int_t)config->n_buckets), ok);
    put_statistics(feature, manifest, i, ok);
    return feature;
}

static void put_lists(json_t *root, const struct esp_manifest *manifest, bool *ok)
{
    json_t *fields = json_array(), *features = json_array(), *schemas = json_array();
    for (size_t i = 0; i < manifest->n_fields; i++)
        if (json_array_append_new(fields, json_string(manifest->fields[i])) != 0)
            *ok = false;
    for (size_t i = 0; i < manifest->n_features; i++)
        if (json_array_append_new(features, feature_json(manifest, i, ok)) != 0)
            *ok = false;
    for (size_t i = 0; i < manifest->n_schemas; i++)
        if (json_array_append_new(schemas, hex(manifest->schemas[i])) != 0)
            *ok = false;
    put(root, "fields", fields, ok);
    put(root, "features", features, ok);
    put(root, "schemas", schemas, ok);
}

enum esp_status esp_manifest_write(const struct esp_manifest *manifest, char **out,
                                   struct esp_error *err)
{
    char boundary[ESP_TIME_TEXT_SIZE];
    bool ok = true;
    json_t *root = json_object();
    put(root, "version", json_integer(ESP_MANIFEST_VERSION), &ok);
    put(root, "run", json_string(manifest->run), &ok);
    put(root, "model", json_string(manifest->model), &ok);
    put(root, "setup", json_string(esp_setup_get(manifest->setup)->name), &ok);
    put(root, "installs", json_boolean(manifest->has_installs), &ok);
    put(root, "number", json_integer(manifest->number), &ok);
    put(root, "boundary", json_string(esp_time_format(manifest->boundary_us, boundary)), &ok);
    put(root, "boundary_us", json_integer(manifest->boundary_us), &ok);
    put(root, "every_us", json_integer(manifest->every_us), &ok);
    put(root, "width", json_integer((json_int_t)manifest->width), &ok);
    put(root, "layers", sizes(manifest->layers, manifest->n_layers), &ok);
    put(root, "head_layers", sizes(manifest->head_layers, manifest->n_head_layers), &ok);
    put_lists(root, manifest, &ok);
    put(root, "examples_learned", json_integer((json_int_t)manifest->n_learned), &ok);
    put(root, "steps", json_integer((json_int_t)manifest->n_steps), &ok);
    if (manifest->progress != NULL)
        put(root, "progressive", progress_json(manifest, &ok), &ok);
    put(root, "checksum", hex(manifest->checksum), &ok);
    *out = ok ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    return *out != NULL
               ? ESP_OK
               : esp_fail(err, ok ? ESP_ENOMEM : ESP_EINVAL,
                          "the manifest of model %s cannot be written: a name is no UTF-8, "
                          "or memory is out",
                          manifest->model);
}
