/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The number of a post, for prefixes with {count} and return paths of every so many posts. A post that is tried again keeps its number: the row remembers whom the last
 * numbers were given to. Table "counts": key the list's id; value { n, given: { queue id: number } }.
 */
#include "post.h"

enum { REMEMBERED = 64 };

static bool is_needed(const struct list *l)
{
	struct pb_str count = PB_STR("{count}");

	return setting_number(l->settings, "verp") > 1 || pb_str_search(setting_text(l->settings, "prefix"), count, 0) >= 0 ||
	       pb_str_search(setting_text(l->settings, "suffix"), count, 0) >= 0;
}

static void forget_oldest(json_t *given)
{
	const char *oldest = NULL, *key;
	int64_t least = INT64_MAX;
	json_t *n;

	json_object_foreach (given, key, n) {
		if (json_integer_value(n) < least) {
			least = json_integer_value(n);
			oldest = key;
		}
	}
	if (oldest)
		json_object_del(given, oldest);
}

static int give(struct post *p, int64_t *ret, struct pb_error *err)
{
	json_t *row, *given;
	char *text;
	PB_AUTOBUF(value);
	int rc = pb_table_get(p->all->counts, p->list->id, &value, err);

	if (rc && rc != PB_ENOTFOUND)
		return rc;
	row = rc ? json_pack("{s:i, s:{}}", "n", 0, "given") : json_loadb(value.ptr, value.len, 0, NULL);
	given = json_object_get(row, "given");
	*ret = number_of(given, pb_item_id(p->item));
	if (!given || *ret) {
		rc = given ? 0 : pb_fail(err, PB_ECORRUPT, "the count of %.*s is damaged", PB_FMT(p->list->address));
		json_decref(row);
		return rc;
	}
	*ret = number_of(row, "n") + 1;
	json_object_set_new(row, "n", json_integer((json_int_t)*ret));
	json_object_set_new(given, pb_item_id(p->item), json_integer((json_int_t)*ret));
	if (json_object_size(given) > REMEMBERED)
		forget_oldest(given);
	text = json_dumps(row, JSON_COMPACT);
	rc = pb_table_apply(p->all->counts, &(struct pb_change){ PB_PUT, p->list->id, pb_strz(text) }, 1, err);
	free(text);
	json_decref(row);
	return rc;
}

int post_number(struct post *p, struct pb_error *err)
{
	json_t *notes = pb_item_envelope(p->item)->notes;
	int64_t n = 0;
	int rc;

	if (!is_needed(p->list) || json_object_get(notes, "list_count"))
		return 0;
	pthread_mutex_lock(&p->all->writing);
	rc = give(p, &n, err);
	pthread_mutex_unlock(&p->all->writing);
	if (!rc)
		json_object_set_new(notes, "list_count", json_integer((json_int_t)n));
	return rc;
}
