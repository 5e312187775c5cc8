/*
 * joiner_rewind_test.c - a new joiner that begins at another's points rules on every record as that
 * one did, and gives the labels that were due from the boundary on.
 *
 * Streams have late records, wrong clocks (held, or dead), duplicates and undecodable records. The
 * number in an id grows with time, so that ids which stand before the start can be left out of the
 * comparison: for them alone a rewind claims nothing.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/hash.h"
#include "join_trial_helper.h"

enum { MAX_PARTITIONS = 12, MAX_EVENTS = 1500, N_NUMBERS = 1024 };

struct stream {
    struct esp_joiner_config config;
    struct join_partition_events partitions[MAX_PARTITIONS];
    size_t n_partitions;
    struct join_event events[MAX_EVENTS];
    struct test_random random;
};

/* Where one run is to begin, and what of it is compared. */
struct start {
    int64_t boundary_us;
    struct esp_rewind points[MAX_PARTITIONS];
    size_t first[MAX_PARTITIONS]; /* the record at the point */
    bool is_before[N_NUMBERS];    /* numbers of ids that stand before the start */
};

/* ---- streams --------------------------------------------------------------------------------- */

static void number_ids(struct stream *stream, struct join_event *event, int64_t about_us)
{
    struct test_random *random = &stream->random;
    int64_t number = about_us / (2 * ESP_SECOND);
    bool by_click = event->kind == ESP_INSTALL && stream->config.installs_by_click;
    if (event->kind != ESP_IMPRESSION)
        number -= (int64_t)test_random_below(random, event->kind == ESP_CLICK ? 3 : 7);
    number = CLAMP(number, 0, N_NUMBERS - 1);
    event->id_size = (size_t)g_snprintf(event->id, JOIN_ID_SIZE, "%c%04d%c", by_click ? 'c' : 'i',
                                        (int)number, 'a' + (char)test_random_below(random, 2));
    if (event->kind == ESP_CLICK)
        event->click_id_size =
            (size_t)g_snprintf(event->click_id, JOIN_ID_SIZE, "c%04d%c", (int)number,
                               'a' + (char)test_random_below(random, 2));
    event->id_at = SIZE_MAX;
    event->payload_size = (size_t)g_snprintf(event->payload, JOIN_PAYLOAD_SIZE, "%d",
                                             (int)test_random_below(random, 1000));
}

static size_t number_of(const char *id)
{
    return strtoul(id + 1, NULL, 10);
}

static void random_stream(struct stream *stream, uint64_t seed)
{
    struct join_trial *trial = g_new0(struct join_trial, 1);
    *stream = (struct stream){.random = {seed}};
    trial->random = stream->random;
    join_trial_config(trial, ESP_SECOND);
    stream->config = trial->config;
    struct test_random *random = &stream->random;
    size_t n_all = 0;
    bool has_log_time = seed % 3 == 0;
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (uint32_t p = 0; p < stream->config.n_partitions[kind]; p++) {
            struct join_event *events = stream->events + n_all;
            size_t n = 100 + test_random_below(random, MAX_EVENTS / 9 - 100);
            int64_t about_us = 0;
            for (size_t i = 0; i < n; i++) {
                events[i] = (struct join_event){.kind = (enum esp_event_kind)kind, .partition = p};
                about_us += (int64_t)test_random_below(random, 5) * ESP_SECOND / 2;
                /* Late at times, its clock wrong at times. */
                join_trial_event(trial, &events[i], about_us, ESP_SECOND, has_log_time);
                events[i].click_id_size = 0;
                number_ids(stream, &events[i], about_us);
            }
            stream->partitions[stream->n_partitions++] = (struct join_partition_events){events, n};
            n_all += n;
        }
    g_free(trial);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Pushes one batch of a random partition. Returns how many records are left in all. */
static size_t push_batch(struct stream *stream, struct esp_joiner *joiner, size_t *at,
                         struct join_result *result)
{
    size_t p = test_random_below(&stream->random, stream->n_partitions);
    size_t n = 1 + test_random_below(&stream->random, 6), n_left = 0;
    n = MIN(n, stream->partitions[p].n - at[p]);
    join_push(joiner, stream->partitions[p].events + at[p], n, (int64_t)at[p], result);
    at[p] += n;
    join_take(joiner, test_random_below(&stream->random, 9), result);
    for (size_t i = 0; i < stream->n_partitions; i++)
        n_left += stream->partitions[i].n - at[i];
    return n_left;
}

/* Puts another joiner in its place, read from its archive: the points come along. */
static void kill_joiner(struct esp_joiner **joiner, const struct esp_joiner_config *config)
{
    struct esp_archive archive;
    struct esp_buf bytes;
    esp_buf_init(&bytes, 1 << 24);
    esp_archive_write_to(&archive, join_archive_sink, &bytes);
    esp_joiner_archive(&archive, *joiner);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    esp_joiner_free(*joiner);
    g_assert_cmpint(esp_joiner_new(config, joiner, NULL), ==, ESP_OK);
    esp_archive_read_from(&archive, esp_buf_bytes(&bytes));
    esp_joiner_archive(&archive, *joiner);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    esp_buf_release(&bytes);
}

/*
 * A boundary that points are kept for, and the points for it: any from the reach before the last
 * label on that had left before the last push. False: none had.
 */
static bool find_start(struct stream *stream, const struct esp_joiner *joiner, guint n_before,
                       const struct join_result *so_far, struct start *start)
{
    *start = (struct start){0};
    if (n_before == 0)
        return false;
    int64_t reach_us = esp_joiner_reach_us(joiner);
    uint64_t span_us = (uint64_t)(reach_us + 10 * ESP_SECOND);
    const struct join_label *last = &g_array_index(so_far->labels, struct join_label, n_before - 1);
    start->boundary_us =
        last->label.maturity_us - reach_us + (int64_t)test_random_below(&stream->random, span_us);
    for (size_t p = 0; p < stream->n_partitions; p++) {
        const struct join_event *first = stream->partitions[p].events;
        struct esp_rewind *point = &start->points[p];
        g_assert_true(esp_joiner_rewind_point(joiner, first->kind, first->partition,
                                              start->boundary_us - reach_us, point));
        start->first[p] = point->offset == ESP_OFFSET_EARLIEST ? 0 : (size_t)point->offset;
        for (size_t i = 0; i < start->first[p]; i++) {
            start->is_before[number_of(first[i].id)] = true;
            if (first[i].click_id_size > 0)
                start->is_before[number_of(first[i].click_id)] = true;
        }
    }
    return true;
}

static void run_undisturbed(struct stream *stream, struct start *start, struct join_result *result)
{
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&stream->config, &joiner, NULL), ==, ESP_OK);
    size_t at[MAX_PARTITIONS] = {0}, n_left = 1,
           asked_at = 50 + test_random_below(&stream->random, 700);
    bool has_start = false;
    while (n_left > 0) {
        guint n_before = result->labels->len;
        n_left = push_batch(stream, joiner, at, result);
        if (!has_start && n_left < asked_at) {
            if (test_random_below(&stream->random, 2) == 0)
                kill_joiner(&joiner, &stream->config);
            has_start = find_start(stream, joiner, n_before, result, start);
        }
    }
    if (!has_start) /* whatever has left by now is too little: from the very beginning */
        start->boundary_us = -ESP_DAY;
    for (size_t p = 0; !has_start && p < stream->n_partitions; p++)
        start->points[p] = (struct esp_rewind){ESP_OFFSET_EARLIEST, ESP_TIME_NONE};
    join_finish(joiner, &stream->config, result);
    esp_joiner_free(joiner);
}

static void run_rewound(struct stream *stream, const struct start *start,
                        struct join_result *result)
{
    struct esp_joiner *joiner = NULL;
    size_t at[MAX_PARTITIONS];
    g_assert_cmpint(esp_joiner_new(&stream->config, &joiner, NULL), ==, ESP_OK);
    for (size_t p = 0; p < stream->n_partitions; p++) {
        const struct join_event *first = stream->partitions[p].events;
        at[p] = start->first[p];
        g_assert_cmpint(
            esp_joiner_begin_at(joiner, first->kind, first->partition, &start->points[p], NULL), ==,
            ESP_OK);
    }
    esp_joiner_check(joiner);
    while (push_batch(stream, joiner, at, result) > 0)
        esp_joiner_check(joiner);
    join_finish(joiner, &stream->config, result);
    esp_joiner_free(joiner);
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* The lines of the labels that a rewind claims, in order, without their tickets. */
static GPtrArray *claimed_labels(const struct start *start, const struct join_result *result)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < result->labels->len; i++) {
        struct join_label label = g_array_index(result->labels, struct join_label, i);
        if (label.label.maturity_us < start->boundary_us || start->is_before[number_of(label.id)])
            continue;
        label.label.ticket = 0;
        g_ptr_array_add(lines, join_label_text(&label));
    }
    return lines;
}

static void check_labels(const struct start *start, const struct join_result *got,
                         const struct join_result *want, size_t *n_labels)
{
    GPtrArray *a = claimed_labels(start, got), *b = claimed_labels(start, want);
    for (guint i = 0; i < MAX(a->len, b->len) && !g_test_failed(); i++) {
        const char *left = i < a->len ? a->pdata[i] : "nothing";
        const char *right = i < b->len ? b->pdata[i] : "nothing";
        if (strcmp(left, right) != 0)
            g_test_fail_printf("label %u: got %s; want %s", i, left, right);
    }
    *n_labels += a->len;
    g_ptr_array_free(a, TRUE);
    g_ptr_array_free(b, TRUE);
}

/* Marks what became of the records of one partition: 0 if accepted. */
static void note_verdicts(const struct join_result *result, const struct join_event *first,
                          int *verdicts)
{
    for (guint i = 0; i < result->turned_away->len; i++) {
        const struct esp_turned_away *item =
            &g_array_index(result->turned_away, struct esp_turned_away, i);
        if (item->kind == first->kind && item->partition == first->partition)
            verdicts[item->offset] = 1 + item->verdict * ESP_N_REJECTS + item->reject;
    }
}

/* Record by record, the same; and nothing that is needed stands before the start. */
static void check_verdicts(const struct stream *stream, const struct start *start,
                           const struct join_result *got, const struct join_result *want,
                           int64_t before_us)
{
    for (size_t p = 0; p < stream->n_partitions; p++) {
        const struct join_partition_events *partition = &stream->partitions[p];
        int *a = g_new0(int, partition->n), *b = g_new0(int, partition->n);
        note_verdicts(got, partition->events, a);
        note_verdicts(want, partition->events, b);
        for (size_t i = 0; i < partition->n; i++) {
            if (i >= start->first[p])
                g_assert_cmpint(a[i], ==, b[i]);
            else
                g_assert_true(b[i] != 0 || partition->events[i].time_us < before_us);
        }
        g_free(a);
        g_free(b);
    }
}

static void check_tickets(const struct join_result *result)
{
    uint64_t next = 0;
    for (guint i = 0; i < result->labels->len; i++) {
        const struct esp_label *label = &g_array_index(result->labels, struct join_label, i).label;
        if (label->stage == ESP_STAGE_CLICK)
            g_assert_cmpuint(label->ticket, ==, next++);
        else
            g_assert_cmpuint(label->ticket, <, next);
    }
}

static void test_rewound(void)
{
    struct stream *stream = g_new0(struct stream, 1);
    struct start *start = g_new0(struct start, 1);
    size_t n_labels = 0, n_skipped = 0, n_late = 0, n_ahead = 0;
    for (uint64_t seed = 1; seed <= 400 && !g_test_failed(); seed++) {
        struct join_result want, got;
        join_result_init(&want);
        join_result_init(&got);
        random_stream(stream, seed * 4099);
        run_undisturbed(stream, start, &want);
        run_rewound(stream, start, &got);
        int64_t reach_us = stream->config.click_window_us + stream->config.install_window_us;
        check_labels(start, &got, &want, &n_labels);
        check_verdicts(stream, start, &got, &want, start->boundary_us - reach_us);
        check_tickets(&got);
        for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
            g_assert_cmpuint(got.counters[kind].behind_idle, ==, 0);
            n_late += got.counters[kind].late;
            n_ahead += got.counters[kind].dead_by_reason[ESP_REJECT_AHEAD];
        }
        for (size_t p = 0; p < stream->n_partitions; p++)
            n_skipped += start->first[p];
        if (g_test_failed())
            g_test_message("seed %" PRIu64, seed);
        join_result_clear(&want);
        join_result_clear(&got);
    }
    /* That it was put to the test: much was skipped, and all that may go wrong was there. */
    g_assert_cmpuint(n_labels, >, 10000);
    g_assert_cmpuint(n_skipped, >, 50000);
    g_assert_cmpuint(n_late, >, 1000);
    g_assert_cmpuint(n_ahead, >, 200);
    g_free(start);
    g_free(stream);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void push_at(struct esp_joiner *joiner, int64_t offset, int64_t time_us)
{
    struct esp_header header = {.time_us = time_us,
                                .log_time_us = ESP_TIME_NONE,
                                .offset = offset,
                                .id = esp_bytes_of("a"),
                                .payload = esp_bytes_of("a"),
                                .raw = esp_bytes_of("a")};
    header.id_hash = esp_hash(header.id);
    g_assert_cmpint(esp_joiner_push(joiner, ESP_IMPRESSION, 0, &header, 1, NULL), ==, ESP_OK);
}

static void check_point(const struct esp_joiner *joiner, int64_t before_us, int64_t offset,
                        int64_t largest_us)
{
    struct esp_rewind point = {0};
    g_assert_true(esp_joiner_rewind_point(joiner, ESP_IMPRESSION, 0, before_us, &point));
    g_assert_cmpint(point.offset, ==, offset);
    g_assert_cmpint(point.largest_us, ==, largest_us);
}

static void test_by_hand(void)
{
    const struct esp_joiner_config config = {.click_window_us = ESP_MINUTE,
                                             .ahead_us = ESP_HOUR,
                                             .n_partitions = {1, 1, 1},
                                             .segment_bytes = 4096};
    struct esp_joiner *joiner = NULL, *other = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_joiner_reach_us(joiner), ==, ESP_MINUTE);
    check_point(joiner, 0, ESP_OFFSET_EARLIEST, ESP_TIME_NONE);
    /* Held until three agree: the point is the first of them. */
    push_at(joiner, 10, 100 * ESP_SECOND);
    check_point(joiner, ESP_DAY, ESP_OFFSET_EARLIEST, ESP_TIME_NONE);
    push_at(joiner, 11, 101 * ESP_SECOND);
    push_at(joiner, 12, 102 * ESP_SECOND);
    check_point(joiner, ESP_DAY, 10, ESP_TIME_NONE);
    push_at(joiner, 13, 110 * ESP_SECOND);
    check_point(joiner, ESP_DAY, 13, 102 * ESP_SECOND);
    check_point(joiner, 102 * ESP_SECOND, 10, ESP_TIME_NONE);
    /* One a day ahead is held, and dies with the next: what comes after it cannot be begun with,
     * for whether it lives is not known without it. */
    push_at(joiner, 14, 110 * ESP_SECOND + ESP_DAY);
    push_at(joiner, 15, 120 * ESP_SECOND);
    check_point(joiner, ESP_DAY, 14, 110 * ESP_SECOND);
    push_at(joiner, 16, 130 * ESP_SECOND);
    check_point(joiner, ESP_DAY, 16, 120 * ESP_SECOND);

    struct esp_rewind point = {16, 120 * ESP_SECOND};
    g_assert_cmpint(esp_joiner_new(&config, &other, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_joiner_begin_at(other, ESP_IMPRESSION, 0, &point, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_joiner_partition_watermark(other, ESP_IMPRESSION, 0), ==, 120 * ESP_SECOND);
    check_point(other, ESP_DAY, 16, 120 * ESP_SECOND);
    g_assert_false(esp_joiner_rewind_point(other, ESP_IMPRESSION, 0, 120 * ESP_SECOND, &point));
    /* Only at its beginning. */
    g_assert_cmpint(esp_joiner_begin_at(joiner, ESP_IMPRESSION, 0, &point, NULL), ==, ESP_EINVAL);
    point.largest_us = INT64_MAX;
    g_assert_cmpint(esp_joiner_begin_at(other, ESP_CLICK, 0, &point, NULL), ==, ESP_EINVAL);
    esp_joiner_free(joiner);
    esp_joiner_free(other);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/joiner/rewind/\"points stand where nothing is held, worked by hand\"",
                    test_by_hand);
    g_test_add_func("/joiner/rewind/\"a rewound run gives the labels due from its boundary on\"",
                    test_rewound);
    return g_test_run();
}
