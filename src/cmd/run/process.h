/* process.h - what the system says of this process: memory, files, processor time. */
#ifndef ESP_CMD_RUN_PROCESS_H
#define ESP_CMD_RUN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_figures {
    double cpu_seconds; /* user and system, of all threads */
    double up_seconds;  /* since it was started */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds;
    uint64_t max_fds; /* 0: no limit */
};

/* Reads /proc/self. False where it cannot be read: *out is all 0 then. */
bool process_read(struct process_figures *out);

#endif
