/* stop.h - SIGINT and SIGTERM set a flag; a second one kills. */
#ifndef ESP_CMD_STOP_H
#define ESP_CMD_STOP_H

#include <stdbool.h>

/* Installs the handlers. Before any thread is started. */
void stop_install(void);

/* A signal has come. From any thread. */
bool stop_asked(void);

#endif
