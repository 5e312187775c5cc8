/* load_options.c - see load_options.h. */
#include "load_options.h"

#include <string.h>
#include <sysexits.h>

#include "core/version.h"

enum {
    KEY_TOPIC = 't',
    KEY_MAP = 'm',
    KEY_WHERE = 'w',
    KEY_FORMAT = 1000,
    KEY_DELIMITER,
    KEY_SCHEMA,
    KEY_RECORD,
    KEY_KEY,
    KEY_SORT,
    KEY_SORT_LIMIT,
    KEY_TIMESTAMP,
    KEY_MAX_BAD,
};

static const struct argp_option option_table[] = {
    {0, 0, 0, 0, "What is read:", 2},
    {"format", KEY_FORMAT, "NAME", 0,
     "csv (RFC 4180 with a header line) or jsonl; by default the file's ending tells", 0},
    {"delimiter", KEY_DELIMITER, "C", 0, "Of CSV: a character, or tab (default: a comma)", 0},
    {"where", KEY_WHERE, "COLUMN=VALUE", 0,
     "Take only such rows; COLUMN!=VALUE too; a comma between conditions means and, another "
     "--where means or",
     0},
    {"max-bad", KEY_MAX_BAD, "N", 0, "Bad rows that are still no failure (0)", 0},

    {0, 0, 0, 0, "What is written:", 3},
    {"topic", KEY_TOPIC, "NAME", 0, "The topic, appended to", 0},
    {"map", KEY_MAP, "FIELD=SOURCE", 0,
     "A field's source: a column, COLUMN:TYPE, or a text with {COLUMN} or {row:06d}; repeatable",
     0},
    {"schema", KEY_SCHEMA, "FILE", 0,
     "The records' Avro schema; by default it is made of the mapped fields", 0},
    {"record", KEY_RECORD, "NAME", 0, "The name of a schema that is made (Record)", 0},
    {"key", KEY_KEY, "FIELD", 0,
     "The field whose text is the record's key and chooses its partition (impression_id)", 0},
    {"timestamp", KEY_TIMESTAMP, "FIELD", 0,
     "Stamp Kafka's records with this time rather than with now", 0},
    {"sort", KEY_SORT, "FIELD", 0, "Write in the order of this time or number; stable, in memory",
     0},
    {"sort-limit", KEY_SORT_LIMIT, "MIB", 0, "Records that --sort may hold, in MiB (4096)", 0},
    {0},
};

static const char doc[] =
    "Loads CSV or JSON lines into a topic or a folder of Avro files. FILE - reads standard input."
    "\v"
    "Types of --map: string, int, long, float, double, boolean, timestamp-millis and "
    "timestamp-micros (of a text such as 2017-11-07 09:30:38), epoch-s, epoch-ms, epoch-us (of a "
    "number). Fields with dots are nested records.\n\n"
    "Examples:\n"
    "  espalier-load clicks.csv --out files:/tmp/in --topic clicks \\\n"
    "    --sort event_time --map impression_id=auction \\\n"
    "    --map event_time=at:timestamp-millis\n"
    "  zcat ads.json.gz | espalier-load - --format jsonl \\\n"
    "    --out kafka:localhost:9092 --topic impressions \\\n"
    "    --schema impression.avsc --map impression_id='td{row:06d}' ...\n\n"
    "A bad row is reported with its line and left out; with more of them than --max-bad the exit "
    "code is 65. docs/loader.md has whole commands for two public data sets.";

static void set_format(struct load_options *options, const char *text)
{
    if (strcmp(text, "csv") == 0)
        options->format = LOAD_CSV;
    else if (strcmp(text, "jsonl") == 0)
        options->format = LOAD_JSON_LINES;
    else
        esp_fail(&options->error, ESP_ECONFIG, "--format %s: give csv or jsonl", text);
}

static void set_delimiter(struct load_options *options, const char *text)
{
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0)
        options->delimiter = '\t';
    else if (strlen(text) == 1 && strchr("\"\r\n", *text) == NULL)
        options->delimiter = *text;
    else
        esp_fail(&options->error, ESP_ECONFIG,
                 "--delimiter %s: give one character that is neither a quote nor a line break, or "
                 "tab",
                 text);
}

static void set_whole(struct load_options *options, const char *name, const char *text,
                      uint64_t low, uint64_t high, uint64_t *out)
{
    if (!scan_whole(text, low, high, out))
        esp_fail(&options->error, ESP_ECONFIG, "--%s %s: give a whole number from %llu to %llu",
                 name, text, (unsigned long long)low, (unsigned long long)high);
}

/* Options that say what is read. False: it is none of them. */
static bool parse_input(struct load_options *options, int key, const char *text)
{
    switch (key) {
    case KEY_FORMAT:
        set_format(options, text);
        return true;
    case KEY_DELIMITER:
        set_delimiter(options, text);
        return true;
    case KEY_WHERE:
        load_where_add(&options->where, text, &options->columns, &options->error);
        return true;
    case KEY_MAX_BAD:
        set_whole(options, "max-bad", text, 0, UINT64_C(1) << 60, &options->max_bad);
        return true;
    default:
        return false;
    }
}

/* Options that say what is written. False: it is none of them. */
static bool parse_output(struct load_options *options, int key, const char *text)
{
    switch (key) {
    case KEY_TOPIC:
        options->topic = text;
        return true;
    case KEY_MAP:
        load_mappings_add(&options->mappings, text, &options->columns, &options->error);
        return true;
    case KEY_SCHEMA:
        options->schema = text;
        return true;
    case KEY_RECORD:
        options->record_name = text;
        return true;
    case KEY_KEY:
        options->key = text;
        return true;
    case KEY_SORT:
        options->sort = text;
        return true;
    case KEY_SORT_LIMIT:
        set_whole(options, "sort-limit", text, 1, 1 << 24, &options->sort_limit_mib);
        return true;
    case KEY_TIMESTAMP:
        options->timestamp = text;
        return true;
    default:
        return false;
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

/* The format that a file's ending tells of. */
static enum load_format guess_format(const char *input)
{
    static const char *const endings[] = {".jsonl", ".ndjson", ".json"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(input, endings[i]))
            return LOAD_JSON_LINES;
    return LOAD_CSV;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct load_options *options = state->input;
    if (parse_input(options, key, text) || parse_output(options, key, text))
        return 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->destination;
        return 0;
    case ARGP_KEY_ARG:
        if (options->input != NULL)
            argp_error(state, "one FILE at a time; \"%s\" is a second one", text);
        options->input = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Fills in what depends on other options, and says what is missing. */
static void resolve(struct load_options *options)
{
    struct esp_error *err = &options->error;
    if (options->destination.error.status != ESP_OK)
        esp_fail(err, options->destination.error.status, "%s", options->destination.error.text);
    if (options->input == NULL) {
        esp_fail(err, ESP_ECONFIG, "the input is missing; name a FILE, or - for standard input");
        return;
    }
    if (options->topic == NULL)
        esp_fail(err, ESP_ECONFIG, "--topic is missing; name the topic to write to");
    if (options->mappings.n == 0)
        esp_fail(err, ESP_ECONFIG, "--map is missing; give at least one FIELD=COLUMN");
    if (options->format == LOAD_FORMAT_UNKNOWN)
        options->format = guess_format(options->input);
    if (options->key == NULL)
        options->key = "impression_id";
}

enum esp_status load_options_parse(int argc, char **argv, struct load_options *out,
                                   struct esp_error *err)
{
    static const struct argp_child children[] = {{&destination_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {.options = option_table,
                                     .parser = parse_option,
                                     .args_doc = "FILE",
                                     .doc = doc,
                                     .children = children};
    struct load_options options = {
        .delimiter = ',',
        .record_name = "Record",
        .sort_limit_mib = 4096,
    };
    destination_init(&options.destination);
    argp_err_exit_status = EX_USAGE;
    argp_program_version = "espalier-load " ESP_VERSION;
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
        esp_fail(&options.error, ESP_ECONFIG, "the command line cannot be read");
    resolve(&options);
    if (options.error.status != ESP_OK) {
        load_options_release(&options);
        return esp_fail(err, options.error.status, "%s", options.error.text);
    }
    *out = options;
    return ESP_OK;
}

void load_options_release(struct load_options *options)
{
    load_columns_release(&options->columns);
    load_mappings_release(&options->mappings);
    load_where_release(&options->where);
}
