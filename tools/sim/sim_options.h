/* sim_options.h - what the command line of espalier-sim says, checked and complete. */
#ifndef ESP_SIM_OPTIONS_H
#define ESP_SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "destination.h"
#include "truth.h"

struct sim_options {
    struct sim_truth_config truth;
    uint64_t n_impressions; /* 0: without end */
    uint64_t first;         /* number of the first one */
    double per_hour;        /* impressions an hour of event time, mean over a day */
    int64_t start_us;
    int64_t span_us; /* from the first impression to the last; ESP_TIME_END without end */

    int64_t new_ads_us; /* after the start; ESP_TIME_END: never */
    double new_ads_share;

    double duplicates, unmatched, wrong_clocks, malformed, late; /* shares in [0, 1) */
    int64_t disorder_us; /* delivery is at most this long after the event */
    int64_t wild_us;     /* wild events come this long after the start; ESP_TIME_END: never */

    int64_t click_window_us, install_window_us, grace_us; /* of the join that the truth is for */
    int64_t window_us;                                    /* of the truth's report */

    bool live;             /* event time is the wall clock's */
    double realtime;       /* seconds of event time a second of wall clock; 0: at once */
    int64_t stop_after_us; /* after the start: what is due later is not delivered; ESP_TIME_END */

    struct destination destination;
    const char *prefix; /* of topic names */
    bool no_truth_topic;
    const char *linear_path;  /* a linear model's losses; NULL: none learns */
    const char *truth_path;   /* NULL: no report file */
    char *default_truth_path; /* owned; where truth_path may point */
};

/*
 * Parses `espalier-sim [OPTION...]`. Prints usage and leaves the program for --help and for
 * what argp itself refuses (exit 64).
 * Errors: ESP_ECONFIG (names the option and the mend).
 */
enum esp_status sim_options_parse(int argc, char **argv, struct sim_options *out,
                                  struct esp_error *err);
void sim_options_release(struct sim_options *options);

#endif
