/*
 * drift_state_fuzz.c - any bytes are refused as the state of drift, or are a state that holds its
 * invariants, is written back to the same bytes, and can be gone on with to the end.
 */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/check.h"
#include "drift/drift.h"
#include "drift_helper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For the life of the program. */
static struct test_files files;
static struct test_stream stream; /* as in drift_archive_test.c, whose states are the corpus */

static void remove_files(void)
{
    test_files_release(&files);
    test_stream_release(&stream);
}

static enum esp_status take_bytes(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    (void)err;
    g_byte_array_append(context, bytes, (guint)n);
    return ESP_OK;
}

static enum esp_status count_measure(void *context, const struct esp_drift_measure *measure,
                                     struct esp_error *err)
{
    (void)err;
    *(uint64_t *)context += measure->sums.n > 0;
    return ESP_OK;
}

/* All float and number bits come back as they were read. */
static void check_written(struct esp_drift *drift, const uint8_t *data, size_t size)
{
    struct esp_archive archive;
    GByteArray *bytes = g_byte_array_new();
    esp_archive_write_to(&archive, take_bytes, bytes);
    esp_drift_archive(&archive, drift);
    ESP_CHECK(1, esp_archive_end(&archive, NULL) == ESP_OK);
    ESP_CHECK(2, bytes->len == size && memcmp(bytes->data, data, size) == 0);
    g_byte_array_free(bytes, TRUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (files.folder == NULL) {
        test_files_init(&files);
        test_stream_draw(&stream, &test_small_plan, &files, 5);
        atexit(remove_files);
    }
    uint64_t n_measures = 0;
    struct esp_drift_config config = test_stream_config(&stream);
    config.emit = count_measure;
    config.emit_context = &n_measures;
    struct esp_drift *drift = NULL;
    struct esp_archive archive;
    ESP_CHECK(3, esp_drift_new(&config, NULL, &drift, NULL) == ESP_OK);
    esp_archive_read_from(&archive, esp_bytes(data, size));
    esp_drift_archive(&archive, drift);
    enum esp_status status = esp_archive_end(&archive, NULL);
    ESP_CHECK(4, status == ESP_OK || status == ESP_EDATA);
    if (status == ESP_OK) {
        esp_drift_check(drift);
        check_written(drift, data, size);
        for (size_t k = 0; k < stream.n_labels; k++)
            test_stream_feed(&stream, drift, k, NULL); /* some are out of its order */
        esp_drift_check(drift);
        ESP_CHECK(5, esp_drift_finish(drift, NULL) == ESP_OK);
    }
    esp_drift_free(drift);
    return 0;
}
