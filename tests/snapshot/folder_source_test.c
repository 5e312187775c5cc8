/* folder_source_test.c - snapshots as files: published into a folder, followed there or alone. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/chunks.h"
#include "snapshot/snapshot.h"
#include "snapshot_helper.h"
#include "topic_helper.h"

struct scene {
    char *folder, *place, *work; /* all; what is published; what is to be */
    struct test_reports reports;
    struct test_model model;
};

static void set_up(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    test_reports_init(&scene->reports);
    scene->folder = test_folder_new();
    scene->place = g_build_filename(scene->folder, "espalier.snapshots", NULL);
    scene->work = g_build_filename(scene->folder, "work", NULL);
    g_assert_cmpint(mkdir(scene->work, 0700), ==, 0);
    test_model_init(&scene->model, ESP_SETUP_IPSP);
}

static void tear_down(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    test_model_release(&scene->model);
    test_reports_release(&scene->reports);
    test_folder_remove(scene->folder);
    g_free(scene->place);
    g_free(scene->work);
}

/* A real snapshot of that number at a path. */
static void write_snapshot(struct scene *scene, const char *path, int64_t number)
{
    struct esp_error err = {0};
    scene->model.manifest.number = number;
    scene->model.manifest.boundary_us = number * scene->model.manifest.every_us;
    if (esp_snapshot_write(path, &scene->model.manifest, &scene->model.parameters, ESP_DTYPE_F32,
                           NULL, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
}

/* Makes the publication of a snapshot's file, which is written to the work folder. */
static void make_file(struct scene *scene, int64_t number, struct test_file *file)
{
    struct esp_snapshot_info info = {0};
    char name[32];
    snprintf(name, sizeof name, "%lld", (long long)number);
    *file = (struct test_file){.path = g_build_filename(scene->work, name, NULL)};
    write_snapshot(scene, file->path, number);
    g_assert_cmpint(esp_snapshot_peek(file->path, &info, NULL), ==, ESP_OK);
    file->publication = (struct esp_publication){.path = file->path,
                                                 .id.number = info.number,
                                                 .boundary_us = info.boundary_us,
                                                 .manifest_json = "{}"};
    memcpy(file->publication.id.run, info.run, sizeof info.run);
    memcpy(file->publication.id.model, info.model, sizeof info.model);
    esp_snapshot_info_release(&info);
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    esp_file_checksum(fd, file->path, &file->publication.checksum, &file->publication.size, NULL);
    close(fd);
}

static struct esp_publisher *open_publisher(struct scene *scene)
{
    const struct esp_publisher_config config = {.place = scene->place, .keep = 2};
    struct esp_publisher *publisher = NULL;
    struct esp_error err = {0};
    if (esp_publisher_new(&config, &publisher, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return publisher;
}

static struct esp_snapshot_source *open_source(struct scene *scene, const char *place)
{
    return test_source(NULL, place, NULL, &scene->reports);
}

static int64_t newest_number(const struct esp_snapshot_source *source, const char *model)
{
    const struct esp_live_snapshot *live = esp_snapshot_source_newest(source, model, NULL);
    return live == NULL ? -1 : live->manifest.id.number;
}

/* Files come by rename and go by unlink; the follower sees just the last few. */
static void test_publishing(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    enum { N = 4 };
    struct test_file files[N];
    struct esp_snapshot_source *source = open_source(scene, scene->place);
    test_catch_up(source); /* a folder that is not there yet is empty */
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 0);
    struct esp_publisher *publisher = open_publisher(scene);
    for (int64_t k = 0; k < N; k++) {
        make_file(scene, k + 7, &files[k]);
        test_publish(publisher, &files[k], ESP_PUBLISHED);
        test_publish(publisher, &files[k], ESP_PUBLISHED_BEFORE);
        test_catch_up(source);
        g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, k == 0 ? 1 : 2);
        g_assert_cmpint(newest_number(source, files[k].publication.id.model), ==, k + 7);
        test_fetch_equals(source, &files[k]);
    }
    test_publish(publisher, &files[0], ESP_PUBLISH_OUTDATED);
    bool changed = true, at_end;
    g_assert_cmpint(esp_snapshot_source_poll(source, 0, &changed, &at_end, NULL), ==, ESP_OK);
    g_assert_false(changed);
    char *copy = g_build_filename(scene->folder, "copy", NULL);
    bool stopped;
    g_assert_cmpint(
        esp_snapshot_source_fetch_to(source, &files[N - 1].publication.id, copy, &stopped, NULL),
        ==, ESP_OK);
    test_files_equal(copy, files[N - 1].path);
    g_assert_cmpstr(scene->reports.text->str, ==, "");
    esp_snapshot_source_free(source);
    esp_publisher_free(publisher);
    for (size_t i = 0; i < N; i++)
        test_file_release(&files[i]);
    g_free(copy);
}

static void test_other_bytes(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file file;
    enum esp_publish_result result;
    struct esp_error err = {0};
    make_file(scene, 7, &file);
    struct esp_publisher *publisher = open_publisher(scene);
    test_publish(publisher, &file, ESP_PUBLISHED);
    unlink(file.path);
    scene->model.manifest.n_learned++;
    struct test_file other;
    make_file(scene, 7, &other);
    g_assert_cmpint(esp_publisher_publish(publisher, &other.publication, &result, &err), ==,
                    ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "is there with other bytes"));
    err = (struct esp_error){0};
    other.publication.id.number = 8;
    other.publication.checksum ^= 1;
    g_assert_cmpint(esp_publisher_publish(publisher, &other.publication, &result, &err), ==,
                    ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "was changed after it was written"));
    esp_publisher_free(publisher);
    test_file_release(&file);
    test_file_release(&other);
}

/* A publisher that was killed midway left a hidden file: nobody sees it, the next one removes it.
 */
static void test_hidden(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file file;
    char name[ESP_SNAPSHOT_NAME_SIZE];
    make_file(scene, 7, &file);
    const struct esp_snapshot_id *id = &file.publication.id;
    esp_snapshot_file_name(id->model, id->run, 6, name);
    char *hidden = g_strdup_printf("%s/.%s.tmp", scene->place, name);
    char *foreign = g_strdup_printf("%s/.editor.tmp", scene->place);
    struct esp_publisher *publisher = open_publisher(scene);
    g_file_set_contents(hidden, "torn", 4, NULL);
    g_file_set_contents(foreign, "kept", 4, NULL);
    struct esp_snapshot_source *source = open_source(scene, scene->place);
    test_catch_up(source);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 0);
    test_publish(publisher, &file, ESP_PUBLISHED);
    g_assert_false(g_file_test(hidden, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(foreign, G_FILE_TEST_EXISTS));
    esp_snapshot_source_free(source);
    esp_publisher_free(publisher);
    test_file_release(&file);
    g_free(hidden);
    g_free(foreign);
}

/* Files under names of their users' own count by what they say; what is no snapshot, or the same
 * one again, is passed over and said once. */
static void test_any_names(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    char *a = g_build_filename(scene->work, "a.safetensors", NULL);
    char *b = g_build_filename(scene->work, "b.safetensors", NULL);
    char *torn = g_build_filename(scene->work, "torn.safetensors", NULL);
    char *other = g_build_filename(scene->work, "notes.txt", NULL);
    write_snapshot(scene, a, 3);
    write_snapshot(scene, b, 3);
    g_file_set_contents(torn, "12345678{", 9, NULL);
    g_file_set_contents(other, "no snapshot, and no matter", -1, NULL);
    struct esp_snapshot_source *source = open_source(scene, scene->work);
    for (int i = 0; i < 3; i++)
        test_catch_up(source);
    struct esp_snapshot_source_stats stats;
    esp_snapshot_source_stats(source, &stats);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 1);
    g_assert_cmpstr(esp_snapshot_source_live(source)->items[0].path, ==, a);
    g_assert_cmpuint(stats.bad_files, ==, 2);
    g_assert_cmpuint(scene->reports.n, ==, 2);
    g_assert_true(test_reports_have(&scene->reports, "b.safetensors is the same snapshot"));
    g_assert_true(test_reports_have(&scene->reports, "torn.safetensors"));
    bool changed, at_end;
    write_snapshot(scene, torn, 4); /* mended */
    g_assert_cmpint(esp_snapshot_source_poll(source, 0, &changed, &at_end, NULL), ==, ESP_OK);
    g_assert_true(changed && at_end);
    g_assert_cmpint(newest_number(source, scene->model.manifest.model), ==, 4);
    esp_snapshot_source_free(source);
    g_free(a);
    g_free(b);
    g_free(torn);
    g_free(other);
}

/* A byte of the weights changed: the head is sound, the file is refused, the one before is used. */
static void test_altered(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    char *a = g_build_filename(scene->work, "a.safetensors", NULL);
    char *b = g_build_filename(scene->work, "b.safetensors", NULL);
    char *path = NULL, *bytes = NULL;
    gsize size = 0;
    struct esp_error err = {0};
    write_snapshot(scene, a, 3);
    write_snapshot(scene, b, 4);
    g_assert_true(g_file_get_contents(b, &bytes, &size, NULL));
    bytes[size - 100] ^= 1;
    g_file_set_contents(b, bytes, (gssize)size, NULL);
    struct esp_snapshot_source *source = open_source(scene, scene->work);
    test_catch_up(source);
    const char *model = scene->model.manifest.model;
    g_assert_cmpint(newest_number(source, model), ==, 4);
    struct esp_snapshot_id id = esp_snapshot_source_newest(source, model, NULL)->manifest.id;
    g_assert_cmpint(esp_snapshot_source_fetch(source, &id, &path, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "b.safetensors"));
    g_assert_null(path);
    test_catch_up(source); /* it stays refused */
    g_assert_cmpint(newest_number(source, model), ==, 3);
    id.number = 3;
    g_assert_cmpint(esp_snapshot_source_fetch(source, &id, &path, NULL), ==, ESP_OK);
    g_assert_cmpstr(path, ==, a);
    esp_snapshot_source_free(source);
    free(path);
    g_free(bytes);
    g_free(a);
    g_free(b);
}

/* One file that is replaced by a rename. */
static void test_one_file(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    char *path = g_build_filename(scene->work, "model.safetensors", NULL);
    struct esp_snapshot_source *source = open_source(scene, path);
    test_catch_up(source);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 0);
    for (int64_t k = 1; k <= 2; k++) {
        write_snapshot(scene, path, k);
        test_catch_up(source);
        g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 1);
        g_assert_cmpint(newest_number(source, scene->model.manifest.model), ==, k);
    }
    unlink(path);
    test_catch_up(source);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 0);
    esp_snapshot_source_free(source);
    g_free(path);
}

/* Of several runs of a model the one whose newest snapshot was made last is followed. */
static void test_runs(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    static const struct {
        const char *run;
        int64_t number;
        time_t made;
    } rows[] = {{"1111111111111111", 90, 1000},
                {"1111111111111111", 91, 2000},
                {"2222222222222222", 5, 1500},
                {"2222222222222222", 6, 3000},
                {"3333333333333333", 200, 500}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char name[32];
        snprintf(name, sizeof name, "%zu.safetensors", i);
        char *path = g_build_filename(scene->work, name, NULL);
        snprintf(scene->model.manifest.run, sizeof scene->model.manifest.run, "%s", rows[i].run);
        write_snapshot(scene, path, rows[i].number);
        const struct timespec times[2] = {{rows[i].made, 0}, {rows[i].made, 0}};
        g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
        g_free(path);
    }
    struct esp_snapshot_source *source = open_source(scene, scene->work);
    test_catch_up(source);
    const char *model = scene->model.manifest.model;
    g_assert_cmpint(newest_number(source, model), ==, 6);
    g_assert_cmpint(newest_number(source, "no such model"), ==, -1);
    const struct esp_live_snapshot *live =
        esp_snapshot_source_newest(source, model, "1111111111111111");
    g_assert_cmpint(live == NULL ? -1 : live->manifest.id.number, ==, 91);
    esp_snapshot_source_free(source);
}

static void test_names(void)
{
    static const struct {
        const char *name, *model;
        int64_t number;
    } rows[] = {
        {"main-0123456789abcdef-000000000012.safetensors", "main", 12},
        {"my-model-1-0123456789abcdef-000000000000.safetensors", "my-model-1", 0},
        {"m-0123456789abcdef-9223372036854775807.safetensors", "m", INT64_MAX},
        {"main-0123456789abcdef-12.safetensors", NULL, 0},
        {"main-0123456789abcdeg-000000000012.safetensors", NULL, 0},
        {"-0123456789abcdef-000000000012.safetensors", NULL, 0},
        {"0123456789abcdef-000000000012.safetensors", NULL, 0},
        {".m-0123456789abcdef-000000000012.safetensors", NULL, 0},
        {"main-0123456789abcdef--00000000012.safetensors", NULL, 0},
        {"main-0123456789abcdef-000000000012.safetensors.tmp", NULL, 0},
        {"-.safetensors", NULL, 0},
        {".safetensors", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct esp_snapshot_id id;
        bool is_one = esp_snapshot_file_name_parse(rows[i].name, &id);
        if (is_one != (rows[i].model != NULL))
            g_test_fail_printf("\"%s\" is taken for %s", rows[i].name, is_one ? "one" : "none");
        if (is_one && rows[i].model != NULL) {
            g_assert_cmpstr(id.model, ==, rows[i].model);
            g_assert_cmpint(id.number, ==, rows[i].number);
        }
    }
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const struct {
        const char *name;
        void (*run)(struct scene *, gconstpointer);
    } rows[] = {
        {"/folder/files are published, followed and retired", test_publishing},
        {"/folder/a number is not used twice for different bytes", test_other_bytes},
        {"/folder/a hidden file of an earlier life is not seen, and goes", test_hidden},
        {"/folder/files count by what they say, others are said once", test_any_names},
        {"/folder/altered weights are refused, the snapshot before is used", test_altered},
        {"/folder/one file may be replaced", test_one_file},
        {"/folder/of several runs the last one made is followed", test_runs},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct scene, NULL, set_up, rows[i].run, tear_down);
    g_test_add_func("/names/a file's name tells its identity, in one way only", test_names);
    return g_test_run();
}
