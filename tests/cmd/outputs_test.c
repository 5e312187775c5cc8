/*
 * outputs_test.c - outputs that go back to a checkpoint leave what undisturbed ones leave: topics
 * that were open, that were not, and those that came with another schema of impressions.
 */
#include "cmd/topics/outputs.h"

#include <glib/gstdio.h>
#include <string.h>

#include "cmd/topics/inputs.h"
#include "testkit.h"

enum { N_STEPS = 4000, N_SCHEMAS = 3 };

/* A run's outputs of both kinds, on a folder of its own. */
struct bench {
    char *folder, *root;
    struct config config;
    struct inputs inputs;
    struct outputs turned_away, learned;
};

static void ok(enum esp_status status, const struct esp_error *err)
{
    if (status != ESP_OK)
        g_test_fail_printf("%s", err->text);
}

static void quiet(void *context, const struct esp_log_event *event)
{
    (void)context, (void)event;
}

/* The schema of impressions with `i` fields more. */
static char *schema_json(size_t i)
{
    gchar *json = NULL, **halves;
    g_assert_true(
        g_file_get_contents(ESP_SOURCE_DIR "/schemas/impression.avsc", &json, NULL, NULL));
    halves = g_strsplit(json, "\"fields\": [", 2);
    g_assert_cmpuint(g_strv_length(halves), ==, 2);
    GString *text = g_string_new(halves[0]);
    g_string_append(text, "\"fields\": [");
    for (size_t f = 0; f < i; f++)
        g_string_append_printf(text, "{\"name\": \"more_%zu\", \"type\": \"int\"},", f);
    g_string_append(text, halves[1]);
    g_strfreev(halves);
    g_free(json);
    return g_string_free(text, FALSE);
}

/* As a start does, with the schemas that the decoder of a checkpoint has. */
static void open_outputs(struct bench *bench)
{
    struct esp_error err = {0};
    ok(inputs_open(&bench->inputs, &bench->config, quiet, NULL, &err), &err);
    struct esp_decoder *decoder = bench->inputs.kinds[ESP_IMPRESSION].decoder;
    const struct esp_log_framer *framer = esp_decoder_framer(decoder);
    for (size_t i = 0; i < N_SCHEMAS && !g_test_failed(); i++) {
        char *json = schema_json(i);
        const void *schema = NULL;
        ok(framer->open(framer->context, json, strlen(json), &schema, &err), &err);
        g_free(json);
    }
    outputs_init(&bench->turned_away, OUTPUT_LATE | OUTPUT_DEAD, &bench->config, bench->inputs.log,
                 decoder);
    outputs_init(&bench->learned, OUTPUT_EXAMPLES, &bench->config, bench->inputs.log, decoder);
}

static void close_outputs(struct bench *bench)
{
    outputs_release(&bench->turned_away);
    outputs_release(&bench->learned);
    inputs_release(&bench->inputs);
}

static void set_up(struct bench *bench)
{
    *bench = (struct bench){.folder = test_folder_new()};
    char *path = g_build_filename(bench->folder, "t.ini", NULL);
    bench->root = g_build_filename(bench->folder, "data", NULL);
    char *text = g_strdup_printf("[files]\nroot = %s\n[features]\ncategorical = advertiser_id\n"
                                 "[output]\npartitions = 2\n",
                                 bench->root);
    g_assert_cmpint(g_mkdir(bench->root, 0777), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    struct esp_error err = {0};
    ok(config_load(&bench->config, path, NULL, 0, NULL, NULL, &err), &err);
    g_free(text);
    g_free(path);
    open_outputs(bench);
}

static void tear_down(struct bench *bench)
{
    close_outputs(bench);
    config_release(&bench->config);
    g_free(bench->root);
    test_folder_remove(bench->folder);
}

/* What the i-th step writes follows from i: late events come after a third, the other schemas after
 * a half and after three quarters. */
static void step(struct bench *bench, size_t i)
{
    struct test_random random = {.state = i};
    uint8_t payload[600];
    char id[32];
    struct esp_error err = {0};
    size_t n = 1 + test_random_below(&random, sizeof payload - 1);
    for (size_t b = 0; b < n; b++)
        payload[b] = (uint8_t)test_random_u64(&random);
    snprintf(id, sizeof id, "impression-%zu", i);
    if (i % 10 == 0) {
        const struct esp_turned_away event = {
            .kind = ESP_CLICK,
            .verdict = i > N_STEPS / 3 && i % 20 == 0 ? ESP_VERDICT_LATE : ESP_VERDICT_DEAD,
            .reject = ESP_REJECT_MALFORMED,
            .offset = (int64_t)i,
            .time_us = (int64_t)i,
            .log_time_us = ESP_TIME_NONE,
            .raw = {payload, n},
        };
        ok(outputs_write_turned_away(&bench->turned_away, &event, &err), &err);
        return;
    }
    size_t n_schemas = i > N_STEPS * 3 / 4 ? 3 : i > N_STEPS / 2 ? 2 : 1;
    const struct esp_example example = {
        .due_us = (int64_t)i,
        .click_us = ESP_TIME_NONE,
        .install_us = ESP_TIME_NONE,
        .id = esp_bytes_of(id),
        .payload = {payload, n},
        .writer = esp_decoder_writer(bench->inputs.kinds[ESP_IMPRESSION].decoder,
                                     (uint16_t)(i % n_schemas)),
        .weight = 1,
        .base_weight = 1,
    };
    ok(outputs_write_example(&bench->learned, &example, &err), &err);
}

static void steps(struct bench *bench, size_t from, size_t to)
{
    for (size_t i = from; i < to && !g_test_failed(); i++)
        step(bench, i);
}

static void flush(struct bench *bench)
{
    struct esp_error err = {0};
    ok(outputs_flush(&bench->turned_away, &err), &err);
    ok(outputs_flush(&bench->learned, &err), &err);
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every file below a folder, its path and bytes. */
static void add_contents(const char *root, const char *below, GString *all)
{
    char *path = g_build_filename(root, below, NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;)
        g_ptr_array_add(names, g_build_filename(below, name, NULL));
    if (dir != NULL)
        g_dir_close(dir);
    g_ptr_array_sort(names, by_text);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        char *whole = g_build_filename(root, name, NULL);
        gchar *bytes = NULL;
        gsize size = 0;
        if (g_file_test(whole, G_FILE_TEST_IS_DIR)) {
            add_contents(root, name, all);
        } else {
            g_assert_true(g_file_get_contents(whole, &bytes, &size, NULL));
            g_string_append_printf(all, "%s:%zu\n", name, size);
            g_string_append_len(all, bytes, (gssize)size);
            g_free(bytes);
        }
        g_free(whole);
    }
    g_ptr_array_unref(names);
    g_free(path);
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

static void save(struct bench *bench, struct esp_buf *archive)
{
    static struct esp_archive to;
    struct esp_error err = {0};
    struct outputs *const both[] = {&bench->turned_away, &bench->learned};
    esp_buf_clear(archive);
    esp_archive_write_to(&to, to_buf, archive);
    for (size_t i = 0; i < 2; i++) {
        struct fences fences = {0};
        bool done = false;
        ok(outputs_fence(both[i], &fences, &err), &err);
        outputs_archive(&to, both[i]);
        ok(fences_settled(&fences, &done, &err), &err);
        g_assert_true(done);
        fences_release(&fences);
    }
    ok(esp_archive_end(&to, &err), &err);
}

static enum esp_status fill(struct bench *bench, struct esp_bytes archive, struct esp_error *err)
{
    static struct esp_archive from;
    esp_archive_read_from(&from, archive);
    outputs_archive(&from, &bench->turned_away);
    outputs_archive(&from, &bench->learned);
    return esp_archive_end(&from, err);
}

static void recover(struct bench *bench, const struct esp_buf *archive)
{
    struct esp_error err = {0};
    close_outputs(bench);
    open_outputs(bench);
    ok(fill(bench, esp_buf_bytes(archive), &err), &err);
    ok(outputs_cut_back(&bench->turned_away, &err), &err);
    ok(outputs_cut_back(&bench->learned, &err), &err);
}

/* What a run before this one left: also a folder of examples of the second schema. */
static void begin(struct bench *bench)
{
    struct esp_error err = {0};
    steps(bench, N_STEPS / 2, N_STEPS / 2 + 20);
    flush(bench);
    close_outputs(bench);
    open_outputs(bench);
    ok(outputs_begin(&bench->turned_away, &err), &err);
    ok(outputs_begin(&bench->learned, &err), &err);
}

static void run_killed(struct bench *bench, uint64_t seed)
{
    struct test_random random = {.state = seed};
    struct esp_buf archive;
    esp_buf_init(&archive, 64 << 20);
    begin(bench);
    save(bench, &archive);
    size_t at = 0, saved = 0;
    while (at < N_STEPS && !g_test_failed()) {
        size_t to = at + 1 + test_random_below(&random, 500);
        to = to < N_STEPS ? to : N_STEPS;
        steps(bench, at, to);
        at = to;
        switch (test_random_below(&random, 5)) {
        case 0:
        case 1:
            save(bench, &archive);
            saved = at;
            break;
        case 2:
            if (test_random_below(&random, 2) == 0)
                flush(bench);
            recover(bench, &archive);
            at = saved;
            break;
        default:
            break;
        }
    }
    flush(bench);
    esp_buf_release(&archive);
}

static bool has_text(const GString *bytes, const char *text)
{
    return memmem(bytes->str, bytes->len, text, strlen(text)) != NULL;
}

static void test_killed(void)
{
    struct bench bench;
    GString *want = g_string_new(NULL);
    set_up(&bench);
    begin(&bench);
    steps(&bench, 0, N_STEPS);
    flush(&bench);
    add_contents(bench.root, "", want);
    tear_down(&bench);
    for (uint64_t seed = 1; seed <= 5 && !g_test_failed(); seed++) {
        GString *got = g_string_new(NULL);
        set_up(&bench);
        run_killed(&bench, seed);
        add_contents(bench.root, "", got);
        if (!g_string_equal(want, got))
            g_test_fail_printf("seed %d: the files differ", (int)seed);
        g_string_free(got, TRUE);
        tear_down(&bench);
    }
    g_assert_true(has_text(want, "espalier.late/"));
    g_assert_true(has_text(want, "espalier.dead-letter/"));
    g_assert_true(has_text(want, "espalier.examples-"));
    g_string_free(want, TRUE);
}

/* A configuration that writes more, or fewer, topics than at the checkpoint: the others' files are
 * left alone. */
static void test_other_topics(void)
{
    struct bench bench;
    struct esp_buf archive;
    struct esp_error err = {0};
    esp_buf_init(&archive, 64 << 20);
    set_up(&bench);
    begin(&bench);
    steps(&bench, 0, 100);
    save(&bench, &archive);
    steps(&bench, 100, 200);
    flush(&bench);
    GString *before = g_string_new(NULL), *after = g_string_new(NULL);
    add_contents(bench.root, "espalier.examples", before);
    close_outputs(&bench);
    open_outputs(&bench);
    bench.learned.topics = OUTPUT_DRIFT;
    ok(fill(&bench, esp_buf_bytes(&archive), &err), &err);
    ok(outputs_cut_back(&bench.turned_away, &err), &err);
    ok(outputs_cut_back(&bench.learned, &err), &err);
    flush(&bench);
    add_contents(bench.root, "espalier.examples", after);
    g_assert_true(g_string_equal(before, after));
    /* Written again, it begins behind what is there. */
    save(&bench, &archive);
    close_outputs(&bench);
    open_outputs(&bench);
    ok(fill(&bench, esp_buf_bytes(&archive), &err), &err);
    ok(outputs_cut_back(&bench.turned_away, &err), &err);
    ok(outputs_cut_back(&bench.learned, &err), &err);
    save(&bench, &archive);
    steps(&bench, 200, 300);
    flush(&bench);
    recover(&bench, &archive);
    g_string_truncate(after, 0);
    add_contents(bench.root, "espalier.examples", after);
    g_assert_true(g_string_equal(before, after));
    g_string_free(before, TRUE);
    g_string_free(after, TRUE);
    tear_down(&bench);
    esp_buf_release(&archive);
}

/* Cut anywhere, with any byte turned: refused, or outputs that can be used and freed. */
static void test_damaged(void)
{
    struct bench bench;
    struct esp_buf archive;
    esp_buf_init(&archive, 64 << 20);
    set_up(&bench);
    struct esp_error err = {0};
    ok(outputs_begin(&bench.turned_away, &err), &err);
    ok(outputs_begin(&bench.learned, &err), &err);
    steps(&bench, 9, 12);
    save(&bench, &archive);
    for (size_t n = 0; n < archive.size && !g_test_failed(); n++) {
        struct esp_archive *from = g_new(struct esp_archive, 1);
        struct outputs outputs;
        bool is_cut = n % 2 == 0;
        archive.data[n] ^= (uint8_t)(is_cut ? 0 : 1 << (n / 2 % 8));
        outputs_init(&outputs, OUTPUT_LATE | OUTPUT_DEAD, &bench.config, bench.inputs.log,
                     bench.inputs.kinds[ESP_IMPRESSION].decoder);
        esp_archive_read_from(from, esp_bytes(archive.data, is_cut ? n : archive.size));
        outputs_archive(from, &outputs);
        outputs_release(&outputs);
        outputs_init(&outputs, OUTPUT_EXAMPLES, &bench.config, bench.inputs.log,
                     bench.inputs.kinds[ESP_IMPRESSION].decoder);
        outputs_archive(from, &outputs);
        enum esp_status status = esp_archive_end(from, NULL);
        g_assert_true(status == ESP_EDATA || (!is_cut && status == ESP_OK));
        outputs_release(&outputs);
        archive.data[n] ^= (uint8_t)(is_cut ? 0 : 1 << (n / 2 % 8));
        g_free(from);
    }
    tear_down(&bench);
    esp_buf_release(&archive);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/outputs/killed at random, the files are the undisturbed ones", test_killed);
    g_test_add_func("/outputs/topics that are no longer written are left alone", test_other_topics);
    g_test_add_func("/outputs/a damaged archive is refused or harmless", test_damaged);
    return g_test_run();
}
