/* relay/deliver/job.c - one attempt: judged, its sender chosen, its parameters written */
#include "relay/deliver/job.h"

#include <stdio.h>

#include "base/mem.h"
#include "relay/wire/dsn.h"
#include "relay/deliver/bouncer.h"
#include "relay/wire/xtext.h"

struct job *job_new(const struct claimed_message *message, const struct delivery_options *options,
		    const struct route_options *route, size_t room)
{
	struct job *job = mem_zalloc(sizeof(*job));

	job->message = message;
	job->options = options;
	job->route = route;
	job->recipients = mem_array(room, sizeof(*job->recipients));
	buf_init(&job->header, OUTBOUND_HEADER_MAX);
	return job;
}

void job_free(struct job **job)
{
	if (*job == NULL)
		return;
	report_free(&(*job)->report);
	job_rules_release(&(*job)->rules);
	buf_release(&(*job)->header);
	mem_free((*job)->outcomes);
	mem_free((*job)->recipients);
	mem_free(*job);
	*job = NULL;
}

void job_forget(struct job *job)
{
	job->record = (struct record){0};
	job->esmtp = (struct esmtp_view){0};
	job->prepare_code = ERR_OK;
	job_rules_release(&job->rules);
	atomic_store(&job->header_ready, false);
	atomic_store(&job->line_end_added, false);
	buf_clear(&job->header);
	for (size_t i = 0; i < job->count; i++) {
		job->recipients[i].reply = (struct hop_reply){0};
		job->recipients[i].final = (struct hop_reply){0};
		job->recipients[i].dropped = false;
		job->recipients[i].judge_anew = false;
		/* Borrowed from the rules that are given back. */
		job->recipients[i].ruling.rule = NULL;
		job->recipients[i].ruling.redirect_to = NULL;
		job->recipients[i].esmtp_code = 0;
		job->recipients[i].esmtp_complete = false;
	}
}

void job_copy_recipient(struct job_recipient *to, const struct job_recipient *from)
{
	*to = *from;
	if (to->ruling.reason != NULL)
		to->ruling.reason = to->ruled;
	if (to->ruling.nearest != NULL)
		to->ruling.nearest = to->nearest;
}

static void rule(struct job_recipient *out, const struct verdict *by, const char *reason)
{
	snprintf(out->ruled, sizeof(out->ruled), "%s", reason);
	snprintf(out->nearest, sizeof(out->nearest), "%s", by->nearest);
	out->ruling = (struct ruling){.verdict = verdict_kind_name(by->kind),
				      .reason = out->ruled,
				      .entry = by->entry,
				      .revision = by->revision,
				      .nearest = out->nearest[0] != '\0' ? out->nearest : NULL,
				      .rule = by->rule,
				      .redirect_to = by->redirect_to};
}

/* What is not clearly allowed does not leave. */
static enum transition refusal_of(enum verdict_kind kind)
{
	switch (kind) {
	case VERDICT_HOLD: return TRANSITION_HOLD;
	case VERDICT_REDIRECT: return TRANSITION_REDIRECT;
	default: return TRANSITION_DROP;
	}
}

static void refuse(struct job_recipient *out, const struct verdict *by, const char *reason)
{
	rule(out, by, reason);
	out->dropped = true;
	out->refusal = refusal_of(by->kind);
}

struct judge_case job_case(const struct delivery_options *options,
			   const struct claimed_message *message,
			   const struct whitelist_snapshot *snapshot, int64_t now)
{
	return (struct judge_case){.list = snapshot,
				   .policy = options->policy,
				   .scope = span_of(message->scope),
				   .now = now,
				   .accepted = true};
}

/* What is different from when it was accepted, in front of why it is refused now. */
static void say_change(const struct claimed_recipient *claimed, const struct verdict *verdict,
		       char *text_out, size_t size)
{
	if (verdict->rule != NULL)
		text_out[0] = '\0'; /* the rule says it all */
	else if (claimed->let_out_by != NULL)
		snprintf(text_out, size,
			 "rule %s does not let it leave any more: ", claimed->let_out_by);
	else if (claimed->permit == PERMIT_OVERRIDE && verdict_is_unlisted(verdict))
		snprintf(text_out, size, "the policy hook overrides the whitelist no more: ");
	else
		snprintf(text_out, size, "whitelist changed: ");
}

bool job_judge_again(const struct judge_case *at, struct job_recipient *recipient)
{
	struct judge_case own = *at;
	struct verdict verdict;
	char change[120], sentence[320], reason[sizeof(change) + sizeof(sentence)];

	own.permitted = recipient->claimed->permit == PERMIT_OVERRIDE;
	judge_address(&own, &recipient->address, &verdict);
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	if (verdict.kind == VERDICT_DELIVER) {
		rule(recipient, &verdict, sentence);
		return true;
	}
	say_change(recipient->claimed, &verdict, change, sizeof(change));
	snprintf(reason, sizeof(reason), "%s%s", change, sentence);
	refuse(recipient, &verdict, reason);
	return false;
}

bool job_judge(const struct judge_case *at, const struct claimed_recipient *claimed,
	       struct job_recipient *out)
{
	const struct verdict none = {.kind = VERDICT_DROP,
				     .revision = whitelist_revision(at->list)};
	struct err why;

	*out = (struct job_recipient){.claimed = claimed};
	if (address_parse(span_of(claimed->address), &out->address, &why) == ERR_OK) {
		address_format(&out->address, out->text);
		if (span_is(span_of(out->text), claimed->address))
			return job_judge_again(at, out);
	}
	/* What stands in the store is not one address printed by us (S094, S095). */
	refuse(out, &none, "unsafe address form: the stored text is not one plain address");
	out->text[0] = '\0';
	return false;
}

void job_choose_sender(struct job *job, const struct whitelist_snapshot *snapshot, int64_t now)
{
	struct address stored = {.form = ADDRESS_NULL};
	struct err why;
	char text[ADDRESS_TEXT_SIZE];
	bool odd = false;

	if (job->message->sender[0] != '\0') {
		odd = address_parse(span_of(job->message->sender), &stored, &why) < 0;
		if (!odd) {
			address_format(&stored, text);
			odd = !span_is(span_of(text), job->message->sender);
		}
	}
	if (odd)
		stored = (struct address){.form = ADDRESS_NULL};
	policy_sender(job->options->policy, snapshot, &stored, span_of(job->message->scope), now,
		      &job->sender, &job->sender_replaced);
	job->sender_replaced |= odd;
	address_format(&job->sender, job->sender_text);
}

bool job_needs_smtputf8(const struct job *job)
{
	/* Recipients that are offered are ASCII: no other is ever allowed (DESIGN 4.6). */
	return job->message->smtputf8 || !span_is_ascii(span_of(job->sender_text));
}

int job_mail_parameters(const struct job *job, const struct hop_caps *caps, struct buf *out)
{
	const struct claimed_message *m = job->message;
	int code = ERR_OK;

	if (caps->size)
		code |= buf_printf(out, " SIZE=%lld", (long long)job_wire_size(job));
	if (caps->eightbit)
		code |= buf_printf(out, " BODY=%s", m->body_8bit ? "8BITMIME" : "7BIT");
	if (caps->smtputf8 && job_needs_smtputf8(job))
		code |= buf_append_text(out, " SMTPUTF8");
	/* ENVID and RET speak to the sender's own server: not when we stand in for it (DESIGN 4.7).
	 */
	if (caps->dsn && !job->sender_replaced) {
		if (m->ret != NULL && dsn_ret_parse(span_of(m->ret)) != NULL)
			code |= buf_printf(out, " RET=%s", m->ret);
		if (m->envid != NULL && dsn_envid_is_valid(span_of(m->envid)))
			code |= buf_printf(out, " ENVID=%s", m->envid);
	}
	return code;
}

/* "rfc822;xtext" whose address the list allows: a next hop may well read it. */
static bool orcpt_may_leave(const struct job *job, const char *orcpt,
			    const struct whitelist_snapshot *snapshot, int64_t now)
{
	struct span coded = span_of(orcpt);
	struct span type = span_cut(&coded, ';');
	struct address address;
	struct verdict verdict;
	struct buf decoded;
	struct err why;
	bool allowed = false;

	if (!dsn_orcpt_is_valid(span_of(orcpt), false) || !span_is_fold(type, "rfc822"))
		return false;
	buf_init(&decoded, DSN_ORCPT_MAX);
	if (xtext_decode(coded, &decoded) == ERR_OK &&
	    address_parse(buf_span(&decoded), &address, &why) == ERR_OK) {
		verdict_judge(snapshot, &address, span_of(job->message->scope), now, &verdict);
		allowed = verdict.kind == VERDICT_DELIVER;
	}
	buf_release(&decoded);
	return allowed;
}

int job_rcpt_parameters(const struct job *job, const struct job_recipient *recipient,
			const struct hop_caps *caps, const struct whitelist_snapshot *snapshot,
			int64_t now, struct buf *out)
{
	const char *notify = recipient->claimed->notify;
	const char *orcpt = recipient->claimed->orcpt;
	int code = ERR_OK;

	if (!caps->dsn)
		return ERR_OK;
	if (job->sender_replaced)
		code |= buf_append_text(out, " NOTIFY=NEVER");
	else if (notify != NULL && dsn_notify_parse(span_of(notify)) != NULL)
		code |= buf_printf(out, " NOTIFY=%s", notify);
	if (orcpt != NULL && orcpt_may_leave(job, orcpt, snapshot, now))
		code |= buf_printf(out, " ORCPT=%s", orcpt);
	return code;
}

bool job_is_lmtp(const struct job *job)
{
	return job->route != NULL && job->route->protocol == ROUTE_LMTP;
}

const struct hop_reply *job_final(const struct job *job, const struct job_recipient *recipient)
{
	return job_is_lmtp(job) ? &recipient->final : &job->record.final;
}

int64_t job_wire_size(const struct job *job)
{
	return (int64_t)job->header.len + job->body_size;
}
