/* drift_fields.c - see drift_fields.h. One table of fields drives both. */
#include "cmd/drift/drift_fields.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/timespan.h"

enum field_type { VERSION, TEXT, KIND, TASK, TIME, AGE, SNAPSHOT, COUNT, REAL };

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* in the record */
    size_t flag;   /* offset of the bool without which the field is null; ALWAYS: never null */
};

#define ALWAYS     SIZE_MAX
#define AT(member) offsetof(struct esp_drift_record, member)
#define PLAIN(type_, member)                                                 \
    {                                                                        \
        .name = #member, .type = type_, .offset = AT(member), .flag = ALWAYS \
    }
#define TIME_FIELD(name_)                                                      \
    {                                                                          \
        .name = #name_, .type = TIME, .offset = AT(name_##_us), .flag = ALWAYS \
    }
#define SUM(member)                                                                      \
    {                                                                                    \
        .name = "sums_" #member, .type = REAL, .offset = AT(sums.member), .flag = ALWAYS \
    }
#define PAIRED(block, type_, member)                                           \
    {                                                                          \
        .name = #block "_" #member, .type = type_, .offset = AT(block.member), \
        .flag = AT(block.is_set)                                               \
    }
#define PAIRED_ROWS(block)                                                                     \
    PAIRED(block, COUNT, examples), PAIRED(block, COUNT, positives),                           \
        PAIRED(block, COUNT, clusters), PAIRED(block, COUNT, clipped), PAIRED(block, REAL, w), \
        PAIRED(block, REAL, d), PAIRED(block, REAL, dd), PAIRED(block, REAL, dw),              \
        PAIRED(block, REAL, ww)
#define FIGURE_ROWS(figure)                                                                 \
    {.name = #figure, .type = REAL, .offset = AT(figure.value), .flag = AT(figure.is_set)}, \
        {.name = #figure "_low",                                                            \
         .type = REAL,                                                                      \
         .offset = AT(figure.low),                                                          \
         .flag = AT(figure.has_interval)},                                                  \
    {                                                                                       \
        .name = #figure "_high", .type = REAL, .offset = AT(figure.high),                   \
        .flag = AT(figure.has_interval)                                                     \
    }

static const struct field fields[] = {
    {.name = "version", .type = VERSION, .flag = ALWAYS},
    PLAIN(TEXT, run),
    PLAIN(TEXT, model),
    PLAIN(TEXT, setup),
    PLAIN(KIND, kind),
    TIME_FIELD(window_start),
    TIME_FIELD(window_end),
    PLAIN(TASK, task),
    PLAIN(AGE, age),
    PLAIN(SNAPSHOT, snapshot),
    PLAIN(COUNT, examples),
    PLAIN(COUNT, positives),
    PLAIN(COUNT, clusters),
    PLAIN(REAL, share),
    SUM(w),
    SUM(l),
    SUM(p),
    SUM(y),
    SUM(ww),
    SUM(wl),
    SUM(wp),
    SUM(wy),
    SUM(ll),
    SUM(lp),
    SUM(ly),
    SUM(pp),
    SUM(py),
    SUM(yy),
    PAIRED_ROWS(paired),
    PAIRED_ROWS(production),
    FIGURE_ROWS(log_loss),
    FIGURE_ROWS(normalised_entropy),
    FIGURE_ROWS(calibration),
    FIGURE_ROWS(roc_auc),
    FIGURE_ROWS(pr_auc),
    FIGURE_ROWS(drift_loss),
    FIGURE_ROWS(production_loss),
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static const void *place(const struct esp_drift_record *record, size_t offset)
{
    return (const char *)record + offset;
}

static bool is_null(const struct esp_drift_record *record, const struct field *field)
{
    if (field->type == AGE)
        return record->age == ESP_DRIFT_NO_AGE;
    if (field->type == SNAPSHOT)
        return record->snapshot == ESP_DRIFT_NO_SNAPSHOT;
    return field->flag != ALWAYS && !*(const bool *)place(record, field->flag);
}

static int64_t whole_value(const struct esp_drift_record *record, const struct field *field)
{
    return field->type == VERSION ? ESP_DRIFT_VERSION
           : field->type == AGE   ? record->age
                                  : *(const int64_t *)place(record, field->offset);
}

/* Texts of enums and times; NULL for other fields. */
static const char *word_value(const struct esp_drift_record *record, const struct field *field,
                              char text[ESP_TIME_TEXT_SIZE])
{
    switch (field->type) {
    case KIND:
        return esp_drift_kind_name(record->kind);
    case TASK:
        return esp_drift_task_name(record->task);
    case TIME:
        return esp_time_format(*(const int64_t *)place(record, field->offset), text);
    default:
        return NULL;
    }
}

static void put_quoted(struct esp_bytes text, FILE *out)
{
    bool is_quoted = text.size > 0 && (memchr(text.data, ',', text.size) != NULL ||
                                       memchr(text.data, '"', text.size) != NULL);
    if (is_quoted)
        fputc('"', out);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            fputc('"', out);
        fputc(text.data[i], out);
    }
    if (is_quoted)
        fputc('"', out);
}

/* The shortest decimal that reads back as the same number. */
static void put_real(double value, FILE *out)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, out);
}

void drift_csv_head(FILE *out)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        fprintf(out, "%s%s", fields[i].name, i + 1 < N_FIELDS ? "," : "\n");
}

void drift_csv_row(const struct esp_drift_record *record, FILE *out)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *field = &fields[i];
        char text[ESP_TIME_TEXT_SIZE];
        const char *word = word_value(record, field, text);
        if (is_null(record, field))
            ; /* empty */
        else if (word != NULL)
            fputs(word, out);
        else if (field->type == TEXT)
            put_quoted(*(const struct esp_bytes *)place(record, field->offset), out);
        else if (field->type == REAL)
            put_real(*(const double *)place(record, field->offset), out);
        else
            fprintf(out, "%" PRId64, whole_value(record, field));
        fputc(i + 1 < N_FIELDS ? ',' : '\n', out);
    }
}

static json_t *value_json(const struct esp_drift_record *record, const struct field *field)
{
    char text[ESP_TIME_TEXT_SIZE];
    const char *word = word_value(record, field, text);
    if (is_null(record, field))
        return json_null();
    if (word != NULL)
        return json_string(word);
    if (field->type == REAL)
        return json_real(*(const double *)place(record, field->offset));
    if (field->type != TEXT)
        return json_integer(whole_value(record, field));
    const struct esp_bytes *bytes = place(record, field->offset);
    return json_stringn(bytes->size == 0 ? "" : (const char *)bytes->data, bytes->size);
}

json_t *drift_record_json(const struct esp_drift_record *record)
{
    json_t *object = json_object();
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (json_object_set_new(object, fields[i].name, value_json(record, &fields[i])) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
