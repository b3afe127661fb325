/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the journal holds: new bodies as the records that they are in their segments, and batches with the version that they gave their entity. A start writes the
 * bodies to their places and applies again what the index does not have; while serving, whatever was journaled is brought home once for each half of the journal.
 */
#include "kernel/store/engine_bdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/store/pack.h"

enum { ITEM_BODY = 1, ITEM_BATCH = 2, PLACE_BYTES = 12, BATCH_VERSION = 2, HAS_HEADER = 1 };

/* ---- batches as bytes ---- */

static void put_str(struct pb_buf *out, struct pb_str s)
{
	pack_varint(out, s.len);
	pb_buf_addstr(out, s);
}

static void put_id(struct pb_buf *out, const struct body_id *id)
{
	char bytes[ID_PACKED_MAX];

	pb_buf_add(out, bytes, pack_id(bytes, id) - bytes);
}

/* From batch to batch few bytes of a header change: what it has in common with the one before is told by lengths. */
static void put_header(struct pb_buf *out, struct pb_str header, const struct header_change *same)
{
	pack_varint(out, same->front);
	pack_varint(out, same->back);
	put_str(out, pb_str(header.ptr + same->front, header.len - same->front - same->back));
}

void bdb_journal_batch(struct pb_buf *out, const struct engine_batch *batch, uint64_t version, const struct header_change *same, const char *fresh)
{
	pb_buf_reset(out);
	pb_buf_addc(out, BATCH_VERSION);
	pb_buf_addc(out, batch->header ? HAS_HEADER : 0);
	put_str(out, batch->entity);
	pack_varint(out, version);
	if (batch->header)
		put_header(out, *batch->header, same);
	pack_varint(out, batch->nremove);
	for (size_t i = 0; i < batch->nremove; i++)
		put_str(out, batch->remove[i]);
	pack_varint(out, batch->nput);
	for (size_t i = 0; i < batch->nput; i++) {
		put_str(out, batch->put[i].key);
		put_str(out, batch->put[i].value);
	}
	pack_varint(out, batch->nref);
	for (size_t i = 0; i < batch->nref; i++) {
		pb_buf_addc(out, fresh[i]);
		put_id(out, &batch->ref[i]);
	}
	pack_varint(out, batch->nunref);
	for (size_t i = 0; i < batch->nunref; i++)
		put_id(out, &batch->unref[i]);
}

/* A batch that was read; its arrays are owned, its strings lie in the item. */
struct again {
	struct engine_batch batch;
	uint64_t version;
	struct pb_str header;		/* what is new of it */
	uint64_t front, back;		/* bytes that are as before */
	struct engine_row *put;
	struct pb_str *remove;
	struct body_id *ref, *unref;
	bool *fresh;
};

static void again_free(struct again *a)
{
	free(a->put);
	free(a->remove);
	free(a->ref);
	free(a->unref);
	free(a->fresh);
}

static bool get_str(struct pb_str *in, struct pb_str *ret)
{
	uint64_t len;

	if (!unpack_varint(in, &len) || len > in->len)
		return false;
	*ret = pb_str_head(*in, len);
	*in = pb_str_skip(*in, len);
	return true;
}

static bool get_header(struct pb_str *in, struct again *a)
{
	return unpack_varint(in, &a->front) && unpack_varint(in, &a->back) && get_str(in, &a->header);
}

/* Each takes a byte at least, so that the count is bounded by what is there. */
static bool get_count(struct pb_str *in, size_t *ret)
{
	uint64_t n;

	if (!unpack_varint(in, &n) || n > in->len)
		return false;
	*ret = n;
	return true;
}

static bool again_refs(struct again *a, struct pb_str *in)
{
	struct engine_batch *b = &a->batch;

	if (!get_count(in, &b->nref))
		return false;
	a->ref = pb_alloc((b->nref + 1) * sizeof(*a->ref));
	a->fresh = pb_alloc(b->nref + 1);
	for (size_t i = 0; i < b->nref; i++) {
		a->fresh[i] = in->len && *in->ptr;
		*in = pb_str_skip(*in, 1);
		if (!unpack_id(in, &a->ref[i]))
			return false;
	}
	if (!get_count(in, &b->nunref))
		return false;
	a->unref = pb_alloc((b->nunref + 1) * sizeof(*a->unref));
	for (size_t i = 0; i < b->nunref; i++)
		if (!unpack_id(in, &a->unref[i]))
			return false;
	b->ref = a->ref;
	b->unref = a->unref;
	return true;
}

static bool again_read(struct again *a, struct pb_str in)
{
	struct engine_batch *b = &a->batch;

	if (in.len < 2 || in.ptr[0] != BATCH_VERSION)
		return false;
	b->header = in.ptr[1] & HAS_HEADER ? &a->header : NULL;
	b->expect = ENGINE_ANY;
	in = pb_str_skip(in, 2);
	if (!get_str(&in, &b->entity) || b->entity.len > 64 || !unpack_varint(&in, &a->version) || (b->header && !get_header(&in, a)) ||
	    !get_count(&in, &b->nremove))
		return false;
	a->remove = pb_alloc((b->nremove + 1) * sizeof(*a->remove));
	b->remove = a->remove;
	for (size_t i = 0; i < b->nremove; i++)
		if (!get_str(&in, &a->remove[i]))
			return false;
	if (!get_count(&in, &b->nput))
		return false;
	a->put = pb_alloc((b->nput + 1) * sizeof(*a->put));
	b->put = a->put;
	for (size_t i = 0; i < b->nput; i++)
		if (!get_str(&in, &a->put[i].key) || !get_str(&in, &a->put[i].value))
			return false;
	return again_refs(a, &in) && in.len == 0;
}

/* ---- frames ---- */

void bdb_journal_add(struct bdb *b, struct pb_str entry)
{
	journal_add(&b->journal, ITEM_BATCH, entry);
}

static int add_body(struct bdb *b, const struct segment_news *news)
{
	char *at = journal_item(&b->journal, ITEM_BODY, PLACE_BYTES + news->bytes);

	le32_put(at, news->segment->number);
	le64_put(at + 4, news->offset);
	for (uint64_t done = 0; done < news->bytes;) {
		ssize_t n = pread(news->segment->fd, at + PLACE_BYTES + done, news->bytes - done, news->offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : EIO;
		done += n;
	}
	return 0;
}

/* The frame's batches were taken; these are the bodies. All that was journaled is brought home instead where it does not fit. 0 or errno. */
int bdb_journal_write(struct bdb *b, const struct segment_news *list, size_t n, bool flush)
{
	struct journal *j = &b->journal;
	int errnum = 0;

	for (size_t i = 0; i < n && !errnum; i++)
		errnum = add_body(b, &list[i]);
	if (errnum || journal_frame_empty(j))
		return errnum;
	enum journal_fit fit = journal_fit(j);
	if (fit == JOURNAL_TOO_LARGE)
		return bdb_bring_home(b, true);
	if (fit == JOURNAL_MUST_TURN) {
		errnum = bdb_bring_home(b, false);
		fit = journal_fit(j);
	}
	if (!errnum)
		errnum = journal_write(j, flush);
	/* Soon, so that the next half is free when this one is full. A call that is missed comes again with the next frame. */
	if (!errnum && journal_is_behind(j))
		pthread_cond_signal(&b->keeper_work);
	return errnum;
}

/* ---- home ---- */

int bdb_keep_log(struct bdb *b, uint32_t file)
{
	if (atomic_load(&b->kept_log) >= file)
		return 0;
	if (fsync(b->db_dir))
		return errno;
	atomic_store(&b->kept_log, file);
	return 0;
}

int bdb_flush_log(struct bdb *b)
{
	DB_LSN lsn;
	int r = bdb_log_flush_record(b, &lsn);

	/* The record tells in which file the log ended. */
	if (!r)
		r = b->env->log_flush(b->env, &lsn);
	return r ? r : bdb_keep_log(b, lsn.file);
}

int bdb_bring_home(struct bdb *b, bool all)
{
	size_t n;
	int r = 0;

	pthread_mutex_lock(&b->home_lock);
	if (all || journal_is_behind(&b->journal)) {
		/* Frames that are written from here on stay. */
		struct journal_place place = journal_place(&b->journal, all);

		/* Segments and index as they are now become durable by themselves. */
		r = segments_flush(&b->segments, fdatasync, &n);
		if (!r)
			r = bdb_flush_log(b);
		if (!r)
			r = journal_move_base(&b->journal, place);
	}
	pthread_mutex_unlock(&b->home_lock);
	if (r) {
		char why[160];

		snprintf(why, sizeof(why), "flushing segments and index of %s: %s", b->dir, db_strerror(r));
		bdb_set_failed(b, why);
	}
	return r;
}

int bdb_settle(struct bdb *b, struct pb_error *err)
{
	int r = bdb_wait(&b->base, atomic_load(&b->committer.issued), err);

	if (!r && bdb_bring_home(b, true))
		r = bdb_failed(b, err);
	return r;
}

/* ---- the start ---- */

static int write_whole(int fd, struct pb_str bytes, uint64_t at)
{
	while (bytes.len) {
		ssize_t n = pwrite(fd, bytes.ptr, bytes.len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : ENOSPC;
		bytes = pb_str_skip(bytes, n);
		at += n;
	}
	return 0;
}

/* Segments that are gone were emptied and removed after their bodies had come home. */
static int body_again(struct bdb *b, struct pb_str item, struct pb_error *err)
{
	uint32_t number = item.len > PLACE_BYTES ? le32_get(item.ptr) : 0;
	uint64_t at = number ? le64_get(item.ptr + 4) : 0;
	struct pb_str bytes = pb_str_skip(item, PLACE_BYTES);
	char name[32];

	struct segment *g = segments_pin(&b->segments, number);
	if (!g)
		return 0;
	segment_name(number, "seg", name);
	int fd = openat(b->segments.dirfd, name, O_RDWR | O_CLOEXEC);
	int errnum = fd < 0 ? errno : at > g->size || bytes.len > g->size - at ? EIO : write_whole(fd, bytes, at);
	if (!errnum && fdatasync(fd))
		errnum = errno;
	if (fd >= 0)
		close(fd);
	segment_unpin(&b->segments, g);
	return errnum ? pb_fail_errno(err, errnum, "bringing a body from the journal to segment %" PRIu32, number) : 0;
}

int bdb_journal_bodies(struct bdb *b, struct pb_error *err)
{
	struct pb_str item;
	unsigned type;
	int r = 0;

	for (size_t at = 0; !r && journal_found(&b->journal, &at, &type, &item);)
		if (type == ITEM_BODY)
			r = body_again(b, item, err);
	return r;
}

/* Is every body whole that the batch made live? One that was too large for the journal may not be: then nobody was told of the batch, nor of any after it. */
static bool bodies_whole(struct bdb *b, const struct again *a)
{
	for (size_t i = 0; i < a->batch.nref; i++)
		if (a->fresh[i] && !bdb_body_whole(b, &a->batch.ref[i]))
			return false;
	return true;
}

/* The whole header, from what it was before and what is new. */
static bool again_header(struct again *a, struct pb_str before, struct pb_buf *whole)
{
	if (a->front > before.len || a->back > before.len - a->front)
		return false;
	pb_buf_addstr(whole, pb_str_head(before, a->front));
	pb_buf_addstr(whole, a->header);
	pb_buf_addstr(whole, pb_str_skip(before, before.len - a->back));
	a->header = pb_buf_str(whole);
	return true;
}

static int batch_again(struct bdb *b, struct pb_str item, bool doubt, bool *ret_more, struct pb_error *err)
{
	struct again a = { .batch = { .entity = PB_NOSTR } };
	PB_AUTOBUF(before);
	PB_AUTOBUF(header);
	uint64_t version;
	int r;

	if (!again_read(&a, item)) {
		again_free(&a);
		return pb_fail(err, PB_ECORRUPT, "a batch in %s/journal has an unknown form", b->dir);
	}
	r = bdb_head(&b->base, a.batch.entity, &version, &before, err);
	if (!r && a.version > version) {
		*ret_more = !doubt || bodies_whole(b, &a);
		if (a.version != version + 1 || !again_header(&a, pb_buf_str(&before), &header))
			r = pb_fail(err, PB_ECORRUPT, "%s/journal goes on from version %" PRIu64 " of %.*s, and the index has %" PRIu64, b->dir, a.version - 1,
				PB_FMT(a.batch.entity), version);
		for (size_t i = 0; !r && *ret_more && i < a.batch.nref; i++)
			if (a.fresh[i])
				bdb_set_fresh(b, &a.batch.ref[i], true);
		if (!r && *ret_more)
			r = bdb_apply_again(b, &a.batch, err);
	}
	again_free(&a);
	return r;
}

int bdb_journal_batches(struct bdb *b, struct pb_error *err)
{
	/* The flush of the last frame may not have ended; those before it have. */
	bool doubt = bdb_durable_noted(b) < journal_last(&b->journal), more = true;
	struct pb_str item;
	unsigned type;
	int r = 0;

	for (size_t at = 0, from = 0; !r && more && journal_found(&b->journal, &at, &type, &item); from = at)
		if (type == ITEM_BATCH)
			r = batch_again(b, item, doubt && from >= b->journal.last_found, &more, err);
	if (!r && b->env->txn_checkpoint(b->env, 0, 0, 0))
		r = pb_fail(err, PB_EINTERNAL, "writing a checkpoint of %s failed", b->dir);
	/* What it says may lie in a log file that is new. */
	if (!r && fsync(b->db_dir))
		r = pb_fail_errno(err, errno, "flushing %s/db", b->dir);
	return r;
}
