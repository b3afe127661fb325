/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections that stay when a run has ended, to be told of new mail (RFC 2177). One job waits for all of them; what a server says ends its connection and begins
 * a run, which comes back with another. Servers end what is silent for half an hour, so none waits longer than LIFE. One that always ends them at once, or tells
 * of mail that is not there, is asked again at the interval.
 */
#include <stdlib.h>
#include "popretr.h"

#define LIFE (28 * PB_MINUTE)
#define LINE_WAIT (2 * PB_SECOND)
#define SHORT PB_MINUTE

enum { VAIN_MAX = 3 };

struct waiting {
	struct waiting *next;
	struct run *run;
	int64_t began, until;		/* ticks */
	bool stop;
};

struct watch {
	struct waiting *first;
	size_t n;
	bool works;			/* the job runs */
};

struct watch *watch_new(void)
{
	return pb_alloc(sizeof(struct watch));
}

/* When no job runs any more. */
void watch_free(struct watch *w)
{
	free(w);
}

unsigned watch_at_host(const struct retr *r, struct pb_str host)
{
	unsigned n = 0;

	for (const struct waiting *w = r->watch->first; w; w = w->next)
		n += pb_str_ieq(pb_text_of(w->run->row, "host"), host);
	return n;
}

bool watch_stop(struct retr *r, const struct account *a)
{
	bool any = false;

	for (struct waiting *w = r->watch->first; w; w = w->next)
		if (w->run->a == a)
			any = w->stop = true;
	return any;
}

static void end(struct waiting *w)
{
	run_free(w->run);
	free(w);
}

/* With the lock held: out of the list with those whose time is over, or whose account is another now; they are ended by the caller. */
static struct waiting *take_over(struct retr *r)
{
	struct waiting **at = &r->watch->first, *over = NULL, *w;

	while ((w = *at) != NULL) {
		struct account *a = w->run->a;

		if (!w->stop && !r->draining && !a->deleted && !is_set(a->row, "paused") && pb_ticks(r->host) < w->until) {
			at = &w->next;
			continue;
		}
		if (!w->stop && !a->deleted && pb_ticks(r->host) >= w->until)
			a->again = true;
		*at = w->next;
		r->watch->n--;
		w->next = over;
		over = w;
	}
	return over;
}

/* Everything that the server has said: does it mean that there is mail, or that this connection is of no use? */
static bool has_ended(struct waiting *w, bool *ret_news)
{
	*ret_news = false;
	pb_link_timeout(w->run->link, LINE_WAIT);
	do
		if (w->run->remote->ops->wake(w->run->remote, ret_news, NULL))
			return true;
	while (!*ret_news && channel_has_more(&w->run->channel));
	return *ret_news;
}

/* With the lock held. It is ended by the next look, and then its account may run. */
static void ended(struct retr *r, struct waiting *w, bool news)
{
	struct account *a = w->run->a;

	w->stop = true;
	if ((news && a->vain < VAIN_MAX) || pb_ticks(r->host) - w->began >= SHORT)
		a->again = a->told = true;
}

static size_t collect(struct retr *r, struct waiting ***ret_list, struct pb_link ***ret_links)
{
	size_t n = 0;

	*ret_list = pb_alloc((r->watch->n + 1) * sizeof **ret_list);
	*ret_links = pb_alloc((r->watch->n + 1) * sizeof **ret_links);
	for (struct waiting *w = r->watch->first; w; w = w->next) {
		(*ret_list)[n] = w;
		(*ret_links)[n++] = w->run->link;
	}
	return n;
}

/* One that has something to say, if there is one within a second: what was read with the answer to IDLE counts too. */
static struct waiting *wait_for(struct retr *r, struct waiting **list, struct pb_link **links, size_t n)
{
	size_t at;

	for (size_t i = 0; i < n; i++)
		if (channel_has_more(&list[i]->run->channel))
			return list[i];
	return n && !pb_links_wait(r->host, links, n, PB_SECOND, &at, NULL) ? list[at] : NULL;
}

/* One look at all of them; false when there is none. */
static bool look(struct retr *r)
{
	struct waiting *over, **list, *next, *speaks;
	struct pb_link **links;
	bool news;
	size_t n;

	pthread_mutex_lock(&r->lock);
	over = take_over(r);
	n = collect(r, &list, &links);
	r->watch->works = n > 0;
	pthread_mutex_unlock(&r->lock);
	if (over) {
		for (; over; over = next) {
			next = over->next;
			end(over);
		}
		schedule_tick(r);
	}
	speaks = wait_for(r, list, links, n);
	if (speaks && has_ended(speaks, &news)) {
		pthread_mutex_lock(&r->lock);
		ended(r, speaks, news);
		pthread_mutex_unlock(&r->lock);
	}
	free(list);
	free(links);
	return n > 0;
}

static void work(void *self, void *arg)
{
	(void)arg;
	while (look(self))
		;
}

bool watch_may(struct retr *r, const struct run *run)
{
	bool may;

	pthread_mutex_lock(&r->lock);
	may = !r->draining && watch_at_host(r, pb_text_of(run->row, "host")) + 1 < (unsigned)pb_config_int(r->host, "per_host");
	pthread_mutex_unlock(&r->lock);
	return may;
}

void watch_keep(struct retr *r, struct run *run)
{
	struct waiting *w = pb_alloc(sizeof *w);

	*w = (struct waiting){ .run = run, .began = pb_ticks(r->host), .until = pb_ticks(r->host) + LIFE };
	run->deadline = w->until + PB_MINUTE;
	run->a->refs++;
	run->holds = true;
	w->next = r->watch->first;
	r->watch->first = w;
	r->watch->n++;
}

void watch_tick(struct retr *r)
{
	bool begin;

	pthread_mutex_lock(&r->lock);
	begin = r->watch->first && !r->watch->works;
	r->watch->works |= begin;
	pthread_mutex_unlock(&r->lock);
	if (begin && pb_work(r->host, work, NULL, NULL)) {
		pthread_mutex_lock(&r->lock);
		r->watch->works = false;	/* the next tick tries again */
		pthread_mutex_unlock(&r->lock);
	}
}

void watch_close(struct retr *r)
{
	struct waiting *w;

	while ((w = r->watch->first) != NULL) {
		r->watch->first = w->next;
		end(w);
	}
}
