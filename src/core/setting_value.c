/* setting_value.c - see setting_value.h. */
#include "core/setting_value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/decimal.h"
#include "core/timespan.h"

/* From the largest, so that the first that divides a number is the one to print it with. */
static const struct {
    const char *name;
    uint64_t bytes;
    bool printed;
} size_units[] = {
    {"TiB", UINT64_C(1) << 40, true},
    {"GiB", UINT64_C(1) << 30, true},
    {"MiB", UINT64_C(1) << 20, true},
    {"KiB", UINT64_C(1) << 10, true},
    {"TB", UINT64_C(1000000000000), false},
    {"GB", UINT64_C(1000000000), false},
    {"MB", UINT64_C(1000000), false},
    {"KB", UINT64_C(1000), false},
    {"kB", UINT64_C(1000), false},
    {"B", 1, false},
    {"", 1, true},
};

enum { N_SIZE_UNITS = sizeof size_units / sizeof size_units[0] };

const char *esp_setting_type_word(enum esp_setting_type type)
{
    static const char *const words[] = {
        [ESP_SETTING_TEXT] = "text",      [ESP_SETTING_LIST] = "list, separated by commas",
        [ESP_SETTING_BOOL] = "on or off", [ESP_SETTING_INT] = "whole number",
        [ESP_SETTING_REAL] = "number",    [ESP_SETTING_SPAN] = "span",
        [ESP_SETTING_TIME] = "time",      [ESP_SETTING_SIZE] = "size in bytes",
        [ESP_SETTING_CHOICE] = "choice",
    };
    return words[type];
}

/* Writes one bound of a range, in the units of its type. */
static void format_bound(enum esp_setting_type type, double bound, char *text, size_t size)
{
    char span[ESP_TIME_TEXT_SIZE];
    if (type == ESP_SETTING_SPAN) {
        snprintf(text, size, "%s", esp_span_format((int64_t)bound, span));
    } else if (type == ESP_SETTING_SIZE) {
        uint64_t bytes = (uint64_t)bound;
        size_t i = 0;
        while (!size_units[i].printed || bytes == 0 || bytes % size_units[i].bytes != 0) {
            if (size_units[i].bytes == 1 && size_units[i].printed)
                break;
            i++;
        }
        snprintf(text, size, "%" PRIu64 "%s", bytes / size_units[i].bytes, size_units[i].name);
    } else if (type == ESP_SETTING_INT) {
        snprintf(text, size, "%.0f", bound);
    } else {
        snprintf(text, size, "%.12g", bound);
    }
}

/* True if a bound stands for "none": beyond what the type can hold. */
static bool is_open(const struct esp_setting *row, double bound)
{
    if (row->type == ESP_SETTING_REAL)
        return isinf(bound);
    return bound >= 0x1p63 || bound <= -0x1p63;
}

static bool has_range(const struct esp_setting *row)
{
    bool ranged = row->type == ESP_SETTING_INT || row->type == ESP_SETTING_REAL ||
                  row->type == ESP_SETTING_SPAN || row->type == ESP_SETTING_SIZE;
    return ranged && row->low < row->high;
}

const char *esp_setting_range(const struct esp_setting *row, char text[ESP_SETTING_WORD_SIZE])
{
    char low[64], high[64];
    text[0] = '\0';
    if (!has_range(row))
        return text;
    bool no_low = is_open(row, row->low), no_high = is_open(row, row->high);
    if (!no_low)
        format_bound(row->type, row->low, low, sizeof low);
    if (!no_high)
        format_bound(row->type, row->high, high, sizeof high);
    if (!no_low && !no_high)
        snprintf(text, ESP_SETTING_WORD_SIZE, "from %s to %s", low, high);
    else if (!no_low)
        snprintf(text, ESP_SETTING_WORD_SIZE, "at least %s", low);
    else if (!no_high)
        snprintf(text, ESP_SETTING_WORD_SIZE, "at most %s", high);
    return text;
}

const char *esp_setting_choices(const struct esp_setting *row, const char *quote,
                                char text[ESP_SETTING_WORD_SIZE])
{
    int n = 0;
    text[0] = '\0';
    for (const char *word = row->choices, *next; word != NULL; word = next) {
        const char *bar = strchr(word, '|');
        int length = (int)(bar == NULL ? strlen(word) : (size_t)(bar - word));
        next = bar == NULL ? NULL : bar + 1;
        const char *joint = n == 0 ? "" : next == NULL ? " or " : ", ";
        int added = snprintf(text + n, (size_t)(ESP_SETTING_WORD_SIZE - n), "%s%s%.*s%s", joint,
                             quote, length, word, quote);
        if (added < 0 || added >= ESP_SETTING_WORD_SIZE - n)
            break; /* longer than any table's choices: cut */
        n += added;
    }
    return text;
}

/* ESP_ECONFIG with the range as the mend, unless value is inside. */
static enum esp_status check_range(const struct esp_setting *row, double value,
                                   struct esp_error *problem)
{
    char range[ESP_SETTING_WORD_SIZE];
    if (!has_range(row) || (value >= row->low && value <= row->high))
        return ESP_OK;
    return esp_fail(problem, ESP_ECONFIG, "out of range; write a %s %s",
                    esp_setting_type_word(row->type), esp_setting_range(row, range));
}

static enum esp_status store_list(const char *text, struct esp_setting_list *field,
                                  struct esp_settings_arena *arena, struct esp_error *problem)
{
    size_t size = strlen(text) + 1, n = 1;
    for (const char *c = text; *c != '\0'; c++)
        n += *c == ',';
    if (text[strspn(text, " \t")] == '\0') {
        *field = (struct esp_setting_list){NULL, 0};
        return ESP_OK;
    }
    const char **items = esp_settings_arena_take(arena, n * sizeof *items);
    char *copy = esp_settings_arena_take(arena, size);
    if (items == NULL || copy == NULL)
        return ESP_ENOMEM;
    memcpy(copy, text, size);
    char *item = copy;
    for (size_t i = 0; i < n; i++) {
        char *end = item + strcspn(item, ","), *next = end + 1;
        while (end > item && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *end = '\0';
        item += strspn(item, " \t");
        if (*item == '\0')
            return esp_fail(problem, ESP_ECONFIG,
                            "item %zu of the list is empty; take the comma away", i + 1);
        items[i] = item;
        item = next;
    }
    *field = (struct esp_setting_list){items, n};
    return ESP_OK;
}

static enum esp_status store_text(const char *text, const char **field,
                                  struct esp_settings_arena *arena)
{
    size_t size = strlen(text) + 1;
    char *copy = esp_settings_arena_take(arena, size);
    if (copy == NULL)
        return ESP_ENOMEM;
    *field = memcpy(copy, text, size);
    return ESP_OK;
}

static enum esp_status store_bool(const char *text, bool *field, struct esp_error *problem)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *field = i % 2 == 1;
            return ESP_OK;
        }
    }
    return esp_fail(problem, ESP_ECONFIG, "not a switch; write on or off");
}

static enum esp_status store_int(const struct esp_setting *row, const char *text, int64_t *field,
                                 struct esp_error *problem)
{
    char *end;
    size_t sign = *text == '-' || *text == '+';
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[sign] < '0' || text[sign] > '9' || *end != '\0')
        return esp_fail(problem, ESP_ECONFIG, "not a whole number; write digits only");
    if (errno == ERANGE)
        value = value < 0 ? INT64_MIN : INT64_MAX;
    enum esp_status status = check_range(row, (double)value, problem);
    if (status == ESP_OK && errno == ERANGE)
        status = esp_fail(problem, ESP_ECONFIG, "too large for 64 bits; write fewer digits");
    if (status == ESP_OK)
        *field = value;
    return status;
}

static enum esp_status store_real(const struct esp_setting *row, const char *text, double *field,
                                  struct esp_error *problem)
{
    char *end;
    double value = strtod(text, &end);
    /* strtod() also takes blanks, hexadecimal numbers, infinities and NaNs */
    if (*text == '\0' || text[strspn(text, "+-.0123456789eE")] != '\0' || *end != '\0' ||
        !isfinite(value))
        return esp_fail(problem, ESP_ECONFIG, "not a number; write it like 0.05 or 1e-3");
    enum esp_status status = check_range(row, value, problem);
    if (status == ESP_OK)
        *field = value;
    return status;
}

static enum esp_status store_span(const struct esp_setting *row, const char *text, int64_t *field,
                                  struct esp_error *problem)
{
    int64_t value = 0;
    enum esp_status status = esp_span_parse(text, &value, problem);
    if (status == ESP_OK)
        status = check_range(row, (double)value, problem);
    if (status == ESP_OK)
        *field = value;
    return status;
}

static enum esp_status store_size(const struct esp_setting *row, const char *text, uint64_t *field,
                                  struct esp_error *problem)
{
    struct esp_decimal decimal;
    size_t n = esp_decimal_scan(text, &decimal), i = 0;
    if (n > 0)
        n += strspn(text + n, " ");
    while (n > 0 && i < N_SIZE_UNITS && strcmp(text + n, size_units[i].name) != 0)
        i++;
    if (n == 0 || i == N_SIZE_UNITS)
        return esp_fail(problem, ESP_ECONFIG,
                        "not a size; write bytes with a unit, such as 512KiB, 64MiB or 2GiB");
    uint64_t value;
    if (!esp_decimal_times(decimal, size_units[i].bytes, INT64_MAX, &value))
        return esp_fail(problem, ESP_ECONFIG,
                        "not a whole number of bytes below 2^63; write a smaller unit");
    enum esp_status status = check_range(row, (double)value, problem);
    if (status == ESP_OK)
        *field = value;
    return status;
}

static enum esp_status store_choice(const struct esp_setting *row, const char *text, int *field,
                                    struct esp_error *problem)
{
    char words[ESP_SETTING_WORD_SIZE];
    size_t size = strlen(text);
    int index = 0;
    for (const char *word = row->choices; word != NULL; index++) {
        const char *bar = strchr(word, '|');
        size_t length = bar == NULL ? strlen(word) : (size_t)(bar - word);
        if (length == size && memcmp(word, text, size) == 0) {
            *field = index;
            return ESP_OK;
        }
        word = bar == NULL ? NULL : bar + 1;
    }
    return esp_fail(problem, ESP_ECONFIG, "not a choice; write %s",
                    esp_setting_choices(row, "", words));
}

enum esp_status esp_setting_store(const struct esp_setting *row, const char *text, void *target,
                                  struct esp_settings_arena *arena, struct esp_error *problem)
{
    void *field = (char *)target + row->offset;
    switch (row->type) {
    case ESP_SETTING_TEXT:
        return store_text(text, field, arena);
    case ESP_SETTING_LIST:
        return store_list(text, field, arena, problem);
    case ESP_SETTING_BOOL:
        return store_bool(text, field, problem);
    case ESP_SETTING_INT:
        return store_int(row, text, field, problem);
    case ESP_SETTING_REAL:
        return store_real(row, text, field, problem);
    case ESP_SETTING_SPAN:
        return store_span(row, text, field, problem);
    case ESP_SETTING_TIME:
        return esp_time_parse(text, field, problem);
    case ESP_SETTING_SIZE:
        return store_size(row, text, field, problem);
    case ESP_SETTING_CHOICE:
        return store_choice(row, text, field, problem);
    }
    return esp_fail(problem, ESP_EBUG, "a setting of an unknown type");
}
