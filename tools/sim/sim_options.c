/* sim_options.c - see sim_options.h. */
#include "sim_options.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "campaign.h"
#include "core/version.h"

#define MAX_SPAN (3650 * ESP_DAY)

#define MAX_LOST 0.95 /* below 1, so that the best predictor's losses stay finite */

enum { N_NEW_ADS = 20 };

/* Live campaigns that start a second apart have this many numbers between them. */
enum { NUMBERS_A_SECOND = 1 << 20 };

/* Of counts whose default depends on other options. */
#define NOT_GIVEN UINT64_MAX

enum {
    KEY_PREFIX = 1000,
    KEY_TRUTH,
    KEY_NO_TRUTH_TOPIC,
    KEY_LINEAR,
    KEY_RATE,
    KEY_DAYS,
    KEY_START,
    KEY_FIRST,
    KEY_SEED,
    KEY_FIELDS,
    KEY_CTR,
    KEY_CVR,
    KEY_CORRELATION,
    KEY_EFFECTS,
    KEY_CROSSES,
    KEY_DECLINE,
    KEY_NEW_ADS,
    KEY_PREFERENCE_DRIFT,
    KEY_RATE_DRIFT,
    KEY_DUPLICATES,
    KEY_DISORDER,
    KEY_UNMATCHED,
    KEY_LATE,
    KEY_WRONG_CLOCKS,
    KEY_WILD,
    KEY_MALFORMED,
    KEY_CLICK_WINDOW,
    KEY_INSTALL_WINDOW,
    KEY_GRACE,
    KEY_WINDOW,
    KEY_LIVE,
    KEY_REALTIME,
    KEY_STOP_AFTER,
};

static const struct argp_option option_table[] = {
    {0, 0, 0, 0, "What is written:", 2},
    {"prefix", KEY_PREFIX, "TEXT", 0,
     "Put before the names of the topics: impressions, clicks, installs, truth", 0},
    {"truth", KEY_TRUTH, "FILE", 0,
     "The report of exact counts and best losses (default: DIR/truth.json; none for kafka)", 0},
    {"no-truth-topic", KEY_NO_TRUTH_TOPIC, 0, 0, "Do not write the topic truth", 0},
    {"linear", KEY_LINEAR, "FILE", 0,
     "Let a linear model learn the impressions as they are made, and write its losses there for "
     "`espalier-sim compare --summary`",
     0},

    {0, 0, 0, 0, "How much and when:", 3},
    {"impressions", 'n', "N", 0,
     "Impressions (100000; with --live 0); 0: without end, until SIGINT or SIGTERM", 0},
    {"days", KEY_DAYS, "D", 0, "Days of event time that they fill (2)", 0},
    {"rate", KEY_RATE, "N", 0, "Instead of --days: impressions an hour, mean over a day", 0},
    {"start", KEY_START, "TIME", 0,
     "Event time of the first (2024-05-01; with --live now); now, or as in now-2h", 0},
    {"first", KEY_FIRST, "N", 0,
     "Number of the first, which its id and all chance come from (0; with --live told by the "
     "start, so that a campaign that is begun again has ids of its own)",
     0},
    {"seed", KEY_SEED, "N", 0, "Same seed, same bytes (1)", 0},
    {"stop-after", KEY_STOP_AFTER, "SPAN", 0,
     "Deliver nothing later than this after the start: as a log stands at that moment", 0},
    {"live", KEY_LIVE, 0, 0,
     "Deliver each event when the wall clock says its time; what is due already, at once", 0},
    {"realtime", KEY_REALTIME, "SPEED", 0,
     "Deliver by the wall clock, SPEED seconds of event time a second", 0},

    {0, 0, 0, 0, "What is true:", 4},
    {"ctr", KEY_CTR, "RATE", 0, "Mean click rate (0.052)", 0},
    {"cvr", KEY_CVR, "RATE", 0, "Mean install rate of clicks (0.26)", 0},
    {"correlation", KEY_CORRELATION, "R", 0, "Of effects on click and install (0.5)", 0},
    {"effects", KEY_EFFECTS, "C,I", 0,
     "Deviations of the logits of click and install by the fields' effects (1.75,1.12)", 0},
    {"crosses", KEY_CROSSES, "C,I", 0,
     "And by the products of pairs of fields, which a linear model misses (0.61,0.36)", 0},
    {"decline", KEY_DECLINE, "G", 0,
     "A field of n values has effects in proportion to n^-G (0.11); 0: all fields alike", 0},
    {"fields", KEY_FIELDS, "PRESET", 0,
     "full: 6 to 200,000 values a field (default); small: at most 500", 0},
    {"new-ads", KEY_NEW_ADS, "AT[,SHARE]", 0,
     "From AT on (a share of the campaign, or a span such as 12h) 20 new creatives take SHARE "
     "(0.1) of the impressions",
     0},
    {"preference-drift", KEY_PREFERENCE_DRIFT, "SPAN", 0,
     "After this time preferences have nothing left of the old ones", 0},
    {"rate-drift", KEY_RATE_DRIFT, "FACTOR", 0,
     "The odds of click and install are multiplied by this every day", 0},

    {0, 0, 0, 0, "What goes wrong (shares of events, 0 by default):", 5},
    {"disorder", KEY_DISORDER, "SPAN", 0, "Delivery is up to this late (30s)", 0},
    {"duplicates", KEY_DUPLICATES, "P", 0,
     "Events delivered twice; and clicks followed by a second click", 0},
    {"unmatched", KEY_UNMATCHED, "P", 0,
     "Clicks and installs of unknown impressions, relative to those that have one", 0},
    {"late", KEY_LATE, "P", 0, "Events delivered after twice the grace and an hour or two", 0},
    {"wrong-clocks", KEY_WRONG_CLOCKS, "P", 0, "Events that claim a time years ahead", 0},
    {"wild", KEY_WILD, 0, 0,
     "Midway, one event a year ahead in each partition; on a broker also one an hour ahead", 0},
    {"malformed", KEY_MALFORMED, "P", 0,
     "Records without an id, on a broker also ones that are cut off", 0},

    {0, 0, 0, 0, "The join that the truth is told for:", 6},
    {"click-window", KEY_CLICK_WINDOW, "SPAN", 0, "W_c (1h)", 0},
    {"install-window", KEY_INSTALL_WINDOW, "SPAN", 0, "W_z (7d)", 0},
    {"grace", KEY_GRACE, "SPAN", 0, "Grace of the three topics (10m)", 0},
    {"window", KEY_WINDOW, "SPAN", 0, "Windows of the report, by impression time (1h)", 0},
    {0},
};

static const char doc[] =
    "Simulates a campaign of impressions, clicks and installs whose true probabilities are known.\v"
    "Examples:\n"
    "  espalier-sim --out files:/tmp/sim --impressions 1000000\n"
    "  espalier-sim --out kafka:localhost:9092 --live --rate 36000 --start now-2h\n"
    "  espalier-sim compare --truth /tmp/sim/truth.json --summary summary.json\n\n"
    "Events are delivered in the order of event time plus a delay; records on a broker are stamped "
    "with the time of their delivery. The same options and seed give the same events, whatever "
    "the number of partitions. docs/simulator.md tells what is simulated and what truth.json "
    "holds.";

/* What needs the other options to be understood. */
struct raw_options {
    struct sim_options options;
    double days, rate; /* 0: not given */
    const char *new_ads;
    bool wild, has_start;
    struct esp_error error; /* the first that is wrong */
};

/* Options that are one number each. */
enum number_type { REAL, WHOLE, SPAN };

static const struct number {
    int key;
    enum number_type type;
    size_t offset; /* in struct raw_options, of a double, uint64_t or int64_t (us) */
    double low, high;
} numbers[] = {
#define FIELD(name) offsetof(struct raw_options, name)
    {'n', WHOLE, FIELD(options.n_impressions), 0, 0x1p48},
    {KEY_DAYS, REAL, FIELD(days), 1e-4, 3650},
    {KEY_RATE, REAL, FIELD(rate), 1e-3, 1e12},
    {KEY_FIRST, WHOLE, FIELD(options.first), 0, 0x1p60},
    {KEY_SEED, WHOLE, FIELD(options.truth.seed), 0, 0x1p53},
    {KEY_STOP_AFTER, SPAN, FIELD(options.stop_after_us), 0, MAX_SPAN},
    {KEY_REALTIME, REAL, FIELD(options.realtime), 1e-3, 1e9},
    {KEY_CTR, REAL, FIELD(options.truth.ctr), 1e-6, 0.9},
    {KEY_CVR, REAL, FIELD(options.truth.cvr), 1e-6, 0.9},
    {KEY_CORRELATION, REAL, FIELD(options.truth.correlation), -1, 1},
    {KEY_DECLINE, REAL, FIELD(options.truth.decline), 0, 1},
    {KEY_PREFERENCE_DRIFT, SPAN, FIELD(options.truth.quarter_turn_us), SIM_DRIFT_STEP, MAX_SPAN},
    {KEY_RATE_DRIFT, REAL, FIELD(options.truth.odds_a_day), 0.01, 100},
    {KEY_DISORDER, SPAN, FIELD(options.disorder_us), 0, MAX_SPAN},
    {KEY_DUPLICATES, REAL, FIELD(options.duplicates), 0, 0.9},
    {KEY_UNMATCHED, REAL, FIELD(options.unmatched), 0, 0.9},
    {KEY_LATE, REAL, FIELD(options.late), 0, 0.9},
    {KEY_WRONG_CLOCKS, REAL, FIELD(options.wrong_clocks), 0, 0.9},
    {KEY_MALFORMED, REAL, FIELD(options.malformed), 0, 0.9},
    {KEY_CLICK_WINDOW, SPAN, FIELD(options.click_window_us), 0, MAX_SPAN},
    {KEY_INSTALL_WINDOW, SPAN, FIELD(options.install_window_us), 0, MAX_SPAN},
    {KEY_GRACE, SPAN, FIELD(options.grace_us), 0, MAX_SPAN},
    {KEY_WINDOW, SPAN, FIELD(options.window_us), ESP_SECOND, MAX_SPAN},
#undef FIELD
};

/* Scans a finite number; returns where it ends, NULL if there is none. */
static const char *scan_real(const char *text, double *out)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno != 0 || !isfinite(value))
        return NULL;
    *out = value;
    return end;
}

static void set_real(struct raw_options *raw, const char *name, const char *text,
                     const struct number *number, double *out)
{
    double value;
    const char *end = scan_real(text, &value);
    if (end == NULL || *end != '\0' || value < number->low || value > number->high)
        esp_fail(&raw->error, ESP_ECONFIG, "--%s %s: give a number from %g to %g", name, text,
                 number->low, number->high);
    else
        *out = value;
}

static void set_whole(struct raw_options *raw, const char *name, const char *text,
                      const struct number *number, uint64_t *out)
{
    if (!scan_whole(text, (uint64_t)number->low, (uint64_t)number->high, out))
        esp_fail(&raw->error, ESP_ECONFIG, "--%s %s: give a whole number from %.0f to %.0f", name,
                 text, number->low, number->high);
}

static void set_span(struct raw_options *raw, const char *name, const char *text,
                     const struct number *number, int64_t *out)
{
    int64_t value;
    char least[ESP_TIME_TEXT_SIZE];
    int64_t low_us = (int64_t)number->low;
    if (esp_span_parse(text, &value, NULL) != ESP_OK || value < low_us || value > MAX_SPAN)
        esp_fail(&raw->error, ESP_ECONFIG,
                 "--%s %s: give a span such as 90s, 10m, 12h or 2d, at least %s", name, text,
                 esp_span_format(low_us, least));
    else
        *out = value;
}

/* Takes an option of one number. False: it is none. */
static bool set_number(struct raw_options *raw, int key, const char *text)
{
    const struct number *number = numbers;
    const struct number *end = numbers + sizeof numbers / sizeof *numbers;
    while (number < end && number->key != key)
        number++;
    if (number == end)
        return false;
    const struct argp_option *option = option_table;
    while (option->key != key)
        option++;
    void *field = (char *)raw + number->offset;
    if (number->type == REAL)
        set_real(raw, option->name, text, number, field);
    else if (number->type == WHOLE)
        set_whole(raw, option->name, text, number, field);
    else
        set_span(raw, option->name, text, number, field);
    return true;
}

static int64_t whole_seconds_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * ESP_SECOND;
}

/* TIME, now or now-SPAN. */
static void set_start(struct raw_options *raw, const char *text)
{
    int64_t *start_us = &raw->options.start_us;
    int64_t ago_us = 0;
    bool from_now = strncmp(text, "now", 3) == 0;
    bool good = from_now ? text[3] == '\0' ||
                               (text[3] == '-' && esp_span_parse(text + 4, &ago_us, NULL) == ESP_OK)
                         : esp_time_parse(text, start_us, NULL) == ESP_OK;
    if (good && from_now)
        *start_us = whole_seconds_now_us() - ago_us;
    raw->has_start = true;
    if (!good) {
        esp_fail(&raw->error, ESP_ECONFIG,
                 "--start %s: give a time such as 2024-05-01 or 2024-05-01T13:20:00Z, now, or how "
                 "long before, as in now-2h",
                 text);
    } else if (*start_us < 0 || *start_us > 36500 * ESP_DAY) {
        esp_fail(&raw->error, ESP_ECONFIG, "--start %s: give a time from 1970 to 2069", text);
    }
}

/* Takes --NAME CLICK,INSTALL. */
static void set_deviations(struct raw_options *raw, const char *name, const char *text,
                           double out[SIM_N_LOGITS])
{
    double click, install;
    const char *end = scan_real(text, &click);
    if (end != NULL && *end == ',')
        end = scan_real(end + 1, &install);
    else
        end = NULL;
    if (end == NULL || *end != '\0' || click < 0 || click > 8 || install < 0 || install > 8) {
        esp_fail(&raw->error, ESP_ECONFIG,
                 "--%s %s: give two deviations from 0 to 8, as in 1.5,0.8", name, text);
        return;
    }
    out[0] = click;
    out[1] = install;
}

static void set_fields(struct raw_options *raw, const char *text)
{
    raw->options.truth.small = strcmp(text, "small") == 0;
    if (!raw->options.truth.small && strcmp(text, "full") != 0)
        esp_fail(&raw->error, ESP_ECONFIG, "--fields %s: give full or small", text);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct raw_options *raw = state->input;
    struct sim_options *options = &raw->options;
    if (set_number(raw, key, text))
        return 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->destination;
        return 0;
    case KEY_PREFIX:
        options->prefix = text;
        return 0;
    case KEY_TRUTH:
        options->truth_path = text;
        return 0;
    case KEY_NO_TRUTH_TOPIC:
        options->no_truth_topic = true;
        return 0;
    case KEY_LINEAR:
        options->linear_path = text;
        return 0;
    case KEY_START:
        set_start(raw, text);
        return 0;
    case KEY_EFFECTS:
        set_deviations(raw, "effects", text, options->truth.effects);
        return 0;
    case KEY_CROSSES:
        set_deviations(raw, "crosses", text, options->truth.crosses);
        return 0;
    case KEY_FIELDS:
        set_fields(raw, text);
        return 0;
    case KEY_NEW_ADS:
        raw->new_ads = text;
        return 0;
    case KEY_WILD:
        raw->wild = true;
        return 0;
    case KEY_LIVE:
        options->live = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is no option; events go where --out says", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What --live means for the options that were not given. */
static void resolve_live(struct raw_options *raw)
{
    struct sim_options *options = &raw->options;
    if (options->live && options->realtime > 0)
        esp_fail(&raw->error, ESP_ECONFIG,
                 "--live and --realtime exclude each other; --live goes by the wall clock itself");
    if (options->live && !raw->has_start)
        options->start_us = whole_seconds_now_us();
    if (options->n_impressions == NOT_GIVEN)
        options->n_impressions = options->live ? 0 : 100000;
    if (options->first == NOT_GIVEN)
        options->first =
            options->live ? (uint64_t)(options->start_us / ESP_SECOND) * NUMBERS_A_SECOND : 0;
    /* Its records are stamped with times near the clock's, so a broker's retention can be right. */
    options->destination.may_expire = options->live;
}

/* How fast impressions come and how long the campaign lasts. */
static void resolve_time(struct raw_options *raw)
{
    struct sim_options *options = &raw->options;
    double n = (double)options->n_impressions;
    if (raw->days > 0 && raw->rate > 0) {
        esp_fail(&raw->error, ESP_ECONFIG, "--days and --rate exclude each other; give one");
    } else if (options->n_impressions == 0) {
        if (raw->rate == 0)
            esp_fail(&raw->error, ESP_ECONFIG, "%s needs --rate",
                     options->live ? "--live" : "--impressions 0 (without end)");
        options->per_hour = raw->rate;
        options->span_us = ESP_TIME_END;
    } else if (raw->rate > 0) {
        double hours = n / raw->rate;
        if (hours > (double)MAX_SPAN / (double)ESP_HOUR)
            esp_fail(&raw->error, ESP_ECONFIG, "--rate %g: the campaign would last over 10 years",
                     raw->rate);
        else
            options->span_us = (int64_t)(hours * (double)ESP_HOUR);
        options->per_hour = raw->rate;
    } else {
        double days = raw->days > 0 ? raw->days : 2;
        options->span_us = (int64_t)(days * (double)ESP_DAY);
        options->per_hour = n / (sim_busy_hours(options->start_us + options->span_us) -
                                 sim_busy_hours(options->start_us));
    }
}

/* --new-ads AT[,SHARE] */
static void resolve_new_ads(struct raw_options *raw)
{
    struct sim_options *options = &raw->options;
    if (raw->new_ads == NULL)
        return;
    char at[32];
    double share = 0.1;
    double part;
    const char *comma = strchrnul(raw->new_ads, ',');
    size_t n = (size_t)(comma - raw->new_ads);
    const char *end = *comma == ',' ? scan_real(comma + 1, &share) : comma;
    bool good = end != NULL && *end == '\0' && share > 0 && share < 1 && n < sizeof at;
    if (good) {
        memcpy(at, raw->new_ads, n);
        at[n] = '\0';
        end = scan_real(at, &part);
        if (end != NULL && *end == '\0' && options->span_us != ESP_TIME_END)
            options->new_ads_us = (int64_t)(part * (double)options->span_us);
        else
            good = esp_span_parse(at, &options->new_ads_us, NULL) == ESP_OK;
    }
    if (!good || options->new_ads_us < 0)
        esp_fail(&raw->error, ESP_ECONFIG,
                 "--new-ads %s: give a share of the campaign or a span, and perhaps a share of the "
                 "impressions, as in 0.5 or 12h,0.1",
                 raw->new_ads);
    options->new_ads_share = share;
    options->truth.n_new_ads = N_NEW_ADS;
}

/* Fills in what depends on other options. */
static void resolve(struct raw_options *raw)
{
    struct sim_options *options = &raw->options;
    resolve_live(raw);
    resolve_time(raw);
    resolve_new_ads(raw);
    if (options->late + options->wrong_clocks + options->malformed > MAX_LOST)
        esp_fail(&raw->error, ESP_ECONFIG,
                 "--late, --wrong-clocks and --malformed together take over %g of the events",
                 MAX_LOST);
    if (raw->wild)
        options->wild_us =
            options->span_us == ESP_TIME_END ? 10 * ESP_MINUTE : options->span_us / 2;
    const char *root = options->destination.root;
    if (root != NULL && options->truth_path == NULL) {
        if (asprintf(&options->default_truth_path, "%s/truth.json", root) < 0) {
            options->default_truth_path = NULL;
            esp_fail(&raw->error, ESP_ENOMEM, "out of memory");
        }
        options->truth_path = options->default_truth_path;
    }
}

/* What holds where nothing is said. */
static const struct sim_options defaults = {
    .truth = {.seed = 1,
              .ctr = 0.052,
              .cvr = 0.26,
              .effects = {1.75, 1.12},
              .crosses = {0.61, 0.36},
              .decline = 0.11,
              .correlation = 0.5,
              .odds_a_day = 1},
    .n_impressions = NOT_GIVEN,
    .first = NOT_GIVEN,
    .start_us = 19844 * ESP_DAY, /* 2024-05-01 */
    .new_ads_us = ESP_TIME_END,
    .wild_us = ESP_TIME_END,
    .disorder_us = 30 * ESP_SECOND,
    .click_window_us = ESP_HOUR,
    .install_window_us = 7 * ESP_DAY,
    .grace_us = 10 * ESP_MINUTE,
    .window_us = ESP_HOUR,
    .stop_after_us = ESP_TIME_END,
    .prefix = "",
};

enum esp_status sim_options_parse(int argc, char **argv, struct sim_options *out,
                                  struct esp_error *err)
{
    static const struct argp_child children[] = {{&destination_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = option_table, .parser = parse_option, .doc = doc, .children = children};
    struct raw_options raw = {.options = defaults};
    destination_init(&raw.options.destination);
    argp_err_exit_status = EX_USAGE;
    argp_program_version = "espalier-sim " ESP_VERSION;
    if (argp_parse(&argp, argc, argv, 0, NULL, &raw) != 0)
        return esp_fail(err, ESP_ECONFIG, "the command line cannot be read");
    resolve(&raw);
    if (raw.options.destination.error.status != ESP_OK)
        raw.error = raw.options.destination.error;
    if (raw.error.status != ESP_OK) {
        sim_options_release(&raw.options);
        return esp_fail(err, raw.error.status, "%s", raw.error.text);
    }
    *out = raw.options;
    return ESP_OK;
}

void sim_options_release(struct sim_options *options)
{
    free(options->default_truth_path);
    options->default_truth_path = NULL;
}
