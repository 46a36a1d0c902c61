/* cli/whitelist_file.h - lists in files, as `stagepost whitelist import` and `apply` take them */
#ifndef STAGEPOST_CLI_WHITELIST_FILE_H
#define STAGEPOST_CLI_WHITELIST_FILE_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/option.h"
#include "cli/tool.h"
#include "relay/filter/listing.h"

/* A file (or "-": standard input) and what it is in. TOOL_OK, or complained. */
struct list_file {
	const char *name;
	enum listing_format format;
	struct buf text;
};
#define LIST_FILE_FORMAT(type, member)                                                             \
	OPTION_VALUE("--format", "FORMAT", "text csv json maildev mailpit", type, member,          \
		     LISTING_FORMATS                                                               \
		     "; usually known by the file's name (.csv, .json), else text")

/* The options into `given`, and one operand that names a file. */
int list_file_options(struct tool *tool, void *given, int argc, char **argv);
/* `format` as on the command line; NULL: by the name's end, else text. */
int list_file_read(const struct tool *tool, const char *name, const char *format,
		   struct list_file *file_out);
void list_file_release(struct list_file *file);

/* "12 added, 3 unchanged": what is 0 is left out. */
struct list_count {
	const char *what;
	long long count;
};
void list_print_counts(const char *prefix, const struct list_count *counts, size_t count);

/* What it means: the sentence, and each warning on standard error. */
void list_print_advice(const json_t *advice);

#endif
