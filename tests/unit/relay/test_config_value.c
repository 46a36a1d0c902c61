/* tests relay/config_value.c: numbers with a unit, and back */
#include <config.h>

#include "relay/config_value.h"

#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(values)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} times[] = {{"0", 0},	     {"0s", 0},	       {"1ms", 1},	  {"30s", 30000},
		     {"5m", 300000}, {"4h", 14400000}, {"7d", 604800000}, {"30", -1},
		     {"s", -1},	     {"", -1},	       {"1 s", -1},	  {"1.5h", -1},
		     {"-1s", -1},    {"1H", -1},       {"+1s", -1},	  {"99999999999999d", -1},
		     {"1sm", -1}};

	for (size_t i = 0; i < COUNT(times); i++) {
		struct config_range range = {0, INT64_MAX};
		char text[CONFIG_VALUE_SIZE];
		struct err why;
		int64_t ms = -1;

		config_parse_time(span_of(times[i].text), range, &ms, &why);
		ck_assert_msg(ms == times[i].ms, "%s", times[i].text);
		if (ms > 0) {
			config_format_time(ms, text);
			ck_assert_str_eq(text, times[i].text);
		}
	}
}
END_TEST

START_TEST(decimals)
{
	static const struct {
		const char *text;
		int64_t thousandths; /* -1: refused */
	} cases[] = {{"0", 0},	  {"3", 3000},	{"0.5", 500}, {"10.25", 10250}, {"0.001", 1},
		     {"1.", -1},  {"", -1},	{".5", -1},   {"1.2345", -1},	{"-1", -1},
		     {"1e3", -1}, {"1.-5", -1}, {"1 .5", -1}, {"1,5", -1}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_range range = {0, 1000000};
		char text[CONFIG_VALUE_SIZE];
		struct err why;
		int64_t value = -1;

		config_parse_decimal(span_of(cases[i].text), range, &value, &why);
		ck_assert_msg(value == cases[i].thousandths, "%s: %d", cases[i].text, (int)value);
		if (value >= 0) {
			config_format_decimal(value, text);
			ck_assert_str_eq(text, cases[i].text);
		}
	}
}
END_TEST

UNIT_MAIN("relay/config_value", values, decimals)
