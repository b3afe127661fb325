/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Members in and out. In: CSV whose first line names the columns (address; name, delivery, moderated, quiet, ack, hidden, stopped, topics with ";" between them, as they are
 * there), or one member a line as other list servers print them: an address, or Name <address>. Out: the same CSV.
 */
#include <postbus/address.h>
#include <postbus/message.h>
#include "csv.h"
#include "serve.h"

static const char *const columns[] = { "address", "name", "delivery", "moderated", "quiet", "ack", "hidden", "stopped", "topics" };
enum { ADDRESS, NAME, DELIVERY, FLAG_FIRST, FLAG_LAST = 6, STOPPED, TOPICS, COLUMNS, ROWS_MAX = 1000000 };

/* ---- in ---- */

struct reading {
	struct lists *all;
	const struct list *list;
	json_t **rows;
	size_t n, room;
	int at[CSV_FIELDS_MAX];		/* which column each field is; -1: one that nobody knows */
};

static void keep(struct reading *r, json_t *row)
{
	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 1024;
		r->rows = pb_realloc(r->rows, r->room * sizeof *r->rows);
	}
	r->rows[r->n++] = row;
}

static int delivery_at(struct pb_str word)
{
	const char *name;

	if (delivery_parse(word, &name))
		word = pb_strz(name);
	for (int i = 0; i < DELIVERIES; i++)
		if (pb_str_ieq(word, pb_strz(delivery_names[i])))
			return i;
	return -1;
}

static bool is_yes(struct pb_str word)
{
	return pb_str_ieq(word, PB_STR("yes")) || pb_str_ieq(word, PB_STR("true")) || pb_str_eq(word, PB_STR("1"));
}

static int at_line(size_t line, struct pb_error *err)
{
	return pb_because(err, "line %zu", line);
}

static int new_member(struct reading *r, struct pb_str address, struct pb_str name, struct pb_str delivery, size_t line, json_t **ret, struct pb_error *err)
{
	int kind = delivery_at(delivery.len ? delivery : setting_text(r->list->settings, "default_delivery")), rc;

	if (kind < 0)
		return pb_fail(err, PB_EINVALID, "line %zu: delivery is each, mime, plain or none, not '%.*s'", line, PB_FMT(pb_str_head(delivery, 40)));
	rc = member_new(r->all, address, name, (enum delivery)kind, ret, err);
	return rc ? at_line(line, err) : 0;
}

static int take_stopped(json_t *member, struct pb_str word, size_t line, struct pb_error *err)
{
	static const char *const words[] = { "member", "moderator", "bounces" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (pb_str_ieq(word, pb_strz(words[i])))
			return json_object_set_new(member, "stopped", json_string(words[i]));
	if (is_yes(word))
		return json_object_set_new(member, "stopped", json_string("moderator"));
	if (!word.len || pb_str_ieq(word, PB_STR("no")))
		return 0;
	return pb_fail(err, PB_EINVALID, "line %zu: stopped is by member, moderator or bounces, or yes or no, not '%.*s'", line, PB_FMT(pb_str_head(word, 40)));
}

static void take_topics(json_t *member, struct pb_str rest)
{
	json_t *topics = json_array();
	struct pb_str one;

	while (pb_str_cut(&rest, ';', &one))
		if (pb_str_trim(one).len)
			json_array_append_new(topics, json_stringn(pb_str_trim(one).ptr, pb_str_trim(one).len));
	if (json_array_size(topics))
		json_object_set(member, "topics", topics);
	json_decref(topics);
}

static int take_row(struct reading *r, const struct csv_row *row, struct pb_error *err)
{
	struct pb_str value[COLUMNS] = { 0 };
	json_t *member;
	int rc;

	for (size_t i = 0; i < row->n; i++)
		if (r->at[i] >= 0)
			value[r->at[i]] = row->fields[i];
	/* What an export put before a value that looks like a formula. */
	if (value[NAME].len > 1 && value[NAME].ptr[0] == '\'' && strchr("=+-@", value[NAME].ptr[1]))
		value[NAME] = pb_str_skip(value[NAME], 1);
	rc = new_member(r, value[ADDRESS], value[NAME], value[DELIVERY], row->line, &member, err);
	if (rc)
		return rc;
	for (int i = FLAG_FIRST; i <= FLAG_LAST; i++)
		if (is_yes(value[i]))
			json_object_set_new(member, columns[i], json_true());
	take_topics(member, value[TOPICS]);
	keep(r, member);
	return take_stopped(member, value[STOPPED], row->line, err);
}

static int read_columns(struct reading *r, const struct csv_row *row, struct pb_error *err)
{
	bool has_address = false;

	for (size_t i = 0; i < CSV_FIELDS_MAX; i++)
		r->at[i] = -1;
	for (size_t i = 0; i < row->n; i++) {
		for (int k = 0; k < COLUMNS; k++)
			if (pb_str_ieq(row->fields[i], pb_strz(columns[k])))
				r->at[i] = k;
		if (pb_str_ieq(row->fields[i], PB_STR("email")))
			r->at[i] = ADDRESS;
		has_address |= r->at[i] == ADDRESS;
	}
	return has_address ? 0 : pb_fail(err, PB_EINVALID, "line 1 names no column \"address\"");
}

static int read_csv(struct reading *r, struct pb_str text, struct pb_arena *arena, struct pb_error *err)
{
	struct csv csv = CSV(text, arena);
	struct csv_row row;
	int rc = csv_next(&csv, &row, err);

	if (rc == 1)
		rc = read_columns(r, &row, err) ? PB_EINVALID : 1;
	while (rc == 1 && (rc = csv_next(&csv, &row, err)) == 1) {
		if (r->n == ROWS_MAX)
			return pb_fail(err, PB_ETOOBIG, "there are more than %d members", ROWS_MAX);
		rc = take_row(r, &row, err) ? PB_EINVALID : 1;
	}
	return rc;
}

static int take_line(struct reading *r, struct pb_str line, size_t number, struct pb_error *err)
{
	struct pb_addrs list = PB_ADDRS(line);
	struct pb_addr a;
	json_t *member;
	PB_AUTOBUF(address);
	PB_AUTOBUF(name);
	int rc = 0;

	if (pb_addrs_next(&list, &a) && a.kind == PB_ADDR_MAILBOX && a.domain.len) {
		pb_buf_addf(&address, "%.*s@%.*s", PB_FMT(a.local), PB_FMT(a.domain));
		pb_words_decode(&name, a.name);
	} else {
		rc = pb_fail(err, PB_EINVALID, "line %zu: '%.*s' is no address", number, PB_FMT(pb_str_head(line, 60)));
	}
	pb_addrs_free(&list);
	if (!rc)
		rc = new_member(r, pb_buf_str(&address), pb_buf_str(&name), PB_NOSTR, number, &member, err);
	if (!rc)
		keep(r, member);
	return rc;
}

static int read_lines(struct reading *r, struct pb_str text, struct pb_error *err)
{
	struct pb_str line;
	size_t number = 0;
	int rc = 0;

	while (!rc && pb_str_cut(&text, '\n', &line)) {
		number++;
		line = pb_str_trim(line);
		if (line.len && line.ptr[0] != '#')
			rc = take_line(r, line, number, err);
	}
	return rc;
}

/* Do the names of columns come first, and not a member or a comment? */
static bool has_columns(struct pb_str text)
{
	struct pb_str first;

	return pb_str_cut(&text, '\n', &first) && !pb_str_starts(first, PB_STR("#")) && pb_str_find(first, '@', 0) < 0;
}

METHOD(member_import)
{
	struct lists *all = self;
	struct pb_str text = pb_text_of(params, "members");
	struct reading r = { .all = all };
	struct pb_arena *arena;
	struct list l;
	struct arrivals come = { 0 };
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	r.list = &l;
	arena = pb_arena_new();
	if (pb_str_starts(text, PB_STR("\xef\xbb\xbf")))
		text = pb_str_skip(text, 3);
	rc = has_columns(text) ? read_csv(&r, text, arena, err) : read_lines(&r, text, err);
	if (!rc && !flag_of(params, "dry_run"))
		rc = members_add(all, &l, r.rows, r.n, &come, err);
	if (!rc)
		*ret_result = json_pack("{s:I, s:I, s:I}", "read", (json_int_t)r.n, "added", (json_int_t)(flag_of(params, "dry_run") ? 0 : r.n - come.known), "known", (json_int_t)come.known);
	for (size_t i = 0; i < r.n; i++)
		json_decref(r.rows[i]);
	free(r.rows);
	pb_arena_free(arena);
	list_close(&l);
	return rc;
}

/* ---- out ---- */

static bool write_row(void *arg, const struct member *m)
{
	struct pb_buf *out = arg;
	PB_AUTOBUF(topics);
	json_t *one;
	size_t i;

	csv_field(out, m->address);
	pb_buf_addc(out, ',');
	csv_field(out, member_text(m, "name"));
	pb_buf_addf(out, ",%s", delivery_names[m->delivery]);
	for (int k = FLAG_FIRST; k <= FLAG_LAST; k++)
		pb_buf_addz(out, member_flag(m, columns[k]) ? ",yes" : ",");
	pb_buf_addf(out, ",%.*s,", PB_FMT(member_text(m, "stopped")));
	json_array_foreach (json_object_get(member_row(m), "topics"), i, one)
		pb_buf_addf(&topics, "%s%s", i ? ";" : "", json_string_value(one));
	csv_field(out, pb_buf_str(&topics));
	pb_buf_addz(out, "\r\n");
	return true;
}

METHOD(member_export)
{
	struct lists *all = self;
	struct list l;
	PB_AUTOBUF(out);
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	for (int i = 0; i < COLUMNS; i++)
		pb_buf_addf(&out, "%s%s", columns[i], i + 1 < COLUMNS ? "," : "\r\n");
	rc = members_each(all, &l, PB_NOSTR, PB_NOSTR, write_row, &out, err);
	list_close(&l);
	if (!rc)
		*ret_result = json_pack("{s:s%}", "members", out.ptr, out.len);
	return rc;
}
