/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From an address to the rows that stand for it: subaddresses, extensions, roles, catch-alls, and the map as far as it leads. Rows and their cache are rows.c's; what
 * is said of what was found is answers.c's.
 */
#include "directory.h"

enum { EXTENSIONS_MAX = 8 };

void found_release(struct found *f)
{
	row_release(f->domain);
	row_release(f->address);
	row_release(f->mailbox);
	json_decref(f->way);
	f->domain = f->address = f->mailbox = NULL;
	f->way = NULL;
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
	if (pb_str_eq(pb_text_of(f->address->value, "kind"), PB_STR("group")) || flag_of(f->address->value, "extensions"))	/* those are read below */
		return PB_ENOTFOUND;
	tag = pb_str_skip(local, (size_t)at + 1);
	snprintf(f->subaddress, sizeof f->subaddress, "%.*s", PB_FMT(tag));
	return 0;
}

/* Is what stands behind the name one of the words that the map has ("suffixes"), with or without more behind it? A map that has none takes all. */
static bool takes(const json_t *map, struct pb_str rest)
{
	const json_t *words = json_object_get(map, "suffixes"), *one;
	size_t i;

	json_array_foreach (words, i, one) {
		struct pb_str word = pb_str(json_string_value(one), json_string_length(one));

		if (pb_str_istarts(rest, word) && (rest.len == word.len || rest.ptr[word.len] == '-' || rest.ptr[word.len] == '+'))
			return true;
	}
	return !words;
}

/* name-anything and name+anything: an address map whose connector reads them itself ("extensions"). From behind, so that the longest name wins. */
static int read_extension(struct directory *d, struct pb_str domain, struct pb_str local, struct found *f, struct pb_error *err)
{
	long plus = pb_str_find(local, '+', 1);
	struct pb_str name = plus < 0 ? local : pb_str_head(local, (size_t)plus + 1);

	for (int tries = 0; name.len > 1 && tries < EXTENSIONS_MAX; name.len--) {
		char last = name.ptr[name.len - 1];
		int rc;

		if (last != '-' && last != '+')
			continue;
		tries++;
		rc = read_address(d, domain, pb_str_head(name, name.len - 1), &f->address, err);
		if (rc && rc != PB_ENOTFOUND)
			return rc;
		if (!rc && flag_of(f->address->value, "extensions") && takes(f->address->value, pb_str_skip(local, name.len)))
			return 0;
	}
	return PB_ENOTFOUND;
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
		rc = postmaster_of_office(d, pb_text_of(f->domain->value, "postoffice"), f->name.key, &to, err);
	else
		rc = PB_ENOTFOUND;
	if (!rc)
		snprintf(next, room, "%s", pb_buf_z(&to));
	return rc;
}

/* One step: which row stands for this name. PB_ENOTFOUND; *ret_next is set where it leads to another address. */
static int find_row(struct directory *d, struct found *f, char *next, size_t room, struct pb_error *err)
{
	struct pb_str alias = pb_text_of(f->domain->value, "alias_of"), domain = alias.len ? alias : f->name.domain, local = f->name.local;
	int rc = read_address(d, domain, local, &f->address, err);

	if (rc == PB_ENOTFOUND)
		rc = read_subaddress(d, domain, local, f, err);
	if (rc == PB_ENOTFOUND)
		rc = read_extension(d, domain, local, f, err);
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
	struct pb_str to = pb_text_of(f->address->value, "to"), rest = to, connector;
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

int address_unknown(struct pb_str address, struct pb_error *err)
{
	return pb_fail(err, PB_ENOTFOUND, "no such address '%.*s' here", PB_FMT(pb_str_head(address, 120)));
}

/* The end of the way at a row that is no map. */
static int arrive(struct directory *d, struct found *f, struct pb_str address, struct pb_error *err)
{
	struct pb_str id = pb_text_of(f->address->value, "id");
	int rc;

	if (pb_str_eq(pb_text_of(f->address->value, "kind"), PB_STR("group"))) {
		f->kind = FOUND_GROUP;
		return 0;
	}
	rc = row_read(d, 'm', id, PB_NOSTR, &f->mailbox, err);
	if (!rc && !f->mailbox->value)		/* deleted between two looks */
		rc = address_unknown(address, err);
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

static void pass(struct found *f)
{
	f->way = f->way ? f->way : json_array();
	json_array_append_new(f->way, json_stringn(f->name.domain.ptr, f->name.domain.len));
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
			return rc == PB_ENOTFOUND ? address_unknown(address, err) : rc;
		if (!next[0]) {
			f->direct = depth == 0 && named && !f->caught && !f->subaddress[0];
			if (!pb_str_eq(pb_text_of(f->address->value, "kind"), PB_STR("map")))
				return arrive(d, f, address, err);
			follow_map(f, next, sizeof next);
			if (!next[0])
				return 0;
		}
		pass(f);
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
		alias = domain->value ? pb_text_of(domain->value, "alias_of") : PB_NOSTR;
		rc = row_read(d, 'a', alias.len ? alias : n.domain, n.local, &address, err);
		if (!rc && (!address->value || !pb_str_eq(pb_text_of(address->value, "kind"), PB_STR("mailbox"))))
			return pb_fail(err, PB_ENOTFOUND, "no mailbox '%.*s'", PB_FMT(pb_str_head(which, 80)));
		if (!rc)
			rc = row_read(d, 'm', pb_text_of(address->value, "id"), PB_NOSTR, &row, err);
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
