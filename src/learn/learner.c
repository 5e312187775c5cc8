/*
 * learner.c - one model's way through the label order. See learner.h; saving and going on are in
 * learner_archive.c.
 *
 * DESIGN  Two buffers. `learning` is the batch under way; `scoring` holds what is only scored and
 * labels that only complete a metric. Scoring is emptied when it is full and before every step,
 * so everything in it meets the weights that it met in label order; what is in a buffer when the
 * caller's chunk ends stays there, so the chunks do not matter.
 *
 *     stage     training, two-stage set-up   training, entire space   holdout
 *     CLICK     learning (and scored there)  scoring                  scoring
 *     INSTALL   learning, if it has cvr      scoring (label only)     scoring (label only)
 *     WHOLE     -                            learning                 -
 *
 * INVARIANTS (esp_learner_check() asserts each by number; a table's own are in table.c)
 *  (1) Neither buffer is full between two calls.
 *  (2) Every row of `learning` has terms; none of `scoring` has.
 *  (3) No holdout example is in `learning`.
 *  (4) Predictions wait only where the set-up has an install task.
 */
#include "learn/learner.h"

#include <math.h>

#include "core/check.h"
#include "learn/fault.h"
#include "learn/learner_state.h"
#include "learn/loss.h"
#include "model/task_logit.h"

enum { FAULT_PATH_SIZE = 384 };

static enum esp_status copy_names(struct esp_learner *learner,
                                  const struct esp_learner_config *config, struct esp_error *err)
{
    learner->name = strdup(config->model.name ? config->model.name : "main");
    learner->feature_names = calloc(config->n_features + 1, sizeof(*learner->feature_names));
    if (config->fault_folder)
        learner->fault_folder = strdup(config->fault_folder);
    bool failed = !learner->name || !learner->feature_names ||
                  (config->fault_folder && !learner->fault_folder);
    for (size_t f = 0; !failed && f < config->n_features; f++) {
        learner->feature_names[f] = strdup(config->feature_names[f]);
        failed = !learner->feature_names[f];
        learner->n_features = f + 1;
    }
    return failed ? esp_fail(err, ESP_ENOMEM, "out of memory for names of a model") : ESP_OK;
}

static enum esp_status choose_setup(struct esp_learner *learner,
                                    const struct esp_learner_config *config, struct esp_error *err)
{
    if ((unsigned)config->model.setup >= ESP_N_SETUPS)
        return esp_fail(err, ESP_EINVAL, "no set-up has the number %d", (int)config->model.setup);
    const struct esp_setup *setup = esp_setup_get(config->model.setup);
    learner->setup = config->has_installs ? *setup : esp_setup_without_installs(setup);
    if (!learner->setup.loss_click && !learner->setup.needs_whole)
        return esp_fail(err, ESP_ECONFIG,
                        "model %s: set-up %s learns from installs alone, and there is no topic of "
                        "installs; name one, or choose ctr",
                        learner->name, setup->name);
    return ESP_OK;
}

enum esp_status esp_learner_new(const struct esp_learner_config *config, struct esp_pool *pool,
                                struct esp_learner **out, struct esp_error *err)
{
    struct esp_learner *learner = calloc(1, sizeof(*learner));
    if (!learner)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a learner");
    size_t B = config->model.batch;
    enum esp_status status = copy_names(learner, config, err);
    if (status == ESP_OK)
        status = choose_setup(learner, config, err);
    if (status == ESP_OK && config->window_us < 0)
        status = esp_fail(err, ESP_EINVAL, "windows of a negative length");
    if (status == ESP_OK)
        status = esp_trainer_init(&learner->trainer, &config->model, &learner->setup,
                                  (const char *const *)learner->feature_names, config->n_features,
                                  pool, err);
    if (status == ESP_OK)
        status = esp_progress_init(&learner->progress, &learner->setup, config->window_us,
                                   config->windows_kept, err);
    learner->progress.done = config->window_done;
    learner->progress.done_context = config->window_context;
    if (status == ESP_OK)
        status = esp_rows_init(&learner->learning, config->n_features, B, err);
    if (status == ESP_OK)
        status = esp_rows_init(&learner->scoring, config->n_features, B, err);
    if (status == ESP_OK) {
        learner->logits = calloc(B * ESP_N_HEADS, sizeof(*learner->logits));
        if (!learner->logits)
            status = esp_fail(err, ESP_ENOMEM, "out of memory for logits of a batch of %zu", B);
    }
    if (status == ESP_OK) {
        *out = learner;
        learner = NULL; /* moved to the caller */
    }
    esp_learner_free(learner);
    return status;
}

void esp_learner_free(struct esp_learner *learner)
{
    if (!learner)
        return;
    esp_rows_release(&learner->learning);
    esp_rows_release(&learner->scoring);
    esp_progress_release(&learner->progress);
    esp_trainer_release(&learner->trainer);
    for (size_t f = 0; f < learner->n_features; f++)
        free(learner->feature_names[f]);
    free(learner->feature_names);
    free(learner->fault_folder);
    free(learner->name);
    free(learner->logits);
    free(learner);
}

bool esp_learner_needs_whole(const struct esp_learner *learner)
{
    return learner->setup.needs_whole;
}

unsigned esp_learner_terms(const struct esp_setup *setup, const struct esp_example *example)
{
    unsigned click = setup->loss_click ? ESP_TERM_CLICK : 0;
    if (example->holdout)
        return 0;
    if (setup->needs_whole)
        return example->stage != ESP_STAGE_WHOLE
                   ? 0
                   : click | (setup->loss_install_product ? ESP_TERM_PRODUCT : 0) |
                         (setup->loss_install_direct ? ESP_TERM_DIRECT : 0);
    if (example->stage == ESP_STAGE_CLICK)
        return click;
    return example->stage == ESP_STAGE_INSTALL && example->y && setup->loss_install_clicked
               ? ESP_TERM_CLICKED_INSTALL
               : 0;
}

/* Says where a batch that failed was written, in the error that is returned. */
static enum esp_status report_fault(struct esp_learner *learner, const struct esp_rows *rows,
                                    const struct esp_error *cause, struct esp_error *err)
{
    char path[FAULT_PATH_SIZE] = "";
    uint64_t step = learner->trainer.n_steps + 1;
    if (learner->fault_folder)
        esp_fault_write(learner->fault_folder, learner->name, step, cause->text, &learner->setup,
                        (const char *const *)learner->feature_names, rows, learner->logits, path,
                        sizeof(path));
    return esp_fail(err, ESP_ENUMERIC, "model %s, step %llu: %s; %s%s", learner->name,
                    (unsigned long long)step, cause->text,
                    path[0] ? "the batch is in " : "the batch could not be written", path);
}

static enum esp_status count_all(struct esp_learner *learner, const struct esp_rows *rows,
                                 struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < rows->n && status == ESP_OK; i++) {
        const struct esp_row_info *info = &rows->infos[i];
        const float *logits = info->feature_row == ESP_NO_FEATURES
                                  ? NULL
                                  : learner->logits + info->feature_row * ESP_N_HEADS;
        status = esp_progress_count(&learner->progress, info, logits, err);
    }
    return status;
}

static bool all_finite(const struct esp_setup *setup, const float *logits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t h = 0; h < ESP_N_HEADS; h++)
            if (setup->has_head[h] && !isfinite(logits[i * ESP_N_HEADS + h]))
                return false;
    return true;
}

/* Scores and counts what waits in `scoring`. */
static enum esp_status score_waiting(struct esp_learner *learner, struct esp_error *err)
{
    struct esp_rows *rows = &learner->scoring;
    size_t n = rows->features.n_rows;
    enum esp_status status =
        esp_trainer_score(&learner->trainer, &rows->features, learner->logits, err);
    if (status == ESP_OK && !all_finite(&learner->setup, learner->logits, n)) {
        struct esp_error cause = {0};
        esp_fail(&cause, ESP_ENUMERIC, "a score is not finite");
        status = report_fault(learner, rows, &cause, err);
    }
    if (status == ESP_OK)
        status = count_all(learner, rows, err);
    if (status != ESP_OK)
        return status;
    esp_rows_clear(rows);
    /* Where click-stage rows wait in the other buffer, windows are closed after its step. */
    if (learner->setup.needs_whole || learner->learning.n == 0)
        esp_progress_close_windows(&learner->progress);
    return ESP_OK;
}

static enum esp_status step(struct esp_learner *learner, struct esp_error *err)
{
    enum esp_status status = score_waiting(learner, err);
    struct esp_rows *rows = &learner->learning;
    if (status != ESP_OK || rows->n == 0)
        return status;
    struct esp_step_result result;
    struct esp_error cause = {0};
    status = esp_trainer_step(&learner->trainer, rows, learner->logits, &result, &cause);
    if (status == ESP_ENUMERIC)
        return report_fault(learner, rows, &cause, err);
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", cause.text);
    learner->n_dense_clipped += result.dense_clipped;
    learner->n_rows_clipped += result.rows_clipped;
    learner->last_loss = result.loss / (double)rows->n;
    status = count_all(learner, rows, err);
    esp_rows_clear(rows);
    esp_progress_close_windows(&learner->progress);
    return status;
}

enum esp_status esp_learner_take(struct esp_learner *learner, const struct esp_example *examples,
                                 size_t n, const struct esp_feature_batch *features,
                                 struct esp_error *err)
{
    if (n > 0 && (features->n_rows != n || features->n_features != learner->n_features))
        return esp_fail(err, ESP_EINVAL, "%zu rows of %zu features for %zu examples of %zu",
                        features->n_rows, features->n_features, n, learner->n_features);
    bool counts_installs = learner->progress.has_task[ESP_TASK_INSTALL];
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < n && status == ESP_OK; i++) {
        const struct esp_example *example = &examples[i];
        unsigned terms = esp_learner_terms(&learner->setup, example);
        if (terms != 0) {
            status = esp_rows_add(&learner->learning, example, terms, features, i, err);
            if (status == ESP_OK && learner->learning.n == learner->learning.capacity)
                status = step(learner, err);
            continue;
        }
        bool scored = example->stage == ESP_STAGE_CLICK;
        if (!scored && (example->stage != ESP_STAGE_INSTALL || !counts_installs))
            continue;
        status = esp_rows_add(&learner->scoring, example, 0, scored ? features : NULL, i, err);
        if (status == ESP_OK && learner->scoring.n == learner->scoring.capacity)
            status = score_waiting(learner, err);
    }
    return status;
}

enum esp_status esp_learner_flush(struct esp_learner *learner, struct esp_error *err)
{
    return step(learner, err);
}

void esp_learner_end(struct esp_learner *learner)
{
    learner->progress.ended = true;
    esp_progress_close_windows(&learner->progress);
}

enum esp_status esp_learner_score(struct esp_learner *learner,
                                  const struct esp_feature_batch *features, float *logits,
                                  struct esp_error *err)
{
    if (features->n_rows > 0 && features->n_features != learner->n_features)
        return esp_fail(err, ESP_EINVAL, "%zu features for a model of %zu", features->n_features,
                        learner->n_features);
    enum esp_status status = esp_trainer_score(&learner->trainer, features, logits, err);
    if (status != ESP_OK)
        return status;
    for (size_t i = 0; i < features->n_rows; i++) {
        float tasks[ESP_N_TASKS];
        for (enum esp_task task = 0; task < ESP_N_TASKS; task++)
            tasks[task] =
                learner->progress.has_task[task]
                    ? (float)esp_task_logit(&learner->setup, task, logits + i * ESP_N_HEADS)
                    : NAN;
        memcpy(logits + i * ESP_N_TASKS, tasks, sizeof(tasks));
    }
    return ESP_OK;
}

_Static_assert((int)ESP_N_TASKS == (int)ESP_N_HEADS, "scores replace head logits in place");

void esp_learner_report(const struct esp_learner *learner, struct esp_learner_report *out)
{
    const struct esp_trainer *trainer = &learner->trainer;
    *out = (struct esp_learner_report){
        .name = learner->name,
        .setup = learner->setup.name,
        .examples_learned = trainer->n_learned,
        .steps = trainer->n_steps,
        .dense_clipped = learner->n_dense_clipped,
        .rows_clipped = learner->n_rows_clipped,
        .last_loss = learner->last_loss,
    };
    esp_progress_report(&learner->progress, out);
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        const struct esp_table *table = &trainer->towers[t].table;
        out->rows += esp_table_n_rows(table);
        out->rows_admitted += table->n_admitted;
        out->rows_evicted += table->n_evicted;
        out->table_bytes += esp_table_bytes(table);
    }
}

const struct esp_progress_window *esp_learner_windows(const struct esp_learner *learner,
                                                      size_t *out_n)
{
    *out_n = learner->progress.n_windows;
    return learner->progress.windows;
}

void esp_learner_parameters(const struct esp_learner *learner, struct esp_parameters *out)
{
    const struct esp_trainer *trainer = &learner->trainer;
    *out = (struct esp_parameters){
        .network = &trainer->network,
        .params = trainer->params,
        .n_learned = trainer->n_learned,
        .n_steps = trainer->n_steps,
    };
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        out->tables[t].view = esp_table_view(&trainer->towers[t].table);
        out->tables[t].n_rows = trainer->towers[t].table.n_begun;
    }
}

uint64_t esp_learner_hash(const struct esp_learner *learner)
{
    return esp_trainer_hash(&learner->trainer);
}

void esp_learner_check(const struct esp_learner *learner)
{
    ESP_CHECK(1, learner->learning.n < learner->learning.capacity);
    ESP_CHECK(1, learner->scoring.n < learner->scoring.capacity);
    for (size_t i = 0; i < learner->learning.n; i++) {
        ESP_CHECK(2, learner->learning.infos[i].terms != 0);
        ESP_CHECK(3, !learner->learning.infos[i].holdout);
    }
    for (size_t i = 0; i < learner->scoring.n; i++)
        ESP_CHECK(2, learner->scoring.infos[i].terms == 0);
    ESP_CHECK(4, learner->progress.waiting.n == 0 || learner->progress.has_task[ESP_TASK_INSTALL]);
    for (size_t t = 0; t < learner->trainer.network.n_towers; t++)
        esp_table_check(&learner->trainer.towers[t].table);
}
