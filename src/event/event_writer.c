/* event_writer.c - compiles a writer's plans, and reads with those of them that need no decoder. */
#include "event/event_writer.h"

#include <stdlib.h>

/* A path of the header and what it is for. */
struct header_path {
    const char *path; /* NULL: not configured */
    const char *what;
    enum esp_want_use use;
    int slot; /* of the header plan; -1: it is not there */
};

enum { N_HEADER_PATHS = 5 };

static void list_header_paths(const struct esp_decoder_config *config,
                              struct header_path paths[N_HEADER_PATHS])
{
    const struct header_path list[N_HEADER_PATHS] = {
        {config->id_path, "id", ESP_WANT_ID, ESP_SLOT_ID},
        {config->time_path, "time", ESP_WANT_TIME, ESP_SLOT_TIME},
        {config->click_id_path, "click_id", ESP_WANT_ID, ESP_SLOT_CLICK_ID},
        {config->weight_path, "weight_field", ESP_WANT_NUMBER, ESP_SLOT_WEIGHT},
        {config->holdout_path, "holdout key", ESP_WANT_KEY, -1},
    };
    memcpy(paths, list, sizeof list);
}

enum esp_status esp_wanted_check_header(const struct esp_wanted *wanted,
                                        const struct esp_schema *schema, struct esp_error *err)
{
    struct header_path paths[N_HEADER_PATHS];
    list_header_paths(&wanted->config, paths);
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < N_HEADER_PATHS; i++) {
        if (paths[i].path != NULL)
            status = esp_path_check(schema, paths[i].path, paths[i].use, wanted->config.time_unit,
                                    paths[i].what, NULL, err);
    }
    return status;
}

enum esp_status esp_wanted_check_feature(const struct esp_wanted *wanted,
                                         const struct esp_schema *schema, size_t feature,
                                         const struct esp_avro_type **out_type,
                                         struct esp_error *err)
{
    return esp_path_check(schema, wanted->config.feature_paths[feature], ESP_WANT_FEATURE,
                          ESP_UNIT_NONE, "feature", out_type, err);
}

/* Under a reader schema: the writer may still lack a field that has no default. */
static enum esp_status check_found(const struct esp_writer *writer, const bool *found,
                                   struct esp_error *err)
{
    struct header_path paths[N_HEADER_PATHS];
    list_header_paths(&writer->wanted->config, paths);
    for (size_t i = 0; i < N_HEADER_PATHS; i++) {
        if (paths[i].path != NULL && paths[i].slot >= 0 && !found[paths[i].slot])
            return esp_fail(err, ESP_ESCHEMA,
                            "%s: the writer's schema %s has nothing that the reader's schema reads "
                            "as \"%s\", and no default is given",
                            paths[i].what, esp_writer_name(writer), paths[i].path);
    }
    return ESP_OK;
}

static enum esp_status compile_plans(struct esp_writer *writer, struct esp_error *err)
{
    const struct esp_wanted *wanted = writer->wanted;
    bool found[ESP_N_SLOTS];
    struct esp_plan_request request = {.writer = writer->schema,
                                       .reader = wanted->reader,
                                       .arena = &writer->arena,
                                       .is_whole = true};
    enum esp_status status = esp_plan_new(&request, &writer->skip, NULL, err);
    request.want = &wanted->header;
    request.n_slots = ESP_N_SLOTS;
    request.time_unit = wanted->config.time_unit;
    if (status == ESP_OK)
        status = esp_plan_new(&request, &writer->header, found, err);
    if (status == ESP_OK)
        status = check_found(writer, found, err);
    request.is_whole = false;
    if (status == ESP_OK)
        status = esp_plan_new(&request, &writer->brief, NULL, err);
    request.want = &wanted->sampling;
    request.n_slots = ESP_N_SAMPLING_SLOTS;
    if (status == ESP_OK)
        status = esp_plan_new(&request, &writer->sampling, NULL, err);
    request.want = &wanted->features;
    request.n_slots = wanted->config.n_features;
    if (status == ESP_OK)
        status = esp_plan_new(&request, &writer->features, NULL, err);
    return status;
}

size_t esp_wanted_count_missing(const struct esp_wanted *wanted, const struct esp_schema *schema,
                                size_t *first, struct esp_error *out_why)
{
    size_t n = 0;
    for (size_t i = 0; wanted->reader == NULL && i < wanted->config.n_features; i++) {
        if (esp_wanted_check_feature(wanted, schema, i, NULL, n == 0 ? out_why : NULL) == ESP_OK)
            continue;
        if (n++ == 0)
            *first = i;
    }
    return n;
}

enum esp_status esp_writer_new(struct esp_schema *schema, const struct esp_wanted *wanted,
                               uint16_t index, struct esp_writer **out, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    if (wanted->reader == NULL)
        status = esp_wanted_check_header(wanted, schema, err);
    if (status != ESP_OK)
        return status;
    struct esp_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a writer's schema");
    writer->schema = schema;
    writer->wanted = wanted;
    writer->index = index;
    writer->n_missing = esp_wanted_count_missing(wanted, schema, &writer->first_missing, NULL);
    status = compile_plans(writer, err);
    if (status == ESP_OK) {
        *out = writer;
        return ESP_OK;
    }
    writer->schema = NULL; /* stays the caller's */
    esp_writer_free(writer);
    return status;
}

static size_t plan_bytes(const struct esp_plan *plan)
{
    return plan == NULL ? 0 : plan->n_bytes;
}

size_t esp_writer_bytes(const struct esp_writer *writer)
{
    return strlen(writer->schema->json) + plan_bytes(writer->skip) + plan_bytes(writer->header) +
           plan_bytes(writer->brief) + plan_bytes(writer->sampling) + plan_bytes(writer->features);
}

void esp_writer_free(struct esp_writer *writer)
{
    if (writer == NULL)
        return;
    esp_plan_free(writer->skip);
    esp_plan_free(writer->header);
    esp_plan_free(writer->brief);
    esp_plan_free(writer->sampling);
    esp_plan_free(writer->features);
    esp_arena_release(&writer->arena);
    esp_schema_free(writer->schema);
    free(writer);
}

/* A number as a double; anything else is 0, which is no weight. */
static double number_of(const struct esp_value *value)
{
    return value->type == ESP_VALUE_INT    ? (double)value->u.i
           : value->type == ESP_VALUE_REAL ? value->u.f
                                           : 0;
}

static bool has_bytes(const struct esp_value *value)
{
    return (value->type == ESP_VALUE_TEXT || value->type == ESP_VALUE_BYTES) &&
           value->u.bytes.size > 0;
}

void esp_writer_sampling_fields(const struct esp_writer *writer, struct esp_bytes payload,
                                struct esp_sampling_fields *out)
{
    struct esp_value slots[ESP_N_SAMPLING_SLOTS];
    *out = (struct esp_sampling_fields){.weight = 1};
    if (esp_plan_run(writer->sampling, payload, slots, NULL) < 0)
        return; /* not a payload that was accepted */
    if (has_bytes(&slots[ESP_SAMPLING_KEY]))
        out->holdout_key = slots[ESP_SAMPLING_KEY].u.bytes;
    else if (has_bytes(&slots[ESP_SAMPLING_ID]))
        out->holdout_key = slots[ESP_SAMPLING_ID].u.bytes;
    if (writer->wanted->config.weight_path != NULL)
        out->weight = number_of(&slots[ESP_SAMPLING_WEIGHT]);
}

void esp_value_scratch_release(struct esp_value_scratch *scratch)
{
    free(scratch->items);
    *scratch = (struct esp_value_scratch){0};
}

enum esp_status esp_writer_features(const struct esp_writer *writer, struct esp_bytes payload,
                                    struct esp_value *values, struct esp_value_scratch *scratch,
                                    struct esp_error *err)
{
    ptrdiff_t size = esp_plan_run(writer->features, payload, values, scratch);
    if (size >= 0)
        return ESP_OK;
    if (size == -2)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the items of an array");
    return esp_fail(err, ESP_EBUG, "a record that was accepted does not match its schema %s",
                    esp_writer_name(writer));
}

const char *esp_writer_json(const struct esp_writer *writer)
{
    return writer->schema->json;
}

uint64_t esp_writer_fingerprint(const struct esp_writer *writer)
{
    return writer->schema->fingerprint;
}

uint16_t esp_writer_index(const struct esp_writer *writer)
{
    return writer->index;
}

size_t esp_writer_n_missing(const struct esp_writer *writer, const char **out_first)
{
    if (writer->n_missing > 0)
        *out_first = writer->wanted->config.feature_paths[writer->first_missing];
    return writer->n_missing;
}

const char *esp_writer_name(const struct esp_writer *writer)
{
    const struct esp_avro_type *root = writer->schema->root;
    return root->name != NULL ? root->name : esp_avro_kind_name(root->kind);
}
