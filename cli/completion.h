/* cli/completion.h - scripts by which a shell completes the tool's command lines */
#ifndef STAGEPOST_CLI_COMPLETION_H
#define STAGEPOST_CLI_COMPLETION_H

#include <stdio.h>

#include "base/span.h"
#include "cli/option.h"
#include "cli/tool.h"

/*
 * Each writes one script, all of it from the table of commands (`commands`
 * ends with NULL) and from common_options. What was said on the line so far is
 * found out in the same way by all three: options and their values are stepped
 * over, words are taken for the command's as long as one may follow, and
 * the others are operands.
 */
void completion_write_bash(const struct command *const *commands, FILE *out);
void completion_write_zsh(const struct command *const *commands, FILE *out);
void completion_write_fish(const struct command *const *commands, FILE *out);

/* --- for these three ------------------------------------------------------------ */

/* "queue" of "queue list"; all of "status". */
struct span completion_first_word(const struct command *command);
/* "list" of "queue list"; empty for "status". */
struct span completion_second_word(const struct command *command);
/* Is commands[i] the first with its first word? */
bool completion_is_new(const struct command *const *commands, size_t i);
/* The help of an option up to where its details begin: what stands in a list of choices. */
struct span completion_short(const char *help);

#endif
