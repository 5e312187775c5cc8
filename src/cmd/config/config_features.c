/* config_features.c - the features, and which fields of an impression are read for whom. See
 * config_load.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/config/config_load.h"
#include "core/timespan.h"

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

static void add_fields(struct config_loader *loader, const char *key,
                       const struct esp_setting_list *list, struct esp_feature_config like)
{
    struct config *config = loader->config;
    for (size_t i = 0; i < list->n_items; i++) {
        const char *name = list->items[i];
        if (feature_index(config, name, strlen(name)) != SIZE_MAX) {
            config_problem(loader, "features", key, "%s is a feature already; name it once", name);
            continue;
        }
        like.name = name;
        like.value = path_index(config, name);
        config->features[config->n_features++] = like;
    }
}

static void add_cross(struct config_loader *loader, const char *text)
{
    struct config *config = loader->config;
    const char *times = strstr(text, " x ");
    if (times == NULL) {
        config_problem(loader, "features", "cross", "\"%s\" is no pair; write `one x other`", text);
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
        config_problem(loader, "features", "cross", "\"%.*s\" is no feature; list it as one first",
                       (int)(missing == text ? left : strlen(right)), missing);
    else
        config->features[config->n_features++] = cross;
}

enum esp_status config_load_features(struct config_loader *loader, struct esp_error *err)
{
    struct config *config = loader->config;
    const struct options *options = &config->options;
    size_t most = options->categorical.n_items + options->numeric.n_items +
                  options->numeric_log.n_items + options->buckets.n_items +
                  options->buckets_log.n_items + options->crosses.n_items;
    if (most == 0) {
        config_problem(loader, "features", "categorical",
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

static void load_ages(struct config_loader *loader)
{
    const struct esp_setting_list *list = &loader->config->options.drift_ages;
    struct esp_ladder *ladder = &loader->config->ladder;
    if (list->n_items > ESP_MAX_AGES) {
        config_problem(loader, "drift", "ages", "%zu ages; at most %d", list->n_items,
                       ESP_MAX_AGES);
        return;
    }
    for (size_t i = 0; i < list->n_items; i++) {
        char *end = NULL;
        long age = strtol(list->items[i], &end, 10);
        if (*end != '\0' || age < 0 || age > ESP_MAX_AGE) {
            config_problem(loader, "drift", "ages",
                           "\"%s\" is no age; write numbers of windows from 0 to %d",
                           list->items[i], ESP_MAX_AGE);
            return;
        }
        ladder->ages[ladder->n_ages++] = (uint32_t)age;
    }
    struct esp_error why = {0};
    if (esp_ladder_validate(ladder, &why) != ESP_OK)
        config_problem(loader, "drift", "ages", "%s", why.text);
}

/* Fields that drift reads beside the features follow these among the decoder's. */
void config_load_drift(struct config_loader *loader)
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
    if (config->has_drift && options->drift_window_us % options->snapshot_every_us != 0) {
        char every[ESP_TIME_TEXT_SIZE];
        config_problem(loader, "drift", "window",
                       "is no multiple of snapshot.every; write %s, or so many times as much",
                       esp_span_format(options->snapshot_every_us, every));
    }
    config->cluster_value = SIZE_MAX;
    if (config->has_drift && options->drift_cluster != NULL)
        config->cluster_value = path_index(config, options->drift_cluster);
    for (size_t task = 0; task < ESP_N_TASKS; task++) {
        const char *field = options->production[task];
        config->production_value[task] =
            config->has_drift && field != NULL ? path_index(config, field) : SIZE_MAX;
    }
}
