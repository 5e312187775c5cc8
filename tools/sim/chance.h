/*
 * chance.h - the simulator's random numbers: streams that a key begins.
 *
 * Nothing is drawn from a global state: a stream is a function of (seed, what it is for, which
 * one), so impression i is the same whatever was switched on before it, and switching on
 * duplicates, say, changes no label.
 */
#ifndef ESP_SIM_CHANCE_H
#define ESP_SIM_CHANCE_H

#include <math.h>
#include <stdint.h>

#include "core/hash.h"

/* What a stream is for. Values are part of what a seed means. */
enum sim_purpose {
    SIM_FOR_FIELDS = 1,      /* an impression's values */
    SIM_FOR_LABELS = 2,      /* its click and install, and their delays */
    SIM_FOR_DELIVERY = 3,    /* delays of delivery, duplicates, damage */
    SIM_FOR_STRAYS = 4,      /* clicks and installs without a partner */
    SIM_FOR_EFFECTS = 5,     /* effects of a field's value */
    SIM_FOR_TURNED = 6,      /* what they drift towards */
    SIM_FOR_CALIBRATION = 7, /* the sample that sets the intercepts */
};

struct sim_chance {
    uint64_t state;
};

static inline struct sim_chance sim_chance(uint64_t seed, enum sim_purpose purpose, uint64_t key)
{
    uint64_t words[2] = {(uint64_t)purpose, key};
    return (struct sim_chance){
        esp_hash_domain(ESP_DOMAIN_SIMULATOR, esp_bytes(words, sizeof words), seed)};
}

/* splitmix64 */
static inline uint64_t sim_bits(struct sim_chance *chance)
{
    uint64_t bits = esp_mix64(chance->state);
    chance->state += UINT64_C(0x9e3779b97f4a7c15);
    return bits;
}

/* uniform in [0, 1) */
static inline double sim_unit(struct sim_chance *chance)
{
    return esp_unit_of_bits(sim_bits(chance));
}

/* Two independent standard normals: Box and Muller, 1958. */
static inline void sim_normals(struct sim_chance *chance, double out[2])
{
    double radius = sqrt(-2 * log1p(-sim_unit(chance)));
    double angle = 6.283185307179586 * sim_unit(chance);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

#endif
