/* tests/unit/queue/ordered.h - rows that stand in an order (rules, faults): a change, and what is
 * published of it
 */
#ifndef STAGEPOST_TESTS_UNIT_QUEUE_ORDERED_H
#define STAGEPOST_TESTS_UNIT_QUEUE_ORDERED_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "queue/ordered.h"
#include "tests/unit/queue/fixture.h"

/* As they were published last: "a b ". */
struct published {
	char names[400];
	size_t times;
};

static inline void names_add(char *names, size_t size, const char *name)
{
	size_t len = strlen(names);

	snprintf(names + len, size - len, "%s ", name);
}

/* Fills in who and when; the job, of which `change` is a part, must come to `want`. */
static inline void change_ordered(struct fixture *f, struct ordered_change *change,
				  void (*submit)(struct store *, struct store_job *),
				  struct store_job *job, int want)
{
	struct err why = {""};
	int code;

	change->actor = "token:x";
	change->now = NOW;
	code = store_wait(f->store, submit, job, &why);
	ck_assert_msg(code == want, "%s: %s", err_name(code), why.text);
}

#endif
