/*
 * publishing_test.c - what was taken and not published when a run was killed is published by the
 * one that begins again, once, and nothing else is.
 */
#include "cmd/train/publishing.h"

#include <string.h>
#include <unistd.h>

#include "snapshots_helper.h"

static const char with_checkpoints[] =
    "[state]\ncheckpoints = on\nkeep = 2\n[snapshot]\nkeep = 4\n";

/* A run of which the publishing thread never comes to anything. */
struct killed {
    struct test_bench bench;
    struct run run;
    struct publishing publishing;
    GByteArray *snapshots, *publications; /* the checkpoint */
    uint64_t n_taken;                     /* of model 0, when it was made */
};

static enum esp_status take_bytes(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    (void)err;
    g_byte_array_append(context, bytes, (guint)n);
    return ESP_OK;
}

static GByteArray *write_publications(struct publishing *publishing)
{
    struct esp_archive archive;
    GByteArray *bytes = g_byte_array_new();
    esp_archive_write_to(&archive, take_bytes, bytes);
    publishing_archive(&archive, publishing);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    return bytes;
}

static enum esp_status read_publications(struct publishing *publishing, const guint8 *bytes,
                                         gsize n)
{
    struct esp_archive archive;
    esp_archive_read_from(&archive, esp_bytes(bytes, n));
    publishing_archive(&archive, publishing);
    return esp_archive_end(&archive, NULL);
}

/* Keeps what the bench keeps, and hands over to the publishing. */
static enum esp_status take_both(void *context, size_t model, int64_t number, const char *path,
                                 struct esp_error *err)
{
    struct killed *killed = context;
    char *kept = test_kept_path(&killed->bench, model, number);
    if (link(path, kept) != 0)
        g_assert_cmpint(access(kept, R_OK), ==, 0);
    g_free(kept);
    return publishing_take(&killed->publishing, model, number, path, err);
}

static void run_to(struct killed *killed, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        int64_t due_us = test_due(i), boundary_us;
        if (crossings_meets(&killed->run.crossings, due_us, &boundary_us)) {
            struct crossing crossing = {.boundary_us = boundary_us};
            struct rewinds *rewinds = &crossing.rewinds;
            *rewinds = (struct rewinds){calloc(1, sizeof *rewinds->items), 1};
            rewinds->items[0] = (struct esp_rewind_offset){
                esp_bytes_of(killed->bench.config.options.inputs[0].topic), 0, (int64_t)i,
                boundary_us};
            g_assert_cmpint(crossings_note(&killed->run.crossings, &crossing, NULL), ==, ESP_OK);
        }
        crossings_kept(&killed->run.crossings);
        test_bench_learn(&killed->bench, i, due_us);
    }
}

/* Learns to example `at`, makes a checkpoint, learns to `end`, and is killed. */
static void start_and_kill(struct killed *killed, size_t at, size_t end)
{
    struct esp_archive archive;
    struct publication *publication;
    test_bench_start(&killed->bench, with_checkpoints);
    g_assert_cmpint(run_init(&killed->run, &killed->bench.config, NULL), ==, ESP_OK);
    publishing_init(&killed->publishing, &killed->run, &killed->bench.snapshots, NULL);
    g_assert_cmpint(esp_queue_new(1000, &killed->publishing.queue, NULL), ==, ESP_OK);
    killed->bench.snapshots.taker = take_both;
    killed->bench.snapshots.taker_context = killed;
    run_to(killed, 0, at);
    killed->n_taken = killed->bench.snapshots.models[0].n_taken;
    killed->snapshots = g_byte_array_new();
    esp_archive_write_to(&archive, take_bytes, killed->snapshots);
    snapshots_archive(&archive, &killed->bench.snapshots, INT64_MIN);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
    killed->publications = write_publications(&killed->publishing);
    run_to(killed, at, end);
    esp_queue_close(killed->publishing.queue);
    while ((publication = esp_queue_pop(killed->publishing.queue)) != NULL) {
        const struct rewinds *rewinds = &publication->crossing.rewinds;
        g_assert_cmpuint(rewinds->n, ==, 1);
        g_assert_cmpint(rewinds->items[0].largest_us, ==, publication->number * EVERY);
        crossing_release(&publication->crossing);
        g_free(publication->inputs);
        free(publication);
    }
    publishing_end(&killed->publishing);
    run_release(&killed->run);
    snapshots_release(&killed->bench.snapshots);
}

/* Another process begins at the checkpoint, and has published all that it has to. */
static void begin_again(struct killed *killed)
{
    struct esp_archive archive;
    struct esp_error err = {0};
    g_assert_cmpint(snapshots_init(&killed->bench.snapshots, &killed->bench.config, NULL), ==,
                    ESP_OK);
    g_assert_cmpint(run_init(&killed->run, &killed->bench.config, NULL), ==, ESP_OK);
    publishing_init(&killed->publishing, &killed->run, &killed->bench.snapshots, NULL);
    esp_archive_read_from(&archive, esp_bytes(killed->snapshots->data, killed->snapshots->len));
    snapshots_archive(&archive, &killed->bench.snapshots, 0);
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_OK);
    g_assert_cmpint(read_publications(&killed->publishing, killed->publications->data,
                                      killed->publications->len),
                    ==, ESP_OK);
    GByteArray *again = write_publications(&killed->publishing);
    g_assert_cmpmem(again->data, again->len, killed->publications->data, killed->publications->len);
    g_byte_array_free(again, TRUE);
    snapshots_tidy(&killed->bench.snapshots);
    g_assert_cmpint(publishing_start(&killed->publishing, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    publishing_end(&killed->publishing);
}

static void end(struct killed *killed)
{
    g_byte_array_free(killed->snapshots, TRUE);
    g_byte_array_free(killed->publications, TRUE);
    run_release(&killed->run);
    test_bench_end(&killed->bench);
}

/* ---- files ----------------------------------------------------------------------------------- */

static char *place_of(const struct killed *killed)
{
    return g_build_filename(killed->bench.folder, "data", "espalier.snapshots", NULL);
}

static char *published_path(const struct killed *killed, size_t model, int64_t number)
{
    char name[ESP_SNAPSHOT_NAME_SIZE], *place = place_of(killed);
    esp_snapshot_file_name(killed->bench.config.models[model].name,
                           killed->bench.snapshots.models[model].run, number, name);
    char *path = g_build_filename(place, name, NULL);
    g_free(place);
    return path;
}

static bool is_published(const struct killed *killed, size_t model, int64_t number)
{
    char *path = published_path(killed, model, number), *kept = NULL;
    char *bytes[2] = {NULL, NULL};
    gsize sizes[2] = {0, 0};
    bool is_there = g_file_get_contents(path, &bytes[0], &sizes[0], NULL);
    if (is_there) {
        kept = test_kept_path(&killed->bench, model, number);
        g_assert_true(g_file_get_contents(kept, &bytes[1], &sizes[1], NULL));
        g_assert_cmpmem(bytes[0], sizes[0], bytes[1], sizes[1]);
    }
    g_free(path);
    g_free(kept);
    g_free(bytes[0]);
    g_free(bytes[1]);
    return is_there;
}

static size_t count_second_names(const struct killed *killed)
{
    GDir *dir = g_dir_open(killed->bench.snapshots.folder, 0, NULL);
    const char *name;
    size_t n = 0;
    while ((name = g_dir_read_name(dir)) != NULL)
        n += g_str_has_suffix(name, ".publish");
    g_dir_close(dir);
    return n;
}

static char *second_name(const struct killed *killed, size_t model, int64_t number)
{
    char *path = snapshots_path(&killed->bench.snapshots, model, number);
    char *second = g_strdup_printf("%s.publish", path);
    free(path);
    return second;
}

static int64_t number_at(const struct killed *killed, size_t taken)
{
    int64_t boundary_us = crossings_boundary_after(&killed->bench.config, test_due(0));
    for (size_t i = 0, n = 0; i < N; i++)
        if (test_due(i) >= boundary_us) {
            if (n++ == taken)
                return boundary_us / EVERY;
            boundary_us = crossings_boundary_after(&killed->bench.config, test_due(i));
        }
    return -1;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void adds_up(const struct killed *killed, uint64_t n_refused)
{
    for (size_t m = 0; m < 2; m++) {
        const struct snapshot_status *counts = &killed->run.learn.snapshots[m];
        g_assert_cmpuint(counts->n_refused, ==, m == 0 ? n_refused : 0);
        g_assert_cmpuint(counts->n_given_up, ==, 0);
        g_assert_cmpuint(counts->n_published + counts->n_outdated + counts->n_refused, ==,
                         killed->n_taken);
    }
}

static void what_waited_at_the_checkpoint_is_published_by_the_next(void)
{
    struct killed killed;
    start_and_kill(&killed, 250, 330);
    size_t n = (size_t)killed.n_taken;
    g_assert_cmpuint(n, ==, 4);
    begin_again(&killed);
    for (size_t m = 0; m < 2; m++)
        for (size_t k = 0; k < n + 2; k++)
            g_assert_cmpint(is_published(&killed, m, number_at(&killed, k)), ==, k < n);
    g_assert_cmpuint(count_second_names(&killed), ==, 0);
    g_assert_cmpuint(killed.run.learn.snapshots[0].n_published, ==, n);
    adds_up(&killed, 0);
    end(&killed);
}

static void more_than_the_place_keeps_are_outdated(void)
{
    struct killed killed;
    start_and_kill(&killed, 590, N);
    size_t n = (size_t)killed.n_taken;
    g_assert_cmpuint(n, >, 6);
    begin_again(&killed);
    for (size_t k = 0; k < n; k++)
        g_assert_cmpint(is_published(&killed, 1, number_at(&killed, k)), ==, k + 4 >= n);
    g_assert_cmpuint(killed.run.learn.snapshots[0].n_published, ==, 4);
    adds_up(&killed, 0);
    end(&killed);
}

static void what_was_published_meanwhile_is_not_published_again(void)
{
    struct killed killed;
    start_and_kill(&killed, 250, 330);
    /* Of the first the second name is gone; of the second it was left. */
    g_assert_cmpint(snapshots_init(&killed.bench.snapshots, &killed.bench.config, NULL), ==,
                    ESP_OK);
    char *gone = second_name(&killed, 0, number_at(&killed, 0));
    g_assert_cmpint(unlink(gone), ==, 0);
    char *kept = test_kept_path(&killed.bench, 0, number_at(&killed, 1));
    char *there = published_path(&killed, 0, number_at(&killed, 1)), *place = place_of(&killed);
    g_assert_cmpint(g_mkdir_with_parents(place, 0700), ==, 0);
    g_assert_cmpint(link(kept, there), ==, 0);
    snapshots_release(&killed.bench.snapshots);
    begin_again(&killed);
    g_assert_false(is_published(&killed, 0, number_at(&killed, 0)));
    for (size_t k = 1; k < killed.n_taken; k++)
        g_assert_true(is_published(&killed, 0, number_at(&killed, k)));
    g_assert_cmpuint(killed.run.learn.snapshots[0].n_published, ==, killed.n_taken);
    adds_up(&killed, 0);
    g_free(gone);
    g_free(kept);
    g_free(there);
    g_free(place);
    end(&killed);
}

static void a_number_that_is_there_with_other_bytes_is_refused(void)
{
    struct killed killed;
    start_and_kill(&killed, 250, 330);
    g_assert_cmpint(snapshots_init(&killed.bench.snapshots, &killed.bench.config, NULL), ==,
                    ESP_OK);
    char *there = published_path(&killed, 0, number_at(&killed, 1)), *place = place_of(&killed);
    g_assert_cmpint(g_mkdir_with_parents(place, 0700), ==, 0);
    g_assert_true(g_file_set_contents(there, "others", -1, NULL));
    snapshots_release(&killed.bench.snapshots);
    begin_again(&killed);
    char *bytes = NULL;
    g_assert_true(g_file_get_contents(there, &bytes, NULL, NULL));
    g_assert_cmpstr(bytes, ==, "others");
    g_assert_true(is_published(&killed, 0, number_at(&killed, 0)));
    g_assert_true(is_published(&killed, 1, number_at(&killed, 1)));
    g_assert_cmpuint(count_second_names(&killed), ==, 0);
    adds_up(&killed, 1);
    g_free(bytes);
    g_free(there);
    g_free(place);
    end(&killed);
}

static void a_run_that_begins_anew_publishes_nothing_of_the_one_before(void)
{
    struct killed killed;
    start_and_kill(&killed, 250, 330);
    g_byte_array_set_size(killed.publications, 0);
    g_assert_cmpint(snapshots_init(&killed.bench.snapshots, &killed.bench.config, NULL), ==,
                    ESP_OK);
    g_assert_cmpint(run_init(&killed.run, &killed.bench.config, NULL), ==, ESP_OK);
    publishing_init(&killed.publishing, &killed.run, &killed.bench.snapshots, NULL);
    g_assert_cmpuint(count_second_names(&killed), >, 8);
    snapshots_tidy(&killed.bench.snapshots);
    g_assert_cmpint(publishing_start(&killed.publishing, NULL), ==, ESP_OK);
    publishing_end(&killed.publishing);
    g_assert_cmpuint(test_count_files(&killed.bench), ==, 0);
    g_assert_cmpuint(killed.run.learn.snapshots[0].n_published, ==, 0);
    g_assert_false(is_published(&killed, 0, number_at(&killed, 0)));
    end(&killed);
}

static void a_damaged_state_is_refused_or_one_that_can_be(void)
{
    struct killed killed;
    struct test_random random = {.state = 8};
    start_and_kill(&killed, 250, 250);
    g_assert_cmpint(snapshots_init(&killed.bench.snapshots, &killed.bench.config, NULL), ==,
                    ESP_OK);
    g_assert_cmpint(run_init(&killed.run, &killed.bench.config, NULL), ==, ESP_OK);
    GByteArray *bytes = killed.publications;
    size_t n_read = 0;
    for (guint i = 0; i < 5 * bytes->len; i++) {
        bool cuts = i < bytes->len;
        guint at = cuts ? i : i % bytes->len, n = cuts ? i : bytes->len;
        guint8 before = bytes->data[at];
        bytes->data[at] ^= cuts ? 0 : (guint8)(1 + test_random_below(&random, 255));
        publishing_init(&killed.publishing, &killed.run, &killed.bench.snapshots, NULL);
        enum esp_status status = read_publications(&killed.publishing, bytes->data, n);
        bytes->data[at] = before;
        g_assert_true(status == ESP_EDATA || (status == ESP_OK && !cuts));
        n_read += status == ESP_OK;
        publishing_end(&killed.publishing);
    }
    g_assert_cmpuint(n_read, >, 50);
    end(&killed);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/publishing/what waited at the checkpoint is published by the next run",
                    what_waited_at_the_checkpoint_is_published_by_the_next);
    g_test_add_func("/publishing/more than the place keeps are outdated",
                    more_than_the_place_keeps_are_outdated);
    g_test_add_func("/publishing/what was published meanwhile is not published again",
                    what_was_published_meanwhile_is_not_published_again);
    g_test_add_func("/publishing/a number that is there with other bytes is refused",
                    a_number_that_is_there_with_other_bytes_is_refused);
    g_test_add_func("/publishing/a run that begins anew publishes nothing of the one before",
                    a_run_that_begins_anew_publishes_nothing_of_the_one_before);
    g_test_add_func("/publishing/a damaged state is refused, or one that can be",
                    a_damaged_state_is_refused_or_one_that_can_be);
    return g_test_run();
}
