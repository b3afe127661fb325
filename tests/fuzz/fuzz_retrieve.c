/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what conn_popretr believes of servers: the input is all that a POP3 server, an IMAP server or a token endpoint says, and whole sessions are held with it.
 * Whatever it says, every session ends, what it lists lies inside what it said, and no message gives more than its limit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugins/conn_popretr/http.h"
#include "plugins/conn_popretr/imap_text.h"
#include "plugins/conn_popretr/multidrop.h"
#include "plugins/conn_popretr/remote.h"
#include "plugins/conn_popretr/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); abort(); } } while (0)

enum { LIMIT = 300 };

struct server {
	const uint8_t *data;
	size_t size, at, step;
	unsigned writes;
};

static int server_read(void *arg, char *ptr, size_t max, size_t *ret_n, struct pb_error *err)
{
	struct server *s = arg;
	size_t n = s->size - s->at;

	MUST(max > 0);
	if (!n)
		return pb_fail(err, PB_ECLOSED, "the end");
	if (n > max)
		n = max;
	if (n > s->step)
		n = s->step;
	memcpy(ptr, s->data + s->at, n);
	s->at += n;
	*ret_n = n;
	return 0;
}

static void server_write(void *arg, const void *ptr, size_t len)
{
	struct server *s = arg;

	(void)ptr;
	(void)len;
	MUST(++s->writes < 100000);
}

static void taken(void *arg, const char *ptr, size_t len)
{
	size_t *sum = arg;

	MUST(len > 0 && ptr);
	*sum += len;
	MUST(*sum <= LIMIT);
}

static int no_tls(void *arg, struct pb_error *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static int read_message(struct remote *r, const struct listing *l, const struct listed *one, bool head)
{
	size_t sum = 0;
	struct sink sink = { taken, &sum, 0, LIMIT };
	struct pb_error err;

	if (head)
		r->ops->ask_head(r, l, one);
	else
		r->ops->ask_body(r, l, one);
	return head ? r->ops->head(r, &sink, &err) : r->ops->body(r, &sink, &err);
}

static void look_at(const struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		MUST(l->list[i].uid_len == 0 || l->list[i].uid_at + l->list[i].uid_len <= l->uids.len);
		MUST(i == 0 || l->list[i].number > l->list[i - 1].number);
	}
}

static void hold_session(struct remote *r, const char *auth)
{
	struct login login = { PB_STR("user"), PB_STR("secret"), PB_STR("token"), pb_strz(auth), PB_STR("host"), 110 };
	struct listing l = { 0 };
	struct pb_error err = { 0 };
	const struct listed *all[8];
	size_t n, gone;
	bool news;
	int rc = r->ops->open(r, &login, &err);

	if (!rc)
		rc = r->ops->list(r, &l, &err);
	look_at(&l);
	for (n = 0; n < l.n && n < 8 && !rc; n++) {
		all[n] = &l.list[n];
		rc = read_message(r, &l, all[n], n % 2);
		rc = rc == PB_ENOTFOUND ? 0 : rc;
	}
	if (!rc && r->ops->remove(r, &l, all, n, &gone, &err) == 0)
		MUST(gone <= n);
	if (!rc && r->ops->idle && !r->ops->idle(r, &err))
		r->ops->wake(r, &news, &err);
	r->ops->close(r, &err);
	r->ops->free(r);
	listing_free(&l);
}

static bool visit(void *arg, struct pb_str address)
{
	struct pb_str *whole = arg;

	MUST(address.len <= whole->len + 1);
	return false;
}

static void pure(struct pb_str text)
{
	static const char *const names[] = { "Received", "Delivered-To", "X-Original-To" };
	struct imap_fetch got;
	uint64_t size;
	PB_AUTOBUF(out);

	for (size_t i = 0; i < 3; i++)
		drop_visit(text, pb_strz(names[i]), visit, &text);
	drop_for(text);
	imap_fetch_parse(text, &got);
	imap_literal(text, &size);
	imap_folder(&out, text);
	imap_quote(&out, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const auths[] = { "auto", "user", "apop", "plain", "scram", "oauthbearer", "xoauth2" };
	struct server s = { .step = 1 };
	struct channel c = { .read = server_read, .write = server_write, .arg = &s };
	struct http_url url = { PB_STR("host"), PB_STR("/"), 443 };
	struct remote *pop;
	struct pb_error err;
	unsigned status;
	PB_AUTOBUF(body);

	if (size < 2)
		return 0;
	s.data = data + 2;
	s.size = size - 2;
	s.step = (size_t)(data[1] % 7) * 40 + 1;
	channel_init(&c);
	switch (data[0] % 4) {
	case 0:
		pop = pop3_new(&c);
		pop->starttls = data[1] & 64 ? no_tls : NULL;
		hold_session(pop, auths[data[1] % 7]);
		break;
	case 1:
		hold_session(imap_new(&c, PB_STR("INBOX")), auths[data[1] % 7]);
		break;
	case 2:
		if (!http_post(&c, &url, PB_STR("a=b"), &status, &body, &err))
			MUST(body.len <= HTTP_BODY_MAX);
		break;
	default:
		pure(pb_str((const char *)s.data, s.size));
	}
	channel_free(&c);
	return 0;
}
