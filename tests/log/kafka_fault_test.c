/*
 * kafka_fault_test.c - the kafka log against librdkafka's mock cluster, which fails on demand.
 *
 * Needs no broker. Every wait is for a condition, with a deadline.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "broker_helper.h"

enum { N_BROKERS = 3, N_RECORDS = 500, PRODUCE = 0, FETCH = 1, LIST_OFFSETS = 2 };

#define TIMEOUT (30 * ESP_SECOND)

struct scene {
    rd_kafka_t *handle; /* owns the cluster's threads */
    rd_kafka_mock_cluster_t *cluster;
    struct test_reports reports;
    struct esp_log *log;
};

static void set_up(struct scene *scene, gconstpointer more)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    scene->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    scene->cluster = rd_kafka_mock_cluster_new(scene->handle, N_BROKERS);
    test_reports_init(&scene->reports);
    scene->log =
        test_kafka_open(rd_kafka_mock_cluster_bootstraps(scene->cluster), more, &scene->reports);
    rd_kafka_mock_topic_create(scene->cluster, "t", 1, N_BROKERS);
}

static void tear_down(struct scene *scene, gconstpointer more)
{
    (void)more;
    esp_log_free(scene->log);
    rd_kafka_mock_cluster_destroy(scene->cluster);
    rd_kafka_destroy(scene->handle);
    test_reports_release(&scene->reports);
}

static void produce_numbered(struct esp_log_writer *writer, size_t from, size_t to)
{
    for (size_t i = from; i < to && !g_test_failed(); i++) {
        char text[32];
        snprintf(text, sizeof text, "record %zu", i);
        test_produce(writer, 0, NULL, text, ESP_TIME_NONE);
    }
}

static void flush(struct esp_log_writer *writer)
{
    struct esp_error err = {0};
    if (esp_log_flush(writer, TIMEOUT, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
}

static void fill_topic(struct scene *scene, const char *topic, size_t from, size_t to)
{
    struct esp_log_writer *writer = test_kafka_writer(scene->log, topic);
    if (g_test_failed())
        return;
    produce_numbered(writer, from, to);
    flush(writer);
    esp_log_writer_free(writer);
}

static void fill(struct scene *scene, size_t from, size_t to)
{
    fill_topic(scene, "t", from, to);
}

static struct esp_log_reader *open_reader(struct scene *scene, int64_t offset, bool follow)
{
    struct esp_log_reader *reader = NULL;
    struct esp_error err = {0};
    if (esp_log_reader_new(scene->log, "t", 0, offset, follow, NULL, &reader, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return reader;
}

/* Everything read is record 0, 1, 2 ... n-1, once each. */
static void check_numbered(const struct test_read *read, size_t n)
{
    g_assert_cmpstr(read->err.text, ==, "");
    g_assert_cmpuint(read->contents->len, ==, n);
    for (size_t i = 0; i < read->contents->len && !g_test_failed(); i++) {
        char want[32];
        snprintf(want, sizeof want, "record %zu", i);
        g_assert_cmpstr(test_content(read, i), ==, want);
        g_assert_cmpint(g_array_index(read->offsets, int64_t, i), ==, (int64_t)i);
    }
}

/* Reads on until there are n records, or a failure. */
static void read_until(struct esp_log_reader *reader, size_t n, struct test_read *read)
{
    gint64 deadline = g_get_monotonic_time() + TIMEOUT;
    while (read->contents->len < n && read->status == ESP_OK) {
        test_read_all(reader, 64, true, 100 * ESP_MS, read);
        if (g_get_monotonic_time() > deadline) {
            g_test_fail_printf("%u of %zu records came", read->contents->len, n);
            break;
        }
    }
}

/* Errors that pass: what is written is delivered once and in order all the same. */
static void test_produce_errors(struct scene *scene, gconstpointer more)
{
    (void)more;
    rd_kafka_mock_push_request_errors(
        scene->cluster, PRODUCE, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR__TRANSPORT);
    fill(scene, 0, N_RECORDS);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, ESP_OFFSET_EARLIEST, 64, &read);
    check_numbered(&read, N_RECORDS);
    test_read_release(&read);
}

static void test_fetch_errors(struct scene *scene, gconstpointer more)
{
    (void)more;
    fill(scene, 0, N_RECORDS);
    rd_kafka_mock_push_request_errors(
        scene->cluster, FETCH, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
        RD_KAFKA_RESP_ERR__TRANSPORT);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, ESP_OFFSET_EARLIEST, 64, &read);
    check_numbered(&read, N_RECORDS);
    g_assert_cmpint(read.position, ==, ESP_LOG_ENDED);
    test_read_release(&read);
}

/* The partition moves from broker to broker while it is written and read. */
static void test_leader_change(struct scene *scene, gconstpointer more)
{
    (void)more;
    rd_kafka_mock_partition_set_leader(scene->cluster, "t", 0, 1);
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "t");
    struct esp_log_reader *reader = open_reader(scene, ESP_OFFSET_EARLIEST, true);
    struct test_read read;
    test_read_init(&read);
    for (int32_t leader = 1; leader <= N_BROKERS && !g_test_failed(); leader++) {
        rd_kafka_mock_partition_set_leader(scene->cluster, "t", 0, leader);
        produce_numbered(writer, read.contents->len, read.contents->len + N_RECORDS);
        flush(writer);
        read_until(reader, (size_t)leader * N_RECORDS, &read);
    }
    check_numbered(&read, N_BROKERS * N_RECORDS);
    test_read_release(&read);
    esp_log_reader_free(reader);
    esp_log_writer_free(writer);
}

/* Reads until the position is, or is not, AT_END. */
static void wait_for_position(struct esp_log_reader *reader, bool at_end, struct test_read *read)
{
    gint64 deadline = g_get_monotonic_time() + TIMEOUT;
    for (;;) {
        struct esp_record record;
        size_t n = 0;
        read->status =
            esp_log_read(reader, &record, 1, 100 * ESP_MS, &n, &read->position, &read->err);
        g_assert_cmpint(read->status, ==, ESP_OK);
        g_assert_cmpuint(n, ==, 0);
        if ((read->position == ESP_LOG_AT_END) == at_end || g_test_failed())
            return;
        if (g_get_monotonic_time() > deadline) {
            g_test_fail_printf("the position did not become %s AT_END", at_end ? "" : "not");
            return;
        }
    }
}

/* All brokers go and come back: no end is claimed while none confirms it; nothing fails; at most a
 * line a broker is reported. */
static void test_brokers_away(struct scene *scene, gconstpointer more)
{
    (void)more;
    fill(scene, 0, N_RECORDS);
    struct esp_log_reader *reader = open_reader(scene, ESP_OFFSET_EARLIEST, true);
    struct test_read read;
    test_read_init(&read);
    read_until(reader, N_RECORDS, &read);
    wait_for_position(reader, true, &read);
    for (int32_t i = 1; i <= N_BROKERS; i++)
        rd_kafka_mock_broker_set_down(scene->cluster, i);
    wait_for_position(reader, false, &read);
    g_assert_true(test_reports_have(&scene->reports, "kafka: "));
    for (int32_t i = 1; i <= N_BROKERS; i++)
        rd_kafka_mock_broker_set_up(scene->cluster, i);
    wait_for_position(reader, true, &read);
    fill(scene, N_RECORDS, 2 * N_RECORDS);
    read_until(reader, 2 * N_RECORDS, &read);
    check_numbered(&read, 2 * N_RECORDS);
    wait_for_position(reader, true, &read);
    /* for each of two handles and 3 brokers known by two names each: a line of two kinds */
    g_assert_cmpuint(scene->reports.n, <=, 2 * 2 * (2 * N_BROKERS + 1));
    test_read_release(&read);
    esp_log_reader_free(reader);
}

/* The offset falls out of the log while it is read. */
static void test_gap_while_reading(struct scene *scene, gconstpointer more)
{
    (void)more;
    fill(scene, 0, 10);
    rd_kafka_mock_push_request_errors(scene->cluster, FETCH, 1,
                                      RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, 3, 64, &read);
    g_assert_cmpint(read.status, ==, ESP_EDATA);
    g_assert_nonnull(strstr(read.err.text, "offset 3 is refused, though there are 0 to 10"));
    test_read_release(&read);
}

/* What came before the gap is given, whether or not both arrive at once; the failure stays. */
static void test_gap_behind_records(struct scene *scene, gconstpointer more)
{
    (void)more;
    for (size_t i = 0; i < 10; i++) /* batches of one record, and so fetches of one */
        fill(scene, i, i + 1);
    rd_kafka_mock_push_request_errors(scene->cluster, FETCH, 3, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
    struct esp_log_reader *reader = open_reader(scene, 0, true);
    struct test_read read;
    struct esp_record record;
    size_t n = 0;
    test_read_init(&read);
    read_until(reader, 10, &read);
    g_assert_cmpint(read.status, ==, ESP_EDATA);
    g_assert_cmpuint(read.contents->len, >, 0);
    g_assert_cmpint(read.stats.next_offset, ==, (int64_t)read.contents->len);
    g_assert_cmpint(esp_log_read(reader, &record, 1, 0, &n, &read.position, NULL), ==, ESP_EDATA);
    test_read_release(&read);
    esp_log_reader_free(reader);
}

/* Nobody acknowledges: flush says how much is left, in its time; later it is delivered. */
static void test_flush_in_time(struct scene *scene, gconstpointer more)
{
    (void)more;
    struct esp_error err = {0};
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "t");
    for (int32_t i = 1; i <= N_BROKERS; i++)
        rd_kafka_mock_broker_set_down(scene->cluster, i);
    produce_numbered(writer, 0, 7);
    g_assert_cmpint(esp_log_flush(writer, 200 * ESP_MS, &err), ==, ESP_EBROKER);
    g_assert_nonnull(strstr(err.text, "7 records were not acknowledged in time"));
    for (int32_t i = 1; i <= N_BROKERS; i++)
        rd_kafka_mock_broker_set_up(scene->cluster, i);
    flush(writer);
    esp_log_writer_free(writer);
}

/* A writer that is freed with records under way, and a log that is freed while its brokers are
 * away, are no trouble. */
static void test_free_unflushed(struct scene *scene, gconstpointer more)
{
    (void)more;
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "t");
    produce_numbered(writer, 0, 100);
    esp_log_writer_free(writer);
    fill(scene, 100, 110);
    struct esp_log_reader *reader = open_reader(scene, 0, true);
    for (int32_t i = 1; i <= N_BROKERS; i++)
        rd_kafka_mock_broker_set_down(scene->cluster, i);
    writer = NULL;
    esp_log_reader_free(reader);
}

/* A small queue, and more records than it holds: append waits, all arrive. */
static void test_full_queue(struct scene *scene, gconstpointer more)
{
    (void)more;
    fill(scene, 0, 5 * N_RECORDS);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, ESP_OFFSET_EARLIEST, 64, &read);
    check_numbered(&read, 5 * N_RECORDS);
    test_read_release(&read);
}

/* An end is wanted from the fourth question on, while somebody waits; it leaves a while. */
static int64_t fourth_time(void *context)
{
    int *n_asked = context;
    return ++*n_asked > 3 ? 5 * ESP_SECOND : INT64_MAX;
}

/* Nobody takes anything, the queue is full, and then an end is wanted: append gives up, and flush
 * says how many were lost. */
static void test_stop_while_full(struct scene *scene, gconstpointer more)
{
    (void)more;
    int n_asked = 0;
    struct esp_error err = {0};
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "t");
    for (int32_t i = 1; i <= N_BROKERS; i++)
        rd_kafka_mock_broker_set_down(scene->cluster, i);
    esp_log_set_stop(scene->log, fourth_time, &n_asked);
    produce_numbered(writer, 0, N_RECORDS); /* the queue holds 100 */
    g_assert_cmpint(n_asked, >, 3);
    g_assert_cmpint(esp_log_flush(writer, 200 * ESP_MS, &err), ==, ESP_EBROKER);
    g_assert_cmpstr(err.text, ==,
                    "t: 500 records were not acknowledged in time: the run was stopped while no "
                    "broker took them");
    /* Those that found room are delivered once somebody takes them. */
    for (int32_t i = 1; i <= N_BROKERS; i++)
        rd_kafka_mock_broker_set_up(scene->cluster, i);
    esp_log_set_stop(scene->log, NULL, NULL);
    flush(writer);
    esp_log_writer_free(writer);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, ESP_OFFSET_EARLIEST, 64, &read);
    check_numbered(&read, 100);
    test_read_release(&read);
}

/* An end is wanted, but somebody takes what is written: nothing is given up. */
static void test_stop_while_slow(struct scene *scene, gconstpointer more)
{
    (void)more;
    int n_asked = 3;
    esp_log_set_stop(scene->log, fourth_time, &n_asked);
    fill(scene, 0, 5 * N_RECORDS);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, ESP_OFFSET_EARLIEST, 64, &read);
    check_numbered(&read, 5 * N_RECORDS);
    test_read_release(&read);
}

/* A question that may wait for an hour does not once an end is wanted. */
static void test_stop_while_asking(struct scene *scene, gconstpointer more)
{
    (void)more;
    int n_asked = 2;
    struct esp_error err = {0};
    size_t n = 0;
    for (int32_t i = 1; i <= N_BROKERS; i++)
        rd_kafka_mock_broker_set_down(scene->cluster, i);
    esp_log_set_stop(scene->log, fourth_time, &n_asked);
    g_assert_cmpint(esp_log_partitions(scene->log, "t", ESP_HOUR, &n, &err), ==, ESP_EBROKER);
    g_assert_nonnull(strstr(err.text, "no answer from a broker"));
    g_assert_cmpint(n_asked, >, 3);
}

/* Past librdkafka's own limit of 1 MB, and far below ours: the broker is asked. */
static void test_large_record(struct scene *scene, gconstpointer more)
{
    (void)more;
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "t");
    char *large = g_strnfill(3 << 20, 'b');
    test_produce(writer, 0, NULL, large, ESP_TIME_NONE);
    flush(writer);
    esp_log_writer_free(writer);
    g_free(large);
}

/* The broker refuses a record for its size: the line says what to raise, and no restart helps. */
static void test_too_large_for_broker(struct scene *scene, gconstpointer more)
{
    (void)more;
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "t");
    rd_kafka_mock_push_request_errors(scene->cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    test_produce(writer, 0, "key", "value", ESP_TIME_NONE);
    struct esp_error err = {0};
    g_assert_cmpint(esp_log_flush(writer, TIMEOUT, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==,
                    "t: a record was not delivered: the broker refuses its 8 bytes, or the batch "
                    "they came in, as too large; raise the topic's max.message.bytes");
    esp_log_writer_free(writer);
}

static bool is_settled(struct esp_log_writer *writer, uint64_t fence)
{
    struct esp_error err = {0};
    bool done = false;
    if (esp_log_settled(writer, fence, &done, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return done;
}

static uint64_t fence(struct esp_log_writer *writer)
{
    struct esp_error err = {0};
    uint64_t number = 0;
    if (esp_log_fence(writer, &number, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return number;
}

static void wait_until_settled(struct esp_log_writer *writer, uint64_t fence)
{
    gint64 deadline = g_get_monotonic_time() + TIMEOUT;
    bool done = false;
    while (!is_settled(writer, fence) && !g_test_failed()) {
        esp_log_wait(writer, 10 * ESP_MS, &done, NULL);
        if (g_get_monotonic_time() > deadline)
            g_test_fail_printf("what stands before the fence was not acknowledged");
    }
}

/* Two partitions of two brokers, one of which is away: what is acknowledged after a fence does not
 * stand for what is not before it, nor the other way round. */
static void test_fence(struct scene *scene, gconstpointer more)
{
    (void)more;
    rd_kafka_mock_topic_create(scene->cluster, "two", 2, N_BROKERS);
    rd_kafka_mock_partition_set_leader(scene->cluster, "two", 0, 1);
    rd_kafka_mock_partition_set_leader(scene->cluster, "two", 1, 2);
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "two");
    int64_t offset = -1;
    /* Nothing stands before it. */
    g_assert_true(is_settled(writer, fence(writer)));
    test_produce(writer, 0, NULL, "here", ESP_TIME_NONE);
    flush(writer);
    rd_kafka_mock_broker_set_down(scene->cluster, 2);
    test_produce(writer, 0, NULL, "here", ESP_TIME_NONE);
    uint64_t before_away = fence(writer);
    test_produce(writer, 1, NULL, "away", ESP_TIME_NONE);
    wait_until_settled(writer, before_away);
    uint64_t behind_away = fence(writer);
    esp_log_append_tracked(writer, 0, esp_bytes(NULL, 0), esp_bytes_of("here"), ESP_TIME_NONE,
                           &offset, NULL);
    gint64 deadline = g_get_monotonic_time() + TIMEOUT;
    while (offset < 0 && g_get_monotonic_time() < deadline) {
        bool done = false;
        esp_log_wait(writer, 10 * ESP_MS, &done, NULL);
    }
    g_assert_cmpint(offset, ==, 2); /* acknowledged, but what stands before the fence is not */
    g_assert_false(is_settled(writer, behind_away));
    uint64_t last = fence(writer);
    g_assert_false(is_settled(writer, last)); /* nor behind another fence */
    g_assert_false(is_settled(writer, behind_away));
    g_assert_true(is_settled(writer, before_away)); /* which changes nothing for one before it */
    rd_kafka_mock_broker_set_up(scene->cluster, 2);
    wait_until_settled(writer, behind_away);
    wait_until_settled(writer, last);
    flush(writer);
    esp_log_writer_free(writer);
}

/* A record that was refused for good is not acknowledged, and fences say why. */
static void test_fence_failed(struct scene *scene, gconstpointer more)
{
    (void)more;
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "t");
    rd_kafka_mock_push_request_errors(scene->cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    test_produce(writer, 0, "key", "value", ESP_TIME_NONE);
    uint64_t number = fence(writer);
    struct esp_error err = {0};
    bool done = true;
    g_assert_cmpint(esp_log_flush(writer, TIMEOUT, NULL), ==, ESP_EDATA);
    g_assert_cmpint(esp_log_settled(writer, number, &done, &err), ==, ESP_EDATA);
    g_assert_false(done);
    g_assert_nonnull(strstr(err.text, "raise the topic's max.message.bytes"));
    g_assert_cmpint(esp_log_fence(writer, &number, NULL), ==, ESP_EDATA);
    esp_log_writer_free(writer);
}

/* The user's own limit refuses it. */
static void test_too_large_for_user(struct scene *scene, gconstpointer more)
{
    (void)more;
    struct esp_log_writer *writer = test_kafka_writer(scene->log, "t");
    char *large = g_strnfill(2000, 'b');
    struct esp_error err = {0};
    g_assert_cmpint(
        esp_log_append(writer, 0, esp_bytes(NULL, 0), esp_bytes_of(large), ESP_TIME_NONE, &err), ==,
        ESP_EDATA);
    g_assert_cmpstr(err.text, ==,
                    "t: a record was not delivered: its 2000 bytes are too many; raise "
                    "message.max.bytes in [kafka]");
    esp_log_writer_free(writer);
    g_free(large);
}

static const char *const small_messages[] = {"message.max.bytes", "1000", NULL};

/* librdkafka logs while it makes a handle: here that it has a cluster of its own, and that a
 * property is deprecated. Opening a writer holds a lock meanwhile, which reports may not want. */
static void test_logs_while_opening(void)
{
    static const char *const more[] = {"test.mock.num.brokers",
                                       "1",
                                       "allow.auto.create.topics",
                                       "true",
                                       "reconnect.backoff.jitter.ms",
                                       "500",
                                       NULL};
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_kafka_open("127.0.0.1:1", more, &reports);
    struct esp_log_writer *writer = test_kafka_writer(log, "t");
    if (writer != NULL) {
        test_produce(writer, 0, NULL, "record", ESP_TIME_NONE);
        flush(writer);
    }
    g_assert_true(test_reports_have(&reports, "reconnect.backoff.jitter.ms"));
    esp_log_writer_free(writer);
    esp_log_free(log);
    test_reports_release(&reports);
}

static const char *const small_fetches[] = {"fetch.message.max.bytes", "1", NULL};

static const char *const small_queue[] = {"queue.buffering.max.messages", "100", NULL};

struct config_row {
    const char *name, *property, *value, *said;
};

static const struct config_row config_rows[] = {
    {"/config/an unknown property", "bootstrap.server", "x:1", "conf:7: [kafka] bootstrap.server"},
    {"/config/a value of the wrong type", "socket.timeout.ms", "soon", "socket.timeout.ms"},
    {"/config/a value out of range", "fetch.wait.max.ms", "-5", "fetch.wait.max.ms"},
    {"/config/what has to be ours", "enable.auto.commit", "true", "it has to be false"},
};

static void test_config(const void *data)
{
    const struct config_row *row = data;
    const struct esp_log_property properties[] = {
        {.name = "bootstrap.servers", .value = "127.0.0.1:1", .where = "conf:6"},
        {.name = row->property, .value = row->value, .where = "conf:7"}};
    struct esp_log *log = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_log_open_kafka(properties, 2, NULL, NULL, &log, &err), ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "conf:7"));
    g_assert_nonnull(strstr(err.text, row->said));
    g_assert_null(log);
}

static void test_no_brokers_named(void)
{
    struct esp_log *log = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_log_open_kafka(NULL, 0, NULL, NULL, &log, &err), ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "bootstrap.servers is missing"));
}

/* Opening does not wait; asking does, for as long as it may. */
static void test_nobody_there(void)
{
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_kafka_open("127.0.0.1:1", NULL, &reports);
    struct esp_error err = {0};
    size_t n = 0;
    g_assert_cmpint(esp_log_partitions(log, "t", 300 * ESP_MS, &n, &err), ==, ESP_EBROKER);
    g_assert_nonnull(strstr(err.text, "no answer from a broker"));
    g_assert_true(test_reports_have(&reports, "127.0.0.1:1"));
    g_assert_cmpstr(esp_log_kind(log), ==, "kafka");
    esp_log_free(log);
    test_reports_release(&reports);
}

static struct esp_log_reader *open_at(struct scene *scene, const char *topic,
                                      const struct esp_log_place *place)
{
    struct esp_log_reader *reader = NULL;
    struct esp_error err = {0};
    if (esp_log_reader_new_at(scene->log, topic, 0, place, true, NULL, &reader, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return reader;
}

/* Reads some records, which are those numbered from place->offset on, and notes the place behind.
 */
static void read_on(struct scene *scene, struct esp_log_place *place)
{
    struct esp_record records[50];
    struct esp_error err = {0};
    enum esp_log_position position;
    int64_t next = place->offset < 0 ? 0 : place->offset;
    struct esp_log_reader *reader = open_at(scene, "t", place);
    size_t n = 0;
    gint64 deadline = g_get_monotonic_time() + TIMEOUT;
    while (n == 0 && !g_test_failed()) {
        if (esp_log_read(reader, records, G_N_ELEMENTS(records), 100 * ESP_MS, &n, &position,
                         &err) != ESP_OK)
            g_test_fail_printf("%s", err.text);
        if (g_get_monotonic_time() > deadline)
            g_test_fail_printf("no record came");
    }
    for (size_t i = 0; i < n; i++, next++) {
        char want[32];
        snprintf(want, sizeof want, "record %" PRId64, next);
        g_assert_cmpint(records[i].offset, ==, next);
        g_assert_cmpmem(records[i].value.data, records[i].value.size, want, strlen(want));
    }
    esp_log_reader_place(reader, place);
    g_assert_cmpint(place->offset, ==, next);
    esp_log_reader_free(reader);
}

/* The record before the place is gone by the time that it is fetched: the reader does without. */
static void test_record_before_is_gone(struct scene *scene, gconstpointer more)
{
    (void)more;
    fill(scene, 0, N_RECORDS);
    struct esp_log_place place = {.offset = ESP_OFFSET_EARLIEST};
    read_on(scene, &place);
    rd_kafka_mock_push_request_errors(scene->cluster, FETCH, 1,
                                      RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
    read_on(scene, &place);
    g_assert_cmpint(place.offset, >, 1);
}

/* A reader goes on from another one's place with the next record; in a topic whose record before
 * that place is another one, the first read says so, and gives nothing. */
static void test_made_anew(struct scene *scene, gconstpointer more)
{
    (void)more;
    fill(scene, 0, N_RECORDS);
    rd_kafka_mock_topic_create(scene->cluster, "anew", 1, N_BROKERS);
    fill_topic(scene, "anew", N_RECORDS, 2 * N_RECORDS);
    struct esp_log_place place = {.offset = ESP_OFFSET_EARLIEST};
    for (int i = 0; i < 4 && !g_test_failed(); i++)
        read_on(scene, &place);
    struct test_read anew;
    test_read_init(&anew);
    struct esp_log_reader *reader = open_at(scene, "anew", &place);
    read_until(reader, 1, &anew);
    g_assert_cmpuint(anew.contents->len, ==, 0);
    g_assert_cmpint(anew.status, ==, ESP_EDATA);
    g_assert_nonnull(strstr(anew.err.text, "holds another record than was read there"));
    esp_log_reader_free(reader);
    test_read_release(&anew);
}

int main(int argc, char **argv)
{
    if (test_threads_skip())
        return 0;
    test_start(&argc, &argv);
    static const struct {
        const char *name;
        void (*run)(struct scene *, gconstpointer);
        const char *const *more;
    } rows[] = {
        {"/faults/errors of producing pass", test_produce_errors, NULL},
        {"/faults/errors of fetching pass", test_fetch_errors, NULL},
        {"/faults/a partition's leader changes", test_leader_change, NULL},
        {"/faults/brokers go and come back", test_brokers_away, NULL},
        {"/faults/an offset falls out of the log", test_gap_while_reading, NULL},
        {"/faults/records before a gap are given", test_gap_behind_records, small_fetches},
        {"/faults/a topic was made anew", test_made_anew, NULL},
        {"/faults/the record before a place is gone", test_record_before_is_gone, NULL},
        {"/faults/a flush keeps its time", test_flush_in_time, NULL},
        {"/faults/freed with records under way", test_free_unflushed, NULL},
        {"/faults/a full queue slows the writer", test_full_queue, small_queue},
        {"/faults/a stop ends the wait for a full queue", test_stop_while_full, small_queue},
        {"/faults/a stop loses nothing that is taken", test_stop_while_slow, small_queue},
        {"/faults/a stop ends a question", test_stop_while_asking, NULL},
        {"/faults/a large record is the broker's to refuse", test_large_record, NULL},
        {"/faults/a record is too large for the broker", test_too_large_for_broker, NULL},
        {"/faults/a fence divides what is acknowledged", test_fence, NULL},
        {"/faults/a fence does not pass over a failure", test_fence_failed, NULL},
        {"/faults/a record is too large for the user", test_too_large_for_user, small_messages},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct scene, rows[i].more, set_up, rows[i].run, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(config_rows); i++)
        g_test_add_data_func(config_rows[i].name, &config_rows[i], test_config);
    g_test_add_func("/config/no brokers are named", test_no_brokers_named);
    g_test_add_func("/config/nobody is there", test_nobody_there);
    g_test_add_func("/config/librdkafka logs while a writer is opened", test_logs_while_opening);
    return g_test_run();
}
