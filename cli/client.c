/* cli/client.c - the daemon's API, over its unix socket or a URL; the file that sees libcurl */
#include <config.h>

#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/progress.h"

#define ANSWER_MAX	((size_t)64 * 1024 * 1024)
#define TOKEN_MAX	1024
#define PATH_MAX_	((size_t)16 * 1024)
#define CONNECT_SECONDS 10L
#define TOTAL_SECONDS	120L
#define STALL_SECONDS	60L   /* a download that brings nothing for so long is over */
#define SILENCE_MS	40000 /* the same of a stream, which has a comment every 15 s */

struct client {
	CURL *curl;
	char token_header[TOKEN_MAX + 32]; /* "" without one */
	char socket_path[512];
	char base[512];
	char error[CURL_ERROR_SIZE];
};

/* Where an answer goes. */
struct sink {
	CURL *curl;
	struct buf text;
	FILE *out; /* NULL: into text */
	const struct client_request *request;
	int64_t heard_at;
	char etag[sizeof(((struct client_reply *)NULL)->etag)];
	bool failed;
};

static size_t on_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
	struct sink *sink = ctx;
	size_t len = size * count;
	long status = 0;

	curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &status);
	sink->heard_at = clock_mono_ms();
	if (sink->request->take != NULL && status == 200)
		sink->failed = !sink->request->take(sink->request->ctx, span_make(bytes, len));
	else if (sink->out != NULL && status == 200)
		sink->failed = fwrite(bytes, 1, len, sink->out) != len;
	else
		sink->failed = buf_append(&sink->text, bytes, len) != ERR_OK;
	return sink->failed ? 0 : len;
}

/* Asked about once a second, and when something moves. Not 0: a stream is silent for too long. */
static int on_progress(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
		       curl_off_t up)
{
	const struct sink *sink = ctx;

	(void)down_all;
	(void)down;
	/* A bar that stands at 100 %: the daemon is at work on it. */
	if (sink->request->progress != NULL && up_all > 0)
		progress_show(sink->request->progress, up, up_all);
	return sink->request->take != NULL && clock_mono_ms() - sink->heard_at > SILENCE_MS;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
	static const char name[] = "ETag:";
	struct span line = span_make(bytes, size * count);
	struct sink *sink = ctx;

	if (span_starts_fold(line, name)) {
		struct span tag = span_trim(span_skip(line, strlen(name)));

		snprintf(sink->etag, sizeof(sink->etag), "%.*s", SPAN_ARG(tag));
	}
	return size * count;
}

/* --- making one -------------------------------------------------------------- */

static int read_token(const char *path, char token_out[TOKEN_MAX], struct err *why)
{
	FILE *file = fopen(path, "re");
	struct span token;
	size_t len;

	if (file == NULL)
		return err_set(why, errno == EACCES ? ERR_DENIED : ERR_IO,
			       "the token file %s can't be read: %s", path, strerror(errno));
	len = fread(token_out, 1, TOKEN_MAX - 1, file);
	fclose(file);
	token = span_trim(span_make(token_out, len));
	for (size_t i = 0; i < token.len; i++)
		if (token.data[i] <= ' ' || token.data[i] > '~')
			token.len = 0;
	if (token.len == 0)
		return err_set(why, ERR_IO, "the file %s holds no token", path);
	memmove(token_out, token.data, token.len);
	token_out[token.len] = '\0';
	return ERR_OK;
}

static int add_token(struct client *client, const char *path, struct err *why)
{
	char token[TOKEN_MAX];
	int code = read_token(path, token, why);

	if (code == ERR_OK)
		snprintf(client->token_header, sizeof(client->token_header),
			 "Authorization: Bearer %s", token);
	return code;
}

static void set_fixed_options(struct client *client)
{
	CURL *curl = client->curl;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	/* The token is for the daemon, and for no proxy and no redirect. */
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "stagepost/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static int set_target(struct client *client, const struct tool *tool, struct err *why)
{
	size_t len;

	if (tool->url == NULL) {
		snprintf(client->socket_path, sizeof(client->socket_path), "%s/admin.sock",
			 tool->data_dir);
		snprintf(client->base, sizeof(client->base), "http://localhost");
		curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
		return ERR_OK;
	}
	len = strlen(tool->url);
	while (len > 0 && tool->url[len - 1] == '/')
		len--;
	if (len >= sizeof(client->base))
		return err_set(why, ERR_IO, "the URL is too long");
	snprintf(client->base, sizeof(client->base), "%.*s", (int)len, tool->url);
	return ERR_OK;
}

static int client_new(const struct tool *tool, struct client **client_out, struct err *why)
{
	struct client *client = mem_zalloc(sizeof(*client));
	int code;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	client->curl = curl_easy_init();
	if (client->curl == NULL) {
		mem_free(client);
		return err_set(why, ERR_IO, "libcurl could not be set up");
	}
	set_fixed_options(client);
	code = set_target(client, tool, why);
	if (code == ERR_OK && tool->token_file != NULL)
		code = add_token(client, tool->token_file, why);
	if (code != ERR_OK) {
		client_free(&client);
		return code;
	}
	*client_out = client;
	return ERR_OK;
}

void client_free(struct client **client)
{
	if (*client == NULL)
		return;
	curl_easy_cleanup((*client)->curl);
	curl_global_cleanup();
	mem_free(*client);
	*client = NULL;
}

/* --- asking ------------------------------------------------------------------ */

static int judge(const struct client *client, const struct tool *tool, CURLcode result,
		 const struct sink *sink, struct err *why)
{
	const char *what = client->error[0] != '\0' ? client->error : curl_easy_strerror(result);
	const char *where = tool->url != NULL ? tool->url : client->socket_path;
	long error = 0;
	long status = 0;

	curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &error);
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	/* Half an answer is something else than none: nobody must fall back to asking elsewhere. */
	if (result != CURLE_OK && result != CURLE_WRITE_ERROR && status != 0)
		return err_set(why, ERR_IO, "%s: the answer was cut off: %s", where, what);
	switch (result) {
	case CURLE_OK: return ERR_OK;
	case CURLE_WRITE_ERROR:
		if (sink->out != NULL && sink->failed)
			return err_set(why, ERR_IO, "the output could not be written");
		return err_set(why, ERR_IO, "the answer is too large");
	case CURLE_COULDNT_CONNECT:
		if (tool->url == NULL && (error == EACCES || error == EPERM))
			return err_set(why, ERR_DENIED,
				       "%s is for the daemon's user and root; be one of them, or "
				       "use --url and --token-file",
				       where);
		return err_set(why, ERR_CLOSED, "no daemon answers at %s", where);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR: return err_set(why, ERR_CLOSED, "%s: %s", where, what);
	default: return err_set(why, ERR_IO, "%s: %s", where, what);
	}
}

static struct curl_slist *make_headers(const struct client *client,
				       const struct client_request *request)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	char line[128];

	snprintf(line, sizeof(line), "Content-Type: %s",
		 request->type != NULL ? request->type : "application/json");
	headers = curl_slist_append(headers, line);
	if (client->token_header[0] != '\0')
		headers = curl_slist_append(headers, client->token_header);
	snprintf(line, sizeof(line), "Last-Event-ID: %s",
		 request->last_event_id != NULL ? request->last_event_id : "");
	if (request->last_event_id != NULL)
		headers = curl_slist_append(headers, line);
	snprintf(line, sizeof(line), "If-Match: %s",
		 request->if_match != NULL ? request->if_match : "");
	return request->if_match != NULL ? curl_slist_append(headers, line) : headers;
}

static void set_request(struct client *client, const struct client_request *request,
			struct sink *sink)
{
	CURL *curl = client->curl;
	char url[sizeof(client->base) + PATH_MAX_];

	snprintf(url, sizeof(url), "%s%s", client->base, request->path);
	client->error[0] = '\0';
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, sink);
	curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	if (request->body.data != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.data);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, sink);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT,
			 sink->out != NULL || request->take != NULL ? 0L : TOTAL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, request->take != NULL ? 0L : STALL_SECONDS);
}

static int perform(struct tool *tool, const struct client_request *request, struct sink *sink,
		   struct err *why)
{
	struct client *client = tool->client;
	struct curl_slist *headers = make_headers(client, request);
	int code;

	sink->curl = client->curl;
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
	set_request(client, request, sink);
	code = judge(client, tool, curl_easy_perform(client->curl), sink, why);
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	return code;
}

int client_send(struct tool *tool, const struct client_request *request,
		struct client_reply *reply_out, struct err *why)
{
	struct sink sink = {.out = request->out, .request = request, .heard_at = clock_mono_ms()};
	int code = ERR_OK;

	if (strlen(request->path) >= PATH_MAX_)
		return err_set(why, ERR_IO, "what is asked for is too long for a request");
	if (tool->client == NULL)
		code = client_new(tool, &tool->client, why);
	if (code != ERR_OK)
		return code;
	buf_init(&sink.text, ANSWER_MAX);
	code = perform(tool, request, &sink, why);
	if (code == ERR_OK) {
		*reply_out = (struct client_reply){0};
		curl_easy_getinfo(sink.curl, CURLINFO_RESPONSE_CODE, &reply_out->status);
		memcpy(reply_out->etag, sink.etag, sizeof(sink.etag));
		if (sink.text.len > 0)
			reply_out->body = json_loadb(sink.text.data, sink.text.len, 0, NULL);
	}
	buf_release(&sink.text);
	return code;
}

int client_call(struct tool *tool, const char *method, const char *path, const json_t *body,
		struct client_reply *reply_out, struct err *why)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	struct client_request request = {.method = method, .path = path, .body = span_of(text)};
	int code = client_send(tool, &request, reply_out, why);

	free(text);
	return code;
}

int client_download(struct tool *tool, const char *path, FILE *out, struct client_reply *reply_out,
		    struct err *why)
{
	struct client_request request = {.method = "GET", .path = path, .out = out};

	return client_send(tool, &request, reply_out, why);
}

/* --- what it means for the tool ---------------------------------------------- */

int client_fail(const struct tool *tool, int code, const struct err *why)
{
	switch (code) {
	case ERR_CLOSED:
		if (tool->url == NULL)
			return tool_fail(TOOL_UNREACHABLE,
					 "%s; is stagepostd running? (--data-dir says where its "
					 "data is)",
					 why->text);
		return tool_fail(TOOL_UNREACHABLE, "%s", why->text);
	case ERR_DENIED: return tool_fail(TOOL_DENIED, "%s", why->text);
	default: return tool_fail(TOOL_IO, "%s", why->text);
	}
}

static int exit_of(long status)
{
	switch (status) {
	case 400:
	case 413: return TOOL_USAGE;
	case 401:
	case 403:
	case 421:
	case 429: return TOOL_DENIED;
	case 404:
	case 409:
	case 410:
	case 412: return TOOL_NO;
	default: return TOOL_UNREACHABLE;
	}
}

int client_refused(const struct client_reply *reply)
{
	const json_t *errors = json_object_get(reply->body, "errors");
	const char *detail = tool_text(reply->body, "detail");
	long long existing = tool_number(reply->body, "existing_id");
	int code = exit_of(reply->status);
	json_t *one;
	size_t i;

	if (reply->status == 401)
		return tool_fail(code, "the daemon wants a token: use --token-file FILE (the first "
				       "one is in its data_dir/admin.token)");
	if (existing != 0)
		return tool_fail(code, "%s: its id is %lld", detail, existing);
	if (json_array_size(errors) == 0)
		return tool_fail(code, "%s (HTTP %ld)",
				 detail[0] != '\0' ? detail : "the daemon refuses", reply->status);
	json_array_foreach((json_t *)(uintptr_t)errors, i, one)
	{
		const char *pointer = tool_text(one, "pointer");

		tool_note("%s: %s", pointer[0] == '/' ? pointer + 1 : pointer,
			  tool_text(one, "detail"));
	}
	return code;
}

int client_ask(struct tool *tool, const char *method, const char *path, const json_t *body,
	       json_t **body_out)
{
	struct client_reply reply;
	struct err why;
	int code = client_call(tool, method, path, body, &reply, &why);

	if (code != ERR_OK)
		return client_fail(tool, code, &why);
	if (reply.status < 200 || reply.status > 299) {
		code = client_refused(&reply);
		json_decref(reply.body);
		return code;
	}
	if (reply.body == NULL && reply.status != 204)
		return tool_fail(TOOL_UNREACHABLE,
				 "what answers there does not speak JSON: is it stagepostd?");
	*body_out = reply.body;
	return TOOL_OK;
}

/* --- paths ------------------------------------------------------------------- */

void client_add_segment(struct buf *path, struct span segment)
{
	for (size_t i = 0; i < segment.len; i++) {
		char c = segment.data[i];

		if (ascii_is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '~')
			(void)buf_append_char(path, c);
		else
			(void)buf_printf(path, "%%%02X", (unsigned char)c);
	}
}

void client_add_parameter(struct buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	(void)buf_printf(path, "%c%s=", span_find(buf_span(path), '?') < path->len ? '&' : '?',
			 name);
	client_add_segment(path, span_of(value));
}

int client_remove(struct tool *tool, const char *path, long long id, const char *what)
{
	char line[720];
	json_t *answer = NULL;
	json_t *json;
	long long in_flight;
	int ends = client_ask(tool, "DELETE", path, NULL, &answer);

	in_flight = tool_number(answer, "in_flight");
	json_decref(answer);
	if (ends != TOOL_OK)
		return ends;
	if (in_flight > 0)
		tool_note("%lld recipients that it let through are being delivered now", in_flight);
	if (tool->format != TOOL_TEXT) {
		json = json_pack("{s:I, s:b}", "id", (json_int_t)id, "removed", 1);
		tool_print_json(tool, json);
		json_decref(json);
		return TOOL_OK;
	}
	snprintf(line, sizeof(line), "Removed: %s", what);
	tool_print_clean(line);
	return TOOL_OK;
}
