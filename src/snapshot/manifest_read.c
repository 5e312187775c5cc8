/* manifest_read.c - reads a manifest, which may come from anywhere. See manifest.h. */
#include <stdlib.h>
#include <string.h>

#include "snapshot/manifest.h"

enum { MOST_FIELDS = 65536, MOST_SCHEMAS = 65536 };

static enum esp_status bad(const char *member, struct esp_error *err)
{
    return esp_fail(err, ESP_EDATA, "its manifest has no sound \"%s\"", member);
}

/* A whole number in [low, high]. */
static bool number_in(const json_t *value, int64_t low, int64_t high, int64_t *out)
{
    if (!json_is_integer(value))
        return false;
    *out = json_integer_value(value);
    return *out >= low && *out <= high;
}

static bool size_in(const json_t *value, size_t low, size_t high, size_t *out)
{
    int64_t number;
    if (!number_in(value, (int64_t)low, (int64_t)high, &number))
        return false;
    *out = (size_t)number;
    return true;
}

/* 16 hex digits, lower case. */
static bool read_hex(const json_t *value, uint64_t *out)
{
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return false;
    *out = strtoull(text, NULL, 16);
    return true;
}

bool esp_is_model_name(const char *name)
{
    size_t n = name == NULL ? 0 : strlen(name);
    return n > 0 && n < ESP_MODEL_SIZE && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static bool read_setup(const json_t *value, enum esp_setup_id *out)
{
    const char *name = json_string_value(value);
    for (enum esp_setup_id id = 0; name != NULL && id < ESP_N_SETUPS; id++) {
        if (strcmp(esp_setup_get(id)->name, name) == 0) {
            *out = id;
            return true;
        }
    }
    return false;
}

static bool read_widths(const json_t *value, size_t out[ESP_MAX_LAYERS], size_t *out_n)
{
    *out_n = json_array_size(value);
    if (!json_is_array(value) || *out_n > ESP_MAX_LAYERS)
        return false;
    for (size_t i = 0; i < *out_n; i++)
        if (!size_in(json_array_get(value, i), 1, ESP_MAX_LAYER_WIDTH, &out[i]))
            return false;
    return true;
}

static enum esp_status read_plain(struct esp_manifest *out, struct esp_error *err)
{
    const json_t *root = out->root;
    uint64_t run;
    int64_t version, n_learned, n_steps;
    const char *model = json_string_value(json_object_get(root, "model"));
    if (!number_in(json_object_get(root, "version"), 1, INT32_MAX, &version))
        return bad("version", err);
    if (version != ESP_MANIFEST_VERSION)
        return esp_fail(err, ESP_EDATA, "its manifest has version %lld; this program reads %d",
                        (long long)version, ESP_MANIFEST_VERSION);
    if (!read_hex(json_object_get(root, "run"), &run))
        return bad("run", err);
    memcpy(out->run, json_string_value(json_object_get(root, "run")), ESP_RUN_SIZE);
    if (!esp_is_model_name(model))
        return bad("model", err);
    memcpy(out->model, model, strlen(model) + 1);
    if (!read_setup(json_object_get(root, "setup"), &out->setup))
        return bad("setup", err);
    if (!json_is_boolean(json_object_get(root, "installs")))
        return bad("installs", err);
    out->has_installs = json_is_true(json_object_get(root, "installs"));
    if (!number_in(json_object_get(root, "every_us"), 1, INT64_MAX, &out->every_us))
        return bad("every_us", err);
    if (!number_in(json_object_get(root, "boundary_us"), INT64_MIN + 1, INT64_MAX - 1,
                   &out->boundary_us))
        return bad("boundary_us", err);
    if (!number_in(json_object_get(root, "number"), INT64_MIN + 1, INT64_MAX, &out->number) ||
        out->boundary_us % out->every_us != 0 || out->number != out->boundary_us / out->every_us)
        return bad("number", err);
    if (!number_in(json_object_get(root, "examples_learned"), 0, INT64_MAX, &n_learned))
        return bad("examples_learned", err);
    if (!number_in(json_object_get(root, "steps"), 0, INT64_MAX, &n_steps))
        return bad("steps", err);
    out->n_learned = (uint64_t)n_learned;
    out->n_steps = (uint64_t)n_steps;
    return read_hex(json_object_get(root, "checksum"), &out->checksum) ? ESP_OK
                                                                       : bad("checksum", err);
}

static enum esp_status read_dimensions(struct esp_manifest *out, struct esp_error *err)
{
    const json_t *root = out->root;
    if (!size_in(json_object_get(root, "width"), 1, ESP_MAX_INPUT_WIDTH, &out->width))
        return bad("width", err);
    if (!read_widths(json_object_get(root, "layers"), out->layers, &out->n_layers))
        return bad("layers", err);
    return read_widths(json_object_get(root, "head_layers"), out->head_layers, &out->n_head_layers)
               ? ESP_OK
               : bad("head_layers", err);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool read_numeric(const json_t *feature, struct esp_feature_config *out)
{
    const char *scale = json_string_value(json_object_get(feature, "scale"));
    const char *form = json_string_value(json_object_get(feature, "form"));
    if (scale == NULL || form == NULL)
        return false;
    out->kind = ESP_FEATURE_NUMERIC;
    out->scale = strcmp(scale, "log") == 0 ? ESP_SCALE_LOG : ESP_SCALE_LINEAR;
    out->form = strcmp(form, "buckets") == 0 ? ESP_FORM_BUCKETS : ESP_FORM_STANDARDISED;
    if (out->scale == ESP_SCALE_LINEAR && strcmp(scale, "linear") != 0)
        return false;
    if (out->form == ESP_FORM_STANDARDISED)
        return strcmp(form, "standardised") == 0;
    return size_in(json_object_get(feature, "n_buckets"), 2, 4096, &out->n_buckets);
}

static bool read_feature(const struct esp_manifest *manifest, const json_t *feature,
                         struct esp_feature_config *out)
{
    const char *kind = json_string_value(json_object_get(feature, "kind"));
    out->name = json_string_value(json_object_get(feature, "name"));
    if (out->name == NULL || kind == NULL)
        return false;
    if (strcmp(kind, "cross") == 0) {
        const json_t *of = json_object_get(feature, "of");
        out->kind = ESP_FEATURE_CROSS;
        return json_array_size(of) == 2 &&
               size_in(json_array_get(of, 0), 0, ESP_MAX_INPUT_WIDTH, &out->cross_a) &&
               size_in(json_array_get(of, 1), 0, ESP_MAX_INPUT_WIDTH, &out->cross_b);
    }
    if (manifest->n_fields == 0 ||
        !size_in(json_object_get(feature, "field"), 0, manifest->n_fields - 1, &out->value))
        return false;
    if (strcmp(kind, "numeric") == 0)
        return read_numeric(feature, out);
    out->kind = ESP_FEATURE_CATEGORICAL;
    return strcmp(kind, "categorical") == 0;
}

static enum esp_status read_fields(struct esp_manifest *out, struct esp_error *err)
{
    const json_t *fields = json_object_get(out->root, "fields");
    size_t n = json_array_size(fields);
    if (n == 0 || n > MOST_FIELDS)
        return bad("fields", err);
    const char **list = calloc(n, sizeof *list);
    if (list == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a manifest's fields");
    out->fields = list;
    out->n_fields = n;
    for (size_t i = 0; i < n; i++)
        if ((list[i] = json_string_value(json_array_get(fields, i))) == NULL)
            return bad("fields", err);
    return ESP_OK;
}

static enum esp_status read_features(struct esp_manifest *out, struct esp_error *err)
{
    const json_t *features = json_object_get(out->root, "features");
    size_t n = json_array_size(features);
    if (n == 0 || n > ESP_MAX_INPUT_WIDTH)
        return bad("features", err);
    struct esp_feature_config *list = calloc(n, sizeof *list);
    if (list == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a manifest's features");
    out->features = list;
    out->n_features = n;
    for (size_t i = 0; i < n; i++)
        if (!read_feature(out, json_array_get(features, i), &list[i]))
            return bad("features", err);
    return ESP_OK;
}

static enum esp_status read_schemas(struct esp_manifest *out, struct esp_error *err)
{
    const json_t *schemas = json_object_get(out->root, "schemas");
    size_t n = json_array_size(schemas);
    if (!json_is_array(schemas) || n > MOST_SCHEMAS)
        return bad("schemas", err);
    uint64_t *list = calloc(n + 1, sizeof *list);
    if (list == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a manifest's schemas");
    out->schemas = list;
    out->n_schemas = n;
    for (size_t i = 0; i < n; i++)
        if (!read_hex(json_array_get(schemas, i), &list[i]))
            return bad("schemas", err);
    return ESP_OK;
}

enum esp_status esp_manifest_read(const char *text, struct esp_manifest *out, struct esp_error *err)
{
    json_error_t why;
    *out = (struct esp_manifest){.root = json_loads(text, JSON_REJECT_DUPLICATES, &why)};
    if (!json_is_object(out->root)) {
        esp_manifest_release(out);
        return esp_fail(err, ESP_EDATA, "its manifest is no JSON object");
    }
    enum esp_status status = read_plain(out, err);
    if (status == ESP_OK)
        status = read_dimensions(out, err);
    if (status == ESP_OK)
        status = read_fields(out, err);
    if (status == ESP_OK)
        status = read_features(out, err);
    if (status == ESP_OK)
        status = read_schemas(out, err);
    if (status != ESP_OK)
        esp_manifest_release(out);
    return status;
}

void esp_manifest_release(struct esp_manifest *manifest)
{
    if (manifest->root == NULL)
        return;
    free((void *)(uintptr_t)manifest->fields);
    free((void *)(uintptr_t)manifest->features);
    free((void *)(uintptr_t)manifest->schemas);
    json_decref(manifest->root);
    *manifest = (struct esp_manifest){0};
}

enum esp_status esp_manifest_network(const struct esp_manifest *manifest, struct esp_network *out,
                                     struct esp_error *err)
{
    const struct esp_setup *setup = esp_setup_get(manifest->setup);
    struct esp_network_config config = {
        .setup = manifest->has_installs ? *setup : esp_setup_without_installs(setup),
        .n_features = manifest->n_features,
        .width = manifest->width,
        .layers = manifest->layers,
        .n_layers = manifest->n_layers,
        .head_layers = manifest->head_layers,
        .n_head_layers = manifest->n_head_layers,
    };
    struct esp_error why = {0};
    if (esp_network_init(out, &config, &why) == ESP_OK)
        return ESP_OK;
    return esp_fail(err, ESP_EDATA, "its network cannot be: %s", why.text);
}
