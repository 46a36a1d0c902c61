/* relay/smtp/envelope.c - the recipients of one message: each mailbox once, each with its ruling */
#include "relay/smtp/envelope.h"

#include <assert.h>

#define ROOM_FIRST 8

void envelope_init(struct envelope *envelope, struct arena *arena, uint64_t seed)
{
	*envelope = (struct envelope){.arena = arena, .seed = seed};
}

void envelope_release(struct envelope *envelope)
{
	mem_free(envelope->recipients);
	mem_free(envelope->slots);
	mem_free(envelope->routed);
	envelope->recipients = NULL;
	envelope->slots = NULL;
	envelope->routed = NULL;
}

/* FNV-1a from a secret start, the domain folded; `text` is an address as printed. */
static uint64_t hash_of(const struct envelope *envelope, struct span text)
{
	size_t at = span_find_last(text, '@');
	uint64_t hash = envelope->seed;

	for (size_t i = 0; i < text.len; i++) {
		char c = i > at ? ascii_lower(text.data[i]) : text.data[i];

		hash = (hash ^ (unsigned char)c) * UINT64_C(1099511628211);
	}
	return hash ^ hash >> 32;
}

/* As address_equal() on two prints: local parts byte by byte, domains without ASCII case. */
static bool same_mailbox(struct span a, struct span b)
{
	size_t at = span_find_last(a, '@');

	return a.len == b.len && span_equal(span_first(a, at), span_first(b, at)) &&
	       span_equal_fold(span_skip(a, at), span_skip(b, at));
}

/*
 * The slot that holds the mailbox, or the empty one where it belongs. With a
 * source route in front it is another one: judged and kept on its own.
 */
static uint32_t *find_slot(const struct envelope *envelope, struct span text, bool routed)
{
	size_t slots = envelope->room * 2;
	size_t i = (size_t)hash_of(envelope, text) & (slots - 1);

	while (envelope->slots[i] != 0) {
		size_t there = envelope->slots[i] - 1;

		if (envelope->routed[there] == routed &&
		    same_mailbox(span_of(envelope->recipients[there].address), text))
			break;
		i = (i + 1) & (slots - 1);
	}
	return &envelope->slots[i];
}

bool envelope_holds(const struct envelope *envelope, const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];

	if (envelope->count == 0)
		return false;
	address_format(address, text);
	return *find_slot(envelope, span_of(text), address->source_route) != 0;
}

static void grow(struct envelope *envelope)
{
	envelope->room = envelope->room > 0 ? envelope->room * 2 : ROOM_FIRST;
	envelope->recipients =
		mem_regrow(envelope->recipients, envelope->room, sizeof(*envelope->recipients));
	envelope->routed = mem_regrow(envelope->routed, envelope->room, sizeof(*envelope->routed));
	mem_free(envelope->slots);
	envelope->slots = mem_array(envelope->room * 2, sizeof(*envelope->slots));
	for (size_t i = 0; i < envelope->count; i++)
		*find_slot(envelope, span_of(envelope->recipients[i].address),
			   envelope->routed[i]) = (uint32_t)i + 1;
}

static void count(struct envelope *envelope, enum state state)
{
	if (state == STATE_QUEUED)
		envelope->deliver++;
	else if (state == STATE_HELD)
		envelope->hold++;
	else if (state == STATE_REDIRECTED)
		envelope->redirect++;
	else if (state == STATE_SCREENING)
		envelope->screen++;
	else
		envelope->drop++;
}

static void add(struct envelope *envelope, const struct new_recipient *recipient, bool routed)
{
	struct new_recipient *row;

	if (envelope->count == envelope->room)
		grow(envelope);
	row = &envelope->recipients[envelope->count];
	*row = *recipient;
	envelope->routed[envelope->count] = routed;
	*find_slot(envelope, span_of(row->address), routed) = (uint32_t)++envelope->count;
	count(envelope, row->state);
}

void envelope_add(struct envelope *envelope, const struct smtp_recipient *recipient,
		  const struct verdict *verdict)
{
	const struct address *address = &recipient->address;
	struct new_recipient row = judge_recipient(address, verdict, envelope->arena);

	assert(verdict->kind != VERDICT_REJECT);
	row.notify = recipient->notify;
	if (recipient->orcpt[0] != '\0')
		row.orcpt = arena_strdup(envelope->arena, recipient->orcpt);
	if (recipient->line.len > 0)
		row.command = arena_span_dup(envelope->arena, recipient->line);
	add(envelope, &row, address->source_route);
	envelope->has_special = envelope->has_special || address->utf8 || address->quoted;
}

/* The recipient that stands for it, when the envelope has it. */
static const struct new_recipient *stand_in(const struct envelope *envelope,
					    const struct new_recipient *row)
{
	uint32_t slot = row->state == STATE_REDIRECTED
				? *find_slot(envelope, span_of(row->ruling.redirect_to), false)
				: 0;

	return slot != 0 ? &envelope->recipients[slot - 1] : NULL;
}

/* It is redirected to one that is redirected in turn, and so on, and in the end to itself. */
static bool is_in_circle(const struct envelope *envelope, const struct new_recipient *row)
{
	const struct new_recipient *next = stand_in(envelope, row);
	size_t steps = 0;

	while (next != NULL && next != row && ++steps < envelope->count)
		next = stand_in(envelope, next);
	return next != NULL && next->state == STATE_REDIRECTED;
}

/* Nobody would get it. One of a circle that is dropped is where the others end. */
static void break_circles(struct envelope *envelope)
{
	for (size_t i = 0; i < envelope->count; i++) {
		struct new_recipient *row = &envelope->recipients[i];

		if (row->state != STATE_REDIRECTED || !is_in_circle(envelope, row))
			continue;
		row->state = STATE_DROPPED;
		row->ruling.verdict = verdict_kind_name(VERDICT_DROP);
		row->ruling.reason =
			arena_printf(envelope->arena, "%s: that is a circle", row->ruling.reason);
		row->ruling.redirect_to = NULL;
		envelope->redirect--;
		envelope->drop++;
	}
}

void envelope_redirect(struct envelope *envelope, const struct judge_case *at)
{
	size_t given = envelope->count;

	break_circles(envelope);
	for (size_t i = 0; i < given && envelope->redirect > 0; i++) {
		const struct new_recipient *row = &envelope->recipients[i];
		struct new_recipient target;

		if (row->state == STATE_REDIRECTED &&
		    *find_slot(envelope, span_of(row->ruling.redirect_to), false) == 0 &&
		    judge_redirect(at, row->ruling.redirect_to, envelope->arena, &target))
			add(envelope, &target, false);
	}
}

void envelope_screen(struct envelope *envelope)
{
	struct new_recipient *recipient = &envelope->recipients[envelope->count - 1];

	if (recipient->state == STATE_DROPPED)
		envelope->drop--;
	else
		envelope->deliver--;
	recipient->state = STATE_SCREENING;
	envelope->screen++;
}

static bool is_to_bounce(const struct new_recipient *row)
{
	struct fate fate;
	struct err why;

	return row->fault != NULL && fate_parse(span_of(row->fault), &fate, &why) == ERR_OK &&
	       fate.action == FAULT_BOUNCE;
}

static void judge_row(struct envelope *envelope, size_t i, const struct judge_case *at)
{
	struct new_recipient *row = &envelope->recipients[i];
	struct address address;
	struct verdict verdict;
	struct err why;
	int code = address_parse(span_of(row->address), &address, &why);

	assert(code == ERR_OK);	   /* printed by us */
	if (envelope->routed[i]) { /* no safer than it was (DESIGN 4.6, S113) */
		address.source_route = true;
		address.form = ADDRESS_UNSAFE;
	}
	judge_address(at, &address, &verdict);
	if (at->rules != NULL)
		rule_count(at->rules, &verdict);
	row->state = policy_screens(at->policy, &verdict) ? STATE_SCREENING : judge_state(&verdict);
	row->ruling = judge_ruling(&verdict, envelope->arena);
}

void envelope_judge(struct envelope *envelope, const struct judge_case *at)
{
	envelope->deliver = 0;
	envelope->drop = 0;
	envelope->hold = 0;
	envelope->redirect = 0;
	envelope->screen = 0;
	for (size_t i = 0; i < envelope->count; i++) {
		if (!is_to_bounce(&envelope->recipients[i]))
			judge_row(envelope, i, at);
		count(envelope, envelope->recipients[i].state);
	}
}

void envelope_doom(struct envelope *envelope, const struct fate *fate)
{
	struct new_recipient *recipient = &envelope->recipients[envelope->count - 1];
	char text[FATE_TEXT_SIZE];

	fate_format(fate, text);
	recipient->fault = arena_strdup(envelope->arena, text);
	if (fate->action != FAULT_BOUNCE || recipient->state == STATE_QUEUED)
		return;
	recipient->state = STATE_QUEUED;
	recipient->ruling.reason = arena_printf(envelope->arena,
						"%s; to bounce by the fault rule %s",
						recipient->ruling.reason, fate->rule);
}
