/* nearest_word.c - "did you mean ...?": the known word that a mistyped one is nearest to. */
#include <string.h>

#include "core/settings.h"

enum { MAX_WORD = 63 }; /* longer ones are nobody's slip of a key */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * How many insertions, deletions, replacements and swaps of neighbours make b out of a (the
 * "optimal string alignment" distance). Row by row: `now` is the row of a's first i characters,
 * `last` and `before` the two above it. Both words have at most MAX_WORD characters.
 */
static size_t edit_distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t rows[3][MAX_WORD + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= n_b; j++)
        last[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        now[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t replaced = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least(replaced, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[n_b];
}

const char *esp_nearest_word(const char *word, const char *const *known, size_t n_known)
{
    size_t size = strlen(word), best = size / 3 + 1;
    const char *nearest = NULL;
    if (size > MAX_WORD)
        return NULL;
    for (size_t i = 0; i < n_known; i++) {
        size_t known_size = strlen(known[i]);
        if (known_size > MAX_WORD)
            continue;
        size_t distance = edit_distance(word, size, known[i], known_size);
        if (distance < best) {
            best = distance;
            nearest = known[i];
        }
    }
    return nearest;
}
