/* simulate.c - see simulate.h. */
#include "simulate.h"

#include <signal.h>
#include <time.h>

#include "campaign.h"
#include "event_queue.h"
#include "linear.h"

enum { SECONDS_BETWEEN_FLUSHES = 1 };

#define WILD_AHEAD_FAR  (365 * ESP_DAY)
#define WILD_AHEAD_NEAR ESP_HOUR

static volatile sig_atomic_t stop_asked;

static void ask_to_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

/* The first signal ends the campaign in good order, the second ends the program. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

struct simulation {
    const struct sim_options *options;
    struct sim_campaign campaign;
    struct sim_event_queue queue;
    struct sim_outlet outlet;
    struct sim_ledger *ledger;
    struct sim_linear *linear; /* NULL: nobody asked for it */
    bool wild_sent;
    double began_s, flushed_s; /* monotonic clock; for --realtime and --live */
};

static double clock_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* How long to wait until an event is due: of --live by the wall clock, which may be set meanwhile,
 * else by what has passed since the start. */
static double wait_until_due_s(const struct simulation *simulation, int64_t due_us, double now_s)
{
    const struct sim_options *options = simulation->options;
    if (options->live)
        return (double)due_us / (double)ESP_SECOND - clock_s(CLOCK_REALTIME);
    double elapsed_s = (double)(due_us - options->start_us) / (double)ESP_SECOND;
    return simulation->began_s + elapsed_s / options->realtime - now_s;
}

/* Waits until an event is due on the wall clock; what went before is made readable meanwhile. */
static enum esp_status pace(struct simulation *simulation, int64_t due_us, struct esp_error *err)
{
    for (;;) {
        double now_s = clock_s(CLOCK_MONOTONIC);
        if (now_s - simulation->flushed_s >= SECONDS_BETWEEN_FLUSHES) {
            simulation->flushed_s = now_s;
            enum esp_status status = sim_outlet_flush(&simulation->outlet, err);
            if (status != ESP_OK)
                return status;
        }
        double wait_s = wait_until_due_s(simulation, due_us, now_s);
        if (wait_s <= 0 || stop_asked)
            return ESP_OK;
        if (wait_s > SECONDS_BETWEEN_FLUSHES)
            wait_s = SECONDS_BETWEEN_FLUSHES;
        struct timespec wait = {(time_t)wait_s, (long)((wait_s - (double)(time_t)wait_s) * 1e9)};
        nanosleep(&wait, NULL);
    }
}

/* One event of every kind in every partition with a clock far ahead; on a broker, where a record's
 * own time gives it away, also one a little ahead. */
static enum esp_status make_wild(struct simulation *simulation, int64_t now_us,
                                 struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    uint64_t number = simulation->options->first;
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        for (uint32_t p = 0; p < simulation->outlet.n_partitions[kind]; p++) {
            struct sim_journey wild = sim_wild_journey(simulation->options, number++, kind,
                                                       (int32_t)p, now_us, WILD_AHEAD_FAR);
            status = sim_event_queue_push(&simulation->queue, &wild, err);
            if (status == ESP_OK && simulation->options->destination.root == NULL) {
                wild = sim_wild_journey(simulation->options, number++, kind, (int32_t)p, now_us,
                                        WILD_AHEAD_NEAR);
                status = sim_event_queue_push(&simulation->queue, &wild, err);
            }
            if (status != ESP_OK)
                return status;
        }
    }
    return status;
}

/* Makes the next impression and what belongs to it. */
static enum esp_status make(struct simulation *simulation, struct esp_error *err)
{
    const struct sim_options *options = simulation->options;
    int64_t now_us = simulation->campaign.next_us;
    struct sim_journey journeys[SIM_MAX_MADE];
    size_t n = sim_campaign_make(&simulation->campaign, journeys);
    enum esp_status status = sim_outlet_put_truth(&simulation->outlet, &journeys[0], err);
    if (status == ESP_OK && simulation->linear != NULL)
        status = sim_linear_take(simulation->linear, &journeys[0], err);
    for (size_t i = 0; i < n && status == ESP_OK; i++)
        status = sim_event_queue_push(&simulation->queue, &journeys[i], err);
    if (status != ESP_OK || simulation->wild_sent || now_us - options->start_us < options->wild_us)
        return status;
    simulation->wild_sent = true;
    return make_wild(simulation, now_us, err);
}

static enum esp_status deliver_next(struct simulation *simulation, struct esp_error *err)
{
    struct sim_event *event;
    struct sim_journey *journey = sim_event_queue_pop(&simulation->queue, &event);
    uint32_t partition = sim_outlet_partition(&simulation->outlet, journey, event);
    enum esp_status status = sim_outlet_put(&simulation->outlet, journey, event, partition, err);
    if (status != ESP_OK)
        return status;
    sim_ledger_deliver(simulation->ledger, event, partition);
    if (--journey->n_underway > 0)
        return ESP_OK;
    status = sim_ledger_settle(simulation->ledger, journey, err);
    return status == ESP_OK ? sim_event_queue_drop(&simulation->queue, journey, err) : status;
}

/* Settles what a campaign that was cut short left under way. */
static enum esp_status settle_rest(struct simulation *simulation, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < simulation->queue.n_journeys && status == ESP_OK; i++)
        if (simulation->queue.journeys[i].n_events > 0)
            status = sim_ledger_settle(simulation->ledger, &simulation->queue.journeys[i], err);
    return status;
}

static enum esp_status run(struct simulation *simulation, struct esp_error *err)
{
    const struct sim_options *options = simulation->options;
    int64_t stop_us = options->stop_after_us == ESP_TIME_END
                          ? ESP_TIME_END
                          : options->start_us + options->stop_after_us;
    enum esp_status status = ESP_OK;
    while (status == ESP_OK && !stop_asked) {
        int64_t due_us = sim_event_queue_next_us(&simulation->queue);
        int64_t made_us = simulation->campaign.next_us;
        /* Nothing of an impression is due before its time: what is due earlier is complete. */
        if (made_us <= due_us) {
            if (made_us == ESP_TIME_END || made_us >= stop_us)
                break;
            status = make(simulation, err);
            continue;
        }
        if (due_us >= stop_us)
            break;
        if (options->live || options->realtime > 0)
            status = pace(simulation, due_us, err);
        if (status == ESP_OK)
            status = deliver_next(simulation, err);
    }
    if (status == ESP_OK)
        status = settle_rest(simulation, err);
    return status == ESP_OK ? sim_outlet_flush(&simulation->outlet, err) : status;
}

static struct sim_ledger_config ledger_config(const struct simulation *simulation)
{
    const struct sim_options *options = simulation->options;
    struct sim_ledger_config config = {
        .start_us = options->start_us,
        .window_us = options->window_us,
        .click_window_us = options->click_window_us,
        .install_window_us = options->install_window_us,
        .grace_us = options->grace_us,
    };
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        config.n_partitions[kind] = simulation->outlet.n_partitions[kind];
    return config;
}

enum esp_status sim_run(const struct sim_options *options, struct sim_ledger *ledger,
                        struct sim_outcome *out, struct esp_error *err)
{
    struct simulation simulation = {.options = options, .ledger = ledger};
    *ledger = (struct sim_ledger){0};
    enum esp_status status = sim_outlet_open(&simulation.outlet, options, err);
    if (status != ESP_OK)
        return status;
    status = sim_campaign_init(&simulation.campaign, options, err);
    if (status == ESP_OK) {
        struct sim_ledger_config config = ledger_config(&simulation);
        status = sim_ledger_init(ledger, &config, err);
    }
    if (status == ESP_OK && options->linear_path != NULL)
        status = sim_linear_new(options, &simulation.linear, err);
    if (status == ESP_OK) {
        catch_signals();
        simulation.began_s = simulation.flushed_s = clock_s(CLOCK_MONOTONIC);
        status = run(&simulation, err);
    }
    if (status == ESP_OK && simulation.linear != NULL)
        status = sim_linear_write(simulation.linear, options->linear_path, err);
    *out = (struct sim_outcome){
        .n_made = simulation.campaign.next,
        .n_records = simulation.outlet.n_records,
        .n_bytes = simulation.outlet.n_bytes,
        .interrupted = stop_asked != 0,
    };
    sim_linear_free(simulation.linear);
    sim_event_queue_release(&simulation.queue);
    sim_campaign_release(&simulation.campaign);
    sim_outlet_close(&simulation.outlet);
    return status;
}
