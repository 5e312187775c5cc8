/* plan_twin_test.c - on random schemas, records, readers and damage, plans do what their naive twin
 * does: the same values, the same lengths, the same refusals. */
#include "avro_twin.h"
#include "event/encode.h"

enum { N_SCHEMAS = 300, N_RECORDS = 6, N_FLIPS = 20 };

/* How much was compared, so that a test that compares nothing fails. */
static size_t n_values, n_refused;

/* The plan and the twin on the same bytes. */
static void compare(struct test_plan *plan, const struct esp_schema *writer,
                    const struct esp_schema *reader, const struct test_paths *paths,
                    struct esp_bytes bytes, const char *json)
{
    struct esp_arena arena = {0};
    size_t twin_size = 0;
    struct twin_value *twin = twin_decode(&arena, writer->root, bytes, &twin_size);
    ptrdiff_t size = esp_plan_run(plan->plan, bytes, plan->values, &plan->scratch);
    if (size != (twin == NULL ? -1 : (ptrdiff_t)twin_size))
        g_test_fail_printf("the plan passes %td bytes, the twin %zu (%s): %s", size, twin_size,
                           twin != NULL ? "good" : "malformed", json);
    n_refused += twin == NULL;
    if (twin != NULL && reader != NULL)
        twin = twin_resolve(&arena, twin, reader->root);
    for (size_t i = 0; size >= 0 && i < paths->n && !g_test_failed(); i++) {
        char *context = g_strdup_printf("%s in %s", paths->paths[i].text, json);
        n_values += plan->values[i].type != ESP_VALUE_MISSING;
        assert_is_twin(&plan->values[i], twin_lookup(twin, &paths->paths[i]), context);
        g_free(context);
    }
    esp_arena_release(&arena);
}

/* One writer, and a reader or NULL; random records, whole and damaged. */
static void try_schema(struct test_random *random, const char *json, const char *reader_json)
{
    struct esp_schema *writer = parse_schema(json);
    struct esp_schema *reader = reader_json != NULL ? parse_schema(reader_json) : NULL;
    struct test_paths paths;
    list_paths(reader != NULL ? reader : writer, &paths);
    struct test_plan plan;
    test_plan_init(&plan, writer, reader, &paths);
    for (size_t i = 0; i < N_RECORDS && !g_test_failed(); i++) {
        struct esp_buf buf;
        esp_buf_init(&buf, 1 << 26);
        random_record(random, writer->root, false, &buf);
        /* An exact copy on the heap, so that a byte read too many is seen by the sanitizer. */
        uint8_t *copy = g_memdup2(buf.data, buf.size);
        struct esp_bytes bytes = esp_bytes(copy, buf.size);
        compare(&plan, writer, reader, &paths, bytes, json);
        for (size_t flip = 0; bytes.size > 0 && flip < N_FLIPS; flip++) {
            size_t at = (size_t)test_random_below(random, bytes.size);
            uint8_t before = copy[at];
            copy[at] ^= (uint8_t)(1u << test_random_below(random, 8));
            compare(&plan, writer, reader, &paths, bytes, json);
            copy[at] = before;
        }
        g_free(copy);
        esp_buf_release(&buf);
    }
    test_plan_release(&plan);
    release_paths(&paths);
    esp_schema_free(reader);
    esp_schema_free(writer);
}

static void test_own_fields(void)
{
    struct test_random random = {1};
    for (size_t i = 0; i < N_SCHEMAS && !g_test_failed(); i++) {
        char *json = random_schema(&random, SCOPE_ALL);
        try_schema(&random, json, NULL);
        g_free(json);
    }
    g_assert_cmpuint(n_values, >, 100 * N_SCHEMAS);
    g_assert_cmpuint(n_refused, >, 10 * N_SCHEMAS);
}

static void test_resolution(void)
{
    struct test_random random = {2};
    n_values = 0;
    for (size_t i = 0; i < N_SCHEMAS && !g_test_failed(); i++) {
        char *json = random_schema(&random, SCOPE_ALL);
        char *reader = random_reader(&random, json, true);
        try_schema(&random, json, reader);
        g_free(reader);
        g_free(json);
    }
    g_assert_cmpuint(n_values, >, 100 * N_SCHEMAS);
}

/* Cut anywhere, a record is refused, by the plan that reads and by the one that skips. */
static void test_truncation(void)
{
    struct test_random random = {3};
    for (size_t i = 0; i < N_SCHEMAS && !g_test_failed(); i++) {
        char *json = random_schema(&random, SCOPE_ALL);
        struct esp_schema *schema = parse_schema(json);
        const struct test_paths none = {.n = 0};
        struct test_paths paths;
        list_paths(schema, &paths);
        struct test_plan reads, skips;
        test_plan_init(&reads, schema, NULL, &paths);
        test_plan_init(&skips, schema, NULL, &none);
        struct esp_buf buf;
        esp_buf_init(&buf, 1 << 26);
        random_record(&random, schema->root, true, &buf);
        for (size_t n = 0; n < buf.size && n < 500; n++) {
            uint8_t *copy = g_memdup2(buf.data, n > 0 ? n : 1);
            struct esp_bytes cut = esp_bytes(copy, n);
            g_assert_cmpint(esp_plan_run(reads.plan, cut, reads.values, &reads.scratch), ==, -1);
            g_assert_cmpint(esp_plan_run(skips.plan, cut, NULL, NULL), ==, -1);
            g_free(copy);
        }
        g_assert_cmpint(esp_plan_run(skips.plan, esp_buf_bytes(&buf), NULL, NULL), ==,
                        (ptrdiff_t)buf.size);
        esp_buf_release(&buf);
        test_plan_release(&reads);
        test_plan_release(&skips);
        release_paths(&paths);
        esp_schema_free(schema);
        g_free(json);
    }
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/plan/twin/values, lengths and refusals agree", test_own_fields);
    g_test_add_func("/plan/twin/values agree under a reader's schema", test_resolution);
    g_test_add_func("/plan/twin/a record cut at any byte is refused", test_truncation);
    return g_test_run();
}
