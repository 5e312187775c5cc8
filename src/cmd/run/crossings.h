/*
 * crossings.h - from ingest to learning: where the inputs would be read again from, for each
 * boundary at which snapshots are taken, and what was written by then.
 *
 * Ingest is ahead of learning, and the join keeps such points for a while only. So ingest notes
 * them while it has them: at the first label, kept or not, that is due at a boundary or later, for
 * labels due from that boundary on. Learning crosses the boundary at the first example, which is a
 * kept label, and finds what was noted.
 *
 * Where several boundaries lie between two examples learning crosses the first alone (see
 * snapshots.h), and so only that one is noted: at most one crossing an example.
 *
 * The same labels give the same boundaries on both sides, also after both were restored.
 */
#ifndef ESP_CMD_RUN_CROSSINGS_H
#define ESP_CMD_RUN_CROSSINGS_H

#include <pthread.h>

#include "cmd/run/fences.h"
#include "cmd/run/rewinds.h"

/* { 0 } is fine. */
struct crossing {
    int64_t boundary_us;
    struct rewinds rewinds;
    struct fences fences; /* of what was written of records before the points: nobody will write it
                             again who begins with them. Not saved: a checkpoint counts only once
                             such fences of its own are settled */
};

void crossing_release(struct crossing *crossing);

struct crossings {
    const struct config *config; /* borrowed */
    int64_t next_us;             /* ingest's: the boundary ahead; ESP_TIME_NONE: no label came */
    bool is_noted; /* ingest's: since the last example a boundary was crossed, and noted */

    pthread_mutex_t lock;   /* guards the rest */
    struct crossing *items; /* (n) by boundary; what learning has not passed */
    size_t n, capacity;
};

/* The first boundary after a time; there are snapshots. */
int64_t crossings_boundary_after(const struct config *config, int64_t time_us);

void crossings_init(struct crossings *crossings, const struct config *config);
void crossings_release(struct crossings *crossings); /* { 0 } is fine */

/* ---- the ingest thread's --------------------------------------------------------------------- */

/*
 * A label is next, kept or not: call for each, in order. True: it crosses a boundary, which
 * is to be noted with crossings_note() before the label is handed over.
 */
bool crossings_meets(struct crossings *crossings, int64_t due_us, int64_t *out_boundary_us);

/* The label is an example: call after crossings_meets(). */
void crossings_kept(struct crossings *crossings);

/* Time has ended, and with it the last boundary is crossed: as crossings_meets(). */
bool crossings_ends(struct crossings *crossings, int64_t *out_boundary_us);

/* Takes it over, on failure as well, and in the place of one of the same boundary.
 * Errors: ESP_ENOMEM. */
enum esp_status crossings_note(struct crossings *crossings, struct crossing *crossing,
                               struct esp_error *err);

/* ---- the learning thread's ------------------------------------------------------------------- */

/* Copies what was noted for a boundary, nothing if nothing was, and forgets those before it.
 * Errors: ESP_ENOMEM; *out can be released. */
enum esp_status crossings_find(struct crossings *crossings, int64_t boundary_us,
                               struct crossing *out, struct esp_error *err);

/* ---- checkpoints ----------------------------------------------------------------------------- */

/* While both threads stand still. */
void crossings_archive(struct esp_archive *archive, struct crossings *crossings);

#endif
