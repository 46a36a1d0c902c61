/* cli/status.c - stagepost status: how the relay is doing, on one screen */
#include <config.h>

#include <stdio.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/text.h"

#define LINE_SIZE 600

static const struct table_column route_columns[] = {
	{"ROUTE", false, 8, 0, NULL},	    {"STATE", false, 0, 0, NULL},
	{"CONNECTIONS", true, 0, 2, NULL},  {"DELIVERED", true, 0, 0, NULL},
	{"DEFERRED", true, 0, 3, NULL},	    {"FAILED", true, 0, 4, NULL},
	{"LAST ERROR", false, 12, 1, NULL},
};

static const struct table_column host_columns[] = {
	{"HOST IN TROUBLE", false, 12, 0, NULL},
	{"ROUTE", false, 8, 0, NULL},
	{"STATE", false, 0, 0, NULL},
	{"LAST ERROR", false, 12, 1, NULL},
};

static void add_route(struct table *table, const json_t *route)
{
	const char *state = "open";
	char numbers[4][32];

	snprintf(numbers[0], sizeof(numbers[0]), "%lld", tool_number(route, "connections"));
	snprintf(numbers[1], sizeof(numbers[1]), "%lld", tool_number(route, "delivered"));
	snprintf(numbers[2], sizeof(numbers[2]), "%lld", tool_number(route, "deferred"));
	snprintf(numbers[3], sizeof(numbers[3]), "%lld", tool_number(route, "failed"));
	if (json_is_true(json_object_get(route, "login_refused")))
		state = "no login";
	if (json_is_true(json_object_get(route, "paused")))
		state = "paused";
	table_add(table, (const char *[]){tool_text(route, "name"), state, numbers[0], numbers[1],
					  numbers[2], numbers[3], tool_text(route, "last_error")});
}

static void add_host(struct table *table, const json_t *route, const json_t *host)
{
	const char *until = tool_text(host, "resting_until");
	char state[64];

	if (json_is_true(json_object_get(host, "well")))
		return;
	if (until[0] != '\0')
		snprintf(state, sizeof(state), "rests until %.19s", until);
	else
		snprintf(state, sizeof(state), "to be tried");
	table_add(table, (const char *[]){tool_text(host, "host"), tool_text(route, "name"), state,
					  tool_text(host, "last_error")});
}

static bool is_unwell(const json_t *route)
{
	json_t *host;
	size_t i;

	json_array_foreach(json_object_get(route, "hosts"), i,
			   host) if (!json_is_true(json_object_get(host, "well"))) return true;
	return false;
}

/* Those that are well are no news. */
static void print_hosts(const struct tool *tool, const json_t *routes)
{
	struct table *table = NULL;
	json_t *route, *host;
	size_t i, k;

	json_array_foreach((json_t *)(uintptr_t)routes, i, route)
	{
		if (!is_unwell(route))
			continue;
		if (table == NULL)
			table = table_new(host_columns,
					  sizeof(host_columns) / sizeof(host_columns[0]));
		json_array_foreach(json_object_get(route, "hosts"), k, host)
			add_host(table, route, host);
	}
	if (table == NULL)
		return;
	printf("\n");
	tool_print_table(tool, table);
	table_free(&table);
}

/* By whom, and why. */
static void print_paused(const json_t *routes)
{
	char pause[TOOL_PAUSE_SIZE];
	char line[TOOL_PAUSE_SIZE + 64];
	const json_t *route;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)routes, i, route)
	{
		tool_pause_text(route, "pause_reason", pause);
		snprintf(line, sizeof(line), "%.63s %s", tool_text(route, "name"), pause);
		if (pause[0] != '\0')
			tool_print_field("Route", line);
	}
}

static void print_routes(const struct tool *tool, const json_t *routes)
{
	struct table *table;
	json_t *route;
	size_t i;

	if (json_array_size(routes) == 0) {
		tool_print_field("Routes", "none: mail that is allowed stays queued");
		return;
	}
	table = table_new(route_columns, sizeof(route_columns) / sizeof(route_columns[0]));
	json_array_foreach((json_t *)(uintptr_t)routes, i, route) add_route(table, route);
	printf("\n");
	tool_print_table(tool, table);
	table_free(&table);
	print_paused(routes);
	print_hosts(tool, routes);
}

/* What can leave is what people look here for. */
static void print_whitelist(const json_t *whitelist)
{
	char line[LINE_SIZE];
	long long entries = tool_number(whitelist, "entries");

	if (json_is_true(json_object_get(whitelist, "allows_all")))
		snprintf(line, sizeof(line), "%lld entries, \"*\" among them: EVERYTHING can leave",
			 entries);
	else if (entries == 0)
		snprintf(line, sizeof(line), "empty: nothing can leave");
	else
		snprintf(line, sizeof(line), "%lld %s: only what they allow can leave", entries,
			 entries == 1 ? "entry" : "entries");
	tool_print_field("Whitelist", line);
}

/* "NO: paused by breaker 5m ago: breaker: …" */
static void print_delivery(const json_t *status)
{
	char pause[TOOL_PAUSE_SIZE];
	char line[TOOL_PAUSE_SIZE + 8];

	tool_pause_text(json_object_get(status, "delivery"), "reason", pause);
	snprintf(line, sizeof(line), "NO: %s", pause[0] != '\0' ? pause : "paused");
	tool_print_field("Delivering",
			 json_is_true(json_object_get(status, "delivering")) ? "yes" : line);
}

/* Nobody is asked: no line. */
static void print_hook(const json_t *hook)
{
	char line[LINE_SIZE];
	bool reachable = json_is_true(json_object_get(hook, "reachable"));

	if (!json_is_object(hook))
		return;
	snprintf(line, sizeof(line), "%s%.160s; waiting: %lld; asked: %lld; undecided: %lld",
		 reachable ? "answers" : "DOES NOT ANSWER: ",
		 reachable ? "" : tool_text(hook, "last_error"), tool_number(hook, "waiting"),
		 tool_number(hook, "requests"), tool_number(hook, "undecided"));
	tool_print_field("Policy hook", line);
}

static void print_daemon(const json_t *status)
{
	const json_t *accepting = json_object_get(status, "accepting");
	char line[LINE_SIZE];
	char age[TEXT_SHORT_SIZE];

	tool_age(status, "started_at", age);
	snprintf(line, sizeof(line), "%s, version %s, up %s", tool_text(status, "hostname"),
		 tool_text(status, "version"), age);
	tool_print_field("Relay", line);
	if (json_is_boolean(accepting)) {
		snprintf(line, sizeof(line), "%s; sessions: %lld; messages since the start: %lld",
			 json_is_true(accepting) ? "yes" : "NO", tool_number(status, "sessions"),
			 tool_number(status, "accepted"));
		tool_print_field("Accepting", line);
	}
	if (json_is_true(json_object_get(status, "store_failed")))
		tool_print_field("Delivering", "NO: the queue can't be written, see the log");
	else
		print_delivery(status);
}

/* "12M of 10G, 3.1M of it unused; log 512k; 20G free on the disk" */
static void print_space(const json_t *space)
{
	char used[TEXT_SHORT_SIZE], max[TEXT_SHORT_SIZE], unused[TEXT_SHORT_SIZE];
	char log[TEXT_SHORT_SIZE], disk[TEXT_SHORT_SIZE];
	char line[LINE_SIZE];

	text_size(tool_number(space, "database_bytes"), used);
	text_size(tool_number(space, "max_bytes"), max);
	text_size(tool_number(space, "unused_bytes"), unused);
	text_size(tool_number(space, "log_bytes"), log);
	text_size(tool_number(space, "disk_free_bytes"), disk);
	snprintf(line, sizeof(line), "%s%s%s, %s of it unused; log %s; %s free on the disk", used,
		 tool_number(space, "max_bytes") > 0 ? " of " : "",
		 tool_number(space, "max_bytes") > 0 ? max : "", unused, log,
		 json_is_null(json_object_get(space, "disk_free_bytes")) ? "unknown" : disk);
	tool_print_field("Database", line);
}

/* Nothing went yet: no line. */
static void print_retention(const json_t *retention)
{
	const json_t *removed = json_object_get(retention, "removed");
	char line[LINE_SIZE];
	char bytes[TEXT_SHORT_SIZE];

	if (tool_number(removed, "contents") + tool_number(removed, "messages") == 0)
		return;
	text_size(tool_number(removed, "bytes"), bytes);
	snprintf(line, sizeof(line),
		 "%lld messages and the content of %lld others removed since the start, %s octets",
		 tool_number(removed, "messages"), tool_number(removed, "contents"), bytes);
	tool_print_field("Retention", line);
}

static void print_status(const struct tool *tool, const json_t *status)
{
	json_t *one;
	size_t i;

	print_daemon(status);
	json_array_foreach(json_object_get(status, "listeners"), i, one)
		tool_print_field(i == 0 ? "Listening" : "", json_string_value(one));
	print_whitelist(json_object_get(status, "whitelist"));
	tool_print_field("Can leave", tool_text(status, "can_leave"));
	print_hook(json_object_get(status, "hook"));
	tool_print_queue(json_object_get(status, "queue"));
	print_space(json_object_get(status, "space"));
	print_retention(json_object_get(status, "retention"));
	print_routes(tool, json_object_get(status, "routes"));
	if (json_array_size(json_object_get(status, "warnings")) > 0)
		printf("\n");
	json_array_foreach(json_object_get(status, "warnings"), i, one)
		tool_print_field("Warning", json_string_value(one));
}

static int run_status(struct tool *tool, int argc, char **argv)
{
	json_t *status;
	int ends = option_read_only(tool, NULL, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	ends = client_ask(tool, "GET", "/api/v1/status", NULL, &status);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format == TOOL_TEXT)
		print_status(tool, status);
	else
		tool_print_json(tool, status);
	json_decref(status);
	return TOOL_OK;
}

const struct command command_status = {
	.name = "status",
	.operands = "",
	.summary = "How the relay is doing, and what can leave",
	.examples = {"stagepost status",
		     "stagepost status --url http://relay.example.com:8025 --token-file token"},
	.run = run_status,
};
