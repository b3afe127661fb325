/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Meeting another server: connection, greeting, EHLO or HELO, STARTTLS where it is offered (in the clear again where it fails and the policy lets us),
 * login at a smart host. The transaction is left to send.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include "peer.h"

/* ---- replies ---- */

/* In our own words: nobody else said them. */
static bool trouble(struct outcome *why, bool permanent, const char *fmt, ...) PB_PRINTF(3, 4);
static bool trouble(struct outcome *why, bool permanent, const char *fmt, ...)
{
	va_list ap;

	why->permanent = permanent;
	why->remote[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(why->reply, sizeof why->reply, fmt, ap);
	va_end(ap);
	return false;
}

bool peer_answer(struct peer *p, struct answer *a, const char *doing, struct outcome *why)
{
	struct pb_error err = { 0 };
	struct pb_str line;
	int more;

	memset(a, 0, sizeof *a);
	do {
		if (pb_link_line(p->link, ANSWER_LINE_MAX, &line, &err))
			return trouble(why, false, "451 4.4.2 connection to %s [%s] failed while %s: %s", p->name, p->address, doing, err.text);
		more = answer_take(a, line);
		if (more < 0)
			return trouble(why, false, "451 4.5.0 %s [%s] broke the protocol while %s: %.*s", p->name, p->address, doing,
				       (int)(line.len < 80 ? line.len : 80), line.ptr);
	} while (more);
	return true;
}

/* A refusal in the server's own words. */
static bool refused(struct outcome *why, const struct peer *p, const struct answer *a, bool permanent)
{
	why->permanent = permanent;
	snprintf(why->remote, sizeof why->remote, "%s", p->name);
	answer_words(a, a->code < 400 ? 451 : 0, why->reply, sizeof why->reply);
	return false;
}

static bool command(struct peer *p, struct answer *a, const char *doing, struct outcome *why)
{
	struct pb_error err = { 0 };

	if (pb_link_flush(p->link, &err))
		return trouble(why, false, "451 4.4.2 connection to %s [%s] failed while %s: %s", p->name, p->address, doing, err.text);
	return peer_answer(p, a, doing, why);
}

/* ---- capabilities ---- */

void peer_capability(struct peer *p, struct pb_str line)
{
	struct pb_str word, mechanism;
	uint64_t size;

	if (!pb_str_word(&line, &word))
		return;
	if (pb_str_ieq(word, PB_STR("PIPELINING")))
		p->pipelining = true;
	else if (pb_str_ieq(word, PB_STR("8BITMIME")))
		p->eightbit = true;
	else if (pb_str_ieq(word, PB_STR("SMTPUTF8")))
		p->smtputf8 = true;
	else if (pb_str_ieq(word, PB_STR("DSN")))
		p->dsn = true;
	else if (pb_str_ieq(word, PB_STR("STARTTLS")))
		p->starttls = true;
	else if (pb_str_ieq(word, PB_STR("SIZE"))) {
		p->size = true;
		if (pb_str_word(&line, &mechanism) && pb_str_u64(mechanism, INT64_MAX, &size) == 0)
			p->size_max = size;
	} else if (pb_str_ieq(word, PB_STR("AUTH"))) {
		while (pb_str_word(&line, &mechanism)) {
			p->auth_plain |= pb_str_ieq(mechanism, PB_STR("PLAIN"));
			p->auth_login |= pb_str_ieq(mechanism, PB_STR("LOGIN"));
		}
	}
}

static void forget_capabilities(struct peer *p)
{
	p->pipelining = p->eightbit = p->smtputf8 = p->dsn = p->starttls = p->size = p->auth_plain = p->auth_login = false;
	p->size_max = 0;
}

/* As peer_answer, and every line behind the first is a capability. */
static bool ehlo_answer(struct peer *p, struct answer *a, struct outcome *why)
{
	struct pb_error err = { 0 };
	struct pb_str line;
	int more;

	memset(a, 0, sizeof *a);
	forget_capabilities(p);
	do {
		if (pb_link_line(p->link, ANSWER_LINE_MAX, &line, &err))
			return trouble(why, false, "451 4.4.2 connection to %s [%s] failed while waiting for the answer to EHLO: %s", p->name, p->address, err.text);
		more = answer_take(a, line);
		if (more < 0)
			return trouble(why, false, "451 4.5.0 %s [%s] broke the protocol in its answer to EHLO", p->name, p->address);
		if (a->lines > 1 && a->code / 100 == 2)
			peer_capability(p, answer_line_text(line));
	} while (more);
	return true;
}

static bool hello(struct peer *p, const struct settings *set, struct outcome *why)
{
	struct pb_error err = { 0 };
	struct answer a;

	pb_link_putf(p->link, "EHLO %s\r\n", set->hostname);
	if (pb_link_flush(p->link, &err))
		return trouble(why, false, "451 4.4.2 connection to %s [%s] failed while saying EHLO: %s", p->name, p->address, err.text);
	if (!ehlo_answer(p, &a, why))
		return false;
	if (a.code / 100 == 2)
		return true;
	if (a.code / 100 != 5)
		return refused(why, p, &a, false);
	pb_link_putf(p->link, "HELO %s\r\n", set->hostname);
	if (!command(p, &a, "waiting for the answer to HELO", why))
		return false;
	return a.code / 100 == 2 ? true : refused(why, p, &a, a.code / 100 == 5);
}

static bool greeting(struct peer *p, const struct settings *set, struct outcome *why)
{
	struct pb_str text, name;
	struct answer a;

	pb_link_timeout(p->link, set->greeting_timeout);
	if (!peer_answer(p, &a, "waiting for the greeting", why))
		return false;
	if (a.code / 100 != 2)
		return refused(why, p, &a, a.code / 100 == 5);
	text = pb_str(a.text, a.len);
	if (pb_str_word(&text, &name) && pb_domain_eq(name, pb_strz(set->hostname)))
		return trouble(why, true, "554 5.4.6 %s [%s] is this host itself: mail for the domain loops back", p->name, p->address);
	return true;
}

/* ---- TLS, login ---- */

enum tls_result { TLS_DONE, TLS_CLEAR, TLS_AGAIN, TLS_FAILED };

static enum tls_result start_tls(struct peer *p, const struct settings *set, const struct target *t, struct outcome *why)
{
	struct pb_error err = { 0 };
	struct answer a;

	if (!p->starttls || t->tls == TLS_NONE) {
		if (t->tls <= TLS_MAY)
			return TLS_CLEAR;
		trouble(why, false, "451 4.7.4 %s [%s] offers no TLS, which is required", p->name, p->address);
		return TLS_FAILED;
	}
	pb_link_put(p->link, "STARTTLS\r\n", 10);
	if (!command(p, &a, "waiting for the answer to STARTTLS", why))
		return t->tls == TLS_MAY ? TLS_AGAIN : TLS_FAILED;
	if (a.code != 220) {
		if (t->tls == TLS_MAY && a.code != 421)
			return TLS_CLEAR;
		refused(why, p, &a, false);
		return TLS_FAILED;
	}
	if (pb_link_starttls(p->link, pb_strz(t->name), t->tls == TLS_VERIFY ? PB_TLS_PKIX : PB_TLS_ANY, pb_strz(set->trust), &err)) {
		trouble(why, false, "451 4.7.5 TLS with %s [%s] failed: %s", p->name, p->address, err.text);
		return t->tls == TLS_MAY ? TLS_AGAIN : TLS_FAILED;
	}
	p->tls = true;
	return hello(p, set, why) ? TLS_DONE : TLS_FAILED;
}

static bool login(struct peer *p, const struct target *t, struct outcome *why)
{
	PB_AUTOBUF(secret);
	PB_AUTOBUF(text);
	struct answer a;
	bool sent;

	if (!p->tls)
		return trouble(why, false, "451 4.7.11 %s [%s]: the login is only sent under TLS, which is not on", p->name, p->address);
	if (p->auth_plain) {
		pb_buf_addc(&secret, 0);
		pb_buf_addz(&secret, t->user);
		pb_buf_addc(&secret, 0);
		pb_buf_addz(&secret, t->password);
		pb_base64_encode(&text, pb_buf_str(&secret));
		pb_link_putf(p->link, "AUTH PLAIN %s\r\n", pb_buf_z(&text));
		sent = command(p, &a, "logging in", why);
	} else if (p->auth_login) {
		pb_link_put(p->link, "AUTH LOGIN\r\n", 12);
		sent = command(p, &a, "logging in", why);
		for (int i = 0; sent && a.code == 334 && i < 2; i++) {
			pb_buf_reset(&text);
			pb_base64_encode(&text, pb_strz(i ? t->password : t->user));
			pb_link_putf(p->link, "%s\r\n", pb_buf_z(&text));
			sent = command(p, &a, "logging in", why);
		}
	} else {
		return trouble(why, false, "451 4.7.4 %s [%s] offers neither AUTH PLAIN nor LOGIN", p->name, p->address);
	}
	if (secret.ptr)
		pb_wipe(secret.ptr, secret.len);
	if (text.ptr)
		pb_wipe(text.ptr, text.len);
	if (!sent)
		return false;
	/* A wrong password is the administrator's to mend: mail waits. */
	if (a.code != 235) {
		char words[600];

		answer_words(&a, 0, words, sizeof words);
		return trouble(why, false, "451 4.7.8 the login at %s failed: %s", p->name, words);
	}
	return true;
}

/* ---- the whole ---- */

static struct peer *connect_to(struct smtp *smtp, const struct settings *set, const struct target *t, struct outcome *why)
{
	struct pb_error err = { 0 };
	struct peer *p = pb_alloc(sizeof *p);

	p->name = pb_str_dup(pb_strz(t->name));
	p->address = pb_str_dup(pb_strz(t->address));
	if (pb_link_connect(smtp->host, pb_strz(t->address), t->port, pb_strz(set->bind), set->connect_timeout, &p->link, &err)) {
		trouble(why, false, "451 4.4.1 connection to %s [%s]:%u failed: %s", t->name, t->address, t->port, err.text);
		peer_close(p, false);
		return NULL;
	}
	return p;
}

static enum tls_result meet(struct peer *p, const struct settings *set, const struct target *t, struct outcome *why)
{
	struct pb_error err = { 0 };

	/* Submissions (RFC 8314): TLS before the first word. */
	if (t->port == 465) {
		if (pb_link_starttls(p->link, pb_strz(t->name), t->tls == TLS_VERIFY ? PB_TLS_PKIX : PB_TLS_ANY, pb_strz(set->trust), &err)) {
			trouble(why, false, "451 4.7.5 TLS with %s [%s] failed: %s", p->name, p->address, err.text);
			return TLS_FAILED;
		}
		p->tls = true;
	}
	if (!greeting(p, set, why) || !hello(p, set, why))
		return TLS_FAILED;
	return p->tls ? TLS_DONE : start_tls(p, set, t, why);
}

struct peer *peer_open(struct smtp *smtp, const struct settings *set, const struct target *t, struct outcome *why)
{
	struct target clear = *t;
	struct peer *p = connect_to(smtp, set, t, why);
	enum tls_result tls = p ? meet(p, set, t, why) : TLS_FAILED;

	/* What failed half-way cannot go on: once more, in the clear. */
	if (tls == TLS_AGAIN) {
		pb_log(smtp->host, PB_INFO, "smtp.clear", "host=%s error=%s", pb_logq(pb_strz(t->name)), pb_logq(pb_strz(why->reply)));
		peer_close(p, false);
		clear.tls = TLS_NONE;
		p = connect_to(smtp, set, &clear, why);
		tls = p ? meet(p, set, &clear, why) : TLS_FAILED;
	}
	if (tls != TLS_FAILED && t->user && !login(p, t, why))
		tls = TLS_FAILED;
	if (tls == TLS_FAILED) {
		peer_close(p, true);
		return NULL;
	}
	pb_link_timeout(p->link, set->command_timeout);
	return p;
}

void peer_close(struct peer *p, bool polite)
{
	struct pb_str line;

	if (!p)
		return;
	if (polite && p->link) {
		/* Some servers log an error when the client does not wait for the farewell; none gets long for it. */
		pb_link_timeout(p->link, 2 * PB_SECOND);
		pb_link_put(p->link, "QUIT\r\n", 6);
		if (pb_link_flush(p->link, NULL) == 0)
			pb_link_line(p->link, ANSWER_LINE_MAX, &line, NULL);
	}
	pb_link_close(p->link);
	free(p->key);
	free(p->name);
	free(p->address);
	free(p);
}
