/*
 * store_helper.h - a store of segments in memory, which can be told to fail. What it maps
 * cannot be written to: a joiner that changed a sealed segment would die of it.
 */
#ifndef ESP_TESTS_STORE_HELPER_H
#define ESP_TESTS_STORE_HELPER_H

#include "join/segment_store.h"
#include "testkit.h"

struct store_helper {
    struct esp_segment_store store;
    GHashTable *files;   /* number -> GBytes */
    uint64_t n_calls;    /* of write, sync, verify, map */
    uint64_t fail_at;    /* the call that fails; 0: none */
    uint64_t fail_every; /* and every so many after it; 0: no other */
    uint64_t n_failed, n_written, n_mapped, n_dropped;
    GHashTable *synced; /* numbers */
    bool names_synced;
    bool is_killed; /* drop does nothing: what the process leaves that ends here */
};

void store_helper_init(struct store_helper *helper);
void store_helper_clear(struct store_helper *helper);

/* What a process finds that starts now: numbers begin above all files. Then those that are not in
 * the list are swept. */
void store_helper_restart(struct store_helper *helper, const struct esp_segment_list *keep);

/* Are all of these there, with these bytes, brought to the disk if it matters? */
bool store_helper_has(const struct store_helper *helper, const struct esp_segment_list *list,
                      bool synced);

#endif
