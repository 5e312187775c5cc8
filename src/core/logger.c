/*
 * logger.c - lines on stderr, see logger.h.
 *
 * A line is put together on the stack and leaves in one write(2), so that lines of several threads
 * and processes do not mix. What does not fit is cut, and " ..." at the end says so.
 */
#include "core/logger.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_SIZE = 4096,    /* PIPE_BUF: one write of it is atomic on a pipe, too */
    TAIL_SIZE = 8,       /* kept free for `" ...` and the newline */
    MESSAGE_SIZE = 2048, /* of a formatted message */
};

struct line {
    char text[LINE_SIZE];
    size_t size;
    bool cut;
};

/* The one log of the process. */
static atomic_int lowest_level = ESP_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the hooks and of stderr */
static void (*before_line)(void *), (*after_line)(void *);
static void *hook_context;

void esp_logger_set_level(enum esp_level level)
{
    atomic_store(&lowest_level, (int)level);
}

void esp_logger_set_hooks(void (*before)(void *), void (*after)(void *), void *context)
{
    pthread_mutex_lock(&lock);
    before_line = before;
    after_line = after;
    hook_context = context;
    pthread_mutex_unlock(&lock);
}

void esp_logger_alone(void (*write)(void *), void *context)
{
    pthread_mutex_lock(&lock);
    write(context);
    pthread_mutex_unlock(&lock);
}

/* Appends n bytes that must stay together, or cuts the line here. */
static void put(struct line *line, const char *text, size_t n)
{
    if (line->cut || line->size + n > LINE_SIZE - TAIL_SIZE) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->size, text, n);
    line->size += n;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* True if a value must stand in quotes to be read back as one. */
static bool needs_quotes(const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (is_control(*c) || strchr(" \"\\=", *c) != NULL)
            return true;
    }
    return *value == '\0';
}

static void put_escaped(struct line *line, char c)
{
    char text[8];
    if (c == '"' || c == '\\')
        snprintf(text, sizeof text, "\\%c", c);
    else if (c == '\n' || c == '\r' || c == '\t')
        snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else if (is_control(c))
        snprintf(text, sizeof text, "\\x%02x", (unsigned)(unsigned char)c);
    else
        snprintf(text, sizeof text, "%c", c);
    put(line, text, strlen(text));
}

/* `key=value`, with a blank before it unless it begins the line. */
static void put_pair(struct line *line, const char *key, const char *value)
{
    if (line->size > 0)
        put(line, " ", 1);
    put(line, key, strlen(key));
    put(line, "=", 1);
    if (!needs_quotes(value)) {
        put(line, value, strlen(value));
        return;
    }
    put(line, "\"", 1);
    bool whole = !line->cut;
    for (const char *c = value; *c != '\0'; c++)
        put_escaped(line, *c);
    if (whole) /* not cut before the quotes opened: close them, TAIL_SIZE has the room */
        line->text[line->size++] = '"';
}

static void begin(struct line *line, enum esp_level level, const char *message)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    line->size = 0;
    line->cut = false;
    put_pair(line, "level", names[level]);
    put_pair(line, "msg", message);
}

static void finish(struct line *line)
{
    if (line->cut) {
        memcpy(line->text + line->size, " ...", 4);
        line->size += 4;
    }
    line->text[line->size++] = '\n';
    pthread_mutex_lock(&lock);
    if (before_line != NULL)
        before_line(hook_context);
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line->text, line->size);
    } while (written < 0 && errno == EINTR);
    if (after_line != NULL)
        after_line(hook_context);
    pthread_mutex_unlock(&lock);
}

static bool is_wanted(enum esp_level level)
{
    return (int)level >= atomic_load_explicit(&lowest_level, memory_order_relaxed);
}

void esp_log(enum esp_level level, const char *message, ...)
{
    struct line line;
    if (!is_wanted(level))
        return;
    begin(&line, level, message);
    va_list args;
    va_start(args, message);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        const char *value = va_arg(args, const char *);
        put_pair(&line, key, value == NULL ? "" : value);
        if (value == NULL)
            break; /* the pairs' end came one early: the rest is not ours to read */
    }
    va_end(args);
    finish(&line);
}

void esp_logf(enum esp_level level, const char *format, ...)
{
    struct line line;
    char message[MESSAGE_SIZE];
    if (!is_wanted(level))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    begin(&line, level, message);
    finish(&line);
}

void esp_log_error(const struct esp_error *err)
{
    const char *text = err->text[0] == '\0' ? esp_status_text(err->status) : err->text;
    esp_log(ESP_ERROR, text, "status", esp_status_name(err->status), NULL);
}
