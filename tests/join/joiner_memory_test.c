/* joiner_memory_test.c - what a pending impression costs, and that what has left is given back. */
#include "core/hash.h"
#include "join_helper.h"

enum { N = 300000, BATCH = 500, PAYLOAD = 120, ID = 16, MOST_BESIDE_RECORD = 64, PACE_US = 12000 };

struct world {
    struct esp_joiner *joiner;
    uint64_t n_labels;
};

static bool always(void *context, const struct esp_label *label)
{
    (void)context, (void)label;
    return true;
}

static void world_init(struct world *world, bool whole)
{
    struct esp_joiner_config config = {.click_window_us = (int64_t)N * PACE_US,
                                       .install_window_us = (int64_t)N * PACE_US,
                                       .n_partitions = {1, 1, 1},
                                       .future_us = ESP_HOUR,
                                       .whole_wanted = whole ? always : NULL,
                                       .segment_bytes = 1 << 18};
    *world = (struct world){0};
    g_assert_cmpint(esp_joiner_new(&config, &world->joiner, NULL), ==, ESP_OK);
}

/* One batch of events whose ids and times are begin, begin + every, ... */
static void push(struct world *world, enum esp_event_kind kind, uint64_t begin, uint64_t every)
{
    static uint8_t payloads[BATCH][PAYLOAD];
    static struct esp_header headers[BATCH];
    size_t n = 0;
    for (uint64_t i = begin; i < begin + BATCH; i += every, n++) {
        uint64_t id[2] = {esp_mix64(i), i};
        memcpy(payloads[n] + 7, id, ID);
        headers[n] = (struct esp_header){.time_us = (int64_t)i * PACE_US,
                                         .log_time_us = (int64_t)i * PACE_US,
                                         .id = esp_bytes(payloads[n] + 7, ID),
                                         .payload = esp_bytes(payloads[n], PAYLOAD)};
        headers[n].id_hash = esp_hash(headers[n].id);
    }
    g_assert_cmpint(esp_joiner_push(world->joiner, kind, 0, headers, n, NULL), ==, ESP_OK);
}

static void drain(struct world *world)
{
    static struct esp_label labels[BATCH];
    size_t n = BATCH;
    while (n == BATCH) {
        g_assert_cmpint(esp_joiner_advance(world->joiner, labels, BATCH, &n, NULL), ==, ESP_OK);
        world->n_labels += n;
    }
}

static void check_cost(const struct world *world, double most)
{
    struct esp_joiner_usage usage;
    esp_joiner_usage(world->joiner, &usage);
    double beside = (double)(usage.memory_bytes - usage.record_bytes) / (double)usage.pending;
    g_assert_cmpuint(usage.record_bytes, ==, usage.pending * PAYLOAD);
    if (beside > most)
        g_test_fail_printf("%g bytes beside the record of each of %lu", beside,
                           (unsigned long)usage.pending);
}

static void test_cost(gconstpointer data)
{
    bool whole = GPOINTER_TO_INT(data);
    struct world world;
    world_init(&world, whole);
    for (uint64_t i = 0; i < 2 * N; i += BATCH) {
        push(&world, ESP_IMPRESSION, i, 1);
        push(&world, ESP_CLICK, i, 20);
        push(&world, ESP_INSTALL, i, 200);
        drain(&world);
        if (i >= N / 2)
            check_cost(&world, MOST_BESIDE_RECORD);
        if (g_test_failed())
            break;
    }
    esp_joiner_check(world.joiner);
    esp_joiner_free(world.joiner);
}

static void test_given_back(void)
{
    struct world world;
    world_init(&world, false);
    for (uint64_t i = 0; i < N; i += BATCH)
        push(&world, ESP_IMPRESSION, i, 1);
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        (void)esp_joiner_end(world.joiner, (enum esp_event_kind)kind, 0, true, NULL);
    struct esp_joiner_usage full, empty;
    esp_joiner_usage(world.joiner, &full);
    g_assert_cmpint(esp_joiner_close(world.joiner, NULL), ==, ESP_OK);
    drain(&world);
    g_assert_cmpuint(world.n_labels, ==, N);
    drain(&world); /* what the last call lent out is free from this one on */
    esp_joiner_usage(world.joiner, &empty);
    g_assert_cmpuint(empty.pending, ==, 0);
    g_assert_cmpuint(empty.record_bytes, ==, 0);
    /* What stays: a few segments, and the calendar's chunks, 8 bytes an impression at the peak. */
    g_assert_cmpuint(empty.memory_bytes, <, full.memory_bytes / 10);
    esp_joiner_check(world.joiner);
    esp_joiner_free(world.joiner);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_data_func("/joiner/memory/\"the record and 64 bytes a pending impression at most\"",
                         GINT_TO_POINTER(0), test_cost);
    g_test_add_data_func("/joiner/memory/\"the same while all wait for the whole label\"",
                         GINT_TO_POINTER(1), test_cost);
    g_test_add_func("/joiner/memory/\"what has left is given back\"", test_given_back);
    return g_test_run();
}
