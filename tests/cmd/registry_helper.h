/* registry_helper.h - runs tests/registry_stand_in.py, a Schema Registry on loopback. */
#ifndef ESP_TESTS_REGISTRY_HELPER_H
#define ESP_TESTS_REGISTRY_HELPER_H

#include "cmd/registry/registry.h"
#include "testkit.h"

struct stand_in {
    char *folder;  /* of its answers; owned */
    char *address; /* http://127.0.0.1:PORT, or https:// */
    GPid pid;
    int input; /* it ends when this is closed */
};

/* Starts it with these answers (JSON). certificate and key: NULL, or PEM files for TLS. */
void stand_in_start(struct stand_in *stand_in, const char *answers, const char *certificate,
                    const char *key);

/* Ends it; its folder and address stay. */
void stand_in_end(struct stand_in *stand_in);

/* Ends it if need be, and frees all. */
void stand_in_release(struct stand_in *stand_in);

void stand_in_set_answers(struct stand_in *stand_in, const char *answers);

/* The paths that were asked for so far, a line each; freed by the caller. */
char *stand_in_requests(const struct stand_in *stand_in);

/* How many requests there were. */
size_t stand_in_n_requests(const struct stand_in *stand_in);

/* A stand-in, a state folder, and a registry on both, whose pauses are a microsecond. */
struct registry_scene {
    struct stand_in stand_in;
    char *state;
    GString *reports; /* a line each */
    struct registry_config config;
    struct registry *registry;
    struct esp_error err;
};

/* All begin with an open registry; certificate and key as above. */
void scene_set_up(struct registry_scene *scene, const char *answers);
void scene_set_up_tls(struct registry_scene *scene, const char *answers, const char *certificate,
                      const char *key);
void scene_tear_down(struct registry_scene *scene);

/* Opens the registry again with scene->config, as the next start would. */
void scene_reopen(struct registry_scene *scene);

/* Looks an id up: the schema, or NULL with *reject, or NULL with scene->err. reject may be NULL. */
const char *scene_look_up(struct registry_scene *scene, uint32_t id, enum esp_reject *reject);

/* The lookup gives this schema; or rejects, without an error. */
void scene_check_found(struct registry_scene *scene, uint32_t id, const char *want);
void scene_check_rejected(struct registry_scene *scene, uint32_t id, enum esp_reject want);

/* Some line that was reported has this text. */
void scene_check_reported(struct registry_scene *scene, const char *text);

void scene_check_n_requests(struct registry_scene *scene, size_t want);

#endif
