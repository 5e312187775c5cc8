/* plan_oracle_test.c - on random schemas and records, plans and Avro C read the same values and
 * find the same end, with the writer's schema alone and resolved to a reader's. */
#include <avro.h>

#include "avro_helper.h"

enum { N_SCHEMAS = 400, N_RECORDS = 6 };

static size_t n_values, n_resolved;

/* Follows a path in Avro C's value; false: it leads nowhere. */
static bool follow(avro_value_t *value, const struct test_path *path, size_t step)
{
    while (avro_value_get_type(value) == AVRO_UNION) {
        avro_value_t branch;
        if (avro_value_get_current_branch(value, &branch) != 0)
            return false;
        *value = branch;
    }
    if (step == path->n_steps)
        return true;
    avro_type_t type = avro_value_get_type(value);
    avro_value_t next;
    if (type != AVRO_RECORD && type != AVRO_MAP)
        return false;
    if (avro_value_get_by_name(value, path->steps[step], &next, NULL) != 0)
        return false;
    *value = next;
    return follow(value, path, step + 1);
}

static bool same_bytes(const struct esp_value *value, enum esp_value_type type, const void *data,
                       size_t size)
{
    return value->type == type && esp_bytes_equal(value->u.bytes, esp_bytes(data, size));
}

static bool same_text(const struct esp_value *value, avro_value_t *want)
{
    const char *text = NULL;
    size_t size = 0;
    int symbol = 0;
    if (avro_value_get_type(want) == AVRO_STRING) {
        avro_value_get_string(want, &text, &size);
        return same_bytes(value, ESP_VALUE_TEXT, text, size - 1); /* its NUL counts there */
    }
    avro_value_get_enum(want, &symbol);
    text = avro_schema_enum_get(avro_value_get_schema(want), symbol);
    return same_bytes(value, ESP_VALUE_TEXT, text, strlen(text));
}

static bool same_number(const struct esp_value *value, avro_value_t *want)
{
    int32_t i32 = 0;
    int64_t i64 = 0;
    float f32 = 0;
    double f64 = 0;
    switch (avro_value_get_type(want)) {
    case AVRO_INT32:
        avro_value_get_int(want, &i32);
        return value->type == ESP_VALUE_INT && value->u.i == i32;
    case AVRO_INT64:
        avro_value_get_long(want, &i64);
        return value->type == ESP_VALUE_INT && value->u.i == i64;
    case AVRO_FLOAT:
        avro_value_get_float(want, &f32);
        f64 = (double)f32;
        break;
    default:
        avro_value_get_double(want, &f64);
    }
    return value->type == ESP_VALUE_REAL && memcmp(&value->u.f, &f64, sizeof f64) == 0;
}

static bool same_scalar(const struct esp_value *value, avro_value_t *want)
{
    const void *data = NULL;
    size_t size = 0;
    int flag = 0;
    switch (avro_value_get_type(want)) {
    case AVRO_BOOLEAN:
        avro_value_get_boolean(want, &flag);
        return value->type == ESP_VALUE_BOOL && value->u.i == flag;
    case AVRO_STRING:
    case AVRO_ENUM:
        return same_text(value, want);
    case AVRO_BYTES:
        avro_value_get_bytes(want, &data, &size);
        return same_bytes(value, ESP_VALUE_BYTES, data, size);
    case AVRO_FIXED:
        avro_value_get_fixed(want, &data, &size);
        return same_bytes(value, ESP_VALUE_BYTES, data, size);
    case AVRO_INT32:
    case AVRO_INT64:
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        return same_number(value, want);
    default:
        return value->type == ESP_VALUE_MISSING;
    }
}

static bool same_value(const struct esp_value *value, avro_value_t *want)
{
    static const struct test_path here = {.n_steps = 0};
    if (avro_value_get_type(want) != AVRO_ARRAY || value->type != ESP_VALUE_ARRAY)
        return same_scalar(value, want);
    size_t n = 0;
    avro_value_get_size(want, &n);
    if (n != value->n_items)
        return false;
    for (size_t i = 0; i < n; i++) {
        avro_value_t item;
        avro_value_get_by_index(want, i, &item, NULL);
        if (follow(&item, &here, 0) ? !same_scalar(&value->u.items[i], &item)
                                    : value->u.items[i].type != ESP_VALUE_MISSING)
            return false;
    }
    return true;
}

/* What Avro C finds after the record: eight known bytes, if it passed as many as we wrote. */
static bool ends_with_marker(avro_reader_t reader)
{
    static const char marker[] = "the end.";
    char found[sizeof marker] = "";
    avro_schema_t schema = avro_schema_fixed("Marker", sizeof marker - 1);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_value_t value;
    avro_generic_value_new(iface, &value);
    const void *data = NULL;
    size_t size = 0;
    bool ok =
        avro_value_read(reader, &value) == 0 && avro_value_get_fixed(&value, &data, &size) == 0;
    if (ok)
        memcpy(found, data, sizeof marker - 1);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    return ok && strcmp(found, marker) == 0;
}

/* Avro C's classes for a writer and, if it differs, a reader. */
struct oracle {
    avro_schema_t writer, reader;
    avro_value_iface_t *target, *resolver;
    avro_value_t value, resolved;
};

/* False: Avro C cannot resolve these. */
static bool oracle_init(struct oracle *oracle, const char *writer, const char *reader)
{
    *oracle = (struct oracle){0};
    g_assert_cmpint(avro_schema_from_json_length(writer, strlen(writer), &oracle->writer), ==, 0);
    if (reader == NULL) {
        oracle->target = avro_generic_class_from_schema(oracle->writer);
        avro_generic_value_new(oracle->target, &oracle->value);
        return true;
    }
    g_assert_cmpint(avro_schema_from_json_length(reader, strlen(reader), &oracle->reader), ==, 0);
    oracle->resolver = avro_resolved_writer_new(oracle->writer, oracle->reader);
    if (oracle->resolver == NULL)
        return false;
    oracle->target = avro_generic_class_from_schema(oracle->reader);
    avro_generic_value_new(oracle->target, &oracle->value);
    avro_resolved_writer_new_value(oracle->resolver, &oracle->resolved);
    avro_resolved_writer_set_dest(&oracle->resolved, &oracle->value);
    return true;
}

/* A fresh target: a union that Avro C does not select anew keeps its branch, even after a reset. */
static void renew(struct oracle *oracle)
{
    avro_value_decref(&oracle->value);
    avro_generic_value_new(oracle->target, &oracle->value);
    if (oracle->resolver == NULL)
        return;
    avro_value_decref(&oracle->resolved);
    avro_resolved_writer_new_value(oracle->resolver, &oracle->resolved);
    avro_resolved_writer_set_dest(&oracle->resolved, &oracle->value);
}

static void oracle_release(struct oracle *oracle)
{
    if (oracle->resolver != NULL)
        avro_value_decref(&oracle->resolved);
    if (oracle->target != NULL)
        avro_value_decref(&oracle->value);
    if (oracle->resolver != NULL)
        avro_value_iface_decref(oracle->resolver);
    if (oracle->target != NULL)
        avro_value_iface_decref(oracle->target);
    if (oracle->reader != NULL)
        avro_schema_decref(oracle->reader);
    avro_schema_decref(oracle->writer);
}

/* One record. False: Avro C refuses it, because a branch has no match in the reader. */
static bool compare(struct oracle *oracle, struct test_plan *plan, const struct test_paths *paths,
                    struct esp_buf *buf, const char *json)
{
    ptrdiff_t size = esp_plan_run(plan->plan, esp_buf_bytes(buf), plan->values, &plan->scratch);
    if (size != (ptrdiff_t)buf->size)
        g_test_fail_printf("the plan passes %td of %zu bytes: %s", size, buf->size, json);
    struct esp_buf marked;
    esp_buf_init(&marked, 1 << 26);
    esp_buf_append(&marked, buf->data, buf->size, NULL);
    esp_buf_append(&marked, "the end.", 8, NULL);
    avro_reader_t reader = avro_reader_memory((const char *)marked.data, (int64_t)marked.size);
    renew(oracle);
    int failed =
        avro_value_read(reader, oracle->resolver != NULL ? &oracle->resolved : &oracle->value);
    if (!failed && !ends_with_marker(reader))
        g_test_fail_printf("Avro C ends elsewhere: %s", json);
    for (size_t i = 0; !failed && i < paths->n && !g_test_failed(); i++) {
        avro_value_t want = oracle->value;
        bool found = follow(&want, &paths->paths[i], 0);
        /* An empty array selects no branch of a reader's union in Avro C. */
        const struct esp_value *value = &plan->values[i];
        if (!found && oracle->resolver != NULL && value->type == ESP_VALUE_ARRAY &&
            value->n_items == 0)
            continue;
        n_values += found;
        if (found ? !same_value(&plan->values[i], &want)
                  : plan->values[i].type != ESP_VALUE_MISSING)
            g_test_fail_printf("%s differs: %s", paths->paths[i].text, json);
    }
    avro_reader_free(reader);
    esp_buf_release(&marked);
    return !failed;
}

static void try_schema(struct test_random *random, const char *json, const char *reader_json)
{
    struct oracle oracle;
    bool resolves = oracle_init(&oracle, json, reader_json);
    struct esp_schema *writer = parse_schema(json);
    struct esp_schema *reader = reader_json != NULL ? parse_schema(reader_json) : NULL;
    struct test_paths paths;
    list_paths(reader != NULL ? reader : writer, &paths);
    struct test_plan plan;
    test_plan_init(&plan, writer, reader, &paths);
    for (size_t i = 0; resolves && i < N_RECORDS && !g_test_failed(); i++) {
        struct esp_buf buf;
        esp_buf_init(&buf, 1 << 26);
        random_record(random, writer->root, true, &buf);
        bool read = compare(&oracle, &plan, &paths, &buf, json);
        if (!read && reader == NULL)
            g_test_fail_printf("Avro C refuses a record: %s: %s", avro_strerror(), json);
        n_resolved += read && reader != NULL;
        esp_buf_release(&buf);
    }
    test_plan_release(&plan);
    release_paths(&paths);
    esp_schema_free(reader);
    esp_schema_free(writer);
    oracle_release(&oracle);
}

static void test_own_fields(void)
{
    struct test_random random = {11};
    n_values = 0;
    for (size_t i = 0; i < N_SCHEMAS && !g_test_failed(); i++) {
        char *json = random_schema(&random, SCOPE_AVRO_C_READS);
        try_schema(&random, json, NULL);
        g_free(json);
    }
    g_assert_cmpuint(n_values, >, 10 * N_SCHEMAS);
}

static void test_resolution(void)
{
    struct test_random random = {12};
    n_values = n_resolved = 0;
    for (size_t i = 0; i < N_SCHEMAS && !g_test_failed(); i++) {
        char *json = random_schema(&random, SCOPE_AVRO_C_RESOLVES);
        char *reader = random_reader(&random, json, false);
        try_schema(&random, json, reader);
        g_free(reader);
        g_free(json);
    }
    g_assert_cmpuint(n_values, >, 5 * N_SCHEMAS);
    g_assert_cmpuint(n_resolved, >, N_SCHEMAS);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/plan/oracle/values and lengths are Avro C's", test_own_fields);
    g_test_add_func("/plan/oracle/resolved values are Avro C's", test_resolution);
    return g_test_run();
}
