/* cli/backup.c - stagepost backup: a copy of the database, whole and checked, in a new file */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/view.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/progress.h"
#include "queue/backup.h"
#include "queue/check.h"

#define API	 "/api/v1/backup"
#define EVERY_NS 200000000L

/* The copy, on its way from nothing to `path`. */
struct target {
	struct tool *tool;
	const char *path;
	char *temporary; /* beside it, so that it can become it; NULL: there is none */
	int fd;
	_Atomic bool *begun; /* the daemon has a copy for us; seen by both processes */
	struct progress progress;
	struct check check;
};

/* --- the file ------------------------------------------------------------------------ */

static int fail_at(const struct target *target, const char *what)
{
	return tool_fail(TOOL_IO, "%s: %s: %s", target->path, what, strerror(errno));
}

/* 0600: it holds everybody's mail, and the digests of tokens. */
static int target_open(struct target *target)
{
	size_t size = strlen(target->path) + sizeof(".XXXXXX");
	struct stat st;

	if (lstat(target->path, &st) == 0)
		return tool_fail(TOOL_IO, "%s is there already, and is not overwritten",
				 target->path);
	target->temporary = mem_alloc(size);
	(void)snprintf(target->temporary, size, "%s.XXXXXX", target->path);
	target->fd = mkostemp(target->temporary, O_CLOEXEC);
	if (target->fd >= 0)
		return TOOL_OK;
	mem_free(target->temporary);
	target->temporary = NULL;
	return fail_at(target, "can't be made");
}

static void target_close(struct target *target)
{
	if (target->fd >= 0)
		close(target->fd);
	if (target->temporary != NULL)
		(void)unlink(target->temporary);
	mem_free(target->temporary);
	target->temporary = NULL;
}

/* The name of a file is durable with its folder. */
static int sync_folder(const struct target *target)
{
	char *folder = mem_strdup(target->path);
	char *slash = strrchr(folder, '/');
	int ends = TOOL_OK;
	int fd;

	if (slash != NULL)
		slash[slash == folder ? 1 : 0] = '\0';
	fd = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		ends = fail_at(target, "the folder can't be synced");
	if (fd >= 0)
		close(fd);
	mem_free(folder);
	return ends;
}

/* Not every file system knows a second name. Neither way overwrites what came in between. */
static bool give_name(const struct target *target)
{
	if (link(target->temporary, target->path) == 0)
		return true;
	return (errno == EPERM || errno == EOPNOTSUPP) &&
	       renameat2(AT_FDCWD, target->temporary, AT_FDCWD, target->path, RENAME_NOREPLACE) ==
		       0;
}

/* Only now is it a backup. */
static int target_name(struct target *target)
{
	if (fsync(target->fd) != 0)
		return fail_at(target, "can't be synced");
	return give_name(target) ? sync_folder(target) : fail_at(target, "can't be named");
}

/* --- progress --------------------------------------------------------------------------- */

static void show(void *ctx, int64_t done, int64_t total)
{
	struct target *target = ctx;

	progress_show(&target->progress, done, total);
}

/* --- from the daemon ---------------------------------------------------------------------- */

static int wait_for_copy(struct target *target)
{
	const struct timespec pause = {.tv_nsec = EVERY_NS};
	bool copying = true;
	int ends = TOOL_OK;

	while (ends == TOOL_OK && copying) {
		json_t *answer;

		ends = client_ask(target->tool, "GET", API, NULL, &answer);
		if (ends != TOOL_OK)
			break;
		show(target, tool_number(answer, "done_bytes"), tool_number(answer, "total_bytes"));
		copying = strcmp(tool_text(answer, "state"), "copying") == 0;
		if (!copying && strcmp(tool_text(answer, "state"), "ready") != 0)
			ends = tool_fail(TOOL_UNREACHABLE, "the daemon made no copy: %s",
					 tool_text(answer, "detail"));
		json_decref(answer);
		if (copying)
			(void)nanosleep(&pause, NULL);
	}
	progress_wipe(&target->progress);
	return ends;
}

static int fetch(struct target *target)
{
	struct client_reply reply = {.body = NULL};
	struct err why;
	int fd = dup(target->fd);
	FILE *out = fd >= 0 ? fdopen(fd, "wb") : NULL;
	int code;

	if (out == NULL) {
		if (fd >= 0)
			close(fd);
		return fail_at(target, "can't be opened");
	}
	code = client_download(target->tool, API "/content", out, &reply, &why);
	if (fclose(out) != 0 && code == ERR_OK)
		return fail_at(target, "can't be written");
	if (code != ERR_OK)
		return client_fail(target->tool, code, &why);
	code = reply.status == 200 ? TOOL_OK : client_refused(&reply);
	json_decref(reply.body);
	return code;
}

/* What it holds on the daemon's disk; that it goes by itself in an hour is enough otherwise. */
static void release(struct target *target)
{
	struct client_reply reply;
	struct err ignored;

	if (!atomic_load(target->begun))
		return;
	if (client_call(target->tool, "DELETE", API, NULL, &reply, &ignored) == ERR_OK)
		json_decref(reply.body);
	atomic_store(target->begun, false);
}

static int copy_from_daemon(struct target *target)
{
	int ends = wait_for_copy(target);

	if (ends == TOOL_OK)
		ends = fetch(target);
	release(target);
	return ends;
}

/* --- without one ---------------------------------------------------------------------------- */

static int copy_offline(struct target *target)
{
	const struct backup_offline offline = {.data_dir = target->tool->data_dir,
					       .path = target->temporary,
					       .progress = show,
					       .ctx = target};
	struct err why;
	int code;

	tool_note("no daemon answers; reading %s/stagepost.db itself", target->tool->data_dir);
	code = backup_offline(&offline, &why);
	progress_wipe(&target->progress);
	switch (code) {
	case ERR_OK: return TOOL_OK;
	case ERR_DENIED: return tool_fail(TOOL_DENIED, "%s", why.text);
	case ERR_NOT_FOUND:
		return tool_fail(TOOL_UNREACHABLE, "no daemon answers, and %s", why.text);
	default: return tool_fail(TOOL_IO, "%s", why.text);
	}
}

static int copy(struct target *target)
{
	struct client_reply reply = {.body = NULL};
	struct err why;
	int code = client_call(target->tool, "POST", API, NULL, &reply, &why);
	int ends;

	if (code == ERR_CLOSED && target->tool->url == NULL)
		return copy_offline(target);
	if (code != ERR_OK)
		return client_fail(target->tool, code, &why);
	ends = reply.status == 202 ? TOOL_OK : client_refused(&reply);
	json_decref(reply.body);
	atomic_store(target->begun, ends == TOOL_OK);
	return ends == TOOL_OK ? copy_from_daemon(target) : ends;
}

/* --- is it any good? -------------------------------------------------------------------------- */

static void on_problem(void *ctx, const char *sentence)
{
	struct target *target = ctx;

	progress_wipe(&target->progress);
	tool_note("problem: %s", sentence);
}

/* What can't be brought back is no backup. */
static int check(struct target *target)
{
	struct err why = {""};

	int code;

	target->progress.what = "checking";
	target->check = (struct check){.file = target->temporary,
				       .on_problem = on_problem,
				       .on_step = show,
				       .ctx = target};
	code = queue_check(&target->check, &why);
	progress_wipe(&target->progress);
	if (code != ERR_OK)
		return tool_fail(TOOL_IO, "the copy can't be read: %s", why.text);
	if (target->check.problems > 0)
		return tool_fail(TOOL_IO,
				 "the copy has %lld problems and is not kept; what does stagepost "
				 "dbcheck say?",
				 (long long)target->check.problems);
	return TOOL_OK;
}

static void tell(const struct target *target)
{
	const struct queue_stats *stats = &target->check.stats;
	struct stat st = {.st_size = 0};
	json_t *answer;

	(void)fstat(target->fd, &st);
	if (target->tool->format == TOOL_TEXT) {
		printf("%lld messages in %lld octets, checked. Brought back, it starts with "
		       "delivery paused.\n",
		       (long long)stats->messages, (long long)st.st_size);
		return;
	}
	answer = json_pack("{s:o, s:I, s:I, s:o}", "file", view_text(target->path), "bytes",
			   (json_int_t)st.st_size, "messages", (json_int_t)stats->messages,
			   "recipients", view_states(stats->by_state));
	tool_print_json(target->tool, answer);
	json_decref(answer);
}

static int work(void *ctx)
{
	struct target *target = ctx;
	int ends = copy(target);

	if (ends == TOOL_OK)
		ends = check(target);
	if (ends == TOOL_OK)
		ends = target_name(target);
	if (ends == TOOL_OK)
		tell(target);
	if (ends == TOOL_OK && fflush(stdout) != 0)
		ends = tool_fail(TOOL_IO, "the output could not be written");
	return ends;
}

/*
 * Half a copy of everybody's mail must not stay behind, here or on the daemon's
 * disk, wherever the work is when somebody ends it.
 */
static int work_apart(struct target *target)
{
	struct apart_end end = {0, 0};
	struct stat st;
	struct err why;

	target->begun = mmap(NULL, sizeof(*target->begun), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (target->begun == MAP_FAILED)
		return fail_at(target, "no memory");
	if (apart_run(work, target, &end, &why) != ERR_OK)
		end.status = tool_fail(TOOL_IO, "%s", why.text);
	release(target);
	(void)munmap(target->begun, sizeof(*target->begun));
	target_close(target);
	if (end.signal != 0) {
		/* It was drawn by the other process. */
		target->progress.is_drawn = target->progress.shows;
		progress_wipe(&target->progress);
		if (lstat(target->path, &st) != 0)
			tool_note("stopped; there is no copy");
		apart_raise(end.signal);
	}
	return end.status;
}

static int run_backup(struct tool *tool, int argc, char **argv)
{
	struct target target = {.tool = tool, .fd = -1};
	int count;
	int ends = option_read(tool, NULL, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1 || argv[0][0] == '\0')
		return tool_misuse(tool, "the name of one new file is needed");
	target.path = argv[0];
	target.progress = progress_make(tool, "copying");
	ends = target_open(&target);
	return ends == TOOL_OK ? work_apart(&target) : ends;
}

const struct command command_backup = {
	.name = "backup",
	.operands = "FILE",
	.operand_words = {WORDS_FILE},
	.summary = "A checked copy of the database, while mail goes on",
	.about =
		"FILE must not exist; it is made readable for its owner only. The daemon copies\n"
		"between its other work, into its data directory, from where the copy is fetched:\n"
		"there must be room for it. With no daemon running the database itself is read.\n"
		"\n"
		"The copy is checked like dbcheck does before it gets its name. To bring it back:\n"
		"stop the daemon, move everything out of data_dir, put FILE there as "
		"stagepost.db,\n"
		"start the daemon. Delivery is paused then, because what waits in the copy may "
		"have\n"
		"left since: look at it (queue list), cancel what is done, then stagepost "
		"resume.\n"
		"On the first day nothing of it goes for its age.\n",
	.notes = "Exit status 74 when FILE exists or the copy is no good.\n",
	.examples = {"stagepost backup stagepost-$(date +%F).db",
		     "stagepost backup /mnt/backup/stagepost.db --quiet"},
	.run = run_backup,
};
