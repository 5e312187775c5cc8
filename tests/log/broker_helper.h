/* broker_helper.h - a kafka log on the broker that ESPALIER_TEST_BROKER names; topics of one's own.
 */
#ifndef ESP_TESTS_BROKER_HELPER_H
#define ESP_TESTS_BROKER_HELPER_H

#include "log_helper.h"

/* True, after printing the TAP line of a test that was skipped, where librdkafka's threads, made by
 * thrd_create(), are unknown to the sanitizer in use and would crash in it. */
bool test_threads_skip(void);

/* The bootstrap address, or NULL after printing the TAP line of a test that was skipped. */
const char *test_broker_or_skip(void);

/* A log on that broker with more properties (pairs, NULL-terminated; or NULL). */
struct esp_log *test_kafka_open(const char *broker, const char *const *more,
                                struct test_reports *reports);

/* A topic that no other run has; retention is off. To be freed by g_free(). */
char *test_topic_new(struct esp_log *log, const char *stem, size_t n_partitions,
                     const char *const *config);

/* A writer to a topic. */
struct esp_log_writer *test_kafka_writer(struct esp_log *log, const char *topic);

/* Appends a text as it is. time_us: ESP_TIME_NONE for now. */
void test_produce(struct esp_log_writer *writer, int32_t partition, const char *key,
                  const char *text, int64_t time_us);

#endif
