/*
 * paging.c - what the join holds, how it stays below its cap, and what a checkpoint needs of it.
 *
 * The cap is looked at where a batch begins, before anything is lent out, and only when a segment
 * was begun or emptied since: so it costs nothing where nothing grows, and memory passes the cap by
 * what one batch stores. The index, the calendars and the open segments cannot be paged. Where
 * these alone are over the cap, the join goes on over it: the cap is there to keep the machine
 * alive, and stopping would end at once what it may well survive.
 *
 * A store that fails (a full disk) does not stop the join either, for the same reason: the segment
 * stays in memory, and the next that is begun or emptied brings the
 * next try. The caller is told by
 * esp_joiner_usage() how often that was, and by esp_joiner_paging_failure() why.
 */
#include "join/joiner_state.h"

static size_t memory_beside_ring(const struct esp_joiner *joiner)
{
    const struct esp_calendar *calendars[] = {&joiner->due,        &joiner->later,
                                              &joiner->contenders, &joiner->clicks,
                                              &joiner->installs,   &joiner->click_ends};
    size_t memory = sizeof *joiner + esp_id_index_memory(&joiner->pending) +
                    esp_id_index_memory(&joiner->click_ids) +
                    joiner->clicked.capacity * sizeof *joiner->clicked.entries +
                    joiner->n_partitions * (sizeof *joiner->partitions + sizeof *joiner->sources) +
                    joiner->outcasts.capacity * sizeof *joiner->outcasts.items +
                    joiner->outcasts.bytes.capacity + joiner->held_bytes;
    for (size_t i = 0; i < sizeof calendars / sizeof *calendars; i++)
        memory += esp_calendar_memory(calendars[i]);
    return memory;
}

void esp_joiner_usage(const struct esp_joiner *joiner, struct esp_joiner_usage *out)
{
    size_t memory = memory_beside_ring(joiner) + esp_ring_memory(&joiner->ring);
    *out = (struct esp_joiner_usage){.pending = joiner->n_stored,
                                     .waiting = joiner->clicks.n + joiner->installs.n,
                                     .record_bytes = joiner->record_bytes,
                                     .memory_bytes = memory,
                                     .paged_bytes = joiner->ring.paged_bytes,
                                     .paged_out_bytes = joiner->ring.paged_out_bytes,
                                     .over_bytes = joiner->paging.over_bytes,
                                     .paging_failures = joiner->paging.n_failures};
}

void esp_paging_fit(struct esp_joiner *joiner)
{
    size_t beside = memory_beside_ring(joiner), most = joiner->config.max_store_bytes;
    joiner->paging.n_changes = joiner->ring.n_changes;
    if (joiner->config.store == NULL || most == 0)
        return;
    struct esp_error err = {0};
    if (esp_ring_fit(&joiner->ring, beside, most, &err) != ESP_OK) {
        joiner->paging.n_failures++;
        joiner->paging.failure = err;
    }
    size_t memory = beside + esp_ring_memory(&joiner->ring);
    joiner->paging.over_bytes = memory > most ? memory - most : 0;
}

const struct esp_error *esp_joiner_paging_failure(const struct esp_joiner *joiner)
{
    return &joiner->paging.failure;
}

/* ---- checkpoints ---- */

void esp_paging_restored(struct esp_joiner *joiner)
{
    size_t most = joiner->config.max_store_bytes;
    esp_ring_load(&joiner->ring, memory_beside_ring(joiner), most == 0 ? SIZE_MAX : most);
    esp_paging_fit(joiner);
}

void esp_joiner_before_save(struct esp_joiner *joiner)
{
    esp_ring_before_save(&joiner->ring);
}

enum esp_status esp_joiner_store_segments(struct esp_joiner *joiner, struct esp_error *err)
{
    return esp_ring_store(&joiner->ring, err);
}

void esp_joiner_files_archive(struct esp_archive *archive, const struct esp_joiner *joiner)
{
    esp_ring_files_archive(archive, &joiner->ring);
}

void esp_joiner_saved(struct esp_joiner *joiner, const struct esp_segment_list *files)
{
    esp_ring_saved(&joiner->ring, files);
}

enum esp_status esp_joiner_files(const struct esp_joiner *joiner, struct esp_segment_list *list,
                                 struct esp_error *err)
{
    return esp_ring_files(&joiner->ring, list, err);
}
