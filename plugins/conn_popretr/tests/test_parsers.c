/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a remote server says, as conn_popretr reads it, and what is said to it: tables of text in and text out, each read in one piece and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugins/conn_popretr/http.h"
#include "plugins/conn_popretr/imap_text.h"
#include "plugins/conn_popretr/multidrop.h"
#include "plugins/conn_popretr/sasl.h"

struct feed {
	struct pb_str text;
	size_t step;
	struct pb_buf written;
};

static int feed_read(void *arg, char *ptr, size_t max, size_t *ret_n, struct pb_error *err)
{
	struct feed *f = arg;
	size_t n = f->text.len < f->step ? f->text.len : f->step;

	if (!n)
		return pb_fail(err, PB_ECLOSED, "the end");
	n = n < max ? n : max;
	memcpy(ptr, f->text.ptr, n);
	f->text = pb_str_skip(f->text, n);
	*ret_n = n;
	return 0;
}

static void feed_write(void *arg, const void *ptr, size_t len)
{
	pb_buf_add(&((struct feed *)arg)->written, ptr, len);
}

static void keep(void *arg, const char *ptr, size_t len)
{
	pb_buf_add(arg, ptr, len);
}

/* A status line, and then a text up to its dot. */
static void dots(const char *input, const char *want, const char *rest)
{
	for (size_t step = 1; step < 100; step += 98) {
		struct feed f = { pb_strz(input), step, PB_BUF };
		struct channel c = { .read = feed_read, .write = feed_write, .arg = &f };
		struct pb_error err = { 0 };
		struct pb_str line;
		PB_AUTOBUF(got);
		struct sink sink = { keep, &got, 0, 0 };
		int rc;

		channel_init(&c);
		assert_int_equal(channel_line(&c, &line, &err), 0);
		rc = channel_dot(&c, &sink, &err);
		if (want) {
			assert_int_equal(rc, 0);
			assert_string_equal(pb_buf_z(&got), want);
			assert_int_equal(sink.size, strlen(want));
			assert_int_equal(channel_line(&c, &line, &err), 0);
			assert_true(pb_str_eq(line, pb_strz(rest)));
		} else {
			assert_int_equal(rc, PB_ECLOSED);
		}
		channel_free(&c);
	}
}

static void text_ends_at_its_dot_and_nowhere_else(void **state)
{
	(void)state;
	dots("+OK\r\none\r\n.\r\nnext\r\n", "one\r\n", "next");
	dots("+OK\r\n.\r\nnext\r\n", "", "next");
	dots("+OK\r\n..\r\n...two\r\n.\r\nnext\r\n", ".\r\n..two\r\n", "next");
	dots("+OK\r\none\ntwo\n.\r\nnext\r\n", "one\r\ntwo\r\n", "next");
	dots("+OK\r\none\n.\nQUIT\r\n.\r\nnext\r\n", "one\r\n.\r\nQUIT\r\n", "next");
	dots("+OK\none\n..x\n.\nnext\n", "one\r\n.x\r\n", "next");
	dots("+OK\r\na\rb\r\r\n.\r\nnext\r\n", "a\rb\r\r\n", "next");
	dots("+OK\r\ncut off", NULL, NULL);
	dots("+OK\r\ncut off\r\n.", NULL, NULL);
}

static void what_is_over_the_limit_is_counted_and_not_passed_on(void **state)
{
	struct feed f = { PB_STR("0123456789\r\n0123456789\r\n.\r\nnext\r\n"), 5, PB_BUF };
	struct channel c = { .read = feed_read, .write = feed_write, .arg = &f };
	struct pb_error err;
	struct pb_str line;
	PB_AUTOBUF(got);
	struct sink sink = { keep, &got, 0, 12 };

	(void)state;
	channel_init(&c);
	assert_int_equal(channel_dot(&c, &sink, &err), 0);
	assert_int_equal(sink.size, 24);
	assert_true(got.len <= 12);
	assert_int_equal(channel_line(&c, &line, &err), 0);
	assert_true(pb_str_eq(line, PB_STR("next")));
	channel_free(&c);
}

/* ---- logins ---- */

static void apop_hashes_as_rfc_1939_has_it(void **state)
{
	char digest[33];

	(void)state;
	apop_digest(PB_STR("<1896.697170952@dbc.mtview.ca.us>"), PB_STR("tanstaaf"), digest);
	assert_string_equal(digest, "c4c9334bac560ecc979e58001b3e22fb");
}

static void say(struct pb_buf *out, const char *plain)
{
	pb_base64_encode(out, pb_strz(plain));
}

static void hear(struct pb_buf *base64, const char *want)
{
	PB_AUTOBUF(plain);

	assert_int_equal(pb_base64_decode(&plain, pb_buf_str(base64)), 0);
	assert_string_equal(pb_buf_z(&plain), want);
	pb_buf_reset(base64);
}

struct scram {
	const char *mechanism, *nonce, *first, *challenge, *answer, *verdict;
};

static void scram_speaks_as_the_rfcs_have_it(void **state)
{
	static const struct scram all[] = {
		{ "SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",	/* RFC 5802 5 */
		  "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
		  "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
		{ "SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",		/* RFC 7677 3 */
		  "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		  "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		  "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" },
	};
	struct login login = { .user = PB_STR("user"), .password = PB_STR("pencil") };
	struct pb_error err;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sasl *s = sasl_new(all[i].mechanism, &login);
		PB_AUTOBUF(out);
		PB_AUTOBUF(in);

		sasl_nonce(s, all[i].nonce);
		assert_int_equal(sasl_first(s, &out, &err), 0);
		hear(&out, all[i].first);
		say(&in, all[i].challenge);
		assert_int_equal(sasl_next(s, pb_buf_str(&in), &out, &err), 0);
		hear(&out, all[i].answer);
		assert_int_equal(sasl_done(s, &err), PB_EDENIED);	/* it has not shown that it knows the password */
		pb_buf_reset(&in);
		say(&in, all[i].verdict);
		assert_int_equal(sasl_next(s, pb_buf_str(&in), &out, &err), 0);
		assert_int_equal(sasl_done(s, &err), 0);
		assert_int_equal(sasl_next(s, pb_buf_str(&in), &out, &err), PB_EINVALID);
		sasl_free(s);
	}
}

static void scram_refuses_a_challenge_that_is_none(void **state)
{
	static const char *const wrong[] = { "", "r=x", "r=abc,s=,i=1", "r=zzz,s=QUJD,i=4096", "r=abcd,s=QUJD,i=0", "r=abcd,s=QUJD,i=99999999", "s=QUJD,r=abcd,i=1" };
	struct login login = { .user = PB_STR("a,b=c"), .password = PB_STR("p") };
	struct pb_error err;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct sasl *s = sasl_new("SCRAM-SHA-256", &login);
		PB_AUTOBUF(out);
		PB_AUTOBUF(in);

		sasl_nonce(s, "abc");
		assert_int_equal(sasl_first(s, &out, &err), 0);
		hear(&out, "n,,n=a=2Cb=3Dc,r=abc");
		say(&in, wrong[i]);
		assert_true(sasl_next(s, pb_buf_str(&in), &out, &err) < 0);
		sasl_free(s);
	}
}

static void tokens_are_said_as_their_mechanisms_want(void **state)
{
	struct login login = { .user = PB_STR("a@b"), .token = PB_STR("tok"), .host = PB_STR("h"), .port = 993 };
	struct sasl *s = sasl_new("OAUTHBEARER", &login);
	struct pb_error err;
	PB_AUTOBUF(out);

	(void)state;
	assert_int_equal(sasl_first(s, &out, &err), 0);
	hear(&out, "n,a=a@b,\001host=h\001port=993\001auth=Bearer tok\001\001");
	sasl_free(s);
	s = sasl_new("XOAUTH2", &login);
	assert_int_equal(sasl_first(s, &out, &err), 0);
	hear(&out, "user=a@b\001auth=Bearer tok\001\001");
	sasl_free(s);
}

/* ---- IMAP ---- */

static void answers_of_fetch(void **state)
{
	static const struct { const char *line; bool is; uint32_t uid; uint64_t size; bool body; } all[] = {
		{ "12 FETCH (UID 5 RFC822.SIZE 44827)", true, 5, 44827, false },
		{ "12 FETCH (RFC822.SIZE 3 FLAGS (\\Seen (x) \"a)b\") UID 7)", true, 7, 3, false },
		{ "1 FETCH (UID 9 BODY[] {123}", true, 9, 0, true },
		{ "1 FETCH (BODY[HEADER] {5}", true, 0, 0, true },
		{ "1 FETCH (BODY[HEADER.FIELDS (A B)] {5}", true, 0, 0, true },
		{ "1 FETCH (UID 9 BODY[] NIL)", true, 9, 0, false },
		{ "1 EXISTS", false, 0, 0, false },
		{ "x FETCH (UID 1)", false, 0, 0, false },
		{ "1 FETCH UID 1", false, 0, 0, false },
		{ "1 FETCH (UID 99999999999)", true, 0, 0, false },
		{ "1 FETCH (((((", true, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct imap_fetch got;

		assert_int_equal(imap_fetch_parse(pb_strz(all[i].line), &got), all[i].is);
		assert_int_equal(got.uid, all[i].uid);
		assert_int_equal(got.size, all[i].size);
		assert_int_equal(got.has_body, all[i].body);
	}
}

static void names_of_folders(void **state)
{
	static const struct { const char *name, *want; } all[] = {
		{ "INBOX", "INBOX" }, { "Entw\303\274rfe", "Entw&APw-rfe" }, { "a&b", "a&-b" }, { "~peter/mail/\345\217\260\345\214\227", "~peter/mail/&U,BTFw-" },
		{ "\360\237\230\200", "&2D3eAA-" }, { "\303", "&AAM-" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		PB_AUTOBUF(out);

		imap_folder(&out, pb_strz(all[i].name));
		assert_string_equal(pb_buf_z(&out), all[i].want);
	}
}

/* ---- for whom ---- */

static void who_a_received_field_is_for(void **state)
{
	static const struct { const char *field, *want; } all[] = {
		{ " from a by b with SMTP id c for <bob@x.example>; Mon, 1 Jan", "bob@x.example" },
		{ " from a (for <no@x.example>) by b\r\n\tfor bob@x.example; Mon", "bob@x.example" },
		{ " from a by b (x) for (y) <bob@x.example> (z); Mon", "bob@x.example" },
		{ " from a by b; for <bob@x.example>", "" },
		{ " from for by b", "by" },
		{ " from a for", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct pb_str got = drop_for(pb_strz(all[i].field));

		assert_true(pb_str_eq(got, pb_strz(all[i].want)));
	}
}

/* ---- HTTP ---- */

static void answers_of_http(void **state)
{
	static const struct { const char *answer, *body; unsigned status; int rc; } all[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, 0 },
		{ "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\n\r\n", "{}", 400, 0 },
		{ "HTTP/1.0 200 OK\r\n\r\n{}", "{}", 200, 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", NULL, 200, PB_ECLOSED },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", NULL, 200, PB_EINVALID },
		{ "SSH-2.0\r\n", NULL, 0, PB_EINVALID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct feed f = { pb_strz(all[i].answer), 3, PB_BUF };
		struct channel c = { .read = feed_read, .write = feed_write, .arg = &f };
		struct http_url url;
		struct pb_error err;
		unsigned status = 0;
		PB_AUTOBUF(body);
		PB_AUTOBUF(form);

		channel_init(&c);
		http_form(&form, "a", PB_STR("1 &="));
		http_form(&form, "b", PB_STR("x~"));
		assert_string_equal(pb_buf_z(&form), "a=1%20%26%3D&b=x~");
		assert_int_equal(http_url_parse(PB_STR("https://h.example:8443/t?x"), &url, &err), 0);
		assert_int_equal(url.port, 8443);
		assert_int_equal(http_post(&c, &url, pb_buf_str(&form), &status, &body, &err), all[i].rc);
		assert_int_equal(status, all[i].status);
		if (all[i].body)
			assert_string_equal(pb_buf_z(&body), all[i].body);
		assert_true(pb_str_starts(pb_buf_str(&f.written), PB_STR("POST /t?x HTTP/1.1\r\nHost: h.example\r\n")));
		pb_buf_free(&f.written);
		channel_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_ends_at_its_dot_and_nowhere_else),
		cmocka_unit_test(what_is_over_the_limit_is_counted_and_not_passed_on),
		cmocka_unit_test(apop_hashes_as_rfc_1939_has_it),
		cmocka_unit_test(scram_speaks_as_the_rfcs_have_it),
		cmocka_unit_test(scram_refuses_a_challenge_that_is_none),
		cmocka_unit_test(tokens_are_said_as_their_mechanisms_want),
		cmocka_unit_test(answers_of_fetch),
		cmocka_unit_test(names_of_folders),
		cmocka_unit_test(who_a_received_field_is_for),
		cmocka_unit_test(answers_of_http),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
