/* admin/rows.h - rows in an order of their own as a resource: fault rules, rules */
#ifndef STAGEPOST_ADMIN_ROWS_H
#define STAGEPOST_ADMIN_ROWS_H

#include "admin/call.h"
#include "queue/ordered.h"
#include "relay/filter/published.h"

/* A change on its way; in the call's arena. */
struct row_change {
	struct store_job *job;
	struct ordered_change *change;
	void *row;	  /* as it is asked for; what the store made of it once it is done */
	bool conditional; /* If-Match was given */
	int rounds;	  /* of others who changed the same row in between */
};

struct row_id {
	int64_t id; /* 0: of the configuration */
	int64_t revision;
};

/* What the rows are. */
struct row_kind {
	const char *noun; /* "fault rule" */
	const char *path; /* "/api/v1/faults" */
	const char *members;
	const struct edition *(*acquire)(const struct api *api);
	struct row_id (*id)(const void *row);
	/* With its counters; the row itself is that given, which may be newer. */
	json_t *(*view)(const struct edition *edition, size_t index, const void *row);
	/* Of a row that is not in force any more. */
	json_t *(*view_gone)(const void *row);
	/* Job and row of a new change, in the call's arena: the row as it is without members. */
	void (*begin)(struct call *call, struct row_change *change);
	/* The row of the change becomes this one, its strings in the call's arena. */
	void (*copy)(struct call *call, struct row_change *change, const void *row);
	/* What the body says; the rest of the row stays. Mistakes are told. */
	void (*read)(struct call *call, struct row_change *change);
	void (*submit)(struct store *store, struct store_job *job);
};

void rows_list(struct call *call, const struct row_kind *kind);
void rows_get(struct call *call, const struct row_kind *kind);
void rows_add(struct call *call, const struct row_kind *kind);
void rows_patch(struct call *call, const struct row_kind *kind);
void rows_delete(struct call *call, const struct row_kind *kind);

/* A text member; null, and for a new row nothing, is "". */
void rows_read_text(struct call *call, const char *name, const char **text);
/* A number from 0; null is `usual`. */
void rows_read_number(struct call *call, const char *name, int64_t usual, int64_t max,
		      int64_t *number);
/* "/member": the mistake of a check, by member, told to the call. */
void rows_tell(void *call, const char *member, const char *sentence);

#endif
