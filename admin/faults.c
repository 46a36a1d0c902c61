/* admin/faults.c - failures on demand as a resource */
#include "admin/handlers.h"

#include "admin/rows.h"
#include "admin/view.h"
#include "relay/filter/fault.h"

static const struct edition *acquire(const struct api *api)
{
	return faults_acquire(api->env.faults);
}

static json_t *view(const struct edition *edition, size_t index, const void *row)
{
	struct fault_view view = {.source = PUBLISHED_FROM_STORE};

	if (index < edition->count)
		fault_set_view(edition, index, &view);
	view.fault = row;
	return view_fault(&view);
}

static void init(void *row)
{
	fault_init(row);
}

static void keep(void *row, struct arena *arena)
{
	fault_keep(row, arena);
}

static void read_count(struct call *call, const char *name, int64_t usual, size_t *count)
{
	int64_t number = (int64_t)*count;

	rows_read_number(call, name, usual, FAULT_COUNT_MAX, &number);
	*count = (size_t)number;
}

static void read_names(struct call *call, struct fault *fault)
{
	const char *action = rows_read_action(call);
	const char *stage = call_text(call, "stage", ROWS_TEXT_MAX);

	if (action != NULL && fault_action_parse(span_of(action), &fault->action) != ERR_OK)
		call_mistake(call, "/action", "reject, delay, disconnect, bounce or defer");
	if (stage != NULL && fault_stage_parse(span_of(stage), &fault->stage) != ERR_OK)
		call_mistake(call, "/stage", "mail, rcpt, data or end");
	else if (stage == NULL && call_has_member(call, "stage"))
		fault->stage = FAULT_AT_RCPT;
}

static void read_numbers(struct call *call, struct fault *fault)
{
	read_count(call, "code", 0, &fault->code);
	read_count(call, "attempts", 1, &fault->attempts);
	read_count(call, "after", 0, &fault->skip);
	read_count(call, "every", 1, &fault->every);
	read_count(call, "times", 0, &fault->times);
	rows_read_number(call, "delay_ms", 0, FAULT_DELAY_MAX_MS, &fault->delay_ms);
	rows_read_bool(call, "enabled", &fault->enabled);
}

static void tell(void *ctx, const char *member, const char *sentence)
{
	rows_tell(ctx, strcmp(member, "delay") == 0 ? "delay_ms" : member, sentence);
}

static void read_fault(struct call *call, struct row_change *change)
{
	struct fault *fault = change->row;

	read_names(call, fault);
	rows_read_text(call, "name", &fault->name);
	rows_read_text(call, "recipient", &fault->recipient);
	rows_read_text(call, "sender", &fault->sender);
	rows_read_text(call, "user", &fault->user);
	rows_read_text(call, "scope", &fault->scope);
	rows_read_text(call, "enhanced", &fault->enhanced);
	rows_read_text(call, "text", &fault->reply);
	rows_read_text(call, "note", &fault->note);
	read_numbers(call, fault);
	if (call->mistakes == NULL)
		(void)fault_check(fault, tell, call);
}

static const struct row_kind faults = {
	.noun = "fault rule",
	.path = "/api/v1/faults",
	.members = "name enabled action stage recipient sender user scope code enhanced text "
		   "delay_ms attempts after every times note before",
	.acquire = acquire,
	.view = view,
	.init = init,
	.keep = keep,
	.read = read_fault,
	ROWS_OF(fault),
};

void handle_faults(struct call *call)
{
	rows_handle(call, &faults);
}
