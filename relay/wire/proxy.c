/* relay/wire/proxy.c - the PROXY protocol's header, v1 and v2, read and written */
#include "relay/wire/proxy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>

#define V1_PREFIX     "PROXY "
#define SIGNATURE_LEN 12
#define V2_FIXED      16 /* signature, command, family, length */

static const char signature[SIGNATURE_LEN] = {'\r', '\n', '\r', '\n', '\0', '\r',
					      '\n', 'Q',  'U',	'I',  'T',  '\n'};

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { TRANSPORT_UNSPEC = 0, TRANSPORT_STREAM = 1, TRANSPORT_DATAGRAM = 2 };
enum { FAMILY_UNSPEC = 0, FAMILY_INET = 1, FAMILY_INET6 = 2, FAMILY_UNIX = 3 };
enum { TLV_AUTHORITY = 0x02, TLV_CRC32C = 0x03, TLV_UNIQUE_ID = 0x05, TLV_SSL = 0x20 };
enum { SSL_VERSION = 0x21, SSL_COMMON_NAME = 0x22, SSL_CIPHER = 0x23 };
enum { CLIENT_SSL = 1, CLIENT_CERT_CONN = 2, CLIENT_CERT_SESSION = 4 };

#define INET_BLOCK  12
#define INET6_BLOCK 36
#define UNIX_BLOCK  216
#define CRC_SIZE    4
#define TLV_FIXED   3 /* type and length */

/* --- both versions --------------------------------------------------------- */

static unsigned octet(struct span s, size_t at)
{
	return (unsigned char)s.data[at];
}

static unsigned number16(struct span s, size_t at)
{
	return octet(s, at) << 8 | octet(s, at + 1);
}

static uint32_t number32(struct span s, size_t at)
{
	return (uint32_t)number16(s, at) << 16 | number16(s, at + 2);
}

static void set_inet(struct sockaddr_storage *out, const void *address, unsigned port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	memcpy(&v4.sin_addr, address, sizeof(v4.sin_addr));
	memset(out, 0, sizeof(*out));
	memcpy(out, &v4, sizeof(v4));
}

static void set_inet6(struct sockaddr_storage *out, const void *address, unsigned port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	memcpy(&v6.sin6_addr, address, sizeof(v6.sin6_addr));
	memset(out, 0, sizeof(*out));
	memcpy(out, &v6, sizeof(v6));
}

/* What has come agrees with `whole` as far as it goes. */
static bool agrees(struct span input, const char *whole, size_t len)
{
	return memcmp(input.data, whole, input.len < len ? input.len : len) == 0;
}

/* --- reading v1 ------------------------------------------------------------ */

/* Decimal without leading zeros, 0 to 65535. */
static int parse_port(struct span text, unsigned *port_out)
{
	uint64_t port;

	if ((text.len > 1 && text.data[0] == '0') || span_to_u64(text, 65535, &port) != ERR_OK)
		return ERR_SYNTAX;
	*port_out = (unsigned)port;
	return ERR_OK;
}

static int parse_endpoint(int family, struct span address, struct span port,
			  struct sockaddr_storage *out)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	unsigned number;

	if (address.len == 0 || address.len >= sizeof(text) ||
	    memchr(address.data, '\0', address.len) != NULL || parse_port(port, &number) != ERR_OK)
		return ERR_SYNTAX;
	memcpy(text, address.data, address.len);
	text[address.len] = '\0';
	if (inet_pton(family, text, bytes) != 1)
		return ERR_SYNTAX;
	if (family == AF_INET)
		set_inet(out, bytes, number);
	else
		set_inet6(out, bytes, number);
	return ERR_OK;
}

/* "TCP4 source destination port port": single blanks, nothing left out. */
static int parse_v1_addresses(struct span line, struct proxy_header *header, struct err *why)
{
	struct span family_name = span_cut(&line, ' ');
	struct span source = span_cut(&line, ' ');
	struct span destination = span_cut(&line, ' ');
	struct span source_port = span_cut(&line, ' ');
	int family = span_is(family_name, "TCP4") ? AF_INET : AF_INET6;

	if (family == AF_INET6 && !span_is(family_name, "TCP6"))
		return err_set(why, ERR_SYNTAX, "a family other than TCP4, TCP6 or UNKNOWN");
	if (parse_endpoint(family, source, source_port, &header->source) != ERR_OK ||
	    parse_endpoint(family, destination, line, &header->destination) != ERR_OK)
		return err_set(why, ERR_SYNTAX, "a bad address or port");
	header->has_addresses = true;
	return ERR_OK;
}

static bool is_unknown(struct span line)
{
	return span_is(span_cut(&line, ' '), "UNKNOWN");
}

static int parse_v1(struct span input, struct proxy_header *header, size_t *len_out,
		    struct err *why)
{
	const size_t prefix = strlen(V1_PREFIX);
	struct span seen = span_first(input, PROXY_V1_MAX);
	size_t cr = span_find(seen, '\r');
	size_t lf = span_find(seen, '\n');
	struct span line;

	if (lf < cr || (cr + 1 < seen.len && lf != cr + 1))
		return err_set(why, ERR_SYNTAX, "a bare CR or LF");
	if (lf == seen.len)
		return seen.len == PROXY_V1_MAX
			       ? err_set(why, ERR_LIMIT, "no CRLF in %d octets", PROXY_V1_MAX)
			       : ERR_BUSY;
	line = span_skip(span_first(seen, cr), prefix);
	header->version = PROXY_V1;
	*len_out = lf + 1;
	return is_unknown(line) ? ERR_OK : parse_v1_addresses(line, header, why);
}

/* --- reading v2 ------------------------------------------------------------ */

/* RFC 9260 appendix A's polynomial, bit by bit: headers are few and short. */
static uint32_t crc32c(uint32_t crc, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
	}
	return crc;
}

/* Of the whole header, with the field that holds it taken as zeros. */
static uint32_t header_crc(struct span header, size_t field_at)
{
	static const char zeros[CRC_SIZE];
	uint32_t crc = crc32c(UINT32_MAX, header.data, field_at);

	crc = crc32c(crc, zeros, CRC_SIZE);
	return ~crc32c(crc, header.data + field_at + CRC_SIZE, header.len - field_at - CRC_SIZE);
}

/* Cut one off the front of *rest. False: it does not fit. Not for an empty rest. */
static bool cut_tlv(struct span *rest, unsigned *type_out, struct span *value_out)
{
	size_t len;

	if (rest->len < TLV_FIXED)
		return false;
	*type_out = octet(*rest, 0);
	len = number16(*rest, 1);
	if (rest->len - TLV_FIXED < len)
		return false;
	*value_out = span_make(rest->data + TLV_FIXED, len);
	*rest = span_skip(*rest, TLV_FIXED + len);
	return true;
}

static int parse_tls(struct span value, struct proxy_tls *tls, struct err *why)
{
	unsigned type, client;
	struct span rest, part;

	if (value.len < 5)
		return err_set(why, ERR_SYNTAX, "the TLS facts are cut short");
	client = octet(value, 0);
	tls->is_used = (client & CLIENT_SSL) != 0;
	tls->has_certificate = (client & (CLIENT_CERT_CONN | CLIENT_CERT_SESSION)) != 0;
	tls->verify = number32(value, 1);
	for (rest = span_skip(value, 5); rest.len > 0;) {
		if (!cut_tlv(&rest, &type, &part))
			return err_set(why, ERR_SYNTAX, "a part of the TLS facts is cut short");
		if (type == SSL_VERSION)
			tls->version = part;
		else if (type == SSL_CIPHER)
			tls->cipher = part;
		else if (type == SSL_COMMON_NAME)
			tls->common_name = part;
	}
	return ERR_OK;
}

static int take_tlv(struct span whole, unsigned type, struct span value,
		    struct proxy_header *header, struct err *why)
{
	switch (type) {
	case TLV_AUTHORITY:
		if (value.len > PROXY_AUTHORITY_MAX)
			return err_set(why, ERR_LIMIT, "the authority is too long");
		header->authority = value;
		return ERR_OK;
	case TLV_UNIQUE_ID:
		if (value.len > PROXY_UNIQUE_ID_MAX)
			return err_set(why, ERR_LIMIT, "the unique id is too long");
		header->unique_id = value;
		return ERR_OK;
	case TLV_CRC32C:
		if (value.len != CRC_SIZE ||
		    number32(value, 0) != header_crc(whole, (size_t)(value.data - whole.data)))
			return err_set(why, ERR_SYNTAX, "the checksum is wrong");
		return ERR_OK;
	case TLV_SSL: return parse_tls(value, &header->tls, why);
	default: return ERR_OK; /* ALPN, NOOP, namespaces, what is still to come */
	}
}

static int parse_tlvs(struct span whole, struct span rest, struct proxy_header *header,
		      struct err *why)
{
	struct span value;
	unsigned type;
	unsigned sums = 0;
	int code = ERR_OK;

	while (rest.len > 0 && code == ERR_OK) {
		if (!cut_tlv(&rest, &type, &value))
			return err_set(why, ERR_SYNTAX, "a TLV reaches behind the header's end");
		/* Each would have to be right with the other in it: nobody means that. */
		if (type == TLV_CRC32C && ++sums > 1)
			return err_set(why, ERR_SYNTAX, "two checksums");
		code = take_tlv(whole, type, value, header, why);
	}
	return code;
}

/* How long the address block of this family is; 0 for UNSPEC. */
static int block_size(unsigned family, unsigned transport, size_t *size_out)
{
	static const size_t sizes[] = {0, INET_BLOCK, INET6_BLOCK, UNIX_BLOCK};

	if (family > FAMILY_UNIX || transport > TRANSPORT_DATAGRAM ||
	    (family == FAMILY_UNSPEC) != (transport == TRANSPORT_UNSPEC))
		return ERR_SYNTAX;
	*size_out = sizes[family];
	return ERR_OK;
}

static void take_block(unsigned family, struct span block, struct proxy_header *header)
{
	if (family == FAMILY_INET) {
		set_inet(&header->source, block.data, number16(block, 8));
		set_inet(&header->destination, block.data + 4, number16(block, 10));
	} else {
		set_inet6(&header->source, block.data, number16(block, 32));
		set_inet6(&header->destination, block.data + 16, number16(block, 34));
	}
	header->has_addresses = true;
}

/* PROXY, not LOCAL: addresses and TLVs count. */
static int parse_proxied(struct span whole, struct proxy_header *header, struct err *why)
{
	struct span rest = span_skip(whole, V2_FIXED);
	unsigned family = octet(whole, 13) >> 4;
	unsigned transport = octet(whole, 13) & 15;
	size_t size;

	if (block_size(family, transport, &size) != ERR_OK)
		return err_set(why, ERR_SYNTAX, "an unknown address family");
	if (rest.len < size)
		return err_set(why, ERR_SYNTAX, "the addresses are cut short");
	/* The specification: what a receiver can't use it takes as UNSPEC. */
	if (transport == TRANSPORT_STREAM && family != FAMILY_UNIX)
		take_block(family, span_first(rest, size), header);
	return parse_tlvs(whole, span_skip(rest, size), header, why);
}

static int parse_v2(struct span input, struct proxy_header *header, size_t *len_out,
		    struct err *why)
{
	size_t len;

	if (input.len > SIGNATURE_LEN && octet(input, 12) != COMMAND_LOCAL &&
	    octet(input, 12) != COMMAND_PROXY)
		return err_set(why, ERR_SYNTAX, "an unknown version or command");
	if (input.len < V2_FIXED)
		return ERR_BUSY;
	len = V2_FIXED + number16(input, 14);
	if (len > PROXY_HEADER_MAX)
		return err_set(why, ERR_LIMIT, "longer than %d octets", PROXY_HEADER_MAX);
	if (input.len < len)
		return ERR_BUSY;
	header->version = PROXY_V2;
	header->local = octet(input, 12) == COMMAND_LOCAL;
	*len_out = len;
	return header->local ? ERR_OK : parse_proxied(span_first(input, len), header, why);
}

int proxy_parse(struct span input, struct proxy_header *header_out, size_t *len_out,
		struct err *why)
{
	struct proxy_header header = {.has_addresses = false};
	size_t len = 0;
	int code;

	if (input.len == 0)
		return ERR_BUSY;
	if (agrees(input, V1_PREFIX, strlen(V1_PREFIX)))
		code = parse_v1(input, &header, &len, why);
	else if (agrees(input, signature, SIGNATURE_LEN))
		code = parse_v2(input, &header, &len, why);
	else
		code = err_set(why, ERR_SYNTAX, "not a PROXY header");
	if (code != ERR_OK)
		return code;
	*header_out = header;
	*len_out = len;
	return ERR_OK;
}

/* --- writing --------------------------------------------------------------- */

/* An endpoint as it is written: 4 or 16 bytes, the port in network order. */
struct endpoint {
	unsigned char bytes[16];
	uint16_t port;
};

static struct endpoint endpoint_of(const struct sockaddr_storage *address, bool as_inet6)
{
	struct endpoint endpoint = {.port = 0};
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (address->ss_family == AF_INET6) {
		memcpy(&v6, address, sizeof(v6));
		memcpy(endpoint.bytes, &v6.sin6_addr, 16);
		endpoint.port = v6.sin6_port;
		return endpoint;
	}
	memcpy(&v4, address, sizeof(v4));
	if (as_inet6)
		memset(endpoint.bytes + 10, 0xff, 2);
	memcpy(endpoint.bytes + (as_inet6 ? 12 : 0), &v4.sin_addr, 4);
	endpoint.port = v4.sin_port;
	return endpoint;
}

static int append_v1(const struct proxy_header *header, struct buf *out)
{
	bool v6 = header->source.ss_family == AF_INET6 || header->destination.ss_family == AF_INET6;
	int family = v6 ? AF_INET6 : AF_INET;
	struct endpoint source, destination;
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	if (!header->has_addresses)
		return buf_append_text(out, "PROXY UNKNOWN\r\n");
	source = endpoint_of(&header->source, v6);
	destination = endpoint_of(&header->destination, v6);
	if (inet_ntop(family, source.bytes, from, sizeof(from)) == NULL ||
	    inet_ntop(family, destination.bytes, to, sizeof(to)) == NULL)
		assert(!"an address that has no text");
	return buf_printf(out, "PROXY TCP%c %s %s %u %u\r\n", v6 ? '6' : '4', from, to,
			  ntohs(source.port), ntohs(destination.port));
}

static int append_number16(struct buf *out, size_t number)
{
	const char bytes[] = {(char)(number >> 8), (char)number};

	return buf_append(out, bytes, sizeof(bytes));
}

static int append_number32(struct buf *out, uint32_t number)
{
	int code = append_number16(out, number >> 16);

	return code == ERR_OK ? append_number16(out, number & 0xffff) : code;
}

static int append_block(const struct proxy_header *header, struct buf *out)
{
	bool v6 = header->source.ss_family == AF_INET6 || header->destination.ss_family == AF_INET6;
	struct endpoint source, destination;
	char block[INET6_BLOCK];
	size_t size = v6 ? 16 : 4;

	if (!header->has_addresses)
		return ERR_OK;
	source = endpoint_of(&header->source, v6);
	destination = endpoint_of(&header->destination, v6);
	memcpy(block, source.bytes, size);
	memcpy(block + size, destination.bytes, size);
	memcpy(block + 2 * size, &source.port, 2);
	memcpy(block + 2 * size + 2, &destination.port, 2);
	return buf_append(out, block, 2 * size + 4);
}

static int append_tlv(struct buf *out, unsigned type, struct span value)
{
	int code;

	if (value.len == 0)
		return ERR_OK;
	if (value.len > PROXY_HEADER_MAX)
		return ERR_LIMIT;
	code = buf_append_char(out, (char)type);
	if (code == ERR_OK)
		code = append_number16(out, value.len);
	return code == ERR_OK ? buf_append_span(out, value) : code;
}

static int append_tls(const struct proxy_tls *tls, struct buf *out)
{
	struct buf value;
	int code;

	if (!tls->is_used)
		return ERR_OK;
	buf_init(&value, PROXY_HEADER_MAX);
	code = buf_append_char(&value,
			       tls->has_certificate ? CLIENT_SSL | CLIENT_CERT_CONN : CLIENT_SSL);
	if (code == ERR_OK)
		code = append_number32(&value, tls->verify);
	if (code == ERR_OK)
		code = append_tlv(&value, SSL_VERSION, tls->version);
	if (code == ERR_OK)
		code = append_tlv(&value, SSL_COMMON_NAME, tls->common_name);
	if (code == ERR_OK)
		code = append_tlv(&value, SSL_CIPHER, tls->cipher);
	if (code == ERR_OK)
		code = append_tlv(out, TLV_SSL, buf_span(&value));
	buf_release(&value);
	return code;
}

static int append_tlvs(const struct proxy_header *header, struct buf *out)
{
	int code;

	if (header->local)
		return ERR_OK;
	if (header->authority.len > PROXY_AUTHORITY_MAX ||
	    header->unique_id.len > PROXY_UNIQUE_ID_MAX)
		return ERR_LIMIT;
	code = append_tlv(out, TLV_AUTHORITY, header->authority);
	if (code == ERR_OK)
		code = append_tlv(out, TLV_UNIQUE_ID, header->unique_id);
	return code == ERR_OK ? append_tls(&header->tls, out) : code;
}

static char family_octet(const struct proxy_header *header)
{
	if (!header->has_addresses)
		return FAMILY_UNSPEC << 4 | TRANSPORT_UNSPEC;
	if (header->source.ss_family == AF_INET6 || header->destination.ss_family == AF_INET6)
		return FAMILY_INET6 << 4 | TRANSPORT_STREAM;
	return FAMILY_INET << 4 | TRANSPORT_STREAM;
}

/* The header with a length and a checksum of zero, which its end decides. */
static int append_v2(const struct proxy_header *header, struct buf *out)
{
	static const char zeros[CRC_SIZE];
	const char fixed[] = {header->local ? COMMAND_LOCAL : COMMAND_PROXY, family_octet(header),
			      0, 0};
	int code = buf_append(out, signature, SIGNATURE_LEN);

	if (code == ERR_OK)
		code = buf_append(out, fixed, sizeof(fixed));
	if (code == ERR_OK)
		code = append_block(header, out);
	if (code == ERR_OK)
		code = append_tlvs(header, out);
	return code == ERR_OK ? append_tlv(out, TLV_CRC32C, span_make(zeros, CRC_SIZE)) : code;
}

static void put_number16(char *at, size_t number)
{
	at[0] = (char)(number >> 8);
	at[1] = (char)number;
}

static int format_v2(const struct proxy_header *header, struct buf *out)
{
	size_t before = out->len;
	int code = append_v2(header, out);
	size_t len = out->len - before;
	uint32_t crc;

	if (code != ERR_OK || len > PROXY_HEADER_MAX)
		return ERR_LIMIT;
	put_number16(out->data + before + 14, len - V2_FIXED);
	crc = header_crc(span_make(out->data + before, len), len - CRC_SIZE);
	put_number16(out->data + before + len - 4, crc >> 16);
	put_number16(out->data + before + len - 2, crc & 0xffff);
	return ERR_OK;
}

int proxy_format(const struct proxy_header *header, struct buf *out)
{
	size_t before = out->len;
	int code = header->version == PROXY_V1 ? append_v1(header, out) : format_v2(header, out);

	assert(!(header->local && header->has_addresses));
	if (code != ERR_OK)
		buf_truncate(out, before);
	return code;
}
