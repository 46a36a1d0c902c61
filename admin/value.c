/* admin/value.c - times, durations and cursors as the API writes them */
#include "admin/value.h"

#include "base/secret.h"

#define DAY_MS	    ((int64_t)24 * 60 * 60 * 1000)
#define CURSOR_MAX  (1 + 16 + 4) /* kind, key, check */
#define CHECK_BYTES 4

/* --- times -------------------------------------------------------------------------------- */

/* Exactly `digits` digits off the front. */
static bool take_number(struct span *rest, size_t digits, int64_t *number_out)
{
	uint64_t number;

	if (rest->len < digits || span_to_u64(span_first(*rest, digits), 9999, &number) != ERR_OK)
		return false;
	*number_out = (int64_t)number;
	*rest = span_skip(*rest, digits);
	return true;
}

static bool take_char(struct span *rest, char c)
{
	if (rest->len == 0 || rest->data[0] != c)
		return false;
	*rest = span_skip(*rest, 1);
	return true;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar. */
static int64_t days_since_epoch(int64_t year, int64_t month, int64_t day)
{
	int64_t y = year - 1;
	int64_t days = y * 365 + y / 4 - y / 100 + y / 400 - 719162;

	for (int64_t m = 1; m < month; m++)
		days += days_in_month(year, m);
	return days + day - 1;
}

static bool take_date(struct span *rest, int64_t *days_out)
{
	int64_t year;
	int64_t month;
	int64_t day;

	if (!take_number(rest, 4, &year) || !take_char(rest, '-') ||
	    !take_number(rest, 2, &month) || !take_char(rest, '-') || !take_number(rest, 2, &day))
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return false;
	*days_out = days_since_epoch(year, month, day);
	return true;
}

static bool take_clock(struct span *rest, int64_t *ms_out)
{
	int64_t hour;
	int64_t minute;
	int64_t second;
	int64_t fraction = 0;
	int64_t scale = 100;

	if (!take_number(rest, 2, &hour) || !take_char(rest, ':') ||
	    !take_number(rest, 2, &minute) || !take_char(rest, ':') ||
	    !take_number(rest, 2, &second) || hour > 23 || minute > 59 || second > 60)
		return false;
	if (take_char(rest, '.')) {
		if (rest->len == 0 || !ascii_is_digit(rest->data[0]))
			return false;
		for (; rest->len > 0 && ascii_is_digit(rest->data[0]); scale /= 10) {
			fraction += (rest->data[0] - '0') * scale;
			*rest = span_skip(*rest, 1);
		}
	}
	*ms_out = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
	return true;
}

static bool take_offset(struct span *rest, int64_t *ms_out)
{
	int64_t hour;
	int64_t minute;
	int64_t sign;

	*ms_out = 0;
	if (take_char(rest, 'Z') || take_char(rest, 'z'))
		return true;
	sign = take_char(rest, '-') ? -1 : 1;
	if (sign > 0 && !take_char(rest, '+'))
		return false;
	if (!take_number(rest, 2, &hour) || !take_char(rest, ':') ||
	    !take_number(rest, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*ms_out = sign * (hour * 60 + minute) * 60 * 1000;
	return true;
}

int value_parse_time(struct span text, int64_t *wall_ms_out, struct err *why)
{
	struct span rest = text;
	int64_t days;
	int64_t ms;
	int64_t offset;

	if (!take_date(&rest, &days) || !(take_char(&rest, 'T') || take_char(&rest, 't')) ||
	    !take_clock(&rest, &ms) || !take_offset(&rest, &offset) || rest.len > 0)
		return err_set(why, ERR_SYNTAX,
			       "not a time like 2026-11-21T10:20:30.456Z (RFC 3339)");
	*wall_ms_out = days * DAY_MS + ms - offset;
	return ERR_OK;
}

int value_parse_duration(struct span text, int64_t *ms_out, struct err *why)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'s', 1000}, {'m', 60 * 1000}, {'h', 60 * 60 * 1000}, {'d', DAY_MS}};
	uint64_t number;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text.len < 2 || text.data[text.len - 1] != units[i].unit)
			continue;
		switch (span_to_u64(span_first(text, text.len - 1),
				    (uint64_t)(36525 * DAY_MS / units[i].ms), &number)) {
		case ERR_OK:
			if (number == 0)
				return err_set(why, ERR_SYNTAX, "a duration is above 0");
			*ms_out = (int64_t)number * units[i].ms;
			return ERR_OK;
		case ERR_LIMIT: return err_set(why, ERR_LIMIT, "more than 100 years");
		default: break;
		}
	}
	return err_set(why, ERR_SYNTAX, "not a duration like 30s, 5m, 4h or 7d");
}

/* --- cursors ------------------------------------------------------------------------------ */

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

void cursor_format_ulid(enum cursor_kind kind, const struct ulid *id,
			char text_out[CURSOR_TEXT_SIZE])
{
	cursor_format(kind, id->bytes, sizeof(id->bytes), text_out);
}

int cursor_parse_ulid(enum cursor_kind kind, struct span text, struct ulid *id_out, struct err *why)
{
	return cursor_parse(kind, text, id_out->bytes, sizeof(id_out->bytes), why);
}
