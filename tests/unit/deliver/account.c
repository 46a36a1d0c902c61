/* tests/unit/deliver/account.c - the account that we have at the next hop of a rig */
#include "tests/unit/deliver/account.h"

void account_use(struct rig *rig, enum route_auth auth)
{
	rig->route.username = "user";
	rig->route.secret = "secret";
	rig->route.auth = auth;
	rig->route.auth_without_tls = true;
}
