/* admin/value.c - cursors as the API writes them */
#include "admin/value.h"

#include "base/secret.h"

#define CURSOR_MAX  (1 + 16 + 4) /* kind, key, check */
#define CHECK_BYTES 4

/* FNV-1a: finds a cursor that was cut or made by hand; it keeps no secret. */
static uint32_t check_sum(const unsigned char *bytes, size_t len)
{
	uint32_t sum = 2166136261U;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ bytes[i]) * 16777619U;
	return sum;
}

static void cursor_format(enum cursor_kind kind, const unsigned char *key, size_t len,
			  char *text_out)
{
	unsigned char bytes[CURSOR_MAX];
	uint32_t sum;

	bytes[0] = (unsigned char)kind;
	memcpy(bytes + 1, key, len);
	sum = check_sum(bytes, len + 1);
	for (size_t i = 0; i < CHECK_BYTES; i++)
		bytes[len + 1 + i] = (unsigned char)(sum >> (8 * i));
	secret_hex(bytes, len + 1 + CHECK_BYTES, text_out);
}

static bool hex_digit(char c, unsigned *value_out)
{
	*value_out = ascii_is_digit(c) ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
	return ascii_is_digit(c) || (c >= 'a' && c <= 'f');
}

static int cursor_parse(enum cursor_kind kind, struct span text, unsigned char *key_out, size_t len,
			struct err *why)
{
	unsigned char bytes[CURSOR_MAX] = {0};
	size_t total = len + 1 + CHECK_BYTES;
	bool right = text.len == 2 * total;
	unsigned high = 0;
	unsigned low = 0;
	uint32_t sum;

	for (size_t i = 0; right && i < total; i++) {
		right = hex_digit(text.data[2 * i], &high) && hex_digit(text.data[2 * i + 1], &low);
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	sum = check_sum(bytes, len + 1);
	for (size_t i = 0; right && i < CHECK_BYTES; i++)
		right = bytes[len + 1 + i] == (unsigned char)(sum >> (8 * i));
	if (!right || bytes[0] != (unsigned char)kind)
		return err_set(why, ERR_SYNTAX, "not a cursor of this list");
	memcpy(key_out, bytes + 1, len);
	return ERR_OK;
}

void cursor_format_id(enum cursor_kind kind, int64_t id, char text_out[CURSOR_TEXT_SIZE])
{
	unsigned char key[8];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (unsigned char)((uint64_t)id >> (8 * (7 - i)));
	cursor_format(kind, key, sizeof(key), text_out);
}

int cursor_parse_id(enum cursor_kind kind, struct span text, int64_t *id_out, struct err *why)
{
	unsigned char key[8];
	uint64_t id = 0;
	int code = cursor_parse(kind, text, key, sizeof(key), why);

	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < sizeof(key); i++)
		id = id << 8 | key[i];
	if (id > INT64_MAX)
		return err_set(why, ERR_SYNTAX, "not a cursor of this list");
	*id_out = (int64_t)id;
	return ERR_OK;
}
