/* tests relay/deliver/securing.c and hop_tls.c: modes, what goes wrong in TLS, sessions */
#include "relay/deliver/hop_tls.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/deliver/dialer.h"
#include "tests/unit/unit.h"

/* --- modes --------------------------------------------------------------------------------------
 */

START_TEST(s234_old_versions_of_tls)
{
	static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION,
				       TLS1_3_VERSION};

	for (size_t i = 0; i < DIALER_COUNT(versions); i++) {
		struct dialer r;

		dialer_init(&r);
		dialer_start(&r, NULL, 0, DIALER_OFFERS);
		SSL_CTX_set_min_proto_version(r.server, versions[i]);
		SSL_CTX_set_max_proto_version(r.server, versions[i]);
		dialer_dial_anew(&r);
		if (i < 2)
			dialer_expect(&r, false,
				      "no common version of TLS: the next hop refuses 1.2 and");
		else
			dialer_expect(&r, true, i == 2 ? "TLSv1.2 TLS_" : "TLSv1.3 TLS_");
		dialer_end(&r);
	}
}
END_TEST

/* S233: opportunistic goes on in clear on a new connection, everything else sends nothing. */
START_TEST(s233_next_hops_without_tls)
{
	static const struct nexthop_step refused = {AT_STARTTLS, DO_REPLY, "454 4.7.0 not now\r\n"};
	static const struct nexthop_step closed = {AT_STARTTLS, DO_DROP, NULL};
	static const struct nexthop_step broken = {AT_STARTTLS, DO_REPLY, "220 go\r\n"};
	static const struct {
		const struct nexthop_step *step;
		const char *ehlo;
		const char *why;
		int connections; /* of an opportunistic route */
	} rows[] = {
		{NULL, "PIPELINING", "does not offer STARTTLS", 1},
		{&refused, DIALER_OFFERS, "STARTTLS: 454 not now", 2},
		{&closed, DIALER_OFFERS, "the next hop closed the connection", 2},
		{&broken, DIALER_OFFERS, "no common version of TLS", 2},
	};

	for (size_t i = 0; i < DIALER_COUNT(rows) * 2; i++) {
		const struct nexthop_step *step = rows[i / 2].step;
		struct dialer r;

		dialer_init(&r);
		r.route.tls = i % 2 == 0 ? ROUTE_TLS_REQUIRED : ROUTE_TLS_OPPORTUNISTIC;
		dialer_start(&r, step, step != NULL, rows[i / 2].ehlo);
		SSL_CTX_set_max_proto_version(r.server, TLS1_1_VERSION);
		dialer_dial_anew(&r);
		dialer_expect(&r, i % 2 != 0, rows[i / 2].why);
		if (i % 2 != 0) {
			dialer_expect(&r, true, "none: ");
			ck_assert_int_eq(nexthop_connections(r.hop), rows[i / 2].connections);
		}
		dialer_end(&r);
	}
}
END_TEST

START_TEST(an_opportunistic_route_uses_what_there_is)
{
	struct dialer r;

	dialer_init(&r);
	r.route.tls = ROUTE_TLS_OPPORTUNISTIC;
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	dialer_dial_anew(&r);
	dialer_expect(&r, true, "TLSv1.3 TLS_AES_256_GCM_SHA384, verified");
	ck_assert_int_eq(nexthop_connections(r.hop), 1);
	dialer_end(&r);
}
END_TEST

/* CVE-2011-0411: in no mode, and it is no reason to go on in clear. */
START_TEST(injected_replies_end_the_attempt)
{
	static const struct nexthop_step injection = {AT_STARTTLS, DO_REPLY,
						      "220 go\r\n250 injected\r\n"};

	for (size_t i = 0; i < 2; i++) {
		struct dialer r;

		dialer_init(&r);
		r.route.tls = i == 0 ? ROUTE_TLS_REQUIRED : ROUTE_TLS_OPPORTUNISTIC;
		dialer_start(&r, &injection, 1, DIALER_OFFERS);
		dialer_dial_anew(&r);
		dialer_expect(&r, false, "plain text was injected behind STARTTLS");
		ck_assert_int_eq(nexthop_connections(r.hop), 1);
		dialer_end(&r);
	}
}
END_TEST

START_TEST(implicit_tls)
{
	struct dialer r;

	dialer_init(&r);
	r.route.tls = ROUTE_TLS_IMPLICIT;
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	dialer_dial_anew(&r);
	dialer_expect(&r, true, "verified");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_STARTTLS), 0);
	dialer_end(&r);
}
END_TEST

/* Port 25 and port 465 mixed up. */
START_TEST(implicit_tls_to_who_speaks_first)
{
	struct dialer r;

	dialer_init(&r);
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	r.route.tls = ROUTE_TLS_IMPLICIT;
	dialer_dial_anew(&r);
	dialer_expect(&r, false, "TLS handshake: what came is not TLS");
	dialer_end(&r);
}
END_TEST

/* A record that comes an octet at a time: the deadline is for the whole handshake. */
START_TEST(a_dribbled_handshake_is_cut)
{
	static const struct nexthop_step drip = {
		AT_STARTTLS, DO_DRIP,
		"220 go\r\n\x16\x03\x03\x40\x01zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
		"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
		.ms = 20};
	struct dialer r;
	int64_t begin = clock_mono_ms();

	dialer_init(&r);
	r.route.command_timeout_ms = 400;
	dialer_start(&r, &drip, 1, DIALER_OFFERS);
	dialer_dial_anew(&r);
	dialer_expect(&r, false, "no TLS handshake in time");
	ck_assert_int_lt(clock_mono_ms() - begin, 1500);
	dialer_end(&r);
}
END_TEST

/* The same with a session to resume: it is not begun anew, which would take as long again. */
START_TEST(a_stalled_handshake_is_not_tried_twice)
{
	static const struct nexthop_step stall = {
		AT_STARTTLS,
		DO_DRIP,
		"220 go\r\n\x16\x03\x03\x40\x01zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
		"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
		.ms = 20,
		.from = 2,
		.to = 9};
	struct dialer r;

	dialer_init(&r);
	r.route.command_timeout_ms = 400;
	dialer_start(&r, &stall, 1, DIALER_OFFERS);
	dialer_dial_anew(&r);
	dialer_expect(&r, true, ", verified");
	dialer_dial(&r);
	dialer_expect(&r, false, "no TLS handshake in time");
	ck_assert_int_eq(nexthop_connections(r.hop), 2);
	dialer_end(&r);
}
END_TEST

/* --- what we show
 * ---------------------------------------------------------------------------------- */

/* In TLS 1.3 the refusal comes behind the handshake, in 1.2 within it. */
START_TEST(a_next_hop_that_wants_our_certificate)
{
	for (size_t i = 0; i < 6; i++) {
		bool required = i % 3 != 1; /* else opportunistic */
		bool shown = i % 3 == 2;
		struct issued ours = {NULL, NULL};
		struct dialer r;

		dialer_init(&r);
		r.route.tls = required ? ROUTE_TLS_REQUIRED : ROUTE_TLS_OPPORTUNISTIC;
		dialer_start(&r, NULL, 0, DIALER_OFFERS);
		SSL_CTX_set_max_proto_version(r.server, i < 3 ? TLS1_3_VERSION : TLS1_2_VERSION);
		SSL_CTX_set_verify(r.server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
				   NULL);
		ck_assert_int_eq(SSL_CTX_load_verify_file(r.server, r.ca_file), 1);
		if (shown) {
			authority_issue(&(struct request){.signer = &r.ca, .name = "us"}, &ours);
			authority_write(&ours, r.crt_file, r.key_file);
			r.route.tls_certificate = r.crt_file;
			r.route.tls_key = r.key_file;
		}
		dialer_dial_anew(&r);
		if (shown)
			dialer_expect(&r, true, "verified");
		else
			dialer_expect(
				&r, !required,
				i < 3 ? "the next hop wants a client certificate (tls_certificate)"
				      : "the next hop refuses TLS: handshake failure");
		dialer_end(&r);
		authority_release(&ours);
	}
}
END_TEST

START_TEST(a_certificate_that_the_next_hop_does_not_take)
{
	struct issued ours;
	struct dialer r;

	dialer_init(&r);
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	SSL_CTX_set_verify(r.server, SSL_VERIFY_PEER, NULL);
	authority_issue(&(struct request){.name = "us"}, &ours);
	authority_write(&ours, r.crt_file, r.key_file);
	r.route.tls_certificate = r.crt_file;
	r.route.tls_key = r.key_file;
	dialer_dial_anew(&r);
	dialer_expect(&r, false, "the next hop does not take our client certificate: unknown CA");
	dialer_end(&r);
	authority_release(&ours);
}
END_TEST

START_TEST(without_its_files_a_route_says_so)
{
	struct dialer r;

	dialer_init(&r);
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	r.tls_why = "tls_ca: it is gone";
	dialer_dial(&r);
	dialer_expect(&r, false, "tls_ca: it is gone");
	dialer_end(&r);
}
END_TEST

/* --- sessions
 * ------------------------------------------------------------------------------------------ */

#define DIALS 20

/* The time of DIALS dials; with `forget` each is the first one. */
static int64_t time_dials(struct dialer *r, bool forget, const char *words)
{
	int64_t spent = 0;

	for (int i = 0; i < DIALS; i++) {
		int64_t begin;

		if (forget)
			dialer_make_tls(r);
		begin = clock_mono_us();
		dialer_dial(r);
		spent += clock_mono_us() - begin;
		dialer_expect(r, true, words);
		ck_assert((strstr(r->facts, "resumed") == NULL) == forget);
	}
	return spent / DIALS;
}

static void check_resumption(int version, const struct request *shown)
{
	int64_t full_us, resumed_us;
	struct dialer r;

	dialer_init(&r);
	r.route.tls = ROUTE_TLS_IMPLICIT;
	dialer_serve(&r, shown, "localhost", NULL, 0, DIALER_OFFERS);
	authority_write(&r.shown, r.ca_file, NULL);
	SSL_CTX_set_max_proto_version(r.server, version);
	/* Each in a version of the options of its own: nothing of the one before is known. */
	full_us = time_dials(&r, true, ", verified");
	ck_assert_int_eq(SSL_CTX_sess_hits(r.server), 0);
	resumed_us = time_dials(&r, false, ", verified, resumed");
	ck_assert_int_eq(SSL_CTX_sess_hits(r.server), DIALS);
	printf("# %s, RSA: %lld us a dial, %lld us with a session\n",
	       version == TLS1_3_VERSION ? "TLS 1.3" : "TLS 1.2", (long long)full_us,
	       (long long)resumed_us);
	dialer_end(&r);
}

START_TEST(sessions_are_resumed)
{
	const struct request shown = {.name = "x", .names = "DNS:localhost", .rsa_bits = 2048};

	check_resumption(TLS1_3_VERSION, &shown);
	check_resumption(TLS1_2_VERSION, &shown);
}
END_TEST

/* A resumed session shows no certificate: what was found out with the first one is what counts. */
START_TEST(a_resumed_session_is_as_good_as_the_first)
{
	struct dialer r;

	dialer_init(&r);
	r.route.tls_verify = false;
	dialer_serve(&r, &(struct request){.name = "x", .names = "DNS:other.test"}, "localhost",
		     NULL, 0, DIALER_OFFERS);
	dialer_make_tls(&r);
	for (int i = 0; i < 3; i++) {
		dialer_dial(&r);
		dialer_expect(&r, true, "not verified: the certificate is self-signed");
		ck_assert((strstr(r.facts, ", resumed,") != NULL) == (i > 0));
	}
	dialer_end(&r);
}
END_TEST

/* Refused in TLS, and there is a login: what failed is TLS, and nothing goes on in clear. */
START_TEST(s239_no_clear_text_where_there_is_a_login)
{
	static const struct nexthop_step refused = {AT_STARTTLS, DO_REPLY, "454 not now\r\n"};

	for (size_t i = 0; i < 2; i++) {
		struct dialer r;

		dialer_init(&r);
		r.route.tls = ROUTE_TLS_OPPORTUNISTIC;
		r.route.auth_without_tls = i == 1;
		r.route.username = "staging";
		r.route.password = r.route.secret = "secret";
		r.keyring = keyring_new();
		r.key = key_new(r.keyring, &r.route);
		dialer_start(&r, &refused, 1, DIALER_OFFERS);
		dialer_dial_anew(&r);
		dialer_expect(&r, false, i == 0 ? "STARTTLS: 454 not now" : "does not offer AUTH");
		ck_assert_int_eq(nexthop_connections(r.hop), i == 0 ? 1 : 2);
		dialer_end(&r);
	}
}
END_TEST

/* RFC 3207 4.2: who says no to EHLO behind TLS offers nothing, whatever it said in clear. */
START_TEST(what_was_offered_in_clear_is_forgotten)
{
	static const struct nexthop_step step = {AT_EHLO, DO_REPLY, "502 what\r\n", .from = 2,
						 .to = 2};
	struct dialer r;

	dialer_init(&r);
	r.route.tls = ROUTE_TLS_OPPORTUNISTIC;
	r.route.username = "staging";
	r.route.password = r.route.secret = "secret";
	r.keyring = keyring_new();
	r.key = key_new(r.keyring, &r.route);
	dialer_start(&r, &step, 1, DIALER_OFFERS "\nAUTH PLAIN");
	dialer_dial_anew(&r);
	dialer_expect(&r, false, "does not offer AUTH");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_HELO), 1);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 0);
	dialer_end(&r);
}
END_TEST

/* A server that has forgotten its ticket keys makes a full handshake, with its certificate. */
START_TEST(a_next_hop_that_was_restarted)
{
	unsigned char keys[80];
	struct dialer r;

	dialer_init(&r);
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	dialer_dial_anew(&r);
	memset(keys, 7, sizeof(keys));
	ck_assert_int_eq(SSL_CTX_set_tlsext_ticket_keys(r.server, keys, sizeof(keys)), 1);
	SSL_CTX_flush_sessions(r.server, 0x7fffffff);
	dialer_dial(&r);
	dialer_expect(&r, true, ", verified");
	ck_assert(strstr(r.facts, "resumed") == NULL);
	dialer_dial(&r);
	dialer_expect(&r, true, ", resumed");
	dialer_end(&r);
}
END_TEST

static SSL_TICKET_RETURN stumble(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
				 size_t len, SSL_TICKET_STATUS status, void *arg)
{
	return status == SSL_TICKET_NONE || status == SSL_TICKET_EMPTY
		       ? SSL_TICKET_RETURN_IGNORE_RENEW
		       : SSL_TICKET_RETURN_ABORT;
}

/* A server that breaks off when it sees a ticket is asked once more without one, at once. */
START_TEST(a_next_hop_that_stumbles_over_tickets)
{
	static const enum route_tls modes[] = {ROUTE_TLS_REQUIRED, ROUTE_TLS_OPPORTUNISTIC};

	for (size_t i = 0; i < 2 * DIALER_COUNT(modes); i++) {
		struct dialer r;

		dialer_init(&r);
		r.route.tls = modes[i % 2];
		dialer_start(&r, NULL, 0, DIALER_OFFERS);
		SSL_CTX_set_max_proto_version(r.server, i < 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
		ck_assert_int_eq(SSL_CTX_set_session_ticket_cb(r.server, NULL, stumble, NULL), 1);
		dialer_dial_anew(&r);
		dialer_expect(&r, true, ", verified");
		ck_assert_int_eq(nexthop_connections(r.hop), 1);
		dialer_dial(&r);
		dialer_expect(&r, true, ", verified");
		ck_assert(strstr(r.facts, "resumed") == NULL);
		ck_assert_int_eq(nexthop_connections(r.hop), 3);
		dialer_end(&r);
	}
}
END_TEST

UNIT_MAIN("deliver/securing", s234_old_versions_of_tls, s233_next_hops_without_tls,
	  an_opportunistic_route_uses_what_there_is, injected_replies_end_the_attempt, implicit_tls,
	  implicit_tls_to_who_speaks_first, a_dribbled_handshake_is_cut,
	  a_stalled_handshake_is_not_tried_twice, a_next_hop_that_wants_our_certificate,
	  a_certificate_that_the_next_hop_does_not_take, without_its_files_a_route_says_so,
	  s239_no_clear_text_where_there_is_a_login, what_was_offered_in_clear_is_forgotten,
	  sessions_are_resumed, a_resumed_session_is_as_good_as_the_first,
	  a_next_hop_that_was_restarted, a_next_hop_that_stumbles_over_tickets)
