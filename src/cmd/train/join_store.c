/* join_store.c - see join_store.h. */
#include "cmd/train/join_store.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cmd/config/arguments.h"
#include "core/buf.h"
#include "core/logger.h"
#include "state/checkpoint.h"

/* Of a list: some 300 GiB of records. */
static const size_t most_list_bytes = (size_t)1 << 20;

enum esp_status join_store_open(struct join_store *store, const char *state_folder,
                                bool has_checkpoints, struct esp_error *err)
{
    *store = (struct join_store){.segments = NULL};
    return esp_segments_open(state_folder, has_checkpoints, &store->segments, err);
}

void join_store_release(struct join_store *store)
{
    esp_segments_free(store->segments);
    *store = (struct join_store){.segments = NULL};
}

const struct esp_segment_store *join_store_lend(const struct join_store *store)
{
    return esp_segments_store(store->segments);
}

/* ---- what is said ---------------------------------------------------------------------------- */

void join_store_watch(struct join_store *store, const struct esp_joiner *joiner,
                      const struct esp_joiner_usage *usage)
{
    if (usage->paging_failures > store->n_failures) {
        store->n_failures = usage->paging_failures;
        seldom_say(&store->failed, report_log_event, NULL,
                   "the join cannot page to [state] folder and goes on in memory, %" PRIu64
                   " MiB above join.memory: %s",
                   usage->over_bytes >> 20, esp_joiner_paging_failure(joiner)->text);
    } else if (usage->over_bytes > 0 && usage->paging_failures == 0 && !store->over_was_said) {
        store->over_was_said = true;
        esp_logf(ESP_WARN,
                 "the join holds %" PRIu64 " MiB that cannot be paged (its index, its calendars "
                 "and the segments that it writes to), %" PRIu64 " MiB above join.memory; it goes "
                 "on with that",
                 usage->memory_bytes >> 20, usage->over_bytes >> 20);
    }
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

void join_store_archive(struct esp_archive *archive, const struct esp_joiner *joiner)
{
    if (!esp_archive_reads(archive)) {
        esp_joiner_files_archive(archive, joiner);
        return;
    }
    struct esp_segment_list list = {0};
    esp_segment_list_archive(archive, &list);
    esp_segment_list_release(&list);
}

/* Adds what a checkpoint names. */
static enum esp_status add_named(const struct esp_state_folder *folder, uint64_t number,
                                 struct esp_segment_list *list, struct esp_error *err)
{
    struct esp_segment_list named = {0};
    struct esp_archive archive;
    struct esp_buf bytes;
    esp_buf_init(&bytes, most_list_bytes);
    enum esp_status status = esp_checkpoint_peek(folder, number, JOIN_STORE_SECTION, &bytes, err);
    if (status == ESP_OK) {
        esp_archive_read_from(&archive, esp_buf_bytes(&bytes));
        esp_segment_list_archive(&archive, &named);
        status = esp_archive_end(&archive, err);
    }
    if (status == ESP_OK)
        status = esp_segment_list_add(list, named.files, named.n, err);
    esp_segment_list_release(&named);
    esp_buf_release(&bytes);
    return status;
}

/* What all kept checkpoints name. One that is damaged in its list cannot be gone on from, and names
 * nothing. */
static enum esp_status add_all_named(const struct esp_state_folder *folder,
                                     struct esp_segment_list *list, struct esp_error *err)
{
    uint64_t *numbers = NULL;
    size_t n = 0;
    enum esp_status status = esp_checkpoint_list(folder, &numbers, &n, err);
    for (size_t i = 0; status == ESP_OK && i < n; i++) {
        struct esp_error why = {0};
        status = add_named(folder, numbers[i], list, &why);
        if (status != ESP_OK && status != ESP_EDATA)
            esp_fail(err, status, "%s", why.text);
        else
            status = ESP_OK;
    }
    free(numbers);
    return status;
}

void join_store_sweep(struct join_store *store, const struct esp_state_folder *folder,
                      const struct esp_joiner *joiner)
{
    struct esp_segment_list keep = {0};
    struct esp_error err = {0};
    enum esp_status status = add_all_named(folder, &keep, &err);
    if (status == ESP_OK)
        status = esp_joiner_files(joiner, &keep, &err);
    esp_segment_list_sort(&keep);
    if (status == ESP_OK)
        status = esp_segments_sweep(store->segments, &keep, NULL, &err);
    if (status != ESP_OK)
        esp_log_error(&err);
    esp_segment_list_release(&keep);
}

void join_store_saved(struct join_store *store, const struct esp_state_folder *folder,
                      uint64_t number, struct esp_joiner *joiner)
{
    struct esp_segment_list named = {0};
    struct esp_error err = {0};
    if (add_named(folder, number, &named, &err) == ESP_OK) {
        esp_segment_list_sort(&named);
        esp_joiner_saved(joiner, &named);
    } else {
        esp_log_error(&err);
    }
    esp_segment_list_release(&named);
    join_store_sweep(store, folder, joiner);
}
