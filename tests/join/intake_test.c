/* intake_test.c - which partition is read next, over fake partitions with a clock of their own. */
#include "join/intake.h"

#include "core/hash.h"
#include "join_helper.h"

enum { N = 4 }; /* partitions: impressions 0 and 1, clicks 0; impressions 2 where it is added */

/* A fake partition: times that come in, each not before its moment on the wall clock. */
struct fake {
    enum esp_event_kind kind;
    uint32_t partition;
    const int64_t *times_us, *arrive_us; /* arrive_us NULL: all are there at once */
    size_t n, at;
};

struct world {
    struct esp_joiner *joiner;
    struct esp_intake *intake;
    struct fake fakes[N];
    int64_t now_us;
    bool follow;
    GString *reads; /* which partition, a letter each: a, b, d impressions, c clicks */
    int64_t max_ahead_us;
    int64_t last_asked_us[N], longest_unasked_us;
};

static void world_init_more(struct world *world, bool follow, bool close, size_t n_more)
{
    struct esp_joiner_config joiner_config = {.n_partitions = {2 + n_more, 1, 0},
                                              .click_window_us = 10,
                                              .future_us = ESP_HOUR,
                                              .segment_bytes = 4096};
    struct esp_intake_config config = {.n_partitions = {2 + n_more, 1, 0},
                                       .skew_us = 100,
                                       .idle_after_us = 30 * ESP_SECOND,
                                       .follow = follow,
                                       .close_at_end = close};
    *world = (struct world){.follow = follow, .reads = g_string_new(NULL)};
    g_assert_cmpint(esp_joiner_new(&joiner_config, &world->joiner, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_intake_new(&config, world->joiner, &world->intake, NULL), ==, ESP_OK);
    for (size_t i = 0; i < N; i++)
        world->fakes[i] = (struct fake){.kind = i == 2 ? ESP_CLICK : ESP_IMPRESSION,
                                        .partition = i == 2 ? 0 : (uint32_t)MIN(i, 2)};
}

static void world_init(struct world *world, bool follow, bool close)
{
    world_init_more(world, follow, close, 0);
}

static void world_release(struct world *world)
{
    esp_intake_free(world->intake);
    esp_joiner_free(world->joiner);
    g_string_free(world->reads, TRUE);
}

static void push_one(struct world *world, const struct fake *fake, int64_t time_us)
{
    struct esp_header header = {
        .time_us = time_us, .log_time_us = time_us, .id = esp_bytes(&time_us, sizeof time_us)};
    header.id_hash = esp_hash(header.id);
    g_assert_cmpint(esp_joiner_push(world->joiner, fake->kind, fake->partition, &header, 1, NULL),
                    ==, ESP_OK);
}

/* One read of at most one record, as a run loop does it. False: the intake is done. */
static bool step(struct world *world)
{
    enum esp_event_kind kind;
    uint32_t partition;
    int64_t wait_us;
    if (esp_intake_next(world->intake, world->now_us, &kind, &partition, &wait_us) ==
        ESP_INTAKE_DONE)
        return false;
    size_t i = kind == ESP_CLICK ? 2 : partition < 2 ? partition : 3;
    struct fake *fake = &world->fakes[i];
    g_assert_cmpint(wait_us, >=, 0);
    g_assert_cmpint(wait_us, <=, 100 * ESP_MS);
    world->longest_unasked_us =
        MAX(world->longest_unasked_us, world->now_us - world->last_asked_us[i]);
    world->last_asked_us[i] = world->now_us;
    bool is_there = fake->at < fake->n && (fake->arrive_us == NULL ||
                                           fake->arrive_us[fake->at] <= world->now_us + wait_us);
    if (is_there) {
        if (fake->arrive_us != NULL)
            world->now_us = MAX(world->now_us, fake->arrive_us[fake->at]);
        push_one(world, fake, fake->times_us[fake->at++]);
        g_string_append_c(world->reads, (char)('a' + (int)i));
    } else {
        world->now_us += wait_us;
    }
    world->now_us += 10;
    enum esp_log_position position =
        fake->at < fake->n && fake->arrive_us == NULL ? ESP_LOG_MORE : ESP_LOG_AT_END;
    if (!world->follow && fake->at == fake->n)
        position = ESP_LOG_ENDED;
    g_assert_cmpint(esp_intake_note(world->intake, kind, partition, is_there ? 1 : 0, position,
                                    world->now_us, NULL),
                    ==, ESP_OK);
    return true;
}

static void test_furthest_behind(void)
{
    static const int64_t a[] = {10, 20, 90}, b[] = {15, 16, 17}, c[] = {12, 50, 60};
    struct world world;
    world_init(&world, false, true);
    world.fakes[0] = (struct fake){ESP_IMPRESSION, 0, a, NULL, 3, 0};
    world.fakes[1] = (struct fake){ESP_IMPRESSION, 1, b, NULL, 3, 0};
    world.fakes[2] = (struct fake){ESP_CLICK, 0, c, NULL, 3, 0};
    while (step(&world) && world.reads->len < 20)
        ;
    /* All begin; then a(10) c(12) b(15, 16, 17 and end) a(20) c(50) behind a(90), end of c. */
    g_assert_cmpstr(world.reads->str, ==, "abcacbbac");
    g_assert_cmpint(esp_joiner_close(world.joiner, NULL), ==, ESP_OK);
    world_release(&world);
}

static void test_skew(void)
{
    static const int64_t a[] = {0, 101, 102, 103}, b[] = {0, 1, 2, 3}, c[] = {0, 300, 301, 302};
    struct world world;
    world_init(&world, false, false);
    world.fakes[0] = (struct fake){ESP_IMPRESSION, 0, a, NULL, 4, 0};
    world.fakes[1] = (struct fake){ESP_IMPRESSION, 1, b, NULL, 4, 0};
    world.fakes[2] = (struct fake){ESP_CLICK, 0, c, NULL, 4, 0};
    enum esp_event_kind kind;
    uint32_t partition;
    int64_t wait_us;
    while (esp_joiner_partition_watermark(world.joiner, ESP_CLICK, 0) < 300)
        step(&world);
    /* Clicks stand at 300, b at 1: clicks are paused, and paused is not idle. */
    for (int i = 0; i < 3; i++) {
        esp_intake_next(world.intake, world.now_us, &kind, &partition, &wait_us);
        g_assert_cmpint(kind, ==, ESP_IMPRESSION);
        g_assert_cmpuint(esp_intake_n_paused(world.intake), >=, 1);
        g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 0);
        step(&world);
    }
    while (step(&world))
        ;
    g_assert_cmpuint(world.reads->len, ==, 12); /* an ended partition holds nobody back */
    g_assert_cmpuint(esp_intake_n_paused(world.intake), ==, 0);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 3); /* hold: b keeps its watermark */
    world_release(&world);
}

static void test_empty_partitions(void)
{
    static const int64_t a[] = {0, 500, 1000};
    struct world world;
    world_init(&world, false, false);
    world.fakes[0] = (struct fake){ESP_IMPRESSION, 0, a, NULL, 3, 0};
    while (step(&world) && world.reads->len < 20)
        ;
    g_assert_cmpstr(world.reads->str, ==, "aaa");
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 1000); /* the empty are left out */
    g_assert_cmpuint(esp_intake_n_reached(world.intake), ==, 3);
    world_release(&world);
}

static void test_idle(void)
{
    static const int64_t a[] = {0, 50, 90, 500}, b[] = {10, 120}, c[] = {5, 600};
    static const int64_t a_arrive[] = {0, 0, 0, 60 * ESP_SECOND};
    static const int64_t b_arrive[] = {0, 10 * ESP_SECOND}, c_arrive[] = {0, 70 * ESP_SECOND};
    struct world world;
    world_init(&world, true, false);
    world.fakes[0] = (struct fake){ESP_IMPRESSION, 0, a, a_arrive, 4, 0};
    world.fakes[1] = (struct fake){ESP_IMPRESSION, 1, b, b_arrive, 2, 0};
    world.fakes[2] = (struct fake){ESP_CLICK, 0, c, c_arrive, 2, 0};
    g_assert_cmpuint(esp_intake_n_reached(world.intake), ==, 0);
    while (world.now_us < 29 * ESP_SECOND)
        step(&world);
    /* Each was at its end once, b before it spoke again. */
    g_assert_cmpuint(esp_intake_n_reached(world.intake), ==, 3);
    /* b spoke at 10 s; the others are silent, for less than 30 s. b, at 120, is paused. */
    g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 0);
    g_assert_cmpuint(esp_intake_n_paused(world.intake), ==, 1);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 5);
    while (world.now_us < 59 * ESP_SECOND)
        step(&world);
    /* a and c are idle, so W is where b stands; b was paused, then asked again in vain. */
    g_assert_cmpuint(esp_intake_n_idle(world.intake), >=, 2);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 120);
    while (world.now_us < 61 * ESP_SECOND)
        step(&world);
    /* a spoke again, far ahead: it is paused until the others are known to be silent. */
    g_assert_cmpuint(world.reads->len, ==, 7);
    while (world.now_us < 120 * ESP_SECOND)
        step(&world);
    g_assert_cmpuint(world.reads->len, ==, 8);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 600);
    world_release(&world);
}

static void test_asked_often(void)
{
    enum { M = 60000 };
    int64_t *times_us = g_new0(int64_t, M);
    for (int64_t i = 0; i < M; i++)
        times_us[i] = i / 1000;
    static const int64_t c[] = {0}, c_arrive[] = {0};
    struct world world;
    world_init(&world, true, false);
    world.fakes[0] = (struct fake){ESP_IMPRESSION, 0, times_us, NULL, M, 0};
    world.fakes[1] = (struct fake){ESP_IMPRESSION, 1, times_us, NULL, M, 0};
    world.fakes[2] = (struct fake){ESP_CLICK, 0, c, c_arrive, 1, 0};
    /* A backlog elsewhere does not keep a partition at its end from being asked. */
    while (world.now_us < ESP_SECOND)
        step(&world);
    g_assert_cmpint(world.longest_unasked_us, <=, 110 * ESP_MS);
    g_assert_cmpuint(world.reads->len, >, 50000);
    world_release(&world);
    g_free(times_us);
}

/* d is added, empty, while the others stand past the skew from where they began. Asked in vain it
 * is idle at once; it enters W with its first record. */
static void test_added_empty(void)
{
    static const int64_t a[] = {0, 500, 600}, a_arrive[] = {0, 0, 8 * ESP_SECOND};
    static const int64_t d[] = {520}, d_arrive[] = {5 * ESP_SECOND};
    struct world world;
    world_init(&world, true, false);
    world.fakes[0] = (struct fake){ESP_IMPRESSION, 0, a, a_arrive, 3, 0};
    world.fakes[1] = (struct fake){ESP_IMPRESSION, 1, a, a_arrive, 3, 0};
    world.fakes[2] = (struct fake){ESP_CLICK, 0, a, a_arrive, 3, 0};
    world.fakes[3] = (struct fake){ESP_IMPRESSION, 2, d, d_arrive, 1, 0};
    while (world.now_us < ESP_SECOND)
        step(&world);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 500);
    g_assert_cmpint(esp_intake_add_partitions(world.intake, ESP_IMPRESSION, 1, NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 0);
    while (world.now_us < 2 * ESP_SECOND)
        step(&world);
    g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 1);
    g_assert_cmpuint(esp_intake_n_paused(world.intake), ==, 0);
    while (world.now_us < 6 * ESP_SECOND)
        step(&world);
    g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 0);
    g_assert_cmpint(esp_joiner_partition_watermark(world.joiner, ESP_IMPRESSION, 2), ==, 520);
    while (world.now_us < 20 * ESP_SECOND)
        step(&world);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 520); /* silent for less than 30 s */
    while (world.now_us < 50 * ESP_SECOND)
        step(&world);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 600);
    world_release(&world);
}

/* d is added with records in it: it is read next, and holds W until it has been. */
static void test_added_full(void)
{
    static const int64_t a[] = {0, 40, 50, 60}, d[] = {41, 45, 70};
    static const int64_t a_arrive[] = {0, 0, ESP_SECOND, ESP_SECOND};
    struct world world;
    world_init(&world, true, false);
    for (size_t i = 0; i < 3; i++) {
        world.fakes[i].times_us = a;
        world.fakes[i].arrive_us = a_arrive;
        world.fakes[i].n = 4;
    }
    world.fakes[3] = (struct fake){ESP_IMPRESSION, 2, d, NULL, 3, 0};
    while (world.reads->len < 6)
        step(&world);
    g_assert_cmpint(esp_intake_add_partitions(world.intake, ESP_IMPRESSION, 1, NULL), ==, ESP_OK);
    world.now_us = 2 * ESP_SECOND;
    while (world.reads->len < 15)
        step(&world);
    g_assert_cmpstr(world.reads->str + 6, ==, "dabcddabc"); /* 41 50 50 50 45 70 60 60 60 */
    struct esp_join_counters counters;
    esp_joiner_counters(world.joiner, ESP_IMPRESSION, &counters);
    g_assert_cmpuint(counters.late, ==, 0);
    world_release(&world);
}

/* ---- in a checkpoint ---- */

/* Joiner and intake of another process that goes on from the state of these, with n_more partitions
 * of impressions. */
static void kill_world(struct world *world, bool close, size_t n_more)
{
    struct world again;
    struct esp_archive archive;
    struct esp_buf bytes;
    esp_buf_init(&bytes, 1 << 20);
    esp_archive_write_to(&archive, join_archive_sink, &bytes);
    esp_joiner_archive(&archive, world->joiner);
    esp_intake_archive(&archive, world->intake);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    world_init_more(&again, world->follow, close, n_more);
    esp_archive_read_from(&archive, esp_buf_bytes(&bytes));
    esp_joiner_archive(&archive, again.joiner);
    esp_intake_archive(&archive, again.intake);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    memcpy(again.fakes, world->fakes, sizeof again.fakes);
    g_string_append(again.reads, world->reads->str);
    esp_buf_release(&bytes);
    world_release(world);
    *world = again; /* whose clock begins at 0 */
}

/* What had ended under `hold` has more to read in a later run. */
static void test_goes_on(void)
{
    static const int64_t a[] = {10, 20, 90, 95}, b[] = {15, 16, 17, 120}, c[] = {12, 50, 60, 61};
    struct world world;
    world_init(&world, false, false);
    world.fakes[0] = (struct fake){ESP_IMPRESSION, 0, a, NULL, 2, 0};
    world.fakes[1] = (struct fake){ESP_IMPRESSION, 1, b, NULL, 2, 0};
    world.fakes[2] = (struct fake){ESP_CLICK, 0, c, NULL, 2, 0};
    while (step(&world))
        continue;
    g_assert_cmpuint(world.reads->len, ==, 6);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 16);
    kill_world(&world, true, 0);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 16);
    g_assert_cmpuint(esp_intake_n_reached(world.intake), ==, 3);
    for (size_t i = 0; i < 3; i++)
        world.fakes[i].n = 4;
    g_string_truncate(world.reads, 0);
    while (step(&world))
        continue;
    /* b stands at 16 and reads to its end, a at 20 and goes to 90, past c at 50, which ends. */
    g_assert_cmpstr(world.reads->str, ==, "bbacca");
    g_assert_cmpint(esp_joiner_close(world.joiner, NULL), ==, ESP_OK);
    /* What was closed stays so: nothing is read of it. */
    kill_world(&world, true, 0);
    g_assert_true(esp_joiner_is_closed(world.joiner));
    g_assert_false(step(&world));
    world_release(&world);
}

/* Silence is counted from the start of the process; a partition that is found at the start is one
 * that was added. */
static void test_silence_begins_anew(void)
{
    static const int64_t a[] = {10}, b[] = {15}, c[] = {12};
    static const int64_t at_once[] = {0};
    struct world world;
    world_init(&world, true, false);
    world.fakes[0] = (struct fake){ESP_IMPRESSION, 0, a, at_once, 1, 0};
    world.fakes[1] = (struct fake){ESP_IMPRESSION, 1, b, at_once, 1, 0};
    world.fakes[2] = (struct fake){ESP_CLICK, 0, c, at_once, 1, 0};
    while (world.now_us < 40 * ESP_SECOND)
        step(&world);
    g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 3);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 15);
    kill_world(&world, false, 1);
    g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 0);
    g_assert_cmpint(esp_joiner_watermark(world.joiner), ==, 15);
    while (world.now_us < 20 * ESP_SECOND)
        step(&world);
    g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 1); /* the new one, at once */
    while (world.now_us < 40 * ESP_SECOND)
        step(&world);
    g_assert_cmpuint(esp_intake_n_idle(world.intake), ==, 4);
    world_release(&world);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/intake/\"the partition furthest behind is read first\"",
                    test_furthest_behind);
    g_test_add_func("/intake/\"one more than the skew ahead is paused, which is not idle\"",
                    test_skew);
    g_test_add_func("/intake/\"a bounded run ends, and empty partitions are left out of W\"",
                    test_empty_partitions);
    g_test_add_func("/intake/\"a partition that stays silent at its end is idle\"", test_idle);
    g_test_add_func("/intake/\"a partition at its end is asked every 100 ms\"", test_asked_often);
    g_test_add_func("/intake/\"a partition that is added without records is idle at once\"",
                    test_added_empty);
    g_test_add_func("/intake/\"a partition that is added is read before W goes on\"",
                    test_added_full);
    g_test_add_func("/intake/\"what had ended goes on in a later run, what was closed does not\"",
                    test_goes_on);
    g_test_add_func("/intake/\"silence begins anew in a new process\"", test_silence_begins_anew);
    return g_test_run();
}
