/* relay/config_reload.c - which changes a running daemon can take over (DESIGN 4.9) */
#include "relay/config.h"
#include "relay/config_print.h"

#define VALUE_MAX_BYTES ((size_t)1 << 20)
#define NAMES_MAX_BYTES 160

static void name_change(const char *prefix, const struct config_key *key, struct buf *names)
{
	/* What has no room any more is left out: one name is enough to know. */
	buf_printf(names, "%s%s%s", names->len > 0 ? ", " : "", prefix, key->name);
}

/* The same if it prints the same. */
static bool is_changed(const struct config_key *key, const char *now, const char *next)
{
	struct buf a;
	struct buf b;
	bool changed;

	buf_init(&a, VALUE_MAX_BYTES);
	buf_init(&b, VALUE_MAX_BYTES);
	config_print_value(key, now, &a);
	config_print_value(key, next, &b);
	changed = !span_equal(buf_span(&a), buf_span(&b));
	buf_release(&a);
	buf_release(&b);
	return changed;
}

static void compare_keys(const struct config_key *keys, const char *prefix, const char *now,
			 const char *next, struct buf *names);

static void compare_items(const struct config_key *key, const char *now, const char *next,
			  struct buf *names)
{
	size_t now_count;
	size_t next_count;
	const char *now_items = config_items(key, now, &now_count);
	const char *next_items = config_items(key, next, &next_count);

	if (now_count != next_count) {
		name_change("", key, names);
		return;
	}
	for (size_t i = 0; i < now_count; i++) {
		char prefix[64];

		snprintf(prefix, sizeof(prefix), "%.32s.%zu.", key->name, i);
		compare_keys(key->keys, prefix, now_items + i * key->item_size,
			     next_items + i * key->item_size, names);
	}
}

static void compare_keys(const struct config_key *keys, const char *prefix, const char *now,
			 const char *next, struct buf *names)
{
	for (const struct config_key *key = keys; key->name != NULL; key++) {
		char below[64];

		snprintf(below, sizeof(below), "%.24s%.32s.", prefix, key->name);
		if (key->type == CONFIG_SECTION)
			compare_keys(key->keys, below, now, next, names);
		else if (key->restart && key->type == CONFIG_ITEMS)
			compare_items(key, now, next, names);
		else if (key->restart && is_changed(key, now, next))
			name_change(prefix, key, names);
	}
}

int config_reloadable(const struct config *now, const struct config *next, struct err *why)
{
	struct buf names;
	int code = ERR_OK;

	buf_init(&names, NAMES_MAX_BYTES);
	compare_keys(config_keys, "", (const char *)now, (const char *)next, &names);
	if (names.len > 0)
		code = err_set(why, ERR_CONFLICT, "a change of %.*s needs a restart",
			       SPAN_ARG(buf_span(&names)));
	buf_release(&names);
	return code;
}
