/*
 * registry_answer.h - what a Schema Registry's answer over HTTP means. Pure: no I/O.
 *
 * Source: Confluent Schema Registry API reference, GET /schemas/ids/{id} and
 * GET /subjects/{subject}/versions/{version}.
 */
#ifndef ESP_CMD_REGISTRY_REGISTRY_ANSWER_H
#define ESP_CMD_REGISTRY_REGISTRY_ANSWER_H

#include <jansson.h>
#include <stddef.h>

#include "core/bytes.h"
#include "core/status.h"

enum registry_verdict {
    REGISTRY_SCHEMA,   /* here it is */
    REGISTRY_UNKNOWN,  /* the registry answers, and has no such schema */
    REGISTRY_UNUSABLE, /* it has one, which is no Avro schema that can be read: for good */
    REGISTRY_AWAY,     /* this is no answer of a registry that works: ask again later */
    REGISTRY_DENIED,   /* asking again is no use: the configuration must change */
};

/* A type that a schema takes from another. */
struct registry_reference {
    const char *subject; /* owned by the answer */
    int version;
};

/* { 0 } before use. */
struct registry_answer {
    enum registry_verdict verdict;
    const char *schema;                    /* SCHEMA: JSON text */
    struct registry_reference *references; /* SCHEMA: n_references */
    size_t n_references;
    struct esp_error why; /* all others: what was wrong, for a person; status is not used */
    json_t *document;     /* owned; what the texts point into */
};

enum {
    REGISTRY_MAX_BODY_BYTES = 1 << 24, /* of an answer: a schema's text is escaped in it */
    REGISTRY_MAX_REFERENCES = 64,      /* of a schema, those of its references counted in */
};

/*
 * Reads an answer.
 *
 * http_status  200, 404, ...
 * body         at most REGISTRY_MAX_BODY_BYTES
 * Out of memory counts as AWAY.
 */
void registry_answer_read(long http_status, struct esp_bytes body, struct registry_answer *answer);
void registry_answer_release(struct registry_answer *answer);

#endif
