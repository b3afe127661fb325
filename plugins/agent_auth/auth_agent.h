/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of agent_auth share: its state, the keys that it signs with, the DNS as it asks it, and what is found about a message. */
#ifndef AGENT_AUTH_H
#define AGENT_AUTH_H

#include <pthread.h>
#include <stdatomic.h>
#include <postbus/bus.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>
#include <postbus/table.h>
#include "mailauth/arc.h"
#include "mailauth/dkim.h"
#include "mailauth/dmarc.h"
#include "mailauth/results.h"
#include "mailauth/spf.h"
#include "mailproto/network.h"

/* A key in memory. Sorted by domain, newest first. */
struct held_key {
	char *domain, *selector;
	struct private_key *key;
	int64_t created;		/* seconds since 1970 */
	bool active;
};

struct keyring {
	struct pb_host *host;
	struct pb_table *table;		/* domain NUL selector: JSON with created, active */
	pthread_rwlock_t lock;
	struct held_key *list;
	size_t n;
};

struct settings {
	atomic_int refs;
	struct networks trusted;
	char *host;				/* authserv-id */
	char *signed_fields, *sealed_fields;	/* with blanks between */
	json_t *sealers, *own;			/* lists */
	enum dmarc_policy most;			/* what is done at most */
	struct dkim_options dkim;
	enum canon header_form, body_form;
};

struct agent {
	struct pb_host *host;
	struct keyring keys;
	pthread_mutex_t lock;
	struct settings *set;		/* under the lock */
};

static inline json_t *string_of(struct pb_str s)
{
	json_t *v = json_stringn(s.len ? s.ptr : "", s.len);

	return v ? v : json_string("");		/* no UTF-8 */
}

/* ---- settings (settings.c) ---- */

int settings_make(struct pb_host *host, struct settings **ret, struct pb_error *err);
struct settings *settings_get(struct agent *a);
void settings_put(struct settings *set);		/* NULL is fine */
int settings_change(void *self, struct pb_error *err);

/* ---- keys (keyring.c) ---- */

int keyring_open(struct keyring *k, struct pb_host *host, struct pb_error *err);
void keyring_close(struct keyring *k);
/* Takes key over in every case. PB_EEXISTS: there is one of that name. Durable when it returns 0. */
int keyring_add(struct keyring *k, struct pb_str domain, struct pb_str selector, struct private_key *key, bool active, struct pb_error *err);
int keyring_activate(struct keyring *k, struct pb_str domain, struct pb_str selector, bool active, struct pb_error *err);
int keyring_delete(struct keyring *k, struct pb_str domain, struct pb_str selector, struct pb_error *err);
/* All of the domain. What failed leaves the others deleted, and is done by the next call. */
int keyring_forget(struct keyring *k, struct pb_str domain, struct pb_error *err);
/* Under the lock: the first key of the domain at or behind *at that is meant (selector empty: any, active ones alone where only_active), or NULL; *at goes
 * on. */
const struct held_key *keyring_next(struct keyring *k, struct pb_str domain, struct pb_str selector, bool only_active, size_t *at);

/* ---- the DNS (world.c) ---- */

struct world {
	struct pb_host *host;
	int64_t deadline;		/* pb_ticks */
	int64_t left;			/* questions */
};

struct auth_dns world_of(struct agent *a, struct world *w);

/* ---- what is found about a message (check.c) ---- */

struct findings {
	struct spf_verdict spf;
	struct dkim_verdict signatures[DKIM_SIGNATURES_MAX];
	size_t n;
	enum auth_result dkim;
	struct arc_verdict arc;
	struct pb_str from;		/* the author's domain; empty: there is none */
	struct dmarc_record record;
	struct finding dmarc;
};

struct who {
	struct pb_str client, helo, sender;
};

void check_message(
    struct agent *a, const struct settings *set, struct pb_arena *arena, const struct auth_message *msg, const struct who *who, struct findings *ret);
/* Append the text of Authentication-Results; at most about max octets, signatures are left out where there is no room. */
void findings_text(const struct findings *f, struct pb_buf *out, size_t max);

int hook_accepted(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err);

#define UNUSED __attribute__((unused))
#define METHOD(name) \
	int method_##name(void *self, UNUSED const struct pb_caller *who, const json_t *params, UNUSED json_t **ret_result, struct pb_error *err)
METHOD(dkim_key_create);
METHOD(dkim_key_list);
METHOD(dkim_key_show);
METHOD(dkim_key_activate);
METHOD(dkim_key_delete);
METHOD(dkim_sign);
METHOD(dkim_outgoing);
METHOD(arc_seal);
METHOD(dmarc_policy);
METHOD(auth_check);

#endif
