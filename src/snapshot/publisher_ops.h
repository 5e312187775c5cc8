/*
 * publisher_ops.h - what a place to publish to provides. For this folder only.
 *
 * publisher.c decides what is published and retired; a place does it. Both embed struct
 * esp_publisher as their first member.
 */
#ifndef ESP_SNAPSHOT_PUBLISHER_OPS_H
#define ESP_SNAPSHOT_PUBLISHER_OPS_H

#include "snapshot/publisher.h"

struct esp_publisher_ops {
    void (*free)(struct esp_publisher *publisher);
    /* Brings publisher->live up to date. *stopped: it may not be. */
    enum esp_status (*refresh)(struct esp_publisher *publisher, bool *stopped,
                               struct esp_error *err);
    /* Removes what earlier lives left of this run and model, of numbers below. */
    enum esp_status (*tidy)(struct esp_publisher *publisher, const struct esp_snapshot_id *below,
                            bool *stopped, struct esp_error *err);
    /* Whether what is live under the identity has these bytes. */
    enum esp_status (*is_same)(struct esp_publisher *publisher,
                               const struct esp_live_snapshot *live,
                               const struct esp_publication *publication, bool *out,
                               struct esp_error *err);
    /* Makes it live, and puts it into publisher->live; *stopped: it is not. */
    enum esp_status (*put)(struct esp_publisher *publisher,
                           const struct esp_publication *publication, bool *stopped,
                           struct esp_error *err);
    /* Takes it away, and out of publisher->live; *stopped: it is no longer live, at most part of it
     * is left for tidy(). */
    enum esp_status (*retire)(struct esp_publisher *publisher, const struct esp_snapshot_id *id,
                              bool *stopped, struct esp_error *err);
};

/* A run and model that was tidied up. */
struct esp_tidied {
    char run[ESP_RUN_TEXT_SIZE], model[ESP_MODEL_NAME_SIZE];
};

struct esp_publisher {
    const struct esp_publisher_ops *ops;
    char *place; /* owned: the topic or the folder */
    size_t keep;
    struct esp_patience patience;
    struct esp_live_set live;
    struct esp_tidied *tidied; /* owned */
    size_t n_tidied, tidied_capacity;
    struct esp_publisher_stats stats;
};

/* Each makes its place's publisher; base fields are set by publisher.c. */
enum esp_status esp_topic_publisher_new(const struct esp_publisher_config *config,
                                        struct esp_publisher **out, struct esp_error *err);
enum esp_status esp_folder_publisher_new(const struct esp_publisher_config *config,
                                         struct esp_publisher **out, struct esp_error *err);

#endif
