/* relay/filter/defang.h - address fields without the addresses that the list does not allow
 * (DESIGN 5) */
#ifndef STAGEPOST_RELAY_FILTER_DEFANG_H
#define STAGEPOST_RELAY_FILTER_DEFANG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "relay/filter/let_out.h"
#include "relay/filter/whitelist.h"
#include "relay/mail/address.h"

/* Where rewritten addresses point: nothing there can ever exist (RFC 2606 2). */
#define DEFANG_DOMAIN	 "blocked.invalid"
#define DEFANG_MARK	 " (blocked)" /* behind the display name */
#define DEFANG_TEXT_SIZE (64 + sizeof("@" DEFANG_DOMAIN))

/* Who is asked, and what becomes of what is not allowed. */
struct defang {
	const struct whitelist_snapshot *list;
	const struct let_out *let_out; /* NULL: nobody */
	struct span scope;
	int64_t now; /* clock_steady_wall_ms() */
	bool strip;  /* it is taken away; else it is rewritten */
};

enum defang_fate {
	DEFANG_AS_IS, /* every address is allowed, or there is none: the field stays, byte for byte
		       */
	DEFANG_REWRITTEN, /* `out` got what takes its place */
	DEFANG_REMOVED	  /* nothing is left of it, and nothing was written */
};

/*
 * `body` is the body of a field that holds an address list; `name` what to
 * call it (at most 76 octets, 33..126, no colon). What is written is one
 * whole field with its line end, in ASCII, and parses again; every address in
 * it, also what a lenient reader finds in display names and decoded words, is
 * allowed or at DEFANG_DOMAIN. A body that is no address list, or
 * `readable` false, is neutralised whole: one address that stands for it all,
 * or nothing with `strip`. Rewriting a second time changes nothing. Linear
 * time. Returns ERR_OK or ERR_LIMIT (out's ceiling; `out` is as before).
 */
int defang_addresses(const struct defang *at, struct span name, struct span body, bool readable,
		     struct buf *out, enum defang_fate *fate_out);

/* The same for List-* (RFC 2369): only "mailto:" is looked at; other URIs stay. */
int defang_mailto(const struct defang *at, struct span name, struct span body, bool readable,
		  struct buf *out, enum defang_fate *fate_out);

/* --- for defang.c and mailto.c ---------------------------------------------------------- */

/*
 * The list allows it, it is harmless (at DEFANG_DOMAIN), or it gets the
 * message by a rule; what the list denies does not, whatever a rule said before.
 */
bool defang_allows(const struct defang *at, const struct address *address);
/*
 * "local=domain@blocked.invalid", with a hash in front of the `@` where that is too long or not
 * plain letters: the same for the same address, whatever its case.
 */
void defang_text(struct span local, struct span domain, char text_out[DEFANG_TEXT_SIZE]);
/* What stands for a whole field that cannot be read. */
#define DEFANG_UNREADABLE "unreadable@" DEFANG_DOMAIN

#endif
