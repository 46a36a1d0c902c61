/* relay/filter/rule.c - rules on what a message says of itself: one rule, and those in force */
#include "relay/filter/rule.h"

#include <assert.h>

#include "relay/filter/row_check.h"
#include "relay/filter/rule_item.h"

#define SIZE_MAX_BYTES ((int64_t)1 << 40)

/* From RULE_DELIVER and RULE_PRESENT on. */
static const char *const action_names[] = {"deliver", "drop", "hold", "redirect", "tag"};
static const char *const match_names[] = {"present", "absent", "exact", "glob"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *rule_action_name(enum rule_action action)
{
	return action >= RULE_DELIVER && action <= RULE_TAG ? action_names[action - RULE_DELIVER]
							    : "unknown";
}

const char *rule_match_name(enum rule_match match)
{
	return match >= RULE_PRESENT && match <= RULE_GLOB ? match_names[match - RULE_PRESENT]
							   : "unknown";
}

int rule_action_parse(struct span name, enum rule_action *action_out)
{
	for (size_t i = 0; i < COUNT(action_names); i++)
		if (span_is(name, action_names[i])) {
			*action_out = (enum rule_action)(RULE_DELIVER + (int)i);
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}

int rule_match_parse(struct span name, enum rule_match *match_out)
{
	for (size_t i = 0; i < COUNT(match_names); i++)
		if (span_is(name, match_names[i])) {
			*match_out = (enum rule_match)(RULE_PRESENT + (int)i);
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}

void rule_init(struct rule *rule)
{
	*rule = (struct rule){.name = "",
			      .enabled = true,
			      .redirect_to = "",
			      .tag = "",
			      .sender = "",
			      .recipient = "",
			      .client = "",
			      .user = "",
			      .listener = "",
			      .scope = "",
			      .note = ""};
}

void rule_keep(struct rule *rule, struct arena *arena)
{
	struct rule_header *headers = arena_array(arena, rule->header_count, sizeof(*headers));

	rule->name = arena_strdup(arena, rule->name);
	rule->redirect_to = arena_strdup(arena, rule->redirect_to);
	rule->tag = arena_strdup(arena, rule->tag);
	rule->sender = arena_strdup(arena, rule->sender);
	rule->recipient = arena_strdup(arena, rule->recipient);
	rule->client = arena_strdup(arena, rule->client);
	rule->user = arena_strdup(arena, rule->user);
	rule->listener = arena_strdup(arena, rule->listener);
	rule->scope = arena_strdup(arena, rule->scope);
	rule->note = arena_strdup(arena, rule->note);
	rule->created_by = arena_strdup(arena, rule->created_by);
	for (size_t i = 0; i < rule->header_count; i++)
		headers[i] =
			(struct rule_header){.name = arena_strdup(arena, rule->headers[i].name),
					     .match = rule->headers[i].match,
					     .value = arena_strdup(arena, rule->headers[i].value)};
	rule->headers = headers;
}

/* --- mistakes ------------------------------------------------------------------------------ */

struct checking {
	const struct rule *rule;
	struct row_check row;
};

static void mistake(struct checking *c, const char *member, const char *sentence)
{
	row_mistake(&c->row, member, sentence);
}

/* Where it goes must be an address that can be delivered at all; whether it may is judged then. */
static bool is_mailbox(const char *text)
{
	struct address address;
	struct err why;

	return address_parse(span_of(text), &address, &why) == ERR_OK &&
	       (address.form == ADDRESS_PLAIN || address.form == ADDRESS_LISTED_ONLY);
}

static void check_action(struct checking *c)
{
	const struct rule *rule = c->rule;
	bool redirects = rule->action == RULE_REDIRECT;
	bool tags = rule->action == RULE_TAG;

	if (rule->action < RULE_DELIVER || rule->action > RULE_TAG) {
		mistake(c, "action", "is missing: deliver, drop, hold, redirect or tag");
		return;
	}
	if (redirects && !is_mailbox(rule->redirect_to))
		mistake(c, "redirect_to", "the mailbox that gets the message instead");
	else if (!redirects && rule->redirect_to[0] != '\0')
		mistake(c, "redirect_to", "is for the action redirect only");
	if (tags && span_trim(span_of(rule->tag)).len == 0)
		mistake(c, "tag", "what is put in front of the subject");
	else if (!tags && rule->tag[0] != '\0')
		mistake(c, "tag", "is for the action tag only");
	else if (!row_is_printable(rule->tag, RULE_TAG_MAX))
		mistake(c, "tag", "at most 100 printable ASCII characters");
	if (tags && rule->recipient[0] != '\0')
		mistake(c, "recipient",
			"a tag is put on the copy that all recipients of the message get");
	if (rule->overrides_whitelist && rule->action != RULE_DELIVER)
		mistake(c, "overrides_whitelist", "is for the action deliver only");
}

static void check_client(struct checking *c)
{
	struct network network;
	struct err why;

	if (c->rule->client[0] != '\0' &&
	    network_parse(span_of(c->rule->client), &network, &why) != ERR_OK)
		mistake(c, "client", why.text);
}

static void check_sizes(struct checking *c)
{
	const struct rule *rule = c->rule;

	if (rule->min_size < 0 || rule->min_size > SIZE_MAX_BYTES)
		mistake(c, "min_size", "a number of octets");
	if (rule->max_size < 0 || rule->max_size > SIZE_MAX_BYTES)
		mistake(c, "max_size", "a number of octets");
	else if (rule->max_size > 0 && rule->max_size < rule->min_size)
		mistake(c, "max_size", "is less than min_size");
}

static bool is_field_name(const char *text)
{
	size_t len = strlen(text);

	/* RFC 5322 2.2 */
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == ':')
			return false;
	return len > 0 && len <= RULE_FIELD_MAX;
}

static void check_header(struct checking *c, const struct rule_header *header)
{
	bool compares = header->match == RULE_EXACT || header->match == RULE_GLOB;

	if (!is_field_name(header->name))
		mistake(c, "headers", "the name of a header field, at most 77 characters");
	if (header->match < RULE_PRESENT || header->match > RULE_GLOB)
		mistake(c, "headers", "match is one of present, absent, exact and glob");
	else if (!compares && header->value[0] != '\0')
		mistake(c, "headers", "a value is for exact and glob only");
	else if (header->match == RULE_GLOB && header->value[0] == '\0')
		mistake(c, "headers", "glob needs a value, * for any characters");
	if (!row_is_text(header->value) || strlen(header->value) > RULE_VALUE_MAX)
		mistake(c, "headers", "a value of at most 255 octets of UTF-8");
}

static void check_headers(struct checking *c)
{
	if (c->rule->header_count > RULE_HEADERS_MAX) {
		mistake(c, "headers", "at most 16 conditions on the header");
		return;
	}
	for (size_t i = 0; i < c->rule->header_count; i++)
		check_header(c, &c->rule->headers[i]);
}

size_t rule_check(const struct rule *rule,
		  void (*tell)(void *ctx, const char *member, const char *sentence), void *ctx)
{
	struct checking c = {.rule = rule, .row = {.tell = tell, .ctx = ctx}};

	row_check_name(&c.row, rule->name);
	check_action(&c);
	row_check_pattern(&c.row, "recipient", rule->recipient);
	row_check_pattern(&c.row, "sender", rule->sender);
	check_client(&c);
	row_check_user(&c.row, rule->user);
	if (!row_is_text(rule->listener) || strlen(rule->listener) > ROW_GLOB_MAX)
		mistake(&c, "listener", "an address of at most 255 octets, * for any characters");
	row_check_scope(&c.row, rule->scope);
	check_sizes(&c);
	check_headers(&c);
	row_check_note(&c.row, rule->note);
	return c.row.mistakes;
}

/* --- in force -------------------------------------------------------------------------------- */

uint64_t rule_field_hash(struct span name)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	for (size_t i = 0; i < name.len; i++)
		hash = (hash ^ (unsigned char)ascii_lower(name.data[i])) * UINT64_C(1099511628211);
	return hash;
}

/* As it is printed everywhere else. */
static const char *canonical(const char *mailbox, struct arena *arena)
{
	char text[ADDRESS_TEXT_SIZE];
	struct address address;
	struct err why;

	if (address_parse(span_of(mailbox), &address, &why) != ERR_OK)
		return mailbox;
	address_format(&address, text);
	return arena_strdup(arena, text);
}

static void make(void *made, struct arena *arena)
{
	struct rule_item *item = made;
	struct rule *rule = &item->rule;
	struct span recipient, sender, client;
	struct err why;

	rule_keep(rule, arena);
	rule->redirect_to = canonical(rule->redirect_to, arena);
	recipient = span_of(rule->recipient);
	sender = span_of(rule->sender);
	client = span_of(rule->client);
	item->any_recipient = recipient.len == 0;
	item->any_sender = sender.len == 0;
	item->null_sender = span_is(sender, "<>");
	item->any_client = client.len == 0;
	/* Checked already: what stands there parses, and what does not is not asked for. */
	(void)pattern_parse(recipient, &item->recipient, &why);
	(void)pattern_parse(sender, &item->sender, &why);
	(void)network_parse(client, &item->client, &why);
	for (size_t i = 0; i < rule->header_count; i++)
		item->hashes[i] = rule_field_hash(span_of(rule->headers[i].name));
}

static void mean(const void *row, struct buf *meaning)
{
	const struct rule *r = row;

	(void)buf_printf(meaning, "%s %d %d\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%lld %lld", r->name,
			 (int)r->action, r->overrides_whitelist ? 1 : 0, r->redirect_to, r->tag,
			 r->sender, r->recipient, r->client, r->user, r->listener, r->scope,
			 (long long)r->min_size, (long long)r->max_size);
	for (size_t i = 0; i < r->header_count; i++)
		(void)buf_printf(meaning, "\n%s %d %s", r->headers[i].name,
				 (int)r->headers[i].match, r->headers[i].value);
}

static bool is_good(const void *row)
{
	return rule_check(row, NULL, NULL) == 0;
}

static bool is_enabled(const void *row)
{
	return ((const struct rule *)row)->enabled;
}

static const struct published_kind kind = {.row_size = sizeof(struct rule),
					   .item_size = sizeof(struct rule_item),
					   .row_offset = offsetof(struct rule_item, rule),
					   .is_good = is_good,
					   .is_enabled = is_enabled,
					   .make = make,
					   .mean = mean};

struct rules {
	struct published *published;
};

struct rules *rules_new(void)
{
	struct rules *rules = mem_zalloc(sizeof(*rules));

	rules->published = published_new(&kind);
	return rules;
}

void rules_free(struct rules **rules)
{
	if (*rules != NULL)
		published_free(&(*rules)->published);
	mem_free(*rules);
	*rules = NULL;
}

static bool may_keep(const struct rule *row)
{
	return row->enabled && row->action != RULE_DELIVER && row->action != RULE_TAG;
}

/* What a rule keeps that can't be read is not known, so it is everything (DESIGN P1). */
static struct rule keep_all(const struct rule *row)
{
	struct rule rule;

	rule_init(&rule);
	rule.id = row->id;
	rule.name = row->name[0] != '\0' && row_is_word(row->name, ROW_NAME_MAX) ? row->name
										 : "unreadable";
	rule.action = RULE_DROP;
	rule.note = "its row can't be read: it keeps all mail";
	rule.created_at = row->created_at;
	rule.revision = row->revision;
	return rule;
}

size_t rules_publish(struct rules *rules, enum published_source source, const struct rule *rows,
		     size_t count)
{
	struct rule *safe = mem_array(count + 1, sizeof(*safe));
	size_t good = 0, kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (is_good(&rows[i])) {
			safe[kept++] = rows[i];
			good++;
		} else if (may_keep(&rows[i])) {
			safe[kept++] = keep_all(&rows[i]);
		}
	}
	(void)published_replace(rules->published, source, safe, kept);
	mem_free(safe);
	return count - good;
}

uint64_t rules_number(struct rules *rules)
{
	return published_number(rules->published);
}

bool rules_are_on(struct rules *rules)
{
	return published_is_on(rules->published);
}

const struct edition *rules_acquire(struct rules *rules)
{
	return published_acquire(rules->published);
}

void rule_view(const struct edition *rules, size_t index, struct rule_view *view_out)
{
	const struct rule_item *item = edition_item(rules, index);

	assert(index < rules->count);
	*view_out = (struct rule_view){.rule = &item->rule,
				       .source = item->base.source,
				       .matches = atomic_load(&item->base.counter->matches)};
}
