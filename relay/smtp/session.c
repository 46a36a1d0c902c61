/* relay/smtp/session.c - one client's connection: its life, its input line by line, its replies */
#include "relay/smtp/session.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "relay/smtp/auth.h"
#include "relay/smtp/command.h"
#include "relay/smtp/hold.h"
#include "relay/smtp/proxy.h"
#include "relay/smtp/starttls.h"
#include "relay/smtp/xclient.h"
#include "relay/wire/reply.h"

#define INPUT_MAX     (64 * 1024)
#define OUTPUT_MAX    (64 * 1024)
#define OUTPUT_LOW    (16 * 1024)
#define REPLY_ROOM    (8 * 1024) /* no command is looked at with less room than this */
#define LINGER_MS     2000
#define SKIP_LINE_MAX (16 * 1024 * 1024) /* a line that never ends */

/* --- replies ------------------------------------------------------------- */

static void end(struct smtp_session *session, bool flush, const char *reason);

static void write_reply(struct smtp_session *session, int code, const char *enhanced,
			const char *text)
{
	struct buf *scratch = &session->house->scratch;

	if (session->stream == NULL)
		return;
	buf_clear(scratch);
	if (reply_format(scratch, code, enhanced, span_of(text)) == ERR_OK)
		session_write(session, buf_span(scratch));
	else
		end(session, false, "a reply could not be made");
}

void session_write(struct smtp_session *session, struct span bytes)
{
	if (stream_write(session->stream, bytes) != ERR_OK)
		end(session, false, "the client does not read its replies");
}

void session_reply(struct smtp_session *session, int code, const char *enhanced, const char *text)
{
	write_reply(session, code, enhanced, text);
	if (code == 421)
		session_close(session, text);
}

void session_answer(struct smtp_session *session, const struct smtp_answer *answer)
{
	if (answer->delay_ms > 0 && session->stream != NULL && !session->stopping)
		hold_begin(session, answer, NULL);
	else if (answer->disconnect)
		session_close(session, "disconnected on demand");
	else
		session_reply(session, answer->code, answer->enhanced, answer->text);
}

void session_refuse(struct smtp_session *session, int code, const char *enhanced, const char *text)
{
	if (++session->errors > options_of(session)->max_errors)
		session_reply(session, 421, "4.7.0", "Too many errors");
	else
		session_reply(session, code, enhanced, text);
}

bool session_count_junk(struct smtp_session *session)
{
	if (++session->junk <= options_of(session)->max_junk)
		return true;
	session_reply(session, 421, "4.7.0", "Too many commands without a message");
	return false;
}

/* --- life ---------------------------------------------------------------- */

void session_reset(struct smtp_session *session)
{
	void *transaction = session->transaction;

	session->transaction = NULL;
	session->recipients = 0;
	session->in_vain = 0;
	xforward_forget(session);
	session->rcpt_refused = false;
	session->smtputf8 = false;
	if (session->stage == STAGE_CHUNK) {
		loop_timer_stop(&session->clock);
		transfer_leave(session);
	}
	if (session->stage != STAGE_START)
		session->stage = STAGE_READY;
	if (transaction != NULL)
		session->house->backend->abort(transaction);
}

/* Part with the connection. The session itself goes in reap(). */
static void end(struct smtp_session *session, bool flush, const char *reason)
{
	if (session->stream == NULL)
		return;
	transfer_leave(session);
	if (session->phase == PHASE_DATA || session->stage == STAGE_CHUNK)
		log_info("aborted", LOG_S("session", session->client.session),
			 LOG_S("client", session->client.address), LOG_S("reason", reason),
			 LOG_I("bytes", session->transfer.octets));
	log_debug("disconnected", LOG_S("session", session->client.session),
		  LOG_S("client", session->client.address), LOG_S("reason", reason),
		  LOG_I("in", stream_bytes_in(session->stream)),
		  LOG_I("out", stream_bytes_out(session->stream)));
	if (flush)
		stream_close(&session->stream, LINGER_MS);
	else
		stream_free(&session->stream);
	loop_timer_stop(&session->clock);
	reverse_forget(&session->naming);
	session->phase = PHASE_GONE;
	hold_forget(session);
	auth_drop(session);
	if (!session->awaits_settle)
		session_reset(session);
}

void session_close(struct smtp_session *session, const char *reason)
{
	end(session, true, reason);
}

static void unlink_session(struct smtp_session *session)
{
	struct session_house *house = session->house;

	if (session->previous != NULL)
		session->previous->next = session->next;
	else
		house->first = session->next;
	if (session->next != NULL)
		session->next->previous = session->previous;
	house->count--;
}

/* Every callback ends with this: the only place that frees a session. */
static void reap(struct smtp_session *session)
{
	struct session_house *house = session->house;
	struct peer_address counted = session->counted;

	if (session->stream != NULL || session->awaits_settle || session->awaits_check)
		return;
	unlink_session(session);
	xforward_forget(session);
	starttls_forget_client(session);
	version_release(&session->version);
	mem_free(session);
	house->on_gone(house, &counted);
}

struct smtp_session *session_next(const struct smtp_session *session)
{
	return session->next;
}

/* --- versions of the options ---------------------------------------------- */

void session_name_listener(struct smtp_session *session)
{
	const struct listener_options *listener = listener_of(session);
	const char *scope = starttls_scope(session);

	if (scope == NULL)
		scope = listener->scope != NULL ? listener->scope : "";
	session->client.listener = listener->address;
	session->client.scope = session->user_scope[0] != '\0' ? session->user_scope : scope;
}

void session_adopt_version(struct smtp_session *session)
{
	if (session->version == session->house->version || session->transaction != NULL)
		return;
	/* A login is checked with the version's users; a handshake uses its certificates. */
	if (session->auth != NULL || session->phase == PHASE_SECURING)
		return;
	version_release(&session->version);
	session->version = version_acquire(session->house->version);
	session_name_listener(session);
	auth_renew(session);
}

const struct smtp_options *smtp_session_options(const struct smtp_session *session)
{
	return options_of(session);
}

const void *smtp_session_backend_options(const struct smtp_session *session)
{
	return session->version->settings.backend;
}

/* --- input ---------------------------------------------------------------- */

/* A client that starts TLS where none is spoken would wait for ever: tell it. */
static bool is_tls_hello(struct span input)
{
	return input.len >= 2 && input.data[0] == 0x16 && input.data[1] == 0x03;
}

/* The line without its line end. A bare LF ends a command too: clients differ, nothing hangs on it.
 */
static struct span strip_line_end(struct span line)
{
	line.len--;
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void begin_skip(struct smtp_session *session)
{
	session->phase = PHASE_SKIP_LINE;
	session->skipped = 0;
}

/* A line that may hold a secret, an AUTH command or what follows it: nothing of it stays. */
static bool take_secret_line(struct smtp_session *session)
{
	struct span seen = span_first(stream_input(session->stream), AUTH_LINE_MAX);
	size_t lf = span_find(seen, '\n');
	char *copy;
	struct span line;

	if (lf == seen.len) {
		if (seen.len < AUTH_LINE_MAX)
			return false;
		auth_drop(session);
		begin_skip(session);
		return true;
	}
	copy = mem_span_dup(span_first(seen, lf + 1));
	stream_consume_secret(session->stream, lf + 1);
	line = strip_line_end(span_make(copy, lf + 1));
	session->deadline_set = false;
	session_adopt_version(session);
	if (session->phase == PHASE_AUTH)
		auth_take_line(session, line);
	else
		verb_run(session, line);
	secret_wipe(copy, lf + 1);
	mem_free(copy);
	return true;
}

static bool take_command(struct smtp_session *session)
{
	struct span input = stream_input(session->stream);
	struct span seen = span_first(input, COMMAND_LINE_MAX);
	size_t lf = span_find(seen, '\n');
	char line[COMMAND_LINE_MAX];

	if (auth_is_command(span_first(seen, lf)))
		return take_secret_line(session);
	if (lf == seen.len) {
		if (is_tls_hello(input)) {
			session_reply(session, 554, "5.5.1", "TLS is not spoken here");
			session_close(session, "TLS on a plain port");
		} else if (seen.len == COMMAND_LINE_MAX && command_announces_octets(seen)) {
			verb_hang_up_on_content(session);
		} else if (seen.len == COMMAND_LINE_MAX) {
			begin_skip(session);
			return true;
		}
		return false;
	}
	/* A copy: what the command writes may move the stream's buffers. */
	memcpy(line, seen.data, lf + 1);
	stream_consume(session->stream, lf + 1);
	session->deadline_set = false;
	session_adopt_version(session);
	verb_run(session, strip_line_end(span_make(line, lf + 1)));
	return true;
}

static bool skip_line(struct smtp_session *session)
{
	struct span input = stream_input(session->stream);
	size_t lf = span_find(input, '\n');

	if (input.len == 0)
		return false;
	if (lf == input.len) {
		session->skipped += input.len;
		stream_consume_secret(session->stream, input.len);
		if (session->skipped > SKIP_LINE_MAX) {
			session_reply(session, 421, "4.7.0", "A line without end");
			return false;
		}
		return true;
	}
	stream_consume_secret(session->stream, lf + 1);
	session->phase = PHASE_COMMAND;
	session->deadline_set = false;
	session_refuse(session, 500, "5.5.6", "Line too long");
	return true;
}

/* Replies pile up when the client does not read them: then we do not read either (S078). */
static bool has_output_room(struct smtp_session *session)
{
	if (stream_output_room(session->stream) >= REPLY_ROOM)
		return true;
	session->output_full = true;
	stream_pause(session->stream);
	return false;
}

/* What the client sent ahead of our answers does not begin anything any more. */
static bool say_stopping(struct smtp_session *session)
{
	session_reply(session, 421, "4.3.2", "Shutting down");
	return false;
}

/* One bite of input. False: nothing more can be done now. */
static bool step(struct smtp_session *session)
{
	switch (session->phase) {
	case PHASE_PROXY: return proxy_step(session);
	case PHASE_GREETING:
		if (stream_input(session->stream).len > 0)
			opening_refuse_early(session);
		return false;
	case PHASE_COMMAND:
		if (session->stopping && session->stage != STAGE_CHUNK)
			return say_stopping(session);
		return has_output_room(session) && take_command(session);
	case PHASE_SKIP_LINE: return skip_line(session);
	case PHASE_AUTH: return has_output_room(session) && take_secret_line(session);
	case PHASE_DATA: return transfer_step(session);
	case PHASE_ANSWERS:
		if (!has_output_room(session))
			return false;
		transfer_answer(session);
		return true;
	case PHASE_SECURING:
	case PHASE_NAMING:
	case PHASE_HOLD:
	case PHASE_CHECK:
	case PHASE_VERDICT:
	case PHASE_GONE: break;
	}
	return false;
}

/* A total deadline for each command: it does not move while octets trickle in (S073). */
static void set_deadline(struct smtp_session *session)
{
	bool waits = session->phase == PHASE_COMMAND || session->phase == PHASE_SKIP_LINE ||
		     session->phase == PHASE_AUTH;

	if (!waits || session->deadline_set)
		return;
	session->deadline_set = true;
	stream_deadline(session->stream, options_of(session)->command_timeout_ms);
}

void session_pump(struct smtp_session *session)
{
	while (session->stream != NULL && step(session))
		;
	/* What the client sent before it closed has been looked at, all of it. */
	if (session->stream != NULL && session->peer_closed && session->phase != PHASE_VERDICT &&
	    session->phase != PHASE_CHECK && !session->transfer.blocked && !session->output_full)
		session_close(session, "the client closed the connection");
	if (session->stream != NULL)
		set_deadline(session);
	reap(session);
}

/* --- callbacks ------------------------------------------------------------ */

static void on_input(void *ctx)
{
	session_pump(ctx);
}

static void on_drained(void *ctx)
{
	struct smtp_session *session = ctx;

	if (!session->output_full)
		return;
	session->output_full = false;
	stream_resume(session->stream);
	session_pump(session);
}

static void on_end(void *ctx, int code, const char *why)
{
	struct smtp_session *session = ctx;

	if (code == ERR_CLOSED) {
		session->peer_closed = true;
		session_pump(session);
		return;
	}
	if (session->phase == PHASE_SECURING)
		starttls_failed(session, why);
	if (session->phase == PHASE_PROXY)
		proxy_refuse(session, code == ERR_TIMEOUT ? "no PROXY header in time" : why);
	else if (code == ERR_TIMEOUT)
		session_reply(session, 421, "4.4.2", "Timeout");
	end(session, code == ERR_TIMEOUT, why);
	reap(session);
}

static void on_secured(void *ctx)
{
	starttls_secured(ctx);
	session_pump(ctx);
}

static const struct stream_ops stream_callbacks = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_end = on_end,
	.on_secured = on_secured,
};

static void on_clock(struct loop_timer *timer)
{
	struct smtp_session *session =
		(struct smtp_session *)((char *)timer - offsetof(struct smtp_session, clock));

	if (session->phase == PHASE_GREETING)
		opening_greet(session);
	else if (session->phase == PHASE_NAMING)
		opening_on_clock(session);
	else if (session->phase == PHASE_HOLD)
		hold_end(session);
	else if (session->phase == PHASE_CHECK)
		auth_on_clock(session);
	else if (session->phase == PHASE_DATA || session->stage == STAGE_CHUNK)
		transfer_on_clock(session);
	session_pump(session);
}

static void on_finished(struct loop_task *task)
{
	struct smtp_session *session =
		(struct smtp_session *)((char *)task - offsetof(struct smtp_session, finished));

	transfer_finished(session);
	session_pump(session);
}

void smtp_session_finished(struct smtp_session *session)
{
	bool posted = loop_post(session->house->loop, &session->finished);

	/* smtp_front_stop waits for every final dot, and the loops outlive the front. */
	assert(posted);
	(void)posted;
}

/* --- beginning and end ---------------------------------------------------- */

static void link_session(struct smtp_session *session)
{
	struct session_house *house = session->house;

	session->next = house->first;
	if (house->first != NULL)
		house->first->previous = session;
	house->first = session;
	house->count++;
}

void session_open(struct session_house *house, const struct session_start *start)
{
	/* Who takes no octet of his replies for so long is as gone as who says nothing (S078). */
	const struct stream_options stream_options = {
		.input_max = INPUT_MAX,
		.output_max = OUTPUT_MAX,
		.low_water = OUTPUT_LOW,
		.write_deadline_ms = house->version->settings.smtp->command_timeout_ms};
	struct smtp_session *session = mem_zalloc(sizeof(*session));
	unsigned char id[8];

	session->house = house;
	session->version = version_acquire(house->version);
	session->listener = start->listener;
	session->peer = start->peer;
	session->counted = start->counted;
	session->proxied = start->proxied;
	session->stage = STAGE_START;
	secret_random(id, sizeof(id));
	secret_hex(id, sizeof(id), session->client.session);
	peer_address_format(&start->peer, session->client.address);
	session->client.port = start->port;
	session_name_listener(session);
	session->client.lmtp = listener_of(session)->protocol == LISTENER_LMTP;
	session->finished.run = on_finished;
	loop_timer_init(&session->clock, house->loop, on_clock);
	session->stream =
		stream_new(house->loop, start->fd, &stream_options, &stream_callbacks, session);
	link_session(session);
	opening_begin(session);
	if (session->stream != NULL)
		set_deadline(session);
	reap(session);
}

void session_stop(struct smtp_session *session, bool now)
{
	session->stopping = true;
	switch (session->phase) {
	case PHASE_PROXY:
		session_close(session, "shutting down");
		now = false;
		break;
	case PHASE_SECURING:
	case PHASE_NAMING:
	case PHASE_GREETING:
	case PHASE_AUTH:
	case PHASE_CHECK:
	case PHASE_COMMAND:
	case PHASE_SKIP_LINE: now = now || session->stage != STAGE_CHUNK; break;
	case PHASE_HOLD:
		hold_cut(session);
		now = session->phase != PHASE_ANSWERS;
		break;
	case PHASE_DATA:
	case PHASE_ANSWERS: break;
	case PHASE_VERDICT:
	case PHASE_GONE: now = false; break;
	}
	if (now)
		(void)say_stopping(session);
	if (session->phase == PHASE_ANSWERS)
		session_pump(session);
	else
		reap(session);
}
