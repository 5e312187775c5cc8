/* drift_record_test.c - drift records come back as they went, Avro C agrees, and nonsense is
 * refused. */
#include <avro.h>
#include <math.h>

#include "core/timespan.h"
#include "event/drift_record.h"
#include "event/encode.h"
#include "event/records.h"
#include "testkit.h"

static const int64_t start_us = INT64_C(1767571200) * ESP_SECOND; /* 2026-01-05T00:00:00Z */

static struct esp_drift_record plain(void)
{
    return (struct esp_drift_record){
        .run = esp_bytes_of("0123456789abcdef"),
        .model = esp_bytes_of("main"),
        .setup = esp_bytes_of("ipsp"),
        .kind = ESP_DRIFT_HOLDOUT,
        .window_start_us = start_us,
        .window_end_us = start_us + ESP_HOUR,
        .task = ESP_DRIFT_INSTALL_GIVEN_CLICK,
        .age = 24,
        .snapshot = 490968,
        .examples = 1000,
        .positives = 40,
        .clusters = 900,
        .share = 0.5,
        .sums = {.w = 1,
                 .l = 2,
                 .p = 3,
                 .y = 4,
                 .ww = 5,
                 .wl = 6,
                 .wp = 7,
                 .wy = 8,
                 .ll = 9,
                 .lp = 10,
                 .ly = 11,
                 .pp = 12,
                 .py = 13,
                 .yy = 14},
        .paired = {true, 1000, 40, 900, 0, 1, -2, 3, -4, 5},
        .log_loss = {true, true, 0.2, 0.1, 0.3},
        .calibration = {true, false, 1.5, 0, 0},
        .drift_loss = {true, true, 0.002, -0.001, 0.003},
    };
}

static void assert_figure(const struct esp_drift_figure *got, const struct esp_drift_figure *want)
{
    g_assert_cmpint(got->is_set, ==, want->is_set);
    g_assert_cmpint(got->has_interval, ==, want->has_interval);
    g_assert_true(got->value == want->value && got->low == want->low && got->high == want->high);
}

static void assert_paired(const struct esp_drift_paired *got, const struct esp_drift_paired *want)
{
    g_assert_cmpint(got->is_set, ==, want->is_set);
    g_assert_cmpint(got->examples, ==, want->examples);
    g_assert_cmpint(got->positives, ==, want->positives);
    g_assert_cmpint(got->clusters, ==, want->clusters);
    g_assert_cmpint(got->clipped, ==, want->clipped);
    g_assert_true(got->w == want->w && got->d == want->d && got->dd == want->dd);
    g_assert_true(got->dw == want->dw && got->ww == want->ww);
}

static void assert_record(const struct esp_drift_record *got, const struct esp_drift_record *want)
{
    g_assert_true(esp_bytes_equal(got->run, want->run));
    g_assert_true(esp_bytes_equal(got->model, want->model));
    g_assert_true(esp_bytes_equal(got->setup, want->setup));
    g_assert_cmpint(got->kind, ==, want->kind);
    g_assert_cmpint(got->window_start_us, ==, want->window_start_us);
    g_assert_cmpint(got->window_end_us, ==, want->window_end_us);
    g_assert_cmpint(got->task, ==, want->task);
    g_assert_cmpint(got->age, ==, want->age);
    g_assert_cmpint(got->snapshot, ==, want->snapshot);
    g_assert_cmpint(got->examples, ==, want->examples);
    g_assert_cmpint(got->positives, ==, want->positives);
    g_assert_cmpint(got->clusters, ==, want->clusters);
    g_assert_true(got->share == want->share);
    g_assert_cmpmem(&got->sums, sizeof got->sums, &want->sums, sizeof want->sums);
    assert_paired(&got->paired, &want->paired);
    assert_paired(&got->production, &want->production);
    assert_figure(&got->log_loss, &want->log_loss);
    assert_figure(&got->normalised_entropy, &want->normalised_entropy);
    assert_figure(&got->calibration, &want->calibration);
    assert_figure(&got->roc_auc, &want->roc_auc);
    assert_figure(&got->pr_auc, &want->pr_auc);
    assert_figure(&got->drift_loss, &want->drift_loss);
    assert_figure(&got->production_loss, &want->production_loss);
}

/* ---- random records -------------------------------------------------------------------------- */

static double real(struct test_random *random)
{
    return (test_random_unit(random) - 0.5) * exp2((double)test_random_below(random, 80) - 40);
}

static void random_figure(struct test_random *random, struct esp_drift_figure *out)
{
    *out = (struct esp_drift_figure){0};
    out->is_set = test_random_below(random, 3) > 0;
    if (!out->is_set)
        return;
    out->value = real(random);
    out->has_interval = test_random_below(random, 2);
    if (out->has_interval) {
        out->low = out->value - fabs(real(random));
        out->high = out->value + fabs(real(random));
    }
}

static void random_paired(struct test_random *random, int64_t most, struct esp_drift_paired *out)
{
    *out = (struct esp_drift_paired){.is_set = test_random_below(random, 2)};
    if (!out->is_set)
        return;
    out->examples = (int64_t)test_random_below(random, (uint64_t)most + 1);
    out->positives = (int64_t)test_random_below(random, (uint64_t)out->examples + 1);
    out->clusters = (int64_t)test_random_below(random, (uint64_t)out->examples + 1);
    out->clipped = (int64_t)test_random_below(random, (uint64_t)out->examples + 1);
    out->w = fabs(real(random));
    out->d = real(random);
    out->dd = real(random);
    out->dw = real(random);
    out->ww = real(random);
}

static void random_record(struct test_random *random, struct esp_drift_record *out)
{
    *out = plain();
    out->model = esp_bytes_of(test_random_below(random, 2) ? "m\xc3\xa9t\xc3\xa9o" : "</script>");
    out->setup = esp_bytes_of(test_random_below(random, 2) ? "" : "esmm");
    out->kind = (enum esp_drift_kind)test_random_below(random, ESP_N_DRIFT_KINDS);
    out->task = (enum esp_drift_task)test_random_below(random, ESP_N_DRIFT_TASKS);
    out->window_start_us = (int64_t)test_random_below(random, UINT64_C(1) << 50);
    out->window_end_us = out->window_start_us + 1 + (int64_t)test_random_below(random, 1u << 30);
    out->examples = (int64_t)test_random_below(random, UINT64_C(1) << 40);
    out->positives = (int64_t)test_random_below(random, (uint64_t)out->examples + 1);
    out->clusters = (int64_t)test_random_below(random, (uint64_t)out->examples + 1);
    out->share = test_random_unit(random);
    out->age = (int32_t)test_random_below(random, 200);
    out->snapshot = (int64_t)test_random_u64(random) / 2;
    random_paired(random, out->examples, &out->paired);
    random_paired(random, out->examples, &out->production);
    if (out->kind != ESP_DRIFT_HOLDOUT) {
        out->age = ESP_DRIFT_NO_AGE;
        out->snapshot = ESP_DRIFT_NO_SNAPSHOT;
        out->paired = out->production = (struct esp_drift_paired){0};
    }
    struct esp_drift_figure *figures[] = {
        &out->log_loss, &out->normalised_entropy, &out->calibration,    &out->roc_auc,
        &out->pr_auc,   &out->drift_loss,         &out->production_loss};
    for (size_t i = 0; i < G_N_ELEMENTS(figures); i++)
        random_figure(random, figures[i]);
    out->sums.w = fabs(real(random));
    out->sums.ly = real(random);
    out->sums.yy = real(random);
}

static void test_round_trip(void)
{
    struct test_random random = {1};
    struct esp_buf buf;
    esp_buf_init(&buf, 1 << 16);
    for (size_t i = 0; i < 2000 && !g_test_failed(); i++) {
        struct esp_drift_record record, got;
        struct esp_error err = {0};
        random_record(&random, &record);
        esp_buf_clear(&buf);
        esp_encode_drift(&buf, &record, &err);
        esp_decode_drift(esp_buf_bytes(&buf), &got, &err);
        g_assert_cmpstr(err.text, ==, "");
        if (!g_test_failed())
            assert_record(&got, &record);
    }
    esp_buf_release(&buf);
}

/* ---- Avro C ---------------------------------------------------------------------------------- */

static avro_schema_t own_schema(void)
{
    const char *json = esp_own_schema_json(ESP_SCHEMA_DRIFT);
    avro_schema_t schema = NULL;
    g_assert_cmpint(avro_schema_from_json_length(json, strlen(json), &schema), ==, 0);
    return schema;
}

/* A number at PATH, dots between names; a null on the way gives NAN. */
static double number_at(avro_value_t value, const char *path)
{
    char **names = g_strsplit(path, ".", -1);
    double number = NAN;
    for (size_t i = 0; names[i] != NULL; i++) {
        avro_value_t next;
        if (avro_value_get_by_name(&value, names[i], &next, NULL) != 0)
            break;
        if (avro_value_get_type(&next) == AVRO_UNION)
            avro_value_get_current_branch(&next, &next);
        value = next;
    }
    int64_t whole = 0;
    int32_t small = 0;
    int symbol = 0;
    avro_type_t type = avro_value_get_type(&value);
    if (type == AVRO_DOUBLE)
        avro_value_get_double(&value, &number);
    else if (type == AVRO_INT64 && avro_value_get_long(&value, &whole) == 0)
        number = (double)whole;
    else if (type == AVRO_INT32 && avro_value_get_int(&value, &small) == 0)
        number = small;
    else if (type == AVRO_ENUM && avro_value_get_enum(&value, &symbol) == 0)
        number = symbol;
    g_strfreev(names);
    return number;
}

/* Avro C finds each number under its name, and writes the same bytes again. */
static void test_avro_c_reads(void)
{
    static const struct {
        const char *path;
        double want;
    } rows[] = {
        {"version", 1},
        {"kind", 0},
        {"task", 1},
        {"window_end", 1767574800e6},
        {"age", 24},
        {"snapshot", 490968},
        {"examples", 1000},
        {"positives", 40},
        {"clusters", 900},
        {"share", 0.5},
        {"sums.w", 1},
        {"sums.l", 2},
        {"sums.p", 3},
        {"sums.y", 4},
        {"sums.ww", 5},
        {"sums.wl", 6},
        {"sums.wp", 7},
        {"sums.wy", 8},
        {"sums.ll", 9},
        {"sums.lp", 10},
        {"sums.ly", 11},
        {"sums.pp", 12},
        {"sums.py", 13},
        {"sums.yy", 14},
        {"paired.w", 1},
        {"paired.d", -2},
        {"paired.dd", 3},
        {"paired.dw", -4},
        {"paired.ww", 5},
        {"paired.examples", 1000},
        {"log_loss.value", 0.2},
        {"log_loss.low", 0.1},
        {"log_loss.high", 0.3},
        {"calibration.value", 1.5},
        {"drift_loss.low", -0.001},
    };
    struct esp_buf buf;
    esp_buf_init(&buf, 1 << 16);
    struct esp_drift_record record = plain();
    g_assert_cmpint(esp_encode_drift(&buf, &record, NULL), ==, ESP_OK);
    avro_schema_t schema = own_schema();
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_value_t value;
    avro_generic_value_new(iface, &value);
    avro_reader_t reader = avro_reader_memory((const char *)buf.data, (int64_t)buf.size);
    g_assert_cmpint(avro_value_read(reader, &value), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (number_at(value, rows[i].path) != rows[i].want)
            g_test_fail_printf("%s: %g", rows[i].path, number_at(value, rows[i].path));
    }
    g_assert_true(isnan(number_at(value, "roc_auc.value")));
    char again[4096];
    avro_writer_t writer = avro_writer_memory(again, sizeof again);
    g_assert_cmpint(avro_value_write(writer, &value), ==, 0);
    g_assert_cmpmem(again, avro_writer_tell(writer), buf.data, buf.size);
    avro_writer_free(writer);
    avro_reader_free(reader);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    esp_buf_release(&buf);
}

/* Random records survive Avro C to the byte. */
static void test_avro_c_agrees(void)
{
    struct test_random random = {2};
    avro_schema_t schema = own_schema();
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    struct esp_buf buf;
    esp_buf_init(&buf, 1 << 16);
    for (size_t i = 0; i < 500 && !g_test_failed(); i++) {
        struct esp_drift_record record;
        random_record(&random, &record);
        esp_buf_clear(&buf);
        g_assert_cmpint(esp_encode_drift(&buf, &record, NULL), ==, ESP_OK);
        avro_value_t value;
        avro_generic_value_new(iface, &value);
        avro_reader_t reader = avro_reader_memory((const char *)buf.data, (int64_t)buf.size);
        g_assert_cmpint(avro_value_read(reader, &value), ==, 0);
        char again[4096];
        avro_writer_t writer = avro_writer_memory(again, sizeof again);
        g_assert_cmpint(avro_value_write(writer, &value), ==, 0);
        g_assert_cmpmem(again, avro_writer_tell(writer), buf.data, buf.size);
        avro_writer_free(writer);
        avro_reader_free(reader);
        avro_value_decref(&value);
    }
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    esp_buf_release(&buf);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_truncated(void)
{
    struct esp_drift_record record = plain(), got;
    struct esp_buf buf;
    esp_buf_init(&buf, 1 << 16);
    g_assert_cmpint(esp_encode_drift(&buf, &record, NULL), ==, ESP_OK);
    for (size_t n = 0; n < buf.size; n++) {
        uint8_t *copy = g_memdup2(buf.data, n);
        g_assert_cmpint(esp_decode_drift(esp_bytes(copy, n), &got, NULL), ==, ESP_EDECODE);
        g_free(copy);
    }
    g_assert_cmpint(esp_put_long(&buf, 0, NULL), ==, ESP_OK);
    struct esp_error err = {0};
    g_assert_cmpint(esp_decode_drift(esp_buf_bytes(&buf), &got, &err), ==, ESP_EDECODE);
    g_assert_cmpstr(err.text, ==, "a drift record with 1 bytes behind it");
    esp_buf_release(&buf);
}

static void test_version(void)
{
    struct esp_drift_record got;
    struct esp_error err = {0};
    g_assert_cmpint(esp_decode_drift(esp_bytes("\x04 whatever follows", 18), &got, &err), ==,
                    ESP_ESCHEMA);
    g_assert_cmpstr(err.text, ==, "a drift record of version 2; this program knows version 1");
}

static void spoil_run(struct esp_drift_record *r)
{
    r->run = esp_bytes_of("0123456789ABCDEF");
}
static void spoil_model(struct esp_drift_record *r)
{
    r->model = esp_bytes_of("a\nb");
}
static void spoil_utf8(struct esp_drift_record *r)
{
    r->model = esp_bytes_of("a\xff");
}
static void spoil_empty(struct esp_drift_record *r)
{
    r->model.size = 0;
}
static void spoil_window(struct esp_drift_record *r)
{
    r->window_end_us = r->window_start_us;
}
static void spoil_era(struct esp_drift_record *r)
{
    r->window_end_us = INT64_MAX;
}
static void spoil_age(struct esp_drift_record *r)
{
    r->age = ESP_DRIFT_NO_AGE;
}
static void spoil_old(struct esp_drift_record *r)
{
    r->age = INT32_MAX;
}
static void spoil_kind(struct esp_drift_record *r)
{
    r->kind = ESP_DRIFT_PROGRESSIVE;
}
static void spoil_snapshot(struct esp_drift_record *r)
{
    r->snapshot = ESP_DRIFT_NO_SNAPSHOT;
}
static void spoil_positives(struct esp_drift_record *r)
{
    r->positives = 1001;
}
static void spoil_clusters(struct esp_drift_record *r)
{
    r->clusters = -1;
}
static void spoil_share(struct esp_drift_record *r)
{
    r->share = 1.5;
}
static void spoil_sums(struct esp_drift_record *r)
{
    r->sums.py = NAN;
}
static void spoil_weight(struct esp_drift_record *r)
{
    r->sums.w = -1;
}
static void spoil_paired(struct esp_drift_record *r)
{
    r->paired.examples = 1001;
}
static void spoil_clipped(struct esp_drift_record *r)
{
    r->production = r->paired;
    r->production.clipped = 1001;
}
static void spoil_figure(struct esp_drift_record *r)
{
    r->log_loss.value = INFINITY;
}
static void spoil_interval(struct esp_drift_record *r)
{
    r->drift_loss.low = 1;
}

static const struct spoiled {
    const char *name;
    void (*spoil)(struct esp_drift_record *record);
    const char *field;
} spoiled_rows[] = {
    {"a run in capitals", spoil_run, "run"},
    {"a model's name with a line break", spoil_model, "model"},
    {"a model's name that is no UTF-8", spoil_utf8, "model"},
    {"no model", spoil_empty, "model"},
    {"an empty window", spoil_window, "window"},
    {"a window beyond the year 9999", spoil_era, "window"},
    {"a holdout record without an age", spoil_age, "age"},
    {"a snapshot from before the year 1", spoil_old, "age"},
    {"a progressive record with an age", spoil_kind, "age"},
    {"a holdout record without a snapshot", spoil_snapshot, "age"},
    {"more positives than examples", spoil_positives, "examples"},
    {"fewer than no clusters", spoil_clusters, "examples"},
    {"a share above 1", spoil_share, "share"},
    {"a sum that is no number", spoil_sums, "sums"},
    {"a weight below 0", spoil_weight, "sums"},
    {"more pairs than examples", spoil_paired, "paired"},
    {"more clipped scores than pairs", spoil_clipped, "production"},
    {"an infinite figure", spoil_figure, "log_loss"},
    {"an interval upside down", spoil_interval, "drift_loss"},
};

static void test_spoiled(const void *data)
{
    const struct spoiled *row = data;
    struct esp_drift_record record = plain();
    row->spoil(&record);
    struct esp_buf buf;
    esp_buf_init(&buf, 1 << 16);
    struct esp_error err = {0};
    g_assert_cmpint(esp_encode_drift(&buf, &record, &err), ==, ESP_EINVAL);
    g_assert_cmpuint(buf.size, ==, 0);
    char *want = g_strdup_printf("a drift record with an impossible %s", row->field);
    g_assert_cmpstr(err.text, ==, want);
    g_free(want);
    esp_buf_release(&buf);
}

/* Bytes that no encoder of ours writes: plain()'s, changed where a field of known place stands. */
static void test_decoder_judges(void)
{
    struct esp_drift_record record = plain(), got;
    struct esp_buf buf;
    esp_buf_init(&buf, 1 << 16);
    g_assert_cmpint(esp_encode_drift(&buf, &record, NULL), ==, ESP_OK);
    struct esp_error err = {0};
    buf.data[2] = 'G'; /* behind the version and the run's length */
    g_assert_cmpint(esp_decode_drift(esp_buf_bytes(&buf), &got, &err), ==, ESP_EDECODE);
    g_assert_cmpstr(err.text, ==, "a drift record with an impossible run");
    buf.data[2] = '0';
    /* drift_loss is the last figure but one, and the last is null: 1 byte. Its high end: 1 + 8. */
    size_t high = buf.size - 1 - 9;
    g_assert_cmpint(buf.data[high], ==, 2);
    memmove(buf.data + high + 1, buf.data + high + 9, 1);
    buf.data[high] = 0;
    buf.size -= 8;
    err = (struct esp_error){0};
    g_assert_cmpint(esp_decode_drift(esp_buf_bytes(&buf), &got, &err), ==, ESP_EDECODE);
    g_assert_cmpstr(err.text, ==, "a drift record with an impossible drift_loss");
    esp_buf_release(&buf);
}

static void test_full_buffer(void)
{
    struct esp_drift_record record = plain();
    struct esp_buf buf;
    esp_buf_init(&buf, 100);
    g_assert_cmpint(esp_put_long(&buf, 7, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_encode_drift(&buf, &record, NULL), ==, ESP_ELIMIT);
    g_assert_cmpuint(buf.size, ==, 1);
    esp_buf_release(&buf);
}

/* ---- keys, framing --------------------------------------------------------------------------- */

static void test_key(void)
{
    char key[ESP_DRIFT_KEY_SIZE];
    struct esp_drift_record record = plain();
    g_assert_cmpstr(
        esp_drift_key(&record, key), ==,
        "0123456789abcdef/main/holdout/1767571200000000-1767574800000000/install_given_click/24");
    record.kind = ESP_DRIFT_PROGRESSIVE;
    record.age = ESP_DRIFT_NO_AGE;
    g_assert_cmpstr(esp_drift_key(&record, key), ==,
                    "0123456789abcdef/main/progressive/1767571200000000-1767574800000000/"
                    "install_given_click/-");
}

static void test_framing(void)
{
    struct esp_drift_reader reader;
    g_assert_cmpint(esp_drift_reader_init(&reader, NULL), ==, ESP_OK);
    struct esp_drift_record record = plain(), got;
    struct esp_buf buf;
    esp_buf_init(&buf, 1 << 16);
    esp_put_single_object(&buf, reader.fingerprint, NULL);
    g_assert_cmpint(esp_encode_drift(&buf, &record, NULL), ==, ESP_OK);
    struct esp_error err = {0};
    struct esp_record framed = {.value = esp_buf_bytes(&buf)};
    g_assert_cmpint(esp_drift_reader_decode(&reader, &framed, &got, &err), ==, ESP_OK);
    assert_record(&got, &record);
    struct esp_record bare = {.value = esp_bytes(buf.data + 10, buf.size - 10), .schema = &reader};
    g_assert_cmpint(esp_drift_reader_decode(&reader, &bare, &got, &err), ==, ESP_OK);
    bare.schema = NULL;
    g_assert_cmpint(esp_drift_reader_decode(&reader, &bare, &got, &err), ==, ESP_EDECODE);
    g_assert_cmpstr(err.text, ==, "a record without single-object framing");
    buf.data[2] ^= 1;
    err = (struct esp_error){0};
    g_assert_cmpint(esp_drift_reader_decode(&reader, &framed, &got, &err), ==, ESP_ESCHEMA);
    g_assert_nonnull(strstr(err.text, "a drift record of an unknown version (schema "));
    esp_buf_release(&buf);
}

static void test_containers(void)
{
    struct esp_drift_reader reader;
    const void *schema = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_drift_reader_init(&reader, NULL), ==, ESP_OK);
    const char *json = esp_own_schema_json(ESP_SCHEMA_DRIFT);
    g_assert_cmpint(reader.framer.open(&reader, json, strlen(json), &schema, &err), ==, ESP_OK);
    g_assert_nonnull(schema);
    g_assert_cmpuint(reader.n_unknown, ==, 0);
    json = esp_own_schema_json(ESP_SCHEMA_SCORE);
    g_assert_cmpint(reader.framer.open(&reader, json, strlen(json), &schema, &err), ==,
                    ESP_ESCHEMA);
    g_assert_nonnull(strstr(err.text, "drift records of an unknown version (schema "));
    g_assert_cmpint(reader.framer.open(&reader, "{", 1, &schema, NULL), ==, ESP_ESCHEMA);
    g_assert_cmpuint(reader.n_unknown, ==, 2);
    struct esp_drift_record record = plain();
    struct esp_buf buf;
    esp_buf_init(&buf, 1 << 16);
    g_assert_cmpint(esp_encode_drift(&buf, &record, NULL), ==, ESP_OK);
    ptrdiff_t size = (ptrdiff_t)buf.size;
    buf.data[2] = 'G'; /* nonsense is delimited, so that what follows can be read */
    g_assert_cmpint(esp_put_long(&buf, 1, NULL), ==, ESP_OK);
    g_assert_cmpint(reader.framer.skip(&reader, esp_buf_bytes(&buf)), ==, size);
    g_assert_cmpint(reader.framer.skip(&reader, esp_bytes(buf.data, (size_t)size - 1)), ==, -1);
    esp_buf_release(&buf);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/drift_record/random records come back as they went", test_round_trip);
    g_test_add_func("/drift_record/Avro C finds each number under its name", test_avro_c_reads);
    g_test_add_func("/drift_record/Avro C writes the same bytes", test_avro_c_agrees);
    g_test_add_func("/drift_record/a record cut anywhere is refused", test_truncated);
    g_test_add_func("/drift_record/another version is told from damage", test_version);
    for (size_t i = 0; i < G_N_ELEMENTS(spoiled_rows); i++) {
        char name[256];
        g_snprintf(name, sizeof name, "/drift_record/not written/%s", spoiled_rows[i].name);
        g_test_add_data_func(name, &spoiled_rows[i], test_spoiled);
    }
    g_test_add_func("/drift_record/bytes that say nonsense are refused", test_decoder_judges);
    g_test_add_func("/drift_record/a full buffer stays as it was", test_full_buffer);
    g_test_add_func("/drift_record/the key tells what a replay overwrites", test_key);
    g_test_add_func("/drift_record/framing tells an unknown version", test_framing);
    g_test_add_func("/drift_record/containers of other schemas are refused and counted",
                    test_containers);
    return g_test_run();
}
