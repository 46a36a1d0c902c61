/* tests/unit/admin/echo.c - an HTTP server without routes: what it was asked is its answer */
#include <config.h>

#include "tests/unit/admin/echo.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BODY_LIMIT 1000

void echo_sleep_ms(long ms)
{
	struct timespec span = {ms / 1000, (ms % 1000) * 1000000L};

	nanosleep(&span, NULL);
}

static void reply_text(struct http_request *request, int status, const char *text)
{
	struct buf body;

	buf_init(&body, 70000);
	ck_assert_int_eq(buf_append_text(&body, text), ERR_OK);
	http_reply(request, status, "text/plain", &body);
	buf_release(&body);
}

static void echo_begin(void *ctx, struct http_request *request, size_t *body_limit_out)
{
	atomic_fetch_add(&((struct echo *)ctx)->begun, 1);
	*body_limit_out = BODY_LIMIT;
	if (span_is(http_path(request), "/denied"))
		reply_text(request, 401, "no");
}

static void *resume_later(void *request)
{
	echo_sleep_ms(50);
	http_resume(request);
	return NULL;
}

static void then_answer(void *ctx, struct http_request *request)
{
	reply_text(request, 200, "resumed");
}

static void wait_for_thread(struct http_request *request)
{
	pthread_t thread;

	http_suspend(request, then_answer);
	pthread_create(&thread, NULL, resume_later, request);
	pthread_detach(thread);
}

static size_t endless_read(void *source, char *bytes_out, size_t max)
{
	size_t *left = source;
	size_t len = *left < max ? *left : max;

	memset(bytes_out, 'x', len);
	*left -= len;
	return len;
}

static void endless_release(void *source)
{
	free(source);
}

static void stream(struct http_request *request, uint64_t size, size_t given)
{
	size_t *left = malloc(sizeof(*left));

	*left = given;
	http_reply_stream(request, 200, "message/rfc822", size,
			  &(struct http_source){endless_read, endless_release, left});
}

/* --- replies that last --- */

struct live {
	struct http_request *request;
	int words;    /* that were said */
	bool endless; /* says one after the other */
};

static size_t live_read(void *source, char *bytes_out, size_t max)
{
	struct live *live = source;
	pthread_t thread;

	if (live->endless) {
		memset(bytes_out, 'x', max);
		return max;
	}
	live->words++;
	if (live->words == 7)
		return HTTP_SOURCE_END;
	if (live->words % 2 == 0) {
		http_stream_suspend(live->request);
		if (live->words == 2) {
			http_resume(live->request); /* before it has returned */
		} else {
			pthread_create(&thread, NULL, resume_later, live->request);
			pthread_detach(thread);
		}
		return HTTP_SOURCE_LATER;
	}
	memcpy(bytes_out, "word ", 5);
	return 5;
}

static void live_release(void *source)
{
	free(source);
}

static void live(struct http_request *request, bool endless)
{
	struct live *live = calloc(1, sizeof(*live));

	live->request = request;
	live->endless = endless;
	http_reply_live(request, "text/plain", 500,
			&(struct http_source){live_read, live_release, live});
}

static void echo_handle(void *ctx, struct http_request *request)
{
	char text[400];

	atomic_fetch_add(&((struct echo *)ctx)->handled, 1);
	if (span_is(http_path(request), "/wait")) {
		wait_for_thread(request);
	} else if (span_is(http_path(request), "/again")) {
		http_suspend(request, then_answer);
		http_resume(request); /* before the suspending call has returned */
	} else if (span_is(http_path(request), "/stream")) {
		stream(request, 3000000, 3000000);
	} else if (span_is(http_path(request), "/large")) {
		stream(request, LARGE, LARGE);
	} else if (span_is(http_path(request), "/live")) {
		live(request, false);
	} else if (span_is(http_path(request), "/endless")) {
		live(request, true);
	} else if (span_is(http_path(request), "/short")) {
		stream(request, 3000000, 1000000);
	} else {
		snprintf(text, sizeof(text), "%.*s %.*s?%.*s %zu %s",
			 SPAN_ARG(http_method(request)), SPAN_ARG(http_path(request)),
			 SPAN_ARG(http_query(request)), http_body(request).len,
			 http_peer(request)->address);
		reply_text(request, 200, text);
	}
}

static void echo_refuse(void *ctx, struct http_request *request, int status, const char *detail)
{
	reply_text(request, status, detail);
}

static void echo_end(void *ctx, struct http_request *request)
{
	atomic_fetch_add(&((struct echo *)ctx)->ended, 1);
}

static const struct http_ops echo_ops = {echo_begin, echo_handle, echo_refuse, echo_end};
static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};

void echo_start_with(struct echo *running, struct http_options options)
{
	struct err why = {""};

	options.hosts = hosts;
	options.host_count = 3;
	options.ops = &echo_ops;
	options.ctx = running;
	atomic_init(&running->begun, 0);
	atomic_init(&running->handled, 0);
	atomic_init(&running->ended, 0);

	snprintf(running->dir, sizeof(running->dir), "/tmp/test_http.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(running->dir));
	snprintf(running->path, sizeof(running->path), "%s/admin.sock", running->dir);
	ck_assert_msg(listen_tcp("127.0.0.1:0", &options.tcp_fd, running->address, &why) == ERR_OK,
		      "%s", why.text);
	ck_assert_msg(listen_unix(running->path, &options.local_fd, &why) == ERR_OK, "%s",
		      why.text);
	ck_assert_msg(http_start(&options, &running->server, &why) == ERR_OK, "%s", why.text);
}

void echo_start(struct echo *running, int64_t deadline_ms)
{
	echo_start_with(running, (struct http_options){.request_deadline_ms = deadline_ms});
}

void echo_stop(struct echo *running)
{
	http_stop(&running->server, 2000);
	unlink(running->path);
	rmdir(running->dir);
	ck_assert_int_eq(atomic_load(&running->begun) <= atomic_load(&running->ended), 1);
}
