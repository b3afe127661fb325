/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Expansion of groups in groups: breadth first, each group and each member once, so that circles end and nobody gets a message twice.
 */
#include <stdlib.h>
#include <postbus/address.h>
#include "postoffice.h"

#define GROUPS_MAX 1000

void expansion_clear(struct expansion *e)
{
	json_decref(e->addresses);
	json_decref(e->skipped);
	e->addresses = e->skipped = NULL;
}

/* Adds a word to a set; false when it was there. */
static bool set_add(json_t *set, struct pb_str word)
{
	char *key = pb_str_dup(word);
	bool added = !json_object_get(set, key);

	if (added)
		json_object_set_new(set, key, json_true());
	free(key);
	return added;
}

static void skip(struct expansion *e, struct pb_str member, const struct pb_error *why)
{
	PB_AUTOBUF(text);

	pb_buf_addstr(&text, member);
	pb_buf_addz(&text, ": ");
	pb_buf_addz(&text, why->text);
	json_array_append_new(e->skipped, json_stringn(text.ptr, text.len));
}

/* What makes two members the same: the mailbox or group they lead to, else the address in the form that is compared. */
static void member_key(struct pb_buf *out, const json_t *route, struct pb_str member)
{
	if (pb_str_eq(pb_text_of(route, "kind"), PB_STR("mailbox")) || pb_str_eq(pb_text_of(route, "kind"), PB_STR("group"))) {
		pb_buf_addstr(out, pb_text_of(route, "target"));
		return;
	}
	pb_buf_addc(out, '@');
	if (pb_address_key(out, member, NULL))
		pb_buf_addstr(out, member);
}

static int add_member(const struct resolver *r, struct pb_str member, size_t max, json_t *groups, json_t *seen, struct expansion *e, struct pb_error *err)
{
	struct pb_error why = { 0 };
	PB_AUTOBUF(key);
	json_t *route = NULL;
	int rc = r->resolve(r->arg, member, &route, &why);

	if (rc == PB_ENOTFOUND || rc == PB_EDENIED || rc == PB_EINVALID) {
		skip(e, member, &why);
		return 0;
	}
	if (rc)
		return pb_fail(err, rc, "resolving %.*s: %s", PB_FMT(pb_str_head(member, 80)), why.text);
	member_key(&key, route, member);
	if (set_add(seen, pb_buf_str(&key))) {
		if (pb_str_eq(pb_text_of(route, "kind"), PB_STR("group")))
			json_array_append(groups, json_object_get(route, "target"));
		else if (json_array_size(e->addresses) >= max)
			rc = pb_fail(err, PB_ETOOBIG, "it has more than %zu members", max);
		else
			json_array_append_new(e->addresses, json_stringn(member.ptr, member.len));
	}
	json_decref(route);
	return rc;
}

static int add_group(const struct resolver *r, struct pb_str target, size_t max, json_t *groups, json_t *seen, struct expansion *e, struct pb_error *err)
{
	json_t *answer = NULL, *list, *one;
	size_t i;
	int rc = r->members(r->arg, target, &answer, err);

	if (rc)
		return rc;
	list = json_object_get(answer, "members");
	json_array_foreach(list, i, one) {
		rc = add_member(r, pb_str(json_string_value(one), json_string_length(one)), max, groups, seen, e, err);
		if (rc)
			break;
	}
	json_decref(answer);
	return rc;
}

int expand_group(const struct resolver *r, struct pb_str target, size_t max, struct expansion *ret, struct pb_error *err)
{
	struct expansion e = { json_array(), json_array() };
	json_t *groups = json_array(), *seen = json_object();
	int rc = 0;

	json_array_append_new(groups, json_stringn(target.ptr, target.len));
	set_add(seen, target);
	for (size_t i = 0; i < json_array_size(groups) && !rc; i++) {
		const json_t *group = json_array_get(groups, i);

		if (i == GROUPS_MAX)
			rc = pb_fail(err, PB_ETOOBIG, "it has more than %d groups in it", GROUPS_MAX);
		else
			rc = add_group(r, pb_str(json_string_value(group), json_string_length(group)), max, groups, seen, &e, err);
		if (rc == PB_ENOTFOUND && i > 0)
			rc = 0;		/* a group that went while we looked */
	}
	json_decref(groups);
	json_decref(seen);
	if (rc)
		expansion_clear(&e);
	else
		*ret = e;
	return rc;
}
