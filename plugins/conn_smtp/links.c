/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links that wait for the next message: a short list, since they are kept for seconds. */
#include <stdio.h>
#include <stdlib.h>
#include "peer.h"

enum { LINKS_MAX = 64 };

struct links {
	pthread_mutex_t lock;
	struct peer *first;		/* the youngest */
	unsigned n;
	bool closed;
};

struct links *links_new(void)
{
	struct links *links = pb_alloc(sizeof *links);

	pthread_mutex_init(&links->lock, NULL);
	return links;
}

static void key_of(const struct target *t, char *key, size_t size)
{
	snprintf(key, size, "%s [%s]:%u %d %s", t->name, t->address, t->port, t->tls, t->user ? t->user : "");
}

struct peer *links_take(struct links *links, struct smtp *smtp, const struct settings *set, const struct target *t)
{
	int64_t now = pb_ticks(smtp->host);
	struct peer **at, *p;
	char key[800];

	key_of(t, key, sizeof key);
	pthread_mutex_lock(&links->lock);
	for (at = &links->first; (p = *at) != NULL; at = &p->next)
		if (!strcmp(p->key, key) && now - p->since < set->idle_seconds * PB_SECOND)
			break;
	if (p) {
		*at = p->next;
		links->n--;
	}
	pthread_mutex_unlock(&links->lock);
	if (p && !pb_link_is_idle(p->link)) {
		peer_close(p, false);
		return links_take(links, smtp, set, t);
	}
	if (p)
		pb_count(smtp->host, "links_reused", 1);
	else
		return NULL;
	p->next = NULL;
	return p;
}

void links_give(struct links *links, struct smtp *smtp, const struct settings *set, const struct target *t, struct peer *p)
{
	bool keep = set->idle_seconds && p->used < set->reuse_max;
	char key[800];

	if (!p->key) {
		key_of(t, key, sizeof key);
		p->key = pb_str_dup(pb_strz(key));
	}
	p->since = pb_ticks(smtp->host);
	pthread_mutex_lock(&links->lock);
	keep = keep && !links->closed && links->n < LINKS_MAX;
	if (keep) {
		p->next = links->first;
		links->first = p;
		links->n++;
	}
	pthread_mutex_unlock(&links->lock);
	if (!keep)
		peer_close(p, true);
}

void links_sweep(struct links *links, struct smtp *smtp, bool all)
{
	struct settings *set = settings_get(smtp);
	int64_t oldest = pb_ticks(smtp->host) - set->idle_seconds * PB_SECOND;
	struct peer *old = NULL, **at, *p;

	pthread_mutex_lock(&links->lock);
	links->closed |= all;
	for (at = &links->first; (p = *at) != NULL;) {
		if (!all && p->since > oldest) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		links->n--;
		p->next = old;
		old = p;
	}
	pthread_mutex_unlock(&links->lock);
	settings_put(set);
	while ((p = old) != NULL) {
		old = p->next;
		peer_close(p, !all);
	}
}

void links_free(struct links *links)
{
	struct peer *p;

	if (!links)
		return;
	while ((p = links->first) != NULL) {
		links->first = p->next;
		peer_close(p, false);
	}
	pthread_mutex_destroy(&links->lock);
	free(links);
}
