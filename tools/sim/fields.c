/* fields.c - see fields.h. */
#include "fields.h"

#include "core/timespan.h"

/* A value's text is a prefix and its number with so many digits, or a word of a list. */
struct text_rule {
    const char *prefix;
    uint32_t n_digits;
    const char *const *words; /* NULL: prefix and digits */
};

static const struct {
    uint32_t full, small;
} n_values[SIM_N_FIELDS] = {
#define FIELD_ROW(id, n, n_small) [SIM_##id] = {n, n_small},
    SIM_FIELD_MAP(FIELD_ROW)
#undef FIELD_ROW
};

static const char *const countries[60] = {
    "US", "IN", "BR", "ID", "MX", "DE", "GB", "FR", "JP", "TR", "PH", "VN", "RU", "TH", "IT",
    "ES", "PL", "CA", "AR", "CO", "EG", "PK", "BD", "NG", "ZA", "KR", "AU", "MY", "SA", "UA",
    "NL", "RO", "PE", "CL", "MA", "DZ", "IQ", "KE", "GH", "SE", "BE", "PT", "CZ", "HU", "GR",
    "AT", "CH", "DK", "FI", "NO", "IE", "IL", "AE", "SG", "TW", "HK", "NZ", "EC", "BG", "RS"};

/* Hours ahead of UTC, in the order of the countries. */
static const int8_t offsets[60] = {-6, 5, -3, 7,  -6, 1, 0, 1, 9, 3, 8, 7,  3,  7, 1,
                                   1,  1, -5, -3, -5, 2, 5, 6, 1, 2, 9, 10, 8,  3, 2,
                                   1,  2, -5, -4, 1,  1, 3, 3, 0, 1, 1, 0,  1,  1, 2,
                                   1,  1, 1,  2,  1,  0, 2, 4, 8, 8, 8, 12, -5, 2, 1};

static const char *const os_versions[12] = {"13",   "12",   "16.6", "11",  "16.5", "10",
                                            "15.7", "14.8", "9",    "8.1", "17.0", "8.0"};

static const struct text_rule rules[SIM_N_FIELDS] = {
    [SIM_USER] = {.prefix = "u-", .n_digits = 7},
    [SIM_BUNDLE] = {.prefix = "com.apps.a", .n_digits = 5},
    [SIM_CATEGORY] = {.prefix = "IAB", .n_digits = 2},
    [SIM_COUNTRY] = {.words = countries},
    [SIM_REGION] = {.prefix = "R", .n_digits = 3},
    [SIM_OS_VERSION] = {.words = os_versions},
    [SIM_MAKE] = {.prefix = "maker-", .n_digits = 2},
    [SIM_MODEL] = {.prefix = "mod-", .n_digits = 4},
    [SIM_EXCHANGE] = {.prefix = "ssp-", .n_digits = 2},
    [SIM_PLACEMENT] = {.prefix = "pl-", .n_digits = 5},
};

uint32_t sim_field_n_values(enum sim_field field, bool small)
{
    return small ? n_values[field].small : n_values[field].full;
}

size_t sim_value_text(enum sim_field field, uint32_t value, char text[SIM_VALUE_TEXT_SIZE])
{
    const struct text_rule *rule = &rules[field];
    const char *head = rule->words != NULL ? rule->words[value] : rule->prefix;
    size_t n = 0;
    for (; head[n] != '\0'; n++)
        text[n] = head[n];
    for (uint32_t i = rule->n_digits; i > 0; i--) {
        text[n + i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return n + rule->n_digits;
}

int64_t sim_value_id(enum sim_field field, uint32_t value)
{
    switch (field) {
    case SIM_ADVERTISER:
        return 10000 + (int64_t)value;
    case SIM_CAMPAIGN:
        return 200000 + (int64_t)value;
    case SIM_CREATIVE:
        return 3000000 + (int64_t)value;
    default:
        return 1 + (int64_t)value;
    }
}

bool sim_is_ios(uint32_t os_version)
{
    /* iOS numbers its minor versions from 14 up; Android's names end at 13 here. */
    return os_versions[os_version][0] == '1' && os_versions[os_version][1] >= '4';
}

uint32_t sim_local_hour(int64_t time_us, uint32_t country)
{
    int64_t hour = time_us / ESP_HOUR + offsets[country] + 24;
    return (uint32_t)(hour % 24);
}
