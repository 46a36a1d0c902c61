/* relay/config_rows.c - fault rules and rules of the configuration: what goes together, what not */
#include "relay/config_read.h"
#include "relay/filter/fault.h"
#include "relay/filter/rule.h"

struct telling {
	struct config_reader *reader;
	const struct document_node *item;
	const char *path; /* "faults.0" */
};

static void tell(void *ctx, const char *member, const char *sentence)
{
	const struct telling *telling = ctx;
	const struct document_node *node = document_find(telling->item, span_of(member));

	config_report_add(telling->reader->report, false, node != NULL ? node : telling->item,
			  arena_printf(telling->reader->scratch, "%s.%s", telling->path, member),
			  "%s", sentence);
}

/* False: it has been reported already. */
static bool begin(struct telling *telling, struct config_reader *reader,
		  const struct document_node *root, const char *list, size_t index)
{
	const struct document_node *items = document_find(root, span_of(list));

	telling->reader = reader;
	telling->item = document_item(items, index);
	telling->path = arena_printf(reader->scratch, "%s.%zu", list, index);
	return !config_report_has(reader->report, telling->path);
}

void config_check_rows(struct config_reader *reader, const struct config *config,
		       const struct document_node *root)
{
	struct telling telling;

	for (size_t i = 0; i < config->fault_count; i++)
		if (begin(&telling, reader, root, "faults", i))
			(void)fault_check(&config->faults[i], tell, &telling);
	for (size_t i = 0; i < config->rule_count; i++)
		if (begin(&telling, reader, root, "rules", i))
			(void)rule_check(&config->rules[i], tell, &telling);
}
