/*
 * score_positions.c - see score_positions.h.
 *
 *     FOLDER/score.TOPIC.OUTPUT.json
 *     {"version": 2, "topic": T, "output": O, "root": folder or null, "next": [offset or null,
 * ...], "last": ["16 hexadecimal digits" or null, ...], "places": [[file, ...] or null, ...],
 * "marks": {"OUTPUT": [[file, length, end], ...], ...}}
 *
 * "last" are Kafka's, the fingerprint of the record before the next one; "places" and "marks" are
 * of files, as in struct esp_log_place and struct esp_log_mark. Version 1 had none.
 */
#include "cmd/score/score_positions.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/run/json_file.h"

enum { POSITIONS_VERSION = 2, FINGERPRINT_DIGITS = 16 };

/* A file of another shape, or of other topics. */
static enum esp_status refuse(const struct score_positions *positions, const char *what,
                              struct esp_error *err)
{
    return esp_fail(err, ESP_EDATA,
                    "%s: %s; remove it to score from [score] from on, or name another [state] "
                    "folder",
                    positions->path, what);
}

static bool same_text(const json_t *value, const char *text)
{
    if (text == NULL)
        return json_is_null(value);
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* A mark's numbers; false: it is none. */
static bool take_mark(const json_t *numbers, struct esp_log_mark *mark)
{
    json_int_t length = 0, file = 0, end = 0;
    bool ok = json_unpack((json_t *)(uintptr_t)numbers, "[I,I,I!]", &file, &length, &end) == 0 &&
              file >= -1 && length >= 0 && end >= 0;
    *mark = (struct esp_log_mark){.file = file, .length = (uint64_t)length, .end = end};
    return ok;
}

static enum esp_status take_marks(struct score_positions *positions, const json_t *all,
                                  struct esp_error *err)
{
    size_t n_topics = 0;
    for (void *at = json_object_iter((json_t *)(uintptr_t)all); at != NULL;
         at = json_object_iter_next((json_t *)(uintptr_t)all, at)) {
        const json_t *list = json_object_iter_value(at);
        struct topic_marks *marks = &positions->marks[n_topics];
        if (n_topics++ == N_SCORE_MARKS || !json_is_array(list))
            return refuse(positions, "holds no marks that this version can read", err);
        enum esp_status status =
            topic_marks_empty(marks, json_object_iter_key(at), json_array_size(list), err);
        if (status != ESP_OK)
            return status;
        for (size_t p = 0; p < marks->n; p++) {
            if (!take_mark(json_array_get(list, p), &marks->marks[p]))
                return refuse(positions, "holds no marks that this version can read", err);
        }
    }
    return ESP_OK;
}

/* Those that are not there, or null, stay unknown. False: it is no list of places. */
static bool take_places(struct score_positions *positions, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && i < positions->n; i++) {
        json_t *item = json_array_get(list, i);
        struct esp_log_place *place = &positions->places[i];
        const char *file = "";
        json_int_t n_before = 0, at = 0, first = 0;
        if (json_is_null(item))
            continue;
        if (json_unpack(item, "[s,I,I,I!]", &file, &n_before, &at, &first) != 0 ||
            strlen(file) >= sizeof place->file || strchr(file, '/') != NULL || n_before < 0 ||
            n_before > UINT32_MAX || at < 0 || first < 0)
            return false;
        *place = (struct esp_log_place){
            .n_before = (uint32_t)n_before, .at = (uint64_t)at, .first = first};
        memcpy(place->file, file, strlen(file));
    }
    return true;
}

static bool take_fingerprints(struct score_positions *positions, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && i < positions->n; i++) {
        const json_t *item = json_array_get(list, i);
        const char *text = json_string_value(item);
        if (json_is_null(item))
            continue;
        if (text == NULL || strlen(text) != FINGERPRINT_DIGITS ||
            strspn(text, "0123456789abcdef") != FINGERPRINT_DIGITS)
            return false;
        positions->places[i].last = strtoull(text, NULL, 16);
    }
    return true;
}

static enum esp_status take(struct score_positions *positions, const json_t *root,
                            struct esp_error *err)
{
    const json_t *next = json_object_get(root, "next");
    json_int_t version = json_integer_value(json_object_get(root, "version"));
    if (version < 1 || version > POSITIONS_VERSION || !json_is_array(next))
        return refuse(positions, "holds no positions that this version can read", err);
    if (!same_text(json_object_get(root, "topic"), positions->topic) ||
        !same_text(json_object_get(root, "output"), positions->output) ||
        !same_text(json_object_get(root, "root"), positions->root))
        return refuse(positions, "holds the positions of other topics", err);
    if (json_array_size(next) > positions->n)
        return refuse(positions, "the topic had more partitions then, so it was made anew", err);
    for (size_t i = 0; i < json_array_size(next); i++) {
        const json_t *offset = json_array_get(next, i);
        bool begun = json_is_integer(offset) && json_integer_value(offset) >= 0;
        if (!begun && !json_is_null(offset))
            return refuse(positions, "holds no positions that this version can read", err);
        positions->next[i] = begun ? json_integer_value(offset) : -1;
    }
    if (!take_places(positions, json_object_get(root, "places")) ||
        !take_fingerprints(positions, json_object_get(root, "last")))
        return refuse(positions, "holds no places that this version can read", err);
    return take_marks(positions, json_object_get(root, "marks"), err);
}

/* score.TOPIC.OUTPUT.ENDING; a topic that is a path has its slashes replaced. NULL: out of memory.
 */
static char *name_of(const char *topic, const char *output, const char *ending)
{
    char *name = NULL;
    if (asprintf(&name, "score.%s.%s.%s", topic, output, ending) < 0)
        return NULL;
    for (char *at = name; *at != '\0'; at++)
        if (*at == '/')
            *at = '_';
    return name;
}

/* Two processes that score one topic to one output would overwrite each other's positions. */
static enum esp_status open_folder(struct score_positions *positions, const char *path,
                                   struct esp_error *err)
{
    char *lock = name_of(positions->topic, positions->output, "lock");
    char *name = name_of(positions->topic, positions->output, "json");
    enum esp_status status = lock == NULL || name == NULL
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for a path")
                                 : esp_state_folder_open(path, lock, &positions->folder, err);
    if (status == ESP_OK) {
        positions->path = esp_state_folder_path(positions->folder, name);
        if (positions->path == NULL)
            status = esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    }
    free(name);
    free(lock);
    return status;
}

enum esp_status score_positions_load(struct score_positions *positions, const struct config *config,
                                     size_t n, struct esp_error *err)
{
    const struct options *options = &config->options;
    *positions = (struct score_positions){
        .topic = options->inputs[ESP_IMPRESSION].topic,
        .output = options->score_topic,
        .root = options->files_root,
        .n = n,
    };
    positions->next = calloc(n, sizeof *positions->next);
    positions->places = calloc(n, sizeof *positions->places);
    if (positions->next == NULL || positions->places == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu positions", n);
    for (size_t i = 0; i < n; i++)
        positions->next[i] = -1;
    enum esp_status status = open_folder(positions, options->state_folder, err);
    if (status != ESP_OK)
        return status;
    if (access(positions->path, F_OK) != 0)
        return ESP_OK;
    positions->is_known = true;
    json_error_t why;
    json_t *root = json_load_file(positions->path, JSON_REJECT_DUPLICATES, &why);
    status = root == NULL ? refuse(positions, why.text, err) : take(positions, root, err);
    json_decref(root);
    return status;
}

enum esp_status score_positions_cut_back(struct score_positions *positions,
                                         const struct config *config, struct esp_log *log,
                                         const char *dead_topic, struct esp_error *err)
{
    const char *const topics[N_SCORE_MARKS] = {
        [SCORE_MARKS_SCORES] = positions->output, [SCORE_MARKS_DEAD] = dead_topic};
    if (positions->root == NULL)
        return ESP_OK;
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < N_SCORE_MARKS && status == ESP_OK; i++) {
        if (positions->marks[i].topic != NULL)
            status = topic_marks_cut_back(&positions->marks[i], log, err);
    }
    for (size_t i = 0; i < N_SCORE_MARKS && status == ESP_OK; i++) {
        topic_marks_release(&positions->marks[i]);
        status = topic_marks_find(&positions->marks[i], log, topics[i],
                                  (size_t)config->options.output_partitions, err);
    }
    return status;
}

enum esp_status score_positions_grow(struct score_positions *positions, size_t n,
                                     struct esp_error *err)
{
    int64_t *next = realloc(positions->next, n * sizeof *next);
    if (next == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu positions", n);
    positions->next = next;
    struct esp_log_place *places = realloc(positions->places, n * sizeof *places);
    if (places == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu positions", n);
    positions->places = places;
    for (; positions->n < n; positions->n++) {
        positions->next[positions->n] = -1;
        positions->places[positions->n] = esp_log_place_at(0);
    }
    positions->is_known = true;
    return ESP_OK;
}

void score_positions_note(struct score_positions *positions, size_t partition,
                          const struct esp_log_reader *reader)
{
    struct esp_log_place place;
    esp_log_reader_place(reader, &place);
    bool is_scored = place.offset == positions->next[partition]; /* else it was called off */
    if (positions->root == NULL)
        positions->places[partition].last = is_scored ? place.last : 0;
    else if (is_scored) /* from the place before it is as good */
        positions->places[partition] = place;
}

/* NULL: out of memory. */
static json_t *pack_places(const struct score_positions *positions)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < positions->n; i++) {
        const struct esp_log_place *place = &positions->places[i];
        ok = json_array_append_new(
                 list, place->file[0] == '\0'
                           ? json_null()
                           : json_pack("[s,I,I,I]", place->file, (json_int_t)place->n_before,
                                       (json_int_t)place->at, (json_int_t)place->first)) == 0;
    }
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

/* NULL: out of memory. */
static json_t *pack_fingerprints(const struct score_positions *positions)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < positions->n; i++) {
        char text[FINGERPRINT_DIGITS + 1];
        snprintf(text, sizeof text, "%016" PRIx64, positions->places[i].last);
        ok = json_array_append_new(list, positions->places[i].last == 0 ? json_null()
                                                                        : json_string(text)) == 0;
    }
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

/* NULL: out of memory. */
static json_t *pack_marks(const struct score_positions *positions)
{
    json_t *all = json_object();
    for (size_t i = 0; i < N_SCORE_MARKS && all != NULL; i++) {
        const struct topic_marks *marks = &positions->marks[i];
        json_t *list = json_array();
        bool ok = list != NULL;
        for (size_t p = 0; ok && p < marks->n; p++) {
            const struct esp_log_mark *mark = &marks->marks[p];
            ok = json_array_append_new(list, json_pack("[I,I,I]", (json_int_t)mark->file,
                                                       (json_int_t)mark->length,
                                                       (json_int_t)mark->end)) == 0;
        }
        if (!ok || marks->topic == NULL) {
            json_decref(list);
            if (ok)
                continue;
        } else if (json_object_set_new(all, marks->topic, list) == 0) {
            continue;
        }
        json_decref(all);
        all = NULL;
    }
    return all;
}

enum esp_status score_positions_save(const struct score_positions *positions, struct esp_error *err)
{
    json_t *next = json_array();
    bool ok = next != NULL;
    for (size_t i = 0; ok && i < positions->n; i++)
        ok = json_array_append_new(next, positions->next[i] < 0
                                             ? json_null()
                                             : json_integer(positions->next[i])) == 0;
    json_t *root =
        json_pack("{s:i, s:s, s:s, s:s?, s:o, s:o, s:o, s:o}", "version", POSITIONS_VERSION,
                  "topic", positions->topic, "output", positions->output, "root", positions->root,
                  "next", next, "last", pack_fingerprints(positions), "places",
                  pack_places(positions), "marks", pack_marks(positions));
    enum esp_status status = root == NULL || !ok
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for positions")
                                 : json_file_write(positions->path, root, NULL, err);
    json_decref(root);
    return status;
}

void score_positions_release(struct score_positions *positions)
{
    for (size_t i = 0; i < N_SCORE_MARKS; i++)
        topic_marks_release(&positions->marks[i]);
    esp_state_folder_close(positions->folder);
    free(positions->path);
    free(positions->next);
    free(positions->places);
    *positions = (struct score_positions){0};
}
