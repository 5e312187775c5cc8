/* ladder.c - see ladder.h. */
#include "drift/ladder.h"

enum esp_status esp_ladder_validate(const struct esp_ladder *ladder, struct esp_error *err)
{
    if (ladder->window_us <= 0)
        return esp_fail(err, ESP_ECONFIG, "window: choose a span above 0");
    if (ladder->n_ages == 0 || ladder->n_ages > ESP_MAX_AGES)
        return esp_fail(err, ESP_ECONFIG, "%zu ages; give 1 to %d", ladder->n_ages, ESP_MAX_AGES);
    if (ladder->ages[0] != 0)
        return esp_fail(err, ESP_ECONFIG, "the first must be 0, which others are compared to");
    for (size_t i = 0; i < ladder->n_ages; i++) {
        if (i > 0 && ladder->ages[i] <= ladder->ages[i - 1])
            return esp_fail(err, ESP_ECONFIG, "%u does not ascend", ladder->ages[i]);
        if (ladder->ages[i] > ESP_MAX_AGE)
            return esp_fail(err, ESP_ECONFIG, "%u windows; at most %d", ladder->ages[i],
                            ESP_MAX_AGE);
    }
    if (ladder->sparse == 0)
        return esp_fail(err, ESP_ECONFIG, "sparse: choose 1 for every window");
    return ESP_OK;
}

/* floor(a / b), b > 0 */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t esp_ladder_window(const struct esp_ladder *ladder, int64_t time_us)
{
    return floor_div(time_us, ladder->window_us);
}

static bool is_sparse(const struct esp_ladder *ladder, size_t age)
{
    return ladder->sparse > 1 && ladder->ages[age] >= ladder->sparse_from;
}

bool esp_ladder_measures(const struct esp_ladder *ladder, int64_t window, size_t age)
{
    return !is_sparse(ladder, age) || window % ladder->sparse == 0;
}

bool esp_ladder_needs(const struct esp_ladder *ladder, int64_t first_window, int64_t from_us,
                      int64_t to_us)
{
    /* The first boundary of a window in [from, to). */
    int64_t first = -floor_div(-from_us, ladder->window_us);
    for (size_t i = 0; i < ladder->n_ages; i++) {
        int64_t window = first + ladder->ages[i];
        window = window > first_window ? window : first_window;
        if (is_sparse(ladder, i))
            window = -floor_div(-window, ladder->sparse) * ladder->sparse;
        if ((window - ladder->ages[i]) * ladder->window_us < to_us)
            return true;
    }
    return false;
}
