/* archive_test.c - what is written is what is read; what cannot be read is refused. */
#include "core/archive.h"

#include "core/buf.h"
#include "testkit.h"

struct thing {
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    int64_t e;
    double f;
    float g;
    bool h;
    size_t i;
    uint32_t *items;
    size_t n;
    char *text, *none;
};

static void thing_archive(struct esp_archive *archive, struct thing *thing)
{
    esp_archive_mark(archive, "thing", 3);
    esp_archive_same(archive, 7, "the number of features");
    esp_archive_u8(archive, &thing->a);
    esp_archive_u16(archive, &thing->b);
    esp_archive_u32(archive, &thing->c);
    esp_archive_u64(archive, &thing->d);
    esp_archive_i64(archive, &thing->e);
    esp_archive_f64(archive, &thing->f);
    esp_archive_f32(archive, &thing->g);
    esp_archive_bool(archive, &thing->h);
    esp_archive_size(archive, &thing->i);
    esp_archive_array(archive, (void **)&thing->items, &thing->n, sizeof *thing->items);
    esp_archive_text(archive, &thing->text);
    esp_archive_text(archive, &thing->none);
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

/* More than an archive buffers. */
enum { N_ITEMS = 5000 };

static void write_thing(struct esp_buf *buf)
{
    uint32_t *items = g_new(uint32_t, N_ITEMS);
    for (uint32_t i = 0; i < N_ITEMS; i++)
        items[i] = i * i;
    struct thing thing = {.a = 1,
                          .b = 2,
                          .c = 3,
                          .d = UINT64_MAX,
                          .e = INT64_MIN,
                          .f = 0.1,
                          .g = 0.2F,
                          .h = true,
                          .i = 9,
                          .items = items,
                          .n = N_ITEMS,
                          .text = (char[]){"said"}};
    esp_buf_init(buf, 1 << 20);
    struct esp_archive archive;
    esp_archive_write_to(&archive, to_buf, buf);
    thing_archive(&archive, &thing);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    g_free(items);
}

static enum esp_status read_thing(struct esp_bytes bytes, struct thing *thing,
                                  struct esp_error *err)
{
    *thing = (struct thing){0};
    struct esp_archive archive;
    esp_archive_read_from(&archive, bytes);
    thing_archive(&archive, thing);
    return esp_archive_end(&archive, err);
}

static void thing_release(struct thing *thing)
{
    free(thing->items);
    free(thing->text);
    free(thing->none);
}

static void test_round_trip(void)
{
    struct esp_buf buf;
    write_thing(&buf);
    struct thing thing;
    g_assert_cmpint(read_thing(esp_buf_bytes(&buf), &thing, NULL), ==, ESP_OK);
    g_assert_cmpuint(thing.a, ==, 1);
    g_assert_cmpuint(thing.b, ==, 2);
    g_assert_cmpuint(thing.c, ==, 3);
    g_assert_cmpuint(thing.d, ==, UINT64_MAX);
    g_assert_cmpint(thing.e, ==, INT64_MIN);
    g_assert_cmpfloat(thing.f, ==, 0.1);
    g_assert_cmpfloat(thing.g, ==, 0.2F);
    g_assert_true(thing.h);
    g_assert_cmpuint(thing.i, ==, 9);
    g_assert_cmpuint(thing.n, ==, N_ITEMS);
    for (uint32_t i = 0; i < N_ITEMS; i++)
        g_assert_cmpuint(thing.items[i], ==, i * i);
    g_assert_cmpstr(thing.text, ==, "said");
    g_assert_null(thing.none);
    thing_release(&thing);
    esp_buf_release(&buf);
}

/* Every prefix, and one byte too many. */
static void test_truncated(void)
{
    struct esp_buf buf;
    write_thing(&buf);
    for (size_t n = 0; n < buf.size; n += n < 100 || n + 100 > buf.size ? 1 : 997) {
        struct thing thing;
        struct esp_error err = {0};
        g_assert_cmpint(read_thing(esp_bytes(buf.data, n), &thing, &err), ==, ESP_EDATA);
        g_assert_nonnull(strstr(err.text, "truncated"));
        thing_release(&thing);
    }
    esp_buf_append(&buf, "x", 1, NULL);
    struct thing thing;
    struct esp_error err = {0};
    g_assert_cmpint(read_thing(esp_buf_bytes(&buf), &thing, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==, "1 bytes are left over");
    thing_release(&thing);
    esp_buf_release(&buf);
}

static void read_says(void (*spoil)(struct esp_buf *buf), const char *text)
{
    struct esp_buf buf;
    write_thing(&buf);
    spoil(&buf);
    struct thing thing;
    struct esp_error err = {0};
    g_assert_cmpint(read_thing(esp_buf_bytes(&buf), &thing, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==, text);
    thing_release(&thing);
    esp_buf_release(&buf);
}

static void spoil_name(struct esp_buf *buf)
{
    buf->data[0] ^= 1;
}
static void spoil_version(struct esp_buf *buf)
{
    buf->data[8] = 4;
}
static void spoil_same(struct esp_buf *buf)
{
    buf->data[12] = 6;
}
static void spoil_bool(struct esp_buf *buf)
{
    buf->data[12 + 8 + 1 + 2 + 4 + 8 + 8 + 8 + 4] = 2;
}
static void spoil_count(struct esp_buf *buf)
{
    memset(buf->data + 12 + 8 + 1 + 2 + 4 + 8 + 8 + 8 + 4 + 1 + 8, 0xff, 8);
}
static void spoil_text(struct esp_buf *buf)
{
    buf->data[buf->size - 2] = 0;
}

static void test_damaged(void)
{
    read_says(spoil_name, "no state of the thing stands where it should");
    read_says(spoil_version, "the state of the thing is of version 4, this program reads 3");
    read_says(spoil_same, "the number of features is 7, and was 6 when the state was saved");
    read_says(spoil_bool, "a truth value is not possible");
    read_says(spoil_count, "it is truncated: 18446744073709551615 items are announced");
    read_says(spoil_text, "a NUL inside a text is not possible");
}

static enum esp_status no_sink(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    (void)bytes;
    (void)n;
    (*(int *)context)++;
    return esp_fail(err, ESP_EIO, "the disk is full");
}

static void test_sink_fails(void)
{
    struct thing thing = {.items = g_new0(uint32_t, N_ITEMS), .n = N_ITEMS};
    int n_calls = 0;
    struct esp_archive archive;
    esp_archive_write_to(&archive, no_sink, &n_calls);
    for (int i = 0; i < 3; i++)
        thing_archive(&archive, &thing);
    struct esp_error err = {0};
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_EIO);
    g_assert_cmpstr(err.text, ==, "the disk is full");
    g_assert_cmpint(n_calls, ==, 1);
    g_free(thing.items);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/archive/what is written is what is read", test_round_trip);
    g_test_add_func("/archive/what is cut off or goes on is refused", test_truncated);
    g_test_add_func("/archive/what does not fit is refused with its reason", test_damaged);
    g_test_add_func("/archive/the first failure of a sink stays", test_sink_fails);
    return g_test_run();
}
