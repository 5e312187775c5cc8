/*
 * espalier.h - the public interface of libespalier: feature keys, and scoring with snapshots.
 *
 * ABI: a function or struct is never changed or removed within a major version. Structs whose first
 * member is `size` may grow: the caller sets it to sizeof, and the library writes no further.
 * All others stay as they are. docs/scoring.md has a tour; docs/examples/score.c is a whole
 * program.
 */
#ifndef ESPALIER_ESPALIER_H
#define ESPALIER_ESPALIER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ESPALIER_API __attribute__((visibility("default")))

/* "MAJOR.MINOR.PATCH" of the library that is loaded. Static. */
ESPALIER_API const char *espalier_version(void);

/* ---- feature keys ----------------------------------------------------------------------------
 *
 * A model's embedding rows are found by 64-bit keys of (feature name, value), so a program that
 * wants to look into a model, or to prepare its input, computes the same keys. They are defined in
 * docs/features.md, and never change. No key is 0. Every function is pure, for any thread.
 */

/*
 * The key of a categorical value. name is the feature's: the path of its field, NUL-terminated.
 *
 * text   strings (UTF-8), and the symbols of enums; size bytes, which may be none
 * bytes  Avro's bytes and fixed
 * int    int and long, whatever their logical type
 * real   float (converted to double) and double
 */
ESPALIER_API uint64_t espalier_feature_key_text(const char *name, const void *text, size_t size);
ESPALIER_API uint64_t espalier_feature_key_bytes(const char *name, const void *bytes, size_t size);
ESPALIER_API uint64_t espalier_feature_key_int(const char *name, int64_t value);
ESPALIER_API uint64_t espalier_feature_key_real(const char *name, double value);
ESPALIER_API uint64_t espalier_feature_key_bool(const char *name, int value);

/* The key where the value is null or absent, or a numeric feature's is no finite number. */
ESPALIER_API uint64_t espalier_feature_key_missing(const char *name);

/* The key of a numeric feature's bucket, counted from 0. */
ESPALIER_API uint64_t espalier_feature_key_bucket(const char *name, uint64_t bucket);

/* The key of a standardised numeric feature; its row is multiplied by the standardised number. */
ESPALIER_API uint64_t espalier_feature_key_value(const char *name);

/* The key of a cross, named "A x B" after its features, from the keys of their values. */
ESPALIER_API uint64_t espalier_feature_key_cross(const char *name, uint64_t key_a, uint64_t key_b);

/* The key of the feature's default row, read where a key has no row of its own. */
ESPALIER_API uint64_t espalier_feature_key_default(const char *name);

/* ---- errors ---------------------------------------------------------------------------------- */

enum espalier_status {
    ESPALIER_OK = 0,
    ESPALIER_INVALID = 1,   /* an argument that cannot be: mend the call */
    ESPALIER_IO = 2,        /* a file cannot be opened */
    ESPALIER_DATA = 3,      /* a file that is no sound snapshot */
    ESPALIER_NO_MEMORY = 4, /* for lack of memory; the same call may succeed later */
    ESPALIER_INTERNAL = 5   /* a bug in the library */
};

/* The caller's; whatever was in it is overwritten when a call fails, and left alone when none does.
 * Every function that takes one takes NULL too. */
struct espalier_error {
    int code;       /* enum espalier_status, as the call returns it */
    char text[512]; /* one line: what, where; NUL-terminated */
};

/* ---- snapshots ------------------------------------------------------------------------------- */

/* A model at one moment: a file, mapped and read in place. Immutable: any number of threads may use
 * one at a time, each with a scorer of its own. */
struct espalier_snapshot;

enum { ESPALIER_VERIFY = 1 }; /* flag: read all of the file and compare its checksum */

/*
 * Opens a snapshot. Its header, manifest and indexes are always checked, so that no file, whatever
 * stands in it, makes the library read outside of it. The file may be unlinked or replaced by
 * rename meanwhile, never written to or truncated.
 *
 * flags  0 or ESPALIER_VERIFY
 * out    set on success: to be closed
 * Errors: ESPALIER_IO, ESPALIER_DATA, ESPALIER_NO_MEMORY, ESPALIER_INVALID.
 */
ESPALIER_API int espalier_snapshot_open(const char *path, unsigned flags,
                                        struct espalier_snapshot **out,
                                        struct espalier_error *error);

/* Its scorers must be freed before. NULL is fine. */
ESPALIER_API void espalier_snapshot_close(struct espalier_snapshot *snapshot);

/* What is predicted: P(click), P(install | click), P(install). */
enum espalier_task {
    ESPALIER_CLICK,
    ESPALIER_INSTALL_GIVEN_CLICK,
    ESPALIER_INSTALL,
    ESPALIER_N_TASKS
};

/* Texts live as long as the snapshot. */
struct espalier_description {
    size_t size;                    /* set by the caller: sizeof(struct espalier_description) */
    const char *model, *run;        /* its name; 16 hex digits: a hash of all that it learns by */
    const char *setup;              /* "ipsp", ...: docs/model.md */
    int64_t number;                 /* boundary / every */
    int64_t boundary_us, every_us;  /* event time: it has learned what was due before boundary */
    int has_task[ESPALIER_N_TASKS]; /* 1: it has such a prediction; 0: that is NaN in scores */
    size_t n_fields;                /* values that make a row */
    const char *const *fields;      /* (n_fields) the field of each: "geo.country", a path */
    size_t n_features;
    uint64_t bytes;       /* of the file */
    const char *manifest; /* all of it, JSON: docs/snapshots.md */
};

/* Fills *out as far as out->size goes. Errors: ESPALIER_INVALID (out->size is 0). */
ESPALIER_API int espalier_snapshot_describe(const struct espalier_snapshot *snapshot,
                                            struct espalier_description *out,
                                            struct espalier_error *error);

enum espalier_feature_kind {
    ESPALIER_CATEGORICAL,  /* one key a value; of an array one an item */
    ESPALIER_STANDARDISED, /* a number: one key, the standardised number its coefficient */
    ESPALIER_BUCKETS,      /* a number: the key of its bucket */
    ESPALIER_CROSS         /* one key for each pair of keys of two others */
};

struct espalier_feature {
    size_t size;             /* set by the caller: sizeof(struct espalier_feature) */
    const char *name;        /* as keys are made with it; lives as long as the snapshot */
    int kind;                /* enum espalier_feature_kind */
    size_t field;            /* index of the field that it reads; not of a cross */
    size_t cross_a, cross_b; /* of a cross: indexes of its features */
};

/* Fills *out as far as out->size goes. Errors: ESPALIER_INVALID (no such feature; size is 0). */
ESPALIER_API int espalier_snapshot_feature(const struct espalier_snapshot *snapshot, size_t feature,
                                           struct espalier_feature *out,
                                           struct espalier_error *error);

/* ---- scores ---------------------------------------------------------------------------------- */

/* What a value is. Types matter: the int 1, the text "1" and true are three values (see the keys
 * above), so give each field the type that it had when the model learned. */
enum espalier_value_type {
    ESPALIER_MISSING, /* null, or no such field */
    ESPALIER_BOOL,    /* i: 0 or 1 */
    ESPALIER_INT,     /* i: int, long */
    ESPALIER_REAL,    /* f: float (converted), double */
    ESPALIER_TEXT,    /* bytes: string in UTF-8, symbol of an enum */
    ESPALIER_BYTES,   /* bytes: bytes, fixed */
    ESPALIER_ARRAY    /* items: of scalars; an array among them counts as missing */
};

struct espalier_bytes {
    const uint8_t *data; /* may be NULL if size is 0 */
    size_t size;
};

struct espalier_value {
    uint8_t type;     /* enum espalier_value_type */
    uint32_t n_items; /* of an array; else not read */
    union {
        int64_t i;
        double f;
        struct espalier_bytes bytes;
        const struct espalier_value *items; /* (n_items) */
    } u;
};

/* Probabilities; NaN where the set-up has no such task. */
struct espalier_score {
    double p_click, p_install_given_click, p_install;
};

/* The workspace of one thread for one snapshot. */
struct espalier_scorer;

/*
 * snapshot  borrowed until the scorer is freed
 * Errors: ESPALIER_NO_MEMORY.
 */
ESPALIER_API int espalier_scorer_new(const struct espalier_snapshot *snapshot,
                                     struct espalier_scorer **out, struct espalier_error *error);

/* NULL is fine. */
ESPALIER_API void espalier_scorer_free(struct espalier_scorer *scorer);

/*
 * Scores rows. A row's scores do not depend on the rows that share its call, and are those of the
 * model that was trained, to the bit (on CPUs that use the same kernels). Calls of 100 rows and
 * more are the fastest; any number works.
 *
 * values  (n_rows, n_fields of the snapshot), row by row, in the order of its fields; borrowed for
 *         the call
 * scores  (n_rows)
 * From one thread at a time. On failure scores are undefined. Errors: ESPALIER_INVALID (a value of
 * no known type: the line names row and field), ESPALIER_NO_MEMORY.
 */
ESPALIER_API int espalier_scorer_score(struct espalier_scorer *scorer,
                                       const struct espalier_value *values, size_t n_rows,
                                       struct espalier_score *scores, struct espalier_error *error);

/*
 * The same from keys that the caller has prepared: pairs of row i, feature f are those from
 * begin[i * n_features + f] up to begin[i * n_features + f + 1].
 *
 * begin         (n_rows * n_features + 1), from 0 on, never falling
 * keys          (the last of begin), none of them 0
 * coefficients  as many; 1 but for standardised numbers
 * Errors: ESPALIER_INVALID (begin falls; too many pairs), ESPALIER_NO_MEMORY.
 */
ESPALIER_API int espalier_scorer_score_keys(struct espalier_scorer *scorer, const uint32_t *begin,
                                            const uint64_t *keys, const float *coefficients,
                                            size_t n_rows, struct espalier_score *scores,
                                            struct espalier_error *error);

#ifdef __cplusplus
}
#endif

#endif
