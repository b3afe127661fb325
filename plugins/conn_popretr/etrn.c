/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SMTP as the client that asks for mail: EHLO, STARTTLS, AUTH, ETRN or ATRN. What comes by ETRN comes to conn_smtp; what comes by ATRN is atrn.c's. */
#include <stdio.h>
#include <stdlib.h>
#include "etrn.h"
#include "sasl.h"

enum { LINES_MAX = 200 };

struct smtp {
	struct run *run;
	struct channel *c;
	struct pb_buf offers;		/* EHLO's words, one a line */
	char said[REPLY_TEXT];
};

/* A whole reply; gives its code, or an error. */
static int reply(struct smtp *s, int *ret_code, struct pb_error *err)
{
	struct pb_str line;
	uint64_t code;

	pb_buf_reset(&s->offers);
	for (unsigned n = 0; n < LINES_MAX; n++) {
		int rc = channel_line(s->c, &line, err);

		if (rc)
			return rc;
		if (line.len < 3 || pb_str_u64(pb_str_head(line, 3), 599, &code) || code < 200 || (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')) {
			keep_words(s->said, sizeof s->said, line);
			return pb_fail(err, PB_EINVALID, "the server breaks the protocol: '%s' is no reply", s->said);
		}
		if (line.len > 4) {
			pb_buf_addstr(&s->offers, pb_str_skip(line, 4));
			pb_buf_addc(&s->offers, '\n');
		}
		if (line.len == 3 || line.ptr[3] == ' ') {
			keep_words(s->said, sizeof s->said, line);
			*ret_code = (int)code;
			return 0;
		}
	}
	return pb_fail(err, PB_ETOOBIG, "a reply of more than %d lines", LINES_MAX);
}

static int expect(struct smtp *s, int from, int to, enum pb_code refused, struct pb_error *err)
{
	int code = 0, rc = reply(s, &code, err);

	if (rc || (code >= from && code <= to))
		return rc;
	return pb_fail(err, code >= 400 && code < 500 ? PB_EBUSY : refused, "the server says: %s", s->said);
}

static bool offers(const struct smtp *s, const char *what, struct pb_str *ret_rest)
{
	struct pb_str rest = pb_buf_str(&s->offers), line, word;

	while (pb_str_cut(&rest, '\n', &line))
		if (pb_str_word(&line, &word) && pb_str_ieq(word, pb_strz(what))) {
			*ret_rest = line;
			return true;
		}
	return false;
}

static int hello(struct smtp *s, struct pb_error *err)
{
	channel_putf(s->c, "EHLO %.*s\r\n", PB_FMT(pb_hostname(s->run->r->host)));
	return expect(s, 250, 250, PB_EUNAVAILABLE, err);
}

static int log_in(struct smtp *s, const char *mechanism, const struct login *login, struct pb_error *err)
{
	struct sasl *sasl = sasl_new(mechanism, login);
	PB_AUTOBUF(out);
	PB_AUTOBUF(challenge);
	int code = 334, rc = sasl_first(sasl, &out, err);

	channel_putf(s->c, "AUTH %s ", mechanism);
	while (!rc && code == 334) {
		channel_put(s->c, pb_buf_str(&out));
		channel_put(s->c, PB_STR("\r\n"));
		rc = reply(s, &code, err);
		if (rc || code != 334)
			break;
		pb_buf_reset(&out);
		pb_buf_reset(&challenge);
		pb_buf_addstr(&challenge, pb_str_trim(pb_buf_str(&s->offers)));
		rc = sasl_next(sasl, pb_buf_str(&challenge), &out, err);
	}
	if (!rc && code != 235)
		rc = pb_fail(err, code < 500 ? PB_EBUSY : PB_EDENIED, "login by %s: the server says: %s", mechanism, s->said);
	if (!rc)
		rc = sasl_done(sasl, err);
	snprintf(s->run->method, sizeof s->run->method, "%s", mechanism);
	pb_wipe(out.ptr, out.len);
	sasl_free(sasl);
	return rc;
}

/* Only where there is a password: ETRN needs none. */
static int authenticate(struct smtp *s, struct pb_error *err)
{
	struct run *run = s->run;
	struct login login = { .user = pb_text_of(run->row, "user"), .host = pb_text_of(run->row, "host"), .port = connect_port(run->row) };
	struct pb_str sealed = pb_text_of(run->row, "password"), list;
	const char *mechanism;
	int rc;

	if (!sealed.len)
		return 0;
	if (!offers(s, "AUTH", &list))
		return pb_fail(err, PB_EUNAVAILABLE, "the server offers no AUTH");
	rc = vault_unseal(run->r, pb_strz(run->a->serial), "password", sealed, &run->password, err);
	login.password = pb_buf_str(&run->password);
	mechanism = pb_str_isearch(list, PB_STR("SCRAM-SHA-256"), 0) >= 0 ? "SCRAM-SHA-256" : pb_str_isearch(list, PB_STR("SCRAM-SHA-1"), 0) >= 0 ? "SCRAM-SHA-1" : "PLAIN";
	return rc ? rc : log_in(s, mechanism, &login, err);
}

static int begin(struct smtp *s, struct pb_error *err)
{
	struct run *run = s->run;
	struct pb_str none;
	int rc = connect_channel(run, err);

	s->c = &run->channel;
	if (!rc)
		rc = expect(s, 220, 220, PB_EUNAVAILABLE, err);
	if (!rc)
		rc = hello(s, err);
	if (!rc && pb_str_eq(pb_text_of(run->row, "tls"), PB_STR("starttls"))) {
		if (!offers(s, "STARTTLS", &none))
			return pb_fail(err, PB_EUNAVAILABLE, "the server offers no STARTTLS");
		channel_putf(s->c, "STARTTLS\r\n");
		rc = expect(s, 220, 220, PB_EUNAVAILABLE, err);
		if (!rc && channel_has_more(s->c))
			rc = pb_fail(err, PB_EINVALID, "the server says more in the clear than its answer to STARTTLS");
		if (!rc)
			rc = connect_starttls(run, err);
		if (!rc)
			rc = hello(s, err);
	}
	return rc ? rc : authenticate(s, err);
}

/* RFC 1985 5: 25x, it will be sent; 458 and 459 for now not; each domain by itself. */
static int ask_each(struct smtp *s, struct pb_error *err)
{
	const json_t *list = json_object_get(s->run->row, "domains"), *one;
	size_t i;
	int rc = 0;

	json_array_foreach(list, i, one) {
		if (rc)
			break;
		channel_putf(s->c, "ETRN %s\r\n", json_string_value(one));
		rc = expect(s, 250, 259, PB_EUNAVAILABLE, err);
		if (rc)
			pb_because(err, "ETRN %s", json_string_value(one));
	}
	return rc;
}

/* RFC 2645 5: 250, and the roles are changed; 453, there is nothing. */
static int turn(struct smtp *s, struct pb_error *err)
{
	const json_t *list = json_object_get(s->run->row, "domains"), *one;
	int code = 0, rc;
	size_t i;

	channel_put(s->c, PB_STR("ATRN "));
	json_array_foreach(list, i, one)
		channel_putf(s->c, "%s%s", i ? "," : "", json_string_value(one));
	channel_put(s->c, PB_STR("\r\n"));
	rc = reply(s, &code, err);
	if (rc || code == 453)
		return rc;
	if (code != 250)
		return pb_fail(err, code < 500 ? PB_EBUSY : PB_EDENIED, "ATRN: the server says: %s", s->said);
	return atrn_serve(s->run, err);
}

int run_domain(struct run *run, struct pb_error *err)
{
	bool atrn = pb_str_eq(pb_text_of(run->row, "protocol"), PB_STR("atrn"));
	struct smtp s = { .run = run };
	int rc = begin(&s, err);

	if (!rc)
		rc = atrn ? turn(&s, err) : ask_each(&s, err);
	if (!rc && !atrn) {
		struct pb_error late;

		channel_putf(s.c, "QUIT\r\n");
		expect(&s, 221, 221, PB_EUNAVAILABLE, &late);
	}
	pb_buf_free(&s.offers);
	connect_close(run);
	return rc;
}

int test_domain(struct run *run, struct pb_error *err)
{
	struct smtp s = { .run = run };
	int rc = begin(&s, err);

	pb_buf_free(&s.offers);
	return rc;
}
