/* cli/queue.c - stagepost queue list, show, cat, stats */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/option.h"
#include "cli/raw.h"
#include "cli/source.h"
#include "cli/text.h"

#define USUAL_LIMIT 100
#define PAIR_SIZE   1100
#define WORDS_ROOM  4096

/* --- list -------------------------------------------------------------------- */

static const struct table_column list_columns[] = {
	{"ID", false, 0, 0, NULL},
	{"AGE", true, 0, 4, NULL},
	{"SIZE", true, 0, 7, NULL},
	{"STATE", false, 0, 0, tool_state_colour},
	{"TRIES", true, 0, 6, NULL},
	{"NEXT", true, 0, 5, NULL},
	{"SENDER → RECIPIENT", false, 20, 0, NULL},
	{"REASON", false, 12, 3, NULL},
};

static void format_next(const json_t *item, char text_out[TEXT_SHORT_SIZE])
{
	long long at = tool_time(item, "next_attempt_at");

	text_out[0] = '\0';
	if (at != 0)
		text_duration(at - clock_wall_ms(), text_out);
}

/* It waits for more than time: a route that is paused or whose next hop rests. */
static bool is_parked(const json_t *item)
{
	const char *state = tool_text(item, "state");

	return (strcmp(state, "queued") == 0 || strcmp(state, "deferred") == 0) &&
	       tool_time(item, "next_attempt_at") == 0;
}

/* What a person wants to know first: the remote's words if there are any, else our reason. */
static void format_reason(const json_t *item, char *text_out, size_t size)
{
	const json_t *reply = json_object_get(item, "last_reply");

	if (json_is_object(reply) && !is_parked(item))
		snprintf(text_out, size, "%lld %s", tool_number(reply, "code"),
			 tool_text(reply, "text"));
	else
		snprintf(text_out, size, "%s", tool_text(item, "reason"));
}

static void add_recipient(struct table *table, const json_t *item)
{
	const char *sender = tool_text(item, "sender");
	char age[TEXT_SHORT_SIZE];
	char size[TEXT_SHORT_SIZE];
	char next[TEXT_SHORT_SIZE];
	char tries[24];
	char pair[PAIR_SIZE];
	char reason[PAIR_SIZE];

	tool_age(item, "received_at", age);
	text_size(tool_number(item, "size"), size);
	format_next(item, next);
	snprintf(tries, sizeof(tries), "%lld", tool_number(item, "attempts"));
	snprintf(pair, sizeof(pair), "%s → %s", sender[0] != '\0' ? sender : "<>",
		 tool_text(item, "address"));
	format_reason(item, reason, sizeof(reason));
	table_add(table, (const char *[]){tool_text(item, "message"), age, size,
					  tool_text(item, "state"), tries, next, pair, reason});
}

static void print_recipients(const struct tool *tool, const json_t *items)
{
	struct table *table =
		table_new(list_columns, sizeof(list_columns) / sizeof(list_columns[0]));
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)items, i, item) add_recipient(table, item);
	tool_print_table(tool, table);
	table_free(&table);
}

/* The operands, with blanks between them, are --match. */
static int read_words(const struct tool *tool, int count, char **argv, struct buf *words,
		      struct filter_options *filter)
{
	if (count > 0 && filter->q != NULL)
		return tool_misuse(tool, "--match and words beside it are one too many");
	for (int i = 0; i < count; i++)
		if (buf_append_text(words, i > 0 ? " " : "") != ERR_OK ||
		    buf_append_text(words, argv[i]) != ERR_OK)
			return tool_misuse(tool, "these are more words than can be looked for");
	if (words->len > 0)
		filter->q = words->data;
	return TOOL_OK;
}

static int list(struct tool *tool, const struct filter_options *given)
{
	struct source_filter filter;
	json_t *items;
	bool more = false;
	int ends = filter_read(tool, given, USUAL_LIMIT, &filter);

	if (ends == TOOL_OK)
		ends = source_recipients(tool, &filter, &items, &more);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else if (json_array_size(items) > 0)
		print_recipients(tool, items);
	if (json_array_size(items) == 0)
		ends = tool_fail(TOOL_NO, filter_is_empty(given) ? "the queue is empty"
								 : "no recipient matches");
	else if (more)
		tool_note("there are more; --limit N shows N of them, --limit 0 all");
	json_decref(items);
	return ends;
}

struct list_given {
	struct filter_options filter;
};

static int run_list(struct tool *tool, int argc, char **argv)
{
	struct list_given given = {{0}};
	struct buf words;
	int count;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	buf_init(&words, WORDS_ROOM);
	ends = read_words(tool, count, argv, &words, &given.filter);
	if (ends == TOOL_OK)
		ends = list(tool, &given.filter);
	buf_release(&words);
	return ends;
}

static const struct command_option list_options[] = {
	FILTER_OPTIONS(struct list_given),
	FILTER_LIMIT(struct list_given, "at most N; 0 for all (usual: 100)"),
	OPTION_END,
};

const struct command command_queue_list = {
	.name = "queue list",
	.operands = "[WORD...]",
	.summary = "Recipients in the queue, newest first, one line each",
	.options = list_options,
	.notes = "Each WORD is one of --match.\n"
		 "With no daemon running the database itself is read.\n",
	.examples = {"stagepost queue list --state dropped --since 24h",
		     "stagepost queue list --limit 0 --jsonl invoice bob@example.com"},
	.run = run_list,
};

/* --- show -------------------------------------------------------------------- */

static int read_id(const struct tool *tool, const char *text, struct ulid *id_out)
{
	if (ulid_parse(span_of(text), id_out) == ERR_OK)
		return TOOL_OK;
	return tool_misuse(tool,
			   "\"%s\" is no message id; stagepost queue list shows them in its first "
			   "column",
			   text);
}

/* The one operand of show and cat. */
static int read_one_id(struct tool *tool, void *given, int argc, char **argv, struct ulid *id_out)
{
	int count;
	int ends = option_read(tool, given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool, "one message id is needed");
	return read_id(tool, argv[0], id_out);
}

static void print_tls(const json_t *client)
{
	const json_t *certificate = json_object_get(client, "certificate");
	const char *subject = tool_text(certificate, "subject");
	char line[PAIR_SIZE];

	tool_print_field("TLS", tool_text(client, "tls"));
	if (!json_is_object(certificate))
		return;
	snprintf(line, sizeof(line), "%s%sSHA256:%s", subject, subject[0] != '\0' ? " " : "",
		 tool_text(certificate, "sha256"));
	tool_print_field("Certificate", line);
}

static void print_envelope(const json_t *message)
{
	const json_t *client = json_object_get(message, "client");
	const char *sender = tool_text(message, "sender");
	const json_t *added;
	size_t i;
	char line[PAIR_SIZE];
	char size[TEXT_SHORT_SIZE];
	char age[TEXT_SHORT_SIZE];

	tool_pause_text(json_object_get(message, "delivery"), "reason", line);
	if (line[0] != '\0')
		tool_print_field("Delivery", line);
	tool_print_field("Message", tool_text(message, "id"));
	tool_age(message, "received_at", age);
	snprintf(line, sizeof(line), "%s (%s ago)", tool_text(message, "received_at"), age);
	tool_print_field("Received", line);
	tool_print_field("Sender", sender[0] != '\0' ? sender : "<>");
	snprintf(line, sizeof(line), "%s%s%s%s by %s", tool_text(client, "address"),
		 tool_text(client, "helo")[0] != '\0' ? " (" : "", tool_text(client, "helo"),
		 tool_text(client, "helo")[0] != '\0' ? ")" : "", tool_text(client, "protocol"));
	tool_print_field("Client", line);
	tool_print_field("Host name", tool_text(client, "name"));
	tool_print_field("User", tool_text(client, "user"));
	print_tls(client);
	tool_print_field("Listener", tool_text(message, "listener"));
	tool_print_field("Scope", tool_text(message, "scope"));
	tool_print_field("Origin", tool_text(message, "origin"));
	text_size(tool_number(message, "size"), size);
	snprintf(line, sizeof(line), "%s (%lld octets)", size, tool_number(message, "size"));
	tool_print_field("Size", line);
	snprintf(line, sizeof(line), "removed by retention at %s",
		 tool_text(message, "content_removed_at"));
	if (tool_text(message, "content_removed_at")[0] != '\0')
		tool_print_field("Content", line);
	tool_print_field("Subject", tool_text(message, "subject"));
	tool_print_field("Message-ID", tool_text(message, "message_id"));
	if (tool_number(message, "bare_lf") + tool_number(message, "bare_cr") > 0) {
		snprintf(line, sizeof(line), "%lld bare LF and %lld bare CR made CRLF",
			 tool_number(message, "bare_lf"), tool_number(message, "bare_cr"));
		tool_print_field("Line ends", line);
	}
	json_array_foreach(json_object_get(message, "added_fields"), i, added)
	{
		tool_print_field("Added by us", json_string_value(added));
	}
}

static void print_attachment(const json_t *attachment)
{
	const char *name = tool_text(attachment, "name");
	char line[PAIR_SIZE];
	char size[TEXT_SHORT_SIZE];

	text_size(tool_number(attachment, "size"), size);
	snprintf(line, sizeof(line), "part %s: %s%s%s, %s", tool_text(attachment, "part"), name,
		 name[0] != '\0' ? ", " : "", tool_text(attachment, "type"), size);
	tool_print_field("Attached", line);
}

/* What queue cat can show of it. */
static void print_content(const json_t *content)
{
	const char *text = tool_text(content, "text");
	const char *html = tool_text(content, "html");
	const json_t *one;
	char line[PAIR_SIZE];
	size_t i;

	snprintf(line, sizeof(line), "%s%s%s%s%s", text[0] != '\0' ? "text is part " : "", text,
		 text[0] != '\0' && html[0] != '\0' ? ", " : "",
		 html[0] != '\0' ? "HTML is part " : "", html);
	tool_print_field("Body", line);
	json_array_foreach(json_object_get(content, "attachments"), i, one) print_attachment(one);
}

static void add_part(char *line, size_t size, const char *before, const char *text)
{
	size_t len = strlen(line);

	if (text[0] != '\0' && len < size)
		snprintf(line + len, size - len, "%s%s", before, text);
}

static void print_history_item(const json_t *item)
{
	const json_t *reply = json_object_get(item, "reply");
	char line[PAIR_SIZE] = "";
	char number[32];

	add_part(line, sizeof(line), "", tool_text(item, "at"));
	add_part(line, sizeof(line), "  ", tool_text(item, "event"));
	if (strcmp(tool_text(item, "state"), tool_text(item, "event")) != 0)
		add_part(line, sizeof(line), ", now ", tool_text(item, "state"));
	add_part(line, sizeof(line), ", trouble: ", tool_text(item, "kind"));
	add_part(line, sizeof(line), ": ", tool_text(item, "reason"));
	/* Often the reason quotes it already. */
	if (json_is_object(reply) &&
	    strstr(tool_text(item, "reason"), tool_text(reply, "text")) == NULL) {
		snprintf(number, sizeof(number), "%lld", tool_number(reply, "code"));
		add_part(line, sizeof(line), "; the next hop said ", number);
		add_part(line, sizeof(line), " ", tool_text(reply, "enhanced"));
		add_part(line, sizeof(line), " ", tool_text(reply, "text"));
	}
	add_part(line, sizeof(line), ", at ", tool_text(item, "remote"));
	add_part(line, sizeof(line), ", TLS: ", tool_text(item, "tls"));
	add_part(line, sizeof(line), ", by ", tool_text(item, "actor"));
	tool_print_field("   ", line);
}

static void print_recipient(const struct tool *tool, const json_t *recipient)
{
	const char *state = tool_text(recipient, "state");
	const char *colour = tool_has_colours(tool) ? tool_state_colour(state) : NULL;
	const json_t *history = json_object_get(recipient, "history");
	char line[PAIR_SIZE] = "";
	char next[TEXT_SHORT_SIZE];
	json_t *item;
	size_t i;

	if (colour != NULL)
		printf("\n\033[%sm%-12s\033[0m ", colour, state);
	else
		printf("\n%-12s ", state);
	add_part(line, sizeof(line), "", tool_text(recipient, "address"));
	add_part(line, sizeof(line), ": ", tool_text(recipient, "reason"));
	add_part(line, sizeof(line), "; nearest entry ", tool_text(recipient, "nearest"));
	add_part(line, sizeof(line), "; instead: ", tool_text(recipient, "redirect_to"));
	add_part(line, sizeof(line), "; added by ", tool_text(recipient, "origin"));
	add_part(line, sizeof(line), "; asked for while in flight: ", tool_text(recipient, "wish"));
	format_next(recipient, next);
	add_part(line, sizeof(line), "; next attempt in ", next);
	tool_print_clean(line);
	json_array_foreach((json_t *)(uintptr_t)history, i, item) print_history_item(item);
}

static void print_message(const struct tool *tool, const json_t *message)
{
	char line[PAIR_SIZE];
	json_t *one;
	size_t i;

	print_envelope(message);
	print_content(json_object_get(message, "content"));
	json_array_foreach(json_object_get(message, "recipients"), i, one)
		print_recipient(tool, one);
	if (json_array_size(json_object_get(message, "header")) > 0)
		printf("\n");
	json_array_foreach(json_object_get(message, "header"), i, one)
	{
		printf("    ");
		snprintf(line, sizeof(line), "%s: %s", tool_text(one, "name"),
			 tool_text(one, "value"));
		tool_print_clean(line);
	}
}

static int run_show(struct tool *tool, int argc, char **argv)
{
	struct ulid id;
	json_t *message;
	int ends = read_one_id(tool, NULL, argc, argv, &id);

	if (ends == TOOL_OK)
		ends = source_message(tool, &id, &message);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format == TOOL_TEXT)
		print_message(tool, message);
	else
		tool_print_json(tool, message);
	json_decref(message);
	return TOOL_OK;
}

const struct command command_queue_show = {
	.name = "queue show",
	.operands = "ID",
	.summary = "A message: envelope, every verdict and attempt, header",
	.notes = "With no daemon running the database itself is read.\n",
	.examples = {"stagepost queue show 01KB2Z0V9T8B3M6N5Q4R7S1W2X",
		     "stagepost queue show 01KB2Z0V9T8B3M6N5Q4R7S1W2X --json"},
	.run = run_show,
};

/* --- cat --------------------------------------------------------------------- */

/* "2.1": as the parts of a message are numbered. */
static bool is_part_number(const char *text)
{
	return strlen(text) <= SOURCE_PART_MAX && text[0] != '\0' && text[0] != '.' &&
	       text[strspn(text, "0123456789.")] == '\0';
}

struct cat_given {
	bool as_sent;
	bool text;
	bool html;
	const char *part;
};

static int print_bytes(struct tool *tool, const struct cat_given *given, const struct ulid *id)
{
	if (given->part != NULL)
		return source_part(tool, id, given->part);
	if (given->text || given->html)
		return given->text ? source_text(tool, id) : source_html(tool, id);
	return given->as_sent ? source_sent(tool, id) : source_body(tool, id);
}

static int run_cat(struct tool *tool, int argc, char **argv)
{
	struct cat_given given = {0};
	struct ulid id;
	int ends = read_one_id(tool, &given, argc, argv, &id);

	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		return tool_misuse(tool, "a message is no JSON: leave out --json");
	if (given.as_sent + given.text + given.html + (given.part != NULL) > 1)
		return tool_misuse(tool, "--as-sent, --text, --html and --part exclude each other");
	if (given.part != NULL && !is_part_number(given.part))
		return tool_misuse(tool, "\"%s\" is no number of a part, such as 1 or 2.1",
				   given.part);
	tool->raw = raw_open();
	if (tool->raw == NULL)
		return tool_fail(TOOL_IO, "the output can't be written");
	ends = print_bytes(tool, &given, &id);
	raw_close(tool->raw);
	return ends;
}

static const struct command_option cat_options[] = {
	OPTION_FLAG("--as-sent", struct cat_given, as_sent,
		    "the copy that leaves, by the whitelist and policy in force now; needs the "
		    "daemon"),
	OPTION_FLAG("--text", struct cat_given, text, "what it says, in plain text (UTF-8)"),
	OPTION_FLAG("--html", struct cat_given, html, "its HTML (UTF-8)"),
	OPTION_VALUE("--part", "NUMBER", NULL, struct cat_given, part,
		     "one part, decoded; queue show tells their numbers"),
	OPTION_END,
};

const struct command command_queue_cat = {
	.name = "queue cat",
	.operands = "ID",
	.summary = "The stored message to standard output, byte for byte",
	.options = cat_options,
	.notes = "On a terminal control characters are shown escaped; a file or a pipe gets every "
		 "byte.\nWith no daemon running the database itself is read.\n",
	.examples = {"stagepost queue cat 01KB2Z0V9T8B3M6N5Q4R7S1W2X > message.eml",
		     "stagepost queue cat --part 2 01KB2Z0V9T8B3M6N5Q4R7S1W2X > invoice.pdf"},
	.run = run_cat,
};

/* --- stats ------------------------------------------------------------------- */

static int run_stats(struct tool *tool, int argc, char **argv)
{
	json_t *stats;
	int ends = option_read_only(tool, NULL, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	ends = source_stats(tool, &stats);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format == TOOL_TEXT)
		tool_print_queue(stats);
	else
		tool_print_json(tool, stats);
	json_decref(stats);
	return TOOL_OK;
}

const struct command command_queue_stats = {
	.name = "queue stats",
	.operands = "",
	.summary = "Messages, octets, recipients by state, the oldest due",
	.notes = "With no daemon running the database itself is read.\n",
	.examples = {"stagepost queue stats", "stagepost queue stats --json"},
	.run = run_stats,
};
