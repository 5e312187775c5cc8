/*
 * partition_clock_test.c - the rules of partition_clock.h, case by case.
 *
 * Grace 10, future 5, ahead 100. A script holds the times of one partition, "TIME" or
 * "TIME@LOGTIME". The answer has a letter an event, in the order read: a accepted, l late,
 * f beyond its log's timestamp, d dead after it was held, h still held when the script ends.
 */
#include "join/partition_clock.h"

#include "testkit.h"

struct row {
    const char *name, *script, *fates;
    int64_t watermark_us; /* after it; ESP_TIME_NONE: none */
};

static const struct row rows[] = {
    {"nothing has no watermark", "", "", ESP_TIME_NONE},
    {"the first is held", "50", "h", ESP_TIME_NONE},
    {"so is the second", "50 60", "hh", ESP_TIME_NONE},
    {"three in a row that agree are accepted", "50 60 55", "aaa", 50},
    {"three in a row may be as far apart as the limit", "0 100 50", "aaa", 90},
    {"and no further", "0 101 50", "hhh", ESP_TIME_NONE},
    {"a wild record at the start dies and does not poison", "9999 50 60 55", "daaa", 50},
    {"a wild record in second place takes nobody along", "50 9999 60 55 56", "adaaa", 50},
    {"a wild record in third place takes nobody along", "50 60 9999 55 56 57", "aadaaa", 50},
    {"a wild record that is far behind dies as well", "-9999 50 60 55", "daaa", 50},
    {"two wild records at the start die", "9999 9998 50 60 55", "ddaaa", 50},
    {"a wild record later on dies with the next good one", "1 2 3 9999 4", "aaada", -6},
    {"it does not raise the watermark", "1 2 3 9999", "aaah", -7},
    {"wild ones among good ones never add up to three", "1 2 3 9999 4 9999 5 9999 6", "aaadadada",
     -4},
    {"a true jump is believed at its third record", "1 2 3 500 510 520", "aaaaaa", 510},
    {"a jump with a wild record in it", "1 2 3 500 9999 510 520 530", "aaaadaaa", 520},
    {"just within the limit nothing is held", "1 2 3 103", "aaaa", 93},
    {"a late one is late", "1 2 50 39", "aaal", 40},
    {"at the watermark it is not late", "1 2 50 40", "aaaa", 40},
    {"the order within the first three makes none of them late", "50 60 30", "aaa", 50},
    {"a late one ends a row", "1 2 50 200 39 201 202", "aaadlhh", 40},
    {"what agrees with the good one that ended the row is accepted", "1 2 3 104 90", "aaaaa", 94},
    {"with timestamps nothing is held", "50@50 9000@9000 60@60", "aal", 8990},
    {"up to `future` after its timestamp it is trusted", "55@50", "a", 45},
    {"further it is dead, and moves nothing", "56@50 20@50", "fa", 10},
    {"the dead of the future do not end a row", "50 9999@3 51 52", "afaa", 42},
    {"a trusted one settles what is held", "50 9999 60@60", "ada", 50},
    {"an extreme timestamp does no harm", "50@9223372036854775807 51@-9223372036854775807", "af",
     40},
    {"over sixteen held the oldest dies",
     "0 1000 2000 3000 4000 5000 6000 7000 8000 9000 10000 11000 12000 13000 14000 15000 16000",
     "dhhhhhhhhhhhhhhhh", ESP_TIME_NONE},
};

/* Fates of the events that are held, by their place in the script. */
struct fates {
    char letters[32];
    size_t held[ESP_MAX_HELD + 1], n_held;
};

static void settle(struct fates *fates, const struct esp_settlement *settlement)
{
    for (size_t i = 0; i < settlement->n_settled; i++)
        fates->letters[fates->held[i]] = settlement->accepted[i] ? 'a' : 'd';
    fates->n_held -= settlement->n_settled;
    memmove(fates->held, fates->held + settlement->n_settled, fates->n_held * sizeof *fates->held);
}

static void run_script(const char *script, struct esp_partition_clock *clock, struct fates *fates)
{
    char **words = g_strsplit(script, " ", 0);
    esp_partition_clock_init(clock, 10, 5, 100);
    *fates = (struct fates){0};
    for (size_t i = 0; words[i] != NULL && words[i][0] != '\0'; i++) {
        char **parts = g_strsplit(words[i], "@", 2);
        int64_t log_us = parts[1] != NULL ? g_ascii_strtoll(parts[1], NULL, 10) : ESP_TIME_NONE;
        struct esp_settlement settlement;
        enum esp_ruling ruling = esp_partition_clock_see(clock, g_ascii_strtoll(parts[0], NULL, 10),
                                                         log_us, &settlement);
        settle(fates, &settlement);
        fates->letters[i] = "alfh"[ruling];
        if (ruling == ESP_RULING_HOLD)
            fates->held[fates->n_held++] = i;
        g_strfreev(parts);
    }
    g_strfreev(words);
}

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    struct esp_partition_clock clock;
    struct fates fates;
    run_script(row->script, &clock, &fates);
    g_assert_cmpstr(fates.letters, ==, row->fates);
    g_assert_cmpint(esp_partition_clock_watermark(&clock), ==, row->watermark_us);
    g_assert_cmpuint(clock.n_held, ==, fates.n_held);
}

static void test_end(void)
{
    struct esp_partition_clock clock;
    struct esp_settlement settlement;
    struct fates fates;
    run_script("50 9999", &clock, &fates);
    esp_partition_clock_end(&clock, &settlement);
    settle(&fates, &settlement);
    g_assert_cmpstr(fates.letters, ==, "aa");
    g_assert_cmpint(esp_partition_clock_watermark(&clock), ==, 9989);
    g_assert_cmpuint(clock.n_held, ==, 0);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/partition_clock/\"%s\"", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    g_test_add_func("/partition_clock/\"what is held when the partition ends is accepted\"",
                    test_end);
    return g_test_run();
}
