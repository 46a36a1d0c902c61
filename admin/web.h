/* admin/web.h - the files of the page, built in from admin/web/ */
#ifndef STAGEPOST_ADMIN_WEB_H
#define STAGEPOST_ADMIN_WEB_H

#include <stddef.h>

#include "base/span.h"

/* One file. The names are a fixed table: no path of a request ever reaches the file system. */
struct web_file {
	const char *name; /* "app.css" */
	const char *type; /* for Content-Type */
	const char *etag; /* of the bytes, with its quotes */
	const unsigned char *bytes;
	size_t len;
};

extern const struct web_file web_files[];
extern const size_t web_file_count;

#define WEB_INDEX "index.html"

/* NULL: there is none. */
const struct web_file *web_find(struct span name);

#endif
