/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The chunks behind views: append in place, copy what is changed, find by index and UID.
 * Leaves locking and the meaning of a row to the folder.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "kernel/store/rows.h"

/* Bytes put before bodies; they never move, because pictures point at them. */
struct head_block {
	struct head_block *next;
	size_t used, size;
	char bytes[];
};

/* ---- slabs ---- */

/*
 * Memory for the rows of several slots, which a load asks for in one piece: chunk by chunk the heap grows by a call of the kernel for each.
 * It lives as long as one of its chunks, so it is not too large.
 */
struct row_slab {
	_Atomic unsigned refs;
	size_t used, size;		/* folder lock */
};

enum { SLAB_ALIGN = 64, SLAB_SLOTS = 16, SLAB_LEAST = 4, EXPECTED_MAX = 1 << 16 };

static size_t slab_aligned(size_t size)
{
	return (size + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
}

static size_t slab_slot_size(void)
{
	return slab_aligned(sizeof(struct row_chunk) + CHUNK_ROWS * sizeof(struct pb_row));
}

static struct row_slab *slab_new(uint32_t slots)
{
	size_t size = slab_aligned(sizeof(struct row_slab)) + slots * slab_slot_size();
	struct row_slab *slab = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (slab == MAP_FAILED)
		return NULL;
	atomic_init(&slab->refs, 1);
	slab->used = slab_aligned(sizeof *slab);
	slab->size = size;
	return slab;
}

static void slab_release(struct row_slab *slab)
{
	if (slab && atomic_fetch_sub_explicit(&slab->refs, 1, memory_order_acq_rel) == 1)
		munmap(slab, slab->size);
}

/* The slab that the next slot's chunks come out of; NULL: they have memory of their own. */
static struct row_slab *slab_for_slot(struct slot_table *t)
{
	uint32_t slots = t->expected < SLAB_SLOTS ? t->expected : SLAB_SLOTS;

	if (t->slab && t->slab->size - t->slab->used >= slab_slot_size())
		return t->slab;
	slab_release(t->slab);
	t->slab = slots ? slab_new(slots) : NULL;
	t->expected = t->slab ? t->expected - slots : 0;
	return t->slab;
}

/* ---- chunks ---- */

/* In slab, which has room for it, or in memory of its own. */
static struct row_chunk *row_chunk_new(uint32_t cap, struct row_slab *slab)
{
	size_t size = sizeof(struct row_chunk) + cap * sizeof(struct pb_row);
	struct row_chunk *c;

	if (slab) {
		c = (struct row_chunk *)((char *)slab + slab->used);
		slab->used += slab_aligned(size);
		atomic_fetch_add_explicit(&slab->refs, 1, memory_order_relaxed);
	} else {
		c = pb_realloc(NULL, size);
	}
	atomic_init(&c->refs, 1);
	c->used = 0;
	c->cap = cap;
	c->slab = slab;
	return c;
}

/* source: it fills the chunk when it is asked for, and is taken over; NULL: none. */
static struct where_chunk *where_chunk_new(uint32_t cap, struct image_source *source)
{
	struct where_chunk *c = pb_alloc(sizeof *c);

	atomic_init(&c->refs, 1);
	c->cap = cap;
	c->source = source;
	atomic_init(&c->wheres, source ? NULL : pb_realloc(NULL, cap * sizeof(struct where)));
	return c;
}

static void row_chunk_release(struct row_chunk *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (c->slab)
		slab_release(c->slab);
	else
		free(c);
}

static void where_chunk_release(struct where_chunk *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (struct head_block *h = c->heads, *next; h; h = next) {
		next = h->next;
		free(h);
	}
	if (c->source)
		image_source_release(c->source);
	free(atomic_load_explicit(&c->wheres, memory_order_relaxed));
	free(c);
}

/* Readers have no lock: of two that unpack at the same time one is too late. */
static struct where *unpack_wheres(struct where_chunk *c)
{
	struct where *mine = pb_realloc(NULL, c->cap * sizeof *mine), *now = NULL;

	image_source_unpack(c->source, c->source_first, c->cap, mine);
	if (atomic_compare_exchange_strong_explicit(&c->wheres, &now, mine, memory_order_acq_rel, memory_order_acquire))
		return mine;
	free(mine);
	return now;
}

static inline struct where *wheres_of(struct where_chunk *c)
{
	struct where *wheres = atomic_load_explicit(&c->wheres, memory_order_acquire);

	return wheres ? wheres : unpack_wheres(c);
}

static const char *head_copy(struct where_chunk *c, struct pb_str head)
{
	struct head_block *h = c->heads;
	char *to;

	if (!head.len)
		return NULL;
	if (!h || h->size - h->used < head.len) {
		size_t size = c->cap < CHUNK_ROWS ? 512 : 8192;

		if (size < head.len)
			size = head.len;
		h = pb_realloc(NULL, sizeof *h + size);
		*h = (struct head_block){ .next = c->heads, .size = size };
		c->heads = h;
	}
	to = h->bytes + h->used;
	memcpy(to, head.ptr, head.len);
	h->used += head.len;
	return to;
}

static void where_put(struct where_chunk *c, const struct body_id *body, struct pb_str head, uint64_t first_modseq)
{
	wheres_of(c)[c->used] = (struct where){ .body = *body, .head = head_copy(c, head), .head_len = (uint32_t)head.len, .first_modseq = first_modseq };
	c->used++;
}

static void where_put_copy(struct where_chunk *c, const struct where *w)
{
	where_put(c, &w->body, pb_str(w->head, w->head_len), w->first_modseq);
}

/* ---- slot tables ---- */

static struct slot_table *table_new(uint32_t cap)
{
	struct slot_table *t = pb_realloc(NULL, sizeof *t + cap * sizeof t->slots[0]);

	atomic_init(&t->refs, 1);
	t->used = 0;
	t->cap = cap;
	t->expected = 0;
	t->slab = NULL;
	return t;
}

static void table_release(struct slot_table *t)
{
	if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < t->used; i++) {
		row_chunk_release(t->slots[i].rows);
		where_chunk_release(t->slots[i].wheres);
	}
	slab_release(t->slab);
	free(t);
}

static void table_share(struct slot_table *t, const struct slot *slot)
{
	atomic_fetch_add_explicit(&slot->rows->refs, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&slot->wheres->refs, 1, memory_order_relaxed);
	t->slots[t->used++] = *slot;
}

static void table_copy(struct row_set *s, uint32_t cap)
{
	struct slot_table *t = table_new(cap);

	for (uint32_t i = 0; i < s->nslots; i++)
		table_share(t, &s->table->slots[i]);
	table_release(s->table);
	s->table = t;
}

void row_set_init(struct row_set *s)
{
	*s = (struct row_set){ .table = table_new(1) };
}

void row_set_init_for(struct row_set *s, uint32_t rows)
{
	uint32_t slots = rows / CHUNK_ROWS + (rows % CHUNK_ROWS != 0);

	/* What a header says is not to be believed with memory. */
	if (slots > EXPECTED_MAX)
		slots = EXPECTED_MAX;
	*s = (struct row_set){ .table = table_new(slots + 1) };
	s->table->expected = slots < SLAB_LEAST ? 0 : slots;
}

void row_set_ref(struct row_set *ret, const struct row_set *s)
{
	*ret = *s;
	if (s->table)
		atomic_fetch_add_explicit(&s->table->refs, 1, memory_order_relaxed);
}

void row_set_release(struct row_set *s)
{
	table_release(s->table);
	*s = (struct row_set){ 0 };
}

/* ---- finding ---- */

uint32_t row_set_slot(const struct row_set *s, uint32_t index)
{
	const struct slot *slots = s->table->slots;
	uint32_t low = 0, high = s->nslots, guess = index / CHUNK_ROWS;

	/* Nothing was expunged before it in most folders: then every slot before it is full. */
	if (guess < high && slots[guess].base <= index && index - slots[guess].base < slot_rows(s, guess))
		return guess;
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (slots[mid].base <= index)
			low = mid;
		else
			high = mid;
	}
	return low;
}

uint32_t row_set_at_least(const struct row_set *s, uint32_t uid)
{
	const struct slot *slots = s->table->slots;
	const struct pb_row *rows;
	uint32_t low = 0, high = s->nslots, n;

	if (!s->nslots)
		return 0;
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (slots[mid].first_uid <= uid)
			low = mid;
		else
			high = mid;
	}
	rows = slots[low].rows->rows;
	n = slot_rows(s, low);
	high = n;
	for (uint32_t from = 0; from < high;) {
		uint32_t mid = from + (high - from) / 2;

		if (rows[mid].uid < uid)
			from = mid + 1;
		else
			high = mid;
	}
	return slots[low].base + high;
}

const struct pb_row *row_set_row(const struct row_set *s, uint32_t index)
{
	const struct slot *slot = &s->table->slots[row_set_slot(s, index)];

	return &slot->rows->rows[index - slot->base];
}

const struct where *row_set_where(const struct row_set *s, uint32_t index)
{
	const struct slot *slot = &s->table->slots[row_set_slot(s, index)];

	return &wheres_of(slot->wheres)[index - slot->base];
}

const struct pb_row *row_set_run(const struct row_set *s, uint32_t index, uint32_t *ret_n)
{
	uint32_t i = row_set_slot(s, index), at = index - s->table->slots[i].base;

	*ret_n = slot_rows(s, i) - at;
	return &s->table->slots[i].rows->rows[at];
}

/* ---- appending ---- */

static uint32_t next_cap(uint32_t n)
{
	return n < 8 ? 8 : n < 64 ? 64 : CHUNK_ROWS;
}

/* The last slot has rows up to its small chunk's end: a larger chunk takes their place. */
static void tail_grow(struct row_set *s, uint32_t n)
{
	const struct slot old = s->table->slots[s->nslots - 1];
	struct row_chunk *rows = row_chunk_new(next_cap(n), NULL);
	struct where_chunk *wheres = where_chunk_new(next_cap(n), NULL);

	memcpy(rows->rows, old.rows->rows, n * sizeof rows->rows[0]);
	rows->used = n;
	for (uint32_t i = 0; i < n; i++)
		where_put_copy(wheres, &wheres_of(old.wheres)[i]);
	table_copy(s, s->table->cap);
	row_chunk_release(old.rows);
	where_chunk_release(old.wheres);
	s->table->slots[s->nslots - 1].rows = rows;
	s->table->slots[s->nslots - 1].wheres = wheres;
}

/* cap 0: for rows that will be appended. */
static struct slot *slot_add(struct row_set *s, uint32_t first_uid, uint32_t cap, struct image_source *source)
{
	struct row_slab *slab;
	struct slot *slot;

	if (s->table->used != s->nslots || s->table->used == s->table->cap)
		table_copy(s, s->nslots < 4 ? s->nslots + 2 : s->nslots + s->nslots / 2);
	slab = slab_for_slot(s->table);
	if (!cap)
		cap = s->nslots || slab ? CHUNK_ROWS : next_cap(0);
	slot = &s->table->slots[s->table->used++];
	*slot = (struct slot){ .rows = row_chunk_new(cap, slab), .wheres = where_chunk_new(cap, source), .base = s->n, .first_uid = first_uid };
	s->nslots++;
	return slot;
}

struct pb_row *row_set_append_source(struct row_set *s, struct image_source *source, uint32_t first, uint32_t n, uint32_t first_uid)
{
	struct slot *slot = slot_add(s, first_uid, n, source);

	atomic_fetch_add_explicit(&source->refs, 1, memory_order_relaxed);
	slot->wheres->source_first = first;
	slot->rows->used = slot->wheres->used = n;
	s->n += n;
	return slot->rows->rows;
}

void row_set_append(struct row_set *s, const struct pb_row *row, const struct body_id *body, struct pb_str head)
{
	const struct slot *tail;
	uint32_t n = s->nslots ? slot_rows(s, s->nslots - 1) : CHUNK_ROWS;

	if (n == CHUNK_ROWS) {
		slot_add(s, row->uid, 0, NULL);
		n = 0;
	} else {
		tail = &s->table->slots[s->nslots - 1];
		/* Another line of pictures may have written behind n: never over it. */
		if (tail->rows->used != n || tail->wheres->used != n || tail->rows->cap == n || tail->wheres->cap == n)
			tail_grow(s, n);
	}
	tail = &s->table->slots[s->nslots - 1];
	tail->rows->rows[n] = *row;
	tail->rows->used = n + 1;
	where_put(tail->wheres, body, head, row->modseq);
	s->n++;
}

/* ---- changing ---- */

void row_edit_begin(struct row_edit *e, const struct row_set *from)
{
	*e = (struct row_edit){ .from = from };
	row_set_ref(&e->set, from);
}

struct pb_row *row_edit_chunk(struct row_edit *e, uint32_t index)
{
	uint32_t i = row_set_slot(&e->set, index), n = slot_rows(&e->set, i);
	struct slot *slot;

	if (!e->copied) {
		table_copy(&e->set, e->set.nslots + 1);
		e->copied = true;
	}
	slot = &e->set.table->slots[i];
	if (slot->rows == e->from->table->slots[i].rows) {
		struct row_chunk *mine = row_chunk_new(slot->rows->cap, NULL);

		memcpy(mine->rows, slot->rows->rows, n * sizeof mine->rows[0]);
		mine->used = n;
		row_chunk_release(slot->rows);
		slot->rows = mine;
	}
	e->rows = slot->rows->rows;
	e->first = slot->base;
	e->n = n;
	return &e->rows[index - e->first];
}

void row_edit_drop(struct row_edit *e)
{
	row_set_release(&e->set);
}

/* ---- removing ---- */

/* Rows a..b of a slot go behind what the last slot of to has, if that one was made here and has room. */
static void without_copy(struct row_set *to, bool *mine, const struct slot *from, uint32_t a, uint32_t b)
{
	while (a < b) {
		struct slot *tail = to->nslots ? &to->table->slots[to->nslots - 1] : NULL;
		uint32_t n = tail ? slot_rows(to, to->nslots - 1) : 0;

		if (!*mine || n == CHUNK_ROWS) {
			tail = &to->table->slots[to->table->used++];
			*tail = (struct slot){ .rows = row_chunk_new(CHUNK_ROWS, NULL), .wheres = where_chunk_new(CHUNK_ROWS, NULL), .base = to->n,
					       .first_uid = from->rows->rows[a].uid };
			to->nslots++;
			*mine = true;
			n = 0;
		}
		for (; a < b && n < CHUNK_ROWS; a++, n++) {
			tail->rows->rows[tail->rows->used++] = from->rows->rows[a];
			where_put_copy(tail->wheres, &wheres_of(from->wheres)[a]);
			to->n++;
		}
	}
}

void row_set_without(struct row_set *ret, const struct row_set *from, const uint32_t *indexes, size_t n)
{
	struct row_set to = { .table = table_new(from->nslots + 1) };
	bool mine = false;
	size_t next = 0;

	for (uint32_t i = 0; i < from->nslots; i++) {
		const struct slot *slot = &from->table->slots[i];
		uint32_t rows = slot_rows(from, i), at = 0;

		/* A slot nobody touches is shared, unless it is small and can follow what was copied before it. */
		if ((next == n || indexes[next] >= slot->base + rows) && (!mine || to.n - to.table->slots[to.nslots - 1].base + rows > CHUNK_ROWS)) {
			table_share(to.table, slot);
			to.table->slots[to.nslots++].base = to.n;
			to.n += rows;
			mine = false;
			continue;
		}
		for (; next < n && indexes[next] < slot->base + rows; next++) {
			without_copy(&to, &mine, slot, at, indexes[next] - slot->base);
			at = indexes[next] - slot->base + 1;
		}
		without_copy(&to, &mine, slot, at, rows);
	}
	*ret = to;
}
