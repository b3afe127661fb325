/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who gets a post: members as they want it, members of groups, those that other plugins name. */
#include <fnmatch.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "post.h"

enum { GROUPS_MAX = 1000 };	/* groups in groups, all together */

static void add(struct audience *a, struct pb_str key, struct pb_str address, struct pb_str name, enum delivery delivery)
{
	if (a->n == a->room) {
		a->room = a->room ? a->room * 2 : 256;
		a->readers = pb_realloc(a->readers, a->room * sizeof *a->readers);
	}
	a->readers[a->n++] = (struct reader){ pb_arena_str(a->arena, key), pb_arena_str(a->arena, address), pb_arena_str(a->arena, name), PB_NOSTR, delivery };
}

void audience_end(struct audience *a)
{
	pb_arena_free(a->arena);
	free(a->readers);
	*a = (struct audience){ 0 };
}

/* ---- topics ---- */

/* The names of the topics that the post is about, as an array; NULL: the list has none. */
static json_t *topics_of(const struct post *p)
{
	static const char *const fields[] = { "Subject", "Keywords" };
	const json_t *list = setting_list(p->list->settings, "topics");
	json_t *names, *one;
	size_t i;

	if (!json_array_size(list))
		return NULL;
	names = json_array();
	json_array_foreach ((json_t *)list, i, one) {
		struct pb_str pattern = pb_str(json_string_value(one), json_string_length(one)), name;
		bool found = false;
		char *glob;

		if (!pb_str_cut(&pattern, '=', &name) || !pattern.ptr)
			continue;
		name = pb_str_trim(name);
		glob = pb_str_dup(pb_str_trim(pattern));
		for (size_t k = 0; k < 2; k++) {
			struct pb_str value = PB_NOSTR;
			PB_AUTOBUF(text);

			if (!pb_header_find(p->header, pb_strz(fields[k]), &value))
				continue;
			pb_words_decode(&text, value);
			found |= fnmatch(glob, pb_buf_z(&text), FNM_CASEFOLD) == 0;
		}
		free(glob);
		if (found)
			json_array_append_new(names, json_stringn(name.ptr, name.len));
	}
	return names;
}

bool list_has_topic(const struct list *l, struct pb_str name)
{
	json_t *one;
	size_t i;

	json_array_foreach ((json_t *)setting_list(l->settings, "topics"), i, one) {
		struct pb_str rest = pb_str(json_string_value(one), json_string_length(one)), known;

		if (pb_str_cut(&rest, '=', &known) && pb_str_ieq(pb_str_trim(known), name))
			return true;
	}
	return false;
}

static bool wants(const struct member *m, const json_t *about)
{
	json_t *chosen = about ? json_object_get(member_row(m), "topics") : NULL, *one, *other;
	size_t i, k;

	if (!json_array_size(chosen))
		return true;
	json_array_foreach (chosen, i, one)
		json_array_foreach ((json_t *)about, k, other)
			if (pb_str_ieq(pb_strz(json_string_value(one)), pb_strz(json_string_value(other))))
				return true;
	return false;
}

/* ---- members ---- */

struct gather {
	struct audience *audience;
	struct pb_str poster;		/* key of who posted */
	const json_t *about;
	bool mixed;			/* groups or sources follow: they bring nobody back who as a member wants none of it */
};

static bool take_member(void *arg, const struct member *m)
{
	struct gather *g = arg;

	bool wanted = !m->stopped && m->delivery == DELIVERY_EACH && wants(m, g->about) && !(pb_str_eq(m->key, g->poster) && member_flag(m, "quiet"));

	g->audience->digests += !m->stopped && (m->delivery == DELIVERY_MIME || m->delivery == DELIVERY_PLAIN);
	if (wanted || g->mixed)
		add(g->audience, m->key, m->address, member_text(m, "name"), wanted ? DELIVERY_EACH : DELIVERY_NONE);
	return true;
}

/* ---- others ---- */

static bool is_within(struct pb_str key, struct pb_str from, struct pb_str to)
{
	return pb_str_cmp(key, from) >= 0 && (!to.len || pb_str_cmp(key, to) < 0);
}

static void add_other(struct audience *a, struct pb_str address, struct pb_str name, struct pb_str from, struct pb_str to)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(normal);

	if (!pb_address_key(&key, address, NULL) && !pb_address_normal(&normal, address, NULL) && is_within(pb_buf_str(&key), from, to))
		add(a, pb_buf_str(&key), pb_buf_str(&normal), name, DELIVERY_EACH);
}

/* Is it a group? Then its members wait in todo; else it is somebody. */
static int look(struct post *p, struct pb_str address, json_t *todo, json_t *seen, bool *ret_group, struct pb_error *err)
{
	json_t *params = json_pack("{s:s%}", "address", address.ptr, address.len), *found = NULL, *members = NULL;
	int rc = params ? pb_call(p->all->host, "directory.resolve", params, &found, err) : PB_ENOTFOUND;

	json_decref(params);
	*ret_group = !rc && pb_str_eq(pb_text_of(found, "kind"), PB_STR("group"));
	if (*ret_group && !json_object_get(seen, json_string_value(json_object_get(found, "target")))) {
		json_object_set_new(seen, json_string_value(json_object_get(found, "target")), json_true());
		params = json_pack("{s:O}", "target", json_object_get(found, "target"));
		rc = pb_call(p->all->host, "directory.members", params, &members, err);
		json_decref(params);
		if (!rc)
			json_array_extend(todo, json_object_get(members, "members"));
		json_decref(members);
	}
	json_decref(found);
	return rc == PB_ENOTFOUND || rc == PB_EDENIED || rc == PB_EINVALID ? 0 : rc;
}

static int take_groups(struct post *p, struct audience *a, struct pb_str from, struct pb_str to, struct pb_error *err)
{
	json_t *todo = json_array(), *seen = json_object();
	int rc = 0;

	json_array_extend(todo, (json_t *)setting_list(p->list->settings, "groups"));
	for (size_t i = 0; i < json_array_size(todo) && !rc; i++) {
		const json_t *one = json_array_get(todo, i);
		struct pb_str address = pb_str(json_string_value(one), json_string_length(one));
		bool group;

		if (json_object_size(seen) > GROUPS_MAX) {
			rc = pb_fail(err, PB_ETOOBIG, "the groups of the list have more than %d groups in them", GROUPS_MAX);
			break;
		}
		rc = look(p, address, todo, seen, &group, err);
		if (!rc && !group)
			add_other(a, address, PB_NOSTR, from, to);
	}
	json_decref(todo);
	json_decref(seen);
	return rc;
}

/* Each note of the verdicts that is an array is one plugin's members: addresses, or objects with address and name. A source that cannot say now keeps the post waiting,
 * or its members would never get it. */
static int take_sources(struct post *p, struct audience *a, struct pb_str from, struct pb_str to, struct pb_error *err)
{
	int rc = 0;

	json_t *facts = json_pack("{s:s%, s:s%}", "list", p->list->address.ptr, p->list->address.len, "postoffice", p->list->postoffice.ptr, p->list->postoffice.len), *note, *one;
	struct pb_question q = { .point = "list.members", .facts = facts };
	struct pb_verdict v = PB_VERDICT;
	const char *key;
	size_t i;

	if (p->item) {	/* else it is asked who belongs to the list, without a post */
		q.id = pb_strz(pb_item_id(p->item));
		q.envelope = pb_item_envelope(p->item);
	}
	pb_ask(p->all->host, &q, &v);
	if (v.decision != PB_CONTINUE && v.decision != PB_ACCEPT)
		rc = pb_fail(err, PB_EUNAVAILABLE, "members of %.*s are not known now: %s", PB_FMT(p->list->address), v.text);
	json_object_foreach (v.notes, key, note) {
		json_array_foreach (note, i, one) {
			if (json_is_string(one))
				add_other(a, pb_str(json_string_value(one), json_string_length(one)), PB_NOSTR, from, to);
			else
				add_other(a, pb_text_of(one, "address"), pb_text_of(one, "name"), from, to);
		}
	}
	pb_verdict_clear(&v);
	json_decref(facts);
	return rc;
}

static int by_key(const void *a, const void *b)
{
	return pb_str_cmp(((const struct reader *)a)->key, ((const struct reader *)b)->key);
}

static void once_each(struct audience *a)
{
	size_t kept = 0;

	qsort(a->readers, a->n, sizeof *a->readers, by_key);
	for (size_t i = 0, end; i < a->n; i = end) {
		const struct reader *first = &a->readers[i];
		bool wanted = true;

		for (end = i; end < a->n && pb_str_eq(a->readers[end].key, first->key); end++)
			wanted &= a->readers[end].delivery == DELIVERY_EACH;
		if (wanted)
			a->readers[kept++] = *first;
	}
	a->n = kept;
}

int audience_gather(struct post *p, struct pb_str from, struct pb_str to, struct audience *ret, struct pb_error *err)
{
	json_t *about = topics_of(p);
	PB_AUTOBUF(poster);
	struct gather g = { .audience = ret, .about = about };
	bool mixed = json_array_size(setting_list(p->list->settings, "groups")) || setting_flag(p->list->settings, "sources");
	int rc;

	*ret = (struct audience){ .arena = pb_arena_new() };
	pb_address_key(&poster, pb_buf_str(&p->from), NULL);
	g.poster = pb_buf_str(&poster);
	g.mixed = mixed;
	rc = members_each(p->all, p->list, from, to, take_member, &g, err);
	if (!rc)
		rc = take_groups(p, ret, from, to, err);
	if (!rc && setting_flag(p->list->settings, "sources"))
		rc = take_sources(p, ret, from, to, err);
	if (!rc && mixed)
		once_each(ret);
	json_decref(about);
	return rc;
}
