/* ledger.c - see ledger.h. */
#include "ledger.h"

#include <math.h>
#include <stdlib.h>

#include "core/buf.h"

const char *const sim_task_names[SIM_N_TASKS] = {"click", "install_given_click", "install"};

enum esp_status sim_ledger_init(struct sim_ledger *ledger, const struct sim_ledger_config *config,
                                struct esp_error *err)
{
    *ledger = (struct sim_ledger){.config = *config};
    ledger->config.start_us -= config->start_us % config->window_us;
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        size_t n = config->n_partitions[kind];
        ledger->largest_us[kind] = calloc(n, sizeof(int64_t));
        if (ledger->largest_us[kind] == NULL) {
            sim_ledger_release(ledger);
            return esp_fail(err, ESP_ENOMEM, "out of memory for %zu partitions", n);
        }
        for (size_t p = 0; p < n; p++)
            ledger->largest_us[kind][p] = ESP_TIME_NONE;
    }
    return ESP_OK;
}

void sim_ledger_release(struct sim_ledger *ledger)
{
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        free(ledger->largest_us[kind]);
    free(ledger->windows);
    *ledger = (struct sim_ledger){0};
}

int64_t sim_ledger_window_start(const struct sim_ledger *ledger, size_t window)
{
    return ledger->config.start_us + (int64_t)window * ledger->config.window_us;
}

void sim_ledger_deliver(struct sim_ledger *ledger, struct sim_event *event, uint32_t partition)
{
    int64_t *largest_us = &ledger->largest_us[event->kind][partition];
    if (event->damage != SIM_INTACT) {
        event->verdict = SIM_DEAD;
        return;
    }
    bool late =
        *largest_us != ESP_TIME_NONE && event->time_us < *largest_us - ledger->config.grace_us;
    event->verdict = late ? SIM_LATE : SIM_ARRIVED;
    if (*largest_us < event->time_us)
        *largest_us = event->time_us;
}

/* The first event of a kind that arrived, is undecided and has its time in [from, to]; or NULL. */
static struct sim_event *first_within(struct sim_journey *journey, enum esp_event_kind kind,
                                      int64_t from_us, int64_t to_us)
{
    struct sim_event *first = NULL;
    for (size_t i = 0; i < journey->n_events; i++) {
        struct sim_event *event = &journey->events[i];
        if (event->kind == kind && event->verdict == SIM_ARRIVED && event->time_us >= from_us &&
            event->time_us <= to_us && (first == NULL || event->time_us < first->time_us))
            first = event;
    }
    return first;
}

/* The first event of a kind within [from, to] counts, the others there are duplicates. */
static const struct sim_event *settle_kind(struct sim_journey *journey, enum esp_event_kind kind,
                                           int64_t from_us, int64_t to_us)
{
    struct sim_event *first = first_within(journey, kind, from_us, to_us);
    if (first == NULL)
        return NULL;
    first->verdict = SIM_LABELLED;
    struct sim_event *other;
    while ((other = first_within(journey, kind, from_us, to_us)) != NULL)
        other->verdict = SIM_DUPLICATE;
    return first;
}

/* The entropy of a probability, in nats. */
static double entropy(double p)
{
    return p <= 0 || p >= 1 ? 0 : -p * log(p) - (1 - p) * log1p(-p);
}

static void add_label(struct sim_task_truth *task, double p, bool positive)
{
    task->n++;
    task->n_positive += positive;
    task->p += p;
    task->expected += entropy(p);
    task->realised -= positive ? log(p) : log1p(-p);
}

static void add_labels(struct sim_window *window, const struct sim_journey *journey, bool y, bool z)
{
    add_label(&window->tasks[SIM_TASK_CLICK], journey->p_click, y);
    if (y)
        add_label(&window->tasks[SIM_TASK_INSTALL_GIVEN_CLICK], journey->p_install, z);
    add_label(&window->tasks[SIM_TASK_INSTALL], journey->p_click * journey->p_install, z);
}

static enum esp_status count_labels(struct sim_ledger *ledger, const struct sim_journey *journey,
                                    int64_t impression_us, bool y, bool z, struct esp_error *err)
{
    size_t index = (size_t)((impression_us - ledger->config.start_us) / ledger->config.window_us);
    enum esp_status status = esp_array_grow((void **)&ledger->windows, &ledger->capacity, index + 1,
                                            sizeof *ledger->windows, err);
    if (status != ESP_OK)
        return status;
    while (ledger->n_windows <= index)
        ledger->windows[ledger->n_windows++] = (struct sim_window){0};
    add_labels(&ledger->windows[index], journey, y, z);
    add_labels(&ledger->total, journey, y, z);
    if (journey->new_ad)
        add_labels(&ledger->new_ads, journey, y, z);
    return ESP_OK;
}

enum esp_status sim_ledger_settle(struct sim_ledger *ledger, struct sim_journey *journey,
                                  struct esp_error *err)
{
    const struct sim_ledger_config *config = &ledger->config;
    const struct sim_event *click = NULL;
    const struct sim_event *install = NULL;
    const struct sim_event *impression =
        settle_kind(journey, ESP_IMPRESSION, ESP_TIME_NONE, ESP_TIME_END);
    if (impression != NULL)
        click = settle_kind(journey, ESP_CLICK, impression->time_us,
                            impression->time_us + config->click_window_us);
    if (click != NULL)
        install = settle_kind(journey, ESP_INSTALL, click->time_us,
                              click->time_us + config->install_window_us);
    for (size_t i = 0; i < journey->n_events; i++) {
        struct sim_event *event = &journey->events[i];
        if (event->verdict == SIM_ARRIVED)
            event->verdict = SIM_UNMATCHED;
        ledger->verdicts[event->kind][event->verdict]++;
    }
    if (impression == NULL)
        return ESP_OK;
    return count_labels(ledger, journey, impression->time_us, click != NULL, install != NULL, err);
}
