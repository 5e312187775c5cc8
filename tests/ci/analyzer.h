/*
 * analyzer.h - for gcc -fanalyzer alone, which reads one file at a time: tells it that esp_fail()
 * gives back the status it is given, so that it does not follow a failure as if all were well.
 * Every file but those of core/ is read with -include of this.
 */
#ifndef ESP_TESTS_ANALYZER_H
#define ESP_TESTS_ANALYZER_H

#include "core/status.h"

#define esp_fail(err, status, ...) ((esp_fail)((err), (status), __VA_ARGS__), (status))

#endif
