/* queue/match.h - is a message, or a recipient, one of those that are asked for; private to queue/
 */
#ifndef STAGEPOST_QUEUE_MATCH_H
#define STAGEPOST_QUEUE_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/span.h"
#include "queue/gram.h"
#include "queue/reader.h"

#define MATCH_WORDS_MAX 32
#define MATCH_GRAMS_MAX 8

/* A part that a text must hold. */
struct match_word {
	struct span folded; /* ASCII lower case */
	unsigned fields;    /* 1U << TEXT_…: in one of them is enough */
	uint32_t grams[MATCH_GRAMS_MAX];
	size_t gram_count;
};

/* A filter, made ready. Borrows from the query and the arena it was made with. */
struct match {
	struct match_word words[MATCH_WORDS_MAX];
	size_t word_count;
	struct span to; /* of the recipient that the state and reason are of; folded */
	struct span reason;
	unsigned states; /* 1U << STATE_…; MATCH_ALL_STATES: any */
	const char *scope;
	int64_t since;
	int64_t until; /* INT64_MAX: any */
};
#define MATCH_ALL_STATES (((1U << STATE_COUNT) - 1) & ~1U)

/* What is looked at of a message; spans are borrowed. */
struct match_texts {
	int64_t received_at;
	struct span scope;
	struct span sender;
	struct span subject;
	struct span message_id;
};
struct match_recipient {
	struct span address;
	struct span reason;
	enum state state;
};

/* Words that are more than MATCH_WORDS_MAX are looked for as one part with the last. */
void match_init(struct match *match, const struct recipient_query *query, struct arena *arena);
/* Must recipients be looked at, too, to know whether a message is one? */
bool match_asks_recipients(const struct match *match);

/*
 * False: the message is none, whoever its recipients are. Else *open_out has
 * the words (1U << number) that one of its recipients must have.
 */
bool match_message(const struct match *match, const struct match_texts *texts, unsigned *open_out);
/* Those of the open words that are in no part of this address. */
unsigned match_open(const struct match *match, struct span address, unsigned open);
bool match_recipient(const struct match *match, const struct match_recipient *recipient);

#endif
