/*
 * zipf.h - popularity: draws of 0 .. n-1 where value k has a weight of (k + 1)^-exponent.
 *
 * Walker's alias method (A. J. Walker, ACM TOMS 3, 1977): one slot read a draw, whatever n is.
 */
#ifndef ESP_SIM_ZIPF_H
#define ESP_SIM_ZIPF_H

#include <stdint.h>

#include "core/status.h"

/* A slot has a mass of 1/n: a share of it is its own value's, the rest another's. */
struct sim_alias {
    uint32_t cut;   /* share of the slot that is its own, times 2^32 */
    uint32_t other; /* whose the rest is */
};

struct sim_zipf {
    uint32_t n;
    struct sim_alias *slots; /* (n) owned */
};

/* n > 0. Errors: ESP_ENOMEM. */
enum esp_status sim_zipf_init(struct sim_zipf *zipf, uint32_t n, double exponent,
                              struct esp_error *err);
void sim_zipf_release(struct sim_zipf *zipf);

/* bits  64 uniform bits: the upper half picks the slot, the lower one its owner */
static inline uint32_t sim_zipf_draw(const struct sim_zipf *zipf, uint64_t bits)
{
    uint32_t slot = (uint32_t)(((bits >> 32) * zipf->n) >> 32);
    struct sim_alias alias = zipf->slots[slot];
    uint32_t own = (uint32_t)((uint32_t)bits < alias.cut); /* no branch: it could not be guessed */
    return alias.other ^ ((slot ^ alias.other) & (0 - own));
}

#endif
