/* queue/match.c - is a message, or a recipient, one of those that are asked for */
#include "queue/match.h"

#include <string.h>

/* --- making one -------------------------------------------------------------- */

static struct span fold(struct arena *arena, struct span text)
{
	char *folded = arena_alloc(arena, text.len + 1);

	for (size_t i = 0; i < text.len; i++)
		folded[i] = ascii_lower(text.data[i]);
	return span_make(folded, text.len);
}

static void add_word(struct match *match, struct arena *arena, struct span text, unsigned fields)
{
	struct match_word *word = &match->words[match->word_count++];

	word->folded = fold(arena, text);
	word->fields = fields;
	word->gram_count = gram_choose(word->folded, word->grams, MATCH_GRAMS_MAX);
}

static void add_part(struct match *match, struct arena *arena, const char *text, unsigned fields)
{
	if (text != NULL && text[0] != '\0')
		add_word(match, arena, span_of(text), fields);
}

/* Each of them by itself, in any order. `spare`: of the room that others need. */
static void add_words(struct match *match, struct arena *arena, const char *text, unsigned fields,
		      size_t spare)
{
	struct span rest = span_trim(span_of(text != NULL ? text : ""));

	while (rest.len > 0) {
		bool is_last = match->word_count + 1 + spare >= MATCH_WORDS_MAX;
		struct span word = is_last ? rest : span_first(rest, span_find(rest, ' '));

		add_word(match, arena, word, fields);
		rest = span_trim(span_skip(rest, word.len));
	}
}

size_t query_words(const char *text)
{
	struct span rest = span_trim(span_of(text));
	size_t count = 0;

	for (; rest.len > 0; count++)
		rest = span_trim(span_skip(rest, span_find(rest, ' ')));
	return count;
}

void match_init(struct match *match, const struct recipient_query *query, struct arena *arena)
{
	const struct message_query *message = &query->message;

	memset(match, 0, sizeof(*match));
	add_part(match, arena, message->to, 1U << TEXT_RECIPIENT);
	add_part(match, arena, message->from, 1U << TEXT_SENDER);
	add_words(match, arena, message->subject, 1U << TEXT_SUBJECT, MATCH_WORDS_MAX / 2);
	add_words(match, arena, message->q, TEXT_ANY, 0);
	if (message->to != NULL)
		match->to = fold(arena, span_of(message->to));
	if (query->reason != NULL)
		match->reason = fold(arena, span_of(query->reason));
	match->states = query->states != 0 ? query->states & MATCH_ALL_STATES : MATCH_ALL_STATES;
	if (message->state != 0)
		match->states &= 1U << message->state;
	match->scope = message->scope;
	match->since = message->since;
	match->until = message->until > 0 ? message->until : INT64_MAX;
}

bool match_asks_recipients(const struct match *match)
{
	for (size_t i = 0; i < match->word_count; i++)
		if ((match->words[i].fields & 1U << TEXT_RECIPIENT) != 0)
			return true;
	return match->states != MATCH_ALL_STATES || match->reason.len > 0;
}

/* --- looking ----------------------------------------------------------------- */

static bool begins_with(const char *text, struct span folded)
{
	for (size_t i = 0; i < folded.len; i++)
		if (ascii_lower(text[i]) != folded.data[i])
			return false;
	return true;
}

static bool holds(struct span text, struct span folded)
{
	if (folded.len == 0)
		return true;
	for (size_t i = 0; i + folded.len <= text.len; i++)
		if (begins_with(text.data + i, folded))
			return true;
	return false;
}

bool match_message(const struct match *match, const struct match_texts *texts, unsigned *open_out)
{
	const struct span fields[TEXT_FIELDS] = {[TEXT_SENDER] = texts->sender,
						 [TEXT_SUBJECT] = texts->subject,
						 [TEXT_MESSAGE_ID] = texts->message_id};

	*open_out = 0;
	if (texts->received_at < match->since || texts->received_at >= match->until ||
	    (match->scope != NULL && !span_is(texts->scope, match->scope)))
		return false;
	for (size_t i = 0; i < match->word_count; i++) {
		const struct match_word *word = &match->words[i];
		bool found = false;

		for (size_t field = 0; field < TEXT_FIELDS && !found; field++)
			found = (word->fields & 1U << field) != 0 &&
				holds(fields[field], word->folded);
		if (!found && (word->fields & 1U << TEXT_RECIPIENT) == 0)
			return false;
		if (!found)
			*open_out |= 1U << i;
	}
	return true;
}

unsigned match_open(const struct match *match, struct span address, unsigned open)
{
	for (size_t i = 0; i < match->word_count; i++)
		if ((open & 1U << i) != 0 && holds(address, match->words[i].folded))
			open &= ~(1U << i);
	return open;
}

bool match_recipient(const struct match *match, const struct match_recipient *recipient)
{
	return (unsigned)recipient->state < STATE_COUNT &&
	       (match->states & 1U << recipient->state) != 0 &&
	       holds(recipient->address, match->to) && holds(recipient->reason, match->reason);
}
