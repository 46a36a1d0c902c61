/* tests/fuzz/fuzz_bounce.c - relay/deliver/bounce.c: nothing a peer said makes a line of its own */
#include "relay/deliver/bounce.h"

#include <string.h>

#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

#define FIELDS 7

/* What our lines may begin with, in the header and in the delivery-status. */
static const char *const header_names[] = {"From: ",
					   "To: ",
					   "Subject: ",
					   "Date: ",
					   "Message-ID: ",
					   "In-Reply-To: ",
					   "References: ",
					   "Auto-Submitted: ",
					   "MIME-Version: ",
					   "Content-Type: ",
					   "\tboundary=",
					   "Content-Transfer-Encoding: ",
					   NULL};
static const char *const status_names[] = {"Content-Type: ",
					   "Content-Transfer-Encoding: ",
					   "Original-Envelope-Id: ",
					   "Reporting-MTA: ",
					   "X-Stagepost-Message: ",
					   "Arrival-Date: ",
					   "Original-Recipient: ",
					   "Final-Recipient: ",
					   "Action: ",
					   "Status: ",
					   "Remote-MTA: ",
					   "Diagnostic-Code: ",
					   "Last-Attempt-Date: ",
					   "Will-Retry-Until: ",
					   NULL};

static bool begins_with_one(struct span line, const char *const *names)
{
	for (; *names != NULL; names++)
		if (span_starts_fold(line, *names))
			return true;
	return line.len == 0;
}

/* Every line is one of ours, ends in CRLF and holds no control. */
static void check_lines(struct span text, const char *const *names, bool utf8)
{
	while (text.len > 0) {
		size_t end = span_find(text, '\n');
		struct span line;

		assert(end < text.len && end > 0 && text.data[end - 1] == '\r');
		line = span_first(text, end - 1);
		assert(begins_with_one(line, names) && line.len <= 998);
		for (size_t i = 0; i < line.len; i++) {
			unsigned char c = (unsigned char)line.data[i];

			assert((c >= ' ' || (i == 0 && c == '\t')) && c != 0x7f);
			assert(c < 0x80 || utf8);
		}
		assert(span_is_utf8(line));
		text = span_skip(text, end + 1);
	}
}

/* The text between the second and the third boundary. */
static struct span status_part(struct span report, const char *boundary)
{
	const char *at = report.data;

	for (int i = 0; i < 2; i++) {
		at = strstr(at, boundary);
		assert(at != NULL);
		at += strlen(boundary) + 2;
	}
	report = span_skip(report, (size_t)(at - report.data));
	at = strstr(report.data, boundary);
	assert(at != NULL);
	return span_first(report, (size_t)(at - report.data));
}

static void check(const struct bounce *bounce)
{
	char boundary[8 + ULID_TEXT_SIZE] = "\r\n--=_";
	struct bounce_facts facts;
	struct span report;
	struct buf out;

	ulid_format(&bounce->id, boundary + 6);
	buf_init(&out, BOUNCE_MAX);
	assert(bounce_write(bounce, &out, &facts) == ERR_OK);
	report = buf_span(&out);
	assert(facts.header_size > 4 && (size_t)facts.header_size < report.len);
	check_lines(span_first(report, (size_t)facts.header_size), header_names, facts.smtputf8);
	check_lines(status_part(report, boundary), status_names, facts.has_8bit);
	assert(memcmp(report.data + report.len - 4, "--\r\n", 4) == 0);
	buf_release(&out);
}

/* Flags, then seven lines of what others said, then the original. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_make((const char *)data, size);
	char *fields[FIELDS];
	struct bounce_recipient recipient = {.reply_code = 550};
	const struct policy_options policy = {.control_headers = policy_control_headers,
					      .control_header_count = 1};
	struct bounce bounce = {.hostname = "relay.test", .now = 1795256430000, .policy = &policy};
	unsigned flags = size > 0 ? data[0] : 0;

	rest = span_skip(rest, 1);
	for (size_t i = 0; i < FIELDS; i++)
		fields[i] = mem_span_dup(span_first(span_cut(&rest, '\n'), 2000));
	bounce.sender = fields[0];
	recipient.address = fields[1];
	recipient.orcpt = (flags & 1) != 0 ? fields[2] : NULL;
	bounce.envid = (flags & 2) != 0 ? fields[3] : NULL;
	recipient.reply_text = recipient.reply_enhanced = fields[4];
	recipient.remote = (flags & 4) != 0 ? fields[5] : NULL;
	recipient.reason = fields[6];
	bounce.ret = (flags & 8) != 0 ? "HDRS" : NULL;
	bounce.smtputf8 = (flags & 16) != 0;
	recipient.action = (enum bounce_action)((unsigned)BOUNCE_FAILED + (flags >> 6) % 4);
	bounce.retry_until = bounce.now;
	bounce.head = rest;
	bounce.size = (int64_t)rest.len;
	bounce.header_size = (flags & 32) != 0 ? bounce.size / 2 : bounce.size;
	bounce.recipients = &recipient;
	bounce.recipient_count = 1;
	check(&bounce);
	for (size_t i = 0; i < FIELDS; i++)
		mem_free(fields[i]);
	return 0;
}
