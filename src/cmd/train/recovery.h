/*
 * recovery.h - what a training run goes on from.
 */
#ifndef ESP_CMD_TRAIN_RECOVERY_H
#define ESP_CMD_TRAIN_RECOVERY_H

#include "state/checkpoint.h"

struct train;

struct recovery {
    struct esp_checkpoint *from; /* NULL: the run begins anew */
    uint64_t next;               /* number of the first checkpoint of this process */
    bool is_unfit;               /* its content is not what its sums promise */
};

/*
 * Takes the newest checkpoint that is sound and of this configuration. A damaged one is said, set
 * aside, and the one before is taken; one of another build is said and taken.
 * Errors: ESP_ECONFIG (it is of another configuration: the line names the option), ESP_EDATA (there
 * are some, and none can be used), ESP_EIO, ESP_ENOMEM.
 */
enum esp_status recovery_choose(struct recovery *recovery, const struct train *train,
                                struct esp_error *err);

/*
 * The chosen checkpoint turned out not to fit: says why and sets it aside, so that the next choice
 * is the one before. Returns whether that is what `why` is about; else it is a failure of another
 * kind, and nothing was done.
 */
bool recovery_refuse(struct recovery *recovery, const struct train *train,
                     const struct esp_error *why);

/* { 0 } is fine. */
void recovery_release(struct recovery *recovery);

#endif
