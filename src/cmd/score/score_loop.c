/* score_loop.c - see score_loop.h; what it opens is in score_open.c. */
#include "cmd/score/score_loop.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/topics/dead_share.h"
#include "core/logger.h"

enum { FRAMING_BYTES = 10 }; /* single-object */
static const int64_t publish_every_us = 100 * ESP_MS;
static const int64_t save_every_us = 5 * ESP_SECOND;
static const int64_t say_every_us = 60 * ESP_SECOND;
static const int64_t first_lull_us = 5 * ESP_MS, longest_lull_us = 100 * ESP_MS;
static const int64_t flush_patience_us = 60 * ESP_SECOND;

/* ---- what others see ------------------------------------------------------------------------- */

static void publish(struct score_loop *loop)
{
    struct score_status *status = &loop->status;
    status->bytes = status->damaged_files = status->skipped_bytes = 0;
    for (size_t p = 0; p < loop->n_partitions; p++) {
        struct score_partition *partition = &loop->partitions[p];
        if (partition->reader != NULL)
            esp_log_reader_stats(partition->reader, &partition->stats);
        status->bytes += partition->stats.bytes;
        status->damaged_files += partition->stats.damaged_files;
        status->skipped_bytes += partition->stats.skipped_bytes;
    }
    pthread_mutex_lock(&loop->run->lock);
    loop->shown = *status;
    pthread_mutex_unlock(&loop->run->lock);
}

/* Positions are saved once all that was written before them is safe. After a flush that failed they
 * never are: a log tells once of what it gave up, and the next flush knows nothing of it. */
static enum esp_status flush_and_save(struct score_loop *loop, struct esp_error *err)
{
    enum esp_status status = esp_log_flush(loop->writer, flush_patience_us, err);
    enum esp_status dead = outputs_flush(loop->outputs, err);
    status = status != ESP_OK ? status : dead;
    loop->has_lost |= status != ESP_OK;
    if (status != ESP_OK || loop->has_lost)
        return status;
    for (size_t p = 0; p < loop->n_partitions; p++) {
        if (loop->partitions[p].reader != NULL)
            score_positions_note(&loop->positions, p, loop->partitions[p].reader);
    }
    topic_marks_update(&loop->positions.marks[SCORE_MARKS_SCORES], loop->writer);
    topic_marks_update(&loop->positions.marks[SCORE_MARKS_DEAD], loop->outputs->dead);
    return score_positions_save(&loop->positions, err);
}

static enum esp_status now_and_then(struct score_loop *loop, struct esp_error *err)
{
    int64_t now_us = run_clock_us();
    if (now_us - loop->published_us >= publish_every_us) {
        publish(loop);
        loop->published_us = now_us;
    }
    if (now_us - loop->saved_us < save_every_us || loop->status.read == loop->saved_read)
        return ESP_OK;
    loop->saved_us = now_us;
    loop->saved_read = loop->status.read;
    return flush_and_save(loop, err);
}

/* ---- before the first batch ------------------------------------------------------------------ */

static enum esp_status fail_without_model(struct score_loop *loop, struct esp_error *err)
{
    struct esp_error why = score_models_refusal(loop->models);
    if (why.status != ESP_OK)
        return esp_fail(err, ESP_EDATA, "no model can score: %s", why.text);
    return esp_fail(err, ESP_EDATA,
                    "%s has no snapshot of %s; wait for one with --follow, or name others",
                    loop->config.source,
                    loop->config.models->n_items > 0 ? "each model that is to score" : "any model");
}

/* Errors: ESP_EDATA (bounded: there is none). */
static enum esp_status wait_for_models(struct score_loop *loop, struct esp_error *err)
{
    int64_t said_us = run_clock_us();
    loop->status.is_waiting = true;
    publish(loop);
    pulse_wait(&loop->run->pulses[SCORE_SCORING]);
    while (!atomic_load(&loop->run->stop)) {
        enum score_readiness now =
            score_models_wait(loop->models, loop->config.models, 100 * ESP_MS);
        if (now == SCORE_READY)
            break;
        if (now == SCORE_NOT_READY && !loop->config.follow)
            return fail_without_model(loop, err);
        if (run_clock_us() - said_us >= say_every_us) {
            said_us = run_clock_us();
            esp_log(ESP_INFO, "waiting for a snapshot", "source", loop->config.source, NULL);
        }
    }
    loop->status.is_waiting = false;
    loop->status.has_begun = true;
    return ESP_OK;
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static enum esp_status write_dead(struct score_loop *loop, size_t p,
                                  const struct esp_header *header, struct esp_error *err)
{
    const struct esp_turned_away event = {
        .kind = ESP_IMPRESSION,
        .partition = (uint32_t)p,
        .verdict = ESP_VERDICT_DEAD,
        .reject = header->reject,
        .offset = header->offset,
        .time_us = ESP_TIME_NONE,
        .log_time_us = header->log_time_us,
        .raw = header->raw,
    };
    loop->status.dead++;
    loop->status.dead_by_reason[header->reject]++;
    return outputs_write_turned_away(loop->outputs, &event, err);
}

static enum esp_status judge_dead_share(const struct score_loop *loop, uint64_t least_read,
                                        struct esp_error *err)
{
    const struct score_status *status = &loop->status;
    const struct dead_share share = {status->read, status->dead, status->dead_by_reason};
    return dead_share_judge(loop->inputs, ESP_IMPRESSION, &share, least_read, err);
}

/* ---- scores ---------------------------------------------------------------------------------- */

static enum esp_status write_scores(struct score_loop *loop, struct score_partition *partition,
                                    const struct score_task *task, struct esp_error *err)
{
    const uint8_t *at = task->bytes.data;
    size_t framing = loop->batch.config.is_framed ? FRAMING_BYTES : 0;
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < task->n; i++) {
        const struct score_entry *entry = &task->entries[i];
        struct esp_bytes key = esp_bytes(at, entry->key_size);
        struct esp_bytes value = esp_bytes(at + entry->key_size, entry->value_size);
        esp_hasher_add(partition->hasher, value.data + framing, value.size - framing);
        status =
            esp_log_append(loop->writer, (int32_t)entry->partition, key, value, ESP_TIME_NONE, err);
        at = value.data + value.size;
    }
    loop->status.records += task->n;
    return status;
}

static enum esp_status score_accepted(struct score_loop *loop, size_t p, size_t n,
                                      struct esp_error *err)
{
    const struct score_task *tasks = NULL;
    size_t n_tasks = 0;
    enum esp_status status =
        score_batch_run(&loop->batch, loop->models, loop->inputs->kinds[ESP_IMPRESSION].decoder,
                        loop->accepted, n, &tasks, &n_tasks, err);
    for (size_t t = 0; status == ESP_OK && t < n_tasks; t++)
        status = write_scores(loop, &loop->partitions[p], &tasks[t], err);
    if (status != ESP_OK)
        return status;
    loop->status.scored += n;
    for (size_t i = 0; i < n; i++)
        if (loop->status.time_us == ESP_TIME_NONE ||
            loop->accepted[i]->time_us > loop->status.time_us)
            loop->status.time_us = loop->accepted[i]->time_us;
    for (size_t m = 0; m < loop->models->n_active; m++)
        loop->models->active_models[m]->n_scores += n;
    return ESP_OK;
}

/* The batch that was read from a partition. */
static enum esp_status take_records(struct score_loop *loop, size_t p, size_t n,
                                    struct esp_error *err)
{
    const struct esp_decoder *decoder = loop->inputs->kinds[ESP_IMPRESSION].decoder;
    size_t n_accepted = 0;
    enum esp_status status = score_models_meet_writers(loop->models, decoder, err);
    if (status == ESP_OK && loop->models->n_active == 0)
        status = fail_without_model(loop, err);
    for (size_t i = 0; status == ESP_OK && i < n; i++) {
        if (loop->headers[i].reject == ESP_REJECT_NONE)
            loop->accepted[n_accepted++] = &loop->headers[i];
        else
            status = write_dead(loop, p, &loop->headers[i], err);
    }
    if (status == ESP_OK)
        status = score_accepted(loop, p, n_accepted, err);
    if (status != ESP_OK)
        return status;
    loop->status.read += n;
    return judge_dead_share(loop, DEAD_SHARE_AFTER, err);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Whose turn it is: one after the other, as long as they are open. */
static size_t next_partition(struct score_loop *loop)
{
    do
        loop->next = (loop->next + 1) % loop->n_partitions;
    while (loop->partitions[loop->next].reader == NULL);
    return loop->next;
}

static void close_partition(struct score_loop *loop, struct score_partition *partition)
{
    score_positions_note(&loop->positions, (size_t)(partition - loop->partitions),
                         partition->reader);
    esp_log_reader_stats(partition->reader, &partition->stats);
    esp_log_reader_free(partition->reader);
    partition->reader = NULL;
    loop->n_open--;
}

/* How long the next read may wait: once in a round that found nothing, and longer from round to
 * round, so that a silent topic costs little. */
static int64_t lull(const struct score_loop *loop)
{
    size_t n_rounds = loop->n_fruitless / loop->n_open;
    if (n_rounds == 0 || loop->n_fruitless % loop->n_open != 0)
        return 0;
    int64_t wait_us = first_lull_us * (int64_t)n_rounds;
    return wait_us < longest_lull_us ? wait_us : longest_lull_us;
}

/* Waits for schemas that must be looked up. *n becomes 0 if the run stops meanwhile: then the batch
 * counts as not read. */
static enum esp_status decode(struct score_loop *loop, size_t *n, struct esp_error *err)
{
    struct esp_error why = {0};
    enum esp_status status =
        inputs_headers(loop->inputs, ESP_IMPRESSION, loop->records, *n, loop->headers, &why);
    loop->called_off = status == ESP_EBROKER && atomic_load(&loop->run->stop);
    if (status != ESP_OK)
        *n = 0;
    return status == ESP_OK || loop->called_off ? ESP_OK : esp_fail(err, status, "%s", why.text);
}

static enum esp_status read_once(struct score_loop *loop, struct esp_error *err)
{
    size_t p = next_partition(loop), n = 0;
    struct score_partition *partition = &loop->partitions[p];
    enum esp_log_position position = ESP_LOG_MORE;
    struct esp_error why = {0};
    enum esp_status status = esp_log_read(partition->reader, loop->records, loop->config.read_batch,
                                          lull(loop), &n, &position, &why);
    if (status == ESP_EDATA)
        return esp_fail(err, status, "%s; %s says where to go on: remove it to go on elsewhere",
                        why.text, loop->positions.path);
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", why.text);
    loop->n_fruitless = n > 0 ? 0 : loop->n_fruitless + 1;
    if (status == ESP_OK && n > 0)
        status = decode(loop, &n, err);
    if (status == ESP_OK && n > 0)
        status = take_records(loop, p, n, err);
    if (status != ESP_OK || loop->called_off)
        return status;
    esp_log_reader_stats(partition->reader, &partition->stats);
    if (partition->stats.next_offset >= 0)
        loop->positions.next[p] = partition->stats.next_offset;
    if (position == ESP_LOG_ENDED)
        close_partition(loop, partition);
    return ESP_OK;
}

static enum esp_status score_all(struct score_loop *loop, struct esp_error *err)
{
    const struct esp_decoder *decoder = loop->inputs->kinds[ESP_IMPRESSION].decoder;
    enum esp_status status = wait_for_models(loop, err);
    if (status == ESP_OK) /* so that whatever is written from now on can be taken away */
        status = score_positions_save(&loop->positions, err);
    while (status == ESP_OK && loop->n_open > 0 && !atomic_load(&loop->run->stop)) {
        pulse_beat(&loop->run->pulses[SCORE_SCORING], run_clock_us());
        status = score_models_take(loop->models, decoder, err);
        if (status == ESP_OK && loop->models->n_active == 0)
            status = fail_without_model(loop, err);
        if (status == ESP_OK)
            status = score_loop_look_for_partitions(loop, run_clock_us(), err);
        if (status == ESP_OK)
            status = read_once(loop, err);
        if (status == ESP_OK)
            status = now_and_then(loop, err);
    }
    bool ended = status == ESP_OK && !atomic_load(&loop->run->stop);
    bool all_dead = loop->status.dead == loop->status.read;
    return ended ? judge_dead_share(loop, all_dead ? 1 : DEAD_SHARE_AT_END, err) : status;
}

void *score_loop_main(void *context)
{
    struct score_loop *loop = context;
    struct esp_error err = {0};
    enum esp_status status = score_all(loop, &err);
    /* Also when the run failed: what was scored before is scored. */
    enum esp_status flushed = flush_and_save(loop, &err);
    status = status != ESP_OK ? status : flushed;
    publish(loop);
    if (status != ESP_OK)
        run_fail(loop->run, &err);
    pulse_leave(&loop->run->pulses[SCORE_SCORING]);
    run_thread_ended(loop->run);
    return NULL;
}

uint64_t score_loop_hash(const struct score_loop *loop)
{
    uint64_t hash = 0;
    for (size_t p = 0; p < loop->n_partitions; p++)
        hash = esp_mix64(hash ^ esp_hasher_value(loop->partitions[p].hasher));
    return hash;
}
