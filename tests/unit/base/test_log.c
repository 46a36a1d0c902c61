/* tests base/log.c */
#include "base/log.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

static char line[16384];

static const char *logged(enum log_format format, struct span value)
{
	struct log_options options = {format, LOG_INFO};
	int ends[2];
	ssize_t got;

	ck_assert_int_eq(pipe(ends), 0);
	log_configure(&options);
	log_redirect(ends[1]);
	clock_freeze(1795256430456);
	log_info("event", LOG_SPAN("value", value), LOG_I("n", -5), LOG_B("b", true),
		 LOG_S("absent", NULL));
	log_debug("not wanted", LOG_I("n", 1));
	got = read(ends[0], line, sizeof(line) - 1);
	line[got > 0 ? got : 0] = '\0';
	close(ends[0]);
	close(ends[1]);
	log_redirect(STDERR_FILENO);
	clock_thaw();
	return line;
}

/* S318: one line per event, whatever the peer sent. */
START_TEST(peer_text_is_escaped)
{
	static const struct {
		const char *value;
		size_t len;
		const char *text;
	} rows[] = {
		{"plain", 5, "value=plain"},
		{"", 0, "value=\"\""},
		{"two words", 9, "value=\"two words\""},
		{"a=b", 3, "value=\"a=b\""},
		{"q\"\\", 3, "value=\"q\\\"\\\\\""},
		{"x\r\n2026 info delivered", 22, "value=\"x\\u000d\\u000a2026 info delivered\""},
		{"\x1b[2J", 4, "value=\"\\u001b[2J\""},
		{"nul\0in", 6, "value=\"nul\\u0000in\""},
		{"b\xc3\xbc", 3, "value=\"b\xc3\xbc\""},
		{"\xff\xc3", 2, "value=\"\\u00ff\\u00c3\""},
		{"\xc2\x9b", 2, "value=\"\\u00c2\\u009b\""},
		{"\xe2\x80\xae", 3, "value=\"\\u00e2\\u0080\\u00ae\""},
		{"%s%n", 4, "value=%s%n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = logged(LOG_TEXT, span_make(rows[i].value, rows[i].len));

		ck_assert_msg(strstr(got, rows[i].text) != NULL, "%zu: %s", i, got);
		ck_assert_ptr_eq(strchr(got, '\n'), got + strlen(got) - 1);
	}
}
END_TEST

START_TEST(json_is_one_object)
{
	ck_assert_str_eq(
		logged(LOG_JSON, span_of("a\tb")),
		"{\"time\":\"2026-11-21T10:20:30.456Z\",\"level\":\"info\",\"event\":\"event\","
		"\"value\":\"a\\u0009b\",\"n\":-5,\"b\":true}\n");
}
END_TEST

START_TEST(long_values_are_cut)
{
	static char big[100000];
	const char *got;

	memset(big, 'x', sizeof(big));
	got = logged(LOG_JSON, span_make(big, sizeof(big)));
	ck_assert_uint_lt(strlen(got), 1000);
	ck_assert_ptr_nonnull(strstr(got, "xxx...\",\"n\":-5"));
}
END_TEST

UNIT_MAIN("base/log", peer_text_is_escaped, json_is_one_object, long_values_are_cut)
