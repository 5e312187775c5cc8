/* drift_helper.h - snapshots of small models in files, and random streams of labels. */
#ifndef ESP_TESTS_DRIFT_HELPER_H
#define ESP_TESTS_DRIFT_HELPER_H

#include "drift/drift.h"
#include "snapshot_helper.h"
#include "testkit.h"

enum { TEST_SETUPS = 3, TEST_STATES = 5, TEST_MODELS = 2 };

/* Which models there are: all tasks, installs alone, clicks alone. */
enum test_setup { TEST_IPSP, TEST_ESP, TEST_CTR };

/*
 * TEST_STATES snapshots of each, numbered from 100. Weights differ between all of them, the
 * statistics of the numeric features between {0, 1}, {2} and {3, 4}.
 */
struct test_files {
    char *folder;
    char *paths[TEST_SETUPS][TEST_STATES];
};
void test_files_init(struct test_files *files);
void test_files_release(struct test_files *files);

/* What a stream is like. */
struct test_plan {
    const char *name;
    struct esp_ladder ladder;
    int64_t click_window_us, install_window_us;
    bool has_installs;
    size_t n_models;
    enum test_setup setups[TEST_MODELS];
    size_t n_impressions, n_windows; /* t_i fall into so many windows, some of them empty */
    size_t window_examples;
    size_t n_units;    /* 0: each impression by itself */
    double production; /* share of impressions that carry scores */
    double missing;    /* share of boundaries without a snapshot */
    double holdout;
    double cut; /* share of the labels, at the end, that never come */
};

/* Little of everything, for states of a few kilobytes. */
extern const struct test_plan test_small_plan;

struct test_impression {
    int64_t time_us, click_us, install_us; /* ESP_TIME_NONE: none that counts */
    bool y, z, holdout;
    double weight;
    uint64_t unit, ticket;
    double production[ESP_N_TASKS];
    struct esp_value values[TEST_FIELDS];
    size_t install_at; /* its install label's place; SIZE_MAX: none comes */
};

struct test_label {
    int64_t due_us;
    size_t impression;
    uint8_t stage; /* enum esp_stage */
};

struct test_stream {
    const struct test_plan *plan;
    const struct test_files *files;
    uint64_t seed;
    struct test_impression *impressions; /* (n) */
    size_t n;
    struct test_label *labels; /* (n_labels) in label order */
    size_t n_labels;
};

void test_stream_draw(struct test_stream *stream, const struct test_plan *plan,
                      const struct test_files *files, uint64_t seed);
void test_stream_release(struct test_stream *stream);

/* The two halves of it: impressions are set, labels follow from them. */
void test_stream_label(struct test_stream *stream);

/* Made-up fields of an impression. */
void test_values(struct test_random *random, struct esp_value values[TEST_FIELDS]);

/* Which of the TEST_STATES stands for a boundary of a model; SIZE_MAX: none. */
size_t test_stream_state(const struct test_stream *stream, size_t model, int64_t boundary_us);
const char *test_stream_path(const struct test_stream *stream, size_t model, size_t state);

/* The stage's configuration, without its emit. Opens by test_stream_state(). */
struct esp_drift_config test_stream_config(const struct test_stream *stream);

/* Gives the label at a place to the stage, as the learning thread does. */
enum esp_status test_stream_feed(const struct test_stream *stream, struct esp_drift *drift,
                                 size_t place, struct esp_error *err);

/* An emit: every bit of a measure as a line of the GString that is its context. */
enum esp_status test_write_measure(void *context, const struct esp_drift_measure *measure,
                                   struct esp_error *err);

#endif
