/* metric_golden_test.c - our figures beside scikit-learn's, from the file that make_golden.py
 * wrote. */
#include <stdio.h>
#include <string.h>

#include "metric/metric.h"
#include "testkit.h"

static void check_value(FILE *file, const char *name, const struct esp_figure *figure)
{
    char read_name[32];
    double want = 0;
    int n = fscanf(file, "%31s %lf", read_name, &want);
    g_assert_cmpint(n, ==, 2);
    g_assert_cmpstr(read_name, ==, name);
    g_assert_true(figure->defined);
    assert_close(figure->value, want, 1e-12, 0);
}

static void check_case(FILE *file, size_t n)
{
    struct esp_task_metric metric;
    struct esp_task_report report;
    esp_task_metric_init(&metric, true, NULL);
    for (size_t i = 0; i < n; i++) {
        double logit, weight;
        int y;
        if (fscanf(file, "%lf %d %lf", &logit, &y, &weight) != 3)
            g_test_fail_printf("example %zu cannot be read", i);
        else
            esp_task_metric_add(&metric, logit, y == 1, weight);
    }
    esp_task_metric_report(&metric, &report);
    check_value(file, "log_loss", &report.log_loss);
    check_value(file, "roc_auc", &report.roc_auc);
    check_value(file, "pr_auc", &report.pr_auc);
    esp_task_metric_release(&metric);
}

static void test_golden(void)
{
    FILE *file = fopen(ESP_SOURCE_DIR "/tests/data/metric/golden.txt", "re");
    char line[128], name[64];
    size_t n;
    int n_cases = 0;
    g_assert_nonnull(file);
    if (file == NULL || fgets(line, sizeof line, file) == NULL) /* the comment */
        return;
    for (; fscanf(file, " case %63s %zu", name, &n) == 2 && !g_test_failed(); n_cases++) {
        g_test_message("%s", name);
        check_case(file, n);
    }
    g_assert_cmpint(n_cases, ==, 4);
    fclose(file);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/metric-golden/weighted log loss, AUC and AP are scikit-learn's", test_golden);
    return g_test_run();
}
