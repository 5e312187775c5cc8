/* drift_helper.c - see drift_helper.h. */
#include "drift_helper.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/timespan.h"

/* ---- snapshots ---- */

static const enum esp_setup_id setup_ids[TEST_SETUPS] = {ESP_SETUP_IPSP, ESP_SETUP_ESP,
                                                         ESP_SETUP_CTR};

/* Numbers of another size move mean, deviation and buckets. */
static void move_statistics(struct test_model *model, struct test_random *random)
{
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, TEST_FEATURES);
    for (size_t i = 0; i < 800; i++) {
        struct esp_value values[TEST_FIELDS];
        test_values(random, values);
        values[1] =
            (struct esp_value){.type = ESP_VALUE_REAL, .u.f = 1e3 * test_random_unit(random)};
        g_assert_cmpint(esp_features_add_row(model->features, values, true, &batch, NULL), ==,
                        ESP_OK);
        esp_feature_batch_reset(&batch);
    }
    esp_feature_batch_release(&batch);
}

static void move_weights(struct test_model *model, struct test_random *random)
{
    for (size_t k = 0; k < model->network.n_params; k++)
        model->params[k] += (float)(0.3 * (test_random_unit(random) - 0.5));
}

void test_files_init(struct test_files *files)
{
    files->folder = test_folder_new();
    for (size_t s = 0; s < TEST_SETUPS; s++) {
        struct test_random random = {.state = 40 + s};
        struct test_model model;
        test_model_init(&model, setup_ids[s]);
        for (size_t state = 0; state < TEST_STATES; state++) {
            if (state == 2 || state == 3)
                move_statistics(&model, &random);
            move_weights(&model, &random);
            model.manifest.number = 100 + (int64_t)state;
            model.manifest.boundary_us = model.manifest.number * model.manifest.every_us;
            files->paths[s][state] =
                g_strdup_printf("%s/%zu-%zu.safetensors", files->folder, s, state);
            g_assert_cmpint(esp_snapshot_write(files->paths[s][state], &model.manifest,
                                               &model.parameters, ESP_DTYPE_F32, NULL, NULL),
                            ==, ESP_OK);
        }
        test_model_release(&model);
    }
}

void test_files_release(struct test_files *files)
{
    for (size_t s = 0; s < TEST_SETUPS; s++)
        for (size_t state = 0; state < TEST_STATES; state++)
            g_free(files->paths[s][state]);
    test_folder_remove(files->folder);
}

/* ---- streams ---- */

enum { H = 1600 }; /* of a window, in us */

const struct test_plan test_small_plan = {
    .name = "small",
    .ladder = {H, 5, {0, 1, 2, 4, 7}, 2, 2},
    .click_window_us = H / 2,
    .install_window_us = 9 * H,
    .has_installs = true,
    .n_models = 2,
    .setups = {TEST_IPSP, TEST_CTR},
    .n_impressions = 60,
    .n_windows = 4,
    .window_examples = 50,
    .n_units = 20,
    .production = 0.7,
    .missing = 0.1,
    .holdout = 0.9,
};

void test_values(struct test_random *random, struct esp_value values[TEST_FIELDS])
{
    static const char *const countries[] = {"DE", "FR", "never seen"};
    const char *country = countries[test_random_below(random, 3)];
    values[0] = (struct esp_value){.type = ESP_VALUE_TEXT, .u.bytes = esp_bytes_of(country)};
    values[1] =
        test_random_below(random, 5) == 0
            ? (struct esp_value){.type = ESP_VALUE_MISSING}
            : (struct esp_value){.type = ESP_VALUE_REAL, .u.f = 50 * test_random_unit(random)};
    values[2] =
        (struct esp_value){.type = ESP_VALUE_INT, .u.i = (int64_t)test_random_below(random, 101)};
}

static double draw_score(struct test_random *random)
{
    static const double odd[] = {0, 1, 1e-12, 1 - 1e-12, 1e-7, NAN};
    uint64_t which = test_random_below(random, 12);
    return which < 6 ? odd[which] : test_random_unit(random);
}

static void draw_impression(struct test_impression *impression, const struct test_plan *plan,
                            struct test_random *random)
{
    int64_t h = plan->ladder.window_us;
    /* Every third window stays empty; times are coarse, so that many are equal. */
    int64_t window = (int64_t)test_random_below(random, plan->n_windows);
    window -= window % 3 == 2;
    int64_t within = (int64_t)test_random_below(random, 16) * (h / 16);
    impression->time_us = (window - 3) * h + within;
    impression->y = test_random_below(random, 3) == 0;
    impression->z = impression->y && plan->has_installs && test_random_below(random, 2) == 0;
    int64_t W_c = plan->click_window_us, W_z = plan->install_window_us;
    impression->click_us =
        impression->time_us + (int64_t)test_random_below(random, (uint64_t)W_c + 1);
    impression->install_us =
        impression->click_us + (int64_t)test_random_below(random, (uint64_t)W_z + 1);
    impression->holdout = test_random_unit(random) < plan->holdout;
    impression->weight = 0.5 + 3 * test_random_unit(random);
    impression->unit =
        plan->n_units == 0 ? test_random_u64(random) : test_random_below(random, plan->n_units);
    bool scored = test_random_unit(random) < plan->production;
    for (size_t task = 0; task < ESP_N_TASKS; task++)
        impression->production[task] = scored ? draw_score(random) : NAN;
    test_values(random, impression->values);
}

static int by_time(const void *left, const void *right)
{
    const struct test_impression *a = left, *b = right;
    return a->time_us != b->time_us ? (a->time_us > b->time_us) - (a->time_us < b->time_us)
                                    : (a->ticket > b->ticket) - (a->ticket < b->ticket);
}

static int by_label_order(const void *left, const void *right)
{
    const struct test_label *a = left, *b = right;
    if (a->due_us != b->due_us)
        return a->due_us < b->due_us ? -1 : 1;
    if (a->impression != b->impression)
        return a->impression < b->impression ? -1 : 1;
    return (a->stage > b->stage) - (a->stage < b->stage);
}

static void add_label(struct test_stream *stream, size_t i, uint8_t stage, int64_t due_us)
{
    stream->labels[stream->n_labels++] = (struct test_label){due_us, i, stage};
}

void test_stream_label(struct test_stream *stream)
{
    int64_t W_c = stream->plan->click_window_us, W_z = stream->plan->install_window_us;
    for (size_t i = 0; i < stream->n; i++)
        stream->impressions[i].ticket = i;
    if (stream->n > 0)
        qsort(stream->impressions, stream->n, sizeof *stream->impressions, by_time);
    stream->labels = calloc(3 * stream->n + 1, sizeof *stream->labels);
    for (size_t i = 0; i < stream->n; i++) {
        struct test_impression *impression = &stream->impressions[i];
        int64_t first_us = impression->time_us + W_c, then_us = impression->click_us + W_z;
        impression->ticket = 7 * i + 3;
        impression->install_at = SIZE_MAX;
        add_label(stream, i, ESP_STAGE_CLICK, first_us);
        if (impression->y && stream->plan->has_installs)
            add_label(stream, i, ESP_STAGE_INSTALL, first_us > then_us ? first_us : then_us);
        if (i % 5 == 0)
            add_label(stream, i, ESP_STAGE_WHOLE, first_us + W_z);
    }
    if (stream->n_labels > 0)
        qsort(stream->labels, stream->n_labels, sizeof *stream->labels, by_label_order);
    stream->n_labels -= (size_t)(stream->plan->cut * (double)stream->n_labels);
    for (size_t k = 0; k < stream->n_labels; k++)
        if (stream->labels[k].stage == ESP_STAGE_INSTALL)
            stream->impressions[stream->labels[k].impression].install_at = k;
}

void test_stream_draw(struct test_stream *stream, const struct test_plan *plan,
                      const struct test_files *files, uint64_t seed)
{
    *stream =
        (struct test_stream){.plan = plan, .files = files, .seed = seed, .n = plan->n_impressions};
    struct test_random random = {.state = seed};
    stream->impressions = calloc(stream->n + 1, sizeof *stream->impressions);
    for (size_t i = 0; i < stream->n; i++)
        draw_impression(&stream->impressions[i], plan, &random);
    test_stream_label(stream);
}

void test_stream_release(struct test_stream *stream)
{
    free(stream->impressions);
    free(stream->labels);
}

/* ---- into the stage ---- */

size_t test_stream_state(const struct test_stream *stream, size_t model, int64_t boundary_us)
{
    uint64_t number = (uint64_t)(boundary_us / stream->plan->ladder.window_us + 1000);
    struct test_random random = {.state = stream->seed * 1000003 + number * 31 + model};
    if (test_random_unit(&random) < stream->plan->missing)
        return SIZE_MAX;
    return test_random_below(&random, TEST_STATES);
}

const char *test_stream_path(const struct test_stream *stream, size_t model, size_t state)
{
    return stream->files->paths[stream->plan->setups[model]][state];
}

static enum esp_status open_state(void *context, size_t model, int64_t boundary_us,
                                  struct esp_snapshot **out, struct esp_error *err)
{
    const struct test_stream *stream = context;
    size_t state = test_stream_state(stream, model, boundary_us);
    *out = NULL;
    return state == SIZE_MAX ? ESP_OK
                             : esp_snapshot_open(test_stream_path(stream, model, state),
                                                 ESP_SNAPSHOT_STRUCTURE, out, err);
}

struct esp_drift_config test_stream_config(const struct test_stream *stream)
{
    const struct test_plan *plan = stream->plan;
    struct esp_drift_config config = {
        .ladder = plan->ladder,
        .click_window_us = plan->click_window_us,
        .has_installs = plan->has_installs,
        .n_models = plan->n_models,
        .window_examples = plan->window_examples,
        .open = open_state,
        .open_context = (void *)stream,
    };
    for (size_t task = 0; task < ESP_N_TASKS; task++)
        config.has_production[task] = plan->production > 0;
    return config;
}

enum esp_status test_stream_feed(const struct test_stream *stream, struct esp_drift *drift,
                                 size_t place, struct esp_error *err)
{
    const struct test_label *label = &stream->labels[place];
    const struct test_impression *impression = &stream->impressions[label->impression];
    enum esp_status status = esp_drift_advance(drift, label->due_us, err);
    if (status != ESP_OK || !impression->holdout || label->stage == ESP_STAGE_WHOLE)
        return status;
    struct esp_example example = {
        .due_us = label->due_us,
        .impression_us = impression->time_us,
        .ticket = impression->ticket,
        .weight = impression->weight,
        .stage = label->stage,
        .y = impression->y,
        .z = label->stage == ESP_STAGE_INSTALL && impression->z,
        .holdout = true,
    };
    if (label->stage == ESP_STAGE_INSTALL)
        return esp_drift_install(drift, &example, err);
    struct esp_drift_example taken = {
        .example = &example, .values = impression->values, .unit = impression->unit};
    memcpy(taken.production, impression->production, sizeof taken.production);
    return esp_drift_click(drift, &taken, err);
}

enum esp_status test_write_measure(void *context, const struct esp_drift_measure *m,
                                   struct esp_error *err)
{
    GString *text = context;
    (void)err;
    const struct esp_figure *figures[] = {&m->figures.log_loss,    &m->figures.normalised_entropy,
                                          &m->figures.calibration, &m->figures.roc_auc,
                                          &m->figures.pr_auc,      &m->drift_loss,
                                          &m->production_loss};
    g_string_append_printf(text, "%d %zu %s %" PRId64 " %d %u %" PRId64 " %a", (int)m->source,
                           m->model, m->setup, m->window_start_us, (int)m->task, m->age,
                           m->snapshot, m->share);
    const unsigned char *sums[] = {(const unsigned char *)&m->sums,
                                   (const unsigned char *)&m->paired,
                                   (const unsigned char *)&m->production};
    const size_t sizes[] = {sizeof m->sums, sizeof m->paired, sizeof m->production};
    for (size_t s = 0; s < 3; s++)
        for (size_t i = 0; i < sizes[s]; i++)
            g_string_append_printf(text, "%02x", sums[s][i]);
    for (size_t f = 0; f < sizeof figures / sizeof figures[0]; f++)
        g_string_append_printf(text, " %d%d %a %a %a", figures[f]->defined,
                               figures[f]->has_interval, figures[f]->value, figures[f]->low,
                               figures[f]->high);
    g_string_append_c(text, '\n');
    return ESP_OK;
}
