/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mailing lists of MailEnable on their way to conn_list; where that is not enabled, each becomes a group of its subscribers, with who may send to it.
 * What is known of the values, and what is assumed, stands in docs/admin-guide.md.
 */
#include <string.h>
#include "tools/import_list.h"
#include "tools/mailenable.h"
#include "tools/office.h"

struct work {
	struct office *o;
	const json_t *list, *row;
	struct list_import import;
};

static bool says(const struct work *w, const char *column, const char *value)
{
	return !strcmp(text_at(w->row, column), value);
}

/* What is switched off, or was never said. */
static bool is_unset(const struct work *w, const char *column)
{
	const char *value = text_at(w->row, column);

	return !*value || !strcmp(value, "0") || !strcmp(value, "-1");
}

/* "[SMTP:ann@example.org]", or the address alone; empty where it is neither. */
static void address_in(const struct work *w, const char *column, struct pb_buf *out)
{
	const char *text = text_at(w->row, column);
	struct pb_str type, value;

	if (bracket_parse(text, &type, &value))
		pb_buf_addstr(out, pb_str_ieq(type, PB_STR("SMTP")) ? value : pb_strz(text_at(thing_at(w->o, text), "address")));
	else if (strchr(text, '@'))
		pb_buf_addstr(out, pb_str_trim(pb_strz(text)));
}

/* ---- what posts look like ---- */

/* ANNOTATIONS/NAME-HEADER.txt and its like, read where the list says that it is used, or does not say. */
static int annotation(struct work *w, const char *status, const char *kind, const char *ending, const char *setting, struct pb_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX], name[320];
	struct file file;
	json_t *text;

	snprintf(name, sizeof name, "%.280s-%s.%s", text_at(w->list, "name"), kind, ending);
	if (!strcmp(text_at(w->row, status), "0") || !find_entry(w->o->dir, "ANNOTATIONS", dir, sizeof dir) || !find_entry(dir, name, path, sizeof path) ||
	    file_open(path, NULL, &file, NULL))
		return 0;
	text = text_value(pb_str_starts(file.bytes, PB_STR("\xef\xbb\xbf")) ? pb_str_skip(file.bytes, 3) : file.bytes);
	file_close(&file);
	if (text && json_string_length(text))
		return list_set(&w->import, setting, json_pack("[o]", text), err);
	json_decref(text);
	return 0;
}

static int looks(struct work *w, struct pb_error *err)
{
	static const struct { const char *status, *kind, *ending, *setting; } texts[] = {
		{ "HeaderAnnotationStatus", "HEADER", "txt", "header_text" }, { "HeaderAnnotationStatus", "HEADER", "htm", "header_html" },
		{ "FooterAnnotationStatus", "FOOTER", "txt", "footer_text" }, { "FooterAnnotationStatus", "FOOTER", "htm", "footer_html" } };
	const char *reply = says(w, "ReplyToMode", "0") ? "list" : says(w, "ReplyToMode", "1") ? "sender" : says(w, "ReplyToMode", "2") ? "owner" : NULL;
	int rc = 0;
	PB_AUTOBUF(prefix);

	if (says(w, "SubjectPrefixStatus", "0"))
		pb_buf_addf(&prefix, "[%s]", text_at(w->list, "name"));
	else if (!says(w, "SubjectPrefixStatus", "1"))
		pb_buf_addz(&prefix, text_at(w->row, "SubjectPrefix"));
	if (prefix.len)
		rc = list_set_word(&w->import, "prefix", pb_buf_z(&prefix), err);
	if (!rc && *text_at(w->row, "SubjectSuffix") && !is_unset(w, "SubjectSuffixStatus"))
		rc = list_set_word(&w->import, "suffix", text_at(w->row, "SubjectSuffix"), err);
	if (!rc && reply)
		rc = list_set_word(&w->import, "reply_to", reply, err);
	for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
		rc = annotation(w, texts[i].status, texts[i].kind, texts[i].ending, texts[i].setting, err);
	return rc;
}

/* ---- who may what ---- */

static int password(struct work *w, struct pb_error *err)
{
	bool made;
	int rc;

	if (!*text_at(w->row, "Password") || w->import.bad)
		return 0;
	rc = feed_make(w->import.feed, "list.password", json_pack("{s:s s:s}", "list", w->import.address, "password", text_at(w->row, "Password")), &made, err);
	if (!rc || rc == PB_ECLOSED)
		return rc;
	feed_problem(w->import.feed, w->import.address, "its password: %s", err->text);
	return 0;
}

/* PostingMode: 0 members, 1 anyone, 2 who knows the password, 3 the moderator; ListType 1: all that others write goes to the moderator. */
static int rules(struct work *w, struct pb_error *err)
{
	static const char *const modes[] = { "members", "anyone", "password", "moderators" };
	const char *mode = text_at(w->row, "PostingMode"), *posting = strlen(mode) == 1 && *mode >= '0' && *mode <= '3' ? modes[*mode - '0'] : "members";
	bool moderated = says(w, "ListType", "1");
	uint64_t kilobytes;
	char size[40] = "0";
	PB_AUTOBUF(moderator);
	PB_AUTOBUF(owner);
	int rc = 0;

	address_in(w, "ModeratorAddress", &moderator);
	address_in(w, "Owner", &owner);
	if (!owner.len)
		pb_buf_addstr(&owner, pb_buf_str(&moderator));
	if (*text_at(w->row, "Description"))
		rc = list_set_word(&w->import, "description", text_at(w->row, "Description"), err);
	if (!rc && owner.len)
		rc = list_set_word(&w->import, "owners", pb_buf_z(&owner), err);
	if (!rc && moderator.len)
		rc = list_set_word(&w->import, "moderators", pb_buf_z(&moderator), err);
	if (!rc)
		rc = list_set_word(&w->import, "posting", moderated ? "moderators" : posting, err);
	/* Where nobody is there to decide, held posts would only wait. */
	if (!rc)
		rc = list_set_word(&w->import, "others", owner.len ? "hold" : "reject", err);
	if (!is_unset(w, "MaxMessageSize") && pb_str_u64(pb_strz(text_at(w->row, "MaxMessageSize")), UINT64_C(1) << 29, &kilobytes) == 0)
		snprintf(size, sizeof size, "%llu", (unsigned long long)kilobytes << 10);
	if (!rc)
		rc = list_set_word(&w->import, "max_size", size, err);
	return rc ? rc : password(w, err);
}

static void left_out(const struct work *w)
{
	static const char *const modes[] = { "SubscriptionMode", "AuthenticationMode", "DigestMode", "SubscribeMessageFileStatus", "UnsubscribeMessageFileStatus", "HelpMessageFileStatus",
					     "RemovalMessageFileStatus" };

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		if (!is_unset(w, modes[i]))
			feed_note(w->import.feed, "not_imported", "%s: %s %s", w->import.address, modes[i], text_at(w->row, modes[i]));
}

/* ---- members: people one by one, groups of this post office as groups ---- */

static int members(struct work *w, struct pb_error *err)
{
	json_t *groups = json_array(), *people = json_array();
	const json_t *row, *one;
	struct pb_str type, name;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(w->list, "members"), i, row) {
		const char *address = text_at(row, "Address");
		bool group = is_here(w->o, address, &type, &name) && pb_str_ieq(type, PB_STR("SF")) && thing_at(w->o, address) && !is_mailbox(thing_at(w->o, address));

		add_member(w->o, group ? groups : people, row);
	}
	if (json_array_size(groups))
		rc = list_set(&w->import, "groups", json_incref(groups), err);
	json_array_foreach (people, i, one)
		if (!rc)
			rc = list_member(&w->import, pb_str(json_string_value(one), json_string_length(one)), "each", err);
	json_decref(groups);
	json_decref(people);
	return rc;
}

static int make_list(struct office *o, const json_t *list, struct pb_error *err)
{
	struct work w = { .o = o, .list = list, .row = json_object_get(list, "row") };
	int rc = list_begin(&w.import, o->me->feed, text_at(list, "address"), o->name, err);

	if (!rc)
		rc = rules(&w, err);
	if (!rc)
		rc = looks(&w, err);
	if (!rc)
		rc = members(&w, err);
	left_out(&w);
	return list_end(&w.import, rc, err);
}

/* Is there a connector for lists? It is asked for them, since it may be disabled. */
static int has_lists(struct office *o, bool *ret, struct pb_error *err)
{
	json_t *none = json_object(), *lists = NULL;
	int rc = client_call(o->me->feed->client, "list.list", none, &lists, err);

	json_decref(none);
	json_decref(lists);
	*ret = rc == 0;
	return rc == PB_ECLOSED || rc == PB_ETIMEOUT ? rc : 0;
}

int make_lists(struct office *o, struct pb_error *err)
{
	bool lists = false;
	const char *key;
	json_t *one;
	int rc = json_object_size(o->lists) ? has_lists(o, &lists, err) : 0;

	json_object_foreach (o->lists, key, one) {
		if (rc)
			break;
		if (lists) {
			rc = make_list(o, one, err);
			continue;
		}
		rc = make_group(o, one, "lists_made", err);
		feed_note(o->me->feed, "not_imported", "%s: of the list %s, which became a group, for conn_list is not enabled: subscribing by mail, subject prefix, header, footer, moderation",
			  o->name, text_at(one, "name"));
	}
	return rc;
}
