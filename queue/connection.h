/* queue/connection.h - the inside of a reader; private to queue/ (public: queue/reader.h) */
#ifndef STAGEPOST_QUEUE_CONNECTION_H
#define STAGEPOST_QUEUE_CONNECTION_H

#include <stdint.h>

#include "queue/db.h"
#include "queue/reader.h"

struct db *reader_db(struct store_reader *reader);
/* Several statements that must see one state of things. End it in every case. */
int reader_begin(struct store_reader *reader, struct err *why);
void reader_end(struct store_reader *reader);
/*
 * As store_reader_open_offline, without making any file where that is
 * possible. What is read is right only as long as no daemon starts meanwhile.
 */
int reader_open_untouched(const char *data_dir, struct store_reader **reader_out, struct err *why);
/* One file by itself, that nobody writes to. */
int reader_open_file(const char *path, struct store_reader **reader_out, struct err *why);
/* A page's size as SQL wants it: 0 means 100, never more than 10,000. */
int64_t reader_limit(size_t limit);

/* The recipients of message `number`, in the order they were given (queue/show.c). */
int recipients_read(struct db *db, int64_t number, bool with_history, struct arena *arena,
		    struct message_view *view, struct err *why);
/* The columns of one message row, in the order of MESSAGE_COLUMNS. */
void message_take(struct query *query, struct arena *arena, struct new_message *message);
void recipient_take(struct query *query, struct arena *arena, struct recipient_view *recipient);

#define MESSAGE_COLUMNS                                                                            \
	" m.uid, m.received_at, m.sender, m.size, m.header_size, m.header_parsed, m.body_8bit,"    \
	" m.smtputf8, m.envid, m.ret, m.bare_cr, m.bare_lf, m.listener, m.scope,"                  \
	" m.client_address, m.client_port, m.client_name, m.helo, m.protocol, m.user, m.tls,"      \
	" m.subject, m.message_id, m.received_field, m.origin, m.certificate_subject,"             \
	" m.certificate_sha256, m.added_fields, m.command, coalesce(m.removed_at, 0)"
#define RECIPIENT_COLUMNS                                                                          \
	" r.id, r.address, r.state, r.wish, r.verdict, r.verdict_reason, r.entry, r.revision,"     \
	" r.nearest, coalesce(r.reason, r.verdict_reason), r.route, r.attempts,"                   \
	" CASE WHEN r.parked IS NULL THEN coalesce(r.due_at, r.ask_at, 0) ELSE 0 END, "            \
	"r.reply_code, "                                                                           \
	"r.reply_enhanced, r.reply_text, r.notify, r.orcpt,"                                       \
	" r.origin, r.updated_at, r.kind, r.redirect_to, r.rule"

#endif
