/* relay/filter/listing_regex.c - one regular expression as patterns that say exactly the same */
#include "relay/filter/listing_regex.h"

#define WORDS_MAX   ((size_t)1000) /* of one expression, with its (a|b) written out */
#define WORD_SIZE   ((size_t)400)
#define GROUPS_MAX  16 /* inside each other */
#define IGNORE_CASE "(?i)"

/*
 * An expression becomes words: what it says with each choice made. A word
 * holds characters that stand for themselves and these marks.
 */
enum mark {
	MARK_START = 1,	  /* ^ */
	MARK_END,	  /* $ */
	MARK_ANY,	  /* .* */
	MARK_SOME,	  /* .+ */
	MARK_ANY_BUT_AT,  /* [^@]* */
	MARK_SOME_BUT_AT, /* [^@]+ */
	MARK_LAST = MARK_SOME_BUT_AT
};

struct word {
	struct word *next;
	size_t len;
	char text[];
};

struct words {
	struct word *first;
	size_t count;
};

struct regex {
	struct reading *reading;
	const struct regex_source *source;
	struct arena *arena;
	struct span text;
	size_t at;
	size_t groups;
	bool ignores_case;
	bool refused;
};

/* --- refusing --- */

static void refuse_at(struct regex *regex, size_t at, const char *sentence)
{
	struct place place = regex->source->place;

	if (regex->source->counts_columns)
		place.column += at;
	if (!regex->refused)
		reading_mistake(regex->reading, place, "%s", sentence);
	regex->refused = true;
}

static void refuse(struct regex *regex, const char *sentence)
{
	refuse_at(regex, regex->at, sentence);
}

/* --- words --- */

static struct word *join(struct regex *regex, const struct word *a, const struct word *b)
{
	struct word *word = arena_alloc(regex->arena, sizeof(*word) + a->len + b->len);

	word->next = NULL;
	word->len = a->len + b->len;
	memcpy(word->text, a->text, a->len);
	memcpy(word->text + a->len, b->text, b->len);
	return word;
}

static struct words one_word(struct regex *regex, char c, size_t len)
{
	struct word *word = arena_alloc(regex->arena, sizeof(*word) + 1);

	word->next = NULL;
	word->len = len;
	word->text[0] = c;
	return (struct words){word, 1};
}

/* Each of `a` followed by each of `b`. */
static struct words cross(struct regex *regex, struct words a, struct words b)
{
	struct words out = {NULL, 0};
	struct word **end = &out.first;

	if (a.count * b.count > WORDS_MAX) {
		refuse(regex, "stands for more than 1000 patterns");
		return a;
	}
	for (const struct word *left = a.first; left != NULL; left = left->next)
		for (const struct word *right = b.first; right != NULL; right = right->next) {
			if (left->len + right->len > WORD_SIZE) {
				refuse(regex, "longer than an address can be");
				return a;
			}
			*end = join(regex, left, right);
			end = &(*end)->next;
			out.count++;
		}
	return out;
}

static struct words append(struct regex *regex, struct words a, struct words b)
{
	struct word **end = &a.first;

	if (a.count + b.count > WORDS_MAX) {
		refuse(regex, "stands for more than 1000 patterns");
		return a;
	}
	while (*end != NULL)
		end = &(*end)->next;
	*end = b.first;
	a.count += b.count;
	return a;
}

/* --- parsing --- */

static char peek(const struct regex *regex, size_t ahead)
{
	return regex->at + ahead < regex->text.len ? regex->text.data[regex->at + ahead] : '\0';
}

static bool is_repetition(char c)
{
	return c == '*' || c == '+' || c == '?' || c == '{';
}

/* The * or + behind `.` or [^@] (with a ? for "as few as possible": the same is matched). */
static struct words take_wild(struct regex *regex, enum mark any, enum mark some)
{
	char c = peek(regex, 0);

	regex->at++;
	if (peek(regex, 0) == '?')
		regex->at++;
	if (is_repetition(peek(regex, 0)))
		refuse(regex, "a repetition of a repetition");
	return one_word(regex, (char)(c == '*' ? any : some), 1);
}

static struct words take_dot(struct regex *regex)
{
	char next = peek(regex, 1);

	if (next != '*' && next != '+') {
		refuse(regex, "a dot that is not escaped stands for any character: write \\.");
		return one_word(regex, '.', 1);
	}
	regex->at++;
	return take_wild(regex, MARK_ANY, MARK_SOME);
}

static struct words take_literal(struct regex *regex, char c)
{
	static const char once[] =
		"a repetition that is not of a dot, as in .*, or of [^@] has no pattern";

	if (c <= ' ' || c >= 127)
		refuse(regex, "only characters that stand in an address");
	else if (c == '*')
		refuse(regex, "an address with * in it has no pattern");
	else if (c >= 'A' && c <= 'Z' && !regex->ignores_case)
		refuse(regex, "a capital letter matches only itself here, but entries do not "
			      "regard case: begin with (?i)");
	regex->at++;
	if (is_repetition(peek(regex, 0)))
		refuse(regex, once);
	return one_word(regex, ascii_lower(c), 1);
}

static struct words take_class(struct regex *regex)
{
	char c = peek(regex, 1);

	if (span_is(span_first(span_skip(regex->text, regex->at), 4), "[^@]") &&
	    (peek(regex, 4) == '*' || peek(regex, 4) == '+')) {
		regex->at += 4;
		return take_wild(regex, MARK_ANY_BUT_AT, MARK_SOME_BUT_AT);
	}
	if (c != '^' && c != ']' && c != '\\' && peek(regex, 2) == ']') {
		regex->at += 2; /* [.] is another way to write \. */
		return take_literal(regex, c);
	}
	refuse(regex, "a class of characters has no pattern, but for [^@]* and [^@]+");
	return one_word(regex, c, 1);
}

static struct words take_escape(struct regex *regex)
{
	char c = peek(regex, 1);

	if (c == 'A' || c == 'z') {
		regex->at += 2;
		return one_word(regex, (char)(c == 'A' ? MARK_START : MARK_END), 1);
	}
	if (c == '\0' || ascii_is_alnum(c)) {
		refuse(regex, "this escape has no pattern");
		return one_word(regex, c, 1);
	}
	regex->at++;
	return take_literal(regex, c);
}

static struct words take_choices(struct regex *regex);

static struct words take_group(struct regex *regex)
{
	struct words inside;
	size_t from = regex->at;

	if (peek(regex, 1) == '?' && peek(regex, 2) != ':')
		refuse(regex, "of groups only (…) and (?:…) have patterns, and (?i) in front");
	if (++regex->groups > GROUPS_MAX)
		refuse(regex, "too many groups inside each other");
	if (regex->refused)
		return one_word(regex, '(', 1);
	regex->at += peek(regex, 1) == '?' ? 3 : 1;
	inside = take_choices(regex);
	regex->groups--;
	if (regex->refused)
		return inside;
	if (peek(regex, 0) != ')')
		refuse_at(regex, from, "this group is not closed");
	regex->at++;
	if (is_repetition(peek(regex, 0)))
		refuse(regex, "a repeated group has no pattern");
	return inside;
}

static struct words take_piece(struct regex *regex)
{
	char c = peek(regex, 0);

	switch (c) {
	case '^':
	case '$': regex->at++; return one_word(regex, (char)(c == '^' ? MARK_START : MARK_END), 1);
	case '(': return take_group(regex);
	case '.': return take_dot(regex);
	case '[': return take_class(regex);
	case '\\': return take_escape(regex);
	case ')': refuse(regex, "a parenthesis that was not opened"); return one_word(regex, c, 1);
	case '*':
	case '+':
	case '?':
	case '{':
		refuse(regex, "nothing stands before this repetition that it could repeat");
		return one_word(regex, c, 1);
	default: return take_literal(regex, c);
	}
}

static bool is_choice_end(const struct regex *regex)
{
	char c = peek(regex, 0);

	return regex->at >= regex->text.len || c == '|' || (c == ')' && regex->groups > 0);
}

/* "a|b|c", up to the end or a closing parenthesis. */
static struct words take_choices(struct regex *regex)
{
	struct words all = {NULL, 0};

	for (;;) {
		struct words one = one_word(regex, '\0', 0);

		while (!regex->refused && !is_choice_end(regex))
			one = cross(regex, one, take_piece(regex));
		all = append(regex, all, one);
		if (regex->refused || peek(regex, 0) != '|')
			return all;
		regex->at++;
	}
}

/* --- from a word to a pattern --- */

static bool is_mark(char c)
{
	return c <= MARK_LAST; /* what stands for itself is above ' ' */
}

/* Characters that a run of marks asks for at least. */
static size_t least_of(struct span text)
{
	size_t least = 0;

	for (size_t i = 0; i < text.len; i++)
		least += text.data[i] == MARK_SOME || text.data[i] == MARK_SOME_BUT_AT ? 1 : 0;
	return least;
}

static size_t marks_in_front(struct span text)
{
	size_t count = 0;

	while (count < text.len && is_mark(text.data[count]))
		count++;
	return count;
}

static bool has_marks(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (is_mark(text.data[i]))
			return true;
	return false;
}

/* May what the marks stand for hold an @? */
static bool may_hold_at(struct span marks)
{
	return span_find(marks, MARK_ANY) < marks.len || span_find(marks, MARK_SOME) < marks.len;
}

static const char some_beside[] = "\"at least one character\" has no pattern beside others: use .*";
static const char anchor_inside[] = "^ and $ have a pattern only at the ends";

/* Anchors off; what is not anchored gets a `.*`. NULL, or what is wrong. */
static const char *unanchor(const struct word *word, struct buf *out)
{
	struct span text = span_make(word->text, word->len);
	bool starts = false;
	bool ends = false;

	for (; text.len > 0 && text.data[0] == MARK_START; text = span_skip(text, 1))
		starts = true;
	for (; text.len > 0 && text.data[text.len - 1] == MARK_END;
	     text = span_first(text, text.len - 1))
		ends = true;
	if (span_find(text, MARK_START) < text.len || span_find(text, MARK_END) < text.len)
		return anchor_inside;
	if (!starts)
		(void)buf_append_char(out, MARK_ANY);
	(void)buf_append_span(out, text);
	if (!ends)
		(void)buf_append_char(out, MARK_ANY);
	return NULL;
}

/*
 * No @: `.*` alone is every address, and what ends in ".example.com" is at a
 * sub-domain, since no domain begins with a dot. "At least one" is there in
 * every address.
 */
static const char *without_at(struct span text, struct buf *out)
{
	size_t marks = marks_in_front(text);
	struct span rest = span_skip(text, marks);

	if (!may_hold_at(span_first(text, marks)))
		return "matches no address: there is no @ in it, and nothing that stands for one";
	if (least_of(text) > 1)
		return some_beside;
	if (rest.len > 0 && is_mark(text.data[text.len - 1]))
		return "its end is open: $ is missing, so it would match other domains, too";
	if (rest.len > 0 && (has_marks(rest) || rest.data[0] != '.'))
		return "without an @ it would match in the middle of a name, too";
	(void)buf_append_char(out, '*');
	(void)buf_append_span(out, rest);
	return NULL;
}

/*
 * Before the only @ a run of marks is a `*`. "At least one" goes without
 * saying only where nothing else stands: a local part is never empty.
 */
static const char *take_local(struct span local, struct buf *out)
{
	size_t least = least_of(local);

	if (local.len == 0)
		return "matches no address: nothing stands before the @";
	if (least > 1 || (least == 1 && marks_in_front(local) < local.len))
		return some_beside;
	for (size_t i = 0; i < local.len; i++)
		if (!is_mark(local.data[i]))
			(void)buf_append_char(out, local.data[i]);
		else if (i == 0 || !is_mark(local.data[i - 1]))
			(void)buf_append_char(out, '*');
	return NULL;
}

/* Behind the @: a domain, or marks and then a dot and a domain. No second @ is there to be held. */
static const char *take_domain(struct span domain, struct buf *out)
{
	size_t marks = marks_in_front(domain);
	struct span rest = span_skip(domain, marks);

	if (domain.len > 0 && is_mark(domain.data[domain.len - 1]))
		return "its end is open: $ is missing, so it would match other domains, too";
	if (has_marks(rest))
		return "in a domain a pattern has * only in front, before a dot";
	if (marks > 0 && rest.data[0] != '.')
		return "would match any domain that ends like this: a dot is missing";
	if (marks == 0 && (rest.len == 0 || rest.data[0] == '.'))
		return "matches no address: no domain begins like this";
	if (least_of(domain) > 1)
		return some_beside;
	if (marks > 0)
		(void)buf_append_char(out, '*');
	(void)buf_append_span(out, rest);
	return NULL;
}

static const char *translate(struct span text, struct buf *out)
{
	size_t at = span_find(text, '@');
	const char *wrong;

	if (at == text.len)
		return without_at(text, out);
	if (span_find_last(text, '@') != at)
		return "matches no address that mail could leave to: there are two @ in it";
	wrong = take_local(span_first(text, at), out);
	(void)buf_append_char(out, '@');
	return wrong != NULL ? wrong : take_domain(span_skip(text, at + 1), out);
}

static void add_word(struct regex *regex, const struct word *word)
{
	struct buf plain;
	struct buf text;
	const char *wrong;

	buf_init(&plain, WORD_SIZE + 2);
	buf_init(&text, WORD_SIZE + 2);
	wrong = unanchor(word, &plain);
	if (wrong == NULL)
		wrong = translate(buf_span(&plain), &text);
	if (wrong == NULL)
		reading_add_pattern(regex->reading, buf_span(&text), regex->source->action,
				    regex->source->place);
	else
		refuse_at(regex, 0, wrong);
	buf_release(&plain);
	buf_release(&text);
}

void listing_add_regex(struct reading *reading, const struct regex_source *source)
{
	struct regex regex = {.reading = reading, .source = source, .text = source->text};
	struct words words;

	regex.arena = arena_new();
	if (span_is(span_first(regex.text, strlen(IGNORE_CASE)), IGNORE_CASE)) {
		regex.at = strlen(IGNORE_CASE);
		regex.ignores_case = true;
	}
	if (regex.at == regex.text.len)
		refuse(&regex, "an empty expression");
	words = take_choices(&regex);
	for (const struct word *word = words.first; word != NULL && !regex.refused;
	     word = word->next)
		add_word(&regex, word);
	arena_free(&regex.arena);
}
