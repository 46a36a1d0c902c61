/* cli/fail.c - what a sink refuses */
#include <config.h>

#include "cli/fail.h"

#include "base/mem.h"

struct rule {
	enum fail_stage stage;
	char *where; /* FAIL_RCPT: address, "@domain" or "*" */
	int code;
};

struct fail {
	struct rule *rules;
	size_t count;
};

struct fail *fail_new(void)
{
	return mem_zalloc(sizeof(struct fail));
}

void fail_free(struct fail **fail)
{
	if (*fail == NULL)
		return;
	for (size_t i = 0; i < (*fail)->count; i++)
		mem_free((*fail)->rules[i].where);
	mem_free((*fail)->rules);
	mem_free(*fail);
	*fail = NULL;
}

static int read_code(struct span text, int *code_out)
{
	uint64_t code;

	if (text.len != 3 || span_to_u64(text, 599, &code) != ERR_OK || code < 400)
		return ERR_SYNTAX;
	*code_out = (int)code;
	return ERR_OK;
}

static bool read_where(struct span where, struct rule *rule)
{
	struct address address;

	rule->stage = span_is(where, "MAIL")   ? FAIL_MAIL
		      : span_is(where, "DATA") ? FAIL_DATA
		      : span_is(where, "END")  ? FAIL_END
					       : FAIL_RCPT;
	if (rule->stage != FAIL_RCPT || span_is(where, "*"))
		return true;
	if (where.len > 1 && where.data[0] == '@')
		return span_find(span_skip(where, 1), '@') == where.len - 1;
	return address_parse(where, &address, NULL) == ERR_OK;
}

static int add_rule(struct fail *fail, struct span item, struct err *why)
{
	struct rule rule = {0};
	size_t equals = span_find_last(item, '='); /* a local part may hold one */

	if (equals == item.len || !read_where(span_first(item, equals), &rule))
		return err_set(why, ERR_SYNTAX,
			       "\"%.*s\" is not ADDRESS=CODE, @DOMAIN=CODE, *=CODE, MAIL=CODE, "
			       "DATA=CODE or END=CODE",
			       SPAN_ARG(item));
	if (read_code(span_skip(item, equals + 1), &rule.code) != ERR_OK)
		return err_set(why, ERR_SYNTAX, "\"%.*s\": the code must be from 400 to 599",
			       SPAN_ARG(item));
	rule.where = mem_span_dup(span_first(item, equals));
	fail->rules = mem_regrow(fail->rules, fail->count + 1, sizeof(*fail->rules));
	fail->rules[fail->count++] = rule;
	return ERR_OK;
}

int fail_add(struct fail *fail, const char *spec, struct err *why)
{
	struct span rest = span_of(spec);

	if (span_find_last(rest, ',') + 1 == rest.len)
		return err_set(why, ERR_SYNTAX, "there is nothing behind the last comma");
	do {
		int code = add_rule(fail, span_cut(&rest, ','), why);

		if (code != ERR_OK)
			return code;
	} while (rest.data != NULL);
	return ERR_OK;
}

static bool names(const struct rule *rule, const struct address *recipient)
{
	char text[ADDRESS_TEXT_SIZE];
	struct span where = span_of(rule->where);

	if (span_is(where, "*"))
		return true;
	if (where.data[0] == '@')
		return span_is_fold(span_skip(where, 1), recipient->domain);
	address_format(recipient, text);
	return span_is_fold(where, text);
}

int fail_find(const struct fail *fail, enum fail_stage stage, const struct address *recipient)
{
	for (size_t i = 0; i < fail->count; i++) {
		const struct rule *rule = &fail->rules[i];

		if (rule->stage == stage && (stage != FAIL_RCPT || names(rule, recipient)))
			return rule->code;
	}
	return 0;
}
