/*
 * snapshots_archive_test.c - a run that begins again at a checkpoint takes the same snapshots as
 * one that was never broken off, and finds the files that the checkpoint needs.
 */
#include <string.h>
#include <unistd.h>

#include "snapshots_helper.h"

static const char with_checkpoints[] = "[state]\ncheckpoints = on\nkeep = 2\n[drift]\nages = 0, 1, "
                                       "2, 4, 8\nsparse_from = 4\nsparse = 2\n";

static enum esp_status take_bytes(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    (void)err;
    g_byte_array_append(context, bytes, (guint)n);
    return ESP_OK;
}

static GByteArray *write_state(struct snapshots *snapshots, int64_t first_window)
{
    struct esp_archive archive;
    GByteArray *bytes = g_byte_array_new();
    esp_archive_write_to(&archive, take_bytes, bytes);
    snapshots_archive(&archive, snapshots, first_window);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    return bytes;
}

static enum esp_status read_state(struct snapshots *snapshots, const guint8 *bytes, guint n,
                                  struct esp_error *err)
{
    struct esp_archive archive;
    esp_archive_read_from(&archive, esp_bytes(bytes, n));
    snapshots_archive(&archive, snapshots, INT64_MAX);
    return esp_archive_end(&archive, err);
}

static int64_t window_of(const struct test_bench *bench, size_t i)
{
    return esp_ladder_window(&bench->config.ladder, test_due(i) - ESP_HOUR);
}

/* As many checkpoints as are kept are made. */
static void save(struct test_bench *bench, int64_t first_window)
{
    for (int64_t i = 0; i < bench->config.options.state_keep; i++)
        snapshots_saved(&bench->snapshots, first_window);
}

/* Learns examples [from, to), and forgets on the way. */
static void run(struct test_bench *bench, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        test_bench_learn(bench, i, test_due(i));
        snapshots_forget(&bench->snapshots, window_of(bench, i));
    }
}

/* The run is killed: nothing is removed, and its state is another's, from before example i. */
static void kill_and_begin_at(struct test_bench *bench, size_t i)
{
    struct test_bench other;
    test_bench_start(&other, with_checkpoints);
    run(&other, 0, i);
    for (size_t m = 0; m < 2; m++) {
        struct esp_learner *learner = bench->learners[m];
        bench->learners[m] = other.learners[m];
        other.learners[m] = learner;
    }
    struct esp_features *features = bench->features;
    bench->features = other.features;
    other.features = features;
    test_bench_end(&other);

    snapshot_taker *taker = bench->snapshots.taker;
    snapshots_release(&bench->snapshots);
    g_assert_cmpint(snapshots_init(&bench->snapshots, &bench->config, NULL), ==, ESP_OK);
    bench->snapshots.taker = taker;
    bench->snapshots.taker_context = bench;
}

/* Every snapshot that the windows from `window` on measure and that was taken already is there. */
static void has_what_it_needs(struct test_bench *bench, int64_t window)
{
    const struct esp_ladder *ages = &bench->config.ladder;
    const struct model_snapshots *model = &bench->snapshots.models[0];
    if (model->n == 0)
        return;
    int64_t first_us = g_array_index(bench->numbers, int64_t, 0) * EVERY;
    for (int64_t next = window; next < window + 10; next++)
        for (size_t a = 0; a < ages->n_ages; a++) {
            int64_t boundary_us = (next - ages->ages[a]) * EVERY;
            struct esp_snapshot *snapshot = NULL;
            if (boundary_us < first_us || boundary_us > model->newest_us ||
                !esp_ladder_measures(ages, next, a))
                continue;
            g_assert_cmpint(snapshots_open(&bench->snapshots, 0, boundary_us, &snapshot, NULL), ==,
                            ESP_OK);
            g_assert_nonnull(snapshot);
            esp_snapshot_close(snapshot);
        }
}

/* Beside an undisturbed run one that has a checkpoint before example `at`, is killed before example
 * `killed`, and begins again. Files that are taken once more are compared by the bench. */
static void run_killed(size_t at, size_t killed)
{
    struct test_bench undisturbed, bench;
    test_bench_start(&undisturbed, with_checkpoints);
    test_bench_start(&bench, with_checkpoints);
    run(&undisturbed, 0, N);
    run(&bench, 0, at);
    int64_t window = at == 0 ? INT64_MIN : window_of(&bench, at - 1);
    save(&bench, window);
    snapshots_forget(&bench.snapshots, window);
    GByteArray *bytes = write_state(&bench.snapshots, window);
    run(&bench, at, killed);

    struct esp_error err = {0};
    kill_and_begin_at(&bench, at);
    g_assert_cmpint(read_state(&bench.snapshots, bytes->data, bytes->len, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    snapshots_tidy(&bench.snapshots);
    size_t n = bench.snapshots.models[0].n + bench.snapshots.models[1].n;
    g_assert_cmpuint(test_count_files(&bench), ==, n);
    GByteArray *again = write_state(&bench.snapshots, window);
    g_assert_cmpmem(again->data, again->len, bytes->data, bytes->len);
    g_byte_array_free(again, TRUE);
    has_what_it_needs(&bench, window);

    run(&bench, at, N);
    window = window_of(&bench, N - 1);
    save(&bench, window);
    save(&undisturbed, window);
    snapshots_forget(&bench.snapshots, window);
    snapshots_forget(&undisturbed.snapshots, window);
    GByteArray *want = write_state(&undisturbed.snapshots, window);
    GByteArray *got = write_state(&bench.snapshots, window);
    g_assert_cmpmem(got->data, got->len, want->data, want->len);
    g_byte_array_free(want, TRUE);
    g_byte_array_free(got, TRUE);
    g_byte_array_free(bytes, TRUE);
    test_bench_end(&undisturbed);
    test_bench_end(&bench);
}

static void a_run_that_begins_again_takes_the_same_snapshots(void)
{
    const size_t places[][2] = {{0, 0},     {0, 100},   {1, 1},     {59, 200}, {60, 61},
                                {150, 150}, {200, 420}, {301, 302}, {500, N}};
    for (size_t i = 0; i < G_N_ELEMENTS(places) && !g_test_failed(); i++)
        run_killed(places[i][0], places[i][1]);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void the_oldest_checkpoint_finds_its_files_whatever_came_after(void)
{
    enum { FIRST = 240 };
    struct test_bench bench;
    struct esp_error err = {0};
    test_bench_start(&bench, with_checkpoints);
    run(&bench, 0, FIRST);
    int64_t window = window_of(&bench, FIRST - 1);
    size_t n_then = bench.snapshots.models[0].n;
    GByteArray *bytes = write_state(&bench.snapshots, window);
    save(&bench, window);
    run(&bench, FIRST, N);
    size_t n_kept = bench.snapshots.models[0].n;

    kill_and_begin_at(&bench, FIRST);
    g_assert_cmpint(read_state(&bench.snapshots, bytes->data, bytes->len, &err), ==, ESP_OK);
    g_assert_cmpuint(bench.snapshots.models[0].n, ==, n_then);
    has_what_it_needs(&bench, window);
    snapshots_tidy(&bench.snapshots);

    /* As long as it is kept nothing of it goes; then all of it that nobody needs. */
    save(&bench, window);
    run(&bench, FIRST, N);
    g_assert_cmpuint(bench.snapshots.models[0].n, ==, n_kept);
    snapshots_saved(&bench.snapshots, window_of(&bench, N - 1));
    snapshots_forget(&bench.snapshots, window_of(&bench, N - 1));
    g_assert_cmpuint(bench.snapshots.models[0].n, ==, n_kept);
    snapshots_saved(&bench.snapshots, window_of(&bench, N - 1));
    snapshots_forget(&bench.snapshots, window_of(&bench, N - 1));
    g_assert_cmpuint(bench.snapshots.models[0].n, <, n_kept);
    g_assert_cmpuint(test_count_files(&bench), ==,
                     bench.snapshots.models[0].n + bench.snapshots.models[1].n);
    g_byte_array_free(bytes, TRUE);
    test_bench_end(&bench);
}

static void a_file_that_is_gone_is_named_if_it_is_needed(void)
{
    enum { AT = 400 };
    struct test_bench bench;
    struct esp_error err = {0};
    test_bench_start(&bench, with_checkpoints);
    run(&bench, 0, AT);
    int64_t window = window_of(&bench, AT - 1);
    GByteArray *bytes = write_state(&bench.snapshots, window);
    char *path = g_strdup(bench.snapshots.models[0].files[1].path);
    kill_and_begin_at(&bench, AT);
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(read_state(&bench.snapshots, bytes->data, bytes->len, &err), ==, ESP_EIO);
    char *want = g_strdup_printf("%s, which drift needs, cannot be read: No such file or "
                                 "directory; put it back, or give this run another [state] folder",
                                 path);
    g_assert_cmpstr(err.text, ==, want);
    g_free(want);
    g_free(path);
    g_byte_array_free(bytes, TRUE);
    test_bench_end(&bench);
}

static void a_file_that_only_an_older_checkpoint_needed_may_be_gone(void)
{
    enum { OLD = 240, NEW = 420 };
    struct test_bench bench;
    test_bench_start(&bench, with_checkpoints);
    run(&bench, 0, OLD);
    save(&bench, window_of(&bench, OLD - 1));
    run(&bench, OLD, NEW);
    int64_t window = window_of(&bench, NEW - 1);
    size_t n_both = bench.snapshots.models[0].n;
    GByteArray *bytes = write_state(&bench.snapshots, window);
    save(&bench, window); /* the old ones are removed */
    snapshots_forget(&bench.snapshots, window);
    size_t n_left = bench.snapshots.models[0].n;
    g_assert_cmpuint(n_left, <, n_both);
    kill_and_begin_at(&bench, NEW);
    g_assert_cmpint(read_state(&bench.snapshots, bytes->data, bytes->len, NULL), ==, ESP_OK);
    g_assert_cmpuint(bench.snapshots.models[0].n, ==, n_left);
    has_what_it_needs(&bench, window);
    g_byte_array_free(bytes, TRUE);
    test_bench_end(&bench);
}

static void a_run_leaves_its_files_to_its_checkpoints(void)
{
    struct test_bench bench;
    test_bench_start(&bench, with_checkpoints);
    run(&bench, 0, 300);
    size_t n = test_count_files(&bench);
    g_assert_cmpuint(n, >, 4);
    save(&bench, window_of(&bench, 299));
    snapshots_release(&bench.snapshots);
    g_assert_cmpuint(test_count_files(&bench), ==, n);
    bench.snapshots.config = &bench.config;
    test_bench_end(&bench);
}

static void files_are_put_on_the_disk_or_the_failure_names_them(void)
{
    struct test_bench bench;
    struct esp_error err = {0}, dangling = {0};
    test_bench_start(&bench, with_checkpoints);
    run(&bench, 0, 300);
    g_assert_cmpint(snapshots_sync(&bench.snapshots, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    char *pipe =
        g_strdup_printf("%s/a-0123456789abcdef-000000000001.safetensors", bench.snapshots.folder);
    g_assert_cmpint(symlink("/proc/self/status", pipe), ==, 0); /* what has no disk */
    g_assert_cmpint(snapshots_sync(&bench.snapshots, &dangling), ==, ESP_EIO);
    g_assert_nonnull(strstr(dangling.text, "000000000001.safetensors: cannot be put on the disk"));
    g_assert_cmpint(unlink(pipe), ==, 0);
    char *folder = g_strdup(bench.snapshots.folder), *moved = g_strdup_printf("%s.moved", folder);
    g_assert_cmpint(rename(folder, moved), ==, 0);
    g_assert_cmpint(snapshots_sync(&bench.snapshots, &err), ==, ESP_EIO);
    g_assert_nonnull(strstr(err.text, "state/snapshots: cannot be read"));
    g_assert_cmpint(rename(moved, folder), ==, 0);
    g_free(pipe);
    g_free(folder);
    g_free(moved);
    test_bench_end(&bench);
}

/* ---- what cannot be read --------------------------------------------------------------------- */

static void begin_again(struct test_bench *bench)
{
    snapshots_release(&bench->snapshots);
    g_assert_cmpint(snapshots_init(&bench->snapshots, &bench->config, NULL), ==, ESP_OK);
}

static void a_damaged_state_is_refused_or_one_that_can_be(void)
{
    struct test_bench bench;
    struct test_random random = {.state = 9};
    test_bench_start(&bench, with_checkpoints);
    bench.snapshots.schemas = calloc(2, sizeof(uint64_t));
    bench.snapshots.schemas[1] = 7;
    bench.snapshots.n_schemas = bench.snapshots.schema_capacity = 2;
    run(&bench, 0, 300);
    int64_t window = window_of(&bench, 299);
    GByteArray *bytes = write_state(&bench.snapshots, window);
    for (guint n = 0; n < bytes->len && !g_test_failed(); n++) {
        begin_again(&bench);
        g_assert_cmpint(read_state(&bench.snapshots, bytes->data, n, NULL), ==, ESP_EDATA);
    }
    size_t n_read = 0;
    for (guint i = 0; i < 4 * bytes->len && !g_test_failed(); i++) {
        guint8 before = bytes->data[i / 4];
        bytes->data[i / 4] ^= (guint8)(1 + test_random_below(&random, 255));
        begin_again(&bench);
        enum esp_status status = read_state(&bench.snapshots, bytes->data, bytes->len, NULL);
        bytes->data[i / 4] = before;
        g_assert_true(status == ESP_OK || status == ESP_EDATA || status == ESP_EIO);
        n_read += status == ESP_OK;
        if (status == ESP_OK) { /* goes on */
            GByteArray *again = write_state(&bench.snapshots, window);
            g_byte_array_free(again, TRUE);
            has_what_it_needs(&bench, window + 1000);
        }
    }
    g_assert_cmpuint(n_read, >, 50);
    begin_again(&bench);
    g_assert_cmpint(read_state(&bench.snapshots, bytes->data, bytes->len, NULL), ==, ESP_OK);
    g_assert_cmpuint(bench.snapshots.n_schemas, ==, 2);
    g_byte_array_free(bytes, TRUE);
    test_bench_end(&bench);
}

static void a_state_of_another_run_is_refused(void)
{
    struct test_bench bench, other;
    struct esp_error err = {0}, every = {0};
    test_bench_start(&bench, with_checkpoints);
    run(&bench, 0, 100);
    GByteArray *bytes = write_state(&bench.snapshots, window_of(&bench, 99));
    test_bench_start(&other, "[join]\nclick_window = 2h\n");
    g_assert_cmpint(read_state(&other.snapshots, bytes->data, bytes->len, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, ", the state is of another"));
    test_bench_end(&other);
    test_bench_start(&other, "[snapshot]\nevery = 2h\n[drift]\nwindow = 2h\n");
    g_assert_cmpint(read_state(&other.snapshots, bytes->data, bytes->len, &every), ==, ESP_EDATA);
    g_assert_cmpstr(every.text, ==,
                    "snapshot.every in microseconds is 7200000000, and was 3600000000 when the "
                    "state was saved");
    test_bench_end(&other);
    g_byte_array_free(bytes, TRUE);
    test_bench_end(&bench);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/snapshots archive/a run that begins again takes the same snapshots",
                    a_run_that_begins_again_takes_the_same_snapshots);
    g_test_add_func("/snapshots archive/the oldest checkpoint finds its files, whatever came after",
                    the_oldest_checkpoint_finds_its_files_whatever_came_after);
    g_test_add_func("/snapshots archive/a file that is gone is named if it is needed",
                    a_file_that_is_gone_is_named_if_it_is_needed);
    g_test_add_func("/snapshots archive/a file that only an older checkpoint needed may be gone",
                    a_file_that_only_an_older_checkpoint_needed_may_be_gone);
    g_test_add_func("/snapshots archive/a run leaves its files to its checkpoints",
                    a_run_leaves_its_files_to_its_checkpoints);
    g_test_add_func("/snapshots archive/files are put on the disk, or the failure names them",
                    files_are_put_on_the_disk_or_the_failure_names_them);
    g_test_add_func("/snapshots archive/a damaged state is refused, or one that can be",
                    a_damaged_state_is_refused_or_one_that_can_be);
    g_test_add_func("/snapshots archive/a state of another run is refused",
                    a_state_of_another_run_is_refused);
    return g_test_run();
}
