/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a peer cannot take is not sent to it: messages over its SIZE, 8-bit text without 8BITMIME, internationalised addresses without SMTPUTF8.
 * Nothing is converted (that would break signatures, and hardly a server is left that needs it): such a recipient fails, as RFC 6152 3 and RFC 6531 3.5 allow.
 * A domain in Unicode alone is no obstacle, it is sent in its ASCII form.
 */
#include <stdio.h>
#include "courier.h"

bool is_ascii(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127)
			return false;
	return true;
}

bool wire_address(struct pb_buf *out, struct pb_str address, const struct peer *p)
{
	struct pb_str local, domain;

	if (p->smtputf8 || is_ascii(address)) {
		pb_buf_addstr(out, address);
		return true;
	}
	if (!pb_address_split(address, &local, &domain) || !is_ascii(local))
		return false;
	pb_buf_addstr(out, local);
	pb_buf_addc(out, '@');
	return pb_domain_ascii(out, domain, NULL) == 0;
}

static void fail_all(struct delivery *d, const char *reply)
{
	for (size_t i = 0; i < d->njobs; i++)
		if (d->jobs[i].standing == WAITING)
			job_fail(d, &d->jobs[i], "", reply);
}

static void check_utf8(struct delivery *d, const struct peer *p)
{
	PB_AUTOBUF(scratch);
	char reply[400];

	snprintf(reply, sizeof reply, "553 5.6.7 the next host, %s, does not take internationalised mail", p->name);
	if ((d->env->smtputf8 && d->header_utf8) || !wire_address(&scratch, d->env->sender, p)) {
		fail_all(d, reply);
		return;
	}
	for (size_t i = 0; i < d->njobs; i++) {
		pb_buf_reset(&scratch);
		if (d->jobs[i].standing == WAITING && !wire_address(&scratch, d->jobs[i].rcpt->address, p))
			job_fail(d, &d->jobs[i], "", reply);
	}
}

void check_limits(struct delivery *d, const struct peer *p)
{
	char reply[400];

	if (p->size_max && d->body.len > p->size_max) {
		snprintf(reply, sizeof reply, "552 5.3.4 the message has %zu octets, the next host, %s, takes %llu", d->body.len, p->name, (unsigned long long)p->size_max);
		fail_all(d, reply);
	}
	if (d->body_8bit && !p->eightbit) {
		snprintf(reply, sizeof reply, "554 5.6.3 the message has 8-bit text, which the next host, %s, does not take", p->name);
		fail_all(d, reply);
	}
	if (!p->smtputf8)
		check_utf8(d, p);
}
