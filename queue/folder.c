/* queue/folder.c - the data directory: made, judged and locked */
#include <config.h>

#include "queue/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"

char *folder_path(const char *data_dir, const char *name)
{
	size_t dir_len = strlen(data_dir);
	size_t name_len = strlen(name);
	char *path = mem_alloc(dir_len + name_len + 2);

	memcpy(path, data_dir, dir_len);
	path[dir_len] = '/';
	memcpy(path + dir_len + 1, name, name_len + 1);
	return path;
}

static int system_error(struct err *why, const char *what, const char *path)
{
	int error = errno;
	int code = ERR_IO;

	if (error == EACCES || error == EPERM || error == EROFS)
		code = ERR_DENIED;
	else if (error == ENOSPC || error == EDQUOT)
		code = ERR_FULL;
	return err_set(why, code, "can't %s %s: %s", what, path, strerror(error));
}

/* Shared memory and locks of SQLite's WAL work on one machine only. */
static const char *network_name(const struct statfs *fs)
{
	switch ((unsigned)fs->f_type) {
	case 0x6969: return "NFS";
	case 0x517b:
	case 0xff534d42:
	case 0xfe534d42: return "SMB";
	case 0x5346414f:
	case 0x6b414653: return "AFS";
	case 0x73757245: return "Coda";
	case 0x564c: return "NCP";
	case 0x01021997: return "9P";
	case 0x00c36400: return "Ceph";
	case 0x0bd00bd0: return "Lustre";
	case 0x47504653: return "GPFS";
	default: return NULL;
	}
}

static int check_file_system(const char *data_dir, struct err *why)
{
	struct statfs fs;
	const char *network;

	if (statfs(data_dir, &fs) != 0)
		return system_error(why, "examine", data_dir);
	network = network_name(&fs);
	if (network != NULL)
		return err_set(why, ERR_UNSUPPORTED,
			       "%s is on a network file system (%s): the queue needs a local disk",
			       data_dir, network);
	return ERR_OK;
}

static int check_database_file(const char *data_dir, struct err *why)
{
	char *path = folder_path(data_dir, FOLDER_DATABASE);
	struct stat st;
	int code = ERR_OK;

	if (lstat(path, &st) != 0) {
		if (errno != ENOENT)
			code = system_error(why, "examine", path);
	} else if (!S_ISREG(st.st_mode)) {
		code = err_set(why, ERR_UNSUPPORTED, "%s is not a plain file", path);
	} else if (st.st_nlink > 1) {
		code = err_set(why, ERR_UNSUPPORTED,
			       "%s has a second name (a hard link): remove one of them", path);
	}
	mem_free(path);
	return code;
}

int folder_prepare(const char *data_dir, struct err *why)
{
	struct stat st;
	int code;

	if (mkdir(data_dir, 0700) != 0 && errno != EEXIST)
		return system_error(why, "make", data_dir);
	if (stat(data_dir, &st) != 0)
		return system_error(why, "examine", data_dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(why, ERR_IO, "%s is not a directory", data_dir);
	code = check_file_system(data_dir, why);
	if (code == ERR_OK)
		code = check_database_file(data_dir, why);
	return code;
}

/* Of its two lines: the holder's process id, and whether there is a database. */
#define HOLDER_FORMAT	"%-20ld\n"
#define HOLDER_SIZE	21
#define DATABASE_LINE	"database\n"
#define DATABASE_LENGTH (sizeof(DATABASE_LINE) - 1)

static int report_holder(int fd, const char *data_dir, struct err *why)
{
	char text[HOLDER_SIZE + 1] = "";
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	text[len > 0 ? strcspn(text, " \n") : 0] = '\0';
	return err_set(why, ERR_BUSY, "another daemon (process %s) holds %s",
		       text[0] != '\0' ? text : "unknown", data_dir);
}

static int write_holder(int fd, const char *path, struct err *why)
{
	char text[HOLDER_SIZE + 4];
	int len = snprintf(text, sizeof(text), HOLDER_FORMAT, (long)getpid());

	if (pwrite(fd, text, (size_t)len, 0) != len)
		return system_error(why, "write", path);
	return ERR_OK;
}

static bool had_database(int fd)
{
	char text[DATABASE_LENGTH];

	return pread(fd, text, sizeof(text), HOLDER_SIZE) == (ssize_t)sizeof(text) &&
	       memcmp(text, DATABASE_LINE, sizeof(text)) == 0;
}

int folder_note_database(const char *data_dir, int fd, struct err *why)
{
	char *path = folder_path(data_dir, FOLDER_LOCK);
	int code = ERR_OK;

	if (!had_database(fd) &&
	    pwrite(fd, DATABASE_LINE, DATABASE_LENGTH, HOLDER_SIZE) != (ssize_t)DATABASE_LENGTH)
		code = system_error(why, "write", path);
	mem_free(path);
	return code;
}

/*
 * SQLite would make a new one, and would throw away what a log that is left
 * over holds: so it does where the file is there and empty, too.
 */
static int check_not_gone(int fd, const char *data_dir, struct err *why)
{
	char *path = folder_path(data_dir, FOLDER_DATABASE);
	struct stat st;
	int code = ERR_OK;

	if (had_database(fd) && (stat(path, &st) != 0 || st.st_size == 0))
		code = err_set(why, ERR_FATAL,
			       "%s is gone: bring it back, or remove the file '%s' beside it to "
			       "begin with an empty queue",
			       path, FOLDER_LOCK);
	mem_free(path);
	return code;
}

int folder_lock(const char *data_dir, int *fd_out, struct err *why)
{
	char *path = folder_path(data_dir, FOLDER_LOCK);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int code = ERR_OK;

	if (fd < 0)
		code = system_error(why, "open", path);
	else if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		code = write_holder(fd, path, why);
	else if (errno == EWOULDBLOCK)
		code = report_holder(fd, data_dir, why);
	else
		code = system_error(why, "lock", path);
	mem_free(path);
	if (code == ERR_OK)
		code = check_not_gone(fd, data_dir, why);
	if (code != ERR_OK) {
		if (fd >= 0)
			close(fd);
		return code;
	}
	*fd_out = fd;
	return ERR_OK;
}

void folder_unlock(int fd)
{
	close(fd);
}

bool folder_is_locked(const char *data_dir)
{
	char *path = folder_path(data_dir, FOLDER_LOCK);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool locked = false;

	mem_free(path);
	if (fd < 0)
		return errno != ENOENT;
	/* Shared, so that two tools looking at the same time do not see each other as a daemon. */
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		locked = true;
	close(fd);
	return locked;
}

int folder_sync(const char *data_dir, struct err *why)
{
	int fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code = ERR_OK;

	if (fd < 0 || fsync(fd) != 0)
		code = system_error(why, "sync", data_dir);
	if (fd >= 0)
		close(fd);
	return code;
}
