/* avro_resolve.c - see avro_resolve.h. */
#include "event/avro_resolve.h"

#include <string.h>

static bool same_name(const struct esp_avro_type *writer, const struct esp_avro_type *reader)
{
    if (strcmp(esp_avro_short_name(writer->name), esp_avro_short_name(reader->name)) == 0)
        return true;
    for (size_t i = 0; i < reader->aliases.n; i++) {
        if (strcmp(writer->name, reader->aliases.names[i]) == 0)
            return true;
    }
    return false;
}

static bool promotes(enum esp_avro_kind writer, enum esp_avro_kind reader)
{
    switch (writer) {
    case ESP_AVRO_INT:
        return reader == ESP_AVRO_LONG || reader == ESP_AVRO_FLOAT || reader == ESP_AVRO_DOUBLE;
    case ESP_AVRO_LONG:
        return reader == ESP_AVRO_FLOAT || reader == ESP_AVRO_DOUBLE;
    case ESP_AVRO_FLOAT:
        return reader == ESP_AVRO_DOUBLE;
    case ESP_AVRO_STRING:
        return reader == ESP_AVRO_BYTES;
    case ESP_AVRO_BYTES:
        return reader == ESP_AVRO_STRING;
    default:
        return false;
    }
}

bool esp_avro_match(const struct esp_avro_type *writer, const struct esp_avro_type *reader)
{
    if (writer->kind != reader->kind)
        return promotes(writer->kind, reader->kind);
    if (writer->kind == ESP_AVRO_FIXED && writer->size != reader->size)
        return false;
    return writer->name == NULL || same_name(writer, reader);
}

const struct esp_avro_type *esp_avro_reader_type(const struct esp_avro_type *writer,
                                                 const struct esp_avro_type *reader)
{
    if (reader->kind != ESP_AVRO_UNION)
        return esp_avro_match(writer, reader) ? reader : NULL;
    const struct esp_avro_type *found = NULL;
    for (size_t i = 0; i < reader->n_branches; i++) {
        const struct esp_avro_type *branch = reader->branches[i];
        if (!esp_avro_match(writer, branch))
            continue;
        if (branch->kind == writer->kind)
            return branch;
        if (found == NULL)
            found = branch; /* by promotion: only if no branch is the very type */
    }
    return found;
}

const struct esp_avro_field *esp_avro_writer_field(const struct esp_avro_type *writer,
                                                   const struct esp_avro_type *reader,
                                                   const struct esp_avro_field *field)
{
    const struct esp_avro_field *found =
        esp_avro_find_field(writer, field->name, strlen(field->name));
    for (size_t i = 0; found == NULL && i < field->aliases.n; i++) {
        const char *alias = field->aliases.names[i];
        if (esp_avro_find_field(reader, alias, strlen(alias)) == NULL)
            found = esp_avro_find_field(writer, alias, strlen(alias));
    }
    return found;
}
