/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lists of Mailman, each a directory with what Mailman's own tools write.
 *
 * Mailman 3, answers of its REST API: config.json (lists/ID/config), member.json, owner.json, moderator.json (lists/ID/roster/...).
 * Mailman 2: config (config_list -o), and what list_members prints: members (-r), digest-mime (-d mime), digest-plain (-d plain), nomail (-n).
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "tools/import.h"
#include "tools/import_list.h"
#include "tools/import_literal.h"

struct mailman {
	struct list_import list;
	const char *dir;
	const json_t *config;
};

enum form { FORM_TEXT, FORM_LIST, FORM_KBYTES, FORM_FLAG, FORM_NUMBER, FORM_WORD };

struct word {
	const char *from, *to;		/* from: as text; numbers in digits */
};

struct rule {
	const char *name, *setting;
	enum form form;
	struct word words[8];		/* FORM_WORD */
};

/* What both call the same thing has one line each. */
static const struct rule rules[] = {
	{ "description", "description", FORM_TEXT, { { 0 } } },
	{ "subject_prefix", "prefix", FORM_TEXT, { { 0 } } },
	{ "emergency", "emergency", FORM_FLAG, { { 0 } } },
	{ "anonymous_list", "anonymous", FORM_FLAG, { { 0 } } },
	{ "send_welcome_message", "welcome", FORM_FLAG, { { 0 } } },
	{ "send_goodbye_message", "goodbye", FORM_FLAG, { { 0 } } },
	{ "send_welcome_msg", "welcome", FORM_FLAG, { { 0 } } },
	{ "send_goodbye_msg", "goodbye", FORM_FLAG, { { 0 } } },
	{ "admin_notify_mchanges", "tell_owners", FORM_FLAG, { { 0 } } },
	{ "require_explicit_destination", "named", FORM_FLAG, { { 0 } } },
	{ "digests_enabled", "digest", FORM_FLAG, { { 0 } } },
	{ "digestable", "digest", FORM_FLAG, { { 0 } } },
	{ "max_message_size", "max_size", FORM_KBYTES, { { 0 } } },
	{ "digest_size_threshold", "digest_size", FORM_KBYTES, { { 0 } } },
	{ "digest_size_threshhold", "digest_size", FORM_KBYTES, { { 0 } } },
	{ "max_num_recipients", "max_recipients", FORM_NUMBER, { { 0 } } },
	{ "reply_to_address", "reply_to_address", FORM_TEXT, { { 0 } } },
	{ "msg_header", "header_text", FORM_TEXT, { { 0 } } },
	{ "msg_footer", "footer_text", FORM_TEXT, { { 0 } } },
	{ "owner", "owners", FORM_LIST, { { 0 } } },
	{ "moderator", "moderators", FORM_LIST, { { 0 } } },
	{ "accept_these_nonmembers", "accept_from", FORM_LIST, { { 0 } } },
	{ "hold_these_nonmembers", "hold_from", FORM_LIST, { { 0 } } },
	{ "reject_these_nonmembers", "reject_from", FORM_LIST, { { 0 } } },
	{ "discard_these_nonmembers", "discard_from", FORM_LIST, { { 0 } } },
	{ "subscription_policy", "subscription", FORM_WORD, { { "open", "open" }, { "confirm", "confirmed" }, { "moderate", "moderated" }, { "confirm_then_moderate", "moderated" } } },
	{ "subscribe_policy", "subscription", FORM_WORD, { { "0", "open" }, { "1", "confirmed" }, { "2", "moderated" }, { "3", "moderated" } } },
	{ "unsubscription_policy", "unsubscription", FORM_WORD, { { "open", "open" }, { "confirm", "confirmed" }, { "moderate", "closed" }, { "confirm_then_moderate", "closed" } } },
	{ "default_nonmember_action", "others", FORM_WORD, { { "accept", "accept" }, { "hold", "hold" }, { "reject", "reject" }, { "discard", "discard" } } },
	{ "generic_nonmember_action", "others", FORM_WORD, { { "0", "accept" }, { "1", "hold" }, { "2", "reject" }, { "3", "discard" } } },
	{ "reply_goes_to_list", "reply_to", FORM_WORD,
	  { { "no_munging", "untouched" }, { "point_to_list", "list" }, { "explicit_header", "address" },
	    { "explicit_header_only", "address" }, { "0", "untouched" }, { "1", "list" }, { "2", "address" } } },
	{ "archive_policy", "archive", FORM_WORD, { { "never", "no" }, { "private", "yes" }, { "public", "yes" } } },
	{ "archive", "archive", FORM_FLAG, { { 0 } } },
	{ "personalize", "personal", FORM_WORD, { { "none", "no" }, { "individual", "yes" }, { "full", "yes" }, { "0", "no" }, { "1", "yes" }, { "2", "yes" } } },
	{ "dmarc_mitigate_action", "from", FORM_WORD, { { "no_mitigation", "untouched" }, { "munge_from", "rewrite" }, { "wrap_message", "wrap" } } },
	{ "dmarc_moderation_action", "from", FORM_WORD, { { "0", "untouched" }, { "1", "rewrite" }, { "2", "wrap" } } },
	{ "private_roster", "who", FORM_WORD, { { "0", "members" }, { "1", "members" }, { "2", "owners" } } },
	{ "member_roster_visibility", "who", FORM_WORD, { { "public", "members" }, { "members", "members" }, { "moderators", "owners" } } },
};

/* A value as text: numbers in digits, true and false as Mailman 2's 1 and 0. */
static void text_of_value(struct pb_buf *out, const json_t *v)
{
	if (json_is_string(v))
		pb_buf_addz(out, json_string_value(v));
	else if (json_is_integer(v))
		pb_buf_addf(out, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		pb_buf_addc(out, json_is_true(v) ? '1' : '0');
}

/* Names of the place-holders that both lists know. */
static void fields_of(struct pb_buf *out, struct pb_str text)
{
	static const struct word names[] = { { "%(real_name)s", "{list}" }, { "%(description)s", "{description}" }, { "%(user_address)s", "{address}" }, { "%(user_name)s", "{name}" },
		{ "$display_name", "{list}" }, { "$description", "{description}" }, { "$listname", "{list}" }, { "%%", "%" } };

	while (text.len) {
		size_t i = 0;

		while (i < sizeof names / sizeof *names && !pb_str_starts(text, pb_strz(names[i].from)))
			i++;
		if (i < sizeof names / sizeof *names) {
			pb_buf_addz(out, names[i].to);
			text = pb_str_skip(text, strlen(names[i].from));
		} else {
			pb_buf_addc(out, text.ptr[0]);
			text = pb_str_skip(text, 1);
		}
	}
}

/* Patterns of addresses (^...) have no counterpart. */
static json_t *addresses_of(struct mailman *m, const char *name, const json_t *v)
{
	json_t *list = json_array(), *one;
	size_t i;

	json_array_foreach ((json_t *)v, i, one) {
		const char *address = json_string_value(one);

		if (address && address[0] != '^' && address[0] != '@')
			json_array_append(list, one);
		else if (address)
			feed_note(m->list.feed, "not_imported", "%s: %s: %s", m->list.address, name, address);
	}
	return list;
}

static const char *word_for(const struct rule *r, const char *value)
{
	for (size_t i = 0; i < sizeof r->words / sizeof *r->words && r->words[i].from; i++)
		if (!strcmp(r->words[i].from, value))
			return r->words[i].to;
	return NULL;
}

static int apply(struct mailman *m, const struct rule *r, const json_t *v, struct pb_error *err)
{
	PB_AUTOBUF(text);
	PB_AUTOBUF(filled);
	const char *word;

	if (r->form == FORM_LIST) {
		json_t *list = addresses_of(m, r->name, v);

		if (json_array_size(list))
			return list_set(&m->list, r->setting, list, err);
		json_decref(list);
		return 0;
	}
	text_of_value(&text, v);
	switch (r->form) {
	case FORM_KBYTES:
		pb_buf_addc(&text, 'k');
		return list_set_word(&m->list, r->setting, pb_buf_z(&text), err);
	case FORM_WORD:
		word = word_for(r, pb_buf_z(&text));
		if (!word) {
			feed_note(m->list.feed, "not_imported", "%s: %s: %s", m->list.address, r->name, pb_buf_z(&text));
			return 0;
		}
		return list_set_word(&m->list, r->setting, word, err);
	case FORM_TEXT:
		fields_of(&filled, pb_buf_str(&text));
		return filled.len ? list_set_word(&m->list, r->setting, pb_buf_z(&filled), err) : 0;
	default:
		return list_set_word(&m->list, r->setting, pb_buf_z(&text), err);
	}
}

static int apply_all(struct mailman *m, struct pb_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof rules / sizeof *rules && !rc; i++) {
		const json_t *v = json_object_get(m->config, rules[i].name);

		if (v && !json_is_null(v))
			rc = apply(m, &rules[i], v, err);
	}
	return rc;
}

/* ---- members ---- */

static const char *delivery_of(const json_t *entry)
{
	const char *mode = json_string_value(json_object_get(entry, "delivery_mode"));

	if (!mode || !strcmp(mode, "regular"))
		return "each";
	return strstr(mode, "mime") ? "mime" : "plain";
}

static json_t *read_json(struct mailman *m, const char *name)
{
	char path[PATH_MAX];
	struct file file;
	json_t *doc;

	snprintf(path, sizeof path, "%s/%s", m->dir, name);
	if (!is_file(path) || file_open(path, NULL, &file, NULL))
		return NULL;
	doc = json_loadb(file.bytes.ptr, file.bytes.len, 0, NULL);
	file_close(&file);
	if (!json_is_object(doc))
		feed_problem(m->list.feed, path, "it is no JSON object");
	return doc;
}

static int members_3(struct mailman *m, struct pb_error *err)
{
	json_t *doc = read_json(m, "member.json"), *entry;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(doc, "entries"), i, entry) {
		const char *address = json_string_value(json_object_get(entry, "email"));

		if (address && !rc)
			rc = list_member(&m->list, pb_strz(address), delivery_of(entry), err);
	}
	json_decref(doc);
	return rc;
}

static int roles_3(struct mailman *m, const char *name, const char *setting, struct pb_error *err)
{
	json_t *doc = read_json(m, name), *entry, *list = json_array();
	size_t i;

	json_array_foreach (json_object_get(doc, "entries"), i, entry)
		if (json_object_get(entry, "email"))
			json_array_append(list, json_object_get(entry, "email"));
	json_decref(doc);
	if (json_array_size(list))
		return list_set(&m->list, setting, list, err);
	json_decref(list);
	return 0;
}

static int members_2(struct mailman *m, const char *name, const char *delivery, struct pb_error *err)
{
	char path[PATH_MAX];
	struct pb_str rest, line;
	struct file file;
	int rc = 0;

	snprintf(path, sizeof path, "%s/%s", m->dir, name);
	if (!is_file(path) || file_open(path, NULL, &file, NULL))
		return 0;
	rest = file.bytes;
	while (!rc && rest.len && pb_str_cut(&rest, '\n', &line)) {
		long open = pb_str_find(line, '<', 0), close = open < 0 ? -1 : pb_str_find(line, '>', (size_t)open);

		if (close > 0)
			line = pb_str_skip(pb_str_head(line, (size_t)close), (size_t)open + 1);
		line = pb_str_trim(line);
		if (line.len)
			rc = list_member(&m->list, line, delivery, err);
	}
	file_close(&file);
	return rc;
}

/* ---- a list ---- */

static bool address_of(const json_t *config, char *ret, size_t room)
{
	const char *whole = json_string_value(json_object_get(config, "fqdn_listname")), *name = json_string_value(json_object_get(config, "real_name")),
		   *host = json_string_value(json_object_get(config, "host_name"));

	if (whole)
		return snprintf(ret, room, "%s", whole) < (int)room;
	return name && host && snprintf(ret, room, "%s@%s", name, host) < (int)room;
}

static int fill(struct mailman *m, bool three, struct pb_error *err)
{
	int rc = apply_all(m, err);

	if (!rc)
		rc = list_set_word(&m->list, "posting", "members", err);
	if (three) {
		if (!rc)
			rc = roles_3(m, "owner.json", "owners", err);
		if (!rc)
			rc = roles_3(m, "moderator.json", "moderators", err);
		return rc ? rc : members_3(m, err);
	}
	if (!rc)
		rc = members_2(m, "members", "each", err);
	if (!rc)
		rc = members_2(m, "digest-mime", "mime", err);
	if (!rc)
		rc = members_2(m, "digest-plain", "plain", err);
	return rc ? rc : members_2(m, "nomail", "none", err);
}

static json_t *config_of(struct mailman *m, bool *ret_three)
{
	char path[PATH_MAX];
	struct file file;
	json_t *config;

	snprintf(path, sizeof path, "%s/config", m->dir);
	*ret_three = !is_file(path);
	if (*ret_three)
		return read_json(m, "config.json");
	if (file_open(path, NULL, &file, NULL))
		return NULL;
	config = literals_read(file.bytes);
	file_close(&file);
	return config;
}

static int import_one(struct feed *f, const char *dir, struct pb_error *err)
{
	struct mailman m = { .list = { .feed = f }, .dir = dir };
	char address[321];
	json_t *config;
	bool three;
	int rc;

	config = config_of(&m, &three);
	if (!address_of(config, address, sizeof address)) {
		feed_problem(f, dir, "its configuration does not say what the list is called");
		json_decref(config);
		return 0;
	}
	m.config = config;
	rc = list_begin(&m.list, f, address, dir, err);
	if (!rc)
		rc = fill(&m, three, err);
	json_decref(config);
	return list_end(&m.list, rc, err);
}

static bool is_list(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/config.json", dir);
	if (is_file(path))
		return true;
	snprintf(path, sizeof path, "%s/config", dir);
	return is_file(path);
}

/* A list's directory, or one with many of them. */
int import_mailman(struct feed *f, struct pb_error *err)
{
	char path[PATH_MAX];
	struct names names;
	int rc;

	if (is_list(f->options->dir))
		return import_one(f, f->options->dir, err);
	rc = names_read(f->options->dir, names_by_bytes, &names, err);
	for (size_t i = 0; i < names.n && !rc; i++) {
		snprintf(path, sizeof path, "%s/%s", f->options->dir, names.list[i]);
		if (is_list(path))
			rc = import_one(f, path, err);
	}
	names_free(&names);
	return rc;
}
