/* relay/filter/row_check.c - what the members of fault rules and rules may hold */
#include "relay/filter/row_check.h"

#include <string.h>

#include "base/span.h"
#include "relay/filter/pattern.h"

void row_mistake(struct row_check *check, const char *member, const char *sentence)
{
	check->mistakes++;
	if (check->tell != NULL)
		check->tell(check->ctx, member, sentence);
}

bool row_is_word(const char *text, size_t max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (!ascii_is_alnum(text[i]) && memchr("._-", text[i], 3) == NULL)
			return false;
	return len <= max;
}

bool row_is_printable(const char *text, size_t max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return len <= max;
}

bool row_is_text(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			return false;
	return span_is_utf8(span_of(text));
}

void row_check_name(struct row_check *check, const char *name)
{
	if (name[0] == '\0' || !row_is_word(name, ROW_NAME_MAX))
		row_mistake(check, "name",
			    "a name of at most 63 letters, digits, dots, hyphens and underscores");
}

void row_check_pattern(struct row_check *check, const char *member, const char *text)
{
	struct pattern pattern;
	struct err why;

	if (text[0] == '\0' || (strcmp(member, "sender") == 0 && strcmp(text, "<>") == 0))
		return;
	if (pattern_parse(span_of(text), &pattern, &why) != ERR_OK)
		row_mistake(check, member, why.text);
}

void row_check_user(struct row_check *check, const char *glob)
{
	if (!row_is_text(glob) || strlen(glob) > ROW_GLOB_MAX)
		row_mistake(check, "user",
			    "a user's name of at most 255 octets, * for any characters");
}

void row_check_scope(struct row_check *check, const char *scope)
{
	if (!row_is_word(scope, ROW_NAME_MAX))
		row_mistake(check, "scope",
			    "at most 63 letters, digits, dots, hyphens and underscores");
}

void row_check_note(struct row_check *check, const char *note)
{
	if (strlen(note) > ROW_NOTE_MAX)
		row_mistake(check, "note", "at most 1000 octets");
}
