/* relay/filter/pattern.c - one whitelist pattern: parse, canonical print, match */
#include "relay/filter/pattern.h"

#include <assert.h>
#include <stdio.h>

#include "relay/filter/reserved.h"

static void lower(char *text)
{
	for (; *text != '\0'; text++)
		*text = ascii_lower(*text);
}

/* Set the spans from the finished text: `local_len` bytes, then "@" if there are any, then "." */
static void point(struct pattern *pattern, enum entry_kind kind, size_t local_len, bool subdomains)
{
	struct span text = span_of(pattern->text);
	size_t at = local_len > 0 ? local_len + 1 : 0;

	pattern->kind = kind;
	pattern->local = span_first(text, local_len);
	pattern->domain = kind == ENTRY_ALL ? span_make(NULL, 0)
					    : span_skip(text, at + (subdomains ? 1 : 0));
	pattern->subdomains = subdomains;
}

void pattern_copy(struct pattern *to, const struct pattern *from)
{
	memcpy(to->text, from->text, sizeof(to->text));
	point(to, from->kind, from->local.len, from->subdomains);
}

/* The unsafe characters of DESIGN 4.6 never stand in a glob: it could not match them anyway. */
static bool is_glob_char(char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '_' || c == '+' || c == '-' || c == '*';
}

static int check_glob(struct span local, struct err *why)
{
	if (local.len > ADDRESS_LOCAL_MAX)
		return err_set(why, ERR_LIMIT, "the part before @ is longer than %d octets",
			       ADDRESS_LOCAL_MAX);
	for (size_t i = 0; i < local.len; i++) {
		if (!is_glob_char(local.data[i]))
			return err_set(why, ERR_SYNTAX,
				       "a pattern with * holds letters, digits and . _ + - only");
		if (local.data[i] == '.' &&
		    (i == 0 || i + 1 == local.len || local.data[i - 1] == '.'))
			return err_set(why, ERR_SYNTAX,
				       "a dot stands between other characters, once");
	}
	if (!ascii_is_alnum(local.data[0]) && local.data[0] != '*')
		return err_set(why, ERR_SYNTAX,
			       "the part before @ starts with a letter, a digit or *");
	return ERR_OK;
}

/* `**` says no more than `*`. */
static size_t collapse_stars(struct span local, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < local.len; i++)
		if (local.data[i] != '*' || len == 0 || out[len - 1] != '*')
			out[len++] = ascii_lower(local.data[i]);
	out[len] = '\0';
	return len;
}

/* `text` is a domain, `.domain` or `*.domain`; more than one label unless sub-domains are meant. */
static int parse_domain(struct span text, char ascii_out[ADDRESS_DOMAIN_MAX + 1],
			bool *subdomains_out, struct err *why)
{
	bool star = span_starts_fold(text, "*.");
	bool dot = span_starts_fold(text, ".");
	struct span bare = span_skip(text, star ? 2 : dot ? 1 : 0);
	int code;

	if (span_find(bare, '*') < bare.len)
		return err_set(why, ERR_SYNTAX,
			       "in a domain * stands only in front: *.example.com");
	code = domain_to_ascii(bare, ascii_out, why);
	if (code != ERR_OK)
		return code;
	if (!star && !dot && strchr(ascii_out, '.') == NULL)
		return err_set(why, ERR_SYNTAX,
			       "a domain needs two labels; name the address, as in root@localhost");
	*subdomains_out = star || dot;
	return ERR_OK;
}

static void build_domain(const char *domain, bool subdomains, struct pattern *pattern_out)
{
	snprintf(pattern_out->text, sizeof(pattern_out->text), "%s%s", subdomains ? "." : "",
		 domain);
	point(pattern_out, subdomains ? ENTRY_SUBDOMAIN : ENTRY_DOMAIN, 0, subdomains);
}

static void build_all(struct pattern *pattern_out)
{
	snprintf(pattern_out->text, sizeof(pattern_out->text), "*");
	point(pattern_out, ENTRY_ALL, 0, false);
}

/* A local part that is a glob, or one literal local part at all sub-domains. */
static int parse_glob(struct span local, struct span domain, struct pattern *pattern_out,
		      struct err *why)
{
	char glob[ADDRESS_LOCAL_MAX + 1];
	char ascii[ADDRESS_DOMAIN_MAX + 1];
	bool subdomains;
	size_t len;
	int code = check_glob(local, why);

	if (code != ERR_OK)
		return code;
	len = collapse_stars(local, glob);
	if (span_is(domain, "*")) {
		if (len != 1 || glob[0] != '*')
			return err_set(why, ERR_SYNTAX, "the domain must be written out");
		build_all(pattern_out);
		return ERR_OK;
	}
	code = parse_domain(domain, ascii, &subdomains, why);
	if (code != ERR_OK)
		return code;
	if (len == 1 && glob[0] == '*') {
		build_domain(ascii, subdomains, pattern_out);
		return ERR_OK;
	}
	snprintf(pattern_out->text, sizeof(pattern_out->text), "%s@%s%s", glob,
		 subdomains ? "." : "", ascii);
	point(pattern_out, ENTRY_GLOB, len, subdomains);
	return ERR_OK;
}

static int parse_exact(struct span text, struct pattern *pattern_out, struct err *why)
{
	struct address address;
	int code = address_parse(text, &address, why);

	if (code != ERR_OK)
		return code;
	if (address.form != ADDRESS_PLAIN && address.form != ADDRESS_LISTED_ONLY)
		return err_set(why, ERR_SYNTAX,
			       "mail never leaves to an address of this form (quoted, literal, "
			       "source route, non-ASCII or too long)");
	snprintf(pattern_out->text, sizeof(pattern_out->text), "%s@%s", address.local,
		 address.domain);
	lower(pattern_out->text);
	point(pattern_out, ENTRY_EXACT, strlen(address.local), false);
	return ERR_OK;
}

static int parse(struct span text, struct pattern *pattern_out, struct err *why)
{
	size_t at = span_find_last(text, '@');
	struct span local = span_first(text, at);
	struct span domain = span_skip(text, at + 1);
	char ascii[ADDRESS_DOMAIN_MAX + 1];
	bool subdomains;
	int code;

	if (text.len == 0)
		return err_set(why, ERR_SYNTAX, "a pattern is missing");
	if (text.len >= 4 * PATTERN_TEXT_SIZE) /* U-labels may shrink as A-labels; this may not */
		return err_set(why, ERR_LIMIT, "a pattern is one address or domain, not a text");
	if (span_is(text, "*")) {
		build_all(pattern_out);
		return ERR_OK;
	}
	if (at < text.len && local.len > 0) {
		bool wild = span_find(local, '*') < local.len || span_starts_fold(domain, "*") ||
			    span_starts_fold(domain, ".");

		return wild ? parse_glob(local, domain, pattern_out, why)
			    : parse_exact(text, pattern_out, why);
	}
	code = parse_domain(at < text.len ? domain : text, ascii, &subdomains, why);
	if (code == ERR_OK)
		build_domain(ascii, subdomains, pattern_out);
	return code;
}

int pattern_parse(struct span text, struct pattern *pattern_out, struct err *why)
{
	struct pattern parsed;
	int code = parse(text, &parsed, why);

	if (code != ERR_OK)
		return code;
	if (reserved_is(parsed.domain))
		return err_set(why, ERR_SYNTAX,
			       "%s is reserved for the relay's self-test: no mail leaves to it",
			       RESERVED_DOMAIN);
	pattern_copy(pattern_out, &parsed);
	return ERR_OK;
}

bool glob_matches(struct span glob, struct span text)
{
	size_t g = 0;
	size_t t = 0;
	size_t star = glob.len; /* of the last `*` seen; glob.len: none */
	size_t retry = 0;	/* where the text goes on when that `*` takes one byte more */

	while (t < text.len) {
		if (g < glob.len && glob.data[g] == '*') {
			star = g++;
			retry = t;
		} else if (g < glob.len && ascii_lower(glob.data[g]) == ascii_lower(text.data[t])) {
			g++;
			t++;
		} else if (star < glob.len) {
			g = star + 1;
			t = ++retry;
		} else {
			return false;
		}
	}
	while (g < glob.len && glob.data[g] == '*')
		g++;
	return g == glob.len;
}

/* `domain` is a sub-domain of `parent`: it ends in "." and the parent. */
static bool is_below(struct span domain, struct span parent)
{
	return domain.len > parent.len + 1 && domain.data[domain.len - parent.len - 1] == '.' &&
	       span_ends_fold(domain, parent);
}

bool pattern_covers(const struct pattern *pattern, const struct address *address)
{
	struct span domain = span_of(address->domain);

	if (address->form != ADDRESS_PLAIN && address->form != ADDRESS_LISTED_ONLY)
		return false;
	if (pattern->kind == ENTRY_ALL)
		return true;
	if (pattern->subdomains ? !is_below(domain, pattern->domain)
				: !span_equal_fold(domain, pattern->domain))
		return false;
	switch (pattern->kind) {
	case ENTRY_EXACT: return span_equal_fold(span_of(address->local), pattern->local);
	case ENTRY_GLOB: return glob_matches(pattern->local, span_of(address->local));
	case ENTRY_DOMAIN:
	case ENTRY_SUBDOMAIN: return true;
	case ENTRY_ALL: break;
	}
	assert(!"an entry kind that does not exist");
	return false;
}

bool pattern_matches(const struct pattern *pattern, const struct address *address)
{
	return (pattern->kind == ENTRY_EXACT || address->form == ADDRESS_PLAIN) &&
	       !reserved_is(span_of(address->domain)) && pattern_covers(pattern, address);
}

/* Every domain that `inner` speaks of is one that `outer` speaks of. */
static bool includes_domains(const struct pattern *outer, const struct pattern *inner)
{
	if (!outer->subdomains)
		return !inner->subdomains && span_equal_fold(inner->domain, outer->domain);
	return is_below(inner->domain, outer->domain) ||
	       (inner->subdomains && span_equal_fold(inner->domain, outer->domain));
}

bool pattern_includes(const struct pattern *outer, const struct pattern *inner)
{
	if (outer->kind == ENTRY_ALL)
		return true;
	if (inner->kind == ENTRY_ALL || !includes_domains(outer, inner))
		return false;
	if (outer->kind == ENTRY_EXACT)
		return inner->kind == ENTRY_EXACT && span_equal_fold(outer->local, inner->local);
	/*
	 * A `*` of the inner one is a byte like others here, which only a `*` can stand for. No
	 * glob matches the empty local part of a domain.
	 */
	return outer->kind != ENTRY_GLOB || glob_matches(outer->local, inner->local);
}

/*
 * Some text that both globs match? One row of the table for each position in
 * `a`: meets[j] says that a's rest and b's rest behind j meet.
 */
static bool globs_meet(struct span a, struct span b)
{
	bool meets[2][ADDRESS_LOCAL_MAX + 1] = {{false}};

	for (size_t i = a.len + 1; i-- > 0;) {
		bool *row = meets[i % 2];
		const bool *below = meets[(i + 1) % 2];

		for (size_t j = b.len + 1; j-- > 0;) {
			if (i < a.len && a.data[i] == '*')
				row[j] = below[j] || (j < b.len && row[j + 1]);
			else if (j < b.len && b.data[j] == '*')
				row[j] = row[j + 1] || (i < a.len && below[j]);
			else if (i == a.len || j == b.len)
				row[j] = i == a.len && j == b.len;
			else
				row[j] = a.data[i] == b.data[j] && below[j + 1];
		}
	}
	return meets[0][0];
}

static bool is_any_local(const struct pattern *pattern)
{
	return pattern->kind == ENTRY_DOMAIN || pattern->kind == ENTRY_SUBDOMAIN;
}

bool pattern_meets(const struct pattern *a, const struct pattern *b)
{
	if (a->kind == ENTRY_ALL || b->kind == ENTRY_ALL)
		return true;
	/* Two domains, or trees of them, meet only where one is inside the other. */
	if (!includes_domains(a, b) && !includes_domains(b, a))
		return false;
	return is_any_local(a) || is_any_local(b) || globs_meet(a->local, b->local);
}
