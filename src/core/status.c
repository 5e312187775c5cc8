/* status.c - the table behind status.h. */
#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>

struct status_row {
    const char *name, *text;
    enum esp_action action;
    int exit_code;
};

static const struct status_row rows[ESP_STATUS_COUNT] = {
    [ESP_OK] = {"OK", "no error", ESP_ACTION_NONE, 0},
#define STATUS_ROW(id, what, code, words) [ESP_##id] = {#id, words, ESP_ACTION_##what, code},
    ESP_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

static const struct status_row *row_of(enum esp_status status)
{
    return &rows[(unsigned)status < ESP_STATUS_COUNT ? status : ESP_EBUG];
}

const char *esp_status_name(enum esp_status status)
{
    return row_of(status)->name;
}

const char *esp_status_text(enum esp_status status)
{
    return row_of(status)->text;
}

enum esp_action esp_status_action(enum esp_status status)
{
    return row_of(status)->action;
}

int esp_status_exit_code(enum esp_status status)
{
    return row_of(status)->exit_code;
}

enum esp_status esp_fail(struct esp_error *err, enum esp_status status, const char *format, ...)
{
    if (err == NULL || err->status != ESP_OK)
        return status;
    err->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    for (char *c = err->text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    return status;
}
