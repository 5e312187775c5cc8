/* task_logit_test.c - the logit of a product, and which heads a task reads. */
#include "model/task_logit.h"

#include <math.h>

#include "testkit.h"

/* -ln sigmoid(a) */
static double loss_of_true(double a)
{
    return fmax(-a, 0) + log1p(exp(-fabs(a)));
}

/* -ln of both sides of sigmoid(c) = sigmoid(a) sigmoid(b), which underflow in no corner. */
static void test_product(void)
{
    for (double a = -60; a <= 60; a += 0.75) {
        for (double b = -60; b <= 60; b += 0.75) {
            double c = esp_product_logit(a, b);
            assert_close(loss_of_true(c), loss_of_true(a) + loss_of_true(b), 2e-14, 0);
            g_assert_true(c == esp_product_logit(b, a) && c <= fmin(a, b));
        }
    }
    assert_close(esp_product_logit(0, 0), -1.0986122886681098, 1e-15, 0); /* 1/4: -ln 3 */
    assert_close(esp_product_logit(-800, -800), -1600, 1e-15, 0);
    assert_close(esp_product_logit(800, 800), 800 - log(2), 1e-15, 0);
    assert_close(esp_product_logit(800, -3), -3, 1e-15, 0);
}

static void test_tasks(void)
{
    const float logits[ESP_N_HEADS] = {0, 0, 2};
    const struct esp_setup *ipsp = esp_setup_get(ESP_SETUP_IPSP);
    const struct esp_setup *split = esp_setup_get(ESP_SETUP_ESSP_SPLIT);
    assert_close(esp_task_logit(ipsp, ESP_TASK_CLICK, logits), 0, 0, 0);
    assert_close(esp_task_logit(ipsp, ESP_TASK_INSTALL_GIVEN_CLICK, logits), 0, 0, 0);
    assert_close(esp_task_logit(ipsp, ESP_TASK_INSTALL, logits), -log(3), 1e-15, 0);
    assert_close(esp_task_logit(split, ESP_TASK_INSTALL, logits), 2, 0, 0);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/task/a product's logit is right in every corner", test_product);
    g_test_add_func("/task/P(install) is a product or a head of its own", test_tasks);
    return g_test_run();
}
