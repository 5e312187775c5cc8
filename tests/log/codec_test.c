/* codec_test.c - blocks come out as they went in; damaged and oversized ones are refused. */
#include "log/codec.h"

#include "testkit.h"

enum { CAP = 1 << 20 };

struct bufs {
    struct esp_codec codec;
    struct esp_buf packed, plain;
};

static void set_up(struct bufs *bufs)
{
    bufs->codec = (struct esp_codec){NULL, NULL};
    esp_buf_init(&bufs->packed, (size_t)8 * CAP);
    esp_buf_init(&bufs->plain, CAP);
}

static void tear_down(struct bufs *bufs)
{
    esp_codec_release(&bufs->codec);
    esp_buf_release(&bufs->packed);
    esp_buf_release(&bufs->plain);
}

/* Half noise, half repetition. */
static uint8_t *sample(size_t n)
{
    uint8_t *bytes = g_malloc(n + 1);
    struct test_random random = {n};
    for (size_t i = 0; i < n; i++)
        bytes[i] = (i / 512) % 2 == 0 ? (uint8_t)test_random_u64(&random) : (uint8_t)(i % 7);
    return bytes;
}

static void test_round_trip(const void *data)
{
    enum esp_codec_id id = (enum esp_codec_id)GPOINTER_TO_INT(data);
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, CAP};
    struct bufs bufs;
    set_up(&bufs);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        uint8_t *bytes = sample(sizes[i]);
        const char *why = NULL;
        g_assert_cmpint(
            esp_codec_encode(&bufs.codec, id, esp_bytes(bytes, sizes[i]), &bufs.packed, NULL), ==,
            ESP_OK);
        g_assert_cmpint(
            esp_codec_decode(&bufs.codec, id, esp_buf_bytes(&bufs.packed), &bufs.plain, &why, NULL),
            ==, ESP_OK);
        g_assert_true(esp_bytes_equal(esp_buf_bytes(&bufs.plain), esp_bytes(bytes, sizes[i])));
        g_free(bytes);
    }
    tear_down(&bufs);
}

/* A block of a few KiB that would decode to four times the cap. */
static void test_bomb(const void *data)
{
    enum esp_codec_id id = (enum esp_codec_id)GPOINTER_TO_INT(data);
    struct bufs bufs;
    set_up(&bufs);
    uint8_t *zeros = g_malloc0((size_t)4 * CAP);
    const char *why = "";
    g_assert_cmpint(
        esp_codec_encode(&bufs.codec, id, esp_bytes(zeros, (size_t)4 * CAP), &bufs.packed, NULL),
        ==, ESP_OK);
    g_assert_cmpint(
        esp_codec_decode(&bufs.codec, id, esp_buf_bytes(&bufs.packed), &bufs.plain, &why, NULL), ==,
        ESP_EDATA);
    g_assert_cmpstr(why, ==, "a block decodes to more than the limit");
    g_assert_cmpuint(bufs.plain.capacity, <=, CAP);
    g_free(zeros);
    tear_down(&bufs);
}

/* Cut short, with a byte too many, with a byte changed: refused, and the next block still works. */
static void test_damage(const void *data)
{
    enum esp_codec_id id = (enum esp_codec_id)GPOINTER_TO_INT(data);
    struct bufs bufs;
    set_up(&bufs);
    uint8_t *bytes = sample(3000);
    struct esp_bytes plain = esp_bytes(bytes, 3000);
    const char *why = NULL;
    esp_codec_encode(&bufs.codec, id, plain, &bufs.packed, NULL);
    struct esp_bytes packed = esp_buf_bytes(&bufs.packed);
    for (size_t n = 0; n < packed.size; n++) {
        why = NULL;
        g_assert_cmpint(
            esp_codec_decode(&bufs.codec, id, esp_bytes(packed.data, n), &bufs.plain, &why, NULL),
            ==, ESP_EDATA);
        g_assert_nonnull(why);
    }
    esp_buf_append(&bufs.packed, "x", 1, NULL);
    g_assert_cmpint(
        esp_codec_decode(&bufs.codec, id, esp_buf_bytes(&bufs.packed), &bufs.plain, &why, NULL), ==,
        ESP_EDATA);
    bufs.packed.size--;
    if (id == ESP_CODEC_SNAPPY) {
        bufs.packed.data[100] ^= 1; /* in a literal: only the checksum can tell */
        g_assert_cmpint(
            esp_codec_decode(&bufs.codec, id, esp_buf_bytes(&bufs.packed), &bufs.plain, &why, NULL),
            ==, ESP_EDATA);
        g_assert_cmpstr(why, ==, "a block fails its checksum");
        bufs.packed.data[100] ^= 1;
    }
    g_assert_cmpint(
        esp_codec_decode(&bufs.codec, id, esp_buf_bytes(&bufs.packed), &bufs.plain, &why, NULL), ==,
        ESP_OK);
    g_assert_true(esp_bytes_equal(esp_buf_bytes(&bufs.plain), plain));
    g_free(bytes);
    tear_down(&bufs);
}

static void test_names(void)
{
    enum esp_codec_id id = ESP_N_CODECS;
    const char *why = NULL;
    g_assert_true(esp_codec_find(esp_bytes(NULL, 0), &id, &why) && id == ESP_CODEC_NULL);
    g_assert_true(esp_codec_find(esp_bytes_of("deflate"), &id, &why) && id == ESP_CODEC_DEFLATE);
    g_assert_true(esp_codec_find(esp_bytes_of("snappy"), &id, &why) && id == ESP_CODEC_SNAPPY);
    g_assert_false(esp_codec_find(esp_bytes_of("zstandard"), &id, &why));
    g_assert_nonnull(strstr(why, "null, deflate, snappy"));
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const struct {
        const char *name;
        enum esp_codec_id id;
        void (*run)(const void *);
    } rows[] = {
        {"/codec/deflate/comes out as it went in", ESP_CODEC_DEFLATE, test_round_trip},
        {"/codec/snappy/comes out as it went in", ESP_CODEC_SNAPPY, test_round_trip},
        {"/codec/deflate/a bomb is refused within the cap", ESP_CODEC_DEFLATE, test_bomb},
        {"/codec/snappy/a bomb is refused within the cap", ESP_CODEC_SNAPPY, test_bomb},
        {"/codec/deflate/damage is refused", ESP_CODEC_DEFLATE, test_damage},
        {"/codec/snappy/damage is refused", ESP_CODEC_SNAPPY, test_damage},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add_data_func(rows[i].name, GINT_TO_POINTER(rows[i].id), rows[i].run);
    g_test_add_func("/codec/names", test_names);
    return g_test_run();
}
