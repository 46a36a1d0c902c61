/* tests relay/mail/mime.c, mime_header.c and mime_look.c */
#include "relay/mail/mime.h"

#include "base/buf.h"
#include "base/err.h"
#include "relay/mail/header.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct mime *walk(struct span message, size_t step)
{
	struct mime *mime = mime_new();

	for (struct span rest = message; rest.len > 0; rest = span_skip(rest, step))
		if (!mime_feed(mime, span_first(rest, step)))
			break;
	mime_end(mime, (int64_t)message.len);
	return mime;
}

/* "number type [body] (trouble)", one part a line; multiparts without their body. */
static void describe(const struct mime *mime, struct span message, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < mime_count(mime); i++) {
		const struct mime_part *part = mime_part(mime, i);
		struct span body = span_skip(message, (size_t)part->body_at);

		body = span_first(body, (size_t)(part->end_at - part->body_at));
		buf_printf(out, "%s%s %s", i > 0 ? "; " : "", part->number, part->type);
		if (!part->is_container)
			buf_printf(out, " [%.*s]", SPAN_ARG(body));
		if (part->trouble != NULL)
			buf_printf(out, " (%.12s)", part->trouble);
	}
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define ALTER "Content-Type: multipart/alternative; boundary=c\r\n\r\n"
#define HTML  "Content-Type: text/html\r\n\r\n"
#define MSG   "Content-Type: message/rfc822\r\n\r\n"

START_TEST(trees)
{
	static const struct {
		const char *message;
		const char *want;
	} rows[] = {
		{"", "1 text/plain []"},
		{"\r\n", "1 text/plain []"},
		{"a", "1 text/plain []"},
		{"Subject: a\r\n", "1 text/plain []"},
		{"Subject: a\r\n\r\nbody\r\n", "1 text/plain [body\r\n]"},
		{"\r\nbody\r\n--b\r\n", "1 text/plain [body\r\n--b\r\n]"},
		{HTML "<p>", "1 text/html [<p>]"},
		{MIXED "--b\r\n\r\none\r\n--b\r\n" HTML "two\r\n--b--\r\n",
		 " multipart/mixed; 1 text/plain [one]; 2 text/html [two]"},
		{MIXED "preamble\r\n--b \t\r\n\r\none\r\n\r\n--b--  \r\nepilogue\r\n--b\r\nx",
		 " multipart/mixed; 1 text/plain [one\r\n]"},
		{MIXED "--b\r\n\r\none\r\n--b--", " multipart/mixed; 1 text/plain [one]"},
		{MIXED "--b\r\n" ALTER "--c\r\n\r\na\r\n--c\r\n" HTML
		       "b\r\n--c--\r\nepilogue\r\n--b\r\n\r\nd\r\n--b--\r\n",
		 " multipart/mixed; 1 multipart/alternative; 1.1 text/plain [a]; 1.2 text/html "
		 "[b]; "
		 "2 text/plain [d]"},
		/* what is missing */
		{MIXED "--b\r\n\r\none\r\n",
		 " multipart/mixed (its closing ); 1 text/plain [one\r\n]"},
		{MIXED "--b\r\n\r\none", " multipart/mixed (its closing ); 1 text/plain [one]"},
		{MIXED "", "1 multipart/mixed [] (there are no)"},
		{MIXED "no parts\r\n--b--\r\n",
		 "1 multipart/mixed [no parts\r\n--b--\r\n] (there are no)"},
		{MIXED "--b\r\n--b\r\n--b--\r\n",
		 "1 multipart/mixed [--b\r\n--b\r\n--b--\r\n] (there are no)"},
		{MIXED "--b\r\n--b\r\n\r\nx\r\n--b\r\n--b\r\nA: b\r\n--b--\r\n",
		 " multipart/mixed; 1 text/plain [x]; 2 text/plain [] (no empty lin)"},
		{MIXED "--b\r\n\r\n--b\r\n\r\n\r\n--b--\r\n",
		 " multipart/mixed; 1 text/plain []; 2 text/plain []"},
		{MIXED "--b\r\nContent-Type: text/html\r\n--b--\r\n",
		 " multipart/mixed; 1 text/html [] (no empty lin)"},
		{MIXED "--b", " multipart/mixed (its closing ); 1 text/plain []"},
		{MIXED "--b\r\n" ALTER "--c\r\n\r\na\r\n--b\r\n\r\nd\r\n--b--\r\n",
		 " multipart/mixed; 1 multipart/alternative (its closing ); 1.1 text/plain [a]; "
		 "2 text/plain [d]"},
		{MIXED "--b\r\n" ALTER "--c\r\n--b--\r\n",
		 " multipart/mixed; 1 multipart/alternative [--c] (there are no)"},
		{MIXED "--b\r\n" MSG "--b--\r\n",
		 " multipart/mixed; 1 message/rfc822; 1.1 text/plain [] (no empty lin)"},
		{"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx",
		 "1 multipart/mixed [--b\r\n\r\nx] (it names no )"},
		/* S198: boundaries */
		{"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx\r\n----\r\n",
		 "1 multipart/mixed [--\r\n\r\nx\r\n----\r\n] (it names no )"},
		{"Content-Type: multipart/mixed; boundary=\"--b--\"\r\n\r\n"
		 "----b--\r\n\r\nx\r\n----b----\r\n",
		 " multipart/mixed; 1 text/plain [x]"},
		{"Content-Type: multipart/mixed; boundary=\"(.*)+[b]$\"\r\n\r\n"
		 "--b\r\n--(.*)+[b]$\r\n\r\nx\r\n--(.*)+[b]$--\r\n",
		 " multipart/mixed; 1 text/plain [x]"},
		{"Content-Type: multipart/mixed; boundary=\"b \"\r\n\r\n--b\r\n\r\nx\r\n--b "
		 "--\r\n--b--",
		 " multipart/mixed; 1 text/plain [x\r\n--b --]"},
		{"Content-Type: multipart/mixed; boundary*0=a; "
		 "boundary*1=b\r\n\r\n--ab\r\n\r\nx\r\n--ab--",
		 " multipart/mixed; 1 text/plain [x]"},
		{MIXED
		 "--bb\r\n--B\r\n --b\r\n--b x\r\n--b\r\n\r\nx\r\n--b---\r\n-b\r\n--\r\n--b--\r\n",
		 " multipart/mixed; 1 text/plain [x\r\n--b---\r\n-b\r\n--]"},
		{MIXED
		 "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"
		 "--b\r\n\r\ny\r\n--b--\r\n",
		 " multipart/mixed; 1 multipart/mixed; 1.1 text/plain [x]; 2 text/plain [y]"},
		{"Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n"
		 "Content-Type: multipart/mixed; "
		 "boundary=b\r\n\r\n--b\r\n\r\nx\r\n--bb\r\n\r\ny\r\n"
		 "--bb--\r\n",
		 " multipart/mixed; 1 multipart/mixed (its closing ); 1.1 text/plain [x]; "
		 "2 text/plain [y]"},
		/* messages in messages, as IMAP numbers them */
		{MSG "Subject: a\r\n\r\nbody", "1 message/rfc822; 1.1 text/plain [body]"},
		{MIXED "--b\r\n\r\na\r\n--b\r\n" MSG ALTER "--c\r\n\r\nb\r\n--c\r\n" HTML
		       "c\r\n--c--\r\n--b\r\n\r\nd\r\n--b--\r\n",
		 " multipart/mixed; 1 text/plain [a]; 2 message/rfc822;  multipart/alternative; "
		 "2.1 text/plain [b]; 2.2 text/html [c]; 3 text/plain [d]"},
		{MIXED "--b\r\n" MSG MSG "\r\nx\r\n--b--\r\n",
		 " multipart/mixed; 1 message/rfc822; 1.1 message/rfc822; 1.1.1 text/plain [x]"},
		{"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==",
		 "1 message/rfc822 [YQ==]"},
		{"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: "
		 "a\r\n\r\nx\r\n"
		 "--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--\r\n",
		 " multipart/digest; 1 message/rfc822; 1.1 text/plain [x]; 2 text/plain [y]"},
		{"Content-Type: message/delivery-status\r\n\r\nAction: failed\r\n",
		 "1 message/delivery-status [Action: failed\r\n]"},
		/* fields */
		{"Content-Type: text/html\r\nContent-Type: multipart/mixed; "
		 "boundary=b\r\n\r\n--b\r\n\r\nx",
		 "1 text/html [--b\r\n\r\nx]"},
		{"Content-Type: text\r\n\r\nx", "1 text/plain [x] (its Content-)"},
		{"Content-Type:\r\n\r\nx", "1 text/plain [x] (its Content-)"},
		{" Content-Type: text/html\r\n\r\nx", "1 text/plain [x]"},
		{"CONTENT-type: TEXT/HTML (c)\r\n\r\nx", "1 text/html [x]"},
		{MIXED "--b\r\nno header\r\n\r\nx\r\n--b--\r\n",
		 " multipart/mixed; 1 text/plain [x]"},
		/* only CRLF ends a line */
		{MIXED "--b\r\n\r\nx\n--b--\n\r--b\r\n\r--b\r\n--b--\r\n",
		 " multipart/mixed; 1 text/plain [x\n--b--\n\r--b\r\n\r--b]"},
		{MIXED "--b\r\r\n--b\r\n\r\nx\r\r\n--b--\r\n",
		 " multipart/mixed; 1 text/plain [x\r]"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct span message = span_of(rows[i].message);

		for (size_t step = 1; step <= message.len + 1; step++) {
			struct mime *mime = walk(message, step);
			struct buf text;

			buf_init(&text, 65536);
			describe(mime, message, &text);
			ck_assert_msg(span_is(buf_span(&text), rows[i].want),
				      "row %zu by %zu: %.*s", i, step, SPAN_ARG(buf_span(&text)));
			ck_assert(!mime_is_over_limit(mime));
			buf_release(&text);
			mime_free(&mime);
		}
	}
}
END_TEST

/* S198: a NUL is a byte like any other. */
START_TEST(a_nul_in_the_boundary)
{
	static const char message[] = "Content-Type: multipart/mixed; boundary=\"b\0c\"\r\n\r\n"
				      "--b\r\n--b\0c\r\n\r\nx\0y\r\n--b\0c--\r\n";
	struct mime *mime = walk(span_make(message, sizeof(message) - 1), 1);

	ck_assert_uint_eq(mime_count(mime), 2);
	ck_assert_int_eq(mime_part(mime, 1)->end_at - mime_part(mime, 1)->body_at, 3);
	mime_free(&mime);
}
END_TEST

START_TEST(what_a_header_says)
{
	struct mime *mime =
		walk(span_of("Content-Type: Image/PNG; charset=\"UTF-8\"; name=\"old.png\"\r\n"
			     "Content-Transfer-Encoding: BASE64 (really)\r\n"
			     "Content-Disposition: ATTACHMENT; filename*=utf-8''n%C3%BC.png\r\n"
			     "Content-ID: <a@b.test>\r\n\r\naGVs\r\nbG8=\r\n"),
		     7);
	const struct mime_part *part = mime_part(mime, 0);

	ck_assert_str_eq(part->type, "image/png");
	ck_assert_str_eq(part->charset, "UTF-8");
	ck_assert_str_eq(part->disposition, "attachment");
	ck_assert_str_eq(part->filename, "n\xc3\xbc.png");
	ck_assert_str_eq(part->content_id, "a@b.test");
	ck_assert_str_eq(part->encoding_name, "base64");
	ck_assert_int_eq(part->encoding, TRANSFER_BASE64);
	ck_assert_int_eq(part->end_at - part->body_at, 12);
	ck_assert_int_eq(part->decoded_size, 5);
	ck_assert(part->is_whole && part->trouble == NULL && part->parent == MIME_NONE);
	mime_free(&mime);

	mime = walk(span_of("Content-Type: text/plain; charset=\"a b\"; name=\" \"\r\n"
			    "Content-Transfer-Encoding: x-uuencode\r\nContent-ID: <>\r\n"
			    "Content-Disposition: ; filename=x\r\n\r\nx"),
		    100);
	part = mime_part(mime, 0);
	ck_assert_ptr_null(part->charset);
	ck_assert_ptr_null(part->disposition);
	ck_assert_ptr_null(mime_part(mime, 0)->content_id == NULL ? NULL : "");
	ck_assert_str_eq(part->filename, "x");
	ck_assert_str_eq(part->encoding_name, "x-uuencode");
	ck_assert_int_eq(part->encoding, TRANSFER_IDENTITY);
	mime_free(&mime);
}
END_TEST

/* The size is that of the decoded body, though a delimiter could be base64 too. */
START_TEST(decoded_sizes)
{
	static const char message[] = MIXED
		"--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8h\r\n--b\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\na=C3=BC=\r\nb  \r\n\r\n"
		"--\r\n-\r\n--b--\r\n";

	for (size_t step = 1; step < sizeof(message); step++) {
		struct mime *mime = walk(span_of(message), step);

		ck_assert_uint_eq(mime_count(mime), 3);
		ck_assert_int_eq(mime_part(mime, 1)->decoded_size, 6);
		ck_assert_int_eq(mime_part(mime, 2)->decoded_size,
				 (int64_t)strlen("a..b\r\n\r\n--\r\n-"));
		mime_free(&mime);
	}
}
END_TEST

static void add_nested(struct buf *out, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		buf_printf(out, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i,
			   i);
	buf_append_text(out, "\r\nx\r\n");
	for (unsigned i = depth; i-- > 0;)
		buf_printf(out, "--b%u--\r\n", i);
}

/* S197 */
START_TEST(depth)
{
	static const struct {
		unsigned depth;
		size_t parts;
		bool over;
	} rows[] = {{31, 32, false}, {32, 33, false}, {33, 33, true}, {10000, 33, true}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf message;
		struct mime *mime;

		buf_init(&message, 1 << 20);
		add_nested(&message, rows[i].depth);
		mime = walk(buf_span(&message), 4096);
		ck_assert_uint_eq(mime_count(mime), rows[i].parts);
		ck_assert(mime_is_over_limit(mime) == rows[i].over);
		ck_assert_uint_eq(mime_part(mime, rows[i].parts - 1)->depth, rows[i].parts - 1);
		mime_free(&mime);
		buf_release(&message);
	}
}
END_TEST

START_TEST(messages_in_messages)
{
	struct buf message;
	struct mime *mime;

	buf_init(&message, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_append_text(&message, MSG);
	mime = walk(buf_span(&message), 1000);
	ck_assert_uint_eq(mime_count(mime), MIME_DEPTH_MAX + 1);
	ck_assert(mime_is_over_limit(mime));
	ck_assert_ptr_nonnull(mime_part(mime, MIME_DEPTH_MAX)->trouble);
	mime_free(&mime);
	buf_release(&message);
}
END_TEST

START_TEST(parts)
{
	struct buf message;
	struct mime *mime;

	for (size_t n = MIME_PARTS_MAX - 2; n <= MIME_PARTS_MAX + 1; n++) {
		buf_init(&message, 1 << 20);
		buf_append_text(&message, MIXED);
		for (size_t i = 0; i < n; i++)
			buf_append_text(&message, "--b\r\n\r\nx\r\n");
		buf_append_text(&message, "--b--\r\n");
		mime = walk(buf_span(&message), 100);
		ck_assert_uint_eq(mime_count(mime), n < MIME_PARTS_MAX ? n + 1 : MIME_PARTS_MAX);
		ck_assert(mime_is_over_limit(mime) == (n >= MIME_PARTS_MAX));
		ck_assert((mime_part(mime, 0)->trouble != NULL) == (n >= MIME_PARTS_MAX));
		ck_assert_int_eq(mime_part(mime, 0)->end_at, (int64_t)message.len);
		mime_free(&mime);
		buf_release(&message);
	}
}
END_TEST

/* What lies beyond the limit of a header is not looked at, and the body begins where it begins. */
START_TEST(a_long_header)
{
	struct buf message;
	struct mime *mime;

	buf_init(&message, 1 << 20);
	buf_append_text(&message, "Content-Type: text/html\r\n");
	while (message.len < HEADER_BYTES_MAX + 100)
		buf_append_text(&message, "X: y\r\n");
	buf_append_text(&message, "Content-ID: late\r\n\r\nbody");
	mime = walk(buf_span(&message), 4000);
	ck_assert_str_eq(mime_part(mime, 0)->type, "text/html");
	ck_assert_ptr_null(mime_part(mime, 0)->content_id);
	ck_assert_ptr_nonnull(mime_part(mime, 0)->trouble);
	ck_assert_int_eq(mime_part(mime, 0)->end_at - mime_part(mime, 0)->body_at, 4);
	mime_free(&mime);
	buf_release(&message);
}
END_TEST

/* Nothing but the end of a plain message is to come: its bytes need not be read. */
START_TEST(reading_less)
{
	struct mime *mime = mime_new();

	ck_assert(mime_feed(mime, span_of("Subject: x\r\n")));
	ck_assert(!mime_feed(mime, span_of("\r\nbody")));
	mime_end(mime, 1000000);
	ck_assert_int_eq(mime_part(mime, 0)->body_at, 14);
	ck_assert_int_eq(mime_part(mime, 0)->end_at, 1000000);
	ck_assert_int_eq(mime_part(mime, 0)->decoded_size, 1000000 - 14);
	mime_free(&mime);

	mime = mime_new();
	ck_assert(mime_feed(mime, span_of(MIXED "--b\r\n\r\nx\r\n--b\r\n")));
	ck_assert(mime_part(mime, 1)->is_whole && !mime_part(mime, 0)->is_whole);
	ck_assert_uint_eq(mime_find(mime, span_of("1")), 1);
	ck_assert_uint_eq(mime_find(mime, span_of("3")), MIME_NONE);
	mime_free(&mime);
}
END_TEST

static void check_bodies(const char *message, const char *text, const char *html,
			 const char *attached)
{
	struct mime *mime = walk(span_of(message), 50);
	size_t found_text = mime_find_body(mime, "text/plain");
	size_t found_html = mime_find_body(mime, "text/html");
	struct buf list;

	buf_init(&list, 1000);
	for (size_t i = 0; i < mime_count(mime); i++)
		if (mime_is_attachment(mime, i))
			buf_printf(&list, "%s ", mime_part(mime, i)->number);
	ck_assert((found_text != MIME_NONE) == (text != NULL));
	if (text != NULL)
		ck_assert_str_eq(mime_part(mime, found_text)->number, text);
	ck_assert((found_html != MIME_NONE) == (html != NULL));
	if (html != NULL)
		ck_assert_str_eq(mime_part(mime, found_html)->number, html);
	ck_assert_msg(span_is(buf_span(&list), attached), "%.*s", SPAN_ARG(buf_span(&list)));
	buf_release(&list);
	mime_free(&mime);
}

START_TEST(bodies)
{
	check_bodies("", "1", NULL, "");
	check_bodies(HTML, NULL, "1", "");
	check_bodies("Content-Type: application/pdf; name=x\r\n\r\n", NULL, NULL, "1 ");
	check_bodies("Content-Disposition: attachment\r\n\r\n", "1", NULL, "");
	check_bodies(MSG "\r\nx", NULL, NULL, "1 ");
	check_bodies(MIXED "--b\r\n" ALTER "--c\r\n\r\na\r\n--c\r\n" HTML "b\r\n--c--\r\n--b\r\n"
			   "Content-Type: image/png\r\n\r\n--b\r\n" MSG HTML "\r\n--b--",
		     "1.1", "1.2", "2 3 ");
	check_bodies(MIXED
		     "--b\r\nContent-Type: text/html; name=report.html\r\n\r\n--b\r\n\r\na\r\n"
		     "--b\r\n\r\nfooter\r\n--b--",
		     "2", NULL, "1 3 ");
	check_bodies(MIXED "--b\r\nContent-Disposition: inline; filename=a.txt\r\n\r\n--b--", "1",
		     NULL, "");
	check_bodies(MIXED "--b\r\nContent-Disposition: attachment\r\n\r\n--b--", NULL, NULL, "1 ");
	check_bodies("Content-Type: multipart/mixed\r\n\r\n--b", NULL, NULL, "1 ");
}
END_TEST

START_TEST(ids)
{
	struct mime *mime = walk(span_of(MIXED "--b\r\nContent-ID: <x@y>\r\n\r\n--b\r\n" MSG
					       "Content-ID: <inner>\r\n\r\n--b--"),
				 9);

	ck_assert_uint_eq(mime_find_id(mime, span_of("x@y")), 1);
	ck_assert_uint_eq(mime_find_id(mime, span_of("X@y")), MIME_NONE);
	ck_assert_uint_eq(mime_find_id(mime, span_of("inner")), MIME_NONE);
	ck_assert_uint_eq(mime_find_id(mime, span_of("")), MIME_NONE);
	mime_free(&mime);
}
END_TEST

UNIT_MAIN("mail/mime", trees, a_nul_in_the_boundary, what_a_header_says, decoded_sizes, depth,
	  messages_in_messages, parts, a_long_header, reading_less, bodies, ids)
