/* train.c - see train.h. */
#include "cmd/train/train.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/config/arguments.h"
#include "cmd/train/train_state.h"
#include "core/logger.h"
#include "core/version.h"
#include "model/product.h"

enum { PEEK_RECORDS = 64 };
static const size_t most_batch_bytes = (size_t)1 << 30;
static const int64_t broker_patience_us = 10 * ESP_SECOND;

void train_release(struct train *train)
{
    train_pages_stop(&train->pages);
    ingest_release(&train->ingest);
    join_store_release(&train->store);
    checkpoints_release(&train->checkpoints);
    publishing_end(&train->publishing);
    learning_release(&train->learning);
    outputs_release(&train->ingest_outputs);
    outputs_release(&train->learning_outputs);
    fences_release(&train->checkpoint_fences);
    for (size_t i = 0; i < TRAIN_BATCHES; i++)
        esp_example_batch_release(&train->batches[i]);
    esp_queue_free(train->full);
    esp_queue_free(train->empty);
    run_release(&train->run);
    inputs_release(&train->inputs);
    recovery_release(&train->recovery);
    lost_state_release(&train->lost);
    free(train->state_text);
    free(train->build);
    esp_state_folder_close(train->folder);
    config_release(&train->config);
}

/* ---- what it goes on from -------------------------------------------------------------------- */

/* Of the program and the CPU, what decides the last bits: lines "name = value". */
static char *build_text(void)
{
    char *text = NULL;
    int n = asprintf(&text, "espalier = %s\nkernels = %s\nOpenBLAS core = %s\n", ESP_BUILD_VERSION,
                     esp_product_kernels(), openblas_get_corename());
    return n < 0 ? NULL : text;
}

/* A run without checkpoints leaves none of the folder's snapshots: not beside a run's that goes on
 * from checkpoints, which may need them. */
static enum esp_status check_no_state(const struct train *train, struct esp_error *err)
{
    char where[512];
    uint64_t *numbers = NULL;
    size_t n = 0;
    enum esp_status status = esp_checkpoint_list(train->folder, &numbers, &n, err);
    free(numbers);
    if (status != ESP_OK || n == 0)
        return status;
    return esp_fail(
        err, ESP_ECONFIG,
        "%s: in %s are the checkpoints of a run that goes on from them, and this one keeps none: "
        "start it with --follow or [state] checkpoints = on to go on, or name another folder",
        config_place(&train->config, "state", "folder", where, sizeof where),
        train->config.options.state_folder);
}

static enum esp_status find_state(struct train *train, struct esp_error *err)
{
    const struct config *config = &train->config;
    enum esp_status status = ESP_OK;
    if (config->has_checkpoints || config->options.snapshot_every_us > 0)
        status = esp_state_folder_open(config->options.state_folder, ESP_STATE_LOCK, &train->folder,
                                       err);
    if (status == ESP_OK && !config->has_checkpoints && train->folder != NULL)
        status = check_no_state(train, err);
    if (status != ESP_OK || !config->has_checkpoints)
        return status;
    struct esp_buf text;
    esp_buf_init(&text, ESP_CHECKPOINT_TEXT_SIZE);
    status = config_state(config, &text, err);
    train->state_text = (char *)text.data; /* owned from here on */
    train->build = build_text();
    if (status == ESP_OK && train->build == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory");
    return status == ESP_OK ? recovery_choose(&train->recovery, train, err) : status;
}

/* ---- the inputs ------------------------------------------------------------------------------ */

static enum esp_status find_topics(void *context, struct esp_error *err)
{
    struct train *train = context;
    return inputs_find_topics(&train->inputs, broker_patience_us, err);
}

static enum esp_status open_readers(void *context, struct esp_error *err)
{
    struct train *train = context;
    inputs_close_readers(&train->inputs); /* of an attempt that got half way */
    return inputs_open_readers(&train->inputs, train->arguments->follow, err);
}

static enum esp_status find_snapshots(void *context, struct esp_error *err)
{
    struct train *train = context;
    lost_state_release(&train->lost);
    return lost_state_find(&train->lost, train, err);
}

/* What can be wrong with schemas and topics is said before anything is learned. A run that goes on
 * knows its schemas. */
static enum esp_status look_at_inputs(struct train *train, struct esp_error *err)
{
    enum esp_status status = run_when_broker_is_there(find_topics, train, err);
    train->lost.boundary_us = ESP_TIME_NONE;
    if (status == ESP_OK && train->recovery.from != NULL) {
        status = train_state_read_inputs(train, train->recovery.from, err);
        train->recovery.is_unfit = status == ESP_EDATA;
        return status;
    }
    for (int kind = 0; status == ESP_OK && kind < ESP_N_EVENT_KINDS; kind++) {
        struct input_peek peek;
        if (train->inputs.kinds[kind].n_partitions > 0 && train->config.options.files_root != NULL)
            status = inputs_peek(&train->inputs, (enum esp_event_kind)kind, PEEK_RECORDS, true,
                                 &peek, err);
    }
    if (status == ESP_OK && train->config.has_checkpoints)
        status = run_when_broker_is_there(find_snapshots, train, err);
    return status;
}

static enum esp_status check_outputs(void *context, struct esp_error *err)
{
    const struct train *train = context;
    if (train->config.options.files_root != NULL)
        return ESP_OK; /* folders are made as records come */
    struct output_topic topics[N_OUTPUT_TOPICS];
    outputs_topics(&train->config, topics);
    for (size_t i = 0; i < N_OUTPUT_TOPICS; i++) {
        size_t n = 0;
        enum esp_status status =
            topics[i].wanted
                ? esp_log_partitions(train->inputs.log, topics[i].name, broker_patience_us, &n, err)
                : ESP_OK;
        if (status != ESP_OK)
            return status;
        if (topics[i].wanted && n == 0)
            return esp_fail(err, ESP_ECONFIG,
                            "output topic %s does not exist; run `espalier check --config %s "
                            "--create-topics` once",
                            topics[i].name, train->config.path);
    }
    return ESP_OK;
}

static enum esp_status new_queues(struct train *train, struct esp_error *err)
{
    enum esp_status status = esp_queue_new(TRAIN_BATCHES, &train->full, err);
    if (status == ESP_OK)
        status = esp_queue_new(TRAIN_BATCHES, &train->empty, err);
    for (size_t i = 0; status == ESP_OK && i < TRAIN_BATCHES; i++) {
        esp_example_batch_init(&train->batches[i], most_batch_bytes);
        esp_queue_push(train->empty, &train->batches[i]);
    }
    return status;
}

/* What a run writes only at its end must not fail only there. */
static enum esp_status check_writable(const struct train *train, struct esp_error *err)
{
    enum esp_status status = outputs_check_folder(&train->config, "output", "faults",
                                                  train->config.options.fault_folder, false, err);
    if (status != ESP_OK)
        return status;
    return run_check_summary(train->arguments, err);
}

/* The configuration, the state that is there, the log and what stands between the threads. */
static enum esp_status open_all(struct train *train, struct esp_error *err)
{
    enum esp_status status = load_configuration(&train->config, &train->arguments->common, err);
    config_settle(&train->config, train->arguments->follow);
    if (status == ESP_OK)
        status = check_writable(train, err);
    if (status == ESP_OK)
        status = run_init(&train->run, &train->config, err);
    if (status == ESP_OK)
        status = find_state(train, err);
    if (status == ESP_OK)
        status = train_pages_start(&train->pages, &train->run, err);
    if (status == ESP_OK)
        status = inputs_open(&train->inputs, &train->config, report_log_event, NULL, err);
    return status == ESP_OK ? new_queues(train, err) : status;
}

static enum esp_status make_ingest(struct train *train, struct esp_error *err)
{
    struct ingest_config ingest = {
        .follow = train->arguments->follow,
        .whole = learning_needs_whole(&train->learning),
        .read_batch = train->arguments->read_batch,
        .store = &train->store,
    };
    enum esp_status status = join_store_open(&train->store, train->config.options.state_folder,
                                             train->config.has_checkpoints, err);
    if (status == ESP_OK)
        status = ingest_init(&train->ingest, &ingest, &train->run, &train->inputs,
                             &train->ingest_outputs, train->full, train->empty, err);
    if (status != ESP_OK || !train->config.has_checkpoints)
        return status;
    train->ingest.checkpoints = &train->checkpoints;
    return checkpoints_init(&train->checkpoints, train, train->recovery.next, err);
}

/* The stages, which nothing has filled yet. */
static enum esp_status make_stages(struct train *train, struct esp_error *err)
{
    esp_log_set_stop(train->inputs.log, run_time_left, NULL);
    if (train->inputs.registry != NULL)
        registry_set_end(train->inputs.registry, run_wants_end, &train->run, 0);
    const struct esp_decoder *impressions = train->inputs.kinds[ESP_IMPRESSION].decoder;
    unsigned learned = (train->config.options.write_examples ? OUTPUT_EXAMPLES : 0) |
                       (train->config.has_drift ? OUTPUT_DRIFT : 0);
    outputs_init(&train->ingest_outputs, OUTPUT_LATE | OUTPUT_DEAD, &train->config,
                 train->inputs.log, impressions);
    outputs_init(&train->learning_outputs, learned, &train->config, train->inputs.log, impressions);
    enum esp_status status = learning_init(&train->learning, &train->run, &train->learning_outputs,
                                           train->full, train->empty, err);
    publishing_init(&train->publishing, &train->run, &train->learning.snapshots,
                    &train->learning_outputs);
    if (status == ESP_OK)
        status = look_at_inputs(train, err);
    if (status == ESP_OK)
        status = run_when_broker_is_there(open_readers, train, err);
    if (status == ESP_OK)
        status = run_when_broker_is_there(check_outputs, train, err);
    return status == ESP_OK ? make_ingest(train, err) : status;
}

/* Fills the stages, and leaves of what is outside only what they know of. */
static enum esp_status go_on(struct train *train, struct esp_error *err)
{
    enum esp_status status = train_state_read(train, train->recovery.from, err);
    train->recovery.is_unfit = status == ESP_EDATA;
    if (status == ESP_OK)
        status = outputs_cut_back(&train->ingest_outputs, err);
    return status == ESP_OK ? outputs_cut_back(&train->learning_outputs, err) : status;
}

/* A first checkpoint comes before the first record: it says where the outputs began. */
static enum esp_status begin(struct train *train, struct esp_error *err)
{
    if (!train->config.has_checkpoints)
        return ESP_OK;
    enum esp_status status = lost_state_resume(&train->lost, train, err);
    if (status == ESP_OK)
        status = outputs_begin(&train->ingest_outputs, err);
    if (status == ESP_OK)
        status = outputs_begin(&train->learning_outputs, err);
    return status == ESP_OK ? checkpoints_write(&train->checkpoints, ESP_TIME_NONE, err) : status;
}

static enum esp_status build_once(struct train *train, struct esp_error *err)
{
    enum esp_status status = open_all(train, err);
    if (status == ESP_OK)
        status = make_stages(train, err);
    if (status == ESP_OK)
        status = train->recovery.from != NULL ? go_on(train, err) : begin(train, err);
    if (status == ESP_OK && train->folder != NULL)
        join_store_sweep(&train->store, train->folder, train->ingest.joiner);
    if (status == ESP_OK)
        snapshots_tidy(&train->learning.snapshots);
    if (status == ESP_OK)
        status = publishing_start(&train->publishing, err);
    return status;
}

static void say_time_has_ended(const struct train *train)
{
    if (train->learning.is_over)
        esp_log(ESP_INFO,
                "this run is complete: its time was ended (input.at_end = close); to begin anew, "
                "give it another [state] folder and set [state] lost = restart",
                NULL);
    else if (esp_joiner_is_closed(train->ingest.joiner))
        esp_log(ESP_INFO,
                "the run before has ended time (input.at_end = close) and was stopped before all "
                "was learned: that is done now, and nothing more is read",
                NULL);
}

enum esp_status train_build(struct train *train, struct esp_error *err)
{
    const struct run_arguments *arguments = train->arguments;
    for (;;) {
        struct esp_error why = {0};
        enum esp_status status = build_once(train, &why);
        if (status == ESP_OK)
            break;
        /* A checkpoint whose sums are right and whose content is not: the one before is taken. */
        if (!recovery_refuse(&train->recovery, train, &why))
            return esp_fail(err, status, "%s", why.text);
        train_release(train);
        *train = (struct train){.arguments = arguments};
    }
    recovery_release(&train->recovery);
    say_time_has_ended(train);
    return ESP_OK;
}
