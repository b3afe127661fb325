/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which messages of a remote mailbox are known. Ids are kept as hashes, many in one row: what a flush makes durable is one row, however many messages it is
 * about, and 100,000 ids are 2.6 MB that a run reads once. Later rows stand for earlier ones; what is over goes when the rows are written anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <gnutls/crypto.h>
#include "popretr.h"

/* An entry's state tells with two bits what else it has: a token that is not its id, and a hash of the text. */
enum { ENTRY = UID_HASH + HEAD_HASH + 4 + 2, HAS_TOKEN = 0x80, HAS_TEXT = 0x40, ROW_ENTRIES = 1000, WASTE = 2000, DELETES = 500 };
enum { PENDING_LIFE = 30 * 86400 };	/* seconds: so long what was on its way is waited for under another id */

void hash_text(struct pb_str text, unsigned char *out, size_t len)
{
	unsigned char all[32] = { 0 };

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text.ptr ? text.ptr : "", text.len, all) < 0)
		pb_random(all, sizeof all);	/* then nothing is taken for known */
	memcpy(out, all, len);
}

/* ---- rows ---- */

static void entry_put(struct pb_buf *out, const struct seen_entry *e)
{
	bool token = memcmp(e->token, e->uid, UID_HASH) != 0, text = e->state == SEEN_PENDING;
	const unsigned char tail[6] = { (unsigned char)(e->time >> 24), (unsigned char)(e->time >> 16), (unsigned char)(e->time >> 8), (unsigned char)e->time,
		(unsigned char)(e->state | (token ? HAS_TOKEN : 0) | (text ? HAS_TEXT : 0)), e->attempts };

	pb_buf_add(out, e->uid, UID_HASH);
	pb_buf_add(out, e->head, HEAD_HASH);
	pb_buf_add(out, tail, sizeof tail);
	if (token)
		pb_buf_add(out, e->token, UID_HASH);
	if (text)
		pb_buf_add(out, e->text, HEAD_HASH);
}

/* Its bytes; 0: there are none, or not enough. */
static size_t entry_get(struct seen_entry *e, struct pb_str row)
{
	const unsigned char *p = (const unsigned char *)row.ptr;
	size_t len = ENTRY, token, text;

	memset(e, 0, sizeof *e);
	if (row.len < ENTRY)
		return 0;
	token = p[ENTRY - 2] & HAS_TOKEN ? UID_HASH : 0;
	text = p[ENTRY - 2] & HAS_TEXT ? HEAD_HASH : 0;
	if (row.len < len + token + text)
		return 0;
	memcpy(e->uid, p, UID_HASH);
	memcpy(e->head, p + UID_HASH, HEAD_HASH);
	p += UID_HASH + HEAD_HASH;
	e->time = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	e->state = p[4] & (HAS_TEXT - 1);
	e->attempts = p[5];
	memcpy(e->token, token ? p + 6 : e->uid, UID_HASH);
	memcpy(e->text, p + 6 + token, text);
	return len + token + text;
}

static size_t key_of(char *out, const char *serial, uint32_t number)
{
	return (size_t)snprintf(out, SERIAL_LEN + 12, "%s/%08x", serial, number);
}

/* ---- memory ---- */

static size_t slot_of(const struct seen *s, const unsigned char *uid)
{
	size_t at;

	memcpy(&at, uid, sizeof at);	/* a hash already */
	for (at &= s->nslots - 1; s->slots[at]; at = (at + 1) & (s->nslots - 1))
		if (memcmp(s->list[s->slots[at] - 1].uid, uid, UID_HASH) == 0)
			break;
	return at;
}

struct seen_entry *seen_find(const struct seen *s, const unsigned char *uid)
{
	size_t at;

	if (!s->nslots)
		return NULL;
	at = slot_of(s, uid);
	return s->slots[at] && s->list[s->slots[at] - 1].state != SEEN_OVER ? &s->list[s->slots[at] - 1] : NULL;
}

void seen_name(struct seen_entry *e, const unsigned char *uid)
{
	memcpy(e->uid, uid, UID_HASH);
	memcpy(e->token, uid, UID_HASH);
}

static void grow(struct seen *s)
{
	free(s->slots);
	s->nslots = s->nslots ? s->nslots * 2 : 1024;
	s->slots = pb_alloc(s->nslots * sizeof *s->slots);
	for (size_t i = 0; i < s->n; i++)
		s->slots[slot_of(s, s->list[i].uid)] = (uint32_t)i + 1;
}

static void remember(struct seen *s, const struct seen_entry *e)
{
	size_t at;

	if (s->n * 2 >= s->nslots)
		grow(s);
	at = slot_of(s, e->uid);
	if (s->slots[at]) {
		bool listed = s->list[s->slots[at] - 1].listed;

		s->list[s->slots[at] - 1] = *e;
		s->list[s->slots[at] - 1].listed |= listed;
		return;
	}
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 512;
		s->list = pb_realloc(s->list, s->room * sizeof *s->list);
	}
	s->list[s->n++] = *e;
	s->slots[at] = (uint32_t)s->n;
}

/* ---- the table ---- */

struct loading {
	struct seen *s;
	char last[SERIAL_LEN + 12];
	size_t n;
};

static bool load_row(void *arg, struct pb_str key, struct pb_str value)
{
	struct loading *l = arg;
	struct seen_entry e;
	char z[9] = "";

	if (key.len != SERIAL_LEN + 9)
		return true;
	memcpy(l->last, key.ptr, key.len);
	memcpy(z, key.ptr + SERIAL_LEN + 1, 8);
	l->s->next_row = (uint32_t)strtoul(z, NULL, 16) + 1;
	if (!l->s->rows++)
		l->s->first_row = l->s->next_row - 1;
	l->n++;
	for (size_t len; (len = entry_get(&e, value)) > 0; value = pb_str_skip(value, len)) {
		remember(l->s, &e);
		l->s->stored++;
	}
	return true;
}

int seen_load(struct retr *r, const char *serial, struct seen *ret, struct pb_error *err)
{
	char to[SERIAL_LEN + 2];
	struct loading l = { .s = ret };
	size_t len;
	int rc;

	*ret = (struct seen){ .r = r, .serial = serial };
	len = (size_t)snprintf(l.last, sizeof l.last, "%s/", serial);
	snprintf(to, sizeof to, "%s0", serial);		/* '0' comes behind '/' */
	do {
		l.n = 0;
		rc = pb_table_scan(r->ids_table, pb_str(l.last, len), pb_strz(to), 200, load_row, &l, err);
		len = SERIAL_LEN + 10;			/* the last key and a NUL */
		l.last[SERIAL_LEN + 9] = '\0';
	} while (!rc && l.n == 200);
	if (rc)
		seen_free(ret);
	return rc;
}

void seen_free(struct seen *s)
{
	free(s->list);
	free(s->slots);
	*s = (struct seen){ 0 };
}

/* Rows for a list, one after the other, and what goes away in the same change. */
static int write_rows(struct seen *s, const struct seen_entry *list, size_t n, const struct pb_change *more, size_t nmore, struct pb_error *err)
{
	size_t rows = (n + ROW_ENTRIES - 1) / ROW_ENTRIES;
	struct pb_change *changes = pb_alloc((rows + nmore + 1) * sizeof *changes);
	struct pb_buf *values = pb_alloc((rows + 1) * sizeof *values);
	char (*keys)[SERIAL_LEN + 12] = pb_alloc((rows + 1) * sizeof *keys);
	int rc;

	for (size_t i = 0; i < rows; i++) {
		for (size_t k = i * ROW_ENTRIES; k < n && k < (i + 1) * ROW_ENTRIES; k++)
			entry_put(&values[i], &list[k]);
		changes[i] = (struct pb_change){ .kind = PB_PUT, .key = pb_str(keys[i], key_of(keys[i], s->serial, s->next_row + (uint32_t)i)),
						 .value = pb_buf_str(&values[i]) };
	}
	if (nmore)
		memcpy(changes + rows, more, nmore * sizeof *more);
	rc = rows + nmore ? pb_table_apply(s->r->ids_table, changes, rows + nmore, err) : 0;
	if (!rc) {
		s->next_row += (uint32_t)rows;
		s->rows += rows;
		s->stored += n;
	}
	for (size_t i = 0; i < rows; i++)
		pb_buf_free(&values[i]);
	free(values);
	free(keys);
	free(changes);
	return rc;
}

int seen_add(struct seen *s, const struct seen_entry *list, size_t n, struct pb_error *err)
{
	int rc = n ? write_rows(s, list, n, NULL, 0, err) : 0;

	for (size_t i = 0; i < n && !rc; i++)
		remember(s, &list[i]);
	return rc;
}

/* Away with the rows before a number. */
static int drop_rows(struct retr *r, const char *serial, uint32_t from, uint32_t to, struct pb_error *err)
{
	struct pb_change changes[DELETES];
	char keys[DELETES][SERIAL_LEN + 12];
	int rc = 0;

	while (from < to && !rc) {
		size_t n = 0;

		for (; from < to && n < DELETES; n++, from++)
			changes[n] = (struct pb_change){ .kind = PB_DELETE, .key = pb_str(keys[n], key_of(keys[n], serial, from)) };
		rc = pb_table_apply(r->ids_table, changes, n, err);
	}
	return rc;
}

/* What was on its way when a run ended or the daemon was killed may come again in a later session, under another id. */
static bool is_kept(const struct seen *s, const struct seen_entry *e)
{
	if (e->state == SEEN_OVER)
		return false;
	return e->listed || (e->state == SEEN_PENDING && pb_now(s->r->host) / PB_SECOND < (int64_t)e->time + PENDING_LIFE);
}

/* New rows come first and the old ones go behind them: cut off in between, both stand, which says the same. */
int seen_compact(struct seen *s, struct pb_error *err)
{
	uint32_t before = s->next_row, first = s->first_row;
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < s->n; i++)
		n += is_kept(s, &s->list[i]);
	if (s->stored <= 2 * n + WASTE && s->rows <= n / 100 + 200)
		return 0;
	n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (is_kept(s, &s->list[i]))
			s->list[n++] = s->list[i];
	s->n = n;
	s->nslots = s->nslots / 2;
	grow(s);
	rc = write_rows(s, s->list, n, NULL, 0, err);
	if (!rc)
		rc = drop_rows(s->r, s->serial, first, before, err);
	if (!rc) {
		s->first_row = before;
		s->rows = s->next_row - before;
		s->stored = n;
	}
	return rc;
}

int seen_drop(struct retr *r, const char *serial, struct pb_error *err)
{
	char from[SERIAL_LEN + 2], to[SERIAL_LEN + 2];

	snprintf(from, sizeof from, "%s/", serial);
	snprintf(to, sizeof to, "%s0", serial);
	return pb_table_clear(r->ids_table, pb_strz(from), pb_strz(to), err);
}
