/* relay/config_auth.c - logins: what listeners ask for, and the users file */
#include "relay/config_read.h"
#include "relay/smtp/users.h"

struct telling {
	struct config_reader *reader;
	const struct document_node *file; /* where its name stands; NULL: nowhere */
	const char *path;		  /* its name */
};

static void tell(void *ctx, size_t line, const char *sentence)
{
	struct telling *telling = ctx;

	if (line == 0)
		config_report_add(telling->reader->report, false, telling->file, "users.file",
				  "%s %s", telling->path, sentence);
	else
		config_report_add_at(telling->reader->report, false, telling->path,
				     (struct document_mark){line, 1}, "", sentence);
}

/* In clear text no password is taken, and there will never be anything else. */
static bool is_useless(const struct listener_options *listener)
{
	return listener->auth != LISTENER_AUTH_OFF && !listener->auth_without_tls &&
	       listener->tls == LISTENER_TLS_NONE;
}

static void check_listener(struct config_reader *reader, const struct listener_options *listener,
			   const struct document_node *list, size_t index)
{
	const struct document_node *item = document_item(list, index);
	const struct document_node *node = document_find(item, span_of("auth"));

	if (is_useless(listener))
		config_report_add(reader->report, false, node != NULL ? node : item,
				  arena_printf(reader->scratch, "listeners.%zu.auth", index),
				  "nobody can log in: passwords are taken in TLS only, and this "
				  "listener has none (or set auth_without_tls: true)");
}

static bool wants_users(const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].auth == LISTENER_AUTH_OPTIONAL ||
		    config->listeners[i].auth == LISTENER_AUTH_REQUIRED)
			return true;
	return false;
}

void config_read_users(struct config_reader *reader, struct config *config,
		       const struct document_node *root)
{
	const struct document_node *list = document_find(root, span_of("listeners"));
	struct telling telling = {.reader = reader, .path = config->users_file};

	for (size_t i = 0; i < config->listener_count; i++)
		check_listener(reader, &config->listeners[i], list, i);
	telling.file = document_find(document_find(root, span_of("users")), span_of("file"));
	if (!wants_users(config) || config->users_file == NULL)
		return;
	/* It is not the file that says who may log in: it may have their scopes. */
	if (config->asked_mechanisms != 0 && telling.file == NULL)
		return;
	if (users_load(config->users_file, tell, &telling, &config->users) == ERR_OK &&
	    users_count(config->users) == 0)
		config_report_add(reader->report, true, telling.file, "users.file",
				  "%s names nobody: nobody can log in", config->users_file);
}
