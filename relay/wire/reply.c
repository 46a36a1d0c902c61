/* relay/wire/reply.c - SMTP replies: read from a next hop, written to a client (RFC 5321 4.2) */
#include "relay/wire/reply.h"

#include <assert.h>

#define WIRE_LINE_MAX 512 /* what we write: RFC 5321 4.5.3.1.5, with CRLF */

void reply_parser_init(struct reply_parser *parser)
{
	*parser = (struct reply_parser){0};
	buf_init(&parser->reply.text, REPLY_BYTES_MAX);
	buf_init(&parser->line, REPLY_LINE_MAX);
}

void reply_parser_release(struct reply_parser *parser)
{
	buf_release(&parser->reply.text);
	buf_release(&parser->line);
}

bool reply_parser_is_midway(const struct reply_parser *parser)
{
	return !parser->done && (parser->line.len > 0 || parser->reply.lines > 0);
}

static void begin(struct reply_parser *parser)
{
	parser->reply.code = 0;
	parser->reply.enhanced[0] = '\0';
	parser->reply.lines = 0;
	buf_clear(&parser->reply.text);
	parser->bytes = 0;
	parser->done = false;
}

static size_t digits(struct span s)
{
	size_t n = 0;

	while (n < s.len && n < 3 && ascii_is_digit(s.data[n]))
		n++;
	return n;
}

/* Length of a status-code of RFC 2034 at the front of `text` whose class is `klass`, or 0. */
static size_t enhanced_length(struct span text, char klass)
{
	size_t subject;
	size_t detail;
	size_t len;

	if (text.len < 5 || text.data[0] != klass || text.data[1] != '.' ||
	    (klass != '2' && klass != '4' && klass != '5'))
		return 0;
	subject = digits(span_skip(text, 2));
	if (subject == 0 || text.len <= 2 + subject || text.data[2 + subject] != '.')
		return 0;
	detail = digits(span_skip(text, 3 + subject));
	len = 3 + subject + detail;
	if (detail == 0 || (len < text.len && text.data[len] != ' '))
		return 0;
	return len;
}

static int line_code(struct span line, bool *more_out, struct span *text_out, struct err *why)
{
	if (line.len < 3 || digits(line) != 3 || line.data[0] < '2' || line.data[0] > '5')
		return err_set(why, ERR_SYNTAX, "a reply line does not begin with a reply code");
	if (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')
		return err_set(why, ERR_SYNTAX, "neither blank nor hyphen behind a reply code");
	*more_out = line.len > 3 && line.data[3] == '-';
	*text_out = span_skip(line, 4);
	return (line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 + (line.data[2] - '0');
}

/* One line without its line end. */
static int take_line(struct reply_parser *parser, struct span line, struct err *why)
{
	struct reply *reply = &parser->reply;
	struct span text;
	bool more;
	int code = line_code(line, &more, &text, why);

	if (code < 0)
		return code;
	if (reply->lines > 0 && code != reply->code)
		return err_set(why, ERR_SYNTAX, "the code changes from %d to %d inside a reply",
			       reply->code, code);
	if (reply->lines == REPLY_LINES_MAX)
		return err_set(why, ERR_LIMIT, "a reply of more than %d lines", REPLY_LINES_MAX);
	if (reply->lines == 0) {
		size_t len = enhanced_length(text, line.data[0]);

		reply->code = code;
		if (len > 0)
			memcpy(reply->enhanced, text.data, len);
		reply->enhanced[len] = '\0';
	} else if (buf_append_char(&reply->text, '\n') != ERR_OK) {
		return err_set(why, ERR_LIMIT, "a reply of more than %d bytes", REPLY_BYTES_MAX);
	}
	if (buf_append_span(&reply->text, text) != ERR_OK)
		return err_set(why, ERR_LIMIT, "a reply of more than %d bytes", REPLY_BYTES_MAX);
	reply->lines++;
	parser->done = !more;
	return ERR_OK;
}

/* Bytes of the line under way; *ended_out when its LF was among them. */
static int collect(struct reply_parser *parser, struct span *input, bool *ended_out,
		   struct err *why)
{
	size_t at = span_find(*input, '\n');
	size_t len = at < input->len ? at + 1 : at;

	*ended_out = at < input->len;
	if (buf_append(&parser->line, input->data, len) != ERR_OK)
		return err_set(why, ERR_LIMIT, "a reply line of more than %d octets",
			       REPLY_LINE_MAX);
	parser->bytes += len;
	if (parser->bytes > REPLY_BYTES_MAX)
		return err_set(why, ERR_LIMIT, "a reply of more than %d bytes", REPLY_BYTES_MAX);
	*input = span_skip(*input, len);
	return ERR_OK;
}

static int feed(struct reply_parser *parser, struct span *input, struct err *why)
{
	while (input->len > 0 && !parser->done) {
		bool ended;
		struct span line;
		int code = collect(parser, input, &ended, why);

		if (code != ERR_OK || !ended)
			return code;
		line = span_first(buf_span(&parser->line), parser->line.len - 1);
		if (line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		code = take_line(parser, line, why);
		if (code != ERR_OK)
			return code;
		buf_clear(&parser->line);
	}
	return ERR_OK;
}

int reply_parser_feed(struct reply_parser *parser, struct span *input, bool *done_out,
		      struct err *why)
{
	int code;

	if (parser->failed)
		return err_set(why, ERR_SYNTAX, "the peer's replies are out of step");
	if (parser->done)
		begin(parser);
	code = feed(parser, input, why);
	if (code != ERR_OK) {
		parser->failed = true;
		return code;
	}
	*done_out = parser->done;
	return ERR_OK;
}

struct span reply_line(const struct reply *reply, size_t index)
{
	struct span rest = buf_span(&reply->text);
	struct span line = rest;

	if (index >= reply->lines)
		return span_make(NULL, 0);
	for (size_t i = 0; i <= index; i++)
		line = span_cut(&rest, '\n');
	return line;
}

/* Length of the valid UTF-8 character at the front, 0 when there is none or it is a control. */
static size_t printable(struct span s)
{
	unsigned char first = (unsigned char)s.data[0];
	size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (first < 0x20 || first == 0x7f)
		return 0;
	/* U+0080..U+009F are controls too: terminals obey them. */
	if (first == 0xc2 && s.len > 1 && (unsigned char)s.data[1] < 0xa0)
		return 0;
	return len <= s.len && span_is_utf8(span_first(s, len)) ? len : 0;
}

/* Copy what fits below text_out[size - 1]; returns the new length. */
static size_t add_printable(struct span s, char *text_out, size_t at, size_t size)
{
	while (s.len > 0) {
		size_t len = printable(s);
		size_t put = len > 0 ? len : 1;

		if (at + put >= size)
			return size;
		if (len > 0)
			memcpy(text_out + at, s.data, len);
		else
			text_out[at] = '?';
		at += put;
		text_out[at] = '\0';
		s = span_skip(s, put);
	}
	return at;
}

void reply_summary(const struct reply *reply, char *text_out, size_t size)
{
	struct span rest = buf_span(&reply->text);
	size_t at = 0;

	assert(size > 0);
	text_out[0] = '\0';
	for (size_t i = 0; i < reply->lines && at < size; i++) {
		struct span line = span_cut(&rest, '\n');
		char klass = (char)('0' + reply->code / 100);

		line = span_trim(span_skip(line, enhanced_length(line, klass)));
		if (at > 0 && line.len > 0)
			at = add_printable(span_make(" ", 1), text_out, at, size);
		if (at < size)
			at = add_printable(line, text_out, at, size);
	}
}

static int format_line(struct buf *out, struct span prefix, struct span text)
{
	char *room;

	text = span_first(text, WIRE_LINE_MAX - 2 - prefix.len);
	room = buf_reserve(out, prefix.len + text.len + 2);
	if (room == NULL)
		return ERR_LIMIT;
	memcpy(room, prefix.data, prefix.len);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		/* RFC 5321 4.2: textstring is printable ASCII, whatever a peer made us repeat */
		room[prefix.len + i] = c < 0x20 || c >= 0x7f ? '?' : text.data[i];
	}
	memcpy(room + prefix.len + text.len, "\r\n", 2);
	buf_fill(out, prefix.len + text.len + 2);
	return ERR_OK;
}

int reply_format(struct buf *out, int code, const char *enhanced, struct span text)
{
	size_t before = out->len;
	struct span rest = text;

	assert(code >= 200 && code <= 599);
	assert(strlen(enhanced) < REPLY_ENHANCED_SIZE);
	do {
		struct span line = span_cut(&rest, '\n');
		char prefix[4 + REPLY_ENHANCED_SIZE + 1];
		size_t len = strlen(enhanced);

		prefix[0] = (char)('0' + code / 100);
		prefix[1] = (char)('0' + code / 10 % 10);
		prefix[2] = (char)('0' + code % 10);
		prefix[3] = rest.data != NULL ? '-' : ' ';
		memcpy(prefix + 4, enhanced, len);
		if (len > 0)
			prefix[4 + len++] = ' ';
		if (format_line(out, span_make(prefix, 4 + len), line) != ERR_OK) {
			buf_truncate(out, before);
			return ERR_LIMIT;
		}
	} while (rest.data != NULL);
	return ERR_OK;
}
