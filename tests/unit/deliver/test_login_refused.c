/* tests relay/deliver/login.c: no mail without a login, whatever the next hop says (S239) */
#include <config.h> /* usleep */

#include <string.h>
#include <unistd.h>

#include "tests/unit/deliver/account.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct bad {
	const char *ehlo;
	struct nexthop_step steps[3];
	const char *reason;
	enum route_auth auth; /* of the route */
	bool quiet;	      /* the secret never leaves */
	const char *kind;     /* of trouble; NULL: configuration */
};

/* A step: the answer to AUTH. */
#define SAYS(reply) AT_AUTH, DO_REPLY, reply

static const struct bad bads[] = {
	{"PIPELINING", {{AT_QUIT}}, "does not offer AUTH", .quiet = true},
	{ACCOUNT_EHLO "NTLM GSSAPI", {{AT_QUIT}}, "is offered: NTLM GSSAPI", .quiet = true},
	{ACCOUNT_EHLO "PLAIN LOGIN",
	 {{AT_QUIT}},
	 "is offered: PLAIN LOGIN",
	 .auth = ROUTE_AUTH_CRAM_MD5,
	 .quiet = true},
	{ACCOUNT_EHLO "XOAUTH2", {{AT_QUIT}}, "is offered: XOAUTH2", .quiet = true},
	{ACCOUNT_EHLO "PLAIN",
	 {{AT_EHLO, DO_REPLY, "502 no EHLO\r\n"}},
	 "does not offer AUTH",
	 .quiet = true},
	{ACCOUNT_EHLO "PLAIN",
	 {{SAYS("535 5.7.8 wrong password\r\n")}},
	 "login of \"user\" refused (PLAIN): 535 5.7.8 wrong password"},
	{ACCOUNT_EHLO "PLAIN",
	 {{SAYS("454 4.7.0 later\r\n")}},
	 "login: not now: 454 4.7.0 later",
	 .kind = "put_off"},
	{ACCOUNT_EHLO "PLAIN",
	 {{SAYS("538 5.7.11 encryption needed\r\n")}},
	 "refused (PLAIN): 538",
	 .auth = ROUTE_AUTH_PLAIN},
	{ACCOUNT_EHLO "PLAIN", {{SAYS("534 5.7.9 too weak\r\n")}}, "refused (PLAIN): 534"},
	{ACCOUNT_EHLO "PLAIN", {{SAYS("530 5.7.0 no\r\n")}}, "refused (PLAIN): 530"},
	{ACCOUNT_EHLO "PLAIN",
	 {{SAYS("250 2.0.0 fine\r\n")}},
	 "answer makes no sense: 250",
	 .kind = "protocol"},
	{ACCOUNT_EHLO "PLAIN",
	 {{AT_AUTH, DO_REPLY, "334 AAAA\r\n"}, {AT_AUTH_LINE, DO_REPLY, "501 5.5.2 ok\r\n"}},
	 "login: the server asks on and on",
	 .kind = "protocol"},
	{ACCOUNT_EHLO "PLAIN", {{SAYS("garbage\r\n")}}, "", .kind = "protocol"},
	{ACCOUNT_EHLO "PLAIN", {{AT_AUTH, DO_DROP}}, "closed the connection", .kind = "network"},
	{ACCOUNT_EHLO "PLAIN", {{AT_AUTH, DO_STALL}}, "did not answer in time", .kind = "timeout"},
	{ACCOUNT_EHLO "LOGIN",
	 {{SAYS("235 2.7.0 welcome\r\n")}},
	 "says yes before it can know: 235",
	 .quiet = true,
	 .kind = "protocol"},
	{ACCOUNT_EHLO "LOGIN",
	 {{AT_AUTH, DO_REPLY, "334 %%%\r\n"}, {AT_AUTH_LINE, DO_REPLY, "501 no\r\n"}},
	 "is not in base64",
	 .quiet = true,
	 .kind = "protocol"},
	{ACCOUNT_EHLO "CRAM-MD5",
	 {{AT_AUTH, DO_REPLY, "334 \r\n"}, {AT_AUTH_LINE, DO_REPLY, "235 fine\r\n"}},
	 "sends no challenge",
	 .quiet = true,
	 .kind = "protocol"},
	{ACCOUNT_EHLO "SCRAM-SHA-256",
	 {{SAYS("235 2.7.0 welcome\r\n")}},
	 "says yes before it can know",
	 .quiet = true,
	 .kind = "protocol"},
	/* It repeats what it was told. */
	{ACCOUNT_EHLO "PLAIN",
	 {{SAYS("535 5.7.8 " ACCOUNT_PLAIN " is wrong\r\n")}},
	 "535 5.7.8 (it repeats the credentials)"},
	{ACCOUNT_EHLO "PLAIN",
	 {{SAYS("535 5.7.8 secret is wrong\r\n")}},
	 "535 5.7.8 (it repeats the credentials)"},
};

/* S239 */
START_TEST(never_mail_without_a_login)
{
	const struct bad *bad = &bads[_i];
	size_t count = 0;
	const struct recipient_view *one;
	struct route_status status;
	struct rig r;

	while (count < COUNT(bad->steps) && bad->steps[count].stage != AT_GREETING)
		count++;
	rig_open(&r, bad->steps, count, bad->ehlo);
	account_use(&r, bad->auth);
	r.route.command_timeout_ms = 700;
	rig_deliver(&r);
	one = rig_send(&r, "ann@ok.test", STATE_DEFERRED);
	ck_assert_msg(strstr(one->reason, bad->reason) != NULL, "row %d: %s", _i, one->reason);
	ck_assert_msg(strncmp(one->reason, "127.0.0.1:", 10) == 0, "row %d: %s", _i, one->reason);
	ck_assert_ptr_null(strstr(one->reason, "secret"));
	ck_assert_msg(strcmp(one->kind, bad->kind != NULL ? bad->kind : "configuration") == 0,
		      "row %d: %s", _i, one->kind);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
	ck_assert_int_le(nexthop_reached(r.hop, AT_AUTH), 1);
	if (bad->quiet)
		ck_assert(!nexthop_saw(r.hop, ACCOUNT_SECRET) &&
			  !nexthop_saw(r.hop, ACCOUNT_PLAIN));
	ck_assert_uint_eq(deliver_status(r.deliver, &status, 1), 1);
	ck_assert_str_eq(status.name, "default");
	ck_assert(strstr(status.last_error, bad->reason) != NULL);
	rig_stop(&r);
}
END_TEST

/* S239: nothing that others can read, whatever is offered. */
START_TEST(never_in_the_clear)
{
	struct rig r;

	rig_open(&r, NULL, 0, ACCOUNT_EHLO "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
	account_use(&r, ROUTE_AUTH_AUTO);
	r.route.auth_without_tls = false;
	rig_deliver(&r);
	rig_expect(&r, "ann@ok.test", STATE_DEFERRED, "credentials are sent inside TLS only");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 0);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
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
						 ACCOUNT_PLAIN};
	struct delivery_options same, next;
	struct route_options route;
	struct route_status status;
	struct ulid ids[20];
	const char *hosts[2];
	struct rig r;

	rig_open(&r, &step, 1, ACCOUNT_EHLO "PLAIN");
	account_use(&r, ROUTE_AUTH_PLAIN);
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

int main(void)
{
	Suite *suite = suite_create("deliver/login_refused");
	TCase *tcase = tcase_create("deliver/login_refused");
	SRunner *runner;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, never_in_the_clear);
	tcase_add_test(tcase, wrong_credentials_are_not_hammered);
	tcase_add_loop_test(tcase, never_mail_without_a_login, 0, COUNT(bads));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	srunner_free(runner);
	return EXIT_SUCCESS;
}
