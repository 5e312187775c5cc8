/* load_options.h - what the command line of espalier-load says, checked and complete. */
#ifndef ESP_LOAD_OPTIONS_H
#define ESP_LOAD_OPTIONS_H

#include "destination.h"
#include "mapping.h"
#include "rows.h"
#include "where.h"

/* Texts are borrowed from argv. */
struct load_options {
    struct destination destination;
    const char *input; /* "-": standard input */
    const char *topic;
    enum load_format format;
    char delimiter;
    struct load_columns columns; /* of mappings and where */
    struct load_mappings mappings;
    struct load_where where;
    const char *schema;      /* path; NULL: made from the mappings */
    const char *record_name; /* of a schema that is made */
    const char *key;
    const char *sort;      /* NULL: as the input comes */
    const char *timestamp; /* NULL: records are stamped with now */
    uint64_t max_bad;
    uint64_t sort_limit_mib;
    struct esp_error error; /* the first option that is wrong */
};

/*
 * Parses `espalier-load [OPTION...] FILE`. Prints usage and leaves the program for --help and for
 * what argp itself refuses (exit 64).
 * Errors: ESP_ECONFIG (names the option and the mend), ESP_ENOMEM.
 */
enum esp_status load_options_parse(int argc, char **argv, struct load_options *out,
                                   struct esp_error *err);
void load_options_release(struct load_options *options);

#endif
