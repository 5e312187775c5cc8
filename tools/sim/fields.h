/*
 * fields.h - the sixteen categorical fields of a simulated impression, as one table.
 *
 * X(id, values, values of the small preset). Value 0 is the most popular. They are fields of
 * schemas/impression.avsc; what else stands there (os, bid_floor) follows from one of them.
 */
#ifndef ESP_SIM_FIELDS_H
#define ESP_SIM_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_FIELD_MAP(X)                                                        \
    X(USER, 200000, 500)     /* user_id */                                      \
    X(ADVERTISER, 3000, 100) /* advertiser_id */                                \
    X(CAMPAIGN, 4000, 150)   /* campaign_id */                                  \
    X(CREATIVE, 20000, 200)  /* creative_id */                                  \
    X(BUNDLE, 50000, 250)    /* app.bundle */                                   \
    X(CATEGORY, 24, 12)      /* app.category */                                 \
    X(COUNTRY, 60, 20)       /* geo.country */                                  \
    X(REGION, 300, 40)       /* geo.region */                                   \
    X(OS_VERSION, 12, 8)     /* device.os_version */                            \
    X(MAKE, 60, 20)          /* device.make */                                  \
    X(MODEL, 3000, 100)      /* device.model */                                 \
    X(EXCHANGE, 12, 6)       /* exchange */                                     \
    X(PLACEMENT, 8000, 150)  /* placement */                                    \
    X(FORMAT, 6, 6)          /* ad_format */                                    \
    X(HOUR, 24, 24)          /* hour; not drawn but told by time and country */ \
    X(SEGMENT, 500, 50)      /* segments; one an impression */

enum sim_field {
#define SIM_FIELD_ENUM(id, n, n_small) SIM_##id,
    SIM_FIELD_MAP(SIM_FIELD_ENUM)
#undef SIM_FIELD_ENUM
        SIM_N_FIELDS
};

/* How many values a field has in the full preset, or in the small one. */
uint32_t sim_field_n_values(enum sim_field field, bool small);

enum { SIM_VALUE_TEXT_SIZE = 24 };

/* Writes the text of a value of a string field, not NUL-terminated; returns its length. */
size_t sim_value_text(enum sim_field field, uint32_t value, char text[SIM_VALUE_TEXT_SIZE]);

/* The id that stands for a value of advertiser_id, campaign_id, creative_id or segments. */
int64_t sim_value_id(enum sim_field field, uint32_t value);

/* Whether a value of device.os_version is one of iOS; the others are Android's. */
bool sim_is_ios(uint32_t os_version);

/* The hour of the user's day, from event time in UTC and the country. */
uint32_t sim_local_hour(int64_t time_us, uint32_t country);

#endif
