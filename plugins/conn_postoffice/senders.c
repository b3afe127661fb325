/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Senders that have no room in a rewritten address (srs.h): a table of handle to "<moment> <sender>". A row is written anew once a day at most, and stays for
 * longer than the addresses that name it are good.
 */
#include <stdio.h>
#include "postoffice.h"

#define DAY (86400 * PB_SECOND)

enum { KEPT_DAYS = 24, AT_ONCE = 1000 };

/* Gives the moment, and what is behind it. */
static int64_t row_of(struct pb_str value, struct pb_str *ret_sender)
{
	struct pb_str moment;
	uint64_t when = 0;

	*ret_sender = value;
	pb_str_cut(ret_sender, ' ', &moment);
	pb_str_u64(moment, INT64_MAX, &when);
	return (int64_t)when;
}

static int keep(struct postoffice *po, struct pb_str handle, struct pb_str sender, struct pb_error *err)
{
	int64_t now = pb_now(po->host);
	struct pb_change change = { .kind = PB_PUT, .key = handle };
	struct pb_str kept;
	PB_AUTOBUF(value);
	int rc = pb_table_get(po->senders, handle, &value, err);

	if (rc && rc != PB_ENOTFOUND)
		return rc;
	if (!rc && row_of(pb_buf_str(&value), &kept) > now - DAY && pb_str_eq(kept, sender))
		return 0;
	pb_buf_reset(&value);
	pb_buf_addf(&value, "%lld %.*s", (long long)now, PB_FMT(sender));
	change.value = pb_buf_str(&value);
	return pb_table_apply(po->senders, &change, 1, err);
}

int sender_rewrite(struct postoffice *po, struct pb_str sender, struct pb_str domain, struct pb_buf *out, struct pb_error *err)
{
	char handle[SRS_HANDLE];
	int rc;

	srs_encode(out, sender, domain, po->secret, pb_now(po->host));
	if (srs_fits(pb_buf_str(out)))
		return 0;
	srs_handle(handle, sender, po->secret);
	rc = keep(po, pb_str(handle, SRS_HANDLE), sender, err);
	pb_buf_reset(out);
	if (!rc)
		srs_encode_handle(out, pb_str(handle, SRS_HANDLE), domain, po->secret, pb_now(po->host));
	return rc;
}

int sender_decode(struct postoffice *po, struct pb_str local, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str sender;
	PB_AUTOBUF(value);
	int rc = srs_decode(out, local, po->secret, pb_now(po->host), err);

	if (rc || pb_str_find(pb_buf_str(out), '@', 0) >= 0)
		return rc;
	rc = pb_table_get(po->senders, pb_buf_str(out), &value, err);
	if (rc == PB_ENOTFOUND)
		return pb_fail(err, PB_ETIMEOUT, "the sender that the rewritten address stands for is kept no more");
	row_of(pb_buf_str(&value), &sender);
	pb_buf_reset(out);
	pb_buf_addstr(out, sender);
	return rc;
}

struct old {
	int64_t before;
	struct pb_change changes[AT_ONCE];
	size_t n;
	char keys[AT_ONCE][SRS_HANDLE];
};

static bool look_for_old(void *arg, struct pb_str key, struct pb_str value)
{
	struct old *old = arg;
	struct pb_str sender;

	if (key.len == SRS_HANDLE && row_of(value, &sender) < old->before) {
		memcpy(old->keys[old->n], key.ptr, SRS_HANDLE);
		old->changes[old->n] = (struct pb_change){ .kind = PB_DELETE, .key = pb_str(old->keys[old->n], SRS_HANDLE) };
		old->n++;
	}
	return old->n < AT_ONCE;
}

void senders_forget(struct postoffice *po)
{
	struct old *old = pb_alloc(sizeof *old);

	old->before = pb_now(po->host) - KEPT_DAYS * DAY;
	if (pb_table_scan(po->senders, PB_NOSTR, PB_NOSTR, AT_ONCE, look_for_old, old, NULL) == 0 && old->n)
		pb_table_apply(po->senders, old->changes, old->n, NULL);
	free(old);
}
