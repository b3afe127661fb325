/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The committer: makes what was committed durable, for all that wait together. Berkeley DB's own group commit keeps page locks during the flush, so
 * batches commit without one and their tickets become durable here, in a frame of the journal. A waiter flushes for all who wait, so that a lone one needs no
 * other thread.
 */
#include "kernel/store/engine_bdb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- waiting ---- */

static bool is_done(struct committer *c, const struct waiter *w)
{
	return (w->ticket ? atomic_load(&c->durable) >= w->ticket : atomic_load(&c->durable_lsn) > w->lsn) || atomic_load(&c->failed);
}

/* Each whose wait is over, and one of the others to make the next flush. Callers hold c->lock. */
static void wake_waiters(struct committer *c)
{
	struct waiter **at = &c->waiters;

	while (*at) {
		struct waiter *w = *at;

		if (!is_done(c, w)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->queued = false;
		sem_post(&w->turn);
	}
	c->last_waiter = at;
	if (c->waiters && !c->flushing)
		sem_post(&c->waiters->turn);
}

void bdb_set_failed(struct bdb *b, const char *why)
{
	struct committer *c = &b->committer;

	pthread_mutex_lock(&c->lock);
	if (!atomic_load(&c->failed)) {
		snprintf(c->why, sizeof(c->why), "%s", why);
		atomic_store(&c->failed, true);
	}
	wake_waiters(c);
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
}

/* ---- the flush ---- */

/*
 * Bodies that come together are flushed in their segment, and so written once, if they are more than what such a flush writes besides: the segment's last page
 * once more, and what the file system notes of the file (a block, or a commit of four). Where it takes a flush more, only as long as that does not make more
 * flushes than these for each body, counting those of late. A body that comes alone goes into the journal up to ALONE_BYTES: its sender waits, and writing past
 * the page cache into blocks that are there takes less than a flush that has to write pages first.
 */
static const double FLUSHES_FOR_A_BODY = 0.4, OF_LATE = 31.0 / 32;
enum { TOGETHER_MIN = 3, TOGETHER_BYTES = 16 << 10, ALONE_BYTES = 128 << 10 };

static bool pays_a_flush(struct committer *c, size_t bodies)
{
	bool pays = bodies >= TOGETHER_MIN && c->late_flushes + 2 <= FLUSHES_FOR_A_BODY * (c->late_bodies + (double)bodies);

	c->late_flushes = (c->late_flushes + (pays ? 2 : 1)) * OF_LATE;
	c->late_bodies = (c->late_bodies + (double)bodies) * OF_LATE;
	return pays;
}

static bool pays_once(const struct segment_news *news, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += news[i].bytes;
	return bytes >= (n > 1 ? TOGETHER_BYTES : ALONE_BYTES);
}

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
		size_t n;
		int errnum = segments_flush(&b->segments, fdatasync, &n);
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

/* Type, no transaction, up to where all was durable before, and the first segment that may not have been. */
int bdb_log_flush_record(struct bdb *b, DB_LSN *ret)
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

/* The frame lies in the device by now: the flush of a segment keeps it too. Somebody else may have flushed them all a moment ago. */
static int flush_both(struct bdb *b)
{
	size_t n;
	int errnum = segments_flush(&b->segments, b->flush, &n);

	return !errnum && !n ? journal_flush(&b->journal) : errnum;
}

/* What was committed up to now and is in no frame yet, and the bodies written before; at the same time segments with what is not in the frame. What went wrong
 * goes to why. */
static void flush_frame(struct bdb *b, DB_LSN *ret_lsn, uint64_t *ret_issued, char *why, size_t room)
{
	struct committer *c = &b->committer;
	struct segment_news *news;
	size_t n;

	pthread_mutex_lock(&b->order);
	*ret_issued = atomic_load(&c->issued);
	int r = bdb_log_flush_record(b, ret_lsn), errnum = 0;
	journal_take(&b->journal);
	pthread_mutex_unlock(&b->order);
	/* Bodies are written before the batches that name them. */
	bool rough = segments_take_news(&b->segments, &news, &n), apart = b->one_flush ? pays_once(news, n) : pays_a_flush(c, n);
	rough |= apart;
	bool beside = rough && !b->one_flush, after = rough && b->one_flush;
	if (beside)
		helper_set(c, HELPER_ASKED);
	if (!r)
		r = bdb_journal_write(b, news, apart ? 0 : n, !after);
	if (beside)
		errnum = helper_wait(c);
	else if (!r && after)
		errnum = flush_both(b);
	for (size_t i = 0; i < n; i++)
		segment_unpin(&b->segments, news[i].segment);
	free(news);
	if (r)
		snprintf(why, room, "flushing the journal of %s: %s", b->dir, db_strerror(r));
	else if (errnum)
		snprintf(why, room, "flushing segments of %s: %s", b->dir, strerror(errnum));
}

/* One flush of everything that was committed before. Callers hold c->lock, which is not held meanwhile, and have seen that nobody else is at it. */
static void flush(struct bdb *b)
{
	struct committer *c = &b->committer;
	char why[160] = "";
	DB_LSN lsn;

	c->flushing = true;
	pthread_mutex_unlock(&c->lock);
	uint64_t issued;
	flush_frame(b, &lsn, &issued, why, sizeof(why));
	/* After a failed flush nobody knows what is on the disk, and a second one would lie: stop here, a new start finds out. */
	if (*why)
		bdb_set_failed(b, why);
	pthread_mutex_lock(&c->lock);
	c->flushing = false;
	if (!*why) {
		bdb_durable_note(b, journal_last(&b->journal));
		atomic_store(&c->durable_lsn, (uint64_t)lsn.file << 32 | lsn.offset);
		atomic_store(&c->durable, issued);
		c->flushes++;
	}
	wake_waiters(c);
	if (c->nwhen || c->stop)
		pthread_cond_signal(&c->work);
}

static void enqueue(struct committer *c, struct waiter *w)
{
	w->next = NULL;
	w->queued = true;
	*c->last_waiter = w;
	c->last_waiter = &w->next;
}

static void dequeue(struct committer *c, struct waiter *w)
{
	for (struct waiter **at = &c->waiters; *at && w->queued; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			w->queued = false;
			if (!w->next)
				c->last_waiter = at;
			break;
		}
}

/* Callers hold c->lock. Posts are made with it, so the waiter outlives them. */
static void wait_until_done(struct bdb *b, struct waiter *w)
{
	struct committer *c = &b->committer;

	sem_init(&w->turn, 0, 0);
	while (!is_done(c, w) && c->running) {
		if (!c->flushing) {
			dequeue(c, w);
			flush(b);
			continue;
		}
		if (!w->queued)
			enqueue(c, w);
		pthread_mutex_unlock(&c->lock);
		while (sem_wait(&w->turn))
			;
		pthread_mutex_lock(&c->lock);
	}
	dequeue(c, w);
	sem_destroy(&w->turn);
}

/* Calls those whose ticket is durable, without the lock. */
static void call_back(struct committer *c, engine_ticket durable)
{
	pthread_mutex_lock(&c->lock);
	c->called_back = durable;
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

/* Has somebody to be called who has not been? Callers hold c->lock. */
static bool must_call(struct committer *c)
{
	return c->nwhen && c->called_back < atomic_load(&c->durable);
}

/* False: nothing happened for a while. Callers hold c->lock. */
static bool sleep_a_while(struct committer *c)
{
	struct timespec due;

	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_nsec += FLUSH_DELAY_MS * 1000000L;
	if (due.tv_nsec >= 1000000000L) {
		due.tv_sec++;
		due.tv_nsec -= 1000000000L;
	}
	while (!c->stop && !must_call(c))
		if (pthread_cond_timedwait(&c->work, &c->lock, &due) == ETIMEDOUT)
			return false;
	return true;
}

static bool has_waiting(struct committer *c)
{
	return atomic_load(&c->durable) < atomic_load(&c->issued);
}

/* Nothing to flush that it knows of. Callers hold c->lock. */
static void sleep_until_armed(struct committer *c)
{
	atomic_store(&c->armed, false);
	if (has_waiting(c))
		atomic_store(&c->armed, true);
	while (!c->stop && !must_call(c) && !atomic_load(&c->armed))
		pthread_cond_wait(&c->work, &c->lock);
}

/* Tickets that it saw at one look and that are not durable at the next are those that nobody waits for. */
static void *committer_main(void *arg)
{
	struct bdb *b = arg;
	struct committer *c = &b->committer;
	engine_ticket seen = 0;

	pthread_mutex_lock(&c->lock);
	while (!c->stop && !atomic_load(&c->failed)) {
		if (!has_waiting(c))
			sleep_until_armed(c);
		bool early = sleep_a_while(c);
		while (must_call(c)) {
			pthread_mutex_unlock(&c->lock);
			call_back(c, atomic_load(&c->durable));
			pthread_mutex_lock(&c->lock);
		}
		if (early)
			continue;
		if (!c->flushing && atomic_load(&c->durable) < seen)
			flush(b);
		seen = atomic_load(&c->issued);
	}
	/* After a failure waiters leave by themselves. */
	while (!c->stop || c->flushing)
		pthread_cond_wait(&c->work, &c->lock);
	/* Twice: the second one's record says that all before it was durable. A start after this end doubts no body, and damage done since costs what it hit, no more. */
	for (int i = 0; i < 2 && !atomic_load(&c->failed); i++)
		flush(b);
	pthread_mutex_unlock(&c->lock);
	call_back(c, atomic_load(&c->durable));
	return NULL;
}

/* ---- tickets ---- */

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
	struct waiter w = { .ticket = ticket };
	pthread_mutex_lock(&c->lock);
	wait_until_done(b, &w);
	bool good = atomic_load(&c->durable) >= ticket;
	pthread_mutex_unlock(&c->lock);
	return good ? 0 : bdb_failed(b, err);
}

int bdb_wait_lsn(struct bdb *b, uint64_t lsn)
{
	struct committer *c = &b->committer;

	if (atomic_load(&c->durable_lsn) > lsn)
		return 0;
	if (atomic_load(&c->failed))
		return -1;
	struct waiter w = { .lsn = lsn };
	pthread_mutex_lock(&c->lock);
	wait_until_done(b, &w);
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
	c->last_waiter = &c->waiters;
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
	pthread_mutex_destroy(&c->helper_lock);
	pthread_cond_destroy(&c->helper_work);
	pthread_cond_destroy(&c->helper_done);
}
