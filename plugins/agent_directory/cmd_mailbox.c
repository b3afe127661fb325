/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mailboxes: create, list, show, set, delete, password. Rows first decide; the mail store follows under an intent (mailbox_store.c).
 */
#include <postbus/mailbox.h>
#include <postbus/session.h>
#include "mailbox_fields.h"
#include "policy.h"

#define ID_LETTERS 20

static void make_id(char *id)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char random[ID_LETTERS];

	pb_random(random, sizeof random);
	id[0] = 'm';
	for (size_t i = 0; i < ID_LETTERS; i++)
		id[i + 1] = alphabet[random[i] & 31];
	id[ID_LETTERS + 1] = 0;
}

/* Whoever is logged in as this mailbox has to log in again, or cannot. What was decided holds all the same. */
static void end_sessions(struct directory *d, struct pb_str id)
{
	struct pb_error err;

	if (pb_sessions_end(d->host, id, &err))
		pb_log(d->host, PB_ERROR, "sessions.left", "mailbox=%s error=%s", pb_logq(id), pb_logq(pb_strz(err.text)));
}

/* l/m/<post office>/<domain>/<local part> */
static struct pb_str list_key(struct tx *tx, struct pb_str postoffice, const struct name *n)
{
	return tx_key(tx, "l/m", postoffice, n->domain, n->local);
}

static json_t *entry_of(struct pb_str id)
{
	json_t *entry = json_object();

	set_text(entry, "kind", PB_STR("mailbox"));
	set_text(entry, "id", id);
	return entry;
}

static int claim_aliases(struct command *c, struct tx *tx, json_t *row, struct pb_error *err)
{
	const json_t *given = json_object_get(c->params, "aliases");
	json_t *list, *v;
	size_t i;
	int rc = 0;

	if (!given)
		return 0;
	if (json_array_size(given) > ALIASES_MAX)
		return pb_fail(err, PB_EINVALID, "a mailbox has at most %d further addresses", ALIASES_MAX);
	json_array_foreach(json_object_get(row, "aliases"), i, v) {
		struct name n;

		rc = name_parse(&n, pb_strz(json_string_value(v)), err);
		if (!rc)
			rc = command_unclaim(tx, &n, err);
		if (rc)
			return rc;
	}
	list = json_array();
	json_object_set_new(row, "aliases", list);
	json_array_foreach(given, i, v) {
		struct name n;
		json_t *domain;

		rc = name_parse_local(&n, pb_strz(json_string_value(v)), false, err);
		if (!rc)
			rc = command_domain(c, tx, n.domain, &domain, err);
		if (!rc && !pb_str_eq(pb_text_of(domain, "postoffice"), pb_text_of(row, "postoffice")))
			rc = pb_fail(err, PB_EINVALID, "'%.*s' belongs to another post office", PB_FMT(n.domain));
		if (!rc)
			rc = command_claim(c, tx, &n, entry_of(pb_text_of(row, "id")), err);
		if (rc)
			return rc;
		json_array_append_new(list, json_stringn(n.key.ptr, n.key.len));
	}
	return 0;
}

static int step_create(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct pb_str id = pb_strz(c->extra);
	struct name n;
	json_t *domain, *row;
	int rc = name_parse_local(&n, pb_text_of(c->params, "address"), false, err);

	if (!rc)
		rc = command_domain(c, tx, n.domain, &domain, err);
	if (rc)
		return rc;
	row = json_object();
	set_text(row, "id", id);
	set_text(row, "postoffice", pb_text_of(domain, "postoffice"));
	set_text(row, "address", n.key);
	set_text(row, "name", PB_NOSTR);
	json_object_set_new(row, "aliases", json_array());
	set_flag(row, "enabled", true);
	set_text(row, "role", PB_STR("user"));
	set_number(row, "quota_bytes", 0);
	set_number(row, "quota_messages", 0);
	json_object_set_new(row, "redirect", json_array());
	set_flag(row, "redirect_keep", true);
	set_number(row, "created", pb_now(c->d->host));
	tx_put(tx, tx_key(tx, "m", id, PB_NOSTR, PB_NOSTR), row);
	tx_put(tx, list_key(tx, pb_text_of(row, "postoffice"), &n), entry_of(id));
	tx_delete(tx, tx_key(tx, "i", id, PB_NOSTR, PB_NOSTR));
	rc = command_claim(c, tx, &n, entry_of(id), err);
	if (!rc)
		rc = mailbox_take_fields(c, row, err);
	if (!rc)
		rc = claim_aliases(c, tx, row, err);
	if (!rc)
		stand_in_move(tx, PB_NOSTR, stand_in_key(tx, row));
	c->result = mailbox_fields(row);
	return rc;
}

static int step_check(struct command *c, struct tx *tx, struct pb_error *err)
{
	tx->dry = true;
	return step_create(c, tx, err);
}

static int make_store(struct command *c, struct pb_str id, struct pb_error *err)
{
	char key[64];
	struct pb_change intent = { .kind = PB_PUT, .value = PB_STR("{}") };
	struct pb_mailbox *mb;
	uint64_t messages = (uint64_t)number_of(c->params, "quota_messages"), bytes = (uint64_t)number_of(c->params, "quota_bytes");
	int rc;

	snprintf(key, sizeof key, "i/%.*s", PB_FMT(id));
	intent.key = pb_strz(key);
	rc = pb_table_apply(c->d->table, &intent, 1, err);
	if (!rc)
		rc = pb_mailbox_create(c->d->host, id, err);
	if (rc || !(messages || bytes))
		return rc;
	rc = pb_mailbox_open(c->d->host, id, &mb, err);
	if (!rc) {
		rc = pb_mailbox_set_quota(mb, messages, bytes, err);
		pb_mailbox_close(mb);
	}
	return rc;
}

/* The store first, under an intent; then one batch makes it a mailbox and forgets the intent. Whatever ends in between leaves an intent without a row. */
METHOD(mailbox_create)
{
	char id[ID_LETTERS + 2];
	struct command c = { .d = self, .who = who, .params = params, .extra = id };
	struct pb_error ignored;
	int rc;

	make_id(id);
	rc = command_run(&c, step_check, err);
	if (!rc)
		rc = make_store(&c, pb_strz(id), err);
	if (!rc) {
		welcome(self, pb_strz(id), c.result);
		rc = command_run(&c, step_create, err);
	}
	if (rc)
		mailbox_settle(self, pb_strz(id), &ignored);	/* no row: removes what was made; else the next start does */
	else
		*ret_result = json_incref(c.result);
	json_decref(c.result);
	return rc;
}

/* ---- set ---- */

static int change_address(struct command *c, struct tx *tx, json_t *row, struct pb_error *err)
{
	struct pb_str wanted = pb_text_of(c->params, "new_address");
	struct name old, n;
	json_t *domain;
	int rc;

	if (!wanted.len)
		return 0;
	rc = name_parse(&old, pb_text_of(row, "address"), err);
	if (!rc)
		rc = name_parse_local(&n, wanted, false, err);
	if (rc || pb_str_eq(old.key, n.key))
		return rc;
	rc = command_domain(c, tx, n.domain, &domain, err);
	if (!rc && !pb_str_eq(pb_text_of(domain, "postoffice"), pb_text_of(row, "postoffice")))
		rc = pb_fail(err, PB_EINVALID, "'%.*s' belongs to another post office", PB_FMT(n.domain));
	if (!rc)
		rc = command_unclaim(tx, &old, err);
	if (!rc)
		rc = command_claim(c, tx, &n, entry_of(pb_text_of(row, "id")), err);
	if (rc)
		return rc;
	tx_delete(tx, list_key(tx, pb_text_of(row, "postoffice"), &old));
	tx_put(tx, list_key(tx, pb_text_of(row, "postoffice"), &n), entry_of(pb_text_of(row, "id")));
	set_text(row, "address", n.key);
	return 0;
}

static int step_set(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct pb_buf *settle = c->extra;
	bool quota = json_object_get(c->params, "quota_bytes") || json_object_get(c->params, "quota_messages");
	struct pb_str place;
	json_t *row;
	int rc = command_mailbox(c, tx, pb_text_of(c->params, "mailbox"), &row, err);

	if (!rc)
		rc = command_outranks(c, row, err);
	if (rc)
		return rc;
	place = stand_in_key(tx, row);
	rc = mailbox_take_fields(c, row, err);
	if (!rc)
		rc = change_address(c, tx, row, err);
	if (!rc)
		rc = claim_aliases(c, tx, row, err);
	if (rc)
		return rc;
	pb_buf_reset(settle);
	if (quota) {
		pb_buf_addstr(settle, pb_text_of(row, "id"));
		tx_put(tx, tx_key(tx, "i", pb_text_of(row, "id"), PB_NOSTR, PB_NOSTR), json_object());
	}
	stand_in_move(tx, place, stand_in_key(tx, row));
	tx_put(tx, tx_key(tx, "m", pb_text_of(row, "id"), PB_NOSTR, PB_NOSTR), row);
	c->result = mailbox_fields(row);
	return 0;
}

METHOD(mailbox_set)
{
	PB_AUTOBUF(settle);
	struct command c = { .d = self, .who = who, .params = params, .extra = &settle };
	int rc = command_run(&c, step_set, err);

	if (!rc && !flag_of(c.result, "enabled"))
		end_sessions(self, pb_text_of(c.result, "mailbox"));
	if (!rc && settle.len)
		rc = mailbox_settle(self, pb_buf_str(&settle), err);
	if (!rc)
		*ret_result = json_incref(c.result);
	json_decref(c.result);
	return rc;
}

/* ---- delete ---- */

static int step_delete(struct command *c, struct tx *tx, struct pb_error *err)
{
	struct pb_buf *settle = c->extra;
	struct name n;
	json_t *row, *v;
	size_t i;
	int rc = command_mailbox(c, tx, pb_text_of(c->params, "mailbox"), &row, err);

	if (!rc)
		rc = command_outranks(c, row, err);
	if (!rc)
		rc = name_parse(&n, pb_text_of(row, "address"), err);
	if (!rc)
		rc = command_unclaim(tx, &n, err);
	if (rc)
		return rc;
	tx_delete(tx, list_key(tx, pb_text_of(row, "postoffice"), &n));
	stand_in_move(tx, stand_in_key(tx, row), PB_NOSTR);
	json_array_foreach(json_object_get(row, "aliases"), i, v) {
		rc = name_parse(&n, pb_strz(json_string_value(v)), err);
		if (!rc)
			rc = command_unclaim(tx, &n, err);
		if (rc)
			return rc;
	}
	pb_buf_reset(settle);
	pb_buf_addstr(settle, pb_text_of(row, "id"));
	tx_put(tx, tx_key(tx, "i", pb_buf_str(settle), PB_NOSTR, PB_NOSTR), json_object());
	tx_delete(tx, tx_key(tx, "c", pb_buf_str(settle), PB_NOSTR, PB_NOSTR));
	tx_delete(tx, tx_key(tx, "m", pb_buf_str(settle), PB_NOSTR, PB_NOSTR));
	return 0;
}

METHOD(mailbox_delete)
{
	PB_AUTOBUF(settle);
	struct command c = { .d = self, .who = who, .params = params, .extra = &settle };
	int rc = command_run(&c, step_delete, err);

	(void)ret_result;
	if (!rc)
		end_sessions(self, pb_buf_str(&settle));
	return rc ? rc : mailbox_settle(self, pb_buf_str(&settle), err);
}

/* ---- password ---- */

static int step_password(struct command *c, struct tx *tx, struct pb_error *err)
{
	json_t *row;
	struct pb_str key;
	int rc = command_mailbox(c, tx, pb_text_of(c->params, "mailbox"), &row, err);

	if (!rc)
		rc = command_outranks(c, row, err);
	if (rc)
		return rc;
	if (c->extra) {
		key = tx_key(tx, "c", pb_text_of(row, "id"), PB_NOSTR, PB_NOSTR);
		tx_put(tx, key, json_incref(c->extra));
	}
	c->result = json_object();
	json_object_set(c->result, "address", json_object_get(row, "address"));
	json_object_set(c->result, "mailbox", json_object_get(row, "id"));
	return 0;
}

METHOD(mailbox_password)
{
	struct command c = { .d = self, .who = who, .params = params };
	json_t *credential = NULL;
	int rc = command_run(&c, step_password, err);	/* may he? before a hash is spent on it */

	if (!rc)
		rc = password_prepare(self, pb_text_of(params, "password"), &credential, err);
	if (!rc) {
		c.extra = credential;
		rc = command_run(&c, step_password, err);
	}
	json_decref(credential);
	if (!rc) {
		end_sessions(self, pb_text_of(c.result, "mailbox"));
		json_object_del(c.result, "mailbox");
		*ret_result = json_incref(c.result);
	}
	json_decref(c.result);
	return rc;
}

/* ---- show and list ---- */

static int show_usage(struct directory *d, json_t *o, struct pb_error *err)
{
	struct pb_mailbox *mb;
	uint64_t messages, bytes;
	int rc = pb_mailbox_open(d->host, pb_text_of(o, "mailbox"), &mb, err);

	if (rc)
		return rc;
	rc = pb_mailbox_usage(mb, &messages, &bytes, err);
	pb_mailbox_close(mb);
	if (rc)
		return rc;
	set_number(o, "used_messages", (json_int_t)messages);
	set_number(o, "used_bytes", (json_int_t)bytes);
	return 0;
}

static int step_show(struct command *c, struct tx *tx, struct pb_error *err)
{
	json_t *row, *credential;
	int rc = command_mailbox(c, tx, pb_text_of(c->params, "mailbox"), &row, err);

	if (!rc)
		rc = tx_get(tx, tx_key(tx, "c", pb_text_of(row, "id"), PB_NOSTR, PB_NOSTR), &credential, err);
	if (rc)
		return rc;
	c->result = mailbox_fields(row);
	json_object_set(c->result, "aliases", json_object_get(row, "aliases"));
	set_flag(c->result, "has_password", credential);
	return 0;
}

METHOD(mailbox_show)
{
	struct command c = { .d = self, .who = who, .params = params };
	int rc = command_run(&c, step_show, err);

	if (!rc)
		rc = show_usage(self, c.result, err);
	if (!rc)
		*ret_result = json_incref(c.result);
	json_decref(c.result);
	return rc;
}

static json_t *show_listed(struct command *c, struct pb_str key, const json_t *value)
{
	ROW(row);
	json_t *o;

	(void)key;
	if (row_read(c->d, 'm', pb_text_of(value, "id"), PB_NOSTR, &row, NULL) || !row->value)
		return NULL;
	o = mailbox_fields(row->value);
	json_object_del(o, "redirect");
	json_object_del(o, "redirect_keep");
	return o;
}

METHOD(mailbox_list)
{
	struct list_query q = { .name = "mailboxes", .base = 4, .show = show_listed };

	return command_list_kind(self, who, params, "m", &q, ret_result, err);
}
