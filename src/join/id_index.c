/* id_index.c - see id_index.h. */
#include "join/id_index.h"

#include <sys/mman.h>

enum {
    MIN_HOMES = 8,
    LINE_BYTES = sizeof(struct esp_id_line),
    HUGE_PAGE = 2 << 20, /* tables from two of these on are mapped */
};

/* ---- memory ---- */

static void free_lines(struct esp_id_index *index)
{
    if (index->room_bytes > 0)
        (void)munmap(index->lines, index->room_bytes);
    else
        free(index->lines);
}

static size_t whole_pages(size_t n_bytes)
{
    return (n_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

/* Untouched memory on a huge page's boundary, in huge pages where the kernel has them, since every
 * look-up goes to a random place. NULL: there is none. */
static void *map_aligned(size_t n_bytes)
{
    uint8_t *wide = mmap(NULL, n_bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (wide == MAP_FAILED)
        return NULL;
    uint8_t *begin = (uint8_t *)whole_pages((uintptr_t)wide);
    size_t before = (size_t)(begin - wide);
    if (before > 0)
        (void)munmap(wide, before);
    if (before < HUGE_PAGE)
        (void)munmap(begin + n_bytes, HUGE_PAGE - before);
    (void)madvise(begin, n_bytes, MADV_HUGEPAGE);
    return begin;
}

static size_t bytes_for(size_t n_homes)
{
    return (n_homes + ESP_LINES_BEHIND) * LINE_BYTES;
}

/* Empty lines. A large table gets twice the room, untouched, to grow in place. */
static bool new_lines(struct esp_id_index *index, size_t n_homes)
{
    size_t n_bytes = bytes_for(n_homes), room_bytes = 0;
    void *lines;
    if (n_bytes < 2 * HUGE_PAGE) {
        lines = aligned_alloc(LINE_BYTES, n_bytes);
        if (lines != NULL)
            memset(lines, 0, n_bytes);
    } else {
        room_bytes = whole_pages(2 * n_bytes);
        lines = map_aligned(room_bytes);
    }
    if (lines == NULL)
        return false;
    *index = (struct esp_id_index){.lines = lines, .n_homes = n_homes, .room_bytes = room_bytes};
    return true;
}

void esp_id_index_release(struct esp_id_index *index)
{
    free_lines(index);
    *index = (struct esp_id_index){0};
}

size_t esp_id_index_memory(const struct esp_id_index *index)
{
    if (index->n_homes == 0)
        return 0;
    size_t n_bytes = bytes_for(index->n_homes);
    return index->room_bytes > 0 ? whole_pages(n_bytes) : n_bytes;
}

/* ---- entries ---- */

/* False: there is no room behind the last home. */
static bool place(struct esp_id_index *index, uint32_t half, uint32_t ref)
{
    struct esp_id_line *line = index->lines + esp_id_index_home(index, half);
    unsigned empty;
    while ((empty = esp_line_equal(line->refs, 0)) == 0)
        line++;
    bool is_last = line == index->lines + index->n_homes + ESP_LINES_BEHIND - 1;
    if (is_last && (empty & (empty - 1)) == 0)
        return false; /* its one empty slot ends every search */
    int i = __builtin_ctz(empty);
    line->halves[i] = half;
    line->refs[i] = ref;
    return true;
}

/* The first slot of a line whose entry has its home at or before `home`, or ESP_LINE_SLOTS. */
static size_t movable(const struct esp_id_index *index, const struct esp_id_line *line, size_t home)
{
    size_t i = 0;
    while (i < ESP_LINE_SLOTS &&
           (line->refs[i] == 0 || esp_id_index_home(index, line->halves[i]) > home))
        i++;
    return i;
}

/*
 * A full line has let others pass: the hole in it goes to the first of them that may stand there,
 * and where that one stood is the next hole. Ends at a line that was not full. Returns the last.
 */
static size_t close_hole(struct esp_id_index *index, size_t hole)
{
    size_t at = hole / ESP_LINE_SLOTS;
    for (bool was_full = true; was_full;) {
        const struct esp_id_line *line = &index->lines[++at];
        was_full = esp_line_equal(line->refs, 0) == 0;
        size_t found = movable(index, line, hole / ESP_LINE_SLOTS);
        if (found == ESP_LINE_SLOTS)
            continue;
        struct esp_id_line *to = &index->lines[hole / ESP_LINE_SLOTS];
        to->halves[hole % ESP_LINE_SLOTS] = line->halves[found];
        to->refs[hole % ESP_LINE_SLOTS] = line->refs[found];
        hole = at * ESP_LINE_SLOTS + found;
    }
    return hole;
}

/* ---- other sizes ---- */

/* Entries that so many homes hold before the index grows. */
static size_t limit_of(size_t n_homes)
{
    return n_homes * ESP_LINE_SLOTS / 3 * 2;
}

/* False: no memory, or no room for what would stand behind the last home. Nothing changed then. */
static bool copy_to_size(struct esp_id_index *index, size_t n_homes)
{
    struct esp_id_index sized;
    if (!new_lines(&sized, n_homes))
        return false;
    size_t n_lines = index->n_homes == 0 ? 0 : index->n_homes + ESP_LINES_BEHIND;
    for (size_t at = 0; at < n_lines; at++) {
        const struct esp_id_line *line = &index->lines[at];
        for (size_t i = 0; i < ESP_LINE_SLOTS; i++) {
            if (line->refs[i] != 0 && !place(&sized, line->halves[i], line->refs[i])) {
                free_lines(&sized);
                return false;
            }
        }
    }
    sized.n_used = index->n_used;
    free_lines(index);
    *index = sized;
    return true;
}

/*
 * Grows a table inside its mapping. Its lines move to the upper end of the new space; from there
 * one upward sweep places the entries. One that is read in line r stood at or behind its old home,
 * and homes scale up by no more than what the lines moved, so its new home is at most r; its own
 * slot in r was just emptied, so it finds room at r or before: nothing unread is overwritten, no
 * line behind r is filled before it is read, and there always is room.
 */
static void grow_in_place(struct esp_id_index *index, size_t n_homes)
{
    size_t n_before = index->n_homes + ESP_LINES_BEHIND, n_more = n_homes - index->n_homes;
    memmove(index->lines + n_more, index->lines, n_before * LINE_BYTES);
    memset(index->lines, 0, n_more * LINE_BYTES);
    index->n_homes = n_homes;
    for (size_t r = n_more; r < n_more + n_before; r++) {
        for (size_t i = 0; i < ESP_LINE_SLOTS; i++) {
            uint32_t half = index->lines[r].halves[i], ref = index->lines[r].refs[i];
            index->lines[r].refs[i] = 0;
            if (ref != 0)
                (void)place(index, half, ref);
        }
    }
}

static enum esp_status grow(struct esp_id_index *index, size_t n_homes, struct esp_error *err)
{
    if (bytes_for(n_homes) <= index->room_bytes)
        grow_in_place(index, n_homes);
    else if (!copy_to_size(index, n_homes))
        return esp_fail(err, ESP_ENOMEM, "out of memory for an index of %zu entries",
                        limit_of(n_homes));
    return ESP_OK;
}

enum esp_status esp_id_index_reserve(struct esp_id_index *index, size_t n, struct esp_error *err)
{
    size_t wanted = index->n_used + n; /* both count things in memory: no overflow */
    if (wanted <= limit_of(index->n_homes))
        return ESP_OK;
    size_t n_homes = index->n_homes < MIN_HOMES ? MIN_HOMES : index->n_homes;
    while (wanted > limit_of(n_homes))
        n_homes += n_homes / 8;
    return grow(index, n_homes, err);
}

enum esp_status esp_id_index_add(struct esp_id_index *index, uint64_t hash, uint32_t ref,
                                 struct esp_error *err)
{
    enum esp_status status = esp_id_index_reserve(index, 1, err);
    while (status == ESP_OK && !place(index, (uint32_t)(hash >> 32), ref)) {
        /* Made to collide: more room would not help. */
        if (index->n_homes > MIN_HOMES && index->n_used < index->n_homes)
            return esp_fail(err, ESP_ENOMEM, "too many ids share half of their hash");
        status = grow(index, index->n_homes + index->n_homes / 8, err);
    }
    index->n_used += status == ESP_OK;
    return status;
}

void esp_id_index_remove(struct esp_id_index *index, size_t slot)
{
    if (esp_line_equal(index->lines[slot / ESP_LINE_SLOTS].refs, 0) == 0)
        slot = close_hole(index, slot);
    esp_id_index_set_ref(index, slot, 0);
    index->n_used--;
    if (index->n_homes > 4 * MIN_HOMES && index->n_used < index->n_homes)
        (void)copy_to_size(index, index->n_homes / 2); /* else it just stays large */
}

/* ---- in a checkpoint ---- */

/*
 * Is every entry where a search finds it, and does every search end? So it is if an entry that
 * stands behind its home has only full lines from there on before it, and the last line is not
 * full.
 */
static bool is_sound(const struct esp_id_index *index)
{
    size_t n_used = 0, n_lines = index->n_homes + ESP_LINES_BEHIND;
    size_t full_from = 0; /* the lines from here up to this one are full */
    for (size_t at = 0; at < n_lines; at++) {
        const struct esp_id_line *line = &index->lines[at];
        unsigned empty = esp_line_equal(line->refs, 0);
        for (size_t i = 0; i < ESP_LINE_SLOTS; i++) {
            if (line->refs[i] == 0)
                continue;
            size_t home = esp_id_index_home(index, line->halves[i]);
            if (home > at || home < full_from)
                return false;
            n_used++;
        }
        if (empty != 0)
            full_from = at + 1;
    }
    return full_from == n_lines && n_used == index->n_used;
}

void esp_id_index_archive(struct esp_archive *archive, struct esp_id_index *index)
{
    size_t n_lines = index->n_homes == 0 ? 0 : index->n_homes + ESP_LINES_BEHIND;
    esp_archive_mark(archive, "id index", 1);
    esp_archive_count(archive, &n_lines, LINE_BYTES);
    if (esp_archive_reads(archive) && n_lines > 0) {
        bool is_possible = n_lines >= MIN_HOMES + ESP_LINES_BEHIND && n_lines <= UINT32_MAX;
        if (!esp_archive_check(archive, is_possible, "the size of an index of ids"))
            return;
        if (!new_lines(index, n_lines - ESP_LINES_BEHIND))
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for an index of %zu lines",
                             n_lines);
    }
    esp_archive_size(archive, &index->n_used);
    if (!esp_archive_is_ok(archive))
        return;
    esp_archive_bytes(archive, index->lines, n_lines * LINE_BYTES);
    if (esp_archive_is_ok(archive) && n_lines > 0)
        esp_archive_check(archive, is_sound(index), "an index of ids");
    else
        esp_archive_check(archive, index->n_used == 0, "an index of ids");
}
