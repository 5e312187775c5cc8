/*
 * feature_keys_test.c - keys are what docs/features.md says: its tables are read and compared.
 *
 * The page's keys come from Python's xxhash, so they are not our own answers.
 */
#include <math.h>
#include <stdlib.h>

#include "core/hash.h"
#include "espalier/espalier.h"
#include "feature/features.h"
#include "feature/keys.h"
#include "feature_values.h"
#include "testkit.h"

enum { N_VECTORS = 21, N_LENGTHS = 9 };

/* Reads the rows of the page's table whose head begins with the given text, as trimmed cells
 * without backquotes. Free with g_ptr_array_unref(). */
static GPtrArray *read_table(const char *head)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    char *page = NULL;
    if (!g_file_get_contents(ESP_SOURCE_DIR "/docs/features.md", &page, NULL, NULL))
        return rows;
    char **lines = g_strsplit(page, "\n", -1);
    bool inside = false;
    for (char **line = lines; *line != NULL; line++) {
        if (g_str_has_prefix(*line, head))
            inside = true;
        else if (!g_str_has_prefix(*line, "|"))
            inside = false;
        else if (inside && !g_str_has_prefix(*line, "|-")) {
            char **cells = g_strsplit(*line, "|", -1);
            for (char **cell = cells; *cell != NULL; cell++) {
                g_strdelimit(*cell, "`", ' ');
                g_strstrip(*cell);
            }
            g_ptr_array_add(rows, cells);
        }
    }
    g_strfreev(lines);
    g_free(page);
    return rows;
}

static GByteArray *from_hex(const char *hex)
{
    GByteArray *bytes = g_byte_array_new();
    for (size_t i = 0; hex[i] != '\0' && hex[i + 1] != '\0'; i += 2) {
        guint8 byte =
            (guint8)(g_ascii_xdigit_value(hex[i]) * 16 + g_ascii_xdigit_value(hex[i + 1]));
        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

/* One row of the table: a name, a tag, and the value as people write it. */
struct vector {
    const char *name, *value;
    char tag;
    GByteArray *bytes;
};

static uint64_t stage_key(const struct vector *v)
{
    uint64_t crossed[2] = {0};
    struct esp_value value = {.type = ESP_VALUE_MISSING};
    switch (v->tag) {
    case 's':
        value = text_value(v->value);
        break;
    case 'b':
        value = bytes_value(esp_bytes(v->bytes->data, v->bytes->len));
        break;
    case 'i':
        value = int_value(g_ascii_strtoll(v->value, NULL, 10));
        break;
    case 'f':
        value = real_value(g_ascii_strtod(v->value, NULL));
        break;
    case 't':
        value = bool_value(strcmp(v->value, "true") == 0);
        break;
    case 'q':
    case 'v':
        return esp_key_of_bytes(esp_bytes_of(v->name), (enum esp_key_tag)v->tag,
                                esp_bytes(v->bytes->data, v->bytes->len));
    case 'x':
        memcpy(crossed, v->bytes->data, MIN(v->bytes->len, sizeof crossed));
        return esp_feature_cross_key(v->name, crossed[0], crossed[1]);
    case 'd':
        return esp_feature_default_key(v->name);
    default:
        break;
    }
    return esp_feature_key(v->name, &value);
}

static uint64_t public_key(const struct vector *v)
{
    char *second = NULL;
    uint64_t first = 0;
    switch (v->tag) {
    case 's':
        return espalier_feature_key_text(v->name, v->value, strlen(v->value));
    case 'b':
        return espalier_feature_key_bytes(v->name, v->bytes->data, v->bytes->len);
    case 'i':
        return espalier_feature_key_int(v->name, g_ascii_strtoll(v->value, NULL, 10));
    case 'f':
        return espalier_feature_key_real(v->name, g_ascii_strtod(v->value, NULL));
    case 't':
        return espalier_feature_key_bool(v->name, strcmp(v->value, "true") == 0);
    case 'm':
        return espalier_feature_key_missing(v->name);
    case 'q':
        return espalier_feature_key_bucket(v->name, g_ascii_strtoull(v->value, NULL, 10));
    case 'v':
        return espalier_feature_key_value(v->name);
    case 'x':
        first = g_ascii_strtoull(v->value, &second, 16);
        return espalier_feature_key_cross(v->name, first, g_ascii_strtoull(second, NULL, 16));
    default:
        return espalier_feature_key_default(v->name);
    }
}

static void a_vector_has_the_key_of_the_page(gconstpointer data)
{
    char *const *cells = data;
    struct vector v = {cells[1], cells[3], cells[2][0], from_hex(cells[4])};
    uint64_t want = g_ascii_strtoull(cells[5], NULL, 16);

    GByteArray *text = g_byte_array_new();
    g_byte_array_append(text, (const guint8 *)v.name, (guint)strlen(v.name));
    g_byte_array_append(text, (const guint8 *)"\x1f", 1);
    g_byte_array_append(text, (const guint8 *)&v.tag, 1);
    g_byte_array_append(text, v.bytes->data, v.bytes->len);
    g_assert_cmphex(esp_hash(esp_bytes(text->data, text->len)), ==, want);
    g_assert_cmphex(stage_key(&v), ==, want);
    g_assert_cmphex(public_key(&v), ==, want);
    g_byte_array_unref(text);
    g_byte_array_unref(v.bytes);
}

static void a_long_text_has_the_key_of_the_page(gconstpointer data)
{
    char *const *cells = data;
    size_t n = g_ascii_strtoull(cells[2], NULL, 10);
    char *text = g_malloc(n + 1);
    memset(text, 'x', n);
    text[n] = '\0';
    struct esp_value value = text_value(text);
    g_assert_cmphex(esp_feature_key(cells[1], &value), ==, g_ascii_strtoull(cells[3], NULL, 16));
    g_free(text);
}

static void the_tables_are_whole(gconstpointer data)
{
    const guint *lengths = data;
    g_assert_cmpuint(lengths[0], ==, N_VECTORS);
    g_assert_cmpuint(lengths[1], ==, N_LENGTHS);
}

static void every_nan_and_both_zeros_are_one_value(void)
{
    struct esp_value zero = real_value(0.0), minus_zero = real_value(-0.0);
    struct esp_value nan = real_value(NAN), minus_nan = real_value(-NAN);
    uint64_t payload_bits = UINT64_C(0x7ff8000000000123);
    double payload;
    memcpy(&payload, &payload_bits, sizeof payload);
    struct esp_value payload_nan = real_value(payload);
    g_assert_cmphex(esp_feature_key("x", &zero), ==, esp_feature_key("x", &minus_zero));
    g_assert_cmphex(esp_feature_key("x", &nan), ==, esp_feature_key("x", &minus_nan));
    g_assert_cmphex(esp_feature_key("x", &nan), ==, esp_feature_key("x", &payload_nan));
    g_assert_cmphex(esp_feature_key("x", &nan), !=, esp_feature_key("x", &zero));
}

static void equal_looks_of_different_types_differ(void)
{
    struct esp_value values[] = {int_value(1),
                                 real_value(1),
                                 bool_value(true),
                                 text_value("1"),
                                 bytes_value(esp_bytes("1", 1)),
                                 missing_value(),
                                 text_value("")};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        for (size_t j = 0; j < i; j++)
            g_assert_cmphex(esp_feature_key("x", &values[i]), !=, esp_feature_key("x", &values[j]));
    }
}

static void the_name_is_part_of_the_key(void)
{
    struct esp_value value = text_value("DE");
    g_assert_cmphex(esp_feature_key("geo.country", &value), !=, esp_feature_key("country", &value));
    g_assert_cmphex(esp_feature_cross_key("a x b", 1, 2), !=, esp_feature_cross_key("a x b", 2, 1));
}

static void the_library_tells_its_version(void)
{
    g_assert_true(g_regex_match_simple("^[0-9]+\\.[0-9]+\\.[0-9]+$", espalier_version(), 0, 0));
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    GPtrArray *vectors = read_table("| feature                   | tag");
    GPtrArray *lengths = read_table("| feature    | length");
    guint n[2] = {vectors->len, lengths->len};
    g_test_add_data_func("/keys/the page's tables are found and whole", n, the_tables_are_whole);
    for (guint i = 0; i < vectors->len; i++) {
        char **cells = g_ptr_array_index(vectors, i);
        char *path = g_strdup_printf("/keys/vector/%u, %s of %s, is as the page says", i + 1,
                                     cells[2], cells[1]);
        g_test_add_data_func(path, cells, a_vector_has_the_key_of_the_page);
        g_free(path);
    }
    for (guint i = 0; i < lengths->len; i++) {
        char **cells = g_ptr_array_index(lengths, i);
        char *path = g_strdup_printf("/keys/a text of %s bytes is as the page says", cells[2]);
        g_test_add_data_func(path, cells, a_long_text_has_the_key_of_the_page);
        g_free(path);
    }
    g_test_add_func("/keys/every NaN is one value, and so are both zeros",
                    every_nan_and_both_zeros_are_one_value);
    g_test_add_func("/keys/1 as int, real, bool, text and bytes are five values",
                    equal_looks_of_different_types_differ);
    g_test_add_func("/keys/the name is part of the key, the order is part of a cross",
                    the_name_is_part_of_the_key);
    g_test_add_func("/keys/the library tells its version", the_library_tells_its_version);
    int failed = g_test_run();
    g_ptr_array_unref(vectors);
    g_ptr_array_unref(lengths);
    return failed;
}
