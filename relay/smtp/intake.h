/* relay/smtp/intake.h - the relay's backend: judge each recipient, store the message durably */
#ifndef STAGEPOST_RELAY_SMTP_INTAKE_H
#define STAGEPOST_RELAY_SMTP_INTAKE_H

#include "queue/store.h"
#include "relay/filter/fault.h"
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
/* After smtp_front_stop. */
void intake_free(struct intake **intake);

#endif
