/* queue/migrate.c - bring the database file to the present schema */
#include "queue/migrate.h"

#include <stdio.h>

#include "schema/schema.h"

static int check_owner(struct db *db, int64_t version, struct err *why)
{
	int64_t application = 0;
	int64_t tables = 0;
	int code = db_get_int(db, "PRAGMA application_id", &application, why);

	if (code == ERR_OK)
		code = db_get_int(db, "SELECT count(*) FROM sqlite_schema", &tables, why);
	if (code != ERR_OK || application == SCHEMA_APPLICATION_ID)
		return code;
	if (application != 0 || version != 0 || tables != 0)
		return err_set(why, ERR_UNSUPPORTED, "the database belongs to another program");
	return ERR_OK;
}

int migrate_check(struct db *db, int64_t *version_out, struct err *why)
{
	int64_t version = 0;
	int code = db_get_int(db, "PRAGMA user_version", &version, why);

	if (code == ERR_OK)
		code = check_owner(db, version, why);
	if (code != ERR_OK)
		return code;
	if (version > schema_version())
		return err_set(why, ERR_UNSUPPORTED,
			       "the database has schema version %lld, this program knows up to %d: "
			       "start the newer program or restore a backup",
			       (long long)version, schema_version());
	*version_out = version;
	return ERR_OK;
}

/* One transaction holds the step and its number: either both are there or neither is. */
static int run_step(struct db *db, const struct schema_step *step, struct err *why)
{
	struct err ignored;
	char number[64];
	int code;

	/* PRAGMA takes no bound value; these are two constants of ours. */
	snprintf(number, sizeof(number), "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 SCHEMA_APPLICATION_ID, step->version);
	code = db_exec(db, "BEGIN IMMEDIATE", why);
	if (code != ERR_OK)
		return code;
	code = db_exec(db, step->sql, why);
	if (code == ERR_OK)
		code = db_exec(db, number, why);
	if (code == ERR_OK)
		code = db_exec(db, "COMMIT", why);
	if (code != ERR_OK && sqlite3_get_autocommit(db->handle) == 0)
		db_exec(db, "ROLLBACK", &ignored);
	return code != ERR_OK ? err_prefix(why, code, "schema step %s", step->name) : ERR_OK;
}

int migrate_run(struct db *db, int64_t version, struct err *why)
{
	int code = ERR_OK;

	if (version == 0)
		code = db_exec(db, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL", why);
	if (code == ERR_OK)
		code = db_exec(db, "PRAGMA journal_mode=WAL", why);
	for (size_t i = 0; code == ERR_OK && i < schema_step_count; i++)
		if (schema_steps[i].version > version)
			code = run_step(db, &schema_steps[i], why);
	return code;
}
