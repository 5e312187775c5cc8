/*
 * kafka_writer.c - appends to a topic through the shared, idempotent producer.
 *
 * A message belongs to its writer until the library reports it as delivered or failed, which may
 * be after the writer was freed: a writer's memory is therefore kept until its log is freed. A
 * message whose offset somebody waits for carries a note of where to put it; one note serves all
 * others of an epoch, which is what was appended between two fences. Brokers acknowledge in no
 * order of theirs, so each epoch counts its own.
 * Reports are served by whichever writer polls, on whichever thread that is.
 */
#include "log/kafka_log.h"

enum {
    FULL_WAIT_MS = 100, /* a wait for room in the library's queue */
    FLUSH_STEP_MS = 100,
    POLL_EVERY = 256, /* appends between looks at delivery reports */
};

#define FOREVER_US       (365 * ESP_DAY)
#define ROOM_PATIENCE_US ESP_SECOND /* for room in a full queue, once an end is wanted */

/* A message's opaque. */
struct note {
    struct esp_kafka_writer *writer;
    struct epoch *epoch;
    int64_t *offset; /* the caller's, NULL: nobody asks; then the note is the epoch's own */
    struct note **link, *next; /* where it hangs in the writer's list; guarded by the log's lock */
};

/* What was appended up to the fence of the same number, and behind the one before it. */
struct epoch {
    struct note plain; /* of messages whose offset nobody asks for */
    uint64_t number;
    atomic_uint_fast64_t n_outstanding; /* appended in it, not yet delivered or failed */
    struct epoch *before;               /* owned; those that had none outstanding are gone */
};

struct esp_kafka_writer {
    struct esp_log_writer writer;
    struct epoch *epoch; /* the current one, owned; changed by the appending thread at a fence, and
                            then, as all before it, under the log's lock */
    struct note *notes;  /* of messages with one of their own; guarded by the log's lock */
    struct esp_kafka_log *kafka;
    char *topic; /* owned */
    size_t n_partitions;
    size_t next_round_robin;
    size_t n_unpolled;                  /* appends since the last poll */
    atomic_uint_fast64_t n_outstanding; /* appended, not yet delivered or failed */
    atomic_uint_fast64_t n_given_up;    /* found no room while an end was wanted, since a flush */
    atomic_uint_fast64_t n_lost;        /* the same, ever */
    atomic_bool has_failed;             /* `failed` is set and final */
    bool is_freed;                 /* offsets have no place to go any more; guarded by the lock */
    struct esp_error failed;       /* the first failure; guarded by the log's lock until then */
    struct esp_kafka_writer *next; /* in the log's list */
};

/* Notes the first failure. A record that is too large will be so after a restart, too: it is the
 * data's. */
static void fail_writer(struct esp_kafka_writer *writer, rd_kafka_resp_err_t code, const char *why)
{
    enum esp_status status = code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? ESP_EDATA : ESP_EBROKER;
    pthread_mutex_lock(&writer->kafka->lock);
    if (!atomic_load(&writer->has_failed)) {
        esp_fail(&writer->failed, status, "%s: a record was not delivered: %s", writer->topic, why);
        atomic_store(&writer->has_failed, true);
    }
    pthread_mutex_unlock(&writer->kafka->lock);
}

/* offset  of the message, -1: it was not delivered. */
static void end_note(struct note *note, int64_t offset)
{
    struct esp_kafka_writer *writer = note->writer;
    if (note->offset == NULL)
        return;
    pthread_mutex_lock(&writer->kafka->lock);
    if (!writer->is_freed)
        *note->offset = offset;
    *note->link = note->next;
    if (note->next != NULL)
        note->next->link = note->link;
    pthread_mutex_unlock(&writer->kafka->lock);
    free(note);
}

static enum esp_status begin_note(struct esp_kafka_writer *writer, int64_t *offset,
                                  struct note **out, struct esp_error *err)
{
    *out = &writer->epoch->plain;
    if (offset == NULL)
        return ESP_OK;
    struct note *note = malloc(sizeof *note);
    if (note == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a record");
    pthread_mutex_lock(&writer->kafka->lock);
    *note = (struct note){writer, writer->epoch, offset, &writer->notes, writer->notes};
    if (note->next != NULL)
        note->next->link = &note->next;
    writer->notes = note;
    pthread_mutex_unlock(&writer->kafka->lock);
    *out = note;
    return ESP_OK;
}

void esp_kafka_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    (void)producer, (void)opaque;
    struct note *note = message->_private;
    struct esp_kafka_writer *writer = note->writer;
    struct epoch *epoch = note->epoch;
    if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        /* The broker judges whole batches, so that a small record may be among the refused. */
        char why[ESP_KAFKA_ERROR_SIZE];
        snprintf(why, sizeof why,
                 "the broker refuses its %zu bytes, or the batch they came in, as too large; raise "
                 "the topic's max.message.bytes",
                 message->key_len + message->len);
        fail_writer(writer, message->err, why);
    } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail_writer(writer, message->err, rd_kafka_err2str(message->err));
    }
    end_note(note, message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? message->offset : -1);
    atomic_fetch_sub(&epoch->n_outstanding, 1); /* may be freed once it is 0 */
    atomic_fetch_sub(&writer->n_outstanding, 1);
}

static enum esp_status check_failed(struct esp_kafka_writer *writer, struct esp_error *err)
{
    if (!atomic_load(&writer->has_failed))
        return ESP_OK;
    return esp_fail(err, writer->failed.status, "%s", writer->failed.text);
}

/* Its memory stays with the log: messages that are under way point to it. */
static void kafka_writer_free(struct esp_log_writer *base)
{
    struct esp_kafka_writer *writer = (struct esp_kafka_writer *)base;
    pthread_mutex_lock(&writer->kafka->lock);
    writer->is_freed = true;
    pthread_mutex_unlock(&writer->kafka->lock);
}

static void free_epochs(struct epoch *epoch)
{
    while (epoch != NULL) {
        struct epoch *before = epoch->before;
        free(epoch);
        epoch = before;
    }
}

void esp_kafka_writers_free(struct esp_kafka_log *kafka)
{
    while (kafka->writers != NULL) {
        struct esp_kafka_writer *writer = kafka->writers;
        kafka->writers = writer->next;
        while (writer->notes != NULL) { /* of messages that the library never reported */
            struct note *note = writer->notes;
            writer->notes = note->next;
            free(note);
        }
        free_epochs(writer->epoch);
        free(writer->topic);
        free(writer);
    }
}

/* One attempt. RD_KAFKA_RESP_ERR__QUEUE_FULL: try again. */
static rd_kafka_resp_err_t produce(struct note *note, int32_t partition, struct esp_bytes key,
                                   struct esp_bytes value, int64_t log_time_us)
{
    struct esp_kafka_writer *writer = note->writer;
    rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = writer->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {(void *)(uintptr_t)key.data, key.data == NULL ? 0 : key.size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)(uintptr_t)value.data, value.data == NULL ? 0 : value.size}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = note},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP,
         .u.i64 = log_time_us == ESP_TIME_NONE ? 0 /* now */ : log_time_us / ESP_MS},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(writer->kafka->producer, parts, sizeof parts / sizeof *parts);
    if (error == NULL)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        char why[ESP_KAFKA_ERROR_SIZE];
        snprintf(why, sizeof why, "its %zu bytes are too many; raise message.max.bytes in [kafka]",
                 key.size + value.size);
        fail_writer(writer, code, why);
    } else if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        fail_writer(writer, code, rd_kafka_error_string(error));
    }
    rd_kafka_error_destroy(error);
    return code;
}

/* How long room is waited for where an end is wanted and so much time is left. Who found none once
 * waits no more. */
static int64_t room_patience_us(struct esp_kafka_log *kafka, int64_t left_us)
{
    if (atomic_load(&kafka->gives_up))
        return 0;
    return left_us < ROOM_PATIENCE_US ? left_us : ROOM_PATIENCE_US;
}

/* Appends; waits for room. RD_KAFKA_RESP_ERR__QUEUE_FULL: an end is wanted, and there is none. */
static rd_kafka_resp_err_t produce_or_give_up(struct note *note, int32_t partition,
                                              struct esp_bytes key, struct esp_bytes value,
                                              int64_t log_time_us)
{
    struct esp_kafka_writer *writer = note->writer;
    struct esp_kafka_log *kafka = writer->kafka;
    int64_t give_up_us = INT64_MAX;
    for (;;) {
        rd_kafka_resp_err_t code = produce(note, partition, key, value, log_time_us);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return code;
        int64_t now_us = esp_log_now_us();
        int64_t left_us = give_up_us == INT64_MAX ? esp_log_left_us(&kafka->log) : INT64_MAX;
        if (left_us != INT64_MAX)
            give_up_us = now_us + room_patience_us(kafka, left_us);
        if (now_us >= give_up_us) {
            atomic_store(&kafka->gives_up, true);
            return code;
        }
        rd_kafka_poll(kafka->producer, FULL_WAIT_MS);
        if (atomic_load(&writer->has_failed))
            return RD_KAFKA_RESP_ERR__FAIL;
    }
}

static enum esp_status kafka_append(struct esp_log_writer *base, int32_t partition,
                                    struct esp_bytes key, struct esp_bytes value,
                                    int64_t log_time_us, int64_t *offset, struct esp_error *err)
{
    struct esp_kafka_writer *writer = (struct esp_kafka_writer *)base;
    enum esp_status status = check_failed(writer, err);
    if (status != ESP_OK)
        return status;
    if (partition >= 0 && (size_t)partition >= writer->n_partitions)
        return esp_fail(err, ESP_EINVAL, "%s has %zu partitions, no partition %ld", writer->topic,
                        writer->n_partitions, (long)partition);
    struct note *note;
    if ((status = begin_note(writer, offset, &note, err)) != ESP_OK)
        return status;
    int32_t target = partition;
    if (partition == ESP_PARTITION_BY_KEY && key.size > 0)
        target = RD_KAFKA_PARTITION_UA; /* the library's murmur2_random */
    else if (partition == ESP_PARTITION_BY_KEY)
        target = (int32_t)(writer->next_round_robin++ % writer->n_partitions);
    atomic_fetch_add(&writer->n_outstanding, 1);
    atomic_fetch_add(&writer->epoch->n_outstanding, 1);
    rd_kafka_resp_err_t code = produce_or_give_up(note, target, key, value, log_time_us);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_fetch_sub(&writer->n_outstanding, 1);
        atomic_fetch_sub(&writer->epoch->n_outstanding, 1);
        atomic_fetch_add(&writer->n_given_up, code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
        atomic_fetch_add(&writer->n_lost, code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
        status = check_failed(writer, err);
        if (offset != NULL)
            end_note(note, -1);
        return status;
    }
    if (++writer->n_unpolled >= POLL_EVERY) {
        writer->n_unpolled = 0;
        rd_kafka_poll(writer->kafka->producer, 0);
    }
    return ESP_OK;
}

/* Serves deliveries until all are acknowledged or the time is over; returns how many are not.
 * *hurried  may be NULL; an end is wanted, so that it waited for less than it was told */
static uint64_t serve_deliveries(struct esp_kafka_writer *writer, int64_t timeout_us, bool *hurried)
{
    int64_t end_us = esp_log_now_us() + (timeout_us < FOREVER_US ? timeout_us : FOREVER_US);
    rd_kafka_poll(writer->kafka->producer, 0);
    while (atomic_load(&writer->n_outstanding) > 0) {
        int64_t left_us = end_us - esp_log_now_us();
        int64_t most_us = hurried == NULL ? INT64_MAX : esp_log_left_us(&writer->kafka->log);
        if (hurried != NULL && left_us > most_us) {
            *hurried = true;
            left_us = most_us;
        }
        if (left_us <= 0)
            break;
        /* Of all writers; lingers no more. Serves delivery reports. */
        rd_kafka_flush(writer->kafka->producer,
                       left_us < FLUSH_STEP_MS * ESP_MS ? esp_kafka_ms(left_us) : FLUSH_STEP_MS);
    }
    return atomic_load(&writer->n_outstanding);
}

static enum esp_status fail_unacknowledged(struct esp_kafka_writer *writer, uint64_t n,
                                           bool is_hurried, struct esp_error *err)
{
    return esp_fail(err, ESP_EBROKER, "%s: %llu records were not acknowledged in time%s",
                    writer->topic, (unsigned long long)n,
                    is_hurried ? ": the run was stopped while no broker took them" : "");
}

static enum esp_status kafka_wait(struct esp_log_writer *base, int64_t timeout_us, bool *out_done,
                                  struct esp_error *err)
{
    struct esp_kafka_writer *writer = (struct esp_kafka_writer *)base;
    *out_done = serve_deliveries(writer, timeout_us, NULL) == 0;
    enum esp_status status = check_failed(writer, err);
    uint64_t n_given_up = atomic_load(&writer->n_given_up);
    if (status == ESP_OK && n_given_up > 0)
        status = fail_unacknowledged(writer, n_given_up, true, err);
    return status;
}

static enum esp_status kafka_flush(struct esp_log_writer *base, int64_t timeout_us,
                                   struct esp_error *err)
{
    struct esp_kafka_writer *writer = (struct esp_kafka_writer *)base;
    bool is_hurried = false;
    uint64_t n_left = serve_deliveries(writer, timeout_us, &is_hurried);
    uint64_t n_given_up = atomic_exchange(&writer->n_given_up, 0);
    enum esp_status status = check_failed(writer, err);
    if (status == ESP_OK && n_left + n_given_up > 0)
        status =
            fail_unacknowledged(writer, n_left + n_given_up, is_hurried || n_given_up > 0, err);
    return status;
}

/* ---- going back to an earlier moment --------------------------------------------------------- */

/* Behind the writer's current one. Errors: ESP_ENOMEM. */
static enum esp_status new_epoch(struct esp_kafka_writer *writer, struct epoch **out,
                                 struct esp_error *err)
{
    struct epoch *epoch = calloc(1, sizeof *epoch);
    if (epoch == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a writer");
    epoch->plain = (struct note){.writer = writer, .epoch = epoch};
    epoch->before = writer->epoch;
    epoch->number = epoch->before == NULL ? 1 : epoch->before->number + 1;
    *out = epoch;
    return ESP_OK;
}

/* With the log's lock held. */
static void drop_settled(struct epoch *current)
{
    for (struct epoch **link = &current->before; *link != NULL;) {
        struct epoch *epoch = *link;
        if (atomic_load(&epoch->n_outstanding) > 0) {
            link = &epoch->before;
            continue;
        }
        *link = epoch->before;
        free(epoch);
    }
}

static enum esp_status kafka_fence(struct esp_log_writer *base, uint64_t *out_fence,
                                   struct esp_error *err)
{
    struct esp_kafka_writer *writer = (struct esp_kafka_writer *)base;
    struct epoch *epoch = NULL;
    enum esp_status status = check_failed(writer, err);
    if (status == ESP_OK)
        status = new_epoch(writer, &epoch, err);
    if (status != ESP_OK)
        return status;
    pthread_mutex_lock(&writer->kafka->lock);
    *out_fence = writer->epoch->number;
    writer->epoch = epoch;
    drop_settled(epoch);
    pthread_mutex_unlock(&writer->kafka->lock);
    return ESP_OK;
}

static enum esp_status kafka_settled(struct esp_log_writer *base, uint64_t fence, bool *out_done,
                                     struct esp_error *err)
{
    struct esp_kafka_writer *writer = (struct esp_kafka_writer *)base;
    rd_kafka_poll(writer->kafka->producer, 0);
    uint64_t n_left = 0;
    pthread_mutex_lock(&writer->kafka->lock);
    for (const struct epoch *epoch = writer->epoch; epoch != NULL; epoch = epoch->before)
        n_left += epoch->number <= fence ? atomic_load(&epoch->n_outstanding) : 0;
    pthread_mutex_unlock(&writer->kafka->lock);
    enum esp_status status = check_failed(writer, err);
    uint64_t n_lost = atomic_load(&writer->n_lost);
    if (status == ESP_OK && n_lost > 0)
        status = fail_unacknowledged(writer, n_lost, true, err);
    *out_done = status == ESP_OK && n_left == 0;
    return status;
}

/* A replay overwrites by key: there is nothing to go back to. */
static bool kafka_mark(const struct esp_log_writer *writer, size_t partition,
                       struct esp_log_mark *mark)
{
    (void)writer, (void)partition, (void)mark;
    return false;
}

static void kafka_archive(struct esp_archive *archive, struct esp_log_writer *writer)
{
    (void)archive, (void)writer;
}

static const struct esp_log_writer_ops writer_ops = {
    .free = kafka_writer_free,
    .append = kafka_append,
    .wait = kafka_wait,
    .flush = kafka_flush,
    .fence = kafka_fence,
    .settled = kafka_settled,
    .mark = kafka_mark,
    .archive = kafka_archive,
};

enum esp_status esp_kafka_writer_new(struct esp_log *log,
                                     const struct esp_log_writer_config *config,
                                     struct esp_log_writer **out, struct esp_error *err)
{
    struct esp_kafka_log *kafka = (struct esp_kafka_log *)log;
    size_t n_partitions = 0;
    enum esp_status status =
        esp_kafka_partitions(log, config->topic, ESP_KAFKA_WAIT_MS * ESP_MS, &n_partitions, err);
    if (status == ESP_OK && n_partitions == 0)
        status =
            esp_fail(err, ESP_ECONFIG, "topic %s does not exist; create it first", config->topic);
    if (status != ESP_OK)
        return status;
    struct esp_kafka_writer *writer = calloc(1, sizeof *writer);
    char *topic = strdup(config->topic);
    if (writer == NULL || topic == NULL || new_epoch(writer, &writer->epoch, NULL) != ESP_OK) {
        free(writer);
        free(topic);
        return esp_fail(err, ESP_ENOMEM, "out of memory for a writer");
    }
    writer->writer.ops = &writer_ops;
    writer->kafka = kafka;
    writer->topic = topic;
    writer->n_partitions = n_partitions;
    pthread_mutex_lock(&kafka->lock);
    status = esp_kafka_need_producer(kafka, err);
    if (status == ESP_OK) {
        writer->next = kafka->writers;
        kafka->writers = writer;
        *out = &writer->writer;
    }
    pthread_mutex_unlock(&kafka->lock);
    if (status != ESP_OK) {
        free_epochs(writer->epoch);
        free(topic);
        free(writer);
    }
    return status;
}
