/*
 * tests/fuzz/fuzz_session.c - a whole session of relay/smtp over a socketpair, from accept to the
 * last reply, against a client that reads its own words (session_model.h).
 *
 * The first octet chooses the listener and the second one how it ends (the bits below); octet 0xfe
 * cuts the rest into pieces, each of which the server has read and answered before the next is
 * sent. Behind a 220 for STARTTLS the driver makes the handshake; pieces then go inside of TLS.
 */
#include <config.h>

#include <fcntl.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "relay/loop/credential.h"
#include "relay/smtp/auth_pool.h"
#include "relay/smtp/session_state.h"
#include "relay/wire/sasl.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/session_model.h"

/* The first octet's */
#define WITH_TLS     0x01U /* implicit; without it STARTTLS is offered */
#define WITH_PROXY   0x02U
#define WITH_XCLIENT 0x04U
#define WITH_AUTH    0x08U
#define WITH_LMTP    0x10U
#define LISTENERS    32U
/* The second one's */
#define AT_THE_END 0x03U /* 0 or 3: the client closes its side; */
#define VANISH	   1U	 /* the connection breaks */
#define STOP	   2U	 /* the daemon stops */
#define CARELESS   0x04U /* a client that goes on in clear behind STARTTLS */
#define RELOADS	   0x08U /* before each piece the other version of the settings comes into force */

#define CUT	   0xfe
#define QUIET	   3 /* turns of the loop without anything new */
#define FAREWELL   4 /* turns for what the loop still has to free */
#define REPLY_ROOM 8192

/* What all inputs share. */
struct stage {
	struct session_house house; /* first */
	struct smtp_options smtp[2];
	struct version *versions[2];
	struct listener_options listeners[LISTENERS];
	struct session_counters counters;
	SSL_CTX *client; /* context of the client's side */
};

/* One input under way; in the loop thread but for the beginning and the end. */
struct run {
	struct loop_task tick; /* first */
	struct stage *stage;
	struct session_backend backend;
	struct session_model model;
	struct span rest; /* of the input */
	unsigned listener;
	unsigned ending;
	bool careless;
	bool reloads;
	int fd;	  /* the client's end; -1: closed */
	SSL *tls; /* the client's */
	bool handshaking;
	bool finished; /* nothing more will be said by the client */
	bool deaf;     /* careless behind STARTTLS: nothing to understand any more */
	unsigned quiet;
	sem_t *done;
};

/* --- the stage ---------------------------------------------------------------- */

static void on_gone(struct session_house *house, const struct peer_address *counted)
{
	census_leave(house->census, counted);
}

static const char *const networks[] = {"127.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"};

static void fill_options(struct stage *stage)
{
	stage->smtp[0] = (struct smtp_options){.hostname = "relay.test",
					       .max_message_size = 1000,
					       .max_recipients = 3,
					       .max_connections = 100,
					       .max_connections_per_client = 100,
					       .command_timeout_ms = 20000,
					       .data_min_rate = 512,
					       .data_grace_ms = 20000,
					       .auth_delay_ms = 1,
					       .memory_wait_ms = 20000,
					       .max_errors = 10,
					       .max_junk = 20,
					       .max_received = 50};
	stage->smtp[1] = stage->smtp[0];
	stage->smtp[1].max_message_size = 500;
	stage->smtp[1].max_recipients = 2;
	for (unsigned i = 0; i < LISTENERS; i++)
		stage->listeners[i] = (struct listener_options){
			.address = "127.0.0.1:0",
			.tls = (i & WITH_TLS) != 0 ? LISTENER_TLS_IMPLICIT : LISTENER_TLS_STARTTLS,
			.auth = (i & WITH_AUTH) != 0 ? LISTENER_AUTH_ANY : LISTENER_AUTH_OFF,
			.auth_without_tls = true,
			.protocol = (i & WITH_LMTP) != 0 ? LISTENER_LMTP : LISTENER_SMTP,
			.networks = networks,
			.network_count = 3,
			.proxy_protocol = (i & WITH_PROXY) != 0,
			.xclient = (i & WITH_XCLIENT) != 0,
			.trusted = networks,
			.trusted_count = 2};
}

/* The files are needed for as long as it takes to read them. */
static struct version *make_version(struct stage *stage, struct smtp_options *smtp)
{
	char folder[] = "/tmp/fuzz-session-XXXXXX";
	char certificate[64];
	char key[64];
	struct smtp_settings settings = {
		.smtp = smtp, .listeners = stage->listeners, .listener_count = LISTENERS};
	struct version *version;

	assert(mkdtemp(folder) != NULL);
	(void)snprintf(certificate, sizeof(certificate), "%s/certificate", folder);
	(void)snprintf(key, sizeof(key), "%s/key", folder);
	assert(credential_generate(certificate, key, "relay.test", NULL) == ERR_OK);
	smtp->self_signed = (struct certificate_files){certificate, key};
	assert(version_new(&settings, &version, NULL) == ERR_OK);
	smtp->self_signed = (struct certificate_files){NULL, NULL};
	(void)unlink(certificate);
	(void)unlink(key);
	(void)rmdir(folder);
	return version;
}

static struct stage *stage_new(void)
{
	static const struct log_options quiet = {.level = LOG_ERROR};
	struct stage *stage = mem_zalloc(sizeof(*stage));
	struct session_house *house = &stage->house;

	log_configure(&quiet);
	fill_options(stage);
	house->loop = loop_new("fuzz");
	house->backend = &session_backend_ops;
	house->sasl = sasl_library_new();
	assert(auth_pool_new(&house->auth_pool, NULL) == ERR_OK);
	stage->versions[0] = make_version(stage, &stage->smtp[0]);
	stage->versions[1] = make_version(stage, &stage->smtp[1]);
	house->version = version_acquire(stage->versions[0]);
	house->counters = &stage->counters;
	house->census = census_new();
	house->on_gone = on_gone;
	buf_init(&house->scratch, REPLY_ROOM);
	stage->client = SSL_CTX_new(TLS_client_method());
	assert(stage->client != NULL && loop_start(house->loop, NULL) == ERR_OK);
	return stage;
}

/* --- the client ---------------------------------------------------------------- */

static void begin_tls(struct run *run)
{
	run->tls = SSL_new(run->stage->client);
	assert(run->tls != NULL && SSL_set_fd(run->tls, run->fd) == 1);
	SSL_set_connect_state(run->tls);
	run->handshaking = true;
}

/* True: something happened. */
static bool shake_hands(struct run *run)
{
	int result = SSL_do_handshake(run->tls);

	run->handshaking = result != 1;
	if (result != 1) {
		int error = SSL_get_error(run->tls, result);

		assert(error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE);
	}
	ERR_clear_error();
	return result == 1;
}

static ssize_t receive(struct run *run, char *bytes, size_t size)
{
	ssize_t got;

	if (run->tls == NULL) {
		got = recv(run->fd, bytes, size, 0);
		run->model.ended = got == 0;
		return got;
	}
	got = SSL_read(run->tls, bytes, (int)size);
	if (got <= 0)
		run->model.ended = SSL_get_error(run->tls, (int)got) != SSL_ERROR_WANT_READ;
	ERR_clear_error();
	return got;
}

/* True: something came. */
static bool listen_to(struct run *run)
{
	char bytes[4096];
	bool came = false;
	ssize_t got;

	if (run->handshaking)
		return shake_hands(run);
	while (!run->model.ended && (got = receive(run, bytes, sizeof(bytes))) > 0) {
		assert(buf_append(&run->model.output, bytes, (size_t)got) == ERR_OK);
		came = true;
	}
	return came;
}

static void say(struct run *run, struct span bytes)
{
	ssize_t sent;

	if (bytes.len == 0)
		return;
	sent = run->tls != NULL ? SSL_write(run->tls, bytes.data, (int)bytes.len)
				: send(run->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
	/* The server may be done with us. */
	assert(sent == (ssize_t)bytes.len || sent < 0);
	ERR_clear_error();
}

static void hang_up(struct run *run)
{
	SSL_free(run->tls);
	run->tls = NULL;
	(void)close(run->fd);
	run->fd = -1;
	run->quiet = 0;
}

/* --- what the server is doing -------------------------------------------------- */

static struct smtp_session *session_of(const struct run *run)
{
	return run->stage->house.first;
}

/* It waits for the client, and has said all it has to say. */
static bool is_waiting(const struct run *run)
{
	const struct smtp_session *session = session_of(run);

	if (session == NULL || session->stream == NULL)
		return session == NULL;
	switch (session->phase) {
	case PHASE_SECURING: return run->tls == NULL && stream_output_pending(session->stream) == 0;
	case PHASE_PROXY:
	case PHASE_COMMAND:
	case PHASE_SKIP_LINE:
	case PHASE_AUTH:
	case PHASE_DATA:
		return !session->transfer.blocked && !session->output_full &&
		       stream_output_pending(session->stream) == 0;
	default: return false;
	}
}

/* It has read what was sent, unless it is not going to. */
static bool has_read(const struct run *run)
{
	int unread = 0;

	if (run->fd < 0 || run->model.ended || session_of(run) == NULL)
		return true;
	assert(ioctl(run->fd, SIOCOUTQ, &unread) == 0);
	return unread == 0;
}

/* --- one turn ------------------------------------------------------------------- */

static struct span next_piece(struct run *run)
{
	struct span piece = span_cut(&run->rest, (char)CUT);

	if (!run->deaf)
		assert(buf_append_span(&run->model.input, piece) == ERR_OK);
	return piece;
}

/* Version 0 or 1. */
static void reload(struct stage *stage, bool other)
{
	version_release(&stage->house.version);
	stage->house.version = version_acquire(stage->versions[other]);
}

static void go_on(struct run *run)
{
	struct stage *stage = run->stage;

	if (run->reloads)
		reload(stage, stage->house.version == stage->versions[0]);
	say(run, next_piece(run));
	if (run->rest.len == 0 && run->ending == VANISH)
		hang_up(run);
}

static void finish(struct run *run)
{
	struct smtp_session *session = session_of(run);

	run->finished = true;
	if (run->ending == STOP && session != NULL) {
		session_stop(session, true);
		return;
	}
	if (run->tls != NULL)
		(void)SSL_shutdown(run->tls);
	ERR_clear_error();
	(void)shutdown(run->fd, SHUT_WR);
}

static void look_at_replies(struct run *run)
{
	if (run->deaf)
		buf_clear(&run->model.output);
	else if (run->finished && run->ending == STOP)
		session_model_stop(&run->model);
	else
		session_model_check(&run->model);
	if (run->model.ended && !run->finished)
		assert(run->deaf || run->model.state == MODEL_OVER || run->backend.hung_up);
}

static void secure(struct run *run)
{
	session_model_secure(&run->model);
	if (run->careless)
		run->deaf = true;
	else
		begin_tls(run);
}

/* The server waits: check what it said, then the next thing. */
static void act(struct run *run)
{
	look_at_replies(run);
	run->quiet = 0;
	if (run->model.ended)
		hang_up(run);
	else if (run->model.state == MODEL_TLS)
		secure(run);
	else if (run->rest.len > 0 && run->model.state != MODEL_OVER)
		go_on(run);
	else if (!run->finished)
		finish(run);
}

static void check_books(const struct run *run)
{
	const struct session_backend *backend = &run->backend;

	assert(backend->begun == backend->settled + backend->aborted);
	/* Whoever listened to the end has been told of every message. */
	assert(backend->first == NULL || run->deaf || run->ending == VANISH);
}

static void tick(struct loop_task *task)
{
	struct run *run = (struct run *)task;
	bool came = run->fd >= 0 && listen_to(run);
	bool rests = !run->handshaking && is_waiting(run) && has_read(run);

	run->quiet = !came && rests ? run->quiet + 1 : 0;
	if (run->fd >= 0 && run->quiet >= QUIET)
		act(run);
	if (run->fd < 0 && run->quiet >= FAREWELL && session_of(run) == NULL) {
		check_books(run);
		reload(run->stage, false);
		sem_post(run->done);
	} else if (!loop_post(run->stage->house.loop, &run->tick)) {
		assert(!"the loop has been stopped");
	}
}

/* --- the beginning ---------------------------------------------------------------- */

static void accept_client(struct run *run, int fd)
{
	struct session_house *house = &run->stage->house;
	struct session_start start = {.fd = fd, .port = 40000, .listener = run->listener};

	assert(peer_address_parse(span_of("127.0.0.1"), &start.peer) == ERR_OK);
	start.proxied = (run->listener & WITH_PROXY) != 0;
	start.counted = start.peer;
	if (start.proxied)
		start.counted = (struct peer_address){.unknown = true};
	assert(census_enter(house->census, &start.counted, 100, 100) == CENSUS_OK);
	house->backend_ctx = &run->backend;
	session_open(house, &start);
}

static void begin(struct loop_task *task)
{
	struct run *run = (struct run *)task;
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	assert(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
	assert(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
	run->fd = pair[0];
	accept_client(run, pair[1]);
	if ((run->listener & WITH_PROXY) != 0)
		say(run, span_of("PROXY TCP4 192.0.2.1 192.0.2.2 40000 25\r\n"));
	if ((run->listener & WITH_TLS) != 0)
		begin_tls(run);
	run->tick.run = tick;
	tick(task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stage *stage; /* kept: threads and keys are made once */
	struct run run = {.tick = {.run = begin}, .fd = -1};
	struct taken_mail *mail;
	sem_t done;

	if (size < 2)
		return 0;
	if (stage == NULL)
		stage = stage_new();
	run.stage = stage;
	run.rest = span_make((const char *)data + 2, size - 2);
	run.listener = data[0] % LISTENERS;
	run.ending = data[1] & AT_THE_END;
	run.careless = (data[1] & CARELESS) != 0;
	run.reloads = (data[1] & RELOADS) != 0;
	run.done = &done;
	assert(sem_init(&done, 0, 0) == 0);
	session_backend_init(&run.backend, stage->house.loop);
	session_model_init(&run.model, &run.backend, (run.listener & WITH_LMTP) != 0);
	if (!loop_post(stage->house.loop, &run.tick))
		assert(!"the loop has been stopped");
	while (sem_wait(&done) != 0)
		;
	while ((mail = session_backend_next(&run.backend)) != NULL)
		taken_mail_free(&mail);
	session_model_release(&run.model);
	(void)sem_destroy(&done);
	return 0;
}
