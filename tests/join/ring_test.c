/* ring_test.c - segments fill, empty and are used again. */
#include "join/ring.h"

#include "join_helper.h"

enum { SEGMENT = 4096 };

static uint32_t append(struct esp_ring *ring, enum esp_lane lane, size_t size, int fill)
{
    uint32_t ref = 0;
    void *at = NULL;
    g_assert_cmpint(esp_ring_append(ring, lane, size, &ref, &at, NULL), ==, ESP_OK);
    g_assert_cmpuint(ref, !=, 0);
    g_assert_cmpuint((uintptr_t)at % ESP_RING_UNIT, ==, 0);
    memset(at, fill, size);
    return ref;
}

static void test_reuse(void)
{
    struct esp_ring ring;
    uint32_t refs[300];
    g_assert_cmpint(esp_ring_init(&ring, SEGMENT - 1, 0, NULL), ==, ESP_EINVAL);
    g_assert_cmpint(esp_ring_init(&ring, SEGMENT, 0, NULL), ==, ESP_OK);
    for (size_t round = 0; round < 50; round++) {
        for (int i = 0; i < 300; i++)
            refs[i] = append(&ring, ESP_LANE_IMPRESSIONS, 100, i);
        for (int i = 0; i < 300; i++)
            g_assert_cmpint(*(const uint8_t *)esp_ring_at(&ring, refs[i]), ==, i & 0xff);
        for (int i = 0; i < 300; i++)
            esp_ring_release(&ring, refs[i]);
        /* Released bytes stay until they are reclaimed. */
        g_assert_cmpint(*(const uint8_t *)esp_ring_at(&ring, refs[7]), ==, 7);
        esp_ring_reclaim(&ring);
    }
    /* 300 records of 112 bytes are 9 segments; those of one round serve the next. */
    g_assert_cmpuint(ring.n_segments, <=, 12);
    g_assert_cmpuint(esp_ring_memory(&ring), <=, 12 * (SEGMENT + 64));
    esp_ring_release_all(&ring);
}

static void test_one_pins_one(void)
{
    struct esp_ring ring;
    g_assert_cmpint(esp_ring_init(&ring, SEGMENT, 0, NULL), ==, ESP_OK);
    uint32_t kept = append(&ring, ESP_LANE_IMPRESSIONS, 100, 1);
    for (int i = 0; i < 10000; i++) {
        esp_ring_release(&ring, append(&ring, ESP_LANE_IMPRESSIONS, 1000, 2));
        esp_ring_reclaim(&ring);
    }
    g_assert_cmpint(*(const uint8_t *)esp_ring_at(&ring, kept), ==, 1);
    g_assert_cmpuint(ring.n_bases, <=, 4);
    esp_ring_release_all(&ring);
}

static void test_largest(void)
{
    struct esp_ring ring;
    g_assert_cmpint(esp_ring_init(&ring, 5000, 0, NULL), ==, ESP_OK);
    g_assert_cmpuint(ring.segment_bytes, ==, 8192);
    size_t largest = esp_ring_max_record(&ring);
    uint32_t one = append(&ring, ESP_LANE_LONG, largest, 1);
    uint32_t two = append(&ring, ESP_LANE_LONG, largest, 2);
    uint32_t other = append(&ring, ESP_LANE_WAITING, 16, 3);
    g_assert_cmpint(((const uint8_t *)esp_ring_at(&ring, one))[largest - 1], ==, 1);
    g_assert_cmpint(((const uint8_t *)esp_ring_at(&ring, two))[largest - 1], ==, 2);
    g_assert_cmpint(esp_ring_lane(&ring, two), ==, ESP_LANE_LONG);
    g_assert_cmpint(esp_ring_lane(&ring, other), ==, ESP_LANE_WAITING);
    esp_ring_release_all(&ring);
}

static void test_full(void)
{
    struct esp_ring ring;
    struct esp_error err = {0};
    uint32_t refs[5], ref = 0;
    void *at = NULL;
    g_assert_cmpint(esp_ring_init(&ring, SEGMENT, 5 * SEGMENT + 100, NULL), ==, ESP_OK);
    size_t largest = esp_ring_max_record(&ring);
    for (int i = 0; i < 5; i++)
        refs[i] = append(&ring, ESP_LANE_IMPRESSIONS, largest, i);
    g_assert_cmpint(esp_ring_append(&ring, ESP_LANE_LONG, 1, &ref, &at, &err), ==, ESP_ELIMIT);
    g_assert_nonnull(strstr(err.text, "the join's store is full"));
    g_assert_nonnull(strstr(err.text, "raise join.memory"));
    /* Nothing that it holds has changed, and what is released makes room again. */
    for (int i = 0; i < 5; i++)
        g_assert_cmpint(((const uint8_t *)esp_ring_at(&ring, refs[i]))[largest - 1], ==, i);
    esp_ring_release(&ring, refs[0]);
    esp_ring_reclaim(&ring);
    append(&ring, ESP_LANE_LONG, 1, 9);
    g_assert_cmpint(*(const uint8_t *)esp_ring_at(&ring, refs[4]), ==, 4);
    esp_ring_release_all(&ring);
    /* A segment a lane is the least, all that references can name the most. */
    g_assert_cmpint(esp_ring_init(&ring, SEGMENT, 1, NULL), ==, ESP_OK);
    g_assert_cmpuint(ring.max_segments, ==, ESP_N_LANES);
    g_assert_cmpint(esp_ring_init(&ring, SEGMENT, SIZE_MAX, NULL), ==, ESP_OK);
    g_assert_cmpuint(ring.max_segments * ring.segment_bytes, ==, (size_t)32 << 30);
}

/* ---- in a checkpoint ---- */

static void write_ring(struct esp_ring *ring, struct esp_buf *out)
{
    struct esp_archive archive;
    esp_buf_init(out, 1 << 20);
    esp_archive_write_to(&archive, join_archive_sink, out);
    esp_ring_archive(&archive, ring);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
}

static enum esp_status read_ring(struct esp_ring *ring, struct esp_bytes bytes, size_t max_bytes,
                                 struct esp_error *err)
{
    struct esp_archive archive;
    g_assert_cmpint(esp_ring_init(ring, SEGMENT, max_bytes, NULL), ==, ESP_OK);
    esp_archive_read_from(&archive, bytes);
    esp_ring_archive(&archive, ring);
    return esp_archive_end(&archive, err);
}

/* A ring in all its states: segments in use, retired, free, and open ones. */
static void fill(struct esp_ring *ring, uint32_t refs[60])
{
    g_assert_cmpint(esp_ring_init(ring, SEGMENT, 0, NULL), ==, ESP_OK);
    for (int i = 0; i < 60; i++)
        refs[i] = append(ring, (enum esp_lane)(i % 2), 1000, i);
    for (int i = 0; i < 20; i++)
        esp_ring_release(ring, refs[i]);
    esp_ring_reclaim(ring);
    for (int i = 20; i < 30; i++)
        esp_ring_release(ring, refs[i]);
}

static void test_archive(void)
{
    struct esp_ring ring, again;
    struct esp_buf first, second;
    struct esp_error err = {0};
    uint32_t refs[60];
    fill(&ring, refs);
    g_assert_cmpuint(ring.retired, !=, ESP_RING_NOWHERE);
    g_assert_cmpuint(ring.free_slots, !=, ESP_RING_NOWHERE);
    write_ring(&ring, &first);
    g_assert_cmpint(read_ring(&again, esp_buf_bytes(&first), 0, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    write_ring(&again, &second);
    g_assert_true(esp_bytes_equal(esp_buf_bytes(&first), esp_buf_bytes(&second)));
    for (int i = 30; i < 60; i++)
        g_assert_cmpint(((const uint8_t *)esp_ring_at(&again, refs[i]))[999], ==, i);
    /* Both go on alike. */
    for (int i = 0; i < 200; i++) {
        esp_ring_reclaim(&ring);
        esp_ring_reclaim(&again);
        uint32_t ref = append(&ring, (enum esp_lane)(i % 3), 700, i);
        g_assert_cmpuint(append(&again, (enum esp_lane)(i % 3), 700, i), ==, ref);
        esp_ring_release(&ring, i < 30 ? refs[30 + i] : ref);
        esp_ring_release(&again, i < 30 ? refs[30 + i] : ref);
    }
    esp_ring_release_all(&again);
    g_assert_cmpint(read_ring(&again, esp_buf_bytes(&first), 3 * SEGMENT, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "join.memory"));
    esp_ring_release_all(&again);
    esp_buf_release(&first);
    esp_buf_release(&second);
    esp_ring_release_all(&ring);
}

static void test_damaged(void)
{
    struct esp_ring ring, again;
    struct esp_buf whole;
    uint32_t refs[60];
    fill(&ring, refs);
    write_ring(&ring, &whole);
    for (size_t n = 0; n < whole.size; n++) {
        g_assert_cmpint(read_ring(&again, esp_bytes(whole.data, n), 0, NULL), ==, ESP_EDATA);
        esp_ring_release_all(&again);
    }
    struct test_random random = {1};
    for (int i = 0; i < 20000; i++) {
        size_t at = (size_t)test_random_below(&random, whole.size);
        uint8_t flipped = (uint8_t)(1u << test_random_below(&random, 8));
        whole.data[at] ^= flipped;
        if (read_ring(&again, esp_buf_bytes(&whole), 0, NULL) == ESP_OK) {
            for (int lane = 0; lane < ESP_N_LANES; lane++)
                append(&again, (enum esp_lane)lane, 3000, 1);
            esp_ring_reclaim(&again);
        }
        esp_ring_release_all(&again);
        whole.data[at] ^= flipped;
    }
    esp_buf_release(&whole);
    esp_ring_release_all(&ring);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/ring/\"segments that empty are used again\"", test_reuse);
    g_test_add_func("/ring/\"one live record keeps one segment\"", test_one_pins_one);
    g_test_add_func("/ring/\"past its limit it says so, and goes on when there is room\"",
                    test_full);
    g_test_add_func("/ring/\"the largest record fits, lanes keep apart\"", test_largest);
    g_test_add_func("/ring/\"a ring is read from an archive as it was\"", test_archive);
    g_test_add_func("/ring/\"no archive that is cut or damaged does harm\"", test_damaged);
    return g_test_run();
}
