/*
 * avro_resolve.h - which part of a writer's schema a part of a reader's stands for.
 *
 * Source: Avro 1.11 specification, "Schema Resolution". Matches are shallow: what is inside is
 * matched when it is come to.
 */
#ifndef ESP_EVENT_AVRO_RESOLVE_H
#define ESP_EVENT_AVRO_RESOLVE_H

#include "event/avro_schema.h"

/* True if a value of type writer can be read as type reader. Neither is a union. Names of records,
 * enums and fixed are compared without namespace, and with the reader's aliases. */
bool esp_avro_match(const struct esp_avro_type *writer, const struct esp_avro_type *reader);

/* The reader's type for a writer's type that is no union: of a union the branch of the same type,
 * else the first that it can be promoted to (as Avro for Java does; the specification says the
 * first match, which would turn a long into a float where [float, long] is read). NULL: none. */
const struct esp_avro_type *esp_avro_reader_type(const struct esp_avro_type *writer,
                                                 const struct esp_avro_type *reader);

/* The writer's field that is read as a reader's: of the same name, else of one of its aliases that
 * is no other reader field's name. NULL: none. */
const struct esp_avro_field *esp_avro_writer_field(const struct esp_avro_type *writer,
                                                   const struct esp_avro_type *reader,
                                                   const struct esp_avro_field *field);

#endif
