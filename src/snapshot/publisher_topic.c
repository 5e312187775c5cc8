/*
 * publisher_topic.c - publishes to a topic: chunks, then their manifest; tombstones in the other
 * order.
 *
 * A few chunks are under way at a time, so that memory stays bounded and a stop is noticed. After a
 * failure the writer is given up, for it fails for ever; the next call opens another.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/buf.h"
#include "snapshot/chunks.h"
#include "snapshot/orphans.h"
#include "snapshot/publisher_ops.h"

enum {
    UNDER_WAY = 32,             /* chunks that may be unacknowledged */
    VALUE_MAX = 32 << 20,       /* bytes of an encoded record: a manifest's text and its arrays */
    TOMBSTONES_UNDER_WAY = 4096 /* between looks at whether to stop */
};

static const int64_t broker_patience_us = 30 * ESP_SECOND, wait_step_us = ESP_SECOND;

struct topic_publisher {
    struct esp_publisher base;
    struct esp_log *log;           /* borrowed */
    struct esp_log_writer *writer; /* owned; NULL: none yet, or it has failed */
    size_t n_partitions, chunk_bytes;
    int64_t next_manifest; /* offset in partition 0 up to which base.live is right */
    struct esp_own_fingerprints own;
    struct esp_buf value;
};

static struct topic_publisher *of(struct esp_publisher *base)
{
    return (struct topic_publisher *)base;
}

static void topic_free(struct esp_publisher *base)
{
    struct topic_publisher *publisher = of(base);
    esp_log_writer_free(publisher->writer);
    esp_buf_release(&publisher->value);
    free(publisher);
}

/* ---- what is live ---------------------------------------------------------------------------- */

static enum esp_status visit_manifest(void *context, const struct esp_record *record,
                                      bool *out_enough, struct esp_error *err)
{
    (void)out_enough;
    struct topic_publisher *publisher = context;
    enum esp_manifest_change change;
    struct esp_snapshot_id id;
    return esp_live_set_take(&publisher->base.live, &publisher->own, record,
                             &publisher->base.stats.manifests, &change, &id, NULL, err);
}

static enum esp_status topic_refresh(struct esp_publisher *base, bool *stopped,
                                     struct esp_error *err)
{
    struct topic_publisher *publisher = of(base);
    struct esp_error why = {0};
    enum esp_read_end end;
    enum esp_status status =
        esp_partition_read(publisher->log, base->place, 0, &publisher->next_manifest,
                           &base->patience, visit_manifest, publisher, &end, &why);
    if (status == ESP_EDATA && publisher->next_manifest != ESP_OFFSET_EARLIEST) {
        /* The topic was made anew, or lost its head: what is there now is what counts. */
        esp_live_set_release(&base->live);
        publisher->next_manifest = ESP_OFFSET_EARLIEST;
        return topic_refresh(base, stopped, err);
    }
    *stopped = status == ESP_OK && end == ESP_READ_STOPPED;
    return status == ESP_OK ? ESP_OK : esp_fail(err, status, "%s", why.text);
}

static enum esp_status topic_is_same(struct esp_publisher *base,
                                     const struct esp_live_snapshot *live,
                                     const struct esp_publication *publication, bool *out,
                                     struct esp_error *err)
{
    (void)base, (void)err;
    *out = live->manifest.size == publication->size &&
           live->manifest.checksum == publication->checksum;
    return ESP_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void give_up_writer(struct topic_publisher *publisher)
{
    esp_log_writer_free(publisher->writer);
    publisher->writer = NULL;
}

static enum esp_status need_writer(struct topic_publisher *publisher, struct esp_error *err)
{
    struct esp_log_writer_config config = {.topic = publisher->base.place};
    if (publisher->writer != NULL)
        return ESP_OK;
    return esp_log_writer_new(publisher->log, &config, &publisher->writer, err);
}

/* Until all is acknowledged, or it is told to stop. */
static enum esp_status wait_all(struct topic_publisher *publisher, bool *stopped,
                                struct esp_error *err)
{
    bool done = false;
    enum esp_status status = ESP_OK;
    while (status == ESP_OK && !done && !*stopped) {
        status = esp_log_wait(publisher->writer, wait_step_us, &done, err);
        if (status == ESP_OK && !done)
            *stopped = esp_patience_stop(&publisher->base.patience);
    }
    return status;
}

static enum esp_status append_chunk(struct topic_publisher *publisher,
                                    const struct esp_snapshot_id *id, const struct esp_chunk *chunk,
                                    int32_t partition, int64_t *offset, struct esp_error *err)
{
    const struct esp_snapshot_chunk_record record = {
        .id = *id,
        .index = chunk->index,
        .count = chunk->count,
        .offset = chunk->offset,
        .checksum = chunk->checksum,
        .data = chunk->data,
    };
    char key[ESP_SNAPSHOT_KEY_SIZE];
    size_t n_key = esp_snapshot_key(id, chunk->index, key);
    esp_buf_clear(&publisher->value);
    enum esp_status status =
        esp_put_single_object(&publisher->value, publisher->own.of[ESP_SCHEMA_SNAPSHOT_CHUNK], err);
    if (status == ESP_OK)
        status = esp_encode_snapshot_chunk(&publisher->value, &record, err);
    if (status == ESP_OK)
        status =
            esp_log_append_tracked(publisher->writer, partition, esp_bytes(key, n_key),
                                   esp_buf_bytes(&publisher->value), ESP_TIME_NONE, offset, err);
    return status;
}

/* Chunk by chunk; offsets and checksums go into the manifest's arrays. */
static enum esp_status put_chunks(struct topic_publisher *publisher, struct esp_cutter *cutter,
                                  struct esp_snapshot_manifest_record *manifest, bool *stopped,
                                  struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    while (status == ESP_OK && !*stopped && cutter->index < cutter->count) {
        struct esp_chunk chunk;
        status = esp_cutter_next(cutter, &chunk, err);
        if (status != ESP_OK)
            return status;
        size_t i = (size_t)chunk.index;
        manifest->chunk_checksums[i] = chunk.checksum;
        status = append_chunk(publisher, &manifest->id, &chunk, manifest->chunk_partition,
                              &manifest->chunk_offsets[i], err);
        publisher->base.stats.chunks++;
        publisher->base.stats.bytes += chunk.data.size;
        if (status == ESP_OK && ((i + 1) % UNDER_WAY == 0 || cutter->index == cutter->count))
            status = wait_all(publisher, stopped, err);
        if (status == ESP_OK && cutter->index < cutter->count && !*stopped)
            *stopped = esp_patience_stop(&publisher->base.patience);
    }
    return status;
}

static enum esp_status put_tombstone(struct topic_publisher *publisher,
                                     const struct esp_snapshot_id *id, int32_t index,
                                     int32_t partition, struct esp_error *err)
{
    char key[ESP_SNAPSHOT_KEY_SIZE];
    size_t n_key = esp_snapshot_key(id, index, key);
    return esp_log_append(publisher->writer, partition, esp_bytes(key, n_key), esp_bytes(NULL, 0),
                          ESP_TIME_NONE, err);
}

static enum esp_status put_manifest(struct topic_publisher *publisher,
                                    const struct esp_snapshot_manifest_record *manifest,
                                    bool *stopped, struct esp_error *err)
{
    char key[ESP_SNAPSHOT_KEY_SIZE];
    size_t n_key = esp_snapshot_key(&manifest->id, ESP_KEY_NO_INDEX, key);
    esp_buf_clear(&publisher->value);
    enum esp_status status = esp_put_single_object(
        &publisher->value, publisher->own.of[ESP_SCHEMA_SNAPSHOT_MANIFEST], err);
    if (status == ESP_OK)
        status = esp_encode_snapshot_manifest(&publisher->value, manifest, err);
    if (status == ESP_OK)
        status = esp_log_append(publisher->writer, 0, esp_bytes(key, n_key),
                                esp_buf_bytes(&publisher->value), ESP_TIME_NONE, err);
    if (status == ESP_OK)
        status = wait_all(publisher, stopped, err);
    return status;
}

/* What was written of a file that turned out to be another than it should be. */
static enum esp_status bury_chunks(struct topic_publisher *publisher,
                                   const struct esp_snapshot_id *id, int32_t partition, size_t n,
                                   bool *stopped, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < n && status == ESP_OK && !*stopped; i++) {
        status = put_tombstone(publisher, id, (int32_t)i, partition, err);
        if (status == ESP_OK && (i + 1) % TOMBSTONES_UNDER_WAY == 0)
            status = wait_all(publisher, stopped, err);
    }
    return status == ESP_OK && !*stopped ? wait_all(publisher, stopped, err) : status;
}

static enum esp_status check_file(const struct esp_cutter *cutter,
                                  const struct esp_publication *publication, struct esp_error *err)
{
    uint64_t checksum = esp_cutter_checksum(cutter);
    if (cutter->size == publication->size && checksum == publication->checksum)
        return ESP_OK;
    return esp_fail(err, ESP_EDATA,
                    "%s has %" PRIu64 " bytes with checksum %016" PRIx64 ", not %" PRIu64
                    " with %016" PRIx64 ": it was changed after it was written",
                    publication->path, cutter->size, checksum, publication->size,
                    publication->checksum);
}

static enum esp_status put_file(struct topic_publisher *publisher, struct esp_cutter *cutter,
                                const struct esp_publication *publication,
                                struct esp_snapshot_manifest_record *manifest, bool *stopped,
                                struct esp_error *err)
{
    enum esp_status status = put_chunks(publisher, cutter, manifest, stopped, err);
    if (status != ESP_OK || *stopped)
        return status;
    status = check_file(cutter, publication, err);
    if (status != ESP_OK) {
        bury_chunks(publisher, &manifest->id, manifest->chunk_partition, manifest->n_chunks,
                    stopped, NULL);
        return status;
    }
    return put_manifest(publisher, manifest, stopped, err);
}

static enum esp_status topic_put(struct esp_publisher *base,
                                 const struct esp_publication *publication, bool *stopped,
                                 struct esp_error *err)
{
    struct topic_publisher *publisher = of(base);
    struct esp_cutter cutter = {.fd = -1};
    struct esp_snapshot_manifest_record manifest = {
        .id = publication->id,
        .boundary_us = publication->boundary_us,
        .created_us = publication->created_us,
        .size = publication->size,
        .checksum = publication->checksum,
        .chunk_partition =
            (int32_t)esp_chunk_partition(publication->id.model, publisher->n_partitions),
        .inputs = (struct esp_input_offset *)(uintptr_t)publication->inputs,
        .n_inputs = publication->n_inputs,
        .rewinds = (struct esp_rewind_offset *)(uintptr_t)publication->rewinds,
        .n_rewinds = publication->n_rewinds,
        .manifest = esp_bytes_of(publication->manifest_json),
    };
    enum esp_status status =
        esp_cutter_open(&cutter, publication->path, publisher->chunk_bytes, err);
    if (status != ESP_OK)
        goto out;
    manifest.n_chunks = (size_t)cutter.count;
    manifest.chunk_offsets = calloc(manifest.n_chunks, sizeof *manifest.chunk_offsets);
    manifest.chunk_checksums = calloc(manifest.n_chunks, sizeof *manifest.chunk_checksums);
    if (manifest.chunk_offsets == NULL || manifest.chunk_checksums == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for %zu chunks", manifest.n_chunks);
        goto out;
    }
    status = need_writer(publisher, err);
    if (status == ESP_OK)
        status = put_file(publisher, &cutter, publication, &manifest, stopped, err);
    if (status == ESP_OK && !*stopped)
        status = topic_refresh(base, stopped, err); /* as everybody sees it */
out:
    if (status != ESP_OK || *stopped)
        give_up_writer(publisher); /* offsets have no place to go any more */
    free(manifest.chunk_offsets);
    free(manifest.chunk_checksums);
    esp_cutter_release(&cutter);
    return status;
}

/* ---- retiring -------------------------------------------------------------------------------- */

static enum esp_status topic_retire(struct esp_publisher *base, const struct esp_snapshot_id *id,
                                    bool *stopped, struct esp_error *err)
{
    struct topic_publisher *publisher = of(base);
    const struct esp_live_snapshot *live = esp_live_set_find(&base->live, id);
    int32_t partition = live->manifest.chunk_partition;
    size_t n_chunks = live->manifest.n_chunks;
    enum esp_status status = need_writer(publisher, err);
    if (status == ESP_OK)
        status = put_tombstone(publisher, id, ESP_KEY_NO_INDEX, 0, err);
    if (status == ESP_OK)
        status = wait_all(publisher, stopped, err);
    if (status == ESP_OK && !*stopped) {
        esp_live_set_remove(&base->live, id);
        status = bury_chunks(publisher, id, partition, n_chunks, stopped, err);
    }
    if (status != ESP_OK)
        give_up_writer(publisher);
    return status;
}

/* ---- what earlier lives have left ------------------------------------------------------------ */

struct burial {
    struct topic_publisher *publisher;
    int32_t partition;
    bool *stopped;
};

static enum esp_status bury_orphan(void *context, const struct esp_snapshot_id *id, int32_t index,
                                   struct esp_error *err)
{
    struct burial *burial = context;
    burial->publisher->base.stats.orphans++;
    return put_tombstone(burial->publisher, id, index, burial->partition, err);
}

static enum esp_status topic_tidy(struct esp_publisher *base, const struct esp_snapshot_id *below,
                                  bool *stopped, struct esp_error *err)
{
    struct topic_publisher *publisher = of(base);
    int32_t partition = (int32_t)esp_chunk_partition(below->model, publisher->n_partitions);
    struct esp_orphans orphans = {0};
    struct burial burial = {publisher, partition, stopped};
    enum esp_status status = esp_orphans_find(&orphans, publisher->log, base->place, partition,
                                              &base->live, below, &base->patience, stopped, err);
    if (status == ESP_OK && !*stopped)
        status = need_writer(publisher, err);
    if (status == ESP_OK && !*stopped)
        status = esp_orphans_each(&orphans, bury_orphan, &burial, err);
    if (status == ESP_OK && !*stopped)
        status = wait_all(publisher, stopped, err);
    if (status != ESP_OK)
        give_up_writer(publisher);
    esp_orphans_release(&orphans);
    return status;
}

static const struct esp_publisher_ops topic_ops = {
    .free = topic_free,
    .refresh = topic_refresh,
    .tidy = topic_tidy,
    .is_same = topic_is_same,
    .put = topic_put,
    .retire = topic_retire,
};

enum esp_status esp_topic_publisher_new(const struct esp_publisher_config *config,
                                        struct esp_publisher **out, struct esp_error *err)
{
    size_t n_partitions = 0;
    struct esp_own_fingerprints own;
    enum esp_status status =
        esp_log_partitions(config->log, config->place, broker_patience_us, &n_partitions, err);
    if (status == ESP_OK)
        status = esp_own_fingerprints_init(&own, err);
    if (status != ESP_OK)
        return status;
    if (n_partitions < 2)
        return esp_fail(err, ESP_ECONFIG,
                        n_partitions == 0
                            ? "topic %s does not exist; `espalier check --create-topics` makes it"
                            : "topic %s has one partition; snapshots need two at least: one for "
                              "manifests, others for chunks",
                        config->place);
    struct topic_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a publisher");
    publisher->base.ops = &topic_ops;
    publisher->log = config->log;
    publisher->n_partitions = n_partitions;
    publisher->chunk_bytes = config->chunk_bytes == 0 ? ESP_CHUNK_BYTES : config->chunk_bytes;
    publisher->next_manifest = ESP_OFFSET_EARLIEST;
    publisher->own = own;
    esp_buf_init(&publisher->value, VALUE_MAX);
    *out = &publisher->base;
    return ESP_OK;
}
