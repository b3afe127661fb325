/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of the mail store: accounts, folders and views as the files of this room share them. Nobody else includes it.
 *
 * Entities: "m/<mailbox>" is an account (header: counters and quota; rows d<number> a folder, s<name> a subscription, g<number> a folder
 * whose messages are still to be removed, a<number><entry> an annotation), "f/<mailbox>/<number>" a folder (header: struct folder_head; rows u<uid> a message, never
 * rewritten; i<block> the rows of a block again, packed; b<block> changed flags; k keywords; x<modseq> expunged UIDs; t<bucket><token> delivery tokens; m<modseq> a move whose
 * source was not yet emptied). A folder that was never written has no entity: its first batch makes it.
 *
 * What a client sees is durable. A folder keeps the chain of its pictures from the newest durable one to the newest applied one;
 * writers work on the newest, readers get the durable one, and the engine's tickets, durable in order, move the border.
 *
 * Locks, outer first: account, folder (several: by number), mailstore. None is held while a flush is waited for.
 */
#ifndef KERNEL_STORE_FOLDER_H
#define KERNEL_STORE_FOLDER_H

#include <pthread.h>
#include "kernel/host.h"
#include "kernel/store/mailstore.h"
#include "kernel/store/pack.h"
#include "kernel/store/rows.h"

enum {
	FOLDER_NAME_MAX = 1000, FOLDER_DEPTH_MAX = 32, FOLDERS_MAX = 10000, MAILBOX_ID_MAX = 48, HEAD_MAX = 2048, TOKEN_MAX = 512,
	ENTITY_MAX = 64, KEYWORD_MAX = 100, TOMBSTONES_MAX = 4096
};

#define TOKEN_BUCKET (8 * PB_DAY)		/* a token is remembered for 8 to 16 days of tokens.c */
#define SYSTEM_FLAGS (PB_SEEN | PB_ANSWERED | PB_FLAGGED | PB_DELETED | PB_DRAFT)
#define SPECIAL_USES (PB_FOLDER_ALL | PB_FOLDER_ARCHIVE | PB_FOLDER_DRAFTS | PB_FOLDER_FLAGGED | PB_FOLDER_JUNK | PB_FOLDER_SENT | PB_FOLDER_TRASH)

struct account;
struct folder;

/* tokens.c */
struct token_age {
	pthread_mutex_t lock;
	int64_t age, now;			/* microseconds of deliveries; the clock when the last of them came */
	int64_t kept;				/* the age in the store */
};

struct mailstore {
	struct engine *engine;
	struct clock *clock;
	struct log *log;
	int64_t budget;				/* bytes of rows kept */
	const struct pb_host_ops *_Atomic ops;	/* of views and their bodies, which belong to no host */
	_Atomic int64_t bytes;
	_Atomic bool trimming;
	pthread_mutex_t lock;
	pthread_cond_t loaded;			/* an account is complete, or failed */
	struct account **buckets;
	size_t nbuckets, naccounts;
	struct folder *oldest, *youngest;	/* all folders in memory, a clock for eviction */
	struct token_age tokens;
};

/* ---- accounts ---- */

struct entry {
	uint32_t number, uidvalidity;
	unsigned attributes;			/* special use, PB_FOLDER_NOSELECT */
	struct folder *live;			/* in memory; not a reference */
	size_t len;
	char name[];
};

struct holder {
	struct holder *next;
	const struct pb_mailbox *by;
	char name[];
};

struct account {
	struct account *next;			/* of its bucket */
	uint64_t hash;
	unsigned refs;				/* mailstore lock */
	int state;				/* mailstore lock; 0 loading, 1 complete, or an error */
	struct pb_error problem;
	struct mailstore *m;

	pthread_mutex_t lock;
	uint64_t version;
	engine_ticket ticket;			/* of its newest batch */
	uint32_t next_number, last_uidvalidity;
	bool exists, destroyed;
	struct entry **entries;			/* in name order, INBOX first */
	size_t nentries;
	char **subs;				/* NUL-terminated, in the same order */
	size_t nsubs;
	struct holder *holders;

	_Atomic uint32_t annotations;
	_Atomic uint64_t quota_messages, quota_bytes, messages, bytes;
	char id[MAILBOX_ID_MAX + 1];
};

/* A reference. PB_ENOTFOUND where it was never created, unless make (then account->exists tells). */
int account_get(struct mailstore *m, struct pb_str id, bool make, struct account **ret, struct pb_error *err);
void account_release(struct account *a);
struct entry *account_find(struct account *a, struct pb_str name);			/* account lock */
struct entry *entry_new(struct pb_str name, uint32_t number, uint32_t uidvalidity, unsigned attributes);
void account_insert(struct account *a, struct entry *e);				/* account lock */
void account_remove(struct account *a, struct entry *e);				/* account lock; does not free it */
bool account_subscribed(struct account *a, struct pb_str name, size_t *ret_at);	/* account lock; at: where it is or belongs */
uint32_t account_uidvalidity(struct account *a);					/* a new one, never given before */
struct pb_str account_entity(const struct account *a, char *room);
/* One batch on the account: rows, and its header as the struct has it. Account lock. */
int account_apply(struct account *a, const struct engine_row *put, size_t nput, const struct pb_str *remove, size_t nremove, struct pb_error *err);
struct engine_row entry_row(const struct entry *e, struct pb_arena *arena);
struct pb_str number_key(char kind, uint32_t number, struct pb_arena *arena);
/* Remove the messages of a folder that is no longer listed, then the row g<number>. No lock. */
int account_purge(struct account *a, uint32_t number, struct pb_error *err);
/* Keys of a folder's annotations, with room for two more. */
int annotation_keys(struct account *a, uint32_t number, struct pb_arena *arena, struct pb_str **ret, size_t *ret_n, struct pb_error *err);
/* "/" sorts before all else, so that children follow their parent; INBOX is first. */
int name_compare(struct pb_str a, struct pb_str b);
/* Checked, with INBOX in capitals; out has room for FOLDER_NAME_MAX. PB_EINVALID. */
int name_canonical(struct pb_str name, char *out, struct pb_str *ret, struct pb_error *err);
/* Is name below parent? */
bool name_is_below(struct pb_str name, struct pb_str parent);

/* Room in the quota for so much more, or PB_EQUOTA. What was taken is in use at once; give it back when it comes to nothing. ret_usage: with it; may be NULL. */
int quota_take(struct account *a, uint64_t messages, uint64_t bytes, bool over, struct pb_usage *ret_usage, struct pb_error *err);
void quota_give(struct account *a, uint64_t messages, uint64_t bytes);

/* ---- folders ---- */

enum { FOLDER_HEAD_SIZE = 1 + 10 * 4 + 3 * 8 + 1 };

struct folder_head {
	uint32_t uidvalidity, uidnext, messages, unseen, deleted, recent;
	uint32_t first_recent;			/* UIDs from here on are \Recent */
	uint32_t tombstones, moves;		/* rows of that kind */
	uint32_t token_bucket;			/* the oldest that may have tokens; 0: none */
	uint64_t modseq, bytes;
	uint64_t forgotten;			/* expunges up to this MODSEQ are not remembered */
	uint8_t keywords;			/* how many names row k has */
};

struct keywords {
	_Atomic unsigned refs;
	unsigned n;
	struct pb_str names[PB_KEYWORDS_MAX];
	struct pb_buf bytes;			/* the value of row k; names point into it */
};

struct pb_view {
	struct pb_handle handle;
	_Atomic unsigned refs;
	struct mailstore *m;
	struct pb_view *next;			/* folder lock: applied after it */
	uint64_t serial;			/* equal: a client sees the same */
	engine_ticket ticket;
	struct folder_head head;
	struct keywords *keywords;		/* NULL: none */
	struct row_set rows;
};

struct insert;

struct watcher {
	struct watcher *next;
	struct folder *f;
	void (*hint)(void *arg);
	void *arg;
};

struct folder {
	struct account *account;
	struct mailstore *m;
	struct folder *older, *younger;		/* mailstore lock */
	_Atomic unsigned refs;			/* one is the entry's; from 1 to 2 under the account's lock only */
	_Atomic bool touched;			/* used since the eviction's hand passed */
	_Atomic bool deleted;
	uint32_t number, uidvalidity;
	char entity[ENTITY_MAX];
	size_t entity_len;

	pthread_mutex_t lock;
	pthread_cond_t idle;			/* loading ended */
	bool loading;
	struct insert_row *late;		/* appended while loading */
	size_t nlate, late_room;
	struct pb_buf late_heads;		/* their heads */
	uint64_t version;
	struct pb_view *durable, *newest;	/* the chain; durable is its first */
	int64_t charge;				/* bytes counted in the mailstore */
	int64_t head_bytes;			/* about; of the rows' heads */

	_Atomic uint64_t serial;		/* of newest */
	_Atomic uint64_t ticket;		/* of newest */

	pthread_mutex_t waiting_lock;
	struct insert *waiting, **waiting_end;	/* deliveries that whoever gets the lock applies together */

	pthread_mutex_t watch_lock;		/* held while hints run */
	struct watcher *watchers;
	_Atomic unsigned nwatchers;
	_Atomic bool armed;			/* the engine will call */
};

struct pb_mailbox {
	struct pb_handle handle;
	struct pb_host *host;
	struct account *account;
};

struct pb_folder {
	struct pb_handle handle;
	struct pb_host *host;
	struct folder *f;
	_Atomic uint64_t limit;			/* of the folder's bytes, for what comes through this handle; 0: none */
};

static inline struct pb_str folder_entity(const struct folder *f)
{
	return pb_str(f->entity, f->entity_len);
}

/* A reference to the folder of an entry; account lock. */
int folder_get(struct account *a, struct entry *e, struct folder **ret, struct pb_error *err);
void folder_release(struct folder *f);
size_t folder_head_encode(const struct folder_head *h, char *out);	/* FOLDER_HEAD_SIZE bytes of room */
int folder_head_decode(struct pb_str bytes, struct folder_head *ret, struct pb_error *err);
/* What a folder's header says; as of a new one where it was never written. */
int folder_head_read(struct engine *e, struct pb_str entity, uint32_t uidvalidity, uint64_t *ret_version, struct folder_head *ret, struct pb_error *err);
struct pb_str folder_entity_name(const struct account *a, uint32_t number, char *room);
/* Lock, or PB_ENOTFOUND where it was deleted. */
int folder_lock(struct folder *f, struct pb_error *err);
/* The same, with rows in memory. */
int folder_lock_rows(struct folder *f, struct pb_error *err);
/* Both, in their order; the same one is locked once. */
int folder_lock_pair(struct folder *a, bool a_rows, struct folder *b, struct pb_error *err);
void folder_unlock_pair(struct folder *a, struct folder *b);
/* Unlock, and see to watchers and memory. */
void folder_unlock_changed(struct folder *f);
void folder_unlock_pair_changed(struct folder *a, struct folder *b);
/* Moves the border of what is durable. Folder lock. */
void folder_promote(struct folder *f);
/* A picture that follows the newest one: change it, then folder_apply it (which takes it over) or view_release it. Folder lock. */
struct pb_view *folder_next(struct folder *f);
/* Entity, expected version and header are filled in. On failure v is gone. Folder lock. */
int folder_apply(struct folder *f, struct pb_view *v, struct engine_batch *b, struct pb_error *err);
/* After PB_ECONFLICT without a reason: reads the header again. Folder lock. */
int folder_reload(struct folder *f, struct pb_error *err);
/* Waits for the folder's ticket. No lock. */
int folder_wait(struct folder *f, engine_ticket ticket, struct pb_error *err);
/* Keeps the store's memory within its budget. No lock. */
void mailstore_trim(struct mailstore *m);
/* Frees folder number when nobody refers to it, or its rows where somebody does. No lock. */
void folder_evict(struct account *a, uint32_t number);
/* Deleted, after the account's batch that said so: from now on PB_ENOTFOUND. Account lock; e is unlisted by the caller. Gives the folder, or NULL
 * where it is not in memory, for folder_forgotten, which tells its watchers and lets it go. No lock. */
struct folder *folder_forget(struct entry *e);
void folder_forgotten(struct folder *f);				/* NULL is fine */
void folder_charge(struct folder *f);					/* counts its memory again; folder lock */
/* A row was inserted: into the rows of v (the newest), or among the late ones. Folder lock. */
void folder_row_added(struct folder *f, struct pb_view *v, const struct pb_row *row, const struct body_id *body, struct pb_str head);

struct pb_view *view_new(struct mailstore *m);
void view_ref(struct pb_view *v);
void view_release(struct pb_view *v);
int keywords_decode(struct pb_str value, struct keywords **ret, struct pb_error *err);
struct keywords *keywords_with(const struct keywords *k, struct pb_str name);		/* a new one that has name too */
void keywords_release(struct keywords *k);
int keywords_find(const struct keywords *k, struct pb_str name);			/* index, or -1 */

/* ---- messages ---- */

/* A row as the engine has it: u<uid> = version, head length, date, modseq, flags, body id, head. */
enum { ROW_BEFORE_HEAD = 1 + 4 * VARINT_MAX + ID_PACKED_MAX };	/* at most */
void row_key(char *key, char kind, uint32_t n);				/* 5 bytes */
size_t row_encode(char *out, const struct body_id *body, struct pb_str head, int64_t date, uint64_t modseq, uint64_t flags);
int row_decode(struct pb_str key, struct pb_str value, struct pb_row *ret, struct body_id *ret_body, struct pb_str *ret_head, struct pb_error *err);
void row_fill(struct pb_row *row, uint32_t uid, const struct body_id *body, size_t head_len, int64_t date, uint64_t modseq, uint64_t flags);

/* ---- images (folder_image.c): row i<block> holds what the rows u of a block of UIDs hold ---- */

enum { IMAGE_BITS = 9, IMAGE_ROWS = 1 << IMAGE_BITS, IMAGES_AT_ONCE = 64 };

static inline uint32_t image_block_of(uint32_t uid)
{
	return uid >> IMAGE_BITS;
}

/* A message as its row u says: flags and MODSEQ as it was appended. */
struct image_row {
	uint32_t uid;
	uint64_t flags, modseq;
	int64_t date;
	struct body_id body;
	struct pb_str head;
};

struct image_put {
	uint32_t block;
	struct pb_buf value;
};

/* rows are as they were appended: no flag block was laid over them yet. */
void image_encode(const struct row_set *rows, uint32_t block, struct pb_buf *out);
/* One of an earlier form, which is made anew when the folder is read. */
bool image_is_old(struct pb_str value);
/* Room for IMAGE_ROWS; heads are views into value. PB_ECORRUPT. */
int image_decode(struct pb_str value, uint32_t block, struct image_row *ret_rows, size_t *ret_n, struct pb_error *err);
/* A copy of an image that image_decode took. */
struct image_source *image_source_new(struct pb_str value, uint32_t block);
/* Nobody waits for them, and what cannot be written is left out: the rows are there. Folder lock. */
void images_write(struct folder *f, const struct image_put *puts, size_t n);

struct insert_row {
	struct pb_row row;
	struct body_id body;
	size_t head_at, head_len;		/* in late_heads */
};

struct insert {
	struct insert *next;
	struct body_id body;
	struct pb_str head, token;
	uint64_t flags;
	int64_t date;
	uint32_t uid;				/* out */
	bool known;				/* out: the token was there, nothing was added */
	bool done;				/* folder lock */
	int code;
	struct pb_error *err;
};

/* What goes into the same batch as an insertion. */
struct insert_extra {
	const struct engine_row *put;
	size_t nput;
	struct keywords *keywords;		/* new ones; taken over on success */
	bool move;				/* one of put is a row m */
};

int tokens_open(struct mailstore *m, struct pb_error *err);
void tokens_close(struct mailstore *m);
/* The bucket of those that come now; it never falls. */
int tokens_bucket(struct mailstore *m, uint32_t *ret, struct pb_error *err);
/* Was this token inserted before? Then one is known and has its UID, durable with the ticket. No lock. */
int folder_recall(struct folder *f, struct insert *one, engine_ticket *ret_ticket, struct pb_error *err);
/* All or nothing, but for those whose token is known. Folder lock. extra may be NULL. */
int folder_insert(struct folder *f, struct insert *const *list, size_t n, const struct insert_extra *extra, struct pb_error *err);
/* Through the waiting list, so that those who come together share one batch. No lock. ret_ticket: to wait for. */
int folder_insert_one(struct folder *f, struct insert *one, engine_ticket *ret_ticket, struct pb_error *err);
/* Remove the rows at ascending indexes of newest, and remember their UIDs. Folder lock, rows loaded. */
int folder_remove(struct folder *f, const uint32_t *indexes, size_t n, struct pb_error *err);
/* Removes what rows m of f still name in their sources; at the loading of an account. */
int folder_finish_moves(struct folder *f, struct pb_error *err);
int folder_move_done(struct folder *f, const char *key, struct pb_error *err);	/* folder lock */
bool uids_ascend(const uint32_t *uids, size_t n);

#endif
