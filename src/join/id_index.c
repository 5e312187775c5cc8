/* id_index.c - see id_index.h. */
#include "join/id_index.h"

#include <stdbool.h>
#include <sys/mman.h>

enum {
    MIN_SLOTS = 64,
    HUGE_PAGE = 2 << 20,
};

void esp_id_index_release(struct esp_id_index *index)
{
    free(index->slots);
    *index = (struct esp_id_index){0};
}

/* Zeroed slots; large tables in huge pages, for every look-up goes to a random place. */
static struct esp_id_slot *new_slots(size_t n)
{
    if (n > SIZE_MAX / 2 / sizeof(struct esp_id_slot))
        return NULL;
    size_t size = n * sizeof(struct esp_id_slot);
    if (size < 2 * HUGE_PAGE)
        return calloc(n, sizeof(struct esp_id_slot));
    size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    struct esp_id_slot *slots = aligned_alloc(HUGE_PAGE, size);
    if (slots != NULL) {
        (void)madvise(slots, size, MADV_HUGEPAGE);
        memset(slots, 0, size);
    }
    return slots;
}

static void place(struct esp_id_index *index, struct esp_id_slot entry)
{
    size_t i = esp_id_index_home(index, entry.half);
    while (index->slots[i].ref != 0)
        i = i + 1 == index->n_slots ? 0 : i + 1;
    index->slots[i] = entry;
}

static enum esp_status resize(struct esp_id_index *index, size_t n_slots, struct esp_error *err)
{
    struct esp_id_index sized = {new_slots(n_slots), n_slots, index->n_used};
    if (sized.slots == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for an index of %zu slots", n_slots);
    for (size_t i = 0; i < index->n_slots; i++)
        if (index->slots[i].ref != 0)
            place(&sized, index->slots[i]);
    free(index->slots);
    *index = sized;
    return ESP_OK;
}

enum esp_status esp_id_index_reserve(struct esp_id_index *index, size_t n, struct esp_error *err)
{
    size_t wanted = index->n_used + n; /* both count things in memory: no overflow */
    if (wanted <= index->n_slots / 5 * 4)
        return ESP_OK;
    size_t n_slots = index->n_slots < MIN_SLOTS ? MIN_SLOTS : index->n_slots;
    while (wanted > n_slots / 5 * 4)
        n_slots += n_slots / 4;
    return resize(index, n_slots, err);
}

void esp_id_index_add(struct esp_id_index *index, uint64_t hash, uint32_t ref)
{
    place(index, (struct esp_id_slot){(uint32_t)(hash >> 32), ref});
    index->n_used++;
}

void esp_id_index_remove(struct esp_id_index *index, struct esp_id_slot *slot)
{
    size_t n = index->n_slots, hole = (size_t)(slot - index->slots), i = hole;
    for (;;) {
        i = i + 1 == n ? 0 : i + 1;
        if (index->slots[i].ref == 0)
            break;
        /* An entry moves into the hole unless its home lies cyclically in (hole, i]. */
        size_t home = esp_id_index_home(index, index->slots[i].half);
        bool stays = hole < i ? home > hole && home <= i : home > hole || home <= i;
        if (!stays) {
            index->slots[hole] = index->slots[i];
            hole = i;
        }
    }
    index->slots[hole] = (struct esp_id_slot){0};
    index->n_used--;
    if (index->n_slots > 4 * MIN_SLOTS && index->n_used < index->n_slots / 5)
        (void)resize(index, index->n_slots / 2, NULL); /* without memory it just stays large */
}

size_t esp_id_index_memory(const struct esp_id_index *index)
{
    return index->n_slots * sizeof *index->slots;
}
