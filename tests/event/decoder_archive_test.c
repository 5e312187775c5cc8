/* decoder_archive_test.c - a decoder's writers come back at their indices. */
#include "core/buf.h"
#include "core/hash.h"
#include "event/event.h"
#include "testkit.h"

#define FIELDS                                          \
    "{\"name\":\"impression_id\",\"type\":\"string\"}," \
    "{\"name\":\"event_time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}"
#define FIELD(name)    ",{\"name\":\"" name "\",\"type\":\"string\"}"
#define SCHEMA(fields) "{\"type\":\"record\",\"name\":\"Event\",\"fields\":[" fields "]}"
/* id "abc", 1,000 ms */
#define RECORD \
    "\x06"     \
    "abc"      \
    "\xd0\x0f"

static const char *const texts[] = {
    SCHEMA(FIELDS FIELD("os")),
    SCHEMA(FIELDS FIELD("os") FIELD("a")),
    SCHEMA(FIELDS FIELD("os") FIELD("b")),
    SCHEMA(FIELDS FIELD("os") FIELD("c")),
};

struct source {
    size_t n_asked;
    uint32_t shift; /* id i is text i + shift */
};

/* Ids 0 .. 3 are the texts; 4 does not fit. */
static enum esp_status look_up(void *context, uint32_t id, const char **out_json,
                               enum esp_reject *out_reject, struct esp_error *err)
{
    struct source *source = context;
    (void)out_reject, (void)err;
    source->n_asked++;
    *out_json = id < G_N_ELEMENTS(texts) ? texts[(id + source->shift) % G_N_ELEMENTS(texts)]
                                         : "{\"type\":\"record\",\"name\":\"Other\",\"fields\":[]}";
    return ESP_OK;
}

static void note_refused(void *context, uint32_t id, const struct esp_error *why)
{
    (void)context, (void)id, (void)why;
}

static struct esp_decoder *new_decoder(struct source *asked)
{
    static const char *const features[] = {"os"};
    const struct esp_schema_source source = {"the source", asked, look_up, note_refused};
    const struct esp_decoder_config config = {.kind = ESP_IMPRESSION,
                                              .topic = "events",
                                              .source = asked != NULL ? &source : NULL,
                                              .id_path = "impression_id",
                                              .time_path = "event_time",
                                              .time_max_us = INT64_MAX,
                                              .feature_paths = features,
                                              .n_features = 1};
    struct esp_decoder *decoder = NULL;
    g_assert_cmpint(esp_decoder_new(&config, &decoder, NULL), ==, ESP_OK);
    return decoder;
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

static void write_decoder(struct esp_decoder *decoder, struct esp_buf *out)
{
    struct esp_archive archive;
    esp_buf_init(out, 1 << 20);
    esp_archive_write_to(&archive, to_buf, out);
    esp_decoder_archive(&archive, decoder);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
}

static enum esp_status read_decoder(struct esp_decoder *decoder, struct esp_bytes bytes,
                                    struct esp_error *err)
{
    struct esp_archive archive;
    esp_archive_read_from(&archive, bytes);
    esp_decoder_archive(&archive, decoder);
    return esp_archive_end(&archive, err);
}

/* Opens a container of this text; its writer's index. */
static uint16_t open_text(struct esp_decoder *decoder, const char *text)
{
    const struct esp_log_framer *framer = esp_decoder_framer(decoder);
    const void *schema = NULL;
    g_assert_cmpint(framer->open(framer->context, text, strlen(text), &schema, NULL), ==, ESP_OK);
    return schema == NULL ? UINT16_MAX : esp_writer_index(schema);
}

/* The reject of one record of this id; its writer's index in *out_writer. */
static int decode_id(struct esp_decoder *decoder, uint8_t id, uint16_t *out_writer)
{
    uint8_t bytes[64] = {0, 0, 0, 0, id};
    const char content[] = RECORD "\x02i\x02x"; /* os, and one field more */
    size_t size = 5 + sizeof content - 1 - (id == 0 ? 2 : 0);
    memcpy(bytes + 5, content, sizeof content);
    struct esp_record record = {.value = esp_bytes(bytes, size)};
    struct esp_header header = {0};
    g_assert_cmpint(esp_decoder_headers(decoder, &record, 1, &header, NULL), ==, ESP_OK);
    *out_writer = header.writer;
    return header.reject;
}

static void test_containers(void)
{
    struct esp_decoder *decoder = new_decoder(NULL), *again = new_decoder(NULL);
    struct esp_buf first, second;
    for (uint16_t i = 0; i < 3; i++)
        g_assert_cmpuint(open_text(decoder, texts[i]), ==, i);
    write_decoder(decoder, &first);
    g_assert_cmpint(read_decoder(again, esp_buf_bytes(&first), NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_decoder_n_writers(again), ==, 3);
    g_assert_cmpstr(esp_decoder_feature_type(again, 0), ==, "string");
    for (uint16_t i = 0; i < 3; i++) {
        g_assert_cmpstr(esp_writer_json(esp_decoder_writer(again, i)), ==, texts[i]);
        g_assert_cmpuint(open_text(again, texts[i]), ==, i);
    }
    write_decoder(again, &second);
    g_assert_true(esp_bytes_equal(esp_buf_bytes(&first), esp_buf_bytes(&second)));
    g_assert_cmpuint(open_text(again, texts[3]), ==, 3);
    esp_buf_release(&first);
    esp_buf_release(&second);
    esp_decoder_free(decoder);
    esp_decoder_free(again);
}

/* A decoder that met two schemas before it was read, one of them new: a first look at a topic. */
static void test_order(void)
{
    struct esp_decoder *decoder = new_decoder(NULL), *again = new_decoder(NULL);
    struct esp_buf bytes;
    for (uint16_t i = 0; i < 3; i++)
        open_text(decoder, texts[i]);
    write_decoder(decoder, &bytes);
    g_assert_cmpuint(open_text(again, texts[3]), ==, 0);
    g_assert_cmpuint(open_text(again, texts[2]), ==, 1);
    g_assert_cmpint(read_decoder(again, esp_buf_bytes(&bytes), NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_decoder_n_writers(again), ==, 4);
    for (uint16_t i = 0; i < 4; i++) {
        g_assert_cmpstr(esp_writer_json(esp_decoder_writer(again, i)), ==, texts[i]);
        g_assert_cmpuint(esp_writer_index(esp_decoder_writer(again, i)), ==, i);
    }
    esp_buf_release(&bytes);
    esp_decoder_free(decoder);
    esp_decoder_free(again);
}

static void test_ids(void)
{
    struct source one = {0}, other = {0}, shifted = {.shift = 1};
    struct esp_decoder *decoder = new_decoder(&one), *again = new_decoder(&other);
    const uint8_t ids[] = {2, 4, 0, 3, 2};
    struct esp_buf bytes;
    uint16_t writer, writer_again;
    for (size_t i = 0; i < sizeof ids; i++)
        decode_id(decoder, ids[i], &writer);
    g_assert_cmpuint(one.n_asked, ==, 4);
    write_decoder(decoder, &bytes);
    g_assert_cmpint(read_decoder(again, esp_buf_bytes(&bytes), NULL), ==, ESP_OK);
    for (size_t i = 0; i < sizeof ids; i++) {
        g_assert_cmpint(decode_id(again, ids[i], &writer_again), ==,
                        decode_id(decoder, ids[i], &writer));
        g_assert_cmpint(writer_again, ==, writer);
    }
    g_assert_cmpint(decode_id(again, 4, &writer), ==, ESP_REJECT_UNUSABLE_SCHEMA);
    g_assert_cmpuint(other.n_asked, ==, 0); /* what an id means is known */
    g_assert_cmpint(decode_id(again, 1, &writer), ==, ESP_REJECT_NONE);
    g_assert_cmpuint(writer, ==, 3);
    g_assert_cmpuint(other.n_asked, ==, 1);
    esp_decoder_free(again);

    /* An id that means another schema by now. */
    struct esp_error err = {0};
    again = new_decoder(&shifted);
    decode_id(again, 2, &writer);
    g_assert_cmpint(read_decoder(again, esp_buf_bytes(&bytes), &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "topic events: schema id 2 is another schema"));
    esp_buf_release(&bytes);
    esp_decoder_free(decoder);
    esp_decoder_free(again);
}

static void test_damaged(void)
{
    struct source source = {0};
    struct esp_decoder *decoder = new_decoder(&source);
    struct esp_buf bytes;
    struct test_random random = {3};
    uint16_t writer;
    for (uint8_t id = 0; id < 5; id++)
        decode_id(decoder, id, &writer);
    write_decoder(decoder, &bytes);
    for (size_t n = 0; n < bytes.size; n++) {
        struct esp_decoder *again = new_decoder(&source);
        g_assert_cmpint(read_decoder(again, esp_bytes(bytes.data, n), NULL), ==, ESP_EDATA);
        esp_decoder_free(again);
    }
    for (int i = 0; i < 2000; i++) {
        size_t at = (size_t)test_random_below(&random, bytes.size);
        uint8_t flipped = (uint8_t)(1 + test_random_below(&random, 255));
        struct esp_decoder *again = new_decoder(&source);
        bytes.data[at] ^= flipped;
        if (read_decoder(again, esp_buf_bytes(&bytes), NULL) == ESP_OK)
            for (uint8_t id = 0; id < 5; id++)
                decode_id(again, id, &writer);
        bytes.data[at] ^= flipped;
        esp_decoder_free(again);
    }
    esp_buf_release(&bytes);
    esp_decoder_free(decoder);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/decoder/archive/\"containers' schemas come back in their order\"",
                    test_containers);
    g_test_add_func("/decoder/archive/\"what was met before takes its old place\"", test_order);
    g_test_add_func("/decoder/archive/\"schema ids mean what they meant, and none is asked for\"",
                    test_ids);
    g_test_add_func("/decoder/archive/\"no archive that is cut or damaged does harm\"",
                    test_damaged);
    return g_test_run();
}
