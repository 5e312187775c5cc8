/* metric_archive_test.c - what a metric has gathered, written down and read back. */
#include "core/archive.h"
#include "core/buf.h"
#include "metric/metric.h"
#include "testkit.h"

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

static void write_metric(struct esp_task_metric *metric, struct esp_buf *out)
{
    struct esp_archive archive;
    esp_buf_init(out, 1 << 20);
    esp_archive_write_to(&archive, to_buf, out);
    esp_task_metric_archive(&archive, metric);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
}

static enum esp_status read_metric(struct esp_task_metric *metric, struct esp_bytes bytes)
{
    struct esp_archive archive;
    esp_archive_read_from(&archive, bytes);
    esp_task_metric_archive(&archive, metric);
    return esp_archive_end(&archive, NULL);
}

/* n examples with logits in [-20, 20), beyond both ends of the bins. */
static void fill(struct esp_task_metric *metric, bool with_auc, size_t n)
{
    struct test_random random = {.state = 8};
    g_assert_cmpint(esp_task_metric_init(metric, with_auc, NULL), ==, ESP_OK);
    for (size_t i = 0; i < n; i++)
        esp_task_metric_add(metric, 40 * test_random_unit(&random) - 20,
                            test_random_below(&random, 3) == 0, 1 + test_random_unit(&random));
}

static void same_metric(const struct esp_task_metric *a, const struct esp_task_metric *b)
{
    g_assert_cmpmem(&a->sums, sizeof a->sums, &b->sums, sizeof b->sums);
    g_assert_cmpint(a->bins != NULL, ==, b->bins != NULL);
    if (a->bins != NULL && b->bins != NULL)
        g_assert_cmpmem(a->bins, 2 * ESP_AUC_BINS * sizeof *a->bins, b->bins,
                        2 * ESP_AUC_BINS * sizeof *b->bins);
}

/* Into a metric that has bins and one that has none. */
static void test_round_trip(void)
{
    static const size_t SIZES[] = {0, 1, 100, 50000};
    for (size_t s = 0; s < 2 * 2 * G_N_ELEMENTS(SIZES); s++) {
        struct esp_task_metric from, to;
        struct esp_buf buf;
        fill(&from, (s & 1) != 0, SIZES[s / 4]);
        fill(&to, (s & 2) != 0, 10);
        write_metric(&from, &buf);
        g_assert_cmpint(read_metric(&to, esp_buf_bytes(&buf)), ==, ESP_OK);
        same_metric(&to, &from);
        esp_task_metric_release(&from);
        esp_task_metric_release(&to);
        esp_buf_release(&buf);
    }
}

static void test_sparse(void)
{
    struct esp_task_metric metric;
    struct esp_buf buf;
    fill(&metric, true, 3);
    write_metric(&metric, &buf);
    g_assert_cmpuint(buf.size, ==, sizeof metric.sums + 1 + 8 + 3 * 10);
    esp_task_metric_release(&metric);
    esp_buf_release(&buf);
}

static void test_damaged(void)
{
    struct esp_task_metric from, to;
    struct esp_buf buf;
    fill(&from, true, 40);
    write_metric(&from, &buf);
    fill(&to, true, 5);
    for (size_t n = 0; n < buf.size; n++) {
        uint8_t *copy = g_memdup2(buf.data, n);
        g_assert_cmpint(read_metric(&to, esp_bytes(copy, n)), ==, ESP_EDATA);
        g_free(copy);
    }
    size_t first = sizeof from.sums + 1 + 8; /* the first bin's place */
    uint16_t place, beyond = 2 * ESP_AUC_BINS;
    memcpy(&place, buf.data + first, sizeof place);
    memcpy(buf.data + first, &beyond, sizeof beyond);
    g_assert_cmpint(read_metric(&to, esp_buf_bytes(&buf)), ==, ESP_EDATA);
    memcpy(buf.data + first, &place, sizeof place);
    memcpy(buf.data + first + 10, &place, sizeof place); /* twice */
    g_assert_cmpint(read_metric(&to, esp_buf_bytes(&buf)), ==, ESP_EDATA);
    esp_task_metric_release(&from);
    esp_task_metric_release(&to);
    esp_buf_release(&buf);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/metric/sums and bins read back to the bit", test_round_trip);
    g_test_add_func("/metric/empty bins take no room", test_sparse);
    g_test_add_func("/metric/what is damaged is refused", test_damaged);
    return g_test_run();
}
