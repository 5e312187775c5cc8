/*
 * vectorised.h - marks loops that the compiler vectorises for several instruction sets, of which
 * the best is chosen when the program is loaded.
 *
 * Nothing is contracted or reordered, so all versions give the same bits. ThreadSanitizer starts
 * after the loader, which would run its instrumented choice too early.
 */
#ifndef ESP_CORE_VECTORISED_H
#define ESP_CORE_VECTORISED_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define ESP_VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ESP_VECTORISED
#endif

/* Inlined into a vectorised function, where a constant width makes straight code of a loop. */
#define ESP_INLINE static inline __attribute__((always_inline))

#endif
