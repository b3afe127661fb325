/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who was served when the daemon ended without a goodbye. A courier whose deliveries leave the house tells of each recipient as soon as the other server has taken
 * the message for it, but a row is settled and flushed as a whole. So inhand.c keeps what was told in memory that outlives the process, and a start makes rows of
 * it before anything is worked on again: a set for each lane and id. When an item with one of these recipients has its turn, he is settled as he would have been
 * then, and forgotten with that.
 *
 * Recipients are known by lane, id and address, not by their row: it may have been lost with the process and be written anew from the one that it came from.
 */
#include <gnutls/crypto.h>
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/inhand.h"
#include "kernel/store/pack.h"

enum { VERSION = 1, KEPT_DAYS = 7, SETS_MAX = 2048, VALUE_HEAD = 1 + 8 };

#define ENTITY PB_STR("q/served")

struct served {
	struct served *next;
	char lane[LANE_MAX + 1], id[PB_ID_MAX];
	int64_t when;
	bool changed;
	uint64_t *facts;
	size_t n, room;
};

/* Strangers choose addresses, so nobody may find one that stands for another's. */
uint64_t fact_of(const struct pb_rcpt *rcpt)
{
	char text[1100];
	unsigned char hash[32];
	struct pb_str address = pb_str_head(rcpt->address, 500), target = pb_str_head(rcpt->target, 500);

	memcpy(text, address.ptr, address.len);
	text[address.len] = '\0';
	memcpy(text + address.len + 1, target.ptr, target.len);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, address.len + 1 + target.len, hash) < 0)
		return 0;
	return unpack_be64((const char *)hash) & ~(uint64_t)FACT_OUTCOME;
}

/* ---- sets ---- */

static struct served *find(struct inhand *h, const char *lane, const char *id)
{
	struct served *s = h->served;

	while (s && (strcmp(s->id, id) != 0 || strcmp(s->lane, lane) != 0))
		s = s->next;
	return s;
}

static struct served *make(struct inhand *h, const char *lane, const char *id, int64_t when)
{
	struct served *s = pb_alloc(sizeof *s);

	memcpy(s->lane, lane, strnlen(lane, LANE_MAX));
	memcpy(s->id, id, strnlen(id, PB_ID_MAX - 1));
	s->when = when;
	s->next = h->served;
	h->served = s;
	atomic_fetch_add(&h->nserved, 1);
	return s;
}

static void add(struct served *s, uint64_t fact)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 16;
		s->facts = pb_realloc(s->facts, s->room * sizeof *s->facts);
	}
	s->facts[s->n++] = fact;
}

static uint64_t *look(struct served *s, uint64_t fact)
{
	for (size_t i = 0; i < s->n; i++)
		if ((s->facts[i] & ~(uint64_t)FACT_OUTCOME) == fact)
			return &s->facts[i];
	return NULL;
}

static void drop(struct inhand *h, struct served *s)
{
	struct served **at = &h->served;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	atomic_fetch_sub(&h->nserved, 1);
	free(s->facts);
	free(s);
}

/* ---- as rows ---- */

static void key_of(struct pb_buf *out, const struct served *s)
{
	pb_buf_addf(out, "%s %s", s->lane, s->id);
}

/* As it is now; gone where it is empty. */
static int write_set(struct queue *q, struct served *s, engine_ticket *ret_ticket, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	char bytes[8];

	key_of(&key, s);
	pb_buf_addc(&value, VERSION);
	pb_buf_add(&value, bytes, (size_t)(pack_be64(bytes, (uint64_t)s->when) - bytes));
	for (size_t i = 0; i < s->n; i++)
		pb_buf_add(&value, bytes, (size_t)(pack_be64(bytes, s->facts[i]) - bytes));
	const struct pb_str gone = pb_buf_str(&key);
	const struct engine_row row = { gone, pb_buf_str(&value) };
	const struct engine_batch b = { .entity = ENTITY, .expect = ENGINE_ANY, .put = &row, .nput = s->n > 0, .remove = &gone, .nremove = s->n == 0 };

	s->changed = false;
	return engine_apply(q->kernel->engine, &b, NULL, ret_ticket, err);
}

static void read_set(struct inhand *h, const struct engine_row *row)
{
	struct pb_str id = row->key, lane, facts = pb_str_skip(row->value, VALUE_HEAD);
	char lane_text[LANE_MAX + 1] = "", id_text[PB_ID_MAX] = "";
	struct served *s;

	if (!pb_str_cut(&id, ' ', &lane) || lane.len > LANE_MAX || !id.len || id.len >= PB_ID_MAX || row->value.len < VALUE_HEAD || row->value.ptr[0] != VERSION)
		return;
	memcpy(lane_text, lane.ptr, lane.len);
	memcpy(id_text, id.ptr, id.len);
	s = make(h, lane_text, id_text, (int64_t)unpack_be64(row->value.ptr + 1));
	for (; facts.len >= 8; facts = pb_str_skip(facts, 8))
		add(s, unpack_be64(facts.ptr));
}

/* ---- a start ---- */

static void found(void *arg, const struct hand_key *key, uint64_t fact)
{
	struct queue *q = arg;
	struct served *s = find(q->inhand, key->lane, key->id);

	if (!s)
		s = make(q->inhand, key->lane, key->id, clock_now(q->kernel->clock));
	if (look(s, fact & ~(uint64_t)FACT_OUTCOME))
		return;
	add(s, fact);
	s->changed = true;
}

/* What was kept for long is of items that are settled, or gone: the process ended behind their last flush. */
static int load(struct queue *q, struct pb_error *err)
{
	struct inhand *h = q->inhand;
	struct engine_page page = ENGINE_PAGE;
	int64_t oldest = clock_now(q->kernel->clock) - KEPT_DAYS * PB_DAY;
	int rc = engine_scan(q->kernel->engine, ENTITY, PB_NOSTR, PB_NOSTR, SETS_MAX, &page, err);

	for (size_t i = 0; !rc && i < page.n; i++)
		read_set(h, &page.rows[i]);
	engine_page_free(&page);
	for (struct served *s = h->served, *next; s && !rc; s = next) {
		next = s->next;
		if (s->when >= oldest)
			continue;
		s->n = 0;
		write_set(q, s, NULL, NULL);
		drop(h, s);
	}
	return rc;
}

int served_open(struct queue *q, struct pb_error *err)
{
	struct inhand *h = q->inhand;
	struct pb_error why = { 0 };
	engine_ticket ticket = 0;

	if (load(q, err))
		return err->code;
	inhand_served(h, found, q);
	for (struct served *s = h->served; s && !why.code; s = s->next) {
		if (!s->changed)
			continue;
		log_line(q->kernel->log, PB_INFO, NULL, "queue.served", "id=%s lane=%s recipients=%zu", s->id, s->lane, s->n);
		write_set(q, s, &ticket, &why);
	}
	/* On a full disk this start knows it, and the next one does not: no reason not to start. */
	if (why.code || engine_wait(q->kernel->engine, ticket, &why))
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.served", "error=%s", pb_logq(pb_strz(why.text)));
	return 0;
}

void served_close(struct inhand *h)
{
	while (h->served)
		drop(h, h->served);
}

/* ---- while it runs ---- */

static enum outcome outcome_of(struct pb_item *item, size_t n)
{
	struct inhand *h = item->q->inhand;
	uint64_t fact = fact_of(&item->to[n].was.rcpt), *at = NULL;
	enum outcome outcome;
	struct served *s;

	pthread_mutex_lock(&h->lock);
	s = find(h, item->entry->lane->name, item->entry->id);
	if (s)
		at = look(s, fact);
	outcome = at ? (enum outcome)(*at & FACT_OUTCOME) : TODO;
	pthread_mutex_unlock(&h->lock);
	return outcome;
}

static bool may_be_served(const struct pb_item *item)
{
	struct inhand *h = item->q->inhand;
	bool known;

	if (!h || atomic_load_explicit(&h->nserved, memory_order_relaxed) == 0)
		return false;
	pthread_mutex_lock(&h->lock);
	known = find(h, item->entry->lane->name, item->entry->id) != NULL;
	pthread_mutex_unlock(&h->lock);
	return known;
}

void served_apply(struct pb_item *item)
{
	static const char words[] = "250 2.0.0 This was said before the server was started again";

	if (!may_be_served(item))
		return;
	item->env.nrcpts = 0;
	for (size_t i = 0; i < item->n; i++) {
		struct pb_recipient *to = &item->to[i];
		enum outcome outcome = outcome_of(item, i);

		if (outcome != TODO) {
			to->in_hand = true;
			item->before++;
		}
		if (outcome == DELIVERED)
			host_delivered(to, PB_NOSTR, words);
		else if (outcome == RELAYED)
			host_relayed(to, PB_NOSTR, words);
		else if (outcome == FORWARDED)
			host_forwarded(to, PB_NOSTR, words);
		else if (to->in_hand)
			item->env_rcpts[item->env.nrcpts++] = &to->was.rcpt;
	}
}

/* The store keeps the order of batches: it is not forgotten there before it is settled. */
void served_forget(struct pb_item *item)
{
	struct inhand *h = item->q->inhand;
	struct pb_error err = { 0 };
	struct served *s;

	pthread_mutex_lock(&h->lock);
	s = find(h, item->entry->lane->name, item->entry->id);
	for (size_t i = 0; s && i < item->n; i++) {
		uint64_t *at = look(s, fact_of(&item->to[i].was.rcpt));

		if (at)
			*at = s->facts[--s->n];
	}
	if (s && write_set(item->q, s, NULL, &err))
		log_line(item->q->kernel->log, PB_ERROR, NULL, "queue.served", "id=%s error=%s", item->entry->id, pb_logq(pb_strz(err.text)));
	if (s && !s->n)
		drop(h, s);
	pthread_mutex_unlock(&h->lock);
}
