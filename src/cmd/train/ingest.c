/*
 * ingest.c - one loop: read a batch of the partition furthest behind, decode it, push it into the
 * join, drain the labels that are due, sample them, hand the survivors over.
 *
 * Nothing here decides what is learned: how much is read at a time, and when a batch is handed
 * over, changes the speed alone.
 */
#include "cmd/train/ingest.h"

#include <stdlib.h>

#include "cmd/topics/dead_share.h"
#include "core/logger.h"

enum {
    LABELS_A_CALL = 512,
    EXAMPLES_A_BATCH = 2048,
    BATCH_BYTES = 16 << 20, /* a batch is handed over early past this much */
};
static const int64_t publish_every_us = 100 * ESP_MS;
static const int64_t commit_every_us = 5 * ESP_SECOND;

/* ---- set-up ---------------------------------------------------------------------------------- */

static bool whole_wanted(void *context, const struct esp_label *label)
{
    struct ingest *ingest = context;
    struct esp_sample sample;
    esp_sampler_decide(&ingest->sampler, ingest->inputs->kinds[ESP_IMPRESSION].decoder, label,
                       &sample);
    return sample.kept && !sample.holdout;
}

static enum esp_status new_joiner(struct ingest *ingest, struct esp_error *err)
{
    const struct options *options = &ingest->run->config->options;
    struct esp_joiner_config joiner = {
        .click_window_us = options->click_window_us,
        .install_window_us = options->install_window_us,
        .future_us = options->future_us,
        .ahead_us = options->ahead_us,
        .idle_lag_us = options->idle_lag_us,
        .max_store_bytes = options->join_memory,
        .store = join_store_lend(ingest->config.store),
        .installs_by_click = options->inputs[ESP_INSTALL].refers_to == REFERS_TO_CLICK,
        .whole_wanted = ingest->config.whole ? whole_wanted : NULL,
        .whole_context = ingest,
    };
    struct esp_intake_config intake = {
        .skew_us = options->skew_us,
        .idle_after_us = options->idle_after_us,
        .follow = ingest->config.follow,
        .close_at_end = ingest->run->config->closes_at_end,
    };
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        joiner.grace_us[kind] = options->inputs[kind].grace_us;
        joiner.n_partitions[kind] = ingest->inputs->kinds[kind].n_partitions;
        intake.n_partitions[kind] = ingest->inputs->kinds[kind].n_partitions;
    }
    enum esp_status status = esp_joiner_new(&joiner, &ingest->joiner, err);
    if (status != ESP_OK)
        return status;
    return esp_intake_new(&intake, ingest->joiner, &ingest->intake, err);
}

enum esp_status ingest_init(struct ingest *ingest, const struct ingest_config *config,
                            struct run *run, struct inputs *inputs, struct outputs *outputs,
                            struct esp_queue *full, struct esp_queue *empty, struct esp_error *err)
{
    *ingest = (struct ingest){
        .config = *config,
        .run = run,
        .inputs = inputs,
        .outputs = outputs,
        .full = full,
        .empty = empty,
        .sampler = config_sampler(run->config),
        .learned_before_us = INT64_MIN,
    };
    enum esp_status status = esp_sampler_validate(&ingest->sampler, err);
    if (status != ESP_OK)
        return status;
    ingest->records = calloc(config->read_batch, sizeof *ingest->records);
    ingest->headers = calloc(config->read_batch, sizeof *ingest->headers);
    ingest->labels = calloc(LABELS_A_CALL, sizeof *ingest->labels);
    if (ingest->records == NULL || ingest->headers == NULL || ingest->labels == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu records", config->read_batch);
    return new_joiner(ingest, err);
}

void ingest_release(struct ingest *ingest)
{
    esp_intake_free(ingest->intake);
    esp_joiner_free(ingest->joiner);
    free(ingest->records);
    free(ingest->headers);
    free(ingest->labels);
    *ingest = (struct ingest){0};
}

void ingest_archive(struct esp_archive *archive, struct ingest *ingest)
{
    struct ingest_status *status = &ingest->status;
    esp_archive_mark(archive, "ingest", 1);
    esp_joiner_archive(archive, ingest->joiner);
    const struct esp_decoder *impressions = ingest->inputs->kinds[ESP_IMPRESSION].decoder;
    esp_archive_check(archive,
                      esp_joiner_n_writers(ingest->joiner) <= esp_decoder_n_writers(impressions),
                      "the schema of an impression");
    esp_intake_archive(archive, ingest->intake);
    for (size_t stage = 0; stage < sizeof status->labels / sizeof status->labels[0]; stage++)
        esp_archive_u64(archive, &status->labels[stage]);
    esp_archive_u64(archive, &status->kept);
    esp_archive_u64(archive, &status->sampled_out);
    esp_archive_u64(archive, &status->holdout);
    esp_archive_u64(archive, &status->labels_before);
    esp_archive_i64(archive, &ingest->learned_before_us);
    esp_archive_bool(archive, &status->is_over);
}

/* ---- what others see ------------------------------------------------------------------------- */

/* Notes where every reader is. Call with the run's lock held. Out of memory, they stay as they
 * were: they are a hint. */
static void publish_positions(struct ingest *ingest, size_t n_partitions)
{
    struct run_positions *positions = &ingest->run->positions;
    void *items = positions->items;
    enum esp_status status =
        esp_array_grow(&items, &positions->capacity, n_partitions, sizeof *positions->items, NULL);
    positions->items = items;
    if (status != ESP_OK)
        return;
    positions->n = 0;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct input *input = &ingest->inputs->kinds[kind];
        for (size_t p = 0; p < input->n_partitions; p++) {
            positions->items[positions->n++] = (struct esp_input_offset){
                .topic = esp_bytes_of(ingest->run->config->options.inputs[kind].topic),
                .partition = (int32_t)p,
                .offset = input->next[p].offset,
            };
        }
    }
}

static void publish(struct ingest *ingest)
{
    struct ingest_status *status = &ingest->status;
    uint64_t n_read = 0;
    size_t n_partitions = 0;
    status->bytes = status->damaged_files = status->skipped_bytes = status->gap_records = 0;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct input *input = &ingest->inputs->kinds[kind];
        esp_joiner_counters(ingest->joiner, (enum esp_event_kind)kind, &status->counters[kind]);
        status->n_partitions[kind] = input->n_partitions;
        n_read += status->counters[kind].read;
        n_partitions += input->n_partitions;
        struct input_read read = inputs_read(input);
        status->bytes += read.bytes;
        status->damaged_files += read.damaged_files;
        status->skipped_bytes += read.skipped_bytes;
        status->gap_records += read.gap_records;
    }
    esp_joiner_usage(ingest->joiner, &status->usage);
    join_store_watch(ingest->config.store, ingest->joiner, &status->usage);
    status->watermark_us = esp_joiner_watermark(ingest->joiner);
    status->n_idle = esp_intake_n_idle(ingest->intake);
    status->n_paused = esp_intake_n_paused(ingest->intake);
    status->is_ready = n_read > 0 || esp_intake_n_reached(ingest->intake) == n_partitions;
    pthread_mutex_lock(&ingest->run->lock);
    ingest->run->ingest = *status;
    publish_positions(ingest, n_partitions);
    pthread_mutex_unlock(&ingest->run->lock);
}

static void commit_all(struct ingest *ingest)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct input *input = &ingest->inputs->kinds[kind];
        for (size_t p = 0; p < input->n_partitions; p++)
            if (input->readers[p] != NULL)
                esp_log_commit(input->readers[p]);
    }
}

static void publish_now_and_then(struct ingest *ingest, int64_t now_us)
{
    if (now_us - ingest->published_us >= publish_every_us) {
        publish(ingest);
        ingest->published_us = now_us;
    }
    if (now_us - ingest->committed_us >= commit_every_us) {
        commit_all(ingest);
        ingest->committed_us = now_us;
    }
}

/* ---- labels to examples ---------------------------------------------------------------------- */

/* The learning thread is waited for in two places: here the pulse says so. */
static bool push_waiting(struct ingest *ingest, struct esp_example_batch *batch)
{
    run_waits(ingest->run, RUN_INGEST);
    bool pushed = esp_queue_push(ingest->full, batch);
    run_beat(ingest->run, RUN_INGEST);
    return pushed;
}

static struct esp_example_batch *pop_waiting(struct ingest *ingest)
{
    run_waits(ingest->run, RUN_INGEST);
    struct esp_example_batch *batch = esp_queue_pop(ingest->empty);
    run_beat(ingest->run, RUN_INGEST);
    return batch;
}

/* Gives the filled batch to the learning thread; waits while that is behind. */
static bool hand_over(struct ingest *ingest)
{
    struct esp_example_batch *batch = ingest->batch;
    if (batch == NULL || batch->n == 0)
        return true;
    batch->watermark_us = esp_joiner_watermark(ingest->joiner);
    esp_example_batch_seal(batch);
    ingest->batch = NULL;
    return push_waiting(ingest, batch);
}

static void count_label(struct ingest *ingest, const struct esp_label *label,
                        const struct esp_sample *sample)
{
    ingest->status.labels[label->stage]++;
    if (label->stage != ESP_STAGE_CLICK)
        return;
    ingest->status.kept += sample->kept;
    ingest->status.sampled_out += !sample->kept;
    ingest->status.holdout += sample->kept && sample->holdout;
}

/* Where the partitions are read again from for labels due from a boundary on: of all of them, or,
 * where the join has no such point of one, of none. */
static enum esp_status find_rewinds(const struct ingest *ingest, int64_t boundary_us,
                                    struct rewinds *out, struct esp_error *err)
{
    int64_t before_us = boundary_us - esp_joiner_reach_us(ingest->joiner);
    size_t n_partitions = 0;
    bool known = true;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        n_partitions += ingest->inputs->kinds[kind].n_partitions;
    out->items = calloc(n_partitions + 1, sizeof *out->items);
    if (out->items == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu partitions", n_partitions);
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (uint32_t p = 0; known && p < ingest->inputs->kinds[kind].n_partitions; p++) {
            struct esp_rewind point;
            known = esp_joiner_rewind_point(ingest->joiner, (enum esp_event_kind)kind, p, before_us,
                                            &point);
            if (known)
                out->items[out->n++] = (struct esp_rewind_offset){
                    .topic = esp_bytes_of(ingest->run->config->options.inputs[kind].topic),
                    .partition = (int32_t)p,
                    .offset = point.offset,
                    .largest_us = point.largest_us,
                };
        }
    if (!known)
        rewinds_release(out);
    return ESP_OK;
}

static enum esp_status note_crossing(struct ingest *ingest, int64_t boundary_us,
                                     struct esp_error *err)
{
    struct crossing crossing = {.boundary_us = boundary_us};
    bool is_kafka = ingest->run->config->options.files_root == NULL; /* see publishing.h */
    enum esp_status status = find_rewinds(ingest, boundary_us, &crossing.rewinds, err);
    if (status == ESP_OK && is_kafka)
        status = outputs_fence(ingest->outputs, &crossing.fences, err);
    if (status == ESP_OK)
        return crossings_note(&ingest->run->crossings, &crossing, err);
    crossing_release(&crossing);
    return status;
}

static enum esp_status take_labels(struct ingest *ingest, size_t n, struct esp_error *err)
{
    const struct esp_decoder *decoder = ingest->inputs->kinds[ESP_IMPRESSION].decoder;
    for (size_t i = 0; i < n; i++) {
        const struct esp_label *label = &ingest->labels[i];
        struct esp_sample sample;
        if (label->maturity_us < ingest->learned_before_us) {
            ingest->status.labels_before++;
            continue;
        }
        esp_sampler_decide(&ingest->sampler, decoder, label, &sample);
        count_label(ingest, label, &sample);
        int64_t boundary_us;
        enum esp_status status =
            crossings_meets(&ingest->run->crossings, label->maturity_us, &boundary_us)
                ? note_crossing(ingest, boundary_us, err)
                : ESP_OK;
        if (status != ESP_OK)
            return status;
        if (!sample.kept)
            continue;
        crossings_kept(&ingest->run->crossings);
        if (ingest->batch == NULL && (ingest->batch = pop_waiting(ingest)) == NULL)
            return ESP_OK; /* closed: the run is stopping */
        status = esp_example_batch_add(ingest->batch, label, &sample,
                                       esp_decoder_writer(decoder, label->writer), err);
        if (status != ESP_OK)
            return status;
        bool full =
            ingest->batch->n >= EXAMPLES_A_BATCH || ingest->batch->bytes.size >= BATCH_BYTES;
        if (full && !hand_over(ingest))
            return ESP_OK;
    }
    return ESP_OK;
}

static enum esp_status drain(struct ingest *ingest, struct esp_error *err)
{
    size_t n = LABELS_A_CALL;
    while (n == LABELS_A_CALL && !atomic_load(&ingest->run->stop)) {
        run_beat(ingest->run, RUN_INGEST);
        enum esp_status status =
            esp_joiner_advance(ingest->joiner, ingest->labels, LABELS_A_CALL, &n, err);
        if (status == ESP_OK)
            status = take_labels(ingest, n, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

/* ---- partitions that are added --------------------------------------------------------------- */

static enum esp_status look_at_topic(struct ingest *ingest, enum esp_event_kind kind,
                                     struct esp_error *err)
{
    struct esp_error why = {0};
    size_t n = 0;
    enum esp_status status = inputs_open_new_partitions(ingest->inputs, kind, &n, &why);
    if (status == ESP_EBROKER)
        return ESP_OK; /* the log tells of brokers that are away; the next look is soon */
    if (status == ESP_OK && n > 0)
        status = esp_intake_add_partitions(ingest->intake, kind, n, &why);
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", why.text);
    if (n == 0)
        return ESP_OK;
    size_t n_now = ingest->inputs->kinds[kind].n_partitions;
    esp_logf(ESP_INFO,
             "topic %s has %zu partitions now, %zu before; new ones are read from the start",
             ingest->run->config->options.inputs[kind].topic, n_now, n_now - n);
    return ESP_OK;
}

static enum esp_status look_for_partitions(struct ingest *ingest, int64_t now_us,
                                           struct esp_error *err)
{
    const struct options *options = &ingest->run->config->options;
    enum esp_status status = ESP_OK;
    if (!ingest->config.follow || now_us - ingest->looked_us < options->look_every_us)
        return ESP_OK;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS && status == ESP_OK; kind++) {
        if (ingest->inputs->kinds[kind].n_partitions > 0)
            status = look_at_topic(ingest, (enum esp_event_kind)kind, err);
    }
    ingest->looked_us = run_clock_us();
    return status;
}

/* ---- records to labels ----------------------------------------------------------------------- */

static enum esp_status write_turned_away(struct ingest *ingest, struct esp_error *err)
{
    size_t n = 0;
    const struct esp_turned_away *events = esp_joiner_turned_away(ingest->joiner, &n);
    for (size_t i = 0; i < n; i++) {
        enum esp_status status = outputs_write_turned_away(ingest->outputs, &events[i], err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

static enum esp_status judge_dead_share(struct ingest *ingest, enum esp_event_kind kind,
                                        uint64_t least_read, struct esp_error *err)
{
    struct esp_join_counters counters;
    esp_joiner_counters(ingest->joiner, kind, &counters);
    const struct dead_share share = {counters.read, counters.dead, counters.dead_by_reason};
    return dead_share_judge(ingest->inputs, kind, &share, least_read, err);
}

/* Waits for schemas that must be looked up. *n becomes 0 if the run stops meanwhile: then the batch
 * counts as not read. */
static enum esp_status decode(struct ingest *ingest, enum esp_event_kind kind, size_t *n,
                              struct esp_error *err)
{
    struct esp_error why = {0};
    enum esp_status status =
        inputs_headers(ingest->inputs, kind, ingest->records, *n, ingest->headers, &why);
    ingest->called_off = status == ESP_EBROKER && esp_log_stops(ingest->inputs->log);
    if (ingest->called_off)
        atomic_store(&ingest->run->stop, true); /* before anything that comes after is read */
    if (status != ESP_OK)
        *n = 0;
    return status == ESP_OK || ingest->called_off ? ESP_OK : esp_fail(err, status, "%s", why.text);
}

/* Everything that its reader gave so far is in the join. */
static void note_taken(struct input *input, uint32_t partition)
{
    esp_log_reader_place(input->readers[partition], &input->next[partition]);
}

static enum esp_status read_once(struct ingest *ingest, enum esp_event_kind kind,
                                 uint32_t partition, int64_t wait_us, size_t *out_n,
                                 struct esp_error *err)
{
    struct input *input = &ingest->inputs->kinds[kind];
    enum esp_log_position position = ESP_LOG_MORE;
    struct esp_error why = {0};
    enum esp_status status =
        esp_log_read(input->readers[partition], ingest->records, ingest->config.read_batch, wait_us,
                     out_n, &position, &why);
    if (status == ESP_EDATA)
        return inputs_pass_gap(ingest->inputs, kind, partition, ingest->config.follow, &why, err);
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", why.text);
    if (*out_n > 0) {
        status = decode(ingest, kind, out_n, err);
        if (status != ESP_OK || ingest->called_off)
            return status;
        status = esp_joiner_push(ingest->joiner, kind, partition, ingest->headers, *out_n, err);
        if (status == ESP_OK)
            status = write_turned_away(ingest, err);
        if (status == ESP_OK)
            status = judge_dead_share(ingest, kind, DEAD_SHARE_AFTER, err);
        if (status != ESP_OK)
            return status;
    }
    note_taken(input, partition);
    status =
        esp_intake_note(ingest->intake, kind, partition, *out_n, position, run_clock_us(), err);
    return status == ESP_OK && position == ESP_LOG_ENDED ? write_turned_away(ingest, err) : status;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static uint64_t n_read(const struct ingest *ingest)
{
    uint64_t n = 0;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct esp_join_counters counters;
        esp_joiner_counters(ingest->joiner, (enum esp_event_kind)kind, &counters);
        n += counters.read;
    }
    return n;
}

/* Everything that was read is in the join or handed over; the learning thread has learned what it
 * got. False: that has ended. */
static bool stand_still(struct ingest *ingest)
{
    if (!hand_over(ingest))
        return false;
    run_waits(ingest->run, RUN_INGEST);
    bool stands = barrier_close(&ingest->run->barrier, ingest->full);
    run_beat(ingest->run, RUN_INGEST);
    return stands;
}

static void checkpoint_now_and_then(struct ingest *ingest, int64_t now_us)
{
    if (ingest->checkpoints == NULL)
        return;
    int64_t watermark_us = esp_joiner_watermark(ingest->joiner);
    checkpoints_tick(ingest->checkpoints, now_us);
    if (!checkpoints_due(ingest->checkpoints, now_us, watermark_us, n_read(ingest)) ||
        !stand_still(ingest))
        return;
    publish(ingest);
    /* From here on both threads stand: until now the other one has worked on its queue. */
    checkpoints_begin(ingest->checkpoints, run_clock_us(), watermark_us, n_read(ingest));
    barrier_open(&ingest->run->barrier);
}

static enum esp_status read_all(struct ingest *ingest, struct esp_error *err)
{
    ingest->looked_us = run_clock_us();
    while (!atomic_load(&ingest->run->stop)) {
        enum esp_event_kind kind;
        uint32_t partition;
        int64_t wait_us = 0, now_us = run_clock_us();
        pulse_beat(&ingest->run->pulses[RUN_INGEST], now_us);
        publish_now_and_then(ingest, now_us);
        checkpoint_now_and_then(ingest, now_us);
        enum esp_status status = look_for_partitions(ingest, now_us, err);
        if (status != ESP_OK)
            return status;
        if (esp_intake_next(ingest->intake, now_us, &kind, &partition, &wait_us) == ESP_INTAKE_DONE)
            return ESP_OK;
        size_t n = 0;
        status = read_once(ingest, kind, partition, wait_us, &n, err);
        if (status == ESP_OK)
            status = drain(ingest, err);
        if (status != ESP_OK)
            return status;
        if (n == 0 && !hand_over(ingest)) /* a lull: what there is need not wait for more */
            return ESP_OK;
    }
    return ESP_OK;
}

static enum esp_status finish(struct ingest *ingest, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    bool ended = !atomic_load(&ingest->run->stop);
    for (int kind = 0; ended && kind < ESP_N_EVENT_KINDS && status == ESP_OK; kind++) {
        struct esp_join_counters counters;
        esp_joiner_counters(ingest->joiner, (enum esp_event_kind)kind, &counters);
        uint64_t least = counters.dead == counters.read ? 1 : DEAD_SHARE_AT_END;
        status = judge_dead_share(ingest, (enum esp_event_kind)kind, least, err);
    }
    /* Time that a run before has ended stays so. */
    bool closes =
        ended && (ingest->run->config->closes_at_end || esp_joiner_is_closed(ingest->joiner));
    if (status == ESP_OK && closes) {
        status = esp_joiner_close(ingest->joiner, err);
        if (status == ESP_OK)
            status = write_turned_away(ingest, err);
    }
    if (status == ESP_OK)
        status = drain(ingest, err);
    /* A stop ends the draining, too: labels may be left that the next run learns. */
    closes &= !atomic_load(&ingest->run->stop);
    int64_t boundary_us;
    if (status == ESP_OK && closes && crossings_ends(&ingest->run->crossings, &boundary_us))
        status = note_crossing(ingest, boundary_us, err);
    if (status == ESP_OK)
        ingest->status.is_over = hand_over(ingest) && closes;
    return status;
}

void *ingest_main(void *context)
{
    struct ingest *ingest = context;
    struct esp_error err = {0};
    enum esp_status status = ESP_OK;
    if (!ingest->status.is_over) {
        status = read_all(ingest, &err);
        if (status == ESP_OK)
            status = finish(ingest, &err);
    }
    /* Also when the run failed: the dead letters that made it fail are what the user wants to see.
     */
    struct esp_error lost = {0};
    if (ingest->checkpoints != NULL)
        checkpoints_leave(ingest->checkpoints);
    outputs_flush(ingest->outputs, &lost);
    if (!ingest->called_off)
        commit_all(ingest);
    publish(ingest);
    if (status != ESP_OK)
        run_fail(ingest->run, &err);
    if (lost.status != ESP_OK)
        run_fail(ingest->run, &lost);
    esp_queue_close(ingest->full);
    pulse_leave(&ingest->run->pulses[RUN_INGEST]);
    run_thread_ended(ingest->run);
    return NULL;
}
