/* resume_helper.c - see resume_helper.h. */
#include "resume_helper.h"

#include "model/scorer.h"
#include "snapshot/snapshot_write.h"

enum { IMPRESSIONS = 1300, NUMBER = 25 };

static const char *const FIELDS[TEST_FEATURES] = {"ad", "app", "bid"};
const struct esp_feature_config RESUME_FEATURES[TEST_FEATURES] = {
    {.name = "ad", .kind = ESP_FEATURE_CATEGORICAL, .value = 0},
    {.name = "app", .kind = ESP_FEATURE_CATEGORICAL, .value = 1},
    {.name = "bid", .kind = ESP_FEATURE_NUMERIC, .value = 2},
};

const struct resume_case RESUME_CASES[RESUME_N_CASES] = {
    {"adagrad by coordinate", ESP_ADAGRAD, ESP_PER_COORDINATE, ESP_SCHEDULE_CONSTANT, 0, 0, 1, 0},
    {"adagrad by coordinate, rows evicted", ESP_ADAGRAD, ESP_PER_COORDINATE, ESP_SCHEDULE_CONSTANT,
     0, 0, 1, 8},
    {"adagrad by row, fading, clipped, admission", ESP_ADAGRAD, ESP_ROW_WISE, ESP_SCHEDULE_CONSTANT,
     3 * ESP_HOUR, 0.05, 2, 8},
    {"sgd", ESP_SGD, ESP_PER_COORDINATE, ESP_SCHEDULE_INVERSE, 0, 0, 1, 4},
    {"adam, admission", ESP_ADAM, ESP_PER_COORDINATE, ESP_SCHEDULE_CONSTANT, 0, 0.1, 2, 12},
};

static struct esp_learner_config resume_config(enum esp_setup_id setup,
                                               const struct resume_case *row)
{
    enum { INDEX_BYTES = 1024 * 12 * 3 / 2, META_BYTES = 16, ROWS = 105 };
    struct esp_learner_config config = test_learner_config(setup);
    uint64_t bytes = INDEX_BYTES + ROWS * (row->n_floats * sizeof(float) + META_BYTES);
    if (row->n_floats > 0)
        config.model.table_bytes =
            esp_setup_get(setup)->n_towers * (row->admit_after == 1 ? bytes : bytes * 16 / 15 + 1);
    config.model.admit_after = row->admit_after;
    for (int part = 0; part < 2; part++) {
        struct esp_optimizer_config *optimizer =
            part == 0 ? &config.model.dense : &config.model.sparse;
        optimizer->kind = row->kind;
        optimizer->accumulator = row->accumulator;
        optimizer->schedule = row->schedule;
        optimizer->half_life_us = row->half_life_us;
        optimizer->clip = row->clip;
    }
    return config;
}

static void hear(void *context, const struct esp_window_done *done)
{
    struct resume_heard heard = {
        .start_us = done->start_us, .task = done->task, .sums = *done->sums};
    g_array_append_val((GArray *)context, heard);
}

struct resume_learner resume_learner_new(struct esp_learner_config config)
{
    struct resume_learner made = {.heard = g_array_new(FALSE, TRUE, sizeof(struct resume_heard))};
    struct esp_error err = {0};
    config.window_done = hear;
    config.window_context = made.heard;
    esp_learner_new(&config, NULL, &made.learner, &err);
    g_assert_cmpstr(err.text, ==, "");
    return made;
}

void resume_learner_free(struct resume_learner *made)
{
    esp_learner_free(made->learner);
    g_array_free(made->heard, TRUE);
}

struct esp_features *resume_features(bool learned)
{
    struct esp_features *features = NULL;
    struct esp_feature_batch batch;
    g_assert_cmpint(esp_features_new(RESUME_FEATURES, TEST_FEATURES, &features, NULL), ==, ESP_OK);
    esp_feature_batch_init(&batch, TEST_FEATURES);
    for (size_t i = 0; learned && i < 100; i++) {
        struct esp_value values[TEST_FEATURES] = {
            {.type = ESP_VALUE_INT}, {.type = ESP_VALUE_INT}, {.type = ESP_VALUE_REAL}};
        values[2].u.f = (double)i * 0.3;
        g_assert_cmpint(esp_features_add_row(features, values, true, &batch, NULL), ==, ESP_OK);
    }
    esp_feature_batch_release(&batch);
    return features;
}

void resume_feed(struct esp_learner *learner, const struct test_stream *stream, size_t first,
                 size_t n)
{
    struct esp_feature_batch features;
    struct esp_error err = {0};
    esp_feature_batch_init(&features, TEST_FEATURES);
    test_stream_slice(stream, first, n, &features);
    enum esp_status status =
        esp_learner_take(learner, stream->examples + first, n, &features, &err);
    if (status == ESP_OK)
        esp_learner_flush(learner, &err);
    g_assert_cmpstr(err.text, ==, "");
    esp_feature_batch_release(&features);
}

void resume_scene_init(struct resume_scene *scene, enum esp_setup_id setup,
                       const struct resume_case *row)
{
    *scene =
        (struct resume_scene){.folder = test_folder_new(), .config = resume_config(setup, row)};
    scene->path = g_build_filename(scene->folder, "one.safetensors", NULL);
    scene->first = resume_learner_new(scene->config);
    scene->features = resume_features(true);
    test_stream_init(&scene->stream, TEST_FEATURES);
    test_stream_fill(&scene->stream, IMPRESSIONS, 5);
    while (scene->stream.examples[scene->split].due_us < RESUME_BOUNDARY_US)
        scene->split++;
    resume_feed(scene->first.learner, &scene->stream, 0, scene->split);
}

void resume_scene_release(struct resume_scene *scene)
{
    resume_learner_free(&scene->first);
    esp_features_free(scene->features);
    test_stream_release(&scene->stream);
    g_free(scene->path);
    test_folder_remove(scene->folder);
}

struct esp_manifest resume_manifest(const struct resume_scene *scene)
{
    const struct esp_model_config *model = &scene->config.model;
    struct esp_learner_report report;
    esp_learner_report(scene->first.learner, &report);
    struct esp_manifest manifest = {
        .run = RESUME_RUN,
        .model = "main",
        .number = NUMBER,
        .boundary_us = RESUME_BOUNDARY_US,
        .every_us = RESUME_EVERY_US,
        .has_installs = true,
        .setup = model->setup,
        .width = model->width,
        .n_layers = model->n_layers,
        .n_head_layers = model->n_head_layers,
        .n_learned = report.examples_learned,
        .n_steps = report.steps,
        .fields = FIELDS,
        .n_fields = TEST_FEATURES,
        .features = RESUME_FEATURES,
        .n_features = TEST_FEATURES,
        .statistics = scene->features,
    };
    memcpy(manifest.layers, model->layers, sizeof manifest.layers);
    memcpy(manifest.head_layers, model->head_layers, sizeof manifest.head_layers);
    return manifest;
}

void resume_write_whole(struct resume_scene *scene)
{
    struct esp_manifest manifest = resume_manifest(scene);
    struct esp_error err = {0};
    esp_resume_write(scene->path, &manifest, scene->first.learner, NULL, &err);
    g_assert_cmpstr(err.text, ==, "");
}

void resume_write_plain(struct resume_scene *scene, enum esp_dtype dtype)
{
    struct esp_manifest manifest = resume_manifest(scene);
    struct esp_parameters parameters;
    esp_learner_parameters(scene->first.learner, &parameters);
    g_assert_cmpint(esp_snapshot_write(scene->path, &manifest, &parameters, dtype, NULL, NULL), ==,
                    ESP_OK);
}

struct esp_snapshot *resume_open(const struct resume_scene *scene)
{
    struct esp_snapshot *snapshot = NULL;
    struct esp_error err = {0};
    esp_snapshot_open(scene->path, ESP_SNAPSHOT_CHECKSUM, &snapshot, &err);
    g_assert_cmpstr(err.text, ==, "");
    return snapshot;
}

enum esp_status resume_take(const struct esp_snapshot *snapshot, struct esp_learner *learner,
                            struct esp_features *features, struct esp_error *err)
{
    struct esp_resume_of of = {
        .run = RESUME_RUN, .model = "main", .click_window_us = RESUME_CLICK_MINUTES * ESP_MINUTE};
    return esp_resume(snapshot, &of, learner, features, err);
}

struct resume_learner resume_taken(const struct resume_scene *scene)
{
    struct resume_learner made = resume_learner_new(scene->config);
    struct esp_features *features = resume_features(false);
    struct esp_snapshot *snapshot = resume_open(scene);
    struct esp_error err = {0};
    resume_take(snapshot, made.learner, features, &err);
    g_assert_cmpstr(err.text, ==, "");
    esp_snapshot_close(snapshot); /* nothing of it is borrowed */
    esp_learner_check(made.learner);
    g_assert_cmpuint(esp_features_hash(features), ==, esp_features_hash(scene->features));
    esp_features_free(features);
    return made;
}

void resume_score(struct esp_learner *learner, const struct test_stream *stream,
                  float out[RESUME_SCORED * ESP_N_TASKS])
{
    struct esp_feature_batch features;
    esp_feature_batch_init(&features, TEST_FEATURES);
    test_stream_slice(stream, stream->n / 2, RESUME_SCORED, &features);
    g_assert_cmpint(esp_learner_score(learner, &features, out, NULL), ==, ESP_OK);
    esp_feature_batch_release(&features);
}

void resume_same_scores(struct esp_learner *left, struct esp_learner *right,
                        const struct test_stream *stream)
{
    static float a[RESUME_SCORED * ESP_N_TASKS], b[RESUME_SCORED * ESP_N_TASKS];
    resume_score(left, stream, a);
    resume_score(right, stream, b);
    g_assert_cmpmem(a, sizeof a, b, sizeof b);
}

void resume_same_as_file(const struct resume_scene *scene, struct esp_learner *learner)
{
    static float a[RESUME_SCORED * ESP_N_TASKS], b[RESUME_SCORED * ESP_N_TASKS];
    struct esp_snapshot *snapshot = resume_open(scene);
    const struct esp_forward_model *model = esp_snapshot_model(snapshot);
    struct esp_feature_batch features;
    struct esp_scorer *scorer = NULL;
    esp_feature_batch_init(&features, TEST_FEATURES);
    test_stream_slice(&scene->stream, scene->stream.n / 2, RESUME_SCORED, &features);
    g_assert_cmpint(esp_scorer_new(model->network, &scorer, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_scorer_score(scorer, model, &features, a, NULL), ==, ESP_OK);
    resume_score(learner, &scene->stream, b);
    g_assert_cmpmem(a, sizeof a, b, sizeof b);
    esp_scorer_free(scorer);
    esp_feature_batch_release(&features);
    esp_snapshot_close(snapshot);
}
