/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list results: what became of the posts of a list that is tracked. */
#include <postbus/address.h>
#include "campaign.h"

/* Rows of a table from key front + NUL up to the last that begins so, page by page. */
struct pages {
	struct pb_str front;
	bool (*take)(void *arg, struct pb_str rest, struct pb_str value);	/* rest: of the key; it must not call the store */
	void *arg;
	struct pb_buf next;
	bool more;
};

static bool page_one(void *arg, struct pb_str key, struct pb_str value)
{
	struct pages *p = arg;

	pb_buf_reset(&p->next);
	pb_buf_addstr(&p->next, key);
	pb_buf_addc(&p->next, '\0');
	p->more = p->take(p->arg, pb_str_skip(key, p->front.len + 1), value);
	return p->more;
}

/* after: begin behind front + NUL + this. */
static int each(struct pb_table *t, struct pb_str front, struct pb_str after, bool (*take)(void *arg, struct pb_str rest, struct pb_str value), void *arg,
		struct pb_error *err)
{
	struct pages p = { front, take, arg, PB_BUF, true };
	bool on = true;
	PB_AUTOBUF(end);
	int rc = 0;

	pb_buf_addstr(&p.next, front);
	pb_buf_addc(&p.next, '\0');
	pb_buf_addstr(&p.next, after);
	pb_buf_addstr(&end, front);
	pb_buf_addc(&end, '\1');
	while (!rc && p.more && on) {
		PB_AUTOBUF(from);

		pb_buf_addstr(&from, pb_buf_str(&p.next));
		rc = pb_table_scan(t, pb_buf_str(&from), pb_buf_str(&end), 0, page_one, &p, err);
		on = !pb_str_eq(pb_buf_str(&from), pb_buf_str(&p.next));
	}
	pb_buf_free(&p.next);
	return rc;
}

/* ---- posts ---- */

struct posts {
	struct pb_str only;
	json_t *list;
};

static bool post_one(void *arg, struct pb_str post, struct pb_str value)
{
	struct posts *p = arg;
	json_t *row, *o;

	if (p->only.len && !pb_str_eq(p->only, post))
		return true;
	row = json_loadb(value.ptr, value.len, 0, NULL);
	o = json_object();
	set_text(o, "post", post);
	set_text(o, "subject", pb_text_of(row, "subject"));
	json_object_set_new(o, "at", json_integer((json_int_t)(number_of(row, "at") / PB_SECOND)));
	json_object_set_new(o, "recipients", json_integer((json_int_t)number_of(row, "recipients")));
	json_array_append_new(p->list, o);
	json_decref(row);
	return true;
}

static bool count_one(void *arg, struct pb_str address, struct pb_str value)
{
	size_t *by = arg;

	(void)address;
	by[result_of(value)]++;
	return true;
}

static void front_of(struct pb_buf *front, const struct list *l, struct pb_str post)
{
	pb_buf_addstr(front, l->id);
	pb_buf_addc(front, '\0');
	pb_buf_addstr(front, post);
}

static int sum_up(struct lists *all, const struct list *l, json_t *o, struct pb_error *err)
{
	int64_t waiting = number_of(o, "recipients");
	size_t by[RESULTS + 1] = { 0 };
	PB_AUTOBUF(front);
	int rc;

	front_of(&front, l, pb_text_of(o, "post"));
	rc = each(all->results, pb_buf_str(&front), PB_NOSTR, count_one, by, err);
	for (enum result r = 0; r < RESULTS; r++) {
		json_object_set_new(o, result_names[r], json_integer((json_int_t)by[r]));
		waiting -= (int64_t)by[r];
	}
	json_object_set_new(o, "waiting", json_integer((json_int_t)(waiting > 0 ? waiting : 0)));
	return rc;
}

/* ---- recipients ---- */

struct rows {
	json_t *list;
	struct pb_str state;
	size_t limit;
	struct pb_buf next;
};

static bool row_one(void *arg, struct pb_str address, struct pb_str value)
{
	struct rows *r = arg;
	enum result state = result_of(value);
	json_t *row;

	if (state == RESULTS || (r->state.len && !pb_str_eq(r->state, pb_strz(result_names[state]))))
		return true;
	if (json_array_size(r->list) == r->limit) {
		pb_buf_addstr(&r->next, address);
		return false;
	}
	row = json_loadb(value.ptr + 1, value.len - 1, 0, NULL);
	json_object_set_new(row, "state", json_string(result_names[state]));
	json_object_set_new(row, "at", json_integer((json_int_t)(number_of(row, "at") / PB_SECOND)));
	json_array_append_new(r->list, row);
	return true;
}

static int show_rows(struct lists *all, const struct list *l, const json_t *params, json_t *result, struct pb_error *err)
{
	struct rows r = { json_array(), pb_text_of(params, "state"), (size_t)number_of(params, "limit"), PB_BUF };
	PB_AUTOBUF(front);
	int rc;

	front_of(&front, l, pb_text_of(params, "post"));
	rc = each(all->results, pb_buf_str(&front), pb_text_of(params, "after"), row_one, &r, err);
	json_object_set_new(result, "recipients", r.list);
	if (r.next.len)
		set_text(result, "next", pb_buf_str(&r.next));
	pb_buf_free(&r.next);
	return rc;
}

METHOD(list_results)
{
	struct lists *all = self;
	struct posts p = { pb_text_of(params, "post"), json_array() };
	json_t *result = json_pack("{s:o}", "posts", p.list), *one;
	struct list l;
	size_t i;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (!rc) {
		rc = each(all->campaigns, l.id, PB_NOSTR, post_one, &p, err);
		json_array_foreach (p.list, i, one)
			rc = rc ? rc : sum_up(all, &l, one, err);
		if (!rc && p.only.len && !i)
			rc = pb_fail(err, PB_ENOTFOUND, "nothing is known of a post '%.*s' of this list", PB_FMT(p.only));
		if (!rc && flag_of(params, "recipients"))
			rc = p.only.len ? show_rows(all, &l, params, result, err) : pb_fail(err, PB_EINVALID, "recipients of which post?");
		list_close(&l);
	}
	if (rc)
		json_decref(result);
	else
		*ret_result = result;
	return rc;
}
