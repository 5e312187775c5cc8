/* fault.c - see fault.h. Written at most once a run, so plain and slow. */
#include "learn/fault.h"

#include <inttypes.h>
#include <math.h>

#include "core/atomic_file.h"

static void write_number(FILE *file, double x)
{
    if (isfinite(x))
        fprintf(file, "%.9g", x);
    else
        fputs("null", file);
}

static void write_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(file, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(file, "\\u%04x", (unsigned char)*text);
        else
            fputc(*text, file);
    }
    fputc('"', file);
}

static void write_features(FILE *file, const struct esp_feature_batch *features, size_t row,
                           const char *const *names)
{
    for (size_t f = 0; f < features->n_features; f++) {
        const uint32_t *begin = &features->begin[row * features->n_features + f];
        fputs(f > 0 ? ", " : "", file);
        write_text(file, names[f]);
        fputs(": [", file);
        for (size_t p = begin[0]; p < begin[1]; p++) {
            fprintf(file, "%s[\"%016" PRIx64 "\", ", p > begin[0] ? ", " : "", features->keys[p]);
            write_number(file, features->coefficients[p]);
            fputc(']', file);
        }
        fputc(']', file);
    }
}

static void write_row(FILE *file, const struct esp_row_info *info,
                      const struct esp_feature_batch *features, const struct esp_setup *setup,
                      const char *const *names, const float *logits)
{
    static const char *const STAGES[] = {"click", "install", "whole"};
    static const char *const HEADS[ESP_N_HEADS] = {"ctr", "cvr", "ctcvr"};
    fprintf(file,
            "{\"id_hash\": \"%016" PRIx64 "\", \"impression_us\": %" PRId64 ", \"due_us\": %" PRId64
            ", \"stage\": \"%s\", \"y\": %d, \"z\": %d, \"holdout\": %s, \"terms\": %u",
            info->id_hash, info->impression_us, info->due_us, STAGES[info->stage % 3], info->y,
            info->z, info->holdout ? "true" : "false", info->terms);
    fputs(", \"weight\": ", file);
    write_number(file, info->weight);
    fputs(", \"base_weight\": ", file);
    write_number(file, info->base_weight);
    if (info->feature_row != ESP_NO_FEATURES) {
        for (size_t h = 0; h < ESP_N_HEADS; h++) {
            if (!setup->has_head[h])
                continue;
            fprintf(file, ", \"%s_logit\": ", HEADS[h]);
            write_number(file, logits[info->feature_row * ESP_N_HEADS + h]);
        }
        fputs(", \"features\": {", file);
        write_features(file, features, info->feature_row, names);
        fputc('}', file);
    }
    fputs("}\n", file);
}

static void make_path(const char *folder, const char *model, uint64_t step, char *path,
                      size_t path_size)
{
    char name[64];
    size_t n = 0;
    for (; model[n] && n + 1 < sizeof(name); n++) {
        char c = model[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_';
        name[n] = plain ? c : '_';
    }
    name[n] = '\0';
    snprintf(path, path_size, "%s/%s-step-%" PRIu64 ".jsonl", folder, name, step);
}

void esp_fault_write(const char *folder, const char *model, uint64_t step, const char *reason,
                     const struct esp_setup *setup, const char *const *feature_names,
                     const struct esp_rows *rows, const float *logits, char *path, size_t path_size)
{
    make_path(folder, model, step, path, path_size);
    struct esp_atomic_file whole;
    FILE *file = esp_atomic_file_open(&whole, path, NULL) == ESP_OK
                     ? esp_atomic_file_stream(&whole, NULL)
                     : NULL;
    if (!file) {
        esp_atomic_file_abandon(&whole);
        path[0] = '\0';
        return;
    }
    fputs("{\"model\": ", file);
    write_text(file, model);
    fprintf(file, ", \"setup\": \"%s\", \"step\": %" PRIu64 ", \"examples\": %zu, \"reason\": ",
            setup->name, step, rows->n);
    write_text(file, reason);
    fputs("}\n", file);
    for (size_t i = 0; i < rows->n; i++)
        write_row(file, &rows->infos[i], &rows->features, setup, feature_names, logits);
    if (esp_atomic_file_close(&whole, ESP_OK, NULL) != ESP_OK)
        path[0] = '\0';
}
