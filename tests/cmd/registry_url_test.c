/* registry_url_test.c - addresses taken apart, and shown without their passwords. */
#include "cmd/config/registry_url.h"

#include "testkit.h"

struct good_row {
    const char *name, *text, *base, *user, *password;
};

static const struct good_row good_rows[] = {
    {"host and port", "http://r:8081", "http://r:8081", NULL, NULL},
    {"a slash at the end", "http://r:8081/", "http://r:8081", NULL, NULL},
    {"a path", "https://r/api/ccompat/v7//", "https://r/api/ccompat/v7", NULL, NULL},
    {"an address of IPv6", "http://[::1]:8081", "http://[::1]:8081", NULL, NULL},
    {"credentials", "http://ann:pw@r", "http://r", "ann", "pw"},
    {"escapes in credentials", "https://a%40b:p%3A%2Fw@r:1/x", "https://r:1/x", "a@b", "p:/w"},
    {"a user alone", "http://ann@r", "http://r", "ann", NULL},
};

static void test_good(gconstpointer data)
{
    const struct good_row *row = data;
    struct registry_url url = {0};
    struct esp_error err = {0};
    registry_url_parse(row->text, &url, &err);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpstr(url.base, ==, row->base);
    g_assert_cmpstr(url.user, ==, row->user);
    g_assert_cmpstr(url.password, ==, row->password);
    registry_url_release(&url);
}

static const char *const bad_texts[] = {
    "",
    "registry:8081",
    "ftp://pw:pw@r",
    "http://",
    "http://u:pw@r?pw",
    "http://u:pw@r/#pw",
    "http://r:port/pw",
    "u:pw@r",
};

static void test_bad(gconstpointer data)
{
    const char *text = data;
    struct registry_url url = {0};
    struct esp_error err = {0};
    g_assert_cmpint(registry_url_parse(text, &url, &err), ==, ESP_ECONFIG);
    g_assert_null(strstr(err.text, "pw")); /* secrets are not repeated */
    g_assert_nonnull(strstr(err.text, "write "));
    g_assert_null(url.base);
}

static const struct mask_row {
    const char *text, *shown;
} mask_rows[] = {
    {"http://r:8081", "http://r:8081"},
    {"http://u:pw@r", "http://***@r"},
    {"http://u:p@w@r/x", "http://***@r/x"},
    {"u:pw@r", "***@r"},
    {"u:p://w@r", "***@r"},
    {"HTTPS://u:pw@r", "HTTPS://***@r"},
};

static void test_mask(gconstpointer data)
{
    const struct mask_row *row = data;
    char shown[64], small[8];
    g_assert_cmpstr(registry_url_mask(row->text, shown, sizeof shown), ==, row->shown);
    g_assert_cmpuint(strlen(registry_url_mask(row->text, small, sizeof small)), <, sizeof small);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    char name[256];
    for (size_t i = 0; i < G_N_ELEMENTS(good_rows); i++) {
        g_snprintf(name, sizeof name, "/registry url/%s", good_rows[i].name);
        g_test_add_data_func(name, &good_rows[i], test_good);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad_texts); i++) {
        g_snprintf(name, sizeof name, "/registry url/refuses number %zu of the bad ones", i);
        g_test_add_data_func(name, bad_texts[i], test_bad);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(mask_rows); i++) {
        g_snprintf(name, sizeof name, "/registry url/mask %zu", i);
        g_test_add_data_func(name, &mask_rows[i], test_mask);
    }
    return g_test_run();
}
