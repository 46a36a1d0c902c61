/* tests/unit/smtp/recorder.h - a backend that remembers what it was given */
#ifndef STAGEPOST_TESTS_UNIT_SMTP_RECORDER_H
#define STAGEPOST_TESTS_UNIT_SMTP_RECORDER_H

#include <pthread.h>

#include "base/buf.h"
#include "relay/smtp/smtp.h"

#define RECORDER_MAILS 64

struct recorded {
	struct smtp_mail mail;
	char forwarded[1000]; /* mail.forwarded; "" for NULL */
	struct smtp_client client;
	char recipients[2048]; /* "a@b c@d " */
	size_t recipient_count;
	struct buf body;
	struct smtp_data_facts facts;
};

/* Counters and mails: look under the lock, or when the sessions are quiet. */
struct recorder {
	pthread_mutex_t lock;
	struct recorded mails[RECORDER_MAILS]; /* finished ones */
	size_t count;
	size_t begun;
	size_t aborted;
	size_t settled;
	bool hold_finish;	      /* finish waits for recorder_let_go */
	struct smtp_session *waiting; /* for that */
	int blocks;		      /* so many pieces answer with back-pressure */
	_Atomic bool never_ready;
	struct smtp_answer final; /* code 0: 250 */
	/* Failures on demand: for senders and recipients "slow@…" (answered late), "slowdata@…"
	 * (the 354 or its refusal comes late), "gone@…" (disconnected). */
	int64_t delay_ms;
};

extern const struct smtp_backend_ops recorder_ops;

void recorder_init(struct recorder *recorder);
void recorder_release(struct recorder *recorder);
size_t recorder_count(struct recorder *recorder);
size_t recorder_aborted(struct recorder *recorder);
/* A finish is waiting: let it go. */
bool recorder_is_waiting(struct recorder *recorder);
void recorder_let_go(struct recorder *recorder);

#endif
