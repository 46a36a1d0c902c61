/* tests admin/web.c: the files of the page, as a browser gets them */
#include <config.h>

#include "admin/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

static void get(struct fixture *fixture, const char *path, const char *headers,
		struct client_reply *reply_out)
{
	char request[600];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path,
		 headers);
	client_ask(admin_address(fixture->admin), request, reply_out);
}

static void path_of(const struct web_file *file, char *path_out, size_t size)
{
	if (strcmp(file->name, WEB_INDEX) == 0)
		snprintf(path_out, size, "/");
	else
		snprintf(path_out, size, "/web/%s", file->name);
}

/* What is in the folder is what is built in, byte for byte. */
START_TEST(built_in_bytes)
{
	const char *srcdir = getenv("srcdir");

	for (size_t i = 0; i < web_file_count; i++) {
		const struct web_file *file = &web_files[i];
		char *bytes = calloc(1, file->len + 1);
		char path[300];
		FILE *in;

		snprintf(path, sizeof(path), "%s/admin/web/%s", srcdir != NULL ? srcdir : ".",
			 file->name);
		in = fopen(path, "rb");
		ck_assert_msg(in != NULL, "%s", path);
		ck_assert_uint_eq(fread(bytes, 1, file->len + 1, in), file->len);
		ck_assert_mem_eq(bytes, file->bytes, file->len);
		fclose(in);
		free(bytes);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(file->etag, web_files[j].etag);
	}
	ck_assert_ptr_null(web_find(span_of("")));
	ck_assert_ptr_null(web_find(span_of("embed.awk")));
}
END_TEST

/* CASES S294; without a token: there is no data in them. */
START_TEST(every_file_is_served)
{
	struct fixture fixture;

	fixture_start(&fixture);
	for (size_t i = 0; i < web_file_count; i++) {
		const struct web_file *file = &web_files[i];
		struct client_reply reply;
		char path[100];
		const char *policy;

		path_of(file, path, sizeof(path));
		get(&fixture, path, "", &reply);
		ck_assert_int_eq(reply.status, 200);
		ck_assert_uint_eq(reply.body_len, file->len);
		ck_assert_mem_eq(reply.body, file->bytes, file->len);
		ck_assert_str_eq(client_header(&reply, "Content-Type"), file->type);
		ck_assert_str_eq(client_header(&reply, "ETag"), file->etag);
		ck_assert_str_eq(client_header(&reply, "Cache-Control"), "no-cache");
		ck_assert_str_eq(client_header(&reply, "X-Content-Type-Options"), "nosniff");
		ck_assert_str_eq(client_header(&reply, "Referrer-Policy"), "no-referrer");
		policy = client_header(&reply, "Content-Security-Policy");
		ck_assert_ptr_nonnull(strstr(policy, "default-src 'none'; script-src 'self'; "));
		ck_assert_ptr_nonnull(strstr(policy, "frame-ancestors 'none'"));
		ck_assert_ptr_null(strstr(policy, "unsafe"));
		/* one policy, not two */
		ck_assert_ptr_null(strstr(strstr(reply.head, "Content-Security-Policy") + 1,
					  "Content-Security-Policy"));
		client_reply_free(&reply);
	}
	fixture_stop(&fixture);
}
END_TEST

START_TEST(what_a_browser_has_is_not_sent_again)
{
	static const char *const same[] = {"%s", "W/%s", "\"x\", %s", "*"};
	struct fixture fixture;
	struct client_reply reply;
	char headers[200];

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		char tag[100];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		snprintf(tag, sizeof(tag), same[i], web_find(span_of(WEB_INDEX))->etag);
#pragma GCC diagnostic pop
		snprintf(headers, sizeof(headers), "If-None-Match: %s\r\n", tag);
		get(&fixture, "/", headers, &reply);
		ck_assert_int_eq(reply.status, 304);
		ck_assert_uint_eq(reply.body_len, 0);
		ck_assert_ptr_nonnull(client_header(&reply, "ETag"));
		client_reply_free(&reply);
	}
	get(&fixture, "/", "If-None-Match: \"0-0-0\"\r\n", &reply);
	ck_assert_int_eq(reply.status, 200);
	client_reply_free(&reply);
	fixture_stop(&fixture);
}
END_TEST

/* CASES S287, S295: the rules of every route hold for the page, and no path leads out of the table.
 */
START_TEST(nothing_else_is_served)
{
	static const char *const paths[] = {
		"/web/",	   "/web/x.js",		"/web/index.htm",
		"/web/../app.css", "/web/..%2fapp.css", "/web/%2e%2e/%2e%2e/etc/passwd",
		"/web/.%00",	   "/web//app.css",	"//web/app.css",
		"/web/app.css/",   "/web/embed.awk",	"/index.html"};
	struct fixture fixture;
	struct client_reply reply;

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		get(&fixture, paths[i], "", &reply);
		ck_assert_msg(reply.status == 404, "%s: %d", paths[i], reply.status);
		client_reply_free(&reply);
	}
	client_ask(admin_address(fixture.admin), "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		   &reply);
	ck_assert_int_eq(reply.status, 421);
	client_reply_free(&reply);
	get(&fixture, "/?x=1", "", &reply);
	ck_assert_int_eq(reply.status, 400);
	client_reply_free(&reply);
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/web", built_in_bytes, every_file_is_served, what_a_browser_has_is_not_sent_again,
	  nothing_else_is_served)
