/*
 * drift_fuzz.c - any bytes are refused, or are a drift record that is written back to bytes that
 * read the same.
 */
#include <glib.h>
#include <stdint.h>

#include "core/check.h"
#include "event/drift_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(const struct esp_drift_record *record)
{
    struct esp_drift_record again;
    struct esp_buf first, second;
    esp_buf_init(&first, 1 << 16);
    esp_buf_init(&second, 1 << 16);
    ESP_CHECK(1, esp_encode_drift(&first, record, NULL) == ESP_OK);
    ESP_CHECK(2, esp_decode_drift(esp_buf_bytes(&first), &again, NULL) == ESP_OK);
    ESP_CHECK(3, esp_encode_drift(&second, &again, NULL) == ESP_OK);
    ESP_CHECK(4, esp_bytes_equal(esp_buf_bytes(&first), esp_buf_bytes(&second)));
    char key[ESP_DRIFT_KEY_SIZE], same[ESP_DRIFT_KEY_SIZE];
    ESP_CHECK(5, strcmp(esp_drift_key(record, key), esp_drift_key(&again, same)) == 0);
    esp_buf_release(&first);
    esp_buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct esp_drift_reader reader; /* for the life of the program */
    if (reader.framer.open == NULL)
        ESP_CHECK(6, esp_drift_reader_init(&reader, NULL) == ESP_OK);
    uint8_t *copy = g_memdup2(data, size); /* of just this size, for the sanitizer */
    struct esp_bytes bytes = esp_bytes(copy, size);
    struct esp_drift_record record;
    ptrdiff_t skipped = reader.framer.skip(&reader, bytes);
    ESP_CHECK(7, skipped == -1 || (skipped > 0 && (size_t)skipped <= size));
    struct esp_record framed = {.value = bytes};
    enum esp_status status = esp_drift_reader_decode(&reader, &framed, &record, NULL);
    ESP_CHECK(8, status == ESP_OK || status == ESP_EDECODE || status == ESP_ESCHEMA);
    if (esp_decode_drift(bytes, &record, NULL) == ESP_OK) {
        ESP_CHECK(9, skipped == (ptrdiff_t)size);
        check_accepted(&record);
    }
    g_free(copy);
    return 0;
}
