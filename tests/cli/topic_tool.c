/*
 * topic_tool.c - what tests do to topics behind a run's back.
 *
 *     topic_tool BROKER create TOPIC PARTITIONS [KEY=VALUE...]
 *     topic_tool BROKER delete TOPIC
 *     topic_tool BROKER truncate TOPIC LEFT     removes all but the last LEFT records a partition
 *     topic_tool BROKER ends TOPIC              prints "FIRST END" of each partition
 *     topic_tool BROKER keys TOPIC              prints the key of each record, a line each
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 30000 };

static rd_kafka_t *handle;
static rd_kafka_queue_t *queue;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "topic_tool: %s: %s\n", what, why);
    exit(1);
}

static void must(rd_kafka_resp_err_t code, const char *what)
{
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail(what, rd_kafka_err2str(code));
}

static void connect_to(const char *broker)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", broker, why, sizeof why) != RD_KAFKA_CONF_OK)
        fail(broker, why);
    handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (handle == NULL)
        fail(broker, why);
    queue = rd_kafka_queue_new(handle);
}

static rd_kafka_t *new_consumer(const char *broker)
{
    const char *pairs[][2] = {{"bootstrap.servers", broker},
                              {"group.id", "topic_tool"},
                              {"enable.auto.commit", "false"},
                              {"enable.partition.eof", "true"}};
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], why, sizeof why) != RD_KAFKA_CONF_OK)
            fail(broker, why);
    }
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (consumer == NULL)
        fail(broker, why);
    return consumer;
}

static rd_kafka_event_t *answer(const char *what)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    if (event == NULL)
        fail(what, "no answer");
    must(rd_kafka_event_error(event), what);
    return event;
}

static int n_partitions(const char *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *named = rd_kafka_topic_new(handle, topic, NULL);
    must(rd_kafka_metadata(handle, 0, named, &metadata, WAIT_MS), topic);
    int n = metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR
                ? metadata->topics[0].partition_cnt
                : 0;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(named);
    return n;
}

/* Until every metadata request says so. */
static void wait_for_partitions(const char *topic, int n)
{
    for (int i = 0; i < WAIT_MS / 50 && n_partitions(topic) != n; i++)
        rd_kafka_poll(handle, 50);
    if (n_partitions(topic) != n)
        fail(topic, "the brokers do not say so");
}

static void create(const char *topic, int n, char **pairs)
{
    char why[512];
    size_t n_results = 0;
    rd_kafka_NewTopic_t *request = rd_kafka_NewTopic_new(topic, n, 1, why, sizeof why);
    if (request == NULL)
        fail(topic, why);
    for (; *pairs != NULL; pairs++) {
        char *value = strchr(*pairs, '=');
        if (value == NULL)
            fail(*pairs, "want KEY=VALUE");
        *value = '\0';
        must(rd_kafka_NewTopic_set_config(request, *pairs, value + 1), *pairs);
    }
    rd_kafka_CreateTopics(handle, &request, 1, NULL, queue);
    rd_kafka_event_t *event = answer("create");
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n_results);
    must(rd_kafka_topic_result_error(results[0]), topic);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(request);
    wait_for_partitions(topic, n);
}

static void delete_topic(const char *topic)
{
    size_t n_results = 0;
    rd_kafka_DeleteTopic_t *request = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(handle, &request, 1, NULL, queue);
    rd_kafka_event_t *event = answer("delete");
    const rd_kafka_topic_result_t **results =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n_results);
    must(rd_kafka_topic_result_error(results[0]), topic);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(request);
    wait_for_partitions(topic, 0);
}

/* Again for a while: a leader may be moving. */
static void bounds(const char *topic, int partition, int64_t *first, int64_t *end)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int i = 0; i < WAIT_MS / 1000 && code != RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = rd_kafka_query_watermark_offsets(handle, topic, partition, first, end, 1000);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            rd_kafka_poll(handle, 50);
    }
    must(code, topic);
}

static void truncate_topic(const char *topic, int64_t n_left)
{
    int n = n_partitions(topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
    for (int p = 0; p < n; p++) {
        int64_t first = 0, end = 0;
        bounds(topic, p, &first, &end);
        rd_kafka_topic_partition_list_add(list, topic, p)->offset =
            end - n_left > first ? end - n_left : first;
    }
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(handle, &request, 1, NULL, queue);
    rd_kafka_event_t *event = answer("truncate");
    const rd_kafka_topic_partition_list_t *results =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    for (int p = 0; p < results->cnt; p++)
        must(results->elems[p].err, topic);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Up to what is the end of each partition when it is reached. */
static void print_keys(const char *broker, const char *topic)
{
    int n_left = n_partitions(topic);
    rd_kafka_t *consumer = new_consumer(broker);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n_left);
    for (int p = 0; p < n_left; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    must(rd_kafka_assign(consumer, list), topic);
    while (n_left > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, WAIT_MS);
        if (message == NULL)
            fail(topic, "no answer");
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            printf("%.*s\n", (int)message->key_len, (const char *)message->key);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            n_left--;
        /* Others are passing: the library tries again. */
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(consumer);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        fail("usage",
             "BROKER create|delete|truncate|ends|keys TOPIC ...; see the head of topic_tool.c");
    const char *what = argv[2], *topic = argv[3];
    connect_to(argv[1]);
    if (strcmp(what, "create") == 0 && argc >= 5) {
        create(topic, (int)strtol(argv[4], NULL, 10), argv + 5);
    } else if (strcmp(what, "delete") == 0) {
        delete_topic(topic);
    } else if (strcmp(what, "truncate") == 0 && argc == 5) {
        truncate_topic(topic, strtoll(argv[4], NULL, 10));
    } else if (strcmp(what, "ends") == 0) {
        for (int p = 0, n = n_partitions(topic); p < n; p++) {
            int64_t first = 0, end = 0;
            bounds(topic, p, &first, &end);
            printf("%lld %lld\n", (long long)first, (long long)end);
        }
    } else if (strcmp(what, "keys") == 0) {
        print_keys(argv[1], topic);
    } else {
        fail(what, "no such command");
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(handle);
    return 0;
}
