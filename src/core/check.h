/*
 * check.h - CHECK(), for numbered invariants. Unlike assert() it stays in release builds, because
 * it only stands in esp_*_check() functions, which tests and fuzzing call.
 */
#ifndef ESP_CORE_CHECK_H
#define ESP_CORE_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define ESP_CHECK(number, condition)                                                               \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: invariant (%d) is broken: %s\n", __FILE__, __LINE__, (number), \
                    #condition);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
