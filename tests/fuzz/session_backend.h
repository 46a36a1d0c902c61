/* tests/fuzz/session_backend.h - where the sessions of fuzz_session put their mail */
#ifndef STAGEPOST_TESTS_FUZZ_SESSION_BACKEND_H
#define STAGEPOST_TESTS_FUZZ_SESSION_BACKEND_H

#include "base/buf.h"
#include "relay/loop/loop.h"
#include "relay/smtp/smtp.h"

/* A message that was answered with 250. */
struct taken_mail {
	struct taken_mail *next;
	char sender[ADDRESS_TEXT_SIZE];
	struct buf recipients; /* "a@b c@d " */
	struct buf body;
};

/* Loop thread only. */
struct session_backend {
	struct loop *loop;
	struct taken_mail *first; /* in the order they were settled */
	struct taken_mail **last;
	size_t begun;
	size_t settled;
	size_t aborted;
	bool hung_up; /* a connection was ended on demand */
};

/*
 * Words in the sender's local part ask for trouble: "refused" and "gone" at MAIL, "nodata" at
 * DATA, "full" for back-pressure, "late" for an end that is told later, "bad" for a 554 at the
 * end; "slow" delays the answers. Recipients: "refused", "gone", "slow".
 */
extern const struct smtp_backend_ops session_backend_ops;

void session_backend_init(struct session_backend *backend, struct loop *loop);
/* The oldest one, or NULL; the caller's, for taken_mail_free. */
struct taken_mail *session_backend_next(struct session_backend *backend);
void taken_mail_free(struct taken_mail **mail);

#endif
