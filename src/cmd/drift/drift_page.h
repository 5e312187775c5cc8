/*
 * drift_page.h - a drift report as one HTML page that needs nothing else: styles, scripts and data
 * are inside, and its policy forbids the browser to fetch anything.
 */
#ifndef ESP_CMD_DRIFT_DRIFT_PAGE_H
#define ESP_CMD_DRIFT_DRIFT_PAGE_H

#include "drift/pooled.h"

/* Parts of the page that CMake embeds: src/cmd/drift/page/, and Chart.js with its licence. */
extern const unsigned char drift_page_style[], drift_page_body[], drift_page_script[];
extern const unsigned char drift_page_chart[], drift_page_chart_licence[];
extern const size_t drift_page_style_size, drift_page_body_size, drift_page_script_size;
extern const size_t drift_page_chart_size, drift_page_chart_licence_size;

/*
 * Writes the page: beside it first, then in its place, so that a page that is there stays whole.
 * Errors: ESP_EIO, ESP_ENOMEM.
 */
enum esp_status drift_page_write(const char *path, const struct esp_drift_report *report,
                                 struct esp_error *err);

#endif
