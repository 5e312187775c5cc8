/*
 * log_ops.h - what an implementation of log.h provides. For this folder only.
 *
 * Each implementation embeds these structs as the first member of its own, so that a pointer to
 * one is a pointer to the other. log.c checks arguments and dispatches; implementations need not.
 */
#ifndef ESP_LOG_LOG_OPS_H
#define ESP_LOG_LOG_OPS_H

#include "log/log.h"

/* The functions have the contracts of their namesakes in log.h. */
struct esp_log_ops {
    const char *kind;
    void (*free)(struct esp_log *log);
    enum esp_status (*partitions)(struct esp_log *log, const char *topic, int64_t timeout_us,
                                  size_t *out_n, struct esp_error *err);
    enum esp_status (*create_topic)(struct esp_log *log, const char *topic, size_t n_partitions,
                                    const char *const *config, struct esp_error *err);
    enum esp_status (*topic_properties)(struct esp_log *log, const char *topic,
                                        struct esp_topic_property *properties, size_t n,
                                        struct esp_error *err);
    enum esp_status (*bounds)(struct esp_log *log, const char *topic, size_t partition,
                              int64_t *out_first, int64_t *out_end, struct esp_error *err);
    enum esp_status (*cut_back)(struct esp_log *log, const char *topic, size_t partition,
                                const struct esp_log_mark *mark, struct esp_error *err);
    enum esp_status (*reader_new)(struct esp_log *log, const char *topic, size_t partition,
                                  const struct esp_log_place *place, bool follow,
                                  const struct esp_log_framer *framer, struct esp_log_reader **out,
                                  struct esp_error *err);
    enum esp_status (*writer_new)(struct esp_log *log, const struct esp_log_writer_config *config,
                                  struct esp_log_writer **out, struct esp_error *err);
};

struct esp_log {
    const struct esp_log_ops *ops;
    esp_log_report *report; /* may be NULL */
    void *report_context;
    esp_log_time_left *time_left; /* may be NULL */
    void *stop_context;
};

struct esp_log_reader_ops {
    void (*free)(struct esp_log_reader *reader);
    enum esp_status (*read)(struct esp_log_reader *reader, struct esp_record *records,
                            size_t capacity, int64_t timeout_us, size_t *out_n,
                            enum esp_log_position *out_position, struct esp_error *err);
    void (*stats)(const struct esp_log_reader *reader, struct esp_log_reader_stats *out);
    void (*place)(const struct esp_log_reader *reader, struct esp_log_place *out);
    void (*commit)(struct esp_log_reader *reader);
};

struct esp_log_reader {
    const struct esp_log_reader_ops *ops;
};

struct esp_log_writer_ops {
    void (*free)(struct esp_log_writer *writer);
    enum esp_status (*append)(struct esp_log_writer *writer, int32_t partition,
                              struct esp_bytes key, struct esp_bytes value, int64_t log_time_us,
                              int64_t *offset /* may be NULL */, struct esp_error *err);
    enum esp_status (*wait)(struct esp_log_writer *writer, int64_t timeout_us, bool *out_done,
                            struct esp_error *err);
    enum esp_status (*flush)(struct esp_log_writer *writer, int64_t timeout_us,
                             struct esp_error *err);
    enum esp_status (*fence)(struct esp_log_writer *writer, uint64_t *out_fence,
                             struct esp_error *err);
    enum esp_status (*settled)(struct esp_log_writer *writer, uint64_t fence, bool *out_done,
                               struct esp_error *err);
    bool (*mark)(const struct esp_log_writer *writer, size_t partition, struct esp_log_mark *mark);
    void (*archive)(struct esp_archive *archive, struct esp_log_writer *writer);
};

struct esp_log_writer {
    const struct esp_log_writer_ops *ops;
};

/* One formatted line to the log's report; control characters become '?'. From any thread. */
void esp_log_say(const struct esp_log *log, enum esp_level_hint level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * ESP_EDATA: an offset that is wanted is not among those of the partition, from `first` to below
 * `end`; says which records are gone and how many, or that the log is another one.
 */
enum esp_status esp_log_fail_gap(const char *topic, size_t partition, int64_t wanted, int64_t first,
                                 int64_t end, struct esp_error *err);

/* What esp_log_set_stop() was given says; INT64_MAX without it. From any thread. */
int64_t esp_log_left_us(const struct esp_log *log);

/* A clock for waits and rates only: us since some moment, never falls. */
int64_t esp_log_now_us(void);

#endif
