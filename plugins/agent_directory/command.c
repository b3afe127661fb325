/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the commands have in common: who may touch what, claiming addresses, pages of lists.
 * Each noun's own rules stand in cmd_<noun>.c.
 */
#include <stdlib.h>
#include "directory.h"

int command_do(void *self, const struct pb_caller *who, const json_t *params, int (*step)(struct command *c, struct tx *tx, struct pb_error *err),
	       json_t **ret_result, struct pb_error *err)
{
	struct command c = { .d = self, .who = who, .params = params };
	int rc = command_run(&c, step, err);

	*ret_result = c.result;
	return rc;
}

int command_ask(struct directory *d, const char *point, const json_t *facts, const char *what, struct pb_error *err)
{
	struct pb_question q = { .point = point, .facts = facts };
	struct pb_verdict v = PB_VERDICT;
	int rc = 0;

	pb_ask(d->host, &q, &v);
	if (v.decision != PB_CONTINUE && v.decision != PB_ACCEPT)
		rc = pb_fail(err, PB_EBUSY, "%s does not let %s go: %s", v.plugin, what, v.text[0] ? v.text : "it could not forget what it keeps for it");
	pb_verdict_clear(&v);
	return rc;
}

bool command_may(const struct command *c, struct pb_str postoffice)
{
	if (c->who->role == PB_ROLE_SYSTEM)
		return true;
	return c->who->role == PB_ROLE_ADMIN && c->who->postoffice.len && pb_str_eq(c->who->postoffice, postoffice);
}

int command_outranks(const struct command *c, const json_t *mailbox, struct pb_error *err)
{
	if (c->who->role == PB_ROLE_ADMIN && pb_str_eq(pb_text_of(mailbox, "role"), PB_STR("system")))
		return pb_fail(err, PB_EDENIED, "'%.*s' is a system administrator's mailbox", PB_FMT(pb_text_of(mailbox, "address")));
	return 0;
}

int command_domain(struct command *c, struct tx *tx, struct pb_str domain, json_t **ret, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	json_t *row;
	int rc = name_domain(&ascii, domain, err);

	if (!rc)
		rc = tx_get(tx, tx_key(tx, "d", pb_buf_str(&ascii), PB_NOSTR, PB_NOSTR), &row, err);
	if (rc)
		return rc;
	if (!row || !command_may(c, pb_text_of(row, "postoffice")))
		return pb_fail(err, PB_ENOTFOUND, "no domain '%.*s'", PB_FMT(pb_str_head(domain, 80)));
	*ret = row;
	return 0;
}

/* The id behind an address of this kind, through alias domains; PB_ENOTFOUND. */
static int address_id(struct tx *tx, struct pb_str address, const char *kind, struct pb_str *ret_id, struct pb_error *err)
{
	struct name n;
	json_t *row;
	struct pb_str domain;
	int rc = name_parse(&n, address, err);

	if (!rc)
		rc = tx_get(tx, tx_key(tx, "d", n.domain, PB_NOSTR, PB_NOSTR), &row, err);
	if (rc)
		return rc;
	domain = row && pb_text_of(row, "alias_of").len ? pb_text_of(row, "alias_of") : n.domain;
	rc = tx_get(tx, tx_key(tx, "a", domain, n.local, PB_NOSTR), &row, err);
	if (rc)
		return rc;
	if (!row || !pb_str_eq(pb_text_of(row, "kind"), pb_strz(kind)))
		return pb_fail(err, PB_ENOTFOUND, "no %s '%.*s'", kind, PB_FMT(pb_str_head(address, 80)));
	*ret_id = pb_text_of(row, "id");
	return 0;
}

int command_mailbox(struct command *c, struct tx *tx, struct pb_str which, json_t **ret, struct pb_error *err)
{
	struct pb_str id = which;
	json_t *row;
	bool may;
	int rc = pb_str_find(which, '@', 0) < 0 ? 0 : address_id(tx, which, "mailbox", &id, err);

	if (!rc)
		rc = tx_get(tx, tx_key(tx, "m", id, PB_NOSTR, PB_NOSTR), &row, err);
	if (rc)
		return rc;
	may = row && (command_may(c, pb_text_of(row, "postoffice")) ||
		      (c->who->role == PB_ROLE_USER && c->who->mailbox.len && pb_str_eq(c->who->mailbox, pb_text_of(row, "id"))));
	if (!may)
		return pb_fail(err, PB_ENOTFOUND, "no mailbox '%.*s'", PB_FMT(pb_str_head(which, 80)));
	*ret = row;
	return 0;
}

int command_group(struct command *c, struct tx *tx, struct pb_str which, json_t **ret, struct pb_error *err)
{
	struct pb_str id = which;
	json_t *row;
	int rc = pb_str_find(which, '@', 0) < 0 ? 0 : address_id(tx, which, "group", &id, err);

	if (!rc)
		rc = tx_get(tx, tx_key(tx, "g", id, PB_NOSTR, PB_NOSTR), &row, err);
	if (rc)
		return rc;
	if (!row || !command_may(c, pb_text_of(row, "postoffice")))
		return pb_fail(err, PB_ENOTFOUND, "no group '%.*s'", PB_FMT(pb_str_head(which, 80)));
	*ret = row;
	return 0;
}

/* A domain's row changes with each address, so that nobody deletes the domain while an address is added to it. */
static int touch_domain(struct tx *tx, struct pb_str domain, struct pb_error *err)
{
	struct pb_str key = tx_key(tx, "d", domain, PB_NOSTR, PB_NOSTR);
	json_t *row;
	int rc = tx_get(tx, key, &row, err);

	if (rc || !row)
		return rc;
	set_number(row, "rev", number_of(row, "rev") + 1);
	tx_put(tx, key, row);
	return 0;
}

int command_claim(struct command *c, struct tx *tx, const struct name *n, json_t *entry, struct pb_error *err)
{
	struct pb_str key = tx_key(tx, "a", n->domain, n->local, PB_NOSTR);
	json_t *domain, *taken;
	int rc = command_domain(c, tx, n->domain, &domain, err);

	if (!rc && pb_text_of(domain, "alias_of").len)
		rc = pb_fail(err, PB_EINVALID, "the domain '%.*s' is an alias of '%.*s', which has all its addresses", PB_FMT(n->domain), PB_FMT(pb_text_of(domain, "alias_of")));
	if (!rc)
		rc = tx_get(tx, key, &taken, err);
	if (!rc && taken)
		rc = pb_fail(err, PB_EEXISTS, "the address '%.*s' belongs to a %s already", PB_FMT(n->key),
			     pb_str_eq(pb_text_of(taken, "kind"), PB_STR("map")) ? "map entry" : json_string_value(json_object_get(taken, "kind")));
	if (!rc)
		rc = touch_domain(tx, n->domain, err);
	if (rc) {
		json_decref(entry);
		return rc;
	}
	tx_put(tx, key, entry);
	return 0;
}

int command_unclaim(struct tx *tx, const struct name *n, struct pb_error *err)
{
	int rc = touch_domain(tx, n->domain, err);

	if (!rc)
		tx_delete(tx, tx_key(tx, "a", n->domain, n->local, PB_NOSTR));
	return rc;
}

/* ---- lists ---- */

static bool count_offices(void *arg, struct pb_str key, struct pb_str value)
{
	struct pb_buf *only = arg;

	(void)value;
	if (only->len)		/* a second one: none is meant by itself */
		pb_buf_reset(only);
	else
		pb_buf_addstr(only, pb_str_skip(key, 2));
	return only->len != 0;
}

int command_office(struct command *c, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str given = pb_text_of(c->params, "postoffice");
	ROW(office);
	int rc;

	if (given.len) {
		rc = name_office(out, given, true, err);
	} else if (c->who->role != PB_ROLE_SYSTEM) {
		pb_buf_addstr(out, c->who->postoffice);
		rc = 0;
	} else {
		rc = pb_table_scan(c->d->table, PB_STR("p/"), PB_STR("p0"), 2, count_offices, out, err);
		if (!rc && !out->len)
			rc = pb_fail(err, PB_EINVALID, "say which post office: there is not exactly one");
	}
	if (!rc)
		rc = row_read(c->d, 'p', pb_buf_str(out), PB_NOSTR, &office, err);
	if (!rc && (!office->value || !command_may(c, pb_buf_str(out))))
		rc = pb_fail(err, PB_ENOTFOUND, "no post office '%.*s'", PB_FMT(given.len ? pb_str_head(given, 80) : pb_buf_str(out)));
	return rc;
}

int command_prefix(struct command *c, const char *kind, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str domain = pb_text_of(c->params, "domain");
	PB_AUTOBUF(office);
	PB_AUTOBUF(ascii);
	ROW(row);
	int rc = 0;

	if (domain.len) {
		rc = name_domain(&ascii, domain, err);
		if (!rc)
			rc = row_read(c->d, 'd', pb_buf_str(&ascii), PB_NOSTR, &row, err);
		if (!rc && (!row->value || !command_may(c, pb_text_of(row->value, "postoffice"))))
			rc = pb_fail(err, PB_ENOTFOUND, "no domain '%.*s'", PB_FMT(pb_str_head(domain, 80)));
		if (!rc)
			pb_buf_addstr(&office, pb_text_of(row->value, "postoffice"));
	} else if (pb_text_of(c->params, "postoffice").len || c->who->role != PB_ROLE_SYSTEM) {
		rc = command_office(c, &office, err);
	}
	if (rc)
		return rc;
	pb_buf_addf(out, "l/%s/", kind);
	if (office.len)
		pb_buf_addf(out, "%s/", pb_buf_z(&office));
	if (ascii.len)
		pb_buf_addf(out, "%s/", pb_buf_z(&ascii));
	return 0;
}

struct page {
	struct pb_arena *arena;
	struct { struct pb_str key, value; } *rows;
	size_t n;
};

static bool keep_row(void *arg, struct pb_str key, struct pb_str value)
{
	struct page *page = arg;

	page->rows[page->n].key = pb_arena_str(page->arena, key);
	page->rows[page->n++].value = pb_arena_str(page->arena, value);
	return true;
}

static void show_page(struct command *c, const struct list_query *q, struct page *page, size_t limit)
{
	json_t *list = json_array();

	c->result = json_object();
	json_object_set_new(c->result, q->name, list);
	for (size_t i = 0; i < page->n && i < limit; i++) {
		json_t *value = json_loadb(page->rows[i].value.ptr, page->rows[i].value.len, 0, NULL), *shown = value ? q->show(c, page->rows[i].key, value) : NULL;

		if (shown)
			json_array_append_new(list, shown);
		json_decref(value);
	}
	if (page->n > limit)
		set_text(c->result, "next", pb_str_skip(page->rows[limit - 1].key, q->base));
}

int command_list(struct command *c, const struct list_query *q, struct pb_error *err)
{
	struct pb_str after = pb_text_of(c->params, "after");
	size_t limit = (size_t)number_of(c->params, "limit");
	struct page page = { .arena = pb_arena_new() };
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);
	int rc;

	if (limit < 1 || limit > 999)
		limit = 999;
	pb_buf_addstr(&from, pb_str_head(q->prefix, q->base));
	pb_buf_addstr(&from, pb_str_head(after, 500));
	pb_buf_addc(&from, 0);
	if (!after.len || !pb_str_starts(pb_buf_str(&from), q->prefix)) {
		pb_buf_reset(&from);
		pb_buf_addstr(&from, q->prefix);
	}
	pb_buf_addstr(&to, q->prefix);
	to.ptr[to.len - 1]++;		/* the slash */
	page.rows = pb_arena_alloc(page.arena, (limit + 1) * sizeof *page.rows);
	rc = pb_table_scan(c->d->table, pb_buf_str(&from), pb_buf_str(&to), limit + 1, keep_row, &page, err);
	if (!rc)
		show_page(c, q, &page, limit);
	pb_arena_free(page.arena);
	return rc;
}

int command_list_kind(void *self, const struct pb_caller *who, const json_t *params, const char *kind, struct list_query *q, json_t **ret_result, struct pb_error *err)
{
	struct command c = { .d = self, .who = who, .params = params };
	PB_AUTOBUF(prefix);
	int rc = command_prefix(&c, kind, &prefix, err);

	q->prefix = pb_buf_str(&prefix);
	if (!rc)
		rc = command_list(&c, q, err);
	if (!rc)
		*ret_result = c.result;
	return rc;
}
