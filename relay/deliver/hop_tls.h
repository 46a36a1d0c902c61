/* relay/deliver/hop_tls.h - TLS towards the next hops of one route: whom to trust, what to show,
 * sessions to resume
 */
#ifndef STAGEPOST_RELAY_DELIVER_HOP_TLS_H
#define STAGEPOST_RELAY_DELIVER_HOP_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "relay/deliver/deliver.h"
#include "relay/deliver/hop_certificate.h"
#include "relay/deliver/route.h"
#include "relay/loop/stream.h"

/* Made once for a route of one version of the options, used by its uplinks in all loops. */
struct hop_tls;

/* What hop_tls_new found that is no mistake. */
struct hop_tls_notes {
	bool ca_expired;	/* none of tls_ca is valid any more */
	bool crl_expired;	/* one of the lists in tls_crl */
	int64_t certificate_at; /* when tls_certificate expires; 0: there is none */
};

/*
 * Reads the files of the route now, and never again. On failure the sentence
 * names what is wrong with them, and *key_out the option it is about.
 */
int hop_tls_new(const struct route_options *route, struct hop_tls **tls_out,
		struct hop_tls_notes *notes_out, const char **key_out, struct err *why);
/* Nobody dials any more; connections that were made with it may still be there. */
void hop_tls_free(struct hop_tls **tls);

#define HOP_TLS_FACTS_SIZE 320

/* One connection's part, in its loop. Zeroed, hop_tls_begin to hop_tls_end. */
struct hop_tls_talk {
	struct hop_tls *tls;
	char host[264]; /* "mail.example.com:25": sessions belong to it */
	char name[256]; /* what the certificate must name */
	struct hop_judgement judgement;
	bool offered; /* a session, to be resumed */
	bool refused; /* we did not take the certificate: the judgement tells why */
	int alert;    /* that ended it (RFC 8446 6.2); 0: none */
	bool alert_was_ours;
	char facts[HOP_TLS_FACTS_SIZE]; /* "TLSv1.3 TLS_AES_256_GCM_SHA384, verified" */
};

/* Begin the handshake on `far`. Neither moves until hop_tls_end. */
int hop_tls_begin(struct hop_tls_talk *talk, struct hop_tls *tls, const struct route_host *host,
		  struct stream *far, int64_t handshake_ms, size_t *discarded_out, struct err *why);
/* The handshake is done: fills talk->facts. */
void hop_tls_secured(struct hop_tls_talk *talk, const struct stream *far);
/* TLS failed, and all that the stream can say is `why`: the best sentence there is, maybe `why`. */
const char *hop_tls_explain(const struct hop_tls_talk *talk, const char *why,
			    struct err *sentence_out);
/*
 * TLS failed. True: a session was offered, so that it may do without one (some
 * servers stumble over tickets of another machine); this host's are forgotten.
 */
bool hop_tls_blames_session(struct hop_tls_talk *talk);
/* Before the stream is freed, or left to the loop: it forgets `talk`. `far` may be NULL. */
void hop_tls_end(struct hop_tls_talk *talk, const struct stream *far);

#endif
