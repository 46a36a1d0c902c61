/* relay/smtp/answer.c - a reply in the making; error codes become SMTP replies here */
#include "relay/smtp/smtp.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"

void smtp_answer_set(struct smtp_answer *answer_out, int code, const char *enhanced,
		     const char *format, ...)
{
	va_list args;

	assert(strlen(enhanced) < sizeof(answer_out->enhanced));
	answer_out->code = code;
	answer_out->delay_ms = 0;
	answer_out->disconnect = false;
	memcpy(answer_out->enhanced, enhanced, strlen(enhanced) + 1);
	va_start(args, format);
	(void)vsnprintf(answer_out->text, sizeof(answer_out->text), format, args);
	va_end(args);
}

void smtp_answer_error(struct smtp_answer *answer_out, int code)
{
	switch (code) {
	case ERR_FULL:
		smtp_answer_set(answer_out, 452, "4.3.1", "Insufficient system storage");
		break;
	case ERR_FATAL:
		smtp_answer_set(answer_out, 421, "4.3.0", "Mail queue failure, closing connection");
		break;
	default:
		smtp_answer_set(answer_out, 451, "4.3.0", "Local error, please try again later");
		break;
	}
}
