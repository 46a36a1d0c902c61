/* tests relay/mail/address.c: the collected paths */
#include "relay/mail/address.h"

#include <stdio.h>

#include "relay/mail/domain.h"
#include "tests/unit/mail/corpora.h"
#include "tests/unit/mail/exact.h"
#include "tests/unit/unit.h"

/* The corpus gives the local part without its quoting. */
static void unquote(const char *local, char *text_out)
{
	bool quoted = local[0] == '"';
	size_t len = strlen(local);

	for (size_t i = quoted ? 1 : 0; i < len - (quoted ? 1 : 0); i++) {
		if (quoted && local[i] == '\\')
			i++;
		*text_out++ = local[i];
	}
	*text_out = '\0';
}

static void expect_mailbox(const struct corpus *corpus, const struct address *address)
{
	const json_t *want = json_array_get(json_object_get(corpus->row, "expect"), 0);
	const char *domain = json_string_value(json_object_get(want, "domain"));
	char local[ADDRESS_LOCAL_MAX + 1];

	unquote(address->local, local);
	ck_assert_msg(strcmp(local, json_string_value(json_object_get(want, "local"))) == 0,
		      "%s: local part %s", corpus->id, local);
	if (domain == NULL) {
		ck_assert_msg(address->form == ADDRESS_POSTMASTER, "%s", corpus->id);
	} else if (address->utf8_domain) {
		char ascii[ADDRESS_DOMAIN_MAX + 1];

		ck_assert_int_eq(domain_to_ascii(span_of(domain), ascii, NULL), ERR_OK);
		ck_assert_str_eq(address->domain, ascii);
	} else {
		ck_assert_msg(strcmp(address->domain, domain) == 0, "%s: domain %s", corpus->id,
			      address->domain);
	}
}

/* Marked local>64, domain>255 or path>256: well formed, and more than 4.5.3.1 asks of us. */
static bool over_limits(const struct corpus *corpus)
{
	const json_t *marks = json_object_get(corpus->row, "marks");
	const json_t *mark;
	size_t i;

	json_array_foreach(marks, i, mark)
	{
		if (strchr(json_string_value(mark), '>') != NULL)
			return true;
	}
	return false;
}

START_TEST(corpus_paths)
{
	struct corpus corpus;
	size_t rows = 0;

	if (!corpus_open(&corpus, "gold-smtp-path.jsonl"))
		return;
	for (; corpus_next(&corpus); rows++) {
		bool invalid = strcmp(corpus_text(&corpus, "rfc"), "invalid") == 0;
		struct address address;
		struct err why;
		int code = exact_parse(corpus.input, ADDRESS_FORWARD_PATH, &address, &why);

		if (invalid) {
			ck_assert_msg(code != ERR_OK, "%s is invalid", corpus.id);
		} else if (over_limits(&corpus)) {
			ck_assert_msg(code == ERR_LIMIT, "%s is over a limit", corpus.id);
		} else {
			ck_assert_msg(code == ERR_OK, "%s: %s", corpus.id, why.text);
			expect_mailbox(&corpus, &address);
			exact_check(&address);
		}
	}
	printf("# gold-smtp-path: %zu rows\n", rows);
	ck_assert_uint_gt(rows, 300);
}
END_TEST

UNIT_MAIN("mail/address_corpus", corpus_paths)
