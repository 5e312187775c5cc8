/*
 * drift_record.h - the drift record (schemas/drift.avsc): how one model did on one window of
 * impressions, for one task and one age of the model.
 *
 * Written by `train`, read by `drift` and by whoever else reads the topic. A figure or a block that
 * is null in the record has its flag down here; a number is never 0 or NaN in place of null.
 */
#ifndef ESP_EVENT_DRIFT_RECORD_H
#define ESP_EVENT_DRIFT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "log/log.h"

enum {
    ESP_DRIFT_VERSION = 1,
    ESP_DRIFT_RUN_SIZE = 16,  /* hex digits */
    ESP_DRIFT_MAX_NAME = 256, /* bytes of model and setup */
    ESP_DRIFT_NO_AGE = -1,    /* age: null */
    ESP_DRIFT_KEY_SIZE = 640, /* bytes of a key's text, its NUL among them */
};
#define ESP_DRIFT_NO_SNAPSHOT INT64_MIN /* snapshot: null */

/* Symbols of the schema's enums, in their order. */
enum esp_drift_kind {
    ESP_DRIFT_HOLDOUT,     /* a snapshot of some age, on impressions that are never trained on */
    ESP_DRIFT_PROGRESSIVE, /* the weights of the moment, before they learn of the impression */
    ESP_DRIFT_PRODUCTION,  /* the scores that the impressions carried, on the holdout */
    ESP_N_DRIFT_KINDS
};
enum esp_drift_task {
    ESP_DRIFT_CLICK,
    ESP_DRIFT_INSTALL_GIVEN_CLICK,
    ESP_DRIFT_INSTALL,
    ESP_N_DRIFT_TASKS
};
/* The symbol: "holdout", "install_given_click". */
const char *esp_drift_kind_name(enum esp_drift_kind kind);
const char *esp_drift_task_name(enum esp_drift_task task);

/* Sums over resampling units: see the schema. Fields in its order. */
struct esp_drift_sums {
    double w, l, p, y;
    double ww, wl, wp, wy, ll, lp, ly, pp, py, yy;
};

/* The paired part: against age 0, or against the scores that the impressions carried. */
struct esp_drift_paired {
    bool is_set;
    int64_t examples, positives, clusters;
    int64_t clipped; /* scores of others that were moved into [1e-7, 1 - 1e-7] */
    double w, d, dd, dw, ww;
};

/* A value with its 95 % interval. */
struct esp_drift_figure {
    bool is_set, has_interval;
    double value, low, high;
};

/* Fields in the schema's order, but for the version, which is ESP_DRIFT_VERSION. */
struct esp_drift_record {
    struct esp_bytes run, model, setup; /* borrowed; UTF-8 without control characters */
    enum esp_drift_kind kind;
    int64_t window_start_us, window_end_us;
    enum esp_drift_task task;
    int32_t age;      /* in windows; ESP_DRIFT_NO_AGE but for holdout */
    int64_t snapshot; /* ESP_DRIFT_NO_SNAPSHOT but for holdout */
    int64_t examples, positives, clusters;
    double share;
    struct esp_drift_sums sums;
    struct esp_drift_paired paired, production;
    struct esp_drift_figure log_loss, normalised_entropy, calibration, roc_auc, pr_auc;
    struct esp_drift_figure drift_loss, production_loss;
};

/*
 * Appends one bare record. What esp_decode_drift() would refuse is not written.
 * On failure the buffer is as it was. Errors: ESP_EINVAL (names the field), ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_encode_drift(struct esp_buf *buf, const struct esp_drift_record *record,
                                 struct esp_error *err);

/*
 * Reads one bare record, which must fill `bytes`. Texts are borrowed from `bytes`.
 *
 * Refused is whatever does not match the schema, and what no trainer writes: numbers that are not
 * finite, counts below 0 or above the examples, a window that ends before it starts, an interval
 * with one end, an age where the kind has none or none where it has one.
 *
 * On failure *out is untouched. Errors: ESP_EDECODE (says what is wrong), ESP_ESCHEMA (a version
 * that is not known).
 */
enum esp_status esp_decode_drift(struct esp_bytes bytes, struct esp_drift_record *out,
                                 struct esp_error *err);

/*
 * Writes the record's key, RUN/MODEL/KIND/START-END/TASK/AGE with the window's ends in us and "-"
 * for no age: equal for two records if and only if the later one takes the earlier one's place.
 * Returns text.
 */
const char *esp_drift_key(const struct esp_drift_record *record, char text[ESP_DRIFT_KEY_SIZE]);

/* What a reader of the topic needs to know records by: in Kafka by the fingerprint before each, in
 * files by the container's schema. Must not move after init. */
struct esp_drift_reader {
    uint64_t fingerprint;         /* of schemas/drift.avsc */
    uint64_t n_unknown;           /* containers that were refused for their schema */
    struct esp_log_framer framer; /* to lend to esp_log_reader_new() */
};

/* Errors: ESP_ENOMEM. */
enum esp_status esp_drift_reader_init(struct esp_drift_reader *reader, struct esp_error *err);

/*
 * Decodes a record as it stands in the log: bare if it comes from a container (record->schema),
 * else in single-object framing. Errors: as esp_decode_drift(); ESP_ESCHEMA also for another
 * schema's fingerprint.
 */
enum esp_status esp_drift_reader_decode(const struct esp_drift_reader *reader,
                                        const struct esp_record *record,
                                        struct esp_drift_record *out, struct esp_error *err);

#endif
