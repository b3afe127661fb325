/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who reads and writes which public folder: rows of one kind, and whom other plugins are asked about. */
#include "public.h"

static const struct pb_str readers_prefix = { "readers ", 8 };

/* Who is asked about words that begin so: KIND:WHAT. */
static const struct { struct pb_str kind; const char *method; } askers[] = { { { "list:", 5 }, "list.reader" } };
enum { ASKERS = sizeof askers / sizeof *askers };

void right_key(struct pb_buf *key, struct pb_str office, struct pb_str folder)
{
	pb_buf_addstr(key, office);
	pb_buf_addc(key, '\0');
	pb_buf_addstr(key, pb_str_head(folder, 400));
}

bool readers_are_good(struct pb_str readers)
{
	for (size_t i = 0; i < ASKERS; i++)
		if (pb_str_starts(readers, askers[i].kind) && readers.len > askers[i].kind.len)
			return true;
	return !readers.len;
}

int right_get(struct public *p, struct pb_str office, struct pb_str folder, struct pb_buf *value, struct pb_error *err)
{
	PB_AUTOBUF(key);
	int rc;

	right_key(&key, office, folder);
	rc = pb_table_get(p->offices, pb_buf_str(&key), value, err);
	if (rc == PB_ENOTFOUND)
		pb_buf_reset(value);
	return rc == PB_ENOTFOUND ? 0 : rc;
}

int right_put(struct public *p, struct pb_str office, struct pb_str folder, bool members, struct pb_str readers, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);

	right_key(&key, office, folder);
	if (readers.len)
		pb_buf_addstr(&value, readers_prefix);
	pb_buf_addstr(&value, readers.len ? readers : members ? PB_STR("members") : PB_NOSTR);
	return pb_table_apply(p->offices, &(struct pb_change){ value.len ? PB_PUT : PB_DELETE, pb_buf_str(&key), pb_buf_str(&value) }, 1, err);
}

bool right_writes(struct pb_str value)
{
	return pb_str_eq(value, PB_STR("members"));
}

struct pb_str right_readers(struct pb_str value)
{
	return pb_str_starts(value, readers_prefix) ? pb_str_skip(value, readers_prefix.len) : PB_NOSTR;
}

/* Where nobody can be asked, nobody reads. */
bool right_reads(struct public *p, struct pb_str value, struct pb_str address)
{
	struct pb_str readers = right_readers(value);
	bool may = !readers.len;

	for (size_t i = 0; i < ASKERS && !may; i++) {
		struct pb_str of = pb_str_skip(readers, askers[i].kind.len);
		json_t *params, *found = NULL;

		if (!pb_str_starts(readers, askers[i].kind))
			continue;
		params = json_pack("{s:s%, s:s%}", "of", of.len ? of.ptr : "", of.len, "address", address.len ? address.ptr : "", address.len);
		may = params && !pb_call(p->host, askers[i].method, params, &found, NULL) && json_is_true(json_object_get(found, "reader"));
		json_decref(params);
		json_decref(found);
	}
	return may;
}

/* ---- all of a post office ---- */

struct gather {
	json_t *rows;		/* folder: value */
	size_t skip;		/* of a key, until the folder's name */
	struct pb_buf next;
	size_t n;
};

static bool gather_one(void *arg, struct pb_str key, struct pb_str value)
{
	struct gather *g = arg;
	struct pb_str folder = pb_str_skip(key, g->skip);

	g->n++;
	pb_buf_reset(&g->next);
	pb_buf_addstr(&g->next, key);
	pb_buf_addc(&g->next, '\0');
	json_object_setn_new(g->rows, folder.ptr, folder.len, json_stringn(value.ptr, value.len));
	return true;
}

int rights_of(struct public *p, struct pb_str office, json_t **ret, struct pb_error *err)
{
	struct gather g = { .rows = json_object(), .skip = office.len + 1, .next = PB_BUF };
	PB_AUTOBUF(end);
	int rc;

	right_key(&g.next, office, PB_NOSTR);
	pb_buf_addstr(&end, office);
	pb_buf_addc(&end, '\1');
	do {
		g.n = 0;
		rc = pb_table_scan(p->offices, pb_buf_str(&g.next), pb_buf_str(&end), 0, gather_one, &g, err);
	} while (!rc && g.n);
	pb_buf_free(&g.next);
	if (rc)
		json_decref(g.rows);
	else
		*ret = g.rows;
	return rc;
}

/* ---- a folder gets another name, and what is below it too ---- */

static bool is_within(struct pb_str name, struct pb_str folder)
{
	return !folder.len || (pb_str_starts(name, folder) && (name.len == folder.len || name.ptr[folder.len] == '/'));
}

int rights_move(struct public *p, struct pb_str office, struct pb_str from, struct pb_str to, enum right_step step, struct pb_error *err)
{
	json_t *rows, *one;
	const char *name;
	size_t len;
	int rc = rights_of(p, office, &rows, err);

	if (rc)
		return rc;
	json_object_keylen_foreach(rows, name, len, one) {
		struct pb_str value = pb_str(json_string_value(one), json_string_length(one)), was = pb_str(name, len);
		PB_AUTOBUF(key);
		PB_AUTOBUF(folder);

		if (rc || !is_within(was, from))
			continue;
		pb_buf_addstr(&folder, to);
		pb_buf_addstr(&folder, pb_str_skip(was, from.len));
		right_key(&key, office, step == RIGHTS_COPY ? pb_buf_str(&folder) : was);
		rc = pb_table_apply(p->offices, &(struct pb_change){ step == RIGHTS_COPY ? PB_PUT : PB_DELETE, pb_buf_str(&key), step == RIGHTS_COPY ? value : PB_NOSTR }, 1, err);
	}
	json_decref(rows);
	return rc;
}
