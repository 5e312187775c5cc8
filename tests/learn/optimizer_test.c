/* optimizer_test.c - every rule by hand on one weight, the schedule, clipping, lazy rows. */
#include "learn/optimizer.h"

#include <math.h>

#include "core/timespan.h"
#include "testkit.h"

/* Two steps on one dense weight w = 1 with gradients g1, g2, an hour apart. */
struct dense_case {
    const char *name;
    struct esp_optimizer_config config;
    double g1, g2;
    double w1, w2; /* after each step */
    bool clipped1;
};

static const struct dense_case DENSE[] = {
    /* G = 0.1 + 0.25 = 0.35, then 0.6 */
    {"adagrad divides by the root of the sum",
     {.kind = ESP_ADAGRAD, .rate = 0.1, .initial = 0.1},
     0.5,
     0.5,
     1 - 0.05 / 0.59160798,
     1 - 0.05 / 0.59160798 - 0.05 / 0.77459667,
     false},
    /* G = 4, w = 1 - 0.1 * 2 / (2 + 0.5) = 0.92 */
    {"adagrad adds epsilon to the root",
     {.kind = ESP_ADAGRAD, .rate = 0.1, .initial = 0, .epsilon = 0.5},
     2,
     0,
     0.92,
     0.92,
     false},
    /* half an hour's half-life: 4.1 halves twice to 1.025, + 4 = 5.025 */
    {"adagrad's sum decays on stream time",
     {.kind = ESP_ADAGRAD, .rate = 0.1, .initial = 0.1, .half_life_us = 30 * ESP_MINUTE},
     2,
     2,
     1 - 0.2 / 2.0248457,
     1 - 0.2 / 2.0248457 - 0.2 / 2.2416512,
     false},
    /* a minute's: 2^-60 of it is below the floor 0.1, so 4.1 again */
    {"adagrad's sum does not decay below where it began",
     {.kind = ESP_ADAGRAD, .rate = 0.1, .initial = 0.1, .half_life_us = ESP_MINUTE},
     2,
     2,
     1 - 0.2 / 2.0248457,
     1 - 0.4 / 2.0248457,
     false},
    {"sgd steps by rate and gradient", {.kind = ESP_SGD, .rate = 0.1}, 2, -1, 0.8, 0.9, false},
    /* 0 then 100 examples learned: rates 0.1 and 0.1 / (1 + 100/50) */
    {"sgd's rate falls with the examples learned",
     {.kind = ESP_SGD, .rate = 0.1, .schedule = ESP_SCHEDULE_INVERSE, .horizon = 50},
     3,
     3,
     0.7,
     0.6,
     false},
    /* g = 2 + 0.5 * 1; then -0.5 + 0.5 * 0.75 */
    {"l2 adds to the gradient",
     {.kind = ESP_SGD, .rate = 0.1, .l2 = 0.5},
     2,
     -0.375,
     0.75,
     0.75,
     false},
    /* first step of Adam is the rate: m/(1-b1) = g, sqrt(v/(1-b2)) = |g|.
     * second, g = 0: m = 0.9 * 0.4 = 0.36 -> /0.19; v = 0.75 * 4 = 3 -> sqrt(3 / 0.4375) */
    {"adam corrects its bias",
     {.kind = ESP_ADAM, .rate = 0.1, .beta1 = 0.9, .beta2 = 0.75, .epsilon = 1e-8},
     4,
     0,
     0.9,
     0.9 - 0.1 * (0.36 / 0.19) / 2.6186147,
     false},
    {"a gradient above the bound is clipped to it",
     {.kind = ESP_SGD, .rate = 0.1, .clip = 2},
     5,
     2,
     0.8,
     0.6,
     true},
};

static void test_dense(const void *data)
{
    const struct dense_case *dense = data;
    float w = 1, slots[2] = {esp_optimizer_slot_initial(&dense->config), 0};
    struct esp_dense_state state = {.slots = {&slots[0], &slots[1]}, .stepped_us = INT64_MIN};
    struct esp_step_time first = {5 * ESP_HOUR, 0}, second = {6 * ESP_HOUR, 100};
    float g = (float)dense->g1;
    g_assert_true(esp_optimizer_step_dense(&dense->config, &first, 1, &w, &g, &state) ==
                  dense->clipped1);
    assert_close(w, dense->w1, 1e-6, 0);
    g = (float)dense->g2;
    g_assert_false(esp_optimizer_step_dense(&dense->config, &second, 1, &w, &g, &state));
    assert_close(w, dense->w2, 1e-6, 0);
}

/* A table of width 2 with one default row, trained alone in a batch. */
struct row_fixture {
    struct esp_table table;
    struct esp_optimizer_config config;
};

static void open_row(struct row_fixture *fixture)
{
    static const uint64_t KEY = 42;
    struct esp_table_config config = {
        .width = 2,
        .n_slots = esp_optimizer_row_slots(&fixture->config, 2),
        .slot_initial = esp_optimizer_slot_initial(&fixture->config),
        .admit_after = 1,
        .max_bytes = 1 << 20,
        .default_keys = &KEY,
        .n_features = 1,
    };
    g_assert_true(esp_table_init(&fixture->table, &config, NULL) == ESP_OK);
    fixture->table.rows[0] = fixture->table.rows[1] = 1;
}

static uint64_t step_row(struct row_fixture *fixture, int64_t now_us, float g0, float g1)
{
    uint32_t row, place;
    float grads[2] = {g0, g1};
    struct esp_step_time time = {now_us, 0};
    esp_table_begin(&fixture->table, 1, NULL);
    esp_table_train(&fixture->table, 42, 0, ESP_NO_ROW, true, &row, &place, NULL);
    return esp_optimizer_step_rows(&fixture->config, &time, &fixture->table, 0, 1, grads);
}

static void test_row_adagrad(void)
{
    struct row_fixture fixture = {.config = {.kind = ESP_ADAGRAD, .rate = 0.1, .initial = 0.1}};
    open_row(&fixture);
    step_row(&fixture, 7, 0.5F, 2); /* G = 0.35 and 4.1 */
    float want[] = {(float)(1 - 0.05 / 0.59160798), (float)(1 - 0.2 / 2.0248457), 0.35F, 4.1F};
    assert_close_f32(fixture.table.rows, want, 4, 1e-6, 0);
    g_assert_cmpint(fixture.table.meta[0].trained_us, ==, 7);
    g_assert_cmpuint(fixture.table.meta[0].steps, ==, 1);
    esp_table_release(&fixture.table);
}

static void test_row_wise(void)
{
    struct row_fixture fixture = {
        .config = {.kind = ESP_ADAGRAD, .accumulator = ESP_ROW_WISE, .rate = 0.1, .initial = 0.5}};
    open_row(&fixture);
    step_row(&fixture, 7, 1, 2); /* G = 0.5 + (1 + 4) / 2 = 3 */
    float want[] = {(float)(1 - 0.1 / 1.7320508), (float)(1 - 0.2 / 1.7320508), 3};
    assert_close_f32(fixture.table.rows, want, 3, 1e-6, 0);
    esp_table_release(&fixture.table);
}

/* Trained at hours 1 and 3 with a half-life of an hour: 4.1 and 0.35 quarter on the second touch,
 * to 1.025 and to the floor 0.1, before 0.25 is added to each. */
static void test_lazy_decay(void)
{
    struct row_fixture fixture = {
        .config = {.kind = ESP_ADAGRAD, .rate = 0.1, .initial = 0.1, .half_life_us = ESP_HOUR}};
    open_row(&fixture);
    step_row(&fixture, ESP_HOUR, 2, 0.5F);
    assert_close(fixture.table.rows[2], 4.1, 1e-6, 0);
    step_row(&fixture, 3 * ESP_HOUR, 0.5F, 0.5F);
    assert_close(fixture.table.rows[2], 1.025 + 0.25, 1e-6, 0);
    assert_close(fixture.table.rows[3], 0.1 + 0.25, 1e-6, 0);
    /* stream time that stands or runs back decays nothing */
    step_row(&fixture, 2 * ESP_HOUR, 0, 0);
    assert_close(fixture.table.rows[2], 1.275, 1e-6, 0);
    g_assert_cmpint(fixture.table.meta[0].trained_us, ==, 3 * ESP_HOUR);
    esp_table_release(&fixture.table);
}

static void test_row_clip(void)
{
    struct row_fixture fixture = {.config = {.kind = ESP_SGD, .rate = 1, .clip = 2.5}};
    open_row(&fixture);
    g_assert_cmpuint(step_row(&fixture, 1, 3, 4), ==, 1); /* norm 5: halved */
    float want[] = {-0.5F, -1};
    assert_close_f32(fixture.table.rows, want, 2, 1e-6, 0);
    g_assert_cmpuint(step_row(&fixture, 1, 1.5F, 2), ==, 0); /* norm 2.5: as it is */
    esp_table_release(&fixture.table);
}

/* Row steps of Adam count the row's own trainings. */
static void test_row_adam(void)
{
    struct row_fixture fixture = {
        .config = {.kind = ESP_ADAM, .rate = 0.1, .beta1 = 0.9, .beta2 = 0.75, .epsilon = 1e-8}};
    open_row(&fixture);
    step_row(&fixture, 1, 4, -4);
    step_row(&fixture, 2, 0, 0);
    float w = (float)(0.9 - 0.1 * (0.36 / 0.19) / 2.6186147);
    float want[] = {w, 2 - w};
    assert_close_f32(fixture.table.rows, want, 2, 1e-6, 0);
    esp_table_release(&fixture.table);
}

struct refusal {
    const char *text;
    struct esp_optimizer_config config;
};

static const struct refusal REFUSALS[] = {
    {"dense_rate: 0; choose above 0, at most 100", {.kind = ESP_SGD}},
    {"dense_rate: nan; choose above 0, at most 100", {.kind = ESP_SGD, .rate = NAN}},
    {"dense_clip: -1; choose 0 (none) or a bound above it",
     {.kind = ESP_SGD, .rate = 1, .clip = -1}},
    {"dense_initial: 0; choose above 0 where epsilon is 0", {.kind = ESP_ADAGRAD, .rate = 1}},
    {"dense_horizon: 0; choose a number of examples above 0",
     {.kind = ESP_SGD, .rate = 1, .schedule = ESP_SCHEDULE_INVERSE}},
    {"dense_beta2: 1; choose 0 or more, below 1",
     {.kind = ESP_ADAM, .rate = 1, .epsilon = 1e-8, .beta2 = 1}},
    {"dense_epsilon: 0; choose above 0 with adam", {.kind = ESP_ADAM, .rate = 1}},
};

static void test_refusal(const void *data)
{
    const struct refusal *refusal = data;
    struct esp_error err = {0};
    g_assert_true(esp_optimizer_validate(&refusal->config, "dense", &err) == ESP_ECONFIG);
    g_assert_cmpstr(err.text, ==, refusal->text);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(DENSE); i++) {
        char *path = g_strdup_printf("/optimizer/dense/%s", DENSE[i].name);
        g_test_add_data_func(path, &DENSE[i], test_dense);
        g_free(path);
    }
    g_test_add_func("/optimizer/rows/adagrad by coordinate", test_row_adagrad);
    g_test_add_func("/optimizer/rows/adagrad by row takes the mean square", test_row_wise);
    g_test_add_func("/optimizer/rows/decay waits for the next training", test_lazy_decay);
    g_test_add_func("/optimizer/rows/a row's gradient is clipped and counted", test_row_clip);
    g_test_add_func("/optimizer/rows/adam counts the row's trainings", test_row_adam);
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSALS); i++) {
        char *path = g_strdup_printf("/optimizer/config/%zu is refused", i + 1);
        g_test_add_data_func(path, &REFUSALS[i], test_refusal);
        g_free(path);
    }
    return g_test_run();
}
