/* kafka_log.c - properties, handles, and what librdkafka has to say. */
#include "log/kafka_log.h"

#include <limits.h>
#include <syslog.h>
#include <time.h>

#include "core/hash.h"

struct property {
    const char *name, *value;
};

/*
 * What the user may override. Each partition's queue is bounded, and so their sum: the library's
 * own 64 MiB a partition would be 1.5 GB on 24.
 */
static const struct property consumer_defaults[] = {
    {"client.id", "espalier"},
    {"group.id", "espalier"},
    {"auto.offset.reset", "error"},
    {"queued.min.messages", "100000"},
    {"queued.max.messages.kbytes", "8192"},
    {"fetch.wait.max.ms", "100"},
    {"fetch.error.backoff.ms", "100"},
};

/*
 * Deliveries are retried for ever: a broker that is away slows the input and fails nothing. How
 * large a message may be is the topic's to say: the library's own 1 MB would refuse a dead letter
 * that carries the largest record of an ordinary topic. No more than the queue holds, or a message
 * would wait for room for ever.
 */
static const struct property producer_defaults[] = {
    {"client.id", "espalier"},         {"enable.idempotence", "true"},
    {"partitioner", "murmur2_random"}, {"linger.ms", "20"},
    {"message.timeout.ms", "0"},       {"queue.buffering.max.kbytes", "65536"},
    {"message.max.bytes", "67108864"},
};

/* What must be as it is for offsets to be ours, and an end to be confirmed. */
static const struct property fixed[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

int esp_kafka_ms(int64_t timeout_us)
{
    if (timeout_us <= 0)
        return 0;
    int64_t ms = timeout_us / ESP_MS + (timeout_us % ESP_MS != 0);
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

enum { FIRST_STEP_MS = 500, LONGEST_STEP_MS = 4000, LAST_STEP_MS = 100 };
enum { DESTROY_PATIENCE_S = 5, STOPPING_PATIENCE_S = 2 };

/* Less than that, too, where an end is wanted: then a question is asked, but not waited for longer
 * than there is time. */
static int64_t next_step_us(const struct esp_kafka_log *kafka, int64_t last_us)
{
    int64_t step_us = last_us == 0 ? FIRST_STEP_MS * ESP_MS : 2 * last_us;
    int64_t most_us = esp_log_left_us(&kafka->log);
    if (most_us < LAST_STEP_MS * ESP_MS)
        most_us = LAST_STEP_MS * ESP_MS;
    if (most_us > LONGEST_STEP_MS * ESP_MS)
        most_us = LONGEST_STEP_MS * ESP_MS;
    return step_us < most_us ? step_us : most_us;
}

int esp_kafka_step_ms(const struct esp_kafka_log *kafka, struct esp_kafka_wait *wait)
{
    int64_t now_us = esp_log_now_us(), left_us = wait->end_us - now_us;
    wait->step_us = next_step_us(kafka, wait->step_us);
    bool is_one_step = kafka->log.time_left == NULL || left_us < wait->step_us;
    wait->step_end_us = is_one_step ? wait->end_us : now_us + wait->step_us;
    return esp_kafka_ms(wait->step_end_us - now_us);
}

bool esp_kafka_waits_on(const struct esp_kafka_log *kafka, const struct esp_kafka_wait *wait,
                        rd_kafka_resp_err_t code)
{
    bool is_late = code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT;
    int64_t now_us = esp_log_now_us();
    /* A failure before its time is one: it would be the same at once again. */
    return is_late && now_us + ESP_MS >= wait->step_end_us && now_us < wait->end_us &&
           !esp_log_stops(&kafka->log);
}

/* Notes that a kind is said now; false if it was within the last minute. Evicts the oldest. */
static bool may_say(struct esp_kafka_log *kafka, uint64_t hash)
{
    int64_t now_us = esp_log_now_us();
    struct esp_kafka_said *slot = &kafka->said[0];
    bool may = true;
    pthread_mutex_lock(&kafka->say_lock);
    for (size_t i = 0; i < ESP_KAFKA_N_SAID; i++) {
        struct esp_kafka_said *said = &kafka->said[i];
        if (said->hash == hash) {
            may = now_us - said->time_us >= ESP_MINUTE;
            slot = said;
            break;
        }
        if (said->time_us < slot->time_us)
            slot = said;
    }
    if (may)
        *slot = (struct esp_kafka_said){hash, now_us};
    pthread_mutex_unlock(&kafka->say_lock);
    return may;
}

/* A line of librdkafka's, without secrets. */
static void say(struct esp_kafka_log *kafka, enum esp_level_hint level, const char *facility,
                const char *line)
{
    char *text = NULL; /* whole, or half a secret might be left where it is cut */
    if (asprintf(&text, "kafka: %s%s%s", facility, facility[0] == '\0' ? "" : ": ", line) < 0)
        return;
    esp_kafka_hide_secrets(kafka, text);
    esp_log_say(&kafka->log, level, "%s", text);
    free(text);
}

void esp_kafka_say_rarely(struct esp_kafka_log *kafka, const char *kind, enum esp_level_hint level,
                          const char *line)
{
    /* Lines begin with "BROKER: "; the rest varies in its times. */
    const char *colon = strstr(line, ": ");
    uint64_t hash =
        esp_hash(esp_bytes(line, colon == NULL ? strlen(line) : (size_t)(colon - line)));
    hash = esp_mix64(hash ^ esp_hash(esp_bytes_of(kind)));
    if (may_say(kafka, hash == 0 ? 1 : hash))
        say(kafka, level, "", line);
}

/* From any of librdkafka's threads, and from within its calls, whatever their caller has locked. */
static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *line)
{
    struct esp_kafka_log *kafka = rd_kafka_opaque(handle);
    if (kafka->says_all) {
        say(kafka, ESP_LOG_NOTE, facility, line);
        return;
    }
    /* FAIL and ERROR come to on_error() as well. One set of properties serves two handles, so that
     * each is told of the other's. */
    if (level > LOG_NOTICE || strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 ||
        strstr(line, "will be ignored by this") != NULL)
        return;
    const char *text = strstr(line, "]: "); /* "[thrd:NAME]: text" */
    esp_kafka_say_rarely(kafka, facility, level <= LOG_ERR ? ESP_LOG_PROBLEM : ESP_LOG_NOTE,
                         text == NULL ? line : text + 3);
}

/* Before librdkafka 2.6.1 the client's nonce stands twice in its last message, which brokers of
 * Kafka 4.0 and later refuse as they refuse a wrong password (RFC 5802, 5.1). */
static void explain_refusal(struct esp_kafka_log *kafka, const char *reason)
{
    if (strstr(reason, "SCRAM") == NULL || rd_kafka_version() >= 0x020601ff)
        return;
    char line[256];
    snprintf(line, sizeof line,
             "if user and password are right: librdkafka %s cannot log in with SCRAM to Kafka 4.0 "
             "or later, 2.6.1 can; use PLAIN over TLS, or a client's certificate",
             rd_kafka_version_str());
    esp_kafka_say_rarely(kafka, "SCRAM", ESP_LOG_NOTE, line);
}

/* Where a reader or writer polls. */
static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque)
{
    (void)handle;
    struct esp_kafka_log *kafka = opaque;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        atomic_fetch_add(&kafka->n_gone_hints, 1);
    atomic_fetch_add(&kafka->n_link_faults, 1);
    esp_kafka_say_rarely(kafka, rd_kafka_err2name((rd_kafka_resp_err_t)code), ESP_LOG_PROBLEM,
                         reason);
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        explain_refusal(kafka, reason);
}

static void on_commit(rd_kafka_t *handle, rd_kafka_resp_err_t code,
                      rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
    (void)handle, (void)offsets;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return;
    char line[128];
    snprintf(line, sizeof line, "offsets for lag monitors were not committed: %s",
             rd_kafka_err2str(code));
    esp_kafka_say_rarely(opaque, "commit", ESP_LOG_NOTE, line);
}

static enum esp_status set_rows(rd_kafka_conf_t *conf, const struct property *rows, size_t n,
                                struct esp_error *err)
{
    char why[ESP_KAFKA_ERROR_SIZE];
    for (size_t i = 0; i < n; i++) {
        if (rd_kafka_conf_set(conf, rows[i].name, rows[i].value, why, sizeof why) !=
            RD_KAFKA_CONF_OK)
            return esp_fail(err, ESP_EBUG, "librdkafka refuses %s: %s", rows[i].name, why);
    }
    return ESP_OK;
}

static enum esp_status set_user(struct esp_kafka_log *kafka, rd_kafka_conf_t *conf,
                                const struct esp_log_property *properties, size_t n,
                                struct esp_error *err)
{
    char why[ESP_KAFKA_ERROR_SIZE];
    for (size_t i = 0; i < n; i++) {
        const struct esp_log_property *property = &properties[i];
        for (size_t j = 0; j < COUNT_OF(fixed); j++) {
            if (strcmp(property->name, fixed[j].name) == 0 &&
                strcmp(property->value, fixed[j].value) != 0)
                return esp_fail(err, ESP_ECONFIG,
                                "%s: [kafka] %s: it has to be %s; remove the line", property->where,
                                property->name, fixed[j].value);
        }
        if (rd_kafka_conf_set(conf, property->name, property->value, why, sizeof why) !=
            RD_KAFKA_CONF_OK) {
            esp_kafka_hide_secrets(kafka, why);
            return esp_fail(err, ESP_ECONFIG, "%s: [kafka] %s: %s", property->where, property->name,
                            why);
        }
        if (strcmp(property->name, "auto.offset.reset") == 0)
            kafka->resets_offsets = strcmp(property->value, "error") != 0;
        if (strcmp(property->name, "debug") == 0)
            kafka->says_all = true;
    }
    return ESP_OK;
}

static bool names_brokers(const struct esp_log_property *properties, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(properties[i].name, "bootstrap.servers") == 0 ||
            strcmp(properties[i].name, "metadata.broker.list") == 0 ||
            strcmp(properties[i].name, "test.mock.num.brokers") == 0)
            return true;
    }
    return false;
}

/* What both handles tell. */
static void set_callbacks(struct esp_kafka_log *kafka, rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_opaque(conf, kafka);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
}

/* Configurations of both handles. *consumer is the caller's; the producer's stays in the log. */
static enum esp_status configure(struct esp_kafka_log *kafka,
                                 const struct esp_log_property *properties, size_t n,
                                 rd_kafka_conf_t *consumer, struct esp_error *err)
{
    enum esp_status status =
        set_rows(consumer, consumer_defaults, COUNT_OF(consumer_defaults), err);
    if (status == ESP_OK)
        status = set_user(kafka, consumer, properties, n, err);
    if (status == ESP_OK)
        status = set_rows(consumer, fixed, COUNT_OF(fixed), err);
    if (status == ESP_OK)
        status =
            set_rows(kafka->producer_conf, producer_defaults, COUNT_OF(producer_defaults), err);
    if (status == ESP_OK)
        status = set_user(kafka, kafka->producer_conf, properties, n, err);
    set_callbacks(kafka, consumer);
    set_callbacks(kafka, kafka->producer_conf);
    rd_kafka_conf_set_offset_commit_cb(consumer, on_commit);
    rd_kafka_conf_set_dr_msg_cb(kafka->producer_conf, esp_kafka_delivered);
    return status;
}

enum esp_status esp_kafka_need_producer(struct esp_kafka_log *kafka, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    char why[ESP_KAFKA_ERROR_SIZE];
    if (kafka->producer != NULL)
        return ESP_OK;
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(kafka->producer_conf);
    kafka->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (kafka->producer == NULL) {
        rd_kafka_conf_destroy(conf);
        esp_kafka_hide_secrets(kafka, why);
        status = esp_fail(err, ESP_ECONFIG, "[kafka] %s", why);
    }
    return status;
}

static void *destroy_handle(void *handle)
{
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

/* librdkafka 2.0.2 waits for ever if a topic that it read was deleted, and as long as the resolver
 * takes for a broker's name. False: it still waits, and what its threads may touch has to stay. */
static bool free_handle(rd_kafka_t *handle, const struct timespec *until)
{
    pthread_t thread;
    if (handle == NULL)
        return true;
    if (pthread_create(&thread, NULL, destroy_handle, handle) != 0) {
        destroy_handle(handle);
        return true;
    }
    if (pthread_timedjoin_np(thread, NULL, until) == 0)
        return true;
    pthread_detach(thread);
    return false;
}

static void kafka_free(struct esp_log *log)
{
    struct esp_kafka_log *kafka = (struct esp_kafka_log *)log;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += esp_log_stops(log) ? STOPPING_PATIENCE_S : DESTROY_PATIENCE_S;
    if (kafka->producer != NULL) {
        rd_kafka_purge(kafka->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(kafka->producer, 0);
    }
    bool is_gone = free_handle(kafka->producer, &until);
    if (is_gone)
        esp_kafka_writers_free(kafka);
    if (kafka->producer_conf != NULL)
        rd_kafka_conf_destroy(kafka->producer_conf);
    if (!free_handle(kafka->consumer, &until) || !is_gone) {
        kafka->log.report = NULL; /* its context may go away */
        return;
    }
    esp_kafka_forget_secrets(kafka);
    pthread_mutex_destroy(&kafka->lock);
    pthread_mutex_destroy(&kafka->say_lock);
    free(kafka);
}

/* A replay overwrites by key. */
static enum esp_status kafka_cut_back(struct esp_log *log, const char *topic, size_t partition,
                                      const struct esp_log_mark *mark, struct esp_error *err)
{
    (void)log, (void)topic, (void)partition, (void)mark, (void)err;
    return ESP_OK;
}

static const struct esp_log_ops kafka_ops = {
    .kind = "kafka",
    .free = kafka_free,
    .partitions = esp_kafka_partitions,
    .create_topic = esp_kafka_create_topic,
    .topic_properties = esp_kafka_topic_properties,
    .bounds = esp_kafka_bounds,
    .cut_back = kafka_cut_back,
    .reader_new = esp_kafka_reader_new,
    .writer_new = esp_kafka_writer_new,
};

enum esp_status esp_log_open_kafka(const struct esp_log_property *properties, size_t n_properties,
                                   esp_log_report *report, void *report_context,
                                   struct esp_log **out, struct esp_error *err)
{
    if (!names_brokers(properties, n_properties))
        return esp_fail(err, ESP_ECONFIG, "[kafka] bootstrap.servers is missing: HOST:PORT, ...");
    struct esp_kafka_log *kafka = calloc(1, sizeof *kafka);
    if (kafka == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a log");
    kafka->log =
        (struct esp_log){.ops = &kafka_ops, .report = report, .report_context = report_context};
    pthread_mutex_init(&kafka->lock, NULL);
    pthread_mutex_init(&kafka->say_lock, NULL);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka->producer_conf = rd_kafka_conf_new();
    char why[ESP_KAFKA_ERROR_SIZE];
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < n_properties; i++)
        status = esp_kafka_keep_secret(kafka, &properties[i], err);
    if (status == ESP_OK)
        status = configure(kafka, properties, n_properties, conf, err);
    if (status != ESP_OK)
        goto out;
    kafka->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (kafka->consumer == NULL) {
        esp_kafka_hide_secrets(kafka, why);
        status = esp_fail(err, ESP_ECONFIG, "[kafka] %s", why);
        goto out;
    }
    conf = NULL; /* the handle's */
    *out = &kafka->log;
    kafka = NULL;
out:
    if (conf != NULL)
        rd_kafka_conf_destroy(conf);
    esp_log_free(kafka == NULL ? NULL : &kafka->log);
    return status;
}
