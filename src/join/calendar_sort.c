/*
 * calendar_sort.c - see calendar_sort.h.
 *
 * Entries come in the order of arrival: a few sorted runs a partition. A bottom-up merge sort that
 * begins with the runs it finds takes a pass or two where a general sort takes a dozen.
 */
#include "join/calendar_sort.h"

enum { INSERTION_MAX = 24 };

int esp_calendar_compare(const struct esp_calendar_order *order, uint32_t a, uint32_t b)
{
    int by_key = esp_bytes_compare(order->key(order->context, a), order->key(order->context, b));
    return by_key != 0 ? by_key : order->compare(order->context, a, b);
}

/* ---- by time ---- */

/* The end of the sorted run that begins at `begin`; a falling one is turned round. Short runs are
 * filled up by insertion. Not stable, which does no harm: equal times are sorted by key later. */
static size_t next_run(uint64_t *entries, size_t begin, size_t n)
{
    size_t end = begin + 1;
    if (end < n && entries[end] < entries[begin]) {
        while (end < n && entries[end] < entries[end - 1])
            end++;
        for (size_t i = begin, k = end - 1; i < k; i++, k--) {
            uint64_t swapped = entries[i];
            entries[i] = entries[k];
            entries[k] = swapped;
        }
    }
    while (end < n && entries[end] >= entries[end - 1])
        end++;
    size_t wanted = n - begin < INSERTION_MAX ? n : begin + INSERTION_MAX;
    for (; end < wanted; end++) {
        uint64_t moved = entries[end];
        size_t i = end;
        for (; i > begin && entries[i - 1] > moved; i--)
            entries[i] = entries[i - 1];
        entries[i] = moved;
    }
    return end;
}

static void merge(uint64_t *entries, uint64_t *scratch, size_t begin, size_t middle, size_t end)
{
    size_t n_left = middle - begin, left = 0, right = middle, at = begin;
    memcpy(scratch, entries + begin, n_left * sizeof *entries);
    while (left < n_left && right < end) {
        bool take_right = entries[right] < scratch[left];
        entries[at++] = take_right ? entries[right] : scratch[left];
        right += take_right;
        left += !take_right;
    }
    memcpy(entries + at, scratch + left, (n_left - left) * sizeof *entries);
}

/* Merges runs as a binary counter adds: a run of level k stands for at least 2^k runs found. */
static void sort_by_time(uint64_t *entries, uint64_t *scratch, size_t n)
{
    size_t begins[64], n_runs = 0, counter = 0;
    for (size_t begin = 0; begin < n;) {
        size_t end = next_run(entries, begin, n);
        begins[n_runs++] = begin;
        counter++;
        for (size_t bit = counter; (bit & 1) == 0; bit >>= 1) {
            merge(entries, scratch, begins[n_runs - 2], begins[n_runs - 1], end);
            n_runs--;
        }
        begin = end;
    }
    for (; n_runs > 1; n_runs--)
        merge(entries, scratch, begins[n_runs - 2], begins[n_runs - 1], n);
}

/* ---- by key, within one time ---- */

static size_t shared_prefix(struct esp_bytes a, struct esp_bytes b, size_t at_most)
{
    size_t n = a.size < b.size ? a.size : b.size, i = 0;
    n = n < at_most ? n : at_most;
    while (i < n && a.data[i] == b.data[i])
        i++;
    return i;
}

static uint64_t eight_bytes(struct esp_bytes key, size_t from)
{
    uint64_t prefix = 0;
    size_t n = key.size - from < 8 ? key.size - from : 8;
    for (size_t i = 0; i < n; i++)
        prefix |= (uint64_t)key.data[from + i] << (56 - 8 * i);
    return prefix;
}

static int compare_ties(const void *left, const void *right, void *context)
{
    const struct esp_calendar_tie *a = left, *b = right;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return esp_calendar_compare(context, (uint32_t)a->packed, (uint32_t)b->packed);
}

static void sort_group(const struct esp_calendar_order *order, uint64_t *entries,
                       struct esp_calendar_tie *ties, size_t n)
{
    struct esp_bytes first = order->key(order->context, (uint32_t)entries[0]);
    size_t shared = first.size;
    for (size_t i = 1; i < n; i++)
        shared = shared_prefix(first, order->key(order->context, (uint32_t)entries[i]), shared);
    for (size_t i = 0; i < n; i++) {
        struct esp_bytes key = order->key(order->context, (uint32_t)entries[i]);
        ties[i] = (struct esp_calendar_tie){eight_bytes(key, shared), entries[i]};
    }
    qsort_r(ties, n, sizeof *ties, compare_ties, (void *)(uintptr_t)order);
    for (size_t i = 0; i < n; i++)
        entries[i] = ties[i].packed;
}

void esp_calendar_sort(const struct esp_calendar_order *order, uint64_t *entries, uint64_t *scratch,
                       struct esp_calendar_tie *ties, size_t n)
{
    sort_by_time(entries, scratch, n);
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && entries[end] >> 32 == entries[begin] >> 32;)
            end++;
        if (end - begin > 1)
            sort_group(order, entries + begin, ties, end - begin);
    }
}
