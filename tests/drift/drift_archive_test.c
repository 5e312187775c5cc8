/*
 * drift_archive_test.c - a stage that is archived and read into a fresh one, anywhere in a stream,
 * measures what an undisturbed one does; and no bytes make it crash.
 */
#include <inttypes.h>
#include <string.h>

#include "core/timespan.h"
#include "drift/drift.h"
#include "drift_helper.h"

#define H 1600

enum { FLIPS = 700 };

static struct test_files files;

#define AGES                        \
    {                               \
        H, 5, {0, 1, 2, 4, 7}, 2, 2 \
    }

/* clang-format off */
static const struct test_plan plans[] = {
    /* ladder, W_c, W_z, installs?, models, set-ups, impressions, windows, kept, units,
     *                                                    scored, missing, holdout, cut */
    {"all tasks, scores of others, snapshots that are missing",
     AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 60, 0.7, 0.2, 0.7, 0},
    {"more examples than a window keeps",
     AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_ESP}, 500, 14, 30, 90, 0.7, 0.1, 0.7, 0},
    {"more examples than are scored at a time, thinned while some are pending",
     AGES, H / 2, 3 * H, true, 2, {TEST_ESP, TEST_IPSP}, 1500, 4, 300, 0, 0, 0.1, 0.7, 0},
    {"no installs",
     AGES, H / 2, 3 * H, false, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"no snapshot at all",
     AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 1, 0.7, 0},
    {"installs after many later windows, and a stream that breaks off",
     AGES, H / 2, 9 * H, true, 1, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0.3},
};
/* clang-format on */

static enum esp_status take_bytes(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    (void)err;
    g_byte_array_append(context, bytes, (guint)n);
    return ESP_OK;
}

static GByteArray *write_state(struct esp_drift *drift)
{
    GByteArray *bytes = g_byte_array_new();
    struct esp_archive archive;
    struct esp_error err = {0};
    g_assert_cmpint(esp_drift_settle(drift, NULL), ==, ESP_OK);
    esp_archive_write_to(&archive, take_bytes, bytes);
    esp_drift_archive(&archive, drift);
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    return bytes;
}

/* Reads into a fresh stage, which is freed where that fails. */
static enum esp_status read_state(const struct esp_drift_config *config, const uint8_t *bytes,
                                  size_t n, struct esp_drift **out, struct esp_error *err)
{
    struct esp_archive archive;
    *out = NULL;
    g_assert_cmpint(esp_drift_new(config, NULL, out, NULL), ==, ESP_OK);
    esp_archive_read_from(&archive, esp_bytes(bytes, n));
    esp_drift_archive(&archive, *out);
    enum esp_status status = esp_archive_end(&archive, err);
    if (status != ESP_OK) {
        esp_drift_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- whole streams --------------------------------------------------------------------------- */

static struct esp_drift_config config_of(const struct test_stream *stream, GString *text)
{
    struct esp_drift_config config = test_stream_config(stream);
    config.emit = test_write_measure;
    config.emit_context = text;
    return config;
}

static void same_usage(const struct esp_drift *left, const struct esp_drift *right, bool at_rest)
{
    struct esp_drift_usage a, b;
    esp_drift_usage(left, &a);
    esp_drift_usage(right, &b);
    g_assert_cmpuint(a.windows, ==, b.windows);
    g_assert_cmpuint(a.examples, ==, b.examples);
    g_assert_cmpuint(a.thinned, ==, b.thinned);
    g_assert_cmpuint(a.measures, ==, b.measures);
    if (at_rest) /* else some of one may wait to be scored */
        g_assert_cmpuint(a.scored, ==, b.scored);
    g_assert_cmpint(esp_drift_first_window(left), ==, esp_drift_first_window(right));
}

/* Gives way to a fresh stage that reads its state. */
static struct esp_drift *replace(struct esp_drift *drift, const struct esp_drift_config *config)
{
    struct esp_drift *fresh = NULL;
    struct esp_error err = {0};
    GByteArray *bytes = write_state(drift);
    g_assert_cmpint(read_state(config, bytes->data, bytes->len, &fresh, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    if (fresh != NULL) {
        esp_drift_check(fresh);
        same_usage(drift, fresh, true);
        GByteArray *again = write_state(fresh);
        g_assert_cmpmem(again->data, again->len, bytes->data, bytes->len);
        g_byte_array_free(again, TRUE);
    }
    g_byte_array_free(bytes, TRUE);
    esp_drift_free(drift);
    return fresh;
}

/* Beside an undisturbed stage one that is replaced before about every `seldom`-th label. */
static void run_replaced(const struct test_plan *plan, uint64_t seed, uint64_t seldom)
{
    struct test_stream stream;
    struct test_random random = {.state = seed * 77 + seldom};
    GString *undisturbed_text = g_string_new(NULL), *text = g_string_new(NULL);
    test_stream_draw(&stream, plan, &files, seed);
    struct esp_drift_config undisturbed_config = config_of(&stream, undisturbed_text);
    struct esp_drift_config config = config_of(&stream, text);
    struct esp_drift *undisturbed = NULL, *drift = NULL;
    g_assert_cmpint(esp_drift_new(&undisturbed_config, NULL, &undisturbed, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_drift_new(&config, NULL, &drift, NULL), ==, ESP_OK);
    drift = replace(drift, &config); /* empty */
    for (size_t k = 0; drift != NULL && k < stream.n_labels && !g_test_failed(); k++) {
        g_assert_cmpint(test_stream_feed(&stream, undisturbed, k, NULL), ==, ESP_OK);
        g_assert_cmpint(test_stream_feed(&stream, drift, k, NULL), ==, ESP_OK);
        if (test_random_below(&random, seldom) == 0 || k + 1 == stream.n_labels)
            drift = replace(drift, &config);
        if (drift != NULL)
            same_usage(undisturbed, drift, false);
        g_assert_true(g_string_equal(text, undisturbed_text));
    }
    if (drift != NULL) {
        g_assert_cmpint(esp_drift_finish(undisturbed, NULL), ==, ESP_OK);
        g_assert_cmpint(esp_drift_finish(drift, NULL), ==, ESP_OK);
        same_usage(undisturbed, drift, true);
        g_assert_true(g_string_equal(text, undisturbed_text));
        g_assert_cmpuint(text->len, >, 1000);
    }
    esp_drift_free(drift);
    esp_drift_free(undisturbed);
    g_string_free(text, TRUE);
    g_string_free(undisturbed_text, TRUE);
    test_stream_release(&stream);
}

static void a_stage_that_is_replaced_measures_the_same(gconstpointer data)
{
    const uint64_t seldom[] = {7, 40, 400};
    for (size_t i = 0; i < G_N_ELEMENTS(seldom) && !g_test_failed(); i++)
        run_replaced(data, 1 + i, seldom[i]);
}

/* ---- what cannot be read --------------------------------------------------------------------- */

/* The state before a label, with one window open and others waiting. */
static GByteArray *state_of_small(struct test_stream *stream, GString *text)
{
    struct esp_drift *drift = NULL;
    struct esp_drift_usage usage = {.windows = 0};
    test_stream_draw(stream, &test_small_plan, &files, 5);
    struct esp_drift_config config = config_of(stream, text);
    g_assert_cmpint(esp_drift_new(&config, NULL, &drift, NULL), ==, ESP_OK);
    for (size_t k = 0; k < stream->n_labels && usage.windows < 3; k++) {
        g_assert_cmpint(test_stream_feed(stream, drift, k, NULL), ==, ESP_OK);
        esp_drift_usage(drift, &usage);
    }
    g_assert_cmpuint(usage.windows, ==, 3);
    GByteArray *bytes = write_state(drift);
    esp_drift_free(drift);
    return bytes;
}

static void a_state_that_is_cut_anywhere_is_refused(void)
{
    struct test_stream stream;
    GString *text = g_string_new(NULL);
    GByteArray *bytes = state_of_small(&stream, text);
    struct esp_drift_config config = config_of(&stream, text);
    for (guint n = 0; n < bytes->len && !g_test_failed(); n++) {
        struct esp_drift *drift = NULL;
        g_assert_cmpint(read_state(&config, bytes->data, n, &drift, NULL), ==, ESP_EDATA);
    }
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    struct esp_drift *drift = NULL;
    g_assert_cmpint(read_state(&config, bytes->data, bytes->len, &drift, NULL), ==, ESP_EDATA);
    g_byte_array_free(bytes, TRUE);
    g_string_free(text, TRUE);
    test_stream_release(&stream);
}

/* Goes on with the rest of the stream, whatever the state has become. */
static void go_on(struct esp_drift *drift, const struct test_stream *stream)
{
    esp_drift_check(drift);
    for (size_t k = 0; k < stream->n_labels; k++)
        test_stream_feed(stream, drift, k, NULL);
    esp_drift_check(drift);
    g_assert_cmpint(esp_drift_finish(drift, NULL), ==, ESP_OK);
    esp_drift_free(drift);
}

static void bytes_that_changed_are_refused_or_a_state(void)
{
    struct test_stream stream;
    struct test_random random = {.state = 3};
    GString *text = g_string_new(NULL);
    GByteArray *bytes = state_of_small(&stream, text);
    struct esp_drift_config config = config_of(&stream, text);
    size_t n_refused = 0, n_read = 0;
    for (size_t i = 0; i < FLIPS && !g_test_failed(); i++) {
        struct esp_drift *drift = NULL;
        guint at = (guint)test_random_below(&random, bytes->len);
        guint8 before = bytes->data[at];
        bytes->data[at] ^= (guint8)(1 + test_random_below(&random, 255));
        enum esp_status status = read_state(&config, bytes->data, bytes->len, &drift, NULL);
        bytes->data[at] = before;
        n_refused += status == ESP_EDATA;
        n_read += status == ESP_OK;
        if (status == ESP_OK)
            go_on(drift, &stream);
        g_string_truncate(text, 0);
    }
    g_assert_cmpuint(n_refused + n_read, ==, FLIPS);
    g_assert_cmpuint(n_refused, >, 20);
    g_assert_cmpuint(n_read, >, 20);
    g_byte_array_free(bytes, TRUE);
    g_string_free(text, TRUE);
    test_stream_release(&stream);
}

/* ---- another configuration, other files ------------------------------------------------------ */

static enum esp_status open_none(void *context, size_t model, int64_t boundary_us,
                                 struct esp_snapshot **out, struct esp_error *err)
{
    (void)context, (void)model, (void)boundary_us, (void)err;
    *out = NULL;
    return ESP_OK;
}

static enum esp_status open_missing(void *context, size_t model, int64_t boundary_us,
                                    struct esp_snapshot **out, struct esp_error *err)
{
    (void)context, (void)model, (void)boundary_us;
    return esp_snapshot_open("no/such/file", ESP_SNAPSHOT_STRUCTURE, out, err);
}

/* The state after the boundary's. */
static enum esp_status open_other(void *context, size_t model, int64_t boundary_us,
                                  struct esp_snapshot **out, struct esp_error *err)
{
    const struct test_stream *stream = context;
    size_t state = (test_stream_state(stream, model, boundary_us) + 1) % TEST_STATES;
    return esp_snapshot_open(test_stream_path(stream, model, state), ESP_SNAPSHOT_STRUCTURE, out,
                             err);
}

static void snapshots_that_are_gone_or_others_are_named(void)
{
    struct test_stream stream;
    struct esp_drift *drift = NULL;
    GString *text = g_string_new(NULL);
    GByteArray *bytes = state_of_small(&stream, text);
    struct esp_drift_config config = config_of(&stream, text);
    struct esp_error gone = {0}, missing = {0}, other = {0};
    config.open = open_none;
    g_assert_cmpint(read_state(&config, bytes->data, bytes->len, &drift, &gone), ==, ESP_EDATA);
    g_assert_true(g_pattern_match_simple(
        "snapshot 10? of model 0, which scores the window of drift that is open, is gone",
        gone.text));
    config.open = open_missing;
    g_assert_cmpint(read_state(&config, bytes->data, bytes->len, &drift, &missing), ==, ESP_EIO);
    g_assert_nonnull(strstr(missing.text, "no/such/file"));
    config.open = open_other;
    g_assert_cmpint(read_state(&config, bytes->data, bytes->len, &drift, &other), ==, ESP_EDATA);
    g_assert_nonnull(strstr(other.text, "is another one now"));
    g_byte_array_free(bytes, TRUE);
    g_string_free(text, TRUE);
    test_stream_release(&stream);
}

static void a_state_of_another_configuration_is_refused_with_its_key(void)
{
    struct test_stream stream;
    struct esp_drift *drift = NULL;
    GString *text = g_string_new(NULL);
    GByteArray *bytes = state_of_small(&stream, text);
    struct esp_error bound = {0}, ages = {0}, models = {0};
    struct esp_drift_config config = config_of(&stream, text);
    config.window_examples = 49;
    g_assert_cmpint(read_state(&config, bytes->data, bytes->len, &drift, &bound), ==, ESP_EDATA);
    g_assert_cmpstr(bound.text, ==,
                    "drift.window_examples is 49, and was 50 when the state was saved");
    config = config_of(&stream, text);
    config.ladder.n_ages = 4;
    g_assert_cmpint(read_state(&config, bytes->data, bytes->len, &drift, &ages), ==, ESP_EDATA);
    g_assert_cmpstr(ages.text, ==,
                    "the number of drift.ages is 4, and was 5 when the state was saved");
    config = config_of(&stream, text);
    config.n_models = 1;
    g_assert_cmpint(read_state(&config, bytes->data, bytes->len, &drift, &models), ==, ESP_EDATA);
    g_assert_cmpstr(models.text, ==,
                    "the number of models is 1, and was 2 when the state was saved");
    g_byte_array_free(bytes, TRUE);
    g_string_free(text, TRUE);
    test_stream_release(&stream);
}

static void a_state_with_unscored_examples_is_not_written(void)
{
    struct test_stream stream;
    struct esp_drift *drift = NULL;
    struct esp_error err = {0};
    struct esp_archive archive;
    GString *text = g_string_new(NULL);
    GByteArray *bytes = g_byte_array_new();
    test_stream_draw(&stream, &test_small_plan, &files, 5);
    struct esp_drift_config config = config_of(&stream, text);
    g_assert_cmpint(esp_drift_new(&config, NULL, &drift, NULL), ==, ESP_OK);
    for (size_t k = 0; k < 5; k++)
        g_assert_cmpint(test_stream_feed(&stream, drift, k, NULL), ==, ESP_OK);
    esp_archive_write_to(&archive, take_bytes, bytes);
    esp_drift_archive(&archive, drift);
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_EBUG);
    g_assert_cmpstr(err.text, ==, "a holdout example without its logits is not possible");
    esp_drift_free(drift);
    g_byte_array_free(bytes, TRUE);
    g_string_free(text, TRUE);
    test_stream_release(&stream);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    test_files_init(&files);
    for (size_t i = 0; i < G_N_ELEMENTS(plans); i++) {
        char *path = g_strdup_printf(
            "/drift archive/%s: a stage that is replaced measures the same", plans[i].name);
        g_test_add_data_func(path, &plans[i], a_stage_that_is_replaced_measures_the_same);
        g_free(path);
    }
    g_test_add_func("/drift archive/a state that is cut anywhere is refused",
                    a_state_that_is_cut_anywhere_is_refused);
    g_test_add_func("/drift archive/bytes that changed are refused, or are a state",
                    bytes_that_changed_are_refused_or_a_state);
    g_test_add_func("/drift archive/snapshots that are gone or others are named",
                    snapshots_that_are_gone_or_others_are_named);
    g_test_add_func("/drift archive/a state of another configuration is refused with its key",
                    a_state_of_another_configuration_is_refused_with_its_key);
    g_test_add_func("/drift archive/a state with unscored examples is not written",
                    a_state_with_unscored_examples_is_not_written);
    int result = g_test_run();
    test_files_release(&files);
    return result;
}
