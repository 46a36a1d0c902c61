/* relay/deliver/body.c - the bytes of DATA on their way: counted, dots watched */
#include <config.h> /* memmem */

#include "relay/deliver/body.h"

void body_scan_init(struct body_scan *scan)
{
	*scan = (struct body_scan){.line_start = true};
}

int body_scan_take(struct body_scan *scan, struct span input, size_t *take_out)
{
	size_t at = 0;

	while (at < input.len && !scan->ended) {
		struct span rest = span_skip(input, at);
		size_t end;

		if (scan->line_start && rest.data[0] == '.') {
			if (rest.len < 3)
				break;
			if (rest.data[1] == '\r' && rest.data[2] == '\n') {
				scan->ended = true;
				break;
			}
			if (rest.data[1] != '.')
				return ERR_SYNTAX;
			scan->octets--;
		}
		end = span_find(rest, '\n');
		scan->line_start = end < rest.len;
		end += scan->line_start ? 1 : 0;
		scan->octets += (int64_t)end;
		at += end;
	}
	*take_out = at;
	return ERR_OK;
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
