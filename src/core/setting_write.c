/* setting_write.c - a setting's value as text. See settings.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/settings.h"

static enum esp_status put_text(const char *text, struct esp_buf *out, struct esp_error *err)
{
    return text == NULL ? ESP_OK : esp_buf_append(out, text, strlen(text), err);
}

static enum esp_status put_list(const struct esp_setting_list *list, struct esp_buf *out,
                                struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < list->n_items; i++) {
        if (i > 0)
            status = put_text(", ", out, err);
        if (status == ESP_OK)
            status = put_text(list->items[i], out, err);
    }
    return status;
}

enum esp_status esp_setting_write(const struct esp_setting *row, const void *target,
                                  struct esp_buf *out, struct esp_error *err)
{
    const void *field = (const char *)target + row->offset;
    char text[64];
    switch (row->type) {
    case ESP_SETTING_TEXT:
        return put_text(*(const char *const *)field, out, err);
    case ESP_SETTING_LIST:
        return put_list(field, out, err);
    case ESP_SETTING_BOOL:
        return put_text(*(const bool *)field ? "on" : "off", out, err);
    case ESP_SETTING_INT:
    case ESP_SETTING_SPAN:
    case ESP_SETTING_TIME:
        snprintf(text, sizeof text, "%" PRId64, *(const int64_t *)field);
        break;
    case ESP_SETTING_SIZE:
        snprintf(text, sizeof text, "%" PRIu64, *(const uint64_t *)field);
        break;
    case ESP_SETTING_REAL:
        snprintf(text, sizeof text, "%.17g", *(const double *)field);
        break;
    case ESP_SETTING_CHOICE:
        snprintf(text, sizeof text, "%d", *(const int *)field);
        break;
    }
    return put_text(text, out, err);
}
