/* queue/tell.c - events of a transaction: kept until it is committed */
#include "queue/tell.h"

#include <string.h>

#include "base/secret.h"
#include "queue/calls.h"

/* What a stream that was away for a moment can catch up with (base/bus.h). */
#define BUS_BYTES   ((size_t)4 * 1024 * 1024)
#define BUS_RECORDS 16384
/* As much memory as a transaction usually needs is kept for the next one. */
#define KEPT_BYTES ((size_t)64 * 1024)

struct telling {
	struct bus *bus;
	uint64_t epoch;
	struct buf record;  /* of one event */
	struct buf waiting; /* of this transaction: each record behind its length */
	uint64_t left_out;
};

struct telling *telling_new(void)
{
	struct telling *telling = mem_zalloc(sizeof(*telling));
	uint64_t random;

	telling->bus = bus_new(BUS_BYTES, BUS_RECORDS);
	secret_random(&random, sizeof(random));
	telling->epoch = (random >> 11) + 1;
	buf_init(&telling->record, BUS_RECORD_MAX);
	buf_init(&telling->waiting, TELLING_MAX);
	return telling;
}

void telling_free(struct telling **telling)
{
	if (*telling == NULL)
		return;
	buf_release(&(*telling)->record);
	buf_release(&(*telling)->waiting);
	bus_free(&(*telling)->bus);
	mem_free(*telling);
	*telling = NULL;
}

struct bus *store_news(struct store *store)
{
	return store->telling->bus;
}

uint64_t store_news_epoch(struct store *store)
{
	return store->telling->epoch;
}

void store_tell(struct store *store, const struct news *news)
{
	struct buf record;

	if (news->kind == NEWS_VERDICT)
		measuring_refused(&store->measuring, news->action);
	buf_init(&record, BUS_RECORD_MAX);
	news_pack(news, &record);
	bus_put(store->telling->bus, buf_span(&record));
	bus_announce(store->telling->bus);
	buf_release(&record);
}

/* --- in a transaction ----------------------------------------------------------------------- */

void tell(struct store *store, const struct news *news)
{
	struct telling *telling = store->telling;
	uint32_t len;

	if (calls_wants(store, news))
		calls_add(store, news);
	buf_clear(&telling->record);
	news_pack(news, &telling->record);
	len = (uint32_t)telling->record.len;
	if (telling->left_out > 0 || telling->waiting.len + sizeof(len) + len > TELLING_MAX) {
		telling->left_out++;
		return;
	}
	(void)buf_append(&telling->waiting, &len, sizeof(len));
	(void)buf_append_span(&telling->waiting, buf_span(&telling->record));
}

void tell_forget(struct store *store)
{
	struct telling *telling = store->telling;

	telling->left_out = 0;
	if (telling->waiting.len > KEPT_BYTES)
		buf_release(&telling->waiting);
	else
		buf_clear(&telling->waiting);
}

struct tell_mark tell_mark(const struct store *store)
{
	return (struct tell_mark){store->telling->waiting.len, store->telling->left_out};
}

void tell_back(struct store *store, struct tell_mark mark)
{
	buf_truncate(&store->telling->waiting, mark.len);
	store->telling->left_out = mark.left_out;
}

void tell_committed(struct store *store)
{
	struct telling *telling = store->telling;
	struct span rest = buf_span(&telling->waiting);
	bool any = rest.len > 0 || telling->left_out > 0;

	while (rest.len > 0) {
		uint32_t len;

		memcpy(&len, rest.data, sizeof(len));
		rest = span_skip(rest, sizeof(len));
		bus_put(telling->bus, span_first(rest, len));
		rest = span_skip(rest, len);
	}
	if (telling->left_out > 0)
		bus_skip(telling->bus, telling->left_out);
	if (any)
		bus_announce(telling->bus);
	tell_forget(store);
}

/* --- of messages and recipients --------------------------------------------------------------- */

/* What each start shows (relay/selftest.c) was for nobody. */
static bool is_nobodys(const char *origin)
{
	return origin != NULL && strcmp(origin, "selftest") == 0;
}

void tell_message(struct store *store, const struct news *news)
{
	if (!is_nobodys(news->origin))
		tell(store, news);
}

static void tell_verdict(struct store *store, const struct new_message *message,
			 const struct new_recipient *recipient)
{
	const struct ruling *ruling = &recipient->ruling;

	tell(store, &(struct news){.kind = NEWS_VERDICT,
				   .at = message->received_at,
				   .message = message->id,
				   .has_message = true,
				   .scope = message->scope,
				   .sender = message->sender,
				   .recipient = recipient->address,
				   .action = ruling->verdict,
				   .state = state_name(recipient->state),
				   .reason = ruling->reason,
				   .entry = ruling->entry,
				   .revision = ruling->revision,
				   .rule = ruling->rule,
				   .redirect_to = ruling->redirect_to});
}

void tell_accepted(struct store *store, const struct new_message *message)
{
	struct news news = {.kind = NEWS_ACCEPTED,
			    .at = message->received_at,
			    .message = message->id,
			    .has_message = true,
			    .size = message->size,
			    .count = (uint32_t)message->recipient_count,
			    .scope = message->scope,
			    .sender = message->sender,
			    .subject = message->subject,
			    .message_id = message->message_id,
			    .listener = message->listener,
			    .client = message->client_address,
			    .user = message->user,
			    .origin = message->origin};

	if (is_nobodys(message->origin))
		return;
	measuring_accepted(&store->measuring, message);
	for (size_t i = 0; i < message->recipient_count; i++)
		news.by_state[message->recipients[i].state]++;
	tell(store, &news);
	for (size_t i = 0; i < message->recipient_count; i++)
		tell_verdict(store, message, &message->recipients[i]);
}

/* An attempt says so by what it led to, or by whom it spoke to (queue/settle.c). */
static bool is_attempt(const struct history_item *item)
{
	return item->remote != NULL || item->reply_code != 0 ||
	       strcmp(item->event, "delivered") == 0 || strcmp(item->event, "deferred") == 0 ||
	       strcmp(item->event, "failed") == 0;
}

static const char sql_whose[] =
	"SELECT r.address, m.uid, m.scope, m.sender, m.origin FROM recipient r"
	" JOIN message m ON m.id = r.id >> 16 WHERE r.id = ?1";

int tell_history(struct store *store, int64_t recipient, const struct history_item *item,
		 enum state state, struct err *why)
{
	struct news news = {.kind = is_attempt(item) ? NEWS_ATTEMPT : NEWS_STATE,
			    .at = item->at,
			    .has_message = true,
			    .action = item->event,
			    .state = state_name(state),
			    .reason = item->reason,
			    .trouble = item->kind,
			    .actor = item->actor,
			    .route = item->route,
			    .remote = item->remote,
			    .tls = item->tls,
			    .reply_code = item->reply_code,
			    .reply_enhanced = item->reply_enhanced,
			    .reply_text = item->reply_text,
			    .entry = item->entry,
			    .revision = item->revision};
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_whose, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, recipient);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	news.recipient = query_take_text(&query);
	news.message = query_take_ulid(&query);
	news.scope = query_take_text(&query);
	news.sender = query_take_text(&query);
	news.origin = query_take_text(&query);
	tell_message(store, &news);
	query_end(&query);
	return ERR_OK;
}

/* --- of the whitelist ------------------------------------------------------------------------- */

static const char *operation_name(enum entry_operation operation)
{
	switch (operation) {
	case ENTRY_ADD: return "add";
	case ENTRY_REPLACE: return "replace";
	case ENTRY_REMOVE: break;
	}
	return "remove";
}

void tell_line(struct store *store, const struct whitelist_apply *apply,
	       const struct whitelist_change *change, int64_t revision, const char *scope)
{
	tell(store, &(struct news){.kind = NEWS_WHITELIST,
				   .at = apply->now,
				   .action = operation_name(change->operation),
				   .scope = scope,
				   .entry = change->entry.id,
				   .name = change->entry.pattern,
				   .state = change->entry.action == ENTRY_DENY ? "deny" : "allow",
				   .revision = revision,
				   .count = 1,
				   .actor = apply->actor});
}

void tell_list(struct store *store, int64_t now, const char *actor, size_t count, int64_t revision)
{
	tell(store, &(struct news){.kind = NEWS_WHITELIST,
				   .at = now,
				   .action = "change",
				   .count = (uint32_t)count,
				   .revision = revision,
				   .actor = actor});
}
