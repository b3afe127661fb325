/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A MailEnable installation: post offices, domains, mailboxes, passwords, addresses and groups of its Config directory, then the mail of each mailbox.
 * What is there already stays as it is. What its formats are, as far as known and assumed, stands in docs/admin-guide.md.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "tools/mailenable.h"
#include "tools/office.h"

static void lower(struct pb_str s, struct pb_buf *out)
{
	for (size_t i = 0; i < s.len; i++)
		pb_buf_addc(out, (char)pb_lower((unsigned char)s.ptr[i]));
}

json_t *get_lower(const json_t *o, struct pb_str key)
{
	PB_AUTOBUF(small);

	lower(key, &small);
	return json_object_get(o, pb_buf_z(&small));
}

json_t *read_table(const char *dir, const char *const *names, const char *const *columns)
{
	char path[PATH_MAX];
	struct file file;
	json_t *rows;

	for (; *names; names++) {
		if (!find_entry(dir, *names, path, sizeof path) || file_open(path, NULL, &file, NULL))
			continue;
		rows = tab_rows(file.bytes, columns);
		file_close(&file);
		return rows;
	}
	return json_array();
}

static bool is_off(const json_t *row)
{
	return !strcmp(text_at(row, "Status"), "0");
}

/* ---- reading ---- */

static void add_domain(struct office *o, struct pb_str name)
{
	const json_t *one;
	size_t i;

	if (!name.len)
		return;
	json_array_foreach (o->domains, i, one)
		if (pb_str_ieq(name, pb_strz(json_string_value(one))))
			return;
	json_array_append_new(o->domains, json_stringn(name.ptr, name.len));
}

bool is_here(const struct office *o, const char *destination, struct pb_str *ret_type, struct pb_str *ret_name)
{
	struct pb_str value, office;

	return bracket_parse(destination, ret_type, &value) && store_parse(value, &office, ret_name) && pb_str_ieq(office, pb_strz(o->name));
}

json_t *thing_at(const struct office *o, const char *destination)
{
	struct pb_str type, name;
	json_t *box;

	if (!is_here(o, destination, &type, &name))
		return NULL;
	if (pb_str_ieq(type, PB_STR("LS")))
		return get_lower(o->lists, name);
	if (!pb_str_ieq(type, PB_STR("SF")))
		return NULL;
	box = get_lower(o->mailboxes, name);
	return box ? box : get_lower(o->groups, name);
}

bool source_of(const json_t *row, struct pb_str *ret_address, struct pb_str *ret_domain)
{
	struct pb_str type, rest, local;

	if (!bracket_parse(text_at(row, "SourceAddress"), &type, ret_address) || !pb_str_ieq(type, PB_STR("SMTP")))
		return false;
	rest = *ret_address;
	*ret_domain = PB_NOSTR;
	if (pb_str_cut(&rest, '@', &local))
		*ret_domain = rest;
	return ret_domain->len;
}

/* By the table of domains; where that has none, by the addresses that lead here. */
static void read_domains(struct office *o)
{
	struct pb_str address, domain, type, name;
	const json_t *row;
	size_t i;

	json_array_foreach (o->me->domains, i, row)
		if (!strcasecmp(text_at(row, "AccountName"), o->name))
			add_domain(o, pb_strz(text_at(row, "DomainName")));
	if (json_array_size(o->domains))
		return;
	json_array_foreach (o->me->map, i, row)
		if (source_of(row, &address, &domain) && is_here(o, text_at(row, "DestinationAddress"), &type, &name))
			add_domain(o, domain);
}

/* row: what the table says of it; NULL where it has a directory only. */
static void add_mailbox(struct office *o, const char *name, const json_t *row)
{
	json_t *box;
	PB_AUTOBUF(key);

	lower(pb_strz(name), &key);
	if (!key.len || json_object_get(o->mailboxes, pb_buf_z(&key)))
		return;
	box = json_pack("{s:s s:s s:[] s:b s:s s:s s:s}", "name", name, "address", "", "aliases", "enabled", !is_off(row), "redirect", text_at(row, "RedirectAddress"),
			"redirect_status", text_at(row, "RedirectStatus"), "limit", text_at(row, "Limit"));
	json_object_set_new(o->mailboxes, pb_buf_z(&key), box);
}

static void read_mailboxes(struct office *o)
{
	static const char *const files[] = { "MAILBOX.TAB", "MAILBOXES.TAB", NULL };
	static const char *const columns[] = { "Mailbox", "RedirectAddress", "RedirectStatus", "Status", "Limit", NULL };
	json_t *rows = read_table(o->dir, files, columns);
	char root[PATH_MAX], mine[PATH_MAX];
	struct names names;
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row)
		add_mailbox(o, text_at(row, "Mailbox"), row);
	json_decref(rows);
	if (!find_entry(o->me->offices, o->name, mine, sizeof mine) || !find_entry(mine, "MAILROOT", root, sizeof root) || names_read(root, names_by_bytes, &names, NULL))
		return;
	for (i = 0; i < names.n; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof path, "%.3600s/%.300s", root, names.list[i]);
		if (is_directory(path))
			add_mailbox(o, names.list[i], NULL);
	}
	names_free(&names);
}

/* Every address is said in the map; the one with the mailbox's own name in the main domain is the main one. */
static void read_addresses(struct office *o)
{
	struct pb_str address, domain;
	const json_t *row;
	size_t i;

	json_array_foreach (o->me->map, i, row) {
		json_t *thing = thing_at(o, text_at(row, "DestinationAddress")), *aliases = json_object_get(thing, "aliases");
		PB_AUTOBUF(own);

		if (!thing || !source_of(row, &address, &domain) || pb_str_starts(address, PB_STR("*@")))
			continue;
		pb_buf_addf(&own, "%s@%s", text_at(thing, "name"), json_string_value(json_array_get(o->domains, 0)));
		if (!*text_at(thing, "address") || (aliases && pb_str_ieq(address, pb_buf_str(&own)))) {
			if (*text_at(thing, "address"))
				json_array_append(aliases, json_object_get(thing, "address"));
			json_object_set_new(thing, "address", json_stringn(address.ptr, address.len));
		} else if (aliases) {
			json_array_append_new(aliases, json_stringn(address.ptr, address.len));
		}
	}
}

/* What nobody gave an address has its name in the main domain. */
static void name_the_rest(struct office *o)
{
	json_t *const all[] = { o->mailboxes, o->groups, o->lists };
	const char *domain = json_string_value(json_array_get(o->domains, 0)), *key;
	json_t *one;

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		json_object_foreach (all[i], key, one)
			if (!*text_at(one, "address"))
				json_object_set_new(one, "address", json_sprintf("%s@%s", text_at(one, "name"), domain));
}

/* ---- mail ---- */

bool mailroot_of(const struct office *o, const json_t *box, char *ret, size_t room)
{
	char office[PATH_MAX], root[PATH_MAX];

	return find_entry(o->me->offices, o->name, office, sizeof office) && find_entry(office, "MAILROOT", root, sizeof root) && find_entry(root, text_at(box, "name"), ret, room);
}

static int take_mail(struct office *o, struct pb_error *err)
{
	char path[PATH_MAX];
	const char *key;
	bool there;
	json_t *box;
	int rc = 0;

	json_object_foreach (o->mailboxes, key, box) {
		rc = feed_mailbox(o->me->feed, text_at(box, "address"), &there, err);
		if (!rc && there && mailroot_of(o, box, path, sizeof path))
			rc = import_mai(o->me->feed, path, err);
		if (rc)
			break;
	}
	return rc;
}

static int take_office(struct mailenable *me, const char *name, struct pb_error *err)
{
	struct office o = { .me = me, .name = name, .domains = json_array(), .mailboxes = json_object(), .groups = json_object(), .lists = json_object() };
	char dir[PATH_MAX];
	int rc = 0;

	if (!find_entry(me->config, "Postoffices", dir, sizeof dir) || !find_entry(dir, name, o.dir, sizeof o.dir))
		snprintf(o.dir, sizeof o.dir, "%.3600s/Postoffices/%.300s", me->config, name);
	read_domains(&o);
	if (json_array_size(o.domains)) {
		read_mailboxes(&o);
		read_groups(&o);
		read_lists(&o);
		read_addresses(&o);
		name_the_rest(&o);
		rc = office_make(&o, err);
		rc = rc ? rc : take_mail(&o, err);
	} else {
		feed_problem(me->feed, name, "no domain of this post office was found: it was left out");
	}
	json_decref(o.domains);
	json_decref(o.mailboxes);
	json_decref(o.groups);
	json_decref(o.lists);
	return rc;
}

static int take_offices(struct mailenable *me, struct pb_error *err)
{
	const char *only = me->feed->options->postoffice;
	struct names names;
	bool any = false;
	int rc = 0;

	if (names_read(me->offices, names_by_bytes, &names, err))
		return err->code;
	for (size_t i = 0; i < names.n && !rc; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof path, "%.3600s/%.300s", me->offices, names.list[i]);
		if (!is_directory(path) || (only && strcasecmp(only, names.list[i])))
			continue;
		any = true;
		rc = take_office(me, names.list[i], err);
	}
	names_free(&names);
	return rc || any ? rc : pb_fail(err, PB_ENOTFOUND, "%s has no post office%s%s", me->offices, only ? " " : "", only ? only : "");
}

int import_mailenable(struct feed *f, struct pb_error *err)
{
	static const char *const map_files[] = { "ADDRESS-MAP.TAB", NULL }, *const map_columns[] = { "SourceAddress", "DestinationAddress", "Scope", "Account", "Status", NULL };
	static const char *const auth_files[] = { "AUTH.TAB", NULL }, *const auth_columns[] = { "UserName", "Password", "Status", "Account", "Rights", NULL };
	static const char *const domain_files[] = { "SMTP-DOMAIN.TAB", "SMTP-DOMAINS.TAB", "DOMAIN.TAB", "DOMAINS.TAB", NULL };
	static const char *const domain_columns[] = { "DomainName", "AccountName", "Status", NULL };
	struct mailenable me = { .feed = f };
	int rc;

	if (!find_entry(f->options->dir, "Config", me.config, sizeof me.config))
		return pb_fail(err, PB_EINVALID, "%s has no Config directory", f->options->dir);
	if (!find_entry(f->options->dir, "Postoffices", me.offices, sizeof me.offices))
		return pb_fail(err, PB_EINVALID, "%s has no Postoffices directory", f->options->dir);
	f->makes = true;
	me.map = read_table(me.config, map_files, map_columns);
	me.auth = read_table(me.config, auth_files, auth_columns);
	me.domains = read_table(me.config, domain_files, domain_columns);
	rc = take_offices(&me, err);
	json_decref(me.map);
	json_decref(me.auth);
	json_decref(me.domains);
	return rc;
}
