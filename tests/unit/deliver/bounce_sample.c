/* tests/unit/deliver/bounce_sample.c - a usual report, for tests that change one thing in it */
#include "tests/unit/deliver/bounce_sample.h"

#include <check.h>
#include <string.h>

#include "base/mem.h"

static const char original[] = "From: app@shop.test\r\nMessage-ID: <1@shop.test>\r\n"
			       "Subject: hello\r\n\r\nbody\r\n";

const struct bounce_recipient bounce_sample_bob = {.action = BOUNCE_FAILED,
						   .address = "bob@example.com",
						   .reply_code = 550,
						   .reply_enhanced = "5.1.1",
						   .reply_text = "No such user",
						   .remote = "mx.example.com[192.0.2.1]:25",
						   .reason = "RCPT TO: 550 5.1.1 No such user"};

static const char *const hidden[] = {"X-Hidden"};
static const struct policy_options policy = {.control_headers = hidden, .control_header_count = 1};

void bounce_sample_original(struct bounce *bounce, const char *text, size_t len, size_t body_len)
{
	bounce->head = span_make(text, len);
	bounce->size = (int64_t)len;
	bounce->header_size = (int64_t)(len - body_len);
}

struct bounce bounce_sample(void)
{
	struct bounce bounce = {.hostname = "relay.test",
				.now = BOUNCE_SAMPLE_ARRIVED + 1000,
				.arrived_at = BOUNCE_SAMPLE_ARRIVED,
				.sender = "app@shop.test",
				.policy = &policy,
				.recipients = &bounce_sample_bob,
				.recipient_count = 1};

	bounce_sample_original(&bounce, original, sizeof(original) - 1, strlen("body\r\n"));
	memset(bounce.id.bytes, 1, sizeof(bounce.id.bytes));
	memset(bounce.original_id.bytes, 2, sizeof(bounce.original_id.bytes));
	return bounce;
}

char *bounce_sample_text(const struct bounce *bounce, struct bounce_facts *facts_out)
{
	struct buf out;
	size_t len;
	char *text;

	buf_init(&out, BOUNCE_MAX);
	ck_assert_int_eq(bounce_write(bounce, &out, facts_out), ERR_OK);
	text = buf_take(&out, &len);
	ck_assert_uint_eq(strlen(text), len);
	return text;
}

void bounce_sample_expect(const struct bounce *bounce, const char *const *there,
			  const char *const *absent)
{
	struct bounce_facts facts;
	char *text = bounce_sample_text(bounce, &facts);

	for (size_t i = 0; there[i] != NULL; i++)
		ck_assert_msg(strstr(text, there[i]) != NULL, "%s is missing:\n%s", there[i], text);
	for (size_t i = 0; absent[i] != NULL; i++)
		ck_assert_msg(strstr(text, absent[i]) == NULL, "%s is there:\n%s", absent[i], text);
	/* What a header and its empty line end with. */
	ck_assert_int_eq(memcmp(text + facts.header_size - 4, "\r\n\r\n", 4), 0);
	mem_free(text);
}
