/* queue/gram.c - texts as the three octets long pieces that they hold */
#include "queue/gram.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/*
 * A block of ordinary mail has some 200,000 postings. Nobody who sends long
 * subjects or to thousands makes it more than five times that: what is over is
 * a candidate by itself.
 */
#define POSTINGS_MAX   ((size_t)1 << 20)
#define TEXT_OCTETS    256  /* of one text */
#define MESSAGE_GRAMS  2048 /* of one field of one message: its recipients */
#define LIST_MAX       127  /* places; more are written as a map */
#define MAP_OCTETS     (BLOCK_MESSAGES / 8)
#define TAG_MAP	       0x80U
#define TAG_FIELD      0x03U
#define KEY_FIELD_BITS 2
#define KEY_BITS       (24 + KEY_FIELD_BITS + BLOCK_SHIFT)

/* gram, field and place in one number: the order that is wanted is that of numbers. */
struct postings {
	uint64_t *keys;
	size_t count;
	size_t room;
	size_t at; /* of the next take */
	size_t field_count[TEXT_FIELDS];
	size_t field_place[TEXT_FIELDS]; /* whose they are */
	bool field_is_long[TEXT_FIELDS]; /* and that they were too much has been put down */
	unsigned char bytes[TEXT_FIELDS * (2 + MAP_OCTETS)];
};

struct postings *postings_new(void)
{
	return mem_zalloc(sizeof(struct postings));
}

void postings_free(struct postings **postings)
{
	if (*postings == NULL)
		return;
	mem_free((*postings)->keys);
	mem_free(*postings);
	*postings = NULL;
}

void postings_clear(struct postings *postings)
{
	uint64_t *keys = postings->keys;
	size_t room = postings->room;

	memset(postings, 0, sizeof(*postings));
	postings->keys = keys;
	postings->room = room;
}

static void put(struct postings *postings, uint32_t gram, enum text_field field, size_t place)
{
	if (postings->count == postings->room) {
		postings->room = postings->room > 0 ? postings->room * 2 : 4096;
		postings->keys =
			mem_regrow(postings->keys, postings->room, sizeof(*postings->keys));
	}
	postings->keys[postings->count++] =
		((uint64_t)gram << KEY_FIELD_BITS | field) << BLOCK_SHIFT | place;
}

static uint32_t gram_at(const char *text)
{
	return (uint32_t)(unsigned char)ascii_lower(text[0]) << 16 |
	       (uint32_t)(unsigned char)ascii_lower(text[1]) << 8 |
	       (uint32_t)(unsigned char)ascii_lower(text[2]);
}

/* Is there room for so many more of this field of this message? */
static bool has_room(struct postings *postings, size_t grams, enum text_field field, size_t place)
{
	if (postings->field_place[field] != place) {
		postings->field_place[field] = place;
		postings->field_count[field] = 0;
		postings->field_is_long[field] = false;
	}
	postings->field_count[field] += grams;
	return postings->field_count[field] <= MESSAGE_GRAMS &&
	       postings->count + grams <= POSTINGS_MAX;
}

void postings_add(struct postings *postings, struct span text, enum text_field field, size_t place)
{
	size_t grams = text.len >= GRAM_OCTETS ? text.len - GRAM_OCTETS + 1 : 0;

	assert(place < BLOCK_MESSAGES);
	if (!has_room(postings, grams, field, place) || text.len > TEXT_OCTETS) {
		if (!postings->field_is_long[field])
			put(postings, GRAM_LONG, field, place);
		postings->field_is_long[field] = true;
		return;
	}
	for (size_t i = 0; i < grams; i++)
		put(postings, gram_at(text.data + i), field, place);
}

/* --- sorting ----------------------------------------------------------------- */

#define DIGIT_BITS 10
#define DIGITS	   (1U << DIGIT_BITS)

static void sort_by_digit(const uint64_t *from, uint64_t *to, size_t count, unsigned shift)
{
	size_t starts[DIGITS] = {0};
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		starts[from[i] >> shift & (DIGITS - 1)]++;
	for (size_t digit = 0; digit < DIGITS; digit++) {
		size_t size = starts[digit];

		starts[digit] = sum;
		sum += size;
	}
	for (size_t i = 0; i < count; i++)
		to[starts[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

void postings_sort(struct postings *postings)
{
	uint64_t *other = mem_array(postings->room, sizeof(*other));
	uint64_t *swap;

	for (unsigned shift = 0; shift < KEY_BITS; shift += DIGIT_BITS) {
		sort_by_digit(postings->keys, other, postings->count, shift);
		swap = postings->keys;
		postings->keys = other;
		other = swap;
	}
	mem_free(other);
	postings->at = 0;
}

/* --- what is stored of a gram ------------------------------------------------- */

/*
 * For each field that has it: a tag, then either so many places, two octets
 * each (the count stands in the next octet), or a map of all of them.
 */
static size_t write_list(unsigned char *out, const uint64_t *keys, size_t count)
{
	out[0] = (unsigned char)count;
	for (size_t i = 0; i < count; i++) {
		out[1 + 2 * i] = (unsigned char)(keys[i] & 0xff);
		out[2 + 2 * i] = (unsigned char)(keys[i] >> 8 & (BLOCK_MESSAGES / 256 - 1));
	}
	return 1 + 2 * count;
}

static size_t write_map(unsigned char *out, const uint64_t *keys, size_t count)
{
	memset(out, 0, MAP_OCTETS);
	for (size_t i = 0; i < count; i++) {
		size_t place = keys[i] & (BLOCK_MESSAGES - 1);

		out[place / 8] |= (unsigned char)(1U << place % 8);
	}
	return MAP_OCTETS;
}

/* Keys of one gram and field, each once. */
static size_t write_field(unsigned char *out, uint64_t *keys, size_t count)
{
	bool is_map = count > LIST_MAX;

	out[0] = (unsigned char)((keys[0] >> BLOCK_SHIFT & TAG_FIELD) | (is_map ? TAG_MAP : 0));
	return 1 + (is_map ? write_map(out + 1, keys, count) : write_list(out + 1, keys, count));
}

/* The run of keys from `at` that are the same above `shift`; doubles are taken out of it. */
static size_t take_run(struct postings *postings, unsigned shift, uint64_t **run_out)
{
	uint64_t *keys = postings->keys + postings->at;
	size_t left = postings->count - postings->at;
	size_t unique = 1;
	size_t i = 1;

	for (; i < left && keys[i] >> shift == keys[0] >> shift; i++)
		if (keys[i] != keys[unique - 1])
			keys[unique++] = keys[i];
	postings->at += i;
	*run_out = keys;
	return unique;
}

bool postings_take(struct postings *postings, uint32_t *gram_out, struct span *bytes_out)
{
	size_t len = 0;
	uint64_t gram;

	if (postings->at == postings->count)
		return false;
	gram = postings->keys[postings->at] >> (BLOCK_SHIFT + KEY_FIELD_BITS);
	while (postings->at < postings->count &&
	       postings->keys[postings->at] >> (BLOCK_SHIFT + KEY_FIELD_BITS) == gram) {
		uint64_t *run;
		size_t count = take_run(postings, BLOCK_SHIFT, &run);

		len += write_field(postings->bytes + len, run, count);
	}
	*gram_out = (uint32_t)gram;
	*bytes_out = span_make((const char *)postings->bytes, len);
	return true;
}

/* --- places ------------------------------------------------------------------ */

void places_fill(struct places *places)
{
	memset(places, 0xff, sizeof(*places));
}

bool places_is_empty(const struct places *places)
{
	for (size_t i = 0; i < PLACE_WORDS; i++)
		if (places->bits[i] != 0)
			return false;
	return true;
}

void places_add(struct places *places, const struct places *others)
{
	for (size_t i = 0; i < PLACE_WORDS; i++)
		places->bits[i] |= others->bits[i];
}

void places_narrow(struct places *places, const struct places *others)
{
	for (size_t i = 0; i < PLACE_WORDS; i++)
		places->bits[i] &= others->bits[i];
}

int places_last(const struct places *places)
{
	for (size_t i = PLACE_WORDS; i-- > 0;)
		if (places->bits[i] != 0)
			return (int)(i * 64) + 63 - __builtin_clzll(places->bits[i]);
	return -1;
}

int places_take_last(struct places *places)
{
	int place = places_last(places);

	if (place >= 0)
		places->bits[place / 64] &= ~((uint64_t)1 << place % 64);
	return place;
}

void places_cut(struct places *places, size_t place)
{
	for (size_t i = 0; i < PLACE_WORDS; i++) {
		size_t first = i * 64;

		if (first >= place)
			places->bits[i] = 0;
		else if (place - first < 64)
			places->bits[i] &= ((uint64_t)1 << (place - first)) - 1;
	}
}

/* --- reading what was stored ---------------------------------------------------- */

static void set_place(struct places *places, size_t place)
{
	places->bits[place / 64] |= (uint64_t)1 << place % 64;
}

static void read_map(const unsigned char *map, struct places *places)
{
	for (size_t i = 0; i < MAP_OCTETS; i++)
		places->bits[i / 8] |= (uint64_t)map[i] << i % 8 * 8;
}

/* How many octets the field took; 0: they are none of ours. */
static size_t read_field(struct span bytes, struct places fields[TEXT_FIELDS])
{
	const unsigned char *b = (const unsigned char *)bytes.data;
	struct places *places = &fields[b[0] & TAG_FIELD];
	size_t len = (b[0] & TAG_MAP) != 0 ? 1 + (size_t)MAP_OCTETS
		     : bytes.len > 1	   ? 2 + 2 * (size_t)b[1]
					   : SIZE_MAX;

	if (len > bytes.len)
		return 0;
	if ((b[0] & TAG_MAP) != 0) {
		read_map(b + 1, places);
		return len;
	}
	for (size_t i = 0; i < b[1]; i++)
		set_place(places,
			  (b[2 + 2 * i] | (size_t)b[3 + 2 * i] << 8) & (BLOCK_MESSAGES - 1));
	return len;
}

void places_read(struct span bytes, struct places fields_out[TEXT_FIELDS])
{
	memset(fields_out, 0, TEXT_FIELDS * sizeof(*fields_out));
	while (bytes.len > 0) {
		size_t len = read_field(bytes, fields_out);

		if (len == 0) {
			for (size_t i = 0; i < TEXT_FIELDS; i++)
				places_fill(&fields_out[i]);
			return;
		}
		bytes = span_skip(bytes, len);
	}
}

size_t gram_choose(struct span folded, uint32_t *grams_out, size_t max)
{
	size_t all = folded.len >= GRAM_OCTETS ? folded.len - GRAM_OCTETS + 1 : 0;
	size_t count = all < max ? all : max;

	for (size_t i = 0; i < count; i++)
		grams_out[i] = gram_at(folded.data + (count > 1 ? i * (all - 1) / (count - 1) : 0));
	return count;
}
