/* tests relay/deliver/login.c: AUTH with tokens, which a file or a command brings */
#include <config.h> /* usleep */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/deliver/account.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

START_TEST(xoauth2_and_its_refusal)
{
	/* {"status":"401","schemes":"bearer"} */
	static const struct nexthop_step steps[] = {
		{AT_AUTH, DO_REPLY, "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=\r\n"},
		{AT_AUTH_LINE, DO_REPLY, "535 5.7.8 not accepted\r\n"},
	};
	const struct recipient_view *one;
	struct rig r;

	for (size_t i = 0; i < 2; i++) {
		rig_open(&r, steps, i == 0 ? 0 : COUNT(steps), ACCOUNT_EHLO "PLAIN XOAUTH2");
		account_use(&r, ROUTE_AUTH_AUTO);
		r.route.token = r.route.secret = "token";
		rig_deliver(&r);
		one = rig_send(&r, "ann@ok.test", i == 0 ? STATE_DELIVERED : STATE_DEFERRED);
		ck_assert(nexthop_saw(r.hop, "AUTH XOAUTH2 " ACCOUNT_XOAUTH2 "\r\n"));
		if (i == 1) {
			ck_assert(nexthop_saw(r.hop, ACCOUNT_XOAUTH2 "\r\n\r\n"));
			ck_assert_ptr_nonnull(strstr(one->reason, "535 5.7.8 not accepted; it told "
								  "{\"status\":\"401\","));
			ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
		}
		rig_stop(&r);
	}
}
END_TEST

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
		struct rig r;

		rig_open(&r, NULL, 0, ACCOUNT_EHLO "XOAUTH2");
		snprintf(path, sizeof(path), "%s/token", r.folder);
		snprintf(command, sizeof(command), "cat %s", path);
		nexthop_use_auth(r.hop, renew, renewed ? path : NULL);
		account_use(&r, ROUTE_AUTH_XOAUTH2);
		r.route.secret = NULL;
		if (i % 2 == 0)
			r.route.token_file = path;
		else
			r.route.token_command = command;
		write_text(path, "old\n");
		rig_deliver(&r);
		rig_send(&r, "ann@ok.test", renewed ? STATE_DELIVERED : STATE_DEFERRED);
		ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), renewed ? 2 : 1);
		ck_assert(nexthop_saw(r.hop, "AUTH XOAUTH2 " ACCOUNT_XOAUTH2) == renewed);
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
		struct rig r;

		rig_open(&r, NULL, 0, ACCOUNT_EHLO "XOAUTH2");
		account_use(&r, ROUTE_AUTH_XOAUTH2);
		r.route.secret = NULL;
		r.route.token_file = rows[i].file;
		r.route.token_command = rows[i].command;
		rig_deliver(&r);
		rig_expect(&r, "ann@ok.test", STATE_DEFERRED, rows[i].reason);
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

		rig_open(&r, NULL, 0, ACCOUNT_EHLO "XOAUTH2");
		account_use(&r, ROUTE_AUTH_XOAUTH2);
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

UNIT_MAIN("deliver/token", xoauth2_and_its_refusal, a_token_that_is_renewed, no_secret_to_be_had,
	  the_world_moves_on_meanwhile)
