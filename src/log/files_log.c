/* files_log.c - opens a root folder; counts and makes the folders of topics. */
#include "log/files_log.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "core/atomic_file.h"
static const char partition_prefix[] = "partition=";

static void files_free(struct esp_log *log)
{
    struct esp_files_log *files = (struct esp_files_log *)log;
    free(files->root);
    free(files);
}

char *esp_files_partition_path(const struct esp_files_log *files, const char *topic,
                               size_t partition)
{
    char *path = NULL;
    int n = asprintf(&path, "%s/%s/%s%zu", files->root, topic, partition_prefix, partition);
    return n < 0 ? NULL : path;
}

/* N of "partition=N" in plain decimal, or -1. */
static long partition_of(const char *name)
{
    size_t n_prefix = sizeof partition_prefix - 1;
    if (strncmp(name, partition_prefix, n_prefix) != 0)
        return -1;
    const char *digits = name + n_prefix;
    size_t n = strlen(digits);
    if (n == 0 || n > 9 || strspn(digits, "0123456789") != n || (digits[0] == '0' && n > 1))
        return -1;
    long partition = strtol(digits, NULL, 10);
    return partition < ESP_LOG_MAX_PARTITIONS ? partition : -1;
}

static enum esp_status files_partitions(struct esp_log *log, const char *topic, int64_t timeout_us,
                                        size_t *out_n, struct esp_error *err)
{
    (void)timeout_us;
    struct esp_files_log *files = (struct esp_files_log *)log;
    char *path = NULL;
    if (asprintf(&path, "%s/%s", files->root, topic) < 0)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    enum esp_status status = ESP_OK;
    DIR *dir = opendir(path);
    if (dir == NULL && errno != ENOENT) {
        status = esp_fail(err, ESP_EIO, "%s: cannot be listed: %s", path, strerror(errno));
        goto out;
    }
    long n = 0;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        long partition = partition_of(entry->d_name);
        if (partition + 1 > n)
            n = partition + 1;
    }
    *out_n = (size_t)n;
out:
    if (dir != NULL)
        closedir(dir);
    free(path);
    return status;
}

enum esp_status esp_files_make_partition(const struct esp_files_log *files, const char *topic,
                                         size_t partition, struct esp_error *err)
{
    char *path = esp_files_partition_path(files, topic, partition);
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    char *slash = strrchr(path, '/');
    *slash = '\0';
    enum esp_status status = esp_folder_make(path, NULL, err);
    *slash = '/';
    if (status == ESP_OK)
        status = esp_folder_make(path, NULL, err);
    free(path);
    return status;
}

static enum esp_status files_create_topic(struct esp_log *log, const char *topic,
                                          size_t n_partitions, const char *const *config,
                                          struct esp_error *err)
{
    (void)config;
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < n_partitions; i++)
        status = esp_files_make_partition((struct esp_files_log *)log, topic, i, err);
    return status;
}

static enum esp_status files_topic_properties(struct esp_log *log, const char *topic,
                                              struct esp_topic_property *properties, size_t n,
                                              struct esp_error *err)
{
    (void)log, (void)topic, (void)err;
    for (size_t i = 0; i < n; i++)
        properties[i].value[0] = '\0';
    return ESP_OK;
}

static const struct esp_log_ops files_ops = {
    .kind = "files",
    .free = files_free,
    .partitions = files_partitions,
    .create_topic = files_create_topic,
    .topic_properties = files_topic_properties,
    .bounds = esp_files_bounds,
    .cut_back = esp_files_cut_back,
    .reader_new = esp_files_reader_new,
    .writer_new = esp_files_writer_new,
};

enum esp_status esp_log_open_files(const char *root, const char *codec, esp_log_report *report,
                                   void *report_context, struct esp_log **out,
                                   struct esp_error *err)
{
    struct stat info;
    enum esp_codec_id id = ESP_CODEC_NULL;
    const char *why = NULL;
    if (stat(root, &info) != 0)
        return esp_fail(err, ESP_ECONFIG, "root folder '%s' cannot be used: %s", root,
                        strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return esp_fail(err, ESP_ECONFIG, "root folder '%s' is not a folder", root);
    if (!esp_codec_find(esp_bytes_of(codec), &id, &why))
        return esp_fail(err, ESP_ECONFIG, "codec '%s' cannot be used: %s", codec, why);
    struct esp_files_log *files = calloc(1, sizeof *files);
    char *copy = strdup(root);
    if (files == NULL || copy == NULL) {
        free(files);
        free(copy);
        return esp_fail(err, ESP_ENOMEM, "out of memory for opening %s", root);
    }
    *files = (struct esp_files_log){
        .log = {.ops = &files_ops, .report = report, .report_context = report_context},
        .root = copy,
        .codec = id};
    *out = &files->log;
    return ESP_OK;
}
