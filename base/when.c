/* base/when.c - times and durations as people write them */
#include "base/when.h"

#define DAY_MS	((int64_t)24 * 60 * 60 * 1000)
#define LAST_MS 253402300799999 /* 9999-12-31T23:59:59.999Z: RFC 3339 has four digits */

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

int when_parse(struct span text, int64_t *wall_ms_out, struct err *why)
{
	struct span rest = text;
	int64_t days;
	int64_t ms;
	int64_t offset;

	if (!take_date(&rest, &days) || !(take_char(&rest, 'T') || take_char(&rest, 't')) ||
	    !take_clock(&rest, &ms) || !take_offset(&rest, &offset) || rest.len > 0)
		return err_set(why, ERR_SYNTAX,
			       "not a time like 2026-11-21T10:20:30.456Z (RFC 3339)");
	ms += days * DAY_MS - offset;
	if (ms > LAST_MS)
		return err_set(why, ERR_SYNTAX, "lies behind the year 9999");
	*wall_ms_out = ms;
	return ERR_OK;
}

int when_parse_duration(struct span text, int64_t *ms_out, struct err *why)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {
		{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", DAY_MS}};
	size_t digits = 0;
	uint64_t number;

	while (digits < text.len && ascii_is_digit(text.data[digits]))
		digits++;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!span_is(span_skip(text, digits), units[i].unit))
			continue;
		switch (span_to_u64(span_first(text, digits),
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

int when_parse_past(struct span text, int64_t now_ms, int64_t *wall_ms_out, struct err *why)
{
	int64_t ago_ms;

	if (when_parse(text, wall_ms_out, NULL) == ERR_OK)
		return ERR_OK;
	if (when_parse_duration(text, &ago_ms, NULL) != ERR_OK)
		return err_set(why, ERR_SYNTAX,
			       "neither a time like 2026-11-21T10:20:30.456Z (RFC 3339) nor an age "
			       "like 30m, 2h or 7d");
	/* Before 1970 there was nothing; 0 would mean that no time was given. */
	*wall_ms_out = ago_ms < now_ms ? now_ms - ago_ms : 1;
	return ERR_OK;
}
