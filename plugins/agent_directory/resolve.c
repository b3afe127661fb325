/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where an address leads: the methods on the way of every message, answered from memory. Rows and their cache are rows.c's.
 */
#include <postbus/address.h>
#include "mailbox_fields.h"

enum { ANSWER_RESOLVE = 'R', ANSWER_MAILBOX = 'M' };

void found_release(struct found *f)
{
	row_release(f->domain);
	row_release(f->address);
	row_release(f->mailbox);
	f->domain = f->address = f->mailbox = NULL;
}

static int read_address(struct directory *d, struct pb_str domain, struct pb_str local, struct row **ret, struct pb_error *err)
{
	int rc;

	row_release(*ret);
	*ret = NULL;
	rc = row_read(d, 'a', domain, local, ret, err);
	return rc ? rc : (*ret)->value ? 0 : PB_ENOTFOUND;
}

/* user+tag: the address of user, when that is a mailbox or a map. */
static int read_subaddress(struct directory *d, struct pb_str domain, struct pb_str local, struct found *f, struct pb_error *err)
{
	long at = d->separator ? pb_str_find(local, d->separator, 1) : -1;
	struct pb_str tag;
	int rc;

	if (at < 1)
		return PB_ENOTFOUND;
	rc = read_address(d, domain, pb_str_head(local, (size_t)at), &f->address, err);
	if (rc)
		return rc;
	if (pb_str_eq(text_of(f->address->value, "kind"), PB_STR("group")))
		return PB_ENOTFOUND;
	tag = pb_str_skip(local, (size_t)at + 1);
	snprintf(f->subaddress, sizeof f->subaddress, "%.*s", PB_FMT(tag));
	return 0;
}

static bool is_postmaster(struct pb_str local)
{
	return pb_str_ieq(local, PB_STR("postmaster"));
}

/* RFC 2142 4: where no address says who it is, abuse goes to the postmaster. */
static bool is_abuse(struct directory *d, struct pb_str local)
{
	return pb_str_ieq(local, PB_STR("abuse")) && pb_config_bool(d->host, "abuse_to_postmaster");
}

/* RFC 5321 4.5.1: every domain has a postmaster. Where no address says who it is, its post office does. */
static int find_role(struct directory *d, struct found *f, struct pb_str domain, char *next, size_t room, struct pb_error *err)
{
	PB_AUTOBUF(to);
	int rc = 0;

	if (is_abuse(d, f->name.local))
		pb_buf_addf(&to, "postmaster@%.*s", PB_FMT(domain));
	else if (is_postmaster(f->name.local))
		rc = postmaster_of_office(d, text_of(f->domain->value, "postoffice"), f->name.key, &to, err);
	else
		rc = PB_ENOTFOUND;
	if (!rc)
		snprintf(next, room, "%s", pb_buf_z(&to));
	return rc;
}

/* One step: which row stands for this name. PB_ENOTFOUND; *ret_next is set where it leads to another address. */
static int find_row(struct directory *d, struct found *f, char *next, size_t room, struct pb_error *err)
{
	struct pb_str alias = text_of(f->domain->value, "alias_of"), domain = alias.len ? alias : f->name.domain, local = f->name.local;
	int rc = read_address(d, domain, local, &f->address, err);

	if (rc == PB_ENOTFOUND)
		rc = read_subaddress(d, domain, local, f, err);
	if (rc == PB_ENOTFOUND)
		rc = find_role(d, f, domain, next, room, err);
	if (rc == PB_ENOTFOUND) {
		rc = read_address(d, domain, PB_STR("*"), &f->address, err);
		f->caught = true;
	}
	return rc;
}

/* What a map's entry says: an address to go on with in next, or the end of the way. */
static void follow_map(struct found *f, char *next, size_t room)
{
	struct pb_str to = text_of(f->address->value, "to"), rest = to, connector;
	long colon = pb_str_find(to, ':', 0), at = pb_str_find(to, '@', 0);

	if (colon > 0 && (at < 0 || colon < at) && pb_str_cut(&rest, ':', &connector)) {
		f->kind = FOUND_CONNECTOR;
		snprintf(f->target, sizeof f->target, "%.*s", PB_FMT(to));
	} else if (pb_str_starts(to, PB_STR("*@"))) {
		snprintf(next, room, "%.*s%.*s", PB_FMT(f->name.local), PB_FMT(pb_str_skip(to, 1)));
	} else {
		snprintf(next, room, "%.*s", PB_FMT(to));
	}
}

static int unknown(struct pb_str address, struct pb_error *err)
{
	return pb_fail(err, PB_ENOTFOUND, "no such address '%.*s' here", PB_FMT(pb_str_head(address, 120)));
}

/* The end of the way at a row that is no map. */
static int arrive(struct directory *d, struct found *f, struct pb_str address, struct pb_error *err)
{
	struct pb_str id = text_of(f->address->value, "id");
	int rc;

	if (pb_str_eq(text_of(f->address->value, "kind"), PB_STR("group"))) {
		f->kind = FOUND_GROUP;
		return 0;
	}
	rc = row_read(d, 'm', id, PB_NOSTR, &f->mailbox, err);
	if (!rc && !f->mailbox->value)		/* deleted between two looks */
		rc = unknown(address, err);
	f->kind = FOUND_MAILBOX;
	return rc;
}

/* RFC 5321 4.5.1: this host has a postmaster too, even where its name is not a domain with mailboxes. */
static bool is_role_of_host(struct directory *d, const struct found *f)
{
	return (is_postmaster(f->name.local) || is_abuse(d, f->name.local)) && pb_str_ieq(f->name.domain, pb_hostname(d->host));
}

static int ask_host(struct directory *d, struct pb_str asked, char *next, size_t room, struct pb_error *err)
{
	PB_AUTOBUF(to);
	int rc = postmaster_of_host(d, asked, &to, err);

	if (rc)
		return rc == PB_ENOTFOUND ? pb_fail(err, rc, "there is no postmaster yet: no post office has a mailbox") : rc;
	snprintf(next, room, "%s", pb_buf_z(&to));
	return 0;
}

int find_address(struct directory *d, struct pb_str address, struct found *f, struct pb_error *err)
{
	char here[400], next[700];
	bool local = false, named = pb_str_find(address, '@', 0) >= 0;
	int rc = 0;

	memset(f, 0, offsetof(struct found, name));
	f->subaddress[0] = f->target[0] = 0;
	if (is_postmaster(address)) {
		rc = ask_host(d, address, here, sizeof here, err);
		if (rc)
			return rc;
		address = pb_strz(here);
		local = true;
	}
	for (int depth = 0; depth < MAP_DEPTH; depth++) {
		row_release(f->domain);
		f->domain = NULL;
		rc = name_parse(&f->name, address, err);
		if (!rc)
			rc = row_read(d, 'd', f->name.domain, PB_NOSTR, &f->domain, err);
		if (rc)
			return rc;
		if (!f->domain->value && is_role_of_host(d, f)) {
			rc = ask_host(d, f->name.key, here, sizeof here, err);
			if (rc)
				return rc;
			address = pb_strz(here);
			local = true;
			continue;
		}
		if (!f->domain->value) {
			f->kind = local ? FOUND_REDIRECT : FOUND_REMOTE;
			snprintf(f->target, sizeof f->target, "%.*s", PB_FMT(address));
			return 0;
		}
		local = true;
		next[0] = 0;
		rc = find_row(d, f, next, sizeof next, err);
		if (rc)
			return rc == PB_ENOTFOUND ? unknown(address, err) : rc;
		if (!next[0]) {
			f->direct = depth == 0 && named && !f->caught && !f->subaddress[0];
			if (!pb_str_eq(text_of(f->address->value, "kind"), PB_STR("map")))
				return arrive(d, f, address, err);
			follow_map(f, next, sizeof next);
			if (!next[0])
				return 0;
		}
		if (strlen(next) >= sizeof here)
			return pb_fail(err, PB_EINVALID, "the address map leads '%.*s' to an address that is too long", PB_FMT(pb_str_head(address, 80)));
		memcpy(here, next, strlen(next) + 1);
		address = pb_strz(here);
	}
	return pb_fail(err, PB_EINVALID, "the address map leads '%.*s' in a circle", PB_FMT(pb_str_head(address, 120)));
}

int find_mailbox(struct directory *d, struct pb_str which, struct row **ret, struct pb_error *err)
{
	struct name n;
	struct pb_str alias;
	ROW(domain);
	ROW(address);
	struct row *row;
	int rc;

	if (pb_str_find(which, '@', 0) < 0) {
		rc = row_read(d, 'm', which, PB_NOSTR, &row, err);
	} else {
		rc = name_parse(&n, which, err);
		if (!rc)
			rc = row_read(d, 'd', n.domain, PB_NOSTR, &domain, err);
		if (rc)
			return rc;
		alias = domain->value ? text_of(domain->value, "alias_of") : PB_NOSTR;
		rc = row_read(d, 'a', alias.len ? alias : n.domain, n.local, &address, err);
		if (!rc && (!address->value || !pb_str_eq(text_of(address->value, "kind"), PB_STR("mailbox"))))
			return pb_fail(err, PB_ENOTFOUND, "no mailbox '%.*s'", PB_FMT(pb_str_head(which, 80)));
		if (!rc)
			rc = row_read(d, 'm', text_of(address->value, "id"), PB_NOSTR, &row, err);
	}
	if (rc)
		return rc;
	if (!row->value) {
		row_release(row);
		return pb_fail(err, PB_ENOTFOUND, "no mailbox '%.*s'", PB_FMT(pb_str_head(which, 80)));
	}
	*ret = row;
	return 0;
}

/* ---- the answer ---- */

static void set_route(json_t *o, const char *connector, struct pb_str target, struct pb_str destination, const char *kind, bool local)
{
	set_text(o, "connector", pb_strz(connector));
	set_text(o, "target", target);
	set_text(o, "destination", destination);
	set_text(o, "kind", pb_strz(kind));
	set_flag(o, "local", local);
}

static void route_mailbox(json_t *o, const struct found *f)
{
	char target[100];
	const json_t *row = f->mailbox->value;

	snprintf(target, sizeof target, "mailbox/%.*s", PB_FMT(text_of(row, "id")));
	set_route(o, "conn_postoffice", pb_strz(target), PB_NOSTR, "mailbox", true);
	set_text(o, "address", text_of(row, "address"));
	set_text(o, "mailbox", text_of(row, "id"));
	set_text(o, "postoffice", text_of(row, "postoffice"));
	set_text(o, "subaddress", pb_strz(f->subaddress));
}

static void route_connector(json_t *o, const struct found *f)
{
	struct pb_str target = pb_strz(f->target), connector, local, domain = PB_NOSTR;
	char name[64];

	pb_str_cut(&target, ':', &connector);
	snprintf(name, sizeof name, "%.*s", PB_FMT(connector));
	/* A transport by domain gets its destination from the target, "user@host" or "host"; the address stays where no local part is named. */
	if (!pb_str_eq(connector, PB_STR("conn_postoffice")) && !pb_address_split(target, &local, &domain))
		domain = target;
	set_route(o, name, target, domain, "connector", true);
	set_text(o, "address", f->name.key);
}

/* Remote: the domain is what is delivered to, the local part goes on as it was written. */
static int route_remote(struct directory *d, json_t *o, struct pb_str address, const struct found *f, struct pb_error *err)
{
	PB_AUTOBUF(normal);
	int rc = pb_address_normal(&normal, address, err);
	char connector[64];

	if (rc)
		return rc;
	snprintf(connector, sizeof connector, "%.*s", PB_FMT(pb_config_str(d->host, "remote_connector")));
	set_route(o, connector, pb_buf_str(&normal), f->name.domain, "remote", false);
	set_text(o, "address", pb_buf_str(&normal));
	return 0;
}

METHOD(directory_resolve)
{
	struct directory *d = self;
	struct pb_str address = text_of(params, "address");
	unsigned long long made;
	struct found f;
	char target[420];
	json_t *o = answer_take(d, ANSWER_RESOLVE, address, &made);
	int rc;

	(void)who;
	if (o) {
		*ret_result = o;
		return 0;
	}
	rc = find_address(d, address, &f, err);
	if (!rc && f.kind == FOUND_MAILBOX && !flag_of(f.mailbox->value, "enabled"))
		rc = pb_fail(err, PB_EDENIED, "the mailbox '%.*s' is disabled", PB_FMT(text_of(f.mailbox->value, "address")));
	if (rc) {
		found_release(&f);
		return rc;
	}
	o = json_object();
	switch (f.kind) {
	case FOUND_MAILBOX:
		route_mailbox(o, &f);
		if (f.direct)
			answer_offer(d, ANSWER_RESOLVE, address, made, o);
		break;
	case FOUND_GROUP:
		snprintf(target, sizeof target, "group/%.*s", PB_FMT(text_of(f.address->value, "id")));
		set_route(o, "conn_postoffice", pb_strz(target), PB_NOSTR, "group", true);
		set_text(o, "address", f.name.key);
		set_text(o, "postoffice", text_of(f.domain->value, "postoffice"));
		break;
	case FOUND_REDIRECT:
		snprintf(target, sizeof target, "redirect/%s", f.target);
		set_route(o, "conn_postoffice", pb_strz(target), PB_NOSTR, "redirect", true);
		set_text(o, "address", address);
		break;
	case FOUND_CONNECTOR:
		route_connector(o, &f);
		break;
	case FOUND_REMOTE:
		rc = route_remote(d, o, address, &f, err);
		break;
	}
	found_release(&f);
	if (rc)
		json_decref(o);
	else
		*ret_result = o;
	return rc;
}

METHOD(directory_members)
{
	struct directory *d = self;
	struct pb_str target = text_of(params, "target");
	ROW(row);
	int rc;

	(void)who;
	if (!pb_str_starts(target, PB_STR("group/")))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no group", PB_FMT(pb_str_head(target, 80)));
	rc = row_read(d, 'g', pb_str_skip(target, 6), PB_NOSTR, &row, err);
	if (rc)
		return rc;
	if (!row->value)
		return pb_fail(err, PB_ENOTFOUND, "no group '%.*s'", PB_FMT(pb_str_head(target, 80)));
	*ret_result = json_object();
	json_object_set(*ret_result, "members", json_object_get(row->value, "members"));
	set_text(*ret_result, "address", text_of(row->value, "address"));
	set_text(*ret_result, "postoffice", text_of(row->value, "postoffice"));
	return 0;
}

METHOD(directory_mailbox)
{
	struct directory *d = self;
	struct pb_str which = text_of(params, "mailbox");
	unsigned long long made;
	ROW(row);
	int rc;

	(void)who;
	which = which.len ? which : text_of(params, "address");
	*ret_result = answer_take(d, ANSWER_MAILBOX, which, &made);
	if (*ret_result)
		return 0;
	rc = find_mailbox(d, which, &row, err);
	if (rc)
		return rc;
	*ret_result = mailbox_fields(row->value);
	answer_offer(d, ANSWER_MAILBOX, which, made, *ret_result);
	return 0;
}

METHOD(directory_domain)
{
	struct directory *d = self;
	struct pb_str domain = text_of(params, "domain");
	PB_AUTOBUF(ascii);
	ROW(row);
	int rc = pb_domain_ascii(&ascii, pb_str_head(domain, 1000), err);

	(void)who;
	if (!rc)
		rc = row_read(d, 'd', pb_buf_str(&ascii), PB_NOSTR, &row, err);
	if (!rc && !row->value)
		rc = pb_fail(err, PB_ENOTFOUND, "'%.*s' is no domain of ours", PB_FMT(pb_str_head(domain, 80)));
	if (rc)
		return rc;
	*ret_result = json_object();
	set_text(*ret_result, "domain", pb_buf_str(&ascii));
	set_text(*ret_result, "postoffice", text_of(row->value, "postoffice"));
	set_text(*ret_result, "alias_of", text_of(row->value, "alias_of"));
	return 0;
}

/* His own addresses, with any subaddress and in alias domains, and exact maps that lead to him; never a catch-all. The null sender is anybody's. */
METHOD(directory_may_send)
{
	struct directory *d = self;
	struct pb_str sender = text_of(params, "sender");
	struct found f;
	bool allowed = !sender.len;
	int rc = allowed ? 0 : find_address(d, sender, &f, err);

	(void)who;
	if (sender.len) {
		if (!rc && f.kind == FOUND_MAILBOX)
			allowed = pb_str_eq(text_of(f.mailbox->value, "id"), text_of(params, "mailbox")) && !f.caught;
		found_release(&f);
	}
	if (rc == PB_EUNAVAILABLE || rc == PB_ECORRUPT || rc == PB_EINTERNAL || rc == PB_EFULL)
		return rc;
	*ret_result = json_object();
	set_flag(*ret_result, "allowed", allowed);
	return 0;
}
