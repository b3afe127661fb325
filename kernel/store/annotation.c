/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * host_annotation*: words about a folder or about the whole mailbox (RFC 5464), rows of the account: a<number><entry>, number 0 being the mailbox. They go when
 * the folder's messages are purged. Leaves to plugins what an entry means and who may have it.
 */
#include "kernel/store/folder.h"

enum { KEY_FIXED = 5, ENTRY_MAX = 255, ANNOTATION_MAX = 16384, ANNOTATIONS_MAX = 1000 };

/* "/shared/comment": two components or more, ASCII without wildcards. The row's key in the arena, in lower case. */
static int key_make(uint32_t number, struct pb_str entry, struct pb_arena *arena, struct pb_str *ret, struct pb_error *err)
{
	char *key = pb_arena_alloc(arena, KEY_FIXED + entry.len + 1);
	bool good = entry.len <= ENTRY_MAX && (pb_str_istarts(entry, PB_STR("/private/")) || pb_str_istarts(entry, PB_STR("/shared/")));

	for (size_t i = 0; good && i < entry.len; i++) {
		unsigned char c = (unsigned char)entry.ptr[i];

		good = c > ' ' && c < 0x7F && c != '*' && c != '%' && !(c == '/' && (i + 1 == entry.len || entry.ptr[i + 1] == '/'));
		key[KEY_FIXED + i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	if (!good)
		return pb_fail(err, PB_EINVALID, "an annotation's name begins with /private/ or /shared/ and has at most %d characters of ASCII, without * and %%", ENTRY_MAX);
	row_key(key, 'a', number);
	*ret = pb_str(key, KEY_FIXED + entry.len);
	return 0;
}

/* Account lock: the number of a folder, 0 for the mailbox. */
static int number_of(struct pb_mailbox *mb, struct pb_str in, uint32_t *ret, struct pb_error *err)
{
	char room[FOLDER_NAME_MAX];
	struct pb_str name;
	struct entry *e;
	int rc;

	*ret = 0;
	if (!mb->account->exists || mb->account->destroyed)
		return pb_fail(err, PB_ENOTFOUND, "the mailbox was removed");
	if (!in.len)
		return 0;
	rc = name_canonical(in, room, &name, err);
	if (rc)
		return rc;
	e = account_find(mb->account, name);
	if (!e || e->attributes & PB_FOLDER_NOSELECT)
		return pb_fail(err, PB_ENOTFOUND, "no folder '%.*s'", PB_FMT(name));
	*ret = e->number;
	return 0;
}

static int folder_number(struct pb_mailbox *mb, struct pb_str folder, uint32_t *ret, struct pb_error *err)
{
	int rc;

	pthread_mutex_lock(&mb->account->lock);
	rc = number_of(mb, folder, ret, err);
	pthread_mutex_unlock(&mb->account->lock);
	return rc;
}

uint32_t host_annotations_count(struct pb_mailbox *mb)
{
	return atomic_load(&mb->account->annotations);
}

int host_annotation_get(struct pb_mailbox *mb, struct pb_str folder, struct pb_str entry, struct pb_buf *value, struct pb_error *err)
{
	struct account *a = mb->account;
	struct pb_arena *arena = pb_arena_new();
	char entity[ENTITY_MAX];
	struct pb_str key;
	uint32_t number;
	int rc = folder_number(mb, folder, &number, err);

	if (!rc)
		rc = key_make(number, entry, arena, &key, err);
	if (!rc)
		rc = atomic_load(&a->annotations) ? engine_get(a->m->engine, account_entity(a, entity), key, value, err) : PB_ENOTFOUND;
	pb_arena_free(arena);
	return rc == PB_ENOTFOUND ? pb_fail(err, PB_ENOTFOUND, "no such annotation") : rc;
}

/* ---- many: page by page, over rows a<number>... ---- */

static int each(struct account *a, uint32_t number, struct engine_page *page, struct pb_buf *from, struct pb_error *err)
{
	char entity[ENTITY_MAX], first[KEY_FIXED], last[KEY_FIXED];
	int rc;

	row_key(first, 'a', number);
	row_key(last, 'a', number + 1);
	rc = engine_scan(a->m->engine, account_entity(a, entity), from->len ? pb_buf_str(from) : pb_str(first, KEY_FIXED), pb_str(last, KEY_FIXED), 100, page, err);
	if (!rc && page->n) {
		pb_buf_reset(from);
		pb_buf_addstr(from, page->rows[page->n - 1].key);
		pb_buf_addc(from, '\0');
	}
	return rc;
}

int host_annotation_list(struct pb_mailbox *mb, struct pb_str folder, bool (*visit)(void *arg, const struct pb_annotation *one), void *arg, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	PB_AUTOBUF(from);
	uint32_t number;
	bool more = host_annotations_count(mb) > 0;
	int rc = folder_number(mb, folder, &number, err);

	while (!rc && more) {
		rc = each(mb->account, number, &page, &from, err);
		for (size_t i = 0; !rc && more && i < page.n; i++) {
			struct pb_annotation one = { pb_str_skip(page.rows[i].key, KEY_FIXED), page.rows[i].value };

			more = visit(arg, &one);
		}
		more &= page.more && page.n;
	}
	engine_page_free(&page);
	return rc;
}

int annotation_keys(struct account *a, uint32_t number, struct pb_arena *arena, struct pb_str **ret, size_t *ret_n, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	PB_AUTOBUF(from);
	bool more = atomic_load(&a->annotations) > 0;
	int rc = 0;

	*ret_n = 0;
	*ret = pb_arena_alloc(arena, (ANNOTATIONS_MAX + 2) * sizeof **ret);
	while (!rc && more) {
		rc = each(a, number, &page, &from, err);
		for (size_t i = 0; !rc && i < page.n && *ret_n < ANNOTATIONS_MAX; i++)
			(*ret)[(*ret_n)++] = pb_arena_str(arena, page.rows[i].key);
		more = page.more && page.n && *ret_n < ANNOTATIONS_MAX;
	}
	engine_page_free(&page);
	return rc;
}

/* ---- change ---- */

struct change {
	struct pb_arena *arena;
	struct engine_row *put;
	struct pb_str *remove;
	size_t nput, nremove;
	int64_t more;			/* rows there will be more */
};

static int change_one(struct account *a, struct change *c, uint32_t number, const struct pb_annotation *one, struct pb_error *err)
{
	char entity[ENTITY_MAX];
	PB_AUTOBUF(was);
	struct pb_str key;
	int rc = key_make(number, one->entry, c->arena, &key, err);

	if (!rc && one->value.len > ANNOTATION_MAX)
		rc = pb_fail(err, PB_ETOOBIG, "an annotation has at most %d bytes", ANNOTATION_MAX);
	for (size_t i = 0; !rc && i < c->nput + c->nremove; i++)
		if (pb_str_eq(i < c->nput ? c->put[i].key : c->remove[i - c->nput], key))
			rc = pb_fail(err, PB_EINVALID, "one annotation is named twice");
	if (rc)
		return rc;
	rc = engine_get(a->m->engine, account_entity(a, entity), key, &was, err);
	if (rc && rc != PB_ENOTFOUND)
		return rc;
	if (one->value.ptr) {
		c->more += rc == PB_ENOTFOUND;
		c->put[c->nput++] = (struct engine_row){ key, one->value };
	} else if (!rc) {
		c->more--;
		c->remove[c->nremove++] = key;
	}
	return 0;
}

static int change_locked(struct pb_mailbox *mb, struct change *c, struct pb_str folder, const struct pb_annotation *list, size_t n, engine_ticket *ret, struct pb_error *err)
{
	struct account *a = mb->account;
	uint32_t number;
	int rc = number_of(mb, folder, &number, err);

	for (size_t i = 0; !rc && i < n; i++)
		rc = change_one(a, c, number, &list[i], err);
	if (!rc && c->more > 0 && (int64_t)atomic_load(&a->annotations) + c->more > ANNOTATIONS_MAX)
		rc = pb_fail(err, PB_EQUOTA, "a mailbox has at most %d annotations", ANNOTATIONS_MAX);
	if (!rc && c->nput + c->nremove)
		rc = account_apply(a, c->put, c->nput, c->remove, c->nremove, err);
	if (rc)
		return rc;
	atomic_fetch_add(&a->annotations, (uint32_t)c->more);
	*ret = a->ticket;
	return 0;
}

int host_annotation_set(struct pb_mailbox *mb, struct pb_str folder, const struct pb_annotation *list, size_t n, struct pb_error *err)
{
	struct change c = { 0 };
	engine_ticket ticket = 0;
	int rc = host_may(mb->host, RIGHT_MAIL_WRITE, err);

	if (!rc && n > ANNOTATIONS_MAX)
		rc = pb_fail(err, PB_EQUOTA, "a mailbox has at most %d annotations", ANNOTATIONS_MAX);
	if (rc)
		return rc;
	c.arena = pb_arena_new();
	c.put = pb_arena_alloc(c.arena, (n + 1) * sizeof c.put[0]);
	c.remove = pb_arena_alloc(c.arena, (n + 1) * sizeof c.remove[0]);
	pthread_mutex_lock(&mb->account->lock);
	rc = change_locked(mb, &c, folder, list, n, &ticket, err);
	pthread_mutex_unlock(&mb->account->lock);
	pb_arena_free(c.arena);
	return rc ? rc : engine_wait(mb->account->m->engine, ticket, err);
}
