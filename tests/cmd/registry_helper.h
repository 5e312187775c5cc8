/* registry_helper.h - runs tests/registry_stand_in.py, a Schema Registry on loopback. */
#ifndef ESP_TESTS_REGISTRY_HELPER_H
#define ESP_TESTS_REGISTRY_HELPER_H

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

#endif
