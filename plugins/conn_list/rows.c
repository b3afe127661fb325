/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists as rows: read, written, counted through. */
#include <postbus/address.h>
#include "list.h"

static int key_of(struct pb_buf *key, struct pb_str address, struct pb_error *err)
{
	if (pb_address_parse(address, PB_PATH_UTF8, NULL, err))
		return pb_because(err, "'%.*s' is no address of a list", PB_FMT(pb_str_head(address, 100)));
	return pb_address_key(key, address, err);
}

void list_take(struct list *l, json_t *row)
{
	l->row = row;
	l->id = pb_text_of(row, "id");
	l->address = pb_text_of(row, "address");
	l->postoffice = pb_text_of(row, "postoffice");
	l->settings = json_object_get(row, "settings");
	pb_address_split(l->address, &l->local, &l->domain);
}

int list_open(struct lists *all, struct pb_str address, struct list *ret, struct pb_error *err)
{
	json_t *row;
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	int rc = key_of(&key, address, err);

	if (!rc)
		rc = pb_table_get(all->rows, pb_buf_str(&key), &value, err);
	if (rc == PB_ENOTFOUND)
		return pb_fail(err, rc, "there is no list '%.*s'", PB_FMT(pb_str_head(address, 100)));
	if (rc)
		return rc;
	row = json_loadb(value.ptr, value.len, 0, NULL);
	if (!row || !json_is_object(json_object_get(row, "settings"))) {
		json_decref(row);
		return pb_fail(err, PB_ECORRUPT, "the row of the list '%.*s' is damaged", PB_FMT(pb_str_head(address, 100)));
	}
	list_take(ret, row);
	return 0;
}

int list_open_for(struct lists *all, const struct pb_caller *who, struct pb_str address, struct list *ret, struct pb_error *err)
{
	int rc = list_open(all, address, ret, err);

	if (rc || who->role == PB_ROLE_SYSTEM || (who->role == PB_ROLE_ADMIN && who->postoffice.len && pb_str_eq(who->postoffice, ret->postoffice)))
		return rc;
	list_close(ret);
	return pb_fail(err, PB_ENOTFOUND, "there is no list '%.*s'", PB_FMT(pb_str_head(address, 100)));
}

void list_close(struct list *l)
{
	json_decref(l->row);
	l->row = NULL;
}

int list_save(struct lists *all, const struct list *l, struct pb_error *err)
{
	char *text = json_dumps(l->row, JSON_COMPACT);
	PB_AUTOBUF(key);
	int rc = key_of(&key, l->address, err);

	if (!rc)
		rc = pb_table_apply(all->rows, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_strz(text) }, 1, err);
	free(text);
	return rc;
}

int list_remove(struct lists *all, const struct list *l, struct pb_error *err)
{
	PB_AUTOBUF(key);
	int rc = key_of(&key, l->address, err);

	return rc ? rc : pb_table_apply(all->rows, &(struct pb_change){ PB_DELETE, pb_buf_str(&key), PB_NOSTR }, 1, err);
}

/* ---- all of them ---- */

struct page {
	json_t *rows;
	struct pb_buf last;
};

static bool keep(void *arg, struct pb_str key, struct pb_str value)
{
	struct page *page = arg;

	json_array_append_new(page->rows, json_loadb(value.ptr, value.len, 0, NULL));
	pb_buf_reset(&page->last);
	pb_buf_addstr(&page->last, key);
	pb_buf_addc(&page->last, '\0');
	return true;
}

int lists_each(struct lists *all, struct pb_str postoffice, bool (*visit)(void *arg, struct list *l), void *arg, struct pb_error *err)
{
	struct page page = { NULL, PB_BUF };
	bool more = true;
	int rc = 0;

	while (more && !rc) {
		page.rows = json_array();
		rc = pb_table_scan(all->rows, pb_buf_str(&page.last), PB_NOSTR, 0, keep, &page, err);
		more = json_array_size(page.rows) > 0;
		for (size_t i = 0; !rc && i < json_array_size(page.rows); i++) {
			struct list l;

			list_take(&l, json_array_get(page.rows, i));
			if ((!postoffice.len || pb_str_eq(postoffice, l.postoffice)) && !visit(arg, &l)) {
				more = false;
				break;
			}
		}
		json_decref(page.rows);
	}
	pb_buf_free(&page.last);
	return rc;
}

void list_door(struct pb_buf *out, const struct list *l, const char *door)
{
	pb_buf_addf(out, "%.*s%s%s@%.*s", PB_FMT(l->local), *door ? "-" : "", door, PB_FMT(l->domain));
}

bool list_names(const struct list *l, const char *setting, struct pb_str address)
{
	struct pb_str local, domain;
	json_t *one;
	size_t i;
	PB_AUTOBUF(key);

	if (!pb_address_split(address, &local, &domain) || pb_address_key(&key, address, NULL))
		return false;
	json_array_foreach ((json_t *)setting_list(l->settings, setting), i, one) {
		struct pb_str entry = pb_str(json_string_value(one), json_string_length(one));
		PB_AUTOBUF(other);

		if (pb_str_starts(entry, PB_STR("*@")) && pb_domain_eq(pb_str_skip(entry, 2), domain))
			return true;
		if (!pb_address_key(&other, entry, NULL) && pb_str_eq(pb_buf_str(&other), pb_buf_str(&key)))
			return true;
	}
	return false;
}
