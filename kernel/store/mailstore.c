/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mail store as a whole: opening, closing, and keeping the memory of folders within its budget.
 * Leaves what an account or a folder is to account.c and folder.c.
 */
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/store/folder.h"

int mailstore_open(struct engine *engine, struct clock *clock, struct log *log, uint64_t cache_bytes, struct mailstore **ret, struct pb_error *err)
{
	struct mailstore *m;

	if (cache_bytes > INT64_MAX)
		return pb_fail(err, PB_EINVALID, "a cache of %llu bytes", (unsigned long long)cache_bytes);
	m = pb_alloc(sizeof *m);
	m->engine = engine;
	m->clock = clock;
	m->log = log;
	m->budget = cache_bytes ? (int64_t)cache_bytes : 256 << 20;
	m->nbuckets = 256;
	m->buckets = pb_alloc(m->nbuckets * sizeof m->buckets[0]);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->loaded, NULL);
	if (tokens_open(m, err)) {
		mailstore_close(m);
		return err->code;
	}
	*ret = m;
	return 0;
}

/* The hand of the clock: the oldest that was not used since it passed last, as account (a reference) and number. False after one round. */
static bool take_victim(struct mailstore *m, unsigned *budget, struct account **ret_account, uint32_t *ret_number)
{
	pthread_mutex_lock(&m->lock);
	while (m->oldest && *budget) {
		struct folder *f = m->oldest;

		(*budget)--;
		if (f->younger) {
			m->oldest = f->younger;
			m->oldest->older = NULL;
			f->older = m->youngest;
			f->younger = NULL;
			m->youngest->younger = f;
			m->youngest = f;
		}
		if (!atomic_exchange(&f->touched, false)) {
			f->account->refs++;
			*ret_account = f->account;
			*ret_number = f->number;
			pthread_mutex_unlock(&m->lock);
			return true;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return false;
}

void mailstore_trim(struct mailstore *m)
{
	unsigned budget = 64;
	struct account *a;
	uint32_t number;

	if (atomic_load_explicit(&m->bytes, memory_order_relaxed) <= m->budget || atomic_exchange(&m->trimming, true))
		return;
	while (atomic_load_explicit(&m->bytes, memory_order_relaxed) > m->budget && take_victim(m, &budget, &a, &number)) {
		folder_evict(a, number);
		account_release(a);
	}
	atomic_store(&m->trimming, false);
}

void mailstore_close(struct mailstore *m)
{
	struct account *a;
	uint32_t number;

	if (!m)
		return;
	/* All must be durable for a folder to be let go; an engine that failed says so to those who wrote. */
	for (unsigned budget = 1; m->oldest; budget = 1) {
		struct folder *f = m->oldest;
		struct pb_error err;

		engine_wait(m->engine, atomic_load(&f->ticket), &err);
		atomic_store(&f->touched, false);
		if (take_victim(m, &budget, &a, &number)) {
			folder_evict(a, number);
			account_release(a);
		}
		if (m->oldest && m->youngest == f)
			break;
	}
	tokens_close(m);
	pthread_cond_destroy(&m->loaded);
	pthread_mutex_destroy(&m->lock);
	free(m->buckets);
	free(m);
}
