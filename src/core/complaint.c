/* complaint.c - see complaint.h. */
#include "core/complaint.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_SIZE = 1024, MAX_FILE = 400 /* characters of a path that are shown */ };

void esp_complain(struct esp_complaints *complaints, const char *file, int line, const char *format,
                  ...)
{
    char text[LINE_SIZE];
    int n = line > 0 ? snprintf(text, sizeof text, "%.*s:%d: ", MAX_FILE, file, line)
                     : snprintf(text, sizeof text, "%.*s: ", MAX_FILE, file);
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    esp_fail(complaints->err, ESP_ECONFIG, "%s", text);
    complaints->any = true;
    if (complaints->report != NULL)
        complaints->report(complaints->context, text);
}
