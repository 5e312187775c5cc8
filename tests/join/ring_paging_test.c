/* ring_paging_test.c - segments on files: which, when, and what a checkpoint makes of them. */
#include "join/ring.h"
#include "join_helper.h"
#include "store_helper.h"

enum { SEGMENT = 4096, RECORD = 1000, A_SEGMENT = 4 /* records of that size in a segment */ };

static uint32_t append(struct esp_ring *ring, enum esp_lane lane, int fill)
{
    uint32_t ref = 0;
    void *at = NULL;
    g_assert_cmpint(esp_ring_append(ring, lane, RECORD, &ref, &at, NULL), ==, ESP_OK);
    memset(at, fill, RECORD);
    return ref;
}

static bool has(const struct esp_ring *ring, uint32_t ref, int fill)
{
    const uint8_t *at = esp_ring_at(ring, ref);
    for (size_t i = 0; i < RECORD; i++)
        if (at[i] != (fill & 0xff))
            return false;
    return true;
}

static bool is_paged(const struct esp_ring *ring, uint32_t ref)
{
    return ring->segments[ref >> ring->unit_bits].is_paged;
}

static void init(struct esp_ring *ring, struct store_helper *helper)
{
    store_helper_init(helper);
    g_assert_cmpint(esp_ring_init(ring, SEGMENT, 0, NULL), ==, ESP_OK);
    esp_ring_lend(ring, &helper->store);
}

static void clear(struct esp_ring *ring, struct store_helper *helper)
{
    esp_ring_release_all(ring);
    store_helper_clear(helper);
}

/* Fills n segments of a lane; the last one stays open. */
static void fill(struct esp_ring *ring, enum esp_lane lane, uint32_t *refs, size_t n)
{
    for (size_t i = 0; i < n * A_SEGMENT; i++)
        refs[i] = append(ring, lane, (int)i);
}

static void test_order(void)
{
    struct esp_ring ring;
    struct store_helper helper;
    uint32_t impressions[5 * A_SEGMENT], lasting[3 * A_SEGMENT], waiting[2 * A_SEGMENT];
    init(&ring, &helper);
    fill(&ring, ESP_LANE_IMPRESSIONS, impressions, 5);
    fill(&ring, ESP_LANE_LONG, lasting, 3);
    fill(&ring, ESP_LANE_WAITING, waiting, 2);
    /* One segment less at a time: LONG, then IMPRESSIONS, then WAITING, each from its oldest. */
    const uint32_t order[] = {lasting[0],
                              lasting[A_SEGMENT],
                              impressions[0],
                              impressions[A_SEGMENT],
                              impressions[2 * A_SEGMENT],
                              impressions[3 * A_SEGMENT],
                              waiting[0]};
    size_t n_steps = 0, n_paged = 0;
    for (size_t memory = esp_ring_memory(&ring); n_paged < G_N_ELEMENTS(order) && memory > 0;) {
        g_assert_cmpint(esp_ring_fit(&ring, 0, memory -= SEGMENT / 2, NULL), ==, ESP_OK);
        n_steps += ring.n_paged > n_paged;
        n_paged = ring.n_paged;
        for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
            g_assert_cmpint(is_paged(&ring, order[i]), ==, i < n_paged);
    }
    g_assert_cmpuint(n_steps, >=, G_N_ELEMENTS(order) - 1); /* the first step may take two */
    g_assert_cmpuint(ring.n_paged, ==, G_N_ELEMENTS(order));
    g_assert_cmpuint(helper.n_written, ==, G_N_ELEMENTS(order));
    g_assert_cmpuint(ring.paged_bytes, ==, ring.paged_out_bytes);
    /* The open ones stay, and so does every byte. */
    g_assert_cmpint(esp_ring_fit(&ring, 0, 0, NULL), ==, ESP_OK);
    g_assert_cmpuint(ring.n_paged, ==, G_N_ELEMENTS(order));
    g_assert_cmpuint(ring.n_bases, ==, ESP_N_LANES);
    for (int i = 0; i < 5 * A_SEGMENT; i++)
        g_assert_true(has(&ring, impressions[i], i));
    for (int i = 0; i < 3 * A_SEGMENT; i++)
        g_assert_true(has(&ring, lasting[i], i));
    for (int i = 0; i < 2 * A_SEGMENT; i++)
        g_assert_true(has(&ring, waiting[i], i));
    clear(&ring, &helper);
}

/* What beside the ring takes memory counts; below the cap nothing happens. */
static void test_cap(void)
{
    struct esp_ring ring;
    struct store_helper helper;
    uint32_t refs[8 * A_SEGMENT];
    init(&ring, &helper);
    fill(&ring, ESP_LANE_IMPRESSIONS, refs, 8);
    size_t memory = esp_ring_memory(&ring);
    g_assert_cmpint(esp_ring_fit(&ring, 0, memory, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_ring_fit(&ring, 5 * SEGMENT, memory + 5 * SEGMENT, NULL), ==, ESP_OK);
    g_assert_cmpuint(helper.n_calls, ==, 0);
    g_assert_cmpint(esp_ring_fit(&ring, 4 * SEGMENT, memory, NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_ring_memory(&ring), <=, memory - 4 * SEGMENT);
    g_assert_cmpuint(ring.n_paged, >=, 4);
    g_assert_cmpuint(ring.n_paged, <=, 5); /* the memory of one is kept for the next segment */
    /* Without a store there is no place to go to. */
    ring.store = NULL;
    g_assert_cmpint(esp_ring_fit(&ring, 0, 0, NULL), ==, ESP_OK);
    g_assert_cmpuint(ring.n_paged, <=, 5);
    ring.store = &helper.store;
    clear(&ring, &helper);
}

/* A paged segment's file goes with it; memory is given back or used again. */
static void test_emptied(void)
{
    struct esp_ring ring;
    struct store_helper helper;
    uint32_t refs[6 * A_SEGMENT];
    init(&ring, &helper);
    for (int round = 0; round < 30; round++) {
        fill(&ring, (enum esp_lane)(round % 3), refs, 6);
        g_assert_cmpint(esp_ring_fit(&ring, 0, 1, NULL), ==, ESP_OK);
        g_assert_cmpuint(ring.n_paged, ==, g_hash_table_size(helper.files));
        g_assert_cmpuint(ring.n_paged, >=, 5);
        for (int i = 0; i < 6 * A_SEGMENT; i++) {
            g_assert_true(has(&ring, refs[i], i));
            esp_ring_release(&ring, refs[i]);
        }
        esp_ring_reclaim(&ring);
        g_assert_cmpuint(ring.n_paged, ==, 0);
        g_assert_cmpuint(ring.paged_bytes, ==, 0);
        g_assert_cmpuint(g_hash_table_size(helper.files), ==, 0);
    }
    g_assert_cmpuint(helper.n_written, >=, 150);
    g_assert_cmpuint(ring.n_bases, <=, ESP_N_LANES + ESP_RING_KEPT);
    fill(&ring, ESP_LANE_LONG, refs, 6);
    g_assert_cmpint(esp_ring_fit(&ring, 0, 1, NULL), ==, ESP_OK);
    g_assert_cmpuint(g_hash_table_size(helper.files), >, 0);
    esp_ring_release_all(&ring);
    g_assert_cmpuint(g_hash_table_size(helper.files), ==, 0);
    store_helper_clear(&helper);
}

/* Whichever call of the store fails: nothing is lost, the failure is told, the next try goes on. */
static void test_failing_paging(void)
{
    for (uint64_t fail_at = 1; fail_at < 40; fail_at++) {
        struct esp_ring ring;
        struct store_helper helper;
        uint32_t refs[20 * A_SEGMENT];
        struct esp_error err = {0};
        init(&ring, &helper);
        fill(&ring, ESP_LANE_IMPRESSIONS, refs, 20);
        helper.fail_at = fail_at;
        enum esp_status status = esp_ring_fit(&ring, 0, 1, &err);
        bool failed = helper.n_failed > 0;
        g_assert_cmpint(status, ==, failed ? ESP_EIO : ESP_OK);
        g_assert_cmpint(err.text[0] != 0, ==, failed);
        g_assert_cmpuint(ring.n_paged, ==, failed ? (fail_at - 1) / 2 : 19);
        for (int i = 0; i < 20 * A_SEGMENT; i++)
            g_assert_true(has(&ring, refs[i], i));
        g_assert_cmpint(esp_ring_fit(&ring, 0, 1, NULL), ==, ESP_OK);
        g_assert_cmpuint(ring.n_paged, ==, 19);
        for (int i = 0; i < 20 * A_SEGMENT; i++) {
            g_assert_true(has(&ring, refs[i], i));
            esp_ring_release(&ring, refs[i]);
        }
        esp_ring_reclaim(&ring);
        g_assert_cmpuint(g_hash_table_size(helper.files), ==, 0);
        clear(&ring, &helper);
    }
}

/* ---- checkpoints ---- */

struct saved {
    struct esp_buf bytes;
    struct esp_segment_list files;
};

static void saved_clear(struct saved *saved)
{
    esp_buf_release(&saved->bytes);
    esp_segment_list_release(&saved->files);
}

/* What a child does, and what the parent reads of it. */
static enum esp_status save(struct esp_ring *ring, struct saved *out)
{
    struct esp_archive archive;
    struct esp_buf names;
    *out = (struct saved){.files = {0}};
    esp_buf_init(&out->bytes, 1 << 24);
    esp_buf_init(&names, 1 << 20);
    enum esp_status status = esp_ring_store(ring, NULL);
    if (status != ESP_OK)
        return status;
    esp_archive_write_to(&archive, join_archive_sink, &out->bytes);
    esp_ring_archive(&archive, ring);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    esp_archive_write_to(&archive, join_archive_sink, &names);
    esp_ring_files_archive(&archive, ring);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    esp_archive_read_from(&archive, esp_buf_bytes(&names));
    esp_segment_list_archive(&archive, &out->files);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    esp_segment_list_sort(&out->files);
    esp_buf_release(&names);
    return ESP_OK;
}

static enum esp_status restore(struct esp_ring *ring, const struct saved *saved,
                               struct store_helper *helper, struct esp_error *err)
{
    struct esp_archive archive;
    g_assert_cmpint(esp_ring_init(ring, SEGMENT, 0, NULL), ==, ESP_OK);
    if (helper != NULL)
        esp_ring_lend(ring, &helper->store);
    esp_archive_read_from(&archive, esp_buf_bytes(&saved->bytes));
    esp_ring_archive(&archive, ring);
    return esp_archive_end(&archive, err);
}

static void test_written_once(void)
{
    struct esp_ring ring, again;
    struct store_helper helper;
    struct saved first, second;
    uint32_t refs[10 * A_SEGMENT], more[10 * A_SEGMENT];
    struct esp_error err = {0};
    init(&ring, &helper);
    fill(&ring, ESP_LANE_IMPRESSIONS, refs, 10);
    g_assert_cmpint(esp_ring_fit(&ring, 0, esp_ring_memory(&ring) - SEGMENT, NULL), ==, ESP_OK);
    uint64_t n_paged = helper.n_written;
    g_assert_cmpuint(n_paged, >, 0);
    esp_ring_before_save(&ring);
    g_assert_cmpint(save(&ring, &first), ==, ESP_OK);
    g_assert_cmpuint(helper.n_written, ==, 9);
    g_assert_cmpuint(first.files.n, ==, 9);
    g_assert_true(store_helper_has(&helper, &first.files, true));
    /* Only the open one's bytes are in the archive. */
    g_assert_cmpuint(first.bytes.size, <, 2 * SEGMENT);
    esp_ring_saved(&ring, &first.files);
    /* The next one writes what came since; paging what is on file writes nothing. */
    fill(&ring, ESP_LANE_IMPRESSIONS, more, 10);
    esp_ring_before_save(&ring);
    g_assert_cmpint(save(&ring, &second), ==, ESP_OK);
    g_assert_cmpuint(helper.n_written, ==, 19);
    g_assert_cmpuint(second.files.n, ==, 19);
    esp_ring_saved(&ring, &second.files);
    g_assert_cmpint(esp_ring_fit(&ring, 0, 1, NULL), ==, ESP_OK);
    g_assert_cmpuint(helper.n_written, ==, 19);
    g_assert_cmpuint(ring.n_paged, ==, 19);
    /* Read again it is all there, and need not be written by the one that goes on. */
    g_assert_cmpint(restore(&again, &second, &helper, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    for (int i = 0; i < 10 * A_SEGMENT; i++) {
        g_assert_true(has(&again, refs[i], i));
        g_assert_true(has(&again, more[i], i));
    }
    esp_ring_load(&again, 0, SIZE_MAX);
    g_assert_cmpuint(again.n_paged, ==, 0);
    for (int i = 0; i < 10 * A_SEGMENT; i++)
        g_assert_true(has(&again, refs[i], i));
    struct saved third;
    esp_ring_before_save(&again);
    g_assert_cmpint(save(&again, &third), ==, ESP_OK);
    g_assert_cmpuint(helper.n_written, ==, 19);
    g_assert_true(esp_bytes_equal(esp_buf_bytes(&third.bytes), esp_buf_bytes(&second.bytes)));
    saved_clear(&first);
    saved_clear(&second);
    saved_clear(&third);
    esp_ring_release_all(&again);
    clear(&ring, &helper);
}

/* After a restore the newest segments come back first. */
static void test_loaded(void)
{
    struct esp_ring ring, again;
    struct store_helper helper;
    struct saved saved;
    uint32_t refs[6 * A_SEGMENT], lasting[4 * A_SEGMENT];
    init(&ring, &helper);
    fill(&ring, ESP_LANE_IMPRESSIONS, refs, 6);
    fill(&ring, ESP_LANE_LONG, lasting, 4);
    esp_ring_before_save(&ring);
    g_assert_cmpint(save(&ring, &saved), ==, ESP_OK);
    g_assert_cmpint(restore(&again, &saved, &helper, NULL), ==, ESP_OK);
    g_assert_cmpuint(again.n_paged, ==, 8);
    size_t memory = esp_ring_memory(&again);
    esp_ring_load(&again, 7, memory + 2 * SEGMENT + 6);
    g_assert_cmpuint(again.n_paged, ==, 7);
    g_assert_false(is_paged(&again, refs[4 * A_SEGMENT]));
    esp_ring_load(&again, 0, memory + 6 * SEGMENT);
    g_assert_cmpuint(again.n_paged, ==, 2);
    g_assert_true(is_paged(&again, lasting[0]));
    g_assert_true(is_paged(&again, lasting[A_SEGMENT]));
    g_assert_false(is_paged(&again, lasting[2 * A_SEGMENT]));
    saved_clear(&saved);
    esp_ring_release_all(&again);
    clear(&ring, &helper);
}

/* What a checkpoint may name is not dropped, whether the checkpoint comes about or not. */
static void test_named_stay(void)
{
    struct esp_ring ring;
    struct store_helper helper;
    struct saved saved;
    uint32_t refs[10 * A_SEGMENT];
    init(&ring, &helper);
    fill(&ring, ESP_LANE_IMPRESSIONS, refs, 5);
    esp_ring_before_save(&ring);
    fill(&ring, ESP_LANE_IMPRESSIONS, refs + 5 * A_SEGMENT, 5);
    /* Here a child writes; the parent pages meanwhile, and empties all. */
    g_assert_cmpint(esp_ring_fit(&ring, 0, 1, NULL), ==, ESP_OK);
    g_assert_cmpuint(helper.n_written, ==, 9);
    for (int i = 0; i < 10 * A_SEGMENT; i++)
        esp_ring_release(&ring, refs[i]);
    esp_ring_reclaim(&ring);
    g_assert_cmpuint(g_hash_table_size(helper.files), ==, 4); /* sealed at the fork */
    for (uint64_t number = 1; number <= 4; number++)
        g_assert_true(g_hash_table_contains(helper.files, &number));
    /* A save that was not announced is refused: its files might be dropped. */
    fill(&ring, ESP_LANE_IMPRESSIONS, refs, 2);
    g_assert_cmpint(save(&ring, &saved), ==, ESP_EBUG);
    saved_clear(&saved);
    clear(&ring, &helper);
}

/* Whichever call fails while a checkpoint is stored: there is none, and the next one is whole. */
static void test_failing_store(void)
{
    for (uint64_t fail_at = 1; fail_at < 20; fail_at++) {
        struct esp_ring ring, again;
        struct store_helper helper;
        struct saved saved;
        uint32_t refs[8 * A_SEGMENT];
        init(&ring, &helper);
        fill(&ring, ESP_LANE_IMPRESSIONS, refs, 8);
        helper.fail_at = fail_at;
        esp_ring_before_save(&ring);
        enum esp_status status = save(&ring, &saved);
        g_assert_cmpint(status, ==, helper.n_failed > 0 ? ESP_EIO : ESP_OK);
        g_assert_cmpint(status == ESP_OK, ==, fail_at > 15); /* 7 writes, 7 files, the names */
        helper.fail_at = 0;
        saved_clear(&saved);
        g_assert_cmpint(save(&ring, &saved), ==, ESP_OK);
        g_assert_true(store_helper_has(&helper, &saved.files, true));
        g_assert_cmpint(restore(&again, &saved, &helper, NULL), ==, ESP_OK);
        for (int i = 0; i < 8 * A_SEGMENT; i++)
            g_assert_true(has(&again, refs[i], i));
        esp_ring_release_all(&again);
        saved_clear(&saved);
        clear(&ring, &helper);
    }
}

/* A checkpoint whose files are not what it names is refused as damaged, and leaves nothing. */
static void test_refused(void)
{
    struct esp_ring ring, again;
    struct store_helper helper;
    struct saved saved;
    uint32_t refs[6 * A_SEGMENT];
    struct esp_error err = {0};
    init(&ring, &helper);
    fill(&ring, ESP_LANE_IMPRESSIONS, refs, 6);
    esp_ring_before_save(&ring);
    g_assert_cmpint(save(&ring, &saved), ==, ESP_OK);
    g_assert_cmpint(restore(&again, &saved, NULL, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "no files are kept"));
    esp_ring_release_all(&again);
    for (uint64_t number = 1; number <= 5; number++) {
        GBytes *whole = g_bytes_ref(g_hash_table_lookup(helper.files, &number));
        uint64_t *key = g_new(uint64_t, 1);
        gsize n;
        *key = number;
        uint8_t *bytes = g_memdup2(g_bytes_get_data(whole, &n), g_bytes_get_size(whole));
        n = g_bytes_get_size(whole);
        bytes[n / 2] ^= 1;
        g_hash_table_replace(helper.files, key, g_bytes_new_take(bytes, n));
        g_assert_cmpint(restore(&again, &saved, &helper, NULL), ==, ESP_EDATA);
        esp_ring_release_all(&again);
        g_hash_table_remove(helper.files, &number);
        g_assert_cmpint(restore(&again, &saved, &helper, NULL), ==, ESP_EDATA);
        esp_ring_release_all(&again);
        key = g_new(uint64_t, 1);
        *key = number;
        g_hash_table_replace(helper.files, key, whole);
    }
    for (uint64_t fail_at = 1; fail_at <= 10; fail_at++) {
        helper.fail_at = helper.n_calls + fail_at;
        g_assert_cmpint(restore(&again, &saved, &helper, NULL), ==, ESP_EIO);
        esp_ring_release_all(&again);
    }
    helper.fail_at = 0;
    g_assert_cmpint(restore(&again, &saved, &helper, NULL), ==, ESP_OK);
    esp_ring_release_all(&again);
    g_assert_cmpuint(g_hash_table_size(helper.files), ==, 5);
    saved_clear(&saved);
    clear(&ring, &helper);
}

/* Cut at any length or with any bit flipped: refused, or a ring that can be used. */
static void test_damaged(void)
{
    struct esp_ring ring, again;
    struct store_helper helper;
    struct saved saved;
    uint32_t refs[6 * A_SEGMENT];
    init(&ring, &helper);
    fill(&ring, ESP_LANE_IMPRESSIONS, refs, 6);
    esp_ring_before_save(&ring);
    g_assert_cmpint(save(&ring, &saved), ==, ESP_OK);
    struct esp_buf *bytes = &saved.bytes;
    size_t size = bytes->size;
    for (bytes->size = 0; bytes->size < size; bytes->size++) {
        g_assert_cmpint(restore(&again, &saved, &helper, NULL), ==, ESP_EDATA);
        esp_ring_release_all(&again);
    }
    for (size_t at = 0; at < MIN(size, 400); at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes->data[at] ^= (uint8_t)(1 << bit);
            if (restore(&again, &saved, &helper, NULL) == ESP_OK) {
                for (int lane = 0; lane < ESP_N_LANES; lane++)
                    append(&again, (enum esp_lane)lane, 1);
                g_assert_cmpint(esp_ring_fit(&again, 0, 1, NULL), ==, ESP_OK);
                helper.is_killed = true;
                esp_ring_reclaim(&again);
            }
            helper.is_killed = true;
            esp_ring_release_all(&again);
            store_helper_restart(&helper, &saved.files);
            bytes->data[at] ^= (uint8_t)(1 << bit);
        }
    saved_clear(&saved);
    clear(&ring, &helper);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/ring/paging/\"what is visited least goes first, nothing is lost\"",
                    test_order);
    g_test_add_func("/ring/paging/\"it goes as far as the cap asks, and no further\"", test_cap);
    g_test_add_func("/ring/paging/\"an emptied segment takes its file along\"", test_emptied);
    g_test_add_func("/ring/paging/\"a store that fails loses nothing, the next try goes on\"",
                    test_failing_paging);
    g_test_add_func("/ring/save/\"a sealed segment is written once, whoever wants it\"",
                    test_written_once);
    g_test_add_func("/ring/save/\"what there is room for comes back, the newest first\"",
                    test_loaded);
    g_test_add_func("/ring/save/\"what a checkpoint may name is not dropped\"", test_named_stay);
    g_test_add_func(
        "/ring/save/\"whichever call fails there is no checkpoint, and the next is whole\"",
        test_failing_store);
    g_test_add_func("/ring/save/\"a missing or damaged file is a damaged checkpoint\"",
                    test_refused);
    g_test_add_func("/ring/save/\"no archive that is cut or damaged does harm\"", test_damaged);
    return g_test_run();
}
