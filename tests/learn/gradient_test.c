/*
 * gradient_test.c - the step against a naive twin in double precision: logits, losses, and the
 * derivative of every weight by finite differences.
 *
 * One step of SGD at rate 1 moves a dense weight by its gradient over B and a row's by its
 * gradient, so what a step changed is what is compared.
 */
#include <math.h>

#include "learn/loss.h"
#include "learn_helper.h"
#include "model_twin.h"

struct gradient_case {
    enum esp_setup_id setup;
    enum esp_correction correction;
};

enum { N_ROWS = 13 };

static unsigned terms_of(const struct esp_setup *setup, bool second_stage)
{
    unsigned click = setup->loss_click ? ESP_TERM_CLICK : 0;
    if (setup->loss_install_clicked)
        return second_stage ? ESP_TERM_CLICKED_INSTALL : click;
    return click | (setup->loss_install_product ? ESP_TERM_PRODUCT : 0) |
           (setup->loss_install_direct ? ESP_TERM_DIRECT : 0);
}

/* Rows of the helper's stream, with upstream weights, some of them of the second stage. */
static void make_rows(struct esp_rows *rows, const struct esp_setup *setup)
{
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, N_ROWS, 5);
    g_assert_true(esp_rows_init(rows, TEST_FEATURES, N_ROWS, NULL) == ESP_OK);
    for (size_t i = 0; i < N_ROWS; i++) {
        struct esp_example example = stream.examples[i];
        example.y = i % 3 != 0;
        example.z = i % 3 == 1;
        example.base_weight = i % 4 == 0 ? 1.75 : 1;
        example.weight = example.y ? example.base_weight : example.base_weight * 2.5;
        bool second_stage = i % 3 != 0 && i % 2 == 0;
        g_assert_true(esp_rows_add(rows, &example, terms_of(setup, second_stage), &stream.features,
                                   i, NULL) == ESP_OK);
    }
    test_stream_release(&stream);
}

/* A trainer with rows for half of the batch's keys; the others read default rows. */
static void make_trainer(struct esp_trainer *trainer, const struct gradient_case *gradient,
                         const struct esp_rows *rows)
{
    struct esp_model_config config = test_learner_config(gradient->setup).model;
    config.batch = N_ROWS;
    config.correction = gradient->correction;
    config.init = 0.7;
    config.admit_after = 1000;
    config.dense = config.sparse = (struct esp_optimizer_config){.kind = ESP_SGD, .rate = 1};
    struct esp_error err = {0};
    g_assert_true(esp_trainer_init(trainer, &config, esp_setup_get(gradient->setup),
                                   test_feature_names, TEST_FEATURES, NULL, &err) == ESP_OK);
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        struct esp_table *table = &trainer->towers[t].table;
        struct esp_admission *admission = &table->admission;
        g_assert_true(esp_table_begin(table, esp_rows_n_pairs(rows), NULL) == ESP_OK);
        for (size_t p = 0; p < esp_rows_n_pairs(rows); p += 2)
            for (size_t n = 0; n < 2; n++) {
                uint32_t row, place;
                admission->admit_after = 2;
                g_assert_true(esp_table_train(table, rows->features.keys[p], 0, ESP_NO_ROW, true,
                                              &row, &place, NULL) == ESP_OK);
            }
        admission->admit_after = 1000;
    }
    /* biases that are not 0, so that their use shows */
    for (size_t i = 0; i < trainer->network.n_tensors; i++)
        for (size_t j = 0; j < trainer->network.tensors[i].n_rows; j++)
            if (trainer->network.tensors[i].n_cols == 0)
                trainer->params[trainer->network.tensors[i].offset + j] =
                    0.05F * (float)(1 + j % 3);
    esp_network_pack(&trainer->network, trainer->params, trainer->packed);
}

/* dL/dweight, by central differences. */
static double slope(const struct model_twin *twin, const struct esp_rows *rows, double *weight)
{
    const double h = 1e-6;
    double was = *weight;
    *weight = was + h;
    double above = model_twin_loss(twin, rows);
    *weight = was - h;
    double below = model_twin_loss(twin, rows);
    *weight = was;
    return (above - below) / (2 * h);
}

static void compare_dense(const struct model_twin *twin, const struct esp_trainer *trainer,
                          const struct esp_rows *rows)
{
    for (size_t i = 0; i < trainer->network.n_tensors; i++) {
        const struct esp_tensor *tensor = &trainer->network.tensors[i];
        size_t n = tensor->n_rows * (tensor->n_cols > 0 ? tensor->n_cols : 1);
        double norm = 0;
        for (size_t j = tensor->offset; j < tensor->offset + n; j++) {
            double want = slope(twin, rows, &twin->params[j]) / N_ROWS;
            double got = twin->params[j] - trainer->params[j];
            norm += fabs(want);
            if (!(fabs(got - want) <= 2e-6 + 1e-4 * fabs(want)))
                g_test_fail_printf("%s[%zu]: got %g, want %g", tensor->name, j - tensor->offset,
                                   got, want);
        }
        g_assert_cmpfloat(norm, >, 0); /* else it says nothing */
    }
}

static void compare_rows(const struct model_twin *twin, const struct esp_trainer *trainer,
                         const struct esp_rows *rows)
{
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        const struct esp_table *table = &trainer->towers[t].table;
        double of_defaults = 0, of_others = 0;
        for (size_t r = 0; r < table->n_begun; r++)
            for (size_t d = 0; d < table->width; d++) {
                double *weight = &twin->rows[t][r * table->width + d];
                double want = slope(twin, rows, weight);
                double got = *weight - table->rows[r * table->stride + d];
                *(r < TEST_FEATURES ? &of_defaults : &of_others) += fabs(want);
                if (!(fabs(got - want) <= 2e-6 + 1e-4 * fabs(want)))
                    g_test_fail_printf("tower %zu row %zu[%zu]: got %g, want %g", t, r, d, got,
                                       want);
            }
        g_assert_cmpfloat(of_defaults, >, 0);
        g_assert_cmpfloat(of_others, >, 0);
    }
}

static void test_gradient(const void *data)
{
    const struct gradient_case *gradient = data;
    struct esp_rows rows;
    struct esp_trainer trainer;
    struct model_twin twin;
    make_rows(&rows, esp_setup_get(gradient->setup));
    make_trainer(&trainer, gradient, &rows);
    model_twin_init(&twin, &trainer);
    if (g_test_failed())
        return;

    float logits[N_ROWS * ESP_N_HEADS] = {0};
    struct esp_step_result result;
    double loss = model_twin_loss(&twin, &rows);
    g_assert_true(esp_trainer_step(&trainer, &rows, logits, &result, NULL) == ESP_OK);
    assert_close(result.loss, loss, 1e-5, 0);
    for (size_t i = 0; i < N_ROWS; i++) {
        double want[ESP_N_HEADS] = {0};
        model_twin_logits(&twin, &rows.features, i, want);
        for (size_t h = 0; h < ESP_N_HEADS; h++)
            assert_close(logits[i * ESP_N_HEADS + h], want[h], 1e-5, 1e-5);
    }
    compare_dense(&twin, &trainer, &rows);
    compare_rows(&twin, &trainer, &rows);

    model_twin_release(&twin);
    esp_trainer_release(&trainer);
    esp_rows_release(&rows);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static struct gradient_case cases[2 * ESP_N_SETUPS];
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        cases[i] = (struct gradient_case){(enum esp_setup_id)(i / 2),
                                          i % 2 ? ESP_CORRECT_BY_OFFSET : ESP_CORRECT_BY_WEIGHT};
        char *path =
            g_strdup_printf("/gradient/%s/every weight has its slope with correction by %s",
                            esp_setup_get(cases[i].setup)->name, i % 2 ? "offset" : "weight");
        g_test_add_data_func(path, &cases[i], test_gradient);
        g_free(path);
    }
    return g_test_run();
}
