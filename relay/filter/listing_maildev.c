/* relay/filter/listing_maildev.c - MailDev's rules, where deny-wins can say the same: translated */
#include "relay/filter/listing_private.h"

#include <stdio.h>

/*
 * [{"deny": "*"}, {"allow": "*@example.com"}, …]: a `*` is any run of
 * characters, ASCII case does not matter, the last rule that matches decides,
 * and an address that none matches is allowed. What is translated gives the
 * same answer for every plain address; each step below says why.
 */
#define RULES_MAX 1000

struct rule {
	struct pattern pattern;
	bool allows;
	bool is_dropped;
	struct place place;
};

struct rules {
	struct reading *reading;
	struct tokens tokens;
	struct arena *arena;
	struct rule *rules;
	size_t count;
};

/* --- reading --- */

/* A pattern of ours with these words would say something else than MailDev does. */
static const char *find_difference(struct span text)
{
	size_t at = span_find(text, '@');

	if (span_has_8bit(text))
		return "MailDev compares letters as they are spelled: write the domain as A-labels";
	if (at == text.len && span_find(text, '*') == text.len)
		return "matches no address in MailDev, which compares whole addresses: "
		       "*@example.com is what is meant";
	if (at == 0 || (at + 1 < text.len && text.data[at + 1] == '.') ||
	    (at == text.len && text.data[0] == '.'))
		return "matches no address in MailDev";
	return NULL;
}

static void take_pattern(struct rules *rules, struct span text, bool allows)
{
	struct place here = {rules->tokens.line, rules->tokens.column, NULL};
	struct rule *rule = &rules->rules[rules->count];
	const char *difference = find_difference(text);
	struct err why;

	here.pointer =
		arena_printf(rules->arena, "/%zu/%s", rules->count, allows ? "allow" : "deny");
	*rule = (struct rule){.allows = allows, .place = here};
	if (difference != NULL)
		reading_mistake(rules->reading, here, "%s", difference);
	else if (pattern_parse(text, &rule->pattern, &why) != ERR_OK)
		reading_mistake(rules->reading, here, "%s", why.text);
}

/* Behind '{'. False: the text is broken. */
static bool read_rule(struct rules *rules)
{
	struct place place = {rules->tokens.line, rules->tokens.column, NULL};
	size_t taken = 0;
	enum token token;

	while ((token = tokens_next(&rules->tokens)) == TOKEN_NAME) {
		struct span name = tokens_text(&rules->tokens);
		bool allows = span_is(name, "allow");
		bool known = allows || span_is(name, "deny");

		token = tokens_next(&rules->tokens);
		if (known && token == TOKEN_STRING && taken++ == 0)
			take_pattern(rules, tokens_text(&rules->tokens), allows);
		else if (!known || token != TOKEN_STRING)
			taken = 2;
		if (!tokens_skip(&rules->tokens, token))
			return false;
	}
	if (token == TOKEN_BROKEN)
		return false;
	place.pointer = arena_printf(rules->arena, "/%zu", rules->count);
	if (taken != 1)
		reading_mistake(rules->reading, place,
				"must have one member: allow or deny, with a pattern");
	rules->count++;
	return true;
}

static bool read_rules(struct rules *rules)
{
	enum token token = tokens_next(&rules->tokens);

	if (token != TOKEN_ARRAY) {
		if (token != TOKEN_BROKEN)
			reading_mistake(rules->reading, (struct place){1, 1, NULL},
					"must be an array of rules like {\"allow\": "
					"\"*@example.com\"}");
		return false;
	}
	while ((token = tokens_next(&rules->tokens)) == TOKEN_OBJECT) {
		if (rules->count == RULES_MAX) {
			reading_mistake(
				rules->reading,
				(struct place){rules->tokens.line, rules->tokens.column, NULL},
				"more than %d rules", RULES_MAX);
			return false;
		}
		if (!read_rule(rules) || reading_is_over(rules->reading))
			return false;
	}
	if (token != TOKEN_ARRAY_END && token != TOKEN_BROKEN)
		reading_mistake(rules->reading,
				(struct place){rules->tokens.line, rules->tokens.column, NULL},
				"must be an object");
	return token == TOKEN_ARRAY_END;
}

/* --- translating --- */

/* What a later rule covers whole never decides. (An allow under an allow may stay: it adds nothing
 * but what an exact entry may name and a wider one can't.) */
static void drop_covered(struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		for (size_t j = i + 1; j < rules->count && !rules->rules[i].is_dropped; j++)
			rules->rules[i].is_dropped =
				pattern_includes(&rules->rules[j].pattern,
						 &rules->rules[i].pattern) &&
				!(rules->rules[i].allows && rules->rules[j].allows &&
				  rules->rules[j].pattern.kind != ENTRY_ALL);
}

/* A rule that denies what no rule before it allows changes nothing where denied is the usual. */
static bool denies_something(const struct rules *rules, size_t i, bool usually_allowed)
{
	for (size_t j = 0; j < i; j++)
		if (!rules->rules[j].is_dropped && rules->rules[j].allows &&
		    pattern_meets(&rules->rules[j].pattern, &rules->rules[i].pattern))
			return true;
	return usually_allowed;
}

/* Deny always wins here: nothing behind a rule that denies may allow part of it again. */
static void check_order(struct rules *rules, size_t i)
{
	const struct rule *denies = &rules->rules[i];

	for (size_t j = i + 1; j < rules->count; j++) {
		const struct rule *rule = &rules->rules[j];

		if (!rule->is_dropped && rule->allows &&
		    pattern_meets(&rule->pattern, &denies->pattern))
			reading_mistake(rules->reading, rule->place,
					"allows part of what the rule in line %zu denies: that "
					"can't be said where deny always wins",
					denies->place.line);
	}
}

static void add_all(struct rules *rules, struct place place)
{
	if (rules->reading->options->allow_all)
		reading_add_pattern(rules->reading, span_of("*"), ENTRY_ALLOW, place);
	else
		reading_mistake(rules->reading, place,
				"MailDev allows what no rule denies: {\"deny\": \"*\"} must come "
				"first, or say allow_all to let everything out");
}

/* What is usual is decided by the last rule for every address; it covered all before it. */
static bool find_usual(struct rules *rules, struct place *place_out)
{
	bool allowed = true;

	*place_out = (struct place){1, 0, NULL};
	for (size_t i = 0; i < rules->count; i++)
		if (rules->rules[i].pattern.kind == ENTRY_ALL) {
			allowed = rules->rules[i].allows;
			*place_out = rules->rules[i].place;
			rules->rules[i].is_dropped = true;
		}
	return allowed;
}

static void translate(struct rules *rules)
{
	struct place place;
	bool usually_allowed;

	drop_covered(rules);
	usually_allowed = find_usual(rules, &place);
	for (size_t i = 0; i < rules->count; i++) {
		struct rule *rule = &rules->rules[i];

		if (rule->is_dropped || rule->allows)
			continue;
		rule->is_dropped = !denies_something(rules, i, usually_allowed);
		if (!rule->is_dropped)
			check_order(rules, i);
	}
	if (usually_allowed)
		add_all(rules, place);
	for (size_t i = 0; i < rules->count; i++)
		if (!rules->rules[i].is_dropped)
			reading_add_pattern(rules->reading, span_of(rules->rules[i].pattern.text),
					    rules->rules[i].allows ? ENTRY_ALLOW : ENTRY_DENY,
					    rules->rules[i].place);
}

void listing_read_maildev(struct reading *reading, struct span text)
{
	struct rules rules = {.reading = reading, .arena = arena_new()};

	/* Not to be copied: patterns point into themselves. */
	rules.rules = arena_array(rules.arena, RULES_MAX, sizeof(rules.rules[0]));
	tokens_init(&rules.tokens, text);
	if (read_rules(&rules))
		reading_expect_end(reading, &rules.tokens);
	else if (rules.tokens.broken)
		reading_broken(reading, &rules.tokens);
	if (reading->mistakes == 0)
		translate(&rules);
	tokens_release(&rules.tokens);
	arena_free(&rules.arena);
}
