/* kafka_test.c - the kafka log against a real broker, which ESPALIER_TEST_BROKER names. */
#include <librdkafka/rdkafka.h>

#include "broker_helper.h"

#define TIMEOUT (30 * ESP_SECOND)

static const char *broker;

struct fixture {
    struct test_reports reports;
    struct esp_log *log;
};

static void set_up(struct fixture *fixture, gconstpointer more)
{
    test_reports_init(&fixture->reports);
    fixture->log = test_kafka_open(broker, more, &fixture->reports);
}

static void tear_down(struct fixture *fixture, gconstpointer more)
{
    (void)more;
    esp_log_free(fixture->log);
    test_reports_release(&fixture->reports);
}

static void flush(struct esp_log_writer *writer)
{
    struct esp_error err = {0};
    if (esp_log_flush(writer, TIMEOUT, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
}

/* Every partition gives what was put into it, in order, and ends. */
static void test_round_trip(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    enum { N = 30000, N_PARTITIONS = 3 };
    char *topic = test_topic_new(fixture->log, "round-trip", N_PARTITIONS, NULL);
    size_t n_partitions = 0;
    g_assert_cmpint(esp_log_partitions(fixture->log, topic, TIMEOUT, &n_partitions, NULL), ==,
                    ESP_OK);
    g_assert_cmpuint(n_partitions, ==, N_PARTITIONS);
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    for (int i = 0; i < N && !g_test_failed(); i++) {
        char text[32];
        snprintf(text, sizeof text, "record %d", i);
        test_produce(writer, i % N_PARTITIONS, "k", text, (1000000 + i) * ESP_MS);
    }
    flush(writer);
    esp_log_writer_free(writer);
    for (int p = 0; p < N_PARTITIONS && !g_test_failed(); p++) {
        struct test_read read;
        test_read_init(&read);
        test_read_partition(fixture->log, topic, (size_t)p, ESP_OFFSET_EARLIEST, 500, &read);
        g_assert_cmpstr(read.err.text, ==, "");
        g_assert_cmpint(read.position, ==, ESP_LOG_ENDED);
        g_assert_cmpuint(read.contents->len, ==, N / N_PARTITIONS);
        g_assert_cmpint(read.stats.next_offset, ==, N / N_PARTITIONS);
        g_assert_cmpint(read.stats.end_offset, ==, N / N_PARTITIONS);
        for (int i = 0; i < N / N_PARTITIONS && !g_test_failed(); i++) {
            char want[32];
            int number = i * N_PARTITIONS + p;
            snprintf(want, sizeof want, "record %d", number);
            g_assert_cmpstr(test_content(&read, (size_t)i), ==, want);
            g_assert_cmpint(g_array_index(read.offsets, int64_t, i), ==, i);
            g_assert_cmpint(g_array_index(read.log_times, int64_t, i), ==,
                            (1000000 + number) * ESP_MS);
        }
        test_read_release(&read);
    }
    g_free(topic);
}

/* A key goes where esp_log_partition_of() says; no key goes round. */
static void test_partitioner(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    enum { N = 200, N_PARTITIONS = 4 };
    char *topic = test_topic_new(fixture->log, "partitioner", N_PARTITIONS, NULL);
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    size_t want[N_PARTITIONS] = {0};
    for (int i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", i);
        test_produce(writer, ESP_PARTITION_BY_KEY, key, key, ESP_TIME_NONE);
        want[esp_log_partition_of(esp_bytes_of(key), N_PARTITIONS)]++;
    }
    for (int i = 0; i < N; i++) {
        test_produce(writer, ESP_PARTITION_BY_KEY, NULL, "none", ESP_TIME_NONE);
        want[i % N_PARTITIONS]++;
    }
    flush(writer);
    esp_log_writer_free(writer);
    for (uint32_t p = 0; p < N_PARTITIONS; p++) {
        struct test_read read;
        test_read_init(&read);
        test_read_partition(fixture->log, topic, p, ESP_OFFSET_EARLIEST, 64, &read);
        g_assert_cmpuint(read.contents->len, ==, want[p]);
        for (size_t i = 0; i < read.contents->len; i++) {
            const char *key = test_content(&read, i);
            g_assert_true(strcmp(key, "none") == 0 ||
                          esp_log_partition_of(esp_bytes_of(key), N_PARTITIONS) == p);
        }
        test_read_release(&read);
    }
    g_free(topic);
}

/* Records that came after the opening are not of a bounded reader's. */
static void test_bounded_end(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "bounded", 1, NULL);
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    for (int i = 0; i < 10; i++)
        test_produce(writer, 0, NULL, "before", ESP_TIME_NONE);
    flush(writer);
    struct esp_log_reader *reader = NULL;
    g_assert_cmpint(esp_log_reader_new(fixture->log, topic, 0, 4, false, NULL, &reader, NULL), ==,
                    ESP_OK);
    for (int i = 0; i < 10; i++)
        test_produce(writer, 0, NULL, "after", ESP_TIME_NONE);
    flush(writer);
    struct test_read read;
    test_read_init(&read);
    test_read_all(reader, 4, true, ESP_SECOND, &read);
    g_assert_cmpint(read.position, ==, ESP_LOG_ENDED);
    g_assert_cmpuint(read.contents->len, ==, 6);
    for (size_t i = 0; i < read.contents->len; i++)
        g_assert_cmpstr(test_content(&read, i), ==, "before");
    test_read_release(&read);
    esp_log_reader_free(reader);

    test_read_init(&read); /* at the very end there is nothing to wait for */
    test_read_partition(fixture->log, topic, 0, 20, 4, &read);
    g_assert_cmpint(read.position, ==, ESP_LOG_ENDED);
    g_assert_cmpuint(read.contents->len, ==, 0);
    test_read_release(&read);
    esp_log_writer_free(writer);
    g_free(topic);
}

/* A following reader says that it is at the end, and goes on when there is more. */
static void test_follow(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "follow", 1, NULL);
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    struct esp_log_reader *reader = NULL;
    g_assert_cmpint(
        esp_log_reader_new(fixture->log, topic, 0, ESP_OFFSET_EARLIEST, true, NULL, &reader, NULL),
        ==, ESP_OK);
    struct test_read read;
    test_read_init(&read);
    test_read_all(reader, 4, true, ESP_SECOND, &read);
    g_assert_cmpint(read.position, ==, ESP_LOG_AT_END);
    g_assert_cmpuint(read.contents->len, ==, 0);
    for (unsigned round = 1; round <= 3; round++) {
        test_produce(writer, 0, "key", "value", ESP_TIME_NONE);
        flush(writer);
        gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
        while (read.contents->len < round && g_get_monotonic_time() < deadline)
            test_read_all(reader, 4, true, ESP_SECOND, &read);
        test_read_all(reader, 4, true, ESP_SECOND, &read);
        g_assert_cmpint(read.position, ==, ESP_LOG_AT_END);
        g_assert_cmpuint(read.contents->len, ==, round);
        g_assert_cmpint(read.stats.end_offset, ==, round);
    }
    test_read_release(&read);
    esp_log_commit(reader);
    esp_log_reader_free(reader);
    esp_log_writer_free(writer);
    g_free(topic);
}

/* Offsets that the broker does not have are an error that names both sides. */
static void test_gap(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "gap", 1, NULL);
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    for (int i = 0; i < 5; i++)
        test_produce(writer, 0, NULL, "value", ESP_TIME_NONE);
    flush(writer);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(fixture->log, topic, 0, 77, 4, &read);
    g_assert_cmpint(read.status, ==, ESP_EDATA);
    g_assert_nonnull(strstr(read.err.text, "offset 77 is beyond the end, 5"));
    test_read_release(&read);
    esp_log_writer_free(writer);
    g_free(topic);
}

/* A producer or consumer of the test's own, for what the log does not do. */
static rd_kafka_t *bare_producer(const char *transactional_id)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", broker, why, sizeof why);
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    if (transactional_id != NULL)
        rd_kafka_conf_set(conf, "transactional.id", transactional_id, why, sizeof why);
    return rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
}

/* Removes what is below an offset, as retention would. */
static void delete_below(const char *topic, int64_t offset)
{
    rd_kafka_t *handle = bare_producer(NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_DeleteRecords(handle, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    g_assert_true(event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(handle);
}

/* Retention has passed: the first offset that is left is where EARLIEST begins. */
static void test_retention(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "retention", 1, NULL);
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    for (int i = 0; i < 10; i++)
        test_produce(writer, 0, NULL, "value", ESP_TIME_NONE);
    flush(writer);
    struct esp_log_reader *reader = NULL;
    g_assert_cmpint(esp_log_reader_new(fixture->log, topic, 0, 0, true, NULL, &reader, NULL), ==,
                    ESP_OK);
    esp_log_reader_free(reader);
    delete_below(topic, 6);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(fixture->log, topic, 0, 2, 4, &read);
    g_assert_cmpint(read.status, ==, ESP_EDATA);
    g_assert_nonnull(
        strstr(read.err.text,
               "offset 2 is wanted, but the first that is still there is 6: 4 records are gone"));
    test_read_release(&read);
    test_read_init(&read);
    test_read_partition(fixture->log, topic, 0, ESP_OFFSET_EARLIEST, 4, &read);
    g_assert_cmpuint(read.contents->len, ==, 4);
    g_assert_true(read.offsets->len > 0 && g_array_index(read.offsets, int64_t, 0) == 6);
    test_read_release(&read);
    esp_log_writer_free(writer);
    g_free(topic);
}

/* One transaction of 3 records, then one that is aborted. */
static void produce_transactions(const char *topic)
{
    char value[] = "value";
    rd_kafka_t *producer = bare_producer(topic);
    rd_kafka_error_t *error = rd_kafka_init_transactions(producer, 30000);
    g_assert_null(error);
    for (int i = 0; i < 2 && error == NULL; i++) {
        g_assert_null(rd_kafka_begin_transaction(producer));
        for (int j = 0; j < 3; j++)
            g_assert_cmpint(
                rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                  RD_KAFKA_V_VALUE(value, sizeof value), RD_KAFKA_V_END),
                ==, RD_KAFKA_RESP_ERR_NO_ERROR);
        g_assert_cmpint(rd_kafka_flush(producer, 30000), ==, RD_KAFKA_RESP_ERR_NO_ERROR);
        error = i == 0 ? rd_kafka_commit_transaction(producer, 30000)
                       : rd_kafka_abort_transaction(producer, 30000);
        g_assert_null(error);
    }
    rd_kafka_destroy(producer);
}

/* The last offsets hold no record to give: markers, and what was aborted. The end comes still. */
static void test_no_record_at_end(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "markers", 1, NULL);
    produce_transactions(topic);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(fixture->log, topic, 0, ESP_OFFSET_EARLIEST, 4, &read);
    g_assert_cmpstr(read.err.text, ==, "");
    g_assert_cmpint(read.position, ==, ESP_LOG_ENDED);
    g_assert_cmpuint(read.contents->len, ==, 3);
    g_assert_cmpint(read.stats.next_offset, ==, 8); /* 3 + marker + 3 + marker */
    test_read_release(&read);
    test_read_init(&read); /* nothing but a marker is left */
    test_read_partition(fixture->log, topic, 0, 3, 4, &read);
    g_assert_cmpint(read.position, ==, ESP_LOG_ENDED);
    g_assert_cmpuint(read.contents->len, ==, 0);
    test_read_release(&read);
    struct esp_log_reader *reader = NULL;
    g_assert_cmpint(esp_log_reader_new(fixture->log, topic, 0, 0, true, NULL, &reader, NULL), ==,
                    ESP_OK);
    test_read_init(&read);
    test_read_all(reader, 4, true, 30 * ESP_SECOND, &read);
    g_assert_cmpint(read.position, ==, ESP_LOG_AT_END);
    g_assert_cmpuint(read.contents->len, ==, 3);
    test_read_release(&read);
    esp_log_reader_free(reader);
    g_free(topic);
}

static void test_special_records(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "special", 1,
                                 (const char *const[]){"cleanup.policy", "compact", NULL});
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    char *big = g_strnfill(900000, 'b');
    test_produce(writer, 0, "a", big, ESP_TIME_NONE);
    test_produce(writer, 0, "a", NULL, 5 * ESP_MS);
    test_produce(writer, 0, "b", "", ESP_TIME_NONE);
    flush(writer);
    struct esp_log_reader *reader = NULL;
    g_assert_cmpint(esp_log_reader_new(fixture->log, topic, 0, 0, false, NULL, &reader, NULL), ==,
                    ESP_OK);
    struct esp_record records[4];
    enum esp_log_position position = ESP_LOG_MORE;
    size_t n_seen = 0;
    while (position != ESP_LOG_ENDED && !g_test_failed()) {
        size_t n = 0;
        g_assert_cmpint(esp_log_read(reader, records, 4, ESP_SECOND, &n, &position, NULL), ==,
                        ESP_OK);
        for (size_t i = 0; i < n; i++) {
            const struct esp_record *record = &records[i];
            static const size_t sizes[] = {900000, 0, 0};
            g_assert_cmpint(record->offset, ==, (int64_t)n_seen);
            g_assert_cmpuint(record->value.size, ==, sizes[n_seen]);
            g_assert_cmpint(record->value.data == NULL, ==, n_seen == 1);
            g_assert_cmpuint(record->key.size, ==, 1);
            g_assert_cmpint(record->key.data[0], ==, n_seen == 2 ? 'b' : 'a');
            g_assert_true(n_seen != 1 || record->log_time_us == 5 * ESP_MS);
            g_assert_null(record->schema);
            n_seen++;
        }
    }
    g_assert_cmpuint(n_seen, ==, 3);
    esp_log_reader_free(reader);
    esp_log_writer_free(writer);
    g_free(big);
    g_free(topic);
}

/* What is too large for the broker is refused for good, and every later call says so. */
static void test_sticky_failure(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "sticky", 1,
                                 (const char *const[]){"max.message.bytes", "2000", NULL});
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    char *big = g_strnfill(100000, 'b');
    struct esp_error err = {0};
    test_produce(writer, 0, NULL, big, ESP_TIME_NONE);
    g_assert_cmpint(esp_log_flush(writer, TIMEOUT, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "refuses its 100000 bytes"));
    err = (struct esp_error){0};
    g_assert_cmpint(
        esp_log_append(writer, 0, esp_bytes(NULL, 0), esp_bytes_of("small"), ESP_TIME_NONE, &err),
        ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "was not delivered"));
    esp_log_writer_free(writer);
    g_free(big);
    g_free(topic);
}

static void test_topics(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    size_t n = 9;
    struct esp_error err = {0};
    g_assert_cmpint(esp_log_partitions(fixture->log, "no.such.topic", TIMEOUT, &n, &err), ==,
                    ESP_OK);
    g_assert_cmpuint(n, ==, 0);
    struct esp_log_writer *writer = NULL;
    struct esp_log_writer_config config = {.topic = "no.such.topic"};
    g_assert_cmpint(esp_log_writer_new(fixture->log, &config, &writer, &err), ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "does not exist"));
    err = (struct esp_error){0};
    g_assert_cmpint(esp_log_create_topic(fixture->log, "test.bad", 1,
                                         (const char *const[]){"cleanup.policy", "no", NULL}, &err),
                    ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "refuses to create it"));
    char *topic = test_topic_new(fixture->log, "twice", 2, NULL);
    g_assert_cmpint(esp_log_create_topic(fixture->log, topic, 2, NULL, NULL), ==, ESP_OK);
    g_free(topic);
}

/* Asks the cluster, through a handle of its own, for more partitions; 0: to delete the topic. */
static void change_topic(const char *topic, size_t n_partitions)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", broker, why, sizeof why);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_NewPartitions_t *more = NULL;
    rd_kafka_DeleteTopic_t *none = NULL;
    if (n_partitions > 0) {
        more = rd_kafka_NewPartitions_new(topic, n_partitions, why, sizeof why);
        rd_kafka_CreatePartitions(handle, &more, 1, NULL, queue);
    } else {
        none = rd_kafka_DeleteTopic_new(topic);
        rd_kafka_DeleteTopics(handle, &none, 1, NULL, queue);
    }
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)(TIMEOUT / ESP_MS));
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        g_test_fail_printf("%s was not changed", topic);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    if (more != NULL)
        rd_kafka_NewPartitions_destroy(more);
    if (none != NULL)
        rd_kafka_DeleteTopic_destroy(none);
    rd_kafka_destroy(handle);
}

/* A topic is deleted while it is followed: that is an error, and leaving ends. */
static void test_deletion(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "deletion", 2, NULL);
    struct esp_log_reader *reader = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(
        esp_log_reader_new(fixture->log, topic, 1, ESP_OFFSET_EARLIEST, true, NULL, &reader, &err),
        ==, ESP_OK);
    struct test_read read;
    test_read_init(&read);
    test_read_all(reader, 8, true, ESP_SECOND, &read);
    change_topic(topic, 0);
    gint64 deadline = g_get_monotonic_time() + TIMEOUT;
    while (read.status == ESP_OK && g_get_monotonic_time() < deadline)
        test_read_all(reader, 8, true, 100 * ESP_MS, &read);
    g_assert_cmpint(read.status, ==, ESP_EBROKER);
    g_assert_nonnull(strstr(read.err.text, "is gone: the topic was deleted"));
    test_read_release(&read);
    esp_log_reader_free(reader);
    g_free(topic);
}

/* A topic grows while it is followed: the number says so, and the new partition is read. */
static void test_growth(struct fixture *fixture, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(fixture->log, "growth", 1, NULL);
    struct esp_log_reader *first = NULL, *second = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(
        esp_log_reader_new(fixture->log, topic, 0, ESP_OFFSET_EARLIEST, true, NULL, &first, &err),
        ==, ESP_OK);
    change_topic(topic, 2);
    size_t n = 1;
    gint64 deadline = g_get_monotonic_time() + TIMEOUT;
    while (n == 1 && g_get_monotonic_time() < deadline)
        g_assert_cmpint(esp_log_partitions(fixture->log, topic, TIMEOUT, &n, &err), ==, ESP_OK);
    g_assert_cmpuint(n, ==, 2);
    struct esp_log_writer *writer = test_kafka_writer(fixture->log, topic);
    test_produce(writer, 1, NULL, "new", ESP_TIME_NONE);
    flush(writer);
    esp_log_writer_free(writer);
    g_assert_cmpint(
        esp_log_reader_new(fixture->log, topic, 1, ESP_OFFSET_EARLIEST, true, NULL, &second, &err),
        ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    struct test_read read;
    test_read_init(&read);
    while (read.contents->len == 0 && read.status == ESP_OK && !g_test_failed()) {
        test_read_all(second, 8, true, 100 * ESP_MS, &read);
        if (g_get_monotonic_time() > deadline)
            g_test_fail_printf("nothing came");
    }
    if (!g_test_failed())
        g_assert_cmpstr(test_content(&read, 0), ==, "new");
    test_read_release(&read);
    esp_log_reader_free(first);
    esp_log_reader_free(second);
    g_free(topic);
}

int main(int argc, char **argv)
{
    broker = test_broker_or_skip();
    if (broker == NULL)
        return 0;
    test_start(&argc, &argv);
    static const struct {
        const char *name;
        void (*run)(struct fixture *, gconstpointer);
    } rows[] = {
        {"/kafka/every partition gives what was put into it", test_round_trip},
        {"/kafka/keys go where Java's producer sends them", test_partitioner},
        {"/kafka/a bounded reader ends where the log ended", test_bounded_end},
        {"/kafka/a following reader goes on", test_follow},
        {"/kafka/an offset that is gone is an error that names the gap", test_gap},
        {"/kafka/what retention has removed is a gap", test_retention},
        {"/kafka/an end without a record is an end", test_no_record_at_end},
        {"/kafka/large records, tombstones and empty ones", test_special_records},
        {"/kafka/a failed delivery fails the writer for good", test_sticky_failure},
        {"/kafka/topics are counted and made", test_topics},
        {"/kafka/a topic gains a partition", test_growth},
        {"/kafka/a topic is deleted while it is read", test_deletion},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct fixture, NULL, set_up, rows[i].run, tear_down);
    return g_test_run();
}
