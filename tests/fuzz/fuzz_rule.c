/*
 * tests/fuzz/fuzz_rule.c - relay/filter/rule.c and rule_match.c through judge_address: rules
 * without overrides_whitelist let nobody out whom the list does not allow; none lets out who is
 * denied, or an address of an unsafe form; what is not known never lets anything leave; what may
 * still be allowed is not refused before the header is there.
 */
#include <string.h>

#include "relay/filter/judge.h"
#include "relay/filter/pattern.h"
#include "tests/fuzz/fuzz.h"

#define RULES_MAX 24
#define TEXT_MAX  400 /* of one member: more than any may have */

/* --- the list ------------------------------------------------------------------------------- */

/* Who is judged: what the list alone says of them must not change by much. */
static const struct someone {
	const char *address;
	bool allowed;
	bool overridable; /* neither denied, nor of a form that never leaves */
} people[] = {
	{"alice@ok.example", true, true},    {"bob@x.sub.example", true, true},
	{"a%b@odd.example", true, true},     {"alice@else.example", false, true},
	{"x%y@else.example", false, true},   {"root@localhost", false, true},
	{"no@ok.example", false, false},     {"\"a b\"@ok.example", false, false},
	{"alice@[127.0.0.1]", false, false},
};

#define PEOPLE (sizeof(people) / sizeof(people[0]))

/* Made once. */
static struct whitelist *the_list(void)
{
	static const char *const patterns[] = {"ok.example", ".sub.example", "a%b@odd.example",
					       "no@ok.example"};
	static struct whitelist *list;
	size_t bad;

	if (list != NULL)
		return list;
	list = whitelist_new();
	whitelist_load_begin(list);
	for (size_t i = 0; i < 4; i++) {
		struct pattern pattern;
		struct entry entry = {.id = (int64_t)i + 1,
				      .action = i < 3 ? ENTRY_ALLOW : ENTRY_DENY,
				      .scope = ""};

		assert(pattern_parse(span_of(patterns[i]), &pattern, NULL) == ERR_OK);
		entry.pattern = pattern.text;
		entry.kind = pattern.kind;
		whitelist_load_add(list, &entry);
	}
	whitelist_load_end(list, 1, &bad);
	assert(bad == 0);
	return list;
}

/* --- the input: lines of a letter and its value, an empty line, then the header --------------- */

struct input {
	struct arena *arena;
	struct rule rules[RULES_MAX];
	struct rule_header headers[RULES_MAX][RULE_HEADERS_MAX];
	size_t count;
	struct address sender;
	struct rule_facts facts;
};

static void take_header(struct input *input, struct rule *rule, struct span rest)
{
	struct span match = span_cut(&rest, ' ');
	struct span name = span_cut(&rest, ' ');
	struct rule_header *header;

	if (rule->header_count == RULE_HEADERS_MAX)
		return;
	header = &input->headers[rule - input->rules][rule->header_count++];
	if (rule_match_parse(match, &header->match) != ERR_OK)
		header->match = (enum rule_match)0;
	header->name = arena_span_dup(input->arena, name);
	header->value = arena_span_dup(input->arena, rest);
}

static int64_t number_of(struct span text)
{
	uint64_t number;

	return span_to_u64(text, UINT64_C(1) << 62, &number) == ERR_OK ? (int64_t)number : -1;
}

/* "+action" begins a rule. */
static void take_rule(struct input *input, struct span action)
{
	struct rule *rule = &input->rules[input->count];

	if (input->count == RULES_MAX)
		return;
	rule_init(rule);
	rule->name = arena_printf(input->arena, "r%zu", input->count);
	rule->headers = input->headers[input->count++];
	if (rule_action_parse(action, &rule->action) != ERR_OK)
		rule->action = (enum rule_action)0;
}

static void take_member(struct input *input, struct rule *rule, char key, struct span value)
{
	const char *text = arena_span_dup(input->arena, value);

	switch (key) {
	case 'n': rule->name = text; break;
	case 'o': rule->overrides_whitelist = true; break;
	case 'x': rule->enabled = false; break;
	case 's': rule->sender = text; break;
	case 'r': rule->recipient = text; break;
	case 'c': rule->client = text; break;
	case 'u': rule->user = text; break;
	case 'l': rule->listener = text; break;
	case 'p': rule->scope = text; break;
	case 'm': rule->min_size = number_of(value); break;
	case 'M': rule->max_size = number_of(value); break;
	case 'd': rule->redirect_to = text; break;
	case 't': rule->tag = text; break;
	case 'h': take_header(input, rule, value); break;
	default: break;
	}
}

/* What the message says of itself. */
static void take_fact(struct input *input, char key, struct span value)
{
	const char *text = arena_span_dup(input->arena, value);

	switch (key) {
	case 'S': input->facts.sender = rule_sender(text, &input->sender); break;
	case 'C': input->facts.client = text; break;
	case 'U': input->facts.user = text; break;
	case 'L': input->facts.listener = text; break;
	case 'P': input->facts.scope = text; break;
	case 'Z': input->facts.size = number_of(value); break;
	default: break;
	}
}

static void take_line(struct input *input, struct span line)
{
	struct span value = span_first(span_skip(line, 1), TEXT_MAX);

	if (line.data[0] == '+')
		take_rule(input, value);
	else if (strchr("SCULPZ", line.data[0]) != NULL)
		take_fact(input, line.data[0], value);
	else if (input->count > 0)
		take_member(input, &input->rules[input->count - 1], line.data[0], value);
}

static void take_input(struct input *input, struct span text)
{
	struct buf section;

	input->facts = (struct rule_facts){.sender = rule_sender("", &input->sender),
					   .header_known = true};
	while (text.len > 0) {
		struct span line = span_cut(&text, '\n');

		if (line.len == 0)
			break;
		take_line(input, line);
	}
	/* A line feed stands for a line end, as the store has no others. */
	buf_init(&section, 2 * text.len);
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\n')
			(void)buf_append_text(&section, "\r\n");
		else if (text.data[i] != '\r')
			(void)buf_append_char(&section, text.data[i]);
	}
	input->facts.section =
		span_make(arena_span_dup(input->arena, buf_span(&section)), section.len);
	buf_release(&section);
}

/* --- the properties --------------------------------------------------------------------------- */

static void judge_by(const struct rule_matches *matches, const struct address *address,
		     struct verdict *verdict)
{
	static const struct policy_options policy = {.default_verdict = VERDICT_DROP,
						     .redirect_to = ""};
	struct judge_case at = {.list = whitelist_acquire(the_list()),
				.policy = &policy,
				.scope = span_of(""),
				.now = 1,
				.rules = matches};

	judge_address(&at, address, verdict);
	whitelist_release(&at.list);
}

/* The rules as they are, and with the word of each that overrides taken away. */
static void publish(const struct input *input, bool may_override, struct rules *rules)
{
	struct rule rows[RULES_MAX];
	size_t bad = 0;

	for (size_t i = 0; i < input->count; i++) {
		rows[i] = input->rules[i];
		rows[i].overrides_whitelist = may_override && rows[i].overrides_whitelist;
		bad += rule_check(&rows[i], NULL, NULL) > 0;
	}
	assert(rules_publish(rules, PUBLISHED_FROM_STORE, rows, input->count) == bad);
}

static bool has_rule(const struct edition *edition, const char *name, enum rule_action action,
		     bool overrides)
{
	for (size_t i = 0; i < edition->count; i++) {
		struct rule_view view;

		rule_view(edition, i, &view);
		if (strcmp(view.rule->name, name) == 0 && view.rule->enabled &&
		    view.rule->action == action && view.rule->overrides_whitelist >= overrides)
			return true;
	}
	return false;
}

static void check_redirect(const struct verdict *verdict, const struct address *address)
{
	struct address target;

	assert(address_parse(span_of(verdict->redirect_to), &target, NULL) == ERR_OK);
	assert(!address_equal(&target, address));
}

/* The rules in force, and how they stand with and without what is known of a message. */
struct standing {
	const struct edition *edition;
	const struct rule_matches *known;
	const struct rule_matches *unknown;
	bool may_override;
};

static void check_one(const struct standing *now, const struct someone *someone)
{
	struct verdict verdict, before;
	struct address address;

	assert(address_parse(span_of(someone->address), &address, NULL) == ERR_OK);
	judge_by(NULL, &address, &verdict);
	assert((verdict.kind == VERDICT_DELIVER) == someone->allowed);
	judge_by(now->known, &address, &verdict);
	judge_by(now->unknown, &address, &before);
	if (verdict.kind == VERDICT_REDIRECT)
		check_redirect(&verdict, &address);
	/* Less is known: nothing leaves because of that. */
	assert(before.kind != VERDICT_DELIVER || verdict.kind == VERDICT_DELIVER);
	if (someone->allowed || verdict.kind != VERDICT_DELIVER)
		return;
	assert(now->may_override && someone->overridable);
	assert(verdict.reason == REASON_RULE);
	assert(has_rule(now->edition, verdict.rule, RULE_DELIVER, true));
	/* So it was not to be refused when nothing but its envelope was known. */
	assert(rule_may_allow(now->unknown, &address));
}

static void check_tag(const struct standing *now, struct arena *arena)
{
	const struct policy_options policy = {.subject_tag = "[x] "};
	struct policy_options tagged = rule_policy(now->known, &policy, arena);
	struct span tag = span_of(tagged.subject_tag);

	assert(tag.len <= SUBJECT_TAG_MAX && span_starts_fold(tag, "[x] "));
	for (size_t i = 0; i < tag.len; i++)
		assert(tag.data[i] >= ' ' && tag.data[i] <= '~');
}

static void check_all(const struct input *input, struct rules *rules, bool may_override)
{
	struct standing now = {.edition = rules_acquire(rules), .may_override = may_override};
	struct rule_facts facts = input->facts;

	now.known = rule_match(now.edition, &facts, input->arena);
	facts.header_known = false;
	facts.size = -1;
	now.unknown = rule_match(now.edition, &facts, input->arena);
	for (size_t i = 0; i < PEOPLE; i++)
		check_one(&now, &people[i]);
	check_tag(&now, input->arena);
	published_release(&now.edition);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {.arena = arena_new()};
	struct rules *rules = rules_new();

	take_input(&input, span_make((const char *)data, size));
	for (int may_override = 0; may_override < 2; may_override++) {
		publish(&input, may_override != 0, rules);
		check_all(&input, rules, may_override != 0);
	}
	rules_free(&rules);
	arena_free(&input.arena);
	return 0;
}
