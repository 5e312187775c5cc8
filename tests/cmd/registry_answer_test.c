/* registry_answer_test.c - what each answer of a Schema Registry means, by the table. */
#include "cmd/registry/registry_answer.h"

#include "testkit.h"

struct row {
    const char *name;
    long status;
    const char *body;
    enum registry_verdict verdict;
    const char *text; /* the schema, or why */
};

static const struct row rows[] = {
    {"a schema", 200, "{\"schema\":\"\\\"long\\\"\"}", REGISTRY_SCHEMA, "\"long\""},
    {"a schema that says its type", 200, "{\"schemaType\":\"AVRO\",\"schema\":\"x\"}",
     REGISTRY_SCHEMA, "x"},
    {"a schema with members that are null", 200,
     "{\"schemaType\":null,\"references\":null,\"schema\":\"x\"}", REGISTRY_SCHEMA, "x"},
    {"a schema that is not text", 200, "{\"schema\":{\"type\":\"long\"}}", REGISTRY_AWAY,
     "answers without a schema; is this a Schema Registry?"},
    {"a JSON Schema", 200, "{\"schemaType\":\"JSON\",\"schema\":\"{}\"}", REGISTRY_UNUSABLE,
     "is of type JSON, and only AVRO is read"},
    {"a type that is no text", 200, "{\"schemaType\":7,\"schema\":\"x\"}", REGISTRY_UNUSABLE,
     "is of type no name, and only AVRO is read"},
    {"a text with a NUL", 200, "{\"schema\":\"a\\u0000b\"}", REGISTRY_UNUSABLE,
     "its text holds a NUL"},
    {"references that are no list", 200, "{\"schema\":\"x\",\"references\":{}}", REGISTRY_UNUSABLE,
     "0 references; at most 64 are followed"},
    {"the latest version", 200,
     "{\"schema\":\"x\",\"references\":[{\"subject\":\"s\",\"version\":-1}]}", REGISTRY_UNUSABLE,
     "a reference without a subject and a version"},
    {"a version beyond numbers", 200,
     "{\"schema\":\"x\",\"references\":[{\"subject\":\"s\",\"version\":2147483648}]}",
     REGISTRY_UNUSABLE, "a reference without a subject and a version"},
    {"a list", 200, "[]", REGISTRY_AWAY,
     "answers with what is no JSON object; is this a Schema Registry?"},
    {"nothing", 200, "", REGISTRY_AWAY,
     "answers with what is no JSON object; is this a Schema Registry?"},
    {"no such schema", 404, "{\"error_code\":40403,\"message\":\"Schema 7 not found\"}",
     REGISTRY_UNKNOWN, "Schema 7 not found"},
    {"no such subject, without words", 404, "{\"error_code\":40401}", REGISTRY_UNKNOWN,
     "not found"},
    {"no such version", 404, "{\"error_code\":40402,\"message\":\"v\"}", REGISTRY_UNKNOWN, "v"},
    {"no such path", 404, "{\"error_code\":404,\"message\":\"HTTP 404\"}", REGISTRY_AWAY,
     "answers 404 without a registry's error_code; is the address right?"},
    {"an error code in text", 404, "{\"error_code\":\"40403\"}", REGISTRY_AWAY,
     "answers 404 without a registry's error_code; is the address right?"},
    {"the code of a missing schema with another status", 500, "{\"error_code\":40403}",
     REGISTRY_AWAY, "answers 500"},
    {"a login", 302, "", REGISTRY_AWAY, "answers 302"},
    {"a move", 308, "", REGISTRY_DENIED,
     "answers 308: it has moved; write its new address (https?)"},
    {"a slow request", 408, "", REGISTRY_AWAY, "answers 408"},
    {"a line break in a message", 422, "{\"message\":\"a\\nb\"}", REGISTRY_DENIED,
     "answers 422: a?b"},
    {"no content", 204, "", REGISTRY_AWAY, "answers 204"},
};

static void test_answer(gconstpointer data)
{
    const struct row *row = data;
    struct registry_answer answer;
    registry_answer_read(row->status, esp_bytes_of(row->body), &answer);
    g_assert_cmpint(answer.verdict, ==, row->verdict);
    g_assert_cmpstr(row->verdict == REGISTRY_SCHEMA ? answer.schema : answer.why.text, ==,
                    row->text);
    registry_answer_release(&answer);
}

static void test_references(void)
{
    struct registry_answer answer;
    registry_answer_read(
        200,
        esp_bytes_of("{\"schema\":\"x\",\"references\":[{\"name\":\"n\",\"subject\":\"a\","
                     "\"version\":1},{\"subject\":\"b\",\"version\":2147483647}]}"),
        &answer);
    g_assert_cmpint(answer.verdict, ==, REGISTRY_SCHEMA);
    g_assert_cmpuint(answer.n_references, ==, 2);
    if (g_test_failed())
        return;
    g_assert_cmpstr(answer.references[0].subject, ==, "a");
    g_assert_cmpint(answer.references[0].version, ==, 1);
    g_assert_cmpstr(answer.references[1].subject, ==, "b");
    g_assert_cmpint(answer.references[1].version, ==, 2147483647);
    registry_answer_release(&answer);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    char name[256];
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_snprintf(name, sizeof name, "/registry answer/%s", rows[i].name);
        g_test_add_data_func(name, &rows[i], test_answer);
    }
    g_test_add_func("/registry answer/references come in order", test_references);
    return g_test_run();
}
