/* relay/filter/fault.c - failures on demand: one rule, and whether it can be meant like that */
#include "relay/filter/fault.h"

#include "relay/filter/fault_set.h"
#include "relay/filter/row_check.h"

/* From FAULT_REJECT and FAULT_AT_MAIL on. */
static const char *const action_names[] = {"reject", "delay", "disconnect", "bounce", "defer"};
static const char *const stage_names[] = {"mail", "rcpt", "data", "end"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *fault_action_name(enum fault_action action)
{
	return action >= FAULT_REJECT && action <= FAULT_DEFER ? action_names[action - FAULT_REJECT]
							       : "unknown";
}

const char *fault_stage_name(enum fault_stage stage)
{
	return stage >= FAULT_AT_MAIL && stage <= FAULT_AT_END ? stage_names[stage - FAULT_AT_MAIL]
							       : "unknown";
}

int fault_action_parse(struct span name, enum fault_action *action_out)
{
	for (size_t i = 0; i < COUNT(action_names); i++)
		if (span_is(name, action_names[i])) {
			*action_out = (enum fault_action)(FAULT_REJECT + i);
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}

int fault_stage_parse(struct span name, enum fault_stage *stage_out)
{
	for (size_t i = 0; i < COUNT(stage_names); i++)
		if (span_is(name, stage_names[i])) {
			*stage_out = (enum fault_stage)(FAULT_AT_MAIL + i);
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}

void fault_init(struct fault *fault)
{
	*fault = (struct fault){.name = "",
				.enabled = true,
				.stage = FAULT_AT_RCPT,
				.recipient = "",
				.sender = "",
				.user = "",
				.scope = "",
				.enhanced = "",
				.reply = "",
				.attempts = 1,
				.every = 1,
				.note = ""};
}

/* --- mistakes ------------------------------------------------------------------------------ */

struct checking {
	const struct fault *fault;
	struct row_check row;
};

static void mistake(struct checking *c, const char *member, const char *sentence)
{
	row_mistake(&c->row, member, sentence);
}

static void check_whom(struct checking *c)
{
	const struct fault *fault = c->fault;

	row_check_pattern(&c->row, "recipient", fault->recipient);
	row_check_pattern(&c->row, "sender", fault->sender);
	if (fault->recipient[0] != '\0' && fault->stage == FAULT_AT_MAIL)
		mistake(c, "recipient", "no recipient is known yet at the stage mail");
	row_check_user(&c->row, fault->user);
	row_check_scope(&c->row, fault->scope);
}

static bool has_answer(enum fault_action action)
{
	return action == FAULT_REJECT || action == FAULT_BOUNCE || action == FAULT_DEFER;
}

static void check_code(struct checking *c)
{
	const struct fault *fault = c->fault;
	size_t code = fault->code;

	if (code == 0)
		return;
	if (!has_answer(fault->action))
		mistake(c, "code", "a rule that delays or disconnects gives no code");
	else if (fault->action == FAULT_BOUNCE && (code < 500 || code > 599))
		mistake(c, "code", "a bounce has a code from 500 to 599");
	else if (fault->action == FAULT_DEFER && (code < 400 || code > 499))
		mistake(c, "code", "an attempt is put off with a code from 400 to 499");
	else if (code < 400 || code > 599)
		mistake(c, "code", "a refusal has a code from 400 to 599");
}

/* RFC 3463 2: up to three digits, without zeros in front. */
static bool is_part(struct span text)
{
	uint64_t number;

	return span_to_u64(text, 999, &number) == ERR_OK && (text.len == 1 || text.data[0] != '0');
}

/* RFC 3463 2: class.subject.detail. */
static bool is_enhanced(const char *text, int class)
{
	struct span rest = span_of(text);
	struct span first = span_cut(&rest, '.');
	struct span subject = span_cut(&rest, '.');

	return first.len == 1 && first.data[0] == '0' + class && is_part(subject) && is_part(rest);
}

static void check_answer(struct checking *c)
{
	const struct fault *fault = c->fault;
	int class = (int)fault_code(fault) / 100;

	check_code(c);
	if (fault->enhanced[0] != '\0' && !has_answer(fault->action))
		mistake(c, "enhanced", "a rule that delays or disconnects gives no answer");
	else if (fault->enhanced[0] != '\0' && !is_enhanced(fault->enhanced, class))
		mistake(c, "enhanced", "an enhanced code such as 5.1.1 that fits the code");
	if (fault->reply[0] != '\0' && !has_answer(fault->action))
		mistake(c, "text", "a rule that delays or disconnects gives no answer");
	else if (!row_is_printable(fault->reply, FAULT_REPLY_MAX))
		mistake(c, "text", "one line of at most 250 printable ASCII characters");
}

static void check_timing(struct checking *c)
{
	const struct fault *fault = c->fault;
	bool fate = fault->action == FAULT_BOUNCE || fault->action == FAULT_DEFER;

	if (fate && fault->stage != FAULT_AT_RCPT)
		mistake(c, "stage", "what happens later is decided for a recipient: rcpt");
	if (fault->delay_ms < 0 || fault->delay_ms > FAULT_DELAY_MAX_MS)
		mistake(c, "delay", "at most 10 minutes");
	else if (fault->action == FAULT_DELAY && fault->delay_ms == 0)
		mistake(c, "delay", "is missing: how long to wait with the answer");
	if (fault->attempts < 1 || fault->attempts > FAULT_ATTEMPTS_MAX)
		mistake(c, "attempts", "a number from 1 to 1000");
	else if (fault->attempts != 1 && fault->action != FAULT_DEFER)
		mistake(c, "attempts", "only a rule that defers puts several attempts off");
	if (fault->skip > FAULT_COUNT_MAX)
		mistake(c, "after", "at most 1000000000");
	if (fault->every < 1 || fault->every > FAULT_COUNT_MAX)
		mistake(c, "every", "a number from 1 to 1000000000");
	if (fault->times > FAULT_COUNT_MAX)
		mistake(c, "times", "at most 1000000000");
}

size_t fault_check(const struct fault *fault,
		   void (*tell)(void *ctx, const char *member, const char *sentence), void *ctx)
{
	struct checking c = {.fault = fault, .row = {.tell = tell, .ctx = ctx}};

	row_check_name(&c.row, fault->name);
	if (fault->action < FAULT_REJECT || fault->action > FAULT_DEFER)
		mistake(&c, "action", "is missing: reject, delay, disconnect, bounce or defer");
	if (fault->stage < FAULT_AT_MAIL || fault->stage > FAULT_AT_END)
		mistake(&c, "stage", "mail, rcpt, data or end");
	check_whom(&c);
	check_answer(&c);
	check_timing(&c);
	row_check_note(&c.row, fault->note);
	return c.row.mistakes;
}

/* --- the answer ------------------------------------------------------------------------------ */

size_t fault_code(const struct fault *fault)
{
	if (fault->code != 0)
		return fault->code;
	return fault->action == FAULT_DEFER ? 451 : 550;
}

static const char *usual_enhanced(size_t code, const struct fault *fault)
{
	if (code == 421)
		return "4.3.2";
	if (code / 100 == 4)
		return "4.3.0";
	return code == 550 && fault->stage == FAULT_AT_RCPT ? "5.1.1" : "5.3.0";
}

/* `to` is all zeros. */
static void copy(const char *from, const char *usual, char *to, size_t size)
{
	struct span text = span_first(span_of(from[0] != '\0' ? from : usual), size - 1);

	memcpy(to, text.data, text.len);
}

void fault_fate(const struct fault *fault, struct fate *fate_out)
{
	size_t code = fault_code(fault);

	*fate_out = (struct fate){.action = fault->action,
				  .attempts = fault->action == FAULT_DEFER ? fault->attempts : 1,
				  .code = (int)code};
	copy(fault->enhanced, usual_enhanced(code, fault), fate_out->enhanced,
	     sizeof(fate_out->enhanced));
	copy(fault->name, "", fate_out->rule, sizeof(fate_out->rule));
	copy(fault->reply, "Failure on demand", fate_out->reply, sizeof(fate_out->reply));
}
