/* tests relay/config_report.c: how a mistake is said, and how many */
#include <config.h>

#include "relay/config.h"

#include "tests/unit/relay/loaded.h"
#include "tests/unit/unit.h"

START_TEST(unreadable_files)
{
	static const struct {
		const char *path;
		const char *want;
	} rows[] = {
		{"/nonexistent/x.yaml",
		 "/nonexistent/x.yaml: can't be read: No such file or directory"},
		{"/tmp", "/tmp: can't be read: Is a directory"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config *config = NULL;
		struct config_report report;
		char text[400];

		config_report_init(&report);
		ck_assert_int_eq(config_load(rows[i].path, NULL, 0, &config, &report), ERR_SYNTAX);
		ck_assert_ptr_null(config);
		ck_assert_uint_eq(report.mistakes, 1);
		config_note_format(&report.notes[0], text, sizeof(text));
		ck_assert_str_eq(text, rows[i].want);
		config_report_release(&report);
	}
}
END_TEST

START_TEST(notes_for_people)
{
	static const struct config_note rows[] = {
		{"a.yaml", 3, 5, "smtp.max_errors", "is wrong", false},
		{"a.yaml", 3, 5, "", "is broken", false},
		{"-o", 0, 0, "threads", "is wrong", false},
		{"a.yaml", 1, 1, "user", "has no effect", true},
	};
	static const char *const want[] = {
		"a.yaml:3:5: smtp.max_errors: is wrong",
		"a.yaml:3:5: is broken",
		"-o: threads: is wrong",
		"a.yaml:1:1: user: has no effect",
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[200];

		config_note_format(&rows[i], text, sizeof(text));
		ck_assert_str_eq(text, want[i]);
	}
}
END_TEST

START_TEST(many_mistakes_do_not_pile_up)
{
	struct buf text;
	struct loaded loaded;

	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < 3000; i++)
		buf_printf(&text, "unknown_%zu: 1\n", i);
	load(&loaded, text.data, NULL, 0);
	ck_assert_uint_eq(loaded.report.mistakes, 3000);
	ck_assert_uint_eq(loaded.report.count, 500);
	loaded_release(&loaded);
	buf_release(&text);
}
END_TEST

UNIT_MAIN("relay/config_report", unreadable_files, notes_for_people, many_mistakes_do_not_pile_up)
