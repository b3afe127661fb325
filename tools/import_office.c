/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A post office as MailEnable had it, made here: domains, mailboxes with passwords, groups, the address map. What is there already stays as it is. */
#include <stdlib.h>
#include <string.h>
#include "tools/mailenable.h"
#include "tools/office.h"

/* For a dry run: "mailbox.create" is asked as mailbox.show. */
static bool exists(struct office *o, const char *method, const char *what)
{
	const char *dot = strchr(method, '.');
	json_t *params = json_object(), *shown = NULL;
	struct pb_error ignored;
	char noun[40], show[50];
	bool there;

	snprintf(noun, sizeof noun, "%.*s", (int)(dot - method), method);
	snprintf(show, sizeof show, "%s.show", noun);
	json_object_set_new(params, strcmp(noun, "address-map") ? noun : "address", json_string(what));
	there = client_call(o->me->feed->client, show, params, &shown, &ignored) == 0;
	json_decref(shown);
	json_decref(params);
	return there;
}

/* What cannot be made is a problem; a daemon that has gone is the end. */
static int make(struct office *o, const char *what, const char *method, json_t *params, const char *note, struct pb_error *err)
{
	bool made;
	int rc = feed_make(o->me->feed, method, params, &made, err);

	if (made && o->me->feed->options->dry_run)
		made = !exists(o, method, what);
	if (made)
		feed_note(o->me->feed, note, "%s", what);
	if (rc == PB_ECLOSED || rc == PB_ETIMEOUT || rc == PB_EINTERNAL)
		return rc;
	if (rc)
		feed_problem(o->me->feed, what, "%s", err->text);
	return 0;
}

static const char *password_of(const struct office *o, const char *mailbox)
{
	PB_AUTOBUF(login);
	const json_t *row;
	size_t i;

	pb_buf_addf(&login, "%s@%s", mailbox, o->name);
	json_array_foreach (o->me->auth, i, row)
		if (pb_str_ieq(pb_strz(text_at(row, "UserName")), pb_buf_str(&login)))
			return text_at(row, "Password");
	return "";
}

static bool can_log_in(struct office *o, const char *address)
{
	json_t *params = json_pack("{s:s}", "mailbox", address), *shown = NULL;
	struct pb_error ignored;
	bool can = client_call(o->me->feed->client, "mailbox.show", params, &shown, &ignored) == 0 && json_is_true(json_object_get(shown, "has_password"));

	json_decref(params);
	json_decref(shown);
	return can;
}

/* A password that somebody has set here already is not put back to the old one. */
static int set_password(struct office *o, const json_t *box, struct pb_error *err)
{
	const char *password = password_of(o, text_at(box, "name")), *address = text_at(box, "address");
	bool made;
	int rc;

	if (can_log_in(o, address))
		return 0;
	if (!*password) {
		feed_note(o->me->feed, "needs_password", "%s", address);
		return 0;
	}
	rc = feed_make(o->me->feed, "mailbox.password", json_pack("{s:s s:s}", "mailbox", address, "password", password), &made, err);
	if (made)
		feed_note(o->me->feed, "passwords", "%s", address);
	if (!rc || rc == PB_ECLOSED)
		return rc;
	feed_note(o->me->feed, "needs_password", "%s", address);
	feed_problem(o->me->feed, address, "%s", err->text);
	return 0;
}

/* Whether somebody has set it here already. */
static bool has_autoreply(struct office *o, const char *address)
{
	json_t *params = json_pack("{s:s s:s}", "mailbox", address, "key", "autoreply"), *shown = NULL;
	struct pb_error ignored;
	bool has = client_call(o->me->feed->client, "policy.show", params, &shown, &ignored) == 0 &&
		   strcmp(text_at(json_array_get(json_object_get(shown, "settings"), 0), "from"), "default");

	json_decref(params);
	json_decref(shown);
	return has;
}

/* AUTORESPOND.CFG beside the folders is one that is switched on: a message with Subject, Reply-To and the text. */
static int set_autoreply(struct office *o, const json_t *box, struct pb_error *err)
{
	const char *address = text_at(box, "address");
	char root[PATH_MAX], path[PATH_MAX], *value;
	struct file file;
	json_t *reply;
	bool made = false;
	int rc = 0;

	if (!mailroot_of(o, box, root, sizeof root) || !find_entry(root, "AUTORESPOND.CFG", path, sizeof path) || has_autoreply(o, address) || file_open(path, NULL, &file, NULL))
		return 0;
	reply = responder_parse(file.bytes);
	file_close(&file);
	if (!reply) {
		feed_note(o->me->feed, "not_imported", "%s: its automatic answer, which has no plain text", address);
		return 0;
	}
	value = json_dumps(reply, JSON_COMPACT);
	rc = feed_make(o->me->feed, "policy.set", json_pack("{s:s s:s s:s}", "mailbox", address, "key", "autoreply", "value", value), &made, err);
	if (made)
		feed_note(o->me->feed, "automatic_answers", "%s", address);
	else if (rc != PB_ECLOSED)
		feed_problem(o->me->feed, address, "%s", err->text);
	free(value);
	json_decref(reply);
	return rc == PB_ECLOSED ? rc : 0;
}

/* "[SMTP:a@b];[SMTP:c@d]", where its status is not 0; a mailbox or group of ours has its address. */
static json_t *redirect_of(struct office *o, const json_t *box)
{
	struct pb_str rest = pb_strz(text_at(box, "redirect")), one, type, value;
	json_t *list = json_array();

	if (!strcmp(text_at(box, "redirect_status"), "0"))
		return list;
	while (pb_str_cut(&rest, ';', &one)) {
		char text[1100];
		const json_t *thing;

		one = pb_str_trim(one);
		if (!one.len)
			continue;
		snprintf(text, sizeof text, "%.*s", PB_FMT(pb_str_head(one, 1090)));
		thing = thing_at(o, text);
		if (bracket_parse(text, &type, &value) && pb_str_ieq(type, PB_STR("SMTP")))
			json_array_append_new(list, json_stringn(value.ptr, value.len));
		else if (thing)
			json_array_append(list, json_object_get(thing, "address"));
		else
			feed_problem(o->me->feed, text_at(box, "address"), "is redirected to %s, which is not known", text);
	}
	return list;
}

static json_t *mailbox_params(struct office *o, const json_t *box)
{
	json_t *params = json_pack("{s:s s:O s:b}", "address", text_at(box, "address"), "aliases", json_object_get(box, "aliases"), "enabled",
				   json_is_true(json_object_get(box, "enabled"))),
	       *redirect = redirect_of(o, box);
	uint64_t kilobytes;

	if (json_array_size(redirect)) {
		json_object_set(params, "redirect", redirect);
		json_object_set_new(params, "redirect_keep", json_boolean(!strcmp(text_at(box, "redirect_status"), "2")));
	}
	json_decref(redirect);
	if (pb_str_u64(pb_strz(text_at(box, "limit")), INT64_MAX >> 10, &kilobytes) == 0 && kilobytes)
		json_object_set_new(params, "quota_bytes", json_integer((json_int_t)kilobytes << 10));
	return params;
}

static int make_mailbox(struct office *o, const json_t *box, struct pb_error *err)
{
	int rc = make(o, text_at(box, "address"), "mailbox.create", mailbox_params(o, box), "mailboxes_made", err);

	rc = rc ? rc : set_password(o, box, err);
	return rc ? rc : set_autoreply(o, box, err);
}

/* A member is an address, or a mailbox, group or list of this post office. */
void add_member(const struct office *o, json_t *list, const json_t *row)
{
	struct pb_str type, value;

	if (!bracket_parse(text_at(row, "Address"), &type, &value) || !strcmp(text_at(row, "Status"), "0"))
		return;
	if (pb_str_ieq(type, PB_STR("SMTP")))
		json_array_append_new(list, json_stringn(value.ptr, value.len));
	else if (thing_at(o, text_at(row, "Address")))
		json_array_append(list, json_object_get(thing_at(o, text_at(row, "Address")), "address"));
}

int make_group(struct office *o, const json_t *group, const char *note, struct pb_error *err)
{
	json_t *members = json_array(), *params;
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(group, "members"), i, row)
		add_member(o, members, row);
	params = json_pack("{s:s s:s s:o}", "address", text_at(group, "address"), "name", text_at(group, "name"), "members", members);
	if (json_array_size(json_object_get(group, "senders")))
		json_object_set(params, "senders", json_object_get(group, "senders"));
	return make(o, text_at(group, "address"), "group.create", params, note, err);
}

/* Where an entry leads that is no plain address of a mailbox; empty: nowhere that we know. */
static void destination(const struct office *o, const json_t *row, struct pb_buf *out)
{
	struct pb_str type, value;

	if (!bracket_parse(text_at(row, "DestinationAddress"), &type, &value))
		return;
	if (pb_str_ieq(type, PB_STR("SMTP")))
		pb_buf_addstr(out, value);
	else
		pb_buf_addz(out, text_at(thing_at(o, text_at(row, "DestinationAddress")), "address"));
}

static bool is_domain_of(const struct office *o, struct pb_str domain)
{
	const json_t *one;
	size_t i;

	json_array_foreach (o->domains, i, one)
		if (pb_str_ieq(domain, pb_strz(json_string_value(one))))
			return true;
	return false;
}

/* Catch-alls, addresses that lead elsewhere, further addresses of groups. */
static int make_entry(struct office *o, const json_t *row, struct pb_error *err)
{
	struct pb_str address, domain;
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);

	if (!source_of(row, &address, &domain) || !is_domain_of(o, domain))
		return 0;
	pb_buf_addstr(&from, address);
	if (is_mailbox(thing_at(o, text_at(row, "DestinationAddress"))) && !pb_str_starts(address, PB_STR("*@")))
		return 0;
	destination(o, row, &to);
	if (!to.len)
		feed_problem(o->me->feed, pb_buf_z(&from), "leads to %s, which is not known", text_at(row, "DestinationAddress"));
	if (!to.len || pb_str_ieq(pb_buf_str(&to), address))
		return 0;
	return make(o, pb_buf_z(&from), "address-map.create", json_pack("{s:s s:s}", "address", pb_buf_z(&from), "to", pb_buf_z(&to)), "addresses_made", err);
}

int office_make(struct office *o, struct pb_error *err)
{
	const char *key;
	json_t *one;
	size_t i;
	int rc = make(o, o->name, "postoffice.create", json_pack("{s:s}", "name", o->name), "postoffices_made", err);

	json_array_foreach (o->domains, i, one)
		rc = rc ? rc : make(o, json_string_value(one), "domain.create", json_pack("{s:O s:s}", "domain", one, "postoffice", o->name), "domains_made", err);
	json_object_foreach (o->mailboxes, key, one)
		rc = rc ? rc : make_mailbox(o, one, err);
	json_object_foreach (o->groups, key, one)
		rc = rc ? rc : make_group(o, one, "groups_made", err);
	rc = rc ? rc : make_lists(o, err);
	json_array_foreach (o->me->map, i, one)
		rc = rc ? rc : make_entry(o, one, err);
	return rc;
}
