/* public_keys.c - the version and the feature keys as include/espalier/espalier.h shows them. */
#include "espalier/espalier.h"

#include "core/version.h"
#include "feature/keys.h"

const char *espalier_version(void)
{
    return ESP_VERSION;
}

static uint64_t key_of_nothing(const char *name, enum esp_key_tag tag)
{
    return esp_key_of_bytes(esp_bytes_of(name), tag, esp_bytes(NULL, 0));
}

uint64_t espalier_feature_key_text(const char *name, const void *text, size_t size)
{
    return esp_key_of_bytes(esp_bytes_of(name), ESP_KEY_TEXT, esp_bytes(text, size));
}

uint64_t espalier_feature_key_bytes(const char *name, const void *bytes, size_t size)
{
    return esp_key_of_bytes(esp_bytes_of(name), ESP_KEY_BYTES, esp_bytes(bytes, size));
}

uint64_t espalier_feature_key_int(const char *name, int64_t value)
{
    return esp_key_of_u64(esp_bytes_of(name), ESP_KEY_INT, (uint64_t)value);
}

uint64_t espalier_feature_key_real(const char *name, double value)
{
    return esp_key_of_real(esp_bytes_of(name), value);
}

uint64_t espalier_feature_key_bool(const char *name, int value)
{
    return esp_key_of_bool(esp_bytes_of(name), value != 0);
}

uint64_t espalier_feature_key_missing(const char *name)
{
    return key_of_nothing(name, ESP_KEY_MISSING);
}

uint64_t espalier_feature_key_bucket(const char *name, uint64_t bucket)
{
    return esp_key_of_u64(esp_bytes_of(name), ESP_KEY_BUCKET, bucket);
}

uint64_t espalier_feature_key_value(const char *name)
{
    return key_of_nothing(name, ESP_KEY_VALUE);
}

uint64_t espalier_feature_key_cross(const char *name, uint64_t key_a, uint64_t key_b)
{
    return esp_key_of_cross(esp_bytes_of(name), key_a, key_b);
}

uint64_t espalier_feature_key_default(const char *name)
{
    return key_of_nothing(name, ESP_KEY_DEFAULT);
}
