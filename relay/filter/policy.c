/* relay/filter/policy.c - policy.default, and which envelope sender may leave (DESIGN 4.7) */
#include "relay/filter/policy.h"

/*
 * Fields by which a provider is told to send to somebody else, or to report
 * to somebody else, than the envelope says:
 *   X-SMTPAPI                      SendGrid: JSON, its "to" is a recipient list
 *   X-MC-*                         Mandrill: X-MC-BccAddress, and what may come
 *   X-MSYS-API                     SparkPost: JSON with "cc", "bcc" and "archive"
 *   X-PM-Bcc                       Postmark
 *   X-Mailgun-Recipient-Variables  Mailgun: per-recipient batch data
 *   X-MJ-TemplateErrorReporting    Mailjet: reports go to that address
 * Fields that only label or configure (X-SES-*, X-PM-Tag, …) are left alone:
 * they add nobody, and removing them would change what is being tested.
 */
const char *const policy_control_headers[] = {"X-SMTPAPI",
					      "X-MC-*",
					      "X-MSYS-API",
					      "X-PM-Bcc",
					      "X-Mailgun-Recipient-Variables",
					      "X-MJ-TemplateErrorReporting",
					      NULL};

bool verdict_is_unlisted(const struct verdict *verdict)
{
	return verdict->kind != VERDICT_DELIVER &&
	       (verdict->reason == REASON_NOT_LISTED || verdict->reason == REASON_EMPTY_LIST ||
		verdict->reason == REASON_EXPIRED || verdict->reason == REASON_POLICY);
}

bool policy_screens(const struct policy_options *options, const struct verdict *verdict)
{
	if (options == NULL || !options->screening)
		return false;
	return verdict->kind == VERDICT_DELIVER ||
	       (options->hook_overrides && verdict_is_unlisted(verdict));
}

static bool has_redirect(const struct policy_options *options)
{
	return options->redirect_to != NULL && options->redirect_to[0] != '\0';
}

void policy_apply(const struct policy_options *options, struct verdict *verdict)
{
	enum verdict_kind kind = options->default_verdict;

	if (verdict->kind != VERDICT_DROP || !verdict_is_unlisted(verdict) ||
	    (options->screening && options->hook_overrides))
		return;
	/* A default that delivers does not exist, and a redirect needs a target: stay with drop. */
	if (kind == VERDICT_DROP || kind == VERDICT_DELIVER ||
	    (kind == VERDICT_REDIRECT && !has_redirect(options)))
		return;
	verdict->kind = kind;
	verdict->reason = REASON_POLICY;
	verdict->redirect_to = kind == VERDICT_REDIRECT ? options->redirect_to : NULL;
}

/* The list's word goes first: what it denies, delivery.senders does not allow again. */
static bool may_leave(const struct policy_options *options,
		      const struct whitelist_snapshot *snapshot, const struct address *address,
		      struct span scope, int64_t now)
{
	struct verdict verdict;

	verdict_judge(snapshot, address, scope, now, &verdict);
	if (verdict.kind == VERDICT_DELIVER)
		return true;
	if (verdict.reason == REASON_DENIED)
		return false;
	for (size_t i = 0; i < options->sender_count; i++)
		if (pattern_matches(&options->senders[i], address))
			return true;
	return false;
}

void policy_sender(const struct policy_options *options, const struct whitelist_snapshot *snapshot,
		   const struct address *sender, struct span scope, int64_t now,
		   struct address *sender_out, bool *replaced_out)
{
	struct address null_path = {.form = ADDRESS_NULL};
	struct address bounce_to;
	struct span text = span_of(options->bounce_to);
	struct err ignored;

	*replaced_out = false;
	if (sender->form == ADDRESS_NULL || may_leave(options, snapshot, sender, scope, now)) {
		*sender_out = *sender;
		return;
	}
	*replaced_out = true;
	if (text.len > 0 && address_parse(text, &bounce_to, &ignored) == ERR_OK &&
	    may_leave(options, snapshot, &bounce_to, scope, now))
		*sender_out = bounce_to;
	else
		*sender_out = null_path;
}
