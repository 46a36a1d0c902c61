/* tests relay/deliver/carry.c where a real network can't be told what to do: streams that fill up
 */
#include <config.h> /* usleep */

#include "relay/deliver/carry.h"

#include <linux/sockios.h>
#include <semaphore.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/deliver/outcome.h"
#include "relay/wire/reply.h"
#include "tests/unit/unit.h"

#define BODY_LEN (150 * 1024) /* more than the sockets hold, less than the far stream does */

/* Stands where the uplink stands; the test's own thread is libesmtp and next hop in one. */
struct stand {
	struct loop *loop;
	struct whitelist *list;
	struct rules *rules;
	struct stream *far;
	struct reply_parser parser;
	struct hop_caps caps;
	struct carry carry;
	struct route_options route;
	struct delivery_options options;
	struct policy_options policy;
	struct claimed_message message;
	struct claimed_recipient claimed;
	struct job *job;
	int near_fd, hop_fd;
	sem_t over;
};

static void on_over(void *ctx, bool clean)
{
	struct stand *s = ctx;

	stream_free(&s->far);
	sem_post(&s->over);
}

static void on_broken(void *ctx)
{
	on_over(ctx, false);
}

static void on_far_input(void *ctx)
{
	struct stand *s = ctx;

	while (s->far != NULL && stream_input(s->far).len > 0) {
		struct span input = stream_input(s->far);
		size_t before = input.len;
		bool complete = false;
		struct err why;

		ck_assert_int_eq(reply_parser_feed(&s->parser, &input, &complete, &why), ERR_OK);
		stream_consume(s->far, before - input.len);
		if (complete)
			carry_on_reply(&s->carry, &s->parser.reply);
	}
}

static void on_far_drained(void *ctx)
{
	carry_on_drained(&((struct stand *)ctx)->carry);
}

static void on_far_end(void *ctx, int code, const char *why)
{
	carry_break(&((struct stand *)ctx)->carry, code, why);
}

static void make_job(struct stand *s)
{
	struct job_recipient *ann;

	s->message = (struct claimed_message){.sender = "", .scope = "", .received_field = ""};
	s->claimed = (struct claimed_recipient){.id = 1, .address = "ann@ok.test"};
	s->job = job_new(&s->message, &s->options, &s->route, 1);
	s->job->count = 1;
	ann = &s->job->recipients[0];
	ann->claimed = &s->claimed;
	ck_assert_int_eq(address_parse(span_of("ann@ok.test"), &ann->address, NULL), ERR_OK);
	address_format(&ann->address, ann->text);
	buf_append_text(&s->job->header, "a: b\r\n\r\n");
	s->job->body_size = BODY_LEN;
	atomic_store(&s->job->header_ready, true);
}

static void allow_all(struct stand *s)
{
	struct entry entry = {.id = 1,
			      .pattern = "ok.test",
			      .kind = ENTRY_DOMAIN,
			      .action = ENTRY_ALLOW,
			      .scope = ""};
	size_t bad;

	s->list = whitelist_new();
	whitelist_load_begin(s->list);
	whitelist_load_add(s->list, &entry);
	whitelist_load_end(s->list, 1, &bad);
}

static void stand_open(struct stand *s)
{
	static const struct carry_ops ops = {on_over, on_broken};
	static const struct stream_ops far_ops = {
		.on_input = on_far_input, .on_drained = on_far_drained, .on_end = on_far_end};
	int small = 4096;
	int near[2], far[2];
	struct err why;

	memset(s, 0, sizeof(*s));
	sem_init(&s->over, 0, 0);
	allow_all(s);
	s->loop = loop_new("test");
	s->policy.bounce_to = "";
	s->options.policy = &s->policy;
	s->route = (struct route_options){
		.name = "default", .command_timeout_ms = 10000, .final_reply_timeout_ms = 10000};
	make_job(s);
	reply_parser_init(&s->parser);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, near), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, far), 0);
	setsockopt(far[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	s->near_fd = near[1];
	s->hop_fd = far[1];
	s->far = stream_new(s->loop, far[0], NULL, &far_ops, s);
	carry_init(&s->carry, s->loop, s->list, &ops, s);
	s->rules = rules_new();
	s->carry.rules = s->rules;
	carry_begin(&s->carry, s->loop, s->job, near[0], s->far, &s->caps);
	ck_assert_int_eq(loop_start(s->loop, &why), ERR_OK);
}

static void stand_close(struct stand *s)
{
	loop_stop(s->loop);
	carry_release(&s->carry);
	loop_free(&s->loop);
	reply_parser_release(&s->parser);
	job_free(&s->job);
	whitelist_free(&s->list);
	rules_free(&s->rules);
	close(s->near_fd);
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* One command of the relay, and the answer to it. */
static void answer(struct stand *s, const char *command, const char *reply)
{
	char line[200];
	ssize_t len = recv(s->hop_fd, line, sizeof(line) - 1, 0);

	ck_assert_int_gt(len, 0);
	line[len] = '\0';
	ck_assert_int_eq(strncmp(line, command, strlen(command)), 0);
	say(s->hop_fd, reply);
}

/* As far as the body. */
static void say_envelope(struct stand *s)
{
	say(s->near_fd, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@ok.test>\r\nDATA\r\n");
	answer(s, "MAIL", "250 ok\r\n");
	answer(s, "RCPT", "250 ok\r\n");
	answer(s, "DATA", "354 go\r\n");
	say(s->near_fd, "Date: x\r\n\r\n");
}

/* Everything libesmtp has to say; returns when the carry has taken it. */
static void say_message(struct stand *s)
{
	char body[BODY_LEN];
	int left = 1;

	say_envelope(s);
	memset(body, 'x', sizeof(body));
	for (size_t end = 1024; end <= sizeof(body); end += 1024)
		memcpy(body + end - 2, "\r\n", 2);
	ck_assert_int_eq(send(s->near_fd, body, sizeof(body), MSG_NOSIGNAL), BODY_LEN);
	say(s->near_fd, ".\r\n");
	for (int i = 0; i < 5000 && left > 0; i++) {
		usleep(1000);
		ck_assert_int_eq(ioctl(s->near_fd, SIOCOUTQ, &left), 0);
	}
	ck_assert_int_eq(left, 0);
	usleep(50000);
}

static void read_message(struct stand *s)
{
	char piece[4096];
	char last[5] = "";

	while (strcmp(last, "\n.\r\n") != 0) {
		ssize_t len = recv(s->hop_fd, piece, sizeof(piece), 0);

		ck_assert_int_gt(len, 0);
		for (ssize_t i = 0; i < len; i++) {
			memmove(last, last + 1, 3);
			last[3] = piece[i];
		}
	}
}

/* P4: "it may have arrived" is said only when it may have. */
START_TEST(a_dot_that_stayed_here_is_no_doubt)
{
	struct stand s;

	stand_open(&s);
	say_message(&s);
	close(s.hop_fd);
	sem_wait(&s.over);
	ck_assert_int_ne(s.job->record.broken, ERR_OK);
	ck_assert(!s.job->record.dot_sent);
	stand_close(&s);
}
END_TEST

START_TEST(a_dot_that_left_is)
{
	struct stand s;

	stand_open(&s);
	say_message(&s);
	read_message(&s);
	close(s.hop_fd);
	sem_wait(&s.over);
	ck_assert_int_ne(s.job->record.broken, ERR_OK);
	ck_assert(s.job->record.dot_sent);
	stand_close(&s);
}
END_TEST

/* --- rules: what the worker worked out, asked by the wire guard --------------------------------
 */

static void publish(struct stand *s, enum rule_action action, bool overrides, const char *sender)
{
	struct rule rule;

	rule_init(&rule);
	rule.name = "r";
	rule.action = action;
	rule.overrides_whitelist = overrides;
	rule.sender = sender;
	ck_assert_uint_eq(rules_publish(s->rules, PUBLISHED_FROM_STORE, &rule, 1), 0);
}

/* For whom the job is; then what the worker does before it says MAIL. */
static void prepare(struct stand *s, const char *address)
{
	struct job_recipient *recipient = &s->job->recipients[0];

	ck_assert_int_eq(address_parse(span_of(address), &recipient->address, NULL), ERR_OK);
	address_format(&recipient->address, recipient->text);
	s->message.header_parsed = true;
	job_rules_prepare(&s->job->rules, s->rules, &s->message, span_of("Subject: x\r\n"));
}

/* What libesmtp says; true: the next hop was offered the recipient. */
static bool is_offered(struct stand *s)
{
	char line[200];
	ssize_t len;

	say(s->near_fd, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<");
	say(s->near_fd, s->job->recipients[0].text);
	say(s->near_fd, ">\r\nDATA\r\n");
	answer(s, "MAIL", "250 ok\r\n");
	len = recv(s->hop_fd, line, sizeof(line) - 1, 0);
	close(s->hop_fd);
	sem_wait(&s->over);
	line[len > 0 ? len : 0] = '\0';
	ck_assert(len <= 0 || strncmp(line, "RCPT TO:", 8) == 0);
	return len > 0;
}

static struct outcome outcome_of(struct stand *s)
{
	struct outcome outcome;

	outcome_decide(s->job, &s->job->recipients[0], &outcome);
	return outcome;
}

START_TEST(a_rule_lets_leave_at_the_wire_what_no_entry_allows)
{
	struct stand s;

	stand_open(&s);
	publish(&s, RULE_DELIVER, true, "<>");
	prepare(&s, "x@else.test");
	ck_assert(is_offered(&s));
	ck_assert_str_eq(s.job->recipients[0].ruling.rule, "r");
	stand_close(&s);
}
END_TEST

START_TEST(a_rule_keeps_at_the_wire_what_the_list_allows)
{
	struct outcome outcome;
	struct stand s;

	stand_open(&s);
	publish(&s, RULE_HOLD, false, "");
	prepare(&s, "ann@ok.test");
	ck_assert(!is_offered(&s));
	outcome = outcome_of(&s);
	ck_assert_int_eq(outcome.transition, TRANSITION_HOLD);
	ck_assert_str_eq(outcome.reason, "rule r");
	ck_assert_int_eq(outcome.trouble, TROUBLE_POLICY);
	stand_close(&s);
}
END_TEST

/* Not one RCPT behind the answer that a rule is gone, nor behind that one has come. */
START_TEST(rules_that_changed_under_way_are_asked_anew)
{
	for (int gone = 0; gone < 2; gone++) {
		struct outcome outcome;
		struct stand s;

		stand_open(&s);
		if (gone)
			publish(&s, RULE_DELIVER, true, "");
		prepare(&s, gone ? "x@else.test" : "ann@ok.test");
		if (gone)
			rules_publish(s.rules, PUBLISHED_FROM_STORE, NULL, 0);
		else
			publish(&s, RULE_DROP, false, "");
		ck_assert(!is_offered(&s));
		ck_assert(s.job->recipients[0].judge_anew);
		outcome = outcome_of(&s);
		ck_assert_int_eq(outcome.transition, TRANSITION_UNCLAIM);
		ck_assert_int_eq(outcome.trouble, TROUBLE_NONE);
		stand_close(&s);
	}
}
END_TEST

/* S201: a line that libesmtp was not shown as the carry expects it. */
START_TEST(a_line_that_was_not_cut_is_no_body)
{
	struct stand s;
	char line[BODY_LINE_MAX + 2];

	memset(line, 'x', sizeof(line));
	stand_open(&s);
	say_envelope(&s);
	ck_assert_int_eq(send(s.near_fd, line, sizeof(line), MSG_NOSIGNAL), sizeof(line));
	sem_wait(&s.over);
	ck_assert_int_eq(s.job->record.broken, ERR_DENIED);
	ck_assert(!s.job->record.dot_sent);
	stand_close(&s);
	close(s.hop_fd);
}
END_TEST

UNIT_MAIN("deliver/carry", a_dot_that_stayed_here_is_no_doubt, a_dot_that_left_is,
	  a_line_that_was_not_cut_is_no_body, a_rule_lets_leave_at_the_wire_what_no_entry_allows,
	  a_rule_keeps_at_the_wire_what_the_list_allows,
	  rules_that_changed_under_way_are_asked_anew)
