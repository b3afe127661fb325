/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of conn_list share: a mailing list, its members, a post on its way.
 *
 * Rows. Table "lists": key the list's address in the form that is compared; value { id, address, postoffice, created, settings: { name: value } }.
 * Table "members": key <list id> NUL <address in the form that is compared>; value as struct member says; and <list id> 1 <address>,
 * "1": he was brought by an import, and is not brought again (members_add). A list's id is made once and names it in all other tables,
 * so that a list of the same name that is made later begins with nothing.
 */
#ifndef CONN_LIST_H
#define CONN_LIST_H

#include <pthread.h>
#include <stdlib.h>
#include <postbus/bus.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>
#include <postbus/table.h>
#include "door.h"
#include "setting.h"

enum { SILENT_DOMAINS = 16 };

struct lists {
	struct pb_host *host;
	struct pb_table *rows, *members;
	struct pb_table *probes;		/* bounce.h */
	struct pb_table *counts;		/* number.c */
	pthread_mutex_t digesting;		/* one issue of a digest at a time */
	struct pb_table *campaigns, *results;	/* campaign.h */
	pthread_rwlock_t tracking;		/* of these: the tick removes */
	pthread_mutex_t writing;		/* of rows and members: one command after the other reads, changes and writes */
	struct pb_table *pending, *counted, *held;	/* token.c, letters.c, hold.c */
	pthread_mutex_t counting, deciding;	/* of counted and held */
	struct silent {				/* mitigate.c; under counting */
		char domain[256];
		int64_t until;			/* ticks */
	} silent[SILENT_DOMAINS];
};

static inline bool flag_of(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static inline int64_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static inline void set_text(json_t *o, const char *key, struct pb_str s)
{
	json_object_set_new(o, key, json_stringn(s.len ? s.ptr : "", s.len));
}

/* ---- a list (rows.c) ---- */

/* As it was read. Views live as long as it. */
struct list {
	json_t *row;
	struct pb_str id, address, local, domain, postoffice;
	json_t *settings;			/* of row; what is not there has its default (setting.h) */
};

/* By its address; list_close in every case that gave 0. PB_ENOTFOUND. */
int list_open(struct lists *all, struct pb_str address, struct list *ret, struct pb_error *err);
/* The same for whoever runs a method: lists of his post office only. */
int list_open_for(struct lists *all, const struct pb_caller *who, struct pb_str address, struct list *ret, struct pb_error *err);
void list_take(struct list *l, json_t *row);	/* all of l is views into row, which becomes its own; list_close */
void list_close(struct list *l);
/* Write what is in l->row. */
int list_save(struct lists *all, const struct list *l, struct pb_error *err);
int list_remove(struct lists *all, const struct list *l, struct pb_error *err);
/* All lists (of a post office; empty: of all), in the order of their addresses; visit gives false to stop and may use tables. */
int lists_each(struct lists *all, struct pb_str postoffice, bool (*visit)(void *arg, struct list *l), void *arg, struct pb_error *err);
enum { LIST_NAME_MAX = 34 };		/* octets of a local part: behind it "-moderate+" and a token are within the 64 that hosts take (RFC 5321 4.5.3.1.1) */
/* Append an address of the list: door_address(out, l, "owner") is dev-owner@example.org; "": its own. */
void list_door(struct pb_buf *out, const struct list *l, const char *door);

struct pb_mailbox;
struct pb_folder;
/* A folder of the list's own mailbox (folder.c); close both. PB_ENOTFOUND: there is none, and make is false. */
int list_folder(struct lists *all, const struct list *l, struct pb_str name, bool make, struct pb_mailbox **ret_mb, struct pb_folder **ret, struct pb_error *err);

/* ---- members (member.c) ---- */

enum delivery { DELIVERY_EACH, DELIVERY_MIME, DELIVERY_PLAIN, DELIVERY_NONE, DELIVERIES };
extern const char *const delivery_names[DELIVERIES];	/* "each", "mime", "plain", "none" */

/*
 * Row: address, name, delivery, since (microseconds), stopped ("member", "moderator", "bounces": no mail for now; absent: none), moderated, quiet (no copy of what he
 * posts himself), ack (told when his post went out), hidden (not shown by who), topics (array; absent: all), bounces (what is known of them: bounce.c).
 */
struct member {
	struct pb_str key;			/* address as compared */
	struct pb_str address;
	enum delivery delivery;
	bool stopped;
	struct pb_str text;			/* the row as it is stored */
	json_t **row;				/* member_row's */
};

/* Who reads a row to write it again, or takes one away, holds all->writing. */

/* Row of a member; json_decref. PB_ENOTFOUND. */
int member_get(struct lists *all, const struct list *l, struct pb_str address, json_t **ret_row, struct pb_error *err);
/* A row for somebody new; a new reference. PB_EINVALID: no address. */
int member_new(struct lists *all, struct pb_str address, struct pb_str name, enum delivery delivery, json_t **ret_row, struct pb_error *err);
/* Write a row, of a new member or of one who is there. PB_EINVALID: its address is none. */
int member_put(struct lists *all, const struct list *l, const json_t *row, struct pb_error *err);
/* Write rows that were not there. once: who is in the rows is remembered, and who was in them before and has left since stays away. Counts are added to. */
struct arrivals {
	bool once;
	size_t known, left;			/* were members already, and stay as they are; were left out */
};
int members_add(struct lists *all, const struct list *l, json_t *const *rows, size_t n, struct arrivals *a, struct pb_error *err);
/* PB_ENOTFOUND: nobody of that address. */
int member_remove(struct lists *all, const struct list *l, struct pb_str address, struct pb_error *err);
int members_remove_all(struct lists *all, const struct list *l, struct pb_error *err);
/* For members_each's visitor: all of a row; and one of its texts or flags, without reading all of it where that can be. */
const json_t *member_row(const struct member *m);
struct pb_str member_text(const struct member *m, const char *key);
bool member_flag(const struct member *m, const char *key);
/* Members in the order of their keys, from <= key < to (to empty: to the end); visit gives false to stop, and must not use tables. */
int members_each(struct lists *all, const struct list *l, struct pb_str from, struct pb_str to, bool (*visit)(void *arg, const struct member *m), void *arg,
		 struct pb_error *err);
/* Is this address one of those in a setting (owners, moderators, accept_from, ...)? Entries may be *@domain. */
bool list_names(const struct list *l, const char *setting, struct pb_str address);
/* Is this one of the list's topics (NAME=PATTERN each)? (audience.c) */
bool list_has_topic(const struct list *l, struct pb_str name);

/* ---- a message that came to a list (post.c) ---- */

/* How From is changed. */
enum mitigation { FROM_KEPT, FROM_REWRITTEN, FROM_WRAPPED };

struct post {
	struct lists *all;
	const struct list *list;
	struct pb_item *item;
	struct pb_recipient *to;
	struct pb_str message, header, facts;	/* as it came */
	struct pb_buf from;			/* address of the first author (From), or the envelope's sender */
	struct pb_buf from_name;		/* what he calls himself, UTF-8 */
	json_t *member;				/* his row, or NULL */
	enum mitigation mitigation;		/* mitigate.c */
	bool mitigation_known;
};

/* Settles p->to. An error: nothing is settled, it is tried again. */
int post_deliver(struct post *p, struct pb_error *err);
/* Past the decision: distributed as approved, by whoever moderates. */
int post_approve(struct post *p, struct pb_error *err);

/* What is done with a post (judge.c). why: a sentence for the poster and the moderators. */
enum judgement { JUDGE_ACCEPT, JUDGE_HOLD, JUDGE_REJECT, JUDGE_DISCARD };
enum judgement post_judge(struct post *p, struct pb_buf *why);

/* The message as members get it (transform.c): appended. personal: values for {fields} in header and footer of the list; NULL: those that are equal for all. */
int post_transform(struct post *p, struct pb_buf *out, const json_t *personal, struct pb_error *err);
/* Bring it to the members (distribute.c): one message with all of them as recipients, or one each where it is personal. */
int post_distribute(struct post *p, struct pb_error *err);
/* A part of the members of a personal post. */
int post_distribute_part(struct post *p, struct pb_error *err);

/* ---- methods ---- */

#define UNUSED __attribute__((unused))
#define METHOD(name) \
	int method_##name(UNUSED void *self, UNUSED const struct pb_caller *who, UNUSED const json_t *params, UNUSED json_t **ret_result, UNUSED struct pb_error *err)
METHOD(list_create);		/* cmd_list.c */
METHOD(list_list);
METHOD(list_show);
METHOD(list_set);
METHOD(list_unset);
METHOD(list_settings);
METHOD(list_password);
METHOD(list_delete);
METHOD(list_bounces);		/* cmd_bounces.c */
METHOD(list_results);		/* cmd_results.c */
METHOD(list_reader);		/* archive.c */
METHOD(member_add);		/* cmd_member.c */
METHOD(member_remove);
METHOD(member_list);
METHOD(member_show);
METHOD(member_set);
METHOD(member_import);		/* transfer.c */
METHOD(member_export);

#endif
