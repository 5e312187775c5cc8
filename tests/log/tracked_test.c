/* tracked_test.c - what a writer and a broker tell of records and topics: offsets, properties. */
#include "broker_helper.h"

#define TIMEOUT (30 * ESP_SECOND)

static const char *broker;

static void append_tracked(struct esp_log_writer *writer, int32_t partition, const char *text,
                           int64_t *offset)
{
    struct esp_error err = {0};
    struct esp_bytes value = text == NULL ? esp_bytes(NULL, 0) : esp_bytes_of(text);
    if (esp_log_append_tracked(writer, partition, esp_bytes_of("key"), value, ESP_TIME_NONE, offset,
                               &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
}

/* Partitions interleave, plain records stand between, and each tracked one knows its place. */
static void test_kafka_offsets(void)
{
    enum { N = 600, N_PARTITIONS = 3 };
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_kafka_open(broker, NULL, &reports);
    char *topic = test_topic_new(log, "tracked", N_PARTITIONS, NULL);
    struct esp_log_writer *writer = test_kafka_writer(log, topic);
    int64_t *offsets = g_new(int64_t, N);
    bool done = false;
    for (int i = 0; i < N; i++) {
        char text[32];
        snprintf(text, sizeof text, "tracked %d", i);
        append_tracked(writer, i % N_PARTITIONS, text, &offsets[i]);
        if (i % 2 == 0)
            test_produce(writer, i % N_PARTITIONS, "key", "plain", ESP_TIME_NONE);
    }
    g_assert_cmpint(esp_log_wait(writer, TIMEOUT, &done, NULL), ==, ESP_OK);
    g_assert_true(done);
    for (size_t p = 0; p < N_PARTITIONS; p++) {
        struct test_read read;
        test_read_init(&read);
        test_read_partition(log, topic, p, ESP_OFFSET_EARLIEST, 100, &read);
        for (int i = (int)p; i < N && !g_test_failed(); i += N_PARTITIONS) {
            char want[32];
            snprintf(want, sizeof want, "tracked %d", i);
            g_assert_cmpint(offsets[i], >=, 0);
            g_assert_cmpstr(test_content(&read, (size_t)offsets[i]), ==, want);
        }
        test_read_release(&read);
    }
    esp_log_writer_free(writer);
    esp_log_free(log);
    test_reports_release(&reports);
    g_free(offsets);
    g_free(topic);
}

/* Once the writer is freed nothing is written to the caller's memory, whatever is under way. */
static void test_abandoned(void)
{
    static const char *const slow[] = {"linger.ms", "60000", NULL};
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_kafka_open(broker, slow, &reports);
    char *topic = test_topic_new(log, "abandoned", 1, NULL);
    struct esp_log_writer *writer = test_kafka_writer(log, topic);
    int64_t *offset = g_new(int64_t, 1);
    bool done = true;
    append_tracked(writer, 0, "never waited for", offset);
    g_assert_cmpint(esp_log_wait(writer, 0, &done, NULL), ==, ESP_OK);
    g_assert_false(done);
    g_assert_cmpint(*offset, ==, -1);
    esp_log_writer_free(writer);
    g_free(offset); /* the sanitizer's to notice */
    struct esp_log_writer *other = test_kafka_writer(log, topic);
    int64_t second = 7;
    append_tracked(other, 0, "after it", &second);
    g_assert_cmpint(esp_log_flush(other, TIMEOUT, NULL), ==, ESP_OK);
    g_assert_cmpint(second, ==, 1);
    esp_log_writer_free(other);
    esp_log_free(log);
    test_reports_release(&reports);
    g_free(topic);
}

static void test_kafka_tombstone(void)
{
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_kafka_open(broker, NULL, &reports);
    char *topic = test_topic_new(log, "tombstone", 1, NULL);
    struct esp_log_writer *writer = test_kafka_writer(log, topic);
    int64_t offset;
    append_tracked(writer, 0, NULL, &offset);
    append_tracked(writer, 0, "", &offset);
    g_assert_cmpint(esp_log_flush(writer, TIMEOUT, NULL), ==, ESP_OK);
    struct esp_log_reader *reader = NULL;
    g_assert_cmpint(esp_log_reader_new(log, topic, 0, 0, false, NULL, &reader, NULL), ==, ESP_OK);
    struct test_read read;
    test_read_init(&read);
    test_read_all(reader, 8, true, ESP_SECOND, &read);
    g_assert_cmpuint(read.contents->len, ==, 2);
    if (read.contents->len == 2) {
        g_assert_null(g_ptr_array_index(read.contents, 0));
        g_assert_nonnull(g_ptr_array_index(read.contents, 1));
    }
    test_read_release(&read);
    esp_log_reader_free(reader);
    esp_log_writer_free(writer);
    esp_log_free(log);
    test_reports_release(&reports);
    g_free(topic);
}

static void test_properties(void)
{
    static const char *const config[] = {"cleanup.policy", "compact", "segment.bytes", "1048576",
                                         NULL};
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_kafka_open(broker, NULL, &reports);
    char *topic = test_topic_new(log, "properties", 1, config);
    struct esp_topic_property properties[] = {
        {"cleanup.policy", ""}, {"segment.bytes", ""}, {"no.such.property", "kept?"}};
    struct esp_error err = {0};
    g_assert_cmpint(esp_log_topic_properties(log, topic, properties, 3, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpstr(properties[0].value, ==, "compact");
    g_assert_cmpstr(properties[1].value, ==, "1048576");
    g_assert_cmpstr(properties[2].value, ==, "");
    g_assert_cmpint(esp_log_topic_properties(log, "test.no-such-topic", properties, 3, &err), ==,
                    ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "test.no-such-topic"));
    g_assert_cmpstr(properties[0].value, ==, "compact");
    esp_log_free(log);
    test_reports_release(&reports);
    g_free(topic);
}

int main(int argc, char **argv)
{
    broker = test_broker_or_skip();
    if (broker == NULL)
        return 0;
    test_start(&argc, &argv);
    g_test_add_func("/a tracked record's offset is known once it is acknowledged",
                    test_kafka_offsets);
    g_test_add_func("/nothing is written to the caller once the writer is freed", test_abandoned);
    g_test_add_func("/a record without a value is a tombstone, one of no bytes is not",
                    test_kafka_tombstone);
    g_test_add_func("/a topic's properties are what it was made with", test_properties);
    return g_test_run();
}
