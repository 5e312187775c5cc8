/*
 * prefetch.h - asks for a cache line ahead of its use.
 *
 * The empty asm is not idle: GCC takes a function that does nothing but __builtin_prefetch() for
 * one without effect, and drops the calls of it.
 */
#ifndef ESP_JOIN_PREFETCH_H
#define ESP_JOIN_PREFETCH_H

/* Any address will do; one that is not mapped is ignored. */
static inline void esp_prefetch(const void *at)
{
    __builtin_prefetch(at);
    __asm__ volatile("" : : "r"(at));
}

#endif
