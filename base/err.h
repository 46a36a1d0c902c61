/* base/err.h - what went wrong: a code to act on and a sentence to show */
#ifndef STAGEPOST_BASE_ERR_H
#define STAGEPOST_BASE_ERR_H

#include <stdarg.h>

enum err_code {
	ERR_OK = 0,
	ERR_SYNTAX = -1,       /* the bytes do not follow the grammar */
	ERR_LIMIT = -2,	       /* well formed, but more than we allow */
	ERR_NOT_FOUND = -3,    /* no such thing */
	ERR_CONFLICT = -4,     /* already there, or the present state forbids it */
	ERR_STALE = -5,	       /* a precondition (revision, ETag, lease) no longer holds */
	ERR_BUSY = -6,	       /* nothing was done; trying again later makes sense */
	ERR_FULL = -7,	       /* no room on the disk; nothing was done */
	ERR_IO = -8,	       /* a system call or the peer failed */
	ERR_FATAL = -9,	       /* the store can't be trusted any more: stop the daemon */
	ERR_TIMEOUT = -10,     /* a deadline passed */
	ERR_CLOSED = -11,      /* the other end is gone, or we are stopping */
	ERR_DENIED = -12,      /* not allowed to */
	ERR_UNSUPPORTED = -13, /* understood, but not offered here */
	ERR_UNSAFE = -14       /* mail that nobody allowed would leave: do not run */
};

/* One sentence for a person, without a final full stop. Plain value, nothing to free. */
struct err {
	char text[240];
};

/*
 * Write the sentence and return `code`, so that a failing function can end in
 * `return err_set(why, ERR_SYNTAX, "...")`. `why` may be NULL.
 */
int err_set(struct err *why, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "prefix: " in front of the sentence that is already there; returns `code`. */
int err_prefix(struct err *why, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A short name for logs and tests: "syntax", "limit", ... */
const char *err_name(int code);

#endif
