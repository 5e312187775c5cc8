/* log_helper.c - see log_helper.h. */
#include "log_helper.h"

#include "core/varint.h"
#include "log/container_parse.h"

const char test_schema[] =
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"b\",\"type\":\"bytes\"}]}";

static enum esp_status open_schema(void *context, const char *json, size_t size,
                                   const void **out_schema, struct esp_error *err)
{
    (void)context;
    static const int token = 1;
    GString *text = g_string_new_len(json, (gssize)size);
    bool is_ours = strstr(text->str, "\"r\"") != NULL && strstr(text->str, "bytes") != NULL;
    g_string_free(text, TRUE);
    if (!is_ours)
        return esp_fail(err, ESP_ESCHEMA, "schema is not the test's");
    *out_schema = &token;
    return ESP_OK;
}

static ptrdiff_t skip_record(const void *schema, struct esp_bytes bytes)
{
    (void)schema;
    size_t at = 0;
    int64_t n = 0;
    if (esp_parse_long(bytes, &at, &n) != ESP_PARSE_OK || n < 0 || (uint64_t)n > bytes.size - at)
        return -1;
    return (ptrdiff_t)(at + (size_t)n);
}

const struct esp_log_framer test_framer = {NULL, open_schema, skip_record};

size_t test_record(uint8_t *out, size_t capacity, const void *content, size_t size)
{
    size_t n = esp_varint_put((int64_t)size, out);
    g_assert_cmpuint(n + size, <=, capacity);
    memcpy(out + n, content, size);
    return n + size;
}

void test_reports_init(struct test_reports *reports)
{
    reports->text = g_string_new(NULL);
    reports->n = 0;
    g_mutex_init(&reports->lock);
}

void test_reports_release(struct test_reports *reports)
{
    g_string_free(reports->text, TRUE);
    g_mutex_clear(&reports->lock);
}

void test_report(void *context, const struct esp_log_event *event)
{
    struct test_reports *reports = context;
    g_mutex_lock(&reports->lock);
    g_string_append_printf(reports->text, "%s\n", event->text);
    reports->n++;
    g_mutex_unlock(&reports->lock);
}

bool test_reports_have(struct test_reports *reports, const char *text)
{
    g_mutex_lock(&reports->lock);
    bool has = strstr(reports->text->str, text) != NULL;
    g_mutex_unlock(&reports->lock);
    return has;
}

void test_write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb"); /* g_file_set_contents() would wait for the disk */
    g_assert_true(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static void bytes_unref(void *bytes)
{
    if (bytes != NULL)
        g_bytes_unref(bytes);
}

void test_read_init(struct test_read *read)
{
    memset(read, 0, sizeof *read);
    read->contents = g_ptr_array_new_with_free_func(bytes_unref);
    read->offsets = g_array_new(FALSE, FALSE, sizeof(int64_t));
    read->log_times = g_array_new(FALSE, FALSE, sizeof(int64_t));
}

void test_read_release(struct test_read *read)
{
    g_ptr_array_unref(read->contents);
    g_array_unref(read->offsets);
    g_array_unref(read->log_times);
}

static void take(struct test_read *read, const struct esp_record *record, bool framed)
{
    struct esp_bytes value = record->value;
    size_t at = 0;
    int64_t n = (int64_t)value.size;
    if (!framed && esp_parse_long(value, &at, &n) != ESP_PARSE_OK)
        g_test_fail_printf("a record at offset %ld is malformed", (long)record->offset);
    g_ptr_array_add(read->contents,
                    value.data == NULL ? NULL : g_bytes_new(value.data + at, (gsize)n));
    g_array_append_val(read->offsets, record->offset);
    g_array_append_val(read->log_times, record->log_time_us);
}

void test_read_all(struct esp_log_reader *reader, size_t batch, bool framed, int64_t timeout_us,
                   struct test_read *read)
{
    struct esp_record *records = g_new(struct esp_record, batch);
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    read->position = ESP_LOG_MORE;
    while (read->position == ESP_LOG_MORE && read->status == ESP_OK) {
        size_t n = 0;
        read->status =
            esp_log_read(reader, records, batch, timeout_us, &n, &read->position, &read->err);
        for (size_t i = 0; i < n; i++)
            take(read, &records[i], framed);
        if (g_get_monotonic_time() > deadline) {
            g_test_fail_printf("the end was not reached within a minute");
            break;
        }
    }
    esp_log_reader_stats(reader, &read->stats);
    g_free(records);
}

void test_read_partition(struct esp_log *log, const char *topic, size_t partition, int64_t offset,
                         size_t batch, struct test_read *read)
{
    struct esp_log_reader *reader = NULL;
    read->status =
        esp_log_reader_new(log, topic, partition, offset, false, &test_framer, &reader, &read->err);
    if (read->status != ESP_OK)
        return;
    bool framed = strcmp(esp_log_kind(log), "kafka") == 0;
    test_read_all(reader, batch, framed, ESP_SECOND, read);
    esp_log_reader_free(reader);
}

const char *test_content(const struct test_read *read, size_t i)
{
    static char text[256];
    if (i >= read->contents->len || g_ptr_array_index(read->contents, i) == NULL)
        return "?";
    gsize n = 0;
    const void *data = g_bytes_get_data(g_ptr_array_index(read->contents, i), &n);
    snprintf(text, sizeof text, "%.*s", (int)n, (const char *)data);
    return text;
}

struct esp_log *test_files_open(const char *root, const char *codec, struct test_reports *reports)
{
    struct esp_log *log = NULL;
    struct esp_error err = {0};
    if (esp_log_open_files(root, codec, test_report, reports, &log, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return log;
}

struct esp_log_writer *test_writer_open(struct esp_log *log, const char *topic, size_t n_partitions,
                                        uint64_t roll_bytes)
{
    struct esp_log_writer *writer = NULL;
    struct esp_error err = {0};
    struct esp_log_writer_config config = {topic, n_partitions, test_schema, roll_bytes};
    if (esp_log_writer_new(log, &config, &writer, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return writer;
}

void test_append(struct esp_log_writer *writer, int32_t partition, const char *key,
                 const char *text)
{
    uint8_t record[1 << 10];
    struct esp_error err = {0};
    size_t n = test_record(record, sizeof record, text, strlen(text));
    struct esp_bytes key_bytes = key == NULL ? esp_bytes(NULL, 0) : esp_bytes_of(key);
    if (esp_log_append(writer, partition, key_bytes, esp_bytes(record, n), ESP_TIME_NONE, &err) !=
        ESP_OK)
        g_test_fail_printf("%s", err.text);
}
