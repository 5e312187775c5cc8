/*
 * joiner_paging_test.c - a joiner whose store is paged gives what it gives without, with
 * checkpoints and kills in between, and whatever the store does.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/hash.h"
#include "join_helper.h"
#include "store_helper.h"

enum {
    N_EVENTS = 6000,
    N_PARTITIONS = 5, /* 2 of impressions, 2 of clicks, 1 of installs */
    SEGMENT = 4096,
    PACE_US = 10000,
    MAX_SAVED = 1 << 24,
};

/* A stream, by partition, and how it is pushed: the same for every joiner. */
struct stream {
    struct esp_joiner_config config;
    struct join_event *events[N_PARTITIONS];
    size_t n[N_PARTITIONS];
};

static bool wants_some(void *context, const struct esp_label *label)
{
    (void)context;
    return label->id.data[label->id.size - 1] % 4 == 0;
}

static void add_event(struct stream *stream, size_t p, struct test_random *random, uint64_t about)
{
    struct join_event *event = &stream->events[p][stream->n[p]++];
    uint64_t back = test_random_below(random, p < 2 ? 60 : 2500);
    uint64_t named = about > back ? about - back : 0;
    event->kind = p < 2 ? ESP_IMPRESSION : p < 4 ? ESP_CLICK : ESP_INSTALL;
    event->partition = p % 2;
    event->time_us = event->log_time_us =
        (int64_t)(event->kind == ESP_IMPRESSION ? named : about) * PACE_US;
    event->id_at = 1;
    event->id_size = (size_t)g_snprintf(event->id, JOIN_ID_SIZE, "id-%" PRIu64, named);
    event->payload_size = (size_t)g_snprintf(event->payload, JOIN_PAYLOAD_SIZE, "<%s> %" PRIx64,
                                             event->id, test_random_u64(random));
}

static void stream_init(struct stream *stream, uint64_t seed)
{
    struct test_random random = {seed};
    *stream = (struct stream){.config = {.click_window_us = (int64_t)1500 * PACE_US,
                                         .install_window_us = (int64_t)2500 * PACE_US,
                                         .grace_us = {60 * PACE_US, 60 * PACE_US, 60 * PACE_US},
                                         .n_partitions = {2, 2, 1},
                                         .future_us = ESP_HOUR,
                                         .whole_wanted = seed % 2 == 0 ? wants_some : NULL,
                                         .segment_bytes = SEGMENT}};
    for (size_t p = 0; p < N_PARTITIONS; p++)
        stream->events[p] = g_new0(struct join_event, N_EVENTS);
    for (uint64_t i = 0; i < N_EVENTS; i++) {
        uint64_t what = test_random_below(&random, 20);
        size_t p = what < 12 ? 0 : what < 15 ? 1 : what < 17 ? 2 : what < 19 ? 3 : 4;
        add_event(stream, p, &random, i);
    }
    stream->events[4][0].partition = 0;
    for (size_t i = 0; i < stream->n[4]; i++)
        stream->events[4][i].partition = 0;
}

static void stream_clear(struct stream *stream)
{
    for (size_t p = 0; p < N_PARTITIONS; p++)
        g_free(stream->events[p]);
}

/* What has happened so far. */
struct feed {
    struct stream *stream;
    struct esp_joiner *joiner;
    struct test_random random;
    size_t at[N_PARTITIONS];
    struct join_result result;
};

static void feed_init(struct feed *feed, struct stream *stream)
{
    *feed = (struct feed){.stream = stream, .random = {7}};
    join_result_init(&feed->result);
    g_assert_cmpint(esp_joiner_new(&stream->config, &feed->joiner, NULL), ==, ESP_OK);
}

/* One step; false at the end. */
static bool feed_step(struct feed *feed)
{
    const struct stream *stream = feed->stream;
    size_t p = test_random_below(&feed->random, N_PARTITIONS), n_left = 0;
    size_t n = 1 + test_random_below(&feed->random, 60);
    n = MIN(n, stream->n[p] - feed->at[p]);
    if (n > 0)
        join_push(feed->joiner, stream->events[p] + feed->at[p], n, (int64_t)feed->at[p],
                  &feed->result);
    feed->at[p] += n;
    if (test_random_below(&feed->random, 2) == 0)
        join_take(feed->joiner, test_random_below(&feed->random, 90), &feed->result);
    for (size_t i = 0; i < N_PARTITIONS; i++)
        n_left += stream->n[i] - feed->at[i];
    return n_left > 0;
}

static void feed_finish(struct feed *feed)
{
    join_finish(feed->joiner, &feed->stream->config, &feed->result);
    esp_joiner_free(feed->joiner);
    feed->joiner = NULL;
}

static void run_plain(struct stream *stream, struct join_result *out)
{
    struct feed feed;
    stream->config.store = NULL;
    stream->config.max_store_bytes = 0;
    feed_init(&feed, stream);
    while (feed_step(&feed))
        ;
    feed_finish(&feed);
    *out = feed.result;
    g_assert_cmpuint(out->labels->len, >, 2000);
}

/* ---- paged, and failing ---- */

static void test_paged(gconstpointer data)
{
    uint64_t fail_every = GPOINTER_TO_SIZE(data);
    for (uint64_t seed = 1; seed <= 6 && !g_test_failed(); seed++) {
        struct stream stream;
        struct join_result want;
        struct feed feed;
        struct store_helper helper;
        struct esp_joiner_usage usage;
        uint64_t most_paged = 0;
        stream_init(&stream, seed);
        run_plain(&stream, &want);
        store_helper_init(&helper);
        helper.fail_at = fail_every == 0 ? 0 : seed;
        helper.fail_every = fail_every;
        stream.config.store = &helper.store;
        stream.config.max_store_bytes = seed % 3 == 0 ? 300000 : 1;
        feed_init(&feed, &stream);
        while (feed_step(&feed)) {
            esp_joiner_usage(feed.joiner, &usage);
            most_paged = MAX(most_paged, usage.paged_bytes);
            if (test_random_below(&feed.random, 8) == 0)
                esp_joiner_check(feed.joiner);
        }
        esp_joiner_usage(feed.joiner, &usage);
        g_assert_cmpuint(usage.paging_failures > 0, ==, helper.n_failed > 0);
        g_assert_cmpint(esp_joiner_paging_failure(feed.joiner)->status, ==,
                        helper.n_failed > 0 ? ESP_EIO : ESP_OK);
        g_assert_cmpuint(fail_every > 0, ==, helper.n_failed > 0);
        feed_finish(&feed);
        if (!join_results_equal(&feed.result, &want))
            g_test_message("seed %" PRIu64, seed);
        g_assert_cmpuint(most_paged, >, 20 * SEGMENT);
        g_assert_cmpuint(g_hash_table_size(helper.files), ==, 0); /* each went with its records */
        join_result_clear(&feed.result);
        join_result_clear(&want);
        store_helper_clear(&helper);
        stream_clear(&stream);
    }
}

/* A store that never works: the join goes on above its cap, and says by how much. */
static void test_no_store_works(void)
{
    struct stream stream;
    struct join_result want;
    struct feed feed;
    struct store_helper helper;
    struct esp_joiner_usage usage;
    stream_init(&stream, 3);
    run_plain(&stream, &want);
    store_helper_init(&helper);
    helper.fail_at = helper.fail_every = 1;
    stream.config.store = &helper.store;
    stream.config.max_store_bytes = 100000;
    feed_init(&feed, &stream);
    uint64_t most_over = 0;
    while (feed_step(&feed)) {
        esp_joiner_usage(feed.joiner, &usage);
        g_assert_cmpuint(usage.paged_bytes, ==, 0);
        most_over = MAX(most_over, usage.over_bytes);
    }
    g_assert_cmpuint(most_over, >, 100000);
    g_assert_cmpuint(usage.paging_failures, >, 50);
    /* One try a segment that was begun, no more. */
    g_assert_cmpuint(usage.paging_failures, <, want.labels->len * 120 / SEGMENT + 200);
    feed_finish(&feed);
    join_results_equal(&feed.result, &want);
    join_result_clear(&feed.result);
    join_result_clear(&want);
    store_helper_clear(&helper);
    stream_clear(&stream);
}

/* ---- checkpoints in between ---- */

struct saved {
    struct esp_buf state;
    struct esp_segment_list files;
    struct test_random random; /* of the feed, as all below */
    size_t at[N_PARTITIONS];
    size_t n_labels, n_turned_away;
};

static void write_buffer(struct esp_buf *out, struct esp_joiner *joiner, bool files)
{
    struct esp_archive archive;
    esp_buf_init(out, MAX_SAVED);
    esp_archive_write_to(&archive, join_archive_sink, out);
    if (files)
        esp_joiner_files_archive(&archive, joiner);
    else
        esp_joiner_archive(&archive, joiner);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
}

static void saved_clear(struct saved *saved)
{
    esp_buf_release(&saved->state);
    esp_segment_list_release(&saved->files);
}

static void save(struct feed *feed, const struct store_helper *helper, struct saved *out)
{
    struct esp_buf names;
    struct esp_archive archive;
    *out = (struct saved){.random = feed->random,
                          .n_labels = feed->result.labels->len,
                          .n_turned_away = feed->result.turned_away->len};
    memcpy(out->at, feed->at, sizeof out->at);
    esp_joiner_before_save(feed->joiner);
    g_assert_cmpint(esp_joiner_store_segments(feed->joiner, NULL), ==, ESP_OK);
    write_buffer(&out->state, feed->joiner, false);
    write_buffer(&names, feed->joiner, true);
    esp_archive_read_from(&archive, esp_buf_bytes(&names));
    esp_segment_list_archive(&archive, &out->files);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    esp_buf_release(&names);
    esp_segment_list_sort(&out->files);
    g_assert_true(store_helper_has(helper, &out->files, true));
    esp_joiner_saved(feed->joiner, &out->files);
}

/* The process dies, and another goes on from what was saved. */
static void kill_and_restore(struct feed *feed, struct store_helper *helper,
                             const struct saved *saved)
{
    struct esp_archive archive;
    struct esp_error err = {0};
    helper->is_killed = true;
    esp_joiner_free(feed->joiner);
    store_helper_restart(helper, &saved->files);
    g_assert_true(store_helper_has(helper, &saved->files, false));
    const size_t caps[] = {1, 200000, 400000, 0};
    feed->stream->config.max_store_bytes = caps[test_random_below(&feed->random, 4)];
    g_assert_cmpint(esp_joiner_new(&feed->stream->config, &feed->joiner, NULL), ==, ESP_OK);
    esp_archive_read_from(&archive, esp_buf_bytes(&saved->state));
    esp_joiner_archive(&archive, feed->joiner);
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    esp_joiner_check(feed->joiner);
    feed->random = saved->random;
    memcpy(feed->at, saved->at, sizeof feed->at);
    g_array_set_size(feed->result.labels, (guint)saved->n_labels);
    g_array_set_size(feed->result.turned_away, (guint)saved->n_turned_away);
}

static void test_killed(void)
{
    for (uint64_t seed = 1; seed <= 8 && !g_test_failed(); seed++) {
        struct stream stream;
        struct join_result want;
        struct feed feed;
        struct store_helper helper;
        struct saved saved = {.n_labels = 0};
        struct test_random random = {seed};
        size_t n_killed = 0, n_saved = 0;
        stream_init(&stream, seed);
        run_plain(&stream, &want);
        store_helper_init(&helper);
        stream.config.store = &helper.store;
        stream.config.max_store_bytes = 1;
        feed_init(&feed, &stream);
        while (feed_step(&feed)) {
            uint64_t what = test_random_below(&random, 40);
            if (what < 4) {
                saved_clear(&saved);
                save(&feed, &helper, &saved);
                n_saved++;
            } else if (what == 4 && n_saved > 0 && n_killed < 25) {
                kill_and_restore(&feed, &helper, &saved);
                n_killed++;
            }
        }
        feed_finish(&feed);
        if (!join_results_equal(&feed.result, &want))
            g_test_message("seed %" PRIu64, seed);
        g_assert_cmpuint(n_killed, >, 5);
        /* What the last checkpoint names is still there: it could be gone on from. */
        g_assert_true(store_helper_has(&helper, &saved.files, true));
        saved_clear(&saved);
        join_result_clear(&feed.result);
        join_result_clear(&want);
        store_helper_clear(&helper);
        stream_clear(&stream);
    }
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_data_func("/joiner/paging/\"the labels are those of a join in memory\"",
                         GSIZE_TO_POINTER(0), test_paged);
    g_test_add_data_func("/joiner/paging/\"also if every third call of the store fails\"",
                         GSIZE_TO_POINTER(3), test_paged);
    g_test_add_func("/joiner/paging/\"a store that never works costs memory, not labels\"",
                    test_no_store_works);
    g_test_add_func(
        "/joiner/paging/\"killed and gone on from checkpoints it gives the same labels\"",
        test_killed);
    return g_test_run();
}
