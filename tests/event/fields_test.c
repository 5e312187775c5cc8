/* fields_test.c - lists of fields that are made while a decoder runs, over several writers. */
#include "event/fields.h"

#include <string.h>

#include "testkit.h"

#define BYTES(text) esp_bytes(text, sizeof(text) - 1)
#define SCHEMA(fields)                                                                             \
    "{\"type\":\"record\",\"name\":\"I\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}" fields \
    "]}"
#define NUMBER(name) ",{\"name\":\"" name "\",\"type\":[\"null\",\"long\"]}"
#define LIST(name) \
    ",{\"name\":\"" name "\",\"type\":{\"type\":\"array\",\"items\":\"int\"},\"default\":[]}"

static struct esp_decoder *new_decoder(void)
{
    struct esp_decoder *decoder = NULL;
    const struct esp_decoder_config config = {
        .kind = ESP_IMPRESSION, .topic = "impressions", .id_path = "id", .time_max_us = INT64_MAX};
    g_assert_cmpint(esp_decoder_new(&config, &decoder, NULL), ==, ESP_OK);
    return decoder;
}

static const struct esp_writer *add_writer(struct esp_decoder *decoder, const char *json)
{
    const struct esp_log_framer *framer = esp_decoder_framer(decoder);
    const void *schema = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(framer->open(framer->context, json, strlen(json), &schema, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    return schema;
}

static struct esp_fields *new_fields(const char *const *paths, size_t n)
{
    struct esp_fields *fields = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_fields_new(paths, n, &fields, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    return fields;
}

/* Two writers, met one after the other: the second has the fields elsewhere and lacks one. */
static void test_writers(void)
{
    static const char *const paths[] = {"b", "a", "l"};
    struct esp_decoder *decoder = new_decoder();
    struct esp_fields *fields = new_fields(paths, 3);
    struct esp_value values[3];
    struct esp_value_scratch scratch = {0};
    g_assert_cmpint(esp_fields_check(fields, decoder, NULL), ==, ESP_OK); /* nothing is known */
    const struct esp_writer *first = add_writer(decoder, SCHEMA(NUMBER("a") NUMBER("b") LIST("l")));
    g_assert_cmpint(esp_fields_check(fields, decoder, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_fields_prepare(fields, first, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_fields_prepare(fields, first, NULL), ==, ESP_OK); /* it is there */
    g_assert_cmpint(esp_fields_read(fields, first, BYTES("\x02x\x02\x08\x02\x0a\x04\x02\x04\x00"),
                                    values, &scratch, NULL),
                    ==, ESP_OK);
    g_assert_cmpint(values[0].u.i, ==, 5);
    g_assert_cmpint(values[1].u.i, ==, 4);
    g_assert_cmpint(values[2].type, ==, ESP_VALUE_ARRAY);
    g_assert_cmpuint(values[2].n_items, ==, 2);
    const struct esp_writer *second = add_writer(decoder, SCHEMA(NUMBER("b") NUMBER("a")));
    g_assert_cmpint(esp_fields_check(fields, decoder, NULL), ==, ESP_OK); /* the first has all */
    g_assert_cmpint(esp_fields_prepare(fields, second, NULL), ==, ESP_OK);
    g_assert_cmpint(
        esp_fields_read(fields, second, BYTES("\x02x\x00\x02\x0e"), values, &scratch, NULL), ==,
        ESP_OK);
    g_assert_cmpint(values[0].type, ==, ESP_VALUE_MISSING);
    g_assert_cmpint(values[1].u.i, ==, 7);
    g_assert_cmpint(values[2].type, ==, ESP_VALUE_MISSING);
    esp_value_scratch_release(&scratch);
    esp_fields_free(fields);
    esp_decoder_free(decoder);
}

static void test_refusals(void)
{
    static const char *const lacking[] = {"a", "user_no"}, *const broken[] = {"a..b"};
    struct esp_decoder *decoder = new_decoder();
    struct esp_fields *fields = new_fields(lacking, 2);
    struct esp_error err = {0};
    add_writer(decoder, SCHEMA(NUMBER("a") NUMBER("user_id")));
    g_assert_cmpint(esp_fields_check(fields, decoder, &err), ==, ESP_ESCHEMA);
    g_assert_cmpstr(err.text, ==,
                    "feature: no field \"user_no\" in schema I; did you mean user_id?");
    esp_fields_free(fields);
    err = (struct esp_error){0};
    fields = NULL;
    g_assert_cmpint(esp_fields_new(broken, 1, &fields, &err), ==, ESP_ECONFIG);
    g_assert_null(fields);
    g_assert_nonnull(strstr(err.text, "a..b"));
    esp_decoder_free(decoder);
}

static void test_equal(void)
{
    static const char *const one[] = {"a", "b"}, *const other[] = {"b", "a"};
    struct esp_fields *fields = new_fields(one, 2);
    g_assert_true(esp_fields_equal(fields, one, 2));
    g_assert_false(esp_fields_equal(fields, one, 1));
    g_assert_false(esp_fields_equal(fields, other, 2));
    esp_fields_free(fields);
    esp_fields_free(NULL);
}

/* Bytes that end too soon are never read past. */
static void test_truncated(void)
{
    static const char *const paths[] = {"a", "l"};
    static const char record[] = "\x02x\x02\x08\x04\x02\x04\x00";
    struct esp_decoder *decoder = new_decoder();
    struct esp_fields *fields = new_fields(paths, 2);
    const struct esp_writer *writer = add_writer(decoder, SCHEMA(NUMBER("a") LIST("l")));
    struct esp_value values[2];
    struct esp_value_scratch scratch = {0};
    g_assert_cmpint(esp_fields_prepare(fields, writer, NULL), ==, ESP_OK);
    for (size_t n = 0; n < sizeof record - 2; n++) {
        char *copy = g_memdup2(record, n + 1); /* its end is where a sanitizer looks */
        g_assert_cmpint(esp_fields_read(fields, writer, esp_bytes(copy, n), values, &scratch, NULL),
                        ==, ESP_EBUG);
        g_free(copy);
    }
    esp_value_scratch_release(&scratch);
    esp_fields_free(fields);
    esp_decoder_free(decoder);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/fields/a list reads from every writer in its own order", test_writers);
    g_test_add_func("/fields/a field that no writer has is named, with the nearest", test_refusals);
    g_test_add_func("/fields/lists are equal with equal paths in the same order", test_equal);
    g_test_add_func("/fields/a record that is cut off is refused", test_truncated);
    return g_test_run();
}
