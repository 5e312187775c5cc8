/* event_values_test.c - values of features, times, ids and sampling fields, resolved to a reader's
 * schema where there is one; worked by hand. */
#include <glib/gstdio.h>

#include "event/encode.h"
#include "event/event.h"
#include "testkit.h"

#define BYTES(text) esp_bytes(text, sizeof(text) - 1)

enum { MAX_FEATURES = 12 };

/* A decoder of bare records, and what it was made from. */
struct fixture {
    char *folder;
    struct esp_decoder *decoder;
    struct esp_value values[MAX_FEATURES];
    struct esp_value_scratch scratch;
    struct esp_error err;
};

static char *write_file(struct fixture *fixture, const char *name, const char *json)
{
    char *path = g_build_filename(fixture->folder, name, NULL);
    g_assert_true(g_file_set_contents(path, json, -1, NULL));
    return path;
}

/* writer, reader: JSON, reader may be NULL. Only the paths, features and units of config are used.
 */
static enum esp_status open_fixture(struct fixture *fixture, const char *writer, const char *reader,
                                    struct esp_decoder_config config)
{
    fixture->folder = test_folder_new();
    char *writer_path = write_file(fixture, "writer.avsc", writer);
    char *reader_path = reader != NULL ? write_file(fixture, "reader.avsc", reader) : NULL;
    struct esp_schema_file file = {-1, writer_path, "test.ini:1"};
    config.kind = ESP_IMPRESSION;
    config.topic = "impressions";
    config.writers = &file;
    config.n_writers = 1;
    config.reader_schema = reader_path;
    config.time_min_us = INT64_MIN + 1;
    config.time_max_us = INT64_MAX;
    enum esp_status status = esp_decoder_new(&config, &fixture->decoder, &fixture->err);
    g_free(writer_path);
    g_free(reader_path);
    return status;
}

static void close_fixture(struct fixture *fixture)
{
    esp_value_scratch_release(&fixture->scratch);
    esp_decoder_free(fixture->decoder);
    test_folder_remove(fixture->folder);
}

static struct esp_header header_of(struct fixture *fixture, struct esp_bytes value)
{
    struct esp_record record = {.value = value, .log_time_us = ESP_TIME_NONE};
    struct esp_header header;
    g_assert_cmpint(esp_decoder_headers(fixture->decoder, &record, 1, &header, NULL), ==, ESP_OK);
    return header;
}

static void read_features(struct fixture *fixture, struct esp_bytes value)
{
    struct esp_header header = header_of(fixture, value);
    g_assert_cmpint(header.reject, ==, ESP_REJECT_NONE);
    if (g_test_failed())
        return;
    g_assert_cmpint(esp_writer_features(esp_decoder_writer(fixture->decoder, header.writer),
                                        header.payload, fixture->values, &fixture->scratch, NULL),
                    ==, ESP_OK);
}

static void assert_text(const struct esp_value *value, enum esp_value_type type, const char *text)
{
    g_assert_cmpint(value->type, ==, type);
    if (value->type == type)
        g_assert_cmpmem(value->u.bytes.data, value->u.bytes.size, text, strlen(text));
}

static void test_shapes(void)
{
    static const char json[] =
        "{\"type\":\"record\",\"name\":\"I\",\"fields\":["
        "{\"name\":\"id\",\"type\":\"int\"},"
        "{\"name\":\"app\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"App\",\"fields\":["
        "{\"name\":\"bundle\",\"type\":\"string\"}]}]},"
        "{\"name\":\"tags\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"string\",\"int\"]}},"
        "{\"name\":\"os\",\"type\":{\"type\":\"enum\",\"name\":\"Os\",\"symbols\":[\"A\",\"B\"]}},"
        "{\"name\":\"raw\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}},"
        "{\"name\":\"list\",\"type\":{\"type\":\"array\",\"items\":[\"null\",\"long\"]}},"
        "{\"name\":\"f\",\"type\":\"float\"},{\"name\":\"b\",\"type\":\"boolean\"}]}";
    static const char *const paths[] = {
        "app.bundle", "tags.color", "tags[\"a.b\"]", "os", "raw", "list", "f", "b", "id", "list"};
    struct fixture fixture = {0};
    struct esp_decoder_config config = {
        .id_path = "id", .feature_paths = paths, .n_features = G_N_ELEMENTS(paths)};
    config.time_path = "id";
    config.time_unit = ESP_UNIT_S;
    g_assert_cmpint(open_fixture(&fixture, json, NULL, config), ==, ESP_OK);
    g_assert_cmpstr(fixture.err.text, ==, "");
    if (g_test_failed())
        return;
    /* id 7; app "com"; tags in two blocks, color twice, the last null; os B; list of 3 with a null
     */
    read_features(&fixture, BYTES("\x0e"
                                  "\x02\x06"
                                  "com"
                                  "\x02\x0a"
                                  "color\x02\x06red"
                                  "\x03\x1a"
                                  "\x0a"
                                  "color\x00"
                                  "\x06"
                                  "a.b\x04\x13"
                                  "\x00"
                                  "\x02"
                                  "\x01\x02"
                                  "\x06\x02\x0a\x00\x02\x01\x00"
                                  "\x00\x00\x20\x40"
                                  "\x01"));
    const struct esp_value *values = fixture.values;
    assert_text(&values[0], ESP_VALUE_TEXT, "com");
    g_assert_cmpint(values[1].type, ==, ESP_VALUE_MISSING);
    g_assert_cmpint(values[2].type, ==, ESP_VALUE_INT);
    g_assert_cmpint(values[2].u.i, ==, -10);
    assert_text(&values[3], ESP_VALUE_TEXT, "B");
    assert_text(&values[4], ESP_VALUE_BYTES, "\x01\x02");
    for (size_t i = 5; i < 10; i += 4) { /* the same list for two features */
        g_assert_cmpint(values[i].type, ==, ESP_VALUE_ARRAY);
        g_assert_cmpuint(values[i].n_items, ==, 3);
        g_assert_cmpint(values[i].u.items[0].u.i, ==, 5);
        g_assert_cmpint(values[i].u.items[1].type, ==, ESP_VALUE_MISSING);
        g_assert_cmpint(values[i].u.items[2].u.i, ==, -1);
    }
    g_assert_cmpfloat(values[6].u.f, ==, 2.5);
    g_assert_cmpint(values[7].type, ==, ESP_VALUE_BOOL);
    g_assert_cmpint(values[8].u.i, ==, 7);
    g_assert_cmpstr(esp_decoder_feature_type(fixture.decoder, 0), ==, "string");
    g_assert_cmpstr(esp_decoder_feature_type(fixture.decoder, 1), ==,
                    "union of null, string and int");
    g_assert_cmpstr(esp_decoder_feature_type(fixture.decoder, 5), ==,
                    "array of union of null and long");
    g_assert_true(esp_decoder_id_is_number(fixture.decoder));
    close_fixture(&fixture);
}

static const char old_json[] =
    "{\"type\":\"record\",\"name\":\"Old\",\"namespace\":\"x\",\"fields\":["
    "{\"name\":\"gone\",\"type\":\"string\"},{\"name\":\"auction\",\"type\":\"string\"},"
    "{\"name\":\"at\",\"type\":\"int\"},{\"name\":\"n\",\"type\":\"int\"},"
    "{\"name\":\"os\",\"type\":{\"type\":\"enum\",\"name\":\"Os\",\"symbols\":[\"A\",\"B\",\"C\"]}}"
    ","
    "{\"name\":\"s\",\"type\":\"bytes\"}]}";

static const char new_json[] =
    "{\"type\":\"record\",\"name\":\"New\",\"aliases\":[\"x.Old\"],\"fields\":["
    "{\"name\":\"s\",\"type\":\"string\"},"
    "{\"name\":\"n\",\"type\":[\"null\",\"double\"],\"default\":null},"
    "{\"name\":\"time\",\"aliases\":[\"at\"],\"type\":{\"type\":\"long\",\"logicalType\":"
    "\"timestamp-millis\"}},"
    "{\"name\":\"id\",\"aliases\":[\"auction_id\",\"auction\"],\"type\":\"string\"},"
    "{\"name\":\"os\",\"type\":{\"type\":\"enum\",\"name\":\"Os\",\"symbols\":[\"A\",\"B\"],"
    "\"default\":\"B\"}},"
    "{\"name\":\"geo\",\"type\":{\"type\":\"record\",\"name\":\"Geo\",\"fields\":["
    "{\"name\":\"country\",\"type\":\"string\",\"default\":\"??\"},"
    "{\"name\":\"codes\",\"type\":{\"type\":\"array\",\"items\":\"int\"}}]},"
    "\"default\":{\"codes\":[4,5]}}]}";

static void test_resolution(void)
{
    static const char *const paths[] = {"s", "n", "os", "geo.country", "geo.codes"};
    struct fixture fixture = {0};
    const struct esp_decoder_config config = {.id_path = "id",
                                              .time_path = "time",
                                              .holdout_path = "geo.country",
                                              .feature_paths = paths,
                                              .n_features = G_N_ELEMENTS(paths)};
    g_assert_cmpint(open_fixture(&fixture, old_json, new_json, config), ==, ESP_OK);
    g_assert_cmpstr(fixture.err.text, ==, "");
    if (g_test_failed())
        return;
    struct esp_bytes record = BYTES("\x04"
                                    "xy"
                                    "\x04"
                                    "i1"
                                    "\x0a"
                                    "\x06"
                                    "\x04"
                                    "\x02"
                                    "s");
    struct esp_header header = header_of(&fixture, record);
    g_assert_cmpint(header.reject, ==, ESP_REJECT_NONE);
    g_assert_cmpmem(header.id.data, header.id.size, "i1", 2);
    g_assert_cmpint(header.time_us, ==, 5000);
    read_features(&fixture, record);
    assert_text(&fixture.values[0], ESP_VALUE_TEXT, "s");
    g_assert_cmpint(fixture.values[1].type, ==, ESP_VALUE_REAL);
    g_assert_cmpfloat(fixture.values[1].u.f, ==, 3);
    assert_text(&fixture.values[2], ESP_VALUE_TEXT, "B");
    assert_text(&fixture.values[3], ESP_VALUE_TEXT, "\?\?");
    g_assert_cmpuint(fixture.values[4].n_items, ==, 2);
    g_assert_cmpint(fixture.values[4].u.items[1].u.i, ==, 5);
    struct esp_sampling_fields fields;
    esp_writer_sampling_fields(esp_decoder_writer(fixture.decoder, 0), header.payload, &fields);
    g_assert_cmpmem(fields.holdout_key.data, fields.holdout_key.size, "\?\?", 2);
    g_assert_cmpfloat(fields.weight, ==, 1);
    close_fixture(&fixture);
}

static void test_no_default(void)
{
    struct fixture fixture = {0};
    static const char reader[] =
        "{\"type\":\"record\",\"name\":\"Old\",\"fields\":[{\"name\":\"id\","
        "\"type\":\"string\"}]}";
    const struct esp_decoder_config config = {.id_path = "id"};
    g_assert_cmpint(open_fixture(&fixture, old_json, reader, config), ==, ESP_ESCHEMA);
    g_assert_cmpstr(fixture.err.text, ==,
                    "topic impressions: test.ini:1: id: the writer's schema x.Old has nothing that "
                    "the reader's schema reads as \"id\", and no default is given");
    close_fixture(&fixture);
}

struct time_row {
    const char *name;
    const char *type; /* of the time field */
    enum esp_time_unit unit;
    struct esp_bytes value; /* as Avro */
    enum esp_reject reject;
    int64_t time_us;
};

#define ROW(text)                                 \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }
#define LOGICAL(name) "{\"type\":\"long\",\"logicalType\":\"" name "\"}"

static const struct time_row time_rows[] = {
    {"timestamp-millis", LOGICAL("timestamp-millis"), ESP_UNIT_NONE, ROW("\x06"), 0, 3000},
    {"timestamp-micros", LOGICAL("timestamp-micros"), ESP_UNIT_NONE, ROW("\x06"), 0, 3},
    {"local-timestamp-millis", LOGICAL("local-timestamp-millis"), ESP_UNIT_NONE, ROW("\x05"), 0,
     -3000},
    {"a configured unit over a logical type", LOGICAL("timestamp-micros"), ESP_UNIT_MS, ROW("\x06"),
     0, 3000},
    {"an int in seconds", "\"int\"", ESP_UNIT_S, ROW("\x06"), 0, 3000000},
    {"a long in ns, rounded up", "\"long\"", ESP_UNIT_NS, ROW("\xb8\x17"), 0, 2},   /* 1,500 ns */
    {"a long in ns, rounded down", "\"long\"", ESP_UNIT_NS, ROW("\xb6\x17"), 0, 1}, /* 1,499 ns */
    {"a double in seconds, rounded", "\"double\"", ESP_UNIT_S, /* 1.5000004 s */
     ROW("\x2b\x4a\xe4\x06\x00\x00\xf8\x3f"), 0, 1500000},
    {"a float in ms", "\"float\"", ESP_UNIT_MS, ROW("\x00\x00\x20\xc0"), 0, -2500}, /* -2.5 */
    {"a double that is not a number", "\"double\"", ESP_UNIT_S,
     ROW("\x00\x00\x00\x00\x00\x00\xf8\x7f"), ESP_REJECT_TIME_RANGE, 0},
    {"a null", "[\"null\"," LOGICAL("timestamp-millis") "]", ESP_UNIT_NONE, ROW("\x00"),
     ESP_REJECT_NO_TIME, 0},
    {"a branch that is no time", "[\"string\"," LOGICAL("timestamp-millis") "]", ESP_UNIT_NONE,
     ROW("\x00\x02x"), ESP_REJECT_NO_TIME, 0},
    {"a long in s that overflows", "\"long\"", ESP_UNIT_S,
     ROW("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), ESP_REJECT_TIME_RANGE, 0},
};

static void test_time(gconstpointer data)
{
    const struct time_row *row = data;
    struct fixture fixture = {0};
    char *json = g_strdup_printf("{\"type\":\"record\",\"name\":\"I\",\"fields\":[{\"name\":\"id\","
                                 "\"type\":\"string\"},{\"name\":\"t\",\"type\":%s}]}",
                                 row->type);
    const struct esp_decoder_config config = {
        .id_path = "id", .time_path = "t", .time_unit = row->unit};
    g_assert_cmpint(open_fixture(&fixture, json, NULL, config), ==, ESP_OK);
    g_assert_cmpstr(fixture.err.text, ==, "");
    if (g_test_failed())
        return;
    struct esp_buf buf;
    esp_buf_init(&buf, 100);
    esp_put_bytes(&buf, esp_bytes_of("i"), NULL);
    esp_put_raw(&buf, row->value, NULL);
    struct esp_header header = header_of(&fixture, esp_buf_bytes(&buf));
    g_assert_cmpint(header.reject, ==, row->reject);
    g_assert_cmpint(header.time_us, ==, row->time_us);
    esp_buf_release(&buf);
    g_free(json);
    close_fixture(&fixture);
}

static void test_sampling(void)
{
    static const char json[] =
        "{\"type\":\"record\",\"name\":\"I\",\"fields\":["
        "{\"name\":\"id\",\"type\":\"string\"},"
        "{\"name\":\"user\",\"type\":[\"null\",\"string\",\"long\"]},"
        "{\"name\":\"t\",\"type\":" LOGICAL(
            "timestamp-millis") "},"
                                "{\"name\":\"w\",\"type\":[\"null\",\"int\"]}]}";
    struct fixture fixture = {0};
    struct esp_sampling_fields fields;
    const struct esp_decoder_config config = {
        .id_path = "id", .time_path = "t", .holdout_path = "user", .weight_path = "w"};
    g_assert_cmpint(open_fixture(&fixture, json, NULL, config), ==, ESP_OK);
    if (g_test_failed())
        return;
    const struct esp_writer *writer = esp_decoder_writer(fixture.decoder, 0);
    esp_writer_sampling_fields(writer,
                               BYTES("\x02i\x02\x04"
                                     "u1\x02\x02\x08"),
                               &fields);
    g_assert_cmpmem(fields.holdout_key.data, fields.holdout_key.size, "u1", 2);
    g_assert_cmpfloat(fields.weight, ==, 4);
    esp_writer_sampling_fields(writer, BYTES("\x02i\x00\x02\x02\x08"), &fields);
    g_assert_cmpmem(fields.holdout_key.data, fields.holdout_key.size, "i", 1);
    esp_writer_sampling_fields(writer, BYTES("\x02i\x04\xac\x02\x02\x02\x08"), &fields);
    g_assert_cmpmem(fields.holdout_key.data, fields.holdout_key.size, "\xac\x02", 2);
    struct esp_header header = header_of(&fixture, BYTES("\x02i\x00\x02\x00"));
    g_assert_cmpint(header.reject, ==, ESP_REJECT_BAD_WEIGHT);
    close_fixture(&fixture);
}

/* A record of strings with these fields. */
#define SCHEMA(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define FIELD(name)          "{\"name\":\"" name "\",\"type\":\"string\"}"

static enum esp_status open_text(struct esp_decoder *decoder, const char *json, const void **out,
                                 struct esp_error *err)
{
    const struct esp_log_framer *framer = esp_decoder_framer(decoder);
    return framer->open(framer->context, json, strlen(json), out, err);
}

static struct esp_decoder *decoder_of_a_and_b(void)
{
    static const char *const paths[] = {"a", "b"};
    struct esp_decoder *decoder = NULL;
    struct esp_decoder_config config = {.kind = ESP_IMPRESSION,
                                        .topic = "impressions",
                                        .id_path = "id",
                                        .time_max_us = INT64_MAX,
                                        .feature_paths = paths,
                                        .n_features = 2};
    g_assert_cmpint(esp_decoder_new(&config, &decoder, NULL), ==, ESP_OK);
    return decoder;
}

/* A feature that the first container lacks is a mistake; one that a later one lacks is missing
 * there. */
static void test_evolution(void)
{
    static const char first[] = SCHEMA("I", FIELD("id") "," FIELD("a") "," FIELD("b"));
    static const char second[] = SCHEMA("I", FIELD("id") "," FIELD("a"));
    struct esp_error err = {0};
    struct esp_decoder *decoder = decoder_of_a_and_b();
    const void *schema = NULL;
    const char *missing = NULL;
    g_assert_null(esp_decoder_feature_type(decoder, 0));
    g_assert_cmpint(open_text(decoder, second, &schema, &err), ==, ESP_ESCHEMA);
    g_assert_cmpstr(err.text, ==,
                    "topic impressions: feature: no field \"b\" in schema I; it has id, a");
    g_assert_cmpint(open_text(decoder, first, &schema, NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_writer_n_missing(schema, &missing), ==, 0);
    g_assert_cmpint(open_text(decoder, second, &schema, NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_writer_n_missing(schema, &missing), ==, 1);
    g_assert_cmpstr(missing, ==, "b");
    struct esp_value values[2];
    struct esp_value_scratch scratch = {0};
    g_assert_cmpint(esp_writer_features(schema, BYTES("\x02i\x02x"), values, &scratch, NULL), ==,
                    ESP_OK);
    g_assert_cmpint(values[0].type, ==, ESP_VALUE_TEXT);
    g_assert_cmpint(values[1].type, ==, ESP_VALUE_MISSING);
    g_assert_cmpstr(esp_decoder_feature_type(decoder, 0), ==, "string");
    esp_value_scratch_release(&scratch);
    esp_decoder_free(decoder);
}

/* Containers that come after one of schema I with the features a and b. */
struct kind_row {
    const char *name, *json, *why; /* why: part of the refusal; NULL: it is taken */
};

static const struct kind_row kind_rows[] = {
    {"/values/kinds/another name with all features is taken",
     SCHEMA("J", FIELD("id") "," FIELD("b") "," FIELD("a")), NULL},
    {"/values/kinds/the same name in another namespace may lack one",
     SCHEMA("x.y.I", FIELD("id") "," FIELD("b")), NULL},
    {"/values/kinds/another name may lack none", SCHEMA("Click", FIELD("id") "," FIELD("b")),
     "topic impressions: it is of another kind than those before (feature: no field \"a\""},
    {"/values/kinds/the header alone is not enough", SCHEMA("Click", FIELD("id")),
     "topic impressions: it has none of the features (feature: no field \"a\" in schema Click"},
    {"/values/kinds/whatever the name", SCHEMA("I", FIELD("id")), "it has none of the features"},
    {"/values/kinds/a record in a feature's place is none",
     SCHEMA("Click", FIELD("id") ",{\"name\":\"a\",\"type\":" SCHEMA("A", FIELD("b")) "}"),
     "it has none of the features"},
};

static void test_kind(const void *data)
{
    const struct kind_row *row = data;
    struct esp_decoder *decoder = decoder_of_a_and_b();
    struct esp_error err = {0};
    const void *schema = NULL;
    g_assert_cmpint(
        open_text(decoder, SCHEMA("I", FIELD("id") "," FIELD("a") "," FIELD("b")), &schema, NULL),
        ==, ESP_OK);
    for (int turn = 0; turn < 2; turn++) { /* and again when it comes again */
        enum esp_status status = open_text(decoder, row->json, &schema, &err);
        g_assert_cmpint(status, ==, row->why == NULL ? ESP_OK : ESP_ESCHEMA);
        if (row->why != NULL)
            g_assert_nonnull(strstr(err.text, row->why));
    }
    g_assert_cmpuint(esp_decoder_n_writers(decoder), ==, row->why == NULL ? 2 : 1);
    esp_decoder_free(decoder);
}

struct format_row {
    struct esp_bytes id;
    bool is_number;
    size_t capacity;
    const char *text;
};

static const struct format_row format_rows[] = {
    {ROW("abc"), false, 64, "abc"},
    {ROW("gr\xc3\xbcn"), false, 64, "gr\xc3\xbcn"},
    {ROW("gr\xc3\xbcn"), false, 4, "gr"}, /* half a character does not go in */
    {ROW("\xff\x00"), false, 64, "ff00"},
    {ROW("\xff\x00\x01"), false, 6, "ff00"},
    {ROW("a\nb"), false, 64, "610a62"},
    {ROW("\x01"), true, 64, "-1"},
    {ROW("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), true, 64, "9223372036854775807"},
    {ROW(""), false, 64, ""},
};

static void test_id_format(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(format_rows); i++) {
        char text[64];
        const struct format_row *row = &format_rows[i];
        size_t n = esp_id_format(row->id, row->is_number, text, row->capacity);
        g_assert_cmpstr(text, ==, row->text);
        g_assert_cmpuint(n, ==, strlen(row->text));
    }
}

/* The reading thread adds writers while another uses those that it was handed. */
struct race {
    struct esp_decoder *decoder;
    gint n_ready; /* atomic: indices below may be used */
};

enum { N_WRITERS = 200 };

static gpointer use_writers(gpointer data)
{
    struct race *race = data;
    struct esp_value_scratch scratch = {0};
    struct esp_value value;
    for (int used = 0; used < N_WRITERS;) {
        if (used < g_atomic_int_get(&race->n_ready)) {
            const struct esp_writer *writer = esp_decoder_writer(race->decoder, (uint16_t)used);
            g_assert_cmpuint(esp_writer_index(writer), ==, used++);
            esp_writer_features(writer, BYTES("\x02i"), &value, &scratch, NULL);
            g_assert_cmpint(value.type, ==, ESP_VALUE_TEXT);
        } else {
            g_thread_yield();
        }
    }
    esp_value_scratch_release(&scratch);
    return NULL;
}

static void test_threads(void)
{
    static const char *const paths[] = {"id"};
    struct race race = {0};
    const struct esp_decoder_config config = {.kind = ESP_IMPRESSION,
                                              .topic = "impressions",
                                              .id_path = "id",
                                              .feature_paths = paths,
                                              .n_features = 1};
    g_assert_cmpint(esp_decoder_new(&config, &race.decoder, NULL), ==, ESP_OK);
    GThread *thread = g_thread_new("learner", use_writers, &race);
    const struct esp_log_framer *framer = esp_decoder_framer(race.decoder);
    for (int i = 0; i < N_WRITERS; i++) {
        const void *schema = NULL;
        char *json = g_strdup_printf("{\"type\":\"record\",\"name\":\"I%d\",\"fields\":[{\"name\":"
                                     "\"id\",\"type\":\"string\"}]}",
                                     i);
        g_assert_cmpint(framer->open(framer->context, json, strlen(json), &schema, NULL), ==,
                        ESP_OK);
        g_free(json);
        g_atomic_int_set(&race.n_ready, i + 1);
    }
    g_thread_join(thread);
    esp_decoder_free(race.decoder);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    char name[256];
    for (size_t i = 0; i < G_N_ELEMENTS(time_rows); i++) {
        g_snprintf(name, sizeof name, "/values/time/%s", time_rows[i].name);
        g_test_add_data_func(name, &time_rows[i], test_time);
    }
    g_test_add_func("/values/features/every shape of field", test_shapes);
    g_test_add_func("/values/reader/aliases, defaults and promotions", test_resolution);
    g_test_add_func("/values/reader/a field that neither side gives is refused", test_no_default);
    g_test_add_func("/values/sampling/holdout key and weight", test_sampling);
    g_test_add_func("/values/features/a later schema may lack a feature", test_evolution);
    for (size_t i = 0; i < G_N_ELEMENTS(kind_rows); i++)
        g_test_add_data_func(kind_rows[i].name, &kind_rows[i], test_kind);
    g_test_add_func("/values/id/as text", test_id_format);
    g_test_add_func("/values/threads/writers are added while others are used", test_threads);
    return g_test_run();
}
