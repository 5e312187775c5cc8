/*
 * outputs_back.c - outputs taken back to a checkpoint. See outputs.h.
 *
 * What a folder held before the first start of a run that goes on by checkpoints is nobody's to
 * take away; all behind it is this run's. So the ends at that start are kept (`bases`), and each
 * checkpoint adds where the writers that were opened since stand. A folder for examples of another
 * schema may appear at any time: one that has neither a base nor a writer was made after the
 * checkpoint. A topic that is written only since then (the configuration has changed) begins with
 * what it holds now.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/topics/outputs.h"

enum { FINGERPRINT_DIGITS = 16 };

static bool is_files(const struct outputs *outputs)
{
    return outputs->config->options.files_root != NULL;
}

static size_t n_partitions(const struct outputs *outputs)
{
    return (size_t)outputs->config->options.output_partitions;
}

/* ---- topics ---------------------------------------------------------------------------------- */

typedef enum esp_status per_topic(struct outputs *outputs, const char *topic,
                                  struct esp_error *err);

/* EXAMPLES-FINGERPRINT, as outputs.c names them. */
static bool is_example_topic(const struct outputs *outputs, const char *name)
{
    const char *topic = outputs->config->options.examples_topic;
    size_t n = strlen(topic);
    return strncmp(name, topic, n) == 0 && name[n] == '-' &&
           strspn(name + n + 1, "0123456789abcdef") == FINGERPRINT_DIGITS &&
           name[n + 1 + FINGERPRINT_DIGITS] == '\0';
}

/* The folders of examples of other schemas that are there. */
static enum esp_status for_example_topics(struct outputs *outputs, per_topic *call,
                                          struct esp_error *err)
{
    const char *root = outputs->config->options.files_root;
    DIR *dir = opendir(root);
    if (dir == NULL)
        return esp_fail(err, ESP_EIO, "%s: cannot be listed: %s", root, strerror(errno));
    enum esp_status status = ESP_OK;
    for (struct dirent *entry; status == ESP_OK && (entry = readdir(dir)) != NULL;) {
        if (is_example_topic(outputs, entry->d_name))
            status = call(outputs, entry->d_name, err);
    }
    closedir(dir);
    return status;
}

static enum esp_status for_all_topics(struct outputs *outputs, per_topic *call,
                                      struct esp_error *err)
{
    const struct options *options = &outputs->config->options;
    const struct {
        unsigned which;
        const char *name;
    } topics[] = {{OUTPUT_LATE, options->late_topic},
                  {OUTPUT_DEAD, outputs->dead_topic},
                  {OUTPUT_EXAMPLES, options->examples_topic},
                  {OUTPUT_DRIFT, options->drift_topic}};
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0] && status == ESP_OK; i++) {
        if (outputs->topics & topics[i].which)
            status = call(outputs, topics[i].name, err);
    }
    if (status == ESP_OK && (outputs->topics & OUTPUT_EXAMPLES))
        status = for_example_topics(outputs, call, err);
    return status;
}

/* Whether it is one of those that are written. */
static bool is_wanted(const struct outputs *outputs, const char *topic)
{
    const struct options *options = &outputs->config->options;
    unsigned which =
        strcmp(topic, options->late_topic) == 0    ? OUTPUT_LATE
        : strcmp(topic, outputs->dead_topic) == 0  ? OUTPUT_DEAD
        : strcmp(topic, options->drift_topic) == 0 ? OUTPUT_DRIFT
        : strcmp(topic, options->examples_topic) == 0 || is_example_topic(outputs, topic)
            ? OUTPUT_EXAMPLES
            : 0;
    return (outputs->topics & which) != 0;
}

/* ---- a first start --------------------------------------------------------------------------- */

static enum esp_status add_base(struct outputs *outputs, const char *topic, struct esp_error *err)
{
    struct topic_marks base = {0};
    enum esp_status status =
        topic_marks_find(&base, outputs->log, topic, n_partitions(outputs), err);
    if (status == ESP_OK)
        status = esp_array_grow((void **)&outputs->bases, &outputs->base_capacity,
                                outputs->n_bases + 1, sizeof *outputs->bases, err);
    if (status == ESP_OK)
        outputs->bases[outputs->n_bases++] = base;
    else
        topic_marks_release(&base);
    return status;
}

enum esp_status outputs_begin(struct outputs *outputs, struct esp_error *err)
{
    return is_files(outputs) ? for_all_topics(outputs, add_base, err) : ESP_OK;
}

/* ---- a checkpoint ---------------------------------------------------------------------------- */

static enum esp_status fence_writer(struct fences *fences, struct esp_log_writer *writer,
                                    struct esp_error *err)
{
    return writer == NULL ? ESP_OK : fences_add(fences, writer, err);
}

enum esp_status outputs_fence(const struct outputs *outputs, struct fences *fences,
                              struct esp_error *err)
{
    enum esp_status status = fence_writer(fences, outputs->late, err);
    if (status == ESP_OK)
        status = fence_writer(fences, outputs->dead, err);
    if (status == ESP_OK)
        status = fence_writer(fences, outputs->drift, err);
    for (size_t i = 0; i < outputs->n_examples && status == ESP_OK; i++) {
        if (i == 0 || is_files(outputs)) /* in Kafka all share the first one's */
            status = fence_writer(fences, outputs->examples[i].writer, err);
    }
    return status;
}

static void archive_writer(struct esp_archive *archive, struct outputs *outputs,
                           struct esp_log_writer **writer,
                           enum esp_status (*open)(struct outputs *outputs, struct esp_error *err))
{
    struct esp_error why = {0};
    bool is_open = *writer != NULL;
    esp_archive_bool(archive, &is_open);
    if (!is_open || !esp_archive_is_ok(archive))
        return;
    if (esp_archive_reads(archive) && open(outputs, &why) != ESP_OK)
        esp_archive_fail(archive, why.status, "%s", why.text);
    if (*writer != NULL)
        esp_log_writer_archive(archive, *writer);
}

/* Of each writer which schema of impressions it is for: the decoder knows them by number. */
static void archive_examples(struct esp_archive *archive, struct outputs *outputs)
{
    struct esp_error why = {0};
    size_t n = outputs->n_examples, n_writers = esp_decoder_n_writers(outputs->impressions);
    esp_archive_count(archive, &n, sizeof(uint16_t));
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        uint16_t index = 0;
        while (!esp_archive_reads(archive) && index < n_writers &&
               esp_decoder_writer(outputs->impressions, index) != outputs->examples[i].impressions)
            index++;
        esp_archive_u16(archive, &index);
        if (!esp_archive_check(archive, index < n_writers, "a schema of examples"))
            return;
        if (esp_archive_reads(archive) &&
            outputs_add_examples(outputs, esp_decoder_writer(outputs->impressions, index), &why) !=
                ESP_OK)
            esp_archive_fail(archive, why.status, "%s", why.text);
        if (i < outputs->n_examples)
            esp_log_writer_archive(archive, outputs->examples[i].writer);
    }
}

static void archive_bases(struct esp_archive *archive, struct outputs *outputs)
{
    struct esp_error why = {0};
    size_t n = outputs->n_bases;
    esp_archive_count(archive, &n, sizeof(int64_t));
    if (esp_archive_reads(archive) && n > 0 &&
        esp_array_grow((void **)&outputs->bases, &outputs->base_capacity, n, sizeof *outputs->bases,
                       &why) != ESP_OK)
        esp_archive_fail(archive, why.status, "%s", why.text);
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        if (esp_archive_reads(archive))
            outputs->bases[outputs->n_bases++] = (struct topic_marks){0};
        topic_marks_archive(archive, &outputs->bases[i], n_partitions(outputs));
    }
}

void outputs_archive(struct esp_archive *archive, struct outputs *outputs)
{
    esp_archive_mark(archive, "outputs", 1);
    esp_archive_same(archive, is_files(outputs), "whether outputs are files");
    if (!is_files(outputs))
        return;
    archive_bases(archive, outputs);
    archive_writer(archive, outputs, &outputs->late, outputs_open_late);
    archive_writer(archive, outputs, &outputs->dead, outputs_open_dead);
    archive_writer(archive, outputs, &outputs->drift, outputs_open_drift);
    archive_examples(archive, outputs);
}

/* ---- recovery -------------------------------------------------------------------------------- */

static const struct topic_marks *base_of(const struct outputs *outputs, const char *topic)
{
    for (size_t i = 0; i < outputs->n_bases; i++)
        if (strcmp(outputs->bases[i].topic, topic) == 0)
            return &outputs->bases[i];
    return NULL;
}

/* NULL: none was open. */
static const struct esp_log_writer *writer_of(const struct outputs *outputs, const char *topic)
{
    const struct options *options = &outputs->config->options;
    if (strcmp(topic, options->late_topic) == 0)
        return outputs->late;
    if (strcmp(topic, outputs->dead_topic) == 0)
        return outputs->dead;
    if (strcmp(topic, options->drift_topic) == 0)
        return outputs->drift;
    for (size_t i = 0; i < outputs->n_examples; i++) {
        char name[OUTPUT_TOPIC_SIZE];
        if (strcmp(topic, outputs_example_topic(outputs, i, name)) == 0)
            return outputs->examples[i].writer;
    }
    return NULL;
}

/* What was written at the checkpoint and is no longer: it stays as it is. */
static void drop_unwanted(struct outputs *outputs)
{
    if (!(outputs->topics & OUTPUT_DRIFT)) {
        esp_log_writer_free(outputs->drift);
        outputs->drift = NULL;
    }
    if (!(outputs->topics & OUTPUT_EXAMPLES)) {
        for (size_t i = 0; i < outputs->n_examples; i++)
            esp_log_writer_free(outputs->examples[i].writer);
        outputs->n_examples = 0;
    }
    size_t n = 0;
    for (size_t i = 0; i < outputs->n_bases; i++) {
        if (is_wanted(outputs, outputs->bases[i].topic))
            outputs->bases[n++] = outputs->bases[i];
        else
            topic_marks_release(&outputs->bases[i]);
    }
    outputs->n_bases = n;
}

static enum esp_status cut_topic(struct outputs *outputs, const char *topic, struct esp_error *err)
{
    struct topic_marks marks = {0};
    const struct topic_marks *base = base_of(outputs, topic);
    bool is_new = base == NULL && writer_of(outputs, topic) == NULL;
    bool is_extra = is_example_topic(outputs, topic) &&
                    base_of(outputs, outputs->config->options.examples_topic) != NULL;
    if (is_new && !is_extra)
        return add_base(outputs, topic, err);
    enum esp_status status = topic_marks_empty(&marks, topic, n_partitions(outputs), err);
    if (status == ESP_OK && base != NULL)
        memcpy(marks.marks, base->marks, base->n * sizeof *marks.marks);
    topic_marks_update(&marks, status == ESP_OK ? writer_of(outputs, topic) : NULL);
    if (status == ESP_OK)
        status = topic_marks_cut_back(&marks, outputs->log, err);
    topic_marks_release(&marks);
    return status;
}

enum esp_status outputs_cut_back(struct outputs *outputs, struct esp_error *err)
{
    if (!is_files(outputs))
        return ESP_OK;
    drop_unwanted(outputs);
    return for_all_topics(outputs, cut_topic, err);
}
