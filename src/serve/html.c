/* html.c - see html.h. */
#include "serve/html.h"

enum esp_status esp_html_raw(struct esp_buf *out, const char *text, struct esp_error *err)
{
    return esp_buf_append(out, text, strlen(text), err);
}

static const char *escape_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    default:
        return "&#39;";
    }
}

enum esp_status esp_html_text(struct esp_buf *out, const char *text, struct esp_error *err)
{
    for (;;) {
        size_t n = strcspn(text, "&<>\"'");
        enum esp_status status = esp_buf_append(out, text, n, err);
        if (status == ESP_OK && text[n] != '\0')
            status = esp_html_raw(out, escape_of(text[n]), err);
        if (status != ESP_OK || text[n] == '\0')
            return status;
        text += n + 1;
    }
}

/* Markup and text in turn, from markup on; the first failure ends it. */
static enum esp_status put(struct esp_buf *out, const char *const *parts, size_t n_parts,
                           struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < n_parts; i++)
        status = i % 2 == 0 ? esp_html_raw(out, parts[i], err) : esp_html_text(out, parts[i], err);
    return status;
}

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<style>\n"
    ":root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }\n"
    "body { max-width: 48rem; margin: 2rem auto; padding: 0 1rem }\n"
    "th { text-align: left; vertical-align: top; font-weight: normal; padding-right: 2rem }\n"
    "td { font-variant-numeric: tabular-nums }\n"
    "</style>\n"
    "<title>";

enum esp_status esp_html_index(struct esp_buf *out, const char *heading,
                               const struct esp_index_row *rows, size_t n_rows,
                               const struct esp_page *pages, size_t n_pages, struct esp_error *err)
{
    const char *const top[] = {head, heading, "</title>\n</head>\n<body>\n<h1>", heading,
                               "</h1>\n<table>\n"};
    enum esp_status status = put(out, top, 5, err);
    for (size_t i = 0; status == ESP_OK && i < n_rows; i++) {
        const char *const row[] = {"<tr><th scope=\"row\">", rows[i].name, "</th><td>",
                                   rows[i].value, "</td></tr>\n"};
        status = put(out, row, 5, err);
    }
    if (status == ESP_OK)
        status = esp_html_raw(out, "</table>\n<ul>\n", err);
    for (size_t i = 0; status == ESP_OK && i < n_pages; i++) {
        if (pages[i].title == NULL)
            continue;
        const char *const link[] = {"<li><a href=\"", pages[i].path, "\">", pages[i].title,
                                    "</a></li>\n"};
        status = put(out, link, 5, err);
    }
    return status == ESP_OK ? esp_html_raw(out, "</ul>\n</body>\n</html>\n", err) : status;
}
