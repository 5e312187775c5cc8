/* folder.c - see folder.h. */
#include "log/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/buf.h"

static const char suffix[] = ".avro";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int esp_folder_compare(const char *a, const char *b)
{
    const char *x = a, *y = b;
    while (*x != '\0' && *y != '\0') {
        if (!is_digit(*x) || !is_digit(*y)) {
            if (*x != *y)
                return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
            x++;
            y++;
            continue;
        }
        x += strspn(x, "0");
        y += strspn(y, "0");
        size_t n_x = strspn(x, "0123456789"), n_y = strspn(y, "0123456789");
        if (n_x != n_y)
            return n_x < n_y ? -1 : 1;
        int order = memcmp(x, y, n_x);
        if (order != 0)
            return order;
        x += n_x;
        y += n_y;
    }
    if (*x != *y)
        return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
    return strcmp(a, b); /* equal but for leading zeros */
}

size_t esp_folder_after(const struct esp_folder *folder, const char *name)
{
    size_t i = 0;
    while (i < folder->n && esp_folder_compare(folder->files[i].name, name) <= 0)
        i++;
    return i;
}

/* The run of digits [text, text + n) as a number; -1 if it is no number below 2^62. */
static int64_t number_of(const char *text, size_t n)
{
    int64_t value = 0;
    if (n == 0 || n > 20)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(text[i]) || value >= (INT64_C(1) << 62) / 10)
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

int64_t esp_folder_first_offset(const char *name)
{
    const char *end = name + strlen(name) - (sizeof suffix - 1);
    const char *parts[5]; /* where the part behind each '+' begins, the name itself first */
    size_t n = 0;
    parts[n++] = name;
    for (const char *c = name; c < end; c++) {
        if (*c != '+')
            continue;
        if (n == 5) { /* too many to be Connect's: the last one counts */
            n = 4;
            parts[3] = NULL;
        }
        parts[n++] = c + 1;
    }
    if (n < 2)
        return -1;
    int64_t last = number_of(parts[n - 1], (size_t)(end - parts[n - 1]));
    if (n == 4 && last >= 0) {
        int64_t first = number_of(parts[2], (size_t)(parts[3] - 1 - parts[2]));
        int64_t partition = number_of(parts[1], (size_t)(parts[2] - 1 - parts[1]));
        if (first >= 0 && first <= last && partition >= 0)
            return first;
    }
    return last;
}

void esp_folder_release(struct esp_folder *folder)
{
    for (size_t i = 0; i < folder->n; i++)
        free(folder->files[i].name);
    free(folder->files);
    *folder = (struct esp_folder){NULL, 0, 0};
}

static int by_name(const void *a, const void *b)
{
    const struct esp_folder_file *x = a, *y = b;
    return esp_folder_compare(x->name, y->name);
}

static bool is_container_name(const char *name)
{
    size_t n = strlen(name);
    return n >= sizeof suffix && name[0] != '.' && name[0] != '_' &&
           strcmp(name + n - (sizeof suffix - 1), suffix) == 0;
}

static enum esp_status add_file(struct esp_folder *folder, const char *name, uint64_t size,
                                struct esp_error *err)
{
    void *files = folder->files;
    enum esp_status status =
        esp_array_grow(&files, &folder->capacity, folder->n + 1, sizeof *folder->files, err);
    if (status != ESP_OK)
        return status;
    folder->files = files;
    char *copy = strdup(name);
    if (copy == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a file's name");
    folder->files[folder->n++] =
        (struct esp_folder_file){copy, esp_folder_first_offset(copy), size};
    return ESP_OK;
}

enum esp_status esp_folder_list(const char *path, struct esp_folder *folder, struct esp_error *err)
{
    DIR *dir = opendir(path);
    if (dir == NULL && errno == ENOENT)
        return ESP_OK;
    if (dir == NULL)
        return esp_fail(err, ESP_EIO, "%s: cannot be listed: %s", path, strerror(errno));
    enum esp_status status = ESP_OK;
    while (status == ESP_OK) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0)
                status = esp_fail(err, ESP_EIO, "%s: cannot be listed: %s", path, strerror(errno));
            break;
        }
        struct stat info;
        if (is_container_name(entry->d_name) && fstatat(dirfd(dir), entry->d_name, &info, 0) == 0 &&
            S_ISREG(info.st_mode))
            status = add_file(folder, entry->d_name, (uint64_t)info.st_size, err);
    }
    closedir(dir);
    if (status == ESP_OK && folder->n > 0)
        qsort(folder->files, folder->n, sizeof *folder->files, by_name);
    return status;
}
