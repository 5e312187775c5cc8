/* decoder_test.c - headers, framings, values and rejections of one topic, worked by hand. */
#include <glib/gstdio.h>

#include "core/hash.h"
#include "event/encode.h"
#include "event/event.h"
#include "testkit.h"

static const char click_json[] =
    "{\"type\":\"record\",\"name\":\"Click\",\"fields\":["
    "{\"name\":\"impression_id\",\"type\":[\"null\",\"string\"]},"
    "{\"name\":\"click_id\",\"type\":[\"null\",\"bytes\",\"long\"]},"
    "{\"name\":\"event_time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"weight\",\"type\":\"double\"},"
    "{\"name\":\"note\",\"type\":\"string\"}]}";

/* A configuration for clicks with everything sensible. */
static struct esp_decoder_config click_config(void)
{
    return (struct esp_decoder_config){.kind = ESP_CLICK,
                                       .topic = "clicks",
                                       .id_path = "impression_id",
                                       .time_path = "event_time",
                                       .time_min_us = 0,
                                       .time_max_us = INT64_C(4000000000) * ESP_SECOND,
                                       .max_record_bytes = 1000};
}

/* Text that may hold NULs; ROW() for static tables. */
#define BYTES(text) esp_bytes(text, sizeof(text) - 1)
#define ROW(text)                                 \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

/* A record with id "abc", click id null, 1,000 ms, weight 1.0, note "n". */
#define GOOD_CLICK         \
    "\x02\x06"             \
    "abc"                  \
    "\x00"                 \
    "\xd0\x0f"             \
    "\0\0\0\0\0\0\xf0\x3f" \
    "\x02n"

struct fixture {
    char *folder, *path;
    struct esp_decoder *decoder;
    struct esp_error err;
};

static void write_schema(struct fixture *fixture, const char *json)
{
    fixture->folder = test_folder_new();
    fixture->path = g_build_filename(fixture->folder, "schema.avsc", NULL);
    g_assert_true(g_file_set_contents(fixture->path, json, -1, NULL));
}

static void release(struct fixture *fixture)
{
    esp_decoder_free(fixture->decoder);
    if (fixture->folder != NULL)
        test_folder_remove(fixture->folder);
    g_free(fixture->path);
}

/* The header of one record of a log without schemas. */
static struct esp_header header_of(struct fixture *fixture, struct esp_bytes value)
{
    struct esp_record record = {.value = value, .offset = 7, .log_time_us = 5};
    struct esp_header header;
    g_assert_cmpint(esp_decoder_headers(fixture->decoder, &record, 1, &header, NULL), ==, ESP_OK);
    g_assert_cmpint(header.offset, ==, 7);
    g_assert_cmpint(header.log_time_us, ==, 5);
    g_assert_true(header.raw.data == value.data && header.raw.size == value.size);
    return header;
}

static void new_bare(struct fixture *fixture, struct esp_decoder_config config, const char *json)
{
    write_schema(fixture, json);
    struct esp_schema_file file = {-1, fixture->path, "test.ini:1"};
    config.writers = &file;
    config.n_writers = 1;
    enum esp_status status = esp_decoder_new(&config, &fixture->decoder, &fixture->err);
    if (status != ESP_OK)
        g_test_fail_printf("%s", fixture->err.text);
}

struct click_row {
    const char *name;
    struct esp_bytes value;
    enum esp_reject reject;
    int64_t time_us;
};

static const struct click_row click_rows[] = {
    {"a good one", ROW(GOOD_CLICK), ESP_REJECT_NONE, 1000000},
    {"an empty record", ROW(""), ESP_REJECT_MALFORMED, 0},
    {"one with a byte too many", ROW(GOOD_CLICK "x"), ESP_REJECT_MALFORMED, 0},
    {"one without value", {NULL, 0}, ESP_REJECT_TOMBSTONE, 0},
    {"a null id", ROW("\x00\x00\xd0\x0f\0\0\0\0\0\0\xf0\x3f\x02n"), ESP_REJECT_NO_ID, 0},
    {"an empty id", ROW("\x02\x00\x00\xd0\x0f\0\0\0\0\0\0\xf0\x3f\x02n"), ESP_REJECT_NO_ID, 0},
    {"a branch that is not there",
     ROW("\x04\x06"
         "abc\x00\xd0\x0f\0\0\0\0\0\0\xf0\x3f\x02n"),
     ESP_REJECT_MALFORMED, 0},
    {"a negative branch",
     ROW("\x01\x06"
         "abc\x00\xd0\x0f\0\0\0\0\0\0\xf0\x3f\x02n"),
     ESP_REJECT_MALFORMED, 0},
    {"a negative length",
     ROW("\x02\x05"
         "abc\x00\xd0\x0f\0\0\0\0\0\0\xf0\x3f\x02n"),
     ESP_REJECT_MALFORMED, 0},
    {"a length past the end",
     ROW("\x02\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
         "abc\x00\xd0\x0f\0\0\0\0\0\0\xf0\x3f\x02n"),
     ESP_REJECT_MALFORMED, 0},
    {"a time before time.min",
     ROW("\x02\x06"
         "abc\x00\x01\0\0\0\0\0\0\xf0\x3f\x02n"),
     ESP_REJECT_TIME_RANGE, 0},
    {"a time that overflows microseconds",
     ROW("\x02\x06"
         "abc\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0\0\0\xf0\x3f\x02n"),
     ESP_REJECT_TIME_RANGE, 0},
    {"a varint of eleven bytes",
     ROW("\x02\x06"
         "abc\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\0\0\0\0\0\0\xf0\x3f\x02n"),
     ESP_REJECT_MALFORMED, 0},
    {"a weight of zero",
     ROW("\x02\x06"
         "abc\x00\xd0\x0f\0\0\0\0\0\0\0\0\x02n"),
     ESP_REJECT_BAD_WEIGHT, 0},
    {"a weight that is not a number",
     ROW("\x02\x06"
         "abc\x00\xd0\x0f\0\0\0\0\0\0\xf8\x7f\x02n"),
     ESP_REJECT_BAD_WEIGHT, 0},
    {"an infinite weight",
     ROW("\x02\x06"
         "abc\x00\xd0\x0f\0\0\0\0\0\0\xf0\x7f\x02n"),
     ESP_REJECT_BAD_WEIGHT, 0},
};

static void test_click(gconstpointer data)
{
    const struct click_row *row = data;
    struct fixture fixture = {0};
    struct esp_decoder_config config = click_config();
    config.weight_path = "weight";
    new_bare(&fixture, config, click_json);
    if (g_test_failed())
        return;
    struct esp_header header = header_of(&fixture, row->value);
    g_assert_cmpint(header.reject, ==, row->reject);
    if (header.reject == ESP_REJECT_NONE) {
        g_assert_cmpint(header.time_us, ==, row->time_us);
        g_assert_cmpmem(header.id.data, header.id.size, "abc", 3);
        g_assert_cmpuint(header.id_hash, ==, esp_hash(header.id));
        g_assert_cmpuint(header.click_id.size, ==, 0);
        g_assert_cmpuint(header.click_id_hash, ==, 0);
        g_assert_true(header.payload.data == row->value.data);
    } else {
        g_assert_cmpuint(header.payload.size + header.id.size, ==, 0);
    }
    release(&fixture);
}

static void test_too_large(void)
{
    struct fixture fixture = {0};
    struct esp_decoder_config config = click_config();
    config.max_record_bytes = sizeof GOOD_CLICK - 2;
    new_bare(&fixture, config, click_json);
    if (g_test_failed())
        return;
    struct esp_header header = header_of(&fixture, BYTES(GOOD_CLICK));
    g_assert_cmpint(header.reject, ==, ESP_REJECT_TOO_LARGE);
    release(&fixture);
}

static void test_log_time(void)
{
    struct fixture fixture = {0};
    struct esp_decoder_config config = click_config();
    config.time_path = NULL;
    new_bare(&fixture, config, click_json);
    if (g_test_failed())
        return;
    struct esp_header header = header_of(&fixture, BYTES(GOOD_CLICK));
    g_assert_cmpint(header.reject, ==, ESP_REJECT_NONE);
    g_assert_cmpint(header.time_us, ==, 5);
    struct esp_record record = {.value = BYTES(GOOD_CLICK), .log_time_us = ESP_TIME_NONE};
    g_assert_cmpint(esp_decoder_headers(fixture.decoder, &record, 1, &header, NULL), ==, ESP_OK);
    g_assert_cmpint(header.reject, ==, ESP_REJECT_NO_TIME);
    release(&fixture);
}

/* Click ids of two types; a long's id is its varint as it stands. */
static void test_click_id(void)
{
    struct fixture fixture = {0};
    struct esp_decoder_config config = click_config();
    config.click_id_path = "click_id";
    new_bare(&fixture, config, click_json);
    if (g_test_failed())
        return;
    struct esp_header header = header_of(&fixture, BYTES("\x02\x06"
                                                         "abc"
                                                         "\x02\x04\x00\x01"
                                                         "\xd0\x0f\0\0\0\0\0\0\xf0\x3f\x02n"));
    g_assert_cmpmem(header.click_id.data, header.click_id.size, "\x00\x01", 2);
    g_assert_cmpuint(header.click_id_hash, ==, esp_hash(header.click_id));
    header = header_of(&fixture, BYTES("\x02\x06"
                                       "abc"
                                       "\x04\xac\x02"
                                       "\xd0\x0f\0\0\0\0\0\0\xf0\x3f\x02n"));
    g_assert_cmpmem(header.click_id.data, header.click_id.size, "\xac\x02", 2);
    char text[32];
    g_assert_cmpuint(esp_id_format(header.click_id, true, text, sizeof text), ==, 3);
    g_assert_cmpstr(text, ==, "150");
    release(&fixture);
}

struct framing_row {
    const char *name;
    enum esp_framing framing;
    struct esp_bytes value;
    enum esp_reject reject;
};

static const struct framing_row framing_rows[] = {
    {"confluent with a known id", ESP_FRAMING_AUTO, ROW("\x00\x00\x00\x01\x02" GOOD_CLICK),
     ESP_REJECT_NONE},
    {"confluent with an unknown id", ESP_FRAMING_CONFLUENT, ROW("\x00\x00\x00\x01\x03" GOOD_CLICK),
     ESP_REJECT_UNKNOWN_SCHEMA},
    {"confluent with another magic byte", ESP_FRAMING_CONFLUENT,
     ROW("\x01\x00\x00\x01\x02" GOOD_CLICK), ESP_REJECT_FRAMING},
    {"confluent cut inside the id", ESP_FRAMING_CONFLUENT, ROW("\x00\x00\x00\x01"),
     ESP_REJECT_FRAMING},
    {"confluent with nothing in it", ESP_FRAMING_CONFLUENT, ROW("\x00\x00\x00\x01\x02"),
     ESP_REJECT_MALFORMED},
    {"bare with schema ids configured", ESP_FRAMING_BARE, ROW(GOOD_CLICK),
     ESP_REJECT_UNKNOWN_SCHEMA},
    {"single-object with another marker", ESP_FRAMING_SINGLE,
     ROW("\xc3\x02"
         "12345678" GOOD_CLICK),
     ESP_REJECT_FRAMING},
    {"single-object with an unknown fingerprint", ESP_FRAMING_SINGLE,
     ROW("\xc3\x01"
         "12345678" GOOD_CLICK),
     ESP_REJECT_UNKNOWN_SCHEMA},
};

static void test_framing(gconstpointer data)
{
    const struct framing_row *row = data;
    struct fixture fixture = {0};
    write_schema(&fixture, click_json);
    struct esp_schema_file file = {258, fixture.path, "test.ini:1"};
    struct esp_decoder_config config = click_config();
    config.framing = row->framing;
    config.writers = &file;
    config.n_writers = 1;
    g_assert_cmpint(esp_decoder_new(&config, &fixture.decoder, &fixture.err), ==, ESP_OK);
    if (g_test_failed())
        return;
    struct esp_header header = header_of(&fixture, row->value);
    g_assert_cmpint(header.reject, ==, row->reject);
    if (header.reject == ESP_REJECT_NONE)
        g_assert_cmpmem(header.payload.data, header.payload.size, GOOD_CLICK,
                        sizeof GOOD_CLICK - 1);
    release(&fixture);
}

/* One list of ids serves every topic: schemas that do not fit this one are unknown here. */
static void test_shared_list(void)
{
    static const char other[] = "{\"type\":\"record\",\"name\":\"Other\",\"fields\":["
                                "{\"name\":\"impression\",\"type\":\"string\"}]}";
    struct fixture fixture = {0};
    write_schema(&fixture, click_json);
    char *path = g_build_filename(fixture.folder, "other.avsc", NULL);
    g_assert_true(g_file_set_contents(path, other, -1, NULL));
    const struct esp_schema_file files[] = {{1, path, "test.ini:1"},
                                            {2, fixture.path, "test.ini:2"}};
    struct esp_decoder_config config = click_config();
    config.writers = files;
    config.n_writers = 2;
    g_assert_cmpint(esp_decoder_new(&config, &fixture.decoder, &fixture.err), ==, ESP_OK);
    g_assert_cmpstr(fixture.err.text, ==, "");
    if (g_test_failed())
        return;
    struct esp_header header = header_of(&fixture, BYTES("\0\0\0\0\1" GOOD_CLICK));
    g_assert_cmpint(header.reject, ==, ESP_REJECT_UNUSABLE_SCHEMA);
    header = header_of(&fixture, BYTES("\0\0\0\0\2" GOOD_CLICK));
    g_assert_cmpint(header.reject, ==, ESP_REJECT_NONE);
    esp_decoder_free(fixture.decoder);
    fixture.decoder = NULL;
    config.n_writers = 1;
    g_assert_cmpint(esp_decoder_new(&config, &fixture.decoder, &fixture.err), ==, ESP_ESCHEMA);
    g_assert_cmpstr(fixture.err.text, ==,
                    "topic clicks: test.ini:1: id: no field \"impression_id\" in schema Other; did "
                    "you mean impression?");
    g_free(path);
    release(&fixture);
}

static void test_single_object(void)
{
    struct fixture fixture = {0};
    write_schema(&fixture, click_json);
    struct esp_schema_file file = {-1, fixture.path, "test.ini:1"};
    struct esp_decoder_config config = click_config();
    config.framing = ESP_FRAMING_SINGLE;
    config.writers = &file;
    config.n_writers = 1;
    g_assert_cmpint(esp_decoder_new(&config, &fixture.decoder, &fixture.err), ==, ESP_OK);
    if (g_test_failed())
        return;
    struct esp_buf buf;
    esp_buf_init(&buf, 1000);
    uint64_t fingerprint = esp_writer_fingerprint(esp_decoder_writer(fixture.decoder, 0));
    esp_put_single_object(&buf, fingerprint, NULL);
    esp_put_raw(&buf, BYTES(GOOD_CLICK), NULL);
    struct esp_header header = header_of(&fixture, esp_buf_bytes(&buf));
    g_assert_cmpint(header.reject, ==, ESP_REJECT_NONE);
    esp_buf_release(&buf);
    release(&fixture);
}

/* Containers: one writer a distinct text; headers of their records are read without a check. */
static void test_container(void)
{
    struct fixture fixture = {0};
    struct esp_decoder_config config = click_config();
    g_assert_cmpint(esp_decoder_new(&config, &fixture.decoder, &fixture.err), ==, ESP_OK);
    if (g_test_failed())
        return;
    const struct esp_log_framer *framer = esp_decoder_framer(fixture.decoder);
    const void *schema = NULL, *again = NULL, *other = NULL;
    g_assert_cmpint(framer->open(framer->context, click_json, sizeof click_json - 1, &schema, NULL),
                    ==, ESP_OK);
    g_assert_cmpint(framer->open(framer->context, click_json, sizeof click_json - 1, &again, NULL),
                    ==, ESP_OK);
    g_assert_true(schema == again);
    static const char lacking[] = "{\"type\":\"record\",\"name\":\"Click\",\"fields\":["
                                  "{\"name\":\"impresion_id\",\"type\":\"string\"}]}";
    g_assert_cmpint(
        framer->open(framer->context, lacking, sizeof lacking - 1, &other, &fixture.err), ==,
        ESP_ESCHEMA);
    g_assert_cmpstr(fixture.err.text, ==,
                    "topic clicks: id: no field \"impression_id\" in schema Click; did you mean "
                    "impresion_id?");
    struct esp_bytes two = BYTES(GOOD_CLICK GOOD_CLICK);
    ptrdiff_t size = framer->skip(schema, two);
    g_assert_cmpint(size, ==, sizeof GOOD_CLICK - 1);
    for (size_t n = 0; n < (size_t)size; n++)
        g_assert_cmpint(framer->skip(schema, esp_bytes(two.data, n)), ==, -1);
    struct esp_record record = {.value = esp_bytes(two.data, (size_t)size), .schema = schema};
    struct esp_header header;
    g_assert_cmpint(esp_decoder_headers(fixture.decoder, &record, 1, &header, NULL), ==, ESP_OK);
    g_assert_cmpint(header.reject, ==, ESP_REJECT_NONE);
    g_assert_cmpint(header.time_us, ==, 1000000);
    g_assert_cmpuint(esp_decoder_n_writers(fixture.decoder), ==, 1);
    g_assert_cmpstr(esp_writer_name(esp_decoder_writer(fixture.decoder, 0)), ==, "Click");
    release(&fixture);
}

/* Schemas of 4 MB each, all different, until there are too many of them. */
static void test_many_large_schemas(void)
{
    struct fixture fixture = {0};
    struct esp_decoder_config config = click_config();
    config.click_id_path = NULL;
    g_assert_cmpint(esp_decoder_new(&config, &fixture.decoder, &fixture.err), ==, ESP_OK);
    if (fixture.decoder == NULL)
        return;
    const struct esp_log_framer *framer = esp_decoder_framer(fixture.decoder);
    char *doc = g_strnfill(4000000, 'd');
    enum esp_status status = ESP_OK;
    size_t n = 0;
    for (; status == ESP_OK && n < 100; n += status == ESP_OK) {
        const void *schema = NULL;
        char *json = g_strdup_printf("{\"doc\":\"%zu%s\",%s", n, doc, click_json + 1);
        status = framer->open(framer->context, json, strlen(json), &schema, &fixture.err);
        g_free(json);
    }
    g_assert_cmpint(status, ==, ESP_ELIMIT);
    g_assert_cmpstr(fixture.err.text, ==, "topic clicks: its schemas take over 134217728 bytes");
    g_assert_cmpuint(n, ==, 33); /* 33 * 4,000,400 < 128 MiB < 34 * 4,000,400 */
    g_free(doc);
    release(&fixture);
}

struct refusal_row {
    const char *name;
    const char *id, *time;
    const char *message;
};

static const struct refusal_row refusal_rows[] = {
    {"a field that is not there", "impresion_id", "event_time",
     "topic clicks: id: no field \"impresion_id\" in schema Click; did you mean impression_id?"},
    {"an id that is a double", "weight", "event_time",
     "topic clicks: id: \"weight\" is a double; an id is a string, bytes, fixed, int or long"},
    {"a time that is text", "impression_id", "note",
     "topic clicks: time: \"note\" is a string; times in text are not supported: give a number "
     "with "
     "a unit"},
    {"a time without a unit", "impression_id", "weight",
     "topic clicks: time: \"weight\" is a double without a unit; set time_unit to s, ms, us or ns"},
    {"a path that is none", "impression_id", "event_time[",
     "topic clicks: \"event_time[\" is not a path; write field.field or map[\"key\"]"},
};

static void test_refusal(gconstpointer data)
{
    const struct refusal_row *row = data;
    struct fixture fixture = {0};
    write_schema(&fixture, click_json);
    struct esp_schema_file file = {-1, fixture.path, "test.ini:1"};
    struct esp_decoder_config config = click_config();
    config.id_path = row->id;
    config.time_path = row->time;
    config.writers = &file;
    config.n_writers = 1;
    enum esp_status status = esp_decoder_new(&config, &fixture.decoder, &fixture.err);
    g_assert_true(status == ESP_ESCHEMA || status == ESP_ECONFIG);
    char *message = g_strdup(fixture.err.text);
    char *at = strstr(message, "test.ini:1: ");
    if (at != NULL) /* the place of the schema's name stands between */
        memmove(at, at + strlen("test.ini:1: "), strlen(at + strlen("test.ini:1: ")) + 1);
    g_assert_cmpstr(message, ==, row->message);
    g_free(message);
    release(&fixture);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    char name[256];
    for (size_t i = 0; i < G_N_ELEMENTS(click_rows); i++) {
        g_snprintf(name, sizeof name, "/decoder/click/%s", click_rows[i].name);
        g_test_add_data_func(name, &click_rows[i], test_click);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(framing_rows); i++) {
        g_snprintf(name, sizeof name, "/decoder/framing/%s", framing_rows[i].name);
        g_test_add_data_func(name, &framing_rows[i], test_framing);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(refusal_rows); i++) {
        g_snprintf(name, sizeof name, "/decoder/refusal/%s", refusal_rows[i].name);
        g_test_add_data_func(name, &refusal_rows[i], test_refusal);
    }
    g_test_add_func("/decoder/framing/schemas of other topics are unknown", test_shared_list);
    g_test_add_func("/decoder/framing/single-object of a known schema", test_single_object);
    g_test_add_func("/decoder/click/a record over the size limit", test_too_large);
    g_test_add_func("/decoder/click/the log's own timestamp is the time", test_log_time);
    g_test_add_func("/decoder/click/click ids of bytes and of long", test_click_id);
    g_test_add_func("/decoder/container/all schemas of a topic have a limit",
                    test_many_large_schemas);
    g_test_add_func("/decoder/container/records are delimited and read", test_container);
    return g_test_run();
}
