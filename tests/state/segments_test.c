/* segments_test.c - the folder of segment files, by itself and under a joiner. */
#include "state/segments.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint_helper.h"
#include "core/buf.h"
#include "core/hash.h"
#include "join/joiner.h"
#include "testkit.h"

enum { SIZE = 70000 };

/* A folder, a store in it, and bytes to write. */
struct world {
    char *folder;
    struct esp_segments *segments;
    const struct esp_segment_store *store;
    uint8_t bytes[SIZE];
};

static void world_open(struct world *world, bool is_lasting)
{
    struct esp_error err = {0};
    g_assert_cmpint(esp_segments_open(world->folder, is_lasting, &world->segments, &err), ==,
                    ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    world->store = esp_segments_store(world->segments);
}

static void world_init(struct world *world, bool is_lasting)
{
    struct test_random random = {1};
    world->folder = test_folder_new();
    for (size_t i = 0; i < SIZE; i++)
        world->bytes[i] = (uint8_t)test_random_u64(&random);
    world_open(world, is_lasting);
}

static void world_clear(struct world *world)
{
    esp_segments_free(world->segments);
    test_folder_remove(world->folder);
}

static struct esp_segment_file file_of(const struct world *world, uint64_t number, size_t n)
{
    return (struct esp_segment_file){number, n, esp_hash(esp_bytes(world->bytes, n))};
}

static enum esp_status put(const struct world *world, uint64_t number, size_t n,
                           struct esp_error *err)
{
    return world->store->write(world->store->context, number, esp_bytes(world->bytes, n), err);
}

static char *path_of(const struct world *world, const char *name)
{
    return g_strdup_printf("%s/segments/%s", world->folder, name);
}

static bool is_there(const struct world *world, const char *name)
{
    char *path = path_of(world, name);
    bool is = access(path, F_OK) == 0;
    g_free(path);
    return is;
}

static void make(const struct world *world, const char *name)
{
    char *path = path_of(world, name);
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    g_free(path);
}

static size_t n_files(const struct world *world)
{
    size_t n = 0;
    char *path = path_of(world, "");
    GDir *dir = g_dir_open(path, 0, NULL);
    while (dir != NULL && g_dir_read_name(dir) != NULL)
        n++;
    if (dir != NULL)
        g_dir_close(dir);
    g_free(path);
    return n;
}

static void test_write(void)
{
    struct world world;
    struct stat info;
    void *base = NULL;
    world_init(&world, true);
    struct esp_segment_file file = file_of(&world, 1, SIZE);
    g_assert_cmpuint(world.store->first_number, ==, 1);
    g_assert_false(is_there(&world, "")); /* only when it is needed */
    g_assert_cmpint(put(&world, 1, SIZE, NULL), ==, ESP_OK);
    g_assert_true(is_there(&world, "0000000001.segment"));
    g_assert_cmpuint(n_files(&world), ==, 1);
    char *path = path_of(&world, "0000000001.segment");
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0137, ==, 0);
    g_assert_cmpint(world.store->sync(world.store->context, 1, NULL), ==, ESP_OK);
    g_assert_cmpint(world.store->sync(world.store->context, 0, NULL), ==, ESP_OK);
    g_assert_cmpint(world.store->sync(world.store->context, 2, NULL), ==, ESP_EIO);
    g_assert_cmpint(world.store->verify(world.store->context, &file, NULL), ==, ESP_OK);
    g_assert_cmpint(world.store->map(world.store->context, &file, &base, NULL), ==, ESP_OK);
    /* Written again it is the same file still: nothing on the disk gives way. */
    ino_t inode = info.st_ino;
    g_assert_cmpint(put(&world, 1, SIZE, NULL), ==, ESP_OK);
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpuint(info.st_ino, ==, inode);
    /* Dropped it lives on where it is mapped. */
    world.store->drop(world.store->context, 1);
    g_assert_cmpuint(n_files(&world), ==, 0);
    g_assert_cmpmem(base, SIZE, world.bytes, SIZE);
    munmap(base, SIZE);
    world.store->drop(world.store->context, 1);
    g_free(path);
    world_clear(&world);
}

/* Numbers begin above all that is there, of whatever process. */
static void test_numbers(void)
{
    struct world world;
    world_init(&world, true);
    g_assert_cmpint(put(&world, 7, 100, NULL), ==, ESP_OK);
    g_assert_cmpint(put(&world, 12345678901, 100, NULL), ==, ESP_OK);
    make(&world, "notes.txt");
    make(&world, "99999999999999.segments");
    esp_segments_free(world.segments);
    world_open(&world, true);
    g_assert_cmpuint(world.store->first_number, ==, 12345678902);
    make(&world, "12345678905.segment.part.77");
    esp_segments_free(world.segments);
    world_open(&world, true);
    g_assert_cmpuint(world.store->first_number, ==, 12345678906);
    world_clear(&world);
}

static void test_sweep(void)
{
    struct world world;
    struct esp_segment_list keep = {0};
    struct esp_error err = {0};
    size_t n_removed = 99;
    world_init(&world, true);
    g_assert_cmpint(esp_segments_sweep(world.segments, &keep, &n_removed, NULL), ==, ESP_OK);
    g_assert_cmpuint(n_removed, ==, 0);
    for (uint64_t number = 1; number <= 20; number++) {
        struct esp_segment_file file = file_of(&world, 21 - number, 100);
        g_assert_cmpint(put(&world, number, 100, NULL), ==, ESP_OK);
        if (number % 3 == 0)
            g_assert_cmpint(esp_segment_list_add(&keep, &file, 1, NULL), ==, ESP_OK);
    }
    make(&world, "0000000003.segment.part.1");
    make(&world, "0000000021.segment.part.123456");
    make(&world, "notes.txt");
    make(&world, "0000000001.segment.bak");
    esp_segment_list_sort(&keep);
    g_assert_cmpint(esp_segments_sweep(world.segments, &keep, &n_removed, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpuint(n_removed, ==, 14 + 2);
    g_assert_cmpuint(n_files(&world), ==, 6 + 2);
    for (size_t i = 0; i < keep.n; i++)
        g_assert_cmpint(world.store->verify(world.store->context, &keep.files[i], NULL), ==,
                        ESP_OK);
    g_assert_true(is_there(&world, "notes.txt"));
    g_assert_true(is_there(&world, "0000000001.segment.bak"));
    esp_segment_list_release(&keep);
    world_clear(&world);
}

static void expect_refused(const struct world *world, const struct esp_segment_file *file,
                           const char *why)
{
    struct esp_error err = {0};
    g_assert_cmpint(world->store->verify(world->store->context, file, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, ".segment: "));
    g_assert_nonnull(strstr(err.text, why));
}

static void test_damaged(void)
{
    struct world world;
    world_init(&world, true);
    struct esp_segment_file file = file_of(&world, 1, SIZE);
    expect_refused(&world, &file, "No such file");
    for (size_t at = 0; at < SIZE; at += SIZE / 7) {
        g_assert_cmpint(put(&world, 1, SIZE, NULL), ==, ESP_OK);
        char *path = path_of(&world, "0000000001.segment");
        g_assert_cmpint(world.store->verify(world.store->context, &file, NULL), ==, ESP_OK);
        FILE *stream = fopen(path, "r+");
        g_assert_nonnull(stream);
        fseek(stream, (long)at, SEEK_SET);
        fputc(world.bytes[at] ^ 4, stream);
        fclose(stream);
        expect_refused(&world, &file, "checksum");
        g_assert_cmpint(truncate(path, (off_t)at), ==, 0);
        expect_refused(&world, &file, "bytes");
        void *base;
        g_assert_cmpint(world.store->map(world.store->context, &file, &base, NULL), ==, ESP_EDATA);
        world.store->drop(world.store->context, 1);
        g_free(path);
    }
    world_clear(&world);
}

/* A write that comes to the limit of a file's size fails as one on a full disk does. */
static void test_full(void)
{
    struct world world;
    struct esp_error err = {0};
    struct rlimit old;
    world_init(&world, true);
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    struct rlimit small = {SIZE / 2, old.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
    enum esp_status status = put(&world, 1, SIZE, &err);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    g_assert_cmpint(status, ==, ESP_EIO);
    g_assert_nonnull(
        strstr(err.text, "0000000001.segment: a segment of the join cannot be written"));
    g_assert_cmpuint(n_files(&world), ==, 0);
    g_assert_cmpint(put(&world, 1, SIZE, NULL), ==, ESP_OK);
    world.store->drop(world.store->context, 1);
    esp_segments_free(world.segments); /* the empty folder goes */
    g_assert_false(is_there(&world, ""));
    world_open(&world, true);
    char *path = g_strdup_printf("%s/segments", world.folder);
    g_assert_true(g_file_set_contents(path, "x", 1, NULL)); /* a file in the folder's place */
    g_assert_cmpint(put(&world, 1, SIZE, NULL), ==, ESP_EIO);
    unlink(path);
    g_free(path);
    world_clear(&world);
}

/* Parent and child write the same segment at once: one file, whole. */
static void test_both_write(void)
{
    struct world world;
    world_init(&world, true);
    for (uint64_t number = 1; number <= 30; number++) {
        struct esp_segment_file file = file_of(&world, number, SIZE);
        pid_t child = fork();
        g_assert_cmpint(child, >=, 0);
        enum esp_status status = put(&world, number, SIZE, NULL);
        if (child == 0) {
            if (number % 10 == 0 && status == ESP_OK)
                status = world.store->sync(world.store->context, number, NULL);
            _exit(status == ESP_OK ? 0 : 1);
        }
        int code = -1;
        g_assert_cmpint(status, ==, ESP_OK);
        g_assert_cmpint(waitpid(child, &code, 0), ==, child);
        g_assert_cmpint(code, ==, 0);
        g_assert_cmpint(world.store->verify(world.store->context, &file, NULL), ==, ESP_OK);
    }
    g_assert_cmpuint(n_files(&world), ==, 30);
    world_clear(&world);
}

/* Without checkpoints nothing has a name for longer than it takes to map it. */
static void test_passing(void)
{
    struct world world, other = {.folder = NULL};
    void *base = NULL, *second = NULL;
    world_init(&world, false);
    memcpy(other.bytes, world.bytes, SIZE);
    other.folder = world.folder;
    other.bytes[0] ^= 1;
    struct esp_segment_file file = file_of(&world, 1, SIZE);
    g_assert_cmpint(put(&world, 1, SIZE, NULL), ==, ESP_OK);
    g_assert_cmpuint(n_files(&world), ==, 1);
    world_open(&other, true); /* a run with checkpoints beside it */
    pid_t child = fork();
    if (child == 0)
        _exit(put(&other, 1, SIZE, NULL) == ESP_OK ? 0 : 1);
    int code = -1;
    g_assert_cmpint(waitpid(child, &code, 0), ==, child);
    g_assert_cmpint(code, ==, 0);
    g_assert_cmpint(world.store->map(world.store->context, &file, &base, NULL), ==, ESP_OK);
    g_assert_cmpmem(base, SIZE, world.bytes, SIZE);
    g_assert_cmpuint(n_files(&world), ==, 1);
    g_assert_cmpint(other.store->map(other.store->context, &file, &second, NULL), ==, ESP_OK);
    g_assert_cmpmem(second, SIZE, other.bytes, SIZE);
    munmap(base, SIZE);
    munmap(second, SIZE);
    world.store->drop(world.store->context, 1);
    g_assert_cmpuint(n_files(&world), ==, 1);
    esp_segments_free(other.segments);
    world_clear(&world);
}

/* ---- under a joiner -------------------------------------------------------------------------- */

enum {
    BATCH = 512,
    N_BATCHES = 1000,
    PAYLOAD = 300,
    CAP = 24 << 20,
    SLACK = 12 << 20, /* what is visited between two looks at the cap, and the heap itself */
    NEED = BATCH * N_BATCHES * PAYLOAD,
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SANITIZER = 128 << 20, /* what these hold back of freed memory, and shadows */
#else
    SANITIZER = 0,
#endif
};

static void push(struct esp_joiner *joiner, enum esp_event_kind kind, const uint64_t *ids, size_t n,
                 int64_t time_us)
{
    static uint8_t payloads[BATCH][PAYLOAD];
    static struct esp_header headers[BATCH];
    for (size_t i = 0; i < n; i++) {
        memcpy(payloads[i], &ids[i], sizeof ids[i]);
        headers[i] = (struct esp_header){.time_us = time_us,
                                         .log_time_us = time_us,
                                         .id = esp_bytes(payloads[i], sizeof ids[i]),
                                         .payload = esp_bytes(payloads[i], PAYLOAD)};
        headers[i].id_hash = esp_hash(headers[i].id);
    }
    g_assert_cmpint(esp_joiner_push(joiner, kind, 0, headers, n, NULL), ==, ESP_OK);
}

static size_t resident_bytes(void)
{
    unsigned long all, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    g_assert_nonnull(file);
    g_assert_cmpint(fscanf(file, "%lu %lu", &all, &resident), ==, 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* The process's own resident memory, what it has mapped and touched included. */
static void test_resident(void)
{
    struct world world;
    struct esp_joiner *joiner = NULL;
    struct esp_joiner_usage usage;
    struct test_random random = {3};
    uint64_t ids[BATCH];
    static struct esp_label labels[BATCH];
    world_init(&world, false);
    struct esp_joiner_config config = {.click_window_us = ESP_DAY,
                                       .install_window_us = ESP_DAY,
                                       .n_partitions = {1, 1, 1},
                                       .future_us = ESP_HOUR,
                                       .segment_bytes = 1 << 18,
                                       .max_store_bytes = CAP,
                                       .store = world.store};
    g_assert_cmpint(esp_joiner_new(&config, &joiner, NULL), ==, ESP_OK);
    size_t before = resident_bytes(), most = 0;
    for (uint64_t b = 0; b < N_BATCHES; b++) {
        size_t n = 0, n_clicks = 40;
        for (size_t i = 0; i < BATCH; i++)
            ids[i] = b * BATCH + i;
        push(joiner, ESP_IMPRESSION, ids, BATCH, (int64_t)b * ESP_SECOND);
        for (size_t i = 0; i < n_clicks; i++) /* of any impression: most are on files */
            ids[i] = test_random_below(&random, (b + 1) * BATCH);
        push(joiner, ESP_CLICK, ids, n_clicks, (int64_t)b * ESP_SECOND);
        push(joiner, ESP_INSTALL, ids, 1, (int64_t)b * ESP_SECOND);
        g_assert_cmpint(esp_joiner_advance(joiner, labels, BATCH, &n, NULL), ==, ESP_OK);
        g_assert_cmpuint(n, ==, 0);
        size_t now = resident_bytes();
        most = MAX(most, now > before ? now - before : 0);
    }
    esp_joiner_usage(joiner, &usage);
    g_assert_cmpuint(usage.paged_bytes, >, NEED * 3 / 4);
    g_assert_cmpuint(usage.memory_bytes, <, CAP + (1 << 20));
    g_assert_cmpuint(usage.paging_failures, ==, 0);
    g_test_message("%zu MiB resident of %d", most >> 20, NEED >> 20);
    g_assert_cmpuint(most, <, CAP + SLACK + SANITIZER);
    g_assert_cmpuint(n_files(&world), ==, 0);
    esp_joiner_check(joiner);
    esp_joiner_free(joiner);
    world_clear(&world);
}

/* ---- the list in a checkpoint ---------------------------------------------------------------- */

static void test_peek(void)
{
    char *path = test_folder_new();
    struct esp_state_folder *folder = NULL;
    struct test_state state;
    struct esp_buf out;
    struct esp_error err = {0};
    g_assert_cmpint(esp_state_folder_open(path, ESP_STATE_LOCK, &folder, NULL), ==, ESP_OK);
    test_state_init(&state, 1000, 5);
    test_checkpoint_put(folder, &state, 4);
    struct esp_checkpoint *whole = NULL;
    g_assert_cmpint(esp_checkpoint_open(folder, 4, &whole, NULL), ==, ESP_OK);
    esp_buf_init(&out, 1 << 20);
    const char *name;
    for (size_t i = 0; (name = esp_checkpoint_section_name(whole, i)) != NULL; i++) {
        struct esp_bytes want;
        esp_buf_clear(&out);
        g_assert_cmpint(esp_checkpoint_section(whole, name, &want, NULL), ==, ESP_OK);
        g_assert_cmpint(esp_checkpoint_peek(folder, 4, name, &out, &err), ==, ESP_OK);
        g_assert_true(esp_bytes_equal(esp_buf_bytes(&out), want));
    }
    esp_buf_clear(&out);
    g_assert_cmpint(esp_checkpoint_peek(folder, 4, "none", &out, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "no section 'none'"));
    g_assert_cmpint(esp_checkpoint_peek(folder, 5, "none", &out, NULL), ==, ESP_EIO);
    /* Any byte that it reads, damaged or cut away, is noticed; nothing is added then. */
    char *file = esp_checkpoint_path(folder, 4, ""), *bytes = NULL;
    const char *last = NULL;
    gsize size = 0;
    for (size_t i = 0; (name = esp_checkpoint_section_name(whole, i)) != NULL; i++)
        last = name;
    struct esp_bytes section;
    g_assert_cmpint(esp_checkpoint_section(whole, last, &section, NULL), ==, ESP_OK);
    size_t section_size = section.size;
    g_assert_true(g_file_get_contents(file, &bytes, &size, NULL));
    for (size_t at = size - section_size - 200; at < size; at++) {
        bytes[at] ^= 8;
        g_assert_true(g_file_set_contents(file, bytes, (gssize)size, NULL));
        enum esp_status status = esp_checkpoint_peek(folder, 4, last, &out, NULL);
        if (at >= size - section_size)
            g_assert_cmpint(status, !=, ESP_OK);
        g_assert_cmpuint(out.size == 0 || status == ESP_OK, ==, 1);
        esp_buf_clear(&out);
        bytes[at] ^= 8;
        g_assert_true(g_file_set_contents(file, bytes, (gssize)at, NULL));
        g_assert_cmpint(esp_checkpoint_peek(folder, 4, last, &out, NULL), ==, ESP_EDATA);
        if (size - at > 300)
            at += 40;
    }
    g_free(bytes);
    free(file);
    esp_buf_release(&out);
    esp_checkpoint_close(whole);
    test_state_release(&state);
    esp_state_folder_close(folder);
    test_folder_remove(path);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/segments/\"a file is whole, and nothing takes its place\"", test_write);
    g_test_add_func("/segments/\"no number is given twice\"", test_numbers);
    g_test_add_func("/segments/\"a sweep leaves what is named, and what is none of its own\"",
                    test_sweep);
    g_test_add_func("/segments/\"a damaged, cut or missing file is refused by name\"",
                    test_damaged);
    g_test_add_func("/segments/\"a full disk leaves nothing behind\"", test_full);
    g_test_add_func("/segments/\"parent and child may write the same one\"", test_both_write);
    g_test_add_func("/segments/\"without checkpoints nothing is left, and folders are shared\"",
                    test_passing);
    g_test_add_func("/segments/\"resident memory stays below the cap\"", test_resident);
    g_test_add_func("/segments/\"one section of a checkpoint is read by itself\"", test_peek);
    return g_test_run();
}
