/* cli/help.h - what --help prints, all of it from the table of commands */
#ifndef STAGEPOST_CLI_HELP_H
#define STAGEPOST_CLI_HELP_H

#include <stdio.h>

#include "cli/tool.h"

/* --help of one command, to standard output. */
void help_print(const struct command *command);
/* "Usage: stagepost queue list [--state STATE] …", in lines of at most 80 columns. */
void help_print_usage(const struct command *command, FILE *out);
/* stagepost --help: every command (`commands` ends with NULL) and the common options. */
void help_print_all(const struct command *const *commands, FILE *out);
/* The usage of each command of a group, such as "queue". */
void help_print_group(const struct command *const *commands, const char *group, FILE *out);

#endif
