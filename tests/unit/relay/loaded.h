/* tests/unit/relay/loaded.h - a configuration read from a text, and what was said about it */
#ifndef STAGEPOST_TESTS_UNIT_RELAY_LOADED_H
#define STAGEPOST_TESTS_UNIT_RELAY_LOADED_H

#include <stddef.h>

#include "base/buf.h"
#include "relay/config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct loaded {
	char path[64];
	struct config *config;
	struct config_report report;
	int code;
	struct buf notes; /* "3:5 warning key: sentence", one a line; no file name */
};

/* A configuration with every form that a value can have. */
extern const char full_config[];

/* A new file in /tmp; whoever asked for it unlinks it. */
void write_file(char path[64], const char *text);

/* `text` NULL: no file. */
void load(struct loaded *loaded, const char *text, const char *const *overrides, size_t count);
/* Removes the file too. */
void loaded_release(struct loaded *loaded);
/* All of `notes`; "" when there are none. */
const char *notes_of(const struct loaded *loaded);

#endif
