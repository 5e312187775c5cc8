/* schema_arena.c - see schema_arena.h. */
#include "event/schema_arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 4096 };

struct esp_arena_block {
    struct esp_arena_block *next;
    size_t used, capacity; /* of data, in bytes */
    alignas(max_align_t) unsigned char data[];
};

static struct esp_arena_block *add_block(struct esp_arena *arena, size_t size)
{
    size_t capacity = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    if (capacity > SIZE_MAX - sizeof(struct esp_arena_block))
        return NULL;
    struct esp_arena_block *block = calloc(1, sizeof *block + capacity);
    if (block == NULL)
        return NULL;
    block->capacity = capacity;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *esp_arena_alloc(struct esp_arena *arena, size_t n_items, size_t item_size)
{
    size_t size;
    if (__builtin_mul_overflow(n_items, item_size, &size) || size > SIZE_MAX - BLOCK_BYTES)
        return NULL;
    size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct esp_arena_block *block = arena->blocks;
    if (block == NULL || size > block->capacity - block->used)
        block = add_block(arena, size);
    if (block == NULL)
        return NULL;
    void *out = block->data + block->used;
    block->used += size;
    return out;
}

char *esp_arena_text(struct esp_arena *arena, const char *text, size_t size)
{
    char *copy = size == SIZE_MAX ? NULL : esp_arena_alloc(arena, size + 1, 1);
    if (copy != NULL && size > 0)
        memcpy(copy, text, size);
    return copy;
}

void esp_arena_release(struct esp_arena *arena)
{
    struct esp_arena_block *block = arena->blocks;
    while (block != NULL) {
        struct esp_arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena->blocks = NULL;
}
