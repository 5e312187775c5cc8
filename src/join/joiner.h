/*
 * joiner.h - joins impressions, clicks and installs into labels, by event time alone.
 *
 * What it computes is defined in docs/design.md, section 2: sort the events that are not late by
 * (time, impression < click < install, id, bytes) and join in that order. How it gets there,
 * whatever order the events come in, is said in joiner.c.
 */
#ifndef ESP_JOIN_JOINER_H
#define ESP_JOIN_JOINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/bytes.h"
#include "core/status.h"
#include "event/event.h"
#include "join/segment_store.h"

/* Which label leaves. The order is part of the label order (maturity, id, stage). */
enum esp_stage {
    ESP_STAGE_CLICK,   /* y, at t_i + W_c; every impression */
    ESP_STAGE_INSTALL, /* z of a clicked impression, at max(t_i + W_c, t_c + W_z) */
    ESP_STAGE_WHOLE,   /* y and z at t_i + W_c + W_z; where a model wants it */
};

/* Bytes are borrowed from the joiner until its next push, advance or free. */
struct esp_label {
    int64_t maturity_us;   /* when it was due: the order's first key */
    int64_t impression_us; /* t_i */
    int64_t click_us;      /* t_c, ESP_TIME_NONE if y = 0 or not yet decided */
    int64_t install_us;    /* t_z, ESP_TIME_NONE if z = 0 or not yet decided */
    uint64_t ticket;       /* the impression's number in the order of click-stage labels: ties the
                              labels of one impression together */
    uint64_t id_hash;
    struct esp_bytes id;
    struct esp_bytes payload; /* the impression's Avro record */
    uint16_t writer;          /* its writer schema's index in the impressions' decoder */
    uint8_t stage;            /* enum esp_stage */
    bool y;                   /* a click counts */
    bool z;                   /* an install counts; false at ESP_STAGE_CLICK */
};

/* What became of an event, once that is known. */
enum esp_verdict {
    ESP_VERDICT_LATE, /* below its partition's watermark when read */
    ESP_VERDICT_DEAD, /* undecodable, or a wrong clock: see reject */
};

/* An event that will not be joined and goes to an output of its own. Borrowed as labels are. */
struct esp_turned_away {
    enum esp_event_kind kind;
    uint32_t partition;
    uint8_t verdict;  /* enum esp_verdict */
    uint8_t reject;   /* enum esp_reject; NONE if late */
    bool behind_idle; /* late only because its partition had been idle, or was added late */
    int64_t offset;
    int64_t time_us; /* ESP_TIME_NONE if undecodable */
    int64_t log_time_us;
    struct esp_bytes raw;
};

/* The identity holds at every moment: read is the sum of the others. */
struct esp_join_counters {
    uint64_t read;
    uint64_t labelled; /* impressions: last label has left; clicks, installs: counted for one */
    uint64_t duplicate;
    uint64_t unmatched;
    uint64_t late;
    uint64_t dead;
    uint64_t pending; /* held and waiting ones included */
    /* of the above */
    uint64_t behind_idle; /* of late */
    uint64_t dead_by_reason[ESP_N_REJECTS];
};

struct esp_joiner_config {
    int64_t click_window_us, install_window_us; /* W_c, W_z; >= 0 */
    int64_t grace_us[ESP_N_EVENT_KINDS];
    size_t n_partitions[ESP_N_EVENT_KINDS]; /* 0 installs: there are none */
    int64_t future_us;                      /* beyond the record's own timestamp: dead */
    int64_t ahead_us;                       /* beyond the partition's largest time: held */
    int64_t idle_lag_us;
    bool installs_by_click; /* installs name a click id rather than an impression id */
    /*
     * Asked at the click stage of every impression, once: shall a label of ESP_STAGE_WHOLE follow?
     * It depends on the label alone. NULL: never. (The sampler's word: the join knows nothing of
     * sampling.)
     */
    bool (*whole_wanted)(void *context, const struct esp_label *label);
    void *whole_context;
    size_t segment_bytes; /* of the ring; 0: 16 MiB */
    /*
     * Without a store: the most of the ring's segments, at least three, past which push and advance
     * fail. With a store: what all memory stays below as far as it can, by paging segments to it;
     * the limit is what references can name. 0: 32 GiB, without paging.
     */
    size_t max_store_bytes;
    const struct esp_segment_store *store; /* borrowed; NULL: none */
};

/* A place that a partition can be read again from: see partition_rewinds.h. */
struct esp_rewind {
    int64_t offset;     /* of the record to begin with, or ESP_OFFSET_EARLIEST */
    int64_t largest_us; /* of the times accepted before it; ESP_TIME_NONE: there were none */
};

struct esp_joiner;

/* Errors: ESP_EINVAL, ESP_ENOMEM. */
enum esp_status esp_joiner_new(const struct esp_joiner_config *config, struct esp_joiner **out,
                               struct esp_error *err);
void esp_joiner_free(struct esp_joiner *joiner);

/*
 * n more partitions of a topic, which take the numbers behind those that it has. Each counts in W
 * at once: W stands until it has spoken, or is idle, or has ended. What of it lies behind W is
 * late, and counted behind_idle too.
 *
 * On failure nothing has changed.
 * Errors: ESP_EINVAL (the topic had none: whether there are installs is part of what a label is),
 * ESP_ENOMEM.
 */
enum esp_status esp_joiner_add_partitions(struct esp_joiner *joiner, enum esp_event_kind kind,
                                          size_t n, struct esp_error *err);

/*
 * Begins a partition of a new joiner at a point that another joiner gave, before its first event:
 * its records, read from the point's offset on, are ruled on as that one ruled on them.
 * Errors: ESP_EINVAL (it has had events, or the time is out of range).
 */
enum esp_status esp_joiner_begin_at(struct esp_joiner *joiner, enum esp_event_kind kind,
                                    uint32_t partition, const struct esp_rewind *point,
                                    struct esp_error *err);

/*
 * Takes a batch of one partition, in its order; rejected headers are counted as dead. Batches of
 * a few hundred prefetch their hash slots: one by one is three times slower. Payloads are copied.
 *
 * Errors: ESP_ENOMEM, ESP_ELIMIT (the store is full). The batch may be half taken: stop.
 */
enum esp_status esp_joiner_push(struct esp_joiner *joiner, enum esp_event_kind kind,
                                uint32_t partition, const struct esp_header *headers, size_t n,
                                struct esp_error *err);

/* Events turned away by the last push, end or close, in order; empties with the next of them. */
const struct esp_turned_away *esp_joiner_turned_away(const struct esp_joiner *joiner,
                                                     size_t *out_n);

/*
 * Gives labels whose maturity the watermark has passed, in label order, at most capacity; fewer
 * means that there are none left for now.
 *
 * more_pending_ok  A caller that stops early may push before it drains on.
 * Errors: ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_joiner_advance(struct esp_joiner *joiner, struct esp_label *labels,
                                   size_t capacity, size_t *out_n, struct esp_error *err);

/* The partition was read to its end and stayed silent (true), or spoke again (false: push does
 * this by itself). An idle partition stands at the others' largest watermark less idle_lag. */
void esp_joiner_set_idle(struct esp_joiner *joiner, enum esp_event_kind kind, uint32_t partition,
                         bool idle);

/*
 * The partition has ended.
 *
 * close  true: what its clock holds is accepted, and it leaves W. false: what is held stays held,
 *        for a later run goes on from there, and it keeps its watermark; one that has nothing but
 *        held events stands at the earliest of these less the grace.
 * Errors: ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_joiner_end(struct esp_joiner *joiner, enum esp_event_kind kind,
                               uint32_t partition, bool close, struct esp_error *err);

/* Ends time: what is still held is accepted, and W is ESP_TIME_END, so that all labels are final.
 * Every partition must have ended. Errors: ESP_EINVAL, ESP_ENOMEM, ESP_ELIMIT. */
enum esp_status esp_joiner_close(struct esp_joiner *joiner, struct esp_error *err);

/* W: smallest watermark over the partitions that count; ESP_TIME_NONE before all have spoken. A
 * partition that ended without an event that is accepted or held is left out. */
int64_t esp_joiner_watermark(const struct esp_joiner *joiner);

/* A partition's own watermark (largest time less grace), ESP_TIME_NONE before its first event. */
int64_t esp_joiner_partition_watermark(const struct esp_joiner *joiner, enum esp_event_kind kind,
                                       uint32_t partition);

void esp_joiner_counters(const struct esp_joiner *joiner, enum esp_event_kind kind,
                         struct esp_join_counters *out);

/*
 * How far back in event time a label depends: one that is due at B is decided by the events from
 * B - reach on, which is W_c + W_z. See joiner_rewind.c for why, and what a whole rewind needs.
 */
int64_t esp_joiner_reach_us(const struct esp_joiner *joiner);

/*
 * The last point of a partition from which every event of before_us or later that its clock accepts
 * will be read again. For the labels due at B or later: before_us = B - reach.
 *
 * There is one for each B from the last label that left before the last push, less the reach. So
 * where B is a boundary of snapshots there is one when the first label due at or after B has left,
 * until the next push.
 *
 * Returns false if there is none.
 */
bool esp_joiner_rewind_point(const struct esp_joiner *joiner, enum esp_event_kind kind,
                             uint32_t partition, int64_t before_us, struct esp_rewind *out);

/*
 * The joiner in a checkpoint, between two calls of the others: nothing is lent out then, and what
 * was turned away has been taken.
 *
 * Reading fills a joiner that _new() made with the same configuration and that has seen nothing. It
 * may have more partitions of a topic than were saved: the others are as if just added. What had
 * ended under `hold` has not ended any more, and nothing is idle. One that was closed stays closed.
 */
void esp_joiner_archive(struct esp_archive *archive, struct esp_joiner *joiner);

/* Was esp_joiner_close() called, perhaps before the state was saved? */
bool esp_joiner_is_closed(const struct esp_joiner *joiner);

/* After reading: one more than the largest writer of an impression that is pending, 0 if none is.
 * More than the impressions' decoder has, and the checkpoint cannot be used. */
size_t esp_joiner_n_writers(const struct esp_joiner *joiner);

struct esp_joiner_usage {
    uint64_t pending;         /* impressions with a label still to leave */
    uint64_t waiting;         /* clicks and installs that wait for the watermark */
    uint64_t record_bytes;    /* payloads of pending impressions */
    uint64_t memory_bytes;    /* all that the joiner holds, but for what is on files */
    uint64_t paged_bytes;     /* on files only: mapped */
    uint64_t paged_out_bytes; /* written for want of memory, ever */
    uint64_t over_bytes;      /* of memory_bytes, above the cap when it was last looked at: what
                                 cannot be paged, or a store that fails */
    uint64_t paging_failures; /* tries of paging that failed; nothing is lost by them */
};
void esp_joiner_usage(const struct esp_joiner *joiner, struct esp_joiner_usage *out);

/* Why paging failed last; { 0 } if it never has. Lent until the next push or advance. */
const struct esp_error *esp_joiner_paging_failure(const struct esp_joiner *joiner);

/*
 * A checkpoint, where a store is lent, in order:
 *
 *     esp_joiner_before_save()     in the process that goes on, before it forks: frees what has
 *                                  left, and from now on no file of a live segment is dropped
 *     esp_joiner_store_segments()  in the child: all that is sealed is on files, for good
 *     esp_joiner_archive(), esp_joiner_files_archive()
 *                                  in the child: the state, which names these files; and the list
 *                                  of them by itself, as a section of its own
 *     esp_joiner_saved()           in the process that goes on, once the checkpoint is in place:
 *                                  with that list, read and sorted, so that they are not written
 *                                  again
 *
 * What was lent out is gone after the first. Where nothing forks one process does all of it.
 */
void esp_joiner_before_save(struct esp_joiner *joiner);

/* Errors: the store's: there is no checkpoint then. */
enum esp_status esp_joiner_store_segments(struct esp_joiner *joiner, struct esp_error *err);
void esp_joiner_files_archive(struct esp_archive *archive, const struct esp_joiner *joiner);
void esp_joiner_saved(struct esp_joiner *joiner, const struct esp_segment_list *files);

/* Adds the files that the joiner uses now to a list of those that must stay. Errors: ESP_ENOMEM. */
enum esp_status esp_joiner_files(const struct esp_joiner *joiner, struct esp_segment_list *list,
                                 struct esp_error *err);

/* Asserts the invariants of joiner.c by number; linear in what is pending. For tests. */
void esp_joiner_check(const struct esp_joiner *joiner);

#endif
