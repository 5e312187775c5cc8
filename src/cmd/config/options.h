/*
 * options.h - everything that can be configured: the struct, and the one table that parses it,
 * checks it and writes its manual.
 */
#ifndef ESP_CMD_CONFIG_OPTIONS_H
#define ESP_CMD_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ini.h"
#include "core/settings.h"
#include "event/event.h"
#include "learn/learner.h"
#include "log/log.h"

/* One input topic: [impressions], [clicks], [installs]. */
struct input_options {
    bool enabled; /* installs only; the others are always read */
    const char *topic;
    const char *id;
    const char *time; /* a path, or "@log": the log's own timestamp */
    int time_unit;    /* enum esp_time_unit */
    const char *schema;
    int framing; /* enum esp_framing */
    int64_t grace_us;
    const char *click_id; /* clicks only */
    int refers_to;        /* installs only: REFERS_TO_* */
};

enum { REFERS_TO_IMPRESSION, REFERS_TO_CLICK };

/* One [model NAME] section, before it becomes an esp_model_config. */
struct model_options {
    const char *name; /* "main" for [model] */
    int setup;
    int64_t width;
    struct esp_setting_list layers, head_layers; /* texts of numbers */
    int64_t batch, slice, seed, admit_after;
    uint64_t table_memory;
    double init;
    struct optimizer_options {
        int kind, accumulator, schedule;
        double rate, initial, horizon, beta1, beta2, epsilon, l2, clip;
        int64_t half_life_us;
    } dense, sparse;
};

enum { AT_END_HOLD, AT_END_CLOSE, AT_END_AUTO };
enum { CHECKPOINTS_AUTO, CHECKPOINTS_ON, CHECKPOINTS_OFF };
enum { LOST_REWIND, LOST_RESTART };
enum { GAP_STOP, GAP_CONTINUE };
enum { SCORE_FROM_EARLIEST, SCORE_FROM_LATEST };

struct options {
    const char *schema_folder; /* NULL: "schemas" beside the configuration */
    struct registry_options {
        const char *url; /* as it stands in the file: may hold a password; NULL: none */
        const char *user, *ca_file;
        const char *password, *password_file; /* of the second, config_load() makes the first */
        int64_t timeout_us, retries, forget_us;
    } registry;
    const char *state_folder;
    int checkpoints; /* CHECKPOINTS_* */
    int64_t state_every_us, state_event_every_us;
    int64_t state_keep;
    int state_lost, state_gap; /* LOST_*, GAP_* */
    const char *files_root;    /* NULL: Kafka */
    int files_codec;
    struct input_options inputs[ESP_N_EVENT_KINDS];

    int64_t click_window_us, install_window_us;
    int64_t skew_us, idle_after_us, idle_lag_us;
    uint64_t join_memory;
    int64_t time_min_us, time_max_us, future_us, ahead_us;

    int64_t look_every_us;
    int at_end;
    uint64_t max_record_bytes;
    double max_dead_share;

    double holdout, negatives;
    const char *holdout_key, *weight_field;
    int64_t holdout_seed, negative_seed;
    int correction; /* enum esp_correction */

    struct esp_setting_list categorical, numeric, numeric_log, buckets, buckets_log, crosses;
    int64_t n_buckets;

    int64_t metric_window_us, metric_windows_kept;

    int64_t snapshot_every_us; /* 0: none */
    int snapshot_rows;         /* 0: f32, 1: bf16 */
    bool snapshot_resume;
    const char *snapshot_topic;
    int64_t snapshot_keep;

    bool drift_enabled;
    const char *drift_topic;
    int64_t drift_window_us;
    struct esp_setting_list drift_ages; /* texts of numbers */
    int64_t drift_sparse_from, drift_sparse, drift_window_examples;
    const char *drift_cluster;
    const char *production[ESP_N_TASKS]; /* fields with another's scores; NULL: none */

    bool write_examples;
    const char *examples_topic, *late_topic, *dead_letter_topic;
    int64_t output_partitions;
    const char *fault_folder;

    const char *serve_listen;
    int64_t serve_port; /* 0: nothing is served */
    int64_t serve_stall_after_us;
    const char *serve_dashboard; /* NULL: there is none */

    const char *score_topic;
    struct esp_setting_list score_models; /* empty: all */
    int score_from;                       /* SCORE_FROM_* */

    int64_t threads;
};

extern const struct esp_setting option_table[];
extern const size_t n_option_rows;

/* Words of the choices, in the order of their values. */
extern const char *const codec_words[];

#endif
