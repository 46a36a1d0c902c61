/* tests base/when.c */
#include "base/when.h"

#include "base/size.h"

#include "base/clock.h"
#include "tests/unit/unit.h"

START_TEST(times)
{
	static const struct {
		const char *text;
		int64_t want; /* -1: refused */
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01T00:00:00.001Z", 1},
		{"2026-11-21T10:20:30.456Z", 1795256430456},
		{"2026-11-21t10:20:30.4569z", 1795256430456},
		{"2026-11-21T12:20:30+02:00", 1795256430000},
		{"2026-11-21T08:50:30-01:30", 1795256430000},
		{"2024-02-29T00:00:00Z", 1709164800000},
		{"2000-02-29T00:00:00Z", 951782400000},
		{"9999-12-31T23:59:59.999Z", 253402300799999},
		{"9999-12-31T23:59:59+00:01", 253402300739000},
		{"9999-12-31T23:59:59-00:01", -1}, /* of the year 10000, which can't be written */
		{"9999-12-31T23:59:60Z", -1},
		{"2026-02-29T00:00:00Z", -1},
		{"2100-02-29T00:00:00Z", -1},
		{"2026-13-01T00:00:00Z", -1},
		{"2026-00-01T00:00:00Z", -1},
		{"2026-11-21T24:00:00Z", -1},
		{"2026-11-21T10:20:30", -1},
		{"2026-11-21 10:20:30Z", -1},
		{"2026-11-21T10:20:30.Z", -1},
		{"2026-11-21T10:20:30Zx", -1},
		{"2026-11-21T10:20:30+0200", -1},
		{"+026-11-21T10:20:30Z", -1},
		{"1969-12-31T23:59:59Z", -1},
		{"4h", -1},
		{"", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t got = -1;
		struct err why;

		(void)when_parse(span_of(cases[i].text), &got, &why);
		ck_assert_msg(got == cases[i].want, "%s: %lld", cases[i].text, (long long)got);
	}
}
END_TEST

START_TEST(times_read_what_the_clock_writes)
{
	for (int64_t ms = 0; ms < 4102444800000; ms += 86399999 * 7LL) {
		char text[CLOCK_RFC3339_SIZE];
		int64_t back = -1;

		clock_format_rfc3339(ms, text);
		ck_assert_int_eq(when_parse(span_of(text), &back, NULL), ERR_OK);
		ck_assert_int_eq(back, ms);
	}
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		int code;
		int64_t want;
	} cases[] = {
		{"500ms", ERR_OK, 500},
		{"3155760000000ms", ERR_OK, 3155760000000},
		{"3155760000001ms", ERR_LIMIT, 0},
		{"5ss", ERR_SYNTAX, 0},
		{"ms", ERR_SYNTAX, 0},
		{"30s", ERR_OK, 30000},
		{"5m", ERR_OK, 300000},
		{"4h", ERR_OK, 14400000},
		{"7d", ERR_OK, 604800000},
		{"36525d", ERR_OK, 3155760000000},
		{"36526d", ERR_LIMIT, 0},
		{"99999999999999999999s", ERR_LIMIT, 0},
		{"0s", ERR_SYNTAX, 0},
		{"-5m", ERR_SYNTAX, 0},
		{"5", ERR_SYNTAX, 0},
		{"m", ERR_SYNTAX, 0},
		{"5M", ERR_SYNTAX, 0},
		{"5 m", ERR_SYNTAX, 0},
		{"1e3s", ERR_SYNTAX, 0},
		{"", ERR_SYNTAX, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t got = 0;

		ck_assert_msg(when_parse_duration(span_of(cases[i].text), &got, NULL) ==
				      cases[i].code,
			      "%s", cases[i].text);
		ck_assert_int_eq(got, cases[i].want);
	}
}
END_TEST

START_TEST(times_and_ages)
{
	static const struct {
		const char *text;
		int64_t want; /* 0: neither */
	} cases[] = {
		{"1970-01-01T00:00:05Z", 5000},
		{"30m", 10000000 - 1800000},
		{"500ms", 9999500},
		{"10000s", 1},
		{"7d", 1},
		{"0s", 0},
		{"2h ago", 0},
		{"", 0},
		{"yesterday", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err why = {""};
		int64_t got = 0;
		int code = when_parse_past(span_of(cases[i].text), 10000000, &got, &why);

		ck_assert_msg((code == ERR_OK) == (cases[i].want != 0), "%s", cases[i].text);
		ck_assert_int_eq(got, cases[i].want);
		ck_assert_int_eq(why.text[0] != '\0', cases[i].want == 0);
	}
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *text;
		int code;
		int64_t want;
	} cases[] = {
		{"0", ERR_OK, 0},
		{"512", ERR_OK, 512},
		{"1k", ERR_OK, 1024},
		{"64K", ERR_OK, 65536},
		{"10M", ERR_OK, 10485760},
		{"1g", ERR_OK, 1073741824},
		{"1T", ERR_OK, 1099511627776},
		{"8388607T", ERR_OK, INT64_C(8388607) << 40},
		{"8388608T", ERR_LIMIT, 0},
		{"9223372036854775808", ERR_LIMIT, 0},
		{"k", ERR_SYNTAX, 0},
		{"", ERR_SYNTAX, 0},
		{"-1", ERR_SYNTAX, 0},
		{"1 k", ERR_SYNTAX, 0},
		{"1kb", ERR_SYNTAX, 0},
		{"1.5M", ERR_SYNTAX, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t got = 0;

		ck_assert_msg(size_parse(span_of(cases[i].text), &got, NULL) == cases[i].code, "%s",
			      cases[i].text);
		ck_assert_int_eq(got, cases[i].want);
	}
}
END_TEST

UNIT_MAIN("base/when", times, times_read_what_the_clock_writes, durations, times_and_ages, sizes)
