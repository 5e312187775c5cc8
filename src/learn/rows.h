/*
 * rows.h - the examples that a learner holds until it computes: a batch to learn from, and rows to
 * score. They own copies of their features.
 */
#ifndef ESP_LEARN_ROWS_H
#define ESP_LEARN_ROWS_H

#include "feature/features.h"
#include "sample/example.h"

#define ESP_NO_FEATURES SIZE_MAX

/* What a learner keeps of an example. */
struct esp_row_info {
    int64_t due_us, impression_us;
    uint64_t ticket, id_hash;
    double weight, base_weight;
    size_t feature_row; /* in the features; ESP_NO_FEATURES: a label without a row to compute */
    unsigned terms;     /* enum esp_term: what it learns; 0: it is scored only */
    uint8_t stage;      /* enum esp_stage */
    bool y, z, holdout;
};

struct esp_rows {
    struct esp_feature_batch features;
    struct esp_row_info *infos; /* (capacity) */
    size_t n, capacity;
};

/* Room for capacity rows. Errors: ESP_ENOMEM. */
enum esp_status esp_rows_init(struct esp_rows *rows, size_t n_features, size_t capacity,
                              struct esp_error *err);
void esp_rows_release(struct esp_rows *rows);
void esp_rows_clear(struct esp_rows *rows);

/*
 * Appends an example with the terms that it learns; there is room.
 *
 * from  row `row` is copied; NULL: a label without features
 * Errors: ESP_ENOMEM.
 */
enum esp_status esp_rows_add(struct esp_rows *rows, const struct esp_example *example,
                             unsigned terms, const struct esp_feature_batch *from, size_t row,
                             struct esp_error *err);

/* Writes or reads the rows; reading, into an empty buffer of the same capacity. Terms are not
 * written: they are 0 after reading, for the learner to set. */
void esp_rows_archive(struct esp_archive *archive, struct esp_rows *rows);

/* Pairs in the features of all rows. */
size_t esp_rows_n_pairs(const struct esp_rows *rows);

#endif
