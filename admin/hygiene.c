/* admin/hygiene.c - the gate every request passes before a route is looked for */
#include "admin/hygiene.h"

#include "base/err.h"

/* RFC 9110 5.6.2 */
static bool is_token(struct span text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) &&
		    (text.data[i] == '\0' || strchr(others, text.data[i]) == NULL))
			return false;
	return text.len > 0;
}

static bool has_control(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if ((c < ' ' && c != '\t') || c == 127)
			return true;
	}
	return false;
}

static void note(size_t *count, struct span *kept, struct span value)
{
	(*count)++;
	*kept = value;
}

void hygiene_header(struct hygiene *hygiene, struct span name, struct span value)
{
	if (!is_token(name) || has_control(value))
		hygiene->malformed = true;
	if (span_is_fold(name, "Host"))
		note(&hygiene->hosts, &hygiene->host, value);
	else if (span_is_fold(name, "Content-Length"))
		note(&hygiene->lengths, &hygiene->length, value);
	else if (span_is_fold(name, "Transfer-Encoding"))
		note(&hygiene->encodings, &hygiene->encoding, value);
}

/* RFC 9112 3.2: origin-form, or absolute-form of our own scheme. */
static bool split_target(struct hygiene *hygiene)
{
	struct span rest = hygiene->target;

	hygiene->authority = hygiene->host;
	if (span_starts_fold(rest, "http://")) {
		rest = span_skip(rest, strlen("http://"));
		hygiene->authority = span_first(rest, span_find(rest, '/'));
		rest = span_skip(rest, hygiene->authority.len);
	}
	if (rest.len == 0 || rest.data[0] != '/' || span_find(rest, '#') != rest.len)
		return false;
	hygiene->path = span_first(rest, span_find(rest, '?'));
	rest = span_skip(rest, hygiene->path.len);
	hygiene->query = rest.len > 0 ? span_skip(rest, 1) : span_make(NULL, 0);
	return true;
}

/* RFC 9112 6.3: exactly one way to know where the body ends. */
static int check_framing(struct hygiene *hygiene, const char **detail_out)
{
	if (hygiene->lengths > 0 && hygiene->encodings > 0) {
		*detail_out = "Content-Length and Transfer-Encoding exclude each other";
		return 400;
	}
	if (hygiene->lengths > 1 || hygiene->encodings > 1) {
		*detail_out = "the length of the body is given more than once";
		return 400;
	}
	if (hygiene->encodings == 1 && !span_is_fold(hygiene->encoding, "chunked")) {
		*detail_out = "only the transfer coding \"chunked\" is understood";
		return 501;
	}
	if (hygiene->lengths == 1) {
		int code = span_to_u64(hygiene->length, INT64_MAX, &hygiene->content_bytes);

		if (code == ERR_SYNTAX) {
			*detail_out = "Content-Length is not a number";
			return 400;
		}
		/* Past 63 bits: more than any limit, which is all that matters. */
		if (code == ERR_LIMIT)
			hygiene->content_bytes = UINT64_MAX;
	}
	hygiene->is_chunked = hygiene->encodings == 1;
	hygiene->has_body = hygiene->is_chunked || hygiene->content_bytes > 0;
	return 0;
}

int hygiene_check(struct hygiene *hygiene, const char **detail_out)
{
	if (!span_is(hygiene->version, "HTTP/1.1") && !span_is(hygiene->version, "HTTP/1.0")) {
		*detail_out = "only HTTP/1.1 and HTTP/1.0 are spoken here";
		return 505;
	}
	if (hygiene->malformed || !is_token(hygiene->method)) {
		*detail_out = "a header line is malformed";
		return 400;
	}
	if (hygiene->hosts != 1) {
		*detail_out = "exactly one Host is needed";
		return 400;
	}
	if (has_control(hygiene->target) || !split_target(hygiene)) {
		*detail_out = "the request target is not a path";
		return 400;
	}
	return check_framing(hygiene, detail_out);
}

/* "name", "name:8025", "[::1]:8025" without the port; an empty span when the port is no number. */
static struct span without_port(struct span authority)
{
	size_t name = authority.len > 0 && authority.data[0] == '[' ? span_find(authority, ']') + 1
								    : span_find(authority, ':');
	struct span port;
	uint64_t number;

	if (name > authority.len)
		return span_make(NULL, 0);
	port = span_skip(authority, name);
	if (port.len > 0 &&
	    (port.data[0] != ':' || span_to_u64(span_skip(port, 1), 65535, &number) != ERR_OK))
		return span_make(NULL, 0);
	return span_first(authority, name);
}

bool hygiene_host_allowed(struct span authority, const char *const *hosts, size_t host_count)
{
	struct span name = without_port(authority);

	for (size_t i = 0; i < host_count; i++)
		if (name.len > 0 && span_equal_fold(name, span_of(hosts[i])))
			return true;
	return false;
}
