/* queue/pauses.c - what stands still, in memory for everybody to ask */
#include "queue/pauses.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct pauses {
	pthread_mutex_t lock;
	struct one {
		char *route;
		struct pause_view view;
	} * all;
	size_t count;
};

struct pauses *pauses_new(void)
{
	struct pauses *pauses = mem_zalloc(sizeof(*pauses));

	pthread_mutex_init(&pauses->lock, NULL);
	return pauses;
}

void pauses_free(struct pauses **pauses)
{
	if (*pauses == NULL)
		return;
	for (size_t i = 0; i < (*pauses)->count; i++)
		mem_free((*pauses)->all[i].route);
	mem_free((*pauses)->all);
	pthread_mutex_destroy(&(*pauses)->lock);
	mem_free(*pauses);
	*pauses = NULL;
}

/* Index of the route, or count. */
static size_t find(const struct pauses *pauses, const char *route)
{
	size_t i = 0;

	while (i < pauses->count && strcmp(pauses->all[i].route, route) != 0)
		i++;
	return i;
}

void pauses_set(struct pauses *pauses, const char *route, const struct pause_view *view)
{
	size_t at;

	pthread_mutex_lock(&pauses->lock);
	at = find(pauses, route);
	if (view != NULL && at == pauses->count) {
		pauses->all = mem_regrow(pauses->all, at + 1, sizeof(*pauses->all));
		pauses->all[at] = (struct one){mem_strdup(route), *view};
		pauses->count++;
	} else if (view == NULL && at < pauses->count) {
		mem_free(pauses->all[at].route);
		pauses->all[at] = pauses->all[--pauses->count];
	}
	pthread_mutex_unlock(&pauses->lock);
}

bool pauses_has(struct pauses *pauses, const char *route, struct pause_view *view_out)
{
	size_t at;
	bool has;

	pthread_mutex_lock(&pauses->lock);
	at = find(pauses, route);
	has = at < pauses->count;
	if (has && view_out != NULL)
		*view_out = pauses->all[at].view;
	pthread_mutex_unlock(&pauses->lock);
	return has;
}

static const char sql_pauses[] = "SELECT route, paused_at, actor, reason FROM pause";

static void take_text(struct query *query, char *text_out, size_t size)
{
	const char *text = query_take_text(query);

	(void)snprintf(text_out, size, "%s", text != NULL ? text : "");
}

int pauses_load(struct pauses *pauses, struct db *db, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_pauses, why);

	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct pause_view view = {.paused_at = 0};
		char *route = mem_strdup(query_take_text(&query));

		view.paused_at = query_take_int(&query);
		take_text(&query, view.actor, sizeof(view.actor));
		take_text(&query, view.reason, sizeof(view.reason));
		pauses_set(pauses, route, &view);
		mem_free(route);
	}
	return code;
}
