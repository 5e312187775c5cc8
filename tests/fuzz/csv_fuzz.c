/*
 * csv_fuzz.c - any bytes as CSV: the loader's reader survives them, goes on after what is bad, and
 * what it read comes out the same once it is written by the book and read again.
 *
 * The first byte of the input chooses the delimiter.
 */
#include "../../tools/load/csv.c"

#include "core/check.h"

struct source {
    const uint8_t *data;
    size_t size, at;
};

static ptrdiff_t read_source(void *context, uint8_t *bytes, size_t capacity)
{
    struct source *source = context;
    size_t n = source->size - source->at;
    if (n > capacity)
        n = capacity;
    if (n > 0)
        memcpy(bytes, source->data + source->at, n);
    source->at += n;
    return (ptrdiff_t)n;
}

static void append(struct esp_buf *buf, const void *data, size_t n)
{
    ESP_CHECK(0, esp_buf_append(buf, data, n, NULL) == ESP_OK);
}

/* Writes a record with every field in quotes. */
static void write_record(struct esp_buf *out, const struct csv_reader *reader)
{
    for (size_t f = 0; f < reader->n_fields; f++) {
        if (f > 0)
            append(out, &reader->delimiter, 1);
        append(out, "\"", 1);
        for (size_t i = 0; i < reader->fields[f].size; i++) {
            const uint8_t *byte = &reader->fields[f].data[i];
            append(out, byte, 1);
            if (*byte == '"')
                append(out, byte, 1);
        }
        append(out, "\"", 1);
    }
    append(out, "\r\n", 2);
}

/*
 * Reads all records and writes them again; returns how many there were.
 *
 * (1) a record has 1 to CSV_MAX_FIELDS fields, of CSV_MAX_RECORD_BYTES at most in all
 * (2) each record begins on a line of its own, in order, and everything is read
 * (3) what is bad has a reason
 */
static size_t copy_records(const uint8_t *data, size_t size, char delimiter, struct esp_buf *out,
                           bool *out_any_bad)
{
    struct source source = {data, size, 0};
    struct csv_reader reader;
    size_t n_records = 0, n_lines = 1;
    uint64_t last_line = 0;
    enum csv_result result;
    for (size_t i = 0; i < size; i++)
        n_lines += data[i] == '\n';
    ESP_CHECK(0, csv_reader_init(&reader, read_source, &source, delimiter, NULL) == ESP_OK);
    const char *reason = NULL;
    while ((result = csv_reader_next(&reader, &reason)) != CSV_END) {
        ESP_CHECK(2, reader.first_line > last_line && reader.first_line <= n_lines);
        last_line = reader.first_line;
        if (result == CSV_BAD) {
            *out_any_bad = true;
            ESP_CHECK(3, reason != NULL);
            reason = NULL;
            continue;
        }
        ESP_CHECK(0, result == CSV_RECORD);
        ESP_CHECK(1, reader.n_fields > 0 && reader.n_fields <= CSV_MAX_FIELDS);
        ESP_CHECK(1, reader.record.size <= CSV_MAX_RECORD_BYTES);
        write_record(out, &reader);
        n_records++;
    }
    ESP_CHECK(2, source.at == size);
    csv_reader_release(&reader);
    return n_records;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX_OUTPUT = 1 << 27 };
    static const char delimiters[] = {',', ';', '\t', '|', ' ', 'x'};
    if (size == 0)
        return 0;
    char delimiter = delimiters[data[0] % sizeof delimiters];
    struct esp_buf once, twice;
    bool bad = false, bad_again = false;
    esp_buf_init(&once, MAX_OUTPUT);
    esp_buf_init(&twice, MAX_OUTPUT);
    size_t n = copy_records(data + 1, size - 1, delimiter, &once, &bad);
    size_t n_again = copy_records(once.data, once.size, delimiter, &twice, &bad_again);
    /* (4) nothing is lost or invented, and what was written by the book is not bad */
    ESP_CHECK(4, n == n_again && !bad_again);
    ESP_CHECK(4, esp_bytes_equal(esp_buf_bytes(&once), esp_buf_bytes(&twice)));
    esp_buf_release(&once);
    esp_buf_release(&twice);
    return 0;
}
