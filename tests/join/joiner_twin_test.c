/* joiner_twin_test.c - the joiner against the definition done literally, on random streams. */
#include <inttypes.h>

#include "core/hash.h"
#include "join_trial_helper.h"

enum { MAX_PARTITIONS = JOIN_MAX_PARTITIONS, MAX_EVENTS = JOIN_MAX_EVENTS };

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
static void run_interleaved(struct join_trial *trial, struct join_result *result)
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

static void hold_against_twin(struct join_trial *trial, uint64_t seed)
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
    struct join_trial *trial = g_new0(struct join_trial, 1);
    uint64_t n_trials = max_events > 100 ? 1500 : 6000;
    for (uint64_t seed = 1; seed <= n_trials && !g_test_failed(); seed++) {
        join_trial_random(trial, seed * 1000 + max_events, max_events);
        hold_against_twin(trial, seed);
    }
    g_free(trial);
}

/* Partitions that are added while the join runs: unless W had come further, it is as if they had
 * been there from the start; what W has passed is counted. */
static void test_added_partitions(void)
{
    struct join_trial *trial = g_new0(struct join_trial, 1);
    size_t n_equal = 0, n_behind = 0;
    for (uint64_t seed = 1; seed <= 3000 && !g_test_failed(); seed++) {
        join_trial_random(trial, seed * 7919, 120);
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
    struct join_trial *trial;
    struct join_result *want;
    size_t order[16]; /* which partition is read at each step */
    size_t n_steps, n_tried;
};

static void run_order(struct walk *walk)
{
    struct join_trial *trial = walk->trial;
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
    struct join_trial *trial = g_new0(struct join_trial, 1);
    for (uint64_t seed = 1; seed <= 120 && !g_test_failed(); seed++) {
        join_trial_random(trial, seed, 60);
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

static void test_partition_counts(gconstpointer data)
{
    bool has_log_time = GPOINTER_TO_INT(data);
    enum { N = 250 };
    struct join_trial *trial = g_new0(struct join_trial, 1);
    struct join_event *events = g_new0(struct join_event, N);
    for (uint64_t seed = 1; seed <= 100 && !g_test_failed(); seed++) {
        trial->random = (struct test_random){seed};
        join_trial_config(trial, 1000000);
        trial->config.ahead_us = ESP_DAY;
        for (size_t i = 0; i < N; i++) {
            events[i] = (struct join_event){
                .kind = (enum esp_event_kind)test_random_below(&trial->random, 3)};
            int64_t about_us = (int64_t)i * 300000;
            join_trial_event(trial, &events[i], about_us, 1000000, true);
            events[i].time_us = about_us - (int64_t)test_random_below(&trial->random, 5000000);
            events[i].reject = ESP_REJECT_NONE;
            trial->config.grace_us[events[i].kind] = 5000000;
        }
        for (size_t i = 0; !has_log_time && i < N; i++)
            events[i].log_time_us = ESP_TIME_NONE;
        struct join_result one, other;
        join_result_init(&one);
        join_trial_spread(trial, events, N, 1);
        run_interleaved(trial, &one);
        for (uint32_t n = 3; n <= 8; n += 5) {
            join_result_init(&other);
            join_trial_spread(trial, events, N, n);
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
