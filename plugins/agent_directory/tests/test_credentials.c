/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hashes, SCRAM keys, remembered logins: against the vectors of RFC 7677, and the bounds of the pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <gnutls/crypto.h>
#include "plugins/agent_directory/directory.h"

static void hmac(const unsigned char *key, struct pb_str text, unsigned char *out)
{
	assert_int_equal(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, 32, text.ptr, text.len, out), 0);
}

/* RFC 7677 section 3. */
static void scram_keys_prove_what_the_rfc_says(void **state)
{
	static const char auth[] = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
				   "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
	unsigned char stored[32], server[32], signature[32], client[32], hashed[32];
	PB_AUTOBUF(salt);
	PB_AUTOBUF(proof);
	PB_AUTOBUF(text);

	(void)state;
	assert_int_equal(pb_base64_decode(&salt, PB_STR("W22ZaJ0SNY7soEsUEjb6gQ==")), 0);
	scram_keys(PB_STR("pencil"), pb_buf_str(&salt), 4096, stored, server);
	hmac(server, pb_strz(auth), signature);
	pb_base64_encode(&text, pb_str((char *)signature, 32));
	assert_string_equal(pb_buf_z(&text), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	assert_int_equal(pb_base64_decode(&proof, PB_STR("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")), 0);
	hmac(stored, pb_strz(auth), signature);
	for (int i = 0; i < 32; i++)
		client[i] = (unsigned char)proof.ptr[i] ^ signature[i];
	gnutls_hash_fast(GNUTLS_DIG_SHA256, client, 32, hashed);
	assert_memory_equal(hashed, stored, 32);
}

static void a_proof_holds_for_its_message_and_keys_alone(void **state)
{
	static const char auth[] = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
				   "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
	unsigned char stored[32], server[32], signature[32];
	PB_AUTOBUF(salt);
	PB_AUTOBUF(proof);
	PB_AUTOBUF(text);

	(void)state;
	assert_int_equal(pb_base64_decode(&salt, PB_STR("W22ZaJ0SNY7soEsUEjb6gQ==")), 0);
	assert_int_equal(pb_base64_decode(&proof, PB_STR("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")), 0);
	scram_keys(PB_STR("pencil"), pb_buf_str(&salt), 4096, stored, server);
	assert_true(scram_proves(stored, server, pb_strz(auth), pb_buf_str(&proof), signature));
	pb_base64_encode(&text, pb_str((char *)signature, 32));
	assert_string_equal(pb_buf_z(&text), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	assert_false(scram_proves(stored, server, pb_str_skip(pb_strz(auth), 1), pb_buf_str(&proof), signature));
	proof.ptr[31] ^= 1;
	assert_false(scram_proves(stored, server, pb_strz(auth), pb_buf_str(&proof), signature));
	proof.ptr[31] ^= 1;
	stored[0] ^= 1;
	assert_false(scram_proves(stored, server, pb_strz(auth), pb_buf_str(&proof), signature));
}

static void nobodys_salt_is_his_own_and_stays(void **state)
{
	unsigned char secret[32] = { 7 }, other[32] = { 8 }, one[32], two[32];

	(void)state;
	scram_nobody(secret, PB_STR("who@demo.example"), one);
	scram_nobody(secret, PB_STR("WHO@Demo.Example"), two);
	assert_memory_equal(one, two, 32);
	scram_nobody(secret, PB_STR("whom@demo.example"), two);
	assert_memory_not_equal(one, two, 16);
	scram_nobody(other, PB_STR("who@demo.example"), two);
	assert_memory_not_equal(one, two, 16);
	scram_nobody(secret, PB_STR("no address at all"), one);
	scram_nobody(secret, PB_STR("no address at all"), two);
	assert_memory_equal(one, two, 32);
}

static void a_hash_matches_its_password_alone(void **state)
{
	struct hashers *h = hashers_new(2, 2, PB_SECOND);
	char one[256], two[256];
	struct pb_error err;

	(void)state;
	assert_int_equal(hash_make(h, PB_STR("secret"), 1, one, sizeof one, &err), 0);
	assert_int_equal(hash_make(h, PB_STR("secret"), 1, two, sizeof two, &err), 0);
	assert_string_not_equal(one, two);
	assert_memory_equal(one, "$y$", 3);
	assert_int_equal(hash_check(h, PB_STR("secret"), one, &err), 0);
	assert_int_equal(hash_check(h, PB_STR("Secret"), one, &err), PB_EDENIED);
	assert_int_equal(hash_check(h, PB_STR(""), one, &err), PB_EDENIED);
	hashers_free(h);
}

static void a_full_pool_says_busy(void **state)
{
	struct hashers *full = hashers_new(0, 0, PB_SECOND), *slow = hashers_new(0, 1, 1);
	char hash[256];
	struct pb_error err;

	(void)state;
	assert_int_equal(hash_make(full, PB_STR("secret"), 1, hash, sizeof hash, &err), PB_EBUSY);
	assert_int_equal(hash_check(slow, PB_STR("secret"), "$y$j75$x", &err), PB_EBUSY);
	hashers_free(full);
	hashers_free(slow);
}

static void passwords_are_normalised_and_bounded(void **state)
{
	char room[PASSWORD_MAX + 1], other[PASSWORD_MAX + 1], big[400];
	struct pb_str a, b;
	struct pb_error err;

	(void)state;
	assert_int_equal(password_normal(PB_STR("caf\xc3\xa9 1"), room, &a, &err), 0);
	assert_int_equal(password_normal(PB_STR("cafe\xcc\x81 1"), other, &b, &err), 0);
	assert_true(pb_str_eq(a, b));
	memset(big, 'x', sizeof big);
	assert_int_equal(password_normal(pb_str(big, sizeof big), room, &a, &err), PB_EINVALID);
	assert_int_equal(password_normal(PB_STR(""), room, &a, &err), PB_EINVALID);
	assert_int_equal(password_normal(PB_STR("a\0b"), room, &a, &err), PB_EINVALID);
	assert_int_equal(password_normal(PB_STR("\xff\xfe raw"), room, &a, &err), 0);
}

static void a_success_is_remembered_for_its_credential_alone(void **state)
{
	struct logins *l = logins_new(16);

	(void)state;
	assert_false(logins_knows(l, PB_STR("m1"), PB_STR("$y$1"), PB_STR("secret")));
	logins_remember(l, PB_STR("m1"), PB_STR("$y$1"), PB_STR("secret"));
	assert_true(logins_knows(l, PB_STR("m1"), PB_STR("$y$1"), PB_STR("secret")));
	assert_false(logins_knows(l, PB_STR("m1"), PB_STR("$y$2"), PB_STR("secret")));
	assert_false(logins_knows(l, PB_STR("m1"), PB_STR("$y$1"), PB_STR("secret2")));
	assert_false(logins_knows(l, PB_STR("m2"), PB_STR("$y$1"), PB_STR("secret")));
	logins_remember(l, PB_STR("m1"), PB_STR("$y$2"), PB_STR("other"));
	assert_false(logins_knows(l, PB_STR("m1"), PB_STR("$y$1"), PB_STR("secret")));
	for (int i = 0; i < 1000; i++) {
		char id[20];

		snprintf(id, sizeof id, "x%d", i);
		logins_remember(l, pb_strz(id), PB_STR("$y$1"), PB_STR("secret"));
		assert_true(logins_knows(l, pb_strz(id), PB_STR("$y$1"), PB_STR("secret")));
	}
	logins_free(l);
}

static void nobodys_hash_costs_what_a_real_one_costs_and_has_no_password(void **state)
{
	struct hashers *h = hashers_new(1, 1, PB_SECOND);
	char nobody[256], real[256], small[80];
	struct pb_error err;

	(void)state;
	assert_int_equal(hash_nobody(2, nobody, sizeof nobody, &err), 0);
	assert_int_equal(hash_make(h, PB_STR("secret"), 2, real, sizeof real, &err), 0);
	assert_int_equal(strlen(nobody), strlen(real));
	assert_memory_equal(nobody, real, strlen("$y$j75$"));	/* the method and its cost */
	assert_int_equal(hash_check(h, PB_STR("secret"), nobody, &err), PB_EDENIED);
	assert_int_equal(hash_check(h, PB_STR("x"), nobody, &err), PB_EDENIED);
	assert_int_equal(hash_nobody(2, small, 40, &err), PB_EINTERNAL);
	hashers_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scram_keys_prove_what_the_rfc_says),
		cmocka_unit_test(a_proof_holds_for_its_message_and_keys_alone),
		cmocka_unit_test(nobodys_salt_is_his_own_and_stays),
		cmocka_unit_test(a_hash_matches_its_password_alone),
		cmocka_unit_test(nobodys_hash_costs_what_a_real_one_costs_and_has_no_password),
		cmocka_unit_test(a_full_pool_says_busy),
		cmocka_unit_test(passwords_are_normalised_and_bounded),
		cmocka_unit_test(a_success_is_remembered_for_its_credential_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
