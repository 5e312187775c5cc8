/* status_test.c - the first failure wins and stays one line. */
#include "core/status.h"

#include <string.h>

#include "testkit.h"

static void test_first_wins(void)
{
    struct esp_error err = {0};
    g_assert_cmpint(esp_fail(&err, ESP_EIO, "first %d", 1), ==, ESP_EIO);
    g_assert_cmpint(esp_fail(&err, ESP_ENOMEM, "second"), ==, ESP_ENOMEM);
    g_assert_cmpint(err.status, ==, ESP_EIO);
    g_assert_cmpstr(err.text, ==, "first 1");
    g_assert_cmpint(esp_fail(NULL, ESP_EBUG, "nobody asks"), ==, ESP_EBUG);
}

static void test_one_line(void)
{
    struct esp_error err = {0};
    char *long_text = g_strnfill(2000, 'x');
    esp_fail(&err, ESP_EIO, "a\nb\x1b[2Jc\x7f");
    g_assert_cmpstr(err.text, ==, "a?b?[2Jc?");
    err = (struct esp_error){0};
    esp_fail(&err, ESP_EIO, "%s", long_text);
    g_assert_cmpuint(strlen(err.text), ==, ESP_ERROR_TEXT_SIZE - 1);
    g_free(long_text);
}

static void test_table(void)
{
    g_assert_cmpstr(esp_status_name(ESP_ECONFIG), ==, "ECONFIG");
    g_assert_cmpint(esp_status_exit_code(ESP_OK), ==, 0);
    g_assert_cmpint(esp_status_exit_code(ESP_ECONFIG), ==, 64);
    g_assert_cmpint(esp_status_exit_code(ESP_ENUMERIC), ==, 65);
    g_assert_cmpint(esp_status_action(ESP_EDECODE), ==, ESP_ACTION_SKIP);
    g_assert_cmpint(esp_status_action(ESP_EBROKER), ==, ESP_ACTION_RETRY);
    for (int status = 0; status < ESP_STATUS_COUNT; status++)
        g_assert_cmpuint(strlen(esp_status_text((enum esp_status)status)), >, 0);
    g_assert_cmpstr(esp_status_name((enum esp_status)999), ==, "EBUG");
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/status/the first failure wins", test_first_wins);
    g_test_add_func("/status/a text stays one line", test_one_line);
    g_test_add_func("/status/every status has its row", test_table);
    return g_test_run();
}
