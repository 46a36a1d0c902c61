/* relay/config_value.c - the forms of single values: numbers, sizes, times, ${NAME} */
#include "relay/config_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct unit {
	const char *suffix;
	int64_t factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit size_units[] = {
	{"T", (int64_t)1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1},
};
static const struct unit time_units[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *config_quote(struct span text, char text_out[CONFIG_QUOTED_SIZE])
{
	struct span shown = span_first(text, 60);
	size_t at = 0;

	text_out[at++] = '"';
	for (size_t i = 0; i < shown.len; i++)
		text_out[at++] = shown.data[i] >= ' ' && shown.data[i] < 0x7f ? shown.data[i] : '?';
	if (shown.len < text.len) {
		memcpy(text_out + at, "...", 3);
		at += 3;
	}
	text_out[at++] = '"';
	text_out[at] = '\0';
	return text_out;
}

int config_parse_number(struct span text, struct config_range range, int64_t *number_out,
			struct err *why)
{
	char quoted[CONFIG_QUOTED_SIZE];
	bool minus = text.len > 1 && text.data[0] == '-';
	uint64_t value;
	int64_t number;
	int code = span_to_u64(span_skip(text, minus ? 1 : 0), INT64_MAX, &value);

	if (code == ERR_SYNTAX)
		return err_set(why, ERR_SYNTAX, "a number was expected, not %s",
			       config_quote(text, quoted));
	number = code != ERR_OK ? 0 : minus ? -(int64_t)value : (int64_t)value;
	if (code != ERR_OK || number < range.min || number > range.max)
		return err_set(why, ERR_LIMIT,
			       "%s is out of range: from %" PRId64 " to %" PRId64 " is possible",
			       config_quote(text, quoted), range.min, range.max);
	*number_out = number;
	return ERR_OK;
}

int config_parse_decimal(struct span text, struct config_range range, int64_t *thousandths_out,
			 struct err *why)
{
	size_t point = span_find(text, '.');
	struct span places = span_skip(text, point + 1);
	char quoted[CONFIG_QUOTED_SIZE], least[CONFIG_VALUE_SIZE], most[CONFIG_VALUE_SIZE];
	uint64_t whole = UINT64_MAX, part = 0;
	int64_t value;

	if (span_to_u64(span_first(text, point), (uint64_t)range.max, &whole) == ERR_SYNTAX ||
	    (point < text.len && (places.len > 3 || span_to_u64(places, 999, &part) != ERR_OK)))
		return err_set(why, ERR_SYNTAX, "a number such as 3 or 0.5 was expected, not %s",
			       config_quote(text, quoted));
	for (size_t i = places.len; i < 3; i++)
		part *= 10;
	config_format_decimal(range.min, least);
	config_format_decimal(range.max, most);
	value = whole <= (uint64_t)range.max / 1000 ? (int64_t)(whole * 1000 + part) : INT64_MAX;
	if (value < range.min || value > range.max)
		return err_set(why, ERR_LIMIT, "%s is out of range: from %s to %s is possible",
			       config_quote(text, quoted), least, most);
	*thousandths_out = value;
	return ERR_OK;
}

void config_format_decimal(int64_t thousandths, char text_out[CONFIG_VALUE_SIZE])
{
	int len = snprintf(text_out, CONFIG_VALUE_SIZE, "%" PRId64 ".%03" PRId64,
			   thousandths / 1000, thousandths % 1000);

	while (text_out[len - 1] == '0')
		text_out[--len] = '\0';
	if (text_out[len - 1] == '.')
		text_out[--len] = '\0';
}

/* Digits and one suffix of the table, with nothing between or behind them. */
static int parse_with_unit(struct span text, const struct unit *units, size_t count,
			   int64_t *value_out)
{
	size_t digits = 0;
	struct span suffix;
	uint64_t number;

	while (digits < text.len && ascii_is_digit(text.data[digits]))
		digits++;
	suffix = span_skip(text, digits);
	for (size_t i = 0; i < count; i++) {
		int code;

		if (!span_is(suffix, units[i].suffix))
			continue;
		code = span_to_u64(span_first(text, digits),
				   (uint64_t)(INT64_MAX / units[i].factor), &number);
		if (code == ERR_OK)
			*value_out = (int64_t)number * units[i].factor;
		return code;
	}
	return ERR_SYNTAX;
}

static void format_with_unit(int64_t value, const struct unit *units, size_t count,
			     char text_out[CONFIG_VALUE_SIZE])
{
	size_t i = 0;

	while (i + 1 < count && (value % units[i].factor != 0 || value == 0))
		i++;
	snprintf(text_out, CONFIG_VALUE_SIZE, "%" PRId64 "%s", value / units[i].factor,
		 units[i].suffix);
}

void config_format_size(int64_t bytes, char text_out[CONFIG_VALUE_SIZE])
{
	format_with_unit(bytes, size_units, COUNT(size_units), text_out);
}

void config_format_time(int64_t ms, char text_out[CONFIG_VALUE_SIZE])
{
	if (ms == 0)
		snprintf(text_out, CONFIG_VALUE_SIZE, "0s");
	else
		format_with_unit(ms, time_units, COUNT(time_units), text_out);
}

int config_parse_size(struct span text, struct config_range range, int64_t *bytes_out,
		      struct err *why)
{
	char quoted[CONFIG_QUOTED_SIZE];
	char least[CONFIG_VALUE_SIZE];
	char most[CONFIG_VALUE_SIZE];
	int64_t bytes = 0;
	int code = parse_with_unit(text, size_units, COUNT(size_units), &bytes);

	if (code == ERR_SYNTAX)
		return err_set(why, ERR_SYNTAX,
			       "a size such as 512, 64K, 10M or 1G was expected, not %s",
			       config_quote(text, quoted));
	config_format_size(range.min, least);
	config_format_size(range.max, most);
	if (code != ERR_OK || bytes < range.min || bytes > range.max)
		return err_set(why, ERR_LIMIT, "%s is out of range: from %s to %s is possible",
			       config_quote(text, quoted), least, most);
	*bytes_out = bytes;
	return ERR_OK;
}

int config_parse_time(struct span text, struct config_range range, int64_t *ms_out, struct err *why)
{
	char quoted[CONFIG_QUOTED_SIZE];
	char least[CONFIG_VALUE_SIZE];
	char most[CONFIG_VALUE_SIZE];
	int64_t ms = 0;
	int code = ERR_OK;

	if (!span_is(text, "0"))
		code = parse_with_unit(text, time_units, COUNT(time_units), &ms);
	if (code == ERR_SYNTAX)
		return err_set(why, ERR_SYNTAX,
			       "a time such as 30s, 5m, 4h or 7d was expected, not %s",
			       config_quote(text, quoted));
	config_format_time(range.min, least);
	config_format_time(range.max, most);
	if (code != ERR_OK || ms < range.min || ms > range.max)
		return err_set(why, ERR_LIMIT, "%s is out of range: from %s to %s is possible",
			       config_quote(text, quoted), least, most);
	*ms_out = ms;
	return ERR_OK;
}

int config_parse_bool(struct span text, bool *value_out, struct err *why)
{
	char quoted[CONFIG_QUOTED_SIZE];

	if (!span_is(text, "true") && !span_is(text, "false"))
		return err_set(why, ERR_SYNTAX, "true or false was expected, not %s",
			       config_quote(text, quoted));
	*value_out = span_is(text, "true");
	return ERR_OK;
}

static bool is_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] != '_' && !ascii_is_alpha(name.data[i]) &&
		    (i == 0 || !ascii_is_digit(name.data[i])))
			return false;
	return name.len > 0;
}

/* `inside` is what stands between the braces. */
static int expand_one(struct span inside, struct buf *out, struct err *why)
{
	char quoted[CONFIG_QUOTED_SIZE];
	struct span fallback = span_skip(inside, span_find(inside, ':'));
	struct span name = span_first(inside, inside.len - fallback.len);
	const char *value;
	char *key;

	if (!is_name(name) || (fallback.len > 0 && !span_starts_fold(fallback, ":-")))
		return err_set(why, ERR_SYNTAX, "%s between braces is not NAME or NAME:-default",
			       config_quote(inside, quoted));
	key = mem_span_dup(name);
	value = getenv(key);
	mem_free(key);
	if (fallback.len > 0 && (value == NULL || value[0] == '\0'))
		return buf_append_span(out, span_skip(fallback, 2));
	if (value == NULL)
		return err_set(why, ERR_NOT_FOUND,
			       "the environment variable %s is not set and has no default",
			       config_quote(name, quoted));
	return buf_append_text(out, value);
}

int config_expand(struct span text, struct buf *out, struct err *why)
{
	int code = ERR_OK;

	while (text.len > 0 && code == ERR_OK) {
		size_t len = span_find(text, '$');
		struct span rest = span_skip(text, len);

		code = buf_append_span(out, span_first(text, len));
		if (code != ERR_OK)
			break;
		if (rest.len > 2 && rest.data[1] == '$' && rest.data[2] == '{') {
			code = buf_append_text(out, "${");
			len = 3;
		} else if (rest.len > 1 && rest.data[1] == '{') {
			struct span inside = span_skip(rest, 2);
			size_t end = span_find(inside, '}');

			if (end == inside.len)
				return err_set(why, ERR_SYNTAX,
					       "${ without a closing } (write $${ for itself)");
			code = expand_one(span_first(inside, end), out, why);
			len = end + 3;
		} else if (rest.len > 0) {
			code = buf_append_char(out, '$');
			len = 1;
		}
		text = span_skip(rest, rest.len > 0 ? len : 0);
	}
	if (code == ERR_LIMIT)
		err_set(why, ERR_LIMIT, "the value is too long");
	return code;
}
