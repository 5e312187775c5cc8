/*
 * own_records.h - records that we write and read again: pieces and manifests of snapshots.
 *
 * On Kafka a value is single-object framed: 0xC3 0x01, the schema's fingerprint, the record.
 * Whoever reads one that it does not know passes over it: another version wrote it.
 */
#ifndef ESP_EVENT_OWN_RECORDS_H
#define ESP_EVENT_OWN_RECORDS_H

#include "event/cursor.h"
#include "event/records.h"

/* ---- framing --------------------------------------------------------------------------------- */

/* Fingerprints of our own schemas, computed once; immutable then. */
struct esp_own_fingerprints {
    uint64_t of[ESP_N_OWN_SCHEMAS];
    uint64_t before[ESP_N_OWN_SCHEMAS]; /* of the version before, still read; 0: none */
};

/* Errors: ESP_ESCHEMA, ESP_ENOMEM. */
enum esp_status esp_own_fingerprints_init(struct esp_own_fingerprints *own, struct esp_error *err);

/*
 * Looks behind the framing of a value that should hold a record of one schema.
 *
 * out  the record, borrowed from value
 * Errors: ESP_EDECODE (no single-object framing), ESP_ESCHEMA (another schema's fingerprint: an
 *         unknown version, or another kind of record).
 */
enum esp_status esp_own_unframe(const struct esp_own_fingerprints *own, enum esp_own_schema schema,
                                struct esp_bytes value, struct esp_bytes *out,
                                struct esp_error *err);

/* ---- identities of snapshots ----------------------------------------------------------------- */

enum { ESP_RUN_TEXT_SIZE = 17, ESP_MODEL_NAME_SIZE = 64 };

/* A snapshot is one of these for ever: no two files have the same. */
struct esp_snapshot_id {
    char run[ESP_RUN_TEXT_SIZE];     /* 16 hex digits, lower case */
    char model[ESP_MODEL_NAME_SIZE]; /* 1 to 63 bytes, see esp_snapshot_id_check() */
    int64_t number;                  /* boundary / every; not negative */
};

/*
 * A model's name becomes part of keys and file names: printable, no '/', not beginning with '.'.
 * Errors: ESP_EINVAL.
 */
enum esp_status esp_snapshot_id_check(const struct esp_snapshot_id *id, struct esp_error *err);

/* Order by run, model, number: <0, 0, >0. */
int esp_snapshot_id_compare(const struct esp_snapshot_id *a, const struct esp_snapshot_id *b);
static inline bool esp_snapshot_id_equal(const struct esp_snapshot_id *a,
                                         const struct esp_snapshot_id *b)
{
    return esp_snapshot_id_compare(a, b) == 0;
}

/* Long enough for any key. */
enum { ESP_SNAPSHOT_KEY_SIZE = 128, ESP_KEY_NO_INDEX = -1 };

/*
 * The key of a manifest, RUN/MODEL/NUMBER, or of a chunk, RUN/MODEL/NUMBER/INDEX. Returns its
 * length; key is NUL-terminated, too.
 *
 * index  ESP_KEY_NO_INDEX for a manifest
 */
size_t esp_snapshot_key(const struct esp_snapshot_id *id, int32_t index,
                        char key[ESP_SNAPSHOT_KEY_SIZE]);

/* Takes a key apart; false where it is not as esp_snapshot_key() writes it, byte for byte. *index
 * is ESP_KEY_NO_INDEX for a manifest's. */
bool esp_snapshot_key_parse(struct esp_bytes key, struct esp_snapshot_id *id, int32_t *index);

/* ---- chunks ---------------------------------------------------------------------------------- */

enum { ESP_CHUNK_MAX_BYTES = 512 << 10, ESP_CHUNK_MAX_COUNT = 1 << 20 };

/* schemas/snapshot_chunk.avsc */
struct esp_snapshot_chunk_record {
    struct esp_snapshot_id id;
    int32_t index, count;  /* 0 <= index < count <= ESP_CHUNK_MAX_COUNT */
    int64_t offset;        /* in the file; not negative */
    uint64_t checksum;     /* esp_hash() of data */
    struct esp_bytes data; /* borrowed; 1 to ESP_CHUNK_MAX_BYTES bytes */
};

/* Appends one bare record. On failure the buffer is as it was. Errors: ESP_ENOMEM, ESP_ELIMIT. */
enum esp_status esp_encode_snapshot_chunk(struct esp_buf *buf,
                                          const struct esp_snapshot_chunk_record *record,
                                          struct esp_error *err);

/*
 * Reads one bare record; what is accepted has the ranges above. Data is not compared with its
 * checksum. *out is undefined on failure.
 * Errors: ESP_EDECODE (malformed: names the field), ESP_ESCHEMA (an unknown version).
 */
enum esp_status esp_decode_snapshot_chunk(struct esp_bytes bytes,
                                          struct esp_snapshot_chunk_record *out,
                                          struct esp_error *err);

/* ---- manifests ------------------------------------------------------------------------------- */

/* Where an input stood when a snapshot was taken. */
struct esp_input_offset {
    struct esp_bytes topic; /* borrowed */
    int32_t partition;
    int64_t offset;
};

/* Where an input is read again from by a run that begins with a snapshot: see join/joiner.h. */
struct esp_rewind_offset {
    struct esp_bytes topic; /* borrowed */
    int32_t partition;
    int64_t offset;     /* of the first record to read, or ESP_OFFSET_EARLIEST */
    int64_t largest_us; /* event time accepted before it; ESP_TIME_NONE: there was none */
};

enum { ESP_MANIFEST_JSON_MAX_BYTES = 16 << 20 };

/* schemas/snapshot_manifest.avsc. Texts are borrowed. */
struct esp_snapshot_manifest_record {
    struct esp_snapshot_id id;
    int64_t boundary_us, created_us;
    uint64_t size, checksum;         /* of the file; size 1 to ESP_CHUNK_MAX_COUNT chunks */
    int32_t chunk_partition;         /* not negative */
    int64_t *chunk_offsets;          /* (n_chunks) of each chunk, in the order of the file */
    uint64_t *chunk_checksums;       /* (n_chunks) */
    size_t n_chunks;                 /* at least 1 */
    struct esp_input_offset *inputs; /* (n_inputs) */
    size_t n_inputs;
    struct esp_bytes manifest;         /* the JSON text that is in the file, too */
    struct esp_rewind_offset *rewinds; /* (n_rewinds) */
    size_t n_rewinds;                  /* 0: not known */
};

/* As esp_encode_snapshot_chunk(). */
enum esp_status esp_encode_snapshot_manifest(struct esp_buf *buf,
                                             const struct esp_snapshot_manifest_record *record,
                                             struct esp_error *err);

/*
 * Reads one bare record, of this version or the one before. The arrays of *out are owned by it
 * (never more than 24 times the record's bytes), its texts borrowed from bytes. On failure *out is
 * empty. Errors: as esp_decode_snapshot_chunk(), ESP_ENOMEM.
 */
enum esp_status esp_decode_snapshot_manifest(struct esp_bytes bytes,
                                             struct esp_snapshot_manifest_record *out,
                                             struct esp_error *err);

/* Frees the arrays that a decoded record owns. { 0 } is fine. */
void esp_snapshot_manifest_record_release(struct esp_snapshot_manifest_record *record);

#endif
