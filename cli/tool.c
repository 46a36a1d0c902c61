/* cli/tool.c - what every command of the tool has: settings, output, and how it ends */
#include <config.h>

#include "cli/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/when.h"
#include "cli/text.h"

#define OUTPUT_MAX ((size_t)256 * 1024 * 1024)
#define LINE_MAX_  8192

/* --- words ------------------------------------------------------------------- */

static void complain(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
static void complain(const char *format, va_list args)
{
	char line[LINE_MAX_];
	struct buf clean;

	/* What the daemon says may quote a peer. */
	(void)vsnprintf(line, sizeof(line), format, args);
	buf_init(&clean, 8 * sizeof(line));
	text_clean(&clean, span_of(line));
	fflush(stdout);
	fprintf(stderr, "stagepost: %.*s\n", SPAN_ARG(buf_span(&clean)));
	buf_release(&clean);
}

int tool_fail(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	return code;
}

void tool_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
}

int tool_misuse(const struct tool *tool, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	if (tool->command != NULL)
		fprintf(stderr, "Usage: stagepost %s %s\n", tool->command->name,
			tool->command->arguments);
	else
		fprintf(stderr, "Try: stagepost --help\n");
	return TOOL_USAGE;
}

void tool_help(const struct command *command)
{
	printf("Usage: stagepost %s %s\n\n%s.\n", command->name, command->arguments,
	       command->summary);
	if (command->help[0] != '\0')
		printf("\n%s", command->help);
	printf("\nCommon options: --json, --jsonl, --data-dir DIR, --url URL, --token-file FILE "
	       "(see stagepost --help)\n");
}

/* --- options ----------------------------------------------------------------- */

static const struct tool_option *find_option(const struct tool_option *options, struct span name)
{
	for (; options != NULL && options->name != NULL; options++)
		if (span_is(name, options->name))
			return options;
	return NULL;
}

/* Reads argv[at] and, where it has one, its value. Returns how many it took, 0: complained. */
static int read_option(struct tool *tool, const struct tool_option *options, int argc, char **argv,
		       int at)
{
	struct span text = span_of(argv[at]);
	size_t equals = span_find(text, '=');
	const struct tool_option *option = find_option(options, span_first(text, equals));

	if (option == NULL) {
		tool_misuse(tool, "there is no option %s here", argv[at]);
		return 0;
	}
	if (option->flag != NULL) {
		if (equals < text.len) {
			tool_misuse(tool, "%s takes no value", option->name);
			return 0;
		}
		*option->flag = true;
		return 1;
	}
	if (equals < text.len) {
		*option->text = argv[at] + equals + 1;
		return 1;
	}
	if (at + 1 >= argc) {
		tool_misuse(tool, "%s needs a value", option->name);
		return 0;
	}
	*option->text = argv[at + 1];
	return 2;
}

static bool is_option(const char *text)
{
	return text[0] == '-' && text[1] != '\0';
}

#define GLOBAL_COUNT 5
#define OPTIONS_MAX  32

struct global_flags {
	bool json;
	bool jsonl;
};

static void list_options(struct tool *tool, const struct tool_option *own,
			 struct global_flags *flags, struct tool_option all_out[OPTIONS_MAX])
{
	const struct tool_option globals[GLOBAL_COUNT] = {
		{"--json", NULL, &flags->json},
		{"--jsonl", NULL, &flags->jsonl},
		{"--data-dir", &tool->data_dir, NULL},
		{"--url", &tool->url, NULL},
		{"--token-file", &tool->token_file, NULL},
	};
	size_t count = 0;

	for (; own != NULL && own->name != NULL && count < OPTIONS_MAX - GLOBAL_COUNT - 1; own++)
		all_out[count++] = *own;
	for (size_t i = 0; i < GLOBAL_COUNT; i++)
		all_out[count++] = globals[i];
	all_out[count] = (struct tool_option){NULL, NULL, NULL};
}

static void set_format(struct tool *tool, const struct global_flags *flags)
{
	if (flags->jsonl)
		tool->format = TOOL_LINES;
	else if (flags->json)
		tool->format = TOOL_JSON;
}

int tool_options(struct tool *tool, const struct tool_option *options, int argc, char **argv,
		 int *count_out)
{
	struct tool_option all[OPTIONS_MAX];
	struct global_flags flags = {false, false};
	bool only_operands = false;
	int count = 0;

	list_options(tool, options, &flags, all);
	for (int i = 0; i < argc;) {
		int used = 1;

		if (!only_operands && strcmp(argv[i], "--") == 0) {
			only_operands = true;
		} else if (!only_operands &&
			   (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
			tool_help(tool->command);
			return TOOL_HELPED;
		} else if (!only_operands && is_option(argv[i])) {
			used = read_option(tool, all, argc, argv, i);
			if (used == 0)
				return TOOL_USAGE;
		} else {
			argv[count++] = argv[i];
		}
		i += used;
	}
	set_format(tool, &flags);
	*count_out = count;
	return TOOL_OK;
}

int tool_repeated(const struct tool *tool, const char *name, int *argc, char **argv,
		  const char **values_out, size_t max, size_t *count_out)
{
	size_t len = strlen(name);
	int kept = 0;

	*count_out = 0;
	for (int i = 0; i < *argc; i++) {
		const char *value = NULL;

		if (strncmp(argv[i], name, len) == 0 && argv[i][len] == '=')
			value = argv[i] + len + 1;
		else if (strcmp(argv[i], name) == 0)
			value = i + 1 < *argc ? argv[++i] : "";
		if (value == NULL) {
			argv[kept++] = argv[i];
			continue;
		}
		if (value[0] == '\0')
			return tool_misuse(tool, "%s needs a value", name);
		if (*count_out == max)
			return tool_misuse(tool, "at most %zu times %s", max, name);
		values_out[(*count_out)++] = value;
	}
	*argc = kept;
	return TOOL_OK;
}

int tool_only_options(struct tool *tool, const struct tool_option *options, int argc, char **argv)
{
	int count;
	int ends = tool_options(tool, options, argc, argv, &count);

	if (ends != TOOL_OK || count == 0)
		return ends;
	return tool_misuse(tool, "\"%s\" is one word too many", argv[0]);
}

int tool_leading_options(struct tool *tool, int argc, char **argv, int *used_out)
{
	struct tool_option all[OPTIONS_MAX];
	struct global_flags flags = {false, false};
	int at = 0;

	list_options(tool, NULL, &flags, all);
	while (at < argc && is_option(argv[at]) && strcmp(argv[at], "--help") != 0 &&
	       strcmp(argv[at], "-h") != 0 && strcmp(argv[at], "--version") != 0) {
		int used = read_option(tool, all, argc, argv, at);

		if (used == 0)
			return TOOL_USAGE;
		at += used;
	}
	set_format(tool, &flags);
	*used_out = at;
	return TOOL_OK;
}

/* --- output ------------------------------------------------------------------ */

static size_t json_flags(size_t flags)
{
	/* On a terminal no character of a peer's is taken for a command to it. */
	return isatty(STDOUT_FILENO) ? flags | JSON_ENSURE_ASCII : flags;
}

void tool_print_json(const struct tool *tool, const json_t *json)
{
	json_dumpf(json, stdout,
		   json_flags(tool->format == TOOL_LINES ? JSON_COMPACT : JSON_INDENT(2)));
	putchar('\n');
}

void tool_print_items(const struct tool *tool, const json_t *items)
{
	size_t i;
	json_t *item;

	if (tool->format != TOOL_LINES) {
		tool_print_json(tool, items);
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)items, i, item) tool_print_json(tool, item);
}

bool tool_has_colours(void)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0') &&
	       term != NULL && strcmp(term, "dumb") != 0;
}

/* What goes into a file or a pipe is not cut: somebody looks for something in it. */
size_t tool_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

void tool_print_table(const struct table *table)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	table_print(table, tool_width(), tool_has_colours(), &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
}

void tool_print_clean(const char *text)
{
	struct buf clean;

	buf_init(&clean, (size_t)LINE_MAX_ * 8);
	text_clean(&clean, span_first(span_of(text), LINE_MAX_));
	printf("%.*s\n", SPAN_ARG(buf_span(&clean)));
	buf_release(&clean);
}

void tool_print_field(const char *label, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	printf("%-12s ", label);
	tool_print_clean(text);
}

void tool_print_queue(const json_t *queue)
{
	const json_t *states = json_object_get(queue, "recipients");
	char age[TEXT_SHORT_SIZE];
	char size[TEXT_SHORT_SIZE];
	const char *name;
	json_t *count;

	text_size(tool_number(queue, "bytes"), size);
	printf("%-12s %lld, %s octets\n", "Messages", tool_number(queue, "messages"), size);
	json_object_foreach((json_t *)(uintptr_t)states, name, count)
		printf("  %-10s %lld\n", name, json_integer_value(count));
	tool_age(queue, "oldest_due_at", age);
	if (age[0] != '\0')
		printf("%-12s %s old\n", "Oldest due", age);
}

const char *tool_state_colour(const char *name)
{
	static const struct {
		const char *name;
		const char *colour;
	} colours[] = {
		{"delivered", "32"}, {"deliver", "32"},	   {"allow", "32"},   {"failed", "31"},
		{"expired", "31"},   {"reject", "31"},	   {"invalid", "31"}, {"deny", "31"},
		{"deferred", "33"},  {"held", "33"},	   {"hold", "33"},    {"dropped", "35"},
		{"drop", "35"},	     {"delivering", "36"},
	};

	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (strcmp(name, colours[i].name) == 0)
			return colours[i].colour;
	return NULL;
}

/* --- JSON members ------------------------------------------------------------ */

const char *tool_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

long long tool_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

long long tool_time(const json_t *object, const char *name)
{
	int64_t ms = 0;
	struct err why;

	if (when_parse(span_of(tool_text(object, name)), &ms, &why) != ERR_OK)
		return 0;
	return ms;
}

void tool_age(const json_t *object, const char *name, char *text_out)
{
	long long at = tool_time(object, name);

	text_out[0] = '\0';
	if (at != 0)
		text_duration(clock_wall_ms() - at, text_out);
}

void tool_pause_text(const json_t *paused, const char *reason_name, char text_out[TOOL_PAUSE_SIZE])
{
	const char *actor = tool_text(paused, "paused_by");
	const char *reason = tool_text(paused, reason_name);
	char age[TEXT_SHORT_SIZE];

	text_out[0] = '\0';
	if (!json_is_true(json_object_get(paused, "paused")))
		return;
	tool_age(paused, "paused_at", age);
	snprintf(text_out, TOOL_PAUSE_SIZE, "paused%s%.99s%s%s%s%s%.250s",
		 actor[0] != '\0' ? " by " : "", actor, age[0] != '\0' ? " " : "", age,
		 age[0] != '\0' ? " ago" : "", reason[0] != '\0' ? ": " : "", reason);
}
