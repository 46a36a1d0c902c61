/* relay/filter/rule_match.h - what the rules in force say of one message and its recipients */
#ifndef STAGEPOST_RELAY_FILTER_RULE_MATCH_H
#define STAGEPOST_RELAY_FILTER_RULE_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/span.h"
#include "relay/filter/policy.h"
#include "relay/filter/rule.h"
#include "relay/filter/whitelist.h"
#include "relay/mail/address.h"

/*
 * Octets that the conditions of all rules together may compare of one header
 * (about 10 ms); what lies behind is not known.
 */
#define RULE_WORK_MAX (4 * 1024 * 1024)

/* What a message says of itself. Borrowed; NULL texts are "". */
struct rule_facts {
	const struct address *sender; /* NULL: it can't be read */
	const char *client;	      /* peer_address_format(); "": mail of our own */
	const char *user;
	const char *listener;
	const char *scope;
	int64_t size; /* as stored; negative: not known yet */
	bool partial; /* somebody asks what would be: client, user or listener NULL is not known,
			 else there is none */
	bool header_known;   /* false: not there yet, or over the limits of relay/mail/header.h */
	struct span section; /* the header section as stored */
};

/* For rule_facts.sender: a stored reverse-path ("" for <>), parsed into *address_out. */
const struct address *rule_sender(const char *text, struct address *address_out);

/*
 * How the conditions of each rule on the message stand: met, not met, or not
 * known. In doubt a rule that keeps mail (drop, hold, redirect) is taken to
 * be met and one that delivers or tags is not: what can't be read never
 * leaves because of that.
 */
struct rule_matches;

/* In `arena`. `rules` must outlive it. Pure. */
const struct rule_matches *rule_match(const struct edition *rules, const struct rule_facts *facts,
				      struct arena *arena);

/* Some enabled rule asks for the header: without one facts.header_known need not be true. */
bool rules_ask_header(const struct edition *rules);

/*
 * For the self-test: as for a message that meets what the enabled rule
 * `index` asks of it, and what no other rule asks.
 */
const struct rule_matches *rule_match_only(const struct edition *rules, size_t index,
					   struct arena *arena);

/*
 * Rule by rule, the first that decides: *verdict, which holds the list's
 * word, becomes that of the rule. A rule narrows what the list allows and what policy.default
 * would keep otherwise; one that overrides_whitelist lets what no entry
 * allows leave. What the list denies and what is no safe form stays as it
 * is. `released`: a person let it go, so rules that hold are passed over.
 * False: no rule decided, *verdict is as before. The verdict borrows from the
 * edition of the rules.
 */
bool rule_decide(const struct rule_matches *matches, const struct address *recipient, bool released,
		 struct verdict *verdict);

/* The message meets what some rule that overrides_whitelist asks of it. */
bool rule_may_override(const struct rule_matches *matches);
/* A rule that overrides_whitelist may let it leave, as far as is known. */
bool rule_may_allow(const struct rule_matches *matches, const struct address *recipient);

/* The same, of the rules in force (NULL: there are none) by what is known of a message. */
bool rules_may_allow(struct rules *rules, const struct rule_facts *facts,
		     const struct address *recipient);

/* The tags of all rules that tag the message, one behind the other; what has no room is left out.
 */
void rule_tags(const struct rule_matches *matches, struct buf *tags);

/*
 * The policy for the copy that leaves: with these tags behind that of
 * `policy`, as far as there is room for them (SUBJECT_TAG_MAX). Texts in `arena`.
 */
struct policy_options rule_policy(const struct rule_matches *matches,
				  const struct policy_options *policy, struct arena *arena);

/* Count that the rule named in the verdict decided. Not for a dry run. */
void rule_count(const struct rule_matches *matches, const struct verdict *verdict);
/* Count the rules that tag the message: once each, the copy that leaves is one for all. */
void rule_count_tags(const struct rule_matches *matches);

#endif
