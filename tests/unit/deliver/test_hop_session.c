/* tests relay/deliver/hop_session.c */
#include "relay/deliver/hop_session.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/deliver/authority.h"
#include "tests/unit/unit.h"

static int keep(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION **kept = SSL_get_app_data(ssl);

	SSL_SESSION_free(*kept);
	*kept = session;
	return 1;
}

/* A session as a handshake in memory gives it; the certificate is good for `days`. */
static SSL_SESSION *make_session(int version, int days)
{
	struct issued shown;
	SSL_CTX *server, *client = SSL_CTX_new(TLS_client_method());
	SSL_SESSION *session = NULL;
	SSL *ends[2];
	BIO *pair[2];
	char byte;

	authority_issue(&(struct request){.name = "x", .from_days = -9, .to_days = days}, &shown);
	server = authority_server(&shown);
	SSL_CTX_set_max_proto_version(server, version);
	SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client, keep);
	ends[0] = SSL_new(client);
	ends[1] = SSL_new(server);
	ck_assert_int_eq(BIO_new_bio_pair(&pair[0], 65536, &pair[1], 65536), 1);
	for (int i = 0; i < 2; i++)
		SSL_set_bio(ends[i], pair[i], pair[i]);
	SSL_set_app_data(ends[0], &session);
	SSL_set_connect_state(ends[0]);
	SSL_set_accept_state(ends[1]);
	for (int i = 0; i < 6; i++)
		SSL_do_handshake(ends[i % 2]);
	SSL_read(ends[0], &byte, 1);
	ck_assert_ptr_nonnull(session);
	for (int i = 0; i < 2; i++) {
		SSL_set_shutdown(ends[i], SSL_SENT_SHUTDOWN);
		SSL_free(ends[i]);
	}
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	authority_release(&shown);
	return session;
}

static bool take(struct hop_sessions *sessions, const char *host, int64_t now_ms)
{
	struct hop_judgement judgement;
	SSL_SESSION *session = hop_sessions_take(sessions, host, now_ms, &judgement);
	bool found = session != NULL;

	if (found) {
		ck_assert(judgement.verified);
		ck_assert_str_eq(judgement.fault, "fault");
	}
	SSL_SESSION_free(session);
	return found;
}

static void put(struct hop_sessions *sessions, const char *host, const SSL_SESSION *session,
		int64_t now_ms)
{
	static const struct hop_judgement judgement = {.verified = true, .fault = "fault"};

	hop_sessions_put(sessions, host, session, &judgement, now_ms);
}

/* RFC 8446 C.4: who sees a ticket twice knows that it is the same client. */
START_TEST(a_ticket_is_for_one_use)
{
	struct hop_sessions *sessions = hop_sessions_new();
	SSL_SESSION *session = make_session(TLS1_3_VERSION, 9);

	ck_assert(!take(sessions, "a:25", 0));
	put(sessions, "a:25", session, 0);
	put(sessions, "a:25", session, 0);
	ck_assert(!take(sessions, "a:26", 0));
	ck_assert(take(sessions, "a:25", 0));
	ck_assert(take(sessions, "a:25", 0));
	ck_assert(!take(sessions, "a:25", 0));
	SSL_SESSION_free(session);
	hop_sessions_free(&sessions);
}
END_TEST

START_TEST(a_session_of_tls_1_2_stays)
{
	struct hop_sessions *sessions = hop_sessions_new();
	SSL_SESSION *session = make_session(TLS1_2_VERSION, 9);

	put(sessions, "a:25", session, 0);
	for (int i = 0; i < 3; i++)
		ck_assert(take(sessions, "a:25", 0));
	SSL_SESSION_free(session);
	hop_sessions_free(&sessions);
}
END_TEST

START_TEST(nothing_is_kept_for_too_long)
{
	struct hop_sessions *sessions = hop_sessions_new();
	SSL_SESSION *session = make_session(TLS1_2_VERSION, 9);
	SSL_SESSION *expired = make_session(TLS1_2_VERSION, -1);

	put(sessions, "a:25", session, 1000);
	ck_assert(take(sessions, "a:25", 1000 + HOP_SESSION_LIFE_MS));
	ck_assert(!take(sessions, "a:25", 1001 + HOP_SESSION_LIFE_MS));
	put(sessions, "a:25", expired, 0);
	ck_assert(!take(sessions, "a:25", 0));
	SSL_SESSION_free(session);
	SSL_SESSION_free(expired);
	hop_sessions_free(&sessions);
}
END_TEST

START_TEST(the_number_is_bounded)
{
	struct hop_sessions *sessions = hop_sessions_new();
	SSL_SESSION *session = make_session(TLS1_3_VERSION, 9);
	size_t found = 0;
	char host[32];

	for (int i = 0; i < 100; i++)
		put(sessions, "many:25", session, 0);
	while (take(sessions, "many:25", 0))
		found++;
	ck_assert_uint_eq(found, HOP_SESSIONS_HOST_MAX);
	for (int i = 0; i < 2 * HOP_SESSIONS_MAX; i++) {
		snprintf(host, sizeof(host), "host%d:25", i);
		put(sessions, host, session, 0);
	}
	for (int i = 0; i < 2 * HOP_SESSIONS_MAX; i++) {
		snprintf(host, sizeof(host), "host%d:25", i);
		ck_assert_msg(take(sessions, host, 0) == (i >= HOP_SESSIONS_MAX), "%s", host);
	}
	SSL_SESSION_free(session);
	hop_sessions_free(&sessions);
}
END_TEST

struct share {
	struct hop_sessions *sessions;
	SSL_SESSION *session;
};

static void *put_and_take(void *arg)
{
	struct share *share = arg;

	for (int i = 0; i < 500; i++) {
		put(share->sessions, "a:25", share->session, 0);
		take(share->sessions, "a:25", 0);
	}
	return NULL;
}

/* The uplinks of a route live on several loops. */
START_TEST(many_threads)
{
	struct share share = {hop_sessions_new(), make_session(TLS1_3_VERSION, 9)};
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, put_and_take, &share), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	SSL_SESSION_free(share.session);
	hop_sessions_free(&share.sessions);
}
END_TEST

UNIT_MAIN("deliver/hop_session", a_ticket_is_for_one_use, a_session_of_tls_1_2_stays,
	  nothing_is_kept_for_too_long, the_number_is_bounded, many_threads)
