/*
 * framing_fuzz.c - any record in any framing is rejected for one reason, or its header, sampling
 * fields and features can be read.
 *
 *     0  1  framing (mod 3: confluent, single-object, bare)
 *     1  .  the record
 */
#include <glib.h>
#include <stdint.h>

#include "core/check.h"
#include "core/hash.h"
#include "event/event.h"
#include "testkit.h"

enum { N_FRAMINGS = 3, N_FEATURES = 8 };

static struct esp_decoder *new_decoder(enum esp_framing framing)
{
    static const char *const features[N_FEATURES] = {"user_id",   "app.bundle",   "geo.region",
                                                     "device.os", "hour",         "bid_floor",
                                                     "segments",  "impression_id"};
    struct esp_schema_file file = {framing == ESP_FRAMING_CONFLUENT ? 1 : -1,
                                   ESP_SOURCE_DIR "/schemas/impression.avsc", "fuzz"};
    const struct esp_decoder_config config = {.kind = ESP_IMPRESSION,
                                              .topic = "impressions",
                                              .framing = framing,
                                              .writers = &file,
                                              .n_writers = 1,
                                              .id_path = "impression_id",
                                              .time_path = "event_time",
                                              .holdout_path = "user_id",
                                              .weight_path = "bid_floor",
                                              .time_max_us = INT64_MAX,
                                              .max_record_bytes = 1 << 16,
                                              .feature_paths = features,
                                              .n_features = N_FEATURES};
    struct esp_decoder *decoder = NULL;
    struct esp_error err = {0};
    if (esp_decoder_new(&config, &decoder, &err) != ESP_OK)
        g_error("%s", err.text);
    return decoder;
}

static void check_accepted(struct esp_decoder *decoder, const struct esp_header *header)
{
    struct esp_value values[N_FEATURES];
    struct esp_value_scratch scratch = {0};
    struct esp_sampling_fields fields;
    const struct esp_writer *writer = esp_decoder_writer(decoder, header->writer);
    ESP_CHECK(1, header->id.size > 0 && header->id.data >= header->payload.data);
    ESP_CHECK(2, header->id.data + header->id.size <= header->payload.data + header->payload.size);
    ESP_CHECK(3, header->id_hash == esp_hash(header->id) && header->time_us >= 0);
    esp_writer_sampling_fields(writer, header->payload, &fields);
    ESP_CHECK(4, fields.holdout_key.size > 0 && fields.weight > 0);
    ESP_CHECK(5, esp_writer_features(writer, header->payload, values, &scratch, NULL) == ESP_OK);
    ESP_CHECK(6, values[0].type == ESP_VALUE_TEXT && values[4].type == ESP_VALUE_INT);
    ESP_CHECK(7, values[6].type == ESP_VALUE_ARRAY);
    ESP_CHECK(8, esp_bytes_equal(values[7].u.bytes, header->id));
    esp_value_scratch_release(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum esp_framing framings[N_FRAMINGS] = {ESP_FRAMING_CONFLUENT, ESP_FRAMING_SINGLE,
                                                          ESP_FRAMING_BARE};
    static struct esp_decoder *decoders[N_FRAMINGS]; /* for the life of the program */
    if (size == 0)
        return 0;
    size_t which = data[0] % N_FRAMINGS;
    if (decoders[which] == NULL)
        decoders[which] = new_decoder(framings[which]);
    uint8_t *copy = g_memdup2(data, size); /* of just this size, for the sanitizer */
    struct esp_record record = {.value = esp_bytes(copy + 1, size - 1), .offset = 3};
    struct esp_header header;
    ESP_CHECK(0, esp_decoder_headers(decoders[which], &record, 1, &header, NULL) == ESP_OK);
    ESP_CHECK(9, header.reject < ESP_N_REJECTS && header.offset == 3);
    if (header.reject == ESP_REJECT_NONE)
        check_accepted(decoders[which], &header);
    else
        ESP_CHECK(10, header.payload.data == NULL && header.id.data == NULL);
    g_free(copy);
    return 0;
}
