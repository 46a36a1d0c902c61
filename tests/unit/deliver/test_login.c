/* tests relay/deliver/login.c: AUTH towards a next hop that has its own mind (S239) */
#include <config.h> /* usleep */

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relay/wire/base64.h"
#include "relay/wire/sasl.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define EHLO_AUTH   "PIPELINING\nAUTH "

/* "\0user\0secret", "user", "secret" */
#define PLAIN_CODED  "AHVzZXIAc2VjcmV0"
#define NAME_CODED   "dXNlcg=="
#define SECRET_CODED "c2VjcmV0"

static void use_login(struct rig *r, enum route_auth auth)
{
	r->route.username = "user";
	r->route.secret = "secret";
	r->route.auth = auth;
	r->route.auth_without_tls = true;
}

/* Delivers one message, or does not; returns its recipient. */
static const struct recipient_view *try_one(struct rig *r, struct ulid *id, enum state state)
{
	*id = rig_accept_plain(r, "ann@ok.test");
	return rig_await(r, id, "ann@ok.test", state);
}

/* --- mechanisms ---------------------------------------------------------------------- */

START_TEST(plain_with_an_initial_response)
{
	struct ulid id;
	struct rig r;

	rig_open(&r, NULL, 0, EHLO_AUTH "LOGIN PLAIN CRAM-MD5");
	use_login(&r, ROUTE_AUTH_PLAIN);
	rig_deliver(&r);
	try_one(&r, &id, STATE_DELIVERED);
	ck_assert(nexthop_saw(r.hop, "AUTH PLAIN " PLAIN_CODED "\r\nMAIL FROM:"));
	/* The connection is logged in: the next message needs no other login. */
	try_one(&r, &id, STATE_DELIVERED);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 1);
	rig_stop(&r);
}
END_TEST

/* RFC 4954 4: what makes the command longer than 512 octets waits for a 334. */
START_TEST(plain_that_is_too_long_for_the_command)
{
	static const struct nexthop_step step = {AT_AUTH, DO_REPLY, "334 \r\n"};
	char secret[600];
	struct ulid id;
	struct rig r;

	memset(secret, 's', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	rig_open(&r, &step, 1, EHLO_AUTH "PLAIN");
	use_login(&r, ROUTE_AUTH_AUTO);
	r.route.secret = secret;
	rig_deliver(&r);
	try_one(&r, &id, STATE_DELIVERED);
	ck_assert(nexthop_saw(r.hop, "\r\nAUTH PLAIN\r\nAHVzZXIAc3Nzc3Nz"));
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH_LINE), 1);
	rig_stop(&r);
}
END_TEST

START_TEST(login)
{
	static const struct nexthop_step steps[] = {
		{AT_AUTH, DO_REPLY, "334 VXNlcm5hbWU6\r\n"},
		{AT_AUTH_LINE, DO_REPLY, "334 UGFzc3dvcmQ6\r\n", 0, NAME_CODED},
	};
	struct ulid id;
	struct rig r;

	rig_open(&r, steps, COUNT(steps), "AUTH=LOGIN\nPIPELINING");
	use_login(&r, ROUTE_AUTH_AUTO);
	rig_deliver(&r);
	try_one(&r, &id, STATE_DELIVERED);
	ck_assert(nexthop_saw(r.hop,
			      "AUTH LOGIN\r\n" NAME_CODED "\r\n" SECRET_CODED "\r\nMAIL FROM:"));
	rig_stop(&r);
}
END_TEST

/* A server of ours behind the script. */
struct back {
	struct sasl_library *library;
	struct sasl *sasl;
	bool forge; /* another signature than the right one */
	int lines;
};

static void scram_salt(void *ctx, struct span name, struct sasl_scram *scram_out)
{
	scram_out->iterations = 4096;
	scram_out->salt_len = 4;
	memcpy(scram_out->salt, "salt", 4);
}

static void scram_keys(void *ctx, struct span name, struct sasl_scram *scram)
{
	sasl_scram_derive(scram, span_of("secret"));
}

static bool clear_password(void *ctx, struct span name, struct buf *password_out)
{
	return span_is(name, "user") && buf_append_text(password_out, "secret") == ERR_OK;
}

static void answer(void *ctx, const char *line, bool first, char *reply_out)
{
	static const struct sasl_server_ops ops = {
		.scram_salt = scram_salt, .scram_keys = scram_keys, .password = clear_password};
	struct back *back = ctx;
	struct span rest = span_of(line);
	enum sasl_mechanism mechanism = SASL_CRAM_MD5;
	enum sasl_result result;
	struct buf input, output, coded;

	if (strcmp(line, "*") == 0)
		return; /* the script's */
	back->lines++;
	buf_init(&input, 4096);
	buf_init(&output, 4096);
	buf_init(&coded, 4096);
	if (first) {
		span_cut(&rest, ' ');
		ck_assert(sasl_mechanism_find(span_cut(&rest, ' '), &mechanism));
		sasl_free(&back->sasl);
		back->sasl = sasl_server_new(back->library, mechanism, &ops, NULL);
		back->lines = 1;
	}
	ck_assert_int_eq(base64_decode(rest, &input), ERR_OK);
	if (back->lines == 3) {
		result = SASL_DONE; /* the empty line behind the signature */
		ck_assert_uint_eq(rest.len, 0);
		buf_clear(&output);
	} else {
		result = sasl_step(back->sasl, buf_span(&input), &output);
	}
	if (back->forge && back->lines == 2)
		output.data[2] = output.data[2] == 'A' ? 'B' : 'A';
	base64_encode(buf_span(&output), &coded);
	if (result == SASL_MORE || (result == SASL_DONE && output.len > 0))
		snprintf(reply_out, NEXTHOP_REPLY_SIZE, "334 %.*s\r\n", SPAN_ARG(buf_span(&coded)));
	else
		snprintf(reply_out, NEXTHOP_REPLY_SIZE, "%s\r\n",
			 result == SASL_DONE ? "235 2.7.0 ok" : "535 5.7.8 no");
	buf_release(&input);
	buf_release(&output);
	buf_release(&coded);
}

START_TEST(scram_and_cram)
{
	static const char *const names[] = {"SCRAM-SHA-256", "CRAM-MD5"};

	for (size_t i = 0; i < COUNT(names); i++) {
		struct back back = {.library = sasl_library_new()};
		struct ulid id;
		struct rig r;
		char text[64];

		rig_open(&r, NULL, 0, EHLO_AUTH "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
		nexthop_use_auth(r.hop, answer, &back);
		use_login(&r, i == 0 ? ROUTE_AUTH_AUTO : ROUTE_AUTH_CRAM_MD5);
		rig_deliver(&r);
		try_one(&r, &id, STATE_DELIVERED);
		snprintf(text, sizeof(text), "AUTH %s", names[i]);
		ck_assert(nexthop_saw(r.hop, text));
		ck_assert(!nexthop_saw(r.hop, SECRET_CODED));
		rig_stop(&r);
		sasl_free(&back.sasl);
		sasl_library_free(&back.library);
	}
}
END_TEST

/* Who does not know the password may say 235 as often as he likes. */
START_TEST(a_wrong_server_signature)
{
	static const struct nexthop_step step = {AT_AUTH_LINE, DO_REPLY, "235 2.7.0 welcome\r\n", 0,
						 "*"};
	struct back back = {.library = sasl_library_new(), .forge = true};
	const struct recipient_view *one;
	struct ulid id;
	struct rig r;

	rig_open(&r, &step, 1, EHLO_AUTH "SCRAM-SHA-256");
	nexthop_use_auth(r.hop, answer, &back);
	use_login(&r, ROUTE_AUTH_SCRAM_SHA_256);
	rig_deliver(&r);
	one = try_one(&r, &id, STATE_DEFERRED);
	ck_assert_ptr_nonnull(strstr(one->reason, "does not prove that it knows the password"));
	ck_assert(nexthop_saw(r.hop, "\r\n*\r\n"));
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
	rig_stop(&r);
	sasl_free(&back.sasl);
	sasl_library_free(&back.library);
}
END_TEST

#define XOAUTH2_CODED "dXNlcj11c2VyAWF1dGg9QmVhcmVyIHRva2VuAQE="

START_TEST(xoauth2_and_its_refusal)
{
	/* {"status":"401","schemes":"bearer"} */
	static const struct nexthop_step steps[] = {
		{AT_AUTH, DO_REPLY, "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=\r\n"},
		{AT_AUTH_LINE, DO_REPLY, "535 5.7.8 not accepted\r\n"},
	};
	const struct recipient_view *one;
	struct ulid id;
	struct rig r;

	for (size_t i = 0; i < 2; i++) {
		rig_open(&r, steps, i == 0 ? 0 : COUNT(steps), EHLO_AUTH "PLAIN XOAUTH2");
		use_login(&r, ROUTE_AUTH_AUTO);
		r.route.token = r.route.secret = "token";
		rig_deliver(&r);
		one = try_one(&r, &id, i == 0 ? STATE_DELIVERED : STATE_DEFERRED);
		ck_assert(nexthop_saw(r.hop, "AUTH XOAUTH2 " XOAUTH2_CODED "\r\n"));
		if (i == 1) {
			ck_assert(nexthop_saw(r.hop, XOAUTH2_CODED "\r\n\r\n"));
			ck_assert_ptr_nonnull(strstr(one->reason, "535 5.7.8 not accepted; it told "
								  "{\"status\":\"401\","));
			ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
		}
		rig_stop(&r);
	}
}
END_TEST

/* --- never without a login ------------------------------------------------------------- */

struct bad {
	const char *ehlo;
	struct nexthop_step steps[3];
	enum route_auth auth;
	const char *reason;
	bool quiet;	  /* the secret never leaves */
	const char *kind; /* of trouble; NULL: configuration */
};

static const struct bad bads[] = {
	{"PIPELINING", {{AT_QUIT}}, ROUTE_AUTH_AUTO, "does not offer AUTH", true},
	{EHLO_AUTH "NTLM GSSAPI", {{AT_QUIT}}, ROUTE_AUTH_AUTO, "is offered: NTLM GSSAPI", true},
	{EHLO_AUTH "PLAIN LOGIN",
	 {{AT_QUIT}},
	 ROUTE_AUTH_CRAM_MD5,
	 "is offered: PLAIN LOGIN",
	 true},
	{EHLO_AUTH "XOAUTH2", {{AT_QUIT}}, ROUTE_AUTH_AUTO, "is offered: XOAUTH2", true},
	{EHLO_AUTH "PLAIN",
	 {{AT_EHLO, DO_REPLY, "502 no EHLO\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "does not offer AUTH",
	 true},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "535 5.7.8 wrong password\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "login of \"user\" refused (PLAIN): 535 5.7.8 wrong password"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "454 4.7.0 later\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "login: not now: 454 4.7.0 later",
	 false,
	 "put_off"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "538 5.7.11 encryption needed\r\n"}},
	 ROUTE_AUTH_PLAIN,
	 "refused (PLAIN): 538"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "534 5.7.9 too weak\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "refused (PLAIN): 534"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "530 5.7.0 no\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "refused (PLAIN): 530"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "250 2.0.0 fine\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "answer makes no sense: 250",
	 false,
	 "protocol"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "334 AAAA\r\n"}, {AT_AUTH_LINE, DO_REPLY, "501 5.5.2 ok\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "login: the server asks on and on",
	 false,
	 "protocol"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "garbage\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "",
	 false,
	 "protocol"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_DROP}},
	 ROUTE_AUTH_AUTO,
	 "closed the connection",
	 false,
	 "network"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_STALL}},
	 ROUTE_AUTH_AUTO,
	 "did not answer in time",
	 false,
	 "timeout"},
	{EHLO_AUTH "LOGIN",
	 {{AT_AUTH, DO_REPLY, "235 2.7.0 welcome\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "says yes before it can know: 235",
	 true,
	 "protocol"},
	{EHLO_AUTH "LOGIN",
	 {{AT_AUTH, DO_REPLY, "334 %%%\r\n"}, {AT_AUTH_LINE, DO_REPLY, "501 no\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "is not in base64",
	 true,
	 "protocol"},
	{EHLO_AUTH "CRAM-MD5",
	 {{AT_AUTH, DO_REPLY, "334 \r\n"}, {AT_AUTH_LINE, DO_REPLY, "235 fine\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "sends no challenge",
	 true,
	 "protocol"},
	{EHLO_AUTH "SCRAM-SHA-256",
	 {{AT_AUTH, DO_REPLY, "235 2.7.0 welcome\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "says yes before it can know",
	 true,
	 "protocol"},
	/* It repeats what it was told. */
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "535 5.7.8 " PLAIN_CODED " is wrong\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "535 5.7.8 (it repeats the credentials)"},
	{EHLO_AUTH "PLAIN",
	 {{AT_AUTH, DO_REPLY, "535 5.7.8 secret is wrong\r\n"}},
	 ROUTE_AUTH_AUTO,
	 "535 5.7.8 (it repeats the credentials)"},
};

/* S239 */
START_TEST(never_mail_without_a_login)
{
	const struct bad *bad = &bads[_i];
	size_t count = 0;
	const struct recipient_view *one;
	struct route_status status;
	struct ulid id;
	struct rig r;

	while (count < COUNT(bad->steps) && bad->steps[count].stage != AT_GREETING)
		count++;
	rig_open(&r, bad->steps, count, bad->ehlo);
	use_login(&r, bad->auth);
	r.route.command_timeout_ms = 700;
	rig_deliver(&r);
	one = try_one(&r, &id, STATE_DEFERRED);
	ck_assert_msg(strstr(one->reason, bad->reason) != NULL, "row %d: %s", _i, one->reason);
	ck_assert_msg(strncmp(one->reason, "127.0.0.1:", 10) == 0, "row %d: %s", _i, one->reason);
	ck_assert_ptr_null(strstr(one->reason, "secret"));
	ck_assert_msg(strcmp(one->kind, bad->kind != NULL ? bad->kind : "configuration") == 0,
		      "row %d: %s", _i, one->kind);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
	ck_assert_int_le(nexthop_reached(r.hop, AT_AUTH), 1);
	if (bad->quiet)
		ck_assert(!nexthop_saw(r.hop, SECRET_CODED) && !nexthop_saw(r.hop, PLAIN_CODED));
	ck_assert_uint_eq(deliver_status(r.deliver, &status, 1), 1);
	ck_assert_str_eq(status.name, "default");
	ck_assert(strstr(status.last_error, bad->reason) != NULL);
	rig_stop(&r);
}
END_TEST

/* S239: nothing that others can read, whatever is offered. */
START_TEST(never_in_the_clear)
{
	const struct recipient_view *one;
	struct ulid id;
	struct rig r;

	rig_open(&r, NULL, 0, EHLO_AUTH "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
	use_login(&r, ROUTE_AUTH_AUTO);
	r.route.auth_without_tls = false;
	rig_deliver(&r);
	one = try_one(&r, &id, STATE_DEFERRED);
	ck_assert_ptr_nonnull(strstr(one->reason, "credentials are sent inside TLS only"));
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 0);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
	rig_stop(&r);
}
END_TEST

/* RFC 4954 6: these speak of the mechanism only. */
START_TEST(another_mechanism)
{
	static const struct nexthop_step steps[] = {
		{AT_AUTH, DO_REPLY, "534 5.7.9 not this one\r\n", 0, "CRAM-MD5"},
		{AT_AUTH, DO_REPLY, "504 5.5.4 nor this one\r\n", 0, "PLAIN"},
		{AT_AUTH, DO_REPLY, "334 VXNlcm5hbWU6\r\n", 0, "LOGIN"},
		{AT_AUTH_LINE, DO_REPLY, "334 UGFzc3dvcmQ6\r\n", 0, NAME_CODED},
	};
	struct ulid id;
	struct rig r;

	rig_open(&r, steps, COUNT(steps), EHLO_AUTH "PLAIN LOGIN CRAM-MD5");
	use_login(&r, ROUTE_AUTH_AUTO);
	rig_deliver(&r);
	try_one(&r, &id, STATE_DELIVERED);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 3);
	ck_assert_int_eq(nexthop_connections(r.hop), 1);
	rig_stop(&r);
}
END_TEST

static void forget(void *ctx)
{
}

/*
 * Many messages, many workers, several hosts: wrong credentials are tried once, then
 * the route rests; new ones are tried at once.
 */
START_TEST(wrong_credentials_are_not_hammered)
{
	static const struct nexthop_step step = {AT_AUTH, DO_REPLY, "535 5.7.8 wrong\r\n", 0,
						 PLAIN_CODED};
	struct delivery_options same, next;
	struct route_options route;
	struct route_status status;
	struct ulid ids[20];
	const char *hosts[2];
	struct rig r;

	rig_open(&r, &step, 1, EHLO_AUTH "PLAIN");
	use_login(&r, ROUTE_AUTH_PLAIN);
	r.schedule[0] = 100;
	hosts[0] = hosts[1] = r.host;
	r.route.hosts = hosts;
	r.route.host_count = 2;
	rig_deliver(&r);
	for (size_t i = 0; i < COUNT(ids); i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &ids[0], "ann@ok.test", STATE_DEFERRED);
	usleep(1500000); /* longer than any rest of a next hop that is only away */
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 1);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
	for (size_t i = 1; i < COUNT(ids); i++)
		ck_assert_msg(strstr(rig_recipient(&r, &ids[i], "ann@ok.test")->reason,
				     "535 5.7.8") != NULL,
			      "message %zu", i);
	ck_assert_uint_eq(deliver_status(r.deliver, &status, 1), 1);
	ck_assert(status.login_refused);
	/* A reload for another reason is none to try them again. */
	same = r.options;
	deliver_reload(r.deliver, &same, forget, NULL);
	usleep(500000);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 1);
	next = r.options;
	route = r.route;
	route.secret = "other";
	next.routes = &route;
	deliver_reload(r.deliver, &next, forget, NULL);
	for (size_t i = 0; i < COUNT(ids); i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	ck_assert_uint_eq(deliver_status(r.deliver, &status, 1), 1);
	ck_assert(!status.login_refused);
	rig_stop(&r);
}
END_TEST

/* --- tokens that change ------------------------------------------------------------------ */

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	fclose(file);
	ck_assert_int_eq(chmod(path, 0600), 0);
}

/* Refuses the token "old", and at that moment there is another one. */
static void renew(void *ctx, const char *line, bool first, char *reply_out)
{
	/* user=user^Aauth=Bearer old^A^A */
	if (!first)
		snprintf(reply_out, NEXTHOP_REPLY_SIZE, "535 5.7.8 too old\r\n");
	else if (strstr(line, "dXNlcj11c2VyAWF1dGg9QmVhcmVyIG9sZAEB") != NULL)
		snprintf(reply_out, NEXTHOP_REPLY_SIZE, "334 e30=\r\n");
	if (!first && ctx != NULL)
		write_text(ctx, "  token\r\n");
}

/* A token that was refused is asked for once more, and a new one tried on the same connection. */
START_TEST(a_token_that_is_renewed)
{
	char path[100], command[200];

	for (int i = 0; i < 4; i++) {
		bool renewed = i < 2;
		struct ulid id;
		struct rig r;

		rig_open(&r, NULL, 0, EHLO_AUTH "XOAUTH2");
		snprintf(path, sizeof(path), "%s/token", r.folder);
		snprintf(command, sizeof(command), "cat %s", path);
		nexthop_use_auth(r.hop, renew, renewed ? path : NULL);
		use_login(&r, ROUTE_AUTH_XOAUTH2);
		r.route.secret = NULL;
		if (i % 2 == 0)
			r.route.token_file = path;
		else
			r.route.token_command = command;
		write_text(path, "old\n");
		rig_deliver(&r);
		try_one(&r, &id, renewed ? STATE_DELIVERED : STATE_DEFERRED);
		ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), renewed ? 2 : 1);
		ck_assert(nexthop_saw(r.hop, "AUTH XOAUTH2 " XOAUTH2_CODED) == renewed);
		ck_assert_int_eq(nexthop_connections(r.hop), 1);
		unlink(path);
		rig_stop(&r);
	}
}
END_TEST

/* What can't be had is said, and nobody is asked to do without. */
START_TEST(no_secret_to_be_had)
{
	static const struct {
		const char *file, *command, *reason;
	} rows[] = {
		{"/nonexistent/token", NULL, "login: /nonexistent/token can't be read"},
		{NULL, "echo no key >&2; exit 3", "login: the command ended with status 3: no key"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct recipient_view *one;
		struct ulid id;
		struct rig r;

		rig_open(&r, NULL, 0, EHLO_AUTH "XOAUTH2");
		use_login(&r, ROUTE_AUTH_XOAUTH2);
		r.route.secret = NULL;
		r.route.token_file = rows[i].file;
		r.route.token_command = rows[i].command;
		rig_deliver(&r);
		one = try_one(&r, &id, STATE_DEFERRED);
		ck_assert_msg(strstr(one->reason, rows[i].reason) != NULL, "%s", one->reason);
		ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 0);
		ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
		rig_stop(&r);
	}
}
END_TEST

/* While a command runs: the next hop leaves, or delivery stops; both wait for the command. */
START_TEST(the_world_moves_on_meanwhile)
{
	for (int i = 0; i < 3; i++) {
		static const char *const commands[] = {
			"sleep 0.5; echo token", "sleep 0.5; echo token", "sleep 0.3; echo token"};
		const struct recipient_view *one;
		struct ulid id;
		struct rig r;

		rig_open(&r, NULL, 0, EHLO_AUTH "XOAUTH2");
		use_login(&r, ROUTE_AUTH_XOAUTH2);
		r.route.secret = NULL;
		r.route.token_command = commands[i];
		r.route.command_timeout_ms = 100; /* of the next hop, not of the command */
		rig_deliver(&r);
		id = rig_accept_plain(&r, "ann@ok.test");
		ck_assert(nexthop_wait_stage(r.hop, AT_EHLO, 1, RIG_WAIT_MS));
		usleep(100000);
		if (i == 0) {
			nexthop_stop(&r.hop);
			one = rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED);
			ck_assert_msg(strstr(one->reason, "closed the connection") != NULL ||
					      strstr(one->reason, "reset") != NULL,
				      "%s", one->reason);
			r.hop = nexthop_start(NULL, 0, NULL);
		} else if (i == 1) {
			rig_stop_delivery(&r, 0);
			ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 0);
		} else {
			rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
		}
		rig_stop(&r);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {plain_with_an_initial_response,
				      plain_that_is_too_long_for_the_command,
				      login,
				      scram_and_cram,
				      a_wrong_server_signature,
				      xoauth2_and_its_refusal,
				      never_in_the_clear,
				      another_mechanism,
				      wrong_credentials_are_not_hammered,
				      a_token_that_is_renewed,
				      no_secret_to_be_had,
				      the_world_moves_on_meanwhile};
	Suite *suite = suite_create("deliver/login");
	TCase *tcase = tcase_create("deliver/login");
	SRunner *runner;

	tcase_set_timeout(tcase, 120);
	for (size_t i = 0; i < COUNT(tests); i++)
		tcase_add_test(tcase, tests[i]);
	tcase_add_loop_test(tcase, never_mail_without_a_login, 0, COUNT(bads));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	srunner_free(runner);
	return EXIT_SUCCESS;
}
