/* relay/mail/date.c - RFC 5322 date-time to milliseconds, without the C library's locale and zone
 */
#include "relay/mail/date.h"

#include <stdbool.h>

#include "relay/mail/lexer.h"

static const char *const day_names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
					  "jul", "aug", "sep", "oct", "nov", "dec"};

struct date {
	uint64_t year;
	uint64_t month; /* 1..12 */
	uint64_t day;
	uint64_t hour;
	uint64_t minute;
	uint64_t second;
	int64_t zone_minutes; /* east of Greenwich */
};

static struct span run_take(struct span *rest, bool (*is_one)(char c))
{
	struct span run;
	size_t len = 0;

	while (len < rest->len && is_one(rest->data[len]))
		len++;
	run = span_first(*rest, len);
	*rest = span_skip(*rest, len);
	return run;
}

/* CFWS, then `low`..`high` digits with a value of at most `max`. */
static bool number_take(struct span *rest, size_t low, size_t high, uint64_t max,
			uint64_t *value_out, size_t *digits_out)
{
	struct span run;

	if (!lexer_cfws(rest))
		return false;
	run = run_take(rest, ascii_is_digit);
	if (digits_out != NULL)
		*digits_out = run.len;
	return run.len >= low && run.len <= high && span_to_u64(run, max, value_out) == ERR_OK;
}

/* CFWS, then one of `names`; *index_out counts from 0. */
static bool name_take(struct span *rest, const char *const *names, size_t count, size_t *index_out)
{
	struct span word;

	if (!lexer_cfws(rest))
		return false;
	word = run_take(rest, ascii_is_alpha);
	for (size_t i = 0; i < count; i++) {
		if (span_is_fold(word, names[i])) {
			*index_out = i;
			return true;
		}
	}
	return false;
}

/* [ day-name "," ] */
static bool day_name_take(struct span *rest)
{
	size_t index;

	if (!lexer_cfws(rest))
		return false;
	if (rest->len == 0 || !ascii_is_alpha(rest->data[0]))
		return true;
	return name_take(rest, day_names, 7, &index) && lexer_cfws(rest) && lexer_take(rest, ',');
}

static uint64_t month_days(uint64_t year, uint64_t month)
{
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (month == 2)
		return leap ? 29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static bool day_take(struct span *rest, struct date *date)
{
	size_t month;
	size_t digits;

	if (!number_take(rest, 1, 2, 31, &date->day, NULL) ||
	    !name_take(rest, month_names, 12, &month) ||
	    !number_take(rest, 2, 4, 9999, &date->year, &digits))
		return false;
	date->month = month + 1;
	/* RFC 5322 4.3: 00-49 are 2000-2049; other short years count from 1900. */
	if (digits == 2 && date->year < 50)
		date->year += 2000;
	else if (digits < 4)
		date->year += 1900;
	return date->day >= 1 && date->year >= 1 &&
	       date->day <= month_days(date->year, date->month);
}

static bool time_take(struct span *rest, struct date *date)
{
	if (!number_take(rest, 2, 2, 23, &date->hour, NULL) || !lexer_cfws(rest) ||
	    !lexer_take(rest, ':') || !number_take(rest, 2, 2, 59, &date->minute, NULL) ||
	    !lexer_cfws(rest))
		return false;
	date->second = 0;
	return !lexer_take(rest, ':') || number_take(rest, 2, 2, 60, &date->second, NULL);
}

/* obs-zone; what RFC 5322 4.3 does not know, military letters too, is -0000. */
static int64_t zone_named(struct span name)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = {{"est", -5}, {"edt", -4}, {"cst", -6}, {"cdt", -5},
		     {"mst", -7}, {"mdt", -6}, {"pst", -8}, {"pdt", -7}};

	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (span_is_fold(name, zones[i].name))
			return zones[i].hours * 60;
	return 0;
}

static bool zone_take(struct span *rest, struct date *date)
{
	uint64_t digits;
	bool west;

	if (!lexer_cfws(rest) || rest->len == 0)
		return false;
	if (ascii_is_alpha(rest->data[0])) {
		date->zone_minutes = zone_named(run_take(rest, ascii_is_alpha));
		return true;
	}
	west = lexer_take(rest, '-');
	if ((!west && !lexer_take(rest, '+')) || rest->len == 0 || !ascii_is_digit(rest->data[0]) ||
	    !number_take(rest, 4, 4, 9959, &digits, NULL) || digits % 100 > 59)
		return false;
	date->zone_minutes = (int64_t)(digits / 100 * 60 + digits % 100) * (west ? -1 : 1);
	return true;
}

/* Days from 1970-01-01 in the Gregorian calendar: whole years first, then months. */
static int64_t days_since_epoch(const struct date *date)
{
	int64_t before = (int64_t)date->year - 1;
	int64_t days = before * 365 + before / 4 - before / 100 + before / 400 - 719162;

	for (uint64_t month = 1; month < date->month; month++)
		days += (int64_t)month_days(date->year, month);
	return days + (int64_t)date->day - 1;
}

int date_parse(struct span text, int64_t *ms_out, struct err *why)
{
	struct date date;
	int64_t minutes;

	if (!day_name_take(&text) || !day_take(&text, &date))
		return err_set(why, ERR_SYNTAX, "the day of a date is not valid");
	if (!time_take(&text, &date))
		return err_set(why, ERR_SYNTAX, "the time of a date is not valid");
	if (!zone_take(&text, &date))
		return err_set(why, ERR_SYNTAX, "the zone of a date is missing or not valid");
	if (!lexer_cfws(&text) || text.len > 0)
		return err_set(why, ERR_SYNTAX, "something stands behind a date");
	minutes = days_since_epoch(&date) * 24 * 60 + (int64_t)(date.hour * 60 + date.minute) -
		  date.zone_minutes;
	*ms_out = (minutes * 60 + (int64_t)date.second) * 1000;
	return ERR_OK;
}
