/* where.c - see where.h. */
#include "where.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

struct load_condition {
    size_t alternative;
    size_t column;
    char *value; /* owned */
    bool negated;
};

/* One condition, COLUMN=VALUE or COLUMN!=VALUE. */
static enum esp_status add_condition(struct load_where *where, const char *text, size_t size,
                                     struct load_columns *columns, struct esp_error *err)
{
    const char *equals = memchr(text, '=', size);
    if (equals == NULL || equals == text || (equals == text + 1 && *text == '!'))
        return esp_fail(err, ESP_ECONFIG, "--where %.*s: give COLUMN=VALUE or COLUMN!=VALUE",
                        (int)size, text);
    struct load_condition condition = {
        .alternative = where->n_alternatives,
        .negated = equals[-1] == '!',
        .value = strndup(equals + 1, size - (size_t)(equals + 1 - text)),
    };
    if (condition.value == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for --where");
    size_t n_name = (size_t)(equals - text) - condition.negated;
    enum esp_status status = load_columns_add(columns, text, n_name, &condition.column, err);
    if (status == ESP_OK)
        status = esp_array_grow((void **)&where->conditions, &where->capacity, where->n + 1,
                                sizeof *where->conditions, err);
    if (status == ESP_OK)
        where->conditions[where->n++] = condition;
    else
        free(condition.value);
    return status;
}

enum esp_status load_where_add(struct load_where *where, const char *text,
                               struct load_columns *columns, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (;;) {
        size_t size = strcspn(text, ",");
        status = add_condition(where, text, size, columns, err);
        if (status != ESP_OK || text[size] == '\0')
            break;
        text += size + 1;
    }
    where->n_alternatives++;
    return status;
}

void load_where_release(struct load_where *where)
{
    for (size_t i = 0; i < where->n; i++)
        free(where->conditions[i].value);
    free(where->conditions);
    *where = (struct load_where){0};
}

bool load_where_takes(const struct load_where *where, const struct load_row *row)
{
    size_t i = 0;
    for (size_t alternative = 0; alternative < where->n_alternatives; alternative++) {
        bool all = true;
        for (; i < where->n && where->conditions[i].alternative == alternative; i++) {
            const struct load_condition *condition = &where->conditions[i];
            bool equal =
                esp_bytes_equal(row->values[condition->column], esp_bytes_of(condition->value));
            all = all && equal != condition->negated;
        }
        if (all)
            return true;
    }
    return where->n_alternatives == 0;
}
