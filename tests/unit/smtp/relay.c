/* tests/unit/smtp/relay.c - a front door with the intake and a real store behind it */
#include <config.h>

#include "tests/unit/smtp/relay.h"

#include <check.h>

/* The whitelist of CASES 2, and a U-label domain given by its A-label (S138). */
static const struct list_row listed[] = {
	{"user@allowed.test", 1, false, NULL, 0},
	{"first_last@allowed.test", 2, false, NULL, 0},
	{"wild.test", 3, false, NULL, 0},
	{"nexthop.test", 4, false, NULL, 0},
	{"user@xn--bcher-kva.example", 5, false, NULL, 0},
	{NULL, 0, false, NULL, 0},
};

void relay_init_with(struct relay *relay, const struct list_row *rows)
{
	fixture_open(&relay->queue);
	relay->list = list_of(rows);
	relay->policy = (struct policy_options){.default_verdict = VERDICT_DROP, .bounce_to = ""};
	relay->intake = intake_new(relay->queue.store, relay->list, &relay->rig.budget);
	relay->arena = arena_new();
	rig_init(&relay->rig, &intake_ops, relay->intake, &relay->policy);
}

void relay_init(struct relay *relay)
{
	relay_init_with(relay, listed);
}

void relay_close(struct relay *relay)
{
	rig_close(&relay->rig, 1000);
	intake_free(&relay->intake);
	whitelist_free(&relay->list);
	arena_free(&relay->arena);
	fixture_close(&relay->queue);
	fixture_remove(&relay->queue);
}

void relay_greet(struct relay *relay, struct client *client)
{
	rig_open(&relay->rig);
	client_greet(client, &relay->rig);
}

void relay_part(struct relay *relay, struct client *client)
{
	client_close(client);
	relay_close(relay);
}

struct message_view relay_taken(struct relay *relay, struct client *client)
{
	struct span text;
	struct ulid id;
	size_t at;

	client_expect(client, "250 2.0.0");
	text = buf_span(&client->parser.reply.text);
	at = span_find_last(text, ' ');
	ck_assert(span_is(span_first(text, at), "2.0.0 Ok: queued as"));
	ck_assert_int_eq(ulid_parse(span_skip(text, at + 1), &id), ERR_OK);
	return show(&relay->queue, &id, relay->arena);
}

struct message_view relay_data(struct relay *relay, struct client *client, const char *text)
{
	client_ask(client, "DATA", "354");
	client_say(client, text);
	client_say(client, ".\r\n");
	return relay_taken(relay, client);
}

void relay_check_stored(struct relay *relay, const struct message_view *view, struct span want)
{
	struct buf bytes;
	struct err why;
	size_t before;
	int64_t sequence = 0;

	buf_init(&bytes, 64 << 20);
	do {
		before = bytes.len;
		ck_assert_int_eq(
			queue_body_read(relay->queue.reader, &view->m.id, sequence++, &bytes, &why),
			ERR_OK);
	} while (bytes.len > before);
	ck_assert_int_eq(view->m.size, (int64_t)want.len);
	ck_assert(span_equal(buf_span(&bytes), want));
	buf_release(&bytes);
}
