/*
 * cmd_train.c - `espalier train`: builds the stages, starts the two threads, shows how it goes,
 * writes the summary.
 */
#include <argp.h>
#include <cblas.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/display.h"
#include "cmd/ingest.h"
#include "cmd/learning.h"
#include "cmd/publishing.h"
#include "cmd/stop.h"
#include "cmd/summary.h"
#include "cmd/train_pages.h"
#include "core/logger.h"
#include "model/product.h"

enum {
    BATCHES = 8, /* of examples between the threads */
    READ_BATCH = 512,
    PEEK_RECORDS = 64,
};
static const size_t most_batch_bytes = (size_t)1 << 30;
static const int64_t broker_patience_us = 10 * ESP_SECOND;

struct train_arguments {
    struct common_arguments common;
    const char *summary_path;
    bool follow;
    long read_batch;
};

enum { KEY_SUMMARY = 1000, KEY_READ_BATCH };

static const struct argp_option train_options[] = {
    {"follow", 'f', NULL, 0, "Go on when the end of the input is reached, until a signal comes", 0},
    {"summary", KEY_SUMMARY, "FILE", 0, "Write every counter, metric and weight hash as JSON", 0},
    {"read-batch", KEY_READ_BATCH, "N", OPTION_HIDDEN, "Records a read (the result is the same)",
     0},
    {0},
};

static error_t parse_train(int key, char *text, struct argp_state *state)
{
    struct train_arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        return 0;
    case 'f':
        arguments->follow = true;
        return 0;
    case KEY_SUMMARY:
        arguments->summary_path = text;
        return 0;
    case KEY_READ_BATCH:
        arguments->read_batch = strtol(text, NULL, 10);
        if (arguments->read_batch < 1 || arguments->read_batch > 65536)
            argp_error(state, "--read-batch %s: write a number from 1 to 65536", text);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is no option; the configuration is given with --config", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child train_children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp train_argp = {
    .options = train_options,
    .parser = parse_train,
    .doc = "Joins impressions, clicks and installs into examples and lets every model of the "
           "configuration learn from them.\v"
           "Figures go to stdout, logs to stderr. Exit codes: 0 done, 64 command line or "
           "configuration, 65 data, 70 a bug, 74 input or output, 75 broker or memory: try again.",
    .children = train_children,
};

/* All that a run owns, in the order in which it is built. { 0 } can be released. */
struct train {
    const struct train_arguments *arguments;
    struct config config;
    struct inputs inputs;
    struct run run;
    struct train_pages pages;
    struct esp_queue *full, *empty;
    struct esp_example_batch batches[BATCHES];
    struct outputs ingest_outputs, learning_outputs; /* one a thread */
    struct learning learning;
    struct publishing publishing;
    struct ingest ingest;
};

static void train_release(struct train *train)
{
    train_pages_stop(&train->pages);
    ingest_release(&train->ingest);
    publishing_end(&train->publishing);
    learning_release(&train->learning);
    outputs_release(&train->ingest_outputs);
    outputs_release(&train->learning_outputs);
    for (size_t i = 0; i < BATCHES; i++)
        esp_example_batch_release(&train->batches[i]);
    esp_queue_free(train->full);
    esp_queue_free(train->empty);
    run_release(&train->run);
    inputs_release(&train->inputs);
    config_release(&train->config);
}

/* From any thread that reads or writes. */
static bool wants_end(void *context)
{
    const struct train *train = context;
    return stop_asked() || atomic_load(&train->run.stop);
}

/* A broker that is away when the run starts is waited for, as one that goes away later is. */
static enum esp_status wait_for_broker(struct train *train,
                                       enum esp_status (*ask)(struct train *, struct esp_error *),
                                       struct esp_error *err)
{
    for (;;) {
        struct esp_error why = {0};
        enum esp_status status = ask(train, &why);
        if (status == ESP_OK)
            return ESP_OK;
        if (status != ESP_EBROKER || stop_asked())
            return esp_fail(err, status, "%s", why.text);
    }
}

static enum esp_status find_topics(struct train *train, struct esp_error *err)
{
    return inputs_find_topics(&train->inputs, broker_patience_us, err);
}

static enum esp_status open_readers(struct train *train, struct esp_error *err)
{
    inputs_close_readers(&train->inputs); /* of an attempt that got half way */
    return inputs_open_readers(&train->inputs, train->arguments->follow, err);
}

/* What can be wrong with schemas and topics is said before anything is learned. */
static enum esp_status look_at_inputs(struct train *train, struct esp_error *err)
{
    enum esp_status status = wait_for_broker(train, find_topics, err);
    for (int kind = 0; status == ESP_OK && kind < ESP_N_EVENT_KINDS; kind++) {
        struct input_peek peek;
        if (train->inputs.kinds[kind].n_partitions > 0 && train->config.options.files_root != NULL)
            status = inputs_peek(&train->inputs, (enum esp_event_kind)kind, PEEK_RECORDS, true,
                                 &peek, err);
    }
    return status == ESP_OK ? wait_for_broker(train, open_readers, err) : status;
}

static enum esp_status check_outputs(struct train *train, struct esp_error *err)
{
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
    enum esp_status status = esp_queue_new(BATCHES, &train->full, err);
    if (status == ESP_OK)
        status = esp_queue_new(BATCHES, &train->empty, err);
    for (size_t i = 0; status == ESP_OK && i < BATCHES; i++) {
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
    const char *path = train->arguments->summary_path;
    FILE *file = path == NULL ? NULL : fopen(path, "a");
    if (path != NULL && file == NULL)
        return esp_fail(err, ESP_ECONFIG,
                        "--summary %s: cannot be written: %s; name a file in a folder that can",
                        path, strerror(errno));
    if (file != NULL)
        fclose(file);
    return ESP_OK;
}

static enum esp_status train_build(struct train *train, struct esp_error *err)
{
    enum esp_status status = load_configuration(&train->config, &train->arguments->common, err);
    if (status == ESP_OK)
        status = check_writable(train, err);
    if (status == ESP_OK)
        status = run_init(&train->run, &train->config, err);
    if (status == ESP_OK)
        status = train_pages_start(&train->pages, &train->run, err);
    if (status == ESP_OK)
        status = inputs_open(&train->inputs, &train->config, report_log_event, NULL, err);
    if (status == ESP_OK)
        status = new_queues(train, err);
    if (status != ESP_OK)
        return status;
    esp_log_set_stop(train->inputs.log, wants_end, train);
    if (train->inputs.registry != NULL)
        registry_set_end(train->inputs.registry, wants_end, train, 0);
    const struct esp_decoder *impressions = train->inputs.kinds[ESP_IMPRESSION].decoder;
    outputs_init(&train->ingest_outputs, &train->config, train->inputs.log, impressions);
    outputs_init(&train->learning_outputs, &train->config, train->inputs.log, impressions);
    status = learning_init(&train->learning, &train->run, &train->learning_outputs, train->full,
                           train->empty, err);
    if (status == ESP_OK)
        status = look_at_inputs(train, err);
    if (status == ESP_OK)
        status = wait_for_broker(train, check_outputs, err);
    if (status == ESP_OK)
        status = publishing_start(&train->publishing, &train->run, &train->learning.snapshots, err);
    if (status != ESP_OK)
        return status;
    struct ingest_config ingest = {
        .follow = train->arguments->follow,
        .whole = learning_needs_whole(&train->learning),
        .read_batch =
            train->arguments->read_batch > 0 ? (size_t)train->arguments->read_batch : READ_BATCH,
    };
    return ingest_init(&train->ingest, &ingest, &train->run, &train->inputs, &train->ingest_outputs,
                       train->full, train->empty, err);
}

/* OpenBLAS runs on one thread inside a slice; which kernels it took decides the last bits. */
static void say_start(const struct train *train)
{
    openblas_set_num_threads(1);
    esp_log(ESP_INFO, "starting", "config", train->config.path, "log",
            esp_log_kind(train->inputs.log), "kernels", esp_product_kernels(), "openblas_core",
            openblas_get_corename(), NULL);
    const char *pinned = getenv("OPENBLAS_CORETYPE");
    if (pinned != NULL && strcmp(pinned, "") != 0)
        esp_log(
            ESP_WARN,
            "OPENBLAS_CORETYPE is set: OpenBLAS may run below this CPU's speed; unset it unless "
            "results must match another machine's",
            "OPENBLAS_CORETYPE", pinned, NULL);
}

static void run_threads(struct train *train, struct display *display)
{
    struct run *run = &train->run;
    pthread_t ingest, learning;
    run_threads_start(run, 2);
    if (pthread_create(&learning, NULL, learning_main, &train->learning) != 0) {
        run_fail(run, &(struct esp_error){ESP_ENOMEM, "cannot start a thread"});
        return;
    }
    bool ingesting = pthread_create(&ingest, NULL, ingest_main, &train->ingest) == 0;
    if (!ingesting) {
        run_fail(run, &(struct esp_error){ESP_ENOMEM, "cannot start a thread"});
        esp_queue_close(train->full);
        run_thread_ended(run);
    }
    bool said = false;
    while (!run_wait(run, 50 * ESP_MS)) {
        if (stop_asked() && !said) {
            said = true;
            esp_log(ESP_INFO, "stopping: the batch under way is finished", NULL);
            atomic_store(&run->stop, true);
        }
        display_refresh(display);
    }
    if (ingesting)
        pthread_join(ingest, NULL);
    pthread_join(learning, NULL);
}

static int train_run(struct train *train)
{
    say_start(train);
    struct display display;
    display_init(&display, &train->run, train->arguments->follow);
    run_threads(train, &display);
    publishing_end(&train->publishing);
    display_end(&display);
    display_write(&display, stdout);
    struct esp_error err = train->run.failure;
    if (fflush(stdout) != 0)
        esp_fail(&err, ESP_EIO, "standard output cannot be written: %s", strerror(errno));
    if (train->arguments->summary_path != NULL)
        summary_write(train->arguments->summary_path, &train->run, &train->inputs, &train->learning,
                      &err);
    return exit_with(&err);
}

int cmd_train(int argc, char **argv)
{
    struct train_arguments arguments = {0};
    argp_err_exit_status = EX_USAGE;
    if (argp_parse(&train_argp, argc, argv, 0, NULL, &arguments) != 0)
        return EX_USAGE;
    stop_install();
    struct train *train = calloc(1, sizeof *train);
    if (train == NULL)
        return EX_TEMPFAIL;
    train->arguments = &arguments;
    struct esp_error err = {0};
    int code = train_build(train, &err) == ESP_OK ? train_run(train) : exit_with(&err);
    train_release(train);
    free(train);
    common_arguments_release(&arguments.common);
    return code;
}
