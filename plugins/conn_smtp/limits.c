/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a peer cannot take is not sent to it: messages over its SIZE, internationalised addresses without SMTPUTF8. A message of 8 bits is converted for
 * a peer of 7 (downgrade.c), and fails only where it cannot be. A domain in Unicode alone is no obstacle, it is sent in its ASCII form.
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

static void check_addresses(struct delivery *d, const struct peer *p)
{
	PB_AUTOBUF(scratch);
	char reply[400];

	snprintf(reply, sizeof reply, "553 5.6.7 the next host, %s, does not take internationalised mail", p->name);
	if (!wire_address(&scratch, d->env->sender, p)) {
		fail_all(d, reply);
		return;
	}
	for (size_t i = 0; i < d->njobs; i++) {
		pb_buf_reset(&scratch);
		if (d->jobs[i].standing == WAITING && !wire_address(&scratch, d->jobs[i].rcpt->address, p))
			job_fail(d, &d->jobs[i], "", reply);
	}
}

static void count(void *arg, const char *ptr, size_t len)
{
	struct delivery *d = arg;

	(void)ptr;
	d->wire_size += len;
}

/* What of the message has to change for this peer. False: it cannot, and its recipients have failed. */
static bool convert(struct delivery *d, const struct peer *p)
{
	unsigned what = d->body_8bit && !p->eightbit ? DOWN_HEADER | DOWN_BODY : d->env->smtputf8 && d->header_utf8 && !p->smtputf8 ? DOWN_HEADER : 0;
	enum down_result rc;
	char reply[400];

	if (d->wire_size && d->conversion == what)
		return true;
	d->conversion = what;
	d->converted = what || d->long_lines;
	d->wire_size = d->converted ? 0 : d->front.len + d->body.len;
	if (!d->converted)
		return true;
	if (!d->facts.len)
		pb_facts_make(d->body, &d->facts);
	rc = downgrade(&(struct downgrade){ d->body, pb_buf_str(&d->facts), what, count, d });
	if (rc == DOWN_DONE)
		return true;
	d->wire_size = 0;
	if (!what) {	/* long lines, and that is all: many a server takes them */
		d->converted = false;
		d->wire_size = d->front.len + d->body.len;
		return true;
	}
	if (rc == DOWN_NO_HEADER)
		snprintf(reply, sizeof reply, "553 5.6.7 the next host, %s, does not take internationalised mail", p->name);
	else
		snprintf(reply, sizeof reply, "554 5.6.3 the message has 8-bit text, which the next host, %s, does not take, and cannot be converted", p->name);
	fail_all(d, reply);
	return false;
}

void check_limits(struct delivery *d, const struct peer *p)
{
	char reply[400];

	if (!convert(d, p))
		return;
	if (p->size_max && d->wire_size > p->size_max) {
		snprintf(reply, sizeof reply, "552 5.3.4 the message has %llu octets, the next host, %s, takes %llu", (unsigned long long)d->wire_size, p->name,
			 (unsigned long long)p->size_max);
		fail_all(d, reply);
	}
	if (!p->smtputf8)
		check_addresses(d, p);
}
