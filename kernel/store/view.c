/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Views: what a plugin may ask an immutable picture of a folder.
 * Leaves comparing two of them to view_diff.c and which picture is shown to host_folder.c.
 */
#include <stdlib.h>
#include <postbus/message.h>
#include "kernel/store/folder.h"

struct pb_view *view_new(struct mailstore *m)
{
	struct pb_view *v = pb_alloc(sizeof *v);

	v->handle.ops = atomic_load_explicit(&m->ops, memory_order_relaxed);
	v->m = m;
	atomic_init(&v->refs, 1);
	return v;
}

void view_ref(struct pb_view *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
}

void view_release(struct pb_view *v)
{
	if (atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	row_set_release(&v->rows);
	keywords_release(v->keywords);
	free(v);
}

struct pb_view *host_view_ref(struct pb_view *v)
{
	view_ref(v);
	return v;
}

void host_view_release(struct pb_view *v)
{
	view_release(v);
}

uint32_t host_view_count(const struct pb_view *v)
{
	return v->rows.n;
}

uint32_t host_view_uidnext(const struct pb_view *v)
{
	return v->head.uidnext;
}

uint32_t host_view_uidvalidity(const struct pb_view *v)
{
	return v->head.uidvalidity;
}

uint64_t host_view_modseq(const struct pb_view *v)
{
	return v->head.modseq;
}

const struct pb_row *host_view_row(const struct pb_view *v, uint32_t seq)
{
	return seq - 1 < v->rows.n ? row_set_row(&v->rows, seq - 1) : NULL;
}

const struct pb_row *host_view_run(const struct pb_view *v, uint32_t seq, uint32_t *ret_n)
{
	return seq - 1 < v->rows.n ? row_set_run(&v->rows, seq - 1, ret_n) : NULL;
}

uint32_t host_view_find(const struct pb_view *v, uint32_t uid)
{
	uint32_t index = row_set_at_least(&v->rows, uid);

	return index < v->rows.n && row_set_row(&v->rows, index)->uid == uid ? index + 1 : 0;
}

uint32_t host_view_at_least(const struct pb_view *v, uint32_t uid)
{
	uint32_t index = row_set_at_least(&v->rows, uid);

	return index < v->rows.n ? index + 1 : 0;
}

struct pb_str host_view_keyword(const struct pb_view *v, unsigned bit)
{
	if (bit < PB_KEYWORD_FIRST || !v->keywords || bit - PB_KEYWORD_FIRST >= v->keywords->n)
		return PB_NOSTR;
	return v->keywords->names[bit - PB_KEYWORD_FIRST];
}

int host_view_body(struct pb_view *v, uint32_t seq, struct pb_body **ret, struct pb_error *err)
{
	const struct where *w;
	struct pb_body *body;
	struct pb_str bytes;
	int rc;

	if (seq - 1 >= v->rows.n)
		return pb_fail(err, PB_ENOTFOUND, "no message %u", seq);
	w = row_set_where(&v->rows, seq - 1);
	body = body_new(v->handle.ops, v->m->engine, &w->body, pb_str(w->head, w->head_len), err);
	if (!body)
		return err ? err->code : PB_EINTERNAL;
	rc = host_body_parts(body, &bytes, &bytes, err);
	if (rc) {
		host_body_release(body);
		return rc;
	}
	*ret = body;
	return 0;
}

/* They were lost with a crash, which is no fault: they are made from the body. */
static int facts_again(struct pb_view *v, uint32_t seq, struct pb_buf *out, struct pb_error *err)
{
	const struct where *w = row_set_where(&v->rows, seq - 1);
	struct engine_body *body;
	int rc = engine_body_open(v->m->engine, &w->body, &body, err);

	if (rc)
		return pb_because(err, "message %u", row_set_row(&v->rows, seq - 1)->uid);
	pb_facts_make(engine_body_bytes(body), out);
	engine_body_close(body);
	return 0;
}

int host_view_facts(struct pb_view *v, uint32_t seq, struct pb_buf *out, struct pb_error *err)
{
	size_t before = out->len;

	if (seq - 1 >= v->rows.n)
		return pb_fail(err, PB_ENOTFOUND, "no message %u", seq);
	if (!engine_body_facts(v->m->engine, &row_set_where(&v->rows, seq - 1)->body, out, NULL) && out->len > before)
		return 0;
	out->len = before;
	return facts_again(v, seq, out, err);
}
