/* relay/deliver/carry.c - one job's dialogue: libesmtp on one side, the next hop on the other */
#include "relay/deliver/carry.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/deliver/guard.h"

#define STAND_IN_MAX	 1024
#define PROGRESS_EACH_MS 5000
#define UNSENT_EACH_MS	 200
#define GRACE_DEFAULT_MS (3 * 60 * 1000)

/*
 * What libesmtp is shown: PIPELINING and nothing else, whatever the next hop
 * offers. MAIL is answered too: libesmtp flushes it alone and would wait; so
 * its commands come in one piece. Should the next hop refuse MAIL, the record
 * says so, and libesmtp hears it as the answer to what it said next.
 */
static const char local_hello[] = "220 stagepost\r\n"
				  "250-stagepost\r\n250 PIPELINING\r\n"
				  "250 stagepost\r\n";

static void pump_near(struct carry *c);

/* Leave the job: nothing of it is touched any more. */
static void let_go(struct carry *c)
{
	loop_timer_stop(&c->progress);
	c->job = NULL;
	c->far = NULL;
	c->state = CARRY_IDLE;
}

/* Counted, because a stream that failed has thrown away what it still held. */
static bool has_dot_left(const struct carry *c)
{
	return stream_unsent(c->far) == 0 && stream_bytes_out(c->far) >= c->dot_ends;
}

/* --- towards libesmtp --------------------------------------------------------- */

static void tell_near(struct carry *c, int code)
{
	buf_printf(&c->near_out, "%03d stagepost\r\n", code);
}

static void flush_near(struct carry *c)
{
	if (c->near_out.len > 0) {
		int code = stream_write(c->near, buf_span(&c->near_out));

		assert(code == ERR_OK); /* at most a few KB in all of a job */
		buf_clear(&c->near_out);
	}
}

/*
 * Every command that libesmtp has issued or will issue gets its answer, then
 * the end. It does not survive the end of its connection while it waits for
 * three replies or more: it goes on reading past its last state (SIGSEGV).
 */
static void dismiss(struct carry *c, int code)
{
	for (; c->near_owed > 0; c->near_owed--)
		tell_near(c, code);
	tell_near(c, 221);
	/* When it is gone there is nobody to tell. */
	(void)stream_write(c->near, buf_span(&c->near_out));
	buf_clear(&c->near_out);
	/* All it needs lies in its end of the socketpair; that QUIT finds nobody does no harm. */
	stream_close(&c->near, 0);
}

void carry_break(struct carry *c, int code, const char *why)
{
	struct record *record = &c->job->record;

	assert(code < 0);
	if (record->broken == ERR_OK) {
		record->broken = code;
		err_set(&record->broken_why, code, "%s", why);
	}
	/* A dot that never left was not sent; nor must it leave after this. */
	if (record->dot_sent) {
		record->dot_sent = has_dot_left(c);
		stream_reset_on_close(c->far);
	}
	if (c->near_owed > 0)
		dismiss(c, 451);
	else
		stream_close(&c->near, 0); /* the replies up to 354 may be on their way still */
	let_go(c);
	c->ops->on_broken(c->ctx);
}

/* The last reply of the job is known: QUIT gets its answer in advance, libesmtp needs us no more.
 */
static void finish(struct carry *c, int code)
{
	bool clean = !c->mail_open;

	if (c->near_owed == 0)
		c->near_owed = 1; /* the message's own reply */
	dismiss(c, code);
	let_go(c);
	c->ops->on_over(c->ctx, clean);
}

/* --- slots --------------------------------------------------------------------- */

bool carry_has_slots(const struct carry *c)
{
	return c->slot_first < c->slot_end;
}

void carry_push_slot(struct carry *c, struct carry_slot slot)
{
	assert(c->slot_end < sizeof(c->slots) / sizeof(c->slots[0]));
	c->slots[c->slot_end++] = slot;
	c->remote_waiting += slot.local ? 0 : 1;
}

bool carry_answer_local(struct carry *c)
{
	while (carry_has_slots(c) && c->slots[c->slot_first].local) {
		struct carry_slot slot = c->slots[c->slot_first++];

		if (slot.command != SLOT_RCPT) {
			finish(c, slot.code);
			return false;
		}
		tell_near(c, slot.code);
		c->near_owed--;
	}
	if (!carry_has_slots(c))
		c->slot_first = c->slot_end = 0;
	return true;
}

/* --- the message ------------------------------------------------------------------ */

/* The real header, as far as the far stream has room. True: all of it is out. */
static bool push_header(struct carry *c)
{
	struct span header = buf_span(&c->job->header);

	while (c->header_at < header.len) {
		size_t room = stream_output_room(c->far);

		if (room < 512)
			return false;
		buf_clear(&c->line);
		body_stuff(header, &c->header_at, room < 16384 ? room : 16384, &c->line);
		stream_write(c->far, buf_span(&c->line));
	}
	if (header.len > 0 && header.data[header.len - 1] != '\n') {
		if (stream_write(c->far, span_of("\r\n")) < 0)
			return false;
		/* Once: the buffer itself now ends as it should. */
		buf_append_text(&c->job->header, "\r\n");
		c->header_at = c->job->header.len;
	}
	return true;
}

/* False: the stand-in is not all here yet, or is no stand-in (then the job is broken). */
static bool drop_stand_in(struct carry *c)
{
	struct span input = stream_input(c->near);
	size_t len;

	if (c->header_passed)
		return true;
	len = body_skip_header(span_first(input, STAND_IN_MAX));
	if (len > 0)
		stream_consume(c->near, len);
	else if (input.len >= STAND_IN_MAX)
		carry_break(c, ERR_DENIED, "the worker sent another header than the stand-in");
	c->header_passed = len > 0;
	return len > 0;
}

static int64_t grace_ms(const struct carry *c)
{
	int64_t grace = c->job->route->data_grace_ms;

	return grace > 0 ? grace : GRACE_DEFAULT_MS;
}

static void look_again(struct carry *c)
{
	int64_t wait = c->state == CARRY_FINAL ? UNSENT_EACH_MS : PROGRESS_EACH_MS;

	loop_timer_set(&c->progress, c->credit_ms < wait ? c->credit_ms : wait);
}

/* The kernel takes more than it can send: only what is sent counts. */
static uint64_t bytes_sent(const struct carry *c)
{
	uint64_t written = stream_bytes_out(c->far) + stream_output_pending(c->far);
	uint64_t unsent = stream_unsent(c->far);

	return written > unsent ? written - unsent : 0;
}

/*
 * The dot is written. While it is not sent the next hop is still taking the
 * message, and its time is that of the message, not that of a reply.
 */
static void wait_for_reply(struct carry *c)
{
	if (c->job->route->data_min_rate > 0 && stream_unsent(c->far) > 0) {
		look_again(c);
		return;
	}
	loop_timer_stop(&c->progress);
	stream_deadline(c->far, c->job->route->final_reply_timeout_ms);
}

/*
 * Bytes buy time, at data_min_rate, up to the grace: what rushed into the
 * sockets' buffers at first does not excuse hours of standing still.
 */
static void on_progress(struct loop_timer *timer)
{
	struct carry *c = (struct carry *)((char *)timer - offsetof(struct carry, progress));
	int64_t now = clock_mono_ms();
	uint64_t bytes = bytes_sent(c);
	int64_t rate = c->job->route->data_min_rate;

	c->credit_ms -= now - c->progress_ms;
	c->credit_ms += (int64_t)(bytes - c->progress_bytes) * 1000 / rate;
	if (c->credit_ms > grace_ms(c))
		c->credit_ms = grace_ms(c);
	if (c->credit_ms <= 0) {
		carry_break(c, ERR_TIMEOUT,
			    "the next hop takes the message slower than data_min_rate");
		return;
	}
	c->progress_ms = now;
	c->progress_bytes = bytes;
	if (c->state == CARRY_FINAL)
		wait_for_reply(c);
	else
		look_again(c);
}

static void begin_progress(struct carry *c)
{
	if (c->job->route->data_min_rate <= 0)
		return;
	c->progress_ms = clock_mono_ms();
	c->progress_bytes = bytes_sent(c);
	c->credit_ms = grace_ms(c);
	look_again(c);
}

/* The terminator came: only a body of exactly the stored length gets its dot. */
static void end_body(struct carry *c)
{
	int64_t added = atomic_load(&c->job->line_end_added) ? 2 : 0;
	int64_t want = c->job->body_size + added;
	char text[120];

	if (c->body.octets != want) {
		snprintf(text, sizeof(text), "%lld octets of the body came instead of %lld",
			 (long long)c->body.octets, (long long)want);
		carry_break(c, ERR_IO, text);
		return;
	}
	c->dot_ends = stream_bytes_out(c->far) + stream_output_pending(c->far) + 3;
	if (stream_write(c->far, span_of(".\r\n")) < 0)
		return; /* no room: on_drained comes */
	stream_consume(c->near, 3);
	c->job->record.dot_sent = true;
	c->state = CARRY_FINAL;
	wait_for_reply(c);
}

/* False: nothing moved, or the job is over. */
static bool move_body(struct carry *c)
{
	struct span input = span_first(stream_input(c->near), stream_output_room(c->far));
	size_t drop = 0, take = 0;
	int code;

	if (body_scan_take(&c->body, input, &drop, &take) < 0) {
		carry_break(c, ERR_DENIED,
			    "the worker sent a dot that was not doubled, or cut a line elsewhere");
		return false;
	}
	if (c->body.octets > c->job->body_size + 2) {
		carry_break(c, ERR_IO, "more octets of the body came than are stored");
		return false;
	}
	code = stream_write(c->far, span_first(span_skip(input, drop), take));
	assert(code == ERR_OK); /* take <= room */
	stream_consume(c->near, drop + take);
	if (c->body.ended) {
		end_body(c);
		return false;
	}
	return drop + take > 0;
}

/* One bite, more with long lines; what is left waits for room (on_drained) or more (on_input). */
static void pump_body(struct carry *c)
{
	while (move_body(c))
		;
}

static void begin_message(struct carry *c)
{
	c->state = CARRY_HEADER;
	stream_deadline(c->far, 0);
	begin_progress(c);
	tell_near(c, 354);
	c->near_owed = 0;
	flush_near(c);
	pump_near(c);
}

static void pump_near(struct carry *c)
{
	if (c->state == CARRY_COMMANDS)
		guard_read_commands(c);
	/* Replies wait for DATA, which comes right behind RCPT: waking the worker once is enough.
	 */
	if (c->state == CARRY_COMMANDS && !carry_has_slots(c))
		flush_near(c);
	/* In this order: with the stand-in the worker says that the header is its last word. */
	if (c->state == CARRY_HEADER && drop_stand_in(c) && push_header(c))
		c->state = CARRY_BODY;
	if (c->state == CARRY_BODY)
		pump_body(c);
}

/* --- replies from the next hop -------------------------------------------------------- */

static bool is_final_code(int code)
{
	int class = code / 100;

	return class == 2 || class == 4 || class == 5;
}

static bool on_data_reply(struct carry *c, const struct reply *reply)
{
	hop_reply_keep(reply, &c->job->record.data);
	if (reply->code == 354) {
		begin_message(c);
		return false;
	}
	if (reply->code < 400) {
		carry_break(c, ERR_SYNTAX, "the next hop answered DATA with neither 354 nor a no");
		return false;
	}
	finish(c, reply->code);
	return false;
}

static bool on_slot_reply(struct carry *c, struct carry_slot slot, const struct reply *reply)
{
	struct job *job = c->job;

	if (slot.command == SLOT_DATA)
		return on_data_reply(c, reply);
	if (!is_final_code(reply->code)) {
		carry_break(c, ERR_SYNTAX, "the next hop answered with a code that fits nothing");
		return false;
	}
	if (slot.command == SLOT_RCPT) {
		hop_reply_keep(reply, &job->recipients[slot.recipient].reply);
		tell_near(c, reply->code);
		c->near_owed--;
		return true;
	}
	hop_reply_keep(reply, &job->record.mail);
	if (reply->code / 100 != 2) {
		c->mail_open = false;
		/* Replies to what was pipelined must not be taken for those to the next message. */
		if (c->remote_waiting > 0 && reply->code != 421)
			c->state = CARRY_REFUSED;
		else
			finish(c, reply->code);
		return false;
	}
	return true; /* libesmtp was told in advance */
}

/* A yes behind a refused MAIL makes no sense: RSET then. */
static void on_refused_reply(struct carry *c, const struct reply *reply)
{
	c->mail_open |= reply->code / 100 == 2;
	c->remote_waiting--;
	if (c->remote_waiting == 0)
		finish(c, c->job->record.mail.code);
	else
		stream_deadline(c->far, c->job->route->command_timeout_ms);
}

static bool is_accepted(const struct job_recipient *recipient)
{
	return recipient->reply.code / 100 == 2;
}

static void skip_unaccepted(struct carry *c)
{
	while (c->next_final < c->job->count && !is_accepted(&c->job->recipients[c->next_final]))
		c->next_final++;
}

/* To libesmtp, which knows one reply only: yes, if the message is anybody's. */
static int sum_up(const struct job *job, int last)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->recipients[i].final.code / 100 == 2)
			return job->recipients[i].final.code;
	return last;
}

/* RFC 2033 4.2: a reply for each recipient that was accepted, in the order of RCPT. */
static void on_final_of_one(struct carry *c, const struct reply *reply)
{
	skip_unaccepted(c);
	assert(c->next_final < c->job->count); /* there was a 354, so there was one */
	hop_reply_keep(reply, &c->job->recipients[c->next_final++].final);
	skip_unaccepted(c);
	if (c->next_final < c->job->count) {
		stream_deadline(c->far, c->job->route->final_reply_timeout_ms);
		return;
	}
	c->mail_open = false;
	finish(c, sum_up(c->job, reply->code));
}

static void on_final_reply(struct carry *c, const struct reply *reply)
{
	if (!is_final_code(reply->code)) {
		carry_break(c, ERR_SYNTAX, "the next hop answered the message with no answer");
	} else if (job_is_lmtp(c->job)) {
		on_final_of_one(c, reply);
	} else {
		hop_reply_keep(reply, &c->job->record.final);
		c->mail_open = false;
		finish(c, reply->code);
	}
}

void carry_on_reply(struct carry *c, const struct reply *reply)
{
	struct carry_slot slot;
	char text[200];

	if (c->state == CARRY_FINAL) {
		/* The message has to be out before an answer to it can be meant. */
		if (has_dot_left(c)) {
			on_final_reply(c, reply);
			return;
		}
	}
	if (c->state == CARRY_REFUSED) {
		on_refused_reply(c, reply);
		return;
	}
	if (c->state != CARRY_COMMANDS || !carry_has_slots(c)) {
		snprintf(text, sizeof(text), "the next hop spoke out of turn: %d", reply->code);
		carry_break(c, ERR_SYNTAX, text);
		return;
	}
	slot = c->slots[c->slot_first++];
	assert(!slot.local); /* those in front are gone: answer_local */
	c->remote_waiting--;
	stream_deadline(c->far, c->remote_waiting > 0 ? c->job->route->command_timeout_ms : 0);
	if (on_slot_reply(c, slot, reply) && carry_answer_local(c))
		pump_near(c);
}

void carry_on_drained(struct carry *c)
{
	if (c->state == CARRY_HEADER || c->state == CARRY_BODY)
		pump_near(c);
}

/* --- the near stream --------------------------------------------------------------------- */

static void on_near_input(void *ctx)
{
	pump_near(ctx);
}

static void on_near_end(void *ctx, int code, const char *why)
{
	struct carry *c = ctx;

	(void)code;
	(void)why;
	/* It gave up before a word was said (the store could not be read): no harm to the far side.
	 */
	if (c->state == CARRY_COMMANDS && !c->mail_open && c->slot_end == 0 &&
	    stream_input(c->near).len == 0) {
		c->job->record.broken = ERR_CLOSED;
		err_set(&c->job->record.broken_why, ERR_CLOSED, "the worker did not begin");
		stream_free(&c->near);
		let_go(c);
		c->ops->on_over(c->ctx, true);
		return;
	}
	carry_break(c, ERR_IO, "the worker broke off");
}

void carry_init(struct carry *c, struct loop *loop, struct whitelist *whitelist,
		const struct carry_ops *ops, void *ctx)
{
	*c = (struct carry){.ops = ops, .ctx = ctx, .whitelist = whitelist};
	buf_init(&c->near_out, 16 * 1024);
	buf_init(&c->line, 64 * 1024);
	loop_timer_init(&c->progress, loop, on_progress);
}

void carry_release(struct carry *c)
{
	assert(c->job == NULL);
	loop_timer_stop(&c->progress);
	buf_release(&c->near_out);
	buf_release(&c->line);
}

void carry_greet(int near_fd)
{
	size_t len = sizeof(local_hello) - 1;
	ssize_t put = send(near_fd, local_hello, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	assert(put == (ssize_t)len); /* a new socketpair has room */
}

void carry_refuse(int near_fd, size_t recipients)
{
	static const char no[] = "451 stagepost\r\n";
	static const char bye[] = "221 stagepost\r\n";

	/* Behind each RCPT and DATA, as in dismiss(). A worker that is gone does not listen. */
	for (size_t i = 0; i < recipients + 1; i++)
		(void)send(near_fd, no, sizeof(no) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)send(near_fd, bye, sizeof(bye) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(near_fd);
}

void carry_begin(struct carry *c, struct loop *loop, struct job *job, int near_fd,
		 struct stream *far, const struct hop_caps *caps)
{
	static const struct stream_ops ops = {.on_input = on_near_input, .on_end = on_near_end};
	static const struct stream_options options = {.write_deadline_ms = 24L * 3600 * 1000};

	assert(c->job == NULL && job->count > 0 && job->count <= JOB_RECIPIENTS_MAX);
	c->job = job;
	c->far = far;
	c->caps = caps;
	c->state = CARRY_COMMANDS;
	c->slot_first = c->slot_end = c->remote_waiting = c->next_recipient = c->next_final =
		c->header_at = 0;
	c->mail_open = c->data_asked = c->header_passed = false;
	c->near_owed = job->count + 1;
	buf_clear(&c->near_out);
	body_scan_init(&c->body);
	c->near = stream_new(loop, near_fd, &options, &ops, c);
}

bool carry_is_owed(const struct carry *c)
{
	bool finals = c->state == CARRY_FINAL && c->next_final > 0;

	return finals ||
	       (c->remote_waiting > 0 && (c->state == CARRY_COMMANDS || c->state == CARRY_REFUSED));
}
