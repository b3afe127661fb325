/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Accounts: their rows in two tables, and what of them stands in memory. What the fields mean is for others. */
#include <stdlib.h>
#include "popretr.h"

static void account_free(struct account *a)
{
	json_decref(a->row);
	json_decref(a->state);
	free(a);
}

struct account *account_find(struct retr *r, struct pb_str id)
{
	size_t from = 0, to = r->n;

	while (from < to) {
		size_t mid = (from + to) / 2;
		int order = pb_str_cmp(pb_strz(r->list[mid]->id), id);

		if (!order)
			return r->list[mid];
		if (order < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

/* With the lock held. */
static void insert(struct retr *r, struct account *a)
{
	size_t at = r->n;

	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 64;
		r->list = pb_realloc(r->list, r->room * sizeof *r->list);
	}
	for (; at && strcmp(r->list[at - 1]->id, a->id) > 0; at--)
		r->list[at] = r->list[at - 1];
	r->list[at] = a;
	r->n++;
}

/* Steals both. */
static struct account *account_new(struct pb_str id, json_t *row, json_t *state)
{
	struct account *a = pb_alloc(sizeof *a);
	struct pb_str serial = pb_text_of(row, "serial");

	memcpy(a->id, id.ptr, id.len > ID_MAX ? ID_MAX : id.len);
	memcpy(a->serial, serial.ptr, serial.len > SERIAL_LEN ? SERIAL_LEN : serial.len);
	a->row = row;
	a->state = state;
	a->refs = 1;
	return a;
}

/* ---- the tables ---- */

static int put_row(struct pb_table *t, struct pb_str id, const json_t *row, bool fresh, struct pb_error *err)
{
	char *text = json_dumps(row, JSON_COMPACT);
	struct pb_change changes[2] = { { .kind = PB_PUT, .key = id, .value = pb_strz(text) }, { .kind = PB_ABSENT, .key = id } };
	int rc;

	if (!text)
		return pb_fail(err, PB_EINVALID, "the account is no JSON");
	rc = pb_table_apply(t, changes, fresh ? 2 : 1, err);
	free(text);
	return rc;
}

struct loading {
	struct retr *r;
	char last[ID_MAX + 1];
	size_t n;
};

static bool load_account(void *arg, struct pb_str key, struct pb_str value)
{
	struct loading *l = arg;
	json_t *row = json_loadb(value.ptr, value.len, 0, NULL);

	l->n++;
	if (!row || key.len > ID_MAX) {
		pb_log(l->r->host, PB_ERROR, "retrieve.damaged", "account=%s", pb_logq(key));
		json_decref(row);
		return true;
	}
	memcpy(l->last, key.ptr, key.len);
	l->last[key.len] = '\0';
	insert(l->r, account_new(key, row, json_object()));
	return true;
}

int accounts_load(struct retr *r, struct pb_error *err)
{
	struct loading l = { .r = r };
	size_t len = 0;
	int rc;

	do {
		l.n = 0;
		rc = pb_table_scan(r->accounts_table, pb_str(l.last, len), PB_NOSTR, 500, load_account, &l, err);
		len = strlen(l.last) + 1;
	} while (!rc && l.n == 500);
	for (size_t i = 0; i < r->n && !rc; i++) {
		struct account *a = r->list[i];
		PB_AUTOBUF(value);
		json_t *state;

		if (pb_table_get(r->state_table, pb_strz(a->id), &value, NULL))
			continue;
		state = json_loadb(value.ptr, value.len, 0, NULL);
		if (!state)
			continue;
		json_decref(a->state);
		a->state = state;
	}
	for (size_t i = 0; i < r->n && !rc; i++)
		r->list[i]->due = number_of_key(r->list[i]->state, "next");
	return rc;
}

void accounts_free(struct retr *r)
{
	for (size_t i = 0; i < r->n; i++)
		account_free(r->list[i]);
	free(r->list);
}

int account_add(struct retr *r, json_t *row, struct pb_error *err)
{
	struct pb_str id = pb_text_of(row, "id");
	int rc = put_row(r->accounts_table, id, row, true, err);

	if (rc) {
		if (rc == PB_ECONFLICT)
			rc = pb_fail(err, PB_EEXISTS, "there is an account '%.*s' already", PB_FMT(id));
		json_decref(row);
		return rc;
	}
	pthread_mutex_lock(&r->lock);
	insert(r, account_new(id, row, json_object()));
	pthread_mutex_unlock(&r->lock);
	return 0;
}

int account_change(struct retr *r, struct account *a, json_t *row, struct pb_error *err)
{
	int rc = put_row(r->accounts_table, pb_strz(a->id), row, false, err);

	if (rc) {
		json_decref(row);
		return rc;
	}
	pthread_mutex_lock(&r->lock);
	json_decref(a->row);
	a->row = row;
	pthread_mutex_unlock(&r->lock);
	return 0;
}

/* The account goes first: what is left of it by a crash names a serial that nobody has. */
int account_delete(struct retr *r, struct pb_str id, struct pb_error *err)
{
	struct pb_change gone = { .kind = PB_DELETE, .key = id };
	struct account *a;
	int rc;

	pthread_mutex_lock(&r->lock);
	a = account_find(r, id);
	if (a)
		a->refs++;
	pthread_mutex_unlock(&r->lock);
	if (!a)
		return pb_fail(err, PB_ENOTFOUND, "no account '%.*s'", PB_FMT(id));
	rc = pb_table_apply(r->accounts_table, &gone, 1, err);
	if (!rc)
		rc = pb_table_apply(r->state_table, &gone, 1, err);
	if (!rc)
		rc = seen_drop(r, a->serial, err);
	if (!rc)
		rc = failed_drop(r, a->serial, err);
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n && !rc; i++) {
		if (r->list[i] != a)
			continue;
		memmove(&r->list[i], &r->list[i + 1], (r->n - i - 1) * sizeof *r->list);
		r->n--;
		a->deleted = true;
		a->refs--;
		break;
	}
	pthread_mutex_unlock(&r->lock);
	account_put(r, a);
	return rc;
}

void account_put(struct retr *r, struct account *a)
{
	bool last;

	pthread_mutex_lock(&r->lock);
	last = --a->refs == 0;
	pthread_mutex_unlock(&r->lock);
	if (last)
		account_free(a);
}

void account_copy(struct retr *r, struct account *a, json_t **ret_row, json_t **ret_state)
{
	pthread_mutex_lock(&r->lock);
	*ret_row = json_deep_copy(a->row);
	*ret_state = json_deep_copy(a->state);
	pthread_mutex_unlock(&r->lock);
}

void account_state(struct retr *r, struct account *a, json_t *delta)
{
	struct pb_error err = { 0 };
	json_t *state;
	bool deleted;

	pthread_mutex_lock(&r->lock);
	state = json_deep_copy(a->state);
	json_object_update(state, delta);
	json_decref(a->state);
	a->state = state;
	state = json_deep_copy(state);
	deleted = a->deleted;
	pthread_mutex_unlock(&r->lock);
	if (!deleted && put_row(r->state_table, pb_strz(a->id), state, false, &err))
		pb_log(r->host, PB_WARNING, "retrieve.unwritten", "account=%s error=%s", a->id, pb_logq(pb_strz(err.text)));
	json_decref(state);
	json_decref(delta);
}
