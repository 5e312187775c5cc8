/* join_trial_helper.c - see join_trial_helper.h. */
#include "join_trial_helper.h"

#include <inttypes.h>

#include "core/hash.h"

static bool wants_some(void *context, const struct esp_label *label)
{
    (void)context;
    return label->id.size > 0 && (label->id.data[label->id.size - 1] + label->y) % 3 == 0;
}

static bool wants_all(void *context, const struct esp_label *label)
{
    (void)context, (void)label;
    return true;
}

void join_trial_config(struct join_trial *trial, int64_t scale_us)
{
    struct test_random *random = &trial->random;
    struct esp_joiner_config *config = &trial->config;
    *config = (struct esp_joiner_config){
        .click_window_us = (int64_t)test_random_below(random, 8) * scale_us,
        .install_window_us = (int64_t)test_random_below(random, 16) * scale_us,
        .future_us = 3 * scale_us,
        .ahead_us = (int64_t)(5 + test_random_below(random, 60)) * scale_us,
        .installs_by_click = test_random_below(random, 2) == 0,
        .segment_bytes = 4096};
    uint64_t whole = test_random_below(random, 3);
    config->whole_wanted = whole == 0 ? NULL : whole == 1 ? wants_some : wants_all;
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        config->grace_us[kind] = (int64_t)test_random_below(random, 12) * scale_us;
        config->n_partitions[kind] = 1 + test_random_below(random, 3);
    }
    if (test_random_below(random, 4) == 0)
        config->n_partitions[ESP_INSTALL] = 0;
    if (test_random_below(random, 8) == 0)
        config->n_partitions[ESP_CLICK] = 0;
    memcpy(trial->n_at_start, config->n_partitions, sizeof trial->n_at_start);
}

/* Ids share prefixes, differ in length, and are few, so that they meet. */
static size_t random_id(struct test_random *random, char kind, char id[JOIN_ID_SIZE])
{
    uint64_t n = test_random_below(random, 7);
    return (size_t)g_snprintf(id, JOIN_ID_SIZE, "%c%.*s%" PRIu64, kind, (int)(n % 3), "xxxx", n);
}

void join_trial_event(struct join_trial *trial, struct join_event *event, int64_t about_us,
                      int64_t scale_us, bool has_log_time)
{
    struct test_random *random = &trial->random;
    event->time_us = about_us - (int64_t)test_random_below(random, 9) * scale_us;
    event->log_time_us = has_log_time ? about_us : ESP_TIME_NONE;
    if (test_random_below(random, 25) == 0) /* a wrong clock */
        event->time_us += ((int64_t)test_random_below(random, 400) - 100) * scale_us;
    if (test_random_below(random, 40) == 0)
        event->reject = ESP_REJECT_MALFORMED;
    bool by_click = event->kind == ESP_INSTALL && trial->config.installs_by_click;
    event->id_size = random_id(random, by_click ? 'c' : 'i', event->id);
    if (event->kind == ESP_CLICK && test_random_below(random, 5) > 0)
        event->click_id_size = random_id(random, 'c', event->click_id);
    event->id_at = test_random_below(random, 2) == 0 ? 2 : SIZE_MAX;
    event->payload_size = (size_t)g_snprintf(
        event->payload, JOIN_PAYLOAD_SIZE, "%" PRIu64 ":%s%" PRIu64, test_random_below(random, 3),
        event->id_at == 2 ? event->id : "", test_random_below(random, 3));
}

void join_trial_random(struct join_trial *trial, uint64_t seed, size_t max_events)
{
    trial->random = (struct test_random){seed};
    struct test_random *random = &trial->random;
    const int64_t scales[] = {1, 1000, 300000, 1000000, 7000000};
    int64_t scale_us = scales[test_random_below(random, 5)];
    join_trial_config(trial, scale_us);
    trial->n_partitions = 0;
    memset(trial->events, 0, sizeof trial->events);
    size_t n_all = 0;
    bool has_log_time = test_random_below(random, 2) == 0;
    uint64_t pace = 1 + test_random_below(random, 8);
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (uint32_t i = 0; i < trial->config.n_partitions[kind]; i++) {
            size_t n = test_random_below(random, max_events / 9 + 1);
            struct join_event *events = trial->events + n_all;
            int64_t about_us = -20 * scale_us;
            for (size_t k = 0; k < n; k++) {
                events[k].kind = (enum esp_event_kind)kind;
                events[k].partition = i;
                about_us += (int64_t)test_random_below(random, pace) * scale_us;
                join_trial_event(trial, &events[k], about_us, scale_us, has_log_time);
            }
            if (n > 0)
                trial->partitions[trial->n_partitions++] =
                    (struct join_partition_events){events, n};
            n_all += n;
        }
}

void join_trial_spread(struct join_trial *trial, const struct join_event *events, size_t n_events,
                       uint32_t n)
{
    size_t n_all = 0;
    trial->n_partitions = 0;
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        trial->config.n_partitions[kind] = trial->n_at_start[kind] = n;
        for (uint32_t p = 0; p < n; p++) {
            size_t begin = n_all;
            for (size_t i = 0; i < n_events; i++)
                if ((size_t)events[i].kind == kind &&
                    (esp_hash(esp_bytes_of(events[i].id)) % n) == p) {
                    trial->events[n_all] = events[i];
                    trial->events[n_all++].partition = p;
                }
            if (n_all > begin)
                trial->partitions[trial->n_partitions++] =
                    (struct join_partition_events){trial->events + begin, n_all - begin};
        }
    }
}
