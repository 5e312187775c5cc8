/*
 * cmd_score.c - `espalier score`: scores impressions with snapshots, in the shadow of whatever
 * serves them. Builds the parts, starts the two threads, shows how it goes, writes the summary.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/config/arguments.h"
#include "cmd/run/long_run.h"
#include "cmd/run/stop.h"
#include "cmd/run/supervise.h"
#include "cmd/score/score_display.h"
#include "cmd/score/score_pages.h"
#include "core/logger.h"
#include "model/product.h"

enum { READ_BATCH = 2048, PEEK_RECORDS = 64 };
static const int64_t broker_patience_us = 10 * ESP_SECOND;

struct score_arguments {
    struct run_arguments run;
    const char *snapshot_path;      /* NULL: the topic */
    struct esp_setting_list models; /* of --model; owned items array */
    size_t model_capacity;
};

enum { KEY_MODEL = 2000 };

static const struct argp_option score_options[] = {
    {"snapshot", 's', "FILE|FOLDER", 0,
     "Take snapshots from a file or a folder instead of the snapshot topic", 0},
    {"model", KEY_MODEL, "NAME", 0,
     "Score with this model, in place of [score] models; may be given several times", 0},
    {0},
};

static error_t add_model(struct score_arguments *arguments, const char *name)
{
    if (esp_array_grow((void **)&arguments->models.items, &arguments->model_capacity,
                       arguments->models.n_items + 1, sizeof *arguments->models.items,
                       NULL) != ESP_OK)
        return ENOMEM;
    arguments->models.items[arguments->models.n_items++] = name;
    return 0;
}

static error_t parse_score(int key, char *text, struct argp_state *state)
{
    struct score_arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->run;
        return 0;
    case 's':
        arguments->snapshot_path = text;
        return 0;
    case KEY_MODEL:
        return add_model(arguments, text);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child score_children[] = {{&run_argp, 0, NULL, 0}, {0}};
static const struct argp score_argp = {
    .options = score_options,
    .parser = parse_score,
    .doc =
        "Scores the impressions of the configuration with the newest snapshot of each model, and "
        "writes a record an impression and model.\v"
        "Goes on where the last run ended. Figures go to stdout, logs to stderr. Exit codes: 0 "
        "done, 64 command line or configuration, 65 data, 70 a bug, 74 input or output, 75 "
        "broker or memory: try again.",
    .children = score_children,
};

/* All that a run owns, in the order in which it is built. { 0 } can be released. */
struct score {
    const struct score_arguments *arguments;
    struct config config;
    struct inputs inputs;
    struct run run;
    struct esp_pool *pool;
    struct score_models models;
    bool has_models; /* they were initialised */
    struct outputs outputs;
    struct score_loop loop;
    struct score_watch watch;
    struct score_pages pages;
};

static void score_release(struct score *score)
{
    score_pages_stop(&score->pages);
    score_loop_release(&score->loop);
    score_watch_release(&score->watch);
    if (score->has_models)
        score_models_release(&score->models);
    outputs_release(&score->outputs);
    esp_pool_free(score->pool);
    run_release(&score->run);
    inputs_release(&score->inputs);
    config_release(&score->config);
}

/* ---- building -------------------------------------------------------------------------------- */

static enum esp_status load(struct score *score, struct esp_error *err)
{
    const struct score_arguments *arguments = score->arguments;
    enum esp_status status = load_configuration(&score->config, &arguments->run.common, err);
    if (status != ESP_OK)
        return status;
    score->config.is_scoring = true;
    if (arguments->models.n_items > 0)
        score->config.options.score_models = arguments->models;
    status = run_check_summary(&arguments->run, err);
    if (status == ESP_OK)
        status = run_init(&score->run, &score->config, err);
    if (status == ESP_OK) {
        pulse_init(&score->run.pulses[SCORE_SCORING], "scoring");
        pulse_init(&score->run.pulses[SCORE_WATCHING], "watching");
    }
    return status;
}

static enum esp_status new_pool(struct score *score, struct esp_error *err)
{
    long n = score->config.options.threads;
    if (n == 0)
        n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 1 ? esp_pool_new(n > 256 ? 256 : (size_t)n, &score->pool, err) : ESP_OK;
}

/* Topics, schemas, readers, the output: what can be wrong is said before anything is scored. */
static enum esp_status open_all(void *context, struct esp_error *err)
{
    struct score *score = context;
    const struct score_arguments *arguments = score->arguments;
    struct score_loop_config loop = {
        .follow = arguments->run.follow,
        .read_batch = arguments->run.read_batch,
        .models = &score->config.options.score_models,
        .source = score_watch_place(&score->watch),
    };
    struct input_peek peek;
    enum esp_status status = inputs_find_topics(&score->inputs, broker_patience_us, err);
    if (status == ESP_OK && score->config.options.files_root != NULL)
        status = inputs_peek(&score->inputs, ESP_IMPRESSION, PEEK_RECORDS, true, &peek, err);
    score_loop_release(&score->loop); /* of an attempt that got half way */
    if (status == ESP_OK)
        status = score_loop_init(&score->loop, &loop, &score->run, &score->inputs, &score->models,
                                 &score->outputs, score->pool, err);
    return status;
}

/* One that follows may wait for what is not there yet. */
static enum esp_status check_snapshot_path(const struct score_arguments *arguments,
                                           struct esp_error *err)
{
    const char *path = arguments->snapshot_path;
    if (path == NULL || arguments->run.follow || access(path, F_OK) == 0)
        return ESP_OK;
    return esp_fail(err, ESP_ECONFIG, "--snapshot %s: %s; name a snapshot or a folder of them",
                    path, strerror(errno));
}

static enum esp_status build(struct score *score, struct esp_error *err)
{
    enum esp_status status = load(score, err);
    if (status == ESP_OK)
        status = check_snapshot_path(score->arguments, err);
    if (status == ESP_OK)
        status = inputs_open(&score->inputs, &score->config, report_log_event, NULL, err);
    if (status == ESP_OK)
        status = new_pool(score, err);
    if (status != ESP_OK)
        return status;
    struct score_watch_config watch = {
        .path = score->arguments->snapshot_path,
        .follow = score->arguments->run.follow,
        .n_workers = esp_pool_size(score->pool),
    };
    score_models_init(&score->models);
    score->has_models = true;
    esp_log_set_stop(score->inputs.log, run_time_left, NULL);
    if (score->inputs.registry != NULL)
        registry_set_end(score->inputs.registry, run_wants_end, &score->run, 0);
    outputs_init(&score->outputs, OUTPUT_DEAD, &score->config, score->inputs.log,
                 score->inputs.kinds[ESP_IMPRESSION].decoder);
    status = score_watch_init(&score->watch, &watch, &score->run, &score->models, err);
    if (status == ESP_OK)
        status = run_when_broker_is_there(open_all, score, err);
    return status == ESP_OK
               ? score_pages_start(&score->pages, &score->loop, &score->watch, &score->models, err)
               : status;
}

/* ---- running --------------------------------------------------------------------------------- */

/* When nothing is scored any more nobody needs snapshots. */
static void *score_main(void *context)
{
    struct score *score = context;
    score_loop_main(&score->loop);
    score_watch_stop(&score->watch);
    return NULL;
}

/* What the main thread does while the others work. */
struct watch {
    struct score_display display;
    struct supervise *supervise;
};

static void refresh(void *context)
{
    struct watch *watch = context;
    supervise_tick(watch->supervise);
    score_display_refresh(&watch->display);
}

static bool look(void *context, char text[SUPERVISE_TEXT_SIZE])
{
    struct score *score = context;
    return score_pages_look(&score->pages, text, SUPERVISE_TEXT_SIZE);
}

static void run_threads(struct score *score, struct watch *watch)
{
    struct run *run = &score->run;
    pthread_t scoring, watching;
    run_threads_start(run, 2);
    if (pthread_create(&watching, NULL, score_watch_main, &score->watch) != 0) {
        run_fail(run, &(struct esp_error){ESP_ENOMEM, "a thread of the run cannot be started"});
        return;
    }
    bool is_scoring = pthread_create(&scoring, NULL, score_main, score) == 0;
    if (!is_scoring) {
        run_fail(run, &(struct esp_error){ESP_ENOMEM, "a thread of the run cannot be started"});
        run_thread_ended(run);
    }
    pthread_setname_np(watching, "watching"); /* as top -H and a debugger show them */
    if (is_scoring)
        pthread_setname_np(scoring, "scoring");
    run_until_ended(run, refresh, watch);
    if (is_scoring)
        pthread_join(scoring, NULL);
    pthread_join(watching, NULL);
}

static int score_run(struct score *score, struct supervise *supervise)
{
    esp_log(ESP_INFO, "starting", "config", score->config.path, "log",
            esp_log_kind(score->inputs.log), "snapshots", score_watch_place(&score->watch),
            "kernels", esp_product_kernels(), NULL);
    struct watch watch = {.supervise = supervise};
    score_display_init(&watch.display, &score->run, &score->loop, &score->watch, &score->models);
    run_threads(score, &watch);
    score_display_end(&watch.display);
    score_display_write(&watch.display, stdout);
    struct esp_error err = score->run.failure;
    if (fflush(stdout) != 0)
        esp_fail(&err, ESP_EIO, "standard output cannot be written: %s", strerror(errno));
    if (score->arguments->run.summary_path != NULL)
        score_summary_write(score->arguments->run.summary_path, &watch.display, &err);
    return exit_with(&err);
}

int cmd_score(int argc, char **argv)
{
    struct score_arguments arguments = {.run.read_batch = READ_BATCH};
    struct esp_error err = {0};
    if (parse_arguments(&score_argp, argc, argv, &arguments, &err) != ESP_OK)
        return exit_with(&err);
    struct score *score = calloc(1, sizeof *score);
    if (score == NULL)
        return exit_with(&(struct esp_error){ESP_ENOMEM, "out of memory for a scoring run"});
    score->arguments = &arguments;
    struct supervise supervise;
    supervise_init(&supervise, &(struct supervise_config){.run = &score->run,
                                                          .n_threads = N_SCORE_THREADS,
                                                          .look = look,
                                                          .context = score});
    bool is_built = stop_install(&err) == ESP_OK && build(score, &err) == ESP_OK;
    int code = is_built ? score_run(score, &supervise) : exit_with(&err);
    supervise_end(&supervise, code);
    score_release(score);
    free(score);
    free(arguments.models.items);
    common_arguments_release(&arguments.run.common);
    return code;
}
