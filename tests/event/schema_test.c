/* schema_test.c - parsing, canonical forms, fingerprints and refusals of schemas; our own schemas.
 */
#include <math.h>

#include "event/avro_schema.h"
#include "event/plan.h"
#include "event/records.h"
#include "testkit.h"

struct canonical_row {
    const char *json, *canonical;
    int64_t fingerprint;
};

/* The last five are from Avro's own schema-tests.txt. */
static const struct canonical_row canonical_rows[] = {
    {"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"doc\":\"x\",\"fields\":[{"
     "\"type\":"
     "[\"null\",\"R\"],\"name\":\"r\",\"default\":null}]}",
     "{\"name\":\"a.b.R\",\"type\":\"record\",\"fields\":[{\"name\":\"r\",\"type\":[\"null\","
     "\"a.b.R\"]}]}",
     0},
    {"\"null\"", "\"null\"", 7195948357588979594},
    {"{\"type\":\"boolean\"}", "\"boolean\"", -6970731678124411036},
    {"\"int\"", "\"int\"", 8247732601305521295},
    {"{\"type\":\"fixed\",\"name\":\"foo\",\"size\":15}",
     "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}", 1756455273707447556},
    {"{\"fields\":[],\"type\":\"record\",\"name\":\"foo\"}",
     "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}", -4824392279771201922},
};

static void test_canonical(gconstpointer data)
{
    const struct canonical_row *row = data;
    struct esp_schema *schema = NULL;
    struct esp_error err = {0};
    char *text = NULL;
    uint64_t fingerprint = 0;
    g_assert_cmpint(esp_schema_parse(row->json, strlen(row->json), &schema, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    if (g_test_failed())
        return;
    g_assert_cmpint(esp_schema_canonical(schema, &text, &fingerprint, &err), ==, ESP_OK);
    g_assert_cmpstr(text, ==, row->canonical);
    g_assert_cmpuint(fingerprint, ==, schema->fingerprint);
    if (row->fingerprint != 0)
        g_assert_cmpint((int64_t)fingerprint, ==, row->fingerprint);
    free(text);
    esp_schema_free(schema);
}

struct refusal_row {
    const char *name, *json, *message;
};

static const struct refusal_row refusal_rows[] = {
    {"text that is not JSON", "{", "not JSON: line 1: string or '}' expected near end of file"},
    {"a number", "3", "a type that is no name, no object and no array"},
    {"an unknown type", "\"strin\"", "unknown type \"strin\""},
    {"a record without a name", "{\"type\":\"record\",\"fields\":[]}", "record without a name"},
    {"a record without fields", "{\"type\":\"record\",\"name\":\"R\"}",
     "record R without a proper array of fields"},
    {"a field twice",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":"
     "\"a\",\"type\":\"int\"}]}",
     "R has two fields \"a\""},
    {"a type twice",
     "[{\"type\":\"fixed\",\"name\":\"F\",\"size\":1},{\"type\":\"enum\",\"name\":\"F\","
     "\"symbols\":"
     "[\"A\"]}]",
     "type F is defined twice"},
    {"a type before its definition", "[\"F\",{\"type\":\"fixed\",\"name\":\"F\",\"size\":1}]",
     "unknown type \"F\""},
    {"a union in a union", "[\"int\",[\"null\"]]", "a union directly inside a union"},
    {"a branch twice", "[\"int\",\"null\",\"int\"]", "a union that has int twice"},
    {"a symbol twice", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}",
     "enum E has \"A\" twice"},
    {"a negative size", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}",
     "fixed F without a proper size"},
    {"a name with a dash", "{\"type\":\"fixed\",\"name\":\"F-1\",\"size\":1}",
     "\"F-1\" is no name (letters, digits and _)"},
};

static void test_refusal(gconstpointer data)
{
    const struct refusal_row *row = data;
    struct esp_schema *schema = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_schema_parse(row->json, strlen(row->json), &schema, &err), ==, ESP_ESCHEMA);
    g_assert_cmpstr(err.text, ==, row->message);
    g_assert_null(schema);
}

static void test_depth(void)
{
    GString *json = g_string_new(NULL);
    for (int i = 0; i < 2 * ESP_SCHEMA_MAX_DEPTH; i++)
        g_string_append(json, "{\"type\":\"array\",\"items\":");
    g_string_append(json, "\"int\"");
    for (int i = 0; i < 2 * ESP_SCHEMA_MAX_DEPTH; i++)
        g_string_append(json, "}");
    struct esp_schema *schema = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_schema_parse(json->str, json->len, &schema, &err), ==, ESP_ESCHEMA);
    g_assert_cmpstr(err.text, ==, "types nested deeper than 64");
    g_string_free(json, TRUE);
}

static void test_builtin(void)
{
    static const struct {
        const char *path;
        enum esp_own_schema schema;
    } rows[] = {
        {ESP_SOURCE_DIR "/schemas/example.avsc", ESP_SCHEMA_EXAMPLE},
        {ESP_SOURCE_DIR "/schemas/dead_letter.avsc", ESP_SCHEMA_DEAD_LETTER},
        {ESP_SOURCE_DIR "/schemas/snapshot_chunk.avsc", ESP_SCHEMA_SNAPSHOT_CHUNK},
        {ESP_SOURCE_DIR "/schemas/snapshot_manifest.avsc", ESP_SCHEMA_SNAPSHOT_MANIFEST},
        {ESP_SOURCE_DIR "/schemas/score.avsc", ESP_SCHEMA_SCORE},
        {ESP_SOURCE_DIR "/schemas/drift.avsc", ESP_SCHEMA_DRIFT},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *text = NULL;
        g_assert_true(g_file_get_contents(rows[i].path, &text, NULL, NULL));
        g_assert_cmpstr(esp_own_schema_json(rows[i].schema), ==, text);
        uint64_t fingerprint = 0;
        g_assert_cmpint(esp_schema_fingerprint(text, strlen(text), &fingerprint, NULL), ==, ESP_OK);
        g_assert_cmpuint(fingerprint, !=, 0);
        g_free(text);
    }
}

/* Reads wanted paths of a record of a schema. */
static void read_paths(const char *json, struct esp_bytes record, const char *const *paths,
                       size_t n, struct esp_value *values)
{
    struct esp_schema *schema = NULL;
    struct esp_arena arena = {0};
    struct esp_want root = {.n_slots = 0};
    struct esp_plan *plan = NULL;
    g_assert_cmpint(esp_schema_parse(json, strlen(json), &schema, NULL), ==, ESP_OK);
    for (size_t i = 0; i < n; i++)
        esp_want_add(&root, paths[i], (struct esp_want_slot){(uint16_t)i, ESP_WANT_FEATURE}, &arena,
                     NULL);
    const struct esp_plan_request request = {
        .writer = schema, .want = &root, .n_slots = n, .is_whole = true, .arena = &arena};
    g_assert_cmpint(esp_plan_new(&request, &plan, NULL, NULL), ==, ESP_OK);
    if (!g_test_failed())
        g_assert_cmpint(esp_plan_run(plan, record, values, NULL), ==, (ptrdiff_t)record.size);
    /* What the tests look at below are numbers and texts inside the record: they outlive the plan.
     */
    esp_plan_free(plan);
    esp_arena_release(&arena);
    esp_schema_free(schema);
}

static void test_example(void)
{
    static const char impression[] =
        "{\"type\":\"record\",\"name\":\"Example\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}";
    static const char *const paths[] = {"impression_id", "click_time", "install_time", "install",
                                        "weight",        "holdout",    "impression.a", "maturity"};
    struct esp_error err = {0};
    char *json = NULL;
    g_assert_cmpint(
        esp_example_schema(esp_own_schema_json(ESP_SCHEMA_EXAMPLE), impression, &json, &err), ==,
        ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    if (g_test_failed())
        return;
    struct esp_example_record record = {.impression_id = esp_bytes("id", 2),
                                        .impression_time_us = 1,
                                        .click_time_us = 2,
                                        .install_time_us = ESP_TIME_NONE,
                                        .maturity_us = 3,
                                        .stage = ESP_EXAMPLE_INSTALL,
                                        .click = true,
                                        .install = false,
                                        .weight = 2.5,
                                        .base_weight = 1,
                                        .holdout = true,
                                        .impression = esp_bytes("\x0e", 1)};
    struct esp_buf buf;
    esp_buf_init(&buf, 1000);
    g_assert_cmpint(esp_encode_example(&buf, &record, &err), ==, ESP_OK);
    struct esp_value values[G_N_ELEMENTS(paths)];
    read_paths(json, esp_buf_bytes(&buf), paths, G_N_ELEMENTS(paths), values);
    g_assert_cmpmem(values[0].u.bytes.data, values[0].u.bytes.size, "id", 2);
    g_assert_cmpint(values[1].u.i, ==, 2);
    g_assert_cmpint(values[2].type, ==, ESP_VALUE_MISSING);
    g_assert_cmpint(values[3].type, ==, ESP_VALUE_BOOL);
    g_assert_cmpfloat(values[4].u.f, ==, 2.5);
    g_assert_cmpint(values[5].u.i, ==, 1);
    g_assert_cmpint(values[6].u.i, ==, 7);
    g_assert_cmpint(values[7].u.i, ==, 3);
    esp_buf_clear(&buf);
    record.stage = ESP_EXAMPLE_CLICK;
    g_assert_cmpint(esp_encode_example(&buf, &record, &err), ==, ESP_OK);
    read_paths(json, esp_buf_bytes(&buf), paths, G_N_ELEMENTS(paths), values);
    g_assert_cmpint(values[3].type, ==, ESP_VALUE_MISSING);
    esp_buf_release(&buf);
    free(json);
}

/* A buffer that is full stays as it was. */
static void test_full_buffer(void)
{
    struct esp_buf buf;
    esp_buf_init(&buf, 12);
    g_assert_cmpint(esp_put_bytes(&buf, esp_bytes_of("before"), NULL), ==, ESP_OK);
    const struct esp_example_record record = {.impression_id = esp_bytes("id", 2)};
    g_assert_cmpint(esp_encode_example(&buf, &record, NULL), ==, ESP_ELIMIT);
    g_assert_cmpmem(buf.data, buf.size,
                    "\x0c"
                    "before",
                    7);
    esp_buf_release(&buf);
}

static void test_dead_letter(void)
{
    static const char *const paths[] = {"kind",   "verdict",  "reason",     "topic", "partition",
                                        "offset", "log_time", "event_time", "value"};
    const struct esp_dead_letter_record record = {.kind = ESP_CLICK,
                                                  .verdict = ESP_DEAD_LETTER_DEAD,
                                                  .reason = "no id",
                                                  .topic = "clicks",
                                                  .partition = 3,
                                                  .offset = -5,
                                                  .log_time_us = 9,
                                                  .event_time_us = ESP_TIME_NONE,
                                                  .value = esp_bytes("\0x", 2)};
    struct esp_buf buf;
    esp_buf_init(&buf, 1000);
    g_assert_cmpint(esp_encode_dead_letter(&buf, &record, NULL), ==, ESP_OK);
    struct esp_value values[G_N_ELEMENTS(paths)];
    read_paths(esp_own_schema_json(ESP_SCHEMA_DEAD_LETTER), esp_buf_bytes(&buf), paths,
               G_N_ELEMENTS(paths), values);
    g_assert_cmpint(values[0].type, ==, ESP_VALUE_TEXT);
    g_assert_cmpmem(values[2].u.bytes.data, values[2].u.bytes.size, "no id", 5);
    g_assert_cmpmem(values[3].u.bytes.data, values[3].u.bytes.size, "clicks", 6);
    g_assert_cmpint(values[4].u.i, ==, 3);
    g_assert_cmpint(values[5].u.i, ==, -5);
    g_assert_cmpint(values[6].u.i, ==, 9);
    g_assert_cmpint(values[7].type, ==, ESP_VALUE_MISSING);
    g_assert_cmpmem(values[8].u.bytes.data, values[8].u.bytes.size, "\0x", 2);
    esp_buf_release(&buf);
}

static void test_score(void)
{
    static const char *const paths[] = {
        "impression_id",         "event_time", "model", "run", "snapshot", "p_click",
        "p_install_given_click", "p_install"};
    const struct esp_score_record record = {.impression_id = esp_bytes_of("i-1"),
                                            .event_time_us = 1234567,
                                            .model = "main",
                                            .run = "00000000deadbeef",
                                            .snapshot = 476520,
                                            .p = {0.25, NAN, 0}};
    struct esp_buf buf;
    esp_buf_init(&buf, 1000);
    g_assert_cmpint(esp_encode_score(&buf, &record, NULL), ==, ESP_OK);
    struct esp_value values[G_N_ELEMENTS(paths)];
    read_paths(esp_own_schema_json(ESP_SCHEMA_SCORE), esp_buf_bytes(&buf), paths,
               G_N_ELEMENTS(paths), values);
    g_assert_cmpmem(values[0].u.bytes.data, values[0].u.bytes.size, "i-1", 3);
    g_assert_cmpint(values[1].u.i, ==, 1234567);
    g_assert_cmpmem(values[2].u.bytes.data, values[2].u.bytes.size, "main", 4);
    g_assert_cmpmem(values[3].u.bytes.data, values[3].u.bytes.size, "00000000deadbeef", 16);
    g_assert_cmpint(values[4].u.i, ==, 476520);
    g_assert_cmpfloat(values[5].u.f, ==, 0.25);
    g_assert_cmpint(values[6].type, ==, ESP_VALUE_MISSING);
    g_assert_cmpint(values[7].type, ==, ESP_VALUE_REAL);
    g_assert_cmpfloat(values[7].u.f, ==, 0);
    esp_buf_release(&buf);
    esp_buf_init(&buf, 40); /* it does not fit: nothing of it stays */
    g_assert_cmpint(esp_encode_score(&buf, &record, NULL), ==, ESP_ELIMIT);
    g_assert_cmpuint(buf.size, ==, 0);
    esp_buf_release(&buf);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    char name[256];
    for (size_t i = 0; i < G_N_ELEMENTS(canonical_rows); i++) {
        g_snprintf(name, sizeof name, "/schema/canonical/form and fingerprint %zu", i);
        g_test_add_data_func(name, &canonical_rows[i], test_canonical);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(refusal_rows); i++) {
        g_snprintf(name, sizeof name, "/schema/refusal/%s", refusal_rows[i].name);
        g_test_add_data_func(name, &refusal_rows[i], test_refusal);
    }
    g_test_add_func("/schema/refusal/types nested too deep", test_depth);
    g_test_add_func("/schema/own/the program carries what schemas has", test_builtin);
    g_test_add_func("/schema/own/an example holds the users' record", test_example);
    g_test_add_func("/schema/own/a full buffer stays as it was", test_full_buffer);
    g_test_add_func("/schema/own/a dead letter reads back", test_dead_letter);
    g_test_add_func("/schema/own/a score reads back with its own schema", test_score);
    return g_test_run();
}
