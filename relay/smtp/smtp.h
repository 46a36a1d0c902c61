/* relay/smtp/smtp.h - the SMTP front door as a whole: options, and what a session hands its mail to
 */
#ifndef STAGEPOST_RELAY_SMTP_SMTP_H
#define STAGEPOST_RELAY_SMTP_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "relay/mail/address.h"
#include "relay/wire/dsn.h"

/* PEM; without a key file the key stands with the certificate. */
struct certificate_files {
	const char *certificate;
	const char *key;
};

enum smtp_fixups {
	SMTP_FIXUPS_NONE,
	SMTP_FIXUPS_MSA /* a missing Date and Message-ID are added (RFC 6409 8) */
};

/* `smtp:` and what of `listeners:` a session needs. Owned by the configuration, const for sessions.
 */
struct smtp_options {
	const char *hostname;
	int64_t max_message_size;
	size_t max_recipients;
	size_t max_connections;
	size_t max_connections_per_client;
	int64_t command_timeout_ms; /* total per command */
	int64_t data_min_rate;	    /* bytes per second, after data_grace_ms */
	int64_t data_grace_ms;	    /* 30 s */
	int64_t memory_wait_ms;	    /* over `memory` a message waits so long, then 452: 30 s */
	size_t max_errors;
	int64_t auth_delay_ms; /* before a wrong login is answered, times the wrong ones: 1 s */
	size_t max_junk;       /* NOOP, RSET, VRFY, HELP without mail: 100 */
	size_t max_received;
	enum smtp_fixups fixups;
	int64_t memory; /* what all sessions together may hold before they stop reading */
	struct certificate_files self_signed; /* for listeners with TLS that name none */
};

enum listener_tls { LISTENER_TLS_NONE, LISTENER_TLS_STARTTLS, LISTENER_TLS_IMPLICIT };
enum listener_tls_client {
	LISTENER_TLS_CLIENT_OFF,
	LISTENER_TLS_CLIENT_OPTIONAL, /* asked for; none, or an untrusted one, is as good as none */
	LISTENER_TLS_CLIENT_REQUIRED  /* no mail without a trusted one */
};

/* Mail of the client with this certificate has this scope. */
struct tls_client_scope {
	const char *client; /* SHA-256 in hexadecimal, or the subject (RFC 4514) */
	const char *scope;
};

enum listener_auth {
	LISTENER_AUTH_OFF,
	LISTENER_AUTH_OPTIONAL,
	LISTENER_AUTH_REQUIRED, /* no mail without a login */
	LISTENER_AUTH_ANY	/* optional, and every name and password is right */
};

enum listener_protocol { LISTENER_SMTP, LISTENER_LMTP };

struct listener_options {
	const char *address; /* as configured */
	enum listener_tls tls;
	const char *tls_certificate; /* "" or NULL: none */
	const char *tls_key;
	const struct certificate_files *certificates; /* more of them, chosen by SNI */
	size_t certificate_count;
	const char *tls_client_ca; /* "" or NULL: none */
	enum listener_tls_client tls_client;
	const struct tls_client_scope *tls_client_scopes;
	size_t tls_client_scope_count;
	enum listener_protocol protocol; /* RFC 2033: LMTP answers for each recipient */
	enum listener_auth auth;
	bool auth_without_tls;
	int64_t greeting_delay_ms;
	const char *const *networks; /* CIDR; who may connect; unix peers always may */
	size_t network_count;
	bool proxy_protocol; /* a PROXY header comes first, from `trusted` only */
	bool xclient;	     /* XCLIENT and XFORWARD are taken from `trusted` */
	bool resolve_client; /* look up the client's name before the banner */
	/* CIDR; whose word on clients counts; unix peers' always does */
	const char *const *trusted;
	size_t trusted_count;
	const char *scope; /* "" for none */
};

/* Who is at the other end, and what the transaction said so far. Owned by the session. */
struct smtp_client {
	char session[17]; /* for log lines */
	char address[64]; /* "127.0.0.1", "::1", "unix", "unknown" */
	int port;
	/*
	 * Not the connection's own address but somebody's word: the connection's
	 * address, and what the PROXY header says about the client's TLS there
	 * ("10.0.0.1 TLSv1.3 TLS_AES_256_GCM_SHA384 for mail.test"). Else "".
	 */
	char via[160];
	char name[256]; /* the client's host name when somebody vouches for it, else "" */
	char helo[256];
	bool esmtp; /* EHLO was used */
	bool lmtp;  /* the listener speaks LMTP */
	/* What it came by when that is no kind of SMTP (MESSAGE_HANDED_IN); a constant. Else NULL.
	 */
	const char *with;
	char user[256]; /* who logged in, "" for nobody */
	char tls[80];	/* "TLSv1.3 TLS_AES_256_GCM_SHA384", "" in clear */
	/* Of the client's certificate, when a signer we trust made it; else "". */
	char subject[256];    /* RFC 4514; "" also when it is longer */
	char fingerprint[65]; /* SHA-256, lower-case hexadecimal */
	/* Of any certificate it showed, where one is asked for. */
	char *certificate; /* PEM; NULL: none, or a very long one; the session's */
	char verdict[100]; /* "SUCCESS", "NONE", "FAILED:reason"; "": none is asked for */
	/* Of a PROXY header: "address port own-address own-port"; else "". */
	char proxied[2 * (46 + 6) + 1];
	const char *listener;
	const char *scope;
};

struct smtp_mail {
	struct address sender;
	int64_t declared_size;	       /* -1: none */
	bool body_8bit;		       /* BODY=8BITMIME was given */
	bool smtputf8;		       /* SMTPUTF8 was given */
	const char *ret;	       /* RFC 3461: "FULL", "HDRS" or NULL; a constant */
	char envid[DSN_ENVID_MAX + 1]; /* xtext as given, "" for none */
	const char *forwarded;	       /* what XFORWARD told, for people; NULL: nothing */
	struct span line;	       /* the command as it came, for the call */
};

struct smtp_recipient {
	struct address address;
	const char *notify; /* RFC 3461: "NEVER", "SUCCESS,FAILURE,DELAY"; NULL: none; a constant */
	char orcpt[DSN_ORCPT_MAX + 1]; /* as given, "" for none */
	struct span line;	       /* the command as it came, for the call */
};

/*
 * A reply set by a backend: code, enhanced code ("2.1.5" or ""), text (lines
 * separated by '\n'). Code 421 also ends the connection.
 */
struct smtp_answer {
	int code;
	char enhanced[12];
	char text[400];
	/* Failures on demand: so long nothing is said and nothing read; data_begin: before the
	 * 354. */
	int64_t delay_ms;
	bool disconnect; /* then the connection is closed instead */
};

/* Neither delay nor disconnect. */
void smtp_answer_set(struct smtp_answer *answer_out, int code, const char *enhanced,
		     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* For an error of the store: ERR_FULL 452 4.3.1, ERR_FATAL 421 4.3.0, any other 451 4.3.0. */
void smtp_answer_error(struct smtp_answer *answer_out, int code);

/* How the bytes of DATA were, once the terminator has come. */
struct smtp_data_facts {
	int64_t size; /* octets handed to `data`, dot-unstuffed and canonical */
	int64_t bare_cr;
	int64_t bare_lf;
	bool has_8bit;
	bool has_nul;
	int64_t longest_line; /* octets without its CRLF */
};

struct smtp_session;

/*
 * What a session hands its mail to: the relay's intake (relay/smtp/intake.h)
 * or the sink (cli/sink.c). All calls come in the session's loop thread and
 * must not block. A transaction is a `void *` of the backend, made by begin
 * and ended by exactly one of settle or abort.
 */
struct smtp_backend_ops {
	/* MAIL FROM was accepted by the session. NULL: refused with *answer. */
	void *(*begin)(void *ctx, struct smtp_session *session, const struct smtp_client *client,
		       const struct smtp_mail *mail, struct smtp_answer *answer);
	/* One RCPT TO. Sets *answer (it comes in as 250 2.1.5). True: it counts as a recipient. */
	bool (*recipient)(void *transaction, const struct smtp_recipient *recipient,
			  struct smtp_answer *answer);
	/* DATA. False: refused with *answer; the transaction goes on. May be NULL. Of a true one
	 * only answer->delay_ms is looked at. */
	bool (*data_begin)(void *transaction, struct smtp_answer *answer);
	/*
	 * Message bytes, CRLF line ends, dot-unstuffed; all of them are taken.
	 * True: back-pressure, the session reads on when `ready` says so.
	 */
	bool (*data)(void *transaction, struct span bytes);
	/* After back-pressure, asked every few milliseconds. May be NULL when data never says true.
	 */
	bool (*ready)(void *transaction);
	/*
	 * End of data. The backend calls smtp_session_finished once, now or later
	 * and from any thread; until then the client waits.
	 */
	void (*finish)(void *transaction, const struct smtp_data_facts *facts);
	/*
	 * After finished: set the answer to the final dot, free the transaction. Comes also when
	 * the client has gone in the meantime. To an LMTP client the session says it once for each
	 * recipient that counted.
	 */
	void (*settle)(void *transaction, struct smtp_answer *answer);
	/* RSET, QUIT, disconnect, too large: forget it. Never after finish. */
	void (*abort)(void *transaction);
};

/* Any thread, once after `finish`: settle is called soon, in the loop thread. */
void smtp_session_finished(struct smtp_session *session);
/* Loop thread, inside backend calls: the version of the options this transaction runs under. */
const struct smtp_options *smtp_session_options(const struct smtp_session *session);
/* The same: smtp_settings.backend of that version (relay/smtp/listener.h). */
const void *smtp_session_backend_options(const struct smtp_session *session);

#endif
