/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Received field. Everything that a client said about itself is checked before it stands there: a field must not break, nor look like ours. */
#include <postbus/address.h>
#include <postbus/date.h>
#include "received.h"

/* RFC 3848 and RFC 6531: "with" tells how it came. */
static void protocol(struct pb_buf *out, const struct received *r)
{
	pb_buf_addz(out, r->utf8 ? "UTF8SMTP" : r->esmtp ? "ESMTP" : "SMTP");
	if (!r->esmtp && !r->utf8)
		return;
	if (r->tls.len)
		pb_buf_addc(out, 'S');
	if (r->authenticated)
		pb_buf_addc(out, 'A');
}

static void literal(struct pb_buf *out, struct pb_str address)
{
	pb_buf_addz(out, pb_str_find(address, ':', 0) >= 0 ? "[IPv6:" : "[");
	pb_buf_addstr(out, address);
	pb_buf_addc(out, ']');
}

static bool presentable(struct pb_str helo, bool utf8)
{
	struct pb_str address;

	if (helo.len && helo.ptr[0] == '[')
		return pb_literal_parse(helo, &address) == 0;
	return pb_domain_check(helo, utf8 ? PB_PATH_UTF8 : 0, NULL) == 0;
}

void received_build(struct pb_buf *out, const struct received *r)
{
	char date[PB_DATE_MAX];

	pb_buf_reserve(out, 512);
	pb_buf_addz(out, "Received: from ");
	if (presentable(r->helo, r->utf8)) {
		pb_buf_addstr(out, r->helo);
		pb_buf_addz(out, " (");
		literal(out, r->client);
		pb_buf_addz(out, ")");
	} else {
		literal(out, r->client);
	}
	pb_buf_addz(out, "\r\n\tby ");
	pb_buf_addstr(out, r->hostname);
	pb_buf_addz(out, " with ");
	protocol(out, r);
	pb_buf_addz(out, " id ");
	pb_buf_addstr(out, r->id);
	if (r->tls.len) {
		pb_buf_addz(out, "\r\n\t(");
		pb_buf_addstr(out, r->tls);
		pb_buf_addz(out, ")");
	}
	if (r->recipient.len) {
		pb_buf_addz(out, "\r\n\tfor <");
		pb_buf_addstr(out, r->recipient);
		pb_buf_addz(out, ">");
	}
	pb_buf_addz(out, ";\r\n\t");
	pb_buf_add(out, date, pb_date_format(date, r->now, r->zone));
	pb_buf_addz(out, "\r\n");
}
