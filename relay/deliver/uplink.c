/* relay/deliver/uplink.c - one connection to a next hop: its bytes, its jobs, its end; prologue.c
 * makes it ready
 */
#include "relay/deliver/uplink_inside.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "base/mem.h"

#define RESET_MS       5000
#define QUIT_LINGER_MS 2000
#define WRITE_STALL_MS (5 * 60 * 1000)
#define OUTPUT_MAX     (256 * 1024)

/* --- ends ---------------------------------------------------------------------- */

void uplink_drop_far(struct uplink *u)
{
	hop_tls_end(&u->tls, u->far);
	stream_free(&u->far);
	reply_parser_release(&u->parser);
	reply_parser_init(&u->parser);
	u->caps = (struct hop_caps){0};
	u->secured = false;
	u->logged_in = false;
	u->vouched = false;
	u->vouch_said = 0;
	u->going = false;
	login_free(&u->login);
}

void uplink_closed(struct uplink *u)
{
	uplink_drop_far(u);
	u->state = UPLINK_DEAD;
	u->ops->on_closed(u->ctx);
}

void uplink_opened(struct uplink *u, int code)
{
	u->state = code == ERR_OK ? UPLINK_IDLE : UPLINK_DEAD;
	u->ops->on_open(u->ctx, code, u->why.text);
}

static void done(struct uplink *u, bool alive)
{
	struct job *job = u->job;

	u->job = NULL;
	job->record.sent_away = u->going;
	if (!alive)
		uplink_drop_far(u);
	u->state = alive ? UPLINK_IDLE : UPLINK_DEAD;
	u->ops->on_done(u->ctx, job, alive);
}

bool uplink_say(struct uplink *u, const char *line, int64_t deadline_ms)
{
	bool written = stream_write(u->far, span_of(line)) == ERR_OK;

	stream_deadline(u->far, deadline_ms);
	return written;
}

static void on_reset_reply(struct uplink *u, const struct reply *reply)
{
	stream_deadline(u->far, 0);
	done(u, reply->code == 250);
}

static void lost(struct uplink *u, const char *why)
{
	uplink_drop_far(u);
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
		prologue_on_reply(u, reply);
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
		prologue_failed(u, code, text);
}

/*
 * A next hop that sends each reply, or each line of one, in a packet of its
 * own with Nagle's algorithm on waits for our ACK in between: 40 ms a message.
 * What we are about to say carries it along.
 */
static void acknowledge(struct uplink *u)
{
	if (stream_output_pending(u->far) == 0 &&
	    (reply_parser_is_midway(&u->parser) ||
	     (u->state == UPLINK_BUSY && carry_is_owed(&u->carry))))
		stream_acknowledge(u->far);
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

		if (before == 0)
			acknowledge(u);
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

	if (code == ERR_TIMEOUT && u->state != UPLINK_SECURING)
		why = "the next hop did not answer in time";
	else if (code == ERR_CLOSED)
		why = "the next hop closed the connection";
	far_failed(u, code, why);
}

static void on_far_connected(void *ctx)
{
	prologue_connected(ctx);
}

static void on_far_secured(void *ctx)
{
	securing_done(ctx);
}

int uplink_connect(struct uplink *u, const struct resolve_address *address,
		   const struct resolve_address *from, struct err *why)
{
	static const struct stream_ops ops = {.on_input = on_far_input,
					      .on_drained = on_far_drained,
					      .on_end = on_far_end,
					      .on_secured = on_far_secured};
	static const struct stream_options options = {.output_max = OUTPUT_MAX,
						      .write_deadline_ms = WRITE_STALL_MS};

	return stream_connect(u->env.loop, &address->sockaddr, address->len,
			      from != NULL ? &from->sockaddr : NULL, from != NULL ? from->len : 0,
			      u->connect_ms, &options, &ops, u, on_far_connected, &u->far, why);
}

/* --- a job ------------------------------------------------------------------------------- */

/*
 * A connection that was used before and that the next hop gave up, or let
 * time out, before it answered MAIL (RCPT may have been under way behind it):
 * nobody's fault, dial again. A 421 may have crossed the job on its way. Some
 * take a number of messages a connection and say 452 to each MAIL after that
 * (OpenSMTPD: 100): only a new connection tells whether the message is meant.
 */
static bool was_stale(const struct uplink *u, bool gone)
{
	const struct record *record = &u->job->record;

	if (u->jobs_begun <= 1 || record->mail_local)
		return false;
	return record->mail.code / 100 == 4 || (gone && record->mail.code == 0);
}

static void on_carry_over(void *ctx, bool clean)
{
	struct uplink *u = ctx;

	stream_deadline(u->far, 0);
	u->job->record.stale = was_stale(u, u->going);
	u->going |= u->job->record.stale;
	/* Bytes behind the last reply would be taken for the answer to what comes next. */
	if (u->going || stream_input(u->far).len > 0 || reply_parser_is_midway(&u->parser)) {
		done(u, false);
	} else if (clean) {
		done(u, true);
	} else {
		u->state = UPLINK_RESET;
		uplink_say(u, "RSET\r\n", RESET_MS);
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
	snprintf(u->job->record.tls, sizeof(u->job->record.tls), "%s", u->tls_facts);
	if (u->state != UPLINK_IDLE) {
		u->job->record.stale = true;
		u->job->record.broken = ERR_CLOSED;
		err_set(&u->job->record.broken_why, ERR_CLOSED, "%s", dead);
		carry_refuse(fd, u->job->count);
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

	prologue_begin(u);
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
	if (login_is_away(u))
		login_hurry(u);
	if (prologue_is_looking_up(u) || login_is_away(u)) {
		atomic_store(&u->query.unwanted, true);
		return; /* its answer closes */
	}
	if (u->state == UPLINK_BUSY)
		carry_break(&u->carry, ERR_CLOSED, "delivery was stopped");
	else if (u->state == UPLINK_RESET)
		done(u, false);
	if (u->state == UPLINK_IDLE) {
		uplink_say(u, "QUIT\r\n", 0);
		hop_tls_end(&u->tls, u->far);
		stream_close(&u->far, QUIT_LINGER_MS);
	}
	uplink_closed(u);
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
	u->host = env->host;
	u->ops = ops;
	u->ctx = ctx;
	u->open_task.run = do_open;
	u->assign_task.run = do_assign;
	u->close_task.run = do_close;
	u->free_task.run = do_free;
	reply_parser_init(&u->parser);
	carry_init(&u->carry, env->loop, env->whitelist, &carry_ops, u);
	u->carry.rules = env->rules;
	return u;
}

void uplink_open(struct uplink *uplink)
{
	post(uplink, &uplink->open_task);
}

enum trouble uplink_trouble(const struct uplink *uplink)
{
	return uplink->trouble;
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
