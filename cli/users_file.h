/* cli/users_file.h - the users file as lines of text: changed one by one, written at once */
#ifndef STAGEPOST_CLI_USERS_FILE_H
#define STAGEPOST_CLI_USERS_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Comments and order stay as they are. One writer at a time: the folder is locked meanwhile. */
struct users_file {
	char *path; /* where it really lies, behind links */
	int folder;
	mode_t mode;
	uid_t owner;
	gid_t group;
	bool exists;
	struct buf text; /* holds secrets; wiped by users_file_close */
};

/* A file that is not there is an empty one of mode 0600. ERR_DENIED, ERR_IO, ERR_LIMIT. */
int users_file_open(const char *path, struct users_file *file, struct err *why);
void users_file_close(struct users_file *file);

/* The user's line without its line end, valid until the next change; data NULL: none. */
struct span users_file_find(const struct users_file *file, const char *name);
/* `line` (without a line end) in place of `old`, a line of the file; data NULL: behind the last. */
int users_file_put(struct users_file *file, struct span old, struct span line, struct err *why);
void users_file_remove(struct users_file *file, struct span old);

/* All of it or nothing: a new file takes the old one's place, with its owner and mode. */
int users_file_save(struct users_file *file, struct err *why);

#endif
