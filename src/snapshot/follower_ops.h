/* follower_ops.h - what a kind of source provides. For this folder only. */
#ifndef ESP_SNAPSHOT_FOLLOWER_OPS_H
#define ESP_SNAPSHOT_FOLLOWER_OPS_H

#include "snapshot/follower.h"

/* Functions have the contracts of their namesakes in follower.h; follower.c looks up the snapshot
 * and counts refusals. */
struct esp_source_ops {
    void (*free)(struct esp_snapshot_source *source);
    enum esp_status (*poll)(struct esp_snapshot_source *source, int64_t timeout_us, bool *changed,
                            bool *at_end, struct esp_error *err);
    enum esp_status (*fetch)(struct esp_snapshot_source *source, struct esp_live_snapshot *live,
                             char **out, struct esp_error *err);
    enum esp_status (*fetch_to)(struct esp_snapshot_source *source, struct esp_live_snapshot *live,
                                const char *path, bool *stopped, struct esp_error *err);
};

struct esp_snapshot_source {
    const struct esp_source_ops *ops;
    char *place; /* owned */
    struct esp_patience patience;
    esp_log_report *report;
    void *report_context;
    struct esp_live_set live;
    struct esp_snapshot_source_stats stats;
};

/* One line to the report, if there is one. */
void esp_source_say(const struct esp_snapshot_source *source, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum esp_status esp_topic_source_new(const struct esp_snapshot_source_config *config,
                                     struct esp_snapshot_source **out, struct esp_error *err);
enum esp_status esp_files_source_new(const struct esp_snapshot_source_config *config,
                                     struct esp_snapshot_source **out, struct esp_error *err);

#endif
