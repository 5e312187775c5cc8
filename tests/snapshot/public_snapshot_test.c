/* public_snapshot_test.c - the public interface gives what the stages give, to the bit, whatever
 * the batch, the thread, or the caller's age. */
#include <espalier/espalier.h>
#include <math.h>
#include <string.h>

#include "metric/metric.h"
#include "model/scorer.h"
#include "snapshot/snapshot.h"
#include "snapshot_helper.h"
#include "testkit.h"

enum { N_ROWS = 2500, N_THREADS = 4 }; /* more rows than the library computes at a time */

struct fixture {
    char *folder, *path;
    struct test_model model;
    struct espalier_snapshot *snapshot;
    struct espalier_value *values; /* (N_ROWS, TEST_FIELDS) */
    struct espalier_score *want;   /* (N_ROWS) */
};

/* What test_rows() makes features of, as a caller of the library has it. */
static void make_values(struct espalier_value *values)
{
    static const char *const countries[] = {"DE", "FR", "never seen"};
    for (size_t i = 0; i < N_ROWS; i++) {
        struct espalier_value *row = values + i * TEST_FIELDS;
        const char *country = countries[i % 3];
        row[0].type = ESPALIER_TEXT;
        row[0].u.bytes = (struct espalier_bytes){(const uint8_t *)country, strlen(country)};
        row[1].type = i % 5 == 4 ? ESPALIER_MISSING : ESPALIER_REAL;
        row[1].u.f = 0.25 * (double)i;
        row[2].type = ESPALIER_INT;
        row[2].u.i = (int64_t)(i * 37 % 101);
    }
}

static void make_want(struct fixture *fixture)
{
    struct esp_feature_batch batch;
    struct esp_scorer *scorer = NULL;
    float *logits = g_new(float, N_ROWS *ESP_N_TASKS);
    test_rows(fixture->model.features, N_ROWS, &batch);
    g_assert_cmpint(esp_scorer_new(&fixture->model.network, &scorer, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_scorer_score(scorer, &fixture->model.forward, &batch, logits, NULL), ==,
                    ESP_OK);
    for (size_t i = 0; i < N_ROWS; i++)
        fixture->want[i] =
            (struct espalier_score){esp_sigmoid((double)logits[i * ESP_N_TASKS]),
                                    esp_sigmoid((double)logits[i * ESP_N_TASKS + 1]),
                                    esp_sigmoid((double)logits[i * ESP_N_TASKS + 2])};
    esp_scorer_free(scorer);
    esp_feature_batch_release(&batch);
    g_free(logits);
}

static void open_fixture(struct fixture *fixture, enum esp_setup_id setup)
{
    struct espalier_error error = {0};
    fixture->folder = test_folder_new();
    fixture->path = g_build_filename(fixture->folder, "one.safetensors", NULL);
    fixture->values = g_new0(struct espalier_value, N_ROWS * TEST_FIELDS);
    fixture->want = g_new0(struct espalier_score, N_ROWS);
    test_model_init(&fixture->model, setup);
    g_assert_cmpint(esp_snapshot_write(fixture->path, &fixture->model.manifest,
                                       &fixture->model.parameters, ESP_DTYPE_F32, NULL, NULL),
                    ==, ESP_OK);
    make_values(fixture->values);
    make_want(fixture);
    g_assert_cmpint(
        espalier_snapshot_open(fixture->path, ESPALIER_VERIFY, &fixture->snapshot, &error), ==,
        ESPALIER_OK);
    g_assert_cmpstr(error.text, ==, "");
}

static void close_fixture(struct fixture *fixture)
{
    espalier_snapshot_close(fixture->snapshot);
    test_model_release(&fixture->model);
    g_free(fixture->values);
    g_free(fixture->want);
    g_free(fixture->path);
    test_folder_remove(fixture->folder);
}

static void assert_scores(const struct fixture *fixture, const struct espalier_score *got)
{
    g_assert_cmpmem(got, N_ROWS * sizeof *got, fixture->want, N_ROWS * sizeof *got);
}

static void test_setup(const void *data)
{
    struct fixture fixture;
    struct espalier_scorer *scorer = NULL;
    struct espalier_score *got = g_new0(struct espalier_score, N_ROWS);
    struct espalier_description model = {.size = sizeof model};
    open_fixture(&fixture, (enum esp_setup_id)GPOINTER_TO_INT(data));
    g_assert_cmpint(espalier_snapshot_describe(fixture.snapshot, &model, NULL), ==, ESPALIER_OK);
    g_assert_cmpint(espalier_scorer_new(fixture.snapshot, &scorer, NULL), ==, ESPALIER_OK);
    g_assert_cmpint(espalier_scorer_score(scorer, fixture.values, N_ROWS, got, NULL), ==,
                    ESPALIER_OK);
    assert_scores(&fixture, got);
    g_assert_cmpint(model.has_task[ESPALIER_CLICK], ==, !isnan(got[0].p_click));
    g_assert_cmpint(model.has_task[ESPALIER_INSTALL_GIVEN_CLICK], ==,
                    !isnan(got[0].p_install_given_click));
    g_assert_cmpint(model.has_task[ESPALIER_INSTALL], ==, !isnan(got[0].p_install));
    /* One by one they are the same. */
    for (size_t i = 0; i < 100; i++) {
        struct espalier_score one;
        g_assert_cmpint(
            espalier_scorer_score(scorer, fixture.values + i * TEST_FIELDS, 1, &one, NULL), ==,
            ESPALIER_OK);
        g_assert_cmpmem(&one, sizeof one, &fixture.want[i], sizeof one);
    }
    espalier_scorer_free(scorer);
    g_free(got);
    close_fixture(&fixture);
}

static void test_keys(void)
{
    struct fixture fixture;
    struct espalier_scorer *scorer = NULL;
    struct espalier_error error = {0};
    struct esp_feature_batch batch;
    struct espalier_score *got = g_new0(struct espalier_score, N_ROWS);
    open_fixture(&fixture, ESP_SETUP_IPSP);
    test_rows(fixture.model.features, N_ROWS, &batch);
    g_assert_cmpint(espalier_scorer_new(fixture.snapshot, &scorer, NULL), ==, ESPALIER_OK);
    g_assert_cmpint(espalier_scorer_score_keys(scorer, batch.begin, batch.keys, batch.coefficients,
                                               N_ROWS, got, NULL),
                    ==, ESPALIER_OK);
    assert_scores(&fixture, got);
    batch.begin[N_ROWS * TEST_FEATURES / 2] = 0;
    g_assert_cmpint(espalier_scorer_score_keys(scorer, batch.begin, batch.keys, batch.coefficients,
                                               N_ROWS, got, &error),
                    ==, ESPALIER_INVALID);
    g_assert_cmpstr(error.text, ==, "begin falls");
    g_assert_cmpint(espalier_scorer_score_keys(scorer, NULL, NULL, NULL, 0, got, NULL), ==,
                    ESPALIER_OK);
    espalier_scorer_free(scorer);
    esp_feature_batch_release(&batch);
    g_free(got);
    close_fixture(&fixture);
}

static void test_description(void)
{
    struct fixture fixture;
    struct espalier_description model = {.size = sizeof model};
    struct espalier_feature feature = {.size = sizeof feature};
    struct espalier_error error = {0};
    open_fixture(&fixture, ESP_SETUP_ESSP_SPLIT);
    g_assert_cmpint(espalier_snapshot_describe(fixture.snapshot, &model, NULL), ==, ESPALIER_OK);
    g_assert_cmpuint(model.size, ==, sizeof model);
    g_assert_cmpstr(model.model, ==, "main");
    g_assert_cmpstr(model.run, ==, "00000000deadbeef");
    g_assert_cmpstr(model.setup, ==, "essp-split");
    g_assert_cmpint(model.number, ==, 12);
    g_assert_cmpuint(model.n_fields, ==, TEST_FIELDS);
    g_assert_cmpstr(model.fields[1], ==, "bid.price");
    g_assert_cmpuint(model.n_features, ==, TEST_FEATURES);
    g_assert_true(g_str_has_prefix(model.manifest, "{"));
    static const int kinds[] = {ESPALIER_CATEGORICAL, ESPALIER_STANDARDISED, ESPALIER_BUCKETS,
                                ESPALIER_CROSS};
    for (size_t i = 0; i < TEST_FEATURES; i++) {
        g_assert_cmpint(espalier_snapshot_feature(fixture.snapshot, i, &feature, NULL), ==,
                        ESPALIER_OK);
        g_assert_cmpint(feature.kind, ==, kinds[i]);
    }
    g_assert_cmpstr(feature.name, ==, "geo.country x bid.floor");
    g_assert_cmpuint(feature.cross_b, ==, 2);
    g_assert_cmpint(espalier_snapshot_feature(fixture.snapshot, TEST_FEATURES, &feature, &error),
                    ==, ESPALIER_INVALID);
    g_assert_cmpint(error.code, ==, ESPALIER_INVALID);
    close_fixture(&fixture);
}

/* A caller built when the struct was smaller: nothing behind what it knows is touched. */
static void test_older_caller(void)
{
    struct fixture fixture;
    struct espalier_description model;
    struct espalier_error error = {0};
    open_fixture(&fixture, ESP_SETUP_CTR);
    memset(&model, 0x55, sizeof model);
    model.size = offsetof(struct espalier_description, setup);
    const char *untouched = model.setup;
    g_assert_cmpint(espalier_snapshot_describe(fixture.snapshot, &model, NULL), ==, ESPALIER_OK);
    g_assert_cmpstr(model.run, ==, "00000000deadbeef");
    g_assert_true(model.setup == untouched);
    model.size = 0;
    g_assert_cmpint(espalier_snapshot_describe(fixture.snapshot, &model, &error), ==,
                    ESPALIER_INVALID);
    close_fixture(&fixture);
}

static gpointer score_in_thread(gpointer data)
{
    const struct fixture *fixture = data;
    struct espalier_scorer *scorer = NULL;
    struct espalier_score *got = g_new0(struct espalier_score, N_ROWS);
    if (espalier_scorer_new(fixture->snapshot, &scorer, NULL) == ESPALIER_OK)
        espalier_scorer_score(scorer, fixture->values, N_ROWS, got, NULL);
    espalier_scorer_free(scorer);
    return got;
}

static void test_threads(void)
{
    struct fixture fixture;
    GThread *threads[N_THREADS];
    open_fixture(&fixture, ESP_SETUP_IP);
    for (size_t i = 0; i < N_THREADS; i++)
        threads[i] = g_thread_new("score", score_in_thread, &fixture);
    for (size_t i = 0; i < N_THREADS; i++) {
        struct espalier_score *got = g_thread_join(threads[i]);
        assert_scores(&fixture, got);
        g_free(got);
    }
    close_fixture(&fixture);
}

static void test_errors(void)
{
    struct fixture fixture;
    struct espalier_snapshot *snapshot = NULL;
    struct espalier_scorer *scorer = NULL;
    struct espalier_error error = {0};
    struct espalier_score score;
    open_fixture(&fixture, ESP_SETUP_IPSP);
    g_assert_cmpint(espalier_snapshot_open("/nowhere/one.safetensors", 0, &snapshot, &error), ==,
                    ESPALIER_IO);
    g_assert_cmpint(error.code, ==, ESPALIER_IO);
    g_assert_nonnull(strstr(error.text, "/nowhere/one.safetensors"));
    g_assert_cmpint(espalier_snapshot_open(fixture.path, 64, &snapshot, NULL), ==,
                    ESPALIER_INVALID);
    char *bytes = NULL;
    gsize size = 0;
    g_assert_true(g_file_get_contents(fixture.path, &bytes, &size, NULL));
    char *cut = g_build_filename(fixture.folder, "cut.safetensors", NULL);
    g_assert_true(g_file_set_contents(cut, bytes, (gssize)size - 64, NULL));
    g_assert_cmpint(espalier_snapshot_open(cut, 0, &snapshot, &error), ==, ESPALIER_DATA);
    bytes[size - 100] ^= 1;
    g_assert_true(g_file_set_contents(cut, bytes, (gssize)size, NULL));
    g_assert_cmpint(espalier_snapshot_open(cut, ESPALIER_VERIFY, &snapshot, &error), ==,
                    ESPALIER_DATA);
    g_assert_null(snapshot);
    g_assert_cmpint(espalier_scorer_new(fixture.snapshot, &scorer, NULL), ==, ESPALIER_OK);
    fixture.values[1].type = 99;
    g_assert_cmpint(espalier_scorer_score(scorer, fixture.values, 1, &score, &error), ==,
                    ESPALIER_INVALID);
    g_assert_cmpstr(error.text, ==, "row 0, field bid.price: no value has the type 99");
    espalier_scorer_free(scorer);
    espalier_scorer_free(NULL);
    espalier_snapshot_close(NULL);
    g_free(bytes);
    g_free(cut);
    close_fixture(&fixture);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (int setup = 0; setup < ESP_N_SETUPS; setup++) {
        char name[128];
        g_snprintf(name, sizeof name, "/public/%s scores as inside, in any batch",
                   esp_setup_get((enum esp_setup_id)setup)->name);
        g_test_add_data_func(name, GINT_TO_POINTER(setup), test_setup);
    }
    g_test_add_func("/public/prepared keys give the same scores", test_keys);
    g_test_add_func("/public/a snapshot tells what it is and reads", test_description);
    g_test_add_func("/public/an older caller's smaller struct is respected", test_older_caller);
    g_test_add_func("/public/threads share a snapshot", test_threads);
    g_test_add_func("/public/what cannot be is refused with code and line", test_errors);
    return g_test_run();
}
