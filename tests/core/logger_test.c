/* logger_test.c - what reaches stderr, through a pipe put in its place. */
#include "core/logger.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "testkit.h"

/* stderr goes to a file between begin and end. */
struct capture {
    char *folder, *path;
    int saved;
};

static void capture_begin(struct capture *capture)
{
    capture->folder = test_folder_new();
    capture->path = g_build_filename(capture->folder, "stderr", NULL);
    int file = open(capture->path, O_CREAT | O_RDWR | O_APPEND, 0600);
    capture->saved = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    close(file);
}

static char *capture_end(struct capture *capture)
{
    char *text = NULL;
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
    g_file_get_contents(capture->path, &text, NULL, NULL);
    g_free(capture->path);
    test_folder_remove(capture->folder);
    return text;
}

struct row {
    const char *name, *message, *value, *line;
};

static const struct row rows[] = {
    {"plain words stand as they are", "ready", "main", "level=info msg=ready k=main\n"},
    {"blanks are quoted", "model is ready", "a b", "level=info msg=\"model is ready\" k=\"a b\"\n"},
    {"quotes are escaped", "x", "say \"hi\"", "level=info msg=x k=\"say \\\"hi\\\"\"\n"},
    {"backslashes are escaped", "x", "a\\b", "level=info msg=x k=\"a\\\\b\"\n"},
    {"an equals sign is quoted", "x", "a=b", "level=info msg=x k=\"a=b\"\n"},
    {"line breaks do not break the line", "a\nb", "c\r\td",
     "level=info msg=\"a\\nb\" k=\"c\\r\\td\"\n"},
    {"control characters do not reach the terminal", "x", "\x1b[2J\x7f",
     "level=info msg=x k=\"\\x1b[2J\\x7f\"\n"},
    {"an empty value is seen", "x", "", "level=info msg=x k=\"\"\n"},
    {"UTF-8 passes through", "x", "Zürich", "level=info msg=x k=Zürich\n"},
};

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    struct capture capture;
    capture_begin(&capture);
    esp_log(ESP_INFO, row->message, "k", row->value, NULL);
    char *text = capture_end(&capture);
    g_assert_cmpstr(text, ==, row->line);
    g_free(text);
}

static void test_levels(void)
{
    struct capture capture;
    capture_begin(&capture);
    esp_log(ESP_DEBUG, "one", NULL);
    esp_logger_set_level(ESP_DEBUG);
    esp_log(ESP_DEBUG, "two", NULL);
    esp_logger_set_level(ESP_WARN);
    esp_logf(ESP_INFO, "three");
    esp_logf(ESP_ERROR, "%d %s", 4, "fours");
    esp_logger_set_level(ESP_INFO);
    char *text = capture_end(&capture);
    g_assert_cmpstr(text, ==, "level=debug msg=two\nlevel=error msg=\"4 fours\"\n");
    g_free(text);
}

static void test_error(void)
{
    struct esp_error err = {0};
    esp_fail(&err, ESP_EIO, "a.avro: cannot be read");
    struct capture capture;
    capture_begin(&capture);
    esp_log_error(&err);
    char *text = capture_end(&capture);
    g_assert_cmpstr(text, ==, "level=error msg=\"a.avro: cannot be read\" status=EIO\n");
    g_free(text);
}

/* Values of every length around the line's size: the line is cut in time and stays one line. */
static void test_long(void)
{
    struct capture capture;
    for (size_t n = 4000; n < 4120 && !g_test_failed(); n++) {
        char *blanks = g_strnfill(n, ' '), *controls = g_strnfill(n / 4, '\x01');
        char *plain = g_strnfill(n, 'x');
        capture_begin(&capture);
        esp_log(ESP_INFO, "m", "a", blanks, "b", "", "c", "", "d", "", NULL);
        esp_log(ESP_INFO, "m", "a", controls, "b", "d e", NULL);
        esp_log(ESP_INFO, "m", "a", plain, "b", "d e", NULL);
        char *text = capture_end(&capture);
        char **lines = g_strsplit(text, "\n", -1);
        g_assert_cmpuint(g_strv_length(lines), ==, 4);
        for (int i = 0; i < 3 && lines[i] != NULL; i++) {
            g_assert_cmpuint(strlen(lines[i]), <, 4096);
            g_assert_true(g_str_has_suffix(lines[i], " ...") == (n > 4080) ||
                          (n > 4040 && n <= 4080));
        }
        g_strfreev(lines);
        g_free(text);
        g_free(blanks);
        g_free(controls);
        g_free(plain);
    }
}

static void write_mark(void *context)
{
    ssize_t written = write(STDERR_FILENO, context, strlen(context));
    g_assert_cmpint(written, >, 0);
}

static void write_end(void *context)
{
    (void)context;
    ssize_t written = write(STDERR_FILENO, ">\n", 2);
    g_assert_cmpint(written, ==, 2);
}

static void test_hooks(void)
{
    static char mark[] = "<";
    struct capture capture;
    capture_begin(&capture);
    esp_logger_set_hooks(write_mark, write_end, mark);
    esp_log(ESP_INFO, "x", NULL);
    esp_logger_set_hooks(NULL, NULL, NULL);
    esp_log(ESP_INFO, "y", NULL);
    char *text = capture_end(&capture);
    g_assert_cmpstr(text, ==, "<level=info msg=x\n>\nlevel=info msg=y\n");
    g_free(text);
}

enum { N_THREADS = 4, N_LINES = 500 };

static void *log_many(void *context)
{
    for (int i = 0; i < N_LINES; i++)
        esp_log(ESP_INFO, "many lines of several threads", "thread", context, NULL);
    return NULL;
}

static void test_threads(void)
{
    static char names[N_THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[N_THREADS];
    int counts[N_THREADS] = {0};
    struct capture capture;
    capture_begin(&capture);
    for (int i = 0; i < N_THREADS; i++)
        pthread_create(&threads[i], NULL, log_many, names[i]);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    char *text = capture_end(&capture);
    char **lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, N_THREADS * N_LINES + 1);
    for (int i = 0; i < N_THREADS; i++) {
        char *want =
            g_strdup_printf("level=info msg=\"many lines of several threads\" thread=%s", names[i]);
        for (char **line = lines; *line != NULL; line++)
            counts[i] += strcmp(*line, want) == 0;
        g_assert_cmpint(counts[i], ==, N_LINES);
        g_free(want);
    }
    g_strfreev(lines);
    g_free(text);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/logger/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    g_test_add_func("/logger/lines below the level are dropped", test_levels);
    g_test_add_func("/logger/an error is its text and its status", test_error);
    g_test_add_func("/logger/a long line is cut", test_long);
    g_test_add_func("/logger/hooks stand around each line", test_hooks);
    g_test_add_func("/logger/lines of several threads do not mix", test_threads);
    return g_test_run();
}
