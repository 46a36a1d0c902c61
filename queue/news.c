/* queue/news.c - what happens in the relay: events as records */
#include <config.h>

#include "queue/news.h"

#include <assert.h>
#include <stddef.h>

#define TEXT_MAX ((size_t)1024)

static const char *const kind_names[NEWS_KINDS] = {
	[NEWS_ACCEPTED] = "accepted", [NEWS_VERDICT] = "verdict", [NEWS_ATTEMPT] = "attempt",
	[NEWS_STATE] = "state",	      [NEWS_DELETED] = "deleted", [NEWS_WHITELIST] = "whitelist",
	[NEWS_RULE] = "rule",	      [NEWS_FAULT] = "fault",	  [NEWS_DELIVERY] = "delivery",
	[NEWS_TOKEN] = "token"};

const char *news_kind_name(enum news_kind kind)
{
	return kind_names[kind];
}

int news_kind_parse(struct span name, enum news_kind *kind_out)
{
	for (size_t i = 0; i < NEWS_KINDS; i++)
		if (span_is(name, kind_names[i])) {
			*kind_out = (enum news_kind)i;
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}

/* --- records ------------------------------------------------------------------------------- */

/* A record is the members in front of the texts, which texts are there, and these with their NUL.
 */
#define FACTS_BYTES offsetof(struct news, scope)

static const size_t texts[] = {
	offsetof(struct news, scope),	       offsetof(struct news, recipient),
	offsetof(struct news, sender),	       offsetof(struct news, subject),
	offsetof(struct news, message_id),     offsetof(struct news, listener),
	offsetof(struct news, client),	       offsetof(struct news, user),
	offsetof(struct news, origin),	       offsetof(struct news, action),
	offsetof(struct news, state),	       offsetof(struct news, reason),
	offsetof(struct news, trouble),	       offsetof(struct news, route),
	offsetof(struct news, remote),	       offsetof(struct news, tls),
	offsetof(struct news, reply_enhanced), offsetof(struct news, reply_text),
	offsetof(struct news, rule),	       offsetof(struct news, redirect_to),
	offsetof(struct news, actor),	       offsetof(struct news, name)};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

_Static_assert(FACTS_BYTES + TEXTS * sizeof(char *) == sizeof(struct news),
	       "every text of an event is in the table");
_Static_assert(TEXTS <= 32, "which texts are there fits a number");
_Static_assert(FACTS_BYTES + sizeof(uint32_t) + TEXTS * (TEXT_MAX + 1) <= BUS_RECORD_MAX,
	       "an event always fits a record");

static const char *text_at(const struct news *news, size_t i)
{
	const char *text;

	memcpy(&text, (const char *)news + texts[i], sizeof(text));
	return text;
}

/* Between two characters where it is UTF-8. */
static struct span cut(const char *text)
{
	struct span whole = span_make(text, strnlen(text, TEXT_MAX + 1));
	size_t len = TEXT_MAX;

	if (whole.len <= TEXT_MAX)
		return whole;
	while (len > TEXT_MAX - 4 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return span_first(whole, len);
}

void news_pack(const struct news *news, struct buf *record_out)
{
	uint32_t there = 0;
	int code;

	for (size_t i = 0; i < TEXTS; i++)
		if (text_at(news, i) != NULL)
			there |= 1U << i;
	code = buf_append(record_out, news, FACTS_BYTES);
	if (code == ERR_OK)
		code = buf_append(record_out, &there, sizeof(there));
	for (size_t i = 0; code == ERR_OK && i < TEXTS; i++) {
		if ((there & 1U << i) == 0)
			continue;
		code = buf_append_span(record_out, cut(text_at(news, i)));
		if (code == ERR_OK)
			code = buf_append_char(record_out, '\0');
	}
	assert(code == ERR_OK);
}

void news_unpack(struct span record, struct news *news_out)
{
	uint32_t there;

	assert(record.len >= FACTS_BYTES + sizeof(there));
	*news_out = (struct news){0};
	memcpy(news_out, record.data, FACTS_BYTES);
	memcpy(&there, record.data + FACTS_BYTES, sizeof(there));
	record = span_skip(record, FACTS_BYTES + sizeof(there));
	for (size_t i = 0; i < TEXTS; i++) {
		if ((there & 1U << i) == 0)
			continue;
		memcpy((char *)news_out + texts[i], &record.data, sizeof(record.data));
		record = span_skip(record, strlen(record.data) + 1);
	}
}
