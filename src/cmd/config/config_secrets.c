/*
 * config_secrets.c - KEY_file = PATH in [kafka] and [schema]: the value of KEY stands in a file, so
 * that a configuration can be shown, copied and kept without its secrets.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/config/config_load.h"
#include "cmd/config/config_place.h"

enum { MOST_BYTES = 64 << 10 }; /* a private key in PEM is some 3,000 */

/* A file's whole text, without one end of line at its end. Wiped by the caller. */
struct secret {
    char text[MOST_BYTES + 2];
    size_t size;
    bool is_regular, others_may_read;
};

/* Sets errno. */
static bool read_all(int fd, struct secret *secret)
{
    for (;;) {
        size_t room = sizeof secret->text - 1 - secret->size;
        ssize_t n = read(fd, secret->text + secret->size, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || room == 0)
            return n == 0;
        secret->size += (size_t)n;
    }
}

static bool read_file(const char *path, struct secret *secret)
{
    struct stat info;
    /* O_NONBLOCK: a pipe of that name must not hold up the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool is_read = fstat(fd, &info) == 0;
    secret->is_regular = is_read && S_ISREG(info.st_mode);
    is_read = is_read && (!secret->is_regular || read_all(fd, secret));
    int code = errno;
    close(fd);
    errno = code;
    if (!is_read)
        return false;
    secret->others_may_read = (info.st_mode & S_IROTH) != 0;
    return true;
}

static void cut_end_of_line(struct secret *secret)
{
    if (secret->size > 0 && secret->text[secret->size - 1] == '\n')
        secret->size--;
    if (secret->size > 0 && secret->text[secret->size - 1] == '\r')
        secret->size--;
    secret->text[secret->size] = '\0';
}

/* Errors: ESP_ECONFIG: what is wrong with the file and the mend; nothing of its text. */
static enum esp_status take_secret(const char *path, struct secret *secret, struct esp_error *err)
{
    if (path[0] == '\0')
        return esp_fail(err, ESP_ECONFIG, "no file; name one that holds the value");
    if (!read_file(path, secret))
        return esp_fail(err, ESP_ECONFIG, "it cannot be read: %s; name a file that can",
                        strerror(errno));
    if (!secret->is_regular)
        return esp_fail(err, ESP_ECONFIG, "it is no regular file; name one that is");
    if (secret->size > MOST_BYTES)
        return esp_fail(err, ESP_ECONFIG, "it has over %d bytes; name the file of a secret",
                        MOST_BYTES);
    if (memchr(secret->text, '\0', secret->size) != NULL)
        return esp_fail(err, ESP_ECONFIG, "it has a byte 0, which is no text; name another file");
    cut_end_of_line(secret);
    return secret->size > 0 ? ESP_OK
                            : esp_fail(err, ESP_ECONFIG, "it is empty; write the value there");
}

static void warn(struct config_loader *loader, const struct esp_ini_entry *entry)
{
    char where[ESP_ERROR_TEXT_SIZE], line[2 * ESP_ERROR_TEXT_SIZE];
    config_place(loader->config, entry->section, entry->key, where, sizeof where);
    snprintf(line, sizeof line, "%s: warning: everybody on this machine may read it; chmod o-r",
             where);
    if (loader->report != NULL)
        loader->report(loader->context, line);
}

/* Puts what the file holds in the place of KEY. */
static enum esp_status load_one(struct config_loader *loader, struct esp_ini_entry entry,
                                const char *key, struct secret *secret, struct esp_error *err)
{
    struct esp_ini *ini = &loader->config->ini;
    struct esp_error why = {0};
    if (esp_ini_find(ini, entry.section, key) != NULL) {
        config_problem(loader, entry.section, entry.key, "%s is given too; keep one of the two",
                       key);
        return ESP_OK;
    }
    if (take_secret(entry.value, secret, &why) != ESP_OK) {
        config_problem(loader, entry.section, entry.key, "%s", why.text);
        return ESP_OK;
    }
    if (secret->others_may_read)
        warn(loader, &entry);
    return esp_ini_set(ini, entry.section, key, secret->text, entry.file, entry.line, err);
}

bool config_is_secret_file(const struct esp_ini_entry *entry, char key[CONFIG_KEY_SIZE])
{
    static const char ending[] = "_file";
    size_t n = strlen(entry->key), n_ending = sizeof ending - 1;
    bool is_any = strcmp(entry->section, "kafka") == 0;
    bool is_known =
        strcmp(entry->section, "schema") == 0 && strcmp(entry->key, "registry_password_file") == 0;
    if ((!is_any && !is_known) || n <= n_ending || n - n_ending >= CONFIG_KEY_SIZE ||
        strcmp(entry->key + n - n_ending, ending) != 0)
        return false;
    snprintf(key, CONFIG_KEY_SIZE, "%.*s", (int)(n - n_ending), entry->key);
    return true;
}

enum esp_status config_load_secrets(struct config_loader *loader, struct esp_error *err)
{
    const struct esp_ini *ini = &loader->config->ini;
    enum esp_status status = ESP_OK;
    size_t n_entries = ini->n_entries; /* those that come in are no files */
    for (size_t i = 0; status == ESP_OK && i < n_entries; i++) {
        char key[CONFIG_KEY_SIZE];
        struct secret secret;
        if (!config_is_secret_file(&ini->entries[i], key))
            continue;
        secret.size = 0;
        secret.is_regular = secret.others_may_read = false;
        status = load_one(loader, ini->entries[i], key, &secret, err);
        explicit_bzero(&secret, sizeof secret);
    }
    return status;
}
