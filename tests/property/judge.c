/*
 * tests/property/judge.c - the address parser, the patterns and the verdict, asked over a pipe by
 * tests/property/oracle.py. Frames on stdin: a letter, then
 *   R                                   begin an empty list
 *   E action scope expires len pattern  one entry, '+' or '-', number of its scope, 4 octets, 2
 * octets L                                   the list is complete Q scope len path one question, a
 * forward-path in its brackets F                                   flush Numbers are little-endian.
 * Each E and Q gets one line; see answer_entry and answer_question.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/filter/pattern.h"
#include "relay/filter/whitelist.h"

#define NOW	 1000
#define TEXT_MAX 65535

static const char *const scopes[] = {"", "s", "S", "shop"};

static void take(void *out, size_t len)
{
	if (fread(out, 1, len, stdin) != len)
		exit(2);
}

static size_t take_number(size_t octets)
{
	unsigned char bytes[4];
	size_t number = 0;

	take(bytes, octets);
	for (size_t i = octets; i > 0; i--)
		number = number << 8 | bytes[i - 1];
	return number;
}

static const char *take_scope(void)
{
	return scopes[take_number(1) % (sizeof(scopes) / sizeof(scopes[0]))];
}

static struct span take_text(char text[TEXT_MAX])
{
	size_t len = take_number(2);

	take(text, len);
	return span_make(text, len);
}

/* "-" when it is no pattern; else its canonical form. */
static void answer_entry(struct whitelist *list, int64_t id)
{
	static char text[TEXT_MAX];
	struct pattern pattern;
	struct entry entry = {.id = id};
	struct err why;

	entry.action = take_number(1) == '-' ? ENTRY_DENY : ENTRY_ALLOW;
	entry.scope = take_scope();
	entry.expires_at = (int64_t)take_number(4);
	if (pattern_parse(take_text(text), &pattern, &why) != ERR_OK) {
		puts("-");
		return;
	}
	entry.pattern = pattern.text;
	entry.kind = pattern.kind;
	whitelist_load_add(list, &entry);
	puts(pattern.text);
}

static char form_letter(enum address_form form)
{
	switch (form) {
	case ADDRESS_NULL: return 'N';
	case ADDRESS_POSTMASTER: return 'M';
	case ADDRESS_PLAIN: return 'P';
	case ADDRESS_LISTED_ONLY: return 'L';
	case ADDRESS_UNSAFE: break;
	}
	return 'U';
}

static char verdict_letter(const struct verdict *verdict)
{
	if (verdict->kind == VERDICT_DELIVER)
		return verdict->reason == REASON_ALLOWED ? 'y' : '?';
	switch (verdict->reason) {
	case REASON_DENIED: return 'd';
	case REASON_NOT_LISTED: return 'n';
	case REASON_EMPTY_LIST: return 'e';
	case REASON_EXPIRED: return 'x';
	case REASON_UNSAFE_FORM: return 'u';
	case REASON_RESERVED: return 'r';
	default: return '?';
	}
}

/* "-" when it is no path; else the form, the verdict and the print. */
static void answer_question(const struct whitelist_snapshot *snapshot)
{
	static char text[TEXT_MAX];
	const char *scope = take_scope();
	char print[ADDRESS_TEXT_SIZE];
	struct address address;
	struct verdict verdict;
	struct err why;

	if (address_parse_path(take_text(text), ADDRESS_FORWARD_PATH, &address, &why) != ERR_OK) {
		puts("-");
		return;
	}
	verdict_judge(snapshot, &address, span_of(scope), NOW, &verdict);
	address_format(&address, print);
	putchar(form_letter(address.form));
	putchar(verdict_letter(&verdict));
	puts(print);
}

int main(void)
{
	static char out[1 << 16];
	struct whitelist *list = whitelist_new();
	const struct whitelist_snapshot *snapshot = NULL;
	int64_t id = 0;
	int64_t revision = 0;
	size_t bad;

	setvbuf(stdout, out, _IOFBF, sizeof(out));
	for (int letter; (letter = getchar()) != EOF;) {
		switch (letter) {
		case 'R': whitelist_load_begin(list); break;
		case 'E': answer_entry(list, ++id); break;
		case 'L':
			whitelist_release(&snapshot);
			whitelist_load_end(list, ++revision, &bad);
			snapshot = whitelist_acquire(list);
			break;
		case 'Q': answer_question(snapshot); break;
		case 'F': fflush(stdout); break;
		default: return 2;
		}
	}
	whitelist_release(&snapshot);
	whitelist_free(&list);
	return 0;
}
