/*
 * config.c - loads a configuration in one pass of reports: whatever is wrong with the file is said
 * at once, a line each, before anything is read.
 */
#include "cmd/config/config_load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/config/config_place.h"
#include "core/buf.h"

static const char *const passthrough_sections[] = {"kafka", "schemas", NULL};

/* What the command line gives may hold anything; a line stays a line. */
void config_report(void *context, const char *line)
{
    struct config_loader *loader = context;
    char shown[ESP_ERROR_TEXT_SIZE * 2 + 8];
    loader->n_problems++;
    if (loader->report == NULL)
        return;
    snprintf(shown, sizeof shown, "%s", line);
    for (char *c = shown; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    loader->report(loader->context, shown);
}

void config_problem(struct config_loader *loader, const char *section, const char *key,
                    const char *format, ...)
{
    char what[ESP_ERROR_TEXT_SIZE], where[ESP_ERROR_TEXT_SIZE], line[ESP_ERROR_TEXT_SIZE * 2 + 8];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (key != NULL)
        config_place(loader->config, section, key, where, sizeof where);
    else
        snprintf(where, sizeof where, "%s: [%s]", loader->config->path, section);
    snprintf(line, sizeof line, "%s: %s", where, what);
    config_report(loader, line);
}

static enum esp_status apply_overrides(struct config_loader *loader, char *const *overrides,
                                       size_t n, struct esp_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *dot = strchr(overrides[i], '.'), *equals = strchr(overrides[i], '=');
        if (dot == NULL || equals == NULL || dot > equals || dot == overrides[i] ||
            dot + 1 == equals) {
            char line[ESP_ERROR_TEXT_SIZE];
            /* Not what follows = or stands in its place: it may be a password. */
            int n_shown = (int)strcspn(overrides[i], "=: \t");
            snprintf(line, sizeof line, "-o %.*s: write section.key=value", n_shown, overrides[i]);
            config_report(loader, line);
            continue;
        }
        char section[128], key[256];
        snprintf(section, sizeof section, "%.*s", (int)(dot - overrides[i]), overrides[i]);
        snprintf(key, sizeof key, "%.*s", (int)(equals - dot - 1), dot + 1);
        enum esp_status status =
            esp_ini_set(&loader->config->ini, section, key, equals + 1, "-o", 0, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

static size_t count_entries(const struct esp_ini *ini, const char *section)
{
    size_t n = 0;
    for (size_t i = 0; i < ini->n_entries; i++)
        n += strcmp(ini->entries[i].section, section) == 0;
    return n;
}

static enum esp_status collect_kafka(struct config *config, struct esp_error *err)
{
    size_t n = count_entries(&config->ini, "kafka");
    config->properties = calloc(n + 1, sizeof *config->properties);
    if (config->properties == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    for (size_t i = 0; i < config->ini.n_entries; i++) {
        const struct esp_ini_entry *entry = &config->ini.entries[i];
        char key[CONFIG_KEY_SIZE];
        if (strcmp(entry->section, "kafka") != 0 || config_is_secret_file(entry, key))
            continue;
        struct esp_log_property *property = &config->properties[config->n_properties++];
        *property = (struct esp_log_property){
            .name = entry->key,
            .value = entry->value,
            .where = config_source_of(entry),
            .is_secret = config_is_secret(config, entry),
        };
        if (property->where == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory");
    }
    return ESP_OK;
}

static enum esp_status collect_schemas(struct config_loader *loader, struct esp_error *err)
{
    struct config *config = loader->config;
    size_t n = count_entries(&config->ini, "schemas");
    config->schemas = calloc(n + 1, sizeof *config->schemas);
    if (config->schemas == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    for (size_t i = 0; i < config->ini.n_entries; i++) {
        const struct esp_ini_entry *entry = &config->ini.entries[i];
        if (strcmp(entry->section, "schemas") != 0)
            continue;
        char *end = NULL;
        errno = 0;
        long long id = strtoll(entry->key, &end, 10);
        if (errno != 0 || *end != '\0' || id < 0 || id > INT32_MAX) {
            config_problem(
                loader, "schemas", entry->key,
                "not a schema id; write the number under which records name this schema");
            continue;
        }
        struct esp_schema_file *file = &config->schemas[config->n_schemas++];
        *file = (struct esp_schema_file){id, entry->value, config_source_of(entry)};
        if (file->where == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory");
    }
    return ESP_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* FOLDER/TOPIC.avsc; NULL: out of memory. */
static char *schema_path(const struct config *config, const char *topic)
{
    char *path = NULL;
    const char *folder = config->options.schema_folder, *slash = strrchr(config->path, '/');
    int n = folder != NULL  ? asprintf(&path, "%s/%s.avsc", folder, topic)
            : slash == NULL ? asprintf(&path, "schemas/%s.avsc", topic)
                            : asprintf(&path, "%.*s/schemas/%s.avsc", (int)(slash - config->path),
                                       config->path, topic);
    return n < 0 ? NULL : path;
}

static enum esp_status load_registry(struct config_loader *loader, struct esp_error *err)
{
    struct config *config = loader->config;
    const char *key = NULL;
    struct esp_error why = {0};
    enum esp_status status =
        config_registry_load(&config->registry, &config->options.registry, &key, &why);
    if (status != ESP_ECONFIG)
        return status == ESP_OK ? ESP_OK : esp_fail(err, status, "%s", why.text);
    config_problem(loader, "schema", key, "%s", why.text);
    return ESP_OK;
}

/* Kafka's records do not carry their schema as container files do: each topic needs one by name,
 * by id, from a registry, or by the name of its file. */
static enum esp_status find_schemas(struct config_loader *loader, struct esp_error *err)
{
    struct config *config = loader->config;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct input_options *input = &config->options.inputs[kind];
        bool by_id = input->framing == ESP_FRAMING_AUTO || input->framing == ESP_FRAMING_CONFLUENT;
        if (config->options.files_root != NULL || input->schema != NULL || config->n_schemas > 0 ||
            (by_id && config->registry.url.base != NULL) ||
            (kind == ESP_INSTALL && !config->has_installs))
            continue;
        char *path = config->found_schemas[kind] = schema_path(config, input->topic);
        if (path == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory");
        input->schema = path;
        char section[32];
        snprintf(section, sizeof section, "%ss", esp_event_kind_name((enum esp_event_kind)kind));
        if (access(path, R_OK) != 0)
            config_problem(
                loader, section, "schema",
                "topic %s has no schema; put it at %s, name its file, or map ids in [schemas]",
                input->topic, path);
    }
    return ESP_OK;
}

/* Every topic has one use: an output that is also an input would feed on itself. */
static void check_topics(struct config_loader *loader)
{
    const struct options *options = &loader->config->options;
    const struct {
        const char *section, *key, *name;
        bool used;
    } topics[] = {
        {"impressions", "topic", options->inputs[ESP_IMPRESSION].topic, true},
        {"clicks", "topic", options->inputs[ESP_CLICK].topic, true},
        {"installs", "topic", options->inputs[ESP_INSTALL].topic, loader->config->has_installs},
        {"output", "late_topic", options->late_topic, true},
        {"output", "dead_letter_topic", options->dead_letter_topic, true},
        {"output", "examples_topic", options->examples_topic, options->write_examples},
        {"drift", "topic", options->drift_topic, loader->config->has_drift},
        {"snapshot", "topic", options->snapshot_topic, options->snapshot_every_us > 0},
        {"score", "topic", options->score_topic, true},
    };
    for (size_t a = 0; a < sizeof topics / sizeof topics[0]; a++) {
        for (size_t b = a + 1; b < sizeof topics / sizeof topics[0]; b++) {
            if (topics[a].used && topics[b].used && strcmp(topics[a].name, topics[b].name) == 0)
                config_problem(loader, topics[b].section, topics[b].key,
                               "is [%s] %s too; each use needs a topic of its own",
                               topics[a].section, topics[a].key);
        }
    }
}

static bool has_value(const struct esp_ini *ini, const char *property)
{
    const struct esp_ini_entry *entry = esp_ini_find(ini, "kafka", property);
    return entry != NULL && entry->value[0] != '\0';
}

/* An address of a broker is HOST:PORT; what somebody writes before an @ is meant to be a secret. */
static void check_brokers(struct config_loader *loader)
{
    static const char *const keys[] = {"bootstrap.servers", "metadata.broker.list"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct esp_ini_entry *entry = esp_ini_find(&loader->config->ini, "kafka", keys[i]);
        if (entry != NULL && strchr(entry->value, '@') != NULL)
            config_problem(loader, "kafka", keys[i],
                           "a broker's address has no user; write host:port, sasl.username and "
                           "sasl.password_file");
    }
}

static void check_across(struct config_loader *loader)
{
    const struct config *config = loader->config;
    const struct options *options = &config->options;
    if ((options->files_root == NULL) == (config->n_properties == 0))
        config_problem(loader, options->files_root == NULL ? "kafka" : "files", NULL,
                       options->files_root == NULL
                           ? "no input; give [kafka] bootstrap.servers, or [files] root"
                           : "both [files] and [kafka] are given; keep one");
    else if (options->files_root == NULL && !has_value(&config->ini, "bootstrap.servers") &&
             !has_value(&config->ini, "metadata.broker.list") &&
             !has_value(&config->ini, "test.mock.num.brokers"))
        config_problem(loader, "kafka", "bootstrap.servers",
                       "is missing; write host:port of a broker");
    check_brokers(loader);
    if (options->idle_lag_us > 0 && options->idle_lag_us >= options->skew_us)
        config_problem(loader, "join", "idle_lag", "must be less than join.skew");
    if (options->time_min_us >= options->time_max_us)
        config_problem(loader, "time", "min", "is not before time.max");
    if (options->snapshot_resume && options->snapshot_rows == 1)
        config_problem(loader, "snapshot", "resume",
                       "needs rows = f32, for nothing learns on from rounded rows; choose one");
    check_topics(loader);
    for (size_t i = 0; i < config->n_models; i++) {
        if (config->models[i].setup == ESP_SETUP_ESP && !config->has_installs)
            config_problem(
                loader, "installs", "enabled",
                "model %s (esp) learns installs alone, and there are none; choose setup = ctr",
                config->models[i].name);
    }
}

static enum esp_status load_plain_sections(struct config_loader *loader, struct esp_error *err)
{
    struct config *config = loader->config;
    enum esp_status worst = ESP_OK;
    const char *last = "";
    for (size_t i = 0; i < n_option_rows; i++) {
        const char *section = option_table[i].section;
        if (strcmp(section, last) == 0 || strchr(section, '*') != NULL)
            continue;
        last = section;
        enum esp_status status =
            esp_settings_apply(option_table, n_option_rows, section, &config->ini, section,
                               &config->options, config->arena, config_report, loader, err);
        worst = worst != ESP_OK ? worst : status;
    }
    config->has_installs = config->options.inputs[ESP_INSTALL].enabled;
    return worst;
}

/* Each step reports what it finds; only running out of memory stops the rest. */
static enum esp_status load_steps(struct config_loader *loader, char *const *overrides,
                                  size_t n_overrides, struct esp_error *err)
{
    struct config *config = loader->config;
    enum esp_status status = esp_ini_read(&config->ini, config->path, config_report, loader, err);
    if (status == ESP_ENOMEM || (status != ESP_OK && loader->n_problems == 0))
        return status; /* part of the file was not read */
    status = apply_overrides(loader, overrides, n_overrides, err);
    if (status != ESP_OK)
        return status;
    status = config_load_secrets(loader, err);
    if (status != ESP_OK)
        return status;
    status = esp_settings_check_sections(option_table, n_option_rows, &config->ini,
                                         passthrough_sections, config_report, loader, err);
    if (status == ESP_ENOMEM)
        return status;
    status = load_plain_sections(loader, err);
    if (status == ESP_ENOMEM)
        return status;
    if ((status = collect_kafka(config, err)) != ESP_OK ||
        (status = collect_schemas(loader, err)) != ESP_OK ||
        (status = config_load_models(loader, err)) == ESP_ENOMEM)
        return status;
    if (loader->n_problems > 0)
        return ESP_ECONFIG; /* what follows would only repeat what was said */
    status = config_load_features(loader, err);
    if (status != ESP_OK)
        return status;
    config_load_drift(loader);
    check_across(loader);
    status = load_registry(loader, err);
    if (status != ESP_OK)
        return status;
    return loader->n_problems > 0 ? ESP_ECONFIG : find_schemas(loader, err);
}

enum esp_status config_load(struct config *config, const char *path, char *const *overrides,
                            size_t n_overrides, esp_ini_report *report, void *context,
                            struct esp_error *err)
{
    *config = (struct config){.path = path};
    struct config_loader loader = {.config = config, .report = report, .context = context};
    esp_ini_init(&config->ini);
    config->arena = esp_settings_arena_new();
    if (config->arena == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    enum esp_status status = load_steps(&loader, overrides, n_overrides, err);
    if (loader.n_problems > 0) {
        /* The lines were reported one by one; the sum of them is the error. */
        if (err != NULL)
            *err = (struct esp_error){0};
        status = esp_fail(err, ESP_ECONFIG, "%s: %zu problem%s", path, loader.n_problems,
                          loader.n_problems == 1 ? "" : "s");
    }
    return status;
}

void config_release(struct config *config)
{
    for (size_t i = 0; i < config->n_properties; i++)
        free((char *)config->properties[i].where);
    for (size_t i = 0; i < config->n_schemas; i++)
        free((char *)config->schemas[i].where);
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        free(config->found_schemas[kind]);
    config_registry_release(&config->registry);
    free(config->properties);
    free(config->schemas);
    free(config->models);
    free(config->model_options);
    free(config->features);
    free(config->feature_paths);
    free(config->feature_names);
    esp_settings_arena_free(config->arena);
    esp_ini_release(&config->ini);
    *config = (struct config){0};
}

void config_settle(struct config *config, bool follow)
{
    const struct options *options = &config->options;
    config->has_checkpoints = options->checkpoints == CHECKPOINTS_ON ||
                              (options->checkpoints == CHECKPOINTS_AUTO && follow);
    config->closes_at_end = options->at_end == AT_END_CLOSE ||
                            (options->at_end == AT_END_AUTO && !config->has_checkpoints);
}
