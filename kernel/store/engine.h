/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine: what a store must be able to do, and no more. One atomic guarded batch on one entity, immutable bodies, hints.
 * Mailboxes, lanes and tables are written once over this, so nothing above holds a cursor or a transaction.
 *
 * Rules that every engine keeps, and that the conformance suite tests:
 *  - apply is all or nothing, and other callers see it at once; it is durable when its ticket is (engine_wait).
 *  - tickets are durable in order: ticket t durable means every smaller ticket is.
 *  - after a crash the state is that of some prefix of the applied batches, which holds every durable ticket.
 *  - a body exists as long as rows refer to it: refs and unrefs are part of a batch. A body nobody ever referred to goes with a crash or a discard.
 *  - two applies on one entity never run at once; on different entities they may.
 */
#ifndef KERNEL_STORE_ENGINE_H
#define KERNEL_STORE_ENGINE_H

#include <postbus/str.h>

struct engine {
	const struct engine_ops *ops;
};

typedef uint64_t engine_ticket;		/* 0: nothing to wait for */

/* Where a body and its facts lie; fixed size, kept inside rows byte for byte; compare with memcmp. random tells a stale id from a reused place. */
struct body_id {
	uint32_t segment, random;
	uint64_t offset;		/* of the record in its segment */
	uint32_t facts_offset, facts_len;	/* in the segment's facts file */
	uint64_t size;			/* bytes of the body */
};

struct engine_row {
	struct pb_str key, value;
};

#define ENGINE_ANY UINT64_MAX		/* do not test the version */

/* Every array may be NULL with count 0. Keys at most 1 KiB (may be empty), values at most 1 MiB. Within a batch, removals come before puts. */
struct engine_batch {
	struct pb_str entity;		/* 1..64 bytes */
	uint64_t expect;		/* version the entity must have (0: must not exist), or ENGINE_ANY */
	const struct pb_str *header;	/* new header (small; read with the version), or NULL: as it is */
	const struct pb_str *absent;	/* guards: keys that must not be there */
	size_t nabsent;
	const struct engine_row *equal;	/* guards: keys that must have exactly this value */
	size_t nequal;
	const struct engine_row *put;
	size_t nput;
	const struct pb_str *remove;	/* not there is fine */
	size_t nremove;
	const struct body_id *ref;	/* one reference more for each; the first ref makes it live */
	size_t nref;
	const struct body_id *unref;
	size_t nunref;
};

/* Each apply makes the version one greater. PB_ECONFLICT: version or guard did not hold; PB_ENOTFOUND: a body to ref is not there; PB_EFULL: no room.
 * Nothing was written then. An unref of a body that is gone is nothing. ret_version, ret_ticket may be NULL. */
int engine_apply(struct engine *e, const struct engine_batch *b, uint64_t *ret_version, engine_ticket *ret_ticket, struct pb_error *err);
/* Blocks until the ticket is durable. PB_EFULL or PB_EINTERNAL: the flush failed; the engine then takes no more writes until reopened. */
int engine_wait(struct engine *e, engine_ticket ticket, struct pb_error *err);
/* Highest durable ticket: an atomic load. */
engine_ticket engine_durable(struct engine *e);
/* Called on the committer's thread, shortly, once the ticket is durable (at once, on this thread, if it is). For "wake the watchers after the flush".
 * If nobody waits for the ticket that takes about 20 ms. Never called where a flush failed: the process is to end then. */
void engine_when_durable(struct engine *e, engine_ticket ticket, void (*then)(void *arg), void *arg);

/* Version 0 where the entity does not exist. header may be NULL. */
int engine_head(struct engine *e, struct pb_str entity, uint64_t *ret_version, struct pb_buf *header, struct pb_error *err);
/* PB_ENOTFOUND. Replaces what is in value. */
int engine_get(struct engine *e, struct pb_str entity, struct pb_str key, struct pb_buf *value, struct pb_error *err);

/* A page of rows: keys from <= key < to (to empty: no end), at most limit rows and about 1 MiB. more: there is at least one further row;
 * go on from the last key and a NUL byte. */
struct engine_page {
	struct engine_row *rows;	/* views into the page */
	size_t n;
	bool more;
	uint64_t version;		/* of the entity, as the page saw it */
	struct pb_buf bytes;		/* owned */
	size_t room;			/* owned */
};

#define ENGINE_PAGE { .bytes = PB_BUF }
/* Fills page (reusing its memory). */
int engine_scan(struct engine *e, struct pb_str entity, struct pb_str from, struct pb_str to, size_t limit, struct engine_page *page, struct pb_error *err);
void engine_page_free(struct engine_page *page);

/* ---- bodies ---- */

struct engine_body;			/* an open body: holds its segment */

/* Written at once: at most 4 GiB; parts are joined. facts may be empty; they are a cache that may be lost and is never flushed.
 * The body is durable together with the first ticket of a batch that refs it. PB_EFULL. */
int engine_body_write(struct engine *e, const struct pb_str *parts, size_t nparts, struct pb_str facts, struct body_id *ret, struct pb_error *err);
/* Copies size bytes of fd from its start instead of parts. */
int engine_body_write_fd(struct engine *e, int fd, uint64_t size, struct pb_str facts, struct body_id *ret, struct pb_error *err);
/* A body that never got a ref: its room is free again. */
void engine_body_discard(struct engine *e, const struct body_id *id);
/* Open for reading; cheap. PB_ENOTFOUND: segment missing or id stale; PB_ECORRUPT: its record fails its check (the CRC of the whole body is tested on first open). */
int engine_body_open(struct engine *e, const struct body_id *id, struct engine_body **ret, struct pb_error *err);
struct pb_str engine_body_bytes(const struct engine_body *b);	/* mapped; valid until close */
void engine_body_close(struct engine_body *b);			/* NULL is fine; thread-safe */
/* Append the facts to out. PB_ENOTFOUND or PB_ECORRUPT: make them again from the body. */
int engine_body_facts(struct engine *e, const struct body_id *id, struct pb_buf *out, struct pb_error *err);

/* ---- care ---- */

/* Remove an entity and all its rows (in steps; bodies listed by the caller's own batches). */
int engine_drop(struct engine *e, struct pb_str entity, struct pb_error *err);
/* Names of entities with a prefix, in byte order, at most limit, after `after` (empty: from the first). The rows' keys are the names; values are empty. */
int engine_entities(struct engine *e, struct pb_str prefix, struct pb_str after, size_t limit, struct engine_page *page, struct pb_error *err);
int engine_checkpoint(struct engine *e, struct pb_error *err);
/* A consistent copy in directory dir (must be empty or hold an earlier backup of this store: then only what is new is copied), while serving. */
int engine_backup(struct engine *e, const char *dir, struct pb_error *err);
/* Reads everything; tell is called for each finding, in words. ret_findings: how many. Changes nothing. */
int engine_verify(struct engine *e, void (*tell)(void *arg, const char *finding), void *arg, uint64_t *ret_records, uint64_t *ret_findings, struct pb_error *err);
/* Move live bodies out of a segment that is mostly dead and remove that segment. One step; *ret_more: worth calling again.
 * Ids stay valid: what moved is found through its reference row, so nothing above the engine hears of it. */
int engine_compact(struct engine *e, bool *ret_more, struct pb_error *err);

struct engine_stats {
	uint64_t flushes, tickets, bytes_written, bodies, body_bytes;	/* since the engine was opened */
	uint64_t dead_bytes, segments, log_bytes, journal_bytes;	/* dead: as far as it is known yet */
	bool readonly;			/* a flush failed or there is no room */
	bool failed;			/* a flush failed: only opening it again helps */
	char why[240];			/* of failed */
	char notice[200];		/* what opening had to mend, in words, or empty: whoever opened logs it */
};
void engine_stats(struct engine *e, struct engine_stats *ret);
void engine_close(struct engine *e);		/* flushes; NULL is fine */

/* ---- which ---- */

struct engine_options {
	const char *dir;		/* bdb: the store's directory; made if missing */
	uint64_t cache_bytes;		/* 0: 64 MiB */
	uint64_t segment_bytes;		/* 0: 64 MiB */
	uint64_t log_bytes;		/* of one file of the log; 0: 16 MiB */
	uint64_t journal_bytes;		/* of the journal, where it is made; 0: 8 MiB */
	/* tests only */
	bool unsafe_ack;		/* tickets count as durable before the flush, to prove that the power-cut test can fail */
	bool deadlock_first;		/* every first attempt of a batch is made again, as if it had met a deadlock */
	int (*flush)(int fd);		/* of the journal; NULL: fdatasync */
	uint64_t (*room)(const char *dir);	/* bytes that are free on the disk; NULL: what the system says */
};
int engine_bdb_open(const struct engine_options *o, struct engine **ret, struct pb_error *err);
int engine_memory_open(const struct engine_options *o, struct engine **ret, struct pb_error *err);

#endif
