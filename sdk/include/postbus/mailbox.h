/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes: folders of messages with UIDs, flags and MODSEQs, by the rules of RFC 9051 and 7162. Rights: mail.read, mail.write.
 *
 * A folder is read through views: a view is an immutable picture of it, shared by all who look at the same moment, cheap to hold
 * and never ahead of what is durable. Two views are compared with pb_view_diff: that is how a session learns what changed.
 * A change that returns 0 is durable. Every call is atomic by itself.
 */
#ifndef POSTBUS_MAILBOX_H
#define POSTBUS_MAILBOX_H

#include <postbus/plugin.h>
#include <postbus/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- mailbox ---- */

struct pb_mailbox;

/* id: the mailbox id that directory.resolve and auth.verify give (letters, digits, - _). Handles are cheap. PB_ENOTFOUND: never created. */
int pb_mailbox_open(struct pb_host *host, struct pb_str id, struct pb_mailbox **ret, struct pb_error *err);
void pb_mailbox_close(struct pb_mailbox *mb);				/* NULL is fine */
/* Creates INBOX and the standard folders with their special uses (Drafts, Sent, Junk, Trash, Archive), all subscribed. PB_EEXISTS.
 * PB_EBUSY: its removal was cut off; destroy it again. */
int pb_mailbox_create(struct pb_host *host, struct pb_str id, struct pb_error *err);
/* Removes all folders and messages. PB_ENOTFOUND. */
int pb_mailbox_destroy(struct pb_host *host, struct pb_str id, struct pb_error *err);
/* One holder at a time for a name ("pop3"); released by unlock or close. PB_EBUSY: somebody has it. */
int pb_mailbox_lock(struct pb_mailbox *mb, const char *name, struct pb_error *err);
void pb_mailbox_unlock(struct pb_mailbox *mb, const char *name);
/* Messages and bytes over all folders. */
int pb_mailbox_usage(struct pb_mailbox *mb, uint64_t *ret_messages, uint64_t *ret_bytes, struct pb_error *err);
/* Limits that append and copy hold to (0: none); durable. What is there stays. Over them: PB_EQUOTA. */
int pb_mailbox_set_quota(struct pb_mailbox *mb, uint64_t messages, uint64_t bytes, struct pb_error *err);

/* ---- folders: names are UTF-8, hierarchy separator "/", INBOX in any case is one ---- */

enum {	/* attributes, RFC 6154 and 3501 */
	PB_FOLDER_NOSELECT = 1, PB_FOLDER_SUBSCRIBED = 2, PB_FOLDER_CHILDREN = 4,
	PB_FOLDER_ALL = 16, PB_FOLDER_ARCHIVE = 32, PB_FOLDER_DRAFTS = 64, PB_FOLDER_FLAGGED = 128, PB_FOLDER_JUNK = 256, PB_FOLDER_SENT = 512,
	PB_FOLDER_TRASH = 1024,
	PB_FOLDER_NONEXISTENT = 2048	/* subscribed, but not there */
};

struct pb_folder_info {
	struct pb_str name;
	unsigned attributes;
	uint32_t uidvalidity;
};

/* All folders in name order, INBOX first; visit gives false to stop. It works on a copy: visit may do what it likes. */
int pb_folder_list(struct pb_mailbox *mb, bool (*visit)(void *arg, const struct pb_folder_info *info), void *arg, struct pb_error *err);
/* PB_EEXISTS; PB_EINVALID for bad names. Missing parents are made (as \Noselect is not asked for: real folders). */
int pb_folder_create(struct pb_mailbox *mb, struct pb_str name, unsigned special_use, struct pb_error *err);
/* PB_ENOTFOUND; PB_EDENIED for INBOX. One with children becomes \Noselect. */
int pb_folder_delete(struct pb_mailbox *mb, struct pb_str name, struct pb_error *err);
/* Children go along; renaming INBOX moves its messages and leaves it empty (RFC 3501 6.3.5). */
int pb_folder_rename(struct pb_mailbox *mb, struct pb_str from, struct pb_str to, struct pb_error *err);
int pb_folder_subscribe(struct pb_mailbox *mb, struct pb_str name, bool on, struct pb_error *err);

/* ---- annotations (RFC 5464): words about a folder, or about the mailbox (folder empty). They go with their folder ---- */

/* entry: "/shared/comment"; begins with /private/ or /shared/, at most 255 characters of ASCII, kept in lower case. value: at most 16 KiB; ptr NULL removes it. */
struct pb_annotation {
	struct pb_str entry, value;
};

/* All of them or none. PB_ENOTFOUND: no such folder. PB_EINVALID: no good name, or one twice. PB_ETOOBIG. PB_EQUOTA: over 1,000 in the mailbox. */
int pb_annotation_set(struct pb_mailbox *mb, struct pb_str folder, const struct pb_annotation *list, size_t n, struct pb_error *err);
/* PB_ENOTFOUND. Replaces what is in value. */
int pb_annotation_get(struct pb_mailbox *mb, struct pb_str folder, struct pb_str entry, struct pb_buf *value, struct pb_error *err);
/* In byte order; visit gives false to stop, and must not call the store. Views live for the visit only. */
int pb_annotation_list(struct pb_mailbox *mb, struct pb_str folder, bool (*visit)(void *arg, const struct pb_annotation *one), void *arg, struct pb_error *err);
/* How many the mailbox has with all its folders: an atomic load. Where it is 0, there is nothing to ask for. */
uint32_t pb_annotations_count(struct pb_mailbox *mb);

struct pb_folder;

/* PB_ENOTFOUND: no such folder, or \Noselect. */
int pb_folder_open(struct pb_mailbox *mb, struct pb_str name, struct pb_folder **ret, struct pb_error *err);
void pb_folder_close(struct pb_folder *f);				/* NULL is fine */
/* False once it was deleted. */
bool pb_folder_exists(struct pb_folder *f);

/* Whose folder this is, and what it is called now: its mailbox id and name are appended; ret_attributes may be NULL. PB_ENOTFOUND: it was deleted. */
int pb_folder_whose(struct pb_folder *f, struct pb_buf *mailbox, struct pb_buf *name, unsigned *ret_attributes, struct pb_error *err);

/* Appends the id that the folder keeps as long as it is there, whatever it is called; no other has it, in any mailbox, before or after (MAILBOXID, RFC 8474). */
int pb_folder_id(struct pb_folder *f, struct pb_buf *out, struct pb_error *err);
/* Appends the name of the folder that has this id now. PB_ENOTFOUND: there is none in this mailbox, or it cannot be opened. */
int pb_folder_by_id(struct pb_mailbox *mb, struct pb_str id, struct pb_buf *name, struct pb_error *err);

struct pb_folder_status {
	uint32_t uidvalidity, uidnext, messages, unseen, recent, deleted;
	uint64_t modseq;	/* HIGHESTMODSEQ */
	uint64_t bytes;
};

/* Without loading the folder. */
int pb_folder_status(struct pb_folder *f, struct pb_folder_status *ret, struct pb_error *err);
/* Makes this session the one that sees \Recent: gives the first UID that is recent for it and claims them all. */
int pb_folder_claim_recent(struct pb_folder *f, uint32_t *ret_first_recent, struct pb_error *err);

/* ---- views ---- */

enum { PB_SEEN = 1, PB_ANSWERED = 2, PB_FLAGGED = 4, PB_DELETED = 8, PB_DRAFT = 16 };	/* system flags; bits 8..63: keywords of the folder */
#define PB_KEYWORD_FIRST 8
#define PB_KEYWORDS_MAX 56

struct pb_view;

struct pb_row {
	uint32_t uid;
	uint32_t size;			/* RFC822.SIZE */
	uint64_t flags;			/* PB_SEEN..., and keyword bits */
	uint64_t modseq;
	int64_t date;			/* INTERNALDATE, microseconds UTC */
	uint64_t body;			/* opaque; equal for rows that share a body */
};

/* The newest durable picture; a new reference. */
int pb_folder_view(struct pb_folder *f, struct pb_view **ret, struct pb_error *err);
struct pb_view *pb_view_ref(struct pb_view *v);
void pb_view_release(struct pb_view *v);				/* NULL is fine */
/* True when the folder has something newer than v: without locks, for use before every command. */
bool pb_folder_is_newer(struct pb_folder *f, const struct pb_view *v);
uint32_t pb_view_count(const struct pb_view *v);
uint32_t pb_view_uidnext(const struct pb_view *v);
uint32_t pb_view_uidvalidity(const struct pb_view *v);
uint64_t pb_view_modseq(const struct pb_view *v);
/* seq is 1..count. */
const struct pb_row *pb_view_row(const struct pb_view *v, uint32_t seq);
/* A run of rows that lie side by side, from seq on; *ret_n says how many (at least 1). For loops over many. */
const struct pb_row *pb_view_run(const struct pb_view *v, uint32_t seq, uint32_t *ret_n);
/* The sequence number of uid, or 0; the first with a UID of at least uid, or 0 (count+1 is not given). */
uint32_t pb_view_find(const struct pb_view *v, uint32_t uid);
uint32_t pb_view_at_least(const struct pb_view *v, uint32_t uid);
/* The name of a keyword bit (PB_KEYWORD_FIRST..63), or empty. */
struct pb_str pb_view_keyword(const struct pb_view *v, unsigned bit);

/* What a session that saw old has to be told to see now. Gone first (highest sequence number first, in old's numbers adjusted as they go),
 * then changed flags (in now's numbers). New rows are those behind old's last UID. Cost is by what differs, not by size. */
struct pb_view_change {
	void (*gone)(void *arg, uint32_t seq, uint32_t uid);
	void (*flags)(void *arg, uint32_t seq, const struct pb_row *row);
};
void pb_view_diff(const struct pb_view *old, const struct pb_view *now, const struct pb_view_change *tell, void *arg);
/* UIDs expunged after a MODSEQ, ascending, at most max a call from uid on (RFC 7162 VANISHED). PB_ENOTFOUND: not remembered that far back. */
int pb_folder_vanished(struct pb_folder *f, uint64_t since, uint32_t from_uid, uint32_t *ret_uids, size_t max, size_t *ret_n, struct pb_error *err);

/* The body of message seq; release it. PB_ECORRUPT: its record is damaged (the rest of the folder is not). PB_ENOTFOUND: it was expunged since v. */
int pb_view_body(struct pb_view *v, uint32_t seq, struct pb_body **ret, struct pb_error *err);
/* Append the scanned structure of message seq (message.h, pb_facts_*) to out; reads no body. */
int pb_view_facts(struct pb_view *v, uint32_t seq, struct pb_buf *out, struct pb_error *err);

/* Appends the id of message seq: the same for its copies, as long as one of them is there, and no other's (EMAILID, RFC 8474). */
void pb_view_email_id(struct pb_view *v, uint32_t seq, struct pb_buf *out);

/* ---- changes ---- */

/* Bits of keywords, making new ones where there is room (PB_EQUOTA: the folder has 56). names are atoms; "$Forwarded" style. */
int pb_folder_keyword(struct pb_folder *f, struct pb_str name, bool make, unsigned *ret_bit, struct pb_error *err);

/* What a mailbox holds and may hold; a limit of 0: none. */
struct pb_usage {
	uint64_t messages, bytes, max_messages, max_bytes;
};

struct pb_append {
	uint64_t flags;
	int64_t date;			/* 0: now */
	struct pb_str token;		/* exactly-once token, or empty: a second append with it adds nothing and gives the first's UID */
	bool over_quota;		/* do not check the quota */
	/* Where not NULL, filled by what returns 0: the mailbox with this message in it. Of several that come at once each sees another sum, so a level is passed
	 * before the eyes of exactly one. */
	struct pb_usage *usage;
};

/* A new message from a spool; takes the spool over in every case. ret_uid, ret_uidvalidity may be NULL. PB_EQUOTA, PB_EFULL. */
int pb_folder_append(struct pb_folder *f, struct pb_spool *spool, const struct pb_append *how, uint32_t *ret_uid, uint32_t *ret_uidvalidity, struct pb_error *err);
/* From now on what is appended, delivered or copied through this handle has to leave the folder with at most so many bytes (0: no limit): else PB_EQUOTA.
 * Two that come at the same moment may go over it together. over_quota passes it too. */
void pb_folder_limit(struct pb_folder *f, uint64_t bytes);
/* The body that an item or another row has; nothing is copied. lazy: durable at the latest before the item's settling is (couriers); else when it returns.
 * head (may be empty) is put before the body when it is read back: Return-Path, Delivered-To; at most 2 KiB. */
int pb_folder_deliver(struct pb_folder *f, struct pb_body *body, struct pb_str head, const struct pb_append *how, uint32_t *ret_uid, struct pb_error *err);

enum pb_store_mode { PB_FLAGS_SET, PB_FLAGS_ADD, PB_FLAGS_REMOVE };

/* UIDs ascending (else PB_EINVALID, here and below). All changed rows get one new MODSEQ; one that has the flags already keeps its own.
 * Rows whose modseq is above unchanged_since (0: no test) are left and given in ret_modified (n entries of room, may be NULL). UIDs not there
 * are passed over. */
int pb_folder_store(struct pb_folder *f, const uint32_t *uids, size_t n, enum pb_store_mode mode, uint64_t flags, uint64_t unchanged_since,
		    uint32_t *ret_modified, size_t *ret_nmodified, struct pb_error *err);
/* Remove rows, ascending UIDs; those not there are passed over. only_deleted: only those with \Deleted. */
int pb_folder_expunge(struct pb_folder *f, const uint32_t *uids, size_t n, bool only_deleted, struct pb_error *err);
/* The same with a way back: what goes is kept for days in the mailbox "<id>-deleted", folder "<day>/<name>", which no login opens; agent_cleanup shows it, brings
 * it back, and empties it. days 0: just expunged. PB_EFULL and its like: nothing was expunged. */
#define PB_MAILBOX_DELETED "-deleted"
int pb_folder_discard(struct pb_host *host, struct pb_folder *f, const uint32_t *uids, size_t n, bool only_deleted, int64_t days, struct pb_error *err);
/* All or nothing at the destination; ret_uids[i] is the new UID of uids[i] (0: it was gone); keywords (where the destination has room) and dates go
 * along. move: removed here after it is durable there; a crash in between is finished when the mailbox is opened next. */
int pb_folder_copy(struct pb_folder *from, const uint32_t *uids, size_t n, struct pb_folder *to, bool move, uint32_t *ret_uids, uint32_t *ret_uidvalidity,
		   struct pb_error *err);

#ifdef __cplusplus
}
#endif
#endif
