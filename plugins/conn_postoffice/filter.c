/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the filters of post office and mailbox want of a delivery: agent_filter runs them, here their actions become places, things to send, a refusal. Where
 * there is no agent_filter there are no filters.
 */
#include <stdio.h>
#include "postoffice.h"

static bool flag_of(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* ---- one action each ---- */

unsigned special_use_of(struct pb_str name)
{
	static const struct { const char *name; unsigned use; } uses[] = {
		{ "\\All", PB_FOLDER_ALL }, { "\\Archive", PB_FOLDER_ARCHIVE }, { "\\Drafts", PB_FOLDER_DRAFTS }, { "\\Flagged", PB_FOLDER_FLAGGED },
		{ "\\Junk", PB_FOLDER_JUNK }, { "\\Sent", PB_FOLDER_SENT }, { "\\Trash", PB_FOLDER_TRASH },
	};

	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
		if (pb_str_ieq(name, pb_strz(uses[i].name)))
			return uses[i].use;
	return 0;
}

unsigned version_of(const json_t *entry)
{
	return (unsigned)json_integer_value(json_object_get(entry, "version"));
}

void take_version(struct delivery *d, unsigned version)
{
	d->changed = version && version <= d->about.nversions ? d->about.versions[version - 1] : NULL;
}

static void add_place(struct delivery *d, const struct place *place)
{
	if (d->nplaces < PLACES_MAX)
		d->places[d->nplaces++] = *place;
}

static void want_fileinto(struct delivery *d, const json_t *a)
{
	const struct place place = {
		.folder = pb_text_of(a, "folder"),
		.id = pb_text_of(a, "mailbox_id"),
		.special_use = special_use_of(pb_text_of(a, "special_use")),
		.create = flag_of(a, "create"),
		.flags = json_object_get(a, "flags"),
		.version = version_of(a),
	};

	add_place(d, &place);
}

static void want_copy_public(struct delivery *d, const json_t *a)
{
	add_place(d, &(struct place){ .folder = pb_text_of(a, "argument"), .create = true, .is_public = true, .version = version_of(a) });
}

static void want_public(struct delivery *d, const json_t *a)
{
	want_copy_public(d, a);
	d->elsewhere = true;
}

static void want_send(struct delivery *d, const json_t *a)
{
	if (d->nsends < PLACES_MAX)
		d->sends[d->nsends++] = a;
}

/* RFC 5429: a reply to RCPT or DATA is too late here, so both forms become a report to the sender. One line of the reason is the reply. */
static void want_reject(struct delivery *d, const json_t *a)
{
	struct pb_str text = pb_str_head(pb_text_of(a, "text"), 300);
	int n = snprintf(d->reply, sizeof d->reply, "550 5.7.1 %.*s", PB_FMT(text));

	for (int i = 0; i < n && i < (int)sizeof d->reply - 1; i++)
		if ((unsigned char)d->reply[i] < 32)
			d->reply[i] = ' ';
}

static void want_junk(struct delivery *d, const json_t *a)
{
	(void)a;
	d->junk = true;
}

static void want_quarantine(struct delivery *d, const json_t *a)
{
	d->quarantine = a;
}

static void want_nothing(struct delivery *d, const json_t *a)
{
	(void)d;
	(void)a;
}

static const struct {
	const char *name;
	void (*want)(struct delivery *d, const json_t *a);
} actions[] = {
	{ "fileinto", want_fileinto }, { "redirect", want_send }, { "vacation", want_send }, { "notify", want_send }, { "reject", want_reject }, { "ereject", want_reject },
	{ "discard", want_nothing }, { "spam", want_junk }, { "public_folder", want_public }, { "copy_public_folder", want_copy_public }, { "quarantine", want_quarantine },
};

static void take_action(struct delivery *d, const json_t *a)
{
	const char *name = json_string_value(json_object_get(a, "do"));

	pb_item_note(d->item, "filter", "%s %s", json_string_value(json_object_get(a, "scope")), name);
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (!strcmp(actions[i].name, name)) {
			actions[i].want(d, a);
			return;
		}
	pb_item_note(d->item, "filter.unknown", "%s is nothing that a delivery can do", name);
}

/* ---- the run ---- */

static int run(struct delivery *d, json_t **ret, struct pb_error *err)
{
	const struct pb_rcpt *rcpt = pb_recipient_rcpt(d->to);
	json_t *params = json_object();
	int rc;

	d->about = (struct pb_subject){ .id = pb_strz(pb_item_id(d->item)), .envelope = pb_item_envelope(d->item), .body = pb_item_body(d->item) };
	json_object_set_new(params, "scope", json_string("delivery"));
	json_object_set(params, "mailbox", json_object_get(d->mailbox, "mailbox"));
	if (!is_archive_copy(d->item))
		json_object_set(params, "postoffice", json_object_get(d->mailbox, "postoffice"));
	json_object_set_new(params, "recipient", json_stringn(rcpt->address.ptr, rcpt->address.len));
	rc = pb_call_about(d->po->host, &d->about, "filter.run", params, ret, err);
	json_decref(params);
	return rc;
}

/* INBOX, or the folders that the server's filters chose. */
static void add_kept(struct delivery *d)
{
	const json_t *flags = d->filtered ? json_object_get(d->filtered, "flags") : NULL, *list = json_object_get(pb_item_envelope(d->item)->notes, "folders"), *one;
	size_t i;

	if (!json_array_size(list))
		add_place(d, &(struct place){ .flags = flags, .kept = true, .version = d->version });
	json_array_foreach(list, i, one) {
		const struct place place = {
			.folder = pb_text_of(one, "folder"),
			.id = pb_text_of(one, "mailbox_id"),
			.special_use = special_use_of(pb_text_of(one, "special_use")),
			.create = flag_of(one, "create"),
			.is_public = flag_of(one, "public"),
			.flags = flags ? flags : json_object_get(one, "flags"),
			.kept = true,
			.version = d->version,
		};

		add_place(d, &place);
	}
}

/* Held back, and nothing else is done; into the junk folder where there is no quarantine. */
static int keep_back(struct delivery *d, struct pb_error *err)
{
	const struct pb_rcpt *rcpt = pb_recipient_rcpt(d->to);
	struct pb_subject about = { .id = pb_strz(pb_item_id(d->item)), .envelope = pb_item_envelope(d->item), .body = pb_item_body(d->item) };
	struct pb_str reason = pb_text_of(d->quarantine, "argument"), scope = pb_text_of(d->quarantine, "scope");
	json_t *params = json_pack("{s:[s%]}", "recipients", rcpt->address.ptr, rcpt->address.len);
	PB_AUTOBUF(by);
	int rc;

	pb_buf_addf(&by, "filter of the %.*s", PB_FMT(scope));
	json_object_set_new(params, "by", json_string(pb_buf_z(&by)));
	if (!reason.len || json_object_set_new(params, "reason", json_stringn(reason.ptr, reason.len > 400 ? 400 : reason.len)))
		json_object_set_new(params, "reason", json_string("a filter"));		/* none, or cut inside a letter */
	rc = pb_call_about(d->po->host, &about, "quarantine.add", params, NULL, err);
	json_decref(params);
	if (rc && rc != PB_EUNAVAILABLE)
		return rc;
	d->nplaces = d->nsends = 0;
	d->reply[0] = '\0';
	d->junk = true;
	if (rc)
		add_place(d, &(struct place){ .kept = true, .version = d->version });
	d->dropped = "in quarantine";
	return 0;
}

int filter_delivery(struct delivery *d, struct pb_error *err)
{
	const json_t *a, *list;
	json_t *ret = NULL;
	bool keep = true;
	size_t i;

	/* What was released had been through these filters; if it was kept by somebody else, it had not. */
	bool released = pb_str_eq(pb_text_of(pb_item_envelope(d->item)->notes, "released"), PB_STR("conn_postoffice"));

	int rc = released ? PB_EUNAVAILABLE : run(d, &ret, err);
	if (rc && rc != PB_EUNAVAILABLE)
		return rc;
	if (!rc && flag_of(ret, "ran")) {
		d->filtered = ret;
		list = json_object_get(ret, "actions");
		keep = flag_of(ret, "keep");
		d->version = version_of(ret);
		json_array_foreach(list, i, a)
			take_action(d, a);
		if (json_object_get(ret, "fault"))
			pb_item_note(d->item, "filter.fault", "%s", json_string_value(json_object_get(ret, "fault")));
		if (!keep && !d->nplaces && !d->reply[0])
			d->dropped = d->nsends ? "sent on by a filter" : "discarded by a filter";
	} else {
		json_decref(ret);
	}
	if (d->quarantine)
		return keep_back(d, err);
	if (keep && !d->elsewhere)
		add_kept(d);
	return 0;
}
