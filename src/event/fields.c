/* fields.c - see fields.h. */
#include "event/fields.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "event/event_writer.h"

struct esp_fields {
    struct esp_arena arena; /* the paths, the tree of them, texts of constants */
    const char **paths;     /* (n) */
    size_t n;
    struct esp_want want;    /* root of the tree */
    struct esp_plan **plans; /* (n_plans) by the writer's index; NULL: not prepared */
    size_t n_plans, capacity;
};

static enum esp_status plant(struct esp_fields *fields, const char *const *paths,
                             struct esp_error *err)
{
    struct esp_arena *arena = &fields->arena;
    fields->paths = esp_arena_alloc(arena, fields->n, sizeof *fields->paths);
    if (fields->paths == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu fields", fields->n);
    for (size_t i = 0; i < fields->n; i++) {
        struct esp_want_slot slot = {(uint16_t)i, ESP_WANT_FEATURE};
        fields->paths[i] = esp_arena_text(arena, paths[i], strlen(paths[i]));
        if (fields->paths[i] == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory for %zu fields", fields->n);
        enum esp_status status = esp_want_add(&fields->want, fields->paths[i], slot, arena, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

enum esp_status esp_fields_new(const char *const *paths, size_t n, struct esp_fields **out,
                               struct esp_error *err)
{
    if (n > UINT16_MAX)
        return esp_fail(err, ESP_ELIMIT, "%zu fields; at most %d", n, UINT16_MAX);
    struct esp_fields *fields = calloc(1, sizeof *fields);
    if (fields == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu fields", n);
    fields->n = n;
    enum esp_status status = plant(fields, paths, err);
    if (status == ESP_OK) {
        *out = fields;
        fields = NULL; /* moved to the caller */
    }
    esp_fields_free(fields);
    return status;
}

void esp_fields_free(struct esp_fields *fields)
{
    if (fields == NULL)
        return;
    for (size_t i = 0; i < fields->n_plans; i++)
        esp_plan_free(fields->plans[i]);
    free(fields->plans);
    esp_arena_release(&fields->arena);
    free(fields);
}

bool esp_fields_equal(const struct esp_fields *fields, const char *const *paths, size_t n)
{
    bool equal = fields->n == n;
    for (size_t i = 0; equal && i < n; i++)
        equal = strcmp(fields->paths[i], paths[i]) == 0;
    return equal;
}

static enum esp_status check_in(const struct esp_schema *schema, const char *path,
                                struct esp_error *err)
{
    return esp_path_check(schema, path, ESP_WANT_FEATURE, ESP_UNIT_NONE, "feature", NULL, err);
}

/* In the reader's schema, or in the first writer's that has it. Errors: as the first schema says.
 */
static enum esp_status check_path(const struct esp_decoder *decoder, size_t n_writers,
                                  const char *path, struct esp_error *err)
{
    struct esp_error first = {0};
    const struct esp_schema *reader = esp_decoder_writer(decoder, 0)->wanted->reader;
    enum esp_status status = ESP_ESCHEMA;
    if (reader != NULL)
        return check_in(reader, path, err);
    for (size_t i = 0; status == ESP_ESCHEMA && i < n_writers; i++)
        status = check_in(esp_decoder_writer(decoder, (uint16_t)i)->schema, path, &first);
    return status == ESP_OK ? ESP_OK : esp_fail(err, status, "%s", first.text);
}

enum esp_status esp_fields_check(const struct esp_fields *fields, const struct esp_decoder *decoder,
                                 struct esp_error *err)
{
    size_t n_writers = esp_decoder_n_writers(decoder);
    enum esp_status status = ESP_OK;
    for (size_t i = 0; n_writers > 0 && status == ESP_OK && i < fields->n; i++)
        status = check_path(decoder, n_writers, fields->paths[i], err);
    return status;
}

enum esp_status esp_fields_prepare(struct esp_fields *fields, const struct esp_writer *writer,
                                   struct esp_error *err)
{
    size_t index = writer->index;
    if (index < fields->n_plans && fields->plans[index] != NULL)
        return ESP_OK;
    enum esp_status status = esp_array_grow((void **)&fields->plans, &fields->capacity, index + 1,
                                            sizeof *fields->plans, err);
    if (status != ESP_OK)
        return status;
    while (fields->n_plans <= index)
        fields->plans[fields->n_plans++] = NULL;
    struct esp_plan_request request = {
        .writer = writer->schema,
        .reader = writer->wanted->reader,
        .want = &fields->want,
        .n_slots = fields->n,
        .time_unit = writer->wanted->config.time_unit,
        .arena = &fields->arena,
    };
    return esp_plan_new(&request, &fields->plans[index], NULL, err);
}

enum esp_status esp_fields_read(const struct esp_fields *fields, const struct esp_writer *writer,
                                struct esp_bytes payload, struct esp_value *values,
                                struct esp_value_scratch *scratch, struct esp_error *err)
{
    ptrdiff_t size = esp_plan_run(fields->plans[writer->index], payload, values, scratch);
    if (size >= 0)
        return ESP_OK;
    if (size == -2)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the items of an array");
    return esp_fail(err, ESP_EBUG, "a record that was accepted does not match its schema %s",
                    esp_writer_name(writer));
}
