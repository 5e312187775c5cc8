/* checkpoint_helper.h - a small checkpoint, written and looked at. */
#ifndef ESP_TESTS_CHECKPOINT_HELPER_H
#define ESP_TESTS_CHECKPOINT_HELPER_H

#include "state/checkpoint_fork.h"

/* What a test's checkpoint holds: two numbers in one section, an array in the other. */
struct test_state {
    uint64_t count;
    int64_t newest_us;
    uint32_t *items;
    size_t n;
};

#define TEST_BUILD "build = espalier 1.2\nopenblas = SkylakeX"
#define TEST_RUN   "label.click_window = 1h\nmodel.seed = 7"

struct esp_checkpoint_head test_head(uint64_t number);

/* Items 0 to n - 1, mixed with a seed. */
void test_state_init(struct test_state *state, size_t n, uint64_t seed);
void test_state_release(struct test_state *state);

/* An esp_checkpoint_content: the two sections of a struct test_state. */
enum esp_status test_state_write(void *context, struct esp_checkpoint_writer *writer,
                                 struct esp_error *err);

/* Fills an empty state from a checkpoint. */
enum esp_status test_state_read(struct test_state *state, const struct esp_checkpoint *checkpoint,
                                struct esp_error *err);

/* The checkpoint of a state as bytes that g_free() frees. */
struct esp_bytes test_checkpoint_bytes(struct test_state *state, uint64_t number);

/* Writes a checkpoint of a state into FOLDER/checkpoints under its final name, without a fork. */
void test_checkpoint_put(const struct esp_state_folder *folder, struct test_state *state,
                         uint64_t number);

/* Makes a file with a text; NULL: an empty one. */
void test_file_put(const struct esp_state_folder *folder, const char *name, const char *text);
bool test_file_is_there(const struct esp_state_folder *folder, const char *name);

#endif
