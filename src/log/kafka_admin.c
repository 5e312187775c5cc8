/* kafka_admin.c - asks brokers for partitions, offsets and properties; makes topics. */
#include "log/kafka_log.h"

enum { NAME_AGAIN_MS = 50 }; /* between looks for a topic that was just made */

rd_kafka_resp_err_t esp_kafka_query_offset(struct esp_kafka_log *kafka, const char *topic,
                                           int32_t partition, int64_t logical, int timeout_ms,
                                           int64_t *out_offset)
{
    /* A request for the offset at a time, where the logical offsets stand for the ends. */
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *row = rd_kafka_topic_partition_list_add(list, topic, partition);
    row->offset = logical;
    struct esp_kafka_wait wait = {.end_us = esp_log_now_us() + timeout_ms * ESP_MS};
    rd_kafka_resp_err_t code;
    do
        code = rd_kafka_offsets_for_times(kafka->consumer, list, esp_kafka_step_ms(kafka, &wait));
    while (esp_kafka_waits_on(kafka, &wait, code));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = row->err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *out_offset = row->offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_poll(kafka->consumer, 0); /* serves reports */
    return code;
}

/* What no waiting mends. */
static bool is_refusal(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
}

enum esp_status esp_kafka_partitions(struct esp_log *log, const char *topic, int64_t timeout_us,
                                     size_t *out_n, struct esp_error *err)
{
    struct esp_kafka_log *kafka = (struct esp_kafka_log *)log;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(kafka->consumer, topic, NULL);
    if (handle == NULL)
        return esp_fail(err, ESP_ECONFIG, "topic %s: %s", topic,
                        rd_kafka_err2str(rd_kafka_last_error()));
    const struct rd_kafka_metadata *metadata = NULL;
    struct esp_kafka_wait wait = {.end_us = esp_log_now_us() + timeout_us};
    rd_kafka_resp_err_t code;
    do {
        code = rd_kafka_metadata(kafka->consumer, 0, handle, &metadata,
                                 esp_kafka_step_ms(kafka, &wait));
        rd_kafka_poll(kafka->consumer, 0); /* serves reports */
    } while (esp_kafka_waits_on(kafka, &wait, code));
    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return esp_fail(err, ESP_EBROKER, "topic %s: no answer from a broker: %s", topic,
                        rd_kafka_err2str(code));
    enum esp_status status = ESP_OK;
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        *out_n = 0;
    else if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
        *out_n = (size_t)metadata->topics[0].partition_cnt;
    else
        status = esp_fail(err, is_refusal(code) ? ESP_ECONFIG : ESP_EBROKER, "topic %s: %s", topic,
                          rd_kafka_err2str(code));
    rd_kafka_metadata_destroy(metadata);
    return status;
}

/* What the broker says to a request for one topic. */
static enum esp_status read_answer(rd_kafka_event_t *event, const char *topic,
                                   struct esp_error *err)
{
    if (event == NULL)
        return esp_fail(err, ESP_EBROKER, "topic %s could not be created: no answer", topic);
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return esp_fail(err, ESP_EBROKER, "topic %s could not be created: %s", topic,
                        rd_kafka_event_error_string(event));
    size_t n = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    rd_kafka_resp_err_t code =
        n == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR_UNKNOWN;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return ESP_OK;
    const char *reason = n == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL;
    return esp_fail(err, ESP_ECONFIG, "topic %s: the broker refuses to create it: %s", topic,
                    reason != NULL ? reason : rd_kafka_err2str(code));
}

static enum esp_status request_topic(rd_kafka_t *handle, rd_kafka_NewTopic_t *request,
                                     const char *topic, struct esp_error *err)
{
    char why[ESP_KAFKA_ERROR_SIZE];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_set_request_timeout(options, ESP_KAFKA_WAIT_MS, why, sizeof why);
    rd_kafka_AdminOptions_set_operation_timeout(options, ESP_KAFKA_WAIT_MS, why, sizeof why);
    rd_kafka_CreateTopics(handle, &request, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * ESP_KAFKA_WAIT_MS);
    enum esp_status status = read_answer(event, topic, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return status;
}

/* The answer comes before every broker knows of the topic: waits until it can be used. */
static enum esp_status wait_for_topic(struct esp_kafka_log *kafka, const char *topic,
                                      size_t n_partitions, struct esp_error *err)
{
    for (int waited_ms = 0; waited_ms < ESP_KAFKA_WAIT_MS; waited_ms += NAME_AGAIN_MS) {
        size_t n = 0;
        enum esp_status status =
            esp_kafka_partitions(&kafka->log, topic, ESP_KAFKA_WAIT_MS * ESP_MS, &n, err);
        if (status != ESP_OK || n >= n_partitions)
            return status;
        rd_kafka_poll(kafka->consumer, NAME_AGAIN_MS);
    }
    return esp_fail(err, ESP_EBROKER, "topic %s was created, but the brokers do not name it",
                    topic);
}

enum esp_status esp_kafka_create_topic(struct esp_log *log, const char *topic, size_t n_partitions,
                                       const char *const *config, struct esp_error *err)
{
    struct esp_kafka_log *kafka = (struct esp_kafka_log *)log;
    size_t n_now = 0;
    enum esp_status status =
        esp_kafka_partitions(log, topic, ESP_KAFKA_WAIT_MS * ESP_MS, &n_now, err);
    if (status != ESP_OK || n_now > 0)
        return status;
    char why[ESP_KAFKA_ERROR_SIZE];
    rd_kafka_NewTopic_t *request = rd_kafka_NewTopic_new(
        topic, (int)n_partitions, -1 /* replicas: the broker's default */, why, sizeof why);
    if (request == NULL)
        return esp_fail(err, ESP_ECONFIG, "topic %s: %s", topic, why);
    for (size_t i = 0; config != NULL && config[i] != NULL && status == ESP_OK; i += 2) {
        rd_kafka_resp_err_t code = rd_kafka_NewTopic_set_config(request, config[i], config[i + 1]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = esp_fail(err, ESP_ECONFIG, "topic %s: %s: %s", topic, config[i],
                              rd_kafka_err2str(code));
    }
    if (status == ESP_OK)
        status = request_topic(kafka->consumer, request, topic, err);
    rd_kafka_NewTopic_destroy(request);
    return status != ESP_OK ? status : wait_for_topic(kafka, topic, n_partitions, err);
}

static bool has_failed(const rd_kafka_ConfigResource_t *const *resources, size_t n,
                       const char **reason)
{
    if (n == 1 && rd_kafka_ConfigResource_error(resources[0]) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    *reason = n == 1 ? rd_kafka_ConfigResource_error_string(resources[0]) : NULL;
    if (n == 1 && *reason == NULL)
        *reason = rd_kafka_err2str(rd_kafka_ConfigResource_error(resources[0]));
    return true;
}

static void take_properties(const rd_kafka_ConfigResource_t *resource,
                            struct esp_topic_property *properties, size_t n)
{
    size_t n_entries = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &n_entries);
    for (size_t i = 0; i < n; i++) {
        properties[i].value[0] = '\0';
        for (size_t j = 0; j < n_entries; j++) {
            const char *value = rd_kafka_ConfigEntry_value(entries[j]);
            if (value != NULL &&
                strcmp(rd_kafka_ConfigEntry_name(entries[j]), properties[i].name) == 0)
                snprintf(properties[i].value, sizeof properties[i].value, "%s", value);
        }
    }
}

static enum esp_status read_properties(rd_kafka_event_t *event, const char *topic,
                                       struct esp_topic_property *properties, size_t n,
                                       struct esp_error *err)
{
    if (event == NULL)
        return esp_fail(err, ESP_EBROKER, "topic %s: its properties cannot be had: no answer",
                        topic);
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return esp_fail(err, ESP_EBROKER, "topic %s: its properties cannot be had: %s", topic,
                        rd_kafka_event_error_string(event));
    size_t n_resources = 0;
    const char *reason = NULL;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &n_resources);
    if (has_failed(resources, n_resources, &reason))
        return esp_fail(err, ESP_ECONFIG, "topic %s: the broker does not tell its properties: %s",
                        topic, reason == NULL ? "no answer" : reason);
    take_properties(resources[0], properties, n);
    return ESP_OK;
}

enum esp_status esp_kafka_topic_properties(struct esp_log *log, const char *topic,
                                           struct esp_topic_property *properties, size_t n,
                                           struct esp_error *err)
{
    char why[ESP_KAFKA_ERROR_SIZE];
    rd_kafka_t *handle = ((struct esp_kafka_log *)log)->consumer;
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    if (resource == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a request");
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_set_request_timeout(options, ESP_KAFKA_WAIT_MS, why, sizeof why);
    rd_kafka_DescribeConfigs(handle, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * ESP_KAFKA_WAIT_MS);
    enum esp_status status = read_properties(event, topic, properties, n, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}
