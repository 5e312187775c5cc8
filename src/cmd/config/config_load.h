/*
 * config_load.h - what the parts that load a configuration share. Inside cmd/config/config*.c only.
 */
#ifndef ESP_CMD_CONFIG_CONFIG_LOAD_H
#define ESP_CMD_CONFIG_CONFIG_LOAD_H

#include "cmd/config/config.h"

/* Where problems go while a configuration is loaded. */
struct config_loader {
    struct config *config;
    esp_ini_report *report;
    void *context;
    size_t n_problems;
};

/* An esp_ini_report whose context is a loader: counts a problem and passes it on. */
void config_report(void *loader, const char *line);

/* One problem that names the entry if there is one, else the section; key may be NULL. */
void config_problem(struct config_loader *loader, const char *section, const char *key,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

enum { CONFIG_KEY_SIZE = 256 };

/* True for KEY_file where that is another form of KEY, which it writes to key. */
bool config_is_secret_file(const struct esp_ini_entry *entry, char key[CONFIG_KEY_SIZE]);

/*
 * Reads every KEY_file of [kafka] and [schema], and adds KEY with what it holds, as if it stood in
 * the same place. A file that everybody may read is a line, and no problem.
 * Problems are reported. Errors: ESP_ENOMEM, ESP_ECONFIG (too many keys).
 */
enum esp_status config_load_secrets(struct config_loader *loader, struct esp_error *err);

/* Every section that is a model, in the order of the file; none: one with the defaults.
 * Errors: ESP_ECONFIG (reported), ESP_ENOMEM. */
enum esp_status config_load_models(struct config_loader *loader, struct esp_error *err);

/* The features and the fields that they read, then those that drift reads beside them.
 * Problems are reported. Errors: ESP_ENOMEM. */
enum esp_status config_load_features(struct config_loader *loader, struct esp_error *err);
void config_load_drift(struct config_loader *loader);

#endif
