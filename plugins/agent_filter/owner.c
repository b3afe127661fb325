/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose scripts are meant, and who may touch them. Leaves what is in them to scripts.c. */
#include <stdio.h>
#include "filter.h"

static int owner_set(struct owner *o, const char *kind, struct pb_str name, struct pb_error *err)
{
	if (name.len > OWNER_MAX - 10 || (name.len && memchr(name.ptr, 0, name.len)))
		return pb_fail(err, PB_EINVALID, "a name is too long");
	o->len = (size_t)snprintf(o->key, sizeof o->key, "%s%.*s", kind, PB_FMT(name));
	return 0;
}

void owner_global(struct owner *o)
{
	owner_set(o, "g", PB_NOSTR, NULL);
}

int owner_office(struct owner *o, struct pb_str postoffice, struct pb_error *err)
{
	return owner_set(o, "p/", postoffice, err);
}

int owner_mailbox(struct owner *o, struct pb_str id, struct pb_error *err)
{
	return owner_set(o, "m/", id, err);
}

void owner_row(struct pb_buf *key, struct pb_str owner, char kind, struct pb_str name)
{
	pb_buf_reset(key);
	pb_buf_addstr(key, owner);
	pb_buf_addc(key, '\0');
	pb_buf_addc(key, kind);
	pb_buf_addstr(key, name);
}

static int of_mailbox(struct filter *f, const struct pb_caller *who, struct pb_str which, struct owner *ret, struct pb_error *err)
{
	json_t *params = json_pack("{s:s%}", pb_str_find(which, '@', 0) < 0 ? "mailbox" : "address", which.ptr, which.len), *found = NULL;
	int rc = pb_call(f->host, "directory.mailbox", params, &found, err);
	struct pb_str id = pb_text_of(found, "mailbox"), office = pb_text_of(found, "postoffice");

	json_decref(params);
	if (!rc && ((who->role == PB_ROLE_USER && !pb_str_eq(who->mailbox, id)) || (who->role == PB_ROLE_ADMIN && !pb_str_eq(who->postoffice, office))))
		rc = pb_fail(err, PB_ENOTFOUND, "no mailbox '%.*s'", PB_FMT(pb_str_head(which, 80)));
	if (!rc)
		rc = owner_mailbox(ret, id, err);
	json_decref(found);
	return rc;
}

int owner_of(struct filter *f, const struct pb_caller *who, const json_t *params, struct owner *ret, struct pb_error *err)
{
	struct pb_str mailbox = pb_text_of(params, "mailbox"), office = pb_text_of(params, "postoffice");

	if (mailbox.len && office.len)
		return pb_fail(err, PB_EINVALID, "either a mailbox or a post office, not both");
	if (who->role == PB_ROLE_USER && !mailbox.len && !office.len)
		return owner_mailbox(ret, who->mailbox, err);
	if (mailbox.len)
		return of_mailbox(f, who, mailbox, ret, err);
	if (who->role == PB_ROLE_ADMIN && !office.len)
		office = who->postoffice;
	if (who->role == PB_ROLE_USER || (who->role == PB_ROLE_ADMIN && !pb_str_eq(office, who->postoffice)))
		return pb_fail(err, PB_EDENIED, "filters of others are not yours");
	if (!office.len) {
		owner_global(ret);
		return 0;
	}
	json_t *ask = json_pack("{s:s%}", "name", office.ptr, office.len), *found = NULL;
	int rc = pb_call(f->host, "postoffice.show", ask, &found, err);
	if (!rc)
		rc = owner_office(ret, pb_text_of(found, "name"), err);
	json_decref(ask);
	json_decref(found);
	return rc;
}
