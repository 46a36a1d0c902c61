/* relay/deliver/own_login.c - what one destination logs in with in place of its route's credentials
 */
#include "relay/deliver/own_login.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"

/* Of the route's ways to log in none is left; what the next hop offers is chosen from. */
static void set_login(struct route_options *options, const char *user, const char *password)
{
	options->username = user;
	options->password = options->secret = password;
	options->password_file = options->token = NULL;
	options->token_file = options->token_command = NULL;
	options->auth = ROUTE_AUTH_AUTO;
}

struct own_login *own_login_new(struct keyring *keyring, const struct route_options *route,
				const char *login)
{
	struct own_login *own = mem_zalloc(sizeof(*own));
	char *password;

	own->options = *route;
	own->secret = mem_strdup(login);
	password = strchr(own->secret, '\n');
	if (password == NULL) {
		set_login(&own->options, NULL, NULL);
		return own;
	}
	*password++ = '\0';
	set_login(&own->options, own->secret, password);
	own->key = key_new(keyring, &own->options);
	return own;
}

void own_login_free(struct own_login **own)
{
	struct own_login *gone = *own;

	if (gone == NULL)
		return;
	key_free(&gone->key);
	if (gone->options.password != NULL)
		secret_wipe(gone->secret, (size_t)(gone->options.password - gone->secret) +
						  strlen(gone->options.password));
	mem_free(gone->secret);
	mem_free(gone);
	*own = NULL;
}

void own_login_mark(const char *login, char mark_out[OWN_LOGIN_MARK_SIZE])
{
	unsigned char digest[SECRET_SHA256_BYTES];

	mark_out[0] = '\0';
	if (login == NULL)
		return;
	secret_sha256(span_of(login), digest);
	mark_out[0] = '\r';
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(mark_out + 1 + 2 * i, 3, "%02x", digest[i]);
}
