/* resume_helper.h - a learner that has learned up to a boundary, its snapshot, and learners that go
 * on from that. */
#ifndef ESP_TESTS_RESUME_HELPER_H
#define ESP_TESTS_RESUME_HELPER_H

#include "core/timespan.h"
#include "learn_helper.h"
#include "snapshot/resume.h"

enum { RESUME_SCORED = 60, RESUME_CLICK_MINUTES = 60, RESUME_N_CASES = 5 };

/* Half past twelve: the window of eleven was scored in part before. */
#define RESUME_EVERY_US    (30 * ESP_MINUTE)
#define RESUME_BOUNDARY_US (25 * RESUME_EVERY_US)
#define RESUME_RUN         "0123456789abcdef"

/* Of the learner helper's features: two categorical, one standardised. */
extern const struct esp_feature_config RESUME_FEATURES[TEST_FEATURES];

struct resume_case {
    const char *name;
    enum esp_optimizer kind;
    enum esp_accumulator accumulator;
    enum esp_schedule schedule;
    int64_t half_life_us;
    double clip;
    uint32_t admit_after;
    size_t n_floats; /* of a row, where rows are evicted; 0: there is room for all */
};
extern const struct resume_case RESUME_CASES[RESUME_N_CASES];

/* What a learner told of one window and task. */
struct resume_heard {
    int64_t start_us;
    enum esp_task task;
    struct esp_task_sums sums;
};

struct resume_learner {
    struct esp_learner *learner;
    GArray *heard; /* of struct resume_heard */
};

struct resume_learner resume_learner_new(struct esp_learner_config config);
void resume_learner_free(struct resume_learner *made);

/* A list with statistics of some numbers, or fresh. */
struct esp_features *resume_features(bool learned);

struct resume_scene {
    char *folder, *path; /* of the snapshot */
    struct esp_learner_config config;
    struct test_stream stream;
    size_t split; /* examples due before the boundary */
    struct resume_learner first;
    struct esp_features *features;
};

/* The first learner learns up to the boundary; no file is written. */
void resume_scene_init(struct resume_scene *scene, enum esp_setup_id setup,
                       const struct resume_case *row);
void resume_scene_release(struct resume_scene *scene);

/* Examples [first, first + n) of the stream, and a flush. */
void resume_feed(struct esp_learner *learner, const struct test_stream *stream, size_t first,
                 size_t n);

/* The manifest of what the first learner has learned. */
struct esp_manifest resume_manifest(const struct resume_scene *scene);

/* Its snapshot, with what learning on takes and without. */
void resume_write_whole(struct resume_scene *scene);
void resume_write_plain(struct resume_scene *scene, enum esp_dtype dtype);

struct esp_snapshot *resume_open(const struct resume_scene *scene);

/* esp_resume() for the scene's run and model. */
enum esp_status resume_take(const struct esp_snapshot *snapshot, struct esp_learner *learner,
                            struct esp_features *features, struct esp_error *err);

/* A new learner that goes on from the scene's file. */
struct resume_learner resume_taken(const struct resume_scene *scene);

/* Logits of some rows of the stream; NaN where the set-up has no such task. */
void resume_score(struct esp_learner *learner, const struct test_stream *stream,
                  float out[RESUME_SCORED * ESP_N_TASKS]);

/* Both give the same logits to the bit; the learner gives those of any reader of the file. */
void resume_same_scores(struct esp_learner *left, struct esp_learner *right,
                        const struct test_stream *stream);
void resume_same_as_file(const struct resume_scene *scene, struct esp_learner *learner);

#endif
