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
	atomic_bool promised_wrong;	/* methods: a result was not what the manifest says */
	atomic_uint quick;		/* hooks: answers in a row that took no time to speak of */
	unsigned late;			/* hooks: threads that are in it beyond its budget; the helpers' lock */
	atomic_uint inside;		/* how many are, and ENTRY_GONE once it is withdrawn */
};

enum { HOOKS_MAX = 256, ENTRY_GONE = 1 << 30 };

/* Threads for hooks that may not come back. */
struct helpers {
	pthread_mutex_t lock;
	pthread_cond_t work, ended;
	struct asking *first;		/* nobody has taken it yet */
	unsigned waiting, idle, threads;
	bool closing;
};

struct bus {
	struct kernel *kernel;
	pthread_rwlock_t lock;		/* over entries, methods, hooks; never held while a plugin runs */
	struct entry *entries;
	struct entry *leaving;		/* withdrawn, but perhaps somebody is inside; idle_lock */
	json_t *methods;		/* name: the entry's address; Jansson's hash table is keyed against collisions */
	struct entry *hooks[HOOKS_MAX];	/* in the order in which they are asked */
	size_t nhooks;
	_Atomic size_t points;		/* hooks there are: 0 makes every ask free */
	pthread_mutex_t idle_lock;
	pthread_cond_t idle;
	struct helpers helpers;
	void (*tap)(void *arg, const char *verb, const char *name, const char *plugin, int outcome, int64_t us);
	void *tap_arg;
};

/* Under the lock. */
static inline struct entry *bus_method(struct bus *b, const char *name)
{
	const json_t *at = json_object_get(b->methods, name);

	return at ? (struct entry *)(intptr_t)json_integer_value(at) : NULL;
}

/* The nesting of calls in this thread. */
unsigned bus_depth(void);
void bus_set_depth(unsigned depth);

/* helpers.c: as the entry's ask, but it is back after the budget. PB_ETIMEOUT: the hook was not, it goes on for itself; PB_EBUSY: too many of it do already. */
int helpers_ask(struct bus *b, struct entry *e, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err);
void helpers_open(struct helpers *h);
void helpers_close(struct helpers *h);

void bus_order_hooks(struct bus *b);
void bus_enter(struct entry *e);
void bus_leave(struct bus *b, struct entry *e);
void bus_trace(struct bus *b, const char *verb, const char *name, const char *plugin, int outcome, int64_t us);

#endif
