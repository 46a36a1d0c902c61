/* cli/queue_act.c - stagepost queue retry, hold, release, cancel, delete */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/ulid.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/filter.h"

/* What has been done so far. */
struct tally {
	const char *verb;
	const char *redirect_to; /* release: to this mailbox instead; NULL: no */
	long long changed;
	long long wished; /* in flight: done after the attempt, if the attempt leaves a choice */
	long long refused;
	json_t *results; /* for --json: one object a request */
};

/* `id`: of the message, or NULL: several. */
static void count(struct tally *tally, const char *id, json_t *answer)
{
	tally->changed += tool_number(answer, "changed");
	tally->wished += tool_number(answer, "wished");
	tally->refused += tool_number(answer, "refused");
	if (tool_number(answer, "refused") > 0)
		tool_note("%s: %s", id != NULL ? id : "refused", tool_text(answer, "detail"));
	if (id != NULL)
		(void)json_object_set_new(answer, "message", json_string(id));
	(void)json_array_append(tally->results, answer);
}

/* 404 and 409 are answers too: the others still get their turn. */
static bool is_refusal(long status)
{
	return status == 404 || status == 409;
}

static int request(struct tool *tool, const char *method, const char *path, const json_t *body,
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

		count(tally, id, answer);
		json_decref(answer);
	} else if (reply.status < 200 || reply.status > 299) {
		code = client_refused(&reply);
	} else if (reply.body == NULL) {
		json_t *answer = json_pack("{s:i, s:i, s:i, s:n}", "changed", 1, "wished", 0,
					   "refused", 0, "detail");

		count(tally, id, answer);
		json_decref(answer);
	} else {
		count(tally, id, reply.body);
	}
	json_decref(reply.body);
	return code;
}

/* `recipients`: an array of addresses, or NULL for all of the message's. */
static int act_on(struct tool *tool, const char *id, json_t *recipients, struct tally *tally)
{
	json_t *body = json_object();
	char path[96];
	int ends;

	if (recipients != NULL)
		(void)json_object_set(body, "recipients", recipients);
	/* What is no UTF-8 is no address either: the daemon is asked for none, and refuses. */
	if (tally->redirect_to != NULL &&
	    json_object_set_new(body, "to", json_string(tally->redirect_to)) != 0)
		(void)json_object_set_new(body, "to", json_string(""));
	snprintf(path, sizeof(path), "/api/v1/messages/%s/%s", id, tally->verb);
	ends = request(tool, "POST", path, body, id, tally);
	json_decref(body);
	return ends;
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

static int finish(const struct tool *tool, int ends, struct tally *tally)
{
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

/* --- by id ------------------------------------------------------------------- */

/* "ID" or "ID/RECIPIENT". */
static int split(const struct tool *tool, const char *text, char id_out[ULID_TEXT_SIZE],
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

static int act_on_operand(struct tool *tool, const char *text, struct tally *tally)
{
	char id[ULID_TEXT_SIZE];
	struct span recipient;
	json_t *recipients = NULL;
	int ends = split(tool, text, id, &recipient);

	if (ends != TOOL_OK)
		return ends;
	if (recipient.len > 0) {
		recipients = json_array();
		if (json_array_append_new(recipients,
					  json_stringn(recipient.data, recipient.len)) != 0) {
			json_decref(recipients);
			return tool_fail(TOOL_USAGE, "\"%s\" is no UTF-8", text);
		}
	}
	ends = act_on(tool, id, recipients, tally);
	json_decref(recipients);
	return ends;
}

/* Nothing is done before all of them are understood. */
static int act_on_operands(struct tool *tool, int operand_count, char **operands,
			   struct tally *tally)
{
	char id[ULID_TEXT_SIZE];
	struct span recipient;
	int ends = TOOL_OK;

	for (int i = 0; i < operand_count && ends == TOOL_OK; i++)
		ends = split(tool, operands[i], id, &recipient);
	for (int i = 0; i < operand_count && ends == TOOL_OK; i++)
		ends = act_on_operand(tool, operands[i], tally);
	return ends;
}

/* --- by filter --------------------------------------------------------------- */

/* False: no UTF-8. A filter that is lost would be one that lets everything through. */
static bool set_text(json_t *body, const char *name, const char *text)
{
	return text == NULL || json_object_set_new(body, name, json_string(text)) == 0;
}

/* The filter as the API takes it; NULL: complained. */
static json_t *write_filter(const struct source_filter *filter, const struct tally *tally)
{
	json_t *body = json_object();
	char since[CLOCK_RFC3339_SIZE] = "";

	if (filter->since != 0)
		clock_format_rfc3339(filter->since, since);
	if (set_text(body, "state", filter->state) && set_text(body, "address", filter->to) &&
	    set_text(body, "from", filter->from) &&
	    set_text(body, "since", filter->since != 0 ? since : NULL) &&
	    set_text(body, "to", tally->redirect_to)) {
		/* Who says --all without a filter means all. */
		(void)json_object_set_new(body, "all", json_true());
		return body;
	}
	json_decref(body);
	(void)tool_fail(TOOL_USAGE, "a filter is no UTF-8");
	return NULL;
}

static int ask(struct tool *tool, const struct tally *tally, const json_t *body,
	       json_t **answer_out)
{
	char path[64];

	snprintf(path, sizeof(path), "/api/v1/recipients/%s", tally->verb);
	return client_ask(tool, "POST", path, body, answer_out);
}

static void print_dry_run(const struct tool *tool, const struct tally *tally, const json_t *answer)
{
	long long total = tool_number(answer, "count") + tool_number(answer, "refused");
	json_t *item;
	size_t i;

	if (tool->format != TOOL_TEXT) {
		tool_print_json(tool, answer);
		return;
	}
	printf("%s: %lld would be done, %lld refused\n", tally->verb, tool_number(answer, "count"),
	       tool_number(answer, "refused"));
	json_array_foreach(json_object_get(answer, "items"), i, item)
	{
		const json_t *judged = json_object_get(item, "judged");
		char line[1024];

		snprintf(line, sizeof(line), "%s/%s  %s%s%s%s%s", tool_text(item, "message"),
			 tool_text(item, "address"), tool_text(item, "state"),
			 judged != NULL ? "  now: " : "", tool_text(judged, "verdict"),
			 judged != NULL ? ", " : "", tool_text(judged, "reason"));
		tool_print_clean(line);
	}
	if (total > (long long)i)
		printf("and %lld more\n", total - (long long)i);
}

static void add_number(json_t *to, const json_t *from, const char *name)
{
	(void)json_object_set_new(to, name,
				  json_integer(tool_number(to, name) + tool_number(from, name)));
}

/* The daemon stops after some seconds and says where: what it says from there on is added. */
static int add_rest(struct tool *tool, const struct tally *tally, json_t *body, json_t *answer)
{
	int ends = TOOL_OK;

	while (ends == TOOL_OK && json_is_string(json_object_get(answer, "next"))) {
		json_t *more;

		(void)set_text(body, "after", tool_text(answer, "next"));
		ends = ask(tool, tally, body, &more);
		if (ends != TOOL_OK)
			break;
		add_number(answer, more, "count");
		add_number(answer, more, "refused");
		(void)json_object_set(answer, "next", json_object_get(more, "next"));
		json_decref(more);
	}
	return ends;
}

static int try_all(struct tool *tool, const struct source_filter *filter, struct tally *tally)
{
	json_t *body = write_filter(filter, tally);
	json_t *answer;
	int ends;

	if (body == NULL)
		return TOOL_USAGE;
	(void)json_object_set_new(body, "dry_run", json_true());
	if (filter->limit != 0)
		(void)json_object_set_new(body, "limit", json_integer((json_int_t)filter->limit));
	ends = ask(tool, tally, body, &answer);
	if (ends == TOOL_OK) {
		if (filter->limit == 0)
			ends = add_rest(tool, tally, body, answer);
		if (ends == TOOL_OK) {
			print_dry_run(tool, tally, answer);
			ends = tool_number(answer, "count") > 0 ? TOOL_OK : TOOL_NO;
		}
		json_decref(answer);
	}
	json_decref(body);
	return ends;
}

static long long looked_at(const json_t *answer)
{
	return tool_number(answer, "changed") + tool_number(answer, "wished") +
	       tool_number(answer, "refused") + tool_number(answer, "passed");
}

/* The daemon stops after some seconds and says where: on from there. */
static int act_on_all(struct tool *tool, const struct source_filter *filter, struct tally *tally)
{
	json_t *body = write_filter(filter, tally);
	long long left = (long long)filter->limit;
	bool more = true;
	int ends = body != NULL ? TOOL_OK : TOOL_USAGE;

	while (ends == TOOL_OK && more && (filter->limit == 0 || left > 0)) {
		json_t *answer;

		if (filter->limit != 0)
			(void)json_object_set_new(body, "limit", json_integer(left));
		ends = ask(tool, tally, body, &answer);
		if (ends != TOOL_OK)
			break;
		more = json_is_string(json_object_get(answer, "next"));
		if (more)
			(void)set_text(body, "after", tool_text(answer, "next"));
		left -= looked_at(answer);
		count(tally, NULL, answer);
		json_decref(answer);
	}
	json_decref(body);
	if (ends == TOOL_OK && tally->changed + tally->wished + tally->refused == 0)
		ends = tool_fail(TOOL_NO, "no recipient matches");
	return ends;
}

static int check_usage(const struct tool *tool, const struct filter_options *given, bool all,
		       bool dry_run, int operand_count)
{
	if (all == (operand_count > 0))
		return tool_misuse(tool, "say either which messages, or --all");
	if (!all && !filter_is_empty(given))
		return tool_misuse(tool, "filters belong to --all");
	if (!all && dry_run)
		return tool_misuse(tool, "--dry-run belongs to --all");
	return TOOL_OK;
}

static int run_filtered(struct tool *tool, const struct filter_options *given, bool dry_run,
			struct tally *tally)
{
	struct source_filter filter;
	int ends = filter_read(tool, given, 0, &filter);

	if (ends == TOOL_OK && dry_run)
		return try_all(tool, &filter, tally);
	tally->results = json_array();
	if (ends == TOOL_OK)
		ends = act_on_all(tool, &filter, tally);
	return finish(tool, ends, tally);
}

static int run_act(struct tool *tool, const char *verb, int argc, char **argv)
{
	struct filter_options given = {0};
	bool all = false, dry_run = false;
	struct tally tally = {.verb = verb};
	/* The last one is for release only. */
	const struct tool_option options[] = {
		FILTER_OPTIONS(given),
		{"--all", NULL, &all},
		{"--dry-run", NULL, &dry_run},
		{strcmp(verb, "release") == 0 ? "--redirect-to" : NULL, &tally.redirect_to, NULL},
		{NULL, NULL, NULL}};
	int operand_count;
	int ends = tool_options(tool, options, argc, argv, &operand_count);

	if (ends == TOOL_OK)
		ends = check_usage(tool, &given, all, dry_run, operand_count);
	if (ends != TOOL_OK)
		return ends;
	if (all)
		return run_filtered(tool, &given, dry_run, &tally);
	tally.results = json_array();
	ends = act_on_operands(tool, operand_count, argv, &tally);
	return finish(tool, ends, &tally);
}

static int run_retry(struct tool *tool, int argc, char **argv)
{
	return run_act(tool, "retry", argc, argv);
}

static int run_hold(struct tool *tool, int argc, char **argv)
{
	return run_act(tool, "hold", argc, argv);
}

static int run_release(struct tool *tool, int argc, char **argv)
{
	return run_act(tool, "release", argc, argv);
}

static int run_cancel(struct tool *tool, int argc, char **argv)
{
	return run_act(tool, "cancel", argc, argv);
}

#define ACT_ARGUMENTS                                                                              \
	"ID[/RECIPIENT]... | --all [--state STATE] [--to TEXT] [--from TEXT] [--since TIME] "      \
	"[--limit N] [--dry-run]"
#define ACT_HELP                                                                                   \
	"  --all           every recipient it can be done to, that the filters below let\n"        \
	"                  through\n" FILTER_HELP "  --limit N       at most N, newest first\n"    \
	"  --dry-run       how many it would be done to, and the first ones; nothing is done\n"    \
	"\nExit status 1 when a recipient refuses (its state does not allow it) or none "          \
	"matches.\n"

const struct command command_queue_retry = {"queue retry", ACT_ARGUMENTS, "Try to deliver now",
					    ACT_HELP, run_retry};
const struct command command_queue_hold = {"queue hold", ACT_ARGUMENTS,
					   "Keep recipients from being tried, until released",
					   ACT_HELP, run_hold};
const struct command command_queue_release = {
	"queue release", ACT_ARGUMENTS " [--redirect-to ADDRESS]",
	"Let held or dropped ones go, if the whitelist allows",
	"  --redirect-to ADDRESS  one copy of each message to this address, if the whitelist\n"
	"                  allows it, instead of to those it was for\n" ACT_HELP,
	run_release};
const struct command command_queue_cancel = {
	"queue cancel", ACT_ARGUMENTS, "Never deliver to these recipients", ACT_HELP, run_cancel};

/* --- delete ------------------------------------------------------------------ */

static int delete_one(struct tool *tool, const char *text, struct tally *tally)
{
	char id[ULID_TEXT_SIZE];
	char path[80];
	struct span recipient;
	int ends = split(tool, text, id, &recipient);

	if (ends != TOOL_OK)
		return ends;
	snprintf(path, sizeof(path), "/api/v1/messages/%s", id);
	return request(tool, "DELETE", path, NULL, id, tally);
}

static int run_delete(struct tool *tool, int argc, char **argv)
{
	struct tally tally = {.verb = "delete"};
	int operand_count;
	int ends = tool_options(tool, NULL, argc, argv, &operand_count);

	if (ends != TOOL_OK)
		return ends;
	if (operand_count == 0)
		return tool_misuse(tool, "a message id is needed");
	for (int i = 0; i < operand_count; i++) {
		struct ulid id;

		if (ulid_parse(span_of(argv[i]), &id) != ERR_OK)
			return tool_misuse(tool, "\"%s\" is no message id", argv[i]);
	}
	tally.results = json_array();
	for (int i = 0; i < operand_count && ends == TOOL_OK; i++)
		ends = delete_one(tool, argv[i], &tally);
	return finish(tool, ends, &tally);
}

const struct command command_queue_delete = {
	"queue delete", "ID...", "Remove messages with everything known about them",
	"A message with a recipient that is just being delivered is refused.\n"
	"\nExit status 1 when one was refused or is not there.\n",
	run_delete};
