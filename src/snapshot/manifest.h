/*
 * manifest.h - what a snapshot says of itself: one JSON text, espalier.manifest in the file's
 * metadata. Its members are described in docs/snapshots.md.
 *
 * Nothing in it depends on the wall clock or on how partitions interleave.
 */
#ifndef ESP_SNAPSHOT_MANIFEST_H
#define ESP_SNAPSHOT_MANIFEST_H

#include <jansson.h>

#include "feature/features.h"
#include "metric/metric.h"
#include "model/network.h"

#define ESP_MANIFEST_KEY "espalier.manifest"

enum {
    ESP_MANIFEST_VERSION = 1,
    ESP_RUN_SIZE = 17,   /* 16 hex digits and a NUL */
    ESP_MODEL_SIZE = 64, /* a model's name and a NUL */
};

struct esp_manifest {
    char run[ESP_RUN_SIZE]; /* hash of all that changes what is learned */
    char model[ESP_MODEL_SIZE];
    int64_t number; /* boundary / every */
    int64_t boundary_us, every_us;
    bool has_installs;
    enum esp_setup_id setup; /* as configured: see esp_setup_without_installs() */
    size_t width;
    size_t layers[ESP_MAX_LAYERS], n_layers;
    size_t head_layers[ESP_MAX_LAYERS], n_head_layers;
    uint64_t n_learned, n_steps;
    uint64_t checksum; /* XXH3 of the data section */

    /* Borrowed by a writer; after reading they live as long as the manifest. */
    const char *const *fields; /* (n_fields) paths of the Avro fields that features read */
    size_t n_fields;
    const struct esp_feature_config *features; /* (n_features); value indexes fields */
    size_t n_features;
    const uint64_t *schemas; /* (n_schemas) CRC-64-AVRO of impressions' schemas, ascending */
    size_t n_schemas;

    /* Written only. */
    const struct esp_features *statistics; /* of the list */
    bool has_task[ESP_N_TASKS];
    const struct esp_task_report *progress; /* (ESP_N_TASKS) since the start; NULL: left out */

    /* Of one that was read: what the pointers above point into. */
    json_t *root;
};

/* Up to ESP_MODEL_SIZE - 1 letters, digits, '.', '_' and '-', of which no '.' is first: it becomes
 * part of file names and keys. NULL is none. */
bool esp_is_model_name(const char *name);

/* The text, to be free()d; its length depends on everything but the checksum. Errors: ESP_ENOMEM,
 * ESP_EINVAL (a name that is no UTF-8). */
enum esp_status esp_manifest_write(const struct esp_manifest *manifest, char **out,
                                   struct esp_error *err);

/* Reads a text and checks each member's type and range. Errors: ESP_EDATA, ESP_ENOMEM. */
enum esp_status esp_manifest_read(const char *text, struct esp_manifest *out,
                                  struct esp_error *err);

/* Of one that was read; { 0 } is fine. */
void esp_manifest_release(struct esp_manifest *manifest);

/* The network that it describes. Errors: ESP_EDATA. */
enum esp_status esp_manifest_network(const struct esp_manifest *manifest, struct esp_network *out,
                                     struct esp_error *err);

#endif
