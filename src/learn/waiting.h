/*
 * waiting.h - predictions of clicked impressions that wait for their install label, by ticket.
 *
 * Memory is bounded by the clicked impressions whose install window is open.
 */
#ifndef ESP_LEARN_WAITING_H
#define ESP_LEARN_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/status.h"

struct esp_waiting_score {
    uint64_t ticket;
    int64_t impression_us;
    double weight;
    float cvr_logit, install_logit; /* read where the set-up has the task */
    bool holdout;
    bool used; /* false: an empty slot */
};

/* { 0 } is empty. */
struct esp_waiting {
    struct esp_waiting_score *slots; /* (capacity) linear probing, at most half full */
    size_t capacity, n;
};

void esp_waiting_release(struct esp_waiting *waiting);

/* Keeps a copy; a ticket that waits already is replaced. Errors: ESP_ENOMEM. */
enum esp_status esp_waiting_put(struct esp_waiting *waiting, const struct esp_waiting_score *score,
                                struct esp_error *err);

/* Writes or reads the predictions that wait; reading, into an empty one. Only what finds them is
 * checked: each ticket is there once. */
void esp_waiting_archive(struct esp_archive *archive, struct esp_waiting *waiting);

/* Takes a ticket's prediction out. False: it does not wait. */
bool esp_waiting_take(struct esp_waiting *waiting, uint64_t ticket, struct esp_waiting_score *out);

#endif
