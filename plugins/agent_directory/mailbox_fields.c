/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fields of a mailbox's row: taken from parameters and checked, shown to people.
 * Claiming addresses and steps in the mail store are cmd_mailbox.c's.
 */
#include "mailbox_fields.h"

int address_list(const json_t *given, size_t max, const char *what, json_t **ret, struct pb_error *err)
{
	json_t *list, *seen, *v;
	size_t i;
	int rc = 0;

	if (json_array_size(given) > max)
		return pb_fail(err, PB_EINVALID, "%s takes at most %zu addresses", what, max);
	list = json_array();
	seen = json_object();
	json_array_foreach(given, i, v) {
		struct name n;

		rc = json_is_string(v) ? name_parse(&n, pb_str(json_string_value(v), json_string_length(v)), err)
				       : pb_fail(err, PB_EINVALID, "%s takes addresses", what);
		if (rc)
			break;
		/* Each once. What was given is kept, not what is compared: a remote local part keeps its case on the way. */
		if (json_object_get(seen, n.key.ptr))
			continue;
		json_object_set_new(seen, n.key.ptr, json_true());
		json_array_append(list, v);
	}
	json_decref(seen);
	if (rc)
		json_decref(list);
	else
		*ret = list;
	return rc;
}

static int take_role(struct command *c, json_t *row, struct pb_error *err)
{
	struct pb_str role = pb_text_of(c->params, "role");

	if (!role.len)
		return 0;
	if (!pb_str_eq(role, PB_STR("user")) && !pb_str_eq(role, PB_STR("admin")) && !pb_str_eq(role, PB_STR("system")))
		return pb_fail(err, PB_EINVALID, "the role '%.*s' is none of user, admin, system", PB_FMT(pb_str_head(role, 40)));
	if (pb_str_eq(role, PB_STR("system")) && c->who->role != PB_ROLE_SYSTEM)
		return pb_fail(err, PB_EDENIED, "the role system is given by system administrators only");
	set_text(row, "role", role);
	return 0;
}

static int take_quota(struct command *c, json_t *row, const char *key, struct pb_error *err)
{
	const json_t *v = json_object_get(c->params, key);

	if (!v)
		return 0;
	if (json_integer_value(v) < 0)
		return pb_fail(err, PB_EINVALID, "%s cannot be negative; 0 means no limit", key);
	set_number(row, key, json_integer_value(v));
	return 0;
}

static int take_redirect(struct command *c, json_t *row, struct pb_error *err)
{
	const json_t *given = json_object_get(c->params, "redirect");
	json_t *list;
	int rc;

	if (given) {
		rc = address_list(given, REDIRECTS_MAX, "redirect", &list, err);
		if (rc)
			return rc;
		json_object_set_new(row, "redirect", list);
	}
	if (json_object_get(c->params, "redirect_keep"))
		set_flag(row, "redirect_keep", flag_of(c->params, "redirect_keep"));
	return 0;
}

static const char *const admin_fields[] = { "enabled", "role", "quota_bytes", "quota_messages", "aliases", "new_address", NULL };

int mailbox_take_fields(struct command *c, json_t *row, struct pb_error *err)
{
	PB_AUTOBUF(name);
	int rc = 0;

	for (size_t i = 0; c->who->role == PB_ROLE_USER && admin_fields[i]; i++)
		if (json_object_get(c->params, admin_fields[i]))
			return pb_fail(err, PB_EDENIED, "'%s' is set by administrators", admin_fields[i]);
	if (json_object_get(c->params, "name")) {
		rc = name_text(&name, pb_text_of(c->params, "name"), 200, "the name", err);
		if (rc)
			return rc;
		set_text(row, "name", pb_buf_str(&name));
	}
	if (json_object_get(c->params, "enabled"))
		set_flag(row, "enabled", flag_of(c->params, "enabled"));
	rc = take_role(c, row, err);
	if (!rc)
		rc = take_quota(c, row, "quota_bytes", err);
	if (!rc)
		rc = take_quota(c, row, "quota_messages", err);
	return rc ? rc : take_redirect(c, row, err);
}

json_t *mailbox_fields(const json_t *row)
{
	static const char *const fields[] = { "address", "name", "role", "enabled", "quota_bytes", "quota_messages", "redirect", "redirect_keep", "postoffice", NULL };
	json_t *o = json_object();

	for (size_t i = 0; fields[i]; i++)
		json_object_set(o, fields[i], json_object_get(row, fields[i]));
	json_object_set(o, "mailbox", json_object_get(row, "id"));
	return o;
}
