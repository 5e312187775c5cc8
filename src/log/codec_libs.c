/* codec_libs.c - see codec_libs.h. The libraries stay loaded until the program ends. */
#include "log/codec_libs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

/* One function to find: its name and where its address goes. */
struct symbol {
    const char *name;
    void *slot; /* of a function pointer */
};

static bool load(const char *file, const struct symbol *symbols, size_t n)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (address == NULL)
            return false;
        memcpy(symbols[i].slot, &address, sizeof address); /* POSIX: a void * holds a function */
    }
    return true;
}

static struct esp_zlib zlib;
static struct esp_snappy snappy;
static bool has_zlib, has_snappy;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load_both(void)
{
    const struct symbol of_zlib[] = {
        {"inflateInit2_", &zlib.inflateInit2_},
        {"inflateReset", &zlib.inflateReset},
        {"inflate", &zlib.inflate},
        {"inflateEnd", &zlib.inflateEnd},
        {"deflateInit2_", &zlib.deflateInit2_},
        {"deflateReset", &zlib.deflateReset},
        {"deflateBound", &zlib.deflateBound},
        {"deflate", &zlib.deflate},
        {"deflateEnd", &zlib.deflateEnd},
        {"crc32", &zlib.crc32},
    };
    const struct symbol of_snappy[] = {
        {"snappy_compress", &snappy.compress},
        {"snappy_uncompress", &snappy.uncompress},
        {"snappy_max_compressed_length", &snappy.max_compressed_length},
        {"snappy_uncompressed_length", &snappy.uncompressed_length},
    };
    has_zlib = load("libz.so.1", of_zlib, sizeof of_zlib / sizeof *of_zlib);
    has_snappy = load("libsnappy.so.1", of_snappy, sizeof of_snappy / sizeof *of_snappy);
}

const struct esp_zlib *esp_codec_zlib(void)
{
    pthread_once(&once, load_both);
    return has_zlib ? &zlib : NULL;
}

const struct esp_snappy *esp_codec_snappy(void)
{
    pthread_once(&once, load_both);
    return has_snappy ? &snappy : NULL;
}
