/*
 * drift_dump.c - a program for tests: prints the drift records below a folder.
 *
 *   drift-dump ROOT          a line a record, in the order of the log:
 *                            KEY SETUP SNAPSHOT EXAMPLES BYTES
 *   drift-dump ROOT --curve  pooled by age: MODEL TASK AGE WINDOWS LOSS DRIFT_LOSS LOW HIGH,
 *                            "-" for what is undefined
 *
 * A record that stands there twice, or cannot be read, is an error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drift/pooled.h"

enum { READ_BATCH = 256 };

struct dump {
    bool curve;
    struct esp_drift_reader reader;
    struct esp_drift_record *records; /* (n) with texts of their own */
    size_t n, capacity;
};

static struct esp_bytes copy_of(struct esp_bytes text)
{
    uint8_t *copy = malloc(text.size + 1);
    if (copy == NULL)
        abort();
    memcpy(copy, text.data, text.size);
    return esp_bytes(copy, text.size);
}

static void print_record(const struct esp_drift_record *record, struct esp_bytes bytes)
{
    char key[ESP_DRIFT_KEY_SIZE];
    printf("%s %.*s %" PRId64 " %" PRId64 " ", esp_drift_key(record, key),
           record->setup.size > 0 ? (int)record->setup.size : 1,
           record->setup.size > 0 ? (const char *)record->setup.data : "-",
           record->snapshot == ESP_DRIFT_NO_SNAPSHOT ? -1 : record->snapshot, record->examples);
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
    putchar('\n');
}

static enum esp_status take(struct dump *dump, const struct esp_record *from, struct esp_error *err)
{
    struct esp_drift_record record;
    enum esp_status status = esp_drift_reader_decode(&dump->reader, from, &record, err);
    if (status != ESP_OK)
        return status;
    if (!dump->curve)
        print_record(&record, from->value);
    void *records = dump->records;
    status = esp_array_grow(&records, &dump->capacity, dump->n + 1, sizeof *dump->records, err);
    dump->records = records;
    if (status != ESP_OK)
        return status;
    record.run = copy_of(record.run);
    record.model = copy_of(record.model);
    record.setup = copy_of(record.setup);
    dump->records[dump->n++] = record;
    return ESP_OK;
}

static enum esp_status read_all(struct dump *dump, const char *root, struct esp_error *err)
{
    struct esp_log *log = NULL;
    struct esp_log_reader *reader = NULL;
    enum esp_log_position position = ESP_LOG_MORE;
    enum esp_status status = esp_drift_reader_init(&dump->reader, err);
    if (status == ESP_OK)
        status = esp_log_open_files(root, "null", NULL, NULL, &log, err);
    if (status == ESP_OK)
        status = esp_log_reader_new(log, "espalier.drift", 0, ESP_OFFSET_EARLIEST, false,
                                    &dump->reader.framer, &reader, err);
    while (status == ESP_OK && position != ESP_LOG_ENDED) {
        struct esp_record records[READ_BATCH];
        size_t n = 0;
        status = esp_log_read(reader, records, READ_BATCH, 1000000, &n, &position, err);
        for (size_t i = 0; status == ESP_OK && i < n; i++)
            status = take(dump, &records[i], err);
    }
    esp_log_reader_free(reader);
    esp_log_free(log);
    return status;
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static enum esp_status check_keys(const struct dump *dump, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    char **keys = calloc(dump->n + 1, sizeof *keys), text[ESP_DRIFT_KEY_SIZE];
    for (size_t i = 0; i < dump->n; i++)
        keys[i] = strdup(esp_drift_key(&dump->records[i], text));
    qsort(keys, dump->n, sizeof *keys, by_text);
    for (size_t i = 1; status == ESP_OK && i < dump->n; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            status = esp_fail(err, ESP_EDATA, "%s stands there twice", keys[i]);
    for (size_t i = 0; i < dump->n; i++)
        free(keys[i]);
    free(keys);
    return status;
}

static void print_curves(const struct esp_drift_report *report)
{
    for (size_t e = 0; e < report->n_entries; e++) {
        const struct esp_drift_entry *entry = &report->entries[e];
        for (size_t k = 0; k < entry->curve.n_points; k++) {
            const struct esp_drift_point *point = &entry->curve.points[k];
            const struct esp_figure *loss = &point->pool.figures.log_loss;
            const struct esp_figure *drift = &point->pool.drift_loss;
            printf("%.*s %s %d %zu", (int)entry->model.size, (const char *)entry->model.data,
                   esp_drift_task_name(entry->task), point->age, point->pool.n_windows);
            printf(loss->defined ? " %.6f" : " -", loss->value);
            printf(drift->defined ? " %.6f" : " -", drift->value);
            printf(drift->has_interval ? " %.6f %.6f\n" : " - -\n", drift->low, drift->high);
        }
    }
}

int main(int argc, char **argv)
{
    struct dump dump = {.curve = argc > 2 && strcmp(argv[2], "--curve") == 0};
    struct esp_error err = {0};
    struct esp_drift_report report = {0};
    enum esp_status status =
        argc < 2 ? esp_fail(&err, ESP_EINVAL, "give a folder") : read_all(&dump, argv[1], &err);
    if (status == ESP_OK)
        status = check_keys(&dump, &err);
    if (status == ESP_OK && dump.curve) {
        status = esp_drift_report_init(&report, dump.records, dump.n, &err);
        print_curves(&report);
    }
    esp_drift_report_release(&report);
    for (size_t i = 0; i < dump.n; i++) {
        free((void *)dump.records[i].run.data);
        free((void *)dump.records[i].model.data);
        free((void *)dump.records[i].setup.data);
    }
    free(dump.records);
    if (status != ESP_OK)
        fprintf(stderr, "drift-dump: %s\n", err.text);
    return status == ESP_OK ? 0 : 1;
}
