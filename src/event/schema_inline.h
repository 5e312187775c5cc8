/*
 * schema_inline.h - one self-contained schema made of one that refers to types of others.
 *
 * A Schema Registry keeps the types that several schemas share once: a schema then names a type
 * that only one of its references defines. Containers, output records and plans need the whole in
 * one text: each such type is put where it is first named.
 */
#ifndef ESP_EVENT_SCHEMA_INLINE_H
#define ESP_EVENT_SCHEMA_INLINE_H

#include <stddef.h>

#include "core/status.h"

/*
 * text        the schema, JSON
 * referenced  (n_referenced) JSON of the schemas that it refers to, and of those that these refer
 * to, in any order out         NUL-terminated, free()d by the caller; equal in meaning to text.
 * Named types that nothing names are left out; a name that nobody defines stays as it is, for the
 * parser to refuse Errors: ESP_ESCHEMA (not JSON; nested deeper than ESP_SCHEMA_MAX_DEPTH; over
 * ESP_SCHEMA_MAX_BYTES in the end; a type that is defined twice and not alike; a type without
 * namespace that is named from within one), ESP_ENOMEM.
 */
enum esp_status esp_schema_inline(const char *text, const char *const *referenced,
                                  size_t n_referenced, char **out, struct esp_error *err);

#endif
