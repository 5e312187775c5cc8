/* feature_values.h - values as the decoder would give them. */
#ifndef ESP_TESTS_FEATURE_FEATURE_VALUES_H
#define ESP_TESTS_FEATURE_FEATURE_VALUES_H

#include "event/event.h"

static inline struct esp_value missing_value(void)
{
    return (struct esp_value){.type = ESP_VALUE_MISSING};
}

static inline struct esp_value bool_value(bool b)
{
    return (struct esp_value){.type = ESP_VALUE_BOOL, .u.i = b};
}

static inline struct esp_value int_value(int64_t i)
{
    return (struct esp_value){.type = ESP_VALUE_INT, .u.i = i};
}

static inline struct esp_value real_value(double f)
{
    return (struct esp_value){.type = ESP_VALUE_REAL, .u.f = f};
}

static inline struct esp_value text_value(const char *text)
{
    return (struct esp_value){.type = ESP_VALUE_TEXT, .u.bytes = esp_bytes_of(text)};
}

static inline struct esp_value bytes_value(struct esp_bytes bytes)
{
    return (struct esp_value){.type = ESP_VALUE_BYTES, .u.bytes = bytes};
}

static inline struct esp_value array_value(const struct esp_value *items, uint32_t n)
{
    return (struct esp_value){.type = ESP_VALUE_ARRAY, .n_items = n, .u.items = items};
}

#endif
