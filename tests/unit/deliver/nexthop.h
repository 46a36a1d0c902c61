/* tests/unit/deliver/nexthop.h - a next hop that plays a script and records every byte */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_NEXTHOP_H
#define STAGEPOST_TESTS_UNIT_DELIVER_NEXTHOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nexthop_stage {
	AT_GREETING,
	AT_EHLO,
	AT_HELO,
	AT_STARTTLS,
	AT_AUTH,      /* the command */
	AT_AUTH_LINE, /* what follows a 334 */
	AT_XCLIENT,
	AT_MAIL,
	AT_RCPT,
	AT_DATA,
	AT_BODY, /* `bytes` of the message have come */
	AT_DOT,
	AT_RSET,
	AT_QUIT
};

enum nexthop_act {
	DO_REPLY, /* the bytes of `reply`, as they are (code text CRLF) */
	DO_DROP,  /* close */
	DO_RESET, /* close with RST */
	DO_STALL, /* never answer; ends with nexthop_go or nexthop_stop */
	DO_PAUSE, /* wait for nexthop_go, then as usual */
	DO_DRIP	  /* `reply` a byte every `ms` */
};

/* The first step that fits is played; without one the next hop says yes. */
struct nexthop_step {
	enum nexthop_stage stage;
	enum nexthop_act act;
	const char *reply;
	size_t reply_len;  /* 0: strlen(reply) */
	const char *match; /* the command line must hold this; NULL: any */
	int from, to; /* only the from..to-th time this stage is reached, over all connections, from
			 1; 0, 0: always */
	size_t bytes; /* AT_BODY */
	int ms;	      /* DO_DRIP */
	bool used;    /* only on a connection that has carried a message */
};

/*
 * A message that was answered 2xx after its dot. Behind LHLO there is a reply
 * for each recipient, AT_DOT is played with its RCPT line, and each that is
 * 2xx makes a message for this one.
 */
struct nexthop_mail {
	char mail[600];	     /* the MAIL line without its CRLF */
	char rcpt[100][400]; /* the RCPT lines that were accepted */
	size_t rcpt_count;
	char *data; /* as it came, dots removed, with a NUL behind */
	size_t len;
	int connection; /* from 1 */
};

struct nexthop;
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* `steps` stays valid. `ehlo`: keyword lines "PIPELINING\nSIZE 1000"; NULL: a usual set. */
struct nexthop *nexthop_start(const struct nexthop_step *steps, size_t count, const char *ehlo);
/* Before the first connection: TLS from the start, or on STARTTLS. `context` stays the caller's. */
void nexthop_use_tls(struct nexthop *nexthop, struct ssl_ctx_st *context, bool implicit);
/* Before the first connection: each reply waits for the ACK of the one before (Nagle). */
void nexthop_use_nagle(struct nexthop *nexthop);
/*
 * Before the first connection: who answers AUTH (`first`) and what follows it when no step does.
 * The usual answer is 235.
 */
#define NEXTHOP_REPLY_SIZE 2000
void nexthop_use_auth(struct nexthop *nexthop,
		      void (*answer)(void *ctx, const char *line, bool first, char *reply_out),
		      void *ctx);
/* The same: a PROXY header comes first, of each connection. */
void nexthop_use_proxy(struct nexthop *nexthop);
void nexthop_stop(struct nexthop **nexthop);
/* The same on a unix socket of its own; its address is "unix:/path". */
struct nexthop *nexthop_start_unix(const struct nexthop_step *steps, size_t count,
				   const char *ehlo);
/* "127.0.0.1:port" */
const char *nexthop_address(const struct nexthop *nexthop);

/* Ends all connections; those that come then are offered this. */
void nexthop_offer(struct nexthop *nexthop, const char *ehlo);
/* Let what is paused or stalled go on, now and later. */
void nexthop_go(struct nexthop *nexthop);
/* False when it was not reached in time. */
bool nexthop_wait_mails(struct nexthop *nexthop, size_t count, int timeout_ms);
bool nexthop_wait_stage(struct nexthop *nexthop, enum nexthop_stage stage, int count,
			int timeout_ms);

size_t nexthop_mail_count(struct nexthop *nexthop);
/* Valid until nexthop_stop. */
const struct nexthop_mail *nexthop_mail(struct nexthop *nexthop, size_t index);
int nexthop_connections(struct nexthop *nexthop);
/* Where the last connection came from, "127.0.0.1"; "" when there was none. */
void nexthop_peer(struct nexthop *nexthop, char peer_out[16]);
/* How often a stage was reached. */
int nexthop_reached(struct nexthop *nexthop, enum nexthop_stage stage);
/* Did these bytes come in, on any connection? */
bool nexthop_saw(struct nexthop *nexthop, const char *text);
/* The last PROXY header, with a NUL behind; its length, 0: none came. */
#define NEXTHOP_HEADER_SIZE 600
size_t nexthop_header(struct nexthop *nexthop, char header_out[NEXTHOP_HEADER_SIZE]);
/* Bytes received so far, all connections together. */
size_t nexthop_bytes(struct nexthop *nexthop);

#endif
