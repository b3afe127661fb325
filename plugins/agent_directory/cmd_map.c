/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The address map: create, list, show, set, delete. An entry leads an address, or "*@domain", to another address or to "connector:target".
 * Following entries is find.c's.
 */
#include <stdio.h>
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

/* The connector that a "to" names, where it names one. */
static bool names_connector(struct pb_str to, struct pb_str *ret)
{
	return pb_str_find(to, ':', 0) >= 0 && pb_str_cut(&to, ':', ret) && is_connector(*ret);
}

/* ---- who serves it ---- */

/* Connectors that mail may be routed to, by name: what plugin.list says of each. NULL: nobody to ask, as where no kernel is. */
static json_t *connectors_get(struct directory *d)
{
	json_t *answer = NULL, *known, *one, *lane;
	size_t i, k;

	if (pb_call(d->host, "plugin.list", NULL, &answer, NULL))
		return NULL;
	known = json_object();
	json_array_foreach (json_object_get(answer, "plugins"), i, one)
		json_array_foreach (json_object_get(one, "lanes"), k, lane)
			if (pb_str_eq(pb_strz(json_string_value(lane)), PB_STR("outgoing")) && pb_str_eq(pb_text_of(one, "kind"), PB_STR("connector")))
				json_object_set(known, json_string_value(json_object_get(one, "name")), one);
	json_decref(answer);
	return known;
}

static json_t *connector_find(const json_t *known, struct pb_str name)
{
	char room[64];

	snprintf(room, sizeof room, "%.*s", PB_FMT(name));
	return json_object_get(known, room);
}

/* Mail for one that nobody has installed would wait without end. */
static int check_connector(struct directory *d, struct pb_str name, struct pb_error *err)
{
	json_t *known = connectors_get(d), *one;
	PB_AUTOBUF(names);
	const char *other;
	int rc = 0;

	if (known && !connector_find(known, name)) {
		json_object_foreach (known, other, one)
			pb_buf_addf(&names, "%s%s", names.len ? ", " : "", other);
		rc = pb_fail(err, PB_EINVALID, "no connector '%.*s' is installed; there are: %.*s", PB_FMT(name), PB_FMT(pb_str_head(pb_buf_str(&names), 140)));
	}
	json_decref(known);
	return rc;
}

/* Says of an entry whose connector serves nobody now why mail for it waits. *connectors: asked for once, by the first that needs them. */
static void add_note(struct directory *d, json_t *map, json_t **connectors)
{
	struct pb_str name;
	const char *state;
	char note[160];

	if (!names_connector(pb_text_of(map, "to"), &name))
		return;
	if (!*connectors)
		*connectors = connectors_get(d);
	if (!*connectors)
		return;
	state = json_string_value(json_object_get(connector_find(*connectors, name), "state"));
	if (state && (!strcmp(state, "running") || !strcmp(state, "ready")))
		return;
	snprintf(note, sizeof note, "%.*s is %s: mail for it waits in the queue", PB_FMT(name), !state ? "not installed" : !strcmp(state, "failed") ? "left out" : state);
	json_object_set_new(map, "note", json_string(note));
}

/* ---- entries ---- */

/* "to": an address; "*@domain" behind a pattern, where the local part stays; or "connector:target". */
static int check_to(struct command *c, const struct name *pattern, struct pb_str to, struct pb_str *ret, struct name *room, struct pb_error *err)
{
	struct pb_str connector;
	int rc;

	if (to.len > 380)
		return pb_fail(err, PB_EINVALID, "'to' is longer than 380 octets");
	if (names_connector(to, &connector)) {
		if (c->who->role != PB_ROLE_SYSTEM)
			return pb_fail(err, PB_EDENIED, "a map to a connector's target is set by system administrators; give an address");
		for (size_t i = 0; i < to.len; i++)
			if ((unsigned char)to.ptr[i] <= ' ' || to.ptr[i] == 127)
				return pb_fail(err, PB_EINVALID, "'to' holds a blank or a control character");
		*ret = to;
		return check_connector(c->d, connector, err);
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
	int rc = check_to(c, n, pb_text_of(c->params, "to"), &to, &room, err);

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
	int rc = name_parse_local(&n, pb_text_of(c->params, "address"), true, err);

	if (!rc)
		rc = command_domain(c, tx, n.domain, &domain, err);
	return rc ? rc : step_put(c, tx, &n, pb_text_of(domain, "postoffice"), err);
}

/* The entry that stands for a pattern, guarded. */
static int find_map(struct command *c, struct tx *tx, struct name *n, json_t **ret, struct pb_error *err)
{
	json_t *row;
	int rc = name_parse_local(n, pb_text_of(c->params, "address"), true, err);

	if (!rc)
		rc = tx_get(tx, tx_key(tx, "a", n->domain, n->local, PB_NOSTR), &row, err);
	if (rc)
		return rc;
	if (!row || !pb_str_eq(pb_text_of(row, "kind"), PB_STR("map")) || !command_may(c, pb_text_of(row, "postoffice")))
		return pb_fail(err, PB_ENOTFOUND, "no address map '%.*s'", PB_FMT(n->key));
	*ret = row;
	return 0;
}

/* A connector's target was set by a system administrator, and stays in his hands. */
static int guard_connector(struct command *c, const json_t *row, struct pb_error *err)
{
	struct pb_str connector;

	if (c->who->role != PB_ROLE_SYSTEM && names_connector(pb_text_of(row, "to"), &connector))
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
	pb_buf_addstr(&office, pb_text_of(row, "postoffice"));
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
	tx_delete(tx, tx_key(tx, "l/x", pb_text_of(row, "postoffice"), n.domain, n.local));
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

/* A command that answers with an entry. */
static int show_after(void *self, const struct pb_caller *who, const json_t *params, int (*step)(struct command *c, struct tx *tx, struct pb_error *err),
		      json_t **ret_result, struct pb_error *err)
{
	json_t *connectors = NULL;
	int rc = command_do(self, who, params, step, ret_result, err);

	if (!rc)
		add_note(self, *ret_result, &connectors);
	json_decref(connectors);
	return rc;
}

METHOD(map_create)
{
	return show_after(self, who, params, step_create, ret_result, err);
}

METHOD(map_show)
{
	return show_after(self, who, params, step_show, ret_result, err);
}

METHOD(map_set)
{
	return show_after(self, who, params, step_set, ret_result, err);
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
	json_t *connectors = NULL, *map;
	size_t i;
	int rc = command_list_kind(self, who, params, "x", &q, ret_result, err);

	if (!rc)
		json_array_foreach (json_object_get(*ret_result, q.name), i, map)
			add_note(self, map, &connectors);
	json_decref(connectors);
	return rc;
}
