/* relay/deliver/outcome.c - what an attempt means for each recipient */
#include "relay/deliver/outcome.h"

#include <stdio.h>

#include "base/backoff.h"

static void say(struct outcome *o, enum transition transition, const struct hop_reply *reply,
		const char *reason)
{
	o->transition = transition;
	o->reply = reply;
	snprintf(o->reason, sizeof(o->reason), "%s", reason);
}

/* The last word of a next hop on one recipient, when it was not a yes. */
static void refused(struct outcome *o, const struct hop_reply *reply, const char *command)
{
	bool ours = reply->code == 421 || reply->code == 530;
	bool final = reply->code >= 500 && reply->code <= 599 && !ours;

	o->transition = final ? TRANSITION_FAIL : TRANSITION_DEFER;
	o->reply = reply;
	snprintf(o->reason, sizeof(o->reason), "%s: %d %s%s%s",
		 reply->code == 530 ? "the next hop wants a login" : command, reply->code,
		 reply->enhanced, reply->enhanced[0] != '\0' ? " " : "", reply->text);
}

static bool is_yes(const struct hop_reply *reply)
{
	return reply->code >= 200 && reply->code <= 299;
}

/* The dot is out and no answer can be believed. */
static void doubt(struct outcome *o, const struct job_recipient *recipient,
		  const struct hop_reply *reply, const char *reason)
{
	bool enough = recipient->claimed->in_doubt + 1 >= BACKOFF_DOUBT_MAX;

	o->in_doubt = true;
	o->transition = enough ? TRANSITION_HOLD : TRANSITION_DEFER;
	o->reply = reply;
	snprintf(o->reason, sizeof(o->reason), "%s%s", reason,
		 enough ? "; it may have arrived, more than once: held" : "; it may have arrived");
}

static void broke_off(struct outcome *o, const struct job *job,
		      const struct job_recipient *recipient)
{
	const struct record *r = &job->record;
	const char *why = r->broken_why.text;

	if (r->broken == ERR_OK)
		why = "the attempt ended without a clear answer";
	if (r->dot_sent)
		doubt(o, recipient, NULL, why);
	else
		say(o, TRANSITION_DEFER, NULL, why);
}

static bool disagree(const struct job *job, const struct job_recipient *recipient)
{
	return job->esmtp.transfer_code / 100 != 2 || recipient->esmtp_code / 100 != 2 ||
	       !recipient->esmtp_complete;
}

/*
 * Behind a RCPT that was accepted. With LMTP a yes is for this recipient and
 * stands, also when the replies for others did not come any more.
 */
static void decide_message(const struct job *job, const struct job_recipient *recipient,
			   struct outcome *o)
{
	const struct record *r = &job->record;
	const struct hop_reply *final = job_final(job, recipient);
	bool stands = job_is_lmtp(job) && r->dot_sent && r->broken != ERR_OK;

	if (r->data.code >= 400)
		refused(o, &r->data, "DATA");
	else if (final->code == 0)
		broke_off(o, job, recipient);
	else if (!is_yes(final))
		refused(o, final, "after the message");
	else if (r->broken != ERR_OK && !stands)
		doubt(o, recipient, final, r->broken_why.text);
	else if (!stands && disagree(job, recipient))
		doubt(o, recipient, final, "the two ends of the dialogue disagree");
	else
		say(o, TRANSITION_DELIVER, final,
		    job->sender_replaced ? "accepted by the next hop; the sender is not allowed to "
					   "leave and was replaced (delivery.senders)"
					 : "accepted by the next hop");
}

/* A dialogue that made no sense: its replies may belong to other commands than they seem to. */
static bool out_of_step(const struct record *r)
{
	return r->broken == ERR_SYNTAX && !r->dot_sent;
}

static enum trouble trouble_behind(const struct job *job, const struct outcome *o)
{
	const struct record *r = &job->record;

	if (o->transition == TRANSITION_DELIVER || o->transition == TRANSITION_UNCLAIM)
		return TROUBLE_NONE;
	if (r->mail_local)
		return TROUBLE_POLICY;
	if (job->prepare_code != ERR_OK)
		return TROUBLE_LOCAL;
	if (o->reply != NULL && !is_yes(o->reply))
		return trouble_of_reply(o->reply->code);
	return r->broken != ERR_OK ? trouble_of_code(r->broken) : TROUBLE_PROTOCOL;
}

static void decide(const struct job *job, const struct job_recipient *recipient, struct outcome *o)
{
	const struct record *r = &job->record;

	if (recipient->judge_anew)
		*o = (struct outcome){.transition = TRANSITION_UNCLAIM,
				      .again_at = job->message->received_at};
	else if (recipient->dropped)
		say(o, recipient->refusal, NULL, recipient->ruled);
	else if (job->prepare_code == ERR_LIMIT)
		say(o, TRANSITION_HOLD, NULL, job->prepare_why.text);
	else if (job->prepare_code != ERR_OK)
		say(o, TRANSITION_DEFER, NULL, job->prepare_why.text);
	else if (r->mail.code != 0 && !is_yes(&r->mail))
		refused(o, &r->mail, r->mail_local ? "not sent" : "MAIL FROM");
	else if (recipient->reply.code == 0 || out_of_step(r))
		broke_off(o, job, recipient);
	else if (!is_yes(&recipient->reply))
		refused(o, &recipient->reply, "RCPT TO");
	else
		decide_message(job, recipient, o);
}

void outcome_decide(const struct job *job, const struct job_recipient *recipient,
		    struct outcome *outcome_out)
{
	*outcome_out = (struct outcome){.transition = TRANSITION_DEFER};
	decide(job, recipient, outcome_out);
	outcome_out->trouble = recipient->dropped ? TROUBLE_POLICY
						  : trouble_behind(job, outcome_out);
}

/*
 * 452 without a word on the mailbox itself (4.2.2 is one that is full); 552
 * stood for it in RFC 821, and is taken so when its status leaves no doubt.
 */
static bool is_too_many(const struct hop_reply *reply)
{
	struct span enhanced = span_of(reply->enhanced);

	if (reply->code == 552)
		return span_is(enhanced, "5.5.3");
	return reply->code == 452 && !span_starts_fold(enhanced, "4.1.") &&
	       !span_starts_fold(enhanced, "4.2.");
}

void outcome_next_transaction(struct job *job)
{
	bool some = false;

	for (size_t i = 0; i < job->count; i++)
		some |= job->outcomes[i].transition == TRANSITION_DELIVER;
	for (size_t i = 0; some && i < job->count; i++) {
		struct outcome *outcome = &job->outcomes[i];

		if (outcome->reply == &job->recipients[i].reply && is_too_many(outcome->reply))
			*outcome = (struct outcome){.transition = TRANSITION_UNCLAIM,
						    /* In front of what came later. */
						    .again_at = job->message->received_at};
	}
}

const char *outcome_status(const struct job *job, const struct outcome *outcome)
{
	const char *status = trouble_status(outcome->trouble, job->record.remote[0] != '\0');

	/* RFC 3463 3.5: that of the trouble where it is known, rather than that it took too long.
	 */
	if (status == NULL && outcome->transition == TRANSITION_EXPIRE)
		status = "5.4.7";
	return outcome->reply == NULL ? status : NULL;
}

void outcome_expire(const struct job *job, const struct job_recipient *recipient, int64_t now,
		    struct outcome *outcome)
{
	int64_t after = job->options->expire_after_ms;
	char last[sizeof(outcome->reason)];

	if (outcome->transition != TRANSITION_DEFER || after <= 0 ||
	    now < recipient->claimed->waiting_since + after)
		return;
	snprintf(last, sizeof(last), "%s", outcome->reason);
	outcome->transition = TRANSITION_EXPIRE;
	snprintf(outcome->reason, sizeof(outcome->reason),
		 "waited longer than allowed; last: %.360s", last);
}

void outcome_settle(const struct job *job, const struct job_recipient *recipient,
		    const struct outcome *outcome, int64_t now, uint32_t random,
		    struct settlement *settlement_out)
{
	const struct delivery_options *options = job->options;
	const struct hop_reply *reply = outcome->reply;
	int64_t latest = options->expire_after_ms > 0
				 ? recipient->claimed->waiting_since + options->expire_after_ms
				 : 0;
	int64_t wait = backoff_wait_ms(options->schedule_ms, options->schedule_count,
				       recipient->claimed->attempts + 1, random);

	*settlement_out = (struct settlement){
		.recipient = recipient->claimed->id,
		.lease = recipient->claimed->lease,
		.outcome = outcome->transition,
		.next_attempt_at = outcome->again_at,
		.parked = outcome->parked,
		.delay_told = outcome->told == BOUNCE_DELAYED,
		.reason = outcome->transition != TRANSITION_UNCLAIM || outcome->reason[0] != '\0'
				  ? outcome->reason
				  : NULL,
		.in_doubt = outcome->in_doubt,
		.kind = trouble_name(outcome->trouble),
		.ruling = recipient->ruling.verdict != NULL &&
					  outcome->transition != TRANSITION_UNCLAIM
				  ? &recipient->ruling
				  : NULL,
		.route = job->route != NULL ? job->route->name : NULL,
		.remote = job->record.remote[0] != '\0' ? job->record.remote : NULL,
		.tls = job->record.tls[0] != '\0' ? job->record.tls : NULL,
		.reply_code = reply != NULL ? reply->code : 0,
		.reply_enhanced = reply != NULL && reply->enhanced[0] ? reply->enhanced : NULL,
		.reply_text = reply != NULL ? reply->text : NULL,
	};
	if (outcome->transition != TRANSITION_DEFER)
		return;
	if (outcome->in_doubt)
		wait *= BACKOFF_DOUBT_FACTOR;
	settlement_out->next_attempt_at = now + wait;
	/* Its expiry is noticed when it is claimed. */
	if (latest > 0 && settlement_out->next_attempt_at > latest)
		settlement_out->next_attempt_at = latest > now ? latest : now;
}
