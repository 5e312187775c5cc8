/* fault_memory.c - calls for memory: see fault.c. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fault.h"

EXPORT void *malloc(size_t size)
{
    if (is_looking_up)
        return early_memory(size);
    REAL(void *, "malloc", size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(size) : NULL;
}

EXPORT void *calloc(size_t n, size_t size)
{
    if (is_looking_up)
        return early_memory(n * size);
    REAL(void *, "calloc", size_t, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(n, size) : NULL;
}

EXPORT void *realloc(void *memory, size_t size)
{
    REAL(void *, "realloc", void *, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(memory, size) : NULL;
}

EXPORT void *reallocarray(void *memory, size_t n, size_t size)
{
    REAL(void *, "reallocarray", void *, size_t, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(memory, n, size) : NULL;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    REAL(void *, "aligned_alloc", size_t, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(alignment, size) : NULL;
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    REAL(int, "posix_memalign", void **, size_t, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(out, alignment, size) : ENOMEM;
}

EXPORT void free(void *memory)
{
    if (is_early(memory) || is_looking_up) /* looking up frees, too: that little stays */
        return;
    REAL(void, "free", void *);
    real(memory);
}

EXPORT char *strdup(const char *text)
{
    REAL(char *, "strdup", const char *);
    return judge(ALLOC, CALLER) == GO_ON ? real(text) : NULL;
}

EXPORT char *strndup(const char *text, size_t size)
{
    REAL(char *, "strndup", const char *, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(text, size) : NULL;
}

EXPORT int vasprintf(char **out, const char *format, va_list arguments)
{
    REAL(int, "vasprintf", char **, const char *, va_list);
    if (judge(ALLOC, CALLER) == GO_ON)
        return real(out, format, arguments);
    *out = NULL;
    return -1;
}

EXPORT int asprintf(char **out, const char *format, ...)
{
    REAL(int, "vasprintf", char **, const char *, va_list);
    if (judge(ALLOC, CALLER) != GO_ON) {
        *out = NULL;
        return -1;
    }
    va_list arguments;
    va_start(arguments, format);
    int n = real(out, format, arguments);
    va_end(arguments);
    return n;
}

int __asprintf_chk(char **out, int flag, const char *format, ...);
EXPORT int __asprintf_chk(char **out, int flag, const char *format, ...)
{
    REAL(int, "__vasprintf_chk", char **, int, const char *, va_list);
    if (judge(ALLOC, CALLER) != GO_ON) {
        *out = NULL;
        return -1;
    }
    va_list arguments;
    va_start(arguments, format);
    int n = real(out, flag, format, arguments);
    va_end(arguments);
    return n;
}

EXPORT FILE *open_memstream(char **out, size_t *size)
{
    REAL(FILE *, "open_memstream", char **, size_t *);
    return judge(ALLOC, CALLER) == GO_ON ? real(out, size) : NULL;
}
