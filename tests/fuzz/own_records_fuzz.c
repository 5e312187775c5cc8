/*
 * own_records_fuzz.c - any bytes as a record of our own: refused for a reason, or it is written
 * again and means the same. The first byte chooses the record: a chunk, a manifest, a key.
 */
#include <glib.h>

#include "core/check.h"
#include "event/own_records.h"

enum { N_KINDS = 3, AGAIN_CAP = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_chunk(struct esp_bytes bytes)
{
    struct esp_snapshot_chunk_record first, second;
    struct esp_error err = {0};
    struct esp_buf again;
    enum esp_status status = esp_decode_snapshot_chunk(bytes, &first, &err);
    ESP_CHECK(1, (status == ESP_OK) == (err.text[0] == '\0'));
    if (status != ESP_OK) {
        ESP_CHECK(2, status == ESP_EDECODE || status == ESP_ESCHEMA);
        return;
    }
    ESP_CHECK(3, first.index >= 0 && first.index < first.count && first.offset >= 0);
    ESP_CHECK(4, first.data.size > 0 && first.data.size <= ESP_CHUNK_MAX_BYTES);
    esp_buf_init(&again, AGAIN_CAP);
    ESP_CHECK(5, esp_encode_snapshot_chunk(&again, &first, NULL) == ESP_OK);
    ESP_CHECK(6, again.size <= bytes.size); /* numbers may have been padded */
    ESP_CHECK(7, esp_decode_snapshot_chunk(esp_buf_bytes(&again), &second, NULL) == ESP_OK);
    ESP_CHECK(8, esp_snapshot_id_equal(&first.id, &second.id) && first.index == second.index &&
                     first.count == second.count && first.offset == second.offset &&
                     first.checksum == second.checksum && esp_bytes_equal(first.data, second.data));
    esp_buf_release(&again);
}

static void try_manifest(struct esp_bytes bytes)
{
    struct esp_snapshot_manifest_record first, second;
    struct esp_buf again;
    enum esp_status status = esp_decode_snapshot_manifest(bytes, &first, NULL);
    if (status != ESP_OK) {
        ESP_CHECK(11, status == ESP_EDECODE || status == ESP_ESCHEMA);
        ESP_CHECK(12, first.chunk_offsets == NULL && first.inputs == NULL && first.rewinds == NULL);
        return;
    }
    ESP_CHECK(13, first.n_chunks > 0 && first.n_chunks <= bytes.size);
    ESP_CHECK(14, first.size >= first.n_chunks);
    esp_buf_init(&again, AGAIN_CAP);
    ESP_CHECK(15, esp_encode_snapshot_manifest(&again, &first, NULL) == ESP_OK);
    ESP_CHECK(16, esp_decode_snapshot_manifest(esp_buf_bytes(&again), &second, NULL) == ESP_OK);
    ESP_CHECK(17, esp_snapshot_id_equal(&first.id, &second.id) && first.size == second.size &&
                      first.n_chunks == second.n_chunks && first.n_inputs == second.n_inputs &&
                      first.n_rewinds == second.n_rewinds &&
                      esp_bytes_equal(first.manifest, second.manifest));
    for (size_t i = 0; i < first.n_chunks; i++)
        ESP_CHECK(18, first.chunk_offsets[i] == second.chunk_offsets[i] &&
                          first.chunk_checksums[i] == second.chunk_checksums[i]);
    esp_snapshot_manifest_record_release(&first);
    esp_snapshot_manifest_record_release(&second);
    esp_buf_release(&again);
}

static void try_key(struct esp_bytes bytes)
{
    struct esp_snapshot_id id;
    int32_t index;
    char key[ESP_SNAPSHOT_KEY_SIZE];
    if (!esp_snapshot_key_parse(bytes, &id, &index))
        return;
    size_t n = esp_snapshot_key(&id, index, key);
    ESP_CHECK(21, esp_bytes_equal(esp_bytes(key, n), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[N_KINDS])(struct esp_bytes) = {try_chunk, try_manifest, try_key};
    if (size == 0)
        return 0;
    uint8_t *copy = g_memdup2(data, size); /* of just this size, for the sanitizer */
    tries[data[0] % N_KINDS](esp_bytes(copy + 1, size - 1));
    g_free(copy);
    return 0;
}
