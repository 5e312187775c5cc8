/*
 * product_test.c - every set of kernels that this CPU runs: against a naive twin at awkward shapes,
 * and to the bit, that a row's result depends neither on its place nor on its companions.
 */
#include "model/product.h"
#include "model/product_kernels.h"
#include "testkit.h"

struct shape {
    size_t S, N, K;
};

static const struct shape SHAPES[] = {{128, 128, 256}, {64, 64, 128}, {128, 32, 64}, {8, 5, 12},
                                      {24, 6, 8},      {16, 33, 17},  {13, 3, 1},    {1, 2, 40},
                                      {40, 31, 32},    {20, 48, 6},   {32, 7, 100}};

static float *new_floats(size_t n, struct test_random *random)
{
    float *x = aligned_alloc(64, (n * sizeof(*x) + 63) / 64 * 64);
    g_assert_nonnull(x);
    for (size_t i = 0; i < n; i++)
        x[i] = random ? (float)(2 * test_random_unit(random) - 1) : 0;
    return x;
}

/* Operands of one shape and what the kernels make of them. */
struct operands {
    struct shape shape;
    size_t ldx, ldy;
    float *x, *w, *bias, *dy;                /* given */
    float *forward_panels, *backward_panels; /* packed */
    float *y, *dx, *dw;                      /* made; db follows dw */
};

static struct operands make_operands(struct shape shape, const struct esp_kernels *kernels)
{
    struct test_random random = {shape.S * 1000003 + shape.N * 1009 + shape.K};
    size_t S = shape.S, N = shape.N, K = shape.K;
    struct operands o = {.shape = shape, .ldx = esp_stride(K), .ldy = esp_stride(N)};
    o.x = new_floats(S * o.ldx, &random);
    o.w = new_floats(N * K, &random);
    o.bias = new_floats(N + 64, &random);
    o.dy = new_floats(S * o.ldy, &random);
    o.forward_panels = new_floats((N + 64) * K, NULL);
    o.backward_panels = new_floats((K + 64) * N, NULL);
    esp_product_pack_transposed(o.w, N, K, kernels->n_cols, o.forward_panels);
    esp_product_pack_straight(o.w, N, K, kernels->n_cols, o.backward_panels);
    o.y = new_floats(S * o.ldy, NULL);
    o.dx = new_floats(S * o.ldx, &random);
    o.dw = new_floats(N * K + N, NULL);
    return o;
}

static void free_operands(struct operands *o)
{
    float *all[] = {o->x, o->w,  o->bias, o->dy, o->forward_panels, o->backward_panels,
                    o->y, o->dx, o->dw};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        free(all[i]);
}

static double twin_forward(const struct operands *o, size_t i, size_t n)
{
    double sum = o->bias[n];
    for (size_t k = 0; k < o->shape.K; k++)
        sum += (double)o->x[i * o->ldx + k] * o->w[n * o->shape.K + k];
    return sum;
}

static double twin_input(const struct operands *o, size_t i, size_t k)
{
    double sum = 0;
    for (size_t n = 0; n < o->shape.N; n++)
        sum += (double)o->dy[i * o->ldy + n] * o->w[n * o->shape.K + k];
    return sum;
}

static double twin_weight(const struct operands *o, size_t n, size_t k)
{
    double sum = 0;
    for (size_t i = 0; i < o->shape.S; i++)
        sum += (double)o->dy[i * o->ldy + n] * o->x[i * o->ldx + k];
    return sum;
}

static void compare_forward(const struct esp_kernels *kernels, struct operands *o, bool relu)
{
    size_t S = o->shape.S, N = o->shape.N;
    kernels->forward(S, N, o->shape.K, o->x, o->forward_panels, o->bias, relu, o->y);
    for (size_t i = 0; i < S; i++)
        for (size_t n = 0; n < N; n++) {
            double want = twin_forward(o, i, n);
            assert_close(o->y[i * o->ldy + n], relu && want < 0 ? 0 : want, 1e-5, 1e-5);
        }
}

static void compare_input(const struct esp_kernels *kernels, struct operands *o, bool masked,
                          bool add)
{
    size_t S = o->shape.S, K = o->shape.K;
    float *was = new_floats(S * o->ldx, NULL);
    memcpy(was, o->dx, S * o->ldx * sizeof(*was));
    kernels->input(S, o->shape.N, K, o->dy, o->backward_panels, masked ? o->x : NULL, add, o->dx);
    for (size_t i = 0; i < S; i++)
        for (size_t k = 0; k < K; k++) {
            double want = twin_input(o, i, k) + (add ? was[i * o->ldx + k] : 0);
            bool dead = masked && o->x[i * o->ldx + k] <= 0;
            assert_close(o->dx[i * o->ldx + k], dead ? 0 : want, 1e-5, 1e-5);
        }
    free(was);
}

static void test_twin(const void *data)
{
    const struct esp_kernels *kernels = data;
    for (size_t s = 0; s < G_N_ELEMENTS(SHAPES) && !g_test_failed(); s++) {
        struct operands o = make_operands(SHAPES[s], kernels);
        compare_forward(kernels, &o, false);
        compare_forward(kernels, &o, true);
        compare_input(kernels, &o, false, false);
        compare_input(kernels, &o, true, false);
        compare_input(kernels, &o, true, true);
        struct esp_dense layer = {
            .n_in = o.shape.K, .n_out = o.shape.N, .bias = o.shape.N * o.shape.K};
        esp_product_backward_weights(&layer, o.shape.S, o.x, o.dy, o.dw);
        for (size_t n = 0; n < o.shape.N; n++)
            for (size_t k = 0; k < o.shape.K; k++)
                assert_close(o.dw[n * o.shape.K + k], twin_weight(&o, n, k), 1e-5, 1e-5);
        if (g_test_failed())
            g_test_message("shape %zu x %zu x %zu", o.shape.S, o.shape.N, o.shape.K);
        free_operands(&o);
    }
}

/* Row `row` alone, at every place of slices of every size up to S, among other companions. */
static void test_places(const void *data)
{
    const struct esp_kernels *kernels = data;
    for (size_t s = 0; s < G_N_ELEMENTS(SHAPES) && !g_test_failed(); s++) {
        struct operands o = make_operands(SHAPES[s], kernels);
        size_t S = o.shape.S, N = o.shape.N, K = o.shape.K;
        float *x = new_floats(K, NULL), *y = new_floats(N, NULL);
        memcpy(x, o.x, K * sizeof(*x));
        kernels->forward(S, N, K, o.x, o.forward_panels, o.bias, true, o.y);
        memcpy(y, o.y, N * sizeof(*y));
        for (size_t n_rows = 1; n_rows <= S; n_rows += n_rows < 30 ? 1 : 13)
            for (size_t place = 0; place < n_rows; place += n_rows < 30 ? 1 : 7) {
                memcpy(o.x + place * o.ldx, x, K * sizeof(*x));
                kernels->forward(n_rows, N, K, o.x, o.forward_panels, o.bias, true, o.y);
                if (memcmp(o.y + place * o.ldy, y, N * sizeof(*y)) != 0)
                    g_test_fail_printf("%zu x %zu: place %zu of %zu", N, K, place, n_rows);
                o.x[place * o.ldx] = -0.5F; /* another companion from here on */
            }
        free(x);
        free(y);
        free_operands(&o);
    }
}

/* One layer of one output: the dot product, its inputs' and its weights' gradient. */
static void test_single_output(void)
{
    enum { S = 9, K = 21 };
    struct esp_dense layer = {.n_in = K, .n_out = 1, .weight = 16, .bias = 48};
    struct test_random random = {3};
    size_t ldx = esp_stride(K), ldy = esp_stride(1);
    float *params = new_floats(64, &random), *grads = new_floats(64, NULL);
    float *x = new_floats(S * ldx, &random), *y = new_floats(S * ldy, &random);
    float *dx = new_floats(S * ldx, NULL);
    struct esp_weights weights = {params, NULL};
    g_assert_cmpuint(esp_product_packed_floats(&layer), ==, 0);
    esp_product_forward(&layer, &weights, S, x, false, y);
    for (size_t i = 0; i < S; i++) {
        double want = params[48];
        for (size_t k = 0; k < K; k++)
            want += (double)params[16 + k] * x[i * ldx + k];
        assert_close(y[i * ldy], want, 1e-5, 1e-5);
    }
    esp_product_backward_input(&layer, &weights, S, y, x, false, dx);
    esp_product_backward_weights(&layer, S, x, y, grads);
    double db = 0, dw = 0;
    for (size_t i = 0; i < S; i++) {
        bool alive = x[i * ldx + 4] > 0;
        assert_close(dx[i * ldx + 4], alive ? (double)y[i * ldy] * params[20] : 0, 1e-6, 1e-6);
        dw += (double)y[i * ldy] * x[i * ldx + 4];
        db += y[i * ldy];
    }
    assert_close(grads[20], dw, 1e-5, 1e-5);
    assert_close(grads[48], db, 1e-5, 1e-5);
    float *all[] = {params, grads, x, y, dx};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        free(all[i]);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; esp_product_kernels_at(i); i++) {
        const struct esp_kernels *kernels = esp_product_kernels_at(i);
        char *path = g_strdup_printf("/product/%s/agrees with a naive twin", kernels->name);
        g_test_add_data_func(path, kernels, test_twin);
        g_free(path);
        path = g_strdup_printf("/product/%s/a row has the same bits at every place", kernels->name);
        g_test_add_data_func(path, kernels, test_places);
        g_free(path);
    }
    g_test_add_func("/product/single/an output of one is a dot product", test_single_output);
    return g_test_run();
}
