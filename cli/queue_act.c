/* cli/queue_act.c - stagepost queue retry, hold, release, cancel */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/option.h"
#include "cli/tally.h"

/* --- by id ------------------------------------------------------------------- */

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
	ends = tally_request(tool, "POST", path, body, id, tally);
	json_decref(body);
	return ends;
}

static int act_on_operand(struct tool *tool, const char *text, struct tally *tally)
{
	char id[ULID_TEXT_SIZE];
	struct span recipient;
	json_t *recipients = NULL;
	int ends = tally_split(tool, text, id, &recipient);

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
		ends = tally_split(tool, operands[i], id, &recipient);
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
	    set_text(body, "from", filter->from) && set_text(body, "subject", filter->subject) &&
	    set_text(body, "q", filter->q) &&
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
		tally_count(tally, NULL, answer);
		progress_show(&tally->progress, tally->changed + tally->wished, 0);
		json_decref(answer);
	}
	json_decref(body);
	if (ends == TOOL_OK && tally->changed + tally->wished + tally->refused == 0)
		ends = tool_fail(TOOL_NO, "no recipient matches");
	return ends;
}

/* What the command line says; --redirect-to only to a release. */
struct act_given {
	struct filter_options filter;
	bool all;
	bool dry_run;
	const char *redirect_to;
};

static int check_usage(const struct tool *tool, const struct act_given *given, int operand_count)
{
	if (given->all == (operand_count > 0))
		return tool_misuse(tool, "say either which messages, or --all");
	if (!given->all && !filter_is_empty(&given->filter))
		return tool_misuse(tool, "filters belong to --all");
	if (!given->all && given->dry_run)
		return tool_misuse(tool, "--dry-run belongs to --all");
	return TOOL_OK;
}

static int run_filtered(struct tool *tool, const struct act_given *given, struct tally *tally)
{
	struct source_filter filter;
	int ends = filter_read(tool, &given->filter, 0, &filter);

	if (ends == TOOL_OK && given->dry_run) {
		ends = try_all(tool, &filter, tally);
		json_decref(tally->results);
		return ends;
	}
	if (ends == TOOL_OK)
		ends = act_on_all(tool, &filter, tally);
	return tally_finish(tool, ends, tally);
}

static int run_act(struct tool *tool, const char *verb, int argc, char **argv)
{
	struct act_given given = {.all = false};
	struct tally tally;
	int operand_count;
	int ends = option_read(tool, &given, argc, argv, &operand_count);

	if (ends == TOOL_OK)
		ends = check_usage(tool, &given, operand_count);
	if (ends != TOOL_OK)
		return ends;
	tally = tally_make(tool, verb, "done:");
	tally.redirect_to = given.redirect_to;
	if (given.all)
		return run_filtered(tool, &given, &tally);
	ends = act_on_operands(tool, operand_count, argv, &tally);
	return tally_finish(tool, ends, &tally);
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

#define ACT_OPTIONS                                                                                \
	OPTION_FLAG("--all", struct act_given, all,                                                \
		    "every recipient it can be done to, that the filters below let through"),      \
		FILTER_OPTIONS(struct act_given),                                                  \
		FILTER_LIMIT(struct act_given, "at most N, newest first; without it all of them"), \
		OPTION_FLAG("--dry-run", struct act_given, dry_run,                                \
			    "how many it would be done to, and the first ones; nothing is done")
#define ACT_OPERANDS "ID[/RECIPIENT]...|--all"
#define ACT_NOTES                                                                                  \
	"Exit status 1 when a recipient refuses (its state does not allow it) or none matches.\n"

static const struct command_option act_options[] = {ACT_OPTIONS, OPTION_END};
static const struct command_option release_options[] = {
	ACT_OPTIONS,
	OPTION_VALUE("--redirect-to", "ADDRESS", NULL, struct act_given, redirect_to,
		     "one copy of each message to this address, if the whitelist allows it, "
		     "instead of to those it was for"),
	OPTION_END,
};

const struct command command_queue_retry = {
	.name = "queue retry",
	.operands = ACT_OPERANDS,
	.summary = "Try to deliver now",
	.options = act_options,
	.notes = ACT_NOTES,
	.examples = {"stagepost queue retry 01KB2Z0V9T8B3M6N5Q4R7S1W2X",
		     "stagepost queue retry --all --state deferred --to @example.com"},
	.run = run_retry,
};
const struct command command_queue_hold = {
	.name = "queue hold",
	.operands = ACT_OPERANDS,
	.summary = "Keep recipients from being tried, until released",
	.options = act_options,
	.notes = ACT_NOTES,
	.examples = {"stagepost queue hold 01KB2Z0V9T8B3M6N5Q4R7S1W2X/bob@example.com",
		     "stagepost queue hold --all --from shop@example.com --dry-run"},
	.run = run_hold,
};
const struct command command_queue_release = {
	.name = "queue release",
	.operands = ACT_OPERANDS,
	.summary = "Let held or dropped ones go, if the whitelist allows",
	.options = release_options,
	.notes = ACT_NOTES,
	.examples = {"stagepost queue release --all --to bob@example.com --since 2h",
		     "stagepost queue release --all --state held --redirect-to qa@example.com"},
	.run = run_release,
};
const struct command command_queue_cancel = {
	.name = "queue cancel",
	.operands = ACT_OPERANDS,
	.summary = "Never deliver to these recipients",
	.options = act_options,
	.notes = ACT_NOTES,
	.examples = {"stagepost queue cancel 01KB2Z0V9T8B3M6N5Q4R7S1W2X",
		     "stagepost queue cancel --all --state deferred --since 1h --limit 100"},
	.run = run_cancel,
};
