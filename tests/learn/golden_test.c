/*
 * golden_test.c - 100 steps from PyTorch's initial weights on PyTorch's batches: every loss and
 * every tensor, in norm, within 1e-4 of PyTorch's. make_golden.py wrote the files and says how.
 */
#include <math.h>

#include "learn/loss.h"
#include "learn/trainer.h"
#include "testkit.h"

enum { V = 12, N_ROWS = 10, F = 3, WIDTH = 4 }; /* as in make_golden.py */

struct golden_case {
    const char *name;
    enum esp_setup_id setup;
    enum esp_optimizer optimizer;
    enum esp_correction correction;
};

static const struct golden_case CASES[] = {
    {"ip-adagrad-weight", ESP_SETUP_IP, ESP_ADAGRAD, ESP_CORRECT_BY_WEIGHT},
    {"esmm-adagrad-weight", ESP_SETUP_ESMM, ESP_ADAGRAD, ESP_CORRECT_BY_WEIGHT},
    {"esmm-adagrad-offset", ESP_SETUP_ESMM, ESP_ADAGRAD, ESP_CORRECT_BY_OFFSET},
    {"esmm-ns-adagrad-weight", ESP_SETUP_ESMM_NS, ESP_ADAGRAD, ESP_CORRECT_BY_WEIGHT},
    {"essp-split-adagrad-weight", ESP_SETUP_ESSP_SPLIT, ESP_ADAGRAD, ESP_CORRECT_BY_WEIGHT},
    {"essp-split-adagrad-offset", ESP_SETUP_ESSP_SPLIT, ESP_ADAGRAD, ESP_CORRECT_BY_OFFSET},
    {"ipsp-adagrad-weight", ESP_SETUP_IPSP, ESP_ADAGRAD, ESP_CORRECT_BY_WEIGHT},
    {"ipsp-adagrad-offset", ESP_SETUP_IPSP, ESP_ADAGRAD, ESP_CORRECT_BY_OFFSET},
    {"esp-adagrad-weight", ESP_SETUP_ESP, ESP_ADAGRAD, ESP_CORRECT_BY_WEIGHT},
    {"ctr-adagrad-weight", ESP_SETUP_CTR, ESP_ADAGRAD, ESP_CORRECT_BY_WEIGHT},
    {"ipsp-sgd-weight", ESP_SETUP_IPSP, ESP_SGD, ESP_CORRECT_BY_WEIGHT},
    {"ipsp-adam-weight", ESP_SETUP_IPSP, ESP_ADAM, ESP_CORRECT_BY_WEIGHT},
};

/* A file's bytes, read from the front. */
struct cursor {
    char *bytes;
    size_t size, at;
};

static struct cursor open_golden(const char *name)
{
    struct cursor cursor = {0};
    char *path = g_strdup_printf("%s/tests/data/golden/%s.bin", ESP_SOURCE_DIR, name);
    g_assert_true(g_file_get_contents(path, &cursor.bytes, &cursor.size, NULL));
    g_free(path);
    return cursor;
}

static void take(struct cursor *cursor, void *out, size_t n)
{
    g_assert_cmpuint(cursor->at + n, <=, cursor->size);
    if (cursor->at + n > cursor->size)
        return;
    memcpy(out, cursor->bytes + cursor->at, n);
    cursor->at += n;
}

static uint32_t take_u32(struct cursor *cursor)
{
    uint32_t x = 0;
    take(cursor, &x, sizeof(x));
    return x;
}

static float take_f32(struct cursor *cursor)
{
    float x = 0;
    take(cursor, &x, sizeof(x));
    return x;
}

static uint64_t key_of(size_t f, size_t v)
{
    return esp_feature_default_key("values") + f * 1000 + v;
}

static unsigned terms_of(const struct esp_setup *setup, unsigned kind)
{
    unsigned click = setup->loss_click ? ESP_TERM_CLICK : 0;
    if (setup->loss_install_clicked)
        return kind == 1 ? ESP_TERM_CLICKED_INSTALL : click;
    return click | (setup->loss_install_product ? ESP_TERM_PRODUCT : 0) |
           (setup->loss_install_direct ? ESP_TERM_DIRECT : 0);
}

static void take_row(struct cursor *cursor, const struct esp_setup *setup, struct esp_rows *rows)
{
    uint8_t flags[4] = {0};
    take(cursor, flags, sizeof(flags));
    struct esp_example example = {.y = flags[1], .z = flags[2]};
    example.weight = take_f32(cursor);
    example.base_weight = take_f32(cursor);
    uint32_t begin[F + 1] = {0};
    uint64_t keys[8];
    float coefficients[8];
    for (uint32_t f = 0, p = 0; f < F; f++) {
        for (uint32_t n = take_u32(cursor); n > 0 && p < 8; n--, p++) {
            keys[p] = key_of(f, take_u32(cursor));
            coefficients[p] = take_f32(cursor);
        }
        begin[f + 1] = p;
    }
    struct esp_feature_batch row = {F, 1, 1, begin, keys, coefficients, 8};
    g_assert_true(esp_rows_add(rows, &example, terms_of(setup, flags[0]), &row, 0, NULL) == ESP_OK);
}

/* The row of value v of feature f in a tower's table: its default row for v = V. */
static float *row_of(struct esp_trainer *trainer, size_t t, size_t f, size_t v)
{
    struct esp_table *table = &trainer->towers[t].table;
    struct esp_table_view view = esp_table_view(table);
    uint32_t row = v == V ? (uint32_t)f : esp_table_find(&view, key_of(f, v));
    return row == ESP_NO_ROW ? NULL : table->rows + row * table->stride;
}

/* Admits the values that have rows, and sets all weights to the file's. */
static void take_weights(struct cursor *cursor, struct esp_trainer *trainer)
{
    size_t i = 0;
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        struct esp_table *table = &trainer->towers[t].table;
        table->admission.admit_after = 1;
        g_assert_true(esp_table_begin(table, F * V, NULL) == ESP_OK);
        for (size_t f = 0; f < F; f++)
            for (size_t v = 0; v < N_ROWS; v++) {
                uint32_t row, place;
                for (size_t n = 0; n < 2; n++) /* the first sighting only counts */
                    g_assert_true(esp_table_train(table, key_of(f, v), f, ESP_NO_ROW, true, &row,
                                                  &place, NULL) == ESP_OK);
            }
        table->admission.admit_after = UINT32_MAX;
        for (size_t f = 0; f < F; f++)
            for (size_t v = 0; v <= V; v++) {
                float w[WIDTH] = {0};
                take(cursor, w, sizeof(w));
                float *row = row_of(trainer, t, f, v);
                g_assert_true((row != NULL) == (v < N_ROWS || v == V));
                if (row)
                    memcpy(row, w, sizeof(w));
            }
        char prefix[] = "tower0.";
        prefix[5] = (char)('0' + t);
        for (; i < trainer->network.n_tensors; i++) {
            const struct esp_tensor *tensor = &trainer->network.tensors[i];
            if (strncmp(tensor->name, prefix, sizeof(prefix) - 1) != 0)
                break;
            size_t n = tensor->n_rows * (tensor->n_cols > 0 ? tensor->n_cols : 1);
            take(cursor, trainer->params + tensor->offset, n * sizeof(float));
        }
    }
    g_assert_cmpuint(i, ==, trainer->network.n_tensors);
    esp_network_pack(&trainer->network, trainer->params, trainer->packed);
}

/* The norm of what differs, over the norm of what is wanted. */
static void compare(struct cursor *cursor, const float *got, size_t n, double *difference,
                    double *norm)
{
    for (size_t i = 0; i < n; i++) {
        double want = take_f32(cursor);
        if (!got)
            continue;
        *difference += (got[i] - want) * (got[i] - want);
        *norm += want * want;
    }
}

static void compare_weights(struct cursor *cursor, struct esp_trainer *trainer)
{
    size_t i = 0;
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        double difference = 0, norm = 0;
        for (size_t f = 0; f < F; f++)
            for (size_t v = 0; v <= V; v++)
                compare(cursor, row_of(trainer, t, f, v), WIDTH, &difference, &norm);
        if (!(sqrt(difference) < 1e-4 * sqrt(norm)))
            g_test_fail_printf("embedding of tower %zu: %g of %g", t, sqrt(difference), sqrt(norm));
        for (; i < trainer->network.n_tensors; i++) {
            const struct esp_tensor *tensor = &trainer->network.tensors[i];
            if ((size_t)(tensor->name[5] - '0') != t)
                break;
            difference = norm = 0;
            compare(cursor, trainer->params + tensor->offset,
                    tensor->n_rows * (tensor->n_cols > 0 ? tensor->n_cols : 1), &difference, &norm);
            if (!(sqrt(difference) < 1e-4 * sqrt(norm)))
                g_test_fail_printf("%s: %g of %g", tensor->name, sqrt(difference), sqrt(norm));
        }
    }
}

static struct esp_model_config config_of(const struct golden_case *golden, size_t B)
{
    struct esp_optimizer_config dense = {.kind = golden->optimizer,
                                         .rate = golden->optimizer == ESP_ADAM ? 0.01 : 0.05,
                                         .initial = 0.1,
                                         .beta1 = 0.9,
                                         .beta2 = 0.999,
                                         .epsilon = golden->optimizer == ESP_ADAM ? 1e-8 : 1e-10};
    struct esp_model_config config = {.setup = golden->setup,
                                      .width = WIDTH,
                                      .layers = {8, 6},
                                      .n_layers = 2,
                                      .head_layers = {5},
                                      .n_head_layers = 1,
                                      .batch = B,
                                      .slice = 8,
                                      .dense = dense,
                                      .sparse = dense,
                                      .admit_after = 2,
                                      .table_bytes = 1 << 20,
                                      .correction = golden->correction,
                                      .keep = 0.4};
    if (golden->optimizer == ESP_SGD)
        config.sparse.rate = 0.02;
    return config;
}

static void test_golden(const void *data)
{
    const struct golden_case *golden = data;
    struct cursor batches = open_golden("batches"), want = open_golden(golden->name);
    size_t n_steps = take_u32(&batches), B = take_u32(&batches);
    g_assert_cmpuint(take_u32(&batches), ==, F);
    g_assert_cmpuint(take_u32(&batches), ==, V);
    if (g_test_failed())
        return;

    static const char *const NAMES[F] = {"f0", "f1", "f2"};
    struct esp_model_config config = config_of(golden, B);
    struct esp_trainer trainer;
    struct esp_error err = {0};
    const struct esp_setup *setup = esp_setup_get(golden->setup);
    g_assert_true(esp_trainer_init(&trainer, &config, setup, NAMES, F, NULL, &err) == ESP_OK);
    take_weights(&want, &trainer);

    struct esp_rows rows;
    g_assert_true(esp_rows_init(&rows, F, B, &err) == ESP_OK);
    float *logits = g_new0(float, B *ESP_N_HEADS);
    for (size_t s = 0; s < n_steps && !g_test_failed(); s++) {
        esp_rows_clear(&rows);
        for (size_t i = 0; i < B; i++)
            take_row(&batches, setup, &rows);
        struct esp_step_result result;
        g_assert_true(esp_trainer_step(&trainer, &rows, logits, &result, &err) == ESP_OK);
        double loss = 0;
        take(&want, &loss, sizeof(loss));
        assert_close(result.loss / (double)B, loss, 1e-4, 0);
    }
    compare_weights(&want, &trainer);
    g_assert_cmpuint(want.at, ==, want.size);

    g_free(logits);
    esp_rows_release(&rows);
    esp_trainer_release(&trainer);
    g_free(batches.bytes);
    g_free(want.bytes);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        char *path = g_strdup_printf("/golden/%s/learns what PyTorch learns", CASES[i].name);
        g_test_add_data_func(path, &CASES[i], test_golden);
        g_free(path);
    }
    return g_test_run();
}
