/*
 * log.h - partitioned, ordered logs of raw records, behind one small interface.
 *
 * Two implementations: `kafka` (librdkafka) and `files` (a folder a topic, in it
 * partition=N/NAME.avro object container files). A log is read partition by partition, by pull:
 * whoever reads decides which partition is next, and one that is not read is paused. Offsets are
 * kept by the caller.
 *
 * Nothing here looks inside a record. `files` is lent esp_log_framer, for the blocks of a
 * container file do not delimit their records.
 */
#ifndef ESP_LOG_LOG_H
#define ESP_LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/bytes.h"
#include "core/status.h"
#include "core/timespan.h"

/*
 * What a record is. Bytes are borrowed from the reader until its next call.
 *
 * value.data == NULL is a tombstone (Kafka only).
 */
struct esp_record {
    struct esp_bytes key;   /* Kafka's key; empty in files */
    struct esp_bytes value; /* as it stands in the log, framing included */
    int64_t offset;         /* in its partition, never falls */
    int64_t log_time_us;    /* the log's own timestamp, ESP_TIME_NONE where it has none (files) */
    const void *schema;     /* files: what esp_log_framer.open gave for the container; else NULL */
};

/* Lent to `files`: understands the schema of a container as far as delimiting its records. */
struct esp_log_framer {
    void *context;
    /* Takes a container's schema (JSON text); *out_schema stays valid as long as the framer. */
    enum esp_status (*open)(void *context, const char *json, size_t size, const void **out_schema,
                            struct esp_error *err);
    /* Length of the record at the head of bytes, or -1: the bytes hold no whole valid record. */
    ptrdiff_t (*skip)(const void *schema, struct esp_bytes bytes);
};

/* Above this a number of partitions is taken for a mistake. */
enum { ESP_LOG_MAX_PARTITIONS = 100000 };

struct esp_log;        /* a cluster, or a root folder */
struct esp_log_reader; /* one partition of one topic */
struct esp_log_writer; /* one topic */

/* Something that went by without failing a call: a truncated file, a broker that is away. */
struct esp_log_event {
    enum esp_level_hint { ESP_LOG_NOTE, ESP_LOG_PROBLEM } level;
    const char *text; /* one line, borrowed for the call */
};
typedef void esp_log_report(void *context, const struct esp_log_event *event);

/* key/value pairs for librdkafka, as they stand in [kafka] */
struct esp_log_property {
    const char *name, *value;
    const char *where; /* "FILE:LINE", for errors */
    bool is_secret;    /* shown nowhere, as what esp_log_is_secret() says so of anyway */
};

/* True for a property whose value must not be shown: a password, a key; also one that is misspelt.
 */
bool esp_log_is_secret(const char *name);

/*
 * Connects. `report` may be called from any thread (a broker that is away: at most one line a
 * minute and broker). Opening Kafka does not wait for the broker.
 * Errors: ESP_ECONFIG (a property that librdkafka refuses, named with its place), ESP_ENOMEM.
 */
enum esp_status esp_log_open_kafka(const struct esp_log_property *properties, size_t n_properties,
                                   esp_log_report *report, void *report_context,
                                   struct esp_log **out, struct esp_error *err);

/*
 * Opens a root folder. Topics are its folders.
 *
 * codec  of files written: "null", "deflate" or "snappy"
 * Errors: ESP_ECONFIG (not a folder, unknown codec), ESP_ENOMEM.
 */
enum esp_status esp_log_open_files(const char *root, const char *codec, esp_log_report *report,
                                   void *report_context, struct esp_log **out,
                                   struct esp_error *err);

/*
 * How long waits for a broker may still take, all of them together: INT64_MAX as long as nobody
 * wants an end, 0: no longer.
 */
typedef int64_t esp_log_time_left(void *context);

/*
 * Lets waits for a broker end soon once an end is wanted: questions at once, deliveries when the
 * time that is left has passed. Without it they take their full time. For files it does nothing.
 * Before readers and writers are made; called from the threads that use them.
 */
void esp_log_set_stop(struct esp_log *log, esp_log_time_left *time_left, void *context);

/* True once an end is wanted. */
bool esp_log_stops(const struct esp_log *log);

/* Readers and writers must be freed before. NULL is fine. */
void esp_log_free(struct esp_log *log);

/* "kafka" or "files"; for messages. */
const char *esp_log_kind(const struct esp_log *log);

/*
 * Number of partitions of a topic: 0 if it does not exist. files: the highest N of partition=N
 * plus one. Waits up to timeout_us for a broker.
 * Errors: ESP_EBROKER (try again), ESP_ECONFIG (the broker refuses to tell), ESP_EIO.
 */
enum esp_status esp_log_partitions(struct esp_log *log, const char *topic, int64_t timeout_us,
                                   size_t *out_n, struct esp_error *err);

/*
 * Creates a topic if it is missing. files: makes its folders.
 *
 * config  NULL-terminated pairs of topic properties ("cleanup.policy", "compact"), or NULL
 * Errors: ESP_EBROKER, ESP_EIO, ESP_ECONFIG (refused by the broker, with its reason).
 */
enum esp_status esp_log_create_topic(struct esp_log *log, const char *topic, size_t n_partitions,
                                     const char *const *config, struct esp_error *err);

/* One property of a topic: "cleanup.policy", "segment.bytes". */
struct esp_topic_property {
    const char *name;
    char value[128]; /* "": the topic has no such property */
};

/*
 * Asks for properties of a topic that exists. files: a folder has none, so every value is "".
 * On failure no value has changed. Errors: ESP_EBROKER, ESP_ECONFIG (the broker refuses to tell).
 */
enum esp_status esp_log_topic_properties(struct esp_log *log, const char *topic,
                                         struct esp_topic_property *properties, size_t n,
                                         struct esp_error *err);

/*
 * What the log has of a partition: records with offsets from *out_first to below *out_end. files:
 * the structure of the last file is walked. Waits for a broker as esp_log_reader_new() does.
 * Errors: ESP_EBROKER, ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_log_bounds(struct esp_log *log, const char *topic, size_t partition,
                               int64_t *out_first, int64_t *out_end, struct esp_error *err);

/* Where to begin. ESP_OFFSET_EARLIEST is the first record that the log still has. */
#define ESP_OFFSET_EARLIEST INT64_C(-2)

/*
 * Where a reader goes on. The offset alone would do where files bear names that tell it; but where
 * they do not, it is counted from the first file on, and a file that comes to stand before another
 * one would move it. So in files a place is the beginning of a block, too, which is found at once.
 */
struct esp_log_place {
    int64_t offset; /* of the next record to read, or ESP_OFFSET_EARLIEST */
    /* files only: */
    char file[256];    /* the current one, without its folder; "": none was opened yet */
    uint32_t n_before; /* files that stood before it */
    uint64_t at;       /* where the block of that record, or the next one, begins in it */
    int64_t first;     /* the offset of that block's first record */
    /* kafka only: a fingerprint of the last record before it; 0: none is known. A topic that was
     * made anew and has grown as far has another one there. */
    uint64_t last;
};

/* A place that is an offset and no more. */
static inline struct esp_log_place esp_log_place_at(int64_t offset)
{
    return (struct esp_log_place){.offset = offset};
}

void esp_log_place_archive(struct esp_archive *archive, struct esp_log_place *place);

/*
 * Opens one partition at an offset. A partition is opened once at a time.
 *
 * framer  needed by files, ignored by kafka; borrowed until the reader is freed
 * follow  false: the reader ends at what the log's end was when it was opened;
 *         true: it waits for more
 * Errors: ESP_EBROKER, ESP_EIO, ESP_EDATA (the offset is no longer there: names the gap, or says
 *         that the log is another one; esp_log_bounds() tells where to go on all the same).
 */
enum esp_status esp_log_reader_new(struct esp_log *log, const char *topic, size_t partition,
                                   int64_t offset, bool follow, const struct esp_log_framer *framer,
                                   struct esp_log_reader **out, struct esp_error *err);

/* The same at a place. Files that came to stand before it are reported, and not read.
 * Errors: the same, ESP_EDATA (files: the file is gone, or is another one). kafka: that the record
 * before the place is another one is an error of the first read. */
enum esp_status esp_log_reader_new_at(struct esp_log *log, const char *topic, size_t partition,
                                      const struct esp_log_place *place, bool follow,
                                      const struct esp_log_framer *framer,
                                      struct esp_log_reader **out, struct esp_error *err);

/* Where the next read goes on; from there another reader gives the same records. */
void esp_log_reader_place(const struct esp_log_reader *reader, struct esp_log_place *out);

void esp_log_reader_free(struct esp_log_reader *reader);

enum esp_log_position {
    ESP_LOG_MORE,   /* more may follow at once */
    ESP_LOG_AT_END, /* everything up to the end that the log confirms was read; with follow, more
                       may come */
    ESP_LOG_ENDED,  /* a bounded reader gave its last record: call no more */
};

/*
 * Reads up to `capacity` records, in order; waits at most timeout_us for the first (0: not at all).
 *
 * records, *out_n   *out_n may be 0 whatever the position
 * *out_position     the state after these records
 * A damaged or foreign file is reported, counted (esp_log_reader_stats) and passed over.
 * Errors: ESP_EIO, ESP_EDATA (the offset fell out of the broker's retention: names the gap; the
 *         topic was made anew),
 *         ESP_EBROKER (only what cannot be retried, e.g. the topic was deleted; a broker that is
 *         away is reported and retried inside).
 */
enum esp_status esp_log_read(struct esp_log_reader *reader, struct esp_record *records,
                             size_t capacity, int64_t timeout_us, size_t *out_n,
                             enum esp_log_position *out_position, struct esp_error *err);

struct esp_log_reader_stats {
    uint64_t records, bytes;
    uint64_t damaged_files; /* truncated, foreign, failed checks; each was reported by name */
    uint64_t skipped_bytes; /* bytes of those files that were not read */
    int64_t end_offset;     /* last known end of the partition; -1: unknown */
    int64_t next_offset;    /* where the next read goes on */
};
void esp_log_reader_stats(const struct esp_log_reader *reader, struct esp_log_reader_stats *out);

/* Kafka: commits the reader's position to group.id, for lag monitors only, without waiting.
 * files: nothing. */
void esp_log_commit(struct esp_log_reader *reader);

struct esp_log_writer_config {
    const char *topic;
    size_t n_partitions;     /* files: folders to spread over; kafka: ignored, the topic's own */
    const char *schema_json; /* files: the containers' schema; kafka: ignored */
    uint64_t roll_bytes;     /* files: begin a new file past this size; 0: 256 MiB */
};

/*
 * Opens a topic to append to. files: begins a new container file a partition on first append, named
 * TOPIC+PARTITION+FIRST_OFFSET.avro as Kafka Connect's sinks do.
 * Errors: ESP_EIO, ESP_EBROKER, ESP_ENOMEM.
 */
enum esp_status esp_log_writer_new(struct esp_log *log, const struct esp_log_writer_config *config,
                                   struct esp_log_writer **out, struct esp_error *err);

/* Flushes nothing: what was not flushed may be lost. NULL is fine. */
void esp_log_writer_free(struct esp_log_writer *writer);

enum { ESP_PARTITION_BY_KEY = -1 };

/*
 * Appends one record; copies what it needs.
 *
 * partition   or ESP_PARTITION_BY_KEY: as Java's producer chooses (murmur2_random: murmur2 of the
 *             key, & 0x7fffffff, mod the number of partitions; an empty key round robin)
 * value       kafka: framed already, data NULL for a tombstone; files: the bare Avro record
 * log_time_us kafka: the record's timestamp, ESP_TIME_NONE: now; files: not kept
 * Blocks while the output queue is full: that slows the input, and nothing is dropped. Only where
 * esp_log_set_stop() wants an end and no room comes within a second, or the time that is left, the
 * record is given up, and so are those after it that find none: they are counted, and the next
 * flush fails with their number.
 * Errors: ESP_EIO, ESP_EBROKER (a delivery failed for good, of this record or of an earlier one),
 *         ESP_EDATA (likewise, for its size: a restart mends nothing), ESP_EINVAL (a tombstone
 *         cannot be in a file; no such partition).
 */
enum esp_status esp_log_append(struct esp_log_writer *writer, int32_t partition,
                               struct esp_bytes key, struct esp_bytes value, int64_t log_time_us,
                               struct esp_error *err);

/*
 * As esp_log_append(), and tells where the record went.
 *
 * offset  set to -1 now, and to the record's offset in its partition before a flush or wait that
 *         covers it succeeds; must stay valid until then, or until the writer is freed
 */
enum esp_status esp_log_append_tracked(struct esp_log_writer *writer, int32_t partition,
                                       struct esp_bytes key, struct esp_bytes value,
                                       int64_t log_time_us, int64_t *offset, struct esp_error *err);

/*
 * As esp_log_flush(), but time that has run out is no failure: *out_done says whether everything
 * appended is acknowledged. For callers that look at something else meanwhile.
 */
enum esp_status esp_log_wait(struct esp_log_writer *writer, int64_t timeout_us, bool *out_done,
                             struct esp_error *err);

/* Returns when everything appended is acknowledged (kafka) or written and fsynced as whole blocks
 * (files). Errors: ESP_EIO, ESP_EBROKER (also when timeout_us passed, or what is left of it once an
 * end is wanted; names how many records were not delivered), ESP_EDATA (as of append). */
enum esp_status esp_log_flush(struct esp_log_writer *writer, int64_t timeout_us,
                              struct esp_error *err);

/* ---- going back to an earlier moment --------------------------------------------------------- */

/*
 * A fence divides what was appended before from what comes after. With the appending thread, or
 * while it stands; waits for nothing.
 *
 * *out_fence  its number; they rise
 * Errors: those of append, if one has failed before; ESP_ENOMEM.
 */
enum esp_status esp_log_fence(struct esp_log_writer *writer, uint64_t *out_fence,
                              struct esp_error *err);

/*
 * Whether all that was appended before a fence is acknowledged (kafka), or on the disk as far as it
 * fills whole blocks (files, which are fsynced now; of the last fence, whichever is asked for: that
 * covers those before it). kafka: from any thread at any time. files: from one thread, also while
 * another appends, but not while one calls esp_log_fence().
 * Errors: ESP_EIO, ESP_EBROKER, ESP_EDATA (a record was given up, as of append).
 */
enum esp_status esp_log_settled(struct esp_log_writer *writer, uint64_t fence, bool *out_done,
                                struct esp_error *err);

/*
 * Where a writer stands in one partition of a files log, as far as it is in files: the records of a
 * block that is not full yet are not.
 */
struct esp_log_mark {
    int64_t file;    /* the first offset in the name of the file that is appended to; -1: none */
    uint64_t length; /* its bytes: a header and whole blocks */
    int64_t end;     /* the offset behind its last record, or behind those of all files */
};

/* False if nothing was appended to the partition, and always of kafka: then *mark is unchanged. */
bool esp_log_writer_mark(const struct esp_log_writer *writer, size_t partition,
                         struct esp_log_mark *mark);

/*
 * Takes away what a writer has added to a partition since the mark: the file is cut to its length,
 * later ones are removed, as far as they bear the names that a writer gives. So a topic that is
 * written to a folder has one writer. Before the topic is opened to append. A file that is missing
 * is reported, and passed over. Who follows the folder meanwhile may have read records that are
 * taken away: a run that replays its input appends the same ones again, at the same offsets.
 * kafka: nothing, for there a replay overwrites by key.
 * Errors: ESP_EDATA (the file is not the one that was marked), ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_log_cut_back(struct esp_log *log, const char *topic, size_t partition,
                                 const struct esp_log_mark *mark, struct esp_error *err);

/*
 * Where a writer stands in every partition, with the records of blocks that are not full: after
 * esp_log_cut_back() to its marks, a writer that was filled goes on in the same files, to the same
 * bytes. kafka: nothing. Reading: into a new writer with the same configuration; touches no file.
 */
void esp_log_writer_archive(struct esp_archive *archive, struct esp_log_writer *writer);

/* The partition that Java's producer takes for a key: murmur2_random. key must not be empty. */
uint32_t esp_log_partition_of(struct esp_bytes key, uint32_t n_partitions);

#endif
