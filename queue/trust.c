/* queue/trust.c - can the clock be believed when it says that something is old? */
#include "queue/trust.h"

#include "base/clock.h"
#include "queue/finished.h"

#define CLOCK_STEP_MS 60000 /* less than that is no jump */
#define DAY_MS	      ((int64_t)86400000)
#define LONG_OFF_MS   (30 * DAY_MS)

int64_t trust_waits_ms(const struct trust *trust)
{
	int64_t waits_ms = atomic_load(&trust->from_ms) - clock_mono_ms();

	return waits_ms > 0 ? waits_ms : 0;
}

/*
 * Somebody set the clock on: what would be old by that is not, so far as we
 * know. Nothing goes for its age for as long as was skipped, at most a day.
 */
static void distrust(struct trust *trust, int64_t skipped_ms)
{
	int64_t wait_ms = skipped_ms < DAY_MS ? skipped_ms : DAY_MS;

	atomic_store(&trust->from_ms, clock_mono_ms() + wait_ms);
}

bool trust_follow(struct trust *trust)
{
	int64_t now_ms = clock_mono_ms();
	int64_t offset_ms = clock_offset_ms();
	int64_t by_ms = offset_ms - trust->offset_ms;

	if (now_ms < trust->look_ms)
		return false;
	trust->look_ms = now_ms + TRUST_LOOK_EVERY_MS;
	trust->offset_ms = offset_ms;
	if (by_ms >= CLOCK_STEP_MS)
		distrust(trust, by_ms);
	if (by_ms <= -CLOCK_STEP_MS) {
		atomic_store(&trust->from_ms, now_ms);
		trust->mend_times = true;
	}
	return by_ms >= CLOCK_STEP_MS || by_ms <= -CLOCK_STEP_MS;
}

static const char sql_read_clock[] = "SELECT value FROM meta WHERE name = 'clock'";
static const char sql_write_clock[] = "INSERT INTO meta VALUES('clock', ?1) ON CONFLICT(name) DO "
				      "UPDATE SET value = excluded.value";

int trust_note(struct store *store, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_write_clock, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, clock_wall_ms());
	return query_run(&query, why);
}

/*
 * The clock of a machine that was off may say anything; a month is not the usual break. And mail
 * from before there was retention, or of a copy (queue/backup.c), has a day more, for a person to
 * say otherwise.
 */
int trust_restore(struct trust *trust, struct store *store, struct err *why)
{
	int64_t noted = 0;
	struct query query;
	int code = query_begin(&query, &store->db, sql_read_clock, why);

	if (code == ERR_OK)
		code = query_only_int(&query, 0, &noted, why);
	if (code != ERR_OK)
		return code;
	trust->offset_ms = clock_offset_ms();
	if (noted > 0 ? clock_wall_ms() - noted >= LONG_OFF_MS : store->counters.sums.messages > 0)
		distrust(trust, DAY_MS);
	return ERR_OK;
}

static const char sql_mend[] =
	"UPDATE finished SET at = ?1 WHERE message IN (SELECT message FROM finished"
	" WHERE kinds = ?2 AND at > ?3 LIMIT ?4)";

/* Else they would stay until the clock says so again. */
int trust_mend(struct trust *trust, struct store *store, int64_t max, bool *done_out,
	       struct err *why)
{
	int64_t now = clock_wall_ms();
	struct query query;
	int code = ERR_OK;

	*done_out = true;
	for (unsigned kinds = 1; code == ERR_OK && kinds < FINISHED_KINDS; kinds++) {
		code = query_begin(&query, &store->db, sql_mend, why);
		if (code != ERR_OK)
			return code;
		query_give_int(&query, now);
		query_give_int(&query, kinds);
		query_give_int(&query, now + CLOCK_STEP_MS);
		query_give_int(&query, max);
		code = query_run(&query, why);
		if (code == ERR_OK && sqlite3_changes64(store->db.handle) == max) {
			*done_out = false;
			return ERR_OK;
		}
	}
	if (code == ERR_OK)
		trust->mend_times = false;
	return code;
}
