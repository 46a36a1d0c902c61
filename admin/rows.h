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

/* What the rows are. */
struct row_kind {
	const char *noun; /* "fault rule" */
	const char *path; /* "/api/v1/faults" */
	const char *members;
	const struct edition *(*acquire)(const struct api *api);
	/*
	 * With its counters; the row itself is that given, which may be newer. An
	 * index of edition->count: it is not in force any more.
	 */
	json_t *(*view)(const struct edition *edition, size_t index, const void *row);
	void (*init)(void *row); /* as it is without members */
	/* Let its strings live in `arena`. */
	void (*keep)(void *row, struct arena *arena);
	/* What the body says; the rest of the row stays. Mistakes are told. */
	void (*read)(struct call *call, struct row_change *change);
	/* made by ROWS_OF */
	void (*submit)(struct store *store, struct store_job *job);
	size_t apply_size; /* of what submit takes: its job first, its row and change */
	size_t row_at, change_at;
	size_t id_at, revision_at, name_at; /* in the row */
};

/* Of struct fault, which queue_fault_apply changes by a struct fault_apply. */
#define ROWS_OF(noun)                                                                              \
	.submit = queue_##noun##_apply, .apply_size = sizeof(struct noun##_apply),                 \
	.row_at = offsetof(struct noun##_apply, noun),                                             \
	.change_at = offsetof(struct noun##_apply, change), .id_at = offsetof(struct noun, id),    \
	.revision_at = offsetof(struct noun, revision), .name_at = offsetof(struct noun, name)

/* GET of all or of one, POST, PATCH, DELETE: as the route of the call says. */
void rows_handle(struct call *call, const struct row_kind *kind);

#define ROWS_TEXT_MAX 1000

/* Its name, NULL for none: null is a mistake. */
const char *rows_read_action(struct call *call);
void rows_read_bool(struct call *call, const char *name, bool *value);
/* A text member; null, and for a new row nothing, is "". */
void rows_read_text(struct call *call, const char *name, const char **text);
/* A number from 0; null is `usual`. */
void rows_read_number(struct call *call, const char *name, int64_t usual, int64_t max,
		      int64_t *number);
/* "/member": the mistake of a check, by member, told to the call. */
void rows_tell(void *call, const char *member, const char *sentence);

#endif
