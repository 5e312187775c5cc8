/* sim_records.c - see sim_records.h. */
#include "sim_records.h"

#include "core/hash.h"
#include "event/encode.h"

const char *const sim_topic_names[SIM_N_TOPICS] = {
    [ESP_IMPRESSION] = "impressions",
    [ESP_CLICK] = "clicks",
    [ESP_INSTALL] = "installs",
    [SIM_TRUTH] = "truth",
};

#define STRING(name) "{\"name\":\"" name "\",\"type\":\"string\"}"
#define LONG(name)   "{\"name\":\"" name "\",\"type\":\"long\"}"
#define DOUBLE(name) "{\"name\":\"" name "\",\"type\":\"double\"}"
#define MAYBE(name, type) \
    "{\"name\":\"" name "\",\"type\":[\"null\",\"" type "\"],\"default\":null}"
#define TIME(name) \
    "{\"name\":\"" name "\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}"
#define ENUM(field, name, symbols)                                         \
    "{\"name\":\"" field "\",\"type\":{\"type\":\"enum\",\"name\":\"" name \
    "\",\"symbols\":[" symbols "],\"default\":\"OTHER\"}}"
#define NESTED(field, name, fields)                                          \
    "{\"name\":\"" field "\",\"type\":{\"type\":\"record\",\"name\":\"" name \
    "\",\"fields\":[" fields "]}}"
#define RECORD(name, fields) \
    "{\"type\":\"record\",\"name\":\"" name "\",\"namespace\":\"espalier\",\"fields\":[" fields "]}"

/* clang-format off */
const char *const sim_schemas[SIM_N_TOPICS] = {
    [ESP_IMPRESSION] = RECORD("Impression",
        STRING("impression_id") "," TIME("event_time") "," STRING("user_id") ","
        LONG("advertiser_id") "," LONG("campaign_id") "," LONG("creative_id") ","
        NESTED("app", "App", STRING("bundle") "," STRING("category")) ","
        NESTED("geo", "Geo", STRING("country") "," MAYBE("region", "string")) ","
        NESTED("device", "Device",
            ENUM("os", "Os", "\"OTHER\",\"ANDROID\",\"IOS\"") ","
            STRING("os_version") "," STRING("make") "," STRING("model")) ","
        STRING("exchange") "," STRING("placement") ","
        ENUM("ad_format", "AdFormat",
            "\"OTHER\",\"BANNER\",\"INTERSTITIAL\",\"NATIVE\",\"VIDEO\",\"REWARDED\"") ","
        "{\"name\":\"hour\",\"type\":\"int\"}," MAYBE("bid_floor", "double") ","
        "{\"name\":\"segments\",\"type\":{\"type\":\"array\",\"items\":\"int\"},\"default\":[]}"),
    [ESP_CLICK] = RECORD("Click",
        STRING("impression_id") "," MAYBE("click_id", "string") "," TIME("event_time")),
    [ESP_INSTALL] = RECORD("Install",
        MAYBE("impression_id", "string") "," MAYBE("click_id", "string") "," TIME("event_time")),
    [SIM_TRUTH] = RECORD("Truth",
        STRING("impression_id") "," TIME("event_time") "," DOUBLE("p_click") ","
        DOUBLE("p_install_given_click")),
};
/* clang-format on */

void sim_id_text(uint64_t id, char text[SIM_ID_DIGITS])
{
    for (size_t i = SIM_ID_DIGITS; i > 0; i--) {
        text[i - 1] = "0123456789abcdef"[id & 15];
        id >>= 4;
    }
}

/* What a record is put together with: nothing more is put once a step has failed. */
struct put {
    struct esp_buf *buf;
    enum esp_status status;
    struct esp_error *err;
};

static void put_text(struct put *put, const char *text, size_t size)
{
    if (put->status == ESP_OK)
        put->status = esp_put_bytes(put->buf, esp_bytes(text, size), put->err);
}

static void put_long(struct put *put, int64_t value)
{
    if (put->status == ESP_OK)
        put->status = esp_put_long(put->buf, value, put->err);
}

/* An id, or nothing where it was lost. */
static void put_id(struct put *put, uint64_t id, bool lost)
{
    char text[SIM_ID_DIGITS];
    sim_id_text(id, text);
    put_text(put, text, lost ? 0 : sizeof text);
}

/* Click ids are the impression's with a dash and the number of the click. */
static void put_click_id(struct put *put, uint64_t id, uint8_t click, bool lost)
{
    char text[SIM_ID_DIGITS + 2];
    sim_id_text(id, text);
    text[SIM_ID_DIGITS] = '-';
    text[SIM_ID_DIGITS + 1] = (char)('0' + click);
    put_text(put, text, lost ? 0 : sizeof text);
}

static void put_value(struct put *put, const struct sim_journey *journey, enum sim_field field)
{
    char text[SIM_VALUE_TEXT_SIZE];
    put_text(put, text, sim_value_text(field, journey->values[field], text));
}

static void put_value_id(struct put *put, const struct sim_journey *journey, enum sim_field field)
{
    put_long(put, sim_value_id(field, journey->values[field]));
}

/* A floor that belongs to the placement; every fifth has none. */
static void put_bid_floor(struct put *put, uint32_t placement)
{
    uint64_t bits = esp_mix64(placement);
    put_long(put, bits % 5 != 0);
    if (bits % 5 != 0 && put->status == ESP_OK)
        put->status = esp_put_double(put->buf, (double)(bits % 199 + 1) * 0.05, put->err);
}

static void put_impression(struct put *put, const struct sim_journey *journey,
                           const struct sim_event *event)
{
    enum { OS_ANDROID = 1, OS_IOS = 2 };
    put_id(put, journey->id, event->damage == SIM_MALFORMED);
    put_long(put, event->time_us / ESP_MS);
    put_value(put, journey, SIM_USER);
    put_value_id(put, journey, SIM_ADVERTISER);
    put_value_id(put, journey, SIM_CAMPAIGN);
    put_value_id(put, journey, SIM_CREATIVE);
    put_value(put, journey, SIM_BUNDLE);
    put_value(put, journey, SIM_CATEGORY);
    put_value(put, journey, SIM_COUNTRY);
    put_long(put, 1); /* the union's string */
    put_value(put, journey, SIM_REGION);
    put_long(put, sim_is_ios(journey->values[SIM_OS_VERSION]) ? OS_IOS : OS_ANDROID);
    put_value(put, journey, SIM_OS_VERSION);
    put_value(put, journey, SIM_MAKE);
    put_value(put, journey, SIM_MODEL);
    put_value(put, journey, SIM_EXCHANGE);
    put_value(put, journey, SIM_PLACEMENT);
    put_long(put, journey->values[SIM_FORMAT]);
    put_long(put, journey->values[SIM_HOUR]);
    put_bid_floor(put, journey->values[SIM_PLACEMENT]);
    put_long(put, 1); /* a block of one segment */
    put_value_id(put, journey, SIM_SEGMENT);
    put_long(put, 0); /* the array's end */
}

static void put_click(struct put *put, const struct sim_journey *journey,
                      const struct sim_event *event)
{
    bool lost = event->damage == SIM_MALFORMED;
    put_id(put, journey->id, lost);
    put_long(put, 1); /* the union's string */
    put_click_id(put, journey->id, event->click, lost);
    put_long(put, event->time_us / ESP_MS);
}

static void put_install(struct put *put, const struct sim_journey *journey,
                        const struct sim_event *event)
{
    bool lost = event->damage == SIM_MALFORMED;
    put_long(put, 1); /* the unions' strings */
    put_id(put, journey->id, lost);
    put_long(put, 1);
    put_click_id(put, journey->id, event->click, lost);
    put_long(put, event->time_us / ESP_MS);
}

enum esp_status sim_put_event(struct esp_buf *buf, const struct sim_journey *journey,
                              const struct sim_event *event, struct esp_error *err)
{
    struct put put = {buf, ESP_OK, err};
    if (event->kind == ESP_IMPRESSION)
        put_impression(&put, journey, event);
    else if (event->kind == ESP_CLICK)
        put_click(&put, journey, event);
    else
        put_install(&put, journey, event);
    return put.status;
}

enum esp_status sim_put_truth(struct esp_buf *buf, const struct sim_journey *journey,
                              struct esp_error *err)
{
    struct put put = {buf, ESP_OK, err};
    put_id(&put, journey->id, false);
    put_long(&put, journey->events[0].time_us / ESP_MS);
    if (put.status == ESP_OK)
        put.status = esp_put_double(buf, journey->p_click, err);
    if (put.status == ESP_OK)
        put.status = esp_put_double(buf, journey->p_install, err);
    return put.status;
}
