/*
 * crossings_test.c - learning finds, for every boundary that it crosses, what ingest noted when the
 * first label was due there; also when both begin again from a checkpoint.
 */
#include "cmd/run/crossings.h"

#include <string.h>

#include "cmd/config/config.h"
#include "core/timespan.h"
#include "testkit.h"

#define EVERY ESP_HOUR

static struct config config = {
    .options = {.snapshot_every_us = EVERY,
                .inputs = {{.topic = (char[]){"impressions"}}, {.topic = (char[]){"clicks"}}}}};

struct label {
    int64_t due_us;
    bool kept;
};

/* Gaps of minutes, and now and then of many hours; `share` of them examples. */
static struct label *draw_labels(uint64_t seed, size_t n, double share)
{
    struct test_random random = {.state = seed};
    struct label *labels = g_new0(struct label, n);
    int64_t due_us = (int64_t)test_random_below(&random, 100) * ESP_MINUTE - 50 * ESP_MINUTE;
    for (size_t i = 0; i < n; i++) {
        bool far = test_random_below(&random, 12) == 0;
        due_us += (int64_t)test_random_below(&random, far ? 400 : 30) * ESP_MINUTE;
        labels[i] = (struct label){due_us, test_random_unit(&random) < share};
    }
    return labels;
}

static enum esp_status take_bytes(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    (void)err;
    g_byte_array_append(context, bytes, (guint)n);
    return ESP_OK;
}

static GByteArray *write_state(struct crossings *crossings)
{
    struct esp_archive archive;
    GByteArray *bytes = g_byte_array_new();
    esp_archive_write_to(&archive, take_bytes, bytes);
    crossings_archive(&archive, crossings);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    return bytes;
}

static enum esp_status read_state(struct crossings *crossings, const guint8 *bytes, gsize n)
{
    struct esp_archive archive;
    crossings_init(crossings, &config);
    esp_archive_read_from(&archive, esp_bytes(bytes, n));
    crossings_archive(&archive, crossings);
    return esp_archive_end(&archive, NULL);
}

static void replace(struct crossings *crossings)
{
    GByteArray *bytes = write_state(crossings);
    crossings_release(crossings);
    g_assert_cmpint(read_state(crossings, bytes->data, bytes->len), ==, ESP_OK);
    GByteArray *again = write_state(crossings);
    g_assert_cmpmem(again->data, again->len, bytes->data, bytes->len);
    g_byte_array_free(again, TRUE);
    g_byte_array_free(bytes, TRUE);
}

/* Points that tell the boundary and the label at which they were noted. */
static void note(struct crossings *crossings, int64_t boundary_us, size_t i)
{
    struct crossing crossing = {.boundary_us = boundary_us,
                                .rewinds = {calloc(2, sizeof(struct esp_rewind_offset)), 2}};
    crossing.rewinds.items[0] = (struct esp_rewind_offset){
        esp_bytes_of(config.options.inputs[0].topic), 3, (int64_t)i, boundary_us};
    crossing.rewinds.items[1] = (struct esp_rewind_offset){
        esp_bytes_of(config.options.inputs[1].topic), 0, -2, ESP_TIME_NONE};
    g_assert_cmpint(crossings_note(crossings, &crossing, NULL), ==, ESP_OK);
    g_assert_null(crossing.rewinds.items);
}

/* The first label that is due at the boundary or later. */
static size_t first_at(const struct label *labels, size_t n, int64_t boundary_us)
{
    size_t i = 0;
    while (i < n && labels[i].due_us < boundary_us)
        i++;
    return i;
}

static void finds_it(struct crossings *crossings, const struct label *labels, size_t n,
                     int64_t boundary_us)
{
    struct crossing found;
    for (int model = 0; model < 2; model++) { /* each model asks */
        g_assert_cmpint(crossings_find(crossings, boundary_us, &found, NULL), ==, ESP_OK);
        g_assert_cmpuint(found.rewinds.n, ==, 2);
        if (found.rewinds.n != 2)
            return;
        g_assert_cmpint(found.rewinds.items[0].largest_us, ==, boundary_us);
        g_assert_cmpint(found.rewinds.items[0].offset, ==,
                        (int64_t)first_at(labels, n, boundary_us));
        g_assert_cmpint(found.rewinds.items[0].partition, ==, 3);
        g_assert_true((const char *)found.rewinds.items[1].topic.data ==
                      config.options.inputs[1].topic);
        crossing_release(&found);
    }
}

/* Ingest and learning, `ahead` examples apart; both begin again now and then, with nothing between
 * them then, as after a standstill. */
static void run(uint64_t seed, double share, size_t ahead, uint64_t seldom)
{
    enum { N = 400 };
    struct crossings crossings;
    struct test_random random = {.state = seed ^ 0x55};
    struct label *labels = draw_labels(seed, N, share);
    GArray *between = g_array_new(FALSE, FALSE, sizeof(int64_t)); /* due times of examples */
    int64_t next_us = ESP_TIME_NONE, boundary_us;
    size_t n_crossed = 0, n_taken = 0;
    crossings_init(&crossings, &config);
    for (size_t i = 0; i <= N && !g_test_failed(); i++) {
        bool ends = i == N;
        if (ends ? crossings_ends(&crossings, &boundary_us)
                 : crossings_meets(&crossings, labels[i].due_us, &boundary_us))
            note(&crossings, boundary_us, i);
        if (!ends && labels[i].kept) {
            crossings_kept(&crossings);
            g_array_append_val(between, labels[i].due_us);
        }
        bool stands = ends || test_random_below(&random, seldom) == 0;
        for (; n_taken < between->len && (stands || between->len - n_taken > ahead); n_taken++) {
            int64_t due_us = g_array_index(between, int64_t, n_taken);
            if (next_us == ESP_TIME_NONE) /* as snapshots_due() and snapshots_take() */
                next_us = crossings_boundary_after(&config, due_us);
            if (due_us < next_us)
                continue;
            finds_it(&crossings, labels, N, next_us);
            n_crossed++;
            next_us = crossings_boundary_after(&config, due_us);
        }
        g_assert_cmpuint(crossings.n, <=, ahead + 2); /* and those that it has passed since */
        if (stands)
            replace(&crossings);
    }
    if (next_us != ESP_TIME_NONE)
        finds_it(&crossings, labels, N, next_us); /* as snapshots_finish() */
    g_assert_cmpuint(n_crossed, >, share > 0.2 ? 20 : 0);
    g_array_free(between, TRUE);
    g_free(labels);
    crossings_release(&crossings);
}

static void every_boundary_that_learning_crosses_was_noted(void)
{
    for (uint64_t seed = 1; seed <= 40 && !g_test_failed(); seed++) {
        run(seed, 1, seed % 50, 1000);
        run(seed, 0.5, seed % 50, 20);
        run(seed, 0.03, 3, 7);
    }
}

static void a_boundary_that_was_not_noted_has_no_points(void)
{
    struct crossings crossings;
    struct crossing found;
    crossings_init(&crossings, &config);
    note(&crossings, 2 * EVERY, 0);
    g_assert_cmpint(crossings_find(&crossings, EVERY, &found, NULL), ==, ESP_OK);
    g_assert_cmpuint(found.rewinds.n, ==, 0);
    g_assert_cmpuint(crossings.n, ==, 1); /* it is still ahead */
    g_assert_cmpint(crossings_find(&crossings, 3 * EVERY, &found, NULL), ==, ESP_OK);
    g_assert_cmpuint(found.rewinds.n, ==, 0);
    g_assert_cmpuint(crossings.n, ==, 0);
    crossings_release(&crossings);
}

static void without_snapshots_nothing_is_crossed(void)
{
    struct config none = {.options = {.snapshot_every_us = 0}};
    struct crossings crossings;
    int64_t boundary_us;
    crossings_init(&crossings, &none);
    g_assert_false(crossings_meets(&crossings, 0, &boundary_us));
    g_assert_false(crossings_meets(&crossings, 100 * EVERY, &boundary_us));
    g_assert_false(crossings_ends(&crossings, &boundary_us));
    crossings_release(&crossings);
}

static void a_damaged_state_is_refused_or_one_that_can_be(void)
{
    struct crossings crossings;
    struct test_random random = {.state = 4};
    size_t n_read = 0;
    crossings_init(&crossings, &config);
    for (int64_t i = 1; i < 5; i++)
        note(&crossings, i * EVERY, (size_t)i);
    GByteArray *bytes = write_state(&crossings);
    crossings_release(&crossings);
    for (guint n = 0; n < bytes->len; n++) {
        g_assert_cmpint(read_state(&crossings, bytes->data, n), ==, ESP_EDATA);
        crossings_release(&crossings);
    }
    for (guint i = 0; i < 6 * bytes->len; i++) {
        guint8 before = bytes->data[i / 6];
        bytes->data[i / 6] ^= (guint8)(1 + test_random_below(&random, 255));
        enum esp_status status = read_state(&crossings, bytes->data, bytes->len);
        bytes->data[i / 6] = before;
        g_assert_true(status == ESP_OK || status == ESP_EDATA);
        for (size_t k = 0; status == ESP_OK && k < crossings.n; k++)
            for (size_t p = 0; p < crossings.items[k].rewinds.n; p++)
                g_assert_nonnull(crossings.items[k].rewinds.items[p].topic.data);
        n_read += status == ESP_OK;
        crossings_release(&crossings);
    }
    g_assert_cmpuint(n_read, >, 50);
    g_byte_array_free(bytes, TRUE);
}

/* As a run notes that was stopped while it ended, and the one that goes on. */
static void the_last_word_on_a_boundary_counts(void)
{
    struct crossings crossings;
    struct crossing found;
    crossings_init(&crossings, &config);
    note(&crossings, EVERY, 5);
    note(&crossings, 2 * EVERY, 7);
    note(&crossings, 2 * EVERY, 8);
    g_assert_cmpuint(crossings.n, ==, 2);
    g_assert_cmpint(crossings_find(&crossings, 2 * EVERY, &found, NULL), ==, ESP_OK);
    g_assert_cmpint(found.rewinds.items[0].offset, ==, 8);
    crossing_release(&found);
    crossings_release(&crossings);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/crossings/every boundary that learning crosses was noted",
                    every_boundary_that_learning_crosses_was_noted);
    g_test_add_func("/crossings/a boundary that was not noted has no points",
                    a_boundary_that_was_not_noted_has_no_points);
    g_test_add_func("/crossings/of one boundary the last counts",
                    the_last_word_on_a_boundary_counts);
    g_test_add_func("/crossings/without snapshots nothing is crossed",
                    without_snapshots_nothing_is_crossed);
    g_test_add_func("/crossings/a damaged state is refused, or one that can be",
                    a_damaged_state_is_refused_or_one_that_can_be);
    return g_test_run();
}
