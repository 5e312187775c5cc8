/*
 * cmd_snapshot.c - `espalier snapshot`: what is published, and how to get at it.
 *
 * The configured topic or folder, or one that --from names. What is on a topic is fetched to a
 * temporary folder where its content is looked at.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/config/arguments.h"
#include "cmd/snapshot_print.h"
#include "cmd/topics/inputs.h"
#include "cmd/topics/snapshot_topic.h"
#include "core/logger.h"
#include "snapshot/publisher.h"
#include "snapshot/snapshot_export.h"

static const int64_t first_list_us = 60 * ESP_SECOND;

struct snapshot_arguments {
    struct common_arguments common;
    const char *verb, *what; /* MODEL or MODEL@NUMBER; NULL: not given */
    const char *from, *output, *run;
    bool json, force;
};

/* All that a verb works with. */
struct work {
    const struct snapshot_arguments *arguments;
    struct config config;
    struct esp_log *log;
    char place[PATH_MAX]; /* the topic, folder or file */
    struct esp_snapshot_source *source;
    char cache[PATH_MAX]; /* a temporary folder; "": none */
    char model[ESP_MODEL_NAME_SIZE];
    int64_t number; /* -1: the newest */
};

enum { KEY_FROM = 1000, KEY_FORMAT, KEY_RUN, KEY_FORCE };

static const struct argp_option snapshot_options[] = {
    {"from", KEY_FROM, "FOLDER|FILE", 0, "Snapshots in files, whatever the configuration says", 0},
    {"output", 'o', "FILE", 0, "Where fetch and export write (default: the snapshot's own name)",
     0},
    {"run", KEY_RUN, "RUN", 0, "Only of this run; its first digits will do", 0},
    {"force", KEY_FORCE, NULL, 0, "Let retire take the newest run of a model, too", 0},
    {"format", KEY_FORMAT, "table|json", 0, "How list and show print (default: table)", 0},
    {0},
};

static error_t take_word(struct snapshot_arguments *arguments, char *text, struct argp_state *state)
{
    static const char *const verbs[] = {"list", "show", "fetch", "verify", "export", "retire"};
    if (arguments->verb != NULL && arguments->what != NULL)
        argp_error(state, "\"%s\" is one word too many", text);
    if (arguments->verb != NULL) {
        arguments->what = text;
        return 0;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(text, verbs[i]) == 0)
            arguments->verb = text;
    }
    if (arguments->verb == NULL) {
        const char *nearest = esp_nearest_word(text, verbs, sizeof verbs / sizeof verbs[0]);
        argp_error(state, "\"%s\" is none of list, show, fetch, verify, export, retire%s%s", text,
                   nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest);
    }
    return 0;
}

static error_t parse_snapshot(int key, char *text, struct argp_state *state)
{
    struct snapshot_arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        return 0;
    case KEY_FROM:
        arguments->from = text;
        return 0;
    case 'o':
        arguments->output = text;
        return 0;
    case KEY_RUN:
        arguments->run = text;
        return 0;
    case KEY_FORCE:
        arguments->force = true;
        return 0;
    case KEY_FORMAT:
        arguments->json = strcmp(text, "json") == 0;
        if (!arguments->json && strcmp(text, "table") != 0)
            argp_error(state, "--format \"%s\": write table or json", text);
        return 0;
    case ARGP_KEY_ARG:
        return take_word(arguments, text, state);
    case ARGP_KEY_END:
        if (arguments->verb == NULL)
            argp_error(state, "say what to do: list, show, fetch, verify, export or retire");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child snapshot_children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp snapshot_argp = {
    .options = snapshot_options,
    .parser = parse_snapshot,
    .args_doc = "list [MODEL]\nshow [MODEL[@NUMBER]]\nfetch [MODEL[@NUMBER]]\n"
                "verify [MODEL[@NUMBER]]\nexport [MODEL[@NUMBER]]\nretire [MODEL[@NUMBER]]",
    .doc = "Lists the snapshots that are published, shows what one holds, fetches it as a file, "
           "verifies all of its checksums, exports it without Espalier's index for other "
           "tools, or retires those of runs that have ended. Without a number it is the newest. "
           "Entries of the configuration are overridden "
           "with --option; -o names the file to write.",
    .children = snapshot_children,
};

/* ---- opening --------------------------------------------------------------------------------- */

static enum esp_status parse_what(struct work *work, struct esp_error *err)
{
    const char *what = work->arguments->what;
    work->number = -1;
    if (what == NULL)
        return ESP_OK;
    const char *at = strrchr(what, '@');
    size_t n = at == NULL ? strlen(what) : (size_t)(at - what);
    char *end = NULL;
    errno = 0;
    if (at != NULL)
        work->number = strtoll(at + 1, &end, 10);
    if (n == 0 || n >= sizeof work->model ||
        (at != NULL && (errno != 0 || at[1] == '\0' || *end != '\0' || work->number < 0)))
        return esp_fail(err, ESP_ECONFIG, "\"%s\" is no snapshot; write MODEL or MODEL@NUMBER",
                        what);
    memcpy(work->model, what, n);
    work->model[n] = '\0';
    return ESP_OK;
}

static enum esp_status make_cache(struct work *work, struct esp_error *err)
{
    const char *folder = getenv("TMPDIR");
    snprintf(work->cache, sizeof work->cache, "%s/espalier-snapshot-XXXXXX",
             folder == NULL || folder[0] == '\0' ? "/tmp" : folder);
    if (mkdtemp(work->cache) != NULL)
        return ESP_OK;
    enum esp_status status = esp_fail(err, ESP_EIO, "no temporary folder can be made (%s): %s",
                                      work->cache, strerror(errno));
    work->cache[0] = '\0';
    return status;
}

static void drop_cache(struct work *work)
{
    char path[PATH_MAX + 8];
    if (work->cache[0] == '\0')
        return;
    snprintf(path, sizeof path, "%s/.lock", work->cache);
    unlink(path);
    rmdir(work->cache); /* what was fetched was removed when it was read */
}

/* Sees all that is there now. */
static enum esp_status read_list(struct work *work, struct esp_error *err)
{
    bool at_end = false, changed;
    enum esp_status status = ESP_OK;
    for (int64_t waited_us = 0; status == ESP_OK && !at_end; waited_us += ESP_SECOND) {
        if (waited_us >= first_list_us)
            return esp_fail(err, ESP_EBROKER, "the broker gives no end of the list of snapshots");
        status = esp_snapshot_source_poll(work->source, ESP_SECOND, &changed, &at_end, err);
    }
    return status;
}

static enum esp_status open_work(struct work *work, struct esp_error *err)
{
    const struct snapshot_arguments *arguments = work->arguments;
    struct esp_snapshot_source_config source = {.place = work->place, .report = report_log_event};
    enum esp_status status = parse_what(work, err);
    if (status == ESP_OK && arguments->from != NULL && access(arguments->from, R_OK) != 0)
        status = esp_fail(err, ESP_ECONFIG, "--from %s cannot be read: %s", arguments->from,
                          strerror(errno));
    if (status == ESP_OK && arguments->from == NULL) {
        status = load_configuration(&work->config, &arguments->common, err);
        if (status == ESP_OK && work->config.options.files_root == NULL)
            status = inputs_open_log(&work->config, report_log_event, NULL, &work->log, err);
        if (status == ESP_OK && work->log != NULL)
            status = make_cache(work, err);
        if (status == ESP_OK)
            snapshot_place(&work->config, work->place, sizeof work->place);
        source.log = work->log;
        source.cache = work->log == NULL ? NULL : work->cache;
    }
    if (arguments->from != NULL)
        snprintf(work->place, sizeof work->place, "%s", arguments->from);
    if (status == ESP_OK)
        status = esp_snapshot_source_open(&source, &work->source, err);
    return status == ESP_OK ? read_list(work, err) : status;
}

static void close_work(struct work *work)
{
    esp_snapshot_source_free(work->source);
    drop_cache(work);
    esp_log_free(work->log);
    config_release(&work->config);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static bool is_asked(const struct work *work, const struct esp_live_snapshot *live)
{
    const struct esp_snapshot_id *id = &live->manifest.id;
    const char *run = work->arguments->run;
    return (work->model[0] == '\0' || strcmp(work->model, id->model) == 0) &&
           (run == NULL || strncmp(run, id->run, strlen(run)) == 0) &&
           (work->number < 0 || work->number == id->number);
}

/* Several are asked for: of one model the newest will do where no number was given. */
static enum esp_status choose_newest(const struct work *work, const struct esp_live_snapshot *first,
                                     bool is_one_run, const struct esp_live_snapshot **out,
                                     struct esp_error *err)
{
    const struct esp_snapshot_id *id = &first->manifest.id;
    if (!is_one_run && (work->number >= 0 || work->arguments->run != NULL))
        return esp_fail(err, ESP_ECONFIG,
                        "there are several runs with such a snapshot; choose one with --run "
                        "(`espalier snapshot list` shows them)");
    *out = esp_snapshot_source_newest(work->source, id->model, is_one_run ? id->run : NULL);
    return ESP_OK;
}

/* n  that are live */
static enum esp_status none_is_asked(const struct work *work, size_t n, struct esp_error *err)
{
    const char *run = work->arguments->run;
    char number[24] = "";
    if (n == 0)
        return esp_fail(err, ESP_EDATA, "no snapshots are published there");
    if (work->number >= 0)
        snprintf(number, sizeof number, "@%" PRId64, work->number);
    return esp_fail(err, ESP_EDATA,
                    "there is no snapshot %s%s%s%s; `espalier snapshot list` shows what there is",
                    work->model[0] == '\0' ? "of any model" : work->model, number,
                    run == NULL ? "" : " of run ", run == NULL ? "" : run);
}

/* The one snapshot that is asked for. */
static enum esp_status choose(const struct work *work, struct esp_snapshot_id *out,
                              struct esp_error *err)
{
    const struct esp_live_set *live = esp_snapshot_source_live(work->source);
    const struct esp_live_snapshot *found = NULL;
    bool is_one_run = true;
    size_t n = 0;
    for (size_t i = 0; i < live->n; i++) {
        const struct esp_live_snapshot *item = &live->items[i];
        if (!is_asked(work, item))
            continue;
        if (n > 0 && strcmp(found->manifest.id.model, item->manifest.id.model) != 0)
            return esp_fail(err, ESP_ECONFIG,
                            "there are snapshots of %s, %s and maybe more models; name one",
                            found->manifest.id.model, item->manifest.id.model);
        is_one_run =
            is_one_run && (n == 0 || strcmp(found->manifest.id.run, item->manifest.id.run) == 0);
        found = item;
        n++;
    }
    if (n == 0)
        return none_is_asked(work, live->n, err);
    if (n > 1) {
        enum esp_status status = choose_newest(work, found, is_one_run, &found, err);
        if (status != ESP_OK)
            return status;
    }
    *out = found->manifest.id;
    return ESP_OK;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

/* By model, then by run and number, as in the set. */
static int compare_for_list(const void *a, const void *b)
{
    const struct esp_live_snapshot *left = *(const struct esp_live_snapshot *const *)a,
                                   *right = *(const struct esp_live_snapshot *const *)b;
    int order = strcmp(left->manifest.id.model, right->manifest.id.model);
    return order != 0 ? order : (left > right) - (left < right);
}

static enum esp_status do_list(struct work *work, struct esp_error *err)
{
    const struct esp_live_set *live = esp_snapshot_source_live(work->source);
    const struct esp_live_snapshot **asked = calloc(live->n + 1, sizeof *asked);
    if (asked == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < live->n; i++) {
        if (is_asked(work, &live->items[i]))
            asked[n++] = &live->items[i];
    }
    qsort(asked, n, sizeof *asked, compare_for_list);
    if (n == 0)
        fprintf(stderr, "espalier: no snapshots are published there%s\n",
                live->n == 0 ? "" : " of what was asked for");
    enum esp_status status = ESP_OK;
    if (work->arguments->json)
        status = snapshot_print_json(asked, n, err);
    else
        snapshot_print_table(asked, n);
    free(asked);
    return status;
}

/* Opens a snapshot with all checks; what was fetched for it is unlinked, and stays mapped. */
static enum esp_status open_snapshot(struct work *work, const struct esp_snapshot_id *id,
                                     struct esp_snapshot **out, struct esp_error *err)
{
    char *path = NULL;
    enum esp_status status = esp_snapshot_source_fetch(work->source, id, &path, err);
    if (status == ESP_OK)
        status = esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, out, err);
    if (path != NULL && work->cache[0] != '\0')
        unlink(path);
    free(path);
    return status;
}

static enum esp_status do_show(struct work *work, struct esp_error *err)
{
    struct esp_snapshot_id id;
    struct esp_snapshot *snapshot = NULL;
    enum esp_status status = choose(work, &id, err);
    if (status == ESP_OK)
        status = open_snapshot(work, &id, &snapshot, err);
    if (status == ESP_OK)
        status = snapshot_print_content(
            snapshot, esp_live_set_find(esp_snapshot_source_live(work->source), &id),
            work->arguments->json, err);
    esp_snapshot_close(snapshot);
    return status;
}

/* Where to write: as told, or the snapshot's own name with another end. */
static const char *output_path(const struct work *work, const struct esp_snapshot_id *id,
                               const char *start, char path[ESP_SNAPSHOT_NAME_SIZE + 16])
{
    char name[ESP_SNAPSHOT_NAME_SIZE];
    if (work->arguments->output != NULL)
        return work->arguments->output;
    esp_snapshot_file_name(id->model, id->run, id->number, name);
    snprintf(path, ESP_SNAPSHOT_NAME_SIZE + 16, "%s%s", start, name);
    return path;
}

static enum esp_status do_fetch(struct work *work, struct esp_error *err)
{
    struct esp_snapshot_id id;
    struct esp_snapshot *snapshot = NULL;
    char name[ESP_SNAPSHOT_NAME_SIZE + 16];
    bool stopped = false;
    enum esp_status status = choose(work, &id, err);
    if (status != ESP_OK)
        return status;
    const char *path = output_path(work, &id, "", name);
    status = esp_snapshot_source_fetch_to(work->source, &id, path, &stopped, err);
    if (status != ESP_OK)
        return status;
    status = esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, &snapshot, err);
    esp_snapshot_close(snapshot);
    if (status == ESP_OK)
        printf("%s\n", path);
    else
        unlink(path); /* whole, and no snapshot: nobody shall take it for one */
    return status;
}

static enum esp_status do_export(struct work *work, struct esp_error *err)
{
    struct esp_snapshot_id id;
    struct esp_snapshot *snapshot = NULL;
    char name[ESP_SNAPSHOT_NAME_SIZE + 16];
    enum esp_status status = choose(work, &id, err);
    if (status == ESP_OK)
        status = open_snapshot(work, &id, &snapshot, err);
    if (status != ESP_OK)
        return status;
    const char *path = output_path(work, &id, "export-", name);
    status = esp_snapshot_export(snapshot, path, err);
    esp_snapshot_close(snapshot);
    if (status == ESP_OK)
        printf("%s\n", path);
    return status;
}

/* All that are asked for, the bad ones each with a line; the first of these is the failure. */
static enum esp_status do_verify(struct work *work, struct esp_error *err)
{
    const struct esp_live_set *live = esp_snapshot_source_live(work->source);
    enum esp_status worst = ESP_OK;
    size_t n = 0;
    for (size_t i = 0; i < live->n; i++) {
        struct esp_error why = {0};
        struct esp_snapshot *snapshot = NULL;
        if (!is_asked(work, &live->items[i]))
            continue;
        struct esp_snapshot_id id = live->items[i].manifest.id;
        enum esp_status status = open_snapshot(work, &id, &snapshot, &why);
        esp_snapshot_close(snapshot);
        snapshot_print_verdict(&id, status == ESP_OK ? NULL : why.text);
        if (status != ESP_OK && worst == ESP_OK)
            worst = esp_fail(err, status, "%s", why.text);
        n++;
    }
    struct esp_snapshot_source_stats stats;
    esp_snapshot_source_stats(work->source, &stats);
    if (worst == ESP_OK && stats.bad_files > 0)
        worst = esp_fail(err, ESP_EDATA, "%llu file%s there %s no snapshot",
                         (unsigned long long)stats.bad_files, stats.bad_files == 1 ? "" : "s",
                         stats.bad_files == 1 ? "is" : "are");
    if (worst == ESP_OK && n == 0)
        worst = esp_fail(err, ESP_EDATA, "there is no such snapshot to verify");
    return worst;
}

/* ---- retiring -------------------------------------------------------------------------------- */

static bool is_of_newest_run(const struct work *work, const struct esp_live_snapshot *live)
{
    const struct esp_live_snapshot *newest =
        esp_snapshot_source_newest(work->source, live->manifest.id.model, NULL);
    return newest != NULL && strcmp(newest->manifest.id.run, live->manifest.id.run) == 0;
}

/* The identities that are to go, to be free()d. Of a model whose run is not named: those of all
 * runs but the newest. */
static enum esp_status choose_retired(const struct work *work, struct esp_snapshot_id **out,
                                      size_t *n, struct esp_error *err)
{
    const struct esp_live_set *live = esp_snapshot_source_live(work->source);
    const struct snapshot_arguments *arguments = work->arguments;
    struct esp_snapshot_id *ids = *out = calloc(live->n + 1, sizeof *ids);
    if (ids == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    for (size_t i = 0; i < live->n; i++) {
        const struct esp_live_snapshot *item = &live->items[i];
        const struct esp_snapshot_id *id = &item->manifest.id;
        if (!is_asked(work, item))
            continue;
        if (*n > 0 && arguments->run != NULL && strcmp(ids[*n - 1].run, id->run) != 0 &&
            strcmp(ids[*n - 1].model, id->model) == 0)
            return esp_fail(err, ESP_ECONFIG, "--run %s stands for several runs of model %s",
                            arguments->run, id->model);
        bool is_newest = is_of_newest_run(work, item);
        if (is_newest && arguments->run != NULL && !arguments->force)
            return esp_fail(err, ESP_ECONFIG,
                            "run %s is the newest of model %s, and may still be written or used; "
                            "--force retires it all the same",
                            id->run, id->model);
        if (!is_newest || arguments->run != NULL)
            ids[(*n)++] = *id;
    }
    return ESP_OK;
}

static enum esp_status retire_all(const struct work *work, const struct esp_snapshot_id *ids,
                                  size_t n, struct esp_error *err)
{
    const struct esp_publisher_config config = {
        .log = work->log, .place = work->place, .keep = ESP_KEEP_AT_LEAST};
    struct esp_publisher *publisher = NULL;
    bool stopped = false;
    enum esp_status status = esp_publisher_new(&config, &publisher, err);
    for (size_t i = 0; status == ESP_OK && i < n; i++) {
        status = esp_publisher_retire(publisher, &ids[i], &stopped, err);
        if (status == ESP_OK)
            printf("%s@%" PRId64 ", run %s: retired\n", ids[i].model, ids[i].number, ids[i].run);
    }
    esp_publisher_free(publisher);
    return status;
}

static enum esp_status do_retire(struct work *work, struct esp_error *err)
{
    struct esp_snapshot_id *ids = NULL;
    size_t n = 0;
    if (work->model[0] == '\0' && work->arguments->run == NULL)
        return esp_fail(err, ESP_ECONFIG,
                        "say what to retire: --run RUN, or MODEL for all of its runs but the "
                        "newest");
    enum esp_status status = choose_retired(work, &ids, &n, err);
    if (status == ESP_OK && n == 0)
        fprintf(stderr, "espalier: there is nothing to retire of what was asked for\n");
    if (status == ESP_OK && n > 0) {
        esp_snapshot_source_free(work->source); /* one reader of the topic at a time */
        work->source = NULL;
        status = retire_all(work, ids, n, err);
    }
    free(ids);
    return status;
}

int cmd_snapshot(int argc, char **argv)
{
    static const struct {
        const char *verb;
        enum esp_status (*run)(struct work *work, struct esp_error *err);
    } verbs[] = {{"list", do_list},     {"show", do_show},     {"fetch", do_fetch},
                 {"verify", do_verify}, {"export", do_export}, {"retire", do_retire}};
    struct snapshot_arguments arguments = {0};
    struct esp_error err = {0};
    if (parse_arguments(&snapshot_argp, argc, argv, &arguments, &err) != ESP_OK)
        return exit_with(&err);
    struct work work = {.arguments = &arguments};
    enum esp_status status = open_work(&work, &err);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (status == ESP_OK && strcmp(arguments.verb, verbs[i].verb) == 0)
            status = verbs[i].run(&work, &err);
    }
    if (fflush(stdout) != 0)
        esp_fail(&err, ESP_EIO, "standard output cannot be written: %s", strerror(errno));
    close_work(&work);
    int code = exit_with(&err);
    common_arguments_release(&arguments.common);
    return code;
}
