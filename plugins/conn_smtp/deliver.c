/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The courier: an item to the hosts of its destination, one after the other, until every recipient is settled or nobody is left to ask.
 * Retry times and expiry are the queue's business, reports the MTA's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/message.h>
#include "courier.h"

/* ---- recipients ---- */

static bool has_waiting(const struct delivery *d)
{
	for (size_t i = 0; i < d->njobs; i++)
		if (d->jobs[i].standing == WAITING)
			return true;
	return false;
}

void job_defer(struct job *job, const struct outcome *why, enum standing standing)
{
	if (!job->why)
		job->why = pb_alloc(sizeof *job->why);
	*job->why = *why;
	job->standing = standing;
}

void job_fail(struct delivery *d, struct job *job, const char *remote, const char *reply)
{
	pb_failed(job->to, pb_strz(remote), reply);
	pb_count(d->smtp->host, "recipients_failed", 1);
	job->standing = SETTLED;
}

void job_deliver(struct delivery *d, struct job *job, const struct peer *p, const char *reply)
{
	if (p->dsn && !d->track)
		pb_forwarded(job->to, pb_strz(p->name), reply);
	else
		pb_relayed(job->to, pb_strz(p->name), reply);
	pb_count(d->smtp->host, "recipients_sent", 1);
	job->standing = SETTLED;
}

/* Nobody is left to ask. A refusal for good counts only where no host said "later". */
static void settle_rest(struct delivery *d, const struct outcome *last)
{
	for (size_t i = 0; i < d->njobs; i++) {
		struct job *job = &d->jobs[i];
		const struct outcome *why = job->why ? job->why : last;

		if (job->standing == SETTLED)
			continue;
		if (why->permanent) {
			job_fail(d, job, why->remote, why->reply);
		} else {
			pb_retry(job->to, 0, pb_strz(why->remote), why->reply);
			pb_count(d->smtp->host, "recipients_deferred", 1);
			job->standing = SETTLED;
		}
	}
}

/* ---- hosts ---- */

static struct peer *open_peer(struct delivery *d, const struct target *t, struct outcome *why)
{
	struct peer *p = peer_open(d->smtp, d->set, t, why);

	if (!p) {
		pb_log(d->smtp->host, PB_INFO, "smtp.tried", "id=%s host=%s error=%s", pb_item_id(d->item), pb_logq(pb_strz(t->name)), pb_logq(pb_strz(why->reply)));
		pb_item_note(d->item, "smtp.tried", "%s", why->reply);
		return NULL;
	}
	if (p->tls)
		pb_item_note(d->item, "smtp.connected", "%s [%s]:%u %.*s", t->name, t->address, t->port, PB_FMT(pb_link_tls_info(p->link)));
	else
		pb_item_note(d->item, "smtp.connected", "%s [%s]:%u", t->name, t->address, t->port);
	return p;
}

/* True: the host could be spoken to, *why is for those it left. */
static bool try_host(struct delivery *d, const struct target *t, struct outcome *why)
{
	struct peer *p = links_take(d->smtp->links, d->smtp, d->set, t);
	enum sent sent;

	if (!p)
		p = open_peer(d, t, why);
	if (!p)
		return false;
	/* Every round settles or puts off the recipients it tried. */
	for (;;) {
		check_limits(d, p);
		if (!has_waiting(d))
			break;
		sent = send_batch(d, p);
		if (sent == SENT_STALE) {
			peer_close(p, false);
			p = open_peer(d, t, why);
			if (!p)
				return false;
			continue;
		}
		if (sent == SENT_CLOSE) {
			peer_close(p, false);
			return true;
		}
	}
	links_give(d->smtp->links, d->smtp, d->set, t, p);
	return true;
}

static bool revive(struct delivery *d)
{
	for (size_t i = 0; i < d->njobs; i++)
		if (d->jobs[i].standing == ELSEWHERE)
			d->jobs[i].standing = WAITING;
	return has_waiting(d);
}

static void try_hosts(struct delivery *d, const struct plan *plan, struct outcome *last)
{
	struct outcome why;
	bool later = false;

	for (size_t i = 0; i < plan->n && i < d->set->hosts_max && revive(d); i++) {
		if (try_host(d, &plan->list[i], &why))
			continue;
		/* One host that may be better later outweighs those that refuse for good. */
		if (!later || !why.permanent)
			*last = why;
		later |= !why.permanent;
	}
}

/* ---- the message ---- */

static void look_at_body(struct delivery *d, struct pb_body *body)
{
	const json_t *front = json_object_get(d->env->notes, "front");
	struct pb_str facts;
	unsigned flags;

	if (json_is_string(front))
		d->front = pb_str(json_string_value(front), json_string_length(front));
	if (pb_body_facts(body, &facts, NULL) == 0 && pb_facts_valid(facts)) {
		flags = pb_facts_flags(facts);
		d->body_8bit = flags & PB_FACTS_8BIT;
		d->header_utf8 = flags & PB_FACTS_HEADER_8BIT;
	} else {
		d->body_8bit = !is_ascii(d->body);
		d->header_utf8 = !is_ascii(pb_str_head(d->body, pb_header_size(d->body)));
	}
	d->long_lines = has_long_lines(d->body);
}

static struct pb_str domain_of(struct pb_item *item, const struct pb_envelope *env)
{
	struct pb_str domain = pb_strz(pb_item_destination(item)), local;

	if (!domain.len && env->nrcpts)
		pb_address_split(env->rcpts[0]->address, &local, &domain);
	return domain;
}

static void run(struct delivery *d)
{
	struct outcome last = { .reply = "451 4.4.0 no host could be tried" };
	struct plan plan = { 0 };

	if (plan_make(d->smtp, d->set, domain_of(d->item, d->env), &plan, &last)) {
		try_hosts(d, &plan, &last);
		plan_free(&plan);
	}
	settle_rest(d, &last);
}

/* RFC 2852 by-mode R: what is not delivered by then comes back. What filters sent on has such a time in its notes. */
static bool is_too_late(const struct delivery *d)
{
	const json_t *by = json_object_get(d->env->notes, "deliver_by");

	return by && pb_now(d->smtp->host) > json_integer_value(by);
}

static void return_all(struct delivery *d)
{
	for (size_t i = 0; i < d->njobs; i++)
		job_fail(d, &d->jobs[i], "", "554 5.4.7 The time by which it was to be delivered is over");
}

int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct delivery d = { .smtp = self, .item = item, .env = pb_item_envelope(item) };
	struct pb_body *body = pb_item_body(item);
	struct settings *set;
	struct pb_recipient *to;

	if (pb_body_view(body, &d.body, err))
		return pb_because(err, "reading the message");
	set = settings_get(d.smtp);
	d.set = set;
	d.verp = json_is_true(json_object_get(d.env->notes, "verp"));
	d.track = json_is_true(json_object_get(d.env->notes, "track"));
	look_at_body(&d, body);
	d.jobs = pb_alloc((d.env->nrcpts + 1) * sizeof *d.jobs);
	while (d.njobs < d.env->nrcpts && (to = pb_item_next(item)) != NULL) {
		d.jobs[d.njobs].to = to;
		d.jobs[d.njobs++].rcpt = pb_recipient_rcpt(to);
	}
	if (is_too_late(&d))
		return_all(&d);
	else
		run(&d);
	for (size_t i = 0; i < d.njobs; i++)
		free(d.jobs[i].why);
	free(d.jobs);
	pb_buf_free(&d.facts);
	settings_put(set);
	return 0;
}
