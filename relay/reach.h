/* relay/reach.h - is this address one of our own listeners? (loop stop at connect, CASES S185) */
#ifndef STAGEPOST_RELAY_REACH_H
#define STAGEPOST_RELAY_REACH_H

#include <stdbool.h>

/*
 * `address` and `listener` are "127.0.0.1:2525", "[::1]:25" or "unix:/path" as
 * bound or resolved. A wildcard listener matches every address of this
 * machine with its port. Any thread.
 */
bool reach_is_same(const char *address, const char *listener);
/* The same numeric address and port, however they are written; unix paths byte by byte. */
bool reach_is_equal(const char *a, const char *b);

#endif
