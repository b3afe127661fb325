/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Between the end of the data and the queue: is the message acceptable, and what does it lack? A submission gets the fields that RFC 6409 8 lets us
 * add, and its From must belong to the login. What is written on top needs a second spool, so it is done for few messages only.
 */
#include "authors.h"
#include "mailproto/header.h"
#include "mailproto/received.h"
#include "smtp.h"
#include <postbus/date.h>

static void put_received(struct pb_session *s, struct pb_spool *spool)
{
	struct conversation *c = pb_session_data(s);
	int64_t now = pb_now(pb_session_host(s));
	struct received r = {
		.helo = pb_strz(c->helo), .client = pb_session_peer(s), .hostname = pb_strz(c->set->hostname), .tls = pb_session_tls_info(s),
		.recipient = c->env->nrcpts == 1 ? c->env->rcpts[0]->address : PB_NOSTR,
		.esmtp = c->esmtp, .authenticated = pb_session_user(s) != NULL, .utf8 = c->env->smtputf8, .now = now, .zone = pb_zone_local(now), .id = pb_strz(pb_spool_id(spool)),
	};
	PB_AUTOBUF(field);

	received_build(&field, &r);
	pb_spool_write(spool, field.ptr, field.len);
}

/* The fields that we add ourselves do not count against the client's limit. */
static int spool_open(struct pb_session *s, uint64_t more, struct pb_spool **ret, struct pb_error *err)
{
	struct conversation *c = pb_session_data(s);

	*ret = pb_spool_begin(pb_session_host(s), c->set->size_max + 4096 + more, err);
	return *ret ? 0 : err->code;
}

int spool_begin(struct pb_session *s, struct pb_spool **ret, struct pb_error *err)
{
	if (spool_open(s, 0, ret, err))
		return err->code;
	put_received(s, *ret);
	return 0;
}

/* Where our Received field ends: three lines or more, the next field begins in column one. */
static size_t own_field_end(struct pb_str view)
{
	long lf = 0;

	while ((lf = pb_str_find(view, '\n', (size_t)lf)) >= 0) {
		lf++;
		if ((size_t)lf >= view.len || !pb_is_blank(view.ptr[lf]) )
			return (size_t)lf;
	}
	return view.len;
}

static bool may_write_as(struct pb_session *s, struct pb_str field, struct pb_str address, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	PB_AUTOBUF(normal);
	int rc;

	if (pb_address_normal(&normal, address, NULL)) {
		*ret_next = fault(s, pb_arena_printf(pb_session_arena(s), "550 5.6.0 the %.*s field holds a malformed address", PB_FMT(field)));
		return false;
	}
	if (pb_str_eq(pb_buf_str(&normal), c->env->sender))
		return true;
	rc = belongs_to_login(s, pb_buf_str(&normal), &err);
	if (!rc)
		return true;
	if (rc != PB_EDENIED) {
		*ret_next = say_failure(s, &err);
		return false;
	}
	pb_session_log(s, PB_INFO, "sender.refused", "field=%s address=%s", pb_logq(field), pb_logq(address));
	*ret_next = fault(s, pb_arena_printf(pb_session_arena(s), "550 5.7.1 the address in the %.*s field does not belong to your login", PB_FMT(field)));
	return false;
}

/* Each costs a question to the directory; more than a few authors is no letter. */
enum { AUTHORS_MAX = 10 };

static bool check_field(struct pb_session *s, struct pb_str name, struct pb_str value, unsigned *n, int *ret_next)
{
	PB_AUTOBUF(addresses);
	struct pb_str rest, address;

	if (!author_addresses(value, &addresses)) {
		*ret_next = fault(s, pb_arena_printf(pb_session_arena(s), "550 5.6.0 the %.*s field is malformed", PB_FMT(name)));
		return false;
	}
	rest = pb_buf_str(&addresses);
	while (pb_str_cut(&rest, '\n', &address) && address.len) {
		if (++*n > AUTHORS_MAX) {
			*ret_next = fault(s, "550 5.6.0 too many addresses in the fields of the authors");
			return false;
		}
		if (!may_write_as(s, name, address, ret_next))
			return false;
	}
	return true;
}

/* Everybody whom a reader may take for the author is the login. */
static bool check_authors(struct pb_session *s, struct pb_str header, int *ret_next)
{
	unsigned from = 0, sender = 0, n = 0;
	struct pb_str name, value;

	while (author_next(&header, &name, &value)) {
		from += pb_str_ieq(name, PB_STR("From"));
		sender += pb_str_ieq(name, PB_STR("Sender"));
		if (from > 1 || sender > 1) {
			*ret_next = fault(s, from > 1 ? "550 5.6.0 more than one From field" : "550 5.6.0 more than one Sender field");
			return false;
		}
		if (!check_field(s, name, value, &n, ret_next))
			return false;
	}
	return true;
}

static void put_fields(struct pb_buf *out, const json_t *fields)
{
	const json_t *one;
	size_t i;

	json_array_foreach (fields, i, one) {
		pb_buf_addz(out, json_string_value(one));
		pb_buf_addz(out, "\r\n");
	}
}

/* The same message with more on top: verdict headers above our Received field, missing fields below it. */
static int rewrite(struct pb_session *s, struct pb_spool **spool, struct pb_str message, const struct header *h, bool add_missing, struct pb_error *err)
{
	struct conversation *c = pb_session_data(s);
	int64_t now = pb_now(pb_session_host(s));
	struct pb_spool *fresh;
	char date[PB_DATE_MAX];
	PB_AUTOBUF(above);
	PB_AUTOBUF(top);

	put_fields(&above, c->early_headers);
	put_fields(&above, c->headers);
	if (spool_open(s, above.len + 2048, &fresh, err))
		return err->code;
	pb_spool_write(fresh, above.ptr, above.len);
	put_received(s, fresh);
	if (add_missing && !h->has_date) {
		pb_buf_addz(&top, "Date: ");
		pb_buf_add(&top, date, pb_date_format(date, now, pb_zone_local(now)));
		pb_buf_addz(&top, "\r\n");
	}
	if (add_missing && !h->has_message_id)
		pb_buf_addf(&top, "Message-ID: <%s@%s>\r\n", pb_spool_id(fresh), c->set->hostname);
	if (add_missing && !h->from_fields && c->env->sender.len)
		pb_buf_addf(&top, "From: <%.*s>\r\n", PB_FMT(c->env->sender));
	pb_spool_write(fresh, top.ptr, top.len);
	pb_spool_write(fresh, message.ptr, message.len);
	pb_spool_discard(*spool);
	*spool = fresh;
	return pb_spool_check(fresh, err);
}

/* The header section's own limits: endless headers, and loops (RFC 5321 6.3). */
static bool check_header(struct pb_session *s, const struct header *h, int *ret_next)
{
	struct conversation *c = pb_session_data(s);

	if (h->len > c->set->header_max) {
		*ret_next = fault(s, "552 5.3.4 header section too big");
		return false;
	}
	if (h->received > c->set->hops_max) {
		pb_session_log(s, PB_WARNING, "smtp.loop", "sender=%s received=%u", pb_logq(c->env->sender), h->received);
		*ret_next = say(s, "554 5.4.6 too many hops: this message is in a loop");
		return false;
	}
	return true;
}

bool complete(struct pb_session *s, struct pb_spool **spool, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	struct pb_str view, message;
	struct header h;
	bool missing;

	if (pb_spool_view(*spool, &view, &err)) {
		*ret_next = say_failure(s, &err);
		return false;
	}
	message = pb_str_skip(view, own_field_end(view));
	header_scan(message, c->set->header_max, &h);
	if (!check_header(s, &h, ret_next) || !allowed_size(s, message.len, ret_next))
		return false;
	if (pb_session_user(s) && c->set->check_from && !check_authors(s, pb_str_head(message, h.len), ret_next))
		return false;
	if (!ask(s, "smtp.data", pb_strz(pb_spool_id(*spool)), PB_NOSTR, ret_next))
		return false;
	missing = (c->submission || pb_session_user(s)) && (!h.has_date || !h.has_message_id || !h.from_fields);
	if ((missing || json_array_size(c->headers) || json_array_size(c->early_headers)) && rewrite(s, spool, message, &h, missing, &err)) {
		*ret_next = say_failure(s, &err);
		return false;
	}
	return true;
}
