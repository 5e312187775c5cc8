/* checkpoint_files.c - the folder of checkpoints: which there are, their names, what is removed.
 * See checkpoint.h. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/buf.h"
#include "state/checkpoint.h"

enum { DIGITS = 10 };

/* What a file of the folder is, by its name. */
enum kind { KIND_FOREIGN, KIND_WHOLE, KIND_PART, KIND_BAD };

static enum kind kind_of(const char *name, uint64_t *number)
{
    static const char ending[] = ".checkpoint";
    *number = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return KIND_FOREIGN;
        *number = 10 * *number + (uint64_t)(name[i] - '0');
    }
    if (strncmp(name + DIGITS, ending, sizeof ending - 1) != 0)
        return KIND_FOREIGN;
    name += DIGITS + sizeof ending - 1;
    if (*name == '\0')
        return KIND_WHOLE;
    return strcmp(name, ".part") == 0  ? KIND_PART
           : strcmp(name, ".bad") == 0 ? KIND_BAD
                                       : KIND_FOREIGN;
}

char *esp_checkpoint_path(const struct esp_state_folder *folder, uint64_t number,
                          const char *ending)
{
    char *path = NULL;
    return asprintf(&path, "%s/" ESP_CHECKPOINT_FOLDER "/%010" PRIu64 ".checkpoint%s",
                    esp_state_folder_root(folder), number, ending) < 0
               ? NULL
               : path;
}

static enum esp_status rename_ending(const struct esp_state_folder *folder, uint64_t number,
                                     const char *from_ending, const char *to_ending,
                                     struct esp_error *err)
{
    char *from = esp_checkpoint_path(folder, number, from_ending);
    char *to = esp_checkpoint_path(folder, number, to_ending);
    enum esp_status status = from == NULL || to == NULL
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for a path")
                                 : esp_file_rename(from, to, err);
    free(from);
    free(to);
    return status;
}

enum esp_status esp_checkpoint_commit(const struct esp_state_folder *folder, uint64_t number,
                                      struct esp_error *err)
{
    return rename_ending(folder, number, ".part", "", err);
}

enum esp_status esp_checkpoint_set_aside(const struct esp_state_folder *folder, uint64_t number,
                                         struct esp_error *err)
{
    return rename_ending(folder, number, "", ".bad", err);
}

/* Opens the folder; *dir is NULL, too, if it is missing. */
static enum esp_status open_folder(const char *path, DIR **dir, struct esp_error *err)
{
    *dir = opendir(path);
    if (*dir != NULL || errno == ENOENT)
        return ESP_OK;
    return esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", path, strerror(errno));
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static enum esp_status read_numbers(DIR *dir, const char *path, enum kind kind, uint64_t **numbers,
                                    size_t *n, struct esp_error *err)
{
    void *items = NULL;
    size_t capacity = 0;
    const struct dirent *entry;
    enum esp_status status = ESP_OK;
    for (errno = 0; status == ESP_OK && (entry = readdir(dir)) != NULL; errno = 0) {
        uint64_t number;
        if (kind_of(entry->d_name, &number) != kind)
            continue;
        status = esp_array_grow(&items, &capacity, *n + 1, sizeof number, err);
        if (status == ESP_OK)
            ((uint64_t *)items)[(*n)++] = number;
    }
    if (status == ESP_OK && errno != 0)
        status = esp_fail(err, ESP_EIO, "%s: cannot be read: %s", path, strerror(errno));
    if (*n > 0)
        qsort(items, *n, sizeof(uint64_t), newest_first);
    *numbers = items;
    return status;
}

static enum esp_status list(const struct esp_state_folder *folder, enum kind kind,
                            uint64_t **numbers, size_t *n, struct esp_error *err)
{
    *numbers = NULL;
    *n = 0;
    DIR *dir = NULL;
    char *path = esp_state_folder_path(folder, ESP_CHECKPOINT_FOLDER);
    enum esp_status status = path == NULL ? esp_fail(err, ESP_ENOMEM, "out of memory for a path")
                                          : open_folder(path, &dir, err);
    if (dir != NULL) {
        status = read_numbers(dir, path, kind, numbers, n, err);
        closedir(dir);
    }
    if (status != ESP_OK) {
        free(*numbers);
        *numbers = NULL;
        *n = 0;
    }
    free(path);
    return status;
}

enum esp_status esp_checkpoint_list(const struct esp_state_folder *folder, uint64_t **numbers,
                                    size_t *n, struct esp_error *err)
{
    return list(folder, KIND_WHOLE, numbers, n, err);
}

enum esp_status esp_checkpoint_list_bad(const struct esp_state_folder *folder, uint64_t **numbers,
                                        size_t *n, struct esp_error *err)
{
    return list(folder, KIND_BAD, numbers, n, err);
}

/* Removes what is below `oldest`, and what was left. */
static enum esp_status remove_old(DIR *dir, const char *path, uint64_t oldest,
                                  struct esp_error *err)
{
    const struct dirent *entry;
    enum esp_status status = ESP_OK;
    while ((entry = readdir(dir)) != NULL) {
        uint64_t number;
        enum kind kind = kind_of(entry->d_name, &number);
        if (kind == KIND_FOREIGN || (kind == KIND_WHOLE && number >= oldest))
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT)
            status = esp_fail(err, ESP_EIO, "%s/%s: cannot be removed: %s", path, entry->d_name,
                              strerror(errno));
    }
    return status;
}

enum esp_status esp_checkpoint_prune(const struct esp_state_folder *folder, size_t keep,
                                     struct esp_error *err)
{
    uint64_t *numbers = NULL;
    size_t n = 0;
    DIR *dir = NULL;
    char *path = esp_state_folder_path(folder, ESP_CHECKPOINT_FOLDER);
    enum esp_status status = path == NULL ? esp_fail(err, ESP_ENOMEM, "out of memory for a path")
                                          : esp_checkpoint_list(folder, &numbers, &n, err);
    if (status == ESP_OK)
        status = open_folder(path, &dir, err);
    if (dir != NULL) {
        size_t n_kept = keep > 1 ? keep : 1;
        status = remove_old(dir, path, n > n_kept ? numbers[n_kept - 1] : 0, err);
        closedir(dir);
    }
    free(numbers);
    free(path);
    return status;
}
