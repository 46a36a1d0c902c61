/* cli/sink.c - stagepost sink: an SMTP server that takes everything, a stand-in next hop */
#include <config.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/sink_mail.h"
#include "relay/loop/loop.h"
#include "relay/smtp/listener.h"

#define USUAL_ADDRESS "127.0.0.1:2526"
#define MEMORY	      (256 * 1024 * 1024)
#define GRACE_MS      2000

/* Generous: what a sink should refuse is for --fail to say. */
static const struct smtp_options smtp_options = {
	.hostname = "sink.invalid",
	.max_message_size = 100 * 1024 * 1024,
	.max_recipients = 10000,
	.max_connections = 2000,
	.max_connections_per_client = 2000,
	.command_timeout_ms = 5 * 60 * 1000,
	.data_min_rate = 1,
	.data_grace_ms = 5 * 60 * 1000,
	.memory_wait_ms = 30000,
	.max_errors = 100,
	.max_junk = 1000,
	.max_received = 1000,
	.memory = MEMORY,
};

/* Who starts a sink on an outer address means it. */
static const char *const everybody[] = {"0.0.0.0/0", "::/0"};

/* Everything that runs, so that it can be taken down in one place. */
struct running {
	struct tool *tool;
	struct fail *fail;
	struct maildir *maildir;
	struct budget budget;
	struct sink *sink;
	struct loop *loop;
	struct smtp_front *front;
	struct listener_options listener;
};

/* In the writing thread: nobody else writes to standard output meanwhile. */
static void print_message(void *ctx, const json_t *envelope)
{
	const struct running *running = ctx;
	const char *sender = tool_text(envelope, "sender");
	json_t *recipient;
	char line[700];
	size_t i;

	if (running->tool->format != TOOL_TEXT) {
		json_dumpf(envelope, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		return;
	}
	json_array_foreach(json_object_get(envelope, "recipients"), i, recipient)
	{
		snprintf(line, sizeof(line), "%s  %s → %s  %lld octets",
			 tool_text(envelope, "received_at"), sender[0] != '\0' ? sender : "<>",
			 json_string_value(recipient), tool_number(envelope, "size"));
		tool_print_clean(line);
	}
	fflush(stdout);
}

static int ends_with(int code)
{
	switch (code) {
	case ERR_OK: return TOOL_OK;
	case ERR_SYNTAX: return TOOL_USAGE;
	case ERR_DENIED: return TOOL_DENIED;
	case ERR_BUSY: return TOOL_UNREACHABLE;
	default: return TOOL_IO;
	}
}

static int start(struct running *running, const char *maildir, struct err *why)
{
	const struct sink_options sink_options = {.fail = running->fail,
						  .budget = &running->budget,
						  .on_message = print_message,
						  .ctx = running};
	struct sink_options with_maildir = sink_options;
	int code = ERR_OK;

	if (maildir != NULL)
		code = maildir_open(maildir, &running->maildir, why);
	with_maildir.maildir = running->maildir;
	if (code == ERR_OK)
		code = sink_start(&with_maildir, &running->sink, why);
	if (code != ERR_OK)
		return code;
	running->loop = loop_new("sink");
	code = loop_start(running->loop, why);
	if (code == ERR_OK) {
		const struct smtp_settings settings = {.smtp = &smtp_options,
						       .listeners = &running->listener,
						       .listener_count = 1};
		const struct smtp_front_env env = {.loops = &running->loop,
						   .loop_count = 1,
						   .backend = &sink_ops,
						   .backend_ctx = running->sink,
						   .budget = &running->budget};

		code = smtp_front_start(&env, &settings, &running->front, why);
	}
	return code;
}

static void stop(struct running *running)
{
	if (running->front != NULL)
		smtp_front_stop(&running->front, GRACE_MS);
	if (running->loop != NULL)
		loop_free(&running->loop);
	sink_stop(&running->sink);
	maildir_close(&running->maildir);
	fail_free(&running->fail);
}

static void wait_for_signal(const sigset_t *signals)
{
	int number;

	while (sigwait(signals, &number) != 0)
		;
}

static void tell_address(const struct running *running, const char *maildir)
{
	char name[STREAM_NAME_SIZE] = "";

	(void)smtp_front_address(running->front, 0, name);
	tool_note("sink: listening on %s, %s%s; Ctrl-C stops it", name,
		  maildir != NULL ? "messages go to " : "messages are counted and forgotten",
		  maildir != NULL ? maildir : "");
}

static int serve(struct tool *tool, struct fail *fail, const char *address, const char *maildir)
{
	struct running running = {
		.tool = tool,
		.fail = fail,
		.listener = {.address = address,
			     .networks = everybody,
			     .network_count = sizeof(everybody) / sizeof(everybody[0]),
			     .scope = ""},
	};
	sigset_t signals;
	struct err why;
	int code;

	/* Before any thread is made, so that none of them takes the signal. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	budget_init(&running.budget, MEMORY);
	code = start(&running, maildir, &why);
	if (code == ERR_OK) {
		tell_address(&running, maildir);
		wait_for_signal(&signals);
	}
	stop(&running);
	return code == ERR_OK ? TOOL_OK : tool_fail(ends_with(code), "sink: %s", why.text);
}

struct sink_given {
	const char *address;
	const char *maildir;
	const char *spec;
	bool verbose;
};

static int run_sink(struct tool *tool, int argc, char **argv)
{
	struct sink_given given = {.address = USUAL_ADDRESS};
	struct log_options logging = {.level = LOG_WARNING};
	struct fail *fail;
	struct err why;
	int ends = option_read_only(tool, &given, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	fail = fail_new();
	if (given.spec != NULL && fail_add(fail, given.spec, &why) != ERR_OK) {
		fail_free(&fail);
		return tool_misuse(tool, "--fail: %s", why.text);
	}
	if (given.verbose)
		logging.level = LOG_DEBUG;
	log_configure(&logging);
	return serve(tool, fail, given.address, given.maildir);
}

static const struct command_option options[] = {
	OPTION_VALUE("--listen", "ADDRESS", NULL, struct sink_given, address,
		     "host:port, [IPv6]:port or unix:/path; default " USUAL_ADDRESS),
	OPTION_VALUE("--maildir", "DIR", WORDS_FOLDER, struct sink_given, maildir,
		     "keep messages: DIR/new has one file each, byte for byte as received, "
		     "DIR/envelope.jsonl a line each with sender and recipients"),
	OPTION_VALUE("--fail", "SPEC", NULL, struct sink_given, spec,
		     "answer with a failure: WHERE=CODE, separated by commas. WHERE is a "
		     "recipient's address, @DOMAIN, * (every recipient), or MAIL, DATA, END (the "
		     "final dot) for these steps of every message; CODE is 400 to 599, 421 also "
		     "closes the connection. The first that fits counts"),
	OPTION_FLAG("--verbose", struct sink_given, verbose,
		    "log what sessions do to standard error"),
	OPTION_END,
};

const struct command command_sink = {
	.name = "sink",
	.operands = "",
	.summary = "An SMTP server that takes it all: a stand-in next hop",
	.options = options,
	.notes = "Prints a line for each recipient of a message taken, with --json or --jsonl a "
		 "line "
		 "of\n"
		 "JSON for each message. SIGINT and SIGTERM end it.\n",
	.examples = {"stagepost sink --maildir ./sink",
		     "stagepost sink --fail bob@example.com=550,@slow.example=451,END=452"},
	.run = run_sink,
};
