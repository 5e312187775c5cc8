/* admission.c - see admission.h. */
#include "learn/admission.h"

enum { WAYS = 8, BUCKET_BYTES = 64 };

struct esp_sighting {
    uint32_t tag;   /* the key's upper half; its lower half chose the bucket */
    uint32_t count; /* 0: empty */
};

enum esp_status esp_admission_init(struct esp_admission *admission, uint32_t admit_after,
                                   uint64_t max_bytes, struct esp_error *err)
{
    *admission = (struct esp_admission){.admit_after = admit_after};
    if (admit_after <= 1)
        return ESP_OK;
    size_t n_buckets = 1;
    while (n_buckets < SIZE_MAX / 4 / BUCKET_BYTES && n_buckets * 2 <= max_bytes / BUCKET_BYTES)
        n_buckets *= 2;
    admission->sightings = aligned_alloc(BUCKET_BYTES, n_buckets * BUCKET_BYTES);
    if (!admission->sightings)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu bytes of admission counts",
                        n_buckets * BUCKET_BYTES);
    memset(admission->sightings, 0, n_buckets * BUCKET_BYTES);
    admission->n_buckets = n_buckets;
    return ESP_OK;
}

void esp_admission_release(struct esp_admission *admission)
{
    free(admission->sightings);
    *admission = (struct esp_admission){0};
}

bool esp_admission_sight(struct esp_admission *admission, uint64_t key)
{
    if (!admission->sightings)
        return true;
    uint32_t tag = (uint32_t)(key >> 32);
    struct esp_sighting *bucket = &admission->sightings[(key & (admission->n_buckets - 1)) * WAYS];
    struct esp_sighting *rarest = bucket;
    for (size_t i = 0; i < WAYS; i++) {
        if (bucket[i].count > 0 && bucket[i].tag == tag) {
            if (++bucket[i].count < admission->admit_after)
                return false;
            bucket[i].count = 0;
            return true;
        }
        if (bucket[i].count < rarest->count)
            rarest = &bucket[i];
    }
    *rarest = (struct esp_sighting){tag, 1};
    return false;
}

/* So many items at a time; where all of them are zero, which is most of a young table, that is all
 * that is said of them. */
enum { ITEMS_A_BLOCK = 512 };

static void block_archive(struct esp_archive *archive, struct esp_sighting *items, size_t n)
{
    static const struct esp_sighting none[ITEMS_A_BLOCK];
    bool is_used = memcmp(items, none, n * sizeof *items) != 0;
    esp_archive_bool(archive, &is_used);
    if (is_used)
        esp_archive_bytes(archive, items, n * sizeof *items);
    else if (esp_archive_reads(archive))
        memset(items, 0, n * sizeof *items);
}

void esp_admission_archive(struct esp_archive *archive, struct esp_admission *admission)
{
    size_t n = admission->n_buckets * WAYS, n_beyond = 0;
    esp_archive_mark(archive, "admission counts", 1);
    esp_archive_same(archive, admission->n_buckets, "the size of the admission counts");
    esp_archive_same(archive, admission->admit_after, "admit_after");
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i += ITEMS_A_BLOCK)
        block_archive(archive, admission->sightings + i,
                      n - i < ITEMS_A_BLOCK ? n - i : ITEMS_A_BLOCK);
    if (!esp_archive_reads(archive))
        return;
    for (size_t i = 0; i < n; i++)
        n_beyond += admission->sightings[i].count >= admission->admit_after;
    esp_archive_check(archive, n_beyond == 0, "a count of sightings");
}

uint64_t esp_admission_bytes(const struct esp_admission *admission)
{
    return (uint64_t)admission->n_buckets * BUCKET_BYTES;
}
