/* snapshot_print.c - see snapshot_print.h. */
#include "cmd/snapshot_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "cmd/run/figures.h"
#include "cmd/run/run.h"
#include "core/timespan.h"

static const char *short_size(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t i = 0;
    for (; value >= 1024 && i + 1 < sizeof units / sizeof units[0]; i++)
        value /= 1024;
    snprintf(text, size, i > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[i]);
    return text;
}

/* A number of the manifest's, -1: it has none. */
static int64_t manifest_number(const struct esp_live_snapshot *live, const char *key)
{
    struct esp_bytes text = live->manifest.manifest;
    json_t *root = json_loadb((const char *)text.data, text.size, 0, NULL);
    const json_t *value = json_object_get(root, key);
    int64_t number = json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
    json_decref(root);
    return number;
}

static const char *number_text(int64_t number, char *text, size_t size)
{
    if (number < 0)
        snprintf(text, size, "-");
    else
        snprintf(text, size, "%" PRId64, number);
    return text;
}

void snapshot_print_table(const struct esp_live_snapshot *const *live, size_t n)
{
    int64_t now_us = run_wall_us();
    int n_model = 5;
    for (size_t i = 0; i < n; i++) {
        int width = (int)strlen(live[i]->manifest.id.model);
        n_model = width > n_model ? width : n_model;
    }
    printf("%-*s  %-16s  %10s  %-20s  %8s  %9s  %12s  %10s\n", n_model, "model", "run", "number",
           "boundary", "age", "size", "learned", "steps");
    for (size_t i = 0; i < n; i++) {
        const struct esp_snapshot_manifest_record *manifest = &live[i]->manifest;
        char boundary[ESP_TIME_TEXT_SIZE], age[FIGURE_TEXT_SIZE], size[32], learned[32], steps[32];
        printf("%-*s  %-16s  %10" PRId64 "  %-20s  %8s  %9s  %12s  %10s\n", n_model,
               manifest->id.model, manifest->id.run, manifest->id.number,
               esp_time_format(manifest->boundary_us, boundary),
               figure_span(now_us - manifest->boundary_us, age),
               short_size(manifest->size, size, sizeof size),
               number_text(manifest_number(live[i], "examples_learned"), learned, sizeof learned),
               number_text(manifest_number(live[i], "steps"), steps, sizeof steps));
    }
}

static json_t *hex(uint64_t value)
{
    char text[ESP_RUN_SIZE];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    return json_string(text);
}

static json_t *time_json(int64_t time_us)
{
    char text[ESP_TIME_TEXT_SIZE];
    return json_string(esp_time_format(time_us, text));
}

static json_t *where_json(const struct esp_live_snapshot *live)
{
    const struct esp_snapshot_manifest_record *manifest = &live->manifest;
    if (live->path != NULL)
        return json_pack("{s:s}", "path", live->path);
    return json_pack("{s:I, s:i, s:I}", "manifest_offset", (json_int_t)live->offset,
                     "chunk_partition", (int)manifest->chunk_partition, "chunks",
                     (json_int_t)manifest->n_chunks);
}

/* Where the trainer was in its inputs: a hint, null of files. */
static json_t *inputs_json(const struct esp_snapshot_manifest_record *manifest)
{
    if (manifest->n_inputs == 0)
        return json_null();
    json_t *all = json_array();
    for (size_t i = 0; i < manifest->n_inputs; i++) {
        const struct esp_input_offset *input = &manifest->inputs[i];
        json_array_append_new(all, json_pack("{s:s%, s:i, s:I}", "topic", input->topic.data,
                                             input->topic.size, "partition", input->partition,
                                             "offset", (json_int_t)input->offset));
    }
    return all;
}

/* Where a run that begins with it reads again from; null where that is not known. */
static json_t *rewind_json(const struct esp_snapshot_manifest_record *manifest)
{
    if (manifest->n_rewinds == 0)
        return json_null();
    json_t *all = json_array();
    for (size_t i = 0; i < manifest->n_rewinds; i++) {
        const struct esp_rewind_offset *point = &manifest->rewinds[i];
        json_t *largest =
            point->largest_us == ESP_TIME_NONE ? json_null() : time_json(point->largest_us);
        json_array_append_new(all,
                              json_pack("{s:s%, s:i, s:I, s:o}", "topic", point->topic.data,
                                        point->topic.size, "partition", point->partition, "offset",
                                        (json_int_t)point->offset, "largest_time", largest));
    }
    return all;
}

static json_t *live_json(const struct esp_live_snapshot *live)
{
    const struct esp_snapshot_manifest_record *manifest = &live->manifest;
    struct esp_bytes text = manifest->manifest;
    json_t *said = json_loadb((const char *)text.data, text.size, 0, NULL);
    return json_pack("{s:s, s:s, s:I, s:o, s:I, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "model",
                     manifest->id.model, "run", manifest->id.run, "number",
                     (json_int_t)manifest->id.number, "boundary", time_json(manifest->boundary_us),
                     "boundary_us", (json_int_t)manifest->boundary_us, "created_at",
                     time_json(manifest->created_us), "size", (json_int_t)manifest->size,
                     live->path != NULL ? "data_checksum" : "checksum", hex(manifest->checksum),
                     "where", where_json(live), "inputs", inputs_json(manifest), "rewind",
                     rewind_json(manifest), "manifest", said != NULL ? said : json_null());
}

/* Takes the value over. */
static enum esp_status print_json(json_t *value, struct esp_error *err)
{
    if (value == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory to print snapshots");
    int failed = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(value);
    putchar('\n');
    return failed == 0 ? ESP_OK : esp_fail(err, ESP_EIO, "standard output cannot be written");
}

enum esp_status snapshot_print_json(const struct esp_live_snapshot *const *live, size_t n,
                                    struct esp_error *err)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *one = live_json(live[i]);
        if (one == NULL || json_array_append_new(all, one) != 0) {
            json_decref(all);
            return esp_fail(err, ESP_ENOMEM, "a snapshot cannot be printed as JSON");
        }
    }
    return print_json(all, err);
}

/* ---- content --------------------------------------------------------------------------------- */

static json_t *tensor_json(const struct esp_file_tensor *tensor)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < tensor->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return json_pack("{s:s, s:s, s:o, s:I}", "name", tensor->name, "dtype",
                     esp_dtype_name(tensor->dtype), "shape", shape, "bytes",
                     (json_int_t)(tensor->end - tensor->begin));
}

static bool is_pad(const struct esp_file_tensor *tensor)
{
    return strncmp(tensor->name, "pad.", 4) == 0;
}

static json_t *content_json(const struct esp_snapshot *snapshot,
                            const struct esp_live_snapshot *live)
{
    const struct esp_file_layout *layout = esp_snapshot_layout(snapshot);
    json_t *tensors = json_array();
    for (size_t i = 0; i < layout->n; i++) {
        if (!is_pad(&layout->tensors[i]))
            json_array_append_new(tensors, tensor_json(&layout->tensors[i]));
    }
    return json_pack("{s:o, s:o, s:o}", "manifest",
                     json_loads(esp_snapshot_manifest_text(snapshot), 0, NULL), "rewind",
                     live != NULL ? rewind_json(&live->manifest) : json_null(), "tensors", tensors);
}

static void print_rewind(const struct esp_snapshot_manifest_record *manifest)
{
    int n_topic = 15;
    for (size_t i = 0; i < manifest->n_rewinds; i++) {
        int width = (int)manifest->rewinds[i].topic.size;
        n_topic = width > n_topic ? width : n_topic;
    }
    if (manifest->n_rewinds > 0)
        printf("\n%-*s  partition        offset  after\n", n_topic, "read again from");
    for (size_t i = 0; i < manifest->n_rewinds; i++) {
        const struct esp_rewind_offset *point = &manifest->rewinds[i];
        char after[ESP_TIME_TEXT_SIZE] = "nothing", offset[24] = "the first";
        if (point->largest_us != ESP_TIME_NONE)
            esp_time_format(point->largest_us, after);
        if (point->offset != ESP_OFFSET_EARLIEST)
            snprintf(offset, sizeof offset, "%" PRId64, point->offset);
        printf("%-*.*s  %9d  %12s  %s\n", n_topic, (int)point->topic.size,
               (const char *)point->topic.data, point->partition, offset, after);
    }
}

static void print_tensors(const struct esp_snapshot *snapshot)
{
    const struct esp_file_layout *layout = esp_snapshot_layout(snapshot);
    int n_name = 6;
    for (size_t i = 0; i < layout->n; i++) {
        int width = (int)strlen(layout->tensors[i].name);
        n_name = width > n_name ? width : n_name;
    }
    printf("\n%-*s  %-5s  %-20s  %9s\n", n_name, "tensor", "dtype", "shape", "size");
    for (size_t i = 0; i < layout->n; i++) {
        const struct esp_file_tensor *tensor = &layout->tensors[i];
        char shape[64], size[32];
        if (is_pad(tensor))
            continue;
        snprintf(shape, sizeof shape, tensor->n_dims == 2 ? "%" PRIu64 " x %" PRIu64 : "%" PRIu64,
                 tensor->shape[0], tensor->shape[1]);
        printf("%-*s  %-5s  %-20s  %9s\n", n_name, tensor->name, esp_dtype_name(tensor->dtype),
               shape, short_size(tensor->end - tensor->begin, size, sizeof size));
    }
}

enum esp_status snapshot_print_content(const struct esp_snapshot *snapshot,
                                       const struct esp_live_snapshot *live, bool as_json,
                                       struct esp_error *err)
{
    if (as_json)
        return print_json(content_json(snapshot, live), err);
    enum esp_status status =
        print_json(json_loads(esp_snapshot_manifest_text(snapshot), 0, NULL), err);
    if (status == ESP_OK && live != NULL)
        print_rewind(&live->manifest);
    if (status == ESP_OK)
        print_tensors(snapshot);
    return status;
}

void snapshot_print_verdict(const struct esp_snapshot_id *id, const char *why)
{
    printf("%s@%" PRId64 ", run %s: %s\n", id->model, id->number, id->run,
           why == NULL ? "sound" : why);
}
