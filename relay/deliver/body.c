/* relay/deliver/body.c - the bytes of DATA on their way: counted, dots watched, long lines cut */
#include <config.h> /* memmem */

#include "relay/deliver/body.h"

enum body_line_end body_line_take(size_t *octets_io, struct span text, size_t *take_out)
{
	enum body_line_end end = BODY_LINE_OPEN;
	size_t octets = *octets_io;
	size_t at = 0;

	while (at < text.len && end == BODY_LINE_OPEN) {
		/* Beyond the limit a CR was the last one: now octet by octet. */
		size_t left = octets < BODY_LINE_MAX ? BODY_LINE_MAX - octets : 1;
		struct span part = span_first(span_skip(text, at), left);
		size_t lf = span_find(part, '\n');

		if (lf < part.len) {
			at += lf + 1;
			end = BODY_LINE_ENDED;
			break;
		}
		at += part.len;
		octets += part.len;
		if (octets >= BODY_LINE_MAX && part.data[part.len - 1] != '\r')
			end = BODY_LINE_CUT;
	}
	*octets_io = end == BODY_LINE_OPEN ? octets : 0;
	*take_out = at;
	return end;
}

void body_scan_init(struct body_scan *scan)
{
	*scan = (struct body_scan){.place = BODY_AT_START};
}

/* What came with a cut: its line end, and the dot that libesmtp doubled behind it. */
static int skip_cut(struct body_scan *scan, struct span input, size_t *drop_out)
{
	size_t at = 0;

	if (scan->place == BODY_AT_CUT && input.len >= 2) {
		if (input.data[0] != '\r' || input.data[1] != '\n')
			return ERR_SYNTAX;
		at = 2;
		scan->place = BODY_BEHIND_CUT;
	}
	input = span_skip(input, at);
	if (scan->place == BODY_BEHIND_CUT && input.len > 0) {
		if (input.data[0] != '.') {
			scan->place = BODY_IN_LINE;
		} else if (input.len >= 2) {
			if (input.data[1] != '.')
				return ERR_SYNTAX;
			at++;
			scan->place = BODY_IN_LINE;
		}
	}
	*drop_out = at;
	return ERR_OK;
}

/* Of a dot at a line start: 1 when it was put in and goes along, 0 when more has to come first. */
static int look_at_dot(struct body_scan *scan, struct span line, size_t *dots_out)
{
	*dots_out = 0;
	if (line.len < 3)
		return ERR_OK;
	if (line.data[1] == '\r' && line.data[2] == '\n')
		scan->ended = true;
	else if (line.data[1] == '.')
		*dots_out = 1;
	else
		return ERR_SYNTAX;
	return ERR_OK;
}

static int take_lines(struct body_scan *scan, struct span input, size_t *take_out)
{
	static const enum body_place places[] = {[BODY_LINE_OPEN] = BODY_IN_LINE,
						 [BODY_LINE_ENDED] = BODY_AT_START,
						 [BODY_LINE_CUT] = BODY_AT_CUT};
	size_t at = 0;

	while (at < input.len && scan->place <= BODY_IN_LINE) {
		struct span rest = span_skip(input, at);
		size_t dots = 0, len;

		if (scan->place == BODY_AT_START && rest.data[0] == '.') {
			if (look_at_dot(scan, rest, &dots) < 0)
				return ERR_SYNTAX;
			if (dots == 0)
				break;
		}
		scan->place = places[body_line_take(&scan->line, span_skip(rest, dots), &len)];
		scan->octets += (int64_t)len;
		at += dots + len;
	}
	*take_out = at;
	return ERR_OK;
}

int body_scan_take(struct body_scan *scan, struct span input, size_t *drop_out, size_t *take_out)
{
	size_t drop = 0;
	int code = skip_cut(scan, input, &drop);

	if (code == ERR_OK)
		code = take_lines(scan, span_skip(input, drop), take_out);
	if (code == ERR_OK)
		*drop_out = drop;
	return code;
}

size_t body_skip_header(struct span input)
{
	const char *end = input.len > 0 ? memmem(input.data, input.len, "\r\n\r\n", 4) : NULL;

	return end != NULL ? (size_t)(end - input.data) + 4 : 0;
}

void body_stuff(struct span text, size_t *at, size_t room, struct buf *out)
{
	size_t limit = out->len + room;

	while (*at < text.len && out->len + 1 < limit) {
		struct span rest = span_skip(text, *at);
		bool line_start = *at == 0 || text.data[*at - 1] == '\n';
		size_t end = span_find(rest, '\n');

		if (line_start && rest.data[0] == '.')
			buf_append_char(out, '.');
		end += end < rest.len ? 1 : 0;
		if (end > limit - out->len)
			end = limit - out->len;
		buf_append(out, rest.data, end);
		*at += end;
	}
}
