/* relay/config_check_trusted.c - listeners behind proxies: keys that mean nothing without another
 */
#include "relay/config_read.h"

#include "base/mem.h"
#include "relay/config.h"

static bool is_unix(const struct listener_options *listener)
{
	return listener->address != NULL && span_starts_fold(span_of(listener->address), "unix:");
}

static void check_listener(struct config_reader *reader, const struct document_node *node,
			   const char *path, const struct listener_options *listener)
{
	const struct document_node *trusted = document_find(node, span_of("trusted"));
	const struct document_node *xclient = document_find(node, span_of("xclient"));
	/* Also when what is listed is no network. */
	bool listed = trusted != NULL && document_item(trusted, 0) != NULL;
	bool somebody = listed || is_unix(listener);

	if (trusted == NULL)
		trusted = node;
	if (listener->proxy_protocol && !somebody)
		config_report_add(reader->report, false, trusted,
				  arena_printf(reader->scratch, "%s.trusted", path),
				  "proxy_protocol with nobody trusted lets nobody connect");
	else if (listener->xclient && !somebody)
		config_report_add(reader->report, true, xclient,
				  arena_printf(reader->scratch, "%s.xclient", path),
				  "has no effect while trusted is empty");
	else if (listed && !listener->proxy_protocol && !listener->xclient)
		config_report_add(reader->report, true, trusted,
				  arena_printf(reader->scratch, "%s.trusted", path),
				  "has no effect without proxy_protocol or xclient");
}

void config_check_trusted(struct config_reader *reader, const struct config *config,
			  const struct document_node *root)
{
	const struct document_node *list = document_find(root, span_of("listeners"));

	for (size_t i = 0; i < config->listener_count; i++) {
		const struct document_node *node = document_item(list, i);

		if (node != NULL)
			check_listener(reader, node,
				       arena_printf(reader->scratch, "listeners.%zu", i),
				       &config->listeners[i]);
	}
}
