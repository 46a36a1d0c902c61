/*
 * tests/fuzz/session_model.h - a client that understands what it says: it reads its own input with
 * the server's replies beside it, and insists that the two belong together
 */
#ifndef STAGEPOST_TESTS_FUZZ_SESSION_MODEL_H
#define STAGEPOST_TESTS_FUZZ_SESSION_MODEL_H

#include "base/buf.h"
#include "tests/fuzz/session_backend.h"

/* What the next octets of the input are to whoever obeys the RFCs. */
enum model_state {
	MODEL_BANNER,
	MODEL_LINE,  /* a command */
	MODEL_SKIP,  /* the rest of a line that was too long */
	MODEL_DATA,  /* behind a 354 */
	MODEL_CHUNK, /* behind a BDAT (RFC 3030 2) */
	MODEL_AUTH,  /* a line behind a 334 */
	MODEL_TLS,   /* 220 for STARTTLS: the driver's turn */
	MODEL_OVER   /* the server must close */
};

struct session_model {
	struct session_backend *backend;
	bool lmtp;
	bool ended; /* the server has closed */
	enum model_state state;
	struct buf input;  /* not understood yet */
	struct buf output; /* replies not looked at yet */
	bool hello;	   /* EHLO, HELO or LHLO was accepted, or XCLIENT may stand for it */
	/* The transaction */
	bool mail; /* MAIL was accepted */
	char sender[ADDRESS_TEXT_SIZE];
	struct buf recipients; /* as taken_mail.recipients */
	size_t recipient_count;
	struct buf chunks;
	/* The BDAT under way */
	size_t chunk_size;
	bool chunk_last;
};

void session_model_init(struct session_model *model, struct session_backend *backend, bool lmtp);
void session_model_release(struct session_model *model);

/*
 * The server has looked at all of the input and waits for more, or has ended:
 * everything that asks for a reply must have got it, in order, and nothing else.
 */
void session_model_check(struct session_model *model);
/* TLS begins (RFC 3207 4.2): nothing of what was said in clear counts. */
void session_model_secure(struct session_model *model);
/* The daemon stops: a 421 at most is left to be said. */
void session_model_stop(struct session_model *model);

#endif
