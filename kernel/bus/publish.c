/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts: handed to those who listen, on workers. They may come late or not at all; what must not be lost is an item in a lane. */
#include <stdlib.h>
#include "kernel/bus/registry.h"
#include "kernel/log/log.h"
#include "kernel/session/sessions.h"

struct telling {
	struct bus *bus;
	json_t *value;
	char *fact;
	size_t n;
	struct entry *to[];
};

static void tell(void *arg)
{
	struct telling *t = arg;

	for (size_t i = 0; i < t->n; i++) {
		t->to[i]->hear(t->to[i]->host->self, t->fact, t->value);
		bus_trace(t->bus, "publish", t->fact, t->to[i]->host->name, 0, 0);
		bus_leave(t->bus, t->to[i]);
	}
	json_decref(t->value);
	free(t->fact);
	free(t);
}

static struct telling *find(struct bus *b, const char *fact)
{
	struct telling *t = NULL;
	size_t n = 0;

	pthread_rwlock_rdlock(&b->lock);
	for (struct entry *e = b->entries; e; e = e->next)
		n += e->kind == ENTRY_LISTENER && !strcmp(e->name, fact);
	if (n) {
		t = pb_alloc(sizeof *t + n * sizeof t->to[0]);
		for (struct entry *e = b->entries; e; e = e->next) {
			if (e->kind != ENTRY_LISTENER || strcmp(e->name, fact))
				continue;
			bus_enter(e);
			t->to[t->n++] = e;
		}
	}
	pthread_rwlock_unlock(&b->lock);
	return t;
}

void host_publish(struct pb_host *host, const char *fact, json_t *value)
{
	struct bus *b = host->kernel->bus;
	struct telling *t = find(b, fact);
	struct pb_error err;

	if (!t) {
		json_decref(value);
		return;
	}
	t->bus = b;
	t->value = value ? value : json_object();
	t->fact = pb_str_dup(pb_strz(fact));
	if (sessions_work(b->kernel->sessions, tell, t, &err)) {
		log_line(b->kernel->log, PB_WARNING, NULL, "fact.dropped", "fact=%s error=%s", fact, pb_logq(pb_strz(err.text)));
		for (size_t i = 0; i < t->n; i++)
			bus_leave(b, t->to[i]);
		json_decref(t->value);
		free(t->fact);
		free(t);
	}
}
