/*
 * registry_fuzz.c - any answer of a Schema Registry, and any schemas that refer to each other.
 *
 * The input is texts separated by NULs: an answer's body, a schema, and what this refers to.
 */
#include <stdint.h>

#include "cmd/registry/registry_answer.h"
#include "core/check.h"
#include "event/avro_schema.h"
#include "event/schema_inline.h"

enum { MAX_TEXTS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(long status, const char *body)
{
    struct registry_answer answer;
    registry_answer_read(status, esp_bytes_of(body), &answer);
    ESP_CHECK(1, (answer.verdict == REGISTRY_SCHEMA) == (answer.why.text[0] == '\0'));
    ESP_CHECK(2, answer.verdict != REGISTRY_SCHEMA || (status == 200 && answer.schema != NULL));
    ESP_CHECK(3, answer.verdict != REGISTRY_UNKNOWN || status == 404);
    ESP_CHECK(4, answer.n_references <= REGISTRY_MAX_REFERENCES);
    for (size_t i = 0; i < answer.n_references; i++)
        ESP_CHECK(5, answer.references[i].subject[0] != '\0' && answer.references[i].version > 0);
    registry_answer_release(&answer);
}

/* What is made of schemas stands by itself: putting the references in again changes nothing. */
static void check_inline(const char *text, const char *const *referenced, size_t n)
{
    struct esp_error err = {0};
    struct esp_schema *schema = NULL;
    char *whole = NULL, *again = NULL;
    enum esp_status status = esp_schema_inline(text, referenced, n, &whole, &err);
    ESP_CHECK(6, (status == ESP_OK) == (whole != NULL));
    ESP_CHECK(7, (status == ESP_OK) == (err.text[0] == '\0'));
    if (whole == NULL)
        return;
    ESP_CHECK(8, esp_schema_inline(whole, NULL, 0, &again, NULL) == ESP_OK);
    ESP_CHECK(9, strcmp(whole, again) == 0);
    if (esp_schema_parse(whole, strlen(whole), &schema, NULL) == ESP_OK)
        esp_schema_free(schema);
    free(again);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long statuses[] = {200, 404, 401, 500, 301};
    const char *texts[MAX_TEXTS];
    size_t n = 0;
    char *copy = malloc(size + 1);
    ESP_CHECK(10, copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    for (size_t at = 0; n < MAX_TEXTS && at <= size; at += strlen(texts[n++]) + 1)
        texts[n] = copy + at;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        check_answer(statuses[i], texts[0]);
    if (n > 1)
        check_inline(texts[1], texts + 2, n - 2);
    free(copy);
    return 0;
}
