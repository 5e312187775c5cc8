/* drift_words.h - how drift reports name things, for the terminal, JSON and the page alike. */
#ifndef ESP_CMD_DRIFT_DRIFT_WORDS_H
#define ESP_CMD_DRIFT_DRIFT_WORDS_H

#include "drift/pooled.h"

enum { DRIFT_TEXT_SIZE = 640 };

/* "Clicks", "Installs after a click", "Installs"; and of sentences: "clicks". */
const char *drift_task_title(enum esp_drift_task task);
const char *drift_task_noun(enum esp_drift_task task);

/* "0 h", "24 h", "30 min": ages keep one unit, so that they can be compared. Returns text. */
const char *drift_age_text(int64_t age_us, char text[DRIFT_TEXT_SIZE]);

/* The model's name; with its run, or its windows' length, where the report has others of that
 * name. Returns text. */
const char *drift_label(const struct esp_drift_report *report, const struct esp_drift_entry *entry,
                        char text[DRIFT_TEXT_SIZE]);

/* Decimals that show four digits of a loss of this size. */
int drift_decimals(const struct esp_figure *loss);

/* Decimals of an entry's differences of losses: enough for two digits of an interval's half. */
int drift_difference_decimals(const struct esp_drift_entry *entry);

/* "0.0021", "0.0021 (0.0012 to 0.0030)", or "-". Returns text. */
const char *drift_value_text(const struct esp_figure *figure, int decimals,
                             char text[DRIFT_TEXT_SIZE]);
const char *drift_interval_text(const struct esp_figure *figure, int decimals,
                                char text[DRIFT_TEXT_SIZE]);

/* What a reader should take away of one model's curve, in a sentence. Returns text. */
const char *drift_conclusion(const struct esp_drift_entry *entry, char text[DRIFT_TEXT_SIZE]);

/* What the curve is made of: "7 whole days, 168 windows of 1 h, ...". Returns text. */
const char *drift_basis(const struct esp_drift_entry *entry, char text[DRIFT_TEXT_SIZE]);

/* How to read drift loss: one sentence a line, NULL at the end. */
extern const char *const drift_explanation[];

#endif
