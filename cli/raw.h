/* cli/raw.h - bytes of somebody's to standard output: as they are, but not to a terminal */
#ifndef STAGEPOST_CLI_RAW_H
#define STAGEPOST_CLI_RAW_H

#include <stdio.h>

/*
 * Standard output itself where it is a file or a pipe. On a terminal a stream
 * that leaves lines and tabs as they are and cleans the rest (cli/text.h): a
 * message must not move its cursor or rename its window.
 */
FILE *raw_open(void);
/* Everything is written then. What could not be shows at standard output (ferror). */
void raw_close(FILE *out);

#endif
