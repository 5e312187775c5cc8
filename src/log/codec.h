/*
 * codec.h - the compressions of Avro container blocks: null, deflate (RFC 1951, no header),
 * snappy (raw, then the big-endian CRC-32 of the uncompressed bytes).
 *
 * A block that would decode to more than its cap is refused before the memory is spent, so a file
 * of a few bytes cannot fill the machine.
 */
#ifndef ESP_LOG_CODEC_H
#define ESP_LOG_CODEC_H

#include "core/buf.h"

enum esp_codec_id { ESP_CODEC_NULL, ESP_CODEC_DEFLATE, ESP_CODEC_SNAPPY, ESP_N_CODECS };

/* By the name that stands in avro.codec ("": null). Returns false if it is unknown, or if the
 * machine lacks its library; *why is then a text for a person. */
bool esp_codec_find(struct esp_bytes name, enum esp_codec_id *out, const char **why);

/* "null", "deflate", "snappy" */
const char *esp_codec_name(enum esp_codec_id id);

/* Working memory of either direction; { 0 } before use. Not for two threads at once. */
struct esp_codec {
    struct z_stream_s *inflater, *deflater; /* owned; NULL until needed */
};

void esp_codec_release(struct esp_codec *codec);

/*
 * Decodes one block; id is not ESP_CODEC_NULL.
 *
 * out   emptied first; holds the decoded bytes; its cap bounds them
 * why   set where the block is damaged
 * Errors: ESP_EDATA (*why tells), ESP_ENOMEM.
 */
enum esp_status esp_codec_decode(struct esp_codec *codec, enum esp_codec_id id,
                                 struct esp_bytes stored, struct esp_buf *out, const char **why,
                                 struct esp_error *err);

/* Encodes one block; id is not ESP_CODEC_NULL. out is emptied first. The same bytes give the same
 * result on one version of the libraries. Errors: ESP_ENOMEM, ESP_ELIMIT (out's cap). */
enum esp_status esp_codec_encode(struct esp_codec *codec, enum esp_codec_id id,
                                 struct esp_bytes plain, struct esp_buf *out,
                                 struct esp_error *err);

#endif
