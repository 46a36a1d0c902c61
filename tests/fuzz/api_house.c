/* tests/fuzz/api_house.c - the API over a real store, asked by hand */
#include <config.h>

#include "tests/fuzz/api_house.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/feed.h"
#include "admin/routes.h"
#include "base/clock.h"
#include "base/log.h"
#include "queue/message.h"
#include "queue/webhook.h"
#include "tests/fuzz/fuzz.h"

static const size_t waiters[FEED_KINDS] = {[FEED_STREAM] = 2, [FEED_POLL] = 2};

static void on_whitelist(void *ctx, const struct whitelist_change *changes, size_t count,
			 int64_t revision)
{
	whitelist_publish(((struct house *)ctx)->api.env.whitelist, changes, count, revision);
}

static void on_rules(void *ctx, const struct rule *rows, size_t count)
{
	rules_publish(((struct house *)ctx)->api.env.rules, PUBLISHED_FROM_STORE, rows, count);
}

static void on_faults(void *ctx, const struct fault *rows, size_t count)
{
	faults_publish(((struct house *)ctx)->api.env.faults, PUBLISHED_FROM_STORE, rows, count);
}

static size_t one_route(void *ctx, struct admin_route_status *routes_out, size_t max)
{
	(void)ctx;
	if (max > 0)
		routes_out[0] =
			(struct admin_route_status){.name = "default", .last_error = "refused"};
	return 1;
}

static void a_setting(void *ctx, struct buf *out)
{
	(void)ctx;
	(void)buf_append_text(out, "hostname: relay.test\n");
}

static const struct admin_ops ops = {.routes = one_route, .settings = a_setting};

static void tell(const struct ulid *id, enum webhook_event event, const struct news *news,
		 struct buf *body_out)
{
	(void)id;
	(void)news;
	(void)buf_printf(body_out, "{\"type\":\"%s\",\"note\":\"</script>\"}",
			 webhook_event_name(event));
}

/* What waits for a webhook that there is no more is a dead letter. */
static void make_dead_letters(struct house *house)
{
	struct webhook_set none = {.targets = {.write = tell}};
	struct err why;

	assert(store_wait(house->api.env.store, queue_webhook_set, &none.job, &why) == ERR_OK);
}

/* --- what is in it ------------------------------------------------------------------------- */

static const char letter[] =
	"Subject: =?utf-8?q?caf=C3=A9?= <b>\r\nMIME-Version: 1.0\r\n"
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
	"Content-Type: text/html\r\n\r\n<p>html</p><script>1</script>\r\n--b\r\n"
	"Content-Type: image/png; name=\"a<b.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	"iVBORw0KGgo=\r\n--b--\r\n";

static struct new_recipient recipient(const char *address, enum state state)
{
	bool drop = state == STATE_DROPPED;

	return (struct new_recipient){
		.address = address,
		.state = state,
		.ruling = {.verdict = drop ? "drop" : "deliver",
			   .reason = drop ? "no entry allows it" : "allowed"}};
}

static void add_message(struct house *house, const char *id, const char *scope, const char *text)
{
	struct new_recipient recipients[] = {recipient("a@example.com", STATE_DROPPED),
					     recipient("b@example.com", STATE_QUEUED),
					     recipient("c@elsewhere.test", STATE_HELD)};
	struct new_message message = {.received_at = clock_wall_ms(),
				      .sender = "shop@example.com",
				      .size = (int64_t)strlen(letter),
				      .header_size = 70,
				      .header_parsed = true,
				      .listener = "127.0.0.1:2525",
				      .scope = scope,
				      .client_address = "127.0.0.1",
				      .client_port = 40000,
				      .helo = text,
				      .protocol = "ESMTP",
				      .subject = text,
				      .message_id = "<1@client.test>",
				      .received_field = "Received: by relay.test\r\n",
				      .recipients = recipients,
				      .recipient_count = 3};
	struct accept accept = {.message = &message};
	struct err why;

	assert(ulid_parse(span_of(id), &message.id) == ERR_OK);
	accept.body = body_new(house->api.env.store, NULL, NULL);
	body_append(accept.body, span_of(letter));
	assert(store_wait(house->api.env.store, queue_accept, &accept.job, &why) == ERR_OK);
}

/* As the admin; the answer's JSON, the caller's. */
static json_t *make(struct house *house, const char *text)
{
	struct http_request request;
	json_t *answer;

	fake_init(&request, &routes_http_ops, &house->api);
	house_enter(house, &request, WHO_SOCKET);
	fake_header(&request, span_of("Content-Type"), span_of("application/json"));
	fake_read(&request, span_of(text));
	fake_ask(&request, house_wake);
	assert(request.status == 200 || request.status == 201);
	answer = json_loadb(request.reply.data, request.reply.len, 0, NULL);
	assert(answer != NULL);
	fake_release(&request);
	return answer;
}

static void add_token(struct house *house, enum house_who who, const char *body)
{
	char text[300];
	json_t *made;

	(void)snprintf(text, sizeof(text), "POST /api/v1/tokens\n\n%s", body);
	made = make(house, text);
	(void)snprintf(house->tokens[who], AUTH_SECRET_SIZE, "%s",
		       json_string_value(json_object_get(made, "secret")));
	json_decref(made);
}

static void furnish(struct house *house)
{
	static const char *const things[] = {
		"POST /api/v1/whitelist\n\n{\"pattern\": \"b@example.com\"}",
		"POST /api/v1/whitelist\n\n{\"pattern\": \"*@.example.org\", \"action\": \"deny\","
		" \"note\": \"<script>\"}",
		"POST /api/v1/whitelist\n\n{\"pattern\": \"" HOUSE_MARK ".test\","
		" \"scope\": \"other\", \"note\": \"" HOUSE_MARK "\"}",
		"POST /api/v1/rules\n\n{\"name\": \"r\", \"action\": \"hold\","
		" \"sender\": \"x@example.com\"}",
		"POST /api/v1/faults\n\n{\"name\": \"f\", \"action\": \"reject\","
		" \"recipient\": \"x@example.com\"}"};
	unsigned char digest[SECRET_SHA256_BYTES];

	for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++)
		json_decref(make(house, things[i]));
	add_token(house, WHO_ADMIN, "{\"name\": \"all\", \"role\": \"admin\"}");
	add_token(house, WHO_READER, "{\"name\": \"some\", \"role\": \"reader\"}");
	add_token(house, WHO_SCOPED,
		  "{\"name\": \"shop\", \"role\": \"admin\", \"scope\": \"shop\"}");
	secret_sha256(span_of(house->tokens[WHO_ADMIN]), digest);
	sessions_open(house->api.sessions, digest, clock_steady_wall_ms(), house->session);
	session_csrf(span_of(house->session), house->csrf);
	add_message(house, HOUSE_MESSAGE, "", "hello");
	add_message(house, HOUSE_FOREIGN, "other", HOUSE_MARK);
	make_dead_letters(house);
}

/* --- open and close -------------------------------------------------------------------------- */

static void open_store(struct house *house)
{
	static const struct webhook_target target = {.name = "gone",
						     .events = 1U << WEBHOOK_WHITELIST,
						     .max_waiting = 10,
						     .max_dead = 10};
	struct webhook_targets webhooks = {.targets = &target, .count = 1, .write = tell};
	struct store_options options = {.data_dir = house->dir,
					.on_whitelist = on_whitelist,
					.on_faults = on_faults,
					.on_rules = on_rules,
					.webhooks = &webhooks,
					.ctx = house};
	struct err why = {""};
	size_t bad;

	house->api.env.whitelist = whitelist_new();
	house->api.env.faults = faults_new();
	house->api.env.rules = rules_new();
	whitelist_load_begin(house->api.env.whitelist);
	whitelist_load_end(house->api.env.whitelist, 0, &bad);
	assert(store_open(&options, &house->api.env.store, &why) == ERR_OK);
}

void house_open(struct house *house)
{
	/* Nothing here is to last: a folder in memory where there is one. */
	const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	struct session_limits limits = {.idle_ms = 3600000, .total_ms = 7200000};
	struct err why;

	memset(house, 0, sizeof(*house));
	log_configure(&(struct log_options){LOG_TEXT, LOG_ERROR});
	(void)snprintf(house->dir, sizeof(house->dir), "%s/fuzz_api.XXXXXX", root);
	assert(mkdtemp(house->dir) != NULL);
	open_store(house);
	house->api.env.data_dir = house->dir;
	house->api.env.hostname = "relay.test";
	house->api.env.version = "0";
	house->api.env.started_at = clock_wall_ms();
	house->api.env.ops = &ops;
	house->api.env.ctx = house;
	house->api.env.handin = &house_handin;
	house->api.traffic = &house->traffic;
	house->api.handin_room = &house->handin_room;
	house->api.stream_comment_ms = 15000;
	assert(readers_open(house->api.env.store, HTTP_THREADS + 1, &house->api.readers, &why) ==
	       ERR_OK);
	house->api.failures = auth_failures_new();
	house->api.uses = token_uses_new(house->api.env.store);
	house->api.sessions = sessions_new(&limits);
	assert(crew_new("labour", 1, &house->api.crew, &why) == ERR_OK);
	assert(feed_start(house->api.env.store, waiters, &house->api.feed, &why) == ERR_OK);
	furnish(house);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void house_close(struct house *house)
{
	feed_close(house->api.feed);
	feed_free(&house->api.feed);
	crew_free(&house->api.crew);
	readers_close(&house->api.readers);
	store_close(&house->api.env.store);
	auth_failures_free(&house->api.failures);
	token_uses_free(&house->api.uses);
	sessions_free(&house->api.sessions);
	whitelist_free(&house->api.env.whitelist);
	faults_free(&house->api.env.faults);
	rules_free(&house->api.env.rules);
	(void)nftw(house->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- a request ----------------------------------------------------------------------------------
 */

void house_enter(struct house *house, struct http_request *request, enum house_who who)
{
	char value[AUTH_SECRET_SIZE + SESSION_SECRET_SIZE + 32];

	request->peer = (struct http_peer){.address = "127.0.0.1"};
	if (who == WHO_SOCKET) {
		request->peer = (struct http_peer){
			.local = true, .uid_known = true, .uid = geteuid(), .address = "unix"};
	} else if (who == WHO_SESSION) {
		(void)snprintf(value, sizeof(value), SESSION_COOKIE "=%s", house->session);
		fake_header(request, span_of("Cookie"), span_of(value));
		fake_header(request, span_of("X-CSRF-Token"), span_of(house->csrf));
		fake_header(request, span_of("Sec-Fetch-Site"), span_of("same-origin"));
	} else if (who != WHO_NOBODY) {
		(void)snprintf(value, sizeof(value), "Bearer %s", house->tokens[who]);
		fake_header(request, span_of("Authorization"), span_of(value));
	}
}

void house_wake(void *ctx)
{
	feed_close(((struct api *)ctx)->feed);
}

void house_settle(struct house *house)
{
	struct err why;

	if (!feed_is_closed(house->api.feed))
		return;
	feed_free(&house->api.feed);
	assert(feed_start(house->api.env.store, waiters, &house->api.feed, &why) == ERR_OK);
}
