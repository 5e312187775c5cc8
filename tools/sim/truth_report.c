/* truth_report.c - see truth_report.h. */
#include "truth_report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

enum { FORMAT = 1 };

double sim_base_entropy(double rate)
{
    return rate <= 0 || rate >= 1 ? 0 : -rate * log(rate) - (1 - rate) * log1p(-rate);
}

/* A quotient, or null where it is undefined. */
static json_t *ratio(double above, double below)
{
    return below > 0 ? json_real(above / below) : json_null();
}

static json_t *task_json(const struct sim_task_truth *task)
{
    double n = (double)task->n;
    double positive = (double)task->n_positive;
    double rate = n > 0 ? positive / n : 0;
    double p = n > 0 ? task->p / n : 0;
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)task->n,
                     "n_positive", (json_int_t)task->n_positive, "base_rate", ratio(positive, n),
                     "mean_probability", ratio(task->p, n), "best_loss", ratio(task->realised, n),
                     "expected_loss", ratio(task->expected, n), "best_ne",
                     ratio(task->realised, n * sim_base_entropy(rate)), "expected_ne",
                     ratio(task->expected, n * sim_base_entropy(p)));
}

static json_t *window_json(const struct sim_window *window)
{
    json_t *all = json_object();
    for (size_t t = 0; t < SIM_N_TASKS && all != NULL; t++) {
        if (json_object_set_new(all, sim_task_names[t], task_json(&window->tasks[t])) != 0) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

static json_t *windows_json(const struct sim_ledger *ledger)
{
    json_t *all = json_array();
    for (size_t i = 0; i < ledger->n_windows && all != NULL; i++) {
        char start[ESP_TIME_TEXT_SIZE];
        esp_time_format(sim_ledger_window_start(ledger, i), start);
        json_t *one = window_json(&ledger->windows[i]);
        if (json_object_set_new(one, "start", json_string(start)) != 0 ||
            json_array_append_new(all, one) != 0) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

static json_t *counters_json(const struct sim_ledger *ledger)
{
    json_t *all = json_object();
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS && all != NULL; kind++) {
        const uint64_t *verdicts = ledger->verdicts[kind];
        uint64_t read = 0;
        for (size_t v = SIM_LABELLED; v < SIM_N_VERDICTS; v++)
            read += verdicts[v];
        json_t *one = json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:I}", "read", (json_int_t)read, "labelled",
            (json_int_t)verdicts[SIM_LABELLED], "duplicate", (json_int_t)verdicts[SIM_DUPLICATE],
            "unmatched", (json_int_t)verdicts[SIM_UNMATCHED], "late",
            (json_int_t)verdicts[SIM_LATE], "dead", (json_int_t)verdicts[SIM_DEAD]);
        if (json_object_set_new(all, sim_topic_names[kind], one) != 0) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

static json_t *span_json(int64_t span_us)
{
    char text[ESP_TIME_TEXT_SIZE];
    return json_string(esp_span_format(span_us, text));
}

static json_t *report_json(const struct sim_options *options, const struct sim_ledger *ledger,
                           const struct sim_outcome *outcome)
{
    char start[ESP_TIME_TEXT_SIZE];
    esp_time_format(options->start_us, start);
    json_t *root =
        json_pack("{s:i, s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "format",
                  FORMAT, "seed", (json_int_t)options->truth.seed, "impressions",
                  (json_int_t)outcome->n_made, "first", (json_int_t)options->first, "start", start,
                  "window", span_json(options->window_us), "click_window",
                  span_json(options->click_window_us), "install_window",
                  span_json(options->install_window_us), "grace", span_json(options->grace_us),
                  "interrupted", outcome->interrupted, "counters", counters_json(ledger), "total",
                  window_json(&ledger->total), "windows", windows_json(ledger));
    if (root != NULL && options->new_ads_us != ESP_TIME_END &&
        json_object_set_new(root, "new_ads", window_json(&ledger->new_ads)) != 0) {
        json_decref(root);
        return NULL;
    }
    return root;
}

enum esp_status sim_truth_write(const struct sim_options *options, const struct sim_ledger *ledger,
                                const struct sim_outcome *outcome, struct esp_error *err)
{
    json_t *root = report_json(options, ledger, outcome);
    if (root == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the truth's report");
    enum esp_status status = ESP_OK;
    if (json_dump_file(root, options->truth_path, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) != 0)
        status = esp_fail(err, ESP_EIO, "cannot write --truth %s: %s", options->truth_path,
                          strerror(errno));
    json_decref(root);
    return status;
}

void sim_truth_print(const struct sim_ledger *ledger, const struct sim_outcome *outcome, FILE *out)
{
    fprintf(out, "%" PRIu64 " impressions made, %" PRIu64 " records of %.0f bytes written%s\n",
            outcome->n_made, outcome->n_records,
            outcome->n_records > 0 ? (double)outcome->n_bytes / (double)outcome->n_records : 0,
            outcome->interrupted ? " (interrupted)" : "");
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const uint64_t *v = ledger->verdicts[kind];
        fprintf(out,
                "%-11s %" PRIu64 " labelled, %" PRIu64 " duplicate, %" PRIu64 " unmatched, %" PRIu64
                " late, %" PRIu64 " dead\n",
                sim_topic_names[kind], v[SIM_LABELLED], v[SIM_DUPLICATE], v[SIM_UNMATCHED],
                v[SIM_LATE], v[SIM_DEAD]);
    }
    for (size_t t = 0; t < SIM_N_TASKS; t++) {
        const struct sim_task_truth *task = &ledger->total.tasks[t];
        double n = (double)task->n;
        if (task->n == 0 || task->n_positive == 0 || task->n_positive == task->n)
            continue;
        double rate = (double)task->n_positive / n;
        fprintf(out, "%-19s rate %.4f, best log loss %.5f, best NE %.4f (expected %.4f)\n",
                sim_task_names[t], rate, task->realised / n,
                task->realised / n / sim_base_entropy(rate),
                task->expected / n / sim_base_entropy(task->p / n));
    }
}
