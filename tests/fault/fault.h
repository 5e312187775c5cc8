/*
 * fault.h - what the parts of the fault library share: how a call asks whether it is to fail, and
 * finds the function that stands behind it. fault.c tells what it is for.
 */
#ifndef ESP_TESTS_FAULT_H
#define ESP_TESTS_FAULT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER ((uintptr_t)__builtin_return_address(0))

#define CLASSES(X) \
    X(ALLOC)       \
    X(OPEN)        \
    X(READ)        \
    X(WRITE)       \
    X(SYNC)        \
    X(RENAME)      \
    X(LINK)        \
    X(UNLINK)      \
    X(MKDIR)       \
    X(TRUNCATE)    \
    X(MAP)         \
    X(FORK)        \
    X(THREAD)
#define AS_ENUM(name) name,
enum call_class { CLASSES(AS_ENUM) N_CLASSES, ROOM = N_CLASSES, NO_CLASS };

/* What the call that asks is to do. */
enum verdict { GO_ON, FAILS, HALF };

/* Counts a call from `caller`; with FAILS errno is set, a call that is to die does not return. */
enum verdict judge(enum call_class class, uintptr_t caller);

/* How many of n bytes there is room for. */
size_t room_for(int fd, size_t n, uintptr_t caller);

/* The dying half of a torn write. */
void tear(int is_half);

int is_regular(int fd);

/* The C library's function of a name, or that of what was loaded in between. */
void *look_up(const char *name);

/* Memory for what is allocated while the real allocator is looked up; volatile, since the compiler
 * believes that dlsym() calls nothing here. */
extern __thread volatile int is_looking_up __attribute__((tls_model("initial-exec")));
void *early_memory(size_t size);
int is_early(const void *memory);

/* Declares a pointer `real` to the function that stands behind this one. */
#define REAL(type, name, ...)                  \
    static _Atomic(void *) symbol_;            \
    if (atomic_load(&symbol_) == NULL)         \
        atomic_store(&symbol_, look_up(name)); \
    void *loaded_ = atomic_load(&symbol_);     \
    type (*real)(__VA_ARGS__);                 \
    memcpy(&real, &loaded_, sizeof real)

#endif
