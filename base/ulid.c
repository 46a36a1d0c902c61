/* base/ulid.c - identifiers that sort by time */
#include "base/ulid.h"

#include <pthread.h>

#include "base/err.h"
#include "base/secret.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ulid last;

/* Add one to the random part; carrying into the time keeps the order. */
static void increment(struct ulid *id)
{
	for (int i = 15; i >= 0; i--)
		if (++id->bytes[i] != 0)
			return;
}

struct ulid ulid_new(int64_t wall_ms)
{
	struct ulid id;

	secret_random(id.bytes, sizeof(id.bytes));
	for (int i = 0; i < 6; i++)
		id.bytes[i] = (unsigned char)((uint64_t)wall_ms >> (40 - 8 * i));
	id.bytes[6] &= 0x7f; /* leaves room to count up within the millisecond */
	pthread_mutex_lock(&last_lock);
	if (memcmp(id.bytes, last.bytes, 6) <= 0) {
		id = last;
		increment(&id);
	}
	last = id;
	pthread_mutex_unlock(&last_lock);
	return id;
}

void ulid_format(const struct ulid *id, char text_out[ULID_TEXT_SIZE])
{
	/* 128 bits in 26 digits of 5: the first digit holds the top 3. */
	for (int digit = 0; digit < 26; digit++) {
		int bit = digit * 5 - 2;
		unsigned value = 0;

		for (int i = 0; i < 5; i++) {
			int at = bit + i;

			value <<= 1;
			if (at >= 0)
				value |= ((unsigned)id->bytes[at / 8] >> (7 - at % 8)) & 1U;
		}
		text_out[digit] = alphabet[value];
	}
	text_out[26] = '\0';
}

static int digit_value(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - ('a' - 'A'));
	at = c != '\0' ? strchr(alphabet, c) : NULL;
	return at != NULL ? (int)(at - alphabet) : -1;
}

int ulid_parse(struct span text, struct ulid *id_out)
{
	struct ulid id = {{0}};

	if (text.len != 26)
		return ERR_SYNTAX;
	for (int digit = 0; digit < 26; digit++) {
		int value = digit_value(text.data[digit]);

		if (value < 0 || (digit == 0 && value > 7))
			return ERR_SYNTAX;
		for (int i = 0; i < 5; i++) {
			int at = digit * 5 - 2 + i;

			if (at >= 0 && (value >> (4 - i)) & 1)
				id.bytes[at / 8] |= (unsigned char)(1U << (7 - at % 8));
		}
	}
	*id_out = id;
	return ERR_OK;
}

bool ulid_equal(const struct ulid *a, const struct ulid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int64_t ulid_time_ms(const struct ulid *id)
{
	uint64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->bytes[i];
	return (int64_t)ms;
}
