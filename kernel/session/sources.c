/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many connections come from where: a hash table of IPv4 addresses and IPv6 /64 networks. Leaves what to do about too many to enter.c. */
#include <stdlib.h>
#include "kernel/session/internal.h"

struct source {
	struct source *next;
	struct in6_addr from;
	unsigned open;
};

static struct in6_addr network(const struct in6_addr *from)
{
	struct in6_addr n = *from;

	if (!IN6_IS_ADDR_V4MAPPED(&n))
		memset(n.s6_addr + 8, 0, 8);
	return n;
}

static size_t bucket(const struct sources *so, const struct in6_addr *from)
{
	return pb_str_hash(pb_str((const char *)from, sizeof *from)) & (so->size - 1);
}

void sources_open(struct sources *so)
{
	pthread_mutex_init(&so->lock, NULL);
	so->size = 256;
	so->used = 0;
	so->table = pb_alloc(so->size * sizeof(struct source *));
}

void sources_close(struct sources *so)
{
	for (size_t i = 0; i < so->size; i++)
		for (struct source *s = so->table[i], *next; s; s = next) {
			next = s->next;
			free(s);
		}
	free(so->table);
	pthread_mutex_destroy(&so->lock);
}

static void grow(struct sources *so)
{
	struct sources bigger = { .size = so->size * 2 };

	bigger.table = pb_alloc(bigger.size * sizeof(struct source *));
	for (size_t i = 0; i < so->size; i++)
		for (struct source *s = so->table[i], *next; s; s = next) {
			size_t to = bucket(&bigger, &s->from);

			next = s->next;
			s->next = bigger.table[to];
			bigger.table[to] = s;
		}
	free(so->table);
	so->table = bigger.table;
	so->size = bigger.size;
}

static struct source **find(struct sources *so, const struct in6_addr *from)
{
	struct source **at = &so->table[bucket(so, from)];

	while (*at && memcmp(&(*at)->from, from, sizeof *from) != 0)
		at = &(*at)->next;
	return at;
}

bool source_enter(struct sources *so, const struct in6_addr *from, unsigned max)
{
	struct in6_addr n = network(from);
	struct source *s;
	bool fits;

	pthread_mutex_lock(&so->lock);
	if (so->used >= so->size)
		grow(so);
	s = *find(so, &n);
	fits = (s ? s->open : 0) < max;
	if (fits) {
		if (!s) {
			struct source **at = &so->table[bucket(so, &n)];

			s = pb_alloc(sizeof *s);
			s->from = n;
			s->next = *at;
			*at = s;
			so->used++;
		}
		s->open++;
	}
	pthread_mutex_unlock(&so->lock);
	return fits;
}

void source_leave(struct sources *so, const struct in6_addr *from)
{
	struct in6_addr n = network(from);
	struct source **at, *s;

	pthread_mutex_lock(&so->lock);
	at = find(so, &n);
	s = *at;
	if (s && --s->open == 0) {
		*at = s->next;
		free(s);
		so->used--;
	}
	pthread_mutex_unlock(&so->lock);
}
