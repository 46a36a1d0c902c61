/* tests relay/wire/proxy.c (S048: what is no header, and what one says) */
#include "relay/wire/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "tests/unit/unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(text)                                                                                \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}
/* 192.0.2.7:50001 to 10.0.0.1:25 */
#define BLOCK4 "\xc0\x00\x02\x07\x0a\x00\x00\x01\xc3\x51\x00\x19"
/* [2001:db8::7]:50001 to [2001:db8::1]:25 */
#define BLOCK6                                                                                     \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"     \
	"\xc3\x51\x00\x19"
#define ZEROS27 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define PATH108 ZEROS27 ZEROS27 ZEROS27 ZEROS27

/* "[2001:db8::7]:50001" */
static void show_endpoint(const struct sockaddr_storage *address, struct buf *out)
{
	char text[INET6_ADDRSTRLEN];
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (address->ss_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
		buf_printf(out, "%s:%u", text, ntohs(v4.sin_port));
	} else {
		ck_assert_int_eq(address->ss_family, AF_INET6);
		memcpy(&v6, address, sizeof(v6));
		inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
		buf_printf(out, "[%s]:%u", text, ntohs(v6.sin6_port));
	}
}

/* What came out, in one line. */
static void show(struct span input, struct buf *out)
{
	struct proxy_header header;
	struct err why;
	size_t len;
	int code = proxy_parse(input, &header, &len, &why);

	buf_clear(out);
	if (code != ERR_OK) {
		buf_append_text(out, err_name(code));
		return;
	}
	buf_printf(out, "v%d %zu", (int)header.version, len);
	if (header.local)
		buf_append_text(out, " local");
	if (header.has_addresses) {
		buf_append_char(out, ' ');
		show_endpoint(&header.source, out);
		buf_append_char(out, ' ');
		show_endpoint(&header.destination, out);
	}
	if (header.authority.len > 0)
		buf_printf(out, " authority=%.*s", SPAN_ARG(header.authority));
	if (header.unique_id.len > 0)
		buf_printf(out, " id=%zu", header.unique_id.len);
	if (header.tls.is_used)
		buf_printf(out, " tls=%.*s,%.*s cert=%d,%u,%.*s", SPAN_ARG(header.tls.version),
			   SPAN_ARG(header.tls.cipher), header.tls.has_certificate,
			   header.tls.verify, SPAN_ARG(header.tls.common_name));
}

static const struct {
	struct span input;
	const char *want;
} headers[] = {
	/* the examples of the specification, 2.1 */
	{BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
	 "v1 56 255.255.255.255:65535 255.255.255.255:65535"},
	{BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	 "v1 104 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 "
	 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{BYTES("PROXY UNKNOWN\r\n"), "v1 15"},
	{BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	 "v1 107"},
	{BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n"),
	 "v1 47 192.168.0.1:56324 192.168.0.11:443"},
	/* v1: what is one */
	{BYTES("PROXY TCP4 0.0.0.0 127.0.0.1 0 0\r\n"), "v1 34 0.0.0.0:0 127.0.0.1:0"},
	{BYTES("PROXY TCP6 ::FFFF:1.2.3.4 ::1 1 25\r\n"), "v1 36 [::ffff:1.2.3.4]:1 [::1]:25"},
	{BYTES("PROXY UNKNOWN \x01\xff\r\n"), "v1 18"},
	/* v1: what is none */
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n"), "syntax"},
	{BYTES("PROXY TCP4\r1.2.3.4 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4\n1.2.3.4 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), "syntax"},
	{BYTES("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8\r\n"), "syntax"},
	{BYTES("PROXY TCP4\r\n"), "syntax"},
	{BYTES("PROXY \r\n"), "syntax"},
	{BYTES("PROXY\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 ::1 ::1 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP6 1.2.3.4 ::1 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP6 [::1] ::1 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n"), "syntax"},
	{BYTES("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("PROXY UNKNOWNX\r\n"), "syntax"},
	{BYTES("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES(" PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), "syntax"},
	{BYTES("EHLO client.test\r\n"), "syntax"},
	{BYTES("\x16\x03\x01\x02\x00"), "syntax"},
	/* one octet more than the longest, and its CRLF may not be split over the limit */
	{BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r\n"),
	 "limit"},
	{BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535     "),
	 "limit"},
	/* v2: addresses */
	{BYTES(SIGNATURE "\x21\x11\x00\x0c" BLOCK4), "v2 28 192.0.2.7:50001 10.0.0.1:25"},
	{BYTES(SIGNATURE "\x21\x21\x00\x24" BLOCK6 "EHLO x\r\n"),
	 "v2 52 [2001:db8::7]:50001 [2001:db8::1]:25"},
	{BYTES(SIGNATURE "\x20\x00\x00\x00"), "v2 16 local"},
	{BYTES(SIGNATURE "\x20\x11\x00\x0c" BLOCK4), "v2 28 local"},
	{BYTES(SIGNATURE "\x20\xff\x00\x03\x02\xff\xff"), "v2 19 local"},
	{BYTES(SIGNATURE "\x21\x00\x00\x00"), "v2 16"},
	{BYTES(SIGNATURE "\x21\x12\x00\x0c" BLOCK4), "v2 28"},
	{BYTES(SIGNATURE "\x21\x22\x00\x24" BLOCK6), "v2 52"},
	{BYTES(SIGNATURE "\x21\x31\x00\xd8" PATH108 PATH108), "v2 232"},
	/* v2: TLVs */
	{BYTES(SIGNATURE "\x21\x11\x00\x12" BLOCK4 "\x02\x00\x03"
			 "a.b"),
	 "v2 34 192.0.2.7:50001 10.0.0.1:25 authority=a.b"},
	{BYTES(SIGNATURE "\x21\x00\x00\x0a\x04\x00\x01x\xee\x00\x03zzz"), "v2 26"},
	{BYTES(SIGNATURE "\x21\x11\x00\x13" BLOCK4 "\x03\x00\x04\xea\x02\x8e\x46"), "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x00\x14" BLOCK4 "\x20\x00\x05\x00\x00\x00\x00\x01"),
	 "v2 36 192.0.2.7:50001 10.0.0.1:25"},
	/* v2: what is none */
	{BYTES(SIGNATURE "\x11\x11\x00\x0c" BLOCK4), "syntax"},
	{BYTES(SIGNATURE "\x22\x11\x00\x0c" BLOCK4), "syntax"},
	{BYTES(SIGNATURE "\x31"), "syntax"},
	{BYTES(SIGNATURE "\x21\x41\x00\x0c" BLOCK4), "syntax"},
	{BYTES(SIGNATURE "\x21\x13\x00\x0c" BLOCK4), "syntax"},
	{BYTES(SIGNATURE "\x21\x10\x00\x0c" BLOCK4), "syntax"},
	{BYTES(SIGNATURE "\x21\x01\x00\x00"), "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x00\x0b" BLOCK4), "syntax"},
	{BYTES(SIGNATURE "\x21\x21\x00\x0c" BLOCK4), "syntax"},
	{BYTES(SIGNATURE "\x21\x31\x00\x0c" BLOCK4), "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x00\x0e" BLOCK4 "\x02\x00"), "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x00\x10" BLOCK4 "\x02\x00\x02x"), "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x00\x0f" BLOCK4 "\x02\xff\xff"), "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x00\x11" BLOCK4 "\x03\x00\x02\x00\x00"), "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x00\x13" BLOCK4 "\x20\x00\x04\x01\x00\x00\x00"), "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x00\x17" BLOCK4 "\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x09"),
	 "syntax"},
	{BYTES(SIGNATURE "\x21\x11\x0f\xf1"), "limit"},
	{BYTES(SIGNATURE "\x20\x00\xff\xff"), "limit"},
	{BYTES("\r\n\r\n\0\r\nQUIT\r"), "syntax"},
	{BYTES("\r\nEHLO x\r\n"), "syntax"},
};

START_TEST(read_headers)
{
	struct buf got;

	buf_init(&got, 2000);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		show(headers[i].input, &got);
		ck_assert_msg(strcmp(got.data, headers[i].want) == 0, "header %zu: %s, not %s", i,
			      got.data, headers[i].want);
	}
	buf_release(&got);
}
END_TEST

/* However the octets come: never another answer than the whole gets, and no octet too many. */
START_TEST(read_in_pieces)
{
	struct proxy_header header;
	struct err why;
	size_t len;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct span whole = headers[i].input;
		int final = proxy_parse(whole, &header, &len, &why);
		size_t end = final == ERR_OK ? len : whole.len;
		bool settled = false;

		for (size_t n = 0; n < end; n++) {
			int code = proxy_parse(span_first(whole, n), &header, &len, &why);

			ck_assert_msg(code == ERR_BUSY || (code == final && final != ERR_OK),
				      "header %zu, %zu octets: %s", i, n, err_name(code));
			ck_assert_msg(!settled || code == final, "header %zu wavers at %zu", i, n);
			settled = code != ERR_BUSY;
		}
		if (final == ERR_OK)
			ck_assert_int_eq(proxy_parse(span_first(whole, end), &header, &len, &why),
					 ERR_OK);
	}
}
END_TEST

START_TEST(limits)
{
	static char long_header[PROXY_HEADER_MAX + 1] = SIGNATURE "\x21\x00\x0f\xf0\x02\x01\x00";
	struct proxy_header header;
	struct err why;
	size_t len;

	/* 4096 octets: a TLV of 256, one octet too long for a host name; as another type it passes
	 */
	memcpy(long_header + 16 + 3 + 256, "\x04\x0e\xea", 3);
	ck_assert_int_eq(proxy_parse(span_make(long_header, PROXY_HEADER_MAX), &header, &len, &why),
			 ERR_LIMIT);
	long_header[16] = '\x05';
	ck_assert_int_eq(proxy_parse(span_make(long_header, PROXY_HEADER_MAX), &header, &len, &why),
			 ERR_LIMIT);
	long_header[16] = '\x30';
	ck_assert_int_eq(
		proxy_parse(span_make(long_header, PROXY_HEADER_MAX - 1), &header, &len, &why),
		ERR_BUSY);
	ck_assert_int_eq(
		proxy_parse(span_make(long_header, PROXY_HEADER_MAX + 1), &header, &len, &why),
		ERR_OK);
	ck_assert_uint_eq(len, PROXY_HEADER_MAX);
}
END_TEST

/* Made by a second implementation whose CRC32C of "123456789" is e3069283. */
static const char checked4[] = SIGNATURE "\x21\x11\x00\x13" BLOCK4 "\x03\x00\x04\x9f\xad\xf1\x16";
static const char checked6[] = SIGNATURE "\x21\x21\x00\x73" BLOCK6 "\x02\x00\x09mail.test"
					 "\x05\x00\x04\x01\x02id"
					 "\x20\x00\x32\x03\x00\x00\x00\x00"
					 "\x21\x00\x07TLSv1.3"
					 "\x22\x00\x07"
					 "app one"
					 "\x23\x00\x16TLS_AES_256_GCM_SHA384"
					 "\x03\x00\x04\x1f\x7e\x66\xd3";

START_TEST(checksum)
{
	char copy[sizeof(checked6)];
	struct buf got;

	buf_init(&got, 2000);
	show(span_make(checked4, sizeof(checked4) - 1), &got);
	ck_assert_str_eq(got.data, "v2 35 192.0.2.7:50001 10.0.0.1:25");
	show(span_make(checked6, sizeof(checked6) - 1), &got);
	ck_assert_str_eq(got.data,
			 "v2 131 [2001:db8::7]:50001 [2001:db8::1]:25 authority=mail.test id=4 "
			 "tls=TLSv1.3,TLS_AES_256_GCM_SHA384 cert=1,0,app one");
	/* No octet can change unseen. */
	for (size_t i = 16; i < sizeof(checked6) - 1; i++) {
		memcpy(copy, checked6, sizeof(copy));
		copy[i] = (char)(copy[i] ^ 1);
		show(span_make(copy, sizeof(copy) - 1), &got);
		/* Where it becomes another TLV nothing is checked any more. */
		if (i != sizeof(checked6) - 1 - 7)
			ck_assert_msg(strncmp(got.data, "v2", 2) != 0, "octet %zu: %s", i,
				      got.data);
	}
	buf_release(&got);
}
END_TEST

static void expect_print(const struct proxy_header *header, struct span want)
{
	struct buf out;

	buf_init(&out, PROXY_HEADER_MAX + 10);
	buf_append_text(&out, "x");
	ck_assert_int_eq(proxy_format(header, &out), ERR_OK);
	ck_assert_uint_eq(out.len, want.len + 1);
	ck_assert_mem_eq(out.data + 1, want.data, want.len);
	buf_release(&out);
}

static void set(struct sockaddr_storage *out, const char *address, int port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
		memcpy(out, &v4, sizeof(v4));
		return;
	}
	ck_assert_int_eq(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	memcpy(out, &v6, sizeof(v6));
}

START_TEST(write_v1)
{
	struct proxy_header header = {.version = PROXY_V1, .has_addresses = true};

	set(&header.source, "192.0.2.7", 50001);
	set(&header.destination, "10.0.0.1", 25);
	expect_print(&header, span_of("PROXY TCP4 192.0.2.7 10.0.0.1 50001 25\r\n"));
	/* One family for both: what nginx gets wrong. */
	set(&header.destination, "2001:db8::1", 25);
	expect_print(&header, span_of("PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 50001 25\r\n"));
	header.has_addresses = false;
	expect_print(&header, span_of("PROXY UNKNOWN\r\n"));
}
END_TEST

START_TEST(write_v2)
{
	struct proxy_header header = {.version = PROXY_V2, .has_addresses = true};
	struct proxy_header again;
	struct err why;
	struct buf out;
	size_t len;

	set(&header.source, "192.0.2.7", 50001);
	set(&header.destination, "10.0.0.1", 25);
	expect_print(&header, span_make(checked4, sizeof(checked4) - 1));
	set(&header.source, "2001:db8::7", 50001);
	set(&header.destination, "2001:db8::1", 25);
	header.authority = span_of("mail.test");
	header.unique_id = span_of("\x01\x02id");
	header.tls = (struct proxy_tls){.is_used = true,
					.has_certificate = true,
					.version = span_of("TLSv1.3"),
					.cipher = span_of("TLS_AES_256_GCM_SHA384"),
					.common_name = span_of("app one")};
	expect_print(&header, span_make(checked6, sizeof(checked6) - 1));
	header.has_addresses = false;
	header.local = true;
	buf_init(&out, PROXY_HEADER_MAX);
	ck_assert_int_eq(proxy_format(&header, &out), ERR_OK);
	ck_assert_int_eq(proxy_parse(buf_span(&out), &again, &len, &why), ERR_OK);
	ck_assert(again.local && again.authority.len == 0 && len == out.len);
	buf_release(&out);
}
END_TEST

START_TEST(write_limits)
{
	static char text[PROXY_HEADER_MAX * 20];
	struct proxy_header header = {.version = PROXY_V2};
	struct buf out;

	memset(text, 'a', sizeof(text));
	buf_init(&out, PROXY_HEADER_MAX * 2);
	header.authority = span_make(text, PROXY_AUTHORITY_MAX + 1);
	ck_assert_int_eq(proxy_format(&header, &out), ERR_LIMIT);
	header.authority = span_make(text, 0);
	header.unique_id = span_make(text, PROXY_UNIQUE_ID_MAX + 1);
	ck_assert_int_eq(proxy_format(&header, &out), ERR_LIMIT);
	header.unique_id = span_make(text, 0);
	header.tls = (struct proxy_tls){.is_used = true, .cipher = span_make(text, sizeof(text))};
	ck_assert_int_eq(proxy_format(&header, &out), ERR_LIMIT);
	header.tls.cipher.len = PROXY_HEADER_MAX - 20;
	ck_assert_int_eq(proxy_format(&header, &out), ERR_LIMIT);
	ck_assert_uint_eq(out.len, 0);
	buf_release(&out);
	buf_init(&out, 20);
	header.tls.is_used = false;
	ck_assert_int_eq(proxy_format(&header, &out), ERR_LIMIT);
	ck_assert_uint_eq(out.len, 0);
	buf_release(&out);
}
END_TEST

UNIT_MAIN("wire/proxy", read_headers, read_in_pieces, limits, checksum, write_v1, write_v2,
	  write_limits)
