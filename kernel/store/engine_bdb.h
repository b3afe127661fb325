/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of the engine on Berkeley DB and segment files: what its parts know of each other. Nothing outside engine_bdb* and its test includes it.
 *
 * A store's directory: FORMAT (what it is, and which format), journal, db/ (rows.db, refs.db and the log), seg/ (bodies), reserve (room to delete in when the disk is
 * full), durable (which frame of the journal was whole, as far as this process came).
 *  - rows.db: <entity, escaped> 00 00 -> version, header; <entity, escaped> 00 01 <key> -> value. Byte order is the order of entities and of keys.
 *  - refs.db: 'b' segment offset -> how many rows name the body, its size, and where it lies now if compaction moved it; 'm' segment offset -> the id's segment and offset,
 *    for bodies that were moved into that place.
 *  - journal: what was acknowledged last, bodies and batches; see journal.h. The log and the segments become durable behind it, once for each half of it.
 *  - the log holds two kinds of records of our own: a mark before the commit of a batch that refers to new bodies, and one at the start of each flush that says up to
 *    where everything was durable. A start after a crash writes the journal's bodies to their segments, cuts the log before the first mark whose body is not whole, so
 *    that what is left is a prefix of the batches, and applies those batches of the journal again that are not in it. For that to be right no page may be written whose
 *    changes are younger than the last whole flush; the hook around pwrite sees to it.
 */
#ifndef KERNEL_STORE_ENGINE_BDB_H
#define KERNEL_STORE_ENGINE_BDB_H

#include <db.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "kernel/store/engine_ops.h"
#include "kernel/store/journal.h"
#include "kernel/store/segment.h"

enum {
	STORE_FORMAT = 1,
	STRIPES = 256,			/* locks that entities share */
	LOG_MARK = DB_user_BEGIN + 1,	/* our records in the log */
	LOG_FLUSH = DB_user_BEGIN + 2,
	FLUSH_DELAY_MS = 10		/* a batch that nobody waits for is durable after twice this, and the time of the flush */
};

struct when {
	engine_ticket ticket;
	void (*then)(void *arg);
	void *arg;
};

/* Somebody who waits for a flush, on his own stack. */
struct waiter {
	struct waiter *next;
	engine_ticket ticket;		/* 0: any flush will do */
	uint64_t lsn;
	bool queued;
	sem_t turn;			/* posted when it is done, or when this one is to flush */
};

/*
 * Who waits for a ticket makes the flush himself if nobody is at it, for all that wait with him; the thread flushes what nobody waits for, and calls back.
 * The helper flushes segments that need a flush of their own at the same time as the log is flushed.
 */
struct committer {
	pthread_t thread, helper;
	bool running, stop;
	pthread_mutex_t lock;
	pthread_cond_t work;
	bool flushing;			/* somebody is at it */
	struct waiter *waiters, **last_waiter;
	atomic_bool armed;		/* the thread knows that there are tickets to flush */
	_Atomic uint64_t issued, durable;
	_Atomic uint64_t durable_lsn;	/* file << 32 | offset: log and segments are whole up to here */
	atomic_bool failed;		/* a flush failed: nothing more is written, nothing more becomes durable */
	char why[160];
	struct when *when;
	size_t nwhen, when_room;
	pthread_mutex_t helper_lock;
	pthread_cond_t helper_work, helper_done;
	uint64_t called_back;		/* up to which ticket */
	enum { HELPER_IDLE, HELPER_ASKED, HELPER_DONE, HELPER_STOP } helper_state;
	int helper_errno;
	uint64_t flushes;
	double late_flushes, late_bodies;	/* of whoever flushes */
};

/* The head of an entity as it lies in rows.db; empty: of none. */
struct head_kept {
	char entity[64];
	size_t entity_len;
	struct pb_buf value;
};

struct bdb {
	struct engine base;
	char *dir;
	int db_dir;			/* of db/, to make log files durable */
	uint64_t cache_bytes, log_bytes;
	uint32_t sync_from;		/* segments from this one on may hold what is not on the disk, after a crash */
	struct durable_note *note;	/* engine_bdb_durable.c; NULL: there is none */
	bool note_turn, note_found;	/* found: the file was there */
	bool unsafe_ack, deadlock_first;
	bool served;			/* it came to the end of opening */
	DB_ENV *env;
	DB *rows, *refs;
	struct { uint64_t device, inode; } files[2];	/* of rows.db and refs.db, for the hook */
	struct bdb *next;		/* in the hook's list */
	pthread_mutex_t stripes[STRIPES];
	struct head_kept heads[STRIPES];	/* each with its stripe */
	struct segments segments;
	struct journal journal;
	bool one_flush;			/* that of a segment keeps the journal's direct writes too */
	int (*flush)(int fd);		/* of the journal */
	pthread_mutex_t order;		/* of commits: in the journal, in the log, and of tickets */
	pthread_mutex_t home_lock;	/* one brings the journal home at a time */
	_Atomic uint32_t kept_log;	/* names of log files are durable up to this one */
	pthread_mutex_t log_files;	/* none is removed */
	uint64_t trimmed;		/* the checkpoint before which they are gone; with log_files */
	struct committer committer;
	pthread_t keeper;		/* checkpoints, prepares segments */
	bool keeper_running, keeper_stop;
	pthread_mutex_t keeper_lock;
	pthread_cond_t keeper_work;
	pthread_mutex_t care;		/* backup and compaction exclude each other */
	uint32_t compact_next;		/* the segment to look at */
	pthread_mutex_t db_error_lock;
	char db_error[200];		/* Berkeley DB's last words */
	char notice[200];		/* what the start had to do, in words */
	/* room on the disk */
	uint64_t (*room)(const char *dir);	/* bytes free */
	_Atomic uint64_t room_checked;	/* ms */
	atomic_bool full;
	pthread_mutex_t reserve_lock;
	bool reserve;			/* the reserve file is there */
};

static inline struct bdb *bdb_of(struct engine *e)
{
	return (struct bdb *)e;
}

/* Fold a code of Berkeley DB; appends its words. Notes that the environment needs recovery. */
int bdb_fail(struct bdb *b, struct pb_error *err, int r, const char *fmt, ...) PB_PRINTF(4, 5);

/* ---- environment: engine_bdb_env.c ---- */
int bdb_env_open(struct bdb *b, struct pb_error *err);
/* 0, or what went wrong on the way: then the disk may lack what only the journal has. */
int bdb_env_close(struct bdb *b);
/* Cut what a crash left half written off the log; before the environment is opened. */
int bdb_log_recover(struct bdb *b, struct pb_error *err);
/* Remove the log files that no start can need any more. What goes wrong with the log itself ends all writing, the rest is tried again the next time. */
void bdb_log_trim(struct bdb *b);
/* No page may reach the disk before the flush that its changes belong to. */
void bdb_hook_add(struct bdb *b);
void bdb_hook_remove(struct bdb *b);
int bdb_keeper_start(struct bdb *b, struct pb_error *err);
void bdb_keeper_stop(struct bdb *b);
int bdb_checkpoint(struct engine *e, struct pb_error *err);
/* Is there room for a batch that makes the store larger? Looks at the disk now and then. */
bool bdb_has_room(struct bdb *b);

/* ---- heads in memory: engine_bdb_heads.c, with the entity's stripe ---- */
/* False: it has to be read. */
bool bdb_head_kept(struct bdb *b, struct pb_str entity, struct pb_buf *value);
void bdb_head_keep(struct bdb *b, struct pb_str entity, struct pb_str value);
void bdb_head_forget(struct bdb *b, struct pb_str entity);
void bdb_heads_free(struct bdb *b);

/* ---- which frame was whole: engine_bdb_durable.c ---- */
void bdb_durable_open(struct bdb *b);
uint64_t bdb_durable_noted(struct bdb *b);	/* of those that were found; 0: nothing was */
/* Was a frame durable that is not found? PB_ECORRUPT; where the file is gone that says so, only a notice. */
int bdb_durable_check(struct bdb *b, struct pb_error *err);
void bdb_durable_note(struct bdb *b, uint64_t frame);
void bdb_durable_close(struct bdb *b);

/* ---- keys ---- */
enum { ROW_KEY_MAX = 2 * 64 + 2 + 1024 + 1, REF_KEY = 13 };

struct row_key {
	size_t len;
	unsigned char bytes[ROW_KEY_MAX];
};

enum row_kind { ROW_HEADER = 0, ROW_ROW = 1, ROW_END = 2 };	/* ROW_END: after all rows of the entity */

void row_key_make(struct row_key *k, struct pb_str entity, enum row_kind kind, struct pb_str key);
/* The entity's name out of a row's key; how many bytes of the key come before the kind (0: malformed). name has room for 64 bytes. */
size_t row_key_entity(struct pb_str key, char *name, size_t *ret_len);
void ref_key_make(unsigned char *key, char kind, uint32_t segment, uint64_t offset);

/* A reference row's value. */
struct ref_row {
	uint32_t count;
	uint64_t size;			/* of the body */
	bool moved;
	struct body_id now;		/* where it lies, if moved */
};

enum { REF_ROW_MAX = 48 };
size_t ref_row_pack(const struct ref_row *r, unsigned char *bytes);
bool ref_row_unpack(struct ref_row *r, const void *bytes, size_t len);

static inline DBT bdb_dbt(const void *ptr, size_t len)
{
	return (DBT) { .data = (void *)ptr, .size = len };
}

/* For answers: a buffer of the caller. */
static inline DBT bdb_into(void *ptr, size_t room)
{
	return (DBT) { .data = ptr, .ulen = room, .flags = DB_DBT_USERMEM };
}

/* ---- apply: engine_bdb_apply.c ---- */
int bdb_apply(struct engine *e, const struct engine_batch *batch, uint64_t *ret_version, engine_ticket *ret_ticket, struct pb_error *err);
/* At a start, from the journal: no guards. */
int bdb_apply_again(struct bdb *b, const struct engine_batch *batch, struct pb_error *err);
int bdb_drop(struct engine *e, struct pb_str entity, struct pb_error *err);
/* A new body in the mark that goes into the log before the commit. */
void bdb_mark_add(struct pb_buf *mark, const struct body_id *id);
/* Written by this process, and no row has named it yet. */
void bdb_set_fresh(struct bdb *b, const struct body_id *id, bool on);
pthread_mutex_t *bdb_stripe(struct bdb *b, struct pb_str entity);
/* The one place where a transaction begins, is retried after a deadlock, and commits. work returns a Berkeley DB code (0: commit), or BDB_REFUSED after it
 * filled err. entry goes into the journal with the commit; without one only bdb_settle makes it durable. Gives the ticket. */
#define BDB_REFUSED (-1)
int bdb_transact(struct bdb *b, int (*work)(struct bdb *b, DB_TXN *txn, void *arg, struct pb_error *err), void *arg, const struct pb_buf *entry, engine_ticket *ret_ticket,
	struct pb_error *err);

/* ---- reading: engine_bdb_scan.c ---- */
int bdb_head(struct engine *e, struct pb_str entity, uint64_t *ret_version, struct pb_buf *header, struct pb_error *err);
int bdb_get(struct engine *e, struct pb_str entity, struct pb_str key, struct pb_buf *value, struct pb_error *err);
int bdb_scan(struct engine *e, struct pb_str entity, struct pb_str from, struct pb_str to, size_t limit, struct engine_page *page,
	struct pb_error *err);
int bdb_entities(struct engine *e, struct pb_str prefix, struct pb_str after, size_t limit, struct engine_page *page, struct pb_error *err);
/* A row of either database into a buffer that grows; a Berkeley DB code. */
int bdb_fetch(DB *db, DB_TXN *txn, const void *key, size_t len, struct pb_buf *value, uint32_t flags);
enum { HEADER_FIXED = 9 };	/* format byte, version */

/* ---- bodies: engine_bdb_bodies.c ---- */
int bdb_body_write(struct engine *e, const struct pb_str *parts, size_t nparts, struct pb_str facts, struct body_id *ret, struct pb_error *err);
int bdb_body_write_fd(struct engine *e, int fd, uint64_t size, struct pb_str facts, struct body_id *ret, struct pb_error *err);
void bdb_body_discard(struct engine *e, const struct body_id *id);
int bdb_body_open(struct engine *e, const struct body_id *id, struct engine_body **ret, struct pb_error *err);
void bdb_body_close(struct engine_body *body);
int bdb_body_facts(struct engine *e, const struct body_id *id, struct pb_buf *out, struct pb_error *err);
/* Where new bodies go after a start: behind the last one that a row names and all that follow it. */
int bdb_bodies_resume(struct bdb *b, struct pb_error *err);

/* Did this body reach its segment whole? */
bool bdb_body_whole(struct bdb *b, const struct body_id *id);

/* ---- journal: engine_bdb_journal.c ---- */
/* How many bytes at a header's two ends are as they were. */
struct header_change {
	size_t front, back;
};
/* A batch that gave its entity this version, as bytes for the journal; fresh: for each ref, whether it makes the body live. */
void bdb_journal_batch(struct pb_buf *out, const struct engine_batch *batch, uint64_t version, const struct header_change *same, const char *fresh);
void bdb_journal_add(struct bdb *b, struct pb_str entry);	/* with b->order */
/* Write the frame whose batches were taken, with these bodies; with flush it is durable then. 0, errno or a code of Berkeley DB. */
int bdb_journal_write(struct bdb *b, const struct segment_news *list, size_t n, bool flush);
/* Say in the log up to where all is durable, and make the log durable up to there. 0, errno or a code of Berkeley DB. */
int bdb_flush_log(struct bdb *b);
/* Log files are made by whoever fills the one before: make the names of those up to this one durable. 0 or errno. */
int bdb_keep_log(struct bdb *b, uint32_t file);
/* Make what was journaled durable where it belongs, if the journal's other half is still needed, or in any case. Where it fails nothing is written any more. */
int bdb_bring_home(struct bdb *b, bool all);
/* All that was committed is durable where it belongs, and nothing before this is in the journal any more. */
int bdb_settle(struct bdb *b, struct pb_error *err);
/* At a start: the bodies to their segments; then, with the index open, the batches that it does not have. */
int bdb_journal_bodies(struct bdb *b, struct pb_error *err);
int bdb_journal_batches(struct bdb *b, struct pb_error *err);

/* ---- committer: engine_bdb_committer.c ---- */
int bdb_committer_start(struct bdb *b, struct pb_error *err);
/* The record that begins a flush; its place. A code of Berkeley DB. */
int bdb_log_flush_record(struct bdb *b, DB_LSN *ret);
void bdb_committer_stop(struct bdb *b);		/* after a last flush */
/* A ticket for what was just committed. */
engine_ticket bdb_ticket(struct bdb *b);
int bdb_wait(struct engine *e, engine_ticket ticket, struct pb_error *err);
engine_ticket bdb_durable(struct engine *e);
void bdb_when_durable(struct engine *e, engine_ticket ticket, void (*then)(void *arg), void *arg);
/* Waits until log and segments are whole up to this LSN. 0, or -1: a flush failed. */
int bdb_wait_lsn(struct bdb *b, uint64_t lsn);
void bdb_set_failed(struct bdb *b, const char *why);
/* 0, or PB_EINTERNAL and why nothing is written any more. */
int bdb_failed(struct bdb *b, struct pb_error *err);

/* ---- care ---- */
/* Reference rows as they lie, copied out. */
struct ref_at {
	uint32_t segment;
	uint64_t offset;
	size_t len;
	unsigned char value[REF_ROW_MAX];
};
/* At most room rows of a kind from this place on. A Berkeley DB code. */
int bdb_refs_page(struct bdb *b, char kind, uint32_t segment, uint64_t offset, struct ref_at *list, size_t room, size_t *ret_n);
int bdb_backup(struct engine *e, const char *dir, struct pb_error *err);
int bdb_verify(struct engine *e, void (*tell)(void *arg, const char *finding), void *arg, uint64_t *ret_records, uint64_t *ret_findings, struct pb_error *err);
int bdb_compact(struct engine *e, bool *ret_more, struct pb_error *err);

#endif
