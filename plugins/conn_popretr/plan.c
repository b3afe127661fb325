/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What of a listing is new. A server's ids are believed only as far as they hold: where they are missing, stand for several messages, or are all others than
 * before, a message is known by its header, and where two have the same, by all of it.
 */
#include <stdlib.h>
#include <postbus/message.h>
#include "fetch.h"

/* ---- heads ---- */

void plan_head(struct pb_str message, unsigned char *out)
{
	size_t len = pb_header_size(message);
	struct pb_str head = pb_str_trim(pb_str_head(message, len));

	hash_text(head, out, HEAD_HASH);
}

struct head_sink {
	struct pb_buf bytes;
};

static void keep(void *arg, const char *ptr, size_t len)
{
	pb_buf_add(&((struct head_sink *)arg)->bytes, ptr, len);
}

enum { HEAD_MAX = 1 << 20, OURS = 512 /* bytes at most that stand before a message here, and not there */ };

static bool needs_head(const struct mail *m, bool all)
{
	return !m->has_head && (!m->named || all);
}

/* Heads of those that need one, asked for ahead. What has none afterwards has to be read as a whole. */
static int read_heads(struct fetch *f, bool all, const bool *unknown, struct pb_error *err)
{
	struct remote *r = f->run->remote;
	size_t asked = 0, open = 0;

	if (!r->can_head)
		return 0;
	for (size_t i = 0; i < f->listing.n; i++) {
		struct head_sink keeper = { PB_BUF };
		struct sink sink = { keep, &keeper, 0, HEAD_MAX };
		int rc;

		if (!needs_head(&f->mails[i], all) || (all && !unknown[i]))
			continue;
		for (; asked < f->listing.n && open < r->ahead; asked++)
			if (needs_head(&f->mails[asked], all) && (!all || unknown[asked])) {
				r->ops->ask_head(r, &f->listing, f->mails[asked].one);
				open++;
			}
		rc = r->ops->head(r, &sink, err);
		open--;
		if (!rc) {
			plan_head(pb_buf_str(&keeper.bytes), f->mails[i].head);
			f->mails[i].has_head = true;
		}
		pb_buf_free(&keeper.bytes);
		if (rc && rc != PB_ENOTFOUND)
			return pb_because(err, "TOP");
	}
	return 0;
}

/* ---- names ---- */

static int by_uid(const void *a, const void *b)
{
	const struct mail *const *x = a, *const *y = b;

	return memcmp((*x)->uid, (*y)->uid, UID_HASH);
}

static int by_head(const void *a, const void *b)
{
	const struct mail *const *x = a, *const *y = b;

	return memcmp((*x)->head, (*y)->head, HEAD_HASH);
}

void plan_name(const struct fetch *f, struct mail *m)
{
	struct pb_str uid = listed_uid(&f->listing, m->one);
	PB_AUTOBUF(name);

	pb_buf_addstr(&name, uid);
	pb_buf_addc(&name, '\0');
	pb_buf_add(&name, m->head, HEAD_HASH);
	hash_text(pb_buf_str(&name), m->uid, UID_HASH);
	m->named = true;
}

/* What was taken under an id that now stands for several goes on being known by its head. */
static void mark(struct fetch *f, const struct mail *m, struct seen_entry *out, size_t *n)
{
	struct seen_entry *old = seen_find(&f->seen, m->uid);
	struct mail alias = { .one = m->one };

	if (old && old->state == SEEN_AMBIGUOUS)
		return;
	if (old) {
		memcpy(alias.head, old->head, HEAD_HASH);
		plan_name(f, &alias);
		out[*n] = *old;
		memcpy(out[(*n)++].uid, alias.uid, UID_HASH);
	}
	out[*n] = (struct seen_entry){ .time = (uint32_t)(f->began / PB_SECOND), .state = SEEN_AMBIGUOUS, .listed = true };
	seen_name(&out[(*n)++], m->uid);
}

/* Ids that stand for more than one message, now or ever: those messages have no name yet. */
static int find_doubled(struct fetch *f, struct pb_error *err)
{
	struct mail **sorted = pb_alloc((f->listing.n + 1) * sizeof *sorted);
	struct seen_entry *marks = pb_alloc((2 * f->listing.n + 1) * sizeof *marks);
	size_t n = 0, nmarks = 0;
	int rc;

	for (size_t i = 0; i < f->listing.n; i++) {
		struct mail *m = &f->mails[i];
		struct seen_entry *e;

		if (!m->one->uid_len)
			continue;
		hash_text(listed_uid(&f->listing, m->one), m->uid, UID_HASH);
		e = seen_find(&f->seen, m->uid);
		m->named = true;
		m->doubled = e && e->state == SEEN_AMBIGUOUS;
		if (m->doubled)
			e->listed = true;
		sorted[n++] = m;
	}
	qsort(sorted, n, sizeof *sorted, by_uid);
	for (size_t i = 1; i < n; i++) {
		if (memcmp(sorted[i]->uid, sorted[i - 1]->uid, UID_HASH))
			continue;
		if (!sorted[i - 1]->doubled)
			mark(f, sorted[i], marks, &nmarks);
		sorted[i]->doubled = sorted[i - 1]->doubled = true;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i]->named = !sorted[i]->doubled;
	rc = seen_add(&f->seen, marks, nmarks, err);
	free(marks);
	free(sorted);
	return rc;
}

/* Two messages without an id that have the same head are told apart by all of them. */
static void name_by_head(struct fetch *f)
{
	struct mail **sorted = pb_alloc((f->listing.n + 1) * sizeof *sorted);
	size_t n = 0;

	for (size_t i = 0; i < f->listing.n; i++)
		if (!f->mails[i].named && f->mails[i].has_head)
			sorted[n++] = &f->mails[i];
	qsort(sorted, n, sizeof *sorted, by_head);
	for (size_t i = 0; i < n; i++) {
		bool twin = (i && !memcmp(sorted[i]->head, sorted[i - 1]->head, HEAD_HASH)) || (i + 1 < n && !memcmp(sorted[i]->head, sorted[i + 1]->head, HEAD_HASH));

		if (!twin)
			plan_name(f, sorted[i]);
	}
	free(sorted);
}

/* ---- ids that are others than before ---- */

static int by_hash(const void *a, const void *b)
{
	const struct gone *x = a, *y = b;

	return memcmp(x->hash, y->hash, HEAD_HASH);
}

static void find_gone(struct fetch *f)
{
	f->gone = pb_alloc((f->seen.n + 1) * sizeof *f->gone);
	for (size_t i = 0; i < f->seen.n; i++) {
		const struct seen_entry *e = &f->seen.list[i];

		if ((e->state != SEEN_TAKEN && e->state != SEEN_PENDING) || e->listed)
			continue;
		memcpy(f->gone[f->ngone].hash, e->state == SEEN_TAKEN ? e->head : e->text, HEAD_HASH);
		f->gone[f->ngone++].at = (uint32_t)i;
	}
	qsort(f->gone, f->ngone, sizeof *f->gone, by_hash);
}

/* Each that is gone stands for one message, not for more. */
static struct seen_entry *gone_by(struct fetch *f, const unsigned char *hash, enum seen_state state)
{
	size_t from = 0, to = f->ngone;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (memcmp(f->gone[mid].hash, hash, HEAD_HASH) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	for (; from < f->ngone && !memcmp(f->gone[from].hash, hash, HEAD_HASH); from++) {
		struct seen_entry *e = &f->seen.list[f->gone[from].at];

		if (e->listed || e->state != state)
			continue;
		e->listed = true;
		return e;
	}
	return NULL;
}

bool plan_is_renamed(struct fetch *f, struct mail *m, struct seen_entry *out, size_t *n)
{
	const struct seen_entry *e = gone_by(f, m->head, SEEN_TAKEN);

	if (!e)
		return false;
	out[*n] = *e;
	memcpy(out[(*n)++].uid, m->uid, UID_HASH);
	out[*n] = *e;
	out[(*n)++].state = SEEN_OVER;
	return true;
}

struct seen_entry *plan_pending(struct fetch *f, const unsigned char *text)
{
	return gone_by(f, text, SEEN_PENDING);
}

/* Nothing of what was taken is there any more, but other messages are: maybe the server gives new ids in each session. */
static int look_again(struct fetch *f, struct pb_error *err)
{
	struct seen_entry *renamed = pb_alloc((f->listing.n + 1) * RENAMED * sizeof *renamed);
	bool *unknown = pb_alloc(f->listing.n + 1);
	size_t known = 0, n = 0;
	int rc = 0;

	for (size_t i = 0; i < f->listing.n; i++) {
		unknown[i] = f->mails[i].named && !seen_find(&f->seen, f->mails[i].uid);
		known += !unknown[i];
	}
	if (f->ngone && !known)
		rc = read_heads(f, true, unknown, err);
	for (size_t i = 0; i < f->listing.n && !rc; i++)
		if (unknown[i] && f->mails[i].has_head)
			plan_is_renamed(f, &f->mails[i], renamed, &n);
	if (!rc)
		rc = seen_add(&f->seen, renamed, n, err);
	free(renamed);
	free(unknown);
	return rc;
}

/* ---- what is wanted ---- */

static int64_t wait_of(const struct seen_entry *e)
{
	unsigned steps = e->attempts > 8 ? 7 : e->attempts > 1 ? e->attempts - 2u : 0;

	return e->attempts > 1 ? (15 * 60) << steps : 0;
}

static bool is_due(const struct fetch *f, const struct seen_entry *e)
{
	return f->began / PB_SECOND >= (int64_t)e->time + wait_of(e) && e->time < (uint32_t)(f->began / PB_SECOND);
}

uint64_t plan_limit(const struct run *run)
{
	int64_t own = number_of_key(run->row, "size_max");

	return (uint64_t)(own ? own : pb_config_int(run->r->host, "size_max"));
}

/* What failed is tried again after a while, and the queue gets it as another attempt. */
bool plan_take_up(struct fetch *f, struct mail *m, const struct seen_entry *e)
{
	int64_t retry = pb_config_int(f->run->r->host, "retry_failed"), failed;
	PB_AUTOBUF(hex);

	memcpy(m->token, e->token, UID_HASH);
	m->attempt = e->state == SEEN_TAKEN || e->state == SEEN_PENDING ? e->attempts : 0;
	pb_hex_encode(&hex, pb_str((const char *)e->token, UID_HASH));
	m->failed = json_object_get(f->failed, pb_buf_z(&hex));
	if (!m->failed)
		return e->state != SEEN_TAKEN;
	failed = number_of_key(m->failed, "attempt");
	if (e->state == SEEN_PENDING && failed < e->attempts)
		return true;
	m->attempt = (uint8_t)(failed + 1);
	return retry && failed < 99 && f->began >= number_of_key(m->failed, "time") + retry * PB_SECOND;
}

static bool is_wanted(struct fetch *f, struct mail *m, uint64_t limit)
{
	struct seen_entry *e = m->named ? seen_find(&f->seen, m->uid) : NULL;
	bool again = true;

	memcpy(m->token, m->uid, UID_HASH);
	if (e) {
		e->listed = true;
		again = plan_take_up(f, m, e);
	}
	if (e && (e->state == SEEN_TAKEN || e->state == SEEN_PENDING))
		return again;
	if (limit && m->one->size > limit) {
		f->nbig++;
		return false;
	}
	if (m->one->size + OURS > f->room) {
		f->nroom++;
		return false;
	}
	if (e && e->state == SEEN_BIG) {	/* whatever size it is said to have, it was larger than the limit of then */
		uint64_t then;

		memcpy(&then, e->head, sizeof then);
		f->nbig += limit && limit <= then;
		return !limit || limit > then;
	}
	if (!e || is_due(f, e))
		return again;
	f->nbroken++;
	return false;
}

int plan_make(struct fetch *f, struct pb_error *err)
{
	uint64_t limit = plan_limit(f->run);
	int rc;

	f->mails = pb_alloc((f->listing.n + 1) * sizeof *f->mails);
	for (size_t i = 0; i < f->listing.n; i++)
		f->mails[i].one = &f->listing.list[i];
	rc = find_doubled(f, err);
	if (!rc)
		rc = read_heads(f, false, NULL, err);
	if (rc)
		return rc;
	name_by_head(f);
	for (size_t i = 0; i < f->listing.n; i++) {
		struct seen_entry *e = f->mails[i].named ? seen_find(&f->seen, f->mails[i].uid) : NULL;

		if (e)
			e->listed = true;
	}
	find_gone(f);
	rc = look_again(f, err);
	for (size_t i = 0; i < f->listing.n && !rc; i++) {
		f->mails[i].wanted = is_wanted(f, &f->mails[i], limit);
		if (f->mails[i].wanted && f->room != UINT64_MAX)
			f->room -= f->mails[i].one->size + OURS;
	}
	return rc;
}
