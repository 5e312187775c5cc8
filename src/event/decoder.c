/*
 * decoder.c - one input topic: its writers, its framing, headers of its records.
 *
 * INVARIANTS
 *  (1) A writer below n_writers is complete and never changes: other threads may read it.
 *  (2) Writers are added by one thread, the one that reads the topic.
 */
#include <stdlib.h>

#include "event/decoder_state.h"
#include "event/header_fill.h"

/* Prefixes an error with the topic. */
static enum esp_status fail_in_topic(const struct esp_decoder *decoder,
                                     const struct esp_error *inner, struct esp_error *err)
{
    return esp_fail(err, inner->status, "topic %s: %s", decoder->wanted.config.topic, inner->text);
}

static bool all_whole(const struct esp_avro_type *type)
{
    for (size_t i = 0; i < type->n_branches; i++) {
        if (type->branches[i]->kind != ESP_AVRO_NULL && !all_whole(type->branches[i]))
            return false;
    }
    return type->kind == ESP_AVRO_UNION || type->kind == ESP_AVRO_INT ||
           type->kind == ESP_AVRO_LONG;
}

/* Schema i of those that tell what values are: the reader's alone, else every writer's. NULL: no
 * more. */
static const struct esp_schema *telling_schema(const struct esp_decoder *decoder, size_t i)
{
    if (decoder->wanted.reader != NULL)
        return i == 0 ? decoder->wanted.reader : NULL;
    return i < esp_decoder_n_writers(decoder) ? esp_decoder_writer(decoder, (uint16_t)i)->schema
                                              : NULL;
}

/* Finds a feature in the first schema that has it. Errors: as the first schema says. */
static enum esp_status find_feature(const struct esp_decoder *decoder, size_t feature,
                                    const struct esp_avro_type **out_type, struct esp_error *err)
{
    struct esp_error first = {0};
    const struct esp_schema *schema;
    for (size_t i = 0; (schema = telling_schema(decoder, i)) != NULL; i++) {
        if (esp_wanted_check_feature(&decoder->wanted, schema, feature, out_type, &first) == ESP_OK)
            return ESP_OK;
    }
    return esp_fail(err, ESP_ESCHEMA, "%s", first.text);
}

enum esp_status esp_decoder_describe(struct esp_decoder *decoder, struct esp_error *err)
{
    const struct esp_decoder_config *config = &decoder->wanted.config;
    const struct esp_schema *schema = telling_schema(decoder, 0);
    const struct esp_avro_type *type = NULL;
    if (schema == NULL)
        return ESP_OK;
    if (esp_path_check(schema, config->id_path, ESP_WANT_ID, ESP_UNIT_NONE, "id", &type, NULL) ==
        ESP_OK)
        decoder->id_is_number = all_whole(type);
    char words[256];
    const char **types = esp_arena_alloc(&decoder->arena, config->n_features, sizeof *types);
    if (types == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for features");
    for (size_t i = 0; i < config->n_features; i++) {
        enum esp_status status = find_feature(decoder, i, &type, err);
        if (status != ESP_OK)
            return status;
        esp_avro_describe(type, words, sizeof words);
        types[i] = esp_arena_text(&decoder->arena, words, strlen(words));
        if (types[i] == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory for features");
    }
    atomic_store_explicit(&decoder->feature_types, types, memory_order_release);
    return ESP_OK;
}

/* Is there a writer of that name already, whatever the namespace? */
static bool has_namesake(const struct esp_decoder *decoder, const struct esp_schema *schema)
{
    const char *name = schema->root->name;
    size_t n = esp_decoder_n_writers(decoder);
    for (size_t i = 0; name != NULL && i < n; i++) {
        const char *other = esp_decoder_writer(decoder, (uint16_t)i)->schema->root->name;
        if (other != NULL && strcmp(esp_avro_short_name(name), esp_avro_short_name(other)) == 0)
            return true;
    }
    return false;
}

/*
 * Does the schema look like one of this topic's? Events of another kind often have an id and a time
 * of the same names. What tells an impression is its features:
 *
 *     it has        of a container                                  named in the configuration
 *     all features  fits                                            fits
 *     some          fits if a schema of its name did before: it     fits: one of them has to have
 *                   gained or lost fields. The first has them all   each (see find_feature())
 *     none          does not fit                                    does not fit
 */
static enum esp_status check_kind(const struct esp_decoder *decoder,
                                  const struct esp_schema *schema, bool is_container,
                                  struct esp_error *err)
{
    struct esp_error why = {0};
    size_t first, n = esp_wanted_count_missing(&decoder->wanted, schema, &first, &why);
    if (n == 0)
        return ESP_OK;
    if (is_container && esp_decoder_n_writers(decoder) == 0)
        return esp_fail(err, ESP_ESCHEMA, "%s", why.text);
    if (n == decoder->wanted.config.n_features)
        return esp_fail(err, ESP_ESCHEMA, "it has none of the features (%s)", why.text);
    if (is_container && !has_namesake(decoder, schema))
        return esp_fail(err, ESP_ESCHEMA, "it is of another kind than those before (%s)", why.text);
    return ESP_OK;
}

enum esp_status esp_decoder_compile(const struct esp_decoder *decoder, struct esp_schema *schema,
                                    struct esp_writer **out, struct esp_error *err)
{
    size_t n = atomic_load_explicit(&decoder->n_writers, memory_order_relaxed);
    enum esp_status status;
    if (n == ESP_MAX_WRITERS)
        status = esp_fail(err, ESP_ELIMIT, "more than %d different schemas", ESP_MAX_WRITERS);
    else
        status = esp_writer_new(schema, &decoder->wanted, (uint16_t)n, out, err);
    if (status != ESP_OK)
        esp_schema_free(schema);
    if (status == ESP_OK &&
        esp_writer_bytes(*out) > (size_t)ESP_MAX_WRITER_BYTES - decoder->n_writer_bytes) {
        esp_writer_free(*out); /* and the schema */
        *out = NULL;
        return esp_fail(err, ESP_ELIMIT, "its schemas take over %d bytes", ESP_MAX_WRITER_BYTES);
    }
    return status;
}

void esp_decoder_append(struct esp_decoder *decoder, struct esp_writer *writer)
{
    size_t n = atomic_load_explicit(&decoder->n_writers, memory_order_relaxed);
    decoder->n_writer_bytes += esp_writer_bytes(writer);
    atomic_store_explicit(&decoder->writers[n], writer, memory_order_release);
    atomic_store_explicit(&decoder->n_writers, n + 1, memory_order_release);
}

/* Takes the schema whatever comes of it. */
static enum esp_status add_writer(struct esp_decoder *decoder, struct esp_schema *schema,
                                  bool is_container, const struct esp_writer **out,
                                  struct esp_error *err)
{
    struct esp_writer *writer = NULL;
    enum esp_status status = esp_decoder_compile(decoder, schema, &writer, err);
    if (status != ESP_OK)
        return status;
    status = check_kind(decoder, schema, is_container, err);
    if (status != ESP_OK) {
        esp_writer_free(writer); /* and the schema */
        return status;
    }
    esp_decoder_append(decoder, writer);
    *out = writer;
    return ESP_OK;
}

struct esp_writer *esp_decoder_find_writer(const struct esp_decoder *decoder, const char *json,
                                           size_t size)
{
    size_t n = esp_decoder_n_writers(decoder);
    for (size_t i = 0; i < n; i++) {
        struct esp_writer *writer = atomic_load(&decoder->writers[i]);
        if (strlen(writer->schema->json) == size && memcmp(writer->schema->json, json, size) == 0)
            return writer;
    }
    return NULL;
}

static enum esp_status open_container(void *context, const char *json, size_t size,
                                      const void **out_schema, struct esp_error *err)
{
    struct esp_decoder *decoder = context;
    struct esp_error inner = {0};
    struct esp_schema *schema = NULL;
    const struct esp_writer *writer = esp_decoder_find_writer(decoder, json, size);
    enum esp_status status = ESP_OK;
    if (writer == NULL)
        status = esp_schema_parse(json, size, &schema, &inner);
    if (writer == NULL && status == ESP_OK) {
        bool is_first = decoder->wanted.reader == NULL && esp_decoder_n_writers(decoder) == 0;
        status = add_writer(decoder, schema, true, &writer, &inner);
        if (status == ESP_OK && is_first)
            status = esp_decoder_describe(decoder, &inner);
    }
    if (status != ESP_OK)
        return fail_in_topic(decoder, &inner, err);
    *out_schema = writer;
    return ESP_OK;
}

static ptrdiff_t skip_record(const void *schema, struct esp_bytes bytes)
{
    const struct esp_writer *writer = schema;
    return esp_plan_run(writer->skip, bytes, NULL, NULL);
}

static bool copy_text(struct esp_arena *arena, const char **text)
{
    if (*text != NULL)
        *text = esp_arena_text(arena, *text, strlen(*text));
    return *text != NULL;
}

/* The configuration's texts and lists, copied into the arena. */
static enum esp_status copy_config(struct esp_decoder *decoder,
                                   const struct esp_decoder_config *config, struct esp_error *err)
{
    struct esp_arena *arena = &decoder->arena;
    struct esp_decoder_config *copy = &decoder->wanted.config;
    *copy = *config;
    if (config->source != NULL)
        decoder->source = *config->source;
    copy->source = NULL;
    copy->writers = NULL; /* read by esp_decoder_new() alone */
    copy->n_writers = 0;
    copy->reader_schema = NULL;
    const char **texts[] = {&copy->topic,         &copy->id_path,      &copy->time_path,
                            &copy->click_id_path, &copy->holdout_path, &copy->weight_path};
    const char **paths = esp_arena_alloc(arena, config->n_features, sizeof *paths);
    bool ok = paths != NULL;
    for (size_t i = 0; ok && i < config->n_features; i++) {
        paths[i] = config->feature_paths[i];
        ok = copy_text(arena, &paths[i]);
    }
    copy->feature_paths = paths;
    for (size_t i = 0; ok && i < sizeof texts / sizeof texts[0]; i++)
        ok = *texts[i] == NULL || copy_text(arena, texts[i]);
    return ok ? ESP_OK : esp_fail(err, ESP_ENOMEM, "out of memory for a decoder");
}

/* The trees of wanted paths. */
static enum esp_status plant_wanted(struct esp_decoder *decoder, struct esp_error *err)
{
    struct esp_wanted *wanted = &decoder->wanted;
    const struct esp_decoder_config *config = &wanted->config;
    const struct {
        struct esp_want *root;
        const char *path;
        struct esp_want_slot slot;
    } rows[] = {
        {&wanted->header, config->id_path, {ESP_SLOT_ID, ESP_WANT_ID}},
        {&wanted->header, config->time_path, {ESP_SLOT_TIME, ESP_WANT_TIME}},
        {&wanted->header, config->click_id_path, {ESP_SLOT_CLICK_ID, ESP_WANT_ID}},
        {&wanted->header, config->weight_path, {ESP_SLOT_WEIGHT, ESP_WANT_NUMBER}},
        {&wanted->sampling, config->id_path, {ESP_SAMPLING_ID, ESP_WANT_ID}},
        {&wanted->sampling, config->holdout_path, {ESP_SAMPLING_KEY, ESP_WANT_KEY}},
        {&wanted->sampling, config->weight_path, {ESP_SAMPLING_WEIGHT, ESP_WANT_NUMBER}},
    };
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].path != NULL)
            status = esp_want_add(rows[i].root, rows[i].path, rows[i].slot, &decoder->arena, err);
    }
    for (size_t i = 0; status == ESP_OK && i < config->n_features; i++)
        status = esp_want_add(&wanted->features, config->feature_paths[i],
                              (struct esp_want_slot){(uint16_t)i, ESP_WANT_FEATURE},
                              &decoder->arena, err);
    return status;
}

static enum esp_status read_reader_schema(struct esp_decoder *decoder, const char *path,
                                          struct esp_error *err)
{
    struct esp_wanted *wanted = &decoder->wanted;
    enum esp_status status = esp_schema_read(path, &wanted->reader, err);
    if (status == ESP_OK)
        status = esp_wanted_check_header(wanted, wanted->reader, err);
    return status;
}

/* Why schemas of the list do not fit this topic: the list may serve other topics too. */
struct misfits {
    struct esp_error first; /* or, if one has it, the first that suggests a name */
    bool suggests;
};

static void note_misfit(struct misfits *misfits, const struct esp_error *inner)
{
    bool suggests = strstr(inner->text, "did you mean") != NULL;
    if (misfits->first.status == ESP_OK || (suggests && !misfits->suggests)) {
        misfits->first = *inner;
        misfits->suggests = suggests;
    }
}

static enum esp_status check_id(const struct esp_decoder *decoder, int64_t id,
                                struct esp_error *err)
{
    if (id < -1 || id > UINT32_MAX)
        return esp_fail(err, ESP_ECONFIG, "schema id %lld is out of range", (long long)id);
    if (id >= 0 && esp_schema_ids_find(&decoder->ids, (uint32_t)id) != NULL)
        return esp_fail(err, ESP_ECONFIG, "schema id %lld is given twice", (long long)id);
    return ESP_OK;
}

/* *out is NULL if the schema does not fit the topic, which the misfits note. */
static enum esp_status add_schema_file(struct esp_decoder *decoder,
                                       const struct esp_schema_file *file,
                                       const struct esp_writer **out, struct misfits *misfits,
                                       struct esp_error *err)
{
    const char *where = file->where != NULL ? file->where : file->path;
    struct esp_error inner = {0}, misfit = {0};
    struct esp_schema *schema = NULL;
    enum esp_status status = check_id(decoder, file->id, &inner);
    if (status == ESP_OK)
        status = esp_schema_read(file->path, &schema, &inner);
    if (status != ESP_OK)
        return esp_fail(err, status, "%s: %s", where, inner.text);
    *out = esp_decoder_find_writer(decoder, schema->json, strlen(schema->json));
    if (*out != NULL) {
        esp_schema_free(schema);
    } else {
        status = add_writer(decoder, schema, false, out, &inner);
        if (status == ESP_ESCHEMA) {
            esp_fail(&misfit, status, "%s: %s", where, inner.text);
            note_misfit(misfits, &misfit);
        } else if (status != ESP_OK) {
            return esp_fail(err, status, "%s: %s", where, inner.text);
        }
    }
    return file->id < 0 ? ESP_OK : esp_schema_ids_add(&decoder->ids, (uint32_t)file->id, *out, err);
}

/* The writer of this text, made if need be. */
static enum esp_status take_schema(struct esp_decoder *decoder, const char *json,
                                   const struct esp_writer **out, struct esp_error *err)
{
    struct esp_schema *schema = NULL;
    size_t size = strlen(json);
    *out = esp_decoder_find_writer(decoder, json, size);
    if (*out != NULL)
        return ESP_OK;
    enum esp_status status = esp_schema_parse(json, size, &schema, err);
    return status != ESP_OK ? status : add_writer(decoder, schema, false, out, err);
}

static enum esp_status add_named_schemas(struct esp_decoder *decoder,
                                         const struct esp_decoder_config *config,
                                         struct esp_error *err)
{
    size_t n_bare = 0;
    struct misfits misfits = {0};
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < config->n_writers; i++) {
        const struct esp_writer *writer = NULL;
        status = add_schema_file(decoder, &config->writers[i], &writer, &misfits, err);
        if (config->writers[i].id < 0 && n_bare++ == 0)
            decoder->bare = writer;
    }
    bool has_source = decoder->source.look_up != NULL;
    decoder->framing = config->framing;
    if (config->framing == ESP_FRAMING_AUTO)
        decoder->framing =
            decoder->ids.n > 0 || has_source ? ESP_FRAMING_CONFLUENT : ESP_FRAMING_BARE;
    if (status != ESP_OK)
        return status;
    if (decoder->framing == ESP_FRAMING_BARE && n_bare > 1)
        return esp_fail(err, ESP_ECONFIG,
                        "bare records carry no schema id, but %zu schemas are named; name one, or "
                        "set the framing",
                        n_bare);
    if (misfits.first.status != ESP_OK && esp_decoder_n_writers(decoder) == 0 && !has_source)
        return esp_fail(err, misfits.first.status, "%s", misfits.first.text);
    if (n_bare == 0 && decoder->wanted.reader != NULL) /* records may be what it says */
        status = take_schema(decoder, decoder->wanted.reader->json, &decoder->bare, err);
    return status == ESP_OK ? esp_decoder_describe(decoder, err) : status;
}

enum esp_status esp_decoder_new(const struct esp_decoder_config *config, struct esp_decoder **out,
                                struct esp_error *err)
{
    if (config->id_path == NULL || config->topic == NULL || config->n_features > UINT16_MAX)
        return esp_fail(err, ESP_EINVAL,
                        "a decoder without topic or id, or with too many features");
    struct esp_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a decoder");
    struct esp_error inner = {0};
    decoder->framer = (struct esp_log_framer){decoder, open_container, skip_record};
    enum esp_status status = copy_config(decoder, config, &inner);
    if (status == ESP_OK)
        status = plant_wanted(decoder, &inner);
    if (status == ESP_OK && config->reader_schema != NULL)
        status = read_reader_schema(decoder, config->reader_schema, &inner);
    if (status == ESP_OK)
        status = add_named_schemas(decoder, config, &inner);
    if (status == ESP_OK) {
        *out = decoder;
        return ESP_OK;
    }
    esp_fail(err, status, "topic %s: %s", config->topic, inner.text);
    esp_decoder_free(decoder);
    return status;
}

void esp_decoder_free(struct esp_decoder *decoder)
{
    if (decoder == NULL)
        return;
    size_t n = esp_decoder_n_writers(decoder);
    for (size_t i = 0; i < n; i++)
        esp_writer_free(atomic_load(&decoder->writers[i]));
    esp_schema_free(decoder->wanted.reader);
    esp_schema_ids_release(&decoder->ids);
    esp_arena_release(&decoder->arena);
    free(decoder);
}

const struct esp_log_framer *esp_decoder_framer(struct esp_decoder *decoder)
{
    return &decoder->framer;
}

const struct esp_writer *esp_decoder_writer(const struct esp_decoder *decoder, uint16_t index)
{
    return atomic_load_explicit(&decoder->writers[index], memory_order_acquire);
}

size_t esp_decoder_n_writers(const struct esp_decoder *decoder)
{
    return atomic_load_explicit(&decoder->n_writers, memory_order_acquire);
}

const char *esp_decoder_feature_type(const struct esp_decoder *decoder, size_t feature)
{
    const char *const *types = atomic_load_explicit(&decoder->feature_types, memory_order_acquire);
    return types == NULL ? NULL : types[feature];
}

bool esp_decoder_id_is_number(const struct esp_decoder *decoder)
{
    return decoder->id_is_number;
}

/*
 * Asks the source for an id that is not in the table, and keeps what was found.
 *
 * A schema without the header's fields is refused whenever it comes. One without a feature stops
 * the run if it is the first that fits, and else leaves the feature missing: what completes does
 * not depend on which of two schemas was met first.
 */
static enum esp_status look_up(struct esp_decoder *decoder, uint32_t id,
                               const struct esp_writer **out, enum esp_reject *reject,
                               struct esp_error *err)
{
    const struct esp_schema_source *source = &decoder->source;
    const char *topic = decoder->wanted.config.topic, *json = NULL;
    struct esp_error inner = {0}, why = {0};
    *reject = ESP_REJECT_UNUSABLE_SCHEMA;
    if (decoder->ids.n == ESP_MAX_SCHEMA_IDS)
        return ESP_OK;
    enum esp_status status = source->look_up(source->context, id, &json, reject, err);
    if (status != ESP_OK || json == NULL)
        return status;
    status = take_schema(decoder, json, out, &inner);
    bool is_refused = status == ESP_ESCHEMA || status == ESP_ELIMIT;
    if (status == ESP_OK && atomic_load(&decoder->feature_types) == NULL)
        status = esp_decoder_describe(decoder, &inner);
    if (status != ESP_OK)
        esp_fail(&why, status, "topic %s: %s (schema %lu of %s)", topic, inner.text,
                 (unsigned long)id, source->name);
    if (is_refused) {
        source->refused(source->context, id, &why);
        *reject = ESP_REJECT_UNUSABLE_SCHEMA;
    } else if (status != ESP_OK) {
        return esp_fail(err, status, "%s", why.text);
    }
    return esp_schema_ids_add(&decoder->ids, id, *out, err);
}

/* *out is NULL if there is none, and *reject says why. Errors: as esp_decoder_headers(). */
static enum esp_status writer_of_id(struct esp_decoder *decoder, uint32_t id,
                                    const struct esp_writer **out, enum esp_reject *reject,
                                    struct esp_error *err)
{
    const struct esp_schema_id *known = esp_schema_ids_find(&decoder->ids, id);
    *out = known == NULL ? NULL : known->writer;
    *reject = known == NULL ? ESP_REJECT_UNKNOWN_SCHEMA : ESP_REJECT_UNUSABLE_SCHEMA;
    return known != NULL || decoder->source.look_up == NULL
               ? ESP_OK
               : look_up(decoder, id, out, reject, err);
}

static const struct esp_writer *writer_of_fingerprint(struct esp_decoder *decoder,
                                                      uint64_t fingerprint)
{
    if (decoder->last != NULL && decoder->last->schema->fingerprint == fingerprint)
        return decoder->last;
    size_t n = esp_decoder_n_writers(decoder);
    for (size_t i = 0; i < n; i++) {
        const struct esp_writer *writer = esp_decoder_writer(decoder, (uint16_t)i);
        if (writer->schema->fingerprint == fingerprint)
            return decoder->last = writer;
    }
    return NULL;
}

/*
 * Takes the framing off a record of a log that has no schemas. *out is NULL where *reject says why.
 *
 *     confluent  0  1  0x00           single  0  2  0xC3 0x01
 *                1  4  id, big-endian         2  8  fingerprint, little-endian
 *                5  .  Avro                  10  .  Avro
 */
static enum esp_status unframe(struct esp_decoder *decoder, struct esp_bytes *bytes,
                               const struct esp_writer **out, enum esp_reject *reject,
                               struct esp_error *err)
{
    const uint8_t *data = bytes->data;
    size_t head = decoder->framing == ESP_FRAMING_CONFLUENT ? 5
                  : decoder->framing == ESP_FRAMING_SINGLE  ? 10
                                                            : 0;
    enum esp_status status = ESP_OK;
    *out = NULL;
    *reject = ESP_REJECT_FRAMING;
    if (bytes->size < head || (head == 5 && data[0] != 0) ||
        (head == 10 && (data[0] != 0xc3 || data[1] != 0x01)))
        return ESP_OK;
    *reject = ESP_REJECT_UNKNOWN_SCHEMA;
    if (head == 5) {
        uint32_t id =
            (uint32_t)data[1] << 24 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 8 | data[4];
        status = writer_of_id(decoder, id, out, reject, err);
    } else if (head == 10) {
        uint64_t fingerprint = 0;
        for (size_t i = head - 1; i >= 2; i--)
            fingerprint = fingerprint << 8 | data[i];
        *out = writer_of_fingerprint(decoder, fingerprint);
    } else {
        *out = decoder->bare;
    }
    *bytes = esp_bytes(data + head, bytes->size - head);
    return status;
}

/* Errors: as esp_decoder_headers(); else *reject says what became of the record. */
static enum esp_status decode(struct esp_decoder *decoder, const struct esp_record *record,
                              struct esp_header *header, enum esp_reject *reject,
                              struct esp_error *err)
{
    struct esp_value slots[ESP_N_SLOTS];
    const struct esp_writer *writer = record->schema;
    size_t limit = decoder->wanted.config.max_record_bytes;
    *reject = record->value.data == NULL                ? ESP_REJECT_TOMBSTONE
              : limit > 0 && record->value.size > limit ? ESP_REJECT_TOO_LARGE
                                                        : ESP_REJECT_NONE;
    if (*reject != ESP_REJECT_NONE)
        return ESP_OK;
    header->payload = record->value;
    bool is_good;
    if (writer != NULL) { /* from a container: skip has passed it */
        is_good = esp_plan_run(writer->brief, header->payload, slots, NULL) >= 0;
    } else {
        enum esp_status status = unframe(decoder, &header->payload, &writer, reject, err);
        if (status != ESP_OK || writer == NULL)
            return status;
        is_good = esp_plan_run(writer->header, header->payload, slots, NULL) ==
                  (ptrdiff_t)header->payload.size;
    }
    header->writer = writer->index;
    *reject =
        is_good ? esp_header_fill(&decoder->wanted.config, slots, header) : ESP_REJECT_MALFORMED;
    return ESP_OK;
}

enum esp_status esp_decoder_headers(struct esp_decoder *decoder, const struct esp_record *records,
                                    size_t n, struct esp_header *headers, struct esp_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct esp_header blank = {.offset = records[i].offset,
                                         .log_time_us = records[i].log_time_us,
                                         .raw = records[i].value};
        headers[i] = blank;
        enum esp_reject reject = ESP_REJECT_NONE;
        enum esp_status status = decode(decoder, &records[i], &headers[i], &reject, err);
        if (status != ESP_OK)
            return status;
        if (reject != ESP_REJECT_NONE) {
            headers[i] = blank;
            headers[i].reject = (uint8_t)reject;
        }
    }
    return ESP_OK;
}
