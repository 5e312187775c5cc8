/* ini_test.c - what a configuration's text becomes: entries with their lines, and reports. */
#include "core/ini.h"

#include <string.h>

#include "core/reports_helper.h"
#include "testkit.h"

struct row {
    const char *name, *text;
    const char *entries; /* "[section] key = <value> @line", a line each */
    const char *reports; /* "" : none */
};

static const struct row rows[] = {
    {"an empty file is no problem", "", "", ""},
    {"an entry of a section", "[join]\nwindow = 1h\n", "[join] window = <1h> @2\n", ""},
    {"the last line needs no line break", "[join]\nwindow = 1h", "[join] window = <1h> @2\n", ""},
    {"blanks around key, value and section go, inside a value they stay",
     "[  join \t]  \nwindow\t=\t1  h  \n", "[join] window = <1  h> @2\n", ""},
    {"blanks inside a section's name become one", "[model \t fast]\na = 1\n",
     "[model fast] a = <1> @2\n", ""},
    {"a value keeps #, ; and =", "[kafka]\npassword = a;b#c=d # e\n",
     "[kafka] password = <a;b#c=d # e> @2\n", ""},
    {"a comment stands on a line of its own, also indented", "# one\n[s]\n  # two\na = 1\n",
     "[s] a = <1> @4\n", ""},
    {"a value may be empty", "[s]\na =\n", "[s] a = <> @2\n", ""},
    {"indented lines continue a value, joined by one blank", "[s]\na = x,\n    y,  \n\tz\nb = 1\n",
     "[s] a = <x, y, z> @2\n[s] b = <1> @5\n", ""},
    {"a value may begin on the next line", "[s]\na =\n  x\n  y\n", "[s] a = <x y> @2\n", ""},
    {"a comment between the lines of a value is skipped", "[s]\na = x,\n  # not y\n  z\n",
     "[s] a = <x, z> @2\n", ""},
    {"an unindented comment does not end a value either", "[s]\na = x,\n# not y\n  z\n",
     "[s] a = <x, z> @2\n", ""},
    {"an empty line ends a value", "[s]\na = x\n\n  y\n", "[s] a = <x> @2\n",
     "f:4: an indented line continues the value above it, and there is none; begin the line with "
     "its key\n"},
    {"CRLF is a line break", "[s]\r\na = x,\r\n  y\r\n\r\nb = 1\r\n",
     "[s] a = <x, y> @2\n[s] b = <1> @5\n", ""},
    {"a byte order mark is skipped", "\xef\xbb\xbf[s]\na = 1\n", "[s] a = <1> @2\n", ""},
    {"UTF-8 passes through", "[s]\nname = Zürich\n", "[s] name = <Zürich> @2\n", ""},
    {"a section may be reopened", "[s]\na = 1\n[t]\nb = 2\n[s]\nc = 3\n",
     "[s] a = <1> @2\n[t] b = <2> @4\n[s] c = <3> @6\n", ""},
    {"keys before a section are in none", "a = 1\n", "[] a = <1> @1\n", ""},
    {"the same key in two sections", "[s]\na = 1\n[t]\na = 2\n", "[s] a = <1> @2\n[t] a = <2> @4\n",
     ""},
    {"a key twice in a section is a problem that names both lines",
     "[s]\na = 1\n[t]\n[s]\na = 2\n  3\n", "[s] a = <1> @2\n",
     "f:5: [s] a: stands already at f:2; remove one of the two\n"},
    {"a line that is neither section nor entry", "[s]\nnonsense\n  more of it\na = 1\n",
     "[s] a = <1> @4\n",
     "f:2: nonsense: neither [section] nor key = value; a comment begins with #\n"},
    {"an entry without a key", "[s]\n= 1\n", "",
     "f:2: = 1: neither [section] nor key = value; a comment begins with #\n"},
    {"an indented first entry", "[s]\n  a = 1\n", "",
     "f:2: an indented line continues the value above it, and there is none; begin the line with "
     "its key\n"},
    {"a section that is not closed hides its keys, and only it is reported",
     "[s\na = 1\n  2\n[t]\nb = 2\n", "[t] b = <2> @5\n",
     "f:1: [s: a section's name ends in ]; write [join]\n"},
    {"a comment behind a section", "[s] # here\na = 1\n", "",
     "f:1:  # here after a section's name; put it, comments too, on a line of its own\n"},
    {"a section without a name", "[ ]\n", "", "f:1: [] is no name for a section; write [join]\n"},
    {"a bracket in a section's name", "[a[b]\n", "",
     "f:1: [a[b] is no name for a section; write [join]\n"},
    {"every problem is reported", "x\n[s\n[t]\ny\na = 1\n", "[t] a = <1> @5\n",
     "f:1: x: neither [section] nor key = value; a comment begins with #\n"
     "f:2: [s: a section's name ends in ]; write [join]\n"
     "f:4: y: neither [section] nor key = value; a comment begins with #\n"},
    {"a control character is refused", "[s]\na = 1\x1b[2J\nb = 2\n", "[s] b = <2> @3\n",
     "f:2: control character 0x1b in column 6; remove it\n"},
    {"a carriage return inside a line is refused", "[s]\na = 1\rb = 2\nc = 3\n", "[s] c = <3> @3\n",
     "f:2: control character 0x0d in column 6; remove it\n"},
    {"what continues a refused line is not taken for the value above",
     "[s]\na = x\nb = \x01\n  y\n", "[s] a = <x> @2\n",
     "f:3: control character 0x01 in column 5; remove it\n"},
};

static char *entries_text(const struct esp_ini *ini)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < ini->n_entries; i++) {
        const struct esp_ini_entry *entry = &ini->entries[i];
        g_string_append_printf(text, "[%s] %s = <%s> @%d\n", entry->section, entry->key,
                               entry->value, entry->line);
    }
    return g_string_free(text, FALSE);
}

/* Parses a copy without a byte to spare, so that the sanitizer sees a read past its end. */
static enum esp_status parse_exactly(struct esp_ini *ini, const char *text, size_t size,
                                     GString *reports, struct esp_error *err)
{
    char *copy = g_memdup2(text, size);
    enum esp_status status = esp_ini_parse(ini, "f", copy, size, gather_report, reports, err);
    g_free(copy);
    return status;
}

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    struct esp_ini ini;
    struct esp_error err = {0};
    GString *reports = g_string_new(NULL);
    esp_ini_init(&ini);
    enum esp_status status = parse_exactly(&ini, row->text, strlen(row->text), reports, &err);
    char *entries = entries_text(&ini);
    g_assert_cmpstr(entries, ==, row->entries);
    g_assert_cmpstr(reports->str, ==, row->reports);
    g_assert_cmpint(status, ==, reports->len == 0 ? ESP_OK : ESP_ECONFIG);
    g_assert_true(g_str_has_prefix(reports->str, err.text)); /* the first one wins */
    g_free(entries);
    g_string_free(reports, TRUE);
    esp_ini_release(&ini);
}

static void test_nul(void)
{
    static const char text[] = "[s]\na = x\0y\nb = 1\n";
    struct esp_ini ini;
    GString *reports = g_string_new(NULL);
    esp_ini_init(&ini);
    g_assert_cmpint(parse_exactly(&ini, text, sizeof text - 1, reports, NULL), ==, ESP_ECONFIG);
    g_assert_cmpstr(reports->str, ==, "f:2: control character 0x00 in column 6; remove it\n");
    g_assert_null(esp_ini_find(&ini, "s", "a"));
    g_assert_nonnull(esp_ini_find(&ini, "s", "b"));
    g_string_free(reports, TRUE);
    esp_ini_release(&ini);
}

static void test_sections(void)
{
    static const char text[] = "[installs]\n[join]\na = 1\n[installs]\n[model  b]\n";
    struct esp_ini ini;
    GString *reports = g_string_new(NULL);
    esp_ini_init(&ini);
    g_assert_cmpint(parse_exactly(&ini, text, sizeof text - 1, reports, NULL), ==, ESP_OK);
    g_assert_cmpuint(ini.n_sections, ==, 3);
    const struct esp_ini_section *section = esp_ini_find_section(&ini, "installs");
    g_assert_true(section != NULL && section->line == 1);
    section = esp_ini_find_section(&ini, "model b");
    g_assert_true(section != NULL && section->line == 5);
    g_assert_null(esp_ini_find_section(&ini, "clicks"));
    g_string_free(reports, TRUE);
    esp_ini_release(&ini);
}

static void test_set(void)
{
    struct esp_ini ini;
    GString *reports = g_string_new(NULL);
    esp_ini_init(&ini);
    parse_exactly(&ini, "[s]\na = 1\n", 10, reports, NULL);
    g_assert_cmpint(esp_ini_set(&ini, "s", "a", "2", "-o", 0, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_ini_set(&ini, "t", "b", "3", "-o", 0, NULL), ==, ESP_OK);
    char *entries = entries_text(&ini);
    g_assert_cmpstr(entries, ==, "[s] a = <2> @0\n[t] b = <3> @0\n");
    g_assert_nonnull(esp_ini_find_section(&ini, "t"));
    g_assert_cmpstr(esp_ini_find(&ini, "s", "a")->file, ==, "-o");
    g_free(entries);
    g_string_free(reports, TRUE);
    esp_ini_release(&ini);
}

static void test_limits(void)
{
    struct esp_ini ini;
    GString *reports = g_string_new(NULL), *text = g_string_new("[s]\n");
    esp_ini_init(&ini);
    for (int i = 0; i <= ESP_INI_MAX_ENTRIES; i++)
        g_string_append_printf(text, "k%d = 1\n", i);
    g_assert_cmpint(parse_exactly(&ini, text->str, text->len, reports, NULL), ==, ESP_ECONFIG);
    g_assert_cmpuint(ini.n_entries, ==, ESP_INI_MAX_ENTRIES);
    g_assert_cmpstr(reports->str, ==,
                    "f:4098: more than 4096 keys or sections; split the configuration\n");
    esp_ini_release(&ini);

    g_string_assign(text, "# ");
    g_string_set_size(text, ESP_INI_MAX_BYTES + 1);
    memset(text->str + 2, 'x', ESP_INI_MAX_BYTES - 1);
    g_assert_cmpint(parse_exactly(&ini, text->str, ESP_INI_MAX_BYTES, reports, NULL), ==, ESP_OK);
    g_string_truncate(reports, 0);
    g_assert_cmpint(parse_exactly(&ini, text->str, text->len, reports, NULL), ==, ESP_ECONFIG);
    g_assert_cmpstr(reports->str, ==,
                    "f: larger than 1048576 bytes; this is hardly a configuration\n");
    esp_ini_release(&ini);
    g_string_free(text, TRUE);
    g_string_free(reports, TRUE);
}

static void test_long_line(void)
{
    struct esp_ini ini;
    char *value = g_strnfill(100000, 'v'), *text = g_strdup_printf("[s]\npassword = %s\n", value);
    GString *reports = g_string_new(NULL);
    esp_ini_init(&ini);
    g_assert_cmpint(parse_exactly(&ini, text, strlen(text), reports, NULL), ==, ESP_OK);
    g_assert_cmpstr(esp_ini_find(&ini, "s", "password")->value, ==, value);
    esp_ini_release(&ini);
    g_assert_cmpint(parse_exactly(&ini, value, 100000, reports, NULL), ==, ESP_ECONFIG);
    g_assert_cmpuint(reports->len, <, 200); /* a report does not repeat it all */
    esp_ini_release(&ini);
    g_free(value);
    g_free(text);
    g_string_free(reports, TRUE);
}

static void test_read(void)
{
    char *folder = test_folder_new(), *path = g_build_filename(folder, "a.ini", NULL);
    struct esp_ini ini;
    struct esp_error err = {0};
    GString *reports = g_string_new(NULL);
    esp_ini_init(&ini);
    g_file_set_contents(path, "[s]\na = 1\n", -1, NULL);
    g_assert_cmpint(esp_ini_read(&ini, path, gather_report, reports, &err), ==, ESP_OK);
    const struct esp_ini_entry *entry = esp_ini_find(&ini, "s", "a");
    g_assert_true(entry != NULL && strcmp(entry->file, path) == 0 && entry->line == 2);

    char *missing = g_build_filename(folder, "none.ini", NULL);
    g_assert_cmpint(esp_ini_read(&ini, missing, gather_report, reports, &err), ==, ESP_ECONFIG);
    char *want = g_strdup_printf(
        "%s: cannot be read: No such file or directory; --config FILE names another\n", missing);
    g_assert_cmpstr(reports->str, ==, want);
    g_assert_cmpint(esp_ini_read(&ini, folder, gather_report, reports, &err), ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(reports->str, "Is a directory"));
    g_free(want);
    g_free(missing);
    g_free(path);
    g_string_free(reports, TRUE);
    esp_ini_release(&ini);
    test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/ini/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    g_test_add_func("/ini/a NUL is refused", test_nul);
    g_test_add_func("/ini/a section without keys is there", test_sections);
    g_test_add_func("/ini/a value can be set over the file's", test_set);
    g_test_add_func("/ini/sizes are limited", test_limits);
    g_test_add_func("/ini/a line may be long, a report is not", test_long_line);
    g_test_add_func("/ini/a file is read, or named when it cannot be", test_read);
    return g_test_run();
}
