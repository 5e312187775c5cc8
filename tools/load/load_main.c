/*
 * load_main.c - espalier-load: rows of CSV or JSON lines become Avro records of a topic.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_options.h"
#include "rows.h"
#include "sorter.h"
#include "target.h"

enum {
    MAX_RECORD_BYTES = 1 << 24,
    MAX_REPORTS = 20, /* bad rows that are described; the others are counted */
};

struct counts {
    uint64_t read, written, filtered, bad;
};

struct load {
    const struct load_options *options;
    struct load_target target;
    struct load_rows *rows;
    struct esp_log *log;
    struct esp_log_writer *writer;
    struct load_sorter sorter; /* used with --sort */
    struct esp_buf record;
    struct counts counts;
};

static enum esp_status open_target(struct load *load, struct esp_error *err)
{
    const struct load_options *options = load->options;
    struct esp_schema *schema = NULL;
    enum esp_status status;
    if (options->schema != NULL) {
        status = esp_schema_read(options->schema, &schema, err);
    } else {
        char *json = NULL;
        status = load_mappings_schema(&options->mappings, options->record_name, &json, err);
        if (status == ESP_OK)
            status = esp_schema_parse(json, strlen(json), &schema, err);
        free(json);
    }
    if (status != ESP_OK)
        return status;
    struct load_notes notes = {options->key, options->sort, options->timestamp};
    return load_target_init(&load->target, schema, &options->mappings, &notes, err);
}

static enum esp_status open_writer(struct load *load, struct esp_error *err)
{
    const struct load_options *options = load->options;
    size_t n = 0;
    enum esp_status status = destination_open(&options->destination, &load->log, err);
    if (status == ESP_OK)
        status = destination_topic(&options->destination, load->log, options->topic, &n, NULL, err);
    if (status != ESP_OK)
        return status;
    struct esp_log_writer_config config = {
        .topic = options->topic,
        .n_partitions = n,
        .schema_json = load->target.schema->json,
    };
    return esp_log_writer_new(load->log, &config, &load->writer, err);
}

static enum esp_status append(struct load *load, struct esp_bytes key, struct esp_bytes value,
                              int64_t time_us, struct esp_error *err)
{
    enum esp_status status =
        esp_log_append(load->writer, ESP_PARTITION_BY_KEY, key, value, time_us, err);
    if (status == ESP_OK)
        load->counts.written++;
    return status;
}

/* Counts a bad row, and describes it unless many were described before. */
static void report_bad(struct load *load, uint64_t line, const char *what)
{
    if (++load->counts.bad <= MAX_REPORTS)
        fprintf(stderr, "%s:%" PRIu64 ": %s\n", load->options->input, line, what);
    if (load->counts.bad == MAX_REPORTS + 1)
        fprintf(stderr, "%s: further bad rows are counted only\n", load->options->input);
}

/* Turns a row into a record and writes it, or keeps it to be sorted. */
static enum esp_status take_row(struct load *load, const struct load_row *row,
                                struct esp_error *err)
{
    struct load_noted noted;
    struct esp_error wrong = {0};
    if (!load_where_takes(&load->options->where, row)) {
        load->counts.filtered++;
        return ESP_OK;
    }
    esp_buf_clear(&load->record);
    enum esp_status status = destination_put_framing(&load->options->destination, &load->record,
                                                     load->target.schema->fingerprint, 0, err);
    if (status != ESP_OK)
        return status;
    status = load_target_put(&load->target, row, &load->record, &noted, &wrong);
    if (status == ESP_EDATA || status == ESP_ELIMIT) {
        report_bad(load, row->line, wrong.text);
        return ESP_OK;
    }
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", wrong.text);
    struct esp_bytes value = esp_buf_bytes(&load->record);
    if (load->options->sort == NULL)
        return append(load, noted.key, value, noted.time_us, err);
    status = load_sorter_add(&load->sorter, noted.sort, noted.time_us, noted.key, value, &wrong);
    if (status == ESP_ELIMIT)
        return esp_fail(err, ESP_ELIMIT,
                        "--sort holds all records in memory, and they are over %" PRIu64
                        " MiB; raise --sort-limit, or sort the file before",
                        load->options->sort_limit_mib);
    return status == ESP_OK ? ESP_OK : esp_fail(err, status, "%s", wrong.text);
}

static enum esp_status read_all(struct load *load, struct esp_error *err)
{
    for (;;) {
        struct load_row row;
        struct esp_error wrong = {0};
        enum esp_status status = ESP_OK;
        switch (load_rows_next(load->rows, &row, &wrong)) {
        case LOAD_END:
            return ESP_OK;
        case LOAD_FAILED:
            return esp_fail(err, wrong.status, "%s", wrong.text);
        case LOAD_BAD_ROW:
            load->counts.read++;
            report_bad(load, row.line, wrong.text);
            break;
        case LOAD_ROW:
            load->counts.read++;
            status = take_row(load, &row, err);
            break;
        }
        if (status != ESP_OK)
            return status;
    }
}

static enum esp_status write_sorted(struct load *load, struct esp_error *err)
{
    struct load_sorter *sorter = &load->sorter;
    enum esp_status status = ESP_OK;
    load_sorter_sort(sorter);
    for (size_t i = 0; i < sorter->n && status == ESP_OK; i++) {
        const struct load_sorted *item = &sorter->items[i];
        const uint8_t *at = sorter->bytes.data + item->begin;
        status = append(load, esp_bytes(at, item->key_size),
                        esp_bytes(at + item->key_size, item->value_size), item->time_us, err);
    }
    return status;
}

static enum esp_status run(struct load *load, FILE *input, struct esp_error *err)
{
    const struct load_options *options = load->options;
    enum esp_status status = open_target(load, err);
    if (status == ESP_OK)
        status = load_rows_new(input, options->input, options->format, options->delimiter,
                               &options->columns, &load->rows, err);
    if (status == ESP_OK)
        status = open_writer(load, err);
    if (status == ESP_OK)
        status = read_all(load, err);
    if (status == ESP_OK)
        status = write_sorted(load, err);
    if (status == ESP_OK)
        status = esp_log_flush(load->writer, DESTINATION_PATIENCE, err);
    if (status != ESP_OK)
        return status;
    printf("%s: %" PRIu64 " rows read = %" PRIu64 " written + %" PRIu64 " filtered + %" PRIu64
           " bad\n",
           options->topic, load->counts.read, load->counts.written, load->counts.filtered,
           load->counts.bad);
    if (load->counts.bad > options->max_bad)
        return esp_fail(err, ESP_EDATA,
                        "%" PRIu64 " bad rows were left out; mend them, or allow them with "
                        "--max-bad",
                        load->counts.bad);
    return ESP_OK;
}

static void release(struct load *load)
{
    esp_log_writer_free(load->writer);
    esp_log_free(load->log);
    load_rows_free(load->rows);
    load_target_release(&load->target);
    load_sorter_release(&load->sorter);
    esp_buf_release(&load->record);
}

static enum esp_status load_input(const struct load_options *options, struct esp_error *err)
{
    bool is_stdin = strcmp(options->input, "-") == 0;
    FILE *input = is_stdin ? stdin : fopen(options->input, "re");
    if (input == NULL)
        return esp_fail(err, ESP_EIO, "cannot read %s: %s", options->input, strerror(errno));
    struct load load = {.options = options};
    esp_buf_init(&load.record, MAX_RECORD_BYTES);
    load_sorter_init(&load.sorter, (size_t)options->sort_limit_mib << 20);
    enum esp_status status = run(&load, input, err);
    release(&load);
    if (!is_stdin)
        fclose(input);
    return status;
}

int main(int argc, char **argv)
{
    struct esp_error err = {0};
    struct load_options options = {0};
    enum esp_status status = load_options_parse(argc, argv, &options, &err);
    if (status == ESP_OK)
        status = load_input(&options, &err);
    load_options_release(&options);
    if (status == ESP_OK)
        return 0;
    fprintf(stderr, "espalier-load: %s\n", err.text);
    return esp_status_exit_code(status);
}
