/* tests admin/view.c, admin/problem.c and the body reader: pure, no server */
#include <config.h>

#include "admin/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/call.h"
#include "admin/content.h"
#include "admin/openapi.h"
#include "admin/problem.h"
#include "tests/unit/unit.h"

static const char *const fffd = "\xef\xbf\xbd";

START_TEST(bytes_become_text)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *want; /* '?' stands for U+FFFD */
	} cases[] = {
		{"plain", 5, "plain"},
		{"", 0, ""},
		{"caf\xc3\xa9", 5, "caf\xc3\xa9"},
		{"caf\xe9", 4, "caf?"},
		{"a\0b", 3, "a?b"},
		{"\xff\xfe", 2, "??"},
		{"\xc0\x80", 2, "??"},		 /* overlong NUL */
		{"\xed\xa0\x80", 3, "???"},	 /* a surrogate */
		{"\xf4\x90\x80\x80", 4, "????"}, /* past U+10FFFF */
		{"\xf0\x9f\x93\xa7", 4, "\xf0\x9f\x93\xa7"},
		{"\xf0\x9f\x93", 3, "???"}, /* cut */
		{"\xe2\x80\xa8</script>", 12, "\xe2\x80\xa8</script>"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = view_span(span_make(cases[i].bytes, cases[i].len));
		char want[64] = "";

		for (const char *c = cases[i].want; *c != '\0'; c++)
			snprintf(want + strlen(want), sizeof(want) - strlen(want), "%.*s",
				 *c == '?' ? 3 : 1, *c == '?' ? fffd : c);
		ck_assert_msg(json != NULL && strcmp(json_string_value(json), want) == 0,
			      "case %zu: %s", i, json_string_value(json));
		json_decref(json);
	}
	ck_assert(json_is_null(view_text(NULL)));
}
END_TEST

START_TEST(times)
{
	json_t *json = view_time(1795256430456);

	ck_assert_str_eq(json_string_value(json), "2026-11-21T10:20:30.456Z");
	json_decref(json);
	ck_assert(json_is_null(view_time(0)));
}
END_TEST

/* What a view writes and what the document promises: the same members. */
static void same_members(json_t *view, const char *schema_name, const char *optional)
{
	json_t *document = json_loadb(openapi_text, openapi_len, 0, NULL);
	json_t *schema = json_object_get(
		json_object_get(json_object_get(document, "components"), "schemas"), schema_name);
	json_t *properties = json_object_get(schema, "properties");
	const char *name;
	json_t *value;

	ck_assert_ptr_nonnull(properties);
	json_object_foreach(view, name, value)
		ck_assert_msg(json_object_get(properties, name) != NULL, "%s: %s is not described",
			      schema_name, name);
	json_object_foreach(properties, name, value)
		ck_assert_msg(json_object_get(view, name) != NULL || strstr(optional, name) != NULL,
			      "%s: %s is not shown", schema_name, name);
	json_decref(document);
	json_decref(view);
}

START_TEST(entries)
{
	struct entry entry = {.id = 9007199254740992,
			      .pattern = "alice@example.com",
			      .kind = ENTRY_EXACT,
			      .action = ENTRY_DENY,
			      .scope = "",
			      .note = "<script>alert(1)</script>",
			      .created_at = 1000,
			      .created_by = "token:ci"};
	json_t *json = view_entry(&entry);

	ck_assert_int_eq(json_integer_value(json_object_get(json, "id")), 9007199254740992);
	ck_assert_str_eq(json_string_value(json_object_get(json, "action")), "deny");
	ck_assert_str_eq(json_string_value(json_object_get(json, "kind")), "exact");
	ck_assert(json_is_null(json_object_get(json, "expires_at")));
	ck_assert_str_eq(json_string_value(json_object_get(json, "note")),
			 "<script>alert(1)</script>");
	same_members(json, "Entry", "");
}
END_TEST

START_TEST(fault_rules)
{
	struct fault fault;
	struct fault_view view = {&fault, PUBLISHED_FROM_CONFIG, 7, 3};
	json_t *json;

	fault_init(&fault);
	fault.name = "x";
	fault.action = FAULT_BOUNCE;
	fault.code = 552;
	json = view_fault(&view);
	ck_assert(json_is_null(json_object_get(json, "id")));
	ck_assert_str_eq(json_string_value(json_object_get(json, "source")), "config");
	ck_assert_str_eq(json_string_value(json_object_get(json, "action")), "bounce");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "code")), 552);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "matches")), 7);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "strikes")), 3);
	ck_assert(json_is_null(json_object_get(json, "sender")));
	same_members(json, "Fault", "");
}
END_TEST

START_TEST(messages_and_recipients)
{
	struct history_item history = {.at = 5, .event = "attempt", .reply_code = 250};
	struct recipient_view recipient = {.address = "alice@example.com",
					   .state = STATE_DEFERRED,
					   .wish = WISH_CANCEL,
					   .ruling = {"deliver", "allowed by x", 7, 3, NULL},
					   .reply_code = 451,
					   .reply_enhanced = "4.7.1",
					   .reply_text = "gr\xe9ylisted",
					   .history = &history,
					   .history_count = 1};
	struct message_view message = {.m = {.sender = "", .scope = "", .size = 10},
				       .recipients = &recipient,
				       .recipient_count = 1};
	json_t *json = view_recipient(&recipient, true);
	json_t *reply = json_object_get(json, "last_reply");

	ck_assert_str_eq(json_string_value(json_object_get(json, "state")), "deferred");
	ck_assert_str_eq(json_string_value(json_object_get(json, "wish")), "cancel");
	ck_assert_str_eq(json_string_value(json_object_get(json, "reason")), "allowed by x");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "entry")), 7);
	ck_assert_int_eq(json_integer_value(json_object_get(reply, "code")), 451);
	ck_assert_str_eq(json_string_value(json_object_get(reply, "text")),
			 "gr\xef\xbf\xbdylisted");
	same_members(json_incref(json_array_get(json_object_get(json, "history"), 0)),
		     "HistoryItem", "");
	same_members(json, "Recipient", "");
	message.by_state[STATE_DEFERRED] = 1;
	json = view_message(&message, true);
	ck_assert_int_eq(json_object_size(json_object_get(json, "states")), 1);
	json_object_set_new(json, "header", json_array()); /* the handler reads it */
	same_members(json_incref(json_object_get(json, "client")), "Client", "");
	json_object_set_new(json, "content", json_object()); /* as well */
	same_members(json, "MessageWhole", "delivery");	     /* is the handler's */
	message.recipients = NULL;
	same_members(view_message(&message, false), "Message", "recipients");
	same_members(view_token(&(struct token){.name = "a", .role = ROLE_ADMIN, .scope = ""}),
		     "Token", "");
	same_members(view_audit(&(struct audit_row){
			     .actor = "a", .action = "b", .before = "{\"x\":1}", .after = "{"}),
		     "Audit", "");
}
END_TEST

START_TEST(contents)
{
	static const char text[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
				   "Content-Type: image/png\r\n\r\n--b--\r\n";
	struct mime *mime = mime_new();
	json_t *json;

	mime_feed(mime, span_of(text));
	mime_end(mime, (int64_t)strlen(text));
	json = content_view(mime);
	same_members(json_incref(json_array_get(json_object_get(json, "attachments"), 0)),
		     "Attachment", "");
	same_members(json, "Content", "");
	json = content_view_parts(mime);
	same_members(json_incref(json_object_get(json, "root")), "Part", "");
	same_members(json, "Parts", "");
	mime_free(&mime);
}
END_TEST

START_TEST(headers)
{
	struct span section = span_of("Subject: =?utf-8?q?caf=C3=A9?=\r\n folded\r\n"
				      "To: a@b.example\r\nbroken line\r\n\r\nbody: x\r\n");
	json_t *json = view_header(section);

	ck_assert_int_eq(json_array_size(json), 3);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json, 0), "value")),
			 "caf\xc3\xa9 folded");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json, 1), "name")), "To");
	json_decref(json);
}
END_TEST

START_TEST(problems)
{
	json_t *problem = problem_new(409, "there \xff already");

	problem_add(problem, "/pattern", "twice");
	ck_assert_str_eq(json_string_value(json_object_get(problem, "type")),
			 "urn:stagepost:problem:conflict");
	ck_assert_int_eq(json_integer_value(json_object_get(problem, "status")), 409);
	json_object_set_new(problem, "existing_id", json_integer(1));
	same_members(problem, "Problem", "");
	for (int code = ERR_UNSUPPORTED; code < 0; code++) {
		problem = problem_new(problem_status(code), "");
		ck_assert_str_ne(json_string_value(json_object_get(problem, "title")), "Error");
		json_decref(problem);
	}
}
END_TEST

/* CASES S302 */
START_TEST(bodies)
{
	static const char *const bad[] = {"",
					  "null",
					  "true",
					  "1",
					  "\"x\"",
					  "[]",
					  "{",
					  "{}x",
					  "{} {}",
					  "{\"a\":1,\"a\":2}",
					  "{\"a\":1e400}",
					  "{\"a\":\"\xff\"}",
					  "{\"a\":\"\\ud800\"}",
					  "{\"a\":\"\\u0000\"}",
					  "{/* comment */}",
					  "{'a':1}",
					  "\xef\xbb\xbf{}",
					  "{\"a\":01}",
					  "{\"a\":NaN}",
					  "{\"a\":99999999999999999999}",
					  "{\"a\":1,}"};
	static const char *const good[] = {
		"{}", " {\"a\": -0} \r\n",
		"{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}",
		"{\"\\ud83d\\udce7\":1}"};
	char *deep = calloc(1, 200001);
	json_t *body = NULL;
	struct err why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(call_parse_body(span_of(bad[i]), &body, &why) != ERR_OK, "%s",
			      bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(call_parse_body(span_of(good[i]), &body, &why) == ERR_OK, "%s",
			      good[i]);
		json_decref(body);
	}
	memset(deep, '[', 100000);
	memset(deep + 100000, ']', 100000);
	ck_assert_int_eq(call_parse_body(span_of(deep), &body, &why), ERR_LIMIT);
	free(deep);
}
END_TEST

UNIT_MAIN("admin/view", bytes_become_text, times, entries, fault_rules, messages_and_recipients,
	  contents, headers, problems, bodies)
