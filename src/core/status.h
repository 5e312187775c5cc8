/*
 * status.h - how a call says that it failed.
 *
 * Every fallible call returns an esp_status and takes a caller-owned esp_error, which holds the
 * one line a person reads: what, where, how to mend it. Libraries never log and never exit.
 */
#ifndef ESP_CORE_STATUS_H
#define ESP_CORE_STATUS_H

/* What the run loop does with a failure unless its caller knows better. */
enum esp_action {
    ESP_ACTION_NONE,
    ESP_ACTION_STOP,  /* leave with the status' exit code */
    ESP_ACTION_SKIP,  /* count the record, send it to the dead letters, go on */
    ESP_ACTION_RETRY, /* try again later, say so once a minute */
};

/* X(name, action, exit code after sysexits.h, text) */
#define ESP_STATUS_MAP(X)                                         \
    X(EINVAL, STOP, 70, "invalid argument")                       \
    X(ECONFIG, STOP, 64, "invalid command line or configuration") \
    X(ESCHEMA, STOP, 64, "schema does not fit")                   \
    X(EDECODE, SKIP, 65, "record does not match its schema")      \
    X(EDATA, STOP, 65, "input cannot be used")                    \
    X(ENUMERIC, STOP, 65, "a loss or gradient is not finite")     \
    X(ENOMEM, STOP, 75, "out of memory")                          \
    X(ELIMIT, STOP, 65, "a configured limit is reached")          \
    X(EIO, STOP, 74, "input or output failed")                    \
    X(EBROKER, RETRY, 75, "broker is unavailable")                \
    X(EBUG, STOP, 70, "internal error")

enum esp_status {
    ESP_OK = 0,
#define ESP_STATUS_ENUM(name, action, exit_code, text) ESP_##name,
    ESP_STATUS_MAP(ESP_STATUS_ENUM)
#undef ESP_STATUS_ENUM
        ESP_STATUS_COUNT
};

enum { ESP_ERROR_TEXT_SIZE = 512 };

/* Caller-owned, { 0 } before use. The first failure wins: later ones leave it as it is. */
struct esp_error {
    enum esp_status status;
    char text[ESP_ERROR_TEXT_SIZE]; /* one line, no newline, NUL-terminated */
};

/* The symbolic name ("ECONFIG"), the general text, the action, the exit code of a status. */
const char *esp_status_name(enum esp_status status);
const char *esp_status_text(enum esp_status status);
enum esp_action esp_status_action(enum esp_status status);
int esp_status_exit_code(enum esp_status status);

/*
 * Notes a failure and returns its status, so that `return esp_fail(err, ...)` reads well.
 *
 * err  may be NULL; is left alone if it already holds a failure
 * Control characters in the formatted text become '?', so that it stays one line.
 */
enum esp_status esp_fail(struct esp_error *err, enum esp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
