/* partition_rewinds.c - see partition_rewinds.h. */
#include "join/partition_rewinds.h"

#include <string.h>

static void enter_bucket(struct esp_rewinds *rewinds, int64_t largest_us)
{
    rewinds->next_us = largest_us == ESP_TIME_NONE
                           ? ESP_TIME_NONE
                           : ((largest_us >> rewinds->shift) + 1) * (INT64_C(1) << rewinds->shift);
}

void esp_rewinds_init(struct esp_rewinds *rewinds, unsigned shift, struct esp_rewind first)
{
    *rewinds = (struct esp_rewinds){.shift = shift, .n = 1, .points = {first}};
    enter_bucket(rewinds, first.largest_us);
}

static void drop_unneeded(struct esp_rewinds *rewinds, int64_t needed_us)
{
    size_t n_before = 0;
    while (n_before + 1 < rewinds->n && rewinds->points[n_before + 1].largest_us < needed_us)
        n_before++;
    rewinds->n -= n_before;
    memmove(rewinds->points, rewinds->points + n_before, rewinds->n * sizeof *rewinds->points);
}

void esp_rewinds_note(struct esp_rewinds *rewinds, struct esp_rewind point, int64_t largest_us,
                      int64_t needed_us)
{
    drop_unneeded(rewinds, needed_us);
    if (rewinds->n == ESP_MAX_REWINDS) {
        for (size_t i = 1; 2 * i < rewinds->n; i++)
            rewinds->points[i] = rewinds->points[2 * i];
        rewinds->n /= 2;
    }
    rewinds->points[rewinds->n++] = point;
    enter_bucket(rewinds, largest_us);
}

const struct esp_rewind *esp_rewinds_find(const struct esp_rewinds *rewinds, int64_t before_us)
{
    for (size_t i = rewinds->n; i > 0; i--) {
        const struct esp_rewind *point = &rewinds->points[i - 1];
        if (point->largest_us == ESP_TIME_NONE || point->largest_us < before_us)
            return point;
    }
    return NULL;
}

void esp_rewinds_archive(struct esp_archive *archive, struct esp_rewinds *rewinds, int64_t max_us)
{
    size_t n = rewinds->n;
    esp_archive_size(archive, &n);
    if (!esp_archive_check(archive, n >= 1 && n <= ESP_MAX_REWINDS, "the number of rewind points"))
        return;
    rewinds->n = n;
    for (size_t i = 0; i < n; i++) {
        struct esp_rewind *point = &rewinds->points[i];
        esp_archive_i64(archive, &point->offset);
        esp_archive_i64(archive, &point->largest_us);
        bool is_sound = point->largest_us == ESP_TIME_NONE ||
                        (point->largest_us >= -max_us && point->largest_us <= max_us);
        if (i > 0)
            is_sound = is_sound && point[-1].offset <= point->offset &&
                       point[-1].largest_us <= point->largest_us;
        esp_archive_check(archive, is_sound, "a rewind point");
    }
    esp_archive_i64(archive, &rewinds->next_us);
    esp_archive_check(archive,
                      rewinds->next_us == ESP_TIME_NONE ||
                          (rewinds->next_us >= -max_us && rewinds->next_us <= 2 * max_us),
                      "the next rewind point");
}
