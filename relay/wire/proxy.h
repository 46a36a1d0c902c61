/* relay/wire/proxy.h - the PROXY protocol's header, v1 and v2, read and written
 *
 * HAProxy's "The PROXY protocol", versions 1 and 2. Bytes in, bytes out: who may send one, and
 * what it changes, is relay/smtp/proxy.h.
 */
#ifndef STAGEPOST_RELAY_WIRE_PROXY_H
#define STAGEPOST_RELAY_WIRE_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define PROXY_V1_MAX	    107	 /* octets with CRLF, the specification's own number */
#define PROXY_HEADER_MAX    4096 /* of v2, all included */
#define PROXY_AUTHORITY_MAX 255
#define PROXY_UNIQUE_ID_MAX 128

enum proxy_version { PROXY_V1 = 1, PROXY_V2 = 2 };

/* What the proxy tells about the client's TLS (PP2_TYPE_SSL). */
struct proxy_tls {
	bool is_used;	      /* the client spoke TLS to the proxy */
	bool has_certificate; /* and showed a certificate, now or earlier in its TLS session */
	uint32_t verify;      /* 0: that certificate was verified */
	struct span version;  /* "TLSv1.3" */
	struct span cipher;
	struct span common_name; /* of the certificate's subject; UTF-8, hostile */
};

/*
 * The spans hold any bytes the proxy was made to send: escape them wherever
 * they are shown. Empty: not there.
 */
struct proxy_header {
	enum proxy_version version;
	/*
	 * There are addresses: both AF_INET or both AF_INET6, with ports. False
	 * for LOCAL, UNKNOWN, UNSPEC, and for the families that make no sense
	 * here (datagrams, unix sockets): the connection's own addresses stand.
	 */
	bool has_addresses;
	struct sockaddr_storage source;
	struct sockaddr_storage destination;
	/* v2 only */
	bool local; /* the proxy speaks for itself; TLVs are not looked at */
	struct span authority;
	struct span unique_id;
	struct proxy_tls tls;
};

/*
 * Read the header that `input` begins with. ERR_OK: *header_out is filled (its
 * spans point into `input`) and *len_out octets are the header; what stands
 * behind them is the client's. ERR_BUSY: a header so far, more is needed.
 * ERR_SYNTAX: no header, at the first octet that shows it; a wrong CRC32C is
 * that too. ERR_LIMIT: longer than the limits above. Pure.
 */
int proxy_parse(struct span input, struct proxy_header *header_out, size_t *len_out,
		struct err *why);

/*
 * Append the header in its version. Families that differ are written as IPv6
 * (the IPv4 one as ::ffff:a.b.c.d). Without addresses: v1 UNKNOWN (Postfix
 * hangs up on that), v2 LOCAL or UNSPEC. v2 always ends in a CRC32C; TLVs that
 * are empty are left out, and with `local` all others. ERR_LIMIT: beyond the
 * limits above or out's ceiling, nothing is appended.
 */
int proxy_format(const struct proxy_header *header, struct buf *out);

#endif
