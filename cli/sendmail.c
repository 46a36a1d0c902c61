/* cli/sendmail.c - stagepost sendmail: what programs call as /usr/sbin/sendmail */
#include <config.h>

#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/document.h"
#include "base/mem.h"
#include "cli/access.h"
#include "cli/addressees.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/option.h"
#include "cli/letter.h"
#include "cli/submission.h"
#include "cli/wire.h"
#include "relay/mail/field.h"
#include "relay/wire/dsn.h"
#include "relay/wire/xtext.h"

#define DEFAULT_CONFIG "/etc/stagepost/stagepost.yaml"
#define DEFAULT_RELAY  "127.0.0.1:2525"
#define DOMAIN_FILE    "/etc/mailname"
#define NAME_SIZE      256
#define HEADER_SPARE   ((size_t)16 * 1024) /* for what is added to it */

/* What is asked for. Strings are borrowed from the command line. */
struct request {
	const char *config; /* -C; NULL: the usual one, if it is there */
	const char *sender; /* -f, -r; NULL: who calls */
	const char *name;   /* -F */
	const char *notify; /* -N, -R, -V as they go over the wire */
	const char *ret;
	char envid[DSN_ENVID_MAX + 1];
	bool from_header; /* -t */
	bool keep_dots;	  /* -i */
	bool verbose;
	char mode; /* -b: 'm' deliver, 's' SMTP, 'p' list, 'i' aliases */
};

/* --- options ----------------------------------------------------------------- */

static int read_mode(struct request *request, const char *text)
{
	if (strlen(text) != 1 || strchr("mspi", text[0]) == NULL)
		return tool_fail(
			EX_USAGE,
			"sendmail: -b%s is not for this sendmail: it hands mail to the relay",
			text);
	request->mode = text[0];
	return EX_OK;
}

static int read_envid(struct request *request, const char *text)
{
	struct buf coded;
	bool good;

	buf_init(&coded, DSN_ENVID_MAX);
	good = xtext_encode(span_of(text), &coded) == ERR_OK &&
	       dsn_envid_is_valid(buf_span(&coded));
	if (good)
		(void)snprintf(request->envid, sizeof(request->envid), "%.*s",
			       SPAN_ARG(buf_span(&coded)));
	buf_release(&coded);
	return good ? EX_OK : tool_fail(EX_USAGE, "sendmail: -V %s is no envelope id", text);
}

/* One option; those that change nothing here are taken and forgotten. */
static int read_option(struct request *request, int letter, const char *value)
{
	switch (letter) {
	case 'b': return read_mode(request, value);
	case 'C': request->config = value; return EX_OK;
	case 'f':
	case 'r': request->sender = value; return EX_OK;
	case 'F': request->name = value; return EX_OK;
	case 'I': request->mode = 'i'; return EX_OK;
	case 'i': request->keep_dots = true; return EX_OK;
	case 'o': request->keep_dots |= strcmp(value, "i") == 0; return EX_OK;
	case 't': request->from_header = true; return EX_OK;
	case 'v': request->verbose = true; return EX_OK;
	case 'q': request->mode = 'q'; return EX_OK;
	case 'V': return read_envid(request, value);
	case 'N':
		request->notify = dsn_notify_parse(span_of(value));
		return request->notify != NULL ? EX_OK
					       : tool_fail(EX_USAGE,
							   "sendmail: -N %s: never, or some of "
							   "success,failure,delay",
							   value);
	case 'R':
		request->ret = dsn_ret_parse(span_of(value));
		return request->ret != NULL
			       ? EX_OK
			       : tool_fail(EX_USAGE, "sendmail: -R %s: full or hdrs", value);
	case '?': return EX_USAGE; /* getopt has complained */
	default: return EX_OK;
	}
}

/* Sendmail's letters, and Postfix's. argv[0] is a word for complaints. */
static int read_options(struct request *request, int argc, char **argv)
{
	static const char letters[] = "+A:B:C:F:GIL:N:O:R:UV:X:b:cd::e:f:h:imno:p:q::r:tvx";
	int ends = EX_OK;
	int letter;

	optind = 1;
	while (ends == EX_OK && (letter = getopt(argc, argv, letters)) != -1)
		ends = read_option(request, letter, optarg);
	return ends;
}

/* --- who and where -------------------------------------------------------------- */

/* Debian's name of this machine in mail, else its own. */
static void find_domain(char domain_out[ADDRESS_DOMAIN_MAX + 1])
{
	char line[2 * ADDRESS_DOMAIN_MAX] = "";
	FILE *stream = fopen(DOMAIN_FILE, "re");
	bool found = false;

	if (stream != NULL) {
		if (fgets(line, sizeof(line), stream) == NULL)
			line[0] = '\0';
		fclose(stream);
		found = domain_to_ascii(span_trim(span_of(line)), domain_out, NULL) == ERR_OK;
	}
	if (!found && gethostname(line, sizeof(line) - 1) == 0)
		found = domain_to_ascii(span_of(line), domain_out, NULL) == ERR_OK;
	if (!found)
		(void)snprintf(domain_out, ADDRESS_DOMAIN_MAX + 1, "localhost");
}

/* The caller's login, and his full name in NAME_SIZE octets. */
static void find_caller(char *login_out, char *name_out)
{
	const struct passwd *entry = getpwuid(getuid());

	(void)snprintf(login_out, NAME_SIZE, "%s", entry != NULL ? entry->pw_name : "nobody");
	name_out[0] = '\0';
	/* "&" stands for the login; nobody writes that any more. */
	if (entry != NULL && entry->pw_gecos != NULL && strchr(entry->pw_gecos, '&') == NULL)
		(void)snprintf(name_out, NAME_SIZE, "%.*s", (int)strcspn(entry->pw_gecos, ","),
			       entry->pw_gecos);
}

static void ignore_mistake(void *ctx, const char *source, struct document_mark mark,
			   const char *sentence)
{
}

static void ignore_cut(void *ctx)
{
}

static bool says(const struct document_node *listener, const char *key, const char *word)
{
	const struct document_node *node = document_find(listener, span_of(key));

	return node != NULL && node->kind == DOCUMENT_SCALAR && span_is(node->text, word);
}

/* The first listener that takes mail in clear and without a login; NULL: none. */
static const char *listener_in(struct arena *arena, struct span text)
{
	static const struct document_ops ops = {.on_mistake = ignore_mistake, .on_cut = ignore_cut};
	const struct document_node *listeners;
	struct document_node *root;

	(void)document_parse(text, "", arena, &ops, NULL, &root);
	listeners = document_find(root, span_of("listeners"));
	for (size_t i = 0; i < document_count(listeners); i++) {
		const struct document_node *one = document_item(listeners, i);
		const struct document_node *address = document_find(one, span_of("address"));

		if (address == NULL || address->kind != DOCUMENT_SCALAR ||
		    strstr(address->text.data, "${") != NULL || says(one, "tls", "implicit") ||
		    says(one, "auth", "required") || says(one, "protocol", "lmtp") ||
		    says(one, "proxy_protocol", "true"))
			continue;
		return address->text.data;
	}
	return NULL;
}

/* NULL: -C names a file that can't be read; complained. */
static const char *find_relay(const struct request *request, struct arena *arena)
{
	const char *relay = getenv("STAGEPOST_SMTP");
	FILE *stream;
	char *text;
	size_t len;

	if (request->config == NULL && relay != NULL && relay[0] != '\0')
		return relay;
	stream = fopen(request->config != NULL ? request->config : DEFAULT_CONFIG, "re");
	if (stream == NULL && request->config == NULL)
		return DEFAULT_RELAY;
	if (stream == NULL) {
		(void)tool_fail(EX_CONFIG, "sendmail: %s can't be read: %m", request->config);
		return NULL;
	}
	text = arena_alloc(arena, DOCUMENT_MAX_BYTES + 1);
	len = fread(text, 1, DOCUMENT_MAX_BYTES + 1, stream);
	fclose(stream);
	relay = listener_in(arena, span_make(text, len));
	return relay != NULL ? relay : DEFAULT_RELAY;
}

/* --- one message ------------------------------------------------------------------ */

/* What a run holds. */
struct run {
	const struct request *request;
	const char *relay;
	struct access access;
	char domain[ADDRESS_DOMAIN_MAX + 1];
	char login[NAME_SIZE];
	char name[NAME_SIZE];
	struct address caller; /* login@domain */
	struct address sender;
	struct letter letter;
	struct addressees addressees;
	struct buf header;
};

static int fail(int ends, const struct err *why)
{
	return tool_fail(ends, "sendmail: %s", why->text);
}

/* "bob", "bob@example.com", "<bob@example.com>", "" and "<>" for nobody. */
static int read_sender(struct run *run, const char *text)
{
	struct addressees one = {.count = 0};
	struct err why;
	int code;

	if (text[0] == '\0' || strcmp(text, "<>") == 0) {
		run->sender = (struct address){.form = ADDRESS_NULL};
		return EX_OK;
	}
	code = addressees_add(&one, span_of(text), run->domain, &why);
	if (code == ERR_OK && one.count != 1)
		code = err_set(&why, ERR_SYNTAX, "\"%.100s\" is not one address", text);
	if (code == ERR_OK)
		run->sender = one.items[0];
	addressees_release(&one);
	return code == ERR_OK ? EX_OK : fail(EX_DATAERR, &why);
}

static int find_people(struct run *run)
{
	struct addressees caller = {.count = 0};
	struct err why;
	int code;

	find_domain(run->domain);
	find_caller(run->login, run->name);
	code = addressees_add(&caller, span_of(run->login), run->domain, &why);
	if (code == ERR_OK && caller.count == 1)
		run->caller = caller.items[0];
	else
		(void)address_parse(span_of("nobody@localhost"), &run->caller, NULL);
	addressees_release(&caller);
	if (run->request->name != NULL)
		(void)snprintf(run->name, sizeof(run->name), "%s", run->request->name);
	if (!field_is_text(span_of(run->name))) /* cut inside a character, or not UTF-8 */
		run->name[0] = '\0';
	if (run->request->sender != NULL)
		return read_sender(run, run->request->sender);
	run->sender = run->caller;
	return EX_OK;
}

static int find_addressees(struct run *run, int count, char **operands)
{
	struct err why;
	int code = ERR_OK;

	for (int i = 0; code == ERR_OK && i < count; i++) {
		if (operands[i][0] == '-')
			code = err_set(&why, ERR_SYNTAX, "%.100s stands behind a recipient",
				       operands[i]);
		else
			code = addressees_add(&run->addressees, span_of(operands[i]), run->domain,
					      &why);
	}
	if (code != ERR_OK)
		return fail(EX_USAGE, &why);
	if (run->request->from_header &&
	    letter_addressees(&run->letter, run->domain, &run->addressees, &why) != ERR_OK)
		return fail(EX_DATAERR, &why);
	if (run->addressees.count == 0)
		return tool_fail(EX_USAGE, run->request->from_header
						   ? "sendmail: the header names no recipient"
						   : "sendmail: a recipient is wanted, or -t");
	return EX_OK;
}

/* sysexits.h, as sendmail's callers know them. */
static int ends_with(int code, const struct submission_failure *failure)
{
	if (code == ERR_SYNTAX)
		return EX_PROTOCOL;
	if (code != ERR_DENIED || failure->code / 100 == 4)
		return EX_TEMPFAIL;
	if (failure->step == SUBMISSION_LOGIN || failure->code == 530)
		return EX_NOPERM;
	if (failure->step == SUBMISSION_RECIPIENT)
		return EX_NOUSER;
	return EX_UNAVAILABLE;
}

static int submit(struct run *run)
{
	const struct request *request = run->request;
	const struct submission_mail mail = {
		.sender = run->sender,
		.recipients = run->addressees.items,
		.recipient_count = run->addressees.count,
		.header = buf_span(&run->header),
		.body = run->letter.body,
		.has_8bit = run->letter.has_8bit,
		.notify = request->notify,
		.ret = request->ret,
		.envid = request->envid[0] != '\0' ? request->envid : NULL,
	};
	struct submission_failure failure;
	struct err why;
	struct submission_access access = run->access.how;
	int fd;
	int code = wire_connect(run->relay, &fd, &why);

	if (code != ERR_OK)
		return fail(code == ERR_SYNTAX ? EX_CONFIG : EX_TEMPFAIL, &why);
	access.hello = run->domain;
	access.address = run->relay;
	code = submission_run(fd, &access, &mail, request->verbose ? stdout : NULL, &failure, &why);
	return code == ERR_OK ? EX_OK : fail(ends_with(code, &failure), &why);
}

static int write_header(struct run *run)
{
	const struct letter_author author = {
		.name = run->name,
		.mailbox = run->sender.form == ADDRESS_NULL ? &run->caller : &run->sender,
		.domain = run->domain};

	buf_init(&run->header, run->letter.fields.len + HEADER_SPARE);
	if (letter_header(&run->letter, &author, run->request->from_header, &run->header) == ERR_OK)
		return EX_OK;
	return tool_fail(EX_SOFTWARE, "sendmail: the header has no room");
}

static int deliver(struct run *run, int count, char **operands)
{
	struct err why;
	int ends = find_people(run);
	int code;

	if (ends != EX_OK)
		return ends;
	/* A person who forgot the recipient should not have to type the message first. */
	if (count == 0 && !run->request->from_header)
		return find_addressees(run, count, operands);
	code = letter_read(stdin, !run->request->keep_dots, &run->letter, &why);
	if (code != ERR_OK)
		return fail(code == ERR_LIMIT ? EX_DATAERR : EX_IOERR, &why);
	ends = find_addressees(run, count, operands);
	if (ends == EX_OK)
		ends = write_header(run);
	return ends == EX_OK ? submit(run) : ends;
}

/* --- modes ------------------------------------------------------------------------- */

/* RFC 5321 4.2: who talks SMTP to us wants an answer in SMTP. */
static int talk(const struct run *run)
{
	struct err why;
	int fd;

	if (run->access.how.tls != SUBMISSION_CLEAR || run->access.how.user != NULL)
		return tool_fail(EX_CONFIG, "sendmail: -bs has no TLS and no login of its own");
	if (wire_connect(run->relay, &fd, &why) != ERR_OK) {
		printf("421 4.3.0 %s\r\n", why.text);
		return EX_TEMPFAIL;
	}
	return submission_pipe(fd, STDIN_FILENO, STDOUT_FILENO, &why) == ERR_OK
		       ? EX_OK
		       : fail(EX_IOERR, &why);
}

static int reach(struct run *run, int count, char **operands)
{
	struct err why;

	if (access_read(&run->access, &why) != ERR_OK)
		return fail(EX_CONFIG, &why);
	return run->request->mode == 's' ? talk(run) : deliver(run, count, operands);
}

/* An empty queue is no failure for mailq. */
static int list(struct tool *tool, char **operands)
{
	int ends;

	tool->command = &command_queue_list;
	ends = command_queue_list.run(tool, 0, operands);
	return ends == TOOL_NO ? EX_OK : ends;
}

static int run_mode(struct run *run, struct tool *tool, int count, char **operands)
{
	switch (run->request->mode) {
	case 'p': return list(tool, operands);
	case 'i': /* there are no aliases, and the relay needs no telling */
	case 'q': return EX_OK;
	default: return reach(run, count, operands);
	}
}

static int run_sendmail(struct tool *tool, int argc, char **argv)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct request request = {.mode = 'm'};
	struct run run = {.request = &request};
	struct arena *arena;
	int ends;

	if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
		help_print(&command_sendmail);
		return TOOL_HELPED;
	}
	/* The word in front of the options stands there, whatever it is. */
	ends = read_options(&request, argc + 1, argv - 1);
	if (ends != EX_OK)
		return ends;
	(void)sigaction(SIGPIPE, &ignore, NULL);
	arena = arena_new();
	run.relay = find_relay(&request, arena);
	ends = run.relay != NULL ? run_mode(&run, tool, argc + 1 - optind, argv - 1 + optind)
				 : EX_CONFIG;
	access_release(&run.access);
	letter_release(&run.letter);
	addressees_release(&run.addressees);
	buf_release(&run.header);
	arena_free(&arena);
	return ends;
}

static const struct command_option options[] = {
	OPTION_FOREIGN("-t", NULL,
		       "to those that To, Cc and Bcc name (Resent-To, -Cc and -Bcc where there is "
		       "one), besides RECIPIENT...; Bcc and Resent-Bcc are taken out"),
	OPTION_FOREIGN("-i", NULL,
		       "a line of a single dot is a line; else it ends the message (also -oi)"),
	OPTION_FOREIGN("-f", "SENDER",
		       "the envelope's sender (also -r); default: who calls, at this machine"),
	OPTION_FOREIGN("-F", "NAME", "his name, for a From that is missing"),
	OPTION_FOREIGN("-N", "WHEN",
		       "never, or some of success,failure,delay: which reports are wanted"),
	OPTION_FOREIGN("-R", "full|hdrs", "how much a report returns"),
	OPTION_FOREIGN("-V", "ID", "an id that stands in it"),
	OPTION_FOREIGN("-C", "FILE", "the daemon's configuration; default " DEFAULT_CONFIG),
	OPTION_FOREIGN("-v", NULL, "show the dialogue with the relay"),
	OPTION_FOREIGN("-bm", NULL, "deliver: what it does without -b"),
	OPTION_FOREIGN("-bs", NULL, "talk SMTP on standard input and output"),
	OPTION_FOREIGN("-bp", NULL, "as mailq: stagepost queue list"),
	OPTION_FOREIGN("-bi", NULL, "do nothing, as there are no aliases here (also -I)"),
	OPTION_FOREIGN("-q", NULL, "do nothing, as there is no queue here"),
	OPTION_END,
};

const struct command command_sendmail = {
	.name = "sendmail",
	.operands = "[RECIPIENT]...",
	.summary = "Hand a message in, as /usr/sbin/sendmail does",
	.options = options,
	.notes =
		"From, Date and Message-ID are added where they are missing. Other options of\n"
		"sendmail's are taken and change nothing. The relay is $STAGEPOST_SMTP (host:port "
		"or\n"
		"unix:/path), else the first listener of the configuration that takes mail without "
		"a\n"
		"login, else " DEFAULT_RELAY ". For one that is elsewhere there are\n"
		"$STAGEPOST_SMTP_TLS (starttls, implicit), $STAGEPOST_SMTP_CA, "
		"$STAGEPOST_SMTP_USER "
		"and\n"
		"$STAGEPOST_SMTP_PASSWORD_FILE.\n"
		"\nExit status as sendmail's: 0 taken, 64 usage, 65 an address that can't be read, "
		"67 a\n"
		"recipient was refused (then nobody gets it), 69 the message was refused, 75 try "
		"later,\n"
		"77 the relay wants a login, 78 configuration.\n"
		"\nA link to stagepost that is called sendmail, mailq or newaliases does these.\n",
	.examples = {"stagepost sendmail -t -i < message.eml",
		     "stagepost sendmail -f shop@example.com alice@example.com < message.eml"},
	.is_foreign = true,
	.run = run_sendmail,
};
