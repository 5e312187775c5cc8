/*
 * calendar.c - see calendar.h.
 *
 * INVARIANTS
 *  (1) Every bucket is in the heap and in the map, has at least one entry, and its number is above
 *      the open bucket's.
 *  (2) run[run_at .. run_n) is sorted by (time, order); the side heap holds times up to the end of
 *      the open bucket. So what is earliest is the front of the one or of the other.
 *  (3) not_before_us is at most the earliest time.
 */
#include "join/calendar.h"

#include "core/buf.h"
#include "core/hash.h"
#include "join/calendar_sort.h"

enum {
    CHUNK_ENTRIES = 254,
    FIRST_MAP = 256,
};

struct esp_calendar_chunk {
    struct esp_calendar_chunk *next;
    uint64_t n;
    uint64_t entries[CHUNK_ENTRIES]; /* (time in bucket) << 32 | ref */
};

struct esp_calendar_bucket {
    int64_t number; /* time >> shift */
    struct esp_calendar_bucket *next_in_map;
    struct esp_calendar_chunk *chunks; /* the newest first; all others are full */
    size_t n;
};

void esp_calendar_init(struct esp_calendar *calendar, unsigned shift,
                       struct esp_calendar_order order)
{
    *calendar = (struct esp_calendar){.order = order, .shift = shift, .not_before_us = INT64_MAX};
}

static void free_chunks(struct esp_calendar_chunk *chunk)
{
    while (chunk != NULL) {
        struct esp_calendar_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void esp_calendar_release(struct esp_calendar *calendar)
{
    for (size_t i = 0; i < calendar->n_buckets; i++) {
        free_chunks(calendar->heap[i]->chunks);
        free(calendar->heap[i]);
    }
    free_chunks(calendar->spare);
    free(calendar->heap);
    free(calendar->map);
    free(calendar->run);
    free(calendar->run_scratch);
    free(calendar->side);
    free(calendar->ties);
    *calendar = (struct esp_calendar){0};
}

/* ---- the map and the heap of buckets ---- */

static struct esp_calendar_bucket **map_place(const struct esp_calendar *calendar, int64_t number)
{
    return &calendar->map[esp_mix64((uint64_t)number) & (calendar->n_map - 1)];
}

static enum esp_status grow_map(struct esp_calendar *calendar, struct esp_error *err)
{
    size_t n_map = calendar->n_map == 0 ? FIRST_MAP : calendar->n_map * 2;
    struct esp_calendar_bucket **map = calloc(n_map, sizeof(struct esp_calendar_bucket *));
    if (map == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu buckets", n_map);
    free(calendar->map);
    calendar->map = map;
    calendar->n_map = n_map;
    for (size_t i = 0; i < calendar->n_buckets; i++) {
        struct esp_calendar_bucket **place = map_place(calendar, calendar->heap[i]->number);
        calendar->heap[i]->next_in_map = *place;
        *place = calendar->heap[i];
    }
    return ESP_OK;
}

static void heap_push(struct esp_calendar *calendar, struct esp_calendar_bucket *bucket)
{
    struct esp_calendar_bucket **heap = calendar->heap;
    size_t i = calendar->n_buckets++;
    for (; i > 0 && heap[(i - 1) / 2]->number > bucket->number; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = bucket;
}

static struct esp_calendar_bucket *heap_pop(struct esp_calendar *calendar)
{
    struct esp_calendar_bucket **heap = calendar->heap, *top = heap[0];
    size_t n = --calendar->n_buckets, i = 0;
    struct esp_calendar_bucket *moved = heap[n];
    for (size_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && heap[child + 1]->number < heap[child]->number)
            child++;
        if (moved->number <= heap[child]->number)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
    return top;
}

/* The bucket of a number, made if it is missing. */
static enum esp_status find_bucket(struct esp_calendar *calendar, int64_t number,
                                   struct esp_calendar_bucket **out, struct esp_error *err)
{
    if (calendar->n_map > 0) {
        for (*out = *map_place(calendar, number); *out != NULL; *out = (*out)->next_in_map)
            if ((*out)->number == number)
                return ESP_OK;
    }
    enum esp_status status = ESP_OK;
    if (calendar->n_buckets >= calendar->n_map)
        status = grow_map(calendar, err);
    if (status == ESP_OK)
        status = esp_array_grow((void **)&calendar->heap, &calendar->heap_capacity,
                                calendar->n_buckets + 1, sizeof(struct esp_calendar_bucket *), err);
    if (status != ESP_OK)
        return status;
    struct esp_calendar_bucket *bucket = malloc(sizeof *bucket);
    if (bucket == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a bucket");
    struct esp_calendar_bucket **place = map_place(calendar, number);
    *bucket = (struct esp_calendar_bucket){.number = number, .next_in_map = *place};
    *place = bucket;
    heap_push(calendar, bucket);
    *out = bucket;
    return ESP_OK;
}

/* Takes a bucket that is no longer in the heap out of the map. */
static void forget_bucket(struct esp_calendar *calendar, struct esp_calendar_bucket *bucket)
{
    struct esp_calendar_bucket **place = map_place(calendar, bucket->number);
    while (*place != bucket)
        place = &(*place)->next_in_map;
    *place = bucket->next_in_map;
    if (calendar->last == bucket)
        calendar->last = NULL;
    free(bucket);
}

static enum esp_status add_chunk(struct esp_calendar *calendar, struct esp_calendar_bucket *bucket,
                                 struct esp_error *err)
{
    struct esp_calendar_chunk *chunk = calendar->spare;
    if (chunk != NULL) {
        calendar->spare = chunk->next;
    } else {
        chunk = malloc(sizeof *chunk);
        if (chunk == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory for a bucket's entries");
        calendar->n_chunks++;
    }
    chunk->n = 0;
    chunk->next = bucket->chunks;
    bucket->chunks = chunk;
    return ESP_OK;
}

/* ---- the side heap ---- */

static bool is_before(const struct esp_calendar *calendar, const struct esp_calendar_entry *a,
                      const struct esp_calendar_entry *b)
{
    if (a->time_us != b->time_us)
        return a->time_us < b->time_us;
    return esp_calendar_compare(&calendar->order, a->ref, b->ref) < 0;
}

static enum esp_status side_push(struct esp_calendar *calendar, struct esp_calendar_entry entry,
                                 struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&calendar->side, &calendar->side_capacity,
                                            calendar->side_n + 1, sizeof *calendar->side, err);
    if (status != ESP_OK)
        return status;
    struct esp_calendar_entry *side = calendar->side;
    size_t i = calendar->side_n++;
    for (; i > 0 && is_before(calendar, &entry, &side[(i - 1) / 2]); i = (i - 1) / 2)
        side[i] = side[(i - 1) / 2];
    side[i] = entry;
    return ESP_OK;
}

static void side_pop(struct esp_calendar *calendar)
{
    struct esp_calendar_entry *side = calendar->side;
    size_t n = --calendar->side_n, i = 0;
    struct esp_calendar_entry moved = side[n];
    for (size_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && is_before(calendar, &side[child + 1], &side[child]))
            child++;
        if (!is_before(calendar, &side[child], &moved))
            break;
        side[i] = side[child];
        i = child;
    }
    side[i] = moved;
}

/* ---- the open bucket ---- */

/* Sorts the earliest bucket into the run, which is empty, and frees the bucket. */
static enum esp_status open_bucket(struct esp_calendar *calendar, struct esp_error *err)
{
    struct esp_calendar_bucket *bucket = calendar->heap[0];
    enum esp_status status = esp_array_grow((void **)&calendar->run, &calendar->run_capacity,
                                            bucket->n, sizeof *calendar->run, err);
    if (status == ESP_OK)
        status = esp_array_grow((void **)&calendar->run_scratch, &calendar->scratch_capacity,
                                bucket->n, sizeof *calendar->run_scratch, err);
    if (status == ESP_OK)
        status = esp_array_grow((void **)&calendar->ties, &calendar->tie_capacity, bucket->n,
                                sizeof *calendar->ties, err);
    if (status != ESP_OK)
        return status;
    (void)heap_pop(calendar);
    size_t at = bucket->n;
    while (bucket->chunks != NULL) {
        struct esp_calendar_chunk *chunk = bucket->chunks;
        at -= chunk->n;
        memcpy(calendar->run + at, chunk->entries, chunk->n * sizeof *chunk->entries);
        bucket->chunks = chunk->next;
        chunk->next = calendar->spare;
        calendar->spare = chunk;
    }
    calendar->run_at = 0;
    calendar->n_runs++;
    calendar->run_n = bucket->n;
    calendar->is_open = true;
    calendar->open_number = bucket->number;
    calendar->run_start_us = (int64_t)((uint64_t)bucket->number << calendar->shift);
    forget_bucket(calendar, bucket);
    esp_calendar_sort(&calendar->order, calendar->run, calendar->run_scratch, calendar->ties,
                      calendar->run_n);
    return ESP_OK;
}

enum esp_status esp_calendar_add(struct esp_calendar *calendar, int64_t time_us, uint32_t ref,
                                 struct esp_error *err)
{
    int64_t number = time_us >> calendar->shift; /* rounds down, below 0 as well */
    enum esp_status status = ESP_OK;
    if (time_us < calendar->not_before_us)
        calendar->not_before_us = time_us;
    if (calendar->is_open && number <= calendar->open_number) {
        status = side_push(calendar, (struct esp_calendar_entry){time_us, ref}, err);
        calendar->n += status == ESP_OK;
        return status;
    }
    struct esp_calendar_bucket *bucket = calendar->last;
    if (bucket == NULL || bucket->number != number) {
        status = find_bucket(calendar, number, &bucket, err);
        if (status != ESP_OK)
            return status;
        calendar->last = bucket;
    }
    if (bucket->chunks == NULL || bucket->chunks->n == CHUNK_ENTRIES)
        status = add_chunk(calendar, bucket, err);
    if (status != ESP_OK)
        return status; /* an empty bucket may be left behind: the caller stops */
    uint64_t within = (uint64_t)time_us & ((UINT64_C(1) << calendar->shift) - 1);
    struct esp_calendar_chunk *chunk = bucket->chunks;
    chunk->entries[chunk->n++] = within << 32 | ref;
    bucket->n++;
    calendar->n++;
    return ESP_OK;
}

/* The front of the run rather than of the side heap; one of them is not empty. */
static bool run_is_first(const struct esp_calendar *calendar)
{
    if (calendar->side_n == 0 || calendar->run_at == calendar->run_n)
        return calendar->side_n == 0;
    struct esp_calendar_entry front = esp_calendar_front(calendar);
    return is_before(calendar, &front, &calendar->side[0]);
}

enum esp_status esp_calendar_look(struct esp_calendar *calendar, int64_t limit_us,
                                  struct esp_calendar_entry *out, bool *out_found,
                                  struct esp_error *err)
{
    *out_found = false;
    if (calendar->run_at == calendar->run_n && calendar->side_n == 0) {
        int64_t start_us = INT64_MAX;
        if (calendar->n_buckets > 0)
            start_us = (int64_t)((uint64_t)calendar->heap[0]->number << calendar->shift);
        calendar->not_before_us = start_us;
        if (start_us >= limit_us)
            return ESP_OK;
        enum esp_status status = open_bucket(calendar, err);
        if (status != ESP_OK || calendar->run_n == 0)
            return status;
    }
    *out = run_is_first(calendar) ? esp_calendar_front(calendar) : calendar->side[0];
    *out_found = out->time_us < limit_us;
    calendar->not_before_us = out->time_us;
    return ESP_OK;
}

void esp_calendar_take(struct esp_calendar *calendar)
{
    if (run_is_first(calendar))
        calendar->run_at++;
    else
        side_pop(calendar);
}

size_t esp_calendar_memory(const struct esp_calendar *calendar)
{
    return calendar->n_chunks * sizeof(struct esp_calendar_chunk) +
           calendar->n_buckets * sizeof(struct esp_calendar_bucket) +
           (calendar->n_map + calendar->heap_capacity) * sizeof(void *) +
           (calendar->run_capacity + calendar->scratch_capacity) * sizeof(uint64_t) +
           calendar->side_capacity * sizeof *calendar->side +
           calendar->tie_capacity * sizeof *calendar->ties;
}

void esp_calendar_each(const struct esp_calendar *calendar,
                       void (*visit)(void *context, int64_t time_us, uint32_t ref), void *context)
{
    for (size_t i = calendar->run_at; i < calendar->run_n; i++)
        visit(context, calendar->run_start_us + (int64_t)(calendar->run[i] >> 32),
              (uint32_t)calendar->run[i]);
    for (size_t i = 0; i < calendar->side_n; i++)
        visit(context, calendar->side[i].time_us, calendar->side[i].ref);
    for (size_t i = 0; i < calendar->n_buckets; i++) {
        const struct esp_calendar_bucket *bucket = calendar->heap[i];
        int64_t start = (int64_t)((uint64_t)bucket->number << calendar->shift);
        for (const struct esp_calendar_chunk *chunk = bucket->chunks; chunk; chunk = chunk->next)
            for (size_t k = 0; k < chunk->n; k++)
                visit(context, start + (int64_t)(chunk->entries[k] >> 32),
                      (uint32_t)chunk->entries[k]);
    }
}

/* ---- in a checkpoint ---- */

struct soundness {
    int64_t not_before_us;
    bool is_sound;
};

static void visit_time(void *context, int64_t time_us, uint32_t ref)
{
    struct soundness *soundness = context;
    (void)ref;
    soundness->is_sound = soundness->is_sound && time_us >= soundness->not_before_us;
}

bool esp_calendar_is_sound(const struct esp_calendar *calendar)
{
    for (size_t i = calendar->run_at; i + 1 < calendar->run_n; i++) {
        uint64_t a = calendar->run[i], b = calendar->run[i + 1];
        if (a >> 32 > b >> 32 ||
            (a >> 32 == b >> 32 &&
             esp_calendar_compare(&calendar->order, (uint32_t)a, (uint32_t)b) > 0))
            return false;
    }
    for (size_t i = 1; i < calendar->side_n; i++) {
        if (is_before(calendar, &calendar->side[i], &calendar->side[(i - 1) / 2]))
            return false;
    }
    for (size_t i = 0; i < calendar->n_buckets; i++) {
        int64_t number = calendar->heap[i]->number;
        if (calendar->heap[i]->n == 0 || (calendar->is_open && number <= calendar->open_number) ||
            (i > 0 && number <= calendar->heap[(i - 1) / 2]->number))
            return false;
    }
    struct soundness soundness = {calendar->not_before_us, true};
    esp_calendar_each(calendar, visit_time, &soundness);
    return soundness.is_sound;
}

static bool is_number(const struct esp_calendar *calendar, int64_t number, int64_t max_us)
{
    return number >= -max_us >> calendar->shift && number <= max_us >> calendar->shift;
}

static void archive_run(struct esp_archive *archive, struct esp_calendar *calendar)
{
    size_t n = calendar->run_n - calendar->run_at;
    void *run = n == 0 ? NULL : calendar->run + calendar->run_at;
    esp_archive_array(archive, &run, &n, sizeof *calendar->run);
    if (!esp_archive_reads(archive))
        return;
    calendar->run = run;
    calendar->run_n = calendar->run_capacity = n;
    calendar->n_runs = calendar->is_open;
    bool is_within = true;
    for (size_t i = 0; i < n; i++)
        is_within = is_within && calendar->run[i] >> 32 >> calendar->shift == 0;
    esp_archive_check(archive, is_within, "a time within a bucket");
}

static void archive_side(struct esp_archive *archive, struct esp_calendar *calendar, int64_t max_us)
{
    enum { ENTRY_BYTES = 12 };
    size_t n = calendar->side_n;
    esp_archive_count(archive, &n, ENTRY_BYTES);
    if (esp_archive_reads(archive) && n > 0) {
        calendar->side = calloc(n, sizeof *calendar->side);
        if (calendar->side == NULL) {
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for %zu entries", n);
            return;
        }
        calendar->side_n = calendar->side_capacity = n;
    }
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        struct esp_calendar_entry *entry = &calendar->side[i];
        esp_archive_i64(archive, &entry->time_us);
        esp_archive_u32(archive, &entry->ref);
        bool is_here = entry->time_us >= -max_us && entry->time_us <= max_us &&
                       entry->time_us >> calendar->shift <= calendar->open_number;
        esp_archive_check(archive, is_here, "the time of an entry");
    }
}

/* A bucket's entries, chunk by chunk from the newest, the only one that need not be full. */
static void archive_entries(struct esp_archive *archive, struct esp_calendar *calendar,
                            struct esp_calendar_bucket *bucket)
{
    size_t n = bucket->n;
    struct esp_calendar_chunk **place = &bucket->chunks;
    esp_archive_count(archive, &n, sizeof(uint64_t));
    if (!esp_archive_check(archive, n > 0, "an empty bucket"))
        return;
    for (size_t n_left = n; n_left > 0 && esp_archive_is_ok(archive); place = &(*place)->next) {
        size_t n_here = (n_left - 1) % CHUNK_ENTRIES + 1;
        if (esp_archive_reads(archive)) {
            *place = calloc(1, sizeof **place);
            if (*place == NULL) {
                esp_archive_fail(archive, ESP_ENOMEM, "out of memory for a bucket's entries");
                return;
            }
            calendar->n_chunks++;
            (*place)->n = n_here;
        }
        esp_archive_bytes(archive, (*place)->entries, n_here * sizeof *(*place)->entries);
        bool is_within = true;
        for (size_t i = 0; i < n_here; i++)
            is_within = is_within && (*place)->entries[i] >> 32 >> calendar->shift == 0;
        esp_archive_check(archive, is_within, "a time within a bucket");
        n_left -= n_here;
    }
    bucket->n = n;
}

/* In the order of the heap, which pushing them in that order gives back. */
static void archive_bucket(struct esp_archive *archive, struct esp_calendar *calendar, size_t i,
                           int64_t max_us)
{
    int64_t number = 0;
    if (!esp_archive_reads(archive))
        number = calendar->heap[i]->number;
    esp_archive_i64(archive, &number);
    if (!esp_archive_check(archive, is_number(calendar, number, max_us), "the number of a bucket"))
        return;
    struct esp_calendar_bucket *bucket;
    struct esp_error err = {0};
    enum esp_status status = ESP_OK;
    if (esp_archive_reads(archive))
        status = find_bucket(calendar, number, &bucket, &err);
    else
        bucket = calendar->heap[i];
    if (status != ESP_OK)
        esp_archive_fail(archive, status, "%s", err.text);
    else if (esp_archive_check(archive, calendar->n_buckets > i && calendar->heap[i] == bucket,
                               "the order of the buckets"))
        archive_entries(archive, calendar, bucket);
}

void esp_calendar_archive(struct esp_archive *archive, struct esp_calendar *calendar,
                          int64_t max_us)
{
    enum { LEAST_BYTES = 24 }; /* of a bucket with one entry */
    size_t n_buckets = calendar->n_buckets;
    esp_archive_mark(archive, "calendar", 1);
    esp_archive_same(archive, calendar->shift, "the width of a calendar's buckets (a power of 2)");
    esp_archive_i64(archive, &calendar->not_before_us);
    esp_archive_bool(archive, &calendar->is_open);
    esp_archive_i64(archive, &calendar->open_number);
    if (!esp_archive_check(archive,
                           is_number(calendar, calendar->open_number, max_us) &&
                               (calendar->is_open || calendar->open_number == 0),
                           "the number of a bucket"))
        return;
    calendar->run_start_us = (int64_t)((uint64_t)calendar->open_number << calendar->shift);
    archive_run(archive, calendar);
    archive_side(archive, calendar, max_us);
    esp_archive_check(archive, calendar->is_open || (calendar->run_n == 0 && calendar->side_n == 0),
                      "a sorted bucket before the first");
    esp_archive_count(archive, &n_buckets, LEAST_BYTES);
    for (size_t i = 0; i < n_buckets && esp_archive_is_ok(archive); i++)
        archive_bucket(archive, calendar, i, max_us);
    if (!esp_archive_reads(archive))
        return;
    calendar->n = calendar->run_n + calendar->side_n;
    for (size_t i = 0; i < calendar->n_buckets; i++)
        calendar->n += calendar->heap[i]->n;
}
