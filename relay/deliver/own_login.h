/* relay/deliver/own_login.h - what one destination logs in with in place of its route's credentials
 */
#ifndef STAGEPOST_RELAY_DELIVER_OWN_LOGIN_H
#define STAGEPOST_RELAY_DELIVER_OWN_LOGIN_H

#include "relay/deliver/deliver.h"
#include "relay/deliver/keyring.h"

/* How a set of credentials fares. */
struct login_health {
	bool taken;	    /* they were right the last time */
	int refusals;	    /* in a row */
	int64_t refused_ms; /* when the last of them was noticed */
	int64_t rest_until_ms;
	char error[200];
};

/* The policy hook's choice for a next hop of its own. */
struct own_login {
	struct route_options options; /* the route's, but for the login */
	struct key *key;	      /* NULL: no login */
	struct login_health health;
	char *secret; /* what the options point into */
};

/* `login` is screen_outcome.login; `route` and `keyring` outlive it. */
struct own_login *own_login_new(struct keyring *keyring, const struct route_options *route,
				const char *login);
void own_login_free(struct own_login **own);

/* For a key of destinations: says nothing of the secret. */
#define OWN_LOGIN_MARK_SIZE 66
void own_login_mark(const char *login, char mark_out[OWN_LOGIN_MARK_SIZE]);

#endif
