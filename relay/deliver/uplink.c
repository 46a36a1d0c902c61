/* relay/deliver/uplink.c - one connection to a next hop: connect, greet, carry jobs, say good-bye
 */
#include "relay/deliver/uplink.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/deliver/carry.h"
#include "relay/loop/stream.h"

#define RESET_MS       5000
#define QUIT_LINGER_MS 2000
#define WRITE_STALL_MS (5 * 60 * 1000)
#define OUTPUT_MAX     (256 * 1024)

enum uplink_state {
	UPLINK_NEW,
	UPLINK_RESOLVING,
	UPLINK_CONNECTING,
	UPLINK_GREETING,
	UPLINK_EHLO,
	UPLINK_HELO,
	UPLINK_STARTTLS,
	UPLINK_SECURING,
	UPLINK_IDLE,
	UPLINK_BUSY,
	UPLINK_RESET,
	UPLINK_DEAD
};

struct uplink {
	struct uplink_env env;
	const struct uplink_ops *ops;
	void *ctx;
	/* orders from the scheduler, one at a time each */
	struct loop_task open_task, assign_task, close_task, free_task;
	struct job *order_job;
	int order_fd;

	/* the loop's */
	enum uplink_state state;
	struct stream *far;
	struct reply_parser parser;
	struct hop_caps caps;
	struct carry carry;
	struct job *job;     /* until on_done */
	uint64_t jobs_begun; /* on this connection */
	bool going;	     /* the next hop said 421: not to be used again */
	bool closing;	     /* uplink_close was called: ask nobody for more */
	bool secured;
	bool far_gone;	   /* it ended, or nothing came any more, in the middle of a job */
	size_t host_tried; /* of the route's hosts */
	struct route_host host;
	struct resolve_query query;
	size_t address_next;
	char remote[192];
	struct err why; /* the last failure while opening */
};

static void try_next_address(struct uplink *u);
static void try_next_host(struct uplink *u);

/* --- ends ---------------------------------------------------------------------- */

static void drop_far(struct uplink *u)
{
	stream_free(&u->far);
	reply_parser_release(&u->parser);
	reply_parser_init(&u->parser);
	u->caps = (struct hop_caps){0};
	u->secured = false;
	u->going = false;
}

static void opened(struct uplink *u, int code)
{
	u->state = code == ERR_OK ? UPLINK_IDLE : UPLINK_DEAD;
	u->ops->on_open(u->ctx, code, u->why.text);
}

static void done(struct uplink *u, bool alive)
{
	struct job *job = u->job;

	u->job = NULL;
	if (!alive)
		drop_far(u);
	u->state = alive ? UPLINK_IDLE : UPLINK_DEAD;
	u->ops->on_done(u->ctx, job, alive);
}

/* This address does not do: note it and go on with the next one. */
static void address_failed(struct uplink *u, int code, const char *why)
{
	char text[200];

	snprintf(text, sizeof(text), "%s", why);
	drop_far(u);
	err_set(&u->why, code, "%s: %s", u->remote, text);
	try_next_address(u);
}

/* --- talking to the next hop outside a job --------------------------------------- */

static bool say(struct uplink *u, const char *line, int64_t deadline_ms)
{
	bool written = stream_write(u->far, span_of(line)) == ERR_OK;

	stream_deadline(u->far, deadline_ms);
	return written;
}

static void say_hello(struct uplink *u, const char *verb, enum uplink_state next)
{
	char line[300];

	snprintf(line, sizeof(line), "%s %.255s\r\n", verb, u->env.hostname);
	u->state = next;
	say(u, line, u->env.route->command_timeout_ms);
}

static void refused(struct uplink *u, const char *what, const struct reply *reply)
{
	char text[160], whole[200];

	reply_summary(reply, text, sizeof(text));
	snprintf(whole, sizeof(whole), "%s: %d %s", what, reply->code, text);
	address_failed(u, ERR_IO, whole);
}

static void ready(struct uplink *u)
{
	stream_deadline(u->far, 0);
	opened(u, ERR_OK);
}

static bool wants_tls(const struct uplink *u)
{
	return u->env.route->tls == ROUTE_TLS_REQUIRED || u->env.route->tls == ROUTE_TLS_IMPLICIT;
}

static void secure(struct uplink *u)
{
	struct err why;
	size_t discarded = 0;
	int code;

	u->state = UPLINK_SECURING;
	code = stream_start_tls(u->far, u->env.tls, false, u->host.name,
				u->env.route->command_timeout_ms, &discarded, &why);
	if (code < 0)
		address_failed(u, code, why.text);
	else if (discarded > 0)
		/* RFC 3207 4.2, CVE-2011-0411: somebody put replies in front of the handshake. */
		address_failed(u, ERR_DENIED, "plain text was injected behind STARTTLS");
}

static void on_ehlo_reply(struct uplink *u, const struct reply *reply)
{
	if (reply->code / 100 == 5 && !wants_tls(u)) {
		say_hello(u, "HELO", UPLINK_HELO);
		return;
	}
	if (reply->code != 250) {
		refused(u, "EHLO", reply);
		return;
	}
	hop_caps_parse(reply, &u->caps);
	if (!wants_tls(u) || u->secured) {
		ready(u);
	} else if (!u->caps.starttls) {
		address_failed(u, ERR_UNSUPPORTED,
			       "the route wants TLS and the next hop does not offer STARTTLS");
	} else {
		u->state = UPLINK_STARTTLS;
		say(u, "STARTTLS\r\n", u->env.route->command_timeout_ms);
	}
}

static void on_opening_reply(struct uplink *u, const struct reply *reply)
{
	switch (u->state) {
	case UPLINK_GREETING:
		if (reply->code != 220)
			refused(u, "greeting", reply);
		else
			say_hello(u, "EHLO", UPLINK_EHLO);
		break;
	case UPLINK_EHLO: on_ehlo_reply(u, reply); break;
	case UPLINK_HELO:
		if (reply->code != 250)
			refused(u, "HELO", reply);
		else
			ready(u);
		break;
	case UPLINK_STARTTLS:
		if (reply->code != 220)
			refused(u, "STARTTLS", reply);
		else
			secure(u);
		break;
	default: address_failed(u, ERR_SYNTAX, "the next hop spoke out of turn");
	}
}

static void on_reset_reply(struct uplink *u, const struct reply *reply)
{
	stream_deadline(u->far, 0);
	done(u, reply->code == 250);
}

static void lost(struct uplink *u, const char *why)
{
	drop_far(u);
	u->state = UPLINK_DEAD;
	u->ops->on_lost(u->ctx, why);
}

/* --- the far stream ----------------------------------------------------------------- */

static void on_reply(struct uplink *u)
{
	const struct reply *reply = &u->parser.reply;

	u->going |= reply->code == 421;
	if (u->state == UPLINK_BUSY)
		carry_on_reply(&u->carry, reply);
	else if (u->state == UPLINK_RESET)
		on_reset_reply(u, reply);
	else if (u->state == UPLINK_IDLE)
		lost(u, "the next hop spoke out of turn");
	else
		on_opening_reply(u, reply);
}

/* The next hop's bytes make no sense: whoever waits for them gets nothing more. */
static void far_failed(struct uplink *u, int code, const char *why)
{
	char text[200];

	snprintf(text, sizeof(text), "%s", why);
	u->far_gone = code == ERR_CLOSED || code == ERR_IO || code == ERR_TIMEOUT;
	if (u->state == UPLINK_BUSY)
		carry_break(&u->carry, code, text);
	else if (u->state == UPLINK_RESET)
		done(u, false);
	else if (u->state == UPLINK_IDLE)
		lost(u, text);
	else
		address_failed(u, code, text);
}

static void on_far_input(void *ctx)
{
	struct uplink *u = ctx;
	struct stream *far = u->far;

	/* A reply may end this stream: then u->far has changed. */
	while (u->far == far && far != NULL) {
		struct span input = stream_input(far);
		size_t before = input.len;
		struct err why;
		bool complete = false;
		int code;

		if (before == 0 || u->state == UPLINK_SECURING)
			return;
		code = reply_parser_feed(&u->parser, &input, &complete, &why);
		stream_consume(far, before - input.len);
		if (code < 0) {
			far_failed(u, code, why.text);
			return;
		}
		if (complete)
			on_reply(u);
	}
}

static void on_far_drained(void *ctx)
{
	struct uplink *u = ctx;

	if (u->state == UPLINK_BUSY)
		carry_on_drained(&u->carry);
}

static void on_far_end(void *ctx, int code, const char *why)
{
	struct uplink *u = ctx;

	if (code == ERR_TIMEOUT)
		why = "the next hop did not answer in time";
	else if (code == ERR_CLOSED)
		why = "the next hop closed the connection";
	far_failed(u, code, why);
}

static void on_far_secured(void *ctx)
{
	struct uplink *u = ctx;

	u->secured = true;
	if (u->env.route->tls == ROUTE_TLS_IMPLICIT) {
		u->state = UPLINK_GREETING;
		stream_deadline(u->far, u->env.route->command_timeout_ms);
	} else {
		say_hello(u, "EHLO", UPLINK_EHLO);
	}
}

/* --- opening --------------------------------------------------------------------------- */

static void on_far_connected(void *ctx)
{
	struct uplink *u = ctx;

	if (u->env.route->tls == ROUTE_TLS_IMPLICIT) {
		secure(u);
		return;
	}
	u->state = UPLINK_GREETING;
	stream_deadline(u->far, u->env.route->command_timeout_ms);
}

static int connect_to(struct uplink *u, const struct resolve_address *address, struct err *why)
{
	static const struct stream_ops ops = {.on_input = on_far_input,
					      .on_drained = on_far_drained,
					      .on_end = on_far_end,
					      .on_secured = on_far_secured};
	static const struct stream_options options = {.output_max = OUTPUT_MAX,
						      .write_deadline_ms = WRITE_STALL_MS};
	const char *source = u->env.route->source_address;
	struct resolve_result from = {.count = 0};
	struct route_host host = {.port = "0"};

	if (source != NULL && source[0] != '\0') {
		snprintf(host.name, sizeof(host.name), "%s", source);
		if (resolve_numeric(&host, &from) < 0)
			return err_set(why, ERR_SYNTAX, "source_address \"%s\" is no address",
				       source);
	}
	return stream_connect(u->env.loop, &address->sockaddr, address->len,
			      from.count > 0 ? &from.addresses[0].sockaddr : NULL,
			      from.count > 0 ? from.addresses[0].len : 0,
			      u->env.route->connect_timeout_ms, &options, &ops, u, on_far_connected,
			      &u->far, why);
}

/* "mail.example.com[192.0.2.1]:25", as the logs of other servers have it. */
static void name_remote(struct uplink *u, const struct resolve_address *address)
{
	struct span text = span_of(address->text);
	size_t colon = span_find_last(text, ':');
	struct span ip = span_first(text, colon);

	if (ip.len > 2 && ip.data[0] == '[')
		ip = span_make(ip.data + 1, ip.len - 2);
	if (span_equal(ip, span_of(u->host.name)))
		snprintf(u->remote, sizeof(u->remote), "%s", address->text);
	else
		snprintf(u->remote, sizeof(u->remote), "%.100s[%.*s]%s", u->host.name, SPAN_ARG(ip),
			 address->text + colon);
}

static void try_next_address(struct uplink *u)
{
	while (u->address_next < u->query.result.count) {
		const struct resolve_address *address =
			&u->query.result.addresses[u->address_next++];
		struct err why;

		name_remote(u, address);
		if (u->env.is_own_listener != NULL &&
		    u->env.is_own_listener(u->env.own_ctx, address->text)) {
			err_set(&u->why, ERR_DENIED, "%s is a listener of our own: mail would loop",
				address->text);
			continue;
		}
		u->state = UPLINK_CONNECTING;
		if (connect_to(u, address, &why) == ERR_OK)
			return;
		err_set(&u->why, ERR_IO, "%s: %s", u->remote, why.text);
	}
	try_next_host(u);
}

static void on_resolved(struct loop_task *task)
{
	struct uplink *u = (struct uplink *)((char *)task - offsetof(struct uplink, query.task));

	if (u->closing) {
		u->state = UPLINK_DEAD;
		u->ops->on_closed(u->ctx);
		return;
	}
	if (u->query.code < 0) {
		u->why = u->query.why;
		try_next_host(u);
		return;
	}
	u->address_next = 0;
	try_next_address(u);
}

static void try_next_host(struct uplink *u)
{
	const struct route_options *route = u->env.route;

	if (u->host_tried >= route->host_count) {
		opened(u, ERR_IO);
		return;
	}
	u->query.result.count = 0;
	u->address_next = 0;
	if (route_host_parse(span_of(route->hosts[u->host_tried++]), &u->host, &u->why) < 0) {
		try_next_host(u);
		return;
	}
	if (resolve_numeric(&u->host, &u->query.result) == ERR_OK) {
		try_next_address(u);
		return;
	}
	u->state = UPLINK_RESOLVING;
	u->query.host = u->host;
	u->query.loop = u->env.loop;
	u->query.task.run = on_resolved;
	resolver_ask(u->env.resolver, &u->query);
}

/* --- a job ------------------------------------------------------------------------------- */

/*
 * A connection that was used before and that the next hop gave up, or let
 * time out, before it answered MAIL (RCPT may have been under way behind it):
 * nobody's fault, dial again. A 421 may have crossed the job on its way.
 */
static bool was_stale(const struct uplink *u, bool gone)
{
	int code = u->job->record.mail.code;

	return gone && u->jobs_begun > 1 && (code == 0 || code == 421);
}

static void on_carry_over(void *ctx, bool clean)
{
	struct uplink *u = ctx;

	stream_deadline(u->far, 0);
	u->job->record.stale = was_stale(u, u->going);
	/* Bytes behind the last reply would be taken for the answer to what comes next. */
	if (u->going || stream_input(u->far).len > 0 || reply_parser_is_midway(&u->parser)) {
		done(u, false);
	} else if (clean) {
		done(u, true);
	} else {
		u->state = UPLINK_RESET;
		say(u, "RSET\r\n", RESET_MS);
	}
}

static void on_carry_broken(void *ctx)
{
	struct uplink *u = ctx;

	u->job->record.stale = was_stale(u, u->far_gone || u->going);
	done(u, false);
}

static void begin_job(struct uplink *u, int fd)
{
	static const char *const dead = "the connection was gone before the job began";

	snprintf(u->job->record.remote, sizeof(u->job->record.remote), "%s", u->remote);
	if (u->state != UPLINK_IDLE) {
		u->job->record.stale = true;
		u->job->record.broken = ERR_CLOSED;
		err_set(&u->job->record.broken_why, ERR_CLOSED, "%s", dead);
		close(fd);
		done(u, false);
		return;
	}
	u->state = UPLINK_BUSY;
	u->jobs_begun++;
	carry_begin(&u->carry, u->env.loop, u->job, fd, u->far, &u->caps);
}

/* --- orders --------------------------------------------------------------------------------- */

static void do_open(struct loop_task *task)
{
	struct uplink *u = (struct uplink *)((char *)task - offsetof(struct uplink, open_task));

	err_set(&u->why, ERR_IO, "the route has no hosts");
	try_next_host(u);
}

static void do_assign(struct loop_task *task)
{
	struct uplink *u = (struct uplink *)((char *)task - offsetof(struct uplink, assign_task));

	u->job = u->order_job;
	begin_job(u, u->order_fd);
}

static void do_close(struct loop_task *task)
{
	struct uplink *u = (struct uplink *)((char *)task - offsetof(struct uplink, close_task));

	u->closing = true;
	/* The look-up still holds a part of us; on_resolved answers. */
	if (u->state == UPLINK_RESOLVING)
		return;
	if (u->state == UPLINK_BUSY)
		carry_break(&u->carry, ERR_CLOSED, "delivery was stopped");
	else if (u->state == UPLINK_RESET)
		done(u, false);
	if (u->state == UPLINK_IDLE) {
		say(u, "QUIT\r\n", 0);
		stream_close(&u->far, QUIT_LINGER_MS);
	}
	drop_far(u);
	u->state = UPLINK_DEAD;
	u->ops->on_closed(u->ctx);
}

/* In the loop, so that no callback of ours is still under way. */
static void do_free(struct loop_task *task)
{
	struct uplink *u = (struct uplink *)((char *)task - offsetof(struct uplink, free_task));

	assert(u->state == UPLINK_DEAD || u->state == UPLINK_NEW);
	carry_release(&u->carry);
	reply_parser_release(&u->parser);
	mem_free(u);
}

static void post(struct uplink *u, struct loop_task *task)
{
	if (!loop_post(u->env.loop, task))
		assert(!"the loops outlive delivery");
}

struct uplink *uplink_new(const struct uplink_env *env, const struct uplink_ops *ops, void *ctx)
{
	static const struct carry_ops carry_ops = {on_carry_over, on_carry_broken};
	struct uplink *u = mem_zalloc(sizeof(*u));

	u->env = *env;
	u->ops = ops;
	u->ctx = ctx;
	u->open_task.run = do_open;
	u->assign_task.run = do_assign;
	u->close_task.run = do_close;
	u->free_task.run = do_free;
	reply_parser_init(&u->parser);
	carry_init(&u->carry, env->loop, env->whitelist, &carry_ops, u);
	return u;
}

void uplink_open(struct uplink *uplink)
{
	post(uplink, &uplink->open_task);
}

void uplink_assign(struct uplink *uplink, struct job *job, int fd)
{
	uplink->order_job = job;
	uplink->order_fd = fd;
	carry_greet(fd);
	post(uplink, &uplink->assign_task);
}

void uplink_close(struct uplink *uplink)
{
	post(uplink, &uplink->close_task);
}

void uplink_free(struct uplink **uplink)
{
	if (*uplink == NULL)
		return;
	post(*uplink, &(*uplink)->free_task);
	*uplink = NULL;
}
