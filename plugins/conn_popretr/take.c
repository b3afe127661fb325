/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is wanted is read, noted as pending, many messages in one row, and accepted, with one flush for all of them. That they were accepted is written down with
 * the next that are pending, or at the end. A message that breaks off, or that the server does not give, keeps nobody from getting the others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/address.h>
#include <postbus/date.h>
#include <postbus/message.h>
#include "fetch.h"

enum { BATCH = 256, BATCH_BYTES = 8 << 20 };
#define BATCH_TIME (2 * PB_SECOND)

struct batch {
	struct fetch *f;
	struct pb_arrival arrivals[BATCH];
	struct pb_envelope *envelopes[BATCH];
	struct mail *mails[BATCH];
	unsigned char texts[BATCH][HEAD_HASH];
	uint64_t sizes[BATCH];
	size_t n, nothers;		/* others: what was not accepted */
	uint64_t bytes;
	int64_t since;
	struct seen_entry *entries;	/* to be written */
	size_t nentries, room;
};

/* ---- ids ---- */

void token_of(const struct fetch *f, const unsigned char *name, unsigned attempt, struct pb_buf *out)
{
	pb_buf_addf(out, "retrieve/%s/", f->run->a->serial);
	pb_hex_encode(out, pb_str((const char *)name, UID_HASH));
	if (attempt)
		pb_buf_addf(out, "/%u", attempt);
}

/* ---- the spool ---- */

static void add(void *arg, const char *ptr, size_t len)
{
	pb_spool_write(arg, ptr, len);
}

static void received(struct run *run, struct pb_spool *spool)
{
	struct retr *r = run->r;
	bool imap = pb_str_eq(pb_text_of(run->row, "protocol"), PB_STR("imap"));
	struct pb_str tls = pb_link_tls_info(run->link);
	int64_t now = pb_now(r->host);
	PB_AUTOBUF(field);
	struct pb_received line = {
		.helo = pb_text_of(run->row, "host"), .client = pb_strz(run->address), .by = pb_hostname(r->host), .tls = tls, .id = pb_strz(pb_spool_id(spool)),
		.with = imap ? (tls.len ? PB_STR("IMAPS") : PB_STR("IMAP")) : tls.len ? PB_STR("POP3S") : PB_STR("POP3"),
		.moment = now, .zone = pb_zone_local(now),
	};

	pb_received_add(&field, &line);
	pb_spool_write(spool, field.ptr, field.len);
}

/* ---- the envelope ---- */

/* Who it came from: what the last server before that one wrote down, or else the author. */
static void set_sender(struct pb_envelope *env, struct pb_str header)
{
	struct pb_str value;
	struct pb_addrs list;
	struct pb_addr one;
	PB_AUTOBUF(address);

	if (pb_header_find(header, PB_STR("Return-Path"), &value)) {
		struct pb_str rest = pb_str_trim(value);
		struct pb_path path;

		if (!pb_path_parse(&rest, PB_PATH_UTF8 | PB_PATH_NULL | PB_PATH_BARE, &path, NULL) && path.address.len <= PB_ADDRESS_MAX) {
			pb_envelope_sender(env, path.address);
			return;
		}
	}
	if (!pb_header_find(header, PB_STR("From"), &value))
		return;
	list = (struct pb_addrs)PB_ADDRS(value);
	if (pb_addrs_next(&list, &one) && one.kind == PB_ADDR_MAILBOX && one.domain.len) {
		pb_buf_addf(&address, "%.*s@%.*s", PB_FMT(one.local), PB_FMT(one.domain));
		if (!pb_address_parse(pb_buf_str(&address), PB_PATH_UTF8, NULL, NULL))
			pb_envelope_sender(env, pb_buf_str(&address));
	}
	pb_addrs_free(&list);
}

/* What could not be delivered goes to those again who did not get it. */
static int set_recipients(struct fetch *f, struct mail *m, struct pb_str header, struct pb_envelope *env, struct pb_error *err)
{
	const json_t *list = json_object_get(m->failed, "recipients"), *one;
	size_t i;

	json_array_foreach(list, i, one)
		pb_envelope_rcpt(env, pb_str(json_string_value(one), json_string_length(one)));
	if (env->nrcpts)
		return 0;
	return recipients_of(f->run, header, env, err);
}

static struct pb_envelope *make_envelope(struct fetch *f, struct mail *m, struct pb_str header, struct pb_error *err)
{
	struct run *run = f->run;
	struct pb_str folder = pb_text_of(run->row, "folder");
	struct pb_envelope *env = pb_envelope_new();
	PB_AUTOBUF(token);

	set_sender(env, header);
	if (set_recipients(f, m, header, env, err)) {
		pb_envelope_free(env);
		return NULL;
	}
	for (size_t i = 0; i < env->nrcpts; i++)
		env->rcpts[i]->notify = PB_NOTIFY_FAILURE;
	env->client = pb_envelope_copy(env, pb_strz(run->address));
	env->helo = pb_envelope_copy(env, pb_text_of(run->row, "host"));
	env->eightbit = env->smtputf8 = true;
	pb_hex_encode(&token, pb_str((char *)m->token, UID_HASH));
	json_object_set_new(env->notes, "retrieve", json_pack("{s:s, s:s, s:i}", "account", run->a->id, "uid", pb_buf_z(&token), "attempt", (int)m->attempt));
	if (folder.len)
		json_object_set_new(env->notes, "folders", json_pack("[{s:s%, s:b}]", "folder", folder.ptr, folder.len, "create", 1));
	return env;
}

/* ---- the batch ---- */

/* Room for so many entries more. */
static struct seen_entry *room_for(struct batch *b, size_t n)
{
	if (b->nentries + n > b->room) {
		b->room = 2 * b->room + n + BATCH;
		b->entries = pb_realloc(b->entries, b->room * sizeof *b->entries);
	}
	return b->entries + b->nentries;
}

/* gives the entry, for what else is to be said. */
static struct seen_entry *note(struct batch *b, const struct mail *m, enum seen_state state, unsigned attempts)
{
	struct seen_entry *e = room_for(b, 1);
	const uint64_t limit = plan_limit(b->f->run);

	b->nentries++;
	*e = (struct seen_entry){ .time = (uint32_t)(pb_now(b->f->run->r->host) / PB_SECOND), .state = (uint8_t)state, .attempts = (uint8_t)attempts, .listed = true };
	memcpy(e->uid, m->uid, UID_HASH);
	memcpy(e->token, m->token, UID_HASH);
	if (state == SEEN_BIG)
		memcpy(e->head, &limit, HEAD_HASH);
	else if (m->has_head)
		memcpy(e->head, m->head, HEAD_HASH);
	return e;
}

/* One more of those that are not accepted. */
static void count_other(struct batch *b)
{
	if (!b->n && !b->nothers)
		b->since = pb_ticks(b->f->run->r->host);
	b->nothers++;
}

static int write_entries(struct batch *b, struct pb_error *err)
{
	int rc = seen_add(&b->f->seen, b->entries, b->nentries, err);

	b->nentries = 0;
	return rc;
}

static void drop_failed(struct fetch *f, const struct mail *m)
{
	PB_AUTOBUF(token);
	bool gone;

	if (!m->failed)
		return;
	pb_hex_encode(&token, pb_str((const char *)m->token, UID_HASH));
	if (!failed_over(f->run->r, f->run->a->serial, pb_buf_z(&token), m->attempt, &gone, NULL) && gone)
		json_object_del(f->failed, pb_buf_z(&token));
}

static void count(struct run *run, const struct pb_arrival *a, uint64_t size)
{
	run->messages += !a->known;
	run->bytes += a->known ? 0 : size;
	pb_count(run->r->host, "messages_retrieved", !a->known);
	pb_count(run->r->host, "bytes_retrieved", a->known ? 0 : (int64_t)size);
}

/* What was a failure once is none any more, which is said behind what it has become. */
static int forget_failures(struct batch *b, struct pb_error *err)
{
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < b->n; i++)
		any |= b->mails[i]->failed && !b->arrivals[i].rc;
	if (any)
		rc = write_entries(b, err);
	for (size_t i = 0; i < b->n && any && !rc; i++)
		if (!b->arrivals[i].rc)
			drop_failed(b->f, b->mails[i]);
	return rc;
}

/*
 * Pending first, and then in our queue: whenever the daemon is killed, what comes again is known by its id or by all of its text, and enters under the name that
 * the queue knows. So it does not matter when it is written down that it was taken.
 */
static int commit(struct batch *b, struct pb_error *err)
{
	struct run *run = b->f->run;
	int rc, late;

	for (size_t i = 0; i < b->n; i++)
		memcpy(note(b, b->mails[i], SEEN_PENDING, b->mails[i]->attempt)->text, b->texts[i], HEAD_HASH);
	rc = write_entries(b, err);
	if (b->n && !rc)
		pb_queue_accept_many(run->r->host, b->arrivals, b->n);
	for (size_t i = 0; i < b->n; i++) {
		pb_spool_discard(b->arrivals[i].spool);		/* that of none that was offered to the queue */
		pb_envelope_free(b->envelopes[i]);
	}
	late = rc;
	for (size_t i = 0; i < b->n && !late; i++) {
		if (b->arrivals[i].rc) {
			rc = rc ? rc : b->arrivals[i].rc;
			*err = b->arrivals[i].error;
		} else {
			note(b, b->mails[i], SEEN_TAKEN, b->mails[i]->attempt);
			count(run, &b->arrivals[i], b->sizes[i]);
		}
	}
	if (!late)
		late = forget_failures(b, rc ? NULL : err);
	b->n = b->nothers = 0;
	b->bytes = 0;
	return rc ? rc : late;
}

static bool is_full(const struct batch *b)
{
	return b->n == BATCH || b->nothers == BATCH || b->bytes >= BATCH_BYTES || ((b->n || b->nothers) && pb_ticks(b->f->run->r->host) - b->since > BATCH_TIME);
}

/* ---- a message that is whole ---- */

/* False: it is known, and not wanted again. What it is known as is written down. */
static bool recognize(struct batch *b, struct mail *m, struct pb_str message, unsigned char *text)
{
	struct fetch *f = b->f;
	struct seen_entry *known, *old;

	plan_head(message, m->head);
	m->has_head = true;
	hash_text(message, text, HEAD_HASH);
	if (!m->named) {		/* nothing but all of it tells what it is */
		hash_text(message, m->uid, UID_HASH);
		memcpy(m->token, m->uid, UID_HASH);
		m->named = true;
	}
	known = seen_find(&f->seen, m->uid);
	if (known && !known->listed) {
		known->listed = true;
		return plan_take_up(f, m, known);
	}
	if (known)
		return known->state != SEEN_TAKEN || m->failed;
	room_for(b, RENAMED);
	if (plan_is_renamed(f, m, b->entries, &b->nentries)) {
		count_other(b);
		return false;
	}
	old = plan_pending(f, text);
	if (!old)
		return true;
	*room_for(b, 1) = *old;
	b->entries[b->nentries++].state = SEEN_OVER;
	if (plan_take_up(f, m, old))
		return true;
	note(b, m, SEEN_TAKEN, m->attempt - 1u);	/* it was accepted, for it failed behind that */
	count_other(b);
	return false;
}

/* The message is whole. Takes the spool over. */
static int take(struct batch *b, struct mail *m, struct pb_spool *spool, size_t ours, struct pb_error *err)
{
	struct fetch *f = b->f;
	struct pb_str bytes, message;
	struct pb_envelope *env;
	PB_AUTOBUF(token);

	if (pb_spool_view(spool, &bytes, err)) {
		pb_spool_discard(spool);
		return err->code;
	}
	message = pb_str_skip(bytes, ours);
	if (!recognize(b, m, message, b->texts[b->n])) {
		pb_spool_discard(spool);
		return 0;
	}
	env = make_envelope(f, m, pb_str_head(message, pb_header_size(message)), err);
	if (!env) {
		pb_spool_discard(spool);
		return err->code;
	}
	token_of(f, m->token, m->attempt, &token);
	pb_spool_name(spool, pb_buf_str(&token));
	if (!b->n && !b->nothers)
		b->since = pb_ticks(f->run->r->host);
	b->mails[b->n] = m;
	b->sizes[b->n] = message.len;
	b->envelopes[b->n] = env;
	b->arrivals[b->n++] = (struct pb_arrival){ .env = env, .spool = spool };
	f->run->taken++;
	b->bytes += bytes.len;
	return 0;
}

static unsigned attempts_of(const struct fetch *f, const struct mail *m)
{
	const struct seen_entry *e = m->named ? seen_find(&f->seen, m->uid) : NULL;

	return e && e->state == SEEN_BROKEN && e->attempts < 255 ? e->attempts + 1u : 1;
}

static void leave(struct batch *b, const struct mail *m, enum seen_state state, unsigned attempts)
{
	note(b, m, state, attempts);
	count_other(b);
}

/* The answer to the oldest question. 0 also where this one message cannot be had. */
static int read_one(struct batch *b, struct mail *m, bool *ret_inside, struct pb_error *err)
{
	struct run *run = b->f->run;
	uint64_t limit = plan_limit(run);
	struct pb_spool *spool = pb_spool_begin(run->r->host, 0, err);
	struct sink sink = { add, spool, 0, limit };
	size_t ours;
	int rc;

	if (!spool)
		return err->code;
	received(run, spool);
	ours = (size_t)pb_spool_size(spool);
	rc = run->remote->ops->body(run->remote, &sink, err);
	*ret_inside = rc == PB_ECLOSED || rc == PB_ETIMEOUT || rc == PB_ETOOBIG;
	if (!rc && limit && sink.size > limit) {
		if (m->named)
			leave(b, m, SEEN_BIG, 0);
		b->f->nbig++;
	} else if (!rc) {
		rc = pb_spool_check(spool, err);
		return rc ? (pb_spool_discard(spool), rc) : take(b, m, spool, ours, err);
	}
	pb_spool_discard(spool);
	if (rc == PB_ENOTFOUND) {
		pb_log(run->r->host, PB_WARNING, "retrieve.refused", "account=%s message=%u error=%s", run->a->id, m->one->number, pb_logq(pb_strz(err->text)));
		snprintf(run->why, sizeof run->why, "%.150s", err->text);
	}
	b->f->nbroken += rc == PB_ENOTFOUND;
	if (rc && m->named && (rc == PB_ENOTFOUND || *ret_inside))
		leave(b, m, SEEN_BROKEN, attempts_of(b->f, m));
	return rc == PB_ENOTFOUND ? 0 : rc;
}

/* What is known only once all of it was read does not count for messages_max. */
static int take_each(struct batch *b, bool *ret_inside, struct pb_error *err)
{
	struct fetch *f = b->f;
	struct remote *r = f->run->remote;
	const size_t most = (size_t)number_of_key(f->run->row, "messages_max");
	size_t asked = 0, open = 0;
	int rc = 0;

	for (size_t i = 0; i < f->listing.n && !rc; i++) {
		if (!f->mails[i].wanted)
			continue;
		if (f->run->r->draining)
			return pb_fail(err, PB_ECLOSED, "the server is stopping");
		if (!open && most && f->run->taken >= most)
			break;
		for (; asked < f->listing.n && open < r->ahead && (!most || f->run->taken + open < most); asked++)
			if (f->mails[asked].wanted) {
				r->ops->ask_body(r, &f->listing, f->mails[asked].one);
				open++;
			}
		rc = read_one(b, &f->mails[i], ret_inside, err);
		open--;
		if (!rc && is_full(b))
			rc = commit(b, err);
	}
	return rc;
}

int take_all(struct fetch *f, bool *ret_broken, struct pb_error *err)
{
	struct batch *b = pb_alloc(sizeof *b);
	struct pb_error late = { 0 };
	bool inside = false;
	int rc, committed;

	b->f = f;
	rc = take_each(b, &inside, err);
	committed = commit(b, &late);		/* what is whole is whole, however it ended */
	if (!committed)
		committed = write_entries(b, &late);
	if (!rc && committed)
		*err = late;
	*ret_broken = rc && inside && !committed && !f->run->r->draining;
	free(b->entries);
	free(b);
	return rc ? rc : committed;
}
