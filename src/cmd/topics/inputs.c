/* inputs.c - see inputs.h. */
#include "cmd/topics/inputs.h"

#include <stdlib.h>
#include <string.h>

#include "core/logger.h"
#include "event/avro_schema.h"

enum { PEEK_BATCH = 256 };
static const struct esp_log_place beginning = {.offset = ESP_OFFSET_EARLIEST};
static const int64_t look_patience_us = ESP_SECOND; /* for a look that will be repeated */

static const char *topic_of(const struct input *input)
{
    const struct inputs *inputs = input->inputs;
    return inputs->config->options.inputs[input - inputs->kinds].topic;
}

static bool has_writer_named(const struct input *input, const char *name)
{
    size_t n = input->decoder == NULL ? 0 : esp_decoder_n_writers(input->decoder);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(esp_writer_name(esp_decoder_writer(input->decoder, (uint16_t)i)), name) == 0)
            return true;
    }
    return false;
}

/* The topic whose records bear this name, if this one's do not; NULL: none. */
static const char *topic_of_others(const struct input *input, const char *name)
{
    const struct inputs *inputs = input->inputs;
    if (esp_decoder_n_writers(input->decoder) == 0 || has_writer_named(input, name))
        return NULL;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        if (has_writer_named(&inputs->kinds[kind], name))
            return inputs->config->options.inputs[kind].topic;
    }
    return NULL;
}

/*
 * Clicks and installs need no more than an id and a time, and impressions have both under the same
 * names: only the name of the records tells that a file of impressions is in the wrong folder. So
 * a name that this topic has not had yet, but another one has, is refused.
 */
static enum esp_status check_topic(const struct input *input, const char *json, size_t size,
                                   struct esp_error *err)
{
    struct esp_schema *schema = NULL;
    if (esp_schema_parse(json, size, &schema, NULL) != ESP_OK)
        return ESP_OK; /* the decoder says what is wrong with it */
    enum esp_status status = ESP_OK;
    const char *name = schema->root->name;
    const char *other = name == NULL ? NULL : topic_of_others(input, name);
    if (other != NULL)
        status = esp_fail(
            err, ESP_ESCHEMA,
            "topic %s: its records are %s, as those of topic %s are; here they are %s",
            topic_of(input), name, other, esp_writer_name(esp_decoder_writer(input->decoder, 0)));
    esp_schema_free(schema);
    return status;
}

/* What is worth a word about one of a topic's schemas. False: nothing. */
static bool describe_writer(const struct input *input, size_t i, char *line, size_t size)
{
    const struct input *impressions = &input->inputs->kinds[ESP_IMPRESSION];
    const char *what = input->inputs->config->options.files_root != NULL ? "files" : "records";
    const struct esp_writer *writer = esp_decoder_writer(input->decoder, (uint16_t)i);
    const char *name = esp_writer_name(writer), *missing = NULL;
    size_t n_missing = esp_writer_n_missing(writer, &missing);
    if (i == 0 && input != impressions && has_writer_named(impressions, name))
        snprintf(line, size, "topic %s: its records are %s, as those of topic %s are",
                 topic_of(input), name, topic_of(impressions));
    else if (i > 0 && n_missing > 0)
        snprintf(line, size,
                 "topic %s: %s with another schema, %s; it lacks %zu of the features (%s ...), "
                 "which are missing there",
                 topic_of(input), what, name, n_missing, missing);
    else if (i > 0)
        snprintf(line, size, "topic %s: %s with another schema, %s", topic_of(input), what, name);
    else
        return false;
    return true;
}

/* Says it once. */
static void tell_writers(struct input *input)
{
    const struct inputs *inputs = input->inputs;
    char line[512];
    size_t n = esp_decoder_n_writers(input->decoder);
    for (; input->n_told < n; input->n_told++) {
        if (describe_writer(input, input->n_told, line, sizeof line))
            inputs->report(inputs->report_context, &(struct esp_log_event){ESP_LOG_NOTE, line});
    }
}

/* Passes a container's schema on to the decoder and keeps the first refusal for the user. */
static enum esp_status open_and_note(void *context, const char *json, size_t size,
                                     const void **out_schema, struct esp_error *err)
{
    struct input *input = context;
    const struct esp_log_framer *framer = esp_decoder_framer(input->decoder);
    struct esp_error why = {0};
    enum esp_status status = check_topic(input, json, size, &why);
    if (status == ESP_OK)
        status = framer->open(framer->context, json, size, out_schema, &why);
    if (status == ESP_OK && !atomic_load(&input->inputs->quiet))
        tell_writers(input);
    if (status == ESP_OK)
        return ESP_OK;
    if (input->refusal.status == ESP_OK)
        input->refusal = why;
    return esp_fail(err, status, "%s", why.text);
}

enum esp_status inputs_open_log(const struct config *config, esp_log_report *report, void *context,
                                struct esp_log **out, struct esp_error *err)
{
    const struct options *options = &config->options;
    if (options->files_root == NULL)
        return esp_log_open_kafka(config->properties, config->n_properties, report, context, out,
                                  err);
    struct esp_error why = {0};
    char where[512];
    enum esp_status status = esp_log_open_files(
        options->files_root, codec_words[options->files_codec], report, context, out, &why);
    if (status != ESP_OK)
        esp_fail(err, status, "%s: %s", config_place(config, "files", "root", where, sizeof where),
                 why.text);
    return status;
}

static bool is_read(const struct config *config, int kind)
{
    return kind == ESP_IMPRESSION ||
           (!config->is_scoring && (kind != ESP_INSTALL || config->has_installs));
}

static void report_unless_quiet(void *context, const struct esp_log_event *event)
{
    struct inputs *inputs = context;
    if (!atomic_load(&inputs->quiet))
        inputs->report(inputs->report_context, event);
}

/* ---- schemas of a registry ------------------------------------------------------------------- */

static enum esp_status look_up_schema(void *context, uint32_t id, const char **out_json,
                                      enum esp_reject *out_reject, struct esp_error *err)
{
    struct input *input = context;
    return registry_look_up(input->inputs->registry, id, out_json, out_reject, err);
}

static void note_refused(void *context, uint32_t id, const struct esp_error *why)
{
    struct input *input = context;
    char line[ESP_ERROR_TEXT_SIZE + 64];
    (void)id; /* why names it */
    if (input->refusal.status == ESP_OK)
        input->refusal = *why;
    snprintf(line, sizeof line, "%s; its records go to the dead letters", why->text);
    report_unless_quiet(input->inputs, &(struct esp_log_event){ESP_LOG_PROBLEM, line});
}

static enum esp_status open_registry(struct inputs *inputs, struct esp_error *err)
{
    const struct registry_options *options = &inputs->config->options.registry;
    const struct registry_url *url = &inputs->config->registry.url;
    if (url->base == NULL)
        return ESP_OK;
    const struct registry_config registry = {
        .address = url->base,
        .user = url->user,
        .password = url->password,
        .ca_file = options->ca_file,
        .state_folder = inputs->config->options.state_folder,
        .timeout_us = options->timeout_us,
        .retries = (unsigned)options->retries,
        .forget_us = options->forget_us,
        .report = report_unless_quiet,
        .report_context = inputs,
    };
    return registry_new(&registry, &inputs->registry, err);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum esp_status open_input(struct inputs *inputs, enum esp_event_kind kind,
                                  struct esp_error *err)
{
    struct input *input = &inputs->kinds[kind];
    input->inputs = inputs;
    struct esp_decoder_config decoder = config_decoder(inputs->config, kind);
    struct esp_schema_source source = {
        .context = input, .look_up = look_up_schema, .refused = note_refused};
    if (inputs->registry != NULL) {
        source.name = registry_address(inputs->registry);
        decoder.source = &source;
    }
    enum esp_status status = esp_decoder_new(&decoder, &input->decoder, err);
    if (status != ESP_OK)
        return status;
    input->framer = (struct esp_log_framer){
        .context = input,
        .open = open_and_note,
        .skip = esp_decoder_framer(input->decoder)->skip,
    };
    return ESP_OK;
}

enum esp_status inputs_open(struct inputs *inputs, const struct config *config,
                            esp_log_report *report, void *context, struct esp_error *err)
{
    *inputs = (struct inputs){.config = config, .report = report, .report_context = context};
    enum esp_status status = open_registry(inputs, err);
    for (int kind = 0; kind < ESP_N_EVENT_KINDS && status == ESP_OK; kind++) {
        if (is_read(config, kind))
            status = open_input(inputs, (enum esp_event_kind)kind, err);
    }
    if (status != ESP_OK)
        return status;
    return inputs_open_log(config, report_unless_quiet, inputs, &inputs->log, err);
}

static enum esp_status missing_topic(const struct config *config, int kind, struct esp_error *err)
{
    char section[32], where[512];
    snprintf(section, sizeof section, "%ss", esp_event_kind_name((enum esp_event_kind)kind));
    config_place(config, section, "topic", where, sizeof where);
    const char *mend = kind == ESP_INSTALL ? "name another, or set [installs] enabled = off"
                                           : "name the one that has them";
    const char *topic = config->options.inputs[kind].topic;
    const char *by = esp_ini_find(&config->ini, section, "topic") == NULL ? " (by default)" : "";
    if (config->options.files_root == NULL)
        return esp_fail(err, ESP_ECONFIG, "%s%s: the cluster has no topic %s; %s", where, by, topic,
                        mend);
    return esp_fail(err, ESP_ECONFIG, "%s%s: no folder %s/%s/partition=0; %s", where, by,
                    config->options.files_root, topic, mend);
}

/* Partitions from n_before on are new: nothing of them was taken. */
static enum esp_status grow_positions(struct input *input, size_t n_before, size_t n_now,
                                      struct esp_error *err)
{
    struct esp_log_place *next = realloc(input->next, n_now * sizeof *next);
    if (next == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu partitions", n_now);
    input->next = next;
    for (size_t p = n_before; p < n_now; p++)
        next[p] = esp_log_place_at(ESP_OFFSET_EARLIEST);
    return ESP_OK;
}

enum esp_status inputs_find_topics(struct inputs *inputs, int64_t timeout_us, struct esp_error *err)
{
    const struct config *config = inputs->config;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        if (!is_read(config, kind))
            continue;
        const char *topic = config->options.inputs[kind].topic;
        struct input *input = &inputs->kinds[kind];
        enum esp_status status =
            esp_log_partitions(inputs->log, topic, timeout_us, &input->n_partitions, err);
        if (status != ESP_OK)
            return status;
        if (input->n_partitions == 0)
            return missing_topic(config, kind, err);
        status = grow_positions(input, 0, input->n_partitions, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

void inputs_note(struct inputs *inputs)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        inputs->kinds[kind].noted = inputs_read(&inputs->kinds[kind]);
}

void inputs_archive(struct esp_archive *archive, struct inputs *inputs)
{
    esp_archive_mark(archive, "inputs", 2);
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct input *input = &inputs->kinds[kind];
        struct input_read read = input->noted;
        size_t n = input->n_partitions;
        esp_archive_count(archive, &n, 1);
        if (n > input->n_partitions)
            esp_archive_fail(archive, ESP_ECONFIG,
                             "topic %s has %zu partitions, and had %zu when the state was saved: "
                             "it was made anew; to begin anew, too, give the run another [state] "
                             "folder and set [state] lost = restart",
                             topic_of(input), input->n_partitions, n);
        for (size_t p = 0; p < n && esp_archive_is_ok(archive); p++)
            esp_log_place_archive(archive, &input->next[p]);
        esp_archive_u64(archive, &read.bytes);
        esp_archive_u64(archive, &read.damaged_files);
        esp_archive_u64(archive, &read.skipped_bytes);
        esp_archive_u64(archive, &read.gap_records);
        if (esp_archive_reads(archive))
            input->before = read;
    }
}

static void add_reader(struct input_read *read, const struct esp_log_reader *reader)
{
    struct esp_log_reader_stats stats;
    if (reader == NULL)
        return;
    esp_log_reader_stats(reader, &stats);
    read->bytes += stats.bytes;
    read->damaged_files += stats.damaged_files;
    read->skipped_bytes += stats.skipped_bytes;
}

struct input_read inputs_read(const struct input *input)
{
    struct input_read read = input->before;
    for (size_t p = 0; input->readers != NULL && p < input->n_partitions; p++)
        add_reader(&read, input->readers[p]);
    return read;
}

static enum esp_status open_reader(struct inputs *inputs, int kind, size_t partition,
                                   const struct esp_log_place *place, bool follow,
                                   struct esp_log_reader **out, struct esp_error *err)
{
    struct input *input = &inputs->kinds[kind];
    return esp_log_reader_new_at(inputs->log, inputs->config->options.inputs[kind].topic, partition,
                                 place, follow, &input->framer, out, err);
}

/* Opens a partition's reader where the run is, or behind a gap. */
static enum esp_status open_next(struct inputs *inputs, int kind, size_t p, bool follow,
                                 struct esp_error *err)
{
    struct input *input = &inputs->kinds[kind];
    struct esp_error why = {0};
    enum esp_status status =
        open_reader(inputs, kind, p, &input->next[p], follow, &input->readers[p], &why);
    if (status == ESP_OK) {
        /* Also of a partition of which nothing is read for long: what is first now is awaited. */
        esp_log_reader_place(input->readers[p], &input->next[p]);
        return ESP_OK;
    }
    if (status != ESP_EDATA)
        return esp_fail(err, status, "%s", why.text);
    return inputs_pass_gap(inputs, (enum esp_event_kind)kind, p, follow, &why, err);
}

enum esp_status inputs_open_readers(struct inputs *inputs, bool follow, struct esp_error *err)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct input *input = &inputs->kinds[kind];
        if (input->n_partitions == 0)
            continue;
        input->readers = calloc(input->n_partitions, sizeof *input->readers);
        if (input->readers == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory");
        for (size_t p = 0; p < input->n_partitions; p++) {
            enum esp_status status = open_next(inputs, kind, p, follow, err);
            if (status != ESP_OK)
                return status;
        }
    }
    return ESP_OK;
}

enum esp_status inputs_pass_gap(struct inputs *inputs, enum esp_event_kind kind, size_t partition,
                                bool follow, const struct esp_error *why, struct esp_error *err)
{
    struct input *input = &inputs->kinds[kind];
    int64_t first = 0, end = 0, wanted = input->next[partition].offset;
    enum esp_status status =
        esp_log_bounds(inputs->log, topic_of(input), partition, &first, &end, err);
    if (status != ESP_OK)
        return status;
    if (wanted < 0 || wanted >= first)
        return esp_fail(err, ESP_EDATA,
                        "%s; to begin anew, give the run another [state] folder and set [state] "
                        "lost = restart",
                        why->text);
    if (inputs->config->options.state_gap != GAP_CONTINUE)
        return esp_fail(err, ESP_EDATA,
                        "%s; with [state] gap = continue the run goes on behind them", why->text);
    add_reader(&input->before, input->readers[partition]);
    esp_log_reader_free(input->readers[partition]);
    input->readers[partition] = NULL;
    input->before.gap_records += (uint64_t)(first - wanted);
    input->next[partition] = esp_log_place_at(first);
    esp_log(ESP_WARN, "going on behind a gap", "what", why->text, NULL);
    return open_reader(inputs, (int)kind, partition, &input->next[partition], follow,
                       &input->readers[partition], err);
}

enum esp_status inputs_open_new_partitions(struct inputs *inputs, enum esp_event_kind kind,
                                           size_t *out_n, struct esp_error *err)
{
    struct input *input = &inputs->kinds[kind];
    size_t n_now = 0, n_before = input->n_partitions, n_opened = n_before;
    *out_n = 0;
    enum esp_status status = esp_log_partitions(
        inputs->log, inputs->config->options.inputs[kind].topic, look_patience_us, &n_now, err);
    if (status == ESP_OK && n_now == 0)
        return esp_fail(err, ESP_EIO, "topic %s is gone: it was deleted while it was read",
                        topic_of(input));
    if (status == ESP_OK && n_now < n_before)
        return esp_fail(err, ESP_EDATA,
                        "topic %s has %zu partitions now, %zu before: it was made anew while it "
                        "was read",
                        topic_of(input), n_now, n_before);
    if (status != ESP_OK || n_now == n_before)
        return status;
    struct esp_log_reader **readers = realloc(input->readers, n_now * sizeof *readers);
    if (readers == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu partitions", n_now);
    input->readers = readers;
    status = grow_positions(input, n_before, n_now, err);
    for (; status == ESP_OK && n_opened < n_now; n_opened += status == ESP_OK)
        status = open_reader(inputs, kind, n_opened, &beginning, true, &readers[n_opened], err);
    if (status != ESP_OK) {
        while (n_opened > n_before)
            esp_log_reader_free(readers[--n_opened]);
        return status;
    }
    input->n_partitions = n_now;
    *out_n = n_now - n_before;
    return ESP_OK;
}

void inputs_close_readers(struct inputs *inputs)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct input *input = &inputs->kinds[kind];
        for (size_t p = 0; input->readers != NULL && p < input->n_partitions; p++)
            esp_log_reader_free(input->readers[p]);
        free(input->readers);
        input->readers = NULL;
    }
}

/* The features key whose list names this field, as the user wrote it; NULL: none. */
static const char *feature_key_of(const struct config *config, const char *field)
{
    static const char *const keys[] = {"categorical", "numeric", "numeric_log", "buckets",
                                       "buckets_log"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct esp_ini_entry *entry = esp_ini_find(&config->ini, "features", keys[i]);
        if (entry != NULL && strstr(entry->value, field) != NULL)
            return keys[i];
    }
    return NULL;
}

/* A refusal is "topic T: ROLE: why \"FIELD\" ...": puts the place of the key that asked for the
 * field before it. */
static enum esp_status fail_refused(const struct config *config, enum esp_event_kind kind,
                                    const char *refusal, struct esp_error *err)
{
    char section[32], role[32] = "", field[256] = "", where[512];
    const char *topic = config->options.inputs[kind].topic;
    const char *rest = refusal + strlen("topic ") + strlen(topic) + strlen(": ");
    if (strlen(refusal) > (size_t)(rest - refusal))
        sscanf(rest, "%31[^:]: no field \"%255[^\"]", role, field);
    bool is_feature = strcmp(role, "feature") == 0;
    snprintf(section, sizeof section, "%ss", esp_event_kind_name(kind));
    const char *key = is_feature ? feature_key_of(config, field)
                      : strcmp(role, "id") == 0 || strcmp(role, "time") == 0 ? role
                                                                             : NULL;
    if (key == NULL)
        return esp_fail(err, ESP_ESCHEMA, "%s", refusal);
    config_place(config, is_feature ? "features" : section, key, where, sizeof where);
    return esp_fail(err, ESP_ESCHEMA, "%s: %s", where, refusal);
}

enum esp_status inputs_headers(struct inputs *inputs, enum esp_event_kind kind,
                               const struct esp_record *records, size_t n,
                               struct esp_header *headers, struct esp_error *err)
{
    struct esp_error why = {0};
    enum esp_status status =
        esp_decoder_headers(inputs->kinds[kind].decoder, records, n, headers, &why);
    if (status == ESP_ESCHEMA)
        return fail_refused(inputs->config, kind, why.text, err);
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", why.text);
    if (inputs->registry != NULL && !atomic_load(&inputs->quiet))
        tell_writers(&inputs->kinds[kind]);
    return ESP_OK;
}

enum esp_status inputs_check_schemas(const struct inputs *inputs, enum esp_event_kind kind,
                                     struct esp_error *err)
{
    const struct input *input = &inputs->kinds[kind];
    if (input->refusal.status == ESP_OK || esp_decoder_n_writers(input->decoder) > 0)
        return ESP_OK;
    return fail_refused(inputs->config, kind, input->refusal.text, err);
}

static void note_peeked(struct input_peek *peek, const struct esp_header *header)
{
    peek->n_records++;
    if (header->reject != ESP_REJECT_NONE) {
        if (peek->n_rejected++ == 0)
            peek->first_reject = header->reject;
        return;
    }
    if (peek->first_us == ESP_TIME_NONE || header->time_us < peek->first_us)
        peek->first_us = header->time_us;
    if (peek->last_us == ESP_TIME_NONE || header->time_us > peek->last_us)
        peek->last_us = header->time_us;
}

/* Reads on in one partition until *peek is full or the partition ends. */
static enum esp_status peek_partition(struct inputs *inputs, int kind, size_t partition,
                                      size_t n_records, struct input_peek *peek,
                                      struct esp_error *err)
{
    struct esp_log_reader *reader = NULL;
    enum esp_status status = open_reader(inputs, kind, partition, &beginning, false, &reader, err);
    if (status != ESP_OK)
        return status;
    struct esp_record records[PEEK_BATCH];
    struct esp_header headers[PEEK_BATCH];
    enum esp_log_position position = ESP_LOG_MORE;
    while (status == ESP_OK && position != ESP_LOG_ENDED && peek->n_records < n_records) {
        size_t n = 0;
        status = esp_log_read(reader, records, PEEK_BATCH, ESP_SECOND, &n, &position, err);
        if (status != ESP_OK)
            break;
        status = inputs_headers(inputs, (enum esp_event_kind)kind, records, n, headers, err);
        for (size_t i = 0; status == ESP_OK && i < n; i++)
            note_peeked(peek, &headers[i]);
    }
    esp_log_reader_free(reader);
    return status;
}

enum esp_status inputs_peek(struct inputs *inputs, enum esp_event_kind kind, size_t n_records,
                            bool quiet, struct input_peek *out, struct esp_error *err)
{
    struct input *input = &inputs->kinds[kind];
    atomic_store(&inputs->quiet, quiet);
    *out = (struct input_peek){.first_us = ESP_TIME_NONE, .last_us = ESP_TIME_NONE};
    enum esp_status status = ESP_OK;
    for (size_t p = 0; p < input->n_partitions && out->n_records < n_records; p++) {
        status = peek_partition(inputs, kind, p, n_records, out, err);
        if (status != ESP_OK)
            return status;
    }
    atomic_store(&inputs->quiet, false);
    /* A schema that lacks a configured field is a configuration error only if none has it;
     * otherwise it is one damaged file, or foreign record, among good ones. */
    return out->n_records == out->n_rejected ? inputs_check_schemas(inputs, kind, err) : ESP_OK;
}

void inputs_release(struct inputs *inputs)
{
    inputs_close_readers(inputs);
    esp_log_free(inputs->log);
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        esp_decoder_free(inputs->kinds[kind].decoder);
        free(inputs->kinds[kind].next);
    }
    registry_free(inputs->registry);
    *inputs = (struct inputs){0};
}
