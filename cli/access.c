/* cli/access.c - TLS and login that sendmail uses, as the environment says */
#include <config.h>

#include "cli/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "relay/wire/sasl.h"

#define PASSWORD_MAX 1024

/* NULL: not given, or empty. */
static const char *word(const char *name)
{
	const char *text = getenv(name);

	return text != NULL && text[0] != '\0' ? text : NULL;
}

static int read_tls(enum submission_tls *tls_out, struct err *why)
{
	static const char *const names[] = {[SUBMISSION_CLEAR] = "none",
					    [SUBMISSION_STARTTLS] = "starttls",
					    [SUBMISSION_IMPLICIT] = "implicit"};
	const char *text = word("STAGEPOST_SMTP_TLS");

	*tls_out = SUBMISSION_CLEAR;
	if (text == NULL)
		return ERR_OK;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			*tls_out = (enum submission_tls)i;
			return ERR_OK;
		}
	return err_set(why, ERR_SYNTAX,
		       "STAGEPOST_SMTP_TLS is none, starttls or implicit, not \"%.40s\"", text);
}

/* The first line, without its end. */
static int read_password(const char *file, struct buf *password, struct err *why)
{
	char line[PASSWORD_MAX + 2];
	FILE *stream = fopen(file, "re");
	bool read = stream != NULL && fgets(line, sizeof(line), stream) != NULL;
	size_t len = read ? strcspn(line, "\r\n") : 0;
	int code = ERR_OK;

	if (stream == NULL)
		return err_set(why, ERR_IO, "%.200s can't be read: %s", file, strerror(errno));
	fclose(stream);
	if (len == 0 || len > PASSWORD_MAX)
		code = err_set(why, ERR_SYNTAX, "%.200s holds no password in its first line", file);
	else
		(void)buf_append(password, line, len);
	secret_wipe(line, sizeof(line));
	return code;
}

static int read_login(struct access *access, struct err *why)
{
	const char *file = word("STAGEPOST_SMTP_PASSWORD_FILE");
	const char *user = word("STAGEPOST_SMTP_USER");
	int code;

	if (user == NULL && file == NULL)
		return ERR_OK;
	if (user == NULL || file == NULL)
		return err_set(why, ERR_SYNTAX,
			       "STAGEPOST_SMTP_USER and STAGEPOST_SMTP_PASSWORD_FILE go together");
	if (!sasl_is_name(span_of(user)))
		return err_set(why, ERR_SYNTAX, "STAGEPOST_SMTP_USER is no user's name");
	code = read_password(file, &access->password, why);
	access->how.user = user;
	access->how.password = buf_span(&access->password);
	return code;
}

int access_read(struct access *access_out, struct err *why)
{
	int code;

	*access_out = (struct access){.how = {.ca_file = word("STAGEPOST_SMTP_CA")}};
	buf_init(&access_out->password, PASSWORD_MAX);
	code = read_tls(&access_out->how.tls, why);
	return code == ERR_OK ? read_login(access_out, why) : code;
}

void access_release(struct access *access)
{
	if (access->password.len > 0)
		secret_wipe(access->password.data, access->password.len);
	buf_release(&access->password);
}
