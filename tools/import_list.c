/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mailing lists on their way to conn_list: made, set and filled, each step of which may have been done before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/import.h"
#include "tools/import_list.h"

enum { BATCH = 500 };

/* What is wrong with one value or address; everything else ends the import. */
static bool is_problem(int code)
{
	return code == PB_EINVALID || code == PB_ENOTFOUND || code == PB_EEXISTS || code == PB_EDENIED || code == PB_ETOOBIG;
}

int list_begin(struct list_import *l, struct feed *f, const char *address, const char *where, struct pb_error *err)
{
	bool made = false;
	int rc;

	*l = (struct list_import){ .feed = f, .where = where, .batch = json_array() };
	snprintf(l->address, sizeof l->address, "%s", address);
	rc = feed_make(f, "list.create", json_pack("{s:s}", "list", address), &made, err);
	if (!rc && !made && !f->options->dry_run) {	/* there is something of that name: a list, or not */
		rc = feed_call(f, "list.show", json_pack("{s:s}", "list", address), NULL, err);
		if (rc == PB_ENOTFOUND)
			pb_fail(err, rc, "the address is another thing's already");
	}
	if (rc && is_problem(rc)) {
		feed_problem(f, where, "the list %s: %s", address, err->text);
		l->bad = true;
		return 0;
	}
	return rc;
}

int list_set(struct list_import *l, const char *setting, json_t *values, struct pb_error *err)
{
	int rc;

	if (l->bad || l->feed->options->dry_run) {
		json_decref(values);
		return 0;
	}
	rc = feed_call(l->feed, "list.set", json_pack("{s:s s:s s:o}", "list", l->address, "setting", setting, "value", values), NULL, err);
	if (rc && is_problem(rc)) {
		feed_problem(l->feed, l->where, "setting %s of %s: %s", setting, l->address, err->text);
		return 0;
	}
	return rc;
}

int list_set_word(struct list_import *l, const char *setting, const char *value, struct pb_error *err)
{
	return list_set(l, setting, json_pack("[s]", value), err);
}

static int add(struct list_import *l, json_t *addresses, struct pb_error *err)
{
	json_t *said = NULL;
	json_t *params = json_pack("{s:s s:O s:s s:b}", "list", l->address, "addresses", addresses, "delivery", l->delivery, "once", !l->feed->options->again);
	int rc = feed_call(l->feed, "list.member.add", params, &said, err);

	if (!rc) {
		l->added += (size_t)json_integer_value(json_object_get(said, "added"));
		l->known += (size_t)json_integer_value(json_object_get(said, "known"));
		l->left += (size_t)json_integer_value(json_object_get(said, "left"));
	}
	json_decref(said);
	return rc;
}

/* A batch with a bad address in it is taken as nothing: then each goes alone. */
static int send_batch(struct list_import *l, struct pb_error *err)
{
	json_t *one;
	size_t i;
	int rc = 0;

	if (l->bad || l->feed->options->dry_run)
		l->added += l->bad ? 0 : json_array_size(l->batch);
	else if (json_array_size(l->batch))
		rc = add(l, l->batch, err);
	if (rc && is_problem(rc)) {
		rc = 0;
		json_array_foreach (l->batch, i, one) {
			json_t *alone = json_pack("[O]", one);

			rc = add(l, alone, err);
			json_decref(alone);
			if (rc && !is_problem(rc))
				break;
			if (rc)
				feed_problem(l->feed, l->where, "member %s: %s", json_string_value(one), err->text);
			rc = 0;
		}
	}
	json_array_clear(l->batch);
	return rc;
}

int list_member(struct list_import *l, struct pb_str address, const char *delivery, struct pb_error *err)
{
	json_t *one = json_stringn(address.ptr, address.len);
	int rc = 0;

	if (!one) {
		feed_problem(l->feed, l->where, "a member whose address is not UTF-8");
		return 0;
	}
	if (l->delivery && (strcmp(l->delivery, delivery) != 0 || json_array_size(l->batch) == BATCH))
		rc = send_batch(l, err);
	l->delivery = delivery;
	json_array_append_new(l->batch, one);
	return rc;
}

int list_end(struct list_import *l, int rc, struct pb_error *err)
{
	char left[60] = "";

	if (!rc)
		rc = send_batch(l, err);
	json_decref(l->batch);
	if (l->left)
		snprintf(left, sizeof left, ", %zu have left since", l->left);
	if (!rc && !l->bad)
		feed_note(l->feed, "lists", "%s: %zu members %s, %zu known%s", l->address, l->added, l->feed->options->dry_run ? "would be added" : "added", l->known, left);
	return rc;
}
