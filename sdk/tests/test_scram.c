/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM's messages: the conversation of RFC 7677 section 3, channel binding, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <postbus/sasl.h>

#define CLIENT "rOprNGfwEbeRWgbNEkqO"
#define SERVER "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static void the_conversation_of_the_rfc(void **state)
{
	struct pb_scram x = PB_SCRAM;
	PB_AUTOBUF(out);
	PB_AUTOBUF(proof);

	(void)state;
	assert_int_equal(pb_scram_first(&x, PB_STR("n,,n=user,r=" CLIENT), NULL), 0);
	assert_string_equal(x.authcid, "user");
	assert_string_equal(x.authzid, "");
	assert_null(x.binding);
	assert_false(x.could_bind);
	pb_scram_challenge(&x, PB_STR(SERVER), PB_STR(SALT), 4096, &out);
	assert_string_equal(pb_buf_z(&out), "r=" CLIENT SERVER ",s=" SALT ",i=4096");
	assert_int_equal(pb_scram_final(&x, PB_STR("c=biws,r=" CLIENT SERVER ",p=" PROOF), PB_NOSTR, NULL), 0);
	assert_string_equal(pb_buf_z(&x.message), "n=user,r=" CLIENT ",r=" CLIENT SERVER ",s=" SALT ",i=4096,c=biws,r=" CLIENT SERVER);
	assert_int_equal(pb_base64_decode(&proof, PB_STR(PROOF)), 0);
	assert_memory_equal(x.proof, proof.ptr, 32);
	pb_scram_free(&x);
}

static void first_messages(void **state)
{
	static const struct {
		const char *name, *text;
		int rc;
		const char *authcid, *binding;
	} table[] = {
		{ "plain", "n,,n=user,r=abc", 0, "user", NULL },
		{ "names with comma and equals sign", "n,,n=a=2Cb=3Dc,r=abc", 0, "a,b=c", NULL },
		{ "acts for himself", "n,a=user,n=user,r=abc", 0, "user", NULL },
		{ "extensions behind", "n,,n=user,r=abc,x=1,y=2", 0, "user", NULL },
		{ "bound", "p=tls-exporter,,n=user,r=abc", 0, "user", "tls-exporter" },
		{ "a bare equals sign", "n,,n=a=b,r=abc", PB_EINVALID, NULL, NULL },
		{ "a code in lower case", "n,,n=a=2c,r=abc", PB_EINVALID, NULL, NULL },
		{ "a code cut off", "n,,n=a=2,r=abc", PB_EINVALID, NULL, NULL },
		{ "an extension that must be known", "n,,m=x,n=user,r=abc", PB_EINVALID, NULL, NULL },
		{ "no nonce", "n,,n=user", PB_EINVALID, NULL, NULL },
		{ "an empty nonce", "n,,n=user,r=", PB_EINVALID, NULL, NULL },
		{ "a blank in the nonce", "n,,n=user,r=a c", PB_EINVALID, NULL, NULL },
		{ "no name", "n,,n=,r=abc", PB_EINVALID, NULL, NULL },
		{ "the wrong order", "n,,r=abc,n=user", PB_EINVALID, NULL, NULL },
		{ "no header", "n=user,r=abc", PB_EINVALID, NULL, NULL },
		{ "another flag", "q,,n=user,r=abc", PB_EINVALID, NULL, NULL },
		{ "a binding without a name", "p=,,n=user,r=abc", PB_EINVALID, NULL, NULL },
		{ "a binding with a blank", "p=tls exporter,,n=user,r=abc", PB_EINVALID, NULL, NULL },
		{ "an identity that is none", "n,b=x,n=user,r=abc", PB_EINVALID, NULL, NULL },
		{ "an empty identity", "n,a=,n=user,r=abc", PB_EINVALID, NULL, NULL },
		{ "an extension without a value", "n,,n=user,r=abc,x", PB_EINVALID, NULL, NULL },
		{ "not UTF-8", "n,,n=us\xff,r=abc", PB_EINVALID, NULL, NULL },
		{ "nothing", "", PB_EINVALID, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct pb_scram x = PB_SCRAM;
		int rc = pb_scram_first(&x, pb_strz(table[i].text), NULL);

		if (rc != table[i].rc)
			fail_msg("%s: %d instead of %d", table[i].name, rc, table[i].rc);
		if (!rc) {
			assert_string_equal(x.authcid, table[i].authcid);
			assert_string_equal(x.authzid, "");
			assert_true(table[i].binding ? !strcmp(x.binding, table[i].binding) : !x.binding);
		}
		pb_scram_free(&x);
	}
}

static void who_acts_for_others_and_who_could_have_bound_is_told(void **state)
{
	struct pb_scram x = PB_SCRAM;
	char big[PB_SCRAM_MAX + 1];

	(void)state;
	assert_int_equal(pb_scram_first(&x, PB_STR("y,a=root,n=user,r=abc"), NULL), 0);
	assert_string_equal(x.authzid, "root");
	assert_true(x.could_bind);
	pb_scram_free(&x);
	memset(big, 'a', sizeof big);
	assert_int_equal(pb_scram_first(&x, pb_str(big, sizeof big), NULL), PB_ETOOBIG);
	pb_scram_free(&x);
}

/* header: of the client; channel: as the server knows it; c: what the client says. */
static int final(const char *header, const char *channel, const char *c, const char *nonce, const char *rest)
{
	struct pb_scram x = PB_SCRAM;
	PB_AUTOBUF(out);
	PB_AUTOBUF(text);
	PB_AUTOBUF(bound);
	int rc;

	pb_buf_addf(&text, "%sn=user,r=abc", header);
	assert_int_equal(pb_scram_first(&x, pb_buf_str(&text), NULL), 0);
	pb_scram_challenge(&x, PB_STR("def"), PB_STR(SALT), 4096, &out);
	pb_base64_encode(&bound, pb_strz(c));
	pb_buf_reset(&text);
	pb_buf_addf(&text, "c=%s,r=%s%s", pb_buf_z(&bound), nonce, rest);
	rc = pb_scram_final(&x, pb_buf_str(&text), pb_strz(channel), NULL);
	pb_scram_free(&x);
	return rc;
}

static void a_login_is_bound_to_its_channel_and_nonces(void **state)
{
	(void)state;
	assert_int_equal(final("n,,", "", "n,,", "abcdef", ",p=" PROOF), 0);
	assert_int_equal(final("n,,", "", "n,,", "abcdef", ",x=1,p=" PROOF), 0);
	assert_int_equal(final("p=tls-exporter,,", "channel", "p=tls-exporter,,channel", "abcdef", ",p=" PROOF), 0);
	assert_int_equal(final("p=tls-exporter,,", "channel", "p=tls-exporter,,", "abcdef", ",p=" PROOF), PB_EDENIED);
	assert_int_equal(final("p=tls-exporter,,", "channel", "p=tls-exporter,,another", "abcdef", ",p=" PROOF), PB_EDENIED);
	assert_int_equal(final("p=tls-exporter,,", "channel", "n,,", "abcdef", ",p=" PROOF), PB_EDENIED);
	assert_int_equal(final("n,,", "channel", "n,,channel", "abcdef", ",p=" PROOF), PB_EDENIED);
	assert_int_equal(final("y,,", "", "n,,", "abcdef", ",p=" PROOF), PB_EDENIED);
	assert_int_equal(final("n,,", "", "n,,", "abc", ",p=" PROOF), PB_EDENIED);
	assert_int_equal(final("n,,", "", "n,,", "abcdefg", ",p=" PROOF), PB_EDENIED);
	assert_int_equal(final("n,,", "", "n,,", "abcdef", ""), PB_EINVALID);
	assert_int_equal(final("n,,", "", "n,,", "abcdef", ",p=AAAA"), PB_EINVALID);
	assert_int_equal(final("n,,", "", "n,,", "abcdef", ",p=" PROOF ",x=1"), PB_EINVALID);
	assert_int_equal(final("n,,", "", "n,,", "abcdef", ",x,p=" PROOF), PB_EINVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_conversation_of_the_rfc),
		cmocka_unit_test(first_messages),
		cmocka_unit_test(who_acts_for_others_and_who_could_have_bound_is_told),
		cmocka_unit_test(a_login_is_bound_to_its_channel_and_nonces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
