/* admin/admin.c - the REST API as a whole: start and stop */
#include "admin/admin.h"

#include <stdio.h>
#include <unistd.h>

#include "admin/auth.h"
#include "admin/call.h"
#include "admin/feed.h"
#include "admin/http.h"
#include "admin/http_tls.h"
#include "admin/listen.h"
#include "admin/readers.h"
#include "admin/routes.h"
#include "base/clock.h"

struct admin {
	struct api api;
	struct traffic traffic;
	struct handin_room handin_room;
	struct http_server *server;
	struct http_tls *tls;	   /* NULL: plain HTTP */
	struct http_tls *next_tls; /* read by admin_prepare */
	char *data_dir;
	char *hostname;
	char *version;
	char *socket_path;
	char bound[LISTEN_TEXT_SIZE]; /* "" without TCP */
	char **hosts;
	size_t host_count;
};

#define CREW_THREADS	  1
#define STREAM_COMMENT_MS 15000

/* Of requests that are answered at once. */
#define CONNECTIONS	       256
#define CONNECTIONS_PER_CLIENT 128

static struct admin *admin_new(const struct admin_env *env, const struct admin_options *options)
{
	struct admin *admin = mem_zalloc(sizeof(*admin));
	size_t path_size = strlen(env->data_dir) + sizeof("/admin.sock");

	admin->api.env = *env;
	admin->api.env.data_dir = admin->data_dir = mem_strdup(env->data_dir);
	admin->api.env.hostname = admin->hostname = mem_strdup(env->hostname);
	admin->api.env.version = admin->version = mem_strdup(env->version);
	admin->api.traffic = &admin->traffic;
	admin->api.stream_comment_ms = options->stream_comment_ms > 0 ? options->stream_comment_ms
								      : STREAM_COMMENT_MS;
	admin->api.failures = auth_failures_new();
	admin->api.uses = token_uses_new(env->store);
	admin->api.sessions = sessions_new(&options->session);
	admin->api.handin_room = &admin->handin_room;
	admin->socket_path = mem_alloc(path_size);
	(void)snprintf(admin->socket_path, path_size, "%s/admin.sock", env->data_dir);
	admin->hosts = mem_array(options->host_count + 1, sizeof(*admin->hosts));
	for (size_t i = 0; i < options->host_count; i++)
		admin->hosts[admin->host_count++] = mem_strdup(options->hosts[i]);
	return admin;
}

static int prepare_store(struct admin *admin, struct err *why)
{
	const struct admin_env *env = &admin->api.env;
	struct store_reader *reader;
	int code = readers_open(env->store, HTTP_THREADS + CREW_THREADS, &admin->api.readers, why);

	if (code != ERR_OK)
		return code;
	reader = readers_take(admin->api.readers);
	code = auth_first_token(env->store, reader, env->data_dir, clock_wall_ms(), why);
	readers_give(admin->api.readers, reader);
	return code;
}

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static int load_tls(const struct admin_options *options, struct http_tls **tls_out, struct err *why)
{
	if (!is_given(options->tls_certificate))
		return ERR_OK;
	return http_tls_load(options->tls_certificate, options->tls_key, tls_out, why);
}

static int serve(struct admin *admin, const struct admin_options *given, struct err *why)
{
	const size_t max[FEED_KINDS] = {
		[FEED_STREAM] = given->max_streams, [FEED_POLL] = given->max_waits};
	/* One client may have all streams, and still not all connections. */
	unsigned int lasting = (unsigned int)(given->max_streams + given->max_waits);
	const char *address = given->listen;
	struct http_options options = {
		.connections = CONNECTIONS + lasting,
		.per_address = CONNECTIONS_PER_CLIENT + lasting,
		.tcp_fd = -1,
		.local_fd = -1,
		.tls = admin->tls,
		.hosts = (const char *const *)admin->hosts,
		.host_count = admin->host_count,
		.ops = &routes_http_ops,
		.ctx = &admin->api,
	};
	int code = listen_unix(admin->socket_path, &options.local_fd, why);

	if (code == ERR_OK && address != NULL && address[0] != '\0')
		code = listen_tcp(address, &options.tcp_fd, admin->bound, why);
	if (code != ERR_OK) {
		if (options.local_fd >= 0)
			(void)close(options.local_fd);
		return err_prefix(why, code, "admin");
	}
	code = crew_new("admin-labour", CREW_THREADS, &admin->api.crew, why);
	if (code == ERR_OK)
		code = feed_start(admin->api.env.store, max, &admin->api.feed, why);
	return code == ERR_OK ? http_start(&options, &admin->server, why) : code;
}

int admin_start(const struct admin_env *env, const struct admin_options *options,
		struct admin **admin_out, struct err *why)
{
	struct admin *admin = admin_new(env, options);
	int code = prepare_store(admin, why);

	/* Half a JSON document is no answer: what it is made of is there or ends the process. */
	json_set_alloc_funcs(mem_alloc, mem_free);
	if (code == ERR_OK)
		code = load_tls(options, &admin->tls, why);
	if (code == ERR_OK)
		code = serve(admin, options, why);
	if (code != ERR_OK) {
		admin_stop(&admin, 0);
		return code;
	}
	*admin_out = admin;
	return ERR_OK;
}

int admin_prepare(struct admin *admin, const struct admin_options *options, struct err *why)
{
	http_tls_free(&admin->next_tls); /* of a reload that went no further */
	if (is_given(options->tls_certificate) != (admin->tls != NULL))
		return err_set(why, ERR_CONFLICT,
			       "admin.tls_certificate: TLS begins or ends only with a restart");
	return load_tls(options, &admin->next_tls, why);
}

void admin_reload(struct admin *admin, const struct admin_options *options)
{
	if (admin->next_tls != NULL)
		http_tls_replace(admin->tls, &admin->next_tls);
	sessions_set_limits(admin->api.sessions, &options->session);
}

void admin_stop(struct admin **admin, int64_t grace_ms)
{
	struct admin *a = *admin;

	if (a == NULL)
		return;
	atomic_store(&a->api.stopping, true);
	if (a->api.feed != NULL)
		feed_close(a->api.feed);
	if (a->server != NULL) {
		http_stop(&a->server, grace_ms);
		(void)unlink(a->socket_path);
	}
	feed_free(&a->api.feed);
	http_tls_free(&a->tls);
	http_tls_free(&a->next_tls);
	crew_free(&a->api.crew);
	readers_close(&a->api.readers);
	auth_failures_free(&a->api.failures);
	token_uses_free(&a->api.uses);
	sessions_free(&a->api.sessions);
	for (size_t i = 0; i < a->host_count; i++)
		mem_free(a->hosts[i]);
	mem_free(a->hosts);
	mem_free(a->socket_path);
	mem_free(a->version);
	mem_free(a->hostname);
	mem_free(a->data_dir);
	mem_free(a);
	*admin = NULL;
}

const char *admin_address(const struct admin *admin)
{
	return admin->bound;
}

bool admin_is_tls(const struct admin *admin)
{
	return admin->tls != NULL;
}
