/* tests queue/list.c: pages and filters */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

struct sample {
	const char *sender;
	const char *subject;
	int64_t at;
	const char *to[2];
	enum state state[2];
};

static const struct sample samples[] = {
	{"shop@a.test", "Your order", 1000, {"x@one.test", "y@two.test"}, {2, 8}},
	{"", NULL, 2000, {"x@one.test", NULL}, {5, 0}},
	{"Blog@b.test", "100% off_er", 3000, {"z@two.test", "x@one.test"}, {8, 8}},
	{"shop@a.test", "Invoice", 4000, {"w@three.test", NULL}, {2, 0}},
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void accept_sample(struct fixture *f, const struct sample *sample, struct ulid *id_out)
{
	struct new_recipient list[2];
	struct new_message message = {.id = ulid_new(NOW),
				      .received_at = sample->at,
				      .sender = sample->sender,
				      .subject = sample->subject,
				      .scope = "",
				      .received_field = "",
				      .recipients = list};
	struct accept accept = {.message = &message, .body = body_new(f->store, NULL, NULL)};

	for (; message.recipient_count < 2 && sample->to[message.recipient_count] != NULL;
	     message.recipient_count++)
		list[message.recipient_count] =
			(struct new_recipient){.address = sample->to[message.recipient_count],
					       .state = sample->state[message.recipient_count],
					       .ruling = {"deliver", "because", 0, 0, NULL}};
	ck_assert_int_eq(store_wait(f->store, queue_accept, &accept.job, NULL), ERR_OK);
	*id_out = message.id;
}

/* Which samples, as digits. */
static const struct {
	struct message_query query;
	const char *messages;
	const char *recipients; /* one digit a row: the sample it belongs to */
} rows[] = {
	{{0}, "3210", "322100"},
	{{.state = STATE_DROPPED}, "20", "220"},
	{{.state = STATE_EXPIRED}, "", ""},
	{{.to = "X@ONE"}, "210", "210"},
	{{.to = "x@one", .state = STATE_DROPPED}, "2", "2"},
	{{.from = "SHOP"}, "30", "300"},
	{{.from = "blog"}, "2", "22"},
	{{.subject = "100%"}, "2", "22"},
	{{.subject = "off_e"}, "2", "22"},
	{{.subject = "%"}, "2", "22"}, /* S308: no wildcards */
	{{.subject = "invoice"}, "3", "3"},
	{{.since = 2000}, "321", "3221"},
	{{.until = 2000}, "0", "00"},
	{{.since = 2000, .until = 4000}, "21", "221"},
	{{.from = "shop", .state = STATE_QUEUED, .since = 4000}, "3", "3"},
};

static char digit_of(const struct ulid *ids, const struct ulid *id)
{
	for (size_t i = 0; i < SAMPLES; i++)
		if (ulid_equal(&ids[i], id))
			return (char)('0' + i);
	return '?';
}

static void list_messages(struct fixture *f, const struct message_query *query,
			  const struct ulid *ids, char *text_out)
{
	struct arena *arena = arena_new();
	struct message_page page = {.count = 0};
	struct err why = {""};
	int code = queue_message_list(f->reader, query, arena, &page, &why);

	ck_assert_msg(code == ERR_OK, "%s", why.text);
	for (size_t i = 0; i < page.count; i++)
		*text_out++ = digit_of(ids, &page.views[i].m.id);
	*text_out = '\0';
	arena_free(&arena);
}

static void list_recipients(struct fixture *f, const struct message_query *query,
			    const struct ulid *ids, char *text_out)
{
	struct recipient_query recipients = {.message = *query};
	struct arena *arena = arena_new();
	struct recipient_page page = {.count = 0};
	struct err why = {""};
	int code = queue_recipient_list(f->reader, &recipients, arena, &page, &why);

	ck_assert_msg(code == ERR_OK, "%s", why.text);
	for (size_t i = 0; i < page.count; i++)
		*text_out++ = digit_of(ids, &page.rows[i].recipient.message);
	*text_out = '\0';
	arena_free(&arena);
}

START_TEST(every_filter)
{
	struct ulid ids[SAMPLES];
	struct fixture f;

	fixture_open(&f);
	for (size_t i = 0; i < SAMPLES; i++)
		accept_sample(&f, &samples[i], &ids[i]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[32];

		list_messages(&f, &rows[i].query, ids, text);
		ck_assert_msg(strcmp(text, rows[i].messages) == 0, "row %zu: %s", i, text);
		list_recipients(&f, &rows[i].query, ids, text);
		ck_assert_msg(strcmp(text, rows[i].recipients) == 0, "row %zu: %s", i, text);
	}
	fixture_remove(&f);
}
END_TEST

START_TEST(messages_come_with_numbers_and_recipients_when_asked)
{
	struct message_query query = {.limit = 1, .from = "blog"};
	struct arena *arena = arena_new();
	struct ulid ids[SAMPLES];
	struct message_page page;
	const struct message_view *view;
	struct fixture f;

	fixture_open(&f);
	for (size_t i = 0; i < SAMPLES; i++)
		accept_sample(&f, &samples[i], &ids[i]);
	ck_assert_int_eq(queue_message_list(f.reader, &query, arena, &page, NULL), ERR_OK);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_int_eq(page.views[0].by_state[STATE_DROPPED], 2);
	ck_assert_ptr_null(page.views[0].recipients);
	query.with_recipients = true;
	ck_assert_int_eq(queue_message_list(f.reader, &query, arena, &page, NULL), ERR_OK);
	view = &page.views[0];
	ck_assert_uint_eq(view->recipient_count, 2);
	ck_assert_str_eq(view->recipients[1].address, "x@one.test");
	ck_assert_ptr_null(view->recipients[1].history);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* Who has it or is on the way to it; who is kept is nobody's addressee. */
START_TEST(addressees)
{
	static const int states[] = {STATE_QUEUED, STATE_DELIVERING, STATE_DEFERRED,
				     STATE_DELIVERED};
	struct arena *arena = arena_new();
	const struct addressee *found = NULL;
	struct fixture f;
	struct ulid id, other;
	size_t count = 7;

	fixture_open(&f);
	id = accept_as(&f, STATE_COUNT, STATE_DROPPED);
	(void)accept_as(&f, 2, STATE_QUEUED);
	fixture_close(&f);
	/* r1 in state 1, r2 in state 2, ... */
	run_sql(f.dir, "UPDATE recipient SET state = CAST(substr(address, 2) AS INTEGER), released "
		       "= id & 1"
		       " WHERE state = 8 AND address <> 'r0@example.com'");
	fixture_reopen(&f);
	ck_assert_int_eq(queue_message_addressees(f.reader, &id, arena, &found, &count, NULL),
			 ERR_OK);
	ck_assert_uint_eq(count, 4);
	for (size_t i = 0; i < count; i++) {
		ck_assert_str_eq(found[i].address,
				 arena_printf(arena, "r%d@example.com", states[i]));
		ck_assert_int_eq(found[i].released, states[i] & 1);
	}
	ck_assert_int_eq(ulid_parse(span_of("00000000000000000000000001"), &other), ERR_OK);
	ck_assert_int_eq(queue_message_addressees(f.reader, &other, arena, &found, &count, NULL),
			 ERR_OK);
	ck_assert_uint_eq(count, 0);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* Every message once, also when others arrive between two pages. */
START_TEST(pages_by_key)
{
	struct message_query query = {.limit = 7};
	struct recipient_query recipients = {.limit = 7};
	struct recipient_page rows_page = {.more = true};
	struct message_page page = {.more = true};
	struct arena *arena = arena_new();
	struct ulid last = {{255}};
	struct fixture f;
	size_t total = 0;

	fixture_open(&f);
	for (int i = 0; i < 49; i++)
		accept_one(f.store, 10, 0, 1, STATE_HELD, NULL);
	while (page.more) {
		ck_assert_int_eq(queue_message_list(f.reader, &query, arena, &page, NULL), ERR_OK);
		for (size_t i = 0; i < page.count; i++) {
			ck_assert_int_lt(memcmp(&page.views[i].m.id, &last, sizeof(last)), 0);
			last = page.views[i].m.id;
		}
		ck_assert(!page.is_late);
		ck_assert_uint_eq(page.count,
				  7); /* the last one is full, and known to be the last */
		total += page.count;
		query.before = page.next;
		accept_one(f.store, 10, 0, 1, STATE_HELD, NULL);
	}
	ck_assert_uint_eq(total, 49);
	for (total = 0; rows_page.more; total += rows_page.count) {
		ck_assert_int_eq(
			queue_recipient_list(f.reader, &recipients, arena, &rows_page, NULL),
			ERR_OK);
		ck_assert_uint_eq(rows_page.count, 7);
		recipients.before_id = rows_page.next;
	}
	ck_assert_uint_eq(total, 49 + 7);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

UNIT_MAIN("queue/list", every_filter, addressees,
	  messages_come_with_numbers_and_recipients_when_asked, pages_by_key)
