/* loss_test.c - the loss routine at every size of logit, against logarithms in long double. */
#include "learn/loss.h"

#include <math.h>

#include "learn/rows.h"
#include "model_twin.h"
#include "testkit.h"

/* sigmoid's slope in long double: of -log(1 - sigmoid(a) sigmoid(b)) or of -log of it, by a. */
static double product_slope(bool z, long double a, long double b)
{
    long double p = 1 / (1 + expl(-a)), q = 1 / (1 + expl(-b)), not_p = 1 / (1 + expl(a)),
                not_q = 1 / (1 + expl(b));
    return (double)(z ? -not_p : q * p * not_p / (not_p + p * not_q));
}

static void test_product_everywhere(void)
{
    double worst = 0, worst_slope = 0;
    for (double a = -30; a <= 30; a += 0.75)
        for (double b = -30; b <= 30; b += 0.75)
            for (int z = 0; z < 2; z++) {
                struct esp_loss_input input = {.logits = {[ESP_HEAD_CTR] = a, [ESP_HEAD_CVR] = b},
                                               .terms = ESP_TERM_PRODUCT,
                                               .y = true,
                                               .z = z,
                                               .weight = 1,
                                               .space_weight = 1};
                struct esp_row_info info = {
                    .terms = ESP_TERM_PRODUCT, .weight = 1, .base_weight = 1, .y = true, .z = z};
                double d[ESP_N_HEADS], loss = esp_loss(&input, d);
                double want = model_twin_row_loss(input.logits, &info, false, 1);
                worst = fmax(worst, fabs(loss - want) / fmax(1, fabs(want)));
                worst_slope = fmax(worst_slope, fabs(d[ESP_HEAD_CTR] - product_slope(z, a, b)));
                worst_slope = fmax(worst_slope, fabs(d[ESP_HEAD_CVR] - product_slope(z, b, a)));
                g_assert_true(isfinite(loss) && isfinite(d[0]) && isfinite(d[1]));
            }
    g_assert_cmpfloat(worst, <=, 4e-6);
    g_assert_cmpfloat(worst_slope, <=, 4e-6);
}

struct loss_case {
    const char *name;
    unsigned terms;
    bool y, z;
    double a, b, d, weight, space_weight, shift;
    double loss, d_a, d_b, d_d;
};

/* ln 2 = 0.693147..., sigmoid(ln 3) = 3/4, ln 4 = 1.386294..., ln(4/3) = 0.287682... */
#define LN3 1.0986122886681098
static const struct loss_case CASES[] = {
    {"a coin's click costs ln 2", ESP_TERM_CLICK, true, false, 0, 0, 0, 1, 1, 0, 0.6931471805599453,
     -0.5, 0, 0},
    {"a click at odds 3 to 1 costs ln 4/3 by weight 2", ESP_TERM_CLICK, true, false, LN3, 0, 0, 9,
     2, 0, 2 * 0.2876820724517809, -0.5, 0, 0},
    {"no click at odds 3 to 1 costs ln 4", ESP_TERM_CLICK, false, false, LN3, 0, 0, 1, 1, 0,
     1.3862943611198906, 0.75, 0, 0},
    {"the offset shifts the click logit", ESP_TERM_CLICK, false, false, 0, 0, 0, 9, 1, LN3,
     1.3862943611198906, 0.75, 0, 0},
    {"the offset leaves a clicked install alone", ESP_TERM_CLICKED_INSTALL, true, true, 0, LN3, 0,
     2, 9, LN3, 2 * 0.2876820724517809, 0, -0.5, 0},
    {"a direct install weighs with the full weight", ESP_TERM_DIRECT, false, false, 0, 0, LN3, 2, 9,
     LN3, 2 * 1.3862943611198906, 0, 0, 1.5},
    /* p = 3/4 * 1/2 = 3/8: -ln(5/8); d/da = p (1 - 3/4) / (1 - p), d/db = p (1 - 1/2) / (1 - p) */
    {"no install under a product of 3/4 and 1/2", ESP_TERM_PRODUCT, true, false, LN3, 0, 0, 9, 1, 0,
     0.47000362924573563, 0.15, 0.3, 0},
    {"the offset shifts inside the product", ESP_TERM_PRODUCT, true, false, 0, 0, 0, 9, 1, LN3,
     0.47000362924573563, 0.15, 0.3, 0},
    {"terms add up", ESP_TERM_CLICK | ESP_TERM_PRODUCT, true, false, LN3, 0, 0, 9, 1, 0,
     0.47000362924573563 + 0.2876820724517809, 0.15 - 0.25, 0.3, 0},
};

static void test_case(const void *data)
{
    const struct loss_case *loss = data;
    struct esp_loss_input input = {
        .logits = {[ESP_HEAD_CTR] = loss->a, [ESP_HEAD_CVR] = loss->b, [ESP_HEAD_CTCVR] = loss->d},
        .terms = loss->terms,
        .y = loss->y,
        .z = loss->z,
        .weight = loss->weight,
        .space_weight = loss->space_weight,
        .shift = loss->shift,
    };
    double d[ESP_N_HEADS];
    assert_close(esp_loss(&input, d), loss->loss, 1e-12, 1e-12);
    assert_close(d[ESP_HEAD_CTR], loss->d_a, 1e-12, 1e-12);
    assert_close(d[ESP_HEAD_CVR], loss->d_b, 1e-12, 1e-12);
    assert_close(d[ESP_HEAD_CTCVR], loss->d_d, 1e-12, 1e-12);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        char *path = g_strdup_printf("/loss/by hand/%s", CASES[i].name);
        g_test_add_data_func(path, &CASES[i], test_case);
        g_free(path);
    }
    g_test_add_func("/loss/product/is finite and exact on [-30, 30]^2", test_product_everywhere);
    return g_test_run();
}
