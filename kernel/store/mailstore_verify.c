/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mailstore_verify: reads every mailbox and folder and says in words what does not fit. Changes nothing, and works while serving.
 * Leaves the bytes of records to engine_verify.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

struct verifying {
	struct mailstore *m;
	void (*tell)(void *arg, const char *finding);
	void *arg;
	uint64_t findings;
	const char *id;			/* mailbox */
	uint32_t number;		/* folder */
};

static void PB_PRINTF(2, 3) finding(struct verifying *v, const char *fmt, ...)
{
	PB_AUTOBUF(text);
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	pb_buf_addf(&text, "mailbox %s", v->id);
	if (v->number)
		pb_buf_addf(&text, ", folder %u", v->number);
	pb_buf_addf(&text, ": %s", what);
	v->findings++;
	if (v->tell)
		v->tell(v->arg, pb_buf_z(&text));
}

struct counting {
	struct row_set rows;
};

static void count_row(struct verifying *v, struct counting *c, const struct folder_head *h, const struct engine_row *in)
{
	struct pb_error err;
	struct body_id body;
	struct pb_str head;
	struct pb_row row;

	if (row_decode(in->key, in->value, &row, &body, &head, &err)) {
		finding(v, "%s", err.text);
		return;
	}
	if (!row.uid || row.uid >= h->uidnext)
		finding(v, "message %u is not below UIDNEXT %u", row.uid, h->uidnext);
	if (row.modseq > h->modseq)
		finding(v, "message %u has a MODSEQ above the folder's", row.uid);
	row_set_append(&c->rows, &row, &body, head);
}

static int scan_rows(struct verifying *v, struct folder *f, struct counting *c, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	char next[6] = "u";
	struct pb_str from = pb_str(next, 1);
	int rc;

	do {
		rc = engine_scan(v->m->engine, folder_entity(f), from, PB_STR("v"), 1000, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++)
			count_row(v, c, &f->newest->head, &page.rows[i]);
		if (!rc && page.n && page.rows[page.n - 1].key.len == 5) {
			memcpy(next, page.rows[page.n - 1].key.ptr, 5);
			next[5] = '\0';
			from = pb_str(next, 6);
		}
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	return rc;
}

/* An image says what the rows of its block say, to the byte. */
static int scan_images(struct verifying *v, struct folder *f, struct counting *c, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	struct pb_str from = PB_STR("i");
	PB_AUTOBUF(want);
	char next[6];
	int rc;

	do {
		rc = engine_scan(v->m->engine, folder_entity(f), from, PB_STR("j"), 100, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++) {
			struct pb_str key = page.rows[i].key;

			pb_buf_reset(&want);
			if (key.len == 5)
				image_encode(&c->rows, unpack_be32(key.ptr + 1), &want);
			if (!image_is_old(page.rows[i].value) && !pb_str_eq(pb_buf_str(&want), page.rows[i].value))
				finding(v, "an image of messages from %u on is not what their rows say", key.len == 5 ? unpack_be32(key.ptr + 1) << IMAGE_BITS : 0);
		}
		if (!rc && page.n) {
			size_t len = page.rows[page.n - 1].key.len;

			memcpy(next, page.rows[page.n - 1].key.ptr, len < 5 ? len : 5);
			next[len < 5 ? len : 5] = '\0';
			from = pb_str(next, (len < 5 ? len : 5) + 1);
		}
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	return rc;
}

static int scan_flags(struct verifying *v, struct folder *f, struct counting *c, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	char next[6] = "b";
	struct pb_str from = pb_str(next, 1);
	struct pb_error bad;
	int rc;

	do {
		rc = engine_scan(v->m->engine, folder_entity(f), from, PB_STR("c"), 1000, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++) {
			if (page.rows[i].key.len != 5)
				finding(v, "a flag block has an unknown key");
			else if (c->rows.n && flag_block_decode(&c->rows, unpack_be32(page.rows[i].key.ptr + 1), page.rows[i].value, &bad))
				finding(v, "%s", bad.text);
		}
		if (!rc && page.n && page.rows[page.n - 1].key.len == 5) {
			memcpy(next, page.rows[page.n - 1].key.ptr, 5);
			next[5] = '\0';
			from = pb_str(next, 6);
		}
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	return rc;
}

static void compare(struct verifying *v, struct folder *f, struct counting *c)
{
	const struct folder_head *h = &f->newest->head;
	uint32_t unseen = 0, deleted = 0, recent = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < c->rows.n; i++) {
		const struct pb_row *row = row_set_row(&c->rows, i);
		const struct where *w = row_set_where(&c->rows, i);

		unseen += !(row->flags & PB_SEEN);
		deleted += !!(row->flags & PB_DELETED);
		recent += row->uid >= h->first_recent;
		bytes += w->body.size + w->head_len;
		if (row->modseq > h->modseq)
			finding(v, "message %u has a MODSEQ above the folder's", row->uid);
	}
	if (h->messages != c->rows.n)
		finding(v, "%u messages, but %u counted", c->rows.n, h->messages);
	if (h->unseen != unseen)
		finding(v, "%u messages without \\Seen, but %u counted", unseen, h->unseen);
	if (h->deleted != deleted)
		finding(v, "%u messages with \\Deleted, but %u counted", deleted, h->deleted);
	if (h->recent != recent)
		finding(v, "%u recent messages, but %u counted", recent, h->recent);
	if (h->bytes != bytes)
		finding(v, "%llu bytes, but %llu counted", (unsigned long long)bytes, (unsigned long long)h->bytes);
	if (h->uidvalidity != f->uidvalidity)
		finding(v, "UIDVALIDITY %u, but %u in the list of folders", h->uidvalidity, f->uidvalidity);
}

/* Rows whose body cannot be read, unless they were expunged meanwhile. */
static int bodies(struct verifying *v, struct folder *f, const struct row_set *rows, struct pb_error *err)
{
	for (uint32_t i = 0; i < rows->n; i++) {
		uint32_t uid = row_set_row(rows, i)->uid;
		struct engine_body *body;
		PB_AUTOBUF(value);
		struct pb_error bad;
		char key[5];
		int rc = engine_body_open(v->m->engine, &row_set_where(rows, i)->body, &body, &bad);

		if (!rc) {
			engine_body_close(body);
			continue;
		}
		row_key(key, 'u', uid);
		rc = engine_get(v->m->engine, folder_entity(f), pb_str(key, 5), &value, err);
		if (rc == PB_ENOTFOUND)
			continue;
		if (rc)
			return rc;
		finding(v, "the body of message %u cannot be read: %s", uid, bad.text);
	}
	return 0;
}

static int verify_folder(struct verifying *v, struct folder *f, struct pb_error *err)
{
	struct counting c = { 0 };
	int rc = folder_lock(f, err);

	/* Deleted meanwhile: nothing to say. */
	if (rc)
		return rc == PB_ENOTFOUND ? 0 : rc;
	row_set_init(&c.rows);
	rc = scan_rows(v, f, &c, err);
	if (!rc)
		rc = scan_images(v, f, &c, err);
	if (!rc)
		rc = scan_flags(v, f, &c, err);
	if (!rc)
		compare(v, f, &c);
	pthread_mutex_unlock(&f->lock);
	if (!rc)
		rc = bodies(v, f, &c.rows, err);
	row_set_release(&c.rows);
	return rc;
}

static int verify_folders(struct verifying *v, struct account *a, struct pb_error *err)
{
	uint32_t last = 0;
	int rc = 0;

	/* By number, so that what comes and goes meanwhile does not matter. */
	while (!rc) {
		struct entry *next = NULL;
		struct folder *f = NULL;

		pthread_mutex_lock(&a->lock);
		for (size_t i = 0; i < a->nentries; i++) {
			struct entry *e = a->entries[i];

			if (e->number > last && !(e->attributes & PB_FOLDER_NOSELECT) && (!next || e->number < next->number))
				next = e;
		}
		if (next) {
			last = v->number = next->number;
			rc = folder_get(a, next, &f, err);
			if (rc == PB_ECORRUPT) {
				finding(v, "%s", err->text);
				rc = 0;
				f = NULL;
			}
		}
		pthread_mutex_unlock(&a->lock);
		if (!next)
			break;
		if (!rc && f)
			rc = verify_folder(v, f, err);
		if (f)
			folder_release(f);
	}
	v->number = 0;
	return rc;
}

static int verify_account(struct verifying *v, struct pb_str entity, struct pb_error *err)
{
	char id[MAILBOX_ID_MAX + 1];
	struct account *a;
	int rc;

	if (entity.len - 2 > MAILBOX_ID_MAX)
		return 0;
	memcpy(id, entity.ptr + 2, entity.len - 2);
	id[entity.len - 2] = '\0';
	v->id = id;
	rc = account_get(v->m, pb_strz(id), true, &a, err);
	if (rc == PB_ECORRUPT) {
		finding(v, "%s", err->text);
		return 0;
	}
	if (rc)
		return rc;
	if (a->destroyed)
		finding(v, "its removal was not finished");
	else
		rc = verify_folders(v, a, err);
	account_release(a);
	return rc;
}

int mailstore_verify(struct mailstore *m, void (*tell)(void *arg, const char *finding), void *arg, uint64_t *ret_findings, struct pb_error *err)
{
	struct verifying v = { .m = m, .tell = tell, .arg = arg };
	struct engine_page page = ENGINE_PAGE;
	struct pb_error local;
	PB_AUTOBUF(after);
	int rc;

	if (!err)
		err = &local;
	do {
		rc = engine_entities(m->engine, PB_STR("m/"), pb_buf_str(&after), 1000, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++)
			rc = verify_account(&v, page.rows[i].key, err);
		if (!rc && page.n) {
			pb_buf_reset(&after);
			pb_buf_addstr(&after, page.rows[page.n - 1].key);
		}
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	if (!rc && ret_findings)
		*ret_findings = v.findings;
	return rc;
}
