/*
 * config.c - loads a configuration in one pass of reports: whatever is wrong with the file is said
 * at once, a line each, before anything is read.
 */
#include "cmd/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/config_place.h"
#include "core/buf.h"

static const char *const passthrough_sections[] = {"kafka", "schemas", NULL};

/* Where problems go while a configuration is loaded. */
struct loader {
    struct config *config;
    esp_ini_report *report;
    void *context;
    size_t n_problems;
};

static void count_and_report(void *context, const char *line)
{
    struct loader *loader = context;
    loader->n_problems++;
    if (loader->report != NULL)
        loader->report(loader->context, line);
}

/* One problem that names the entry if there is one, else the file alone. */
__attribute__((format(printf, 4, 5))) static void
problem(struct loader *loader, const char *section, const char *key, const char *format, ...)
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
    count_and_report(loader, line);
}

static enum esp_status apply_overrides(struct loader *loader, char *const *overrides, size_t n,
                                       struct esp_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *dot = strchr(overrides[i], '.'), *equals = strchr(overrides[i], '=');
        if (dot == NULL || equals == NULL || dot > equals || dot == overrides[i] ||
            dot + 1 == equals) {
            char line[ESP_ERROR_TEXT_SIZE];
            /* Not what follows =, which may be a password. */
            int n_shown = equals == NULL ? (int)strlen(overrides[i]) : (int)(equals - overrides[i]);
            snprintf(line, sizeof line, "-o %.*s: write section.key=value", n_shown, overrides[i]);
            count_and_report(loader, line);
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
        if (strcmp(entry->section, "kafka") != 0)
            continue;
        struct esp_log_property *property = &config->properties[config->n_properties++];
        *property = (struct esp_log_property){entry->key, entry->value, config_source_of(entry)};
        if (property->where == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory");
    }
    return ESP_OK;
}

static enum esp_status collect_schemas(struct loader *loader, struct esp_error *err)
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
            problem(loader, "schemas", entry->key,
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

/* ---- models ---------------------------------------------------------------------------------- */

static size_t parse_widths(struct loader *loader, const char *section, const char *key,
                           const struct esp_setting_list *list, size_t widths[ESP_MAX_LAYERS])
{
    if (list->n_items > ESP_MAX_LAYERS) {
        problem(loader, section, key, "%zu layers; at most %d", list->n_items, ESP_MAX_LAYERS);
        return 0;
    }
    for (size_t i = 0; i < list->n_items; i++) {
        char *end = NULL;
        long width = strtol(list->items[i], &end, 10);
        if (*end != '\0' || width < 1 || width > 4096) {
            problem(loader, section, key, "\"%s\" is no width; write numbers from 1 to 4096",
                    list->items[i]);
            return 0;
        }
        widths[i] = (size_t)width;
    }
    return list->n_items;
}

static struct esp_optimizer_config optimizer_of(const struct optimizer_options *from)
{
    return (struct esp_optimizer_config){
        .kind = (enum esp_optimizer)from->kind,
        .accumulator = (enum esp_accumulator)from->accumulator,
        .rate = from->rate,
        .initial = from->initial,
        .half_life_us = from->half_life_us,
        .schedule = (enum esp_schedule)from->schedule,
        .horizon = from->horizon,
        .beta1 = from->beta1,
        .beta2 = from->beta2,
        .epsilon = from->epsilon,
        .l2 = from->l2,
        .clip = from->clip,
    };
}

static bool is_plain_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < ESP_MODEL_SIZE && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == n;
}

static enum esp_status load_model(struct loader *loader, const char *section, struct esp_error *err)
{
    struct config *config = loader->config;
    struct model_options from = {.name = strcmp(section, "model") == 0 ? "main" : section + 6};
    enum esp_status status =
        esp_settings_apply(option_table, n_option_rows, "model *", &config->ini, section, &from,
                           config->arena, count_and_report, loader, err);
    if (status != ESP_OK)
        return status;
    for (size_t i = 0; i < config->n_models; i++) {
        if (strcmp(config->models[i].name, from.name) == 0)
            problem(loader, section, NULL, "another model is named %s; give each its own name",
                    from.name);
    }
    if (!is_plain_name(from.name))
        problem(loader, section, NULL,
                "a model's name becomes part of file names and keys; write at most 63 letters, "
                "digits, '-', '_' and '.'");
    if (from.slice % 8 != 0)
        problem(loader, section, "slice", "is no multiple of 8; write 64, 128 or 256");
    config->model_options[config->n_models] = from;
    struct esp_model_config *model = &config->models[config->n_models++];
    *model = (struct esp_model_config){
        .name = from.name,
        .setup = (enum esp_setup_id)from.setup,
        .width = (size_t)from.width,
        .batch = (size_t)from.batch,
        .slice = (size_t)from.slice,
        .dense = optimizer_of(&from.dense),
        .sparse = optimizer_of(&from.sparse),
        .seed = (uint64_t)from.seed,
        .init = from.init,
        .admit_after = (uint32_t)from.admit_after,
        .table_bytes = from.table_memory,
        .correction = (enum esp_correction)config->options.correction,
        .keep = config->options.negatives,
    };
    model->n_layers = parse_widths(loader, section, "layers", &from.layers, model->layers);
    model->n_head_layers =
        parse_widths(loader, section, "head_layers", &from.head_layers, model->head_layers);
    return ESP_OK;
}

static bool is_model_section(const char *section)
{
    return strcmp(section, "model") == 0 ||
           (strncmp(section, "model ", 6) == 0 && section[6] != '\0');
}

/* Every section that is a model, in the order of the file; none: one with the defaults. */
static enum esp_status load_models(struct loader *loader, struct esp_error *err)
{
    struct config *config = loader->config;
    const struct esp_ini *ini = &config->ini;
    config->models = calloc(ini->n_sections + 1, sizeof *config->models);
    config->model_options = calloc(ini->n_sections + 1, sizeof *config->model_options);
    if (config->models == NULL || config->model_options == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    enum esp_status status = ESP_OK;
    size_t n_found = 0;
    for (size_t i = 0; i < ini->n_sections; i++) {
        if (!is_model_section(ini->sections[i].name))
            continue;
        n_found++;
        enum esp_status one = load_model(loader, ini->sections[i].name, err);
        status = status != ESP_OK ? status : one;
    }
    return n_found > 0 ? status : load_model(loader, "model", err);
}

/* ---- features -------------------------------------------------------------------------------- */

static size_t path_index(struct config *config, const char *path)
{
    for (size_t i = 0; i < config->n_feature_paths; i++) {
        if (strcmp(config->feature_paths[i], path) == 0)
            return i;
    }
    config->feature_paths[config->n_feature_paths] = path;
    return config->n_feature_paths++;
}

static size_t feature_index(const struct config *config, const char *name, size_t size)
{
    for (size_t i = 0; i < config->n_features; i++) {
        if (strlen(config->features[i].name) == size &&
            memcmp(config->features[i].name, name, size) == 0)
            return i;
    }
    return SIZE_MAX;
}

static void add_fields(struct loader *loader, const char *key, const struct esp_setting_list *list,
                       struct esp_feature_config like)
{
    struct config *config = loader->config;
    for (size_t i = 0; i < list->n_items; i++) {
        const char *name = list->items[i];
        if (feature_index(config, name, strlen(name)) != SIZE_MAX) {
            problem(loader, "features", key, "%s is a feature already; name it once", name);
            continue;
        }
        like.name = name;
        like.value = path_index(config, name);
        config->features[config->n_features++] = like;
    }
}

static void add_cross(struct loader *loader, const char *text)
{
    struct config *config = loader->config;
    const char *times = strstr(text, " x ");
    if (times == NULL) {
        problem(loader, "features", "cross", "\"%s\" is no pair; write `one x other`", text);
        return;
    }
    size_t left = (size_t)(times - text);
    while (left > 0 && text[left - 1] == ' ')
        left--;
    const char *right = times + 3 + strspn(times + 3, " ");
    struct esp_feature_config cross = {
        .name = text,
        .kind = ESP_FEATURE_CROSS,
        .cross_a = feature_index(config, text, left),
        .cross_b = feature_index(config, right, strlen(right)),
    };
    const char *missing = cross.cross_a == SIZE_MAX   ? text
                          : cross.cross_b == SIZE_MAX ? right
                                                      : NULL;
    if (missing != NULL)
        problem(loader, "features", "cross", "\"%.*s\" is no feature; list it as one first",
                (int)(missing == text ? left : strlen(right)), missing);
    else
        config->features[config->n_features++] = cross;
}

static enum esp_status load_features(struct loader *loader, struct esp_error *err)
{
    struct config *config = loader->config;
    const struct options *options = &config->options;
    size_t most = options->categorical.n_items + options->numeric.n_items +
                  options->numeric_log.n_items + options->buckets.n_items +
                  options->buckets_log.n_items + options->crosses.n_items;
    if (most == 0) {
        problem(loader, "features", "categorical",
                "no features; list the fields of an impression to learn from");
        return ESP_OK;
    }
    config->features = calloc(most, sizeof *config->features);
    config->feature_paths = calloc(most + 1 + ESP_N_TASKS, sizeof *config->feature_paths);
    config->feature_names = calloc(most, sizeof *config->feature_names);
    if (config->features == NULL || config->feature_paths == NULL || config->feature_names == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");

    size_t n_buckets = (size_t)options->n_buckets;
    add_fields(loader, "categorical", &options->categorical,
               (struct esp_feature_config){.kind = ESP_FEATURE_CATEGORICAL});
    add_fields(loader, "numeric", &options->numeric,
               (struct esp_feature_config){.kind = ESP_FEATURE_NUMERIC});
    add_fields(loader, "numeric_log", &options->numeric_log,
               (struct esp_feature_config){.kind = ESP_FEATURE_NUMERIC, .scale = ESP_SCALE_LOG});
    add_fields(loader, "buckets", &options->buckets,
               (struct esp_feature_config){
                   .kind = ESP_FEATURE_NUMERIC, .form = ESP_FORM_BUCKETS, .n_buckets = n_buckets});
    add_fields(loader, "buckets_log", &options->buckets_log,
               (struct esp_feature_config){.kind = ESP_FEATURE_NUMERIC,
                                           .scale = ESP_SCALE_LOG,
                                           .form = ESP_FORM_BUCKETS,
                                           .n_buckets = n_buckets});
    for (size_t i = 0; i < options->crosses.n_items; i++)
        add_cross(loader, options->crosses.items[i]);
    for (size_t i = 0; i < config->n_features; i++)
        config->feature_names[i] = config->features[i].name;
    return ESP_OK;
}

/* ---- drift ----------------------------------------------------------------------------------- */

static void load_ages(struct loader *loader)
{
    const struct esp_setting_list *list = &loader->config->options.drift_ages;
    struct esp_ladder *ladder = &loader->config->ladder;
    if (list->n_items > ESP_MAX_AGES) {
        problem(loader, "drift", "ages", "%zu ages; at most %d", list->n_items, ESP_MAX_AGES);
        return;
    }
    for (size_t i = 0; i < list->n_items; i++) {
        char *end = NULL;
        long age = strtol(list->items[i], &end, 10);
        if (*end != '\0' || age < 0 || age > ESP_MAX_AGE) {
            problem(loader, "drift", "ages",
                    "\"%s\" is no age; write numbers of windows from 0 to %d", list->items[i],
                    ESP_MAX_AGE);
            return;
        }
        ladder->ages[ladder->n_ages++] = (uint32_t)age;
    }
    struct esp_error why = {0};
    if (esp_ladder_validate(ladder, &why) != ESP_OK)
        problem(loader, "drift", "ages", "%s", why.text);
}

/* Fields that drift reads beside the features follow these among the decoder's. */
static void load_drift(struct loader *loader)
{
    struct config *config = loader->config;
    const struct options *options = &config->options;
    config->has_drift =
        options->drift_enabled && options->snapshot_every_us > 0 && options->holdout > 0;
    config->n_model_paths = config->n_feature_paths;
    if (config->has_drift && esp_ini_find(&config->ini, "metrics", "window") == NULL)
        config->options.metric_window_us = options->drift_window_us;
    config->ladder = (struct esp_ladder){
        .window_us = options->drift_window_us,
        .sparse_from = (uint32_t)options->drift_sparse_from,
        .sparse = (uint32_t)options->drift_sparse,
    };
    load_ages(loader);
    if (options->snapshot_every_us > 0 &&
        options->drift_window_us % options->snapshot_every_us != 0)
        problem(loader, "drift", "window", "is no multiple of snapshot.every");
    config->cluster_value = SIZE_MAX;
    if (config->has_drift && options->drift_cluster != NULL)
        config->cluster_value = path_index(config, options->drift_cluster);
    for (size_t task = 0; task < ESP_N_TASKS; task++) {
        const char *field = options->production[task];
        config->production_value[task] =
            config->has_drift && field != NULL ? path_index(config, field) : SIZE_MAX;
    }
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

static enum esp_status load_registry(struct loader *loader, struct esp_error *err)
{
    struct config *config = loader->config;
    const char *key = NULL;
    struct esp_error why = {0};
    enum esp_status status =
        config_registry_load(&config->registry, &config->options.registry, &key, &why);
    if (status != ESP_ECONFIG)
        return status == ESP_OK ? ESP_OK : esp_fail(err, status, "%s", why.text);
    problem(loader, "schema", key, "%s", why.text);
    return ESP_OK;
}

/* Kafka's records do not carry their schema as container files do: each topic needs one by name,
 * by id, from a registry, or by the name of its file. */
static enum esp_status find_schemas(struct loader *loader, struct esp_error *err)
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
            problem(loader, section, "schema",
                    "topic %s has no schema; put it at %s, name its file, or map ids in [schemas]",
                    input->topic, path);
    }
    return ESP_OK;
}

/* Every topic has one use: an output that is also an input would feed on itself. */
static void check_topics(struct loader *loader)
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
                problem(loader, topics[b].section, topics[b].key,
                        "is [%s] %s too; each use needs a topic of its own", topics[a].section,
                        topics[a].key);
        }
    }
}

static void check_across(struct loader *loader)
{
    const struct config *config = loader->config;
    const struct options *options = &config->options;
    if ((options->files_root == NULL) == (config->n_properties == 0))
        problem(loader, options->files_root == NULL ? "kafka" : "files", NULL,
                options->files_root == NULL
                    ? "no input; give [kafka] bootstrap.servers, or [files] root"
                    : "both [files] and [kafka] are given; keep one");
    else if (options->files_root == NULL &&
             esp_ini_find(&config->ini, "kafka", "bootstrap.servers") == NULL &&
             esp_ini_find(&config->ini, "kafka", "metadata.broker.list") == NULL &&
             esp_ini_find(&config->ini, "kafka", "test.mock.num.brokers") == NULL)
        problem(loader, "kafka", "bootstrap.servers", "is missing; write host:port of a broker");
    if (options->idle_lag_us > 0 && options->idle_lag_us >= options->skew_us)
        problem(loader, "join", "idle_lag", "must be less than join.skew");
    if (options->time_min_us >= options->time_max_us)
        problem(loader, "time", "min", "is not before time.max");
    check_topics(loader);
    for (size_t i = 0; i < config->n_models; i++) {
        if (config->models[i].setup == ESP_SETUP_ESP && !config->has_installs)
            problem(loader, "installs", "enabled",
                    "model %s (esp) learns installs alone, and there are none; choose setup = ctr",
                    config->models[i].name);
    }
}

static enum esp_status load_plain_sections(struct loader *loader, struct esp_error *err)
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
                               &config->options, config->arena, count_and_report, loader, err);
        worst = worst != ESP_OK ? worst : status;
    }
    config->has_installs = config->options.inputs[ESP_INSTALL].enabled;
    return worst;
}

/* Each step reports what it finds; only running out of memory stops the rest. */
static enum esp_status load_steps(struct loader *loader, char *const *overrides, size_t n_overrides,
                                  struct esp_error *err)
{
    struct config *config = loader->config;
    enum esp_status status =
        esp_ini_read(&config->ini, config->path, count_and_report, loader, err);
    if (status != ESP_OK && config->ini.n_entries == 0 && loader->n_problems == 0)
        return status;
    status = apply_overrides(loader, overrides, n_overrides, err);
    if (status != ESP_OK)
        return status;
    status = esp_settings_check_sections(option_table, n_option_rows, &config->ini,
                                         passthrough_sections, count_and_report, loader, err);
    if (status == ESP_ENOMEM)
        return status;
    status = load_plain_sections(loader, err);
    if (status == ESP_ENOMEM)
        return status;
    if ((status = collect_kafka(config, err)) != ESP_OK ||
        (status = collect_schemas(loader, err)) != ESP_OK ||
        (status = load_models(loader, err)) == ESP_ENOMEM)
        return status;
    if (loader->n_problems > 0)
        return ESP_ECONFIG; /* what follows would only repeat what was said */
    status = load_features(loader, err);
    if (status != ESP_OK)
        return status;
    load_drift(loader);
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
    struct loader loader = {.config = config, .report = report, .context = context};
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

/* ---- what the stages take -------------------------------------------------------------------- */

struct esp_sampler_config config_sampler(const struct config *config)
{
    const struct options *options = &config->options;
    return (struct esp_sampler_config){
        .holdout = options->holdout,
        .negatives = options->negatives,
        .holdout_seed = (uint64_t)options->holdout_seed,
        .negative_seed = (uint64_t)options->negative_seed,
        .reads_fields = options->holdout_key != NULL || options->weight_field != NULL,
    };
}

struct esp_learner_config config_learner(const struct config *config, size_t i)
{
    const struct options *options = &config->options;
    return (struct esp_learner_config){
        .model = config->models[i],
        .feature_names = config->feature_names,
        .n_features = config->n_features,
        .has_installs = config->has_installs,
        .window_us = options->metric_window_us,
        .windows_kept = (size_t)options->metric_windows_kept,
        .fault_folder = options->fault_folder,
    };
}

struct esp_decoder_config config_decoder(const struct config *config, enum esp_event_kind kind)
{
    const struct options *options = &config->options;
    const struct input_options *input = &options->inputs[kind];
    bool by_click =
        config->has_installs && options->inputs[ESP_INSTALL].refers_to == REFERS_TO_CLICK;
    bool is_impression = kind == ESP_IMPRESSION;
    return (struct esp_decoder_config){
        .kind = kind,
        .topic = input->topic,
        .framing = (enum esp_framing)input->framing,
        .reader_schema = input->schema,
        .writers = config->schemas,
        .n_writers = config->n_schemas,
        .id_path = input->id,
        .time_path = strcmp(input->time, "@log") == 0 ? NULL : input->time,
        .time_unit = (enum esp_time_unit)input->time_unit,
        .click_id_path = kind == ESP_CLICK && by_click ? input->click_id : NULL,
        .holdout_path = is_impression ? options->holdout_key : NULL,
        .weight_path = is_impression ? options->weight_field : NULL,
        .time_min_us = options->time_min_us,
        .time_max_us = options->time_max_us,
        .max_record_bytes = (size_t)options->max_record_bytes,
        .feature_paths = is_impression ? config->feature_paths : NULL,
        .n_features = is_impression ? config->n_feature_paths : 0,
    };
}
