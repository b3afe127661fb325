/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing: the guarded batch, the transaction that carries it, and the reference rows of bodies. It becomes durable in engine_bdb_committer.c.
 */
#include "kernel/store/engine_bdb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

pthread_mutex_t *bdb_stripe(struct bdb *b, struct pb_str entity)
{
	return &b->stripes[pb_str_hash(entity) % STRIPES];
}

static void pause_before(unsigned attempt)
{
	uint32_t random;

	pb_random(&random, sizeof(random));
	long limit = 20000L << (attempt < 9 ? attempt : 9);	/* up to 20 us at first, 10 ms at last */
	struct timespec t = { 0, random % limit };
	nanosleep(&t, NULL);
}

/* One at a time, so that the journal has the order of the log, and whoever holds the lock sees no batch in the one that is not in the other. What could not be committed
 * is in neither: the caller is told so. */
static int commit(struct bdb *b, DB_TXN *txn, const struct pb_buf *entry, engine_ticket *ret_ticket, struct pb_error *err)
{
	pthread_mutex_lock(&b->order);
	int r = txn->commit(txn, DB_TXN_NOSYNC);
	if (!r && entry)
		bdb_journal_add(b, pb_buf_str(entry));
	engine_ticket ticket = r || !b->committer.running ? 0 : bdb_ticket(b);
	pthread_mutex_unlock(&b->order);
	if (r) {
		bdb_set_failed(b, "a batch could not be committed");
		return bdb_fail(b, err, r, "committing");
	}
	if (ret_ticket)
		*ret_ticket = ticket;
	return 0;
}

int bdb_transact(struct bdb *b, int (*work)(struct bdb *b, DB_TXN *txn, void *arg, struct pb_error *err), void *arg, const struct pb_buf *entry,
	engine_ticket *ret_ticket, struct pb_error *err)
{
	for (unsigned attempt = 0;; attempt++) {
		DB_TXN *txn;
		int r = bdb_failed(b, err);

		if (r)
			return r;
		r = b->env->txn_begin(b->env, NULL, &txn, DB_TXN_NOSYNC);
		if (r)
			return bdb_fail(b, err, r, "beginning a transaction");
		r = work(b, txn, arg, err);
		if (!r && attempt == 0 && b->deadlock_first)
			r = DB_LOCK_DEADLOCK;
		if (!r)
			return commit(b, txn, entry, ret_ticket, err);
		int r2 = txn->abort(txn);
		if (r2)
			return bdb_fail(b, err, r2, "giving up a transaction");
		if (r == BDB_REFUSED)
			return err->code;
		if (r != DB_LOCK_DEADLOCK && r != DB_LOCK_NOTGRANTED) {
			bdb_fail(b, err, r, "writing");
			/* The system's own codes are above 0: the log could not be written, and what is in the file now nobody knows. */
			if (r > 0)
				bdb_set_failed(b, err->text);
			return err->code;
		}
		pause_before(attempt);
	}
}

/* ---- references ---- */

enum { FEW = 16 };

struct apply {
	const struct engine_batch *batch;
	uint64_t version;		/* after it */
	struct pb_buf buf;		/* what is read */
	struct pb_buf head;		/* what is written as the head */
	struct pb_buf mark;
	struct pb_buf fresh;		/* for each ref: 1 where it makes the body live */
	struct pb_buf entry;		/* for the journal */
	struct header_change same;
	bool again;			/* it comes from there */
	struct {
		struct body_id at;	/* where the room is that is dead now */
	} few[FEW], *dead;
	size_t ndead, dead_room;
};

static void dead_add(struct apply *a, const struct body_id *id)
{
	if (a->ndead == a->dead_room) {
		size_t room = a->dead_room * 2;
		void *old = a->dead == a->few ? NULL : a->dead;
		void *fresh = pb_realloc(old, room * sizeof(a->few[0]));

		if (!old)
			memcpy(fresh, a->few, sizeof(a->few));
		a->dead = fresh;
		a->dead_room = room;
	}
	a->dead[a->ndead++].at = *id;
}

static bool is_fresh(struct bdb *b, const struct body_id *id)
{
	struct segment *g = segments_pin(&b->segments, id->segment);
	bool fresh = g && id->offset < g->size && segment_bit(&g->fresh, id->offset);

	if (g)
		segment_unpin(&b->segments, g);
	return fresh;
}

void bdb_set_fresh(struct bdb *b, const struct body_id *id, bool on)
{
	struct segment *g = segments_pin(&b->segments, id->segment);

	if (!g)
		return;
	if (id->offset < g->size)
		segment_bit_set(g, &g->fresh, id->offset, on);
	segment_unpin(&b->segments, g);
}

void bdb_mark_add(struct pb_buf *mark, const struct body_id *id)
{
	unsigned char bytes[24];
	uint32_t head[4] = { LOG_MARK };

	if (!mark->len)
		pb_buf_add(mark, head, sizeof(head));
	le32_put(bytes, id->segment);
	le32_put(bytes + 4, id->random);
	le64_put(bytes + 8, id->offset);
	le64_put(bytes + 16, id->size);
	pb_buf_add(mark, bytes, sizeof(bytes));
}

/* A cursor at the reference row of a body, for whoever changes it. *ret_c is set in any case, and closed by ref_close; a count of 0: the row is malformed. */
static int ref_open(struct bdb *b, DB_TXN *txn, unsigned char key[REF_KEY], DBC **ret_c, struct ref_row *ret)
{
	unsigned char value[REF_ROW_MAX];
	DBT k = bdb_dbt(key, REF_KEY), v = bdb_into(value, sizeof(value));
	int r;

	*ret_c = NULL;
	r = b->refs->cursor(b->refs, txn, ret_c, 0);
	if (!r)
		r = (*ret_c)->get(*ret_c, &k, &v, DB_SET | DB_RMW);
	if (r == DB_BUFFER_SMALL || (!r && !ref_row_unpack(ret, value, v.size))) {
		ret->count = 0;
		return 0;
	}
	return r;
}

static int ref_close(DBC *c, int r)
{
	int r2 = c ? c->close(c) : 0;

	return r ? r : r2;
}

static int ref(struct bdb *b, DB_TXN *txn, struct apply *a, const struct body_id *id, struct pb_error *err)
{
	unsigned char key[REF_KEY], value[REF_ROW_MAX];
	struct ref_row row = { .count = 1, .size = id->size };

	ref_key_make(key, 'b', id->segment, id->offset);
	DBT k = bdb_dbt(key, sizeof(key)), v = bdb_dbt(value, ref_row_pack(&row, value));
	bool fresh = is_fresh(b, id);
	pb_buf_addc(&a->fresh, fresh);
	if (fresh) {
		int r = b->refs->put(b->refs, txn, &k, &v, DB_NOOVERWRITE);

		if (!r)
			bdb_mark_add(&a->mark, id);
		if (r != DB_KEYEXIST)
			return r;
	}
	DBC *c;
	int r = ref_open(b, txn, key, &c, &row);
	if (r == DB_NOTFOUND) {
		pb_fail(err, PB_ENOTFOUND, "a body that a row is to name is not there (segment %" PRIu32 ", offset %" PRIu64 ")", id->segment, id->offset);
		r = BDB_REFUSED;
	} else if (!r && !row.count) {
		pb_fail(err, PB_ECORRUPT, "a body's reference row is malformed (segment %" PRIu32 ", offset %" PRIu64 ")", id->segment, id->offset);
		r = BDB_REFUSED;
	} else if (!r) {
		row.count++;
		v = bdb_dbt(value, ref_row_pack(&row, value));
		r = c->put(c, &k, &v, DB_CURRENT);
	}
	return ref_close(c, r);
}

static int unref(struct bdb *b, DB_TXN *txn, struct apply *a, const struct body_id *id)
{
	unsigned char key[REF_KEY], value[REF_ROW_MAX], moved[REF_KEY];
	struct ref_row row;
	DBC *c;

	ref_key_make(key, 'b', id->segment, id->offset);
	DBT k = bdb_dbt(key, sizeof(key));
	int r = ref_open(b, txn, key, &c, &row);
	if (r || !row.count)
		return ref_close(c, r == DB_NOTFOUND ? 0 : r);
	if (row.count > 1) {
		row.count--;
		DBT v = bdb_dbt(value, ref_row_pack(&row, value));
		return ref_close(c, c->put(c, &k, &v, DB_CURRENT));
	}
	r = ref_close(c, c->del(c, 0));
	if (!r && row.moved) {
		ref_key_make(moved, 'm', row.now.segment, row.now.offset);
		DBT m = bdb_dbt(moved, sizeof(moved));
		r = b->refs->del(b->refs, txn, &m, 0);
		r = r == DB_NOTFOUND ? 0 : r;
	}
	dead_add(a, row.moved ? &row.now : id);
	return r;
}

/* After the commit: room that died, and bodies that are not new any more. */
static void settle(struct bdb *b, struct apply *a)
{
	for (size_t i = 0; i < a->ndead; i++) {
		struct segment *g = segments_pin(&b->segments, a->dead[i].at.segment);

		if (!g)
			continue;
		atomic_fetch_add(&g->dead, record_room(a->dead[i].at.size));
		segment_unpin(&b->segments, g);
	}
	for (size_t i = 0; a->mark.len && i < a->batch->nref; i++)
		bdb_set_fresh(b, &a->batch->ref[i], false);
}

/* ---- the batch ---- */

static int conflict(struct pb_error *err, const char *what, struct pb_str entity)
{
	pb_fail(err, PB_ECONFLICT, "%s in %.*s", what, PB_FMT(entity));
	return BDB_REFUSED;
}

static int read_head(struct bdb *b, DB_TXN *txn, struct apply *a, struct row_key *key, struct pb_error *err)
{
	const struct engine_batch *batch = a->batch;

	row_key_make(key, batch->entity, ROW_HEADER, PB_NOSTR);
	int r = bdb_head_kept(b, batch->entity, &a->buf) ? 0 : bdb_fetch(b->rows, txn, key->bytes, key->len, &a->buf, DB_RMW);
	if (r && r != DB_NOTFOUND)
		return r;
	if (!r && (a->buf.len < HEADER_FIXED || a->buf.ptr[0] != STORE_FORMAT)) {
		pb_fail(err, PB_ECORRUPT, "the head of %.*s is malformed", PB_FMT(batch->entity));
		return BDB_REFUSED;
	}
	uint64_t version = r ? 0 : le64_get(a->buf.ptr + 1);
	if (batch->expect != ENGINE_ANY && batch->expect != version) {
		pb_fail(err, PB_ECONFLICT, "entity %.*s has version %" PRIu64 ", not %" PRIu64, PB_FMT(batch->entity), version, batch->expect);
		return BDB_REFUSED;
	}
	if (r)
		pb_buf_reset(&a->buf);
	a->version = version + 1;
	return 0;
}

static struct header_change compare(struct pb_str was, struct pb_str is)
{
	struct header_change same = { 0, 0 };
	size_t most = was.len < is.len ? was.len : is.len;

	while (same.front < most && was.ptr[same.front] == is.ptr[same.front])
		same.front++;
	while (same.back < most - same.front && was.ptr[was.len - 1 - same.back] == is.ptr[is.len - 1 - same.back])
		same.back++;
	return same;
}

/* The header that was read is still in a->buf. */
static int write_head(struct bdb *b, DB_TXN *txn, struct apply *a, const struct row_key *key)
{
	struct pb_str before = pb_str_skip(pb_buf_str(&a->buf), HEADER_FIXED), header = a->batch->header ? *a->batch->header : before;
	a->same = compare(before, header);
	char fixed[HEADER_FIXED] = { STORE_FORMAT };

	le64_put(fixed + 1, a->version);
	pb_buf_reset(&a->head);
	pb_buf_add(&a->head, fixed, sizeof(fixed));
	pb_buf_addstr(&a->head, header);
	DBT k = bdb_dbt(key->bytes, key->len), v = bdb_dbt(a->head.ptr, a->head.len);
	return b->rows->put(b->rows, txn, &k, &v, 0);
}

/* A key that must not be there and is put: the put itself sees whether it is. Where something is removed first, that would be too late. */
static bool is_guarded_by_put(const struct engine_batch *batch, size_t absent, size_t put)
{
	return !batch->nremove && batch->absent[absent].ptr == batch->put[put].key.ptr && batch->absent[absent].len == batch->put[put].key.len;
}

static bool is_put_alone(const struct engine_batch *batch, size_t put)
{
	size_t i = 0;

	while (i < batch->nabsent && !is_guarded_by_put(batch, i, put))
		i++;
	return i < batch->nabsent;
}

static bool has_put(const struct engine_batch *batch, size_t absent)
{
	size_t i = 0;

	while (i < batch->nput && !is_guarded_by_put(batch, absent, i))
		i++;
	return i < batch->nput;
}

static int guards(struct bdb *b, DB_TXN *txn, struct apply *a, struct row_key *key, struct pb_error *err)
{
	const struct engine_batch *batch = a->batch;
	int r;

	for (size_t i = 0; i < batch->nabsent; i++) {
		if (has_put(batch, i))
			continue;
		row_key_make(key, batch->entity, ROW_ROW, batch->absent[i]);
		DBT k = bdb_dbt(key->bytes, key->len);
		r = b->rows->exists(b->rows, txn, &k, DB_RMW);
		if (!r)
			return conflict(err, "a row that must not be there is", batch->entity);
		if (r != DB_NOTFOUND)
			return r;
	}
	for (size_t i = 0; i < batch->nequal; i++) {
		row_key_make(key, batch->entity, ROW_ROW, batch->equal[i].key);
		r = bdb_fetch(b->rows, txn, key->bytes, key->len, &a->buf, DB_RMW);
		if (r && r != DB_NOTFOUND)
			return r;
		if (r || !pb_str_eq(pb_buf_str(&a->buf), batch->equal[i].value))
			return conflict(err, "a row is not as it was", batch->entity);
	}
	return 0;
}

static int rows(struct bdb *b, DB_TXN *txn, struct apply *a, struct row_key *key, struct pb_error *err)
{
	const struct engine_batch *batch = a->batch;
	int r = 0;

	for (size_t i = 0; !r && i < batch->nremove; i++) {
		row_key_make(key, batch->entity, ROW_ROW, batch->remove[i]);
		DBT k = bdb_dbt(key->bytes, key->len);
		r = b->rows->del(b->rows, txn, &k, 0);
		r = r == DB_NOTFOUND ? 0 : r;
	}
	for (size_t i = 0; !r && i < batch->nput; i++) {
		row_key_make(key, batch->entity, ROW_ROW, batch->put[i].key);
		DBT k = bdb_dbt(key->bytes, key->len), v = bdb_dbt(batch->put[i].value.ptr, batch->put[i].value.len);
		r = b->rows->put(b->rows, txn, &k, &v, is_put_alone(batch, i) ? DB_NOOVERWRITE : 0);
		if (r == DB_KEYEXIST)
			return conflict(err, "a row that must not be there is", batch->entity);
	}
	return r;
}

/* Reference rows come last, because all who deliver at the same time write to the same page of them, and the commit frees it. */
static int apply_work(struct bdb *b, DB_TXN *txn, void *arg, struct pb_error *err)
{
	struct apply *a = arg;
	const struct engine_batch *batch = a->batch;
	struct row_key key;

	pb_buf_reset(&a->mark);
	pb_buf_reset(&a->fresh);
	a->ndead = 0;
	int r = read_head(b, txn, a, &key, err);
	if (!r)
		r = write_head(b, txn, a, &key);
	if (!r)
		r = guards(b, txn, a, &key, err);
	if (!r)
		r = rows(b, txn, a, &key, err);
	for (size_t i = 0; !r && i < batch->nref; i++)
		r = ref(b, txn, a, &batch->ref[i], err);
	for (size_t i = 0; !r && i < batch->nunref; i++)
		r = unref(b, txn, a, &batch->unref[i]);
	if (!r && a->mark.len) {
		DBT mark = bdb_dbt(a->mark.ptr, a->mark.len);
		DB_LSN lsn;

		r = b->env->log_put(b->env, &lsn, &mark, 0);
	}
	if (!r && !a->again)
		bdb_journal_batch(&a->entry, batch, a->version, &a->same, a->fresh.ptr);
	return r;
}

static int apply(struct bdb *b, struct apply *a, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct pb_error own;
	pthread_mutex_t *stripe = bdb_stripe(b, a->batch->entity);

	a->dead = a->few;
	a->dead_room = FEW;
	pthread_mutex_lock(stripe);
	int r = bdb_transact(b, apply_work, a, a->again ? NULL : &a->entry, ret_ticket, err ? err : &own);
	if (!r) {
		settle(b, a);
		bdb_head_keep(b, a->batch->entity, pb_buf_str(&a->head));
	}
	pthread_mutex_unlock(stripe);
	pb_buf_free(&a->buf);
	pb_buf_free(&a->head);
	pb_buf_free(&a->mark);
	pb_buf_free(&a->fresh);
	pb_buf_free(&a->entry);
	if (a->dead != a->few)
		free(a->dead);
	return r;
}

int bdb_apply_again(struct bdb *b, const struct engine_batch *batch, struct pb_error *err)
{
	struct apply a = { .batch = batch, .again = true };

	return apply(b, &a, NULL, err);
}

int bdb_apply(struct engine *e, const struct engine_batch *batch, uint64_t *ret_version, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct apply a = { .batch = batch };
	bool shrinks = !batch->nref && (batch->nremove || batch->nunref);

	if (!shrinks && !bdb_has_room(b))
		return pb_fail(err, PB_EFULL, "the disk of %s is full", b->dir);
	int r = apply(b, &a, ret_ticket, err);
	if (!r && ret_version)
		*ret_version = a.version;
	return r;
}
