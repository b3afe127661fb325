/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Groups: create, list, show, set, delete, add and remove members. Expanding them is conn_postoffice's.
 */
#include "mailbox_fields.h"
#include "policy.h"

static json_t *show_group(const json_t *row, bool members)
{
	json_t *o = json_object();

	json_object_set(o, "address", json_object_get(row, "address"));
	json_object_set(o, "name", json_object_get(row, "name"));
	if (members)
		json_object_set(o, "members", json_object_get(row, "members"));
	else
		set_number(o, "members", (json_int_t)json_array_size(json_object_get(row, "members")));
	if (json_object_get(row, "senders"))
		json_object_set(o, "senders", json_object_get(row, "senders"));
	else
		json_object_set_new(o, "senders", json_pack("[s]", "anyone"));
	json_object_set(o, "postoffice", json_object_get(row, "postoffice"));
	json_object_set(o, "group", json_object_get(row, "id"));
	return o;
}

static int refuse_itself(const json_t *row, const json_t *members, struct pb_error *err)
{
	const json_t *one;
	struct name n;
	size_t i;

	json_array_foreach(members, i, one)
		if (name_parse(&n, pb_strz(json_string_value(one)), NULL) == 0 && pb_str_eq(n.key, pb_text_of(row, "address")))
			return pb_fail(err, PB_EINVALID, "%s: a group cannot be a member of itself", json_string_value(one));
	return 0;
}

static int take_fields(struct command *c, json_t *row, struct pb_error *err)
{
	const json_t *given = json_object_get(c->params, "members"), *senders = json_object_get(c->params, "senders");
	PB_AUTOBUF(name);
	json_t *list;
	int rc;

	if (senders) {
		rc = senders_parse(senders, &list, err);
		if (rc)
			return rc;
		json_object_set_new(row, "senders", list);
	}

	if (json_object_get(c->params, "name")) {
		rc = name_text(&name, pb_text_of(c->params, "name"), 200, "the name", err);
		if (rc)
			return rc;
		set_text(row, "name", pb_buf_str(&name));
	}
	if (!given)
		return 0;
	rc = address_list(given, MEMBERS_MAX, "a group", &list, err);
	if (rc)
		return rc;
	json_object_set_new(row, "members", list);
	return refuse_itself(row, list, err);
}

static int step_create(struct command *c, struct tx *tx, struct pb_error *err)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char random[20];
	char id[22] = "g";
	struct name n;
	json_t *domain, *row, *entry;
	int rc = name_parse_local(&n, pb_text_of(c->params, "address"), false, err);

	if (!rc)
		rc = command_domain(c, tx, n.domain, &domain, err);
	if (rc)
		return rc;
	pb_random(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		id[i + 1] = alphabet[random[i] & 31];
	row = json_object();
	set_text(row, "id", pb_strz(id));
	set_text(row, "postoffice", pb_text_of(domain, "postoffice"));
	set_text(row, "address", n.key);
	set_text(row, "name", PB_NOSTR);
	json_object_set_new(row, "members", json_array());
	set_number(row, "created", pb_now(c->d->host));
	entry = json_object();
	set_text(entry, "kind", PB_STR("group"));
	set_text(entry, "id", pb_strz(id));
	tx_put(tx, tx_key(tx, "g", pb_strz(id), PB_NOSTR, PB_NOSTR), row);
	tx_put(tx, tx_key(tx, "l/g", pb_text_of(row, "postoffice"), n.domain, n.local), json_deep_copy(entry));
	rc = command_claim(c, tx, &n, entry, err);
	if (!rc)
		rc = take_fields(c, row, err);
	c->result = show_group(row, true);
	return rc;
}

static int put_group(struct command *c, struct tx *tx, json_t *row)
{
	tx_put(tx, tx_key(tx, "g", pb_text_of(row, "id"), PB_NOSTR, PB_NOSTR), row);
	c->result = show_group(row, true);
	return 0;
}

static int step_set(struct command *c, struct tx *tx, struct pb_error *err)
{
	json_t *row;
	int rc = command_group(c, tx, pb_text_of(c->params, "group"), &row, err);

	if (!rc)
		rc = take_fields(c, row, err);
	return rc ? rc : put_group(c, tx, row);
}

static int step_add(struct command *c, struct tx *tx, struct pb_error *err)
{
	json_t *row, *all, *list = NULL;
	int rc = command_group(c, tx, pb_text_of(c->params, "group"), &row, err);

	if (rc)
		return rc;
	all = json_copy(json_object_get(row, "members"));
	json_array_extend(all, json_object_get(c->params, "members"));
	rc = address_list(all, MEMBERS_MAX, "a group", &list, err);
	json_decref(all);
	if (rc)
		return rc;
	json_object_set_new(row, "members", list);
	rc = refuse_itself(row, list, err);
	return rc ? rc : put_group(c, tx, row);
}

static int step_remove(struct command *c, struct tx *tx, struct pb_error *err)
{
	json_t *row, *v, *members;
	size_t i;
	int rc = command_group(c, tx, pb_text_of(c->params, "group"), &row, err);

	if (rc)
		return rc;
	members = json_object_get(row, "members");
	json_array_foreach(json_object_get(c->params, "members"), i, v) {
		struct name gone, n;
		bool found = false;

		rc = name_parse(&gone, pb_strz(json_string_value(v)), err);
		if (rc)
			return rc;
		for (size_t k = json_array_size(members); k-- > 0;) {
			if (name_parse(&n, pb_strz(json_string_value(json_array_get(members, k))), NULL) == 0 && pb_str_eq(n.key, gone.key)) {
				json_array_remove(members, k);
				found = true;
			}
		}
		if (!found)
			return pb_fail(err, PB_ENOTFOUND, "'%.*s' is no member of '%.*s'", PB_FMT(gone.key), PB_FMT(pb_text_of(row, "address")));
	}
	return put_group(c, tx, row);
}

static int step_delete(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct name n;
	json_t *row;
	int rc = command_group(c, tx, pb_text_of(c->params, "group"), &row, err);

	if (!rc)
		rc = name_parse(&n, pb_text_of(row, "address"), err);
	if (!rc)
		rc = command_unclaim(tx, &n, err);
	if (rc)
		return rc;
	tx_delete(tx, tx_key(tx, "l/g", pb_text_of(row, "postoffice"), n.domain, n.local));
	tx_delete(tx, tx_key(tx, "g", pb_text_of(row, "id"), PB_NOSTR, PB_NOSTR));
	return 0;
}

static int step_show(struct command *c, struct tx *tx, struct pb_error *err)
{
	json_t *row;
	int rc = command_group(c, tx, pb_text_of(c->params, "group"), &row, err);

	if (!rc)
		c->result = show_group(row, true);
	return rc;
}

METHOD(group_create)
{
	return command_do(self, who, params, step_create, ret_result, err);
}

METHOD(group_show)
{
	return command_do(self, who, params, step_show, ret_result, err);
}

METHOD(group_set)
{
	return command_do(self, who, params, step_set, ret_result, err);
}

METHOD(group_add)
{
	return command_do(self, who, params, step_add, ret_result, err);
}

METHOD(group_remove)
{
	return command_do(self, who, params, step_remove, ret_result, err);
}

METHOD(group_delete)
{
	return command_do(self, who, params, step_delete, ret_result, err);
}

static json_t *show_listed(struct command *c, struct pb_str key, const json_t *value)
{
	ROW(row);

	(void)key;
	if (row_read(c->d, 'g', pb_text_of(value, "id"), PB_NOSTR, &row, NULL) || !row->value)
		return NULL;
	return show_group(row->value, false);
}

METHOD(group_list)
{
	struct list_query q = { .name = "groups", .base = 4, .show = show_listed };

	return command_list_kind(self, who, params, "g", &q, ret_result, err);
}
