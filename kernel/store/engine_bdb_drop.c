/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Removing an entity with all its rows, in steps. Leaves its bodies to the batches of whoever knows them. */
#include "kernel/store/engine_bdb.h"

enum { DROP_STEP = 1000 };

struct drop {
	struct row_key from, end;
	struct pb_str first, last;
	bool more;
};

/* The head goes last, so that an entity which a crash left half dropped can be dropped again. */
static int drop_work(struct bdb *b, DB_TXN *txn, void *arg, struct pb_error *err)
{
	struct drop *d = arg;
	struct row_key key = d->from;
	DBC *c;
	int n = 0;

	(void)err;
	int r = b->rows->cursor(b->rows, txn, &c, 0);
	if (r)
		return r;
	DBT k = bdb_into(key.bytes, sizeof(key.bytes)), v = bdb_into(NULL, 0);
	k.size = key.len;
	v.flags |= DB_DBT_PARTIAL;
	for (r = c->get(c, &k, &v, DB_SET_RANGE | DB_RMW); !r && n < DROP_STEP; n++) {
		if (pb_str_cmp(pb_str((char *)key.bytes, k.size), d->last) >= 0)
			break;
		r = c->del(c, 0);
		if (!r)
			r = c->get(c, &k, &v, DB_NEXT | DB_RMW);
	}
	d->more = n == DROP_STEP;
	int r2 = c->close(c);
	r = r == DB_NOTFOUND ? 0 : r;
	if (!r && !r2 && !d->more) {
		row_key_make(&key, d->first, ROW_HEADER, PB_NOSTR);
		DBT head = bdb_dbt(key.bytes, key.len);
		r = b->rows->del(b->rows, txn, &head, 0);
		r = r == DB_NOTFOUND ? 0 : r;
	}
	return r ? r : r2;
}

int bdb_drop(struct engine *e, struct pb_str entity, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct drop d = { .first = entity };
	pthread_mutex_t *stripe = bdb_stripe(b, entity);
	struct pb_error own;
	int r;

	row_key_make(&d.from, entity, ROW_ROW, PB_NOSTR);
	row_key_make(&d.end, entity, ROW_END, PB_NOSTR);
	d.last = pb_str((char *)d.end.bytes, d.end.len);
	/* Before and after it nothing of the entity is in the journal: a start would make it again, or take what comes next for a part of it. */
	pthread_mutex_lock(stripe);
	bdb_head_forget(b, entity);
	r = bdb_settle(b, err);
	do {
		if (!r)
			r = bdb_transact(b, drop_work, &d, NULL, NULL, err ? err : &own);
	} while (!r && d.more);
	if (!r)
		r = bdb_settle(b, err);
	pthread_mutex_unlock(stripe);
	return r;
}
