/* admin/events.c - what happens, as it happens: server-sent events (WHATWG HTML 9.2) */
#include <assert.h>

#include "admin/feed.h"
#include "admin/gate.h"
#include "admin/handlers.h"
#include "base/clock.h"

#define CHECK_MS 5000 /* is the token still good? */
#define STALL_MS 30000
#define TEXT_MAX ((size_t)1024 * 1024)

/* One stream; the response's, and of the call only while that lives. */
struct stream {
	struct feed_waiter waiter; /* first */
	struct feed *feed;
	struct call *call;  /* NULL: its request is over */
	bool follows;	    /* does not end with what is there already */
	bool is_over;	    /* ended by us */
	int64_t comment_ms; /* nothing happened: the connection lives, and so does what is in
			       between */
	int64_t comment_at;
	int64_t check_at;
	int64_t read_at; /* when its peer had taken everything */
	struct buf record;
	struct buf text; /* to be sent */
};

/* --- what was asked -----------------------------------------------------------------------------
 */

/* Who made tokens is for admins, as in the trail. */
static unsigned kinds_for(const struct caller *caller)
{
	unsigned all = (1U << NEWS_KINDS) - 1;

	return caller->role == ROLE_ADMIN && caller->scope[0] == '\0' ? all
								      : all & ~(1U << NEWS_TOKEN);
}

static unsigned read_kinds(struct call *call)
{
	const char *types = call_param(call, "types");
	struct span rest = span_of(types);
	unsigned kinds = 0;

	if (types == NULL)
		return kinds_for(&call->caller);
	while (rest.len > 0) {
		struct span name = span_trim(span_cut(&rest, ','));
		enum news_kind kind;

		if (news_kind_parse(name, &kind) != ERR_OK)
			call_mistake(call, "types", "there are no events \"%.*s\"",
				     name.len < 40 ? (int)name.len : 40,
				     name.data != NULL ? name.data : "");
		else
			kinds |= 1U << kind;
	}
	return kinds & kinds_for(&call->caller);
}

static bool read_follow(struct call *call)
{
	const char *follow = call_param(call, "follow");

	if (follow == NULL || strcmp(follow, "true") == 0)
		return true;
	if (strcmp(follow, "false") != 0)
		call_mistake(call, "follow", "neither true nor false");
	return false;
}

/* --- what is sent -------------------------------------------------------------------------------
 */

/* The token may have been revoked, or made for less. */
static bool may_still_listen(struct stream *stream, int64_t now)
{
	struct call *call = stream->call;
	struct caller caller;
	struct err why;
	int code;

	if (now < stream->check_at)
		return true;
	stream->check_at = now + CHECK_MS;
	code = gate_caller(call, &caller, &why);
	call_give_reader(call);
	if (code != ERR_OK)
		return code != ERR_DENIED; /* the database can't be asked at this moment */
	return caller.role == call->caller.role && strcmp(caller.scope, call->caller.scope) == 0;
}

static void add_event(struct stream *stream)
{
	struct news news;

	news_unpack(buf_span(&stream->record), &news);
	if (news.kind == NEWS_TOKEN)
		stream->check_at = 0;
	if (feed_matches(&stream->waiter.filter, &news))
		feed_write(stream->feed, stream->waiter.next - 1, &news, &stream->text);
}

/* False: there is nothing more now. */
static bool add_next(struct stream *stream)
{
	uint64_t missed;
	int code = bus_read(feed_bus(stream->feed), &stream->waiter.next, &stream->record, &missed);

	if (missed > 0)
		feed_write_lost(stream->feed, stream->waiter.next - (code == ERR_OK ? 1 : 0),
				missed, &stream->text);
	if (code == ERR_OK)
		add_event(stream);
	return code == ERR_OK;
}

static size_t give(struct stream *stream, char *bytes_out, size_t max)
{
	size_t len = stream->text.len < max ? stream->text.len : max;

	memcpy(bytes_out, stream->text.data, len);
	buf_consume(&stream->text, len);
	if (stream->text.len == 0)
		buf_release(&stream->text); /* most streams are silent most of the time */
	return len;
}

static size_t end(struct stream *stream)
{
	stream->is_over = true;
	return HTTP_SOURCE_END;
}

static size_t stream_read(void *source, char *bytes_out, size_t max)
{
	struct stream *stream = source;

	stream->read_at = clock_mono_ms();
	for (;;) {
		int64_t now = clock_mono_ms();

		while (stream->text.len < max && add_next(stream))
			;
		if (!may_still_listen(stream, now) || feed_is_closed(stream->feed))
			return end(stream);
		if (stream->text.len == 0 && now >= stream->comment_at)
			(void)buf_append_text(&stream->text, ":\n\n");
		if (stream->text.len > 0) {
			stream->comment_at = now + stream->comment_ms;
			return give(stream, bytes_out, max);
		}
		if (!stream->follows)
			return end(stream);
		buf_release(&stream->record);
		stream->waiter.wake_at = stream->comment_at < stream->check_at ? stream->comment_at
									       : stream->check_at;
		if (feed_sleep(stream->feed, &stream->waiter))
			return HTTP_SOURCE_LATER;
	}
}

static void suspend(struct feed_waiter *waiter)
{
	http_stream_suspend(waiter->request);
}

/* --- its life -----------------------------------------------------------------------------------
 */

static void stream_free(void *source)
{
	struct stream *stream = source;

	assert(stream->call == NULL);
	buf_release(&stream->record);
	buf_release(&stream->text);
	mem_free(stream);
}

static void forget(struct call *call)
{
	struct stream *stream = call->work;

	if (!stream->is_over && clock_mono_ms() - stream->read_at >= STALL_MS - 1000)
		feed_count_stalled(stream->feed);
	feed_leave(stream->feed, &stream->waiter);
	stream->call = NULL;
}

/* NULL: there are too many already, and that was replied. */
static struct stream *stream_new(struct call *call, unsigned kinds, const char *scope)
{
	struct stream *stream = mem_zalloc(sizeof(*stream));
	struct feed *feed = call->api->feed;

	stream->feed = feed;
	stream->call = call;
	stream->waiter = (struct feed_waiter){.kind = FEED_STREAM,
					      .request = call->http,
					      .filter = {.kinds = kinds, .scope = scope},
					      .suspend = suspend};
	if (!feed_enter(feed, &stream->waiter)) {
		mem_free(stream);
		call_problem(call, 503, "there are as many streams of events as may be");
		return NULL;
	}
	buf_init(&stream->record, BUS_RECORD_MAX);
	buf_init(&stream->text, TEXT_MAX);
	stream->read_at = clock_mono_ms();
	stream->comment_ms = call->api->stream_comment_ms;
	stream->comment_at = stream->read_at + stream->comment_ms;
	stream->check_at = stream->read_at + CHECK_MS;
	call->work = stream;
	call->forget = forget;
	return stream;
}

/*
 * From where it was when its connection was lost; else what happens from now on,
 * or where it does not follow: all that is still known.
 */
static void find_beginning(struct call *call, struct stream *stream)
{
	const char *last = http_header(call->http, "Last-Event-ID", NULL);
	struct bus *bus = feed_bus(stream->feed);

	/* Also so that the peer, and what is in between, sees at once that it is there. */
	(void)buf_append_text(&stream->text, "retry: 1000\n\n");
	if (last == NULL || last[0] == '\0')
		stream->waiter.next = stream->follows ? bus_end(bus) : bus_first(bus);
	else if (feed_parse_id(stream->feed, span_of(last), &stream->waiter.next) != ERR_OK)
		feed_write_restarted(stream->feed, stream->waiter.next, &stream->text);
}

void handle_events(struct call *call)
{
	unsigned kinds = read_kinds(call);
	const char *scope = call_param_scope(call);
	bool follows = read_follow(call);
	struct stream *stream;

	if (call_refused(call))
		return;
	stream = stream_new(call, kinds, scope);
	if (stream == NULL)
		return;
	stream->follows = follows;
	find_beginning(call, stream);
	/* For nginx, which else keeps it back. */
	http_reply_header(call->http, "X-Accel-Buffering", "no");
	http_reply_live(call->http, "text/event-stream", STALL_MS,
			&(struct http_source){stream_read, stream_free, stream});
}
