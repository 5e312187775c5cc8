/* admission.c - see admission.h. */
#include "learn/admission.h"

enum {
    WAYS = 8,
    BUCKET_BYTES = 64,
    LEAST_BYTES = 8 + 1 + 8, /* of a bucket in an archive: place, ways, one count */
};

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
        return esp_fail(err, ESP_ENOMEM, "%zu bytes of admission counts", n_buckets * BUCKET_BYTES);
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

/* The counts of a bucket that are not 0, in front of `out`; *out_ways has a bit for each. Returns
 * how many there are. */
static size_t pack(const struct esp_sighting *bucket, struct esp_sighting out[WAYS],
                   uint8_t *out_ways)
{
    size_t n = 0;
    *out_ways = 0;
    for (size_t way = 0; way < WAYS; way++) {
        if (bucket[way].count == 0)
            continue;
        *out_ways |= (uint8_t)(1 << way);
        out[n++] = bucket[way];
    }
    return n;
}

static void write_buckets(struct esp_archive *archive, const struct esp_admission *admission)
{
    struct esp_sighting packed[WAYS];
    uint8_t ways;
    size_t n = 0;
    for (size_t b = 0; b < admission->n_buckets; b++)
        n += pack(&admission->sightings[b * WAYS], packed, &ways) > 0;
    esp_archive_count(archive, &n, LEAST_BYTES);
    for (uint64_t b = 0; b < admission->n_buckets; b++) {
        size_t n_counts = pack(&admission->sightings[b * WAYS], packed, &ways);
        if (n_counts == 0)
            continue;
        esp_archive_u64(archive, &b);
        esp_archive_u8(archive, &ways);
        esp_archive_bytes(archive, packed, n_counts * sizeof(*packed));
    }
}

static void read_buckets(struct esp_archive *archive, struct esp_admission *admission)
{
    size_t n = 0;
    uint64_t next = 0, place = 0;
    memset(admission->sightings, 0, admission->n_buckets * BUCKET_BYTES);
    esp_archive_count(archive, &n, LEAST_BYTES);
    for (size_t i = 0; i < n; i++, next = place + 1) {
        uint8_t ways = 0;
        esp_archive_u64(archive, &place);
        esp_archive_u8(archive, &ways);
        if (!esp_archive_check(archive, place >= next && place < admission->n_buckets,
                               "a bucket of admission counts"))
            return;
        struct esp_sighting *bucket = &admission->sightings[place * WAYS];
        bool possible = ways != 0;
        for (size_t way = 0; way < WAYS; way++) {
            if ((ways >> way & 1) == 0)
                continue;
            esp_archive_bytes(archive, &bucket[way], sizeof(*bucket));
            possible &= bucket[way].count > 0 && bucket[way].count < admission->admit_after;
        }
        if (!esp_archive_check(archive, possible, "a count of sightings"))
            return;
    }
}

void esp_admission_archive(struct esp_archive *archive, struct esp_admission *admission)
{
    esp_archive_mark(archive, "admission counts", 1);
    esp_archive_same(archive, admission->n_buckets, "the size of the admission counts");
    esp_archive_same(archive, admission->admit_after, "admit_after");
    if (admission->n_buckets == 0 || !esp_archive_is_ok(archive))
        return;
    if (esp_archive_reads(archive))
        read_buckets(archive, admission);
    else
        write_buckets(archive, admission);
}

uint64_t esp_admission_bytes(const struct esp_admission *admission)
{
    return (uint64_t)admission->n_buckets * BUCKET_BYTES;
}
