/* tests/unit/deliver/talker.c - an uplink, and a test that stands where libesmtp stands */
#include <config.h> /* memmem */

#include "tests/unit/deliver/talker.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

const char *const talker_ann[] = {"ann@ok.test", NULL};
const char *const talker_ann_bob[] = {"ann@ok.test", "bob@ok.test", NULL};
const char talker_stand_in[] = "Date: x\r\n\r\n";

static void on_open(void *ctx, int code, const char *why)
{
	struct talker *t = ctx;

	t->open_code = code;
	snprintf(t->why, sizeof(t->why), "%s", why);
	bell_ring(&t->bell, &t->opened);
}

static void on_done(void *ctx, struct job *job, bool alive)
{
	struct talker *t = ctx;

	t->alive = alive;
	bell_ring(&t->bell, &t->done);
}

static void on_lost(void *ctx, const char *why)
{
	struct talker *t = ctx;

	bell_ring(&t->bell, &t->lost);
}

static void on_closed(void *ctx)
{
	struct talker *t = ctx;

	bell_ring(&t->bell, &t->closed);
}

static bool is_own(void *ctx, const char *address)
{
	struct talker *t = ctx;

	return t->own && strcmp(address, t->host) == 0;
}

void talker_list(struct talker *t, const char *pattern, enum entry_kind kind)
{
	struct entry entry = {
		.id = 1, .pattern = pattern, .kind = kind, .action = ENTRY_ALLOW, .scope = ""};
	size_t bad;

	whitelist_load_begin(t->list);
	if (pattern != NULL)
		whitelist_load_add(t->list, &entry);
	whitelist_load_end(t->list, 5, &bad);
	ck_assert_uint_eq(bad, 0);
}

static const struct uplink_ops ops = {on_open, on_done, on_lost, on_closed};

static struct uplink_env env_of(struct talker *t)
{
	struct uplink_env env = {.loop = t->loop,
				 .resolver = t->resolver,
				 .whitelist = t->list,
				 .hostname = "relay.test",
				 .route = &t->route,
				 .is_own_listener = is_own,
				 .own_ctx = t};
	struct err why;

	ck_assert_int_eq(route_host_parse(span_of(t->route.hosts[0]), &env.host, &why), ERR_OK);
	return env;
}

void talker_open(struct talker *t, const struct nexthop_step *steps, size_t count, const char *ehlo)
{
	struct uplink_env env;
	struct err why;

	memset(t, 0, sizeof(*t));
	bell_init(&t->bell);
	t->loop = loop_new("test");
	ck_assert_int_eq(loop_start(t->loop, &why), ERR_OK);
	t->list = whitelist_new();
	talker_list(t, "ok.test", ENTRY_DOMAIN);
	t->resolver = resolver_new();
	t->hop = nexthop_start(steps, count, ehlo);
	t->host = nexthop_address(t->hop);
	t->route = (struct route_options){.name = "default",
					  .hosts = &t->host,
					  .host_count = 1,
					  .max_connections = 1,
					  .connect_timeout_ms = 2000,
					  .command_timeout_ms = 1000,
					  .data_min_rate = 512,
					  .final_reply_timeout_ms = 1000};
	t->policy.bounce_to = "";
	t->options = (struct delivery_options){.policy = &t->policy, .hostname = "relay.test"};
	env = env_of(t);
	t->uplink = uplink_new(&env, &ops, t);
	t->fd = -1;
}

void talker_renew(struct talker *t)
{
	struct uplink_env env = env_of(t);

	env.tls = t->tls;
	uplink_free(&t->uplink);
	t->uplink = uplink_new(&env, &ops, t);
}

void talker_connect(struct talker *t)
{
	uplink_open(t->uplink);
	bell_await(&t->bell, &t->opened);
}

void talker_ready(struct talker *t, const struct nexthop_step *steps, size_t count,
		  const char *ehlo)
{
	talker_open(t, steps, count, ehlo);
	talker_connect(t);
	ck_assert_msg(t->open_code == ERR_OK, "%s", t->why);
}

void talker_close(struct talker *t)
{
	uplink_close(t->uplink);
	bell_await(&t->bell, &t->closed);
	uplink_free(&t->uplink);
	if (t->fd >= 0)
		close(t->fd);
	job_free(&t->job);
	nexthop_stop(&t->hop);
	loop_stop(t->loop);
	loop_free(&t->loop);
	SSL_CTX_free(t->server_tls);
	hop_tls_free(&t->tls);
	resolver_free(&t->resolver);
	whitelist_free(&t->list);
}

void talker_assign(struct talker *t, const char *const *addresses, const char *header,
		   int64_t body_size)
{
	const struct whitelist_snapshot *list = whitelist_acquire(t->list);
	int ends[2];

	if (t->fd >= 0)
		close(t->fd);
	job_free(&t->job);
	t->message = (struct claimed_message){
		.sender = t->sender != NULL ? t->sender : "", .scope = "", .received_field = ""};
	t->job = job_new(&t->message, &t->options, &t->route, 8);
	for (size_t i = 0; addresses[i] != NULL; i++) {
		struct job_recipient *recipient = &t->job->recipients[t->job->count++];

		t->claimed[i] = (struct claimed_recipient){.id = 1, .address = addresses[i]};
		ck_assert_int_eq(address_parse(span_of(addresses[i]), &recipient->address, NULL),
				 ERR_OK);
		address_format(&recipient->address, recipient->text);
		recipient->claimed = &t->claimed[i];
	}
	job_choose_sender(t->job, list, clock_wall_ms());
	whitelist_release(&list);
	buf_append_text(&t->job->header, header);
	t->job->body_size = body_size;
	atomic_store(&t->job->header_ready, true);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	t->fd = ends[1];
	t->said_len = 0;
	uplink_assign(t->uplink, t->job, ends[0]);
}

void talker_tell(struct talker *t, const char *text)
{
	size_t len = strlen(text);

	ck_assert_int_eq(send(t->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

void talker_tell_if_open(struct talker *t, const char *text)
{
	(void)!send(t->fd, text, strlen(text), MSG_NOSIGNAL);
}

bool talker_hear(struct talker *t, const char *text)
{
	int64_t end = clock_mono_ms() + TALKER_WAIT_MS;

	for (;;) {
		const char *at = memmem(t->said, t->said_len, text, strlen(text));
		struct pollfd poll_fd = {t->fd, POLLIN, 0};
		ssize_t n;

		if (at != NULL) {
			size_t used = (size_t)(at - t->said) + strlen(text);

			memmove(t->said, t->said + used, t->said_len - used);
			t->said_len -= used;
			return true;
		}
		ck_assert_int_gt(poll(&poll_fd, 1, (int)(end - clock_mono_ms())), 0);
		n = recv(t->fd, t->said + t->said_len, sizeof(t->said) - t->said_len, 0);
		if (n <= 0)
			return false;
		t->said_len += (size_t)n;
	}
}

void talker_to_data(struct talker *t, const char *const *addresses)
{
	char line[400];

	ck_assert(talker_hear(t, "250 PIPELINING\r\n"));
	talker_tell(t, "EHLO x\r\nMAIL FROM:<>\r\n");
	ck_assert(talker_hear(t, "250 "));
	for (size_t i = 0; addresses[i] != NULL; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", addresses[i]);
		talker_tell(t, line);
	}
	talker_tell(t, "DATA\r\n");
	ck_assert(talker_hear(t, "354 "));
}

void talker_to_mail(struct talker *t)
{
	ck_assert(talker_hear(t, "250 PIPELINING\r\n"));
	talker_tell(t, "MAIL FROM:<>\r\n");
	ck_assert(talker_hear(t, "250 "));
}

void talker_to_end(struct talker *t, const char *const *addresses, const char *body)
{
	talker_to_data(t, addresses);
	talker_tell(t, talker_stand_in);
	talker_tell(t, body);
	talker_tell(t, ".\r\n");
	bell_await(&t->bell, &t->done);
}

void talker_send_empty(struct talker *t, const char *const *addresses)
{
	talker_assign(t, addresses, "a: b\r\n\r\n", 0);
	talker_to_end(t, addresses, "");
}
