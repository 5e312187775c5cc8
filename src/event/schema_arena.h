/*
 * schema_arena.h - memory of things that live and die together: the types of one schema, the parts
 * of one plan while it is built.
 */
#ifndef ESP_EVENT_SCHEMA_ARENA_H
#define ESP_EVENT_SCHEMA_ARENA_H

#include <stddef.h>

/* { 0 } is empty. */
struct esp_arena {
    struct esp_arena_block *blocks; /* owned; the newest first */
};

/* n_items * item_size zeroed bytes, aligned for any type. NULL: out of memory, or an overflow. */
void *esp_arena_alloc(struct esp_arena *arena, size_t n_items, size_t item_size);

/* A NUL-terminated copy of size bytes of text. NULL: out of memory. */
char *esp_arena_text(struct esp_arena *arena, const char *text, size_t size);

/* Frees everything; the arena is empty and may be used again. */
void esp_arena_release(struct esp_arena *arena);

#endif
