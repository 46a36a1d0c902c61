/* relay/hook/decision.h - what is asked about a recipient, and what was decided; plain values */
#ifndef STAGEPOST_RELAY_HOOK_DECISION_H
#define STAGEPOST_RELAY_HOOK_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "queue/screen.h"
#include "relay/mail/address.h"

#define DECISION_HOP_SIZE   272
#define DECISION_LOGIN_SIZE 512
#define DECISION_WORD_MAX   250 /* of a user's name, and of a password */

enum decision_kind {
	DECISION_NONE, /* nobody decided anything: neither delivered nor lost */
	DECISION_ALLOW,
	DECISION_DROP,
	DECISION_HOLD,
	DECISION_REDIRECT
};

struct decision {
	enum decision_kind kind;
	bool later;	 /* NONE because it was asked for: no failure, and not counted */
	int64_t wait_ms; /* NONE: not asked again before */
	char reason[320];
	char redirect_to[ADDRESS_TEXT_SIZE]; /* as printed by address_format */
	char hop[DECISION_HOP_SIZE];	     /* "host:port", "" for none */
	/* With a hop: screen_outcome.login, which is a secret. */
	bool has_login;
	char login[DECISION_LOGIN_SIZE];
};

/* What one request is about. Borrowed. */
struct question {
	const struct screened_message *message;
	const struct screened_recipient *const *recipients;
	size_t count;
	struct span header; /* the header section, as far as it was read */
	bool header_whole;
};

/* "the policy hook: " and the rest, as text for people: valid UTF-8 without controls. */
void decision_say(struct decision *decision, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void decision_none(struct decision *decision, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Bytes of somebody's as such text, cut where it does not fit. */
void decision_clean(struct span text, char *out, size_t size);

/*
 * The next hop as routes write it, from a numeric address (IPv6 with or
 * without brackets), a host name or unix:/path, and a port (not with unix:). False: it is none.
 */
bool decision_hop(struct span server, struct span port, char hop_out[DECISION_HOP_SIZE]);

/* Log in there with these, or with no user at all. False: they are nothing that can be sent. */
bool decision_login(struct decision *decision, struct span user, struct span password);

#endif
