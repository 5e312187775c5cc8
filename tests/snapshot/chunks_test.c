/* chunks_test.c - files are cut and put together again, whatever happens to the chunks between. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chunks_helper.h"
#include "core/hash.h"

static int memory_file(void)
{
    int fd = memfd_create("assembly", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    g_assert_true(g_file_set_contents(path, bytes, (gssize)size, NULL));
}

/* Every file that is cut is the concatenation of its chunks. */
static void test_cutting(void)
{
    static const size_t sizes[] = {1, 9, 10, 11, 20, 99, 100, 101, 1000};
    char *folder = test_folder_new(), *path = g_build_filename(folder, "file", NULL);
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        struct test_cut cut;
        struct esp_cutter cutter;
        struct esp_chunk chunk;
        test_cut_init(&cut, sizes[s], 10, s);
        write_file(path, cut.bytes, cut.size);
        g_assert_cmpint(esp_cutter_open(&cutter, path, 10, NULL), ==, ESP_OK);
        g_assert_cmpint(cutter.count, ==, (sizes[s] + 9) / 10);
        for (size_t i = 0; cutter.index < cutter.count && !g_test_failed(); i++) {
            struct esp_snapshot_chunk_record want = test_cut_chunk(&cut, i);
            g_assert_cmpint(esp_cutter_next(&cutter, &chunk, NULL), ==, ESP_OK);
            g_assert_cmpint(chunk.index, ==, want.index);
            g_assert_cmpint(chunk.count, ==, want.count);
            g_assert_cmpint(chunk.offset, ==, want.offset);
            g_assert_cmpuint(chunk.checksum, ==, want.checksum);
            g_assert_true(esp_bytes_equal(chunk.data, want.data));
        }
        g_assert_cmpuint(esp_cutter_checksum(&cutter), ==, cut.manifest.checksum);
        esp_cutter_release(&cutter);
        test_cut_release(&cut);
    }
    g_free(path);
    test_folder_remove(folder);
}

static void test_cut_refused(void)
{
    char *folder = test_folder_new(), *path = g_build_filename(folder, "file", NULL);
    struct esp_cutter cutter;
    struct esp_chunk chunk;
    struct esp_error err = {0};
    g_assert_cmpint(esp_cutter_open(&cutter, path, 10, &err), ==, ESP_EIO);
    g_assert_nonnull(strstr(err.text, path));
    esp_cutter_release(&cutter);
    write_file(path, "", 0);
    err = (struct esp_error){0};
    g_assert_cmpint(esp_cutter_open(&cutter, path, 10, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "is empty"));
    esp_cutter_release(&cutter);
    write_file(path, "0123456789abcdef", 16);
    g_assert_cmpint(esp_cutter_open(&cutter, path, 10, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_cutter_next(&cutter, &chunk, NULL), ==, ESP_OK);
    g_assert_cmpint(truncate(path, 12), ==, 0);
    g_assert_cmpint(esp_cutter_next(&cutter, &chunk, NULL), ==, ESP_EDATA);
    esp_cutter_release(&cutter);
    g_free(path);
    test_folder_remove(folder);
}

static void check_same(int fd, const struct test_cut *cut)
{
    uint8_t *bytes = g_malloc(cut->size + 1);
    g_assert_cmpint(pread(fd, bytes, cut->size + 1, 0), ==, cut->size);
    g_assert_cmpmem(bytes, cut->size, cut->bytes, cut->size);
    g_free(bytes);
}

/* Draws chunks right and wrong until all have come, and holds every verdict against the twin. */
static void run_twin(struct test_random *random)
{
    size_t chunk_bytes = 1 + test_random_below(random, 40);
    size_t size = 1 + test_random_below(random, 300);
    uint64_t seed = test_random_u64(random) >> 8;
    struct test_cut cut, other, twin;
    test_cut_init(&cut, size, chunk_bytes, seed);
    test_cut_init(&other, 1 + test_random_below(random, 300), chunk_bytes, seed + 1);
    test_cut_init(&twin, size, 1 + test_random_below(random, 40), seed); /* cut otherwise */
    bool *has_come = g_new0(bool, cut.manifest.n_chunks);
    struct esp_assembly *assembly = NULL;
    int fd = memory_file();
    uint8_t copy[64];
    g_assert_cmpint(esp_assembly_new(&cut.manifest, fd, &assembly, NULL), ==, ESP_OK);
    while (assembly != NULL && esp_assembly_missing(assembly) > 0 && !g_test_failed()) {
        const struct test_cut *from = &cut;
        uint64_t die = test_random_below(random, 10);
        if (die < 4)
            from = die == 0 ? &twin : die == 1 ? &other : &cut;
        struct esp_snapshot_chunk_record chunk =
            test_cut_chunk(from, test_random_below(random, from->manifest.n_chunks));
        if (die == 2 || die == 3)
            test_chunk_spoil(&chunk, (unsigned)test_random_below(random, TEST_N_WRONGS),
                             test_random_u64(random), copy);
        enum esp_chunk_verdict want = test_cut_verdict(&cut, has_come, &chunk), got;
        g_assert_cmpint(esp_assembly_finish(assembly, NULL), ==, ESP_EDATA);
        g_assert_cmpint(esp_assembly_take(assembly, &chunk, &got, NULL), ==, ESP_OK);
        g_assert_cmpint(got, ==, want);
        if (want == ESP_CHUNK_TAKEN)
            has_come[chunk.index] = true;
        esp_assembly_check(assembly);
    }
    struct esp_error err = {0};
    g_assert_cmpint(esp_assembly_finish(assembly, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    check_same(fd, &cut);
    esp_assembly_free(assembly);
    close(fd);
    g_free(has_come);
    test_cut_release(&cut);
    test_cut_release(&other);
    test_cut_release(&twin);
}

static void test_twin(void)
{
    struct test_random random = {2026};
    for (int i = 0; i < 2000 && !g_test_failed(); i++)
        run_twin(&random);
}

/* What is missing is named, and nothing is assembled without it. */
static void test_missing(void)
{
    struct test_cut cut;
    struct esp_assembly *assembly = NULL;
    enum esp_chunk_verdict verdict;
    struct esp_error err = {0};
    int fd = memory_file();
    test_cut_init(&cut, 95, 10, 7);
    g_assert_cmpint(esp_assembly_new(&cut.manifest, fd, &assembly, NULL), ==, ESP_OK);
    for (size_t i = 0; i < 10; i++) {
        struct esp_snapshot_chunk_record chunk = test_cut_chunk(&cut, i);
        if (i != 3 && i != 8)
            g_assert_cmpint(esp_assembly_take(assembly, &chunk, &verdict, NULL), ==, ESP_OK);
    }
    g_assert_cmpuint(esp_assembly_missing(assembly), ==, 2);
    g_assert_cmpuint(esp_assembly_first_missing(assembly), ==, 3);
    g_assert_cmpint(esp_assembly_finish(assembly, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==, "2 of 10 chunks are missing, chunk 3 first");
    esp_assembly_free(assembly);
    close(fd);
    test_cut_release(&cut);
}

/* All chunks are what the manifest says, and the file is not: it is not believed. */
static void test_wrong_whole(void)
{
    struct test_cut cut;
    struct esp_assembly *assembly = NULL;
    enum esp_chunk_verdict verdict;
    struct esp_error err = {0};
    int fd = memory_file();
    test_cut_init(&cut, 40, 10, 7);
    cut.manifest.checksum++;
    g_assert_cmpint(esp_assembly_new(&cut.manifest, fd, &assembly, NULL), ==, ESP_OK);
    for (size_t i = 0; i < 4; i++) {
        struct esp_snapshot_chunk_record chunk = test_cut_chunk(&cut, i);
        g_assert_cmpint(esp_assembly_take(assembly, &chunk, &verdict, NULL), ==, ESP_OK);
    }
    g_assert_cmpint(esp_assembly_finish(assembly, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "its chunks make 40 bytes with checksum"));
    esp_assembly_free(assembly);
    close(fd);
    test_cut_release(&cut);
}

/* What is written behind the assembly's back is found before anybody believes the file. */
static void test_altered_on_disk(void)
{
    struct test_cut cut;
    struct esp_assembly *assembly = NULL;
    enum esp_chunk_verdict verdict;
    int fd = memory_file();
    test_cut_init(&cut, 40, 10, 7);
    g_assert_cmpint(esp_assembly_new(&cut.manifest, fd, &assembly, NULL), ==, ESP_OK);
    for (size_t i = 0; i < 4; i++) {
        struct esp_snapshot_chunk_record chunk = test_cut_chunk(&cut, i);
        g_assert_cmpint(esp_assembly_take(assembly, &chunk, &verdict, NULL), ==, ESP_OK);
    }
    uint8_t byte = (uint8_t)~cut.bytes[17];
    g_assert_cmpint(pwrite(fd, &byte, 1, 17), ==, 1);
    g_assert_cmpint(esp_assembly_finish(assembly, NULL), ==, ESP_EDATA);
    esp_assembly_free(assembly);
    close(fd);
    test_cut_release(&cut);
}

/* Sizes that no chunks of one size can make: 5 bytes in 4 chunks would be 2, 2, 1 and nothing. */
static void test_uneven(void)
{
    struct test_cut cut;
    struct esp_assembly *assembly = NULL;
    struct esp_error err = {0};
    int fd = memory_file();
    test_cut_init(&cut, 40, 10, 7);
    cut.manifest.size = 5;
    g_assert_cmpint(esp_assembly_new(&cut.manifest, fd, &assembly, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "4 chunks cannot hold 5 bytes evenly"));
    close(fd);
    test_cut_release(&cut);
}

/* A disk that is full loses no chunk: it can be offered again. */
static void test_disk_fails(void)
{
    struct test_cut cut;
    struct esp_assembly *assembly = NULL;
    enum esp_chunk_verdict verdict;
    test_cut_init(&cut, 40, 10, 7);
    struct esp_snapshot_chunk_record chunk = test_cut_chunk(&cut, 2);
    int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(esp_assembly_new(&cut.manifest, fd, &assembly, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_assembly_take(assembly, &chunk, &verdict, NULL), ==, ESP_EIO);
    g_assert_cmpuint(esp_assembly_missing(assembly), ==, 4);
    int memory = memory_file();
    g_assert_cmpint(dup2(memory, fd), ==, fd);
    g_assert_cmpint(esp_assembly_take(assembly, &chunk, &verdict, NULL), ==, ESP_OK);
    g_assert_cmpint(verdict, ==, ESP_CHUNK_TAKEN);
    esp_assembly_check(assembly);
    esp_assembly_free(assembly);
    close(fd);
    close(memory);
    test_cut_release(&cut);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/chunks/a file is the concatenation of its chunks", test_cutting);
    g_test_add_func("/chunks/a file that cannot be cut is refused", test_cut_refused);
    g_test_add_func("/chunks/right, wrong, doubled, foreign ones: as the naive twin says",
                    test_twin);
    g_test_add_func("/chunks/what is missing is named", test_missing);
    g_test_add_func("/chunks/a whole that is not the manifest's is refused", test_wrong_whole);
    g_test_add_func("/chunks/bytes that changed on the disk are found", test_altered_on_disk);
    g_test_add_func("/chunks/a size that chunks cannot make is refused", test_uneven);
    g_test_add_func("/chunks/a chunk that could not be written may come again", test_disk_fails);
    return g_test_run();
}
