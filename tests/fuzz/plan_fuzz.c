/*
 * plan_fuzz.c - any schema, any reader, any record: plans stay inside the record and agree.
 *
 *     writer's schema, NUL, reader's schema (empty: none), NUL, paths a line, NUL, the record
 */
#include <stdint.h>

#include "core/check.h"
#include "event/plan.h"

enum { MAX_PATHS = 16 };

/* Cuts the text up to the next NUL off the input. */
static struct esp_bytes cut(struct esp_bytes *input)
{
    const uint8_t *end = input->size > 0 ? memchr(input->data, '\0', input->size) : NULL;
    size_t size = end != NULL ? (size_t)(end - input->data) : input->size;
    struct esp_bytes part = esp_bytes(input->data, size);
    size_t taken = end != NULL ? size + 1 : size;
    *input = esp_bytes(input->data + taken, input->size - taken);
    return part;
}

static size_t add_paths(struct esp_bytes lines, struct esp_want *root, struct esp_arena *arena)
{
    size_t n = 0;
    while (lines.size > 0 && n < MAX_PATHS) {
        const uint8_t *end = memchr(lines.data, '\n', lines.size);
        size_t size = end != NULL ? (size_t)(end - lines.data) : lines.size;
        char *path = esp_arena_text(arena, (const char *)lines.data, size);
        struct esp_want_slot slot = {(uint16_t)n, ESP_WANT_FEATURE};
        if (path != NULL && esp_want_add(root, path, slot, arena, NULL) == ESP_OK)
            n++;
        size_t taken = end != NULL ? size + 1 : size;
        lines = esp_bytes(lines.data + taken, lines.size - taken);
    }
    return n;
}

/* Every byte that a value names can be read. */
static void touch(const struct esp_value *values, size_t n)
{
    volatile uint8_t sink = 0;
    for (size_t i = 0; i < n; i++) {
        if (values[i].type == ESP_VALUE_TEXT || values[i].type == ESP_VALUE_BYTES) {
            for (size_t j = 0; j < values[i].u.bytes.size; j++)
                sink ^= values[i].u.bytes.data[j];
        } else if (values[i].type == ESP_VALUE_ARRAY) {
            ESP_CHECK(1, values[i].n_items <= ESP_MAX_ARRAY_ITEMS);
            touch(values[i].u.items, values[i].n_items);
        }
    }
    (void)sink;
}

static void run(struct esp_plan_request *request, struct esp_bytes record)
{
    struct esp_value values[MAX_PATHS];
    struct esp_value_scratch scratch = {0};
    struct esp_plan *whole = NULL, *brief = NULL, *skip = NULL;
    const struct esp_want *want = request->want;
    request->is_whole = true;
    if (esp_plan_new(request, &whole, NULL, NULL) != ESP_OK)
        goto out;
    request->is_whole = false;
    ESP_CHECK(2, esp_plan_new(request, &brief, NULL, NULL) == ESP_OK);
    request->want = NULL;
    request->n_slots = 0;
    request->is_whole = true;
    ESP_CHECK(3, esp_plan_new(request, &skip, NULL, NULL) == ESP_OK);
    request->want = want;
    esp_plan_check(whole);
    esp_plan_check(brief);
    esp_plan_check(skip);
    ptrdiff_t size = esp_plan_run(whole, record, values, &scratch);
    if (size >= 0)
        touch(values, whole->n_slots);
    ESP_CHECK(4, size == -1 || (size >= 0 && (size_t)size <= record.size));
    ESP_CHECK(5, esp_plan_run(skip, record, NULL, NULL) == size);
    ptrdiff_t head = esp_plan_run(brief, record, values, &scratch);
    ESP_CHECK(6, size < 0 || (head >= 0 && head <= size));
    if (head >= 0)
        touch(values, brief->n_slots);
out:
    esp_value_scratch_release(&scratch);
    esp_plan_free(whole);
    esp_plan_free(brief);
    esp_plan_free(skip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct esp_bytes record = esp_bytes(data, size);
    struct esp_bytes writer_json = cut(&record), reader_json = cut(&record), paths = cut(&record);
    struct esp_schema *writer = NULL, *reader = NULL;
    struct esp_arena arena = {0};
    struct esp_want root = {.n_slots = 0};
    if (esp_schema_parse((const char *)writer_json.data, writer_json.size, &writer, NULL) ==
            ESP_OK &&
        (reader_json.size == 0 || esp_schema_parse((const char *)reader_json.data, reader_json.size,
                                                   &reader, NULL) == ESP_OK)) {
        size_t n = add_paths(paths, &root, &arena);
        struct esp_plan_request request = {
            .writer = writer, .reader = reader, .want = &root, .n_slots = n, .arena = &arena};
        /* An exact copy, so that a byte read beyond the record is seen. */
        uint8_t *copy = malloc(record.size > 0 ? record.size : 1);
        if (copy != NULL && record.size > 0)
            memcpy(copy, record.data, record.size);
        if (copy != NULL)
            run(&request, esp_bytes(copy, record.size));
        free(copy);
    }
    esp_arena_release(&arena);
    esp_schema_free(reader);
    esp_schema_free(writer);
    return 0;
}
