/* broker_helper.c - see broker_helper.h. */
#include "broker_helper.h"

#include <stdio.h>
#include <unistd.h>

bool test_threads_skip(void)
{
#ifdef __SANITIZE_THREAD__
    puts("1..0 # SKIP ThreadSanitizer does not know librdkafka's threads");
    return true;
#else
    return false;
#endif
}

const char *test_broker_or_skip(void)
{
    if (test_threads_skip())
        return NULL;
    const char *broker = g_getenv("ESPALIER_TEST_BROKER");
    if (broker != NULL && broker[0] != '\0')
        return broker;
    puts("1..0 # SKIP no broker");
    return NULL;
}

struct esp_log *test_kafka_open(const char *broker, const char *const *more,
                                struct test_reports *reports)
{
    struct esp_log_property properties[16] = {
        {.name = "bootstrap.servers", .value = broker, .where = "test:1"}};
    size_t n = 1;
    for (size_t i = 0; more != NULL && more[i] != NULL; i += 2)
        properties[n++] =
            (struct esp_log_property){.name = more[i], .value = more[i + 1], .where = "test:2"};
    struct esp_log *log = NULL;
    struct esp_error err = {0};
    if (esp_log_open_kafka(properties, n, test_report, reports, &log, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return log;
}

char *test_topic_new(struct esp_log *log, const char *stem, size_t n_partitions,
                     const char *const *config)
{
    static unsigned serial;
    char *topic = g_strdup_printf("test.%s.%d.%lld.%u", stem, (int)getpid(),
                                  (long long)g_get_real_time(), serial++);
    struct esp_error err = {0};
    if (esp_log_create_topic(log, topic, n_partitions, config, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return topic;
}

struct esp_log_writer *test_kafka_writer(struct esp_log *log, const char *topic)
{
    struct esp_log_writer *writer = NULL;
    struct esp_error err = {0};
    struct esp_log_writer_config config = {.topic = topic};
    if (esp_log_writer_new(log, &config, &writer, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return writer;
}

void test_produce(struct esp_log_writer *writer, int32_t partition, const char *key,
                  const char *text, int64_t time_us)
{
    struct esp_error err = {0};
    struct esp_bytes key_bytes = key == NULL ? esp_bytes(NULL, 0) : esp_bytes_of(key);
    struct esp_bytes value = text == NULL ? esp_bytes(NULL, 0) : esp_bytes_of(text);
    if (esp_log_append(writer, partition, key_bytes, value, time_us, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
}
