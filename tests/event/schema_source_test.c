/* schema_source_test.c - a decoder and the source that it looks schemas up in. */
#include "core/hash.h"
#include "event/event.h"
#include "testkit.h"

#define CLICK_FIELDS                                    \
    "{\"name\":\"impression_id\",\"type\":\"string\"}," \
    "{\"name\":\"event_time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}"
#define SCHEMA(fields) "{\"type\":\"record\",\"name\":\"Click\",\"fields\":[" fields "]}"
/* id "abc", 1,000 ms */
#define GOOD_CLICK \
    "\x06"         \
    "abc"          \
    "\xd0\x0f"

/* What the source says of an id. */
struct entry {
    uint32_t id;
    const char *json;
    enum esp_reject reject;
    enum esp_status status;
};

static const struct entry entries[] = {
    {1, SCHEMA(CLICK_FIELDS), ESP_REJECT_NONE, ESP_OK},
    {2,
     SCHEMA(CLICK_FIELDS
            ",{\"name\":\"os\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"}"),
     ESP_REJECT_NONE, ESP_OK},
    {8, SCHEMA(CLICK_FIELDS ",{\"name\":\"os\",\"type\":\"string\"}"), ESP_REJECT_NONE, ESP_OK},
    {3, SCHEMA("{\"name\":\"impression\",\"type\":\"string\"}"), ESP_REJECT_NONE, ESP_OK},
    {4, "{\"type\":\"recrd\"}", ESP_REJECT_NONE, ESP_OK},
    {5, NULL, ESP_REJECT_UNKNOWN_SCHEMA, ESP_OK},
    {6, NULL, ESP_REJECT_UNUSABLE_SCHEMA, ESP_OK},
    {7, NULL, ESP_REJECT_NONE, ESP_EBROKER},
    {0x01020304, SCHEMA(CLICK_FIELDS), ESP_REJECT_NONE, ESP_OK},
};

struct source {
    size_t n_asked;
    uint32_t last_id;
    GString *refused;
    bool answers_all; /* every id has schema 1 */
};

static enum esp_status look_up(void *context, uint32_t id, const char **out_json,
                               enum esp_reject *out_reject, struct esp_error *err)
{
    struct source *source = context;
    source->n_asked++;
    source->last_id = id;
    for (size_t i = 0; i < G_N_ELEMENTS(entries); i++) {
        const struct entry *entry = &entries[source->answers_all ? 0 : i];
        if (entry->id != id && !source->answers_all)
            continue;
        if (entry->status != ESP_OK)
            return esp_fail(err, entry->status, "called off");
        *out_json = entry->json;
        *out_reject = entry->reject;
        return ESP_OK;
    }
    return esp_fail(err, ESP_EBUG, "the test has no id %u", id);
}

static void note_refused(void *context, uint32_t id, const struct esp_error *why)
{
    struct source *source = context;
    g_string_append_printf(source->refused, "%u: %s\n", id, why->text);
}

struct fixture {
    struct source source;
    struct esp_decoder *decoder;
    struct esp_error err;
};

static void open_decoder(struct fixture *fixture, bool has_features)
{
    static const char *const features[] = {"os", "n"};
    const struct esp_schema_source source = {"the source", &fixture->source, look_up, note_refused};
    const struct esp_decoder_config config = {.kind = ESP_IMPRESSION,
                                              .topic = "clicks",
                                              .source = &source,
                                              .id_path = "impression_id",
                                              .time_path = "event_time",
                                              .time_max_us = INT64_MAX,
                                              .feature_paths = features,
                                              .n_features = has_features ? 2 : 0};
    fixture->source.refused = g_string_new(NULL);
    g_assert_cmpint(esp_decoder_new(&config, &fixture->decoder, &fixture->err), ==, ESP_OK);
}

static void close_decoder(struct fixture *fixture)
{
    esp_decoder_free(fixture->decoder);
    g_string_free(fixture->source.refused, TRUE);
}

/* Decodes one record of this id; its reject, or -status where the call failed. */
static int decode(struct fixture *fixture, uint32_t id, const char *content, size_t size)
{
    uint8_t bytes[256] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                          (uint8_t)id};
    memcpy(bytes + 5, content, size);
    struct esp_record record = {.value = esp_bytes(bytes, 5 + size)};
    struct esp_header header;
    fixture->err = (struct esp_error){0};
    enum esp_status status =
        esp_decoder_headers(fixture->decoder, &record, 1, &header, &fixture->err);
    return status == ESP_OK ? (int)header.reject : -(int)status;
}

#define DECODE(fixture, id, content) decode(fixture, id, content, sizeof(content) - 1)

static void test_asked_once(void)
{
    struct fixture fixture = {0};
    open_decoder(&fixture, false);
    for (int i = 0; i < 3; i++)
        g_assert_cmpint(DECODE(&fixture, 0x01020304, GOOD_CLICK), ==, ESP_REJECT_NONE);
    g_assert_cmpuint(fixture.source.n_asked, ==, 1);
    g_assert_cmpuint(fixture.source.last_id, ==, 0x01020304); /* big-endian on the wire */
    g_assert_cmpint(DECODE(&fixture, 1, GOOD_CLICK), ==, ESP_REJECT_NONE);
    g_assert_cmpuint(esp_decoder_n_writers(fixture.decoder), ==, 1); /* the same text */
    g_assert_cmpint(DECODE(&fixture, 1, GOOD_CLICK "x"), ==, ESP_REJECT_MALFORMED);
    close_decoder(&fixture);
}

static void test_missing(void)
{
    struct fixture fixture = {0};
    open_decoder(&fixture, false);
    for (int i = 0; i < 3; i++)
        g_assert_cmpint(DECODE(&fixture, 5, GOOD_CLICK), ==, ESP_REJECT_UNKNOWN_SCHEMA);
    g_assert_cmpint(DECODE(&fixture, 6, GOOD_CLICK), ==, ESP_REJECT_UNUSABLE_SCHEMA);
    g_assert_cmpuint(fixture.source.n_asked, ==, 4);
    g_assert_cmpstr(fixture.source.refused->str, ==, "");
    close_decoder(&fixture);
}

static void test_called_off(void)
{
    struct fixture fixture = {0};
    open_decoder(&fixture, false);
    g_assert_cmpint(DECODE(&fixture, 7, GOOD_CLICK), ==, -ESP_EBROKER);
    g_assert_cmpstr(fixture.err.text, ==, "called off");
    g_assert_cmpint(DECODE(&fixture, 1, GOOD_CLICK), ==, ESP_REJECT_NONE); /* goes on */
    close_decoder(&fixture);
}

/* A schema without the id is refused whether it comes first or last, and said once. */
static void test_misfit(void)
{
    struct fixture fixture = {0};
    open_decoder(&fixture, false);
    for (int i = 0; i < 2; i++)
        g_assert_cmpint(DECODE(&fixture, 3, GOOD_CLICK), ==, ESP_REJECT_UNUSABLE_SCHEMA);
    g_assert_cmpint(DECODE(&fixture, 4, GOOD_CLICK), ==, ESP_REJECT_UNUSABLE_SCHEMA);
    g_assert_cmpstr(fixture.source.refused->str, ==,
                    "3: topic clicks: id: no field \"impression_id\" in schema Click; did you mean "
                    "impression? (schema 3 of the source)\n"
                    "4: topic clicks: unknown type \"recrd\" (schema 4 of the source)\n");
    g_assert_cmpuint(fixture.source.n_asked, ==, 2);
    g_assert_cmpint(DECODE(&fixture, 1, GOOD_CLICK), ==, ESP_REJECT_NONE);
    close_decoder(&fixture);
}

static void test_first_lacks_feature(void)
{
    struct fixture fixture = {0};
    open_decoder(&fixture, true);
    g_assert_cmpint(DECODE(&fixture, 1, GOOD_CLICK), ==, ESP_REJECT_UNUSABLE_SCHEMA);
    g_assert_nonnull(strstr(fixture.source.refused->str, "it has none of the features"));
    g_assert_cmpint(DECODE(&fixture, 8, GOOD_CLICK "\x02i"), ==, -ESP_ESCHEMA);
    g_assert_cmpstr(fixture.err.text, ==,
                    "topic clicks: feature: no field \"n\" in schema Click; it has "
                    "impression_id, event_time, os (schema 8 of the source)");
    close_decoder(&fixture);
}

static void test_later_lacks_feature(void)
{
    struct fixture fixture = {0};
    open_decoder(&fixture, true);
    g_assert_null(esp_decoder_feature_type(fixture.decoder, 0));
    g_assert_cmpint(DECODE(&fixture, 2, GOOD_CLICK "\x02i\x02"), ==, ESP_REJECT_NONE);
    g_assert_cmpstr(esp_decoder_feature_type(fixture.decoder, 0), ==, "string");
    g_assert_cmpint(DECODE(&fixture, 8, GOOD_CLICK "\x02i"), ==, ESP_REJECT_NONE);
    if (esp_decoder_n_writers(fixture.decoder) != 2) {
        g_test_fail();
        return;
    }
    struct esp_value values[2];
    struct esp_value_scratch scratch = {0};
    g_assert_cmpint(esp_writer_features(esp_decoder_writer(fixture.decoder, 1),
                                        esp_bytes(GOOD_CLICK "\x02i", sizeof GOOD_CLICK + 1),
                                        values, &scratch, NULL),
                    ==, ESP_OK);
    g_assert_cmpint(values[0].type, ==, ESP_VALUE_TEXT);
    g_assert_cmpint(values[1].type, ==, ESP_VALUE_MISSING);
    esp_value_scratch_release(&scratch);
    close_decoder(&fixture);
}

/* What is not framed, or framed otherwise, asks nobody. */
static void test_bad_frames(void)
{
    struct fixture fixture = {0};
    open_decoder(&fixture, false);
    const struct esp_record records[] = {{.value = esp_bytes("\0\0\0\1", 4)},
                                         {.value = esp_bytes("\1\0\0\0\1abc", 8)},
                                         {.value = esp_bytes("", 0)},
                                         {.value = {NULL, 0}}};
    struct esp_header headers[4];
    g_assert_cmpint(esp_decoder_headers(fixture.decoder, records, 4, headers, NULL), ==, ESP_OK);
    for (size_t i = 0; i < 3; i++)
        g_assert_cmpint(headers[i].reject, ==, ESP_REJECT_FRAMING);
    g_assert_cmpint(headers[3].reject, ==, ESP_REJECT_TOMBSTONE);
    g_assert_cmpuint(fixture.source.n_asked, ==, 0);
    close_decoder(&fixture);
}

/* A topic has at most 4,096 ids: after that nobody is asked, and those that are known stay. */
static void test_many_ids(void)
{
    struct fixture fixture = {.source.answers_all = true};
    open_decoder(&fixture, false);
    for (uint32_t i = 0; i < 5000; i++) { /* falling and rising: the table is sorted */
        int want = i < 4096 ? ESP_REJECT_NONE : ESP_REJECT_UNUSABLE_SCHEMA;
        uint32_t id = i % 2 == 0 ? 100000 - i : 100000 + i;
        if (DECODE(&fixture, id, GOOD_CLICK) != want)
            g_test_fail_printf("id %u", id);
    }
    g_assert_cmpuint(fixture.source.n_asked, ==, 4096);
    g_assert_cmpint(DECODE(&fixture, 100001, GOOD_CLICK), ==, ESP_REJECT_NONE);
    g_assert_cmpuint(fixture.source.n_asked, ==, 4096);
    close_decoder(&fixture);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/schema source/an id that is found is asked for once", test_asked_once);
    g_test_add_func("/schema source/one that is not is asked for with each record", test_missing);
    g_test_add_func("/schema source/a lookup that is called off rejects nothing", test_called_off);
    g_test_add_func("/schema source/a schema that does not fit is refused, and said once",
                    test_misfit);
    g_test_add_func("/schema source/the first that fits must have the features",
                    test_first_lacks_feature);
    g_test_add_func("/schema source/a later one may lack them", test_later_lacks_feature);
    g_test_add_func("/schema source/bad frames ask nobody", test_bad_frames);
    g_test_add_func("/schema source/the number of ids is bounded", test_many_ids);
    return g_test_run();
}
