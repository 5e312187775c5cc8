/*
 * destination.h - where a tool's records go: a folder of Avro files, or a broker. The options for
 * it, and what they mean. espalier-sim and espalier-load share it.
 */
#ifndef ESP_TOOLS_DESTINATION_H
#define ESP_TOOLS_DESTINATION_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "log/log.h"

enum destination_framing { FRAMING_BARE, FRAMING_SINGLE, FRAMING_CONFLUENT };

enum { DESTINATION_MAX_PROPERTIES = 32 };

/* Texts are borrowed from argv. Exactly one of root and brokers is set. */
struct destination {
    const char *root;    /* files: the folder */
    const char *brokers; /* kafka: HOST:PORT, ... */
    struct esp_log_property properties[DESTINATION_MAX_PROPERTIES];
    size_t n_properties;
    const char *codec;     /* of files */
    uint64_t n_partitions; /* of topics that are made */
    bool may_expire;       /* these go by the broker's retention */
    enum destination_framing framing;
    uint64_t schema_id;     /* confluent */
    struct esp_error error; /* the first option that is wrong */
};

/*
 * The options --out, --partitions, -X, --codec, --framing, as a child of a program's parser; its
 * input is a struct destination. At the end, ARGP_KEY_END, --out must have been given.
 */
extern const struct argp destination_argp;

/* Before parsing. */
void destination_init(struct destination *destination);

/* Opens the folder (making it if it is missing) or the broker. What the log reports goes to stderr
 * after the program's name. Errors: as esp_log_open_files(), esp_log_open_kafka(). */
enum esp_status destination_open(const struct destination *destination, struct esp_log **out,
                                 struct esp_error *err);

/*
 * The number of partitions of a topic, which is made if it is missing: on Kafka with
 * retention.ms=-1, for a broker's retention goes by the records' own times, unless they may expire.
 * *out_was_there  may be NULL
 */
enum esp_status destination_topic(const struct destination *destination, struct esp_log *log,
                                  const char *topic, size_t *out_n, bool *out_was_there,
                                  struct esp_error *err);

/*
 * Begins a record with its framing; files have none.
 *
 * fingerprint  of the schema, for single-object framing
 * nth_schema   added to --framing confluent:ID
 */
enum esp_status destination_put_framing(const struct destination *destination, struct esp_buf *buf,
                                        uint64_t fingerprint, uint64_t nth_schema,
                                        struct esp_error *err);

/* How long a tool waits for a broker before it gives up. */
#define DESTINATION_PATIENCE (60 * ESP_SECOND)

/*
 * Scans a whole number in decimal, all of text. False: it is none, or not in [low, high].
 */
bool scan_whole(const char *text, uint64_t low, uint64_t high, uint64_t *out);

#endif
