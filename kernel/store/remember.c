/* SPDX-License-Identifier: GPL-3.0-or-later */
/* host_table_remember and its like: a table of hashes, each with the moment until which it counts and with whom it comes from. */
#include <stdlib.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <postbus/table.h>
#include "kernel/host.h"
#include "kernel/store/pack.h"

enum { HASH = 32, STAMP = 8, BY_MAX = 200, PAGE = 1000 };

static int hash_key(struct pb_str key, char out[HASH], struct pb_error *err)
{
	if (!key.len || gnutls_hash_fast(GNUTLS_DIG_SHA256, key.ptr, key.len, out) < 0)
		return pb_fail(err, PB_EINVALID, "what is remembered has at least one byte");
	return 0;
}

int host_table_remember(struct pb_table *t, struct pb_str key, int64_t until, struct pb_str by, struct pb_error *err)
{
	char hash[HASH], value[STAMP + BY_MAX];
	struct pb_change put = { PB_PUT, pb_str(hash, HASH), pb_str(value, STAMP + by.len) };

	if (by.len > BY_MAX)
		return pb_fail(err, PB_EINVALID, "who remembers it has at most %d bytes", BY_MAX);
	if (hash_key(key, hash, err))
		return err->code;
	pack_be64(value, (uint64_t)until);
	if (by.len)
		memcpy(value + STAMP, by.ptr, by.len);
	return host_table_apply(t, &put, 1, err);
}

bool host_table_remembers(struct pb_table *t, struct pb_str key, int64_t now, struct pb_str not_by)
{
	char hash[HASH];
	struct pb_error err;
	PB_AUTOBUF(value);

	if (hash_key(key, hash, &err) || host_table_get(t, pb_str(hash, HASH), &value, &err) || value.len < STAMP)
		return false;
	return (int64_t)unpack_be64(value.ptr) > now && (!not_by.len || !pb_str_eq(pb_str_skip(pb_buf_str(&value), STAMP), not_by));
}

struct page {
	int64_t now;
	size_t seen, n;
	char last[HASH], past[PAGE][HASH];
};

static bool note_past(void *arg, struct pb_str key, struct pb_str value)
{
	struct page *p = arg;

	p->seen++;
	if (key.len != HASH || value.len < STAMP)
		return true;
	memcpy(p->last, key.ptr, HASH);
	if ((int64_t)unpack_be64(value.ptr) <= p->now)
		memcpy(p->past[p->n++], key.ptr, HASH);
	return true;
}

static int forget_page(struct pb_table *t, const struct page *p, struct pb_error *err)
{
	struct pb_change gone[PAGE];

	for (size_t i = 0; i < p->n; i++)
		gone[i] = (struct pb_change){ PB_DELETE, pb_str(p->past[i], HASH), PB_NOSTR };
	return p->n ? host_table_apply(t, gone, p->n, err) : 0;
}

int host_table_forget(struct pb_table *t, int64_t now, struct pb_error *err)
{
	struct page *p = pb_alloc(sizeof *p);
	PB_AUTOBUF(from);
	int rc;

	p->now = now;
	do {
		p->seen = p->n = 0;
		rc = host_table_scan(t, pb_buf_str(&from), PB_NOSTR, PAGE, note_past, p, err);
		if (!rc)
			rc = forget_page(t, p, err);
		pb_buf_reset(&from);
		pb_buf_add(&from, p->last, HASH);
		pb_buf_addc(&from, '\0');
	} while (!rc && p->seen == PAGE);
	free(p);
	return rc;
}
