/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of mlmmj: a directory each, whose control/ has a file for each setting and whose *.d/ have files of addresses, one a line. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "tools/import.h"
#include "tools/import_list.h"

struct mlmmj {
	struct list_import list;
	const char *dir;
};

static bool has(const struct mlmmj *m, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/control/%s", m->dir, name);
	return is_file(path);
}

static bool next_line(struct pb_str *text, struct pb_str *ret)
{
	long lf;

	while (text->len) {
		lf = pb_str_find(*text, '\n', 0);
		*ret = pb_str_trim(pb_str_head(*text, lf < 0 ? text->len : (size_t)lf));
		*text = pb_str_skip(*text, lf < 0 ? text->len : (size_t)lf + 1);
		if (ret->len)
			return true;
	}
	return false;
}

/* The lines of a control file, as a list; empty when it is not there. whole: all of it as one. */
static json_t *lines_of(const char *dir, const char *name, bool whole)
{
	json_t *list = json_array(), *one;
	struct pb_str text, line;
	char path[PATH_MAX];
	struct file file;

	snprintf(path, sizeof path, "%s/control/%s", dir, name);
	if (file_open(path, NULL, &file, NULL))
		return list;
	text = file.bytes;
	while (whole ? text.len > 0 : next_line(&text, &line)) {
		one = whole ? json_stringn(text.ptr, text.len) : json_stringn(line.ptr, line.len);
		if (one)
			json_array_append_new(list, one);
		if (whole)
			break;
	}
	file_close(&file);
	return list;
}

/* ---- settings ---- */

enum form { FORM_LIST, FORM_FIRST, FORM_WHOLE, FORM_SECONDS, FORM_FLAG };

static const struct {
	const char *file, *setting;
	enum form form;
	const char *word;	/* of FORM_FLAG */
} controls[] = {
	{ "owner", "owners", FORM_LIST, NULL },
	{ "moderators", "moderators", FORM_LIST, NULL },
	{ "prefix", "prefix", FORM_FIRST, NULL },
	{ "footer", "footer_text", FORM_WHOLE, NULL },
	{ "maxmailsize", "max_size", FORM_FIRST, NULL },
	{ "modreqlife", "hold_expire", FORM_SECONDS, NULL },
	{ "digestinterval", "digest_every", FORM_SECONDS, NULL },
	{ "notifysub", "tell_owners", FORM_FLAG, "yes" },
	{ "nodigestsub", "digest", FORM_FLAG, "no" },
	{ "nolistsubsemail", "who", FORM_FLAG, "nobody" },
	{ "verp", "verp", FORM_FLAG, "0" },
	{ "closedlist", "unsubscription", FORM_FLAG, "closed" },
};

static int set_one(struct mlmmj *m, size_t i, struct pb_error *err)
{
	json_t *values;
	PB_AUTOBUF(text);

	if (!has(m, controls[i].file))
		return 0;
	if (controls[i].form == FORM_FLAG)
		return list_set_word(&m->list, controls[i].setting, controls[i].word, err);
	values = lines_of(m->dir, controls[i].file, controls[i].form == FORM_WHOLE);
	if (!json_array_size(values)) {
		json_decref(values);
		return 0;
	}
	if (controls[i].form == FORM_LIST || controls[i].form == FORM_WHOLE)
		return list_set(&m->list, controls[i].setting, values, err);
	pb_buf_addz(&text, json_string_value(json_array_get(values, 0)));
	if (controls[i].form == FORM_SECONDS)
		pb_buf_addz(&text, "s");
	json_decref(values);
	return list_set_word(&m->list, controls[i].setting, pb_buf_z(&text), err);
}

static int set_all(struct mlmmj *m, struct pb_error *err)
{
	static const char *const left_out[] = { "access", "customheaders", "delheaders", "addtohdr", "notmetoo", "staticbounceaddr", NULL };
	bool only = has(m, "subonlypost") || has(m, "modonlypost");
	const char *posting = has(m, "moderated") || has(m, "modonlypost") ? "moderators" : has(m, "subonlypost") ? "members" : "anyone";
	const char *others = has(m, "moderated") || has(m, "modnonsubposts") || !only ? "hold" : "reject";
	const char *subscription = has(m, "closedlist") || has(m, "closedlistsub") ? "closed" : has(m, "submod") ? "moderated" : has(m, "nosubconfirm") ? "open" : "confirmed";
	int rc = 0;

	for (size_t i = 0; i < sizeof controls / sizeof *controls && !rc; i++)
		rc = set_one(m, i, err);
	if (!rc)
		rc = list_set_word(&m->list, "posting", posting, err);
	if (!rc)
		rc = list_set_word(&m->list, "others", others, err);
	if (!rc)
		rc = list_set_word(&m->list, "subscription", subscription, err);
	if (!rc)
		rc = list_set_word(&m->list, "named", has(m, "tocc") ? "no" : "yes", err);
	for (size_t i = 0; left_out[i]; i++)
		if (has(m, left_out[i]))
			feed_note(m->list.feed, "not_imported", "%s: %s", m->list.address, left_out[i]);
	return rc;
}

/* ---- members ---- */

static int members_of(struct mlmmj *m, const char *path, const char *delivery, struct pb_error *err)
{
	struct pb_str text, address;
	struct pb_error why = { 0 };
	struct file file;
	int rc = 0;

	if (file_open(path, NULL, &file, &why)) {
		feed_problem(m->list.feed, path, "%s", why.text);
		return 0;
	}
	text = file.bytes;
	while (!rc && next_line(&text, &address))
		rc = list_member(&m->list, address, delivery, err);
	file_close(&file);
	return rc;
}

static int members(struct mlmmj *m, const char *kind, const char *delivery, struct pb_error *err)
{
	struct names names;
	char path[PATH_MAX];
	int rc = 0;

	snprintf(path, sizeof path, "%s/%s", m->dir, kind);
	if (!is_directory(path) || names_read(path, names_by_bytes, &names, err))
		return is_directory(path) ? err->code : 0;
	for (size_t i = 0; i < names.n && !rc; i++) {
		snprintf(path, sizeof path, "%s/%s/%s", m->dir, kind, names.list[i]);
		rc = members_of(m, path, delivery, err);
	}
	names_free(&names);
	return rc;
}

static int import_one(struct feed *f, const char *dir, struct pb_error *err)
{
	json_t *address = lines_of(dir, "listaddress", false);
	struct mlmmj m = { .dir = dir };
	int rc;

	if (!json_array_size(address)) {
		feed_problem(f, dir, "control/listaddress has no address");
		json_decref(address);
		return 0;
	}
	rc = list_begin(&m.list, f, json_string_value(json_array_get(address, 0)), dir, err);
	json_decref(address);
	if (!rc)
		rc = set_all(&m, err);
	if (!rc)
		rc = members(&m, "subscribers.d", "each", err);
	if (!rc)
		rc = members(&m, "digesters.d", "plain", err);
	if (!rc)
		rc = members(&m, "nomailsubs.d", "none", err);
	return list_end(&m.list, rc, err);
}

/* A list's directory, or one with many of them. */
int import_mlmmj(struct feed *f, struct pb_error *err)
{
	char path[PATH_MAX];
	struct names names;
	int rc;

	snprintf(path, sizeof path, "%s/control", f->options->dir);
	if (is_directory(path))
		return import_one(f, f->options->dir, err);
	rc = names_read(f->options->dir, names_by_bytes, &names, err);
	for (size_t i = 0; i < names.n && !rc; i++) {
		snprintf(path, sizeof path, "%s/%s/control", f->options->dir, names.list[i]);
		if (!is_directory(path))
			continue;
		snprintf(path, sizeof path, "%s/%s", f->options->dir, names.list[i]);
		rc = import_one(f, path, err);
	}
	names_free(&names);
	return rc;
}
