/*
 * sim_compare.c - see sim_compare.h.
 *
 * Both sides are sums over windows of impression time, so windows pool exactly. A model that saw a
 * sample of the impressions estimates with weights what the truth counts; one that saw them all is
 * measured on the very same labels.
 */
#include "sim_compare.h"

#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sysexits.h>

#include "ledger.h"
#include "truth_report.h"

static const struct argp_option option_table[] = {
    {"truth", 't', "FILE", 0, "truth.json, as espalier-sim wrote it", 0},
    {"summary", 's', "FILE", 0, "what `espalier train --summary FILE` wrote", 0},
    {0},
};

struct files {
    char *truth, *summary; /* borrowed from argv */
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct files *files = state->input;
    switch (key) {
    case 't':
        files->truth = text;
        return 0;
    case 's':
        files->summary = text;
        return 0;
    case ARGP_KEY_END:
        if (files->truth == NULL || files->summary == NULL)
            argp_error(state, "give both --truth FILE and --summary FILE");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Sums over windows of one task; losses are totals in nats. */
struct pooled {
    double model_n, model_loss, model_positive; /* weighted */
    double best_n, best_loss, best_positive;
};

/* A number of an object, 0 if it has none of that name. */
static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* The truth's window that begins when one of a model's does, or NULL. */
static const json_t *window_at(const json_t *windows, const char *start)
{
    size_t i;
    json_t *window;
    json_array_foreach((json_t *)windows, i, window)
    {
        const char *its = json_string_value(json_object_get(window, "start"));
        if (its != NULL && strcmp(its, start) == 0)
            return window;
    }
    return NULL;
}

/* Adds a window's sums. Returns whether the truth has that window and the model that task in it. */
static bool pool_window(struct pooled *pooled, const json_t *model_window,
                        const json_t *truth_windows, const char *task)
{
    const char *start = json_string_value(json_object_get(model_window, "start"));
    const json_t *sums = json_object_get(model_window, task);
    const json_t *truth = start == NULL ? NULL : window_at(truth_windows, start);
    if (truth == NULL || sums == NULL || number_of(sums, "w") <= 0)
        return false;
    const json_t *best = json_object_get(truth, task);
    double n = number_of(best, "n");
    pooled->model_n += number_of(sums, "w");
    pooled->model_loss += number_of(sums, "wl");
    pooled->model_positive += number_of(sums, "wy");
    pooled->best_n += n;
    pooled->best_loss += n * number_of(best, "best_loss");
    pooled->best_positive += number_of(best, "n_positive");
    return true;
}

/* Prints loss and normalised entropy of both, and by how much the model's entropy is above. */
static void print_pooled(const struct pooled *pooled, FILE *out)
{
    double loss = pooled->model_loss / pooled->model_n;
    double best = pooled->best_loss / pooled->best_n;
    double ne = loss / sim_base_entropy(pooled->model_positive / pooled->model_n);
    double best_ne = best / sim_base_entropy(pooled->best_positive / pooled->best_n);
    fprintf(out, "  %9.5f %9.5f %8.4f %8.4f %+8.2f %%", loss, best, ne, best_ne,
            100 * (ne / best_ne - 1));
}

static bool is_measurable(const struct pooled *pooled)
{
    return pooled->model_positive > 0 && pooled->model_positive < pooled->model_n &&
           pooled->best_positive > 0 && pooled->best_positive < pooled->best_n;
}

/* One line of the table. Returns how many windows were in common. */
static size_t compare_task(const json_t *model, const char *task, const json_t *truth_windows,
                           const char *tail_start, FILE *out)
{
    struct pooled all = {0}, tail = {0};
    size_t n_common = 0;
    size_t i;
    json_t *window;
    json_array_foreach(json_object_get(model, "windows"), i, window)
    {
        const char *start = json_string_value(json_object_get(window, "start"));
        if (!pool_window(&all, window, truth_windows, task))
            continue;
        n_common++;
        /* Times of one format: their texts sort as they do. */
        if (strcmp(start, tail_start) >= 0)
            pool_window(&tail, window, truth_windows, task);
    }
    if (n_common == 0)
        return 0;
    const char *name = json_string_value(json_object_get(model, "name"));
    const char *setup = json_string_value(json_object_get(model, "setup"));
    fprintf(out, "%-12s %-10s %-19s", name == NULL ? "?" : name, setup == NULL ? "?" : setup, task);
    if (is_measurable(&all))
        print_pooled(&all, out);
    if (is_measurable(&tail))
        print_pooled(&tail, out);
    fputc('\n', out);
    return n_common;
}

/* The start of the first of the last windows that together hold a tenth of the impressions. */
static const char *find_tail(const json_t *truth_windows, double n_total)
{
    double n = 0;
    size_t i = json_array_size(truth_windows);
    while (i > 0 && n < n_total / 10) {
        const json_t *window = json_array_get(truth_windows, --i);
        n += number_of(json_object_get(window, "click"), "n");
    }
    const char *start =
        json_string_value(json_object_get(json_array_get(truth_windows, i), "start"));
    return start == NULL ? "" : start;
}

static json_t *load(const char *path, const char *member, struct esp_error *err)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        esp_fail(err, ESP_EDATA, "%s: %s (line %d)", path, error.text, error.line);
    } else if (!json_is_array(json_object_get(root, member))) {
        esp_fail(err, ESP_EDATA, "%s has no list \"%s\"; is it the right file?", path, member);
        json_decref(root);
        root = NULL;
    }
    return root;
}

static enum esp_status print_table(const json_t *truth, const json_t *summary, FILE *out,
                                   struct esp_error *err)
{
    const json_t *windows = json_object_get(truth, "windows");
    double n_total = number_of(json_object_get(json_object_get(truth, "total"), "click"), "n");
    const char *tail_start = find_tail(windows, n_total);
    size_t n_lines = 0;
    size_t i;
    json_t *model;
    fprintf(out, "%-43s  %-52s %s\n", "", "whole stream", "last tenth");
    fprintf(out, "%-12s %-10s %-19s", "model", "set-up", "task");
    for (size_t part = 0; part < 2; part++)
        fprintf(out, "  %9s %9s %8s %8s %10s", "log loss", "best", "NE", "best", "above best");
    fputc('\n', out);
    json_array_foreach(json_object_get(summary, "models"), i, model)
    {
        for (size_t t = 0; t < SIM_N_TASKS; t++)
            n_lines += compare_task(model, sim_task_names[t], windows, tail_start, out) > 0;
    }
    if (n_lines == 0)
        return esp_fail(err, ESP_EDATA,
                        "truth and summary have no window in common; were both made from the same "
                        "events, with windows of the same width?");
    return ESP_OK;
}

enum esp_status sim_compare(int argc, char **argv, FILE *out, struct esp_error *err)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = parse_option,
        .doc = "Prints the progressive losses of a trainer's models beside those of the best "
               "possible predictor, the true probabilities: over the whole stream and over its "
               "last tenth."};
    struct files files = {0};
    argp_err_exit_status = EX_USAGE;
    argv[0] = (char *)"espalier-sim compare";
    if (argp_parse(&argp, argc, argv, 0, NULL, &files) != 0)
        return esp_fail(err, ESP_ECONFIG, "the command line cannot be read");
    json_t *truth = load(files.truth, "windows", err);
    json_t *summary = truth == NULL ? NULL : load(files.summary, "models", err);
    enum esp_status status = summary == NULL ? ESP_EDATA : print_table(truth, summary, out, err);
    json_decref(truth);
    json_decref(summary);
    return status;
}
