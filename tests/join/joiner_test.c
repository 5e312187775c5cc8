/*
 * joiner_test.c - the timeline of a label, case by case, with answers worked by hand.
 *
 * A script is read from left to right: kind, time, id, and after a slash a click's own id or what
 * else an impression's record holds. Unless a row says otherwise W_c = 10, W_z = 20, nothing is
 * late, and time ends after the script. A label reads MATURITY ID STAGE T_C T_Z; counters read
 * labelled duplicate unmatched late dead, for impressions, clicks, installs.
 */
#include <inttypes.h>

#include "core/hash.h"
#include "join_helper.h"

enum { WHOLE = 1, BY_CLICK = 2, NO_INSTALLS = 4, NO_W_C = 8, NO_W_Z = 16, GRACE_3 = 32 };

struct row {
    const char *name;
    int options;
    const char *script, *labels, *counters;
};

static const struct row rows[] = {
    {"an impression alone is a negative at t_i + W_c", 0, "i 0 a", "10 a C - -",
     "1 0 0 0 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"a click makes it a positive, no sooner than a negative", 0, "i 0 a; c 1 a",
     "10 a C 1 -; 21 a I 1 -", "1 0 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"a click at the very end of the window counts", 0, "i 0 a; c 10 a", "10 a C 10 -; 30 a I 10 -",
     "1 0 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"a click behind the window is unmatched", 0, "i 0 a; c 11 a", "10 a C - -",
     "1 0 0 0 0; 0 0 1 0 0; 0 0 0 0 0"},
    {"a click at the time of its impression counts", 0, "i 5 a; c 5 a", "15 a C 5 -; 25 a I 5 -",
     "1 0 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"a click stamped before its impression is unmatched", 0, "i 5 a; c 4 a", "15 a C - -",
     "1 0 0 0 0; 0 0 1 0 0; 0 0 0 0 0"},
    {"a click that arrives before its impression counts", 0, "c 6 a; i 5 a",
     "15 a C 6 -; 26 a I 6 -", "1 0 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"the first click counts, whichever arrived first", 0, "i 0 a; c 7 a; c 3 a",
     "10 a C 3 -; 23 a I 3 -", "1 0 0 0 0; 1 1 0 0 0; 0 0 0 0 0"},
    {"a second click behind the window is unmatched, not a duplicate", 0, "i 0 a; c 7 a; c 11 a",
     "10 a C 7 -; 27 a I 7 -", "1 0 0 0 0; 1 0 1 0 0; 0 0 0 0 0"},
    {"an install makes z, at the maturity that t_c sets", 0, "i 0 a; c 2 a; z 3 a",
     "10 a C 2 -; 22 a I 2 3", "1 0 0 0 0; 1 0 0 0 0; 1 0 0 0 0"},
    {"an install at the end of its window counts, one behind is unmatched", 0,
     "i 0 a; c 2 a; z 22 a; i 0 b; c 2 b; z 23 b",
     "10 a C 2 -; 10 b C 2 -; 22 a I 2 22; 22 b I 2 -", "2 0 0 0 0; 2 0 0 0 0; 1 0 1 0 0"},
    {"the first install counts, others in the window are duplicates", 0,
     "i 0 a; c 2 a; z 9 a; z 4 a; z 30 a", "10 a C 2 -; 22 a I 2 4",
     "1 0 0 0 0; 1 0 0 0 0; 1 1 1 0 0"},
    {"an install without a click is unmatched", 0, "i 0 a; z 3 a", "10 a C - -",
     "1 0 0 0 0; 0 0 0 0 0; 0 0 1 0 0"},
    {"an install before the click is unmatched, at its time it counts", 0,
     "i 0 a; c 5 a; z 4 a; i 0 b; c 5 b; z 5 b", "10 a C 5 -; 10 b C 5 -; 25 a I 5 -; 25 b I 5 5",
     "2 0 0 0 0; 2 0 0 0 0; 1 0 1 0 0"},
    {"without installs there is no install stage", NO_INSTALLS, "i 0 a; c 2 a", "10 a C 2 -",
     "1 0 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"labels leave by maturity, then id", 0, "i 1 b; i 0 c; i 1 a; i 1 aa",
     "10 c C - -; 11 a C - -; 11 aa C - -; 11 b C - -", "4 0 0 0 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"with W_c = 0 only a click at the same time counts", NO_W_C, "i 1 a; c 1 a; i 1 b; c 2 b",
     "1 a C 1 -; 1 b C - -; 21 a I 1 -", "2 0 0 0 0; 1 0 1 0 0; 0 0 0 0 0"},
    {"with W_z = 0 the install label still waits for the click stage", NO_W_Z,
     "i 0 a; c 2 a; z 2 a; z 3 a", "10 a C 2 -; 10 a I 2 2", "1 0 0 0 0; 1 0 0 0 0; 1 0 1 0 0"},
    {"with W_z = 0 the whole label follows at once", NO_W_Z | WHOLE, "i 0 a; i 0 b",
     "10 a C - -; 10 a W - -; 10 b C - -; 10 b W - -", "2 0 0 0 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"the whole label leaves at t_i + W_c + W_z, clicked or not", WHOLE,
     "i 0 a; i 0 b; c 2 b; z 3 b", "10 a C - -; 10 b C 2 -; 22 b I 2 3; 30 a W - -; 30 b W 2 3",
     "2 0 0 0 0; 1 0 0 0 0; 1 0 0 0 0"},
    {"an install and a whole label due together keep the order of stages", WHOLE, "i 0 a; c 10 a",
     "10 a C 10 -; 30 a I 10 -; 30 a W 10 -", "1 0 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"an impression whose id is pending is a duplicate", 0, "i 0 a; i 10 a", "10 a C - -",
     "1 1 0 0 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"the id is free again after the last maturity", 0, "i 0 a; i 11 a", "10 a C - -; 21 a C - -",
     "2 0 0 0 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"a clicked impression keeps its id until its install label", 0, "i 0 a; c 2 a; i 22 a; i 23 a",
     "10 a C 2 -; 22 a I 2 -; 33 a C - -", "2 1 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"a wanted impression keeps its id until its whole label", WHOLE, "i 0 a; i 30 a; i 31 a",
     "10 a C - -; 30 a W - -; 41 a C - -; 61 a W - -", "2 1 0 0 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"the earlier of two of one id wins, also when it arrives later", 0, "i 3 a; i 1 a; c 2 a",
     "11 a C 2 -; 22 a I 2 -", "1 1 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"an earlier one that arrives last frees the one behind it", 0, "i 20 a; i 9 a; i 0 a",
     "10 a C - -; 30 a C - -", "2 1 0 0 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"of two at one time the smaller record wins", 0, "i 0 a/y; i 0 a/x; i 0 a/z", "10 a/x C - -",
     "1 2 0 0 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"a duplicate's click goes to the one that holds the id", 0, "i 0 a; i 8 a; c 9 a",
     "10 a C 9 -; 29 a I 9 -", "1 1 0 0 0; 1 0 0 0 0; 0 0 0 0 0"},
    {"a click goes to the one whose time it is in, when an id is used again", 0,
     "i 0 a; i 11 a; c 10 a; c 12 a", "10 a C 10 -; 30 a I 10 -",
     "1 1 0 0 0; 1 0 1 0 0; 0 0 0 0 0"},
    {"installs by click name any click of the impression", BY_CLICK,
     "i 0 a; c 2 a/p; c 3 a/q; z 5 q", "10 a C 2 -; 22 a I 2 5", "1 0 0 0 0; 1 1 0 0 0; 1 0 0 0 0"},
    {"an install that names a click still to come is unmatched", BY_CLICK,
     "i 0 a; c 2 a/p; c 6 a/q; z 5 q", "10 a C 2 -; 22 a I 2 -", "1 0 0 0 0; 1 1 0 0 0; 0 0 1 0 0"},
    {"an install's window runs from the click that counts", BY_CLICK,
     "i 0 a; c 2 a/p; c 9 a/q; z 23 q", "10 a C 2 -; 22 a I 2 -",
     "1 0 0 0 0; 1 1 0 0 0; 0 0 1 0 0"},
    {"an unmatched click's id leads nowhere", BY_CLICK, "i 0 a; c 11 a/p; z 12 p", "10 a C - -",
     "1 0 0 0 0; 0 0 1 0 0; 0 0 1 0 0"},
    {"a click id that occurs twice stays with the first", BY_CLICK,
     "i 0 a; i 0 b; c 2 a/p; c 3 b/p; z 5 p", "10 a C 2 -; 10 b C 3 -; 22 a I 2 5; 23 b I 3 -",
     "2 0 0 0 0; 2 0 0 0 0; 1 0 0 0 0"},
    {"a click id is free when its impression takes no more installs", BY_CLICK,
     "i 0 a; c 2 a/p; i 22 b; c 22 b/p; c 23 b/p; z 24 p",
     "10 a C 2 -; 22 a I 2 -; 32 b C 22 -; 42 b I 22 24", "2 0 0 0 0; 2 1 0 0 0; 1 0 0 0 0"},
    {"below the watermark is late, at it is not", GRACE_3, "i 10 a; i 7 b; i 6 c",
     "17 b C - -; 20 a C - -", "2 0 0 1 0; 0 0 0 0 0; 0 0 0 0 0"},
    {"late is by the event's own partition", GRACE_3, "i 100 a; c 10 b; c 6 d; i 97 e",
     "107 e C - -; 110 a C - -", "2 0 0 0 0; 0 0 1 1 0; 0 0 0 0 0"},
};

static bool always(void *context, const struct esp_label *label)
{
    (void)context, (void)label;
    return true;
}

static struct esp_joiner_config config_of(int options)
{
    struct esp_joiner_config config = {.click_window_us = (options & NO_W_C) != 0 ? 0 : 10,
                                       .install_window_us = (options & NO_W_Z) != 0 ? 0 : 20,
                                       .n_partitions = {1, 1, (options & NO_INSTALLS) != 0 ? 0 : 1},
                                       .future_us = ESP_MINUTE,
                                       .ahead_us = ESP_DAY,
                                       .installs_by_click = (options & BY_CLICK) != 0,
                                       .whole_wanted = (options & WHOLE) != 0 ? always : NULL,
                                       .segment_bytes = 4096};
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        config.grace_us[kind] = (options & GRACE_3) != 0 ? 3 : 1000;
    return config;
}

/* "i 5 a/x" */
static struct join_event parse_event(const char *text)
{
    char **words = g_strsplit(text, " ", 3), **names = g_strsplit(words[2], "/", 2);
    struct join_event event = {.kind = words[0][0] == 'i'   ? ESP_IMPRESSION
                                       : words[0][0] == 'c' ? ESP_CLICK
                                                            : ESP_INSTALL,
                               .time_us = g_ascii_strtoll(words[1], NULL, 10)};
    event.log_time_us = event.time_us;
    event.id_size = g_strlcpy(event.id, names[0], sizeof event.id);
    event.payload_size = g_strlcpy(event.payload, words[2], sizeof event.payload);
    if (event.kind == ESP_CLICK && names[1] != NULL)
        event.click_id_size = g_strlcpy(event.click_id, names[1], sizeof event.click_id);
    g_strfreev(names);
    g_strfreev(words);
    return event;
}

static char *labels_text(const GArray *labels)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < labels->len; i++) {
        const struct join_label *label = &g_array_index(labels, struct join_label, i);
        const struct esp_label *l = &label->label;
        g_string_append_printf(text, "%s%" PRId64 " %.*s %c", i > 0 ? "; " : "", l->maturity_us,
                               (int)label->payload_size, label->payload, "CIW"[l->stage]);
        const int64_t times[] = {l->click_us, l->install_us};
        for (size_t k = 0; k < 2; k++) {
            if (times[k] == ESP_TIME_NONE)
                g_string_append(text, " -");
            else
                g_string_append_printf(text, " %" PRId64, times[k]);
        }
        g_assert_cmpint(l->y, ==, l->click_us != ESP_TIME_NONE);
        g_assert_cmpint(l->z, ==, l->install_us != ESP_TIME_NONE);
    }
    return g_string_free(text, FALSE);
}

static char *counters_text(const struct join_result *result)
{
    GString *text = g_string_new(NULL);
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct esp_join_counters *c = &result->counters[kind];
        g_assert_cmpuint(c->pending, ==, 0);
        g_string_append_printf(text, "%s%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
                               kind > 0 ? "; " : "", c->labelled, c->duplicate, c->unmatched,
                               c->late, c->dead);
    }
    return g_string_free(text, FALSE);
}

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    struct esp_joiner_config config = config_of(row->options);
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    struct join_result result;
    join_result_init(&result);
    char **texts = g_strsplit(row->script, "; ", 0);
    for (int64_t i = 0; texts[i] != NULL; i++) {
        struct join_event event = parse_event(texts[i]);
        join_push(joiner, &event, 1, i, &result);
        join_take(joiner, 3, &result);
        esp_joiner_check(joiner);
    }
    join_finish(joiner, &config, &result);
    char *labels = labels_text(result.labels), *counters = counters_text(&result);
    g_assert_cmpstr(labels, ==, row->labels);
    g_assert_cmpstr(counters, ==, row->counters);
    g_free(labels);
    g_free(counters);
    g_strfreev(texts);
    join_result_clear(&result);
    esp_joiner_free(joiner);
}

/* ---- what is not a matter of labels alone ---- */

static void push_text(struct esp_joiner *joiner, const char *text, struct join_result *result)
{
    struct join_event event = parse_event(text);
    join_push(joiner, &event, 1, 0, result);
}

static void test_tickets(void)
{
    struct esp_joiner_config config = config_of(WHOLE);
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    struct join_result result;
    join_result_init(&result);
    push_text(joiner, "i 1 b", &result);
    push_text(joiner, "i 0 c", &result);
    push_text(joiner, "c 3 b", &result);
    join_finish(joiner, &config, &result);
    const uint64_t want[] = {0, 1, 1, 0, 1}; /* c C, b C, b I, c W, b W */
    g_assert_cmpuint(result.labels->len, ==, 5);
    for (guint i = 0; i < 5 && i < result.labels->len; i++)
        g_assert_cmpuint(g_array_index(result.labels, struct join_label, i).label.ticket, ==,
                         want[i]);
    join_result_clear(&result);
    esp_joiner_free(joiner);
}

static void test_idle(void)
{
    struct esp_joiner_config config = config_of(GRACE_3);
    config.idle_lag_us = 4;
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    struct join_result result;
    join_result_init(&result);
    push_text(joiner, "i 103 a", &result);
    push_text(joiner, "c 13 b", &result);
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, ESP_TIME_NONE); /* installs are silent */
    esp_joiner_set_idle(joiner, ESP_INSTALL, 0, true);
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, 10);
    esp_joiner_set_idle(joiner, ESP_CLICK, 0, true);
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, 96); /* 103 - 3 - 4 */
    push_text(joiner, "c 95 a", &result);                  /* 13 - 3 <= 95 < 96 */
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, 96);
    g_assert_cmpint(esp_joiner_partition_watermark(joiner, ESP_CLICK, 0), ==, 92);
    push_text(joiner, "c 96 a", &result); /* in time, unmatched */
    struct esp_join_counters counters;
    esp_joiner_counters(joiner, ESP_CLICK, &counters);
    g_assert_cmpuint(counters.late, ==, 1);
    g_assert_cmpuint(counters.behind_idle, ==, 1);
    g_assert_cmpuint(result.turned_away->len, ==, 1);
    if (g_test_failed())
        return;
    const struct esp_turned_away *away =
        &g_array_index(result.turned_away, struct esp_turned_away, 0);
    g_assert_cmpint(away->verdict, ==, ESP_VERDICT_LATE);
    g_assert_true(away->behind_idle);
    esp_joiner_check(joiner);
    join_result_clear(&result);
    esp_joiner_free(joiner);
}

static void test_hold(void)
{
    struct esp_joiner_config config = config_of(NO_INSTALLS | GRACE_3);
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    struct join_result result;
    join_result_init(&result);
    push_text(joiner, "i 0 a", &result);
    push_text(joiner, "i 14 b", &result);
    g_assert_cmpint(esp_joiner_end(joiner, ESP_CLICK, 0, false, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_joiner_end(joiner, ESP_IMPRESSION, 0, false, NULL), ==, ESP_OK);
    /* No click ever came, so clicks are left out of W; 14 - 3 has passed 10. */
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, 11);
    g_assert_cmpuint(join_take(joiner, 9, &result), ==, 1);
    struct esp_join_counters counters;
    esp_joiner_counters(joiner, ESP_IMPRESSION, &counters);
    g_assert_cmpuint(counters.pending, ==, 1);
    g_assert_cmpint(esp_joiner_push(joiner, ESP_CLICK, 0, NULL, 0, NULL), ==, ESP_EINVAL);
    esp_joiner_check(joiner);
    join_result_clear(&result);
    esp_joiner_free(joiner);
}

static void push_untimed(struct esp_joiner *joiner, const char *text, struct join_result *result)
{
    struct join_event event = parse_event(text);
    event.log_time_us = ESP_TIME_NONE;
    join_push(joiner, &event, 1, 0, result);
}

/* Two clicks that no third has confirmed yet. `hold` leaves them held, and W stands where they
 * would be in time; closing time accepts them. */
static void test_hold_held(void)
{
    struct esp_joiner_config config = config_of(NO_INSTALLS | GRACE_3);
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    struct join_result result;
    join_result_init(&result);
    push_text(joiner, "i 0 a", &result);
    push_text(joiner, "i 14 b", &result);
    push_untimed(joiner, "c 6 a", &result);
    push_untimed(joiner, "c 5 a", &result);
    g_assert_cmpint(esp_joiner_end(joiner, ESP_CLICK, 0, false, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_joiner_end(joiner, ESP_IMPRESSION, 0, false, NULL), ==, ESP_OK);
    esp_joiner_check(joiner);
    struct esp_join_counters counters;
    esp_joiner_counters(joiner, ESP_CLICK, &counters);
    g_assert_cmpuint(counters.read, ==, 2);
    g_assert_cmpuint(counters.pending, ==, 2);
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, 2); /* 5 - 3 */
    g_assert_cmpuint(join_take(joiner, 9, &result), ==, 0);
    g_assert_cmpint(esp_joiner_close(joiner, NULL), ==, ESP_OK);
    while (join_take(joiner, 9, &result) > 0)
        ;
    esp_joiner_check(joiner);
    char *labels = labels_text(result.labels);
    g_assert_cmpstr(labels, ==, "10 a C 5 -; 24 b C - -");
    esp_joiner_counters(joiner, ESP_CLICK, &counters);
    g_assert_cmpuint(counters.labelled, ==, 1);
    g_assert_cmpuint(counters.duplicate, ==, 1);
    g_free(labels);
    join_result_clear(&result);
    esp_joiner_free(joiner);
}

/* A partition that is added holds W until it speaks; what of it W has passed is told apart. */
static void test_added(void)
{
    struct esp_joiner_config config = config_of(NO_INSTALLS | GRACE_3);
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    struct join_result result;
    join_result_init(&result);
    g_assert_cmpint(esp_joiner_add_partitions(joiner, ESP_INSTALL, 1, NULL), ==, ESP_EINVAL);
    push_text(joiner, "i 20 a", &result);
    push_text(joiner, "c 24 a", &result);
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, 17);
    g_assert_cmpint(esp_joiner_add_partitions(joiner, ESP_IMPRESSION, 2, NULL), ==, ESP_OK);
    /* The clicks' state has moved with them. */
    g_assert_cmpint(esp_joiner_partition_watermark(joiner, ESP_CLICK, 0), ==, 21);
    push_text(joiner, "i 40 d", &result);
    push_text(joiner, "c 40 d", &result);
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, 17);
    struct join_event early = parse_event("i 18 b"), behind = parse_event("i 16 c");
    early.partition = behind.partition = 2;
    join_push(joiner, &early, 1, 0, &result);
    join_push(joiner, &behind, 1, 1, &result); /* 18 - 3 <= 16 < 17 */
    esp_joiner_set_idle(joiner, ESP_IMPRESSION, 1, true);
    g_assert_cmpint(esp_joiner_watermark(joiner), ==, 17);
    struct esp_join_counters counters;
    esp_joiner_counters(joiner, ESP_IMPRESSION, &counters);
    g_assert_cmpuint(counters.behind_idle, ==, 1);
    g_assert_cmpuint(counters.late, ==, 1);
    esp_joiner_check(joiner);
    config.n_partitions[ESP_IMPRESSION] = 3;
    join_finish(joiner, &config, &result);
    char *labels = labels_text(result.labels);
    g_assert_cmpstr(labels, ==, "28 b C - -; 30 a C 24 -; 50 d C 40 -");
    g_free(labels);
    join_result_clear(&result);
    esp_joiner_free(joiner);
}

/* The store is full: one line says what and how to mend it; nothing that it holds has suffered. */
static void test_store_full(void)
{
    struct esp_joiner_config config = config_of(0);
    config.max_store_bytes = 8 * 4096;
    struct esp_joiner *joiner = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    struct join_result result;
    join_result_init(&result);
    char id[16], payload[40] = "";
    struct esp_header header = {.time_us = 5, .log_time_us = 5};
    header.payload = header.raw = esp_bytes(payload, sizeof payload);
    enum esp_status status = ESP_OK;
    unsigned n = 0;
    for (; n < 10000 && status == ESP_OK; n++) {
        header.id = esp_bytes(id, (size_t)g_snprintf(id, sizeof id, "%u", n));
        header.id_hash = esp_hash(header.id);
        status = esp_joiner_push(joiner, ESP_IMPRESSION, 0, &header, 1, &err);
    }
    g_assert_cmpint(status, ==, ESP_ELIMIT);
    g_assert_cmpuint(n, ==, 8 * 63 + 1); /* 8 segments of 255 units, a record is 4 */
    g_assert_nonnull(strstr(err.text, "shorten join.click_window"));
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        g_assert_cmpint(esp_joiner_end(joiner, (enum esp_event_kind)kind, 0, true, NULL), ==,
                        ESP_OK);
    g_assert_cmpint(esp_joiner_close(joiner, NULL), ==, ESP_OK);
    size_t n_labels = 0, some;
    while ((some = join_take(joiner, 64, &result)) > 0)
        n_labels += some;
    g_assert_cmpuint(n_labels, ==, n - 1); /* all but the one that failed */
    join_result_clear(&result);
    esp_joiner_free(joiner);
}

static void test_too_large(void)
{
    struct esp_joiner_config config = config_of(0);
    struct esp_joiner *joiner = NULL;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    static uint8_t bytes[70000];
    struct esp_header headers[3] = {{.time_us = 5, .log_time_us = 5},
                                    {.time_us = 6, .log_time_us = 6}};
    headers[0].id = esp_bytes(bytes, 1);
    headers[0].payload = esp_bytes(bytes, 4096); /* no segment of 4096 bytes can hold it */
    headers[1].id = esp_bytes(bytes, 65536);
    headers[2] = (struct esp_header){.time_us = INT64_MAX, .log_time_us = ESP_TIME_NONE};
    headers[2].id = headers[0].id;
    for (size_t i = 0; i < 3; i++)
        headers[i].id_hash = esp_hash(headers[i].id);
    g_assert_cmpint(esp_joiner_push(joiner, ESP_IMPRESSION, 0, headers, 3, NULL), ==, ESP_OK);
    struct esp_join_counters counters;
    esp_joiner_counters(joiner, ESP_IMPRESSION, &counters);
    g_assert_cmpuint(counters.dead_by_reason[ESP_REJECT_TOO_LARGE], ==, 2);
    g_assert_cmpuint(counters.dead_by_reason[ESP_REJECT_TIME_RANGE], ==, 1);
    g_assert_cmpint(esp_joiner_partition_watermark(joiner, ESP_IMPRESSION, 0), ==, ESP_TIME_NONE);
    esp_joiner_check(joiner);
    esp_joiner_free(joiner);
}

static void test_bad_config(void)
{
    struct esp_joiner *joiner = NULL;
    struct esp_joiner_config config = config_of(0);
    config.click_window_us = -1;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_EINVAL);
    config = config_of(0);
    config.n_partitions[ESP_IMPRESSION] = 0;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_EINVAL);
    config = config_of(0);
    config.segment_bytes = 100;
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_EINVAL);
    g_assert_null(joiner);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/joiner/label/\"%s\"", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    g_test_add_func("/joiner/\"tickets number click stages and stay with their impression\"",
                    test_tickets);
    g_test_add_func("/joiner/\"what arrives behind an idle partition's W is late and told apart\"",
                    test_idle);
    g_test_add_func("/joiner/\"under hold what is not mature stays pending\"", test_hold);
    g_test_add_func("/joiner/\"under hold what a clock holds stays held, until time is closed\"",
                    test_hold_held);
    g_test_add_func("/joiner/\"an added partition holds W until it speaks\"", test_added);
    g_test_add_func("/joiner/\"a full store is said in one line\"", test_store_full);
    g_test_add_func("/joiner/\"what cannot be stored is dead and moves no time\"", test_too_large);
    g_test_add_func("/joiner/\"a configuration that cannot be is refused\"", test_bad_config);
    return g_test_run();
}
