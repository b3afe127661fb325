/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of agent_public share. A post office's public folders are the folders of a mailbox that belongs to nobody. Rows of the table "offices":
 *	<post office>			id of that mailbox
 *	<post office> NUL <folder>	"members": they write there too; "readers KIND:WHAT": only those read there whom another plugin names (rights.c), and nobody but
 *					administrators writes; no row: all read, administrators write
 */
#ifndef AGENT_PUBLIC_H
#define AGENT_PUBLIC_H

#include <pthread.h>
#include <postbus/bus.h>
#include <postbus/mailbox.h>
#include <postbus/plugin.h>
#include <postbus/table.h>

struct public {
	struct pb_host *host;
	struct pb_table *offices;
	pthread_mutex_t making;		/* of a mailbox, and of changes of rights */
};

/* The mailbox of a post office's public folders; made where there is none. */
int public_mailbox(struct public *p, struct pb_str office, struct pb_buf *id, struct pb_error *err);
/* All that there is of a post office, if there is something. */
int public_forget(struct public *p, struct pb_str office, struct pb_error *err);

/* ---- rights (rights.c) ---- */

void right_key(struct pb_buf *key, struct pb_str office, struct pb_str folder);
/* A row as it is; empty: there is none. */
int right_get(struct public *p, struct pb_str office, struct pb_str folder, struct pb_buf *value, struct pb_error *err);
int right_put(struct public *p, struct pb_str office, struct pb_str folder, bool members, struct pb_str readers, struct pb_error *err);
/* All rows of a post office: folder to value; a new reference. */
int rights_of(struct public *p, struct pb_str office, json_t **ret, struct pb_error *err);
/* What a row says: may members write; who reads (empty: all); does he read? */
bool right_writes(struct pb_str value);
struct pb_str right_readers(struct pb_str value);
bool right_reads(struct public *p, struct pb_str value, struct pb_str address);
/* Words of readers that somebody can be asked about; none are good too. */
bool readers_are_good(struct pb_str readers);
/* Rows of a folder and of those below it (of all: no name): written for another name, taken away. */
enum right_step { RIGHTS_COPY, RIGHTS_REMOVE };
int rights_move(struct public *p, struct pb_str office, struct pb_str from, struct pb_str to, enum right_step step, struct pb_error *err);

#define UNUSED __attribute__((unused))
#define METHOD(name) \
	int method_##name(void *self, UNUSED const struct pb_caller *who, const json_t *params, UNUSED json_t **ret_result, struct pb_error *err)
METHOD(public_mailbox);
METHOD(public_list);
METHOD(public_create);
METHOD(public_delete);
METHOD(public_rename);
METHOD(public_rights);
METHOD(public_hidden);
METHOD(public_claim);

#endif
