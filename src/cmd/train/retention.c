/* retention.c - see retention.h. */
#include "cmd/train/retention.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLICY, MS, BYTES, N_PROPERTIES };

int64_t retention_needed_us(const struct config *config)
{
    const struct options *options = &config->options;
    int64_t grace_us = 0;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        bool is_read = kind != ESP_INSTALL || config->has_installs;
        if (is_read && options->inputs[kind].grace_us > grace_us)
            grace_us = options->inputs[kind].grace_us;
    }
    return options->click_window_us + (config->has_installs ? options->install_window_us : 0) +
           grace_us + options->snapshot_every_us;
}

/* A number of a property, -1 where there is no limit, or none that the broker tells. */
static int64_t limit_of(const struct esp_topic_property *property)
{
    char *end = NULL;
    int64_t value = strtoll(property->value, &end, 10);
    return property->value[0] == '\0' || *end != '\0' || value < 0 ? -1 : value;
}

static void print_kept(const struct esp_topic_property *properties, bool deletes,
                       const char *needed)
{
    int64_t ms = deletes ? limit_of(&properties[MS]) : -1;
    char kept[ESP_TIME_TEXT_SIZE] = "records of any age";
    if (ms >= 0 && ms <= INT64_MAX / ESP_MS)
        esp_span_format(ms * ESP_MS, kept);
    printf("%-14s keeps %s; a start without its state needs %s of it\n", "", kept, needed);
}

static void print_warnings(const struct esp_topic_property *properties, bool deletes,
                           int64_t needed_us, const char *needed)
{
    char kept[ESP_TIME_TEXT_SIZE];
    int64_t ms = limit_of(&properties[MS]), bytes = limit_of(&properties[BYTES]);
    if (deletes && ms >= 0 && ms < needed_us / ESP_MS)
        printf("%-14s warning: retention.ms keeps %s, and %s is needed; raise it to %" PRId64
               " or more\n",
               "", esp_span_format(ms * ESP_MS, kept), needed, needed_us / ESP_MS);
    if (deletes && bytes >= 0)
        printf(
            "%-14s warning: retention.bytes keeps %" PRId64
            " bytes a partition, whatever their age, and %s is needed; set it to -1, or see that "
            "they last\n",
            "", bytes, needed);
    if (strstr(properties[POLICY].value, "compact") != NULL)
        printf(
            "%-14s warning: cleanup.policy = %s removes all but the last record of a key; set it "
            "to delete\n",
            "", properties[POLICY].value);
}

enum esp_status retention_check(const struct config *config, struct esp_log *log,
                                enum esp_event_kind kind, struct esp_error *err)
{
    struct esp_topic_property properties[N_PROPERTIES] = {
        [POLICY] = {.name = "cleanup.policy"},
        [MS] = {.name = "retention.ms"},
        [BYTES] = {.name = "retention.bytes"},
    };
    struct esp_error why = {0};
    char needed[ESP_TIME_TEXT_SIZE];
    if (config->options.files_root != NULL)
        return ESP_OK;
    enum esp_status status = esp_log_topic_properties(log, config->options.inputs[kind].topic,
                                                      properties, N_PROPERTIES, &why);
    if (status == ESP_ECONFIG) {
        printf("%-14s how long it keeps its records is not told: %s\n", "", why.text);
        return ESP_OK;
    }
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", why.text);
    int64_t needed_us = retention_needed_us(config);
    bool deletes = strstr(properties[POLICY].value, "delete") != NULL;
    esp_span_format(needed_us, needed);
    print_kept(properties, deletes, needed);
    print_warnings(properties, deletes, needed_us, needed);
    return ESP_OK;
}
