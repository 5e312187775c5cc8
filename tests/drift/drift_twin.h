/* drift_twin.h - what drift/ must emit for a stream, by the definitions of docs/design.md, section
 * 7, from the whole stream at once. */
#ifndef ESP_TESTS_DRIFT_TWIN_H
#define ESP_TESTS_DRIFT_TWIN_H

#include "drift_helper.h"

/* A measure without its figures, but for the values of the two losses' differences. */
struct twin_measure {
    struct esp_drift_measure measure;
    double scale; /* of the losses, for tolerances */
};

/* The measures in the order of their emission: GArray of struct twin_measure. */
GArray *drift_twin(const struct test_stream *stream);

#endif
