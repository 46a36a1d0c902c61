/* tests relay/webhook/signature.c and where a webhook goes, without what is secret of it */
#include <config.h>

#include <string.h>

#include "relay/webhook/signature.h"
#include "relay/webhook/webhook.h"
#include "tests/unit/unit.h"

/* The example of www.standardwebhooks.com, which its libraries are tested with. */
START_TEST(as_others_check_it)
{
	char text[SIGNATURE_TEXT_SIZE];
	struct buf key;

	buf_init(&key, SIGNATURE_KEY_MAX);
	ck_assert_int_eq(
		signature_key(span_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &key, NULL),
		ERR_OK);
	ck_assert_uint_eq(key.len, 24);
	signature_make(buf_span(&key), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
		       span_of("{\"test\": 2432232314}"), text);
	ck_assert_str_eq(text, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	buf_release(&key);
}
END_TEST

START_TEST(secrets)
{
	static const struct {
		const char *secret;
		int code;
		size_t len;
	} rows[] = {
		{"", ERR_LIMIT, 0},
		{"fifteen octets!", ERR_LIMIT, 0},
		{"sixteen octets!!", ERR_OK, 16},
		{"WHSEC_is no prefix", ERR_OK, 18},
		{"whsec_AAAAAAAAAAAAAAAAAAAAAA==", ERR_OK, 16},
		{"whsec_AAAAAAAAAAAAAAAAAAAA", ERR_LIMIT, 0},
		{"whsec_AAAAAAAAAAAAAAAAAAAAAA", ERR_SYNTAX, 0},
		{"whsec_not base64 at all", ERR_SYNTAX, 0},
		{"whsec_", ERR_LIMIT, 0},
	};
	char most[SIGNATURE_KEY_MAX + 2];
	struct buf key;

	buf_init(&key, SIGNATURE_KEY_MAX);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err why;

		buf_clear(&key);
		ck_assert_msg(signature_key(span_of(rows[i].secret), &key, &why) == rows[i].code,
			      "%s", rows[i].secret);
		ck_assert_uint_eq(key.len, rows[i].len);
	}
	memset(most, 'x', sizeof(most));
	buf_clear(&key);
	ck_assert_int_eq(signature_key(span_make(most, SIGNATURE_KEY_MAX), &key, NULL), ERR_OK);
	buf_clear(&key);
	ck_assert_int_eq(signature_key(span_make(most, SIGNATURE_KEY_MAX + 1), &key, NULL),
			 ERR_LIMIT);
	buf_release(&key);
}
END_TEST

START_TEST(a_place_is_no_secret)
{
	static const struct {
		const char *url, *place;
	} rows[] = {
		{"https://hooks.example.com/services/T0K3N", "https://hooks.example.com"},
		{"https://u:p@hooks.example.com:8443/x?y#z", "https://hooks.example.com:8443"},
		{"http://127.0.0.1:9", "http://127.0.0.1:9"},
		{"http://[::1]:9?key=k", "http://[::1]:9"},
		{"unix:/run/hook.sock:/secret", "unix:/run/hook.sock"},
		{"ftp://x/", ""},
		{"", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char place[WEBHOOK_PLACE_SIZE];

		webhook_place(span_of(rows[i].url), place);
		ck_assert_str_eq(place, rows[i].place);
	}
}
END_TEST

UNIT_MAIN("webhook/signature", as_others_check_it, secrets, a_place_is_no_secret)
