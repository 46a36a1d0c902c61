/* relay/filter/listing_mailpit.c - files of regular expressions: Mailpit's and smtprelay's settings
 */
#include "relay/filter/listing_private.h"
#include "relay/filter/listing_regex.h"

#define VALUE_MAX_BYTES ((size_t)8192)

/* What people have: a line of YAML, of an environment file or of smtprelay.ini, or the bare
 * expression. */
static const struct {
	const char *name;
	enum entry_action action;
} settings[] = {
	{"allowed-recipients", ENTRY_ALLOW},
	{"allowed_recipients", ENTRY_ALLOW},
	{"recipient-allowlist", ENTRY_ALLOW},
	{"smtp-allowed-recipients", ENTRY_ALLOW},
	{"smtp-relay-matching", ENTRY_ALLOW},
	{"MP_SMTP_ALLOWED_RECIPIENTS", ENTRY_ALLOW},
	{"MP_SMTP_RELAY_ALLOWED_RECIPIENTS", ENTRY_ALLOW},
	{"MP_SMTP_RELAY_MATCHING", ENTRY_ALLOW},
	{"SMTPRELAY_ALLOWED_RECIPIENTS", ENTRY_ALLOW},
	{"blocked-recipients", ENTRY_DENY},
	{"denied_recipients", ENTRY_DENY},
	{"MP_SMTP_RELAY_BLOCKED_RECIPIENTS", ENTRY_DENY},
	{"SMTPRELAY_DENIED_RECIPIENTS", ENTRY_DENY},
};
#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

struct file {
	struct reading *reading;
	struct span line;
	size_t number;
	size_t named[ENTRY_DENY +
		     1]; /* the line with the setting that allows, or denies; 0: none */
};

static struct place place_at(const struct file *file, struct span part)
{
	return (struct place){file->number, (size_t)(part.data - file->line.data) + 1, NULL};
}

/* Letters, digits, '-', '_' up to ':' or '=': the name of a setting. Empty: there is none. */
static struct span name_of(struct span line)
{
	size_t len = 0;
	struct span rest;

	while (len < line.len &&
	       (ascii_is_alnum(line.data[len]) || line.data[len] == '-' || line.data[len] == '_'))
		len++;
	rest = span_trim(span_skip(line, len));
	if (len == 0 || rest.len == 0 || (rest.data[0] != ':' && rest.data[0] != '='))
		return span_first(line, 0);
	return span_first(line, len);
}

/*
 * Take the quotes off: '…' with '' for a quote, "…" with \\ and \" as in
 * YAML. False: told. *is_same_out: every character stands where it stood.
 */
static bool unquote(struct file *file, struct span text, struct buf *out, bool *is_same_out)
{
	char quote = text.data[0];
	size_t end = text.len;

	*is_same_out = true;
	if (quote != '\'' && quote != '"')
		return buf_append_span(out, text) == ERR_OK;
	for (size_t i = 1; i < end; i++) {
		char c = text.data[i];
		char next = i + 1 < end ? text.data[i + 1] : '\0';

		if (c == quote && !(quote == '\'' && next == '\'')) {
			if (i + 1 == end)
				return true;
			break;
		}
		if (c == quote || (quote == '"' && c == '\\')) {
			if (c == '\\' && next != '\\' && next != '"')
				break;
			*is_same_out = false;
			c = next;
			i++;
		}
		(void)buf_append_char(out, c);
	}
	reading_mistake(file->reading, place_at(file, text),
			quote == '"'
				? "inside \"…\" only \\\\ and \\\" are escapes, and it ends the "
				  "line; '…' takes a regular expression as it is"
				: "'…' does not end the line");
	return false;
}

static void read_value(struct file *file, struct span value, enum entry_action action)
{
	struct regex_source source = {.action = action};
	struct buf text;

	buf_init(&text, VALUE_MAX_BYTES);
	source.place = place_at(file, value);
	if (unquote(file, value, &text, &source.counts_columns)) {
		source.text = buf_span(&text);
		if (source.counts_columns && (value.data[0] == '\'' || value.data[0] == '"'))
			source.place.column++; /* the quote */
		listing_add_regex(file->reading, &source);
	}
	buf_release(&text);
}

/* In one file a setting stands for one stage: two that allow would both have to. */
static void read_setting(struct file *file, struct span name)
{
	struct span rest = span_skip(file->line, (size_t)(name.data - file->line.data) + name.len);
	struct span value = span_trim(span_skip(span_trim(rest), 1));
	size_t i = 0;

	while (i < SETTING_COUNT && !span_is(name, settings[i].name))
		i++;
	if (i == SETTING_COUNT) {
		reading_mistake(
			file->reading, place_at(file, name),
			"neither a setting that holds recipients, nor a regular expression");
	} else if (file->named[settings[i].action] != 0) {
		reading_mistake(file->reading, place_at(file, name),
				"line %zu is such a setting already: what both say together is not "
				"said by a list",
				file->named[settings[i].action]);
	} else if (value.len == 0) {
		reading_mistake(file->reading, place_at(file, name), "a value is missing");
	} else {
		file->named[settings[i].action] = file->number;
		read_value(file, value, settings[i].action);
	}
}

void listing_read_mailpit(struct reading *reading, struct span text)
{
	struct file file = {.reading = reading};
	struct lines lines = {text, 0};

	while (lines_next(&lines, &file.line) && !reading_is_over(reading)) {
		struct span line = span_trim(file.line);
		struct span name;

		file.number = lines.number;
		if (line.len == 0 || line.data[0] == '#')
			continue;
		if (line.len > VALUE_MAX_BYTES / 2) {
			reading_mistake(reading, (struct place){file.number, 0, NULL},
					"longer than %zu octets", VALUE_MAX_BYTES / 2);
			continue;
		}
		name = name_of(line);
		if (name.len > 0)
			read_setting(&file, name);
		else
			read_value(&file, line, ENTRY_ALLOW);
	}
}
