/* config_test.c - a configuration is refused with one line a problem, or becomes what stages take.
 */
#include "cmd/config/config.h"

#include <sys/stat.h>

#include <string.h>
#include <unistd.h>

#include "core/timespan.h"
#include "testkit.h"

#define FEATURES "[features]\ncategorical = advertiser_id, app.bundle\n"
#define BASE     "[files]\nroot = data\n" FEATURES

struct lines {
    GString *text;
};

static void note_line(void *context, const char *line)
{
    struct lines *lines = context;
    g_string_append_printf(lines->text, "%s\n", line);
}

/* Loads text as the file t.ini; the lines that were reported go to *out_lines. */
static enum esp_status load(struct config *config, const char *text, const char *const *overrides,
                            size_t n_overrides, GString *out_lines)
{
    char *folder = test_folder_new();
    char *before = g_get_current_dir();
    g_assert_cmpint(chdir(folder), ==, 0);
    g_assert_true(g_file_set_contents("t.ini", text, -1, NULL));
    struct lines lines = {out_lines};
    struct esp_error err = {0};
    enum esp_status status = config_load(config, "t.ini", (char *const *)overrides, n_overrides,
                                         note_line, &lines, &err);
    g_assert_cmpint(chdir(before), ==, 0);
    g_free(before);
    test_folder_remove(folder);
    return status;
}

struct bad_row {
    const char *name, *text, *line;
};

static const struct bad_row bad_rows[] = {
    {"an unknown key names the nearest", BASE "[join]\nclick_windw = 1h\n",
     "t.ini:6: [join] click_windw: unknown key; did you mean click_window?"},
    {"an unknown section names the nearest", BASE "[jion]\nclick_window = 1h\n", "t.ini:"},
    {"a span without unit", BASE "[join]\nclick_window = 90\n",
     "t.ini:6: [join] click_window = 90"},
    {"a share out of range", BASE "[sample]\nnegatives = 2\n", "t.ini:6: [sample] negatives = 2"},
    {"an unknown set-up", BASE "[model]\nsetup = esmn\n", "t.ini:6: [model] setup = esmn"},
    {"no input at all", "[features]\ncategorical = a\n",
     "t.ini: [kafka]: no input; give [kafka] bootstrap.servers, or [files] root"},
    {"both inputs", BASE "[kafka]\nbootstrap.servers = b:9092\n",
     "t.ini: [files]: both [files] and [kafka] are given; keep one"},
    {"Kafka without brokers", "[kafka]\nclient.id = x\n[features]\ncategorical = a\n",
     "t.ini: [kafka] bootstrap.servers: is missing; write host:port of a broker"},
    {"a Kafka topic without a schema",
     "[kafka]\nbootstrap.servers = b:9092\n[features]\ncategorical = a\n[clicks]\nschema = c.avsc\n"
     "[installs]\nenabled = off\n",
     "t.ini: [impressions] schema: topic impressions has no schema; put it at "
     "schemas/impressions.avsc, name its file, or map ids in [schemas]"},
    {"no features", "[files]\nroot = data\n",
     "t.ini: [features] categorical: no features; list the fields of an impression to "
     "learn from"},
    {"a feature twice", BASE "buckets = app.bundle\n",
     "t.ini:5: [features] buckets = app.bundle: app.bundle is a feature already; name it once"},
    {"a cross that is no pair", BASE "cross = advertiser_id\n",
     "t.ini:5: [features] cross = advertiser_id: \"advertiser_id\" is no pair; write `one x "
     "other`"},
    {"a cross of an unknown feature", BASE "cross = advertiser_id x geo\n",
     "t.ini:5: [features] cross = advertiser_id x geo: \"geo\" is no feature; list it as one "
     "first"},
    {"a layer that is no number", BASE "[model]\nlayers = 128, many\n",
     "t.ini:6: [model] layers = 128, many: \"many\" is no width; write numbers from 1 to 4096"},
    {"too many layers", BASE "[model]\nlayers = 1,1,1,1,1\n",
     "t.ini:6: [model] layers = 1,1,1,1,1: 5 layers; at most 4"},
    {"one topic for two kinds", BASE "[clicks]\ntopic = impressions\n",
     "t.ini:6: [clicks] topic = impressions: is [impressions] topic too; each use needs a topic of "
     "its "
     "own"},
    {"an output into an input", BASE "[output]\nlate_topic = clicks\n",
     "t.ini:6: [output] late_topic = clicks: is [clicks] topic too; each use needs a topic of its "
     "own"},
    {"two models of one name", BASE "[model]\nwidth = 8\n[model main]\nwidth = 4\n",
     "t.ini: [model main]: another model is named main; give each its own name"},
    {"a slice that is no multiple of 8", BASE "[model]\nslice = 20\n",
     "t.ini:6: [model] slice = 20: is no multiple of 8; write 64, 128 or 256"},
    {"esp without installs", BASE "[installs]\nenabled = off\n[model]\nsetup = esp\n",
     "t.ini:6: [installs] enabled = off: model main (esp) learns installs alone, and there are "
     "none; "
     "choose setup = ctr"},
    {"a schema id that is no number", BASE "[schemas]\nv1 = a.avsc\n",
     "t.ini:6: [schemas] v1 = a.avsc: not a schema id; write the number under which records name "
     "this schema"},
    {"windows of drift that snapshots do not meet", BASE "[snapshot]\nevery = 25m\n",
     "t.ini: [drift] window: is no multiple of snapshot.every; write 25m, or so many times as "
     "much"},
    {"ages without 0", BASE "[drift]\nages = 1, 2\n",
     "t.ini:6: [drift] ages = 1, 2: the first must be 0, which others are compared to"},
    {"ages that do not ascend", BASE "[drift]\nages = 0, 2, 2\n",
     "t.ini:6: [drift] ages = 0, 2, 2: 2 does not ascend"},
    {"an age that is no number", BASE "[drift]\nages = 0, 1h\n",
     "t.ini:6: [drift] ages = 0, 1h: \"1h\" is no age; write numbers of windows from 0 to 100000"},
    {"an age below 0", BASE "[drift]\nages = 0, -1\n",
     "t.ini:6: [drift] ages = 0, -1: \"-1\" is no age; write numbers of windows from 0 to 100000"},
    {"17 ages", BASE "[drift]\nages = 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n",
     "t.ini:6: [drift] ages = 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16: 17 ages; at most 16"},
    {"the drift topic into an input", BASE "[drift]\ntopic = clicks\n",
     "t.ini:6: [drift] topic = clicks: is [clicks] topic too; each use needs a topic of its own"},
    {"idle lag over the skew", BASE "[join]\nskew = 1m\nidle_lag = 2m\n",
     "t.ini:7: [join] idle_lag = 2m: must be less than join.skew"},
    {"a registry's setting without a registry", BASE "[schema]\nregistry_user = ann\n",
     "t.ini:6: [schema] registry_user = ann: is given without a registry; write its address in "
     "registry"},
    {"an address of a registry that is none", BASE "[schema]\nregistry = ann:pw@host\n",
     "t.ini:6: [schema] registry = ***@host: "},
    {"a registry's password without a user",
     BASE "[schema]\nregistry = http://r\nregistry_password = pw\n",
     "t.ini:7: [schema] registry_password = ***: a password without a user; give registry_user"},
    {"a registry's password twice",
     BASE "[schema]\nregistry = http://ann:pw@r\nregistry_password = pw\n",
     "t.ini:7: [schema] registry_password = ***: the address has a password too; keep one"},
    {"a registry's user twice", BASE "[schema]\nregistry = http://ann@r\nregistry_user = bob\n",
     "t.ini:7: [schema] registry_user = bob: the address names a user too; keep one of the two"},
    {"a registry's password in a file that is missing",
     BASE "[schema]\nregistry = http://ann@r\nregistry_password_file = no-such-file\n",
     "t.ini:7: [schema] registry_password_file = no-such-file: it cannot be read: "},
    {"a registry's password in a file that is none",
     BASE "[schema]\nregistry = http://ann@r\nregistry_password_file = /dev/null\n",
     "t.ini:7: [schema] registry_password_file = /dev/null: it is no regular file; name one that "
     "is"},
    {"a registry's CA file that is missing",
     BASE "[schema]\nregistry = https://r\nregistry_ca_file = no-such-file\n",
     "t.ini:7: [schema] registry_ca_file = no-such-file: cannot be read: "},
    {"a secret that is given twice",
     "[kafka]\nbootstrap.servers = b:9\nsasl.password = pw\nsasl.password_file = f\n" FEATURES,
     "t.ini:4: [kafka] sasl.password_file = f: sasl.password is given too; keep one of the two"},
    {"a secret's file that is not named",
     "[kafka]\nbootstrap.servers = b:9\nsasl.password_file =\n" FEATURES,
     "t.ini:3: [kafka] sasl.password_file = : no file; name one that holds the value"},
    {"a secret's file that is a folder",
     "[kafka]\nbootstrap.servers = b:9\nssl.key.password_file = /\n" FEATURES,
     "t.ini:3: [kafka] ssl.key.password_file = /: it is no regular file; name one that is"},
    {"a user in a broker's address",
     "[kafka]\nbootstrap.servers = SASL_SSL://ann:pw@b:9\n" FEATURES,
     "t.ini:2: [kafka] bootstrap.servers = ***@b:9: a broker's address has no user; write "
     "host:port"},
    {"a password without an equals sign", BASE "[schema]\nregistry_password hunter2\n",
     "t.ini:6: registry_password: neither [section] nor key = value"},
};

static void test_bad(gconstpointer data)
{
    const struct bad_row *row = data;
    struct config config;
    GString *lines = g_string_new(NULL);
    g_assert_cmpint(load(&config, row->text, NULL, 0, lines), ==, ESP_ECONFIG);
    g_assert_cmpstr(lines->str, !=, "");
    if (strncmp(lines->str, row->line, strlen(row->line)) != 0)
        g_assert_cmpstr(lines->str, ==, row->line);
    g_assert_cmpint((int)(strchr(lines->str, '\n') - lines->str), ==, (int)lines->len - 1);
    g_string_free(lines, TRUE);
    config_release(&config);
}

static void test_several_problems_at_once(void)
{
    struct config config;
    GString *lines = g_string_new(NULL);
    load(&config, BASE "[join]\nskew = x\nclick_window = y\n[modle]\na = 1\n", NULL, 0, lines);
    size_t n = 0;
    for (const char *c = lines->str; *c != '\0'; c++)
        n += *c == '\n';
    g_assert_cmpuint(n, ==, 3);
    g_string_free(lines, TRUE);
    config_release(&config);
}

static void test_defaults(void)
{
    struct config config;
    GString *lines = g_string_new(NULL);
    enum esp_status status = load(&config, BASE, NULL, 0, lines);
    g_assert_cmpstr(lines->str, ==, "");
    g_assert_cmpint(status, ==, ESP_OK);
    if (g_test_failed())
        return;
    g_assert_cmpstr(config.options.inputs[ESP_CLICK].topic, ==, "clicks");
    g_assert_cmpstr(config.options.inputs[ESP_INSTALL].id, ==, "impression_id");
    g_assert_cmpstr(config.options.dead_letter_topic, ==, "espalier.dead-letter");
    g_assert_cmpint(config.options.install_window_us, ==, 7 * ESP_DAY);
    g_assert_cmpuint(config.n_models, ==, 1);
    g_assert_cmpstr(config.models[0].name, ==, "main");
    g_assert_cmpint(config.models[0].setup, ==, ESP_SETUP_IPSP);
    g_assert_cmpuint(config.models[0].layers[1], ==, 64);
    g_assert_cmpuint(config.n_features, ==, 2);
    g_assert_true(config.has_installs);
    g_string_free(lines, TRUE);
    config_release(&config);
}

static void test_overrides_and_models(void)
{
    static const char *const overrides[] = {"model fast.setup=ip", "join.click_window=24h",
                                            "files.root=else"};
    struct config config;
    GString *lines = g_string_new(NULL);
    enum esp_status status = load(
        &config,
        BASE "cross = advertiser_id x app.bundle\n[model fast]\nwidth = 8\n[model b]\nbatch = 64\n",
        overrides, 3, lines);
    g_assert_cmpstr(lines->str, ==, "");
    g_assert_cmpint(status, ==, ESP_OK);
    if (g_test_failed())
        return;
    g_assert_cmpint(config.options.click_window_us, ==, 24 * ESP_HOUR);
    g_assert_cmpstr(config.options.files_root, ==, "else");
    g_assert_cmpuint(config.n_models, ==, 2);
    g_assert_cmpstr(config.models[0].name, ==, "fast");
    g_assert_cmpint(config.models[0].setup, ==, ESP_SETUP_IP);
    g_assert_cmpuint(config.models[0].width, ==, 8);
    g_assert_cmpuint(config.models[1].batch, ==, 64);
    g_assert_cmpint(config.features[2].kind, ==, ESP_FEATURE_CROSS);
    g_assert_cmpuint(config.features[2].cross_b, ==, 1);
    g_string_free(lines, TRUE);
    config_release(&config);
}

/* Windows and snapshots need to meet only where drift is measured. */
static void test_drift_that_is_off(void)
{
    static const char *const texts[] = {
        BASE "[snapshot]\nevery = 25m\n[drift]\nenabled = off\n",
        BASE "[snapshot]\nevery = 25m\n[sample]\nholdout = 0\n",
        BASE "[snapshot]\nevery = 0\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct config config;
        GString *lines = g_string_new(NULL);
        g_assert_cmpint(load(&config, texts[i], NULL, 0, lines), ==, ESP_OK);
        g_assert_cmpstr(lines->str, ==, "");
        g_assert_false(config.has_drift);
        g_string_free(lines, TRUE);
        config_release(&config);
    }
}

static void test_an_override_without_a_dot(void)
{
    static const char *const overrides[] = {"click_window=24h"};
    struct config config;
    GString *lines = g_string_new(NULL);
    g_assert_cmpint(load(&config, BASE, overrides, 1, lines), ==, ESP_ECONFIG);
    g_assert_cmpstr(lines->str, ==, "-o click_window: write section.key=value\n");
    g_string_free(lines, TRUE);
    config_release(&config);
}

static void test_registry(void)
{
    char *folder = test_folder_new(), *path = g_build_filename(folder, "password", NULL);
    g_assert_true(g_file_set_contents_full(path, "open @sesame \r\n", -1, G_FILE_SET_CONTENTS_NONE,
                                           0640, NULL));
    char *text = g_strdup_printf("%s[schema]\nregistry = https://r:1/x/\nregistry_user = ann\n"
                                 "registry_password_file = %s\n",
                                 BASE, path);
    struct config config;
    GString *lines = g_string_new(NULL);
    g_assert_cmpint(load(&config, text, NULL, 0, lines), ==, ESP_OK);
    g_assert_cmpstr(lines->str, ==, "");
    g_assert_cmpstr(config.registry.url.base, ==, "https://r:1/x");
    g_assert_cmpstr(config.registry.url.user, ==, "ann");
    g_assert_cmpstr(config.registry.url.password, ==, "open @sesame ");
    config_release(&config);
    g_string_free(lines, TRUE);
    /* One that everybody may read is said, and taken. */
    char *warning = g_strdup_printf("t.ini:8: [schema] registry_password_file = %s: warning: "
                                    "everybody on this machine may read it; chmod o-r\n",
                                    path);
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    lines = g_string_new(NULL);
    g_assert_cmpint(load(&config, text, NULL, 0, lines), ==, ESP_OK);
    g_assert_cmpstr(lines->str, ==, warning);
    config_release(&config);
    g_string_free(lines, TRUE);
    g_free(warning);
    g_free(text);
    g_free(path);
    test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(bad_rows); i++) {
        char *path = g_strdup_printf("/config/refused/%s", bad_rows[i].name);
        g_test_add_data_func(path, &bad_rows[i], test_bad);
        g_free(path);
    }
    g_test_add_func("/config/a registry, with its password in a file", test_registry);
    g_test_add_func("/config/several problems are all reported", test_several_problems_at_once);
    g_test_add_func("/config/defaults are those of the manual", test_defaults);
    g_test_add_func("/config/overrides win and models keep their order", test_overrides_and_models);
    g_test_add_func("/config/without drift, windows and snapshots need not meet",
                    test_drift_that_is_off);
    g_test_add_func("/config/an override needs a section", test_an_override_without_a_dot);
    return g_test_run();
}
