/* example_test.c - batches that own their bytes. */
#include "sample/example.h"

#include "testkit.h"

enum { MANY = 1000 };

static const struct esp_writer *const WRITER = (const struct esp_writer *)(const void *)&WRITER;

/* Label i has an id and a payload of its own, in the given room; some payloads are empty. */
static struct esp_label label_of(size_t i, char id[32], char payload[64])
{
    int id_size = snprintf(id, 32, "id-%zu", i);
    int payload_size = i % 7 == 0 ? 0 : snprintf(payload, 64, "payload of number %zu", i);
    return (struct esp_label){
        .maturity_us = (int64_t)i + 10,
        .impression_us = (int64_t)i,
        .click_us = (int64_t)i + 1,
        .install_us = (int64_t)i + 2,
        .ticket = i + 100,
        .id_hash = i + 200,
        .id = esp_bytes(id, (size_t)id_size),
        .payload = esp_bytes(payload, (size_t)payload_size),
        .stage = ESP_STAGE_WHOLE,
        .y = true,
        .z = i % 2 == 0,
    };
}

static enum esp_status add(struct esp_example_batch *batch, size_t i)
{
    char id[32], payload[64];
    struct esp_label label = label_of(i, id, payload);
    struct esp_sample sample = {
        .kept = true, .holdout = i % 3 == 0, .weight = (double)i, .base_weight = (double)i / 2};
    enum esp_status status = esp_example_batch_add(batch, &label, &sample, WRITER, NULL);
    memset(id, '?', sizeof id); /* the batch has copies */
    memset(payload, '?', sizeof payload);
    return status;
}

static void assert_example(const struct esp_example *example, size_t i)
{
    char id[32], payload[64];
    struct esp_label label = label_of(i, id, payload);
    g_assert_cmpint(example->due_us, ==, label.maturity_us);
    g_assert_cmpint(example->impression_us, ==, label.impression_us);
    g_assert_cmpint(example->click_us, ==, label.click_us);
    g_assert_cmpint(example->install_us, ==, label.install_us);
    g_assert_cmpuint(example->ticket, ==, label.ticket);
    g_assert_cmpuint(example->id_hash, ==, label.id_hash);
    g_assert_true(esp_bytes_equal(example->id, label.id));
    g_assert_true(esp_bytes_equal(example->payload, label.payload));
    g_assert_true(example->writer == WRITER);
    assert_close(example->weight, (double)i, 0, 0);
    assert_close(example->base_weight, (double)i / 2, 0, 0);
    g_assert_cmpint(example->stage, ==, ESP_STAGE_WHOLE);
    g_assert_true(example->y);
    g_assert_true(example->z == (i % 2 == 0));
    g_assert_true(example->holdout == (i % 3 == 0));
}

static void examples_keep_what_labels_said(void)
{
    struct esp_example_batch batch;
    esp_example_batch_init(&batch, 1 << 20);
    for (size_t i = 0; i < MANY; i++)
        g_assert_cmpint(add(&batch, i), ==, ESP_OK);
    esp_example_batch_seal(&batch);
    g_assert_cmpuint(batch.n, ==, MANY);
    for (size_t i = 0; i < batch.n; i++)
        assert_example(&batch.examples[i], i);
    esp_example_batch_release(&batch);
}

static void a_reset_batch_is_used_again(void)
{
    struct esp_example_batch batch;
    esp_example_batch_init(&batch, 1 << 20);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < 100; i++)
            g_assert_cmpint(add(&batch, round * 31 + i), ==, ESP_OK);
        batch.watermark_us = 5;
        esp_example_batch_seal(&batch);
        for (size_t i = 0; i < batch.n; i++)
            assert_example(&batch.examples[i], round * 31 + i);
        esp_example_batch_reset(&batch);
        g_assert_cmpuint(batch.n, ==, 0);
        g_assert_cmpuint(batch.bytes.size, ==, 0);
        g_assert_cmpint(batch.watermark_us, ==, ESP_TIME_NONE);
    }
    esp_example_batch_release(&batch);
    esp_example_batch_release(&batch);
}

static void a_full_batch_refuses_and_stays(void)
{
    struct esp_example_batch batch;
    esp_example_batch_init(&batch, 100); /* id-1 and its payload: 4 + 19 bytes; four fit */
    size_t n = 0;
    while (n < 10 && add(&batch, n + 1) == ESP_OK)
        n++;
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpuint(batch.n, ==, 4);
    g_assert_cmpuint(batch.bytes.size, ==, 92);
    g_assert_cmpint(add(&batch, 5), ==, ESP_ELIMIT);
    esp_example_batch_seal(&batch);
    for (size_t i = 0; i < batch.n; i++)
        assert_example(&batch.examples[i], i + 1);
    esp_example_batch_release(&batch);
}

static void an_empty_batch_is_sealed(void)
{
    struct esp_example_batch batch;
    esp_example_batch_init(&batch, 100);
    esp_example_batch_seal(&batch);
    g_assert_cmpuint(batch.n, ==, 0);
    struct esp_label label = {0};
    struct esp_sample sample = {.kept = true};
    g_assert_cmpint(esp_example_batch_add(&batch, &label, &sample, WRITER, NULL), ==, ESP_OK);
    esp_example_batch_seal(&batch);
    g_assert_cmpuint(batch.examples[0].id.size, ==, 0);
    g_assert_cmpuint(batch.examples[0].payload.size, ==, 0);
    esp_example_batch_release(&batch);
}

static void a_size_that_wraps_is_refused(void)
{
    struct esp_example_batch batch;
    esp_example_batch_init(&batch, 100);
    struct esp_label label = {.id = esp_bytes("id", 2), .payload = {NULL, SIZE_MAX - 1}};
    struct esp_sample sample = {.kept = true};
    g_assert_cmpint(esp_example_batch_add(&batch, &label, &sample, WRITER, NULL), ==, ESP_ELIMIT);
    g_assert_cmpuint(batch.n, ==, 0);
    g_assert_cmpuint(batch.bytes.size, ==, 0);
    esp_example_batch_release(&batch);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/examples/a thousand keep what their labels said",
                    examples_keep_what_labels_said);
    g_test_add_func("/examples/a batch that was reset is used again", a_reset_batch_is_used_again);
    g_test_add_func("/examples/a full batch refuses and stays as it is",
                    a_full_batch_refuses_and_stays);
    g_test_add_func("/examples/an empty batch is sealed, and so are empty bytes",
                    an_empty_batch_is_sealed);
    g_test_add_func("/examples/a size that wraps is refused", a_size_that_wraps_is_refused);
    return g_test_run();
}
