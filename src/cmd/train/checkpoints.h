/*
 * checkpoints.h - when a training run writes its whole state, and how that comes about.
 *
 *     ingest thread                                      learning thread      child process
 *     checkpoints_due(): batch handed over, barrier -->  stands still
 *     checkpoints_begin(): outputs' places noted, fork ----------------------> writes N.part
 *     barrier opened -------------------------------->   learns on            from its copy of
 *     checkpoints_tick(): has the child ended well?                           the memory
 *       are outputs from before the barrier
 *       delivered? then N.part becomes N
 *
 * Nothing of it stops training: a checkpoint that fails is said, counted and tried again.
 */
#ifndef ESP_CMD_TRAIN_CHECKPOINTS_H
#define ESP_CMD_TRAIN_CHECKPOINTS_H

#include "cmd/run/run.h"
#include "state/checkpoint_fork.h"

struct train;

struct checkpoints {
    struct train *train;              /* borrowed: whose state is written */
    struct esp_checkpoint_fork *fork; /* NULL: there are no checkpoints */
    uint64_t next;                    /* number of the next */
    int64_t begun_us;                 /* monotonic, of the last one */
    int64_t begun_watermark_us;       /* W then */
    int64_t looked_us;                /* monotonic; when the child was last asked after */
    int64_t boundary;     /* of event_every, that W had passed when the last one began */
    uint64_t n_read;      /* events, when the last one began */
    int64_t said_us;      /* monotonic; when a failure was last mentioned; 0: never */
    int64_t first_window; /* of drift, when the last one began */
    struct checkpoint_status status;
};

/* next: the number of the first. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status checkpoints_init(struct checkpoints *checkpoints, struct train *train,
                                 uint64_t next, struct esp_error *err);

/* { 0 } is fine. A child that still writes is ended. */
void checkpoints_release(struct checkpoints *checkpoints);

/* Whether it is time for one: something was read since the last, and that is long enough ago by the
 * clock or by W. From the ingest thread, as the next two. */
bool checkpoints_due(const struct checkpoints *checkpoints, int64_t now_us, int64_t watermark_us,
                     uint64_t n_read);

/* Begins one. Both threads stand still. */
void checkpoints_begin(struct checkpoints *checkpoints, int64_t now_us, int64_t watermark_us,
                       uint64_t n_read);

/* Looks after one that was begun. Call often. */
void checkpoints_tick(struct checkpoints *checkpoints, int64_t now_us);

/* The ingest thread ends: one that is not finished is given up, for checkpoints_write() follows. */
void checkpoints_leave(struct checkpoints *checkpoints);

/*
 * Writes one while the caller waits, with nothing else at work: before the threads start, and at
 * the end of a run that did not fail. Errors: ESP_EIO, ESP_EBROKER, ESP_ENOMEM; those before it are
 * still there.
 */
enum esp_status checkpoints_write(struct checkpoints *checkpoints, int64_t watermark_us,
                                  struct esp_error *err);

#endif
