/* replay.c - runs a fuzz target over its saved corpus as TAP, where libFuzzer is not at hand. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MAX_BYTES = 1 << 26 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of the file in a block of exactly its size, so that reading past its end is noticed. */
static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    struct stat info;
    uint8_t *data = NULL;
    if (fstat(fileno(file), &info) == 0 && info.st_size >= 0 && info.st_size <= MAX_BYTES) {
        *size = (size_t)info.st_size;
        data = malloc(*size > 0 ? *size : 1);
    }
    if (data != NULL && fread(data, 1, *size, file) != *size) {
        free(data);
        data = NULL;
    }
    fclose(file);
    return data;
}

static int replay_file(const char *path, const char *name)
{
    size_t size = 0;
    uint8_t *data = read_whole(path, &size);
    if (data == NULL) {
        printf("not ok - %s cannot be read\n", name);
        return 1;
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    printf("ok - %s is survived\n", name);
    return 0;
}

int main(void)
{
    struct dirent **names = NULL;
    int n = scandir(ESP_CORPUS, &names, NULL, alphasort), n_files = 0, n_failed = 0;
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", ESP_CORPUS, names[i]->d_name);
            n_failed += replay_file(path, names[i]->d_name);
            n_files++;
        }
        free(names[i]);
    }
    free(names);
    if (n_files == 0)
        printf("not ok - the corpus %s is empty\n", ESP_CORPUS);
    printf("1..%d\n", n_files == 0 ? 1 : n_files);
    return n_files == 0 || n_failed > 0;
}
