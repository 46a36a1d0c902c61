/* relay/filter/rule_match.c - what the rules in force say of one message and its recipients */
#include "relay/filter/rule_match.h"

#include <assert.h>
#include <string.h>

#include "relay/filter/policy.h"
#include "relay/filter/rule_item.h"
#include "relay/filter/subject.h"
#include "relay/mail/encoded_word.h"
#include "relay/mail/header.h"

#define SLOTS	    2048 /* of fields, a power of two */
#define DISPLAY_MAX (4 * HEADER_BYTES_MAX)
#define NO_FIELD    UINT32_MAX

static_assert(SLOTS >= 2 * HEADER_FIELDS_MAX, "chains stay short");

/* In this order: of several conditions the least certain counts. */
enum truth { TRUTH_NO = 0, TRUTH_MAYBE, TRUTH_YES }; /* memory of zeros says no */

static enum truth truth_of(bool is_so)
{
	return is_so ? TRUTH_YES : TRUTH_NO;
}

struct rule_matches {
	const struct edition *rules;
	enum truth *truths; /* of the conditions on the message, one a rule */
};

/* A field that a condition may ask for. */
struct field {
	struct span name; /* as a lenient reader sees it */
	struct span body;
	struct span value; /* decoded, once somebody asked */
	bool is_decoded;
	bool is_foreign;  /* then: a word of it is in a charset that we do not know */
	bool is_doubtful; /* others may read another value */
	bool malformed;
	uint32_t next; /* with the same slot, NO_FIELD: none */
};

/* The header of the message, by the names of its fields. */
struct index {
	struct arena *arena;
	struct field *fields;
	size_t count;
	uint32_t slots[SLOTS];
	size_t work; /* octets that may still be compared */
};

/* --- the header, by name --------------------------------------------------------------------- */

/* What some next hop might read as the name: without blanks, controls and 8-bit octets. */
static struct span lenient_name(struct span name, struct arena *arena)
{
	char *text = arena_alloc(arena, name.len);
	size_t len = 0;

	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] > ' ' && name.data[i] < 127)
			text[len++] = name.data[i];
	return span_make(text, len);
}

static void index_add(struct index *index, const struct header_field *from)
{
	struct field *field = &index->fields[index->count];
	uint32_t *slot;

	assert(index->count < HEADER_FIELDS_MAX); /* header_next stops there */
	field->name = from->malformed ? lenient_name(from->name, index->arena) : from->name;
	field->body = from->body;
	field->malformed = from->malformed;
	slot = &index->slots[rule_field_hash(field->name) % SLOTS];
	field->next = *slot;
	*slot = (uint32_t)index->count++;
}

static struct index *index_new(struct span section, struct arena *arena, bool *whole_out)
{
	struct index *index = arena_zalloc(arena, sizeof(*index));
	struct header_field field;
	struct header header;

	index->arena = arena;
	index->work = RULE_WORK_MAX;
	index->fields = arena_array(arena, HEADER_FIELDS_MAX, sizeof(*index->fields));
	memset(index->slots, 0xff, sizeof(index->slots));
	header_init(&header, section);
	while (header_next(&header, &field))
		index_add(index, &field);
	*whole_out = !header.over_limit;
	return index;
}

/* What decoding left as it was written. */
static bool has_encoded_word(struct span text)
{
	struct encoded_word word;

	while (text.len > 0) {
		if (encoded_word_parse(text, &word))
			return true;
		text = span_skip(text, 1);
	}
	return false;
}

/* A NUL, a control, 8-bit in no charset: what stands there is U+FFFD by now. */
static bool is_doubtful(struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (span_starts_fold(span_skip(value, i), "\xef\xbf\xbd"))
			return true;
	return false;
}

static struct span value_of(struct index *index, struct field *field)
{
	struct buf text;

	if (!field->is_decoded) {
		buf_init(&text, DISPLAY_MAX);
		header_decode_display(field->body, &text);
		field->value = span_make(arena_span_dup(index->arena, buf_span(&text)), text.len);
		field->is_foreign = has_encoded_word(field->value);
		field->is_decoded = true;
		field->is_doubtful = is_doubtful(field->value);
		buf_release(&text);
	}
	return span_trim(field->value);
}

/* --- one condition on the header ---------------------------------------------------------------
 */

/* False: what there was for all conditions together is used up, now and from now on. */
static bool pay(struct index *index, size_t work)
{
	if (work > index->work) {
		index->work = 0;
		return false;
	}
	index->work -= work;
	return true;
}

static enum truth compare(struct index *index, struct field *field,
			  const struct rule_header *condition)
{
	struct span wanted = span_of(condition->value);
	struct span value = value_of(index, field);
	/* A glob may look at each octet of the value once for each of its own. */
	size_t work = value.len * (condition->match == RULE_GLOB ? wanted.len : 1);
	bool fits;

	if (!pay(index, work))
		return TRUTH_MAYBE;
	fits = condition->match == RULE_EXACT ? span_equal(value, span_trim(wanted))
					      : glob_matches(wanted, value);
	if (field->is_doubtful || (!fits && field->is_foreign))
		return TRUTH_MAYBE;
	return truth_of(fits);
}

static enum truth match_field(struct index *index, struct field *field,
			      const struct rule_header *condition)
{
	/* Others may read it or not. */
	if (field->malformed)
		return TRUTH_MAYBE;
	if (condition->match == RULE_PRESENT || condition->match == RULE_ABSENT)
		return TRUTH_YES;
	return compare(index, field, condition);
}

/* Of several fields of that name any will do. */
static enum truth match_header(struct index *index, const struct rule_header *condition,
			       uint64_t hash)
{
	struct span name = span_of(condition->name);
	enum truth found = TRUTH_NO;

	for (uint32_t at = index->slots[hash % SLOTS]; at != NO_FIELD && found != TRUTH_YES;
	     at = index->fields[at].next) {
		struct field *field = &index->fields[at];
		enum truth truth = TRUTH_NO;

		if (!pay(index, name.len))
			return TRUTH_MAYBE;
		if (span_equal_fold(field->name, name))
			truth = match_field(index, field, condition);
		if (truth > found)
			found = truth;
	}
	if (condition->match == RULE_ABSENT)
		return (enum truth)(TRUTH_YES - found);
	return found;
}

static enum truth match_headers(const struct rule_item *item, struct index *index)
{
	enum truth all = TRUTH_YES;

	for (size_t i = 0; i < item->rule.header_count && all != TRUTH_NO; i++) {
		enum truth one =
			index != NULL ? match_header(index, &item->rule.headers[i], item->hashes[i])
				      : TRUTH_MAYBE;

		if (one < all)
			all = one;
	}
	return all;
}

/* --- the other conditions on the message -------------------------------------------------------
 */

static enum truth match_sender(const struct rule_item *item, const struct address *sender)
{
	if (item->any_sender)
		return TRUTH_YES;
	if (sender == NULL)
		return TRUTH_MAYBE;
	if (item->null_sender || sender->form == ADDRESS_NULL)
		return truth_of(item->null_sender && sender->form == ADDRESS_NULL);
	/* Patterns are about plain addresses: of any other it can't be said. */
	if (sender->form != ADDRESS_PLAIN && sender->form != ADDRESS_LISTED_ONLY)
		return TRUTH_MAYBE;
	if (pattern_matches(&item->sender, sender))
		return TRUTH_YES;
	return pattern_covers(&item->sender, sender) ? TRUTH_MAYBE : TRUTH_NO;
}

static enum truth match_client(const struct rule_item *item, const char *text, bool partial)
{
	struct peer_address client;

	if (item->any_client)
		return TRUTH_YES;
	if (text == NULL && partial)
		return TRUTH_MAYBE;
	if (text == NULL || text[0] == '\0' || strcmp(text, "unix") == 0)
		return TRUTH_NO;
	if (peer_address_parse(span_of(text), &client) != ERR_OK)
		return TRUTH_MAYBE;
	return truth_of(network_holds(&item->client, &client));
}

static enum truth match_size(const struct rule *rule, int64_t size)
{
	if (rule->min_size == 0 && rule->max_size == 0)
		return TRUTH_YES;
	if (size < 0)
		return TRUTH_MAYBE;
	return truth_of(size >= rule->min_size && (rule->max_size == 0 || size <= rule->max_size));
}

/* A glob on a text; "" is no text that a glob could be about. */
static enum truth match_text(const char *glob, const char *text, bool partial)
{
	if (glob[0] == '\0')
		return TRUTH_YES;
	if (text == NULL && partial)
		return TRUTH_MAYBE;
	return truth_of(text != NULL && text[0] != '\0' &&
			glob_matches(span_of(glob), span_of(text)));
}

static enum truth least(const enum truth *truths, size_t count)
{
	enum truth all = TRUTH_YES;

	for (size_t i = 0; i < count; i++)
		if (truths[i] < all)
			all = truths[i];
	return all;
}

static enum truth match_envelope(const struct rule_item *item, const struct rule_facts *facts)
{
	const struct rule *rule = &item->rule;
	const char *scope = facts->scope != NULL ? facts->scope : "";
	const enum truth truths[] = {
		truth_of(rule->scope[0] == '\0' || strcmp(rule->scope, scope) == 0),
		match_text(rule->user, facts->user, facts->partial),
		match_text(rule->listener, facts->listener, facts->partial),
		match_sender(item, facts->sender),
		match_client(item, facts->client, facts->partial),
		match_size(rule, facts->size),
	};

	return least(truths, sizeof(truths) / sizeof(truths[0]));
}

const struct address *rule_sender(const char *text, struct address *address_out)
{
	struct err why;

	*address_out = (struct address){.form = ADDRESS_NULL};
	if (text[0] == '\0' || address_parse(span_of(text), address_out, &why) == ERR_OK)
		return address_out;
	return NULL;
}

bool rules_ask_header(const struct edition *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule_item *item = edition_item(rules, i);

		if (item->base.enabled && item->rule.header_count > 0)
			return true;
	}
	return false;
}

const struct rule_matches *rule_match(const struct edition *rules, const struct rule_facts *facts,
				      struct arena *arena)
{
	struct rule_matches *matches = arena_zalloc(arena, sizeof(*matches));
	struct arena *scratch = arena_new(); /* the header is not needed any more then */
	struct index *index = NULL;
	bool whole = false;

	matches->rules = rules;
	matches->truths = arena_array(arena, rules->count, sizeof(*matches->truths));
	if (facts->header_known && rules_ask_header(rules))
		index = index_new(facts->section, scratch, &whole);
	if (!whole)
		index = NULL;
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule_item *item = edition_item(rules, i);
		enum truth envelope = TRUTH_NO;

		if (item->base.enabled)
			envelope = match_envelope(item, facts);
		if (envelope != TRUTH_NO) {
			enum truth header = match_headers(item, index);

			envelope = header < envelope ? header : envelope;
		}
		matches->truths[i] = envelope;
	}
	arena_free(&scratch);
	return matches;
}

const struct rule_matches *rule_match_only(const struct edition *rules, size_t index,
					   struct arena *arena)
{
	const struct rule_item *item = edition_item(rules, index);
	struct rule_matches *matches = arena_zalloc(arena, sizeof(*matches));

	assert(index < rules->count);
	matches->rules = rules;
	matches->truths = arena_array(arena, rules->count, sizeof(*matches->truths));
	matches->truths[index] = truth_of(item->base.enabled);
	return matches;
}

/* --- what they decide ------------------------------------------------------------------------ */

static enum truth match_recipient(const struct rule_item *item, const struct address *recipient)
{
	if (item->any_recipient || pattern_matches(&item->recipient, recipient))
		return TRUTH_YES;
	return pattern_covers(&item->recipient, recipient) ? TRUTH_MAYBE : TRUTH_NO;
}

/* With all conditions: of the message, and on the recipient. */
static enum truth truth_for(const struct rule_matches *matches, size_t i,
			    const struct address *recipient)
{
	enum truth message = matches->truths[i];
	enum truth here;

	if (message == TRUTH_NO)
		return TRUTH_NO;
	here = match_recipient(edition_item(matches->rules, i), recipient);
	return here < message ? here : message;
}

/* As with entries: what is no plain address leaves only where it is named in full. */
static bool may_override(const struct rule_item *item, const struct address *recipient)
{
	return item->rule.overrides_whitelist &&
	       (recipient->form == ADDRESS_PLAIN ||
		(!item->any_recipient && pattern_matches(&item->recipient, recipient)));
}

/* A rule sends mail to a mailbox: to that mailbox itself it goes as it is. */
static bool is_target(const struct rule *rule, const struct address *recipient)
{
	struct address target;
	struct err why;

	return address_parse(span_of(rule->redirect_to), &target, &why) == ERR_OK &&
	       address_equal(&target, recipient);
}

static bool decides(const struct rule_item *item, enum truth truth, const struct address *recipient,
		    bool released)
{
	switch (item->rule.action) {
	case RULE_DELIVER: return truth == TRUTH_YES;
	case RULE_DROP: return truth != TRUTH_NO;
	case RULE_HOLD: return truth != TRUTH_NO && !released;
	case RULE_REDIRECT: return truth != TRUTH_NO && !is_target(&item->rule, recipient);
	case RULE_TAG: break;
	}
	return false;
}

static void rule_over(const struct rule_item *item, const struct address *recipient,
		      struct verdict *verdict)
{
	const struct rule *rule = &item->rule;

	if (rule->action == RULE_DELIVER && verdict->kind != VERDICT_DELIVER &&
	    !may_override(item, recipient))
		return; /* the list's word stands */
	verdict->rule = rule->name;
	if (rule->action == RULE_DELIVER && verdict->kind == VERDICT_DELIVER)
		return;
	verdict->reason = REASON_RULE;
	if (rule->action == RULE_DELIVER)
		verdict->entry = 0; /* one that has expired has no part in it */
	switch (rule->action) {
	case RULE_DELIVER: verdict->kind = VERDICT_DELIVER; break;
	case RULE_HOLD: verdict->kind = VERDICT_HOLD; break;
	case RULE_REDIRECT:
		verdict->kind = VERDICT_REDIRECT;
		verdict->redirect_to = rule->redirect_to;
		break;
	case RULE_DROP:
	case RULE_TAG: verdict->kind = VERDICT_DROP; break;
	}
}

bool rule_decide(const struct rule_matches *matches, const struct address *recipient, bool released,
		 struct verdict *verdict)
{
	if (verdict->kind != VERDICT_DELIVER && !verdict_is_unlisted(verdict))
		return false;
	for (size_t i = 0; i < matches->rules->count; i++) {
		const struct rule_item *item = edition_item(matches->rules, i);

		if (!decides(item, truth_for(matches, i, recipient), recipient, released))
			continue;
		rule_over(item, recipient, verdict);
		return verdict->rule != NULL;
	}
	return false;
}

bool rule_may_override(const struct rule_matches *matches)
{
	for (size_t i = 0; i < matches->rules->count; i++) {
		const struct rule_item *item = edition_item(matches->rules, i);

		if (item->rule.overrides_whitelist && matches->truths[i] == TRUTH_YES)
			return true;
	}
	return false;
}

bool rule_may_allow(const struct rule_matches *matches, const struct address *recipient)
{
	for (size_t i = 0; i < matches->rules->count; i++) {
		const struct rule_item *item = edition_item(matches->rules, i);

		if (item->rule.action == RULE_DELIVER && may_override(item, recipient) &&
		    truth_for(matches, i, recipient) != TRUTH_NO)
			return true;
	}
	return false;
}

bool rules_may_allow(struct rules *rules, const struct rule_facts *facts,
		     const struct address *recipient)
{
	const struct edition *edition;
	struct arena *scratch;
	bool may;

	if (rules == NULL || !rules_are_on(rules))
		return false;
	edition = rules_acquire(rules);
	scratch = arena_new();
	may = rule_may_allow(rule_match(edition, facts, scratch), recipient);
	arena_free(&scratch);
	published_release(&edition);
	return may;
}

static bool tags_it(const struct rule_matches *matches, size_t i)
{
	const struct rule_item *item = edition_item(matches->rules, i);

	return item->rule.action == RULE_TAG && matches->truths[i] == TRUTH_YES;
}

void rule_tags(const struct rule_matches *matches, struct buf *tags)
{
	for (size_t i = 0; i < matches->rules->count; i++) {
		const struct rule_item *item = edition_item(matches->rules, i);

		if (tags_it(matches, i))
			(void)buf_append_text(tags, item->rule.tag);
	}
}

struct policy_options rule_policy(const struct rule_matches *matches,
				  const struct policy_options *policy, struct arena *arena)
{
	struct policy_options tagged = *policy;
	struct buf tag;

	buf_init(&tag, SUBJECT_TAG_MAX);
	if (policy->subject_tag != NULL)
		(void)buf_append_text(&tag, policy->subject_tag);
	rule_tags(matches, &tag);
	tagged.subject_tag = arena_span_dup(arena, buf_span(&tag));
	buf_release(&tag);
	return tagged;
}

void rule_count(const struct rule_matches *matches, const struct verdict *verdict)
{
	for (size_t i = 0; verdict->rule != NULL && i < matches->rules->count; i++) {
		const struct rule_item *item = edition_item(matches->rules, i);

		if (matches->truths[i] != TRUTH_NO && strcmp(item->rule.name, verdict->rule) == 0) {
			atomic_fetch_add(&item->base.counter->matches, 1);
			return;
		}
	}
}

void rule_count_tags(const struct rule_matches *matches)
{
	for (size_t i = 0; i < matches->rules->count; i++) {
		const struct rule_item *item = edition_item(matches->rules, i);

		if (tags_it(matches, i))
			atomic_fetch_add(&item->base.counter->matches, 1);
	}
}
