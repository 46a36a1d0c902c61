/* tests queue/db.c: as many statements as there are */
#include "queue/db.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define MANY  600
#define ROOM  32
#define LINES 4096

static int64_t ask(struct db *db, const char *sql)
{
	struct query query;
	struct err why;
	int64_t answer = -1;

	ck_assert_int_eq(query_begin(&query, db, sql, &why), ERR_OK);
	ck_assert_int_eq(query_only_int(&query, -1, &answer, &why), ERR_OK);
	return answer;
}

START_TEST(each_text_has_its_statement)
{
	static char texts[MANY][ROOM];
	struct db db;
	struct err why;

	ck_assert_int_eq(db_open(&db, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &why),
			 ERR_OK);
	for (int i = 0; i < MANY; i++)
		snprintf(texts[i], ROOM, "SELECT %d", i);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < MANY; i++)
			ck_assert_int_eq(ask(&db, texts[i]), i);
	db_close(&db);
}
END_TEST

/* The texts that one file of queue/ has. */
static int count_in(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINES];
	int count = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strstr(line, "const char sql_") != NULL)
			count++;
	fclose(file);
	return count;
}

/* One connection, the writer's, meets nearly all of them in a long life. */
START_TEST(there_is_room_for_every_text_of_the_queue)
{
	const char *srcdir = getenv("srcdir");
	char pattern[1024];
	glob_t found;
	int count = 0;

	snprintf(pattern, sizeof(pattern), "%s/queue/*.c", srcdir != NULL ? srcdir : ".");
	ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		count += count_in(found.gl_pathv[i]);
	globfree(&found);
	ck_assert_int_gt(count, 100);
	ck_assert_int_lt(count, DB_STATEMENT_SLOTS / 2);
}
END_TEST

UNIT_MAIN("queue/db", each_text_has_its_statement, there_is_room_for_every_text_of_the_queue)
