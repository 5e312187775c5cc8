/* arguments.c - see arguments.h. */
#include "cmd/config/arguments.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/buf.h"
#include "core/logger.h"

static const struct argp_option common_options[] = {
    {"config", 'c', "FILE", 0, "The configuration (default: espalier.ini)", 0},
    {"option", 'o', "SECTION.KEY=VALUE", 0, "Override one entry of the configuration", 0},
    {0},
};

static error_t parse_common(int key, char *text, struct argp_state *state)
{
    struct common_arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        arguments->config_path = "espalier.ini";
        return 0;
    case 'c':
        arguments->config_path = text;
        arguments->config_given = true;
        return 0;
    case 'o':
        if (strchr(text, '=') == NULL) /* what comes next may be a value, and is not repeated */
            argp_error(state, "-o %.*s: write section.key=value", (int)strcspn(text, ": \t"), text);
        if (esp_array_grow((void **)&arguments->overrides, &arguments->capacity,
                           arguments->n_overrides + 1, sizeof *arguments->overrides,
                           NULL) != ESP_OK)
            return ENOMEM;
        arguments->overrides[arguments->n_overrides++] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp common_argp = {.options = common_options, .parser = parse_common};

void common_arguments_release(struct common_arguments *arguments)
{
    free(arguments->overrides);
    arguments->overrides = NULL;
}

enum esp_status parse_arguments(const struct argp *argp, int argc, char **argv, void *input,
                                struct esp_error *err)
{
    argp_err_exit_status = EX_USAGE;
    if (argp_parse(argp, argc, argv, 0, NULL, input) == 0)
        return ESP_OK;
    return esp_fail(err, ESP_ENOMEM, "out of memory for the command line");
}

static void print_problem(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

enum esp_status load_configuration(struct config *config, const struct common_arguments *arguments,
                                   struct esp_error *err)
{
    return config_load(config, arguments->config_path, arguments->overrides, arguments->n_overrides,
                       print_problem, NULL, err);
}

int exit_with(const struct esp_error *err)
{
    if (err->status == ESP_OK)
        return EX_OK;
    fprintf(stderr, "espalier: %s\n", err->text);
    return esp_status_exit_code(err->status);
}

void report_log_event(void *context, const struct esp_log_event *event)
{
    (void)context;
    esp_log(event->level == ESP_LOG_PROBLEM ? ESP_WARN : ESP_INFO, event->text, NULL);
}
