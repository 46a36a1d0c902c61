/* relay/hook/json.h - the question and its answer in our own words (stagepost.yaml(5), hook) */
#ifndef STAGEPOST_RELAY_HOOK_JSON_H
#define STAGEPOST_RELAY_HOOK_JSON_H

#include "base/buf.h"
#include "relay/hook/decision.h"

/* Header fields shown: so many octets of them. */
#define HOOK_HEADER_MAX	  (64 * 1024)
#define HOOK_QUESTION_MAX ((size_t)4 << 20)
#define HOOK_ANSWER_MAX	  ((size_t)1 << 20)

/*
 * The body of the POST: the message, its header fields, and the recipients
 * that are asked about. `for_key`: without what differs each time and
 * decides nothing (ids, times, Received, Date, Message-ID). ERR_OK or ERR_LIMIT.
 */
int hook_json_write(const struct question *question, bool for_key, struct buf *out);

/*
 * The body of an answer: one decision for each recipient of the question, in
 * its order. What is missing, contradicts itself or is not understood decides nothing.
 */
void hook_json_read(struct span body, const struct question *question, bool allow_route,
		    struct decision *decisions_out);

#endif
