/* relay/deliver/dns.c - one question to the name servers, in a thread that may wait */
#include <config.h> /* res_ninit */

#include "relay/deliver/dns.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/span.h"
#include "relay/deliver/client.h" /* client_endpoint */

/* Seconds, and how often each server is asked. */
#define WAIT_S 3
#define TRIES  2

/* --- asking -------------------------------------------------------------------------- */

bool dns_server_parse(const char *text, struct sockaddr_storage *server_out)
{
	char whole[128];

	if (client_endpoint(text, server_out))
		return true;
	(void)snprintf(whole, sizeof(whole), "%.100s:53", text);
	return client_endpoint(whole, server_out);
}

/* The C library has no call for it: IPv4 has its place, IPv6 stands beside an empty one. */
static bool use_server(struct __res_state *state, const char *text)
{
	struct sockaddr_storage server;
	int slot = state->nscount;

	if (!dns_server_parse(text, &server))
		return false;
	if (server.ss_family == AF_INET) {
		memcpy(&state->nsaddr_list[slot], &server, sizeof(struct sockaddr_in));
	} else {
		struct sockaddr_in6 *in6 = mem_alloc(sizeof(*in6)); /* res_nclose frees it */

		memcpy(in6, &server, sizeof(*in6));
		memset(&state->nsaddr_list[slot], 0, sizeof(state->nsaddr_list[slot]));
		state->_u._ext.nsaddrs[slot] = in6;
	}
	state->nscount++;
	return true;
}

static int prepare(struct __res_state *state, const struct dns_servers *servers, struct err *why)
{
	memset(state, 0, sizeof(*state));
	if (res_ninit(state) != 0)
		return err_set(why, ERR_IO, "the system's resolver could not be set up");
	state->retrans = WAIT_S;
	state->retry = TRIES;
	if (servers->count == 0)
		return ERR_OK;
	state->nscount = 0;
	for (size_t i = 0; i < servers->count && i < DNS_SERVERS_MAX; i++)
		if (!use_server(state, servers->addresses[i])) {
			res_nclose(state);
			return err_set(why, ERR_SYNTAX, "\"%s\" is no name server's address",
				       servers->addresses[i]);
		}
	return ERR_OK;
}

static const char *type_name(enum dns_type type)
{
	return type == DNS_MX ? "MX" : type == DNS_AAAA ? "AAAA" : "A";
}

static int explain(int failed, const char *name, enum dns_type type, struct err *why)
{
	switch (failed) {
	case NO_DATA: return ERR_OK;
	case HOST_NOT_FOUND:
		return err_set(why, ERR_NOT_FOUND, "DNS: there is no domain %s (NXDOMAIN)", name);
	case TRY_AGAIN:
		return err_set(why, ERR_TIMEOUT,
			       "DNS: no answer to the question for %s %s (time-out or SERVFAIL)",
			       type_name(type), name);
	default:
		return err_set(why, ERR_IO, "DNS: the question for %s %s failed", type_name(type),
			       name);
	}
}

int dns_ask(const struct dns_servers *servers, const char *name, enum dns_type type,
	    unsigned char answer_out[DNS_ANSWER_MAX], size_t *len_out, struct err *why)
{
	struct __res_state state;
	int len, code = prepare(&state, servers, why);

	if (code < 0)
		return code;
	len = res_nquery(&state, name, ns_c_in, (int)type, answer_out, DNS_ANSWER_MAX);
	*len_out = 0;
	if (len < 0)
		code = explain(state.res_h_errno, name, type, why);
	else
		*len_out = len < DNS_ANSWER_MAX ? (size_t)len : DNS_ANSWER_MAX;
	res_nclose(&state);
	return code;
}

/* --- reading ---------------------------------------------------------------------------- */

static unsigned int get16(const unsigned char *at)
{
	return (unsigned int)at[0] << 8 | at[1];
}

/* Behind a name: labels up to the root or a pointer (RFC 1035 4.1.4). NULL: beyond the end. */
static const unsigned char *skip_name(const unsigned char *at, const unsigned char *end)
{
	while (at < end && *at != 0) {
		if ((*at & 0xc0) == 0xc0)
			return end - at >= 2 ? at + 2 : NULL;
		if ((*at & 0xc0) != 0 || end - at < *at + 1)
			return NULL;
		at += *at + 1;
	}
	return at < end ? at + 1 : NULL;
}

bool dns_reader_init(struct dns_reader *reader, const unsigned char *answer, size_t len)
{
	size_t questions;

	if (len < NS_HFIXEDSZ || (answer[2] & 0x80) == 0)
		return false;
	*reader = (struct dns_reader){.start = answer,
				      .at = answer + NS_HFIXEDSZ,
				      .end = answer + len,
				      .left = get16(answer + 6)};
	for (questions = get16(answer + 4); questions > 0; questions--) {
		reader->at = skip_name(reader->at, reader->end);
		if (reader->at == NULL || reader->end - reader->at < NS_QFIXEDSZ)
			return false;
		reader->at += NS_QFIXEDSZ;
	}
	return true;
}

bool dns_next(struct dns_reader *reader, struct dns_record *record_out)
{
	while (reader->left > 0) {
		const unsigned char *at = skip_name(reader->at, reader->end);
		size_t data_len;
		unsigned int class;

		if (at == NULL || reader->end - at < NS_RRFIXEDSZ)
			break;
		data_len = get16(at + 8);
		if ((size_t)(reader->end - at) - NS_RRFIXEDSZ < data_len)
			break;
		class = get16(at + 2);
		*record_out = (struct dns_record){
			.type = (enum dns_type)get16(at),
			.ttl_s = (uint32_t)get16(at + 4) << 16 | get16(at + 6),
			.data = at + NS_RRFIXEDSZ,
			.data_len = data_len,
		};
		reader->at = at + NS_RRFIXEDSZ + data_len;
		reader->left--;
		if (class == ns_c_in)
			return true;
	}
	reader->left = 0;
	return false;
}

/* Letters, digits, hyphens and (people do that) underscores; the last label is no number. */
static bool is_host_name(struct span name)
{
	bool digits = true;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '.')
			return false;
		digits = c == '.' || (digits && ascii_is_digit(c));
	}
	return !digits || name.len == 0;
}

bool dns_host_name(const struct dns_reader *reader, const unsigned char *at, char name_out[256])
{
	char name[NS_MAXDNAME];
	size_t len;

	if (dn_expand(reader->start, reader->end, at, name, sizeof(name)) < 0)
		return false;
	len = strlen(name);
	if (len > 0 && name[len - 1] == '.')
		name[--len] = '\0';
	if (len > 253 || !is_host_name(span_make(name, len)))
		return false;
	memcpy(name_out, name, len + 1);
	return true;
}
