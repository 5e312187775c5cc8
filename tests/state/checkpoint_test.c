/* checkpoint_test.c - a checkpoint is read as it was written, or refused with the reason. */
#include "state/checkpoint.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint_helper.h"
#include "core/hash.h"
#include "state/checkpoint_format.h"
#include "testkit.h"

static struct esp_state_folder *folder_open(char **path)
{
    struct esp_state_folder *folder = NULL;
    *path = test_folder_new();
    g_assert_cmpint(esp_state_folder_open(*path, ESP_STATE_LOCK, &folder, NULL), ==, ESP_OK);
    return folder;
}

static void folder_close(struct esp_state_folder *folder, char *path)
{
    esp_state_folder_close(folder);
    test_folder_remove(path);
}

static void expect_state(const struct esp_checkpoint *checkpoint, const struct test_state *wanted)
{
    struct test_state state = {0};
    struct esp_error err = {0};
    g_assert_cmpint(test_state_read(&state, checkpoint, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpuint(state.count, ==, wanted->count);
    g_assert_cmpint(state.newest_us, ==, wanted->newest_us);
    g_assert_cmpmem(state.items, state.n * 4, wanted->items, wanted->n * 4);
    test_state_release(&state);
}

/* ---- round trips ----------------------------------------------------------------------------- */

/* Around the writer's buffer of 256 KiB, and over two stretches of write-back. */
static void test_round_trip(gconstpointer data)
{
    char *path = NULL;
    struct esp_state_folder *folder = folder_open(&path);
    struct test_state state;
    test_state_init(&state, GPOINTER_TO_SIZE(data), 5);
    test_checkpoint_put(folder, &state, 12);
    struct esp_error err = {0};
    struct esp_checkpoint *checkpoint = NULL;
    g_assert_cmpint(esp_checkpoint_open(folder, 12, &checkpoint, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    if (g_test_failed())
        return;
    const struct esp_checkpoint_head *head = esp_checkpoint_head(checkpoint);
    g_assert_cmpuint(head->number, ==, 12);
    g_assert_cmpint(head->time_us, ==, -5);
    g_assert_cmpint(head->created_us, ==, 1700000000000000);
    g_assert_cmpstr(head->build, ==, TEST_BUILD);
    g_assert_cmpstr(head->run, ==, TEST_RUN);
    g_assert_cmpstr(esp_checkpoint_section_name(checkpoint, 0), ==, "numbers");
    g_assert_cmpstr(esp_checkpoint_section_name(checkpoint, 1), ==, "items");
    g_assert_null(esp_checkpoint_section_name(checkpoint, 2));
    expect_state(checkpoint, &state);
    esp_checkpoint_close(checkpoint);
    test_state_release(&state);
    folder_close(folder, path);
}

/* No section at all, and texts that are empty. */
static void test_empty(void)
{
    char *path = NULL;
    struct esp_state_folder *folder = folder_open(&path);
    struct esp_checkpoint_head head = {.number = 0, .build = "", .run = ""};
    struct esp_checkpoint_writer *writer = esp_checkpoint_writer_new();
    esp_state_folder_make(folder, ESP_CHECKPOINT_FOLDER, NULL);
    char *file = esp_checkpoint_path(folder, 0, "");
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    g_assert_cmpint(esp_checkpoint_writer_begin(writer, fd, file, &head, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_checkpoint_writer_finish(writer, NULL), ==, ESP_OK);
    close(fd);
    struct esp_checkpoint *checkpoint = NULL;
    g_assert_cmpint(esp_checkpoint_open(folder, 0, &checkpoint, NULL), ==, ESP_OK);
    if (checkpoint != NULL)
        g_assert_null(esp_checkpoint_section_name(checkpoint, 0));
    esp_checkpoint_close(checkpoint);
    esp_checkpoint_writer_free(writer);
    free(file);
    folder_close(folder, path);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Parses a copy in a block of exactly its size. */
static enum esp_status parse(struct esp_bytes bytes, struct esp_error *err)
{
    uint8_t *copy = g_memdup2(bytes.data, bytes.size);
    struct esp_checkpoint *checkpoint = NULL;
    *err = (struct esp_error){0};
    enum esp_status status =
        esp_checkpoint_parse(esp_bytes(copy, bytes.size), "f", &checkpoint, err);
    g_assert_true((checkpoint == NULL) == (status != ESP_OK));
    esp_checkpoint_close(checkpoint);
    g_free(copy);
    return status;
}

static void test_truncated(void)
{
    struct test_state state;
    struct esp_error err;
    test_state_init(&state, 50, 1);
    struct esp_bytes whole = test_checkpoint_bytes(&state, 3);
    g_assert_cmpint(parse(whole, &err), ==, ESP_OK);
    for (size_t n = 0; n < whole.size; n++) {
        g_assert_cmpint(parse(esp_bytes(whole.data, n), &err), ==, ESP_EDATA);
        if (strstr(err.text, "truncated") == NULL)
            g_test_fail_printf("cut to %zu bytes: %s", n, err.text);
    }
    uint8_t *longer = g_malloc0(whole.size + 1);
    memcpy(longer, whole.data, whole.size);
    g_assert_cmpint(parse(esp_bytes(longer, whole.size + 1), &err), ==, ESP_EDATA);
    g_free(longer);
    g_free((void *)whole.data);
    test_state_release(&state);
}

/* What a flip at a place is called; several where the byte's new value decides. */
struct region {
    size_t end;
    const char *reasons;
};

static size_t region_of(const struct region *regions, size_t at)
{
    size_t i = 0;
    while (at >= regions[i].end)
        i++;
    return i;
}

static void expect_reason(const char *reasons, const char *text, size_t at, int bit)
{
    char **any = g_strsplit(reasons, "|", -1);
    bool is_there = false;
    for (char **reason = any; *reason != NULL; reason++)
        is_there = is_there || strstr(text, *reason) != NULL;
    if (!is_there)
        g_test_fail_printf("byte %zu, bit %d: %s", at, bit, text);
    g_strfreev(any);
}

static void test_flipped(void)
{
    struct test_state state;
    struct esp_error err;
    test_state_init(&state, 50, 1);
    struct esp_bytes whole = test_checkpoint_bytes(&state, 3);
    size_t head = 48 + sizeof TEST_BUILD + sizeof TEST_RUN + 8, numbers = head + 12 + 16,
           items = numbers + 8 + 200, table = items + 2 * 72;
    const struct region regions[] = {
        {8, "no checkpoint"},
        {12, "of format"},
        {16, "byte order"},
        {40, "checksum of its head"},
        {48, "checksum of its head|its head is longer"},
        {head, "checksum of its head"},
        {numbers, "section 'numbers'"},
        {items, "section 'items'"},
        {table, "checksum of its table"},
        {table + 16, "not where its end says"},
        {table + 24, "checksum of its table"},
        {table + 32, "its end is missing"},
    };
    g_assert_cmpuint(whole.size, ==, table + 32);
    for (size_t at = 0; at < whole.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            ((uint8_t *)(uintptr_t)whole.data)[at] ^= (uint8_t)(1 << bit);
            g_assert_cmpint(parse(whole, &err), ==, ESP_EDATA);
            expect_reason(regions[region_of(regions, at)].reasons, err.text, at, bit);
            ((uint8_t *)(uintptr_t)whole.data)[at] ^= (uint8_t)(1 << bit);
        }
    }
    g_assert_cmpint(parse(whole, &err), ==, ESP_OK);
    g_free((void *)whole.data);
    test_state_release(&state);
}

/* Tables that a hostile hand has given their checksum. */
static void test_forged(gconstpointer data)
{
    struct test_state state;
    struct esp_error err;
    test_state_init(&state, 5, 1);
    struct esp_bytes whole = test_checkpoint_bytes(&state, 3);
    struct esp_checkpoint_tail tail;
    struct esp_checkpoint_entry entries[2];
    uint8_t *end = (uint8_t *)(uintptr_t)whole.data + whole.size - sizeof tail;
    uint8_t *table = end - sizeof entries;
    memcpy(&tail, end, sizeof tail);
    memcpy(entries, table, sizeof entries);
    const char *reason = "is not possible";
    switch (GPOINTER_TO_SIZE(data)) {
    case 0: /* a gap */
        entries[1].offset++;
        break;
    case 1: /* past the table */
        entries[1].bytes += 9;
        break;
    case 2: /* a length that wraps around */
        entries[0].bytes = UINT64_MAX;
        break;
    case 3: /* one name twice */
        memcpy(entries[1].name, entries[0].name, sizeof entries[0].name);
        break;
    case 4: /* a name without an end */
        memset(entries[0].name, 'x', sizeof entries[0].name);
        break;
    case 5: /* no name */
        memset(entries[0].name, 0, sizeof entries[0].name);
        break;
    default: /* a byte that no section has */
        entries[1].bytes--;
        entries[1].checksum = esp_hash(esp_bytes(whole.data + entries[1].offset, entries[1].bytes));
        reason = "its sections end before their table";
    }
    memcpy(table, entries, sizeof entries);
    size_t n = sizeof entries + offsetof(struct esp_checkpoint_tail, checksum);
    tail.checksum = esp_hash(esp_bytes(table, n));
    memcpy(end, &tail, sizeof tail);
    g_assert_cmpint(parse(whole, &err), ==, ESP_EDATA);
    if (strstr(err.text, reason) == NULL)
        g_test_fail_printf("%s", err.text);
    g_free((void *)whole.data);
    test_state_release(&state);
}

/* ---- of another run or build ----------------------------------------------------------------- */

static void test_expect(void)
{
    static const struct {
        const char *build, *run, *text;
    } rows[] = {
        {NULL, NULL, ""},
        {TEST_BUILD, TEST_RUN, ""},
        {NULL, "label.click_window = 1h\nmodel.seed = 8",
         "f: is of another run: it was written with \"model.seed = 7\", this one has "
         "\"model.seed = 8\""},
        {TEST_BUILD, "label.click_window = 1h",
         "f: is of another run: it was written with \"model.seed = 7\", this one has \"\""},
        {"build = espalier 1.2\nopenblas = Haswell", TEST_RUN,
         "f: is of another build: it was written with \"openblas = SkylakeX\", this one has "
         "\"openblas = Haswell\""},
        {TEST_BUILD "\nmore = 1", NULL,
         "f: is of another build: it was written with \"\", this one has \"more = 1\""},
    };
    struct test_state state;
    test_state_init(&state, 5, 1);
    struct esp_bytes bytes = test_checkpoint_bytes(&state, 3);
    struct esp_checkpoint *checkpoint = NULL;
    g_assert_cmpint(esp_checkpoint_parse(bytes, "f", &checkpoint, NULL), ==, ESP_OK);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct esp_error err = {0};
        enum esp_status status =
            esp_checkpoint_expect(checkpoint, rows[i].build, rows[i].run, &err);
        g_assert_cmpstr(err.text, ==, rows[i].text);
        g_assert_cmpint(status, ==, rows[i].text[0] == '\0' ? ESP_OK : ESP_EDATA);
    }
    esp_checkpoint_close(checkpoint);
    g_free((void *)bytes.data);
    test_state_release(&state);
}

static void test_sections(void)
{
    struct test_state state;
    struct esp_error err = {0};
    test_state_init(&state, 5, 1);
    struct esp_bytes bytes = test_checkpoint_bytes(&state, 3), section;
    struct esp_checkpoint *checkpoint = NULL;
    g_assert_cmpint(esp_checkpoint_parse(bytes, "f", &checkpoint, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_checkpoint_section(checkpoint, "item", &section, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==, "f: cannot be used: it has no section 'item'");
    g_assert_cmpint(esp_checkpoint_section(checkpoint, "items", &section, NULL), ==, ESP_OK);
    g_assert_cmpuint(section.size, ==, 28);
    struct esp_archive archive;
    err = (struct esp_error){0};
    esp_archive_read_from(&archive, section);
    uint64_t n = 0;
    esp_archive_u64(&archive, &n);
    g_assert_cmpint(esp_checkpoint_end(checkpoint, "items", &archive, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==, "f: section 'items' cannot be used: 20 bytes are left over");
    esp_checkpoint_close(checkpoint);
    g_free((void *)bytes.data);
    test_state_release(&state);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void expect_list(const struct esp_state_folder *folder, const char *wanted)
{
    uint64_t *numbers = NULL;
    size_t n = 0;
    g_assert_cmpint(esp_checkpoint_list(folder, &numbers, &n, NULL), ==, ESP_OK);
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT, i == 0 ? "" : " ", numbers[i]);
    g_assert_cmpstr(text->str, ==, wanted);
    g_string_free(text, TRUE);
    free(numbers);
}

static const char *const foreign[] = {
    "checkpoints/notes.txt",
    "checkpoints/12.checkpoint",             /* too few digits */
    "checkpoints/00000000012.checkpoint",    /* too many */
    "checkpoints/0000000012.checkpoint.old", /* another ending */
    "checkpoints/0000000012.checkpoints",
    "checkpoints/0000000012",
};

static void test_folder(void)
{
    char *path = NULL;
    struct esp_state_folder *folder = folder_open(&path);
    struct test_state state;
    test_state_init(&state, 5, 1);
    expect_list(folder, ""); /* there is no folder yet */
    g_assert_cmpint(esp_checkpoint_prune(folder, 2, NULL), ==, ESP_OK);
    static const uint64_t numbers[] = {7, 9, 8, 1234567890, 10};
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        test_checkpoint_put(folder, &state, numbers[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++)
        test_file_put(folder, foreign[i], "x");
    test_file_put(folder, "checkpoints/0000000011.checkpoint.part", "half");
    expect_list(folder, "1234567890 10 9 8 7");
    g_assert_cmpint(esp_checkpoint_set_aside(folder, 9, NULL), ==, ESP_OK);
    expect_list(folder, "1234567890 10 8 7");
    g_assert_true(test_file_is_there(folder, "checkpoints/0000000009.checkpoint.bad"));
    uint64_t *bad = NULL;
    size_t n_bad = 0;
    g_assert_cmpint(esp_checkpoint_list_bad(folder, &bad, &n_bad, NULL), ==, ESP_OK);
    g_assert_cmpuint(n_bad, ==, 1);
    g_assert_cmpuint(bad[0], ==, 9);
    free(bad);

    g_assert_cmpint(esp_checkpoint_prune(folder, 3, NULL), ==, ESP_OK);
    expect_list(folder, "1234567890 10 8");
    g_assert_false(test_file_is_there(folder, "checkpoints/0000000009.checkpoint.bad"));
    g_assert_false(test_file_is_there(folder, "checkpoints/0000000011.checkpoint.part"));
    g_assert_cmpint(esp_checkpoint_prune(folder, 3, NULL), ==, ESP_OK);
    expect_list(folder, "1234567890 10 8");
    g_assert_cmpint(esp_checkpoint_prune(folder, 0, NULL), ==, ESP_OK); /* never all */
    expect_list(folder, "1234567890");
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++)
        g_assert_true(test_file_is_there(folder, foreign[i]));
    test_state_release(&state);
    folder_close(folder, path);
}

static void expect_open_fails(const struct esp_state_folder *folder, uint64_t number,
                              enum esp_status wanted, const char *what)
{
    struct esp_error err = {0};
    struct esp_checkpoint *checkpoint = NULL;
    g_assert_cmpint(esp_checkpoint_open(folder, number, &checkpoint, &err), ==, wanted);
    g_assert_null(checkpoint);
    char *file = esp_checkpoint_path(folder, number, "");
    if (!g_str_has_prefix(err.text, file) || strstr(err.text, what) == NULL)
        g_test_fail_printf("'%s' is not in: %s", what, err.text);
    free(file);
}

static void test_open_fails(void)
{
    char *path = NULL;
    struct esp_state_folder *folder = folder_open(&path);
    struct test_state state;
    test_state_init(&state, 5, 1);
    test_checkpoint_put(folder, &state, 7);
    char *seven = esp_checkpoint_path(folder, 7, ""), *eight = esp_checkpoint_path(folder, 8, "");
    g_assert_cmpint(rename(seven, eight), ==, 0);
    expect_open_fails(folder, 7, ESP_EIO, "No such file");
    expect_open_fails(folder, 8, ESP_EDATA, "it is checkpoint 7 by its head");
    test_file_put(folder, "checkpoints/0000000009.checkpoint", NULL);
    expect_open_fails(folder, 9, ESP_EDATA, "it is empty");
    esp_state_folder_make(folder, "checkpoints/0000000010.checkpoint", NULL);
    expect_open_fails(folder, 10, ESP_EDATA, "it is no file");
    test_file_put(folder, "checkpoints/0000000011.checkpoint", "ESPCKPT\n");
    expect_open_fails(folder, 11, ESP_EDATA, "truncated");
    free(seven);
    free(eight);
    test_state_release(&state);
    folder_close(folder, path);
}

/* ---- what cannot be written ------------------------------------------------------------------ */

/* /dev/full takes nothing: both a write of the buffer and a large one fail. */
static void test_full(gconstpointer data)
{
    struct test_state state;
    struct esp_error err = {0};
    struct esp_checkpoint_head head = test_head(1);
    test_state_init(&state, GPOINTER_TO_SIZE(data), 1);
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct esp_checkpoint_writer *writer = esp_checkpoint_writer_new();
    enum esp_status status = esp_checkpoint_writer_begin(writer, fd, "f", &head, &err);
    if (status == ESP_OK)
        status = test_state_write(&state, writer, &err);
    if (status == ESP_OK)
        status = esp_checkpoint_writer_finish(writer, &err);
    g_assert_cmpint(status, ==, ESP_EIO);
    g_assert_cmpstr(err.text, ==, "f: cannot be written: No space left on device");
    /* and it stays so: what follows fails with the first reason */
    err = (struct esp_error){0};
    g_assert_cmpint(esp_checkpoint_writer_finish(writer, &err), ==, ESP_EIO);
    g_assert_cmpstr(err.text, ==, "f: cannot be written: No space left on device");
    esp_checkpoint_writer_free(writer);
    close(fd);
    test_state_release(&state);
}

static void test_misuse(gconstpointer data)
{
    struct esp_error err = {0};
    struct esp_checkpoint_head head = test_head(1);
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct esp_checkpoint_writer *writer = esp_checkpoint_writer_new();
    const char *what = GPOINTER_TO_SIZE(data) == 3 ? "number" : "section";
    char name[60], *long_text = g_strnfill(ESP_CHECKPOINT_TEXT_SIZE, 'x');
    memset(name, 'n', sizeof name);
    name[ESP_CHECKPOINT_NAME_SIZE] = '\0';
    if (GPOINTER_TO_SIZE(data) == 3)
        head.number = ESP_CHECKPOINT_MAX_NUMBER + 1;
    if (GPOINTER_TO_SIZE(data) == 4) {
        head.run = long_text;
        what = "a text of its head";
    }
    esp_checkpoint_writer_begin(writer, fd, "f", &head, NULL);
    switch (GPOINTER_TO_SIZE(data)) {
    case 0: /* a name twice */
        esp_checkpoint_section_begin(writer, "a");
        g_assert_cmpint(esp_checkpoint_section_end(writer, NULL), ==, ESP_OK);
        g_assert_false(esp_archive_is_ok(esp_checkpoint_section_begin(writer, "a")));
        break;
    case 1: /* a name too long */
        esp_checkpoint_section_begin(writer, name);
        break;
    case 2: /* one inside the other */
        esp_checkpoint_section_begin(writer, "a");
        esp_checkpoint_section_begin(writer, "b");
        break;
    case 5: /* too many */
        for (int i = 0; i < ESP_CHECKPOINT_MAX_SECTIONS; i++) {
            snprintf(name, sizeof name, "%d", i);
            esp_checkpoint_section_begin(writer, name);
            g_assert_cmpint(esp_checkpoint_section_end(writer, NULL), ==, ESP_OK);
        }
        esp_checkpoint_section_begin(writer, "more");
        break;
    case 6: /* one that does not end */
        esp_checkpoint_section_begin(writer, "a");
        g_assert_cmpint(esp_checkpoint_writer_finish(writer, &err), ==, ESP_EINVAL);
        break;
    default:
        break;
    }
    if (GPOINTER_TO_SIZE(data) != 6)
        g_assert_cmpint(esp_checkpoint_section_end(writer, &err), ==, ESP_EINVAL);
    if (strstr(err.text, what) == NULL)
        g_test_fail_printf("'%s' is not in: %s", what, err.text);
    esp_checkpoint_writer_free(writer);
    g_free(long_text);
    close(fd);
}

/* What a description notes is the section's failure and the file's. */
static void test_noted(void)
{
    struct esp_error err = {0};
    struct esp_checkpoint_head head = test_head(1);
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct esp_checkpoint_writer *writer = esp_checkpoint_writer_new();
    esp_checkpoint_writer_begin(writer, fd, "f", &head, NULL);
    struct esp_archive *archive = esp_checkpoint_section_begin(writer, "a");
    esp_archive_fail(archive, ESP_EBUG, "it is %s", "odd");
    g_assert_cmpint(esp_checkpoint_section_end(writer, &err), ==, ESP_EBUG);
    g_assert_cmpstr(err.text, ==, "it is odd");
    g_assert_cmpint(esp_checkpoint_writer_finish(writer, NULL), ==, ESP_EBUG);
    esp_checkpoint_writer_free(writer);
    close(fd);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const size_t sizes[] = {0, 5, 65536, 65533, 65534, 3 * 65536 + 1, 6000000};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        char *name = g_strdup_printf("/%zu items come back as they went out", sizes[i]);
        g_test_add_data_func(name, GSIZE_TO_POINTER(sizes[i]), test_round_trip);
        g_free(name);
    }
    g_test_add_func("/a checkpoint without sections is one", test_empty);
    g_test_add_func("/every truncation is refused as one", test_truncated);
    g_test_add_func("/every flipped bit is refused, and where it is is told", test_flipped);
    for (size_t i = 0; i < 7; i++) {
        char *name = g_strdup_printf("/forged table %zu is refused", i);
        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_forged);
        g_free(name);
    }
    g_test_add_func("/another run or build is named by what differs", test_expect);
    g_test_add_func("/a section that is missing or too long is named", test_sections);
    g_test_add_func("/the newest are kept, and nothing of others is touched", test_folder);
    g_test_add_func("/what cannot be opened is named with the reason", test_open_fails);
    g_test_add_data_func("/a full disk is told at the end", GSIZE_TO_POINTER(5), test_full);
    g_test_add_data_func("/a full disk is told in the middle", GSIZE_TO_POINTER(200000), test_full);
    for (size_t i = 0; i < 7; i++) {
        char *name = g_strdup_printf("/misuse %zu of the writer is refused", i);
        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_misuse);
        g_free(name);
    }
    g_test_add_func("/what a description notes is the checkpoint's failure", test_noted);
    return g_test_run();
}
