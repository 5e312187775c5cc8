/*
 * publishing.h - the thread that makes finished snapshots known: on the topic, or in the folder
 * that stands for it.
 *
 *     learning thread: a snapshot's file --> queue --> publishing thread: chunks, manifest, retire
 *
 * Learning waits only where MOST_QUEUED files stand in the queue. Where as many newer ones wait as
 * the place keeps, an older one is not published any more. A broker that is away is tried again
 * until it is there or the run is told to stop. What cannot be published for its
 * content (a number that is live with other bytes) is said and counted, and the run goes on.
 *
 * On Kafka a snapshot is published once the broker has acknowledged what was written of records
 * that a run which begins with it does not read again: nothing else would bring that back if the
 * state folder were lost with this process. A folder is read again from its first record, and needs
 * no such fences.
 *
 * A file that waits has a second name in the folder, which goes when it was dealt with. So a run
 * that begins again knows what its predecessor had still to do: of what the checkpoint says was
 * handed over last, that whose second name is there. It is handed over once more; if it had been
 * published after all, the place knows it by its bytes. What was taken after the checkpoint is
 * taken again, with the same bytes.
 *
 *     publishing_init() --> publishing_archive(), reading --> publishing_start()
 */
#ifndef ESP_CMD_TRAIN_PUBLISHING_H
#define ESP_CMD_TRAIN_PUBLISHING_H

#include "cmd/run/run.h"
#include "cmd/topics/outputs.h"
#include "cmd/train/snapshots.h"
#include "core/queue.h"
#include "snapshot/publisher.h"

enum {
    MOST_QUEUED = 8,    /* files that learning may be ahead */
    MOST_GATHERED = 64, /* that the thread looks at together */
    /* That may wait: gathered, in work, queued, and about to be queued. */
    MOST_HANDED = MOST_GATHERED + MOST_QUEUED + 2,
};

/* A file to publish: a second name of the snapshot's, so that the ladder may remove its own. */
struct publication {
    size_t model;
    int64_t number;
    struct esp_input_offset *inputs; /* (n_inputs) where reading was; owned */
    size_t n_inputs;
    struct crossing crossing;
    char path[]; /* NUL-terminated */
};

/* What was handed over, for the checkpoint. */
struct handed {
    size_t model;
    int64_t number;
    struct rewinds rewinds;
};

struct publishing {
    struct run *run;               /* borrowed */
    const struct outputs *outputs; /* the learning thread's, borrowed */
    struct esp_log *log;           /* of its own; NULL: files */
    char *place;                   /* the topic or the folder */
    struct esp_publisher *publisher;
    struct esp_queue *queue;     /* of struct publication; NULL: off */
    struct snapshots *snapshots; /* borrowed: whose runs */
    pthread_t thread;
    bool is_running;
    struct publication *waiting[MOST_HANDED]; /* (n_waiting) the thread's, in label order */
    size_t n_waiting;
    struct handed handed[MOST_HANDED]; /* (n_handed) the learning thread's: the last ones, the
                                          newest last; whatever still waits is among them */
    size_t n_handed;
    int64_t waits_since_us; /* monotonic; for outputs before the oldest; 0: it does not */
    int64_t said_us;        /* monotonic; when a broker that is away was last mentioned */
};

/* outputs  the learning thread's; NULL: it has none. All are borrowed. */
void publishing_init(struct publishing *publishing, struct run *run, struct snapshots *snapshots,
                     const struct outputs *outputs);

/*
 * What was handed over last, and what was counted. Writing: from the learning thread, or in a
 * forked child. Reading: after the snapshots were read.
 */
void publishing_archive(struct esp_archive *archive, struct publishing *publishing);

/* Opens the place, takes up again what was left, and starts the thread; does nothing where there
 * are no snapshots. Errors: as esp_publisher_new(), ESP_EIO, ESP_ENOMEM. */
enum esp_status publishing_start(struct publishing *publishing, struct esp_error *err);

/* A snapshots' taker: hands a file over. From the learning thread. */
enum esp_status publishing_take(void *publishing, size_t model, int64_t number, const char *path,
                                struct esp_error *err);

/* No more files come: as publishing_end() waits, but calls something many times a second meanwhile.
 * From the main thread. */
void publishing_wait(struct publishing *publishing, void (*meanwhile)(void *context),
                     void *context);

/* No more files come: waits until what was handed over is published, or given up because the run
 * was told to stop; then a run with checkpoints leaves it to the next. { 0 } is fine. */
void publishing_end(struct publishing *publishing);

#endif
