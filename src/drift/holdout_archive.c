/* holdout_archive.c - a window of holdout examples into a checkpoint and back. See holdout.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "drift/holdout.h"

enum {
    SLOT_BYTES = 3 * 8 + 1 + ESP_N_TASKS,
    EXAMPLE_BYTES = 3 * 8 + 3, /* and its logits */
};

static void fail_with(struct esp_archive *archive, const struct esp_error *err)
{
    esp_archive_fail(archive, err->status, "%s", err->text);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static uint8_t setup_id(const char *name)
{
    uint8_t id = 0;
    while (id < ESP_N_SETUPS && strcmp(esp_setup_get((enum esp_setup_id)id)->name, name) != 0)
        id++;
    return id;
}

static void archive_slot(struct esp_archive *archive, struct esp_slot *slot,
                         const struct esp_drift_config *config)
{
    uint8_t setup = slot->setup == NULL ? 0 : setup_id(slot->setup);
    esp_archive_size(archive, &slot->model);
    esp_archive_size(archive, &slot->age);
    esp_archive_i64(archive, &slot->snapshot);
    esp_archive_u8(archive, &setup);
    for (size_t task = 0; task < ESP_N_TASKS; task++)
        esp_archive_bool(archive, &slot->has_task[task]);
    if (esp_archive_check(archive,
                          slot->model < config->n_models && slot->age < config->ladder.n_ages &&
                              setup < ESP_N_SETUPS,
                          "a slot of a window"))
        slot->setup = esp_setup_get((enum esp_setup_id)setup)->name;
}

static void archive_slots(struct esp_archive *archive, struct esp_holdout *holdout,
                          const struct esp_drift_config *config)
{
    struct esp_slot *slots = holdout->slots;
    esp_archive_count(archive, &holdout->n_slots, SLOT_BYTES);
    if (esp_archive_reads(archive)) {
        free(slots);
        holdout->slots = slots = calloc(holdout->n_slots + 1, sizeof *slots);
        if (slots == NULL)
            esp_archive_fail(archive, ESP_ENOMEM, "a window's slots");
    }
    for (size_t s = 0; s < holdout->n_slots && esp_archive_is_ok(archive); s++) {
        archive_slot(archive, &slots[s], config);
        bool ascends = s == 0 || slots[s - 1].model < slots[s].model ||
                       (slots[s - 1].model == slots[s].model && slots[s - 1].age < slots[s].age);
        esp_archive_check(archive, ascends, "the order of a window's slots");
    }
}

/* ---- examples -------------------------------------------------------------------------------- */

static size_t row_bytes(const struct esp_holdout *holdout)
{
    return holdout->n_slots * ESP_N_TASKS * sizeof(float);
}

/* Of one example in the archive. */
static size_t example_bytes(const struct esp_holdout *holdout)
{
    size_t n = EXAMPLE_BYTES + (holdout->scoring ? row_bytes(holdout) : 0);
    for (size_t task = 0; task < ESP_N_TASKS; task++)
        n += holdout->production[task] != NULL ? sizeof(float) : 0;
    return n;
}

/* The labels are ones that can be; counts what follows from them. */
static void check_examples(struct esp_archive *archive, struct esp_holdout *holdout,
                           const struct esp_drift_config *config)
{
    bool sound = true;
    holdout->n_waiting = holdout->n_clicked = 0;
    for (size_t i = 0; i < holdout->n; i++) {
        bool had_click = holdout->y[i] == 1 && config->has_installs;
        sound = sound && (i == 0 || holdout->tickets[i - 1] < holdout->tickets[i]) &&
                isfinite(holdout->weights[i]) && holdout->weights[i] >= 0 && holdout->y[i] <= 1 &&
                holdout->z[i] <= ESP_Z_WAITS && (holdout->z[i] == ESP_Z_NONE || had_click) &&
                holdout->clips[i] < 1 << ESP_N_TASKS;
        holdout->n_waiting += holdout->z[i] == ESP_Z_WAITS;
        holdout->n_clicked += holdout->y[i] == 1;
    }
    esp_archive_check(archive, sound, "a holdout example");
}

static void archive_examples(struct esp_archive *archive, struct esp_holdout *holdout,
                             const struct esp_drift_config *config)
{
    struct esp_error err = {0};
    size_t n = holdout->n;
    esp_archive_count(archive, &n, example_bytes(holdout));
    if (!esp_archive_check(archive, n <= config->window_examples,
                           "the number of a window's "
                           "examples"))
        return;
    if (esp_archive_reads(archive)) {
        if (esp_holdout_reserve(holdout, n, &err) != ESP_OK) {
            fail_with(archive, &err);
            return;
        }
        holdout->n = n;
    }
    esp_archive_bytes(archive, holdout->units, n * sizeof *holdout->units);
    esp_archive_bytes(archive, holdout->tickets, n * sizeof *holdout->tickets);
    esp_archive_bytes(archive, holdout->weights, n * sizeof *holdout->weights);
    esp_archive_bytes(archive, holdout->y, n);
    esp_archive_bytes(archive, holdout->z, n);
    esp_archive_bytes(archive, holdout->clips, n);
    for (size_t task = 0; task < ESP_N_TASKS; task++)
        if (holdout->production[task] != NULL)
            esp_archive_bytes(archive, holdout->production[task], n * sizeof(float));
    if (holdout->scoring)
        esp_archive_bytes(archive, holdout->rows, n * row_bytes(holdout));
    if (esp_archive_reads(archive) && esp_archive_is_ok(archive))
        check_examples(archive, holdout, config);
}

/* Of a task that waits for its labels. */
static void archive_logits(struct esp_archive *archive, struct esp_holdout *holdout,
                           enum esp_task task)
{
    size_t n_examples = task == ESP_TASK_INSTALL_GIVEN_CLICK ? holdout->n_clicked : holdout->n;
    size_t n = holdout->n_slots * n_examples;
    void *logits = holdout->logits[task];
    esp_archive_array(archive, &logits, &n, sizeof(float));
    holdout->logits[task] = logits;
    esp_archive_check(archive, n == holdout->n_slots * n_examples,
                      "the number of a window's "
                      "logits");
}

void esp_holdout_archive(struct esp_archive *archive, struct esp_holdout *holdout,
                         const struct esp_drift_config *config)
{
    struct esp_error err = {0};
    if (esp_archive_reads(archive) &&
        esp_holdout_init(holdout, config, 0, &(struct esp_slot){0}, 0, &err) != ESP_OK)
        fail_with(archive, &err);
    esp_archive_i64(archive, &holdout->window);
    esp_archive_bool(archive, &holdout->scoring);
    esp_archive_f64(archive, &holdout->threshold);
    esp_archive_u64(archive, &holdout->n_thinned);
    esp_archive_check(archive, holdout->threshold > 0 && holdout->threshold <= 1,
                      "the share of a window");
    archive_slots(archive, holdout, config);
    if (esp_archive_is_ok(archive))
        archive_examples(archive, holdout, config);
    if (!esp_archive_is_ok(archive) || holdout->scoring)
        return;
    esp_archive_check(archive, config->has_installs && holdout->n_waiting > 0,
                      "a window that waits for nothing");
    archive_logits(archive, holdout, ESP_TASK_INSTALL_GIVEN_CLICK);
    archive_logits(archive, holdout, ESP_TASK_INSTALL);
}
