/* replay.c - runs a fuzz target over its saved corpus as TAP, where libFuzzer is not at hand. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, const char *name)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        printf("not ok - %s: %s\n", name, strerror(errno));
        return 1;
    }
    size_t capacity = 1 << 22;
    uint8_t *data = malloc(capacity);
    size_t size = data == NULL ? 0 : fread(data, 1, capacity, file);
    fclose(file);
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
