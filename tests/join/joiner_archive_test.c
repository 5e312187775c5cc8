/*
 * joiner_archive_test.c - a joiner that is read from an archive goes on as the one that was
 * written, and no archive that is cut or damaged does harm.
 */
#include <inttypes.h>

#include "core/hash.h"
#include "join_trial_helper.h"

enum { MAX_PARTITIONS = JOIN_MAX_PARTITIONS, MAX_EVENTS = JOIN_MAX_EVENTS, ARCHIVE_CAP = 1 << 24 };

static void write_joiner(struct esp_joiner *joiner, struct esp_buf *out)
{
    struct esp_archive archive;
    struct esp_error err = {0};
    esp_buf_init(out, ARCHIVE_CAP);
    esp_archive_write_to(&archive, join_archive_sink, out);
    esp_joiner_archive(&archive, joiner);
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
}

/* *out is there in any case, to be freed. */
static enum esp_status read_joiner(const struct esp_joiner_config *config, struct esp_bytes bytes,
                                   struct esp_joiner **out, struct esp_error *err)
{
    struct esp_archive archive;
    g_assert_cmpint(esp_joiner_new(config, out, NULL), ==, ESP_OK);
    esp_archive_read_from(&archive, bytes);
    esp_joiner_archive(&archive, *out);
    return esp_archive_end(&archive, err);
}

/* Puts another joiner in its place, read from its archive, as if the process had been killed. */
static void kill_joiner(struct esp_joiner **joiner, const struct esp_joiner_config *config)
{
    struct esp_buf first, second;
    struct esp_joiner *again = NULL;
    struct esp_error err = {0};
    write_joiner(*joiner, &first);
    g_assert_cmpint(read_joiner(config, esp_buf_bytes(&first), &again, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    esp_joiner_check(again);
    write_joiner(again, &second);
    size_t same = 0;
    while (same < MIN(first.size, second.size) && first.data[same] == second.data[same])
        same++;
    if (same < MAX(first.size, second.size))
        g_test_fail_printf("written again, byte %zu of %zu, %zu differs", same, first.size,
                           second.size);
    esp_joiner_free(*joiner);
    *joiner = again;
    esp_buf_release(&first);
    esp_buf_release(&second);
}

/* The same, read with more partitions. */
static void grow_joiner(struct esp_joiner **joiner, const struct esp_joiner_config *config)
{
    struct esp_buf bytes;
    struct esp_joiner *again = NULL;
    write_joiner(*joiner, &bytes);
    g_assert_cmpint(read_joiner(config, esp_buf_bytes(&bytes), &again, NULL), ==, ESP_OK);
    esp_joiner_check(again);
    esp_joiner_free(*joiner);
    *joiner = again;
    esp_buf_release(&bytes);
}

/* ---- killed at random points ----------------------------------------------------------------- */

/* One run of a trial. */
struct driven {
    struct esp_joiner_config config; /* with the partitions of now */
    struct esp_joiner *joiner;
    struct join_result result;
};

static void driven_init(struct driven *driven, const struct join_trial *trial)
{
    driven->config = trial->config;
    memcpy(driven->config.n_partitions, trial->n_at_start, sizeof trial->n_at_start);
    join_result_init(&driven->result);
    g_assert_cmpint(esp_joiner_new(&driven->config, &driven->joiner, NULL), ==, ESP_OK);
}

static void driven_release(struct driven *driven)
{
    esp_joiner_free(driven->joiner);
    join_result_clear(&driven->result);
}

static void add_until(struct driven *driven, enum esp_event_kind kind, size_t n)
{
    size_t *now = &driven->config.n_partitions[kind];
    if (n <= *now)
        return;
    g_assert_cmpint(esp_joiner_add_partitions(driven->joiner, kind, n - *now, NULL), ==, ESP_OK);
    *now = n;
}

static void check_turned_away(const GArray *got, const GArray *want)
{
    g_assert_cmpuint(got->len, ==, want->len);
    for (guint i = 0; i < MIN(got->len, want->len); i++) {
        const struct esp_turned_away *a = &g_array_index(got, struct esp_turned_away, i);
        const struct esp_turned_away *b = &g_array_index(want, struct esp_turned_away, i);
        g_assert_true(a->kind == b->kind && a->partition == b->partition &&
                      a->offset == b->offset && a->verdict == b->verdict &&
                      a->reject == b->reject && a->behind_idle == b->behind_idle &&
                      a->time_us == b->time_us && a->log_time_us == b->log_time_us &&
                      a->raw.size == b->raw.size);
    }
}

/* Everything that one moment shows of the two. */
static void check_same_now(const struct driven *got, const struct driven *want)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct esp_join_counters a, b;
        esp_joiner_counters(got->joiner, (enum esp_event_kind)kind, &a);
        esp_joiner_counters(want->joiner, (enum esp_event_kind)kind, &b);
        g_assert_cmpmem(&a, sizeof a, &b, sizeof b);
    }
    struct esp_joiner_usage a, b;
    esp_joiner_usage(got->joiner, &a);
    esp_joiner_usage(want->joiner, &b);
    g_assert_cmpuint(a.pending, ==, b.pending);
    g_assert_cmpuint(a.waiting, ==, b.waiting);
    g_assert_cmpuint(a.record_bytes, ==, b.record_bytes);
    g_assert_cmpint(esp_joiner_watermark(got->joiner), ==, esp_joiner_watermark(want->joiner));
    g_assert_cmpuint(got->result.labels->len, ==, want->result.labels->len);
    g_assert_cmpuint(got->result.turned_away->len, ==, want->result.turned_away->len);
}

/* The next batch of a partition into a joiner. */
static void drive_push(struct driven *driven, const struct join_partition_events *partition,
                       size_t at, size_t n)
{
    const struct join_event *first = partition->events;
    add_until(driven, first->kind, first->partition + 1);
    join_push(driven->joiner, partition->events + at, n, (int64_t)at, &driven->result);
}

static void drive_to_end(struct driven *driven, const struct join_trial *trial)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        add_until(driven, (enum esp_event_kind)kind, trial->config.n_partitions[kind]);
    join_finish(driven->joiner, &trial->config, &driven->result);
}

/* Runs two joiners through one interleaving, of which one is killed at each step with this odds. */
static void run_and_kill(struct join_trial *trial, uint64_t one_in)
{
    struct test_random *random = &trial->random;
    struct driven plain, killed;
    driven_init(&plain, trial);
    driven_init(&killed, trial);
    kill_joiner(&killed.joiner, &killed.config);
    size_t at[MAX_PARTITIONS] = {0}, n_left = trial->n_partitions;
    while (n_left > 0 && !g_test_failed()) {
        size_t p = test_random_below(random, trial->n_partitions);
        size_t n = 1 + test_random_below(random, 6);
        n = MIN(n, trial->partitions[p].n - at[p]);
        drive_push(&plain, &trial->partitions[p], at[p], n);
        drive_push(&killed, &trial->partitions[p], at[p], n);
        at[p] += n;
        n_left -= n > 0 && at[p] == trial->partitions[p].n;
        for (uint64_t calls = test_random_below(random, 3); calls > 0; calls--) {
            size_t capacity = test_random_below(random, 5);
            if (test_random_below(random, one_in) == 0)
                kill_joiner(&killed.joiner, &killed.config);
            join_take(plain.joiner, capacity, &plain.result);
            join_take(killed.joiner, capacity, &killed.result);
            check_same_now(&killed, &plain);
        }
    }
    drive_to_end(&plain, trial);
    drive_to_end(&killed, trial);
    join_results_equal(&killed.result, &plain.result);
    check_turned_away(killed.result.turned_away, plain.result.turned_away);
    /* The end can be saved, too. */
    kill_joiner(&killed.joiner, &killed.config);
    g_assert_true(esp_joiner_is_closed(killed.joiner));
    driven_release(&plain);
    driven_release(&killed);
}

static void test_killed(void)
{
    struct join_trial *trial = g_new0(struct join_trial, 1);
    for (uint64_t seed = 1; seed <= 600 && !g_test_failed(); seed++) {
        join_trial_random(trial, seed * 31, seed % 3 == 0 ? 60 : MAX_EVENTS);
        for (size_t kind = 0; seed % 4 == 0 && kind < ESP_N_EVENT_KINDS; kind++)
            trial->n_at_start[kind] = MIN(trial->config.n_partitions[kind], 1);
        run_and_kill(trial, 1 + seed % 5);
        if (g_test_failed())
            g_test_message("seed %" PRIu64, seed);
    }
    g_free(trial);
}

/* ---- partitions ------------------------------------------------------------------------------ */

/* Runs a trial in a random interleaving, killed at times, and gives its labels. */
static void run_killed(struct join_trial *trial, struct join_result *result)
{
    struct test_random *random = &trial->random;
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&trial->config, &joiner, NULL), ==, ESP_OK);
    size_t at[MAX_PARTITIONS] = {0}, n_left = trial->n_partitions;
    while (n_left > 0) {
        size_t p = test_random_below(random, trial->n_partitions);
        size_t n = 1 + test_random_below(random, 20);
        n = MIN(n, trial->partitions[p].n - at[p]);
        join_push(joiner, trial->partitions[p].events + at[p], n, (int64_t)at[p], result);
        at[p] += n;
        n_left -= n > 0 && at[p] == trial->partitions[p].n;
        if (test_random_below(random, 6) == 0)
            kill_joiner(&joiner, &trial->config);
        join_take(joiner, test_random_below(random, 9), result);
    }
    join_finish(joiner, &trial->config, result);
    esp_joiner_free(joiner);
}

/* 1, 3 and 8 partitions, interleaved at random and killed, against the definition. */
static void test_partition_counts(void)
{
    enum { N = 250 };
    struct join_trial *trial = g_new0(struct join_trial, 1);
    struct join_event *events = g_new0(struct join_event, N);
    for (uint64_t seed = 1; seed <= 60 && !g_test_failed(); seed++) {
        trial->random = (struct test_random){seed};
        join_trial_config(trial, 1000000);
        trial->config.ahead_us = ESP_DAY;
        for (size_t i = 0; i < N; i++) {
            events[i] = (struct join_event){
                .kind = (enum esp_event_kind)test_random_below(&trial->random, 3)};
            int64_t about_us = (int64_t)i * 300000;
            join_trial_event(trial, &events[i], about_us, 1000000, true);
            events[i].time_us = about_us - (int64_t)test_random_below(&trial->random, 5000000);
            events[i].log_time_us = seed % 2 == 0 ? about_us : ESP_TIME_NONE;
            events[i].reject = ESP_REJECT_NONE;
            trial->config.grace_us[events[i].kind] = 5000000;
        }
        struct join_result want;
        join_result_init(&want);
        join_trial_spread(trial, events, N, 1);
        join_twin(&trial->config, trial->partitions, trial->n_partitions, &want);
        const uint32_t counts[] = {1, 3, 8};
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            struct join_result got;
            join_result_init(&got);
            join_trial_spread(trial, events, N, counts[i]);
            run_killed(trial, &got);
            join_results_equal(&got, &want);
            join_result_clear(&got);
        }
        join_result_clear(&want);
    }
    g_free(events);
    g_free(trial);
}

/* A joiner read with more partitions than were saved is as if they had just been added. */
static void test_more_partitions(void)
{
    struct join_trial *trial = g_new0(struct join_trial, 1);
    for (uint64_t seed = 1; seed <= 200 && !g_test_failed(); seed++) {
        join_trial_random(trial, seed * 77, 120);
        for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
            trial->n_at_start[kind] = MIN(trial->config.n_partitions[kind], 1);
        struct driven plain, killed;
        driven_init(&plain, trial);
        driven_init(&killed, trial);
        for (size_t p = 0; p < trial->n_partitions; p++) {
            size_t half = trial->partitions[p].n / 2;
            if (trial->partitions[p].events->partition > 0)
                continue;
            drive_push(&plain, &trial->partitions[p], 0, half);
            drive_push(&killed, &trial->partitions[p], 0, half);
        }
        join_take(plain.joiner, 3, &plain.result);
        join_take(killed.joiner, 3, &killed.result);
        grow_joiner(&killed.joiner, &trial->config);
        memcpy(killed.config.n_partitions, trial->config.n_partitions,
               sizeof killed.config.n_partitions);
        for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
            add_until(&plain, (enum esp_event_kind)kind, trial->config.n_partitions[kind]);
        for (size_t p = 0; p < trial->n_partitions; p++) {
            size_t n = trial->partitions[p].n;
            size_t from = trial->partitions[p].events->partition > 0 ? 0 : n / 2;
            drive_push(&plain, &trial->partitions[p], from, n - from);
            drive_push(&killed, &trial->partitions[p], from, n - from);
            join_take(plain.joiner, 3, &plain.result);
            join_take(killed.joiner, 3, &killed.result);
            check_same_now(&killed, &plain);
        }
        drive_to_end(&plain, trial);
        drive_to_end(&killed, trial);
        join_results_equal(&killed.result, &plain.result);
        driven_release(&plain);
        driven_release(&killed);
    }
    g_free(trial);
}

static void check_refused(const struct esp_joiner_config *config, const struct esp_buf *bytes,
                          const char *text)
{
    struct esp_joiner *joiner = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(read_joiner(config, esp_buf_bytes(bytes), &joiner, &err), ==, ESP_EDATA);
    if (strstr(err.text, text) == NULL)
        g_test_fail_printf("\"%s\" does not say \"%s\"", err.text, text);
    esp_joiner_free(joiner);
}

static void test_other_configuration(void)
{
    const struct esp_joiner_config config = {.click_window_us = ESP_HOUR,
                                             .install_window_us = ESP_DAY,
                                             .n_partitions = {3, 2, 1},
                                             .segment_bytes = 4096};
    struct esp_joiner *joiner = NULL;
    struct esp_buf bytes;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    write_joiner(joiner, &bytes);
    esp_joiner_free(joiner);
    struct esp_joiner_config other = config;
    other.n_partitions[ESP_CLICK] = 1;
    check_refused(&other, &bytes,
                  "the topic of clicks has 1 partitions, and had 2 when the state was saved");
    other = config;
    other.n_partitions[ESP_INSTALL] = 0;
    check_refused(&other, &bytes, "whether there are installs is 0, and was 1");
    other = config;
    other.click_window_us = ESP_DAY;
    check_refused(&other, &bytes, "join.click_window");
    other = config;
    other.grace_us[ESP_INSTALL] = ESP_HOUR;
    check_refused(&other, &bytes, "installs.grace");
    other = config;
    other.segment_bytes = 8192;
    check_refused(&other, &bytes, "the size of a segment");
    esp_buf_release(&bytes);
}

/* ---- held at the end, then more -------------------------------------------------------------- */

static bool any_behind(const struct driven *driven)
{
    bool any = false;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct esp_join_counters counters;
        esp_joiner_counters(driven->joiner, (enum esp_event_kind)kind, &counters);
        any = any || counters.behind_idle > 0;
    }
    return any;
}

/* A bounded run that ends with `hold`, and a later one with more records, is one run over all. */
static void test_hold_then_more(void)
{
    struct join_trial *trial = g_new0(struct join_trial, 1);
    size_t n_equal = 0;
    for (uint64_t seed = 1; seed <= 1500 && !g_test_failed(); seed++) {
        join_trial_random(trial, seed * 13, 200);
        struct driven plain, held;
        driven_init(&plain, trial);
        driven_init(&held, trial);
        size_t at[MAX_PARTITIONS] = {0};
        for (size_t p = 0; p < trial->n_partitions; p++) {
            at[p] = test_random_below(&trial->random, trial->partitions[p].n + 1);
            drive_push(&plain, &trial->partitions[p], 0, at[p]);
            drive_push(&held, &trial->partitions[p], 0, at[p]);
            join_take(plain.joiner, 2, &plain.result);
            join_take(held.joiner, 2, &held.result);
        }
        for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
            for (uint32_t p = 0; p < held.config.n_partitions[kind]; p++)
                g_assert_cmpint(
                    esp_joiner_end(held.joiner, (enum esp_event_kind)kind, p, false, NULL), ==,
                    ESP_OK);
        while (join_take(held.joiner, 3, &held.result) == 3)
            continue;
        kill_joiner(&held.joiner, &held.config);
        for (size_t p = 0; p < trial->n_partitions; p++) {
            drive_push(&plain, &trial->partitions[p], at[p], trial->partitions[p].n - at[p]);
            drive_push(&held, &trial->partitions[p], at[p], trial->partitions[p].n - at[p]);
        }
        drive_to_end(&plain, trial);
        drive_to_end(&held, trial);
        /* A partition whose first accepted record came in the later run may be behind W. */
        if (!any_behind(&held)) {
            n_equal++;
            join_results_equal(&held.result, &plain.result);
        }
        driven_release(&plain);
        driven_release(&held);
    }
    g_assert_cmpuint(n_equal, >, 700);
    g_free(trial);
}

/* ---- damaged --------------------------------------------------------------------------------- */

/* Takes labels and looks at all that they say. */
static uint64_t take_any(struct esp_joiner *joiner, size_t n_calls)
{
    struct esp_label labels[8];
    uint64_t sum = 0;
    for (size_t n = 8; n == 8 && n_calls > 0; n_calls--) {
        if (esp_joiner_advance(joiner, labels, 8, &n, NULL) != ESP_OK)
            return sum;
        for (size_t i = 0; i < n; i++)
            sum += esp_hash(labels[i].id) + esp_hash(labels[i].payload) + labels[i].ticket;
    }
    return sum;
}

/* Goes on with a joiner of which only its invariants are known. */
static void go_on_with(struct esp_joiner *joiner, const struct join_trial *trial)
{
    for (size_t p = 0; p < trial->n_partitions; p++) {
        const struct join_partition_events *partition = &trial->partitions[p];
        for (size_t i = 0; i < partition->n; i++) {
            struct esp_header header = join_event_header(&partition->events[i], (int64_t)i);
            if (esp_joiner_push(joiner, partition->events->kind, partition->events->partition,
                                &header, 1, NULL) != ESP_OK)
                return;
        }
        take_any(joiner, 2);
        esp_joiner_check(joiner);
    }
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (uint32_t p = 0; p < trial->config.n_partitions[kind]; p++)
            (void)esp_joiner_end(joiner, (enum esp_event_kind)kind, p, true, NULL);
    if (esp_joiner_close(joiner, NULL) == ESP_OK)
        take_any(joiner, 1000);
    esp_joiner_check(joiner);
}

/* A joiner in the midst of a trial, written. */
static void write_midst(struct join_trial *trial, struct esp_buf *bytes)
{
    struct driven driven;
    driven_init(&driven, trial);
    for (size_t p = 0; p < trial->n_partitions; p++) {
        size_t n = trial->partitions[p].n;
        drive_push(&driven, &trial->partitions[p], 0, n - n / 4);
        join_take(driven.joiner, 1, &driven.result);
    }
    write_joiner(driven.joiner, bytes);
    driven_release(&driven);
}

static void test_cut(void)
{
    struct join_trial *trial = g_new0(struct join_trial, 1);
    for (uint64_t seed = 1; seed <= 8 && !g_test_failed(); seed++) {
        struct esp_buf bytes;
        join_trial_random(trial, seed * 101, 100);
        write_midst(trial, &bytes);
        for (size_t n = 0; n < bytes.size; n++) {
            struct esp_joiner *joiner = NULL;
            g_assert_cmpint(read_joiner(&trial->config, esp_bytes(bytes.data, n), &joiner, NULL),
                            ==, ESP_EDATA);
            esp_joiner_free(joiner);
        }
        esp_buf_release(&bytes);
    }
    g_free(trial);
}

static void test_damaged(void)
{
    struct join_trial *trial = g_new0(struct join_trial, 1);
    size_t n_accepted = 0, n_refused = 0;
    for (uint64_t seed = 1; seed <= 30 && !g_test_failed(); seed++) {
        struct esp_buf bytes;
        join_trial_random(trial, seed * 57, 100);
        write_midst(trial, &bytes);
        for (int i = 0; i < 1000; i++) {
            size_t at = (size_t)test_random_below(&trial->random, bytes.size);
            uint8_t before = bytes.data[at];
            bytes.data[at] ^= (uint8_t)(1 + test_random_below(&trial->random, 255));
            struct esp_joiner *joiner = NULL;
            if (read_joiner(&trial->config, esp_buf_bytes(&bytes), &joiner, NULL) == ESP_OK) {
                n_accepted++;
                go_on_with(joiner, trial);
            } else {
                n_refused++;
            }
            esp_joiner_free(joiner);
            bytes.data[at] = before;
        }
        esp_buf_release(&bytes);
    }
    g_assert_cmpuint(n_accepted, >, 1000); /* payloads, unused slots, offsets */
    g_assert_cmpuint(n_refused, >, 1000);
    g_free(trial);
}

/* ---- what goes with it ----------------------------------------------------------------------- */

static void test_writers(void)
{
    const struct esp_joiner_config config = {.click_window_us = ESP_HOUR,
                                             .n_partitions = {1, 1, 1},
                                             .future_us = ESP_HOUR,
                                             .segment_bytes = 4096};
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    kill_joiner(&joiner, &config);
    g_assert_cmpuint(esp_joiner_n_writers(joiner), ==, 0);
    struct esp_header header = {.time_us = 5, .log_time_us = 5, .id = esp_bytes_of("a")};
    header.id_hash = esp_hash(header.id);
    header.payload = header.raw = esp_bytes_of("abc");
    header.writer = 6;
    g_assert_cmpint(esp_joiner_push(joiner, ESP_IMPRESSION, 0, &header, 1, NULL), ==, ESP_OK);
    kill_joiner(&joiner, &config);
    g_assert_cmpuint(esp_joiner_n_writers(joiner), ==, 7);
    /* One that is held counts as well. */
    header.log_time_us = ESP_TIME_NONE;
    header.time_us = ESP_DAY;
    header.writer = 9;
    g_assert_cmpint(esp_joiner_push(joiner, ESP_IMPRESSION, 0, &header, 1, NULL), ==, ESP_OK);
    kill_joiner(&joiner, &config);
    g_assert_cmpuint(esp_joiner_n_writers(joiner), ==, 10);
    esp_joiner_free(joiner);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/joiner/archive/\"killed at any point it goes on as if it had not been\"",
                    test_killed);
    g_test_add_func("/joiner/archive/\"the number of partitions does not matter, killed or not\"",
                    test_partition_counts);
    g_test_add_func("/joiner/archive/\"partitions that a topic has gained are as if just added\"",
                    test_more_partitions);
    g_test_add_func("/joiner/archive/\"another configuration is refused, and said\"",
                    test_other_configuration);
    g_test_add_func("/joiner/archive/\"what was held at the end goes on with more input\"",
                    test_hold_then_more);
    g_test_add_func("/joiner/archive/\"an archive that is cut anywhere is refused\"", test_cut);
    g_test_add_func("/joiner/archive/\"a damaged archive is refused or keeps the invariants\"",
                    test_damaged);
    g_test_add_func("/joiner/archive/\"the writers that are needed are counted\"", test_writers);
    return g_test_run();
}
