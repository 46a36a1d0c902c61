/* tests queue/writer.c: which commits are synced to the disk, and which need not be */
#include <config.h>

#include <string.h>

#include "queue/writer.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

/* --- a file system that counts the syncs of the log ------------------------------------ */

static _Atomic int syncs;
static const sqlite3_io_methods *real_methods;
static sqlite3_io_methods counting_methods;
static sqlite3_vfs *real_vfs;
static sqlite3_vfs counting_vfs;

static int count_sync(sqlite3_file *file, int flags)
{
	syncs++;
	return real_methods->xSync(file, flags);
}

static int open_counting(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
			 int *flags_out)
{
	int code = real_vfs->xOpen(vfs, name, file, flags, flags_out);

	if (code == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
		real_methods = file->pMethods;
		counting_methods = *real_methods;
		counting_methods.xSync = count_sync;
		file->pMethods = &counting_methods;
	}
	return code;
}

static void open_counted(struct fixture *f)
{
	real_vfs = sqlite3_vfs_find(NULL);
	counting_vfs = *real_vfs;
	counting_vfs.zName = "counting";
	counting_vfs.xOpen = open_counting;
	sqlite3_vfs_register(&counting_vfs, 1);
	fixture_open(f);
}

static void close_counted(struct fixture *f)
{
	fixture_remove(f);
	sqlite3_vfs_unregister(&counting_vfs);
}

static int renew_one(struct store *store, const struct claimed_recipient *recipient)
{
	struct renew renew = {.until = NOW + 1000,
			      .recipients = &recipient->id,
			      .leases = &recipient->lease,
			      .count = 1};
	struct err why;

	return store_wait(store, queue_renew, &renew.job, &why);
}

/* S247: what was answered with 250 and what became of mail is on the disk; who works on it is not
 * worth the wait. */
START_TEST(a_promise_is_synced_a_claim_is_not)
{
	struct claimed_recipient recipient;
	struct fixture f;
	struct claim claim;

	open_counted(&f);
	for (int round = 0; round < 3; round++) {
		syncs = 0;
		accept_queued(&f, 1);
		ck_assert_int_ge(syncs, 1);
		syncs = 0;
		claim = claim_at(&f, NOW, 10);
		ck_assert_uint_eq(claim.message_count, 1);
		recipient = claim.messages[0].recipients[0];
		ck_assert_int_eq(renew_one(f.store, &recipient), ERR_OK);
		ck_assert_int_eq(syncs, 0);
		ck_assert_uint_eq(settle_as(&f, recipient.id, recipient.lease, TRANSITION_DELIVER),
				  0);
		ck_assert_int_ge(syncs, 1);
		arena_free(&claim.arena);
	}
	close_counted(&f);
}
END_TEST

/* The claim before it, and the accept that no claim follows, are both there again. */
START_TEST(what_comes_behind_a_claim_is_synced)
{
	struct fixture f;
	struct claim claim;
	struct ulid id;

	open_counted(&f);
	accept_queued(&f, 1);
	claim = claim_at(&f, NOW, 10);
	syncs = 0;
	id = accept_queued(&f, 1);
	ck_assert_int_ge(syncs, 1);
	fixture_reopen(&f);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_QUEUED);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM recipient WHERE lease IS NOT NULL"),
			 0);
	arena_free(&claim.arena);
	close_counted(&f);
}
END_TEST

UNIT_MAIN("queue/sync", a_promise_is_synced_a_claim_is_not, what_comes_behind_a_claim_is_synced)
