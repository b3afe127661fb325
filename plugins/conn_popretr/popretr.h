/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of conn_popretr share: accounts and their state, what is known of remote messages, a run of one account.
 *
 * Tables:
 *	accounts	id: JSON, what an administrator said; secrets sealed (vault.c)
 *	state		id: JSON, how its runs went
 *	ids		serial "/" number: which messages of an account are known (seen.c)
 *	failed		serial "/" hash: a message that could not be delivered here, and is kept on the server (failed.c)
 */
#ifndef CONN_POPRETR_POPRETR_H
#define CONN_POPRETR_POPRETR_H

#include <pthread.h>
#include <stdatomic.h>
#include <postbus/bus.h>
#include <postbus/link.h>
#include <postbus/queue.h>
#include <postbus/table.h>
#include "remote.h"

enum { WORKERS_MAX = 150, ID_MAX = 64, SERIAL_LEN = 16, KEY_LEN = 32, UID_HASH = 12, HEAD_HASH = 8 };

struct account;
struct run;

struct retr {
	struct pb_host *host;
	struct pb_table *accounts_table, *state_table, *ids_table, *failed_table;
	unsigned char key[KEY_LEN];		/* of sealed secrets (vault.c) */
	bool has_key;				/* under vault_lock, as is the key */
	pthread_mutex_t vault_lock;
	pthread_mutex_t change;			/* held by who reads an account's row to put another there; taken before the others */
	pthread_mutex_t lock;			/* of all below, and of what accounts say is under it */
	pthread_cond_t changed;			/* a run has ended, or a message was delivered */
	struct account **list;
	size_t n, room;
	size_t turn;				/* where the next walk over the list begins (schedule.c) */
	struct account *busy[WORKERS_MAX];	/* those that run */
	unsigned running;
	struct testing *testing;		/* tests that go on (schedule.c) */
	bool draining;
	struct watch *watch;			/* connections that wait to be told of new mail (idle.c) */
};

#define METHOD(name) int name(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)

static inline int64_t number_of_key(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static inline bool is_set(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* ---- accounts (accounts.c) ---- */

struct account {
	char id[ID_MAX + 1];
	char serial[SERIAL_LEN + 1];		/* tells it from one of the same name before */
	/* under the lock */
	json_t *row, *state;
	int64_t due;				/* microseconds; INT64_MAX: never by itself */
	unsigned refs;
	bool running, again, deleted;		/* again: somebody wants a run when this one ends */
	bool changed;				/* its settings are others since the run began */
	bool told, by_news;			/* the server told of mail; the run was begun because of that */
	unsigned vain;				/* so many of those brought nothing, one behind the other */
	uint64_t runs;				/* ended */
};

int accounts_load(struct retr *r, struct pb_error *err);
void accounts_free(struct retr *r);
/* With the lock held. NULL: there is none. */
struct account *account_find(struct retr *r, struct pb_str id);
/* Make it durable, then known. row: stolen. PB_EEXISTS. */
int account_add(struct retr *r, json_t *row, struct pb_error *err);
/* Another row for it; stolen. With r->change held since the one was read that it is made of. */
int account_change(struct retr *r, struct account *a, json_t *row, struct pb_error *err);
int account_delete(struct retr *r, struct pb_str id, struct pb_error *err);
void account_put(struct retr *r, struct account *a);		/* a reference ends; without the lock */
/* A copy of row and state, the caller's. */
void account_copy(struct retr *r, struct account *a, json_t **ret_row, json_t **ret_state);
/* How it went, durably. Keys of delta go into the state; stolen. */
void account_state(struct retr *r, struct account *a, json_t *delta);

/* ---- secrets at rest (vault.c) ---- */

/* The key's file, if it is there. Where it is not the log says so, if there is something that it would open. */
int vault_open(struct retr *r, struct pb_error *err);
/* Text for a row; about: what it is of, so that it fits nowhere else. The key is made where there is none. NULL: see err. */
json_t *vault_seal(struct retr *r, struct pb_str about, const char *field, struct pb_str secret, struct pb_error *err);
/* Append the secret. PB_ECORRUPT: another key, or another place; PB_ENOTFOUND: no key. */
int vault_unseal(struct retr *r, struct pb_str about, const char *field, struct pb_str sealed, struct pb_buf *out, struct pb_error *err);

/* ---- when (schedule.c) ---- */

void schedule_tick(struct retr *r);
/* With the lock held: when its next run is due, from its row and how the last one ended. */
int64_t schedule_next(struct retr *r, const struct account *a, unsigned failures, enum pb_code code);
/* Run it now, or once the run that goes on has ended. Waits for its end, at most so long (0: not at all). PB_ETIMEOUT. */
int schedule_run(struct retr *r, struct pb_str id, int64_t wait, struct pb_error *err);
/* A run of it has ended; its reference too. brought: it was not in vain. idling: its session is in IDLE, and is kept; or NULL. */
void schedule_ended(struct retr *r, struct account *a, int64_t due, bool brought, struct run *idling);
/* Its settings are others: it runs at once, whatever it was waiting for. */
void schedule_changed(struct retr *r, struct account *a);
void schedule_drain(struct retr *r);
/* A test of an account, which counts among the connections to its host as a run does. PB_EBUSY: there are as many as may be. The caller's memory, until end. */
struct testing {
	struct pb_str host;
	struct testing *next;
};
int schedule_test_begin(struct retr *r, struct testing *t, struct pb_str host, struct pb_error *err);
void schedule_test_end(struct retr *r, struct testing *t);

/* ---- a connection (connect.c) ---- */

struct run {
	struct retr *r;
	struct account *a;
	json_t *row, *state;			/* copies */
	json_t *delta;				/* for the state */
	struct pb_link *link;
	struct channel channel;
	struct remote *remote;
	char address[64];			/* of the server */
	int64_t deadline;			/* ticks */
	struct pb_buf password, token;
	char pins[2][2 * PB_PIN_MAX + 1];	/* what the server showed: certificate, key */
	char method[24];			/* how it logged in */
	uint64_t messages, bytes;
	size_t taken, removed;			/* taken: of messages_max */
	bool idling;				/* its session waits to be told of mail */
	bool holds;				/* it has a reference to its account, for as long as it waits */
	char trouble[240];			/* something that did not stop the run */
	char why[160];				/* the last message that could not be had: why */
};

/* Link, TLS where it comes first, and a channel over it. */
int connect_channel(struct run *run, struct pb_error *err);
/* And the remote over that. */
int connect_remote(struct run *run, struct pb_error *err);
/* And in. */
int connect_login(struct run *run, struct pb_error *err);
void connect_close(struct run *run);
/* A link to one of a host's addresses, under TLS where `implicit`; the row's pin or CA decides. */
int connect_link(struct run *run, struct pb_str host, uint16_t port, bool implicit, struct pb_error *err);
int connect_starttls(void *run, struct pb_error *err);
uint16_t connect_port(const json_t *row);

/* ---- OAuth 2.0 (oauth.c) ---- */

/* The access token of the account, a fresh one where the last is over, into run->token. */
int oauth_token(struct run *run, bool fresh, struct pb_error *err);

/* ---- what is known of remote messages (seen.c) ---- */

enum seen_state {
	SEEN_TAKEN = 1,				/* it is in this house */
	SEEN_BIG,				/* larger than the limit */
	SEEN_BROKEN,				/* it could not be read */
	SEEN_AMBIGUOUS,				/* no message: this id stood for several */
	SEEN_PENDING,				/* it is on its way into our queue, or was when the daemon was killed */
	SEEN_OVER				/* no message: this one goes under another id by now */
};

struct seen_entry {
	unsigned char uid[UID_HASH], head[HEAD_HASH];
	unsigned char token[UID_HASH];		/* the id under which it came first: what the queue and failed.c know it by */
	unsigned char text[HEAD_HASH];		/* SEEN_PENDING: of all of it */
	uint32_t time;				/* seconds since 1970: when that was */
	uint8_t state, attempts;
	bool listed;				/* this session has it */
};

struct seen {
	struct retr *r;
	const char *serial;
	struct seen_entry *list;
	size_t n, room;
	uint32_t *slots;			/* by uid: index + 1; 0: free */
	size_t nslots;
	size_t stored, rows;			/* entries and rows in the table, with those that later ones stand for */
	uint32_t first_row, next_row;
};

int seen_load(struct retr *r, const char *serial, struct seen *ret, struct pb_error *err);
void seen_free(struct seen *s);
/* NULL: nothing is known of it, or it goes under another id. */
struct seen_entry *seen_find(const struct seen *s, const unsigned char *uid);
/* The id of a new entry, which is its token. */
void seen_name(struct seen_entry *e, const unsigned char *uid);
/* Durable when it returns 0. What is there under a uid is replaced. */
int seen_add(struct seen *s, const struct seen_entry *list, size_t n, struct pb_error *err);
/* Forget what was not listed, but for what is on its way, and write anew where that saves room. Only behind a session whose list was whole. */
int seen_compact(struct seen *s, struct pb_error *err);
int seen_drop(struct retr *r, const char *serial, struct pb_error *err);
void hash_text(struct pb_str text, unsigned char *out, size_t len);

/* ---- what could not be delivered (failed.c) ---- */

/* {uid hash in hex: {reasons, time, attempts, subject}} of an account. */
int failed_load(struct retr *r, const char *serial, json_t **ret, struct pb_error *err);
int failed_drop(struct retr *r, const char *serial, struct pb_error *err);
/* That attempt was accepted: what is noted of those before it is over. It may have failed by now itself, and then that stays. */
int failed_over(struct retr *r, const char *serial, const char *uid, int64_t attempt, bool *ret_gone, struct pb_error *err);
int failed_hook(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err);

/* ---- a run (run.c, fetch.c, take.c, settle.c) ---- */

void run_account(void *self, void *arg);
int run_mailbox(struct run *run, struct pb_error *err);
/* As far as the list. */
int run_test(struct run *run, struct listing *ret, struct pb_error *err);

/* ---- for whom (multidrop.c) ---- */

/* Recipients of a message by its header, into env; the account's own mailbox where nothing better is known. */
int recipients_of(struct run *run, struct pb_str header, struct pb_envelope *env, struct pb_error *err);

void run_free(struct run *run);

/* ---- connections that wait to be told of mail (idle.c) ---- */

struct watch *watch_new(void);
void watch_free(struct watch *w);
/* With the lock held: how many wait at a host. */
unsigned watch_at_host(const struct retr *r, struct pb_str host);
/* With the lock held: the account's ends soon, if it has one, and then others are looked for that may run. */
bool watch_stop(struct retr *r, const struct account *a);
void watch_tick(struct retr *r);
/* Is there room for one more at its host, so that others may run there too? */
bool watch_may(struct retr *r, const struct run *run);
/* With the lock held: its session is in IDLE; takes the run over. */
void watch_keep(struct retr *r, struct run *run);
/* Ends those that are left; no job runs any more. */
void watch_close(struct retr *r);

/* ---- methods ---- */

METHOD(retrieve_add);
METHOD(retrieve_set);
METHOD(retrieve_list);
METHOD(retrieve_show);
METHOD(retrieve_run);
METHOD(retrieve_pause);
METHOD(retrieve_resume);
METHOD(retrieve_test);
METHOD(retrieve_delete);

#endif
