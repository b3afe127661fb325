/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a message: spool it, accept it (durable), process it (agents), deliver it (couriers), settle every recipient.
 *
 *	spool = pb_spool_begin(host, limit, &err);		write into it; errors are sticky and asked for at the end
 *	pb_queue_accept(host, env, spool, id, &err);		durable when it returns 0; only then say 250
 *
 * An accepted message is an item in the inbound lane of its connector. An agent (the MTA) turns it into items in outgoing lanes;
 * the body is never copied. A courier settles the recipients of an outgoing item. Words: RFC 5321, 3461, 3464, 5598.
 */
#ifndef POSTBUS_QUEUE_H
#define POSTBUS_QUEUE_H

#include <postbus/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PB_ID_MAX 32		/* queue id with its NUL: letters and digits, sorts by time */

/* ---- envelope ---- */

enum { PB_NOTIFY_NEVER = 1, PB_NOTIFY_SUCCESS = 2, PB_NOTIFY_FAILURE = 4, PB_NOTIFY_DELAY = 8 };	/* 0: the default, FAILURE|DELAY */

struct pb_rcpt {
	struct pb_str address;		/* RFC 5321 mailbox without <>, domain lower case */
	struct pb_str orcpt;		/* ORCPT as sent ("rfc822;bob@example.org", xtext decoded) or empty */
	unsigned notify;		/* PB_NOTIFY_ bits */
	struct pb_str target;		/* set by routing: what the address map said behind "connector:" */
};

/* Made by pb_envelope_new; strings are copied into it. Read freely, change through the functions. */
struct pb_envelope {
	struct pb_str sender;		/* reverse-path without <>; empty: null sender */
	struct pb_rcpt **rcpts;
	size_t nrcpts;
	struct pb_str envid;		/* ENVID, xtext decoded, or empty */
	bool ret_headers;		/* RET=HDRS */
	bool eightbit, smtputf8;	/* BODY=8BITMIME (or BINARYMIME); SMTPUTF8 */
	struct pb_str client;		/* address of the peer that brought it, "192.0.2.1" or "2001:db8::1"; empty: made inside */
	struct pb_str helo;		/* its HELO name */
	struct pb_str user;		/* authenticated login, address form, or empty */
	struct pb_str mailbox;		/* mailbox id of user, or empty */
	int64_t received;		/* microseconds, set by accept when 0 */
	json_t *notes;			/* object; verdict notes and what plugins hand on; never NULL */
	bool requiretls;		/* RFC 8689 */
	int priority;			/* MT-PRIORITY; 0 normal, below 0 bulk */
};

/* An envelope owns all its strings: what is given is copied. Empty sender: the null one. */
struct pb_envelope *pb_envelope_new(void);
void pb_envelope_free(struct pb_envelope *env);				/* NULL is fine */
void pb_envelope_reset(struct pb_envelope *env);			/* as new; keeps client, helo, user, mailbox */
void pb_envelope_sender(struct pb_envelope *env, struct pb_str address);
struct pb_rcpt *pb_envelope_rcpt(struct pb_envelope *env, struct pb_str address);	/* appends, gives the new one */
struct pb_str pb_envelope_copy(struct pb_envelope *env, struct pb_str s);	/* a copy that lives as long as env, for its fields */
struct pb_envelope *pb_envelope_dup(const struct pb_envelope *env, bool with_rcpts);
/* Append the reverse-path that goes with this recipient: the sender; with the note "verp" (true) the one that names him (pb_verp_make), where that can be made. */
void pb_envelope_sender_for(const struct pb_envelope *env, const struct pb_rcpt *rcpt, struct pb_buf *out);
/* The spam score: the highest number among the note "spam_score" and those named "spam_score.NAME". A scanner notes its own under its own name, so that none
 * takes another's away. False, *ret untouched: nobody scored the message. */
bool pb_envelope_spam_score(const struct pb_envelope *env, double *ret);

/* ---- spool: a body while it is written ---- */

struct pb_spool;
struct pb_body;

/* limit: bytes at most (0: none). Allocates the queue id, so that it can be written into Received. Right: queue.accept or mail.write. */
struct pb_spool *pb_spool_begin(struct pb_host *host, uint64_t limit, struct pb_error *err);
const char *pb_spool_id(const struct pb_spool *spool);
/* Errors stick: PB_ETOOBIG over the limit, PB_EFULL without room. After one, writes are ignored. */
void pb_spool_write(struct pb_spool *spool, const void *ptr, size_t len);
uint64_t pb_spool_size(const struct pb_spool *spool);
/* 0 or the first error. */
int pb_spool_check(struct pb_spool *spool, struct pb_error *err);
/* What was written so far, as one view, valid until the next write, accept or discard. */
int pb_spool_view(struct pb_spool *spool, struct pb_str *ret_bytes, struct pb_error *err);
void pb_spool_discard(struct pb_spool *spool);				/* NULL is fine */

/* Durable when it returns 0; id (PB_ID_MAX bytes) is pb_spool_id. Takes the spool over in every case. The item enters the calling plugin's inbound lane.
 * PB_EFULL: no room; PB_EINVALID: no recipients. An id that is known already gives 0 and adds nothing (a deterministic id is pb_spool_name's). */
int pb_queue_accept(struct pb_host *host, const struct pb_envelope *env, struct pb_spool *spool, char *ret_id, struct pb_error *err);

/* One of many messages that are accepted together. */
struct pb_arrival {
	const struct pb_envelope *env;
	struct pb_spool *spool;		/* taken over in every case: NULL afterwards */
	char id[PB_ID_MAX];		/* where rc is 0 */
	bool known;			/* its id was known already (pb_spool_name), and nothing was added */
	int rc;				/* of this one */
	struct pb_error error;
};
/* As pb_queue_accept for each, with one flush for all of them. */
void pb_queue_accept_many(struct pb_host *host, struct pb_arrival *list, size_t n);
/* Which of these messages are still in some lane, whoever's: on their way, held, dead, or with a report that is due. What is not has been settled for every
 * recipient. Right: queue.accept. */
int pb_queue_pending(struct pb_host *host, const char *const *ids, size_t n, bool *ret_pending, struct pb_error *err);
/* Put a line into the timeline of a message by its queue id, as pb_item_note does for one in hand: what became of it later. Right: queue.accept. */
void pb_queue_note(struct pb_host *host, const char *id, const char *what, const char *fmt, ...) PB_PRINTF(4, 5);
/* Replace the spool's id by one derived from token: the same token can enter the queue once only while its first entry is remembered (at least an hour). */
void pb_spool_name(struct pb_spool *spool, struct pb_str token);

/* ---- body: immutable, shared ---- */

/* Octets of the body as it is read back, with what delivery put before it. */
uint64_t pb_body_size(const struct pb_body *body);
/* The whole body as one view, mapped, valid until pb_body_release of this handle. PB_ECORRUPT: it failed its check. */
int pb_body_view(struct pb_body *body, struct pb_str *ret_bytes, struct pb_error *err);
/* Without joining: what was put before it at delivery (Return-Path, Delivered-To; may be empty), and the body as it was accepted. Never copies. */
int pb_body_parts(struct pb_body *body, struct pb_str *ret_head, struct pb_str *ret_rest, struct pb_error *err);
/* The scanned structure that was made when it was accepted (message.h, pb_facts_*), valid like the view. Its offsets count from the
 * start of the body as accepted, without the head. */
int pb_body_facts(struct pb_body *body, struct pb_str *ret_facts, struct pb_error *err);
struct pb_body *pb_body_ref(struct pb_body *body);
void pb_body_release(struct pb_body *body);				/* NULL is fine */

/* ---- items: leased work ---- */

struct pb_item;
struct pb_recipient;

enum pb_item_kind {
	PB_ITEM_MESSAGE,	/* a message on its way */
	PB_ITEM_FAILURE,	/* a report is due: recipients failed for good */
	PB_ITEM_DELAY,		/* a report is due: recipients are late, still tried */
	PB_ITEM_SUCCESS		/* a report is due: delivered, and NOTIFY=SUCCESS asked for it */
};

/* All views live as long as the item is in hand (until process or deliver returns). */
const char *pb_item_id(const struct pb_item *item);			/* of the message: the same in all lanes */
enum pb_item_kind pb_item_kind(const struct pb_item *item);
const char *pb_item_lane(const struct pb_item *item);			/* "conn_smtp.inbound" */
const char *pb_item_destination(const struct pb_item *item);		/* as routed: a domain for SMTP, or "" */
const struct pb_envelope *pb_item_envelope(const struct pb_item *item);	/* rcpts: those still to do */
struct pb_body *pb_item_body(struct pb_item *item);			/* borrowed; pb_body_ref to keep it */
unsigned pb_item_attempts(const struct pb_item *item);			/* before this one */
int64_t pb_item_expires(const struct pb_item *item);			/* microseconds; 0: never */
/* Put a line into the message's timeline: what ("dns.mx"), then text. */
void pb_item_note(struct pb_item *item, const char *what, const char *fmt, ...) PB_PRINTF(3, 4);

/* Recipients, one after the other; NULL at the end. Start again with pb_item_rewind. */
struct pb_recipient *pb_item_next(struct pb_item *item);
void pb_item_rewind(struct pb_item *item);
const struct pb_rcpt *pb_recipient_rcpt(const struct pb_recipient *to);
/* Reports: the last words about this recipient: "550 5.1.1 no such user", who said them ("mx1.example.org" or ""), and when it was last tried. */
struct pb_str pb_recipient_reason(const struct pb_recipient *to);
struct pb_str pb_recipient_remote(const struct pb_recipient *to);
int64_t pb_recipient_tried(const struct pb_recipient *to);

/* Settle (couriers; and agents that fail a recipient). reply begins with an RFC 5321 code and an RFC 3463 status; remote: who said it, or empty.
 * What is settled counts even where deliver fails later. What stays unsettled is tried again by the ladder. */
void pb_delivered(struct pb_recipient *to, struct pb_str remote, const char *reply);
void pb_relayed(struct pb_recipient *to, struct pb_str remote, const char *reply);	/* handed to a host that knows no DSN */
/* Handed to a host that knows DSN and was told what to report: from here on it answers for it, and no success is reported by us. */
void pb_forwarded(struct pb_recipient *to, struct pb_str remote, const char *reply);
/* due: microseconds, or 0 for the lane's ladder (15, 30, 60, then every 240 minutes; expiry after 5 days). */
void pb_retry(struct pb_recipient *to, int64_t due, struct pb_str remote, const char *reply);
void pb_failed(struct pb_recipient *to, struct pb_str remote, const char *reply);
/* Settled without a word to anybody: discarded by decision, or expanded into others by pb_item_send. */
void pb_dropped(struct pb_recipient *to, const char *why);

/* Successors: written in the same transaction that settles the item, so a crash neither loses nor doubles them. */
/* The recipient goes to a connector's outgoing lane; recipients with the same connector and destination share one item. Settles it here. */
void pb_item_send(struct pb_item *item, struct pb_recipient *to, const char *connector, struct pb_str destination, struct pb_str target);
/* The same body to other addresses, through the inbound lane again (redirection, group members outside). env is copied; notes["hops"] is counted, notes["entered"] is
 * the moment. */
int pb_item_redirect(struct pb_item *item, const struct pb_envelope *env, struct pb_error *err);
/* A new message (a DSN, a notice). Takes the spool over in every case. */
int pb_item_inject(struct pb_item *item, const struct pb_envelope *env, struct pb_spool *spool, struct pb_error *err);

/* From here on the message has this body: successors get it, and what is tried again. Takes the spool over in every case. pb_item_body
 * gives the new one; the handle of the old one stays valid as long as the item. PB_EINVALID: something was sent on already. */
int pb_item_set_body(struct pb_item *item, struct pb_spool *spool, struct pb_error *err);
/* From here on the message has this priority (-9 to 9, as the envelope's). */
void pb_item_set_priority(struct pb_item *item, int priority);

/* The courier of a connector: its outgoing lane. Concurrency is the manifest's "workers" and "per_destination". */
struct pb_courier {
	/* 0 when all was said by settling; an error counts as a failed stage: unsettled recipients go back, and after some the item is a dead letter. */
	int (*deliver)(void *self, struct pb_item *item, struct pb_error *err);
};

/* An agent. "leases" in its manifest names the lanes ("*.inbound", "*.reports"). */
struct pb_agent {
	int (*process)(void *self, struct pb_item *item, struct pb_error *err);	/* may be NULL */
	void (*tick)(void *self);						/* every "interval" of its manifest; may be NULL */
};

#ifdef __cplusplus
}
#endif
#endif
