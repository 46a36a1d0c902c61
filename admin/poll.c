/* admin/poll.c - an answer that is put off until there is something to say (long poll) */
#include "admin/poll.h"

#include "admin/gate.h"
#include "base/clock.h"
#include "base/when.h"

#define REST_MS 100 /* between two looks into the database */

int64_t poll_param(struct call *call)
{
	const char *text = call_param(call, "wait");
	int64_t ms = 0;
	struct err why;

	if (text == NULL)
		return 0;
	if (when_parse_duration(span_of(text), &ms, &why) != ERR_OK)
		call_mistake(call, "wait", "%s", why.text);
	else if (ms > POLL_MS_MAX)
		call_mistake(call, "wait", "more than %d seconds", POLL_MS_MAX / 1000);
	return ms;
}

static void forget(struct call *call)
{
	struct poll *poll = call->work;

	if (poll->has_entered)
		feed_leave(call->api->feed, &poll->waiter);
}

/* Back in a thread of the server's. */
static void on_woken(struct call *call)
{
	struct poll *poll = call->work;
	struct caller caller;
	struct err why;

	if (gate_caller(call, &caller, &why) == ERR_DENIED) {
		call_problem(call, 401, "%s", why.text);
		return;
	}
	poll->waiter.next = bus_end(feed_bus(call->api->feed));
	poll->look(call);
}

static void suspend(struct feed_waiter *waiter)
{
	struct poll *poll = (struct poll *)waiter;

	poll->call->waited = true;
	call_suspend(poll->call, on_woken);
}

void poll_init(struct poll *poll, struct call *call, int64_t wait_ms,
	       const struct feed_filter *filter, void (*look)(struct call *call))
{
	*poll = (struct poll){.waiter = {.kind = FEED_POLL,
					 .request = call->http,
					 .filter = *filter,
					 .suspend = suspend,
					 .next = bus_end(feed_bus(call->api->feed))},
			      .call = call,
			      .until = clock_mono_ms() + wait_ms,
			      .look = look};
	call->work = poll;
	call->forget = forget;
}

bool poll_again(struct poll *poll)
{
	struct feed *feed = poll->call->api->feed;
	int64_t now = clock_mono_ms();

	if (now >= poll->until)
		return false;
	if (!poll->has_entered) {
		poll->has_entered = feed_enter(feed, &poll->waiter);
		if (!poll->has_entered && !feed_is_closed(feed)) {
			call_problem(poll->call, 503, "as many requests wait as may do so");
			return true;
		}
	}
	call_give_reader(poll->call); /* never across a suspension */
	poll->waiter.wake_at = poll->until;
	poll->waiter.rest_until = now + REST_MS;
	return poll->has_entered && feed_sleep(feed, &poll->waiter);
}
