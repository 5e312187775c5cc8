/* settings_test.c - a table, a configuration, and what comes out: values, reports, the manual. */
#include "core/settings.h"

#include <math.h>
#include <string.h>

#include "core/reports_helper.h"
#include "core/timespan.h"
#include "testkit.h"

struct target {
    const char *topic, *path;
    struct esp_setting_list fields;
    bool follow;
    int64_t batch, window, start;
    double rate;
    uint64_t memory;
    int correction;
};

#define AT(field) offsetof(struct target, field)
#define SECTION   "join"

static const struct esp_setting table[] = {
    {SECTION, "topic", ESP_SETTING_TEXT, AT(topic), "clicks", 0, 0, NULL, false, "Where from."},
    {SECTION, "path", ESP_SETTING_TEXT, AT(path), NULL, 0, 0, NULL, false, "Where to."},
    {SECTION, "fields", ESP_SETTING_LIST, AT(fields), NULL, 0, 0, NULL, false, "What."},
    {SECTION, "follow", ESP_SETTING_BOOL, AT(follow), "off", 0, 0, NULL, false, "On and on."},
    {SECTION, "batch", ESP_SETTING_INT, AT(batch), "512", 1, 65536, NULL, false, "How many."},
    {SECTION, "click_window", ESP_SETTING_SPAN, AT(window), "1h", 1e6, 30 * 86400e6, NULL, false,
     "How long."},
    {SECTION, "start", ESP_SETTING_TIME, AT(start), "2024-01-01", 0, 0, NULL, false, "From when."},
    {SECTION, "rate", ESP_SETTING_REAL, AT(rate), "0.05", 0, INFINITY, NULL, false, "How fast."},
    {SECTION, "memory", ESP_SETTING_SIZE, AT(memory), "2GiB", 1 << 20, 0x1p63, NULL, false,
     "How much."},
    {SECTION, "correction", ESP_SETTING_CHOICE, AT(correction), "weight", 0, 0, "weight|offset",
     false, "Which."},
    {"model *", "setup", ESP_SETTING_TEXT, AT(topic), NULL, 0, 0, NULL, true, "Which one."},
    {"model *", "batch", ESP_SETTING_INT, AT(batch), "7", 0, 0, NULL, false, "How many."},
};

/* One key's text and what it becomes, or what is said about it. */
struct row {
    const char *name, *entry;
    const char *value;  /* see show(); NULL: reported */
    const char *report; /* behind "f:2: [join] " */
};

static const struct row rows[] = {
    {"a text", "topic = a b", "topic=a b", NULL},
    {"an empty text", "topic =", "topic=", NULL},
    {"a text not given is the default", "", "topic=clicks", NULL},
    {"a text without a default is NULL", "", "path=NULL", NULL},
    {"a list", "fields = a.b ,c,\td e", "fields=<a.b><c><d e>", NULL},
    {"a list of one", "fields = a", "fields=<a>", NULL},
    {"an empty list", "fields =", "fields=", NULL},
    {"an empty item in a list", "fields = a,,b", NULL,
     "fields = a,,b: item 2 of the list is empty; take the comma away"},
    {"a comma at the end of a list", "fields = a,", NULL,
     "fields = a,: item 2 of the list is empty; take the comma away"},
    {"on", "follow = on", "follow=1", NULL},
    {"yes", "follow = yes", "follow=1", NULL},
    {"true", "follow = true", "follow=1", NULL},
    {"1", "follow = 1", "follow=1", NULL},
    {"off", "follow = off", "follow=0", NULL},
    {"no switch", "follow = maybe", NULL, "follow = maybe: not a switch; write on or off"},
    {"a whole number", "batch = 64", "batch=64", NULL},
    {"a number's least", "batch = 1", "batch=1", NULL},
    {"a number's most", "batch = 65536", "batch=65536", NULL},
    {"below the range", "batch = 0", NULL,
     "batch = 0: out of range; write a whole number from 1 to 65536"},
    {"above the range", "batch = 65537", NULL,
     "batch = 65537: out of range; write a whole number from 1 to 65536"},
    {"far above the range", "batch = 99999999999999999999", NULL,
     "batch = 99999999999999999999: out of range; write a whole number from 1 to 65536"},
    {"no whole number", "batch = 1.5", NULL, "batch = 1.5: not a whole number; write digits only"},
    {"no number", "batch = many", NULL, "batch = many: not a whole number; write digits only"},
    {"a sign alone", "batch = -", NULL, "batch = -: not a whole number; write digits only"},
    {"nothing for a number", "batch =", NULL, "batch = : not a whole number; write digits only"},
    {"a span", "click_window = 90m", "window=5400000000", NULL},
    {"no span", "click_window = banana", NULL,
     "click_window = banana: not a span; write a number and a unit, such as 30s, 1h or 7d"},
    {"a span out of range", "click_window = 31d", NULL,
     "click_window = 31d: out of range; write a span from 1s to 30d"},
    {"a time", "start = 1970-01-01T00:00:01Z", "start=1000000", NULL},
    {"no time", "start = today", NULL,
     "start = today: not a time; write it as 2024-05-01 or 2024-05-01T13:20:00Z"},
    {"a number with a fraction", "rate = 0.25", "rate=0.25", NULL},
    {"a number with an exponent", "rate = 1e-3", "rate=0.001", NULL},
    {"a negative number where none may be", "rate = -1", NULL,
     "rate = -1: out of range; write a number at least 0"},
    {"an infinity", "rate = inf", NULL, "rate = inf: not a number; write it like 0.05 or 1e-3"},
    {"a number too large for a double", "rate = 1e999", NULL,
     "rate = 1e999: not a number; write it like 0.05 or 1e-3"},
    {"a hexadecimal number", "rate = 0x10", NULL,
     "rate = 0x10: not a number; write it like 0.05 or 1e-3"},
    {"bytes", "memory = 4194304", "memory=4194304", NULL},
    {"KiB", "memory = 2048KiB", "memory=2097152", NULL},
    {"MiB with a fraction", "memory = 1.5MiB", "memory=1572864", NULL},
    {"GiB with a blank", "memory = 2 GiB", "memory=2147483648", NULL},
    {"MB is a million", "memory = 1.5MB", "memory=1500000", NULL},
    {"a size too small", "memory = 1KiB", NULL,
     "memory = 1KiB: out of range; write a size in bytes at least 1MiB"},
    {"a size beyond 64 bits", "memory = 99999999999TiB", NULL,
     "memory = 99999999999TiB: not a whole number of bytes below 2^63; write a smaller unit"},
    {"a size that ends inside a byte", "memory = 0.3GiB", NULL,
     "memory = 0.3GiB: not a whole number of bytes below 2^63; write a smaller unit"},
    {"no size", "memory = all", NULL,
     "memory = all: not a size; write bytes with a unit, such as 512KiB, 64MiB or 2GiB"},
    {"a choice", "correction = offset", "correction=1", NULL},
    {"no choice", "correction = weigh", NULL,
     "correction = weigh: not a choice; write weight or offset"},
    {"an unknown key with a near one", "click_windw = 1h", NULL,
     "click_windw: unknown key; did you mean click_window?"},
    {"an unknown key with none near", "zebra = 1", NULL,
     "zebra: unknown key; remove it, or see the manual for this section's keys"},
};

/* Every field, " name=value" a field. */
static char *show(const struct target *target)
{
    GString *text = g_string_new(NULL);
    g_string_append_printf(
        text, " topic=%s path=%s fields=", target->topic == NULL ? "NULL" : target->topic,
        target->path == NULL ? "NULL" : target->path);
    for (size_t i = 0; i < target->fields.n_items; i++)
        g_string_append_printf(text, "<%s>", target->fields.items[i]);
    g_string_append_printf(
        text, " follow=%d batch=%ld window=%ld start=%ld rate=%g memory=%lu correction=%d ",
        target->follow, (long)target->batch, (long)target->window, (long)target->start,
        target->rate, (unsigned long)target->memory, target->correction);
    return g_string_free(text, FALSE);
}

struct fixture {
    struct esp_ini ini;
    struct esp_settings_arena *arena;
    GString *reports;
    struct target target;
};

static void set_up(struct fixture *fixture, const char *text)
{
    memset(fixture, 0, sizeof *fixture);
    esp_ini_init(&fixture->ini);
    fixture->reports = g_string_new(NULL);
    fixture->arena = esp_settings_arena_new();
    g_assert_cmpint(esp_ini_parse(&fixture->ini, "f", text, strlen(text), gather_report,
                                  fixture->reports, NULL),
                    ==, ESP_OK);
}

static void tear_down(struct fixture *fixture)
{
    esp_ini_release(&fixture->ini);
    esp_settings_arena_free(fixture->arena);
    g_string_free(fixture->reports, TRUE);
}

static enum esp_status apply(struct fixture *fixture, const char *section, const char *ini_section,
                             struct esp_error *err)
{
    return esp_settings_apply(table, G_N_ELEMENTS(table), section, &fixture->ini, ini_section,
                              &fixture->target, fixture->arena, gather_report, fixture->reports,
                              err);
}

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    char *text = g_strdup_printf("[join]\n%s\n", row->entry);
    char *want_report =
        row->report == NULL ? g_strdup("") : g_strdup_printf("f:2: [join] %s\n", row->report);
    struct fixture fixture;
    struct esp_error err = {0};
    set_up(&fixture, text);
    enum esp_status status = apply(&fixture, "join", "join", &err);
    char *got = show(&fixture.target);
    g_assert_cmpstr(fixture.reports->str, ==, want_report);
    g_assert_cmpint(status, ==, row->report == NULL ? ESP_OK : ESP_ECONFIG);
    if (row->value != NULL && strstr(got, row->value) == NULL)
        g_test_fail_printf("want %s in %s", row->value, got);
    g_free(got);
    g_free(text);
    g_free(want_report);
    tear_down(&fixture);
}

static void test_defaults(void)
{
    struct fixture fixture;
    set_up(&fixture, "");
    g_assert_cmpint(apply(&fixture, "join", "join", NULL), ==, ESP_OK);
    char *got = show(&fixture.target);
    g_assert_cmpstr(got, ==,
                    " topic=clicks path=NULL fields= follow=0 batch=512 window=3600000000 "
                    "start=1704067200000000 rate=0.05 memory=2147483648 correction=0 ");
    g_free(got);
    tear_down(&fixture);
}

static void test_repeated(void)
{
    struct fixture fixture;
    set_up(&fixture, "[model]\nsetup = ipsp\n[model fast]\nsetup = esmm\nbatch = 9\n");
    g_assert_cmpint(apply(&fixture, "model *", "model", NULL), ==, ESP_OK);
    g_assert_cmpstr(fixture.target.topic, ==, "ipsp");
    g_assert_cmpint(fixture.target.batch, ==, 7);
    g_assert_cmpint(apply(&fixture, "model *", "model fast", NULL), ==, ESP_OK);
    g_assert_cmpstr(fixture.target.topic, ==, "esmm");
    g_assert_cmpint(fixture.target.batch, ==, 9);
    tear_down(&fixture);
}

static void test_required(void)
{
    struct fixture fixture;
    set_up(&fixture, "[join]\n\n[model fast]\n");
    g_assert_cmpint(apply(&fixture, "model *", "model fast", NULL), ==, ESP_ECONFIG);
    g_assert_cmpint(apply(&fixture, "model *", "model slow", NULL), ==, ESP_ECONFIG);
    g_assert_cmpstr(
        fixture.reports->str, ==,
        "f:3: [model fast] setup: missing; add a line setup = ...\n"
        "f: [model slow] setup: missing; add a section [model slow] with a line setup = ...\n");
    tear_down(&fixture);
}

static void test_all_problems(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    set_up(&fixture, "[join]\nbatch = x\ntopc = 1\nrate = 2\nmemory = y\n");
    g_assert_cmpint(apply(&fixture, "join", "join", &err), ==, ESP_ECONFIG);
    g_assert_cmpstr(
        fixture.reports->str, ==,
        "f:2: [join] batch = x: not a whole number; write digits only\n"
        "f:5: [join] memory = y: not a size; write bytes with a unit, such as 512KiB, 64MiB or "
        "2GiB\n"
        "f:3: [join] topc: unknown key; did you mean topic?\n");
    g_assert_cmpstr(err.text, ==, "f:2: [join] batch = x: not a whole number; write digits only");
    g_assert_cmpfloat(fixture.target.rate, ==, 2); /* the good ones are set */
    tear_down(&fixture);
}

static void test_bad_default(void)
{
    static const struct esp_setting bad = {"join", "batch", ESP_SETTING_INT, AT(batch), "x", 0,
                                           0,      NULL,    false,           ""};
    struct fixture fixture;
    set_up(&fixture, "");
    g_assert_cmpint(esp_settings_apply(&bad, 1, "join", &fixture.ini, "join", &fixture.target,
                                       fixture.arena, gather_report, fixture.reports, NULL),
                    ==, ESP_ECONFIG);
    g_assert_cmpstr(fixture.reports->str, ==,
                    "built-in default: [join] batch = x: not a whole number; write digits only\n");
    tear_down(&fixture);
}

static void test_sections(void)
{
    static const char *const passthrough[] = {"kafka", NULL};
    struct fixture fixture;
    set_up(&fixture, "stray = 1\n[join]\n[model]\n[model a b]\n[kafka]\nx.y = 1\n[kafak]\n"
                     "[modle fast]\n[models]\n[zebra]\n");
    g_assert_cmpint(esp_settings_check_sections(table, G_N_ELEMENTS(table), &fixture.ini,
                                                passthrough, gather_report, fixture.reports, NULL),
                    ==, ESP_ECONFIG);
    g_assert_cmpstr(fixture.reports->str, ==,
                    "f:1: a key before the first section; write a [section] above it\n"
                    "f:7: [kafak]: unknown section; did you mean [kafka]?\n"
                    "f:8: [modle fast]: unknown section; did you mean [model fast]?\n"
                    "f:9: [models]: unknown section; did you mean [model]?\n"
                    "f:10: [zebra]: unknown section; remove it, or see the manual for the "
                    "sections\n");
    tear_down(&fixture);
}

static void test_nearest(void)
{
    static const char *const known[] = {"click_window", "install_window", "grace", "at_end"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"click_windw", "click_window"}, /* one missing */
        {"clik_windw", "click_window"},  /* two missing */
        {"garce", "grace"},              /* two neighbours swapped are one slip */
        {"Grace", "grace"},              /* wrong case */
        {"at-end", "at_end"},
        {"grxye", NULL}, /* two of five letters are more than a third */
        {"gr", NULL},    /* too short for a slip */
        {"window", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpstr(esp_nearest_word(cases[i].word, known, G_N_ELEMENTS(known)), ==,
                        cases[i].nearest);
    char *long_word = g_strnfill(10000, 'g');
    g_assert_null(esp_nearest_word(long_word, known, G_N_ELEMENTS(known)));
    g_free(long_word);
}

static void test_manual(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    esp_settings_write_manual(table, G_N_ELEMENTS(table), out);
    fclose(out);
    g_assert_cmpstr(text, ==,
                    "## [join]\n\n"
                    "- `topic`: text, default `clicks`. Where from.\n"
                    "- `path`: text, no default. Where to.\n"
                    "- `fields`: list, separated by commas, no default. What.\n"
                    "- `follow`: on or off, default `off`. On and on.\n"
                    "- `batch`: whole number from 1 to 65536, default `512`. How many.\n"
                    "- `click_window`: span from 1s to 30d, default `1h`. How long.\n"
                    "- `start`: time, default `2024-01-01`. From when.\n"
                    "- `rate`: number at least 0, default `0.05`. How fast.\n"
                    "- `memory`: size in bytes at least 1MiB, default `2GiB`. How much.\n"
                    "- `correction`: `weight` or `offset`, default `weight`. Which.\n"
                    "\n"
                    "## [model NAME]\n\n"
                    "May stand several times, each with a name of its own. `[model]` without a "
                    "name is the one named `main`.\n\n"
                    "- `setup`: text, required. Which one.\n"
                    "- `batch`: whole number, default `7`. How many.\n");
    free(text);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/settings/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    g_test_add_func("/settings/what is not given gets its default", test_defaults);
    g_test_add_func("/settings/a repeated section is one instance each", test_repeated);
    g_test_add_func("/settings/a required key that is missing is named", test_required);
    g_test_add_func("/settings/all problems are reported, and the good keys set",
                    test_all_problems);
    g_test_add_func("/settings/a bad default in the table is reported", test_bad_default);
    g_test_add_func("/settings/unknown sections are reported, others pass", test_sections);
    g_test_add_func("/settings/the nearest word is found within a third of it", test_nearest);
    g_test_add_func("/settings/the manual shows type, range and default", test_manual);
    return g_test_run();
}
