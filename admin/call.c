/* admin/call.c - one API request: answering it */
#include "admin/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "admin/problem.h"
#include "base/log.h"

#define REPLY_MAX ((size_t)64 * 1024 * 1024)

int call_append_json(const char *bytes, size_t len, void *out)
{
	struct span rest = span_make(bytes, len);
	int code = ERR_OK;

	/* Some thousand pieces an answer, most of them a few octets without one. */
	if (memchr(bytes, '<', len) == NULL)
		return buf_append(out, bytes, len) == ERR_OK ? 0 : -1;
	while (code == ERR_OK && rest.len > 0) {
		size_t plain = span_find(rest, '<');

		code = buf_append_span(out, span_first(rest, plain));
		if (code == ERR_OK && plain < rest.len)
			code = buf_append_text(out, "\\u003c");
		rest = span_skip(rest, plain + 1);
	}
	return code == ERR_OK ? 0 : -1;
}

int call_write(const json_t *json, struct buf *out)
{
	return json_dump_callback(json, call_append_json, out, JSON_COMPACT) == 0
		       ? buf_append_char(out, '\n')
		       : ERR_LIMIT;
}

/* Takes `json`. */
static void reply_typed(struct call *call, int status, const char *type, json_t *json)
{
	struct buf text;

	buf_init(&text, REPLY_MAX);
	if (call_write(json, &text) != ERR_OK) {
		buf_clear(&text);
		status = 500;
		type = PROBLEM_TYPE;
		(void)buf_append_text(&text, "{\"type\":\"urn:stagepost:problem:internal\","
					     "\"title\":\"Internal error\",\"status\":500,"
					     "\"detail\":\"the answer is too large: page it\"}\n");
	}
	json_decref(json);
	http_reply(call->http, status, type, &text);
	buf_release(&text);
}

void call_reply(struct call *call, int status, json_t *body)
{
	if (body == NULL)
		http_reply(call->http, status, NULL, NULL);
	else
		reply_typed(call, status, "application/json", body);
}

void call_reply_problem(struct call *call, int status, json_t *problem)
{
	if (status == 503)
		http_reply_header(call->http, "Retry-After", "1");
	reply_typed(call, status, PROBLEM_TYPE, problem);
}

void call_problem(struct call *call, int status, const char *format, ...)
{
	struct err detail;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(detail.text, sizeof(detail.text), format, args);
	va_end(args);
	call_reply_problem(call, status, problem_new(status, detail.text));
}

void call_error(struct call *call, int code, const struct err *why)
{
	int status = problem_status(code);

	if (status >= 500)
		log_warning("admin_error", LOG_S("code", err_name(code)),
			    LOG_S("reason", why->text));
	call_reply_problem(call, status, problem_new(status, why->text));
}

void call_etag(struct call *call, int64_t revision)
{
	char tag[32];

	(void)snprintf(tag, sizeof(tag), "\"%lld\"", (long long)revision);
	http_reply_header(call->http, "ETag", tag);
}

/* RFC 9110 13.1.1: strong comparison; "*" holds for whatever exists. */
static bool if_match_holds(const char *header, int64_t revision)
{
	struct span rest = span_of(header);
	char tag[32];

	(void)snprintf(tag, sizeof(tag), "\"%lld\"", (long long)revision);
	while (rest.len > 0) {
		struct span one = span_trim(span_cut(&rest, ','));

		if (span_is(one, "*") || span_is(one, tag))
			return true;
	}
	return false;
}

bool call_if_match(struct call *call, int64_t revision, bool *given_out)
{
	size_t count;
	const char *header = http_header(call->http, "If-Match", &count);

	*given_out = count > 0;
	if (count == 0 || (count == 1 && if_match_holds(header, revision)))
		return true;
	call_problem(call, 412, "it is not as If-Match says: its ETag is \"%lld\"",
		     (long long)revision);
	return false;
}

static void give_reader(struct call *call)
{
	if (call->reader != NULL)
		readers_give(call->api->readers, call->reader);
	call->reader = NULL;
}

void call_give_reader(struct call *call)
{
	if (!call->at_labour)
		give_reader(call);
}

/* In the writer thread: nothing but the wake-up; the answer is built in the server's own. */
static void job_done(struct store_job *job)
{
	struct call *call = job->ctx;

	http_resume(call->http);
}

static void on_resumed(void *ctx, struct http_request *http)
{
	struct call *call = http_data(http);

	call->at_labour = false;
	call->then(call);
	call_give_reader(call);
}

void call_suspend(struct call *call, void (*then)(struct call *call))
{
	call->then = then;
	http_suspend(call->http, on_resumed);
}

void call_submit(struct call *call, void (*submit)(struct store *, struct store_job *),
		 struct store_job *job, void (*then)(struct call *call))
{
	call_give_reader(call); /* never across a suspension */
	call->then = then;
	job->done = job_done;
	job->ctx = call;
	http_suspend(call->http, on_resumed);
	submit(call->api->env.store, job);
}

static void run_labour(struct crew_job *job)
{
	struct call *call = (struct call *)((char *)job - offsetof(struct call, job));

	call->labour(call);
	give_reader(call);
	http_resume(call->http);
}

void call_labour(struct call *call, void (*labour)(struct call *call),
		 void (*then)(struct call *call))
{
	call_give_reader(call);
	call->labour = labour;
	call->then = then;
	call->job.run = run_labour;
	call->job.turn = 0;
	call->at_labour = true;
	http_suspend(call->http, on_resumed);
	crew_give(call->api->crew, &call->job);
}

struct store_reader *call_reader(struct call *call)
{
	if (call->reader == NULL)
		call->reader = readers_take(call->api->readers);
	return call->reader;
}

void call_mistake(struct call *call, const char *where, const char *format, ...)
{
	struct err detail;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(detail.text, sizeof(detail.text), format, args);
	va_end(args);
	if (call->mistakes == NULL)
		call->mistakes = problem_new(400, detail.text);
	problem_add(call->mistakes, where, detail.text);
}

bool call_refused(struct call *call)
{
	json_t *mistakes = call->mistakes;

	if (mistakes == NULL)
		return false;
	call->mistakes = NULL;
	call_reply_problem(call, 400, mistakes);
	return true;
}
