/*
 * ring_save.c - the ring in a checkpoint. See ring.h for the order of the calls.
 *
 * What is sealed never changes, so a checkpoint names its file: one that the checkpoint before made
 * already, or that the join paged to, is not written again. What a checkpoint costs is thus what
 * came since the last one, and the open segments, not all that waits.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "core/hash.h"
#include "join/ring.h"

void esp_ring_before_save(struct esp_ring *ring)
{
    esp_ring_reclaim(ring);
    for (size_t i = 0; i < ring->n_segments; i++)
        ring->segments[i].is_named = esp_segment_is_sealed(&ring->segments[i]);
}

/* ---- the files ---- */

static enum esp_status put_on_file(struct esp_ring *ring, struct esp_segment *segment,
                                   struct esp_error *err)
{
    const struct esp_segment_store *store = ring->store;
    if (!segment->is_named)
        return esp_fail(err, ESP_EBUG, "segment %llu is saved, and may be dropped",
                        (unsigned long long)segment->number);
    if (segment->is_on_file)
        return ESP_OK;
    struct esp_bytes bytes = esp_segment_bytes(segment);
    enum esp_status status = store->write(store->context, segment->number, bytes, err);
    if (status != ESP_OK)
        return status;
    segment->checksum = esp_hash(bytes);
    segment->is_on_file = true;
    return ESP_OK;
}

enum esp_status esp_ring_store(struct esp_ring *ring, struct esp_error *err)
{
    const struct esp_segment_store *store = ring->store;
    if (store == NULL)
        return ESP_OK;
    enum esp_status status = ESP_OK;
    bool is_any = false;
    /* All are written before the first is waited for: the disk is busy meanwhile. */
    for (size_t i = 0; i < ring->n_segments && status == ESP_OK; i++) {
        if (esp_segment_is_sealed(&ring->segments[i]))
            status = put_on_file(ring, &ring->segments[i], err);
    }
    for (size_t i = 0; i < ring->n_segments && status == ESP_OK; i++) {
        const struct esp_segment *segment = &ring->segments[i];
        if (!esp_segment_is_sealed(segment) || segment->is_synced)
            continue;
        status = store->sync(store->context, segment->number, err);
        is_any = true;
    }
    if (status == ESP_OK && is_any)
        status = store->sync(store->context, 0, err);
    for (size_t i = 0; i < ring->n_segments && status == ESP_OK; i++)
        ring->segments[i].is_synced = esp_segment_is_sealed(&ring->segments[i]);
    return status;
}

static bool is_named_by_file(const struct esp_segment *segment)
{
    return esp_segment_is_sealed(segment) && segment->is_on_file && segment->is_synced;
}

void esp_ring_files_archive(struct esp_archive *archive, const struct esp_ring *ring)
{
    size_t n = 0;
    for (size_t i = 0; i < ring->n_segments; i++)
        n += is_named_by_file(&ring->segments[i]);
    esp_segment_list_begin(archive, &n);
    for (size_t i = 0; i < ring->n_segments; i++) {
        struct esp_segment_file file = esp_segment_file(&ring->segments[i]);
        if (is_named_by_file(&ring->segments[i]))
            esp_archive_bytes(archive, &file, sizeof file);
    }
}

void esp_ring_saved(struct esp_ring *ring, const struct esp_segment_list *files)
{
    for (size_t i = 0; i < ring->n_segments; i++) {
        struct esp_segment *segment = &ring->segments[i];
        const struct esp_segment_file *file = NULL;
        if (segment->number != 0)
            file = esp_segment_list_find(files, segment->number);
        if (file == NULL)
            continue;
        segment->is_on_file = segment->is_synced = segment->is_named = true;
        segment->checksum = file->checksum;
    }
}

enum esp_status esp_ring_files(const struct esp_ring *ring, struct esp_segment_list *list,
                               struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < ring->n_segments && status == ESP_OK; i++) {
        struct esp_segment_file file = esp_segment_file(&ring->segments[i]);
        if (ring->segments[i].is_on_file)
            status = esp_segment_list_add(list, &file, 1, err);
    }
    return status;
}

/* ---- the archive ---- */

/* The bytes of a segment that has live records, as they stand. */
static void archive_bytes(struct esp_archive *archive, struct esp_ring *ring,
                          struct esp_segment *segment)
{
    if (esp_archive_reads(archive)) {
        segment->base = esp_ring_take_base(ring);
        if (segment->base == NULL) {
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for a segment of %zu bytes",
                             ring->segment_bytes);
            return;
        }
    }
    if (segment->n_live > 0)
        esp_archive_bytes(archive, segment->base, (size_t)segment->used * ESP_RING_UNIT);
}

static void archive_file(struct esp_archive *archive, struct esp_ring *ring,
                         struct esp_segment *segment)
{
    esp_archive_u64(archive, &segment->checksum);
    if (!esp_archive_reads(archive) || !esp_archive_is_ok(archive))
        return;
    const struct esp_segment_store *store = ring->store;
    struct esp_segment_file file = esp_segment_file(segment);
    struct esp_error err = {0};
    void *base = NULL;
    if (!esp_archive_check(archive, store != NULL, "a segment on file where no files are kept"))
        return;
    enum esp_status status = store->verify(store->context, &file, &err);
    if (status == ESP_OK)
        status = store->map(store->context, &file, &base, &err);
    if (status != ESP_OK) {
        esp_archive_fail(archive, status, "%s", err.text);
        return;
    }
    (void)madvise(base, (size_t)file.n_bytes, MADV_RANDOM);
    segment->base = base;
    segment->n_sealed = segment->n_live;
    segment->is_paged = segment->is_on_file = segment->is_synced = segment->is_named = true;
    ring->n_paged++;
    ring->paged_bytes += file.n_bytes;
}

static bool is_sound(const struct esp_ring *ring, const struct esp_segment *segment, bool on_file)
{
    return segment->lane < ESP_N_LANES && segment->used >= 1 &&
           segment->used <= UINT32_C(1) << ring->unit_bits && segment->n_live < segment->used &&
           (segment->is_open ? segment->number == 0 && !on_file
                             : segment->number > 0 && segment->number < ring->next_number) &&
           (segment->n_live > 0 || !on_file);
}

/*
 * One slot of the directory. Of a segment without live records (retired, or open and not used yet)
 * only the place is kept, as nothing will be asked of it.
 */
static void archive_slot(struct esp_archive *archive, struct esp_ring *ring, size_t i)
{
    struct esp_segment *own = &ring->segments[i], segment = *own;
    bool has_base = segment.base != NULL, on_file = is_named_by_file(&segment);
    esp_archive_bool(archive, &has_base);
    esp_archive_u32(archive, &segment.next);
    if (has_base) {
        esp_archive_u8(archive, &segment.lane);
        esp_archive_bool(archive, &segment.is_open);
        esp_archive_u32(archive, &segment.n_live);
        esp_archive_u32(archive, &segment.used);
        esp_archive_u64(archive, &segment.number);
        esp_archive_bool(archive, &on_file);
        if (!esp_archive_check(archive, is_sound(ring, &segment, on_file),
                               "a segment of the join's store"))
            return;
        if (on_file)
            archive_file(archive, ring, &segment);
        else
            archive_bytes(archive, ring, &segment);
    }
    if (esp_archive_reads(archive))
        *own = segment; /* after a failure, too: what it has got is freed with the ring */
}

/* The length of a list of slots; more than n_segments if it does not end in the directory. */
static size_t list_length(const struct esp_ring *ring, uint32_t slot)
{
    size_t n = 0;
    for (; slot != ESP_RING_NOWHERE && n <= ring->n_segments; n++) {
        if (slot >= ring->n_segments)
            return SIZE_MAX;
        slot = ring->segments[slot].next;
    }
    return n;
}

/* Is every slot free, open, retired or in use, as its list and its lane say? */
static bool directory_is_sound(const struct esp_ring *ring)
{
    size_t n_free = 0, n_retired = 0, n_open = 0;
    for (size_t i = 0; i < ring->n_segments; i++) {
        const struct esp_segment *segment = &ring->segments[i];
        n_free += segment->base == NULL;
        n_open += segment->is_open;
        n_retired += segment->base != NULL && segment->n_live == 0 && !segment->is_open;
    }
    if (list_length(ring, ring->free_slots) != n_free ||
        list_length(ring, ring->retired) != n_retired)
        return false;
    for (uint32_t slot = ring->free_slots; slot != ESP_RING_NOWHERE;
         slot = ring->segments[slot].next) {
        if (ring->segments[slot].base != NULL)
            return false;
    }
    for (uint32_t slot = ring->retired; slot != ESP_RING_NOWHERE;
         slot = ring->segments[slot].next) {
        const struct esp_segment *segment = &ring->segments[slot];
        if (segment->base == NULL || segment->n_live > 0 || segment->is_open)
            return false;
    }
    for (size_t lane = 0; lane < ESP_N_LANES; lane++) {
        uint32_t slot = ring->open[lane];
        if (slot == ESP_RING_NOWHERE)
            continue;
        if (slot >= ring->n_segments || !ring->segments[slot].is_open ||
            ring->segments[slot].lane != lane)
            return false;
        n_open--;
    }
    return n_open == 0;
}

/* The directory's size, and a directory of that size to be filled. */
static void archive_size(struct esp_archive *archive, struct esp_ring *ring)
{
    enum { LEAST_BYTES = 5 }; /* of a slot of the directory */
    size_t n = ring->n_segments;
    esp_archive_count(archive, &n, LEAST_BYTES);
    if (n > ring->max_segments)
        esp_archive_fail(archive, ESP_EDATA,
                         "what waits for its labels takes %zu MiB, and join.memory allows %zu; "
                         "raise it to what it was",
                         n * ring->segment_bytes >> 20,
                         ring->max_segments * ring->segment_bytes >> 20);
    if (!esp_archive_reads(archive) || !esp_archive_is_ok(archive) || n == 0)
        return;
    ring->segments = calloc(n, sizeof *ring->segments);
    if (ring->segments == NULL)
        esp_archive_fail(archive, ESP_ENOMEM, "out of memory for %zu segments", n);
    else
        ring->n_segments = ring->capacity = n;
}

void esp_ring_archive(struct esp_archive *archive, struct esp_ring *ring)
{
    uint64_t next_number = ring->next_number;
    esp_archive_mark(archive, "ring", 1);
    esp_archive_same(archive, ring->segment_bytes, "the size of a segment of the join's store");
    esp_archive_u64(archive, &next_number);
    esp_archive_check(archive, next_number <= INT64_MAX, "the number of a segment");
    if (ring->next_number < next_number) /* else the store has newer files */
        ring->next_number = next_number;
    archive_size(archive, ring);
    for (size_t i = 0; i < ring->n_segments && esp_archive_is_ok(archive); i++)
        archive_slot(archive, ring, i);
    for (size_t lane = 0; lane < ESP_N_LANES; lane++)
        esp_archive_u32(archive, &ring->open[lane]);
    esp_archive_u32(archive, &ring->retired);
    esp_archive_u32(archive, &ring->free_slots);
    if (esp_archive_is_ok(archive))
        esp_archive_check(archive, directory_is_sound(ring), "the directory of the join's store");
}
