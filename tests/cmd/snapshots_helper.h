/* snapshots_helper.h - two small models that learn from made-up labels, and their snapshots. */
#ifndef ESP_TESTS_SNAPSHOTS_HELPER_H
#define ESP_TESTS_SNAPSHOTS_HELPER_H

#include "cmd/train/snapshots.h"
#include "core/timespan.h"
#include "testkit.h"

enum { N = 600, N_FIELDS = 2 };
#define START (INT64_C(1714521600) * ESP_SECOND)
#define EVERY ESP_HOUR

/* Models, their snapshots, and the folders that these go to. */
struct test_bench {
    char *folder, *kept; /* kept: second links to all files that were taken */
    struct config config;
    struct snapshots snapshots;
    struct esp_learner *learners[2];
    struct esp_features *features;
    GArray *numbers; /* int64_t: what was taken of model 0, in order */
};

/* more: text after the last section, which is that of model b. */
void test_bench_start(struct test_bench *bench, const char *more);
void test_bench_end(struct test_bench *bench);

/* The kept link of a snapshot: a name, to be g_free()d. A file that is taken again must have the
 * bytes of the one that is kept. */
char *test_kept_path(const struct test_bench *bench, size_t m, int64_t number);

/* Learns one example, across a boundary where one is due, as the learning thread does. */
void test_bench_learn(struct test_bench *bench, size_t i, int64_t due_us);
void test_bench_finish(struct test_bench *bench);

/* Irregular: example i is due so long after the start; a gap of 5 hours in the middle. */
int64_t test_due(size_t i);

/* In the folder of the state. */
size_t test_count_files(const struct test_bench *bench);

#endif
