/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where an address leads, who a group and whose a mailbox is: the methods on the way of every message, answered from memory. Finding the rows is find.c's, keeping
 * rows and answers is rows.c's.
 */
#include <postbus/address.h>
#include "mailbox_fields.h"
#include "policy.h"

enum { ANSWER_RESOLVE = 'R', ANSWER_MAILBOX = 'M' };

static void set_route(json_t *o, const char *connector, struct pb_str target, struct pb_str destination, const char *kind, bool local)
{
	set_text(o, "connector", pb_strz(connector));
	set_text(o, "target", target);
	set_text(o, "destination", destination);
	set_text(o, "kind", pb_strz(kind));
	set_flag(o, "local", local);
}

/* Who gets a copy of all mail of this domain's post office, where anybody does. The first one stands alone, for there is rarely another. */
static void route_archive(struct directory *d, json_t *o, struct pb_str domain)
{
	json_t *policy, *others, *to;

	if (policy_of_domain(d, domain, &policy, NULL))
		return;
	to = json_object_get(policy, "archive_to");
	if (pb_text_of(policy, "archive_to").len && !json_object_get(o, "archive_to")) {
		json_object_set(o, "archive_to", to);
	} else if (pb_text_of(policy, "archive_to").len && !json_equal(to, json_object_get(o, "archive_to"))) {
		others = json_object_get(o, "archive_also");
		if (!others)
			json_object_set_new(o, "archive_also", others = json_array());
		json_array_append(others, to);
	}
	json_decref(policy);
}

/* Mail for an address that the map leads elsewhere is mail of each post office on the way; of the last one where it is of ours. */
static void route_archives(struct directory *d, json_t *o, const struct found *f)
{
	const json_t *domain;
	size_t i;

	json_array_foreach (f->way, i, domain)
		route_archive(d, o, pb_strz(json_string_value(domain)));
	if (f->kind != FOUND_REDIRECT)
		route_archive(d, o, f->name.domain);
}

static void route_mailbox(json_t *o, const struct found *f)
{
	char target[100];
	const json_t *row = f->mailbox->value;

	snprintf(target, sizeof target, "mailbox/%.*s", PB_FMT(pb_text_of(row, "id")));
	set_route(o, "conn_postoffice", pb_strz(target), PB_NOSTR, "mailbox", true);
	set_text(o, "address", pb_text_of(row, "address"));
	set_text(o, "mailbox", pb_text_of(row, "id"));
	set_text(o, "postoffice", pb_text_of(row, "postoffice"));
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
	/* Of this host's own name some local parts lead elsewhere. */
	if (!pb_str_ieq(f->name.domain, pb_hostname(d->host)))
		set_flag(o, "of_domain", true);
	return 0;
}

/* An address that was rewritten when mail was sent on: back to whom it stands for. Names of ours never look like this. */
static int resolve_rewritten(struct directory *d, struct pb_str address, json_t **ret, struct pb_error *err)
{
	json_t *ask = json_pack("{s:s%}", "address", address.ptr, address.len), *found = NULL;
	char target[420];
	int rc = pb_call(d->host, "srs.decode", ask, &found, err);

	json_decref(ask);
	if (rc)
		return rc == PB_EUNAVAILABLE || rc == PB_EBUSY ? rc : address_unknown(address, err);
	snprintf(target, sizeof target, "redirect/%.*s", PB_FMT(pb_str_head(pb_text_of(found, "address"), 400)));
	*ret = json_object();
	set_route(*ret, "conn_postoffice", pb_strz(target), PB_NOSTR, "redirect", true);
	set_text(*ret, "address", address);
	json_decref(found);
	return 0;
}

static bool looks_rewritten(struct directory *d, struct pb_str address)
{
	struct name n;
	ROW(domain);

	return (pb_str_istarts(address, PB_STR("SRS0=")) || pb_str_istarts(address, PB_STR("SRS1="))) && name_parse(&n, address, NULL) == 0 &&
	       row_read(d, 'd', n.domain, PB_NOSTR, &domain, NULL) == 0 && domain->value;
}

METHOD(directory_resolve)
{
	struct directory *d = self;
	struct pb_str address = pb_text_of(params, "address");
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
	if (looks_rewritten(d, address))
		return resolve_rewritten(d, address, ret_result, err);
	rc = find_address(d, address, &f, err);
	if (!rc && f.kind == FOUND_MAILBOX && !flag_of(f.mailbox->value, "enabled"))
		rc = pb_fail(err, PB_EDENIED, "the mailbox '%.*s' is disabled", PB_FMT(pb_text_of(f.mailbox->value, "address")));
	if (rc) {
		found_release(&f);
		return rc;
	}
	o = json_object();
	switch (f.kind) {
	case FOUND_MAILBOX:
		route_mailbox(o, &f);
		route_archives(d, o, &f);
		rc = senders_restrict(d, o, &f, err);
		if (!rc && f.direct)
			answer_offer(d, ANSWER_RESOLVE, address, made, o);
		break;
	case FOUND_GROUP:
		snprintf(target, sizeof target, "group/%.*s", PB_FMT(pb_text_of(f.address->value, "id")));
		set_route(o, "conn_postoffice", pb_strz(target), PB_NOSTR, "group", true);
		set_text(o, "address", f.name.key);
		set_text(o, "postoffice", pb_text_of(f.domain->value, "postoffice"));
		route_archives(d, o, &f);
		rc = senders_restrict(d, o, &f, err);
		break;
	case FOUND_REDIRECT:
		snprintf(target, sizeof target, "redirect/%s", f.target);
		set_route(o, "conn_postoffice", pb_strz(target), PB_NOSTR, "redirect", true);
		set_text(o, "address", address);
		route_archives(d, o, &f);
		break;
	case FOUND_CONNECTOR:
		route_connector(o, &f);
		route_archives(d, o, &f);
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
	struct pb_str target = pb_text_of(params, "target");
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
	set_text(*ret_result, "address", pb_text_of(row->value, "address"));
	set_text(*ret_result, "postoffice", pb_text_of(row->value, "postoffice"));
	return 0;
}

METHOD(directory_mailbox)
{
	struct directory *d = self;
	struct pb_str which = pb_text_of(params, "mailbox");
	unsigned long long made;
	json_t *policy;
	ROW(row);
	int rc;

	(void)who;
	which = which.len ? which : pb_text_of(params, "address");
	*ret_result = answer_take(d, ANSWER_MAILBOX, which, &made);
	if (*ret_result)
		return 0;
	rc = find_mailbox(d, which, &row, err);
	if (!rc)
		rc = policy_of_mailbox(d, row->value, &policy, err);
	if (rc)
		return rc;
	*ret_result = mailbox_fields(row->value);
	json_object_set(*ret_result, "aliases", json_object_get(row->value, "aliases"));
	json_object_set_new(*ret_result, "policy", policy);
	answer_offer(d, ANSWER_MAILBOX, which, made, *ret_result);
	return 0;
}

METHOD(directory_domain)
{
	struct directory *d = self;
	struct pb_str domain = pb_text_of(params, "domain"), alias;
	json_t *policy;
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
	alias = pb_text_of(row->value, "alias_of");
	rc = policy_of_domain(d, alias.len ? alias : pb_buf_str(&ascii), &policy, err);
	if (rc)
		return rc;
	*ret_result = json_object();
	set_text(*ret_result, "domain", pb_buf_str(&ascii));
	set_text(*ret_result, "postoffice", pb_text_of(row->value, "postoffice"));
	set_text(*ret_result, "alias_of", alias);
	json_object_set_new(*ret_result, "policy", policy);
	return 0;
}

/* His own addresses, with any subaddress and in alias domains, and exact maps that lead to him; never a catch-all. The null sender is anybody's. */
METHOD(directory_may_send)
{
	struct directory *d = self;
	struct pb_str sender = pb_text_of(params, "sender");
	struct found f;
	bool allowed = !sender.len;
	int rc = allowed ? 0 : find_address(d, sender, &f, err);

	(void)who;
	if (sender.len) {
		if (!rc && f.kind == FOUND_MAILBOX)
			allowed = pb_str_eq(pb_text_of(f.mailbox->value, "id"), pb_text_of(params, "mailbox")) && !f.caught;
		found_release(&f);
	}
	if (rc == PB_EUNAVAILABLE || rc == PB_ECORRUPT || rc == PB_EINTERNAL || rc == PB_EFULL)
		return rc;
	*ret_result = json_object();
	set_flag(*ret_result, "allowed", allowed);
	return 0;
}
