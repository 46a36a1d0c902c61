/*
 * tests/fuzz/fuzz_hop.c - relay/deliver/carry.c between libesmtp and a next hop that says
 * anything: what reaches it, and what becomes of each recipient, against its own words.
 *
 * The first octet chooses protocol, PIPELINING and the number of recipients (the bits below);
 * octet 0xfe cuts the rest into pieces, each of which is said when the relay waits for it. Then
 * the next hop closes.
 */
#include <config.h> /* memmem */

#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/deliver/carry.h"
#include "relay/deliver/outcome.h"
#include "tests/fuzz/fuzz.h"

#define WITH_LMTP	0x01U
#define WITH_PIPELINING 0x02U
#define RECIPIENTS	0x0cU /* less one */

#define CUT	    0xfe
#define QUIET	    3 /* turns of the loop without anything new */
#define MOST	    4
#define ROOM	    (64 * 1024)
#define REPLIES	    64
#define DEADLINE    60000
#define HEADER	    "a: b\r\n\r\n"
#define BODY	    "x\r\n"
#define WIRE_BODY   HEADER BODY ".\r\n"
#define FROM_WORKER "Date: x\r\n\r\n" BODY ".\r\n"

/* What all inputs share. */
struct stage {
	struct loop *loop;
	struct whitelist *list;
	struct delivery_options options;
	struct policy_options policy;
	struct claimed_message message;
};

/* One input; in the loop thread but for the beginning and the end. */
struct run {
	struct loop_task tick; /* first */
	struct stage *stage;
	struct route_options route;
	struct claimed_recipient claimed[MOST];
	char addresses[MOST][16];
	struct job *job;
	struct hop_caps caps;
	struct carry carry;
	struct stream *far;
	struct reply_parser parser;
	int near_fd, hop_fd; /* libesmtp's end, and the next hop's; -1: closed */
	struct span rest;    /* of the input */
	struct buf said;     /* by the next hop */
	struct buf heard;    /* by it */
	struct buf answers;  /* to libesmtp */
	bool body_given, over;
	unsigned quiet;
	sem_t done;
};

/* --- the uplink's part ------------------------------------------------------------ */

static void on_over(void *ctx, bool clean)
{
	struct run *run = ctx;

	(void)clean;
	run->over = true;
	stream_free(&run->far);
}

static void on_broken(void *ctx)
{
	on_over(ctx, false);
}

static void on_far_input(void *ctx)
{
	struct run *run = ctx;

	while (run->far != NULL && stream_input(run->far).len > 0) {
		struct span input = stream_input(run->far);
		size_t before = input.len;
		bool complete = false;
		struct err why;
		int code = reply_parser_feed(&run->parser, &input, &complete, &why);

		stream_consume(run->far, before - input.len);
		if (code < 0)
			carry_break(&run->carry, code, why.text);
		else if (complete)
			carry_on_reply(&run->carry, &run->parser.reply);
	}
}

static void on_far_drained(void *ctx)
{
	carry_on_drained(&((struct run *)ctx)->carry);
}

static void on_far_end(void *ctx, int code, const char *why)
{
	carry_break(&((struct run *)ctx)->carry, code, why);
}

/* --- the two who talk ---------------------------------------------------------------- */

/* True: something came. */
static bool listen_to(int fd, struct buf *out)
{
	char bytes[4096];
	bool came = false;
	ssize_t got;

	while (fd >= 0 && (got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		assert(buf_append(out, bytes, (size_t)got) == ERR_OK);
		came = true;
	}
	return came;
}

static void say(int fd, struct span text)
{
	ssize_t sent = send(fd, text.data, text.len, MSG_NOSIGNAL);

	assert(sent == (ssize_t)text.len || sent < 0); /* the other may be gone */
}

static bool holds(const struct buf *text, const char *what)
{
	return text->len > 0 && memmem(text->data, text->len, what, strlen(what)) != NULL;
}

/* libesmtp sends the envelope in one piece and the message behind 354. */
static void say_envelope(struct run *run)
{
	struct buf text;

	buf_init(&text, 1024);
	buf_append_text(&text, "EHLO x\r\nMAIL FROM:<>\r\n");
	for (size_t i = 0; i < run->job->count; i++)
		buf_printf(&text, "RCPT TO:<%s>\r\n", run->addresses[i]);
	buf_append_text(&text, "DATA\r\n");
	say(run->near_fd, buf_span(&text));
	buf_release(&text);
}

static void give_body(struct run *run)
{
	run->body_given = true;
	say(run->near_fd, span_of(FROM_WORKER));
}

static void go_on(struct run *run)
{
	struct span piece = span_cut(&run->rest, (char)CUT);

	run->quiet = 0;
	if (piece.len > 0) {
		assert(buf_append_span(&run->said, piece) == ERR_OK);
		say(run->hop_fd, piece);
	} else if (run->rest.len == 0) {
		(void)shutdown(run->hop_fd, SHUT_WR);
	}
}

static void tick(struct loop_task *task)
{
	struct run *run = (struct run *)task;
	bool came = listen_to(run->near_fd, &run->answers);

	came |= listen_to(run->hop_fd, &run->heard);
	if (!run->body_given && holds(&run->answers, "354 stagepost\r\n"))
		give_body(run);
	run->quiet = came ? 0 : run->quiet + 1;
	if (!run->over && run->quiet >= QUIET)
		go_on(run);
	if (run->over && run->quiet >= QUIET) {
		carry_release(&run->carry);
		sem_post(&run->done);
	} else if (!loop_post(run->stage->loop, &run->tick)) {
		assert(!"the loop has been stopped");
	}
}

/* --- what must hold ------------------------------------------------------------------- */

/* The codes of its replies, in their order; what comes behind nonsense is not one. */
static size_t read_codes(struct run *run, int codes[REPLIES])
{
	struct span rest = buf_span(&run->said);
	struct reply_parser parser;
	size_t count = 0;
	bool complete = true;
	struct err why;

	memset(codes, 0, REPLIES * sizeof(codes[0]));
	reply_parser_init(&parser);
	while (complete && count < REPLIES) {
		complete = false;
		if (reply_parser_feed(&parser, &rest, &complete, &why) < 0)
			break;
		if (complete)
			codes[count++] = parser.reply.code;
	}
	reply_parser_release(&parser);
	return count;
}

static bool is_yes(int code)
{
	return code / 100 == 2;
}

/* What libesmtp makes of its answers: one for each RCPT, 354, the last one. */
static void form_view(struct run *run)
{
	struct job *job = run->job;
	struct span rest = buf_span(&run->answers);

	for (size_t i = 0; rest.len >= 3; i++) {
		struct span line = span_cut(&rest, '\n');
		uint64_t code = 0;

		assert(span_to_u64(span_first(line, 3), 599, &code) == ERR_OK);
		if (i < job->count) {
			job->recipients[i].esmtp_code = (int)code;
			job->recipients[i].esmtp_complete = true;
		} else if (i <= job->count + 1 && code != 221) {
			job->esmtp.transfer_code = (int)code;
		}
	}
	job->esmtp.ran = true;
}

/* P1: the envelope as it was judged, DATA for somebody, and nothing of the message before 354. */
static bool check_wire(const struct run *run, const int codes[REPLIES])
{
	size_t count = run->job->count;
	struct span rest = buf_span(&run->heard);
	bool accepted = false;
	char want[64];

	for (size_t i = 0; i < count + 1; i++) {
		struct span line = span_cut(&rest, '\n');

		if (i == 0)
			(void)snprintf(want, sizeof(want), "MAIL FROM:<>\r");
		else
			(void)snprintf(want, sizeof(want), "RCPT TO:<%s>\r", run->addresses[i - 1]);
		assert(line.len == 0 || span_is(line, want));
		accepted |= i > 0 && is_yes(codes[i]);
	}
	if (rest.len == 0)
		return false;
	assert(span_is(span_cut(&rest, '\n'), "DATA\r") && is_yes(codes[0]) && accepted);
	assert(rest.len == 0 || codes[count + 1] == 354);
	assert(span_equal(rest, span_first(span_of(WIRE_BODY), rest.len)));
	return rest.len == strlen(WIRE_BODY);
}

/* P3, P4: its own words decide, and doubt is where it heard the end and said nothing. */
static void check_outcomes(struct run *run, const int codes[REPLIES], bool ended)
{
	struct job *job = run->job;
	size_t last = job->count + 2;

	for (size_t i = 0; i < job->count; i++) {
		int to_rcpt = codes[i + 1];
		int final = codes[last];
		struct outcome outcome;

		outcome_decide(job, &job->recipients[i], &outcome);
		if (outcome.transition == TRANSITION_DELIVER)
			assert(ended && is_yes(codes[0]) && is_yes(to_rcpt) && is_yes(final));
		if (outcome.transition == TRANSITION_FAIL)
			assert(codes[0] / 100 == 5 || to_rcpt / 100 == 5 ||
			       codes[job->count + 1] / 100 == 5 || (ended && final / 100 == 5));
		if (outcome.in_doubt)
			assert(ended && is_yes(to_rcpt));
		if (ended && is_yes(to_rcpt) && final == 0)
			assert(outcome.in_doubt);
		assert(outcome.transition != TRANSITION_DROP);
		if (job_is_lmtp(job) && is_yes(to_rcpt))
			last++;
	}
}

static void check(struct run *run)
{
	int codes[REPLIES];

	(void)read_codes(run, codes);
	form_view(run);
	check_outcomes(run, codes, check_wire(run, codes));
}

/* --- beginning and end ------------------------------------------------------------------- */

static struct stage *stage_new(void)
{
	static const struct entry entry = {.id = 1,
					   .pattern = "ok.test",
					   .kind = ENTRY_DOMAIN,
					   .action = ENTRY_ALLOW,
					   .scope = ""};
	struct stage *stage = mem_zalloc(sizeof(*stage));
	size_t bad;

	stage->list = whitelist_new();
	whitelist_load_begin(stage->list);
	whitelist_load_add(stage->list, &entry);
	whitelist_load_end(stage->list, 1, &bad);
	stage->policy.bounce_to = "";
	stage->options.policy = &stage->policy;
	stage->message = (struct claimed_message){.sender = "", .scope = "", .received_field = ""};
	stage->loop = loop_new("fuzz");
	assert(bad == 0 && loop_start(stage->loop, NULL) == ERR_OK);
	return stage;
}

static void make_job(struct run *run, size_t count)
{
	struct job *job = job_new(&run->stage->message, &run->stage->options, &run->route, count);

	for (size_t i = 0; i < count; i++) {
		struct job_recipient *recipient = &job->recipients[job->count++];

		(void)snprintf(run->addresses[i], sizeof(run->addresses[i]), "r%zu@ok.test", i);
		run->claimed[i] = (struct claimed_recipient){.id = 1, .address = run->addresses[i]};
		recipient->claimed = &run->claimed[i];
		assert(address_parse(span_of(run->addresses[i]), &recipient->address, NULL) ==
		       ERR_OK);
		address_format(&recipient->address, recipient->text);
	}
	buf_append_text(&job->header, HEADER);
	job->body_size = (int64_t)strlen(BODY);
	atomic_store(&job->header_ready, true);
	run->job = job;
}

static void make_pair(int *ours, int *theirs)
{
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	assert(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
	*ours = pair[0];
	*theirs = pair[1];
}

static void begin(struct loop_task *task)
{
	static const struct carry_ops ops = {on_over, on_broken};
	static const struct stream_ops far_ops = {
		.on_input = on_far_input, .on_drained = on_far_drained, .on_end = on_far_end};
	struct run *run = (struct run *)task;
	int near_end, far_end;

	make_pair(&run->near_fd, &near_end);
	make_pair(&run->hop_fd, &far_end);
	run->far = stream_new(run->stage->loop, far_end, NULL, &far_ops, run);
	carry_init(&run->carry, run->stage->loop, run->stage->list, &ops, run);
	carry_begin(&run->carry, run->stage->loop, run->job, near_end, run->far, &run->caps);
	say_envelope(run);
	run->tick.run = tick;
	tick(task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stage *stage; /* kept: its thread is made once */
	struct run run = {.tick = {.run = begin}, .near_fd = -1, .hop_fd = -1};

	if (size < 1 || size > ROOM / 2)
		return 0;
	if (stage == NULL)
		stage = stage_new();
	run.stage = stage;
	run.route = (struct route_options){.name = "default",
					   .protocol = (data[0] & WITH_LMTP) != 0 ? ROUTE_LMTP
										  : ROUTE_SMTP,
					   .command_timeout_ms = DEADLINE,
					   .final_reply_timeout_ms = DEADLINE};
	run.caps.pipelining = (data[0] & WITH_PIPELINING) != 0;
	run.rest = span_make((const char *)data + 1, size - 1);
	make_job(&run, ((data[0] & RECIPIENTS) >> 2) + 1);
	buf_init(&run.said, ROOM);
	buf_init(&run.heard, ROOM);
	buf_init(&run.answers, ROOM);
	reply_parser_init(&run.parser);
	assert(sem_init(&run.done, 0, 0) == 0);
	if (!loop_post(stage->loop, &run.tick))
		assert(!"the loop has been stopped");
	while (sem_wait(&run.done) != 0)
		;
	check(&run);
	reply_parser_release(&run.parser);
	buf_release(&run.said);
	buf_release(&run.heard);
	buf_release(&run.answers);
	(void)close(run.near_fd);
	(void)close(run.hop_fd);
	job_free(&run.job);
	(void)sem_destroy(&run.done);
	return 0;
}
