/* holdout.c - see holdout.h. */
#include "drift/holdout.h"

#include <math.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/hash.h"

enum esp_status esp_holdout_init(struct esp_holdout *holdout, const struct esp_drift_config *config,
                                 int64_t window, const struct esp_slot *slots, size_t n_slots,
                                 struct esp_error *err)
{
    *holdout =
        (struct esp_holdout){.window = window, .scoring = true, .n_slots = n_slots, .threshold = 1};
    holdout->slots = calloc(n_slots + 1, sizeof *slots);
    if (holdout->slots == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a window's slots");
    memcpy(holdout->slots, slots, n_slots * sizeof *slots);
    for (size_t task = 0; task < ESP_N_TASKS; task++) {
        if (!config->has_production[task])
            continue;
        holdout->production[task] = calloc(1, sizeof(float));
        if (holdout->production[task] == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory for a window's scores");
    }
    return ESP_OK;
}

void esp_holdout_release(struct esp_holdout *holdout)
{
    free(holdout->slots);
    free(holdout->units);
    free(holdout->tickets);
    free(holdout->weights);
    free(holdout->y);
    free(holdout->z);
    free(holdout->clips);
    free(holdout->rows);
    for (size_t task = 0; task < ESP_N_TASKS; task++) {
        free(holdout->production[task]);
        free(holdout->logits[task]);
    }
    *holdout = (struct esp_holdout){0};
}

static double unit_hash(uint64_t unit)
{
    return esp_unit_of_bits(esp_hash_domain(ESP_DOMAIN_THIN, esp_bytes(&unit, sizeof unit), 0));
}

bool esp_holdout_wants(const struct esp_holdout *holdout, uint64_t unit)
{
    return holdout->threshold >= 1 || unit_hash(unit) < holdout->threshold;
}

/* ---- examples -------------------------------------------------------------------------------- */

/* Reallocates one of the arrays; false: out of memory, it is as it was. */
static bool regrow(void *array_place, size_t n, size_t item_size)
{
    void *array, *grown;
    memcpy(&array, array_place, sizeof array);
    if (n > SIZE_MAX / item_size || (grown = realloc(array, n * item_size)) == NULL)
        return false;
    memcpy(array_place, &grown, sizeof grown);
    return true;
}

enum esp_status esp_holdout_reserve(struct esp_holdout *holdout, size_t n_wanted,
                                    struct esp_error *err)
{
    if (n_wanted <= holdout->capacity)
        return ESP_OK;
    size_t n = holdout->capacity < 256 ? 256 : 2 * holdout->capacity;
    while (n < n_wanted)
        n *= 2;
    size_t row_bytes = (holdout->n_slots * ESP_N_TASKS + 1) * sizeof(float);
    bool ok = regrow(&holdout->units, n, sizeof *holdout->units) &&
              regrow(&holdout->tickets, n, sizeof *holdout->tickets) &&
              regrow(&holdout->weights, n, sizeof *holdout->weights) && regrow(&holdout->y, n, 1) &&
              regrow(&holdout->z, n, 1) && regrow(&holdout->clips, n, 1) &&
              (!holdout->scoring || regrow(&holdout->rows, n, row_bytes));
    for (size_t task = 0; ok && task < ESP_N_TASKS; task++)
        ok = holdout->production[task] == NULL ||
             regrow(&holdout->production[task], n, sizeof(float));
    if (!ok)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu holdout examples of a window", n);
    holdout->capacity = n;
    return ESP_OK;
}

static float *row_of(const struct esp_holdout *holdout, size_t i)
{
    return holdout->rows + i * holdout->n_slots * ESP_N_TASKS;
}

static void put_production(struct esp_holdout *holdout, size_t i,
                           const double production[ESP_N_TASKS])
{
    holdout->clips[i] = 0;
    for (size_t task = 0; task < ESP_N_TASKS; task++) {
        if (holdout->production[task] == NULL)
            continue;
        bool clipped = false;
        double p = production[task];
        holdout->production[task][i] = isnan(p) ? NAN : (float)esp_logit_of_score(p, &clipped);
        holdout->clips[i] |= (uint8_t)(clipped << task);
    }
}

enum esp_status esp_holdout_add(struct esp_holdout *holdout, const struct esp_drift_example *from,
                                bool has_installs, struct esp_error *err)
{
    enum esp_status status = esp_holdout_reserve(holdout, holdout->n + 1, err);
    if (status != ESP_OK)
        return status;
    size_t i = holdout->n++;
    const struct esp_example *example = from->example;
    bool waits = example->y && has_installs;
    holdout->units[i] = from->unit;
    holdout->tickets[i] = example->ticket;
    holdout->weights[i] = example->weight;
    holdout->y[i] = example->y;
    holdout->z[i] = waits ? ESP_Z_WAITS : ESP_Z_NONE;
    holdout->n_waiting += waits;
    put_production(holdout, i, from->production);
    for (size_t k = 0; k < holdout->n_slots * ESP_N_TASKS; k++)
        row_of(holdout, i)[k] = NAN;
    return ESP_OK;
}

static void move_example(struct esp_holdout *holdout, size_t from, size_t to)
{
    holdout->units[to] = holdout->units[from];
    holdout->tickets[to] = holdout->tickets[from];
    holdout->weights[to] = holdout->weights[from];
    holdout->y[to] = holdout->y[from];
    holdout->z[to] = holdout->z[from];
    holdout->clips[to] = holdout->clips[from];
    for (size_t task = 0; task < ESP_N_TASKS; task++)
        if (holdout->production[task] != NULL)
            holdout->production[task][to] = holdout->production[task][from];
    memmove(row_of(holdout, to), row_of(holdout, from),
            holdout->n_slots * ESP_N_TASKS * sizeof(float));
}

void esp_holdout_thin(struct esp_holdout *holdout, size_t most)
{
    while (holdout->n >= most) {
        size_t n_kept = 0;
        holdout->threshold /= 2;
        for (size_t i = 0; i < holdout->n; i++) {
            if (esp_holdout_wants(holdout, holdout->units[i]))
                move_example(holdout, i, n_kept++);
            else
                holdout->n_waiting -= holdout->z[i] == ESP_Z_WAITS;
        }
        holdout->n_thinned += holdout->n - n_kept;
        holdout->n = n_kept;
    }
}

bool esp_holdout_install(struct esp_holdout *holdout, uint64_t ticket, bool z)
{
    size_t low = 0, high = holdout->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (holdout->tickets[middle] < ticket)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == holdout->n || holdout->tickets[low] != ticket || holdout->z[low] != ESP_Z_WAITS)
        return false;
    holdout->z[low] = z ? ESP_Z_INSTALLED : ESP_Z_NONE;
    holdout->n_waiting--;
    return true;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Logits of one task by slot: of all examples, or of the clicked ones. */
static enum esp_status transpose(struct esp_holdout *holdout, enum esp_task task, size_t n_examples,
                                 struct esp_error *err)
{
    bool clicked_only = task == ESP_TASK_INSTALL_GIVEN_CLICK;
    float *logits = calloc(holdout->n_slots * n_examples + 1, sizeof *logits);
    if (logits == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for logits of %zu holdout examples",
                        n_examples);
    size_t next = 0;
    for (size_t i = 0; i < holdout->n; i++) {
        if (clicked_only && !holdout->y[i])
            continue;
        for (size_t s = 0; s < holdout->n_slots; s++)
            logits[s * n_examples + next] = row_of(holdout, i)[s * ESP_N_TASKS + task];
        next++;
    }
    holdout->logits[task] = logits;
    return ESP_OK;
}

enum esp_status esp_holdout_close(struct esp_holdout *holdout, bool has_installs,
                                  struct esp_error *err)
{
    holdout->n_clicked = 0;
    for (size_t i = 0; i < holdout->n; i++)
        holdout->n_clicked += holdout->y[i];
    enum esp_status status = transpose(holdout, ESP_TASK_CLICK, holdout->n, err);
    if (status == ESP_OK && has_installs)
        status = transpose(holdout, ESP_TASK_INSTALL_GIVEN_CLICK, holdout->n_clicked, err);
    if (status == ESP_OK && has_installs)
        status = transpose(holdout, ESP_TASK_INSTALL, holdout->n, err);
    if (status != ESP_OK)
        return status;
    free(holdout->rows);
    holdout->rows = NULL;
    holdout->scoring = false;
    return ESP_OK;
}

uint64_t esp_holdout_bytes(const struct esp_holdout *holdout)
{
    uint64_t slot_bytes = holdout->n_slots * sizeof(float);
    uint64_t bytes = holdout->capacity * (2 * sizeof(uint64_t) + sizeof(double) + 3);
    if (holdout->rows != NULL)
        bytes += holdout->capacity * slot_bytes * ESP_N_TASKS;
    for (size_t task = 0; task < ESP_N_TASKS; task++) {
        size_t n = task == ESP_TASK_INSTALL_GIVEN_CLICK ? holdout->n_clicked : holdout->n;
        bytes += holdout->logits[task] != NULL ? n * slot_bytes : 0;
        bytes += holdout->production[task] != NULL ? holdout->capacity * sizeof(float) : 0;
    }
    return bytes;
}
