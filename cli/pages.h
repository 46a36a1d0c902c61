/* cli/pages.h - a list of the daemon's, fetched page after page */
#ifndef STAGEPOST_CLI_PAGES_H
#define STAGEPOST_CLI_PAGES_H

#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "cli/tool.h"

/*
 * The items of the list at `path` (with its filters, without limit and
 * after), at most `limit`, 0: all of them. TOOL_OK, or complained.
 */
int pages_fetch(struct tool *tool, const struct buf *path, size_t limit, json_t **items_out);

#endif
