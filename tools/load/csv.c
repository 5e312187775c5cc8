/*
 * csv.c - see csv.h.
 *
 * A field is read in one of two states: plain up to a delimiter or line end, or quoted up to a
 * quote that is not doubled. What is wrong costs the line it stands on and nothing more.
 */
#include "csv.h"

#include <stdlib.h>

enum { CHUNK_BYTES = 1 << 16 };

enum { NO_BYTE = -1, FAILED_BYTE = -2 };

enum esp_status csv_reader_init(struct csv_reader *reader, csv_read *read, void *context,
                                char delimiter, struct esp_error *err)
{
    *reader = (struct csv_reader){
        .read = read, .context = context, .delimiter = (uint8_t)delimiter, .line = 1};
    esp_buf_init(&reader->record, CSV_MAX_RECORD_BYTES);
    reader->chunk = malloc(CHUNK_BYTES);
    reader->fields = calloc(CSV_MAX_FIELDS, sizeof *reader->fields);
    reader->ends = calloc(CSV_MAX_FIELDS, sizeof *reader->ends);
    if (reader->chunk == NULL || reader->fields == NULL || reader->ends == NULL ||
        esp_buf_reserve(&reader->record, CSV_MAX_RECORD_BYTES, NULL) != ESP_OK) {
        csv_reader_release(reader);
        return esp_fail(err, ESP_ENOMEM, "out of memory for reading CSV");
    }
    return ESP_OK;
}

void csv_reader_release(struct csv_reader *reader)
{
    free(reader->chunk);
    free(reader->fields);
    free(reader->ends);
    esp_buf_release(&reader->record);
    *reader = (struct csv_reader){0};
}

/* Reads on when the chunk is used up. The byte that is next, NO_BYTE at the end, FAILED_BYTE. */
static int refill(struct csv_reader *reader)
{
    if (reader->ended)
        return NO_BYTE;
    ptrdiff_t n = reader->read(reader->context, reader->chunk, CHUNK_BYTES);
    if (n < 0)
        return FAILED_BYTE;
    reader->chunk_begin = 0;
    reader->chunk_end = (size_t)n;
    reader->ended = n == 0;
    return n == 0 ? NO_BYTE : reader->chunk[0];
}

static inline int peek(struct csv_reader *reader)
{
    return reader->chunk_begin < reader->chunk_end ? reader->chunk[reader->chunk_begin]
                                                   : refill(reader);
}

/* Takes the byte that peek() gave. */
static inline void take(struct csv_reader *reader, int byte)
{
    reader->chunk_begin++;
    reader->line += byte == '\n';
}

static bool keep(struct csv_reader *reader, int byte)
{
    if (reader->record.size == CSV_MAX_RECORD_BYTES)
        return false;
    reader->record.data[reader->record.size++] = (uint8_t)byte;
    return true;
}

/* Passes over the rest of a line that is no record. */
static enum csv_result skip_line(struct csv_reader *reader, const char *reason,
                                 const char **out_reason)
{
    int byte;
    while ((byte = peek(reader)) >= 0) {
        take(reader, byte);
        if (byte == '\n')
            break;
    }
    *out_reason = reason;
    return byte == FAILED_BYTE ? CSV_FAILED : CSV_BAD;
}

/* Passes over a byte order mark and empty lines. */
static int skip_to_record(struct csv_reader *reader)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    int byte;
    if (!reader->started && peek(reader) >= 0 && reader->chunk_end >= sizeof mark &&
        memcmp(reader->chunk, mark, sizeof mark) == 0)
        reader->chunk_begin += sizeof mark;
    reader->started = true;
    while ((byte = peek(reader)) == '\n' || byte == '\r')
        take(reader, byte);
    return byte;
}

/* Reads quoted content up to its closing quote. NULL, or what is wrong. */
static const char *read_quoted(struct csv_reader *reader)
{
    for (;;) {
        int byte = peek(reader);
        if (byte < 0)
            return "a quoted field does not end";
        take(reader, byte);
        if (byte == '"') {
            if (peek(reader) != '"')
                return NULL;
            take(reader, '"');
        }
        if (!keep(reader, byte))
            return "the record is over 1 MiB; does a quote lack its partner?";
    }
}

/* Reads a field up to what ends it, which is not taken. NULL, or what is wrong. */
static const char *read_field(struct csv_reader *reader)
{
    bool quoted = peek(reader) == '"';
    if (quoted) {
        take(reader, '"');
        const char *wrong = read_quoted(reader);
        if (wrong != NULL)
            return wrong;
    }
    int byte;
    while ((byte = peek(reader)) >= 0 && byte != reader->delimiter && byte != '\n') {
        take(reader, byte);
        if (byte == '\r' && (peek(reader) == '\n' || peek(reader) < 0))
            break;
        if (quoted)
            return "text follows a closing quote";
        if (!keep(reader, byte))
            return "the record is over 1 MiB";
    }
    return NULL;
}

/* Points the fields at their content, now that it does not move any more. */
static void point_fields(struct csv_reader *reader)
{
    size_t begin = 0;
    for (size_t i = 0; i < reader->n_fields; i++) {
        reader->fields[i] = esp_bytes(reader->record.data + begin, reader->ends[i] - begin);
        begin = reader->ends[i];
    }
}

enum csv_result csv_reader_next(struct csv_reader *reader, const char **out_reason)
{
    reader->n_fields = 0;
    esp_buf_clear(&reader->record);
    int byte = skip_to_record(reader);
    reader->first_line = reader->line;
    if (byte < 0)
        return byte == NO_BYTE ? CSV_END : CSV_FAILED;
    for (;;) {
        if (reader->n_fields == CSV_MAX_FIELDS)
            return skip_line(reader, "the record has more than 4096 fields", out_reason);
        const char *wrong = read_field(reader);
        if (wrong != NULL)
            return skip_line(reader, wrong, out_reason);
        reader->ends[reader->n_fields++] = reader->record.size;
        byte = peek(reader);
        if (byte != reader->delimiter)
            break;
        take(reader, byte);
    }
    if (byte == FAILED_BYTE)
        return CSV_FAILED;
    if (byte == '\n')
        take(reader, byte);
    point_fields(reader);
    return CSV_RECORD;
}
