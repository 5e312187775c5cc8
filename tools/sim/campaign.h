/*
 * campaign.h - makes a campaign's journeys, in the order of their impressions.
 *
 * A journey depends on the options and its own number alone. Impressions follow a daily rhythm:
 * half as many again as the mean at 20:00 UTC, half of the mean at 08:00.
 */
#ifndef ESP_SIM_CAMPAIGN_H
#define ESP_SIM_CAMPAIGN_H

#include "journey.h"
#include "sim_options.h"
#include "truth.h"

struct sim_campaign {
    const struct sim_options *options; /* borrowed */
    struct sim_truth truth;
    double clicks_within, installs_within; /* shares of delays within the windows */
    uint64_t next;                         /* impressions before the next one */
    int64_t next_us;                       /* its time; ESP_TIME_END: there is none */
    /* The rhythm: event time as a function of impressions, by the minute. Hours of mean traffic. */
    double busy_start, busy_step, busy_low, busy_high;
    int64_t minute_us; /* where busy_low is; busy_high is a minute later */
};

/* An impression's journey, and a stray click's and a stray install's. */
enum { SIM_MAX_MADE = 3 };

/* options is borrowed. Errors: as sim_truth_init(). */
enum esp_status sim_campaign_init(struct sim_campaign *campaign, const struct sim_options *options,
                                  struct esp_error *err);
void sim_campaign_release(struct sim_campaign *campaign);

/* Mean traffic from midnight of 1970 to a time, in hours of the daily mean. */
double sim_busy_hours(int64_t time_us);

/* Makes the next impression's journey (journeys[0]) and strays beside it; returns how many. Only
 * while next_us is not ESP_TIME_END. */
size_t sim_campaign_make(struct sim_campaign *campaign, struct sim_journey journeys[SIM_MAX_MADE]);

/* A journey of one wild event: its time is ahead_us after now. */
struct sim_journey sim_wild_journey(const struct sim_options *options, uint64_t number,
                                    enum esp_event_kind kind, int32_t partition, int64_t now_us,
                                    int64_t ahead_us);

#endif
