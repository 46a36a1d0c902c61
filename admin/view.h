/* admin/view.h - what is stored, as the API shows it (INTERFACE 4): rows in, JSON out */
#ifndef STAGEPOST_ADMIN_VIEW_H
#define STAGEPOST_ADMIN_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "queue/news.h"
#include "queue/reader.h"
#include "queue/token.h"
#include "queue/webhook.h"
#include "queue/whitelist.h"
#include "relay/filter/fault.h"
#include "relay/filter/rule.h"
#include "relay/filter/whitelist.h"

/* Each returns a new reference. Pure. */

/* Bytes from a peer: what is not UTF-8 becomes U+FFFD, as does NUL. NULL becomes null. */
json_t *view_text(const char *text);
json_t *view_span(struct span text);
/* RFC 3339 with milliseconds; 0 (none, never) becomes null. */
json_t *view_time(int64_t wall_ms);
/* Row numbers start at 1: 0 (none) becomes null. */
json_t *view_id(int64_t id);
json_t *view_ulid(const struct ulid *id);
/* What a server said; null with the code 0. */
json_t *view_reply(int code, const char *enhanced, const char *text);

json_t *view_entry(const struct entry *entry);
/* A judgement made now: verdict, reason, entry, nearest. */
json_t *view_verdict(const struct verdict *verdict);
json_t *view_fault(const struct fault_view *view);
json_t *view_rule(const struct rule_view *view);
json_t *view_recipient(const struct recipient_view *recipient, bool with_history);
/* The same with what a list shows of its message. */
json_t *view_recipient_row(const struct recipient_row *row);
/* Recipients are shown when the view has them; `whole` adds what only the single message shows. */
json_t *view_message(const struct message_view *view, bool whole);
/* The header section, field by field, decoded for people; stops at the header limits. */
json_t *view_header(struct span section);
/* "reader"; a constant. */
const char *view_role(enum role role);
/* Never the secret. */
json_t *view_token(const struct token *token);
json_t *view_audit(const struct audit_row *row);
json_t *view_past(const struct whitelist_past *past);
/* {"delivered": 3, …}: every state that has some. */
json_t *view_states(const int64_t by_state[STATE_COUNT]);
/* One event, without its id and type. */
json_t *view_news(const struct news *news);
/* The same as the body of a request (struct webhook_targets), with them. */
void view_webhook(const struct ulid *id, enum webhook_event event, const struct news *news,
		  struct buf *body_out);

#endif
