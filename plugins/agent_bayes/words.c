/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of words: read one by one, changed in batches. */
#include "bayes.h"

enum { HASH = 8, VALUE = 8, BATCH = 1000 };

static void put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (24 - 8 * i));
}

static uint32_t get32(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

static void word_key(struct pb_buf *key, struct pb_str office, const uint64_t *hash)
{
	pb_buf_reset(key);
	pb_buf_addstr(key, office);
	pb_buf_addc(key, '\0');
	for (int i = 0; hash && i < HASH; i++)
		pb_buf_addc(key, (char)(*hash >> (56 - 8 * i)));
}

static int read_counts(struct bayes *b, struct pb_str key, struct counts *ret, struct pb_error *err)
{
	PB_AUTOBUF(value);
	int rc = pb_table_get(b->words, key, &value, err);

	*ret = (struct counts){ 0, 0 };
	if (rc)
		return rc == PB_ENOTFOUND ? 0 : rc;
	if (value.len == VALUE)
		*ret = (struct counts){ get32(value.ptr), get32(value.ptr + 4) };
	return 0;
}

int words_totals(struct bayes *b, struct pb_str office, struct counts *ret, struct pb_error *err)
{
	PB_AUTOBUF(key);

	word_key(&key, office, NULL);
	return read_counts(b, pb_buf_str(&key), ret, err);
}

int words_read(struct bayes *b, struct pb_str office, const uint64_t *hashes, size_t n, struct counts *ret, struct counts *ret_all, struct pb_error *err)
{
	PB_AUTOBUF(key);
	int rc = words_totals(b, office, ret_all, err);

	for (size_t i = 0; i < n && !rc; i++) {
		word_key(&key, office, &hashes[i]);
		rc = read_counts(b, pb_buf_str(&key), &ret[i], err);
	}
	return rc;
}

static uint32_t moved(uint32_t n, int by)
{
	return by < 0 ? n - (n > 0) : by > 0 && n < UINT32_MAX ? n + 1 : n;
}

static int change_some(struct bayes *b, struct pb_str office, const uint64_t *hashes, size_t n, int spam, int ham, struct pb_error *err)
{
	struct pb_arena *arena = pb_arena_new();
	struct pb_change *changes = pb_arena_alloc(arena, (n + 1) * sizeof *changes);
	PB_AUTOBUF(key);
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		char *value = pb_arena_alloc(arena, VALUE);
		struct counts c;

		word_key(&key, office, hashes ? &hashes[i] : NULL);
		rc = read_counts(b, pb_buf_str(&key), &c, err);
		c = (struct counts){ moved(c.spam, spam), moved(c.ham, ham) };
		put32(value, c.spam);
		put32(value + 4, c.ham);
		changes[i] = (struct pb_change){ c.spam || c.ham ? PB_PUT : PB_DELETE, pb_arena_str(arena, pb_buf_str(&key)), pb_str(value, VALUE) };
	}
	if (!rc && n)
		rc = pb_table_apply(b->words, changes, n, err);
	pb_arena_free(arena);
	return rc;
}

int words_change(struct bayes *b, struct pb_str office, const uint64_t *hashes, size_t n, int spam, int ham, struct pb_error *err)
{
	int rc = 0;

	for (size_t at = 0; at < n && !rc; at += BATCH)
		rc = change_some(b, office, hashes + at, n - at < BATCH ? n - at : BATCH, spam, ham, err);
	return rc ? rc : change_some(b, office, NULL, 1, spam, ham, err);
}

/* ---- forgetting ---- */

static int forget_in(struct pb_table *t, struct pb_str office, struct pb_error *err)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);

	word_key(&from, office, NULL);
	pb_buf_addstr(&to, office);
	pb_buf_addc(&to, '\1');
	return pb_table_clear(t, pb_buf_str(&from), pb_buf_str(&to), err);
}

int words_forget(struct bayes *b, struct pb_str office, struct pb_error *err)
{
	int rc = forget_in(b->words, office, err);

	return rc ? rc : forget_in(b->learnt, office, err);
}
