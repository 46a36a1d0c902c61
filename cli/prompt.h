/* cli/prompt.h - what only a person can say: a secret, or yes */
#ifndef STAGEPOST_CLI_PROMPT_H
#define STAGEPOST_CLI_PROMPT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define PROMPT_MAX 1024

/*
 * From a terminal: asked for with `question`, twice, without echo. Otherwise
 * the first line of standard input, without its line end. Appended; the caller
 * wipes it. ERR_SYNTAX: there is none, or the second is another. ERR_LIMIT,
 * ERR_IO. A signal that ends the process gives the echo back first.
 */
int prompt_secret(const char *question, struct buf *secret_out, struct err *why);

/* On a terminal: `question`, and whether what is typed begins with a y. The end of input is no. */
bool prompt_yes(const char *question);

#endif
