/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Settings: set, unset, show, list. What they are is policy_keys.c's; who may set one for whom is decided here.
 */
#include <stdlib.h>
#include "policy.h"

/* What a command is about: the rows from the server down to what was named, each with what it is called. */
struct target {
	unsigned level;
	struct pb_str key;				/* of the row that changes */
	json_t *rows[POLICY_LEVELS];
	struct pb_str names[POLICY_LEVELS];
};

static int add_row(struct tx *tx, struct target *t, unsigned level, struct pb_str key, struct pb_str name, struct pb_error *err)
{
	t->names[level] = name;
	t->key = key;
	t->level = level;
	return tx_get(tx, key, &t->rows[level], err);
}

static int add_office(struct tx *tx, struct target *t, struct pb_str office, struct pb_error *err)
{
	return add_row(tx, t, POLICY_OFFICE, tx_key(tx, "p", office, PB_NOSTR, PB_NOSTR), office, err);
}

static int target_mailbox(struct command *c, struct tx *tx, struct pb_str which, struct target *t, struct pb_error *err)
{
	struct name n;
	json_t *row;
	int rc = command_mailbox(c, tx, which, &row, err);

	if (!rc)
		rc = name_parse(&n, pb_text_of(row, "address"), err);
	if (!rc)
		rc = add_office(tx, t, pb_text_of(row, "postoffice"), err);
	if (!rc)
		rc = add_row(tx, t, POLICY_DOMAIN, tx_key(tx, "d", n.domain, PB_NOSTR, PB_NOSTR), pb_arena_str(tx->arena, n.domain), err);
	return rc ? rc : add_row(tx, t, POLICY_MAILBOX, tx_key(tx, "m", pb_text_of(row, "id"), PB_NOSTR, PB_NOSTR), pb_text_of(row, "address"), err);
}

static int target_domain(struct command *c, struct tx *tx, struct pb_str domain, struct target *t, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	struct pb_str alias;
	json_t *row;
	int rc = name_domain(&ascii, domain, err);

	if (!rc)
		rc = command_domain(c, tx, pb_buf_str(&ascii), &row, err);
	if (rc)
		return rc;
	alias = pb_text_of(row, "alias_of");
	if (alias.len)
		return pb_fail(err, PB_EINVALID, "the domain '%s' is an alias of '%.*s', whose settings hold for it", pb_buf_z(&ascii), PB_FMT(alias));
	rc = add_office(tx, t, pb_text_of(row, "postoffice"), err);
	return rc ? rc : add_row(tx, t, POLICY_DOMAIN, tx_key(tx, "d", pb_buf_str(&ascii), PB_NOSTR, PB_NOSTR), pb_arena_str(tx->arena, pb_buf_str(&ascii)), err);
}

static int target_office(struct command *c, struct tx *tx, struct target *t, struct pb_error *err)
{
	PB_AUTOBUF(office);
	int rc = command_office(c, &office, err);

	return rc ? rc : add_office(tx, t, pb_arena_str(tx->arena, pb_buf_str(&office)), err);
}

/* own: who names nothing means what is his, the server of a system administrator, the post office, the mailbox. */
static int find_target(struct command *c, struct tx *tx, bool own, struct target *t, struct pb_error *err)
{
	struct pb_str mailbox = pb_text_of(c->params, "mailbox"), domain = pb_text_of(c->params, "domain"), office = pb_text_of(c->params, "postoffice");
	int rc = add_row(tx, t, POLICY_SERVER, PB_STR("s/server"), PB_STR("server"), err);

	if (rc)
		return rc;
	if ((mailbox.len != 0) + (domain.len != 0) + (office.len != 0) > 1)
		return pb_fail(err, PB_EINVALID, "say one of mailbox, domain and postoffice");
	if (own && c->who->role == PB_ROLE_USER && !mailbox.len && !domain.len && !office.len)
		mailbox = c->who->mailbox;
	if (mailbox.len)
		return target_mailbox(c, tx, mailbox, t, err);
	if (c->who->role == PB_ROLE_USER)
		return pb_fail(err, PB_EDENIED, "you can look at and change settings of your own mailbox only");
	if (domain.len)
		return target_domain(c, tx, domain, t, err);
	if (office.len || (own && c->who->role == PB_ROLE_ADMIN))
		return target_office(c, tx, t, err);
	return c->who->role == PB_ROLE_SYSTEM
		       ? 0
		       : pb_fail(err, PB_EDENIED, "settings of the server are a system administrator's; say which postoffice, domain or mailbox");
}

static int may_set(struct command *c, const struct policy_key *k, const struct target *t, struct pb_error *err)
{
	static const char *const roles[] = { [PB_ROLE_ADMIN] = "administrators", [PB_ROLE_SYSTEM] = "system administrators" };
	PB_AUTOBUF(where);

	for (unsigned level = 0; level < POLICY_LEVELS; level++)
		if (k->levels & POLICY_AT(level))
			pb_buf_addf(&where, "%s%s", where.len ? ", " : "", policy_level_name(level));
	if (!(k->levels & POLICY_AT(t->level)))
		return pb_fail(err, PB_EINVALID, "'%s' cannot be set for a %s; it can for: %s", k->name, policy_level_name(t->level), pb_buf_z(&where));
	if (c->who->role < k->least)
		return pb_fail(err, PB_EDENIED, "'%s' is set by %s", k->name, roles[k->least]);
	return t->level == POLICY_MAILBOX ? command_outranks(c, t->rows[POLICY_MAILBOX], err) : 0;
}

/* What holds there, and the level that says so; POLICY_LEVELS: none does. Borrowed. */
static const json_t *find_value(struct directory *d, const struct policy_key *k, const struct target *t, unsigned *ret_level)
{
	const json_t *v;

	for (unsigned level = t->level + 1; level-- > 0;) {
		v = json_object_get(json_object_get(t->rows[level], "policy"), k->name);
		if (v && k->levels & POLICY_AT(level)) {
			*ret_level = level;
			return v;
		}
	}
	*ret_level = POLICY_LEVELS;
	return json_object_get(d->policy, k->name);
}

static json_t *show_value(struct directory *d, const struct policy_key *k, const struct target *t)
{
	json_t *o = json_object();
	PB_AUTOBUF(from);
	unsigned level;

	set_text(o, "key", pb_strz(k->name));
	json_object_set(o, "value", (json_t *)find_value(d, k, t, &level));
	pb_buf_addz(&from, level == POLICY_LEVELS ? "default" : policy_level_name(level));
	if (level != POLICY_LEVELS && level != POLICY_SERVER)
		pb_buf_addf(&from, " %.*s", PB_FMT(t->names[level]));
	set_text(o, "from", pb_buf_str(&from));
	return o;
}

/* The settings of the row that changes; there from now on. */
static json_t *own_settings(struct target *t)
{
	json_t *own;

	if (!t->rows[t->level])
		t->rows[t->level] = json_object();
	own = json_object_get(t->rows[t->level], "policy");
	if (!own) {
		own = json_object();
		json_object_set_new(t->rows[t->level], "policy", own);
	}
	return own;
}

static void put_settings(struct tx *tx, struct target *t)
{
	json_t *row = t->rows[t->level];

	if (!json_object_size(json_object_get(row, "policy")))
		json_object_del(row, "policy");
	if (t->level == POLICY_SERVER && !json_object_size(row)) {
		tx_delete(tx, t->key);
		t->rows[t->level] = NULL;
	} else {
		tx_put(tx, t->key, row);
	}
}

/* One field of an object, beside those that hold there now. */
static int set_field(struct command *c, const struct policy_key *k, struct pb_str field, struct target *t, struct pb_error *err)
{
	const struct policy_key *kind;
	char name[300], *member;
	json_t *value, *object;
	unsigned level;
	int rc = field.len && field.len <= 200 ? policy_field(k, field, &kind, err)
					       : pb_fail(err, PB_EINVALID, "'%s.' wants a name of at most 200 bytes behind it", k->name);

	snprintf(name, sizeof name, "%s.%.*s", k->name, PB_FMT(pb_str_head(field, 200)));
	if (!rc)
		rc = policy_parse(kind, name, pb_text_of(c->params, "value"), &value, err);
	if (rc)
		return rc;
	object = json_copy((json_t *)find_value(c->d, k, t, &level));
	member = pb_str_dup(field);
	json_object_set_new(object, member, value);
	free(member);
	if (k->type == POLICY_MAP && (int64_t)json_object_size(object) > k->max) {
		json_decref(object);
		return pb_fail(err, PB_EINVALID, "'%s' takes at most %lld names", k->name, (long long)k->max);
	}
	json_object_set_new(own_settings(t), k->name, object);
	return 0;
}

static int step_set(struct command *c, struct tx *tx, struct pb_error *err)
{
	const struct policy_key *k;
	struct target t = { 0 };
	struct pb_str field;
	json_t *value;
	int rc = policy_find(pb_text_of(c->params, "key"), &k, &field, err);

	if (!rc)
		rc = find_target(c, tx, false, &t, err);
	if (!rc)
		rc = may_set(c, k, &t, err);
	if (rc)
		return rc;
	if (field.ptr) {
		rc = set_field(c, k, field, &t, err);
	} else {
		rc = policy_parse(k, k->name, pb_text_of(c->params, "value"), &value, err);
		if (!rc)
			json_object_set_new(own_settings(&t), k->name, value);
	}
	if (rc)
		return rc;
	put_settings(tx, &t);
	c->result = show_value(c->d, k, &t);
	return 0;
}

static int step_unset(struct command *c, struct tx *tx, struct pb_error *err)
{
	const struct policy_key *k;
	struct target t = { 0 };
	struct pb_str field;
	json_t *own, *object;
	char *member;
	int rc = policy_find(pb_text_of(c->params, "key"), &k, &field, err);

	if (!rc)
		rc = find_target(c, tx, false, &t, err);
	if (!rc)
		rc = may_set(c, k, &t, err);
	if (rc)
		return rc;
	own = json_object_get(t.rows[t.level], "policy");
	object = json_object_get(own, k->name);
	member = pb_str_dup(field);
	if (!object || (field.ptr && !json_object_get(object, member)))
		rc = pb_fail(err, PB_ENOTFOUND, "'%.*s' is not set for this %s", PB_FMT(pb_str_head(pb_text_of(c->params, "key"), 80)), policy_level_name(t.level));
	else if (field.ptr)
		json_object_del(object, member);
	if (!rc && (!field.ptr || !json_object_size(object)))
		json_object_del(own, k->name);
	free(member);
	if (rc)
		return rc;
	put_settings(tx, &t);
	c->result = show_value(c->d, k, &t);
	return 0;
}

static int step_show(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct pb_str asked = pb_text_of(c->params, "key"), field;
	const struct policy_key *only = NULL, *k;
	struct target t = { 0 };
	json_t *list;
	int rc = asked.len ? policy_find(asked, &only, &field, err) : 0;

	tx->dry = true;
	if (!rc)
		rc = find_target(c, tx, true, &t, err);
	if (rc)
		return rc;
	c->result = json_object();
	list = json_array();
	json_object_set_new(c->result, "settings", list);
	for (size_t i = 0; (k = policy_key(i)) != NULL; i++) {
		bool applies = k->levels & (POLICY_AT(t.level + 1) - 1),
		     his = c->who->role != PB_ROLE_USER || (k->levels & POLICY_AT(POLICY_MAILBOX) && k->least < PB_ROLE_SYSTEM);

		if (only ? k == only && his : applies && his)
			json_array_append_new(list, show_value(c->d, k, &t));
	}
	return 0;
}

METHOD(policy_set)
{
	return command_do(self, who, params, step_set, ret_result, err);
}

METHOD(policy_unset)
{
	return command_do(self, who, params, step_unset, ret_result, err);
}

METHOD(policy_show)
{
	return command_do(self, who, params, step_show, ret_result, err);
}

METHOD(policy_list)
{
	static const char *const roles[] = { [PB_ROLE_USER] = "user", [PB_ROLE_ADMIN] = "admin", [PB_ROLE_SYSTEM] = "system" };
	struct directory *d = self;
	const struct policy_key *k;
	json_t *list = json_array();

	(void)who;
	(void)params;
	(void)err;
	for (size_t i = 0; (k = policy_key(i)) != NULL; i++) {
		json_t *o = json_object(), *levels = json_array();
		PB_AUTOBUF(allowed);

		set_text(o, "key", pb_strz(k->name));
		set_text(o, "type", pb_strz(policy_type_name(k->type)));
		json_object_set(o, "default", json_object_get(d->policy, k->name));
		for (unsigned level = 0; level < POLICY_LEVELS; level++)
			if (k->levels & POLICY_AT(level))
				json_array_append_new(levels, json_string(policy_level_name(level)));
		json_object_set_new(o, "levels", levels);
		set_text(o, "role", pb_strz(roles[k->least]));
		policy_allowed(&allowed, k);
		set_text(o, "allowed", pb_buf_str(&allowed));
		set_text(o, "doc", pb_strz(k->doc));
		json_array_append_new(list, o);
	}
	*ret_result = json_object();
	json_object_set_new(*ret_result, "keys", list);
	return 0;
}
