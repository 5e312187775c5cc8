/* linear.c - see linear.h. */
#include "linear.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "ledger.h"
#include "metric/metric.h"
#include "model/task_logit.h"

/* The best of 0.05, 0.1 and 0.2 on the default truth. */
#define RATE    0.1F
#define INITIAL 0.1F

enum { N_COORDINATES = SIM_N_FIELDS + 1 }; /* the last is the intercept */

struct coordinate {
    float weight, squares; /* squares: sum of squared gradients */
};

/* Of one task in one window, in the names of the trainer's summary. */
struct sums {
    double w, wl, wy;
};

struct window_sums {
    struct sums tasks[SIM_N_TASKS];
};

struct sim_linear {
    const struct sim_options *options;
    int64_t start_us;                               /* of window 0 */
    size_t first[N_COORDINATES];                    /* coordinate of a field's value 0 */
    struct coordinate (*coordinates)[SIM_N_LOGITS]; /* click, install */
    struct window_sums *windows;
    size_t n_windows, capacity;
};

enum esp_status sim_linear_new(const struct sim_options *options, struct sim_linear **out,
                               struct esp_error *err)
{
    struct sim_linear *linear = calloc(1, sizeof *linear);
    if (linear == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the linear model");
    linear->options = options;
    linear->start_us = options->start_us - options->start_us % options->window_us;
    size_t n = 0;
    for (size_t f = 0; f < SIM_N_FIELDS; f++) {
        linear->first[f] = n;
        n += sim_field_n_values(f, options->truth.small) + options->truth.n_new_ads;
    }
    linear->first[SIM_N_FIELDS] = n++;
    linear->coordinates = calloc(n, sizeof *linear->coordinates);
    if (linear->coordinates == NULL) {
        sim_linear_free(linear);
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu linear weights", n);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < SIM_N_LOGITS; l++)
            linear->coordinates[i][l].squares = INITIAL;
    *out = linear;
    return ESP_OK;
}

void sim_linear_free(struct sim_linear *linear)
{
    if (linear == NULL)
        return;
    free(linear->coordinates);
    free(linear->windows);
    free(linear);
}

/* When an event of a kind follows within the window; ESP_TIME_NONE: none does. */
static int64_t follower(const struct sim_journey *journey, enum esp_event_kind kind,
                        int64_t from_us, int64_t window_us)
{
    int64_t first_us = ESP_TIME_NONE;
    for (size_t i = 0; i < journey->n_events; i++) {
        const struct sim_event *event = &journey->events[i];
        if (event->kind == kind && event->damage == SIM_INTACT && event->time_us >= from_us &&
            event->time_us - from_us <= window_us &&
            (first_us == ESP_TIME_NONE || event->time_us < first_us))
            first_us = event->time_us;
    }
    return first_us;
}

/* The logit. */
static double predict(const struct sim_linear *linear, const size_t places[N_COORDINATES],
                      size_t logit)
{
    double sum = 0;
    for (size_t i = 0; i < N_COORDINATES; i++)
        sum += linear->coordinates[places[i]][logit].weight;
    return sum;
}

/* One step of Adagrad: Duchi, Hazan, Singer, 2011. */
static void learn(struct sim_linear *linear, const size_t places[N_COORDINATES], size_t logit,
                  double prediction, bool label)
{
    float gradient = (float)(esp_sigmoid(prediction) - label);
    for (size_t i = 0; i < N_COORDINATES; i++) {
        struct coordinate *coordinate = &linear->coordinates[places[i]][logit];
        coordinate->squares += gradient * gradient;
        coordinate->weight -= RATE * gradient / sqrtf(coordinate->squares);
    }
}

static void count(struct sums *sums, double prediction, bool label)
{
    sums->w += 1;
    sums->wl += esp_log_loss(prediction, label);
    sums->wy += label;
}

/* The window of an impression, empty if it is new; NULL: out of memory. */
static struct window_sums *window_of(struct sim_linear *linear, int64_t impression_us,
                                     struct esp_error *err)
{
    size_t index = (size_t)((impression_us - linear->start_us) / linear->options->window_us);
    if (esp_array_grow((void **)&linear->windows, &linear->capacity, index + 1,
                       sizeof *linear->windows, err) != ESP_OK)
        return NULL;
    while (linear->n_windows <= index)
        linear->windows[linear->n_windows++] = (struct window_sums){0};
    return &linear->windows[index];
}

enum esp_status sim_linear_take(struct sim_linear *linear, const struct sim_journey *journey,
                                struct esp_error *err)
{
    const struct sim_options *options = linear->options;
    int64_t impression_us = follower(journey, ESP_IMPRESSION, 0, ESP_TIME_END);
    if (impression_us == ESP_TIME_NONE)
        return ESP_OK;
    struct window_sums *window = window_of(linear, impression_us, err);
    if (window == NULL)
        return ESP_ENOMEM;
    int64_t click_us = follower(journey, ESP_CLICK, impression_us, options->click_window_us);
    bool y = click_us != ESP_TIME_NONE;
    bool z =
        y && follower(journey, ESP_INSTALL, click_us, options->install_window_us) != ESP_TIME_NONE;
    size_t places[N_COORDINATES];
    for (size_t f = 0; f < SIM_N_FIELDS; f++)
        places[f] = linear->first[f] + journey->values[f];
    places[SIM_N_FIELDS] = linear->first[SIM_N_FIELDS];
    double click = predict(linear, places, 0);
    double install = predict(linear, places, 1);
    count(&window->tasks[SIM_TASK_CLICK], click, y);
    count(&window->tasks[SIM_TASK_INSTALL], esp_product_logit(click, install), z);
    learn(linear, places, 0, click, y);
    if (y) {
        count(&window->tasks[SIM_TASK_INSTALL_GIVEN_CLICK], install, z);
        learn(linear, places, 1, install, z);
    }
    return ESP_OK;
}

/* A window's member of the summary. */
static json_t *window_json(const struct window_sums *window, int64_t start_us)
{
    char start[ESP_TIME_TEXT_SIZE];
    json_t *object = json_pack("{s:s}", "start", esp_time_format(start_us, start));
    for (size_t t = 0; t < SIM_N_TASKS && object != NULL; t++) {
        const struct sums *sums = &window->tasks[t];
        json_t *task = json_pack("{s:f, s:f, s:f}", "w", sums->w, "wl", sums->wl, "wy", sums->wy);
        if (json_object_set_new(object, sim_task_names[t], task) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

enum esp_status sim_linear_write(const struct sim_linear *linear, const char *path,
                                 struct esp_error *err)
{
    json_t *windows = json_array();
    bool whole = windows != NULL;
    for (size_t i = 0; i < linear->n_windows && whole; i++) {
        int64_t start_us = linear->start_us + (int64_t)i * linear->options->window_us;
        whole = json_array_append_new(windows, window_json(&linear->windows[i], start_us)) == 0;
    }
    json_t *root = json_pack("{s:[{s:s, s:s, s:o}]}", "models", "name", "linear", "setup", "linear",
                             "windows", windows);
    enum esp_status status = ESP_OK;
    if (!whole || root == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for the linear model's summary");
    else if (json_dump_file(root, path, JSON_INDENT(1)) != 0)
        status = esp_fail(err, ESP_EIO, "cannot write --linear %s: %s", path, strerror(errno));
    json_decref(root);
    return status;
}
