/* metric_golden_test.c - our figures beside scikit-learn's, from the file that make_golden.py
 * wrote: of single examples as they come, and of a set with units, which change no value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metric/scored.h"
#include "testkit.h"

enum { MAX_EXAMPLES = 1000 };

struct golden {
    size_t n;
    double logits[MAX_EXAMPLES], weights[MAX_EXAMPLES];
    float logits_f32[MAX_EXAMPLES], reference[MAX_EXAMPLES]; /* exact: multiples of 1/256 */
    uint8_t labels[MAX_EXAMPLES];
    uint64_t keys[MAX_EXAMPLES];
};

static void check_value(FILE *file, const char *name, const struct esp_figure *alone,
                        const struct esp_figure *by_unit)
{
    char read_name[32], text[32];
    int n = fscanf(file, "%31s %31s", read_name, text);
    g_assert_cmpint(n, ==, 2);
    g_assert_cmpstr(read_name, ==, name);
    const struct esp_figure *figures[] = {alone, by_unit};
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(figures[i]->defined, ==, strcmp(text, "null") != 0);
        if (figures[i]->defined)
            assert_close(figures[i]->value, strtod(text, NULL), 1e-12, 1e-15);
    }
}

static bool read_examples(FILE *file, struct golden *golden, size_t n)
{
    golden->n = 0;
    for (size_t i = 0; i < n && i < MAX_EXAMPLES; i++, golden->n++) {
        int y;
        if (fscanf(file, "%lf %f %d %lf", &golden->logits[i], &golden->reference[i], &y,
                   &golden->weights[i]) != 4)
            return false;
        golden->logits_f32[i] = (float)golden->logits[i];
        golden->labels[i] = y == 1;
        golden->keys[i] = i % 37;
    }
    return golden->n == n;
}

static void report_alone(const struct golden *golden, struct esp_task_report *report)
{
    struct esp_task_metric metric;
    esp_task_metric_init(&metric, true, NULL);
    for (size_t i = 0; i < golden->n; i++)
        esp_task_metric_add(&metric, golden->logits[i], golden->labels[i], golden->weights[i]);
    esp_task_metric_report(&metric, report);
    esp_task_metric_release(&metric);
}

static struct esp_figure report_by_unit(const struct golden *golden, struct esp_task_report *report)
{
    struct esp_scored scored = {.n = golden->n,
                                .logits = golden->logits_f32,
                                .labels = golden->labels,
                                .weights = golden->weights,
                                .reference = golden->reference};
    struct esp_units units;
    struct esp_task_sums sums;
    struct esp_paired_sums paired;
    esp_units_init(&units, golden->keys, golden->n, NULL);
    esp_scored_sums(&units, &scored, &sums, &paired, NULL);
    esp_task_sums_report(&sums, report);
    esp_scored_areas(&units, &scored, NULL, &report->roc_auc, &report->pr_auc, NULL);
    esp_units_release(&units);
    return esp_paired_loss(&paired);
}

static void check_case(FILE *file, size_t n)
{
    static struct golden golden;
    struct esp_task_report a, b;
    bool readable = read_examples(file, &golden, n);
    g_assert_true(readable);
    if (!readable)
        return;
    report_alone(&golden, &a);
    struct esp_figure paired = report_by_unit(&golden, &b);
    check_value(file, "log_loss", &a.log_loss, &b.log_loss);
    check_value(file, "paired_loss", &paired, &paired);
    check_value(file, "normalised_entropy", &a.normalised_entropy, &b.normalised_entropy);
    check_value(file, "calibration", &a.calibration, &b.calibration);
    check_value(file, "roc_auc", &a.roc_auc, &b.roc_auc);
    check_value(file, "pr_auc", &a.pr_auc, &b.pr_auc);
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
    g_assert_cmpint(n_cases, ==, 12);
    fclose(file);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/metric-golden/every figure is scikit-learn's", test_golden);
    return g_test_run();
}
