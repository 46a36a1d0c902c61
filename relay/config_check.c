/* relay/config_check.c - what a text in the configuration must look like, beyond being text */
#include "relay/config_check.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "relay/config_value.h"
#include "relay/deliver/hop_certificate.h"
#include "relay/filter/subject.h"
#include "relay/mail/address.h"

static int refuse(struct span text, const char *expected, struct err *why)
{
	char quoted[CONFIG_QUOTED_SIZE];

	return err_set(why, ERR_SYNTAX, "%s was expected, not %s", expected,
		       config_quote(text, quoted));
}

/* The family of a numeric address and its 4 or 16 octets, or 0. */
static int numeric_family(struct span text, unsigned char octets_out[16])
{
	char copy[INET6_ADDRSTRLEN];

	if (text.len >= sizeof(copy) || text.len == 0)
		return 0;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (inet_pton(AF_INET, copy, octets_out) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, copy, octets_out) == 1 ? AF_INET6 : 0;
}

static bool is_bracketed(struct span text)
{
	return text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
}

static struct span without_brackets(struct span text)
{
	return is_bracketed(text) ? span_first(span_skip(text, 1), text.len - 2) : text;
}

int config_check_not_empty(struct span text, struct err *why)
{
	return text.len > 0 ? ERR_OK : err_set(why, ERR_SYNTAX, "must not be empty");
}

int config_check_hostname(struct span text, struct err *why)
{
	char ascii[ADDRESS_DOMAIN_MAX + 1];
	unsigned char octets[16];

	if (is_bracketed(text)) {
		struct span literal = without_brackets(text);

		if (span_starts_fold(literal, "IPv6:"))
			literal = span_skip(literal, 5);
		return numeric_family(literal, octets) != 0
			       ? ERR_OK
			       : refuse(text, "an address between the brackets", why);
	}
	return domain_to_ascii(text, ascii, why);
}

/* host:port with the host numeric, in brackets, or a name; empty hosts are refused. */
static int check_host_port(struct span text, uint64_t least_port, struct err *why)
{
	static const char expected[] = "host:port or [::1]:port";
	size_t colon = span_find_last(text, ':');
	struct span host = span_first(text, colon);
	char ascii[ADDRESS_DOMAIN_MAX + 1];
	unsigned char octets[16];
	uint64_t port;
	struct err reason;

	if (colon == text.len || host.len == 0 ||
	    span_to_u64(span_skip(text, colon + 1), 65535, &port) != ERR_OK)
		return refuse(text, expected, why);
	if (port < least_port)
		return err_set(why, ERR_LIMIT, "port %d can't be connected to", (int)port);
	if (is_bracketed(host))
		return numeric_family(without_brackets(host), octets) == AF_INET6
			       ? ERR_OK
			       : refuse(text, expected, why);
	if (span_find(host, ':') < host.len)
		return err_set(why, ERR_SYNTAX, "an IPv6 address needs brackets, as in [::1]:25");
	if (numeric_family(host, octets) == AF_INET)
		return ERR_OK;
	if (domain_to_ascii(host, ascii, &reason) != ERR_OK)
		return err_set(why, ERR_SYNTAX, "the host name is not valid: %s", reason.text);
	return ERR_OK;
}

static int check_unix(struct span text, struct err *why)
{
	struct span path = span_skip(text, strlen("unix:"));

	if (path.len == 0 || path.data[0] != '/')
		return refuse(text, "unix: and an absolute path", why);
	if (path.len >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(why, ERR_LIMIT, "the path of a unix socket is at most %zu octets",
			       sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	return ERR_OK;
}

int config_check_listen(struct span text, struct err *why)
{
	return span_starts_fold(text, "unix:") ? check_unix(text, why)
					       : check_host_port(text, 0, why);
}

int config_check_tcp_or_empty(struct span text, struct err *why)
{
	return text.len == 0 ? ERR_OK : check_host_port(text, 0, why);
}

static int check_mx(struct span port, struct err *why)
{
	uint64_t number;

	if (port.len == 0 ||
	    (port.len < 6 && span_to_u64(port, 65535, &number) == ERR_OK && number > 0))
		return ERR_OK;
	return refuse(port, "mx: or mx:port", why);
}

int config_check_dns(struct span text, struct err *why)
{
	struct span host = text;
	unsigned char octets[16];
	uint64_t port;
	size_t colon = span_find_last(text, ':');

	if (colon < text.len && text.data[text.len - 1] != ']') {
		host = span_first(text, colon);
		if (span_to_u64(span_skip(text, colon + 1), 65535, &port) != ERR_OK || port == 0)
			return refuse(text, "address, address:port or [::1]:port", why);
	}
	if (numeric_family(without_brackets(host), octets) ==
	    (is_bracketed(host) ? AF_INET6 : AF_INET))
		return ERR_OK;
	return refuse(text, "address, address:port or [::1]:port", why);
}

/* 0.0.0.0 and :: are where one listens; connecting there reaches this machine (S185). */
static bool is_unspecified(struct span host)
{
	static const unsigned char zero[16];
	unsigned char octets[16] = {0};

	if (numeric_family(without_brackets(host), octets) == 0)
		return false;
	if (octets[10] == 0xff && octets[11] == 0xff) /* ::ffff:0.0.0.0 */
		octets[10] = octets[11] = 0;
	return memcmp(octets, zero, sizeof(zero)) == 0;
}

int config_check_next_hop(struct span text, struct err *why)
{
	if (span_starts_fold(text, "mx:"))
		return check_mx(span_skip(text, strlen("mx:")), why);
	/* As it is written: a host could be named UNIX, with a port. */
	if (span_is(span_first(text, strlen("unix:")), "unix:"))
		return check_unix(text, why);
	if (is_unspecified(span_first(text, span_find_last(text, ':'))))
		return err_set(why, ERR_SYNTAX, "that address is nobody's: mail would come back");
	return check_host_port(text, 1, why);
}

/* Index of the first octet with a bit set behind the prefix, or `size`. */
static size_t stray_octet(const unsigned char *octets, size_t size, uint64_t prefix)
{
	for (size_t i = (size_t)prefix / 8; i < size; i++) {
		unsigned int mask = i == prefix / 8 ? 0xffU >> (prefix % 8) : 0xffU;

		if ((octets[i] & mask) != 0)
			return i;
	}
	return size;
}

int config_check_network(struct span text, struct err *why)
{
	static const char expected[] = "a network such as 10.0.0.0/8 or ::1";
	size_t slash = span_find(text, '/');
	unsigned char octets[16];
	int family = numeric_family(span_first(text, slash), octets);
	size_t size = family == AF_INET ? 4 : 16;
	uint64_t prefix = size * 8;
	char quoted[CONFIG_QUOTED_SIZE];

	if (family == 0 || (slash < text.len &&
			    span_to_u64(span_skip(text, slash + 1), size * 8, &prefix) != ERR_OK))
		return refuse(text, expected, why);
	if (stray_octet(octets, size, prefix) < size)
		return err_set(why, ERR_SYNTAX, "%s has bits set behind its prefix",
			       config_quote(text, quoted));
	return ERR_OK;
}

int config_check_route_domain(struct span text, struct err *why)
{
	char ascii[ADDRESS_DOMAIN_MAX + 1];

	if (span_is(text, "*"))
		return ERR_OK;
	if (text.len > 0 && text.data[0] == '.')
		text = span_skip(text, 1);
	return domain_to_ascii(text, ascii, why);
}

int config_check_name(struct span text, struct err *why)
{
	bool good = text.len > 0 && text.len < 64;

	for (size_t i = 0; i < text.len && good; i++)
		good = ascii_is_alnum(text.data[i]) || memchr("._-", text.data[i], 3) != NULL;
	return good ? ERR_OK
		    : refuse(text, "a name of at most 63 letters, digits, dots and hyphens", why);
}

int config_check_scope(struct span text, struct err *why)
{
	return text.len == 0 ? ERR_OK : config_check_name(text, why);
}

static bool is_hex(char c)
{
	return ascii_is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

int config_check_tls_client(struct span text, struct err *why)
{
	size_t digits = 0;

	if (span_find(text, '=') < text.len && text.len < 256)
		return ERR_OK;
	for (size_t i = 0; i < text.len; i++) {
		if (is_hex(text.data[i]))
			digits++;
		else if (text.data[i] != ':')
			digits = SIZE_MAX / 2;
	}
	return digits == 64
		       ? ERR_OK
		       : refuse(text, "a SHA-256 fingerprint or a subject such as CN=app,O=shop",
				why);
}

int config_check_http_host(struct span text, struct err *why)
{
	char ascii[ADDRESS_DOMAIN_MAX + 1];
	unsigned char octets[16];
	int family = numeric_family(without_brackets(text), octets);

	if (family == AF_INET6 && !is_bracketed(text))
		return err_set(why, ERR_SYNTAX, "an IPv6 address needs brackets, as in [::1]");
	if (family == AF_INET6 || (family == AF_INET && !is_bracketed(text)))
		return ERR_OK;
	return domain_to_ascii(text, ascii, why);
}

int config_check_header_name(struct span text, struct err *why)
{
	bool good = text.len > 0;
	bool named = false;

	for (size_t i = 0; i < text.len && good; i++) {
		good = text.data[i] > ' ' && text.data[i] < 0x7f && text.data[i] != ':';
		named = named || text.data[i] != '*';
	}
	return good && named ? ERR_OK : refuse(text, "the name of a header field", why);
}

int config_check_subject_tag(struct span text, struct err *why)
{
	bool good = text.len <= SUBJECT_TAG_MAX && span_is_utf8(text) &&
		    (text.len == 0 || span_trim(text).len > 0);

	for (size_t i = 0; i < text.len && good; i++)
		good = (unsigned char)text.data[i] >= ' ' && text.data[i] != 0x7f;
	return good ? ERR_OK
		    : refuse(text, "at most 100 octets of UTF-8, not of blanks alone,", why);
}

int config_check_mailbox_or_empty(struct span text, struct err *why)
{
	struct address address;
	char quoted[CONFIG_QUOTED_SIZE];
	int code;

	if (text.len == 0)
		return ERR_OK;
	code = address_parse(text, &address, why);
	if (code != ERR_OK)
		return code;
	if (address.form != ADDRESS_PLAIN && address.form != ADDRESS_LISTED_ONLY)
		return err_set(why, ERR_SYNTAX, "%s is no address that mail can be delivered to",
			       config_quote(text, quoted));
	return ERR_OK;
}

int config_check_address_or_empty(struct span text, struct err *why)
{
	unsigned char octets[16];

	if (text.len == 0 || numeric_family(text, octets) != 0)
		return ERR_OK;
	return refuse(text, "a numeric address", why);
}

int config_check_pin(struct span text, struct err *why)
{
	struct hop_pin pin;
	struct err reason;

	if (hop_pin_parse(text, &pin, &reason) == ERR_OK)
		return ERR_OK;
	return refuse(text, "the SHA-256 of a public key in base64 (44 characters)", why);
}
