/* reports_helper.h - gathers what a configuration's readers report, a line each. */
#ifndef ESP_TESTS_CORE_REPORTS_HELPER_H
#define ESP_TESTS_CORE_REPORTS_HELPER_H

#include <glib.h>

/* An esp_ini_report(); context is a GString, which gets the line and a newline. */
void gather_report(void *context, const char *line);

#endif
