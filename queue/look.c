/* queue/look.c - the short look at the database before it is used */
#include <config.h>

#include "queue/look.h"

#include <sys/stat.h>

#include "queue/folder.h"

/*
 * A whole look reads some 1.2 GB/s from memory, and what the disk gives
 * otherwise: below these sizes a start stays well under a second. What is
 * larger is looked at by `stagepost dbcheck`, and by SQLite page by page.
 */
#define ALWAYS_BYTES	  ((int64_t)64 << 20)
#define WHEN_KILLED_BYTES ((int64_t)256 << 20)

static int64_t size_of(const char *data_dir, const char *name)
{
	char *path = folder_path(data_dir, name);
	struct stat st;
	int64_t size = stat(path, &st) == 0 ? (int64_t)st.st_size : 0;

	mem_free(path);
	return size;
}

void look_at_files(const char *data_dir, struct look *look_out)
{
	int64_t log = size_of(data_dir, FOLDER_DATABASE "-wal");

	look_out->bytes = size_of(data_dir, FOLDER_DATABASE) + log;
	look_out->was_killed = log > 0;
	look_out->file = (struct identity){0};
	if (look_out->was_killed) {
		char *path = folder_path(data_dir, FOLDER_DATABASE);

		look_out->file = identity_of_file(path);
		mem_free(path);
	}
}

static const char sql_all[] = "PRAGMA quick_check(1)";
/* With its indexes: a pattern that changed by itself no longer agrees with its key. */
static const char sql_whitelist[] = "PRAGMA integrity_check(whitelist)";

/* The first finding: below the title, where there is one. */
static struct span first_of(struct span text)
{
	struct span line = span_cut(&text, '\n');

	if (span_starts_fold(line, "***") && text.len > 0)
		line = span_cut(&text, '\n');
	return span_first(line, 90);
}

static int ask(struct db *db, const char *sql, struct err *why)
{
	struct query query;
	bool row = false;
	struct span text;
	struct span first;
	int code = query_begin(&query, db, sql, why);

	if (code == ERR_OK)
		code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	text = span_of(query_take_text(&query));
	first = first_of(text);
	if (!span_is(text, "ok"))
		code = err_set(why, ERR_FATAL,
			       "the database is damaged (%.*s): 'stagepost dbcheck' tells more, "
			       "and RECOVERY in stagepostd(8) what to do",
			       (int)first.len, first.data);
	query_end(&query);
	return code;
}

int look_at_pages(struct db *db, const struct look *look, struct err *why)
{
	int64_t limit = look->was_killed ? WHEN_KILLED_BYTES : ALWAYS_BYTES;
	struct identity both;
	int code = identity_read(db, &both, why);

	if (code == ERR_OK)
		code = identity_check(&look->file, &both, why);
	if (code == ERR_OK && look->bytes <= limit)
		code = ask(db, sql_all, why);
	return code == ERR_OK ? ask(db, sql_whitelist, why) : code;
}
