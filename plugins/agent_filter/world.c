/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a script may ask of its surroundings: environment, folders, lists, other scripts, what was seen before. What is known of the message is items.c's. */
#include <stdio.h>
#include <postbus/message.h>
#include "filter.h"

static int64_t world_now(void *arg)
{
	struct run *r = arg;

	return pb_now(r->f->host);
}

/* ---- environment (RFC 5183) ---- */

static struct pb_str domain_of(struct pb_str address)
{
	for (size_t i = address.len; i-- > 0;)
		if (address.ptr[i] == '@')
			return pb_str_skip(address, i + 1);
	return PB_NOSTR;
}

/* RFC 6785 4: what happened to the message, as svc_imap tells it. */
static bool event_environment(const struct run *r, struct pb_str name, struct pb_buf *out)
{
	static const struct { const char *name, *param; } items[] = {
		{ "imap.user", "user" }, { "imap.email", "recipient" }, { "imap.cause", "cause" }, { "imap.mailbox", "folder" }, { "imap.changedflags", "changed_flags" },
	};

	for (size_t i = 0; i < sizeof items / sizeof *items; i++)
		if (pb_str_ieq(name, pb_strz(items[i].name))) {
			pb_buf_addstr(out, pb_text_of(r->params, items[i].param));
			return true;
		}
	return false;
}

static bool world_environment(void *arg, struct pb_str name, struct pb_buf *out)
{
	struct run *r = arg;
	const struct pb_envelope *env = r->about->envelope;
	bool delivering = r->mailbox.len > 0, event = pb_text_of(r->params, "cause").len > 0;

	if (event && event_environment(r, name, out))
		return true;
	if (pb_str_ieq(name, PB_STR("domain")))
		pb_buf_addstr(out, domain_of(r->recipient));
	else if (pb_str_ieq(name, PB_STR("host")))
		pb_buf_addstr(out, pb_hostname(r->f->host));
	else if (pb_str_ieq(name, PB_STR("location")))
		pb_buf_addz(out, event ? "MS" : delivering ? "MDA" : "MTA");
	else if (pb_str_ieq(name, PB_STR("phase")))
		pb_buf_addz(out, event ? "post" : delivering ? "during" : "pre");
	else if (pb_str_ieq(name, PB_STR("name")))
		pb_buf_addz(out, "Postbus");
	else if (pb_str_ieq(name, PB_STR("version")))
		pb_buf_addz(out, POSTBUS_VERSION);
	else if (pb_str_ieq(name, PB_STR("remote-ip")) && env)
		pb_buf_addstr(out, env->client);
	else if (pb_str_ieq(name, PB_STR("remote-host")))
		pb_buf_addstr(out, pb_text_of(env ? env->notes : NULL, "rdns"));
	else
		return false;
	return out->len > 0;
}

/* ---- folders ---- */

static struct pb_mailbox *box_of(struct run *r)
{
	if (!r->box && r->mailbox.len && pb_mailbox_open(r->f->host, r->mailbox, &r->box, NULL))
		r->box = NULL;
	return r->box;
}

static bool world_mailbox_exists(void *arg, struct pb_str folder)
{
	struct pb_mailbox *box = box_of(arg);
	struct pb_folder *found;

	if (!box || pb_folder_open(box, folder, &found, NULL))
		return false;
	pb_folder_close(found);
	return true;
}

/* RFC 5490: the folder's annotations, or those of the mailbox as a whole. */
static bool world_metadata(void *arg, struct pb_str folder, struct pb_str name, struct pb_buf *out)
{
	struct pb_mailbox *box = box_of(arg);

	return box && pb_annotation_get(box, folder, name, out, NULL) == 0;
}

struct use_query {
	struct pb_str folder;		/* empty: any */
	unsigned attribute;
	bool found;
};

static bool world_mailbox_id_exists(void *arg, struct pb_str id)
{
	struct pb_mailbox *box = box_of(arg);
	PB_AUTOBUF(name);

	return box && pb_folder_by_id(box, id, &name, NULL) == 0;
}

static bool look_for_use(void *arg, const struct pb_folder_info *info)
{
	struct use_query *q = arg;

	q->found = (info->attributes & q->attribute) && (!q->folder.len || pb_str_eq(q->folder, info->name));
	return !q->found;
}

static bool world_special_use_exists(void *arg, struct pb_str folder, struct pb_str use)
{
	static const struct { const char *name; unsigned attribute; } uses[] = {
		{ "\\All", PB_FOLDER_ALL }, { "\\Archive", PB_FOLDER_ARCHIVE }, { "\\Drafts", PB_FOLDER_DRAFTS }, { "\\Flagged", PB_FOLDER_FLAGGED },
		{ "\\Junk", PB_FOLDER_JUNK }, { "\\Sent", PB_FOLDER_SENT }, { "\\Trash", PB_FOLDER_TRASH },
	};
	struct pb_mailbox *box = box_of(arg);
	struct use_query q = { .folder = folder };

	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
		if (pb_str_ieq(use, pb_strz(uses[i].name)))
			q.attribute = uses[i].attribute;
	if (box && q.attribute)
		pb_folder_list(box, look_for_use, &q, NULL);
	return q.found;
}

/* ---- lists (RFC 6134): members of a group, "urn:postbus:group:staff@example.org" ---- */

static const char list_prefix[] = "urn:postbus:group:";

struct pb_str list_group(struct pb_str list)
{
	return pb_str_istarts(list, pb_strz(list_prefix)) ? pb_str_skip(list, sizeof list_prefix - 1) : PB_NOSTR;
}

static bool list_members(struct run *r, struct pb_str list, json_t **ret)
{
	struct pb_str group = list_group(list);
	json_t *ask, *route = NULL, *found = NULL;
	struct pb_str target;
	int rc;

	if (!group.len)
		return false;
	ask = json_pack("{s:o}", "address", json_text(group));
	rc = pb_call(r->f->host, "directory.resolve", ask, &route, NULL);
	json_decref(ask);
	target = pb_text_of(route, "target");
	if (!rc && r->owner.ptr[0] != 'g' && !pb_str_eq(pb_text_of(route, "postoffice"), r->postoffice))
		rc = PB_ENOTFOUND;	/* who is in a group of another post office is nobody's business here */
	if (!rc && pb_str_starts(target, PB_STR("group/"))) {
		ask = json_pack("{s:s%}", "target", target.ptr, target.len);
		rc = pb_call(r->f->host, "directory.members", ask, &found, NULL);
		json_decref(ask);
	} else {
		rc = PB_ENOTFOUND;
	}
	json_decref(route);
	if (!rc && ret)
		*ret = json_incref(json_object_get(found, "members"));
	json_decref(found);
	return !rc;
}

static bool world_list_valid(void *arg, struct pb_str list)
{
	return list_members(arg, list, NULL);
}

static bool world_list_has(void *arg, struct pb_str list, struct pb_str value)
{
	json_t *members = NULL, *one;
	bool has = false;
	size_t i;

	if (!list_members(arg, list, &members))
		return false;
	json_array_foreach(members, i, one)
		has |= pb_str_ieq(pb_str(json_string_value(one), json_string_length(one)), value);
	json_decref(members);
	return has;
}

/* ---- what was seen before (RFC 7352) ---- */

static void seen_key(struct run *r, struct pb_str key, struct pb_buf *out)
{
	pb_buf_addstr(out, r->owner);
	pb_buf_addc(out, '\0');
	pb_buf_addstr(out, key);
}

/* A message that is run again, because its delivery failed, is not its own double. */
static bool world_seen(void *arg, struct pb_str key, int64_t seconds, bool last)
{
	struct run *r = arg;
	PB_AUTOBUF(mine);

	(void)seconds;
	(void)last;
	seen_key(r, key, &mine);
	return pb_table_remembers(r->f->seen, pb_buf_str(&mine), pb_now(r->f->host), r->about->id);
}

void seen_remember(struct run *r, const struct sieve_seen *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		PB_AUTOBUF(mine);

		seen_key(r, list[i].key, &mine);
		pb_table_remember(r->f->seen, pb_buf_str(&mine), pb_now(r->f->host) + list[i].seconds * PB_SECOND, r->about->id, NULL);
	}
}

/* ---- other scripts ---- */

static const struct sieve_program *world_include(void *arg, struct pb_str name, bool global)
{
	struct run *r = arg;
	struct owner office;
	struct compiled *c = NULL;
	struct pb_str owner = r->owner;

	if (r->nheld == sizeof r->held / sizeof *r->held)
		return NULL;
	if (global) {	/* the post office's, else the server's */
		owner = PB_STR("g");
		if (r->postoffice.len && owner_office(&office, r->postoffice, NULL) == 0 && programs_named(r->f, owner_str(&office), name, &c, NULL) == 0 && !c->n) {
			compiled_release(c);
			c = NULL;
		}
	}
	if (!c && programs_named(r->f, owner, name, &c, NULL))
		return NULL;
	r->held[r->nheld++] = c;
	return c->n ? c->list[0] : NULL;
}

void world_of(struct sieve_world *w, struct run *r)
{
	*w = (struct sieve_world){
		.arg = r,
		.now = world_now,
		.environment = world_environment,
		.mailbox_exists = world_mailbox_exists,
		.special_use_exists = world_special_use_exists,
		.mailbox_id_exists = world_mailbox_id_exists,
		.metadata = world_metadata,
		.list_valid = world_list_valid,
		.list_has = world_list_has,
		.seen = world_seen,
		.include = world_include,
		.spam = item_spam,
		.virus = item_virus,
		.item = item_text,
	};
}

void run_end(struct run *r)
{
	for (size_t i = 0; i < r->nheld; i++)
		compiled_release(r->held[i]);
	pb_mailbox_close(r->box);
}
