/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list held, list moderate. */
#include <postbus/address.h>
#include "serve.h"

static json_t *show(const json_t *row)
{
	static const char *const texts[] = { "token", "kind", "poster", "poster_name", "subject", "reason" };
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (pb_text_of(row, texts[i]).len)
			json_object_set(o, texts[i], json_object_get(row, texts[i]));
	json_object_set_new(o, "since", json_integer((json_int_t)(number_of(row, "since") / PB_SECOND)));
	if (json_object_get(row, "size"))
		json_object_set(o, "size", json_object_get(row, "size"));
	return o;
}

/* The message as text: what is no UTF-8 becomes so byte by byte. */
static int add_message(struct lists *all, const struct list *l, const json_t *row, json_t *o, struct pb_error *err)
{
	struct pb_str head, rest;
	struct pb_body *body;
	PB_AUTOBUF(text);
	int rc = held_body(all, l, row, &body, err);

	if (rc)
		return rc;
	rc = pb_body_parts(body, &head, &rest, err);
	if (!rc && pb_utf8_valid(rest)) {
		set_text(o, "message", rest);
	} else if (!rc) {
		for (size_t i = 0; i < rest.len; i++) {
			unsigned char c = (unsigned char)rest.ptr[i];

			if (c >= 0x80)
				pb_buf_addc(&text, (char)(0xc0 | c >> 6));
			pb_buf_addc(&text, (char)(c < 0x80 ? c : 0x80 | (c & 0x3f)));
		}
		set_text(o, "message", pb_buf_str(&text));
	}
	pb_body_release(body);
	return rc;
}

METHOD(list_held)
{
	struct pb_str token = pb_text_of(params, "token");
	struct lists *all = self;
	json_t *rows, *one, *out;
	struct list l;
	size_t i;
	bool found = false;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	rc = held_all(all, &l, true, &rows, err);
	if (!rc) {
		out = json_array();
		json_array_foreach (rows, i, one) {
			json_t *o;

			if (rc || (token.len && !pb_str_ieq(token, pb_text_of(one, "token"))))
				continue;
			found = true;
			o = show(one);
			if (token.len && pb_str_eq(pb_text_of(one, "kind"), PB_STR("post")))
				rc = add_message(all, &l, one, o, err);
			json_array_append_new(out, o);
		}
		if (!rc && token.len && !found)
			rc = pb_fail(err, PB_ENOTFOUND, "nothing waits under that token");
		if (rc)
			json_decref(out);
		else
			*ret_result = json_pack("{s:o}", "held", out);
		json_decref(rows);
	}
	list_close(&l);
	return rc;
}

/* ---- decided ---- */

/* From now on this poster's posts are taken, or held: by his row where he is a member, else by a setting. */
static int always(struct lists *all, const struct pb_caller *who, struct pb_str list, struct pb_str poster, bool accept, struct pb_error *err)
{
	const char *setting = accept ? "accept_from" : "hold_from";
	json_t *row, *names;
	struct list l;
	int rc;

	pthread_mutex_lock(&all->writing);
	rc = list_open_for(all, who, list, &l, err);
	if (!rc) {
		rc = member_get(all, &l, poster, &row, err);
		if (!rc) {
			json_object_set_new(row, "moderated", json_boolean(!accept));
			rc = member_put(all, &l, row, err);
			json_decref(row);
		} else if (rc == PB_ENOTFOUND) {
			rc = 0;
			names = json_object_get(l.settings, setting);
			if (!names)
				json_object_set_new(l.settings, setting, names = json_array());
			if (!list_names(&l, setting, poster)) {
				json_array_append_new(names, json_stringn(poster.ptr, poster.len));
				rc = list_save(all, &l, err);
			}
		}
		list_close(&l);
	}
	pthread_mutex_unlock(&all->writing);
	return rc;
}

static int poster_of(struct lists *all, const struct list *l, struct pb_str token, struct pb_buf *out, struct pb_error *err)
{
	json_t *row;
	int rc = held_get(all, l, token, &row, err);

	if (rc)
		return rc;
	pb_buf_addstr(out, pb_text_of(row, "poster"));
	json_decref(row);
	return 0;
}

METHOD(list_moderate)
{
	struct pb_str list = pb_text_of(params, "list"), token = pb_text_of(params, "token"), word = pb_text_of(params, "decision"), more = pb_text_of(params, "always");
	struct lists *all = self;
	enum decision d = DECIDE_APPROVE;
	struct list l;
	PB_AUTOBUF(poster);
	int rc = list_open_for(all, who, list, &l, err);

	if (rc)
		return rc;
	while (d < DECIDE_DISCARD && !pb_str_eq(word, pb_strz(decision_names[d])))
		d++;
	rc = poster_of(all, &l, token, &poster, err);
	if (!rc)
		rc = hold_decide(all, &l, token, d, PB_STR("an administrator"), pb_text_of(params, "reason"), err);
	list_close(&l);
	if (!rc && more.len && poster.len)
		rc = always(all, who, list, pb_buf_str(&poster), pb_str_eq(more, PB_STR("accept")), err);
	return rc;
}
