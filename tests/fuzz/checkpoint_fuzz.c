/*
 * checkpoint_fuzz.c - any bytes as a checkpoint: refused with a line, or read without a step
 * outside.
 *
 * A fuzzer does not guess checksums, so each input is tried a second time with all of them put
 * right, as far as its own lengths lead to them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/archive.h"
#include "core/check.h"
#include "core/hash.h"
#include "state/checkpoint_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads a section as descriptions do; what is there does not matter, only that it ends. */
static void read_section(const struct esp_checkpoint *checkpoint, const char *name)
{
    struct esp_bytes bytes;
    struct esp_archive archive;
    struct esp_error err = {0};
    ESP_CHECK(1, esp_checkpoint_section(checkpoint, name, &bytes, NULL) == ESP_OK);
    esp_archive_read_from(&archive, bytes);
    esp_archive_mark(&archive, name, 1);
    void *items = NULL;
    char *text = NULL;
    size_t n = 0;
    esp_archive_array(&archive, &items, &n, 4);
    esp_archive_text(&archive, &text);
    enum esp_status status = esp_checkpoint_end(checkpoint, name, &archive, &err);
    ESP_CHECK(2, (status == ESP_OK) == (err.text[0] == '\0'));
    free(items);
    free(text);
}

static void try(const uint8_t *data, size_t size)
{
    struct esp_error err = {0};
    struct esp_checkpoint *checkpoint = NULL;
    enum esp_status status = esp_checkpoint_parse(esp_bytes(data, size), "f", &checkpoint, &err);
    ESP_CHECK(3, (status == ESP_OK) == (checkpoint != NULL));
    if (status != ESP_OK) {
        ESP_CHECK(4, status == ESP_EDATA && strncmp(err.text, "f: cannot be used: ", 19) == 0);
        return;
    }
    const struct esp_checkpoint_head *head = esp_checkpoint_head(checkpoint);
    ESP_CHECK(5, esp_checkpoint_expect(checkpoint, head->build, head->run, NULL) == ESP_OK);
    esp_checkpoint_expect(checkpoint, head->run, head->build, &err);
    const char *name;
    for (size_t i = 0; (name = esp_checkpoint_section_name(checkpoint, i)) != NULL; i++)
        read_section(checkpoint, name);
    esp_checkpoint_close(checkpoint);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

static void mend_head(uint8_t *data, size_t size)
{
    struct esp_checkpoint_start start;
    memcpy(&start, data, sizeof start);
    uint64_t n = sizeof start + (uint64_t)start.build_bytes + start.run_bytes;
    if (n + 8 <= size)
        put_u64(data + n, esp_hash(esp_bytes(data, n)));
}

static void mend_sections(uint8_t *data, size_t size, uint8_t *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct esp_checkpoint_entry entry;
        memcpy(&entry, table + i * sizeof entry, sizeof entry);
        if (entry.offset <= size && entry.bytes <= size - entry.offset)
            entry.checksum = esp_hash(esp_bytes(data + entry.offset, entry.bytes));
        memcpy(table + i * sizeof entry, &entry, sizeof entry);
    }
}

static void mend(uint8_t *data, size_t size)
{
    struct esp_checkpoint_tail tail;
    if (size < sizeof(struct esp_checkpoint_start) + sizeof tail)
        return;
    uint8_t *end = data + size - sizeof tail;
    mend_head(data, size);
    memcpy(&tail, end, sizeof tail);
    size_t room = (size_t)(end - data);
    if (tail.n_sections <= room / sizeof(struct esp_checkpoint_entry)) {
        size_t bytes = (size_t)tail.n_sections * sizeof(struct esp_checkpoint_entry);
        mend_sections(data, size, end - bytes, (size_t)tail.n_sections);
        tail.checksum = esp_hash(
            esp_bytes(end - bytes, bytes + offsetof(struct esp_checkpoint_tail, checksum)));
        memcpy(end, &tail, sizeof tail);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try(data, size);
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    mend(copy, size);
    try(copy, size);
    free(copy);
    return 0;
}
