/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list member add, remove, list, show, set. */
#include "list.h"

static enum delivery delivery_of(const struct list *l, const json_t *params)
{
	struct pb_str word = pb_text_of(params, "delivery");

	if (!word.len)
		word = setting_text(l->settings, "default_delivery");
	for (int i = 0; i < DELIVERIES; i++)
		if (pb_str_eq(word, pb_strz(delivery_names[i])))
			return (enum delivery)i;
	return DELIVERY_EACH;
}

static int add(struct lists *all, const struct list *l, const json_t *params, json_t **rows, size_t *ret_n, struct pb_error *err)
{
	json_t *one;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(params, "addresses"), i, one) {
		rc = member_new(all, pb_str(json_string_value(one), json_string_length(one)), pb_text_of(params, "name"), delivery_of(l, params), &rows[*ret_n], err);
		if (rc)
			break;
		if (setting_flag(l->settings, "moderate_new"))
			json_object_set_new(rows[*ret_n], "moderated", json_true());
		++*ret_n;
	}
	return rc;
}

METHOD(member_add)
{
	struct lists *all = self;
	size_t most = json_array_size(json_object_get(params, "addresses")), n = 0;
	struct arrivals come = { .once = flag_of(params, "once") };
	json_t **rows;
	struct list l;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	rows = pb_alloc((most + 1) * sizeof *rows);
	rc = add(all, &l, params, rows, &n, err);
	if (!rc)
		rc = members_add(all, &l, rows, n, &come, err);
	for (size_t i = 0; i < n; i++)
		json_decref(rows[i]);
	free(rows);
	list_close(&l);
	if (!rc)
		*ret_result = json_pack("{s:I, s:I, s:I}", "added", (json_int_t)(n - come.known - come.left), "known", (json_int_t)come.known, "left", (json_int_t)come.left);
	return rc;
}

METHOD(member_remove)
{
	struct lists *all = self;
	struct list l;
	json_t *one;
	size_t i;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&all->writing);
	json_array_foreach (json_object_get(params, "addresses"), i, one) {
		rc = member_remove(all, &l, pb_str(json_string_value(one), json_string_length(one)), err);
		if (rc)
			break;
	}
	pthread_mutex_unlock(&all->writing);
	list_close(&l);
	return rc;
}

/* ---- shown ---- */

struct listing {
	json_t *list;
	struct pb_str delivery;
	bool stopped_only;
	size_t limit;
	struct pb_buf next;
};

static bool list_one(void *arg, const struct member *m)
{
	struct listing *l = arg;

	if ((l->delivery.len && !pb_str_eq(l->delivery, pb_strz(delivery_names[m->delivery]))) || (l->stopped_only && !m->stopped))
		return true;
	if (json_array_size(l->list) == l->limit) {
		pb_buf_addstr(&l->next, m->key);
		return false;
	}
	json_array_append(l->list, (json_t *)member_row(m));
	return true;
}

METHOD(member_list)
{
	struct lists *all = self;
	struct listing ask = { .list = json_array(), .delivery = pb_text_of(params, "delivery"), .stopped_only = flag_of(params, "stopped"),
			       .limit = (size_t)number_of(params, "limit") };
	struct list l;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (!rc) {
		rc = members_each(all, &l, pb_text_of(params, "after"), PB_NOSTR, list_one, &ask, err);
		list_close(&l);
	}
	if (rc) {
		json_decref(ask.list);
	} else {
		*ret_result = json_pack("{s:o}", "members", ask.list);
		if (ask.next.len)
			set_text(*ret_result, "next", pb_buf_str(&ask.next));
	}
	pb_buf_free(&ask.next);
	return rc;
}

METHOD(member_show)
{
	struct lists *all = self;
	struct list l;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	rc = member_get(all, &l, pb_text_of(params, "address"), ret_result, err);
	list_close(&l);
	return rc;
}

/* ---- changed ---- */

/* An empty one is none: --topics "" means all posts. */
static void set_topics(json_t *row, json_t *given)
{
	json_t *topics = json_array(), *one;
	size_t i;

	json_array_foreach (given, i, one)
		if (json_string_length(one))
			json_array_append(topics, one);
	json_object_set_new(row, "topics", topics);
}

static void set_given(json_t *row, const json_t *params)
{
	static const char *const flags[] = { "moderated", "quiet", "ack", "hidden" };

	if (pb_text_of(params, "delivery").len)
		json_object_set(row, "delivery", json_object_get(params, "delivery"));
	if (json_object_get(params, "name"))
		json_object_set(row, "name", json_object_get(params, "name"));
	if (json_object_get(params, "topics"))
		set_topics(row, json_object_get(params, "topics"));
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (json_object_get(params, flags[i]))
			json_object_set(row, flags[i], json_object_get(params, flags[i]));
	if (!json_object_get(params, "stopped"))
		return;
	if (flag_of(params, "stopped")) {
		json_object_set_new(row, "stopped", json_string("moderator"));
	} else {
		json_object_del(row, "stopped");
		json_object_del(row, "bounces");
	}
}

/* What nobody calls a topic would mean no posts at all. */
static int check_topics(const struct list *l, const json_t *params, struct pb_error *err)
{
	json_t *one;
	size_t i;

	json_array_foreach (json_object_get(params, "topics"), i, one) {
		struct pb_str name = pb_str(json_string_value(one), json_string_length(one));

		if (name.len && !list_has_topic(l, name))
			return pb_fail(err, PB_EINVALID, "%.*s has no topic '%.*s'", PB_FMT(l->address), PB_FMT(pb_str_head(name, 60)));
	}
	return 0;
}

METHOD(member_set)
{
	struct lists *all = self;
	struct list l;
	json_t *row;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&all->writing);
	rc = check_topics(&l, params, err);
	if (!rc)
		rc = member_get(all, &l, pb_text_of(params, "address"), &row, err);
	if (!rc) {
		set_given(row, params);
		rc = member_put(all, &l, row, err);
		if (rc)
			json_decref(row);
		else
			*ret_result = row;
	}
	pthread_mutex_unlock(&all->writing);
	list_close(&l);
	return rc;
}
