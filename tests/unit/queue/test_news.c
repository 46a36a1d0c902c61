/* tests queue/news.c and tell.c: what is told, when, and what is not */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "queue/fault.h"
#include "queue/news.h"
#include "queue/rule.h"
#include "queue/tell.h"
#include "queue/token.h"
#include "queue/whitelist.h"
#include "tests/unit/queue/gate.h"
#include "tests/unit/unit.h"

/* Reads what the store tells, from where it was begun. */
struct listener {
	struct bus *bus;
	uint64_t next;
	uint64_t missed;
	struct buf record;
	struct news news;
};

static void listen_to(struct listener *listener, struct fixture *f)
{
	*listener = (struct listener){.bus = store_news(f->store)};
	listener->next = bus_end(listener->bus);
	buf_init(&listener->record, BUS_RECORD_MAX);
}

static bool hear(struct listener *listener)
{
	uint64_t missed;
	int code = bus_read(listener->bus, &listener->next, &listener->record, &missed);

	listener->missed += missed;
	if (code == ERR_OK)
		news_unpack(buf_span(&listener->record), &listener->news);
	return code == ERR_OK;
}

static const struct news *expect(struct listener *listener, enum news_kind kind, const char *action)
{
	ck_assert_msg(hear(listener), "nothing more was told: %s", news_kind_name(kind));
	ck_assert_str_eq(news_kind_name(listener->news.kind), news_kind_name(kind));
	if (action != NULL)
		ck_assert_str_eq(listener->news.action, action);
	return &listener->news;
}

static void expect_silence(struct listener *listener)
{
	ck_assert_msg(!hear(listener), "%s %s", news_kind_name(listener->news.kind),
		      listener->news.action != NULL ? listener->news.action : "");
	ck_assert_uint_eq(listener->missed, 0);
}

static void close_all(struct listener *listener, struct fixture *f)
{
	buf_release(&listener->record);
	fixture_remove(f);
}

/* --- records ------------------------------------------------------------------------------- */

START_TEST(every_member_comes_back)
{
	struct news news = {.kind = NEWS_ATTEMPT,
			    .at = NOW,
			    .message = ulid_new(NOW),
			    .has_message = true,
			    .size = 1,
			    .count = 2,
			    .reply_code = 3,
			    .entry = 4,
			    .revision = 5,
			    .by_state[STATE_HELD] = 6};
	const char **texts = &news.scope;
	size_t count = (sizeof(news) - offsetof(struct news, scope)) / sizeof(char *);
	char names[40][8];
	struct news back;
	struct buf record;

	ck_assert_uint_le(count, 40);
	for (size_t missing = 0; missing < count; missing++) {
		for (size_t i = 0; i < count; i++) {
			snprintf(names[i], sizeof(names[i]), "t%zu", i);
			texts[i] = i == missing ? NULL : i == 3 ? "" : names[i];
		}
		buf_init(&record, BUS_RECORD_MAX);
		news_pack(&news, &record);
		news_unpack(buf_span(&record), &back);
		ck_assert_int_eq(back.kind, NEWS_ATTEMPT);
		ck_assert_int_eq(back.at, NOW);
		ck_assert(back.has_message && ulid_equal(&back.message, &news.message));
		ck_assert_int_eq(back.size + back.count + back.reply_code + back.entry +
					 back.revision + back.by_state[STATE_HELD],
				 21);
		for (size_t i = 0; i < count; i++)
			if (i == missing)
				ck_assert_ptr_null((&back.scope)[i]);
			else
				ck_assert_str_eq((&back.scope)[i], texts[i]);
		buf_release(&record);
	}
}
END_TEST

START_TEST(long_texts_are_cut_between_characters)
{
	struct news news = {.kind = NEWS_ACCEPTED};
	char *text = mem_alloc(5001);
	struct news back;
	struct buf record;

	/* Every text as long as it gets: it must still fit. */
	memset(text, 'x', 5000);
	text[5000] = '\0';
	for (size_t at = offsetof(struct news, scope); at < sizeof(news); at += sizeof(text))
		memcpy((char *)&news + at, &text, sizeof(text));
	buf_init(&record, BUS_RECORD_MAX);
	news_pack(&news, &record);
	news_unpack(buf_span(&record), &back);
	ck_assert_uint_eq(strlen(back.scope), 1024);
	ck_assert_uint_eq(strlen(back.name), 1024);
	buf_clear(&record);
	memcpy(text + 1022, "\xe2\x82\xac", 3);
	news_pack(&news, &record);
	news_unpack(buf_span(&record), &back);
	ck_assert_uint_eq(strlen(back.subject), 1022);
	/* What is no UTF-8 is cut all the same. */
	buf_clear(&record);
	memset(text, 0x80, 5000);
	news_pack(&news, &record);
	news_unpack(buf_span(&record), &back);
	ck_assert_uint_le(strlen(back.subject), 1024);
	ck_assert_uint_ge(strlen(back.subject), 1020);
	buf_release(&record);
	mem_free(text);
}
END_TEST

START_TEST(kinds_have_names)
{
	enum news_kind kind;

	for (int i = 0; i < NEWS_KINDS; i++) {
		ck_assert_int_eq(news_kind_parse(span_of(news_kind_name((enum news_kind)i)), &kind),
				 ERR_OK);
		ck_assert_int_eq(kind, i);
	}
	ck_assert_int_eq(news_kind_parse(span_of("lost"), &kind), ERR_NOT_FOUND);
}
END_TEST

/* --- the life of a message ------------------------------------------------------------------- */

START_TEST(a_message_from_its_arrival_to_its_end)
{
	struct message_delete removal = {.actor = "token:qa", .now = NOW + 9};
	struct act act = {.reason = NULL};
	struct claimed_recipient claimed;
	struct listener listener;
	const struct news *news;
	struct fixture f;
	struct ulid id;
	struct err why;

	fixture_open(&f);
	listen_to(&listener, &f);
	id = accept_queued(&f, 1);
	news = expect(&listener, NEWS_ACCEPTED, NULL);
	ck_assert(ulid_equal(&news->message, &id));
	ck_assert_int_eq(news->size, 4096);
	ck_assert_uint_eq(news->count, 1);
	ck_assert_uint_eq(news->by_state[STATE_QUEUED], 1);
	ck_assert_str_eq(news->sender, "app@example.org");
	news = expect(&listener, NEWS_VERDICT, "deliver");
	ck_assert(ulid_equal(&news->message, &id));
	ck_assert_str_eq(news->recipient, "r0@example.com");
	ck_assert_str_eq(news->state, "queued");
	ck_assert_str_eq(news->reason, "allowed by example.com");
	ck_assert_int_eq(news->entry, 7);
	ck_assert_int_eq(news->revision, 3);
	expect_silence(&listener);

	/* Who works on it is nobody's news; how it ended is. */
	claimed = claim_single(&f);
	expect_silence(&listener);
	ck_assert_uint_eq(settle_as(&f, claimed.id, claimed.lease, TRANSITION_DEFER), 0);
	news = expect(&listener, NEWS_ATTEMPT, "deferred");
	ck_assert(ulid_equal(&news->message, &id));
	ck_assert_str_eq(news->recipient, "r0@example.com");
	ck_assert_str_eq(news->sender, "app@example.org");
	ck_assert_str_eq(news->state, "deferred");
	expect_silence(&listener);

	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_OK);
	news = expect(&listener, NEWS_STATE, "held");
	ck_assert_str_eq(news->actor, "token:test");
	ck_assert_str_eq(news->state, "held");
	/* What was refused did not happen. */
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_CONFLICT);
	expect_silence(&listener);

	removal.message = id;
	ck_assert_int_eq(store_wait(f.store, queue_message_delete, &removal.job, &why), ERR_OK);
	news = expect(&listener, NEWS_DELETED, NULL);
	ck_assert(ulid_equal(&news->message, &id));
	ck_assert_str_eq(news->actor, "token:qa");
	expect_silence(&listener);
	close_all(&listener, &f);
}
END_TEST

/* Dropped before any try is a state, not an attempt; with a reply it is one. */
START_TEST(an_attempt_is_told_from_a_judgement)
{
	struct settlement settlement = {.outcome = TRANSITION_DROP, .reason = "no entry allows it"};
	struct settle settle = {.now = NOW, .settlements = &settlement, .count = 1};
	struct listener listener;
	const struct news *news;
	struct claimed_recipient claimed;
	struct fixture f;
	struct err why;

	fixture_open(&f);
	accept_queued(&f, 1);
	claimed = claim_single(&f);
	settlement.recipient = claimed.id;
	settlement.lease = claimed.lease;
	listen_to(&listener, &f);
	ck_assert_int_eq(store_wait(f.store, queue_settle, &settle.job, &why), ERR_OK);
	news = expect(&listener, NEWS_STATE, "dropped");
	ck_assert_str_eq(news->reason, "no entry allows it");
	ck_assert_ptr_null(news->actor);

	accept_queued(&f, 1);
	claimed = claim_single(&f);
	settlement = (struct settlement){.recipient = claimed.id,
					 .lease = claimed.lease,
					 .outcome = TRANSITION_FAIL,
					 .reason = "refused",
					 .kind = "refused",
					 .route = "default",
					 .remote = "mx[127.0.0.1]:25",
					 .reply_code = 550,
					 .reply_enhanced = "5.1.1",
					 .reply_text = "no such user"};
	buf_release(&listener.record);
	listen_to(&listener, &f);
	ck_assert_int_eq(store_wait(f.store, queue_settle, &settle.job, &why), ERR_OK);
	news = expect(&listener, NEWS_ATTEMPT, "failed");
	ck_assert_str_eq(news->trouble, "refused");
	ck_assert_str_eq(news->route, "default");
	ck_assert_str_eq(news->remote, "mx[127.0.0.1]:25");
	ck_assert_int_eq(news->reply_code, 550);
	ck_assert_str_eq(news->reply_enhanced, "5.1.1");
	ck_assert_str_eq(news->reply_text, "no such user");
	expect_silence(&listener);
	close_all(&listener, &f);
}
END_TEST

/* --- what people keep ---------------------------------------------------------------------------
 */

static struct whitelist_apply apply_list(struct fixture *f, struct whitelist_change *changes,
					 size_t count)
{
	struct whitelist_apply apply = {.changes = changes,
					.count = count,
					.expect_list_revision = -1,
					.actor = "token:qa",
					.now = NOW};
	struct err why;

	ck_assert_int_eq(store_wait(f->store, queue_whitelist_apply, &apply.job, &why), ERR_OK);
	return apply;
}

START_TEST(changes_of_the_list)
{
	struct whitelist_change change = {.operation = ENTRY_ADD,
					  .entry = {.pattern = "a@x.test",
						    .kind = ENTRY_EXACT,
						    .action = ENTRY_ALLOW,
						    .scope = "shop",
						    .expires_at = NOW + 1000}};
	struct whitelist_expire expire = {.now = NOW + 1000};
	struct whitelist_apply apply;
	struct listener listener;
	const struct news *news;
	struct fixture f;
	struct err why;

	fixture_open(&f);
	listen_to(&listener, &f);
	apply = apply_list(&f, &change, 1);
	news = expect(&listener, NEWS_WHITELIST, "add");
	ck_assert_int_eq(news->entry, change.entry.id);
	ck_assert_int_eq(news->revision, apply.revision);
	ck_assert_str_eq(news->name, "a@x.test");
	ck_assert_str_eq(news->scope, "shop");
	ck_assert_str_eq(news->state, "allow");
	ck_assert_str_eq(news->actor, "token:qa");
	/* Both scopes hear of an entry that goes from one to the other. */
	change.operation = ENTRY_REPLACE;
	change.entry.scope = "blog";
	apply_list(&f, &change, 1);
	ck_assert_str_eq(expect(&listener, NEWS_WHITELIST, "replace")->scope, "blog");
	ck_assert_str_eq(expect(&listener, NEWS_WHITELIST, "replace")->scope, "shop");
	ck_assert_int_eq(store_wait(f.store, queue_whitelist_expire, &expire.job, &why), ERR_OK);
	ck_assert_uint_eq(expire.expired, 1);
	news = expect(&listener, NEWS_WHITELIST, "expire");
	ck_assert_str_eq(news->name, "a@x.test");
	ck_assert_str_eq(news->scope, "blog");
	change.operation = ENTRY_REMOVE;
	apply_list(&f, &change, 1);
	news = expect(&listener, NEWS_WHITELIST, "remove");
	ck_assert_str_eq(news->name, "a@x.test");
	ck_assert_str_eq(news->scope, "blog");
	expect_silence(&listener);
	close_all(&listener, &f);
}
END_TEST

START_TEST(a_long_list_is_one_event)
{
	enum { LINES = 101 };
	struct whitelist_change *changes = mem_array(LINES, sizeof(*changes));
	char(*names)[32] = mem_array(LINES, sizeof(*names));
	struct whitelist_intake intake = {
		.changes = changes, .count = LINES, .actor = "importer", .now = NOW};
	struct listener listener;
	const struct news *news;
	struct fixture f;
	struct err why;

	for (size_t i = 0; i < LINES; i++) {
		snprintf(names[i], sizeof(names[i]), "a%zu@x.test", i);
		changes[i] = (struct whitelist_change){.operation = ENTRY_ADD,
						       .entry = {.pattern = names[i],
								 .kind = ENTRY_EXACT,
								 .action = ENTRY_ALLOW,
								 .scope = ""}};
	}
	fixture_open(&f);
	listen_to(&listener, &f);
	apply_list(&f, changes, LINES);
	ck_assert_uint_eq(expect(&listener, NEWS_WHITELIST, "change")->count, LINES);
	expect_silence(&listener);
	/* Written in steps: it is told when it is in force, and not before or again. */
	for (size_t i = 0; i < LINES; i++)
		changes[i].operation = ENTRY_REMOVE;
	intake.since_revision = listener.news.revision;
	while (intake.written < LINES)
		ck_assert_int_eq(store_wait(f.store, queue_whitelist_write, &intake.job, &why),
				 ERR_OK);
	expect_silence(&listener);
	do
		ck_assert_int_eq(store_wait(f.store, queue_whitelist_commit, &intake.job, &why),
				 ERR_OK);
	while (intake.again);
	news = expect(&listener, NEWS_WHITELIST, "change");
	ck_assert_uint_eq(news->count, LINES);
	ck_assert_str_eq(news->actor, "importer");
	ck_assert_int_eq(news->revision, intake.revision);
	expect_silence(&listener); /* while they move to their place */
	close_all(&listener, &f);
	mem_free(names);
	mem_free(changes);
}
END_TEST

START_TEST(rules_pauses_and_tokens)
{
	struct rule rule = {.name = "first",
			    .enabled = true,
			    .action = RULE_DROP,
			    .redirect_to = "",
			    .tag = "",
			    .sender = "",
			    .recipient = "",
			    .client = "",
			    .user = "",
			    .listener = "",
			    .scope = "",
			    .note = ""};
	struct rule_apply apply = {.rule = rule,
				   .change = {.operation = ORDERED_ADD,
					      .name = "first",
					      .actor = "token:qa",
					      .now = NOW}};
	struct pause pause = {.route = "slow",
			      .paused = true,
			      .actor = "token:qa",
			      .reason = "load test",
			      .now = NOW};
	struct token_create create = {.token = {.name = "ci", .role = ROLE_READER, .scope = ""},
				      .actor = "a",
				      .now = NOW};
	struct token_revoke revoke = {.actor = "b", .now = NOW};
	struct listener listener;
	const struct news *news;
	struct fixture f;
	struct err why;

	fixture_open(&f);
	listen_to(&listener, &f);
	ck_assert_int_eq(store_wait(f.store, queue_rule_apply, &apply.job, &why), ERR_OK);
	news = expect(&listener, NEWS_RULE, "add");
	ck_assert_str_eq(news->name, "first");
	ck_assert_str_eq(news->actor, "token:qa");
	ck_assert_int_eq(store_wait(f.store, queue_pause, &pause.job, &why), ERR_OK);
	news = expect(&listener, NEWS_DELIVERY, "pause");
	ck_assert_str_eq(news->route, "slow");
	ck_assert_str_eq(news->reason, "load test");
	/* It is so already: nothing happened. */
	ck_assert_int_eq(store_wait(f.store, queue_pause, &pause.job, &why), ERR_OK);
	pause.paused = false;
	ck_assert_int_eq(store_wait(f.store, queue_pause, &pause.job, &why), ERR_OK);
	expect(&listener, NEWS_DELIVERY, "resume");
	ck_assert_int_eq(store_wait(f.store, queue_token_create, &create.job, &why), ERR_OK);
	ck_assert_str_eq(expect(&listener, NEWS_TOKEN, "create")->name, "ci");
	revoke.id = create.token.id;
	ck_assert_int_eq(store_wait(f.store, queue_token_revoke, &revoke.job, &why), ERR_OK);
	news = expect(&listener, NEWS_TOKEN, "revoke");
	ck_assert_str_eq(news->name, "ci");
	ck_assert_str_eq(news->actor, "b");
	expect_silence(&listener);
	close_all(&listener, &f);
}
END_TEST

/* --- commits -----------------------------------------------------------------------------------
 */

/* One of a batch fails after it has written: it did not happen, the others did, each once. */
START_TEST(what_was_rolled_back_is_not_told)
{
	struct whitelist_change changes[2] = {
		{.operation = ENTRY_ADD,
		 .entry = {.pattern = "a@x.test", .kind = 1, .action = 1, .scope = ""}},
		{.operation = ENTRY_REMOVE, .entry = {.id = 4711}}};
	struct whitelist_apply apply = {
		.changes = changes, .count = 2, .expect_list_revision = -1, .now = NOW};
	struct letter letters[3];
	struct listener listener;
	_Atomic int left = 0;
	struct fixture f;
	struct gate gate;

	fixture_open(&f);
	gate_close(&gate, f.store);
	listen_to(&listener, &f);
	for (int i = 0; i < 3; i++) {
		letter_post(&letters[i], f.store, make_body(f.store, 100, 0), ulid_new(NOW), &left);
		if (i == 0) {
			letters[0].left = &left;
			apply.job.done = letter_count;
			apply.job.ctx = &letters[0];
			left++;
			queue_whitelist_apply(f.store, &apply.job);
		}
	}
	expect_silence(&listener); /* nothing is true yet */
	gate_open(&gate);
	letter_wait(&left);
	ck_assert_int_eq(apply.job.code, ERR_NOT_FOUND);
	for (int i = 0; i < 3; i++) {
		expect(&listener, NEWS_ACCEPTED, NULL);
		ck_assert(ulid_equal(&listener.news.message, &letters[i].message.id));
		expect(&listener, NEWS_VERDICT, NULL);
		ck_assert(ulid_equal(&listener.news.message, &letters[i].message.id));
	}
	expect_silence(&listener);
	close_all(&listener, &f);
}
END_TEST

/* More in one commit than is kept for it: the rest is known to be missing, by number. */
START_TEST(too_much_at_once_is_missed_not_kept)
{
	enum { RECIPIENTS = 10000 };
	struct listener listener;
	uint64_t first;
	uint64_t read = 0;
	struct fixture f;

	fixture_open(&f);
	listen_to(&listener, &f);
	first = listener.next;
	ck_assert_int_eq(accept_one(f.store, 100, 1, RECIPIENTS, STATE_HELD, NULL), ERR_OK);
	expect(&listener, NEWS_ACCEPTED, NULL);
	while (hear(&listener))
		read++;
	ck_assert_uint_gt(read, 1000);
	ck_assert_uint_gt(listener.missed, 1000);
	ck_assert_uint_eq(read + listener.missed, RECIPIENTS);
	ck_assert_uint_eq(listener.next, first + 1 + RECIPIENTS);
	/* And then it goes on. */
	listener.missed = 0;
	accept_queued(&f, 1);
	expect(&listener, NEWS_ACCEPTED, NULL);
	expect(&listener, NEWS_VERDICT, "deliver");
	expect_silence(&listener);
	close_all(&listener, &f);
}
END_TEST

START_TEST(what_needs_no_commit_is_told_at_once)
{
	struct listener listener;
	struct fixture f;
	uint64_t epoch;

	fixture_open(&f);
	listen_to(&listener, &f);
	store_tell(f.store, &(struct news){.kind = NEWS_VERDICT,
					   .at = NOW,
					   .recipient = "bob@example.com",
					   .action = "reject"});
	ck_assert(!expect(&listener, NEWS_VERDICT, "reject")->has_message);
	expect_silence(&listener);
	epoch = store_news_epoch(f.store);
	ck_assert_uint_ge(epoch, 1);
	ck_assert_uint_le(epoch, UINT64_C(1) << 53);
	buf_release(&listener.record);
	fixture_reopen(&f);
	ck_assert_uint_ne(store_news_epoch(f.store), epoch);
	ck_assert_uint_eq(bus_end(store_news(f.store)), 1);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/news", every_member_comes_back, long_texts_are_cut_between_characters,
	  kinds_have_names, a_message_from_its_arrival_to_its_end,
	  an_attempt_is_told_from_a_judgement, changes_of_the_list, a_long_list_is_one_event,
	  rules_pauses_and_tokens, what_was_rolled_back_is_not_told,
	  too_much_at_once_is_missed_not_kept, what_needs_no_commit_is_told_at_once)
