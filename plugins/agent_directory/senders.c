/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may write to whom: the setting receive_from of mailboxes, and the senders of groups. Whom a login may write to is the submission server's to ask.
 *
 * A sender is known by his login. Without one the reverse-path counts where it names an address that is not ours: one of ours would have logged in.
 */
#include "mailbox_fields.h"
#include "policy.h"

#define GROUPS_MAX 1000

struct sender {
	struct row *login;		/* the mailbox that he logged in as, or NULL */
	struct name name;		/* of the reverse-path */
	bool named;			/* there is one, and it may be believed */
};

static const char *const words[] = { "anyone", "members", "postoffice", "server", NULL };

bool senders_is_word(struct pb_str word)
{
	for (size_t i = 0; words[i]; i++)
		if (pb_str_eq(word, pb_strz(words[i])))
			return true;
	return false;
}

int senders_parse(const json_t *given, json_t **ret, struct pb_error *err)
{
	struct pb_str first = pb_strz(json_string_value(json_array_get(given, 0)));

	if (json_array_size(given) == 1 && senders_is_word(first)) {
		*ret = json_copy((json_t *)given);
		return 0;
	}
	if (!json_array_size(given))
		return pb_fail(err, PB_EINVALID, "senders: allowed is one of anyone, members, postoffice, server, or addresses");
	return address_list(given, SENDERS_MAX, "senders: allowed is one of anyone, members, postoffice, server, or addresses; it", ret, err);
}

bool senders_are_all(const json_t *group)
{
	const json_t *list = json_object_get(group, "senders");

	return !json_array_size(list) || (json_array_size(list) == 1 && !strcmp(json_string_value(json_array_get(list, 0)), "anyone"));
}

int senders_restrict(struct directory *d, json_t *route, const struct found *f, struct pb_error *err)
{
	json_t *policy;
	ROW(group);
	int rc = 0;

	if (f->kind == FOUND_MAILBOX) {
		rc = policy_of_mailbox(d, f->mailbox->value, &policy, err);
		if (rc)
			return rc;
		if (!pb_str_eq(pb_text_of(policy, "receive_from"), PB_STR("anyone")))
			set_flag(route, "restricted", true);
		json_decref(policy);
	} else if (f->kind == FOUND_GROUP) {
		rc = row_read(d, 'g', pb_text_of(f->address->value, "id"), PB_NOSTR, &group, err);
		if (!rc && !senders_are_all(group->value))
			set_flag(route, "restricted", true);
	}
	return rc;
}

static int know_sender(struct directory *d, const json_t *params, struct sender *s, struct pb_error *err)
{
	struct pb_str login = pb_text_of(params, "mailbox"), path = pb_text_of(params, "sender");
	ROW(domain);
	int rc = 0;

	if (login.len)
		rc = row_read(d, 'm', login, PB_NOSTR, &s->login, err);
	if (!rc && s->login && !s->login->value) {
		row_release(s->login);
		s->login = NULL;
	}
	if (rc || !path.len || name_parse(&s->name, path, NULL))
		return rc;
	rc = row_read(d, 'd', s->name.domain, PB_NOSTR, &domain, err);
	s->named = !rc && (s->login || !domain->value);
	return rc;
}

/* "server" or "postoffice": his login is one of ours. */
static bool is_within(const struct sender *s, struct pb_str scope, struct pb_str postoffice)
{
	return s->login && (pb_str_eq(scope, PB_STR("server")) || pb_str_eq(pb_text_of(s->login->value, "postoffice"), postoffice));
}

/* Is this member or listed address the sender? A group is not looked into: *ret_group is its id. "*@domain" is everybody there. */
static int is_sender(struct directory *d, const struct sender *s, struct pb_str address, bool *ret, struct pb_str *ret_group, struct pb_arena *arena, struct pb_error *err)
{
	struct found f;
	struct name n;
	int rc = name_parse(&n, address, NULL);

	*ret_group = PB_NOSTR;
	*ret = !rc && s->named && (pb_str_eq(n.key, s->name.key) || (pb_str_eq(n.local, PB_STR("*")) && pb_str_eq(n.domain, s->name.domain)));
	if (rc || *ret)
		return 0;
	rc = find_address(d, address, &f, err);
	if (!rc && f.kind == FOUND_MAILBOX)
		*ret = s->login && pb_str_eq(pb_text_of(f.mailbox->value, "id"), pb_text_of(s->login->value, "id"));
	if (!rc && f.kind == FOUND_GROUP)
		*ret_group = pb_arena_str(arena, pb_text_of(f.address->value, "id"));
	found_release(&f);
	return rc == PB_ENOTFOUND || rc == PB_EINVALID || rc == PB_EDENIED ? 0 : rc;
}

/* Any of these addresses, with groups among them where wanted. */
static int is_among(struct directory *d, const struct sender *s, const json_t *list, bool *ret, json_t *groups, struct pb_arena *arena, struct pb_error *err)
{
	const json_t *one;
	struct pb_str group;
	size_t i;
	int rc = 0;

	json_array_foreach ((json_t *)list, i, one) {
		rc = is_sender(d, s, pb_str(json_string_value(one), json_string_length(one)), ret, &group, arena, err);
		if (rc || *ret)
			break;
		if (group.len && json_object_size(groups) < GROUPS_MAX && !json_object_get(groups, group.ptr))
			json_object_set_new(groups, group.ptr, json_true());
	}
	return rc;
}

/* groups grows while it is walked: each group is looked into once, so circles end. */
static int is_member(struct directory *d, const struct sender *s, const json_t *group, bool *ret, struct pb_error *err)
{
	struct pb_arena *arena = pb_arena_new();
	json_t *groups = json_object(), *seen = json_object(), *todo;
	const char *id;
	int rc;

	json_object_set_new(seen, json_string_value(json_object_get(group, "id")), json_true());
	rc = is_among(d, s, json_object_get(group, "members"), ret, groups, arena, err);
	while (!rc && !*ret && json_object_size(groups)) {
		json_t *next = json_object(), *unused;

		todo = groups;
		groups = next;
		json_object_foreach (todo, id, unused) {
			ROW(row);

			if (rc || *ret || json_object_get(seen, id) || json_object_size(seen) > GROUPS_MAX)
				continue;
			json_object_set_new(seen, id, json_true());
			rc = row_read(d, 'g', pb_strz(id), PB_NOSTR, &row, err);
			if (!rc && row->value)
				rc = is_among(d, s, json_object_get(row->value, "members"), ret, groups, arena, err);
		}
		json_decref(todo);
	}
	json_decref(groups);
	json_decref(seen);
	pb_arena_free(arena);
	return rc;
}

static int may_write_to_group(struct directory *d, const struct sender *s, const json_t *group, bool *ret, struct pb_error *err)
{
	const json_t *list = json_object_get(group, "senders");
	struct pb_str first = pb_strz(json_string_value(json_array_get(list, 0)));
	struct pb_arena *arena;
	json_t *groups;
	int rc;

	*ret = senders_are_all(group);
	if (*ret)
		return 0;
	if (pb_str_eq(first, PB_STR("members")))
		return is_member(d, s, group, ret, err);
	if (senders_is_word(first)) {
		*ret = is_within(s, first, pb_text_of(group, "postoffice"));
		return 0;
	}
	arena = pb_arena_new();
	groups = json_object();
	rc = is_among(d, s, list, ret, groups, arena, err);
	json_decref(groups);
	pb_arena_free(arena);
	return rc;
}

static int may_write_to_mailbox(struct directory *d, const struct sender *s, const json_t *mailbox, bool *ret, struct pb_error *err)
{
	struct pb_str scope;
	json_t *policy;
	int rc = policy_of_mailbox(d, mailbox, &policy, err);

	if (rc)
		return rc;
	scope = pb_text_of(policy, "receive_from");
	*ret = pb_str_eq(scope, PB_STR("anyone")) || (!pb_str_eq(scope, PB_STR("nobody")) && is_within(s, scope, pb_text_of(mailbox, "postoffice")));
	json_decref(policy);
	return 0;
}

METHOD(directory_may_receive)
{
	struct directory *d = self;
	struct pb_str target = pb_text_of(params, "target"), id = target, kind = PB_NOSTR;
	struct sender s = { 0 };
	bool allowed = true, group;
	ROW(row);
	int rc;

	(void)who;
	pb_str_cut(&id, '/', &kind);
	group = pb_str_eq(kind, PB_STR("group"));
	if (!group && !pb_str_eq(kind, PB_STR("mailbox")))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no mailbox and no group", PB_FMT(pb_str_head(target, 80)));
	rc = row_read(d, group ? 'g' : 'm', id, PB_NOSTR, &row, err);
	if (!rc && !row->value)
		rc = pb_fail(err, PB_ENOTFOUND, "no %.*s '%.*s'", PB_FMT(kind), PB_FMT(pb_str_head(id, 80)));
	if (!rc)
		rc = know_sender(d, params, &s, err);
	if (!rc)
		rc = group ? may_write_to_group(d, &s, row->value, &allowed, err) : may_write_to_mailbox(d, &s, row->value, &allowed, err);
	row_release(s.login);
	if (rc)
		return rc;
	*ret_result = json_object();
	set_flag(*ret_result, "allowed", allowed);
	return 0;
}
