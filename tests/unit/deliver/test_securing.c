/* tests relay/deliver/securing.c and hop_tls.c: an uplink and next hops with all kinds of TLS */
#include <config.h> /* mkdtemp */

#include "relay/deliver/uplink_inside.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/deliver/keyring.h"
#include "relay/filter/whitelist.h"
#include "tests/unit/deliver/authority.h"
#include "tests/unit/deliver/nexthop.h"
#include "tests/unit/unit.h"

#define WAIT_MS	 10000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OFFERS	 "PIPELINING\nSTARTTLS"

/* One route, one next hop, as many dials as wanted. */
struct rig {
	char folder[64], ca_file[96], crt_file[96], key_file[96];
	struct issued ca;
	struct issued shown; /* by the next hop */
	struct loop *loop;
	struct whitelist *list;
	struct resolver *resolver;
	struct nexthop *hop;
	SSL_CTX *server;
	char address[64];
	const char *host; /* of the route */
	struct route_options route;
	struct hop_tls *tls;
	const char *tls_why;
	struct keyring *keyring;
	struct key *key; /* NULL: no login */

	/* the last dial */
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool opened, closed;
	int code;
	char why[256];
	char facts[HOP_TLS_FACTS_SIZE];
};

static void note(struct rig *r, bool *flag)
{
	pthread_mutex_lock(&r->lock);
	*flag = true;
	pthread_cond_broadcast(&r->change);
	pthread_mutex_unlock(&r->lock);
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

static void on_open(void *ctx, int code, const char *why)
{
	struct rig *r = ctx;

	r->code = code;
	snprintf(r->why, sizeof(r->why), "%s", why);
	note(r, &r->opened);
}

static void on_closed(void *ctx)
{
	struct rig *r = ctx;

	note(r, &r->closed);
}

/* A trusted signer, and a next hop for localhost that it has signed; nothing runs yet. */
static void rig_init(struct rig *r)
{
	struct err why;

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->change, NULL);
	snprintf(r->folder, sizeof(r->folder), "/tmp/stagepost-securing-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r->folder));
	snprintf(r->ca_file, sizeof(r->ca_file), "%s/ca.pem", r->folder);
	snprintf(r->crt_file, sizeof(r->crt_file), "%s/our.crt", r->folder);
	snprintf(r->key_file, sizeof(r->key_file), "%s/our.key", r->folder);
	authority_issue(&(struct request){.name = "Our CA", .signs = true}, &r->ca);
	authority_write(&r->ca, r->ca_file, NULL);
	r->loop = loop_new("test");
	ck_assert_int_eq(loop_start(r->loop, &why), ERR_OK);
	r->list = whitelist_new();
	r->resolver = resolver_new();
	r->host = r->address;
	r->route = (struct route_options){.name = "default",
					  .hosts = &r->host,
					  .host_count = 1,
					  .tls = ROUTE_TLS_REQUIRED,
					  .tls_verify = true,
					  .tls_ca = r->ca_file,
					  .connect_timeout_ms = 2000,
					  .command_timeout_ms = 5000};
}

static void rig_serve(struct rig *r, const struct request *request, const char *name,
		      const struct nexthop_step *steps, size_t count, const char *ehlo)
{
	authority_issue(request, &r->shown);
	r->server = authority_server(&r->shown);
	r->hop = nexthop_start(steps, count, ehlo);
	nexthop_use_tls(r->hop, r->server, r->route.tls == ROUTE_TLS_IMPLICIT);
	snprintf(r->address, sizeof(r->address), "%s%s", name,
		 strrchr(nexthop_address(r->hop), ':'));
}

/* The usual one, for localhost. */
static void rig_start(struct rig *r, const struct nexthop_step *steps, size_t count,
		      const char *ehlo)
{
	const struct request good = {.signer = &r->ca, .name = "good", .names = "DNS:localhost"};

	rig_serve(r, &good, "localhost", steps, count, ehlo);
}

static void make_tls(struct rig *r)
{
	struct hop_tls_notes notes;
	const char *key;
	struct err why;

	hop_tls_free(&r->tls);
	ck_assert_msg(hop_tls_new(&r->route, &r->tls, &notes, &key, &why) == ERR_OK, "%s: %s", key,
		      why.text);
}

/* From open to ready or not, and closed again. */
static void dial(struct rig *r)
{
	static const struct uplink_ops ops = {.on_open = on_open, .on_closed = on_closed};
	struct uplink_env env = {.loop = r->loop,
				 .resolver = r->resolver,
				 .whitelist = r->list,
				 .tls = r->tls,
				 .tls_why = r->tls_why,
				 .key = r->key,
				 .hostname = "relay.test",
				 .route = &r->route};
	struct uplink *uplink;
	struct err why;

	ck_assert_int_eq(route_host_parse(span_of(r->address), &env.host, &why), ERR_OK);
	uplink = uplink_new(&env, &ops, r);
	uplink_open(uplink);
	await(r, &r->opened);
	snprintf(r->facts, sizeof(r->facts), "%s", uplink->tls_facts);
	uplink_close(uplink);
	await(r, &r->closed);
	uplink_free(&uplink);
}

static void make_tls_and_dial(struct rig *r)
{
	make_tls(r);
	dial(r);
}

static void rig_end(struct rig *r)
{
	char command[128];

	nexthop_stop(&r->hop);
	loop_stop(r->loop);
	loop_free(&r->loop);
	hop_tls_free(&r->tls);
	key_free(&r->key);
	keyring_free(&r->keyring);
	SSL_CTX_free(r->server);
	authority_release(&r->shown);
	authority_release(&r->ca);
	resolver_free(&r->resolver);
	whitelist_free(&r->list);
	snprintf(command, sizeof(command), "rm -rf %s", r->folder);
	ck_assert_int_eq(system(command), 0);
}

static void expect(const struct rig *r, bool open, const char *words)
{
	const char *said = open ? r->facts : r->why;

	ck_assert_msg((r->code == ERR_OK) == open, "%s: %s", words, r->why);
	ck_assert_msg(strstr(said, words) != NULL, "\"%s\" is not in \"%s\"", words, said);
}

/* --- S234: certificates that will not do ------------------------------------------------ */

struct row {
	struct request request;
	const char *host; /* of the route */
	const char *why;  /* NULL: good */
	bool by_itself;	  /* not signed by the signer we trust */
};

static const char *utc_date(int days, char text_out[16])
{
	time_t at = time(NULL) + (time_t)days * 86400;
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(text_out, 16, "%Y-%m-%d", &tm);
	return text_out;
}

/* With verification it is refused for this reason; without it is used, and the reason recorded. */
static void check_row(const struct row *row)
{
	struct request request = row->request;
	struct rig r;

	rig_init(&r);
	if (!row->by_itself)
		request.signer = &r.ca;
	rig_serve(&r, &request, row->host, NULL, 0, OFFERS);
	make_tls_and_dial(&r);
	expect(&r, row->why == NULL, row->why != NULL ? row->why : "verified");
	ck_assert_msg(strstr(r.facts, "not verified") == NULL, "%s", r.facts);
	ck_assert(!nexthop_saw(r.hop, "MAIL"));
	if (row->why != NULL) {
		ck_assert(strncmp(r.why, row->host, strlen(row->host)) == 0);
		r.route.tls_verify = false;
		make_tls_and_dial(&r);
		expect(&r, true, "not verified: ");
		expect(&r, true, row->why);
		r.route.tls = ROUTE_TLS_OPPORTUNISTIC;
		r.route.tls_verify = true;
		make_tls_and_dial(&r);
		expect(&r, true, row->why);
	}
	rig_end(&r);
}

START_TEST(s234_certificates_that_will_not_do)
{
	char expired[64], early[64], date[16];
	const struct row rows[] = {
		{{.names = "DNS:localhost"}, "localhost", NULL},
		{{.names = "DNS:a.test,DNS:localhost,IP:127.0.0.1"}, "localhost", NULL},
		{{.names = "DNS:LOCALHOST"}, "localhost", NULL},
		{{.names = "IP:127.0.0.1"}, "127.0.0.1", NULL},
		{{.names = "DNS:localhost", .from_days = -30, .to_days = -2}, "localhost", expired},
		{{.names = "DNS:localhost", .from_days = 3, .to_days = 30}, "localhost", early},
		{{.names = "DNS:localhost"},
		 "localhost",
		 "the certificate is self-signed and not trusted here",
		 true},
		{{.names = "DNS:other.test,DNS:b.test"},
		 "localhost",
		 "the certificate is for other.test, b.test, not for localhost"},
		{{.names = "IP:127.0.0.1,IP:::1"},
		 "localhost",
		 "the certificate is for 127.0.0.1, ::1, not for localhost"},
		{{.names = "DNS:localhost"},
		 "127.0.0.1",
		 "the certificate is for localhost, not for 127.0.0.1"},
		{{.name = "localhost"}, "localhost", "the certificate names no host"},
		{{.names = "DNS:local*"}, "localhost", "the certificate is for local*, not for"},
		{{.names = "DNS:*"}, "localhost", "the certificate is for *, not for"},
		{{.names = "DNS:localhost", .rsa_bits = 1024},
		 "localhost",
		 "the certificate has a key of 1024 bits, which is too small"},
		{{.names = "DNS:localhost", .digest = EVP_sha1()},
		 "localhost",
		 "the certificate is signed with ecdsa-with-SHA1, which is too weak"},
		{{.names = "DNS:localhost", .usage = "clientAuth"},
		 "localhost",
		 "the certificate is not meant for servers"},
		{{.names = "DNS:a2345678901234567890123456789012345678901234567890.test,"
			   "DNS:b2345678901234567890123456789012345678901234567890.test,"
			   "DNS:c2345678901234567890123456789012345678901234567890.test"},
		 "localhost",
		 "567890.test and 2 more, not for localhost"},
	};

	snprintf(expired, sizeof(expired), "the certificate expired on %s", utc_date(-2, date));
	snprintf(early, sizeof(early), "the certificate is not valid before ");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct row row = rows[i];

		if (row.request.name == NULL)
			row.request.name = "next hop";
		check_row(&row);
	}
}
END_TEST

/* Signed by somebody else; by somebody whom a trusted one signed, who is not shown; by an expired
 * one. */
START_TEST(s234_signers_that_will_not_do)
{
	static const char *const want[] = {
		"the certificate is signed by nobody we trust (issuer CN=Other CA)",
		"the certificate is signed by nobody we trust (issuer CN=In between)",
		"the certificate of its signer CN=Our CA expired on ",
	};

	for (size_t i = 0; i < COUNT(want); i++) {
		struct request request = {.name = "x", .names = "DNS:localhost"};
		struct issued signer = {NULL, NULL};
		struct rig r;

		rig_init(&r);
		request.signer = i < 2 ? &signer : &r.ca;
		if (i == 0)
			authority_issue(&(struct request){.name = "Other CA", .signs = true},
					&signer);
		else if (i == 1)
			authority_issue(&(struct request){.name = "In between",
							  .signs = true,
							  .signer = &r.ca},
					&signer);
		else {
			authority_release(&r.ca);
			authority_issue(&(struct request){.name = "Our CA",
							  .signs = true,
							  .from_days = -9,
							  .to_days = -3},
					&r.ca);
			authority_write(&r.ca, r.ca_file, NULL);
		}
		rig_serve(&r, &request, "localhost", NULL, 0, OFFERS);
		make_tls_and_dial(&r);
		expect(&r, false, want[i]);
		if (i == 1) { /* shown now */
			SSL_CTX_add1_chain_cert(r.server, signer.x509);
			make_tls_and_dial(&r);
			expect(&r, true, "verified");
		}
		rig_end(&r);
		authority_release(&signer);
	}
}
END_TEST

/* With tls_crl: in a list, in none of a list in force, of an expired list, and without a list. */
START_TEST(s234_revoked_certificates)
{
	static const struct {
		bool own, revoked;
		int days;
		const char *why;
	} rows[] = {
		{true, true, 2, "the certificate was revoked"},
		{true, false, 2, NULL},
		{true, false, -2,
		 "the revocation list of the certificate's signer has expired (issuer CN=Our CA)"},
		{false, false, 2,
		 "tls_crl has no revocation list of the certificate's signer (issuer CN=Our CA)"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct hop_tls_notes notes;
		struct issued other;
		const char *key;
		struct err why;
		struct rig r;

		rig_init(&r);
		rig_start(&r, NULL, 0, OFFERS);
		authority_issue(&(struct request){.name = "Other CA", .signs = true}, &other);
		authority_revoke(rows[i].own ? &r.ca : &other, rows[i].revoked ? &r.shown : NULL,
				 rows[i].days, r.key_file);
		r.route.tls_crl = r.key_file;
		ck_assert_int_eq(hop_tls_new(&r.route, &r.tls, &notes, &key, &why), ERR_OK);
		ck_assert(notes.crl_expired == (rows[i].days < 0));
		dial(&r);
		expect(&r, rows[i].why == NULL, rows[i].why != NULL ? rows[i].why : "verified");
		rig_end(&r);
		authority_release(&other);
	}
}
END_TEST

/* What a certificate says of its signer is for people to read, not for their terminals. */
START_TEST(names_in_certificates_are_made_harmless)
{
	struct issued signer;
	struct rig r;

	rig_init(&r);
	authority_issue(&(struct request){.name = "Ev\x1b[31mil\r\n\xc3\xa9", .signs = true},
			&signer);
	rig_serve(&r, &(struct request){.signer = &signer, .name = "x", .names = "DNS:localhost"},
		  "localhost", NULL, 0, OFFERS);
	make_tls_and_dial(&r);
	expect(&r, false, "signed by nobody we trust (issuer CN=Ev");
	for (const char *at = r.why; *at != '\0'; at++)
		ck_assert_msg(*at >= ' ' && *at < 0x7f, "%s", r.why);
	rig_end(&r);
	authority_release(&signer);
}
END_TEST

START_TEST(s234_old_versions_of_tls)
{
	static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION,
				       TLS1_3_VERSION};

	for (size_t i = 0; i < COUNT(versions); i++) {
		struct rig r;

		rig_init(&r);
		rig_start(&r, NULL, 0, OFFERS);
		SSL_CTX_set_min_proto_version(r.server, versions[i]);
		SSL_CTX_set_max_proto_version(r.server, versions[i]);
		make_tls_and_dial(&r);
		if (i < 2)
			expect(&r, false, "no common version of TLS: the next hop refuses 1.2 and");
		else
			expect(&r, true, i == 2 ? "TLSv1.2 TLS_" : "TLSv1.3 TLS_");
		rig_end(&r);
	}
}
END_TEST

/* --- pins ---------------------------------------------------------------------------------- */

/* Verified: any key of the chain. Not verified: the next hop's own only, since only that one is
 * proved. */
START_TEST(pinned_keys)
{
	static const struct {
		bool verify, trusted;
		int pin; /* 0: the next hop's, 1: its signer's, 2: another one */
		const char *facts, *why;
	} rows[] = {
		{true, true, 0, ", verified, pinned", NULL},
		{true, true, 1, ", verified, pinned", NULL},
		{true, true, 2, NULL, "the certificate's key is not pinned (tls_pin); its pin is "},
		{true, false, 0, NULL, "signed by nobody we trust"},
		{false, false, 0, ", pinned, not verified: the certificate is signed by", NULL},
		{false, false, 1, NULL, "is not pinned (tls_pin); its pin is "},
		{false, false, 2, NULL, "is not pinned (tls_pin); its pin is "},
		{false, true, 1, NULL, "is not pinned (tls_pin); its pin is "},
		{false, true, 0, ", verified, pinned", NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		static const char *const wrong = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
		char pins[2][64], own[64];
		const char *list[2] = {wrong, wrong};
		struct issued other;
		struct request request = {.name = "x", .names = "DNS:localhost"};
		struct rig r;

		rig_init(&r);
		authority_issue(&(struct request){.name = "Other CA", .signs = true}, &other);
		request.signer = rows[i].trusted ? &r.ca : &other;
		rig_serve(&r, &request, "localhost", NULL, 0, OFFERS);
		SSL_CTX_add1_chain_cert(r.server, request.signer->x509);
		authority_pin(&r.shown, pins[0]);
		authority_pin(request.signer, pins[1]);
		snprintf(own, sizeof(own), "its pin is %.44s", pins[0]);
		if (rows[i].pin < 2)
			list[1] = pins[rows[i].pin];
		r.route.tls_verify = rows[i].verify;
		r.route.tls_pins = list;
		r.route.tls_pin_count = 2;
		make_tls_and_dial(&r);
		expect(&r, rows[i].why == NULL, rows[i].why != NULL ? rows[i].why : rows[i].facts);
		if (rows[i].why != NULL && strstr(rows[i].why, "pin is") != NULL)
			expect(&r, false, own);
		rig_end(&r);
		authority_release(&other);
	}
}
END_TEST

/* --- modes --------------------------------------------------------------------------------------
 */

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
		{&refused, OFFERS, "STARTTLS: 454 not now", 2},
		{&closed, OFFERS, "the next hop closed the connection", 2},
		{&broken, OFFERS, "no common version of TLS", 2},
	};

	for (size_t i = 0; i < COUNT(rows) * 2; i++) {
		const struct nexthop_step *step = rows[i / 2].step;
		struct rig r;

		rig_init(&r);
		r.route.tls = i % 2 == 0 ? ROUTE_TLS_REQUIRED : ROUTE_TLS_OPPORTUNISTIC;
		rig_start(&r, step, step != NULL, rows[i / 2].ehlo);
		SSL_CTX_set_max_proto_version(r.server, TLS1_1_VERSION);
		make_tls_and_dial(&r);
		expect(&r, i % 2 != 0, rows[i / 2].why);
		if (i % 2 != 0) {
			expect(&r, true, "none: ");
			ck_assert_int_eq(nexthop_connections(r.hop), rows[i / 2].connections);
		}
		rig_end(&r);
	}
}
END_TEST

START_TEST(an_opportunistic_route_uses_what_there_is)
{
	struct rig r;

	rig_init(&r);
	r.route.tls = ROUTE_TLS_OPPORTUNISTIC;
	rig_start(&r, NULL, 0, OFFERS);
	make_tls_and_dial(&r);
	expect(&r, true, "TLSv1.3 TLS_AES_256_GCM_SHA384, verified");
	ck_assert_int_eq(nexthop_connections(r.hop), 1);
	rig_end(&r);
}
END_TEST

/* CVE-2011-0411: in no mode, and it is no reason to go on in clear. */
START_TEST(injected_replies_end_the_attempt)
{
	static const struct nexthop_step injection = {AT_STARTTLS, DO_REPLY,
						      "220 go\r\n250 injected\r\n"};

	for (size_t i = 0; i < 2; i++) {
		struct rig r;

		rig_init(&r);
		r.route.tls = i == 0 ? ROUTE_TLS_REQUIRED : ROUTE_TLS_OPPORTUNISTIC;
		rig_start(&r, &injection, 1, OFFERS);
		make_tls_and_dial(&r);
		expect(&r, false, "plain text was injected behind STARTTLS");
		ck_assert_int_eq(nexthop_connections(r.hop), 1);
		rig_end(&r);
	}
}
END_TEST

START_TEST(implicit_tls)
{
	struct rig r;

	rig_init(&r);
	r.route.tls = ROUTE_TLS_IMPLICIT;
	rig_start(&r, NULL, 0, OFFERS);
	make_tls_and_dial(&r);
	expect(&r, true, "verified");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_STARTTLS), 0);
	rig_end(&r);
}
END_TEST

/* Port 25 and port 465 mixed up. */
START_TEST(implicit_tls_to_who_speaks_first)
{
	struct rig r;

	rig_init(&r);
	rig_start(&r, NULL, 0, OFFERS);
	r.route.tls = ROUTE_TLS_IMPLICIT;
	make_tls_and_dial(&r);
	expect(&r, false, "TLS handshake: what came is not TLS");
	rig_end(&r);
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
	struct rig r;
	int64_t begin = clock_mono_ms();

	rig_init(&r);
	r.route.command_timeout_ms = 400;
	rig_start(&r, &drip, 1, OFFERS);
	make_tls_and_dial(&r);
	expect(&r, false, "no TLS handshake in time");
	ck_assert_int_lt(clock_mono_ms() - begin, 1500);
	rig_end(&r);
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
		struct rig r;

		rig_init(&r);
		r.route.tls = required ? ROUTE_TLS_REQUIRED : ROUTE_TLS_OPPORTUNISTIC;
		rig_start(&r, NULL, 0, OFFERS);
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
		make_tls_and_dial(&r);
		if (shown)
			expect(&r, true, "verified");
		else
			expect(&r, !required,
			       i < 3 ? "the next hop wants a client certificate (tls_certificate)"
				     : "the next hop refuses TLS: handshake failure");
		rig_end(&r);
		authority_release(&ours);
	}
}
END_TEST

START_TEST(a_certificate_that_the_next_hop_does_not_take)
{
	struct issued ours;
	struct rig r;

	rig_init(&r);
	rig_start(&r, NULL, 0, OFFERS);
	SSL_CTX_set_verify(r.server, SSL_VERIFY_PEER, NULL);
	authority_issue(&(struct request){.name = "us"}, &ours);
	authority_write(&ours, r.crt_file, r.key_file);
	r.route.tls_certificate = r.crt_file;
	r.route.tls_key = r.key_file;
	make_tls_and_dial(&r);
	expect(&r, false, "the next hop does not take our client certificate: unknown CA");
	rig_end(&r);
	authority_release(&ours);
}
END_TEST

/* --- files: S238
 * ------------------------------------------------------------------------------------- */

static void put(const char *file, const char *text, mode_t mode)
{
	FILE *out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
	ck_assert_int_eq(chmod(file, mode), 0);
}

static void expect_bad(struct rig *r, const char *want_key, const char *words)
{
	struct hop_tls *tls = NULL;
	struct hop_tls_notes notes;
	const char *key;
	struct err why;

	ck_assert_int_lt(hop_tls_new(&r->route, &tls, &notes, &key, &why), 0);
	ck_assert_ptr_null(tls);
	ck_assert_str_eq(key, want_key);
	ck_assert_msg(strstr(why.text, words) != NULL, "\"%s\" is not in \"%s\"", words, why.text);
}

START_TEST(s238_files_that_will_not_do)
{
	struct issued ours, other;
	struct rig r;

	rig_init(&r);
	rig_start(&r, NULL, 0, OFFERS);
	put(r.ca_file, "", 0600);
	expect_bad(&r, "tls_ca", "no certificates to trust in it");
	put(r.ca_file, "garbage\n", 0600);
	expect_bad(&r, "tls_ca", "no certificates to trust in it");
	put(r.ca_file, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 0600);
	expect_bad(&r, "tls_ca", "a certificate in it is broken");
	unlink(r.ca_file);
	expect_bad(&r, "tls_ca", "No such file");
	authority_write(&r.ca, r.ca_file, NULL);
	if (geteuid() != 0) { /* who may read everything */
		ck_assert_int_eq(chmod(r.ca_file, 0), 0);
		expect_bad(&r, "tls_ca", "Permission denied");
		ck_assert_int_eq(chmod(r.ca_file, 0600), 0);
	}
	r.route.tls_crl = r.ca_file;
	expect_bad(&r, "tls_crl", "no revocation list in it");
	r.route.tls_crl = "/nonexistent.pem";
	expect_bad(&r, "tls_crl", "No such file");
	r.route.tls_crl = NULL;
	authority_issue(&(struct request){.name = "us"}, &ours);
	authority_issue(&(struct request){.name = "other"}, &other);
	authority_write(&ours, r.crt_file, NULL);
	authority_write(&other, NULL, r.key_file);
	r.route.tls_certificate = r.crt_file;
	r.route.tls_key = r.key_file;
	expect_bad(&r, "tls_certificate", "the key belongs to another certificate");
	authority_write(&ours, NULL, r.key_file);
	ck_assert_int_eq(chmod(r.key_file, 0604), 0);
	expect_bad(&r, "tls_certificate", "everybody on this machine can read the private key");
	ck_assert_int_eq(chmod(r.key_file, 0600), 0);
	make_tls_and_dial(&r);
	expect(&r, true, "verified");
	rig_end(&r);
	authority_release(&ours);
	authority_release(&other);
}
END_TEST

/* A folder needs no hashed names; what holds no certificate does not matter there. */
START_TEST(authorities_in_a_folder)
{
	char path[128];
	struct rig r;

	rig_init(&r);
	rig_start(&r, NULL, 0, OFFERS);
	r.route.tls_ca = r.folder;
	snprintf(path, sizeof(path), "%s/README", r.folder);
	put(path, "nothing\n", 0600);
	make_tls_and_dial(&r);
	expect(&r, true, "verified");
	unlink(r.ca_file);
	expect_bad(&r, "tls_ca", "no certificates to trust in it");
	rig_end(&r);
}
END_TEST

/* A next hop's own certificate may be trusted as it is, signed by whomever. */
START_TEST(a_certificate_may_be_trusted_itself)
{
	struct rig r;

	rig_init(&r);
	rig_start(&r, NULL, 0, OFFERS);
	authority_write(&r.shown, r.ca_file, NULL);
	make_tls_and_dial(&r);
	expect(&r, true, "verified");
	rig_end(&r);
}
END_TEST

START_TEST(without_its_files_a_route_says_so)
{
	struct rig r;

	rig_init(&r);
	rig_start(&r, NULL, 0, OFFERS);
	r.tls_why = "tls_ca: it is gone";
	dial(&r);
	expect(&r, false, "tls_ca: it is gone");
	rig_end(&r);
}
END_TEST

/* --- sessions
 * ------------------------------------------------------------------------------------------ */

#define DIALS 20

/* The time of DIALS dials; with `forget` each is the first one. */
static int64_t time_dials(struct rig *r, bool forget, const char *words)
{
	int64_t spent = 0;

	for (int i = 0; i < DIALS; i++) {
		int64_t begin;

		if (forget)
			make_tls(r);
		begin = clock_mono_us();
		dial(r);
		spent += clock_mono_us() - begin;
		expect(r, true, words);
		ck_assert((strstr(r->facts, "resumed") == NULL) == forget);
	}
	return spent / DIALS;
}

static void check_resumption(int version, const struct request *shown)
{
	int64_t full_us, resumed_us;
	struct rig r;

	rig_init(&r);
	r.route.tls = ROUTE_TLS_IMPLICIT;
	rig_serve(&r, shown, "localhost", NULL, 0, OFFERS);
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
	rig_end(&r);
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
	struct rig r;

	rig_init(&r);
	r.route.tls_verify = false;
	rig_serve(&r, &(struct request){.name = "x", .names = "DNS:other.test"}, "localhost", NULL,
		  0, OFFERS);
	make_tls(&r);
	for (int i = 0; i < 3; i++) {
		dial(&r);
		expect(&r, true, "not verified: the certificate is self-signed");
		ck_assert((strstr(r.facts, ", resumed,") != NULL) == (i > 0));
	}
	rig_end(&r);
}
END_TEST

/* Refused in TLS, and there is a login: what failed is TLS, and nothing goes on in clear. */
START_TEST(s239_no_clear_text_where_there_is_a_login)
{
	static const struct nexthop_step refused = {AT_STARTTLS, DO_REPLY, "454 not now\r\n"};

	for (size_t i = 0; i < 2; i++) {
		struct rig r;

		rig_init(&r);
		r.route.tls = ROUTE_TLS_OPPORTUNISTIC;
		r.route.auth_without_tls = i == 1;
		r.route.username = "staging";
		r.route.password = r.route.secret = "secret";
		r.keyring = keyring_new();
		r.key = key_new(r.keyring, &r.route);
		rig_start(&r, &refused, 1, OFFERS);
		make_tls_and_dial(&r);
		expect(&r, false, i == 0 ? "STARTTLS: 454 not now" : "does not offer AUTH");
		ck_assert_int_eq(nexthop_connections(r.hop), i == 0 ? 1 : 2);
		rig_end(&r);
	}
}
END_TEST

/* A server that has forgotten its ticket keys makes a full handshake, with its certificate. */
START_TEST(a_next_hop_that_was_restarted)
{
	unsigned char keys[80];
	struct rig r;

	rig_init(&r);
	rig_start(&r, NULL, 0, OFFERS);
	make_tls_and_dial(&r);
	memset(keys, 7, sizeof(keys));
	ck_assert_int_eq(SSL_CTX_set_tlsext_ticket_keys(r.server, keys, sizeof(keys)), 1);
	SSL_CTX_flush_sessions(r.server, 0x7fffffff);
	dial(&r);
	expect(&r, true, ", verified");
	ck_assert(strstr(r.facts, "resumed") == NULL);
	dial(&r);
	expect(&r, true, ", resumed");
	rig_end(&r);
}
END_TEST

UNIT_MAIN("deliver/securing", s234_certificates_that_will_not_do, s234_signers_that_will_not_do,
	  s234_revoked_certificates, names_in_certificates_are_made_harmless,
	  s234_old_versions_of_tls, pinned_keys, s233_next_hops_without_tls,
	  an_opportunistic_route_uses_what_there_is, injected_replies_end_the_attempt, implicit_tls,
	  implicit_tls_to_who_speaks_first, a_dribbled_handshake_is_cut,
	  a_next_hop_that_wants_our_certificate, a_certificate_that_the_next_hop_does_not_take,
	  s238_files_that_will_not_do, authorities_in_a_folder, a_certificate_may_be_trusted_itself,
	  without_its_files_a_route_says_so, s239_no_clear_text_where_there_is_a_login,
	  sessions_are_resumed, a_resumed_session_is_as_good_as_the_first,
	  a_next_hop_that_was_restarted)
