/* tests admin/parts.c, content.c and rendering.c over a running API */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/message.h"
#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

#define PNG "iVBORw0KGgo="

static const char whole[] =
	"Subject: </script>\r\n"
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
	"--c\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n"
	"--c\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"
	"<p>Gr\xfc\xdf"
	"e <img src=\"cid:a%40b\"><img src='cid:none'><link rel=preconnect></p>\r\n"
	"--c--\r\n"
	"--b\r\nContent-Type: image/png; name=\"../n\xc3\xbc.png\"\r\nContent-ID: <a@b>\r\n"
	"Content-Transfer-Encoding: base64\r\n\r\n" PNG "\r\n"
	"--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=x.html\r\n\r\n"
	"<script>alert(1)</script>\r\n"
	"--b\r\nContent-Type: message/rfc822\r\n\r\n"
	"Content-Type: text/html\r\n\r\n<p>inner</p>\r\n--b--\r\n";

static const char *const somebody[] = {"a@b.example", NULL};

/* GET of /messages/ID/TAIL by `token` (NULL: the admin's); asserts the status. */
static void get(struct fixture *fixture, const struct ulid *id, const char *tail, const char *token,
		int status, struct client_reply *reply_out)
{
	char request[400];
	char text[ULID_TEXT_SIZE];

	ulid_format(id, text);
	snprintf(request, sizeof(request),
		 "GET /api/v1/messages/%s%s HTTP/1.1\r\nHost: localhost\r\n"
		 "Authorization: Bearer %s\r\n\r\n",
		 text, tail, token != NULL ? token : fixture->token);
	client_ask(admin_address(fixture->admin), request, reply_out);
	ck_assert_msg(reply_out->status == status, "%s: %d %s", tail, reply_out->status,
		      reply_out->body);
}

static bool body_is(const struct client_reply *reply, const char *want)
{
	return span_is(span_make(reply->body, reply->body_len), want);
}

/* Each header of the reply is there once, and says this. */
static void check_header(const struct client_reply *reply, const char *name, const char *want)
{
	const char *value = client_header(reply, name);
	char line[100];
	char *at;

	ck_assert_msg(value != NULL, "%s", name);
	ck_assert_str_eq(value, want);
	snprintf(line, sizeof(line), "\r\n%s:", name);
	at = strcasestr(reply->head, line);
	ck_assert(at == NULL || strcasestr(at + 2, line) == NULL);
}

static void read_json(const struct client_reply *reply, json_t **json_out)
{
	*json_out = json_loadb(reply->body, reply->body_len, 0, NULL);
	ck_assert_ptr_nonnull(*json_out);
}

START_TEST(the_tree)
{
	struct fixture fixture;
	struct client_reply reply;
	struct ulid id;
	json_t *json;
	json_t *part;

	fixture_start(&fixture);
	id = fixture_message(&fixture, "s@b.example", "", whole, strlen(whole), somebody);
	get(&fixture, &id, "/parts", NULL, 200, &reply);
	read_json(&reply, &json);
	ck_assert(json_is_false(json_object_get(json, "over_limit")));
	part = json_object_get(json, "root");
	ck_assert_str_eq(text_of(part, "type"), "multipart/mixed");
	ck_assert(json_is_null(json_object_get(part, "part")));
	ck_assert_uint_eq(json_array_size(json_object_get(part, "parts")), 4);
	part = json_array_get(json_object_get(part, "parts"), 1);
	ck_assert_str_eq(text_of(part, "part"), "2");
	ck_assert_str_eq(text_of(part, "type"), "image/png");
	ck_assert_str_eq(text_of(part, "filename"), "../n\xc3\xbc.png");
	ck_assert_str_eq(text_of(part, "content_id"), "a@b");
	ck_assert_str_eq(text_of(part, "encoding"), "base64");
	ck_assert_int_eq(number_of(part, "encoded_size"), 12);
	ck_assert_int_eq(number_of(part, "size"), 8);
	ck_assert_int_eq(strncmp(whole + number_of(part, "offset"), PNG, 12), 0);
	ck_assert_int_eq(
		strncmp(whole + number_of(part, "header_offset"), "Content-Type: image", 19), 0);
	ck_assert(json_is_null(json_object_get(part, "trouble")));
	part = json_array_get(json_object_get(json_object_get(json, "root"), "parts"), 3);
	part = json_array_get(json_object_get(part, "parts"), 0);
	ck_assert_str_eq(text_of(part, "part"), "4.1");
	json_decref(json);
	client_reply_free(&reply);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(what_the_message_tells)
{
	struct fixture fixture;
	struct client_reply reply;
	struct ulid id;
	json_t *json;
	json_t *content;
	json_t *one;

	fixture_start(&fixture);
	id = fixture_message(&fixture, "s@b.example", "", whole, strlen(whole), somebody);
	get(&fixture, &id, "", NULL, 200, &reply);
	/* S322 */
	ck_assert_ptr_null(strchr(reply.body, '<'));
	ck_assert_ptr_nonnull(strstr(reply.body, "\\u003c/script>"));
	read_json(&reply, &json);
	one = json_array_get(json_object_get(json, "header"), 0);
	ck_assert_str_eq(text_of(one, "value"), "</script>");
	content = json_object_get(json, "content");
	ck_assert_str_eq(text_of(content, "text"), "1.1");
	ck_assert_str_eq(text_of(content, "html"), "1.2");
	ck_assert_uint_eq(json_array_size(json_object_get(content, "attachments")), 3);
	one = json_array_get(json_object_get(content, "attachments"), 0);
	ck_assert_str_eq(text_of(one, "part"), "2");
	ck_assert_str_eq(text_of(one, "name"), "../n\xc3\xbc.png");
	ck_assert_str_eq(text_of(one, "type"), "image/png");
	ck_assert_int_eq(number_of(one, "size"), 8);
	json_decref(json);
	client_reply_free(&reply);
	fixture_stop(&fixture);
}
END_TEST

/* S292 */
START_TEST(parts_are_downloads)
{
	static const struct {
		const char *part;
		const char *type;
		const char *disposition;
		const char *body;
	} rows[] = {
		{"1.1", "text/plain; charset=iso-8859-1", "attachment; filename=\"part-1.1.txt\"",
		 "Gr\xfc\xdf"
		 "e"},
		{"2", "image/png",
		 "attachment; filename=\"_._n_.png\"; filename*=UTF-8''_._n%C3%BC.png",
		 "\x89PNG\r\n\x1a\n"},
		{"3", "application/octet-stream", "attachment; filename=\"x.html\"",
		 "<script>alert(1)</script>"},
		{"4", "application/octet-stream", "attachment; filename=\"part-4.eml\"",
		 "Content-Type: text/html\r\n\r\n<p>inner</p>"},
		{"4.1", "application/octet-stream", "attachment; filename=\"part-4.1.html\"",
		 "<p>inner</p>"},
	};
	static const char *const nothing[] = {"5", "1.3", "0", "1.", "x", "4.1.1", "99999999999"};
	struct fixture fixture;
	struct client_reply reply;
	struct ulid id;
	char tail[100];

	fixture_start(&fixture);
	id = fixture_message(&fixture, "s@b.example", "", whole, strlen(whole), somebody);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(tail, sizeof(tail), "/parts/%s", rows[i].part);
		get(&fixture, &id, tail, NULL, 200, &reply);
		ck_assert(body_is(&reply, rows[i].body));
		check_header(&reply, "Content-Type", rows[i].type);
		check_header(&reply, "Content-Disposition", rows[i].disposition);
		check_header(&reply, "X-Content-Type-Options", "nosniff");
		check_header(&reply, "Content-Security-Policy",
			     "sandbox; default-src 'none'; frame-ancestors 'none'");
		client_reply_free(&reply);
	}
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		snprintf(tail, sizeof(tail), "/parts/%s", nothing[i]);
		get(&fixture, &id, tail, NULL, 404, &reply);
		ck_assert_ptr_nonnull(strstr(reply.body, "the message has no part"));
		client_reply_free(&reply);
	}
	fixture_stop(&fixture);
}
END_TEST

/* S291 */
START_TEST(text_and_html)
{
	struct fixture fixture;
	struct client_reply reply;
	struct ulid id;

	fixture_start(&fixture);
	id = fixture_message(&fixture, "s@b.example", "", whole, strlen(whole), somebody);
	get(&fixture, &id, "/text", NULL, 200, &reply);
	ck_assert(body_is(&reply, "Gr\xc3\xbc\xc3\x9f"
				  "e"));
	check_header(&reply, "Content-Type", "text/plain; charset=utf-8");
	check_header(&reply, "Content-Security-Policy",
		     "default-src 'none'; frame-ancestors 'none'");
	client_reply_free(&reply);
	get(&fixture, &id, "/html", NULL, 200, &reply);
	ck_assert_msg(body_is(&reply, "<p>Gr\xc3\xbc\xc3\x9f"
				      "e <img src=\"data:image/png;base64," PNG "\">"
				      "<img src='cid:none'><link-x rel=preconnect></p>"),
		      "%s", reply.body);
	check_header(&reply, "Content-Type", "text/html; charset=utf-8");
	check_header(&reply, "X-Content-Type-Options", "nosniff");
	check_header(&reply, "Content-Security-Policy",
		     "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
		     "form-action 'none'; base-uri 'none'; frame-ancestors 'self'");
	client_reply_free(&reply);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(what_there_is_not)
{
	static const struct {
		const char *message;
		const char *text; /* NULL: 404 */
		const char *html;
	} rows[] = {
		{"Subject: x\r\n\r\nplain\r\n", "plain\r\n", NULL},
		{"Subject: x\r\n\r\n", "", NULL},
		{"Subject: x\r\n", "", NULL},
		{"", "", NULL},
		{"Content-Type: text/html\r\n\r\n<p>a &amp; <b>b", "a & b\r\n", "<p>a &amp; <b>b"},
		{"Content-Type: application/pdf\r\n\r\n%PDF", NULL, NULL},
		{"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n\r\n--b\r\n"
		 "Content-Type: text/html\r\n\r\n<p>c\r\n--b--",
		 "c\r\n", "<p>c"},
		{"Content-Type: text/plain; charset=x-nobody\r\n\r\na\xff\x1b",
		 "a\xef\xbf\xbd\xef\xbf\xbd", NULL},
		{"Content-Type: text/html; charset=utf-7\r\n\r\n+ADw-script+AD4-", "", "<script>"},
	};
	struct fixture fixture;

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_reply reply;
		struct ulid id = fixture_message(&fixture, "s@b.example", "", rows[i].message,
						 strlen(rows[i].message), somebody);

		get(&fixture, &id, "/text", NULL, rows[i].text != NULL ? 200 : 404, &reply);
		if (rows[i].text != NULL)
			ck_assert_msg(body_is(&reply, rows[i].text), "row %zu: %s", i, reply.body);
		client_reply_free(&reply);
		get(&fixture, &id, "/html", NULL, rows[i].html != NULL ? 200 : 404, &reply);
		if (rows[i].html != NULL)
			ck_assert_msg(body_is(&reply, rows[i].html), "row %zu: %s", i, reply.body);
		client_reply_free(&reply);
	}
	fixture_stop(&fixture);
}
END_TEST

/* Base64 of `len` zeros, 76 on a line. */
static void add_zeros(struct buf *out, size_t len)
{
	for (size_t i = 0; i < len / 57; i++) {
		for (size_t n = 0; n < 19; n++)
			buf_append_text(out, "AAAA");
		buf_append_text(out, "\r\n");
	}
}

/* Chunks end anywhere in it, and another thread looks it through. */
START_TEST(a_large_message)
{
	static const size_t large = (size_t)57 * 1024 * 32;
	struct fixture fixture;
	struct client_reply reply;
	struct buf message;
	struct ulid id;
	json_t *json;

	fixture_start(&fixture);
	buf_init(&message, (size_t)8 << 20);
	buf_append_text(&message, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
				  "Content-Transfer-Encoding: base64\r\n"
				  "Content-Type: application/x\r\n\r\n");
	add_zeros(&message, large);
	buf_append_text(&message, "--b\r\nContent-Type: text/html\r\n\r\n");
	for (int i = 0; i < 40000; i++)
		buf_printf(&message, "<p>%06d</p>\r\n", i);
	buf_append_text(&message, "\r\n--b--\r\n");
	ck_assert_uint_gt(message.len, 3 << 20);
	id = fixture_message(&fixture, "s@b.example", "", message.data, message.len, somebody);
	get(&fixture, &id, "", NULL, 200, &reply);
	read_json(&reply, &json);
	ck_assert_str_eq(text_of(json_object_get(json, "content"), "html"), "2");
	json_decref(json);
	client_reply_free(&reply);
	get(&fixture, &id, "/parts/1", NULL, 200, &reply);
	ck_assert_uint_eq(reply.body_len, large);
	for (size_t i = 0; i < large; i++)
		ck_assert(reply.body[i] == '\0');
	client_reply_free(&reply);
	get(&fixture, &id, "/text", NULL, 200, &reply);
	ck_assert_uint_eq(reply.body_len, (size_t)40000 * 10 - 2);
	for (int i = 0; i < 40000; i++) {
		char line[20];

		snprintf(line, sizeof(line), "%06d\r\n", i);
		ck_assert_int_eq(strncmp(reply.body + 10 * i, line, 8), 0);
	}
	client_reply_free(&reply);
	get(&fixture, &id, "/html", NULL, 200, &reply);
	ck_assert_uint_eq(reply.body_len, (size_t)40000 * 15);
	client_reply_free(&reply);
	buf_release(&message);
	fixture_stop(&fixture);
}
END_TEST

static void make_token(struct fixture *fixture, const char *scope, char token_out[100])
{
	char body[200];
	json_t *json;

	snprintf(body, sizeof(body), "{\"name\": \"%s\", \"role\": \"reader\", \"scope\": \"%s\"}",
		 scope, scope);
	json = ask(fixture, 201, "POST", "/api/v1/tokens", body);
	snprintf(token_out, 100, "%s", text_of(json, "secret"));
	json_decref(json);
}

START_TEST(scopes)
{
	static const char *const tails[] = {"", "/parts", "/parts/2", "/text", "/html"};
	struct fixture fixture;
	struct ulid id;
	char shop[100];
	char other[100];

	fixture_start(&fixture);
	make_token(&fixture, "shop", shop);
	make_token(&fixture, "other", other);
	id = fixture_message(&fixture, "s@b.example", "shop", whole, strlen(whole), somebody);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		struct client_reply reply;

		get(&fixture, &id, tails[i], shop, 200, &reply);
		client_reply_free(&reply);
		get(&fixture, &id, tails[i], other, 404, &reply);
		client_reply_free(&reply);
	}
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/parts", the_tree, what_the_message_tells, parts_are_downloads, text_and_html,
	  what_there_is_not, a_large_message, scopes)
