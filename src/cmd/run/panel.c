/* panel.c - see panel.h. */
#include "cmd/run/panel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/logger.h"

static void erase(void *context)
{
    struct panel *panel = context;
    if (panel->n_lines > 0)
        fprintf(stderr, "\033[%dA\r\033[J", panel->n_lines);
    fflush(stderr);
    panel->n_lines = 0;
}

/* Lines are cut at the terminal's width: a wrapped one would break the count of lines to erase. */
static void draw(void *context)
{
    struct panel *panel = context;
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory == NULL)
        return;
    panel->write(panel->context, memory);
    fclose(memory);
    struct winsize window = {0};
    int width =
        ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
    erase(panel);
    for (const char *line = text; *line != '\0'; panel->n_lines++) {
        const char *end = strchrnul(line, '\n');
        int length = (int)(end - line) < width ? (int)(end - line) : width - 1;
        fprintf(stderr, "%.*s\n", length, line);
        line = *end == '\0' ? end : end + 1;
    }
    fflush(stderr);
    free(text);
}

void panel_init(struct panel *panel, void (*write)(void *context, FILE *out), void *context)
{
    *panel =
        (struct panel){.write = write, .context = context, .in_place = isatty(STDERR_FILENO) == 1};
    if (panel->in_place)
        esp_logger_set_hooks(erase, NULL, panel);
}

void panel_draw(struct panel *panel)
{
    if (panel->in_place)
        esp_logger_alone(draw, panel);
}

void panel_end(struct panel *panel)
{
    if (!panel->in_place)
        return;
    esp_logger_alone(erase, panel);
    esp_logger_set_hooks(NULL, NULL, NULL);
}
