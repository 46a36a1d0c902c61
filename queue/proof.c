/* queue/proof.c - rows and files that still are what was written here */
#include "queue/proof.h"

#include <string.h>

/* FNV-1a, and the end of MurmurHash3 so that the last octets reach every bit. */
static uint64_t add_octet(uint64_t sum, unsigned octet)
{
	return (sum ^ octet) * UINT64_C(0x100000001b3);
}

static uint64_t add_number(uint64_t sum, uint64_t number)
{
	for (int shift = 0; shift < 64; shift += 8)
		sum = add_octet(sum, (unsigned)(number >> shift) & 0xff);
	return sum;
}

static uint64_t finish(uint64_t sum)
{
	sum ^= sum >> 33;
	sum *= UINT64_C(0xff51afd7ed558ccd);
	sum ^= sum >> 33;
	return sum;
}

int64_t proof_of(int64_t database, int64_t recipient, const char *address)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	sum = add_number(sum, (uint64_t)database);
	sum = add_number(sum, (uint64_t)recipient);
	for (; *address != '\0'; address++)
		sum = add_octet(sum, (unsigned char)*address);
	return (int64_t)finish(sum);
}

/* Eight octets a step, some gigabytes a second; each step is a bijection, so no single change is
 * lost. */
int64_t proof_of_chunk(int64_t database, int64_t chunk, struct span data)
{
	uint64_t sum = add_number(add_number(UINT64_C(0xcbf29ce484222325), (uint64_t)database),
				  (uint64_t)chunk);
	uint64_t word;

	while (data.len >= sizeof(word)) {
		memcpy(&word, data.data, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
		data = span_skip(data, sizeof(word));
	}
	for (size_t i = 0; i < data.len; i++)
		sum = add_octet(sum, (unsigned char)data.data[i]);
	return (int64_t)finish(sum);
}

static const char sql_identity[] =
	"SELECT coalesce((SELECT value FROM meta WHERE name = 'database'), 0),"
	" coalesce((SELECT value FROM meta WHERE name = 'log'), 0)";

int identity_read(struct db *db, struct identity *identity_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_identity, why);

	if (code == ERR_OK)
		code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	identity_out->database = query_take_int(&query);
	identity_out->log = query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

struct identity identity_of_file(const char *path)
{
	struct identity identity = {0};
	struct arena *arena = arena_new();
	struct err ignored;
	struct db db;

	if (db_open(&db, db_uri(arena, path, "immutable", "1"), SQLITE_OPEN_READONLY, &ignored) ==
	    ERR_OK) {
		if (identity_read(&db, &identity, &ignored) != ERR_OK)
			identity = (struct identity){0};
		db_close(&db);
	}
	arena_free(&arena);
	return identity;
}

int identity_check(const struct identity *file, const struct identity *both, struct err *why)
{
	if (file->database == 0)
		return ERR_OK; /* still all in the log, or from before there was an identity */
	if (file->database == both->database &&
	    (both->log == file->log || both->log == file->log + 1))
		return ERR_OK;
	return err_set(why, ERR_FATAL,
		       "the log beside it belongs to another database, or to another state of it: "
		       "bring back the two that belong together; see RECOVERY in stagepostd(8)");
}

static const char sql_begin_log[] = "UPDATE meta SET value = value + 1 WHERE name = 'log'";

int identity_begin_log(struct db *db, struct err *why)
{
	struct query query;
	int code = query_begin(&query, db, sql_begin_log, why);

	return code == ERR_OK ? query_run(&query, why) : code;
}
