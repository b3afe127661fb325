/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Post offices: create, list, show, set, delete. Their domains and what lives in those have commands of their own.
 */
#include "directory.h"

static int office_row(struct command *c, struct tx *tx, json_t **ret, struct pb_str *ret_key, struct pb_error *err)
{
	struct pb_str given = pb_text_of(c->params, "name");
	PB_AUTOBUF(key);
	int rc = name_office(&key, given, true, err);

	if (rc)
		return rc;
	*ret_key = tx_key(tx, "p", pb_buf_str(&key), PB_NOSTR, PB_NOSTR);
	rc = tx_get(tx, *ret_key, ret, err);
	if (!rc && *ret && !command_may(c, pb_buf_str(&key)))
		rc = pb_fail(err, PB_ENOTFOUND, "no post office '%.*s'", PB_FMT(pb_str_head(given, 80)));
	return rc;
}

static int take_settings(struct command *c, json_t *row, struct pb_error *err)
{
	const json_t *postmaster = json_object_get(c->params, "postmaster");
	PB_AUTOBUF(text);
	struct name n;
	int rc;

	if (json_object_get(c->params, "description")) {
		rc = name_text(&text, pb_text_of(c->params, "description"), 400, "the description", err);
		if (rc)
			return rc;
		set_text(row, "description", pb_buf_str(&text));
	}
	if (postmaster) {
		struct pb_str address = pb_text_of(c->params, "postmaster");

		if (address.len) {
			rc = name_parse(&n, address, err);
			if (rc)
				return rc;
			address = n.key;
		}
		set_text(row, "postmaster", address);
	}
	return 0;
}

static json_t *show_office(const json_t *row)
{
	json_t *o = json_object();

	set_text(o, "name", pb_text_of(row, "name"));
	set_text(o, "description", pb_text_of(row, "description"));
	set_text(o, "postmaster", pb_text_of(row, "postmaster"));
	return o;
}

static int step_create(struct command *c, struct tx *tx, struct pb_error *err)
{
	PB_AUTOBUF(name);
	struct pb_str key;
	json_t *row;
	int rc = office_row(c, tx, &row, &key, err);

	if (!rc && row)
		rc = pb_fail(err, PB_EEXISTS, "there is a post office '%.*s' already", PB_FMT(pb_text_of(row, "name")));
	if (!rc)
		rc = name_office(&name, pb_text_of(c->params, "name"), false, err);
	if (rc)
		return rc;
	row = json_object();
	set_text(row, "name", pb_buf_str(&name));
	set_number(row, "rev", 1);
	set_number(row, "created", pb_now(c->d->host));
	tx_put(tx, key, row);
	tx_put(tx, office_age_key(tx, pb_str_skip(key, 2), row), json_object());
	rc = take_settings(c, row, err);
	c->result = show_office(row);
	return rc;
}

static int step_set(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct pb_str key;
	json_t *row;
	int rc = office_row(c, tx, &row, &key, err);

	if (!rc && !row)
		rc = pb_fail(err, PB_ENOTFOUND, "no post office '%.*s'", PB_FMT(pb_str_head(pb_text_of(c->params, "name"), 80)));
	if (!rc)
		rc = take_settings(c, row, err);
	if (rc)
		return rc;
	tx_put(tx, key, row);
	c->result = show_office(row);
	return 0;
}

static bool take_one(void *arg, struct pb_str key, struct pb_str value)
{
	struct pb_buf *one = arg;

	(void)value;
	pb_buf_addstr(one, key);
	return false;
}

/* Its row, if nothing belongs to it any more. */
static int empty_office(struct command *c, struct tx *tx, json_t **ret_row, struct pb_str *ret_key, struct pb_error *err)
{
	PB_AUTOBUF(prefix);
	PB_AUTOBUF(end);
	PB_AUTOBUF(one);
	struct pb_str key;
	json_t *row;
	int rc = office_row(c, tx, &row, &key, err);

	if (!rc && !row)
		rc = pb_fail(err, PB_ENOTFOUND, "no post office '%.*s'", PB_FMT(pb_str_head(pb_text_of(c->params, "name"), 80)));
	if (rc)
		return rc;
	pb_buf_addf(&prefix, "l/d/%.*s/", PB_FMT(pb_str_skip(key, 2)));
	pb_buf_addf(&end, "l/d/%.*s0", PB_FMT(pb_str_skip(key, 2)));
	rc = pb_table_scan(c->d->table, pb_buf_str(&prefix), pb_buf_str(&end), 1, take_one, &one, err);
	if (rc)
		return rc;
	if (one.len)
		return pb_fail(err, PB_EBUSY, "the post office '%.*s' still has the domain '%.*s'", PB_FMT(pb_text_of(row, "name")),
			       PB_FMT(pb_str_skip(pb_buf_str(&one), prefix.len)));
	*ret_row = row;
	*ret_key = key;
	return 0;
}

static int step_look(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct pb_str key;
	json_t *row;
	int rc = empty_office(c, tx, &row, &key, err);

	if (!rc)
		c->result = json_pack("{s:O}", "postoffice", json_object_get(row, "name"));
	return rc;
}

static int step_delete(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct pb_str key;
	json_t *row;
	int rc = empty_office(c, tx, &row, &key, err);

	if (rc)
		return rc;
	tx_delete(tx, office_age_key(tx, pb_str_skip(key, 2), row));
	tx_delete(tx, key);
	return 0;
}

METHOD(postoffice_create)
{
	return command_do(self, who, params, step_create, ret_result, err);
}

METHOD(postoffice_set)
{
	return command_do(self, who, params, step_set, ret_result, err);
}

METHOD(postoffice_delete)
{
	json_t *facts = NULL;
	int rc = command_do(self, who, params, step_look, &facts, err);

	if (!rc)
		rc = command_ask(self, "postoffice.delete", facts, "the post office", err);
	json_decref(facts);
	return rc ? rc : command_do(self, who, params, step_delete, ret_result, err);
}

METHOD(postoffice_show)
{
	struct command c = { .d = self, .who = who, .params = params };
	PB_AUTOBUF(key);
	ROW(row);
	int rc = name_office(&key, pb_text_of(params, "name"), true, err);

	if (!rc)
		rc = row_read(c.d, 'p', pb_buf_str(&key), PB_NOSTR, &row, err);
	if (!rc && (!row->value || !command_may(&c, pb_buf_str(&key))))
		rc = pb_fail(err, PB_ENOTFOUND, "no post office '%.*s'", PB_FMT(pb_str_head(pb_text_of(params, "name"), 80)));
	if (!rc)
		*ret_result = show_office(row->value);
	return rc;
}

static json_t *show_listed(struct command *c, struct pb_str key, const json_t *value)
{
	return command_may(c, pb_str_skip(key, 2)) ? show_office(value) : NULL;
}

METHOD(postoffice_list)
{
	struct command c = { .d = self, .who = who, .params = params };
	struct list_query q = { .name = "postoffices", .prefix = PB_STR("p/"), .base = 2, .show = show_listed };
	int rc = command_list(&c, &q, err);

	if (!rc)
		*ret_result = c.result;
	return rc;
}
