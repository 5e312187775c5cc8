/*
 * score.c - scores rows of text with a snapshot: an example of libespalier.
 *
 *     cc -std=c11 score.c -o score $(pkg-config --cflags --libs espalier)
 *     echo 'geo.country=DE advertiser_id=42 segments=[3,17]' | ./score main.safetensors
 *
 * A row is a line of FIELD=VALUE, parted by spaces. 42 is an int, 0.5 a real, true and false are
 * booleans, null is missing, [3,17] is an array, all else is text; text that looks like one of the
 * others stands in quotes: "42". Types matter: give each field the type that it has in the
 * impressions. A field that a row does not name is missing.
 *
 * Prints, a line a row: P(click) P(install | click) P(install); nan where the model has none.
 */
#define _POSIX_C_SOURCE 200809L /* strtok_r() */

#include <errno.h>
#include <espalier/espalier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 65536, MAX_ITEMS = 1024 };

/* What the values of one row point into. */
struct row_memory {
    char line[MAX_LINE];
    struct espalier_value items[MAX_ITEMS];
    size_t n_items;
};

static struct espalier_value text_value(const char *text, size_t size)
{
    struct espalier_value value = {.type = ESPALIER_TEXT};
    value.u.bytes.data = (const uint8_t *)text;
    value.u.bytes.size = size;
    return value;
}

/* A value that is no array; size bytes, followed by something that ends a number. */
static struct espalier_value scalar(const char *text, size_t size)
{
    struct espalier_value value = {.type = ESPALIER_MISSING};
    char *end = NULL;
    if (size >= 2 && text[0] == '"' && text[size - 1] == '"')
        return text_value(text + 1, size - 2);
    if (size == 4 && memcmp(text, "null", 4) == 0)
        return value;
    if ((size == 4 && memcmp(text, "true", 4) == 0) ||
        (size == 5 && memcmp(text, "false", 5) == 0)) {
        value.type = ESPALIER_BOOL;
        value.u.i = size == 4;
        return value;
    }
    if (size == 0 || strchr("+-.0123456789", text[0]) == NULL)
        return text_value(text, size);
    errno = 0;
    value.u.i = strtoll(text, &end, 10);
    value.type = ESPALIER_INT;
    if (end == text + size && errno == 0)
        return value;
    value.u.f = strtod(text, &end);
    value.type = ESPALIER_REAL;
    return end == text + size ? value : text_value(text, size);
}

/* [a,b,...] becomes items; anything else is a scalar. */
static struct espalier_value parse_value(struct row_memory *memory, const char *text)
{
    size_t size = strlen(text);
    if (size < 2 || text[0] != '[' || text[size - 1] != ']')
        return scalar(text, size);
    struct espalier_value array = {.type = ESPALIER_ARRAY};
    array.u.items = &memory->items[memory->n_items];
    for (const char *item = text + 1; item < text + size - 1;) {
        size_t n = strcspn(item, ",]");
        if (memory->n_items == MAX_ITEMS)
            break;
        memory->items[memory->n_items++] = scalar(item, n);
        array.n_items++;
        item += n + 1;
    }
    return array;
}

static size_t field_index(const struct espalier_description *model, const char *name)
{
    size_t i = 0;
    while (i < model->n_fields && strcmp(model->fields[i], name) != 0)
        i++;
    return i;
}

/* Fills the row's values in the order of the model's fields. Returns 0, or -1 after a message. */
static int parse_row(const struct espalier_description *model, struct row_memory *memory,
                     struct espalier_value *values)
{
    memory->n_items = 0;
    for (size_t i = 0; i < model->n_fields; i++)
        values[i] = (struct espalier_value){.type = ESPALIER_MISSING};
    char *rest = NULL;
    for (char *word = strtok_r(memory->line, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        char *equals = strchr(word, '=');
        if (equals == NULL) {
            fprintf(stderr, "\"%s\" is no FIELD=VALUE\n", word);
            return -1;
        }
        *equals = '\0';
        size_t field = field_index(model, word);
        if (field == model->n_fields)
            continue; /* the model does not read it */
        values[field] = parse_value(memory, equals + 1);
    }
    return 0;
}

/* One row at a time, for the sake of brevity: calls of a hundred rows and more are faster. */
static int score_lines(const struct espalier_description *model, struct espalier_scorer *scorer)
{
    struct row_memory *memory = malloc(sizeof *memory);
    struct espalier_value *values = calloc(model->n_fields, sizeof *values);
    struct espalier_error error;
    int failed = memory == NULL || values == NULL;
    while (!failed && fgets(memory->line, sizeof memory->line, stdin) != NULL) {
        struct espalier_score score;
        failed = strchr(memory->line, '\n') == NULL && !feof(stdin);
        if (failed)
            fprintf(stderr, "a line is longer than %d bytes\n", MAX_LINE - 2);
        failed = failed || parse_row(model, memory, values) != 0;
        if (failed)
            break;
        if (espalier_scorer_score(scorer, values, 1, &score, &error) != ESPALIER_OK) {
            fprintf(stderr, "%s\n", error.text);
            failed = 1;
            break;
        }
        printf("%.9g %.9g %.9g\n", score.p_click, score.p_install_given_click, score.p_install);
    }
    free(values);
    free(memory);
    return failed;
}

int main(int argc, char **argv)
{
    struct espalier_snapshot *snapshot = NULL;
    struct espalier_scorer *scorer = NULL;
    struct espalier_description model = {.size = sizeof model};
    struct espalier_error error;
    if (argc != 2) {
        fprintf(stderr, "usage: score SNAPSHOT.safetensors <rows\n");
        return 64;
    }
    if (espalier_snapshot_open(argv[1], ESPALIER_VERIFY, &snapshot, &error) != ESPALIER_OK ||
        espalier_snapshot_describe(snapshot, &model, &error) != ESPALIER_OK ||
        espalier_scorer_new(snapshot, &scorer, &error) != ESPALIER_OK) {
        fprintf(stderr, "%s\n", error.text);
        espalier_snapshot_close(snapshot);
        return 65;
    }
    fprintf(stderr, "model %s (%s), run %s, snapshot %lld, %zu fields\n", model.model, model.setup,
            model.run, (long long)model.number, model.n_fields);
    int failed = score_lines(&model, scorer);
    espalier_scorer_free(scorer);
    espalier_snapshot_close(snapshot);
    return failed;
}
