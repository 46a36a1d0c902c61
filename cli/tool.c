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
#include "cli/help.h"
#include "cli/text.h"

#define OUTPUT_MAX  ((size_t)256 * 1024 * 1024)
#define LINE_MAX_   8192
#define COLUMNS_MAX 10000

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
		help_print_usage(tool->command, stderr);
	else
		fprintf(stderr, "Try: stagepost --help\n");
	return TOOL_USAGE;
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

bool tool_has_colours(const struct tool *tool)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (tool->colour != NULL && strcmp(tool->colour, "auto") != 0)
		return strcmp(tool->colour, "always") == 0;
	return isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0') &&
	       term != NULL && strcmp(term, "dumb") != 0;
}

/* What goes into a file or a pipe is not cut: somebody looks for something in it. */
size_t tool_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t width;

	if (!isatty(STDOUT_FILENO))
		return 0;
	/* Who sets it knows better than the terminal (POSIX, Environment Variables). */
	if (columns != NULL && span_to_u64(span_of(columns), COLUMNS_MAX, &width) == ERR_OK &&
	    width > 0)
		return (size_t)width;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

void tool_print_table(const struct tool *tool, const struct table *table)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	table_print(table, tool_width(), tool_has_colours(tool), &out);
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
