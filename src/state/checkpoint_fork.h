/*
 * checkpoint_fork.h - a child process writes the checkpoint while the parent trains on.
 *
 * fork() gives the child the parent's memory as it is at that moment: what the parent changes
 * afterwards is copied page by page, by the kernel, when it is first written to. So the barrier at
 * which all stages stand at one point of the event order lasts as long as the fork (some
 * milliseconds a GiB), not as long as the file takes to write.
 *
 *              _start()            poll()/wait()              _commit()
 *     IDLE ---------------> RUNNING ------------> WRITTEN -------------> IDLE
 *                              |                     |
 *                              | poll()/wait()       | _cancel()
 *                              v                     v
 *                           FAILED --- _start() ... IDLE
 *
 * INVARIANTS
 *  (1) At most one child lives, and it writes N.checkpoint.part only.
 *  (2) Only the parent renames: a child whose parent was killed dies with it, its file without a
 *      name that counts.
 *  (3) While a child lives the folder's lock is held, whether the parent lives or not: the child
 *      inherited its descriptor. So no second process can meet the child at its file.
 */
#ifndef ESP_STATE_CHECKPOINT_FORK_H
#define ESP_STATE_CHECKPOINT_FORK_H

#include "state/checkpoint_writer.h"

enum esp_checkpoint_progress {
    ESP_CHECKPOINT_IDLE,    /* nothing was started, or all is committed or cancelled */
    ESP_CHECKPOINT_RUNNING, /* the child writes */
    ESP_CHECKPOINT_WRITTEN, /* whole and on the disk, without its name */
    ESP_CHECKPOINT_FAILED,  /* why stood in err; the half-written file is removed */
};

/*
 * Writes all sections; runs in the child. It sees the memory as it was at the fork and may use its
 * stack, nothing else: no allocation, no lock, no stdio, no log, no call into a library that might
 * do these (see checkpoint_writer.h), no memory that is shared between processes.
 */
typedef enum esp_status esp_checkpoint_content(void *context, struct esp_checkpoint_writer *writer,
                                               struct esp_error *err);

struct esp_checkpoint_fork;

/* folder: borrowed for life, with its lock held. Makes FOLDER/checkpoints. Errors: ESP_EIO,
 * ESP_ENOMEM. */
enum esp_status esp_checkpoint_fork_new(const struct esp_state_folder *folder,
                                        struct esp_checkpoint_fork **out, struct esp_error *err);

/* Cancels what runs. */
void esp_checkpoint_fork_free(struct esp_checkpoint_fork *fork);

/*
 * Forks a child that writes checkpoint head->number. IDLE or FAILED before, RUNNING after.
 *
 * head     its texts are read by the child only: borrowed for the call
 * @thread  the child dies when the calling THREAD ends, not only the process (that is how Linux's
 *          PR_SET_PDEATHSIG counts): call it from a thread that outlives the checkpoint
 * Errors: ESP_EIO (the file cannot be made, or fork() failed for want of memory or processes): the
 * state is FAILED, nothing else changed, and training can go on without this checkpoint;
 * ESP_ENOMEM.
 */
enum esp_status esp_checkpoint_fork_start(struct esp_checkpoint_fork *fork,
                                          const struct esp_checkpoint_head *head,
                                          esp_checkpoint_content *content, void *context,
                                          struct esp_error *err);

/* How far is it? Does not wait. err: why, when it first says FAILED. */
enum esp_checkpoint_progress esp_checkpoint_fork_poll(struct esp_checkpoint_fork *fork,
                                                      struct esp_error *err);

/* The same, but waits until it is no longer RUNNING, for at most timeout_ms (-1: for ever). A
 * signal that is caught ends the wait early. */
enum esp_checkpoint_progress esp_checkpoint_fork_wait(struct esp_checkpoint_fork *fork,
                                                      int timeout_ms, struct esp_error *err);

/*
 * Ends a child that hangs: whose file has not grown for patience_us, going by when this was called.
 * poll() and wait() say FAILED once it is dead, and why. For without it there would never be
 * another checkpoint. now_us is of a monotonic clock.
 */
void esp_checkpoint_fork_watch(struct esp_checkpoint_fork *fork, int64_t now_us,
                               int64_t patience_us);

/* WRITTEN before: gives the file its name (esp_checkpoint_commit()); IDLE after, or FAILED.
 * Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_checkpoint_fork_commit(struct esp_checkpoint_fork *fork, struct esp_error *err);

/* Kills a child that runs and removes the file that has no name yet; IDLE after. */
void esp_checkpoint_fork_cancel(struct esp_checkpoint_fork *fork);

/* Number and bytes of what is RUNNING or WRITTEN, or was last committed; bytes are 0 while it
 * runs. */
uint64_t esp_checkpoint_fork_number(const struct esp_checkpoint_fork *fork);
uint64_t esp_checkpoint_fork_bytes(const struct esp_checkpoint_fork *fork);

#endif
