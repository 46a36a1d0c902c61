/* tests/unit/unit.h - main() of a unit test program: every test in its own process, TAP on stdout
 */
#ifndef STAGEPOST_TESTS_UNIT_UNIT_H
#define STAGEPOST_TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdlib.h>

/* UNIT_MAIN("mail/address", test_one, test_two) after the START_TEST blocks. */
#define UNIT_MAIN(name, ...)                                                                       \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const tests[] = {__VA_ARGS__};                                        \
		Suite *suite = suite_create(name);                                                 \
		TCase *tcase = tcase_create(name);                                                 \
		SRunner *runner;                                                                   \
                                                                                                   \
		tcase_set_timeout(tcase, 120);                                                     \
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)                      \
			tcase_add_test(tcase, tests[i]);                                           \
		suite_add_tcase(suite, tcase);                                                     \
		runner = srunner_create(suite);                                                    \
		srunner_set_tap(runner, "-");                                                      \
		srunner_run_all(runner, CK_SILENT);                                                \
		srunner_free(runner);                                                              \
		return EXIT_SUCCESS;                                                               \
	}

#endif
