/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The address map: create, list, show, set, delete. An entry leads an address, or "*@domain", to another address or to "connector:target".
 * Following entries is resolve.c's.
 */
#include "directory.h"

static json_t *show_map(struct pb_str pattern, const json_t *row)
{
	json_t *o = json_object();

	set_text(o, "address", pattern);
	json_object_set(o, "to", json_object_get(row, "to"));
	json_object_set(o, "postoffice", json_object_get(row, "postoffice"));
	set_flag(o, "extensions", flag_of(row, "extensions"));
	if (json_object_get(row, "suffixes"))
		json_object_set(o, "suffixes", json_object_get(row, "suffixes"));
	return o;
}

static bool is_connector(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!pb_is_alnum((unsigned char)s.ptr[i]) && s.ptr[i] != '_')
			return false;
	return s.len > 0 && s.len <= 60;
}

/* "to": an address; "*@domain" behind a pattern, where the local part stays; or "connector:target". */
static int check_to(struct command *c, const struct name *pattern, struct pb_str to, struct pb_str *ret, struct name *room, struct pb_error *err)
{
	struct pb_str rest = to, connector = PB_NOSTR;
	bool named = pb_str_find(to, ':', 0) >= 0 && pb_str_cut(&rest, ':', &connector) && is_connector(connector);
	int rc;

	if (to.len > 380)
		return pb_fail(err, PB_EINVALID, "'to' is longer than 380 octets");
	if (named) {
		if (c->who->role != PB_ROLE_SYSTEM)
			return pb_fail(err, PB_EDENIED, "a map to a connector's target is set by system administrators; give an address");
		for (size_t i = 0; i < to.len; i++)
			if ((unsigned char)to.ptr[i] <= ' ' || to.ptr[i] == 127)
				return pb_fail(err, PB_EINVALID, "'to' holds a blank or a control character");
		*ret = to;
		return 0;
	}
	if (pb_str_starts(to, PB_STR("*@"))) {
		if (!pb_str_eq(pattern->local, PB_STR("*")))
			return pb_fail(err, PB_EINVALID, "'%.*s' leads on for patterns only", PB_FMT(pb_str_head(to, 80)));
		rc = name_parse_local(room, to, true, err);
		*ret = room->key;
		return rc;
	}
	rc = name_parse(room, to, err);
	if (!rc && pb_str_eq(room->key, pattern->key))
		rc = pb_fail(err, PB_EINVALID, "'%.*s' would lead to itself", PB_FMT(pattern->key));
	*ret = to;
	return rc;
}

static int step_put(struct command *c, struct tx *tx, const struct name *n, struct pb_str postoffice, struct pb_error *err)
{
	struct name room;
	struct pb_str to = PB_NOSTR;
	json_t *row;
	int rc = check_to(c, n, text_of(c->params, "to"), &to, &room, err);

	if (rc)
		return rc;
	row = json_object();
	set_text(row, "kind", PB_STR("map"));
	set_text(row, "to", to);
	set_text(row, "postoffice", postoffice);
	if (flag_of(c->params, "extensions")) {
		set_flag(row, "extensions", true);
		if (json_array_size(json_object_get(c->params, "suffixes")))
			json_object_set(row, "suffixes", json_object_get(c->params, "suffixes"));
	}
	tx_put(tx, tx_key(tx, "l/x", postoffice, n->domain, n->local), json_copy(row));
	c->result = show_map(n->key, row);
	return c->extra ? (tx_put(tx, tx_key(tx, "a", n->domain, n->local, PB_NOSTR), row), 0) : command_claim(c, tx, n, row, err);
}

static int step_create(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct name n;
	json_t *domain;
	int rc = name_parse_local(&n, text_of(c->params, "address"), true, err);

	if (!rc)
		rc = command_domain(c, tx, n.domain, &domain, err);
	return rc ? rc : step_put(c, tx, &n, text_of(domain, "postoffice"), err);
}

/* The entry that stands for a pattern, guarded. */
static int find_map(struct command *c, struct tx *tx, struct name *n, json_t **ret, struct pb_error *err)
{
	json_t *row;
	int rc = name_parse_local(n, text_of(c->params, "address"), true, err);

	if (!rc)
		rc = tx_get(tx, tx_key(tx, "a", n->domain, n->local, PB_NOSTR), &row, err);
	if (rc)
		return rc;
	if (!row || !pb_str_eq(text_of(row, "kind"), PB_STR("map")) || !command_may(c, text_of(row, "postoffice")))
		return pb_fail(err, PB_ENOTFOUND, "no address map '%.*s'", PB_FMT(n->key));
	*ret = row;
	return 0;
}

/* A connector's target was set by a system administrator, and stays in his hands. */
static int guard_connector(struct command *c, const json_t *row, struct pb_error *err)
{
	struct pb_str to = text_of(row, "to"), connector;

	if (c->who->role != PB_ROLE_SYSTEM && pb_str_find(to, ':', 0) >= 0 && pb_str_cut(&to, ':', &connector) && is_connector(connector))
		return pb_fail(err, PB_EDENIED, "this map leads to a connector's target: it is changed by system administrators");
	return 0;
}

static int step_set(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct name n;
	json_t *row;
	PB_AUTOBUF(office);
	int rc = find_map(c, tx, &n, &row, err);

	if (!rc)
		rc = guard_connector(c, row, err);
	if (rc)
		return rc;
	pb_buf_addstr(&office, text_of(row, "postoffice"));
	c->extra = c;		/* the address is claimed already */
	return step_put(c, tx, &n, pb_buf_str(&office), err);
}

static int step_delete(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct name n;
	json_t *row;
	int rc = find_map(c, tx, &n, &row, err);

	if (!rc)
		rc = guard_connector(c, row, err);
	if (rc)
		return rc;
	tx_delete(tx, tx_key(tx, "l/x", text_of(row, "postoffice"), n.domain, n.local));
	return command_unclaim(tx, &n, err);
}

static int step_show(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct name n;
	json_t *row;
	int rc = find_map(c, tx, &n, &row, err);

	if (!rc)
		c->result = show_map(n.key, row);
	return rc;
}

METHOD(map_create)
{
	return command_do(self, who, params, step_create, ret_result, err);
}

METHOD(map_show)
{
	return command_do(self, who, params, step_show, ret_result, err);
}

METHOD(map_set)
{
	return command_do(self, who, params, step_set, ret_result, err);
}

METHOD(map_delete)
{
	return command_do(self, who, params, step_delete, ret_result, err);
}

/* l/x/<post office>/<domain>/<local part> */
static json_t *show_listed(struct command *c, struct pb_str key, const json_t *value)
{
	struct pb_str local = pb_str_skip(key, 4), office, domain;
	PB_AUTOBUF(pattern);

	(void)c;
	if (!pb_str_cut(&local, '/', &office) || !pb_str_cut(&local, '/', &domain))
		return NULL;
	pb_buf_addstr(&pattern, local);
	pb_buf_addc(&pattern, '@');
	pb_buf_addstr(&pattern, domain);
	return show_map(pb_buf_str(&pattern), value);
}

METHOD(map_list)
{
	struct list_query q = { .name = "address_maps", .base = 4, .show = show_listed };

	return command_list_kind(self, who, params, "x", &q, ret_result, err);
}
