/* destination.c - see destination.h. */
#include "destination.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "event/encode.h"

enum { KEY_OUT = 'o', KEY_PROPERTY = 'X', KEY_PARTITIONS = 2000, KEY_CODEC, KEY_FRAMING };

enum { MAX_PARTITIONS = 10000, MAX_SCHEMA_ID = INT32_MAX - 16 };

static const struct argp_option option_table[] = {
    {0, 0, 0, 0, "Where to:", 1},
    {"out", KEY_OUT, "WHERE", 0, "files:DIR or kafka:HOST:PORT[,HOST:PORT...]", 0},
    {"partitions", KEY_PARTITIONS, "N", 0,
     "Partitions of a topic that does not exist yet (4); a record's is chosen by its key as Java's "
     "producer does",
     0},
    {"property", KEY_PROPERTY, "KEY=VALUE", 0, "A property of librdkafka; repeatable", 0},
    {"codec", KEY_CODEC, "NAME", 0, "Of files: null (default), deflate, snappy", 0},
    {"framing", KEY_FRAMING, "HOW", 0,
     "On a broker: bare (default), single (Avro single-object) or confluent:ID", 0},
    {0},
};

bool scan_whole(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end != '\0' || errno != 0 || value < low || value > high)
        return false;
    *out = value;
    return true;
}

static void set_out(struct destination *destination, const char *text)
{
    destination->root = destination->brokers = NULL;
    if (strncmp(text, "files:", 6) == 0 && text[6] != '\0')
        destination->root = text + 6;
    else if (strncmp(text, "kafka:", 6) == 0 && text[6] != '\0')
        destination->brokers = text + 6;
    else
        esp_fail(&destination->error, ESP_ECONFIG, "--out %s: give files:DIR or kafka:HOST:PORT",
                 text);
}

/* Splits KEY=VALUE in place: argv may be written to. One place is kept for the brokers. */
static void add_property(struct destination *destination, char *text)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        esp_fail(&destination->error, ESP_ECONFIG, "-X %s: give KEY=VALUE", text);
    } else if (destination->n_properties + 1 >= DESTINATION_MAX_PROPERTIES) {
        esp_fail(&destination->error, ESP_ECONFIG, "-X: at most %d properties",
                 DESTINATION_MAX_PROPERTIES - 1);
    } else {
        *equals = '\0';
        destination->properties[destination->n_properties++] =
            (struct esp_log_property){.name = text, .value = equals + 1, .where = "-X"};
    }
}

static void set_framing(struct destination *destination, const char *text)
{
    if (strcmp(text, "bare") == 0)
        destination->framing = FRAMING_BARE;
    else if (strcmp(text, "single") == 0)
        destination->framing = FRAMING_SINGLE;
    else if (strncmp(text, "confluent:", 10) == 0 &&
             scan_whole(text + 10, 0, MAX_SCHEMA_ID, &destination->schema_id))
        destination->framing = FRAMING_CONFLUENT;
    else
        esp_fail(&destination->error, ESP_ECONFIG,
                 "--framing %s: give bare, single or confluent:ID with the schema's number", text);
}

static void end_options(struct destination *destination)
{
    if (destination->root == NULL && destination->brokers == NULL)
        esp_fail(&destination->error, ESP_ECONFIG,
                 "--out is missing; give --out files:DIR or --out kafka:HOST:PORT");
    if (destination->root != NULL && destination->framing != FRAMING_BARE)
        esp_fail(&destination->error, ESP_ECONFIG,
                 "--framing is for brokers; files name their schema themselves");
    if (destination->brokers != NULL)
        destination->properties[destination->n_properties++] = (struct esp_log_property){
            .name = "bootstrap.servers", .value = destination->brokers, .where = "--out"};
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct destination *destination = state->input;
    switch (key) {
    case KEY_OUT:
        set_out(destination, text);
        return 0;
    case KEY_PARTITIONS:
        if (!scan_whole(text, 1, MAX_PARTITIONS, &destination->n_partitions))
            esp_fail(&destination->error, ESP_ECONFIG,
                     "--partitions %s: give a whole number from 1 to %d", text, MAX_PARTITIONS);
        return 0;
    case KEY_PROPERTY:
        add_property(destination, text);
        return 0;
    case KEY_CODEC:
        destination->codec = text;
        return 0;
    case KEY_FRAMING:
        set_framing(destination, text);
        return 0;
    case ARGP_KEY_END:
        end_options(destination);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp destination_argp = {.options = option_table, .parser = parse_option};

void destination_init(struct destination *destination)
{
    *destination = (struct destination){.codec = "null", .n_partitions = 4};
}

static void report_event(void *context, const struct esp_log_event *event)
{
    (void)context;
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, event->text);
}

enum esp_status destination_open(const struct destination *destination, struct esp_log **out,
                                 struct esp_error *err)
{
    if (destination->brokers != NULL)
        return esp_log_open_kafka(destination->properties, destination->n_properties, report_event,
                                  NULL, out, err);
    if (mkdir(destination->root, 0777) != 0 && errno != EEXIST)
        return esp_fail(err, ESP_EIO, "cannot make the folder %s: %s", destination->root,
                        strerror(errno));
    return esp_log_open_files(destination->root, destination->codec, report_event, NULL, out, err);
}

enum esp_status destination_topic(const struct destination *destination, struct esp_log *log,
                                  const char *topic, size_t *out_n, bool *out_was_there,
                                  struct esp_error *err)
{
    static const char *const keep[] = {"retention.ms", "-1", NULL};
    size_t n = 0;
    enum esp_status status = esp_log_partitions(log, topic, DESTINATION_PATIENCE, &n, err);
    if (status != ESP_OK)
        return status;
    if (out_was_there != NULL)
        *out_was_there = n > 0;
    if (n == 0) {
        n = (size_t)destination->n_partitions;
        status = esp_log_create_topic(log, topic, n, destination->may_expire ? NULL : keep, err);
    }
    *out_n = n;
    return status;
}

enum esp_status destination_put_framing(const struct destination *destination, struct esp_buf *buf,
                                        uint64_t fingerprint, uint64_t nth_schema,
                                        struct esp_error *err)
{
    if (destination->framing == FRAMING_BARE)
        return ESP_OK;
    if (destination->framing == FRAMING_SINGLE)
        return esp_put_single_object(buf, fingerprint, err);
    uint32_t id = (uint32_t)(destination->schema_id + nth_schema);
    uint8_t head[] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    return esp_put_raw(buf, esp_bytes(head, sizeof head), err);
}
