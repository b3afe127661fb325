/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this agent share: its state, the keys of imported messages, and messages that come in pieces. */
#ifndef AGENT_IMPORT_IMPORT_H
#define AGENT_IMPORT_IMPORT_H

#include <pthread.h>
#include <postbus/bus.h>
#include <postbus/mailbox.h>
#include <postbus/queue.h>
#include <postbus/table.h>

#define UPLOADS_MAX 16
#define KEY_MAX 64

struct upload {
	int64_t number;			/* 0: the slot is free */
	int64_t used;			/* pb_ticks */
	struct pb_spool *spool;
};

struct import {
	struct pb_host *host;
	struct pb_table *done;		/* key of each imported message */
	pthread_mutex_t lock;		/* of all below */
	json_t *fresh;			/* keys whose message is durable, but that are not in the table yet */
	struct upload uploads[UPLOADS_MAX];
	int64_t last_upload;
};

#define METHOD(name) int name(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)

/* keys.c: which messages were imported. A message's token covers its key until it is written down: tokens live for days, the table for ever. */
int keys_has(struct import *in, struct pb_str key, bool *ret, struct pb_error *err);
int keys_add(struct import *in, struct pb_str key, struct pb_error *err);
int keys_flush(struct import *in, struct pb_error *err);

/* upload.c: a message in pieces */
int upload_add(struct import *in, int64_t number, struct pb_str base64, int64_t *ret_number, struct pb_error *err);
/* The spool of an upload (0: a new one), out of its slot: the caller's from now on. */
int upload_take(struct import *in, int64_t number, struct pb_spool **ret, struct pb_error *err);
int spool_add(struct pb_spool *spool, struct pb_str base64, struct pb_error *err);
void uploads_expire(struct import *in, bool all);

METHOD(import_open);
METHOD(import_folder);
METHOD(import_known);
METHOD(import_data);
METHOD(import_message);
METHOD(import_flush);

#endif
