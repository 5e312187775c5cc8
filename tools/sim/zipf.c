/* zipf.c - see zipf.h. */
#include "zipf.h"

#include <math.h>
#include <stdlib.h>

/*
 * Vose's order of pairing: values below the mean take what they lack from one above it.
 *
 * mass   (n) in units of the mean, so that they sum to n; used up
 * stack  (n) values below the mean from the bottom, those above from the top
 */
static void pair_up(struct sim_alias *slots, double *mass, uint32_t *stack, uint32_t n)
{
    uint32_t n_small = 0;
    uint32_t large = n;
    for (uint32_t k = 0; k < n; k++) {
        if (mass[k] < 1)
            stack[n_small++] = k;
        else
            stack[--large] = k;
    }
    while (n_small > 0 && large < n) {
        uint32_t small = stack[--n_small];
        uint32_t donor = stack[large];
        slots[small] = (struct sim_alias){(uint32_t)(mass[small] * 0x1p32), donor};
        mass[donor] -= 1 - mass[small];
        if (mass[donor] < 1) {
            stack[n_small++] = donor;
            large++;
        }
    }
    /* What is left differs from the mean by rounding only. */
    while (n_small > 0) {
        uint32_t k = stack[--n_small];
        slots[k] = (struct sim_alias){UINT32_MAX, k};
    }
    for (; large < n; large++)
        slots[stack[large]] = (struct sim_alias){UINT32_MAX, stack[large]};
}

enum esp_status sim_zipf_init(struct sim_zipf *zipf, uint32_t n, double exponent,
                              struct esp_error *err)
{
    *zipf = (struct sim_zipf){.n = n, .slots = calloc(n, sizeof *zipf->slots)};
    double *mass = calloc(n, sizeof *mass);
    uint32_t *stack = calloc(n, sizeof *stack);
    enum esp_status status = ESP_OK;
    if (zipf->slots == NULL || mass == NULL || stack == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for a popularity of %u values", n);
        goto out;
    }
    double total = 0;
    for (uint32_t k = 0; k < n; k++)
        total += mass[k] = pow(k + 1.0, -exponent);
    for (uint32_t k = 0; k < n; k++)
        mass[k] *= n / total;
    pair_up(zipf->slots, mass, stack, n);
out:
    free(mass);
    free(stack);
    if (status != ESP_OK)
        sim_zipf_release(zipf);
    return status;
}

void sim_zipf_release(struct sim_zipf *zipf)
{
    free(zipf->slots);
    *zipf = (struct sim_zipf){0};
}
