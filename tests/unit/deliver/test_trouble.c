/* tests relay/deliver/trouble.c, through store, delivery and a next hop that misbehaves */
#include <config.h>

#include "relay/deliver/trouble.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(replies_and_codes)
{
	static const struct {
		int code;
		enum trouble want;
	} replies[] = {
		{550, TROUBLE_REFUSED},	      {552, TROUBLE_REFUSED},
		{450, TROUBLE_PUT_OFF},	      {421, TROUBLE_PUT_OFF},
		{454, TROUBLE_PUT_OFF},	      {530, TROUBLE_CONFIGURATION},
		{535, TROUBLE_CONFIGURATION}, {534, TROUBLE_CONFIGURATION},
		{538, TROUBLE_CONFIGURATION}, {354, TROUBLE_PROTOCOL},
		{25, TROUBLE_PROTOCOL},	      {0, TROUBLE_PROTOCOL},
	};
	static const struct {
		int code;
		enum trouble want;
	} codes[] = {
		{ERR_OK, TROUBLE_NONE},
		{ERR_IO, TROUBLE_NETWORK},
		{ERR_CLOSED, TROUBLE_NETWORK},
		{ERR_TIMEOUT, TROUBLE_TIMEOUT},
		{ERR_SYNTAX, TROUBLE_PROTOCOL},
		{ERR_LIMIT, TROUBLE_PROTOCOL},
		{ERR_UNSUPPORTED, TROUBLE_CONFIGURATION},
		{ERR_DENIED, TROUBLE_LOCAL},
	};

	for (size_t i = 0; i < COUNT(replies); i++)
		ck_assert_int_eq(trouble_of_reply(replies[i].code), replies[i].want);
	for (size_t i = 0; i < COUNT(codes); i++)
		ck_assert_int_eq(trouble_of_code(codes[i].code), codes[i].want);
}
END_TEST

/* RFC 3463: what is not the next hop's own word is put into a class of ours. */
START_TEST(each_has_a_name_and_a_status)
{
	static const struct {
		enum trouble trouble;
		const char *name;
		const char *apart, *connected;
	} rows[] = {
		{TROUBLE_NONE, NULL, NULL, NULL},
		{TROUBLE_REFUSED, "refused", NULL, NULL},
		{TROUBLE_PUT_OFF, "put_off", NULL, NULL},
		{TROUBLE_NETWORK, "network", "4.4.1", "4.4.2"},
		{TROUBLE_TIMEOUT, "timeout", "4.4.1", "4.4.2"},
		{TROUBLE_TLS, "tls", "4.7.5", "4.7.5"},
		{TROUBLE_PROTOCOL, "protocol", "4.5.0", "4.5.0"},
		{TROUBLE_CONFIGURATION, "configuration", "4.3.5", "4.3.5"},
		{TROUBLE_POLICY, "policy", "4.7.1", "4.7.1"},
		{TROUBLE_LOCAL, "local", "4.3.0", "4.3.0"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		ck_assert_pstr_eq(trouble_name(rows[i].trouble), rows[i].name);
		ck_assert_pstr_eq(trouble_status(rows[i].trouble, false), rows[i].apart);
		ck_assert_pstr_eq(trouble_status(rows[i].trouble, true), rows[i].connected);
	}
}
END_TEST

/* What happens, and what the last line of the history calls it. */
struct row {
	const char *name;
	struct nexthop_step step;
	const char *ehlo;
	enum route_tls tls;
	const char *host; /* NULL: the scripted one */
	bool xclient;
	enum state want;
	const char *kind;
};

static void play(const struct row *row)
{
	const struct recipient_view *view;
	struct ulid id;
	struct rig r;

	rig_open(&r, &row->step, row->step.act != DO_REPLY || row->step.reply != NULL ? 1 : 0,
		 row->ehlo);
	r.route.command_timeout_ms = r.route.final_reply_timeout_ms = 500;
	r.route.tls = row->tls;
	r.route.xclient = row->xclient;
	if (row->host != NULL)
		r.host = row->host;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	view = rig_await(&r, &id, "ann@ok.test", row->want);
	ck_assert_msg(view->kind != NULL && strcmp(view->kind, row->kind) == 0, "%s: %s (%s)",
		      row->name, view->kind, view->reason);
	ck_assert_str_eq(view->history[view->history_count - 1].kind, row->kind);
	ck_assert_ptr_null(view->history[0].kind);
	rig_stop(&r);
}

START_TEST(each_kind_of_failure_has_its_word)
{
	static const struct row rows[] = {
		{.name = "S223 421 at the greeting",
		 .step = {AT_GREETING, DO_REPLY, "421 no\r\n"},
		 .want = STATE_DEFERRED,
		 .kind = "put_off"},
		{.name = "554 at the greeting",
		 .step = {AT_GREETING, DO_REPLY, "554 no\r\n"},
		 .want = STATE_DEFERRED,
		 .kind = "refused"},
		{.name = "nonsense at the greeting",
		 .step = {AT_GREETING, DO_REPLY, "HTTP/1.1 400 Bad\r\n\r\n"},
		 .want = STATE_DEFERRED,
		 .kind = "protocol"},
		{.name = "gone before the greeting",
		 .step = {AT_GREETING, DO_DROP},
		 .want = STATE_DEFERRED,
		 .kind = "network"},
		{.name = "silence before the greeting",
		 .step = {AT_GREETING, DO_STALL},
		 .want = STATE_DEFERRED,
		 .kind = "timeout"},
		{.name = "nobody there",
		 .host = "127.0.0.1:1",
		 .want = STATE_DEFERRED,
		 .kind = "network"},
		{.name = "no such name",
		 .host = "nobody.invalid:25",
		 .want = STATE_DEFERRED,
		 .kind = "network"},
		{.name = "no STARTTLS",
		 .tls = ROUTE_TLS_REQUIRED,
		 .want = STATE_DEFERRED,
		 .kind = "tls"},
		{.name = "STARTTLS refused",
		 .step = {AT_EHLO, DO_REPLY, "250-x\r\n250 STARTTLS\r\n"},
		 .tls = ROUTE_TLS_REQUIRED,
		 .want = STATE_DEFERRED,
		 .kind = "tls"},
		{.name = "no XCLIENT",
		 .xclient = true,
		 .want = STATE_DEFERRED,
		 .kind = "configuration"},
		{.name = "XCLIENT refused",
		 .step = {AT_XCLIENT, DO_REPLY, "550 5.7.0 insufficient authorization\r\n"},
		 .ehlo = "XCLIENT NAME ADDR",
		 .xclient = true,
		 .want = STATE_DEFERRED,
		 .kind = "configuration"},
		{.name = "XCLIENT put off",
		 .step = {AT_XCLIENT, DO_REPLY, "421 4.3.2 busy\r\n"},
		 .ehlo = "XCLIENT NAME ADDR",
		 .xclient = true,
		 .want = STATE_DEFERRED,
		 .kind = "put_off"},
		{.name = "S225 530 at MAIL",
		 .step = {AT_MAIL, DO_REPLY, "530 5.7.0 log in\r\n"},
		 .want = STATE_DEFERRED,
		 .kind = "configuration"},
		{.name = "S225 550 at MAIL",
		 .step = {AT_MAIL, DO_REPLY, "550 5.7.23 SPF\r\n"},
		 .want = STATE_FAILED,
		 .kind = "refused"},
		{.name = "S225 552 at MAIL",
		 .step = {AT_MAIL, DO_REPLY, "552 5.3.4 too big\r\n"},
		 .want = STATE_FAILED,
		 .kind = "refused"},
		{.name = "450 at RCPT",
		 .step = {AT_RCPT, DO_REPLY, "450 4.2.1 later\r\n"},
		 .want = STATE_DEFERRED,
		 .kind = "put_off"},
		{.name = "drop at RCPT",
		 .step = {AT_RCPT, DO_DROP},
		 .want = STATE_DEFERRED,
		 .kind = "network"},
		{.name = "S216 silence after 354",
		 .step = {AT_DOT, DO_STALL},
		 .want = STATE_DEFERRED,
		 .kind = "timeout"},
		{.name = "S217 drop after the dot",
		 .step = {AT_DOT, DO_DROP},
		 .want = STATE_DEFERRED,
		 .kind = "network"},
		{.name = "S213 550 after the dot",
		 .step = {AT_DOT, DO_REPLY, "550 5.7.1 no\r\n"},
		 .want = STATE_FAILED,
		 .kind = "refused"},
		{.name = "250 for DATA",
		 .step = {AT_DATA, DO_REPLY, "250 ok\r\n"},
		 .want = STATE_DEFERRED,
		 .kind = "protocol"},
		{.name = "larger than it takes",
		 .ehlo = "SIZE 5",
		 .want = STATE_FAILED,
		 .kind = "policy"},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		play(&rows[i]);
}
END_TEST

/* What never got as far as a next hop, and what got through. */
START_TEST(without_a_next_hop)
{
	static const char *const two[] = {"ann@ok.test", "eve@other.test", NULL};
	static const char bytes[] = "Subject: x\r\n\r\n";
	struct ulid id;
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	id = rig_accept(&r, "", two, bytes, sizeof(bytes) - 1);
	ck_assert_ptr_null(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->kind);
	ck_assert_str_eq(rig_await(&r, &id, "eve@other.test", STATE_DROPPED)->kind, "policy");
	r.fault = "defer 9 451 4.3.0 rule Later";
	id = rig_accept_plain(&r, "ann@ok.test");
	ck_assert_str_eq(rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED)->kind, "policy");
	rig_stop(&r);
	rig_open(&r, NULL, 0, NULL);
	r.own = true;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	ck_assert_str_eq(rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED)->kind, "configuration");
	rig_stop(&r);
}
END_TEST

/* The word is that of the last attempt: gone once it went well. */
START_TEST(forgotten_when_it_works)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 4.2.1 later\r\n",
						 .from = 1, .to = 1};
	const struct recipient_view *view;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 20;
	rig_deliver(&r);
	view = rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	ck_assert_ptr_null(view->kind);
	ck_assert_uint_eq(view->history_count, 3);
	ck_assert_str_eq(view->history[1].kind, "put_off");
	ck_assert_ptr_null(view->history[2].kind);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/trouble", replies_and_codes, each_has_a_name_and_a_status,
	  each_kind_of_failure_has_its_word, without_a_next_hop, forgotten_when_it_works)
