/* relay/config_print.h - one value of a configuration as YAML */
#ifndef STAGEPOST_RELAY_CONFIG_PRINT_H
#define STAGEPOST_RELAY_CONFIG_PRINT_H

#include "base/buf.h"
#include "relay/config_key.h"

/* Stands in place of a secret. */
#define CONFIG_HIDDEN "(hidden)"

/*
 * Append the value of a scalar or list key as it stands behind "name: ", on
 * one line. `base` is the struct of the key's table. Not for sections and items.
 */
void config_print_value(const struct config_key *key, const char *base, struct buf *out);

/* The array behind a CONFIG_ITEMS key and its length. */
const char *config_items(const struct config_key *key, const char *base, size_t *count_out);

#endif
