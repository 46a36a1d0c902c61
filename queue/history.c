/* queue/history.c - what happened to a recipient, line by line */
#include "queue/history.h"

#include <string.h>

#include "queue/tell.h"

static const char sql_add[] =
	"INSERT INTO history(recipient, sequence, at, event, state, reason, actor, route, remote,"
	" reply_code, reply_enhanced, reply_text, entry, revision, kind, tls)"
	" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

int history_add(struct store *store, int64_t recipient, int64_t sequence,
		const struct history_item *item, enum state state, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_add, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, recipient);
	query_give_int(&query, sequence);
	query_give_int(&query, item->at);
	query_give_text(&query, item->event);
	query_give_int(&query, state);
	query_give_text(&query, item->reason);
	query_give_text(&query, item->actor);
	query_give_text(&query, item->route);
	query_give_text(&query, item->remote);
	query_give_int(&query, item->reply_code);
	query_give_text(&query, item->reply_enhanced);
	query_give_text(&query, item->reply_text);
	query_give_int(&query, item->entry);
	query_give_int(&query, item->revision);
	query_give_text(&query, item->kind);
	query_give_text(&query, item->tls);
	code = query_run(&query, why);
	return code == ERR_OK ? tell_history(store, recipient, item, state, why) : code;
}

/* IS, not =: NULL equals NULL here. A newer revision alone is a new judgement too. */
static const char sql_keep_accepted[] =
	"INSERT OR IGNORE INTO history(recipient, sequence, at, event, state, reason, entry,"
	" revision)"
	" SELECT r.id, 0, m.received_at, 'accepted', r.accepted_state, r.verdict_reason, r.entry,"
	" r.revision FROM recipient r JOIN message m ON m.id = r.id >> 16"
	" WHERE r.id = ?1 AND NOT (r.verdict IS ?2 AND r.verdict_reason IS ?3 AND r.entry IS ?4"
	" AND r.revision IS ?5 AND r.nearest IS ?6 AND r.redirect_to IS ?7 AND r.rule IS ?8)";
static const char sql_new_ruling[] =
	"UPDATE recipient SET verdict = ?2, verdict_reason = ?3, entry = ?4, revision = ?5,"
	" nearest = ?6, redirect_to = ?7, rule = ?8 WHERE id = ?1 AND NOT (verdict IS ?2"
	" AND verdict_reason IS ?3 AND entry IS ?4 AND revision IS ?5 AND nearest IS ?6"
	" AND redirect_to IS ?7 AND rule IS ?8)";

static int run_with_ruling(struct store *store, const char *sql, int64_t recipient,
			   const struct ruling *ruling, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, recipient);
	query_give_text(&query, ruling->verdict);
	query_give_text(&query, ruling->reason);
	query_give_int(&query, ruling->entry);
	query_give_int(&query, ruling->revision);
	query_give_text(&query, ruling->nearest);
	query_give_text(&query, ruling->redirect_to);
	query_give_text(&query, ruling->rule);
	return query_run(&query, why);
}

int history_new_ruling(struct store *store, int64_t recipient, const struct ruling *ruling,
		       struct err *why)
{
	int code = run_with_ruling(store, sql_keep_accepted, recipient, ruling, why);

	if (code != ERR_OK)
		return code;
	return run_with_ruling(store, sql_new_ruling, recipient, ruling, why);
}

/* --- reading ---------------------------------------------------------------------- */

static const char sql_read[] =
	"SELECT sequence, at, event, state, reason, actor, route, remote, reply_code,"
	" reply_enhanced, reply_text, entry, revision, kind, tls FROM history WHERE recipient = ?1"
	" ORDER BY sequence";

static void take_item(struct query *query, struct arena *arena, struct history_item *item)
{
	item->at = query_take_int(query);
	item->event = query_take_copy(query, arena);
	item->state = state_name(state_of_number(query_take_int(query)));
	item->reason = query_take_copy(query, arena);
	item->actor = query_take_copy(query, arena);
	item->route = query_take_copy(query, arena);
	item->remote = query_take_copy(query, arena);
	item->reply_code = (int)query_take_int(query);
	item->reply_enhanced = query_take_copy(query, arena);
	item->reply_text = query_take_copy(query, arena);
	item->entry = query_take_int(query);
	item->revision = query_take_int(query);
	item->kind = query_take_copy(query, arena);
	item->tls = query_take_copy(query, arena);
}

/* Not kept as a row of its own: the recipient's row still says it. */
static struct history_item derive_accepted(const struct recipient_view *recipient,
					   const struct new_message *message,
					   enum state accepted_state)
{
	return (struct history_item){.at = message->received_at,
				     .event = "accepted",
				     .state = state_name(accepted_state),
				     .reason = recipient->ruling.reason,
				     .entry = recipient->ruling.entry,
				     .revision = recipient->ruling.revision};
}

/* A growing array in an arena: the old halves stay behind, at most as much again. */
static struct history_item *make_room(struct arena *arena, struct history_item *items, size_t count,
				      size_t *room)
{
	struct history_item *grown;

	if (count < *room)
		return items;
	grown = arena_array(arena, *room * 2, sizeof(*items));
	memcpy(grown, items, count * sizeof(*items));
	*room *= 2;
	return grown;
}

/* Who handed it in by the API; one that came later in the place of another was not. */
static const char *actor_of(const struct recipient_view *recipient,
			    const struct new_message *message)
{
	bool handed_in = message->protocol != NULL &&
			 strcmp(message->protocol, MESSAGE_HANDED_IN) == 0;

	return handed_in && recipient->origin == NULL ? message->user : NULL;
}

int history_read(struct db *db, const struct recipient_view *recipient,
		 const struct new_message *message, enum state accepted_state, struct arena *arena,
		 const struct history_item **items_out, size_t *count_out, struct err *why)
{
	size_t room = 4;
	struct history_item *items = arena_array(arena, room, sizeof(*items));
	size_t count = 0;
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_read, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, recipient->id);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		bool is_accepted = query_take_int(&query) == 0;

		if (count == 0 && !is_accepted)
			items[count++] = derive_accepted(recipient, message, accepted_state);
		items = make_room(arena, items, count, &room);
		take_item(&query, arena, &items[count++]);
	}
	if (code != ERR_OK)
		return code;
	if (count == 0)
		items[count++] = derive_accepted(recipient, message, accepted_state);
	if (items[0].actor == NULL)
		items[0].actor = actor_of(recipient, message);
	*items_out = items;
	*count_out = count;
	return ERR_OK;
}
