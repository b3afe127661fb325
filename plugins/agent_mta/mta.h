/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of agent_mta share: its state, the two kinds of work, and what is known of a message on its way through.
 *
 * Notes in the envelope that tell later passages and couriers of this one:
 *	filtered	the server's filters have run: neither what is sent on nor what is tried again meets them a second time
 *	folders		where conn_postoffice puts the copy that its own filters keep: objects with folder (none: INBOX), special_use, create, flags
 *	spam		the copy goes to the junk folder
 *	footer		a footer was put below it, or there is none to put
 *	archived	the archives have their copies
 *	headers		fields that stand before the copy
 *	front		whole lines that stand before the message where it leaves the house: its signatures
 *	event		the event program has seen it
 *	connector	whose inbound lane it was in before it went to the bulk lane
 *	released	the id that it had in quarantine: neither hooks nor filters decide about it again
 */
#ifndef AGENT_MTA_MTA_H
#define AGENT_MTA_MTA_H

#include <pthread.h>
#include <postbus/bus.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>
#include <postbus/table.h>

/* So many programs at a time, and no more. */
struct pool {
	pthread_mutex_t lock;
	pthread_cond_t free;
	int64_t busy;
};

struct mta {
	struct pb_host *host;
	int64_t max_hops, max_size;	/* 0: no limit */
	struct pool pool;
	struct pb_table *quarantine;
	pthread_mutex_t releasing;	/* one change of what is in quarantine at a time */
};

/* ---- a passage (route.c) ---- */

/* A recipient and where the directory says that it goes. */
struct stop {
	struct pb_recipient *to;
	json_t *route;			/* NULL: error says why */
	struct pb_str target;		/* where it is not that of route, which is another address's of the same domain */
	struct pb_error *error;
};

struct passage {
	struct mta *mta;
	struct pb_item *item;
	struct stop *stops;
	size_t n;
	struct pb_arena *arena;		/* of errors and targets; made on first use */
	bool bulk;			/* it is in the bulk lane */
};

/* The connector that brought it. */
struct pb_str connector_of(struct pb_item *item);
/* "out": some recipient is at a connector that is not a post office's; else "local" or "in". */
const char *direction_of(const struct passage *p);

/* Settle all recipients alike: pb_dropped, fail_one, retry_one. */
void settle_all(struct pb_item *item, void (*settle)(struct pb_recipient *to, const char *text), const char *text);
void fail_one(struct pb_recipient *to, const char *reply);
void retry_one(struct pb_recipient *to, const char *reply);

/* A message in an inbound lane: guards, hooks, filters, and each recipient to the connector that its address leads to. bulk: it is in the bulk lane, where
 * those go that may wait. */
int route_message(struct mta *mta, struct pb_item *item, bool bulk, struct pb_error *err);

/* ---- the server's filters (filter.c, notify.c) ---- */

/* 0: go on; 1: every recipient is settled. Nothing was done where it fails. */
int filter_message(struct passage *p, struct pb_error *err);
/* Does it go to a connector that is not a post office's? */
bool is_leaving(const struct passage *p);
/* What the action "notify" sends, in the settling of the item: Sieve's (RFC 5435, mailto: RFC 5436), and the own one "sender|ADDRESS TEMPLATE". */
int send_notice(struct passage *p, const json_t *action, struct pb_error *err);

/* ---- what post offices want (office.c) ---- */

/* Footers, and copies for archives. 0, or an error: nothing was settled. */
int office_message(struct passage *p, struct pb_error *err);

/* ---- header fields (fields.c) ---- */

/* The note remove_fields among those of a verdict: indexes of fields, 0 at the top, that are taken out of the message. It ends with this. 0, or an error: nothing
 * was changed. */
int remove_fields(struct mta *mta, struct pb_item *item, json_t *notes, struct pb_error *err);
/* Signatures, where the message leaves the house and somebody signs: nothing changes it any more. */
void sign_message(struct passage *p);

/* ---- programs (event.c) ---- */

void pool_init(struct pool *pool);
void pool_destroy(struct pool *pool);
/* The event program, where it is to run before the filters, or behind them. 0: go on; 1: every recipient is settled. */
int run_event(struct passage *p, bool before, struct pb_error *err);
/* The action "run": what the program does to the message is not looked at. PB_ECLOSED: the server is being stopped. */
int run_program(struct passage *p, const json_t *action, struct pb_error *err);

/* ---- quarantine (quarantine.c, release.c) ---- */

int quarantine_open(struct mta *mta, struct pb_error *err);
/* Keep a message for some recipients (NULL: all of its envelope), durably when it returns 0; again for the same: nothing more. by: who decided. */
int quarantine_add(struct mta *mta, const struct pb_subject *about, const json_t *recipients, struct pb_str reason, struct pb_str by, struct pb_error *err);
/* Away with what is older than the setting, and on with releases that were cut off. */
void quarantine_sweep(struct mta *mta);
/* Recipients of a domain that goes, or of a post office (the facts of domain.delete and postoffice.delete), leave; what has others stays for them. */
int quarantine_leave(struct mta *mta, const json_t *facts, struct pb_error *err);

#define UNUSED __attribute__((unused))
#define METHOD(name) \
	int method_##name(void *self, UNUSED const struct pb_caller *who, const json_t *params, UNUSED json_t **ret_result, struct pb_error *err)
METHOD(quarantine_add);
METHOD(quarantine_list);
METHOD(quarantine_show);
METHOD(quarantine_release);
METHOD(quarantine_delete);

/* ---- reports (report.c) ---- */

/* A report that is due: the DSN of it, or why there is none. */
int send_report(struct mta *mta, struct pb_item *item, struct pb_error *err);
/* The address that reports and notices come from. */
void from_address(struct mta *mta, struct pb_buf *out);

/* What ids and tokens are made of: the same in every life of the daemon, as pb_str_hash is not (FNV-1a). */
static inline uint64_t mark_of(struct pb_str s)
{
	uint64_t mark = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < s.len; i++)
		mark = (mark ^ (unsigned char)s.ptr[i]) * UINT64_C(1099511628211);
	return mark;
}

#endif
