/*
 * kafka_reader.c - reads one partition of a topic.
 *
 * Each reader is given its partition by an incremental assignment of the shared consumer, and
 * polls a queue of its own; the library fetches ahead until that queue is full, so a reader that
 * is not read pauses by itself. No group is joined and no offset of a group is read.
 *
 * The end is what a broker confirms: the library's end-of-partition event, which also comes where
 * the last offsets hold no record (compacted ones, markers of transactions). Once a connection was
 * lost, an end that was seen before counts no more until a broker has confirmed it again.
 *
 * An offset alone does not tell a topic from one that was made anew and has grown past it. So a
 * place knows the record before it by a fingerprint, and a reader that begins there fetches that
 * one, too, compares it, and keeps it to itself. Where it is no longer in the log nothing is known.
 *
 * INVARIANTS
 *  (1) Offsets of records given rise, and are start or more.
 *  (2) messages[0 .. n_messages) are what the last call lent to its caller.
 */
#include "core/buf.h"
#include "core/hash.h"
#include "log/kafka_log.h"

enum {
    CONFIRM_MS = 100, /* a wait for a broker's word on an end that was confirmed before */
    PASSING_MS =
        5000, /* how long a fault that passes by itself is borne, and how often looked at */
    ASK_AGAIN_MS = 50,
};

#define CONFIRM_EVERY (2 * ESP_SECOND) /* such a wait holds up the caller's other partitions */
#define GONE_PATIENCE ESP_SECOND       /* for the number of partitions */

struct kafka_reader {
    struct esp_log_reader reader;
    struct esp_kafka_log *kafka;
    char *topic; /* owned */
    int32_t partition;
    bool follow;
    bool is_assigned;
    bool is_at_end;
    uint64_t n_faults_at_end; /* the log's n_link_faults when the end was confirmed */
    uint64_t n_gone_hints;    /* of the log's, those that were looked into */
    int64_t next_confirm_us;  /* not to ask again before */
    int64_t start;            /* offsets before it are not given */
    int64_t end;              /* a bounded reader's: offsets from here on are not given */
    uint64_t last;            /* fingerprint of the record before next_offset; 0: none is known */
    uint64_t expected; /* that of start - 1, which is fetched for this; 0: not, or not any more */
    rd_kafka_queue_t *queue;       /* owned */
    rd_kafka_message_t **messages; /* capacity of them, owned */
    size_t n_messages, capacity;
    struct esp_error failed; /* came behind records, which were given first; final */
    struct esp_log_reader_stats stats;
};

static void give_back(struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->n_messages; i++)
        rd_kafka_message_destroy(reader->messages[i]);
    reader->n_messages = 0;
}

/* Takes the partition from the consumer, which stops fetching it. */
static void unassign(struct kafka_reader *reader)
{
    if (!reader->is_assigned)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, reader->topic, reader->partition);
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(reader->kafka->consumer, list);
    if (error != NULL)
        rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
    reader->is_assigned = false;
}

static void kafka_reader_free(struct esp_log_reader *base)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;
    give_back(reader);
    unassign(reader);
    if (reader->queue != NULL)
        rd_kafka_queue_destroy(reader->queue);
    free(reader->messages);
    free(reader->topic);
    free(reader);
}

/* What passes by itself while a topic is new or its leader changes. */
static bool is_passing(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
        return true;
    default:
        return false;
    }
}

/* As esp_kafka_query_offset(), again for a while where that may help. */
static rd_kafka_resp_err_t query_patiently(struct esp_kafka_log *kafka, const char *topic,
                                           int32_t partition, int64_t logical, int64_t *out_offset)
{
    int64_t end_us = esp_log_now_us() + PASSING_MS * ESP_MS;
    rd_kafka_resp_err_t code;
    while (is_passing(code = esp_kafka_query_offset(kafka, topic, partition, logical,
                                                    ESP_KAFKA_WAIT_MS, out_offset)) &&
           esp_log_now_us() < end_us && !esp_log_stops(&kafka->log))
        rd_kafka_poll(kafka->consumer, ASK_AGAIN_MS);
    return code;
}

enum esp_status esp_kafka_bounds(struct esp_log *log, const char *topic, size_t partition,
                                 int64_t *out_first, int64_t *out_end, struct esp_error *err)
{
    struct esp_kafka_log *kafka = (struct esp_kafka_log *)log;
    int32_t number = (int32_t)partition;
    rd_kafka_resp_err_t code =
        query_patiently(kafka, topic, number, RD_KAFKA_OFFSET_BEGINNING, out_first);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = query_patiently(kafka, topic, number, RD_KAFKA_OFFSET_END, out_end);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ESP_OK;
    return esp_fail(err, ESP_EBROKER, "topic %s, partition %zu: its offsets cannot be had: %s",
                    topic, partition, rd_kafka_err2str(code));
}

/* The offset that is wanted is not one that the log has. */
static enum esp_status fail_gap(const struct kafka_reader *reader, int64_t wanted,
                                struct esp_error *err)
{
    int64_t first = 0, end = 0;
    size_t partition = (size_t)reader->partition;
    if (esp_kafka_bounds(&reader->kafka->log, reader->topic, partition, &first, &end, NULL) !=
        ESP_OK)
        return esp_fail(err, ESP_EDATA, "topic %s, partition %zu: offset %lld is no longer there",
                        reader->topic, partition, (long long)wanted);
    return esp_log_fail_gap(reader->topic, partition, wanted, first, end, err);
}

/* A partition's queue outlives its readers: what an earlier one left in it, the end that it saw
 * among it, must not be taken for this one's. */
static void drop_leftovers(rd_kafka_queue_t *queue)
{
    rd_kafka_message_t *message;
    while (rd_kafka_consume_batch_queue(queue, 0, &message, 1) == 1)
        rd_kafka_message_destroy(message);
}

static enum esp_status assign(struct kafka_reader *reader, int64_t offset, struct esp_error *err)
{
    rd_kafka_t *consumer = reader->kafka->consumer;
    reader->queue = rd_kafka_queue_get_partition(consumer, reader->topic, reader->partition);
    if (reader->queue == NULL)
        return esp_fail(err, ESP_EBROKER, "%s [%d]: no queue", reader->topic, reader->partition);
    rd_kafka_queue_forward(reader->queue, NULL); /* records come here, not to the handle's queue */
    drop_leftovers(reader->queue);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    /* Not BEGINNING: a partition that was read before may then start at its old end. */
    rd_kafka_topic_partition_list_add(list, reader->topic, reader->partition)->offset = offset;
    rd_kafka_error_t *error = rd_kafka_incremental_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error == NULL) {
        reader->is_assigned = true;
        return ESP_OK;
    }
    enum esp_status status = esp_fail(err, ESP_EBROKER, "%s [%d]: %s", reader->topic,
                                      reader->partition, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return status;
}

static enum esp_status begin_at_start(struct kafka_reader *reader, struct esp_error *err)
{
    reader->expected = 0;
    unassign(reader);
    rd_kafka_queue_destroy(reader->queue);
    reader->queue = NULL;
    return assign(reader, reader->start, err);
}

/* An event of the queue that is no record. */
static enum esp_status take_event(struct kafka_reader *reader, const rd_kafka_message_t *message,
                                  struct esp_error *err)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        reader->is_at_end = true;
        reader->n_faults_at_end = atomic_load(&reader->kafka->n_link_faults);
        reader->stats.end_offset = message->offset;
        if (reader->stats.next_offset < message->offset)
            reader->stats.next_offset = message->offset;
        return ESP_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        if (reader->expected != 0) /* the record before the start has just gone: do without */
            return begin_at_start(reader, err);
        return fail_gap(reader, reader->stats.next_offset, err);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__FATAL:
        return esp_fail(err, ESP_EBROKER, "%s [%d]: %s", reader->topic, reader->partition,
                        rd_kafka_message_errstr(message));
    default: /* the library goes on by itself */
        esp_kafka_say_rarely(reader->kafka, rd_kafka_err2name(message->err), ESP_LOG_PROBLEM,
                             rd_kafka_message_errstr(message));
        return ESP_OK;
    }
}

static int64_t log_time_of(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(message, &type);
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ms < 0)
        return ESP_TIME_NONE;
    return ms < INT64_MAX / ESP_MS ? ms * ESP_MS : INT64_MAX / ESP_MS * ESP_MS;
}

static void fill_record(struct esp_record *record, const rd_kafka_message_t *message)
{
    *record = (struct esp_record){
        .key = {message->key, message->key_len},
        .value = {message->payload, message->len},
        .offset = message->offset,
        .log_time_us = log_time_of(message),
        .schema = NULL,
    };
}

static uint64_t fingerprint_of(const rd_kafka_message_t *message)
{
    uint64_t of_key = esp_hash(esp_bytes(message->key, message->key_len));
    uint64_t both = esp_mix64(of_key) ^ esp_hash(esp_bytes(message->payload, message->len));
    return both == 0 ? 1 : both;
}

/* Of a message before the start, which is fetched for this alone. */
static enum esp_status check_same_topic(struct kafka_reader *reader,
                                        const rd_kafka_message_t *message, struct esp_error *err)
{
    uint64_t expected = reader->expected;
    if (expected == 0 || message->offset != reader->start - 1)
        return ESP_OK;
    reader->expected = 0;
    if (fingerprint_of(message) == expected)
        return ESP_OK;
    return esp_fail(err, ESP_EDATA,
                    "topic %s, partition %ld: offset %lld holds another record than was read "
                    "there: the topic was made anew",
                    reader->topic, (long)reader->partition, (long long)message->offset);
}

/* Turns the messages that were just taken off the queue into records. A failure behind some of them
 * is told by the next read. */
static enum esp_status take_messages(struct kafka_reader *reader, struct esp_record *records,
                                     size_t *out_n, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    const rd_kafka_message_t *last = NULL;
    size_t n = 0;
    for (size_t i = 0; i < reader->n_messages && status == ESP_OK; i++) {
        const rd_kafka_message_t *message = reader->messages[i];
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            status = take_event(reader, message, &reader->failed);
            continue;
        }
        if (message->offset < reader->start) {
            status = check_same_topic(reader, message, &reader->failed);
            continue;
        }
        reader->is_at_end = false;
        if (message->offset >= reader->end) {
            reader->stats.next_offset = reader->end;
            break;
        }
        fill_record(&records[n++], message);
        reader->stats.bytes += message->len;
        reader->stats.next_offset = message->offset + 1;
        last = message;
    }
    if (last != NULL)
        reader->last = fingerprint_of(last);
    reader->stats.records += n;
    *out_n = n;
    return status == ESP_OK || n > 0 ? ESP_OK : esp_fail(err, status, "%s", reader->failed.text);
}

/* True if the end that was seen is one still, as far as brokers say. */
static bool is_end_confirmed(struct kafka_reader *reader)
{
    uint64_t n_faults = atomic_load(&reader->kafka->n_link_faults);
    if (!reader->is_at_end || n_faults == reader->n_faults_at_end)
        return reader->is_at_end;
    int64_t now_us = esp_log_now_us(), high = 0;
    if (now_us < reader->next_confirm_us)
        return false;
    reader->next_confirm_us = now_us + CONFIRM_EVERY;
    if (esp_kafka_query_offset(reader->kafka, reader->topic, reader->partition, RD_KAFKA_OFFSET_END,
                               CONFIRM_MS, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    if (high <= reader->stats.next_offset)
        reader->n_faults_at_end = n_faults;
    else
        reader->is_at_end = false;
    return reader->is_at_end;
}

/*
 * A deleted topic only makes the library report an unknown partition, and wait. Such a report may
 * also come from a broker that lags behind, so the number of partitions is asked for.
 */
static enum esp_status check_not_gone(struct kafka_reader *reader, struct esp_error *err)
{
    uint64_t n_hints = atomic_load(&reader->kafka->n_gone_hints);
    int64_t now_us = esp_log_now_us();
    size_t n = 0;
    if (n_hints == reader->n_gone_hints || now_us < reader->next_confirm_us)
        return ESP_OK;
    reader->next_confirm_us = now_us + CONFIRM_EVERY;
    if (esp_kafka_partitions(&reader->kafka->log, reader->topic, GONE_PATIENCE, &n, NULL) != ESP_OK)
        return ESP_OK; /* asked again */
    reader->n_gone_hints = n_hints;
    if (n > (size_t)reader->partition)
        return ESP_OK;
    return esp_fail(err, ESP_EBROKER,
                    "%s [%d] is gone: the topic was deleted, or made anew, while it was read",
                    reader->topic, reader->partition);
}

static enum esp_status make_room(struct kafka_reader *reader, size_t capacity,
                                 struct esp_error *err)
{
    void *array = reader->messages;
    enum esp_status status =
        esp_array_grow(&array, &reader->capacity, capacity, sizeof(rd_kafka_message_t *), err);
    reader->messages = array;
    return status;
}

/* Takes what is in the queue; waits for the first only, as the library would for all of them. */
static void poll_queue(struct kafka_reader *reader, size_t capacity, int64_t timeout_us)
{
    ssize_t n = rd_kafka_consume_batch_queue(reader->queue, 0, reader->messages, capacity);
    if (n <= 0) {
        rd_kafka_poll(reader->kafka->consumer, 0); /* errors of the handle, answers to commits */
        if (timeout_us > 0)
            n = rd_kafka_consume_batch_queue(reader->queue, esp_kafka_ms(timeout_us),
                                             reader->messages, 1);
        if (n == 1 && capacity > 1) {
            ssize_t more =
                rd_kafka_consume_batch_queue(reader->queue, 0, reader->messages + 1, capacity - 1);
            n += more > 0 ? more : 0;
        }
    }
    reader->n_messages = n > 0 ? (size_t)n : 0;
}

static enum esp_status kafka_reader_read(struct esp_log_reader *base, struct esp_record *records,
                                         size_t capacity, int64_t timeout_us, size_t *out_n,
                                         enum esp_log_position *out_position, struct esp_error *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;
    give_back(reader);
    if (reader->failed.status != ESP_OK)
        return esp_fail(err, reader->failed.status, "%s", reader->failed.text);
    if (reader->stats.next_offset >= reader->end) {
        unassign(reader);
        *out_position = ESP_LOG_ENDED;
        return ESP_OK;
    }
    enum esp_status status = make_room(reader, capacity, err);
    if (status != ESP_OK)
        return status;
    poll_queue(reader, capacity, timeout_us);
    status = take_messages(reader, records, out_n, err);
    if (status == ESP_OK && *out_n == 0)
        status = check_not_gone(reader, err);
    if (status != ESP_OK)
        return status;
    if (reader->stats.next_offset >= reader->end) {
        *out_position = ESP_LOG_ENDED;
        unassign(reader);
    } else if (reader->follow && is_end_confirmed(reader)) {
        *out_position = ESP_LOG_AT_END;
    }
    return ESP_OK;
}

static void kafka_reader_stats(const struct esp_log_reader *base, struct esp_log_reader_stats *out)
{
    const struct kafka_reader *reader = (const struct kafka_reader *)base;
    *out = reader->stats;
    int64_t low = 0, high = 0;
    if (!reader->follow)
        out->end_offset = reader->end;
    else if (rd_kafka_get_watermark_offsets(reader->kafka->consumer, reader->topic,
                                            reader->partition, &low,
                                            &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
             high > out->end_offset)
        out->end_offset = high;
}

static void kafka_reader_place(const struct esp_log_reader *base, struct esp_log_place *out)
{
    const struct kafka_reader *reader = (const struct kafka_reader *)base;
    *out = esp_log_place_at(reader->stats.next_offset);
    out->last = reader->last;
}

static void kafka_reader_commit(struct esp_log_reader *base)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;
    if (reader->stats.next_offset < 0)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, reader->topic, reader->partition)->offset =
        reader->stats.next_offset;
    rd_kafka_commit(reader->kafka->consumer, list, 1); /* on_commit() tells of failures */
    rd_kafka_topic_partition_list_destroy(list);
}

static const struct esp_log_reader_ops reader_ops = {
    .free = kafka_reader_free,
    .read = kafka_reader_read,
    .stats = kafka_reader_stats,
    .place = kafka_reader_place,
    .commit = kafka_reader_commit,
};

/* Compares what is wanted with what the broker has, and notes where a bounded reader ends.
 * *fetch_from  where to fetch from: one record before the start, if that is there to compare */
static enum esp_status find_bounds(struct kafka_reader *reader, int64_t offset, int64_t *fetch_from,
                                   struct esp_error *err)
{
    int64_t low = 0, high = 0;
    size_t partition = (size_t)reader->partition;
    enum esp_status status =
        esp_kafka_bounds(&reader->kafka->log, reader->topic, partition, &low, &high, err);
    if (status != ESP_OK)
        return status;
    bool is_gap = offset != ESP_OFFSET_EARLIEST && (offset < low || offset > high);
    if (is_gap && !reader->kafka->resets_offsets)
        return esp_log_fail_gap(reader->topic, partition, offset, low, high, err);
    reader->stats.next_offset = offset == ESP_OFFSET_EARLIEST ? low : offset;
    reader->start = is_gap ? low : reader->stats.next_offset; /* the library goes anywhere, then */
    bool knows_before =
        reader->last != 0 && offset > low && !is_gap && !reader->kafka->resets_offsets;
    reader->expected = knows_before ? reader->last : 0;
    *fetch_from = knows_before ? offset - 1 : reader->stats.next_offset;
    reader->stats.end_offset = high;
    reader->end = reader->follow ? INT64_MAX : high;
    return ESP_OK;
}

enum esp_status esp_kafka_reader_new(struct esp_log *log, const char *topic, size_t partition,
                                     const struct esp_log_place *place, bool follow,
                                     const struct esp_log_framer *framer,
                                     struct esp_log_reader **out, struct esp_error *err)
{
    (void)framer;
    int64_t fetch_from = 0;
    struct kafka_reader *reader = calloc(1, sizeof *reader);
    char *copy = strdup(topic);
    if (reader == NULL || copy == NULL) {
        free(reader);
        free(copy);
        return esp_fail(err, ESP_ENOMEM, "out of memory for a reader");
    }
    reader->reader.ops = &reader_ops;
    reader->kafka = (struct esp_kafka_log *)log;
    reader->topic = copy;
    reader->partition = (int32_t)partition;
    reader->follow = follow;
    reader->n_gone_hints = atomic_load(&reader->kafka->n_gone_hints);
    reader->last = place->offset == ESP_OFFSET_EARLIEST ? 0 : place->last;
    enum esp_status status = find_bounds(reader, place->offset, &fetch_from, err);
    if (status == ESP_OK && reader->stats.next_offset < reader->end)
        status = assign(reader, fetch_from, err);
    if (status != ESP_OK) {
        kafka_reader_free(&reader->reader);
        return status;
    }
    *out = &reader->reader;
    return ESP_OK;
}
