/* relay/filter/row_check.h - what the members of fault rules and rules may hold; for these two */
#ifndef STAGEPOST_RELAY_FILTER_ROW_CHECK_H
#define STAGEPOST_RELAY_FILTER_ROW_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#define ROW_NAME_MAX 63
#define ROW_GLOB_MAX 255
#define ROW_NOTE_MAX 1000

struct row_check {
	/* Told of every mistake, with the member it is in as the API and the configuration call it.
	 * May be NULL. */
	void (*tell)(void *ctx, const char *member, const char *sentence);
	void *ctx;
	size_t mistakes;
};

void row_mistake(struct row_check *check, const char *member, const char *sentence);

/* At most `max` letters, digits, dots, hyphens and underscores. */
bool row_is_word(const char *text, size_t max);
/* At most `max` printable ASCII characters. */
bool row_is_printable(const char *text, size_t max);
/* UTF-8 without control characters. */
bool row_is_text(const char *text);

void row_check_name(struct row_check *check, const char *name);
/* "" and, for the sender, "<>" are patterns here. */
void row_check_pattern(struct row_check *check, const char *member, const char *text);
void row_check_user(struct row_check *check, const char *glob);
void row_check_scope(struct row_check *check, const char *scope);
void row_check_note(struct row_check *check, const char *note);

#endif
