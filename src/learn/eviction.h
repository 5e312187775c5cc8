/* eviction.h - makes room in an embedding table: the rows that were not trained for longest go. */
#ifndef ESP_LEARN_EVICTION_H
#define ESP_LEARN_EVICTION_H

#include "learn/table.h"

/*
 * Evicts n rows, or all but the default rows if there are fewer: those with the smallest time of
 * last training; of equal ones those with the smallest row number. What goes depends on the
 * table's history alone.
 */
void esp_table_evict(struct esp_table *table, size_t n);

#endif
