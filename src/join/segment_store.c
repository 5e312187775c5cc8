/* segment_store.c - see segment_store.h. */
#include "join/segment_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

static_assert(sizeof(struct esp_segment_file) == 24, "no padding: it goes into archives as it is");

void esp_segment_list_release(struct esp_segment_list *list)
{
    free(list->files);
    *list = (struct esp_segment_list){0};
}

enum esp_status esp_segment_list_add(struct esp_segment_list *list,
                                     const struct esp_segment_file *files, size_t n,
                                     struct esp_error *err)
{
    if (n == 0)
        return ESP_OK;
    void *grown = list->files;
    enum esp_status status =
        esp_array_grow(&grown, &list->capacity, list->n + n, sizeof *list->files, err);
    list->files = grown;
    if (status != ESP_OK)
        return status;
    memcpy(list->files + list->n, files, n * sizeof *files);
    list->n += n;
    return ESP_OK;
}

static int by_number(const void *a, const void *b)
{
    const struct esp_segment_file *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

void esp_segment_list_sort(struct esp_segment_list *list)
{
    if (list->n > 0)
        qsort(list->files, list->n, sizeof *list->files, by_number);
}

const struct esp_segment_file *esp_segment_list_find(const struct esp_segment_list *list,
                                                     uint64_t number)
{
    struct esp_segment_file wanted = {.number = number};
    return list->n == 0 ? NULL
                        : bsearch(&wanted, list->files, list->n, sizeof *list->files, by_number);
}

void esp_segment_list_begin(struct esp_archive *archive, size_t *n)
{
    esp_archive_mark(archive, "segments", 1);
    esp_archive_count(archive, n, sizeof(struct esp_segment_file));
}

void esp_segment_list_archive(struct esp_archive *archive, struct esp_segment_list *list)
{
    size_t n = list->n;
    esp_segment_list_begin(archive, &n);
    if (esp_archive_reads(archive)) {
        struct esp_error err = {0};
        void *files = list->files;
        enum esp_status status =
            esp_array_grow(&files, &list->capacity, n, sizeof *list->files, &err);
        list->files = files;
        list->n = status == ESP_OK ? n : 0;
        if (status != ESP_OK)
            esp_archive_fail(archive, status, "%s", err.text);
    }
    if (list->n > 0)
        esp_archive_bytes(archive, list->files, list->n * sizeof *list->files);
}
