/* tests/unit/deliver/rig.c - a store, a list, loops and delivery, around a scripted next hop */
#include <config.h> /* mkdtemp */

#include "tests/unit/deliver/rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "queue/delivery.h"
#include "queue/message.h"
#include "relay/filter/policy.h"
#include "relay/mail/header.h"

static void on_due(void *ctx)
{
	struct rig *r = ctx;

	pthread_mutex_lock(&r->gate);
	if (r->deliver != NULL)
		deliver_wake(r->deliver);
	pthread_mutex_unlock(&r->gate);
}

static bool is_own(void *ctx, const char *address)
{
	const struct rig *r = ctx;

	return r->own && strcmp(address, r->host) == 0;
}

void rig_list(struct rig *r, const char *const *domains)
{
	size_t bad;
	int64_t id = 1;

	whitelist_load_begin(r->list);
	for (; domains != NULL && *domains != NULL; domains++) {
		struct entry entry = {.id = id++,
				      .pattern = *domains,
				      .kind = strchr(*domains, '@') != NULL ? ENTRY_EXACT
									    : ENTRY_DOMAIN,
				      .action = ENTRY_ALLOW,
				      .scope = ""};

		whitelist_load_add(r->list, &entry);
	}
	whitelist_load_end(r->list, id, &bad);
	ck_assert_uint_eq(bad, 0);
}

static void set_options(struct rig *r)
{
	r->schedule[0] = 60000;
	r->route = (struct route_options){.name = "default",
					  .hosts = &r->host,
					  .host_count = 1,
					  .max_connections = 4,
					  .connect_timeout_ms = 2000,
					  .command_timeout_ms = 2000,
					  .data_min_rate = 512,
					  .final_reply_timeout_ms = 2000};
	static const char *const all[] = {"*"};
	r->route.domains = all;
	r->route.domain_count = 1;
	r->policy.bounce_to = "";
	r->policy.control_headers = policy_control_headers;
	while (policy_control_headers[r->policy.control_header_count] != NULL)
		r->policy.control_header_count++;
	r->options = (struct delivery_options){.schedule_ms = r->schedule,
					       .schedule_count = 1,
					       .expire_after_ms = 86400000,
					       .workers = 4,
					       .hostname = "relay.test",
					       .routes = &r->route,
					       .route_count = 1,
					       .policy = &r->policy};
}

void rig_open(struct rig *r, const struct nexthop_step *steps, size_t count, const char *ehlo)
{
	static const char *const domains[] = {"ok.test", NULL};
	const struct log_options quiet = {LOG_TEXT,
					  getenv("RIG_LOG") != NULL ? LOG_DEBUG : LOG_ERROR};
	struct store_options options = {.on_due = on_due, .ctx = r};
	struct err why;

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->gate, NULL);
	log_configure(&quiet);
	snprintf(r->folder, sizeof(r->folder), "/tmp/stagepost-deliver-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r->folder));
	options.data_dir = r->folder;
	ck_assert_msg(store_open(&options, &r->store, &why) == ERR_OK, "%s", why.text);
	ck_assert_msg(store_reader_open(r->store, &r->reader, &why) == ERR_OK, "%s", why.text);
	r->list = whitelist_new();
	rig_list(r, domains);
	for (size_t i = 0; i < 2; i++) {
		r->loops[i] = loop_new("test");
		ck_assert_int_eq(loop_start(r->loops[i], &why), ERR_OK);
	}
	r->hop = nexthop_start(steps, count, ehlo);
	r->host = nexthop_address(r->hop);
	set_options(r);
}

void rig_deliver(struct rig *r)
{
	struct deliver_env env = {.store = r->store,
				  .whitelist = r->list,
				  .loops = r->loops,
				  .loop_count = 2,
				  .lease_ms = r->lease_ms,
				  .is_own_listener = is_own,
				  .ctx = r};
	struct deliver *deliver;
	struct err why;

	ck_assert_msg(deliver_start(&env, &r->options, &deliver, &why) == ERR_OK, "%s", why.text);
	pthread_mutex_lock(&r->gate);
	r->deliver = deliver;
	pthread_mutex_unlock(&r->gate);
}

void rig_start(struct rig *r, const struct nexthop_step *steps, size_t count, const char *ehlo)
{
	rig_open(r, steps, count, ehlo);
	rig_deliver(r);
}

void rig_stop_delivery(struct rig *r, int64_t grace_ms)
{
	struct deliver *deliver;

	pthread_mutex_lock(&r->gate);
	deliver = r->deliver;
	r->deliver = NULL;
	pthread_mutex_unlock(&r->gate);
	deliver_stop(&deliver, grace_ms);
}

void rig_stop(struct rig *r)
{
	char command[128];

	if (r->deliver != NULL)
		rig_stop_delivery(r, 5000);
	nexthop_stop(&r->hop);
	for (size_t i = 0; i < 2; i++) {
		loop_stop(r->loops[i]);
		loop_free(&r->loops[i]);
	}
	whitelist_free(&r->list);
	arena_free(&r->arena);
	store_reader_close(&r->reader);
	store_close(&r->store);
	snprintf(command, sizeof(command), "rm -rf %s", r->folder);
	ck_assert_int_eq(system(command), 0);
}

struct ulid rig_accept(struct rig *r, const char *sender, const char *const *recipients,
		       const char *bytes, size_t len)
{
	static struct new_recipient rows[RIG_RECIPIENTS_MAX];
	struct new_message m = {
		.sender = sender, .scope = "", .received_field = "Received: here\r\n"};
	struct accept accept = {.message = &m};
	struct body *body = body_new(r->store, NULL, NULL);
	struct err why;

	m.received_at = clock_wall_ms() - r->age_ms;
	m.id = ulid_new(m.received_at);
	m.size = (int64_t)len;
	m.header_size = (int64_t)header_section_length(span_make(bytes, len));
	m.header_parsed = true;
	m.body_8bit = r->body_8bit;
	m.smtputf8 = r->smtputf8;
	m.listener = "test";
	m.client_address = r->client != NULL ? r->client : "127.0.0.1";
	m.protocol = "ESMTP";
	m.recipients = rows;
	for (; recipients[m.recipient_count] != NULL; m.recipient_count++) {
		ck_assert_uint_lt(m.recipient_count, RIG_RECIPIENTS_MAX);
		rows[m.recipient_count] = (struct new_recipient){
			.address = recipients[m.recipient_count],
			.state = STATE_QUEUED,
			.ruling = {"deliver", "allowed by ok.test", 1, 1, NULL},
			.notify = r->notify,
			.fault = r->fault_for == NULL || strcmp(r->fault_for,
								recipients[m.recipient_count]) == 0
					 ? r->fault
					 : NULL};
	}
	for (size_t at = 0; at < len; at += 65536) {
		while (body_is_backed_up(body))
			usleep(1000);
		body_append(body, span_make(bytes + at, len - at < 65536 ? len - at : 65536));
	}
	accept.body = body;
	ck_assert_msg(store_wait(r->store, queue_accept, &accept.job, &why) == ERR_OK, "%s",
		      why.text);
	return m.id;
}

struct ulid rig_accept_plain(struct rig *r, const char *recipient)
{
	static const char bytes[] = "Subject: test\r\n\r\nhello\r\n";
	const char *const recipients[] = {recipient, NULL};

	return rig_accept(r, "", recipients, bytes, sizeof(bytes) - 1);
}

struct ulid rig_accept_bytes(struct rig *r, const char *bytes, size_t len)
{
	static const char *const ann[] = {"ann@ok.test", NULL};

	return rig_accept(r, "", ann, bytes, len);
}

struct ulid rig_start_in_body(struct rig *r, const struct nexthop_step *step, const char *bytes,
			      size_t len)
{
	struct ulid id;

	rig_start(r, step, 1, NULL);
	id = rig_accept_bytes(r, bytes, len);
	ck_assert(nexthop_wait_stage(r->hop, AT_BODY, 1, RIG_WAIT_MS));
	return id;
}

void rig_fill_lines(char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + i / 64 % 26);
	memcpy(bytes, "a: b\r\n\r\n", 8);
}

const struct recipient_view *rig_recipient(struct rig *r, const struct ulid *id,
					   const char *address)
{
	struct message_view view;
	struct err why;
	int code;

	arena_free(&r->arena);
	r->arena = arena_new();
	code = queue_message_show(r->reader, id, r->arena, &view, &why);
	if (code == ERR_NOT_FOUND)
		return NULL;
	ck_assert_msg(code == ERR_OK, "%s", why.text);
	for (size_t i = 0; i < view.recipient_count; i++)
		if (strcmp(view.recipients[i].address, address) == 0)
			return &view.recipients[i];
	return NULL;
}

const struct recipient_view *rig_await(struct rig *r, const struct ulid *id, const char *address,
				       enum state state)
{
	int64_t end = clock_mono_ms() + RIG_WAIT_MS;

	for (;;) {
		const struct recipient_view *view = rig_recipient(r, id, address);

		ck_assert_msg(view != NULL, "no recipient %s", address);
		if (view->state == state)
			return view;
		ck_assert_msg(clock_mono_ms() < end, "%s stays %s, not %s: %s", address,
			      state_name(view->state), state_name(state),
			      view->reason != NULL ? view->reason : "");
		usleep(5000);
	}
}

const struct recipient_view *rig_send(struct rig *r, const char *recipient, enum state state)
{
	struct ulid id = rig_accept_plain(r, recipient);

	return rig_await(r, &id, recipient, state);
}

size_t rig_messages(struct rig *r, struct message_view **views_out)
{
	struct message_query query = {.limit = 100, .with_recipients = true};
	struct message_page page;

	arena_free(&r->arena);
	r->arena = arena_new();
	ck_assert_int_eq(queue_message_list(r->reader, &query, r->arena, &page, NULL), ERR_OK);
	*views_out = page.views;
	return page.count;
}

int rig_in_doubt(struct rig *r)
{
	/* Claimed again far in the future, a recipient tells how often it was in doubt. */
	struct claim claim = {
		.now = clock_wall_ms() + 864000000, .max_recipients = 10, .lease_ms = 1000};
	struct err why;
	int in_doubt = -1;

	ck_assert_int_eq(store_wait(r->store, queue_claim, &claim.job, &why), ERR_OK);
	if (claim.message_count > 0)
		in_doubt = claim.messages[0].recipients[0].in_doubt;
	arena_free(&claim.arena);
	return in_doubt;
}

void rig_expect(struct rig *r, const char *recipient, enum state state, const char *words)
{
	const struct recipient_view *view = rig_send(r, recipient, state);

	ck_assert_msg(strstr(view->reason, words) != NULL, "%s", view->reason);
}

void rig_expect_quick(struct rig *r, const char *recipient, int64_t limit_ms)
{
	int64_t began = clock_mono_ms();

	rig_send(r, recipient, STATE_DELIVERED);
	printf("# left after %lld ms\n", (long long)(clock_mono_ms() - began));
	ck_assert_int_lt(clock_mono_ms() - began, limit_ms);
}

/* --- an address that never answers --------------------------------------------------------- */

void black_hole_open(struct black_hole *hole, const char *address, int port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof(in);

	ck_assert_int_eq(inet_pton(AF_INET, address, &in.sin_addr), 1);
	hole->fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(hole->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(hole->fd, 0), 0);
	ck_assert_int_eq(getsockname(hole->fd, (struct sockaddr *)&in, &len), 0);
	hole->port = ntohs(in.sin_port);
	for (size_t i = 0; i < sizeof(hole->fillers) / sizeof(hole->fillers[0]); i++) {
		hole->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(hole->fillers[i], (struct sockaddr *)&in, sizeof(in));
	}
}

void black_hole_close(struct black_hole *hole)
{
	close(hole->fd);
	for (size_t i = 0; i < sizeof(hole->fillers) / sizeof(hole->fillers[0]); i++)
		close(hole->fillers[i]);
}
