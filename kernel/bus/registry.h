/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the bus share: entries and the lock over them. Nobody else includes it. */
#ifndef KERNEL_BUS_REGISTRY_H
#define KERNEL_BUS_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>
#include "kernel/bus/bus.h"

enum entry_kind { ENTRY_METHOD, ENTRY_HOOK, ENTRY_LISTENER };

struct entry {
	struct entry *next;
	enum entry_kind kind;
	struct pb_host *host;
	const char *name;		/* method, point or fact; the plugin's own string */
	const json_t *spec;
	int (*call)(void *self, const struct pb_caller *, const json_t *, json_t **, struct pb_error *);
	int (*ask)(void *self, const struct pb_question *, struct pb_verdict *, struct pb_error *);
	void (*hear)(void *self, const char *fact, const json_t *);
	int64_t budget;			/* hooks: microseconds */
	enum pb_decision on_failure;
	struct metric *timing;
	atomic_int inside;		/* once it fell to zero a withdrawal may free the entry: nothing of it is touched after that */
};

enum { HOOKS_MAX = 256 };

struct bus {
	struct kernel *kernel;
	pthread_rwlock_t lock;		/* over entries, methods, hooks; never held while a plugin runs */
	struct entry *entries;
	json_t *methods;		/* name: the entry's address; Jansson's hash table is keyed against collisions */
	struct entry *hooks[HOOKS_MAX];	/* in the order in which they are asked */
	size_t nhooks;
	_Atomic size_t points;		/* hooks there are: 0 makes every ask free */
	pthread_mutex_t idle_lock;
	pthread_cond_t idle;
	atomic_int withdrawals;		/* that wait for idle */
	void (*tap)(void *arg, const char *verb, const char *name, const char *plugin, int outcome, int64_t us);
	void *tap_arg;
};

/* Under the lock. */
static inline struct entry *bus_method(struct bus *b, const char *name)
{
	const json_t *at = json_object_get(b->methods, name);

	return at ? (struct entry *)(intptr_t)json_integer_value(at) : NULL;
}

void bus_order_hooks(struct bus *b);
void bus_enter(struct entry *e);
void bus_leave(struct bus *b, struct entry *e);
void bus_trace(struct bus *b, const char *verb, const char *name, const char *plugin, int outcome, int64_t us);

#endif
