/* relay/hook/ask.c - one question: written, sent, and its answer read */
#include <stdio.h>

#include "base/clock.h"
#include "relay/hook/inside.h"
#include "relay/hook/json.h"
#include "relay/hook/nginx.h"

struct ask *ask_new(struct hook *hook, struct batch *batch, const struct screened_message *message,
		    size_t count)
{
	struct ask *ask = mem_zalloc(sizeof(*ask));

	ask->hook = hook;
	ask->batch = batch;
	ask->message = message;
	ask->asked = mem_array(count, sizeof(*ask->asked));
	ask->recipients = mem_array(count, sizeof(*ask->recipients));
	ask->dialect = hook->options->dialect;
	ask->allow_route = hook->options->allow_route;
	ask->reloads = hook->reloads;
	hook_request_init(&ask->request);
	batch->users++;
	return ask;
}

void ask_free(struct ask **ask)
{
	struct batch *batch;

	if (*ask == NULL)
		return;
	batch = (*ask)->batch;
	request_end(&(*ask)->request, (*ask)->hook->multi);
	request_release(&(*ask)->request);
	arena_free(&(*ask)->arena);
	mem_free((*ask)->outcomes);
	mem_free((*ask)->redirects);
	mem_free((*ask)->recipients);
	secret_wipe((*ask)->asked, (*ask)->count * sizeof(*(*ask)->asked));
	mem_free((*ask)->asked);
	mem_free(*ask);
	*ask = NULL;
	if (--batch->users > 0)
		return;
	arena_free(&batch->arena);
	mem_free(batch);
}

static void decide_all(struct ask *ask, const char *error)
{
	for (size_t i = 0; i < ask->count; i++)
		decision_none(&ask->asked[i].decision, "%s", error);
}

/* Divided and judged by a configuration that is no more: the next claim takes it up again. */
static void put_off(struct ask *ask)
{
	decide_all(ask, "it was configured anew");
	for (size_t i = 0; i < ask->count; i++)
		ask->asked[i].decision.later = true;
}

/* --- the question --------------------------------------------------------------------- */

/* As much of the header as is shown; a short read each piece. */
static int read_header(struct ask *ask, struct buf *out, struct err *why)
{
	const struct new_message *m = &ask->message->m;
	size_t wanted = m->header_size < HOOK_HEADER_MAX ? (size_t)m->header_size : HOOK_HEADER_MAX;
	int code = queue_body_read(ask->hook->reader, &m->id, 0, out, why);

	if (code == ERR_OK && out->len > wanted)
		buf_truncate(out, wanted);
	return code;
}

static int write_json(struct ask *ask, struct question *question, struct buf *key, struct err *why)
{
	const struct new_message *m = &ask->message->m;
	struct buf header;
	int code;

	buf_init(&header, BODY_CHUNK_BYTES + 1);
	code = read_header(ask, &header, why);
	question->header = buf_span(&header);
	question->header_whole = m->header_parsed && m->header_size <= HOOK_HEADER_MAX;
	if (code == ERR_OK && (hook_json_write(question, false, &ask->request.content) != ERR_OK ||
			       hook_json_write(question, true, key) != ERR_OK))
		code = err_set(why, ERR_LIMIT, "the question is too long");
	buf_release(&header);
	return code;
}

static int write_nginx(struct ask *ask, const struct question *question, struct buf *key,
		       struct err *why)
{
	const struct hook_options *options = ask->hook->options;

	if (nginx_write(question, options, false, &ask->request.content) != ERR_OK ||
	    nginx_write(question, options, true, key) != ERR_OK)
		return err_set(why, ERR_LIMIT, "the question is too long");
	return ERR_OK;
}

static int write_question(struct ask *ask, struct err *why)
{
	struct question question = {
		.message = ask->message, .recipients = ask->recipients, .count = ask->count};
	struct buf key;
	int code;

	buf_init(&key, HOOK_QUESTION_MAX);
	code = ask->dialect == HOOK_NGINX ? write_nginx(ask, &question, &key, why)
					  : write_json(ask, &question, &key, why);
	if (code == ERR_OK && ask->hook->options->cache_ms > 0) {
		secret_sha256(buf_span(&key), ask->key.digest);
		ask->has_key = true;
	}
	buf_release(&key);
	return code;
}

static bool find_in_cache(struct ask *ask)
{
	struct decision *decisions;
	bool found;

	if (!ask->has_key)
		return false;
	decisions = mem_array(ask->count, sizeof(*decisions));
	found = cache_find(ask->hook->cache, &ask->key, ask->count, clock_mono_ms(), decisions);
	for (size_t i = 0; found && i < ask->count; i++)
		ask->asked[i].decision = decisions[i];
	mem_free(decisions);
	return found;
}

bool ask_begin(struct ask *ask)
{
	struct hook *hook = ask->hook;
	struct err why = {""};
	int code;

	if (ask->reloads != hook->reloads) {
		put_off(ask);
		return false;
	}
	for (size_t i = 0; i < ask->count; i++)
		ask->recipients[i] = ask->asked[i].recipient;
	code = write_question(ask, &why);
	if (code == ERR_OK && find_in_cache(ask)) {
		hook_count_request(hook, true);
		return false;
	}
	if (code == ERR_OK)
		code = hook_request_begin(&ask->request, hook->multi, hook->options, &ask->transfer,
					  &why);
	if (code == ERR_OK) {
		hook_count_request(hook, false);
		return true;
	}
	decide_all(ask, why.text);
	hook_note_error(hook, why.text);
	return false;
}

/* --- the answer ----------------------------------------------------------------------- */

static void keep_in_cache(struct ask *ask)
{
	struct decision *decisions;

	if (!ask->has_key || ask->reloads != ask->hook->reloads)
		return;
	decisions = mem_array(ask->count, sizeof(*decisions));
	for (size_t i = 0; i < ask->count; i++)
		decisions[i] = ask->asked[i].decision;
	cache_keep(ask->hook->cache, &ask->key, decisions, ask->count,
		   clock_mono_ms() + ask->hook->options->cache_ms);
	mem_free(decisions);
}

static void read_json(struct ask *ask)
{
	struct question question = {
		.message = ask->message, .recipients = ask->recipients, .count = ask->count};
	struct decision *decisions;
	long status = request_status(&ask->request);
	char error[40];

	if (status < 200 || status > 299) {
		snprintf(error, sizeof(error), "it answers with status %ld", status);
		decide_all(ask, error);
		return;
	}
	decisions = mem_array(ask->count, sizeof(*decisions));
	hook_json_read(buf_span(&ask->request.body), &question, ask->allow_route, decisions);
	for (size_t i = 0; i < ask->count; i++)
		ask->asked[i].decision = decisions[i];
	mem_free(decisions);
}

static void fail(struct ask *ask, CURLcode code)
{
	const char *error = ask->request.error[0] != '\0' ? ask->request.error
							  : curl_easy_strerror(code);

	if (ask->request.too_long)
		error = "its answer is too long";
	decide_all(ask, error);
	hook_note_error(ask->hook, error);
}

/* Nobody has seen the question: it does not count as an attempt. */
static bool was_unsent(CURLcode code)
{
	return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
	       code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION;
}

bool ask_answered(struct ask *ask, CURLcode code)
{
	ask->sent = !was_unsent(code);
	if (!request_is_answered(&ask->request, code)) {
		fail(ask, code);
		/* What is too long is an answer, too. */
		return ask->request.too_long;
	}
	if (ask->dialect == HOOK_NGINX)
		nginx_read(buf_span(&ask->request.head), ask->allow_route, &ask->asked[0].decision);
	else
		read_json(ask);
	keep_in_cache(ask);
	return true;
}
