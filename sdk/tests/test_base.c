/* SPDX-License-Identifier: Apache-2.0 */
/* The ground: views, buffers, arenas, encodings, errors, envelopes, verdicts, SASL. */
#include "tables.h"
#include <errno.h>
#include <postbus/bus.h>
#include <postbus/queue.h>
#include <postbus/sasl.h>

static void views(void **state)
{
	struct pb_str rest = PB_STR("a,b,,c"), part;
	uint64_t n;
	int count = 0;

	(void)state;
	while (pb_str_cut(&rest, ',', &part))
		count++;
	assert_int_equal(count, 4);
	rest = PB_STR("  one\t two ");
	assert_true(pb_str_word(&rest, &part));
	expect_str("word", part, PB_STR("one"));
	assert_true(pb_str_word(&rest, &part));
	assert_false(pb_str_word(&rest, &part));
	assert_true(pb_str_eq(PB_NOSTR, PB_STR("")) && pb_str_ieq(PB_STR("aBc"), PB_STR("AbC")) && !pb_str_ieq(PB_STR("a@"), PB_STR("a`")));
	assert_int_equal(pb_str_search(PB_STR("abcabc"), PB_STR("ca"), 0), 2);
	assert_int_equal(pb_str_search(PB_NOSTR, PB_STR("a"), 0), -1);
	assert_int_equal(pb_str_search(PB_STR("ab"), PB_NOSTR, 2), 2);
	assert_int_equal(pb_str_find(PB_STR("abc"), 'c', 2), 2);
	assert_int_equal(pb_str_u64(PB_STR("18446744073709551615"), UINT64_MAX, &n), 0);
	assert_int_equal(pb_str_u64(PB_STR("18446744073709551616"), UINT64_MAX - 1, &n), PB_ETOOBIG);
	assert_int_equal(pb_str_u64(PB_STR("12x"), UINT64_MAX, &n), PB_EINVALID);
	assert_int_equal(pb_str_u64(PB_STR(""), UINT64_MAX, &n), PB_EINVALID);
	assert_true(pb_str_eq_secret(PB_STR("abc"), PB_STR("abc")) && !pb_str_eq_secret(PB_STR("abc"), PB_STR("abd")) && !pb_str_eq_secret(PB_STR("abc"), PB_NOSTR));
	assert_true(pb_str_hash(PB_STR("abc")) == pb_str_hash(PB_STR("abc")) && pb_str_hash(PB_STR("abc")) != pb_str_hash(PB_STR("abd")));
}

static void utf8(void **state)
{
	static const struct { const char *text; bool valid; } table[] = {
		{ "", true }, { "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", true }, { "\xC0\x80", false }, { "\xC3", false }, { "\xED\xA0\x80", false },
		{ "\xE0\x80\x80", false }, { "\xF4\x90\x80\x80", false }, { "\xFF", false }, { "\x80", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++)
		expect_int("utf8", pb_utf8_valid(pb_strz(table[i].text)), table[i].valid);
}

static void encodings(void **state)
{
	static const char *const bad[] = { "YQ", "YQ=", "Y===", "YR==", "YWI=YWI=", "YW J", "=" };
	PB_AUTOBUF(out);

	(void)state;
	pb_base64_encode(&out, PB_STR("\0\xFF" "a"));
	expect_str("base64", pb_buf_str(&out), PB_STR("AP9h"));
	pb_buf_reset(&out);
	assert_int_equal(pb_base64_decode(&out, PB_STR("YWI=")), 0);
	expect_str("decoded", pb_buf_str(&out), PB_STR("ab"));
	for (size_t i = 0; i < COUNT(bad); i++)
		expect_int(bad[i], pb_base64_decode(&out, pb_strz(bad[i])), PB_EINVALID);
	expect_str("untouched by failures", pb_buf_str(&out), PB_STR("ab"));
	pb_hex_encode(&out, PB_STR("\x0F\xA0"));
	expect_str("hex", pb_buf_str(&out), PB_STR("ab0fa0"));
	assert_int_equal(pb_crc32c(0, "123456789", 9), 0xE3069283);
	assert_int_equal(pb_crc32c(pb_crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
}

static void buffers_and_arenas(void **state)
{
	PB_AUTOBUF(b);
	struct pb_arena *a = pb_arena_new();
	struct pb_str s;

	(void)state;
	assert_string_equal(pb_buf_z(&b), "");
	pb_buf_addf(&b, "%d-%s", 7, "x");
	pb_buf_addu(&b, UINT64_MAX);
	assert_string_equal(b.ptr, "7-x18446744073709551615");
	pb_buf_cut(&b, 3);
	assert_int_equal(b.len, 20);
	pb_buf_cut(&b, 100);
	assert_int_equal(b.len, 0);
	for (int i = 0; i < 1000; i++)
		pb_buf_addf(&b, "%0200d", i);
	assert_int_equal(b.len, 200000);
	s = pb_arena_str(a, PB_STR("abc"));
	assert_true(s.ptr[3] == '\0' && pb_str_eq(s, PB_STR("abc")));
	assert_non_null(pb_arena_alloc(a, 100000));
	assert_string_equal(pb_arena_printf(a, "%s%d", "x", 1), "x1");
	assert_true(pb_arena_used(a) > 100000);
	pb_arena_reset(a);
	assert_int_equal(pb_arena_used(a), 0);
	pb_arena_free(a);
	pb_arena_free(NULL);
}

static void errors(void **state)
{
	struct pb_error err = { 0 };
	char big[600];

	(void)state;
	assert_int_equal(pb_fail(&err, PB_ENOTFOUND, "no '%s'\r\nx", "a"), PB_ENOTFOUND);
	assert_string_equal(err.text, "no 'a'  x");
	assert_int_equal(pb_because(&err, "while %d", 1), PB_ENOTFOUND);
	assert_string_equal(err.text, "while 1: no 'a'  x");
	memset(big, 'b', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	pb_because(&err, "%s", big);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	pb_fail(&err, PB_ETIMEOUT, "%.230s", big);
	pb_because(&err, "context");
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_true(!strncmp(err.text, "context: bbb", 12));
	assert_int_equal(pb_fail_errno(NULL, ENOSPC, "x"), PB_EFULL);
	assert_int_equal(pb_code_parse(pb_code_name(PB_EQUOTA)), PB_EQUOTA);
	assert_int_equal(pb_code_parse("nonsense"), PB_EINTERNAL);
	assert_string_equal(pb_code_name(-1000), pb_code_name(PB_EINTERNAL));
}

static void envelopes(void **state)
{
	struct pb_envelope *env = pb_envelope_new(), *copy;
	char address[] = "bob@example.org";

	(void)state;
	env->client = pb_envelope_copy(env, PB_STR("192.0.2.1"));
	env->mailbox = pb_envelope_copy(env, PB_STR("m1"));
	pb_envelope_sender(env, PB_STR("alice@example.org"));
	for (int i = 0; i < 100; i++)
		pb_envelope_rcpt(env, pb_strz(address))->notify = PB_NOTIFY_DELAY;
	env->rcpts[7]->orcpt = pb_envelope_copy(env, PB_STR("rfc822;x"));
	address[0] = 'x';
	expect_str("strings are copied", env->rcpts[99]->address, PB_STR("bob@example.org"));
	json_object_set_new(env->notes, "a", json_integer(1));
	env->smtputf8 = true;
	copy = pb_envelope_dup(env, true);
	pb_envelope_reset(env);
	assert_true(env->nrcpts == 0 && !env->sender.len && !env->smtputf8 && !json_object_size(env->notes));
	expect_str("client stays", env->client, PB_STR("192.0.2.1"));
	expect_str("mailbox stays", env->mailbox, PB_STR("m1"));
	pb_envelope_rcpt(env, PB_STR("c@x"));
	pb_envelope_free(env);
	assert_true(copy->nrcpts == 100 && copy->smtputf8 && json_object_size(copy->notes) == 1);
	expect_str("sender", copy->sender, PB_STR("alice@example.org"));
	expect_str("orcpt", copy->rcpts[7]->orcpt, PB_STR("rfc822;x"));
	assert_int_equal(copy->rcpts[7]->notify, PB_NOTIFY_DELAY);
	env = pb_envelope_dup(copy, false);
	assert_int_equal(env->nrcpts, 0);
	pb_envelope_free(env);
	pb_envelope_free(copy);
	pb_envelope_free(NULL);
}

static void the_highest_of_the_spam_scores_counts(void **state)
{
	struct pb_envelope *env = pb_envelope_new();
	double score = 42;

	(void)state;
	json_object_set_new(env->notes, "spam_scores", json_real(9));
	json_object_set_new(env->notes, "spam_score.words", json_string("9"));
	assert_true(!pb_envelope_spam_score(env, &score) && score == 42);
	json_object_set_new(env->notes, "spam_score", json_integer(-3));
	assert_true(pb_envelope_spam_score(env, &score) && score == -3);
	json_object_set_new(env->notes, "spam_score.one", json_real(4.5));
	json_object_set_new(env->notes, "spam_score.two", json_integer(0));
	assert_true(pb_envelope_spam_score(env, &score) && score == 4.5);
	json_object_set_new(env->notes, "spam_score", json_integer(7));
	assert_true(pb_envelope_spam_score(env, &score) && score == 7);
	pb_envelope_free(env);
}

static void verdicts(void **state)
{
	struct pb_verdict v = PB_VERDICT;
	char big[400];

	(void)state;
	pb_verdict_set(&v, PB_REJECT, 550, "5.7.1", "no\r\n%s", "way");
	assert_true(v.decision == PB_REJECT && v.code == 550);
	assert_string_equal(v.enhanced, "5.7.1");
	assert_string_equal(v.text, "no  way");
	pb_verdict_header(&v, PB_STR("X-A"), PB_STR("b\r\nBcc: c"));
	assert_string_equal(json_string_value(json_array_get(v.headers, 0)), "X-A: b  Bcc: c");
	pb_verdict_note(&v, "score", json_integer(5));
	assert_int_equal(json_integer_value(json_object_get(v.notes, "score")), 5);
	for (size_t i = 0; i < sizeof big - 2; i += 2)
		memcpy(big + i, "\xC3\xA4", 3);
	pb_verdict_set(&v, PB_DEFER, 0, NULL, "x%s", big);
	assert_true(pb_utf8_valid(pb_strz(v.text)) && strlen(v.text) > 230);
	pb_verdict_clear(&v);
	assert_true(v.decision == PB_CONTINUE && !v.headers && !v.notes);
}

static void log_values(void **state)
{
	char big[2000];

	(void)state;
	assert_string_equal(pb_logq(PB_STR("plain-1.2")), "plain-1.2");
	assert_string_equal(pb_logq(PB_STR("")), "\"\"");
	assert_string_equal(pb_logq(PB_STR("a b=\"c\"\\\n\x01")), "\"a b=\\\"c\\\"\\\\\\n\\x01\"");
	assert_string_equal(pb_logq(PB_STR("\xC3\xA4")), "\"\xC3\xA4\"");
	assert_string_equal(pb_logq(PB_STR("\xFF")), "\"\\xff\"");
	memset(big, 1, sizeof big);
	assert_true(strlen(pb_logq(pb_str(big, sizeof big))) < 512);
	for (size_t i = 0; i + 3 < sizeof big; i += 3)
		memcpy(big + i, "\xE2\x82\xAC", 3);
	assert_true(pb_utf8_valid(pb_strz(pb_logq(pb_str(big, 1998)))));
}

static void sasl(void **state)
{
	static const struct { const char *name, *line; int rc; const char *authzid, *authcid; } table[] = {
		{ "plain", "AGJvYgBwdw==", 0, "", "bob" },
		{ "authzid of his own", "Ym9iAGJvYgBwdw==", 0, "", "bob" },
		{ "authzid of another", "YW5uAGJvYgBwdw==", 0, "ann", "bob" },
		{ "one NUL", "Ym9iAHB3", PB_EINVALID, NULL, NULL },
		{ "three NULs", "AGJvYgBwAHc=", PB_EINVALID, NULL, NULL },
		{ "no name", "AABwdw==", PB_EINVALID, NULL, NULL },
		{ "no password", "AGJvYgA=", PB_EINVALID, NULL, NULL },
		{ "no base64", "AGJvYgBwdw", PB_EINVALID, NULL, NULL },
		{ "a control character in the name", "AGIKYgBwdw==", PB_EINVALID, NULL, NULL },
		{ "no UTF-8 in the name", "AP8AcHc=", PB_EINVALID, NULL, NULL },
		{ "empty", "", PB_EINVALID, NULL, NULL },
		{ "an empty response", "=", PB_EINVALID, NULL, NULL },
		{ "cancelled", "*", PB_ECLOSED, NULL, NULL },
	};
	PB_AUTOBUF(big);
	struct pb_sasl s = PB_SASL;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct pb_error err = { 0 };

		expect_int(table[i].name, pb_sasl_plain(pb_strz(table[i].line), &s, &err), table[i].rc);
		if (table[i].rc) {
			assert_true(err.text[0] && !s.authcid);
			continue;
		}
		assert_string_equal(s.authzid, table[i].authzid);
		assert_string_equal(s.authcid, table[i].authcid);
		expect_str("password", pb_secret_bytes(s.password), PB_STR("pw"));
		pb_sasl_free(&s);
	}
	assert_int_equal(pb_sasl_login(PB_STR("Ym9i"), PB_STR("cHc="), &s, NULL), 0);
	assert_string_equal(s.authcid, "bob");
	pb_sasl_free(&s);
	assert_int_equal(pb_sasl_login(PB_STR("Ym9i"), PB_STR("*"), &s, NULL), PB_ECLOSED);
	assert_int_equal(pb_sasl_clear(PB_STR("bob"), PB_STR("p\0w"), &s, NULL), PB_EINVALID);
	while (big.len <= PB_SASL_MAX)
		pb_buf_addz(&big, "AAAA");
	assert_int_equal(pb_sasl_plain(pb_buf_str(&big), &s, NULL), PB_ETOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views),
		cmocka_unit_test(utf8),
		cmocka_unit_test(encodings),
		cmocka_unit_test(buffers_and_arenas),
		cmocka_unit_test(errors),
		cmocka_unit_test(envelopes), cmocka_unit_test(the_highest_of_the_spam_scores_counts),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(log_values),
		cmocka_unit_test(sasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
