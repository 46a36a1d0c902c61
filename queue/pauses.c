/* queue/pauses.c - what stands still, in memory for everybody to ask */
#include "queue/pauses.h"

#include <pthread.h>
#include <string.h>

struct pauses {
	pthread_mutex_t lock;
	char **routes;
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
		mem_free((*pauses)->routes[i]);
	mem_free((*pauses)->routes);
	pthread_mutex_destroy(&(*pauses)->lock);
	mem_free(*pauses);
	*pauses = NULL;
}

/* Index of the route, or count. */
static size_t find(const struct pauses *pauses, const char *route)
{
	size_t i = 0;

	while (i < pauses->count && strcmp(pauses->routes[i], route) != 0)
		i++;
	return i;
}

void pauses_set(struct pauses *pauses, const char *route, bool paused)
{
	size_t at;

	pthread_mutex_lock(&pauses->lock);
	at = find(pauses, route);
	if (paused && at == pauses->count) {
		pauses->routes = mem_regrow(pauses->routes, at + 1, sizeof(*pauses->routes));
		pauses->routes[at] = mem_strdup(route);
		pauses->count++;
	} else if (!paused && at < pauses->count) {
		mem_free(pauses->routes[at]);
		pauses->routes[at] = pauses->routes[--pauses->count];
	}
	pthread_mutex_unlock(&pauses->lock);
}

bool pauses_has(struct pauses *pauses, const char *route)
{
	bool has;

	pthread_mutex_lock(&pauses->lock);
	has = find(pauses, route) < pauses->count;
	pthread_mutex_unlock(&pauses->lock);
	return has;
}

static const char sql_pauses[] = "SELECT route FROM pause";

int pauses_load(struct pauses *pauses, struct db *db, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_pauses, why);

	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row)
		pauses_set(pauses, query_take_text(&query), true);
	return code;
}
