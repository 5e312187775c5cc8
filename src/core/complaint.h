/*
 * complaint.h - says one problem of a configuration as one line, "FILE:LINE: what; mend", to the
 * caller's report and into its esp_error. Internal to core/.
 */
#ifndef ESP_CORE_COMPLAINT_H
#define ESP_CORE_COMPLAINT_H

#include <stdbool.h>

#include "core/ini.h"

/* Where the problems of one call go. */
struct esp_complaints {
    esp_ini_report *report; /* may be NULL */
    void *context;
    struct esp_error *err; /* may be NULL; gets the first */
    bool any;              /* something was reported */
};

/* line 0: left out. Control characters become '?'; a line over a kilobyte is cut. */
void esp_complain(struct esp_complaints *complaints, const char *file, int line, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

#endif
