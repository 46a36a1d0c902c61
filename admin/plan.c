/* admin/plan.c - the changes that bring a listing into the whitelist */
#include "admin/plan.h"

#include "base/mem.h"

static struct whitelist_change *next_change(struct plan *plan, enum entry_operation operation)
{
	struct whitelist_change *change;

	if (plan->count == plan->room) {
		plan->room = plan->room > 0 ? 2 * plan->room : 64;
		plan->changes = mem_regrow(plan->changes, plan->room, sizeof(*plan->changes));
	}
	change = &plan->changes[plan->count++];
	*change = (struct whitelist_change){.operation = operation};
	return change;
}

static void add(struct plan *plan, const struct entry *wanted)
{
	next_change(plan, ENTRY_ADD)->entry = *wanted;
	plan->added++;
}

static void change(struct plan *plan, const struct entry *wanted, const struct entry *present)
{
	struct whitelist_change *line;

	if (plan->kind == PLAN_ADD || listing_is_same(wanted, present))
		return;
	line = next_change(plan, ENTRY_REPLACE);
	line->entry = *wanted;
	line->entry.id = present->id;
	plan->changed++;
}

/* --- a few lines into a long list: each is looked up --- */

static const struct entry *on_wanted(void *ctx, size_t i)
{
	const struct plan *plan = ctx;

	return listing_entry(plan->listing, i);
}

static void on_match(void *ctx, size_t i, const struct entry *present)
{
	struct plan *plan = ctx;

	if (present == NULL)
		add(plan, listing_entry(plan->listing, i));
	else
		change(plan, listing_entry(plan->listing, i), present);
}

static int match(struct plan *plan, struct store_reader *reader, struct err *why)
{
	const struct whitelist_match request = {.count = listing_count(plan->listing),
						.wanted = on_wanted,
						.row = on_match,
						.ctx = plan};

	return queue_whitelist_match(reader, &request, &plan->revision, why);
}

/* --- all of the list: each of its rows is looked up --- */

static bool on_row(void *ctx, const struct entry *present)
{
	struct plan *plan = ctx;
	size_t i = listing_find(plan->listing, present);

	if (plan->scope[0] != '\0' && strcmp(plan->scope, present->scope) != 0)
		return true;
	if (i < listing_count(plan->listing)) {
		plan->is_there[i] = true;
		change(plan, listing_entry(plan->listing, i), present);
	} else {
		next_change(plan, ENTRY_REMOVE)->entry.id = present->id;
		plan->removed++;
	}
	return true;
}

static int replace(struct plan *plan, struct store_reader *reader, struct err *why)
{
	size_t count = listing_count(plan->listing);
	int code;

	plan->is_there = mem_regrow(plan->is_there, count + 1, sizeof(*plan->is_there));
	memset(plan->is_there, 0, count * sizeof(*plan->is_there));
	code = queue_whitelist_snapshot(reader, &plan->revision, on_row, plan, why);
	for (size_t i = 0; code == ERR_OK && i < count; i++)
		if (!plan->is_there[i])
			add(plan, listing_entry(plan->listing, i));
	return code;
}

int plan_make(struct plan *plan, struct store_reader *reader, struct err *why)
{
	plan->count = 0;
	plan->added = 0;
	plan->changed = 0;
	plan->removed = 0;
	return plan->kind == PLAN_REPLACE ? replace(plan, reader, why) : match(plan, reader, why);
}

void plan_release(struct plan *plan)
{
	mem_free(plan->changes);
	mem_free(plan->is_there);
}
