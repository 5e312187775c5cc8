/* target.c - see target.h. */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/settings.h"
#include "core/timespan.h"
#include "event/encode.h"
#include "values.h"

enum {
    MAX_PATH = 512,
    MAX_CONSTANTS = 1 << 20,
    MAX_TEXT = 1 << 20,
    NO_BRANCH = -1,
};

struct load_step {
    const struct load_mapping *mapping; /* NULL: a constant */
    size_t begin, end;                  /* of a constant, in target->constants */
    const struct esp_avro_type *avro;   /* of a value: the scalar's */
    int64_t null_branch, value_branch;  /* of a value in a union; NO_BRANCH */
    bool is_key, is_sort, is_timestamp;
};

/* What compiling hands down. */
struct compiler {
    struct load_target *target;
    const struct load_notes *notes;
    bool *used; /* (mappings) */
    struct esp_error *err;
};

static enum esp_status add_step(struct load_target *target, struct load_step step,
                                struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&target->steps, &target->capacity,
                                            target->n_steps + 1, sizeof *target->steps, err);
    if (status == ESP_OK)
        target->steps[target->n_steps++] = step;
    return status;
}

/* Makes what was appended to the constants since begin a part of the record. */
static enum esp_status add_constant(struct load_target *target, size_t begin, struct esp_error *err)
{
    struct load_step step = {.begin = begin, .end = target->constants.size};
    return step.begin == step.end ? ESP_OK : add_step(target, step, err);
}

static enum esp_status put_branch(struct load_target *target, size_t branch, struct esp_error *err)
{
    size_t begin = target->constants.size;
    enum esp_status status = esp_put_long(&target->constants, (int64_t)branch, err);
    return status == ESP_OK ? add_constant(target, begin, err) : status;
}

static bool is_scalar(const struct esp_avro_type *avro)
{
    return avro->kind != ESP_AVRO_NULL && avro->kind != ESP_AVRO_RECORD &&
           avro->kind != ESP_AVRO_ARRAY && avro->kind != ESP_AVRO_MAP &&
           avro->kind != ESP_AVRO_UNION;
}

static bool is_noted(const char *noted, const char *path)
{
    return noted != NULL && strcmp(noted, path) == 0;
}

static enum esp_status add_value(struct compiler *compiler, const struct esp_avro_type *avro,
                                 const char *path, size_t mapping)
{
    const struct load_notes *notes = compiler->notes;
    struct load_step step = {
        .mapping = &compiler->target->mappings->items[mapping],
        .avro = avro,
        .null_branch = NO_BRANCH,
        .value_branch = NO_BRANCH,
        .is_key = is_noted(notes->key, path),
        .is_sort = is_noted(notes->sort, path),
        .is_timestamp = is_noted(notes->timestamp, path),
    };
    compiler->used[mapping] = true;
    for (size_t b = 0; b < avro->n_branches; b++) {
        if (avro->branches[b]->kind == ESP_AVRO_NULL) {
            step.null_branch = (int64_t)b;
        } else if (step.value_branch == NO_BRANCH && is_scalar(avro->branches[b])) {
            step.value_branch = (int64_t)b;
            step.avro = avro->branches[b];
        }
    }
    if (!is_scalar(step.avro))
        return esp_fail(compiler->err, ESP_ECONFIG,
                        "--map %s: the field is no single value; map the fields inside it, or "
                        "leave it to its default",
                        path);
    if (!load_type_fits(step.mapping->type, step.avro))
        return esp_fail(compiler->err, ESP_ECONFIG,
                        "--map %s: the schema has another type there; leave the type off", path);
    if (step.is_sort && !load_is_whole(step.avro))
        return esp_fail(compiler->err, ESP_ECONFIG,
                        "--sort %s: the field is neither a time nor a whole number", path);
    if (step.is_timestamp && !load_is_time(step.avro))
        return esp_fail(compiler->err, ESP_ECONFIG,
                        "--timestamp %s: the field is no timestamp-millis or timestamp-micros",
                        path);
    return add_step(compiler->target, step, compiler->err);
}

/* The mapping of exactly this path, or the number of mappings. */
static size_t find_mapping(const struct load_mappings *mappings, const char *path)
{
    size_t i = 0;
    while (i < mappings->n && strcmp(mappings->items[i].field, path) != 0)
        i++;
    return i;
}

static bool is_mapped_below(const struct load_mappings *mappings, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < mappings->n; i++)
        if (strncmp(mappings->items[i].field, path, n) == 0 && mappings->items[i].field[n] == '.')
            return true;
    return false;
}

/* The first branch of a kind, or the number of branches. */
static size_t find_branch(const struct esp_avro_type *avro, enum esp_avro_kind kind)
{
    size_t b = 0;
    while (b < avro->n_branches && avro->branches[b]->kind != kind)
        b++;
    return b;
}

static enum esp_status compile_record(struct compiler *compiler, const struct esp_avro_type *record,
                                      const char *path);

static enum esp_status compile_field(struct compiler *compiler, const struct esp_avro_field *field,
                                     const char *path)
{
    struct load_target *target = compiler->target;
    const struct esp_avro_type *avro = field->type;
    size_t mapping = find_mapping(target->mappings, path);
    if (mapping < target->mappings->n)
        return add_value(compiler, avro, path, mapping);
    bool mapped_below = is_mapped_below(target->mappings, path);
    size_t begin = target->constants.size;
    enum esp_status status = ESP_OK;
    if (!mapped_below && field->fallback != NULL) {
        status = load_put_default(&target->constants, avro, field->fallback, compiler->err);
        return status == ESP_OK ? add_constant(target, begin, compiler->err) : status;
    }
    if (avro->kind == ESP_AVRO_RECORD)
        return compile_record(compiler, avro, path);
    size_t branch = find_branch(avro, mapped_below ? ESP_AVRO_RECORD : ESP_AVRO_NULL);
    if (branch < avro->n_branches) {
        status = put_branch(target, branch, compiler->err);
        return status == ESP_OK && mapped_below
                   ? compile_record(compiler, avro->branches[branch], path)
                   : status;
    }
    if (avro->kind == ESP_AVRO_NULL || mapped_below) /* the unused mapping is told of later */
        return ESP_OK;
    return esp_fail(compiler->err, ESP_ECONFIG,
                    "the schema's field \"%s\" has no default; give it a value with --map "
                    "%s=COLUMN",
                    path, path);
}

static enum esp_status compile_record(struct compiler *compiler, const struct esp_avro_type *record,
                                      const char *path)
{
    enum esp_status status = ESP_OK;
    for (size_t f = 0; f < record->n_fields && status == ESP_OK; f++) {
        char below[MAX_PATH];
        int n = snprintf(below, sizeof below, "%s%s%s", path, *path == '\0' ? "" : ".",
                         record->fields[f].name);
        if (n < 0 || (size_t)n >= sizeof below)
            return esp_fail(compiler->err, ESP_ECONFIG,
                            "the schema's records are nested too deeply");
        status = compile_field(compiler, &record->fields[f], below);
    }
    return status;
}

/* Names a mapping that no field took, with the nearest field of the record that it looks into. */
static enum esp_status fail_unused(const struct load_target *target, const char *field,
                                   struct esp_error *err)
{
    const struct esp_avro_type *record = target->schema->root;
    const char *names[256];
    size_t n = 0;
    for (; n < record->n_fields && n < 256; n++)
        names[n] = record->fields[n].name;
    const char *nearest = esp_nearest_word(field, names, n);
    return nearest == NULL
               ? esp_fail(err, ESP_ECONFIG, "--map %s: the schema has no such field", field)
               : esp_fail(err, ESP_ECONFIG,
                          "--map %s: the schema has no such field; do you mean \"%s\"?", field,
                          nearest);
}

static enum esp_status check_note(const struct load_target *target, const char *option,
                                  const char *field, struct esp_error *err)
{
    if (field == NULL || find_mapping(target->mappings, field) < target->mappings->n)
        return ESP_OK;
    return esp_fail(err, ESP_ECONFIG, "%s %s: no --map fills that field", option, field);
}

static enum esp_status compile(struct compiler *compiler)
{
    struct load_target *target = compiler->target;
    struct esp_error *err = compiler->err;
    if (target->schema->root->kind != ESP_AVRO_RECORD)
        return esp_fail(err, ESP_ECONFIG, "the schema is not a record's");
    enum esp_status status = compile_record(compiler, target->schema->root, "");
    for (size_t i = 0; i < target->mappings->n && status == ESP_OK; i++)
        if (!compiler->used[i])
            status = fail_unused(target, target->mappings->items[i].field, err);
    if (status == ESP_OK)
        status = check_note(target, "--key", compiler->notes->key, err);
    if (status == ESP_OK)
        status = check_note(target, "--sort", compiler->notes->sort, err);
    if (status == ESP_OK)
        status = check_note(target, "--timestamp", compiler->notes->timestamp, err);
    return status;
}

enum esp_status load_target_init(struct load_target *target, struct esp_schema *schema,
                                 const struct load_mappings *mappings,
                                 const struct load_notes *notes, struct esp_error *err)
{
    *target = (struct load_target){.mappings = mappings, .schema = schema};
    esp_buf_init(&target->constants, MAX_CONSTANTS);
    esp_buf_init(&target->scratch, MAX_TEXT);
    esp_buf_init(&target->key, MAX_TEXT);
    struct compiler compiler = {target, notes, calloc(mappings->n + 1, sizeof(bool)), err};
    enum esp_status status = compiler.used == NULL
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for the schema")
                                 : compile(&compiler);
    free(compiler.used);
    if (status != ESP_OK)
        load_target_release(target);
    return status;
}

void load_target_release(struct load_target *target)
{
    esp_schema_free(target->schema);
    free(target->steps);
    esp_buf_release(&target->constants);
    esp_buf_release(&target->scratch);
    esp_buf_release(&target->key);
    *target = (struct load_target){0};
}

/* A value that is not there: null where the union has it; an empty text where there is one. */
static enum esp_status put_missing(const struct load_step *step, struct esp_bytes text,
                                   struct esp_buf *buf, struct esp_error *err)
{
    if (step->null_branch != NO_BRANCH)
        return esp_put_long(buf, step->null_branch, err);
    if (text.data == NULL ||
        (step->avro->kind != ESP_AVRO_STRING && step->avro->kind != ESP_AVRO_BYTES))
        return esp_fail(err, ESP_EDATA, "is empty");
    enum esp_status status =
        step->value_branch == NO_BRANCH ? ESP_OK : esp_put_long(buf, step->value_branch, err);
    return status == ESP_OK ? esp_put_bytes(buf, text, err) : status;
}

static enum esp_status put_text(const struct load_step *step, struct esp_bytes text,
                                struct esp_buf *buf, struct load_noted *out, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    int64_t number;
    if (step->value_branch != NO_BRANCH)
        status = esp_put_long(buf, step->value_branch, err);
    if (status == ESP_OK)
        status = load_put_value(buf, step->avro, step->mapping->type, text, &number, err);
    if (status == ESP_OK && step->is_sort)
        out->sort = number;
    if (status == ESP_OK && step->is_timestamp)
        out->time_us = number;
    return status;
}

static enum esp_status put_step(struct load_target *target, const struct load_step *step,
                                const struct load_row *row, struct esp_buf *buf,
                                struct load_noted *out, struct esp_error *err)
{
    if (step->mapping == NULL)
        return esp_put_raw(
            buf, esp_bytes(target->constants.data + step->begin, step->end - step->begin), err);
    struct esp_bytes text;
    struct esp_error own = {0};
    enum esp_status status =
        load_template_fill(&step->mapping->source, row, &target->scratch, &text, &own);
    bool needed = step->is_key || step->is_sort || step->is_timestamp;
    if (status == ESP_OK && text.size == 0 && needed)
        status = esp_fail(&own, ESP_EDATA, "is empty");
    else if (status == ESP_OK && text.size == 0)
        status = put_missing(step, text, buf, &own);
    else if (status == ESP_OK)
        status = put_text(step, text, buf, out, &own);
    if (status == ESP_OK && step->is_key)
        status = esp_buf_append(&target->key, text.data, text.size, &own);
    return status == ESP_OK ? ESP_OK
                            : esp_fail(err, status, "%s: %s", step->mapping->field, own.text);
}

enum esp_status load_target_put(struct load_target *target, const struct load_row *row,
                                struct esp_buf *buf, struct load_noted *out, struct esp_error *err)
{
    size_t begin = buf->size;
    enum esp_status status = ESP_OK;
    *out = (struct load_noted){.time_us = ESP_TIME_NONE};
    esp_buf_clear(&target->key);
    for (size_t i = 0; i < target->n_steps && status == ESP_OK; i++)
        status = put_step(target, &target->steps[i], row, buf, out, err);
    if (status != ESP_OK)
        buf->size = begin;
    else
        out->key = esp_buf_bytes(&target->key);
    return status;
}
