/* tests/unit/deliver/dialer.c - an uplink that dials one next hop with TLS, again and again */
#include <config.h> /* mkdtemp */

#include "tests/unit/deliver/dialer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/deliver/uplink_inside.h"
#include "tests/unit/unit.h"

static void on_open(void *ctx, int code, const char *why)
{
	struct dialer *r = ctx;

	r->code = code;
	snprintf(r->why, sizeof(r->why), "%s", why);
	bell_ring(&r->bell, &r->opened);
}

static void on_closed(void *ctx)
{
	struct dialer *r = ctx;

	bell_ring(&r->bell, &r->closed);
}

void dialer_init(struct dialer *r)
{
	struct err why;

	memset(r, 0, sizeof(*r));
	bell_init(&r->bell);
	snprintf(r->folder, sizeof(r->folder), "/tmp/stagepost-securing-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r->folder));
	snprintf(r->ca_file, sizeof(r->ca_file), "%s/ca.pem", r->folder);
	snprintf(r->crt_file, sizeof(r->crt_file), "%s/our.crt", r->folder);
	snprintf(r->key_file, sizeof(r->key_file), "%s/our.key", r->folder);
	authority_issue(&(struct request){.name = "Our CA", .signs = true}, &r->ca);
	authority_write(&r->ca, r->ca_file, NULL);
	r->loop = loop_new("test");
	ck_assert_int_eq(loop_start(r->loop, &why), ERR_OK);
	r->list = whitelist_new();
	r->resolver = resolver_new();
	r->host = r->address;
	r->route = (struct route_options){.name = "default",
					  .hosts = &r->host,
					  .host_count = 1,
					  .tls = ROUTE_TLS_REQUIRED,
					  .tls_verify = true,
					  .tls_ca = r->ca_file,
					  .connect_timeout_ms = 2000,
					  .command_timeout_ms = 5000};
}

void dialer_serve(struct dialer *r, const struct request *request, const char *name,
		  const struct nexthop_step *steps, size_t count, const char *ehlo)
{
	authority_issue(request, &r->shown);
	r->server = authority_server(&r->shown);
	r->hop = nexthop_start(steps, count, ehlo);
	nexthop_use_tls(r->hop, r->server, r->route.tls == ROUTE_TLS_IMPLICIT);
	snprintf(r->address, sizeof(r->address), "%s%s", name,
		 strrchr(nexthop_address(r->hop), ':'));
}

void dialer_start(struct dialer *r, const struct nexthop_step *steps, size_t count,
		  const char *ehlo)
{
	const struct request good = {.signer = &r->ca, .name = "good", .names = "DNS:localhost"};

	dialer_serve(r, &good, "localhost", steps, count, ehlo);
}

void dialer_make_tls(struct dialer *r)
{
	struct hop_tls_notes notes;
	const char *key;
	struct err why;

	hop_tls_free(&r->tls);
	ck_assert_msg(hop_tls_new(&r->route, &r->tls, &notes, &key, &why) == ERR_OK, "%s: %s", key,
		      why.text);
}

void dialer_dial(struct dialer *r)
{
	static const struct uplink_ops ops = {.on_open = on_open, .on_closed = on_closed};
	struct uplink_env env = {.loop = r->loop,
				 .resolver = r->resolver,
				 .whitelist = r->list,
				 .tls = r->tls,
				 .tls_why = r->tls_why,
				 .key = r->key,
				 .hostname = "relay.test",
				 .route = &r->route};
	struct uplink *uplink;
	struct err why;

	ck_assert_int_eq(route_host_parse(span_of(r->address), &env.host, &why), ERR_OK);
	uplink = uplink_new(&env, &ops, r);
	uplink_open(uplink);
	bell_await(&r->bell, &r->opened);
	snprintf(r->facts, sizeof(r->facts), "%s", uplink->tls_facts);
	uplink_close(uplink);
	bell_await(&r->bell, &r->closed);
	uplink_free(&uplink);
}

void dialer_dial_anew(struct dialer *r)
{
	dialer_make_tls(r);
	dialer_dial(r);
}

void dialer_end(struct dialer *r)
{
	char command[128];

	nexthop_stop(&r->hop);
	loop_stop(r->loop);
	loop_free(&r->loop);
	hop_tls_free(&r->tls);
	key_free(&r->key);
	keyring_free(&r->keyring);
	SSL_CTX_free(r->server);
	authority_release(&r->shown);
	authority_release(&r->ca);
	resolver_free(&r->resolver);
	whitelist_free(&r->list);
	snprintf(command, sizeof(command), "rm -rf %s", r->folder);
	ck_assert_int_eq(system(command), 0);
}

void dialer_expect(const struct dialer *r, bool open, const char *words)
{
	const char *said = open ? r->facts : r->why;

	ck_assert_msg((r->code == ERR_OK) == open, "%s: %s", words, r->why);
	ck_assert_msg(strstr(said, words) != NULL, "\"%s\" is not in \"%s\"", words, said);
}
