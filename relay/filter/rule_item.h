/* relay/filter/rule_item.h - a rule ready to be matched: for rule.c and rule_match.c only */
#ifndef STAGEPOST_RELAY_FILTER_RULE_ITEM_H
#define STAGEPOST_RELAY_FILTER_RULE_ITEM_H

#include "relay/filter/pattern.h"
#include "relay/filter/rule.h"
#include "relay/wire/network.h"

struct rule_item {
	struct published_item base; /* first */
	struct rule rule;	    /* strings in the edition's arena */
	bool any_recipient;
	bool any_sender;
	bool null_sender; /* "<>" */
	bool any_client;
	struct pattern recipient;
	struct pattern sender;
	struct network client;
	uint64_t hashes[RULE_HEADERS_MAX]; /* rule_field_hash of each condition's name */
};

/* Of a field's name, without regard to ASCII case. */
uint64_t rule_field_hash(struct span name);

#endif
