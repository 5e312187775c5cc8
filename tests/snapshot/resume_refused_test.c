/*
 * resume_refused_test.c - what is not a learner's own snapshot is refused with the reason, and a
 * damaged one, whose checksum holds, breaks no invariant.
 */
#include "resume_helper.h"
#include "snapshot/snapshot_write.h"

static void set_layers(struct esp_learner_config *config)
{
    config->model.layers[1] = 7;
}
static void set_setup(struct esp_learner_config *config)
{
    config->model.setup = ESP_SETUP_ESMM;
}
static void set_width(struct esp_learner_config *config)
{
    config->model.width = 3;
}
static void set_no_installs(struct esp_learner_config *config)
{
    config->has_installs = false;
}
static void set_names(struct esp_learner_config *config)
{
    static const char *const other[TEST_FEATURES] = {"app", "ad", "bid"};
    config->feature_names = other;
}
static void set_memory(struct esp_learner_config *config)
{
    config->model.table_bytes = 29000;
    config->model.batch = 8;
}
static void set_optimizer(struct esp_learner_config *config)
{
    config->model.dense.kind = ESP_ADAM;
}

static const struct other_case {
    const char *name;
    void (*set)(struct esp_learner_config *config);
    const char *want; /* a part of the line */
} OTHERS[] = {
    {"other layers", set_layers, "it is of a model of another shape"},
    {"another set-up", set_setup, "it is of a model of another shape"},
    {"another width", set_width, "it is of a model of another shape"},
    {"a learner of clicks alone", set_no_installs, "it is of a model of another shape"},
    {"other names of features", set_names, "the default row of a feature is not possible"},
    {"a smaller budget", set_memory, "table_memory holds "},
    {"another optimizer", set_optimizer, "the optimizer's numbers of a dense weight is 2, and was"},
};

static void test_other_model(const void *data)
{
    const struct other_case *row = data;
    struct resume_scene scene;
    struct esp_error err = {0};
    resume_scene_init(&scene, ESP_SETUP_IPSP, &RESUME_CASES[0]);
    resume_write_whole(&scene);
    struct esp_snapshot *snapshot = resume_open(&scene);
    row->set(&scene.config);
    struct resume_learner other = resume_learner_new(scene.config);
    g_assert_cmpint(resume_take(snapshot, other.learner, NULL, &err), ==, ESP_EDATA);
    if (strstr(err.text, row->want) == NULL)
        g_test_fail_printf("it says \"%s\"", err.text);
    resume_learner_free(&other);
    esp_snapshot_close(snapshot);
    resume_scene_release(&scene);
}

static void test_whose(void)
{
    struct resume_scene scene;
    resume_scene_init(&scene, ESP_SETUP_CTR, &RESUME_CASES[0]);
    resume_write_whole(&scene);
    struct esp_snapshot *snapshot = resume_open(&scene);
    struct resume_learner other = resume_learner_new(scene.config);
    struct esp_features *features = NULL;
    struct esp_error err = {0};
    struct esp_resume_of run = {"00000000deadbeef", "main", 0}, model = {RESUME_RUN, "other", 0};
    g_assert_cmpint(esp_resume(snapshot, &run, other.learner, NULL, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==,
                    "it is of run 0123456789abcdef; what this configuration learns is run "
                    "00000000deadbeef");
    err = (struct esp_error){0};
    g_assert_cmpint(esp_resume(snapshot, &model, other.learner, NULL, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==, "it is of model main, not of other");
    err = (struct esp_error){0};
    g_assert_cmpint(esp_features_new(RESUME_FEATURES, 2, &features, NULL), ==, ESP_OK);
    g_assert_cmpint(resume_take(snapshot, other.learner, features, &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==,
                    "feature statistics of another feature list or version cannot be taken");
    esp_features_free(features);
    resume_learner_free(&other);
    esp_snapshot_close(snapshot);
    resume_scene_release(&scene);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void put_bytes(struct esp_archive *archive, void *context)
{
    struct esp_bytes *bytes = context;
    esp_archive_bytes(archive, (void *)(uintptr_t)bytes->data, bytes->size);
}

/* Writes the scene's snapshot with any bytes as the rest, whose checksum then holds. */
static void write_with(struct resume_scene *scene, struct esp_bytes bytes)
{
    struct esp_manifest manifest = resume_manifest(scene);
    struct esp_snapshot_rest rest = {.archive = put_bytes, .context = &bytes};
    struct esp_parameters parameters;
    esp_learner_parameters(scene->first.learner, &parameters);
    g_assert_cmpint(esp_snapshot_write_with(scene->path, &manifest, &parameters, ESP_DTYPE_F32,
                                            &rest, NULL, NULL),
                    ==, ESP_OK);
}

/* The rest that belongs there; to be freed. */
static uint8_t *take_rest(struct resume_scene *scene, size_t *out_n)
{
    resume_write_whole(scene);
    struct esp_snapshot *snapshot = resume_open(scene);
    const struct esp_file_tensor *tensor =
        esp_file_layout_find(esp_snapshot_layout(snapshot), ESP_REST_TENSOR);
    struct esp_bytes bytes = esp_snapshot_tensor(snapshot, tensor);
    uint8_t *copy = g_memdup2(bytes.data, bytes.size);
    *out_n = bytes.size;
    esp_snapshot_close(snapshot);
    return copy;
}

/* Whether a new learner takes the scene's file; it then learns on without a crash. */
static bool is_taken(struct resume_scene *scene)
{
    struct resume_learner made = resume_learner_new(scene->config);
    struct esp_snapshot *snapshot = resume_open(scene);
    struct esp_error err = {0};
    enum esp_status status = resume_take(snapshot, made.learner, NULL, &err);
    esp_snapshot_close(snapshot);
    g_assert_true(status == ESP_OK || status == ESP_EDATA);
    if (status == ESP_OK) {
        struct esp_feature_batch features;
        esp_learner_check(made.learner);
        esp_feature_batch_init(&features, TEST_FEATURES);
        test_stream_slice(&scene->stream, scene->split, 200, &features);
        if (esp_learner_take(made.learner, scene->stream.examples + scene->split, 200, &features,
                             NULL) == ESP_OK)
            esp_learner_check(made.learner);
        esp_feature_batch_release(&features);
    }
    resume_learner_free(&made);
    return status == ESP_OK;
}

static void test_truncated(void)
{
    struct resume_scene scene;
    size_t n;
    resume_scene_init(&scene, ESP_SETUP_IP, &RESUME_CASES[2]);
    uint8_t *rest = take_rest(&scene, &n);
    for (size_t cut = 0; cut < n; cut += cut < 100 ? 7 : 211) {
        write_with(&scene, esp_bytes(rest, cut));
        g_assert_false(is_taken(&scene));
    }
    uint8_t *longer = g_malloc0(n + 1);
    memcpy(longer, rest, n);
    write_with(&scene, esp_bytes(longer, n + 1));
    g_assert_false(is_taken(&scene));
    write_with(&scene, esp_bytes(rest, n));
    g_assert_true(is_taken(&scene));
    g_free(longer);
    g_free(rest);
    resume_scene_release(&scene);
}

static void test_altered(void)
{
    struct resume_scene scene;
    size_t n, n_taken = 0, n_refused = 0;
    struct test_random random = {.state = 12};
    resume_scene_init(&scene, ESP_SETUP_IPSP, &RESUME_CASES[1]);
    uint8_t *rest = take_rest(&scene, &n);
    for (size_t i = 0; i < 400; i++) {
        size_t place = i < 100 ? i : test_random_below(&random, n);
        uint8_t mask = (uint8_t)(1 << test_random_below(&random, 8));
        rest[place] ^= mask;
        write_with(&scene, esp_bytes(rest, n));
        bool taken = is_taken(&scene);
        n_taken += taken;
        n_refused += !taken;
        rest[place] ^= mask;
    }
    g_assert_cmpuint(n_taken, >, 50);
    g_assert_cmpuint(n_refused, >, 50);
    g_free(rest);
    resume_scene_release(&scene);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(OTHERS); i++) {
        char *path = g_strdup_printf("/refused/%s", OTHERS[i].name);
        g_test_add_data_func(path, &OTHERS[i], test_other_model);
        g_free(path);
    }
    g_test_add_func("/refused/another run, model or feature list", test_whose);
    g_test_add_func("/refused/a rest that is cut or longer", test_truncated);
    g_test_add_func("/altered/a byte breaks no invariant", test_altered);
    return g_test_run();
}
