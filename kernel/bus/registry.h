/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the bus share: entries and the lock over them. Nobody else includes it. */
#ifndef KERNEL_BUS_REGISTRY_H
#define KERNEL_BUS_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>
#include "kernel/bus/bus.h"
#include "kernel/config/shape.h"

enum entry_kind { ENTRY_METHOD, ENTRY_HOOK, ENTRY_LISTENER };

enum { PLACES = 8 };

/* Of one who asks a trusted hook in his own thread. */
struct place {
	_Atomic int64_t since;		/* ticks; 0: nobody */
	int64_t told;			/* the since of whom the log knows to be caught; only for the thread that looks */
};

struct entry {
	struct entry *next;
	enum entry_kind kind;
	struct pb_host *host;
	const char *name;		/* method, point or fact; the plugin's own string, and away's own copy */
	const json_t *spec;		/* the manifest's, and away's own copy */
	bool away;			/* a hook whose plugin is enabled and does not run: its policy answers */
	bool back_soon;			/* away: it is stopped only to be started again */
	int (*call)(void *self, const struct pb_caller *, const json_t *, json_t **, struct pb_error *);
	int (*ask)(void *self, const struct pb_question *, struct pb_verdict *, struct pb_error *);
	void (*hear)(void *self, const char *fact, const json_t *);
	int64_t budget;			/* hooks: microseconds */
	enum pb_decision on_failure;
	struct metric *timing;
	const json_t *params;		/* methods: of the manifest; NULL: it says nothing */
	struct shape *asked;		/* methods: of params */
	struct shape *promise;		/* methods: "returns" of the manifest; NULL: it says nothing */
	enum pb_role role;		/* methods: the least that a caller has */
	atomic_bool promised_wrong;	/* methods: a result was not what the manifest says */
	atomic_int quick;		/* hooks: how many more answers took no time to speak of than others did, by trust.c's measure */
	struct place places[PLACES];	/* hooks: trust.c */
	unsigned late;			/* hooks: threads that are in it beyond its budget; the helpers' lock */
	atomic_uint inside;		/* how many are, and ENTRY_GONE once it is withdrawn */
};

enum { HOOKS_MAX = 256, ENTRY_GONE = 1 << 30 };

#define AWAY_MAX (5 * PB_SECOND)	/* for one that is away to come back; less than a plugin has to leave what it is inside of */

/* Threads for hooks that may not come back. */
struct helpers {
	pthread_mutex_t lock;
	pthread_cond_t work, ended;
	struct asking *first;		/* nobody has taken it yet */
	unsigned waiting, idle, threads;
	bool closing;
};

/* Looks after those who ask in their own threads. */
struct watch {
	pthread_mutex_t lock;
	pthread_cond_t end;
	pthread_t thread;
	bool runs, closing;
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
	struct watch watch;
	int64_t at_once;		/* microseconds that an answer of a trusted hook takes at most */
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

/* trust.c: the place of one who may ask in his own thread, until he leaves it; NULL: he may not. */
struct place *trust_enter(struct bus *b, struct entry *e, int64_t now);
void trust_leave(struct place *p);
/* What an answer, and the time it took, mean for the next one who asks. */
void trust_judge(struct bus *b, struct entry *e, int rc, int64_t took);
void trust_open(struct bus *b);
void trust_close(struct bus *b);

void bus_order_hooks(struct bus *b);
/* Under either lock: host's hook at this point, away or not; NULL: it has none. */
struct entry *bus_hook_of(const struct bus *b, const struct pb_host *host, const char *point);
void bus_enter(struct entry *e);
void bus_leave(struct bus *b, struct entry *e);
void bus_trace(struct bus *b, const char *verb, const char *name, const char *plugin, int outcome, int64_t us);

#endif
