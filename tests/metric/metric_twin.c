/* metric_twin.c - see metric_twin.h. */
#include "metric/metric_twin.h"

#include <math.h>

double twin_roc_auc(const struct twin_example *examples, size_t n)
{
    double won = 0, pairs = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            if (!examples[i].y || examples[j].y)
                continue;
            double w = examples[i].weight * examples[j].weight;
            pairs += w;
            if (examples[i].logit > examples[j].logit)
                won += w;
            else if (examples[i].logit == examples[j].logit)
                won += w / 2;
        }
    }
    return won / pairs;
}

double twin_pr_auc(const struct twin_example *examples, size_t n)
{
    double sum = 0, w_positive = 0;
    for (size_t i = 0; i < n; i++) {
        double positive = 0, all = 0;
        if (!examples[i].y)
            continue;
        w_positive += examples[i].weight;
        for (size_t j = 0; j < n; j++) {
            if (examples[j].logit < examples[i].logit)
                continue;
            all += examples[j].weight;
            positive += examples[j].y ? examples[j].weight : 0;
        }
        sum += examples[i].weight * positive / all;
    }
    return sum / w_positive;
}

double twin_value(enum twin_figure figure, const struct twin_example *examples, size_t n,
                  const uint64_t *units, uint64_t without)
{
    double w = 0, wl = 0, wp = 0, wy = 0;
    for (size_t i = 0; i < n; i++) {
        double p = 1 / (1 + exp(-examples[i].logit));
        if ((units != NULL ? units[i] : i) == without)
            continue;
        w += examples[i].weight;
        wl -= examples[i].weight * (examples[i].y ? log(p) : log(1 - p));
        wp += examples[i].weight * p;
        wy += examples[i].y ? examples[i].weight : 0;
    }
    double rate = wy / w;
    double entropy = -rate * log(rate) - (1 - rate) * log(1 - rate);
    switch (figure) {
    case TWIN_LOG_LOSS:
        return wl / w;
    case TWIN_NE:
        return wl / w / entropy;
    case TWIN_CALIBRATION:
        break;
    }
    return wp / wy;
}

double twin_deviation(enum twin_figure figure, const struct twin_example *examples, size_t n,
                      const uint64_t *units, size_t n_units)
{
    double sum = 0, squares = 0;
    for (size_t unit = 0; unit < n_units; unit++) {
        double value = twin_value(figure, examples, n, units, unit);
        sum += value;
        squares += value * value;
    }
    double mean = sum / (double)n_units;
    return sqrt((double)(n_units - 1) * (squares / (double)n_units - mean * mean));
}
