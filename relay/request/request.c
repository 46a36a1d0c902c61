/* relay/request/request.c - one HTTP request by libcurl, from its bytes to those of the answer */
#include "relay/request/request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"

void request_init(struct request *request, size_t content_max, size_t body_max)
{
	*request = (struct request){.body_max = body_max};
	buf_init(&request->content, content_max);
	buf_init(&request->head, REQUEST_HEAD_MAX);
	buf_init(&request->body, body_max);
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

static int parse_unix(struct span text, struct request_target *target, struct err *why)
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

static int parse_url(struct span text, struct request_target *target, struct err *why)
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

int request_parse(struct span text, struct request_target *target_out, struct err *why)
{
	struct request_target target = {.socket = ""};
	int code;

	if (text.len > REQUEST_URL_MAX)
		return err_set(why, ERR_LIMIT, "at most %d octets", REQUEST_URL_MAX);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			return err_set(why, ERR_SYNTAX, "blanks and 8-bit octets must be encoded");
	code = span_starts_fold(text, "unix:") ? parse_unix(text, &target, why)
					       : parse_url(text, &target, why);
	if (code == ERR_OK)
		*target_out = target;
	return code;
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
	return request->body_bytes <= request->body_max ? size * count : 0;
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

void request_add(struct request *request, const char *line)
{
	struct curl_slist *fields = curl_slist_append(request->fields, line);

	assert(fields != NULL);
	request->fields = fields;
}

static void set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

int request_open(struct request *request, const struct request_target *target, int64_t timeout_ms,
		 struct err *why)
{
	CURL *easy = curl_easy_init();

	if (easy == NULL)
		return err_set(why, ERR_IO, "libcurl has no handle to give");
	request->easy = easy;
	curl_easy_setopt(easy, CURLOPT_URL, target->url);
	if (target->socket[0] != '\0')
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, target->socket);
	set_protocols(easy);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
	/* Recipients are told to the script that is configured, not to what the environment names.
	 */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_field);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* The end of a request does not wait for a name server that says nothing. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	return ERR_OK;
}

void request_set_ca(struct request *request, const char *file)
{
	curl_easy_setopt(request->easy, CURLOPT_CAINFO, file);
	curl_easy_setopt(request->easy, CURLOPT_CAPATH, NULL);
}

void request_set_post(struct request *request, bool head_only)
{
	CURL *easy = request->easy;

	request->head_only = head_only;
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->content.len);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->content.data);
	if (head_only)
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_ignored);
}

void request_set_get_1_0(struct request *request)
{
	request->head_only = true;
	curl_easy_setopt(request->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_0);
	curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, on_ignored);
}

int request_start(struct request *request, CURLM *multi, void *ctx, struct err *why)
{
	curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->fields);
	curl_easy_setopt(request->easy, CURLOPT_PRIVATE, ctx);
	if (curl_multi_add_handle(multi, request->easy) == CURLM_OK)
		return ERR_OK;
	request_end(request, NULL);
	return err_set(why, ERR_IO, "libcurl does not take the request");
}

void request_end(struct request *request, CURLM *multi)
{
	if (request->easy != NULL) {
		if (multi != NULL)
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
