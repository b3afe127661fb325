/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Domains and alias domains: create, list, show, set, delete. Their addresses belong to mailboxes, groups and maps.
 */
#include <postbus/address.h>
#include "directory.h"

static json_t *show_domain(struct pb_str ascii, const json_t *row)
{
	json_t *o = json_object();
	PB_AUTOBUF(unicode);

	set_text(o, "domain", ascii);
	if (pb_domain_unicode(&unicode, ascii, NULL) == 0 && pb_utf8_valid(pb_buf_str(&unicode)))
		set_text(o, "unicode", pb_buf_str(&unicode));
	set_text(o, "postoffice", pb_text_of(row, "postoffice"));
	set_text(o, "alias_of", pb_text_of(row, "alias_of"));
	set_text(o, "description", pb_text_of(row, "description"));
	return o;
}

static bool take_one(void *arg, struct pb_str key, struct pb_str value)
{
	(void)value;
	pb_buf_addstr(arg, key);
	return false;
}

/* What still hangs on a domain: *ret is a word for it, or empty. Guarded by the domain's row, which changes with all of these. */
static int domain_in_use(struct directory *d, struct pb_str domain, struct pb_buf *what, struct pb_error *err)
{
	static const struct { const char *prefix, *word; } kinds[] = { { "a", "address" }, { "l/a", "alias domain" } };

	for (size_t i = 0; i < 2; i++) {
		PB_AUTOBUF(from);
		PB_AUTOBUF(to);
		PB_AUTOBUF(one);
		int rc;

		pb_buf_addf(&from, "%s/%.*s/", kinds[i].prefix, PB_FMT(domain));
		pb_buf_addf(&to, "%s/%.*s0", kinds[i].prefix, PB_FMT(domain));
		rc = pb_table_scan(d->table, pb_buf_str(&from), pb_buf_str(&to), 1, take_one, &one, err);
		if (rc)
			return rc;
		if (one.len) {
			pb_buf_addf(what, "the %s '%.*s%s%.*s'", kinds[i].word, PB_FMT(pb_str_skip(pb_buf_str(&one), from.len)), i ? "" : "@",
				    PB_FMT(i ? PB_NOSTR : domain));
			return 0;
		}
	}
	return 0;
}

/* Make row an alias of the parameter "alias_of", or no alias where that is empty. */
static int set_alias(struct command *c, struct tx *tx, struct pb_str ascii, json_t *row, struct pb_error *err)
{
	struct pb_str old = pb_text_of(row, "alias_of");
	json_t *target;
	PB_AUTOBUF(name);
	PB_AUTOBUF(what);
	int rc;

	if (old.len)
		tx_delete(tx, tx_key(tx, "l/a", old, ascii, PB_NOSTR));
	if (!pb_text_of(c->params, "alias_of").len) {
		json_object_del(row, "alias_of");
		return 0;
	}
	rc = name_domain(&name, pb_text_of(c->params, "alias_of"), err);
	if (!rc)
		rc = command_domain(c, tx, pb_buf_str(&name), &target, err);
	if (!rc)
		rc = domain_in_use(c->d, ascii, &what, err);
	if (rc)
		return rc;
	if (what.len)
		return pb_fail(err, PB_EBUSY, "'%.*s' cannot become an alias: it still has %s", PB_FMT(ascii), pb_buf_z(&what));
	if (pb_text_of(target, "alias_of").len || pb_str_eq(pb_buf_str(&name), ascii))
		return pb_fail(err, PB_EINVALID, "'%s' is an alias itself", pb_buf_z(&name));
	if (!pb_str_eq(pb_text_of(target, "postoffice"), pb_text_of(row, "postoffice")))
		return pb_fail(err, PB_EINVALID, "'%s' belongs to another post office", pb_buf_z(&name));
	set_number(target, "rev", number_of(target, "rev") + 1);
	tx_put(tx, tx_key(tx, "d", pb_buf_str(&name), PB_NOSTR, PB_NOSTR), target);
	tx_put(tx, tx_key(tx, "l/a", pb_buf_str(&name), ascii, PB_NOSTR), json_object());
	set_text(row, "alias_of", pb_buf_str(&name));
	return 0;
}

static int take_settings(struct command *c, struct tx *tx, struct pb_str ascii, json_t *row, struct pb_error *err)
{
	PB_AUTOBUF(text);
	int rc = json_object_get(c->params, "alias_of") ? set_alias(c, tx, ascii, row, err) : 0;

	if (rc || !json_object_get(c->params, "description"))
		return rc;
	rc = name_text(&text, pb_text_of(c->params, "description"), 400, "the description", err);
	if (!rc)
		set_text(row, "description", pb_buf_str(&text));
	return rc;
}

static int step_create(struct command *c, struct tx *tx, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	PB_AUTOBUF(office);
	struct pb_str key, office_key;
	json_t *row, *po;
	int rc = name_domain(&ascii, pb_text_of(c->params, "domain"), err);

	if (!rc)
		rc = command_office(c, &office, err);
	if (rc)
		return rc;
	key = tx_key(tx, "d", pb_buf_str(&ascii), PB_NOSTR, PB_NOSTR);
	office_key = tx_key(tx, "p", pb_buf_str(&office), PB_NOSTR, PB_NOSTR);
	rc = tx_get(tx, key, &row, err);
	if (!rc && row)
		rc = pb_fail(err, PB_EEXISTS, "the domain '%s' belongs to the post office '%.*s' already", pb_buf_z(&ascii), PB_FMT(pb_text_of(row, "postoffice")));
	if (!rc)
		rc = tx_get(tx, office_key, &po, err);
	if (!rc && !po)
		rc = pb_fail(err, PB_ENOTFOUND, "no post office '%s'", pb_buf_z(&office));
	if (rc)
		return rc;
	set_number(po, "rev", number_of(po, "rev") + 1);
	tx_put(tx, office_key, po);
	row = json_object();
	set_text(row, "postoffice", pb_buf_str(&office));
	set_number(row, "rev", 1);
	set_number(row, "created", pb_now(c->d->host));
	tx_put(tx, key, row);
	tx_put(tx, tx_key(tx, "l/d", pb_buf_str(&office), pb_buf_str(&ascii), PB_NOSTR), json_object());
	rc = take_settings(c, tx, pb_buf_str(&ascii), row, err);
	c->result = show_domain(pb_buf_str(&ascii), row);
	return rc;
}

static int step_set(struct command *c, struct tx *tx, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	json_t *row;
	int rc = name_domain(&ascii, pb_text_of(c->params, "domain"), err);

	if (!rc)
		rc = command_domain(c, tx, pb_buf_str(&ascii), &row, err);
	if (!rc)
		rc = take_settings(c, tx, pb_buf_str(&ascii), row, err);
	if (rc)
		return rc;
	set_number(row, "rev", number_of(row, "rev") + 1);
	tx_put(tx, tx_key(tx, "d", pb_buf_str(&ascii), PB_NOSTR, PB_NOSTR), row);
	c->result = show_domain(pb_buf_str(&ascii), row);
	return 0;
}

/* Its row, if nothing hangs on it any more. */
static int unused_domain(struct command *c, struct tx *tx, struct pb_buf *ascii, json_t **ret_row, struct pb_error *err)
{
	PB_AUTOBUF(what);
	int rc = name_domain(ascii, pb_text_of(c->params, "domain"), err);

	if (!rc)
		rc = command_domain(c, tx, pb_buf_str(ascii), ret_row, err);
	if (!rc)
		rc = domain_in_use(c->d, pb_buf_str(ascii), &what, err);
	if (!rc && what.len)
		rc = pb_fail(err, PB_EBUSY, "the domain '%s' still has %s", pb_buf_z(ascii), pb_buf_z(&what));
	return rc;
}

static int step_look(struct command *c, struct tx *tx, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	json_t *row;
	int rc = unused_domain(c, tx, &ascii, &row, err);

	if (!rc)
		c->result = json_pack("{s:s, s:O}", "domain", pb_buf_z(&ascii), "postoffice", json_object_get(row, "postoffice"));
	return rc;
}

static int step_delete(struct command *c, struct tx *tx, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	struct pb_str office_key;
	json_t *row, *po;
	int rc = unused_domain(c, tx, &ascii, &row, err);

	if (rc)
		return rc;
	office_key = tx_key(tx, "p", pb_text_of(row, "postoffice"), PB_NOSTR, PB_NOSTR);
	rc = tx_get(tx, office_key, &po, err);
	if (rc)
		return rc;
	if (po) {
		set_number(po, "rev", number_of(po, "rev") + 1);
		tx_put(tx, office_key, po);
	}
	tx_delete(tx, tx_key(tx, "l/d", pb_text_of(row, "postoffice"), pb_buf_str(&ascii), PB_NOSTR));
	if (pb_text_of(row, "alias_of").len)
		tx_delete(tx, tx_key(tx, "l/a", pb_text_of(row, "alias_of"), pb_buf_str(&ascii), PB_NOSTR));
	tx_delete(tx, tx_key(tx, "d", pb_buf_str(&ascii), PB_NOSTR, PB_NOSTR));
	return 0;
}

METHOD(domain_create)
{
	return command_do(self, who, params, step_create, ret_result, err);
}

METHOD(domain_set)
{
	return command_do(self, who, params, step_set, ret_result, err);
}

METHOD(domain_delete)
{
	json_t *facts = NULL;
	int rc = command_do(self, who, params, step_look, &facts, err);

	if (!rc)
		rc = command_ask(self, "domain.delete", facts, "the domain", err);
	json_decref(facts);
	return rc ? rc : command_do(self, who, params, step_delete, ret_result, err);
}

METHOD(domain_show)
{
	struct command c = { .d = self, .who = who, .params = params };
	PB_AUTOBUF(ascii);
	ROW(row);
	int rc = name_domain(&ascii, pb_text_of(params, "domain"), err);

	if (!rc)
		rc = row_read(c.d, 'd', pb_buf_str(&ascii), PB_NOSTR, &row, err);
	if (!rc && (!row->value || !command_may(&c, pb_text_of(row->value, "postoffice"))))
		rc = pb_fail(err, PB_ENOTFOUND, "no domain '%.*s'", PB_FMT(pb_str_head(pb_text_of(params, "domain"), 80)));
	if (!rc)
		*ret_result = show_domain(pb_buf_str(&ascii), row->value);
	return rc;
}

/* "l/d/<post office>/<domain>" */
static json_t *show_listed(struct command *c, struct pb_str key, const json_t *value)
{
	struct pb_str rest = pb_str_skip(key, 4), office;
	ROW(row);

	(void)value;
	if (!pb_str_cut(&rest, '/', &office) || row_read(c->d, 'd', rest, PB_NOSTR, &row, NULL) || !row->value)
		return NULL;
	return show_domain(rest, row->value);
}

METHOD(domain_list)
{
	struct list_query q = { .name = "domains", .base = 4, .show = show_listed };

	return command_list_kind(self, who, params, "d", &q, ret_result, err);
}
