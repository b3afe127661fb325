/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Groups and mailing lists of a MailEnable post office, read. What becomes of a list is import_office_list.c's; senders are for where it becomes a group. */
#include <stdio.h>
#include <string.h>
#include "tools/mailenable.h"
#include "tools/office.h"

/* Rows of GROUPS/name.TAB, LISTS/name.TAB. */
static json_t *members_of(const struct office *o, const char *kind, const char *name)
{
	static const char *const columns[] = { "Address", "Mailbox", "ListMemberType", "Status", NULL };
	char dir[PATH_MAX], file[300];
	const char *files[] = { file, NULL };

	snprintf(file, sizeof file, "%.280s.TAB", name);
	return find_entry(o->dir, kind, dir, sizeof dir) ? read_table(dir, files, columns) : json_array();
}

static void add(json_t *to, const char *name, const char *address, json_t *members, json_t *senders)
{
	struct pb_str type, value;
	json_t *one = json_pack("{s:s s:s s:o s:o}", "name", name, "address", "", "members", members, "senders", senders);
	PB_AUTOBUF(key);

	for (const char *p = name; *p; p++)
		pb_buf_addc(&key, (char)pb_lower((unsigned char)*p));
	if (bracket_parse(address, &type, &value) && pb_str_ieq(type, PB_STR("SMTP")))
		json_object_set_new(one, "address", json_stringn(value.ptr, value.len));
	json_object_set_new(to, pb_buf_z(&key), one);
}

/* One that is switched off takes no mail: it stays there. */
static bool passes(const struct office *o, const char *kind, const json_t *row, const char *name, const char *status)
{
	if (*name && !strcmp(status, "0"))
		feed_note(o->me->feed, "not_imported", "%s: the %s %s, which is switched off", o->name, kind, text_at(row, name));
	return *text_at(row, name) && strcmp(status, "0");
}

void read_groups(struct office *o)
{
	static const char *const files[] = { "GROUPS.TAB", "GROUP.TAB", NULL };
	static const char *const columns[] = { "GroupName", "RecipientAddress", "GroupFile", "GroupStatus", "Status", NULL };
	json_t *rows = read_table(o->dir, files, columns);
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		const char *name = text_at(row, "GroupName");

		if (passes(o, "group", row, "GroupName", json_object_get(row, "GroupStatus") ? text_at(row, "GroupStatus") : text_at(row, "Status")))
			add(o->groups, name, text_at(row, "RecipientAddress"), members_of(o, "GROUPS", name), json_array());
	}
	json_decref(rows);
}

/* PostingMode: 0 members, 1 anyone, 2 who knows a password, 3 the moderator; ListType 1: what members write is moderated. */
static json_t *senders_of(const json_t *row)
{
	const char *mode = text_at(row, "PostingMode");
	struct pb_str type, moderator;
	bool moderated = !strcmp(text_at(row, "ListType"), "1") || !strcmp(mode, "2") || !strcmp(mode, "3");

	if (!moderated)
		return json_pack("[s]", strcmp(mode, "1") ? "members" : "anyone");
	if (bracket_parse(text_at(row, "ModeratorAddress"), &type, &moderator) && pb_str_ieq(type, PB_STR("SMTP")))
		return json_pack("[s%]", moderator.ptr, moderator.len);
	return json_pack("[s]", "members");
}

/* Names and order are those of the list that the vendor's library hands out, without the post office, whose directory it is. */
void read_lists(struct office *o)
{
	static const char *const files[] = { "LISTS.TAB", "LIST.TAB", NULL };
	static const char *const columns[] = {
		"ListName", "ListType", "ModeratorAddress", "ListStatus", "Description", "HeaderAnnotationStatus", "HeaderAnnotation", "FooterAnnotationStatus", "FooterAnnotation",
		"ListAddress", "SubscribeMessageFileStatus", "SubscribeMessageFile", "UnsubscribeMessageFileStatus", "UnsubscribeMessageFile", "SubjectSuffixStatus", "SubjectSuffix",
		"SubjectPrefixStatus", "SubjectPrefix", "Owner", "HelpMessageFileStatus", "HelpMessageFile", "RemovalMessageFileStatus", "RemovalMessageFile", "ReplyToMode",
		"MaxMessageSize", "PostingMode", "SubscriptionMode", "AuthenticationMode", "Password", "DigestMode", NULL };
	json_t *rows = read_table(o->dir, files, columns);
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		const char *name = text_at(row, "ListName");
		PB_AUTOBUF(key);

		if (!passes(o, "list", row, "ListName", text_at(row, "ListStatus")))
			continue;
		add(o->lists, name, text_at(row, "ListAddress"), members_of(o, "LISTS", name), senders_of(row));
		for (const char *c = name; *c; c++)
			pb_buf_addc(&key, (char)pb_lower((unsigned char)*c));
		json_object_set(json_object_get(o->lists, pb_buf_z(&key)), "row", (json_t *)row);
	}
	json_decref(rows);
}
