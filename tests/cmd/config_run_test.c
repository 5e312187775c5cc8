/*
 * config_run_test.c - the run's identity: every option that changes what is learned changes it, and
 * no other does, however the file is written.
 */
#include <string.h>
#include <unistd.h>

#include "cmd/config/config.h"
#include "testkit.h"

#define BASE                 \
    "[files]\nroot = data\n" \
    "[features]\ncategorical = advertiser_id, app.bundle\n"

/* What is learned, or written to a snapshot. Whatever is not here must not change the identity. */
static const char *const learned[] = {"impressions.topic",
                                      "impressions.id",
                                      "impressions.time",
                                      "impressions.time_unit",
                                      "impressions.grace",
                                      "clicks.topic",
                                      "clicks.id",
                                      "clicks.time",
                                      "clicks.time_unit",
                                      "clicks.grace",
                                      "clicks.click_id",
                                      "installs.topic",
                                      "installs.id",
                                      "installs.time",
                                      "installs.time_unit",
                                      "installs.grace",
                                      "installs.enabled",
                                      "installs.refers_to",
                                      "join.click_window",
                                      "join.install_window",
                                      "time.min",
                                      "time.max",
                                      "time.future",
                                      "time.ahead",
                                      "input.max_record_bytes",
                                      "sample.holdout",
                                      "sample.holdout_key",
                                      "sample.holdout_seed",
                                      "sample.negatives",
                                      "sample.seed",
                                      "sample.weight_field",
                                      "sample.correction",
                                      "features.categorical",
                                      "features.numeric",
                                      "features.numeric_log",
                                      "features.buckets",
                                      "features.buckets_log",
                                      "features.n_buckets",
                                      "features.cross",
                                      "snapshot.every",
                                      "snapshot.rows",
                                      "snapshot.resume"};

static bool is_learned(const struct esp_setting *row)
{
    char name[128];
    if (strcmp(row->section, "model *") == 0)
        return true;
    snprintf(name, sizeof name, "%s.%s", row->section, row->key);
    for (size_t i = 0; i < G_N_ELEMENTS(learned); i++)
        if (strcmp(name, learned[i]) == 0)
            return true;
    return false;
}

static void append_line(void *context, const char *line)
{
    g_string_append_printf(context, "%s\n", line);
}

/* The identity of model `i` of a text; *out_lines gets what is wrong with the text. */
static enum esp_status run_of(const char *text, const char *override, size_t i,
                              char run[CONFIG_RUN_SIZE], GString *out_lines)
{
    char *folder = test_folder_new(), *path = g_build_filename(folder, "t.ini", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    struct config config;
    char *overrides[] = {(char *) override};
    enum esp_status status =
        config_load(&config, path, overrides, override != NULL, append_line, out_lines, NULL);
    if (status == ESP_OK)
        status = config_run(&config, i, run, NULL);
    config_release(&config);
    g_free(path);
    test_folder_remove(folder);
    return status;
}

static char *value_at(const struct esp_setting *row, double share)
{
    if (row->low == row->high)
        return g_strdup_printf("%d", 7 + (int)(10 * share));
    return g_strdup_printf("%.17g", row->low + share * (MIN(row->high, row->low + 1e6) - row->low));
}

/* Another value than the default, by the row's type. */
static char *other_value(const struct esp_setting *row)
{
    switch (row->type) {
    case ESP_SETTING_TEXT:
        return g_strdup("other");
    case ESP_SETTING_LIST:
        return g_strdup(strstr(row->key, "layers") != NULL ? "24, 12"
                        : strcmp(row->key, "ages") == 0    ? "0, 3"
                        : strcmp(row->key, "cross") == 0   ? "advertiser_id x app.bundle"
                                                           : "country");
    case ESP_SETTING_BOOL:
        return g_strdup(strcmp(row->fallback, "on") == 0 ? "off" : "on");
    case ESP_SETTING_INT:
        return strcmp(row->key, "slice") == 0 ? g_strdup("64")
               : row->high > row->low && row->high - row->low < 1e6
                   ? g_strdup_printf("%.0f", row->low + 1)
                   : g_strdup("77");
    case ESP_SETTING_REAL:
        return value_at(row, 0.3);
    case ESP_SETTING_SPAN:
        if (strcmp(row->section, "snapshot") == 0 || strcmp(row->section, "drift") == 0)
            return g_strdup(strcmp(row->key, "every") == 0 ? "30m" : "2h"); /* they must meet */
        return g_strdup_printf("%.0fus", row->high > row->low ? MIN(row->low + 1, row->high) : 7e9);
    case ESP_SETTING_TIME:
        return g_strdup("2030-01-01");
    case ESP_SETTING_SIZE:
        return g_strdup_printf("%.0f", MAX(row->low, 123456));
    case ESP_SETTING_CHOICE: {
        char **words = g_strsplit(row->choices, "|", -1);
        char *other = g_strdup(strcmp(words[0], row->fallback) == 0 ? words[1] : words[0]);
        g_strfreev(words);
        return other;
    }
    }
    return NULL;
}

static void an_option_changes_the_run_if_it_is_learned(gconstpointer data)
{
    const struct esp_setting *row = data;
    char base[CONFIG_RUN_SIZE] = "", changed[CONFIG_RUN_SIZE] = "";
    GString *lines = g_string_new(NULL);
    char *value = other_value(row);
    const char *section = strcmp(row->section, "model *") == 0 ? "model" : row->section;
    char *override = g_strdup_printf("%s.%s=%s", section, row->key, value);
    g_assert_cmpint(run_of(BASE, NULL, 0, base, lines), ==, ESP_OK);
    enum esp_status status = run_of(BASE, override, 0, changed, lines);
    g_assert_cmpuint(strlen(base), ==, 16);
    if (status != ESP_OK && !is_learned(row)) /* such a value needs more than a line */
        g_test_skip(lines->str);
    else if (status != ESP_OK)
        g_test_fail_printf("%s is refused: %s", override, lines->str);
    else if (is_learned(row) == (strcmp(base, changed) == 0))
        g_test_fail_printf("%s: run %s, before %s", override, changed, base);
    g_free(override);
    g_free(value);
    g_string_free(lines, TRUE);
}

/* Whether two texts name the same run for their models 0. */
static bool same_run(const char *left, const char *right)
{
    char a[CONFIG_RUN_SIZE] = "a", b[CONFIG_RUN_SIZE] = "b";
    GString *lines = g_string_new(NULL);
    g_assert_cmpint(run_of(left, NULL, 0, a, lines), ==, ESP_OK);
    g_assert_cmpint(run_of(right, NULL, 0, b, lines), ==, ESP_OK);
    g_assert_cmpstr(lines->str, ==, "");
    g_string_free(lines, TRUE);
    return strcmp(a, b) == 0;
}

static void how_a_file_is_written_does_not_matter(void)
{
    g_assert_true(same_run(BASE "[join]\nclick_window = 90m\ninstall_window = 2d\n"
                                "[sample]\nholdout = 0.05\nnegatives = 0.1\n",
                           "# another order, units, numbers\n"
                           "[sample]\nnegatives = 1e-1\nholdout = 0.050\n"
                           "[join]\ninstall_window = 48h\nclick_window = 1.5h\n" BASE));
    g_assert_true(same_run(BASE, BASE "[model]\nsetup = ipsp\nlayers = 128,64\nwidth = 16\n"
                                      "[sample]\nholdout = 0.01\n[snapshot]\nevery = 60m\n"));
    g_assert_true(same_run(BASE "[installs]\nenabled = off\n", BASE "[installs]\nenabled = no\n"));
}

static void the_order_of_features_does_matter(void)
{
    g_assert_false(same_run("[files]\nroot = d\n[features]\ncategorical = a, b\n",
                            "[files]\nroot = d\n[features]\ncategorical = b, a\n"));
    /* and so does where one list ends */
    g_assert_false(same_run("[files]\nroot = d\n[features]\ncategorical = a\nnumeric = b\n",
                            "[files]\nroot = d\n[features]\ncategorical = a, b\n"));
    g_assert_false(same_run("[files]\nroot = d\n[features]\nnumeric = a\n",
                            "[files]\nroot = d\n[features]\nnumeric_log = a\n"));
}

static void one_model_does_not_change_another(void)
{
    char alone[CONFIG_RUN_SIZE], first[CONFIG_RUN_SIZE], second[CONFIG_RUN_SIZE];
    GString *lines = g_string_new(NULL);
    const char *two = BASE "[model a]\nwidth = 8\n[model b]\nwidth = 4\n";
    g_assert_cmpint(run_of(BASE "[model a]\nwidth = 8\n", NULL, 0, alone, lines), ==, ESP_OK);
    g_assert_cmpint(run_of(two, NULL, 0, first, lines), ==, ESP_OK);
    g_assert_cmpint(run_of(two, NULL, 1, second, lines), ==, ESP_OK);
    g_assert_cmpstr(alone, ==, first);
    g_assert_cmpstr(first, !=, second);
    g_string_free(lines, TRUE);
}

/* Pinned: snapshots and drift records of one release go on under the same keys in the next. */
static void the_default_run_is_the_one_of_this_version(void)
{
    char run[CONFIG_RUN_SIZE];
    GString *lines = g_string_new(NULL);
    g_assert_cmpint(run_of(BASE, NULL, 0, run, lines), ==, ESP_OK);
    g_assert_cmpstr(run, ==, "63c9ccd2b4e5f48a");
    g_string_free(lines, TRUE);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < n_option_rows; i++) {
        const struct esp_setting *row = &option_table[i];
        char *path = g_strdup_printf("/run/[%s] %s %s", row->section, row->key,
                                     is_learned(row) ? "changes it" : "does not change it");
        g_test_add_data_func(path, row, an_option_changes_the_run_if_it_is_learned);
        g_free(path);
    }
    g_test_add_func("/run/how a file is written does not matter",
                    how_a_file_is_written_does_not_matter);
    g_test_add_func("/run/the order of features does matter", the_order_of_features_does_matter);
    g_test_add_func("/run/one model does not change another", one_model_does_not_change_another);
    g_test_add_func("/run/the default one is pinned", the_default_run_is_the_one_of_this_version);
    return g_test_run();
}
