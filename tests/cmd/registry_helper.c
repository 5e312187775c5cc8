/* registry_helper.c - see registry_helper.h. */
#include "registry_helper.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_S = 30 };

static char *path_in(const struct stand_in *stand_in, const char *name)
{
    return g_build_filename(stand_in->folder, name, NULL);
}

void stand_in_set_answers(struct stand_in *stand_in, const char *answers)
{
    char *path = path_in(stand_in, "answers.json");
    g_assert_true(g_file_set_contents(path, answers, -1, NULL)); /* writes beside it and renames */
    g_free(path);
}

/* Waits until it has said its port. */
static char *wait_for_port(const struct stand_in *stand_in)
{
    char *path = path_in(stand_in, "port"), *port = NULL;
    gint64 deadline = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
    while (!g_file_get_contents(path, &port, NULL, NULL) && g_get_monotonic_time() < deadline)
        g_usleep(2000);
    g_free(path);
    return port;
}

void stand_in_start(struct stand_in *stand_in, const char *answers, const char *certificate,
                    const char *key)
{
    *stand_in = (struct stand_in){.folder = test_folder_new()};
    stand_in_set_answers(stand_in, answers);
    char script[] = ESP_SOURCE_DIR "/tests/registry_stand_in.py", python[] = "python3";
    char *argv[] = {python, script, stand_in->folder, (char *)certificate, (char *)key, NULL};
    GError *error = NULL;
    if (!g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                  NULL, NULL, &stand_in->pid, &stand_in->input, NULL, NULL, &error))
        g_error("the stand-in cannot be started: %s", error->message);
    char *port = wait_for_port(stand_in);
    if (port == NULL)
        g_error("the stand-in does not listen");
    stand_in->address =
        g_strdup_printf("%s://127.0.0.1:%s", certificate == NULL ? "http" : "https", port);
    g_free(port);
}

void stand_in_end(struct stand_in *stand_in)
{
    if (stand_in->pid == 0)
        return;
    close(stand_in->input);
    waitpid(stand_in->pid, NULL, 0);
    g_spawn_close_pid(stand_in->pid);
    stand_in->pid = 0;
}

void stand_in_release(struct stand_in *stand_in)
{
    stand_in_end(stand_in);
    test_folder_remove(stand_in->folder);
    g_free(stand_in->address);
}

char *stand_in_requests(const struct stand_in *stand_in)
{
    char *path = path_in(stand_in, "requests"), *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        text = g_strdup("");
    g_free(path);
    return text;
}

size_t stand_in_n_requests(const struct stand_in *stand_in)
{
    char *text = stand_in_requests(stand_in);
    size_t n = 0;
    for (const char *c = text; *c != '\0'; c++)
        n += *c == '\n';
    g_free(text);
    return n;
}

/* ---- the scene ------------------------------------------------------------------------------- */

static void note_report(void *context, const struct esp_log_event *event)
{
    g_string_append_printf(context, "%s\n", event->text);
}

static void scene_open(struct registry_scene *scene)
{
    g_assert_cmpint(registry_new(&scene->config, &scene->registry, &scene->err), ==, ESP_OK);
}

void scene_reopen(struct registry_scene *scene)
{
    registry_free(scene->registry);
    scene_open(scene);
}

void scene_set_up_tls(struct registry_scene *scene, const char *answers, const char *certificate,
                      const char *key)
{
    *scene = (struct registry_scene){.state = test_folder_new(), .reports = g_string_new(NULL)};
    stand_in_start(&scene->stand_in, answers, certificate, key);
    scene->config = (struct registry_config){.address = scene->stand_in.address,
                                             .state_folder = scene->state,
                                             .timeout_us = 30 * ESP_SECOND,
                                             .retries = 2,
                                             .forget_us = ESP_HOUR,
                                             .first_pause_us = 1,
                                             .report = note_report,
                                             .report_context = scene->reports};
    scene_open(scene);
}

void scene_set_up(struct registry_scene *scene, const char *answers)
{
    scene_set_up_tls(scene, answers, NULL, NULL);
}

void scene_tear_down(struct registry_scene *scene)
{
    registry_free(scene->registry);
    stand_in_release(&scene->stand_in);
    test_folder_remove(scene->state);
    g_string_free(scene->reports, TRUE);
}

const char *scene_look_up(struct registry_scene *scene, uint32_t id, enum esp_reject *reject)
{
    const char *json = NULL;
    enum esp_reject ignored;
    scene->err = (struct esp_error){0};
    registry_look_up(scene->registry, id, &json, reject != NULL ? reject : &ignored, &scene->err);
    return json;
}

void scene_check_found(struct registry_scene *scene, uint32_t id, const char *want)
{
    g_assert_cmpstr(scene_look_up(scene, id, NULL), ==, want);
    g_assert_cmpstr(scene->err.text, ==, "");
}

void scene_check_rejected(struct registry_scene *scene, uint32_t id, enum esp_reject want)
{
    enum esp_reject reject = ESP_REJECT_NONE;
    g_assert_null(scene_look_up(scene, id, &reject));
    g_assert_cmpstr(scene->err.text, ==, "");
    g_assert_cmpint(reject, ==, want);
}

void scene_check_reported(struct registry_scene *scene, const char *text)
{
    if (strstr(scene->reports->str, text) == NULL)
        g_test_fail_printf("\"%s\" is not in: %s", text, scene->reports->str);
}

void scene_check_n_requests(struct registry_scene *scene, size_t want)
{
    g_assert_cmpuint(stand_in_n_requests(&scene->stand_in), ==, want);
}
