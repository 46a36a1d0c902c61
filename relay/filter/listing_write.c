/* relay/filter/listing_write.c - the whitelist written as text, CSV and JSON */
#include "base/clock.h"
#include "relay/filter/listing_private.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static const char text_head[] =
	"# The whitelist of Stagepost: one pattern a line, see stagepost-whitelist(5)\n";
static const char csv_head[] = "pattern,action,scope,note,owner,expires_at,allow_all\r\n";

/* --- what may be written --- */

/* A row that the API would not have made never matches (S163), and must not become one that does
 * by being read again. */
static bool is_whole(const struct entry *entry)
{
	struct span text = span_of(entry->pattern);
	struct pattern pattern;

	return pattern_parse(text, &pattern, NULL) == ERR_OK && span_is(text, pattern.text) &&
	       pattern.kind == entry->kind &&
	       (entry->action == ENTRY_ALLOW || entry->action == ENTRY_DENY) &&
	       listing_is_scope(span_of(entry->scope));
}

/* Length of the UTF-8 character at the front; 0: it is none. */
static size_t character(struct span rest)
{
	unsigned char c = (unsigned char)rest.data[0];
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return len <= rest.len && span_is_utf8(span_first(rest, len)) ? len : 0;
}

/* `text`, which may be NULL, character by character, through `put`; what no reader takes becomes
 * U+FFFD. */
static void each_character(const char *text, void (*put)(struct buf *out, struct span c),
			   struct buf *out)
{
	struct span rest = span_of(text);

	while (rest.len > 0) {
		size_t len = character(rest);
		char c = rest.data[0];
		bool bad = len == 0 || ((unsigned char)c < ' ' && c != '\n' && c != '\t') ||
			   c == 127;

		put(out, bad ? span_of(REPLACEMENT) : span_first(rest, len));
		rest = span_skip(rest, len > 0 ? len : 1);
	}
}

static bool is_open_to_all(const struct entry *entry)
{
	return entry->kind == ENTRY_ALL && entry->action == ENTRY_ALLOW;
}

/* --- text --- */

static void put_escaped(struct buf *out, struct span c)
{
	if (c.data[0] == '\n')
		(void)buf_append_text(out, "\\n");
	else if (c.data[0] == '\t')
		(void)buf_append_text(out, "\\t");
	else {
		if (c.data[0] == '"' || c.data[0] == '\\')
			(void)buf_append_char(out, '\\');
		(void)buf_append_span(out, c);
	}
}

static void text_field(const char *name, const char *value, struct buf *out)
{
	if (value == NULL || value[0] == '\0')
		return;
	(void)buf_printf(out, " %s=\"", name);
	each_character(value, put_escaped, out);
	(void)buf_append_char(out, '"');
}

static void write_text(const struct entry *entry, const char *expires, struct buf *out)
{
	bool has_sign = entry->pattern[0] == '!' || entry->pattern[0] == '#';

	if (entry->action == ENTRY_DENY)
		(void)buf_append_text(out, "deny ");
	else if (has_sign)
		(void)buf_append_text(out, "allow ");
	(void)buf_append_text(out, entry->pattern);
	if (entry->scope[0] != '\0')
		(void)buf_printf(out, " scope=%s", entry->scope);
	if (expires[0] != '\0')
		(void)buf_printf(out, " expires_at=%s", expires);
	if (is_open_to_all(entry))
		(void)buf_append_text(out, " allow_all=yes");
	text_field("owner", entry->owner, out);
	text_field("note", entry->note, out);
	(void)buf_append_char(out, '\n');
}

/* --- CSV --- */

static void put_quoted(struct buf *out, struct span c)
{
	if (c.data[0] == '"')
		(void)buf_append_char(out, '"');
	(void)buf_append_span(out, c);
}

/* Always in quotes. A spreadsheet would run what looks like a formula: it gets a ' in front, which
 * reading takes off again. */
static void csv_cell(const char *value, struct buf *out)
{
	(void)buf_append_char(out, '"');
	if (value != NULL && value[0] != '\0' && strchr("=+-@'\t\n", value[0]) != NULL)
		(void)buf_append_char(out, '\'');
	each_character(value, put_quoted, out);
	(void)buf_append_char(out, '"');
}

static void write_csv(const struct entry *entry, const char *expires, struct buf *out)
{
	const char *cells[] = {entry->pattern,
			       entry->action == ENTRY_DENY ? "deny" : "allow",
			       entry->scope,
			       entry->note,
			       entry->owner,
			       expires,
			       is_open_to_all(entry) ? "yes" : ""};

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		if (i > 0)
			(void)buf_append_char(out, ',');
		csv_cell(cells[i], out);
	}
	(void)buf_append_text(out, "\r\n");
}

/* --- JSON --- */

/* No `<`: the text may end up in a page, where it could end a script. */
static void put_json(struct buf *out, struct span c)
{
	if (c.data[0] == '<')
		(void)buf_append_text(out, "\\u003c");
	else
		put_escaped(out, c);
}

static void json_member(const char *name, const char *value, struct buf *out)
{
	if (value == NULL || value[0] == '\0')
		return;
	(void)buf_printf(out, ", \"%s\": \"", name);
	each_character(value, put_json, out);
	(void)buf_append_char(out, '"');
}

static void write_json(const struct entry *entry, const char *expires, bool is_first,
		       struct buf *out)
{
	(void)buf_append_text(out, is_first ? "\n  {\"pattern\": \"" : ",\n  {\"pattern\": \"");
	each_character(entry->pattern, put_json, out);
	(void)buf_printf(out, "\", \"action\": \"%s\"",
			 entry->action == ENTRY_DENY ? "deny" : "allow");
	json_member("scope", entry->scope, out);
	json_member("note", entry->note, out);
	json_member("owner", entry->owner, out);
	json_member("expires_at", expires, out);
	if (is_open_to_all(entry))
		(void)buf_append_text(out, ", \"allow_all\": true");
	(void)buf_append_char(out, '}');
}

/* --- all of them --- */

int listing_begin(enum listing_format format, struct buf *out)
{
	if (format == LISTING_TEXT)
		return buf_append_text(out, text_head);
	if (format == LISTING_CSV)
		return buf_append_text(out, csv_head);
	if (format == LISTING_JSON)
		return buf_append_text(out, "{\"entries\": [");
	return ERR_UNSUPPORTED;
}

/* False: only a note that a foreign hand made is so long, and half an entry is none. */
static bool write_whole(enum listing_format format, const struct entry *entry, bool is_first,
			struct buf *out)
{
	char expires[CLOCK_RFC3339_SIZE] = "";
	size_t before = out->len;

	if (entry->expires_at != 0)
		clock_format_rfc3339(entry->expires_at, expires);
	if (format == LISTING_TEXT)
		write_text(entry, expires, out);
	else if (format == LISTING_CSV)
		write_csv(entry, expires, out);
	else
		write_json(entry, expires, is_first, out);
	if (out->len - before <= LISTING_WRITTEN_MAX - 64)
		return true;
	buf_truncate(out, before);
	return false;
}

/* As it is in force: what can't be read and may deny denies all of its scope (layer_build.c). */
static bool make_denial(const struct entry *entry, struct entry *denial_out)
{
	struct span scope = span_of(entry->scope);

	*denial_out = (struct entry){
		.pattern = "*", .kind = ENTRY_ALL, .action = ENTRY_DENY, .scope = entry->scope};
	if (scope.len > UINT16_MAX)
		denial_out->scope = "";
	else if (!listing_is_scope(scope))
		return false; /* of no mail */
	return entry->action != ENTRY_ALLOW;
}

int listing_write(enum listing_format format, const struct entry *entry, bool is_first,
		  struct buf *out)
{
	struct entry instead;

	if (!is_whole(entry)) {
		if (!make_denial(entry, &instead))
			return ERR_SYNTAX;
		entry = &instead;
	}
	if (out->max - out->len < LISTING_WRITTEN_MAX)
		return ERR_LIMIT;
	if (write_whole(format, entry, is_first, out))
		return ERR_OK;
	instead = *entry;
	instead.note = NULL;
	instead.owner = NULL;
	return entry->action == ENTRY_DENY && write_whole(format, &instead, is_first, out)
		       ? ERR_OK
		       : ERR_SYNTAX;
}

int listing_end(enum listing_format format, struct buf *out)
{
	return format == LISTING_JSON ? buf_append_text(out, "\n]}\n") : ERR_OK;
}
