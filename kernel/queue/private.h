/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The queue's inside. An item is a row in one of four shards (entities q/0..q/3); it stays in the shard where its message entered, so that
 * settling it and writing its successors is one batch. What waits, and is near its turn, also stands in memory as an entry: see lane.c. A hop to a
 * courier of this house is an entry alone, on the row that it comes from: see hop.c.
 *
 * Keys of a shard:
 *	state lane NUL due(8) id NUL sub(8)	the item; state is 'a' active, 'h' held, 'x' dead; fresh items are due when their id was made
 *	'm' id NUL sub(8)			where the item is (its key), unless it is active and fresh
 *	't' id					a named id that was accepted; 'u' time(8) id: the same by time, to forget it
 *
 * Locks: a shard's lock, then the queue's lock; never the other way round. No lock is held while a plugin works.
 */
#ifndef KERNEL_QUEUE_PRIVATE_H
#define KERNEL_QUEUE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include "kernel/host.h"
#include "kernel/queue/queue.h"
#include "kernel/store/engine.h"
#include "kernel/store/queue_id.h"

enum {
	SHARDS = 4, KEY_MAX = 127, LANE_MAX = 63,
	/* A row with more recipients is written as several: each is work of its own, and what a crash makes courier and remote host do again. */
	ROW_RCPTS = 100, ROW_BYTES = 256 * 1024,
	REPLY_MAX = 1000,				/* bytes of a reply or a remote's name that are kept */
};

enum state { STATE_ACTIVE = 'a', STATE_HELD = 'h', STATE_DEAD = 'x' };

/* ---- keys and rows: row.c ---- */

struct key {
	uint8_t len;
	char bytes[KEY_MAX];
};

static inline struct pb_str key_str(const struct key *k)
{
	return pb_str(k->bytes, k->len);
}

void key_row(struct key *out, enum state state, struct pb_str lane, int64_t due, const char *id, uint64_t sub);
/* Where a lane's rows begin that are due at or after due. */
void key_from(struct key *out, enum state state, struct pb_str lane, int64_t due);
void key_index(struct key *out, const char *id, uint64_t sub);
/* A row's key taken apart; lane is a view into it, id has room for PB_ID_MAX. */
bool key_parse(struct pb_str key, enum state *state, struct pb_str *lane, int64_t *due, char *id, uint64_t *sub);

/* What a row says of one recipient. */
struct rcpt_state {
	struct pb_rcpt rcpt;
	int64_t due, tried;
	unsigned attempts;		/* that count: its place on the ladder */
	bool noticed;			/* the sender knows that it is late */
	struct pb_str reason, remote;
};

struct row {
	enum pb_item_kind kind;
	const char *destination;	/* NUL-terminated, inside the bytes */
	size_t destination_len;
	struct body_id body;
	unsigned attempts, errors;	/* times in hand; failed stages */
	struct pb_envelope env;		/* views into the bytes; notes are owned; rcpts are not set */
	size_t nrcpts;
	struct pb_str rest;		/* the recipients, for row_rcpt_get */
};

/* Encode: begin, one call for each recipient, end. env gives all but the recipients. */
void row_begin(struct pb_buf *out, const struct row *head, const struct pb_envelope *env);
void row_rcpt_put(struct pb_buf *out, const struct rcpt_state *to);
/* Its turn is now, because somebody wants it so: the attempt takes no step of the ladder. */
void row_turn_now(struct rcpt_state *to);
void row_end(struct pb_buf *out, size_t nrcpts);
/* Decode: views into bytes, which must stay. row_free frees the notes. */
int item_decode(struct row *ret, struct pb_str bytes, struct pb_error *err);
int row_rcpt_get(struct row *row, struct rcpt_state *ret, struct pb_error *err);
struct pb_str row_destination(struct pb_str bytes);
/* Is its priority low? */
bool row_is_bulk(struct pb_str bytes);
void row_free(struct row *row);

/* ---- memory: lane.c ---- */

enum place { PENDING, READY, LEASED };
enum want { WANT_NOTHING, WANT_HOLD, WANT_DELETE, WANT_RETRY };

/* An item that stands in memory: on its way into the store, waiting for its turn, or in somebody's hand. At most one for an item. */
struct entry {
	struct entry *hash_next, *next;
	struct lane *lane;
	struct dest *dest;
	char id[PB_ID_MAX];
	uint64_t sub;
	int64_t due;
	uint8_t shard;
	enum state state;
	enum place place;
	bool bulk;			/* of low priority: the others of its lane go first */
	enum want want;			/* what an administrator asked for while it was in hand */
	bool administered;		/* in an administrator's hand */
	bool asked;			/* too late for that: it is being settled */
	struct entry *under, *over;	/* hop.c: the entry on whose row it stands; the one that stands on this one's row */
	struct entry *hop_next, **hop_at;	/* the hops that wait */
	int64_t since;			/* a hop waits */
	struct pb_buf blob;		/* its row, or empty: read it when its turn comes */
};

struct dest {
	struct dest *hash_next, *next_runnable;
	struct entry *head, *tail;
	struct entry *last_personal;	/* behind it bulk alone; NULL: nothing else waits */
	size_t count;			/* waiting */
	unsigned running;
	bool linked, dropped;		/* dropped: more of it are in the store alone */
	bool linked_bulk;		/* among those with nothing but bulk */
	uint32_t hash;
	char name[];
};

struct lane {
	char name[LANE_MAX + 1];
	size_t len, index;
	struct consumer *consumer;
	struct dest **dests;
	struct dest *first_runnable[2], *last_runnable[2];	/* [1]: those with nothing but bulk */
	unsigned picks;
	size_t ndests, buckets;
	size_t count, leased, deferred_here;	/* waiting in memory; in hand; of both, those that stand in the store as deferred */
	uint64_t epoch;			/* grows when its entries are forgotten */
	/* What of the store's rows is known here; load.c. */
	bool passing, paused, rest, full, hungry;	/* full: some were dropped for want of room; hungry: a destination whose items were dropped has few left */
	int64_t pass_to, scanned_to, dropped_from, next_due;
	unsigned done, turn;		/* bits of shards that this pass has finished; the one to look at next */
	struct key cursor[SHARDS];
};

/* Pauses between attempts. Immutable; whoever reads one may go on with it when it was replaced, so it stays until its consumer goes. */
struct ladder {
	struct ladder *older;
	size_t n;
	uint32_t seconds[];
};

struct consumer {
	struct consumer *next;
	struct queue *q;
	struct pb_host *host;
	int (*work)(void *self, struct pb_item *item, struct pb_error *err);
	char **lanes;
	unsigned workers, per_destination, poison;
	_Atomic(struct ladder *) ladder;
	_Atomic int64_t expire, notice;	/* microseconds */
	bool flush, detached, is_courier;
	unsigned running;
};

enum count { COUNT_FRESH, COUNT_DEFERRED, COUNT_HELD, COUNT_DEAD, COUNTS };

struct lane_count {
	struct lane *lane;
	int64_t n[COUNTS];
};

enum { LATER_MAX = 32 };

struct shard {
	pthread_mutex_t lock;
	struct {
		struct entry *row;
		struct body_id body;
	} later[LATER_MAX];		/* hops that are settled: their rows go with the next batch; hop.c */
	size_t nlater;
	char name[4];
	struct lane_count *counts;	/* by lane index; those never touched have no lane */
	size_t ncounts;
	struct pb_buf header;
};

struct queue {
	struct kernel *kernel;
	struct shard shards[SHARDS];
	atomic_uint sequence;
	atomic_ullong next_sub;
	atomic_bool stopping;
	pthread_mutex_t lock;		/* all that follows */
	struct lane **lanes;
	size_t nlanes, turn;
	struct entry **table;
	size_t nentries, buckets, blob_bytes, ready;
	struct entry *hops;		/* those that wait; hop.c */
	atomic_uint later;		/* rows of all shards that go with the next batch */
	struct consumer *consumers;
	struct consumer *leaving;	/* detached while in work */
	/* dispatch.c */
	pthread_cond_t work, timer, gone;
	pthread_t timer_thread;
	bool timer_runs, closing, ticking;
	unsigned threads, idle, waking, busy, cpus, threads_max;
	struct look {			/* one of the idle ones may be awake, and is called by the flag instead of the condition */
		bool possible, on, turning;	/* it can be called; it is not back yet */
		atomic_bool called;
		int64_t us, not_before, ran_dry;	/* how long, from when on; when a worker last found nothing more */
	} look;
	uint64_t picks, poked, rounds;	/* rounds: how often the timer has looked at everything */
	/* counters */
	struct inhand *inhand;		/* inhand.h; NULL: crashes are not looked into */
	struct metric *accepted, *delivered, *relayed, *retried, *failed, *dead;
};

/* What is said of items in a lane that has no consumer. */
#define LANE_UNSERVED "no plugin serves this lane now: see plugin list"

struct lane *lane_get(struct queue *q, struct pb_str name);	/* makes it; NULL for a name that cannot be one */
bool lane_takes(const struct consumer *c, const struct lane *lane);
void lane_bind(struct queue *q, struct lane *lane);		/* to the first consumer that wants it */
void lane_limits_changed(struct lane *lane);			/* its consumer has another per_destination */
void lane_clear(struct queue *q, struct lane *lane);		/* forget what waits; the rows stay */
void lane_look_again(struct lane *lane, int64_t due, int64_t when);	/* at the store's rows from due on, at that time */
void lane_free(struct lane *lane);
struct entry *lane_entry_new(struct lane *lane, unsigned shard, enum state state, int64_t due, const char *id, uint64_t sub);
void entry_free(struct queue *q, struct entry *e);
struct entry *entry_find(struct queue *q, const char *id, uint64_t sub);
void entry_add(struct queue *q, struct entry *e);
void entry_remove(struct queue *q, struct entry *e);		/* from the table; not freed */
bool entry_is_deferred(const struct entry *e);
/* An entry of the table becomes ready; where there is no room or nobody to work on it, it is removed and freed (the row stays). */
void entry_publish(struct queue *q, struct entry *e);
void entry_unlink(struct queue *q, struct entry *e);		/* a ready one, out of its destination's list */
struct entry *lane_pick(struct queue *q, struct lane *lane);	/* becomes leased */
void entry_finish(struct queue *q, struct entry *e);		/* a leased one: its lease ends, it is removed and freed; with what it stands on */
void entry_part(struct queue *q, struct entry *e);		/* without that */

/* The entry whose row stands for this one. */
static inline struct entry *entry_base(struct entry *e)
{
	return e->under ? e->under : e;
}

/* ---- batches: batch.c ---- */

/* One atomic change of one shard: rows out, rows in, and what that means for references, counters and memory. */
struct batch {
	struct queue *q;
	unsigned shard;
	struct pb_arena *arena;		/* keys; made on first use */
	struct entry *rows, **last;	/* new rows, as entries that are not published yet */
	struct engine_row *put;
	struct pb_str *remove, *absent;
	struct body_id *ref, *unref;
	size_t nput, nremove, nabsent, nref, nunref, cput, cremove, cabsent, cref, cunref;
	struct lane_count *deltas;
	size_t ndeltas, cdeltas;
};

void batch_init(struct batch *b, struct queue *q, unsigned shard);
/* A new row, its bytes still to be encoded into ->blob. fresh: due when its id was made. */
struct entry *batch_row(struct batch *b, struct lane *lane, enum state state, int64_t due, const char *id, uint64_t sub);
void batch_gone(struct batch *b, struct lane *lane, enum state state, int64_t due, const char *id, uint64_t sub);
void batch_ref(struct batch *b, const struct body_id *body);
void batch_unref(struct batch *b, const struct body_id *body);	/* takes back a batch_ref of the same body first */
bool batch_refers(const struct batch *b, const struct body_id *body);
void batch_name(struct batch *b, const char *id, int64_t now);	/* remember a named id; conflicts when it is known */
/* New rows enter the table as pending ones, then the change is applied. After a failure nothing is left of it in memory. */
int batch_apply(struct batch *b, engine_ticket *ret_ticket, struct pb_error *err);
/* After it was applied, with the queue's lock held: new active rows that are due become ready; gives the lane of the first. */
struct lane *batch_publish(struct batch *b, int64_t now);
void batch_free(struct batch *b);	/* rows that were not applied are freed with it */

/* Rows for recipients, split where they are many: begin with the row's head, add, end. */
struct rows_writer {
	struct batch *b;
	struct lane *lane;
	enum state state;
	const char *id;
	const struct row *head;
	const struct pb_envelope *env;
	int64_t due;			/* of the row, or INT64_MIN: the first of its recipients */
	struct entry *e;
	size_t n;
	int64_t first;
};
void rows_begin(struct rows_writer *w, struct batch *b, struct lane *lane, enum state state, const char *id, const struct row *head,
		const struct pb_envelope *env, int64_t due);
void rows_add(struct rows_writer *w, const struct rcpt_state *to);
int rows_end(struct rows_writer *w, struct pb_error *err);

/* ---- items: item.c, settle.c ---- */

enum report { REPORT_FAILED, REPORT_DELIVERED, REPORT_RELAYED, REPORT_DELAYED, REPORTS };
/* Those who were served come first: what came of them is kept in a file, see inhand.h. */
enum outcome { TODO, DELIVERED, RELAYED, FORWARDED, RETRY, FAILED, DROPPED, SENT };

static inline bool is_served(enum outcome outcome)
{
	return outcome >= DELIVERED && outcome <= FORWARDED;
}

struct pb_recipient {
	struct pb_handle handle;
	struct pb_item *item;
	struct rcpt_state was;
	bool in_hand;			/* due: this attempt is about it */
	enum outcome outcome;
	int report;			/* enum report, or -1 */
	_Atomic uint64_t *fact;		/* told to the next start, if this process ends now; or NULL */
};

struct sent {
	struct sent *next;
	struct pb_recipient *to;
	struct lane *lane;
	struct pb_str destination, target;
	bool done;
};

/* A message that goes back into an inbound lane with this item's settling. */
struct reentry {
	struct reentry *next;
	char id[PB_ID_MAX];
	bool named, injected, dropped;
	size_t settled;			/* how many recipients were settled when it was made */
	struct body_id body;
	struct pb_envelope *env;
};

/* A body that an item got while it was in hand; and the handle that it had before. */
struct new_body {
	struct new_body *next;
	struct body_id id;
	struct pb_body *before;
};

struct pb_item {
	struct pb_handle handle;
	struct queue *q;
	struct consumer *consumer;
	struct entry *entry;
	struct row row;
	struct pb_envelope env;
	struct pb_rcpt **env_rcpts;
	struct pb_recipient *to;
	size_t n, at, settled;
	size_t before;			/* were served before this process began */
	bool died;			/* it becomes a dead letter */
	enum want want;			/* an administrator's, as it was when settling began */
	struct pb_body *body;
	struct body_id leased;		/* the body that the row in hand refers to; row.body is another once it was set anew */
	struct new_body *bodies;	/* those that were set, the last first */
	struct pb_arena *arena;
	struct sent *sent, *newest, **last_sent;
	struct reentry *reentries, **last_reentry;
};

/* Reads and decodes what an entry stands for. PB_ENOTFOUND: it is gone. */
int item_open(struct queue *q, struct consumer *c, struct entry *e, struct pb_item **ret, struct pb_error *err);
void item_free(struct pb_item *item);
struct pb_str item_keep(struct pb_item *item, struct pb_str text);	/* a copy that lives as long as item */
/* It becomes a dead letter, as it is. The lease goes on. */
int item_bury(struct queue *q, struct entry *e, const struct pb_error *why);
/* Everything that a leased entry's turn means; gives the lane where its first successor waits, or NULL. */
struct lane *item_run(struct queue *q, struct consumer *c, struct entry *e);
int64_t settle_due(const struct consumer *c, unsigned attempts, int64_t now);
void report_decide(struct pb_item *item, int64_t now);
void report_build(struct pb_item *item, struct batch *b);

/* ---- hops: hop.c ---- */

/* Is everything said of an item that it goes on? */
bool hop_fits(const struct pb_item *item);
/* The one row of b, which is not applied, goes on from the entry from without being written, and from's lease with it. NULL: it has to be written. */
struct lane *hop_begin(struct queue *q, struct batch *b, struct entry *from, int64_t now);
/* With the lock held: it waits no more; and as if it had never been made: it waits nowhere, and is freed. What stood under it is still leased. */
void hop_taken(struct entry *e);
void hop_undo(struct queue *q, struct entry *e);
void hop_write_late(struct queue *q, int64_t now);	/* those that wait for too long; on the timer's thread */
/* It is settled, and nothing is left of it: its row goes away later. False: there is no room for that. */
bool hop_end(struct queue *q, struct entry *e, const struct body_id *body);
/* With the shard's lock: take these rows along; and once the batch was applied, without it: they are gone. Gives how many. */
size_t hop_collect(struct batch *b, struct entry *ret[LATER_MAX]);
void hop_gone(struct queue *q, struct entry *const *rows, size_t n);
void hop_sweep(struct queue *q);			/* in batches of their own, those that found none */

/* ---- what is in hand, for the next start: inhand.c ---- */

int inhand_open(struct queue *q, struct pb_error *err);
void inhand_ending(struct queue *q);
void inhand_close(struct queue *q);
void inhand_enter(struct queue *q);	/* a worker's thread begins, and ends */
void inhand_leave(void);
/* This thread takes an item that is open. False: it is not its time; its lease has ended. */
bool inhand_begin(struct queue *q, struct pb_item *item);
void inhand_end(struct queue *q);
/* served.c: settle whom the process before served; and forget that they were, once they are settled. */
void served_apply(struct pb_item *item);
void served_forget(struct pb_item *item);

/* ---- the rest ---- */

unsigned queue_sequence(struct queue *q);
uint64_t queue_sub(struct queue *q);
unsigned queue_shard_of(const char *id);
struct timeline *queue_timeline(struct queue *q);
bool spool_is_named(const struct pb_spool *spool);
int accept_rows(struct batch *b, struct lane *lane, const char *id, const struct body_id *body, const struct pb_envelope *env, struct pb_error *err);
void accept_note(struct queue *q, const char *who, const char *id, const struct pb_envelope *env, uint64_t size);	/* into the timeline */

/* dispatch.c; with the queue's lock held */
void dispatch_wake(struct queue *q);	/* something became ready */
void dispatch_wake_unlock(struct queue *q);	/* and lets the lock go first: who is woken needs it */
void dispatch_poke(struct queue *q);	/* the timer looks at everything again */
int dispatch_start(struct queue *q, struct pb_error *err);
void dispatch_stop(struct queue *q);
/* load.c: bring due rows into memory, one page; gives whether there is more to do at once. Called without the lock, on the timer's thread. */
bool load_step(struct queue *q, int64_t now);
int64_t load_next(struct queue *q, int64_t now);	/* when load_step has something to do again; with the lock held */
void names_forget(struct queue *q, int64_t now);	/* named ids that are old */

/* shard.c */
int shard_open(struct queue *q, unsigned n, struct pb_error *err);	/* the counters of all its lanes, which are made */
void shard_count(struct shard *s, const struct lane_count *delta, size_t n, int sign);
void shard_header(struct shard *s);
void shard_close(struct shard *s);
static inline struct pb_str shard_entity(const struct shard *s)
{
	return pb_str(s->name, 3);
}
enum count count_of(enum state state, int64_t due, const char *id);

#endif
