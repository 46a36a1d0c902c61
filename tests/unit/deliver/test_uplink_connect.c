/* tests relay/deliver/uplink.c: connections that come about, and those that must not */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/deliver/talker.h"
#include "tests/unit/loop/certificate.h"
#include "tests/unit/unit.h"

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
		struct talker t;

		talker_open(&t, &scripts[i], 1, NULL);
		talker_connect(&t);
		ck_assert_int_lt(t.open_code, 0);
		ck_assert_msg(strstr(t.why, t.host) != NULL, "%s", t.why);
		talker_close(&t);
	}
}
END_TEST

START_TEST(a_name_is_resolved)
{
	char name[64];
	const char *host = name;
	struct talker t;

	talker_open(&t, NULL, 0, NULL);
	snprintf(name, sizeof(name), "localhost%s", strchr(t.host, ':'));
	t.route.hosts = &host;
	talker_renew(&t);
	talker_connect(&t);
	ck_assert_msg(t.open_code == ERR_OK, "%s", t.why);
	talker_assign(&t, talker_ann, "\r\n", 0);
	shutdown(t.fd, SHUT_RDWR);
	bell_await(&t.bell, &t.done);
	ck_assert_msg(strncmp(t.job->record.remote, "localhost[127.0.0.1]:", 21) == 0, "%s",
		      t.job->record.remote);
	talker_close(&t);
}
END_TEST

START_TEST(a_unix_socket_is_a_next_hop)
{
	struct nexthop *hop = nexthop_start_unix(NULL, 0, NULL);
	struct talker t;

	talker_open(&t, NULL, 0, NULL);
	nexthop_stop(&t.hop);
	t.hop = hop;
	t.host = nexthop_address(t.hop);
	t.route.source_address = "127.0.0.1"; /* for those that have one */
	talker_renew(&t);
	talker_connect(&t);
	ck_assert_msg(t.open_code == ERR_OK, "%s", t.why);
	talker_send_empty(&t, talker_ann);
	ck_assert(t.alive);
	ck_assert_uint_eq(nexthop_mail_count(t.hop), 1);
	ck_assert_str_eq(t.job->record.remote, t.host);
	talker_close(&t);
}
END_TEST

START_TEST(a_unix_socket_that_is_not_there_is_told)
{
	const char *host = "unix:/tmp/none-such/socket";
	struct talker t;

	talker_open(&t, NULL, 0, NULL);
	t.route.hosts = &host;
	talker_renew(&t);
	talker_connect(&t);
	ck_assert_int_lt(t.open_code, 0);
	ck_assert_str_eq(t.why, "unix:/tmp/none-such/socket: connect: No such file or directory");
	talker_close(&t);
}
END_TEST

START_TEST(our_own_listener_is_not_a_next_hop)
{
	struct talker t;

	talker_open(&t, NULL, 0, NULL);
	t.own = true;
	talker_connect(&t);
	ck_assert_int_lt(t.open_code, 0);
	ck_assert_ptr_nonnull(strstr(t.why, "loop"));
	ck_assert_int_eq(nexthop_connections(t.hop), 0);
	talker_close(&t);
}
END_TEST

/* S233: a route that wants TLS and gets none sends nothing in clear. */
START_TEST(tls_that_is_not_offered_means_no_mail)
{
	struct talker t;

	talker_open(&t, NULL, 0, NULL);
	t.route.tls = ROUTE_TLS_REQUIRED;
	talker_connect(&t);
	ck_assert_int_lt(t.open_code, 0);
	ck_assert_msg(strstr(t.why, "STARTTLS") != NULL, "%s", t.why);
	talker_close(&t);
}
END_TEST

/* A next hop with a certificate for `name`, and an uplink that trusts it. */
static void open_with_tls(struct talker *t, const struct nexthop_step *steps, size_t count,
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
	talker_open(t, steps, count, "PIPELINING\nSTARTTLS");
	t->server_tls = certificate_server(&certificate);
	certificate_write(&certificate, file, NULL);
	certificate_release(&certificate);
	t->route.tls = mode;
	t->route.tls_verify = true;
	t->route.tls_ca = file;
	ck_assert_int_eq(hop_tls_new(&t->route, &t->tls, &notes, &key, &why), ERR_OK);
	unlink(file);
	nexthop_use_tls(t->hop, t->server_tls, mode == ROUTE_TLS_IMPLICIT);
	snprintf(text, sizeof(text), "localhost%s", strchr(t->host, ':'));
	host = text;
	t->route.hosts = &host;
	talker_renew(t);
	talker_connect(t);
}

START_TEST(a_verified_next_hop_gets_mail_over_tls)
{
	static const enum route_tls modes[] = {ROUTE_TLS_REQUIRED, ROUTE_TLS_IMPLICIT};

	for (size_t i = 0; i < 2; i++) {
		struct talker t;

		open_with_tls(&t, NULL, 0, "localhost", modes[i]);
		ck_assert_msg(t.open_code == ERR_OK, "%s", t.why);
		talker_assign(&t, talker_ann, "a: b\r\n\r\n", 3);
		talker_to_end(&t, talker_ann, "x\r\n");
		ck_assert(t.alive);
		ck_assert_uint_eq(nexthop_mail_count(t.hop), 1);
		ck_assert_int_eq(nexthop_reached(t.hop, AT_STARTTLS), i == 0);
		talker_close(&t);
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
		struct talker t;

		open_with_tls(&t, cases[i].step, cases[i].step != NULL, cases[i].name,
			      cases[i].mode);
		ck_assert_msg(t.open_code < 0, "%zu", i);
		ck_assert(t.why[0] != '\0');
		ck_assert(!nexthop_saw(t.hop, "MAIL"));
		talker_close(&t);
	}
}
END_TEST

UNIT_MAIN("deliver/uplink_connect", failures_to_open_are_told, a_name_is_resolved,
	  a_unix_socket_is_a_next_hop, a_unix_socket_that_is_not_there_is_told,
	  our_own_listener_is_not_a_next_hop, tls_that_is_not_offered_means_no_mail,
	  a_verified_next_hop_gets_mail_over_tls, an_unverified_next_hop_gets_nothing)
