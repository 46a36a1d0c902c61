/* tests/unit/admin/fixture.c - a running API over a real store in a temporary folder */
#include <config.h>

#include "tests/unit/admin/fixture.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "queue/message.h"

static void on_whitelist(void *ctx, const struct whitelist_change *changes, size_t count,
			 int64_t revision)
{
	struct fixture *fixture = ctx;

	whitelist_publish(fixture->whitelist, changes, count, revision);
}

static void on_rules(void *ctx, const struct rule *rows, size_t count)
{
	struct fixture *fixture = ctx;

	rules_publish(fixture->rules, PUBLISHED_FROM_STORE, rows, count);
}

static void on_faults(void *ctx, const struct fault *rows, size_t count)
{
	struct fixture *fixture = ctx;

	faults_publish(fixture->faults, PUBLISHED_FROM_STORE, rows, count);
}

static size_t two_hosts(void *ctx, const char *route, struct admin_host_status *hosts_out,
			size_t max)
{
	(void)max;
	if (strcmp(route, "other") != 0)
		return 0;
	memset(hosts_out, 0, 2 * sizeof(*hosts_out));
	strcpy(hosts_out[0].host, "a.example:25");
	strcpy(hosts_out[0].last_error, "connection refused");
	hosts_out[0].last_error_at = 1000;
	hosts_out[0].resting_until = 2000;
	strcpy(hosts_out[1].host, "b.example:25");
	hosts_out[1].well = true;
	hosts_out[1].connections = 3;
	return 2;
}

static size_t two_routes(void *ctx, struct admin_route_status *routes_out, size_t max)
{
	if (max == 0)
		return 2;
	ck_assert_uint_ge(max, 2);
	memset(routes_out, 0, 2 * sizeof(*routes_out));
	strcpy(routes_out[0].name, "default");
	strcpy(routes_out[1].name, "other");
	strcpy(routes_out[1].last_error, "connection refused");
	routes_out[1].last_error_at = 1000;
	routes_out[1].troubles[0] = (struct admin_trouble){"network", 3};
	routes_out[1].trouble_count = 1;
	return 2;
}

static void some_numbers(void *ctx, struct admin_numbers *numbers_out)
{
	*numbers_out = (struct admin_numbers){3, 42, true};
}

static void one_warning(void *ctx, void (*row)(void *row_ctx, const char *sentence), void *row_ctx)
{
	row(row_ctx, "bounce_to is empty");
}

static void a_breaker(void *ctx, struct admin_breaker *breaker_out)
{
	*breaker_out = (struct admin_breaker){10, 200, 3, 44, false, 2};
}

static void a_setting(void *ctx, struct buf *out)
{
	ck_assert_int_eq(buf_append_text(out, "hostname: relay.test\n"), ERR_OK);
}

static const struct admin_ops ops = {.numbers = some_numbers,
				     .routes = two_routes,
				     .hosts = two_hosts,
				     .breaker = a_breaker,
				     .settings = a_setting,
				     .warnings = one_warning};

static void small_limits(void *ctx, int64_t *bytes_out, size_t *recipients_out)
{
	*bytes_out = 1 << 20;
	*recipients_out = 100;
}

/* There is no front door here: tests/flow/test_handin.py has one. */
static void *refuse_all(void *ctx, const struct handin_from *from, const struct address *sender,
			struct handin_answer *answer_out)
{
	*answer_out = (struct handin_answer){451, "4.3.0 not here"};
	return NULL;
}

static const struct handin_ops handin = {.limits = small_limits, .begin = refuse_all};

static void start_admin(struct fixture *fixture)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1"};
	struct admin_options options = {
		.listen = "127.0.0.1:0",
		.hosts = hosts,
		.host_count = 2,
		.max_streams = FIXTURE_STREAMS,
		.max_waits = FIXTURE_WAITS,
		.session = {.idle_ms = 3600000, .total_ms = 7200000},
	};
	struct admin_env env = {
		.store = fixture->store,
		.whitelist = fixture->whitelist,
		.faults = fixture->faults,
		.rules = fixture->rules,
		.data_dir = fixture->dir,
		.hostname = "relay.test",
		.version = "0.1.0",
		.started_at = clock_wall_ms(),
		.ops = &ops,
		.handin = &handin,
		.ctx = fixture,
	};
	struct err why = {""};

	ck_assert_msg(admin_start(&env, &options, &fixture->admin, &why) == ERR_OK, "%s", why.text);
}

static void read_token(struct fixture *fixture)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/admin.token", fixture->dir);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%63s", fixture->token), 1);
	fclose(file);
}

void fixture_start(struct fixture *fixture)
{
	struct store_options options = {.data_dir = fixture->dir,
					.on_whitelist = on_whitelist,
					.on_faults = on_faults,
					.on_rules = on_rules,
					.ctx = fixture};
	struct err why = {""};
	size_t bad;

	memset(fixture, 0, sizeof(*fixture));
	log_configure(&(struct log_options){LOG_TEXT, LOG_WARNING});
	snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/test_admin.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->dir));
	snprintf(fixture->socket, sizeof(fixture->socket), "%s/admin.sock", fixture->dir);
	fixture->whitelist = whitelist_new();
	fixture->faults = faults_new();
	fixture->rules = rules_new();
	whitelist_load_begin(fixture->whitelist);
	whitelist_load_end(fixture->whitelist, 0, &bad);
	ck_assert_msg(store_open(&options, &fixture->store, &why) == ERR_OK, "%s", why.text);
	start_admin(fixture);
	read_token(fixture);
}

void fixture_restart_admin(struct fixture *fixture)
{
	admin_stop(&fixture->admin, 2000);
	start_admin(fixture);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	return remove(path);
}

void fixture_stop(struct fixture *fixture)
{
	admin_stop(&fixture->admin, 2000);
	store_close(&fixture->store);
	whitelist_free(&fixture->whitelist);
	faults_free(&fixture->faults);
	rules_free(&fixture->rules);
	nftw(fixture->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct ulid fixture_message(struct fixture *fixture, const char *sender, const char *scope,
			    const char *bytes, size_t len, const char *const *addresses)
{
	struct new_recipient recipients[16];
	struct new_message message = {
		.id = ulid_new(clock_wall_ms()),
		.received_at = clock_wall_ms(),
		.sender = sender,
		.size = (int64_t)len,
		.header_size = (int64_t)len,
		.header_parsed = true,
		.listener = "127.0.0.1:2525",
		.scope = scope,
		.client_address = "127.0.0.1",
		.client_port = 40000,
		.helo = "client.test",
		.protocol = "ESMTP",
		.subject = "a subject",
		.message_id = "<1@client.test>",
		.received_field = "Received: by relay.test\r\n",
		.recipients = recipients,
	};
	struct accept accept = {.message = &message};
	struct err why = {""};

	memset(recipients, 0, sizeof(recipients));
	for (; addresses[message.recipient_count] != NULL; message.recipient_count++) {
		struct new_recipient *r = &recipients[message.recipient_count];
		const char *address = addresses[message.recipient_count];
		bool drop = strncmp(address, "drop:", 5) == 0;

		r->address = drop ? address + 5 : address;
		r->state = drop ? STATE_DROPPED : STATE_QUEUED;
		r->ruling = (struct ruling){drop ? "drop" : "deliver",
					    drop ? "no entry allows it" : "allowed",
					    0,
					    0,
					    NULL,
					    NULL};
	}
	accept.body = body_new(fixture->store, NULL, NULL);
	body_append(accept.body, span_make(bytes, len));
	ck_assert_msg(store_wait(fixture->store, queue_accept, &accept.job, &why) == ERR_OK, "%s",
		      why.text);
	return message.id;
}

void ask_with(struct fixture *fixture, const char *token, const char *method, const char *path,
	      const char *body, const char *extra, struct answer *answer_out)
{
	bool local = token != NULL && strcmp(token, "socket") == 0;
	size_t size = strlen(path) + (body != NULL ? strlen(body) : 0) + strlen(extra) + 600;
	char *request = malloc(size);
	struct client_reply reply;
	char length[100] = "";
	const char *value;

	if (body != NULL)
		snprintf(length, sizeof(length),
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	snprintf(request, size, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s%s%s\r\n%s", method,
		 path, token != NULL && !local ? "Authorization: Bearer " : "",
		 token != NULL && !local ? token : "", token != NULL && !local ? "\r\n" : "",
		 length, extra, body != NULL ? body : "");
	client_ask(local ? fixture->socket : admin_address(fixture->admin), request, &reply);
	free(request);
	memset(answer_out, 0, sizeof(*answer_out));
	answer_out->status = reply.status;
	answer_out->json = reply.body_len > 0
				   ? json_loadb(reply.body, reply.body_len, JSON_DECODE_ANY, NULL)
				   : NULL;
	value = client_header(&reply, "ETag");
	snprintf(answer_out->etag, sizeof(answer_out->etag), "%s", value != NULL ? value : "");
	value = client_header(&reply, "Location");
	snprintf(answer_out->location, sizeof(answer_out->location), "%s",
		 value != NULL ? value : "");
	client_reply_free(&reply);
}

json_t *ask(struct fixture *fixture, int status, const char *method, const char *path,
	    const char *body)
{
	struct answer answer;

	ask_with(fixture, fixture->token, method, path, body, "", &answer);
	ck_assert_msg(answer.status == status, "%s %s: %d instead of %d: %s", method, path,
		      answer.status, status, answer.json != NULL ? json_dumps(answer.json, 0) : "");
	return answer.json;
}

void answer_free(struct answer *answer)
{
	json_decref(answer->json);
	answer->json = NULL;
}

const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "(none)";
}

json_int_t number_of(const json_t *object, const char *key)
{
	ck_assert_msg(json_is_integer(json_object_get(object, key)), "%s is no number", key);
	return json_integer_value(json_object_get(object, key));
}
