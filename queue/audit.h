/* queue/audit.h - writing the audit trail; private to queue/ (reading: queue/token.h) */
#ifndef STAGEPOST_QUEUE_AUDIT_H
#define STAGEPOST_QUEUE_AUDIT_H

#include "queue/state.h"
#include "queue/writer.h"

struct audit_line {
	int64_t at;
	const char *actor;
	const char *action;
	const char *subject;
	const char *before; /* JSON or NULL */
	const char *after;
};

/* An entry of the whitelist as the trail keeps it: of a row of that table. */
#define AUDIT_ENTRY_JSON                                                                           \
	"json_object('id', id, 'pattern', pattern, 'action', CASE action WHEN 2 THEN 'deny' ELSE"  \
	" 'allow' END, 'scope', scope, 'note', note, 'owner', owner, 'expires_at', expires_at)"

/* In the writer, inside a transaction. */
int audit_add(struct store *store, const struct audit_line *line, struct err *why);

/*
 * What a line says of a row (all of it as JSON, its name): `sql` selects one text by ?1. In
 * store->scratch; *text_out stays as it is when there is no such row. In the writer.
 */
int audit_read(struct store *store, const char *sql, int64_t id, const char **text_out,
	       struct err *why);

/* {"dropped": 2}: how many recipients are in which state. */
#define AUDIT_STATES_SIZE 512
void audit_states(const int64_t counts[STATE_COUNT], char json_out[AUDIT_STATES_SIZE]);

#endif
