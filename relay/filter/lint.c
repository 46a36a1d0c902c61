/* relay/filter/lint.c - what an entry would mean, told to the person who adds it */
#include "relay/filter/lint.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "relay/filter/domains.h"
#include "relay/filter/snapshot.h"

/* --- entries that say the same, or the opposite ----------------------------------------------- */

struct covering {
	const struct lint_case *at;
	bool is_plain; /* false: only an exact entry can allow it */
	size_t layer;  /* being searched */
	const struct layer_item *deny;
	const struct layer_item *same;
};

static bool counts_for(const struct covering *covering, const struct layer_item *item)
{
	const struct lint_case *at = covering->at;
	struct pattern outer;

	return item->id != at->id &&
	       (item->scope_len == 0 || span_equal(layer_item_scope(item), at->scope)) &&
	       (item->expires_at == 0 || item->expires_at > at->now) &&
	       !snapshot_buries(at->before, covering->layer, item->id) &&
	       pattern_parse(layer_item_text(item), &outer, NULL) == ERR_OK &&
	       pattern_includes(&outer, at->pattern);
}

static void on_item(void *ctx, const struct layer_item *item)
{
	struct covering *covering = ctx;
	const struct layer_item **best = item->action == ENTRY_DENY ? &covering->deny
								    : &covering->same;

	if (item->action != ENTRY_DENY && (covering->at->action == ENTRY_DENY ||
					   (!covering->is_plain && item->kind != ENTRY_EXACT)))
		return;
	/* The oldest one, so that the answer does not depend on the layers. */
	if ((*best == NULL || item->id < (*best)->id) && counts_for(covering, item))
		*best = item;
}

/* One address that the pattern covers: what covers the pattern covers that, too. */
static bool sample(const struct pattern *pattern, struct address *address_out)
{
	char text[2 * PATTERN_TEXT_SIZE];
	struct span local = pattern->local.len > 0 ? pattern->local : span_of("x");

	if (pattern->kind == ENTRY_ALL)
		return address_parse(span_of("x@x.example"), address_out, NULL) == ERR_OK;
	snprintf(text, sizeof(text), "%.*s@%s%.*s", SPAN_ARG(local),
		 pattern->subdomains ? "x." : "", SPAN_ARG(pattern->domain));
	for (char *c = text; *c != '\0'; c++)
		if (*c == '*')
			*c = 'x';
	return address_parse(span_of(text), address_out, NULL) == ERR_OK;
}

static void search(struct covering *covering)
{
	const struct whitelist_snapshot *list = covering->at->before;
	struct address address;
	struct layer_key key;

	if (!sample(covering->at->pattern, &address))
		return;
	covering->is_plain = address.form == ADDRESS_PLAIN;
	layer_key_init(&key, &address, list->seed);
	for (covering->layer = 0; covering->layer < list->layer_count; covering->layer++)
		layer_match(list->layers[covering->layer]->layer, &key, on_item, covering);
}

/* --- domains ---------------------------------------------------------------------------------- */

static bool is_in(struct span domain, const char *const *list, size_t count)
{
	size_t low = 0;

	while (low < count) {
		size_t middle = low + (count - low) / 2;
		int order = span_compare(span_of(list[middle]), domain);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			count = middle;
	}
	return false;
}

/* RFC 2606, RFC 6761, RFC 8375 and what is used inside: nobody outside has a name there. */
static bool is_inside(struct span domain)
{
	static const char *const names[] = {"test",  "example",	 "invalid",   "localhost",
					    "local", "internal", "home.arpa", "lan"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is(domain, names[i]))
			return true;
	return false;
}

static bool is_registry(struct span domain)
{
	return !is_inside(domain) && (span_find(domain, '.') == domain.len ||
				      is_in(domain, domains_registry, domains_registry_count));
}

/* Literal bytes of a local part. */
static size_t literal_length(struct span local)
{
	size_t len = 0;

	for (size_t i = 0; i < local.len; i++)
		len += local.data[i] != '*';
	return len;
}

/* --- warnings --------------------------------------------------------------------------------- */

struct warnings {
	struct lint_warning *list;
	size_t count;
};

static void warn(struct warnings *warnings, enum lint_kind kind, int64_t entry, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));

static void warn(struct warnings *warnings, enum lint_kind kind, int64_t entry, const char *format,
		 ...)
{
	struct lint_warning *warning = &warnings->list[warnings->count++];
	va_list args;

	assert(warnings->count <= LINT_WARNINGS_MAX);
	warning->kind = kind;
	warning->entry = entry;
	va_start(args, format);
	(void)vsnprintf(warning->text, sizeof(warning->text), format, args);
	va_end(args);
}

static void warn_of_width(const struct pattern *pattern, struct warnings *warnings)
{
	if (pattern->kind == ENTRY_EXACT)
		return;
	if (pattern->kind == ENTRY_ALL)
		warn(warnings, LINT_EVERYTHING, 0, "it lets mail to every plain address leave");
	else if (is_in(pattern->domain, domains_public, domains_public_count))
		warn(warnings, LINT_PUBLIC, 0,
		     "anybody can have an address at %.*s: name the addresses that are meant",
		     SPAN_ARG(pattern->domain));
	else if (is_registry(pattern->domain))
		warn(warnings, LINT_WIDE, 0, "anybody can register a name below %.*s",
		     SPAN_ARG(pattern->domain));
	else if (pattern->kind == ENTRY_GLOB && literal_length(pattern->local) < 2)
		warn(warnings, LINT_WIDE, 0, "it covers very many of those at %.*s",
		     SPAN_ARG(pattern->domain));
}

static void warn_of_others(const struct lint_case *at, struct warnings *warnings)
{
	struct covering covering = {.at = at};

	search(&covering);
	if (covering.deny != NULL) {
		const char *text = layer_item_text(covering.deny).data;

		if (at->action == ENTRY_ALLOW)
			warn(warnings, LINT_DENIED, covering.deny->id,
			     "it allows nothing: %s denies all of it", text);
		else
			warn(warnings, LINT_COVERED, covering.deny->id,
			     "%s denies all of it already", text);
	}
	if (covering.same != NULL)
		warn(warnings, LINT_COVERED, covering.same->id, "%s allows all of it already",
		     layer_item_text(covering.same).data);
}

size_t lint_warnings(const struct lint_case *at,
		     struct lint_warning warnings_out[LINT_WARNINGS_MAX])
{
	struct warnings warnings = {.list = warnings_out};

	if (at->action == ENTRY_ALLOW)
		warn_of_width(at->pattern, &warnings);
	if (at->expires_at != 0 && at->expires_at <= at->now)
		warn(&warnings, LINT_OVER, 0, "it has expired already");
	warn_of_others(at, &warnings);
	return warnings.count;
}

const char *lint_kind_name(enum lint_kind kind)
{
	static const char *const names[] = {[LINT_EVERYTHING] = "everything",
					    [LINT_PUBLIC] = "public-domain",
					    [LINT_WIDE] = "wide",
					    [LINT_DENIED] = "denied",
					    [LINT_COVERED] = "covered",
					    [LINT_OVER] = "over"};

	assert((size_t)kind < sizeof(names) / sizeof(names[0]));
	return names[kind];
}

/* --- recipients seen ---------------------------------------------------------------------------
 */

static bool delivers(const struct whitelist_snapshot *list, const struct address *address,
		     struct span scope, int64_t now)
{
	struct verdict verdict;

	verdict_judge(list, address, scope, now, &verdict);
	return verdict.kind == VERDICT_DELIVER;
}

/* The entry speaks of this address. */
static bool is_meant(const struct lint_case *at, const struct address *address)
{
	if (at->pattern == NULL)
		return true;
	return at->action == ENTRY_DENY ? pattern_covers(at->pattern, address)
					: pattern_matches(at->pattern, address);
}

void lint_count(const struct lint_case *at, const char *text, struct span scope, bool refused,
		struct lint_tally *tally)
{
	bool is_new = strcmp(tally->last, text) != 0;
	struct address address;
	bool before;
	bool after;

	if ((at->scope.len > 0 && !span_equal(at->scope, scope)) ||
	    address_parse(span_of(text), &address, NULL) != ERR_OK || !is_meant(at, &address))
		return;
	tally->last_is_told = tally->last_is_told && !is_new;
	tally->last_is_counted = tally->last_is_counted && !is_new;
	snprintf(tally->last, sizeof(tally->last), "%s", text);
	before = delivers(at->before, &address, scope, at->now);
	after = delivers(at->after, &address, scope, at->now);
	if (!tally->last_is_counted && (after || !tally->whole)) {
		tally->matches++;
		tally->last_is_counted = true;
	}
	if (before == after || refused == before || tally->last_is_told)
		return;
	tally->last_is_told = true;
	tally->allows += after ? 1 : 0;
	tally->stops += after ? 0 : 1;
	if (tally->example_count < LINT_EXAMPLES)
		snprintf(tally->examples[tally->example_count++], ADDRESS_TEXT_SIZE, "%s", text);
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "es";
}

void lint_summary(const struct lint_tally *tally, int64_t seen, int days, struct buf *out)
{
	(void)buf_printf(out, "%s %zu of the %lld recipients seen in the last %d days",
			 tally->whole ? "the list allows" : "matches", tally->matches,
			 (long long)seen, days);
	if (tally->allows > 0)
		(void)buf_printf(out, "; allows %zu address%s you have been dropping",
				 tally->allows, plural(tally->allows));
	if (tally->stops > 0)
		(void)buf_printf(out, "; stops %zu address%s that mail has been going to",
				 tally->stops, plural(tally->stops));
}
