/* admin/bytes.c - a message byte for byte: as it is stored, and as it leaves */
#include <stdio.h>
#include <string.h>

#include "admin/act.h"
#include "admin/handlers.h"
#include "base/clock.h"
#include "queue/reader.h"
#include "relay/filter/outbound.h"
#include "relay/filter/rule.h"
#include "relay/mail/address.h"

/* One download: what goes in front, the stored bytes a chunk at a time in one short read each, and
 * a last line end. */
struct bytes {
	struct readers *readers;
	struct ulid id;
	struct buf front;
	int64_t skip; /* stored bytes that `front` stands for, and that are still to be passed by */
	int64_t left; /* stored bytes still to be given */
	int64_t sequence;
	struct buf chunk;
	bool ends_line; /* CRLF behind them */
};

/* False: the message went while it was being read. */
static bool read_chunk(struct bytes *bytes)
{
	struct store_reader *reader = readers_take(bytes->readers);
	struct err why;
	int code = queue_body_read(reader, &bytes->id, bytes->sequence, &bytes->chunk, &why);

	readers_give(bytes->readers, reader);
	if (code != ERR_OK || (int64_t)bytes->chunk.len <= bytes->skip)
		return false;
	buf_consume(&bytes->chunk, (size_t)bytes->skip);
	bytes->skip = 0;
	bytes->sequence++;
	return true;
}

static size_t give(struct buf *from, char *bytes_out, size_t max)
{
	size_t len = from->len < max ? from->len : max;

	memcpy(bytes_out, from->data, len);
	buf_consume(from, len);
	return len;
}

static size_t bytes_read(void *source, char *bytes_out, size_t max)
{
	struct bytes *bytes = source;
	size_t len;

	if (bytes->front.len == 0 && bytes->left == 0 && bytes->ends_line) {
		bytes->ends_line = false;
		(void)buf_append_text(&bytes->front, "\r\n");
	}
	if (bytes->front.len > 0)
		return give(&bytes->front, bytes_out, max);
	if (bytes->left == 0 || (bytes->chunk.len == 0 && !read_chunk(bytes)))
		return 0;
	len = give(&bytes->chunk, bytes_out, max);
	bytes->left -= (int64_t)len;
	return len;
}

static void bytes_free(void *source)
{
	struct bytes *bytes = source;

	buf_release(&bytes->front);
	buf_release(&bytes->chunk);
	mem_free(bytes);
}

/* From the stored byte `from` on. */
static struct bytes *bytes_new(struct call *call, const struct new_message *m, int64_t from)
{
	struct bytes *bytes = mem_zalloc(sizeof(*bytes));

	bytes->readers = call->api->readers;
	bytes->id = m->id;
	bytes->sequence = from / BODY_CHUNK_BYTES;
	bytes->skip = from % BODY_CHUNK_BYTES;
	bytes->left = m->size - from;
	buf_init(&bytes->front, OUTBOUND_HEADER_MAX);
	buf_init(&bytes->chunk, BODY_CHUNK_BYTES);
	return bytes;
}

/* Takes `bytes`. */
static void reply_bytes(struct call *call, struct bytes *bytes)
{
	uint64_t size = bytes->front.len + (uint64_t)bytes->left + (bytes->ends_line ? 2 : 0);
	char disposition[96];
	char id[ULID_TEXT_SIZE];

	ulid_format(&bytes->id, id);
	(void)snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s.eml\"", id);
	http_reply_header(call->http, "Content-Disposition", disposition);
	http_reply_stream(call->http, 200, "message/rfc822", size,
			  &(struct http_source){bytes_read, bytes_free, bytes});
}

void handle_message_raw(struct call *call)
{
	struct message_view view;

	if (message_find_content(call, &view))
		reply_bytes(call, bytes_new(call, &view.m, 0));
}

/* --- the copy that leaves ------------------------------------------------------------------ */

static bool is_recipient(const struct message_view *view, const char *text)
{
	struct address given, stored;
	struct err ignored;

	if (address_parse(span_of(text), &given, &ignored) != ERR_OK)
		return false;
	for (size_t i = 0; i < view->recipient_count; i++)
		if (address_parse(span_of(view->recipients[i].address), &stored, &ignored) ==
			    ERR_OK &&
		    address_equal(&given, &stored))
			return true;
	return false;
}

/* What is asked for. */
struct sent {
	const struct new_message *m;
	const char *recipient; /* whose copy; NULL: that of whoever is on its way */
};

/* The chunks that hold the header section. */
static int read_section(struct call *call, const struct new_message *m, struct buf *out,
			struct err *why)
{
	int code = ERR_OK;

	if (m->header_size > OUTBOUND_SECTION_MAX)
		return err_set(why, ERR_LIMIT, "a header section of %lld bytes can't be rewritten",
			       (long long)m->header_size);
	for (int64_t i = 0; code == ERR_OK && (int64_t)out->len < m->header_size; i++) {
		size_t before = out->len;

		code = queue_body_read(call_reader(call), &m->id, i, out, why);
		if (code == ERR_OK && out->len == before)
			code = err_set(why, ERR_NOT_FOUND, "the message was removed");
	}
	return code;
}

/* What the rules in force say of it; NULL: there are none. They live in the call. */
static const struct rule_matches *ask_rules(struct call *call, const struct new_message *m,
					    struct span section, const struct edition **edition_out)
{
	struct rules *rules = call->api->env.rules;
	struct rule_facts facts;
	struct address sender;

	*edition_out = NULL;
	if (rules == NULL || !rules_are_on(rules))
		return NULL;
	facts = act_facts(m, &sender);
	facts.section = section;
	*edition_out = rules_acquire(rules);
	return rule_match(*edition_out, &facts, call->arena);
}

/* Who gets it by a rule; `recipient`, when there is one, as if it was on its way. */
static int find_let_out(struct call *call, const struct sent *sent, struct outbound_case *at,
			const struct rule_matches *rules, struct err *why)
{
	const struct judge_case judge = {
		.list = at->list, .scope = at->scope, .now = at->now, .rules = rules};
	const struct addressee *rows = NULL;
	struct addressee *all;
	size_t count = 0;
	int code;

	if (!let_out_may_be(rules))
		return ERR_OK;
	code = queue_message_addressees(call_reader(call), &sent->m->id, call->arena, &rows, &count,
					why);
	if (code != ERR_OK)
		return code;
	all = arena_array(call->arena, count + 1, sizeof(*all));
	for (size_t i = 0; i < count; i++)
		all[i] = rows[i];
	if (sent->recipient != NULL)
		all[count++] = (struct addressee){.address = sent->recipient, .released = true};
	at->let_out = let_out_find(&judge, all, count, call->arena);
	return ERR_OK;
}

/* As relay/deliver/worker.c writes it. */
static int write_header(struct call *call, const struct sent *sent, struct span section,
			struct buf *out, struct err *why)
{
	const struct admin_env *env = &call->api->env;
	const struct policy_options *in_force = env->ops->policy_acquire(env->ctx);
	const struct edition *edition;
	const struct rule_matches *rules = ask_rules(call, sent->m, section, &edition);
	const struct policy_options policy =
		rules != NULL ? rule_policy(rules, in_force, call->arena) : *in_force;
	struct outbound_case at = {.policy = &policy,
				   .list = whitelist_acquire(env->whitelist),
				   .scope = span_of(sent->m->scope),
				   .now = clock_steady_wall_ms(),
				   .header_parsed = sent->m->header_parsed};
	struct outbound_count count;
	int code = find_let_out(call, sent, &at, rules, why);

	if (code == ERR_OK &&
	    (buf_append_text(out, sent->m->received_field) != ERR_OK ||
	     outbound_header(&at, span_of(sent->m->added_fields), section, out, &count) != ERR_OK))
		code = err_set(why, ERR_LIMIT, "the header section grows too large");
	whitelist_release(&at.list);
	if (edition != NULL)
		published_release(&edition);
	env->ops->policy_release(env->ctx, in_force);
	return code;
}

/* Delivery ends the last line of a body that does not end one (BDAT, RFC 3030). */
static int look_at_end(struct call *call, const struct new_message *m, struct buf *chunk,
		       bool *ends_line_out, struct err *why)
{
	int code = ERR_OK;

	*ends_line_out = false;
	if (m->size == m->header_size)
		return ERR_OK;
	buf_clear(chunk);
	code = queue_body_read(call_reader(call), &m->id, (m->size - 1) / BODY_CHUNK_BYTES, chunk,
			       why);
	if (code == ERR_OK && chunk->len == 0)
		code = err_set(why, ERR_NOT_FOUND, "the message was removed");
	if (code == ERR_OK)
		*ends_line_out = chunk->data[chunk->len - 1] != '\n';
	return code;
}

static int prepare(struct call *call, const struct sent *sent, struct bytes *bytes, struct err *why)
{
	const struct new_message *m = sent->m;
	struct buf section;
	int code;

	buf_init(&section, OUTBOUND_SECTION_MAX + BODY_CHUNK_BYTES);
	code = read_section(call, m, &section, why);
	if (code == ERR_OK)
		code = write_header(call, sent,
				    span_first(buf_span(&section), (size_t)m->header_size),
				    &bytes->front, why);
	if (code == ERR_OK)
		code = look_at_end(call, m, &section, &bytes->ends_line, why);
	buf_release(&section);
	return code;
}

void handle_message_sent(struct call *call)
{
	const struct admin_ops *ops = call->api->env.ops;
	const char *recipient = call_param(call, "recipient");
	struct message_view view;
	struct bytes *bytes;
	struct err why;
	int code;

	if (!message_find_content(call, &view))
		return;
	if (recipient != NULL && !is_recipient(&view, recipient)) {
		call_problem(call, 404, "the message has no such recipient");
		return;
	}
	if (ops == NULL || ops->policy_acquire == NULL) {
		call_problem(call, 503, "the policy is not known");
		return;
	}
	bytes = bytes_new(call, &view.m, view.m.header_size);
	code = prepare(call, &(struct sent){&view.m, recipient}, bytes, &why);
	if (code == ERR_OK) {
		reply_bytes(call, bytes);
		return;
	}
	bytes_free(bytes);
	if (code == ERR_LIMIT)
		call_problem(call, 409, "%s", why.text);
	else
		call_error(call, code, &why);
}
