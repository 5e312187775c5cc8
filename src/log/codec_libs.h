/*
 * codec_libs.h - zlib and snappy, found at run time.
 *
 * Both are there wherever libavro is, which depends on them; but nothing else of Espalier needs
 * them, and a program that reads from Kafka alone runs without. So they are loaded when the first
 * container wants one, rather than linked into every program.
 */
#ifndef ESP_LOG_CODEC_LIBS_H
#define ESP_LOG_CODEC_LIBS_H

#include <stddef.h>
#include <zlib.h>

/* Functions under their own names; a library that is missing leaves all of its members NULL. */
struct esp_zlib {
    __typeof__(inflateInit2_) *inflateInit2_;
    __typeof__(inflateReset) *inflateReset;
    __typeof__(inflate) *inflate;
    __typeof__(inflateEnd) *inflateEnd;
    __typeof__(deflateInit2_) *deflateInit2_;
    __typeof__(deflateReset) *deflateReset;
    __typeof__(deflateBound) *deflateBound;
    __typeof__(deflate) *deflate;
    __typeof__(deflateEnd) *deflateEnd;
    __typeof__(crc32) *crc32;
};

/* As in <snappy-c.h>, whose interface has not changed since 2011. */
struct esp_snappy {
    int (*compress)(const char *plain, size_t n, char *packed, size_t *n_packed);
    int (*uncompress)(const char *packed, size_t n, char *plain, size_t *n_plain);
    size_t (*max_compressed_length)(size_t n);
    int (*uncompressed_length)(const char *packed, size_t n, size_t *n_plain);
};

enum { ESP_SNAPPY_OK = 0 };

/* NULL: the library, or one of the functions, is not there. Loaded once; from any thread. */
const struct esp_zlib *esp_codec_zlib(void);
const struct esp_snappy *esp_codec_snappy(void);

#endif
