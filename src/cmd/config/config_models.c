/* config_models.c - the [model] sections. See config_load.h. */
#include <stdlib.h>
#include <string.h>

#include "cmd/config/config_load.h"

static size_t parse_widths(struct config_loader *loader, const char *section, const char *key,
                           const struct esp_setting_list *list, size_t widths[ESP_MAX_LAYERS])
{
    if (list->n_items > ESP_MAX_LAYERS) {
        config_problem(loader, section, key, "%zu layers; at most %d", list->n_items,
                       ESP_MAX_LAYERS);
        return 0;
    }
    for (size_t i = 0; i < list->n_items; i++) {
        char *end = NULL;
        long width = strtol(list->items[i], &end, 10);
        if (*end != '\0' || width < 1 || width > 4096) {
            config_problem(loader, section, key, "\"%s\" is no width; write numbers from 1 to 4096",
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

static enum esp_status load_model(struct config_loader *loader, const char *section,
                                  struct esp_error *err)
{
    struct config *config = loader->config;
    struct model_options from = {.name = strcmp(section, "model") == 0 ? "main" : section + 6};
    enum esp_status status =
        esp_settings_apply(option_table, n_option_rows, "model *", &config->ini, section, &from,
                           config->arena, config_report, loader, err);
    if (status != ESP_OK)
        return status;
    for (size_t i = 0; i < config->n_models; i++) {
        if (strcmp(config->models[i].name, from.name) == 0)
            config_problem(loader, section, NULL,
                           "another model is named %s; give each its own name", from.name);
    }
    if (!esp_is_model_name(from.name))
        config_problem(
            loader, section, NULL,
            "a model's name becomes part of file names and keys; write at most 63 letters, "
            "digits, '-', '_' and '.'");
    if (from.slice % 8 != 0)
        config_problem(loader, section, "slice", "is no multiple of 8; write 64, 128 or 256");
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

enum esp_status config_load_models(struct config_loader *loader, struct esp_error *err)
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
