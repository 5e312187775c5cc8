/* file_page_test.c - a file as it is now, or why not. */
#include "serve/file_page.h"

#include <sys/stat.h>

#include "testkit.h"

static char *folder, *path;
static struct esp_buf out;

static enum esp_status render(size_t cap, unsigned *code, struct esp_error *err)
{
    esp_buf_release(&out);
    esp_buf_init(&out, cap);
    *code = 200;
    return esp_file_page(path, &out, code, err);
}

static void test_read_anew(void)
{
    unsigned code;
    for (size_t n = 0; n < 300000; n = n * 7 + 1) {
        char *text = g_strnfill(n, (gchar)('a' + n % 26));
        g_assert_true(g_file_set_contents(path, text, (gssize)n, NULL));
        g_assert_cmpint(render(1 << 20, &code, NULL), ==, ESP_OK);
        g_assert_cmpuint(code, ==, 200);
        g_assert_cmpmem(out.data, out.size, text, n);
        g_free(text);
    }
}

static void test_missing(void)
{
    unsigned code;
    remove(path);
    g_assert_cmpint(render(1000, &code, NULL), ==, ESP_OK);
    g_assert_cmpuint(code, ==, 404);
    g_assert_cmpmem(out.data, out.size, "this page has not been written yet\n", 35);
}

static void test_too_large(void)
{
    unsigned code;
    struct esp_error err = {0};
    char *text = g_strnfill(100000, 'x');
    g_assert_true(g_file_set_contents(path, text, 100000, NULL));
    g_assert_cmpint(render(99999, &code, &err), ==, ESP_ELIMIT);
    g_assert_cmpint(render(100001, &code, NULL), ==, ESP_OK);
    g_assert_cmpuint(out.size, ==, 100000);
    g_free(text);
}

static void test_no_file(void)
{
    unsigned code;
    struct esp_error err = {0};
    remove(path);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_assert_cmpint(render(1000, &code, &err), ==, ESP_EIO);
    g_assert_cmpstr(err.text, ==, "the page's file is no regular file");
    remove(path);
    g_assert_cmpint(mkdir(path, 0700), ==, 0);
    g_assert_cmpint(render(1000, &code, NULL), ==, ESP_EIO);
    remove(path);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    folder = test_folder_new();
    path = g_build_filename(folder, "page.html", NULL);
    g_test_add_func("/file_page/the file is read anew each time", test_read_anew);
    g_test_add_func("/file_page/a file that is not there yet is 404", test_missing);
    g_test_add_func("/file_page/a file over the cap is refused", test_too_large);
    g_test_add_func("/file_page/a pipe or folder is no page", test_no_file);
    int code = g_test_run();
    esp_buf_release(&out);
    g_free(path);
    test_folder_remove(folder);
    return code;
}
