/*
 * cmd_train.c - `espalier train`: starts the two threads, shows how it goes, writes the summary.
 */
#include <argp.h>
#include <cblas.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/config/arguments.h"
#include "cmd/run/stop.h"
#include "cmd/run/supervise.h"
#include "cmd/train/display.h"
#include "cmd/train/summary.h"
#include "cmd/train/train.h"
#include "core/logger.h"
#include "model/product.h"

enum { READ_BATCH = 512 };

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
        run_fail(run, &(struct esp_error){ESP_ENOMEM, "a thread of the run cannot be started"});
        return;
    }
    bool ingesting = pthread_create(&ingest, NULL, ingest_main, &train->ingest) == 0;
    if (!ingesting) {
        run_fail(run, &(struct esp_error){ESP_ENOMEM, "a thread of the run cannot be started"});
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

/* A start from snapshots that were newer than all that is due: not one label was learned. */
static void say_nothing_new(const struct run *run)
{
    const struct ingest_status *ingest = &run->ingest;
    if (run->failure.status == ESP_OK && !stop_asked() && ingest->labels_before > 0 &&
        ingest->labels[0] + ingest->labels[1] + ingest->labels[2] == 0)
        esp_log(ESP_INFO,
                "nothing was learned: every label that is due was in the snapshot that the run "
                "went on from",
                NULL);
}

static int train_run(struct train *train, struct supervise *supervise)
{
    say_start(train);
    struct watch watch = {.supervise = supervise};
    display_init(&watch.display, &train->run, train->arguments->follow);
    run_threads(train, &watch);
    publishing_wait(&train->publishing, refresh, &watch);
    if (train->run.failure.status == ESP_OK)
        checkpoints_write(&train->checkpoints, train->run.ingest.watermark_us, &train->run.failure);
    publishing_end(&train->publishing);
    say_nothing_new(&train->run);
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
    struct esp_error err = {0};
    if (parse_arguments(&train_argp, argc, argv, &arguments, &err) != ESP_OK)
        return exit_with(&err);
    struct train *train = calloc(1, sizeof *train);
    if (train == NULL)
        return exit_with(&(struct esp_error){ESP_ENOMEM, "out of memory for a training run"});
    train->arguments = &arguments;
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
