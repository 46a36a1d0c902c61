/* tests relay/hook/nginx.c: nginx's own bytes (MTA 1.2), and its answers (MTA 1.3, C5) */
#include "relay/hook/nginx.h"

#include "tests/unit/hook/question.h"
#include "tests/unit/unit.h"

#define RELAY(n)                                                                                   \
	"X-Relay-Rcpt: a@ok\r\nX-Relay-Sender: s@x\r\nX-Relay-Login: " n "\r\n"                    \
	"X-Relay-Queue-Id: 01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n"                                         \
	"X-Relay-Rcpt-Index: 1\r\nX-Relay-Rcpt-Count: 3"

static struct hook_options options;

static const char *written(const struct sample *s, bool for_key)
{
	static struct buf out;

	buf_release(&out);
	buf_init(&out, NGINX_REQUEST_MAX);
	ck_assert_int_eq(nginx_write(&s->question, &options, for_key, &out), ERR_OK);
	return out.data;
}

/* C2: byte for byte. */
START_TEST(smallest_request)
{
	struct sample s;

	sample_init(&s, 1);
	ck_assert_str_eq(written(&s, false),
			 "Auth-Method: none\r\n"
			 "Auth-User: \r\n"
			 "Auth-Pass: \r\n"
			 "Auth-Protocol: smtp\r\n"
			 "Auth-Login-Attempt: 1\r\n"
			 "Client-IP: 192.0.2.7\r\n"
			 "Client-Host: [UNAVAILABLE]\r\n"
			 "Auth-SMTP-Helo: client.test\r\n"
			 "Auth-SMTP-From: MAIL FROM:<s@x> SIZE=418\r\n"
			 "Auth-SMTP-To: RCPT TO:<a@ok> ORCPT=rfc822;a@ok\r\n" RELAY(""));
}
END_TEST

START_TEST(everything)
{
	static const struct hook_header headers[] = {{"X-Key", "secret"}, {"X-Empty", ""}};
	struct sample s;

	options = (struct hook_options){.headers = headers, .header_count = 2};
	sample_init(&s, 1);
	s.message.m.client_address = "2001:db8::7";
	s.message.m.client_name = "host-1.example.com";
	s.message.m.helo = NULL;
	s.message.m.user = "shop";
	s.message.m.tls = "TLSv1.3 TLS_AES_256_GCM_SHA384";
	s.message.m.certificate_subject = "CN=client one,O=Client Org";
	s.recipients[0].asked = 4;
	ck_assert_str_eq(written(&s, false), "Auth-Method: none\r\n"
					     "Auth-User: \r\n"
					     "Auth-Pass: \r\n"
					     "Auth-Protocol: smtp\r\n"
					     "Auth-Login-Attempt: 5\r\n" /* C3 */
					     "Client-IP: 2001:db8::7\r\n"
					     "Client-Host: host-1.example.com\r\n"
					     "Auth-SMTP-Helo: \r\n"
					     "Auth-SMTP-From: MAIL FROM:<s@x> SIZE=418\r\n"
					     "Auth-SMTP-To: RCPT TO:<a@ok> ORCPT=rfc822;a@ok\r\n"
					     "Auth-SSL: on\r\n"
					     "Auth-SSL-Protocol: TLSv1.3\r\n"
					     "Auth-SSL-Cipher: TLS_AES_256_GCM_SHA384\r\n"
					     "Auth-SSL-Verify: SUCCESS\r\n"
					     "Auth-SSL-Subject: CN=client one,O=Client Org\r\n"
					     "X-Key: secret\r\n"
					     "X-Empty: \r\n" RELAY("shop"));
}
END_TEST

/* Escaped as nginx does, and cut into four; the client's port is no part of the question. */
START_TEST(proxied)
{
	struct sample s;
	char *first;

	sample_init(&s, 1);
	s.message.m.proxied = "2001:db8::7 4711 2001:db8::9 25";
	ck_assert_ptr_nonnull(strstr(written(&s, false),
				     "\r\nClient-Host: [UNAVAILABLE]\r\n"
				     "Proxy-Protocol-Addr: 2001:db8::7\r\n"
				     "Proxy-Protocol-Port: 4711\r\n"
				     "Proxy-Protocol-Server-Addr: 2001:db8::9\r\n"
				     "Proxy-Protocol-Server-Port: 25\r\n"
				     "Auth-SMTP-Helo: client.test\r\n"));
	first = mem_strdup(written(&s, true));
	s.message.m.proxied = "2001:db8::7 4712 2001:db8::9 25";
	ck_assert_str_eq(written(&s, true), first);
	s.message.m.proxied = "2001:db8::8 4712 2001:db8::9 25";
	ck_assert_str_ne(written(&s, true), first);
	mem_free(first);
}
END_TEST

/* What is no certificate tells nothing; what none was asked for is not told of. */
START_TEST(certificates)
{
	struct sample s;

	sample_init(&s, 1);
	options = (struct hook_options){.pass_client_certificate = true};
	s.message.m.tls = "TLSv1.3 X";
	s.message.m.certificate_verdict = "FAILED:certificate has expired";
	s.message.m.certificate = "100 %\n";
	ck_assert_ptr_nonnull(strstr(written(&s, false),
				     "\r\nAuth-SSL-Cipher: X\r\n"
				     "Auth-SSL-Verify: FAILED:certificate has expired\r\n"
				     "Auth-SSL-Cert: 100%20%25%0A\r\nX-Relay-Rcpt: "));
	options.pass_client_certificate = false;
	ck_assert_ptr_null(strstr(written(&s, false), "Auth-SSL-Cert"));
	s.message.m.certificate_verdict = NULL;
	s.message.m.certificate = NULL;
	ck_assert_ptr_null(strstr(written(&s, false), "Auth-SSL-Verify"));
}
END_TEST

/* C4: what scripts of nginx expect who have read its manual; and what came another way. */
START_TEST(commands)
{
	struct sample s;

	sample_init(&s, 1);
	options.commands = HOOK_COMMANDS_CANONICAL;
	ck_assert_ptr_nonnull(strstr(written(&s, false), "\r\nAuth-SMTP-From: MAIL FROM: <s@x>\r\n"
							 "Auth-SMTP-To: RCPT TO: <a@ok>\r\n"));
	options.commands = HOOK_COMMANDS_RAW;
	s.message.m.command = s.recipients[0].command = NULL;
	s.message.m.client_address = NULL;
	s.message.m.sender = "";
	ck_assert_ptr_nonnull(strstr(written(&s, false), "\r\nAuth-SMTP-From: MAIL FROM:<>\r\n"
							 "Auth-SMTP-To: RCPT TO:<a@ok>\r\n"));
	ck_assert_ptr_nonnull(strstr(written(&s, false), "\r\nClient-IP: unix:\r\n"));
	s.recipients[0].command = "rcpt to:<\xc3\xa9@ok>   NOTIFY=NEVER";
	ck_assert_ptr_nonnull(strstr(written(&s, false),
				     "Auth-SMTP-To: rcpt to:<\xc3\xa9@ok>   NOTIFY=NEVER\r\n"));
}
END_TEST

/* CVE-2026-28753: a name of somebody's is a line of the request. */
START_TEST(nothing_ends_a_line)
{
	struct sample s;

	sample_init(&s, 1);
	s.message.m.client_name = "evil\r\nAuth-User: root";
	s.message.m.helo = "x\r\nX-Evil: 1";
	s.recipients[0].command = "RCPT TO:<a@ok>\nX-Evil: 2";
	ck_assert_ptr_nonnull(strstr(written(&s, false), "\r\nClient-Host: [UNAVAILABLE]\r\n"));
	ck_assert_ptr_null(strstr(written(&s, false), "\nX-Evil"));
	s.message.m.client_name = "under_score.test";
	ck_assert_ptr_nonnull(strstr(written(&s, false), "\r\nClient-Host: [UNAVAILABLE]\r\n"));
}
END_TEST

START_TEST(same_question_same_key)
{
	struct sample s;
	char *first;

	sample_init(&s, 1);
	first = mem_strdup(written(&s, true));
	s.message.m.id = ulid_new(1);
	s.recipients[0].asked = 3;
	s.recipients[0].index = 2;
	ck_assert_str_eq(written(&s, true), first);
	s.message.m.user = "other";
	ck_assert_str_ne(written(&s, true), first);
	mem_free(first);
}
END_TEST

#define HOP(fields)  HEAD("Auth-Status: OK\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 25\r\n" fields)
#define HEAD(fields) "HTTP/1.1 200 OK\r\n" fields "\r\n"

static const struct {
	const char *head;
	enum decision_kind want;
	const char *hop;
	const char *reason; /* behind "the policy hook: "; NULL: any */
	bool later;
	int64_t wait_ms;
	const char *login; /* NULL: none was said */
} answers[] = {
	/* C5, row by row */
	{HEAD("Auth-Status: OK\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 2525\r\n"), DECISION_ALLOW,
	 "192.0.2.1:2525", "allowed"},
	{HEAD("Auth-Server: 192.0.2.1\r\nAuth-Port: 25\r\n"), DECISION_ALLOW, "192.0.2.1:25"},
	{HEAD("Auth-Status:\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 25\r\n"), DECISION_ALLOW,
	 "192.0.2.1:25"},
	{HEAD("Auth-Status: OK\r\n"), DECISION_ALLOW, ""},
	{"HTTP/1.1 403 No\r\nAuth-Status: OK\r\n\r\n", DECISION_ALLOW, ""},
	{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", DECISION_NONE, ""},
	{"HTTP/1.1 500 No\r\n\r\n", DECISION_NONE, ""},
	{HEAD("Auth-Status: no such user\r\n"), DECISION_DROP, "", "no such user"},
	{HEAD("Auth-Status: ok\r\n"), DECISION_DROP, "", "ok"},
	{HEAD("Auth-Status: no\r\nAuth-Error-Code: 550 5.1.1\r\nAuth-Wait: 3\r\n"), DECISION_DROP,
	 "", "550 5.1.1 no"},
	{HEAD("Auth-Status: no\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 25\r\n"), DECISION_DROP, ""},
	{HEAD("Auth-Status: OK\r\nAuth-Status: no\r\n"), DECISION_DROP, "", "no"},
	{HEAD("Auth-Status: no\r\nAuth-Status: OK\r\n"), DECISION_DROP, "", "no"},
	{HEAD("Auth-Status: database down\r\nAuth-Error-Code: 451 4.3.0\r\nAuth-Wait: 7\r\n"),
	 DECISION_NONE, "", "451 4.3.0 database down", false, 7000},
	{HEAD("Auth-Status: no\r\nAuth-Error-Code: nonsense\r\n"), DECISION_NONE, ""},
	{HEAD("Auth-Status: WAIT\r\nAuth-Wait: 5\r\n"), DECISION_NONE, "", "asks to wait", true,
	 5000},
	{HEAD("Auth-Status: WAIT\r\n"), DECISION_NONE, "", NULL, true, 0},
	{HEAD("Auth-Status: WAIT\r\nAuth-Wait: soon\r\n"), DECISION_NONE, "", NULL, true, 0},
	{HEAD("Auth-Status: WAIT\r\nAuth-Wait: 99999999999999999999\r\n"), DECISION_NONE, "", NULL,
	 true, 86400000},
	{HEAD("Auth-Status: wait\r\n"), DECISION_DROP, ""},
	{HEAD("Auth-Wait: 1\r\nAuth-Status: OK\r\n"), DECISION_ALLOW, ""},
	/* names without regard to case, blanks around values, names with an underscore (C11) */
	{HEAD("aUTH-sTATUS:   OK  \r\nX_Other: 1\r\n"), DECISION_ALLOW, ""},
	/* C8 */
	{HEAD("Auth-Status: OK\r\nAuth-Server: 2001:db8::1\r\nAuth-Port: 25\r\n"), DECISION_ALLOW,
	 "[2001:db8::1]:25"},
	{HEAD("Auth-Status: OK\r\nAuth-Server: [::1]\r\nAuth-Port: 25\r\n"), DECISION_ALLOW,
	 "[::1]:25"},
	{HEAD("Auth-Status: OK\r\nAuth-Server: mx.test\r\nAuth-Port: 25\r\n"), DECISION_ALLOW,
	 "mx.test:25"},
	{HEAD("Auth-Status: OK\r\nAuth-Server: unix:/run/mx\r\nAuth-Port: 25\r\n"), DECISION_ALLOW,
	 "unix:/run/mx"},
	{HEAD("Auth-Status: OK\r\nAuth-Server: 192.0.2.1\r\n"), DECISION_NONE, ""},
	{HEAD("Auth-Status: OK\r\nAuth-Port: 25\r\n"), DECISION_NONE, ""},
	{HEAD("Auth-Status: OK\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 0\r\n"), DECISION_NONE, ""},
	{HEAD("Auth-Status: OK\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 65536\r\n"), DECISION_NONE,
	 ""},
	{HEAD("Auth-Status: OK\r\nAuth-Server: 300.0.2.1\r\nAuth-Port: 25\r\n"), DECISION_NONE, ""},
	{HEAD("Auth-Status: OK\r\nAuth-Server: a b\r\nAuth-Port: 25\r\n"), DECISION_NONE, ""},
	/* what is no header at all */
	{HEAD("Auth-Status: OK\r\nnonsense\r\n"), DECISION_NONE, ""},
	{HEAD("Auth-Status: OK\r\n folded: x\r\n"), DECISION_NONE, ""},
	{HEAD("Auth-Status : OK\r\n"), DECISION_NONE, ""},
	{HEAD(": OK\r\n"), DECISION_NONE, ""},
	{"", DECISION_NONE, ""},
	/* cut off: what is missing may have been a no */
	{"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\n", DECISION_NONE, "", "its answer breaks off"},
	{"HTTP/1.1 200 OK\r\nAuth-Status: OK", DECISION_NONE, "", "its answer breaks off"},
	/* a trailer is no header */
	{HEAD("X: y\r\n") "Auth-Status: OK\r\n\r\n", DECISION_NONE, ""},
	/* C9: with a next hop only */
	{HEAD("Auth-Status: OK\r\nAuth-User: u\r\nAuth-Pass: p\r\n"), DECISION_ALLOW, ""},
	{HOP("Auth-User: u\r\nAuth-Pass: p q\r\n"), DECISION_ALLOW, "192.0.2.1:25",
	 .login = "u\np q"},
	{HOP("Auth-User: \xc3\xbc\r\nAuth-Pass: \xc3\xb6\r\n"), DECISION_ALLOW, "192.0.2.1:25",
	 .login = "\xc3\xbc\n\xc3\xb6"},
	{HOP("Auth-User: u\r\n"), DECISION_ALLOW, "192.0.2.1:25"},
	{HOP("Auth-Pass: p\r\n"), DECISION_NONE, "", "its Auth-User and Auth-Pass are no login"},
	{HOP("Auth-User: u\xff\r\nAuth-Pass: p\r\n"), DECISION_NONE, ""},
	{HOP("Auth-User: u\r\nAuth-Pass: p\x01\r\n"), DECISION_NONE, ""},
	{HOP("Auth-Method: None\r\nAuth-User: u\r\nAuth-Pass: p\r\n"), DECISION_ALLOW,
	 "192.0.2.1:25", .login = ""},
	{HOP("Auth-Method: plain\r\n"), DECISION_ALLOW, "192.0.2.1:25"},
	/* what people are shown is text */
	{HEAD("Auth-Status: \xff\x01 no\r\n"), DECISION_DROP, "", "?? no"},
};

START_TEST(reads_answers)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct decision d;

		nginx_read(span_of(answers[i].head), true, &d);
		ck_assert_msg(d.kind == answers[i].want, "%s: %d %s", answers[i].head, d.kind,
			      d.reason);
		ck_assert_str_eq(d.hop, answers[i].hop);
		ck_assert_msg(strncmp(d.reason, "the policy hook: ", 17) == 0, "%s", d.reason);
		ck_assert_msg(d.has_login == (answers[i].login != NULL), "%s", answers[i].head);
		if (d.has_login)
			ck_assert_str_eq(d.login, answers[i].login);
		if (answers[i].reason != NULL)
			ck_assert_str_eq(d.reason + 17, answers[i].reason);
		ck_assert_msg(d.later == answers[i].later && d.wait_ms == answers[i].wait_ms,
			      "%s: %lld", answers[i].head, (long long)d.wait_ms);
	}
}
END_TEST

START_TEST(chooses_no_hop_unless_allowed)
{
	struct decision d;

	nginx_read(span_of(answers[0].head), false, &d);
	ck_assert_int_eq(d.kind, DECISION_ALLOW);
	ck_assert_str_eq(d.hop, "");
}
END_TEST

UNIT_MAIN("hook/nginx", smallest_request, everything, commands, nothing_ends_a_line,
	  same_question_same_key, proxied, certificates, reads_answers,
	  chooses_no_hop_unless_allowed)
