/*
 * csv.h - reads comma-separated values (RFC 4180) record by record from any stream of bytes.
 *
 * A record is a line, unless a quoted field holds line breaks. Quoted fields may hold the
 * delimiter, and quotes that are doubled. Lines end with LF or CRLF; the last may end with the
 * input. Empty lines are passed over, and so is a byte order mark at the beginning. A quote inside
 * an unquoted field is an ordinary character, as most writers of such files mean it.
 */
#ifndef ESP_LOAD_CSV_H
#define ESP_LOAD_CSV_H

#include <stdint.h>

#include "core/buf.h"

enum {
    CSV_MAX_RECORD_BYTES = 1 << 20,
    CSV_MAX_FIELDS = 4096,
};

/* Where bytes come from: as many as fit, fewer only before the end; 0 at the end; -1 on a failure,
 * errno set. */
typedef ptrdiff_t csv_read(void *context, uint8_t *bytes, size_t capacity);

struct csv_reader {
    csv_read *read;
    void *context;
    uint8_t delimiter;
    uint64_t line;       /* 1-based number of the line that the next record begins on */
    uint64_t first_line; /* of the record that was given last */
    uint8_t *chunk;      /* owned: bytes read ahead */
    size_t chunk_begin, chunk_end;
    bool ended, started;
    struct esp_buf record;    /* the fields' content, one after the other */
    struct esp_bytes *fields; /* (n_fields) into the record; owned */
    size_t *ends;             /* (n_fields) where each ends in the record; owned */
    size_t n_fields;
};

enum csv_result {
    CSV_RECORD,
    CSV_END,
    CSV_BAD,    /* not a record: what was wrong is said; the reader goes on after the line */
    CSV_FAILED, /* read failed: errno is set */
};

/* delimiter is neither a quote nor a line break. Errors: ESP_ENOMEM. */
enum esp_status csv_reader_init(struct csv_reader *reader, csv_read *read, void *context,
                                char delimiter, struct esp_error *err);
void csv_reader_release(struct csv_reader *reader);

/*
 * Reads the next record into reader->fields, which stay valid until the next call.
 *
 * *out_reason  set for CSV_BAD
 */
enum csv_result csv_reader_next(struct csv_reader *reader, const char **out_reason);

#endif
