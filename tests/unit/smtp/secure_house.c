/* tests/unit/smtp/secure_house.c - a house with certificates, and a client that verifies nothing */
#include <config.h>

#include "tests/unit/smtp/secure_house.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/loop/certificate.h"

const char *secure_path(const struct secure_house *secure, const char *name)
{
	static char paths[8][128];
	static size_t next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", secure->folder, name);
	return path;
}

void secure_write_pair(const struct secure_house *secure, const char *names, const char *key_type,
		       const char *certificate, const char *key)
{
	struct certificate made;

	certificate_make_with(&made, names, key_type, 3600);
	certificate_write(&made, secure_path(secure, certificate), secure_path(secure, key));
	certificate_release(&made);
}

void secure_init(struct secure_house *secure, enum listener_tls tls)
{
	house_init(&secure->house);
	snprintf(secure->folder, sizeof(secure->folder), "/tmp/stagepost-starttls-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(secure->folder));
	secure_write_pair(secure, "relay.test", "EC", "relay.crt", "relay.key");
	snprintf(secure->certificate, sizeof(secure->certificate), "%s/relay.crt", secure->folder);
	snprintf(secure->key, sizeof(secure->key), "%s/relay.key", secure->folder);
	secure->house.rig.listener.tls = tls;
	secure->house.rig.listener.tls_certificate = secure->certificate;
	secure->house.rig.listener.tls_key = secure->key;
	secure->context = certificate_client(NULL);
}

void secure_open(struct secure_house *secure, enum listener_tls tls)
{
	secure_init(secure, tls);
	rig_open(&secure->house.rig);
}

void secure_close(struct secure_house *secure)
{
	char command[128];

	house_close(&secure->house);
	SSL_CTX_free(secure->context);
	snprintf(command, sizeof(command), "rm -rf %s", secure->folder);
	ck_assert_int_eq(system(command), 0);
}

static void reload_done(void *ctx)
{
	atomic_store((_Atomic bool *)ctx, true);
}

void secure_reload(struct secure_house *secure)
{
	_Atomic bool done = false;
	struct err why;

	ck_assert_msg(smtp_front_reload(secure->house.rig.front, &secure->house.rig.settings,
					reload_done, &done, &why) == ERR_OK,
		      "%s", why.text);
	WAIT_FOR(atomic_load(&done));
}

void secure_greet(struct client *client, struct secure_house *secure)
{
	client_greet(client, &secure->house.rig);
	client_ask(client, "STARTTLS", "220 2.0.0");
	ck_assert(client_handshake(client, secure->context, NULL));
}
