/* learner_test.c - the learner's promises over whole streams: chunks, threads, order, metrics. */
#include "learn_helper.h"

static struct esp_learner *new_learner(const struct esp_learner_config *config,
                                       struct esp_pool *pool)
{
    struct esp_learner *learner = NULL;
    struct esp_error err = {0};
    enum esp_status status = esp_learner_new(config, pool, &learner, &err);
    if (status != ESP_OK)
        g_test_message("%s", err.text);
    g_assert_true(status == ESP_OK);
    return learner;
}

static uint64_t learn(const struct esp_learner_config *config, struct esp_pool *pool,
                      const struct test_stream *stream, size_t chunk)
{
    struct esp_learner *learner = new_learner(config, pool);
    test_learn_all(learner, stream, chunk);
    esp_learner_check(learner);
    uint64_t hash = esp_learner_hash(learner);
    esp_learner_free(learner);
    return hash;
}

static void test_chunks(const void *data)
{
    enum esp_setup_id setup = GPOINTER_TO_INT(data);
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 400, 11);
    struct esp_learner_config config = test_learner_config(setup);
    uint64_t want = learn(&config, NULL, &stream, stream.n);
    g_assert_cmphex(want, !=, 0);
    static const size_t CHUNKS[] = {1, 7, 16, 100};
    for (size_t i = 0; i < G_N_ELEMENTS(CHUNKS); i++)
        g_assert_cmphex(learn(&config, NULL, &stream, CHUNKS[i]), ==, want);
    config.model.seed++;
    g_assert_cmphex(learn(&config, NULL, &stream, 16), !=, want);
    test_stream_release(&stream);
}

static void test_threads(const void *data)
{
    enum esp_setup_id setup = GPOINTER_TO_INT(data);
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 400, 12);
    struct esp_learner_config config = test_learner_config(setup);
    config.model.batch = 40;
    uint64_t want = learn(&config, NULL, &stream, 50);
    for (size_t n = 2; n <= 3; n++) {
        struct esp_pool *pool = NULL;
        g_assert_true(esp_pool_new(n, &pool, NULL) == ESP_OK);
        g_assert_cmphex(learn(&config, pool, &stream, 50), ==, want);
        esp_pool_free(pool);
    }
    test_stream_release(&stream);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (int setup = 0; setup < ESP_N_SETUPS; setup++) {
        const char *name = esp_setup_get(setup)->name;
        char *path = g_strdup_printf("/learner/chunks/%s learns the same in any chunks", name);
        g_test_add_data_func(path, GINT_TO_POINTER(setup), test_chunks);
        g_free(path);
        path = g_strdup_printf("/learner/threads/%s learns the same on 1, 2 and 3", name);
        g_test_add_data_func(path, GINT_TO_POINTER(setup), test_threads);
        g_free(path);
    }
    return g_test_run();
}
