/*
 * cmd_drift.c - `espalier drift`: reads the drift topic and shows how the loss grows with the
 * model's age: tables, CSV, JSON, a page.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/command.h"
#include "cmd/config/arguments.h"
#include "cmd/drift/drift_fields.h"
#include "cmd/drift/drift_json.h"
#include "cmd/drift/drift_page.h"
#include "cmd/drift/drift_read.h"
#include "cmd/drift/drift_table.h"
#include "cmd/topics/inputs.h"
#include "core/buf.h"
#include "core/logger.h"
#include "core/timespan.h"

enum format { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON };
static const char default_topic[] = "espalier.drift";

struct drift_arguments {
    struct common_arguments common;
    const char *folder;  /* of --from */
    const char **models; /* none: all; borrowed from argv */
    size_t n_models, model_capacity;
    int task;        /* enum esp_drift_task, -1: all */
    const char *run; /* the beginning of its name, "all", or NULL: each model's newest */
    int64_t since_us, until_us, max_age_us;
    enum format format;
    enum drift_by by;
    const char *html_path;
};

enum { KEY_FROM = 1000, KEY_RUN, KEY_MAX_AGE, KEY_SINCE, KEY_UNTIL, KEY_FORMAT, KEY_HTML, KEY_BY };

static const struct argp_option drift_options[] = {
    {"from", KEY_FROM, "FOLDER", 0,
     "Read this folder of Avro files (the topic's, or the one above) instead of the topic of a "
     "configuration",
     0},
    {"model", 'm', "NAME", 0, "Only this model; may be given several times", 0},
    {"task", 't', "TASK", 0, "Only click, install_given_click or install", 0},
    {"run", KEY_RUN, "RUN", 0,
     "The run whose name begins so, or all (default: the newest run of each model)", 0},
    {"since", KEY_SINCE, "TIME", 0, "Only windows that start at this time or later", 0},
    {"until", KEY_UNTIL, "TIME", 0, "Only windows that end at this time or earlier", 0},
    {"max-age", KEY_MAX_AGE, "SPAN", 0,
     "Only ages up to this: more windows have every one of them, if older ages are measured seldom",
     0},
    {"format", KEY_FORMAT, "FORMAT", 0, "table (default), csv or json", 0},
    {"by", KEY_BY, "SPAN", 0,
     "Rows of the tables by time: window or day (default: by day from two days on)", 0},
    {"html", KEY_HTML, "FILE", 0, "Write the report as one page that needs no network", 0},
    {0},
};

/* The index of a word in a list ended by NULL; a word that is not there ends the program. */
static int parse_word(struct argp_state *state, const char *option, const char *text,
                      const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0)
            return i;
    }
    char list[128] = "";
    for (int i = 0; words[i] != NULL; i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s",
                 i == 0                 ? ""
                 : words[i + 1] == NULL ? " or "
                                        : ", ",
                 words[i]);
    }
    argp_error(state, "--%s %s: write %s", option, text, list);
    return -1;
}

static int64_t parse_time(struct argp_state *state, const char *option, const char *text)
{
    int64_t time_us = 0;
    struct esp_error err = {0};
    if (esp_time_parse(text, &time_us, &err) != ESP_OK)
        argp_error(state, "--%s: %s", option, err.text);
    return time_us;
}

static int64_t parse_span(struct argp_state *state, const char *option, const char *text)
{
    int64_t span_us = 0;
    struct esp_error err = {0};
    if (esp_span_parse(text, &span_us, &err) != ESP_OK)
        argp_error(state, "--%s: %s", option, err.text);
    return span_us;
}

static error_t add_model(struct drift_arguments *arguments, const char *name)
{
    if (esp_array_grow((void **)&arguments->models, &arguments->model_capacity,
                       arguments->n_models + 1, sizeof *arguments->models, NULL) != ESP_OK)
        return ENOMEM;
    arguments->models[arguments->n_models++] = name;
    return 0;
}

static void check_arguments(struct drift_arguments *arguments, struct argp_state *state)
{
    if (arguments->folder != NULL &&
        (arguments->common.config_given || arguments->common.n_overrides > 0))
        argp_error(state, "--from %s: give either a folder, or a configuration", arguments->folder);
    if (arguments->since_us >= arguments->until_us)
        argp_error(state, "--since is not before --until");
}

static error_t parse_drift(int key, char *text, struct argp_state *state)
{
    static const char *const formats[] = {"table", "csv", "json", NULL};
    static const char *const tasks[] = {"click", "install_given_click", "install", NULL};
    static const char *const spans[] = {"window", "day", NULL};
    struct drift_arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        return 0;
    case KEY_FROM:
        arguments->folder = text;
        return 0;
    case 'm':
        return add_model(arguments, text);
    case 't':
        arguments->task = parse_word(state, "task", text, tasks);
        return 0;
    case KEY_RUN:
        arguments->run = text;
        return 0;
    case KEY_MAX_AGE:
        arguments->max_age_us = parse_span(state, "max-age", text);
        return 0;
    case KEY_SINCE:
        arguments->since_us = parse_time(state, "since", text);
        return 0;
    case KEY_UNTIL:
        arguments->until_us = parse_time(state, "until", text);
        return 0;
    case KEY_FORMAT:
        arguments->format = (enum format)parse_word(state, "format", text, formats);
        return 0;
    case KEY_BY:
        arguments->by = parse_word(state, "by", text, spans) == 0 ? DRIFT_BY_WINDOW : DRIFT_BY_DAY;
        return 0;
    case KEY_HTML:
        arguments->html_path = text;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is no option; a folder is given with --from", text);
        return 0;
    case ARGP_KEY_END:
        check_arguments(arguments, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child drift_children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp drift_argp = {
    .options = drift_options,
    .parser = parse_drift,
    .doc = "Shows how the loss of each model grows with its age, by the records that `espalier "
           "train` writes to the drift topic.\v"
           "Times are written 2024-05-01 or 2024-05-01T13:20:00Z. Figures go to stdout, what was "
           "skipped to stderr. docs/drift.md tells how to read them.",
    .children = drift_children,
};

/* ---- where from ------------------------------------------------------------------------------ */

/* A log and a topic of it. */
struct drift_source {
    struct config config;
    char root[PATH_MAX];
    const char *topic;
    struct esp_log *log;
};

/* FOLDER is the topic's own if it has a partition, else the root that has the topic. */
static enum esp_status open_folder(struct drift_source *source, const char *folder,
                                   struct esp_error *err)
{
    char path[PATH_MAX], *real = realpath(folder, source->root);
    struct stat info;
    if (real == NULL)
        return esp_fail(err, ESP_ECONFIG, "--from %s: %s", folder, strerror(errno));
    source->topic = default_topic;
    int n = snprintf(path, sizeof path, "%s/partition=0", source->root);
    char *slash = strrchr(source->root, '/');
    if (n > 0 && (size_t)n < sizeof path && stat(path, &info) == 0 && slash != source->root) {
        *slash = '\0';
        source->topic = slash + 1;
    }
    return esp_log_open_files(source->root, "null", report_log_event, NULL, &source->log, err);
}

static enum esp_status open_source(struct drift_source *source,
                                   const struct drift_arguments *arguments, struct esp_error *err)
{
    if (arguments->folder != NULL)
        return open_folder(source, arguments->folder, err);
    enum esp_status status = load_configuration(&source->config, &arguments->common, err);
    source->topic = source->config.options.drift_topic;
    return status == ESP_OK
               ? inputs_open_log(&source->config, report_log_event, NULL, &source->log, err)
               : status;
}

/* ---- which records --------------------------------------------------------------------------- */

/* The newest run of each model. */
struct choice {
    struct newest {
        struct esp_bytes model, run;
        int64_t end_us;
    } * newest; /* (n): one a model */
    size_t n;
};

/* A record's age is a span that is in range: the decoder has looked. */
static int64_t age_of(const struct esp_drift_record *record)
{
    return record->age == ESP_DRIFT_NO_AGE
               ? 0
               : record->age * (record->window_end_us - record->window_start_us);
}

/* Records of other tasks are pooled too, and left out when it comes to showing: see
 * esp_drift_report_keep_task(). */
static bool is_of_task(const struct drift_arguments *arguments,
                       const struct esp_drift_record *record)
{
    return arguments->task < 0 || (int)record->task == arguments->task;
}

static bool is_asked_for(const void *context, const struct esp_drift_record *record)
{
    const struct drift_arguments *arguments = context;
    bool has_model = arguments->n_models == 0;
    for (size_t i = 0; i < arguments->n_models; i++)
        has_model = has_model || esp_bytes_equal(record->model, esp_bytes_of(arguments->models[i]));
    const char *run = arguments->run;
    bool any_run = run == NULL || strcmp(run, "all") == 0;
    return has_model && record->window_start_us >= arguments->since_us &&
           record->window_end_us <= arguments->until_us &&
           age_of(record) <= arguments->max_age_us &&
           (any_run ||
            (strlen(run) <= record->run.size && memcmp(record->run.data, run, strlen(run)) == 0));
}

static struct newest *newest_of(const struct choice *choice, struct esp_bytes model)
{
    for (size_t i = 0; i < choice->n; i++) {
        if (esp_bytes_equal(choice->newest[i].model, model))
            return &choice->newest[i];
    }
    return NULL;
}

static bool is_newest(const void *context, const struct esp_drift_record *record)
{
    const struct newest *newest = newest_of(context, record->model);
    return newest != NULL && esp_bytes_equal(newest->run, record->run);
}

/* The run of each model that reaches furthest; of two that reach as far, the one that came later.
 */
static enum esp_status find_newest(struct choice *choice, const struct drift_store *store,
                                   struct esp_error *err)
{
    size_t capacity = 0;
    for (size_t i = 0; i < store->n; i++) {
        const struct esp_drift_record *record = &store->records[i];
        struct newest *newest = newest_of(choice, record->model);
        if (newest == NULL) {
            enum esp_status status = esp_array_grow((void **)&choice->newest, &capacity,
                                                    choice->n + 1, sizeof *choice->newest, err);
            if (status != ESP_OK)
                return status;
            newest = &choice->newest[choice->n++];
            *newest = (struct newest){record->model, record->run, record->window_end_us};
        }
        if (record->window_end_us >= newest->end_us) {
            newest->end_us = record->window_end_us;
            newest->run = record->run;
        }
    }
    return ESP_OK;
}

/* Keeps each model's newest run, and says which others there are. */
static enum esp_status keep_newest(struct drift_store *store, struct esp_error *err)
{
    struct choice choice = {0};
    enum esp_status status = find_newest(&choice, store, err);
    size_t before = store->n;
    if (status == ESP_OK && drift_store_keep(store, is_newest, &choice) < before)
        esp_logf(ESP_INFO,
                 "left out %zu records of older runs; --run RUN shows one of them, --run all all",
                 before - store->n);
    free(choice.newest);
    return status;
}

/* Why there is nothing to show, in one line. */
static enum esp_status nothing_to_show(const char *topic, const struct drift_counts *counts,
                                       size_t n_before, struct esp_error *err)
{
    if (n_before > 0)
        return esp_fail(err, ESP_ECONFIG,
                        "topic %s has %zu drift records, and none is of the models, task, run and "
                        "times that were asked for",
                        topic, n_before);
    if (counts->unknown_records + counts->unknown_files > 0)
        return esp_fail(err, ESP_EDATA,
                        "topic %s has no drift record of a version that this program knows", topic);
    return esp_fail(err, ESP_EDATA,
                    "topic %s has no drift records yet; `espalier train` writes them once a window "
                    "of the holdout is complete",
                    topic);
}

static enum esp_status choose_records(const struct drift_source *source,
                                      const struct drift_arguments *arguments,
                                      struct drift_store *store, struct drift_counts *counts,
                                      struct esp_error *err)
{
    enum esp_status status = drift_read(source->log, source->topic, store, counts, err);
    if (status != ESP_OK)
        return status;
    size_t n_before = 0;
    for (size_t i = 0; i < store->n; i++)
        n_before += !store->dead[i];
    drift_store_keep(store, is_asked_for, arguments);
    size_t n_shown = 0;
    for (size_t i = 0; i < store->n; i++)
        n_shown += is_of_task(arguments, &store->records[i]);
    if (n_shown == 0)
        return nothing_to_show(source->topic, counts, n_before, err);
    return arguments->run == NULL ? keep_newest(store, err) : ESP_OK;
}

/* ---- what is shown --------------------------------------------------------------------------- */

static void print_csv(const struct drift_arguments *arguments, const struct drift_store *store)
{
    drift_csv_head(stdout);
    for (size_t i = 0; i < store->n; i++) {
        if (is_of_task(arguments, &store->records[i]))
            drift_csv_row(&store->records[i], stdout);
    }
}

static void put_count(json_t *object, const char *key, uint64_t count)
{
    json_object_set_new(object, key, json_integer((json_int_t)count));
}

static enum esp_status print_record(const struct esp_drift_record *record, bool is_first,
                                    struct esp_error *err)
{
    json_t *object = drift_record_json(record);
    if (object == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    fputs(is_first ? "\n" : ",\n", stdout);
    int failed = json_dumpf(object, stdout, JSON_COMPACT);
    json_decref(object);
    return failed ? esp_fail(err, ESP_EIO, "standard output cannot be written: %s", strerror(errno))
                  : ESP_OK;
}

/* Records one by one, for there may be many. */
static enum esp_status print_json(const struct drift_arguments *arguments,
                                  const struct esp_drift_report *report,
                                  const struct drift_store *store,
                                  const struct drift_counts *counts, struct esp_error *err)
{
    json_t *pooled = drift_pooled_json(report), *read = json_object();
    enum esp_status status = ESP_OK;
    if (pooled == NULL || read == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory");
    if (status == ESP_OK) {
        put_count(read, "records", counts->records);
        put_count(read, "replaced", store->n_replaced);
        put_count(read, "unknown_version", counts->unknown_records);
        put_count(read, "unknown_version_files", counts->unknown_files);
        put_count(read, "malformed", counts->malformed);
        put_count(read, "damaged_files", counts->damaged_files);
        fputs("{\"read\": ", stdout);
        json_dumpf(read, stdout, 0);
        fputs(",\n\"pooled\": ", stdout);
        json_dumpf(pooled, stdout, JSON_INDENT(1));
        fputs(",\n\"records\": [", stdout);
    }
    bool is_first = true;
    for (size_t i = 0; status == ESP_OK && i < store->n; i++) {
        if (!is_of_task(arguments, &store->records[i]))
            continue;
        status = print_record(&store->records[i], is_first, err);
        is_first = false;
    }
    if (status == ESP_OK)
        fputs("\n]}\n", stdout);
    json_decref(pooled);
    json_decref(read);
    return status;
}

/* A page on its own is an answer too: without --format nothing else is printed. */
static enum esp_status show(const struct drift_arguments *arguments, struct drift_store *store,
                            const struct drift_counts *counts, struct esp_error *err)
{
    struct esp_drift_report report = {0};
    enum esp_status status = esp_drift_report_init(&report, store->records, store->n, err);
    if (status == ESP_OK && arguments->task >= 0)
        esp_drift_report_keep_task(&report, (enum esp_drift_task)arguments->task);
    if (status == ESP_OK && arguments->format == FORMAT_TABLE)
        status = drift_table_print(&report, arguments->by, stdout, err);
    else if (status == ESP_OK && arguments->format == FORMAT_CSV)
        print_csv(arguments, store);
    else if (status == ESP_OK)
        status = print_json(arguments, &report, store, counts, err);
    if (status == ESP_OK && arguments->html_path != NULL)
        status = drift_page_write(arguments->html_path, &report, err);
    fflush(stdout); /* so that what is logged stands behind the figures */
    if (status == ESP_OK && arguments->html_path != NULL)
        esp_log(ESP_INFO, "the page is written", "file", arguments->html_path, NULL);
    esp_drift_report_release(&report);
    return status;
}

int cmd_drift(int argc, char **argv)
{
    struct drift_arguments arguments = {
        .task = -1, .since_us = ESP_TIME_NONE, .until_us = ESP_TIME_END, .max_age_us = INT64_MAX};
    struct drift_source source = {0};
    struct drift_store store = {0};
    struct drift_counts counts;
    struct esp_error err = {0};
    if (parse_arguments(&drift_argp, argc, argv, &arguments, &err) != ESP_OK)
        return exit_with(&err);
    enum esp_status status = open_source(&source, &arguments, &err);
    if (status == ESP_OK)
        status = choose_records(&source, &arguments, &store, &counts, &err);
    if (status == ESP_OK)
        show(&arguments, &store, &counts, &err);
    if (fflush(stdout) != 0)
        esp_fail(&err, ESP_EIO, "standard output cannot be written: %s", strerror(errno));
    int code = exit_with(&err);
    drift_store_release(&store);
    esp_log_free(source.log);
    config_release(&source.config);
    common_arguments_release(&arguments.common);
    free(arguments.models);
    return code;
}
