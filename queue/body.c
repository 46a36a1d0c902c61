/* queue/body.c - the bytes of a message on their way into the store (DESIGN 4.3) */
#include "queue/body.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "queue/proof.h"
#include "queue/room.h"
#include "queue/upkeep.h"
#include "queue/writer.h"

#define FIRST_ROOM	 4096
#define IN_FLIGHT_MAX	 4
#define IN_FLIGHT_RESUME 2

struct body {
	struct store *store;
	int64_t number;

	/* The owner's thread. */
	char *head; /* chunk 0, kept to the end */
	size_t head_len;
	size_t head_room;
	char *piece; /* the chunk being filled, from chunk 1 on */
	size_t piece_len;
	int64_t sequence; /* of the chunk being filled */
	int64_t size;

	/* The writer's thread. */
	int failed;
	struct err why;

	pthread_mutex_t lock; /* for what follows */
	void (*on_room)(void *ctx);
	void *ctx;
	bool wants_room;
	int in_flight;
	int references;
};

/* One full chunk that goes ahead of its message. */
struct chunk_job {
	struct store_job job;
	struct body *body;
	int64_t sequence;
	const char *data;
	char *owned; /* data, unless that is the head */
};

struct body *body_new(struct store *store, void (*on_room)(void *ctx), void *ctx)
{
	struct body *body = mem_zalloc(sizeof(*body));

	body->store = store;
	body->number = atomic_fetch_add(&store->next_message, 1);
	body->on_room = on_room;
	body->ctx = ctx;
	body->references = 1;
	pthread_mutex_init(&body->lock, NULL);
	return body;
}

void body_drop(struct body *body)
{
	int left;

	pthread_mutex_lock(&body->lock);
	left = --body->references;
	pthread_mutex_unlock(&body->lock);
	if (left > 0)
		return;
	pthread_mutex_destroy(&body->lock);
	mem_free(body->head);
	mem_free(body->piece);
	mem_free(body);
}

/* --- chunks that go ahead --------------------------------------------------------- */

static const char sql_stage[] = "INSERT INTO staging(message) VALUES(?1)";
static const char sql_chunk[] = "INSERT INTO chunk(id, data, proof) VALUES(?1, ?2, ?3)";

int chunk_insert(struct store *store, int64_t message, int64_t sequence, struct span data,
		 struct err *why)
{
	struct query query;
	int code;

	if (sequence >= MESSAGE_PARTS_MAX)
		return err_set(why, ERR_LIMIT, "the message is too large to be stored");
	code = query_begin(&query, &store->db, sql_chunk, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(message, sequence));
	query_give_bytes(&query, data.data, data.len);
	query_give_int(&query, proof_of_chunk(store->database, part_id(message, sequence), data));
	return query_run(&query, why);
}

static int stage(struct store *store, int64_t message, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_stage, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, message);
	return query_run(&query, why);
}

/*
 * A chunk must not fail quietly inside a batch that goes on: the message's
 * own job may be in the same batch. ERR_IO makes the batch be replayed one
 * by one, and then finish tells the body before the next job runs.
 */
static int run_chunk(struct store *store, struct store_job *job)
{
	struct chunk_job *chunk = (struct chunk_job *)job;
	struct body *body = chunk->body;
	int code = body->failed;

	if (code != ERR_OK) {
		job->why = body->why;
		return code;
	}
	code = room_check(store, &job->why);
	if (code == ERR_OK && chunk->sequence == 0)
		code = stage(store, body->number, &job->why);
	if (code == ERR_OK)
		code = chunk_insert(store, body->number, chunk->sequence,
				    span_make(chunk->data, BODY_CHUNK_BYTES), &job->why);
	return code == ERR_OK || code == ERR_FULL || code == ERR_BUSY || code == ERR_FATAL ? code
											   : ERR_IO;
}

static int64_t weigh_chunk(const struct store_job *job)
{
	(void)job;
	return BODY_CHUNK_BYTES;
}

static void finish_chunk(struct store *store, struct store_job *job)
{
	struct body *body = ((struct chunk_job *)job)->body;

	(void)store;
	/* ERR_CLOSED comes from the owner's thread; then the message's own job fails the same way.
	 */
	if (job->code != ERR_OK && job->code != ERR_CLOSED && body->failed == ERR_OK) {
		body->failed = job->code;
		body->why = job->why;
	}
}

static bool is_bulk(const struct store_job *job)
{
	(void)job;
	return true;
}

static const struct store_verb verb_chunk = {.name = "chunk",
					     .run = run_chunk,
					     .weight = weigh_chunk,
					     .finish = finish_chunk,
					     .is_bulk = is_bulk};

static void chunk_done(struct store_job *job)
{
	struct chunk_job *chunk = (struct chunk_job *)job;
	struct body *body = chunk->body;

	/* Under the lock, so that nobody is called who has left. */
	pthread_mutex_lock(&body->lock);
	body->in_flight--;
	if (body->wants_room && body->in_flight <= IN_FLIGHT_RESUME) {
		body->wants_room = false;
		if (body->on_room != NULL)
			body->on_room(body->ctx);
	}
	pthread_mutex_unlock(&body->lock);
	mem_free(chunk->owned);
	mem_free(chunk);
	body_drop(body);
}

static void send_ahead(struct body *body)
{
	struct chunk_job *chunk = mem_zalloc(sizeof(*chunk));

	chunk->job.done = chunk_done;
	chunk->body = body;
	chunk->sequence = body->sequence++;
	chunk->owned = body->piece;
	chunk->data = body->piece != NULL ? body->piece : body->head;
	body->piece = NULL;
	body->piece_len = 0;
	pthread_mutex_lock(&body->lock);
	body->references++;
	body->in_flight++;
	if (body->in_flight >= IN_FLIGHT_MAX)
		body->wants_room = true;
	pthread_mutex_unlock(&body->lock);
	writer_submit(body->store, &chunk->job, &verb_chunk);
}

/* --- filling ------------------------------------------------------------------------ */

static size_t append_head(struct body *body, struct span bytes)
{
	size_t len = BODY_CHUNK_BYTES - body->head_len;
	size_t room = body->head_room;

	if (len > bytes.len)
		len = bytes.len;
	if (room == 0)
		room = FIRST_ROOM;
	while (room < body->head_len + len)
		room *= 2;
	if (room > body->head_room) {
		body->head = mem_realloc(body->head, room);
		body->head_room = room;
	}
	memcpy(body->head + body->head_len, bytes.data, len);
	body->head_len += len;
	return len;
}

static size_t append_piece(struct body *body, struct span bytes)
{
	size_t len = BODY_CHUNK_BYTES - body->piece_len;

	if (len > bytes.len)
		len = bytes.len;
	if (body->piece == NULL)
		body->piece = mem_alloc(BODY_CHUNK_BYTES);
	memcpy(body->piece + body->piece_len, bytes.data, len);
	body->piece_len += len;
	return len;
}

/* A full chunk goes ahead only when another byte follows: the last one travels with its message. */
void body_append(struct body *body, struct span bytes)
{
	while (bytes.len > 0) {
		size_t filled = body->sequence == 0 ? body->head_len : body->piece_len;
		size_t len;

		if (filled == BODY_CHUNK_BYTES)
			send_ahead(body);
		len = body->sequence == 0 ? append_head(body, bytes) : append_piece(body, bytes);
		bytes = span_skip(bytes, len);
		body->size += (int64_t)len;
	}
}

bool body_is_backed_up(const struct body *body)
{
	struct body *locked = (struct body *)(uintptr_t)body;
	bool backed_up;

	pthread_mutex_lock(&locked->lock);
	backed_up = body->wants_room;
	pthread_mutex_unlock(&locked->lock);
	return backed_up;
}

int64_t body_size(const struct body *body)
{
	return body->size;
}

int64_t body_held_bytes(const struct body *body)
{
	struct body *locked = (struct body *)(uintptr_t)body;
	int64_t chunks = body->piece != NULL ? 1 : 0;

	pthread_mutex_lock(&locked->lock);
	chunks += body->in_flight;
	pthread_mutex_unlock(&locked->lock);
	return (int64_t)body->head_room + chunks * BODY_CHUNK_BYTES;
}

struct span body_head(const struct body *body)
{
	return span_make(body->head, body->head_len);
}

int64_t body_number(const struct body *body)
{
	return body->number;
}

struct span body_last(const struct body *body)
{
	return body->sequence == 0 ? body_head(body) : span_make(body->piece, body->piece_len);
}

int64_t body_last_sequence(const struct body *body)
{
	return body->sequence;
}

bool body_is_staged(const struct body *body)
{
	return body->sequence > 0;
}

int body_failure(const struct body *body, struct err *why)
{
	if (body->failed != ERR_OK)
		*why = body->why;
	return body->failed;
}

/* --- leaving ------------------------------------------------------------------------ */

void body_leave(struct body *body)
{
	pthread_mutex_lock(&body->lock);
	body->on_room = NULL;
	pthread_mutex_unlock(&body->lock);
}

/* Comes after the chunks it is about; the sweeper does the work. */
struct discard_job {
	struct store_job job;
	int64_t number;
};

static int run_discard(struct store *store, struct store_job *job)
{
	(void)store;
	(void)job;
	return ERR_OK;
}

static void finish_discard(struct store *store, struct store_job *job)
{
	/* While closing: the next start finds the rows. */
	if (job->code != ERR_CLOSED)
		doomed_add(store, ((struct discard_job *)job)->number);
}

static const struct store_verb verb_discard = {
	.name = "discard", .run = run_discard, .finish = finish_discard, .is_bulk = is_bulk};

static void discard_done(struct store_job *job)
{
	mem_free(job);
}

void body_free(struct body **body)
{
	if (*body == NULL)
		return;
	body_leave(*body);
	if (body_is_staged(*body)) {
		struct discard_job *discard = mem_zalloc(sizeof(*discard));

		discard->job.done = discard_done;
		discard->number = (*body)->number;
		writer_submit((*body)->store, &discard->job, &verb_discard);
	}
	body_drop(*body);
	*body = NULL;
}
