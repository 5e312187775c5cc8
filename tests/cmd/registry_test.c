/*
 * registry_test.c - lookups against a stand-in of a Schema Registry: what is kept, what is asked
 * again, what is waited for, what is refused.
 *
 * Nothing is timed: pauses are a microsecond, and waits end with an answer.
 */
#include "cmd/registry/registry.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "registry_helper.h"

#define PASSWORD    "open sesame"
#define LONG_ANSWER "{\"body\":{\"schema\":\"\\\"long\\\"\"}}"

static char *kept_path(struct registry_scene *scene, const char *name)
{
    return g_build_filename(registry_folder(scene->registry), name, NULL);
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static void check_mode(const char *path, unsigned want)
{
    struct stat info;
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, want);
}

static void test_kept(void)
{
    struct registry_scene scene;
    scene_set_up(&scene, "{\"/schemas/ids/7\":[" LONG_ANSWER "]}");
    g_assert_false(g_file_test(registry_folder(scene.registry), G_FILE_TEST_EXISTS));
    scene_check_found(&scene, 7, "\"long\"");
    char *path = kept_path(&scene, "7.avsc"), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "\"long\"");
    check_mode(path, 0640);
    check_mode(registry_folder(scene.registry), 0750);
    stand_in_end(&scene.stand_in);
    scene_reopen(&scene);
    scene_check_found(&scene, 7, "\"long\""); /* a start without the registry */
    scene_check_n_requests(&scene, 1);
    g_assert_cmpstr(scene.reports->str, ==, "");
    g_free(text);
    g_free(path);
    scene_tear_down(&scene);
}

struct damage_row {
    const char *name, *file, *content; /* content NULL: the file is removed */
};

static const struct damage_row damage_rows[] = {
    {"a letter changed", "7.avsc", "\"lung\""},
    {"a file cut short", "7.avsc", "\"lo"},
    {"an empty file", "7.avsc", ""},
    {"a sum that is missing", "7.xxh3", NULL},
    {"a sum that is text", "7.xxh3", "no sum at all, and too long for one"},
};

static void test_damaged(gconstpointer data)
{
    const struct damage_row *row = data;
    struct registry_scene scene;
    scene_set_up(&scene, "{\"/schemas/ids/7\":[" LONG_ANSWER "]}");
    scene_check_found(&scene, 7, "\"long\"");
    char *path = kept_path(&scene, row->file), *schema = kept_path(&scene, "7.avsc");
    if (row->content == NULL)
        g_assert_cmpint(g_remove(path), ==, 0);
    else
        g_assert_true(g_file_set_contents(path, row->content, -1, NULL));
    scene_reopen(&scene);
    scene_check_found(&scene, 7, "\"long\"");
    scene_check_n_requests(&scene, 2);
    char *said = g_strdup_printf("%s: is damaged; the schema is fetched anew\n", schema);
    g_assert_cmpstr(scene.reports->str, ==, said);
    scene_reopen(&scene);
    scene_check_found(&scene, 7, "\"long\""); /* and is whole again */
    scene_check_n_requests(&scene, 2);
    g_free(said);
    g_free(schema);
    g_free(path);
    scene_tear_down(&scene);
}

static void test_no_folder(void)
{
    struct registry_scene scene;
    scene_set_up(&scene,
                 "{\"/schemas/ids/7\":[" LONG_ANSWER "],\"/schemas/ids/8\":[" LONG_ANSWER "]}");
    char *in_the_way = g_build_filename(scene.state, "schemas", NULL);
    g_assert_true(g_file_set_contents(in_the_way, "", -1, NULL));
    scene_check_found(&scene, 7, "\"long\"");
    scene_check_found(&scene, 8, "\"long\"");
    scene_check_reported(&scene, "the schema is fetched anew");
    g_free(in_the_way);
    scene_tear_down(&scene);
}

/* ---- what is missing ------------------------------------------------------------------------- */

static void test_unknown(void)
{
    struct registry_scene scene;
    scene_set_up(&scene, "{}");
    for (int i = 0; i < 3; i++)
        scene_check_rejected(&scene, 9, ESP_REJECT_UNKNOWN_SCHEMA);
    scene_check_n_requests(&scene, 3); /* one and two retries, then it is remembered */
    scene_check_reported(&scene, "schema 9 of http://127.0.0.1:");
    scene_check_reported(&scene,
                         ": Not there; its records go to the dead letters, and it is asked for "
                         "again after 1h");
    scene.config.forget_us = 0;
    scene_reopen(&scene);
    scene_check_rejected(&scene, 9, ESP_REJECT_UNKNOWN_SCHEMA);
    scene_check_n_requests(&scene, 6);
    scene_check_rejected(&scene, 9, ESP_REJECT_UNKNOWN_SCHEMA);
    scene_check_n_requests(&scene, 7); /* forgotten, yet asked for thoroughly before */
    stand_in_set_answers(&scene.stand_in, "{\"/schemas/ids/9\":[" LONG_ANSWER "]}");
    scene_check_found(&scene, 9, "\"long\""); /* it was registered since */
    scene_check_n_requests(&scene, 8);
    scene_tear_down(&scene);
}

/* A node of the registry may lag behind the one that a producer registered with. */
static void test_known_at_last(void)
{
    struct registry_scene scene;
    scene_set_up(&scene, "{\"/schemas/ids/7\":[{\"status\":404,\"body\":{\"error_code\":40403}},"
                         "{\"status\":404,\"body\":{\"error_code\":40403}}," LONG_ANSWER "]}");
    scene_check_found(&scene, 7, "\"long\"");
    scene_check_n_requests(&scene, 3);
    g_assert_cmpstr(scene.reports->str, ==, "");
    scene_tear_down(&scene);
}

/* The memory of what is missing is bounded; lines about it are a line a minute. */
static void test_flood(void)
{
    enum { N_IDS = 1100, N_REMEMBERED = 1024 };
    struct registry_scene scene;
    scene_set_up(&scene, "{}");
    scene.config.retries = 1;
    scene_reopen(&scene);
    for (uint32_t id = 0; id < N_IDS; id++)
        scene_check_rejected(&scene, id, ESP_REJECT_UNKNOWN_SCHEMA);
    for (uint32_t id = N_IDS - N_REMEMBERED; id < N_IDS; id++)
        scene_check_rejected(&scene, id, ESP_REJECT_UNKNOWN_SCHEMA);
    scene_check_n_requests(&scene, N_REMEMBERED + N_IDS); /* no retries once the memory is full */
    scene_check_rejected(&scene, 0, ESP_REJECT_UNKNOWN_SCHEMA); /* was forgotten for the others */
    scene_check_n_requests(&scene, N_REMEMBERED + N_IDS + 1);
    size_t n_lines = 0;
    for (const char *c = scene.reports->str; *c != '\0'; c++)
        n_lines += *c == '\n';
    g_assert_cmpuint(n_lines, <=, 2); /* two, should a minute have passed */
    scene_tear_down(&scene);
}

struct unusable_row {
    const char *name, *answers, *why;
};

static const struct unusable_row unusable_rows[] = {
    {"another type of schema",
     "{\"/schemas/ids/7\":[{\"body\":{\"schemaType\":\"PROTOBUF\",\"schema\":\"x\"}}]}",
     "is of type PROTOBUF, and only AVRO is read"},
    {"an answer without end", "{\"/schemas/ids/7\":[{\"endless\":true}]}",
     "an answer of over 16777216 bytes"},
    {"a reference that is not there",
     "{\"/schemas/ids/7\":[{\"body\":{\"schema\":\"\\\"B\\\"\",\"references\":[{\"name\":\"B\","
     "\"subject\":\"b/c d\",\"version\":3}]}}]}",
     "its reference /subjects/b%2Fc%20d/versions/3?deleted=true: Not there"},
    {"a reference without a version",
     "{\"/schemas/ids/7\":[{\"body\":{\"schema\":\"\\\"B\\\"\",\"references\":[{\"name\":\"B\","
     "\"subject\":\"b\"}]}}]}",
     "a reference without a subject and a version"},
    {"a reference that is no Avro schema",
     "{\"/schemas/ids/7\":[{\"body\":{\"schema\":\"\\\"B\\\"\",\"references\":[{\"name\":\"B\","
     "\"subject\":\"b\",\"version\":1}]}}],\"/subjects/b/versions/1?deleted=true\":[{\"body\":{"
     "\"schema\":\"nonsense\"}}]}",
     "not JSON: line 1"},
};

static void test_unusable(gconstpointer data)
{
    const struct unusable_row *row = data;
    struct registry_scene scene;
    scene_set_up(&scene, row->answers);
    scene_check_rejected(&scene, 7, ESP_REJECT_UNUSABLE_SCHEMA);
    scene_check_reported(&scene, row->why);
    size_t n = stand_in_n_requests(&scene.stand_in);
    scene_check_rejected(&scene, 7, ESP_REJECT_UNUSABLE_SCHEMA);
    scene_check_n_requests(&scene, n);
    scene_tear_down(&scene);
}

/* ---- what is waited for ---------------------------------------------------------------------- */

struct away_row {
    const char *name, *answer, *said;
};

static const struct away_row away_rows[] = {
    {"errors of the server",
     "{\"status\":500,\"body\":{\"error_code\":50001,\"message\":\"sorry\"}}",
     "answers 500: sorry; the input waits for it"},
    {"too many requests", "{\"status\":429,\"text\":\"\"}", "answers 429"},
    {"a proxy's page", "{\"text\":\"<html>\"}", "answers with what is no JSON object"},
    {"half an answer", "{\"text\":\"{\\\"schema\\\":\\\"lo\"}", "answers with what is no JSON"},
    {"an answer of something else", "{\"body\":{\"status\":\"UP\"}}", "answers without a schema"},
    {"a 404 that is not the registry's", "{\"status\":404,\"text\":\"nginx\"}",
     "answers 404 without a registry's error_code"},
    {"no answer in time", "{\"mute\":true}", "does not answer: "},
};

static void test_away(gconstpointer data)
{
    const struct away_row *row = data;
    struct registry_scene scene;
    char *answers =
        g_strdup_printf("{\"/schemas/ids/7\":[%s,%s," LONG_ANSWER "]}", row->answer, row->answer);
    scene_set_up(&scene, answers);
    scene.config.timeout_us = 300 * ESP_MS;
    scene.config.retries = 0; /* those are for another case */
    scene_reopen(&scene);
    scene_check_found(&scene, 7, "\"long\"");
    scene_check_n_requests(&scene, 3);
    scene_check_reported(&scene, row->said);
    scene_check_reported(&scene, " answers again\n");
    g_free(answers);
    scene_tear_down(&scene);
}

static bool stops_at_zero(void *context)
{
    int *left = context;
    return --*left <= 0;
}

/* Nobody listens: the wait ends with the flag, and nothing is rejected. */
static void test_stopped(void)
{
    struct registry_scene scene;
    scene_set_up(&scene, "{}");
    stand_in_end(&scene.stand_in);
    int left = 20;
    registry_set_end(scene.registry, stops_at_zero, &left, 0);
    enum esp_reject reject = ESP_REJECT_NONE;
    g_assert_null(scene_look_up(&scene, 7, &reject));
    g_assert_cmpint(scene.err.status, ==, ESP_EBROKER);
    g_assert_cmpint(reject, ==, ESP_REJECT_NONE);
    g_assert_cmpint(left, <=, 0);
    scene_check_reported(&scene, "does not answer: ");
    scene_tear_down(&scene);
}

/* The flag is seen while an answer is waited for, long before the timeout. */
static void test_stopped_inside(void)
{
    struct registry_scene scene;
    scene_set_up(&scene, "{\"/schemas/ids/7\":[{\"mute\":true}]}");
    scene.config.timeout_us = ESP_HOUR;
    scene_reopen(&scene);
    int left = 3;
    registry_set_end(scene.registry, stops_at_zero, &left, 0);
    g_assert_null(scene_look_up(&scene, 7, NULL));
    g_assert_cmpint(scene.err.status, ==, ESP_EBROKER);
    scene_tear_down(&scene);
}

static void test_patience(void)
{
    struct registry_scene scene;
    scene_set_up(&scene, "{\"/schemas/ids/7\":[{\"status\":503}]}");
    registry_set_end(scene.registry, NULL, NULL, 20 * ESP_MS);
    g_assert_null(scene_look_up(&scene, 7, NULL));
    g_assert_cmpint(scene.err.status, ==, ESP_EBROKER);
    g_assert_nonnull(strstr(scene.err.text, "answers 503"));
    scene_tear_down(&scene);
}

/* ---- what is refused ------------------------------------------------------------------------- */

struct denied_row {
    const char *name, *answer, *why;
};

static const struct denied_row denied_rows[] = {
    {"a wrong password", "{\"status\":401,\"body\":{\"message\":\"no\"}}",
     "answers 401: user or password is wrong; mend registry_user, registry_password"},
    {"a user without the right", "{\"status\":403,\"body\":{\"message\":\"not you\"}}",
     "answers 403: this user may not read it: not you"},
    {"an address that has moved", "{\"status\":301,\"headers\":{\"Location\":\"https://x/\"}}",
     "answers 301: it has moved; write its new address (https?)"},
    {"a request that is none", "{\"status\":400,\"text\":\"\"}", "answers 400"},
};

static void test_denied(gconstpointer data)
{
    const struct denied_row *row = data;
    struct registry_scene scene;
    char *answers = g_strdup_printf("{\"/schemas/ids/7\":[%s]}", row->answer);
    scene_set_up(&scene, answers);
    g_assert_null(scene_look_up(&scene, 7, NULL));
    char *want = g_strdup_printf("schema registry %s %s", scene.stand_in.address, row->why);
    g_assert_cmpstr(scene.err.text, ==, want);
    g_assert_cmpint(scene.err.status, ==, ESP_ECONFIG);
    scene_check_n_requests(&scene, 1);
    g_free(want);
    g_free(answers);
    scene_tear_down(&scene);
}

static void test_password(void)
{
    struct registry_scene scene;
    scene_set_up(&scene,
                 "{\"authorization\":\"ann:" PASSWORD "\",\"/schemas/ids/7\":[" LONG_ANSWER "]}");
    scene.config.user = "ann";
    scene.config.password = "close barley";
    scene_reopen(&scene);
    g_assert_null(scene_look_up(&scene, 7, NULL));
    g_assert_cmpint(scene.err.status, ==, ESP_ECONFIG);
    g_assert_null(strstr(scene.err.text, "barley"));
    scene.config.password = PASSWORD;
    scene_reopen(&scene);
    scene_check_found(&scene, 7, "\"long\"");
    scene_tear_down(&scene);
}

/* A certificate for 127.0.0.1 that signs itself. */
static void make_certificate(const char *folder, char **certificate, char **key)
{
    *certificate = g_build_filename(folder, "certificate.pem", NULL);
    *key = g_build_filename(folder, "key.pem", NULL);
    const char *argv[] = {"openssl",
                          "req",
                          "-x509",
                          "-newkey",
                          "ec",
                          "-pkeyopt",
                          "ec_paramgen_curve:prime256v1",
                          "-nodes",
                          "-keyout",
                          *key,
                          "-out",
                          *certificate,
                          "-days",
                          "2",
                          "-subj",
                          "/CN=test",
                          "-addext",
                          "subjectAltName=IP:127.0.0.1",
                          NULL};
    int status = 0;
    g_assert_true(
        g_spawn_sync(NULL, (char **)argv, NULL,
                     G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                     NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static void test_tls(void)
{
    struct registry_scene scene;
    char *folder = test_folder_new(), *certificate, *key;
    make_certificate(folder, &certificate, &key);
    scene_set_up_tls(&scene, "{\"/schemas/ids/7\":[" LONG_ANSWER "]}", certificate, key);
    g_assert_null(scene_look_up(&scene, 7, NULL));
    g_assert_cmpint(scene.err.status, ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(scene.err.text, "cannot be trusted (mend registry_ca_file): "));
    scene.config.ca_file = certificate;
    scene_reopen(&scene);
    scene_check_found(&scene, 7, "\"long\"");
    scene_tear_down(&scene);
    g_free(certificate);
    g_free(key);
    test_folder_remove(folder);
}

/* ---- is it there? ---------------------------------------------------------------------------- */

struct ping_row {
    const char *name, *answer;
    enum esp_status status;
};

static const struct ping_row ping_rows[] = {
    {"a registry", "{\"body\":[\"AVRO\"]}", ESP_OK},
    {"an old registry", "{\"status\":404,\"body\":{\"error_code\":404,\"message\":\"HTTP 404\"}}",
     ESP_OK},
    {"a web server", "{\"status\":404,\"text\":\"not found\"}", ESP_EBROKER},
    {"a page", "{\"text\":\"<html>\"}", ESP_EBROKER},
    {"a registry that is ill", "{\"status\":500,\"body\":{\"error_code\":50002}}", ESP_EBROKER},
    {"a registry that knows us not", "{\"status\":401}", ESP_ECONFIG},
};

static void test_ping(gconstpointer data)
{
    const struct ping_row *row = data;
    struct registry_scene scene;
    char *answers = g_strdup_printf("{\"/schemas/types\":[%s]}", row->answer);
    scene_set_up(&scene, answers);
    g_assert_cmpint(registry_ping(scene.registry, &scene.err), ==, row->status);
    g_assert_true((row->status == ESP_OK) == (scene.err.text[0] == '\0'));
    scene_check_n_requests(&scene, 1);
    g_free(answers);
    scene_tear_down(&scene);
}

#define ADD_ROWS(rows, format, test)                                      \
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {                     \
        g_snprintf(name, sizeof name, "/registry/" format, rows[i].name); \
        g_test_add_data_func(name, &rows[i], test);                       \
    }

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_setenv("no_proxy", "127.0.0.1", TRUE);
    char name[256];
    g_test_add_func("/registry/a schema is fetched once and kept", test_kept);
    ADD_ROWS(damage_rows, "fetches anew after %s", test_damaged);
    g_test_add_func("/registry/goes on where nothing can be kept", test_no_folder);
    g_test_add_func("/registry/an unknown id is asked again, then remembered", test_unknown);
    g_test_add_func("/registry/an id that comes late is found", test_known_at_last);
    g_test_add_func("/registry/a flood of unknown ids is bounded", test_flood);
    ADD_ROWS(unusable_rows, "cannot use %s", test_unusable);
    ADD_ROWS(away_rows, "waits through %s", test_away);
    g_test_add_func("/registry/a wait ends when the run stops", test_stopped);
    g_test_add_func("/registry/also inside a request", test_stopped_inside);
    g_test_add_func("/registry/a wait ends when patience does", test_patience);
    ADD_ROWS(denied_rows, "stops at %s", test_denied);
    g_test_add_func("/registry/basic authentication", test_password);
    g_test_add_func("/registry/TLS needs the CA file", test_tls);
    ADD_ROWS(ping_rows, "is asked for: %s", test_ping);
    return g_test_run();
}
