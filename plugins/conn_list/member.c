/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Members as rows: one each, under their list's id, so that a hundred thousand of them are read in pages and changed one by one. */
#include <postbus/address.h>
#include "list.h"

enum { BATCH = 500 };

const char *const delivery_names[DELIVERIES] = { "each", "mime", "plain", "none" };

static void prefix(struct pb_buf *key, const struct list *l)
{
	pb_buf_addstr(key, l->id);
	pb_buf_addc(key, '\0');
}

static int key_of(struct pb_buf *key, const struct list *l, struct pb_str address, struct pb_error *err)
{
	prefix(key, l);
	if (pb_address_parse(address, PB_PATH_UTF8, NULL, err))
		return pb_because(err, "'%.*s' is no address", PB_FMT(pb_str_head(address, 100)));
	return pb_address_key(key, address, err);
}

int member_get(struct lists *all, const struct list *l, struct pb_str address, json_t **ret_row, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	int rc = key_of(&key, l, address, err);

	if (!rc)
		rc = pb_table_get(all->members, pb_buf_str(&key), &value, err);
	if (rc)
		return rc == PB_ENOTFOUND ? pb_fail(err, rc, "'%.*s' is no member of %.*s", PB_FMT(pb_str_head(address, 100)), PB_FMT(l->address)) : rc;
	*ret_row = json_loadb(value.ptr, value.len, 0, NULL);
	return *ret_row ? 0 : pb_fail(err, PB_ECORRUPT, "the row of '%.*s' is damaged", PB_FMT(pb_str_head(address, 100)));
}

int member_new(struct lists *all, struct pb_str address, struct pb_str name, enum delivery delivery, json_t **ret_row, struct pb_error *err)
{
	PB_AUTOBUF(normal);

	if (pb_address_parse(address, PB_PATH_UTF8, NULL, err) || pb_address_normal(&normal, address, err))
		return pb_because(err, "'%.*s' is no address", PB_FMT(pb_str_head(address, 100)));
	*ret_row = json_pack("{s:s, s:s, s:I}", "address", pb_buf_z(&normal), "delivery", delivery_names[delivery], "since", (json_int_t)pb_now(all->host));
	if (name.len)
		set_text(*ret_row, "name", pb_str_head(name, 200));
	return *ret_row ? 0 : pb_fail(err, PB_EINVALID, "the address is no UTF-8");
}

int member_put(struct lists *all, const struct list *l, const json_t *row, struct pb_error *err)
{
	char *text;
	PB_AUTOBUF(key);
	int rc = key_of(&key, l, pb_text_of(row, "address"), err);

	if (rc)
		return rc;
	text = json_dumps(row, JSON_COMPACT);
	rc = pb_table_apply(all->members, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_strz(text) }, 1, err);
	free(text);
	return rc;
}

/* Where it stands that somebody was brought here: behind all members of the list. */
static void brought_key(struct pb_buf *key, const struct list *l, struct pb_str member)
{
	pb_buf_addstr(key, l->id);
	pb_buf_addc(key, '\1');
	pb_buf_addstr(key, pb_str_skip(member, l->id.len + 1));
}

static bool has_row(struct lists *all, struct pb_str key)
{
	PB_AUTOBUF(value);

	return pb_table_get(all->members, key, &value, NULL) == 0;
}

int members_add(struct lists *all, const struct list *l, json_t *const *rows, size_t n, struct arrivals *a, struct pb_error *err)
{
	struct pb_arena *arena = pb_arena_new();
	struct pb_change *changes = pb_alloc((BATCH + 1) * sizeof *changes);
	json_t *seen = json_object();	/* keys: somebody may be among the rows twice */
	size_t filled = 0;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		bool known, brought;
		PB_AUTOBUF(key);
		PB_AUTOBUF(mark);

		rc = key_of(&key, l, pb_text_of(rows[i], "address"), err);
		if (rc)
			break;
		brought_key(&mark, l, pb_buf_str(&key));
		known = json_object_getn(seen, key.ptr, key.len) || has_row(all, pb_buf_str(&key));
		brought = a->once && !json_object_getn(seen, key.ptr, key.len) && has_row(all, pb_buf_str(&mark));
		json_object_setn_new(seen, key.ptr, key.len, json_true());
		if (a->once && !brought)
			changes[filled++] = (struct pb_change){ PB_PUT, pb_arena_str(arena, pb_buf_str(&mark)), PB_STR("1") };
		if (known) {
			a->known++;
		} else if (brought) {
			a->left++;
		} else {
			char *text = json_dumps(rows[i], JSON_COMPACT);

			changes[filled++] = (struct pb_change){ PB_PUT, pb_arena_str(arena, pb_buf_str(&key)), pb_arena_str(arena, pb_strz(text)) };
			free(text);
		}
		if (filled < BATCH)
			continue;
		rc = pb_table_apply(all->members, changes, filled, err);
		filled = 0;
		pb_arena_reset(arena);
	}
	if (!rc && filled)
		rc = pb_table_apply(all->members, changes, filled, err);
	json_decref(seen);
	pb_arena_free(arena);
	free(changes);
	return rc;
}

int member_remove(struct lists *all, const struct list *l, struct pb_str address, struct pb_error *err)
{
	json_t *row;
	PB_AUTOBUF(key);
	int rc = member_get(all, l, address, &row, err);

	if (rc && rc != PB_ECORRUPT)
		return rc;
	if (!rc)
		json_decref(row);
	rc = key_of(&key, l, address, err);
	return rc ? rc : pb_table_apply(all->members, &(struct pb_change){ PB_DELETE, pb_buf_str(&key), PB_NOSTR }, 1, err);
}

/* ---- many ---- */

const json_t *member_row(const struct member *m)
{
	if (!*m->row)
		*m->row = json_loadb(m->text.ptr, m->text.len, 0, NULL);
	return *m->row;
}

/*
 * Of a hundred thousand rows a post needs a few words each, and making JSON values of them all takes most of its time. So what member_put wrote, compact and mostly
 * without escapes, is looked through as text; what has another form is read whole.
 */
enum found { FOUND_NOT, FOUND, FOUND_UNSURE };

/* The end of a value that begins at i; 0: it has none. */
static size_t value_end(struct pb_str text, size_t i)
{
	const char *quote = i < text.len && text.ptr[i] == '"' ? memchr(text.ptr + i + 1, '"', text.len - i - 1) : NULL;
	unsigned depth = 0;

	/* Most are plain texts. */
	if (quote && quote[-1] != '\\')
		i = (size_t)(quote - text.ptr) + 1;
	for (bool quoted = false; i < text.len; i++) {
		char c = text.ptr[i];

		if (quoted) {
			i += c == '\\';
			quoted = c != '"';
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if ((c == ',' || c == '}' || c == ']') && depth == 0) {
			return i;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return 0;
}

static enum found find_value(struct pb_str text, const char *key, struct pb_str *ret)
{
	size_t at = 1, len = strlen(key);

	if (text.len < 2 || text.ptr[0] != '{')
		return FOUND_UNSURE;
	while (at < text.len && text.ptr[at] == '"') {
		long end = pb_str_find(text, '"', at + 1);
		size_t value = end < 0 ? 0 : (size_t)end + 2, next = end < 0 || text.ptr[end - 1] == '\\' ? 0 : value_end(text, value);

		if (!next || text.ptr[end + 1] != ':')
			return FOUND_UNSURE;
		if ((size_t)end - at - 1 == len && memcmp(text.ptr + at + 1, key, len) == 0) {
			*ret = pb_str(text.ptr + value, next - value);
			return FOUND;
		}
		if (text.ptr[next] == '}')
			return next == text.len - 1 ? FOUND_NOT : FOUND_UNSURE;
		at = next + 1;
	}
	return FOUND_UNSURE;
}

struct pb_str member_text(const struct member *m, const char *key)
{
	struct pb_str value = PB_NOSTR;
	enum found found = *m->row ? FOUND_UNSURE : find_value(m->text, key, &value);

	if (found == FOUND_NOT)
		return PB_NOSTR;
	if (found == FOUND_UNSURE || value.len < 2 || value.ptr[0] != '"' || memchr(value.ptr, '\\', value.len))
		return pb_text_of(member_row(m), key);
	return pb_str(value.ptr + 1, value.len - 2);
}

bool member_flag(const struct member *m, const char *key)
{
	struct pb_str value;
	enum found found = *m->row ? FOUND_UNSURE : find_value(m->text, key, &value);

	return found == FOUND_UNSURE ? flag_of(member_row(m), key) : found == FOUND && pb_str_eq(value, PB_STR("true"));
}

static void describe(struct member *m, struct pb_str key, struct pb_str text, json_t **row)
{
	struct pb_str word;

	*m = (struct member){ .key = key, .text = text, .row = row };
	m->address = member_text(m, "address");
	m->stopped = member_text(m, "stopped").len > 0;
	word = member_text(m, "delivery");
	for (int i = 0; i < DELIVERIES; i++)
		if (pb_str_eq(word, pb_strz(delivery_names[i])))
			m->delivery = (enum delivery)i;
}

struct walk {
	bool (*visit)(void *arg, const struct member *m);
	void *arg;
	size_t prefix, n;
	bool stopped;
	struct pb_buf from;
};

static bool step(void *arg, struct pb_str key, struct pb_str value)
{
	struct walk *w = arg;
	json_t *row = NULL;
	struct member m;

	w->n++;
	pb_buf_reset(&w->from);
	pb_buf_addstr(&w->from, key);
	pb_buf_addc(&w->from, '\0');
	describe(&m, pb_str_skip(key, w->prefix), value, &row);
	/* A damaged row is nobody. */
	w->stopped = m.address.len && !w->visit(w->arg, &m);
	json_decref(row);
	return !w->stopped;
}

int members_each(struct lists *all, const struct list *l, struct pb_str from, struct pb_str to, bool (*visit)(void *arg, const struct member *m), void *arg,
		 struct pb_error *err)
{
	struct walk w = { .visit = visit, .arg = arg, .from = PB_BUF };
	PB_AUTOBUF(end);
	int rc;

	prefix(&w.from, l);
	w.prefix = w.from.len;
	pb_buf_addstr(&w.from, from);
	prefix(&end, l);
	if (to.len)
		pb_buf_addstr(&end, to);
	else
		end.ptr[end.len - 1] = 1;	/* behind the NUL */
	do {
		w.n = 0;
		rc = pb_table_scan(all->members, pb_buf_str(&w.from), pb_buf_str(&end), 0, step, &w, err);
	} while (!rc && !w.stopped && w.n);
	pb_buf_free(&w.from);
	return rc;
}

/* ---- without a list ---- */

int members_remove_all(struct lists *all, const struct list *l, struct pb_error *err)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(end);

	prefix(&from, l);
	prefix(&end, l);
	end.ptr[end.len - 1] = 2;	/* behind those who were brought */
	return pb_table_clear(all->members, pb_buf_str(&from), pb_buf_str(&end), err);
}
