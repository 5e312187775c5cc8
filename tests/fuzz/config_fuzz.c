/*
 * config_fuzz.c - any bytes as a configuration file, and as the overrides of a command line: what
 * is wrong with it is told in printable lines, and what is accepted gives every stage a
 * configuration.
 *
 * Up to the first NUL stands the file; behind it overrides, one after the other, with a NUL
 * between.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd/config/config.h"
#include "core/check.h"

enum { MAX_OVERRIDES = 16, PATH_BYTES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* (1) a report is one printable line */
static void check_report(void *context, const char *line)
{
    size_t *n_reports = context;
    ++*n_reports;
    ESP_CHECK(1, line[0] != '\0');
    for (const char *c = line; *c != '\0'; c++)
        ESP_CHECK(1, (unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* What an accepted configuration is asked for. */
static void use(struct config *config)
{
    struct esp_buf text;
    char run[CONFIG_RUN_SIZE];
    esp_buf_init(&text, 1 << 20);
    ESP_CHECK(2, config->n_models > 0 && config->n_features > 0);
    for (int follow = 0; follow <= 1; follow++)
        config_settle(config, follow);
    config_sampler(config);
    for (size_t i = 0; i < config->n_models; i++) {
        config_learner(config, i);
        ESP_CHECK(3, config_run(config, i, run, NULL) == ESP_OK);
        ESP_CHECK(3, strlen(run) == CONFIG_RUN_SIZE - 1);
    }
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        config_decoder(config, (enum esp_event_kind)kind);
    enum esp_status status = config_state(config, &text, NULL);
    ESP_CHECK(4, status == ESP_OK || status == ESP_ELIMIT);
    esp_buf_release(&text);
}

static size_t split(char *text, size_t size, char *overrides[MAX_OVERRIDES])
{
    size_t n = 0;
    for (size_t at = 0; at < size && n < MAX_OVERRIDES; at += strlen(text + at) + 1)
        overrides[n++] = text + at;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    size_t n_file = nul == NULL ? size : (size_t)(nul - data);
    char path[PATH_BYTES], *overrides[MAX_OVERRIDES], *rest = calloc(1, size - n_file + 1);
    int fd = memfd_create("config", MFD_CLOEXEC);
    ESP_CHECK(5, rest != NULL && fd >= 0 && write(fd, data, n_file) == (ssize_t)n_file);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (nul != NULL)
        memcpy(rest, nul + 1, size - n_file - 1);
    size_t n = nul == NULL ? 0 : split(rest, size - n_file - 1, overrides), n_reports = 0;
    struct config config = {0};
    struct esp_error err = {0};
    enum esp_status status =
        config_load(&config, path, overrides, n, check_report, &n_reports, &err);
    /* (6) a failure has a line of its own, and a problem is a failure */
    ESP_CHECK(6, (status == ESP_OK) == (err.text[0] == '\0'));
    ESP_CHECK(6, status != ESP_OK || n_reports == 0);
    if (status == ESP_OK)
        use(&config);
    config_release(&config);
    free(rest);
    close(fd);
    return 0;
}
