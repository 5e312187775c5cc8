/*
 * cmd_check.c - `espalier check`: everything that a run would read, write and learn from, before
 * it; with --create-topics it makes the outputs that are missing.
 */
#include <argp.h>
#include <errno.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/config/arguments.h"
#include "cmd/run/figures.h"
#include "cmd/run/serving.h"
#include "cmd/topics/inputs.h"
#include "cmd/topics/outputs.h"
#include "cmd/topics/snapshot_topic.h"
#include "cmd/train/retention.h"
#include "core/logger.h"

enum { PEEK_RECORDS = 1000 };
static const int64_t broker_patience_us = 10 * ESP_SECOND;

struct check_arguments {
    struct common_arguments common;
    bool create_topics;
};

enum { KEY_CREATE_TOPICS = 1000 };

static const struct argp_option check_options[] = {
    {"create-topics", KEY_CREATE_TOPICS, NULL, 0, "Make the output topics that are missing", 0},
    {0},
};

static error_t parse_check(int key, char *text, struct argp_state *state)
{
    struct check_arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        return 0;
    case KEY_CREATE_TOPICS:
        arguments->create_topics = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is no option; the configuration is given with --config", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child check_children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp check_argp = {
    .options = check_options,
    .parser = parse_check,
    .doc = "Says what `espalier train` would read, write and learn from with this configuration, "
           "what `espalier score` would read and write, and what stands in the way.",
    .children = check_children,
};

static void print_source(const struct config *config)
{
    printf("configuration  %s\n", config->path);
    if (config->options.files_root != NULL) {
        printf("log            files below %s\n", config->options.files_root);
        return;
    }
    /* Only this one: other properties may hold secrets. */
    const struct esp_ini_entry *brokers = esp_ini_find(&config->ini, "kafka", "bootstrap.servers");
    printf("log            Kafka at %s\n", brokers == NULL ? "-" : brokers->value);
}

/* Files carry their schemas: then nobody is asked. */
static enum esp_status check_registry(const struct config *config, struct registry *registry,
                                      struct esp_error *err)
{
    const char *user = config->registry.url.user, *ca_file = config->options.registry.ca_file;
    if (registry == NULL)
        return ESP_OK;
    registry_set_end(registry, NULL, NULL, broker_patience_us);
    bool is_used = config->options.files_root == NULL;
    enum esp_status status = is_used ? registry_ping(registry, err) : ESP_OK;
    printf("schemas        registry %s", registry_address(registry));
    if (user != NULL)
        printf(", user %s", user);
    if (ca_file != NULL)
        printf(", CA file %s", ca_file);
    printf(": %s\n", !is_used           ? "not asked, for files carry their schemas"
                     : status == ESP_OK ? "answers"
                                        : "no use");
    if (is_used)
        printf("%-14s kept in %s\n", "", registry_folder(registry));
    return status;
}

static void print_times(const struct input_peek *peek)
{
    char first[ESP_TIME_TEXT_SIZE], last[ESP_TIME_TEXT_SIZE];
    if (peek->first_us != ESP_TIME_NONE)
        printf(", event times %s to %s", esp_time_format(peek->first_us, first),
               esp_time_format(peek->last_us, last));
}

static void print_peek(const struct input_peek *peek, bool has_schemas)
{
    if (peek->n_records == 0) {
        printf("%-14s no records yet%s\n", "",
               has_schemas ? ": whether its files have the fields is seen with the first" : "");
        return;
    }
    printf("%-14s first %zu records: %zu good, %zu refused", "", peek->n_records,
           peek->n_records - peek->n_rejected, peek->n_rejected);
    if (peek->n_rejected > 0)
        printf(" (%s)", esp_reject_text((enum esp_reject)peek->first_reject));
    print_times(peek);
    putchar('\n');
}

static enum esp_status check_input(struct inputs *inputs, enum esp_event_kind kind,
                                   struct esp_error *err)
{
    const struct input *input = &inputs->kinds[kind];
    const struct input_options *options = &inputs->config->options.inputs[kind];
    struct input_peek peek;
    /* Quietly first: a file that has fewer features than the first one with all of them is fine,
     * but may stand before it. */
    enum esp_status status = inputs_peek(inputs, kind, 1, true, &peek, err);
    if (status == ESP_OK)
        status = inputs_peek(inputs, kind, PEEK_RECORDS, false, &peek, err);
    if (status != ESP_OK)
        return status;
    char label[32], span[ESP_TIME_TEXT_SIZE];
    snprintf(label, sizeof label, "%ss", esp_event_kind_name(kind));
    printf("%-14s topic %s, %zu partition%s, id %s, time %s, grace %s\n", label, options->topic,
           input->n_partitions, input->n_partitions == 1 ? "" : "s", options->id, options->time,
           esp_span_format(options->grace_us, span));
    for (size_t i = 0; i < esp_decoder_n_writers(input->decoder); i++)
        printf("%-14s schema %s\n", "",
               esp_writer_name(esp_decoder_writer(input->decoder, (uint16_t)i)));
    print_peek(&peek, inputs->config->options.files_root != NULL);
    if (peek.n_records > 0 && peek.n_rejected == peek.n_records)
        return esp_fail(err, ESP_EDATA, "topic %s: none of its first %zu records can be used: %s",
                        options->topic, peek.n_records,
                        esp_reject_text((enum esp_reject)peek.first_reject));
    return retention_check(inputs->config, inputs->log, kind, err);
}

static void print_join(const struct config *config)
{
    char click[ESP_TIME_TEXT_SIZE], install[ESP_TIME_TEXT_SIZE];
    printf("join           a click counts within %s",
           esp_span_format(config->options.click_window_us, click));
    if (config->has_installs)
        printf(", an install within %s of the click (installs name %s)",
               esp_span_format(config->options.install_window_us, install),
               config->options.inputs[ESP_INSTALL].refers_to == REFERS_TO_CLICK ? "the click"
                                                                                : "the impression");
    printf("\nsample         holdout %g, negatives %g, correction by %s\n", config->options.holdout,
           config->options.negatives,
           config->options.correction == ESP_CORRECT_BY_OFFSET ? "offset" : "weight");
}

static void describe_feature(const struct esp_feature_config *feature, char *text, size_t size)
{
    static const char *const scales[] = {"", " of sign(x) log(1 + |x|)"};
    if (feature->kind == ESP_FEATURE_CATEGORICAL)
        snprintf(text, size, "categorical");
    else if (feature->kind == ESP_FEATURE_CROSS)
        snprintf(text, size, "cross");
    else if (feature->form == ESP_FORM_BUCKETS)
        snprintf(text, size, "%zu buckets%s", feature->n_buckets, scales[feature->scale]);
    else
        snprintf(text, size, "standardised%s", scales[feature->scale]);
}

static void print_features(const struct config *config, const struct esp_decoder *impressions)
{
    for (size_t i = 0; i < config->n_features; i++) {
        const struct esp_feature_config *feature = &config->features[i];
        char kind[64];
        describe_feature(feature, kind, sizeof kind);
        const char *type = feature->kind == ESP_FEATURE_CROSS
                               ? NULL
                               : esp_decoder_feature_type(impressions, feature->value);
        printf("%-14s %-28s %s%s%s\n", i == 0 ? "features" : "", feature->name, kind,
               type == NULL ? "" : ", ", type == NULL ? "" : type);
    }
}

static void print_models(const struct config *config)
{
    for (size_t i = 0; i < config->n_models; i++) {
        const struct esp_model_config *model = &config->models[i];
        printf("%-14s %s: %s, %zu features x %zu,", i == 0 ? "models" : "", model->name,
               esp_setup_get(model->setup)->name, config->n_features, model->width);
        for (size_t l = 0; l < model->n_layers; l++)
            printf("%s%zu", l == 0 ? " layers " : "-", model->layers[l]);
        for (size_t l = 0; l < model->n_head_layers; l++)
            printf("%s%zu", l == 0 ? ", heads " : "-", model->head_layers[l]);
        printf(", batch %zu\n", model->batch);
    }
}

static void print_serving(const struct config *config)
{
    const struct options *options = &config->options;
    char url[ESP_HTTP_URL_SIZE];
    printf("%-14s %s\n", "serves",
           options->serve_port == 0
               ? "nothing (serve.port = 0)"
               : esp_http_url(options->serve_listen, (uint16_t)options->serve_port, url));
}

/* What `espalier score` reads and writes with the same configuration. Its topic is made with the
 * others, and not missed: who only trains does not need it. */
static enum esp_status check_scoring(const struct config *config, struct esp_log *log, bool create,
                                     struct esp_error *err)
{
    const struct options *options = &config->options;
    const struct esp_setting_list *models = &options->score_models;
    size_t n = 0;
    printf("score          reads topic %s with snapshots of",
           options->inputs[ESP_IMPRESSION].topic);
    for (size_t i = 0; i < models->n_items; i++)
        printf("%s %s", i == 0 ? "" : ",", models->items[i]);
    char place[1024];
    printf("%s from %s%s\n", models->n_items == 0 ? " every model" : "",
           options->files_root == NULL ? "topic " : "",
           snapshot_place(config, place, sizeof place));
    enum esp_status status =
        esp_log_partitions(log, options->score_topic, broker_patience_us, &n, err);
    bool made = status == ESP_OK && n == 0 && create;
    if (made)
        status = esp_log_create_topic(log, options->score_topic, (size_t)options->output_partitions,
                                      NULL, err);
    if (status != ESP_OK)
        return status;
    printf("%-14s writes topic %s%s\n", "", options->score_topic,
           made                          ? ": made"
           : n > 0                       ? ""
           : options->files_root != NULL ? ": made with its first record"
                                         : ": missing; --create-topics makes it");
    return ESP_OK;
}

/* Outputs keep their records whatever their age: replays overwrite by key, retention is the
 * operator's word. */
static enum esp_status check_outputs(const struct config *config, struct esp_log *log, bool create,
                                     size_t *n_missing, struct esp_error *err)
{
    struct output_topic topics[N_OUTPUT_TOPICS];
    outputs_topics(config, topics);
    const char *label = "writes";
    for (size_t i = 0; i < N_OUTPUT_TOPICS; i++) {
        if (!topics[i].wanted)
            continue;
        size_t n = 0;
        enum esp_status status =
            esp_log_partitions(log, topics[i].name, broker_patience_us, &n, err);
        bool made = status == ESP_OK && n == 0 && create;
        if (made)
            status = esp_log_create_topic(log, topics[i].name,
                                          (size_t)config->options.output_partitions, NULL, err);
        if (status != ESP_OK)
            return status;
        bool made_later = config->options.files_root != NULL;
        *n_missing += n == 0 && !made && !made_later;
        printf("%-14s topic %s%s\n", label, topics[i].name,
               made         ? ": made"
               : n > 0      ? ""
               : made_later ? ": made with its first record"
                            : ": missing; run again with --create-topics");
        label = "";
    }
    return ESP_OK;
}

/* What a run writes on this machine, be it only at its end. */
static enum esp_status check_folders(const struct config *config, struct esp_error *err)
{
    const struct options *options = &config->options;
    bool has_snapshots = options->snapshot_every_us > 0;
    enum esp_status status =
        outputs_check_folder(config, "output", "faults", options->fault_folder, false, err);
    if (status == ESP_OK && has_snapshots)
        status = outputs_check_folder(config, "state", "folder", options->state_folder, true, err);
    if (status == ESP_OK && has_snapshots && options->files_root != NULL)
        status = outputs_check_folder(config, "files", "root", options->files_root, false, err);
    return status;
}

static enum esp_status check_all(struct config *config, struct inputs *inputs,
                                 const struct check_arguments *arguments, struct esp_error *err)
{
    enum esp_status status = load_configuration(config, &arguments->common, err);
    if (status != ESP_OK)
        return status;
    if ((status = serving_check(config, err)) != ESP_OK)
        return status;
    print_source(config);
    status = inputs_open(inputs, config, report_log_event, NULL, err);
    if (status == ESP_OK)
        status = check_registry(config, inputs->registry, err);
    if (status == ESP_OK)
        status = inputs_find_topics(inputs, broker_patience_us, err);
    for (int kind = 0; status == ESP_OK && kind < ESP_N_EVENT_KINDS; kind++) {
        if (inputs->kinds[kind].n_partitions > 0)
            status = check_input(inputs, (enum esp_event_kind)kind, err);
    }
    if (status != ESP_OK)
        return status;
    print_join(config);
    print_features(config, inputs->kinds[ESP_IMPRESSION].decoder);
    print_models(config);
    size_t n_missing = 0;
    status = check_outputs(config, inputs->log, arguments->create_topics, &n_missing, err);
    if (status == ESP_OK && config->options.snapshot_every_us > 0)
        status =
            snapshot_topic_check(config, inputs->log, arguments->create_topics, &n_missing, err);
    if (status == ESP_OK)
        print_serving(config);
    if (status == ESP_OK)
        status = check_scoring(config, inputs->log, arguments->create_topics, err);
    if (status == ESP_OK)
        status = check_folders(config, err);
    if (status == ESP_OK && n_missing > 0)
        return esp_fail(err, ESP_ECONFIG, "%zu output topic%s missing", n_missing,
                        n_missing == 1 ? " is" : "s are");
    return status;
}

int cmd_check(int argc, char **argv)
{
    struct check_arguments arguments = {0};
    struct esp_error err = {0};
    if (parse_arguments(&check_argp, argc, argv, &arguments, &err) != ESP_OK)
        return exit_with(&err);
    struct config config = {0};
    struct inputs inputs = {0};
    enum esp_status status = check_all(&config, &inputs, &arguments, &err);
    if (status == ESP_OK)
        puts("ready");
    if (fflush(stdout) != 0)
        esp_fail(&err, ESP_EIO, "standard output cannot be written: %s", strerror(errno));
    int code = exit_with(&err);
    inputs_release(&inputs);
    config_release(&config);
    common_arguments_release(&arguments.common);
    return code;
}
