/* cli/sink_mail.h - a sink's backend: take every message, or refuse as told */
#ifndef STAGEPOST_CLI_SINK_MAIL_H
#define STAGEPOST_CLI_SINK_MAIL_H

#include "cli/fail.h"
#include "cli/maildir.h"
#include "relay/loop/budget.h"
#include "relay/smtp/smtp.h"

/* For smtp_front_env.backend, with the sink as backend_ctx. */
extern const struct smtp_backend_ops sink_ops;

struct sink;

/*
 * Starts the thread that writes messages down. `maildir` NULL: they are
 * counted and forgotten. on_message (may be NULL) is called in that thread
 * for each message that was taken. All of it outlives the sink.
 */
struct sink_options {
	const struct fail *fail;
	struct maildir *maildir;
	struct budget *budget;
	void (*on_message)(void *ctx, const json_t *envelope);
	void *ctx;
};
int sink_start(const struct sink_options *options, struct sink **sink_out, struct err *why);
/* After smtp_front_stop. */
void sink_stop(struct sink **sink);

#endif
