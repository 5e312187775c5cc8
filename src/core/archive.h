/*
 * archive.h - one description of a state for both ways: out into a checkpoint, and back.
 *
 *     void esp_thing_archive(struct esp_archive *archive, struct esp_thing *thing)
 *     {
 *         esp_archive_mark(archive, "thing", 1);
 *         esp_archive_i64(archive, &thing->newest_us);
 *         esp_archive_array(archive, (void **)&thing->items, &thing->n, sizeof *thing->items);
 *         ...
 *     }
 *
 * writes thing, or fills it, as the archive goes; so what is written is what is read. Where the two
 * ways differ the description asks esp_archive_reads(). The first failure stays: later calls do
 * nothing (those that read leave zeros), and esp_archive_end() returns it. So a description needs
 * no checks of its own but those of what it read: esp_archive_check(), before a value is used as an
 * index or a size.
 *
 * Reading fills an object as its _new() or _init() made it with the same configuration, and trusts
 * nothing: no allocation is larger than the bytes that are there. After a failure the object may
 * only be freed.
 *
 * Numbers stand as they are in memory: an archive is for one machine's byte order and one build's
 * formats, which the file around it checks.
 */
#ifndef ESP_CORE_ARCHIVE_H
#define ESP_CORE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"
#include "core/status.h"

/* Takes the next bytes of an archive that is written. */
typedef enum esp_status esp_archive_sink(void *context, const void *bytes, size_t n,
                                         struct esp_error *err);

enum { ESP_ARCHIVE_BUFFER = 4096 };

/* Embedded; callers use the calls below, never a field. */
struct esp_archive {
    esp_archive_sink *sink; /* NULL: reading */
    void *context;
    struct esp_bytes left;  /* reading: what was not read yet, borrowed */
    struct esp_error error; /* the first failure */
    size_t n_buffered;
    uint8_t buffer[ESP_ARCHIVE_BUFFER]; /* writing: what the sink has not got yet */
};

/* Writes into a sink; allocates nothing, ever. */
void esp_archive_write_to(struct esp_archive *archive, esp_archive_sink *sink, void *context);

/* Reads from bytes, borrowed until the end. */
void esp_archive_read_from(struct esp_archive *archive, struct esp_bytes bytes);

static inline bool esp_archive_reads(const struct esp_archive *archive)
{
    return archive->sink == NULL;
}

/* False after the first failure; for loops that would run long. */
static inline bool esp_archive_is_ok(const struct esp_archive *archive)
{
    return archive->error.status == ESP_OK;
}

/* The first failure so far, whose text a caller may read. */
static inline const struct esp_error *esp_archive_error(const struct esp_archive *archive)
{
    return &archive->error;
}

/*
 * Ends either way: gives the sink what is left, or makes sure that everything was read.
 * Errors: the first failure's; reading: ESP_EDATA (it is truncated, has bytes left over, or a check
 * failed), ESP_ENOMEM; writing: the sink's.
 */
enum esp_status esp_archive_end(struct esp_archive *archive, struct esp_error *err);

/* Notes a failure of the caller's own. */
void esp_archive_fail(struct esp_archive *archive, enum esp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reading: unless the condition holds, the archive is damaged: ESP_EDATA, "WHAT is not possible".
 * Returns whether it holds and nothing failed before. Writing: the same, an ESP_EBUG. */
bool esp_archive_check(struct esp_archive *archive, bool condition, const char *what);

/* What follows is this object in this version of its description: anything else is ESP_EDATA. */
void esp_archive_mark(struct esp_archive *archive, const char *name, uint32_t version);

/* n bytes as they stand. */
void esp_archive_bytes(struct esp_archive *archive, void *bytes, size_t n);

void esp_archive_u8(struct esp_archive *archive, uint8_t *value);
void esp_archive_u16(struct esp_archive *archive, uint16_t *value);
void esp_archive_u32(struct esp_archive *archive, uint32_t *value);
void esp_archive_u64(struct esp_archive *archive, uint64_t *value);
void esp_archive_i64(struct esp_archive *archive, int64_t *value);
void esp_archive_f64(struct esp_archive *archive, double *value);
void esp_archive_f32(struct esp_archive *archive, float *value);
void esp_archive_bool(struct esp_archive *archive, bool *value); /* one byte, 0 or 1 */
void esp_archive_size(struct esp_archive *archive, size_t *value);

/* A number that the configuration has fixed already: written, and when read it must be the same,
 * else ESP_EDATA "WHAT is A, and was B when the state was saved". */
void esp_archive_same(struct esp_archive *archive, uint64_t value, const char *what);

/*
 * How many items follow, each of at least item_bytes (>= 1) bytes in the archive: reading, a number
 * that the bytes left cannot hold is ESP_EDATA, and *n is 0.
 */
void esp_archive_count(struct esp_archive *archive, size_t *n, size_t item_bytes);

/*
 * An array of plain items and their number, n first. Reading: *items becomes a new allocation of n
 * items (NULL if n is 0), owned by the caller; what it pointed to before is not freed.
 * Only for items without padding, so that no byte written is indeterminate.
 */
void esp_archive_array(struct esp_archive *archive, void **items, size_t *n, size_t item_bytes);

/* A text or NULL. Reading: *text becomes a new allocation, NUL-terminated; a text has no NUL
 * inside. */
void esp_archive_text(struct esp_archive *archive, char **text);

#endif
