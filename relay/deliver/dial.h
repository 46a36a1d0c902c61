/* relay/deliver/dial.h - how libesmtp gets a socketpair where it believes to call a server */
#ifndef STAGEPOST_RELAY_DELIVER_DIAL_H
#define STAGEPOST_RELAY_DELIVER_DIAL_H

#include <stdbool.h>

/*
 * The address libesmtp is told to call. Inside 127/8, so that nothing could
 * leave the machine even if connect() were not ours.
 */
#define DIAL_HOST   "127.83.84.80"
#define DIAL_PORT   1
#define DIAL_SERVER "127.83.84.80:1"

/*
 * For this thread: the next connect() to DIAL_SERVER becomes `fd`, which is
 * taken. -1: call nobody. dial_end closes an fd that was not used and returns
 * true when it was used.
 */
void dial_begin(int fd);
bool dial_end(void);

/* True when the dynamic linker gives libraries our connect(). Checked once at start. */
bool dial_is_in_place(void);

#endif
