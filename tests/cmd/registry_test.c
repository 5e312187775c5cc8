/*
 * registry_test.c - lookups against a stand-in of a Schema Registry: what is kept, what is asked
 * again, what is waited for, what is refused.
 *
 * Nothing is timed: pauses are a microsecond, and waits end with an answer.
 */
#include "cmd/registry.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "event/avro_schema.h"
#include "registry_helper.h"

#define PASSWORD    "open sesame"
#define LONG_ANSWER "{\"body\":{\"schema\":\"\\\"long\\\"\"}}"

struct fixture {
    struct stand_in stand_in;
    char *state;
    GString *reports; /* a line each */
    struct registry_config config;
    struct registry *registry;
    struct esp_error err;
};

static void note_report(void *context, const struct esp_log_event *event)
{
    g_string_append_printf(context, "%s\n", event->text);
}

static void open_registry(struct fixture *fixture)
{
    g_assert_cmpint(registry_new(&fixture->config, &fixture->registry, &fixture->err), ==, ESP_OK);
}

static void reopen_registry(struct fixture *fixture)
{
    registry_free(fixture->registry);
    open_registry(fixture);
}

static void set_up_tls(struct fixture *fixture, const char *answers, const char *certificate,
                       const char *key)
{
    *fixture = (struct fixture){.state = test_folder_new(), .reports = g_string_new(NULL)};
    stand_in_start(&fixture->stand_in, answers, certificate, key);
    fixture->config = (struct registry_config){.address = fixture->stand_in.address,
                                               .state_folder = fixture->state,
                                               .timeout_us = 30 * ESP_SECOND,
                                               .retries = 2,
                                               .forget_us = ESP_HOUR,
                                               .first_pause_us = 1,
                                               .report = note_report,
                                               .report_context = fixture->reports};
    open_registry(fixture);
}

static void set_up(struct fixture *fixture, const char *answers)
{
    set_up_tls(fixture, answers, NULL, NULL);
}

static void tear_down(struct fixture *fixture)
{
    registry_free(fixture->registry);
    stand_in_release(&fixture->stand_in);
    test_folder_remove(fixture->state);
    g_string_free(fixture->reports, TRUE);
}

/* Looks an id up: the schema, or NULL with *reject, or NULL with fixture->err. */
static const char *look_up(struct fixture *fixture, uint32_t id, enum esp_reject *reject)
{
    const char *json = NULL;
    enum esp_reject ignored;
    fixture->err = (struct esp_error){0};
    registry_look_up(fixture->registry, id, &json, reject != NULL ? reject : &ignored,
                     &fixture->err);
    return json;
}

static void check_found(struct fixture *fixture, uint32_t id, const char *want)
{
    g_assert_cmpstr(look_up(fixture, id, NULL), ==, want);
    g_assert_cmpstr(fixture->err.text, ==, "");
}

static void check_rejected(struct fixture *fixture, uint32_t id, enum esp_reject want)
{
    enum esp_reject reject = ESP_REJECT_NONE;
    g_assert_null(look_up(fixture, id, &reject));
    g_assert_cmpstr(fixture->err.text, ==, "");
    g_assert_cmpint(reject, ==, want);
}

static void check_reported(struct fixture *fixture, const char *text)
{
    if (strstr(fixture->reports->str, text) == NULL)
        g_test_fail_printf("\"%s\" is not in: %s", text, fixture->reports->str);
}

static void check_n_requests(struct fixture *fixture, size_t want)
{
    g_assert_cmpuint(stand_in_n_requests(&fixture->stand_in), ==, want);
}

static char *kept_path(struct fixture *fixture, const char *name)
{
    return g_build_filename(registry_folder(fixture->registry), name, NULL);
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
    struct fixture fixture;
    set_up(&fixture, "{\"/schemas/ids/7\":[" LONG_ANSWER "]}");
    g_assert_false(g_file_test(registry_folder(fixture.registry), G_FILE_TEST_EXISTS));
    check_found(&fixture, 7, "\"long\"");
    char *path = kept_path(&fixture, "7.avsc"), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "\"long\"");
    check_mode(path, 0640);
    check_mode(registry_folder(fixture.registry), 0750);
    stand_in_end(&fixture.stand_in);
    reopen_registry(&fixture);
    check_found(&fixture, 7, "\"long\""); /* a start without the registry */
    check_n_requests(&fixture, 1);
    g_assert_cmpstr(fixture.reports->str, ==, "");
    g_free(text);
    g_free(path);
    tear_down(&fixture);
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
    struct fixture fixture;
    set_up(&fixture, "{\"/schemas/ids/7\":[" LONG_ANSWER "]}");
    check_found(&fixture, 7, "\"long\"");
    char *path = kept_path(&fixture, row->file), *schema = kept_path(&fixture, "7.avsc");
    if (row->content == NULL)
        g_assert_cmpint(g_remove(path), ==, 0);
    else
        g_assert_true(g_file_set_contents(path, row->content, -1, NULL));
    reopen_registry(&fixture);
    check_found(&fixture, 7, "\"long\"");
    check_n_requests(&fixture, 2);
    char *said = g_strdup_printf("%s: is damaged; the schema is fetched anew\n", schema);
    g_assert_cmpstr(fixture.reports->str, ==, said);
    reopen_registry(&fixture);
    check_found(&fixture, 7, "\"long\""); /* and is whole again */
    check_n_requests(&fixture, 2);
    g_free(said);
    g_free(schema);
    g_free(path);
    tear_down(&fixture);
}

static void test_no_folder(void)
{
    struct fixture fixture;
    set_up(&fixture, "{\"/schemas/ids/7\":[" LONG_ANSWER "],\"/schemas/ids/8\":[" LONG_ANSWER "]}");
    char *in_the_way = g_build_filename(fixture.state, "schemas", NULL);
    g_assert_true(g_file_set_contents(in_the_way, "", -1, NULL));
    check_found(&fixture, 7, "\"long\"");
    check_found(&fixture, 8, "\"long\"");
    check_reported(&fixture, "the schema is fetched anew");
    g_free(in_the_way);
    tear_down(&fixture);
}

/* ---- what is missing ------------------------------------------------------------------------- */

static void test_unknown(void)
{
    struct fixture fixture;
    set_up(&fixture, "{}");
    for (int i = 0; i < 3; i++)
        check_rejected(&fixture, 9, ESP_REJECT_UNKNOWN_SCHEMA);
    check_n_requests(&fixture, 3); /* one and two retries, then it is remembered */
    check_reported(&fixture, "schema 9 of http://127.0.0.1:");
    check_reported(&fixture, ": Not there; its records go to the dead letters, and it is asked for "
                             "again after 1h");
    fixture.config.forget_us = 0;
    reopen_registry(&fixture);
    check_rejected(&fixture, 9, ESP_REJECT_UNKNOWN_SCHEMA);
    stand_in_set_answers(&fixture.stand_in, "{\"/schemas/ids/9\":[" LONG_ANSWER "]}");
    check_found(&fixture, 9, "\"long\""); /* it was registered since */
    check_n_requests(&fixture, 7);
    tear_down(&fixture);
}

/* A node of the registry may lag behind the one that a producer registered with. */
static void test_known_at_last(void)
{
    struct fixture fixture;
    set_up(&fixture, "{\"/schemas/ids/7\":[{\"status\":404,\"body\":{\"error_code\":40403}},"
                     "{\"status\":404,\"body\":{\"error_code\":40403}}," LONG_ANSWER "]}");
    check_found(&fixture, 7, "\"long\"");
    check_n_requests(&fixture, 3);
    g_assert_cmpstr(fixture.reports->str, ==, "");
    tear_down(&fixture);
}

/* The memory of what is missing is bounded; lines about it are a line a minute. */
static void test_flood(void)
{
    enum { N_IDS = 1100, N_REMEMBERED = 1024 };
    struct fixture fixture;
    set_up(&fixture, "{}");
    fixture.config.retries = 0;
    reopen_registry(&fixture);
    for (uint32_t id = 0; id < N_IDS; id++)
        check_rejected(&fixture, id, ESP_REJECT_UNKNOWN_SCHEMA);
    for (uint32_t id = N_IDS - N_REMEMBERED; id < N_IDS; id++)
        check_rejected(&fixture, id, ESP_REJECT_UNKNOWN_SCHEMA);
    check_n_requests(&fixture, N_IDS);
    check_rejected(&fixture, 0, ESP_REJECT_UNKNOWN_SCHEMA); /* was forgotten for the others */
    check_n_requests(&fixture, N_IDS + 1);
    size_t n_lines = 0;
    for (const char *c = fixture.reports->str; *c != '\0'; c++)
        n_lines += *c == '\n';
    g_assert_cmpuint(n_lines, <=, 2); /* two, should a minute have passed */
    tear_down(&fixture);
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
    struct fixture fixture;
    set_up(&fixture, row->answers);
    check_rejected(&fixture, 7, ESP_REJECT_UNUSABLE_SCHEMA);
    check_reported(&fixture, row->why);
    size_t n = stand_in_n_requests(&fixture.stand_in);
    check_rejected(&fixture, 7, ESP_REJECT_UNUSABLE_SCHEMA);
    check_n_requests(&fixture, n);
    tear_down(&fixture);
}

/* ---- references ------------------------------------------------------------------------------ */

#define REFERENCE(subject) "{\"name\":\"x\",\"subject\":\"" subject "\",\"version\":1}"
#define AT(subject)        "\"/subjects/" subject "/versions/1?deleted=true\""

/* A refers to B and C, both to D, and D to A again, which a registry would not let in. */
static void test_references(void)
{
    struct fixture fixture;
    set_up(
        &fixture,
        "{\"/schemas/ids/7\":[{\"body\":{\"schema\":"
        "\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"A\\\",\\\"fields\\\":["
        "{\\\"name\\\":\\\"b\\\",\\\"type\\\":\\\"n.B\\\"},"
        "{\\\"name\\\":\\\"c\\\",\\\"type\\\":\\\"n.C\\\"}]}\","
        "\"references\":[" REFERENCE("b") "," REFERENCE("c") "]}}]," AT(
            "b") ":[{\"body\":{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"n.B\\\","
                 "\\\"fields\\\":[{\\\"name\\\":\\\"d\\\",\\\"type\\\":\\\"D\\\"}]}\","
                 "\"references\":[" REFERENCE("d") "]}}]," AT(
                     "c") ":[{\"body\":{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":"
                          "\\\"n.C\\\",\\\"fields\\\":[{\\\"name\\\":\\\"d\\\",\\\"type\\\":"
                          "\\\"n.D\\\"}]}\",\"references\":[" REFERENCE("d") "]}}]," AT(
                              "d") ":[{\"body\":{\"schema\":\"{\\\"type\\\":\\\"fixed\\\","
                                   "\\\"name\\\":\\\"n.D\\\",\\\"size\\\":4}\","
                                   "\"references\":[" REFERENCE("b") "]}}]}");
    const char *json = look_up(&fixture, 7, NULL);
    g_assert_cmpstr(fixture.err.text, ==, "");
    g_assert_cmpstr(
        json, ==,
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"b\",\"type\":{\"type\":"
        "\"record\",\"name\":\"B\",\"fields\":[{\"name\":\"d\",\"type\":{\"type\":\"fixed\","
        "\"name\":\"D\",\"size\":4,\"namespace\":\"n\"}}],\"namespace\":\"n\"}},{\"name\":\"c\","
        "\"type\":{\"type\":\"record\",\"name\":\"C\",\"fields\":[{\"name\":\"d\",\"type\":"
        "\"n.D\"}],\"namespace\":\"n\"}}]}");
    char *requests = stand_in_requests(&fixture.stand_in);
    g_assert_cmpstr(requests, ==,
                    "/schemas/ids/7\n/subjects/b/versions/1?deleted=true\n"
                    "/subjects/d/versions/1?deleted=true\n/subjects/c/versions/1?deleted=true\n");
    g_free(requests);
    reopen_registry(&fixture);
    g_assert_nonnull(look_up(&fixture, 7, NULL)); /* kept as a whole */
    check_n_requests(&fixture, 4);
    tear_down(&fixture);
}

/* Answers of a chain of n references, each to the next, and of one schema to n others. */
static char *chain(size_t n)
{
    GString *text = g_string_new("{\"/schemas/ids/7\":[{\"body\":{\"schema\":\"\\\"long\\\"\","
                                 "\"references\":[{\"subject\":\"s1\",\"version\":1}]}}]");
    for (size_t i = 1; i <= n; i++) {
        g_string_append_printf(text,
                               ",\"/subjects/s%zu/versions/1?deleted=true\":[{\"body\":{"
                               "\"schema\":\"\\\"long\\\"\",\"references\":[",
                               i);
        if (i < n)
            g_string_append_printf(text, "{\"subject\":\"s%zu\",\"version\":1}", i + 1);
        g_string_append(text, "]}}]");
    }
    g_string_append(text, "}");
    return g_string_free(text, FALSE);
}

static void test_long_chain(void)
{
    struct fixture fixture;
    char *fits = chain(16), *too_long = chain(17);
    set_up(&fixture, fits);
    check_found(&fixture, 7, "\"long\"");
    tear_down(&fixture);
    set_up(&fixture, too_long);
    check_rejected(&fixture, 7, ESP_REJECT_UNUSABLE_SCHEMA);
    check_reported(&fixture, "references of references, deeper than 16");
    tear_down(&fixture);
    g_free(fits);
    g_free(too_long);
}

/* Each of two schemas has few references, together they have too many. */
static void test_many_references(void)
{
    struct fixture fixture;
    GString *text = g_string_new("{");
    for (size_t s = 0; s < 2; s++) {
        g_string_append_printf(text,
                               "%s\"%s\":[{\"body\":{\"schema\":\"\\\"long\\\"\","
                               "\"references\":[",
                               s == 0 ? "" : ",",
                               s == 0 ? "/schemas/ids/7" : "/subjects/t39/versions/1?deleted=true");
        for (size_t i = 0; i < 40; i++)
            g_string_append_printf(text, "%s{\"subject\":\"%c%zu\",\"version\":1}",
                                   i == 0 ? "" : ",", s == 0 ? 't' : 'u', i);
        g_string_append(text, "]}}]");
    }
    for (size_t i = 0; i < 40; i++) {
        if (i != 39)
            g_string_append_printf(
                text, ",\"/subjects/t%zu/versions/1?deleted=true\":[" LONG_ANSWER "]", i);
        g_string_append_printf(text,
                               ",\"/subjects/u%zu/versions/1?deleted=true\":[" LONG_ANSWER "]", i);
    }
    g_string_append(text, "}");
    set_up(&fixture, text->str);
    check_rejected(&fixture, 7, ESP_REJECT_UNUSABLE_SCHEMA);
    check_reported(&fixture, "more than 64 references");
    tear_down(&fixture);
    g_string_free(text, TRUE);
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
    struct fixture fixture;
    char *answers =
        g_strdup_printf("{\"/schemas/ids/7\":[%s,%s," LONG_ANSWER "]}", row->answer, row->answer);
    set_up(&fixture, answers);
    fixture.config.timeout_us = 300 * ESP_MS;
    fixture.config.retries = 0; /* those are for another case */
    reopen_registry(&fixture);
    check_found(&fixture, 7, "\"long\"");
    check_n_requests(&fixture, 3);
    check_reported(&fixture, row->said);
    check_reported(&fixture, " answers again\n");
    g_free(answers);
    tear_down(&fixture);
}

static bool stops_at_zero(void *context)
{
    int *left = context;
    return --*left <= 0;
}

/* Nobody listens: the wait ends with the flag, and nothing is rejected. */
static void test_stopped(void)
{
    struct fixture fixture;
    set_up(&fixture, "{}");
    stand_in_end(&fixture.stand_in);
    int left = 20;
    registry_set_end(fixture.registry, stops_at_zero, &left, 0);
    enum esp_reject reject = ESP_REJECT_NONE;
    g_assert_null(look_up(&fixture, 7, &reject));
    g_assert_cmpint(fixture.err.status, ==, ESP_EBROKER);
    g_assert_cmpint(reject, ==, ESP_REJECT_NONE);
    g_assert_cmpint(left, <=, 0);
    check_reported(&fixture, "does not answer: ");
    tear_down(&fixture);
}

/* The flag is seen while an answer is waited for, long before the timeout. */
static void test_stopped_inside(void)
{
    struct fixture fixture;
    set_up(&fixture, "{\"/schemas/ids/7\":[{\"mute\":true}]}");
    fixture.config.timeout_us = ESP_HOUR;
    reopen_registry(&fixture);
    int left = 3;
    registry_set_end(fixture.registry, stops_at_zero, &left, 0);
    g_assert_null(look_up(&fixture, 7, NULL));
    g_assert_cmpint(fixture.err.status, ==, ESP_EBROKER);
    tear_down(&fixture);
}

static void test_patience(void)
{
    struct fixture fixture;
    set_up(&fixture, "{\"/schemas/ids/7\":[{\"status\":503}]}");
    registry_set_end(fixture.registry, NULL, NULL, 20 * ESP_MS);
    g_assert_null(look_up(&fixture, 7, NULL));
    g_assert_cmpint(fixture.err.status, ==, ESP_EBROKER);
    g_assert_nonnull(strstr(fixture.err.text, "answers 503"));
    tear_down(&fixture);
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
    struct fixture fixture;
    char *answers = g_strdup_printf("{\"/schemas/ids/7\":[%s]}", row->answer);
    set_up(&fixture, answers);
    g_assert_null(look_up(&fixture, 7, NULL));
    char *want = g_strdup_printf("schema registry %s %s", fixture.stand_in.address, row->why);
    g_assert_cmpstr(fixture.err.text, ==, want);
    g_assert_cmpint(fixture.err.status, ==, ESP_ECONFIG);
    check_n_requests(&fixture, 1);
    g_free(want);
    g_free(answers);
    tear_down(&fixture);
}

static void test_password(void)
{
    struct fixture fixture;
    set_up(&fixture,
           "{\"authorization\":\"ann:" PASSWORD "\",\"/schemas/ids/7\":[" LONG_ANSWER "]}");
    fixture.config.user = "ann";
    fixture.config.password = "close barley";
    reopen_registry(&fixture);
    g_assert_null(look_up(&fixture, 7, NULL));
    g_assert_cmpint(fixture.err.status, ==, ESP_ECONFIG);
    g_assert_null(strstr(fixture.err.text, "barley"));
    fixture.config.password = PASSWORD;
    reopen_registry(&fixture);
    check_found(&fixture, 7, "\"long\"");
    tear_down(&fixture);
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
    struct fixture fixture;
    char *folder = test_folder_new(), *certificate, *key;
    make_certificate(folder, &certificate, &key);
    set_up_tls(&fixture, "{\"/schemas/ids/7\":[" LONG_ANSWER "]}", certificate, key);
    g_assert_null(look_up(&fixture, 7, NULL));
    g_assert_cmpint(fixture.err.status, ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(fixture.err.text, "cannot be trusted (mend registry_ca_file): "));
    fixture.config.ca_file = certificate;
    reopen_registry(&fixture);
    check_found(&fixture, 7, "\"long\"");
    tear_down(&fixture);
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
    struct fixture fixture;
    char *answers = g_strdup_printf("{\"/schemas/types\":[%s]}", row->answer);
    set_up(&fixture, answers);
    g_assert_cmpint(registry_ping(fixture.registry, &fixture.err), ==, row->status);
    g_assert_true((row->status == ESP_OK) == (fixture.err.text[0] == '\0'));
    check_n_requests(&fixture, 1);
    g_free(answers);
    tear_down(&fixture);
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
    g_test_add_func("/registry/references are followed, each once", test_references);
    g_test_add_func("/registry/a chain of references is bounded", test_long_chain);
    g_test_add_func("/registry/the number of references is bounded", test_many_references);
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
