/*
 * decoder_archive.c - a decoder's writers in a checkpoint.
 *
 * Records and examples of a checkpoint name their schema by the writer's index, which is the order
 * in which schemas were met. So the list comes back in its order, from the schemas' texts, whose
 * plans are compiled again. What the new decoder knows from its configuration takes its old place;
 * what it knows beyond the list (a schema that was configured since) comes behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "event/decoder_state.h"

/* In place of an index: the id's schema does not fit the topic. */
enum { NO_WRITER = UINT16_MAX };

/* The writer of a text that was read: known, or compiled now. NULL: the archive has failed. */
static struct esp_writer *take_writer(struct esp_archive *archive, struct esp_decoder *decoder,
                                      const char *json)
{
    struct esp_error why = {0};
    struct esp_schema *schema = NULL;
    size_t size = strlen(json);
    struct esp_writer *writer = esp_decoder_find_writer(decoder, json, size);
    if (writer != NULL)
        return writer;
    enum esp_status status = esp_schema_parse(json, size, &schema, &why);
    if (status == ESP_OK)
        status = esp_decoder_compile(decoder, schema, &writer, &why);
    if (status != ESP_OK) {
        esp_archive_fail(archive, status == ESP_ENOMEM ? status : ESP_EDATA,
                         "topic %s: a schema that was read before cannot be used: %s",
                         decoder->wanted.config.topic, why.text);
        return NULL;
    }
    esp_decoder_append(decoder, writer);
    return writer;
}

/* Puts the first n in this order, and the others behind them. */
static void order_writers(struct esp_decoder *decoder, struct esp_writer **order, size_t n)
{
    size_t n_all = esp_decoder_n_writers(decoder);
    for (size_t i = 0; i < n_all; i++) {
        struct esp_writer *writer = atomic_load(&decoder->writers[i]);
        bool is_among = false;
        for (size_t k = 0; k < n && !is_among; k++)
            is_among = order[k] == writer;
        if (!is_among)
            order[n++] = writer;
    }
    for (size_t i = 0; i < n_all; i++) {
        order[i]->index = (uint16_t)i;
        atomic_store(&decoder->writers[i], order[i]);
    }
}

/* The next writer of the list, which is none of the n before it. NULL: the archive has failed. */
static struct esp_writer *read_writer(struct esp_archive *archive, struct esp_decoder *decoder,
                                      struct esp_writer *const *before, size_t n)
{
    char *json = NULL;
    struct esp_writer *writer = NULL;
    esp_archive_text(archive, &json);
    if (esp_archive_check(archive, json != NULL, "a topic's schema"))
        writer = take_writer(archive, decoder, json);
    free(json);
    for (size_t i = 0; writer != NULL && i < n; i++)
        if (!esp_archive_check(archive, before[i] != writer, "a schema that comes twice"))
            writer = NULL;
    return writer;
}

static void read_writers(struct esp_archive *archive, struct esp_decoder *decoder, size_t n)
{
    struct esp_writer **order = calloc(ESP_MAX_WRITERS, sizeof *order);
    if (order == NULL) {
        esp_archive_fail(archive, ESP_ENOMEM, "out of memory for the schemas of a topic");
        return;
    }
    size_t n_read = 0;
    for (; n_read < n; n_read++) {
        struct esp_writer *writer = read_writer(archive, decoder, order, n_read);
        if (writer == NULL)
            break;
        order[n_read] = writer;
    }
    if (n_read == n)
        order_writers(decoder, order, n);
    free(order);
}

static void archive_writers(struct esp_archive *archive, struct esp_decoder *decoder)
{
    size_t n = esp_decoder_n_writers(decoder);
    esp_archive_size(archive, &n);
    if (!esp_archive_check(archive, n <= ESP_MAX_WRITERS, "the number of a topic's schemas"))
        return;
    if (esp_archive_reads(archive)) {
        read_writers(archive, decoder, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char *json = atomic_load(&decoder->writers[i])->schema->json;
        esp_archive_text(archive, &json);
    }
}

/* One id of Confluent's framing and the index of its writer. */
static void archive_id(struct esp_archive *archive, struct esp_decoder *decoder, size_t i)
{
    uint32_t id = 0;
    uint16_t index = NO_WRITER;
    if (!esp_archive_reads(archive)) {
        id = decoder->ids.items[i].id;
        if (decoder->ids.items[i].writer != NULL)
            index = decoder->ids.items[i].writer->index;
    }
    esp_archive_u32(archive, &id);
    esp_archive_u16(archive, &index);
    bool is_there = index == NO_WRITER || index < esp_decoder_n_writers(decoder);
    if (!esp_archive_check(archive, is_there, "the schema of a schema id") ||
        !esp_archive_reads(archive))
        return;
    const struct esp_writer *writer =
        index == NO_WRITER ? NULL : esp_decoder_writer(decoder, index);
    const struct esp_schema_id *known = esp_schema_ids_find(&decoder->ids, id);
    struct esp_error why = {0};
    if (known == NULL && esp_schema_ids_add(&decoder->ids, id, writer, &why) != ESP_OK)
        esp_archive_fail(archive, why.status, "%s", why.text);
    else if (known != NULL && known->writer != writer)
        esp_archive_fail(archive, ESP_EDATA,
                         "topic %s: schema id %lu is another schema than when the state was saved",
                         decoder->wanted.config.topic, (unsigned long)id);
}

void esp_decoder_archive(struct esp_archive *archive, struct esp_decoder *decoder)
{
    enum { ID_BYTES = 6 };
    size_t n_ids = decoder->ids.n;
    struct esp_error why = {0};
    esp_archive_mark(archive, "decoder", 1);
    archive_writers(archive, decoder);
    esp_archive_count(archive, &n_ids, ID_BYTES);
    for (size_t i = 0; i < n_ids && esp_archive_is_ok(archive); i++)
        archive_id(archive, decoder, i);
    if (!esp_archive_reads(archive) || !esp_archive_is_ok(archive) ||
        atomic_load(&decoder->feature_types) != NULL || esp_decoder_n_writers(decoder) == 0)
        return;
    enum esp_status status = esp_decoder_describe(decoder, &why);
    if (status != ESP_OK)
        esp_archive_fail(archive, status == ESP_ENOMEM ? status : ESP_EDATA, "topic %s: %s",
                         decoder->wanted.config.topic, why.text);
}
