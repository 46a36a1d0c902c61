/* cli/users_file.c - the users file as lines of text: changed one by one, written at once */
#include <config.h>

#include "cli/users_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/secret.h"
#include "relay/smtp/users.h"

static int fail(struct err *why, const char *what, const char *path)
{
	int code = errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_IO;

	return err_set(why, code, "%s %.180s: %s", what, path, strerror(errno));
}

/* --- open -------------------------------------------------------------------- */

/* Behind links, so that a link stays one. */
static char *real_path(const char *path)
{
	char *resolved = realpath(path, NULL);
	char *copy = mem_strdup(resolved != NULL ? resolved : path);

	free(resolved);
	return copy;
}

static int lock_folder(struct users_file *file, struct err *why)
{
	size_t slash = span_find_last(span_of(file->path), '/');
	char *folder = slash == strlen(file->path)
			       ? mem_strdup(".")
			       : mem_span_dup(span_make(file->path, slash > 0 ? slash : 1));
	int code = ERR_OK;

	file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->folder < 0 || flock(file->folder, LOCK_EX) != 0)
		code = fail(why, "can't open the folder", folder);
	mem_free(folder);
	return code;
}

static int read_all(int fd, struct users_file *file, struct err *why)
{
	for (;;) {
		char *room = buf_reserve(&file->text, 16384);
		ssize_t got = room != NULL ? read(fd, room, 16384) : -1;

		if (room == NULL)
			return err_set(why, ERR_LIMIT, "%.180s is too large", file->path);
		if (got < 0 && errno != EINTR)
			return fail(why, "can't read", file->path);
		if (got == 0)
			return ERR_OK;
		buf_fill(&file->text, got > 0 ? (size_t)got : 0);
	}
}

static int read_file(struct users_file *file, struct err *why)
{
	struct stat stat;
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int code = ERR_OK;

	if (fd < 0 && errno == ENOENT)
		return ERR_OK;
	if (fd < 0 || fstat(fd, &stat) != 0) {
		code = fail(why, "can't open", file->path);
	} else if (!S_ISREG(stat.st_mode)) {
		code = err_set(why, ERR_IO, "%.180s is no file", file->path);
	} else {
		file->exists = true;
		/* Nobody else: the daemon would refuse it. */
		file->mode = stat.st_mode & 0770;
		file->owner = stat.st_uid;
		file->group = stat.st_gid;
		code = read_all(fd, file, why);
	}
	if (fd >= 0)
		close(fd);
	return code;
}

int users_file_open(const char *path, struct users_file *file, struct err *why)
{
	int code;

	*file = (struct users_file){.path = real_path(path), .folder = -1, .mode = 0600};
	buf_init(&file->text, USERS_FILE_MAX);
	code = lock_folder(file, why);
	if (code == ERR_OK)
		code = read_file(file, why);
	if (code != ERR_OK)
		users_file_close(file);
	return code;
}

void users_file_close(struct users_file *file)
{
	if (file->text.data != NULL)
		secret_wipe(file->text.data, file->text.len);
	buf_release(&file->text);
	mem_free(file->path);
	file->path = NULL;
	if (file->folder >= 0)
		close(file->folder);
	file->folder = -1;
}

/* --- lines ------------------------------------------------------------------- */

struct span users_file_find(const struct users_file *file, const char *name)
{
	struct span rest = buf_span(&file->text);

	while (rest.len > 0) {
		struct span line = span_cut(&rest, '\n');

		if (span_is(users_line_name(line), name))
			return line;
	}
	return (struct span){NULL, 0};
}

/* Where the line behind `line`, or the end, begins. */
static size_t end_of(const struct users_file *file, struct span line)
{
	size_t end = (size_t)(line.data - file->text.data) + line.len;

	return end < file->text.len ? end + 1 : end;
}

/* `old` octets at `at` become `text`. */
static int put_octets(struct users_file *file, size_t at, size_t old, struct span text,
		      struct err *why)
{
	struct span all = buf_span(&file->text);
	struct buf next;
	int code;

	buf_init(&next, USERS_FILE_MAX);
	code = buf_append_span(&next, span_first(all, at));
	if (code == ERR_OK)
		code = buf_append_span(&next, text);
	if (code == ERR_OK)
		code = buf_append_span(&next, span_skip(all, at + old));
	if (code == ERR_OK) {
		struct buf before = file->text;

		file->text = next;
		next = before;
	} else {
		(void)err_set(why, code, "%.180s would be too large", file->path);
	}
	if (next.data != NULL)
		secret_wipe(next.data, next.len);
	buf_release(&next);
	return code;
}

int users_file_put(struct users_file *file, struct span old, struct span line, struct err *why)
{
	struct span all = buf_span(&file->text);
	size_t at = old.data != NULL ? (size_t)(old.data - all.data) : all.len;
	size_t end = old.data != NULL ? end_of(file, old) : all.len;
	bool joined = old.data == NULL && all.len > 0 && all.data[all.len - 1] != '\n';
	struct buf text;
	int code;

	buf_init(&text, USERS_FILE_MAX);
	code = buf_printf(&text, "%s%.*s\n", joined ? "\n" : "", SPAN_ARG(line));
	if (code == ERR_OK)
		code = put_octets(file, at, end - at, buf_span(&text), why);
	if (text.data != NULL)
		secret_wipe(text.data, text.len);
	buf_release(&text);
	return code;
}

void users_file_remove(struct users_file *file, struct span old)
{
	size_t at = (size_t)(old.data - file->text.data);

	(void)put_octets(file, at, end_of(file, old) - at, span_of(""), NULL);
}

/* --- save -------------------------------------------------------------------- */

static bool write_all(int fd, struct span text)
{
	while (text.len > 0) {
		ssize_t put = write(fd, text.data, text.len);

		if (put < 0 && errno != EINTR)
			return false;
		text = span_skip(text, put > 0 ? (size_t)put : 0);
	}
	return true;
}

/* As the old one was. Its mode last: chown takes bits away. */
static bool give_to(int fd, const struct users_file *file)
{
	bool same = file->owner == geteuid() && file->group == getegid();

	if (!file->exists)
		return true;
	return (same || fchown(fd, file->owner, file->group) == 0) && fchmod(fd, file->mode) == 0;
}

int users_file_save(struct users_file *file, struct err *why)
{
	struct buf name;
	int code = ERR_OK;
	int fd;

	buf_init(&name, 8192);
	if (buf_printf(&name, "%s.XXXXXX", file->path) != ERR_OK)
		return err_set(why, ERR_LIMIT, "the name of the file is too long");
	fd = mkstemp(name.data);
	if (fd < 0) {
		code = fail(why, "can't write", name.data);
		buf_release(&name);
		return code;
	}
	if (!give_to(fd, file) || !write_all(fd, buf_span(&file->text)) || fsync(fd) != 0 ||
	    rename(name.data, file->path) != 0 || fsync(file->folder) != 0) {
		code = fail(why, "can't write", file->path);
		(void)unlink(name.data);
	}
	close(fd);
	buf_release(&name);
	return code;
}
