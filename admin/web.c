/* admin/web.c - the page itself: files for a browser, which hold no data of the relay */
#include "admin/web.h"

#include "admin/handlers.h"

/*
 * Scripts and styles come from here and nowhere else, and nothing is sent
 * elsewhere. HTML of a message is a frame with a policy of its own.
 */
#define POLICY                                                                                     \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "          \
	"connect-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; "              \
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

const struct web_file *web_find(struct span name)
{
	for (size_t i = 0; i < web_file_count; i++)
		if (span_is(name, web_files[i].name))
			return &web_files[i];
	return NULL;
}

/* RFC 9110 13.1.2: a list, or "*"; the comparison is the weak one. */
static bool is_known(const struct call *call, const char *etag)
{
	struct span rest = span_of(http_header(call->http, "If-None-Match", NULL));

	while (rest.len > 0) {
		struct span one = span_trim(span_cut(&rest, ','));

		if (span_starts_fold(one, "W/"))
			one = span_skip(one, 2);
		if (span_is(one, "*") || span_is(one, etag))
			return true;
	}
	return false;
}

static void reply_file(struct call *call, const struct web_file *file)
{
	struct buf bytes;

	http_reply_header(call->http, "Content-Security-Policy", POLICY);
	http_reply_header(call->http, "Cross-Origin-Opener-Policy", "same-origin");
	/* A new version of the relay brings its own page: ask each time, send it once. */
	http_reply_header(call->http, "Cache-Control", "no-cache");
	http_reply_header(call->http, "ETag", file->etag);
	if (is_known(call, file->etag)) {
		http_reply(call->http, 304, NULL, NULL);
		return;
	}
	buf_init(&bytes, file->len);
	(void)buf_append(&bytes, file->bytes, file->len);
	http_reply(call->http, 200, file->type, &bytes);
	buf_release(&bytes);
}

void handle_web_index(struct call *call)
{
	reply_file(call, web_find(span_of(WEB_INDEX)));
}

void handle_web_file(struct call *call)
{
	const struct web_file *file = web_find(call->id);

	if (file == NULL)
		call_problem(call, 404, "there is no such file of the page");
	else
		reply_file(call, file);
}
