/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of agent_directory share: its state, names, rows with their cache, transactions, and what a command may touch.
 * What the methods take and give is the manifest's; how rows are kept on disk is the kernel's.
 *
 * Rows of the table, keys in order; every value is a JSON object. All names in keys are in the form that is compared.
 *
 *	p/<post office>			a post office; "rev" grows with every domain that comes or goes
 *	d/<domain>			a domain; "rev" grows with every address that comes or goes
 *	a/<domain>/<local part>		what an address is: { kind: mailbox|group, id } or { kind: map, to }; local part "*" is the catch-all
 *	m/<mailbox id>			a mailbox
 *	c/<mailbox id>			its credentials, apart so that no listing ever reads them
 *	g/<group id>			a group with its members
 *	k/scram				what the SCRAM salts of those who cannot log in are made from: 32 bytes, no JSON
 *	s/server			settings of the server (policy.h); those of others are in their own rows
 *	i/<mailbox id>			a step in the mail store is due: done and removed by the command, or at the next start
 *	l/d/<post office>/<domain>	lists: domains of a post office,
 *	l/a/<domain>/<alias domain>	alias domains of a domain,
 *	l/m|g|x/<post office>/<domain>/<local part>	mailboxes, groups and maps by their main address,
 *	l/p/<time it was made>/<post office>	post offices by age,
 *	l/o/<post office>/<rank><time it was made>/<mailbox id>	enabled mailboxes as they stand in for the postmaster: rank a admin, b system, c user
 *
 * Every change is one batch whose guards are the rows that it was decided on, so commands at the same moment never collide: the loser starts again.
 */
#ifndef AGENT_DIRECTORY_H
#define AGENT_DIRECTORY_H

#include <pthread.h>
#include <stdatomic.h>
#include <postbus/bus.h>
#include <postbus/plugin.h>
#include <postbus/table.h>

#define MAP_DEPTH 8			/* address maps that may lead to one another */
#define REDIRECTS_MAX 32
#define ALIASES_MAX 64
#define MEMBERS_MAX 10000
#define SENDERS_MAX 1000

struct cache;
struct hashers;
struct logins;

struct directory {
	struct pb_host *host;
	struct pb_table *table;
	struct cache *cache;
	atomic_ullong changes;		/* grows with every row that changes: what was made from rows before is not current */
	struct hashers *hashers;
	struct logins *logins;
	pthread_mutex_t quota_lock;	/* the last one through it wrote the newest quota into the store */
	json_t *policy;			/* every setting with its default */
	char separator;			/* of subaddresses; 0: none */
	char nobody[256];		/* what passwords of those who cannot log in are compared with */
	unsigned char scram_secret[32];	/* what the SCRAM salts of those are made from */
};

/* ---- names (name.c) ---- */

/* An address in the form that is compared: local part folded, domain as A-labels. */
struct name {
	char room[680];
	struct pb_str key;		/* local@domain */
	struct pb_str local, domain;
};

/* PB_EINVALID with the reason; text may be of any length. */
int name_parse(struct name *n, struct pb_str text, struct pb_error *err);
/* As name_parse, and fit to be an address of ours: a dot-atom, and a domain that DNS can have. pattern: "*@domain" too. */
int name_parse_local(struct name *n, struct pb_str text, bool pattern, struct pb_error *err);
/* A domain as A-labels, fit to be ours: two labels or more, letters, digits and hyphens, no number at the end. */
int name_domain(struct pb_buf *out, struct pb_str text, struct pb_error *err);
/* The name of a post office: NFC, and case-folded for its key. Letters of any script, digits, "-", "_" and "."; at most 64 bytes. */
int name_office(struct pb_buf *out, struct pb_str text, bool key, struct pb_error *err);
/* A text for people, NFC, one line, at most max bytes. */
int name_text(struct pb_buf *out, struct pb_str text, size_t max, const char *what, struct pb_error *err);

/* ---- rows and their cache (rows.c) ---- */

/* A row as it is durable, shared by all who hold it; value NULL: there is no such row. Never changed. Also an answer, see below. */
struct row {
	atomic_int refs;
	json_t *value;
	uint64_t hash;
	struct row *next;		/* in its bucket */
	struct row *older;		/* in the order of eviction */
	bool used;			/* since the hand passed */
	unsigned long long made;	/* an answer: the directory's changes when it was begun */
	uint16_t nkey;
	char key[];
};

struct cache *cache_new(size_t entries);
void cache_free(struct cache *c);

/* The row "<kind>/<a>" or "<kind>/<a>/<b>" (b with a NULL ptr), from memory where it can; release it. */
int row_read(struct directory *d, char kind, struct pb_str a, struct pb_str b, struct row **ret, struct pb_error *err);
void row_release(struct row *r);	/* NULL is fine */
#define ROW(name) struct row *name __attribute__((cleanup(row_release_at))) = NULL
static inline void row_release_at(struct row **r)
{
	row_release(*r);
}

/* Answers made from rows alone, kept beside them until any row changes. take gives a new reference or NULL, and what offer wants to know. */
json_t *answer_take(struct directory *d, char kind, struct pb_str name, unsigned long long *ret_made);
void answer_offer(struct directory *d, char kind, struct pb_str name, unsigned long long made, json_t *answer);

/* ---- transactions (rows.c) ---- */

struct tx_row {
	struct pb_str key, old;		/* old: as stored, NUL pointer where it was not there */
	json_t *value;			/* NULL: not there, or removed */
	bool changed, blind;		/* blind: written without having been read, so without a guard */
};

struct tx {
	struct directory *d;
	struct pb_arena *arena;
	struct tx_row *rows;
	size_t n, cap;
	bool dry;			/* looked only: nothing is written */
};

/* Read for change: *ret is the transaction's own, to be altered in place and then put. NULL where there is no such row; that too is guarded. */
int tx_get(struct tx *tx, struct pb_str key, json_t **ret, struct pb_error *err);
void tx_put(struct tx *tx, struct pb_str key, json_t *value);	/* steals value; the same pointer that tx_get gave is fine */
void tx_delete(struct tx *tx, struct pb_str key);
/* A key in the transaction's arena. */
struct pb_str tx_key(struct tx *tx, const char *kind, struct pb_str a, struct pb_str b, struct pb_str c);

/* ---- commands (command.c) ---- */

struct command {
	struct directory *d;
	const struct pb_caller *who;
	const json_t *params;
	json_t *result;			/* set by the step; a step that runs again sets it again */
	void *extra;
};

/* Run step until its batch holds (some 16 times at most), then durable: PB_EBUSY when others always came first. */
int command_run(struct command *c, int (*step)(struct command *c, struct tx *tx, struct pb_error *err), struct pb_error *err);
/* A method that is one step. */
int command_do(void *self, const struct pb_caller *who, const json_t *params, int (*step)(struct command *c, struct tx *tx, struct pb_error *err),
	       json_t **ret_result, struct pb_error *err);
/* Before a name goes, what others keep under it has to go, so that the next who has this name does not find it. PB_EBUSY: somebody rejects. */
int command_ask(struct directory *d, const char *point, const json_t *facts, const char *what, struct pb_error *err);
/* Rows that commands start from; what belongs to another post office than an admin's is not there for him. PB_ENOTFOUND. */
int command_domain(struct command *c, struct tx *tx, struct pb_str domain, json_t **ret, struct pb_error *err);
/* The mailbox that an id or address names. A user sees himself alone. */
int command_mailbox(struct command *c, struct tx *tx, struct pb_str which, json_t **ret, struct pb_error *err);
int command_group(struct command *c, struct tx *tx, struct pb_str which, json_t **ret, struct pb_error *err);
bool command_may(const struct command *c, struct pb_str postoffice);
/* An administrator of a post office has no say over one who stands above him. PB_EDENIED. */
int command_outranks(const struct command *c, const json_t *mailbox, struct pb_error *err);
/* Claim an address for something: refuses one that is taken; notes the domain's change. */
int command_claim(struct command *c, struct tx *tx, const struct name *n, json_t *entry, struct pb_error *err);
/* And give it back. */
int command_unclaim(struct tx *tx, const struct name *n, struct pb_error *err);
/* Set result[name] and result["next"] from the rows whose keys begin with prefix, a page as the parameters "after" and "limit" say. */
struct list_query {
	const char *name;		/* of the array in the result */
	struct pb_str prefix;		/* "l/m/demo/" */
	size_t base;			/* so many bytes of a key are not part of "after" */
	json_t *(*show)(struct command *c, struct pb_str key, const json_t *value);	/* NULL: passed over */
};
int command_list(struct command *c, const struct list_query *q, struct pb_error *err);
/* "l/<kind>/<post office>/<domain>/" as far as the caller and the parameters "postoffice" and "domain" confine it. */
int command_prefix(struct command *c, const char *kind, struct pb_buf *out, struct pb_error *err);
/* A method that lists what has "l/<kind>/" keys. q without a prefix. */
int command_list_kind(void *self, const struct pb_caller *who, const json_t *params, const char *kind, struct list_query *q, json_t **ret_result, struct pb_error *err);
/* The post office as key: the parameter "postoffice", else the caller's, else the only one that there is. */
int command_office(struct command *c, struct pb_buf *out, struct pb_error *err);

static inline int64_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static inline bool flag_of(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static inline void set_text(json_t *o, const char *key, struct pb_str s)
{
	json_object_set_new_nocheck(o, key, json_stringn_nocheck(s.len ? s.ptr : "", s.len));
}

static inline void set_number(json_t *o, const char *key, int64_t n)
{
	json_object_set_new_nocheck(o, key, json_integer(n));
}

static inline void set_flag(json_t *o, const char *key, bool on)
{
	json_object_set_new_nocheck(o, key, json_boolean(on));
}

/* ---- store steps (mailbox_store.c): what the mail store has to follow ---- */

/* Bring the store in line with the row of this mailbox: quota if it is there, gone if it is not; then forget the intent. */
int mailbox_settle(struct directory *d, struct pb_str id, struct pb_error *err);
/* Finish what a crash left. */
int mailbox_settle_all(struct directory *d, struct pb_error *err);

/* ---- finding (find.c) ---- */

struct found {
	struct row *domain, *address, *mailbox;	/* released by found_release */
	bool caught;				/* a catch-all was on the way */
	bool direct;				/* the address itself has a row: nothing but rows was asked */
	json_t *way;				/* domains of ours that the map led on from; NULL: none */
	struct name name;			/* of the address that was hit at last */
	char subaddress[128];
	enum { FOUND_REMOTE, FOUND_MAILBOX, FOUND_GROUP, FOUND_REDIRECT, FOUND_CONNECTOR } kind;
	char target[400];			/* REDIRECT: the address; CONNECTOR: "connector:target" */
};

/* PB_ENOTFOUND, PB_EINVALID, PB_EUNAVAILABLE. */
int find_address(struct directory *d, struct pb_str address, struct found *f, struct pb_error *err);
/* PB_ENOTFOUND, in the words of find_address. */
int address_unknown(struct pb_str address, struct pb_error *err);
void found_release(struct found *f);
/* The row of the mailbox that an id or an address of its own names (no maps, no subaddress). */
int find_mailbox(struct directory *d, struct pb_str which, struct row **ret, struct pb_error *err);

/* ---- who is postmaster where nobody was named (postmaster.c) ---- */

/* Where a mailbox's row stands in the list of its post office; empty: nowhere, it is disabled. */
struct pb_str stand_in_key(struct tx *tx, const json_t *mailbox);
/* From one place to another, as stand_in_key gave them before and after a change. */
void stand_in_move(struct tx *tx, struct pb_str old, struct pb_str now);
struct pb_str office_age_key(struct tx *tx, struct pb_str office, const json_t *row);
/* The address to go on with: the post office's own setting, the configured one, the first that stands in; never asked itself. PB_ENOTFOUND. */
int postmaster_of_office(struct directory *d, struct pb_str office, struct pb_str asked, struct pb_buf *out, struct pb_error *err);
/* Of this host, "postmaster" without a domain: the configured one, that of the domain which the host's name lies in, of the oldest post office that has one. */
int postmaster_of_host(struct directory *d, struct pb_str asked, struct pb_buf *out, struct pb_error *err);

/* ---- credentials (auth.c, scram.c, hash.c, login.c) ---- */

/* Rows "c/": crypt, and the SCRAM-SHA-256 keys of the same password. */
int password_prepare(struct directory *d, struct pb_str password, json_t **ret_credential, struct pb_error *err);
/* The credential that is stored for a mailbox, where it may log in with it. Who may not, and who is not there, costs the same looks: no mailbox. */
int find_credential(struct directory *d, struct pb_str login, struct pb_str service, struct row **ret_mailbox, struct row **ret_stored, struct pb_error *err);
/* Of the methods that log in: the parameter "login" as a whole address; what they give; and the end of one that was wrong: counted, logged, PB_EDENIED. */
void login_name(struct directory *d, const json_t *params, struct pb_buf *out);
json_t *login_answer(const json_t *mailbox);
int login_refused(struct directory *d, const json_t *params, struct pb_error *err);

/* At most so many hashes at once; waiting: so many callers, for at most so long; else PB_EBUSY. */
struct hashers *hashers_new(unsigned at_once, unsigned waiting, int64_t patience);
void hashers_free(struct hashers *h);
/* The crypt(3) form of a password with a fresh salt. */
int hash_make(struct hashers *h, struct pb_str password, int cost, char *ret_hash, size_t room, struct pb_error *err);
/* One that no password has, at this cost, without hashing. */
int hash_nobody(int cost, char *ret_hash, size_t room, struct pb_error *err);
/* 0: it matches; PB_EDENIED: it does not. */
int hash_check(struct hashers *h, struct pb_str password, const char *hash, struct pb_error *err);
/* The form of a password that is hashed: RFC 8265 OpaqueString where it can be had, else its bytes. room: PASSWORD_MAX + 1 bytes. */
#define PASSWORD_MAX 256
int password_normal(struct pb_str password, char *room, struct pb_str *ret, struct pb_error *err);
/* SCRAM-SHA-256 (RFC 5802, 7677): 32 bytes each. */
void scram_keys(struct pb_str password, struct pb_str salt, unsigned iterations, unsigned char *ret_stored, unsigned char *ret_server);
/* Makes or reads the secret of scram_nobody. */
int scram_start(struct directory *d, struct pb_error *err);
/* 32 bytes, the first of which are the salt of a name that nobody has: the same for each spelling of it, whenever it is asked for. */
void scram_nobody(const unsigned char *secret, struct pb_str login, unsigned char *ret);
/* Does the client's proof (32 bytes) of what both sides sign hold (RFC 5802 3)? ret_signature: the server's, 32 bytes. */
bool scram_proves(const unsigned char *stored, const unsigned char *server, struct pb_str message, struct pb_str proof, unsigned char *ret_signature);

struct logins *logins_new(size_t entries);
void logins_free(struct logins *l);
/* Was this password right for this mailbox with this very credential before? */
bool logins_knows(struct logins *l, struct pb_str mailbox, struct pb_str credential, struct pb_str password);
void logins_remember(struct logins *l, struct pb_str mailbox, struct pb_str credential, struct pb_str password);

/* ---- the methods ---- */

#define METHOD(name) int name(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
METHOD(postoffice_create);
METHOD(postoffice_list);
METHOD(postoffice_show);
METHOD(postoffice_set);
METHOD(postoffice_delete);
METHOD(domain_create);
METHOD(domain_list);
METHOD(domain_show);
METHOD(domain_set);
METHOD(domain_delete);
METHOD(mailbox_create);
METHOD(mailbox_list);
METHOD(mailbox_show);
METHOD(mailbox_set);
METHOD(mailbox_delete);
METHOD(mailbox_password);
METHOD(group_create);
METHOD(group_list);
METHOD(group_show);
METHOD(group_set);
METHOD(group_delete);
METHOD(group_add);
METHOD(group_remove);
METHOD(map_create);
METHOD(map_list);
METHOD(map_show);
METHOD(map_set);
METHOD(map_delete);
METHOD(directory_resolve);
METHOD(directory_members);
METHOD(directory_mailbox);
METHOD(directory_domain);
METHOD(directory_may_send);
METHOD(directory_may_receive);
METHOD(auth_verify);
METHOD(auth_scram);
METHOD(auth_scram_verify);

#endif
