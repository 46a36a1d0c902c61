/* tests/unit/hook/question.h - a question about some recipients of a message */
#ifndef STAGEPOST_TESTS_UNIT_HOOK_QUESTION_H
#define STAGEPOST_TESTS_UNIT_HOOK_QUESTION_H

#include "base/mem.h"
#include "relay/hook/decision.h"

/* Everything a question points to. Its first recipient is a@ok. */
struct sample {
	struct screened_message message;
	struct screened_recipient recipients[3];
	const struct screened_recipient *list[3];
	struct question question;
};

static inline void sample_init(struct sample *s, size_t count)
{
	static const char *const addresses[] = {"a@ok", "B@ok", "c@bad"};

	*s = (struct sample){.message.m = {.received_at = 1800000000000,
					   .sender = "s@x",
					   .size = 418,
					   .scope = "",
					   .command = "MAIL FROM:<s@x> SIZE=418",
					   .client_address = "192.0.2.7",
					   .helo = "client.test",
					   .recipient_count = 3}};
	ulid_parse(span_of("01ARZ3NDEKTSV4RRFFQ69G5FAV"), &s->message.m.id);
	for (size_t i = 0; i < 3; i++) {
		s->recipients[i] = (struct screened_recipient){
			.id = (int64_t)i, .index = i, .address = addresses[i]};
		s->list[i] = &s->recipients[i];
	}
	s->recipients[0].command = "RCPT TO:<a@ok> ORCPT=rfc822;a@ok";
	s->message.recipients = s->recipients;
	s->message.recipient_count = count;
	s->question = (struct question){.message = &s->message,
					.recipients = s->list,
					.count = count,
					.header_whole = true};
}

#endif
