/* joiner_twin_test.c - the joiner against the definition done literally, on random streams. */
#include <inttypes.h>

#include "core/hash.h"
#include "join_twin.h"

enum { MAX_PARTITIONS = 24, MAX_EVENTS = 400 };

/* A random stream and how it is pushed. */
struct trial {
    struct esp_joiner_config config;
    size_t n_at_start[ESP_N_EVENT_KINDS]; /* partitions; the others are added as they are needed */
    size_t n_partitions;                  /* of all topics, each with at least one event */
    struct join_partition_events partitions[MAX_PARTITIONS];
    struct join_event events[MAX_EVENTS];
    struct test_random random;
};

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

static void random_config(struct trial *trial, int64_t scale_us)
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

static void random_event(struct trial *trial, struct join_event *event, int64_t about_us,
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

static void random_trial(struct trial *trial, uint64_t seed, size_t max_events)
{
    trial->random = (struct test_random){seed};
    struct test_random *random = &trial->random;
    const int64_t scales[] = {1, 1000, 300000, 1000000, 7000000};
    int64_t scale_us = scales[test_random_below(random, 5)];
    random_config(trial, scale_us);
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
                random_event(trial, &events[k], about_us, scale_us, has_log_time);
            }
            if (n > 0)
                trial->partitions[trial->n_partitions++] =
                    (struct join_partition_events){events, n};
            n_all += n;
        }
}

/* Adds partitions until there are n of a kind. */
static void add_until(struct esp_joiner *joiner, enum esp_event_kind kind, size_t n, size_t *n_now)
{
    if (n <= *n_now)
        return;
    g_assert_cmpint(esp_joiner_add_partitions(joiner, kind, n - *n_now, NULL), ==, ESP_OK);
    esp_joiner_check(joiner);
    *n_now = n;
}

/* Feeds the joiner in a random interleaving with random batches and drains. */
static void run_interleaved(struct trial *trial, struct join_result *result)
{
    struct test_random *random = &trial->random;
    struct esp_joiner *joiner = NULL;
    struct esp_joiner_config config = trial->config;
    size_t n_now[ESP_N_EVENT_KINDS];
    memcpy(n_now, trial->n_at_start, sizeof n_now);
    memcpy(config.n_partitions, n_now, sizeof n_now);
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    size_t at[MAX_PARTITIONS] = {0}, n_left = trial->n_partitions;
    while (n_left > 0) {
        size_t p = test_random_below(random, trial->n_partitions);
        const struct join_event *first = trial->partitions[p].events;
        add_until(joiner, first->kind, first->partition + 1, &n_now[first->kind]);
        size_t n = 1 + test_random_below(random, 6);
        n = MIN(n, trial->partitions[p].n - at[p]);
        join_push(joiner, trial->partitions[p].events + at[p], n, (int64_t)at[p], result);
        esp_joiner_check(joiner);
        at[p] += n;
        n_left -= n > 0 && at[p] == trial->partitions[p].n;
        for (uint64_t calls = test_random_below(random, 3); calls > 0; calls--) {
            join_take(joiner, test_random_below(random, 5), result);
            esp_joiner_check(joiner);
        }
    }
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        add_until(joiner, (enum esp_event_kind)kind, trial->config.n_partitions[kind],
                  &n_now[kind]);
    join_finish(joiner, &trial->config, result);
    esp_joiner_free(joiner);
}

static void hold_against_twin(struct trial *trial, uint64_t seed)
{
    struct join_result got, want;
    join_result_init(&got);
    join_result_init(&want);
    join_twin(&trial->config, trial->partitions, trial->n_partitions, &want);
    run_interleaved(trial, &got);
    if (!join_results_equal(&got, &want))
        g_test_message("seed %" PRIu64, seed);
    join_result_clear(&got);
    join_result_clear(&want);
}

static void test_random_streams(gconstpointer data)
{
    size_t max_events = GPOINTER_TO_SIZE(data);
    struct trial *trial = g_new0(struct trial, 1);
    uint64_t n_trials = max_events > 100 ? 1500 : 6000;
    for (uint64_t seed = 1; seed <= n_trials && !g_test_failed(); seed++) {
        random_trial(trial, seed * 1000 + max_events, max_events);
        hold_against_twin(trial, seed);
    }
    g_free(trial);
}

/* Partitions that are added while the join runs: unless W had come further, it is as if they had
 * been there from the start; what W has passed is counted. */
static void test_added_partitions(void)
{
    struct trial *trial = g_new0(struct trial, 1);
    size_t n_equal = 0, n_behind = 0;
    for (uint64_t seed = 1; seed <= 3000 && !g_test_failed(); seed++) {
        random_trial(trial, seed * 7919, 120);
        for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
            trial->n_at_start[kind] = MIN(trial->config.n_partitions[kind], 1);
        struct join_result got, want;
        join_result_init(&got);
        join_result_init(&want);
        join_twin(&trial->config, trial->partitions, trial->n_partitions, &want);
        run_interleaved(trial, &got);
        uint64_t behind = 0;
        for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
            behind += got.counters[kind].behind_idle;
        n_behind += behind > 0;
        n_equal += behind == 0;
        if (behind == 0 && !join_results_equal(&got, &want))
            g_test_message("seed %" PRIu64, seed);
        join_result_clear(&got);
        join_result_clear(&want);
    }
    g_assert_cmpuint(n_equal, >, 500);
    g_assert_cmpuint(n_behind, >, 100);
    g_free(trial);
}

/* ---- every interleaving of small cases ---- */

struct walk {
    struct trial *trial;
    struct join_result *want;
    size_t order[16]; /* which partition is read at each step */
    size_t n_steps, n_tried;
};

static void run_order(struct walk *walk)
{
    struct trial *trial = walk->trial;
    struct esp_joiner *joiner = NULL;
    struct join_result got;
    join_result_init(&got);
    g_assert_cmpint(esp_joiner_new(&trial->config, &joiner, NULL), ==, ESP_OK);
    size_t at[MAX_PARTITIONS] = {0};
    for (size_t i = 0; i < walk->n_steps; i++) {
        size_t p = walk->order[i];
        join_push(joiner, trial->partitions[p].events + at[p], 1, (int64_t)at[p], &got);
        at[p]++;
        join_take(joiner, walk->n_tried % 3, &got);
        esp_joiner_check(joiner);
    }
    join_finish(joiner, &trial->config, &got);
    join_results_equal(&got, walk->want);
    esp_joiner_free(joiner);
    join_result_clear(&got);
    walk->n_tried++;
}

static void every_order(struct walk *walk, size_t left[MAX_PARTITIONS], size_t step)
{
    if (g_test_failed())
        return;
    if (step == walk->n_steps) {
        run_order(walk);
        return;
    }
    for (size_t p = 0; p < walk->trial->n_partitions; p++) {
        if (left[p] == 0)
            continue;
        left[p]--;
        walk->order[step] = p;
        every_order(walk, left, step + 1);
        left[p]++;
    }
}

static void test_every_interleaving(void)
{
    struct trial *trial = g_new0(struct trial, 1);
    for (uint64_t seed = 1; seed <= 120 && !g_test_failed(); seed++) {
        random_trial(trial, seed, 60);
        trial->n_partitions = MIN(trial->n_partitions, 3);
        struct walk walk = {.trial = trial};
        size_t left[MAX_PARTITIONS] = {0};
        for (size_t p = 0; p < trial->n_partitions; p++) {
            left[p] = trial->partitions[p].n = MIN(trial->partitions[p].n, 3);
            walk.n_steps += left[p];
        }
        struct join_result want;
        join_result_init(&want);
        join_twin(&trial->config, trial->partitions, trial->n_partitions, &want);
        walk.want = &want;
        every_order(&walk, left, 0);
        join_result_clear(&want);
    }
    g_free(trial);
}

/* ---- other partition counts ---- */

static gint by_log_time(gconstpointer left, gconstpointer right)
{
    const struct join_event *a = left, *b = right;
    return (a->log_time_us > b->log_time_us) - (a->log_time_us < b->log_time_us);
}

/* Spreads one stream, whose disorder is within the grace, over n partitions a topic. */
static void spread(struct trial *trial, struct join_event *events, size_t n_events, uint32_t n)
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

static void test_partition_counts(gconstpointer data)
{
    bool has_log_time = GPOINTER_TO_INT(data);
    enum { N = 250 };
    struct trial *trial = g_new0(struct trial, 1);
    struct join_event *events = g_new0(struct join_event, N);
    for (uint64_t seed = 1; seed <= 100 && !g_test_failed(); seed++) {
        trial->random = (struct test_random){seed};
        random_config(trial, 1000000);
        trial->config.ahead_us = ESP_DAY;
        for (size_t i = 0; i < N; i++) {
            events[i] = (struct join_event){
                .kind = (enum esp_event_kind)test_random_below(&trial->random, 3)};
            int64_t about_us = (int64_t)i * 300000;
            random_event(trial, &events[i], about_us, 1000000, true);
            events[i].time_us = about_us - (int64_t)test_random_below(&trial->random, 5000000);
            events[i].reject = ESP_REJECT_NONE;
            trial->config.grace_us[events[i].kind] = 5000000;
        }
        qsort(events, N, sizeof *events, by_log_time);
        for (size_t i = 0; !has_log_time && i < N; i++)
            events[i].log_time_us = ESP_TIME_NONE;
        struct join_result one, other;
        join_result_init(&one);
        spread(trial, events, N, 1);
        run_interleaved(trial, &one);
        for (uint32_t n = 3; n <= 8; n += 5) {
            join_result_init(&other);
            spread(trial, events, N, n);
            run_interleaved(trial, &other);
            join_results_equal(&other, &one);
            join_result_clear(&other);
        }
        join_result_clear(&one);
    }
    g_free(events);
    g_free(trial);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_data_func("/joiner/twin/\"short random streams give the definition's labels\"",
                         GSIZE_TO_POINTER(60), test_random_streams);
    g_test_add_data_func("/joiner/twin/\"long random streams give the definition's labels\"",
                         GSIZE_TO_POINTER(MAX_EVENTS), test_random_streams);
    g_test_add_func(
        "/joiner/twin/\"a partition added later is as if it had always been, unless W passed it\"",
        test_added_partitions);
    g_test_add_func("/joiner/twin/\"every interleaving of small cases gives the same labels\"",
                    test_every_interleaving);
    g_test_add_data_func(
        "/joiner/twin/\"the number of partitions does not matter, with timestamps\"",
        GINT_TO_POINTER(1), test_partition_counts);
    g_test_add_data_func("/joiner/twin/\"the number of partitions does not matter, without any\"",
                         GINT_TO_POINTER(0), test_partition_counts);
    return g_test_run();
}
