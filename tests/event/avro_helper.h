/*
 * avro_helper.h - random schemas, random records of them, random readers of those schemas, and the
 * paths that such a schema has.
 */
#ifndef ESP_TESTS_EVENT_AVRO_HELPER_H
#define ESP_TESTS_EVENT_AVRO_HELPER_H

#include "core/buf.h"
#include "event/avro_path.h"
#include "event/plan.h"
#include "testkit.h"

/* Which schemas are made: Avro C 1.11 cannot read arrays of records without fields, and crashes
 * when it resolves recursive ones. */
enum schema_scope { SCOPE_ALL, SCOPE_AVRO_C_READS, SCOPE_AVRO_C_RESOLVES };

/* The schema of a random record, g_free()d by the caller. Records, enums and fixed are referred to
 * again, records also by themselves. */
char *random_schema(struct test_random *random, enum schema_scope scope);

/*
 * A schema that reads what `json` wrote: fields are shuffled, dropped, their types promoted, put
 * into unions or taken out of them.
 *
 * with_names  also fields added with a default, fields renamed with an alias, symbols dropped: what
 * Avro C does not resolve
 */
char *random_reader(struct test_random *random, const char *json, bool with_names);

/* Appends a random record. Blocks of arrays and maps come in both forms, varints sometimes padded;
 * keys of a map are distinct if `distinct`. */
void random_record(struct test_random *random, const struct esp_avro_type *type, bool distinct,
                   struct esp_buf *buf);

enum { PATH_STEPS = 4, MAX_PATHS = 256 };

/* A path as steps and as a configuration would write it. */
struct test_path {
    const char *steps[PATH_STEPS];
    size_t n_steps;
    char *text;
};

struct test_paths {
    struct test_path paths[MAX_PATHS];
    size_t n;
};

/* Every path of a schema that a feature can have, up to the limits above. */
void list_paths(const struct esp_schema *schema, struct test_paths *out);
void release_paths(struct test_paths *paths);

/* A plan that reads all paths as features. Fails the test if it cannot be compiled. */
struct test_plan {
    struct esp_plan *plan;
    struct esp_want root;
    struct esp_arena arena;
    struct esp_value values[MAX_PATHS];
    struct esp_value_scratch scratch;
};
void test_plan_init(struct test_plan *plan, const struct esp_schema *writer,
                    const struct esp_schema *reader, const struct test_paths *paths);
void test_plan_release(struct test_plan *plan);

/* esp_schema_parse(), or the test ends. */
struct esp_schema *parse_schema(const char *json);

#endif
