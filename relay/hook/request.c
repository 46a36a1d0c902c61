/* relay/hook/request.c - one HTTP request by libcurl, from its bytes to those of the answer */
#include "relay/hook/request.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/secret.h"
#include "relay/hook/json.h"
#include "relay/hook/nginx.h"

#define URL_MAX 2000

void request_init(struct request *request)
{
	*request = (struct request){.easy = NULL};
	buf_init(&request->content, HOOK_QUESTION_MAX);
	buf_init(&request->head, REQUEST_HEAD_MAX);
	buf_init(&request->body, HOOK_ANSWER_MAX);
}

void request_release(struct request *request)
{
	assert(request->easy == NULL);
	/* There may be logins in all of them. */
	buf_wipe(&request->content);
	buf_wipe(&request->head);
	buf_wipe(&request->body);
}

/* --- the URL -------------------------------------------------------------------------- */

/* nginx's "unix:/path:/uri", or an URL. */
struct target {
	char url[URL_MAX + 32];
	char socket[108]; /* "": none */
	char host[256];	  /* for Host: as nginx shows it, without a port */
};

static int parse_unix(struct span text, struct target *target, struct err *why)
{
	struct span rest = span_skip(text, 5);
	struct span path = span_cut(&rest, ':');

	if (path.len < 2 || path.data[0] != '/' || path.len >= sizeof(target->socket) ||
	    (rest.len > 0 && rest.data[0] != '/'))
		return err_set(why, ERR_SYNTAX, "unix:/path or unix:/path:/uri was expected");
	snprintf(target->socket, sizeof(target->socket), "%.*s", SPAN_ARG(path));
	snprintf(target->url, sizeof(target->url), "http://localhost%.*s",
		 SPAN_ARG(rest.len > 0 ? rest : span_of("/")));
	snprintf(target->host, sizeof(target->host), "localhost");
	return ERR_OK;
}

static int parse_url(struct span text, struct target *target, struct err *why)
{
	CURLU *url = curl_url();
	char *host = NULL;
	int code = ERR_OK;

	if (!span_starts_fold(text, "http://") && !span_starts_fold(text, "https://"))
		code = err_set(why, ERR_SYNTAX, "http://, https:// or unix: was expected");
	snprintf(target->url, sizeof(target->url), "%.*s", SPAN_ARG(text));
	if (code == ERR_OK && (curl_url_set(url, CURLUPART_URL, target->url, 0) != CURLUE_OK ||
			       curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK))
		code = err_set(why, ERR_SYNTAX, "it is no URL");
	if (code == ERR_OK)
		snprintf(target->host, sizeof(target->host), "%.255s", host);
	curl_free(host);
	curl_url_cleanup(url);
	return code;
}

static int parse(struct span text, struct target *target, struct err *why)
{
	*target = (struct target){.socket = ""};
	if (text.len > URL_MAX)
		return err_set(why, ERR_LIMIT, "at most %d octets", URL_MAX);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			return err_set(why, ERR_SYNTAX, "blanks and 8-bit octets must be encoded");
	return span_starts_fold(text, "unix:") ? parse_unix(text, target, why)
					       : parse_url(text, target, why);
}

int hook_check_url(struct span url, struct err *why)
{
	struct target target;

	return parse(url, &target, why);
}

/* --- the answer ----------------------------------------------------------------------- */

/* Anything but what was given ends the transfer. */
static size_t take(struct request *request, struct buf *into, const char *bytes, size_t len)
{
	if (buf_append(into, bytes, len) == ERR_OK)
		return len;
	request->too_long = true;
	return 0;
}

static size_t on_field(char *bytes, size_t size, size_t count, void *ctx)
{
	struct request *request = ctx;
	struct span line = span_make(bytes, size * count);

	/* A further answer (100 Continue came before it) begins anew. */
	if (span_starts_fold(line, "HTTP/"))
		buf_clear(&request->head);
	return take(request, &request->head, line.data, line.len);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct request *request = ctx;

	return take(request, &request->body, bytes, size * count);
}

/* Read to its end, within limits, and forgotten: only the fields count. */
static size_t on_ignored(char *bytes, size_t size, size_t count, void *ctx)
{
	struct request *request = ctx;

	(void)bytes;
	request->body_bytes += size * count;
	return request->body_bytes <= HOOK_ANSWER_MAX ? size * count : 0;
}

/* The last one's: what says 100 Continue, or the like, has not answered yet. */
static bool head_is_whole(const struct request *request)
{
	struct span head = buf_span(&request->head);

	if (request_status(request) < 200 || head.len < 4)
		return false;
	return span_is(span_skip(head, head.len - 2), "\n\n") ||
	       span_is(span_skip(head, head.len - 3), "\n\r\n");
}

bool request_is_answered(const struct request *request, CURLcode code)
{
	if (code == CURLE_OK)
		return true;
	return request->head_only && !request->too_long && head_is_whole(request);
}

/* --- the question --------------------------------------------------------------------- */

static void add(struct request *request, const char *line)
{
	struct curl_slist *fields = curl_slist_append(request->fields, line);

	assert(fields != NULL);
	request->fields = fields;
}

static void add_nginx(struct request *request, const struct target *target)
{
	char host[sizeof(target->host) + 8];

	snprintf(host, sizeof(host), "Host: %s", target->host);
	add(request, host);
	add(request, "Accept:");
	/*
	 * All lines as one: libcurl leaves out a field without a value, and cuts the blank that
	 * nginx sends behind the colon. It sends what it is given, and puts the last line end.
	 */
	add(request, request->content.data);
}

static void add_json(struct request *request, const struct hook_options *options)
{
	add(request, "Content-Type: application/json");
	add(request, "Accept: application/json");
	add(request, "Expect:");
	for (size_t i = 0; i < options->header_count; i++) {
		char line[1200];

		snprintf(line, sizeof(line), "%.100s: %.1000s", options->headers[i].name,
			 options->headers[i].value);
		add(request, line);
	}
}

static void set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

static void set_common(struct request *request, const struct target *target,
		       const struct hook_options *options)
{
	CURL *easy = request->easy;

	curl_easy_setopt(easy, CURLOPT_URL, target->url);
	if (target->socket[0] != '\0')
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, target->socket);
	set_protocols(easy);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->timeout_ms);
	/* Recipients are told to the script that is configured, not to what the environment names.
	 */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_field);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* The end of a request does not wait for a name server that says nothing. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static void set_dialect(struct request *request, const struct target *target,
			const struct hook_options *options)
{
	CURL *easy = request->easy;

	if (options->dialect == HOOK_NGINX) {
		add_nginx(request, target);
		request->head_only = true;
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_0);
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_ignored);
	} else {
		add_json(request, options);
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->content.len);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->content.data);
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->fields);
}

int request_begin(struct request *request, CURLM *multi, const struct hook_options *options,
		  void *ctx, struct err *why)
{
	struct target target;
	int code = parse(span_of(options->url), &target, why);

	if (code != ERR_OK)
		return code;
	request->easy = curl_easy_init();
	if (request->easy == NULL)
		return err_set(why, ERR_IO, "libcurl has no handle to give");
	set_common(request, &target, options);
	set_dialect(request, &target, options);
	curl_easy_setopt(request->easy, CURLOPT_PRIVATE, ctx);
	if (curl_multi_add_handle(multi, request->easy) == CURLM_OK)
		return ERR_OK;
	curl_easy_cleanup(request->easy);
	request->easy = NULL;
	return err_set(why, ERR_IO, "libcurl does not take the request");
}

void request_end(struct request *request, CURLM *multi)
{
	if (request->easy != NULL) {
		curl_multi_remove_handle(multi, request->easy);
		curl_easy_cleanup(request->easy);
		request->easy = NULL;
	}
	for (struct curl_slist *field = request->fields; field != NULL; field = field->next)
		secret_wipe(field->data, strlen(field->data));
	curl_slist_free_all(request->fields);
	request->fields = NULL;
}

long request_status(const struct request *request)
{
	long status = 0;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}
