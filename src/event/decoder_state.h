/* decoder_state.h - what a decoder holds; shared by decoder.c and decoder_archive.c. */
#ifndef ESP_EVENT_DECODER_STATE_H
#define ESP_EVENT_DECODER_STATE_H

#include <stdatomic.h>

#include "event/event_writer.h"
#include "event/schema_ids.h"

/* A small schema may need long plans: of types that name each other, one a use. */
enum { ESP_MAX_WRITERS = 1024, ESP_MAX_WRITER_BYTES = 128 << 20 /* of all of them */ };

struct esp_decoder {
    struct esp_wanted wanted;
    enum esp_framing framing; /* never AUTO */
    struct esp_arena arena;   /* texts of the configuration, the trees of paths */
    struct esp_schema_ids ids;
    struct esp_schema_source source; /* look_up NULL: there is none */
    const struct esp_writer *bare;   /* what unframed records are; NULL: not known */
    const struct esp_writer *last;   /* single-object: the writer of the record before */
    struct esp_log_framer framer;
    bool id_is_number;
    _Atomic(const char *const *) feature_types; /* (n_features); NULL: not known yet */
    atomic_size_t n_writers;
    size_t n_writer_bytes;                                 /* of who adds them */
    _Atomic(struct esp_writer *) writers[ESP_MAX_WRITERS]; /* owned */
};

/* The writer of this very text, or NULL. */
struct esp_writer *esp_decoder_find_writer(const struct esp_decoder *decoder, const char *json,
                                           size_t size);

/* Compiles a schema, which it takes whatever comes of it, to be appended. Errors: as
 * esp_writer_new(), ESP_ELIMIT. */
enum esp_status esp_decoder_compile(const struct esp_decoder *decoder, struct esp_schema *schema,
                                    struct esp_writer **out, struct esp_error *err);

/* Makes what was compiled last the decoder's newest writer. */
void esp_decoder_append(struct esp_decoder *decoder, struct esp_writer *writer);

/* Keeps in words what the features are, once some schema tells. Errors: ESP_ESCHEMA (a feature that
 * no schema has), ESP_ENOMEM. */
enum esp_status esp_decoder_describe(struct esp_decoder *decoder, struct esp_error *err);

#endif
