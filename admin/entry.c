/* admin/entry.c - one entry of the whitelist, as a body has it */
#include "admin/entry.h"

#include "relay/filter/pattern.h"

#define NOTE_MAX  1000
#define OWNER_MAX 200

static void read_pattern(struct call *call, struct entry *entry)
{
	const char *text = call_text(call, "pattern", 2 * PATTERN_TEXT_SIZE);
	struct pattern pattern;
	struct err why;

	if (text == NULL)
		return;
	if (pattern_parse(span_of(text), &pattern, &why) != ERR_OK) {
		call_mistake(call, "/pattern", "%s", why.text);
		return;
	}
	entry->pattern = arena_strdup(call->arena, pattern.text);
	entry->kind = pattern.kind;
}

static void read_action(struct call *call, struct entry *entry)
{
	const char *action = call_text(call, "action", 16);

	if (action == NULL)
		return;
	entry->action = strcmp(action, "deny") == 0 ? ENTRY_DENY : ENTRY_ALLOW;
	if (entry->action == ENTRY_ALLOW && strcmp(action, "allow") != 0)
		call_mistake(call, "/action", "neither allow nor deny");
}

void entry_read(struct call *call, struct entry *entry, int64_t now)
{
	if (json_is_null(json_object_get(call->body, "pattern")))
		call_mistake(call, "/pattern", "must be a string");
	if (json_is_null(json_object_get(call->body, "action")))
		call_mistake(call, "/action", "must be a string");
	read_pattern(call, entry);
	read_action(call, entry);
	if (call_has_member(call, "scope") || entry->scope == NULL)
		entry->scope = call_scope(call);
	if (call_has_member(call, "note"))
		entry->note = call_text(call, "note", NOTE_MAX);
	if (call_has_member(call, "owner"))
		entry->owner = call_text(call, "owner", OWNER_MAX);
	if (call_has_member(call, "expires_at") || call_has_member(call, "expires_in"))
		entry->expires_at = call_expiry(call, now);
}

bool entry_lets_all_out(const struct entry *entry)
{
	return entry->kind == ENTRY_ALL && entry->action == ENTRY_ALLOW;
}
