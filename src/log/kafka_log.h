/*
 * kafka_log.h - the `kafka` log: librdkafka's handles and what its readers and writers share.
 *
 * One consumer handle serves all readers, metadata and topic creation; one producer handle, made
 * with the first writer, serves all writers. librdkafka's own threads call back on log lines; all
 * other callbacks run where a reader or writer polls.
 */
#ifndef ESP_LOG_KAFKA_LOG_H
#define ESP_LOG_KAFKA_LOG_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "log/log_ops.h"

enum {
    ESP_KAFKA_ERROR_SIZE = 512,
    ESP_KAFKA_WAIT_MS = 30000, /* for an answer that a call cannot do without */
    ESP_KAFKA_N_SAID = 64,
};

/* When a kind of report was last made. */
struct esp_kafka_said {
    uint64_t hash; /* of the kind; 0: free */
    int64_t time_us;
};

struct esp_kafka_writer;

struct esp_kafka_log {
    struct esp_log log;
    rd_kafka_t *consumer;             /* owned; freed by kafka_free() in a thread of its own, */
    rd_kafka_conf_t *producer_conf;   /* owned; the producer is made from a copy */
    rd_kafka_t *producer;             /* and so is this; NULL: none yet */
    struct esp_kafka_writer *writers; /* all that were ever made: their messages may outlive them */
    char **secrets;                   /* (n_secrets) owned; set before anything can log */
    size_t n_secrets, secret_capacity;
    bool resets_offsets;  /* the user set auto.offset.reset */
    bool says_all;        /* the user set debug: every line is passed on */
    atomic_bool gives_up; /* an end is wanted, and a full queue found no room in time */
    atomic_uint_fast64_t n_gone_hints;  /* how often a topic or partition was said to be unknown */
    atomic_uint_fast64_t n_link_faults; /* connections lost so far: an end is then unconfirmed */
    pthread_mutex_t lock;               /* guards producer, producer_conf, writers */
    pthread_mutex_t say_lock; /* guards said; innermost: librdkafka logs within its own calls */
    struct esp_kafka_said said[ESP_KAFKA_N_SAID];
};

/* As esp_log_say(), but at most once a minute for lines of one kind. */
void esp_kafka_say_rarely(struct esp_kafka_log *kafka, const char *kind, enum esp_level_hint level,
                          const char *line);

/* Notes what must not be said, if the property has that. Errors: ESP_ENOMEM. */
enum esp_status esp_kafka_keep_secret(struct esp_kafka_log *kafka,
                                      const struct esp_log_property *property,
                                      struct esp_error *err);

/* Puts *** in the place of each, which makes the text no longer. From any thread. */
void esp_kafka_hide_secrets(const struct esp_kafka_log *kafka, char *text);

void esp_kafka_forget_secrets(struct esp_kafka_log *kafka);

/* A timeout as librdkafka wants it: ms, rounded up, within int. */
int esp_kafka_ms(int64_t timeout_us);

/*
 * A wait for an answer, in steps that grow, so that a wish to stop is seen between them:
 *
 *     struct esp_kafka_wait wait = {.end_us = esp_log_now_us() + timeout_us};
 *     do
 *         code = ...(..., esp_kafka_step_ms(kafka, &wait));
 *     while (esp_kafka_waits_on(kafka, &wait, code));
 */
struct esp_kafka_wait {
    int64_t end_us;
    int64_t step_us, step_end_us;
};
int esp_kafka_step_ms(const struct esp_kafka_log *kafka, struct esp_kafka_wait *wait);
/* True if code says no more than that the step's time has passed, and another is due. */
bool esp_kafka_waits_on(const struct esp_kafka_log *kafka, const struct esp_kafka_wait *wait,
                        rd_kafka_resp_err_t code);

/*
 * The offset behind a partition's last record (logical: RD_KAFKA_OFFSET_END), or of its first
 * (RD_KAFKA_OFFSET_BEGINNING), as its leader says within the timeout. Unlike
 * rd_kafka_query_watermark_offsets(), which waits on while the leader is away.
 */
rd_kafka_resp_err_t esp_kafka_query_offset(struct esp_kafka_log *kafka, const char *topic,
                                           int32_t partition, int64_t logical, int timeout_ms,
                                           int64_t *out_offset);

/* The topic's number of partitions, 0: it does not exist. As esp_log_partitions(). */
enum esp_status esp_kafka_partitions(struct esp_log *log, const char *topic, int64_t timeout_us,
                                     size_t *out_n, struct esp_error *err);
enum esp_status esp_kafka_create_topic(struct esp_log *log, const char *topic, size_t n_partitions,
                                       const char *const *config, struct esp_error *err);
enum esp_status esp_kafka_topic_properties(struct esp_log *log, const char *topic,
                                           struct esp_topic_property *properties, size_t n,
                                           struct esp_error *err);
enum esp_status esp_kafka_bounds(struct esp_log *log, const char *topic, size_t partition,
                                 int64_t *out_first, int64_t *out_end, struct esp_error *err);
enum esp_status esp_kafka_reader_new(struct esp_log *log, const char *topic, size_t partition,
                                     const struct esp_log_place *place, bool follow,
                                     const struct esp_log_framer *framer,
                                     struct esp_log_reader **out, struct esp_error *err);
enum esp_status esp_kafka_writer_new(struct esp_log *log,
                                     const struct esp_log_writer_config *config,
                                     struct esp_log_writer **out, struct esp_error *err);

/* Makes the producer if there is none. Errors: ESP_ECONFIG (properties that do not fit together).
 */
enum esp_status esp_kafka_need_producer(struct esp_kafka_log *kafka, struct esp_error *err);

/* A message was delivered, or failed for good. librdkafka's callback, where somebody polls. */
void esp_kafka_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque);

/* Frees what esp_log_writer_free() had to keep. The producer is gone. */
void esp_kafka_writers_free(struct esp_kafka_log *kafka);

#endif
