/* relay/wire/login.h - a login that somebody else is asked about: what is known, and the answer */
#ifndef STAGEPOST_RELAY_WIRE_LOGIN_H
#define STAGEPOST_RELAY_WIRE_LOGIN_H

#include <stdint.h>

#include "relay/wire/sasl.h"

/* The mechanisms that can be asked about, each as 1 << enum sasl_mechanism. */
#define LOGIN_MECHANISMS                                                                           \
	(1U << SASL_EXTERNAL | 1U << SASL_CRAM_MD5 | 1U << SASL_PLAIN | 1U << SASL_LOGIN)

/* Borrowed strings; NULL or "": not known. */
struct login_question {
	enum sasl_mechanism mechanism;
	const char *user;
	const char *password; /* CRAM-MD5: the digest; EXTERNAL: "" */
	const char *salt;     /* CRAM-MD5: the challenge, else NULL */
	unsigned attempt;     /* of this session, from 1 */
	/* The client, as queue/message.h has it. */
	const char *client_address;
	const char *client_name;
	const char *tls;
	const char *certificate;
	const char *certificate_verdict;
	const char *proxied;
};

enum login_verdict {
	LOGIN_UNKNOWN, /* nobody can tell now: as good as no, but for what the client is told */
	LOGIN_RIGHT,
	LOGIN_WRONG
};

struct login_answer {
	enum login_verdict verdict;
	int64_t wait_ms;   /* WRONG: not said before; 0: nothing was asked for */
	int code;	   /* WRONG: how to say it: 5yz */
	char enhanced[12]; /* "5.123.123" */
	char text[200];	   /* printable ASCII; UNKNOWN: the reason, for people */
};

/* The asker's own, which stays where it is until `done` was called, in any thread. */
struct login_ask {
	struct login_question question;
	struct login_answer answer;
	void (*done)(struct login_ask *ask);
};

#endif
