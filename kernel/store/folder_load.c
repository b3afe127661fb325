/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows: their form in the engine, and reading those of a whole folder into memory without stopping deliveries into it.
 * Leaves what is done with rows to the folder's other files.
 */
#include <stdlib.h>
#include "kernel/log/log.h"
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { ROW_VERSION = 2, KEYWORDS_VERSION = 1 };

/* ---- form ---- */

void row_key(char *key, char kind, uint32_t n)
{
	*key = kind;
	pack_be32(key + 1, n);
}

size_t row_encode(char *out, const struct body_id *body, struct pb_str head, int64_t date, uint64_t modseq, uint64_t flags)
{
	char *p = out;

	*p++ = ROW_VERSION;
	p = pack_var(p, head.len);
	p = pack_var(p, (uint64_t)date);
	p = pack_var(p, modseq);
	p = pack_var(p, flags);
	p = pack_id(p, body);
	if (head.len)
		memcpy(p, head.ptr, head.len);
	return (size_t)(p - out) + head.len;
}

void row_fill(struct pb_row *row, uint32_t uid, const struct body_id *body, size_t head_len, int64_t date, uint64_t modseq, uint64_t flags)
{
	uint64_t size = body->size + head_len;

	*row = (struct pb_row){ .uid = uid, .size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size, .flags = flags, .modseq = modseq, .date = date,
				.body = (uint64_t)body->segment << 32 ^ body->offset };
}

int row_decode(struct pb_str key, struct pb_str value, struct pb_row *ret, struct body_id *ret_body, struct pb_str *ret_head, struct pb_error *err)
{
	struct pb_str rest = pb_str_skip(value, 1);
	uint64_t head_len, date, modseq, flags;

	if (key.len != 5 || !value.len || value.ptr[0] != ROW_VERSION)
		return pb_fail(err, PB_ECORRUPT, "a message's row has an unknown form");
	if (!unpack_varint(&rest, &head_len) || !unpack_varint(&rest, &date) || !unpack_varint(&rest, &modseq) || !unpack_varint(&rest, &flags) ||
	    !unpack_id(&rest, ret_body) || head_len != rest.len)
		return pb_fail(err, PB_ECORRUPT, "the row of message %u does not hold what it says", unpack_be32(key.ptr + 1));
	*ret_head = rest;
	row_fill(ret, unpack_be32(key.ptr + 1), ret_body, rest.len, (int64_t)date, modseq, flags);
	return 0;
}

int keywords_decode(struct pb_str value, struct keywords **ret, struct pb_error *err)
{
	struct keywords *k;
	struct pb_str rest, name;

	if (!value.len || value.ptr[0] != KEYWORDS_VERSION)
		return pb_fail(err, PB_ECORRUPT, "the keywords have an unknown form");
	k = pb_alloc(sizeof *k);
	atomic_init(&k->refs, 1);
	pb_buf_addstr(&k->bytes, value);
	rest = pb_str_skip(pb_buf_str(&k->bytes), 1);
	while (k->n < PB_KEYWORDS_MAX && pb_str_cut(&rest, '\n', &name))
		k->names[k->n++] = name;
	*ret = k;
	return 0;
}

struct keywords *keywords_with(const struct keywords *k, struct pb_str name)
{
	PB_AUTOBUF(value);
	struct keywords *with;
	struct pb_error err;

	if (k) {
		pb_buf_addstr(&value, pb_buf_str(&k->bytes));
		pb_buf_addc(&value, '\n');
	} else {
		pb_buf_addc(&value, KEYWORDS_VERSION);
	}
	pb_buf_addstr(&value, name);
	return keywords_decode(pb_buf_str(&value), &with, &err) ? NULL : with;
}

void keywords_release(struct keywords *k)
{
	if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
		return;
	pb_buf_free(&k->bytes);
	free(k);
}

int keywords_find(const struct keywords *k, struct pb_str name)
{
	for (unsigned i = 0; k && i < k->n; i++) {
		if (pb_str_ieq(k->names[i], name))
			return (int)i;
	}
	return -1;
}

/* ---- reading ---- */

struct loader {
	struct folder *f;
	struct row_set rows;
	int64_t head_bytes;
	uint32_t next_block, uidnext;		/* blocks before it are read; rows from uidnext on are late ones */
	struct image_row *image;		/* room for one block */
	struct image_put *made;			/* images of blocks that had none */
	size_t nmade;
};

static int take_message(struct loader *l, const struct engine_row *in, struct pb_error *err)
{
	struct body_id body;
	struct pb_str head;
	struct pb_row row;

	/* A damaged row hides one message, not the folder; verify tells which, and nothing is overwritten. */
	if (row_decode(in->key, in->value, &row, &body, &head, err)) {
		log_line(l->f->m->log, PB_ERROR, NULL, "folder.row_damaged", "mailbox=%s folder=%u error=%s", l->f->account->id, l->f->number,
			 pb_logq(pb_strz(err->text)));
		return 0;
	}
	row_set_append(&l->rows, &row, &body, head);
	l->head_bytes += (int64_t)head.len;
	return 0;
}

static int take_flags(struct loader *l, const struct engine_row *in, struct pb_error *err)
{
	if (in->key.len != 5)
		return pb_fail(err, PB_ECORRUPT, "a flag block has a key of %zu bytes", in->key.len);
	return l->rows.n ? flag_block_decode(&l->rows, unpack_be32(in->key.ptr + 1), in->value, err) : 0;
}

static int scan(struct loader *l, struct pb_str from, struct pb_str to, int (*take)(struct loader *l, const struct engine_row *in, struct pb_error *err),
		struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	char next[6];
	int rc;

	do {
		rc = engine_scan(l->f->m->engine, folder_entity(l->f), from, to, 1000, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++)
			rc = take(l, &page.rows[i], err);
		if (!rc && page.n && page.more) {
			/* Keys are 5 bytes: the next one above. */
			memcpy(next, page.rows[page.n - 1].key.ptr, 5);
			next[5] = '\0';
			from = pb_str(next, 6);
		}
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	return rc;
}

void folder_row_added(struct folder *f, struct pb_view *v, const struct pb_row *row, const struct body_id *body, struct pb_str head)
{
	struct insert_row *late;

	if (v->rows.table) {
		row_set_append(&v->rows, row, body, head);
		f->head_bytes += (int64_t)head.len;
		return;
	}
	if (!f->loading)
		return;
	if (f->nlate == f->late_room) {
		f->late_room = f->late_room ? f->late_room * 2 : 16;
		f->late = pb_realloc(f->late, f->late_room * sizeof f->late[0]);
	}
	late = &f->late[f->nlate++];
	*late = (struct insert_row){ .row = *row, .body = *body, .head_at = f->late_heads.len, .head_len = head.len };
	pb_buf_addstr(&f->late_heads, head);
}

/* The header counts rows that could not be read. */
static void recount(struct pb_view *v)
{
	v->head.messages = v->rows.n;
	v->head.unseen = v->head.deleted = 0;
	v->head.bytes = 0;
	for (uint32_t i = 0; i < v->rows.n; i++) {
		const struct pb_row *row = row_set_row(&v->rows, i);

		v->head.unseen += !(row->flags & PB_SEEN);
		v->head.deleted += !!(row->flags & PB_DELETED);
		v->head.bytes += row->size;
	}
}

/* The rows become those of the newest picture: as it is, for nothing but appends went on meanwhile. Folder lock. */
static void take_over(struct loader *l)
{
	struct folder *f = l->f;
	struct pb_view *v;

	for (size_t i = 0; i < f->nlate; i++) {
		const struct insert_row *late = &f->late[i];

		row_set_append(&l->rows, &late->row, &late->body, pb_str(f->late_heads.ptr + late->head_at, late->head_len));
		l->head_bytes += (int64_t)late->head_len;
	}
	v = folder_next(f);
	v->serial = f->newest->serial;
	v->ticket = f->newest->ticket;
	v->rows = l->rows;
	if (v->rows.n != v->head.messages)
		recount(v);
	f->newest->next = v;
	f->newest = v;
	f->head_bytes = l->head_bytes;
	folder_promote(f);
	folder_charge(f);
}

/* The blocks up to this one have no image: their rows one by one. Of those that will get no more rows and have enough, images are made. */
static int read_blocks(struct loader *l, uint32_t end, struct pb_error *err)
{
	char from[5], to[5];
	int rc;

	row_key(from, 'u', l->next_block << IMAGE_BITS);
	row_key(to, 'u', end > image_block_of(l->uidnext) ? l->uidnext : end << IMAGE_BITS);
	rc = scan(l, pb_str(from, 5), pb_str(to, 5), take_message, err);
	for (; !rc && l->next_block < end; l->next_block++) {
		uint32_t block = l->next_block, first = row_set_at_least(&l->rows, block << IMAGE_BITS);
		struct image_put *put;

		if (block >= image_block_of(l->uidnext) || row_set_at_least(&l->rows, (block + 1) << IMAGE_BITS) - first < IMAGE_ROWS / 4)
			continue;
		l->made = pb_realloc(l->made, (l->nmade + 1) * sizeof l->made[0]);
		put = &l->made[l->nmade++];
		*put = (struct image_put){ block, PB_BUF };
		image_encode(&l->rows, block, &put->value);
	}
	return rc;
}

/* The rows of an image, which is in l->image. What opens their bodies waits until somebody asks: most who look into a folder want its flags. */
static void append_image(struct loader *l, struct pb_str value, uint32_t block, uint32_t n)
{
	struct image_source *source = image_source_new(value, block);

	for (uint32_t at = 0, many; at < n; at += many) {
		const struct image_row *one = &l->image[at];
		struct pb_row *row;

		many = n - at < CHUNK_ROWS ? n - at : CHUNK_ROWS;
		row = row_set_append_source(&l->rows, source, at, many, one->uid);
		for (uint32_t i = 0; i < many; i++, one++, row++) {
			row_fill(row, one->uid, &one->body, one->head.len, one->date, one->modseq, one->flags);
			l->head_bytes += (int64_t)one->head.len;
		}
	}
	image_source_release(source);
}

static int take_image(struct loader *l, const struct engine_row *in, struct pb_error *err)
{
	uint32_t block = in->key.len == 5 ? unpack_be32(in->key.ptr + 1) : UINT32_MAX;	/* none has this number */
	size_t n;
	int rc;

	if (image_is_old(in->value))
		return 0;
	/* A damaged one is passed over, and made again from the rows. */
	if (block < l->next_block || block >= image_block_of(l->uidnext) || image_decode(in->value, block, l->image, &n, err)) {
		log_line(l->f->m->log, PB_ERROR, NULL, "folder.image_damaged", "mailbox=%s folder=%u block=%u", l->f->account->id, l->f->number, block);
		return 0;
	}
	rc = block > l->next_block ? read_blocks(l, block, err) : 0;
	if (!rc && n)
		append_image(l, in->value, block, (uint32_t)n);
	l->next_block = block + 1;
	return rc;
}

static int read_all(struct loader *l, struct pb_error *err)
{
	char from[5];
	int rc = 0;

	if (image_block_of(l->uidnext)) {
		l->image = pb_alloc(IMAGE_ROWS * sizeof l->image[0]);
		row_key(from, 'i', 0);
		rc = scan(l, pb_str(from, 5), PB_STR("j"), take_image, err);
	}
	if (!rc)
		rc = read_blocks(l, image_block_of(l->uidnext) + 1, err);
	row_key(from, 'b', 0);
	return rc ? rc : scan(l, pb_str(from, 5), PB_STR("c"), take_flags, err);
}

static void loader_clear(struct loader *l)
{
	free(l->image);
	for (size_t i = 0; i < l->nmade; i++)
		pb_buf_free(&l->made[i].value);
	free(l->made);
}

/* Folder lock; let go of while reading. */
static int load(struct folder *f, struct pb_error *err)
{
	struct loader l = { .f = f, .uidnext = f->newest->head.uidnext };
	struct pb_error local;
	int rc;

	if (!err)
		err = &local;
	f->loading = true;
	row_set_init_for(&l.rows, f->newest->head.messages);
	pthread_mutex_unlock(&f->lock);
	rc = read_all(&l, err);
	pthread_mutex_lock(&f->lock);
	if (!rc) {
		take_over(&l);
		images_write(f, l.made, l.nmade);
	} else {
		row_set_release(&l.rows);
	}
	loader_clear(&l);
	f->nlate = 0;
	pb_buf_reset(&f->late_heads);
	f->loading = false;
	pthread_cond_broadcast(&f->idle);
	return rc ? pb_because(err, "while reading folder %u of mailbox %s", f->number, f->account->id) : 0;
}

int folder_lock_rows(struct folder *f, struct pb_error *err)
{
	int rc = folder_lock(f, err);

	atomic_store_explicit(&f->touched, true, memory_order_relaxed);
	while (!rc && !f->newest->rows.table) {
		if (f->loading)
			pthread_cond_wait(&f->idle, &f->lock);
		else
			rc = load(f, err);
		if (!rc && atomic_load(&f->deleted))
			rc = pb_fail(err, PB_ENOTFOUND, "the folder was deleted");
		if (rc)
			pthread_mutex_unlock(&f->lock);
	}
	return rc;
}
