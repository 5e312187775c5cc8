/* features_test.c - the feature list and its rows. */
#include "feature/features.h"

#include <math.h>

#include "feature/keys.h"
#include "feature_values.h"
#include "testkit.h"

#define CATEGORICAL(path, index)                                      \
    {                                                                 \
        .name = path, .kind = ESP_FEATURE_CATEGORICAL, .value = index \
    }
#define STANDARDISED(path, index)                                 \
    {                                                             \
        .name = path, .kind = ESP_FEATURE_NUMERIC, .value = index \
    }
#define BUCKETS(path, index, n)                                                              \
    {                                                                                        \
        .name = path, .kind = ESP_FEATURE_NUMERIC, .form = ESP_FORM_BUCKETS, .value = index, \
        .n_buckets = n                                                                       \
    }
#define CROSS(path, a, b)                                                   \
    {                                                                       \
        .name = path, .kind = ESP_FEATURE_CROSS, .cross_a = a, .cross_b = b \
    }

/* ---- lists ---- */

struct bad_list {
    const char *title, *word; /* the message says this */
    size_t n;
    struct esp_feature_config list[3];
};

static const struct bad_list bad_lists[] = {
    {"an empty list", "no features", 0, {{0}}},
    {"no name", "no name", 1, {CATEGORICAL("", 0)}},
    {"a name twice", "\"a\" is listed twice", 2, {CATEGORICAL("a", 0), CATEGORICAL("a", 1)}},
    {"the separator in a name", "0x1F", 1, {CATEGORICAL("a\x1f", 0)}},
    {"one bucket", "2 to 4096", 1, {BUCKETS("a", 0, 1)}},
    {"4097 buckets", "2 to 4096", 1, {BUCKETS("a", 0, 4097)}},
    {"a cross of a standardised number",
     "\"b\" cannot be crossed",
     3,
     {CATEGORICAL("a", 0), STANDARDISED("b", 1), CROSS("a x b", 0, 1)}},
    {"a cross with itself", "that differ", 2, {CATEGORICAL("a", 0), CROSS("a x a", 0, 0)}},
    {"a cross before its parts",
     "must stand after",
     3,
     {CATEGORICAL("a", 0), CROSS("a x b", 0, 2), CATEGORICAL("b", 1)}},
    {"a cross of a part that does not exist",
     "must stand after",
     2,
     {CATEGORICAL("a", 0), CROSS("a x b", 0, 7)}},
};

static void a_bad_list_is_refused(gconstpointer data)
{
    const struct bad_list *bad = data;
    struct esp_features *features = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_features_new(bad->list, bad->n, &features, &err), ==, ESP_ECONFIG);
    g_assert_null(features);
    g_assert_nonnull(strstr(err.text, bad->word));
}

static struct esp_features *new_features(const struct esp_feature_config *list, size_t n)
{
    struct esp_features *features = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_features_new(list, n, &features, &err), ==, ESP_OK);
    return features;
}

static void a_list_is_copied(void)
{
    char name[] = "geo.country";
    struct esp_feature_config list[] = {CATEGORICAL(name, 5)};
    struct esp_features *features = new_features(list, 1);
    if (features == NULL)
        return;
    name[0] = 'X';
    g_assert_cmpuint(esp_features_count(features), ==, 1);
    g_assert_cmpstr(esp_features_config(features, 0)->name, ==, "geo.country");
    g_assert_cmpuint(esp_features_config(features, 0)->value, ==, 5);
    esp_features_free(features);
    esp_features_free(NULL);
}

/* ---- rows ---- */

/* The rows below have these features over three values. */
static const struct esp_feature_config mixed[] = {
    CATEGORICAL("country", 0), CATEGORICAL("tags", 1),        STANDARDISED("age", 2),
    BUCKETS("price", 2, 4),    CROSS("country x tags", 0, 1), CROSS("tags x price", 1, 3),
};
enum { COUNTRY, TAGS, AGE, PRICE, COUNTRY_TAGS, TAGS_PRICE, N_MIXED };

static size_t n_pairs(const struct esp_feature_batch *batch, size_t row, size_t feature)
{
    const uint32_t *begin = batch->begin + row * batch->n_features + feature;
    return begin[1] - begin[0];
}

static uint64_t key_at(const struct esp_feature_batch *batch, size_t row, size_t feature, size_t i)
{
    return batch->keys[batch->begin[row * batch->n_features + feature] + i];
}

static float coefficient_at(const struct esp_feature_batch *batch, size_t row, size_t feature)
{
    return batch->coefficients[batch->begin[row * batch->n_features + feature]];
}

static void add_row(struct esp_features *features, const struct esp_value *values, bool learn,
                    struct esp_feature_batch *batch)
{
    struct esp_error err = {0};
    g_assert_cmpint(esp_features_add_row(features, values, learn, batch, &err), ==, ESP_OK);
}

/* A batch of one row of the mixed list, from statistics that have seen nothing. */
static struct esp_feature_batch row_of(struct esp_value country, struct esp_value tags,
                                       struct esp_value number)
{
    struct esp_value values[] = {country, tags, number};
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, N_MIXED);
    struct esp_features *features = new_features(mixed, N_MIXED);
    add_row(features, values, false, &batch);
    esp_features_free(features);
    return batch;
}

static uint64_t text_key(const char *name, const char *text)
{
    struct esp_value value = text_value(text);
    return esp_feature_key(name, &value);
}

static uint64_t missing_key(const char *name)
{
    struct esp_value value = missing_value();
    return esp_feature_key(name, &value);
}

static void a_scalar_is_one_pair(void)
{
    struct esp_feature_batch batch = row_of(text_value("DE"), text_value("a"), int_value(3));
    for (size_t f = 0; f < N_MIXED; f++)
        g_assert_cmpuint(n_pairs(&batch, 0, f), ==, 1);
    g_assert_cmphex(key_at(&batch, 0, COUNTRY, 0), ==, text_key("country", "DE"));
    assert_close(coefficient_at(&batch, 0, COUNTRY), 1, 0, 0);
    g_assert_cmphex(
        key_at(&batch, 0, COUNTRY_TAGS, 0), ==,
        esp_feature_cross_key("country x tags", text_key("country", "DE"), text_key("tags", "a")));
    esp_feature_batch_release(&batch);
}

static void an_array_is_pooled(void)
{
    struct esp_value items[] = {text_value("a"), text_value("b"), text_value("a"), missing_value()};
    struct esp_feature_batch batch = row_of(text_value("DE"), array_value(items, 4), int_value(3));
    g_assert_cmpuint(n_pairs(&batch, 0, TAGS), ==, 4);
    g_assert_cmphex(key_at(&batch, 0, TAGS, 0), ==, text_key("tags", "a"));
    g_assert_cmphex(key_at(&batch, 0, TAGS, 1), ==, text_key("tags", "b"));
    g_assert_cmphex(key_at(&batch, 0, TAGS, 2), ==, text_key("tags", "a"));
    g_assert_cmphex(key_at(&batch, 0, TAGS, 3), ==, missing_key("tags"));
    g_assert_cmpuint(n_pairs(&batch, 0, COUNTRY_TAGS), ==, 4);
    g_assert_cmphex(
        key_at(&batch, 0, COUNTRY_TAGS, 1), ==,
        esp_feature_cross_key("country x tags", text_key("country", "DE"), text_key("tags", "b")));
    esp_feature_batch_release(&batch);
}

static void missing_has_a_key(void)
{
    struct esp_feature_batch batch = row_of(missing_value(), missing_value(), missing_value());
    const char *names[] = {"country", "tags", "age", "price"};
    for (size_t f = COUNTRY; f <= PRICE; f++) {
        g_assert_cmpuint(n_pairs(&batch, 0, f), ==, 1);
        g_assert_cmphex(key_at(&batch, 0, f, 0), ==, missing_key(names[f]));
        assert_close(coefficient_at(&batch, 0, f), 1, 0, 0);
    }
    g_assert_cmphex(
        key_at(&batch, 0, TAGS_PRICE, 0), ==,
        esp_feature_cross_key("tags x price", missing_key("tags"), missing_key("price")));
    esp_feature_batch_release(&batch);
}

static void an_empty_array_has_no_pair(void)
{
    struct esp_feature_batch batch = row_of(text_value("DE"), array_value(NULL, 0), int_value(3));
    g_assert_cmpuint(n_pairs(&batch, 0, COUNTRY), ==, 1);
    g_assert_cmpuint(n_pairs(&batch, 0, TAGS), ==, 0);
    g_assert_cmpuint(n_pairs(&batch, 0, COUNTRY_TAGS), ==, 0);
    g_assert_cmpuint(n_pairs(&batch, 0, TAGS_PRICE), ==, 0);
    g_assert_cmpuint(n_pairs(&batch, 0, AGE), ==, 1);
    esp_feature_batch_release(&batch);
}

struct odd_number {
    const char *title;
    struct esp_value value;
};

static void what_is_no_number_is_missing(gconstpointer data)
{
    const struct odd_number *odd = data;
    struct esp_feature_batch batch = row_of(text_value("DE"), text_value("a"), odd->value);
    g_assert_cmphex(key_at(&batch, 0, AGE, 0), ==, missing_key("age"));
    g_assert_cmphex(key_at(&batch, 0, PRICE, 0), ==, missing_key("price"));
    esp_feature_batch_release(&batch);
}

static void a_number_before_statistics_has_the_value_row(void)
{
    struct esp_feature_batch batch = row_of(text_value("DE"), text_value("a"), bool_value(true));
    uint64_t age = esp_key_of_bytes(esp_bytes_of("age"), ESP_KEY_VALUE, esp_bytes(NULL, 0));
    uint64_t price = esp_key_of_bytes(esp_bytes_of("price"), ESP_KEY_VALUE, esp_bytes(NULL, 0));
    g_assert_cmphex(key_at(&batch, 0, AGE, 0), ==, age);
    assert_close(coefficient_at(&batch, 0, AGE), 0, 0, 0);
    g_assert_cmphex(key_at(&batch, 0, PRICE, 0), ==, price);
    assert_close(coefficient_at(&batch, 0, PRICE), 1, 0, 0);
    esp_feature_batch_release(&batch);
}

static void a_cross_of_arrays_takes_every_pair_up_to_the_cap(void)
{
    static const struct esp_feature_config list[] = {CATEGORICAL("a", 0), CATEGORICAL("b", 1),
                                                     CROSS("a x b", 0, 1)};
    enum { MANY = 100 };
    struct esp_value items[MANY];
    for (int i = 0; i < MANY; i++)
        items[i] = int_value(i);
    struct esp_value few[] = {array_value(items, 2), array_value(items + 2, 3)};
    struct esp_value many[] = {array_value(items, MANY), array_value(items, MANY)};
    struct esp_features *features = new_features(list, 3);
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, 3);
    add_row(features, few, false, &batch);
    add_row(features, many, false, &batch);

    g_assert_cmpuint(n_pairs(&batch, 0, 2), ==, 6);
    for (size_t i = 0; i < 6; i++) /* 0 2, 0 3, 0 4, 1 2, 1 3, 1 4 */
        g_assert_cmphex(key_at(&batch, 0, 2, i), ==,
                        esp_feature_cross_key("a x b", esp_feature_key("a", &items[i / 3]),
                                              esp_feature_key("b", &items[2 + i % 3])));
    g_assert_cmpuint(n_pairs(&batch, 1, 2), ==, ESP_MAX_CROSS_PAIRS);
    g_assert_cmphex(key_at(&batch, 1, 2, 4095), ==, /* 4095 = 40 * 100 + 95 */
                    esp_feature_cross_key("a x b", esp_feature_key("a", &items[40]),
                                          esp_feature_key("b", &items[95])));
    esp_feature_batch_release(&batch);
    esp_features_free(features);
}

/* ---- batches ---- */

static void assert_same_row(const struct esp_feature_batch *a, size_t i,
                            const struct esp_feature_batch *b, size_t j)
{
    for (size_t f = 0; f < a->n_features; f++) {
        g_assert_cmpuint(n_pairs(a, i, f), ==, n_pairs(b, j, f));
        if (g_test_failed())
            return;
        for (size_t p = 0; p < n_pairs(a, i, f); p++)
            g_assert_cmphex(key_at(a, i, f, p), ==, key_at(b, j, f, p));
    }
}

static void rows_are_copied_between_batches(void)
{
    struct esp_value items[] = {text_value("a"), text_value("b"), text_value("c")};
    struct esp_features *features = new_features(mixed, N_MIXED);
    struct esp_feature_batch from, to;
    esp_feature_batch_init(&from, N_MIXED);
    esp_feature_batch_init(&to, N_MIXED);
    for (uint32_t i = 0; i < 200; i++) {
        struct esp_value values[] = {int_value(i), array_value(items, i % 4), real_value(i)};
        add_row(features, values, true, &from);
    }
    struct esp_error err = {0};
    for (size_t i = 0; i < 200; i++)
        g_assert_cmpint(esp_feature_batch_copy_row(&to, &from, 199 - i, &err), ==, ESP_OK);
    g_assert_cmpuint(to.n_rows, ==, 200);
    for (size_t i = 0; i < 200; i++)
        assert_same_row(&to, i, &from, 199 - i);
    assert_close(coefficient_at(&to, 0, AGE), coefficient_at(&from, 199, AGE), 0, 0);

    g_assert_cmpint(esp_feature_batch_copy_row(&to, &from, 200, NULL), ==, ESP_EINVAL);
    g_assert_cmpuint(to.n_rows, ==, 200);
    esp_feature_batch_reset(&to);
    g_assert_cmpint(esp_feature_batch_copy_row(&to, &from, 7, &err), ==, ESP_OK);
    assert_same_row(&to, 0, &from, 7);
    esp_feature_batch_release(&from);
    esp_feature_batch_release(&to);
    esp_features_free(features);
}

static void a_batch_of_another_width_is_refused(void)
{
    struct esp_value values[3] = {int_value(1), int_value(2), int_value(3)};
    struct esp_features *features = new_features(mixed, N_MIXED);
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, 2);
    g_assert_cmpint(esp_features_add_row(features, values, true, &batch, NULL), ==, ESP_EINVAL);
    g_assert_cmpuint(batch.n_rows, ==, 0);
    esp_features_free(features);
}

/* ---- statistics ---- */

static void learn_numbers(struct esp_features *features, uint64_t seed, size_t n, bool learn)
{
    struct test_random random = {seed};
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, N_MIXED);
    for (size_t i = 0; i < n; i++) {
        struct esp_value values[] = {text_value("DE"), text_value("a"),
                                     real_value(test_random_unit(&random))};
        esp_feature_batch_reset(&batch);
        add_row(features, values, learn, &batch);
    }
    esp_feature_batch_release(&batch);
}

static void only_rows_that_learn_move_statistics(void)
{
    struct esp_features *features = new_features(mixed, N_MIXED);
    uint64_t before = esp_features_hash(features);
    learn_numbers(features, 1, 100, false);
    g_assert_cmphex(esp_features_hash(features), ==, before);
    learn_numbers(features, 1, 1, true);
    g_assert_cmphex(esp_features_hash(features), !=, before);
    esp_features_free(features);
}

static void a_row_is_made_before_it_is_learned(void)
{
    static const struct esp_feature_config list[] = {STANDARDISED("age", 0)};
    struct esp_features *features = new_features(list, 1);
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, 1);
    for (int i = 0; i < 32; i++) {
        struct esp_value value = int_value(i % 2); /* mean 0.5, deviation 0.5 */
        add_row(features, &value, true, &batch);
        assert_close(coefficient_at(&batch, (size_t)i, 0), 0, 0, 0);
    }
    struct esp_value value = int_value(2);
    add_row(features, &value, true, &batch);
    assert_close(coefficient_at(&batch, 32, 0), 3, 1e-6, 0);
    esp_feature_batch_release(&batch);
    esp_features_free(features);
}

static void missing_numbers_are_not_learned(void)
{
    struct esp_features *features = new_features(mixed, N_MIXED);
    learn_numbers(features, 1, 1000, true);
    uint64_t before = esp_features_hash(features);
    struct esp_value odd[] = {real_value(NAN), real_value(INFINITY), real_value(-INFINITY),
                              text_value("3"), missing_value()};
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, N_MIXED);
    for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
        struct esp_value values[] = {text_value("DE"), text_value("a"), odd[i]};
        add_row(features, values, true, &batch);
    }
    g_assert_cmphex(esp_features_hash(features), ==, before);
    esp_feature_batch_release(&batch);
    esp_features_free(features);
}

static void a_log_scale_comes_before_statistics(void)
{
    static const struct esp_feature_config list[] = {
        {.name = "price", .kind = ESP_FEATURE_NUMERIC, .scale = ESP_SCALE_LOG}};
    struct esp_features *features = new_features(list, 1);
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, 1);
    for (int i = 0; i < 32; i++) { /* log(1 + x) is -1 and 1: mean 0, deviation 1 */
        struct esp_value value = real_value(i % 2 == 0 ? expm1(1) : -expm1(1));
        add_row(features, &value, true, &batch);
    }
    struct esp_value value = real_value(-expm1(2.5));
    add_row(features, &value, true, &batch);
    assert_close(coefficient_at(&batch, 32, 0), -2.5, 1e-6, 0);
    esp_feature_batch_release(&batch);
    esp_features_free(features);
}

static void a_number_falls_into_buckets_once_there_are_some(void)
{
    struct esp_features *features = new_features(mixed, N_MIXED);
    learn_numbers(features, 1, 512, true);
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, N_MIXED);
    static const double numbers[] = {0.1, 0.4, 0.6, 0.9}; /* of [0, 1) in 4 buckets */
    for (size_t i = 0; i < 4; i++) {
        struct esp_value values[] = {text_value("DE"), text_value("a"), real_value(numbers[i])};
        add_row(features, values, false, &batch);
        uint64_t key = esp_key_of_u64(esp_bytes_of("price"), ESP_KEY_BUCKET, i);
        g_assert_cmphex(key_at(&batch, i, PRICE, 0), ==, key);
        g_assert_cmphex(key_at(&batch, i, TAGS_PRICE, 0), ==,
                        esp_feature_cross_key("tags x price", text_key("tags", "a"), key));
    }
    esp_feature_batch_release(&batch);
    esp_features_free(features);
}

static void saved_statistics_come_back(void)
{
    struct esp_features *live = new_features(mixed, N_MIXED);
    struct esp_features *copy = new_features(mixed, N_MIXED);
    struct esp_error err = {0};
    learn_numbers(live, 1, 1000, true);
    g_assert_cmphex(esp_features_hash(live), !=, esp_features_hash(copy));
    g_assert_cmpint(esp_features_restore(copy, esp_features_state(live), &err), ==, ESP_OK);
    g_assert_cmphex(esp_features_hash(live), ==, esp_features_hash(copy));
    learn_numbers(live, 2, 1000, true);
    learn_numbers(copy, 2, 1000, true);
    g_assert_cmphex(esp_features_hash(live), ==, esp_features_hash(copy));
    esp_features_free(live);
    esp_features_free(copy);
}

struct damage {
    const char *title;
    size_t offset; /* of an 8-byte word that is replaced */
    uint64_t word;
};

/* mixed: 16 age (count, mean, m2), 40 price (generation, position, n_bounds, 3 bounds, ...) */
static const struct damage damages[] = {
    {"of another version", 0, 2},
    {"of another list", 8, 2},
    {"with a mean that is not a number", 24, UINT64_C(0x7ff8000000000000)},
    {"with a negative sum of squares", 32, UINT64_C(0xbff0000000000000)},
    {"with a position beyond its generation", 48, UINT64_C(1) << 40},
    {"with too many bounds", 56, 4},
    {"with bounds that fall", 64, UINT64_C(0x7fe0000000000000)},
    {"with an infinite bound", 80, UINT64_C(0x7ff0000000000000)},
};

static void damaged_statistics_are_refused(gconstpointer data)
{
    const struct damage *damage = data;
    struct esp_features *features = new_features(mixed, N_MIXED);
    learn_numbers(features, 1, 1000, true);
    uint64_t before = esp_features_hash(features);
    struct esp_bytes state = esp_features_state(features);
    uint8_t *bytes = g_memdup2(state.data, state.size);
    g_assert_cmpint(esp_features_restore(features, esp_bytes(bytes, state.size), NULL), ==, ESP_OK);
    memcpy(bytes + damage->offset, &damage->word, sizeof damage->word);
    g_assert_cmpint(esp_features_restore(features, esp_bytes(bytes, state.size), NULL), ==,
                    ESP_EDATA);
    g_assert_cmphex(esp_features_hash(features), ==, before);
    g_free(bytes);
    esp_features_free(features);
}

static void a_cut_block_is_refused(void)
{
    struct esp_features *features = new_features(mixed, N_MIXED);
    struct esp_bytes state = esp_features_state(features);
    g_assert_cmpint(esp_features_restore(features, esp_bytes(state.data, state.size - 8), NULL), ==,
                    ESP_EDATA);
    g_assert_cmpint(esp_features_restore(features, esp_bytes(NULL, 0), NULL), ==, ESP_EDATA);
    esp_features_free(features);
}

static void add_rows_tests(void)
{
    static struct odd_number odd_numbers[] = {
        {"NaN", {.type = ESP_VALUE_REAL, .u.f = NAN}},
        {"infinity", {.type = ESP_VALUE_REAL, .u.f = INFINITY}},
        {"minus infinity", {.type = ESP_VALUE_REAL, .u.f = -INFINITY}},
        {"a text", {.type = ESP_VALUE_TEXT, .u.bytes = {(const uint8_t *)"3", 1}}},
        {"an array", {.type = ESP_VALUE_ARRAY}},
    };
    g_test_add_func("/features/row/a scalar is one pair of coefficient 1", a_scalar_is_one_pair);
    g_test_add_func(
        "/features/row/an array has a pair an item, twice for an item that stands twice",
        an_array_is_pooled);
    g_test_add_func("/features/row/a missing value has a key of its own", missing_has_a_key);
    g_test_add_func("/features/row/an empty array has no pair, nor have its crosses",
                    an_empty_array_has_no_pair);
    for (size_t i = 0; i < G_N_ELEMENTS(odd_numbers); i++) {
        char *path =
            g_strdup_printf("/features/row/%s is missing to a number", odd_numbers[i].title);
        g_test_add_data_func(path, &odd_numbers[i], what_is_no_number_is_missing);
        g_free(path);
    }
    g_test_add_func("/features/row/a number before all statistics has its value row",
                    a_number_before_statistics_has_the_value_row);
    g_test_add_func("/features/row/a cross of arrays takes every pair, at most 4096",
                    a_cross_of_arrays_takes_every_pair_up_to_the_cap);
    g_test_add_func("/features/row/a batch of another width is refused",
                    a_batch_of_another_width_is_refused);
    g_test_add_func("/features/batch/rows are copied in any order",
                    rows_are_copied_between_batches);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(bad_lists); i++) {
        char *path = g_strdup_printf("/features/list/%s is refused", bad_lists[i].title);
        g_test_add_data_func(path, &bad_lists[i], a_bad_list_is_refused);
        g_free(path);
    }
    g_test_add_func("/features/list/names are copied", a_list_is_copied);
    add_rows_tests();
    g_test_add_func("/features/statistics/only rows that learn move them",
                    only_rows_that_learn_move_statistics);
    g_test_add_func("/features/statistics/a row is made before it is learned",
                    a_row_is_made_before_it_is_learned);
    g_test_add_func("/features/statistics/missing numbers are not learned",
                    missing_numbers_are_not_learned);
    g_test_add_func("/features/statistics/a log scale comes before them",
                    a_log_scale_comes_before_statistics);
    g_test_add_func("/features/statistics/a number falls into buckets once there are some",
                    a_number_falls_into_buckets_once_there_are_some);
    g_test_add_func("/features/statistics/a saved block goes on as the live one",
                    saved_statistics_come_back);
    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        char *path =
            g_strdup_printf("/features/statistics/a block %s is refused", damages[i].title);
        g_test_add_data_func(path, &damages[i], damaged_statistics_are_refused);
        g_free(path);
    }
    g_test_add_func("/features/statistics/a cut block is refused", a_cut_block_is_refused);
    return g_test_run();
}
