/*
 * setting_value.h - one setting's text to its value, by type, and what a type is called. Internal
 * to core/: settings.c uses it for the file's values, settings_manual.c for the words.
 */
#ifndef ESP_CORE_SETTING_VALUE_H
#define ESP_CORE_SETTING_VALUE_H

#include "core/settings.h"

enum { ESP_SETTING_WORD_SIZE = 256 };

/*
 * Parses text as the row says and stores it in the field of *target.
 *
 * problem  set if the text is no good: what is wrong and the mend, without the key
 * Errors: ESP_ECONFIG (problem is set, target untouched), ESP_ENOMEM.
 */
enum esp_status esp_setting_store(const struct esp_setting *row, const char *text, void *target,
                                  struct esp_settings_arena *arena, struct esp_error *problem);

/* "span", "number", ... as in "a span". */
const char *esp_setting_type_word(enum esp_setting_type type);

/*
 * The range as a person writes it: "from 1s to 30d", "at least 1"; "" if any value will do.
 * Returns text.
 */
const char *esp_setting_range(const struct esp_setting *row, char text[ESP_SETTING_WORD_SIZE]);

/* The words of a choice, joined: "a, b or c" with each word between two quotes. Returns text. */
const char *esp_setting_choices(const struct esp_setting *row, const char *quote,
                                char text[ESP_SETTING_WORD_SIZE]);

/* Memory of the arena, zeroed, aligned for anything; NULL: out of memory. */
void *esp_settings_arena_take(struct esp_settings_arena *arena, size_t n_bytes);

#endif
