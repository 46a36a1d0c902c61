/* admin/handin.c - POST /messages: a message handed in by the API (INTERFACE 4) */
#include "admin/handin.h"

#include <stdatomic.h>
#include <stdio.h>

#include "admin/call.h"
#include "admin/letter.h"
#include "admin/problem.h"
#include "admin/view.h"
#include "base/clock.h"
#include "base/secret.h"
#include "queue/handin.h"

#define KEY_MAX	      255
#define LARGE_BYTES   ((size_t)256 * 1024) /* JSON that is not parsed in a thread of the server's */
#define JSON_SPARE    ((int64_t)1024 * 1024)	   /* for all that is no content */
#define ROOM_BYTES    ((uint64_t)64 * 1024 * 1024) /* of JSON bodies together, or a single one */
#define REFUSED_SHOWN 100
#define ANSWER_MAX    ((size_t)64 * 1024 * 1024)

/* One request. In the call's arena. */
struct work {
	void *handin; /* the relay's; NULL: none */
	bool is_json;
	struct address sender;
	struct address *recipients;
	size_t recipient_count;
	const char *scope;
	json_t *rejected; /* [{address, reason}] */

	/* Idempotency-Key */
	bool has_key;
	unsigned char key[SECRET_SHA256_BYTES];
	unsigned char request[SECRET_SHA256_BYTES];
	struct secret_hash *hash; /* of the request; NULL: no key, or done */
	bool is_past;		  /* the key is known: nothing is handed in */
	struct handin_past past;

	/* JSON */
	size_t reserved;
	struct letter letter;
	int code; /* of parsing it */
	struct err why;
	struct compose *compose;
	struct buf piece;

	struct handin row;
	struct span answer;
};

static const struct handin_ops *ops_of(const struct call *call)
{
	return call->api->env.handin;
}

static void forget(struct call *call)
{
	struct work *work = call->work;

	if (work->handin != NULL)
		ops_of(call)->abort(work->handin);
	secret_hash_free(&work->hash);
	buf_release(&work->piece);
	json_decref(work->rejected);
	atomic_fetch_sub(&call->api->handin_room->bytes, work->reserved);
}

/* --- refusals -------------------------------------------------------------------------------- */

/* What SMTP says in numbers, HTTP says in others: too large, later, never. */
static int status_of(const struct handin_answer *answer)
{
	if (answer->code == 552)
		return 413;
	return answer->code / 100 == 5 ? 422 : 503;
}

static void refuse(struct call *call, const struct handin_answer *answer)
{
	call_problem(call, status_of(answer), "%d %s", answer->code, answer->text);
}

/* Not one of them is taken: each is told why. */
static void refuse_all(struct call *call)
{
	struct work *work = call->work;
	json_t *problem = problem_new(422, "none of the recipients is accepted");
	json_t *one;
	size_t i;

	json_array_foreach(work->rejected, i, one)
	{
		if (i == REFUSED_SHOWN)
			break;
		problem_add(problem, work->is_json ? "/recipients" : "recipient",
			    json_string_value(json_object_get(one, "reason")));
	}
	call_reply_problem(call, 422, problem);
}

/* --- Idempotency-Key ------------------------------------------------------------------------- */

static bool is_key(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len > 0 && len <= KEY_MAX;
}

/* Two callers may choose the same key. */
static void read_key(struct call *call, struct work *work)
{
	size_t count;
	const char *key = http_header(call->http, "Idempotency-Key", &count);
	struct secret_hash *hash;

	if (count == 0)
		return;
	if (count > 1 || !is_key(key)) {
		call_mistake(call, "Idempotency-Key", "1 to %d printable characters, once",
			     KEY_MAX);
		return;
	}
	hash = secret_hash_begin();
	secret_hash_add(hash, span_of(call->caller.actor));
	secret_hash_add(hash, span_make("", 1));
	secret_hash_add(hash, span_of(key));
	secret_hash_end(&hash, work->key);
	work->has_key = true;
	work->hash = secret_hash_begin();
}

static void note_line(struct work *work, const char *text)
{
	secret_hash_add(work->hash, span_of(text));
	secret_hash_add(work->hash, span_of("\n"));
}

/* What of a raw message does not stand in its bytes. */
static void note_envelope(struct work *work)
{
	char text[ADDRESS_TEXT_SIZE];

	if (work->hash == NULL)
		return;
	note_line(work, "message/rfc822");
	note_line(work, work->scope);
	address_format(&work->sender, text);
	note_line(work, text);
	for (size_t i = 0; i < work->recipient_count; i++) {
		address_format(&work->recipients[i], text);
		note_line(work, text);
	}
	note_line(work, "");
}

static void note_bytes(struct work *work, struct span bytes)
{
	if (work->hash != NULL)
		secret_hash_add(work->hash, bytes);
}

static void end_request(struct work *work)
{
	if (work->hash != NULL)
		secret_hash_end(&work->hash, work->request);
}

/* False: the store can't be asked, which was replied. work->is_past: the key is known. */
static bool look_up(struct call *call, struct work *work)
{
	struct err why;
	int code;

	if (!work->has_key)
		return true;
	code = queue_handin_find(call_reader(call), work->key, clock_wall_ms(), call->arena,
				 &work->past, &why);
	work->is_past = code == ERR_OK;
	if (code == ERR_OK || code == ERR_NOT_FOUND)
		return true;
	call_error(call, code, &why);
	return false;
}

/* --- the answer ------------------------------------------------------------------------------ */

static void reply_answer(struct call *call, struct span answer)
{
	json_t *json = json_loadb(answer.data, answer.len, 0, NULL);
	const char *id = json_string_value(json_object_get(json, "id"));
	char location[64];
	struct buf body;

	(void)snprintf(location, sizeof(location), "/api/v1/messages/%.32s", id != NULL ? id : "");
	json_decref(json);
	http_reply_header(call->http, "Location", location);
	buf_init(&body, answer.len);
	(void)buf_append_span(&body, answer);
	http_reply(call->http, 201, "application/json", &body);
	buf_release(&body);
}

static void reply_past(struct call *call)
{
	struct work *work = call->work;

	if (!secret_equal(span_make((const char *)work->past.request, SECRET_SHA256_BYTES),
			  span_make((const char *)work->request, SECRET_SHA256_BYTES))) {
		call_problem(call, 422, "this Idempotency-Key was used for another message");
		return;
	}
	http_reply_header(call->http, "Idempotency-Replayed", "true");
	reply_answer(call, work->past.answer);
}

/* As GET /messages/{id} would show it now. */
static json_t *view_stored(struct arena *arena, const struct new_message *message)
{
	struct message_view view = {.m = *message, .recipient_count = message->recipient_count};
	struct recipient_view *rows = arena_array(arena, view.recipient_count, sizeof(*rows));

	for (size_t i = 0; i < view.recipient_count; i++) {
		const struct new_recipient *from = &message->recipients[i];

		rows[i] = (struct recipient_view){
			.message = message->id,
			.address = from->address,
			.state = from->state,
			.ruling = from->ruling,
			.origin = from->origin,
			.updated_at = message->received_at,
			.next_attempt_at = from->state == STATE_QUEUED ||
							   from->state == STATE_SCREENING
						   ? message->received_at
						   : 0,
		};
		view.by_state[from->state]++;
	}
	view.recipients = rows;
	return view_message(&view, false);
}

/* It is to be stored with its answer: whoever asks again is told the same. */
static void storing(void *ctx, struct new_message *message)
{
	struct call *call = ctx;
	struct work *work = call->work;
	json_t *json = view_stored(call->arena, message);
	struct buf text;

	(void)json_object_set(json, "rejected", work->rejected);
	buf_init(&text, ANSWER_MAX);
	(void)call_write(json, &text); /* a thousand times an address and a reason is far less */
	work->answer = span_make(arena_span_dup(call->arena, buf_span(&text)), text.len);
	buf_release(&text);
	json_decref(json);
	work->row = (struct handin){.actor = call->caller.actor,
				    .key = work->has_key ? work->key : NULL,
				    .request = work->request,
				    .answer = work->answer};
	message->handin = &work->row;
}

static void settled(struct call *call)
{
	struct work *work = call->work;
	struct handin_answer answer;
	int code = ops_of(call)->settle(work->handin, &answer);

	work->handin = NULL;
	/* Somebody else was faster with the same key. */
	if (code == ERR_CONFLICT && !look_up(call, work))
		return;
	if (work->is_past)
		reply_past(call);
	else if (answer.code / 100 == 2)
		reply_answer(call, work->answer);
	else
		refuse(call, &answer);
}

/* --- into the relay -------------------------------------------------------------------------- */

static void resume(void *ctx)
{
	struct call *call = ctx;

	http_resume(call->http);
}

static void finish(struct call *call)
{
	struct work *work = call->work;
	const struct handin_end end = {.storing = storing, .finished = resume, .ctx = call};

	call_give_reader(call);
	call_suspend(call, settled);
	ops_of(call)->finish(work->handin, &end);
}

/* The relay refuses one: the others may still get it, unless it is not up to the recipient. */
static bool name_recipient(struct call *call, const struct address *address)
{
	struct work *work = call->work;
	struct handin_answer answer;
	char text[ADDRESS_TEXT_SIZE];

	if (ops_of(call)->recipient(work->handin, address, &answer))
		return true;
	if (answer.code / 100 != 5) {
		refuse(call, &answer);
		return false;
	}
	address_format(address, text);
	(void)json_array_append_new(work->rejected,
				    json_pack("{s:o, s:o}", "address", view_text(text), "reason",
					      view_text(answer.text)));
	return true;
}

static bool name_all(struct call *call)
{
	struct work *work = call->work;
	size_t limit = 0;
	int64_t bytes;

	ops_of(call)->limits(call->api->env.ctx, &bytes, &limit);
	if (work->recipient_count > limit) {
		call_problem(call, 422, "more than %zu recipients (smtp.max_recipients)", limit);
		return false;
	}
	for (size_t i = 0; i < work->recipient_count; i++)
		if (!name_recipient(call, &work->recipients[i]))
			return false;
	if (json_array_size(work->rejected) < work->recipient_count)
		return true;
	refuse_all(call);
	return false;
}

/* False: replied. Else bytes may come, or it is known already. */
static bool open_relay(struct call *call)
{
	struct work *work = call->work;
	uint64_t bytes = work->is_json ? 0 : http_content_bytes(call->http);
	const struct handin_from from = {.address = http_peer(call->http)->address,
					 .actor = call->caller.actor,
					 .scope = work->scope,
					 .size = bytes > 0 ? (int64_t)bytes : -1};
	struct handin_answer answer;

	work->rejected = json_array();
	if (!look_up(call, work))
		return false;
	if (work->is_past)
		return true;
	work->handin = ops_of(call)->begin(call->api->env.ctx, &from, &work->sender, &answer);
	if (work->handin == NULL) {
		refuse(call, &answer);
		return false;
	}
	if (!name_all(call))
		return false;
	if (ops_of(call)->content(work->handin, &answer))
		return true;
	refuse(call, &answer);
	return false;
}

/* --- a raw message --------------------------------------------------------------------------- */

static void go_on(struct call *call)
{
	(void)call;
}

/* It is taken in any case; what follows waits when the relay has no room. */
static void take_piece(void *ctx, struct http_request *http, struct span bytes)
{
	struct call *call = http_data(http);
	struct work *work = call->work;

	(void)ctx;
	note_bytes(work, bytes);
	if (work->handin == NULL || !ops_of(call)->data(work->handin, bytes))
		return;
	call_suspend(call, go_on);
	ops_of(call)->wait(work->handin, resume, call);
}

static bool read_path(struct call *call, const char *where, const char *text,
		      struct address *address_out)
{
	struct err why;

	if (address_parse(span_of(text), address_out, &why) == ERR_OK)
		return true;
	call_mistake(call, where, "%s", why.text);
	return false;
}

static void read_envelope(struct call *call, struct work *work)
{
	const char *sender = call_param(call, "sender");

	work->scope = call_param_scope(call);
	if (work->scope == NULL)
		work->scope = "";
	if (!call_is_scope(work->scope))
		call_mistake(call, "scope", "only letters, digits, '.', '_' and '-'");
	if (sender == NULL)
		call_mistake(call, "sender", "is needed: an address, or <> for none");
	else if (strcmp(sender, "<>") == 0)
		work->sender = (struct address){.form = ADDRESS_NULL};
	else
		(void)read_path(call, "sender", sender, &work->sender);
	work->recipients =
		arena_array(call->arena, call->repeated_count + 1, sizeof(*work->recipients));
	for (size_t i = 0; i < call->repeated_count; i++)
		if (read_path(call, "recipient", call->repeated[i],
			      &work->recipients[work->recipient_count]))
			work->recipient_count++;
	if (call->repeated_count == 0)
		call_mistake(call, "recipient", "is needed, once for each recipient");
}

static void begin_raw(struct call *call, struct work *work)
{
	read_envelope(call, work);
	if (call_refused(call))
		return;
	note_envelope(work);
	if (open_relay(call))
		http_take_pieces(call->http, take_piece);
}

/* --- JSON ------------------------------------------------------------------------------------ */

/* Only so much at a time is held in memory, but one of any size always is. */
static bool reserve(struct call *call, struct work *work, size_t bytes)
{
	struct handin_room *room = call->api->handin_room;
	uint64_t before = atomic_fetch_add(&room->bytes, bytes);

	work->reserved = bytes;
	if (before == 0 || before + bytes <= ROOM_BYTES)
		return true;
	call_problem(call, 503, "too many large messages are being handed in: try again");
	return false;
}

/* May run in labour: mistakes are told, nothing is answered. */
static void parse(struct call *call)
{
	struct work *work = call->work;
	struct admin_numbers numbers = {.hostname = ""};
	const struct admin_ops *ops = call->api->env.ops;

	note_bytes(work, http_body(call->http));
	work->code = call_parse_body(http_body(call->http), &call->body, &work->why);
	http_drop_body(call->http);
	if (work->code != ERR_OK)
		return;
	if (ops != NULL && ops->numbers != NULL)
		ops->numbers(call->api->env.ctx, &numbers);
	letter_read(call, numbers.hostname[0] != '\0' ? numbers.hostname : call->api->env.hostname,
		    clock_wall_ms(), &work->letter);
}

static void feed(struct call *call)
{
	struct work *work = call->work;

	while (compose_next(work->compose, &work->piece)) {
		bool wait = ops_of(call)->data(work->handin, buf_span(&work->piece));

		buf_clear(&work->piece);
		if (wait) {
			call_give_reader(call);
			call_suspend(call, feed);
			ops_of(call)->wait(work->handin, resume, call);
			return;
		}
	}
	finish(call);
}

static void was_parsed(struct call *call)
{
	struct work *work = call->work;

	if (work->code != ERR_OK) {
		call_problem(call, 400, "%s", work->why.text);
		return;
	}
	if (call_refused(call))
		return;
	end_request(work);
	work->sender = work->letter.sender;
	work->recipients = work->letter.recipients;
	work->recipient_count = work->letter.recipient_count;
	work->scope = work->letter.scope;
	if (!open_relay(call))
		return;
	if (work->is_past) {
		reply_past(call);
		return;
	}
	work->compose = compose_begin(&work->letter.message, call->arena);
	buf_init(&work->piece, COMPOSE_PIECE_MAX);
	feed(call);
}

static void begin_json(struct call *call, struct work *work, size_t body_limit)
{
	uint64_t bytes = http_content_bytes(call->http);

	if (call->param_count > 0 || call->repeated_count > 0)
		call_mistake(call, "", "with JSON, sender, recipients and scope are its members");
	if (call_refused(call))
		return;
	if (work->hash != NULL)
		note_line(work, "application/json");
	/* Of a length that is not known before the end the whole limit is taken for true. */
	if (bytes <= body_limit)
		(void)reserve(call, work, bytes > 0 ? (size_t)bytes : body_limit);
}

/* --- the request ----------------------------------------------------------------------------- */

static bool is_json(const struct call *call)
{
	struct span type = span_of(http_header(call->http, "Content-Type", NULL));

	return span_is_fold(span_trim(span_first(type, span_find(type, ';'))), "application/json");
}

void handin_begin(struct call *call, size_t *body_limit_out)
{
	struct work *work;
	int64_t bytes = 0;
	size_t recipients;

	if (ops_of(call) == NULL) {
		call_problem(call, 503, "this relay takes no messages here");
		return;
	}
	if (!http_has_body(call->http)) {
		call_problem(call, 400, "a message is needed");
		return;
	}
	ops_of(call)->limits(call->api->env.ctx, &bytes, &recipients);
	work = arena_zalloc(call->arena, sizeof(*work));
	call->work = work;
	call->forget = forget;
	work->is_json = is_json(call);
	read_key(call, work);
	if (work->is_json)
		bytes += JSON_SPARE;
	if (bytes < (int64_t)*body_limit_out)
		*body_limit_out = (size_t)bytes;
	if (work->is_json)
		begin_json(call, work, *body_limit_out);
	else
		begin_raw(call, work);
}

void handle_message_create(struct call *call)
{
	struct work *work = call->work;

	if (work->is_json && http_body(call->http).len > LARGE_BYTES) {
		call_labour(call, parse, was_parsed);
	} else if (work->is_json) {
		parse(call);
		was_parsed(call);
	} else {
		end_request(work);
		if (work->is_past)
			reply_past(call);
		else
			finish(call);
	}
}
