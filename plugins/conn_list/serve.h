/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the list does beside posts: letters of its own, tokens that prove something, members who come and go, commands, posts that wait for moderators. */
#ifndef CONN_LIST_SERVE_H
#define CONN_LIST_SERVE_H

#include "post.h"

/* ---- letters (letters.c) ---- */

struct note_letter {
	struct pb_str to_name, to;
	const json_t *readers;		/* addresses of the envelope, where they are others than to; or NULL */
	const char *door;		/* From: dev-DOOR@; and behind it "+rest" */
	struct pb_str rest;
	struct pb_str subject, text;
	struct pb_str references;	/* the id of what it answers */
	struct pb_str attached;
	bool entity;			/* text is a MIME entity */
	const char *submitted;		/* NULL: "auto-generated" */
	struct pb_str name;		/* of the same name, reader and subject one letter goes out only, however often it is tried */
	bool bounces;			/* from dev-bounces@, for members; else the sender is empty */
	struct pb_str probe;		/* or from dev-probe+TOKEN@ (bounce.h) */
};

/* From a courier (item: what it is about) or from elsewhere (item NULL). */
int letter_send(struct lists *all, const struct list *l, struct pb_item *item, const struct note_letter *letter, struct pb_error *err);
/* May a letter of this kind go to this address today? Counted where it may. by: who does it, so that what was cut off is done again. */
bool letter_may(struct lists *all, const char *kind, struct pb_str address, int64_t most, struct pb_str by);
/* Owners hear of it, where there are some. */
int letter_to_owners(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str subject, struct pb_str text, struct pb_str name, struct pb_error *err);
/* What the list is called in letters: its description, or its name. */
struct pb_str list_title(const struct list *l);

/* ---- tokens (token.c) ---- */

enum { TOKEN_LEN = 20 };	/* hexadecimal digits of 80 bits, which nobody guesses by mail, and short, since addresses have them (LIST_NAME_MAX) */

/* Append the token of these words: the same ones give the same, and nobody guesses it. */
int token_make(struct lists *all, const struct pb_str *words, size_t n, struct pb_buf *out, struct pb_error *err);
bool token_is(struct pb_str word);
/* A request that waits for its confirmation: what (subscribe, unsubscribe, set), address, and what belongs to it. The table adds list and expiry. */
int pending_put(struct lists *all, const struct list *l, struct pb_str token, const json_t *row, struct pb_error *err);
/* A new reference. PB_ENOTFOUND: there is none of this list, or its time is over. */
int pending_get(struct lists *all, const struct list *l, struct pb_str token, json_t **ret_row, struct pb_error *err);
/* It was used, by this message. */
int pending_done(struct lists *all, const struct list *l, struct pb_str token, json_t *row, struct pb_str by, struct pb_error *err);
int pending_tick(struct lists *all, struct pb_error *err);

/* ---- coming and going (subscribe.c) ---- */

/* Who asks, by what message. */
struct asking {
	struct post *p;
	struct pb_buf *said;		/* what is answered, in words; empty: what was done speaks for itself */
	struct pb_str name;		/* names the letters that this causes: the item's id and where in it */
};

/* delivery: as the command says it; empty: the list's. address: whom it is about; empty: who asks. */
int ask_subscribe(struct asking *a, struct pb_str address, struct pb_str delivery, struct pb_error *err);
int ask_unsubscribe(struct asking *a, struct pb_str address, struct pb_error *err);
struct command;
/* get (get.c): posts of the archive in a letter of their own. */
int ask_get(struct asking *a, const struct command *c, struct pb_error *err);
int ask_confirm(struct asking *a, struct pb_str token, struct pb_error *err);
/* A change of the row of who asks: members of change are put into it. At once where the message proves who he is, else when he has confirmed it. */
int ask_change(struct asking *a, json_t *change, struct pb_str words, struct pb_error *err);
bool asking_is_proven(const struct post *p);
/* Done, with letters to him and to the owners. item may be NULL. */
int member_joins(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str address, struct pb_str name, struct pb_str delivery, struct pb_str letter_name,
		 struct pb_error *err);
int member_leaves(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str address, struct pb_str letter_name, struct pb_error *err);
/* "digest", "nomail" and the names of deliveries; false: it is none. */
bool delivery_parse(struct pb_str word, const char **ret);

/* ---- mail to the doors (request.c) ---- */

/* Settles p->to. */
int request_deliver(struct post *p, const struct door *d, struct pb_error *err);
/* The text of a message, decoded, at most 64 KiB. */
void post_text(const struct post *p, struct pb_buf *out);
/* Run commands of subject and text; what came of them is appended. */
int request_run(struct post *p, const char *first, struct pb_buf *said, struct pb_error *err);

/* ---- what waits for moderators (hold.c, decide.c, cmd_hold.c) ---- */

/*
 * Row of table "held", key <list id> NUL <token>: kind ("post" or "subscription"), state ("held"; "decided": what was decided is still to be done; "done"), since,
 * reminded, expires, poster, poster_name, subject, reason, size; of a post also uid and envelope; of a subscription delivery. Decided: decision, by, why, at.
 * The bodies are messages of the folder "Held" of the mailbox list-<list id>.
 */
enum { HELD_ATTACH_MOST = 262144 };	/* bytes of a post that letters about it have attached */
int held_get(struct lists *all, const struct list *l, struct pb_str token, json_t **ret_row, struct pb_error *err);
/* Rows of a list with their tokens ("token"), in an array. waiting: only those that nobody has decided about. */
int held_all(struct lists *all, const struct list *l, bool waiting, json_t **ret, struct pb_error *err);
int held_put(struct lists *all, const struct list *l, struct pb_str token, const json_t *row, struct pb_error *err);
int held_body(struct lists *all, const struct list *l, const json_t *row, struct pb_body **ret, struct pb_error *err);
int held_drop_body(struct lists *all, const struct list *l, const json_t *row, struct pb_error *err);
/* The addresses that decide about it, as lines of a letter; and a letter to the moderators, or else the owners. */
void held_links(struct pb_buf *out, const struct list *l, struct pb_str token);
int held_ask(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str token, struct pb_str subject, struct pb_str text, struct pb_str attached,
	     struct pb_error *err);
int held_remove_all(struct lists *all, const struct list *l, struct pb_error *err);
/* Somebody wants to subscribe, and the owners decide. */
int hold_subscription(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str address, struct pb_str name, struct pb_str delivery, struct pb_str letter_name,
		      struct pb_error *err);

enum decision { DECIDE_APPROVE, DECIDE_REJECT, DECIDE_DISCARD };
extern const char *const decision_names[DECIDE_DISCARD + 1];

/* The first to decide wins: PB_ECONFLICT says who did. Whoever decides again in the same way by the same name finishes what was cut off. */
int hold_decide(struct lists *all, const struct list *l, struct pb_str token, enum decision d, struct pb_str by, struct pb_str why, struct pb_error *err);
int hold_tick(struct lists *all, struct pb_error *err);
/* Mail to dev-moderate+TOKEN@. Settles p->to. */
int moderate_deliver(struct post *p, struct pb_str token, struct pb_error *err);

/* The setting posting_script (script.c): PB_EINVALID says what is wrong in which line. */
int script_check(struct lists *all, struct pb_str postoffice, struct pb_str text, struct pb_error *err);

/* ---- leaving in one click (web.c) ---- */

struct pb_protocol;
extern const struct pb_protocol one_click_protocol;
/* Append the URL of a member (his key); nothing where the list has none. */
int one_click_url(struct lists *all, const struct list *l, struct pb_str member, struct pb_buf *out, struct pb_error *err);

METHOD(list_held);		/* cmd_hold.c */
METHOD(list_moderate);

#endif
