/* relay/smtp/verb.c - what a client may say, when, and what happens then (RFC 5321 4.1) */
#include "base/log.h"
#include "relay/smtp/auth.h"
#include "relay/smtp/command.h"
#include "relay/smtp/xclient.h"

#define ANY_STAGE (STAGE_START | STAGE_READY | STAGE_MAIL | STAGE_RCPT | STAGE_CHUNK)

/*
 * One row a verb. `check` looks at the argument alone and returns the
 * complaint or NULL; `act` runs when stage and argument are right.
 */
struct verb {
	const char *name;
	unsigned stages; /* where it is allowed */
	const char *(*check)(struct span argument);
	void (*act)(struct smtp_session *session, struct span argument);
	bool junk; /* brings no mail nearer */
};

/* --- checks --------------------------------------------------------------- */

static const char *no_argument(struct span argument)
{
	return argument.len > 0 ? "No argument is allowed" : NULL;
}

static const char *some_argument(struct span argument)
{
	return argument.len == 0 ? "An argument is wanted" : NULL;
}

static const char *hello_name(struct span argument)
{
	return command_is_hello_name(argument) ? NULL : "A host name or address literal is wanted";
}

/* --- acts ----------------------------------------------------------------- */

static void act_rset(struct smtp_session *session, struct span argument)
{
	session_reset(session);
	session_reply(session, 250, "2.0.0", "Ok");
}

static void act_noop(struct smtp_session *session, struct span argument)
{
	session_reply(session, 250, "2.0.0", "Ok");
}

static void act_quit(struct smtp_session *session, struct span argument)
{
	session_reply(session, 221, "2.0.0", "Bye");
	session_close(session, "quit");
}

/* RFC 6531 3.7.4.2: more than ASCII only with the parameter. */
static bool is_fit_for_vrfy(struct span argument)
{
	static const char parameter[] = " SMTPUTF8";
	size_t len = sizeof(parameter) - 1;

	return span_is_ascii(argument) ||
	       (argument.len > len &&
		span_is_fold(span_skip(argument, argument.len - len), parameter));
}

/* The same for everybody: the list is not shown to clients. */
static void act_vrfy(struct smtp_session *session, struct span argument)
{
	if (!is_fit_for_vrfy(argument))
		session_refuse(session, 553, "5.6.7", "This needs SMTPUTF8 behind it");
	else
		session_reply(session, 252, "2.1.5", "Not verified; send it and see");
}

static void act_not_offered(struct smtp_session *session, struct span argument)
{
	session_refuse(session, 502, "5.5.1", "Command not offered here");
}

static const struct verb verbs[] = {
	{"EHLO", ANY_STAGE, hello_name, verb_ehlo, true},
	{"HELO", ANY_STAGE, hello_name, verb_helo, true},
	{"LHLO", ANY_STAGE, hello_name, verb_ehlo, true},
	{"MAIL", STAGE_READY, some_argument, verb_mail, false},
	{"RCPT", STAGE_MAIL | STAGE_RCPT, some_argument, verb_rcpt, false},
	{"DATA", STAGE_RCPT, no_argument, verb_data, false},
	{"RSET", ANY_STAGE, no_argument, act_rset, true},
	{"NOOP", ANY_STAGE, NULL, act_noop, true},
	{"QUIT", ANY_STAGE, no_argument, act_quit, false},
	{"VRFY", ANY_STAGE, some_argument, act_vrfy, true},
	{"HELP", ANY_STAGE, NULL, verb_help, true},
	{"BDAT", ANY_STAGE, NULL, verb_bdat, false},
	{"STARTTLS", ANY_STAGE, no_argument, verb_starttls, false},
	{"AUTH", ANY_STAGE & ~(unsigned)STAGE_START, some_argument, verb_auth, false},
	{"EXPN", ANY_STAGE, NULL, act_not_offered, false},
	{"ETRN", ANY_STAGE, NULL, act_not_offered, false},
	{"TURN", ANY_STAGE, NULL, act_not_offered, false},
	{"SEND", ANY_STAGE, NULL, act_not_offered, false},
	{"SOML", ANY_STAGE, NULL, act_not_offered, false},
	{"SAML", ANY_STAGE, NULL, act_not_offered, false},
	{"XCLIENT", ANY_STAGE, NULL, verb_xclient, true},
	{"XFORWARD", ANY_STAGE, NULL, verb_xforward, true},
};

/* --- dispatch ------------------------------------------------------------- */

static bool is_hello(const struct verb *verb)
{
	return verb->act == verb_ehlo || verb->act == verb_helo;
}

/* RFC 2033 4.1: LMTP greets with LHLO and does not know the other two. */
static const struct verb *find_verb(const struct smtp_session *session, struct span name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (span_is_fold(name, verbs[i].name) &&
		    (!is_hello(&verbs[i]) || span_is_fold(name, "LHLO") == session->client.lmtp))
			return &verbs[i];
	return NULL;
}

static void out_of_order(struct smtp_session *session, const struct verb *verb)
{
	bool lmtp = session->client.lmtp;

	/* RFC 2033 4.2 wants 503 */
	if (verb->act == verb_data && session->stage == STAGE_MAIL && session->rcpt_refused &&
	    !lmtp)
		session_refuse(session, 554, "5.5.1", "No valid recipients");
	else if ((verb->stages & STAGE_START) == 0 && session->stage == STAGE_START)
		session_refuse(session, 503, "5.5.1",
			       lmtp ? "Say LHLO first" : "Say EHLO or HELO first");
	else if (verb->act == verb_mail)
		session_refuse(session, 503, "5.5.1", "A mail transaction is under way");
	else if (session->stage == STAGE_READY)
		session_refuse(session, 503, "5.5.1", "Say MAIL first");
	else if (session->stage == STAGE_CHUNK)
		session_refuse(session, 503, "5.5.1", "The message comes by BDAT; RSET ends it");
	else
		session_refuse(session, 503, "5.5.1", "Say RCPT first");
}

static void run(struct smtp_session *session, const struct verb *verb, struct span argument)
{
	const char *complaint = verb->check != NULL ? verb->check(argument) : NULL;
	bool hello = is_hello(verb);

	/* A first EHLO, and HELO after a refused EHLO, are no junk. */
	if (verb->junk && !(hello && session->stage == STAGE_START) && !session_count_junk(session))
		return;
	if ((verb->stages & session->stage) == 0)
		out_of_order(session, verb);
	else if (complaint != NULL)
		/* RFC 2034 4: no enhanced codes in replies to EHLO and HELO */
		session_refuse(session, 501, hello ? "" : "5.5.4", complaint);
	else
		verb->act(session, argument);
}

static void turn_out(struct smtp_session *session)
{
	log_info("refused", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address),
		 LOG_S("reason", "speaks HTTP or the like"));
	session_reply(session, 554, "5.5.1", "This is SMTP, nothing else");
	session_close(session, "speaks another protocol");
}

static size_t trailing_blanks(struct span line)
{
	size_t count = 0;

	while (count < line.len && ascii_is_blank(line.data[line.len - 1 - count]))
		count++;
	return count;
}

void verb_run(struct smtp_session *session, struct span line)
{
	const struct verb *verb;
	struct command command;

	command_split(line, &command);
	session->line = span_first(line, line.len - trailing_blanks(line));
	verb = find_verb(session, command.verb);
	if (verb == NULL && command_is_foreign(line))
		turn_out(session);
	else if (command_announces_octets(line) && (verb == NULL || command_has_control(line)))
		verb_hang_up_on_content(session);
	else if (command_has_control(line))
		session_refuse(session, 501, "5.5.2", "A command holds no control characters");
	else if (verb == NULL)
		session_refuse(session, 500, "5.5.2", "Command not recognized");
	else
		run(session, verb, command.argument);
	/* However DATA was refused; a refusal that is held back sees to it itself. */
	if (verb != NULL && verb->act == verb_data && session->phase == PHASE_COMMAND)
		verb_close_on_content(session);
}
