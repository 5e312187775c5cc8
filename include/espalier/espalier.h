/*
 * espalier.h - the public interface of libespalier.
 *
 * Feature keys: a model's embedding rows are found by 64-bit keys of (feature name, value), so a
 * program that wants to look into a model, or to prepare its input, computes the same keys. They
 * are defined in docs/features.md, and never change. No key is 0.
 *
 * Every function is pure, and may be called from any thread.
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

#ifdef __cplusplus
}
#endif

#endif
