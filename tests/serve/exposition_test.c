/* exposition_test.c - the text that Prometheus reads, and what is refused before it gets there. */
#include "serve/exposition.h"

#include <math.h>

#include "testkit.h"

static struct esp_buf buf;
static struct esp_exposition x;

static void begin(void)
{
    esp_buf_release(&buf);
    esp_buf_init(&buf, 1 << 20);
    esp_exposition_begin(&x, &buf);
}

/* Ends what begin() began and compares it. */
static void assert_text(const char *want)
{
    struct esp_error err = {0};
    g_assert_cmpint(esp_exposition_end(&x, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    char *got = g_strndup((const char *)buf.data, buf.size);
    g_assert_cmpstr(got, ==, want);
    g_free(got);
}

static void test_families(void)
{
    begin();
    esp_exposition_family(&x, ESP_COUNTER, "events_total", "Events.");
    esp_exposition_count(&x, 3, "topic", "clicks", "fate", "late", NULL);
    esp_exposition_count(&x, 0, "topic", "installs", "fate", "late", NULL);
    esp_exposition_family(&x, ESP_GAUGE, "lag_seconds", "Lag.");
    esp_exposition_sample(&x, -0.5, NULL);
    assert_text("# HELP events_total Events.\n"
                "# TYPE events_total counter\n"
                "events_total{topic=\"clicks\",fate=\"late\"} 3\n"
                "events_total{topic=\"installs\",fate=\"late\"} 0\n"
                "# HELP lag_seconds Lag.\n"
                "# TYPE lag_seconds gauge\n"
                "lag_seconds -0.5\n");
}

static void test_escapes(void)
{
    begin();
    esp_exposition_family(&x, ESP_GAUGE, "a", "back\\slash, new\nline, \"quotes\"");
    esp_exposition_sample(&x, 1, "b", "back\\slash, new\nline, \"quotes\"", NULL);
    esp_exposition_sample(&x, 1, "b", "", NULL);
    esp_exposition_sample(&x, 1, "b", "\\", NULL);
    esp_exposition_sample(&x, 1, "b", "Zürich", NULL);
    assert_text("# HELP a back\\\\slash, new\\nline, \"quotes\"\n"
                "# TYPE a gauge\n"
                "a{b=\"back\\\\slash, new\\nline, \\\"quotes\\\"\"} 1\n"
                "a{b=\"\"} 1\n"
                "a{b=\"\\\\\"} 1\n"
                "a{b=\"Zürich\"} 1\n");
}

static void test_keeps_what_is_there(void)
{
    begin();
    esp_buf_append(&buf, "# first\n", 8, NULL);
    esp_exposition_family(&x, ESP_GAUGE, "a", "A.");
    assert_text("# first\n# HELP a A.\n# TYPE a gauge\n");
}

static void test_large_counts(void)
{
    begin();
    esp_exposition_family(&x, ESP_COUNTER, "a_total", "A.");
    esp_exposition_count(&x, (UINT64_C(1) << 53) + 1, NULL);
    esp_exposition_count(&x, UINT64_MAX, NULL);
    assert_text("# HELP a_total A.\n# TYPE a_total counter\n"
                "a_total 9007199254740993\na_total 18446744073709551615\n");
}

static const struct {
    const char *name;
    double value;
    const char *text;
} reals[] = {
    {"zero", 0, "0"},
    {"minus zero keeps its sign", -0.0, "-0"},
    {"a tenth is not seventeen digits", 0.1, "0.1"},
    {"a sum of tenths is", 0.1 + 0.2, "0.30000000000000004"},
    {"a third has sixteen", 1.0 / 3, "0.3333333333333333"},
    {"a whole number has no point", 1714566000, "1714566000"},
    {"the smallest", 4.9406564584124654e-324, "4.94065645841247e-324"},
    {"the largest", 1.7976931348623157e308, "1.7976931348623157e+308"},
    {"not a number", NAN, "NaN"},
    {"infinity has its sign", INFINITY, "+Inf"},
    {"minus infinity", -INFINITY, "-Inf"},
};

static void test_real(gconstpointer data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    char text[ESP_REAL_TEXT_SIZE];
    g_assert_cmpstr(esp_real_format(reals[i].value, text), ==, reals[i].text);
}

static void test_round_trip(void)
{
    struct test_random random = {1};
    for (int i = 0; i < 100000; i++) {
        union {
            uint64_t bits;
            double value;
        } want = {.bits = test_random_u64(&random)}, got;
        if (isnan(want.value))
            continue;
        char text[ESP_REAL_TEXT_SIZE];
        got.value = g_ascii_strtod(esp_real_format(want.value, text), NULL);
        g_assert_cmpuint(got.bits, ==, want.bits);
        if (g_test_failed())
            return;
    }
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static void name_twice(void)
{
    esp_exposition_family(&x, ESP_GAUGE, "a", "A.");
    esp_exposition_family(&x, ESP_GAUGE, "b", "B.");
    esp_exposition_family(&x, ESP_GAUGE, "a", "A.");
}

static void sample_first(void)
{
    esp_exposition_sample(&x, 1, NULL);
}

static void bad_name(void)
{
    esp_exposition_family(&x, ESP_GAUGE, "1a", "A.");
}

static void bad_character(void)
{
    esp_exposition_family(&x, ESP_GAUGE, "a-b", "A.");
}

static void bad_label(void)
{
    esp_exposition_family(&x, ESP_GAUGE, "a", "A.");
    esp_exposition_sample(&x, 1, "b:c", "1", NULL);
}

static void reserved_label(void)
{
    esp_exposition_family(&x, ESP_GAUGE, "a", "A.");
    esp_exposition_sample(&x, 1, "__name__", "1", NULL);
}

static void counter_without_total(void)
{
    esp_exposition_family(&x, ESP_COUNTER, "a", "A.");
}

static void gauge_with_total(void)
{
    esp_exposition_family(&x, ESP_GAUGE, "a_total", "A.");
}

static void milliseconds(void)
{
    esp_exposition_family(&x, ESP_GAUGE, "a_ms", "A.");
}

static void total_minutes(void)
{
    esp_exposition_family(&x, ESP_COUNTER, "a_minutes_total", "A.");
}

static void negative_counter(void)
{
    esp_exposition_family(&x, ESP_COUNTER, "a_total", "A.");
    esp_exposition_sample(&x, -1, NULL);
}

static void undefined_counter(void)
{
    esp_exposition_family(&x, ESP_COUNTER, "a_total", "A.");
    esp_exposition_sample(&x, NAN, NULL);
}

static void label_twice(void)
{
    esp_exposition_family(&x, ESP_GAUGE, "a", "A.");
    esp_exposition_sample(&x, 1, "b", "1", "c", "2", "b", "3", NULL);
}

static const struct misuse {
    const char *name;
    void (*commit)(void);
    const char *text;
} misuses[] = {
    {"a sample needs a family", sample_first, "invariant (1) is broken by a sample"},
    {"a name begins one family", name_twice, "invariant (2) is broken by a: the name is taken"},
    {"a name does not begin with a digit", bad_name, "invariant (3) is broken by 1a"},
    {"a name has no hyphen", bad_character, "invariant (3) is broken by a-b"},
    {"a label has no colon", bad_label, "invariant (3) is broken by a: b:c"},
    {"a label does not begin with __", reserved_label, "invariant (3) is broken by a: __name__"},
    {"a counter ends in _total", counter_without_total, "a counter without _total"},
    {"a gauge does not", gauge_with_total, "a gauge named _total"},
    {"a time is in seconds", milliseconds, "invariant (5) is broken by a_ms"},
    {"a total time is too", total_minutes, "invariant (5) is broken by a_minutes_total"},
    {"a counter is not negative", negative_counter, "invariant (6) is broken by a_total: -1"},
    {"a counter is a number", undefined_counter, "invariant (6) is broken by a_total: NaN"},
    {"a label stands once", label_twice, "invariant (7) is broken by a: b"},
};

static void test_misuse(gconstpointer data)
{
    const struct misuse *misuse = data;
    struct esp_error err = {0};
    begin();
    misuse->commit();
    esp_exposition_family(&x, ESP_GAUGE, "what_follows", "Is passed over.");
    g_assert_cmpint(esp_exposition_end(&x, &err), ==, ESP_EBUG);
    if (strstr(err.text, misuse->text) == NULL)
        g_test_fail_printf("\"%s\" does not say \"%s\"", err.text, misuse->text);
}

static void test_limits(void)
{
    struct esp_error err = {0};
    esp_buf_release(&buf);
    esp_buf_init(&buf, 40);
    esp_exposition_begin(&x, &buf);
    esp_exposition_family(&x, ESP_GAUGE, "a", "A help that is longer than the buffer may be.");
    g_assert_cmpint(esp_exposition_end(&x, &err), ==, ESP_ELIMIT);

    static char names[ESP_MAX_FAMILIES + 1][8];
    begin();
    for (int i = 0; i <= ESP_MAX_FAMILIES; i++) {
        g_snprintf(names[i], sizeof names[i], "a%d", i);
        g_assert_cmpint(esp_exposition_end(&x, NULL), ==, ESP_OK);
        esp_exposition_family(&x, ESP_GAUGE, names[i], "A.");
    }
    g_assert_cmpint(esp_exposition_end(&x, NULL), ==, ESP_ELIMIT);

    begin();
    esp_exposition_family(&x, ESP_GAUGE, "a", "A.");
    esp_exposition_sample(&x, 1, "a", "", "b", "", "c", "", "d", "", "e", "", "f", "", "g", "", "h",
                          "", NULL);
    g_assert_cmpint(esp_exposition_end(&x, NULL), ==, ESP_OK);
    esp_exposition_sample(&x, 1, "a", "", "b", "", "c", "", "d", "", "e", "", "f", "", "g", "", "h",
                          "", "i", "", NULL);
    g_assert_cmpint(esp_exposition_end(&x, NULL), ==, ESP_ELIMIT);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/exposition/samples stand below their family's head", test_families);
    g_test_add_func("/exposition/help and labels are escaped", test_escapes);
    g_test_add_func("/exposition/what the buffer has stays", test_keeps_what_is_there);
    g_test_add_func("/exposition/counts past 2^53 are exact", test_large_counts);
    for (size_t i = 0; i < G_N_ELEMENTS(reals); i++) {
        char *path = g_strdup_printf("/exposition/reals/%s", reals[i].name);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_real);
        g_free(path);
    }
    g_test_add_func("/exposition/any double reads back as itself", test_round_trip);
    for (size_t i = 0; i < G_N_ELEMENTS(misuses); i++) {
        char *path = g_strdup_printf("/exposition/refused/%s", misuses[i].name);
        g_test_add_data_func(path, &misuses[i], test_misuse);
        g_free(path);
    }
    g_test_add_func("/exposition/buffer, families and labels have limits", test_limits);
    int code = g_test_run();
    esp_buf_release(&buf);
    return code;
}
