/*
 * analyzer.h - for static analyzers, which read one file at a time: tells them that esp_fail()
 * gives back the status it is given, so that they do not follow a failure as if all were well.
 * They read what they read with -include of this.
 */
#ifndef ESP_TESTS_ANALYZER_H
#define ESP_TESTS_ANALYZER_H

#include "core/status.h"

#define esp_fail(err, status, ...) ((esp_fail)((err), (status), __VA_ARGS__), (status))

#endif
