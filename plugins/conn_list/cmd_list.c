/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list create, list, show, set, unset, settings, password, delete. */
#include <postbus/address.h>
#include "archive.h"
#include "serve.h"

/* ---- the address map: what brings mail here ---- */

/* The entry that leads the address here, and those of its doors, so that others are refused before the list has them; one that does so already is as good. */
static int map_make(struct lists *all, struct pb_str address, struct pb_error *err)
{
	json_t *params, *found = NULL, *doors = json_array();
	PB_AUTOBUF(to);
	int rc;

	pb_buf_addf(&to, "conn_list:%.*s", PB_FMT(address));
	for (size_t i = 0; door_name(i); i++)
		json_array_append_new(doors, json_string(door_name(i)));
	params = json_pack("{s:s%, s:s, s:b, s:o}", "address", address.ptr, address.len, "to", pb_buf_z(&to), "extensions", 1, "suffixes", doors);
	rc = pb_call(all->host, "address-map.create", params, NULL, err);
	if (rc == PB_EEXISTS) {
		json_object_del(params, "to");
		json_object_del(params, "extensions");
		json_object_del(params, "suffixes");
		if (!pb_call(all->host, "address-map.show", params, &found, NULL) && pb_str_eq(pb_text_of(found, "to"), pb_buf_str(&to)))
			rc = 0;
		json_decref(found);
	}
	json_decref(params);
	return rc;
}

static int map_remove(struct lists *all, struct pb_str address, struct pb_error *err)
{
	json_t *params = json_pack("{s:s%}", "address", address.ptr, address.len);
	int rc = pb_call(all->host, "address-map.delete", params, NULL, err);

	json_decref(params);
	return rc == PB_ENOTFOUND ? 0 : rc;
}

/* The post office of a domain, which is whoever's that asks. */
static int office_of(struct lists *all, const struct pb_caller *who, struct pb_str domain, struct pb_buf *office, struct pb_error *err)
{
	json_t *params = json_pack("{s:s%}", "domain", domain.ptr, domain.len), *found = NULL;
	int rc = pb_call(all->host, "directory.domain", params, &found, err);

	json_decref(params);
	if (!rc) {
		pb_buf_addstr(office, pb_text_of(found, "postoffice"));
		if (pb_text_of(found, "alias_of").len)
			rc = pb_fail(err, PB_EINVALID, "the domain '%.*s' is an alias of '%.*s', which has all its addresses", PB_FMT(domain),
				     PB_FMT(pb_text_of(found, "alias_of")));
		else if (who->role != PB_ROLE_SYSTEM && !pb_str_eq(who->postoffice, pb_buf_str(office)))
			rc = pb_fail(err, PB_ENOTFOUND, "no domain '%.*s'", PB_FMT(domain));
	}
	json_decref(found);
	return rc;
}

/* ---- create, delete ---- */

static json_t *new_row(struct lists *all, struct pb_str address, struct pb_str office)
{
	unsigned char random[8];
	PB_AUTOBUF(id);

	pb_random(random, sizeof random);
	pb_hex_encode(&id, pb_str((char *)random, sizeof random));
	return json_pack("{s:s, s:s%, s:s%, s:I, s:{}}", "id", pb_buf_z(&id), "address", address.ptr, address.len, "postoffice", office.len ? office.ptr : "", office.len,
			 "created", (json_int_t)pb_now(all->host), "settings");
}

static int set_one(struct list *l, struct pb_str name, const json_t *words, struct pb_error *err);

static int set_given(struct list *l, const json_t *params, struct pb_error *err)
{
	static const char *const names[] = { "description", "owners", "subscription", "posting" };
	int rc = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names && !rc; i++) {
		json_t *given = json_object_get(params, names[i]), *words;

		if (!given)
			continue;
		words = json_is_array(given) ? json_incref(given) : json_pack("[O]", given);
		rc = set_one(l, pb_strz(names[i]), words, err);
		json_decref(words);
	}
	return rc;
}

/* dev-request@ is the door of dev@, where that is a list. */
static int not_a_door(struct lists *all, struct pb_str local, struct pb_str domain, struct pb_error *err)
{
	struct door door;
	struct list other;
	int rc = 0;

	for (size_t i = 1; i < local.len && !rc; i++) {
		PB_AUTOBUF(address);

		if (local.ptr[i] != '-' || !door_parse(&door, pb_str_head(local, i), local))
			continue;
		pb_buf_addf(&address, "%.*s@%.*s", PB_FMT(pb_str_head(local, i)), PB_FMT(domain));
		if (list_open(all, pb_buf_str(&address), &other, NULL))
			continue;
		list_close(&other);
		rc = pb_fail(err, PB_ECONFLICT, "'%.*s@%.*s' is an address of the list '%s'", PB_FMT(local), PB_FMT(domain), pb_buf_z(&address));
	}
	return rc;
}

static int create(struct lists *all, const struct pb_caller *who, const json_t *params, struct list *l, struct pb_error *err)
{
	struct pb_str local, domain;
	PB_AUTOBUF(address);
	PB_AUTOBUF(office);
	int rc = pb_address_parse(pb_text_of(params, "list"), PB_PATH_UTF8, NULL, err);

	if (!rc)
		rc = pb_address_key(&address, pb_text_of(params, "list"), err);
	if (rc)
		return pb_because(err, "the list's address");
	pb_address_split(pb_buf_str(&address), &local, &domain);
	if (pb_str_find(local, '+', 0) >= 0)
		return pb_fail(err, PB_EINVALID, "the name of a list has no '+': what stands behind it is a command");
	if (local.len > LIST_NAME_MAX)
		return pb_fail(err, PB_ETOOBIG, "the name of a list has at most %d octets: with what stands behind it in its other addresses there are 64", LIST_NAME_MAX);
	rc = office_of(all, who, domain, &office, err);
	if (!rc)
		rc = not_a_door(all, local, domain, err);
	if (rc)
		return rc;
	if (list_open(all, pb_buf_str(&address), l, NULL) == 0) {
		list_close(l);
		return pb_fail(err, PB_EEXISTS, "there is a list '%s' already", pb_buf_z(&address));
	}
	list_take(l, new_row(all, pb_buf_str(&address), pb_buf_str(&office)));
	rc = set_given(l, params, err);
	if (!rc)
		rc = map_make(all, pb_buf_str(&address), err);
	if (!rc)
		rc = list_save(all, l, err);
	if (rc)
		list_close(l);
	return rc;
}

static json_t *show_short(const struct list *l)
{
	json_t *o = json_object();

	set_text(o, "list", l->address);
	set_text(o, "postoffice", l->postoffice);
	set_text(o, "description", setting_text(l->settings, "description"));
	return o;
}

METHOD(list_create)
{
	struct lists *all = self;
	struct list l;
	int rc;

	pthread_mutex_lock(&all->writing);
	rc = create(all, who, params, &l, err);
	pthread_mutex_unlock(&all->writing);
	if (rc)
		return rc;
	*ret_result = show_short(&l);
	list_close(&l);
	return 0;
}

METHOD(list_delete)
{
	struct lists *all = self;
	struct list l;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&all->writing);
	rc = map_remove(all, l.address, err);
	if (!rc)
		rc = list_remove(all, &l, err);
	pthread_mutex_unlock(&all->writing);
	if (!rc)
		rc = members_remove_all(all, &l, err);
	if (!rc)
		rc = held_remove_all(all, &l, err);
	list_close(&l);
	return rc;
}

/* ---- list, show ---- */

static bool show_listed(void *arg, struct list *l)
{
	json_array_append_new(arg, show_short(l));
	return true;
}

METHOD(list_list)
{
	struct pb_str office = who->role == PB_ROLE_SYSTEM ? pb_text_of(params, "postoffice") : who->postoffice;
	json_t *list = json_array();
	int rc = lists_each(self, office, show_listed, list, err);

	if (rc)
		json_decref(list);
	else
		*ret_result = json_pack("{s:o}", "lists", list);
	return rc;
}

struct count {
	size_t all, stopped, by[DELIVERIES];
};

static bool count_one(void *arg, const struct member *m)
{
	struct count *c = arg;

	c->all++;
	c->stopped += m->stopped;
	c->by[m->delivery]++;
	return true;
}

/* What a list's settings are, with the defaults; of secrets only whether there is one. */
static json_t *show_settings(const struct list *l, bool all)
{
	json_t *o = json_object();

	for (const struct setting *s = settings; s->name; s++) {
		json_t *v = json_object_get(l->settings, s->name);

		if (!v && !all)
			continue;
		if (s->kind == SETTING_SECRET)
			json_object_set_new(o, s->name, json_boolean(setting_text(l->settings, s->name).len > 0));
		else if (v)
			json_object_set(o, s->name, v);
		else
			json_object_set_new(o, s->name, json_string(s->def));
	}
	return o;
}

METHOD(list_show)
{
	struct lists *all = self;
	struct count c = { 0 };
	struct list l;
	json_t *o, *by;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	rc = members_each(all, &l, PB_NOSTR, PB_NOSTR, count_one, &c, err);
	if (!rc) {
		o = show_short(&l);
		by = json_object();
		for (int i = 0; i < DELIVERIES; i++)
			json_object_set_new(by, delivery_names[i], json_integer((json_int_t)c.by[i]));
		json_object_set_new(o, "members", json_integer((json_int_t)c.all));
		json_object_set_new(o, "stopped", json_integer((json_int_t)c.stopped));
		json_object_set_new(o, "delivery", by);
		json_object_set_new(o, "created", json_integer((json_int_t)(number_of(l.row, "created") / PB_SECOND)));
		json_object_set_new(o, "settings", show_settings(&l, flag_of(params, "all")));
		*ret_result = o;
	}
	list_close(&l);
	return rc;
}

/* ---- settings ---- */

static int unknown(struct pb_str name, struct pb_error *err)
{
	const char *near = setting_nearest(name);

	if (near)
		return pb_fail(err, PB_EINVALID, "lists have no setting '%.*s'; is '%s' meant?", PB_FMT(pb_str_head(name, 60)), near);
	return pb_fail(err, PB_EINVALID, "lists have no setting '%.*s'; list settings shows them all", PB_FMT(pb_str_head(name, 60)));
}

static int set_one(struct list *l, struct pb_str name, const json_t *words, struct pb_error *err)
{
	const struct setting *s = setting_find(name);
	json_t *value;
	int rc;

	if (!s)
		return unknown(name, err);
	rc = setting_parse(s, words, &value, err);
	if (!rc)
		json_object_set_new(l->settings, s->name, value);
	return rc;
}

/* Read, change, write: one at a time. */
static int change(struct lists *all, const struct pb_caller *who, const json_t *params, int (*step)(struct list *l, const json_t *params, struct pb_error *err),
		  struct pb_error *err)
{
	struct list l;
	int rc;

	pthread_mutex_lock(&all->writing);
	rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);
	if (!rc) {
		rc = step(&l, params, err);
		if (!rc && pb_str_starts(pb_text_of(params, "setting"), PB_STR("archive")))
			rc = archive_prepare(all, &l, err);
		if (!rc)
			rc = list_save(all, &l, err);
		list_close(&l);
	}
	pthread_mutex_unlock(&all->writing);
	return rc;
}

static int step_set(struct list *l, const json_t *params, struct pb_error *err)
{
	const struct setting *s = setting_find(pb_text_of(params, "setting"));
	json_t *file = json_object_get(params, "file"), *words;
	int rc;

	if (s && s->kind == SETTING_SECRET)
		return pb_fail(err, PB_EINVALID, "%s is a secret, which the command line would show: set it with list password", s->name);
	if (!file)
		return set_one(l, pb_text_of(params, "setting"), json_object_get(params, "value"), err);
	words = json_pack("[O]", file);
	rc = set_one(l, pb_text_of(params, "setting"), words, err);
	json_decref(words);
	return rc;
}

/* Of all settings this one has a language of its own. */
static int check_script(struct lists *all, const struct pb_caller *who, const json_t *params, struct pb_error *err)
{
	json_t *words, *value = NULL;
	struct list l;
	int rc;

	if (!pb_str_eq(pb_text_of(params, "setting"), PB_STR("posting_script")))
		return 0;
	words = json_object_get(params, "file") ? json_pack("[O]", json_object_get(params, "file")) : json_incref(json_object_get(params, "value"));
	rc = setting_parse(setting_find(PB_STR("posting_script")), words, &value, err);
	json_decref(words);
	if (!rc)
		rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);
	if (!rc) {
		rc = script_check(all, l.postoffice, pb_str(json_string_value(value), json_string_length(value)), err);
		list_close(&l);
	}
	json_decref(value);
	return rc;
}

METHOD(list_set)
{
	int rc = check_script(self, who, params, err);

	return rc ? rc : change(self, who, params, step_set, err);
}

static int step_unset(struct list *l, const json_t *params, struct pb_error *err)
{
	const struct setting *s = setting_find(pb_text_of(params, "setting"));

	if (!s)
		return unknown(pb_text_of(params, "setting"), err);
	json_object_del(l->settings, s->name);
	return 0;
}

METHOD(list_unset)
{
	return change(self, who, params, step_unset, err);
}

static int step_password(struct list *l, const json_t *params, struct pb_error *err)
{
	json_t *words = json_pack("[O]", json_object_get(params, "password"));
	int rc = set_one(l, PB_STR("posting_password"), words, err);

	json_decref(words);
	return rc;
}

METHOD(list_password)
{
	return change(self, who, params, step_password, err);
}

METHOD(list_settings)
{
	json_t *list = json_array();

	for (const struct setting *s = settings; s->name; s++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "setting", s->name, "kind", s->words ? s->words : setting_kind_name(s->kind), "default", s->def,
						      "doc", s->doc));
	*ret_result = json_pack("{s:o}", "settings", list);
	return 0;
}
