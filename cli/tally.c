/* cli/tally.c - what became of an act on messages, one request after the other */
#include <config.h>

#include "cli/tally.h"

#include <stdio.h>

#include "base/err.h"
#include "cli/client.h"

struct tally tally_make(const struct tool *tool, const char *verb, const char *what)
{
	return (struct tally){.verb = verb,
			      .keeps_all = tool->format != TOOL_TEXT,
			      .results = json_array(),
			      .progress = progress_make(tool, what)};
}

void tally_count(struct tally *tally, const char *id, json_t *answer)
{
	tally->changed += tool_number(answer, "changed");
	tally->wished += tool_number(answer, "wished");
	tally->refused += tool_number(answer, "refused");
	if (tool_number(answer, "refused") > 0) {
		progress_wipe(&tally->progress);
		tool_note("%s: %s", id != NULL ? id : "refused", tool_text(answer, "detail"));
	}
	if (id != NULL)
		(void)json_object_set_new(answer, "message", json_string(id));
	if (!tally->keeps_all)
		(void)json_array_clear(tally->results);
	(void)json_array_append(tally->results, answer);
}

/* 404 and 409 are answers too: the others still get their turn. */
static bool is_refusal(long status)
{
	return status == 404 || status == 409;
}

int tally_request(struct tool *tool, const char *method, const char *path, const json_t *body,
		  const char *id, struct tally *tally)
{
	struct client_reply reply;
	struct err why;
	int code = client_call(tool, method, path, body, &reply, &why);

	if (code != ERR_OK)
		return client_fail(tool, code, &why);
	code = TOOL_OK;
	if (is_refusal(reply.status)) {
		const char *detail = tool_text(reply.body, "detail");
		json_t *answer = json_pack("{s:i, s:i, s:i, s:s}", "changed", 0, "wished", 0,
					   "refused", 1, "detail", detail);

		tally_count(tally, id, answer);
		json_decref(answer);
	} else if (reply.status == 202) { /* RFC 9110 15.3.3: noted, and not done yet */
		json_t *answer = json_pack("{s:i, s:i, s:i, s:s}", "changed", 0, "wished", 1,
					   "refused", 0, "detail", tool_text(reply.body, "detail"));

		tally_count(tally, id, answer);
		json_decref(answer);
	} else if (reply.status < 200 || reply.status > 299) {
		code = client_refused(&reply);
	} else if (reply.body == NULL) {
		json_t *answer = json_pack("{s:i, s:i, s:i, s:n}", "changed", 1, "wished", 0,
					   "refused", 0, "detail");

		tally_count(tally, id, answer);
		json_decref(answer);
	} else {
		tally_count(tally, id, reply.body);
	}
	json_decref(reply.body);
	return code;
}

/* "1 done" of a retry is not the whole truth while nothing leaves. */
static void note_pause(const struct tool *tool, const struct tally *tally)
{
	const json_t *last = json_array_get(tally->results, json_array_size(tally->results) - 1);
	char pause[TOOL_PAUSE_SIZE];

	tool_pause_text(json_object_get(last, "delivery"), "reason", pause);
	if (tool->format == TOOL_TEXT && pause[0] != '\0')
		tool_note("delivery is %s", pause);
}

int tally_finish(const struct tool *tool, int ends, struct tally *tally)
{
	progress_wipe(&tally->progress);
	if (tool->format != TOOL_TEXT && json_array_size(tally->results) > 0)
		tool_print_items(tool, tally->results);
	else if (tool->format == TOOL_TEXT && ends == TOOL_OK) {
		printf("%s: %lld done", tally->verb, tally->changed);
		if (tally->wished > 0)
			printf(", %lld in flight: when the attempt is over", tally->wished);
		if (tally->refused > 0)
			printf(", %lld refused", tally->refused);
		printf("\n");
	}
	note_pause(tool, tally);
	json_decref(tally->results);
	if (ends == TOOL_OK && (tally->refused > 0 || tally->changed + tally->wished == 0))
		return TOOL_NO;
	return ends;
}

/* --- operands ---------------------------------------------------------------- */

/* "ID" or "ID/RECIPIENT". */
int tally_split(const struct tool *tool, const char *text, char id_out[ULID_TEXT_SIZE],
		struct span *recipient_out)
{
	struct span rest = span_of(text);
	bool has_recipient = span_find(rest, '/') < rest.len;
	struct ulid id;

	if (ulid_parse(span_cut(&rest, '/'), &id) != ERR_OK || (has_recipient && rest.len == 0))
		return tool_misuse(tool,
				   "\"%s\" is neither a message id nor ID/RECIPIENT; stagepost "
				   "queue list shows the ids",
				   text);
	ulid_format(&id, id_out);
	*recipient_out = rest;
	return TOOL_OK;
}
