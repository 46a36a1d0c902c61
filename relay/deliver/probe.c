/* relay/deliver/probe.c - one attempt in front of a trap: does the wire guard stop it? */
#include <config.h> /* SOCK_CLOEXEC */

#include "relay/deliver/probe.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/deliver/carry.h"
#include "relay/deliver/dial.h"
#include "relay/deliver/event.h"
#include "relay/deliver/worker.h"
#include "relay/loop/stream.h"

#define PATIENCE_MS 10000 /* of the whole dialogue; it needs a few */
#define HEARD_MAX   4096  /* what libesmtp could say to the trap */

static const struct route_options trap_route = {
	.name = "self-test",
	.max_connections = 1,
	.command_timeout_ms = PATIENCE_MS,
	.final_reply_timeout_ms = PATIENCE_MS,
};

struct probe {
	const struct probe_env *env;
	struct job *job;
	struct worker *worker;
	struct channel *inbox;
	int trap; /* our end of what takes the next hop's place */
	struct buf heard;
	size_t answered; /* octets of `heard` */

	/* the loop's */
	struct loop_task begin, end;
	int near_fd, far_fd;
	struct stream *far;
	struct carry carry;
	struct reply_parser parser;
	struct hop_caps caps;
	bool over;

	/* in the inbox at most once each */
	struct event carried, released;
};

/* --- in the loop: what an uplink does with a connection that is ready --------------------- */

static void on_far_input(void *ctx)
{
	struct probe *p = ctx;
	bool complete = true;

	while (complete && !p->over) {
		struct span input = stream_input(p->far);
		size_t before = input.len;
		struct err why;
		int code = reply_parser_feed(&p->parser, &input, &complete, &why);

		stream_consume(p->far, before - input.len);
		if (code < 0)
			carry_break(&p->carry, code, why.text);
		else if (complete)
			carry_on_reply(&p->carry, &p->parser.reply);
	}
}

static void on_far_drained(void *ctx)
{
	struct probe *p = ctx;

	if (!p->over)
		carry_on_drained(&p->carry);
}

static void on_far_end(void *ctx, int code, const char *why)
{
	struct probe *p = ctx;

	if (!p->over)
		carry_break(&p->carry, code, why);
}

static void tell(struct probe *p, struct event *event)
{
	if (!channel_send(p->inbox, &event->item))
		assert(!"the inbox is open until the probe is over");
}

static void over(struct probe *p)
{
	p->over = true;
	tell(p, &p->carried);
}

static void on_carry_over(void *ctx, bool clean)
{
	(void)clean;
	over(ctx);
}

static void on_carry_broken(void *ctx)
{
	over(ctx);
}

static void do_begin(struct loop_task *task)
{
	static const struct stream_ops stream_ops = {
		.on_input = on_far_input, .on_drained = on_far_drained, .on_end = on_far_end};
	static const struct stream_options options = {.write_deadline_ms = PATIENCE_MS};
	static const struct carry_ops carry_ops = {on_carry_over, on_carry_broken};
	struct probe *p = (struct probe *)((char *)task - offsetof(struct probe, begin));

	reply_parser_init(&p->parser);
	carry_init(&p->carry, p->env->loop, p->env->whitelist, &carry_ops, p);
	p->carry.rules = p->env->rules;
	p->far = stream_new(p->env->loop, p->far_fd, &options, &stream_ops, p);
	carry_begin(&p->carry, p->env->loop, p->job, p->near_fd, p->far, &p->caps);
}

static void do_end(struct loop_task *task)
{
	struct probe *p = (struct probe *)((char *)task - offsetof(struct probe, end));

	stream_free(&p->far);
	carry_release(&p->carry);
	reply_parser_release(&p->parser);
	tell(p, &p->released);
}

/* --- the trap ------------------------------------------------------------------------------ */

/* A yes to MAIL, so that it goes on; a no to everything that must not have come. */
static void answer(struct probe *p)
{
	struct span heard = buf_span(&p->heard);
	struct span rest = span_skip(heard, p->answered);
	size_t end;

	while ((end = span_find(rest, '\n')) < rest.len) {
		bool mail = span_starts_fold(rest, "MAIL FROM:");
		const char *reply = mail ? "250 2.1.0 Ok\r\n" : "550 5.7.1 no\r\n";

		(void)!send(p->trap, reply, strlen(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
		rest = span_skip(rest, end + 1);
	}
	p->answered = heard.len - rest.len;
}

/* False: nothing more will come. */
static bool listen_once(struct probe *p)
{
	char bytes[512];
	ssize_t len = recv(p->trap, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (len <= 0 || buf_append(&p->heard, bytes, (size_t)len) < 0)
		return false;
	answer(p);
	return true;
}

/*
 * Until libesmtp and the guard are both through. When they take too long the
 * trap closes: then they end by themselves.
 */
static void wait_for_both(struct probe *p)
{
	int64_t deadline = clock_mono_ms() + PATIENCE_MS;
	int waiting = 2;

	while (waiting > 0) {
		struct pollfd fds[2] = {{.fd = channel_fd(p->inbox), .events = POLLIN},
					{.fd = p->trap, .events = POLLIN}};
		int64_t left = deadline - clock_mono_ms();

		(void)poll(fds, p->trap >= 0 ? 2 : 1, p->trap >= 0 && left > 0 ? (int)left : -1);
		while (channel_wait(p->inbox, 0) && channel_take(p->inbox) != NULL)
			waiting--;
		if (p->trap >= 0 && (!listen_once(p) || clock_mono_ms() >= deadline)) {
			close(p->trap);
			p->trap = -1;
		}
	}
	if (p->trap >= 0)
		(void)listen_once(p); /* what was sent before they were through is here by now */
}

static void release_loop(struct probe *p)
{
	if (!loop_post(p->env->loop, &p->end))
		assert(!"the loops outlive the probe");
	while (channel_take(p->inbox) == NULL)
		channel_wait(p->inbox, -1);
}

/* --- the attempt ----------------------------------------------------------------------------- */

static int open_ends(struct probe *p, int *worker_fd_out, struct err *why)
{
	int near[2], far[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, near) != 0)
		return err_set(why, ERR_IO, "socketpair: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, far) != 0) {
		close(near[0]);
		close(near[1]);
		return err_set(why, ERR_IO, "socketpair: %s", strerror(errno));
	}
	p->near_fd = near[0];
	*worker_fd_out = near[1];
	p->far_fd = far[0];
	p->trap = far[1];
	return ERR_OK;
}

static int hold_dialogue(struct probe *p, struct err *why)
{
	int worker_fd;
	int code = worker_start(p->env->store, p->env->whitelist, p->env->rules, p->inbox,
				&p->worker, why);

	if (code == ERR_OK)
		code = open_ends(p, &worker_fd, why);
	if (code == ERR_OK) {
		carry_greet(p->near_fd);
		if (!loop_post(p->env->loop, &p->begin))
			assert(!"the loops outlive the probe");
		worker_run(p->worker, p->job, worker_fd);
		wait_for_both(p);
		release_loop(p);
	}
	worker_stop(&p->worker);
	return code;
}

/* What came through, and whether it is the guard that held the rest back. */
static int look(const struct probe *p, struct err *why)
{
	static const char mail[] = "MAIL FROM:<>\r\n";
	const struct job *job = p->job;

	if (!span_is(buf_span(&p->heard), mail) && p->heard.len > sizeof(mail) - 1)
		return err_set(why, ERR_UNSAFE, "the wire guard lets mail out that nobody allowed");
	if (job->prepare_code != ERR_OK)
		return err_set(why, job->prepare_code, "%s", job->prepare_why.text);
	if (job->record.broken != ERR_OK)
		return err_set(why, ERR_UNSAFE, "the wire guard was not reached: %.180s",
			       job->record.broken_why.text);
	if (!span_is(buf_span(&p->heard), mail) || job->record.mail.code != 250 ||
	    !job->recipients[0].dropped)
		return err_set(why, ERR_UNSAFE, "the wire guard was not asked");
	return ERR_OK;
}

static int attempt(struct probe *p, const struct job_recipient *judged, struct err *why)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(p->env->whitelist);
	int code;

	job_choose_sender(p->job, snapshot, clock_steady_wall_ms());
	whitelist_release(&snapshot);
	p->job->recipients[0] = *judged;
	p->job->recipients[0].ruling.reason = p->job->recipients[0].ruled;
	p->job->recipients[0].dropped = false; /* as if it had been allowed */
	p->job->count = 1;
	p->job->worker_done.owner = p->job;
	code = hold_dialogue(p, why);
	return code == ERR_OK ? look(p, why) : code;
}

static bool is_refused(const struct probe_env *env, const struct claimed_message *message,
		       struct job_recipient *judged_out)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(env->whitelist);
	struct judge_case at = job_case(env->options, message, snapshot, clock_steady_wall_ms());
	bool allowed = job_judge(&at, &message->recipients[0], judged_out);

	whitelist_release(&snapshot);
	return !allowed;
}

int probe_run(const struct probe_env *env, const struct claimed_message *message, struct err *why)
{
	struct probe p = {.env = env, .trap = -1, .caps = {.pipelining = true}};
	struct job_recipient judged;
	int code;

	assert(message->recipient_count == 1);
	if (!is_refused(env, message, &judged))
		return err_set(why, ERR_UNSAFE,
			       "the judgement before an attempt allows what nobody allowed");
	if (judged.text[0] == '\0')
		return err_set(why, ERR_UNSAFE, "the stored address came back as another one");
	if (!dial_is_in_place())
		return err_set(why, ERR_FATAL,
			       "connect() of this program is not the one that libesmtp gets");
	p.begin.run = do_begin;
	p.end.run = do_end;
	p.inbox = channel_new();
	buf_init(&p.heard, HEARD_MAX);
	p.job = job_new(message, env->options, &trap_route, 1);
	code = attempt(&p, &judged, why);
	job_free(&p.job);
	if (p.trap >= 0)
		close(p.trap);
	channel_free(&p.inbox);
	buf_release(&p.heard);
	return code;
}
