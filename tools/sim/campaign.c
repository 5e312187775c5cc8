/* campaign.c - see campaign.h. */
#include "campaign.h"

#include <math.h>

#include "chance.h"
#include "delay.h"

#define RHYTHM_DEPTH 0.5
#define RHYTHM_PEAK  (20 * ESP_HOUR)
#define TWO_PI       6.283185307179586

/* Ids: 2^62 impressions, then as many stray clicks, stray installs, wild events. */
enum id_space { ID_IMPRESSION, ID_STRAY_CLICK, ID_STRAY_INSTALL, ID_WILD };

/* A bijection of the number, so that no two are the same. */
static uint64_t id_of(uint64_t seed, enum id_space space, uint64_t number)
{
    return esp_mix64(((uint64_t)space << 62 | number) + esp_mix64(seed));
}

double sim_busy_hours(int64_t time_us)
{
    double day = (double)ESP_DAY;
    double angle = TWO_PI * (double)((time_us - RHYTHM_PEAK) % ESP_DAY) / day;
    return ((double)time_us + RHYTHM_DEPTH * day / TWO_PI * sin(angle)) / (double)ESP_HOUR;
}

/* What the next impression's id and chances come from. */
static uint64_t number_of_next(const struct sim_campaign *campaign)
{
    return campaign->options->first + campaign->next;
}

/* The time of impression campaign->next: where the rhythm has seen as many. */
static void find_next_time(struct sim_campaign *campaign)
{
    const struct sim_options *options = campaign->options;
    if (options->n_impressions != 0 && campaign->next >= options->n_impressions) {
        campaign->next_us = ESP_TIME_END;
        return;
    }
    struct sim_chance chance =
        sim_chance(options->truth.seed, SIM_FOR_DELIVERY, number_of_next(campaign));
    double busy =
        campaign->busy_start + ((double)campaign->next + sim_unit(&chance)) * campaign->busy_step;
    while (busy >= campaign->busy_high) {
        campaign->minute_us += ESP_MINUTE;
        campaign->busy_low = campaign->busy_high;
        campaign->busy_high = sim_busy_hours(campaign->minute_us + ESP_MINUTE);
    }
    double share = (busy - campaign->busy_low) / (campaign->busy_high - campaign->busy_low);
    int64_t time_us = campaign->minute_us + (int64_t)(share * (double)ESP_MINUTE);
    campaign->next_us = time_us - time_us % ESP_MS;
}

enum esp_status sim_campaign_init(struct sim_campaign *campaign, const struct sim_options *options,
                                  struct esp_error *err)
{
    *campaign = (struct sim_campaign){.options = options};
    enum esp_status status = sim_truth_init(&campaign->truth, &options->truth, err);
    if (status != ESP_OK)
        return status;
    campaign->clicks_within = sim_delay_within(&sim_click_delay, options->click_window_us);
    campaign->installs_within = sim_delay_within(&sim_install_delay, options->install_window_us);
    campaign->minute_us = options->start_us;
    campaign->busy_start = campaign->busy_low = sim_busy_hours(options->start_us);
    campaign->busy_high = sim_busy_hours(options->start_us + ESP_MINUTE);
    campaign->busy_step = 1 / options->per_hour;
    find_next_time(campaign);
    return ESP_OK;
}

void sim_campaign_release(struct sim_campaign *campaign)
{
    sim_truth_release(&campaign->truth);
}

/*
 * Clocks are wrong neither at the very start nor in the last tenth: a wrong time that is the last
 * of its partition has nobody to contradict it when the input ends, and a join takes it.
 */
static bool clocks_may_be_wrong(const struct sim_options *options, int64_t time_us)
{
    int64_t since_us = time_us - options->start_us;
    return options->span_us == ESP_TIME_END ||
           (since_us > options->span_us / 50 && since_us < options->span_us / 10 * 9);
}

/* The share of events about a time that arrive neither late nor damaged. */
static double share_kept(const struct sim_options *options, int64_t time_us)
{
    double wrong_clocks = clocks_may_be_wrong(options, time_us) ? options->wrong_clocks : 0;
    return 1 - options->malformed - options->late - wrong_clocks;
}

/*
 * Adds an event to a journey, with its delay of delivery and what damages it, and with its
 * duplicate. A late one comes long after the grace, by a time of its own.
 */
static void add_event(const struct sim_options *options, struct sim_journey *journey,
                      struct sim_chance *chance, enum esp_event_kind kind, uint8_t click,
                      int64_t time_us)
{
    struct sim_event event = {
        .time_us = time_us, .partition = ESP_PARTITION_BY_KEY, .kind = kind, .click = click};
    double jitter = sim_unit(chance);
    double fate = sim_unit(chance);
    double repeated = sim_unit(chance);
    int64_t lateness_us = 0;
    double to_malformed = options->malformed;
    double to_wrong_clock = to_malformed + options->wrong_clocks;
    double to_late = to_wrong_clock + options->late;
    if (fate < to_malformed) {
        event.damage = SIM_MALFORMED;
    } else if (fate < to_wrong_clock) {
        if (clocks_may_be_wrong(options, time_us)) {
            /* Years ahead, and two that agree to 30 days are rare. */
            event.damage = SIM_WRONG_CLOCK;
            event.time_us += (365 + 60 * (int64_t)(sim_bits(chance) % 50)) * ESP_DAY;
        }
    } else if (fate < to_late) {
        lateness_us =
            2 * options->grace_us + ESP_HOUR + (int64_t)(sim_unit(chance) * (double)ESP_HOUR);
    }
    double disorder = (double)options->disorder_us;
    event.due_us = time_us + lateness_us + (int64_t)(jitter * disorder);
    journey->events[journey->n_events++] = event;
    if (repeated < options->duplicates) {
        event.due_us = time_us + lateness_us + (int64_t)(sim_unit(chance) * disorder);
        journey->events[journey->n_events++] = event;
    }
}

/* A click or an install that nothing precedes. */
static struct sim_journey make_stray(const struct sim_options *options, struct sim_chance *chance,
                                     enum esp_event_kind kind, uint64_t number, int64_t time_us)
{
    enum id_space space = kind == ESP_CLICK ? ID_STRAY_CLICK : ID_STRAY_INSTALL;
    struct sim_journey stray = {.id = id_of(options->truth.seed, space, number)};
    add_event(options, &stray, chance, kind, 0, time_us);
    stray.n_underway = stray.n_events;
    return stray;
}

static void draw_values(const struct sim_campaign *campaign, struct sim_journey *journey,
                        int64_t time_us)
{
    const struct sim_options *options = campaign->options;
    struct sim_chance chance =
        sim_chance(options->truth.seed, SIM_FOR_FIELDS, number_of_next(campaign));
    sim_truth_draw(&campaign->truth, &chance, time_us, journey->values);
    if (time_us - options->start_us >= options->new_ads_us &&
        sim_unit(&chance) < options->new_ads_share) {
        journey->new_ad = true;
        journey->values[SIM_CREATIVE] = sim_truth_n_values(&campaign->truth, SIM_CREATIVE) +
                                        (uint32_t)(sim_bits(&chance) % options->truth.n_new_ads);
    }
}

/* The click and the install, if they come, behind the impression. */
static void follow_up(const struct sim_campaign *campaign, struct sim_journey *journey,
                      const struct sim_probabilities *p, struct sim_chance *delivery,
                      int64_t time_us)
{
    const struct sim_options *options = campaign->options;
    struct sim_chance labels =
        sim_chance(options->truth.seed, SIM_FOR_LABELS, number_of_next(campaign));
    if (sim_unit(&labels) >= p->click)
        return;
    int64_t click_us = time_us + sim_delay_draw(&sim_click_delay, &labels);
    add_event(options, journey, delivery, ESP_CLICK, 0, click_us);
    if (sim_unit(delivery) < options->duplicates) {
        int64_t pause_us = ESP_SECOND + (int64_t)(sim_bits(delivery) % 20000) * ESP_MS;
        add_event(options, journey, delivery, ESP_CLICK, 1, click_us + pause_us);
    }
    if (sim_unit(&labels) < p->install)
        add_event(options, journey, delivery, ESP_INSTALL, 0,
                  click_us + sim_delay_draw(&sim_install_delay, &labels));
}

size_t sim_campaign_make(struct sim_campaign *campaign, struct sim_journey journeys[SIM_MAX_MADE])
{
    const struct sim_options *options = campaign->options;
    const uint64_t seed = options->truth.seed, number = number_of_next(campaign);
    int64_t time_us = campaign->next_us;
    sim_truth_drift(&campaign->truth, time_us - options->start_us);

    struct sim_journey *journey = &journeys[0];
    *journey = (struct sim_journey){.id = id_of(seed, ID_IMPRESSION, number)};
    draw_values(campaign, journey, time_us);
    struct sim_probabilities p = sim_truth_of(&campaign->truth, journey->values);
    double kept = share_kept(options, time_us);
    journey->p_click = p.click * campaign->clicks_within * kept;
    journey->p_install = p.install * campaign->installs_within * kept;

    struct sim_chance delivery = sim_chance(seed, SIM_FOR_DELIVERY, number);
    sim_unit(&delivery); /* the impression's time was drawn from it */
    add_event(options, journey, &delivery, ESP_IMPRESSION, 0, time_us);
    follow_up(campaign, journey, &p, &delivery, time_us);
    journey->n_underway = journey->n_events;

    size_t n_made = 1;
    if (options->unmatched > 0) {
        struct sim_chance chance = sim_chance(seed, SIM_FOR_STRAYS, number);
        double clicks = options->unmatched * options->truth.ctr;
        if (sim_unit(&chance) < clicks)
            journeys[n_made++] = make_stray(options, &chance, ESP_CLICK, number, time_us);
        if (sim_unit(&chance) < clicks * options->truth.cvr)
            journeys[n_made++] = make_stray(options, &chance, ESP_INSTALL, number, time_us);
    }
    campaign->next++;
    find_next_time(campaign);
    return n_made;
}

struct sim_journey sim_wild_journey(const struct sim_options *options, uint64_t number,
                                    enum esp_event_kind kind, int32_t partition, int64_t now_us,
                                    int64_t ahead_us)
{
    struct sim_journey wild = {
        .id = id_of(options->truth.seed, ID_WILD, number), .n_events = 1, .n_underway = 1};
    wild.events[0] = (struct sim_event){
        .time_us = now_us + ahead_us,
        .due_us = now_us,
        .partition = partition,
        .kind = kind,
        .damage = SIM_WRONG_CLOCK,
    };
    return wild;
}
