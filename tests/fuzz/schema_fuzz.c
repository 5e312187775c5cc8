/* schema_fuzz.c - any JSON: a schema is refused with a line, or its canonical form means the same.
 */
#include <stdint.h>

#include "core/check.h"
#include "event/avro_schema.h"
#include "event/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct esp_schema *schema = NULL, *again = NULL;
    struct esp_error err = {0};
    char words[64];
    enum esp_status status = esp_schema_parse((const char *)data, size, &schema, &err);
    ESP_CHECK(1, (status == ESP_OK) == (schema != NULL));
    ESP_CHECK(2, status == ESP_OK || err.text[0] != '\0');
    if (schema == NULL)
        return 0;
    char *canonical = NULL, *twice = NULL, *example = NULL;
    uint64_t fingerprint = 0;
    esp_avro_describe(schema->root, words, sizeof words);
    ESP_CHECK(3, esp_schema_canonical(schema, &canonical, &fingerprint, NULL) == ESP_OK);
    ESP_CHECK(4, fingerprint == schema->fingerprint);
    if (strchr(canonical, '.') == NULL) {
        ESP_CHECK(5, esp_schema_parse(canonical, strlen(canonical), &again, NULL) == ESP_OK);
        ESP_CHECK(6, esp_schema_canonical(again, &twice, &fingerprint, NULL) == ESP_OK);
        ESP_CHECK(7, fingerprint == schema->fingerprint && strcmp(canonical, twice) == 0);
    }
    if (esp_example_schema(esp_own_schema_json(ESP_SCHEMA_EXAMPLE), schema->json, &example, NULL) ==
        ESP_OK)
        ESP_CHECK(8,
                  esp_schema_fingerprint(example, strlen(example), &fingerprint, NULL) == ESP_OK);
    free(example);
    free(canonical);
    free(twice);
    esp_schema_free(again);
    esp_schema_free(schema);
    return 0;
}
