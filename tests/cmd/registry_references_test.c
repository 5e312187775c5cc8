/* registry_references_test.c - schemas of a registry that refer to others. */
#include "registry_helper.h"

#define LONG_ANSWER "{\"body\":{\"schema\":\"\\\"long\\\"\"}}"

#define REFERENCE(subject) "{\"name\":\"x\",\"subject\":\"" subject "\",\"version\":1}"
#define AT(subject)        "\"/subjects/" subject "/versions/1?deleted=true\""

/* A refers to B and C, both to D, and D to A again, which a registry would not let in. */
static void test_references(void)
{
    struct registry_scene scene;
    scene_set_up(
        &scene,
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
    const char *json = scene_look_up(&scene, 7, NULL);
    g_assert_cmpstr(scene.err.text, ==, "");
    g_assert_cmpstr(
        json, ==,
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"b\",\"type\":{\"type\":"
        "\"record\",\"name\":\"B\",\"fields\":[{\"name\":\"d\",\"type\":{\"type\":\"fixed\","
        "\"name\":\"D\",\"size\":4,\"namespace\":\"n\"}}],\"namespace\":\"n\"}},{\"name\":\"c\","
        "\"type\":{\"type\":\"record\",\"name\":\"C\",\"fields\":[{\"name\":\"d\",\"type\":"
        "\"n.D\"}],\"namespace\":\"n\"}}]}");
    char *requests = stand_in_requests(&scene.stand_in);
    g_assert_cmpstr(requests, ==,
                    "/schemas/ids/7\n/subjects/b/versions/1?deleted=true\n"
                    "/subjects/d/versions/1?deleted=true\n/subjects/c/versions/1?deleted=true\n");
    g_free(requests);
    scene_reopen(&scene);
    g_assert_nonnull(scene_look_up(&scene, 7, NULL)); /* kept as a whole */
    scene_check_n_requests(&scene, 4);
    scene_tear_down(&scene);
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
    struct registry_scene scene;
    char *fits = chain(16), *too_long = chain(17);
    scene_set_up(&scene, fits);
    scene_check_found(&scene, 7, "\"long\"");
    scene_tear_down(&scene);
    scene_set_up(&scene, too_long);
    scene_check_rejected(&scene, 7, ESP_REJECT_UNUSABLE_SCHEMA);
    scene_check_reported(&scene, "references of references, deeper than 16");
    scene_tear_down(&scene);
    g_free(fits);
    g_free(too_long);
}

/* Each of two schemas has few references, together they have too many. */
static void test_many_references(void)
{
    struct registry_scene scene;
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
    scene_set_up(&scene, text->str);
    scene_check_rejected(&scene, 7, ESP_REJECT_UNUSABLE_SCHEMA);
    scene_check_reported(&scene, "more than 64 references");
    scene_tear_down(&scene);
    g_string_free(text, TRUE);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_setenv("no_proxy", "127.0.0.1", TRUE);
    g_test_add_func("/registry references/references are followed, each once", test_references);
    g_test_add_func("/registry references/a chain of references is bounded", test_long_chain);
    g_test_add_func("/registry references/the number of references is bounded",
                    test_many_references);
    return g_test_run();
}
