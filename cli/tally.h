/* cli/tally.h - what became of an act on messages, one request after the other */
#ifndef STAGEPOST_CLI_TALLY_H
#define STAGEPOST_CLI_TALLY_H

#include <jansson.h>

#include "base/span.h"
#include "base/ulid.h"
#include "cli/progress.h"
#include "cli/tool.h"

struct tally {
	const char *verb;
	const char *redirect_to; /* release: to this mailbox instead; NULL: no */
	long long changed;
	long long wished; /* in flight: done after the attempt, if the attempt leaves a choice */
	long long refused;
	bool keeps_all; /* for --json: one object a request; else only the last */
	json_t *results;
	struct progress progress;
};

/* With `results` and a line that shows how far it is, `what` it does. */
struct tally tally_make(const struct tool *tool, const char *verb, const char *what);
/* Count what the daemon said; `id`: of the message, or NULL: of several. */
void tally_count(struct tally *tally, const char *id, json_t *answer);
/*
 * One request, and count its answer: that it refuses (404, 409) is one. TOOL_OK,
 * or complained.
 */
int tally_request(struct tool *tool, const char *method, const char *path, const json_t *body,
		  const char *id, struct tally *tally);
/* Say it all, and free `results`. How the tool ends: `ends`, or TOOL_NO where one was refused. */
int tally_finish(const struct tool *tool, int ends, struct tally *tally);

/* An operand, "ID" or "ID/RECIPIENT"; without a recipient that one is empty. TOOL_OK or complained.
 */
int tally_split(const struct tool *tool, const char *text, char id_out[ULID_TEXT_SIZE],
		struct span *recipient_out);

#endif
