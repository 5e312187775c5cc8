/*
 * drift_record.c - see drift_record.h.
 *
 * Delimiting and judging are two steps: a container's records must be delimited whatever they say,
 * or one that says nonsense would take the rest of its block with it.
 */
#include "event/drift_record.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "core/timespan.h"
#include "event/cursor.h"
#include "event/encode.h"
#include "event/event.h"
#include "event/records.h"

/* 0001-01-01 and 10000-01-01, between which times have a text. */
static const int64_t first_time_us = INT64_C(-62135596800) * ESP_SECOND;
static const int64_t last_time_us = INT64_C(253402300800) * ESP_SECOND;

enum { SINGLE_OBJECT_BYTES = 10 };

const char *esp_drift_kind_name(enum esp_drift_kind kind)
{
    static const char *const names[ESP_N_DRIFT_KINDS] = {"holdout", "progressive", "production"};
    return (unsigned)kind < ESP_N_DRIFT_KINDS ? names[kind] : "unknown";
}

const char *esp_drift_task_name(enum esp_drift_task task)
{
    static const char *const names[ESP_N_DRIFT_TASKS] = {"click", "install_given_click", "install"};
    return (unsigned)task < ESP_N_DRIFT_TASKS ? names[task] : "unknown";
}

#define SUM(name) offsetof(struct esp_drift_sums, name)
static const size_t sum_fields[] = {SUM(w),  SUM(l),  SUM(p),  SUM(y),  SUM(ww), SUM(wl), SUM(wp),
                                    SUM(wy), SUM(ll), SUM(lp), SUM(ly), SUM(pp), SUM(py), SUM(yy)};
enum { N_SUMS = sizeof sum_fields / sizeof sum_fields[0] };

#define FIGURE(name) offsetof(struct esp_drift_record, name)
static const struct {
    size_t offset;
    const char *name;
} figure_fields[] = {
    {FIGURE(log_loss), "log_loss"},
    {FIGURE(normalised_entropy), "normalised_entropy"},
    {FIGURE(calibration), "calibration"},
    {FIGURE(roc_auc), "roc_auc"},
    {FIGURE(pr_auc), "pr_auc"},
    {FIGURE(drift_loss), "drift_loss"},
    {FIGURE(production_loss), "production_loss"},
};
enum { N_FIGURES = sizeof figure_fields / sizeof figure_fields[0] };

static const struct esp_drift_figure *figure_of(const struct esp_drift_record *record, size_t i)
{
    return (const void *)((const char *)record + figure_fields[i].offset);
}

static double sum_of(const struct esp_drift_sums *sums, size_t i)
{
    return *(const double *)(const void *)((const char *)sums + sum_fields[i]);
}

/* ---- what a record may say ------------------------------------------------------------------- */

static bool is_name(struct esp_bytes text, bool may_be_empty)
{
    return text.size <= ESP_DRIFT_MAX_NAME && (text.size > 0 || may_be_empty) && esp_is_text(text);
}

static bool is_run(struct esp_bytes run)
{
    for (size_t i = 0; i < run.size; i++) {
        if (!((run.data[i] >= '0' && run.data[i] <= '9') ||
              (run.data[i] >= 'a' && run.data[i] <= 'f')))
            return false;
    }
    return run.size == ESP_DRIFT_RUN_SIZE;
}

static bool are_counts(int64_t examples, int64_t positives, int64_t clusters)
{
    return examples >= 0 && positives >= 0 && positives <= examples && clusters >= 0 &&
           clusters <= examples;
}

static bool is_window(const struct esp_drift_record *record)
{
    return record->window_start_us >= first_time_us && record->window_end_us <= last_time_us &&
           record->window_start_us < record->window_end_us;
}

/* The snapshot's boundary lies `age` windows before the start, and must be a time too. */
static bool is_aged_rightly(const struct esp_drift_record *record)
{
    bool is_holdout = record->kind == ESP_DRIFT_HOLDOUT;
    bool has_age = record->age != ESP_DRIFT_NO_AGE;
    bool has_snapshot = record->snapshot != ESP_DRIFT_NO_SNAPSHOT;
    if (has_age != is_holdout || has_snapshot != is_holdout)
        return false;
    int64_t length_us = record->window_end_us - record->window_start_us;
    return !has_age || (record->age >= 0 &&
                        record->age <= (record->window_start_us - first_time_us) / length_us);
}

static bool are_sums(const struct esp_drift_sums *sums)
{
    for (size_t i = 0; i < N_SUMS; i++) {
        if (!isfinite(sum_of(sums, i)))
            return false;
    }
    return sums->w >= 0;
}

static bool is_paired(const struct esp_drift_record *record, const struct esp_drift_paired *paired)
{
    return !paired->is_set ||
           (record->kind == ESP_DRIFT_HOLDOUT && paired->examples <= record->examples &&
            are_counts(paired->examples, paired->positives, paired->clusters) &&
            paired->clipped >= 0 && paired->clipped <= paired->examples && isfinite(paired->w) &&
            isfinite(paired->d) && isfinite(paired->dd) && isfinite(paired->dw) &&
            isfinite(paired->ww) && paired->w >= 0);
}

static bool is_figure(const struct esp_drift_figure *figure)
{
    if (!figure->is_set)
        return !figure->has_interval;
    return isfinite(figure->value) &&
           (!figure->has_interval ||
            (isfinite(figure->low) && isfinite(figure->high) && figure->low <= figure->high));
}

/* The first field that no trainer writes so, or NULL. */
static const char *wrong_field(const struct esp_drift_record *record)
{
    if (!is_run(record->run))
        return "run";
    if (!is_name(record->model, false))
        return "model";
    if (!is_name(record->setup, true))
        return "setup";
    if ((unsigned)record->kind >= ESP_N_DRIFT_KINDS)
        return "kind";
    if ((unsigned)record->task >= ESP_N_DRIFT_TASKS)
        return "task";
    if (!is_window(record))
        return "window";
    if (!is_aged_rightly(record))
        return "age";
    if (!are_counts(record->examples, record->positives, record->clusters))
        return "examples";
    if (!(record->share >= 0 && record->share <= 1))
        return "share";
    if (!are_sums(&record->sums))
        return "sums";
    if (!is_paired(record, &record->paired))
        return "paired";
    if (!is_paired(record, &record->production))
        return "production";
    for (size_t i = 0; i < N_FIGURES; i++) {
        if (!is_figure(figure_of(record, i)))
            return figure_fields[i].name;
    }
    return NULL;
}

/* ---- encoding -------------------------------------------------------------------------------- */

/* Where fields go; after the first failure nothing more does. */
struct sink {
    struct esp_buf *buf;
    enum esp_status status;
    struct esp_error *err;
};

static void put_long(struct sink *sink, int64_t value)
{
    if (sink->status == ESP_OK)
        sink->status = esp_put_long(sink->buf, value, sink->err);
}

static void put_double(struct sink *sink, double value)
{
    if (sink->status == ESP_OK)
        sink->status = esp_put_double(sink->buf, value, sink->err);
}

static void put_text(struct sink *sink, struct esp_bytes text)
{
    if (sink->status == ESP_OK)
        sink->status = esp_put_bytes(sink->buf, text, sink->err);
}

static void put_paired(struct sink *sink, const struct esp_drift_paired *paired)
{
    put_long(sink, paired->is_set);
    if (!paired->is_set)
        return;
    put_long(sink, paired->examples);
    put_long(sink, paired->positives);
    put_long(sink, paired->clusters);
    put_long(sink, paired->clipped);
    put_double(sink, paired->w);
    put_double(sink, paired->d);
    put_double(sink, paired->dd);
    put_double(sink, paired->dw);
    put_double(sink, paired->ww);
}

static void put_figure(struct sink *sink, const struct esp_drift_figure *figure)
{
    put_long(sink, figure->is_set);
    if (!figure->is_set)
        return;
    put_double(sink, figure->value);
    put_long(sink, figure->has_interval);
    if (figure->has_interval)
        put_double(sink, figure->low);
    put_long(sink, figure->has_interval);
    if (figure->has_interval)
        put_double(sink, figure->high);
}

static void put_record(struct sink *sink, const struct esp_drift_record *record)
{
    put_long(sink, ESP_DRIFT_VERSION);
    put_text(sink, record->run);
    put_text(sink, record->model);
    put_text(sink, record->setup);
    put_long(sink, record->kind);
    put_long(sink, record->window_start_us);
    put_long(sink, record->window_end_us);
    put_long(sink, record->task);
    put_long(sink, record->age != ESP_DRIFT_NO_AGE);
    if (record->age != ESP_DRIFT_NO_AGE)
        put_long(sink, record->age);
    put_long(sink, record->snapshot != ESP_DRIFT_NO_SNAPSHOT);
    if (record->snapshot != ESP_DRIFT_NO_SNAPSHOT)
        put_long(sink, record->snapshot);
    put_long(sink, record->examples);
    put_long(sink, record->positives);
    put_long(sink, record->clusters);
    put_double(sink, record->share);
    for (size_t i = 0; i < N_SUMS; i++)
        put_double(sink, sum_of(&record->sums, i));
    put_paired(sink, &record->paired);
    put_paired(sink, &record->production);
    for (size_t i = 0; i < N_FIGURES; i++)
        put_figure(sink, figure_of(record, i));
}

enum esp_status esp_encode_drift(struct esp_buf *buf, const struct esp_drift_record *record,
                                 struct esp_error *err)
{
    const char *wrong = wrong_field(record);
    if (wrong != NULL)
        return esp_fail(err, ESP_EINVAL, "a drift record with an impossible %s", wrong);
    size_t before = buf->size;
    struct sink sink = {.buf = buf, .status = ESP_OK, .err = err};
    put_record(&sink, record);
    if (sink.status != ESP_OK)
        buf->size = before;
    return sink.status;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* The branch of ["null", ...]: true if a value follows. */
static bool is_present(struct esp_cursor *cursor, const char *field)
{
    return esp_take_branch(cursor, 2, field) == 1;
}

static void read_paired(struct esp_cursor *cursor, struct esp_drift_paired *out, const char *field)
{
    if (!is_present(cursor, field))
        return;
    out->is_set = true;
    out->examples = esp_take_long(cursor, field);
    out->positives = esp_take_long(cursor, field);
    out->clusters = esp_take_long(cursor, field);
    out->clipped = esp_take_long(cursor, field);
    out->w = esp_take_double(cursor, field);
    out->d = esp_take_double(cursor, field);
    out->dd = esp_take_double(cursor, field);
    out->dw = esp_take_double(cursor, field);
    out->ww = esp_take_double(cursor, field);
}

/* An interval with one end becomes one with an end that is no number, which is refused later. */
static void read_figure(struct esp_cursor *cursor, struct esp_drift_figure *out, const char *field)
{
    if (!is_present(cursor, field))
        return;
    out->is_set = true;
    out->value = esp_take_double(cursor, field);
    bool has_low = is_present(cursor, field);
    double low = has_low ? esp_take_double(cursor, field) : NAN;
    bool has_high = is_present(cursor, field);
    double high = has_high ? esp_take_double(cursor, field) : NAN;
    out->has_interval = has_low || has_high;
    if (out->has_interval) {
        out->low = low;
        out->high = high;
    }
}

/* Delimits. Returns the version; the cursor has failed if the bytes hold no record. An age or a
 * snapshot that is there but has the value that stands for null becomes one that is refused. */
static int32_t read_record(struct esp_cursor *cursor, struct esp_drift_record *out)
{
    *out = (struct esp_drift_record){.age = ESP_DRIFT_NO_AGE, .snapshot = ESP_DRIFT_NO_SNAPSHOT};
    int32_t version = esp_take_int(cursor, "version");
    out->run = esp_take_bytes(cursor, SIZE_MAX, "run");
    out->model = esp_take_bytes(cursor, SIZE_MAX, "model");
    out->setup = esp_take_bytes(cursor, SIZE_MAX, "setup");
    out->kind = (enum esp_drift_kind)esp_take_branch(cursor, ESP_N_DRIFT_KINDS, "kind");
    out->window_start_us = esp_take_long(cursor, "window_start");
    out->window_end_us = esp_take_long(cursor, "window_end");
    out->task = (enum esp_drift_task)esp_take_branch(cursor, ESP_N_DRIFT_TASKS, "task");
    if (is_present(cursor, "age")) {
        int32_t age = esp_take_int(cursor, "age");
        out->age = age == ESP_DRIFT_NO_AGE ? INT32_MIN : age;
    }
    if (is_present(cursor, "snapshot")) {
        int64_t snapshot = esp_take_long(cursor, "snapshot");
        out->snapshot = snapshot;
        if (snapshot == ESP_DRIFT_NO_SNAPSHOT)
            out->age = INT32_MIN;
    }
    out->examples = esp_take_long(cursor, "examples");
    out->positives = esp_take_long(cursor, "positives");
    out->clusters = esp_take_long(cursor, "clusters");
    out->share = esp_take_double(cursor, "share");
    for (size_t i = 0; i < N_SUMS; i++)
        *(double *)(void *)((char *)&out->sums + sum_fields[i]) = esp_take_double(cursor, "sums");
    read_paired(cursor, &out->paired, "paired");
    read_paired(cursor, &out->production, "production");
    for (size_t i = 0; i < N_FIGURES; i++)
        read_figure(cursor, (void *)((char *)out + figure_fields[i].offset), figure_fields[i].name);
    return version;
}

enum esp_status esp_decode_drift(struct esp_bytes bytes, struct esp_drift_record *out,
                                 struct esp_error *err)
{
    struct esp_cursor cursor = esp_cursor(bytes), head = cursor;
    int32_t version = esp_take_int(&head, "version");
    if (head.fault == NULL && version != ESP_DRIFT_VERSION)
        return esp_fail(err, ESP_ESCHEMA,
                        "a drift record of version %" PRId32 "; this program "
                        "knows version %d",
                        version, ESP_DRIFT_VERSION);
    struct esp_drift_record record;
    read_record(&cursor, &record);
    if (cursor.fault != NULL)
        return esp_fail(err, ESP_EDECODE, "%zu bytes that do not match the drift record's schema",
                        bytes.size);
    if (cursor.at != cursor.end)
        return esp_fail(err, ESP_EDECODE, "a drift record with %zu bytes behind it",
                        (size_t)(cursor.end - cursor.at));
    const char *wrong = wrong_field(&record);
    if (wrong != NULL)
        return esp_fail(err, ESP_EDECODE, "a drift record with an impossible %s", wrong);
    *out = record;
    return ESP_OK;
}

const char *esp_drift_key(const struct esp_drift_record *record, char text[ESP_DRIFT_KEY_SIZE])
{
    char age[16] = "-";
    if (record->age != ESP_DRIFT_NO_AGE)
        snprintf(age, sizeof age, "%" PRId32, record->age);
    snprintf(text, ESP_DRIFT_KEY_SIZE, "%.*s/%.*s/%s/%" PRId64 "-%" PRId64 "/%s/%s",
             (int)record->run.size, (const char *)record->run.data, (int)record->model.size,
             (const char *)record->model.data, esp_drift_kind_name(record->kind),
             record->window_start_us, record->window_end_us, esp_drift_task_name(record->task),
             age);
    return text;
}

/* ---- in the log ------------------------------------------------------------------------------ */

static enum esp_status open_container(void *context, const char *json, size_t size,
                                      const void **out_schema, struct esp_error *err)
{
    struct esp_drift_reader *reader = context;
    uint64_t fingerprint = 0;
    struct esp_error why = {0};
    enum esp_status status = esp_schema_fingerprint(json, size, &fingerprint, &why);
    if (status == ESP_ENOMEM)
        return esp_fail(err, status, "%s", why.text);
    if (status == ESP_OK && fingerprint == reader->fingerprint) {
        *out_schema = reader;
        return ESP_OK;
    }
    reader->n_unknown++;
    return status != ESP_OK
               ? esp_fail(err, ESP_ESCHEMA, "%s", why.text)
               : esp_fail(err, ESP_ESCHEMA,
                          "drift records of an unknown version (schema %016" PRIx64 ")",
                          fingerprint);
}

static ptrdiff_t skip_record(const void *schema, struct esp_bytes bytes)
{
    (void)schema;
    struct esp_cursor cursor = esp_cursor(bytes);
    const uint8_t *begin = cursor.at;
    struct esp_drift_record record;
    read_record(&cursor, &record);
    return cursor.fault != NULL ? -1 : cursor.at - begin;
}

enum esp_status esp_drift_reader_init(struct esp_drift_reader *reader, struct esp_error *err)
{
    const char *json = esp_own_schema_json(ESP_SCHEMA_DRIFT);
    *reader = (struct esp_drift_reader){
        .framer = {.context = reader, .open = open_container, .skip = skip_record}};
    return esp_schema_fingerprint(json, strlen(json), &reader->fingerprint, err);
}

enum esp_status esp_drift_reader_decode(const struct esp_drift_reader *reader,
                                        const struct esp_record *record,
                                        struct esp_drift_record *out, struct esp_error *err)
{
    struct esp_bytes value = record->value;
    if (record->schema != NULL)
        return esp_decode_drift(value, out, err);
    if (value.size < SINGLE_OBJECT_BYTES || value.data[0] != 0xc3 || value.data[1] != 0x01)
        return esp_fail(err, ESP_EDECODE, "a record without single-object framing");
    uint64_t fingerprint = 0;
    for (size_t i = 0; i < 8; i++)
        fingerprint |= (uint64_t)value.data[2 + i] << (8 * i);
    if (fingerprint != reader->fingerprint)
        return esp_fail(err, ESP_ESCHEMA,
                        "a drift record of an unknown version (schema %016" PRIx64 ")",
                        fingerprint);
    return esp_decode_drift(
        esp_bytes(value.data + SINGLE_OBJECT_BYTES, value.size - SINGLE_OBJECT_BYTES), out, err);
}
