/*
 * avro_twin.h - the naive twin of plans: decodes a record into a tree, resolves the tree to a
 * reader's schema by the letter of the specification, looks paths up in it.
 *
 * It shares the parsed schema with the plans, and nothing else.
 */
#ifndef ESP_TESTS_EVENT_AVRO_TWIN_H
#define ESP_TESTS_EVENT_AVRO_TWIN_H

#include "avro_helper.h"

struct twin_value {
    const struct esp_avro_type *type; /* what it is now: the writer's, after resolution the
                                         reader's; never a union */
    int64_t i;                        /* boolean, int, long */
    double f;                         /* float, double */
    struct esp_bytes bytes;           /* bytes, string, fixed, an enum's symbol */
    struct twin_value **parts;        /* n_parts: of a record by field, of an array, of a map */
    struct esp_bytes *keys;           /* of a map's parts */
    size_t n_parts;
};

/* The record at the head of bytes, or NULL if it is malformed; *out_size its length. */
struct twin_value *twin_decode(struct esp_arena *arena, const struct esp_avro_type *type,
                               struct esp_bytes bytes, size_t *out_size);

/* NULL where nothing matches. */
struct twin_value *twin_resolve(struct esp_arena *arena, const struct twin_value *value,
                                const struct esp_avro_type *reader);

/* NULL if the path leads nowhere, or to a null. */
const struct twin_value *twin_lookup(const struct twin_value *root, const struct test_path *path);

/* Fails the test unless a plan's value is the twin's (NULL: missing). */
void assert_is_twin(const struct esp_value *value, const struct twin_value *twin,
                    const char *context);

#endif
