/* tests/unit/filter/trial.c - rules on trial: a list, a message, and what is said of a recipient */
#include "tests/unit/filter/trial.h"

#include <check.h>
#include <time.h>

#include "tests/unit/filter/list.h"

/* What is left out is as usual. */
struct rule rule_filled(const struct rule *given)
{
	struct rule rule;

	rule_init(&rule);
	rule.action = given->action;
	rule.overrides_whitelist = given->overrides_whitelist;
	rule.min_size = given->min_size;
	rule.max_size = given->max_size;
	rule.headers = given->headers;
	rule.header_count = given->header_count;
	rule.name = given->name != NULL ? given->name : "r";
	rule.redirect_to = given->redirect_to != NULL ? given->redirect_to : "";
	rule.tag = given->tag != NULL ? given->tag : "";
	rule.sender = given->sender != NULL ? given->sender : "";
	rule.recipient = given->recipient != NULL ? given->recipient : "";
	rule.client = given->client != NULL ? given->client : "";
	rule.user = given->user != NULL ? given->user : "";
	rule.listener = given->listener != NULL ? given->listener : "";
	rule.scope = given->scope != NULL ? given->scope : "";
	rule.note = given->note != NULL ? given->note : "";
	return rule;
}

static const char header[] = "Subject: =?utf-8?q?Your_invoice?=\r\n 42\r\n"
			     "X-Env:   production  \r\n"
			     "List-Id: <a.test>\r\n"
			     "List-Id: second\r\n"
			     "X-Empty:\r\n"
			     "XBroken: other\r\n"
			     "X Broken: x\r\n"
			     "X\x7f\xc3\xa9-Odd: x\r\n"
			     "\r\n";

void trial_begin(struct trial *t)
{
	struct err why;

	*t = (struct trial){.rules = rules_new(), .arena = arena_new()};
	t->list = list_of((const struct list_row[]){{"example.com", .id = 1},
						    {"no@example.com", .id = 2, .deny = true},
						    {"a%b@special.test", .id = 3},
						    {NULL}});
	t->snapshot = whitelist_acquire(t->list);
	ck_assert_int_eq(address_parse(span_of("app@shop.test"), &t->sender, &why), ERR_OK);
	t->facts = (struct rule_facts){.sender = &t->sender,
				       .client = "10.1.2.3",
				       .user = "app-7",
				       .listener = "127.0.0.1:2525",
				       .scope = "shop",
				       .size = 1000,
				       .header_known = true,
				       .section = span_make(header, sizeof(header) - 1)};
	t->policy = (struct policy_options){.default_verdict = VERDICT_DROP, .redirect_to = ""};
}

void trial_end(struct trial *t)
{
	whitelist_release(&t->snapshot);
	whitelist_free(&t->list);
	rules_free(&t->rules);
	arena_free(&t->arena);
}

void trial_publish(struct trial *t, const struct rule *given, size_t count)
{
	struct rule *rows = arena_array(t->arena, count + 1, sizeof(*rows));

	for (size_t i = 0; i < count; i++) {
		rows[i] = rule_filled(&given[i]);
		rows[i].enabled = true;
	}
	ck_assert_uint_eq(rules_publish(t->rules, PUBLISHED_FROM_STORE, rows, count), 0);
}

/* "deliver: allowed by example.com". */
const char *trial_verdict(struct trial *t, const char *recipient)
{
	const struct edition *edition = rules_acquire(t->rules);
	struct judge_case at = {.list = t->snapshot,
				.policy = &t->policy,
				.scope = span_of(t->facts.scope),
				.now = 1,
				.rules = rule_match(edition, &t->facts, t->arena),
				.released = t->released};
	char sentence[500];
	struct address address;
	struct verdict verdict;
	struct err why;
	const char *text;

	ck_assert_int_eq(address_parse(span_of(recipient), &address, &why), ERR_OK);
	judge_address(&at, &address, &verdict);
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	text = arena_printf(t->arena, "%s: %s", verdict_kind_name(verdict.kind), sentence);
	published_release(&edition);
	return text;
}

int64_t trial_thread_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

uint64_t trial_matches(struct rules *rules, size_t index)
{
	const struct edition *edition = rules_acquire(rules);
	struct rule_view view;

	rule_view(edition, index, &view);
	published_release(&edition);
	return view.matches;
}
