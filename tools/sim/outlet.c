/* outlet.c - see outlet.h. */
#include "outlet.h"

#include <stdio.h>
#include <stdlib.h>

#include "event/encode.h"

enum { MAX_RECORD_BYTES = 4096, MAX_TOPIC_NAME = 256 };

static enum esp_status open_topic(struct sim_outlet *outlet, size_t topic, struct esp_error *err)
{
    char name[MAX_TOPIC_NAME];
    int length =
        snprintf(name, sizeof name, "%s%s", outlet->options->prefix, sim_topic_names[topic]);
    if (length < 0 || (size_t)length >= sizeof name)
        return esp_fail(err, ESP_ECONFIG, "--prefix is too long; at most 200 characters");
    const struct destination *destination = &outlet->options->destination;
    size_t n = 0;
    bool was_there;
    enum esp_status status = destination_topic(destination, outlet->log, name, &n, &was_there, err);
    if (status == ESP_OK && was_there && destination->root != NULL)
        status = esp_fail(err, ESP_ECONFIG,
                          "%s/%s has events already; name an empty folder, or remove that one",
                          destination->root, name);
    outlet->n_partitions[topic] = (uint32_t)n;
    if (status == ESP_OK)
        status = esp_schema_fingerprint(sim_schemas[topic], strlen(sim_schemas[topic]),
                                        &outlet->fingerprints[topic], err);
    if (status != ESP_OK)
        return status;
    struct esp_log_writer_config config = {
        .topic = name,
        .n_partitions = outlet->n_partitions[topic],
        .schema_json = sim_schemas[topic],
    };
    return esp_log_writer_new(outlet->log, &config, &outlet->writers[topic], err);
}

enum esp_status sim_outlet_open(struct sim_outlet *outlet, const struct sim_options *options,
                                struct esp_error *err)
{
    *outlet = (struct sim_outlet){.options = options};
    esp_buf_init(&outlet->record, MAX_RECORD_BYTES);
    enum esp_status status = destination_open(&options->destination, &outlet->log, err);
    for (size_t topic = 0; topic < SIM_N_TOPICS && status == ESP_OK; topic++)
        if (topic != SIM_TRUTH || !options->no_truth_topic)
            status = open_topic(outlet, topic, err);
    if (status != ESP_OK)
        sim_outlet_close(outlet);
    return status;
}

void sim_outlet_close(struct sim_outlet *outlet)
{
    for (size_t topic = 0; topic < SIM_N_TOPICS; topic++)
        esp_log_writer_free(outlet->writers[topic]);
    esp_log_free(outlet->log);
    esp_buf_release(&outlet->record);
    *outlet = (struct sim_outlet){0};
}

uint32_t sim_outlet_partition(const struct sim_outlet *outlet, const struct sim_journey *journey,
                              const struct sim_event *event)
{
    if (event->partition != ESP_PARTITION_BY_KEY)
        return (uint32_t)event->partition;
    char id[SIM_ID_DIGITS];
    sim_id_text(journey->id, id);
    return esp_log_partition_of(esp_bytes(id, sizeof id), outlet->n_partitions[event->kind]);
}

/* Empties the record and begins it with its framing. */
static enum esp_status begin_record(struct sim_outlet *outlet, size_t topic, struct esp_error *err)
{
    esp_buf_clear(&outlet->record);
    return destination_put_framing(&outlet->options->destination, &outlet->record,
                                   outlet->fingerprints[topic], topic, err);
}

static enum esp_status append(struct sim_outlet *outlet, size_t topic, uint64_t id,
                              uint32_t partition, int64_t log_time_us, struct esp_error *err)
{
    char key[SIM_ID_DIGITS];
    sim_id_text(id, key);
    outlet->n_records++;
    outlet->n_bytes += outlet->record.size;
    return esp_log_append(outlet->writers[topic], (int32_t)partition, esp_bytes(key, sizeof key),
                          esp_buf_bytes(&outlet->record), log_time_us, err);
}

enum esp_status sim_outlet_put(struct sim_outlet *outlet, const struct sim_journey *journey,
                               const struct sim_event *event, uint32_t partition,
                               struct esp_error *err)
{
    enum esp_status status = begin_record(outlet, event->kind, err);
    if (status == ESP_OK)
        status = sim_put_event(&outlet->record, journey, event, err);
    if (status != ESP_OK)
        return status;
    /* A container's records must delimit themselves, so only a broker gets one that is cut off. */
    if (event->damage == SIM_MALFORMED && outlet->options->destination.root == NULL &&
        journey->id % 2 == 0)
        outlet->record.size /= 2;
    return append(outlet, event->kind, journey->id, partition, event->due_us, err);
}

enum esp_status sim_outlet_put_truth(struct sim_outlet *outlet, const struct sim_journey *journey,
                                     struct esp_error *err)
{
    if (outlet->writers[SIM_TRUTH] == NULL)
        return ESP_OK;
    enum esp_status status = begin_record(outlet, SIM_TRUTH, err);
    if (status == ESP_OK)
        status = sim_put_truth(&outlet->record, journey, err);
    if (status != ESP_OK)
        return status;
    struct sim_event as_impression = {.kind = SIM_TRUTH, .partition = ESP_PARTITION_BY_KEY};
    return append(outlet, SIM_TRUTH, journey->id,
                  sim_outlet_partition(outlet, journey, &as_impression), journey->events[0].due_us,
                  err);
}

enum esp_status sim_outlet_flush(struct sim_outlet *outlet, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t topic = 0; topic < SIM_N_TOPICS && status == ESP_OK; topic++)
        if (outlet->writers[topic] != NULL)
            status = esp_log_flush(outlet->writers[topic], DESTINATION_PATIENCE, err);
    return status;
}
