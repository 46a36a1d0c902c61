/* relay/config_read.h - from a document to structs, by the table of keys */
#ifndef STAGEPOST_RELAY_CONFIG_READ_H
#define STAGEPOST_RELAY_CONFIG_READ_H

#include "base/document.h"
#include "base/mem.h"
#include "relay/config.h"
#include "relay/config_key.h"

struct config_reader {
	struct arena *arena;   /* the configuration's */
	struct arena *scratch; /* trees and paths, for the time of loading */
	struct config_report *report;
	bool cut; /* the file could not be read to its end: what is missing may have stood there */
};

/* Parse YAML into reader->scratch. Mistakes are reported under `path`. */
struct document_node *config_read_document(struct config_reader *reader, struct span text,
					   const char *source, const char *path);

/* TLS of the listeners: keys that need each other, and whether the files are any good. */
void config_check_listeners(struct config_reader *reader, const struct config *config,
			    const struct document_node *root);

/* The API's own pair: the same. */
void config_check_admin(struct config_reader *reader, const struct config *config,
			const struct document_node *root);

/* Listeners behind proxies: the same. */
void config_check_trusted(struct config_reader *reader, const struct config *config,
			  const struct document_node *root);

/* Routes: the same (config_check_route.c). */
void config_check_routes(struct config_reader *reader, const struct config *config,
			 const struct document_node *root);

/* Put the `-o` settings over the tree; each that can't be is reported. */
void config_read_override(struct config_reader *reader, struct document_node *root,
			  const char *setting);

/* Fill `base` (of the table's struct) with what `node`, a mapping, says, and with the defaults. */
void config_read_keys(struct config_reader *reader, const struct config_key *keys,
		      struct document_node *node, const char *path, char *base);

/*
 * config_auth.c: report listeners where nobody could log in, and read the
 * users file if a listener wants it. Its mistakes are the configuration's.
 */
void config_read_users(struct config_reader *reader, struct config *config,
		       const struct document_node *root);

/*
 * config_login.c: report logins at next hops that can't work, and read the
 * passwords that stand in files.
 */
void config_read_logins(struct config_reader *reader, struct config *config,
			const struct document_node *root);

/* config_check_webhook.c: what events are wanted, and the keys of the signatures. */
void config_read_webhooks(struct config_reader *reader, struct config *config,
			  const struct document_node *root);

/* config_check_retention.c: report what does not go together, and fill in what has no key. */
void config_finish_retention(struct config_reader *reader, struct config *config,
			     const struct document_node *root);

/* config_rows.c: report what in `faults:` and `rules:` does not go together. */
void config_check_rows(struct config_reader *reader, const struct config *config,
		       const struct document_node *root);

/* No value at all: NULL, or nothing behind the colon, as where all lines below are comments. */
bool config_read_is_absent(const struct document_node *node);

/* Add to the report. `node` says where; NULL: the file as a whole. */
void config_report_add(struct config_report *report, bool warning, const struct document_node *node,
		       const char *path, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* A mapping of the document whose keys are checked together. */
struct config_place {
	struct config_reader *reader;
	const struct document_node *node;
	const char *path;
};
/* About `key` of it, whether it was given or not. */
void config_place_add(const struct config_place *at, bool warning, const char *key,
		      const char *sentence);
/* A warning when the certificate that `key` names is about to end. */
void config_place_warn_of_end(const struct config_place *at, const char *key, int64_t expires_at);
void config_report_add_at(struct config_report *report, bool warning, const char *file,
			  struct document_mark mark, const char *path, const char *sentence);
/*
 * There is a mistake at `path` or below: its values are not all there, and what they mean
 * together can't be said.
 */
bool config_report_has(const struct config_report *report, const char *path);
/* In the order of the file; what has no place comes last. */
void config_report_sort(struct config_report *report);

#endif
