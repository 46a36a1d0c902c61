/* relay/smtp/intake.h - the relay's backend: judge each recipient, store the message durably */
#ifndef STAGEPOST_RELAY_SMTP_INTAKE_H
#define STAGEPOST_RELAY_SMTP_INTAKE_H

#include "queue/message.h"
#include "queue/store.h"
#include "relay/filter/fault.h"
#include "relay/filter/policy.h"
#include "relay/filter/rule.h"
#include "relay/filter/whitelist.h"
#include "relay/loop/budget.h"
#include "relay/smtp/smtp.h"

/*
 * smtp_front_env.backend = &intake_ops, .backend_ctx = the intake. The
 * version's smtp_settings.backend is a `const struct policy_options *`.
 */
struct intake;
extern const struct smtp_backend_ops intake_ops;

/* Everything given outlives the intake. `budget` may be NULL. */
struct intake *intake_new(struct store *store, struct whitelist *whitelist, struct budget *budget);
/* Before the front starts: ask these rules for failures on demand. They outlive the intake. */
void intake_set_faults(struct intake *intake, struct faults *faults);
/* The same for the rules on what messages say of themselves. */
void intake_set_rules(struct intake *intake, struct rules *rules);
/*
 * Mail that comes by another door than a session (the API). It is judged,
 * limited and stored like any other: intake_begin in the place of
 * intake_ops.begin, then intake_ops.recipient, data_begin, data, ready,
 * finish, settle and abort as relay/smtp/smtp.h tells, by one thread at a
 * time. Answers' `delay_ms` and `disconnect` are for who can do that.
 */
struct intake_guest {
	/* Both outlive the transaction. */
	const struct smtp_options *smtp;
	const struct policy_options *policy;
	/* Inside finish, when all is decided and before it is stored: what else is to be. */
	void (*storing)(void *ctx, struct new_message *message);
	/* Once after finish, perhaps inside of it, any thread: settle may be called. */
	void (*finished)(void *ctx);
	void *ctx;
};
/* `client` outlives the transaction; `guest` need not. NULL: refused with *answer. */
void *intake_begin(struct intake *intake, const struct intake_guest *guest,
		   const struct smtp_client *client, const struct smtp_mail *mail,
		   struct smtp_answer *answer);
/*
 * Between the call of `finished` and settle: how storing it ended. ERR_OK also when it was not
 * tried, as the answer tells.
 */
int intake_result(const void *transaction);

/* After smtp_front_stop. */
void intake_free(struct intake **intake);

#endif
