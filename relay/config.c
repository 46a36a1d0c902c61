/* relay/config.c - one immutable version of the configuration: load, compare, free */
/* In brackets: in quotes it would be relay/config.h. For O_CLOEXEC and gethostname. */
#include <config.h>

#include "relay/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/document.h"
#include "relay/config_read.h"
#include "relay/mail/address.h"

/* What INTERFACE fixes without a key. */
#define DATA_GRACE_MS  30000
#define MEMORY_WAIT_MS 30000 /* the same for a message that waits for memory */
#define AUTH_DELAY_MS  1000
#define MAX_JUNK       100

/* One octet more than the document allows, so that document_parse can tell. */
static int read_file(const char *path, struct buf *text, struct err *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t got = fd < 0 ? -1 : 1;

	while (got > 0 && text->len <= DOCUMENT_MAX_BYTES) {
		char bytes[16384];

		got = read(fd, bytes, sizeof(bytes));
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			buf_append(text, bytes, (size_t)got);
	}
	if (got < 0)
		err_set(why, ERR_IO, "can't be read: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return got < 0 ? ERR_IO : ERR_OK;
}

static struct document_node *load_document(struct config_reader *reader, const char *path)
{
	struct document_node *root = document_new(reader->scratch, DOCUMENT_MAPPING, path);
	struct buf text;
	struct err why;

	if (path == NULL)
		return root;
	buf_init(&text, DOCUMENT_MAX_BYTES + 32768);
	if (read_file(path, &text, &why) != ERR_OK)
		config_report_add(reader->report, false, root, "", "%s", why.text);
	else
		root = config_read_document(reader, buf_span(&text), path, "");
	buf_wipe(&text);
	if (root->kind == DOCUMENT_MAPPING)
		return root;
	if (!config_read_is_absent(root))
		config_report_add(reader->report, false, root, "",
				  "a mapping of keys was expected, not %s",
				  document_kind_name(root->kind));
	return document_new(reader->scratch, DOCUMENT_MAPPING, path);
}

/* Default lists of items are put into the tree, so that `-o listeners.0.scope=x` finds them. */
static void add_default_items(struct config_reader *reader, struct document_node *root)
{
	for (const struct config_key *key = config_keys; key->name != NULL; key++) {
		struct document_node *node = document_find(root, span_of(key->name));
		struct document_node *items;

		if (key->type != CONFIG_ITEMS || !config_read_is_absent(node))
			continue;
		items = config_read_document(reader, span_of(key->fallback), "default", "-");
		if (node != NULL)
			document_replace(node, items);
		else
			document_append(root, span_of(key->name), items);
	}
}

/* The machine's name where it can stand behind EHLO, else a name that always can (S344). */
static const char *default_hostname(struct config_reader *reader)
{
	char name[256] = "";
	char quoted[CONFIG_QUOTED_SIZE];
	struct err why;

	if (gethostname(name, sizeof(name) - 1) == 0 &&
	    config_check_hostname(span_of(name), &why) == ERR_OK)
		return arena_strdup(reader->arena, name);
	config_report_add(reader->report, true, NULL, "hostname",
			  "the machine's name %s is not valid in SMTP; localhost is used",
			  config_quote(span_of(name), quoted));
	return "localhost";
}

/* Printed again, so that it is told and stored as the recipient that it becomes. */
static const char *canonical_mailbox(struct config_reader *reader, const char *text)
{
	struct address address;
	char canonical[ADDRESS_TEXT_SIZE];
	struct err told; /* by the key's own check */

	if (text == NULL || text[0] == '\0' ||
	    address_parse(span_of(text), &address, &told) != ERR_OK)
		return "";
	address_format(&address, canonical);
	return arena_strdup(reader->arena, canonical);
}

static void check_redirect(struct config_reader *reader, struct config *config,
			   const struct document_node *root)
{
	const struct document_node *policy = document_find(root, span_of("policy"));
	bool redirects = config->policy.default_verdict == VERDICT_REDIRECT;
	bool is_given;

	config->policy.redirect_to = canonical_mailbox(reader, config->policy.redirect_to);
	is_given = config->policy.redirect_to[0] != '\0';
	if (redirects && !is_given)
		config_report_add(reader->report, false, document_find(policy, span_of("default")),
				  "policy.default", "redirect needs policy.redirect_to");
	else if (!redirects && is_given)
		config_report_add(
			reader->report, true, document_find(policy, span_of("redirect_to")),
			"policy.redirect_to", "has no effect while policy.default is not redirect");
}

static size_t count_words(const char *const *words)
{
	size_t count = 0;

	while (words[count] != NULL)
		count++;
	return count;
}

/* Before the users file is read, which is not needed then. */
static void finish_hook_auth(struct config_reader *reader, struct config *config,
			     const struct document_node *root)
{
	const struct hook_options *hook = &config->hook;
	const struct document_node *policy = document_find(root, span_of("policy"));
	const struct document_node *node =
		document_find(document_find(policy, span_of("hook")), span_of("auth"));
	enum sasl_mechanism mechanism;

	if (hook->auth_count == 0)
		return;
	if (hook->url == NULL || hook->url[0] == '\0' || hook->dialect != HOOK_NGINX)
		config_report_add(reader->report, false, node, "policy.hook.auth",
				  "logins are asked about with a url, and dialect: nginx, only");
	for (size_t i = 0; i < hook->auth_count; i++)
		if (sasl_mechanism_find(span_of(hook->auth[i]), &mechanism))
			config->asked_mechanisms |= 1U << mechanism;
}

static void finish_hook(struct config *config)
{
	struct hook_options *hook = &config->hook;
	struct policy_options *policy = &config->policy;

	/* NULL: it was no URL, and that is a mistake. */
	policy->screening = hook->url != NULL && hook->url[0] != '\0';
	policy->hook_overrides = policy->screening && hook->overrides_whitelist;
	policy->hook_routes = policy->screening && hook->allow_route;
	hook->schedule_ms = config->delivery.schedule_ms;
	hook->schedule_count = config->delivery.schedule_count;
	hook->expire_after_ms = config->delivery.expire_after_ms;
}

/* What follows from other values, and what has no key. */
static void finish(struct config_reader *reader, struct config *config,
		   const struct document_node *root)
{
	if (document_find(root, span_of("hostname")) == NULL)
		config->hostname = default_hostname(reader);
	if (config->policy.control_headers == NULL) {
		config->policy.control_headers = policy_control_headers;
		config->policy.control_header_count = count_words(policy_control_headers);
	}
	check_redirect(reader, config, root);
	config_check_rows(reader, config, root);
	config_finish_retention(reader, config, root);
	finish_hook_auth(reader, config, root);
	config_read_users(reader, config, root);
	config->smtp.hostname = config->hostname;
	config->smtp.data_grace_ms = DATA_GRACE_MS;
	config->smtp.memory_wait_ms = MEMORY_WAIT_MS;
	config->smtp.max_junk = MAX_JUNK;
	config->smtp.auth_delay_ms = AUTH_DELAY_MS;
	config->smtp.self_signed = (struct certificate_files){
		.certificate = arena_printf(reader->arena, "%s/tls.crt", config->data_dir),
		.key = arena_printf(reader->arena, "%s/tls.key", config->data_dir)};
	config->delivery.hostname = config->hostname;
	config->delivery.policy = &config->policy;
	finish_hook(config);
}

int config_load(const char *path, const char *const *overrides, size_t override_count,
		struct config **config_out, struct config_report *report)
{
	struct config_reader reader = {
		.arena = arena_new(), .scratch = arena_new(), .report = report};
	struct config *config = arena_zalloc(reader.arena, sizeof(*config));
	struct document_node *root = load_document(&reader, arena_strdup(reader.arena, path));

	config->arena = reader.arena;
	config->file = arena_strdup(reader.arena, path);
	add_default_items(&reader, root);
	for (size_t i = 0; i < override_count; i++)
		config_read_override(&reader, root, overrides[i]);
	config_read_keys(&reader, config_keys, root, "", (char *)config);
	finish(&reader, config, root);
	config_check_listeners(&reader, config, root);
	config_check_admin(&reader, config, root);
	config_check_trusted(&reader, config, root);
	config_check_routes(&reader, config, root);
	config_read_logins(&reader, config, root);
	config_read_webhooks(&reader, config, root);
	config_report_sort(report);
	arena_wipe(&reader.scratch); /* passwords stood in it */
	if (report->mistakes > 0) {
		config_free(&config);
		return ERR_SYNTAX;
	}
	*config_out = config;
	return ERR_OK;
}

void config_free(struct config **config)
{
	struct arena *arena;

	if (*config == NULL)
		return;
	users_free(&(*config)->users);
	arena = (*config)->arena; /* the struct lies in it */
	*config = NULL;
	arena_wipe(&arena);
}
