/* html_test.c - what is shown of a run cannot become markup. */
#include "serve/html.h"

#include "testkit.h"

static void test_escapes(void)
{
    struct esp_buf buf;
    esp_buf_init(&buf, 1000);
    g_assert_cmpint(esp_html_text(&buf, "<b>\"Q&A\"</b> it's", NULL), ==, ESP_OK);
    g_assert_cmpint(esp_html_text(&buf, "", NULL), ==, ESP_OK);
    g_assert_cmpint(esp_html_text(&buf, " plain", NULL), ==, ESP_OK);
    char *got = g_strndup((const char *)buf.data, buf.size);
    g_assert_cmpstr(got, ==, "&lt;b&gt;&quot;Q&amp;A&quot;&lt;/b&gt; it&#39;s plain");
    g_free(got);
    esp_buf_release(&buf);
}

static void test_index(void)
{
    static const struct esp_page pages[] = {
        {.path = "/"},
        {.path = "/metrics", .title = "metrics"},
        {.path = "/drift", .title = "drift & age"},
    };
    static const struct esp_index_row rows[] = {{"model", "<script>"}};
    struct esp_buf buf;
    esp_buf_init(&buf, 10000);
    g_assert_cmpint(esp_html_index(&buf, "espalier", rows, 1, pages, 3, NULL), ==, ESP_OK);
    char *got = g_strndup((const char *)buf.data, buf.size);
    g_assert_nonnull(strstr(got, "<title>espalier</title>"));
    g_assert_nonnull(strstr(got, "<th scope=\"row\">model</th><td>&lt;script&gt;</td>"));
    g_assert_nonnull(strstr(got, "<ul>\n<li><a href=\"/metrics\">metrics</a></li>\n"
                                 "<li><a href=\"/drift\">drift &amp; age</a></li>\n</ul>"));
    g_assert_null(strstr(got, "<script>"));
    g_free(got);
    esp_buf_release(&buf);
    esp_buf_init(&buf, 100);
    g_assert_cmpint(esp_html_index(&buf, "espalier", rows, 1, pages, 3, NULL), ==, ESP_ELIMIT);
    esp_buf_release(&buf);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/html/special characters are escaped", test_escapes);
    g_test_add_func("/html/the index shows its rows and links the pages that have a title",
                    test_index);
    return g_test_run();
}
