/* tests/unit/mail/corpora.h - the neutral test tables, one JSON object a line */
#ifndef STAGEPOST_TESTS_UNIT_MAIL_CORPORA_H
#define STAGEPOST_TESTS_UNIT_MAIL_CORPORA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/span.h"

struct corpus {
	FILE *file;
	char *line;
	size_t room;
	json_t *row;	   /* the present row */
	const char *id;	   /* of the present row */
	struct span input; /* its decoded input_b64 */
	char *input_data;
};

/* False, after saying so on stdout, when $STAGEPOST_CORPORA does not hold `name`. */
bool corpus_open(struct corpus *corpus, const char *name);
/* The next row; false at the end, which also closes. Fails the test on a bad line. */
bool corpus_next(struct corpus *corpus);
/* A string member of the row, "" when it is null or absent. */
const char *corpus_text(const struct corpus *corpus, const char *key);

#endif
