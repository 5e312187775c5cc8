/* train_state.c - see train_state.h. */
#include "cmd/train/train_state.h"

#include <stdio.h>

#include "cmd/train/train.h"

/* ---- the run's own --------------------------------------------------------------------------- */

static void inputs_section(struct esp_archive *archive, struct train *train)
{
    inputs_archive(archive, &train->inputs);
}

/* By their places in the decoders the join names schemas. */
static void schemas_section(struct esp_archive *archive, struct train *train)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct input *input = &train->inputs.kinds[kind];
        if (input->decoder == NULL)
            continue;
        esp_decoder_archive(archive, input->decoder);
        if (esp_archive_reads(archive))
            input->n_told = esp_decoder_n_writers(input->decoder); /* by the run before */
    }
}

static void ingest_section(struct esp_archive *archive, struct train *train)
{
    ingest_archive(archive, &train->ingest);
}

static void learning_section(struct esp_archive *archive, struct train *train)
{
    learning_archive(archive, &train->learning);
}

static void features_section(struct esp_archive *archive, struct train *train)
{
    esp_features_archive(archive, train->learning.features);
}

static void models_section(struct esp_archive *archive, struct train *train)
{
    for (size_t i = 0; i < train->config.n_models; i++)
        esp_learner_archive(archive, train->learning.learners[i]);
}

/* Of drift, by which files of snapshots are needed. */
static int64_t first_window(const struct train *train)
{
    const struct esp_drift *drift = train->learning.measuring.drift;
    return drift == NULL ? INT64_MAX : esp_drift_first_window(drift);
}

static void snapshots_section(struct esp_archive *archive, struct train *train)
{
    snapshots_archive(archive, &train->learning.snapshots, first_window(train));
}

static void measuring_section(struct esp_archive *archive, struct train *train)
{
    measuring_archive(archive, &train->learning.measuring);
}

static void crossings_section(struct esp_archive *archive, struct train *train)
{
    crossings_archive(archive, &train->run.crossings);
}

static void publishing_section(struct esp_archive *archive, struct train *train)
{
    publishing_archive(archive, &train->publishing);
}

static void outputs_section(struct esp_archive *archive, struct train *train)
{
    outputs_archive(archive, &train->ingest_outputs);
    outputs_archive(archive, &train->learning_outputs);
}

static void segments_section(struct esp_archive *archive, struct train *train)
{
    join_store_archive(archive, train->ingest.joiner);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* In the order in which they are read. */
struct section {
    const char *name;
    void (*archive)(struct esp_archive *archive, struct train *train);
};
static const struct section before_readers[] = {
    {"inputs", inputs_section},
    {"schemas", schemas_section},
};
static const struct section after_readers[] = {
    {"ingest", ingest_section},         {"features", features_section},
    {"models", models_section},         {"learning", learning_section},
    {"snapshots", snapshots_section},   {"measuring", measuring_section},
    {"outputs", outputs_section},       {"crossings", crossings_section},
    {"publishing", publishing_section}, {JOIN_STORE_SECTION, segments_section},
};
#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static enum esp_status write_sections(struct train *train, const struct section *sections, size_t n,
                                      struct esp_checkpoint_writer *writer, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < n; i++) {
        sections[i].archive(esp_checkpoint_section_begin(writer, sections[i].name), train);
        status = esp_checkpoint_section_end(writer, err);
    }
    return status;
}

enum esp_status train_state_write(void *context, struct esp_checkpoint_writer *writer,
                                  struct esp_error *err)
{
    struct train *train = context;
    enum esp_status status = esp_joiner_store_segments(train->ingest.joiner, err);
    if (status == ESP_OK)
        status = write_sections(train, before_readers, LENGTH(before_readers), writer, err);
    if (status == ESP_OK)
        status = write_sections(train, after_readers, LENGTH(after_readers), writer, err);
    return status;
}

static enum esp_status read_sections(struct train *train, const struct section *sections, size_t n,
                                     const struct esp_checkpoint *from, struct esp_error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct esp_bytes bytes;
        struct esp_archive archive;
        enum esp_status status = esp_checkpoint_section(from, sections[i].name, &bytes, err);
        if (status != ESP_OK)
            return status;
        esp_archive_read_from(&archive, bytes);
        sections[i].archive(&archive, train);
        status = esp_checkpoint_end(from, sections[i].name, &archive, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

enum esp_status train_state_read_inputs(struct train *train, const struct esp_checkpoint *from,
                                        struct esp_error *err)
{
    return read_sections(train, before_readers, LENGTH(before_readers), from, err);
}

enum esp_status train_state_read(struct train *train, const struct esp_checkpoint *from,
                                 struct esp_error *err)
{
    return read_sections(train, after_readers, LENGTH(after_readers), from, err);
}

/* ---- what the state names outside ------------------------------------------------------------ */

enum esp_status train_state_settle(struct train *train, struct esp_error *err)
{
    struct fences *fences = &train->checkpoint_fences;
    enum esp_status status = measuring_settle(&train->learning.measuring, err);
    fences_release(fences);
    if (status == ESP_OK)
        status = outputs_fence(&train->ingest_outputs, fences, err);
    if (status == ESP_OK)
        status = outputs_fence(&train->learning_outputs, fences, err);
    if (status != ESP_OK)
        return status;
    inputs_note(&train->inputs);
    esp_joiner_before_save(train->ingest.joiner);
    return ESP_OK;
}

enum esp_status train_state_settled(struct train *train, bool *out_done, struct esp_error *err)
{
    enum esp_status status = fences_settled(&train->checkpoint_fences, out_done, err);
    if (status == ESP_OK && *out_done)
        status = snapshots_sync(&train->learning.snapshots, err);
    return status;
}

int64_t train_state_first_window(const struct train *train)
{
    return first_window(train);
}
