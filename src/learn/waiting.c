/* waiting.c - see waiting.h. */
#include "learn/waiting.h"

#include "core/hash.h"

enum { SCORE_BYTES = 33 }; /* in an archive */

void esp_waiting_release(struct esp_waiting *waiting)
{
    free(waiting->slots);
    *waiting = (struct esp_waiting){0};
}

/* The ticket's slot, or the empty one where its search ends. */
static size_t find(const struct esp_waiting_score *slots, size_t capacity, uint64_t ticket)
{
    size_t slot = (size_t)esp_mix64(ticket) & (capacity - 1);
    while (slots[slot].used && slots[slot].ticket != ticket)
        slot = (slot + 1) & (capacity - 1);
    return slot;
}

static enum esp_status grow(struct esp_waiting *waiting, struct esp_error *err)
{
    size_t capacity = waiting->capacity == 0 ? 64 : waiting->capacity * 2;
    struct esp_waiting_score *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu waiting predictions", capacity / 2);
    for (size_t i = 0; i < waiting->capacity; i++)
        if (waiting->slots[i].used)
            slots[find(slots, capacity, waiting->slots[i].ticket)] = waiting->slots[i];
    free(waiting->slots);
    waiting->slots = slots;
    waiting->capacity = capacity;
    return ESP_OK;
}

enum esp_status esp_waiting_put(struct esp_waiting *waiting, const struct esp_waiting_score *score,
                                struct esp_error *err)
{
    if (2 * (waiting->n + 1) > waiting->capacity) {
        enum esp_status status = grow(waiting, err);
        if (status != ESP_OK)
            return status;
    }
    size_t slot = find(waiting->slots, waiting->capacity, score->ticket);
    waiting->n += !waiting->slots[slot].used;
    waiting->slots[slot] = *score;
    waiting->slots[slot].used = true;
    return ESP_OK;
}

static void score_archive(struct esp_archive *archive, struct esp_waiting_score *score)
{
    esp_archive_u64(archive, &score->ticket);
    esp_archive_i64(archive, &score->impression_us);
    esp_archive_f64(archive, &score->weight);
    esp_archive_f32(archive, &score->cvr_logit);
    esp_archive_f32(archive, &score->install_logit);
    esp_archive_bool(archive, &score->holdout);
}

static void read_scores(struct esp_archive *archive, struct esp_waiting *waiting, size_t n)
{
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        struct esp_waiting_score score = {0};
        struct esp_error err = {0};
        score_archive(archive, &score);
        if (!esp_archive_is_ok(archive))
            return;
        if (esp_waiting_put(waiting, &score, &err) != ESP_OK)
            esp_archive_fail(archive, err.status, "%s", err.text);
        else
            esp_archive_check(archive, waiting->n == i + 1, "one ticket for two predictions");
    }
}

void esp_waiting_archive(struct esp_archive *archive, struct esp_waiting *waiting)
{
    size_t n = waiting->n;
    esp_archive_mark(archive, "waiting predictions", 1);
    esp_archive_count(archive, &n, SCORE_BYTES);
    if (esp_archive_reads(archive)) {
        read_scores(archive, waiting, n);
        return;
    }
    for (size_t i = 0; i < waiting->capacity; i++)
        if (waiting->slots[i].used)
            score_archive(archive, &waiting->slots[i]);
}

bool esp_waiting_take(struct esp_waiting *waiting, uint64_t ticket, struct esp_waiting_score *out)
{
    if (waiting->n == 0)
        return false;
    size_t mask = waiting->capacity - 1;
    size_t hole = find(waiting->slots, waiting->capacity, ticket);
    if (!waiting->slots[hole].used)
        return false;
    *out = waiting->slots[hole];
    for (size_t i = (hole + 1) & mask; waiting->slots[i].used; i = (i + 1) & mask) {
        size_t home = (size_t)esp_mix64(waiting->slots[i].ticket) & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* the search for it begins after the hole */
        waiting->slots[hole] = waiting->slots[i];
        hole = i;
    }
    waiting->slots[hole].used = false;
    waiting->n--;
    return true;
}
