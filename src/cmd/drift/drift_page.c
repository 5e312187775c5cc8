/* drift_page.c - see drift_page.h. */
#include "cmd/drift/drift_page.h"

#include <stdio.h>

#include "cmd/drift/drift_json.h"
#include "core/atomic_file.h"

/* Six digits: more than a page shows, and half the bytes of all that a double has. */
static const size_t page_digits = JSON_REAL_PRECISION(6);

static void put_part(const unsigned char *part, size_t size, FILE *out)
{
    fwrite(part, 1, size, out);
}

/* JSON inside <script>: no '<' in it can begin or end an element, none is needed. */
static int put_escaped(const char *text, size_t size, void *context)
{
    FILE *out = context;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '<' || text[i] == '>' || text[i] == '&')
            fprintf(out, "\\u%04x", (unsigned)text[i]);
        else
            fputc(text[i], out);
    }
    return ferror(out) ? -1 : 0;
}

static void put_page(json_t *data, FILE *out)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<title>Model drift</title>\n<style>\n",
          out);
    put_part(drift_page_style, drift_page_style_size, out);
    fputs("</style>\n</head>\n", out);
    put_part(drift_page_body, drift_page_body_size, out);
    fputs("<script type=\"application/json\" id=\"data\">", out);
    json_dump_callback(data, put_escaped, out, JSON_COMPACT | page_digits);
    fputs("</script>\n<script type=\"text/plain\" id=\"chart-licence\">\n"
          "The script that follows is Chart.js.\n\n",
          out);
    put_part(drift_page_chart_licence, drift_page_chart_licence_size, out);
    fputs("</script>\n<script>", out);
    put_part(drift_page_chart, drift_page_chart_size, out);
    fputs("</script>\n<script>\n", out);
    put_part(drift_page_script, drift_page_script_size, out);
    fputs("</script>\n</body>\n</html>\n", out);
}

enum esp_status drift_page_write(const char *path, const struct esp_drift_report *report,
                                 struct esp_error *err)
{
    struct esp_atomic_file file;
    struct esp_error why = {.status = ESP_OK};
    json_t *data = drift_page_json(report);
    if (data == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the page");
    enum esp_status status = esp_atomic_file_open(&file, path, &why);
    FILE *out = status == ESP_OK ? esp_atomic_file_stream(&file, &why) : NULL;
    if (out != NULL)
        put_page(data, out);
    else if (status == ESP_OK)
        status = ESP_ENOMEM;
    status = esp_atomic_file_close(&file, status, &why);
    if (status != ESP_OK)
        esp_fail(err, status, "--html %s", why.text);
    json_decref(data);
    return status;
}
