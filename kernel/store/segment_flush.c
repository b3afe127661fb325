/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making segments durable, and the list of what was written to them and is to become durable in the journal first. When which is done is the committer's.
 */
#include "kernel/store/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLUSH_AT_ONCE = 64 };

static int flush_all(struct segments *s, int (*flush)(int fd), size_t *ret_n)
{
	struct segment *list[FLUSH_AT_ONCE];
	int errnum = 0;
	bool more;

	do {
		size_t n = 0;

		more = false;
		pthread_mutex_lock(&s->lock);
		for (struct segment *g = s->writing; g && !more; g = g->next_writing)
			if (atomic_load(&g->dirty)) {
				more = n == FLUSH_AT_ONCE;
				if (more)
					break;
				/* Before the flush: a write that ends while it runs counts for the next one. */
				atomic_store(&g->dirty, false);
				atomic_fetch_add(&g->pins, 1);
				list[n++] = g;
			}
		pthread_mutex_unlock(&s->lock);
		for (size_t i = 0; i < n; i++) {
			if (!errnum && flush(list[i]->fd))
				errnum = errno;
			++*ret_n;
			segment_unpin(s, list[i]);
		}
	} while (more && !errnum);

	/* Those that nobody writes to any more need no descriptor. */
	pthread_mutex_lock(&s->lock);
	for (struct segment **at = &s->writing; *at;) {
		struct segment *g = *at;

		if (g == s->active || g == s->prepared || atomic_load(&g->pins) != 1 || atomic_load(&g->dirty)) {
			at = &g->next_writing;
			continue;
		}
		*at = g->next_writing;
		close(g->fd);
		g->fd = -1;
	}
	pthread_mutex_unlock(&s->lock);
	return errnum;
}

int segments_flush(struct segments *s, int (*flush)(int fd), size_t *ret_n)
{
	*ret_n = 0;
	pthread_mutex_lock(&s->flush_lock);
	/* Whoever comes after a flush that failed would find nothing dirty. */
	if (!s->flush_errno)
		s->flush_errno = flush_all(s, flush, ret_n);
	int errnum = s->flush_errno;
	pthread_mutex_unlock(&s->flush_lock);
	return errnum;
}

/* ---- news ---- */

void segment_written(struct segments *s, struct segment *g, uint64_t offset, uint64_t bytes)
{
	atomic_store(&g->dirty, true);
	pthread_mutex_lock(&s->news_lock);
	if (bytes > s->news_max / 4 || s->news_bytes + bytes > s->news_max) {
		s->rough = true;
		pthread_mutex_unlock(&s->news_lock);
		return;
	}
	if (s->nnews == s->news_room) {
		s->news_room = s->news_room ? s->news_room * 2 : 64;
		s->news = pb_realloc(s->news, s->news_room * sizeof(*s->news));
	}
	atomic_fetch_add(&g->pins, 1);
	s->news[s->nnews++] = (struct segment_news) { g, offset, bytes };
	s->news_bytes += bytes;
	pthread_mutex_unlock(&s->news_lock);
}

bool segments_take_news(struct segments *s, struct segment_news **ret, size_t *ret_n)
{
	pthread_mutex_lock(&s->news_lock);
	bool rough = s->rough;
	*ret = s->news;
	*ret_n = s->nnews;
	s->news = NULL;
	s->nnews = s->news_room = 0;
	s->news_bytes = 0;
	s->rough = false;
	pthread_mutex_unlock(&s->news_lock);
	return rough;
}
