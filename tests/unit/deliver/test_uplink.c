/* tests relay/deliver/uplink.c and carry.c: the test itself stands where libesmtp stands */
#include <config.h> /* memmem */

#include "relay/deliver/uplink.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/filter/policy.h"
#include "tests/unit/deliver/nexthop.h"
#include "tests/unit/loop/certificate.h"
#include "tests/unit/unit.h"

#define WAIT_MS 10000

/* Everything one attempt needs, without scheduler, store and libesmtp. */
struct rig {
	struct loop *loop;
	struct whitelist *list;
	struct resolver *resolver;
	struct nexthop *hop;
	const char *host;
	struct route_options route;
	struct delivery_options options;
	struct policy_options policy;
	struct uplink *uplink;
	const char *sender; /* of jobs; NULL: <> */
	struct claimed_message message;
	struct claimed_recipient claimed[8];
	SSL_CTX *server_tls;
	struct hop_tls *tls;
	struct job *job;
	int fd; /* libesmtp's end */
	char said[8192];
	size_t said_len;

	pthread_mutex_t lock;
	pthread_cond_t change;
	bool opened, done, alive, lost, closed, own;
	int open_code;
	char why[256];
};

static void note(struct rig *r, bool *flag)
{
	pthread_mutex_lock(&r->lock);
	*flag = true;
	pthread_cond_broadcast(&r->change);
	pthread_mutex_unlock(&r->lock);
}

static void on_open(void *ctx, int code, const char *why)
{
	struct rig *r = ctx;

	r->open_code = code;
	snprintf(r->why, sizeof(r->why), "%s", why);
	note(r, &r->opened);
}

static void on_done(void *ctx, struct job *job, bool alive)
{
	struct rig *r = ctx;

	r->alive = alive;
	note(r, &r->done);
}

static void on_lost(void *ctx, const char *why)
{
	struct rig *r = ctx;

	note(r, &r->lost);
}

static void on_closed(void *ctx)
{
	struct rig *r = ctx;

	note(r, &r->closed);
}

static bool is_own(void *ctx, const char *address)
{
	struct rig *r = ctx;

	return r->own && strcmp(address, r->host) == 0;
}

static void await(struct rig *r, bool *flag)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&r->lock);
	while (!*flag)
		ck_assert_int_eq(pthread_cond_timedwait(&r->change, &r->lock, &end), 0);
	*flag = false;
	pthread_mutex_unlock(&r->lock);
}

static void list_only(struct rig *r, const char *pattern, enum entry_kind kind)
{
	struct entry entry = {
		.id = 1, .pattern = pattern, .kind = kind, .action = ENTRY_ALLOW, .scope = ""};
	size_t bad;

	whitelist_load_begin(r->list);
	if (pattern != NULL)
		whitelist_load_add(r->list, &entry);
	whitelist_load_end(r->list, 5, &bad);
	ck_assert_uint_eq(bad, 0);
}

static const struct uplink_ops rig_ops = {on_open, on_done, on_lost, on_closed};

static struct uplink_env rig_env(struct rig *r)
{
	struct uplink_env env = {.loop = r->loop,
				 .resolver = r->resolver,
				 .whitelist = r->list,
				 .hostname = "relay.test",
				 .route = &r->route,
				 .is_own_listener = is_own,
				 .own_ctx = r};
	struct err why;

	ck_assert_int_eq(route_host_parse(span_of(r->route.hosts[0]), &env.host, &why), ERR_OK);
	return env;
}

static void rig_open(struct rig *r, const struct nexthop_step *steps, size_t count,
		     const char *ehlo)
{
	struct uplink_env env;
	struct err why;

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->change, NULL);
	r->loop = loop_new("test");
	ck_assert_int_eq(loop_start(r->loop, &why), ERR_OK);
	r->list = whitelist_new();
	list_only(r, "ok.test", ENTRY_DOMAIN);
	r->resolver = resolver_new();
	r->hop = nexthop_start(steps, count, ehlo);
	r->host = nexthop_address(r->hop);
	r->route = (struct route_options){.name = "default",
					  .hosts = &r->host,
					  .host_count = 1,
					  .max_connections = 1,
					  .connect_timeout_ms = 2000,
					  .command_timeout_ms = 1000,
					  .data_min_rate = 512,
					  .final_reply_timeout_ms = 1000};
	r->policy.bounce_to = "";
	r->options = (struct delivery_options){.policy = &r->policy, .hostname = "relay.test"};
	env = rig_env(r);
	r->uplink = uplink_new(&env, &rig_ops, r);
	r->fd = -1;
}

/* The same for the route's first host as it is now. */
static void rig_renew(struct rig *r)
{
	struct uplink_env env = rig_env(r);

	env.tls = r->tls;
	uplink_free(&r->uplink);
	r->uplink = uplink_new(&env, &rig_ops, r);
}

static void rig_ready(struct rig *r, const struct nexthop_step *steps, size_t count,
		      const char *ehlo)
{
	rig_open(r, steps, count, ehlo);
	uplink_open(r->uplink);
	await(r, &r->opened);
	ck_assert_msg(r->open_code == ERR_OK, "%s", r->why);
}

static void rig_close(struct rig *r)
{
	uplink_close(r->uplink);
	await(r, &r->closed);
	uplink_free(&r->uplink);
	if (r->fd >= 0)
		close(r->fd);
	job_free(&r->job);
	nexthop_stop(&r->hop);
	loop_stop(r->loop);
	loop_free(&r->loop);
	SSL_CTX_free(r->server_tls);
	hop_tls_free(&r->tls);
	resolver_free(&r->resolver);
	whitelist_free(&r->list);
}

/* A job for the given addresses (NULL ends), as intake and the worker would make it. */
static void rig_assign(struct rig *r, const char *const *addresses, const char *header,
		       int64_t body_size)
{
	const struct whitelist_snapshot *list = whitelist_acquire(r->list);
	int ends[2];

	if (r->fd >= 0)
		close(r->fd);
	job_free(&r->job);
	r->message = (struct claimed_message){
		.sender = r->sender != NULL ? r->sender : "", .scope = "", .received_field = ""};
	r->job = job_new(&r->message, &r->options, &r->route, 8);
	for (size_t i = 0; addresses[i] != NULL; i++) {
		struct job_recipient *recipient = &r->job->recipients[r->job->count++];

		r->claimed[i] = (struct claimed_recipient){.id = 1, .address = addresses[i]};
		ck_assert_int_eq(address_parse(span_of(addresses[i]), &recipient->address, NULL),
				 ERR_OK);
		address_format(&recipient->address, recipient->text);
		recipient->claimed = &r->claimed[i];
	}
	job_choose_sender(r->job, list, clock_wall_ms());
	whitelist_release(&list);
	buf_append_text(&r->job->header, header);
	r->job->body_size = body_size;
	atomic_store(&r->job->header_ready, true);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	r->fd = ends[1];
	r->said_len = 0;
	uplink_assign(r->uplink, r->job, ends[0]);
}

static void tell(struct rig *r, const char *text)
{
	size_t len = strlen(text);

	ck_assert_int_eq(send(r->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* The same to an uplink that may be breaking off at this moment. */
static void tell_if_open(struct rig *r, const char *text)
{
	(void)!send(r->fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Read replies until `text` was said; false at the end of the line. */
static bool hear(struct rig *r, const char *text)
{
	int64_t end = clock_mono_ms() + WAIT_MS;

	for (;;) {
		const char *at = memmem(r->said, r->said_len, text, strlen(text));
		struct pollfd poll_fd = {r->fd, POLLIN, 0};
		ssize_t n;

		if (at != NULL) {
			size_t used = (size_t)(at - r->said) + strlen(text);

			memmove(r->said, r->said + used, r->said_len - used);
			r->said_len -= used;
			return true;
		}
		ck_assert_int_gt(poll(&poll_fd, 1, (int)(end - clock_mono_ms())), 0);
		n = recv(r->fd, r->said + r->said_len, sizeof(r->said) - r->said_len, 0);
		if (n <= 0)
			return false;
		r->said_len += (size_t)n;
	}
}

static const char *const ann[] = {"ann@ok.test", NULL};
static const char *const ann_bob[] = {"ann@ok.test", "bob@ok.test", NULL};
static const char stand_in[] = "Date: x\r\n\r\n";

/* The worker's part as libesmtp would play it, up to the 354. */
static void talk_to_data(struct rig *r, const char *const *addresses)
{
	char line[400];

	ck_assert(hear(r, "250 PIPELINING\r\n"));
	tell(r, "EHLO x\r\nMAIL FROM:<>\r\n");
	ck_assert(hear(r, "250 "));
	for (size_t i = 0; addresses[i] != NULL; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", addresses[i]);
		tell(r, line);
	}
	tell(r, "DATA\r\n");
	ck_assert(hear(r, "354 "));
}

/* Only its beginning, up to the answer to MAIL. */
static void talk_to_mail(struct rig *r)
{
	ck_assert(hear(r, "250 PIPELINING\r\n"));
	tell(r, "MAIL FROM:<>\r\n");
	ck_assert(hear(r, "250 "));
}

/* A whole session: `body` is dot-stuffed. Waits until the uplink is through with it. */
static void talk_to_end(struct rig *r, const char *const *addresses, const char *body)
{
	talk_to_data(r, addresses);
	tell(r, stand_in);
	tell(r, body);
	tell(r, ".\r\n");
	await(r, &r->done);
}

/* A job for a message without a body, and all of its session. */
static void send_empty(struct rig *r, const char *const *addresses)
{
	rig_assign(r, addresses, "a: b\r\n\r\n", 0);
	talk_to_end(r, addresses, "");
}

START_TEST(a_message_goes_through_with_its_real_header)
{
	struct rig r;
	const struct nexthop_mail *mail;

	rig_ready(&r, NULL, 0, NULL);
	rig_assign(&r, ann_bob, "Received: us\r\n.odd: 1\r\n\r\n", 9);
	talk_to_data(&r, ann_bob);
	tell(&r, stand_in);
	tell(&r, "..dot\r\na\r\n.\r\n");
	ck_assert(hear(&r, "250 "));
	ck_assert(hear(&r, "221 "));
	await(&r, &r.done);
	ck_assert(r.alive);
	ck_assert(nexthop_wait_mails(r.hop, 1, WAIT_MS));
	mail = nexthop_mail(r.hop, 0);
	ck_assert_str_eq(mail->data, "Received: us\r\n.odd: 1\r\n\r\n.dot\r\na\r\n");
	ck_assert_str_eq(mail->mail, "MAIL FROM:<> SIZE=34 BODY=7BIT");
	ck_assert_str_eq(mail->rcpt[1], "RCPT TO:<bob@ok.test>");
	ck_assert_int_eq(r.job->record.final.code, 250);
	ck_assert_str_eq(r.job->record.final.enhanced, "2.0.0");
	ck_assert_str_eq(r.job->record.remote, r.host);
	rig_close(&r);
}
END_TEST

/* The wire guard: what was not judged, or not in its turn, ends the connection without a word. */
START_TEST(a_wrong_line_of_the_worker_never_reaches_the_wire)
{
	static const char *const wrong[] = {
		"RCPT TO:<evil@bad.test>\r\n",
		"RCPT TO:<bob@ok.test>\r\n", /* judged, but not the next one */
		"RCPT TO:<ann@ok.test> NOTIFY=NEVER\r\n",
		"RCPT TO:<ANN@ok.test>\r\n",
		"rcpt to:<ann@ok.test>\r\n",
		"RCPT TO:<ann@ok.test\n>\r\n", /* S093 */
		"RCPT TO:<ann@ok.test>\nRCPT TO:<evil@bad.test>\r\n",
		"DATA\r\n",
		"VRFY evil@bad.test\r\n",
		"MAIL FROM:<>\r\n",
		"RSET\r\n",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct rig r;

		rig_ready(&r, NULL, 0, NULL);
		rig_assign(&r, ann_bob, "\r\n", 0);
		ck_assert(hear(&r, "250 PIPELINING\r\n"));
		tell(&r, "EHLO x\r\nMAIL FROM:<>\r\n");
		ck_assert(hear(&r, "250 "));
		tell(&r, wrong[i]);
		await(&r, &r.done);
		ck_assert_msg(!r.alive, "%s", wrong[i]);
		ck_assert_int_eq(r.job->record.broken, ERR_DENIED);
		ck_assert(!nexthop_saw(r.hop, "RCPT"));
		ck_assert(!nexthop_saw(r.hop, "evil"));
		ck_assert(!nexthop_saw(r.hop, "DATA"));
		rig_close(&r);
	}
}
END_TEST

START_TEST(more_recipients_than_the_job_has_end_it)
{
	struct rig r;

	rig_ready(&r, NULL, 0, NULL);
	rig_assign(&r, ann, "\r\n", 0);
	talk_to_mail(&r);
	tell(&r, "RCPT TO:<ann@ok.test>\r\nRCPT TO:<ann@ok.test>\r\nDATA\r\n");
	await(&r, &r.done);
	ck_assert(!r.alive);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_DATA), 0);
	rig_close(&r);
}
END_TEST

/* S156: removed between MAIL and RCPT: answered here, never offered, recorded as dropped. */
START_TEST(the_list_is_asked_once_more_at_the_wire)
{
	static const char *const ann_carl[] = {"ann@ok.test", "carl@ok.test", NULL};
	struct rig r;

	rig_ready(&r, NULL, 0, NULL);
	rig_assign(&r, ann_carl, "a: b\r\n\r\n", 0);
	talk_to_mail(&r);
	list_only(&r, "carl@ok.test", ENTRY_EXACT);
	tell(&r, "RCPT TO:<ann@ok.test>\r\nRCPT TO:<carl@ok.test>\r\nDATA\r\n");
	ck_assert(hear(&r, "550 "));
	ck_assert(hear(&r, "250 "));
	ck_assert(hear(&r, "354 "));
	tell(&r, stand_in);
	tell(&r, ".\r\n");
	await(&r, &r.done);
	ck_assert(r.alive);
	ck_assert(r.job->recipients[0].dropped && !r.job->recipients[1].dropped);
	ck_assert_int_eq(r.job->recipients[0].reply.code, 0);
	ck_assert_str_eq(r.job->recipients[0].ruling.verdict, "drop");
	ck_assert_int_eq(strncmp(r.job->recipients[0].ruled, "whitelist changed", 17), 0);
	ck_assert(!nexthop_saw(r.hop, "ann@"));
	rig_close(&r);
}
END_TEST

/* The sender, too: what the list allowed while the job stood in line may be allowed no more. */
START_TEST(the_sender_is_judged_once_more_at_the_wire)
{
	static const char *const carl[] = {"carl@ok.test", NULL};
	struct rig r;

	rig_ready(&r, NULL, 0, "PIPELINING\nDSN");
	r.sender = "boss@ok.test";
	rig_assign(&r, carl, "a: b\r\n\r\n", 0);
	ck_assert(!r.job->sender_replaced);
	list_only(&r, "carl@ok.test", ENTRY_EXACT);
	ck_assert(hear(&r, "250 PIPELINING\r\n"));
	tell(&r, "MAIL FROM:<boss@ok.test>\r\n");
	ck_assert(hear(&r, "250 "));
	tell(&r, "RCPT TO:<carl@ok.test>\r\nDATA\r\n");
	ck_assert(hear(&r, "354 "));
	tell(&r, stand_in);
	tell(&r, ".\r\n");
	await(&r, &r.done);
	ck_assert(r.job->sender_replaced);
	ck_assert(!nexthop_saw(r.hop, "boss@"));
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->mail, "MAIL FROM:<>");
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->rcpt[0], "RCPT TO:<carl@ok.test> NOTIFY=NEVER");
	rig_close(&r);
}
END_TEST

/* S222: nobody accepted: DATA is answered here, and the next hop gets RSET. */
START_TEST(without_a_recipient_there_is_no_data)
{
	static const struct nexthop_step steps[] = {
		{AT_RCPT, DO_REPLY, "550 no\r\n", .match = "ann"},
		{AT_RCPT, DO_REPLY, "450 later\r\n", .match = "bob"},
		{AT_DATA, DO_REPLY, "354 go on\r\n"},
	};
	struct rig r;

	rig_ready(&r, steps, 3, NULL);
	rig_assign(&r, ann_bob, "\r\n", 0);
	talk_to_mail(&r);
	tell(&r, "RCPT TO:<ann@ok.test>\r\nRCPT TO:<bob@ok.test>\r\nDATA\r\n");
	ck_assert(hear(&r, "550 "));
	ck_assert(hear(&r, "450 "));
	ck_assert(hear(&r, "554 "));
	await(&r, &r.done);
	ck_assert(r.alive);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_DATA), 0);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_RSET), 1);
	ck_assert_int_eq(r.job->recipients[0].reply.code, 550);
	ck_assert_int_eq(r.job->recipients[1].reply.code, 450);
	rig_close(&r);
}
END_TEST

/* Whatever is wrong with the body, the connection closes and no dot leaves. */
START_TEST(a_body_that_does_not_add_up_gets_no_dot)
{
	static const char *const bodies[] = {
		"short\r\n.\r\n", "much too long a body for that\r\n.\r\n",
		"12345678\r\n.x\r\n.\r\n", /* a dot not doubled */
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct rig r;

		rig_ready(&r, NULL, 0, NULL);
		rig_assign(&r, ann, "a: b\r\n\r\n", 14);
		talk_to_data(&r, ann);
		tell(&r, stand_in);
		tell(&r, bodies[i]);
		await(&r, &r.done);
		ck_assert(!r.alive);
		ck_assert(r.job->record.broken != ERR_OK);
		ck_assert(!r.job->record.dot_sent);
		usleep(50000);
		ck_assert(!nexthop_saw(r.hop, "\r\n.\r\n"));
		ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
		rig_close(&r);
	}
}
END_TEST

START_TEST(a_worker_that_breaks_off_leaves_no_message)
{
	struct rig r;

	rig_ready(&r, NULL, 0, NULL);
	rig_assign(&r, ann, "a: b\r\n\r\n", 14);
	talk_to_data(&r, ann);
	tell(&r, stand_in);
	tell(&r, "half");
	shutdown(r.fd, SHUT_RDWR);
	await(&r, &r.done);
	ck_assert(!r.alive);
	ck_assert(!r.job->record.dot_sent);
	usleep(50000);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	rig_close(&r);
}
END_TEST

/* The store could not be read: nothing was said, so the connection is as good as before. */
START_TEST(a_worker_that_never_begins_does_no_harm)
{
	struct rig r;

	rig_ready(&r, NULL, 0, NULL);
	rig_assign(&r, ann, "\r\n", 0);
	shutdown(r.fd, SHUT_RDWR);
	await(&r, &r.done);
	ck_assert(r.alive);
	ck_assert(!nexthop_saw(r.hop, "MAIL"));
	rig_close(&r);
}
END_TEST

/* Replies that come too early, too late or twice: the connection has lost its step. */
START_TEST(replies_out_of_turn_close_the_connection)
{
	static const struct nexthop_step scripts[] = {
		{AT_RCPT, DO_REPLY, "250 ok\r\n250 and again\r\n250 x\r\n"},
		{AT_DATA, DO_REPLY, "250 ok\r\n"},
		{AT_DATA, DO_REPLY, "354 go\r\n250 kept\r\n"},
		{AT_BODY, DO_REPLY, "250 kept already\r\n"},
		{AT_MAIL, DO_REPLY, "354 ok\r\n"},
		{AT_RCPT, DO_REPLY, "354 ok\r\n"},
		{AT_DOT, DO_REPLY, "354 more\r\n"},
	};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		struct rig r;

		rig_ready(&r, &scripts[i], 1, NULL);
		rig_assign(&r, ann, "a: b\r\n\r\n", 3);
		ck_assert(hear(&r, "250 PIPELINING\r\n"));
		tell(&r, "MAIL FROM:<>\r\n");
		if (hear(&r, "250 ")) {
			tell_if_open(&r, "RCPT TO:<ann@ok.test>\r\nDATA\r\n");
			if (hear(&r, "354 ")) {
				tell_if_open(&r, stand_in);
				usleep(50000);
				tell_if_open(&r, "x\r\n.\r\n");
			}
		}
		await(&r, &r.done);
		ck_assert_msg(!r.alive, "%zu", i);
		ck_assert_msg(r.job->record.broken == ERR_SYNTAX, "%zu", i);
		ck_assert_msg(r.job->record.final.code == 0, "%zu", i);
		rig_close(&r);
	}
}
END_TEST

/* S231: replies that are no replies. */
START_TEST(garbage_for_a_reply_closes_the_connection)
{
	static const char *const replies[] = {
		"25\r\n",    "2500 ok\r\n", "+250 ok\r\n", " 250 ok\r\n", "250-a\r\n251 b\r\n",
		"hello\r\n", "999 ok\r\n",  "\r\n"};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		const struct nexthop_step step = {AT_RCPT, DO_REPLY, replies[i]};
		struct rig r;

		rig_ready(&r, &step, 1, NULL);
		rig_assign(&r, ann, "\r\n", 0);
		talk_to_mail(&r);
		tell(&r, "RCPT TO:<ann@ok.test>\r\nDATA\r\n");
		await(&r, &r.done);
		ck_assert_msg(!r.alive && r.job->record.broken == ERR_SYNTAX, "%s", replies[i]);
		ck_assert_int_eq(r.job->recipients[0].reply.code, 0);
		rig_close(&r);
	}
}
END_TEST

/* libesmtp does not survive an end of its connection while it waits for three replies. */
START_TEST(the_worker_hears_every_answer_before_the_end)
{
	static const char *const four[] = {"a@ok.test", "b@ok.test", "c@ok.test", "d@ok.test",
					   NULL};
	static const struct nexthop_step steps[] = {
		{AT_MAIL, DO_REPLY, "550 no\r\n"},
		{AT_MAIL, DO_DROP},
		{AT_RCPT, DO_DROP},
		{AT_RCPT, DO_DROP, .from = 3, .to = 3},
		{AT_RCPT, DO_REPLY, "nonsense\r\n", .from = 2, .to = 2},
		{AT_DATA, DO_DROP},
		{AT_DATA, DO_REPLY, "451 no\r\n"},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct rig r;

		rig_ready(&r, &steps[i], 1, NULL);
		rig_assign(&r, four, "\r\n", 0);
		talk_to_mail(&r);
		tell_if_open(&r, "RCPT TO:<a@ok.test>\r\nRCPT TO:<b@ok.test>\r\n"
				 "RCPT TO:<c@ok.test>\r\nRCPT TO:<d@ok.test>\r\nDATA\r\n");
		/* To four RCPT and DATA, then to QUIT. */
		for (int n = 0; n < 5; n++)
			ck_assert_msg(hear(&r, " stagepost\r\n"), "step %zu, reply %d", i, n);
		ck_assert(hear(&r, "221 stagepost\r\n"));
		ck_assert(!hear(&r, "\r\n"));
		await(&r, &r.done);
		rig_close(&r);
	}
}
END_TEST

/* The same for a job that came to a connection that was gone. */
START_TEST(a_refused_worker_hears_every_answer)
{
	struct rig r;

	rig_open(&r, &(struct nexthop_step){AT_GREETING, DO_REPLY, "554 no\r\n"}, 1, NULL);
	uplink_open(r.uplink);
	await(&r, &r.opened);
	rig_assign(&r, ann_bob, "\r\n", 0);
	await(&r, &r.done);
	ck_assert(r.job->record.stale);
	for (int n = 0; n < 3; n++)
		ck_assert(hear(&r, "451 stagepost\r\n"));
	ck_assert(hear(&r, "221 stagepost\r\n"));
	ck_assert(!hear(&r, "\r\n"));
	rig_close(&r);
}
END_TEST

/* S231: long, many and strange but well formed; stored cut and harmless. */
START_TEST(strange_replies_are_kept_harmless)
{
	static char many[16000];
	struct nexthop_step steps[] = {
		{AT_MAIL, DO_REPLY, many},
		{AT_RCPT, DO_REPLY, "550 \x1b]0;x\x07 no\xff\r\n"},
	};
	struct rig r;

	for (int i = 0; i < 400; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "250-line %d\r\n", i);
	strcat(many, "250\r\n");
	rig_ready(&r, steps, 2, NULL);
	rig_assign(&r, ann, "\r\n", 0);
	talk_to_mail(&r);
	tell(&r, "RCPT TO:<ann@ok.test>\r\nDATA\r\n");
	await(&r, &r.done);
	ck_assert_int_eq(r.job->record.mail.code, 250);
	ck_assert_uint_lt(strlen(r.job->record.mail.text), HOP_TEXT_SIZE);
	ck_assert_ptr_null(strpbrk(r.job->recipients[0].reply.text, "\x1b\x07"));
	rig_close(&r);
}
END_TEST

/* Issue 2: code-only replies are replies. */
START_TEST(replies_without_text_are_understood)
{
	static const struct nexthop_step steps[] = {
		{AT_GREETING, DO_REPLY, "220\r\n"}, {AT_EHLO, DO_REPLY, "250\r\n"},
		{AT_MAIL, DO_REPLY, "250\r\n"},	    {AT_RCPT, DO_REPLY, "250\r\n"},
		{AT_DATA, DO_REPLY, "354\r\n"},	    {AT_DOT, DO_REPLY, "250\r\n"},
	};
	struct rig r;

	rig_ready(&r, steps, 6, NULL);
	send_empty(&r, ann);
	ck_assert(r.alive);
	ck_assert_int_eq(r.job->record.final.code, 250);
	rig_close(&r);
}
END_TEST

/* No PIPELINING offered: one command at a time, and the result is the same. */
START_TEST(without_pipelining_commands_go_one_by_one)
{
	static const struct nexthop_step steps[] = {
		{AT_EHLO, DO_REPLY, "502 no\r\n"},
		{AT_RCPT, DO_DRIP, "250 ok\r\n", .ms = 5},
	};
	struct rig r;

	rig_ready(&r, steps, 2, NULL);
	send_empty(&r, ann_bob);
	ck_assert(r.alive);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_HELO), 1);
	ck_assert_uint_eq(nexthop_mail(r.hop, 0)->rcpt_count, 2);
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->mail, "MAIL FROM:<>");
	rig_close(&r);
}
END_TEST

/* S227: a deadline is for the whole reply, however it drips. */
START_TEST(a_dripping_reply_meets_its_deadline)
{
	static const struct nexthop_step step = {
		AT_RCPT, DO_DRIP, "250 this takes far too long to say\r\n", .ms = 300};
	int64_t began;
	struct rig r;

	rig_ready(&r, &step, 1, NULL);
	rig_assign(&r, ann, "\r\n", 0);
	talk_to_mail(&r);
	began = clock_mono_ms();
	tell(&r, "RCPT TO:<ann@ok.test>\r\nDATA\r\n");
	await(&r, &r.done);
	ck_assert_int_lt(clock_mono_ms() - began, 3000);
	ck_assert_int_eq(r.job->record.broken, ERR_TIMEOUT);
	rig_close(&r);
}
END_TEST

START_TEST(a_message_over_the_next_hops_size_is_not_sent)
{
	struct rig r;

	rig_ready(&r, NULL, 0, "SIZE 10");
	rig_assign(&r, ann, "a: b\r\n\r\n", 3);
	ck_assert(hear(&r, "250 PIPELINING\r\n"));
	tell(&r, "MAIL FROM:<>\r\n");
	ck_assert(hear(&r, "552 "));
	await(&r, &r.done);
	ck_assert(r.alive);
	ck_assert(r.job->record.mail_local);
	ck_assert_str_eq(r.job->record.mail.enhanced, "5.3.4");
	ck_assert(!nexthop_saw(r.hop, "MAIL"));
	rig_close(&r);
}
END_TEST

START_TEST(a_connection_serves_several_messages)
{
	struct rig r;

	rig_ready(&r, NULL, 0, NULL);
	for (int i = 0; i < 5; i++) {
		rig_assign(&r, ann, "a: b\r\n\r\n", 3);
		talk_to_end(&r, ann, "x\r\n");
		ck_assert(r.alive);
	}
	ck_assert_int_eq(nexthop_connections(r.hop), 1);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 5);
	rig_close(&r);
}
END_TEST

/* The next hop says good-bye between two messages: the second job is marked stale. */
START_TEST(a_stale_connection_is_told_from_a_refusal)
{
	static const struct nexthop_step step = {AT_MAIL, DO_REPLY, "421 too many\r\n", .from = 2,
						 .to = 2};
	struct rig r;

	rig_ready(&r, &step, 1, NULL);
	send_empty(&r, ann);
	rig_assign(&r, ann, "a: b\r\n\r\n", 0);
	ck_assert(hear(&r, "250 PIPELINING\r\n"));
	tell(&r, "MAIL FROM:<>\r\n");
	ck_assert(hear(&r, "421 "));
	await(&r, &r.done);
	ck_assert(!r.alive && r.job->record.stale);
	rig_close(&r);
}
END_TEST

/* The next hop says good-bye to an idle connection while a job is on its way to it. */
START_TEST(a_421_that_crosses_the_job_is_stale)
{
	/* One byte after the other: it is there after the job, and before the job says MAIL. */
	static const struct nexthop_step step = {
		AT_DOT, DO_DRIP, "250 ok\r\n421 idle too long\r\n", .from = 1, .to = 1, .ms = 20};
	struct rig r;

	rig_ready(&r, &step, 1, NULL);
	send_empty(&r, ann);
	ck_assert(r.alive);
	rig_assign(&r, ann, "a: b\r\n\r\n", 0);
	await(&r, &r.done);
	ck_assert(!r.alive && r.job->record.stale);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 1);
	rig_close(&r);
}
END_TEST

/* RCPT travels right behind MAIL: what counts is whether MAIL was answered. */
START_TEST(a_connection_is_stale_until_mail_is_answered)
{
	static const struct {
		struct nexthop_step step;
		bool stale;
	} cases[] = {
		{{AT_MAIL, DO_DROP, .from = 2, .to = 2}, true},
		{{AT_RCPT, DO_DROP, .from = 2, .to = 2}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;

		rig_ready(&r, &cases[i].step, 1, NULL);
		send_empty(&r, ann);
		rig_assign(&r, ann, "a: b\r\n\r\n", 0);
		tell(&r, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@ok.test>\r\nDATA\r\n");
		await(&r, &r.done);
		ck_assert(!r.alive);
		ck_assert_msg(r.job->record.stale == cases[i].stale, "%zu", i);
		rig_close(&r);
	}
}
END_TEST

/* What was pipelined behind a refused MAIL is answered before the next message begins. */
START_TEST(late_replies_behind_a_refused_mail_belong_to_nobody_else)
{
	static const struct nexthop_step steps[] = {
		{AT_MAIL, DO_REPLY, "550 not you\r\n", .from = 1, .to = 1},
		{AT_RCPT, DO_DRIP, "503 MAIL first\r\n", .from = 1, .to = 2, .ms = 10},
	};
	struct rig r;

	rig_ready(&r, steps, 2, NULL);
	rig_assign(&r, ann_bob, "a: b\r\n\r\n", 0);
	ck_assert(hear(&r, "250 PIPELINING\r\n"));
	tell(&r, "MAIL FROM:<>\r\nRCPT TO:<ann@ok.test>\r\nRCPT TO:<bob@ok.test>\r\nDATA\r\n");
	ck_assert(hear(&r, "550 "));
	await(&r, &r.done);
	ck_assert(r.alive);
	ck_assert_int_eq(r.job->record.mail.code, 550);
	send_empty(&r, ann);
	ck_assert(r.alive);
	ck_assert_int_eq(r.job->record.mail.code, 250);
	ck_assert_int_eq(r.job->record.final.code, 250);
	ck_assert_int_eq(nexthop_connections(r.hop), 1);
	rig_close(&r);
}
END_TEST

START_TEST(failures_to_open_are_told)
{
	static const struct nexthop_step scripts[] = {
		{AT_GREETING, DO_REPLY, "554 go away\r\n"},
		{AT_GREETING, DO_REPLY, "421 busy\r\n"},
		{AT_GREETING, DO_DROP},
		{AT_GREETING, DO_STALL},
		{AT_GREETING, DO_REPLY, "HTTP/1.1 400 Bad Request\r\n"},
		{AT_EHLO, DO_REPLY, "421 no\r\n"},
	};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		struct rig r;

		rig_open(&r, &scripts[i], 1, NULL);
		uplink_open(r.uplink);
		await(&r, &r.opened);
		ck_assert_int_lt(r.open_code, 0);
		ck_assert_msg(strstr(r.why, r.host) != NULL, "%s", r.why);
		rig_close(&r);
	}
}
END_TEST

START_TEST(a_name_is_resolved)
{
	char name[64];
	const char *host = name;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	snprintf(name, sizeof(name), "localhost%s", strchr(r.host, ':'));
	r.route.hosts = &host;
	rig_renew(&r);
	uplink_open(r.uplink);
	await(&r, &r.opened);
	ck_assert_msg(r.open_code == ERR_OK, "%s", r.why);
	rig_assign(&r, ann, "\r\n", 0);
	shutdown(r.fd, SHUT_RDWR);
	await(&r, &r.done);
	ck_assert_msg(strncmp(r.job->record.remote, "localhost[127.0.0.1]:", 21) == 0, "%s",
		      r.job->record.remote);
	rig_close(&r);
}
END_TEST

START_TEST(a_unix_socket_is_a_next_hop)
{
	struct nexthop *hop = nexthop_start_unix(NULL, 0, NULL);
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	nexthop_stop(&r.hop);
	r.hop = hop;
	r.host = nexthop_address(r.hop);
	r.route.source_address = "127.0.0.1"; /* for those that have one */
	rig_renew(&r);
	uplink_open(r.uplink);
	await(&r, &r.opened);
	ck_assert_msg(r.open_code == ERR_OK, "%s", r.why);
	send_empty(&r, ann);
	ck_assert(r.alive);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
	ck_assert_str_eq(r.job->record.remote, r.host);
	rig_close(&r);
}
END_TEST

START_TEST(a_unix_socket_that_is_not_there_is_told)
{
	const char *host = "unix:/tmp/none-such/socket";
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.route.hosts = &host;
	rig_renew(&r);
	uplink_open(r.uplink);
	await(&r, &r.opened);
	ck_assert_int_lt(r.open_code, 0);
	ck_assert_str_eq(r.why, "unix:/tmp/none-such/socket: connect: No such file or directory");
	rig_close(&r);
}
END_TEST

START_TEST(our_own_listener_is_not_a_next_hop)
{
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.own = true;
	uplink_open(r.uplink);
	await(&r, &r.opened);
	ck_assert_int_lt(r.open_code, 0);
	ck_assert_ptr_nonnull(strstr(r.why, "loop"));
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	rig_close(&r);
}
END_TEST

/* S233: a route that wants TLS and gets none sends nothing in clear. */
START_TEST(tls_that_is_not_offered_means_no_mail)
{
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.route.tls = ROUTE_TLS_REQUIRED;
	uplink_open(r.uplink);
	await(&r, &r.opened);
	ck_assert_int_lt(r.open_code, 0);
	ck_assert_msg(strstr(r.why, "STARTTLS") != NULL, "%s", r.why);
	rig_close(&r);
}
END_TEST

/* A next hop with a certificate for `name`, and an uplink that trusts it. */
static void open_with_tls(struct rig *r, const struct nexthop_step *steps, size_t count,
			  const char *name, enum route_tls mode)
{
	static const char *host;
	static char text[64];
	struct certificate certificate;
	struct hop_tls_notes notes;
	const char *key;
	char file[64];
	struct err why;

	snprintf(file, sizeof(file), "/tmp/stagepost-uplink-%d.pem", (int)getpid());

	certificate_make(&certificate, name);
	rig_open(r, steps, count, "PIPELINING\nSTARTTLS");
	r->server_tls = certificate_server(&certificate);
	certificate_write(&certificate, file, NULL);
	certificate_release(&certificate);
	r->route.tls = mode;
	r->route.tls_verify = true;
	r->route.tls_ca = file;
	ck_assert_int_eq(hop_tls_new(&r->route, &r->tls, &notes, &key, &why), ERR_OK);
	unlink(file);
	nexthop_use_tls(r->hop, r->server_tls, mode == ROUTE_TLS_IMPLICIT);
	snprintf(text, sizeof(text), "localhost%s", strchr(r->host, ':'));
	host = text;
	r->route.hosts = &host;
	rig_renew(r);
	uplink_open(r->uplink);
	await(r, &r->opened);
}

START_TEST(a_verified_next_hop_gets_mail_over_tls)
{
	static const enum route_tls modes[] = {ROUTE_TLS_REQUIRED, ROUTE_TLS_IMPLICIT};

	for (size_t i = 0; i < 2; i++) {
		struct rig r;

		open_with_tls(&r, NULL, 0, "localhost", modes[i]);
		ck_assert_msg(r.open_code == ERR_OK, "%s", r.why);
		rig_assign(&r, ann, "a: b\r\n\r\n", 3);
		talk_to_end(&r, ann, "x\r\n");
		ck_assert(r.alive);
		ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
		ck_assert_int_eq(nexthop_reached(r.hop, AT_STARTTLS), i == 0);
		rig_close(&r);
	}
}
END_TEST

/* S234: the right authority, another name; and S233: STARTTLS refused. Nothing goes in clear. */
START_TEST(an_unverified_next_hop_gets_nothing)
{
	static const struct nexthop_step refusal = {AT_STARTTLS, DO_REPLY, "454 not now\r\n"};
	/* CVE-2011-0411: plain text in front of the handshake. */
	static const struct nexthop_step injection = {AT_STARTTLS, DO_REPLY,
						      "220 go\r\n250 injected\r\n"};
	static const struct {
		const struct nexthop_step *step;
		const char *name;
		enum route_tls mode;
	} cases[] = {
		{NULL, "other.test", ROUTE_TLS_REQUIRED},
		{NULL, "other.test", ROUTE_TLS_IMPLICIT},
		{&refusal, "localhost", ROUTE_TLS_REQUIRED},
		{&injection, "localhost", ROUTE_TLS_REQUIRED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;

		open_with_tls(&r, cases[i].step, cases[i].step != NULL, cases[i].name,
			      cases[i].mode);
		ck_assert_msg(r.open_code < 0, "%zu", i);
		ck_assert(r.why[0] != '\0');
		ck_assert(!nexthop_saw(r.hop, "MAIL"));
		rig_close(&r);
	}
}
END_TEST

static int by_size(const void *a, const void *b)
{
	const int64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Replies in packets of their own, each kept back until the one before is acknowledged. */
START_TEST(a_next_hop_with_nagles_delay_costs_no_40_ms)
{
	enum { WARM = 20, MEASURED = 15 };
	int64_t took_us[MEASURED];
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	nexthop_use_nagle(r.hop);
	uplink_open(r.uplink);
	await(&r, &r.opened);
	for (int i = -WARM; i < MEASURED; i++) {
		int64_t start = clock_mono_us();

		send_empty(&r, ann_bob);
		ck_assert(r.alive);
		if (i >= 0)
			took_us[i] = clock_mono_us() - start;
	}
	qsort(took_us, MEASURED, sizeof(took_us[0]), by_size);
	ck_assert_int_lt(took_us[MEASURED / 2], 20000);
	rig_close(&r);
}
END_TEST

START_TEST(closing_in_the_middle_sends_no_dot)
{
	struct rig r;

	rig_ready(&r, NULL, 0, NULL);
	rig_assign(&r, ann, "a: b\r\n\r\n", 5);
	talk_to_data(&r, ann);
	tell(&r, stand_in);
	tell(&r, "x");
	uplink_close(r.uplink);
	await(&r, &r.done);
	await(&r, &r.closed);
	ck_assert(!r.alive && r.job->record.broken == ERR_CLOSED);
	usleep(50000);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	rig_close(&r);
}
END_TEST

UNIT_MAIN("deliver/uplink", a_message_goes_through_with_its_real_header,
	  a_wrong_line_of_the_worker_never_reaches_the_wire,
	  more_recipients_than_the_job_has_end_it, the_list_is_asked_once_more_at_the_wire,
	  the_sender_is_judged_once_more_at_the_wire, without_a_recipient_there_is_no_data,
	  a_body_that_does_not_add_up_gets_no_dot, a_worker_that_breaks_off_leaves_no_message,
	  a_worker_that_never_begins_does_no_harm, replies_out_of_turn_close_the_connection,
	  garbage_for_a_reply_closes_the_connection, the_worker_hears_every_answer_before_the_end,
	  a_refused_worker_hears_every_answer, strange_replies_are_kept_harmless,
	  replies_without_text_are_understood, without_pipelining_commands_go_one_by_one,
	  a_dripping_reply_meets_its_deadline, a_message_over_the_next_hops_size_is_not_sent,
	  a_connection_serves_several_messages, a_stale_connection_is_told_from_a_refusal,
	  a_421_that_crosses_the_job_is_stale, a_connection_is_stale_until_mail_is_answered,
	  late_replies_behind_a_refused_mail_belong_to_nobody_else, failures_to_open_are_told,
	  a_name_is_resolved, a_unix_socket_is_a_next_hop, a_unix_socket_that_is_not_there_is_told,
	  our_own_listener_is_not_a_next_hop, tls_that_is_not_offered_means_no_mail,
	  a_verified_next_hop_gets_mail_over_tls, an_unverified_next_hop_gets_nothing,
	  closing_in_the_middle_sends_no_dot, a_next_hop_with_nagles_delay_costs_no_40_ms)
