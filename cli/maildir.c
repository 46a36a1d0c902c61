/* cli/maildir.c - messages into a folder, one file each, and a log of their envelopes */
#include <config.h>

#include "cli/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define NAME_SIZE 80

struct maildir {
	int folder;
	int log;
};

static int fail(const char *what, const char *name, struct err *why)
{
	int code = errno == EACCES || errno == EPERM || errno == EROFS ? ERR_DENIED
		   : errno == ENOSPC || errno == EDQUOT		       ? ERR_FULL
								       : ERR_IO;

	return err_set(why, code, "can't %s %s: %s", what, name, strerror(errno));
}

static int open_parts(struct maildir *maildir, struct err *why)
{
	static const char *const parts[] = {"tmp", "new", "cur"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (mkdirat(maildir->folder, parts[i], 0700) != 0 && errno != EEXIST)
			return fail("make the folder", parts[i], why);
	maildir->log = openat(maildir->folder, "envelope.jsonl",
			      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (maildir->log < 0)
		return fail("open", "envelope.jsonl", why);
	return ERR_OK;
}

int maildir_open(const char *folder, struct maildir **maildir_out, struct err *why)
{
	struct maildir *maildir;
	int code;

	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return fail("make the folder", folder, why);
	maildir = mem_zalloc(sizeof(*maildir));
	maildir->log = -1;
	maildir->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	code = maildir->folder < 0 ? fail("open the folder", folder, why)
				   : open_parts(maildir, why);
	if (code != ERR_OK)
		maildir_close(&maildir);
	else
		*maildir_out = maildir;
	return code;
}

void maildir_close(struct maildir **maildir)
{
	if (*maildir == NULL)
		return;
	if ((*maildir)->log >= 0)
		close((*maildir)->log);
	if ((*maildir)->folder >= 0)
		close((*maildir)->folder);
	mem_free(*maildir);
	*maildir = NULL;
}

static bool write_all(int fd, struct span bytes)
{
	while (bytes.len > 0) {
		ssize_t put = write(fd, bytes.data, bytes.len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		bytes = span_skip(bytes, (size_t)put);
	}
	return true;
}

static int write_message(struct maildir *maildir, const char *path, struct span message,
			 struct err *why)
{
	int fd = openat(maildir->folder, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int code = ERR_OK;

	if (fd < 0)
		return fail("make", path, why);
	if (!write_all(fd, message))
		code = fail("write", path, why);
	if (close(fd) != 0 && code == ERR_OK)
		code = fail("write", path, why);
	if (code != ERR_OK)
		(void)unlinkat(maildir->folder, path, 0);
	return code;
}

static int write_envelope(struct maildir *maildir, const char *path, json_t *envelope,
			  struct err *why)
{
	struct stat before;
	char *text;
	size_t len;
	int code = ERR_OK;

	(void)json_object_set_new(envelope, "file", json_string(path));
	text = json_dumps(envelope, JSON_COMPACT);
	if (text == NULL || fstat(maildir->log, &before) != 0) {
		free(text);
		return err_set(why, ERR_IO, "the envelope can't be written down");
	}
	len = strlen(text);
	text[len] = '\n'; /* in place of its NUL */
	if (!write_all(maildir->log, span_make(text, len + 1))) {
		code = fail("write", "envelope.jsonl", why);
		/* Half a line would spoil the next one. */
		if (ftruncate(maildir->log, before.st_size) != 0)
			(void)write_all(maildir->log, span_of("\n"));
	}
	free(text);
	return code;
}

int maildir_add(struct maildir *maildir, const char *name, struct span message, json_t *envelope,
		struct err *why)
{
	char temporary[NAME_SIZE];
	char path[NAME_SIZE];
	int code;

	snprintf(temporary, sizeof(temporary), "tmp/%s", name);
	snprintf(path, sizeof(path), "new/%s", name);
	code = write_message(maildir, temporary, message, why);
	if (code != ERR_OK)
		return code;
	if (renameat(maildir->folder, temporary, maildir->folder, path) != 0) {
		code = fail("rename", temporary, why);
		(void)unlinkat(maildir->folder, temporary, 0);
		return code;
	}
	code = write_envelope(maildir, path, envelope, why);
	if (code != ERR_OK)
		(void)unlinkat(maildir->folder, path, 0);
	return code;
}
