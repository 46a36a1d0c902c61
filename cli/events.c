/* cli/events.c - stagepost events: what happens, as it happens */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/text.h"

#define BLOCK_MAX      ((size_t)1024 * 1024)
#define LINE_ROOM      ((size_t)64 * 1024)
#define ID_MAX	       64
#define AGAIN_MS_FIRST 1000
#define AGAIN_MS_MAX   10000

struct listening {
	struct tool *tool;
	struct buf text; /* of a block that has not come to its end */
	json_t *items;	 /* for one document; NULL: printed as they come */
	char last[ID_MAX];
	bool has_begun; /* the daemon has answered once */
	bool failed;	/* the output, or what came is no stream of events */
};

/* --- an event as a line --------------------------------------------------------------------------
 */

/* " by token:qa", or nothing. */
static void add_actor(const json_t *event, struct buf *out)
{
	const char *actor = tool_text(event, "actor");

	if (actor[0] != '\0')
		(void)buf_printf(out, " by %s", actor);
}

static void add_reason(const json_t *event, struct buf *out)
{
	const char *reason = tool_text(event, "reason");

	if (reason[0] != '\0')
		(void)buf_printf(out, ": %s", reason);
}

static void add_accepted(const json_t *event, struct buf *out)
{
	const char *sender = tool_text(event, "sender");
	const char *subject = tool_text(event, "subject");
	long long recipients = tool_number(event, "recipients");
	char size[TEXT_SHORT_SIZE];

	text_size(tool_number(event, "size"), size);
	(void)buf_printf(out, "%s -> %lld recipient%s, %s", sender[0] != '\0' ? sender : "<>",
			 recipients, recipients == 1 ? "" : "s", size);
	if (subject[0] != '\0')
		(void)buf_printf(out, ": %s", subject);
}

static void add_recipient(const json_t *event, struct buf *out)
{
	const json_t *reply = json_object_get(event, "reply");
	const char *route = tool_text(event, "route");

	(void)buf_append_text(out, tool_text(event, "recipient"));
	if (route[0] != '\0')
		(void)buf_printf(out, " by %s", route);
	add_reason(event, out);
	if (json_is_object(reply))
		(void)buf_printf(out, " (%lld %s %s)", tool_number(reply, "code"),
				 tool_text(reply, "enhanced"), tool_text(reply, "text"));
}

static void add_entry(const json_t *event, struct buf *out)
{
	if (tool_text(event, "pattern")[0] == '\0')
		(void)buf_printf(out, "%lld changes", tool_number(event, "changes"));
	else
		(void)buf_printf(out, "%s %s %s", tool_text(event, "action"),
				 tool_text(event, "entry_action"), tool_text(event, "pattern"));
	add_actor(event, out);
}

static void add_delivery(const json_t *event, struct buf *out)
{
	const char *route = tool_text(event, "route");

	(void)buf_append_text(out, route[0] != '\0' ? route : "all of delivery");
	add_actor(event, out);
	add_reason(event, out);
}

static void add_named(const json_t *event, struct buf *out)
{
	(void)buf_printf(out, "%s %s", tool_text(event, "action"), tool_text(event, "name"));
	add_actor(event, out);
}

static void add_lost(const json_t *event, struct buf *out)
{
	if (json_is_integer(json_object_get(event, "count")))
		(void)buf_printf(out, "%lld events", tool_number(event, "count"));
	else
		(void)buf_append_text(out, "nobody knows how many");
	add_reason(event, out);
}

/* The word that stands for it: the member, or with NULL its type. */
static const struct {
	const char *type;
	const char *word;
	void (*add)(const json_t *event, struct buf *out);
} kinds[] = {
	{"accepted", NULL, add_accepted},
	{"verdict", "verdict", add_recipient},
	{"attempt", "event", add_recipient},
	{"state", "event", add_recipient},
	{"deleted", NULL, add_actor},
	{"whitelist", NULL, add_entry},
	{"rule", NULL, add_named},
	{"fault", NULL, add_named},
	{"delivery", "action", add_delivery},
	{"token", NULL, add_named},
	{"lost", NULL, add_lost},
};

/* What a later daemon may tell is shown too, by its type. */
static const char *describe(const json_t *event, struct buf *out)
{
	const char *type = tool_text(event, "type");

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(type, kinds[i].type) == 0) {
			kinds[i].add(event, out);
			return kinds[i].word != NULL ? tool_text(event, kinds[i].word) : type;
		}
	return type;
}

/* As wide as the terminal: colours take no room there. */
static void print_columns(const struct tool *tool, const char *time, const char *word,
			  struct span rest)
{
	const char *colour = tool_has_colours(tool) ? tool_state_colour(word) : NULL;
	size_t width = tool_width();
	size_t used = strlen(time) + 2 + (strlen(word) > 11 ? strlen(word) : 11) + 1;

	if (width > 0)
		rest = text_front(rest, width > used ? width - used : 0);
	printf("%s  %s%s%s%-11s%s %.*s\n", time, colour != NULL ? "\x1b[" : "",
	       colour != NULL ? colour : "", colour != NULL ? "m" : "", word,
	       colour != NULL ? "\x1b[0m" : "", SPAN_ARG(rest));
}

static void print_line(const struct tool *tool, const json_t *event)
{
	const char *at = tool_text(event, "at");
	const char *message = tool_text(event, "message");
	struct buf clean_word;
	struct buf clean;
	struct buf text;
	const char *word;
	char time[16] = "        ";

	buf_init(&text, LINE_ROOM);
	buf_init(&clean, LINE_ROOM * 8);
	buf_init(&clean_word, LINE_ROOM);
	word = describe(event, &text);
	text_clean(&clean_word, span_first(span_of(word), 64));
	/* 2026-11-21T10:20:30.456Z */
	if (strlen(at) == 24)
		snprintf(time, sizeof(time), "%.8s", at + 11);
	if (message[0] != '\0')
		(void)buf_printf(&clean, "%.26s ", message);
	text_clean(&clean, buf_span(&text));
	print_columns(tool, time, clean_word.len > 0 ? clean_word.data : "", buf_span(&clean));
	buf_release(&clean_word);
	buf_release(&clean);
	buf_release(&text);
}

/* --- the stream ----------------------------------------------------------------------------------
 */

/* Takes `event`. */
static void on_event(struct listening *l, json_t *event)
{
	snprintf(l->last, sizeof(l->last), "%s", tool_text(event, "id"));
	if (l->items != NULL)
		(void)json_array_append(l->items, event);
	else if (l->tool->format == TOOL_TEXT)
		print_line(l->tool, event);
	else
		tool_print_json(l->tool, event);
	json_decref(event);
}

/* One block of lines: only the data counts, the rest is in it once more. */
static void on_block(struct listening *l, struct span block)
{
	while (block.len > 0) {
		struct span line = span_cut(&block, '\n');
		json_t *event;

		if (!span_starts_fold(line, "data: "))
			continue;
		line = span_skip(line, strlen("data: "));
		event = json_loadb(line.data, line.len, 0, NULL);
		if (json_is_object(event))
			on_event(l, event);
		else
			json_decref(event);
	}
}

/* Up to the empty line behind the first block; 0: it has not come yet. */
static size_t block_length(const struct buf *text)
{
	for (size_t i = 0; i + 1 < text->len; i++)
		if (text->data[i] == '\n' && text->data[i + 1] == '\n')
			return i + 2;
	return 0;
}

static bool on_bytes(void *ctx, struct span bytes)
{
	struct listening *l = ctx;
	size_t len;

	l->has_begun = true;
	l->failed = buf_append_span(&l->text, bytes) != ERR_OK;
	while (!l->failed && (len = block_length(&l->text)) > 0) {
		on_block(l, span_first(buf_span(&l->text), len));
		buf_consume(&l->text, len);
	}
	/* Whoever reads it wants it now. */
	l->failed |= fflush(stdout) != 0;
	return !l->failed;
}

static void sleep_ms(int64_t ms)
{
	const struct timespec span = {.tv_sec = (time_t)(ms / 1000),
				      .tv_nsec = (long)(ms % 1000) * 1000000L};

	(void)nanosleep(&span, NULL);
}

/* One connection, to its end. */
static int listen_once(struct listening *l, const char *path, struct client_reply *reply_out,
		       struct err *why)
{
	struct client_request request = {.method = "GET",
					 .path = path,
					 .take = on_bytes,
					 .ctx = l,
					 .last_event_id = l->last[0] != '\0' ? l->last : NULL};

	buf_clear(&l->text);
	return client_send(l->tool, &request, reply_out, why);
}

/* Whoever listens wants to go on: a daemon that is started anew, a proxy that cuts. */
static int listen_on(struct listening *l, const char *path, bool follow)
{
	int64_t again_ms = AGAIN_MS_FIRST;

	for (;;) {
		struct client_reply reply = {0};
		struct err why;
		bool had_begun = l->has_begun;
		char last[ID_MAX];
		int code;

		memcpy(last, l->last, sizeof(last));
		code = listen_once(l, path, &reply, &why);
		if (l->failed)
			return tool_fail(TOOL_IO,
					 "the output could not be written, or what answers "
					 "there sends no events");
		if (code == ERR_OK && reply.status != 200 &&
		    !(had_begun && (reply.status == 503 || reply.status == 502))) {
			code = client_refused(&reply);
			json_decref(reply.body);
			return code;
		}
		json_decref(reply.body);
		if (code != ERR_OK && !l->has_begun)
			return client_fail(l->tool, code, &why);
		if (!follow)
			return code == ERR_OK ? TOOL_OK : client_fail(l->tool, code, &why);
		if (strcmp(last, l->last) != 0)
			again_ms = AGAIN_MS_FIRST;
		else if (again_ms == AGAIN_MS_FIRST)
			tool_note("the stream has ended; trying again");
		sleep_ms(again_ms);
		again_ms = again_ms * 2 < AGAIN_MS_MAX ? again_ms * 2 : AGAIN_MS_MAX;
	}
}

static int listen_as_asked(struct tool *tool, const char *types, const char *scope, bool follow)
{
	struct listening l = {.tool = tool};
	struct buf path;
	int ends;

	if (!follow && tool->format == TOOL_JSON)
		l.items = json_array();
	else if (tool->format == TOOL_JSON)
		tool->format = TOOL_LINES; /* a document that never ends is none */
	buf_init(&l.text, BLOCK_MAX);
	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, "/api/v1/events");
	client_add_parameter(&path, "types", types);
	client_add_parameter(&path, "scope", scope);
	client_add_parameter(&path, "follow", follow ? "true" : "false");
	ends = listen_on(&l, path.data, follow);
	if (l.items != NULL && ends == TOOL_OK)
		tool_print_items(tool, l.items);
	json_decref(l.items);
	buf_release(&path);
	buf_release(&l.text);
	return ends;
}

struct events_given {
	const char *types;
	const char *scope;
	bool follow;
};

static int run_events(struct tool *tool, int argc, char **argv)
{
	struct events_given given = {.follow = false};
	int ends = option_read_only(tool, &given, argc, argv);

	return ends == TOOL_OK ? listen_as_asked(tool, given.types, given.scope, given.follow)
			       : ends;
}

static const struct command_option options[] = {
	OPTION_FLAG("--follow", struct events_given, follow, "wait for what happens"),
	OPTION_VALUE("--types", "T,...",
		     "accepted verdict attempt state deleted whitelist rule fault delivery token",
		     struct events_given, types,
		     "only these: accepted, verdict, attempt, state, deleted, whitelist, rule, "
		     "fault, delivery, token"),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct events_given, scope,
		     "only what belongs to this scope"),
	OPTION_END,
};

const struct command command_events = {
	.name = "events",
	.operands = "",
	.summary = "What happens: mail accepted, verdicts, attempts, changes",
	.about = "Prints what the daemon still knows of what happened lately, a line each; with "
		 "--follow\n"
		 "what happens from now on, until it is interrupted. A connection that is lost is "
		 "made\n"
		 "again, and what happened meanwhile is caught up with.\n",
	.options = options,
	.notes = "Times are UTC. With --json or --jsonl and --follow: one JSON document a line.\n",
	.examples = {"stagepost events --follow --types verdict,attempt",
		     "stagepost events --jsonl"},
	.run = run_events,
};
