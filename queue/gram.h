/* queue/gram.h - texts as the three octets long pieces that they hold; private to queue/ */
#ifndef STAGEPOST_QUEUE_GRAM_H
#define STAGEPOST_QUEUE_GRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Messages are looked for by parts of their texts. A text holds a part only if
 * it holds each three octets of it (a gram), so for a block of messages it is
 * written down which of them hold which gram in which field. That finds
 * candidates, which are then compared. Letters are folded as ASCII; octets of
 * any other writing are grams like others. Pure.
 */
#define BLOCK_SHIFT    11
#define BLOCK_MESSAGES (1 << BLOCK_SHIFT)

static inline int64_t block_of(int64_t message)
{
	return message >> BLOCK_SHIFT;
}
static inline int64_t block_first(int64_t block)
{
	return block * BLOCK_MESSAGES;
}

/* Stored as these numbers. */
enum text_field { TEXT_SENDER = 0, TEXT_RECIPIENT = 1, TEXT_SUBJECT = 2, TEXT_MESSAGE_ID = 3 };
#define TEXT_FIELDS 4
#define TEXT_ANY    ((1U << TEXT_FIELDS) - 1)

#define GRAM_OCTETS 3
/* Written down for what is too long, or too much in one block, to be looked at: always a candidate.
 */
#define GRAM_LONG 0U

/* What a block holds, in the making. */
struct postings;
struct postings *postings_new(void);
void postings_free(struct postings **postings);
void postings_clear(struct postings *postings);
void postings_add(struct postings *postings, struct span text, enum text_field field, size_t place);
/* After the last text, before the first take. */
void postings_sort(struct postings *postings);
/*
 * The next gram and its places, in the order of grams: bytes to be stored,
 * valid until the next call. False: there is none left.
 */
bool postings_take(struct postings *postings, uint32_t *gram_out, struct span *bytes_out);

/* Messages of a block. */
#define PLACE_WORDS (BLOCK_MESSAGES / 64)
struct places {
	uint64_t bits[PLACE_WORDS];
};
void places_fill(struct places *places);
bool places_is_empty(const struct places *places);
void places_add(struct places *places, const struct places *others);
void places_narrow(struct places *places, const struct places *others);
/* -1: there is none. */
int places_last(const struct places *places);
/* Takes it out. */
int places_take_last(struct places *places);
/* Only those before `place` stay. */
void places_cut(struct places *places, size_t place);

/* What postings_take gave, by field. Bytes that are none of ours: all messages in all fields. */
void places_read(struct span bytes, struct places fields_out[TEXT_FIELDS]);

/* Grams of a part that is looked for: at most `max`, spread over it. Shorter than a gram: none. */
size_t gram_choose(struct span folded, uint32_t *grams_out, size_t max);

#endif
