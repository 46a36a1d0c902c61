/* tests/bench/load_session.c - one session of the load client: what it says, what it awaits */
#define _GNU_SOURCE

#include "tests/bench/load.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/bench/net.h"

#define FAILURES_LEAST 100 /* past this, and more failures than messages: give up */

static const char *next_rcpt(const struct load *load, uint64_t message, uint64_t n)
{
	const struct options *o = &load->options;

	return o->rcpts[(message * o->recipients + n) % o->rcpt_count];
}

static bool watch(const struct load *load, struct session *session, int operation)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

	if (session->waits_to_write)
		event.events |= EPOLLOUT;
	return epoll_ctl(load->epoll, operation, session->fd, &event) == 0;
}

void session_connect(struct load *load, struct session *session)
{
	const struct sockaddr_in *to = &load->options.to;

	session->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (session->fd < 0)
		net_fail("socket");
	net_no_delay(session->fd);
	if (connect(session->fd, (const struct sockaddr *)to, sizeof(*to)) != 0 &&
	    errno != EINPROGRESS)
		net_fail("connect");
	session->step = load->options.tls == TLS_IMPLICIT ? STEP_CONNECT : STEP_GREETING;
	session->wants_body = false;
	session->waits_to_write = session->step == STEP_CONNECT;
	session->rcpts_answered = 0;
	buf_clear(&session->in);
	buf_clear(&session->out);
	if (!watch(load, session, EPOLL_CTL_ADD))
		net_fail("epoll_ctl");
}

static void disconnect(struct session *session)
{
	SSL_free(session->tls);
	session->tls = NULL;
	close(session->fd);
}

void session_fail(struct load *load, struct session *session, struct span reply)
{
	load->failures++;
	if (load->first_failure[0] == '\0')
		snprintf(load->first_failure, sizeof(load->first_failure), "at step %d: %.*s",
			 (int)session->step, SPAN_ARG(span_first(span_trim(reply), 150)));
	if (load->failures > FAILURES_LEAST && load->failures > load->done) {
		fprintf(stderr, "load: too many failures, the first %s\n", load->first_failure);
		exit(EXIT_FAILURE);
	}
	disconnect(session);
	session_connect(load, session);
}

/* The handshake, from its beginning or on. False: it failed. */
static bool secure(struct load *load, struct session *session)
{
	bool done;

	if (session->tls == NULL)
		session->tls = tls_begin(load->tls, session->fd);
	session->step = STEP_HANDSHAKE;
	if (!tls_go_on(session->tls, &done))
		return false;
	if (!done)
		return true;
	session->step = STEP_GREETING;
	if (load->options.tls == TLS_IMPLICIT)
		return true;
	session->step = STEP_EHLO;
	return buf_append_text(&session->out, "EHLO load.bench.test\r\n") == ERR_OK;
}

bool session_flush(struct load *load, struct session *session)
{
	struct iovec parts[2] = {{session->out.data, session->out.len}, {NULL, 0}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	bool was_waiting = session->waits_to_write;
	ssize_t sent;

	if (session->wants_body)
		parts[1] = (struct iovec){load->body.data + session->body_sent,
					  load->body.len - session->body_sent};
	sent = session->tls != NULL ? tls_send(session->tls, parts, 2)
				    : sendmsg(session->fd, &message, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return false;
	if (sent > 0) {
		size_t head = (size_t)sent < session->out.len ? (size_t)sent : session->out.len;

		buf_consume(&session->out, head);
		session->body_sent += (size_t)sent - head;
	}
	if (session->wants_body && session->body_sent == load->body.len)
		session->wants_body = false;
	session->waits_to_write = session->out.len > 0 || session->wants_body;
	return session->waits_to_write == was_waiting || watch(load, session, EPOLL_CTL_MOD);
}

void session_start_message(struct load *load, struct session *session, int64_t due_us)
{
	const struct options *o = &load->options;

	session->started_us = due_us;
	if (o->handshakes) {
		session->counts = true;
		load->started++;
		disconnect(session);
		session_connect(load, session);
		return;
	}
	session->rcpts_answered = 0;
	session->step = STEP_MAIL;
	(void)buf_printf(&session->out, "MAIL FROM:<%s>\r\n", o->from);
	if (o->pipelining) {
		for (uint64_t i = 0; i < o->recipients; i++)
			(void)buf_printf(&session->out, "RCPT TO:<%s>\r\n",
					 next_rcpt(load, load->started, i));
		(void)buf_append_text(&session->out, "DATA\r\n");
	}
	load->started++;
	if (!session_flush(load, session))
		session_fail(load, session, span_of("the connection broke"));
}

static void record(struct load *load, const struct session *session)
{
	int64_t now = clock_mono_us();
	int64_t took = now - session->started_us;

	if (load->done == load->room) {
		load->room = load->room > 0 ? 2 * load->room : 4096;
		load->latencies_us =
			mem_regrow(load->latencies_us, load->room, sizeof(*load->latencies_us));
	}
	load->latencies_us[load->done++] = took > 0 ? (uint32_t)took : 0;
	load->end_us = now;
}

static void become_ready(struct load *load, struct session *session)
{
	if (session->counts)
		record(load, session);
	session->step = STEP_READY;
	load->ready[load->ready_count++] = session;
}

static void after_message(struct load *load, struct session *session)
{
	record(load, session);
	if (!load->options.fresh) {
		become_ready(load, session);
		return;
	}
	if (session->tls == NULL)
		(void)send(session->fd, "QUIT\r\n", 6, MSG_NOSIGNAL);
	else
		(void)SSL_write(session->tls, "QUIT\r\n", 6);
	disconnect(session);
	session_connect(load, session);
}

static void send_rcpt_or_data(struct load *load, struct session *session)
{
	bool more = session->rcpts_answered < load->options.recipients;

	session->step = more ? STEP_RCPT : STEP_DATA;
	if (load->options.pipelining)
		return;
	if (more)
		(void)buf_printf(&session->out, "RCPT TO:<%s>\r\n",
				 next_rcpt(load, load->started - 1, session->rcpts_answered));
	else
		(void)buf_append_text(&session->out, "DATA\r\n");
}

static void send_body(struct session *session)
{
	session->step = STEP_BODY;
	session->wants_body = true;
	session->body_sent = 0;
	(void)buf_printf(&session->out, "Message-ID: <%p.%" PRId64 "@bench.test>\r\n",
			 (void *)session, session->started_us);
}

/* `line` is the last line of a reply. False: not what was expected. */
static bool on_reply(struct load *load, struct session *session, struct span line)
{
	char expected = session->step == STEP_DATA ? '3' : '2';

	load->last_reply_ms = clock_mono_ms();
	if (line.len < 3 || line.data[0] != expected)
		return false;
	switch (session->step) {
	case STEP_GREETING:
		session->step = STEP_EHLO;
		return buf_append_text(&session->out, "EHLO load.bench.test\r\n") == ERR_OK;
	case STEP_EHLO:
		if (load->options.tls == TLS_STARTTLS && session->tls == NULL) {
			session->step = STEP_STARTTLS;
			return buf_append_text(&session->out, "STARTTLS\r\n") == ERR_OK;
		}
		become_ready(load, session);
		return true;
	case STEP_STARTTLS: return secure(load, session);
	case STEP_MAIL: send_rcpt_or_data(load, session); return true;
	case STEP_RCPT:
		session->rcpts_answered++;
		send_rcpt_or_data(load, session);
		return true;
	case STEP_DATA: send_body(session); return true;
	case STEP_BODY: after_message(load, session); return true;
	case STEP_CONNECT:
	case STEP_HANDSHAKE:
	case STEP_READY: break;
	}
	return false;
}

static bool on_replies(struct load *load, struct session *session, struct span *bad_out)
{
	int fd = session->fd;
	size_t end;

	while (session->fd == fd && session->in.len > 0 &&
	       (end = span_find(buf_span(&session->in), '\n')) < session->in.len) {
		struct span line = span_first(buf_span(&session->in), end);
		bool last = line.len < 4 || line.data[3] != '-';

		if (last && !on_reply(load, session, line)) {
			*bad_out = line;
			return false;
		}
		if (session->in.len > end) /* a fresh connection starts with nothing */
			buf_consume(&session->in, end + 1);
	}
	return true;
}

void session_on_readable(struct load *load, struct session *session)
{
	struct span bad = span_of("the connection broke");
	char *room = buf_reserve(&session->in, 4096);
	ssize_t got = -1;

	errno = EIO;
	if (room != NULL && session->tls != NULL)
		got = tls_receive(session->tls, room, 4096);
	else if (room != NULL)
		got = recv(session->fd, room, 4096, 0);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got > 0)
		buf_fill(&session->in, (size_t)got);
	if (got <= 0 || !on_replies(load, session, &bad))
		session_fail(load, session, bad);
	else if (!session->waits_to_write && session->step != STEP_READY &&
		 (session->out.len > 0 || session->wants_body) && !session_flush(load, session))
		session_fail(load, session, span_of("the connection broke"));
}

void session_on_handshake(struct load *load, struct session *session)
{
	bool was_connecting = session->step == STEP_CONNECT;

	session->waits_to_write = false;
	if ((was_connecting && !watch(load, session, EPOLL_CTL_MOD)) || !secure(load, session))
		session_fail(load, session, span_of("the handshake failed"));
	else if (session->out.len > 0 && !session_flush(load, session))
		session_fail(load, session, span_of("the connection broke"));
}
