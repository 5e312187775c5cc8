/* record_sums.c - see record_sums.h. */
#include "drift/record_sums.h"

struct esp_task_sums esp_drift_record_sums(const struct esp_drift_record *record)
{
    const struct esp_drift_sums *s = &record->sums;
    return (struct esp_task_sums){
        .n = (uint64_t)record->examples,
        .n_positive = (uint64_t)record->positives,
        .n_units = (uint64_t)record->clusters,
        .w = s->w,
        .wl = s->l,
        .wp = s->p,
        .wy = s->y,
        .ww = s->ww,
        .wwl = s->wl,
        .wwll = s->ll,
        .wwp = s->wp,
        .wwpp = s->pp,
        .wwy = s->wy,
        .wwyy = s->yy,
        .wwpy = s->py,
        .wwly = s->ly,
        .wwlp = s->lp,
    };
}

void esp_drift_record_set_sums(struct esp_drift_record *record, const struct esp_task_sums *sums)
{
    record->examples = (int64_t)sums->n;
    record->positives = (int64_t)sums->n_positive;
    record->clusters = (int64_t)sums->n_units;
    record->sums = (struct esp_drift_sums){
        .w = sums->w,
        .l = sums->wl,
        .p = sums->wp,
        .y = sums->wy,
        .ww = sums->ww,
        .wl = sums->wwl,
        .wp = sums->wwp,
        .wy = sums->wwy,
        .ll = sums->wwll,
        .lp = sums->wwlp,
        .ly = sums->wwly,
        .pp = sums->wwpp,
        .py = sums->wwpy,
        .yy = sums->wwyy,
    };
}

struct esp_paired_sums esp_drift_paired_sums(const struct esp_drift_paired *paired)
{
    return (struct esp_paired_sums){
        .n = (uint64_t)paired->examples,
        .n_positive = (uint64_t)paired->positives,
        .n_units = (uint64_t)paired->clusters,
        .w = paired->w,
        .d = paired->d,
        .ww = paired->ww,
        .wd = paired->dw,
        .dd = paired->dd,
    };
}

struct esp_drift_paired esp_drift_paired_of(const struct esp_paired_sums *sums, int64_t clipped)
{
    return (struct esp_drift_paired){
        .is_set = true,
        .examples = (int64_t)sums->n,
        .positives = (int64_t)sums->n_positive,
        .clusters = (int64_t)sums->n_units,
        .clipped = clipped,
        .w = sums->w,
        .d = sums->d,
        .dd = sums->dd,
        .dw = sums->wd,
        .ww = sums->ww,
    };
}

struct esp_figure esp_drift_figure_value(const struct esp_drift_figure *figure)
{
    return (struct esp_figure){figure->is_set, figure->has_interval, figure->value, figure->low,
                               figure->high};
}

struct esp_drift_figure esp_drift_figure_of(const struct esp_figure *figure)
{
    if (!figure->defined)
        return (struct esp_drift_figure){0};
    struct esp_drift_figure out = {true, figure->has_interval, figure->value, 0, 0};
    if (figure->has_interval) {
        out.low = figure->low;
        out.high = figure->high;
    }
    return out;
}
