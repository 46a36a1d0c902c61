/* relay/deliver/guard.c - libesmtp's commands, looked at once more and written anew for the wire */
#include <config.h> /* memmem */

#include "relay/deliver/guard.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"

#define NEAR_LINE_MAX 2048

/* `line` is one command without its line end: the last look before the wire. */
static bool send_line(struct carry *c)
{
	struct span line = buf_span(&c->line);

	assert(span_find(line, '\r') == line.len && span_find(line, '\n') == line.len &&
	       span_find(line, '\0') == line.len);
	/* What is here before a command is sent is no answer to it: they are out of step. */
	if (c->remote_waiting == 0 && stream_input(c->far).len > 0) {
		carry_break(c, ERR_SYNTAX, "the next hop answered more than it was asked");
		return false;
	}
	if (buf_append_text(&c->line, "\r\n") < 0 || stream_write(c->far, buf_span(&c->line)) < 0) {
		carry_break(c, ERR_LIMIT, "a command line grew too long");
		return false;
	}
	if (c->remote_waiting == 0)
		stream_deadline(c->far, c->job->route->command_timeout_ms);
	return true;
}

/* What this next hop can't take is refused here, before anything is sent. */
static bool refuse_message(struct carry *c, struct hop_reply *refusal)
{
	struct job *job = c->job;
	int64_t size = job_wire_size(job);
	char text[160];

	if (c->caps->size && c->caps->size_max > 0 && size > c->caps->size_max) {
		snprintf(text, sizeof(text),
			 "the message has %lld octets, the next hop takes %lld (RFC 1870)",
			 (long long)size, (long long)c->caps->size_max);
		hop_reply_local(refusal, 552, "5.3.4", text);
		return true;
	}
	if (job_needs_smtputf8(job) && !c->caps->smtputf8) {
		hop_reply_local(refusal, 550, "5.6.7",
				"the message needs SMTPUTF8, which the next hop does not offer");
		return true;
	}
	if (job->needs_8bit && !c->caps->eightbit) {
		hop_reply_local(
			refusal, 554, "5.6.3",
			"the message has 8-bit content, the next hop does not offer 8BITMIME "
			"(delivery.eight_bit)");
		return true;
	}
	return false;
}

/* The list may have changed since the job was made, which may have stood in line for long. */
static void choose_sender_again(struct carry *c)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(c->whitelist);

	job_choose_sender(c->job, snapshot, clock_steady_wall_ms());
	whitelist_release(&snapshot);
	buf_clear(&c->line);
	buf_printf(&c->line, "MAIL FROM:<%s>", c->job->sender_text);
}

static bool on_mail(struct carry *c, struct span line)
{
	struct job *job = c->job;

	buf_clear(&c->line);
	buf_printf(&c->line, "MAIL FROM:<%s>", job->sender_text);
	if (job->record.mail.code != 0 || c->mail_open || !atomic_load(&job->header_ready) ||
	    !span_equal(line, buf_span(&c->line))) {
		carry_break(c, ERR_DENIED, "the worker said another MAIL than the job");
		return false;
	}
	choose_sender_again(c);
	job->record.dsn_offered = c->caps->dsn;
	if (refuse_message(c, &job->record.mail)) {
		job->record.mail_local = true;
		carry_push_slot(c, (struct carry_slot){SLOT_MAIL, 0, true, job->record.mail.code});
		return carry_answer_local(c);
	}
	if (job_mail_parameters(job, c->caps, &c->line) < 0) {
		carry_break(c, ERR_LIMIT, "the parameters of MAIL grew too long");
		return false;
	}
	if (!send_line(c))
		return false;
	c->mail_open = true;
	carry_push_slot(c, (struct carry_slot){.command = SLOT_MAIL});
	return true;
}

/*
 * The wire guard: the line must be the next judged address, printed again from
 * the parsed form, and the list in force this moment must allow it, or a rule
 * that overrides it. What the rules said while they were other ones does not count.
 */
static bool on_rcpt(struct carry *c, struct span line)
{
	const struct whitelist_snapshot *snapshot;
	struct job *job = c->job;
	struct job_recipient *recipient;
	struct judge_case at;
	char text[ADDRESS_TEXT_SIZE];
	int64_t now = clock_steady_wall_ms();
	bool allowed;
	int code = ERR_OK;

	if (c->next_recipient >= job->count || c->data_asked) {
		carry_break(c, ERR_DENIED, "the worker offered more recipients than the job has");
		return false;
	}
	recipient = &job->recipients[c->next_recipient];
	address_format(&recipient->address, text);
	buf_clear(&c->line);
	buf_printf(&c->line, "RCPT TO:<%s>", text);
	if (!span_equal(line, buf_span(&c->line))) {
		carry_break(c, ERR_DENIED, "the worker offered a recipient that was not judged");
		return false;
	}
	snapshot = whitelist_acquire(c->whitelist);
	at = job_case(job->options, job->message, snapshot, now);
	at.rules = job->rules.matches;
	at.released = recipient->claimed->released;
	recipient->judge_anew = !job_rules_hold(&job->rules, c->rules);
	allowed = !recipient->judge_anew && job_judge_again(&at, recipient);
	if (allowed)
		code = job_rcpt_parameters(job, recipient, c->caps, snapshot, now, &c->line);
	whitelist_release(&snapshot);
	if (code < 0) {
		carry_break(c, ERR_LIMIT, "the parameters of RCPT grew too long");
		return false;
	}
	if (allowed && !send_line(c))
		return false;
	carry_push_slot(c, (struct carry_slot){SLOT_RCPT, c->next_recipient++, !allowed, 550});
	return allowed || carry_answer_local(c);
}

static bool anyone_accepted(const struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->recipients[i].reply.code / 100 == 2)
			return true;
	return false;
}

/* Comes here only when every recipient has been answered. */
static bool on_data(struct carry *c)
{
	if (c->data_asked || c->next_recipient != c->job->count) {
		carry_break(c, ERR_DENIED, "the worker said DATA before all recipients");
		return false;
	}
	c->data_asked = true;
	if (!anyone_accepted(c->job)) {
		carry_push_slot(c, (struct carry_slot){SLOT_DATA, 0, true, 554});
		return carry_answer_local(c);
	}
	buf_clear(&c->line);
	buf_append_text(&c->line, "DATA");
	if (!send_line(c))
		return false;
	carry_push_slot(c, (struct carry_slot){.command = SLOT_DATA});
	return true;
}

/* Does this command have to wait until the next hop has answered? */
static bool must_wait(const struct carry *c, struct span line)
{
	if (span_is(line, "DATA"))
		return carry_has_slots(c);
	return c->remote_waiting > 0 && !c->caps->pipelining;
}

static bool do_command(struct carry *c, struct span line)
{
	if (span_starts_fold(line, "EHLO "))
		return true; /* answered in advance */
	if (span_starts_fold(line, "MAIL FROM:"))
		return on_mail(c, line);
	if (span_starts_fold(line, "RCPT TO:"))
		return on_rcpt(c, line);
	if (span_is(line, "DATA"))
		return on_data(c);
	carry_break(c, ERR_DENIED, "the worker said something that does not belong here");
	return false;
}

void guard_read_commands(struct carry *c)
{
	while (c->state == CARRY_COMMANDS) {
		struct span input = stream_input(c->near);
		const char *end = input.len > 0 ? memmem(input.data, input.len, "\r\n", 2) : NULL;
		struct span line;
		size_t taken;
		char kept[NEAR_LINE_MAX];

		if (end == NULL || (size_t)(end - input.data) > sizeof(kept)) {
			if (input.len > sizeof(kept))
				carry_break(c, ERR_LIMIT, "the worker said too long a line");
			return;
		}
		line = span_first(input, (size_t)(end - input.data));
		if (must_wait(c, line))
			return;
		taken = line.len + 2;
		memcpy(kept, line.data, line.len);
		stream_consume(c->near, taken);
		if (!do_command(c, span_make(kept, line.len)))
			return;
	}
}
