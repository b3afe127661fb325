/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What may go from the server: messages that are known durably, of which nothing is in our queue any more, and that did not fail on their way from there. So a
 * message is removed once somebody has it, and not when we have it.
 */
#include <stdlib.h>
#include <time.h>
#include "fetch.h"

enum { SOME = 500, PAUSE_MS = 20 };

void token_id(struct fetch *f, const unsigned char *name, unsigned attempt, char *ret_id)
{
	struct pb_spool *spool = pb_spool_begin(f->run->r->host, 0, NULL);
	PB_AUTOBUF(token);

	token_of(f, name, attempt, &token);
	ret_id[0] = '\0';
	if (!spool)
		return;
	pb_spool_name(spool, pb_buf_str(&token));
	memcpy(ret_id, pb_spool_id(spool), PB_ID_MAX);
	pb_spool_discard(spool);
}

struct candidate {
	const struct mail *mail;
	unsigned char token[UID_HASH];
	char id[PB_ID_MAX];
	bool pending, failed;
};

static bool is_due(const struct fetch *f, const struct seen_entry *e)
{
	struct pb_str leave = pb_text_of(f->run->row, "leave");

	if (!e || e->state != SEEN_TAKEN || pb_str_eq(leave, PB_STR("always")))
		return false;
	return pb_str_eq(leave, PB_STR("never")) || f->began / PB_SECOND >= (int64_t)e->time + number_of_key(f->run->row, "days") * 86400;
}

static size_t gather(struct fetch *f, struct candidate *list)
{
	size_t n = 0;

	for (size_t i = 0; i < f->listing.n; i++) {
		const struct seen_entry *e = f->mails[i].named ? seen_find(&f->seen, f->mails[i].uid) : NULL;

		if (!is_due(f, e))
			continue;
		list[n] = (struct candidate){ .mail = &f->mails[i], .pending = true };
		memcpy(list[n].token, e->token, UID_HASH);
		token_id(f, e->token, e->attempts, list[n].id);
		n += list[n].id[0] != '\0';
	}
	return n;
}

/* Those that are on their way still; gives how many. */
static int look(struct fetch *f, struct candidate *list, size_t n, size_t *ret_pending, struct pb_error *err)
{
	const char *ids[SOME];
	size_t which[SOME], some = 0;
	bool pending[SOME];
	int rc = 0;

	*ret_pending = 0;
	for (size_t i = 0; i <= n && !rc; i++) {
		if (i < n && list[i].pending) {
			which[some] = i;
			ids[some++] = list[i].id;
		}
		if (some < SOME && i < n)
			continue;
		rc = pb_queue_pending(f->run->r->host, ids, some, pending, err);
		for (size_t k = 0; k < some && !rc; k++) {
			list[which[k]].pending = pending[k];
			*ret_pending += pending[k];
		}
		some = 0;
	}
	return rc;
}

/* Deliveries take milliseconds, so those of the last batch are waited for a little; what takes longer is removed the next time. */
static int wait_for(struct fetch *f, struct candidate *list, size_t n, struct pb_error *err)
{
	struct retr *r = f->run->r;
	int64_t until = pb_ticks(r->host) + pb_config_int(r->host, "settle_wait") * PB_SECOND;
	const struct timespec pause = { 0, PAUSE_MS * 1000000 };
	size_t pending = n;
	int rc;

	for (;;) {
		rc = look(f, list, n, &pending, err);
		if (rc || !pending || pb_ticks(r->host) > until || r->draining)
			return rc;
		nanosleep(&pause, NULL);
	}
}

/* Asked behind the queue: what failed is noted before it leaves there. */
static int find_failed(struct fetch *f, struct candidate *list, size_t n, struct pb_error *err)
{
	json_t *failed;
	int rc = failed_load(f->run->r, f->run->a->serial, &failed, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < n && json_object_size(failed); i++) {
		PB_AUTOBUF(token);

		pb_hex_encode(&token, pb_str((const char *)list[i].token, UID_HASH));
		list[i].failed = json_object_get(failed, pb_buf_z(&token)) != NULL;
	}
	json_decref(f->failed);
	f->failed = failed;
	for (size_t i = 0; i < f->listing.n; i++)
		f->mails[i].failed = NULL;	/* those were the old one's */
	return 0;
}

int settle_all(struct fetch *f, struct pb_error *err)
{
	struct candidate *list = pb_alloc((f->listing.n + 1) * sizeof *list);
	const struct listed **gone = pb_alloc((f->listing.n + 1) * sizeof *gone);
	struct run *run = f->run;
	size_t n = gather(f, list), m = 0;
	int rc = n ? wait_for(f, list, n, err) : 0;

	if (!rc)
		rc = find_failed(f, list, n, err);
	for (size_t i = 0; i < n && !rc; i++)
		if (!list[i].pending && !list[i].failed)
			gone[m++] = list[i].mail->one;
	if (!rc && m)
		rc = run->remote->ops->remove(run->remote, &f->listing, gone, m, &f->nremoved, err);
	free(list);
	free(gone);
	return rc;
}
