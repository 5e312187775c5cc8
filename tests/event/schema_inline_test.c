/* schema_inline_test.c - schemas with references become one text that means the same. */
#include "event/schema_inline.h"

#include "event/avro_schema.h"
#include "testkit.h"

#define RECORD(head, fields) "{\"type\":\"record\"," head ",\"fields\":[" fields "]}"
#define NAMED(name)          "\"name\":\"" name "\""
#define SPACED(space, name)  "\"namespace\":\"" space "\",\"name\":\"" name "\""
#define FIELD(name, type)    "{\"name\":\"" name "\",\"type\":" type "}"
#define LONG                 "\"long\""

struct good_row {
    const char *name;
    const char *text, *referenced[3];
    const char *whole; /* the same by hand, in one text */
};

static const struct good_row good_rows[] = {
    {"nothing to refer to",
     RECORD(NAMED("A"), FIELD("x", LONG)),
     {RECORD(NAMED("B"), FIELD("y", LONG))},
     RECORD(NAMED("A"), FIELD("x", LONG))},
    {"a type where it is first named, and its name after that",
     RECORD(NAMED("A"), FIELD("x", "\"B\"") "," FIELD("y", "\"B\"")),
     {RECORD(NAMED("B"), FIELD("z", LONG))},
     RECORD(NAMED("A"), FIELD("x", RECORD(NAMED("B"), FIELD("z", LONG))) "," FIELD("y", "\"B\""))},
    {"a name by the namespace around it",
     RECORD(SPACED("s", "A"), FIELD("x", "\"B\"")),
     {RECORD(SPACED("s", "B"), FIELD("z", LONG))},
     RECORD(SPACED("s", "A"), FIELD("x", RECORD(SPACED("s", "B"), FIELD("z", LONG))))},
    {"a full name in another namespace, whose parts stay in it",
     RECORD(SPACED("s", "A"), FIELD("x", "\"t.B\"")),
     {RECORD(NAMED("t.B"), FIELD("z", "\"C\"")), RECORD(SPACED("t", "C"), FIELD("w", LONG))},
     RECORD(SPACED("s", "A"),
            FIELD("x", RECORD(SPACED("t", "B"),
                              FIELD("z", RECORD(SPACED("t", "C"), FIELD("w", LONG))))))},
    {"in unions, arrays and maps",
     RECORD(NAMED("A"),
            FIELD("x", "[\"null\",\"B\"]") "," FIELD(
                "y", "{\"type\":\"array\","
                     "\"items\":\"C\"}") "," FIELD("z", "{\"type\":\"map\",\"values\":\"C\"}")),
     {RECORD(NAMED("B"), FIELD("z", LONG)),
      "{\"type\":\"enum\",\"name\":\"C\",\"symbols\":[\"q\"]}"},
     RECORD(NAMED("A"),
            FIELD("x", "[\"null\"," RECORD(NAMED("B"), FIELD("z", LONG)) "]") "," FIELD(
                "y",
                "{\"type\":\"array\",\"items\":{\"type\":\"enum\",\"name\":\"C\","
                "\"symbols\":[\"q\"]}}") "," FIELD("z", "{\"type\":\"map\",\"values\":\"C\"}"))},
    {"a name in an object",
     RECORD(NAMED("A"), FIELD("x", "{\"type\":\"B\"}")),
     {"{\"type\":\"fixed\",\"name\":\"B\",\"size\":4}"},
     RECORD(NAMED("A"), FIELD("x", "{\"type\":\"fixed\",\"name\":\"B\",\"size\":4}"))},
    {"a part of a referenced schema, and then the whole of it",
     RECORD(NAMED("A"), FIELD("x", "\"C\"") "," FIELD("y", "\"B\"")),
     {RECORD(NAMED("B"), FIELD("z", RECORD(NAMED("C"), FIELD("w", LONG))))},
     RECORD(NAMED("A"), FIELD("x", RECORD(NAMED("C"), FIELD("w", LONG))) "," FIELD(
                            "y", RECORD(NAMED("B"), FIELD("z", "\"C\""))))},
    {"a type that contains itself",
     RECORD(NAMED("A"), FIELD("x", "\"B\"")),
     {RECORD(NAMED("B"), FIELD("next", "[\"null\",\"B\"]"))},
     RECORD(NAMED("A"), FIELD("x", RECORD(NAMED("B"), FIELD("next", "[\"null\",\"B\"]"))))},
    {"the schema itself is a name",
     "\"t.B\"",
     {RECORD(SPACED("t", "B"), FIELD("z", LONG))},
     RECORD(SPACED("t", "B"), FIELD("z", LONG))},
    {"the same type in two references",
     RECORD(NAMED("A"), FIELD("x", "\"B\"")),
     {RECORD(NAMED("B"), FIELD("z", LONG)), RECORD(NAMED("B"), FIELD("z", LONG))},
     RECORD(NAMED("A"), FIELD("x", RECORD(NAMED("B"), FIELD("z", LONG))))},
};

static size_t count(const char *const *texts)
{
    size_t n = 0;
    while (n < 3 && texts[n] != NULL)
        n++;
    return n;
}

/* The canonical form of a schema; freed with free(). */
static char *canonical(const char *json)
{
    struct esp_schema *schema = NULL;
    struct esp_error err = {0};
    char *text = NULL;
    uint64_t fingerprint = 0;
    if (esp_schema_parse(json, strlen(json), &schema, &err) != ESP_OK)
        g_test_fail_printf("%s: %s", err.text, json);
    else
        g_assert_cmpint(esp_schema_canonical(schema, &text, &fingerprint, NULL), ==, ESP_OK);
    esp_schema_free(schema);
    return text;
}

static void test_good(gconstpointer data)
{
    const struct good_row *row = data;
    struct esp_error err = {0};
    char *whole = NULL;
    enum esp_status status =
        esp_schema_inline(row->text, row->referenced, count(row->referenced), &whole, &err);
    g_assert_cmpstr(err.text, ==, "");
    if (status != ESP_OK)
        return;
    char *got = canonical(whole), *want = canonical(row->whole);
    g_assert_cmpstr(got, ==, want);
    free(got);
    free(want);
    free(whole);
}

/* What canonical forms leave out must stay: defaults, logical types, aliases. */
static void test_attributes_stay(void)
{
    static const char text[] =
        RECORD(NAMED("A"), "{\"name\":\"x\",\"type\":\"B\",\"default\":7,\"aliases\":[\"w\"]}");
    static const char *const referenced[] = {
        "{\"type\":\"fixed\",\"name\":\"B\",\"size\":4,\"logicalType\":\"decimal\"}"};
    char *whole = NULL;
    g_assert_cmpint(esp_schema_inline(text, referenced, 1, &whole, NULL), ==, ESP_OK);
    g_assert_cmpstr(whole, ==,
                    RECORD(NAMED("A"),
                           "{\"name\":\"x\",\"type\":{\"type\":\"fixed\",\"name\":\"B\",\"size\":4,"
                           "\"logicalType\":\"decimal\",\"namespace\":\"\"},\"default\":7,"
                           "\"aliases\":[\"w\"]}"));
    free(whole);
}

struct bad_row {
    const char *name;
    const char *text, *referenced[3];
    const char *message;
};

static const struct bad_row bad_rows[] = {
    {"a text that is no JSON",
     "{",
     {NULL},
     "not JSON: line 1: string or '}' expected near end of file"},
    {"a reference that is no JSON",
     "\"B\"",
     {"nonsense"},
     "not JSON: line 1: '[' or '{' expected near 'nonsense'"},
    {"two types of one name",
     "\"B\"",
     {RECORD(NAMED("B"), FIELD("z", LONG)), RECORD(NAMED("B"), FIELD("y", LONG))},
     "type B is defined twice, and not alike"},
    {"a type of a reference defined again",
     RECORD(NAMED("B"), FIELD("z", LONG)),
     {RECORD(NAMED("B"), FIELD("z", LONG))},
     "type B is defined here and in a reference"},
    {"a reference with a type without a name",
     "\"B\"",
     {"{\"type\":\"record\",\"fields\":[]}"},
     "a type without a proper name"},
    {"a type that a namespace hides",
     RECORD(NAMED("A"), FIELD("x", "\"C\"") "," FIELD("y", "\"t.B\"")),
     {RECORD(SPACED("t", "B"), FIELD("z", RECORD(SPACED("", "C"), FIELD("w", LONG))))},
     "type C has no namespace and cannot be named from within t"},
};

static void test_bad(gconstpointer data)
{
    const struct bad_row *row = data;
    struct esp_error err = {0};
    char *whole = NULL;
    g_assert_cmpint(
        esp_schema_inline(row->text, row->referenced, count(row->referenced), &whole, &err), ==,
        ESP_ESCHEMA);
    if (g_str_has_prefix(row->message, "not JSON"))
        g_assert_true(g_str_has_prefix(err.text, "not JSON: line 1: "));
    else
        g_assert_cmpstr(err.text, ==, row->message);
    g_assert_null(whole);
}

/* Arrays in arrays, one deeper than a schema may be: in the schema, and in a reference. */
static void test_depth(void)
{
    GString *text = g_string_new(NULL);
    for (int i = 0; i <= ESP_SCHEMA_MAX_DEPTH; i++)
        g_string_append(text, "{\"type\":\"array\",\"items\":");
    g_string_append(text, LONG);
    for (int i = 0; i <= ESP_SCHEMA_MAX_DEPTH; i++)
        g_string_append_c(text, '}');
    static const char *const none[] = {LONG};
    const char *const deep[] = {text->str};
    char *whole = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_schema_inline(text->str, none, 1, &whole, &err), ==, ESP_ESCHEMA);
    g_assert_cmpstr(err.text, ==, "types nested deeper than 64");
    err = (struct esp_error){0};
    g_assert_cmpint(esp_schema_inline(LONG, deep, 1, &whole, &err), ==, ESP_ESCHEMA);
    g_assert_cmpstr(err.text, ==, "types nested deeper than 64");
    g_string_free(text, TRUE);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    char name[256];
    for (size_t i = 0; i < G_N_ELEMENTS(good_rows); i++) {
        g_snprintf(name, sizeof name, "/schema inline/%s", good_rows[i].name);
        g_test_add_data_func(name, &good_rows[i], test_good);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad_rows); i++) {
        g_snprintf(name, sizeof name, "/schema inline/refuses %s", bad_rows[i].name);
        g_test_add_data_func(name, &bad_rows[i], test_bad);
    }
    g_test_add_func("/schema inline/defaults, logical types and aliases stay",
                    test_attributes_stay);
    g_test_add_func("/schema inline/refuses what is nested too deep", test_depth);
    return g_test_run();
}
