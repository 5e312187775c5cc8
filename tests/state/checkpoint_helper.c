/* checkpoint_helper.c - see checkpoint_helper.h. */
#include "checkpoint_helper.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/hash.h"
#include "testkit.h"

struct esp_checkpoint_head test_head(uint64_t number)
{
    return (struct esp_checkpoint_head){
        .number = number,
        .time_us = -5,
        .created_us = 1700000000000000,
        .build = TEST_BUILD,
        .run = TEST_RUN,
    };
}

void test_state_init(struct test_state *state, size_t n, uint64_t seed)
{
    *state = (struct test_state){.count = seed, .newest_us = 99, .n = n};
    state->items = n == 0 ? NULL : malloc(n * sizeof *state->items);
    for (size_t i = 0; i < n; i++)
        state->items[i] = (uint32_t)esp_mix64(seed + i);
}

void test_state_release(struct test_state *state)
{
    free(state->items);
    *state = (struct test_state){0};
}

static void numbers_archive(struct esp_archive *archive, struct test_state *state)
{
    esp_archive_mark(archive, "numbers", 1);
    esp_archive_u64(archive, &state->count);
    esp_archive_i64(archive, &state->newest_us);
}

static void items_archive(struct esp_archive *archive, struct test_state *state)
{
    void *items = state->items;
    esp_archive_array(archive, &items, &state->n, sizeof *state->items);
    state->items = items;
}

enum esp_status test_state_write(void *context, struct esp_checkpoint_writer *writer,
                                 struct esp_error *err)
{
    struct test_state *state = context;
    numbers_archive(esp_checkpoint_section_begin(writer, "numbers"), state);
    enum esp_status status = esp_checkpoint_section_end(writer, err);
    if (status != ESP_OK)
        return status;
    items_archive(esp_checkpoint_section_begin(writer, "items"), state);
    return esp_checkpoint_section_end(writer, err);
}

enum esp_status test_state_read(struct test_state *state, const struct esp_checkpoint *checkpoint,
                                struct esp_error *err)
{
    struct esp_archive archive;
    struct esp_bytes bytes;
    enum esp_status status = esp_checkpoint_section(checkpoint, "numbers", &bytes, err);
    if (status != ESP_OK)
        return status;
    esp_archive_read_from(&archive, bytes);
    numbers_archive(&archive, state);
    status = esp_checkpoint_end(checkpoint, "numbers", &archive, err);
    if (status == ESP_OK)
        status = esp_checkpoint_section(checkpoint, "items", &bytes, err);
    if (status != ESP_OK)
        return status;
    esp_archive_read_from(&archive, bytes);
    items_archive(&archive, state);
    return esp_checkpoint_end(checkpoint, "items", &archive, err);
}

static void write_to(int fd, struct test_state *state, uint64_t number)
{
    struct esp_error err = {0};
    struct esp_checkpoint_head head = test_head(number);
    struct esp_checkpoint_writer *writer = esp_checkpoint_writer_new();
    enum esp_status status = esp_checkpoint_writer_begin(writer, fd, "test", &head, &err);
    if (status == ESP_OK)
        status = test_state_write(state, writer, &err);
    if (status == ESP_OK)
        status = esp_checkpoint_writer_finish(writer, &err);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpint(status, ==, ESP_OK);
    g_assert_cmpuint(esp_checkpoint_writer_size(writer), ==, (uint64_t)lseek(fd, 0, SEEK_CUR));
    esp_checkpoint_writer_free(writer);
}

struct esp_bytes test_checkpoint_bytes(struct test_state *state, uint64_t number)
{
    int fd = memfd_create("checkpoint", MFD_CLOEXEC);
    write_to(fd, state, number);
    size_t size = (size_t)lseek(fd, 0, SEEK_END);
    uint8_t *data = g_malloc(size + 1);
    g_assert_cmpint(pread(fd, data, size, 0), ==, (ssize_t)size);
    close(fd);
    return esp_bytes(data, size);
}

void test_checkpoint_put(const struct esp_state_folder *folder, struct test_state *state,
                         uint64_t number)
{
    g_assert_cmpint(esp_state_folder_make(folder, ESP_CHECKPOINT_FOLDER, NULL), ==, ESP_OK);
    char *path = esp_checkpoint_path(folder, number, ".part");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    write_to(fd, state, number);
    close(fd);
    free(path);
    g_assert_cmpint(esp_checkpoint_commit(folder, number, NULL), ==, ESP_OK);
}

void test_file_put(const struct esp_state_folder *folder, const char *name, const char *text)
{
    char *path = esp_state_folder_path(folder, name);
    g_assert_true(g_file_set_contents(path, text == NULL ? "" : text, -1, NULL));
    free(path);
}

bool test_file_is_there(const struct esp_state_folder *folder, const char *name)
{
    char *path = esp_state_folder_path(folder, name);
    bool is_there = access(path, F_OK) == 0;
    free(path);
    return is_there;
}
