/*
 * bench_join.c - events a second of the join alone, and what a pending impression costs.
 *
 * Impressions with payloads of 120 bytes, clicks of 5 % of them, installs of 10 % of those, in the
 * order of time. 5 million impressions fill the click window; the next 5 million come while these
 * leave, so that 5 million are pending all the time and every look-up goes to main memory. The
 * second half is what is told: each event of it arrives, and one matures for it. (The first half
 * and the last labels are told apart: they touch memory for the first time, which on a virtual
 * machine measures the machine.) Headers are made a batch at a time while the clock stands still,
 * as a decoder would hand them over; hashing their ids counts. Time is the thread's own.
 *
 * "The limit" is the same traffic without the semantics, in the same run and in memory touched
 * before: hash of the id, insert into a table, copy of the payload to a ring, then look-up and
 * expiry in order, prefetched in batches of 32.
 */
#include "bench.h"

#include <argp.h>
#include <sys/mman.h>
#include <time.h>

#include "core/hash.h"
#include "join/joiner.h"
#include "state/segments.h"

enum { PAYLOAD = 120, ID = 16, BATCH = 512, MAX_RUNS = 99, LIMIT_BATCH = 32, LIMIT_RECORD = 128 };

struct options {
    size_t n_impressions, n_runs;
    size_t memory_mib;  /* the join's cap; 0: none */
    const char *folder; /* where it pages to then */
};

/* A click or an install to come: of which impression, and when. */
struct answer {
    int64_t time_us;
    uint64_t impression;
};

struct answers {
    struct answer *items;
    size_t n, at;
};

/* One batch of events of a kind, with its bytes. */
struct batch {
    struct esp_header headers[BATCH];
    uint8_t payloads[BATCH][PAYLOAD];
    size_t n;
};

enum phase { FILL, STEADY, DRAIN, N_PHASES };

struct figures {
    enum phase phase;
    double seconds[N_PHASES];
    uint64_t n_events[N_PHASES], n_labels[N_PHASES];
    double bytes_per_pending, overhead;
    double paged_out_bytes;
    double wall_seconds; /* of the steady phase, what waits for a disk included */
};

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double now(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_time(const void *a, const void *b)
{
    const struct answer *x = a, *y = b;
    return (x->time_us > y->time_us) - (x->time_us < y->time_us);
}

struct moment {
    double cpu, wall;
};

static struct moment moment(void)
{
    return (struct moment){now(), seconds_of(CLOCK_MONOTONIC)};
}

static void add_time(struct figures *figures, struct moment begin)
{
    struct moment end = moment();
    figures->seconds[figures->phase] += end.cpu - begin.cpu;
    figures->wall_seconds += figures->phase == STEADY ? end.wall - begin.wall : 0;
}

/* ---- the stream ---- */

static int64_t impression_time(uint64_t i)
{
    return (int64_t)i * 720 + (int64_t)(esp_mix64(i) % 720);
}

static void add_event(struct batch *batch, uint64_t impression, int64_t time_us)
{
    uint8_t *payload = batch->payloads[batch->n];
    uint64_t id[2] = {esp_mix64(impression), impression};
    memset(payload, (int)(impression & 0xff), PAYLOAD);
    memcpy(payload, id, ID);
    batch->headers[batch->n] = (struct esp_header){.time_us = time_us,
                                                   .log_time_us = time_us,
                                                   .id = esp_bytes(payload, ID),
                                                   .payload = esp_bytes(payload, PAYLOAD),
                                                   .raw = esp_bytes(payload, PAYLOAD)};
    batch->n++;
}

/* Every k-th impression is answered after a delay of 0 .. span; sorted by time. */
static bool make_answers(struct answers *answers, const struct answer *from, size_t n,
                         uint64_t every, int64_t span_us)
{
    *answers = (struct answers){.items = calloc(n / every + 1, sizeof *answers->items)};
    if (answers->items == NULL)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t impression = from != NULL ? from[i].impression : i;
        uint64_t bits = esp_mix64(impression * 2 + 1 + every);
        if (bits % every != 0 || answers->n > n / every)
            continue;
        int64_t begin_us = from != NULL ? from[i].time_us : impression_time(i);
        int64_t delay_us = (int64_t)(esp_mix64(bits) % (uint64_t)span_us);
        answers->items[answers->n++] = (struct answer){begin_us + delay_us, impression};
    }
    qsort(answers->items, answers->n, sizeof *answers->items, by_time);
    return true;
}

/* ---- the joiner ---- */

static bool push(struct esp_joiner *joiner, enum esp_event_kind kind, struct batch *batch,
                 struct figures *figures)
{
    struct moment begin = moment();
    for (size_t i = 0; i < batch->n; i++)
        batch->headers[i].id_hash = esp_hash(batch->headers[i].id);
    bool good = esp_joiner_push(joiner, kind, 0, batch->headers, batch->n, NULL) == ESP_OK;
    add_time(figures, begin);
    figures->n_events[figures->phase] += batch->n;
    batch->n = 0;
    return good;
}

static bool push_answers(struct esp_joiner *joiner, enum esp_event_kind kind,
                         struct answers *answers, int64_t until_us, struct batch *batch,
                         struct figures *figures)
{
    bool good = true;
    while (good && answers->at < answers->n && answers->items[answers->at].time_us < until_us) {
        const struct answer *answer = &answers->items[answers->at++];
        add_event(batch, answer->impression, answer->time_us);
        if (batch->n == BATCH)
            good = push(joiner, kind, batch, figures);
    }
    return good && push(joiner, kind, batch, figures);
}

static bool drain(struct esp_joiner *joiner, struct figures *figures)
{
    struct esp_label labels[BATCH];
    struct moment begin = moment();
    size_t n = BATCH;
    bool good = true;
    while (good && n == BATCH) {
        good = esp_joiner_advance(joiner, labels, BATCH, &n, NULL) == ESP_OK;
        figures->n_labels[figures->phase] += n;
    }
    add_time(figures, begin);
    return good;
}

static void note_memory(const struct esp_joiner *joiner, struct figures *figures)
{
    struct esp_joiner_usage usage;
    esp_joiner_usage(joiner, &usage);
    figures->bytes_per_pending = (double)usage.memory_bytes / (double)usage.pending;
    figures->overhead = (double)(usage.memory_bytes - usage.record_bytes) / (double)usage.pending;
}

static bool run_stream(struct esp_joiner *joiner, const struct options *options,
                       struct batch *batch, struct figures *figures)
{
    uint64_t n_all = 2 * options->n_impressions;
    int64_t span_us = impression_time(options->n_impressions);
    struct answers clicks, installs = {0};
    bool good = make_answers(&clicks, NULL, n_all, 20, span_us / 4) &&
                make_answers(&installs, clicks.items, clicks.n, 10, span_us / 4);
    for (uint64_t i = 0; good && i < n_all; i += BATCH) {
        uint64_t end = i + BATCH < n_all ? i + BATCH : n_all;
        if (figures->phase == FILL && end > options->n_impressions) {
            note_memory(joiner, figures);
            figures->phase = STEADY;
        }
        for (uint64_t k = i; k < end; k++)
            add_event(batch, k, impression_time(k));
        good = push(joiner, ESP_IMPRESSION, batch, figures) &&
               push_answers(joiner, ESP_CLICK, &clicks, impression_time(end), batch, figures) &&
               push_answers(joiner, ESP_INSTALL, &installs, impression_time(end), batch, figures) &&
               drain(joiner, figures);
    }
    figures->phase = DRAIN;
    good = good && push_answers(joiner, ESP_CLICK, &clicks, INT64_MAX, batch, figures) &&
           push_answers(joiner, ESP_INSTALL, &installs, INT64_MAX, batch, figures);
    for (size_t kind = 0; good && kind < ESP_N_EVENT_KINDS; kind++)
        good = esp_joiner_end(joiner, (enum esp_event_kind)kind, 0, true, NULL) == ESP_OK;
    good = good && esp_joiner_close(joiner, NULL) == ESP_OK && drain(joiner, figures);
    free(clicks.items);
    free(installs.items);
    return good;
}

static bool run_joiner(const struct options *options, struct batch *batch, struct figures *figures)
{
    struct esp_segments *segments = NULL;
    *figures = (struct figures){.phase = FILL};
    struct esp_joiner_config config = {
        .click_window_us = impression_time(options->n_impressions),
        .install_window_us = impression_time(options->n_impressions),
        .grace_us = {ESP_SECOND, ESP_SECOND, ESP_SECOND},
        .n_partitions = {1, 1, 1},
        .future_us = 5 * ESP_MINUTE,
        .ahead_us = 30 * ESP_DAY,
    };
    struct esp_joiner *joiner = NULL;
    bool good = true;
    if (options->memory_mib > 0) {
        good = esp_segments_open(options->folder, false, &segments, NULL) == ESP_OK;
        config.max_store_bytes = options->memory_mib << 20;
        config.store = good ? esp_segments_store(segments) : NULL;
    }
    good = good && esp_joiner_new(&config, &joiner, NULL) == ESP_OK &&
           run_stream(joiner, options, batch, figures);
    if (joiner != NULL) {
        struct esp_joiner_usage usage;
        esp_joiner_usage(joiner, &usage);
        figures->paged_out_bytes = (double)usage.paged_out_bytes;
        good = good && usage.paging_failures == 0;
    }
    esp_joiner_free(joiner);
    esp_segments_free(segments);
    return good;
}

/* ---- the limit ---- */

struct limit {
    uint64_t *table; /* upper hash bits and place in the ring; 0: empty */
    uint64_t mask;
    uint8_t *ring;
};

static void limit_insert(struct limit *limit, const struct batch *batch, uint64_t first)
{
    for (size_t begin = 0; begin < batch->n; begin += LIMIT_BATCH) {
        size_t end = begin + LIMIT_BATCH < batch->n ? begin + LIMIT_BATCH : batch->n;
        uint64_t hashes[LIMIT_BATCH];
        for (size_t i = begin; i < end; i++) {
            hashes[i - begin] = esp_hash(batch->headers[i].id);
            __builtin_prefetch(&limit->table[hashes[i - begin] & limit->mask], 1);
        }
        for (size_t i = begin; i < end; i++) {
            uint64_t slot = hashes[i - begin] & limit->mask, place = first + i + 1;
            while (limit->table[slot] != 0)
                slot = (slot + 1) & limit->mask;
            limit->table[slot] = (hashes[i - begin] >> 32 << 32) | place;
            memcpy(limit->ring + (place - 1) * LIMIT_RECORD, batch->headers[i].payload.data,
                   PAYLOAD);
        }
    }
}

/* Looks up the records from first on, in order, and takes them out. Returns how many it found. */
static uint64_t limit_expire(struct limit *limit, uint64_t first, size_t n)
{
    uint64_t hashes[LIMIT_BATCH], n_found = 0;
    for (size_t i = 0; i < n; i++) {
        hashes[i] = esp_hash(esp_bytes(limit->ring + (first + i) * LIMIT_RECORD, ID));
        __builtin_prefetch(&limit->table[hashes[i] & limit->mask], 1);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t slot = hashes[i] & limit->mask;
        uint64_t wanted = (hashes[i] >> 32 << 32) | (first + i + 1);
        while (limit->table[slot] != wanted)
            slot = (slot + 1) & limit->mask;
        /* A mark, not a hole: later probes still pass. */
        limit->table[slot] = UINT64_MAX;
        n_found++;
    }
    return n_found;
}

/* Zeroed memory in huge pages, as the join's own. */
static void *new_memory(size_t size)
{
    size_t huge = (size_t)2 << 20;
    void *memory = aligned_alloc(huge, (size + huge - 1) / huge * huge);
    if (memory != NULL) {
        (void)madvise(memory, size, MADV_HUGEPAGE);
        memset(memory, 0, size);
    }
    return memory;
}

static bool run_limit(const struct options *options, struct batch *batch, double *out_seconds)
{
    uint64_t n_slots = 64;
    while (n_slots < options->n_impressions + options->n_impressions / 2)
        n_slots *= 2;
    struct limit limit = {new_memory(n_slots * sizeof *limit.table), n_slots - 1,
                          new_memory(options->n_impressions * LIMIT_RECORD)};
    bool good = limit.table != NULL && limit.ring != NULL;
    double seconds = 0;
    for (uint64_t i = 0; good && i < options->n_impressions; i += BATCH) {
        batch->n = 0;
        for (uint64_t k = i; k < i + BATCH && k < options->n_impressions; k++)
            add_event(batch, k, 0);
        double begin = now();
        limit_insert(&limit, batch, i);
        seconds += now() - begin;
    }
    batch->n = 0;
    double begin = now();
    uint64_t n_found = 0;
    for (uint64_t i = 0; good && i < options->n_impressions; i += LIMIT_BATCH) {
        uint64_t n = options->n_impressions - i;
        n_found += limit_expire(&limit, i, n < LIMIT_BATCH ? n : LIMIT_BATCH);
    }
    *out_seconds = seconds + now() - begin;
    free(limit.table);
    free(limit.ring);
    return good && n_found == options->n_impressions;
}

/* ---- the command ---- */

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    if (key == 'f') {
        options->folder = arg;
        return 0;
    }
    if (key != 'n' && key != 'r' && key != 'm')
        return ARGP_ERR_UNKNOWN;
    char *end;
    unsigned long long value = strtoull(arg, &end, 10);
    if (*end != '\0' || value == 0 || value > 100000000 || (key == 'r' && value > MAX_RUNS))
        argp_error(state, "not a good number: %s", arg);
    if (key == 'n')
        options->n_impressions = (size_t)value;
    else if (key == 'm')
        options->memory_mib = (size_t)value;
    else
        options->n_runs = (size_t)value;
    return 0;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

int bench_join(int argc, char **argv)
{
    static const struct argp_option table[] = {
        {"impressions", 'n', "N", 0, "how many are pending (default 5000000)", 0},
        {"runs", 'r', "N", 0, "runs; the median is given (default 5)", 0},
        {"memory", 'm', "MIB", 0, "cap of the join's memory, past which it pages (default: none)",
         0},
        {"folder", 'f', "FOLDER", 0, "where it pages to (default .)", 0},
        {0}};
    static const struct argp parser = {table, parse_option, NULL, "the join alone", 0, 0, 0};
    struct options options = {5000000, 5, 0, "."};
    if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0)
        return 64;
    double steady[MAX_RUNS], all[MAX_RUNS], limits[MAX_RUNS];
    struct batch *batch = calloc(1, sizeof *batch);
    struct figures figures = {0};
    bool good = batch != NULL;
    for (size_t run = 0; good && run < options.n_runs; run++) {
        double seconds = 1;
        /* Where the join is to page there is no memory for the limit's tables. */
        good = (options.memory_mib > 0 || run_limit(&options, batch, &seconds)) &&
               run_joiner(&options, batch, &figures);
        limits[run] = (double)options.n_impressions / seconds;
        steady[run] = (double)figures.n_events[STEADY] / figures.seconds[STEADY];
        all[run] =
            (double)(figures.n_events[FILL] + figures.n_events[STEADY] + figures.n_events[DRAIN]) /
            (figures.seconds[FILL] + figures.seconds[STEADY] + figures.seconds[DRAIN]);
    }
    free(batch);
    if (!good) {
        fprintf(stderr, "espalier-bench: out of memory, or --folder cannot be written to\n");
        return 75;
    }
    double rate = median(steady, options.n_runs), limit = median(limits, options.n_runs);
    printf("join_events_per_cpu_second %.0f 1/s\n", rate);
    printf("join_slowest_run %.0f 1/s\n", steady[0]);
    printf("join_fastest_run %.0f 1/s\n", steady[options.n_runs - 1]);
    printf("join_with_first_touch_of_memory %.0f 1/s\n", median(all, options.n_runs));
    if (options.memory_mib == 0) {
        printf("join_limit_events_per_cpu_second %.0f 1/s\n", limit);
        printf("join_ratio_to_limit %.3f 1\n", rate / limit);
    }
    printf("join_bytes_per_pending_impression %.1f byte\n", figures.bytes_per_pending);
    printf("join_bytes_beside_its_record %.1f byte\n", figures.overhead);
    if (options.memory_mib > 0) {
        printf("join_paged_out_mib %.0f MiB\n", figures.paged_out_bytes / 1048576);
        printf("join_events_per_second %.0f 1/s\n",
               (double)figures.n_events[STEADY] / figures.wall_seconds);
    }
    return 0;
}
