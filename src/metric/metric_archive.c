/* metric_archive.c - what a metric has gathered, into an archive and back. See metric.h. */
#include <stdlib.h>

#include "metric/metric.h"

enum {
    N_BINS = 2 * ESP_AUC_BINS,
    BIN_BYTES = sizeof(uint16_t) + sizeof(double),
};

_Static_assert(N_BINS <= UINT16_MAX + 1, "a bin's number is 16 bits");
_Static_assert(sizeof(struct esp_task_sums) == 17 * sizeof(double), "sums have no padding");

void esp_task_sums_archive(struct esp_archive *archive, struct esp_task_sums *sums)
{
    esp_archive_bytes(archive, sums, sizeof *sums);
}

static bool is_empty(double weight)
{
    uint64_t bits;
    memcpy(&bits, &weight, sizeof bits);
    return bits == 0;
}

/* Most bins of most windows are empty: only the others are written. */
static void write_bins(struct esp_archive *archive, double *bins)
{
    size_t n = 0;
    for (size_t i = 0; i < N_BINS; i++)
        n += !is_empty(bins[i]);
    esp_archive_count(archive, &n, BIN_BYTES);
    for (size_t i = 0; i < N_BINS; i++) {
        uint16_t place = (uint16_t)i;
        if (is_empty(bins[i]))
            continue;
        esp_archive_u16(archive, &place);
        esp_archive_f64(archive, &bins[i]);
    }
}

static void read_bins(struct esp_archive *archive, double *bins)
{
    size_t n = 0, next = 0;
    memset(bins, 0, N_BINS * sizeof *bins);
    esp_archive_count(archive, &n, BIN_BYTES);
    for (size_t i = 0; i < n; i++) {
        uint16_t place = 0;
        esp_archive_u16(archive, &place);
        if (!esp_archive_check(archive, place >= next && place < N_BINS, "a metric's bin"))
            return;
        esp_archive_f64(archive, &bins[place]);
        next = (size_t)place + 1;
    }
}

void esp_task_metric_archive(struct esp_archive *archive, struct esp_task_metric *metric)
{
    bool has_bins = metric->bins != NULL;
    esp_task_sums_archive(archive, &metric->sums);
    esp_archive_bool(archive, &has_bins);
    if (!esp_archive_reads(archive)) {
        if (has_bins)
            write_bins(archive, metric->bins);
        return;
    }
    if (!has_bins || !esp_archive_is_ok(archive)) {
        free(metric->bins);
        metric->bins = NULL;
        return;
    }
    if (metric->bins == NULL)
        metric->bins = calloc(N_BINS, sizeof *metric->bins);
    if (metric->bins == NULL)
        esp_archive_fail(archive, ESP_ENOMEM, "out of memory for %d bins of a metric", N_BINS);
    else
        read_bins(archive, metric->bins);
}
