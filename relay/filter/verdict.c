/* relay/filter/verdict.c - judging one address against one snapshot: pure functions */
#include "relay/filter/whitelist.h"

#include <assert.h>
#include <stdio.h>

#include "relay/filter/reserved.h"
#include "relay/filter/snapshot.h"

/* What one address has met so far. The best item of each sort is kept, so that the order and the
 * layers in which they are found do not matter. */
struct judging {
	const struct whitelist_snapshot *snapshot;
	size_t layer; /* being searched */
	const struct address *address;
	struct span scope;
	int64_t now;
	const struct layer_item *deny;
	const struct layer_item *allow;
	const struct layer_item *expired;   /* would allow, but for its expiry */
	const struct layer_item *form;	    /* would allow, but for the address's form */
	const struct layer_item *elsewhere; /* would allow in another scope */
	const struct layer_item *near;
};

/* Smaller is more specific. */
static int rank(const struct layer_item *item)
{
	switch ((enum entry_kind)item->kind) {
	case ENTRY_EXACT: return 0;
	case ENTRY_GLOB: return 1;
	case ENTRY_DOMAIN: return 2;
	case ENTRY_SUBDOMAIN: return 3;
	case ENTRY_ALL: break;
	}
	return 4;
}

static bool is_better(const struct layer_item *a, const struct layer_item *b)
{
	if (b == NULL)
		return true;
	if (rank(a) != rank(b))
		return rank(a) < rank(b);
	if (a->text_len != b->text_len)
		return a->text_len > b->text_len;
	return a->id < b->id;
}

static void keep(const struct layer_item **best, const struct layer_item *item)
{
	if (is_better(item, *best))
		*best = item;
}

static bool is_in_scope(const struct judging *judging, const struct layer_item *item)
{
	return item->scope_len == 0 || span_equal(layer_item_scope(item), judging->scope);
}

static bool is_live(const struct judging *judging, const struct layer_item *item)
{
	return item->expires_at == 0 || item->expires_at > judging->now;
}

static void on_match(void *ctx, const struct layer_item *item)
{
	struct judging *judging = ctx;
	bool in_scope = is_in_scope(judging, item);
	bool live = is_live(judging, item);

	if (snapshot_buries(judging->snapshot, judging->layer, item->id))
		return;
	if (item->action == ENTRY_DENY) {
		/* Whatever the form: a deny entry is read widely (fail closed). */
		if (in_scope && live)
			keep(&judging->deny, item);
	} else if (item->kind != ENTRY_EXACT && judging->address->form != ADDRESS_PLAIN) {
		if (in_scope && live)
			keep(&judging->form, item);
	} else if (!in_scope) {
		if (live)
			keep(&judging->elsewhere, item);
	} else {
		keep(live ? &judging->allow : &judging->expired, item);
	}
}

static void on_near(void *ctx, const struct layer_item *item)
{
	struct judging *judging = ctx;

	if (item->action == ENTRY_ALLOW && is_in_scope(judging, item) && is_live(judging, item) &&
	    !snapshot_buries(judging->snapshot, judging->layer, item->id))
		keep(&judging->near, item);
}

static void search(struct judging *judging, const struct layer_key *key)
{
	const struct whitelist_snapshot *snapshot = judging->snapshot;

	for (size_t i = 0; i < snapshot->layer_count; i++)
		layer_prefetch(snapshot->layers[i]->layer, key);
	for (judging->layer = 0; judging->layer < snapshot->layer_count; judging->layer++)
		layer_match(snapshot->layers[judging->layer]->layer, key, on_match, judging);
}

static void search_near(struct judging *judging, const struct layer_key *key)
{
	const struct whitelist_snapshot *snapshot = judging->snapshot;

	for (judging->layer = 0; judging->layer < snapshot->layer_count; judging->layer++)
		layer_near(snapshot->layers[judging->layer]->layer, key, on_near, judging);
}

static void name(char *text_out, const struct layer_item *item)
{
	memcpy(text_out, item->text, item->text_len + 1u);
}

static void decide(const struct judging *judging, struct verdict *verdict)
{
	const struct layer_item *entry = NULL;

	if (judging->deny != NULL) {
		verdict->reason = REASON_DENIED;
		entry = judging->deny;
	} else if (judging->allow != NULL) {
		verdict->kind = VERDICT_DELIVER;
		verdict->reason = REASON_ALLOWED;
		entry = judging->allow;
	} else if (judging->expired != NULL) {
		verdict->reason = REASON_EXPIRED;
		entry = judging->expired;
	} else if (judging->form != NULL) {
		verdict->reason = REASON_UNSAFE_FORM;
	} else {
		verdict->reason = judging->snapshot->size > 0 ? REASON_NOT_LISTED
							      : REASON_EMPTY_LIST;
	}
	if (entry != NULL) {
		verdict->entry = entry->id;
		name(verdict->pattern, entry);
	}
}

/* With `key_out` filled when true is returned: the list was searched. */
static bool judge(struct judging *judging, struct layer_key *key_out, struct verdict *verdict)
{
	verdict->kind = VERDICT_DROP;
	verdict->entry = 0;
	verdict->revision = judging->snapshot->revision;
	verdict->pattern[0] = '\0';
	verdict->nearest[0] = '\0';
	verdict->nearest_elsewhere = false;
	verdict->rule = NULL;
	verdict->redirect_to = NULL;
	if (judging->address->form != ADDRESS_PLAIN &&
	    judging->address->form != ADDRESS_LISTED_ONLY) {
		verdict->reason = REASON_UNSAFE_FORM;
		return false;
	}
	if (reserved_is(span_of(judging->address->domain))) {
		verdict->reason = REASON_RESERVED;
		return false;
	}
	layer_key_init(key_out, judging->address, judging->snapshot->seed);
	search(judging, key_out);
	decide(judging, verdict);
	return true;
}

static void explain(struct judging *judging, bool within, struct verdict *verdict)
{
	const struct layer_item *nearest;
	struct layer_key key;

	if (!judge(judging, &key, verdict) || verdict->reason == REASON_ALLOWED ||
	    verdict->reason == REASON_DENIED)
		return;
	search_near(judging, &key);
	if (within)
		judging->elsewhere = NULL;
	nearest = judging->expired != NULL     ? judging->expired
		  : judging->elsewhere != NULL ? judging->elsewhere
		  : judging->form != NULL      ? judging->form
					       : judging->near;
	if (nearest == NULL)
		return;
	name(verdict->nearest, nearest);
	verdict->nearest_elsewhere = nearest == judging->elsewhere;
}

void verdict_judge(const struct whitelist_snapshot *snapshot, const struct address *address,
		   struct span scope, int64_t now, struct verdict *verdict_out)
{
	struct judging judging = {
		.snapshot = snapshot, .address = address, .scope = scope, .now = now};
	struct layer_key key;

	judge(&judging, &key, verdict_out);
}

void verdict_explain_within(const struct whitelist_snapshot *snapshot,
			    const struct address *address, struct span scope, int64_t now,
			    struct verdict *verdict_out)
{
	struct judging judging = {
		.snapshot = snapshot, .address = address, .scope = scope, .now = now};

	explain(&judging, true, verdict_out);
}

void verdict_explain(const struct whitelist_snapshot *snapshot, const struct address *address,
		     struct span scope, int64_t now, struct verdict *verdict_out)
{
	struct judging judging = {
		.snapshot = snapshot, .address = address, .scope = scope, .now = now};

	explain(&judging, false, verdict_out);
}

const char *verdict_kind_name(enum verdict_kind kind)
{
	static const char *const names[] = {[VERDICT_DELIVER] = "deliver",
					    [VERDICT_DROP] = "drop",
					    [VERDICT_HOLD] = "hold",
					    [VERDICT_REDIRECT] = "redirect",
					    [VERDICT_REJECT] = "reject"};

	assert((size_t)kind < sizeof(names) / sizeof(names[0]));
	return names[kind];
}

static void rule_sentence(const struct verdict *verdict, char *text_out, size_t size)
{
	if (verdict->kind == VERDICT_DELIVER)
		snprintf(text_out, size, "rule %s overrides the whitelist", verdict->rule);
	else if (verdict->kind == VERDICT_REDIRECT)
		snprintf(text_out, size, "rule %s redirects it to %s", verdict->rule,
			 verdict->redirect_to);
	else
		snprintf(text_out, size, "rule %s", verdict->rule);
}

static void policy_sentence(const struct verdict *verdict, char *text_out, size_t size)
{
	const char *kind = verdict_kind_name(verdict->kind);

	if (verdict->pattern[0] != '\0')
		snprintf(text_out, size, "the entry %s has expired, policy.default is %s",
			 verdict->pattern, kind);
	else
		snprintf(text_out, size, "no entry allows it, policy.default is %s", kind);
}

static void reason_sentence(const struct verdict *verdict, char *text_out, size_t size)
{
	switch (verdict->reason) {
	case REASON_ALLOWED:
		snprintf(text_out, size, "allowed by %s%s%s", verdict->pattern,
			 verdict->rule != NULL ? ", rule " : "",
			 verdict->rule != NULL ? verdict->rule : "");
		return;
	case REASON_RULE: rule_sentence(verdict, text_out, size); return;
	case REASON_DENIED: snprintf(text_out, size, "denied by %s", verdict->pattern); return;
	case REASON_NOT_LISTED: snprintf(text_out, size, "no entry allows it"); return;
	case REASON_EMPTY_LIST: snprintf(text_out, size, "the whitelist is empty"); return;
	case REASON_EXPIRED:
		snprintf(text_out, size, "the entry %s has expired", verdict->pattern);
		return;
	case REASON_UNSAFE_FORM: snprintf(text_out, size, "unsafe address form"); return;
	case REASON_RESERVED:
		snprintf(text_out, size, "the domain is reserved for the relay's self-test");
		return;
	case REASON_HOOK:
		snprintf(text_out, size, "no entry allows it, the policy hook does");
		return;
	case REASON_POLICY: policy_sentence(verdict, text_out, size); return;
	}
	assert(!"a reason that does not exist");
}

void verdict_sentence(const struct verdict *verdict, char *text_out, size_t size)
{
	size_t len;

	reason_sentence(verdict, text_out, size);
	len = strlen(text_out);
	if (verdict->nearest[0] != '\0' && strcmp(verdict->nearest, verdict->pattern) != 0)
		snprintf(text_out + len, size - len, " (nearest: %s%s)", verdict->nearest,
			 verdict->nearest_elsewhere ? ", of another scope" : "");
}
