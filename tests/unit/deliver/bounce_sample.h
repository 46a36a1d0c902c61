/* tests/unit/deliver/bounce_sample.h - a usual report, for tests that change one thing in it */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_BOUNCE_SAMPLE_H
#define STAGEPOST_TESTS_UNIT_DELIVER_BOUNCE_SAMPLE_H

#include "relay/deliver/bounce.h"

#define BOUNCE_SAMPLE_ARRIVED 1795256430000 /* 2026-11-21T10:20:30Z */

/* bob@example.com, whom his next hop does not know. */
extern const struct bounce_recipient bounce_sample_bob;

/* For bob alone, about a short message of app@shop.test. */
struct bounce bounce_sample(void);
/* Another original: `len` octets, the last `body_len` of them its body; `text` stays valid. */
void bounce_sample_original(struct bounce *bounce, const char *text, size_t len, size_t body_len);

/* What it reads like; mem_free it. */
char *bounce_sample_text(const struct bounce *bounce, struct bounce_facts *facts_out);
/* Each of `there` is in it, none of `absent` is; NULL ends them. */
void bounce_sample_expect(const struct bounce *bounce, const char *const *there,
			  const char *const *absent);

#endif
