/* registry_answer.c - see registry_answer.h. */
#include "cmd/registry/registry_answer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* error_code of an answer that is 404. */
enum { NO_SUBJECT = 40401, NO_VERSION = 40402, NO_SCHEMA = 40403 };

#define CONCLUDE(answer, what, ...)                         \
    do {                                                    \
        (answer)->verdict = (what);                         \
        esp_fail(&(answer)->why, ESP_EBROKER, __VA_ARGS__); \
    } while (0)

/* The answer's own words on an error, "" if it has none. */
static const char *message_of(const struct registry_answer *answer)
{
    const char *message = json_string_value(json_object_get(answer->document, "message"));
    return message == NULL ? "" : message;
}

static void read_reference(struct registry_answer *answer, const json_t *json)
{
    const char *subject = json_string_value(json_object_get(json, "subject"));
    const json_t *version = json_object_get(json, "version");
    json_int_t number = json_integer_value(version);
    if (subject == NULL || subject[0] == '\0' || !json_is_integer(version) || number < 1 ||
        number > INT_MAX) {
        CONCLUDE(answer, REGISTRY_UNUSABLE, "a reference without a subject and a version");
        return;
    }
    answer->references[answer->n_references++] = (struct registry_reference){subject, (int)number};
}

static void read_references(struct registry_answer *answer)
{
    const json_t *list = json_object_get(answer->document, "references");
    size_t n = json_array_size(list);
    if (list == NULL || json_is_null(list))
        return;
    if (!json_is_array(list) || n > REGISTRY_MAX_REFERENCES) {
        CONCLUDE(answer, REGISTRY_UNUSABLE, "%zu references; at most %d are followed", n,
                 REGISTRY_MAX_REFERENCES);
        return;
    }
    answer->references = calloc(n + 1, sizeof *answer->references);
    if (answer->references == NULL) {
        CONCLUDE(answer, REGISTRY_AWAY, "out of memory for its answer");
        return;
    }
    for (size_t i = 0; i < n && answer->verdict == REGISTRY_SCHEMA; i++)
        read_reference(answer, json_array_get(list, i));
}

static void read_schema(struct registry_answer *answer)
{
    const json_t *type = json_object_get(answer->document, "schemaType");
    const json_t *schema = json_object_get(answer->document, "schema");
    if (!json_is_string(schema)) {
        CONCLUDE(answer, REGISTRY_AWAY, "answers without a schema; is this a Schema Registry?");
        return;
    }
    if (type != NULL && !json_is_null(type) &&
        (!json_is_string(type) || strcmp(json_string_value(type), "AVRO") != 0)) {
        CONCLUDE(answer, REGISTRY_UNUSABLE, "is of type %.40s, and only AVRO is read",
                 json_is_string(type) ? json_string_value(type) : "no name");
        return;
    }
    answer->schema = json_string_value(schema);
    if (strlen(answer->schema) != json_string_length(schema)) {
        CONCLUDE(answer, REGISTRY_UNUSABLE, "its text holds a NUL");
        return;
    }
    read_references(answer);
}

static void read_error(struct registry_answer *answer, long http_status)
{
    json_int_t code = json_integer_value(json_object_get(answer->document, "error_code"));
    const char *message = message_of(answer);
    const char *colon = message[0] == '\0' ? "" : ": ";
    if (http_status == 404 && code >= NO_SUBJECT && code <= NO_SCHEMA)
        CONCLUDE(answer, REGISTRY_UNKNOWN, "%.200s", message[0] == '\0' ? "not found" : message);
    else if (http_status == 404)
        CONCLUDE(answer, REGISTRY_AWAY,
                 "answers 404 without a registry's error_code; is the address right?");
    else if (http_status == 401)
        CONCLUDE(answer, REGISTRY_DENIED,
                 "answers 401: user or password is wrong; mend registry_user, registry_password");
    else if (http_status == 403 || http_status == 407)
        CONCLUDE(answer, REGISTRY_DENIED, "answers %ld: this user may not read it%s%.200s",
                 http_status, colon, message);
    else if (http_status == 301 || http_status == 308)
        CONCLUDE(answer, REGISTRY_DENIED,
                 "answers %ld: it has moved; write its new address (https?)", http_status);
    else if (http_status >= 400 && http_status < 500 && http_status != 408 && http_status != 425 &&
             http_status != 429)
        CONCLUDE(answer, REGISTRY_DENIED, "answers %ld%s%.200s", http_status, colon, message);
    else
        CONCLUDE(answer, REGISTRY_AWAY, "answers %ld%s%.200s", http_status, colon, message);
}

void registry_answer_read(long http_status, struct esp_bytes body, struct registry_answer *answer)
{
    json_error_t at;
    *answer = (struct registry_answer){.verdict = REGISTRY_SCHEMA};
    /* \u0000 is usual in the default of a decimal, where it comes escaped twice. */
    answer->document = json_loadb((const char *)body.data, body.size, JSON_ALLOW_NUL, &at);
    if (http_status != 200)
        read_error(answer, http_status);
    else if (!json_is_object(answer->document))
        CONCLUDE(answer, REGISTRY_AWAY,
                 "answers with what is no JSON object; is this a Schema Registry?");
    else
        read_schema(answer);
}

void registry_answer_release(struct registry_answer *answer)
{
    free(answer->references);
    json_decref(answer->document);
    *answer = (struct registry_answer){0};
}
