/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The committer: makes what was committed durable, for all that wait together. Berkeley DB's own group commit keeps page locks during the flush, so
 * batches commit without one and their tickets become durable here: one thread flushes the log while another flushes the segments.
 */
#include "kernel/store/engine_bdb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void bdb_set_failed(struct bdb *b, const char *why)
{
	struct committer *c = &b->committer;

	pthread_mutex_lock(&c->lock);
	if (!atomic_load(&c->failed)) {
		snprintf(c->why, sizeof(c->why), "%s", why);
		atomic_store(&c->failed, true);
	}
	pthread_cond_broadcast(&c->done);
	pthread_mutex_unlock(&c->lock);
}

/* ---- the flush ---- */

static void *helper_main(void *arg)
{
	struct bdb *b = arg;
	struct committer *c = &b->committer;

	pthread_mutex_lock(&c->helper_lock);
	for (;;) {
		while (c->helper_state != HELPER_ASKED && c->helper_state != HELPER_STOP)
			pthread_cond_wait(&c->helper_work, &c->helper_lock);
		if (c->helper_state == HELPER_STOP)
			break;
		pthread_mutex_unlock(&c->helper_lock);
		int errnum = segments_flush(&b->segments);
		pthread_mutex_lock(&c->helper_lock);
		c->helper_errno = errnum;
		c->helper_state = HELPER_DONE;
		pthread_cond_signal(&c->helper_done);
	}
	pthread_mutex_unlock(&c->helper_lock);
	return NULL;
}

static void helper_set(struct committer *c, int state)
{
	pthread_mutex_lock(&c->helper_lock);
	c->helper_state = state;
	pthread_cond_signal(&c->helper_work);
	pthread_mutex_unlock(&c->helper_lock);
}

static int helper_wait(struct committer *c)
{
	pthread_mutex_lock(&c->helper_lock);
	while (c->helper_state != HELPER_DONE)
		pthread_cond_wait(&c->helper_done, &c->helper_lock);
	c->helper_state = HELPER_IDLE;
	int errnum = c->helper_errno;
	pthread_mutex_unlock(&c->helper_lock);
	return errnum;
}

/* The record that begins a flush: type, no transaction, up to where all was durable before, and the first segment that may not have been. */
static int log_flush_record(struct bdb *b, DB_LSN *ret)
{
	unsigned char bytes[28] = { 0 };
	DBT record = bdb_dbt(bytes, sizeof(bytes));
	uint32_t type = LOG_FLUSH;
	uint64_t durable = atomic_load(&b->committer.durable_lsn);

	/* The head of a record is Berkeley DB's: in the machine's byte order. */
	memcpy(bytes, &type, sizeof(type));
	le64_put(bytes + 16, durable);
	le32_put(bytes + 24, segments_lowest_writing(&b->segments));
	return b->env->log_put(b->env, ret, &record, 0);
}

/* One flush of everything that was committed before. Only the committer's thread comes here. */
static bool flush(struct bdb *b)
{
	struct committer *c = &b->committer;
	char why[160] = "";
	DB_LSN lsn;

	pthread_mutex_lock(&c->lock);
	c->asked = false;
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->armed, false);
	uint64_t issued = atomic_load(&c->issued);
	int r = log_flush_record(b, &lsn);
	helper_set(c, HELPER_ASKED);
	if (!r)
		r = b->env->log_flush(b->env, NULL);
	int errnum = helper_wait(c);
	/* A log file is made by whoever fills the one before. */
	if (!r && !errnum && lsn.file != c->log_file) {
		if (fsync(b->db_dir))
			errnum = errno;
		c->log_file = lsn.file;
	}
	if (r)
		snprintf(why, sizeof(why), "flushing the log of %s: %s", b->dir, db_strerror(r));
	else if (errnum)
		snprintf(why, sizeof(why), "flushing segments of %s: %s", b->dir, strerror(errnum));
	if (*why) {
		/* After a failed flush nobody knows what is on the disk, and a second one would lie: stop here, a new start finds out. */
		bdb_set_failed(b, why);
		return false;
	}
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->durable_lsn, (uint64_t)lsn.file << 32 | lsn.offset);
	atomic_store(&c->durable, issued);
	c->flushes++;
	pthread_cond_broadcast(&c->done);
	pthread_mutex_unlock(&c->lock);
	return true;
}

/* Calls those whose ticket is durable, without the lock. */
static void call_back(struct committer *c, engine_ticket durable)
{
	pthread_mutex_lock(&c->lock);
	struct when *ready = c->nwhen ? pb_alloc(c->nwhen * sizeof(*ready)) : NULL;
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < c->nwhen; i++)
		if (c->when[i].ticket <= durable)
			ready[n++] = c->when[i];
		else
			c->when[kept++] = c->when[i];
	c->nwhen = kept;
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < n; i++)
		ready[i].then(ready[i].arg);
	free(ready);
}

/* Sleeps until somebody waits, or until tickets that nobody waits for are due. Callers hold c->lock. */
static bool wanted(struct committer *c)
{
	return c->asked || c->stop || c->wanted > atomic_load(&c->durable);
}

static void sleep_until_due(struct committer *c)
{
	struct timespec due;

	while (!wanted(c) && !atomic_load(&c->armed))
		pthread_cond_wait(&c->work, &c->lock);
	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_nsec += FLUSH_DELAY_MS * 1000000L;
	if (due.tv_nsec >= 1000000000L) {
		due.tv_sec++;
		due.tv_nsec -= 1000000000L;
	}
	while (!wanted(c) && pthread_cond_timedwait(&c->work, &c->lock, &due) != ETIMEDOUT)
		;
}

static _Thread_local bool on_committer;

static void *committer_main(void *arg)
{
	struct bdb *b = arg;
	struct committer *c = &b->committer;

	on_committer = true;
	for (bool stop = false; !stop;) {
		pthread_mutex_lock(&c->lock);
		sleep_until_due(c);
		stop = c->stop;
		bool failed = atomic_load(&c->failed);
		/* After a failure waiters leave by themselves. */
		while (failed && !c->stop)
			pthread_cond_wait(&c->work, &c->lock);
		stop |= failed;
		pthread_mutex_unlock(&c->lock);
		if (!failed && flush(b))
			call_back(c, atomic_load(&c->durable));
	}
	return NULL;
}

/* ---- waiting ---- */

engine_ticket bdb_ticket(struct bdb *b)
{
	struct committer *c = &b->committer;
	engine_ticket ticket = atomic_fetch_add(&c->issued, 1) + 1;

	if (!atomic_load(&c->armed) && !atomic_exchange(&c->armed, true)) {
		pthread_mutex_lock(&c->lock);
		pthread_cond_signal(&c->work);
		pthread_mutex_unlock(&c->lock);
	}
	return ticket;
}

int bdb_failed(struct bdb *b, struct pb_error *err)
{
	struct committer *c = &b->committer;

	if (!atomic_load(&c->failed))
		return 0;
	pthread_mutex_lock(&c->lock);
	int r = pb_fail(err, PB_EINTERNAL, "the store takes no more writes until it is opened again: %s", c->why);
	pthread_mutex_unlock(&c->lock);
	return r;
}

int bdb_wait(struct engine *e, engine_ticket ticket, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct committer *c = &b->committer;

	if (b->unsafe_ack || atomic_load(&c->durable) >= ticket)
		return 0;
	if (ticket > atomic_load(&c->issued))
		return pb_fail(err, PB_EINTERNAL, "ticket %" PRIu64 " was never given", ticket);
	pthread_mutex_lock(&c->lock);
	if (c->wanted < ticket) {
		c->wanted = ticket;
		pthread_cond_signal(&c->work);
	}
	while (atomic_load(&c->durable) < ticket && !atomic_load(&c->failed))
		pthread_cond_wait(&c->done, &c->lock);
	bool good = atomic_load(&c->durable) >= ticket;
	pthread_mutex_unlock(&c->lock);
	return good ? 0 : bdb_failed(b, err);
}

int bdb_wait_lsn(struct bdb *b, uint64_t lsn)
{
	struct committer *c = &b->committer;

	if (atomic_load(&c->durable_lsn) > lsn)
		return 0;
	if (on_committer)
		return atomic_load(&c->failed) || !flush(b) ? -1 : 0;
	pthread_mutex_lock(&c->lock);
	while (atomic_load(&c->durable_lsn) <= lsn && !atomic_load(&c->failed) && c->running) {
		c->asked = true;
		pthread_cond_signal(&c->work);
		pthread_cond_wait(&c->done, &c->lock);
	}
	int r = atomic_load(&c->durable_lsn) > lsn ? 0 : -1;
	pthread_mutex_unlock(&c->lock);
	return r;
}

engine_ticket bdb_durable(struct engine *e)
{
	struct committer *c = &bdb_of(e)->committer;

	return atomic_load(bdb_of(e)->unsafe_ack ? &c->issued : &c->durable);
}

void bdb_when_durable(struct engine *e, engine_ticket ticket, void (*then)(void *arg), void *arg)
{
	struct committer *c = &bdb_of(e)->committer;

	pthread_mutex_lock(&c->lock);
	bool now = bdb_durable(e) >= ticket;
	if (!now) {
		if (c->nwhen == c->when_room) {
			c->when_room = c->when_room ? c->when_room * 2 : 64;
			c->when = pb_realloc(c->when, c->when_room * sizeof(*c->when));
		}
		c->when[c->nwhen++] = (struct when) { ticket, then, arg };
	}
	pthread_mutex_unlock(&c->lock);
	if (now)
		then(arg);
}

/* ---- life ---- */

int bdb_committer_start(struct bdb *b, struct pb_error *err)
{
	struct committer *c = &b->committer;
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, &attr);
	pthread_cond_init(&c->done, NULL);
	pthread_mutex_init(&c->helper_lock, NULL);
	pthread_cond_init(&c->helper_work, NULL);
	pthread_cond_init(&c->helper_done, NULL);
	pthread_condattr_destroy(&attr);
	/* The start made whole what it found. */
	DB_LOG_STAT *stat;
	int r = b->env->log_stat(b->env, &stat, 0);
	if (r)
		return bdb_fail(b, err, r, "asking for the end of the log");
	atomic_store(&c->durable_lsn, (uint64_t)stat->st_cur_file << 32 | stat->st_cur_offset);
	c->log_file = stat->st_cur_file;
	free(stat);
	c->running = true;
	int errnum = pthread_create(&c->helper, NULL, helper_main, b);
	if (!errnum) {
		errnum = pthread_create(&c->thread, NULL, committer_main, b);
		if (errnum) {
			helper_set(c, HELPER_STOP);
			pthread_join(c->helper, NULL);
		}
	}
	c->running = !errnum;
	return errnum ? pb_fail_errno(err, errnum, "starting the committer") : 0;
}

void bdb_committer_stop(struct bdb *b)
{
	struct committer *c = &b->committer;

	if (!c->running)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	helper_set(c, HELPER_STOP);
	pthread_join(c->helper, NULL);
	c->running = false;
	free(c->when);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->done);
	pthread_mutex_destroy(&c->helper_lock);
	pthread_cond_destroy(&c->helper_work);
	pthread_cond_destroy(&c->helper_done);
}
