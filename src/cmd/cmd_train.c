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
#include "cmd/long_run.h"
#include "cmd/publishing.h"
#include "cmd/stop.h"
#include "cmd/summary.h"
#include "cmd/supervise.h"
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

static error_t parse_train(int key, char *text, struct argp_state *state)
{
    (void)text;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static const struct argp_child train_children[] = {{&run_argp, 0, NULL, 0}, {0}};
static const struct argp train_argp = {
    .parser = parse_train,
    .doc = "Joins impressions, clicks and installs into examples and lets every model of the "
           "configuration learn from them.\v"
           "Figures go to stdout, logs to stderr. Exit codes: 0 done, 64 command line or "
           "configuration, 65 data, 70 a bug, 74 input or output, 75 broker or memory: try again.",
    .children = train_children,
};

/* All that a run owns, in the order in which it is built. { 0 } can be released. */
struct train {
    const struct run_arguments *arguments;
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

/* What can be wrong with schemas and topics is said before anything is learned. */
static enum esp_status look_at_inputs(struct train *train, struct esp_error *err)
{
    enum esp_status status = run_when_broker_is_there(find_topics, train, err);
    for (int kind = 0; status == ESP_OK && kind < ESP_N_EVENT_KINDS; kind++) {
        struct input_peek peek;
        if (train->inputs.kinds[kind].n_partitions > 0 && train->config.options.files_root != NULL)
            status = inputs_peek(&train->inputs, (enum esp_event_kind)kind, PEEK_RECORDS, true,
                                 &peek, err);
    }
    return status == ESP_OK ? run_when_broker_is_there(open_readers, train, err) : status;
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
    return run_check_summary(train->arguments, err);
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
    esp_log_set_stop(train->inputs.log, run_time_left, NULL);
    if (train->inputs.registry != NULL)
        registry_set_end(train->inputs.registry, run_wants_end, &train->run, 0);
    const struct esp_decoder *impressions = train->inputs.kinds[ESP_IMPRESSION].decoder;
    outputs_init(&train->ingest_outputs, &train->config, train->inputs.log, impressions);
    outputs_init(&train->learning_outputs, &train->config, train->inputs.log, impressions);
    status = learning_init(&train->learning, &train->run, &train->learning_outputs, train->full,
                           train->empty, err);
    if (status == ESP_OK)
        status = look_at_inputs(train, err);
    if (status == ESP_OK)
        status = run_when_broker_is_there(check_outputs, train, err);
    if (status == ESP_OK)
        status = publishing_start(&train->publishing, &train->run, &train->learning.snapshots, err);
    if (status != ESP_OK)
        return status;
    struct ingest_config ingest = {
        .follow = train->arguments->follow,
        .whole = learning_needs_whole(&train->learning),
        .read_batch = train->arguments->read_batch,
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

/* What the main thread does while the others work. */
struct watch {
    struct display display;
    struct supervise *supervise;
};

static void refresh(void *context)
{
    struct watch *watch = context;
    supervise_tick(watch->supervise);
    display_refresh(&watch->display);
}

static bool look(void *context, char text[SUPERVISE_TEXT_SIZE])
{
    struct train *train = context;
    struct run_view view;
    if (run_look(&train->run, &view, NULL) != ESP_OK)
        return false;
    train_state_line(&view, text, SUPERVISE_TEXT_SIZE);
    bool is_ready = train_is_ready(&train->run, &view);
    run_view_release(&view);
    return is_ready;
}

static void run_threads(struct train *train, struct watch *watch)
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
    pthread_setname_np(learning, "learning"); /* as top -H and a debugger show them */
    if (ingesting)
        pthread_setname_np(ingest, "ingest");
    run_until_ended(run, refresh, watch);
    if (ingesting)
        pthread_join(ingest, NULL);
    pthread_join(learning, NULL);
}

static int train_run(struct train *train, struct supervise *supervise)
{
    say_start(train);
    struct watch watch = {.supervise = supervise};
    display_init(&watch.display, &train->run, train->arguments->follow);
    run_threads(train, &watch);
    publishing_wait(&train->publishing, refresh, &watch);
    publishing_end(&train->publishing);
    display_end(&watch.display);
    display_write(&watch.display, stdout);
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
    struct run_arguments arguments = {.read_batch = READ_BATCH};
    argp_err_exit_status = EX_USAGE;
    if (argp_parse(&train_argp, argc, argv, 0, NULL, &arguments) != 0)
        return EX_USAGE;
    struct train *train = calloc(1, sizeof *train);
    if (train == NULL)
        return EX_TEMPFAIL;
    train->arguments = &arguments;
    struct esp_error err = {0};
    struct supervise supervise;
    supervise_init(&supervise, &(struct supervise_config){.run = &train->run,
                                                          .n_threads = N_RUN_THREADS,
                                                          .look = look,
                                                          .context = train});
    bool is_built = stop_install(&err) == ESP_OK && train_build(train, &err) == ESP_OK;
    int code = is_built ? train_run(train, &supervise) : exit_with(&err);
    supervise_end(&supervise, code);
    train_release(train);
    free(train);
    common_arguments_release(&arguments.common);
    return code;
}
