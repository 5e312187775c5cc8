/*
 * config.h - a configuration file and `-o` overrides, checked as a whole and turned into what the
 * stages take.
 */
#ifndef ESP_CMD_CONFIG_CONFIG_H
#define ESP_CMD_CONFIG_CONFIG_H

#include "cmd/config/config_registry.h"
#include "cmd/config/options.h"
#include "drift/ladder.h"
#include "feature/features.h"
#include "sample/sampler.h"
#include "snapshot/manifest.h"

/* Everything below points into the arena or the ini document; nothing moves after load. */
struct config {
    struct esp_ini ini;
    struct esp_settings_arena *arena;
    struct options options;
    const char *path;

    struct esp_log_property *properties; /* of [kafka] */
    size_t n_properties;
    char *found_schemas[ESP_N_EVENT_KINDS]; /* paths of schemas found by their topic's name */
    struct esp_schema_file *schemas;        /* of [schemas] */
    size_t n_schemas;
    struct config_registry registry;

    struct esp_model_config *models;     /* at least one */
    struct model_options *model_options; /* (n_models) what they were made of */
    size_t n_models;

    const char **feature_paths;            /* what the decoder reads, each once */
    size_t n_feature_paths, n_model_paths; /* the models' features read the first ones */
    struct esp_feature_config *features;
    const char **feature_names;
    size_t n_features;

    bool has_installs;

    bool has_drift; /* the holdout is measured by snapshots of several ages */
    struct esp_ladder ladder;
    size_t cluster_value, production_value[ESP_N_TASKS]; /* among the paths; SIZE_MAX: none */
    bool is_scoring; /* set by `espalier score`: impressions alone are read */

    /* Set by config_settle(). */
    bool has_checkpoints;
    bool closes_at_end; /* time ends when every input has */
};

/*
 * Reads the file, applies the overrides ("section.key=value", or "model NAME.key=value"), checks
 * all of it.
 *
 * report  gets one line a problem; all problems of the file are reported
 * Errors: ESP_ECONFIG, ESP_ENOMEM.
 */
enum esp_status config_load(struct config *config, const char *path, char *const *overrides,
                            size_t n_overrides, esp_ini_report *report, void *context,
                            struct esp_error *err);

/* { 0 } and half-loaded ones are fine. */
void config_release(struct config *config);

/* What depends on whether the run of `espalier train` follows its input. */
void config_settle(struct config *config, bool follow);

/*
 * Writes where a key stands: "FILE:LINE: [section] key = value", without the line for -o;
 * "FILE: [section] key" where no entry gives it. Passwords are shown as ***. Returns text.
 */
const char *config_place(const struct config *config, const char *section, const char *key,
                         char *text, size_t size);

/* The sampler's part. */
struct esp_sampler_config config_sampler(const struct config *config);

/* The learner of model i. */
struct esp_learner_config config_learner(const struct config *config, size_t i);

/*
 * Identifies what model i learns: 16 hex digits, a hash of every option that changes a weight. Two
 * configurations with one run write the same snapshots from the same events.
 */
enum { CONFIG_RUN_SIZE = ESP_RUN_SIZE };
enum esp_status config_run(const struct config *config, size_t i, char out[CONFIG_RUN_SIZE],
                           struct esp_error *err);

/*
 * Appends every option that a checkpoint depends on, a line each, and a NUL: those of the runs of
 * all models, and what is measured and written. Errors: ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status config_state(const struct config *config, struct esp_buf *text,
                             struct esp_error *err);

/* The decoder of one input. feature_paths go to the impressions' alone. */
struct esp_decoder_config config_decoder(const struct config *config, enum esp_event_kind kind);

#endif
