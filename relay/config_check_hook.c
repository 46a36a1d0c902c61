/* relay/config_check_hook.c - policy.hook: what its texts must look like */
#include "relay/config_check.h"
#include "relay/config_print.h"
#include "relay/config_value.h"
#include "relay/hook/hook.h"

#define VALUE_MAX 1000
#define NAME_MAX  100

static bool is_hidden(struct span url)
{
	for (; url.len > 0; url = span_skip(url, 1))
		if (span_starts_fold(url, ":" CONFIG_HIDDEN "@"))
			return true;
	return false;
}

int config_check_hook_url(struct span text, struct err *why)
{
	if (is_hidden(text))
		return err_set(why, ERR_SYNTAX,
			       "the password itself was expected, not what "
			       "--print-config shows in its place");
	return text.len == 0 ? ERR_OK : hook_check_url(text, why);
}

int config_check_hook_auth(struct span text, struct err *why)
{
	enum sasl_mechanism mechanism;

	if (sasl_mechanism_find(text, &mechanism) && (LOGIN_MECHANISMS & 1U << mechanism) != 0)
		return ERR_OK;
	return err_set(why, ERR_SYNTAX, "plain, login, cram-md5 or external was expected");
}

/* Those that the request itself needs, in either dialect. */
static bool is_ours(struct span name)
{
	static const char *const names[] = {"Host", "Content-Length", "Content-Type",
					    "Transfer-Encoding", "Connection"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is_fold(name, names[i]))
			return true;
	return false;
}

int config_check_hook_header(struct span text, struct err *why)
{
	char quoted[CONFIG_QUOTED_SIZE];
	bool good = text.len > 0 && text.len <= NAME_MAX;

	for (size_t i = 0; i < text.len && good; i++)
		good = ascii_is_alnum(text.data[i]) || text.data[i] == '-' || text.data[i] == '_';
	if (!good)
		return err_set(why, ERR_SYNTAX, "a header field's name was expected, not %s",
			       config_quote(text, quoted));
	return is_ours(text) ? err_set(why, ERR_CONFLICT, "the request has that field already")
			     : ERR_OK;
}

/* Not shown: it may be a secret. */
int config_check_hook_value(struct span text, struct err *why)
{
	if (text.len > VALUE_MAX)
		return err_set(why, ERR_LIMIT, "at most %d octets", VALUE_MAX);
	if (span_is(text, CONFIG_HIDDEN))
		return err_set(why, ERR_SYNTAX,
			       "the value itself was expected, not what "
			       "--print-config shows in its place");
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
			return err_set(why, ERR_SYNTAX, "it holds a control character");
	return ERR_OK;
}
